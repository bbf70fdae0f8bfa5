"""Where a presentation sends the shop: to an address inside, to another's key, to a bad list."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from counterfoil_credentials.did_documents import Relationship
from counterfoil_credentials.did_methods import resolver
from counterfoil_credentials.did_web import DatedKey, did_web, did_web_document
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import b64url, compact_json
from counterfoil_credentials.errors import CounterfoilError, Refused
from counterfoil_credentials.fetch import GuardedFetcher, MemoryFetcher, Response
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.key_discovery import CertifiedIssuers
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.sdjwt import SdJwt, unverified_payload
from counterfoil_credentials.sdjwt_vc import StatusReference
from counterfoil_credentials.spec import SD_JWT_VC_TYP, STATUS_LIST_TYP
from counterfoil_credentials.token_status_list import FetchedStatusSource
from counterfoil_verifier import (
    CertificateTrust,
    DidTrust,
    FetchedTrust,
    FirstTrust,
    KeyAsked,
    PinnedKey,
    PinnedTrust,
    Statuses,
    Trust,
    TrustedIssuer,
    Verifier,
)

from tests.credentials.authority import Party, anchors, authority, header
from tests.verifier.scene import (
    DAY,
    INDEX,
    ISSUER,
    LIST_URL,
    NOON,
    SECOND,
    WARRANTY_TYPE,
    Scene,
)

INSIDE = [
    "https://127.0.0.1/list",
    "https://localhost/list",
    "https://[::1]/list",
    "https://169.254.169.254/latest/meta-data",
    "https://router.local/list",
    "http://audio.example/list",
]


@pytest.fixture
def scene(clock: Callable[[], datetime], random_bytes: Callable[[int], bytes]) -> Scene:
    return Scene(clock, random_bytes)


def codes(scene: Scene, credential: SdJwt, trust: Trust | None = None) -> list[str]:
    """Present the credential honestly; an accepted attack fails the test."""
    request = scene.request()
    verifier = Verifier(scene.preset.policy(), trust or scene.trust, scene.statuses)
    with pytest.raises(CounterfoilError) as error:
        verifier.verify(scene.present(credential, request), request, now=scene.clock())
    assert isinstance(error.value, Refused), error.value
    return error.value.codes


# An address inside (SSRF).


@pytest.mark.parametrize("url", INSIDE)
def test_a_status_list_inside_the_shops_network(scene: Scene, url: str) -> None:
    scene.statuses = Statuses(FetchedStatusSource(GuardedFetcher()))
    inside = scene.warranty(status=StatusReference(url, INDEX))

    assert codes(scene, inside) == ["status-list-fetch-not-allowed"]


@pytest.mark.parametrize(
    "issuer", ["https://127.0.0.1", "https://router.local", did_web("router.local")]
)
def test_an_issuer_inside_the_shops_network_is_a_stranger_and_never_asked(
    scene: Scene, issuer: str
) -> None:
    class Nobody(MemoryFetcher):
        def get(self, url: str, **_: Any) -> Response:  # noqa: ANN401  # as asked
            raise AssertionError(url)

    nobody = Nobody()
    trust = FirstTrust(
        FetchedTrust(nobody, {ISSUER: [WARRANTY_TYPE]}),
        DidTrust(resolver(nobody), {did_web("audio.example"): [WARRANTY_TYPE]}),
    )

    assert codes(scene, scene.warranty(issuer=issuer), trust) == ["issuer-not-trusted"]


def test_a_type_that_is_an_address_is_not_fetched(scene: Scene) -> None:
    inside = "https://169.254.169.254/type"
    scene.statuses = Statuses(FetchedStatusSource(GuardedFetcher()))

    assert codes(scene, scene.warranty(vct=inside)) == ["issuer-not-trusted-for-type"]


# Another's key.


def test_a_key_that_its_issuer_has_retired(scene: Scene) -> None:
    """What it signed before stays good; whoever has it now signs nothing."""
    new = scene.brand.list_signer = MemorySigner.generate()
    keys = (PinnedKey(scene.brand.signer.public, not_after=NOON - DAY), new.public)
    trust = PinnedTrust([TrustedIssuer(issuer=ISSUER, vcts=frozenset({WARRANTY_TYPE}), keys=keys)])
    old = scene.warranty(issued_at=NOON - DAY - SECOND)
    request = scene.request()

    verifier = Verifier(scene.preset.policy(), trust, scene.statuses)
    assert verifier.verify(scene.present(old, request), request, now=NOON).claims
    assert codes(scene, scene.warranty(issued_at=NOON - DAY), trust) == ["key-expired"]


def with_did(scene: Scene, did: str, kid: str, signer: MemorySigner) -> SdJwt:
    return scene.warranty(issuer=did, signer=signer, header={"kid": kid})


class TestADid:
    """DID key confusion: the right DID, the right relationship, its own controller."""

    did = did_web("audio.example")

    def trust(self, document: Mapping[str, Any]) -> Trust:
        fetcher, body = MemoryFetcher(), compact_json({**document})
        fetcher.serve(
            "https://audio.example", lambda _m, _p, _h, _b: Response(200, "application/json", body)
        )
        return DidTrust(resolver(fetcher), {self.did: [WARRANTY_TYPE]})

    def published(self, scene: Scene, *uses: Relationship) -> dict[str, Any]:
        keys = [DatedKey(scene.brand.signer.public)]
        return {**did_web_document(self.did, keys, relationships=uses or (Relationship.ASSERTION,))}

    def test_the_honest_one_is_accepted(self, scene: Scene) -> None:
        kid = f"{self.did}#{scene.brand.signer.public.thumbprint()}"
        honest = with_did(scene, self.did, kid, scene.brand.signer)
        request = scene.request()
        verifier = Verifier(
            scene.preset.policy(), self.trust(self.published(scene)), scene.statuses
        )
        verifier.verify(scene.present(honest, request), request, now=NOON)

    def test_a_key_of_the_thiefs_own_did(self, scene: Scene) -> None:
        thief = MemorySigner.generate()
        forged = with_did(scene, self.did, f"{did_jwk(thief.public)}#0", thief)

        assert codes(scene, forged, self.trust(self.published(scene))) == ["key-of-another-did"]

    def test_a_key_for_signing_in(self, scene: Scene) -> None:
        kid = f"{self.did}#{scene.brand.signer.public.thumbprint()}"
        document = self.published(scene, Relationship.AUTHENTICATION)
        signed_in = with_did(scene, self.did, kid, scene.brand.signer)

        assert codes(scene, signed_in, self.trust(document)) == ["key-relationship-missing"]

    def test_a_key_that_another_did_controls(self, scene: Scene) -> None:
        document = self.published(scene)
        document["verificationMethod"][0]["controller"] = did_web("thief.example")
        kid = f"{self.did}#{scene.brand.signer.public.thumbprint()}"
        lent = with_did(scene, self.did, kid, scene.brand.signer)

        assert codes(scene, lent, self.trust(document)) == ["key-controller-mismatch"]


def test_a_certificate_for_an_issuer_that_is_known_by_its_keys(scene: Scene) -> None:
    """A careless authority certifies the brand's name for a thief (SD-JWT VC, section 7.3)."""
    root = Party("Root", extensions=authority())
    thief = Party("Audio", by=root)
    certified = CertifiedIssuers(anchors=anchors(root), urls=None, subjects=None)
    by_certificate = CertificateTrust({WARRANTY_TYPE: certified})
    payload = unverified_payload(scene.warranty())
    forged = SdJwt(
        sign_jws(
            payload,
            typ=SD_JWT_VC_TYP,
            signer=MemorySigner(thief.key),  # type: ignore[arg-type]  # an EC key
            header={"x5c": header(thief)["x5c"]},
        ),
        scene.warranty().disclosures,
    )

    asked = KeyAsked(ISSUER, WARRANTY_TYPE, header(thief), None)
    assert by_certificate.key_for(asked, now=NOON) == MemorySigner(thief.key).public  # type: ignore[arg-type]  # an EC key
    assert codes(scene, forged, FirstTrust(scene.trust, by_certificate)) == ["signature-invalid"]


