"""A stranger's issuer that wants everything issues to our wallet: login, DPoP, covers, batches."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from counterfoil_credentials.encoding import JsonObject, list_at, text_at
from counterfoil_credentials.errors import Refused
from counterfoil_wallet import Accepted, Client, Finished, MemoryStore, Wallet

from tests.interop.node import require_strangers, stranger
from tests.interop.services import fetcher_for, get_json, post_json

pytestmark = [pytest.mark.loopback, pytest.mark.once]

CALLBACK = "https://wallet.example/callback"
BATCH = 4


@dataclass
class Strict:
    """The stranger, and our wallet before it, whose clock can be ahead of the machine's."""

    address: str
    ahead: timedelta = timedelta()
    store: MemoryStore = field(default_factory=MemoryStore)

    def offer(self, **wishes: bool | list[str]) -> str:
        body: JsonObject = {
            name: [*wish] if isinstance(wish, list) else wish for name, wish in wishes.items()
        }
        return text_at(post_json(f"{self.address}/offers", body), "link", self.address)

    def wallet(self) -> Wallet:
        """Give our wallet, as a program has it that just started."""
        return Wallet(
            self.store,
            fetcher=fetcher_for(self.address),
            clock=lambda: datetime.now(UTC) + self.ahead,
            client=Client("https://wallet.example"),
        )

    def log_in(self, link: str) -> Accepted:
        login = self.wallet().authorize(link, redirect_uri=CALLBACK)
        return self.wallet().come_back(text_at(get_json(login.url), "back", self.address))

    def copies(self) -> list[int]:
        return [len(self.store.copies(card.credential_id)) for card in self.store.cards()]

    def events(self) -> int:
        """Count what the stranger was told; all of it was good."""
        events = list_at(get_json(f"{self.address}/events"), "events", self.address)
        assert set(map(str, events)) <= {"credential_accepted"}
        return len(events)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    require_strangers()
    with stranger("strict_issuer.mjs") as found:
        yield found


@pytest.fixture
def strict(address: str) -> Strict:
    return Strict(address)


def test_a_stranger_issues_after_a_login(strict: Strict) -> None:
    told = strict.events()

    accepted = strict.log_in(strict.offer())

    assert accepted.refused == ()
    (card,) = accepted.credentials
    assert card.issuer == f"{strict.address}/brand"
    assert card.claims["item"] == {"name": "Stranger One", "serial": "S1-0001"}
    assert strict.copies() == [BATCH]
    assert strict.events() == told + 1


def test_a_stranger_issues_for_a_code(strict: Strict) -> None:
    accepted = strict.wallet().accept(strict.offer(code=True))

    assert len(accepted.credentials) == 1
    assert strict.copies() == [BATCH]


def test_a_stranger_names_its_datasets(strict: Strict) -> None:
    accepted = strict.log_in(strict.offer(identifiers=["left", "right"]))

    assert len(accepted.credentials) == 2
    assert strict.copies() == [BATCH, BATCH]


def test_a_stranger_issues_later(strict: Strict) -> None:
    told = strict.events()
    accepted = strict.log_in(strict.offer(later=True))
    assert accepted.credentials == ()
    assert accepted.waits_until is not None
    strict.ahead = timedelta(seconds=2)

    (finished,) = strict.wallet().resume().acceptances

    assert isinstance(finished, Finished)
    assert strict.copies() == [BATCH]
    assert strict.events() == told + 1


def test_a_stranger_issues_more_copies_for_a_refresh_token(strict: Strict) -> None:
    strict.log_in(strict.offer())
    (card,) = strict.store.cards()
    for name in ("a till", "another", "a third"):
        strict.store.take_copy(card.credential_id, name, at=datetime.now(UTC))

    (finished,) = strict.wallet().resume().acceptances

    assert isinstance(finished, Finished)
    assert strict.copies() == [2 * BATCH]


def test_a_stranger_takes_an_answer_to_a_login_once(strict: Strict) -> None:
    login = strict.wallet().authorize(strict.offer(), redirect_uri=CALLBACK)
    back = text_at(get_json(login.url), "back", strict.address)
    accepted = strict.wallet().come_back(back)

    other = Strict(strict.address)
    with pytest.raises(Refused) as refusal:
        other.wallet().come_back(back)

    assert refusal.value.codes == ["login-unknown"]
    assert strict.wallet().come_back(back).credentials == accepted.credentials
