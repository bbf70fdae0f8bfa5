"""What the pages say and how they are built; what they look like needs a browser and eyes."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise, product
from string import Formatter
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import pytest
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_issuer.authorization_http import page_answer
from counterfoil_issuer.authorization_pages import (
    Confirmation,
    Line,
    confirmation_page,
    return_place,
    sample_customers_page,
    stopped_page,
    stylesheet,
)
from counterfoil_issuer.authorization_words import STOPS, WORDS, Stop, stop_of
from counterfoil_issuer.dev_login import SAMPLE_CUSTOMERS, DevLogin
from counterfoil_issuer.products import LANGUAGES
from counterfoil_issuer.spec import ErrorCode, refusal
from counterfoil_issuer.store import Store
from counterfoil_issuer.visits import visit_over
from fastapi.testclient import TestClient

from tests.conftest import Clock
from tests.issuer.brand import issuer_on
from tests.issuer.visitor import RandomBytes, answer_in, app_of, asked, desk_of, ticket_in

CSS: Final = "https://audio.example/login/style.css"
HOME: Final = "http://localhost/audio"
SHOWN: Final = Confirmation(
    brand="Auricle & <Sons>",
    client_id="https://wallet.example",
    wallet_name=None,
    attested=False,
    redirect_uri="https://wallet.example/cb",
    customer="Mira Sample",
    lines=[Line("Receipt", "1001"), Line("Membership", None)],
    minutes_left=9,
    action="https://audio.example/authorize/answer",
    ticket="a-ticket",
)


def _stopped(why: Stop, language: str) -> str:
    detail = "expected a, found b (c)"
    return stopped_page(why, detail, brand=SHOWN.brand, language=language, css=CSS)


PAGES: Final[dict[str, Callable[[str], str]]] = {
    "confirmation": lambda language: confirmation_page(SHOWN, language, CSS),
    "attested": lambda language: confirmation_page(
        replace(SHOWN, attested=True, wallet_name="Pocket", lines=SHOWN.lines[:1]), language, CSS
    ),
    "samples": lambda language: sample_customers_page(
        SAMPLE_CUSTOMERS, brand=SHOWN.brand, action="/x", state="s", language=language, css=CSS
    ),
    **{why: partial(_stopped, why) for why in Stop},
}
NAMES: Final = [
    SHOWN.brand,
    SHOWN.client_id,
    "wallet.example",
    SHOWN.customer,
    "Receipt",
    "Membership",
    "Pocket",
    *(text for each in SAMPLE_CUSTOMERS for text in (each.customer_id, each.name, each.email)),
]
VOID: Final = {"meta", "link", "input"}


class Page(HTMLParser):
    """A page's elements with their attributes and words; refuses one that is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._words: list[list[str]] = []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self.open.append(tag)
            self._words.append(self.elements[-1][2])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self._words.pop()

    def handle_data(self, data: str) -> None:
        for words in self._words:
            words.append(data)

    def all(self, tag: str) -> Iterator[tuple[dict[str, str | None], str]]:
        return ((a, "".join(w).strip()) for name, a, w in self.elements if name == tag)

    def one(self, tag: str) -> tuple[dict[str, str | None], str]:
        (found,) = self.all(tag)
        return found


@pytest.fixture(params=product(PAGES, LANGUAGES), ids="-".join)
def page(request: pytest.FixtureRequest) -> tuple[Page, str]:
    name, language = request.param
    return Page(PAGES[name](language)), language


