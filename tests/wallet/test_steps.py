"""What belongs together is kept together: copies that are taken, and the event that says so."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import pytest
from counterfoil_credentials.dcql import ClaimQuery, CredentialQuery, DcqlQuery
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_wallet import Act, CounterPreset, Kind, Record, Store, Wallet

from tests.conftest import Clock
from tests.wallet.conftest import Place
from tests.wallet.strangers import SHOP, TYPE, StrangeIssuer, StrangeShop

ITEM = CredentialQuery("item", (TYPE,), (ClaimQuery(("item", "serial")),))
LEVEL = CredentialQuery("level", (TYPE,), (ClaimQuery(("level",)),))


@pytest.fixture
def shop(clock: Clock) -> StrangeShop:
    return StrangeShop(MemoryFetcher(), clock, query=DcqlQuery((ITEM, LEVEL)))


@pytest.fixture
def store(place: Place) -> Store:
    return place.start()


@pytest.fixture
def wallet(
    shop: StrangeShop, store: Store, clock: Clock, random_bytes: Callable[[int], bytes]
) -> Wallet:
    """Give a wallet that holds an item and a membership."""
    issuer = StrangeIssuer(shop.network, clock, random_bytes)
    wallet = Wallet(store, fetcher=shop.network, clock=clock)
    things: list[JsonObject] = [{"item": {"serial": "A1"}}, {"level": "gold"}]
    for i, claims in enumerate(things):
        issuer.code = f"code {i}"
        issuer.claims, issuer.concealed = claims, tuple((name,) for name in claims)
        wallet.accept(issuer.link)
    return wallet


def require_nothing_shown(wallet: Wallet, store: Store, shop: StrangeShop) -> None:
    assert [store.showings(card.credential_id) for card in store.cards(trashed=None)] == [[], []]
    assert [event for event in wallet.history() if event.act is Act.SHOWN] == []
    assert shop.forms == []


def refusing_events(*records: Record) -> None:
    assert {record.kind for record in records} == {Kind.EVENT}
    raise Unavailable("expected the disk to take an event, found it full")


def test_a_slow_answer_keeps_no_other_call_waiting(wallet: Wallet, shop: StrangeShop) -> None:
    asked, answered, went_on = threading.Event(), threading.Event(), threading.Event()
    handling = shop.handle

    def slow(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        if method == "POST":
            asked.set()
            assert answered.wait(60)
        return handling(method, path, headers, body)

    def others() -> None:
        for i in range(256):
            wallet.secret(f"secret {i}")
        went_on.set()

    shop.network.serve(SHOP, slow)
    choice = wallet.matches(shop.link).choose()
    presenting = threading.Thread(target=wallet.present, args=[choice])
    going_on = threading.Thread(target=others)
    presenting.start()
    try:
        assert asked.wait(60)
        going_on.start()
        assert went_on.wait(60)
        assert len(shop.forms) == 0
    finally:
        answered.set()
        presenting.join()
        going_on.join()
    assert len(shop.forms) == 1


def test_one_secret_is_made_once_whoever_asks_at_the_same_time(wallet: Wallet) -> None:
    together = threading.Barrier(8)

    def ask(_: int) -> set[bytes]:
        together.wait()
        return {wallet.secret(f"secret {i}") for i in range(20)}

    with ThreadPoolExecutor(8) as pool:
        assert len({secret for given in pool.map(ask, range(8)) for secret in given}) == 20


def test_where_one_of_two_cards_cannot_be_shown_neither_counts_as_shown(
    wallet: Wallet, store: Store, shop: StrangeShop
) -> None:
    choice = wallet.matches(shop.link).choose()
    first, second = choice.disclosures
    wallet.remove(second.credential.credential_id)

    with pytest.raises(Refused) as refusal:
        wallet.present(choice)

    assert refusal.value.codes == ["credential-unknown"]
    require_nothing_shown(wallet, store, shop)
    wallet.take_back(second.credential.credential_id)
    wallet.present(choice)
    assert len(shop.forms) == len(store.showings(first.credential.credential_id)) == 1


def test_what_cannot_be_written_down_is_not_presented(
    wallet: Wallet, store: Store, shop: StrangeShop
) -> None:
    choice = wallet.matches(shop.link).choose()

    with patch.object(store, "put", refusing_events), pytest.raises(Unavailable):
        wallet.present(choice)

    require_nothing_shown(wallet, store, shop)


def test_what_cannot_be_written_down_is_not_shown_at_a_counter(
    wallet: Wallet, store: Store, shop: StrangeShop
) -> None:
    preset = CounterPreset(preset_id="https://till.example/presets/item", query=ITEM)
    (disclosure,) = wallet.showable(preset)

    with patch.object(store, "put", refusing_events), pytest.raises(Unavailable):
        wallet.show(preset, disclosure)

    require_nothing_shown(wallet, store, shop)
    wallet.show(preset, disclosure)
    assert len(store.showings(disclosure.credential.credential_id)) == 1
