"""An issuer with a certificate: what leads to an anchor of the type, and nobody else."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from counterfoil_credentials.dcql import AuthorityQuery, DcqlQuery
from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.key_discovery import CertifiedIssuers
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.sdjwt import SdJwt, unverified_payload
from counterfoil_credentials.spec import SD_JWT_VC_TYP
from counterfoil_verifier import Accepted, Statuses, Verifier
from counterfoil_verifier.trust import Ending, KeyAsked, PinnedTrust, Trust, TrustedIssuer
from counterfoil_verifier.trust_certified import CertificateTrust, CertifiedAlone
from counterfoil_verifier.trust_several import AllTrust, FirstTrust
from cryptography import x509

from tests.credentials.authority import (
    NOON,
    SIGNS,
    Party,
    anchors,
    authority,
    header,
    key_id,
    named_by,
    names,
    usage,
)
from tests.verifier.scene import DAY, INDEX, ISSUER, RECEIPT_TYPE, WARRANTY_TYPE, Scene

ROOT = Party("Root", extensions=(*authority(), key_id(b"root")), ends_at=NOON + 90 * DAY)
OTHER_ROOT = Party("Other root", extensions=authority(), ends_at=NOON + 30 * DAY)
BRAND = Party("Audio", by=ROOT, extensions=(*SIGNS, named_by(b"root")))
SUBJECT = "CN=Audio"
CERTIFIED = CertifiedIssuers(anchors=anchors(ROOT), urls={ISSUER}, subjects={SUBJECT})
TRUST = CertificateTrust({WARRANTY_TYPE: CERTIFIED})


def signer_of(party: Party) -> MemorySigner:
    return MemorySigner(party.key)  # type: ignore[arg-type]  # an EC key


def pinned_to(signer: MemorySigner) -> PinnedTrust:
    vcts = frozenset({WARRANTY_TYPE})
    return PinnedTrust([TrustedIssuer(issuer=ISSUER, vcts=vcts, keys=(signer.public,))])


def warranty(
    scene: Scene, *chain: Party, issuer: str | None = ISSUER, signer: MemorySigner | None = None
) -> SdJwt:
    """Give a warranty signed with the first certificate's key, with the chain in its header."""
    good = scene.warranty()
    claims = {name: value for name, value in unverified_payload(good).items() if name != "iss"}
    token = sign_jws(
        claims if issuer is None else {**claims, "iss": issuer},
        typ=SD_JWT_VC_TYP,
        signer=signer or signer_of(chain[0]),
        header={"x5c": header(*chain)["x5c"]},
    )
    return SdJwt(token, good.disclosures)


def verify(
    scene: Scene,
    credential: SdJwt,
    trust: Trust = TRUST,
    list_signer: MemorySigner | None = None,
    *under: str,
) -> Accepted:
    scene.brand.list_signer = list_signer or signer_of(BRAND)
    request = scene.request()
    if under:
        (asked,) = request.query.credentials
        asked = replace(asked, trusted_authorities=(AuthorityQuery("aki", under),))
        request = replace(request, query=DcqlQuery((asked,)))
    verifier = Verifier(scene.preset.policy(), trust, scene.statuses)
    return verifier.verify(scene.present(credential, request), request, now=scene.clock())


def codes(
    scene: Scene,
    credential: SdJwt,
    trust: Trust = TRUST,
    list_signer: MemorySigner | None = None,
    *under: str,
) -> Sequence[str]:
    with pytest.raises(Refused) as refused:
        verify(scene, credential, trust, list_signer, *under)
    return refused.value.codes


@pytest.mark.parametrize("issuer", [ISSUER, None])
def test_a_certified_warranty_is_accepted_with_and_without_iss(
    scene: Scene, issuer: str | None
) -> None:
    accepted = verify(scene, warranty(scene, BRAND, issuer=issuer))

    assert accepted.claims["warranty"]["valid_until"] == "2028-11-02"
    assert accepted.status_as_of == NOON


def test_its_list_is_signed_with_the_certified_key_too(scene: Scene) -> None:
    good = warranty(scene, BRAND)
    scene.brand.listed[INDEX] = 1
    assert codes(scene, good) == ["revoked"]

    scene.statuses = Statuses(scene.brand)
    assert codes(scene, good, list_signer=MemorySigner.generate()) == [
        "status-list-signature-invalid"
    ]


def test_refuses_whoever_is_not_certified_for_this_type(scene: Scene) -> None:
    strange = Party("Audio", by=OTHER_ROOT)
    web = Party("Shoes", by=ROOT, extensions=(usage(signs=True), names(x509.DNSName("x.example"))))
    thief = MemorySigner.generate()

    assert codes(scene, warranty(scene, strange)) == ["certificate-untrusted"]
    assert codes(scene, warranty(scene, web)) == ["issuer-mismatch"]
    assert codes(scene, warranty(scene, web, issuer=None)) == ["issuer-not-trusted"]
    assert codes(scene, warranty(scene, BRAND, signer=thief)) == ["signature-invalid"]
    assert codes(scene, warranty(scene, BRAND, ROOT)) == ["certificate-anchor-in-chain"]
    assert codes(scene, scene.warranty()) == ["issuer-not-trusted"]
    for_receipts = CertificateTrust({RECEIPT_TYPE: CERTIFIED})
    assert codes(scene, warranty(scene, BRAND), for_receipts) == ["issuer-not-trusted"]
    assert codes(scene, warranty(scene, BRAND), CertificateTrust({})) == ["issuer-not-trusted"]


