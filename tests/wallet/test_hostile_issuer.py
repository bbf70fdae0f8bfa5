"""An issuer that lies, errs or stalls: the wallet keeps nothing that it did not verify."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import cast

import pytest
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.offers import TxCode
from counterfoil_wallet import Wallet

from tests.conftest import Clock
from tests.wallet.strangers import BRAND, TOKEN, StrangeIssuer, json_response

METADATA = "/.well-known/openid-credential-issuer"
SERVER = "/.well-known/oauth-authorization-server"
KEYS = "/.well-known/jwt-vc-issuer"
OTHER = "https://other.example"


@pytest.fixture
def issuer(clock: Clock, random_bytes: Callable[[int], bytes]) -> StrangeIssuer:
    return StrangeIssuer(MemoryFetcher(), clock, random_bytes)


@pytest.fixture
def wallet(issuer: StrangeIssuer, clock: Clock) -> Wallet:
    return Wallet.in_memory(fetcher=issuer.network, clock=clock)


def refused(wallet: Wallet, issuer: StrangeIssuer) -> list[str]:
    """Give the codes of the refusal, having seen that nothing is kept and nothing goes on."""
    with pytest.raises(Refused) as refusal:
        wallet.accept(issuer.link)
    assert wallet.credentials() == []
    assert wallet.history() == []
    assert wallet.resume().acceptances == ()
    assert TOKEN not in str(refusal.value)
    return refusal.value.codes


def test_accepts_from_an_issuer_without_nonce_and_notification(
    wallet: Wallet, issuer: StrangeIssuer
) -> None:
    (held,) = wallet.accept(issuer.link).credentials

    assert held.issuer == BRAND
    assert held.signer.public.thumbprint() == held.credential_id


def test_refuses_a_credential_for_another_key(wallet: Wallet, issuer: StrangeIssuer) -> None:
    issuer.binds_to = MemorySigner.generate().public

    assert refused(wallet, issuer) == ["holder-key-mismatch"]


def test_refuses_a_credential_of_another_type(wallet: Wallet, issuer: StrangeIssuer) -> None:
    issuer.vct = f"{BRAND}/types/voucher"

    assert refused(wallet, issuer) == ["type-mismatch"]


def test_refuses_a_credential_of_another_issuer_and_does_not_call_that_one(
    wallet: Wallet, issuer: StrangeIssuer
) -> None:
    called: list[str] = []

    def elsewhere(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        called.append(path)
        return issuer.handle(method, path, headers, body)

    issuer.network.serve("https://elsewhere.example", elsewhere)
    issuer.issuer = "https://elsewhere.example"

    assert refused(wallet, issuer) == ["issuer-mismatch"]
    assert called == []


def test_refuses_a_credential_signed_by_another_key(wallet: Wallet, issuer: StrangeIssuer) -> None:
    issuer.signs_with = MemorySigner.generate()

    assert refused(wallet, issuer) == ["signature-invalid"]


def test_refuses_a_credential_whose_key_the_issuer_does_not_publish(
    wallet: Wallet, issuer: StrangeIssuer
) -> None:
    issuer.bends[KEYS] = lambda document: {**document, "jwks": {"keys": []}}

    assert refused(wallet, issuer) == ["issuer-key-unknown"]


def test_refuses_a_credential_that_has_expired(wallet: Wallet, issuer: StrangeIssuer) -> None:
    issuer.expires_in = timedelta(minutes=-2)

    assert refused(wallet, issuer) == ["expired"]


def test_refuses_an_oversized_credential(wallet: Wallet, issuer: StrangeIssuer) -> None:
    issuer.bends["/credential"] = lambda answer: {
        "credentials": [{"credential": first(answer) + "x" * 262_144}]
    }

    with pytest.raises(CounterfoilError):
        wallet.accept(issuer.link)
    assert wallet.credentials() == []


OUT_OF_SHAPE: dict[str, Callable[[str], str]] = {
    "with a key binding": lambda sd_jwt: sd_jwt + "a.key.binding",
    "a disclosure twice": lambda sd_jwt: sd_jwt + sd_jwt.split("~")[1] + "~",
    "no tilde": lambda sd_jwt: sd_jwt.replace("~", ""),
    "another first letter": lambda sd_jwt: "A" + sd_jwt[1:],
}


@pytest.mark.parametrize("change", OUT_OF_SHAPE.values(), ids=OUT_OF_SHAPE)
def test_refuses_a_credential_out_of_shape(
    wallet: Wallet, issuer: StrangeIssuer, change: Callable[[str], str]
) -> None:
    issuer.bends["/credential"] = lambda answer: {
        "credentials": [{"credential": change(first(answer))}]
    }

    assert len(refused(wallet, issuer)) == 1


def test_tells_the_issuer_when_it_refused_the_credential(
    wallet: Wallet, issuer: StrangeIssuer
) -> None:
    issuer.bends[METADATA] = lambda m: {**m, "notification_endpoint": f"{BRAND}/notification"}
    issuer.bends["/credential"] = lambda answer: {**answer, "notification_id": "n"}
    issuer.vct = f"{BRAND}/types/voucher"

    assert refused(wallet, issuer) == ["type-mismatch"]
    assert issuer.events == ["credential_failure"]


def test_tells_the_issuer_when_it_kept_the_credential(
    wallet: Wallet, issuer: StrangeIssuer
) -> None:
    issuer.bends[METADATA] = lambda m: {**m, "notification_endpoint": f"{BRAND}/notification"}
    issuer.bends["/credential"] = lambda answer: {**answer, "notification_id": "n"}

    wallet.accept(issuer.link)

    assert issuer.events == ["credential_accepted"]


@pytest.mark.parametrize(
    ("path", "name", "value", "code"),
    [
        (METADATA, "credential_issuer", "https://elsewhere.example", "issuer-mismatch"),
        (METADATA, "credential_issuer", f"{BRAND}/", "issuer-mismatch"),
        (SERVER, "issuer", "https://elsewhere.example", "issuer-mismatch"),
        (METADATA, "credential_endpoint", "http://brand.example/credential", "url-not-https"),
        (METADATA, "nonce_endpoint", "file:///etc/passwd", "url-not-https"),
        (SERVER, "token_endpoint", "http://brand.example/token", "url-not-https"),
        (METADATA, "authorization_servers", ["http://brand.example"], "url-not-https"),
        (METADATA, "credential_configurations_supported", {}, "configuration-unknown"),
        (
            METADATA,
            "credential_configurations_supported",
            {"warranty": {"format": "mso_mdoc"}},
            "nothing-we-hold",
        ),
    ],
)
def test_refuses_an_offer_before_the_code_is_sent(  # noqa: PLR0917
    wallet: Wallet, issuer: StrangeIssuer, path: str, name: str, value: object, code: str
) -> None:
    issuer.bends[path] = lambda document: cast("JsonObject", {**document, name: value})

    assert refused(wallet, issuer) == [code]
    assert "/token" not in [path for path, _ in issuer.received]


@pytest.mark.parametrize(
    ("path", "answer", "code"),
    [
        ("/token", json_response({"error": "invalid_grant"}, 400), "offer-not-redeemed"),
        (
            "/token",
            json_response({"access_token": "t", "token_type": "DPoP"}),
            "offer-not-redeemed",
        ),
        ("/token", json_response({"access_token": "t"}), "malformed"),
        ("/token", json_response({"access_token": "t\n", "token_type": "Bearer"}), "malformed"),
        ("/credential", json_response({"error": "invalid_token"}, 401), "token-not-accepted"),
        ("/credential", json_response({"error": "invalid_proof"}, 400), "peer-refused"),
        ("/credential", json_response({"transaction_id": "t"}, 202), "malformed"),
        (
            "/credential",
            json_response({"transaction_id": "t", "interval": 5}, 202),
            "credential-deferred",
        ),
        ("/credential", json_response({"credentials": []}), "malformed"),
        ("/credential", json_response({"credentials": [{}, {}]}), "malformed"),
        ("/credential", json_response({"credential": "of a draft"}), "malformed"),
        ("/credential", Response(200, "application/json", b"[" * 9_000), "malformed"),
    ],
)
def test_drops_the_offer_when_an_answer_is_no_answer(
    wallet: Wallet, issuer: StrangeIssuer, path: str, answer: Response, code: str
) -> None:
    issuer.answers[path] = answer

    assert refused(wallet, issuer) == [code]


@pytest.mark.parametrize(
    ("named", "listed", "asked"),
    [
        (None, None, BRAND),
        (None, [BRAND, OTHER], BRAND),
        (None, [OTHER, BRAND], OTHER),
        (OTHER, [BRAND, OTHER], OTHER),
        (BRAND, [BRAND], BRAND),
    ],
)
def test_asks_the_authorization_server_that_the_offer_names_or_else_the_first(
    wallet: Wallet,
    issuer: StrangeIssuer,
    named: str | None,
    listed: list[Json] | None,
    asked: str,
) -> None:
    called: list[str] = []

    def other(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        called.append(path)
        if path == SERVER:
            return json_response({"issuer": OTHER, "token_endpoint": f"{OTHER}/token"})
        return issuer.handle(method, path, headers, body)

    issuer.network.serve(OTHER, other)
    issuer.authorization_server = named
    if listed is not None:
        issuer.bends[METADATA] = lambda m: {**m, "authorization_servers": listed}

    assert len(wallet.accept(issuer.link).credentials) == 1
    assert called == ([SERVER, "/token"] if asked == OTHER else [])


@pytest.mark.parametrize("listed", [None, [BRAND], [f"{OTHER}/"]])
def test_refuses_an_authorization_server_that_the_issuer_does_not_list(
    wallet: Wallet, issuer: StrangeIssuer, listed: list[Json] | None
) -> None:
    issuer.authorization_server = OTHER
    if listed is not None:
        issuer.bends[METADATA] = lambda m: {**m, "authorization_servers": listed}

    assert refused(wallet, issuer) == ["authorization-server-unknown"]
    assert [path for path, _ in issuer.received] == [METADATA]


@pytest.mark.parametrize("path", [METADATA, SERVER, KEYS, "/token", "/credential"])
def test_goes_on_later_when_an_issuer_is_in_trouble(
    wallet: Wallet, issuer: StrangeIssuer, path: str
) -> None:
    issuer.answers[path] = Response(503, "text/plain", b"")
    with pytest.raises(Unavailable):
        wallet.accept(issuer.link)
    del issuer.answers[path]

    assert len(wallet.accept(issuer.link).credentials) == 1


def test_asks_once_more_with_a_fresh_nonce(wallet: Wallet, issuer: StrangeIssuer) -> None:
    issuer.bends[METADATA] = lambda m: {**m, "nonce_endpoint": f"{BRAND}/nonce"}
    issuer.answers["/credential"] = json_response({"error": "invalid_nonce"}, 400)

    assert refused(wallet, issuer) == ["peer-refused"]
    assert [path for path, _ in issuer.received].count("/credential") == 2


def test_uses_the_datasets_that_the_issuer_names(wallet: Wallet, issuer: StrangeIssuer) -> None:
    issuer.bends["/token"] = lambda answer: {
        **answer,
        "authorization_details": [
            {
                "type": "openid_credential",
                "credential_configuration_id": "warranty",
                "credential_identifiers": ["left", "right"],
            }
        ],
    }

    assert len(wallet.accept(issuer.link).credentials) == 2
    asked = [body for path, body in issuer.received if path == "/credential"]
    assert [b"left" in asked[0], b"right" in asked[1]] == [True, True]
    assert b"credential_configuration_id" not in asked[0]


@pytest.mark.parametrize(
    ("given", "code"),
    [(None, "tx-code-needed"), ("12345", "tx-code-shape"), ("12a456", "tx-code-shape")],
)
def test_spends_no_attempt_on_a_transaction_code_of_the_wrong_shape(
    wallet: Wallet, issuer: StrangeIssuer, given: str | None, code: str
) -> None:
    issuer.tx_code = TxCode(6, numeric=True, description=None)

    with pytest.raises(Refused) as refusal:
        wallet.accept(issuer.link, tx_code=given)

    assert refusal.value.codes == [code]
    assert issuer.received == []


def test_a_wrong_transaction_code_may_be_followed_by_the_right_one(
    wallet: Wallet, issuer: StrangeIssuer
) -> None:
    issuer.tx_code = TxCode(6, numeric=True, description=None)
    issuer.answers["/token"] = json_response({"error": "invalid_grant"}, 400)
    with pytest.raises(Refused):
        wallet.accept(issuer.link, tx_code="111111")
    del issuer.answers["/token"]

    assert len(wallet.accept(issuer.link, tx_code="493536").credentials) == 1


def test_keeps_what_is_good_of_an_offer_and_says_what_was_not(
    wallet: Wallet, issuer: StrangeIssuer
) -> None:
    issuer.bends["/token"] = lambda answer: {
        **answer,
        "authorization_details": [
            {
                "type": "openid_credential",
                "credential_configuration_id": "warranty",
                "credential_identifiers": ["left", "right"],
            }
        ],
    }
    count = iter(range(2))

    def second_is_another(answer: JsonObject) -> JsonObject:
        return answer if next(count) == 0 else {"credentials": [{"credential": "not one~"}]}

    issuer.bends["/credential"] = second_is_another

    accepted = wallet.accept(issuer.link)

    assert len(accepted.credentials) == 1
    assert [reason.code for reason in accepted.refused] == ["malformed"]


def test_an_offer_link_of_another_shape_is_malformed(wallet: Wallet, issuer: StrangeIssuer) -> None:
    for link in (
        issuer.link.replace("openid-", "x-"),
        issuer.link[:60],
        "",
        "https://brand.example",
    ):
        with pytest.raises(Malformed):
            wallet.accept(link)


def first(answer: JsonObject) -> str:
    """Give the credential in a credential response."""
    listed = answer["credentials"]
    assert isinstance(listed, list)
    entry = listed[0]
    assert isinstance(entry, dict)
    return str(entry["credential"])
