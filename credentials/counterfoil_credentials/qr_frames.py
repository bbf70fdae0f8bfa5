"""A message as QR codes: one where it fits, else a short sequence that a camera collects.

    CFQ1:<digest>:<number>/<count>:<part>       CFQ1:K3Q7ZB2M:2/3:PCOVLE…

The parts, joined, are the message deflated (zlib) and written in base32; the digest is
the first eight characters of base32(SHA-256(message)). All of it is in the QR code's own
alphanumeric set, which takes 5.5 bits a character where any other text takes eight. Tokens
shrink by a quarter when deflated, because base64url spends eight bits on six. Base45
would be 7 % shorter, but it has spaces, which scanners trim, and signs that a hand
scanner that plays a keyboard turns into others.

The digest tells messages apart and finds reading errors; it proves nothing about who
wrote them. What is read is a stranger's until the message's own signature says more.
"""

import base64
import re
import zlib
from hashlib import sha256
from typing import Final

from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused

FRAME_CHARS: Final = 1_000
"""How long a frame is at most: version 18, 89 modules wide, 4 pixels each at 390 pixels."""

MAX_FRAMES: Final = 40
MAX_MESSAGE_BYTES: Final = 65_536

_PREFIX: Final = "CFQ1:"
_WHERE: Final = "qr_frame"
_DIGEST_CHARS: Final = 8
_HEAD_CHARS: Final = len(_PREFIX) + _DIGEST_CHARS + len(":40/40:")
# Version 40 holds no more, and no scanner gives more for one code.
_LONGEST_FRAME: Final = 4_296
_MAX_HELD_CHARS: Final = 2 * MAX_MESSAGE_BYTES
_FRAME: Final = re.compile(
    r"CFQ1:(?P<digest>[A-Z2-7]{8}):"
    r"(?P<number>[1-9][0-9]?)/(?P<count>[1-9][0-9]?):(?P<part>[A-Z2-7]+)",
    re.ASCII,
)


def frames(text: str, *, max_chars: int = FRAME_CHARS) -> list[str]:
    """Give what each QR code says so that whoever collects them all has `text`.

    A text that fits one code of that size stays as it is, so that every reader can
    read it. `max_chars` counts alphanumeric characters. Show the codes in turn, three to
    five a second. `Misuse` for an empty text, one of more than 64 KiB, or too many codes.
    """
    message = text.encode()
    if not 0 < len(message) <= MAX_MESSAGE_BYTES:
        raise Misuse(f"expected 1 to {MAX_MESSAGE_BYTES} bytes to show, found {len(message)}")
    if not _HEAD_CHARS < max_chars <= _LONGEST_FRAME:
        raise Misuse(f"expected frames of {_HEAD_CHARS + 1} to {_LONGEST_FRAME}, found {max_chars}")
    # Eight bits a character outside the alphanumeric set, 5.5 inside it.
    if len(message) * 16 <= max_chars * 11 and not text.startswith(_PREFIX):
        return [text]
    # Equal parts make codes of one size, which a camera need not find anew each time.
    encoded = _base32(zlib.compress(message, 9))
    count = -(-len(encoded) // (max_chars - _HEAD_CHARS))
    if count > MAX_FRAMES:
        raise Misuse(f"expected at most {MAX_FRAMES} frames, found {count}")
    size = -(-len(encoded) // count)
    parts = [encoded[start : start + size] for start in range(0, len(encoded), size)]
    head = f"{_PREFIX}{_digest(message)}"
    return [f"{head}:{number}/{len(parts)}:{part}" for number, part in enumerate(parts, 1)]


def is_frame(text: str) -> bool:
    """Say whether `text` begins as a frame does; anything else is a message of its own."""
    return text.startswith(_PREFIX)


class Assembler:
    """Collects one message from what a camera or a scanner reads, in any order.

    It holds at most 128 KiB, whatever it is shown.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._parts: dict[int, str] = {}
        self._of: tuple[str, int] | None = None

    @property
    def progress(self) -> tuple[int, int]:
        """How many codes have been read, and of how many; 0 of 0 before the first."""
        return len(self._parts), 0 if self._of is None else self._of[1]

    def add(self, scanned: str) -> str | None:
        """Take what one code says; give the message once it is whole.

        A code that is no frame is a message of its own. A frame may come again.

        Raises `Malformed` for a broken frame, and `Refused` with
        `frame-of-another-message` or `frame-differs`: what was read before stays, and the
        camera may go on. When the whole is wrong (`frames-digest-mismatch`, or `Malformed`),
        nothing of it is kept.
        """
        if len(scanned) > MAX_MESSAGE_BYTES:
            raise Malformed(f"at most {MAX_MESSAGE_BYTES} characters", f"{len(scanned)}", _WHERE)
        if not is_frame(scanned):
            return scanned
        found = _FRAME.fullmatch(scanned) if len(scanned) <= _LONGEST_FRAME else None
        if found is None:
            raise Malformed("a frame CFQ1:digest:number/count:part", "another text", _WHERE)
        number, count = int(found["number"]), int(found["count"])
        if not number <= count <= MAX_FRAMES:
            raise Malformed(f"a number up to a count of at most {MAX_FRAMES}", "others", _WHERE)
        of = (found["digest"], count)
        if self._of not in (None, of):
            raise _refused("frame-of-another-message", "a frame of this message", "another's")
        if self._parts.get(number, found["part"]) != found["part"]:
            raise _refused("frame-differs", "the same frame as before", "another of its number")
        held = sum(map(len, self._parts.values()))
        if number not in self._parts and held + len(found["part"]) > _MAX_HELD_CHARS:
            raise Malformed(f"at most {_MAX_HELD_CHARS} characters together", "more", _WHERE)
        self._of, self._parts[number] = of, found["part"]
        if len(self._parts) < count:
            return None
        encoded = "".join(self._parts[n] for n in range(1, count + 1))
        # Whole, whether right or wrong: the next message may begin.
        self._of, self._parts = None, {}
        return _message(encoded, found["digest"])


def _message(encoded: str, digest: str) -> str:
    message = _inflated(_from_base32(encoded))
    if _digest(message) != digest:
        raise _refused("frames-digest-mismatch", "the message that the frames name", "another")
    try:
        return message.decode()
    except UnicodeDecodeError:
        raise Malformed("a message in UTF-8", "other bytes", _WHERE) from None


def _inflated(compressed: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        # The cap holds while inflating: a small bomb never becomes a large message.
        message = inflater.decompress(compressed, MAX_MESSAGE_BYTES + 1)
    except zlib.error:
        raise Malformed("a zlib stream", "other bytes", _WHERE) from None
    if len(message) > MAX_MESSAGE_BYTES:
        raise Malformed(f"at most {MAX_MESSAGE_BYTES} bytes", "a longer message", _WHERE)
    if not inflater.eof or inflater.unused_data:
        raise Malformed("one whole zlib stream", "a part, or more", _WHERE)
    return message


def _digest(message: bytes) -> str:
    return _base32(sha256(message).digest())[:_DIGEST_CHARS]


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode("ascii").rstrip("=")


def _from_base32(text: str) -> bytes:
    try:
        data = base64.b32decode(text + "=" * (-len(text) % 8))
    except ValueError:
        raise Malformed("base32", "another text", _WHERE) from None
    # Python drops stray bits at the end: one message would have several spellings.
    if _base32(data) != text:
        raise Malformed("base32 without stray bits", "some", _WHERE)
    return data


def _refused(code: str, expected: str, found: str) -> Refused:
    return Refused(Reason(code, expected, found, _WHERE))
