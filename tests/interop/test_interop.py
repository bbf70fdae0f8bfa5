"""Strangers at the door: a wallet that is not ours at our services, ours at services of others.

The clock is the machine's: the strangers have no other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from counterfoil_credentials.encoding import (
    JsonObject,
    as_list,
    as_object,
    b64url,
    compact_json,
    from_b64url,
    int_at,
    list_at,
    object_at,
    parse_json,
    text_at,
)
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.requests import response_form
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.spec import FORM_MEDIA_TYPE
from counterfoil_wallet import Matches, Wallet

from tests.interop.node import require_strangers, stranger, stranger_s_wallet
from tests.interop.services import (
    Brand,
    Offer,
    Till,
    fetcher_for,
    get_json,
    our_issuer,
    our_verifier,
    post_json,
)

pytestmark = [pytest.mark.loopback, pytest.mark.once]


@pytest.fixture(autouse=True, scope="module")
def _strangers() -> None:
    require_strangers()


@pytest.fixture(scope="module")
def brand(_strangers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brand]:
    with our_issuer(tmp_path_factory.mktemp("issuer")) as issuer:
        yield issuer


@pytest.fixture(scope="module")
def till(brand: Brand, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    with our_verifier(tmp_path_factory.mktemp("verifier"), brand) as verifier:
        yield verifier


@dataclass(frozen=True)
class Held:
    """What the stranger's wallet got for one order, and the key that it is bound to."""

    order: str
    warranty: str
    claims: JsonObject
    key: str


@pytest.fixture(scope="module")
def held(brand: Brand) -> Held:
    order = brand.order()
    return held_of(order, stranger_s_wallet("accept", *brand.offer(order)))


def held_of(order: str, told: JsonObject) -> Held:
    assert "refused" not in told, told
    warranty = object_at(object_at(told, "credentials", "wallet"), "warranty", "wallet")
    return Held(
        order,
        text_at(warranty, "credential", "wallet"),
        object_at(warranty, "claims", "wallet"),
        compact_json(object_at(told, "key", "wallet")).decode(),
    )


def refusal(told: JsonObject) -> tuple[int, str]:
    """Give the HTTP status and the error code with which the peer refused."""
    refused = object_at(told, "refused", "wallet")
    return int_at(refused, "status", "wallet"), text_at(refused, "error", "wallet")


def codes(look: JsonObject) -> list[str]:
    reasons = list_at(look, "reasons", "counter")
    return [text_at(as_object(reason, "counter"), "code", "counter") for reason in reasons]


# A stranger's wallet at our doors.


def test_a_stranger_s_wallet_gets_what_the_order_says_and_the_brand_hears_that_it_arrived(
    brand: Brand,
) -> None:
    order = brand.order()

    held = held_of(order, stranger_s_wallet("accept", *brand.offer(order)))

    assert held.claims["iss"] == brand.url
    assert held.claims["vct"] == brand.warranty_type
    assert object_at(held.claims, "item", "claims")["name"] == "Auricle One"
    assert held.claims["price"] == "199.00"
    issued = brand.issued(order)
    assert [record["type"] for record in issued] == ["warranty", "receipt"], "the latest first"
    assert [record["state"] for record in issued] == ["stored", "stored"]


def test_our_counter_accepts_a_stranger_s_proof(held: Held, till: Till) -> None:
    session, link = till.ask()

    told = stranger_s_wallet("present", link, held.warranty, held.key)

    assert "answered" in told
    look = till.look(session)
    assert (look["state"], look["light"], codes(look)) == ("accepted", "green", [])
    serial = object_at(held.claims, "item", "claims")["serial"]
    assert object_at(look, "facts", "counter")["item.serial"] == serial


def test_our_issuer_refuses_a_wrong_transaction_code_and_then_takes_the_right_one(
    brand: Brand,
) -> None:
    offer = brand.offer(brand.order())

    wrong = stranger_s_wallet("accept", offer.link, another(offer).tx_code)
    right = stranger_s_wallet("accept", *offer)

    assert refusal(wrong) == (400, "invalid_grant")
    assert "credentials" in right


def test_our_issuer_refuses_a_code_that_was_used(brand: Brand) -> None:
    offer = brand.offer(brand.order())
    assert "credentials" in stranger_s_wallet("accept", *offer)

    again = stranger_s_wallet("accept", *offer)

    assert refusal(again) == (400, "invalid_grant")


