"""How people really handle pages: keyboards, double clicks, back, no scripts, no program."""

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.seeing import Variant
from tests.demo_app.phone_scene import PASSPHRASE, Scene

pytestmark = [pytest.mark.loopback, pytest.mark.once]

PHONE = Variant("en-GB", "light", 390)


def test_screen_w1_is_passed_with_the_keyboard_alone(browser: Browser, fresh: Scene) -> None:
    with PHONE.open(browser, fresh.address) as context:
        page = context.new_page()
        page.goto("/")
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.locator("#passphrase")).to_be_focused()
        page.keyboard.type(PASSPHRASE)
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        expect(page.locator("#passphrase")).to_have_attribute("type", "text")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")

        expect(page.locator("h1")).to_have_text("Your cards")


def test_screen_w1_works_without_scripts(browser: Browser, fresh: Scene) -> None:
    with PHONE.open(browser, fresh.address, runs_scripts=False) as context:
        page = context.new_page()
        page.goto("/")
        page.fill("#passphrase", PASSPHRASE)
        page.fill("#again", PASSPHRASE)
        page.click("text=Make my wallet")

        expect(page.locator("h1")).to_have_text("Your cards")
        page.goto("/receipts")
        expect(page.locator("h1")).to_have_text("Receipts")


def test_a_button_that_is_clicked_twice_does_its_work_once(browser: Browser, fresh: Scene) -> None:
    with PHONE.open(browser, fresh.address) as context:
        page = context.new_page()
        sent: list[str] = []
        page.on("request", lambda each: sent.append(each.method))
        page.goto("/")
        page.fill("#passphrase", PASSPHRASE)
        page.dblclick("text=Make my wallet")

        expect(page.locator("h1")).to_have_text("Your cards")
        assert sent.count("POST") == 1
        page.go_back()
        page.reload()
        expect(page.locator("h1")).to_have_text("Your cards")


def test_the_language_changes_without_losing_the_page(browser: Browser, shopper: Scene) -> None:
    with PHONE.open(browser, shopper.address) as context:
        page = context.new_page()
        page.goto("/receipts")
        expect(page.locator("h1")).to_have_text("Your wallet is locked")
        page.click("text=中文")
        expect(page.locator("h1")).to_have_text("钱包已锁定")
        page.fill("#passphrase", PASSPHRASE)
        page.keyboard.press("Enter")

        expect(page.locator("h1")).to_have_text("小票")
        assert page.url == f"{shopper.address}/receipts"


def test_a_page_says_that_its_program_is_gone_and_goes_on_when_it_is_back(
    browser: Browser, shopper: Scene
) -> None:
    with PHONE.open(browser, shopper.address) as context:
        page = context.new_page()
        page.goto("/unlock")
        gone = page.get_by_text("The wallet on this machine does not answer")
        expect(gone).to_be_hidden()

        context.set_offline(offline=True)
        expect(gone).to_be_visible(timeout=15_000)
        context.set_offline(offline=False)
        expect(gone).to_be_hidden(timeout=15_000)


def test_screen_w8_finds_while_one_types_and_keeps_the_place_of_the_cursor(
    browser: Browser, shopper: Scene
) -> None:
    with PHONE.open(browser, shopper.address) as context:
        page = context.new_page()
        page.goto("/receipts")
        page.fill("#passphrase", PASSPHRASE)
        page.keyboard.press("Enter")
        page.click("#q")
        page.keyboard.type("bicycle")
        expect(page.locator("#found h2")).to_have_text("Nothing found")
        expect(page.locator("#q")).to_be_focused()
        for _ in "bicycle":
            page.keyboard.press("Backspace")
        page.keyboard.type("ear pads")
        expect(page.locator("#found .ledger li")).to_have_count(1)

        page.reload()
        expect(page.locator("#q")).to_have_value("ear pads")


def test_screen_w7_copies_the_card_as_it_was_signed(browser: Browser, shopper: Scene) -> None:
    permissions = ["clipboard-read", "clipboard-write"]
    with PHONE.open(browser, shopper.address, permissions=permissions) as context:
        page = context.new_page()
        page.goto("/")
        page.fill("#passphrase", PASSPHRASE)
        page.keyboard.press("Enter")
        page.locator("a.ticket__stub").first.click()
        page.click("summary")
        page.click("text=Copy")
        expect(page.locator("span[role=status]", has_text="Copied")).to_be_visible()

        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied in {str(each.sd_jwt) for each in shopper.pocket.wallet.credentials()}
