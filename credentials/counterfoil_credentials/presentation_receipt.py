"""A presentation receipt: the shop's signed word on what it was shown, and why.

    typ: counterfoil-presentation-receipt+jwt
    {"iss": "decentralized_identifier:did:jwk:…", "name": "Corner Shop", "iat": …,
     "nonce": "…", "purpose": "To see whether …", "kept_until": …,
     "shown": [{"type": "https://…/types/warranty", "claims": [["item", "serial"]]}]}

It names what was shown and holds no value of it, and nothing of who showed it: `nonce` is
that of the request, by which the wallet finds what it answered. `kept_until` is when the
last of what the shop keeps of it is gone; absent, nothing is kept. It is signed with the
key that signed the request.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from counterfoil_credentials.claims import ClaimPath, parse_path
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    list_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.jws import ES256_ONLY, Header, read_jws, sign_jws
from counterfoil_credentials.keys import Algorithm, PublicKey, Signer
from counterfoil_credentials.sdjwt_vc import time_at

_TYP: Final = "counterfoil-presentation-receipt+jwt"
_WHERE: Final = "receipt"
_MAX_BYTES: Final = 65_536
_MAX_TEXT: Final = 2_000
_MAX_SHOWN: Final = 50
_MAX_CLAIMS: Final = 500
_SKEW: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class ShownNames:
    """What one presentation showed: its type, and the paths of the facts in it."""

    vct: str
    claims: tuple[ClaimPath, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentationReceipt:
    """Who asked, for what, what was shown, when, and until when something of it is kept.

    `client_id` is the full one; `purpose` the words that the request used. Times are
    whole seconds on the wire.
    """

    client_id: str
    name: str
    nonce: str = field(repr=False)
    purpose: str | None
    shown: tuple[ShownNames, ...]
    shown_at: datetime
    kept_until: datetime | None

    def sign(self, signer: Signer, *, header: Header | None = None) -> str:
        """Give the receipt for the customer; `header` names the key as the request did."""
        shown: list[Json] = [
            {"type": one.vct, "claims": [[*path] for path in one.claims]} for one in self.shown
        ]
        claims: JsonObject = {
            "iss": self.client_id,
            "name": self.name,
            "iat": _seconds(self.shown_at),
            "nonce": self.nonce,
            "shown": shown,
        }
        if self.purpose is not None:
            claims["purpose"] = self.purpose
        if self.kept_until is not None:
            claims["kept_until"] = _seconds(self.kept_until)
        return sign_jws(claims, typ=_TYP, signer=signer, header=header)


def read_presentation_receipt(
    token: str,
    *,
    signed_by: PublicKey,
    client_id: str,
    nonce: str,
    now: datetime,
    algorithms: frozenset[Algorithm] = ES256_ONLY,
) -> PresentationReceipt:
    """Give the receipt for the answer to the request of `client_id` with `nonce`.

    Raises `Malformed`, and `Refused` with `signature-invalid`, or with all of
    `receipt-of-another` (its `iss`), `receipt-for-another-request` and
    `receipt-from-the-future`. What it says of what was shown is for the wallet to compare.
    """
    jws = read_jws(token, typ=_TYP, where=_WHERE, max_bytes=_MAX_BYTES)
    claims = jws.verify(signed_by, algorithms)
    shown_at = time_at(claims, "iat", _WHERE)
    if shown_at is None:
        raise Malformed("a time", "none", f"{_WHERE}.iat")
    given_id, given_nonce = text_at(claims, "iss", _WHERE), text_at(claims, "nonce", _WHERE)
    reasons: list[Reason] = []
    if given_id != client_id:
        expected = "the one who asked"
        reasons.append(Reason("receipt-of-another", expected, "another", f"{_WHERE}.iss"))
    if given_nonce != nonce:
        expected = "the request that was answered"
        reasons.append(
            Reason("receipt-for-another-request", expected, "another", f"{_WHERE}.nonce")
        )
    if shown_at > now + _SKEW:
        expected = "a receipt given by now"
        reasons.append(Reason("receipt-from-the-future", expected, "a later one", f"{_WHERE}.iat"))
    if reasons:
        raise Refused(*reasons)
    return PresentationReceipt(
        client_id=given_id,
        name=_bounded(text_at(claims, "name", _WHERE), "name"),
        nonce=given_nonce,
        purpose=_bounded(text_at(claims, "purpose", _WHERE), "purpose")
        if "purpose" in claims
        else None,
        shown=tuple(_shown(one) for one in _listed(claims, "shown", _MAX_SHOWN)),
        shown_at=shown_at,
        kept_until=time_at(claims, "kept_until", _WHERE),
    )


def _shown(value: Json) -> ShownNames:
    where = f"{_WHERE}.shown"
    obj = as_object(value, where)
    paths = _listed(obj, "claims", _MAX_CLAIMS)
    return ShownNames(
        _bounded(text_at(obj, "type", where), "shown.type"),
        tuple(parse_path(path, where) for path in paths),
    )


def _listed(obj: JsonObject, name: str, at_most: int) -> Sequence[Json]:
    listed = list_at(obj, name, _WHERE)
    if len(listed) > at_most:
        raise Malformed(f"at most {at_most} entries", f"{len(listed)}", f"{_WHERE}.{name}")
    return listed


def _bounded(text: str, name: str) -> str:
    if len(text) > _MAX_TEXT:
        raise Malformed(f"at most {_MAX_TEXT} characters", f"{len(text)}", f"{_WHERE}.{name}")
    return text


def _seconds(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp())
