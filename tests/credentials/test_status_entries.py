"""Status entries: whatever was flipped, the stream is one ordinary list."""

import random
import tracemalloc
import zlib
from unittest.mock import Mock

import pytest
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.status_entries import (
    MAX_LIST_BYTES,
    SEGMENT_BYTES,
    BitOrder,
    Bits,
    Effort,
    StatusEntries,
)
from hypothesis import given
from hypothesis import strategies as st

WIDTHS: list[Bits] = [1, 2, 4, 8]
AROUND_SEGMENTS = st.one_of(
    st.integers(0, 40),
    st.sampled_from([1, 2, 3]).flatmap(
        lambda n: st.integers(n * SEGMENT_BYTES - 2, n * SEGMENT_BYTES + 2)
    ),
)


def inflated_bytewise(stream: bytes) -> bytes:
    """Inflate as a decoder that is fed one byte at a time, and must end exactly there."""
    inflater = zlib.decompressobj()
    inflated = b"".join(inflater.decompress(stream[i : i + 1]) for i in range(len(stream)))
    assert inflater.eof
    return inflated


def put(plain: bytearray, index: int, status: int, bits: Bits, order: BitOrder) -> None:
    """Set one entry by the book, in a byte written out as binary digits."""
    place, nth = divmod(index, 8 // bits)
    at = nth * bits if order is BitOrder.HIGHEST_FIRST else 8 - bits - nth * bits
    digits = f"{plain[place]:08b}"
    plain[place] = int(f"{digits[:at]}{status:0{bits}b}{digits[at + bits :]}", 2)


@given(
    size_bytes=AROUND_SEGMENTS,
    bits=st.sampled_from(WIDTHS),
    order=st.sampled_from(BitOrder),
    effort=st.sampled_from(Effort),
    seed=st.integers(0, 2**32),
    data=st.data(),
)
def test_any_sequence_of_flips_gives_the_stream_of_the_plain_list(
    *, size_bytes: int, bits: Bits, order: BitOrder, effort: Effort, seed: int, data: st.DataObject
) -> None:
    chance = random.Random(seed)
    plain = bytearray(chance.randbytes(size_bytes) if seed % 2 else bytes(size_bytes))
    entries = StatusEntries(plain, bits=bits, order=order, effort=effort)
    assert len(entries) == size_bytes * 8 // bits

    for count in data.draw(st.lists(st.integers(0, 5), max_size=4)) if size_bytes else ():
        status = chance.randrange(1 << bits)
        flipped = [chance.randrange(len(entries)) for _ in range(count)]
        entries.set_all(flipped, status)
        for index in flipped:
            put(plain, index, status, bits, order)
            assert entries[index] == status
        assert zlib.decompress(entries.zlib_stream()) == plain

    assert entries.raw == plain
    again = StatusEntries(entries.raw, bits=bits, order=order, effort=effort)
    assert again.zlib_stream() == entries.zlib_stream(), "the raw bytes are all there is"


@pytest.mark.parametrize("effort", Effort)
@pytest.mark.parametrize("set_entries", [0, 1, 400, 60_000])
def test_decoders_that_stream_accept_it(effort: Effort, set_entries: int) -> None:
    entries = StatusEntries.blank(400_000, bits=1, effort=effort)
    entries.set_all(random.Random(set_entries).sample(range(400_000), set_entries), 1)
    entries.zlib_stream()
    entries[399_999] = 1

    stream = entries.zlib_stream()

    assert inflated_bytewise(stream) == entries.raw
    assert zlib.decompress(stream) == entries.raw
    # Without the wrapper, as a decoder of raw deflate reads it.
    assert zlib.decompress(stream[2:-4], wbits=-zlib.MAX_WBITS) == entries.raw
    assert int.from_bytes(stream[-4:], "big") == zlib.adler32(entries.raw)
    assert int.from_bytes(stream[:2], "big") % 31 == 0


def test_a_damaged_or_cut_stream_is_no_list() -> None:
    entries = StatusEntries(random.Random(1).randbytes(3 * SEGMENT_BYTES), bits=2)
    stream = entries.zlib_stream()

    for damaged in (stream[:-1], stream[:-5], stream[:-4] + b"\x00\x00\x00\x00"):
        with pytest.raises(zlib.error):
            zlib.decompress(damaged)


def test_only_the_segment_of_a_changed_entry_is_compressed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = Mock(wraps=zlib.compressobj)
    monkeypatch.setattr(zlib, "compressobj", begun)
    entries = StatusEntries(random.Random(2).randbytes(4 * SEGMENT_BYTES), bits=1)
    tried = len(Effort.FAST.value)

    entries.zlib_stream()
    assert begun.call_count == 4 * tried
    entries.zlib_stream()
    assert begun.call_count == 4 * tried
    for index in (8 * SEGMENT_BYTES, 8 * SEGMENT_BYTES + 1):
        entries[index] = 1 - entries[index]

    assert zlib.decompress(entries.zlib_stream()) == entries.raw
    assert begun.call_count == 5 * tried


def test_building_a_list_takes_at_most_three_times_its_raw_bytes() -> None:
    length = 8_000_000
    chance = random.Random(4)
    tracemalloc.start()
    try:
        entries = StatusEntries.blank(length, bits=1)
        for _ in range(80):
            entries.set_all([chance.randrange(length) for _ in range(1000)], 1)
        entries.zlib_stream()
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert length // 8 <= peak_bytes <= 3 * length // 8


def test_setting_what_is_set_already_changes_nothing() -> None:
    entries = StatusEntries.blank(1000, bits=2)
    entries.set_all([1, 2, 3], 2)
    stream = entries.zlib_stream()

    entries.set_all([3, 2, 1, 1], 2)
    entries.set_all([], 1)

    assert entries.zlib_stream() == stream
    assert [entries[index] for index in range(5)] == [0, 2, 2, 2, 0]


def test_the_smaller_effort_is_never_larger_and_both_beat_level_six() -> None:
    for share in (1000, 100, 20):
        entries = StatusEntries.blank(1_000_000, bits=1)
        entries.set_all(random.Random(share).sample(range(1_000_000), 1_000_000 // share), 1)
        fast = len(entries.zlib_stream())
        small = len(StatusEntries(entries.raw, bits=1, effort=Effort.SMALL).zlib_stream())

        assert small <= fast < len(zlib.compress(entries.raw, 6))


def test_the_list_keeps_a_copy_of_what_it_was_given() -> None:
    given_bytes = bytearray(b"\x01\x02")
    entries = StatusEntries(given_bytes, bits=8)

    given_bytes[0] = 9

    assert entries.raw == b"\x01\x02"
    assert StatusEntries(memoryview(given_bytes), bits=8)[0] == 9


@pytest.mark.parametrize(("length", "bits", "size"), [(0, 1, 0), (1, 1, 8), (9, 1, 16), (3, 4, 4)])
def test_a_blank_list_fills_its_last_byte_up(length: int, bits: Bits, size: int) -> None:
    entries = StatusEntries.blank(length, bits=bits)

    assert len(entries) == size
    assert not any(entries[index] for index in range(size))


@pytest.mark.parametrize("index", [-1, 16, 10**30])
def test_an_index_outside_the_list_is_misuse_and_changes_nothing(index: int) -> None:
    entries = StatusEntries.blank(16, bits=1)

    with pytest.raises(Misuse):
        _ = entries[index]
    with pytest.raises(Misuse):
        entries[index] = 1
    with pytest.raises(Misuse):
        entries.set_all([3, index, 4], 1)
    assert entries.raw == b"\x00\x00"


@pytest.mark.parametrize("bits", WIDTHS)
def test_a_status_of_more_bits_is_misuse_and_the_largest_is_not(bits: Bits) -> None:
    entries = StatusEntries.blank(8, bits=bits)

    entries[7] = (1 << bits) - 1
    for status in (1 << bits, -1):
        with pytest.raises(Misuse):
            entries[7] = status

    assert entries[7] == (1 << bits) - 1


def test_a_list_beyond_the_bound_is_misuse() -> None:
    assert len(StatusEntries.blank(MAX_LIST_BYTES, bits=8)) == MAX_LIST_BYTES
    for length in (MAX_LIST_BYTES + 1, 10**30):
        with pytest.raises(Misuse):
            StatusEntries.blank(length, bits=8)
    with pytest.raises(Misuse):
        StatusEntries(bytes(MAX_LIST_BYTES + 1), bits=1)
    with pytest.raises(Misuse):
        StatusEntries.blank(-1, bits=1)


@pytest.mark.parametrize("bits", [0, 3, 16, -1])
def test_another_width_is_misuse(bits: Bits) -> None:
    with pytest.raises(Misuse):
        StatusEntries(b"", bits=bits)
    with pytest.raises(Misuse):
        StatusEntries.blank(8, bits=bits)
