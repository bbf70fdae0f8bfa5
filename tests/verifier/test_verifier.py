"""The decision: what is accepted, in which order things are asked, and what is gathered."""

from dataclasses import replace

import pytest
from counterfoil_credentials.encoding import Json
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.sdjwt import SdJwt, unverified_payload
from counterfoil_credentials.spec import SD_JWT_VC_TYP
from counterfoil_verifier import (
    Accepted,
    AllOf,
    AnyOf,
    BoundToHolder,
    CouldNotCheck,
    DateNotPassed,
    NotRevoked,
    PinnedTrust,
    Policy,
    TrustedIssuer,
    Verifier,
)

from tests.verifier.scene import (
    DAY,
    INDEX,
    ISSUER,
    MINUTE,
    NOON,
    RECEIPT_TYPE,
    WARRANTY_TYPE,
    Scene,
    warranty_claims,
)


def refusal(scene: Scene, presentation: dict[str, tuple[str, ...]], **request: object) -> list[str]:
    asked = scene.request(**request)
    with pytest.raises(Refused) as refused:
        scene.verifier.verify(presentation, asked, now=scene.clock())
    return refused.value.codes


def test_accepts_a_good_warranty_and_gives_its_claims(scene: Scene) -> None:
    request = scene.request()

    accepted = scene.verifier.verify(
        scene.present(scene.warranty(), request), request, now=scene.clock()
    )

    claims = accepted.claims["warranty"]
    assert claims["item"] == warranty_claims()["item"]
    assert claims["valid_until"] == "2028-11-02"
    assert "price" not in claims
    assert claims["buyer"] == {}
    assert accepted.checked_at == NOON
    assert accepted.status_as_of == NOON


def test_gathers_every_reason_after_the_signature(scene: Scene) -> None:
    scene.brand.listed[INDEX] = 1
    request = scene.request()
    ended = scene.warranty(claims=warranty_claims(valid_until="2026-11-01"), expires_at=NOON - DAY)
    presentation = scene.present(ended, request, audience="elsewhere", nonce="another")

    with pytest.raises(Refused) as refused:
        scene.verifier.verify(presentation, request, now=scene.clock())

    assert refused.value.codes == [
        "audience-mismatch",
        "nonce-mismatch",
        "expired",
        "revoked",
        "warranty-ended",
    ]


def test_asks_nobody_about_a_forged_credential(scene: Scene) -> None:
    request = scene.request()
    forged = scene.warranty(signer=MemorySigner.generate())

    with pytest.raises(Refused) as refused:
        scene.verifier.verify(scene.present(forged, request), request, now=scene.clock())

    assert refused.value.codes == ["issuer-key-unknown"]
    assert scene.brand.fetches == 0


def test_a_known_no_outweighs_an_open_question(scene: Scene) -> None:
    scene.brand.is_reachable = False
    request = scene.request()
    ended = scene.warranty(claims=warranty_claims(valid_until="2026-11-01"))

    with pytest.raises(Refused) as refused:
        scene.verifier.verify(scene.present(ended, request), request, now=scene.clock())

    assert refused.value.codes == ["warranty-ended"]


def test_an_open_question_is_no_yes_and_no_no(scene: Scene) -> None:
    scene.brand.is_reachable = False
    request = scene.request()

    with pytest.raises(Unavailable) as unavailable:
        scene.verifier.verify(scene.present(scene.warranty(), request), request, now=scene.clock())

    assert isinstance(unavailable.value, CouldNotCheck)
    assert unavailable.value.codes == ["status-unreachable"]


def test_refuses_a_warranty_that_ended_yesterday_and_accepts_its_last_day(scene: Scene) -> None:
    request = scene.request()
    today = scene.warranty(claims=warranty_claims(valid_until="2026-11-02"))
    yesterday = scene.warranty(claims=warranty_claims(valid_until="2026-11-01"))

    scene.verifier.verify(scene.present(today, request), request, now=scene.clock())
    with pytest.raises(Refused) as refused:
        scene.verifier.verify(scene.present(yesterday, request), request, now=scene.clock())

    assert refused.value.codes == ["warranty-ended"]


@pytest.mark.parametrize("ends", [None, 20281102, "2028-13-01", "2028-11-02T00:00", "soon"])
def test_refuses_a_warranty_without_a_readable_last_day(
    scene: Scene, ends: str | int | None
) -> None:
    request = scene.request()
    presentation = scene.present(scene.warranty(claims=warranty_claims(valid_until=ends)), request)

    with pytest.raises(Refused) as refused:
        scene.verifier.verify(presentation, request, now=scene.clock())

    assert refused.value.codes == ["date-malformed"]


