"""What the examples of a page may presuppose, by the page's path.

An example that begins with a running issuer or an accepted credential finds it
here, so that the page can show the five lines that matter. `tmp_path` is a
folder of the test's own.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

STAGES: dict[str, Callable[[Path], Mapping[str, object]]] = {}
