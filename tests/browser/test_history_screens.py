"""W13 in a browser: found while one chooses, deleted, and a file that comes back; no mouse."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.seeing import Eyes, Variant
from tests.browser.test_sharing_screens import PHONE, VARIANTS, enter
from tests.demo_app.sharing_scene import SharingScene

pytestmark = [pytest.mark.loopback, pytest.mark.once]


@pytest.fixture
def lived(sharer: SharingScene) -> SharingScene:
    """Give a phone that bought, granted and withdrew, and withdrew once more without an answer."""
    wallet = sharer.pocket.wallet
    wallet.withdraw(sharer.granted())
    silent = sharer.granted()
    sharer.disconnect()
    wallet.withdraw(silent)
    return sharer


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda one: one.name)
def test_screen_w13_has_no_fault(browser: Browser, lived: SharingScene, variant: Variant) -> None:
    with variant.open(browser, lived.address) as context:
        page = context.new_page()
        eyes = Eyes(page, variant)
        enter(page, lived, "/history")
        eyes.look("w13-history")
        for summary in page.locator("summary").all():
            summary.click()
        eyes.turn()
        eyes.look("w13-history")
        page.locator("a.event").first.click()
        page.wait_for_selector("#loss")
        eyes.look("w13-event")
        page.goto("/history/file")
        eyes.look("w13-file")
        eyes.turn()
        eyes.look("w13-file")
        page.goto("/history")
        page.locator("summary").last.click()
        page.locator("form[action='/history/delete'] button").click()
        page.wait_for_selector(".toast")
        eyes.look("w13-empty")


def test_screen_w13_finds_what_failed_while_one_chooses(
    browser: Browser, lived: SharingScene
) -> None:
    with PHONE.open(browser, lived.address) as context:
        page = context.new_page()
        enter(page, lived, "/history")
        page.click("summary")
        page.check("input[name=failed]")

        expect(page.locator("a.event")).to_have_count(1)
        expect(page.locator("a.event")).to_contain_text("No answer is known")
        page.select_option("#kind", "cards")
        expect(page.locator("#found h2")).to_have_text("Nothing found")
        page.reload()
        expect(page.locator("#kind")).to_have_value("cards")


def test_screen_w13_saves_deletes_and_brings_back_with_the_keyboard_alone(
    browser: Browser, lived: SharingScene, tmp_path: Path
) -> None:
    before = lived.pocket.wallet.history()
    with PHONE.open(browser, lived.address) as context:
        page = context.new_page()
        enter(page, lived, "/history/file")
        page.focus("#passphrase")
        page.keyboard.type("a passphrase for the history")
        with page.expect_download() as saved:
            page.keyboard.press("Enter")
        file = tmp_path / "history.jwe"
        saved.value.save_as(file)
        page.goto("/history")
        page.locator("summary").last.focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator(".toast")).to_contain_text(f"{len(before)} events deleted.")
        assert lived.pocket.wallet.history() == []
        page.goto("/history/file")
        page.set_input_files("#file", file)
        page.focus("#words")
        page.keyboard.type("a passphrase for the history")
        page.keyboard.press("Enter")

        # What was deleted stays deleted, and the page says how many came.
        expect(page.locator(".toast")).to_contain_text("0 events brought in.")
    assert lived.pocket.wallet.history() == []
