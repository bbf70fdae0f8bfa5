"""The authorization code grant, from a wallet's request to its token."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from counterfoil_credentials.client_attestation import (
    make_client_attestation,
    make_client_attestation_pop,
)
from counterfoil_credentials.dpop import make_dpop
from counterfoil_credentials.encoding import JsonObject, from_b64url
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.keys import MemorySigner
from counterfoil_issuer.clients import ClientPolicy, Demand, Sender
from counterfoil_issuer.dev_login import DevLogin
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.issuing import Issued
from counterfoil_issuer.offering import Grant, OpenOffer
from counterfoil_issuer.offering import offer as offer_datasets
from counterfoil_issuer.records import SecretHash
from counterfoil_issuer.sql_store import SqlStore
from counterfoil_issuer.store import Store
from counterfoil_issuer.tables import METADATA
from counterfoil_issuer.tokens import Presented
from counterfoil_service.sealing import Seal
from counterfoil_service.statements import Statement
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from tests.conftest import Clock
from tests.issuer.brand import AUDIO, ORDERS, Customer, issuer_on, wait
from tests.issuer.provider import Provider
from tests.issuer.visitor import (
    CHALLENGE,
    CLIENT,
    POLICY,
    REDIRECT,
    RandomBytes,
    Visitor,
    answer_in,
    app_of,
    asked,
    desk_of,
    ticket_in,
)

ATTESTER = MemorySigner.from_private_bytes(b"\x05" * 32)
INSTANCE = MemorySigner.from_private_bytes(b"\x06" * 32)
HOLDER = MemorySigner.from_private_bytes(b"\x07" * 32)
ATTESTED = ClientPolicy(attestation=Demand.REQUIRED, attesters=frozenset({ATTESTER.public}))
NO_ONE = "b" * 43
HERE = '"locations":["https://audio.example"]'


@pytest.fixture
def provider(now: datetime) -> Provider:
    return Provider(now)


@pytest.fixture
def visitor(issuer: Issuer, provider: Provider) -> Visitor:
    return Visitor(desk_of(issuer, provider.login()), provider)


def with_policy(visitor: Visitor, policy: ClientPolicy) -> Visitor:
    return Visitor(replace(visitor.desk, clients=policy), visitor.provider)


def offered(issuer: Issuer, type_name: str, subject: str) -> OpenOffer:
    """Offer a dataset for whoever logs in with the offer's `issuer_state`."""
    claims = issuer.catalogue.types[type_name].sample
    dataset = issuer.add_dataset(type_name, claims, subject=subject)
    with issuer.store.transaction() as held:
        return offer_datasets(
            held,
            [dataset],
            issuer.offering,
            with_tx_code=False,
            now=issuer.clock(),
            grants=[Grant.AUTHORIZATION_CODE],
        )


def issuer_state(issuer: Issuer, offer: OpenOffer) -> str:
    query = dict(parse_qsl(urlsplit(offer.qr).query))
    found = issuer.offered(query["credential_offer_uri"].rpartition("/")[2])
    assert found is not None
    grants = found["grants"]
    assert isinstance(grants, dict)
    grant = grants["authorization_code"]
    assert isinstance(grant, dict)
    return str(grant["issuer_state"])


def row_counts(store: SqlStore) -> dict[str, int]:
    with store.reading() as held:
        return {
            table.name: held.connection.value(Statement(select(func.count()).select_from(table)))
            for table in METADATA.sorted_tables
        }


def refused_code(
    visitor: Visitor, code: str, sender: Sender | None = None, /, **changes: str
) -> str:
    with pytest.raises(Refused) as refusal:
        visitor.redeem(code, sender, **changes)
    return refusal.value.codes[0]


def attested_headers(
    issuer: Issuer, challenge: str, *, jti: str = "1", instance: MemorySigner = INSTANCE
) -> dict[str, str]:
    now = issuer.clock()
    return {
        "OAuth-Client-Attestation": make_client_attestation(
            ATTESTER,
            client_id=CLIENT,
            instance_key=instance.public,
            now=now,
            lasts=timedelta(hours=1),
            wallet_name="Pocket",
        ),
        "OAuth-Client-Attestation-PoP": make_client_attestation_pop(
            instance, client_id=CLIENT, audience=AUDIO, jti=jti, now=now, challenge=challenge
        ),
    }


