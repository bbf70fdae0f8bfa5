"""The types that the service publishes: valid, and kept by every credential it issues."""

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.sdjwt import SdJwt, disclose
from counterfoil_credentials.sdjwt_vc import read_credential
from counterfoil_credentials.type_chain import ResolvedType, resolve_type
from counterfoil_credentials.type_rules import check_issued, check_presented
from counterfoil_issuer.app import create_app
from counterfoil_issuer.catalogue import STANDARD_TYPES, parse_catalogue, sample_files
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.offering import OpenOffer
from counterfoil_issuer.store import Store
from fastapi.testclient import TestClient

from tests.conftest import Clock
from tests.issuer.brand import AUDIO, CATALOGUE, Customer, issuer_on


@contextmanager
def served(issuer: Issuer) -> Generator[MemoryFetcher]:
    """Reach the service at its public address."""
    fetcher = MemoryFetcher()
    with TestClient(create_app(issuer)) as client:

        def get(_m: str, path: str, _h: Mapping[str, str], _b: bytes) -> Response:
            answer = client.get(path)
            media_type = answer.headers["content-type"].split(";")[0]
            return Response(answer.status_code, media_type, answer.content, answer.headers)

        fetcher.serve(AUDIO, get)
        yield fetcher


@pytest.fixture
def fetcher(issuer: Issuer) -> Iterator[MemoryFetcher]:
    with served(issuer) as fetcher:
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


@pytest.mark.parametrize("name", STANDARD_TYPES)
def test_a_sample_of_each_type_is_issued_and_keeps_its_rules(
    issuer: Issuer, customer: Customer, fetcher: MemoryFetcher, name: str
) -> None:
    kind = issuer.catalogue.types[name]
    dataset = issuer.add_dataset(name, kind.sample)
    (issued,) = customer.accept(issuer.offer_datasets([dataset]))

    credential = SdJwt.parse(issued.credentials[0])
    metadata = published(fetcher, name).metadata
    check_issued(metadata, credential)
    check_presented(metadata, disclose(credential, []))
    verified = customer.verified(issued)
    assert verified.expires_at == kind.validity.ends_at(kind.sample, customer.clock())
    assert {claim: verified.claims[claim] for claim in kind.sample} == kind.sample


def test_a_pinned_types_credential_names_the_bytes_of_its_document(
    store: Store, clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    tier = json.loads(sample_files()["types/tier.json"]) | {"pinned": True}
    brand = json.loads(CATALOGUE)

    def issuer_of(label: str) -> Issuer:
        tier["claims"][1]["display"][0]["label"] = label
        catalogue = parse_catalogue(json.dumps({**brand, "types": [tier]}).encode())
        return issuer_on(store, clock, random_bytes, catalogue=catalogue)

    issuer = issuer_of("Level")
    customer = Customer(issuer, clock, MemorySigner.generate())
    dataset = issuer.add_dataset("tier", issuer.catalogue.types["tier"].sample)
    (issued,) = customer.accept(issuer.offer_datasets([dataset]))
    verified = customer.verified(issued)

    def resolve(issuer: Issuer) -> ResolvedType:
        with served(issuer) as fetcher:
            integrity = verified.vct_integrity
            return resolve_type(verified.vct, integrity=integrity, registry={}, fetcher=fetcher)

    assert verified.vct_integrity is not None
    assert resolve(issuer).metadata.vct == verified.vct
    with pytest.raises(Refused) as refusal:
        resolve(issuer_of("Rank"))
    assert refusal.value.codes == ["integrity-mismatch"]
