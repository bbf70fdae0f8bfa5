"""The draft's own credentials under types that say what its text says of them.

The published set holds no type metadata document: of its documents the first is a
header and the second a payload, whose type the draft describes in words. The example
credentials come with their specification, which marks what is concealed. The claims
of OpenID4VCI's example are those of the draft's first credential.
"""

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from counterfoil_credentials.claims import ClaimPath
from counterfoil_credentials.encoding import Json, JsonObject, compact_json
from counterfoil_credentials.errors import Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_credentials.key_discovery import CertifiedIssuers, IssuerPolicy, find_issuer_key
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.sdjwt import SdJwt, unverified_payload
from counterfoil_credentials.sdjwt_vc import issue_credential
from counterfoil_credentials.type_chain import resolve_type
from counterfoil_credentials.type_metadata import TypeMetadata, parse_type_metadata
from counterfoil_credentials.type_rules import check_issued, check_presented
from counterfoil_credentials.x509 import TrustAnchors

Vectors = Callable[[str], Path]
DRAFT = "sd-jwt-vc-draft"
EXAMPLES = ("01", "03-pid")
NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
_CLAIM = re.compile(r"^  (!sd )?(\w+):", re.MULTILINE)


def specified(folder: Path) -> dict[str, bool]:
    """Give the names of the claims at the top, and whether each is concealed."""
    text = (folder / "specification.yml").read_text(encoding="utf-8")
    claims = text.split("user_claims:")[1].split("holder_disclosed_claims:")[0]
    found = {name: bool(mark) for mark, name in _CLAIM.findall(claims)}
    assert len(found) > 5
    return found


def rules(credential: SdJwt, claims: Iterable[JsonObject]) -> TypeMetadata:
    vct = unverified_payload(credential, "credential")["vct"]
    return parse_type_metadata(compact_json({"vct": vct, "claims": [*claims]}))


def described(name: str, *, concealed: bool) -> JsonObject:
    return {"path": [name], "mandatory": True, "sd": "always" if concealed else "never"}


def read(folder: Path, part: str) -> SdJwt:
    return SdJwt.parse("".join((folder / f"sd_jwt_{part}.txt").read_text().split()))


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_keeps_the_rules_that_its_specification_states(
    vectors: Vectors, example: str
) -> None:
    folder = vectors(DRAFT) / example
    claims = specified(folder)
    issuance = read(folder, "issuance")
    metadata = rules(issuance, (described(n, concealed=hidden) for n, hidden in claims.items()))

    check_issued(metadata, issuance)
    check_presented(metadata, read(folder, "presentation"))


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_breaks_each_rule_that_is_turned_round(vectors: Vectors, example: str) -> None:
    folder = vectors(DRAFT) / example
    issuance = read(folder, "issuance")
    for name, hidden in specified(folder).items():
        with pytest.raises(Refused) as refusal:
            check_issued(rules(issuance, [described(name, concealed=not hidden)]), issuance)
        assert refusal.value.codes == ["claim-concealed" if hidden else "claim-not-concealed"]


@pytest.mark.parametrize("example", EXAMPLES)
def test_what_an_example_withholds_is_known_to_be_missing_by_the_holder_alone(
    vectors: Vectors, example: str
) -> None:
    folder = vectors(DRAFT) / example
    issuance = read(folder, "issuance")
    metadata = rules(issuance, [{"path": ["favourite_poem"], "mandatory": True}])

    check_presented(metadata, read(folder, "presentation"))
    with pytest.raises(Refused) as refusal:
        check_issued(metadata, issuance)
    assert refusal.value.codes == ["claim-missing"]


@pytest.mark.parametrize("missing", ["given_name", "family_name", "birthdate", "address", None])
def test_the_first_payload_has_what_the_draft_says_its_type_demands(
    vectors: Vectors, missing: str | None
) -> None:
    payload: JsonObject = json.loads((vectors(DRAFT) / "document_json/02.json").read_bytes())
    vct = str(payload["vct"])
    demanded: list[Json] = [
        {"path": [name], "mandatory": True}
        for name in ("given_name", "family_name", "birthdate", "address")
    ]
    offered: list[Json] = [
        {"path": [name]} for name in ("email", "phone_number", "is_over_18", "is_over_65")
    ]
    document = compact_json({"vct": vct, "claims": [*demanded, *offered]})
    found = resolve_type(vct, integrity=None, registry={vct: document}, fetcher=None)
    claims = {n: v for n, v in payload.items() if n not in {"vct", "exp", "cnf", missing}}
    concealed: list[ClaimPath] = [("email",), ("address", "locality")]
    credential = issue_credential(
        claims,
        vct=vct,
        issuer="https://credentials.example.com",
        signer=MemorySigner.from_private_bytes(b"\x01" * 32),
        holder=None,
        issued_at=NOON,
        expires_at=None,
        status=None,
        concealed=concealed,
        random=iter_bytes(),
    )

    if missing is None:
        check_issued(found.metadata, credential)
    else:
        with pytest.raises(Refused) as refusal:
            check_issued(found.metadata, credential)
        assert refusal.value.codes == ["claim-missing"]


def iter_bytes() -> Callable[[int], bytes]:
    count = iter(range(1_000))
    return lambda size: next(count).to_bytes(size)


def test_the_header_that_the_draft_shows_brings_no_certificate(vectors: Vectors) -> None:
    header: JsonObject = json.loads((vectors(DRAFT) / "document_json/01.json").read_bytes())
    by_certificate = CertifiedIssuers(anchors=TrustAnchors(()), urls=None, subjects=None)

    def find(policy: IssuerPolicy) -> None:
        find_issuer_key(
            header, "https://a.example", "x", policy=policy, fetcher=MemoryFetcher(), now=NOON
        )

    with pytest.raises(Refused) as refusal:
        find(IssuerPolicy(by_certificate={"x": by_certificate}))
    assert refusal.value.codes == ["issuer-not-trusted"]
    with pytest.raises(Unavailable):
        find(IssuerPolicy(by_metadata={"https://a.example": {"x"}}))


def test_the_claims_that_openid4vci_describes_are_those_of_the_first_credential(
    vectors: Vectors,
) -> None:
    published = vectors("openid4vci-examples") / "credential_metadata_sd_jwt_vc.json"
    (configuration,) = json.loads(published.read_bytes())[
        "credential_configurations_supported"
    ].values()
    paths = [claim["path"] for claim in configuration["credential_metadata"]["claims"]]

    issuance = read(vectors(DRAFT) / "01", "issuance")
    metadata = rules(issuance, ({"path": path, "mandatory": True} for path in paths))

    assert len(metadata.claims) == 13
    check_issued(metadata, issuance)
    check_presented(metadata, read(vectors(DRAFT) / "01", "presentation"))
