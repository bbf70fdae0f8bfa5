"""What a holder may write into an answer, with a brand in league or careless: one reason each."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from counterfoil_credentials.dcql import ClaimQuery, CredentialQuery, DcqlQuery
from counterfoil_credentials.encoding import Json, b64url, from_b64url
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.key_binding import transaction_data_hash
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.requests import PresentationRequest
from counterfoil_credentials.sdjwt import SdJwt, digest, unverified_payload
from counterfoil_credentials.spec import SD_JWT_VC_TYP
from counterfoil_verifier import NotOpen, transaction_data

from tests.hostile.test_presentation_attacks import answer, codes, rebind
from tests.verifier.scene import WARRANTY_TYPE, Scene

N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture
def scene(clock: Any, random_bytes: Any) -> Scene:  # noqa: ANN401  # the suite's own fixtures
    return Scene(clock, random_bytes)


def signed(scene: Scene, payload: Mapping[str, Json], *disclosures: str) -> SdJwt:
    """Give a credential over `payload` with a good signature of the brand."""
    header = {"kid": scene.brand.signer.public.thumbprint()}
    token = sign_jws({**payload}, typ=SD_JWT_VC_TYP, signer=scene.brand.signer, header=header)
    return SdJwt(token, disclosures)


def good_payload(scene: Scene) -> dict[str, Json]:
    return dict(unverified_payload(scene.warranty(concealed=[])))


def concealing(payload: Mapping[str, Json], *hidden: str) -> dict[str, Json]:
    digests: list[Json] = [digest(one) for one in hidden]
    return {**payload, "_sd": digests}


def disclosure(*contents: Json) -> str:
    return b64url(json.dumps([*contents]).encode())


# Disclosures (RFC 9901, section 7.1).


@pytest.mark.parametrize("name", ["_sd", "...", "_sd_alg"])
def test_a_disclosure_under_a_reserved_name(scene: Scene, name: str) -> None:
    request = scene.request()
    hidden = disclosure("salt", name, ["x"])
    payload = concealing(good_payload(scene), hidden)

    # `_sd_alg` is reserved at every level, although it means something at the top alone.
    assert codes(scene, rebind(scene, request, signed(scene, payload, hidden)), request) == [
        "malformed"
    ]


def test_a_disclosure_that_shadows_a_claim(scene: Scene) -> None:
    """The open claim says that the warranty ended; the hidden one that it did not."""
    request = scene.request()
    hidden = disclosure("salt", "valid_until", "2099-12-31")
    payload = concealing({**good_payload(scene), "valid_until": "2020-01-01"}, hidden)

    assert codes(scene, rebind(scene, request, signed(scene, payload, hidden)), request) == [
        "malformed"
    ]


def test_two_disclosures_of_one_name(scene: Scene) -> None:
    request = scene.request()
    one = disclosure("a", "valid_until", "2020-01-01")
    other = disclosure("b", "valid_until", "2099-12-31")
    payload = concealing(good_payload(scene), one, other)
    payload.pop("valid_until")

    assert codes(scene, rebind(scene, request, signed(scene, payload, one, other)), request) == [
        "malformed"
    ]


def test_a_digest_in_two_places(scene: Scene) -> None:
    request = scene.request()
    hidden = disclosure("salt", "price", "1.00")
    payload = concealing(good_payload(scene), hidden)
    payload["buyer"] = concealing({}, hidden)
    payload.pop("price")

    assert codes(scene, rebind(scene, request, signed(scene, payload, hidden)), request) == [
        "digest-duplicate"
    ]


@pytest.mark.parametrize("name", ["sha-1", "md5", "sha-512", "", None])
def test_another_hash_for_the_digests(scene: Scene, name: str | None) -> None:
    request = scene.request()
    payload = {**good_payload(scene), "_sd_alg": name}

    assert codes(scene, rebind(scene, request, signed(scene, payload)), request) == [
        "hash-algorithm-unknown"
    ]


def test_a_disclosure_in_another_spelling(scene: Scene) -> None:
    """The digest is over the text: other white space, or padding, is another disclosure."""
    request = scene.request()
    good = answer(scene, request, paths=[("price",), ("valid_until",)])
    (sent,) = good.disclosures
    contents = json.loads(from_b64url(sent, "disclosure"))
    for spelled in (b64url(json.dumps(contents, indent=1).encode()), f"{sent}="):
        changed = rebind(scene, request, SdJwt(good.issuer_jwt, (spelled,)))
        assert codes(scene, changed, request) in (["disclosure-unreferenced"], ["malformed"])


# The holder's proof.


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["all", "of", "them"]},
        {"aud": None},
        {"nonce": 7},
        {"nonce": None},
        {"sd_hash": None},
        {"iat": "now"},
        {"iat": 1e3},
        {"iat": True},
        {"iat": None},
        {"exp": "never"},
        {"transaction_data_hashes": "x"},
    ],
    ids=str,
)
def test_a_proof_with_a_member_of_another_kind(scene: Scene, changes: dict[str, Json]) -> None:
    request = scene.request()

    assert codes(scene, proved(scene, request, **changes), request) == ["malformed"]


def proved(scene: Scene, request: PresentationRequest, **changes: Json) -> SdJwt:
    """Give an answer whose proof has `changes`, signed by its holder; None leaves out."""
    good = answer(scene, request)
    assert good.key_binding is not None
    claims = json.loads(from_b64url(good.key_binding.split(".")[1], "payload"))
    changed = {name: value for name, value in {**claims, **changes}.items() if value is not None}
    proof = sign_jws(changed, typ="kb+jwt", signer=scene.holder)
    return SdJwt(good.issuer_jwt, good.disclosures, proof)


def test_a_proof_that_says_itself_that_it_has_ended(scene: Scene) -> None:
    request = scene.request()
    ended = int(scene.clock().timestamp()) - 61

    assert codes(scene, proved(scene, request, exp=ended), request) == ["key-binding-too-old"]


@pytest.mark.parametrize("iat", [-1, 0, 2**53 - 1, 10**30])
def test_a_proof_from_the_end_of_time(scene: Scene, iat: int) -> None:
    request = scene.request()

    (code,) = codes(scene, proved(scene, request, iat=iat), request)
    assert code in ("key-binding-too-old", "key-binding-from-the-future", "malformed")


def test_a_member_twice_in_the_proof(scene: Scene) -> None:
    """Of two audiences the holder shows one to the person and one to the machine."""
    request = scene.request()
    good = answer(scene, request)
    assert good.key_binding is not None
    head, payload, _ = good.key_binding.split(".")
    text = from_b64url(payload, "payload").decode()
    doubled = b64url(f'{{"aud":"elsewhere",{text[1:]}'.encode())
    signature = scene.holder.sign(f"{head}.{doubled}".encode())
    proof = f"{head}.{doubled}.{b64url(signature)}"

    assert codes(scene, SdJwt(good.issuer_jwt, good.disclosures, proof), request) == ["malformed"]


def test_the_credential_itself_in_the_proofs_place(scene: Scene) -> None:
    request = scene.request()
    good = answer(scene, request)

    assert codes(scene, SdJwt(good.issuer_jwt, good.disclosures, good.issuer_jwt), request) == [
        "token-type-mismatch"
    ]


def test_a_proof_in_the_credentials_place(scene: Scene) -> None:
    request = scene.request()
    good = answer(scene, request)
    assert good.key_binding is not None

    assert codes(scene, SdJwt(good.key_binding, (), good.key_binding), request) == [
        "token-type-mismatch"
    ]


def test_a_signature_of_zeros_and_one_in_another_encoding(scene: Scene) -> None:
    request = scene.request()
    good = answer(scene, request)
    assert good.key_binding is not None
    words, _, signature = good.key_binding.rpartition(".")
    raw = from_b64url(signature, "signature")
    r = raw[:32].lstrip(b"\0")
    der = bytes([0x30, 68, 2, 32]) + r.rjust(32, b"\0") + bytes([2, 32]) + raw[32:]
    for spoiled in (bytes(64), b"\xff" * 64, raw[:63], raw + b"\0", b"", der):
        proof = f"{words}.{b64url(spoiled)}"
        assert codes(scene, SdJwt(good.issuer_jwt, good.disclosures, proof), request) == [
            "key-binding-signature-invalid"
        ]


def test_the_second_signature_that_anybody_can_make_of_the_first_answers_nothing_twice(
    scene: Scene,
) -> None:
    """(r, n - s) is as good as (r, s): what is once is the session, not the text."""
    asked = scene.counter.ask("warranty")
    request_id, form = scene.answer(asked)
    scene.counter.receive(request_id, form)
    (token,) = json.loads(form["vp_token"])["warranty"]
    words, _, signature = token.rpartition(".")
    raw = from_b64url(signature, "signature")
    other = raw[:32] + (N - int.from_bytes(raw[32:])).to_bytes(32)
    twin = f"{words}.{b64url(other)}"
    assert twin != token

    with pytest.raises(NotOpen) as refused:
        scene.counter.receive(request_id, {**form, "vp_token": json.dumps({"warranty": [twin]})})
    assert refused.value.codes == ["already-answered"]


# The holder's key in the credential, where the brand was careless.


@pytest.mark.parametrize(
    "cnf",
    [
        {},
        {"kid": "1"},
        {"jku": "https://holder.example/keys"},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"jwk": {"kty": "EC", "crv": "P-256", "x": b64url(b"\1" * 32), "y": b64url(b"\2" * 32)}},
        {"jwk": {**MemorySigner.generate().public.jwk(), "d": b64url(b"\1" * 32)}},
        "a key",
    ],
    ids=str,
)
def test_a_holders_key_that_is_none(scene: Scene, cnf: Json) -> None:
    request = scene.request()
    payload = {**good_payload(scene), "cnf": cnf}

    assert codes(scene, rebind(scene, request, signed(scene, payload)), request) == ["malformed"]


# What was asked (OpenID4VP 1.0, sections 6.4 and 8.4).


def test_a_wallet_that_passes_over_the_values_that_were_asked_for(scene: Scene) -> None:
    query = CredentialQuery(
        "warranty",
        (WARRANTY_TYPE,),
        (ClaimQuery(("item", "serial"), values=("A1-0002",)), ClaimQuery(("valid_until",))),
    )
    request = scene.request(query=DcqlQuery((query,)))
    right = replace(query, claims=(ClaimQuery(("item", "serial"), values=("A1-0001",)),))

    assert codes(scene, answer(scene, request), request) == ["claim-missing"]
    fitting = replace(request, query=DcqlQuery((right,)))
    shown = {"warranty": (str(answer(scene, fitting)),)}
    assert scene.verifier.verify(shown, fitting, now=scene.clock()).claims


def test_another_transaction_than_the_one_on_the_screen(scene: Scene) -> None:
    agreed, dearer = (
        transaction_data("com.example.pay", ["warranty"], {"amount": amount})
        for amount in ("1.00", "999.00")
    )
    request = scene.request(transaction_data=(dearer,))
    good = answer(scene, request, transaction_data_hashes=[transaction_data_hash(dearer)])
    shown = {"warranty": (str(good),)}
    assert scene.verifier.verify(shown, request, now=scene.clock()).claims

    for hashes in ([agreed], [], [dearer, agreed]):
        signed_other = answer(
            scene, request, transaction_data_hashes=[transaction_data_hash(one) for one in hashes]
        )
        assert codes(scene, signed_other, request) == ["transaction-data-mismatch"]


def test_a_transaction_hashed_after_it_was_decoded(scene: Scene) -> None:
    element = transaction_data("com.example.pay", ["warranty"], {"amount": "1.00"})
    request = scene.request(transaction_data=(element,))
    decoded = from_b64url(element, "element").decode()
    hashed = answer(scene, request, transaction_data_hashes=[transaction_data_hash(decoded)])

    assert codes(scene, hashed, request) == ["transaction-data-mismatch"]


def test_another_hash_for_the_transaction(scene: Scene) -> None:
    element = transaction_data("com.example.pay", ["warranty"])
    request = scene.request(transaction_data=(element,))
    named: dict[str, Json] = {
        "transaction_data_hashes": [transaction_data_hash(element)],
        "transaction_data_hashes_alg": "sha-512",
    }

    assert codes(scene, proved(scene, request, **named), request) == ["transaction-data-mismatch"]
