"""Who the customer is: the brand's provider says so, or a sample is picked in development."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import parse_qsl, urlsplit

import pytest
from counterfoil_credentials.encoding import Json, b64url
from counterfoil_credentials.errors import Malformed, Misuse, Refused, Unavailable
from counterfoil_issuer.dev_login import DevLogin
from counterfoil_issuer.login import LoginAttempt, Subject, attempt_of, subject_named
from counterfoil_issuer.oidc_login import OidcLogin

from tests.issuer.provider import PROVIDER, Provider

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
CALLBACK = "https://audio.example/login/callback"
PATIENCE_S = 30
ATTEMPT = attempt_of(b"k" * 32, "a-visit", callback=CALLBACK, language="zh")


@pytest.fixture
def provider() -> Provider:
    provider = Provider(NOON)
    provider.claims["nonce"] = ATTEMPT.nonce
    return provider


def finish(login: OidcLogin, **query: str) -> Subject:
    return login.finish(ATTEMPT, {"code": "a-code", **query}, now=NOON)


def test_an_attempts_texts_follow_from_the_browsers_secret_and_tell_nothing_of_it() -> None:
    again = attempt_of(b"k" * 32, "a-visit", callback=CALLBACK, language="zh")
    other = attempt_of(b"k" * 32, "b-visit", callback=CALLBACK, language="zh")
    texts = [ATTEMPT.state, ATTEMPT.nonce, ATTEMPT.code_verifier]

    assert again == ATTEMPT
    assert {other.state, other.nonce, other.code_verifier}.isdisjoint(texts)
    assert len(set(texts)) == 3
    assert {len(text) for text in texts} == {43}
    assert not any(text in repr(ATTEMPT) for text in texts)


class TestOidcLogin:
    def test_the_browser_is_sent_with_state_nonce_and_a_challenge(self, provider: Provider) -> None:
        url = urlsplit(provider.login().begin(ATTEMPT, now=NOON))

        query = dict(parse_qsl(url.query))
        assert url.netloc == "login.example"
        assert query == {
            "brand": "audio",
            "response_type": "code",
            "client_id": "counterfoil",
            "redirect_uri": CALLBACK,
            "scope": "openid email profile",
            "state": ATTEMPT.state,
            "nonce": ATTEMPT.nonce,
            "code_challenge": b64url(sha256(ATTEMPT.code_verifier.encode()).digest()),
            "code_challenge_method": "S256",
            "ui_locales": "zh",
        }

    def test_the_answer_names_the_customer_by_id_and_verified_address(
        self, provider: Provider
    ) -> None:
        subject = finish(provider.login())

        assert subject == Subject(("customer-7", "mira@example.org"), "Mira Sample")
        assert provider.form == {
            "grant_type": "authorization_code",
            "code": "a-code",
            "redirect_uri": CALLBACK,
            "client_id": "counterfoil",
            "code_verifier": ATTEMPT.code_verifier,
        }

    def test_a_secret_goes_as_basic_or_as_the_provider_wants_it(self, provider: Provider) -> None:
        finish(provider.login("s3:cret"))
        assert provider.headers["authorization"] == "Basic Y291bnRlcmZvaWw6czMlM0FjcmV0"
        assert "client_secret" not in provider.form

        provider.configuration["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
        finish(provider.login("s3:cret"))
        assert provider.form["client_secret"] == "s3:cret"
        assert "authorization" not in provider.headers

    @pytest.mark.parametrize("verified", [False, None, "true", 1])
    def test_an_address_that_is_not_verified_is_nobodys_name(
        self, provider: Provider, verified: Json
    ) -> None:
        provider.claims["email_verified"] = verified

        assert finish(provider.login()).names == ("customer-7",)

    def test_an_id_that_reads_as_an_address_counts_only_when_it_is_verified(self) -> None:
        chosen = subject_named("lin@example.com", verified_email=None, label="x")
        verified = subject_named("lin@example.com", verified_email="LIN@example.com ", label="x")

        assert chosen.names == ()
        assert verified.names == ("lin@example.com",)
        assert subject_named("", verified_email="", label="x").names == ()

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("nonce", "another"),
            ("aud", "another"),
            ("iss", "https://login.example"),
            ("exp", 1),
            ("sub", None),
        ],
    )
    def test_a_token_for_another_login_names_nobody(
        self, provider: Provider, name: str, value: Json
    ) -> None:
        provider.claims[name] = value

        with pytest.raises((Refused, Malformed)):
            finish(provider.login())

    def test_a_refusal_and_an_answer_of_another_provider_end_the_login(
        self, provider: Provider
    ) -> None:
        login = provider.login()

        for query in ({"error": "access_denied"}, {"iss": "https://evil.example"}, {"code": ""}):
            with pytest.raises(Refused) as refusal:
                finish(login, **query)
            assert refusal.value.codes == ["login-failed"]
        assert provider.form == {}
        assert finish(login, iss=PROVIDER).names

    def test_a_provider_that_promises_its_name_must_give_it(self, provider: Provider) -> None:
        provider.configuration["authorization_response_iss_parameter_supported"] = True

        with pytest.raises(Refused):
            finish(provider.login())
        assert finish(provider.login(), iss=PROVIDER).names

    @pytest.mark.parametrize(
        ("status", "error"), [(400, Refused), (401, Refused), (500, Unavailable)]
    )
    def test_a_code_that_the_provider_does_not_take_is_no_login(
        self, provider: Provider, status: int, error: type[Exception]
    ) -> None:
        provider.token_status = status

        with pytest.raises(error):
            finish(provider.login())

    def test_the_configuration_of_another_provider_is_not_used(self, provider: Provider) -> None:
        provider.configuration["issuer"] = "https://login.example"

        with pytest.raises(Unavailable):
            provider.login().begin(ATTEMPT, now=NOON)

    def test_the_configuration_is_asked_for_now_and_then(self, provider: Provider) -> None:
        login = provider.login()
        for late in (0, 1, 599):
            login.begin(ATTEMPT, now=NOON + timedelta(seconds=late))
        assert provider.asked == 1

        login.begin(ATTEMPT, now=NOON + timedelta(seconds=600))
        assert provider.asked == 2

    def test_a_provider_that_did_not_answer_is_left_alone_for_a_moment(
        self, provider: Provider
    ) -> None:
        login, good = provider.login(), provider.configuration["issuer"]
        provider.configuration["issuer"] = "another"
        for late in (0, 1, 4):
            with pytest.raises(Unavailable):
                login.begin(ATTEMPT, now=NOON + timedelta(seconds=late))
        assert provider.asked == 1

        provider.configuration["issuer"] = good
        assert login.begin(ATTEMPT, now=NOON + timedelta(seconds=5))

    def test_what_was_known_serves_on_while_the_provider_does_not_answer(
        self, provider: Provider
    ) -> None:
        login = provider.login()
        url = login.begin(ATTEMPT, now=NOON)
        provider.configuration["issuer"] = "another"

        for late in (600, 601, 605):
            assert login.begin(ATTEMPT, now=NOON + timedelta(seconds=late)) == url
        assert provider.asked == 3

    @pytest.mark.parametrize("known", [False, True])
    def test_while_one_waits_for_a_slow_provider_nobody_waits_for_that_one(
        self, provider: Provider, *, known: bool
    ) -> None:
        login, later = provider.login(), NOON + timedelta(minutes=10)
        if known:
            login.begin(ATTEMPT, now=NOON)
        asked, answers = threading.Event(), threading.Event()

        def slowly() -> None:
            asked.set()
            answers.wait(PATIENCE_S)

        provider.before_it_answers = slowly

        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(login.begin, ATTEMPT, now=later)
            assert asked.wait(PATIENCE_S)
            for late in (0, 1, 60):
                now = later + timedelta(seconds=late)
                if known:
                    assert login.begin(ATTEMPT, now=now).startswith("https://login.example/")
                else:
                    with pytest.raises(Unavailable):
                        login.begin(ATTEMPT, now=now)
            # Whoever had waited for the slow one would have come here after it.
            assert not slow.done()
            answers.set()
            assert slow.result().startswith("https://login.example/")
        assert provider.asked == 1 + known


class TestDevLogin:
    @pytest.mark.parametrize(
        "url",
        [
            "https://audio.example",
            "http://127.0.0.1.evil.example",
            "http://10.0.0.1:8000",
            "http://localhost.example",
        ],
    )
    def test_it_exists_on_loopback_alone(self, url: str) -> None:
        with pytest.raises(Misuse, match="loopback"):
            DevLogin(url)

    @pytest.mark.parametrize(
        "url", ["http://127.0.0.1:8000/audio", "http://localhost:1", "http://[::1]:1"]
    )
    def test_a_sample_customer_is_picked_from_a_page(self, url: str) -> None:
        login = DevLogin(url)
        attempt = LoginAttempt(
            state="s", nonce="n", code_verifier="v", callback=f"{url}/cb", language="en"
        )

        assert login.begin(attempt, now=NOON) == f"{url}/login/sample?state=s"
        subject = login.finish(attempt, {"customer": "sample-lin"}, now=NOON)
        assert subject.names == ("sample-lin", "lin@example.com")

    @pytest.mark.parametrize("query", [{}, {"customer": "sample"}, {"customer": ""}])
    def test_nobody_else_is_logged_in(self, query: dict[str, str]) -> None:
        login = DevLogin("http://localhost:1")

        with pytest.raises(Refused) as refusal:
            login.finish(ATTEMPT, query, now=NOON)
        assert refusal.value.codes == ["login-failed"]
