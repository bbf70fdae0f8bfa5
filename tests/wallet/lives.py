"""A wallet in which something of each kind has happened, and who was told of it."""

import random
import tempfile
from functools import cache
from pathlib import Path

from counterfoil_wallet import AskingPolicy, Kind, MemoryStore, Record, Store
from counterfoil_wallet.contents import Contents
from counterfoil_wallet.recovery import split

from tests.conftest import NOON, Clock
from tests.wallet.town import Town


@cache
def a_life() -> Contents:
    """Give what such a wallet holds: lived once, for all tests that only need to have it."""
    with tempfile.TemporaryDirectory() as folder:
        town = Town(Clock(NOON), random.Random(8).randbytes, Path(folder))
        store = MemoryStore()
        live(town, store)
        contents = Contents.of(store)
        store.close()
        town.issuer_store.close()
    return contents


def live(town: Town, store: Store) -> None:
    """Let something of each kind happen in a wallet."""
    wallet = town.wallet(store)
    for number in ("#1001", "#1002"):
        offer = town.offer(number)
        wallet.accept(offer.link, tx_code=offer.tx_code)
    wallet.present(wallet.matches(town.counter.ask("warranty").link).choose())
    wallet.decline(wallet.matches(town.counter.ask("warranty").link))
    asked = wallet.asked_terms(town.receiver.request(town.wish()).link)
    wallet.withdraw(wallet.grant(asked.choose()).grant_id)
    asked = wallet.asked_terms(town.receiver.request(town.wish()).link)
    wallet.grant(asked.choose())
    wallet.consent.defer(wallet.asked_terms(town.receiver.request(town.wish()).link))
    wallet.consent.set_policy(AskingPolicy(adult_from=NOON.date()))
    wallet.consent.custodian("https://phone.example")
    wallet.secret("points")
    wallet.keep("points", b"as they were last seen")
    recovery, _ = split(["Mei", "Jun"], 2, random=town.random, at=NOON)
    store.put(recovery.to_record(), Record(Kind.CREDENTIAL, "unreadable", "", b"\xff\x00"))
    _, second, *_ = store.cards()
    store.mark(second.credential_id, "suspended")
    store.trash(second.credential_id, NOON)
