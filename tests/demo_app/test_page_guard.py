"""What stands before every page: other hosts, forms of strangers, large bodies, strict headers."""

import re

import pytest

from tests.demo_app.phone_scene import ADDRESS, PASSPHRASE, Scene

pytestmark = pytest.mark.once

PAGES = ["/start", "/unlock", "/nothing", "/", "/assets/0/htmx.js"]


@pytest.mark.parametrize("path", PAGES)
def test_lets_a_browser_run_nothing_but_files_of_its_own(phone: Scene, path: str) -> None:
    policy = phone.get(path).headers["content-security-policy"]

    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize("path", PAGES)
def test_says_nothing_to_strangers_and_keeps_no_page(phone: Scene, path: str) -> None:
    headers = phone.get(path).headers

    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:4711", "phone.example"])
def test_answers_under_its_own_address_alone(phone: Scene, host: str) -> None:
    answer = phone.browser.get("/start", headers={"host": host})

    assert answer.status_code == 421
    assert "This page has another address" in answer.text
    assert "passphrase" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://127.0.0.1:4711"},
        {"origin": "http://localhost:4710"},
        {"origin": "https://127.0.0.1:4710"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "null", "sec-fetch-site": "same-origin"},
    ],
)
def test_takes_no_form_of_another_page(shopper: Scene, headers: dict[str, str]) -> None:
    path = shopper.card_paths()[0]

    answer = shopper.browser.post(f"{path}/remove", headers=headers)

    assert answer.status_code == 403
    assert "Nothing was done." in answer.text
    assert path in shopper.card_paths()


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", None])
def test_takes_no_form_of_which_nobody_says_where_it_is_from(
    shopper: Scene, site: str | None
) -> None:
    del shopper.browser.headers["origin"]
    path = shopper.card_paths()[0]

    answer = shopper.browser.post(
        f"{path}/remove", headers={} if site is None else {"sec-fetch-site": site}
    )

    assert answer.status_code == 403
    assert path in shopper.card_paths()


def test_takes_a_form_that_the_browser_calls_the_pages_own(shopper: Scene) -> None:
    del shopper.browser.headers["origin"]
    path = shopper.card_paths()[0]

    answer = shopper.browser.post(f"{path}/remove", headers={"sec-fetch-site": "same-origin"})

    assert answer.status_code == 200
    assert path not in shopper.card_paths()


@pytest.mark.parametrize("length", ["1048577", "-1", "1e3", "9" * 30])
def test_takes_no_body_that_is_too_large_or_says_so_oddly(phone: Scene, length: str) -> None:
    answer = phone.browser.post("/start", content=b"", headers={"content-length": length})

    assert answer.status_code == 413


def test_counts_a_body_that_does_not_say_its_length(phone: Scene) -> None:
    def endless() -> object:
        for _ in range(40):
            yield b"passphrase=" + b"x" * 65536

    answer = phone.browser.post(
        "/start",
        content=endless(),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        headers={"content-type": "application/x-www-form-urlencoded"},
    )

    assert answer.status_code == 413
    assert not phone.pocket.exists()


def test_asks_its_sessions_to_stay_with_it(phone: Scene) -> None:
    kept = phone.browser.post(
        "/start", data={"passphrase": PASSPHRASE}, follow_redirects=False
    ).headers["set-cookie"]

    assert kept.startswith("counterfoil-phone-session=")
    assert "HttpOnly" in kept
    assert "SameSite=strict" in kept
    assert len(kept.split(";")[0]) > 60


def test_serves_its_files_for_good_and_with_their_digests(phone: Scene) -> None:
    page = phone.get("/start").text
    named = re.findall(r'(?:href|src)="(/assets/[^"#]+)" integrity="(sha384-[^"]+)"', page)
    assert len(named) == 5

    for path, _ in named:
        answer = phone.get(path)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert phone.get(path.replace("/assets/", "/assets/0")).status_code == 404


def test_asks_no_other_host_for_anything(shopper: Scene) -> None:
    for path in ["/", "/receipts", "/search?q=a", "/settings", shopper.card_paths()[0]]:
        page = shopper.get(path).text
        assert not re.findall(r'(?:src|href|action)="(?!/(?!/)|#)[^"]*"', page), path
        assert not re.findall(r"<script>|<style|\sstyle=|\son[a-z]+=", page), path


def test_an_error_of_ours_is_a_page_too(shopper: Scene) -> None:
    browser = shopper.another_browser("zh-CN")
    missing = browser.get(f"{ADDRESS}/nothing")

    assert missing.status_code == 404
    assert "没有这个页面" in missing.text
