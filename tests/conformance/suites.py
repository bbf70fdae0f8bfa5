"""Run the W3C's suites against the face: from checkouts in a folder, in copies of them.

Nothing of a checkout is changed. Its copy gets the dependencies that no registry has from the
checkouts beside it, our `localConfig.cjs`, and the repairs that docs/conformance.md names;
npm brings the rest. What a suite needs and does not find is said by name.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from counterfoil_credentials.errors import Misuse

_HERE: Final = Path(__file__).parent
_PARTS: Final = ("vc-test-suite-implementations", "data-integrity-test-suite-assertion")
_REPORTER: Final = "mocha-w3c-interop-reporter"
_REPORTER_CODE: Final = """export const helpers = {setupMatrix() {}, setupRow() {}};
export default class {}
"""
# The loaders of two suites lack what their own fixtures name.
_MORE_CONTEXTS: Final = """
import {readFileSync} from 'node:fs';
const folder = `${process.env.COUNTERFOIL_VECTORS}/contexts`;
const index = JSON.parse(readFileSync(`${folder}/index.json`, 'utf8'));
for(const [url, name] of Object.entries(index)) {
  if(!contextMap.has(url)) {
    contextMap.set(url, JSON.parse(readFileSync(`${folder}/${name}`, 'utf8')));
  }
}
"""
_HTTP_TOO: Final = """
jdl.setProtocolHandler({protocol: 'http', handler: {
  get: async ({url}) => (await httpClient.get(url)).data
}});
const documentLoader = jdl.build();"""
_BUILT: Final = "\nconst documentLoader = jdl.build();"
_MINUTES: Final = 10


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite, by the name of its repository; `vectors` is a specification that it reads."""

    name: str
    vectors: str | None = None
    loader: str | None = None


SUITES: Final = (
    Suite("vc-data-model-2.0-test-suite"),
    Suite("vc-di-eddsa-test-suite"),
    Suite("vc-di-ecdsa-test-suite", vectors="vc-di-ecdsa"),
    Suite("vc-di-bbs-test-suite", vectors="vc-di-bbs"),
    Suite("vc-bitstring-status-list-test-suite", loader="tests/documentLoader.js"),
    Suite("vc-api-issuer-test-suite"),
    Suite("vc-api-verifier-test-suite"),
    Suite("did-key-test-suite"),
    Suite("did-resolution-mocha-test-suite"),
)


class Outcome(NamedTuple):
    """What a suite says: numbers of its tests, and of each failure its title and its message."""

    passed: int
    failed: int
    pending: int
    failures: list[tuple[str, str]]


def prepare(checkouts: Path, work: Path, suite: Suite) -> Path:
    """Give a copy of the suite that can run, with its packages.

    Raises `Misuse` for a checkout that is not there, and where npm fails.
    """
    for name in _PARTS:
        if not (work / name).exists():
            _copied(checkouts, work, name)
            _install(work / name)
            if name == "data-integrity-test-suite-assertion":
                contexts = work / name / "vc-generator" / "contexts.js"
                contexts.write_text(contexts.read_text() + _MORE_CONTEXTS)
    copy = _copied(checkouts, work, suite.name)
    if suite.vectors is not None:
        # The suite would clone it; its place says which.
        _copied(checkouts, copy / "tests" / "input", suite.vectors)
    if suite.loader is not None:
        loader = copy / suite.loader
        loader.write_text(loader.read_text().replace(_BUILT, _HTTP_TOO))
    _install(copy)
    reporter = copy / "node_modules" / _REPORTER
    if not reporter.exists():
        reporter.mkdir(parents=True)
        (reporter / "index.js").write_text(_REPORTER_CODE)
        (reporter / "package.json").write_text('{"type": "module", "main": "index.js"}')
    shutil.copy(_HERE / "localConfig.cjs", copy)
    return copy


def run(copy: Path, base: str, dids: Mapping[str, str]) -> Outcome:
    """Run a prepared suite against the face at `base`; `Misuse` where it does not start."""
    told = {"COUNTERFOIL_BASE": base, "COUNTERFOIL_DIDS": json.dumps(dids), "BASE_URL": base}
    asked = ("mocha", "tests/", "--no-config", "--reporter", "json", "--timeout", "15000")
    done = subprocess.run(
        [_tool("npx"), *asked, "--preserve-symlinks"],
        cwd=copy,
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        timeout=_MINUTES * 60,
        check=False,
    )
    start = done.stdout.find('{\n  "stats"')
    if start < 0:
        raise Misuse(f"expected the suite's report, found none: {done.stderr[-1000:]}")
    report, _ = json.JSONDecoder().raw_decode(done.stdout[start:])
    stats = report["stats"]
    failures = [(each["fullTitle"], each["err"].get("message", "")) for each in report["failures"]]
    return Outcome(stats["passes"], stats["failures"], stats["pending"], failures)


def commit_of(checkout: Path) -> str:
    """Give the short name of a checkout's commit, or `unknown` where there is no git."""
    done = subprocess.run(
        [_tool("git"), "-C", str(checkout), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def _copied(checkouts: Path, work: Path, name: str) -> Path:
    if not (checkouts / name).is_dir():
        raise Misuse(f"expected a checkout of {name} in the folder, found none")
    leave = shutil.ignore_patterns(".git", "node_modules", "package-lock.json")
    return Path(shutil.copytree(checkouts / name, work / name, ignore=leave, dirs_exist_ok=True))


def _install(copy: Path) -> None:
    at = copy / "package.json"
    package: dict[str, dict[str, str]] = json.loads(at.read_text())
    package.pop("devDependencies", None)
    needed = package.get("dependencies", {})
    for name in needed.keys() & {*_PARTS}:
        needed[name] = f"file:../{name}"
    needed.pop(_REPORTER, None)
    at.write_text(json.dumps(package, indent=2))
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--install-links=false")
    done = subprocess.run(
        [_tool("npm"), "install", *options],
        cwd=copy,
        capture_output=True,
        text=True,
        timeout=_MINUTES * 60,
        check=False,
    )
    if done.returncode:
        raise Misuse(f"expected npm to bring a suite's packages, found: {done.stderr[-500:]}")


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Misuse(f"expected {name} on the path, found none")
    return found
