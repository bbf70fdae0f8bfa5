"""Attacks on a presentation, by the names people know them under: one reason each.

The names follow the conformance suite's verifier modules and the security
sections of RFC 9901 and OpenID4VP 1.0.
"""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pytest
from counterfoil_credentials.claims import ClaimPath
from counterfoil_credentials.encoding import b64url, from_b64url
from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.requests import PresentationRequest
from counterfoil_credentials.sdjwt import SdJwt, disclose

from tests.verifier.scene import ASKED, DAY, MINUTE, SECOND, Scene, warranty_claims


@pytest.fixture
def scene(clock: Callable[[], datetime], random_bytes: Callable[[int], bytes]) -> Scene:
    return Scene(clock, random_bytes)


def codes(scene: Scene, presentation: SdJwt | str, request: PresentationRequest) -> list[str]:
    """Verify, and give the reasons; an accepted attack fails the test."""
    with pytest.raises(CounterfoilError) as error:
        scene.verifier.verify({"warranty": (str(presentation),)}, request, now=scene.clock())
    if isinstance(error.value, Refused):
        return error.value.codes
    assert isinstance(error.value, Malformed)
    return ["malformed"]


def answer(
    scene: Scene,
    request: PresentationRequest,
    *,
    credential: SdJwt | None = None,
    paths: Sequence[ClaimPath] = ASKED,
    **changes: object,
) -> SdJwt:
    vp_token = scene.present(credential or scene.warranty(), request, paths=paths, **changes)
    return SdJwt.parse(vp_token["warranty"][0])


def rebind(scene: Scene, request: PresentationRequest, sd_jwt: SdJwt) -> SdJwt:
    """Bind changed content again, as an attacker who owns the holder's key would."""
    presentation = bind(
        SdJwt(sd_jwt.issuer_jwt, sd_jwt.disclosures),
        signer=scene.holder,
        audience=request.client_id,
        nonce=request.nonce,
        now=scene.clock(),
    )
    return SdJwt.parse(presentation)


def with_header(token: str, **changes: object) -> str:
    head, *rest = token.split(".")
    header = {**json.loads(from_b64url(head, "header")), **changes}
    return ".".join([b64url(json.dumps(header).encode()), *rest])


def with_claims(token: str, **changes: object) -> str:
    head, payload, signature = token.split(".")
    claims = {**json.loads(from_b64url(payload, "payload")), **changes}
    return ".".join([head, b64url(json.dumps(claims).encode()), signature])


def with_signature(token: str, signature: bytes) -> str:
    return f"{token.rsplit('.', 1)[0]}.{b64url(signature)}"


def test_the_honest_answer_that_every_attack_starts_from_is_accepted(scene: Scene) -> None:
    request = scene.request()
    presentation = str(rebind(scene, request, answer(scene, request)))

    scene.verifier.verify({"warranty": (presentation,)}, request, now=scene.clock())


def test_wrong_nonce(scene: Scene) -> None:
    request, earlier = scene.request(), scene.request()

    assert codes(scene, answer(scene, earlier), request) == ["nonce-mismatch"]


def test_wrong_audience_is_anything_but_the_full_client_id(scene: Scene) -> None:
    request = scene.request()
    full = request.client_id

    for audience in (full.removeprefix("decentralized_identifier:"), f"{full}#0", full[:-1], ""):
        presentation = answer(scene, request, audience=audience)
        assert codes(scene, presentation, request) == ["audience-mismatch"]


def test_an_answer_made_for_another_shop(
    scene: Scene, clock: Callable[[], datetime], random_bytes: Callable[[int], bytes]
) -> None:
    other = Scene(clock, random_bytes)
    other.brand, other.holder = scene.brand, scene.holder
    for_the_other = answer(other, other.request())

    assert codes(scene, for_the_other, scene.request()) == ["audience-mismatch", "nonce-mismatch"]