class TestEveryPage:
    def test_says_what_it_is_in_its_language(self, page: tuple[Page, str]) -> None:
        read, language = page

        assert read.one("html")[0] == {"lang": language}
        assert SHOWN.brand in read.one("title")[1]
        assert read.one("h1")[1]
        assert read.one("header")[1].startswith(SHOWN.brand)
        for landmark in ("header", "main"):
            assert len([*read.all(landmark)]) == 1

    def test_runs_nothing_and_asks_for_nothing_but_its_style(self, page: tuple[Page, str]) -> None:
        read, _ = page

        names = [tag for tag, *_ in read.elements]
        assert {"script", "img", "iframe", "object", "style", "a", "use"}.isdisjoint(names)
        assert [a["href"] for a, _ in read.all("link")] == [CSS]
        for _, attributes, _ in read.elements:
            assert not [name for name in attributes if name == "style" or name.startswith("on")]
            assert {"src", "srcset", "autofocus", "tabindex", "http-equiv"}.isdisjoint(attributes)

    def test_names_its_parts_and_buttons(self, page: tuple[Page, str]) -> None:
        read, _ = page

        ids = [a["id"] for _, a, _ in read.elements if "id" in a]
        assert len(ids) == len(set(ids))
        labels = [a["aria-labelledby"] for a, _ in read.all("section")]
        assert labels == ids
        assert all(words for _, words in read.all("button"))
        # A drawing stands beside its words, and says nothing a second time.
        assert all(a["aria-hidden"] == "true" for a, _ in read.all("svg"))
        levels = [int(tag[1]) for tag, *_ in read.elements if re.fullmatch("h[1-6]", tag)]
        assert all(later - earlier <= 1 for earlier, later in pairwise(levels))

    def test_escapes_the_brands_name(self, page: tuple[Page, str]) -> None:
        assert "sons" not in {tag for tag, *_ in page[0].elements}


@pytest.mark.parametrize("name", PAGES)
def test_a_chinese_page_has_no_english_but_names_and_what_programs_are_told(name: str) -> None:
    body = PAGES[name]("zh").partition("<body>")[2]
    words = unescape(re.sub("<[^>]*>", " ", re.sub(r'<p [^>]*lang="en">.*?</p>', "", body)))
    for known in NAMES:
        words = words.replace(known, "")

    assert re.search("[一-鿿]", words)
    assert re.findall("[A-Za-z]+", words) == []


def test_both_languages_say_the_same_things() -> None:
    def holes(text: str) -> set[str | None]:
        return {name for _, name, _, _ in Formatter().parse(text) if name is not None}

    assert set(WORDS) == set(STOPS) == set(LANGUAGES)
    for language in LANGUAGES:
        assert set(STOPS[language]) == set(Stop)
        assert set(WORDS[language]) == set(WORDS["en"])
        for name, text in WORDS[language].items():
            assert holes(text) == holes(WORDS["en"][name]), name
        for why, told in STOPS[language].items():
            assert holes("".join(told)) == holes("".join(STOPS["en"][why])), why
            assert all(told)


class TestConfirmation:
    def test_both_answers_are_buttons_of_one_form_and_refusing_comes_first(self) -> None:
        read = Page(PAGES["confirmation"]("en"))

        assert read.one("form")[0]["method"] == "post"
        buttons = [(a["name"], a["value"], text) for a, text in read.all("button")]
        assert buttons == [("answer", "refuse", "Refuse"), ("answer", "agree", "Get all 2")]
        assert [text for _, text in Page(PAGES["attested"]("zh")).all("button")] == ["拒绝", "领取"]

    def test_the_warning_comes_before_what_is_promised(self) -> None:
        text = PAGES["confirmation"]("en")

        warned = text.index("If somebody sent you here, refuse.")
        assert text.index("Not verified.") < warned < text.index("Goes to your wallet")

    def test_an_attested_wallet_is_named_beside_its_id_which_it_cannot_turn_around(self) -> None:
        shown = replace(SHOWN, attested=True, wallet_name="Pocket\u202e<b>")
        read = Page(confirmation_page(shown, "en", CSS))

        assert [text for _, text in read.all("bdi")][1:3] == ["Pocket\u202e<b>", SHOWN.client_id]
        assert "Not verified" not in read.one("main")[1]

    @pytest.mark.parametrize(
        ("redirect_uri", "place"),
        [
            ("https://wallet.example/cb?x", "wallet.example"),
            ("https://wallet.example:8443/cb", "wallet.example:8443"),
            ("http://127.0.0.1:7/cb", "A program on this device (127.0.0.1:7)"),
            ("http://[::1]:7/cb", "A program on this device ([::1]:7)"),
            ("http://localhost/cb", "A program on this device (localhost)"),
            ("https://localhost.evil.example/cb", "localhost.evil.example"),
            ("https://127.0.0.1.evil.example/cb", "127.0.0.1.evil.example"),
            ("eu.wallet.app:/cb", "The app eu.wallet.app"),
        ],
    )
    def test_where_it_leads_is_said_as_whose_it_is(self, redirect_uri: str, place: str) -> None:
        assert return_place(redirect_uri, "en") == place