class TestWholeWay:
    def test_a_customer_who_logs_in_gets_the_credential_into_the_wallet(
        self, visitor: Visitor, customer: Customer
    ) -> None:
        token = visitor.redeem(visitor.code())

        issued = wait(customer.issuer.issue(Presented(token.value), customer.request("receipt")))
        assert (token.token_type, token.expires_in_s) == ("Bearer", 300)
        assert token.authorization_details is None
        assert isinstance(issued, Issued)
        assert len(issued.credentials) == 1

    def test_a_pushed_request_leads_the_same_way(self, visitor: Visitor) -> None:
        request_uri = visitor.pushed(asked(scope="receipt warranty"))

        answer = answer_in(
            visitor.say(visitor.page({"client_id": CLIENT, "request_uri": request_uri}))
        )

        assert request_uri.startswith("urn:ietf:params:oauth:request_uri:")
        assert set(answer) == {"from", "code", "state", "iss"}
        assert (answer["state"], answer["iss"], answer["from"]) == ("a-state", AUDIO, "audio")
        assert visitor.redeem(answer["code"]).value

    def test_who_used_details_is_told_identifiers(self, visitor: Visitor) -> None:
        details = f'[{{"type":"openid_credential",{HERE},"credential_configuration_id":"receipt"}}]'
        query = asked(scope=None, authorization_details=details)

        token = visitor.redeem(visitor.code(query))

        (detail,) = token.authorization_details or []
        assert isinstance(detail, dict)
        assert detail["credential_configuration_id"] == "receipt"
        assert detail["credential_identifiers"]

    def test_unknown_scopes_are_ignored_and_known_ones_narrow(self, visitor: Visitor) -> None:
        page = visitor.page(asked(scope="openid receipt something"))

        assert page.text.count('<li class="row">') == 1


class TestCode:
    def test_it_works_once_and_the_second_time_ends_the_first_token(
        self, visitor: Visitor, customer: Customer
    ) -> None:
        code = visitor.code()
        token = visitor.redeem(code)

        assert refused_code(visitor, code) == "invalid_grant"

        with pytest.raises(Refused) as refusal:
            wait(customer.issuer.issue(Presented(token.value), customer.request("receipt")))
        assert refusal.value.codes == ["invalid_token"]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("client_id", "https://wallet.example/"),
            ("redirect_uri", "https://wallet.example/cb"),
            ("redirect_uri", f"{REDIRECT}&more=1"),
            ("code_verifier", NO_ONE),
            ("code_verifier", CHALLENGE),
            ("code", "another"),
        ],
    )
    def test_what_does_not_fit_is_refused_and_burns_nothing(
        self, visitor: Visitor, name: str, value: str
    ) -> None:
        code = visitor.code()

        assert refused_code(visitor, code, **{name: value}) == "invalid_grant"
        assert visitor.redeem(code).value

    @pytest.mark.parametrize("name", ["code", "redirect_uri", "code_verifier", "client_id"])
    def test_each_parameter_must_be_there(self, visitor: Visitor, name: str) -> None:
        code = visitor.code()

        with pytest.raises(Refused) as refusal:
            visitor.redeem(code, **{name: None})
        assert refusal.value.codes == ["invalid_request"]
        assert visitor.redeem(code).value

    @pytest.mark.parametrize("verifier", ["x" * 42, "x" * 129, "é" * 43, "a b" * 20])
    def test_a_text_that_is_no_verifier_is_an_invalid_request(
        self, visitor: Visitor, verifier: str
    ) -> None:
        assert refused_code(visitor, "a-code", code_verifier=verifier) == "invalid_request"

    def test_it_lasts_a_minute(self, visitor: Visitor, clock: Clock) -> None:
        in_time, late = visitor.code(), visitor.code()

        clock.advance(timedelta(seconds=59))
        assert visitor.redeem(in_time).value
        clock.advance(timedelta(seconds=1))
        assert refused_code(visitor, late) == "invalid_grant"

    def test_fewer_credentials_may_be_taken_than_were_agreed_to_and_not_more(
        self, visitor: Visitor
    ) -> None:
        def details(name: str) -> str:
            return f'[{{"type":"openid_credential",{HERE},"credential_configuration_id":"{name}"}}]'

        code = visitor.code(asked(scope="receipt"))

        more = refused_code(visitor, code, authorization_details=details("warranty"))
        assert more == "invalid_authorization_details"
        assert visitor.redeem(code, authorization_details=details("receipt")).value

    def test_a_key_named_in_the_request_must_be_proved(self, visitor: Visitor) -> None:
        code = visitor.code(asked(dpop_jkt=HOLDER.public.thumbprint()))

        assert refused_code(visitor, code) == "invalid_grant"
        other = Sender(client_id=CLIENT, dpop_jkt=INSTANCE.public.thumbprint())
        assert refused_code(visitor, code, other) == "invalid_grant"
        ours = Sender(client_id=CLIENT, dpop_jkt=HOLDER.public.thumbprint())
        assert visitor.redeem(code, ours).token_type == "DPoP"

    def test_a_proof_is_spent_only_with_a_good_code(self, visitor: Visitor, clock: Clock) -> None:
        first, second = visitor.code(), visitor.code()
        thumbprint = HOLDER.public.thumbprint()
        proof = ((SecretHash("a" * 64), clock() + timedelta(minutes=5)),)
        sender = Sender(client_id=CLIENT, dpop_jkt=thumbprint, once=proof)

        assert refused_code(visitor, "another", sender) == "invalid_grant"
        assert visitor.redeem(first, sender).token_type == "DPoP"
        assert refused_code(visitor, second, sender) == "invalid_dpop_proof"
        assert visitor.redeem(second).value


