"""The types that the service publishes: valid, and kept by every credential it issues."""

from collections.abc import Iterator, Mapping

import pytest
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.sdjwt import SdJwt, disclose
from counterfoil_credentials.sdjwt_vc import read_credential
from counterfoil_credentials.type_chain import ResolvedType, resolve_type
from counterfoil_credentials.type_rules import check_issued, check_presented
from counterfoil_issuer.app import create_app
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.offering import OpenOffer
from fastapi.testclient import TestClient

from tests.issuer.brand import AUDIO, Customer


@pytest.fixture
def fetcher(issuer: Issuer) -> Iterator[MemoryFetcher]:
    """Reach the service at its public address."""
    fetcher = MemoryFetcher()
    with TestClient(create_app(issuer, back_office_key="of-the-back-office")) as client:

        def get(_m: str, path: str, _h: Mapping[str, str], _b: bytes) -> Response:
            answer = client.get(path)
            media_type = answer.headers["content-type"].split(";")[0]
            return Response(answer.status_code, media_type, answer.content, answer.headers)

        fetcher.serve(AUDIO, get)
        yield fetcher


@pytest.mark.parametrize("path", ["/types/warranty", "/.well-known/jwt-vc-issuer"])
def test_a_document_is_fresh_for_a_while_and_no_page_in_a_browser(
    fetcher: MemoryFetcher, path: str
) -> None:
    headers = fetcher.get(AUDIO + path, accept="application/json").headers

    assert headers["cache-control"] == "max-age=300"
    assert headers["content-security-policy"] == "default-src 'none'"
    assert headers["x-content-type-options"] == "nosniff"


def published(fetcher: MemoryFetcher, name: str) -> ResolvedType:
    return resolve_type(f"{AUDIO}/types/{name}", integrity=None, registry={}, fetcher=fetcher)


def test_each_type_says_in_both_languages_what_it_is(
    issuer: Issuer, fetcher: MemoryFetcher
) -> None:
    for name, kind in issuer.catalogue.types.items():
        found = published(fetcher, name)

        assert found.vcts == (f"{AUDIO}/types/{name}",)
        assert [shown.locale for shown in found.metadata.display or ()] == ["en", "zh"]
        assert [claim.path for claim in found.metadata.claims] == [c.path for c in kind.claims]
        for claim in found.metadata.claims:
            assert [label.locale for label in claim.display or ()] == ["en", "zh"]


def test_each_issued_credential_keeps_the_rules_of_its_type(
    customer: Customer, offer: OpenOffer, fetcher: MemoryFetcher
) -> None:
    issued = customer.accept(offer)

    assert len(issued) == 2
    for one in issued:
        credential = SdJwt.parse(one.credentials[0])
        vct = read_credential(credential).unverified_vct
        metadata = published(fetcher, vct.rpartition("/")[2]).metadata

        assert metadata.vct == vct
        check_issued(metadata, credential)
        check_presented(metadata, credential)
        check_presented(metadata, disclose(credential, []))
