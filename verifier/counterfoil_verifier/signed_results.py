"""What the shop found out, signed by itself: to show to whoever asks how a check ended.

    typ: counterfoil-verification-result+jwt
    {"iss": "decentralized_identifier:did:jwk:…", "name": "Corner Shop", "iat": …,
     "id": "…", "preset": "warranty", "kind": "asked", "outcome": "accepted", "codes": [],
     "checked_at": "2026-11-02T12:00:00+00:00", "status_as_of": "…", …}

It is made of what the shop keeps: the verdict. It says nothing of who showed what; the
customer's own receipt names that. It is signed with the key that signs requests, when it is
asked for: the shop's word, and no more than that.
"""

from datetime import datetime
from typing import Final

from counterfoil_credentials.encoding import JsonObject, numeric_date, text_at
from counterfoil_credentials.errors import Misuse, Reason, Refused
from counterfoil_credentials.jws import read_jws, sign_jws
from counterfoil_credentials.keys import PublicKey

from counterfoil_verifier.receipts import signature_header
from counterfoil_verifier.requesting import Answered, NotOpen, Shop, Standing, Waiting
from counterfoil_verifier.results import parse_result, result_json

_TYP: Final = "counterfoil-verification-result+jwt"
_WHERE: Final = "result"
_MAX_BYTES: Final = 16_384


def sign_result(shop: Shop, session: Waiting | Answered | None, now: datetime) -> str:
    """Give the signed result of a session that has one.

    Raises `NotOpen` (`request-unknown`, or `not-answered-yet` where no verdict counts yet),
    and `Misuse` for a shop under `redirect_uri`: nobody could tell whose signature it is.
    """
    if session is None:
        raise _none("request-unknown", "a session of this counter", "another")
    if not isinstance(session, Answered) or session.standing(now) is not Standing.FIRM:
        raise _none("not-answered-yet", "a session whose verdict counts", "one without")
    header = signature_header(shop)
    if header is None:
        raise Misuse("expected a shop that signs, found one under redirect_uri")
    claims: JsonObject = {
        "iss": shop.client_id,
        "name": shop.name,
        "iat": numeric_date(now),
        **result_json(session),
    }
    return sign_jws(claims, typ=_TYP, signer=shop.signer, header=header)


def read_result(token: str, *, signed_by: PublicKey, client_id: str) -> Answered:
    """Give the result that the shop `client_id` signed.

    Raises `Malformed`, and `Refused` with `signature-invalid` or `result-of-another`.
    """
    claims = read_jws(token, typ=_TYP, where=_WHERE, max_bytes=_MAX_BYTES).verify(signed_by)
    if text_at(claims, "iss", _WHERE) != client_id:
        expected = "the shop that is asked about"
        raise Refused(Reason("result-of-another", expected, "another", f"{_WHERE}.iss"))
    return parse_result(claims, _WHERE)


def _none(code: str, expected: str, found: str) -> NotOpen:
    return NotOpen(Reason(code, expected, found, _WHERE))
