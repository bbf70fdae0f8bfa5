"""`counterfoil demo --serve`: three addresses, kept over a restart, and no process left behind."""

import re
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from tests.demo_runs import COMMAND, none_left, processes_over

pytestmark = [pytest.mark.loopback, pytest.mark.once]

PASSPHRASE = "correct horse battery staple"


@contextmanager
def serving(data: Path, *arguments: str) -> Generator[list[str]]:
    """Serve over `data`, and give the addresses that were printed; Ctrl-C at the end."""
    command = [*COMMAND, "--data", str(data), "--serve", "--lang", "en", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            addresses: list[str] = []
            for line in running.stdout:
                addresses += re.findall(r"http://127\.0\.0\.1:\d+/", line)
                if "Ctrl-C" in line:
                    break
            yield addresses
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(30)


def ask(
    method: str, address: str, path: str, texts: dict[str, str] | None = None
) -> tuple[int, str]:
    """Send one request, as the address's own page would; give the status and the page or way."""
    parts = urlsplit(address)
    connection = HTTPConnection(parts.netloc, timeout=60)
    headers = {
        "Origin": f"http://{parts.netloc}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    connection.request(method, path, urlencode(texts or {}), headers)
    answer = connection.getresponse()
    page = answer.getheader("location") or answer.read().decode()
    connection.close()
    return answer.status, page


def test_serves_three_faces_that_are_there_after_a_restart_and_leaves_no_process(
    tmp_path: Path,
) -> None:
    with serving(tmp_path) as addresses:
        phone, counter, desk = addresses
        assert ask("GET", phone, "/") == (303, "/start")
        assert ask("POST", phone, "/start", {"passphrase": PASSPHRASE}) == (303, "/?done=made")
        assert "Quay Street Repairs" in ask("GET", counter, "/")[1]
        assert "Ready" in ask("GET", counter, "/")[1]
        assert "<dd>196</dd>" in ask("GET", desk, "/")[1]
        assert len(processes_over(tmp_path)) == 9
    assert none_left(tmp_path)

    with serving(tmp_path) as again:
        assert again == addresses
        assert ask("GET", again[0], "/") == (303, "/unlock?back=/")
        wrong = ask("POST", again[0], "/unlock", {"passphrase": "another passphrase"})
        assert wrong[0] == 422
        assert ask("POST", again[0], "/unlock", {"passphrase": PASSPHRASE}) == (303, "/")

    with serving(tmp_path, "--reset") as fresh:
        assert ask("GET", fresh[0], "/") == (303, "/start")
    assert none_left(tmp_path)


def test_a_folder_is_not_emptied_while_another_demo_uses_it(tmp_path: Path) -> None:
    with serving(tmp_path) as addresses:
        command = [*COMMAND, "--data", str(tmp_path), "--serve", "--reset", "--lang", "en"]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

        assert refused.returncode == 1
        assert "expected a folder that no other demo uses" in refused.stderr
        assert ask("GET", addresses[0], "/") == (303, "/start")


@pytest.mark.parametrize("alone", ["--open", "--reset"])
def test_pages_are_opened_or_reset_only_where_they_are_served(tmp_path: Path, alone: str) -> None:
    command = [*COMMAND, "--data", str(tmp_path), alone]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert refused.returncode == 2
    assert "expected --serve" in refused.stderr


def test_serves_nothing_over_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("mine")

    command = [*COMMAND, "--data", str(tmp_path), "--serve", "--reset"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert refused.returncode == 1
    assert (tmp_path / "letters").read_text() == "mine"
