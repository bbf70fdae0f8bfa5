"""The entries of one status list: set them, look them up, give the compressed list.

A very long list is republished for one changed entry, so it is not compressed as a
whole. It is cut into segments; each is a run of deflate blocks of its own, ended on a
byte by a full flush, and kept until an entry in it changes. The runs in a row are one
ordinary zlib stream, whose checksum follows from the checksums of the segments.

The Token Status List fills bytes from the lowest bit and wraps the runs as zlib
(RFC 1950). The W3C's Bitstring Status List fills them from the highest and wraps them
as gzip: `BitOrder` is the first half of that, a second face beside `zlib_stream` would
be the other. What must last is `raw` alone; the caller keeps it.
"""

import zlib
from collections.abc import Collection
from enum import Enum
from typing import Final, Literal, NamedTuple, Self, TypeAlias, get_args

from counterfoil_credentials.errors import Misuse

Bits: TypeAlias = Literal[1, 2, 4, 8]

SEGMENT_BYTES: Final = 16 * 1024
MAX_LIST_BYTES: Final = 16 * 1024 * 1024
_ZLIB_HEADER: Final = b"\x78\xda"
_ADLER_BASE: Final = 65_521


class BitOrder(Enum):
    """Which end of a byte its first entry takes."""

    LOWEST_FIRST = "lowest-first"  # Token Status List, section 4.1
    HIGHEST_FIRST = "highest-first"  # Bitstring Status List 1.0, section 3.2


class Effort(Enum):
    """Which (level, strategy) pairs of zlib are tried on a segment; the smallest run is kept.

    Entries are allotted at random, so a list holds runs of one byte and hardly
    anything else to find. Looking for nothing but runs is ten times faster than
    level 6 and smaller than it; in a list with many set entries, plain Huffman codes
    are smaller still. Level 9 finds a few per cent more below one set entry in twenty.
    """

    FAST = ((6, zlib.Z_RLE), (6, zlib.Z_HUFFMAN_ONLY))
    SMALL = ((6, zlib.Z_RLE), (6, zlib.Z_HUFFMAN_ONLY), (9, zlib.Z_FILTERED))


class _Run(NamedTuple):
    """One segment: its deflate blocks, and the two halves of its Adler-32."""

    deflated: bytes
    adler_low: int
    adler_high: int


