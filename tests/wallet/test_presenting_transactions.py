"""Transactions: a type that the app can show is shown and signed, everything else is refused."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from hashlib import sha256

import pytest
from counterfoil_credentials.dcql import ClaimQuery, CredentialQuery, CredentialSet, DcqlQuery
from counterfoil_credentials.encoding import JsonObject, b64url, compact_json, text_at
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.requests import parse_response_form
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_wallet import TransactionType, Wallet

from tests.conftest import Clock
from tests.wallet.strangers import TYPE, StrangeIssuer, StrangeShop

ITEM = CredentialQuery("item", (TYPE,), (ClaimQuery(("item", "serial")),))
BUYER = CredentialQuery("buyer", (TYPE,), (ClaimQuery(("buyer", "name")),))


def show(content: JsonObject) -> Sequence[tuple[str, str]]:
    amount = text_at(content, "amount", "payment")
    if not amount.isdecimal():
        raise Malformed("an amount", "another text", "payment.amount")
    return [("Amount", f"{amount} EUR"), ("Note", str(content.get("note", "\u202eno")))]


PAYMENT = TransactionType(
    name="urn:example:payment",
    required=frozenset({"amount"}),
    optional=frozenset({"note"}),
    show=show,
)


def data(**changed: object) -> str:
    """Give a payment's text, as no encoder of ours would write it: with spaces."""
    content: dict[str, object] = {
        "type": PAYMENT.name,
        "credential_ids": ["item"],
        "amount": "9",
        **changed,
    }
    compact = compact_json({name: value for name, value in content.items() if value is not None})  # type: ignore[misc]  # JSON, by each test's own hand
    return b64url(compact.replace(b'":', b'" : '))


@pytest.fixture
def shop(clock: Clock) -> StrangeShop:
    return StrangeShop(MemoryFetcher(), clock, query=DcqlQuery((ITEM,)))


@pytest.fixture
def wallet(shop: StrangeShop, clock: Clock, random_bytes: Callable[[int], bytes]) -> Wallet:
    """Give a wallet with one warranty, whose app can show payments."""
    wallet = Wallet.in_memory(fetcher=shop.network, clock=clock)
    wallet.accept(StrangeIssuer(shop.network, clock, random_bytes).link)
    wallet.understand(PAYMENT)
    return wallet


def proofs(shop: StrangeShop) -> dict[str, JsonObject]:
    """Give the claims of the proof that arrived for each query."""
    (form,) = shop.forms
    token = parse_response_form({name: values[0] for name, values in form.items()})
    read: dict[str, JsonObject] = {}
    for name, (text,) in token.items():
        binding = SdJwt.parse(text).key_binding
        assert binding is not None
        read[name] = read_jws(binding, typ="kb+jwt", where="").unverified_claims
    return read


def test_a_transaction_is_shown_and_its_text_is_signed_as_it_came(
    wallet: Wallet, shop: StrangeShop
) -> None:
    text = data(note="Ear\npads")
    shop.transaction_data = (text,)

    asked = wallet.matches(shop.link)
    (transaction,) = asked.transactions
    wallet.present(asked.choose())

    assert transaction.type == PAYMENT.name
    assert transaction.lines == (("Amount", "9 EUR"), ("Note", "Ear pads"))
    assert proofs(shop)["item"]["transaction_data_hashes"] == [
        b64url(sha256(text.encode()).digest())
    ]
    assert proofs(shop)["item"]["transaction_data_hashes_alg"] == "sha-256"
    assert "9 EUR" not in repr(asked)


def test_several_transactions_are_signed_in_their_order(wallet: Wallet, shop: StrangeShop) -> None:
    texts = (data(), data(amount="10"), data())
    shop.transaction_data = texts

    wallet.present(wallet.matches(shop.link).choose())

    assert proofs(shop)["item"]["transaction_data_hashes"] == [
        b64url(sha256(text.encode()).digest()) for text in texts
    ]


def test_a_transaction_is_signed_with_one_credential_of_those_it_names(
    wallet: Wallet, shop: StrangeShop
) -> None:
    shop.query = DcqlQuery((ITEM, BUYER))
    shop.transaction_data = (data(credential_ids=["buyer", "item"]),)

    wallet.present(wallet.matches(shop.link).choose())

    signed = {name: "transaction_data_hashes" in claims for name, claims in proofs(shop).items()}
    assert sorted(signed.values()) == [False, True]


def test_a_transaction_whose_credential_is_not_shown_is_not_signed_by_another(
    wallet: Wallet, shop: StrangeShop
) -> None:
    sets = (CredentialSet((("item",),)), CredentialSet((("buyer",),), is_required=False))
    shop.query = DcqlQuery((ITEM, BUYER), sets)
    shop.transaction_data = (data(credential_ids=["buyer"]),)

    asked = wallet.matches(shop.link)

    with pytest.raises(Refused) as refusal:
        asked.choose()
    assert refusal.value.codes == ["transaction-not-signed"]
    wallet.present(asked.choose(showing=["item", "buyer"]))
    assert "transaction_data_hashes" in proofs(shop)["buyer"]
    assert "transaction_data_hashes" not in proofs(shop)["item"]


@pytest.mark.parametrize(
    "text",
    [
        data(type="urn:example:another"),
        data(type=None),
        data(amount=None),
        data(amount="nine"),
        data(amount=9),
        data(surprise="sign this too"),
        data(credential_ids=["another"]),
        data(credential_ids=[]),
        data(credential_ids=None),
        data(transaction_data_hashes_alg=["sha-512"]),
        data() + "=",
        b64url(b"[]"),
        b64url(b'{"type":1}'),
        "",
    ],
)
def test_nothing_that_is_not_wholly_understood_is_signed(
    wallet: Wallet, shop: StrangeShop, text: str
) -> None:
    shop.transaction_data = (data(), text)

    with pytest.raises((Malformed, Refused)):
        wallet.matches(shop.link)

    assert shop.forms == [{"error": ["invalid_transaction_data"], "state": ["a-state"]}]


def test_a_hash_that_is_offered_among_others_is_taken(wallet: Wallet, shop: StrangeShop) -> None:
    shop.transaction_data = (data(transaction_data_hashes_alg=["sha-512", "sha-256"]),)

    wallet.present(wallet.matches(shop.link).choose())

    assert proofs(shop)["item"]["transaction_data_hashes_alg"] == "sha-256"


def test_a_credential_without_its_holder_s_key_signs_nothing(
    wallet: Wallet, shop: StrangeShop
) -> None:
    shop.query = DcqlQuery((CredentialQuery("item", (TYPE,), (), requires_holder_binding=False),))
    shop.transaction_data = (data(),)

    with pytest.raises(Malformed, match="holder's key"):
        wallet.matches(shop.link)


def test_a_no_to_a_transaction_says_no_more_than_that(
    wallet: Wallet, shop: StrangeShop, clock: Clock
) -> None:
    shop.transaction_data = (data(),)

    declined = wallet.decline(wallet.matches(shop.link))
    clock.advance(timedelta(seconds=1))

    assert declined.is_heard
    assert shop.forms == [{"error": ["access_denied"], "state": ["a-state"]}]