class TestPushing:
    def test_a_reference_gives_one_answer(self, visitor: Visitor) -> None:
        query = {"client_id": CLIENT, "request_uri": visitor.pushed(asked())}
        # A page may be loaded again before it is answered (RFC 9126, section 4).
        first = visitor.page(query)
        other = Visitor(visitor.desk, visitor.provider)
        second = other.page(query)

        assert "code" in answer_in(visitor.say(first))
        assert other.say(second).status_code == 400
        assert visitor.arrive(query).status_code == 400

    def test_a_reference_whose_customer_refused_is_used_too(self, visitor: Visitor) -> None:
        query = {"client_id": CLIENT, "request_uri": visitor.pushed(asked())}

        assert "error" in answer_in(visitor.say(visitor.page(query), "refuse"))
        assert visitor.arrive(query).status_code == 400

    def test_one_that_was_changed_or_has_another_form_is_none(self, visitor: Visitor) -> None:
        good = visitor.pushed(asked())
        prefix, _, sealed = good.rpartition(":")
        middle = len(sealed) // 2
        flipped = sealed[:middle] + ("A" if sealed[middle] != "A" else "B") + sealed[middle + 1 :]

        for wrong in (f"{prefix}:{flipped}", f"{good}AAAA", good[:-4], sealed, f"urn:x:{sealed}"):
            answer = visitor.arrive({"client_id": CLIENT, "request_uri": wrong})
            assert answer.status_code == 400
            assert "location" not in answer.headers
        assert visitor.arrive({"client_id": CLIENT, "request_uri": good}).status_code == 303

    def test_it_tells_nobody_what_was_asked(self, visitor: Visitor) -> None:
        sealed = visitor.pushed(asked(state="a-secret-state")).rpartition(":")[2]

        assert b"a-secret-state" not in from_b64url(sealed, "uri")

    def test_a_reference_lasts_a_minute(self, visitor: Visitor, clock: Clock) -> None:
        young, old = visitor.pushed(asked()), visitor.pushed(asked())

        clock.advance(timedelta(seconds=59))
        assert visitor.arrive({"client_id": CLIENT, "request_uri": young}).status_code == 303
        clock.advance(timedelta(seconds=1))
        assert visitor.arrive({"client_id": CLIENT, "request_uri": old}).status_code == 400

    def test_another_client_neither_gets_nor_burns_it(self, visitor: Visitor) -> None:
        request_uri = visitor.pushed(asked())

        for query in ({"client_id": "another"}, {}):
            answer = visitor.arrive({**query, "request_uri": request_uri})
            assert answer.status_code == 400
            assert "location" not in answer.headers
        assert visitor.arrive({"client_id": CLIENT, "request_uri": request_uri}).status_code == 303

    def test_what_the_browser_adds_to_a_pushed_request_is_ignored(self, visitor: Visitor) -> None:
        request_uri = visitor.pushed(asked())
        query = asked(request_uri=request_uri, redirect_uri="https://evil.example", state="other")

        assert answer_in(visitor.say(visitor.page(query)))["state"] == "a-state"

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"request_uri": "urn:x"}, "invalid_request"),
            ({"client_id": "another"}, "invalid_client"),
            ({"client_id": None}, "invalid_request"),
            ({"redirect_uri": None}, "invalid_request"),
            ({"redirect_uri": "https://wallet.example/cb"}, "invalid_request"),
            ({"redirect_uri": f"{REDIRECT}#x"}, "invalid_request"),
            ({"redirect_uri": REDIRECT.upper()}, "invalid_request"),
            ({"response_type": "token"}, "unsupported_response_type"),
            ({"response_type": None}, "invalid_request"),
            ({"response_mode": "form_post"}, "invalid_request"),
            ({"code_challenge": None}, "invalid_request"),
            ({"code_challenge": "x" * 42}, "invalid_request"),
            ({"code_challenge_method": None}, "invalid_request"),
            ({"code_challenge_method": "plain"}, "invalid_request"),
            ({"scope": None}, "invalid_scope"),
            ({"scope": "openid"}, "invalid_scope"),
            ({"scope": "receipt " * 51}, "invalid_scope"),
            ({"state": "x" * 2_049}, "invalid_request"),
            ({"dpop_jkt": "x"}, "invalid_request"),
            ({"authorization_details": "{}"}, "invalid_authorization_details"),
            ({"authorization_details": "[]"}, "invalid_authorization_details"),
            (
                {
                    "authorization_details": '[{"type":"openid_credential",'
                    f'{HERE},"credential_configuration_id":"passport"}}]'
                },
                "invalid_authorization_details",
            ),
            (
                {
                    "authorization_details": '[{"type":"openid_credential",'
                    '"credential_configuration_id":"receipt"}]'
                },
                "invalid_authorization_details",
            ),
        ],
    )
    def test_a_bad_request_is_told_what_to_mend(
        self, visitor: Visitor, changes: dict[str, str | None], error: str
    ) -> None:
        answer = visitor.push(asked(**changes))

        assert answer.status_code == 400
        assert answer.json()["error"] == error
        assert answer.json()["error_description"].startswith("expected ")
        assert answer.headers["cache-control"] == "no-store"

    def test_a_request_that_no_cookie_holds_is_told_so(self, visitor: Visitor) -> None:
        refused = visitor.push(asked(state="x" * 2_000)).json()
        assert refused["error"] == "invalid_request"
        found = re.search(r"at most 2000 bytes .*, found (\d+)", refused["error_description"])
        assert found is not None
        spare = 4_000 - int(found[1])

        assert visitor.push(asked(state="x" * (spare + 1))).status_code == 400
        longest = asked(state="x" * spare)
        request_uri = visitor.pushed(longest)
        page = visitor.page({"client_id": CLIENT, "request_uri": request_uri})
        assert answer_in(visitor.say(page))["state"] == longest["state"]

    def test_its_proof_binds_the_code(self, visitor: Visitor, clock: Clock) -> None:
        def proof(jti: str) -> dict[str, str]:
            url = f"{AUDIO}/par"
            return {"DPoP": make_dpop(HOLDER, method="POST", url=url, jti=jti, now=clock())}

        request_uri = visitor.pushed(asked(), proof("1"))
        code = visitor.code({"client_id": CLIENT, "request_uri": request_uri})

        assert refused_code(visitor, code) == "invalid_grant"
        replayed = visitor.push(asked(), proof("1"))
        assert replayed.json()["error"] == "invalid_dpop_proof"
        assert replayed.headers["dpop-nonce"]
        other = visitor.push(asked(dpop_jkt=NO_ONE), proof("2"))
        assert other.json()["error"] == "invalid_dpop_proof"
        same = asked(dpop_jkt=HOLDER.public.thumbprint())
        assert visitor.push(same, proof("3")).status_code == 201


