"""W11 and W12 in a browser: what is shared, and the tap that ends it; also without a mouse."""

import pytest
from counterfoil_wallet import verify_pack
from playwright.sync_api import Browser, Page, expect

from tests.browser.seeing import Eyes, Variant
from tests.demo_app.phone_scene import PASSPHRASE
from tests.demo_app.sharing_scene import BUYER, SharingScene

pytestmark = [pytest.mark.loopback, pytest.mark.once]

PHONE = Variant("en-GB", "light", 390)
VARIANTS = [
    PHONE,
    Variant("zh-CN", "dark", 1280),
    *(
        pytest.param(one, marks=pytest.mark.soak)
        for one in (
            Variant("en-GB", "dark", 390),
            Variant("zh-CN", "light", 1280),
            Variant("zh-CN", "light", 320, "more"),
        )
    ),
]


def enter(page: Page, scene: SharingScene, path: str) -> None:
    """Open a page through the door."""
    page.goto(path)
    page.fill("#passphrase", PASSPHRASE)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{scene.address}{path}")


def land(page: Page) -> None:
    """Let the halves part and the stamp land at once."""
    page.evaluate("document.getAnimations().forEach((each) => each.finish())")


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda one: one.name)
def test_screen_w11_has_no_fault(browser: Browser, sharer: SharingScene, variant: Variant) -> None:
    with variant.open(browser, sharer.address) as context:
        page = context.new_page()
        eyes = Eyes(page, variant)
        enter(page, sharer, "/sharing")
        eyes.look("w11-empty")
        sharer.granted(days=34)
        sharer.pocket.wallet.withdraw(sharer.granted())
        sharer.overdue()
        page.goto("/sharing")
        expect(page.locator(".note--stop").first).to_be_visible()
        page.click("summary")
        eyes.look("w11-brands")
        page.click("nav a[href='/sharing?by=fact']")
        page.wait_for_url("**by=fact")
        eyes.look("w11-facts")
        eyes.turn()
        eyes.look("w11-facts")
        page.goto("/sharing")
        eyes.look("w11-brands")


def test_screen_w11_asks_how_it_was_used_when_it_is_opened(
    browser: Browser, sharer: SharingScene
) -> None:
    sharer.read(sharer.granted())
    with PHONE.open(browser, sharer.address) as context:
        page = context.new_page()
        enter(page, sharer, "/sharing")

        expect(page.locator(".share")).to_contain_text("used 1 time, last just now")
        expect(page.locator("#shared [role=status]")).to_contain_text("Asked how it was used")
        page.reload()
        expect(page.locator(".share")).to_contain_text("used 1 time")


def test_screen_w11_is_read_with_the_keyboard_alone(browser: Browser, sharer: SharingScene) -> None:
    sharer.granted()
    sharer.granted(BUYER)
    with PHONE.open(browser, sharer.address) as context:
        page = context.new_page()
        enter(page, sharer, "/sharing")
        page.locator(".skip").focus()
        page.keyboard.press("Enter")
        passed: list[str] = []
        for _ in range(5):
            page.keyboard.press("Tab")
            passed.append(page.evaluate("document.activeElement.innerText.split('\\n')[0]"))

        assert passed[1:3] == ["By brand", "By fact"]
        assert passed[3:] == ["To give you benefits made for you"] * 2


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda one: one.name)
def test_screen_w12_has_no_fault(browser: Browser, sharer: SharingScene, variant: Variant) -> None:
    with variant.open(browser, sharer.address) as context:
        page = context.new_page()
        eyes = Eyes(page, variant)
        grant_id, overdue = sharer.granted(days=60), sharer.overdue()
        enter(page, sharer, f"/sharing/{grant_id}")
        eyes.look("w12-grant")
        page.click("form[action$='/withdraw'] button")
        expect(page.locator(".stamp")).to_be_visible()
        land(page)
        eyes.look("w12-erasing")
        page.goto(f"/sharing/{overdue}")
        land(page)
        eyes.look("w12-overdue")
        eyes.turn()
        land(page)
        eyes.look("w12-overdue")
        sharer.connect()
        page.click("form:not([hidden])[action$='/ask'] button")
        page.wait_for_url("**done=asked")
        land(page)
        eyes.look("w12-erased")


def test_screen_w12_turns_to_the_receipt_by_itself(browser: Browser, sharer: SharingScene) -> None:
    grant_id = sharer.granted()
    sharer.disconnect()
    with PHONE.open(browser, sharer.address) as context:
        page = context.new_page()
        enter(page, sharer, f"/sharing/{grant_id}")
        page.click("form[action$='/withdraw'] button")
        expect(page.locator("h1 + .badge")).to_have_text("Erasing")
        expect(page.locator(".ring")).to_be_visible()

        sharer.connect()

        expect(page.locator("h1 + .badge")).to_have_text("Erased", timeout=15_000)
        expect(page.locator("#held")).to_have_text("Proof you hold: E2")
        expect(page.locator("#stands")).to_have_text("Erased")


def test_screen_w12_saves_the_complaint(browser: Browser, sharer: SharingScene) -> None:
    grant_id = sharer.overdue()
    with PHONE.open(browser, sharer.address) as context:
        page = context.new_page()
        enter(page, sharer, f"/sharing/{grant_id}")
        with page.expect_download() as saved:
            page.click("text=Save the complaint")

        assert saved.value.suggested_filename.startswith("counterfoil-complaint-")
        agreement, _ = verify_pack(saved.value.path().read_bytes(), now=sharer.calendar())
        assert agreement.grant_id == grant_id


def test_screen_w12_is_withdrawn_with_the_keyboard_alone(
    browser: Browser, sharer: SharingScene
) -> None:
    grant_id = sharer.granted()
    with PHONE.open(browser, sharer.address) as context:
        page = context.new_page()
        enter(page, sharer, f"/sharing/{grant_id}")
        for _ in range(12):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.innerText").strip() == "Withdraw":
                break
        page.keyboard.press("Enter")

        expect(page.locator("h1 + .badge")).to_have_text("Erased")
        page.go_back()
        expect(page.locator("h1 + .badge")).to_have_text("Erased")


_COUNTS_TAPS = """addEventListener("click", (event) => {
  if (event.isTrusted) sessionStorage.taps = Number(sessionStorage.taps || 0) + 1;
}, true);"""


def taps(page: Page) -> int:
    """Give how often the page was tapped since this was last asked."""
    count: int = page.evaluate("Number(sessionStorage.taps || 0)")
    page.evaluate("sessionStorage.taps = 0")
    return count


def test_screen_w12_takes_no_more_taps_to_withdraw_than_to_grant(
    browser: Browser, sharer: SharingScene
) -> None:
    with PHONE.open(browser, sharer.address) as context:
        context.add_init_script(_COUNTS_TAPS)
        page = context.new_page()
        enter(page, sharer, "/")
        taps(page)
        page.click("nav a[href='/scan']")
        page.fill("#text", sharer.asked())
        page.click("#scanned button:not([type=button])")
        page.click("#sheet .answers button:not([form])")
        page.wait_for_url("**/results/grants/*")
        to_grant = taps(page)
        (grant,) = sharer.pocket.wallet.grants()
        page.goto("/")
        taps(page)
        page.click("nav a[href='/sharing']")
        page.click("a.share")
        page.click("form[action$='/withdraw'] button")
        expect(page.locator(".stamp")).to_be_visible()
        to_withdraw = taps(page)

    assert 0 < to_withdraw <= to_grant
    assert sharer.pocket.wallet.consent.one(grant.grant_id).level is not None
