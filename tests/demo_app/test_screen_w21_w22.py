"""W21 and W22: a copy of the wallet, and how its pages look."""

import pytest
from counterfoil_wallet import Wallet

from tests.demo_app.phone_scene import PASSPHRASE, Scene

pytestmark = pytest.mark.once


def test_screen_w21_gives_a_file_that_opens_with_its_passphrase_alone(shopper: Scene) -> None:
    answer = shopper.post("/settings/backup", passphrase="a passphrase for the file")
    file = shopper.folder / "downloaded"
    file.write_bytes(answer.content)

    assert answer.headers["content-disposition"].startswith('attachment; filename="counterfoil-')
    assert b"Auricle" not in answer.content
    with Wallet.restore(file, shopper.folder / "elsewhere", "a passphrase for the file") as copy:
        assert copy.credentials() == shopper.pocket.wallet.credentials()


def test_screen_w21_asks_for_a_longer_passphrase(shopper: Scene) -> None:
    refused = shopper.post("/settings/backup", passphrase="short")

    assert refused.status_code == 422
    assert "Use at least 12 characters." in refused.text


def test_screen_w22_changes_the_language_and_stays_on_the_page(shopper: Scene) -> None:
    page = shopper.post("/choices", language="zh", back="/receipts?q=ear")

    assert page.url.path == "/receipts"
    assert page.url.query == b"q=ear"
    assert '<html lang="zh-CN"' in page.text
    assert "1 张小票" in page.text
    assert '<html lang="zh-CN"' in shopper.get("/settings").text


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("theme", "dark", 'data-theme="dark"'),
        ("theme", "light", 'data-theme="light"'),
        ("text", "200", 'data-text="200"'),
    ],
)
def test_screen_w22_keeps_how_it_looks(shopper: Scene, name: str, value: str, said: str) -> None:
    assert said not in shopper.get("/settings").text

    page = shopper.post("/choices", back="/settings", **{name: value})

    assert said in page.text
    assert said in shopper.get("/").text


def test_screen_w22_turns_contrast_on_and_off_for_good(shopper: Scene) -> None:
    assert 'media="(prefers-contrast: more)"' in shopper.get("/").text

    more = shopper.post("/choices", back="/settings", contrast="more").text
    assert "contrast.css" in more
    assert "prefers-contrast" not in more

    assert "contrast.css" not in shopper.post("/choices", back="/settings", contrast="normal").text


@pytest.mark.parametrize("cookie", ["", "zh", "xx.yy.zz.1", "zh.dark.more.100.more", "<b>.dark"])
def test_screen_w22_does_not_trust_what_a_browser_kept(shopper: Scene, cookie: str) -> None:
    shopper.browser.cookies.set("counterfoil-phone-choices", cookie)

    page = shopper.get("/settings")

    assert page.status_code == 200
    assert "<b>" not in page.text.partition("</head>")[0]


def test_screen_w22_locks_the_wallet_for_good_when_asked(shopper: Scene) -> None:
    shopper.post("/lock")

    assert shopper.get("/settings").url.path == "/unlock"
    assert shopper.post("/unlock", passphrase=PASSPHRASE).url.path == "/"