class TestAttestedWallet:
    """Names as in the OpenID conformance suite."""

    @pytest.fixture
    def visitor(self, visitor: Visitor) -> Visitor:
        return with_policy(visitor, ATTESTED)

    def challenge(self, visitor: Visitor) -> str:
        answer = visitor.client.post("/challenge")
        assert answer.headers["cache-control"] == "no-store"
        return str(answer.json()["attestation_challenge"])

    def test_client_attestation_challenge(self, visitor: Visitor) -> None:
        headers = attested_headers(visitor.desk.issuer, self.challenge(visitor))

        page = visitor.page({"client_id": CLIENT, "request_uri": visitor.pushed(asked(), headers)})

        assert "<bdi>Pocket</bdi>" in page.text
        assert ">https://wallet.example</bdi>" in page.text
        assert "A maker that Auricle trusts vouches for this wallet." in page.text

    def test_the_code_is_for_the_attested_instance_alone(self, visitor: Visitor) -> None:
        issuer = visitor.desk.issuer
        headers = attested_headers(issuer, self.challenge(visitor))
        request_uri = visitor.pushed(asked(), headers)
        code = visitor.code({"client_id": CLIENT, "request_uri": request_uri})

        assert refused_code(visitor, code) == "invalid_grant"

    def test_it_may_name_an_address_of_its_own_in_a_pushed_request(self, visitor: Visitor) -> None:
        issuer = visitor.desk.issuer

        for i, (address, status) in enumerate(
            [
                ("https://wallet.example/other", 201),
                ("eu.wallet.app:/cb", 201),
                ("http://127.0.0.1:7/cb", 201),
                ("http://wallet.example/cb", 400),
                ("https://u@wallet.example/cb", 400),
                ("https://wallet.example/cb#x", 400),
                ("https:///cb", 400),
                ("javascript:alert(1)", 400),
                ("data:text/html,x", 400),
                ("wallet.example/cb", 400),
                ("https://wallet.example;script-src/cb", 400),
                ("https://wallet.example:port/cb", 400),
                ("https://[wallet.example/cb", 400),
                ("https://[::1]:443/cb", 201),
                ("https://wallet.example/\r\nx", 400),
            ]
        ):
            headers = attested_headers(issuer, self.challenge(visitor), jti=str(i))
            answer = visitor.push(asked(redirect_uri=address), headers)
            assert answer.status_code == status, address

    def test_only_pushed_requests_are_taken(self, visitor: Visitor) -> None:
        registered = with_policy(visitor, replace(ATTESTED, redirect_uris=POLICY.redirect_uris))

        assert answer_in(registered.arrive(asked()))["error"] == "invalid_request"
        assert visitor.arrive(asked()).status_code == 400

    def test_without_a_challenge_one_is_handed_out(self, visitor: Visitor) -> None:
        issuer = visitor.desk.issuer
        refused = visitor.push(asked(), attested_headers(issuer, "none of ours"))

        assert refused.json()["error"] == "use_attestation_challenge"
        fresh = refused.headers["oauth-client-attestation-challenge"]
        assert visitor.push(asked(), attested_headers(issuer, fresh)).status_code == 201

    def test_a_proof_of_possession_works_once(self, visitor: Visitor) -> None:
        headers = attested_headers(visitor.desk.issuer, self.challenge(visitor))

        assert visitor.push(asked(), headers).status_code == 201
        assert visitor.push(asked(), headers).json()["error"] == "invalid_dpop_proof"

    def test_where_wallets_are_not_attested_there_is_no_challenge(self, visitor: Visitor) -> None:
        assert with_policy(visitor, POLICY).client.post("/challenge").status_code == 404


