"""Good inputs, bent: cut, spliced, doubled, deepened, of the wrong kind, of the wrong bytes.

The normal run repeats the same few hundred for each parser; the long count is
random and prints how to repeat what it finds.
"""

import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz.seeds import CORPUS
from tests.fuzz.targets import TARGETS

SHARE = int(os.environ.get("COUNTERFOIL_SOAK_SHARE", "1"))
SEEDS: dict[str, list[bytes]] = {
    name: [path.read_bytes() for path in sorted((CORPUS / name).iterdir())] for name in TARGETS
}
# What is dropped into an input or put where a JSON value was.
SCRAPS = [
    b"null",
    b"true",
    b"0",
    b"-1",
    b"1.5",
    b"1e999",
    b"9" * 5_000,
    b'""',
    b'"\\u0000"',
    b'"\\ud800"',
    b'"\\n\\u001b[2J"',
    b"[]",
    b"{}",
    b'{"a":1,"a":2}',
    b"[" * 2_000,
    b"[" * 33 + b"]" * 33,
    b'{"a":' * 33 + b"1" + b"}" * 33,
    b"\x00",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xc0\x80",
    "é\u202e\U0001f600".encode(),
    b"=",
    b".",
    b"~",
    b"\n",
    b"%00",
]

MOST_BYTES = 300_000

Mutation = Callable[[bytes], bytes]


def cut(at: float, length: float) -> Mutation:
    def mutate(data: bytes) -> bytes:
        start = int(at * len(data))
        return data[:start] + data[start + 1 + int(length * (len(data) - start)) :]

    return mutate


def insert(at: float, scrap: bytes) -> Mutation:
    def mutate(data: bytes) -> bytes:
        start = int(at * (len(data) + 1))
        return data[:start] + scrap + data[start:]

    return mutate


def repeat(at: float, length: float, times: int) -> Mutation:
    def mutate(data: bytes) -> bytes:
        start = int(at * len(data))
        end = start + 1 + int(length * (len(data) - start))
        return (data[:end] + data[start:end] * times + data[end:])[:MOST_BYTES]

    return mutate


def replace_value(at: float, scrap: bytes) -> Mutation:
    """Put `scrap` between a colon behind `at` and the next comma or bracket."""

    def mutate(data: bytes) -> bytes:
        colon = data.find(b":", int(at * len(data)))
        if colon < 0:
            return data + scrap
        ends = [end for end in (data.find(mark, colon) for mark in (b",", b"}", b"]")) if end > 0]
        return data[: colon + 1] + scrap + data[min(ends, default=len(data)) :]

    return mutate


def double_member(at: float) -> Mutation:
    """Give the object that begins behind `at` its first member twice."""

    def mutate(data: bytes) -> bytes:
        brace = data.find(b"{", int(at * len(data)))
        comma = data.find(b",", brace)
        if brace < 0 or comma < 0:
            return data
        return data[: comma + 1] + data[brace + 1 :]

    return mutate


def bend(at: float, mask: int) -> Mutation:
    def mutate(data: bytes) -> bytes:
        start = int(at * len(data))
        return (
            data[:start]
            + bytes(byte ^ mask for byte in data[start : start + 1])
            + data[start + 1 :]
        )

    return mutate


def splice(at: float, from_: float, other: bytes) -> Mutation:
    """Go on with the end of another input."""
    return lambda data: data[: int(at * len(data))] + other[int(from_ * len(other)) :]


def mutations(others: list[bytes]) -> st.SearchStrategy[Mutation]:
    place = st.floats(0, 1, exclude_max=True)
    scrap = st.sampled_from(SCRAPS) | st.binary(max_size=8)
    return st.one_of(
        st.builds(cut, place, place),
        st.builds(insert, place, scrap),
        st.builds(repeat, place, place, st.integers(1, 40)),
        st.builds(replace_value, place, scrap),
        st.builds(double_member, place),
        st.builds(bend, place, st.integers(1, 255)),
        st.builds(splice, place, place, st.sampled_from(others)),
    )


def bent(name: str) -> st.SearchStrategy[bytes]:
    def apply(data: bytes, several: list[Mutation]) -> bytes:
        for mutate in several:
            data = mutate(data)
        return data

    several = st.lists(mutations(SEEDS[name]), min_size=1, max_size=4)
    return st.builds(apply, st.sampled_from(SEEDS[name]), several)


def run(name: str, chosen: settings) -> None:
    @chosen
    @given(bent(name))
    def bent_input(data: bytes) -> None:
        TARGETS[name](data)

    bent_input()


COMMON = settings(
    deadline=None,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("name", TARGETS)
def test_a_bent_input_ends_in_a_value_or_in_an_error_of_ours(name: str) -> None:
    run(name, settings(COMMON, max_examples=150, derandomize=True))


# The largest inputs are too long to print, and need not be: they can be made again.
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@pytest.mark.soak
@pytest.mark.parametrize("name", TARGETS)
def test_many_bent_inputs_end_in_a_value_or_in_an_error_of_ours(name: str) -> None:
    run(name, settings(COMMON, max_examples=20_000 // SHARE, print_blob=True))
