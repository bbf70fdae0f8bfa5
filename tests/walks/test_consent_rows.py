"""What the product's rows promise of a grant, by the rows' names."""

import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import cast

import pytest
from counterfoil_consent import (
    Completion,
    CompletionKind,
    Custodian,
    FetchedIssuerKeys,
    FileKeyFolder,
    Level,
    ListedStatus,
    Receiver,
    Trigger,
    fetch_erasure_receipt,
    send_withdrawal,
    sign_end_of,
    withdraw,
)
from counterfoil_consent.events import audience_of
from counterfoil_consent.laws import LAWS
from counterfoil_consent.sql_access_log import SqlAccessEvents
from counterfoil_consent.sql_accesses import SqlAccesses
from counterfoil_consent.sql_custodian_store import SqlCustodianStore
from counterfoil_consent.sql_receiver_store import SqlReceiverStore
from counterfoil_consent.tombstone_journal import FileTombstoneJournal
from counterfoil_consent.wire import GrantId, digest_of
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import b64url, from_b64url
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.token_status_list import FetchedStatusSource
from counterfoil_verifier import WARRANTY, Counter, PinnedTrust, Statuses, TrustedIssuer
from counterfoil_verifier.sql_store import SqlSessionStore
from counterfoil_wallet import ConsentState, InForce, MemoryStore, Wallet

from tests.conftest import Clock
from tests.consent.street import BENEFITS, CUSTODIAN, FRAME, FRAME_VALUE, VELO, Street
from tests.consent.test_attacks import set_clock
from tests.consent.test_erasing import duty
from tests.consent.town import Town as SharingTown
from tests.issuer.brand import AUDIO, orders_file
from tests.wallet.town import WARRANTY_TYPE, Town

TEN_MINUTES = timedelta(minutes=10)
NAME = re.compile(r"[a-z_]{1,30}([+-][a-z_]{1,30})?")
NOTICE_DIGEST = digest_of("We fit your next bicycle to you.")


def can_read(street: Street | Town, grant_id: GrantId) -> bool:
    try:
        with street.receiver.read(grant_id, BENEFITS):
            return True
    except (Refused, Unavailable):
        return False


@pytest.fixture
def street(clock: Clock, random_bytes: Callable[[int], bytes], tmp_path: Path) -> Iterator[Street]:
    """Give three parties with files."""
    street = Street(clock, random_bytes, tmp_path / "street")
    yield street
    street.close()


@pytest.fixture
def town(clock: Clock, random_bytes: Callable[[int], bytes], tmp_path: Path) -> Iterator[Town]:
    town = Town(clock, random_bytes, tmp_path / "brand")
    yield town
    town.issuer_store.close()


@pytest.fixture
def wallet(town: Town) -> Wallet:
    """Give a wallet with the customer's cards."""
    wallet = town.wallet(MemoryStore())
    offer = town.offer()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    return wallet


def granted(town: Town, wallet: Wallet, **changes: object) -> InForce:
    wish = replace(town.wish(), **changes)  # type: ignore[arg-type]  # the tests name fields of Wish
    return wallet.grant(wallet.asked_terms(town.receiver.request(wish).link).choose())


def test_row_A4_a_grant_of_ten_minutes_is_read_at_9_59_and_not_at_10_01(  # noqa: N802
    town: Town, wallet: Wallet, clock: Clock
) -> None:
    grant = granted(town, wallet, valid_for=TEN_MINUTES)
    begun = clock()

    clock.advance(timedelta(minutes=9, seconds=59))
    assert can_read(town, grant.grant_id)
    clock.advance(timedelta(seconds=2))
    assert clock() - begun == timedelta(minutes=10, seconds=1)
    assert not can_read(town, grant.grant_id)

    town.custodian.end_due()
    town.receiver.end_due()
    wallet.resume()
    (seen,) = wallet.consent.check()
    assert not seen.state.is_live


@pytest.mark.parametrize("minutes", [-5, 5])
@pytest.mark.parametrize("party", ["custodian", "receiver", "wallet"])
def test_row_A4_a_clock_that_is_five_minutes_wrong_reads_at_9_59_and_nothing_at_10_01(  # noqa: N802
    street: Street, party: str, minutes: int
) -> None:
    active, _ = street.granted(valid_for=TEN_MINUTES)
    # The wallet's clock has no say in a grant that was given: it is no party to a read.
    is_ahead = party != "wallet" and minutes > 0
    if party != "wallet":
        set_clock(street, party, timedelta(minutes=minutes))

    street.clock.advance(timedelta(minutes=9, seconds=59))
    # A clock that is ahead has seen the end already: whoever is wrong reads less, never more.
    assert can_read(street, active.agreement.grant_id) is not is_ahead
    street.clock.advance(timedelta(seconds=2))
    assert not can_read(street, active.agreement.grant_id)