class TestErrorsStayUntilTheAddressIsKnown:
    @pytest.mark.parametrize(
        "changes",
        [
            {"client_id": None},
            {"client_id": "another"},
            {"redirect_uri": None},
            {"redirect_uri": "https://evil.example/cb"},
            {"redirect_uri": "https://wallet.example/cb"},
            {"request_uri": "urn:ietf:params:oauth:request_uri:none"},
        ],
    )
    def test_such_an_error_is_a_page(
        self, visitor: Visitor, changes: dict[str, str | None]
    ) -> None:
        answer = visitor.arrive(asked(**changes))

        assert answer.status_code == 400
        assert "location" not in answer.headers
        assert "Nothing was issued" in answer.text

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"response_type": "token"}, "unsupported_response_type"),
            ({"code_challenge": None}, "invalid_request"),
            ({"code_challenge_method": "plain"}, "invalid_request"),
            ({"scope": "nothing"}, "invalid_scope"),
            ({"authorization_details": "x"}, "invalid_authorization_details"),
        ],
    )
    def test_any_other_error_travels_back_with_state_and_issuer(
        self, visitor: Visitor, changes: dict[str, str | None], error: str
    ) -> None:
        answer = answer_in(visitor.arrive(asked(**changes)))

        assert (answer["error"], answer["state"], answer["iss"]) == (error, "a-state", AUDIO)
        assert answer["error_description"].startswith("expected ")

    def test_a_parameter_sent_twice_is_a_page(self, visitor: Visitor) -> None:
        query = f"{urlencode(asked())}&redirect_uri=https%3A%2F%2Fevil.example"

        assert visitor.client.get(f"/authorize?{query}").status_code == 400

    def test_a_provider_that_does_not_answer_is_told_to_the_wallet(self, visitor: Visitor) -> None:
        visitor.provider.configuration["issuer"] = "another"

        assert answer_in(visitor.arrive(asked()))["error"] == "temporarily_unavailable"


class TestStrangers:
    def test_whoever_never_logs_in_leaves_nothing_here_and_keeps_nobody_out(
        self, visitor: Visitor, store: SqlStore
    ) -> None:
        before = row_counts(store)

        for _ in range(20):
            stranger = Visitor(visitor.desk, visitor.provider)
            query = {"client_id": CLIENT, "request_uri": stranger.pushed(asked())}
            callback = stranger.callback(query)
            stranger.callback(asked())
            assert stranger.client.get(callback).status_code == 400
            failed = stranger.callback(query)
            visitor.provider.token_status = 400
            assert answer_in(stranger.client.get(failed))["error"] == "access_denied"
            visitor.provider.token_status = 200

        assert row_counts(store) == before
        assert "code" in answer_in(visitor.say(visitor.page()))
        assert row_counts(store) != before