def test_a_certificate_out_of_its_time_signs_nothing(scene: Scene) -> None:
    ended = Party("Audio", by=ROOT, starts_at=NOON - 9 * DAY, ends_at=NOON - DAY)
    early = Party("Audio", by=ROOT, starts_at=NOON + DAY, ends_at=NOON + 9 * DAY)

    assert codes(scene, warranty(scene, ended)) == ["certificate-expired"]
    assert codes(scene, warranty(scene, early)) == ["certificate-not-yet-valid"]


def test_a_broken_chain_is_malformed() -> None:
    for chain in ([], ["AAAA"], [1], "AAAA"):
        with pytest.raises(Malformed):
            TRUST.key_for(KeyAsked(ISSUER, WARRANTY_TYPE, {"x5c": [*chain]}, None), now=NOON)


def test_the_anchor_that_ends_first_is_named_first() -> None:
    both = replace(CERTIFIED, anchors=anchors(ROOT, OTHER_ROOT))
    trust = CertificateTrust({WARRANTY_TYPE: CERTIFIED, RECEIPT_TYPE: both})

    assert trust.ends(NOON) == [
        Ending("the anchor CN=Other root", NOON + 30 * DAY),
        Ending("the anchor CN=Root", NOON + 90 * DAY),
    ]


class TestUnderAuthorities:
    """OpenID4VP 1.0, section 6.1.1: the shop sees for itself who stands behind an issuer."""

    named = b64url(b"root")

    def test_an_issuer_under_one_of_the_authorities_is_accepted(self, scene: Scene) -> None:
        good = warranty(scene, BRAND)

        assert verify(scene, good, TRUST, None, "AAAA", self.named).shown

    def test_an_issuer_under_none_of_them_is_refused(self, scene: Scene) -> None:
        good = warranty(scene, BRAND)

        assert codes(scene, good, TRUST, None, "AAAA", b64url(b"Root")) == [
            "authority-not-asked-for"
        ]

    def test_a_name_that_the_chain_only_says_is_none(self, scene: Scene) -> None:
        posing = Party("Audio", by=ROOT, extensions=(*SIGNS, named_by(b"asked")))
        list_signer = signer_of(posing)

        assert codes(scene, warranty(scene, posing), TRUST, list_signer, b64url(b"asked")) == [
            "authority-not-asked-for"
        ]

    def test_an_issuer_that_is_trusted_without_its_chain_is_under_nobody(
        self, scene: Scene
    ) -> None:
        pinned = pinned_to(signer_of(BRAND))
        good, first = warranty(scene, BRAND), FirstTrust(pinned, TRUST)

        assert verify(scene, good, first).shown
        assert codes(scene, good, first, None, self.named) == ["authority-not-asked-for"]
        # A certificate that is demanded besides still tells who stands behind it.
        for both in (FirstTrust(TRUST, pinned), AllTrust(pinned, TRUST)):
            assert verify(scene, good, both, None, self.named).shown


class TestByCertificatesAlone:
    """OpenID4VC HAIP 1.0, section 6.1: the credential and its list bring their chains."""

    def test_what_is_not_certified_is_refused(self, scene: Scene) -> None:
        pinned = pinned_to(signer_of(BRAND))
        scene.brand.list_chain = [BRAND.x5c]
        bare, good = scene.warranty(signer=signer_of(BRAND)), warranty(scene, BRAND)

        assert verify(scene, bare, pinned).shown
        assert codes(scene, bare, CertifiedAlone(pinned)) == ["issuer-certificate-missing"]
        assert codes(scene, bare, CertifiedAlone(TRUST)) == ["issuer-certificate-missing"]
        assert codes(scene, good, CertifiedAlone(pinned)) == ["issuer-not-certified"]
        assert codes(scene, good, CertifiedAlone(FirstTrust(pinned, TRUST))) == [
            "issuer-not-certified"
        ]
        assert verify(scene, good, CertifiedAlone(TRUST)).shown
        assert verify(scene, good, CertifiedAlone(AllTrust(pinned, TRUST))).shown

    def test_a_list_is_not_certified_by_its_credential(self, scene: Scene) -> None:
        good = warranty(scene, BRAND)

        assert verify(scene, good, TRUST).shown
        scene.statuses = Statuses(scene.brand)
        assert codes(scene, good, CertifiedAlone(TRUST)) == [
            "status-list-issuer-certificate-missing"
        ]

    def test_it_ends_with_what_it_rests_on(self) -> None:
        assert CertifiedAlone(TRUST).ends(NOON) == TRUST.ends(NOON)
