"""Each check of an answer is told: held, did not hold, could not be known, was not reached."""

from collections.abc import Sequence

import pytest
from counterfoil_credentials.errors import Reason
from counterfoil_verifier import NotAccepted
from counterfoil_verifier.explaining import CHECKS, State, explain
from counterfoil_verifier.words import known_codes

from tests.verifier.scene import Scene

PASSED, FAILED, UNKNOWN, NOT_REACHED = State


def states(*codes: str, of_request: bool = False, unknown: Sequence[str] = ()) -> dict[str, State]:
    against, still_open = (
        [Reason(code, "this", "that", "there") for code in several] for several in (codes, unknown)
    )
    told = explain(against, still_open, of_request=of_request)
    found = sorted(reason.code for one in told for reason in one.reasons)
    assert found == sorted([*codes, *unknown])
    return {one.check.name: one.state for one in told}


def test_an_accepted_answer_passed_every_check() -> None:
    assert set(states().values()) == {PASSED}
    assert [one.name for one in CHECKS] == list(states())


def test_after_a_bad_signature_nothing_is_looked_at() -> None:
    found = states("signature-invalid")

    assert found["issuer"] is PASSED
    assert found["signature"] is FAILED
    assert {found[name] for name in ("holder", "time", "status", "rules")} == {NOT_REACHED}


def test_what_is_gathered_is_told_together() -> None:
    found = states("nonce-mismatch", "revoked", "warranty-ended")

    failed = [name for name, state in found.items() if state is FAILED]
    assert failed == ["holder", "status", "rules"]
    assert found["claims"] is PASSED


def test_the_requests_signature_is_not_the_issuers() -> None:
    found = states("signature-invalid", of_request=True)

    assert found["request"] is FAILED
    assert found["signature"] is NOT_REACHED


def test_an_open_question_is_no_failure() -> None:
    found = states(unknown=["status-too-old"])

    assert found["status"] is UNKNOWN
    assert found["rules"] is PASSED


def test_what_could_not_be_found_out_has_not_passed_beside_what_failed() -> None:
    found = states("warranty-ended", unknown=["status-unreachable"])

    assert found["status"] is UNKNOWN
    assert found["rules"] is FAILED
    assert states("status-missing", unknown=["status-unreachable"])["status"] is FAILED


def test_a_refusal_says_what_could_not_be_found_out_besides(scene: Scene) -> None:
    scene.brand.is_reachable = False
    request = scene.request()
    shown = scene.present(scene.warranty(), request, audience="another")
    with pytest.raises(NotAccepted) as refused:
        scene.verifier.verify(shown, request, now=scene.clock())

    assert refused.value.codes == ["audience-mismatch"]
    assert [reason.code for reason in refused.value.unknown] == ["status-unreachable"]


@pytest.mark.parametrize(
    ("code", "check"),
    [
        ("issuer-not-trusted", "issuer"),
        ("issuer-keys-unreachable", "issuer"),
        ("certificate-expired", "issuer"),
        ("key-expired", "issuer"),
        ("key-binding-missing", "holder"),
        ("sd-hash-mismatch", "holder"),
        ("expired", "time"),
        ("request-expired", "request"),
        ("status-list-signature-invalid", "status"),
        ("token-type-mismatch", "whole"),
        ("type-not-accepted", "type"),
        ("credential-missing", "answer"),
        ("discloses-too-much", "claims"),
        ("warranty-ended", "rules"),
        ("a-code-of-a-shops-own", "rules"),
        ("expired-of-a-shops-own", "rules"),
    ],
)
def test_each_code_belongs_to_one_check(code: str, check: str) -> None:
    (failed,) = [name for name, state in states(code).items() if state is FAILED]

    assert failed == check


def test_every_code_that_has_words_is_explained() -> None:
    for code in known_codes():
        assert FAILED in states(code).values()


def test_the_checks_have_words_in_both_languages() -> None:
    for check in CHECKS:
        assert check.words.en.endswith(".")
        assert check.words.zh.endswith("。")