class TestBrowser:
    def test_an_answer_of_the_login_in_another_browser_proves_nothing(
        self, visitor: Visitor
    ) -> None:
        callback = visitor.callback(asked())
        stranger = visitor.browser()

        assert stranger.get(callback).status_code == 400
        stranger.get("/authorize", params=asked())
        assert stranger.get(callback).status_code == 400
        assert visitor.client.get(callback).status_code == 200

    def test_a_state_that_is_not_this_logins_is_refused(self, visitor: Visitor) -> None:
        callback = visitor.callback(asked())
        state = dict(parse_qsl(urlsplit(callback).query))["state"]

        assert visitor.client.get(callback.replace(state, NO_ONE)).status_code == 400
        assert visitor.client.get(callback.replace("state=", "stat=")).status_code == 400

    def test_the_cookie_is_for_this_host_alone_and_for_no_script(self, visitor: Visitor) -> None:
        cookie = visitor.arrive(asked()).headers["set-cookie"]

        assert cookie.startswith("__Host-counterfoil-visit-")
        for part in ("HttpOnly", "Path=/", "SameSite=lax", "Secure"):
            assert part in cookie
        assert "Domain" not in cookie

    def test_an_answer_before_the_login_is_none(self, visitor: Visitor) -> None:
        visitor.arrive(asked())

        form = {"ticket": NO_ONE, "answer": "agree"}
        assert visitor.client.post("/authorize/answer", data=form).status_code == 400

    def test_a_press_from_elsewhere_shows_the_page_and_agrees_to_nothing(
        self, visitor: Visitor
    ) -> None:
        page = visitor.page()

        for form in ({"answer": "agree"}, {"answer": "agree", "ticket": NO_ONE}):
            again = visitor.client.post("/authorize/answer", data=form)
            assert again.status_code == 200
            assert ticket_in(again) == ticket_in(page)
        assert "code" in answer_in(visitor.say(page))

    def test_who_agrees_sees_first_what_has_come_in_between(
        self, visitor: Visitor, issuer: Issuer
    ) -> None:
        page = visitor.page(asked(scope="receipt tier"))
        claims = issuer.catalogue.types["tier"].sample
        issuer.add_dataset("tier", claims, subject="customer-7")

        again = visitor.say(page)

        assert again.status_code == 200
        assert again.text.count('<li class="row">') == 2
        assert "code" in answer_in(visitor.say(again))

    def test_a_page_is_answered_once(self, visitor: Visitor) -> None:
        page = visitor.page()

        assert "code" in answer_in(visitor.say(page))
        assert visitor.say(page).status_code == 400

    def test_not_again_by_a_browser_that_keeps_its_cookie(self, visitor: Visitor) -> None:
        page = visitor.page()
        kept = dict(visitor.client.cookies)
        assert "code" in answer_in(visitor.say(page))

        for answer in ("agree", "refuse"):
            visitor.client.cookies.update(kept)
            again = visitor.say(page, answer)
            assert (again.status_code, "location" in again.headers) == (400, False)

    def test_a_cookie_that_was_changed_or_is_another_brands_is_none(self, visitor: Visitor) -> None:
        page = visitor.page()
        ((name, cookie),) = visitor.client.cookies.items()
        other = Seal(b"another brand's secret, 32 bytes", "authorization")
        opened = visitor.desk.seal.open(cookie, place="visit")
        pushed = visitor.pushed(asked()).rpartition(":")[2]
        flipped = ("A" if cookie[0] != "A" else "B") + cookie[1:]

        for wrong in (flipped, other.shut(opened, place="visit", nonce=bytes(12)), pushed, "x" * 9):
            stranger = visitor.browser()
            stranger.cookies.set(name, wrong)
            form = {"ticket": ticket_in(page), "answer": "agree"}
            assert stranger.post("/authorize/answer", data=form).status_code == 400
        assert "code" in answer_in(visitor.say(page))

    def test_a_page_that_is_loaded_again_is_the_same(self, visitor: Visitor) -> None:
        callback = visitor.callback(asked())
        page = visitor.client.get(callback)
        visitor.provider.token_status = 400

        again = visitor.client.get(callback)
        assert ticket_in(again) == ticket_in(page)

    def test_a_visit_is_over_after_ten_minutes(self, visitor: Visitor, clock: Clock) -> None:
        page = visitor.page()

        clock.advance(timedelta(minutes=10))
        assert visitor.say(page).status_code == 400

    def test_to_refuse_is_as_easy_and_is_told_to_the_wallet(
        self, visitor: Visitor, store: Store
    ) -> None:
        page = visitor.page()

        answer = answer_in(visitor.say(page, "refuse"))

        assert (answer["error"], answer["state"]) == ("access_denied", "a-state")
        assert visitor.say(page).status_code == 400

    def test_a_customer_whose_id_counts_for_nobody_gets_nothing(self, visitor: Visitor) -> None:
        visitor.provider.claims |= {"sub": "mira@example.org", "email_verified": False}

        assert answer_in(visitor.page())["error"] == "access_denied"

    def test_a_login_that_fails_is_told_to_the_wallet(self, visitor: Visitor) -> None:
        callback = visitor.callback(asked())
        visitor.provider.claims["nonce"] = "another"

        assert answer_in(visitor.client.get(callback))["error"] == "access_denied"
        assert visitor.client.get(callback).status_code == 400


