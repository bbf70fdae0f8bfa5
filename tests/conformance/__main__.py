"""Start the face, or run the suites against it.

    python -m tests.conformance serve --port 8080
    python -m tests.conformance run CHECKOUTS [SUITE ...]

Both take `--resource URL=FILE`, for what credentials point to by its hash.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import uvicorn
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.json_ld import KNOWN_CONTEXTS, FrozenContexts

from tests.conformance.face import Face, vc_api
from tests.conformance.rdf_canon import RDF_CANON, run_rdf_canon
from tests.conformance.suites import SUITES, Outcome, commit_of, prepare, run


def contexts() -> FrozenContexts:
    """Give the contexts of `COUNTERFOIL_VECTORS`, and those that stand in documents."""
    named = os.environ.get("COUNTERFOIL_VECTORS")
    if not named:
        raise Misuse("expected COUNTERFOIL_VECTORS, the folder of published vectors, found none")
    folder = Path(named) / "contexts"
    index: dict[str, str] = json.loads((folder / "index.json").read_text())
    more = {
        url: (folder / name).read_bytes()
        for url, name in index.items()
        if url not in KNOWN_CONTEXTS
    }
    return FrozenContexts(more, accept_contexts_in_documents=True)


def say(line: str) -> None:
    """Write one line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def serve(port: int, resources: dict[str, bytes]) -> None:
    """Serve until it is stopped; the issuers' DIDs are the first line of output."""
    face = Face(contexts(), f"http://localhost:{port}", resources)
    say(json.dumps(face.dids))
    uvicorn.run(vc_api(face), host="127.0.0.1", port=port, log_level="warning")


def run_suites(checkouts: Path, names: list[str], port: int, resources: dict[str, bytes]) -> int:
    """Run what is named, or all; give the number of failed tests."""
    base = f"http://localhost:{port}"
    face = Face(contexts(), base, resources)
    server = uvicorn.Server(
        uvicorn.Config(vc_api(face), host="127.0.0.1", port=port, log_level="warning")
    )
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    failed = 0

    def tell(name: str, found: Outcome) -> int:
        counts = f"{found.passed} passed, {found.failed} failed, {found.pending} pending"
        say(f"{name} {commit_of(checkouts / name)}: {counts}")
        for title, message in found.failures:
            say(f"    {title}\n        {message[:300]}")
        return found.failed

    if not names or RDF_CANON in names:
        failed += tell(RDF_CANON, run_rdf_canon(checkouts / RDF_CANON))
    with tempfile.TemporaryDirectory() as work:
        for suite in SUITES:
            if not names or suite.name in names:
                copy = prepare(checkouts, Path(work), suite)
                failed += tell(suite.name, run(copy, base, face.dids))
    return failed


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance")
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="serve the VC-API on this machine")
    running = commands.add_parser("run", help="run the suites against it")
    running.add_argument("checkouts", type=Path)
    running.add_argument("suites", nargs="*", metavar="SUITE")
    for each in (serving, running):
        each.add_argument("--port", type=int, default=8080)
        each.add_argument("--resource", metavar="URL=FILE", action="append", default=[])
    asked = parser.parse_args()
    named = [text.partition("=") for text in asked.resource]
    resources = {url: Path(path).read_bytes() for url, _, path in named}
    try:
        if asked.command == "serve":
            serve(asked.port, resources)
            return 0
        return 1 if run_suites(asked.checkouts, asked.suites, asked.port, resources) else 0
    except Misuse as trouble:
        sys.stderr.write(f"{trouble}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
