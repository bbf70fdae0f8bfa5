"""A stranger's wallet receives from us in every way it knows, and is refused when it errs."""

from collections.abc import Iterator

import pytest
from counterfoil_credentials.encoding import JsonObject, as_object, list_at, object_at

from tests.interop.node import require_strangers, stranger_s_wallet
from tests.interop.services import Brand, our_issuer

pytestmark = pytest.mark.loopback

REFUSED_AT_THE_CREDENTIAL_ENDPOINT = {
    "old nonce": "invalid_nonce",
    "replayed proof": "invalid_nonce",
    "wrong audience": "invalid_proof",
    "bad signature": "invalid_proof",
    "no proof": "invalid_proof",
    "unknown configuration": "unknown_credential_configuration",
    "token in the query": "invalid_request",
    "private key in the header": "invalid_proof",
}


@pytest.fixture(autouse=True, scope="module")
def _strangers() -> None:
    require_strangers()


@pytest.fixture(scope="module")
def brand(_strangers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brand]:
    with our_issuer(tmp_path_factory.mktemp("issuer")) as issuer:
        yield issuer


def refusal(told: JsonObject) -> tuple[object, object]:
    """Give the HTTP status and the error code with which we refused."""
    refused = object_at(told, "refused", "wallet")
    return refused["status"], refused["error"]


@pytest.mark.parametrize(("flaw", "error"), REFUSED_AT_THE_CREDENTIAL_ENDPOINT.items())
def test_a_misbehaving_wallet_gets_nothing_and_hears_what_to_mend(
    brand: Brand, flaw: str, error: str
) -> None:
    told = stranger_s_wallet("accept", *brand.offer(brand.order()), "--flaw", flaw)

    assert refusal(told) == (400, error)


def test_a_code_that_was_used_gives_no_second_token(brand: Brand) -> None:
    told = stranger_s_wallet("accept", *brand.offer(brand.order()), "--flaw", "reused code")

    assert refusal(told) == (400, "invalid_grant")


def test_after_six_wrong_transaction_codes_the_right_one_is_refused(brand: Brand) -> None:
    told = stranger_s_wallet("accept", *brand.offer(brand.order()), "--flaw", "wrong PIN six times")

    answers = [as_object(answer, "wallet") for answer in list_at(told, "answers", "wallet")]
    assert [(answer["status"], answer["error"]) for answer in answers] == [
        (400, "invalid_grant")
    ] * 7