def test_our_issuer_refuses_a_proof_with_a_nonce_that_it_never_gave(brand: Brand) -> None:
    order = brand.order()

    told = stranger_s_wallet("accept", *brand.offer(order), "--nonce", "made-up")

    assert refusal(told) == (400, "invalid_nonce")
    assert brand.issued(order) == []


@pytest.mark.parametrize(
    ("misbehaviour", "code"),
    [
        (["--nonce", "made-up"], "nonce-mismatch"),
        (["--audience", "decentralized_identifier:did:jwk:e30"], "audience-mismatch"),
        (["--tamper", "price"], "disclosure-unreferenced"),
    ],
    ids=["another request", "another shop", "another price"],
)
def test_our_counter_refuses_a_stranger_s_proof_of(
    held: Held, till: Till, misbehaviour: list[str], code: str
) -> None:
    session, link = till.ask()

    told = stranger_s_wallet("present", link, held.warranty, held.key, *misbehaviour)

    assert refusal(told) == (400, "access_denied")
    look = till.look(session)
    assert (look["state"], codes(look)) == ("refused", [code])


def test_our_counter_refuses_a_proof_bound_with_another_key(
    held: Held, brand: Brand, till: Till
) -> None:
    order = brand.order()
    thief = held_of(order, stranger_s_wallet("accept", *brand.offer(order)))
    session, link = till.ask()

    told = stranger_s_wallet("present", link, held.warranty, thief.key)

    assert refusal(told) == (400, "access_denied")
    assert codes(till.look(session)) == ["key-binding-signature-invalid"]


def test_our_counter_takes_one_answer_to_a_request(held: Held, till: Till) -> None:
    session, link = till.ask()

    told = stranger_s_wallet("present", link, held.warranty, held.key, "--twice")

    assert "answered" in told
    assert refusal(object_at(told, "second", "wallet")) == (400, "invalid_request")
    look = till.look(session)
    assert (look["state"], look["later_answers"]) == ("accepted", 1)


def test_a_stranger_reads_in_our_status_list_that_the_goods_went_back(brand: Brand) -> None:
    order = brand.order()
    held = held_of(order, stranger_s_wallet("accept", *brand.offer(order)))
    assert stranger_s_wallet("check", held.warranty, brand.url) == {"status": 0}

    brand.revoke(order)

    assert stranger_s_wallet("check", held.warranty, brand.url) == {
        "invalid": "Status is not valid"
    }


def another(offer: Offer) -> Offer:
    """Give the offer with its transaction code's last digit changed."""
    last = str((int(offer.tx_code[-1]) + 1) % 10)
    return offer._replace(tx_code=offer.tx_code[:-1] + last)


# Our wallet at strangers' doors.


@dataclass(frozen=True)
class StrangerSIssuer:
    address: str

    @property
    def url(self) -> str:
        return f"{self.address}/brand"

    def offer(self, flaw: str | None = None) -> Offer:
        url = f"{self.address}/offers"
        made = post_json(url, {} if flaw is None else {"flaw": flaw})
        return Offer(text_at(made, "link", url), text_at(made, "tx_code", url))

    def issued(self) -> int:
        return int_at(get_json(f"{self.address}/credentials"), "issued", self.address)


@dataclass(frozen=True)
class StrangerSVerifier:
    address: str
    issuer: StrangerSIssuer

    def ask(self, flaw: str | None = None) -> tuple[str, str]:
        """Ask for a warranty: give the question's id, and the wallet's link."""
        url = f"{self.address}/requests"
        asked = post_json(
            url,
            {
                "issuer": self.issuer.url,
                "vct": f"{self.issuer.url}/types/warranty",
                "claims": [["item", "name"], ["item", "serial"], ["valid_until"]],
                **({} if flaw is None else {"flaw": flaw}),
            },
        )
        return text_at(asked, "id", url), text_at(asked, "link", url)

    def result(self, request_id: str) -> JsonObject:
        return get_json(f"{self.address}/results/{request_id}")


@pytest.fixture(scope="module")
def stranger_s_issuer(_strangers: None) -> Iterator[StrangerSIssuer]:
    with stranger("issuer.mjs") as address:
        yield StrangerSIssuer(address)


