"""W11: who has what, by brand and by fact, and what needs her eye."""

import re

import pytest

from tests.demo_app.sharing_scene import BUYER, DAY, SharingScene

pytestmark = pytest.mark.once


def rows(page: str) -> list[str]:
    """Give the text of each grant in a list, without its markup."""
    found = re.findall(r'<a class="rowlink share".*?</a>', page, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", each).split()) for each in found]


def test_screen_w11_says_what_goes_here_while_nothing_is_shared(sharer: SharingScene) -> None:
    page = sharer.get("/sharing").text

    assert "Nobody has anything of yours" in page
    assert "Ask how it is used" not in page


def test_screen_w11_shows_each_grant_with_its_purpose_its_facts_and_its_end(
    sharer: SharingScene,
) -> None:
    sharer.granted()

    page = sharer.get("/sharing").text

    (row,) = rows(page)
    assert row.startswith("To give you benefits made for you Product, Paid at")
    assert "not asked yet how it was used · 29 days left" in row
    assert row.endswith("In force")
    assert "Velorum</h2>" in page
    assert "Not verified" in page


def test_screen_w11_says_when_a_grant_was_last_used(sharer: SharingScene) -> None:
    grant_id = sharer.granted()
    sharer.post("/sharing/check", by="brand")
    assert "never used" in rows(sharer.get("/sharing").text)[0]

    sharer.read(grant_id)
    page = sharer.post("/sharing/check", by="brand").text

    assert "Asked how it was used just now." in page
    assert "used 1 time, last just now" in rows(page)[0]


def test_screen_w11_asks_by_itself_only_what_it_does_not_know(sharer: SharingScene) -> None:
    assert "hx-trigger" not in sharer.get("/sharing").text
    sharer.granted()
    assert 'hx-post="/sharing/check"' in sharer.get("/sharing").text

    sharer.post("/sharing/check", by="brand")
    assert 'hx-post="/sharing/check"' not in sharer.get("/sharing").text
    sharer.calendar.advance(DAY)
    assert 'hx-post="/sharing/check"' in sharer.get("/sharing").text


def test_screen_w11_says_that_somebody_did_not_answer_and_keeps_what_was_known(
    sharer: SharingScene,
) -> None:
    sharer.read(sharer.granted())
    sharer.post("/sharing/check", by="brand")
    sharer.disconnect()
    sharer.calendar.advance(DAY)

    page = sharer.post("/sharing/check", by="brand").text

    assert "Not everybody answered" in page
    assert "used 1 time, last 24 hours ago" in rows(page)[0]


def test_screen_w11_warns_of_what_ends_soon(sharer: SharingScene) -> None:
    sharer.granted(days=5)

    page = sharer.get("/sharing").text

    assert "It ends soon." in page
    assert "4 days left" in rows(page)[0]
    assert "Ends soon" in rows(page)[0]


def test_screen_w11_warns_of_a_grant_that_nobody_acknowledged(sharer: SharingScene) -> None:
    sharer.unacknowledged()
    assert "Waiting for them" in rows(sharer.get("/sharing").text)[0]

    sharer.calendar.advance(DAY)

    page = sharer.get("/sharing").text
    assert "No receipt has come." in page
    assert "badge--wait" in page
    assert "Not acknowledged" in rows(page)[0]


def test_screen_w11_shows_an_overdue_erasure_in_red_before_all_else(sharer: SharingScene) -> None:
    sharer.granted(days=33)
    grant_id = sharer.overdue()

    page = sharer.get("/sharing").text

    first = re.findall(r'class="note note--(\w+)" href="([^"]+)"', page)[0]
    assert first == ("stop", f"/sharing/{grant_id}")
    assert '<span class="badge badge--stop">' in page
    assert any("proof of erasure overdue since" in row for row in rows(page))


def test_screen_w11_turns_by_fact_and_says_who_has_it(sharer: SharingScene) -> None:
    grant_id = sharer.granted()
    sharer.granted(BUYER)

    page = sharer.get("/sharing?by=fact").text

    assert re.findall(r'<h2 id="fact-\d">([^<]+)</h2>', page) == ["Buyer", "Product", "Paid at"]
    assert page.count(f'href="/sharing/{grant_id}"') == 2
    assert page.count(">Velorum</b>") == 3


def test_screen_w11_keeps_what_is_erased_apart_and_no_fact_with_it(sharer: SharingScene) -> None:
    grant_id = sharer.granted()
    sharer.pocket.wallet.withdraw(grant_id)

    page = sharer.get("/sharing").text

    assert "Nobody may read anything now" in page
    assert page.index("Over and erased") < page.index(f'href="/sharing/{grant_id}"')
    assert "Nobody has any fact of yours" in sharer.get("/sharing?by=fact").text


def test_screen_w11_says_the_same_in_chinese(sharer: SharingScene) -> None:
    sharer.granted()
    sharer.browser.headers["accept-language"] = "zh-CN,zh;q=0.9"

    (row,) = rows(sharer.get("/sharing").text)

    assert row.startswith("为你提供专属优惠 商品名称、付款时间")
    assert "剩 29 天" in row
    assert row.endswith("有效")


def test_screen_w11_shows_no_value_of_a_fact(sharer: SharingScene) -> None:
    sharer.granted(BUYER)
    receipt = next(each for each in sharer.pocket.wallet.credentials() if "buyer" in each.claims)
    buyer = receipt.claims["buyer"]
    assert isinstance(buyer, dict)

    for view in ("brand", "fact"):
        assert str(buyer["name"]) not in sharer.get(f"/sharing?by={view}").text
