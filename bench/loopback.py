"""One HTTP server in a process of its own, and a client that keeps sixteen connections busy.

A server's cost is the CPU time of its process, all threads, between two looks at
`/cpu`; what the client takes does not count.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Generator, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Final, TypeAlias

from counterfoil_service import serving
from counterfoil_service.serving import bind

CONNECTIONS: Final = 16
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def serve(app: AsgiApp) -> None:
    """Serve `app` as the services do, and say on the first line of the output on which port."""

    async def measured(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/cpu":
            await respond(send, str(time.process_time_ns()).encode())
        else:
            await app(scope, receive, send)

    listener = bind(None)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    serving.serve(measured, listener=listener, lifeline=None)


async def respond(send: Send, body: bytes, media_type: bytes = b"text/plain") -> None:
    """Send an answer as a bare ASGI application does."""
    headers = [(b"content-type", media_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def running(module: str, *arguments: str) -> Generator[int, None, None]:
    """Run `python -m module arguments…`, which calls `serve`, and give its port."""
    with started([sys.executable, "-m", module, *arguments]) as said:
        yield int(said.readline())


@contextmanager
def started(command: Sequence[str], *, log: Path | None = None) -> Generator[IO[str], None, None]:
    """Run one of our programs and give what it says; what it complains of goes into `log`."""
    with ExitStack() as stack:
        trouble = None if log is None else stack.enter_context(log.open("wb"))
        process = stack.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=trouble, text=True)  # noqa: S603
        )
        try:
            assert process.stdout is not None  # noqa: S101  # it was asked for
            yield process.stdout
        finally:
            process.terminate()


def cpu_per_request(port: int, requests: Sequence[bytes]) -> float:
    """Send all `requests` and give the server's CPU seconds for each; all must be answered 200."""
    return asyncio.run(_measured(port, requests))


async def _measured(port: int, requests: Sequence[bytes]) -> float:
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS)]
    try:
        before = int(await asked(*connections[0], get("/cpu")))
        await asyncio.gather(
            *(_work(*each, requests[n::CONNECTIONS]) for n, each in enumerate(connections))
        )
        after = int(await asked(*connections[0], get("/cpu")))
    finally:
        for _, writer in connections:
            writer.close()
    return (after - before) / 1e9 / len(requests)


async def _work(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, requests: Sequence[bytes]
) -> None:
    for request in requests:
        await asked(reader, writer, request)


async def asked(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> bytes:
    """Send `request` and give the answer's body; it must be answered 200."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    body = await reader.readexactly(length)
    if not head.startswith(b"HTTP/1.1 200 "):
        text = f"expected status 200, found {head[:100]!r} {body[:200]!r}"
        raise RuntimeError(text)
    return body


def get(path: str, *, token: str | None = None) -> bytes:
    """Give a GET request, with a bearer token."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{_bearer(token)}\r\n".encode()


def post(
    path: str, body: bytes, *, token: str | None = None, media_type: str = "application/json"
) -> bytes:
    """Give a POST request, with a bearer token."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\n"
        f"{_bearer(token)}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _bearer(token: str | None) -> str:
    return "" if token is None else f"Authorization: Bearer {token}\r\n"
