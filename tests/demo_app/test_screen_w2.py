"""W2: what the customer has, and what needs her eye."""

import pytest
from counterfoil_credentials.encoding import text_at
from counterfoil_demo.houses import AURICLE
from counterfoil_demo.office import objects_at, segment

from tests.demo_app.phone_scene import Scene

pytestmark = pytest.mark.once


def test_screen_w2_says_what_goes_here_while_nothing_is(phone: Scene) -> None:
    phone.first_run()

    page = phone.get("/").text

    assert "No cards yet" in page
    assert "Check now" not in page


def test_screen_w2_shows_each_card_with_its_brand_its_fact_and_its_number(shopper: Scene) -> None:
    page = shopper.get("/").text

    assert page.count('class="ticket stock-sky"') == 3
    assert page.count("Covered until 4 Aug 2031") == 2
    assert "€407.00 on 4 Aug 2026" in page
    assert page.count('class="serial"') == 3


def test_screen_w2_says_the_same_in_chinese(shopper: Scene) -> None:
    shopper.browser.headers["accept-language"] = "zh-CN,zh;q=0.9"

    page = shopper.get("/").text

    assert '<html lang="zh-CN"' in page
    assert "保修至 2031年8月4日" in page
    assert "耳廓音响" in page
    assert "购物小票，3 件商品" in page


def test_screen_w2_warns_of_a_card_that_its_brand_took_back(shopper: Scene) -> None:
    issued = objects_at(shopper.office.get("/back-office/credentials?type=warranty"), "credentials")
    taken = segment(text_at(issued[0], "credential_id", "credential"))
    shopper.office.post(f"/back-office/credentials/{taken}/revoke", {"reason": "goods-returned"})
    assert "took a card back" not in shopper.get("/").text

    page = shopper.post("/check", back="/").text

    assert "Checked with the brands just now." in page
    assert "Auricle took a card back" in page
    assert "ticket--over" in page


def test_screen_w2_says_so_where_a_brand_does_not_answer(shopper: Scene) -> None:
    shopper.network.disconnect(AURICLE.origin)

    page = shopper.post("/check", back="/").text

    assert "Not everything could be checked" in page
    assert page.count("ticket__title") == 3


def test_screen_w2_finds_what_is_held_by_its_words(shopper: Scene) -> None:
    assert shopper.get("/search?q=earbuds").text.count("ticket__title") == 2
    assert "Nothing found" in shopper.get("/search?q=bicycle").text
    assert shopper.get("/search?q=AM-ZEDQ").status_code == 200


def test_screen_w2_escapes_what_somebody_searches_for(shopper: Scene) -> None:
    page = shopper.get('/search?q="><script>alert(1)</script>').text

    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
