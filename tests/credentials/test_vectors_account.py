"""The account of the published vectors: each file is read by a test, or says why none does.

What is read is not declared but seen: the tests that ask for vectors run once more in a
process of their own, which writes down every file that they open. So a test that stops
reading a file, a new file that nobody reads, and a reason that no longer holds all fail
here by name.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import pytest

Vectors = Callable[[str], Path]

TESTS: Final = Path(__file__).parents[1]

_BBS_FEATURE: Final = "bbs-2023 with blind signatures or pseudonyms, which are no standard yet"
NOT_READ: Final = {
    "README.md": "says where the folders are from",
    "*/README.md": "says where the files are from and how to read them",
    # Another lane, another step.
    "bbs-signature/bls12-381-shake-256/*": "the other ciphersuite: bbs-2023 uses SHA-256",
    "bbs-signature/bls12-381-sha-256/mockedRng.json": "each proof's trace holds its own numbers",
    "vc-di-bbs/FeatureInputs/*": _BBS_FEATURE,
    "vc-di-bbs/*/add[!S]*": _BBS_FEATURE,
    "vc-di-bbs/*/commitmentInfo.json": _BBS_FEATURE,
    "vc-di-bbs/*/derivedRec*": _BBS_FEATURE,
    "vc-di-bbs/*/derived[!R]*": _BBS_FEATURE,
    "vc-di-bbs/*/nymSecret.json": _BBS_FEATURE,
    "vc-di-bbs/*/verify*": _BBS_FEATURE,
    "vc-di-eddsa/employmentAuth.json": "no proof of these suites stands over it",
    "vc-di-eddsa/Ed25519Signature2020/*": "an older suite, for the old world (step 9)",
    "ethereum/*": "accounts, ABI and transactions: web3's business, seen by loyalty (step 7)",
    "wycheproof/bls_*": "BLS12-381, for bbs-2023 (step 9)",
    "openid4vp-examples/client_metadata/w3c_*": "a W3C format's algorithms (step 9)",
    "openid4vp-examples/credentials/jwt_vc.json": "a W3C credential (step 9)",
    "openid4vp-examples/credentials/ldp_vc.json": "a W3C credential (step 9)",
    "openid4vp-examples/response/jwt_vc.json": "a W3C presentation (step 9)",
    "openid4vp-examples/response/ldp_vc.json": "a W3C presentation (step 9)",
    "openid4vp-examples/spec_json/15.json": "types of a W3C credential (step 9)",
    "openid4vp-examples/spec_json/17.json": "types of a W3C credential (step 9)",
    # ISO mdoc and its CBOR wait (ARCHITECTURE.md, "Later, on purpose").
    "token-status-list/*_cwt_hex.txt": "a CBOR Web Token: we speak the JWT form",
    "openid4vci-examples/credential_request_iso_mdl.json": "a request for an ISO mdoc",
    "openid4vci-examples/credential_response_mso_mdoc.txt": "an ISO mdoc, cut short",
    "openid4vp-examples/client_metadata/mso_mdoc_*": "an ISO mdoc's algorithms",
    "openid4vp-examples/spec_json/19.json": "an ISO mdoc's algorithms",
    # Nothing of ours stands between the file and somebody else's code.
    "wycheproof/a128cbc_hs256_test.json": "a cipher: jwcrypto's and `cryptography`'s own",
    "wycheproof/a256cbc_hs512_test.json": "a cipher: jwcrypto's and `cryptography`'s own",
    "wycheproof/aes_gcm_test.json": "a cipher: `cryptography`'s own",
    "wycheproof/aes_wrap_test.json": "a cipher: `cryptography`'s own",
    "wycheproof/hkdf_sha256_test.json": "a key derivation: `cryptography`'s own",
    "wycheproof/hmac_sha256_test.json": "we verify no HMAC; Python's own computes those we make",
    # Nothing in the file can be judged.
    "sd-jwt-rfc9901/*/specification.yml": "told the generator what to make; that is beside it",
    "sd-jwt-python-testcases/*/specification.yml": "told the generator what to make, as above",
    "openid4vp-examples/digital_credentials_api/error_*": "one error code of an API in browsers",
    "openid4vp-examples/spec_json/09.json": "the header alone of an encrypted answer",
}

# Asks a Python for the tests that want vectors, and for the names of the files they open.
PROGRAM: Final = """
import json, os, sys
import pytest

root, report, *modules = sys.argv[1:]
opened = set()

def audit(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(root):
        opened.add(os.path.relpath(arguments[0], root))

class OnlyThoseThatReadVectors:
    def pytest_collection_modifyitems(self, items):
        items[:] = [item for item in items if "vectors" in item.fixturenames]

sys.addaudithook(audit)
status = pytest.main(["-q", "-p", "no:cacheprovider", *modules], [OnlyThoseThatReadVectors()])
with open(report, "w", encoding="utf-8") as file:
    json.dump(sorted(opened), file)
sys.exit(status)
"""


@pytest.fixture(scope="module")
def read_by_tests(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], set[str]]:
    """Give the files that the tests open, seen once for this module."""
    report = tmp_path_factory.mktemp("account") / "opened.json"

    def read(root: Path) -> set[str]:
        if not report.exists():
            modules = [
                str(path)
                for path in sorted(TESTS.glob("credentials/test_*.py"))
                if path != Path(__file__) and re.search(r"\bvectors\b", path.read_text("utf-8"))
            ]
            run = subprocess.run(
                [sys.executable, "-c", PROGRAM, str(root), str(report), *modules],
                cwd=TESTS.parent,
                env={**os.environ, "COUNTERFOIL_VECTORS": str(root)},
                capture_output=True,
                text=True,
                check=False,
            )
            assert run.returncode == 0, run.stdout + run.stderr
        return set(json.loads(report.read_text()))

    return read


def test_every_published_file_is_read_by_a_test_or_says_why_not(
    vectors: Vectors, read_by_tests: Callable[[Path], set[str]]
) -> None:
    root = vectors("wycheproof").parent

    unread = sorted(name for name in files(root) - read_by_tests(root) if not reasons(name))

    assert not unread, "neither read nor listed: " + ", ".join(unread)


def test_no_file_that_a_test_reads_has_a_reason_not_to_be_read(
    vectors: Vectors, read_by_tests: Callable[[Path], set[str]]
) -> None:
    root = vectors("wycheproof").parent

    stale = sorted(name for name in read_by_tests(root) if reasons(name))

    assert not stale, "read, and listed as not read: " + ", ".join(stale)


def test_every_reason_speaks_of_a_file(vectors: Vectors) -> None:
    names = files(vectors("wycheproof").parent)

    idle = [
        pattern for pattern in NOT_READ if not any(fnmatchcase(name, pattern) for name in names)
    ]

    assert not idle, "of no file: " + ", ".join(idle)


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def reasons(name: str) -> list[str]:
    return [reason for pattern, reason in NOT_READ.items() if fnmatchcase(name, pattern)]
