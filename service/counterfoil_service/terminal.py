"""What a terminal shows: a bar that fills, and a link as a QR code."""

import sys
from typing import Final, TextIO

_WIDTH: Final = 40


class Bar:
    """A progress bar on a terminal; where there is none it is silent."""

    def __init__(self, label: str, total: int, stream: TextIO | None = None) -> None:
        self._label = label
        self._total = total
        self._stream = stream or sys.stderr
        self._shown = ""

    def show(self, done: int) -> None:
        """Show that `done` of the total are done."""
        if not self._stream.isatty():
            return
        share = done / self._total if self._total else 1.0
        filled = int(share * _WIDTH)
        bar = "█" * filled + "·" * (_WIDTH - filled)
        line = f"\r{self._label} {bar} {done:,} of {self._total:,}"
        if line != self._shown:
            self._stream.write(line)
            self._stream.flush()
            self._shown = line

    def end(self) -> None:
        """Leave the bar's line."""
        if self._shown:
            self._stream.write("\n")


def qr_code(link: str) -> str:
    """Give `link` as a QR code in half blocks, or nothing where `segno` is not installed."""
    try:
        import segno  # noqa: PLC0415  # only a link that is shown needs it
    except ImportError:
        return ""
    rows = [[bool(dot) for dot in row] for row in segno.make(link, error="l").matrix_iter(border=2)]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    # Light modules are drawn, so that a dark terminal shows dark on light.
    blocks = {(False, False): "█", (False, True): "▀", (True, False): "▄", (True, True): " "}
    return "\n".join(
        "".join(blocks[pair] for pair in zip(upper, lower, strict=True))
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    )
