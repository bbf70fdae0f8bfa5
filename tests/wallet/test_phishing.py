"""Phishing at the wallet: what a thief's request, or his copy of a shop's, gets out of it.

The wallet's side of the research on attacks, as far as presentations go. Redirects of the
answer, answers sent twice, bent requests and strange prefixes are in `test_hostile_verifier`,
`test_presenting_requests` and the conformance modules; linking is in `test_unlinkability`.
"""

import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Final
from urllib.parse import quote

import pytest
from counterfoil_credentials.encoding import Json, b64url, compact_json
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.fetch import GuardedFetcher, MemoryFetcher, Response
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.request_links import UriMethod, request_link
from counterfoil_credentials.requests import sign_request
from counterfoil_verifier import Light
from counterfoil_verifier.requesting import Answered, Handback, SessionId, Standing
from counterfoil_wallet import Matches, MemoryStore, Trust, Verifier, Wallet
from counterfoil_wallet.cli import main
from counterfoil_wallet.cli_screen import matches_lines
from counterfoil_wallet.wallet import utc_now

from tests.conftest import Clock
from tests.wallet.conftest import Reach
from tests.wallet.strangers import SHOP, TYPE, StrangeIssuer, StrangeShop, json_response
from tests.wallet.town import Town, Wire

SECOND: Final = timedelta(seconds=1)
THIEF: Final = "https://thief.example"


@pytest.fixture
def shop(clock: Clock) -> StrangeShop:
    return StrangeShop(MemoryFetcher(), clock)


@pytest.fixture
def issuer(shop: StrangeShop, clock: Clock, random_bytes: Callable[[int], bytes]) -> StrangeIssuer:
    return StrangeIssuer(shop.network, clock, random_bytes)


def wallet_of(issuer: StrangeIssuer, *known: tuple[str, Verifier]) -> Wallet:
    """Give a wallet with one warranty that knows these verifiers."""
    trust = Trust(verifiers=dict(known))
    wallet = Wallet.in_memory(fetcher=issuer.network, clock=issuer.clock, trust=trust)
    wallet.accept(issuer.link)
    return wallet


def screen(matches: Matches) -> list[str]:
    return matches_lines(matches, matches.choose().disclosures)


