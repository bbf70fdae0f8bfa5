"""A command's arguments, with ids that may begin with a dash: they are base64url."""

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Final

# Of base64url, as long as an id, with what no option's name has.
_ID: Final = re.compile(r"-(?=.*[A-Z0-9_])[A-Za-z0-9_-]{15,}")
# What holds a space is no option to `argparse`.
_MARK: Final = " "


def parse_arguments(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None
) -> argparse.Namespace:
    """Give what `parser` finds in `arguments`, or in the program's own; an id is no option."""
    words = sys.argv[1:] if arguments is None else arguments
    marked = [f"{_MARK}{word}" if _ID.fullmatch(word) else word for word in words]
    given = parser.parse_args(marked)
    for name, value in vars(given).items():
        if isinstance(value, str) and _ID.fullmatch(value.removeprefix(_MARK)):
            setattr(given, name, value.removeprefix(_MARK))
    return given