class TestPage:
    def test_it_runs_nothing_loads_nothing_and_cannot_be_framed(self, visitor: Visitor) -> None:
        page = visitor.page()

        policy = page.headers["content-security-policy"]
        assert policy == (
            "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
            "form-action 'self' https:"
        )
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        for forbidden in ("<script", "style=", " on", "http-equiv", "autofocus"):
            assert forbidden not in page.text.partition("<body>")[2].replace(" on ", "")
        assert page.text.count("https://audio.example/login/style.css") == 1

    def test_it_says_who_asks_where_it_leads_and_what_is_issued(self, visitor: Visitor) -> None:
        text = visitor.page(asked(scope="receipt warranty")).text

        for fact in (
            "Auricle will issue",
            "Not verified. We cannot say who made this wallet.",
            "<dd><bdi>https://wallet.example</bdi></dd>",
            "<dd><bdi>wallet.example</bdi></dd>",
            "<dd><bdi>Mira Sample</bdi></dd>",
            "Valid for 10 min",
            "Go on only if you started this",
        ):
            assert fact in text

    def test_it_speaks_the_customers_language(self, visitor: Visitor) -> None:
        header = {"accept-language": "zh-CN,zh;q=0.9,en;q=0.5"}
        answer = visitor.client.get("/authorize", params=asked(), headers=header)
        page = visitor.client.get(visitor.provider.log_in(answer.headers["location"]))

        assert '<html lang="zh">' in page.text
        assert "聆耳将向你的钱包签发" in page.text
        assert "拒绝" in page.text

    def test_what_came_from_outside_is_text(self, visitor: Visitor) -> None:
        visitor.provider.claims["name"] = "<img src=x onerror=alert(1)>\"'"

        text = visitor.page().text

        assert "<img" not in text
        assert "&lt;img src=x onerror=alert(1)&gt;&quot;&#x27;" in text

    def test_its_style_sheet_is_its_own(self, visitor: Visitor) -> None:
        sheet = visitor.client.get("/login/style.css")

        assert sheet.headers["content-type"].startswith("text/css")
        assert "url(" not in sheet.text
        assert "@import" not in sheet.text


class TestWhatACustomerMayHave:
    def test_only_what_is_hers(self, visitor: Visitor) -> None:
        visitor.provider.claims |= {"sub": "customer-8", "email": "jun@example.org"}
        page = visitor.page(asked(scope="receipt warranty"))
        # The receipt, and a warranty for each of the two that were bought.
        assert page.text.count('<li class="row">') == 3

        visitor.provider.claims |= {"sub": "customer-9", "email": "nobody@example.org"}
        assert answer_in(visitor.page())["error"] == "access_denied"

    def test_not_by_an_address_that_nobody_verified(self, visitor: Visitor) -> None:
        visitor.provider.claims["email_verified"] = False

        assert answer_in(visitor.page())["error"] == "access_denied"

    def test_not_what_a_wallet_has_stored(
        self, visitor: Visitor, customer: Customer, issuer: Issuer
    ) -> None:
        token = visitor.redeem(visitor.code())
        presented = Presented(token.value)
        issued = wait(issuer.issue(presented, customer.request("receipt")))
        assert isinstance(issued, Issued)
        assert "code" in answer_in(visitor.say(visitor.page()))

        note: JsonObject = {
            "notification_id": issued.notification_id,
            "event": "credential_accepted",
        }
        wait(issuer.notify(presented, note))

        assert answer_in(visitor.page())["error"] == "access_denied"

    def test_a_newer_grant_ends_the_older_ones_token(
        self, visitor: Visitor, customer: Customer, issuer: Issuer
    ) -> None:
        older = visitor.redeem(visitor.code())
        newer = visitor.redeem(visitor.code())

        with pytest.raises(Refused, match="newer offer"):
            wait(issuer.issue(Presented(older.value), customer.request("receipt")))
        issued = wait(issuer.issue(Presented(newer.value), customer.request("receipt")))
        assert isinstance(issued, Issued)


