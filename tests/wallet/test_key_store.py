"""The keys of cards in a key store beside the file: a PKCS#11 token, which is really there."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from counterfoil_credentials.encoding import parse_object
from counterfoil_credentials.errors import Malformed, Misuse, Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.keys import MemorySigner, Signer
from counterfoil_wallet import Client, MemoryStore, Wallet
from counterfoil_wallet.card_keys import CardKey, CardKeys

from tests.conftest import Clock
from tests.hsm import PIN, Hsm
from tests.wallet.cards import card_of, copy_of
from tests.wallet.conftest import PASSPHRASE
from tests.wallet.strangers import CLAIMS, StrangeIssuer, StrangeShop, json_response

pytest.importorskip("pkcs11", reason="no python-pkcs11: the extra hsm is not installed")

from counterfoil_credentials.pkcs11_signer import Pkcs11Token  # needs it
from counterfoil_wallet.pkcs11_keys import Pkcs11Keys  # needs it

NAME = "the phone's token"


class Watched:
    """The token's keys, and which references were handed out and taken back."""

    def __init__(self, keys: Pkcs11Keys) -> None:
        self._keys = keys
        self.name = keys.name
        self.made: list[bytes] = []
        self.destroyed: list[bytes] = []

    def make(self) -> bytes:
        self.made.append(self._keys.make())
        return self.made[-1]

    def signer(self, reference: bytes) -> Signer:
        return self._keys.signer(reference)

    def destroy(self, reference: bytes) -> None:
        self._keys.destroy(reference)
        self.destroyed.append(reference)


@pytest.fixture
def token(the_hsm: Hsm) -> Iterator[Pkcs11Token]:
    with Pkcs11Token(the_hsm.module, label="wallet", pin=PIN, writing=True) as token:
        yield token


@pytest.fixture
def keys(token: Pkcs11Token, random_bytes: Callable[[int], bytes]) -> Watched:
    return Watched(Pkcs11Keys(token, NAME, random=random_bytes))


@pytest.fixture
def issuer(clock: Clock, random_bytes: Callable[[int], bytes]) -> StrangeIssuer:
    return StrangeIssuer(MemoryFetcher(), clock, random_bytes, copies=3)


@pytest.fixture
def shop(issuer: StrangeIssuer, clock: Clock) -> StrangeShop:
    return StrangeShop(issuer.network, clock)


@pytest.fixture
def wallet(
    issuer: StrangeIssuer, keys: Watched, clock: Clock, tmp_path: Path, cheap_guesses: None
) -> Iterator[Wallet]:
    client = Client(key_store=keys)
    with Wallet.create(
        tmp_path / "wallet", PASSPHRASE, fetcher=issuer.network, clock=clock, client=client
    ) as wallet:
        yield wallet


def elsewhere(wallet: Wallet, issuer: StrangeIssuer, clock: Clock, folder: Path) -> Wallet:
    """Give the same wallet, restored where the token is not."""
    wallet.backup(folder / "backup", PASSPHRASE)
    return Wallet.restore(
        folder / "backup", folder / "restored", PASSPHRASE, fetcher=issuer.network, clock=clock
    )


def test_a_card_is_bound_to_keys_that_never_leave_the_token(
    wallet: Wallet, issuer: StrangeIssuer, shop: StrangeShop, keys: Watched
) -> None:
    (card,) = wallet.accept(issuer.link).credentials

    wallet.present(wallet.matches(shop.link).choose())

    assert len(keys.made) == 3
    assert not keys.destroyed
    assert (card.copy.keeper, card.copy.key in keys.made) == (NAME, True)
    assert shop.forms[0]["vp_token"]
    with pytest.raises(Misuse, match="found one kept by"):
        _ = card.signer


def test_who_asked_for_a_credential_and_was_killed_has_the_same_keys(
    wallet: Wallet, issuer: StrangeIssuer, keys: Watched
) -> None:
    issuer.answers["/credential"] = Response(503, "", b"")
    with pytest.raises(Unavailable):
        wallet.accept(issuer.link)
    del issuer.answers["/credential"]

    wallet.resume()

    (card,) = wallet.credentials()
    assert len(keys.made) == 3
    assert card.copy.key in keys.made
    proofs = [parse_object(body, "body") for path, body in issuer.received if path == "/credential"]
    assert len(proofs) == 2


