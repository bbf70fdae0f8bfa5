"""The service and its OpenAPI document: whatever fits the document, or does not, is no 5xx."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_verifier import Asked
from counterfoil_verifier.operating import operated_app
from counterfoil_verifier.sql_store import SqlSessionStore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Clock
from tests.verifier.scene import Scene
from tests.verifier.tills import KEY

EXAMPLES: Final = 15
PATIENCE_S: Final = 300
# Its types are half known, which a strict checker takes for unknown.
FROM_ASGI: Any = import_module("schemathesis.openapi").from_asgi
CHECKS: Final[list[Any]] = [
    import_module("schemathesis.checks").not_a_server_error,
    *(
        getattr(import_module("schemathesis.specs.openapi.checks"), f"{part}_conformance")
        for part in ("status_code", "content_type", "response_headers", "response_schema")
    ),
]
# These wait as long as they are told; `test_app_results.py` has them.
WAIT: Final = "/counter/requests/{session_id}"


def test_no_request_is_answered_5xx_or_otherwise_than_documented(
    clock: Clock, random_bytes: Callable[[int], bytes], tmp_path: Path
) -> None:
    store = SqlSessionStore(tmp_path / "counter.sqlite3")
    scene = Scene(clock, random_bytes, store)
    app = operated_app(
        scene.counter,
        store.database,
        secret=bytes(32),
        counter_key=KEY,
        fetcher=MemoryFetcher(),
        trust=scene.trust,
        clock=clock,
    )
    asked = scene.counter.ask("warranty")

    assert ask_everything(app, asked, scene, EXAMPLES) > 8
    store.close()


def ask_everything(app: object, asked: Asked, scene: Scene, examples: int) -> int:
    """Send that many requests to each operation, with and without the key."""
    request_id, _ = scene.fetch_request(asked)
    names = st.sampled_from([str(asked.session_id), str(request_id)])
    schema = FROM_ASGI("/openapi.json", app)
    operations = [found.ok() for found in schema.get_all_operations()]
    operations = [each for each in operations if not each.path.startswith(WAIT)]
    for operation in operations:

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        )
        @given(case=operation.as_strategy(), known=st.none() | names)
        def send(case: Any, known: str | None) -> None:  # noqa: ANN401  # schemathesis's own
            if known is not None and case.path_parameters:
                case.path_parameters = dict.fromkeys(case.path_parameters, known)
            for headers in ({}, {"Authorization": f"Bearer {KEY}"}):
                case.call_and_validate(headers=headers, checks=CHECKS, timeout=PATIENCE_S)

        send()
    return len(operations)


@pytest.mark.parametrize("method", ["get", "post"])
def test_the_document_describes_what_wallets_may_ask(scene: Scene, method: str) -> None:
    app: Any = import_module("counterfoil_verifier.app").create_app(scene.counter, counter_key=KEY)
    paths = app.openapi()["paths"]

    assert method in paths["/requests/{request_id}"]
    assert "post" in paths["/responses/{request_id}"]
    assert {"/counter/requests", "/counter/check", "/counter/summary"} <= paths.keys()
