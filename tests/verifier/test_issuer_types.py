"""What an issuer says that it offers, and which presets that answers."""

import json
from collections.abc import Mapping

import pytest
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_verifier import PRESETS
from counterfoil_verifier.issuer_types import offered_types, types_by_preset

from tests.verifier.scene import ISSUER, RECEIPT_TYPE, WARRANTY_TYPE

MEMBER_TYPE = f"{ISSUER}/types/membership"


def metadata(**changes: object) -> dict[str, object]:
    configurations = {
        "warranty": {"format": "dc+sd-jwt", "vct": WARRANTY_TYPE},
        "warranty-in-batches": {"format": "dc+sd-jwt", "vct": WARRANTY_TYPE},
        "receipt": {"format": "dc+sd-jwt", "vct": RECEIPT_TYPE},
        "licence": {"format": "mso_mdoc", "doctype": "org.iso.18013.5.1.mDL"},
    }
    return {
        "credential_issuer": ISSUER,
        "credential_configurations_supported": configurations,
        **changes,
    }


def issuer(body: object, status: int = 200) -> MemoryFetcher:
    def serve(method: str, path: str, headers: Mapping[str, str], _: bytes) -> Response:
        assert (method, path) == ("GET", "/.well-known/openid-credential-issuer")
        return Response(status, "application/json", json.dumps(body).encode())

    fetcher = MemoryFetcher()
    fetcher.serve(ISSUER, serve)
    return fetcher


def test_an_issuer_says_which_types_it_offers() -> None:
    assert offered_types(issuer(metadata()), ISSUER) == (WARRANTY_TYPE, RECEIPT_TYPE)


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        metadata(credential_issuer="https://other.example"),
        metadata(credential_configurations_supported=[]),
        metadata(credential_configurations_supported={"x": 1}),
        metadata(credential_configurations_supported={"x": {"format": "dc+sd-jwt", "vct": 1}}),
        metadata(credential_configurations_supported=dict.fromkeys(map(str, range(1_001)), 1)),
    ],
    ids=["list", "empty", "another's", "no object", "no entry", "no text", "too many"],
)
def test_what_is_no_metadata_of_the_issuer_is_refused(body: object) -> None:
    with pytest.raises(Malformed):
        offered_types(issuer(body), ISSUER)


def test_an_issuer_that_does_not_answer_is_not_trusted() -> None:
    with pytest.raises(Unavailable):
        offered_types(issuer({}, 503), ISSUER)
    with pytest.raises(Unavailable):
        offered_types(MemoryFetcher(), ISSUER)


def test_a_type_answers_the_presets_that_name_it() -> None:
    vcts = [WARRANTY_TYPE, "urn:chairs:membership", MEMBER_TYPE, f"{ISSUER}/types/tier"]

    assert types_by_preset(vcts, PRESETS.values(), ISSUER) == {
        "warranty": (WARRANTY_TYPE,),
        "member": ("urn:chairs:membership", MEMBER_TYPE),
    }


@pytest.mark.parametrize("vcts", [[], [f"{ISSUER}/types/warranty-draft"], ["http://[::1"]])
def test_an_issuer_whose_types_answer_nothing_is_refused(vcts: list[str]) -> None:
    with pytest.raises(Refused) as refused:
        types_by_preset(vcts, PRESETS.values(), ISSUER)

    assert refused.value.codes == ["no-preset-answered"]
