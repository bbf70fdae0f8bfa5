"""Heavy packages enter by one door each, and a till needs none of them."""

import ast
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent

_WEB = (
    "*/app.py",
    "*/authorization_http.py",
    "*/*_routes.py",
    "*/brand_service.py",
    "*/brands.py",
    "*/exchange.py",
    "*/operating.py",
    "counterfoil_verifier/forms.py",
    "*/schemas.py",
    "*/staff.py",
    "counterfoil_service/*.py",
    # The demo's pages.
    "pages/*.py",
    "phone/*.py",
    "counter/*.py",
    "desk/*.py",
)
DOORS: dict[str, tuple[str, ...]] = {
    # The chain: only the points service ever loads it.
    # On a chain that others run web3 encodes and decodes; it opens no connection.
    "web3": (
        "counterfoil_loyalty/chain.py",
        "counterfoil_loyalty/chain_db.py",
        "counterfoil_loyalty/evm_ledger.py",
    ),
    "eth_tester": ("counterfoil_loyalty/chain.py", "counterfoil_loyalty/chain_db.py"),
    "eth": ("counterfoil_loyalty/chain.py", "counterfoil_loyalty/chain_db.py"),
    "eth_account": ("counterfoil_loyalty/chain.py", "counterfoil_loyalty/chain_db.py"),
    # HTTP in: bodies, routes, processes.
    "fastapi": _WEB,
    "jinja2": ("pages/shell.py",),
    "babel": ("pages/words.py", "pages/catalogue.py"),
    "pydantic": ("*/app.py", "*/schemas.py", "*/*_schemas.py", "counterfoil_service/*.py"),
    "starlette": _WEB,
    "uvicorn": ("counterfoil_service/*.py",),
    # HTTP out: the one guarded way.
    "urllib3": ("counterfoil_credentials/fetch.py",),
    # Stores.
    "sqlalchemy": (
        "*/sql_*.py",
        "*/tables.py",
        "*/*_tables.py",
        "counterfoil_service/*.py",
        "*migrations/*.py",
        "versions/*.py",
    ),
    "alembic": ("counterfoil_service/migrations.py", "*migrations/*.py", "versions/*.py"),
    "psycopg": ("counterfoil_service/*.py",),
    "apsw": ("counterfoil_wallet/*store.py",),
    # Keys in hardware, and encrypted messages.
    "pkcs11": ("*/pkcs11_signer.py",),
    "jwcrypto": ("*/jose.py",),
    "orjson": ("*/encoding.py",),
    "shamir_mnemonic": ("counterfoil_wallet/recovery.py",),
    # What one module each knows how to use.
    "jsonschema_rs": ("*/closed_schema.py",),
    "prometheus_client": ("*/metrics.py",),
    "segno": ("*/cli*.py", "*/terminal.py"),
    # Credentials' seams for what is to come.
    "pyld": ("*/json_ld.py",),
    "cbor2": ("*/proof_cbor.py",),
    "py_arkworks_bls12381": ("*/bbs_signatures.py",),
    "pyoxigraph": ("*/json_ld.py",),
}
NEVER_IN_A_TILL = (
    "web3",
    "eth",
    "eth_tester",
    "fastapi",
    "pkcs11",
    "pydantic",
    "sqlalchemy",
    "pyld",
)


def modules() -> list[Path]:
    return sorted(ROOT.glob("*/counterfoil_*/**/*.py"))


@cache
def imported_by(path: Path) -> tuple[tuple[int, str], ...]:
    """Give each name that a module loads, wherever in it the import stands.

    What stands under `if TYPE_CHECKING` is read by type checkers and never loaded.
    """
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting.extend(node.orelse)
        else:
            waiting.extend(ast.iter_child_nodes(node))


def test_sees_every_package_of_the_house() -> None:
    found = {path.parent.name for path in modules() if path.name == "__init__.py"}
    packages = {name for name in found if name.startswith("counterfoil_")}

    assert {"counterfoil_credentials", "counterfoil_wallet", "counterfoil_verifier"} <= packages
    assert len(packages) == len(list(ROOT.glob("*/counterfoil_*/py.typed")))


@pytest.mark.parametrize("package", DOORS)
def test_a_heavy_package_enters_only_by_its_door(package: str) -> None:
    intruders = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules()
        for line, name in imported_by(path)
        if name.split(".")[0] == package
        and not any(
            fnmatch(path.relative_to(path.parent.parent).as_posix(), door)
            for door in DOORS[package]
        )
    ]

    assert not intruders


def test_the_vocabulary_opens_one_socket_and_reads_no_clock() -> None:
    closed = {"asyncio", "http", "select", "socket", "socketserver", "ssl", "time"}
    intruders = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sorted((ROOT / "credentials").glob("counterfoil_credentials/**/*.py"))
        if path.name != "fetch.py"
        for line, name in imported_by(path)
        if name.split(".")[0] in closed
    ]
    readers = [
        f"{path.relative_to(ROOT)}:{node.lineno} calls {node.func.attr}"
        for path in sorted((ROOT / "credentials").glob("counterfoil_credentials/**/*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"now", "utcnow", "today"}
    ]

    assert not intruders
    assert not readers


@pytest.mark.parametrize("role", ["wallet", "verifier", "issuer", "consent", "loyalty"])
def test_a_role_s_shop_window_loads_nothing_heavy(role: str) -> None:
    program = f"import counterfoil_{role}, sys; print(*sys.modules, sep='\\n')"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()

    assert not set(loaded) & {*NEVER_IN_A_TILL, "jwcrypto"}


@pytest.fixture(scope="module")
def till(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the Python of an environment that holds our built wheel and its base needs alone."""
    folder = tmp_path_factory.mktemp("till")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("counterfoil-*.whl")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (packages,) = environment.glob("lib/python3*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    # The base needs are copied from this environment, so that the test asks no index.
    for name in _base_needs(distribution("counterfoil")):
        for file in distribution(name).files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                target = packages / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(Path(str(file.locate())), target)
    return environment / "bin" / "python"


def test_the_wheel_alone_presents_to_a_verifier_in_process(till: Path) -> None:
    environment = {"PATH": os.environ["PATH"]}

    run = subprocess.run(
        [till, "-I", Path(__file__).with_name("till.py")],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )

    assert (run.returncode, run.stderr) == (0, "")


def test_the_wheel_alone_has_no_heavy_package_to_load(till: Path) -> None:
    for name in NEVER_IN_A_TILL:
        run = subprocess.run([till, "-I", "-c", f"import {name}"], capture_output=True, check=False)
        assert run.returncode != 0, name


def _base_needs(of: Distribution) -> set[str]:
    """Give what a distribution needs without extras, and what that needs in turn."""
    found: set[str] = set()
    waiting = [of]
    while waiting:
        needs = [Requirement(text) for text in waiting.pop().requires or ()]
        for need in needs:
            wanted = need.marker is None or need.marker.evaluate({"extra": ""})
            if wanted and need.name not in found:
                found.add(need.name)
                waiting.append(distribution(need.name))
    return found