def test_key_binding_stripped(scene: Scene) -> None:
    request = scene.request()
    stripped = answer(scene, request).without_key_binding()

    assert codes(scene, stripped, request) == ["key-binding-missing"]


def test_key_binding_by_another_key(scene: Scene) -> None:
    request = scene.request()
    by_a_thief = answer(scene, request, signer=MemorySigner.generate())

    assert codes(scene, by_a_thief, request) == ["key-binding-signature-invalid"]


def test_key_binding_signature_changed(scene: Scene) -> None:
    request = scene.request()
    good = answer(scene, request)
    assert good.key_binding is not None
    signature = bytearray(from_b64url(good.key_binding.rsplit(".", 1)[1], "signature"))
    signature[-1] ^= 1
    changed = with_signature(good.key_binding, bytes(signature))

    assert codes(scene, SdJwt(good.issuer_jwt, good.disclosures, changed), request) == [
        "key-binding-signature-invalid"
    ]


def test_key_binding_of_another_presentation(scene: Scene) -> None:
    """The proof was made for fewer facts; sd_hash notices."""
    request = scene.request()
    credential = scene.warranty()
    small = answer(scene, request, credential=credential)
    large = disclose(credential, [*ASKED, ("price",)])

    assert codes(scene, SdJwt(large.issuer_jwt, large.disclosures, small.key_binding), request) == [
        "sd-hash-mismatch",
        "discloses-too-much",
    ]


def test_key_binding_too_old_and_at_the_edge(scene: Scene) -> None:
    request = scene.request()
    scene.verifier.verify(
        scene.present(scene.warranty(), request, now=scene.clock() - 5 * MINUTE),
        request,
        now=scene.clock(),
    )
    old = answer(scene, request, now=scene.clock() - 5 * MINUTE - SECOND)

    assert codes(scene, old, request) == ["key-binding-too-old"]


def test_key_binding_from_the_future(scene: Scene) -> None:
    request = scene.request()
    early = answer(scene, request, now=scene.clock() + MINUTE + SECOND)

    assert codes(scene, early, request) == ["key-binding-from-the-future"]


def test_another_token_of_the_holder_in_the_key_bindings_place(scene: Scene) -> None:
    """Token-type confusion: a proof for an issuer is no proof for a shop (RFC 8725, 3.11)."""
    request = scene.request()
    good = answer(scene, request)
    proof = sign_jws(
        {"aud": request.client_id, "nonce": request.nonce, "iat": int(scene.clock().timestamp())},
        typ="openid4vci-proof+jwt",
        signer=scene.holder,
    )

    assert codes(scene, SdJwt(good.issuer_jwt, good.disclosures, proof), request) == [
        "token-type-mismatch"
    ]


def test_a_credential_without_a_holders_key_is_nobodys(scene: Scene) -> None:
    request = scene.request()
    unbound = scene.warranty(holder=None)

    assert codes(scene, answer(scene, request, credential=unbound), request) == [
        "holder-key-missing"
    ]


def test_issuer_signature_changed(scene: Scene) -> None:
    request = scene.request()
    good = answer(scene, request)
    signature = bytearray(from_b64url(good.issuer_jwt.rsplit(".", 1)[1], "signature"))
    signature[0] ^= 1
    changed = SdJwt(with_signature(good.issuer_jwt, bytes(signature)), good.disclosures)

    assert codes(scene, rebind(scene, request, changed), request) == ["signature-invalid"]


@pytest.mark.parametrize("claim", ["valid_until", "vct", "cnf", "exp", "status"])
def test_issuer_claims_changed(scene: Scene, claim: str) -> None:
    request = scene.request()
    good = answer(scene, request)
    other: dict[str, Any] = {
        "valid_until": "2099-12-31",
        "vct": request.query.credentials[0].vct_values[0],
        "cnf": {"jwk": MemorySigner.generate().public.jwk()},
        "exp": 9_999_999_999,
        "status": {"status_list": {"idx": 6, "uri": "https://audio.example/status-lists/1"}},
    }
    changed = SdJwt(with_claims(good.issuer_jwt, **{claim: other[claim], "x": 1}), good.disclosures)

    assert codes(scene, rebind(scene, request, changed), request) == ["signature-invalid"]
    assert scene.brand.fetches == 0


