"""W5 and W6: what somebody asks, on whose terms, and what came of sharing or refusing it."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from counterfoil_credentials.encoding import JsonObject, text_at
from counterfoil_demo.houses import SHOP, VELORUM
from counterfoil_demo.office import objects_at, segment
from counterfoil_wallet import Act

from tests.demo_app.phone_scene import PASSPHRASE
from tests.demo_app.sharing_scene import PAID_AT, PRODUCTS
from tests.demo_app.shop_scene import ShopScene

pytestmark = pytest.mark.once


@pytest.fixture
def customer(bought: Path, tmp_path: Path) -> Iterator[ShopScene]:
    """Give an unlocked phone with cards, before a counter and a brand that ask."""
    scene = ShopScene(shutil.copytree(bought, tmp_path / "phone"))
    _ = scene.office
    scene.post("/unlock", passphrase=PASSPHRASE)
    scene.pocket.settle()
    yield scene
    scene.pocket.lock()
    scene.close()


def sheet(scene: ShopScene, link: str) -> tuple[str, str]:
    """Scan a request, and give where its sheet is, and the sheet."""
    page = scene.post("/scan", text=link)
    assert page.url.path.startswith("/requests/")
    return page.url.path, page.text


def seen(page: str) -> str:
    found = re.search(r'name="seen" value="([0-9a-f]+)"', page)
    assert found is not None
    return found[1]


def test_screen_w5_says_who_asks_why_and_what_is_kept(customer: ShopScene) -> None:
    name, link = customer.ask()

    _, page = sheet(customer, link)

    assert "Quay Street Repairs asks for 3 facts" in page
    assert "Goes along with it." in page
    assert "4 of 4 facts" in page
    assert "Not verified. We cannot say who this is." in page
    assert "To see whether this item is still under warranty." in page
    assert "keeps the result and its time for 30 days" in page
    assert "Nothing has been sent yet." in page
    assert customer.look(name)["state"] == "waiting"
    assert customer.pocket.wallet.history()[-1].act == "accepted"


def test_screen_w5_shares_what_was_on_the_screen_once(customer: ShopScene) -> None:
    name, link = customer.ask(handback="match-code")
    path, page = sheet(customer, link)

    shared = customer.post(f"{path}/share", seen=seen(page))
    for again in (shared, customer.post(f"{path}/share", seen=seen(page))):
        assert again.url.path.startswith("/results/")
        assert "Serial number" in again.text
        assert "Signed, and it fits" in again.text
    assert customer.get(path).url.path == shared.url.path
    digits = re.search(r"digits__text code\">([0-9]+)<", shared.text)
    assert digits is not None
    assert customer.look(name)["state"] == "awaited"
    assert customer.look(name, digits[1])["state"] == "accepted"
    assert [event.act for event in customer.pocket.wallet.history()].count(Act.SHOWN) == 1


def test_screen_w5_sends_nothing_that_was_not_on_the_screen(customer: ShopScene) -> None:
    name, link = customer.ask()
    path, page = sheet(customer, link)
    other = re.findall(r'<option value="([^"]+)">', page)[-1]

    again = customer.post(f"{path}/share", **{"seen": seen(page), "card-0": other})

    assert again.status_code == 409
    assert "Look once more" in again.text
    assert customer.look(name)["state"] == "waiting"
    customer.post(f"{path}/share", **{"seen": seen(again.text), "card-0": other})
    assert customer.look(name)["state"] == "accepted"


def test_screen_w5_refuses_at_one_tap_and_the_shop_learns_no_more(customer: ShopScene) -> None:
    name, link = customer.ask()
    path, page = sheet(customer, link)

    said = customer.post(f"{path}/refuse")

    assert "You refused" in said.text
    assert customer.look(name)["state"] != "accepted"
    assert customer.post(f"{path}/share", seen=seen(page)).url.path == said.url.path
    assert [event.act for event in customer.pocket.wallet.history()].count(Act.SHOWN) == 0


def test_screen_w6_says_what_a_shop_did_not_accept(customer: ShopScene) -> None:
    _, link = customer.ask()
    path, page = sheet(customer, link)
    for each in objects_at(customer.office.get("/back-office/credentials"), "credentials"):
        name = segment(text_at(each, "credential_id", "credential"))
        reason: JsonObject = {"reason": "goods-returned"}
        customer.office.post(f"/back-office/credentials/{name}/revoke", reason)

    said = customer.post(f"{path}/share", seen=seen(page))

    assert "They did not accept it" in said.text
    assert "What you showed did not count" in said.text
    assert "Serial number" in said.text


def test_screen_w6_says_that_no_answer_came(customer: ShopScene) -> None:
    _, link = customer.ask()
    path, page = sheet(customer, link)
    customer.network.disconnect(SHOP.origin)

    said = customer.post(f"{path}/share", seen=seen(page))

    assert "No answer came" in said.text
    assert "This request cannot be answered again." in said.text
    assert "None came" in said.text


def test_screen_w5_narrows_the_terms_of_a_grant(customer: ShopScene) -> None:
    path, page = sheet(customer, customer.asked(PRODUCTS, PAID_AT))
    assert "Velorum asks for 2 facts" in page
    assert "To give you benefits made for you" in page
    assert "To nobody" in page
    chosen = {"ends": "7", "reads": "once"}
    narrowed = customer.browser.get(path, params=chosen).text
    assert "You can withdraw with one tap." in narrowed

    granted = customer.post(f"{path}/share", **{"seen": seen(narrowed), **chosen})

    assert "Velorum may read it now" in granted.text
    (grant,) = customer.pocket.wallet.consent.all()
    assert grant.max_reads == 1
    assert grant.days_left in {6, 7}
    assert f"/sharing/{grant.grant_id}" in granted.text


def test_screen_w6_says_that_a_grant_is_on_its_way(customer: ShopScene) -> None:
    path, page = sheet(customer, customer.asked(PRODUCTS))
    customer.network.disconnect(VELORUM.origin)

    said = customer.post(f"{path}/share", seen=seen(page))

    assert "They have not answered yet" in said.text


def test_screen_w5_shows_nothing_to_a_browser_that_has_not_unlocked(customer: ShopScene) -> None:
    path, page = sheet(customer, customer.ask()[1])

    other = customer.another_browser()
    assert other.get(path).url.path == "/unlock"
    assert other.post(f"{path}/share", data={"seen": seen(page)}).url.path == "/unlock"
