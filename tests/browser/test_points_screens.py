"""W14 and W15 in a browser: the chart with its table, a quote that drains; also without a mouse."""

import pytest
from counterfoil_demo.houses import AURICLE
from playwright.sync_api import Browser, Page, expect

from tests.browser.seeing import Eyes, Variant
from tests.browser.test_sharing_screens import PHONE, VARIANTS
from tests.demo_app.phone_scene import PASSPHRASE
from tests.demo_app.points_scene import PointsScene

pytestmark = [pytest.mark.loopback, pytest.mark.once]

# How many dots of the chart are neither empty nor one colour: a line, a grid and words.
_DRAWN = """() => {
  const canvas = document.querySelector("#plot canvas");
  const dots = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return new Set(new Uint32Array(dots.buffer)).size;
}"""


def enter(page: Page, scene: PointsScene) -> None:
    """Open the points through the door, and wait until they were looked up."""
    page.goto("/points")
    page.fill("#passphrase", PASSPHRASE)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{scene.address}/points")
    page.wait_for_selector("#points [role=status]")


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda one: one.name)
def test_screen_w14_has_no_fault(
    browser: Browser, collector: PointsScene, variant: Variant
) -> None:
    with variant.open(browser, collector.address) as context:
        page = context.new_page()
        eyes = Eyes(page, variant)
        enter(page, collector)
        expect(page.locator("#plot canvas")).to_be_visible()
        eyes.look("w14-points")
        eyes.turn()
        expect(page.locator("#plot canvas")).to_be_visible()
        page.click("summary")
        eyes.look("w14-points")
        collector.service.disconnect()
        page.click("form:not([hidden])[action='/points/check'] button")
        page.wait_for_selector(".note--wait:not(.offline)")
        # A browser says of itself that it was refused something; here nothing was.
        eyes.look("w14-offline")


def test_screen_w14_draws_what_stands_in_the_table(
    browser: Browser, collector: PointsScene
) -> None:
    with PHONE.open(browser, collector.address) as context:
        page = context.new_page()
        enter(page, collector)

        expect(page.locator("#plot canvas")).to_have_count(1)
        assert page.evaluate(_DRAWN) > 3
        page.emulate_media(color_scheme="dark")
        expect(page.locator("#plot canvas")).to_have_count(1)
        assert page.evaluate(_DRAWN) > 3
        page.click("summary")
        expect(page.locator("#days tbody tr").last).to_contain_text("750")


def test_screen_w14_is_read_with_the_keyboard_alone(
    browser: Browser, collector: PointsScene
) -> None:
    with PHONE.open(browser, collector.address) as context:
        page = context.new_page()
        enter(page, collector)
        page.focus("#held-2")
        page.keyboard.press("Enter")
        expect(page.locator("#course")).to_have_text("Velorum points, day by day")
        page.focus("summary")
        page.keyboard.press("Enter")
        expect(page.locator("#days")).to_be_visible()


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda one: one.name)
def test_screen_w15_has_no_fault(
    browser: Browser, collector: PointsScene, variant: Variant
) -> None:
    collector.today()
    with variant.open(browser, collector.address) as context:
        page = context.new_page()
        eyes = Eyes(page, variant)
        enter(page, collector)
        page.click("a[href='/points/exchange']")
        page.wait_for_url("**/points/exchange")
        eyes.look("w15-form")
        page.fill("#amount", "100")
        page.keyboard.press("Enter")
        page.wait_for_selector("#holds")
        eyes.look("w15-quote")
        eyes.turn()
        eyes.look("w15-quote")
        page.click("#holds button")
        page.wait_for_url("**done=exchanged")
        page.goto("/points/exchange")
        eyes.look("w15-form")


def test_screen_w15_drains_and_blocks_a_quote_that_has_ended(
    browser: Browser, collector: PointsScene
) -> None:
    collector.today()
    with PHONE.open(browser, collector.address) as context:
        page = context.new_page()
        enter(page, collector)
        page.goto("/points/exchange")
        page.fill("#amount", "100")
        page.clock.install()
        page.keyboard.press("Enter")
        page.wait_for_selector("#holds")
        first = int(page.locator(".ring text").first.text_content() or "0")
        page.clock.run_for(3_000)
        assert int(page.locator(".ring text").first.text_content() or "0") <= first - 2
        page.clock.run_for(first * 1_000)

        expect(page.locator("#holds")).to_be_hidden()
        expect(page.locator("#over")).to_contain_text("Nothing was exchanged.")
        expect(page.locator("#left")).to_have_text("0 s")
        page.locator("#over button").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#holds")).to_be_visible()
    assert str(collector.points.balances()[AURICLE.origin].points) == "750.00"
