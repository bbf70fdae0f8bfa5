"""What a receiver of webhooks accepts."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_service.webhook_signatures import new_secret, sign_webhook, verify_webhook

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
SECRET = new_secret(bytes(range(32)))
OTHER = new_secret(bytes(range(1, 33)))
BODY = b'{"type":"credential.revoked"}'


@pytest.fixture
def headers() -> dict[str, str]:
    return sign_webhook("evt_1", BODY, secrets=[SECRET], at=NOON)


def test_signs_as_the_published_example_does() -> None:
    signed = sign_webhook(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        b'{"test": 2432232314}',
        secrets=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        at=datetime.fromtimestamp(1_614_265_330, UTC),
    )

    assert signed == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_signs_what_the_standard_describes(headers: dict[str, str]) -> None:
    message = b"evt_1." + str(int(NOON.timestamp())).encode() + b"." + BODY
    expected = base64.b64encode(hmac.new(bytes(range(32)), message, hashlib.sha256).digest())

    assert headers["webhook-signature"] == f"v1,{expected.decode()}"


@pytest.mark.parametrize("later_s", [-300, 0, 300])
def test_accepts_what_was_signed_lately(headers: dict[str, str], later_s: int) -> None:
    event = verify_webhook(
        {name.title(): value for name, value in headers.items()},
        BODY,
        secrets=[SECRET],
        now=NOON + timedelta(seconds=later_s),
    )

    assert event == {"type": "credential.revoked"}


@pytest.mark.parametrize("later_s", [-301, 301])
def test_refuses_an_old_one_and_one_from_the_future(headers: dict[str, str], later_s: int) -> None:
    with pytest.raises(Refused) as refusal:
        verify_webhook(headers, BODY, secrets=[SECRET], now=NOON + timedelta(seconds=later_s))

    assert refusal.value.codes == ["webhook-out-of-time"]


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "evt_2"},
        {"webhook-timestamp": str(int(NOON.timestamp()) + 1)},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v2,AAAA v1a,ü"},
    ],
)
def test_refuses_what_another_signed_or_changed(
    headers: dict[str, str], change: dict[str, str]
) -> None:
    with pytest.raises(Refused) as refusal:
        verify_webhook(headers | change, BODY, secrets=[SECRET], now=NOON)

    assert refusal.value.codes == ["webhook-signature-invalid"]


def test_refuses_another_body_another_secret_and_none(headers: dict[str, str]) -> None:
    for body, secrets in ((BODY + b" ", [SECRET]), (BODY, [OTHER]), (BODY, list[str]())):
        with pytest.raises(Refused) as refusal:
            verify_webhook(headers, body, secrets=secrets, now=NOON)
        assert refusal.value.codes == ["webhook-signature-invalid"]


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_names_the_header_that_is_missing(headers: dict[str, str], name: str) -> None:
    for value in ("", None):
        given = {key: text for key, text in headers.items() if key != name}
        if value is not None:
            given[name] = value
        with pytest.raises(Malformed, match=name):
            verify_webhook(given, BODY, secrets=[SECRET], now=NOON)


@pytest.mark.parametrize("time", ["noon", "1.5", "-1", "9" * 13])
def test_refuses_a_time_that_is_none(headers: dict[str, str], time: str) -> None:
    with pytest.raises(Malformed):
        verify_webhook(headers | {"webhook-timestamp": time}, BODY, secrets=[SECRET], now=NOON)


def test_while_a_secret_is_replaced_both_are_accepted() -> None:
    both = sign_webhook("evt_1", BODY, secrets=[OTHER, SECRET], at=NOON)

    for secret in (SECRET, OTHER):
        assert verify_webhook(both, BODY, secrets=[secret], now=NOON)
    assert verify_webhook(
        sign_webhook("evt_1", BODY, secrets=[SECRET], at=NOON),
        BODY,
        secrets=[OTHER, SECRET],
        now=NOON,
    )


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_AAAA", "whsec_!", "secret"])
def test_signs_with_no_weak_secret(secret: str) -> None:
    with pytest.raises(Misuse):
        sign_webhook("evt_1", BODY, secrets=[secret], at=NOON)


def test_makes_secrets_of_24_to_64_bytes() -> None:
    assert new_secret(bytes(24)) == "whsec_" + "A" * 32
    for size in (23, 65):
        with pytest.raises(Misuse):
            new_secret(bytes(size))
    with pytest.raises(Misuse):
        sign_webhook("evt_1", BODY, secrets=[], at=NOON)
