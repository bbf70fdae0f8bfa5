"""The whole promise, as `counterfoil demo` walks it: the first time, and every time after."""

import fcntl
import json
import shutil
import socket
import subprocess
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.demo_runs import COMMAND, LETTERS, Run, none_left, processes_over, run_demo

pytestmark = pytest.mark.loopback


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "data"


@pytest.fixture(scope="module")
def first(data: Path) -> Run:
    return run_demo(data, "--json")


@pytest.fixture(scope="module")
def copy_of_first(
    first: Run, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Path]:
    """Give a folder in which the demo ran once, to go on in."""
    assert first.status == 0

    def copy() -> Path:
        return shutil.copytree(data, tmp_path_factory.mktemp("again") / "data")

    return copy


def sample() -> list[str]:
    orders = files("counterfoil_demo").joinpath("data", "orders.csv")
    return orders.read_text(encoding="utf-8").splitlines(keepends=True)


def test_every_step_is_as_it_must_be(first: Run) -> None:
    assert (first.status, first.err) == (0, "")
    assert [step for step in first.steps if first.steps[step]["ok"]] == LETTERS
    assert first.out.splitlines()[0].startswith('{"step": "a", "ok": true')


@pytest.mark.once
def test_row_J1_without_a_chain_points_are_off_and_all_else_works(tmp_path: Path) -> None:  # noqa: N802
    data = tmp_path / "data"
    for arguments in (("--chain", "none"), ()):  # the folder remembers
        run = run_demo(data, "--json", *arguments)
        assert (run.status, run.err) == (0, "")
        assert [step for step in run.steps if run.steps[step]["ok"]] == LETTERS
        assert run.steps["e"]["points"] == "off"
    assert not list(data.rglob("chain.sqlite3*"))


def test_a_chain_that_is_none_of_the_three_is_turned_away(tmp_path: Path) -> None:
    run = run_demo(tmp_path / "data", "--chain", "http://10.0.0.1:8545")
    assert run.status == 2
    assert "--chain" in run.err


def test_issues_a_receipt_and_two_warranties_and_shows_one(first: Run) -> None:
    assert first.steps["a"]["credentials_issued"] == 3
    assert first.steps["a"]["datasets_issued_twice"] == 0
    assert first.steps["b"]["verdict"] == "accepted"


def test_the_customer_hears_until_when_the_shop_keeps_what(first: Run) -> None:
    until = date.fromisoformat(first.steps["b"]["shop_keeps_until"])

    assert first.status == 0
    assert timedelta(29) < until - datetime.now(UTC).date() < timedelta(32)


def test_each_cheat_has_its_own_reason(first: Run) -> None:
    reasons = first.steps["c"]["refused"]

    assert len(set(reasons)) == len(reasons) == 4


def test_what_was_granted_ends_and_its_end_is_proved(first: Run) -> None:
    assert first.steps["d"]["read_after_end"] == "grant-ended"
    assert first.steps["d"]["erasure_level"] == "E2"


def test_points_are_minted_once_and_their_value_does_not_grow(first: Run) -> None:
    step = first.steps["e"]

    assert step["minted_units"] == step["awarded_units"] > 0
    assert step["value_after"] <= step["value_between"] <= step["value_before"]
    assert step["exchanged"]["received"] == step["exchanged"]["gave"] * 9 // 20


def test_only_the_seller_knows_the_buyer(first: Run) -> None:
    found = first.steps["f"]["data_found_in_files"]

    assert set(found.pop("auricle")) >= {"name", "email", "order", "serial", "product"}
    assert all(names == [] for names in found.values())
    assert len(found) == 5


@pytest.mark.once
def test_a_shop_that_hoards_is_found_out(copy_of_first: Callable[[], Path]) -> None:
    data = copy_of_first()
    buyer = json.loads((data / "diary.json").read_text())["purchase"]["buyer"]
    (data / "shop" / "hoard").write_bytes(b64encode(f'{{"buyer":"{buyer}"}}'.encode()))

    run = run_demo(data, "--json")

    assert run.status == 1
    assert not run.steps["f"]["ok"]
    assert "shop without your data, found name" in run.steps["f"]["error"]


def test_every_key_of_the_ended_grant_is_gone(first: Run, data: Path) -> None:
    grant = first.steps["d"]["grant"]
    custodian = {path.name for path in (data / "custodian" / "one-time-keys").iterdir()}
    velorum = {path.name for path in (data / "velorum" / "sealing-keys").iterdir()}

    assert f"{grant}.ended" in custodian
    assert not [name for name in custodian | velorum if name.endswith(".key")]
    assert any(name.endswith(".ended") for name in velorum)


def test_leaves_no_process_behind(first: Run, data: Path) -> None:
    assert first.status == 0
    assert none_left(data), processes_over(data)


