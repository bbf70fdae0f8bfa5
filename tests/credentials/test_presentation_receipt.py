"""The shop's signed word on what it was shown: names, never values."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from counterfoil_credentials.claims import ClaimPath
from counterfoil_credentials.encoding import Json, JsonObject, parse_object
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.jws import MAX_TOKEN_BYTES, read_jws, sign_jws
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.presentation_receipt import (
    RECEIPT_TYP,
    PresentationReceipt,
    ShownNames,
    read_presentation_receipt,
    shown_names,
)

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SHOP = MemorySigner.generate()
RECEIPT = PresentationReceipt(
    client_id="decentralized_identifier:did:example:shop",
    name="Corner Shop",
    nonce="n-1",
    purpose="To see whether this item is still under warranty.",
    shown=(
        ShownNames("https://audio.example/types/warranty", (("item", "serial"), ("x", None, 0))),
    ),
    shown_at=NOON,
    kept_until=NOON + timedelta(days=30),
)


def read(
    token: str,
    *,
    signed_by: MemorySigner = SHOP,
    client_id: str = RECEIPT.client_id,
    nonce: str = "n-1",
    now: datetime = NOON,
) -> PresentationReceipt:
    return read_presentation_receipt(
        token, signed_by=signed_by.public, client_id=client_id, nonce=nonce, now=now
    )


def bent(**changes: Json) -> str:
    """Sign the receipt with members changed; None leaves one out."""
    claims = {
        **read_jws(RECEIPT.sign(SHOP), typ=RECEIPT_TYP, where="r").unverified_claims,
        **changes,
    }
    return sign_jws(
        {name: value for name, value in claims.items() if value is not None},
        typ=RECEIPT_TYP,
        signer=SHOP,
    )


def test_a_receipt_comes_back_as_it_was_given() -> None:
    assert read(RECEIPT.sign(SHOP)) == RECEIPT
    nothing_kept = replace(RECEIPT, kept_until=None, purpose=None, shown=())
    assert read(nothing_kept.sign(SHOP)) == nothing_kept


def test_it_says_where_its_key_is_as_the_request_did() -> None:
    token = RECEIPT.sign(SHOP, header={"kid": "did:example:shop#0"})

    assert read_jws(token, typ=RECEIPT_TYP, where="r").header["kid"] == "did:example:shop#0"


def test_another_signature_shop_or_request_is_refused() -> None:
    token = RECEIPT.sign(SHOP)

    wrongs: dict[str, Callable[[], object]] = {
        "signature-invalid": lambda: read(token, signed_by=MemorySigner.generate()),
        "receipt-of-another": lambda: read(token, client_id=f"{RECEIPT.client_id}2"),
        "receipt-for-another-request": lambda: read(token, nonce="n-2"),
        "receipt-from-the-future": lambda: read(token, now=NOON - 61 * SECOND),
    }
    for code, wrong in wrongs.items():
        with pytest.raises(Refused) as refusal:
            wrong()
        assert refusal.value.codes == [code]
    assert read(token, now=NOON - 60 * SECOND) == RECEIPT
    with pytest.raises(Refused) as refusal:
        read(token, client_id="x", nonce="y", now=NOON - timedelta(hours=1))
    assert len(refusal.value.codes) == 3


def test_another_token_of_the_shop_is_no_receipt() -> None:
    with pytest.raises(Refused) as refusal:
        read(sign_jws({"iss": RECEIPT.client_id}, typ="oauth-authz-req+jwt", signer=SHOP))

    assert refusal.value.codes == ["token-type-mismatch"]


@pytest.mark.parametrize(
    "changes",
    [
        '{"iat": null}',
        '{"iss": null}',
        '{"name": null}',
        '{"nonce": null}',
        '{"shown": null}',
        '{"shown": "everything"}',
        '{"shown": [{"type": "t"}]}',
        '{"shown": [{"claims": []}]}',
        '{"shown": [{"type": "t", "claims": ["item"]}]}',
        '{"shown": [{"type": "t", "claims": [[]]}]}',
        json.dumps({"shown": [{"type": "t", "claims": [["a"] * 17]}]}),
        json.dumps({"name": "x" * 2_001}),
        '{"purpose": 7}',
        '{"kept_until": "soon"}',
    ],
)
def test_a_broken_receipt_is_malformed(changes: str) -> None:
    with pytest.raises(Malformed):
        read(bent(**parse_object(changes, "changes")))
    assert read(bent()) == RECEIPT


@pytest.mark.parametrize("count", [499, 500, 501, 1_000, 1_001])
def test_it_names_however_many_facts_a_card_has(count: int) -> None:
    shown = (ShownNames.of("t", {"of": {f"fact {n}": n for n in range(count)}}),)

    receipt = read(replace(RECEIPT, shown=shown).sign(SHOP))

    assert len(receipt.shown[0].claims) == count
    assert receipt.shown == shown


def test_only_its_bytes_bound_what_it_names() -> None:
    def named(length: int) -> str:
        return replace(RECEIPT, shown=(ShownNames("t", (("x" * length,),)),)).sign(SHOP)

    # Four characters carry three bytes: the next one from there is one too many.
    longest = (MAX_TOKEN_BYTES - len(named(0))) * 3 // 4
    assert MAX_TOKEN_BYTES - 4 < len(named(longest)) <= MAX_TOKEN_BYTES
    assert read(named(longest)).shown[0].claims == (("x" * longest,),)
    with pytest.raises(Malformed):
        read(named(longest + 4))


def test_the_names_of_what_was_shown() -> None:
    claims: JsonObject = {
        **dict.fromkeys(("iss", "iat", "exp", "vct", "jti"), "the card's own"),
        "cnf": {"jwk": {"kty": "EC"}},
        "status": {"status_list": {"idx": 7}},
        "item": {"serial": "A1", "iat": 7, "nothing": {}},
        "lines": [{"gtin": "1"}, {"gtin": "2", "price": 3}, [], "gift"],
        "none": None,
    }

    assert ShownNames.of("t", claims).claims == (
        ("item", "serial"),
        ("item", "iat"),
        ("lines", None, "gtin"),
        ("lines", None, "price"),
        ("lines", None),
        ("none",),
    )


def test_names_are_the_same_by_their_paths_and_by_themselves() -> None:
    deep = tuple(f"{n}" for n in range(16))
    paths: list[ClaimPath] = [("lines", 0, "gtin"), ("lines", 1, "gtin"), ("iat",), (*deep, "x")]

    names = shown_names(paths)

    assert names == (("lines", None, "gtin"), deep)
    assert shown_names(names) == names
    nested: JsonObject = {"x": 1, "y": 2}
    for step in reversed(deep):
        nested = {step: nested}
    shown = (ShownNames.of("t", nested),)
    assert shown[0].claims == (deep,)
    assert read(replace(RECEIPT, shown=shown).sign(SHOP)).shown == shown