def test_row_A4_the_window_closes_while_the_verifier_is_offline(  # noqa: N802
    street: Street,
) -> None:
    active, _ = street.granted(valid_for=TEN_MINUTES)
    grant_id = active.agreement.grant_id
    assert can_read(street, grant_id)
    street.fetcher.disconnect(VELO)
    street.clock.advance(timedelta(minutes=10, seconds=1))

    # Nobody tells anybody: the custodian's own clock destroys its share.
    assert street.custodian.end_due() == 1

    assert street.custodian_keys.is_destroyed(grant_id)
    street.connect()
    # Back online, and told that it is still five past: what it holds opens nothing.
    set_clock(street, "receiver", timedelta(minutes=-5))
    assert not can_read(street, grant_id)


def test_row_A5_a_closed_case_ends_the_grant_and_proves_it_without_the_customer(  # noqa: N802
    town: Town, wallet: Wallet, clock: Clock
) -> None:
    case_desk = MemorySigner.generate()
    case = Completion(kind=CompletionKind.CASE, by=did_jwk(case_desk.public))
    grant = granted(town, wallet, completion=case)
    assert can_read(town, grant.grant_id)

    # The refund is done: its own system says so, and the customer does nothing.
    closed = sign_end_of(
        grant.grant_id,
        audience_of(grant.active.agreement),
        Trigger.COMPLETED,
        signer=case_desk,
        now=clock(),
        random=town.random,
    )
    town.receiver.end(grant.grant_id, closed)

    assert not can_read(town, grant.grant_id)
    proof = fetch_erasure_receipt(grant.active.agreement, fetcher=town.network, now=clock()).erased
    assert (proof.trigger, proof.level) == (Trigger.COMPLETED, Level.E2)
    # Her wallet finds it the next time it looks, by itself.
    (seen,) = wallet.consent.check()
    assert seen.state is ConsentState.ERASED


def test_row_A6_one_call_withdraws_and_within_two_seconds_nothing_is_read(  # noqa: N802
    town: Town, wallet: Wallet
) -> None:
    grant = granted(town, wallet)
    assert can_read(town, grant.grant_id)

    begun = time.monotonic()
    wallet.withdraw(grant.grant_id)
    assert not can_read(town, grant.grant_id)
    took_s = time.monotonic() - begun

    assert took_s <= 2
    consent = wallet.consent.one(grant.grant_id)
    assert consent.state is ConsentState.ERASED


