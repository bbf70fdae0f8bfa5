"""Whoever sends slowly is hung up on, and nobody else is: over real sockets."""

import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from counterfoil_service.serving import bind

pytestmark = pytest.mark.loopback

SERVICE = textwrap.dedent(
    """
    import os, socket, sys, time
    from counterfoil_service import deadlines
    from counterfoil_service.errors import install_error_handlers
    from counterfoil_service.serving import serve
    from fastapi import Depends, FastAPI, Request, Response

    deadlines.HEAD_WITHIN_S, deadlines.BODY_WITHIN_S, deadlines.READ_WITHIN_S = 1, 2, 1
    app = FastAPI()
    install_error_handlers(app)

    async def whole(request: Request) -> bytes:
        return await request.body()

    @app.post("/length")
    def length(wait_s: float, body: bytes = Depends(whole)) -> int:
        time.sleep(wait_s)
        return len(body)

    @app.get("/large")
    def large() -> Response:
        return Response(bytes(64_000_000))

    serve(app, listener=socket.socket(fileno=int(sys.argv[1])),
          lifeline=os.fdopen(int(sys.argv[2]), "rb", buffering=0))
    """
)
HEAD = b"POST /length?wait_s=0 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
WHOLE = HEAD + b"x" * 1000
PATIENCE_S = 60

Dial = Callable[[], socket.socket]


@pytest.fixture(scope="module")
def dial() -> Iterator[Dial]:
    """Give what connects to a service with short deadlines."""
    with bind(None) as listener:
        address = listener.getsockname()
        reader, lifeline = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-c", SERVICE, str(listener.fileno()), str(reader)],
            pass_fds=(listener.fileno(), reader),
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(reader)
    try:
        yield lambda: socket.create_connection(address, timeout=PATIENCE_S)
        process.terminate()
        # Who is hung up on, or hangs up, is no failure of the service.
        assert process.communicate(timeout=PATIENCE_S)[1] == ""
    finally:
        process.kill()
        process.communicate()
        os.close(lifeline)


def everything_from(line: socket.socket) -> bytes:
    """Give all answers up to where the service hangs up."""
    return b"".join(iter(lambda: line.recv(65_536), b""))


def test_whoever_falls_silent_is_hung_up_on_and_has_the_answers_to_what_was_whole(
    dial: Dial,
) -> None:
    silent = {
        b"": 0,
        b"P": 0,
        HEAD[:-2]: 0,
        HEAD: 0,
        HEAD + b"x" * 999: 0,
        WHOLE + HEAD: 1,
        WHOLE * 3 + HEAD + b"x" * 999: 3,
    }
    with dial() as line:
        line.sendall(HEAD)
    with ExitStack() as stack:
        lines = [stack.enter_context(dial()) for _ in silent]
        for line, begun in zip(lines, silent, strict=True):
            line.sendall(begun)

        for line, answers in zip(lines, silent.values(), strict=True):
            assert everything_from(line).count(b"HTTP/1.1 200") == answers


@pytest.mark.parametrize("begun", [HEAD[:-2] + b"X-More: ", HEAD], ids=["head", "body"])
def test_a_byte_now_and_then_wins_no_time(dial: Dial, begun: bytes) -> None:
    with dial() as line:
        line.sendall(begun)
        line.settimeout(0.1)
        # No more than half of what was announced: nobody hangs up because of its length.
        for _ in range(500):
            try:
                line.sendall(b"x")
                assert line.recv(65_536) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                pass
            break
        else:
            pytest.fail("expected the end of the connection")


def test_whoever_does_not_read_is_hung_up_on(dial: Dial) -> None:
    with dial() as line:
        line.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(500):
            time.sleep(0.1)
            try:
                line.sendall(b"x")
            except ConnectionError:
                break
        else:
            pytest.fail("expected the end of the connection")


def test_who_sends_in_time_waits_for_an_answer_as_long_as_it_takes(dial: Dial) -> None:
    with dial() as line:
        for wait_s in (2.5, 0):
            line.sendall(HEAD.replace(b"=0", f"={wait_s}".encode()) + b"x" * 400)
            line.sendall(b"x" * 600)
            answer = b""
            while not answer.endswith(b"\r\n\r\n1000") and (more := line.recv(65_536)):
                answer += more
            assert answer.startswith(b"HTTP/1.1 200")
