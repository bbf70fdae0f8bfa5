"""A stranger's wallet receives from us in every way it knows, and is refused when it errs."""

from collections.abc import Iterator

import pytest
from counterfoil_credentials.encoding import JsonObject, as_object, list_at, object_at, texts_at

from tests.interop.node import require_strangers, stranger_s_wallet
from tests.issuer.kills import place_of
from tests.issuer.running import Offer, RunningIssuer, init, serving, told_json

pytestmark = [pytest.mark.loopback, pytest.mark.once]

PLAIN_OFFERS = 20

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
def brand(_strangers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningIssuer]:
    folder = tmp_path_factory.mktemp("brand") / "folder"
    init(folder)
    with serving(folder) as issuer:
        yield issuer


@pytest.fixture(scope="module")
def plain(brand: RunningIssuer) -> Iterator[Offer]:
    """Give offers without a transaction code; `next` gives one more."""
    return iter(brand.offers(PLAIN_OFFERS))


def accepts(offer: Offer, *options: str) -> JsonObject:
    """Give what the stranger's wallet says of an offer."""
    return stranger_s_wallet("accept", offer.link, offer.tx_code or "", *options)


def warranties(told: JsonObject) -> list[str]:
    """Give the credentials that it got, which it has verified and acknowledged."""
    assert "refused" not in told, told
    got = object_at(object_at(told, "credentials", "wallet"), "warranty", "wallet")
    return texts_at(got, "all", "wallet")


def states(brand: RunningIssuer) -> list[str]:
    """Give what the brand knows of the latest credential."""
    (latest,) = told_json("issued", str(brand.folder), "--limit", "1")["credentials"]
    return [latest["type"], latest["state"]]


def refusal(told: JsonObject) -> tuple[object, object]:
    """Give the HTTP status and the error code with which we refused."""
    refused = object_at(told, "refused", "wallet")
    return refused["status"], refused["error"]


def test_a_stranger_s_wallet_receives(brand: RunningIssuer, plain: Iterator[Offer]) -> None:
    assert len(warranties(accepts(next(plain)))) == 1
    assert states(brand) == ["warranty", "stored"]


def test_it_receives_with_a_transaction_code(brand: RunningIssuer) -> None:
    offer = brand.offer(tx_code=True)
    assert offer.tx_code is not None

    assert len(warranties(accepts(offer))) == 1


def test_it_receives_a_batch_of_ten_each_for_a_key_of_its_own(plain: Iterator[Offer]) -> None:
    credentials = warranties(accepts(next(plain), "--batch", "10"))

    assert len({place_of(credential) for credential in credentials}) == 10


def test_it_receives_under_a_token_that_only_its_key_can_use(plain: Iterator[Offer]) -> None:
    assert len(warranties(accepts(next(plain), "--dpop"))) == 1


def test_it_receives_an_answer_that_only_it_can_read(plain: Iterator[Offer]) -> None:
    told = accepts(next(plain), "--encrypted")

    assert len(warranties(told)) == 1
    assert told["encrypted"] == 1


@pytest.mark.parametrize("more", [[], ["--dpop", "--encrypted", "--batch", "10"]])
def test_it_receives_after_a_login_through_a_pushed_request(
    brand: RunningIssuer, more: list[str]
) -> None:
    folder = str(brand.folder)
    made = told_json("offer", folder, "warranty", "--sample", "--subject", "sample-ada", "--login")

    told = accepts(Offer(made["offer"], None), "--login", "sample-ada", *more)

    assert len(warranties(told)) == (10 if more else 1)
    assert states(brand) == ["warranty", "stored"]


def test_row_J4_a_stranger_reads_and_checks_all_that_the_standards_name(  # noqa: N802
    brand: RunningIssuer,
) -> None:
    """One credential by everything at once, checked by libraries that never met this project."""
    offer = brand.offer(tx_code=True)
    credentials = warranties(accepts(offer, "--batch", "10", "--dpop", "--encrypted"))
    assert stranger_s_wallet("check", credentials[0], brand.url) == {"status": 0}

    (latest,) = told_json("issued", str(brand.folder), "--limit", "1")["credentials"]
    reason = ["--reason", "goods-returned"]
    told_json("revoke", str(brand.folder), latest["credential_id"], *reason)

    for credential in credentials:
        said = stranger_s_wallet("check", credential, brand.url)
        assert said == {"invalid": "Status is not valid"}


@pytest.mark.parametrize(("flaw", "error"), REFUSED_AT_THE_CREDENTIAL_ENDPOINT.items())
def test_a_misbehaving_wallet_gets_nothing_and_hears_what_to_mend(
    plain: Iterator[Offer], flaw: str, error: str
) -> None:
    told = accepts(next(plain), "--flaw", flaw)

    assert refusal(told) == (400, error)


def test_a_code_that_was_used_gives_no_second_token(plain: Iterator[Offer]) -> None:
    told = accepts(next(plain), "--flaw", "reused code")

    assert refusal(told) == (400, "invalid_grant")


def test_after_six_wrong_transaction_codes_the_right_one_is_refused(
    brand: RunningIssuer,
) -> None:
    told = accepts(brand.offer(tx_code=True), "--flaw", "wrong PIN six times")

    answers = [as_object(answer, "wallet") for answer in list_at(told, "answers", "wallet")]
    assert [(answer["status"], answer["error"]) for answer in answers] == [
        (400, "invalid_grant")
    ] * 7
