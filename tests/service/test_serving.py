"""A service's process: where it listens, how it stops, what it logs."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_service.serving import bind, bind_exactly

pytestmark = pytest.mark.loopback

SERVICE = textwrap.dedent(
    """
    import os, socket, sys, time
    from fastapi import FastAPI
    from counterfoil_service.errors import install_error_handlers
    from counterfoil_service.serving import serve

    app = FastAPI()
    install_error_handlers(app)

    @app.get("/pid")
    def pid() -> int:
        return os.getpid()

    @app.get("/slow")
    def slow() -> str:
        time.sleep(0.5)
        return "done"

    @app.get("/fails")
    def fails(value: str) -> None:
        raise ValueError(value)

    serve(app, listener=socket.socket(fileno=int(sys.argv[1])),
          lifeline=os.fdopen(int(sys.argv[2]), "rb", buffering=0))
    """
)

PARENT = textwrap.dedent(
    """
    import os, subprocess, sys, time
    from counterfoil_service.serving import bind

    listener = bind(None)
    reader, writer = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-c", sys.argv[1], str(listener.fileno()), str(reader)],
        pass_fds=(listener.fileno(), reader),
    )
    print(listener.getsockname()[1], child.pid, flush=True)
    time.sleep(60)
    """
)


class Service:
    """A service in its own process, and the end of the lifeline that its parent holds."""

    def __init__(self) -> None:
        with bind(None) as listener:
            self.port: int = listener.getsockname()[1]
            reader, self.lifeline = os.pipe()
            self.process = subprocess.Popen(
                [sys.executable, "-c", SERVICE, str(listener.fileno()), str(reader)],
                pass_fds=(listener.fileno(), reader),
                stderr=subprocess.PIPE,
                text=True,
            )
            os.close(reader)

    def get(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.request.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def stop(self) -> str:
        """Stop the service and give what it wrote to its log."""
        self.process.terminate()
        return self.process.communicate(timeout=10)[1]


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.process.kill()
    service.process.communicate()
    os.close(service.lifeline)


def test_listens_where_it_is_asked_to() -> None:
    with bind(None) as probe:
        port: int = probe.getsockname()[1]

    with bind(port) as listener:
        assert listener.getsockname() == ("127.0.0.1", port)


def test_takes_a_free_port_when_the_preferred_one_is_taken() -> None:
    with bind(None) as first, bind(first.getsockname()[1]) as second:
        assert second.getsockname()[0] == "127.0.0.1"
        assert second.getsockname()[1] != first.getsockname()[1]


def test_answers_a_request_that_came_before_the_service_was_up(service: Service) -> None:
    assert service.get("/pid") == (200, str(service.process.pid))


def test_stops_with_status_0_on_sigterm_after_the_answer_under_way(service: Service) -> None:
    service.get("/pid")
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        time.sleep(0.2)
        service.process.send_signal(signal.SIGTERM)
        answer = b"".join(iter(lambda: client.recv(4096), b""))

    assert answer.endswith(b'"done"')
    assert service.process.wait(timeout=10) == 0


def test_stops_on_a_sigterm_that_comes_before_it_was_up() -> None:
    early = (
        "import os, signal, uvicorn\n"
        "run = uvicorn.Server.run\n"
        "def late(server, sockets):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    run(server, sockets)\n"
        "uvicorn.Server.run = late\n"
    )
    with bind(None) as listener:
        reader, writer = os.pipe()
        process = subprocess.run(
            [sys.executable, "-c", early + SERVICE, str(listener.fileno()), str(reader)],
            pass_fds=(listener.fileno(), reader),
            check=False,
            timeout=30,
        )
        os.close(reader)
        os.close(writer)

    assert process.returncode == 0


def test_dies_at_once_when_its_parent_is_gone() -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            PARENT,
            SERVICE,
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    port, child = (int(word) for word in parent.stdout.readline().split())
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/pid", timeout=30) as answer:
        assert int(answer.read()) == child

    parent.kill()
    parent.wait()

    ends_at = time.monotonic() + 5
    while _is_alive(child) and time.monotonic() < ends_at:
        time.sleep(0.02)
    survived = _is_alive(child)
    if survived:
        os.kill(child, signal.SIGKILL)
    parent.stdout.close()
    assert not survived


def test_logs_what_failed_as_json_and_never_what_was_sent(service: Service) -> None:
    status, answer = service.get("/fails?value=0xSECRET")
    log = service.stop()

    assert status == 500
    assert "0xSECRET" not in answer + log
    lines = [json.loads(line) for line in log.splitlines()]
    assert [line["error"] for line in lines] == ["ValueError"]
    assert lines[0]["at_code"][-1].startswith("fails (")


def test_logs_no_request_that_went_well(service: Service) -> None:
    service.get("/pid")

    assert service.stop() == ""


def test_tells_a_stranger_nothing_about_its_software(service: Service) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/pid", timeout=30) as answer:
        assert answer.headers["server"] is None


def _is_alive(pid: int) -> bool:
    # A killed orphan may stay as a zombie where nothing reaps it.
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


def test_a_port_that_must_be_that_one_is_taken_or_refused() -> None:
    with bind(None) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Refused, match=f"expected a free port, found {port} in use"):
            bind_exactly(port)
        with bind(port) as elsewhere:
            assert elsewhere.getsockname()[1] != port
    with bind_exactly(port) as listener:
        assert listener.getsockname()[1] == port


def test_what_is_no_port_is_refused() -> None:
    with pytest.raises(Refused, match="found 65536"):
        bind_exactly(65_536)


def test_what_is_written_is_sent_at_once() -> None:
    async def nodelay() -> int:
        written: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def taken(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = writer.get_extra_info("socket")
            written.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with bind(None) as listener:
            async with await asyncio.start_server(taken, sock=listener):
                _, writer = await asyncio.open_connection(*listener.getsockname())
                try:
                    return await written
                finally:
                    writer.close()

    # Otherwise the body of an answer waits 40 ms for an acknowledgement of its head.
    assert asyncio.run(nodelay()) != 0