def test_row_A6_the_receipt_names_what_a_law_makes_the_brand_keep(  # noqa: N802
    clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    town = SharingTown(clock, random_bytes)
    active, signer = town.granted()
    with town.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
        assert facts.one(FRAME) == FRAME_VALUE
        item = town.receiver.keep(facts, duty(town))

    withdrawal = withdraw(active, signer=signer, now=clock(), random=town.random)
    ending = send_withdrawal(withdrawal, fetcher=town.fetcher)

    assert ending.stopped_at == ending.key_destroyed_at == clock()
    proof = fetch_erasure_receipt(active.agreement, fetcher=town.fetcher, now=clock()).erased
    assert proof.level >= Level.E2
    assert proof.retained == (item,)
    assert item.law in LAWS
    assert item.until > clock()
    assert not can_read(town, active.agreement.grant_id)


# A8: whoever steals every database finds no name that joins a customer across brands.


class House(Town):
    """A brand, a shop, a brand that asks: each with a database; one custodian for all houses."""

    def __init__(
        self, clock: Clock, random: Callable[[int], bytes], folder: Path, shared: Path
    ) -> None:
        super().__init__(clock, random, folder)
        self.folder = folder
        self.sessions = SqlSessionStore(folder / "till.sqlite3")
        self.grants = SqlReceiverStore(folder / "receiver.sqlite3")
        self.log = SqlAccessEvents(folder / "access-events.sqlite3")
        self.custody = SqlCustodianStore(shared / "custodian.sqlite3")
        self.custodian = Custodian(
            origin=CUSTODIAN,
            signer=CUSTODIAN_SIGNER,
            store=self.custody,
            keys=FileKeyFolder(shared / "keys"),
            journal=FileTombstoneJournal(shared / "journal"),
            clock=clock,
            random=random,
        )
        trust = TrustedIssuer(
            issuer=AUDIO, vcts=frozenset({WARRANTY_TYPE}), keys=(self.audio_signer.public,)
        )
        self.counter = Counter(
            shop=self.shop,
            presets=[WARRANTY.accepting([WARRANTY_TYPE])],
            trust=PinnedTrust([trust]),
            statuses=Statuses(FetchedStatusSource(self.network)),
            store=self.sessions,
            random=random,
            clock=clock,
        )
        keys = FetchedIssuerKeys(self.network, {WARRANTY_TYPE: [AUDIO]}, clock)
        self.receiver = Receiver(
            origin=VELO,
            name="Velo",
            signer=MemorySigner.generate(),
            custodian=self.custodian.party,
            store=self.grants,
            keys=FileKeyFolder(folder / "receiver-keys"),
            fetcher=self.network,
            trust=keys,
            status=ListedStatus(FetchedStatusSource(self.network), keys),
            clock=clock,
            random=random,
            accesses=SqlAccesses(self.grants.database),
            access_events=self.log,
        )
        self.connect()

    def visit(self, store: MemoryStore, order: str) -> None:
        """Let a customer buy, show her warranty, and grant twice, one of them for good."""
        wallet = self.wallet(store)
        offer = self.offer(order)
        wallet.accept(offer.link, tx_code=offer.tx_code)
        wallet.present(wallet.matches(self.counter.ask("warranty").link).choose())
        for is_kept in (True, False):
            grant = granted(self, wallet)
            assert can_read(self, grant.grant_id)
            if not is_kept:
                wallet.withdraw(grant.grant_id)
        # The houses of this test have the same addresses: the next one would be shown these.
        for card in wallet.credentials():
            wallet.remove(card.credential_id)

    def close(self) -> None:
        self.issuer_store.close()
        self.sessions.close()
        self.grants.close()
        self.log.close()
        self.custody.close()

    def dump(self, custodian: Path) -> set[str]:
        """Give every value of every row, and what can be read in it; of the custodian its own."""
        found: set[str] = set()
        for file in sorted(self.folder.glob("*.sqlite3")):
            found |= values_in(file, lambda _: True)
        did = self.receiver.party.did
        mine = {str(row[0]) for row in rows_of(custodian, "custodian_grants") if did in row}
        assert len(mine) == 2
        return found | values_in(custodian, lambda row: bool(mine & {str(cell) for cell in row}))


def rows_of(file: Path, table: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return [*connection.execute(f'select * from "{table}"')]  # noqa: S608  # the file's own table


def values_in(file: Path, is_meant: Callable[[tuple[object, ...]], bool]) -> set[str]:
    with closing(sqlite3.connect(file)) as connection:
        tables = [
            str(name)
            for (name,) in connection.execute("select name from sqlite_master where type='table'")
        ]
    return {
        value
        for table in tables
        for row in rows_of(file, table)
        if is_meant(row)
        for cell in row
        for value in read_out(cell)
    }


def read_out(cell: object) -> Iterator[str]:
    """Give a cell, and what it holds: JSON leaf by leaf, tokens part by part, bytes as hex."""
    if isinstance(cell, dict):
        for name, value in cast("dict[str, object]", cell).items():
            if not NAME.fullmatch(name):
                yield name
            yield from read_out(value)
    elif isinstance(cell, list):
        for value in cast("list[object]", cell):
            yield from read_out(value)
    elif isinstance(cell, bytes):
        yield cell.hex()
        yield from read_out(cell.decode("utf-8", "replace"))
    elif isinstance(cell, str):
        yield cell
        parts = [part for piece in cell.split("~") for part in piece.split(".")]
        texts = [cell, *(decoded(part) for part in parts if len(part) >= 8)]
        for text in texts:
            if text[:1] in ("{", "["):
                try:
                    inner = json.loads(text)
                except ValueError:
                    continue
                yield from read_out(inner)


def decoded(part: str) -> str:
    try:
        return from_b64url(part, "x").decode()
    except (Malformed, UnicodeDecodeError):
        return ""


CUSTODIAN_SIGNER = MemorySigner.generate()
MIRA, JUN = "mira@example.org,{},EUR,9.10,Mira Sample", "jun@example.org,{},EUR,9.10,Jun Sample"
HOUSES = {
    "one": ("#1001", MIRA.format("2026-03-01 12:34:56 +0100"), "Auricle One,ONE,1,349.00"),
    "two": ("#2417", MIRA.format("2026-04-11 09:08:07 +0100"), "Auricle Buds,BUDS,1,149.00"),
    "three": ("#3002", JUN.format("2026-03-05 18:15:00 +0100"), "Auricle Buds,BUDS,1,149.00"),
}
# What she typed into both brands' web shops, and they keep in their order books: she joins
# herself who uses one address everywhere. Nothing else of the two databases does.
TOLD_BY_HERSELF = {"mira@example.org", "Mira Sample"}
# Every other value that both hold, and why it tells nothing: anybody's dump holds it.
PUBLIC = {
    "the custodian's name, its address and its key's": {
        CUSTODIAN,
        f"{CUSTODIAN}/events",
        did_jwk(CUSTODIAN_SIGNER.public),
    },
    "the brand's catalogue": {
        *("4006381333931", "4012345000009", "4012345000016"),
        *("Auricle Buds", "Auricle One", "Ear pads", f"{AUDIO}/types/warranty"),
    },
    "what the brand that asks publishes: its notice, and its endpoints": {
        "We fit your next bicycle to you.",
        NOTICE_DIGEST,
        f"{VELO}/consent/notices/{NOTICE_DIGEST}",
        f"{VELO}/consent/grants/{{grant_id}}/bundle",
        f"{VELO}/consent/grants/{{grant_id}}/end",
        f"{VELO}/consent/grants/{{grant_id}}/erasure-receipt",
    },
    "words of the formats": {
        *("accepted", "answered", "consent_accesses", "consent-access+jwt"),
        "consent-erasure-receipt+jwt",
        *("consent-key-destruction+jwt", "consent-receipt+jwt", "consent-stop+jwt", "dc+sd-jwt"),
        *("direct_post", "dpv:Optional", "dpv:PersonalisedBenefits", "dpv:Required", "dpv:Store"),
        *("https://self-issued.me/v2", "key-destroyed", "live-database", "oauth-authz-req+jwt"),
        *("redeemed", "sealing-key", "secevent+jwt", "set_letters", "warranty", "withdrawn"),
        *("valid_until", "vp_token"),
        *("urn:counterfoil:consent:event:withdrawn:1", "urn:counterfoil:consent:grant:1"),
        *("urn:counterfoil:consent:terms:1", "x25519-hkdf-sha256-aes256gcm"),
    },
}


def test_row_A8_whoever_steals_every_database_cannot_join_a_customer_across_brands(  # noqa: N802
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer, another = MemoryStore(), MemoryStore()
    shared = tmp_path / "custodian"
    houses: dict[str, House] = {}
    for name, store in (("one", customer), ("two", customer), ("three", another)):
        order, buyer, item = HOUSES[name]
        monkeypatch.setattr("tests.wallet.town.ORDERS", orders_file(f"{order},{buyer},{item}"))
        house = House(clock, Random(name).randbytes, tmp_path / name, shared)
        house.visit(store, order)
        houses[name] = house
    dumps = {name: house.dump(shared / "custodian.sqlite3") for name, house in houses.items()}
    for house in houses.values():
        house.close()

    both = {value for value in dumps["one"] & dumps["two"] if len(value) >= 8}
    public = set[str]().union(*PUBLIC.values())
    assert both - public == TOLD_BY_HERSELF
    # Public is what the dump of a house holds that she never entered.
    assert both & public <= dumps["three"]
    # And a dump holds what it would be joined by: her key at each brand is in it, and differs.
    for name in ("one", "two"):
        holders = {value for value in dumps[name] if value.startswith("did:jwk:")}
        assert len(holders - public) >= 3


def test_row_A8_a_customer_who_kept_one_key_for_two_brands_would_be_found() -> None:  # noqa: N802
    """The search for what joins can fail: it reads tokens, JSON and bytes to their leaves."""
    did = did_jwk(MemorySigner.generate().public)
    token = ".".join(b64url(json.dumps(part).encode()) for part in ({"typ": "x"}, {"sub": did}))

    for cell in (did, f"{token}.AAAA", json.dumps({"a": [{"b": f"{token}.AAAA"}]}), did.encode()):
        assert did in set(read_out(cell))
