"""Every screen of the phone, in every variant: no fault that axe finds, nothing that sticks out."""

import pytest
from playwright.sync_api import Browser

from tests.browser.seeing import PICTURES, Eyes, Variant
from tests.demo_app.phone_scene import PASSPHRASE, Scene

pytestmark = [pytest.mark.loopback, pytest.mark.once]

# Each language, theme and width once here; the other pairs in the long run.
SHORT = [
    Variant("en-GB", "light", 390),
    Variant("zh-CN", "dark", 390),
    Variant("en-GB", "dark", 1280, "more"),
    Variant("zh-CN", "light", 1280),
]
LONG = [
    Variant("en-GB", "dark", 390),
    Variant("zh-CN", "light", 390),
    Variant("en-GB", "light", 1280),
    Variant("zh-CN", "dark", 1280),
    Variant("zh-CN", "light", 390, "more"),
    Variant("zh-CN", "light", 320),
    Variant("en-GB", "dark", 320, "more"),
]


@pytest.mark.parametrize(
    "variant",
    [*SHORT, *(pytest.param(one, marks=pytest.mark.soak) for one in LONG)],
    ids=lambda one: one.name,
)
def test_no_screen_has_a_fault(browser: Browser, shopper: Scene, variant: Variant) -> None:
    with variant.open(browser, shopper.address) as context:
        page = context.new_page()
        eyes = Eyes(page, variant)
        page.goto("/")
        eyes.look("w1-unlock")
        page.fill("#passphrase", "another passphrase")
        page.keyboard.press("Enter")
        page.wait_for_selector("[aria-invalid]")
        # A browser says of itself that a page came with an error's status.
        eyes.said.clear()
        eyes.look("w1-wrong")
        page.fill("#passphrase", PASSPHRASE)
        page.keyboard.press("Enter")
        page.wait_for_selector(".ticket")
        eyes.look("w2-home")
        shopper.pocket.settle()
        cards = [
            each.get_attribute("href") or "" for each in page.query_selector_all("a.ticket__stub")
        ]
        for screen, path in (("w7-card", cards[0]), ("w7-receipt", cards[-1])):
            page.goto(path)
            eyes.look(screen)
            page.click("summary")
            page.evaluate("scrollTo(0, document.body.scrollHeight)")
            eyes.look(f"{screen}-end")
        page.goto("/receipts")
        eyes.look("w8-receipts")
        page.click("summary")
        page.fill("#q", "earbuds")
        page.wait_for_url("**/receipts?q=earbuds*")
        eyes.look("w8-found")
        page.goto("/search")
        page.fill("#q", "nothing of the kind")
        page.wait_for_selector("#found .empty")
        eyes.look("w2-search")
        page.goto("/settings")
        eyes.look("w22-settings")
        page.goto(cards[0])
        page.click(f"form[action='{cards[0]}/remove'] button")
        page.wait_for_url("**/trash*")
        eyes.look("w7-trash")


@pytest.mark.parametrize("variant", SHORT[:2], ids=lambda one: one.name)
def test_the_first_run_has_no_fault(browser: Browser, fresh: Scene, variant: Variant) -> None:
    with variant.open(browser, fresh.address) as context:
        page = context.new_page()
        eyes = Eyes(page, variant)
        page.goto("/")
        eyes.look("w1-start")
        page.click("a[href='/restore']")
        eyes.look("w1-restore")
        page.goto("/start")
        page.fill("#passphrase", PASSPHRASE)
        page.keyboard.press("Enter")
        page.wait_for_selector(".empty")
        eyes.look("w2-empty")
        page.click("nav a[href='/receipts']")
        eyes.look("w8-empty")
        link, code = fresh.offered()
        page.click("nav a[href='/scan']")
        eyes.look("w3-scan")
        page.fill("#text", link)
        page.click("#scanned button")
        page.wait_for_selector("#code")
        eyes.look("w4-offer")
        page.fill("#code", code)
        page.keyboard.press("Enter")
        page.wait_for_selector(".ticket")
        eyes.look("w2-accepted")


def test_text_of_twice_the_size_still_fits_a_narrow_window(
    browser: Browser, shopper: Scene
) -> None:
    variant = Variant("zh-CN", "light", 320)
    with variant.open(browser, shopper.address) as context:
        page = context.new_page()
        eyes = Eyes(page, variant)
        page.goto("/")
        page.fill("#passphrase", PASSPHRASE)
        page.keyboard.press("Enter")
        page.wait_for_selector(".ticket")
        page.goto("/settings")
        page.click("button[value='200']")
        page.wait_for_selector("html[data-text='200']")
        for path in ("/settings", "/", "/receipts", "/search"):
            page.goto(path)
            page.screenshot(path=PICTURES / f"large-text-{path[1:] or 'home'}.png")
            assert eyes.sticks_out() <= 0, path
