"""One issuer, one holder, one shop: what crosses between us and the peers.

Everything is fixed but the randomness inside signatures. `accepted` is the shop's
whole answer: `Verifier` with trust, policy, audience, nonce, time and age.
"""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from counterfoil_credentials import (
    ClaimPath,
    FetchedStatusSource,
    Json,
    JsonObject,
    MemoryFetcher,
    MemorySigner,
    PresentationRequest,
    SdJwt,
    Signer,
    bind,
    disclose,
    issue_credential,
    parse_dcql,
)
from counterfoil_credentials.encoding import as_object
from counterfoil_credentials.keys import Curve
from counterfoil_verifier import (
    AllOf,
    BoundToHolder,
    IssuedBy,
    OfType,
    PinnedTrust,
    Statuses,
    TrustedIssuer,
    Verifier,
)

NOON: Final = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
NOW: Final = int(NOON.timestamp())
ISSUER: Final = "https://brand.example"
VCT: Final = "https://brand.example/types/membership"
AUDIENCE: Final = "x509_san_dns:shop.example"
NONCE: Final = "n-0S6_WzA2Mj"
IN_FORCE_FOR: Final = timedelta(days=30)

SUBJECT: Final[JsonObject] = {
    "given_name": "Ada",
    "family_name": "Möbius",
    "age": 42,
    "score": 17.5,
    "is_member": True,
    "nickname": None,
    "address": {"street_address": "1 Main St", "locality": "Anytown", "country": "DE"},
    "nationalities": ["DE", "FR", "US"],
    "degrees": [{"name": "BSc", "year": 1999}, {"name": "MSc", "year": 2001}],
}


@dataclass(frozen=True)
class Shape:
    """What the issuer conceals, and what of it the holder discloses."""

    concealed: tuple[ClaimPath, ...]
    disclosed: tuple[ClaimPath, ...]

    @property
    def depth(self) -> int:
        """Give how many levels down it conceals."""
        return max((len(path) for path in self.concealed), default=0)

    @property
    def ends(self) -> list[ClaimPath]:
        """Give the disclosed paths that lead to no other one: those on the way come along."""
        return [
            path
            for path in self.disclosed
            if not any(other != path and other[: len(path)] == path for other in self.disclosed)
        ]

    @property
    def shown(self) -> JsonObject:
        """Give what a verifier sees of the subject."""
        hidden = set(self.concealed) - set(self.disclosed)
        return as_object(_without(SUBJECT, hidden, ()), "subject")


SHAPES: Final = {
    "flat": Shape(
        (("given_name",), ("family_name",), ("age",), ("score",), ("nickname",)),
        (("given_name",), ("score",), ("nickname",)),
    ),
    "structured": Shape(
        (("address", "street_address"), ("address", "locality"), ("given_name",)),
        (("address", "locality"),),
    ),
    "recursive": Shape(
        (("address",), ("address", "street_address"), ("address", "locality")),
        (("address",), ("address", "locality")),
    ),
    "array": Shape(
        (("nationalities", 0), ("nationalities", 2), ("degrees", 1)),
        (("nationalities", 2), ("degrees", 1)),
    ),
    "recursive array": Shape(
        (("degrees",), ("degrees", 0), ("degrees", 0, "year"), ("degrees", 1)),
        (("degrees",), ("degrees", 0), ("degrees", 0, "year")),
    ),
    "nothing concealed": Shape((), ()),
}
FLAT: Final = SHAPES["flat"]


def signer(name: str, curve: Curve = Curve.P256) -> MemorySigner:
    """Give the one key of that name and curve."""
    size = 48 if curve == Curve.P384 else 32
    # The first byte is zero, so that the number is below every group's order.
    return MemorySigner.from_private_bytes(
        b"\0" + random.Random(f"{name} {curve}").randbytes(size - 1), curve
    )


ISSUER_KEY: Final = signer("issuer")
HOLDER_KEY: Final = signer("holder")


def registered() -> JsonObject:
    """Give the claims that every credential here has beside its subject's."""
    return {
        "iss": ISSUER,
        "vct": VCT,
        "iat": NOW - 3600,
        "exp": NOW + int(IN_FORCE_FOR.total_seconds()),
    }


def issued(
    shape: Shape, issuer: Signer = ISSUER_KEY, holder: Signer = HOLDER_KEY, *, decoys_to: int = 1
) -> SdJwt:
    """Give our credential of this shape with all its disclosures."""
    return issue_credential(
        SUBJECT,
        vct=VCT,
        issuer=ISSUER,
        signer=issuer,
        holder=holder.public,
        issued_at=NOON - timedelta(hours=1),
        expires_at=NOON + IN_FORCE_FOR,
        status=None,
        concealed=shape.concealed,
        random=random.Random("salts").randbytes,
        decoys_to=decoys_to,
    )


def presented(
    credential: SdJwt,
    shape: Shape,
    *,
    holder: Signer = HOLDER_KEY,
    audience: str = AUDIENCE,
    nonce: str = NONCE,
    now: datetime = NOON,
) -> SdJwt:
    """Give our presentation of a credential: disclosed as the shape says, and bound."""
    shown = disclose(credential, shape.ends)
    return SdJwt.parse(bind(shown, signer=holder, audience=audience, nonce=nonce, now=now))


def accepted(presentation: str, issuer: Signer = ISSUER_KEY) -> JsonObject:
    """Give the claims as our shop accepts them, or raise what it raises."""
    trusted = TrustedIssuer(issuer=ISSUER, vcts=frozenset({VCT}), keys=(issuer.public,))
    query: JsonObject = {
        "credentials": [{"id": "c", "format": "dc+sd-jwt", "meta": {"vct_values": [VCT]}}]
    }
    request = PresentationRequest(
        client_id=AUDIENCE,
        response_uri="https://shop.example/answers",
        nonce=NONCE,
        state=None,
        query=parse_dcql(query),
        issued_at=NOON,
        expires_at=NOON + timedelta(minutes=5),
    )
    verifier = Verifier(
        AllOf(OfType({VCT}), IssuedBy({ISSUER}), BoundToHolder()),
        PinnedTrust([trusted]),
        Statuses(FetchedStatusSource(MemoryFetcher())),
    )
    return verifier.verify({"c": (presentation,)}, request, now=NOON).claims["c"]


def subject_of(claims: JsonObject) -> JsonObject:
    """Give the claims without those that every credential here has."""
    return {n: v for n, v in claims.items() if n not in {*registered(), "cnf"}}


def as_json(paths: tuple[ClaimPath, ...]) -> list[Json]:
    """Give claim paths as peers are told them."""
    return [[*path] for path in paths]


def _without(value: Json, hidden: set[ClaimPath], path: ClaimPath) -> Json:
    if isinstance(value, dict):
        return {
            name: _without(member, hidden, (*path, name))
            for name, member in value.items()
            if (*path, name) not in hidden
        }
    if isinstance(value, list):
        return [
            _without(element, hidden, (*path, index))
            for index, element in enumerate(value)
            if (*path, index) not in hidden
        ]
    return value
