"""A fresh scene for each test of the shop."""

from collections.abc import Callable
from datetime import datetime

import pytest

from tests.verifier.scene import Scene


@pytest.fixture
def scene(clock: Callable[[], datetime], random_bytes: Callable[[int], bytes]) -> Scene:
    return Scene(clock, random_bytes)