@pytest.mark.once
def test_a_second_run_does_nothing_twice(first: Run, copy_of_first: Callable[[], Path]) -> None:
    again = run_demo(copy_of_first(), "--json")

    assert again.status == 0, again.err
    assert again.steps["a"]["imported"] == 0
    for name in ("credentials_issued", "status_indices_used", "datasets_issued_twice"):
        assert again.steps["a"][name] == first.steps["a"][name]
    assert again.steps["b"]["verdict"] == "accepted"
    assert again.steps["e"]["minted_units"] == 0
    assert again.steps["e"]["balances"] == first.steps["e"]["balances"]
    assert again.steps["e"]["voucher"] == first.steps["e"]["voucher"]
    assert again.steps["e"]["value_after"] == again.steps["e"]["value_before"]
    assert again.steps["d"]["grant"] != first.steps["d"]["grant"]


@pytest.mark.once
def test_a_taken_port_is_replaced_and_old_credentials_stay_good(
    copy_of_first: Callable[[], Path],
) -> None:
    data = copy_of_first()
    addresses: dict[str, str] = json.loads((data / "addresses.json").read_text())
    taken = [
        socket.create_server(("127.0.0.1", urlsplit(address).port or 0))
        for address in addresses.values()
    ]
    try:
        again = run_demo(data, "--json")
    finally:
        for listener in taken:
            listener.close()

    assert again.status == 0, again.err
    assert set(json.loads((data / "addresses.json").read_text()).values()).isdisjoint(
        addresses.values()
    )


@pytest.mark.once
def test_a_broken_orders_file_names_each_cell_and_a_mended_one_resumes(tmp_path: Path) -> None:
    lines = sample()
    # The first order's price, and the quantity of #1005's first line.
    broken = [line.replace(",249.00,AUR-ONE-SND", ",249.oo,AUR-ONE-SND", 1) for line in lines[:2]]
    orders = tmp_path / "export.csv"
    orders.write_text("".join(broken + lines[2:]), encoding="utf-8")
    data = tmp_path / "data"

    refused = run_demo(data, "--orders", str(orders), "--lang", "en")

    assert refused.status == 1
    assert "row 2, Lineitem price: expected" in refused.out
    assert "Mend the file and run again" in refused.out
    assert "AUR-ONE-SND" not in refused.out

    orders.write_text("".join(lines), encoding="utf-8")
    mended = run_demo(data, "--orders", str(orders), "--json")

    assert mended.status == 0, mended.err
    assert mended.steps["a"]["imported"] == 1
    assert mended.steps["a"]["datasets_issued_twice"] == 0


@pytest.mark.once
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "expected a header row, found an empty file"),
        (b"Name,Email\n#1,a@example.com\n", "expected the columns"),
        ("Name;Email".encode("utf-16"), "expected UTF-8 text"),
    ],
    ids=["empty", "missing-columns", "utf-16"],
)
def test_says_in_one_sentence_why_a_file_cannot_be_read(
    tmp_path: Path, content: bytes, told: str
) -> None:
    orders = tmp_path / "export.csv"
    orders.write_bytes(content)

    refused = run_demo(tmp_path / "data", "--orders", str(orders), "--lang", "en")

    assert (refused.status, refused.err) == (1, "")
    assert told in refused.out
    assert "HTTP" not in refused.out


def test_takes_no_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")

    for data in (tmp_path, tmp_path / "file", tmp_path / "file" / "below"):
        refused = run_demo(data, "--lang", "en", timeout_s=60)

        assert refused.status == 1
        assert refused.err.startswith("counterfoil demo: expected ")
        assert "Traceback" not in refused.err
    assert {path.name for path in tmp_path.iterdir()} == {"thesis.txt", "file"}


@pytest.mark.once
def test_a_grant_that_was_left_in_force_is_ended_by_the_next_run(
    copy_of_first: Callable[[], Path],
) -> None:
    data = copy_of_first()
    with subprocess.Popen(
        [*COMMAND, "--data", str(data), "--lang", "en"], stdout=subprocess.PIPE, text=True
    ) as demo:
        for line in demo.stdout or ():
            if "Granted and sealed" in line:
                demo.kill()
    assert none_left(data)

    again = run_demo(data, "--lang", "en")

    assert again.status == 0, again.out
    assert again.out.count("had left in force was withdrawn first") <= 1
    assert not [*(data / "custodian" / "one-time-keys").glob("*.key")]
    assert not [*(data / "velorum" / "sealing-keys").glob("*.key")]


@pytest.mark.once
def test_tells_it_in_chinese_when_the_locale_is(copy_of_first: Callable[[], Path]) -> None:
    told = run_demo(copy_of_first(), "--lang", "zh")

    assert told.status == 0, told.err
    assert "谁持有什么" in told.out
    assert "一切符合预期" in told.out


def test_two_demos_do_not_share_a_folder(tmp_path: Path) -> None:
    (tmp_path / "addresses.json").write_text("{}")
    with (tmp_path / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = run_demo(tmp_path, "--lang", "en", timeout_s=60)

    assert refused.status == 1
    assert "expected a folder that no other demo uses" in refused.err


def test_an_orders_file_that_is_not_there_is_a_misuse(tmp_path: Path) -> None:
    assert run_demo(tmp_path, "--orders", str(tmp_path / "none.csv")).status == 2
