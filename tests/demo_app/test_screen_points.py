"""W14: points by brand and together, day by day, when they expire, and what moved them."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from counterfoil_demo.houses import AURICLE, VELORUM
from counterfoil_loyalty import Points

from tests.demo_app.phone_scene import ADDRESS, PASSPHRASE
from tests.demo_app.points_scene import PointsScene, points_service, with_points
from tests.demo_app.test_screen_grant import text_of

pytestmark = pytest.mark.once


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[PointsScene]:
    """Give a phone with points of two brands, which has not looked at them yet."""
    with points_service() as service:
        scene = with_points(PointsScene(tmp_path, ADDRESS, service=service))
        scene.post("/unlock", passphrase=PASSPHRASE)
        scene.pocket.settle()
        yield scene
        scene.pocket.lock()


def looked(scene: PointsScene) -> str:
    return scene.post("/points/check").text


def test_screen_w14_says_what_to_do_while_there_are_no_points(tmp_path: Path) -> None:
    with points_service() as service:
        scene = PointsScene(tmp_path, ADDRESS, service=service)
        scene.first_run()
        page = scene.get("/points").text
        assert "No points yet" in page

        page = scene.post("/points/join", brand=AURICLE.origin).text

        assert "You collect there from now on." in page
        assert "Collect with Auricle" not in page
        assert "Collect with Velorum" in page
        scene.pocket.lock()


def test_screen_w14_shows_each_brand_and_all_by_the_prices_that_they_state(
    collector: PointsScene,
) -> None:
    said = text_of(looked(collector))

    assert "Looked just now." in said
    # A point of Auricle is a cent, one of Velorum two.
    assert re.search(r"Auricle points Auricle · seen [^€]+ 750 €7\.50", said)
    assert re.search(r"Velorum points Velorum · seen [^€]+ 40 €0\.80", said)
    assert "Together, by the prices that the brands state €8.30" in said


def test_screen_w14_has_the_chart_s_numbers_in_a_table(collector: PointsScene) -> None:
    page = looked(collector)

    rows = re.findall(r'data-units="(\d+)"><td>[^<]+</td><td class="num">([^<]+)</td>', page)
    assert ("50000", "500") in rows
    assert rows[-1] == ("75000", "750")
    assert "Lowest 500, highest 750, now 750." in page
    other = collector.get(f"/points?brand={VELORUM.origin}").text
    assert "Velorum points, day by day" in other
    assert "now 40." in other


def test_screen_w14_says_what_moved_points_and_why(collector: PointsScene) -> None:
    looked(collector)
    points = collector.points
    points.exchange(points.quote(Points(AURICLE.origin, 100_00), VELORUM.origin))

    said = text_of(collector.get("/points").text)

    assert "Earned · order #1002" in said
    assert "+250" in said
    assert "Exchanged · for 45 of Velorum" in said
    assert "−100" in said  # a minus as it is typeset


def test_screen_w14_shows_the_calendar_of_what_expires(tmp_path: Path) -> None:
    with points_service() as service:
        scene = PointsScene(tmp_path, ADDRESS, service=service)
        scene.first_run()
        # Points expire by a rule alone that was public before they were earned.
        scene.expire_after(VELORUM.origin, 25)
        scene.award(VELORUM.origin, 40, "#2001")
        scene.award(AURICLE.origin, 10, "#1001")

        said = text_of(looked(scene))

        days = r"Velorum points · if you do nothing with them until then 40 in (\d+) days"
        found = re.search(days, said)
        assert found is not None
        assert 13 <= int(found[1]) <= 15
        assert "None of your points expire." not in said
        scene.pocket.lock()


def test_screen_w14_says_that_no_points_expire(collector: PointsScene) -> None:
    assert "None of your points expire." in text_of(looked(collector))


def test_screen_w14_shows_what_was_seen_last_where_nobody_answers(
    collector: PointsScene,
) -> None:
    looked(collector)
    collector.service.disconnect()

    said = text_of(looked(collector))

    assert "The points could not be looked up" in said
    assert "€8.30" in said


def test_screen_w14_asks_by_itself_only_what_it_does_not_know(collector: PointsScene) -> None:
    assert 'hx-post="/points/check"' in collector.get("/points").text
    looked(collector)
    assert 'hx-post="/points/check"' not in collector.get("/points").text


def test_screen_w14_joins_no_brand_that_is_not_there(collector: PointsScene) -> None:
    before = collector.points.balances().keys()

    for brand in ("https://evil.example", "", "<b>", "javascript:alert(1)"):
        assert collector.post("/points/join", brand=brand).status_code == 200
    assert collector.points.balances().keys() == before


def test_screen_w14_shows_no_address_and_no_word_of_a_chain(collector: PointsScene) -> None:
    said = looked(collector)

    assert not re.search(r"0x[0-9a-fA-F]{6}|\b(gas|block|seed|token|wei)\b", text_of(said))


def test_screen_w14_says_the_same_in_chinese(collector: PointsScene) -> None:
    collector.browser.headers["accept-language"] = "zh-CN,zh;q=0.9"

    said = text_of(looked(collector))

    assert "获得 · order #1002" in said
    assert "按各品牌公布的价格合计" in said
