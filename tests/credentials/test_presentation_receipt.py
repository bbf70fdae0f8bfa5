"""The shop's signed word on what it was shown: names, never values."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from counterfoil_credentials.encoding import Json, parse_object
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.jws import read_jws, sign_jws
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.presentation_receipt import (
    PresentationReceipt,
    ShownNames,
    read_presentation_receipt,
)

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TYP = "counterfoil-presentation-receipt+jwt"
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
    claims = {**read_jws(RECEIPT.sign(SHOP), typ=TYP, where="r").unverified_claims, **changes}
    return sign_jws(
        {name: value for name, value in claims.items() if value is not None},
        typ=TYP,
        signer=SHOP,
    )


def test_a_receipt_comes_back_as_it_was_given() -> None:
    assert read(RECEIPT.sign(SHOP)) == RECEIPT
    nothing_kept = replace(RECEIPT, kept_until=None, purpose=None, shown=())
    assert read(nothing_kept.sign(SHOP)) == nothing_kept


def test_it_says_where_its_key_is_as_the_request_did() -> None:
    token = RECEIPT.sign(SHOP, header={"kid": "did:example:shop#0"})

    assert read_jws(token, typ=TYP, where="r").header["kid"] == "did:example:shop#0"


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
        json.dumps({"shown": [{"type": "t", "claims": []}] * 51}),
        json.dumps({"shown": [{"type": "t", "claims": [["a"]] * 501}]}),
        json.dumps({"name": "x" * 2_001}),
        '{"purpose": 7}',
        '{"kept_until": "soon"}',
    ],
)
def test_a_broken_receipt_is_malformed(changes: str) -> None:
    with pytest.raises(Malformed):
        read(bent(**parse_object(changes, "changes")))
    assert read(bent()) == RECEIPT
