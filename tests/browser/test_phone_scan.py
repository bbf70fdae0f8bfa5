"""W3 in a browser: a camera that sees a film, a camera that is refused, a picture, a paste."""

from pathlib import Path

import pytest
import segno
from playwright.sync_api import Browser, Page, expect

from tests.browser.camera import film, seeing
from tests.browser.seeing import Eyes, Variant
from tests.demo_app.phone_scene import PASSPHRASE, Scene

pytestmark = [pytest.mark.loopback, pytest.mark.once]

PHONE = Variant("en-GB", "light", 390)
WIDE = Variant("zh-CN", "dark", 1280)


def scan_page(page: Page) -> None:
    """Unlock, and go to the page that scans."""
    page.goto("/unlock?back=/scan")
    page.fill("#passphrase", PASSPHRASE)
    page.keyboard.press("Enter")
    page.wait_for_selector("#camera")


@pytest.mark.parametrize("variant", [PHONE, WIDE], ids=lambda one: one.name)
def test_screen_w3_reads_an_offer_through_the_camera(
    browser: Browser, shopper: Scene, tmp_path: Path, variant: Variant
) -> None:
    link, _ = shopper.offered("#1001")
    with (
        seeing(browser, film(link, tmp_path / "film.y4m")) as other,
        variant.open(other, shopper.address, permissions=["camera"]) as context,
    ):
        page = context.new_page()
        eyes = Eyes(page, variant)
        scan_page(page)
        eyes.look_in_every_light("w3-scan")
        page.click("#camera")
        page.wait_for_url("**/offers/*")

        expect(page.locator("#code")).to_be_visible()
        assert not eyes.said


def test_screen_w3_leads_from_a_refused_camera_to_the_paste(
    browser: Browser, shopper: Scene, tmp_path: Path
) -> None:
    link, _ = shopper.offered("#1001")
    with (
        seeing(browser, film(link, tmp_path / "film.y4m")) as other,
        PHONE.open(other, shopper.address) as context,
    ):
        page = context.new_page()
        eyes = Eyes(page, PHONE)
        scan_page(page)
        page.click("#camera")

        expect(page.get_by_role("alert")).to_contain_text("The camera was refused")
        expect(page.locator("#text")).to_be_focused()
        eyes.look("w3-refused")
        page.keyboard.type(link)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_url("**/offers/*")


@pytest.mark.parametrize("variant", [PHONE, WIDE], ids=lambda one: one.name)
def test_screen_w3_reads_a_picture_and_never_sends_it(
    browser: Browser, shopper: Scene, tmp_path: Path, variant: Variant
) -> None:
    good, blank = tmp_path / "code.png", tmp_path / "blank.png"
    segno.make_qr("WIFI:S:home;P:hunter2;;").save(str(good), scale=6, border=4)
    segno.make_qr("x").save(str(blank), scale=6, border=4, dark="#fff")
    with variant.open(browser, shopper.address) as context:
        page = context.new_page()
        eyes = Eyes(page, variant)
        scan_page(page)
        sent: list[str] = []
        page.on("request", lambda each: sent.append(each.post_data or ""))
        page.set_input_files("#picture", blank)
        expect(page.locator("[data-said=unread]")).to_be_visible()
        eyes.look("w3-unread")
        page.set_input_files("#picture", good)

        expect(page.locator("main .note--stop")).to_contain_text(
            "无线网络" if variant is WIDE else "Wi-Fi"
        )
        assert "hunter2" not in page.content()
        # A browser says of itself that a page came with an error's status.
        eyes.said.clear()
        eyes.look_in_every_light("w3-explained")
        assert [body for body in sent if body] == [
            "source=picture&text=WIFI%3AS%3Ahome%3BP%3Ahunter2%3B%3B"
        ]


def test_screen_w3_says_that_there_is_no_camera(browser: Browser, shopper: Scene) -> None:
    with PHONE.open(browser, shopper.address, permissions=["camera"]) as context:
        page = context.new_page()
        scan_page(page)
        page.click("#camera")

        expect(page.get_by_role("alert")).to_contain_text("No camera was found")
        expect(page.locator("#text")).to_be_focused()


def test_screen_w3_is_passed_with_the_keyboard_alone(browser: Browser, shopper: Scene) -> None:
    with PHONE.open(browser, shopper.address) as context:
        page = context.new_page()
        scan_page(page)
        page.locator("#camera").focus()
        for each in ("#picture", "#text", "main form button"):
            page.keyboard.press("Tab")
            expect(page.locator(each)).to_be_focused()