class TestBeforeTheCustomerAgrees:
    def test_who_asks_and_why_is_known_and_nothing_has_left(
        self, issuer: StrangeIssuer, shop: StrangeShop
    ) -> None:
        known = Verifier(name="Corner Shop", may_ask={TYPE: [("item",)]}, purpose="To see")
        wallet = wallet_of(issuer, (shop.client_id, known))

        lines = screen(wallet.matches(shop.link))

        assert lines[0] == "Asked by a key that this wallet knows: Corner Shop"
        assert lines[1] == "Why, as it registered: To see"
        assert shop.forms == []

    @pytest.mark.parametrize(
        ("words", "is_other"),
        [("To see", False), ("To  see", False), ("To sell", True), ("", True)],
    )
    def test_another_purpose_than_the_registered_one_is_marked(
        self, issuer: StrangeIssuer, shop: StrangeShop, words: str, *, is_other: bool
    ) -> None:
        shop.purpose = words
        wallet = wallet_of(issuer, (shop.client_id, Verifier(name="Shop", purpose="To see")))

        matches = wallet.matches(shop.link)

        assert matches.registered_purpose == "To see"
        assert matches.is_other_purpose == is_other
        careful = "Careful: it registered another purpose: To see"
        assert (careful in screen(matches)) == is_other

    def test_nobody_registered_the_purpose_of_a_stranger(
        self, issuer: StrangeIssuer, shop: StrangeShop
    ) -> None:
        for known in ((), ((shop.client_id, Verifier(name="Shop")),)):
            matches = wallet_of(issuer, *known).matches(shop.link)
            assert (matches.registered_purpose, matches.is_other_purpose) == (None, False)

    @pytest.mark.parametrize(
        "claimed",
        [
            "Corner Shop",
            "corner  shop",
            "Corner Shop, till 3",
            "Ｃｏｒｎｅｒ Shop",
            "C\N{CYRILLIC SMALL LETTER O}rner Shop",
            "\N{CYRILLIC CAPITAL LETTER ES}\N{GREEK CAPITAL LETTER OMICRON}RNER SHOP",
            "Corne\N{CYRILLIC SMALL LETTER GHE} Sho\N{GREEK SMALL LETTER RHO}, till 3",
        ],
    )
    def test_a_stranger_in_a_known_name_is_told_apart(
        self, issuer: StrangeIssuer, shop: StrangeShop, claimed: str
    ) -> None:
        real = StrangeShop(MemoryFetcher(), issuer.clock)
        wallet = wallet_of(issuer, (real.client_id, Verifier(name="Corner Shop")))
        shop.client_name = claimed

        matches = wallet.matches(shop.link)

        assert (matches.asker.known_as, matches.asker.poses_as) == (None, "Corner Shop")
        careful = "Careful: nothing proves that it is what this wallet knows as Corner Shop"
        assert screen(matches)[1] == careful

    @pytest.mark.parametrize(
        "claimed",
        [
            "Corner Shops",
            "The Corner Shop",
            "",
            ", till 3",
            "Cerner Shop",
            "C0rner Shop",
            "Corn\N{LATIN SMALL LETTER E WITH ACUTE}r Shop",
            "C\N{CYRILLIC SMALL LETTER O}rner Shot",
            "C\N{CYRILLIC SMALL LETTER O}rner",
            # In one script each: nothing here says that they look alike.
            "Уголок Shop",
            "Уголок Лавк",
        ],
    )
    def test_another_name_is_no_known_one(
        self, issuer: StrangeIssuer, shop: StrangeShop, claimed: str
    ) -> None:
        real = StrangeShop(MemoryFetcher(), issuer.clock)
        wallet = wallet_of(issuer, (real.client_id, Verifier(name="Corner Shop")))
        shop.client_name = claimed

        assert wallet.matches(shop.link).asker.poses_as is None

    def test_the_one_that_is_known_poses_as_nobody_until_that_ends(
        self, issuer: StrangeIssuer, shop: StrangeShop, clock: Clock
    ) -> None:
        ends_at = clock() + SECOND
        wallet = wallet_of(issuer, (shop.client_id, Verifier(name="The Shop", ends_at=ends_at)))
        for known_as in ("The Shop", None):
            asker = wallet.matches(shop.link).asker
            assert (asker.known_as, asker.poses_as) == (known_as, None)
            clock.advance(SECOND)


class TestAnOldCode:
    def test_is_refused_to_the_second_when_it_is_read(
        self, issuer: StrangeIssuer, shop: StrangeShop, clock: Clock
    ) -> None:
        wallet = wallet_of(issuer)
        token = sign_request(shop.request(), shop.signer)
        serve(shop, SHOP, token)

        clock.advance(shop.lasts - SECOND)
        wallet.matches(shop.link)
        clock.advance(SECOND)
        with pytest.raises(Refused) as refusal:
            wallet.matches(shop.link)

        assert refusal.value.codes == ["request-expired"]

    def test_is_refused_to_the_second_when_it_is_answered(
        self, issuer: StrangeIssuer, shop: StrangeShop, clock: Clock
    ) -> None:
        wallet = wallet_of(issuer)
        in_time = wallet.matches(shop.link)
        clock.advance(shop.lasts - SECOND)
        wallet.present(in_time.choose())
        shop.nonce = "another"
        too_late = wallet.matches(shop.link)
        clock.advance(shop.lasts)

        with pytest.raises(Refused) as refusal:
            wallet.present(too_late.choose())

        assert refusal.value.codes == ["request-expired"]
        assert len(shop.forms) == 1