@pytest.mark.parametrize(
    "policy",
    [AllOf(), AnyOf(), AllOf(AnyOf()), AnyOf(AllOf(), AllOf())],
    ids=["all of nothing", "any of nothing", "nested", "several"],
)
def test_an_empty_policy_accepts_nothing(scene: Scene, policy: Policy) -> None:
    request = scene.request()
    presentation = scene.present(scene.warranty(), request)

    with pytest.raises(Refused) as refused:
        Verifier(policy, scene.trust, scene.statuses).verify(
            presentation, request, now=scene.clock()
        )

    assert set(refused.value.codes) == {"policy-empty"}


@pytest.mark.parametrize("policy", [NotRevoked(max_age=DAY), BoundToHolder()])
def test_the_holders_proof_is_demanded_whatever_the_policy_says(
    scene: Scene, policy: Policy
) -> None:
    request = scene.request()
    bound = scene.present(scene.warranty(), request)["warranty"][0]
    without_proof = bound[: bound.rindex("~") + 1]

    with pytest.raises(Refused) as refused:
        Verifier(policy, scene.trust, scene.statuses).verify(
            {"warranty": (without_proof,)}, request, now=scene.clock()
        )

    assert refused.value.codes == ["key-binding-missing"]


def test_each_answer_has_one_presentation_for_each_query(scene: Scene) -> None:
    request = scene.request()
    good = scene.present(scene.warranty(), request)["warranty"][0]

    assert refusal(scene, {}) == ["credential-missing"]
    assert refusal(scene, {"warranty": ()}) == ["credential-missing"]
    assert refusal(scene, {"warranty": (good, good)}) == ["credential-repeated"]
    assert refusal(scene, {"warranty": (good,), "receipt": (good,)}) == ["credential-not-asked-for"]


def test_refuses_an_answer_once_the_request_has_expired(scene: Scene) -> None:
    request = scene.request()
    presentation = scene.present(scene.warranty(), request)

    assert refusal(scene, presentation, expires_at=NOON) == ["request-expired"]


def test_evaluates_the_query_again_on_what_arrived(scene: Scene) -> None:
    """The wallet's word that this answers the query is not enough."""
    request = scene.request()
    incomplete = warranty_claims()
    incomplete["item"] = {"name": "Auricle One"}
    of_another_type = replace(
        request.query.credentials[0], vct_values=("https://audio.example/types/other",)
    )
    other_query = replace(request, query=replace(request.query, credentials=(of_another_type,)))

    with pytest.raises(Refused) as without_serial:
        scene.verifier.verify(
            scene.present(scene.warranty(claims=incomplete), request), request, now=scene.clock()
        )
    with pytest.raises(Refused) as another_type:
        scene.verifier.verify(
            scene.present(scene.warranty(), request), other_query, now=scene.clock()
        )

    assert without_serial.value.codes == ["claim-missing"]
    assert another_type.value.codes == ["type-not-asked-for"]


def test_refuses_facts_that_nobody_asked_for(scene: Scene) -> None:
    request = scene.request()
    presentation = scene.present(
        scene.warranty(), request, paths=[("item",), ("valid_until",), ("price",)]
    )

    with pytest.raises(Refused) as refused:
        scene.verifier.verify(presentation, request, now=scene.clock())

    assert refused.value.codes == ["discloses-too-much"]


def test_a_reason_says_for_which_credential_it_stands(scene: Scene) -> None:
    request = scene.request()
    presentation = scene.present(scene.warranty(), request, nonce="another")

    with pytest.raises(Refused) as refused:
        scene.verifier.verify(presentation, request, now=scene.clock())

    assert [reason.where for reason in refused.value.reasons] == ["warranty: kb_jwt.nonce"]


def test_what_is_no_presentation_is_malformed(scene: Scene) -> None:
    for text in ("", "x", "a.b.c", "a.b.c~", "~", "e30.e30.e30~"):
        with pytest.raises(Malformed):
            scene.verifier.verify({"warranty": (text,)}, scene.request(), now=scene.clock())