def test_issuer_key_borrowed_from_a_thief(scene: Scene) -> None:
    """The right name and key id over another's signature."""
    request = scene.request()
    forged = scene.warranty(
        signer=MemorySigner.generate(), header={"kid": scene.brand.signer.public.thumbprint()}
    )

    assert codes(scene, answer(scene, request, credential=forged), request) == ["signature-invalid"]


def test_issuer_that_nobody_trusts(scene: Scene) -> None:
    request = scene.request()
    strange = scene.warranty(issuer="https://audio-example.example", signer=MemorySigner.generate())

    assert codes(scene, answer(scene, request, credential=strange), request) == [
        "issuer-not-trusted"
    ]


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES384", "RS256", "EdDSA"])
def test_another_algorithm_in_the_credentials_header(scene: Scene, algorithm: str) -> None:
    request = scene.request()
    good = answer(scene, request)
    confused = SdJwt(with_header(good.issuer_jwt, alg=algorithm), good.disclosures)

    assert codes(scene, rebind(scene, request, confused), request) == ["algorithm-not-allowed"]


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_another_algorithm_in_the_key_bindings_header(scene: Scene, algorithm: str) -> None:
    request = scene.request()
    good = answer(scene, request)
    assert good.key_binding is not None
    confused = SdJwt(
        good.issuer_jwt, good.disclosures, with_header(good.key_binding, alg=algorithm)
    )

    assert codes(scene, confused, request) == ["key-binding-signature-invalid"]


def test_hmac_with_the_public_key_as_the_secret(scene: Scene) -> None:
    import hashlib
    import hmac

    request = scene.request()
    good = answer(scene, request)
    confused = with_header(good.issuer_jwt, alg="HS256")
    signing_input = confused.rsplit(".", 1)[0].encode()
    secret = json.dumps(scene.brand.signer.public.jwk()).encode()
    forged = with_signature(confused, hmac.new(secret, signing_input, hashlib.sha256).digest())

    assert codes(scene, rebind(scene, request, SdJwt(forged, good.disclosures)), request) == [
        "algorithm-not-allowed"
    ]


@pytest.mark.parametrize("typ", ["vc+sd-jwt", "JWT", "kb+jwt", "DC+SD-JWT", None])
def test_another_type_in_the_credentials_header(scene: Scene, typ: str | None) -> None:
    request = scene.request()
    good = answer(scene, request)
    other = SdJwt(with_header(good.issuer_jwt, typ=typ), good.disclosures)

    assert codes(scene, rebind(scene, request, other), request) == ["token-type-mismatch"]


@pytest.mark.parametrize("header", ["jku", "x5u", "crit"])
def test_a_header_that_brings_its_own_key(scene: Scene, header: str) -> None:
    request = scene.request()
    good = answer(scene, request)
    other = SdJwt(with_header(good.issuer_jwt, **{header: ["exp"]}), good.disclosures)

    assert codes(scene, rebind(scene, request, other), request) == ["malformed"]


def test_a_key_in_the_credentials_own_header_is_ignored(scene: Scene) -> None:
    request = scene.request()
    thief = MemorySigner.generate()
    forged = scene.warranty(
        signer=thief,
        header={"kid": scene.brand.signer.public.thumbprint(), "jwk": thief.public.jwk()},
    )

    assert codes(scene, answer(scene, request, credential=forged), request) == ["signature-invalid"]


def test_a_disclosure_that_nothing_refers_to(scene: Scene) -> None:
    request = scene.request()
    good = answer(scene, request)
    invented = b64url(b'["c2FsdA","valid_until","2099-12-31"]')
    smuggled = SdJwt(good.issuer_jwt, (*good.disclosures, invented))

    assert codes(scene, rebind(scene, request, smuggled), request) == ["disclosure-unreferenced"]


