"""Points, rates and refs: whole numbers, and nothing that two readers could read in two ways."""

import subprocess
import sys

import pytest
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_loyalty import Points, Rate, award_ref
from counterfoil_loyalty.rates import makes_value
from hypothesis import given
from hypothesis import strategies as st

AUDIO = "https://audio.example"
SECRET = b"audio's secret for its award refs"
PRICES = st.integers(1, 2**64 - 1)


@pytest.mark.parametrize(
    ("written", "units"), [("0", 0), ("12", 1200), ("12.5", 1250), ("12.05", 1205), ("0.01", 1)]
)
def test_an_amount_is_read_from_text(written: str, units: int) -> None:
    assert Points.parse(AUDIO, written, "amount") == Points(AUDIO, units)


@pytest.mark.parametrize("written", ["", "-1", "1.", ".5", "1.005", "1e3", "01", "1 ", "١", "1,5"])
def test_an_amount_written_otherwise_is_refused(written: str) -> None:
    with pytest.raises(Malformed):
        Points.parse(AUDIO, written, "amount")


@given(st.integers(0, 2**100))
def test_an_amount_shown_and_read_again_is_the_same(units: int) -> None:
    points = Points(AUDIO, units)
    assert Points.parse(AUDIO, str(points), "amount") == points


def test_points_of_two_brands_do_not_add_up() -> None:
    with pytest.raises(Misuse):
        _ = Points(AUDIO, 1) + Points("https://bicycle.example", 1)
    assert Points(AUDIO, 1) + Points(AUDIO, 2) == Points(AUDIO, 3)


def test_nobody_holds_less_than_nothing() -> None:
    with pytest.raises(Misuse):
        _ = Points(AUDIO, 1) - Points(AUDIO, 2)
    assert Points(AUDIO, 2) - Points(AUDIO, 2) == Points(AUDIO, 0)


@given(st.integers(1, 2**128 - 1), PRICES, PRICES, PRICES, PRICES)
def test_a_fair_rate_makes_no_value_whatever_the_amount(
    units: int, numerator: int, denominator: int, price_in: int, price_out: int
) -> None:
    rate = Rate(numerator, denominator)
    if rate.is_fair(price_in, price_out):
        assert not makes_value(units, price_in, rate.of(units), price_out)


def test_a_rate_a_hair_above_equal_value_is_not_fair() -> None:
    assert Rate(2, 1).is_fair(100, 50)
    assert not Rate(2_000_001, 1_000_000).is_fair(100, 50)


@pytest.mark.parametrize("parts", [(0, 1), (1, 0), (-1, 1), (2**64, 1)])
def test_a_rate_is_two_numbers_above_zero(parts: tuple[int, int]) -> None:
    with pytest.raises(Misuse):
        Rate(*parts)


def test_a_ref_is_the_same_for_each_attempt_and_differs_for_each_event() -> None:
    ref = award_ref(AUDIO, "1001", "purchase", secret=SECRET)
    assert ref.hex() == "eb82095aeb48a0f54107a5cf2bc8fcacb83930d2e5c419ae78e040b0a2a5c48c"
    assert award_ref(AUDIO, "1001", "purchase", secret=SECRET) == ref
    others = {
        award_ref(AUDIO, "1001", "feedback", secret=SECRET),
        award_ref(AUDIO, "1002", "purchase", secret=SECRET),
        award_ref("https://bicycle.example", "1001", "purchase", secret=SECRET),
        award_ref(AUDIO + "1", "001", "purchase", secret=SECRET),
        award_ref(AUDIO, "1001", "purchase", secret=SECRET + b"!"),
    }
    assert len(others | {ref}) == 6


def test_a_ref_wants_a_secret_that_nobody_guesses() -> None:
    for secret in (b"", b"s" * 31):
        with pytest.raises(Misuse):
            award_ref(AUDIO, "1001", "purchase", secret=secret)
    assert len(award_ref(AUDIO, "1001", "purchase", secret=b"s" * 32)) == 32


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import counterfoil_loyalty", {"web3", "eth_tester", "eth", "coincurve", "Crypto"}),
        ("import counterfoil_loyalty.client", {"web3", "eth_tester", "eth", "fastapi"}),
        ("import counterfoil_loyalty.service", {"web3", "eth", "fastapi", "sqlalchemy"}),
    ],
)
def test_what_is_heavy_is_loaded_only_where_it_is_needed(statement: str, absent: set[str]) -> None:
    code = f"{statement}; import sys; print(' '.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not absent & set(run.stdout.split())