def test_no_reason_holds_a_claim_value(scene: Scene) -> None:
    scene.brand.listed[INDEX] = 2
    request = scene.request()
    planted = warranty_claims(valid_until="2026-10-31", price="planted-price")
    planted["item"] = {"name": "planted-name"}
    presentation = scene.present(
        scene.warranty(claims=planted), request, paths=[("price",)], nonce="planted-nonce"
    )

    with pytest.raises(Refused) as refused:
        scene.verifier.verify(presentation, request, now=scene.clock())

    assert len(refused.value.reasons) >= 5
    text = str(refused.value)
    for value in ("planted", "2026-10-31", request.nonce):
        assert value not in text


def test_another_type_of_a_trusted_issuer_is_not_trusted(scene: Scene) -> None:
    request = scene.request()

    with pytest.raises(Refused) as other_type:
        scene.verifier.verify(
            scene.present(scene.warranty(vct=RECEIPT_TYPE), request), request, now=scene.clock()
        )
    with pytest.raises(Refused) as stranger:
        scene.verifier.verify(
            scene.present(scene.warranty(issuer=f"{ISSUER}.evil"), request),
            request,
            now=scene.clock(),
        )

    assert other_type.value.codes == ["issuer-not-trusted-for-type"]
    assert stranger.value.codes == ["issuer-not-trusted"]


def test_a_further_type_counts_only_where_the_issuer_is_trusted_for_it(scene: Scene) -> None:
    request = scene.request()
    renamed = scene.warranty(vct=RECEIPT_TYPE, aka_vcts=[WARRANTY_TYPE])
    keys = (scene.brand.signer.public,)

    def verified(*vcts: str) -> Accepted:
        trust = PinnedTrust([TrustedIssuer(issuer=ISSUER, vcts=frozenset(vcts), keys=keys)])
        return Verifier(BoundToHolder(max_age=MINUTE), trust, scene.statuses).verify(
            scene.present(renamed, request), request, now=scene.clock()
        )

    assert verified(RECEIPT_TYPE, WARRANTY_TYPE).claims
    with pytest.raises(Refused) as refused:
        verified(RECEIPT_TYPE)
    assert refused.value.codes == ["type-not-asked-for"]


@pytest.mark.parametrize("others", ["https://other.example", ["https://other.example"], []])
def test_refuses_a_credential_that_is_for_another_shop(scene: Scene, others: Json) -> None:
    request = scene.request()

    def verify(aud: Json) -> Accepted:
        warranty = scene.warranty(signer=scene.brand.signer, claims=warranty_claims())
        payload = {**unverified_payload(warranty), "aud": aud}
        header = {"kid": scene.brand.signer.public.thumbprint()}
        token = sign_jws(payload, typ=SD_JWT_VC_TYP, signer=scene.brand.signer, header=header)
        spoiled = SdJwt(token, warranty.disclosures)
        return scene.verifier.verify(scene.present(spoiled, request), request, now=scene.clock())

    assert verify(request.client_id).claims
    assert verify(["https://other.example", request.client_id]).claims
    with pytest.raises(Refused) as refused:
        verify(others)
    assert refused.value.codes == ["audience-mismatch"]


def test_one_wrong_answer_among_several_is_enough(scene: Scene) -> None:
    """Every credential of a request must hold; the reasons of all are gathered."""
    request = scene.request()
    first = request.query.credentials[0]
    twice = replace(
        request, query=replace(request.query, credentials=(first, replace(first, id="second")))
    )
    good = scene.present(scene.warranty(), twice)["warranty"]
    bad = scene.present(scene.warranty(), twice, nonce="another")["warranty"]

    both = scene.verifier.verify({"warranty": good, "second": good}, twice, now=scene.clock())
    with pytest.raises(Refused) as refused:
        scene.verifier.verify({"warranty": good, "second": bad}, twice, now=scene.clock())

    assert set(both.claims) == {"warranty", "second"}
    assert [reason.where for reason in refused.value.reasons] == ["second: kb_jwt.nonce"]


def test_the_last_day_is_the_shops_day(scene: Scene) -> None:
    from datetime import timedelta, timezone

    east = timezone(timedelta(hours=14))
    policy = DateNotPassed(path=("valid_until",), code="warranty-ended", zone=east)
    request = scene.request()
    presentation = scene.present(
        scene.warranty(claims=warranty_claims(valid_until="2026-11-02")), request
    )

    with pytest.raises(Refused) as refused:
        Verifier(policy, scene.trust, scene.statuses).verify(
            presentation, request, now=scene.clock()
        )

    assert refused.value.codes == ["warranty-ended"]
