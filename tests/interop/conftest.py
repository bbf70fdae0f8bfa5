"""The peers run once for the whole folder."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.interop.asking import Peer, peer


@pytest.fixture(scope="session")
def peers() -> Iterator[Callable[[str], Peer]]:
    """Give a peer by its name, or skip the test where it cannot run."""
    running: dict[str, Peer] = {}
    with ExitStack() as stack:

        def named(name: str) -> Peer:
            if name not in running:
                running[name] = stack.enter_context(peer(name))
            return running[name]

        yield named


@pytest.fixture
def stranger(request: pytest.FixtureRequest, peers: Callable[[str], Peer]) -> Peer:
    """Give the peer that the test's parameter names."""
    return peers(request.param)
