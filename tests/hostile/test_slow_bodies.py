"""Slow bodies: strangers who send one byte and then nothing keep nobody else waiting."""

import socket
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.issuer.crowd import Wallet, connected
from tests.issuer.running import init, serving

pytestmark = pytest.mark.loopback

STRANGERS = 200
PATHS = ("/token", "/credential", "/par", "/back-office/orders")


def stranger(stack: ExitStack, address: str, path: str) -> socket.socket:
    """Announce a body and send one byte of it."""
    parts = urlsplit(address)
    line = stack.enter_context(socket.create_connection((parts.hostname, parts.port), timeout=30))
    head = f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    line.sendall(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
    return line


def test_slow_bodies_keep_nobody_else_waiting(tmp_path: Path) -> None:
    init(tmp_path / "brand")
    with serving(tmp_path / "brand") as issuer, ExitStack() as stack:
        wallet = Wallet(issuer.url, issuer.offer().link)
        lines = [
            stranger(stack, issuer.listens, PATHS[number % len(PATHS)])
            for number in range(STRANGERS)
        ]

        began = time.monotonic()
        with connected(issuer.listens) as connection:
            wallet.walk(connection)
        took_s = time.monotonic() - began

        assert wallet.credential
        assert took_s < 20
        # What they began is still theirs to end, and is then refused for what it is.
        lines[0].sendall(b"x" * 999)
        assert lines[0].recv(65_536).startswith(b"HTTP/1.1 400")
