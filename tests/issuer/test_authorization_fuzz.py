"""Whatever strangers send to the authorization server, it refuses and never fails."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from urllib.parse import quote

import pytest
from counterfoil_credentials.keys import MemorySigner
from counterfoil_issuer.clients import Demand
from counterfoil_issuer.sql_store import SqlStore
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from tests.issuer.brand import AUDIO, issuer_on
from tests.issuer.provider import Provider
from tests.issuer.visitor import POLICY, app_of, asked, desk_of

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
ATTESTER = MemorySigner.from_private_bytes(b"\x05" * 32)
NAMES = [*asked(), "request_uri", "authorization_details", "issuer_state", "dpop_jkt", "answer"]
COOKIE = "__Host-counterfoil-visit-25cd0d73"
HEADERS = ["DPoP", "OAuth-Client-Attestation", "OAuth-Client-Attestation-PoP", "Cookie"]

values = st.text(max_size=50) | st.sampled_from([*asked().values(), "\x00", "%", "[]", "{}"])
fields = st.dictionaries(st.sampled_from(NAMES), values, max_size=8)
nearly_good = st.dictionaries(st.sampled_from(NAMES), values, max_size=1).map(
    lambda change: asked() | change
)
# What no form encodes so: half a code point, bytes that are no UTF-8, signs twice.
raw = st.text("abc%&=+;01\u0000é", max_size=60).map(lambda text: text.encode())
header_values = st.text("abcXYZ.-_=; 019", max_size=60)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder: Path = tmp_path_factory.mktemp("fuzz")
    store = SqlStore(folder / "issuer.sqlite3")
    issuer = issuer_on(store, lambda: NOON, Random(1).randbytes)
    policy = type(POLICY)(
        redirect_uris=POLICY.redirect_uris,
        attestation=Demand.OPTIONAL,
        attesters=frozenset({ATTESTER.public}),
    )
    desk = desk_of(issuer, Provider(NOON).login(), policy)
    assert desk.cookie == COOKIE
    yield TestClient(
        app_of(desk), base_url=AUDIO, follow_redirects=False, raise_server_exceptions=False
    )
    store.close()


def encoded(form: dict[str, str]) -> bytes:
    return "&".join(
        f"{name}={quote(value, safe='', errors='surrogatepass')}" for name, value in form.items()
    ).encode()


@given(
    path=st.sampled_from(["/par", "/authorize/answer"]),
    body=(fields | nearly_good).map(encoded) | raw,
    headers=st.dictionaries(st.sampled_from(HEADERS), header_values, max_size=2),
)
def test_no_posted_body_makes_it_fail(
    client: TestClient, path: str, body: bytes, headers: dict[str, str]
) -> None:
    sent = {"Content-Type": "application/x-www-form-urlencoded", **headers}

    client.cookies.clear()
    assert client.post(path, content=body, headers=sent).status_code < 500


@given(
    path=st.sampled_from(["/authorize", "/login/callback"]),
    query=(fields | nearly_good).map(encoded) | raw,
    language=header_values,
    cookie=header_values,
)
def test_no_query_makes_it_fail(
    client: TestClient, path: str, query: bytes, language: str, cookie: str
) -> None:
    sent = {"Accept-Language": language, "Cookie": f"{COOKIE}={cookie}"}

    client.cookies.clear()
    answer = client.get(f"{path}?{quote(query, safe='%&=+;')}", headers=sent)

    assert answer.status_code < 500