# A bad list.


def test_a_status_list_that_grows_without_end_when_it_is_opened(scene: Scene) -> None:
    bomb = b64url(zlib.compress(bytes(64 * 1024 * 1024), 9))
    scene.brand.token = sign_jws(
        {
            "sub": LIST_URL,
            "iat": int(NOON.timestamp()),
            "status_list": {"bits": 2, "lst": bomb},
        },
        typ=STATUS_LIST_TYP,
        signer=scene.brand.signer,
        header={"kid": scene.brand.signer.public.thumbprint()},
    )

    assert codes(scene, scene.warranty()) == ["status-list-malformed"]


def test_the_list_of_another_brand(scene: Scene) -> None:
    """One that both trust: its list must not say that this brand's warranty is fine."""
    other = MemorySigner.generate()
    scene.brand.list_signer = other
    trusted = [
        TrustedIssuer(issuer=issuer, vcts=frozenset({WARRANTY_TYPE}), keys=(key,))
        for issuer, key in (
            (ISSUER, scene.brand.signer.public),
            ("https://velo.example", other.public),
        )
    ]

    assert codes(scene, scene.warranty(), PinnedTrust(trusted)) == [
        "status-list-issuer-key-unknown"
    ]


@pytest.mark.parametrize("index", [16, 2**31, 2**53 - 1])
def test_a_place_past_the_end_of_the_list(scene: Scene, index: int) -> None:
    past = scene.warranty(status=StatusReference(LIST_URL, index))
    assert codes(scene, past) == ["status-index-out-of-range"]


def test_the_credential_that_names_no_list_is_not_simply_valid(scene: Scene) -> None:
    assert codes(scene, scene.warranty(status=None)) == ["status-missing"]


def test_every_reason_is_gathered_and_only_after_the_signature(scene: Scene) -> None:
    scene.brand.listed[INDEX] = 1
    request = scene.request()
    bad = scene.warranty(expires_at=NOON - DAY)
    spoiled = replace(request, nonce="another")

    def reasons(credential: SdJwt) -> list[str]:
        with pytest.raises(Refused) as refused:
            scene.verifier.verify(
                scene.present(credential, spoiled, paths=[("price",)]), request, now=NOON
            )
        return refused.value.codes

    assert reasons(bad) == ["nonce-mismatch", "expired", "discloses-too-much", "revoked"]
    fetched = scene.brand.fetches
    head, payload, _ = bad.issuer_jwt.split(".")
    forged = SdJwt(f"{head}.{payload}.{b64url(bytes(range(64)))}", bad.disclosures)
    assert reasons(forged) == ["signature-invalid"]
    assert scene.brand.fetches == fetched