@pytest.fixture(scope="module")
def stranger_s_verifier(stranger_s_issuer: StrangerSIssuer) -> Iterator[StrangerSVerifier]:
    with stranger("verifier.mjs") as address:
        yield StrangerSVerifier(address, stranger_s_issuer)


def a_wallet(*addresses: str) -> Wallet:
    """Give an empty wallet of ours that reaches the services at these addresses."""
    return Wallet.in_memory(fetcher=fetcher_for(*addresses))


@pytest.fixture(scope="module")
def wallet(stranger_s_issuer: StrangerSIssuer, stranger_s_verifier: StrangerSVerifier) -> Wallet:
    """Give a wallet of ours that holds a stranger's warranty."""
    wallet = a_wallet(stranger_s_issuer.address, stranger_s_verifier.address)
    offer = stranger_s_issuer.offer()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    return wallet


def test_our_wallet_holds_what_a_stranger_s_issuer_says(
    stranger_s_issuer: StrangerSIssuer,
) -> None:
    wallet, offer = a_wallet(stranger_s_issuer.address), stranger_s_issuer.offer()

    accepted = wallet.accept(offer.link, tx_code=offer.tx_code)

    assert accepted.refused == ()
    (credential,) = accepted.credentials
    assert [held.credential_id for held in wallet.credentials()] == [credential.credential_id]
    assert credential.issuer == stranger_s_issuer.url
    assert credential.claims["item"] == {
        "name": "Stranger One",
        "gtin": "4006381333931",
        "serial": "S1-0001",
    }


def test_a_stranger_s_verifier_accepts_our_proof_and_sees_what_was_asked_and_no_more(
    wallet: Wallet, stranger_s_verifier: StrangerSVerifier
) -> None:
    request_id, link = stranger_s_verifier.ask()

    asked = wallet.matches(link)
    wallet.present(asked.choose())

    assert asked.asker.claimed_name == "Stranger"
    assert stranger_s_verifier.result(request_id) == {
        "state": "accepted",
        "claims": {
            "item": {"name": "Stranger One", "serial": "S1-0001"},
            "valid_until": "2099-12-31",
        },
    }


def test_a_stranger_s_issuer_refuses_a_wrong_transaction_code_and_then_takes_the_right_one(
    stranger_s_issuer: StrangerSIssuer,
) -> None:
    wallet, offer = a_wallet(stranger_s_issuer.address), stranger_s_issuer.offer()

    with pytest.raises(Refused) as refused:
        wallet.accept(offer.link, tx_code=another(offer).tx_code)

    assert [(r.code, r.found) for r in refused.value.reasons] == [
        ("offer-not-redeemed", "invalid_grant")
    ]
    assert len(wallet.accept(offer.link, tx_code=offer.tx_code).credentials) == 1


def test_a_stranger_s_issuer_refuses_a_code_that_another_wallet_has_used(
    stranger_s_issuer: StrangerSIssuer,
) -> None:
    offer = stranger_s_issuer.offer()
    a_wallet(stranger_s_issuer.address).accept(offer.link, tx_code=offer.tx_code)
    late = a_wallet(stranger_s_issuer.address)

    with pytest.raises(Refused) as refused:
        late.accept(offer.link, tx_code=offer.tx_code)

    assert refused.value.codes == ["offer-not-redeemed"]
    assert late.credentials() == []


def test_our_wallet_asks_once_for_what_it_holds(stranger_s_issuer: StrangerSIssuer) -> None:
    wallet, offer = a_wallet(stranger_s_issuer.address), stranger_s_issuer.offer()
    (first,) = wallet.accept(offer.link, tx_code=offer.tx_code).credentials
    issued = stranger_s_issuer.issued()

    (again,) = wallet.accept(offer.link, tx_code=offer.tx_code).credentials

    assert again.credential_id == first.credential_id
    assert stranger_s_issuer.issued() == issued


@pytest.mark.parametrize(
    ("flaw", "code"),
    [
        ("signature", "signature-invalid"),
        ("holder", "holder-key-mismatch"),
        ("issuer", "issuer-mismatch"),
    ],
)
def test_our_wallet_refuses_a_stranger_s_credential_with_another(
    stranger_s_issuer: StrangerSIssuer, flaw: str, code: str
) -> None:
    wallet, offer = a_wallet(stranger_s_issuer.address), stranger_s_issuer.offer(flaw)

    with pytest.raises(Refused) as refused:
        wallet.accept(offer.link, tx_code=offer.tx_code)

    assert refused.value.codes == [code]
    assert wallet.credentials() == []