class TestIssuerState:
    def test_it_narrows_to_one_offer(self, visitor: Visitor, issuer: Issuer) -> None:
        offer = offered(issuer, "tier", "customer-7")
        query = asked(scope=None, issuer_state=issuer_state(issuer, offer))

        page = visitor.page(query)

        assert page.text.count('<li class="row">') == 1
        token = visitor.redeem(answer_in(visitor.say(page))["code"])
        assert token.value

    def test_another_customers_offer_gives_nothing(self, visitor: Visitor, issuer: Issuer) -> None:
        theirs = issuer_state(issuer, offered(issuer, "tier", "customer-8"))
        hers = issuer_state(issuer, offered(issuer, "tier", "customer-7"))

        denied = answer_in(visitor.page(asked(scope=None, issuer_state=theirs)))
        assert denied["error"] == "access_denied"
        assert visitor.page(asked(scope=None, issuer_state=hers)).status_code == 200

    def test_a_refusal_after_the_page_is_the_visits_one_answer(
        self, visitor: Visitor, issuer: Issuer, store: SqlStore
    ) -> None:
        offer = offered(issuer, "tier", "customer-7")
        state = issuer_state(issuer, offer)
        page = visitor.page(asked(scope=None, issuer_state=state))
        with store.transaction() as held:
            (dataset,) = held.datasets_of_subject("customer-7")
            assert held.deny_dataset(dataset.dataset_id)

        kept = dict(visitor.client.cookies)
        assert answer_in(visitor.say(page))["error"] == "access_denied"
        visitor.client.cookies.update(kept)
        assert visitor.say(page).status_code == 400

    @pytest.mark.parametrize("state", ["another", "x" * 1_024])
    def test_one_that_is_not_ours_is_told_to_the_wallet(self, visitor: Visitor, state: str) -> None:
        answer = answer_in(visitor.page(asked(issuer_state=state)))

        assert answer["error"] == "invalid_request"

    def test_an_offer_is_good_for_one_code(
        self, visitor: Visitor, issuer: Issuer, clock: Clock
    ) -> None:
        query = asked(
            scope=None, issuer_state=issuer_state(issuer, offered(issuer, "tier", "customer-7"))
        )
        first, second = visitor.code(query), visitor.code(query)

        assert visitor.redeem(first).value
        assert refused_code(visitor, second) == "invalid_grant"
        assert answer_in(visitor.page(query))["error"] == "invalid_request"

    def test_an_offer_that_is_over_is_none(
        self, visitor: Visitor, issuer: Issuer, clock: Clock
    ) -> None:
        state = issuer_state(issuer, offered(issuer, "tier", "customer-7"))
        clock.advance(issuer.options.offer_lasts)
        visitor.provider.claims["exp"] = 2**40

        answer = answer_in(visitor.page(asked(scope=None, issuer_state=state)))
        assert answer["error"] == "invalid_request"


class TestDevelopment:
    def test_a_sample_customer_logs_in_without_a_password_on_loopback(
        self, store: Store, clock: Clock, random_bytes: RandomBytes, provider: Provider
    ) -> None:
        url = "http://localhost/audio"
        issuer = issuer_on(store, clock, random_bytes, url=url)
        assert not issuer.import_orders(ORDERS).errors
        issuer.add_dataset("tier", issuer.catalogue.types["tier"].sample, subject="sample-lin")
        client = TestClient(
            app_of(desk_of(issuer, DevLogin(url))),
            base_url="http://localhost",
            follow_redirects=False,
        )

        began = client.get("/audio/authorize", params=asked(scope="tier"))
        listed = client.get(began.headers["location"])
        query = dict(parse_qsl(urlsplit(began.headers["location"]).query))
        page = client.get("/audio/login/callback", params={**query, "customer": "sample-lin"})

        assert "Secure" not in began.headers["set-cookie"]
        assert "There are no passwords here" in listed.text
        assert '<button name="customer" value="sample-lin"><span><b>Lin Yue</b>' in listed.text
        assert page.text.count('<li class="row">') == 1

    def test_elsewhere_that_page_does_not_exist(self, visitor: Visitor) -> None:
        assert visitor.client.get("/login/sample").status_code == 404
