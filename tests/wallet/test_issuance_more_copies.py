"""More copies of a card are the same card again, and nothing joins them to those held."""

from collections.abc import Callable

import pytest
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_credentials.sdjwt_vc import StatusReference
from counterfoil_wallet import Act, Finished, MemoryStore, Outcome, Wallet
from counterfoil_wallet.held import CredentialId

from tests.conftest import Clock
from tests.wallet.strangers import BRAND, CLAIMS, StrangeIssuer, StrangeShop


class RefillingIssuer(StrangeIssuer):
    """An issuer that gives more, and may give what it gave before."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.places = iter(range(8))
        self.fresh, self.random = self.random, self._remembered
        self.used: list[bytes] = []

    def repeat(self, what: str) -> None:
        """Give the salts, or the places in the status list, of the beginning again."""
        before = iter(tuple(self.used))
        if what == "salts":
            self.random = lambda _: next(before)
        if what == "places":
            self.places = iter(range(4))

    def _remembered(self, count: int) -> bytes:
        self.used.append(self.fresh(count))
        return self.used[-1]

    def _credential(self, token: str) -> str:
        self.status = StatusReference(f"{BRAND}/status", next(self.places))
        return super()._credential(token)

    def _answer(self, path: str, body: bytes) -> JsonObject:
        answer = super()._answer(path, body)
        another = f"refresh {len(self.received)}"
        return {**answer, "refresh_token": another} if path == "/token" else answer


@pytest.fixture
def issuer(clock: Clock, random_bytes: Callable[[int], bytes]) -> RefillingIssuer:
    return RefillingIssuer(MemoryFetcher(), clock, random_bytes, copies=4)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def wallet(issuer: RefillingIssuer, store: MemoryStore, clock: Clock) -> Wallet:
    """Give a wallet with one card, of which two copies were shown."""
    wallet = Wallet(store, fetcher=issuer.network, clock=clock)
    wallet.accept(issuer.link)
    for verifier in ("one", "another"):
        store.take_copy(the_card(store), verifier, at=clock())
    return wallet


def the_card(store: MemoryStore) -> CredentialId:
    (card,) = store.cards()
    return card.credential_id


def test_copies_that_say_something_else_are_refused_and_the_card_stays(
    issuer: RefillingIssuer, wallet: Wallet, store: MemoryStore, clock: Clock
) -> None:
    before = wallet.credentials()
    issuer.claims = {**CLAIMS, "price": "1.00"}

    (finished,) = wallet.resume().acceptances

    assert isinstance(finished, Finished)
    assert [reason.code for reason in finished.refused] == ["copies-differ"]
    assert wallet.credentials() == before
    assert len(store.copies(the_card(store))) == 4
    told = wallet.history()[-1]
    assert (told.act, told.outcome, told.party) == (Act.ACCEPTED, Outcome.REFUSED, BRAND)
    assert told.detail == "copies-differ"
    shop = StrangeShop(issuer.network, clock)
    wallet.present(wallet.matches(shop.link).choose())
    assert len(shop.forms) == 1
    assert wallet.resume().acceptances == (), "it is not asked again"


@pytest.mark.parametrize(
    ("repeated", "codes"),
    [
        ("nothing", []),
        ("salts", ["copies-share-a-salt", "copies-share-a-digest"]),
        ("places", ["copies-share-a-status"]),
    ],
)
def test_copies_that_could_be_joined_to_held_ones_are_refused(
    issuer: RefillingIssuer, wallet: Wallet, store: MemoryStore, repeated: str, codes: list[str]
) -> None:
    """In each answer alone the copies have nothing in common."""
    issuer.repeat(repeated)

    (finished,) = wallet.resume().acceptances

    assert isinstance(finished, Finished)
    assert [reason.code for reason in finished.refused] == codes
    assert len(store.copies(the_card(store))) == (4 if codes else 8)
    assert wallet.history()[-1].outcome is (Outcome.REFUSED if codes else Outcome.DONE)
