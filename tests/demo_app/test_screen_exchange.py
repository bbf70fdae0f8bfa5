"""W15: a quote with its rate, its fee and its end; the exchange, once; what fails moves nothing."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from counterfoil_demo.houses import AURICLE, VELORUM
from counterfoil_loyalty.rates import Rate
from httpx2 import Response

from tests.demo_app.phone_scene import ADDRESS, PASSPHRASE
from tests.demo_app.points_scene import PointsScene, points_service, with_points
from tests.demo_app.test_screen_grant import text_of
from tests.loyalty.programme import DAY

pytestmark = pytest.mark.once


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[PointsScene]:
    """Give a phone that has just looked at its points of two brands."""
    with points_service() as service:
        scene = with_points(PointsScene(tmp_path, ADDRESS, service=service))
        scene.today()
        scene.post("/unlock", passphrase=PASSPHRASE)
        scene.pocket.settle()
        scene.post("/points/check")
        yield scene
        scene.pocket.lock()


def quoted(scene: PointsScene, amount: str = "100", to: str = VELORUM.origin) -> Response:
    return scene.browser.post(
        "/points/quotes", data={"from": AURICLE.origin, "amount": amount, "to": to}
    )


def exchanged(scene: PointsScene, quote: Response) -> Response:
    return scene.browser.post(f"{quote.url.path}/exchange")


def held(scene: PointsScene) -> dict[str, str]:
    return {brand: str(it.points) for brand, it in scene.points.check().items()}


BEFORE = {AURICLE.origin: "750.00", VELORUM.origin: "40.00"}
AFTER = {AURICLE.origin: "650.00", VELORUM.origin: "85.00"}


def test_screen_w15_shows_the_rate_the_fee_the_least_and_the_end(collector: PointsScene) -> None:
    page = quoted(collector)

    said = text_of(page.text)
    assert "You give 100 Auricle You get 45 Velorum" in said
    assert "Rate that both brands signed 20 of Auricle for 9 of Velorum" in said
    assert "Kept back by the brands 5" in said
    assert "You get at least 45" in said
    assert re.search(r"Holds until \d+ \w+ \d{4} \d\d:\d\d", said)
    assert int(re.findall(r'data-left="(\d+)"', page.text)[0]) > 0
    assert held(collector) == BEFORE


def test_screen_w15_exchanges_once_however_often_it_is_pressed(collector: PointsScene) -> None:
    quote = quoted(collector)

    assert "Exchanged, as quoted or better." in exchanged(collector, quote).text
    assert "Nothing happened twice." in exchanged(collector, quote).text

    assert held(collector) == AFTER
    said = text_of(collector.get("/points/exchange").text)
    assert "Exchanged before" in said
    assert "for 45 of Velorum" in said


def test_screen_w15_blocks_a_quote_that_has_ended(collector: PointsScene) -> None:
    quote = quoted(collector)
    collector.calendar_ahead(timedelta(hours=1))

    assert 'id="holds"' not in collector.get(quote.url.path).text
    late = exchanged(collector, quote)

    assert late.status_code == 409
    assert "The quote has ended" in late.text
    assert "Get a new quote" in late.text
    assert held(collector) == BEFORE


def test_screen_w15_moves_nothing_where_the_rate_moved(collector: PointsScene) -> None:
    quote = quoted(collector)
    collector.agree(Rate(8, 20), version=2)
    collector.service.clock.advance(8 * DAY)

    moved = exchanged(collector, quote)

    assert moved.status_code == 409
    assert "Nothing was exchanged" in moved.text
    assert held(collector) == BEFORE


def test_screen_w15_counts_once_where_the_answer_was_lost(collector: PointsScene) -> None:
    quote = quoted(collector)
    collector.service.relayer.is_slow = True

    lost = exchanged(collector, quote)
    assert lost.status_code == 503
    assert "It is not known yet" in lost.text
    collector.service.relayer.is_slow = False
    collector.service.relayer.make_block()
    exchanged(collector, quote)

    assert held(collector) == AFTER


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("", "Write an amount"),
        ("1e3", "Write an amount"),
        ("-5", "Write an amount"),
        ("1.234", "Write an amount"),
        ("<b>", "Write an amount"),
        ("0", "You do not have as many"),
        ("751", "You do not have as many"),
        ("9" * 18, "You do not have as many"),
    ],
)
def test_screen_w15_says_what_is_wrong_with_an_amount(
    collector: PointsScene, amount: str, said: str
) -> None:
    page = quoted(collector, amount)

    assert page.status_code == 422
    assert said in page.text
    assert 'aria-invalid="true"' in page.text


def test_screen_w15_says_that_two_brands_do_not_exchange(collector: PointsScene) -> None:
    for to in (AURICLE.origin, "https://evil.example", ""):
        page = quoted(collector, to=to)
        assert page.status_code == 422
        assert "Nothing was exchanged" in page.text


def test_screen_w15_says_that_nobody_answers(collector: PointsScene) -> None:
    collector.service.disconnect()

    page = quoted(collector)

    assert page.status_code == 503
    assert "Nobody answered." in page.text
    assert not re.search(r"0x[0-9a-fA-F]{6}|\b(gas|block|seed)\b", text_of(page.text))