class StatusEntries:
    """A status list of fixed length that knows which of its segments have changed.

    Not for several threads at once: the caller that shares one holds a lock.
    """

    __slots__ = ("_bits", "_effort", "_order", "_raw", "_runs")

    def __init__(
        self,
        raw: bytes | bytearray | memoryview,
        *,
        bits: Bits,
        order: BitOrder = BitOrder.LOWEST_FIRST,
        effort: Effort = Effort.FAST,
    ) -> None:
        """Take a copy of the packed entries `raw`, `8 // bits` to a byte.

        Raises `Misuse` for another width and for more than 16 MiB.
        """
        if bits not in get_args(Bits):
            raise Misuse("expected entries of 1, 2, 4 or 8 bits, found another width")
        _require_bounded(len(raw))
        self._raw = bytearray(raw)
        self._bits: Bits = bits
        self._order = order
        self._effort = effort
        # An empty list has one segment too: the stream needs a last block.
        self._runs: list[_Run | None] = [None] * max(-(-len(raw) // SEGMENT_BYTES), 1)

    @classmethod
    def blank(
        cls,
        length: int,
        *,
        bits: Bits,
        order: BitOrder = BitOrder.LOWEST_FIRST,
        effort: Effort = Effort.FAST,
    ) -> Self:
        """Give a list of at least `length` entries, all 0; the last byte is filled up."""
        if length < 0 or bits not in get_args(Bits):
            raise Misuse("expected a length from 0 and 1, 2, 4 or 8 bits, found other numbers")
        size_bytes = -(-length * bits // 8)
        _require_bounded(size_bytes)
        return cls(bytes(size_bytes), bits=bits, order=order, effort=effort)

    @property
    def bits(self) -> Bits:
        """How many bits each entry has."""
        return self._bits

    @property
    def order(self) -> BitOrder:
        """Which end of a byte its first entry takes."""
        return self._order

    @property
    def raw(self) -> bytes:
        """A copy of the packed entries: all that is needed to make this list again."""
        return bytes(self._raw)

    def __len__(self) -> int:
        """Count the entries, those that fill the last byte included."""
        return len(self._raw) * 8 // self._bits

    def __getitem__(self, index: int) -> int:
        """Give the status at `index`; `Misuse` outside the list."""
        self._require_within(index, index)
        place, shift = self._locate(index)
        return self._raw[place] >> shift & ((1 << self._bits) - 1)

    def __setitem__(self, index: int, status: int) -> None:
        """Set the status at `index`; `Misuse` outside the list or for more bits than it has."""
        self.set_all((index,), status)

    def set_all(self, indices: Collection[int], status: int) -> None:
        """Give all `indices` the same `status`; all of them, or `Misuse` and none."""
        mask = (1 << self._bits) - 1
        if not 0 <= status <= mask:
            raise Misuse(f"expected a status of {self._bits} bits, found another number")
        if not indices:
            return
        self._require_within(min(indices), max(indices))
        raw, runs = self._raw, self._runs
        for index in indices:
            place, shift = self._locate(index)
            old = raw[place]
            new = old & ~(mask << shift) | status << shift
            if new != old:
                raw[place] = new
                runs[place // SEGMENT_BYTES] = None

    def zlib_stream(self) -> bytes:
        """Give the whole list as one zlib stream (RFC 1950).

        Only segments that have changed since the last call are compressed.
        """
        low, high = 1, 0
        parts = [_ZLIB_HEADER]
        for number, kept in enumerate(self._runs):
            run = kept or self._compress(number)
            # The Adler-32 of two texts in a row (RFC 1950, section 8.2): the second
            # one's sums started at (1, 0) and would have started at (low, high).
            size = min(SEGMENT_BYTES, len(self._raw) - number * SEGMENT_BYTES)
            high = (high + run.adler_high + size * (low - 1)) % _ADLER_BASE
            low = (low + run.adler_low - 1) % _ADLER_BASE
            parts.append(run.deflated)
        parts.append((high << 16 | low).to_bytes(4, "big"))
        return b"".join(parts)

    def _compress(self, number: int) -> _Run:
        start = number * SEGMENT_BYTES
        with memoryview(self._raw) as whole, whole[start : start + SEGMENT_BYTES] as segment:
            checksum = zlib.adler32(segment)
            flush = zlib.Z_FINISH if number == len(self._runs) - 1 else zlib.Z_FULL_FLUSH
            candidates = [
                _deflate(segment, level, strategy, flush) for level, strategy in self._effort.value
            ]
        run = _Run(min(candidates, key=len), checksum & 0xFFFF, checksum >> 16)
        self._runs[number] = run
        return run

    def _locate(self, index: int) -> tuple[int, int]:
        per_byte = 8 // self._bits
        place, nth = divmod(index, per_byte)
        if self._order is BitOrder.HIGHEST_FIRST:
            nth = per_byte - 1 - nth
        return place, nth * self._bits

    def _require_within(self, lowest: int, highest: int) -> None:
        if not 0 <= lowest <= highest < len(self):
            raise Misuse(f"expected an index below {len(self)}, found one outside the list")


def _deflate(segment: memoryview, level: int, strategy: int, flush: int) -> bytes:
    deflater = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, strategy=strategy)
    return deflater.compress(segment) + deflater.flush(flush)


def _require_bounded(size_bytes: int) -> None:
    if size_bytes > MAX_LIST_BYTES:
        raise Misuse(f"expected a list of at most {MAX_LIST_BYTES} bytes, found a longer one")