def test_a_disclosure_twice(scene: Scene) -> None:
    request = scene.request()
    credential = scene.warranty()
    good = disclose(credential, [("price",)])
    doubled = SdJwt(good.issuer_jwt, good.disclosures * 2)

    assert codes(scene, rebind(scene, request, doubled), request) == ["disclosure-duplicate"]


@pytest.mark.parametrize("name", ["exp", "nbf", "cnf", "status", "vct", "iss"])
def test_a_registered_claim_hidden_among_the_disclosures(scene: Scene, name: str) -> None:
    """RFC 9901, section 9.7: a holder who can hide `exp` has no end."""
    request = scene.request()
    hidden = b64url(json.dumps(["c2FsdA", name, 1]).encode())
    from counterfoil_credentials.sdjwt import digest

    good = scene.warranty()
    payload = json.loads(from_b64url(good.issuer_jwt.split(".")[1], "payload"))
    payload.pop(name, None)
    payload["_sd"] = [digest(hidden)]
    signed = sign_jws(
        payload,
        typ="dc+sd-jwt",
        signer=scene.brand.signer,
        header={"kid": scene.brand.signer.public.thumbprint()},
    )

    assert codes(scene, rebind(scene, request, SdJwt(signed, (hidden,))), request) == ["malformed"]


def test_a_required_claim_left_out(scene: Scene) -> None:
    request = scene.request()
    concealable = scene.warranty(concealed=[("item", "serial"), ("price",)])
    withheld = answer(
        scene, request, credential=concealable, paths=[("item", "name"), ("valid_until",)]
    )

    assert codes(scene, withheld, request) == ["claim-missing"]


def test_expired_and_not_yet_valid(scene: Scene) -> None:
    request = scene.request()
    expired = scene.warranty(expires_at=scene.clock() - MINUTE)
    payload_of_the_future = scene.warranty(claims={**warranty_claims()})
    payload = json.loads(from_b64url(payload_of_the_future.issuer_jwt.split(".")[1], "payload"))
    payload["nbf"] = int((scene.clock() + DAY).timestamp())
    future = SdJwt(
        sign_jws(
            payload,
            typ="dc+sd-jwt",
            signer=scene.brand.signer,
            header={"kid": scene.brand.signer.public.thumbprint()},
        ),
        (),
    )

    assert codes(scene, answer(scene, request, credential=expired), request) == ["expired"]
    assert codes(scene, rebind(scene, request, future), request) == ["not-yet-valid"]


def test_a_tower_of_disclosures_exhausts_nothing(scene: Scene) -> None:
    """Each disclosure hides the next: depth, bounded in each, must be bounded in all."""
    from counterfoil_credentials.sdjwt import digest

    request = scene.request()
    tower: list[str] = [b64url(b'["c2FsdA","x",1]')]
    for _ in range(998):
        level: list[Any] = ["c2FsdA", "x", {"_sd": [digest(tower[-1])]}]
        tower.append(b64url(json.dumps(level).encode()))
    good = scene.warranty()
    payload = json.loads(from_b64url(good.issuer_jwt.split(".")[1], "payload"))
    payload["_sd"] = [digest(tower[-1])]
    signed = sign_jws(payload, typ="dc+sd-jwt", signer=MemorySigner.generate())

    assert codes(scene, f"{signed}~{'~'.join(tower)}~", request) in (
        ["malformed"],
        ["issuer-key-unknown"],
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "~",
        "~~~~",
        "\x00",
        "🔑",
        "a.b.c~",
        "e30.e30.AA~",
        "x" * 300_000,
        "~" * 5_000,
        "." * 10_000 + "~",
    ],
    ids=lambda text: repr(text[:8]),
)
def test_garbage_is_malformed_and_never_a_crash(scene: Scene, text: str) -> None:
    assert codes(scene, text, scene.request()) == ["malformed"]
