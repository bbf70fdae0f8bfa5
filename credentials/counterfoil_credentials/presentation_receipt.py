"""A presentation receipt: the shop's signed word on what it was shown, and why.

    typ: counterfoil-presentation-receipt+jwt
    {"iss": "decentralized_identifier:did:jwk:…", "name": "Corner Shop", "iat": …,
     "nonce": "…", "purpose": "To see whether …", "kept_until": …,
     "shown": [{"type": "https://…/types/warranty", "claims": [["item", "serial"]]}]}

It names what was shown and holds no value of it, and nothing of who showed it: `nonce` is
that of the request, by which the wallet finds what it answered. `kept_until` is when the
last of what the shop keeps of it is gone; absent, nothing is kept. It is signed with the
key that signed the request. How many names there are, nothing bounds but the bytes of the
whole token (`jws.MAX_TOKEN_BYTES`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from counterfoil_credentials.claims import MAX_PATH_LENGTH, ClaimPath, parse_path
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
from counterfoil_credentials.spec import NEVER_CONCEALED

RECEIPT_TYP: Final = "counterfoil-presentation-receipt+jwt"
_WHERE: Final = "receipt"
_MAX_TEXT: Final = 2_000
# What a credential says of itself: it is in every presentation, and in no receipt.
_OF_EVERY_CARD: Final = NEVER_CONCEALED | {"iat", "jti"}
_SKEW: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class ShownNames:
    """What one presentation showed: its type, and the paths of the facts in it."""

    vct: str
    claims: tuple[ClaimPath, ...]

    @staticmethod
    def of(vct: str, claims: JsonObject) -> "ShownNames":
        """Give what a receipt names of a card that showed these claims."""
        return ShownNames(vct, shown_names(_leaves(claims, ())))


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
        return sign_jws(claims, typ=RECEIPT_TYP, signer=signer, header=header)


def shown_names(paths: Iterable[ClaimPath]) -> tuple[ClaimPath, ...]:
    """Give the names that a receipt lists for facts at these paths, each once.

    Nothing of what is in every presentation. One name stands for every element of a list:
    how many there are is a value too. What is deeper than a path may be has the name of
    what it is in.
    """
    names = (
        tuple(None if isinstance(step, int) else step for step in path[:MAX_PATH_LENGTH])
        for path in paths
        if path[0] not in _OF_EVERY_CARD
    )
    return tuple(dict.fromkeys(names))


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
    jws = read_jws(token, typ=RECEIPT_TYP, where=_WHERE)
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
        shown=tuple(_shown(one) for one in list_at(claims, "shown", _WHERE)),
        shown_at=shown_at,
        kept_until=time_at(claims, "kept_until", _WHERE),
    )


def _shown(value: Json) -> ShownNames:
    where = f"{_WHERE}.shown"
    obj = as_object(value, where)
    paths = list_at(obj, "claims", where)
    return ShownNames(text_at(obj, "type", where), tuple(parse_path(path, where) for path in paths))


def _leaves(value: Json, path: ClaimPath) -> Iterator[ClaimPath]:
    match value:
        case dict():
            for name, member in value.items():
                yield from _leaves(member, (*path, name))
        case list():
            for element in value:
                yield from _leaves(element, (*path, None))
        case _:
            yield path


def _bounded(text: str, name: str) -> str:
    if len(text) > _MAX_TEXT:
        raise Malformed(f"at most {_MAX_TEXT} characters", f"{len(text)}", f"{_WHERE}.{name}")
    return text


def _seconds(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp())
