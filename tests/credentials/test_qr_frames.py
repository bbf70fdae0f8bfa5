"""Messages as QR codes: really drawn, shown at 390 pixels, read back; and hostile ones."""

import base64
import random
import tracemalloc
import zlib
from hashlib import sha256

import pytest
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_credentials.qr_frames import (
    FRAME_CHARS,
    MAX_FRAMES,
    MAX_MESSAGE_BYTES,
    Assembler,
    frames,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.pictures import draw, modules, photographed, read

SHORT = "openid4vp://?client_id=x&request_uri=https%3A%2F%2Ftill.example%2Frequests%2F1"


def token(size: int) -> str:
    """Give a text such as a signed token is: base64url that says nothing twice."""
    data = random.Random(size).randbytes(size)
    return base64.urlsafe_b64encode(data).decode()[:size]


def b32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=")


def handmade(message: bytes, *, digest: str | None = None) -> str:
    """Give the one frame of a message, however wrong the message is."""
    named = digest or b32(sha256(message).digest())[:8]
    return f"CFQ1:{named}:1/1:{b32(zlib.compress(message))}"


def collect(assembler: Assembler, *codes: str) -> str | None:
    given = [assembler.add(code) for code in codes]
    assert not any(given[:-1])
    return given[-1]


def test_a_short_text_is_one_code_that_every_reader_can_read() -> None:
    assert frames(SHORT) == [SHORT]
    assert photographed(SHORT) == SHORT
    assert Assembler().add(SHORT) == SHORT


@pytest.mark.parametrize("size", [700, 1_800, 6_000])
def test_a_message_goes_from_a_screen_to_a_camera(size: int) -> None:
    message = token(size)

    codes = frames(message)
    scanned = [photographed(code) for code in codes]

    assert scanned == codes
    assert collect(Assembler(), *scanned) == message


def test_codes_are_big_enough_to_be_read_and_no_more_of_them_than_need_be() -> None:
    codes = frames(token(2_500))

    assert len(codes) == 4
    assert max(map(len, codes)) <= FRAME_CHARS
    # Four pixels of the small screen for each module, its quiet zone counted.
    assert {modules(code) + 8 for code in codes} <= set(range(390 // 4 + 1))
    assert max(map(len, codes)) - min(map(len, codes[:-1])) <= 1


def test_a_blurred_code_is_not_read_as_another() -> None:
    code, _ = frames(token(1_000))
    pixels = bytearray(draw(code))
    pixels[150 * 390 : 240 * 390] = bytes(90 * 390)

    assert read(bytes(pixels)) == []


def test_a_camera_may_begin_anywhere_and_see_a_code_again() -> None:
    message = token(3_000)
    codes = frames(message)
    assembler = Assembler()

    assert assembler.progress == (0, 0)
    assert collect(assembler, codes[2], codes[3], codes[2]) is None
    assert assembler.progress == (2, len(codes))
    assert collect(assembler, *codes[4:], codes[0], codes[1]) == message
    assert assembler.progress == (0, 0)


def test_a_text_that_looks_like_a_frame_comes_back_as_it_was() -> None:
    (inner,) = frames("CFQ1:no frame")

    assert inner != "CFQ1:no frame"
    assert Assembler().add(inner) == "CFQ1:no frame"


@given(st.text(min_size=1, max_size=3_000), st.integers(60, 500))
def test_every_text_comes_back(text: str, max_chars: int) -> None:
    codes = frames(text, max_chars=max_chars)

    assert collect(Assembler(), *codes) == text


@pytest.mark.parametrize(
    "wrong",
    [
        "CFQ1:",
        "CFQ1:AAAAAAAA:1/1:",
        "CFQ1:AAAAAAA:1/1:ME",
        "CFQ1:aaaaaaaa:1/1:ME",
        "CFQ1:AAAAAAAA:0/1:ME",
        "CFQ1:AAAAAAAA:2/1:ME",
        "CFQ1:AAAAAAAA:01/2:ME",
        "CFQ1:AAAAAAAA:1/0:ME",
        f"CFQ1:AAAAAAAA:1/{MAX_FRAMES + 1}:ME",
        "CFQ1:AAAAAAAA:1/999999999:ME",
        "CFQ1:AAAAAAAA:1/2:M=",
        "CFQ1:AAAAAAAA:1/2:me",
        "CFQ1:AAAAAAAA:1/2:ME\n",
        "CFQ1:AAAAAAAA:\u0661/2:ME",
        f"CFQ1:AAAAAAAA:1/2:{'A' * 4_296}",
        "A" * (MAX_MESSAGE_BYTES + 1),
    ],
)
def test_a_broken_frame_is_refused_and_what_was_read_stays(wrong: str) -> None:
    message = token(1_000)
    first, second = frames(message)
    assembler = Assembler()
    assembler.add(first)

    with pytest.raises(Malformed):
        assembler.add(wrong)

    assert assembler.add(second) == message


def test_frames_of_two_messages_are_never_mixed() -> None:
    mine, other = token(1_000), token(1_001)
    assembler = Assembler()
    assembler.add(frames(mine)[0])

    for stranger in (frames(other)[1], frames(mine)[1].replace(":2/2:", ":2/3:")):
        with pytest.raises(Refused) as refusal:
            assembler.add(stranger)
        assert refusal.value.codes == ["frame-of-another-message"]

    assert assembler.add(frames(mine)[1]) == mine


def test_a_frame_does_not_change_what_was_read_under_its_number() -> None:
    message = token(1_000)
    first, second = frames(message)
    assembler = Assembler()
    assembler.add(first)

    with pytest.raises(Refused) as refusal:
        assembler.add(first[:-1] + ("A" if first[-1] != "A" else "B"))

    assert refusal.value.codes == ["frame-differs"]
    assert assembler.add(second) == message


def test_a_message_that_is_not_the_one_its_frames_name_is_refused_and_forgotten() -> None:
    first, second = frames(token(1_000))
    forged = handmade(b"hello", digest=first[5:13])
    assembler = Assembler()

    with pytest.raises(Refused) as refusal:
        assembler.add(forged)

    assert refusal.value.codes == ["frames-digest-mismatch"]
    assert assembler.progress == (0, 0)
    assert collect(assembler, first, second) == token(1_000)


@pytest.mark.parametrize(
    "wrong",
    [
        f"CFQ1:AAAAAAAA:1/1:{b32(b'no zlib stream')}",
        f"CFQ1:AAAAAAAA:1/1:{b32(zlib.compress(b'x')[:-1])}",
        f"CFQ1:AAAAAAAA:1/1:{b32(zlib.compress(b'x') + b'y')}",
        "CFQ1:AAAAAAAA:1/1:A",
        "CFQ1:AAAAAAAA:1/1:MF",
        handmade(b"\xff\xfe"),
    ],
)
def test_a_whole_that_is_no_message_is_refused(wrong: str) -> None:
    with pytest.raises(Malformed):
        Assembler().add(wrong)


def test_a_bomb_is_refused_in_little_memory() -> None:
    bomb = zlib.compress(bytes(64 * 1024 * 1024), 9)
    encoded = b32(bomb)
    size = -(-len(encoded) // 30)
    codes = [f"CFQ1:AAAAAAAA:{n + 1}/30:{encoded[n * size : (n + 1) * size]}" for n in range(30)]
    assembler = Assembler()
    tracemalloc.start()
    try:
        with pytest.raises(Malformed, match="a longer message"):
            collect(assembler, *codes)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 1024 * 1024


def test_what_an_assembler_holds_is_bounded() -> None:
    codes = [
        f"CFQ1:AAAAAAAA:{number}/{MAX_FRAMES}:{'A' * 4_270}" for number in range(1, MAX_FRAMES)
    ]

    with pytest.raises(Malformed, match="characters together"):
        collect(Assembler(), *codes)


def test_what_would_not_fit_is_the_callers_mistake() -> None:
    for text, size in (("", 1_000), ("x" * (MAX_MESSAGE_BYTES + 1), 1_000), (token(9_000), 100)):
        with pytest.raises(Misuse):
            frames(text, max_chars=size)
    for size in (20, 4_297):
        with pytest.raises(Misuse):
            frames(SHORT, max_chars=size)