@pytest.mark.parametrize(
    ("flaw", "code"), [("signature", "signature-invalid"), ("client_id", "client-id-mismatch")]
)
def test_our_wallet_answers_no_request_with_another(
    wallet: Wallet, stranger_s_verifier: StrangerSVerifier, flaw: str, code: str
) -> None:
    request_id, link = stranger_s_verifier.ask(flaw)

    with pytest.raises(Refused) as refused:
        wallet.matches(link)

    assert refused.value.codes == [code]
    assert stranger_s_verifier.result(request_id) == {"state": "waiting"}


# What our wallet never sends, made by hand: the stranger's verifier does look.


def answer_by_hand(
    asked: Matches,
    *,
    signer: MemorySigner | None = None,
    audience: str | None = None,
    nonce: str | None = None,
    serial: str | None = None,
) -> int:
    """Send the wallet's answer with one thing changed, and give the HTTP status."""
    (disclosure,) = asked.choose().disclosures
    request, shown = asked.request, disclosure.sd_jwt
    bound = bind(
        shown if serial is None else with_serial(shown, serial),
        signer=signer or disclosure.credential.signer,
        audience=audience or request.client_id,
        nonce=nonce or request.nonce,
        now=datetime.now(UTC),
    )
    form = response_form({disclosure.query_id: [bound]}, request.state)
    return (
        fetcher_for(request.response_uri)
        .post(request.response_uri, urlencode(form).encode(), media_type=FORM_MEDIA_TYPE)
        .status
    )


def with_serial(sd_jwt: SdJwt, serial: str) -> SdJwt:
    """Give the SD-JWT with another value in its disclosure of the serial number."""

    def changed(disclosure: str) -> str:
        salt, name, _ = as_list(parse_json(from_b64url(disclosure, "here"), "here"), "here")
        return b64url(compact_json([salt, name, serial])) if name == "serial" else disclosure

    return SdJwt(sd_jwt.issuer_jwt, tuple(changed(text) for text in sd_jwt.disclosures))


def test_a_stranger_s_verifier_accepts_an_answer_by_hand_once(
    wallet: Wallet, stranger_s_verifier: StrangerSVerifier
) -> None:
    request_id, link = stranger_s_verifier.ask()
    asked = wallet.matches(link)

    assert answer_by_hand(asked) == 200
    assert answer_by_hand(asked) == 400
    assert stranger_s_verifier.result(request_id)["state"] == "accepted"


def test_a_stranger_s_verifier_refuses_our_proof_of_another_request(
    wallet: Wallet, stranger_s_verifier: StrangerSVerifier
) -> None:
    request_id, link = stranger_s_verifier.ask()

    assert answer_by_hand(wallet.matches(link), nonce="made-up") == 400
    assert reason(stranger_s_verifier, request_id) == "Verify Error: Invalid Nonce"


def test_a_stranger_s_verifier_refuses_our_proof_for_another_audience(
    wallet: Wallet, stranger_s_verifier: StrangerSVerifier
) -> None:
    request_id, link = stranger_s_verifier.ask()

    assert answer_by_hand(wallet.matches(link), audience="https://other.example") == 400
    assert reason(stranger_s_verifier, request_id).startswith("expected this audience")


def test_a_stranger_s_verifier_refuses_our_proof_bound_with_another_key(
    wallet: Wallet, stranger_s_verifier: StrangerSVerifier
) -> None:
    request_id, link = stranger_s_verifier.ask()

    assert answer_by_hand(wallet.matches(link), signer=MemorySigner.generate()) == 400
    assert reason(stranger_s_verifier, request_id) == "Verify Error: Invalid JWT Signature"


def test_a_stranger_s_verifier_refuses_our_proof_with_another_serial_number(
    wallet: Wallet, stranger_s_verifier: StrangerSVerifier
) -> None:
    request_id, link = stranger_s_verifier.ask()

    assert answer_by_hand(wallet.matches(link), serial="S1-0002") == 400
    assert reason(stranger_s_verifier, request_id) == "Invalid Presentation record"


def reason(verifier: StrangerSVerifier, request_id: str) -> str:
    result = verifier.result(request_id)
    assert result["state"] == "refused"
    return text_at(result, "reason", "verifier")