def test_a_token_that_is_gone_costs_neither_the_code_nor_a_copy(
    wallet: Wallet, issuer: StrangeIssuer, shop: StrangeShop, token: Pkcs11Token
) -> None:
    wallet.accept(issuer.link)
    asked = wallet.matches(shop.link).choose()
    issuer.code, before = "another", len(issuer.received)
    token.close()

    with pytest.raises(Unavailable):
        wallet.present(asked)
    with pytest.raises(Unavailable):
        wallet.accept(issuer.link)

    assert shop.forms == []
    assert [event.act.value for event in wallet.history()] == ["accepted"]
    assert "/token" not in [path for path, _ in issuer.received[before:]]


def test_what_the_issuer_refuses_leaves_no_key_behind(
    wallet: Wallet, issuer: StrangeIssuer, keys: Watched
) -> None:
    issuer.binds_to = MemorySigner.generate().public

    with pytest.raises((Refused, Malformed)):
        wallet.accept(issuer.link)

    assert sorted(keys.destroyed) == sorted(keys.made)


def test_who_is_killed_while_keys_are_destroyed_wants_them_no_more(
    wallet: Wallet, issuer: StrangeIssuer, keys: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: bytes) -> None:
        raise SystemExit

    issuer.answers["/credential"] = json_response({"error": "credential_request_denied"}, 400)
    monkeypatch.setattr(keys, "destroy", killed)
    with pytest.raises(SystemExit):
        wallet.accept(issuer.link)

    resumed = wallet.resume()

    assert (resumed.acceptances, resumed.stuck) == ((), ())
    assert [path for path, _ in issuer.received].count("/credential") == 1


def test_a_destroyed_card_takes_its_keys_along(
    wallet: Wallet, issuer: StrangeIssuer, keys: Watched
) -> None:
    (card,) = wallet.accept(issuer.link).credentials
    wallet.remove(card.credential_id)
    assert not keys.destroyed

    wallet.empty_trash()

    assert sorted(keys.destroyed) == sorted(keys.made)
    with pytest.raises(Misuse):
        keys.signer(keys.made[0])


def test_where_the_token_is_not_a_card_is_read_and_not_shown(
    wallet: Wallet, issuer: StrangeIssuer, shop: StrangeShop, clock: Clock, tmp_path: Path
) -> None:
    wallet.accept(issuer.link)
    choice = wallet.matches(shop.link).choose()

    with elsewhere(wallet, issuer, clock, tmp_path) as other:
        (card,) = other.credentials()
        assert card.claims["item"] == wallet.credentials()[0].claims["item"]
        assert other.damaged() == []
        assert not other.matches(shop.link).ways.is_answerable
        with pytest.raises(Refused) as refusal:
            other.present(choice)
        assert refusal.value.codes == ["key-elsewhere"]

    assert shop.forms == []


def test_copies_whose_keys_are_elsewhere_neither_count_nor_serve(clock: Clock) -> None:
    store, card, mine = MemoryStore(), card_of(CLAIMS), copy_of(CLAIMS)
    kept = replace(card.copy, key=b"a reference", keeper=NAME)
    store.hold(replace(card, copy=kept))
    place = card.credential_id
    with pytest.raises(Refused) as refusal:
        store.take_copy(place, "a shop", at=clock())
    assert refusal.value.codes == ["key-elsewhere"]
    assert store.copies_left(place, at=clock()).unexpired == 0

    store.hold(replace(card, copy=mine))
    assert store.copies_left(place, at=clock()).unexpired == 1
    assert getattr(store.take_copy(place, "a shop", at=clock()), "copy", None) == mine

    store.reach(NAME)
    assert store.copies_left(place, at=clock()).unexpired == 2
    assert getattr(store.take_copy(place, "another", at=clock()), "copy", None) == kept


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_a_store_has_a_name(keys: Watched, random_bytes: Callable[[int], bytes], name: str) -> None:
    keys.name = name

    with pytest.raises(Misuse, match="expected a key store with a name"):
        CardKeys(random_bytes, keys)


@pytest.mark.parametrize("reference", [b"", bytes(129)])
def test_a_reference_is_of_bounded_length(
    keys: Watched,
    random_bytes: Callable[[int], bytes],
    monkeypatch: pytest.MonkeyPatch,
    reference: bytes,
) -> None:
    monkeypatch.setattr(keys, "make", lambda: reference)

    with pytest.raises(Misuse, match="expected a reference of 1 to 128 bytes"):
        CardKeys(random_bytes, keys).fresh()


def test_another_stores_key_is_elsewhere(
    keys: Watched, random_bytes: Callable[[int], bytes]
) -> None:
    kept = CardKey(MemorySigner.generate().public, b"reference", "another token")

    with pytest.raises(Refused) as refusal:
        CardKeys(random_bytes, keys).of(kept)

    assert refusal.value.codes == ["key-elsewhere"]
