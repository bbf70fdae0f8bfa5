"""A type and all that it extends, as one (SD-JWT VC, sections 5.3 to 5.6)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from counterfoil_credentials.claims import ClaimPath, path_text
from counterfoil_credentials.errors import Malformed, Reason, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.integrity import check_integrity
from counterfoil_credentials.spec import JSON_MEDIA_TYPE
from counterfoil_credentials.type_metadata import (
    MAX_TYPE_METADATA_BYTES,
    ClaimMetadata,
    Concealment,
    TypeMetadata,
    parse_type_metadata,
    require_svg_ids_once,
)

MAX_CHAIN: Final = 8
MAX_CHAIN_BYTES: Final = 1_048_576
_WHERE: Final = "type"


@dataclass(frozen=True, slots=True)
class ResolvedType:
    """A type as it holds once all that it extends is taken in.

    `vcts` are the type's own name and those that it extends, nearest first: what a
    request's types may be matched against (section 5.4). That a type extends
    another says nothing about who may issue it (section 7.7).
    """

    metadata: TypeMetadata
    vcts: tuple[str, ...]


def resolve_type(
    vct: str,
    *,
    integrity: str | None,
    registry: Mapping[str, bytes],
    fetcher: Fetcher | None,
) -> ResolvedType:
    """Give the type `vct`, merged with the types that it extends.

    `integrity` is the credential's `vct#integrity`. `registry` holds documents by
    type, which the caller trusts, byte for byte; what is not there comes from the
    type's https address, unless `fetcher` is None. To fetch tells the publisher
    that such a credential is in use, and the address is the issuer's choice: ask
    after the signature and the issuer were accepted (sections 7.1 and 8.4).

    Raises `Unavailable` when a document cannot be had; `Malformed` for one that
    is none, or describes another type; `Refused`: `integrity-mismatch`,
    `integrity-unknown`, `type-circular`, `type-chain-too-long`, the codes of
    `extend`, and those of the fetcher. A caller whose policy needs the type must
    not accept on any of them (section 5.7).
    """
    chain: list[TypeMetadata] = []
    left = MAX_CHAIN_BYTES
    next_vct: str | None = vct
    while next_vct is not None:
        if any(document.vct == next_vct for document in chain):
            raise _refused("type-circular", "no type twice in a chain", "one twice")
        if len(chain) == MAX_CHAIN:
            raise _refused("type-chain-too-long", f"at most {MAX_CHAIN} types", "more")
        data = _document(next_vct, registry, fetcher)
        left -= len(data)
        if left < 0:
            text = f"at most {MAX_CHAIN_BYTES} bytes"
            raise _refused("type-chain-too-long", text, "more")
        if integrity is not None:
            check_integrity(data, integrity, f"{_WHERE}[{len(chain)}]#integrity")
        document = parse_type_metadata(data)
        if document.vct != next_vct:
            raise Malformed("the type that was asked", "another type", f"{_WHERE}.vct")
        chain.append(document)
        next_vct, integrity = document.extends, document.extends_integrity
    merged = chain[-1]
    for child in reversed(chain[:-1]):
        merged = extend(merged, child)
    return ResolvedType(merged, tuple(document.vct for document in chain))


def extend(base: TypeMetadata, child: TypeMetadata) -> TypeMetadata:
    """Give `child` with what it takes over from `base`, which it extends.

    Its own display replaces the base's as a whole. Claims are taken over in the
    base's order; where both describe a path, what the child says goes first,
    member by member, but it can only make an optional claim mandatory, and only
    decide what the base left `allowed` (sections 5.5.2 and 5.6.5).

    Raises `Refused` with `type-changes-mandatory` or `type-changes-concealment`
    for each claim that it loosens, `Malformed` for one `svg_id` on two claims.
    """
    claims: dict[ClaimPath, ClaimMetadata] = {claim.path: claim for claim in base.claims}
    reasons: list[Reason] = []
    for claim in child.claims:
        inherited = claims.get(claim.path)
        if inherited is None:
            claims[claim.path] = claim
        else:
            reasons += _loosened(inherited, claim)
            claims[claim.path] = _override(inherited, claim)
    if reasons:
        raise Refused(*reasons)
    require_svg_ids_once(list(claims.values()))
    return replace(
        child,
        display=base.display if child.display is None else child.display,
        claims=tuple(claims.values()),
    )


def _loosened(base: ClaimMetadata, child: ClaimMetadata) -> Sequence[Reason]:
    reasons: list[Reason] = []
    where = f"{_WHERE}.claims.{path_text(base.path)}"
    if base.mandatory and child.mandatory is False:
        reasons.append(
            Reason("type-changes-mandatory", "a mandatory claim", "an optional one", where)
        )
    decided = base.concealment not in (None, Concealment.ALLOWED)
    if decided and child.concealment not in (None, base.concealment):
        reasons.append(
            Reason("type-changes-concealment", f"sd: {base.concealment}", "another value", where)
        )
    return reasons


def _override(base: ClaimMetadata, child: ClaimMetadata) -> ClaimMetadata:
    return ClaimMetadata(
        path=base.path,
        display=base.display if child.display is None else child.display,
        mandatory=base.mandatory if child.mandatory is None else child.mandatory,
        concealment=child.concealment or base.concealment,
        svg_id=child.svg_id or base.svg_id,
    )


def _document(vct: str, registry: Mapping[str, bytes], fetcher: Fetcher | None) -> bytes:
    known = registry.get(vct)
    if known is not None:
        return known
    if fetcher is None or not vct.startswith("https://"):
        raise Unavailable("expected the type's document, found no place to get it from")
    response = fetcher.get(vct, accept=JSON_MEDIA_TYPE, max_bytes=MAX_TYPE_METADATA_BYTES)
    if response.status != 200:
        raise Unavailable(f"expected the type's document, found HTTP status {response.status}")
    return response.body


def _refused(code: str, expected: str, found: str) -> Refused:
    return Refused(Reason(code, expected, found, _WHERE))