@pytest.mark.parametrize(
    ("leads_to", "allowed"),
    [
        (None, "form-action 'self'"),
        ("https://wallet.example/cb", "form-action 'self' https:"),
        ("http://[::1]:7/cb", "form-action 'self' http:"),
        ("eu.wallet.app:/cb", "form-action 'self' eu.wallet.app:"),
    ],
)
def test_a_form_leads_only_here_and_the_way_of_the_wallets_address(
    leads_to: str | None, allowed: str
) -> None:
    policy = page_answer(200, "", leads_to=leads_to).headers["content-security-policy"]

    assert policy.split("; ")[-1] == allowed


class TestStopped:
    @pytest.mark.parametrize(
        ("error", "why"),
        [
            (visit_over("a visit", "none"), Stop.OVER),
            (refusal(ErrorCode.INVALID_REQUEST_URI, "a", "b", "request_uri"), Stop.REQUEST_OVER),
            (refusal(ErrorCode.INVALID_CLIENT, "a", "b", "client_id"), Stop.UNKNOWN_WALLET),
            (refusal(ErrorCode.INVALID_REQUEST, "a", "b", "state"), Stop.OTHER_LOGIN),
            (refusal(ErrorCode.INVALID_REQUEST, "a", "b", "redirect_uri"), Stop.BAD_REQUEST),
            (Malformed("a", "b", "form"), Stop.BAD_REQUEST),
            (Unavailable("expected a database"), Stop.BUSY),
        ],
    )
    def test_each_error_has_its_words(
        self, error: Malformed | Refused | Unavailable, why: Stop
    ) -> None:
        assert stop_of(error) is why

    def test_nobody_who_may_have_agreed_is_told_that_nothing_was_issued(self) -> None:
        denied = {why for why, told in STOPS["en"].items() if "Nothing was issued" in told.do_now}

        assert denied == {*Stop} - {Stop.OVER, Stop.BUSY}
        assert denied == {why for why, told in STOPS["zh"].items() if "没有签发" in told.do_now}

    def test_what_programs_are_told_is_there_in_english_and_escaped(self) -> None:
        text = stopped_page(Stop.BUSY, "found <b>", brand="B", language="zh", css=CSS)

        assert '<p class="code" lang="en"><bdi>found &lt;b&gt;</bdi></p>' in text


