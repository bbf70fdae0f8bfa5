"""One service, one process: a socket that is already bound, and a lifeline to the parent.

    with bind(4711) as listener:
        serve(app, listener=listener, lifeline=None)

A parent that starts several services binds their sockets first, so that each
knows the others' addresses, and hands every child the read end of one pipe as
its lifeline. Nobody writes to that pipe. When the parent dies, even by
`kill -9`, the pipe ends and the children are gone at once.
"""

import errno
import gc
import signal
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from types import FrameType
from typing import Any, BinaryIO, Final

import uvicorn
from counterfoil_credentials.errors import Reason, Refused

from counterfoil_service.deadlines import PunctualProtocol
from counterfoil_service.lifeline import end_with
from counterfoil_service.logs import log_as_json

LOOPBACK: Final = "127.0.0.1"
GRACE_S: Final = 5
"""How long a stopping service waits for answers under way."""
_GARBAGE_AFTER: Final = 20_000
"""So many objects more than before, and garbage is looked for: beyond what is under way."""

AsgiApp = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[MutableMapping[str, Any]]],
        Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ],
    Awaitable[None],
]


def bind(preferred_port: int | None) -> socket.socket:
    """Give a listening loopback socket: on `preferred_port`, or on a free one when it is taken.

    Requests that come before `serve` wait in its queue.
    """
    if preferred_port is not None:
        try:
            return _listen(preferred_port)
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
    return _listen(0)


def bind_exactly(port: int) -> socket.socket:
    """Give a loopback socket that listens on `port` and on no other.

    Raises `Refused` with `port-unusable` when it is taken, not allowed or no port.
    """
    try:
        return _listen(port)
    except OverflowError as cause:
        raise _unusable("a port from 0 to 65535", str(port)) from cause
    except OSError as cause:
        if cause.errno == errno.EADDRINUSE:
            raise _unusable("a free port", f"{port} in use") from cause
        if cause.errno == errno.EACCES:
            raise _unusable("a port that may be used", f"{port}, not allowed") from cause
        raise


def serve(app: AsgiApp, *, listener: socket.socket, lifeline: BinaryIO | None) -> None:
    """Answer requests on `listener` until SIGTERM, SIGINT or the lifeline's end.

    SIGTERM and SIGINT finish the answers under way and return. The end of
    `lifeline` (the read end of a pipe inherited from the parent) ends the
    process at once, answers under way or not: what must survive is on disk.
    Call it from the main thread.
    """
    if lifeline is not None:
        end_with(lifeline)
    config = uvicorn.Config(
        app,
        http=PunctualProtocol,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = uvicorn.Server(config)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    # uvicorn listens to signals a little later than here, and repeats them to us after it has
    # stopped. Ours takes the early ones, and lets the repeated ones end in a plain return.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    log_as_json()
    # What was loaded until here stays, and what a request makes goes with it: looking
    # through both again and again finds nothing.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE_AFTER, 10, 10)
    server.run(sockets=[listener])


def _unusable(expected: str, found: str) -> Refused:
    return Refused(Reason("port-unusable", expected, found, "port"))


def _listen(port: int) -> socket.socket:
    # asyncio sends at once only what goes to a socket that says it is TCP; otherwise the body
    # of an answer waits 40 ms for the acknowledgement of its head.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # A service that restarts takes back its port while old connections linger.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(128)
    except (OSError, OverflowError):
        listener.close()
        raise
    return listener