def serve(shop: StrangeShop, origin: str, token: str | bytes) -> list[bytes]:
    """Let `origin` give this request object, and remember what is sent there."""
    got: list[bytes] = []
    data = token if isinstance(token, bytes) else token.encode()

    def handle(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        if path == "/request":
            return Response(200, "application/oauth-authz-req+jwt", data)
        got.append(body)
        return json_response({})

    shop.network.serve(origin, handle)
    return got


class TestACopyOfAShopsRequest:
    def test_at_a_thief_s_address_is_the_shop_s_and_is_answered_to_the_shop(
        self, issuer: StrangeIssuer, shop: StrangeShop
    ) -> None:
        got = serve(shop, THIEF, sign_request(shop.request(), shop.signer))
        wallet = wallet_of(issuer, (shop.client_id, Verifier(name="Corner Shop")))

        matches = wallet.matches(request_link(shop.client_id, f"{THIEF}/request"))
        wallet.present(matches.choose())

        assert matches.asker.known_as == "Corner Shop"
        assert len(shop.forms) == 1
        assert got == []

    def test_is_answered_once_wherever_it_is_met(
        self, issuer: StrangeIssuer, shop: StrangeShop
    ) -> None:
        serve(shop, THIEF, sign_request(shop.request(), shop.signer))
        wallet = wallet_of(issuer)
        wallet.present(wallet.matches(shop.link).choose())

        copied = wallet.matches(request_link(shop.client_id, f"{THIEF}/request"))
        with pytest.raises(Refused) as refusal:
            wallet.present(copied.choose())

        assert refusal.value.codes == ["already-shown"]
        assert len(shop.forms) == 1

    @pytest.mark.parametrize(
        "change",
        [
            {"response_uri": f"{THIEF}/response"},
            {"nonce": "the thief's"},
            {"exp": 4_000_000_000},
            {"purpose": "To give you a prize"},
            {"client_metadata": {"vp_formats_supported": {}, "client_name": "Your bank"}},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_with_one_thing_changed_is_nobody_s(
        self, issuer: StrangeIssuer, shop: StrangeShop, change: dict[str, Json]
    ) -> None:
        head, _, signature = sign_request(shop.request(), shop.signer).split(".")
        changed = b64url(compact_json({**shop.request().to_claims(), **change}))
        got = serve(shop, SHOP, f"{head}.{changed}.{signature}")

        assert refused(issuer, shop.link) == ["signature-invalid"]
        assert got == []

    def test_signed_by_the_thief_is_nobody_s(
        self, issuer: StrangeIssuer, shop: StrangeShop
    ) -> None:
        shop.signs_with = MemorySigner.generate()

        assert refused(issuer, shop.link) == ["signature-invalid"]

    def test_under_the_thief_s_own_name_in_the_link_is_nobody_s(
        self, issuer: StrangeIssuer, shop: StrangeShop
    ) -> None:
        """The client id of the link and of the request are the same, or nobody asks."""
        thief = StrangeShop(MemoryFetcher(), issuer.clock)

        assert refused(issuer, request_link(thief.client_id, f"{SHOP}/request")) == [
            "client-id-mismatch"
        ]
        assert shop.forms == []


def refused(issuer: StrangeIssuer, link: str) -> list[str]:
    with pytest.raises(Refused) as refusal:
        wallet_of(issuer).matches(link)
    return refusal.value.codes


INSIDE: Final = (
    "https://169.254.169.254/latest/meta-data",
    "https://127.0.0.1/request",
    "https://[::1]/request",
    "https://localhost/request",
    "file:///etc/passwd",
    "http://shop.example/request",
    "https://user@shop.example/request",
)


class TestAnAddressInside:
    """The wallet calls none, whether for a request or with an answer; sockets are closed here."""

    @pytest.mark.parametrize("method", UriMethod)
    @pytest.mark.parametrize("url", INSIDE)
    def test_no_request_is_fetched_there(
        self, shop: StrangeShop, clock: Clock, url: str, method: UriMethod
    ) -> None:
        wallet = Wallet.in_memory(fetcher=GuardedFetcher(), clock=clock)

        with pytest.raises((Refused, Malformed)):
            wallet.matches(request_link(shop.client_id, url, method))

    @pytest.mark.parametrize("url", INSIDE)
    def test_no_answer_is_sent_there(
        self, issuer: StrangeIssuer, shop: StrangeShop, url: str
    ) -> None:
        kept = MemoryStore()
        Wallet(kept, fetcher=issuer.network, clock=issuer.clock).accept(issuer.link)
        wallet = Wallet(kept, fetcher=GuardedFetcher(), clock=issuer.clock)
        shop.response_uri = url
        token = sign_request(shop.request(), shop.signer)
        link = f"openid4vp://?client_id={quote(shop.client_id, safe='')}&request={token}"

        with pytest.raises((Refused, Malformed)):
            wallet.present(wallet.matches(link).choose())


class TestASignatureThatIsNone:
    """Algorithm and type of a request object (RFC 8725, sections 3.1 and 3.11)."""

    def token(self, shop: StrangeShop, head: dict[str, Json]) -> tuple[str, dict[str, Json]]:
        signed = sign_request(shop.request(), shop.signer)
        kid = f"{shop.client_id.removeprefix('decentralized_identifier:')}#0"
        whole: dict[str, Json] = {"typ": "oauth-authz-req+jwt", "kid": kid, **head}
        return f"{b64url(compact_json(whole))}.{signed.split('.')[1]}", whole

    @pytest.mark.parametrize("algorithm", ["none", "HS256"])
    def test_none_and_a_public_key_as_a_secret_are_refused(
        self, issuer: StrangeIssuer, shop: StrangeShop, algorithm: str
    ) -> None:
        text, _ = self.token(shop, {"alg": algorithm})
        secret = compact_json(shop.signer.public.jwk())
        tag = hmac.new(secret, text.encode(), sha256).digest() if algorithm == "HS256" else b""
        serve(shop, SHOP, f"{text}.{b64url(tag)}")

        expected = {"none": "request-not-signed", "HS256": "algorithm-not-allowed"}
        assert refused(issuer, shop.link) == [expected[algorithm]]

    @pytest.mark.parametrize("typ", ["JWT", "kb+jwt", "dc+sd-jwt", "openid4vci-proof+jwt"])
    def test_another_kind_of_token_by_the_same_key_is_no_request(
        self, issuer: StrangeIssuer, shop: StrangeShop, typ: str
    ) -> None:
        text, _ = self.token(shop, {"alg": "ES256", "typ": typ})
        serve(shop, SHOP, f"{text}.{b64url(shop.signer.sign(text.encode()))}")

        assert refused(issuer, shop.link) == ["token-type-mismatch"]

    def test_the_right_head_by_the_same_key_is_one(
        self, issuer: StrangeIssuer, shop: StrangeShop
    ) -> None:
        text, _ = self.token(shop, {"alg": "ES256"})
        serve(shop, SHOP, f"{text}.{b64url(shop.signer.sign(text.encode()))}")

        assert wallet_of(issuer).matches(shop.link).purpose == "To see"


class TestTheWayBack:
    """On the same device the yes waits for the browser in which the question began."""

    def test_the_address_that_the_app_opens_ends_this_question_and_no_other(
        self, town: Town, full: Wallet
    ) -> None:
        town.open_shop(replace(town.shop, return_to="https://shop.example/thanks"))
        own, of_a_thief = (
            town.counter.ask("warranty", handback=Handback.RESPONSE_CODE) for _ in range(2)
        )
        back, elsewhere = (
            full.present(full.matches(asked.link).choose()).redirect_uri
            for asked in (own, of_a_thief)
        )
        assert back is not None
        assert elsewhere is not None
        assert back.startswith("https://shop.example/thanks?response_code=")
        code, other = (url.rpartition("=")[2] for url in (back, elsewhere))

        assert town.counter.look(own.session_id, code=other).light is None
        assert town.counter.look(own.session_id, code=code).light is Light.GREEN
        assert town.counter.look(of_a_thief.session_id).light is None


class TestTheMatchCode:
    """The customer carries it from her phone to the till; a thief at the till has none."""

    @pytest.fixture
    def asked(self, town: Town) -> tuple[SessionId, str]:
        asked = town.counter.ask("warranty", handback=Handback.MATCH_CODE, till="till 3")
        return asked.session_id, asked.link

    def test_told_at_the_till_it_makes_the_light_green(
        self, town: Town, full: Wallet, asked: tuple[SessionId, str]
    ) -> None:
        session_id, link = asked
        matches = full.matches(link)
        assert matches.asker.claimed_name == "Corner Shop, till 3"

        presented = full.present(matches.choose())

        code = presented.match_code
        assert code is not None
        assert len(code) == 4
        assert town.counter.look(session_id, till="till 3").light is None
        look = town.counter.look(session_id, code=code, till="till 3")
        assert (look.light, look.standing) == (Light.GREEN, Standing.FIRM)
        assert code not in repr(presented)

    def test_a_wrong_one_is_no_yes_and_three_are_a_no(
        self, town: Town, full: Wallet, asked: tuple[SessionId, str]
    ) -> None:
        """The thief shows the shop's code to somebody far away, who answers; he has to guess."""
        session_id, link = asked
        code = full.present(full.matches(link).choose()).match_code
        assert code is not None

        lights = [
            town.counter.look(session_id, code=f"{(int(code) + step) % 10_000:04}", till="till 3")
            for step in (1, 2, 3)
        ]

        assert [look.light for look in lights] == [None, None, Light.RED]
        look = town.counter.look(session_id, code=code, till="till 3")
        assert (look.light, look.held) == (Light.RED, None)
        assert isinstance(look.session, Answered)

    def test_it_is_kept_nowhere_and_a_no_has_none(self, town: Town, clock: Clock) -> None:
        store = MemoryStore()
        wallet = town.wallet(store)
        offer = town.offer()
        wallet.accept(offer.link, tx_code=offer.tx_code)
        for step in range(2):
            asked = town.counter.ask("warranty", handback=Handback.MATCH_CODE)
            if step == 0:
                declined = wallet.decline(wallet.matches(asked.link))
                assert (declined.is_heard, declined.redirect_uri) == (True, None)
                continue
            presented = wallet.present(wallet.matches(asked.link).choose())
            assert presented.match_code is not None
            assert presented.redirect_uri is not None
            assert presented.redirect_uri.endswith(f"/match/{presented.match_code}")
            assert all("match" not in repr(event) for event in wallet.history())

    def test_the_wallet_calls_no_page_to_show_it(self, town: Town) -> None:
        wire = Wire(town.network)
        wallet = town.wallet(MemoryStore(), wire)
        offer = town.offer()
        wallet.accept(offer.link, tx_code=offer.tx_code)
        asked = town.counter.ask("warranty", handback=Handback.MATCH_CODE)
        wallet.present(wallet.matches(asked.link).choose())

        assert not [url for _, url, _ in wire.sent if "/match/" in url]

    def test_a_question_in_the_browser_gives_the_way_back_and_no_digits(
        self, town: Town, full: Wallet
    ) -> None:
        presented = full.present(full.matches(town.counter.ask("warranty").link).choose())

        assert (presented.match_code, presented.redirect_uri) == (None, None)

    @pytest.mark.parametrize(
        ("given", "shown"),
        [
            ("0042", "0042"),
            ("12345678", "12345678"),
            ("123", None),
            ("123456789", None),
            ("1234\n", None),
            ("call 0900", None),
            ("１２３４", None),
            (1234, None),
            (["1234"], None),
            (None, None),
        ],
    )
    def test_it_is_a_few_digits_or_is_not_shown(
        self, issuer: StrangeIssuer, shop: StrangeShop, given: Json, shown: str | None
    ) -> None:
        wallet = wallet_of(issuer)
        shop.answer = json_response({"match_code": given})

        assert wallet.present(wallet.matches(shop.link).choose()).match_code == shown

    def test_the_command_line_shows_it_with_what_to_do(
        self,
        random_bytes: Callable[[int], bytes],
        commands_reach: Reach,
        capsys: pytest.CaptureFixture[str],
        tmp_path_factory: pytest.TempPathFactory,
    ) -> None:
        network = MemoryFetcher()
        issuer, shop = StrangeIssuer(network, utc_now, random_bytes), StrangeShop(network, utc_now)
        shop.answer = json_response({"match_code": "0042"})
        commands_reach(network)
        folder = str(tmp_path_factory.mktemp("phone") / "wallet")
        assert main(["create", folder]) == 0
        assert main(["accept", folder, issuer.link]) == 0
        capsys.readouterr()

        assert main(["present", folder, shop.link, "--yes"]) == 0

        lines = capsys.readouterr().out.splitlines()
        assert "Tell this number at the counter where you are standing: 0042" in lines
        assert "Nobody in front of you asks for it? Then tell it to nobody." in lines
        shop.nonce = "another"
        assert main(["present", folder, shop.link, "--yes", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["match_code"] == "0042"
        assert main(["history", folder, "--json"]) == 0
        assert "0042" not in json.dumps(
            [one["detail"] for one in json.loads(capsys.readouterr().out)["history"]]
        )
