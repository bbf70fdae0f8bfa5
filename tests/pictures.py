"""QR codes as a screen shows them and a camera's software reads them.

Each is drawn by segno, put on a screen of 390 by 390 pixels, which is a small phone's
width, and read from those pixels by zxing.
"""

import segno
import zxingcpp

SCREEN = 390
_QUIET = 4
_QR_CODES = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)


def draw(text: str) -> bytes:
    """Give the screen's pixels, a byte each, row by row: dark is 0, light is 255."""
    code = segno.make_qr(text, error="l", boost_error=False)
    rows = [bytes(0 if dot else 255 for dot in row) for row in code.matrix_iter(border=_QUIET)]
    places = [at * len(rows) // SCREEN for at in range(SCREEN)]
    return b"".join(bytes(rows[y][x] for x in places) for y in places)


def modules(text: str) -> int:
    """Give how many modules wide the code is, without its quiet zone."""
    return len(segno.make_qr(text, error="l", boost_error=False).matrix)


def read(pixels: bytes) -> list[str]:
    """Give what every QR code on the screen says."""
    picture = memoryview(pixels).cast("B", shape=(SCREEN, SCREEN))
    # Of other kinds of bar code some can be seen in any picture with enough stripes.
    found = zxingcpp.read_barcodes(picture, formats=_QR_CODES)
    return [one.text for one in found]


def photographed(text: str) -> str:
    """Give what one code says after it was drawn, shown and read."""
    (found,) = read(draw(text))
    return found