class TestInDevelopment:
    @pytest.fixture
    def browser(self, store: Store, clock: Clock, random_bytes: RandomBytes) -> TestClient:
        issuer = issuer_on(store, clock, random_bytes, url=HOME)
        issuer.add_dataset("tier", issuer.catalogue.types["tier"].sample, subject="sample-lin")
        app = app_of(desk_of(issuer, DevLogin(HOME)))
        return TestClient(app, base_url="http://localhost", follow_redirects=False)

    def listing(self, browser: TestClient, **changes: str) -> str:
        return browser.get("/audio/authorize", params=asked(**changes)).headers["location"]

    def test_who_may_have_nothing_is_let_back_to_the_wallet(self, browser: TestClient) -> None:
        where = self.listing(browser)
        query = dict(parse_qsl(urlsplit(where).query))
        listed = browser.get(where)

        answer = browser.get("/audio/login/callback", params={**query, "customer": "sample-noor"})

        assert answer_in(answer)["error"] == "access_denied"
        # Browsers hold a form to this also where its answer leads.
        policy = listed.headers["content-security-policy"]
        assert policy.endswith("form-action 'self' https:")

    def test_the_login_speaks_the_language_that_the_wallet_asked_for(
        self, browser: TestClient
    ) -> None:
        listed = browser.get(self.listing(browser, ui_locales="zh-CN"))

        assert '<html lang="zh">' in listed.text
        stopped = browser.get("/audio/login/callback", params={"state": "another"})
        assert STOPS["zh"][Stop.OTHER_LOGIN].head in stopped.text

    def test_nobody_logs_in_for_a_request_that_is_over(
        self, browser: TestClient, clock: Clock
    ) -> None:
        where = self.listing(browser)
        clock.advance(timedelta(minutes=10))

        stopped = browser.get(where)

        assert stopped.status_code == 400
        assert STOPS["en"][Stop.OVER].head in stopped.text
        assert "<button" not in stopped.text

    def test_a_database_that_cannot_be_had_is_a_page_too(
        self, browser: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away() -> None:
            raise Unavailable("expected the database to take part, found it locked")

        query = dict(parse_qsl(urlsplit(self.listing(browser, scope="tier")).query))
        page = browser.get("/audio/login/callback", params={**query, "customer": "sample-lin"})
        form = {"ticket": ticket_in(page), "answer": "agree"}
        monkeypatch.setattr(store, "transaction", away)

        stopped = browser.post("/audio/authorize/answer", data=form)

        assert (stopped.status_code, stopped.headers["retry-after"]) == (503, "60")
        assert STOPS["en"][Stop.BUSY].head in stopped.text


def luminance(colour: str) -> float:
    """Give the relative luminance of `#rgb` or `#rrggbb` (WCAG 2.2)."""
    digits = colour.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (part / 255 for part in bytes.fromhex(digits))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Give the contrast of two colours, 1 to 21."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


class TestColours:
    """Each pair as it meets on the pages; the browser's own check is not run here."""

    @pytest.fixture(params=product(["light", "dark"], ["normal", "more"]), ids="-".join)
    def tokens(self, request: pytest.FixtureRequest) -> tuple[dict[str, str], str]:
        scheme, wanted = request.param
        normal, more, *_ = stylesheet().decode().split("@media (prefers-contrast: more)")
        found: dict[str, str] = {}
        for block in (normal, more) if wanted == "more" else (normal,):
            for name, light, dark in re.findall(
                r"--([a-z0-9-]+): light-dark\((#[0-9a-f]+), (#[0-9a-f]+)\)", block
            ):
                found[name] = light if scheme == "light" else dark
        return found, wanted

    @pytest.mark.parametrize(
        ("letters", "ground"),
        [
            ("ink", "paper"),
            ("ink", "ground"),
            ("ink-2", "paper"),
            ("ink-2", "ground"),
            ("on-ink", "ink"),
            ("carbon", "ground"),
            ("carbon", "carbon-wash"),
            ("number", "paper"),
        ],
    )
    def test_letters_can_be_read(
        self, tokens: tuple[dict[str, str], str], letters: str, ground: str
    ) -> None:
        colours, wanted = tokens

        assert contrast(colours[letters], colours[ground]) >= (7 if wanted == "more" else 4.5)

    @pytest.mark.parametrize(
        ("edge", "ground"),
        [
            ("edge", "paper"),
            ("edge", "ground"),
            ("ok", "paper"),
            ("wait", "paper"),
            ("stop", "paper"),
            ("carbon", "paper"),
        ],
    )
    def test_shapes_can_be_seen(
        self, tokens: tuple[dict[str, str], str], edge: str, ground: str
    ) -> None:
        assert contrast(tokens[0][edge], tokens[0][ground]) >= 3

    def test_the_measure_is_the_standards(self) -> None:
        assert contrast("#000", "#ffffff") == pytest.approx(21)
        assert contrast("#777777", "#fff") == pytest.approx(4.48, abs=0.005)

    def test_there_is_no_colour_but_the_tokens(self) -> None:
        rules = stylesheet().decode().partition("*, *::before")[2]

        assert set(re.findall(r"#[0-9a-f]{3,8}\b", rules)) == {"#0000", "#000"}  # masks
