"""What our services answered: an object, a refusal with its reasons, or nothing to rely on."""

import json

import pytest
from counterfoil_credentials.answers import answer_of
from counterfoil_credentials.errors import Malformed, Reason, Refused, Unavailable
from counterfoil_credentials.fetch import Response

WHO = "custodian"


def answer(status: int, body: object) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, "application/json", raw)


def refusal(status: int, body: object) -> tuple[Reason, ...]:
    with pytest.raises(Refused) as refused:
        answer_of(answer(status, body), WHO)
    return refused.value.reasons


def test_gives_the_object_of_a_success() -> None:
    assert answer_of(answer(200, {"a": 1}), WHO) == {"a": 1}
    assert answer_of(answer(201, {"a": 1}), WHO) == {"a": 1}
    assert answer_of(answer(204, b""), WHO) == {}


@pytest.mark.parametrize("body", [b"[]", b"<p>", b"\xff", b'{"a":1,"a":2}', b"[" * 99, b" "])
def test_calls_a_success_without_object_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        answer_of(answer(200, body), WHO)


@pytest.mark.parametrize("status", [400, 401, 403, 409])
def test_gives_the_reasons_of_a_refusal(status: int) -> None:
    told = {
        "error": "refused",
        "error_description": "expected a, found b (c)",
        "reasons": [
            {"code": "grant-ended", "expected": "a grant", "found": "its end", "where": "grant"},
            {"code": "term-over"},
        ],
    }

    assert refusal(status, told) == (
        Reason("grant-ended", "a grant", "its end", "custodian: grant"),
        Reason("term-over", "another", "this", "custodian"),
    )


def test_gives_the_one_reason_that_a_description_tells() -> None:
    told = {"error": "invalid_request", "error_description": "expected a, found b, c (d.e)"}

    assert refusal(400, told) == (Reason("invalid_request", "a", "b, c", "custodian: d.e"),)


@pytest.mark.parametrize(
    ("body", "code", "found"),
    [
        ({"error": "invalid_token", "error_description": "no key"}, "invalid_token", "no key"),
        ({"error": "invalid_token"}, "invalid_token", "HTTP status 400"),
        ({"reasons": []}, "refused", "HTTP status 400"),
        ({"reasons": {}, "error": 1, "error_description": []}, "refused", "HTTP status 400"),
        ({"reasons": [1, None, {}, {"code": 2}]}, "refused", "HTTP status 400"),
        ([], "refused", "HTTP status 400"),
        (b"<p>Bad request", "refused", "HTTP status 400"),
        (b"", "refused", "HTTP status 400"),
        (b"\xff", "refused", "HTTP status 400"),
        (b"[" * 60_000, "refused", "HTTP status 400"),
        (b'{"error":"a"' + b" " * 70_000 + b"}", "refused", "HTTP status 400"),
    ],
    ids=range(11),
)
def test_takes_a_refusal_for_one_however_badly_it_is_told(
    body: object, code: str, found: str
) -> None:
    assert refusal(400, body) == (Reason(code, "a yes of the custodian", found, WHO),)


def test_shows_bounded_text_without_control_characters() -> None:
    told = {"reasons": [{"code": "a\x1b[2J\n" + "b" * 250, "found": "\u202e" + "c" * 250}] * 99}

    reasons = refusal(400, told)

    assert len(reasons) == 50
    assert reasons[0].code == "a[2J" + "b" * 194
    assert reasons[0].found == "c" * 199


@pytest.mark.parametrize("status", [100, 301, 404, 405, 408, 413, 429, 500, 503])
def test_takes_every_other_status_for_no_answer(status: int) -> None:
    told = {"error": "refused", "reasons": [{"code": "grant-ended"}]}

    with pytest.raises(Unavailable):
        answer_of(answer(status, told), WHO)


def test_says_why_there_is_no_answer_where_that_was_told() -> None:
    with pytest.raises(Unavailable, match="the service failed"):
        answer_of(answer(500, {"error_description": "the service failed"}), WHO)
