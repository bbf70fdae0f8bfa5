"""A film of a QR code, which Chromium plays in the place of what a camera sees."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import segno
from playwright.sync_api import Browser

from tests.browser.seeing import chromium

_WIDTH, _HEIGHT = 640, 480
_DOT = 5


def film(text: str, path: Path) -> Path:
    """Write a film of one picture (YUV4MPEG2), in which stands the QR code of `text`."""
    light = bytearray(b"\xb4" * (_WIDTH * _HEIGHT))
    rows = [*segno.make_qr(text, error="l", boost_error=False).matrix_iter(border=4)]
    size = min(_DOT, _HEIGHT // len(rows))
    left, top = (_WIDTH - len(rows) * size) // 2, (_HEIGHT - len(rows) * size) // 2
    for y, row in enumerate(rows):
        line = b"".join((b"\x10" if dot else b"\xeb") * size for dot in row)
        for step in range(size):
            start = (top + y * size + step) * _WIDTH + left
            light[start : start + len(line)] = line
    grey = b"\x80" * (_WIDTH * _HEIGHT // 2)
    head = f"YUV4MPEG2 W{_WIDTH} H{_HEIGHT} F10:1 Ip C420jpeg\nFRAME\n".encode()
    path.write_bytes(head + light + grey)
    return path


@contextmanager
def seeing(browser: Browser, seen: Path) -> Generator[Browser]:
    """Give another browser of the same kind, whose camera sees a film."""
    camera = [
        "--no-sandbox",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={seen}",
    ]
    started = browser.browser_type.launch(executable_path=chromium(), args=camera)
    try:
        yield started
    finally:
        started.close()
