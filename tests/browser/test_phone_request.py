"""W5 and W6 in a browser: the sheet, its switches, the two equal answers, and what came of them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import served
from tests.browser.seeing import Eyes, Variant
from tests.demo_app.phone_scene import PASSPHRASE
from tests.demo_app.sharing_scene import PAID_AT, PRODUCTS
from tests.demo_app.shop_scene import ShopScene

pytestmark = [pytest.mark.loopback, pytest.mark.once]

PHONE = Variant("en-GB", "light", 390)
WIDE = Variant("zh-CN", "dark", 1280)
BOTH = pytest.mark.parametrize("variant", [PHONE, WIDE], ids=lambda one: one.name)


@pytest.fixture
def customer(bought: Path, tmp_path: Path) -> Iterator[ShopScene]:
    """Give a locked phone with cards, before a counter and a brand that ask."""
    with served(ShopScene, shutil.copytree(bought, tmp_path / "phone")) as scene:
        _ = scene.office
        yield scene
        scene.close()


def scan(page: Page, link: str) -> None:
    """Unlock, and paste the link of a request."""
    page.goto("/unlock?back=/scan")
    page.fill("#passphrase", PASSPHRASE)
    page.keyboard.press("Enter")
    page.fill("#text", link)
    page.click("#scanned button")
    page.wait_for_selector("#sheet")


@BOTH
def test_screen_w5_answers_a_shop_and_nothing_is_sent_before(
    browser: Browser, customer: ShopScene, variant: Variant
) -> None:
    name, link = customer.ask(handback="match-code")
    with variant.open(browser, customer.address) as context:
        page = context.new_page()
        eyes = Eyes(page, variant)
        scan(page, link)
        eyes.look_in_every_light("w5-show")
        refuse, share = (each.bounding_box() for each in page.query_selector_all(".answers button"))
        assert refuse is not None
        assert share is not None
        assert abs(refuse["width"] - share["width"]) <= 1
        assert refuse["height"] == share["height"]
        assert customer.look(name)["state"] == "waiting"
        page.select_option("select", index=1)
        page.wait_for_url("**/requests/*?*")
        page.locator("select").focus()
        page.keyboard.press("Enter")
        assert customer.look(name)["state"] == "waiting"

        page.click(".answers button >> nth=1")
        expect(page.locator(".digits__text")).to_be_visible()
        eyes.look_in_every_light("w6-shared")
        assert customer.look(name)["state"] == "awaited"
        page.go_back()
        page.reload()
        expect(page.locator(".digits__text")).to_be_visible()


@BOTH
def test_screen_w5_is_read_in_the_order_in_which_it_is_seen(
    browser: Browser, customer: ShopScene, variant: Variant
) -> None:
    _, link = customer.ask()
    with variant.open(browser, customer.address) as context:
        page = context.new_page()
        scan(page, link)
        tops: list[float] = page.evaluate(
            "[...document.querySelectorAll('#sheet :is(h1, h2, p, .ask, dt, .answers)')]"
            ".map((each) => each.getBoundingClientRect().top + scrollY)"
        )
        assert tops == sorted(tops)


@BOTH
def test_screen_w5_grants_on_narrower_terms(
    browser: Browser, customer: ShopScene, variant: Variant
) -> None:
    with variant.open(browser, customer.address) as context:
        page = context.new_page()
        eyes = Eyes(page, variant)
        page.goto("/unlock")
        page.fill("#passphrase", PASSPHRASE)
        page.keyboard.press("Enter")
        page.wait_for_selector(".ticket")
        link = customer.asked(PRODUCTS, PAID_AT)
        page.goto("/scan")
        page.fill("#text", link)
        page.click("#scanned button")
        page.wait_for_selector("#ends")
        page.select_option("#reads", "once")
        page.wait_for_url("**reads=once*")
        eyes.look_in_every_light("w5-grant")
        page.click(".answers button >> nth=1")
        page.wait_for_url("**/results/grants/*")
        eyes.look_in_every_light("w6-granted")
        page.click("main .btn")
        page.wait_for_url("**/sharing/*")

        assert [one.max_reads for one in customer.pocket.wallet.consent.all()] == [1]


def test_screen_w5_is_refused_with_the_keyboard_alone(
    browser: Browser, customer: ShopScene
) -> None:
    name, link = customer.ask()
    with PHONE.open(browser, customer.address) as context:
        page = context.new_page()
        scan(page, link)
        page.locator("#card-0").focus()
        page.keyboard.press("Tab")
        expect(page.locator(".answers button").first).to_be_focused()
        page.keyboard.press("Enter")
        page.wait_for_url("**/results/*")

        expect(page.locator("h1")).to_have_text("You refused")
        assert customer.look(name)["state"] != "accepted"
