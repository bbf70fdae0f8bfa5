"""The service and its OpenAPI document: whatever fits the document, or does not, is no 5xx.

Each operation is asked with and without a key, with names that exist and with any others, and
what comes back must be what the document says. `scripts/soak` asks twenty-five times as often.
"""

import json
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Clock
from tests.issuer.conformance.stage import TYPE, Stage, stage

pytestmark = pytest.mark.once

BACK_OFFICE_KEY: Final = "of-the-back-office"
EXAMPLES: Final = 20
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
WALLET_ENDPOINTS: Final = {
    "/token",
    "/nonce",
    "/credential",
    "/deferred_credential",
    "/notification",
    "/par",
    "/authorize",
    "/offers/{reference}",
    "/status-lists/{number}",
    "/types/{name}",
}


@pytest.fixture
def service(tmp_path: Path, clock: Clock, random_bytes: Callable[[int], bytes]) -> Iterator[Stage]:
    with stage(tmp_path, clock, random_bytes, back_office_key=BACK_OFFICE_KEY) as plain:
        wallet, offer = plain.wallet(), plain.offer()
        token = wallet.redeem(offer.link).json()
        assert wallet.ask(token, wallet.request(TYPE, token)).status_code == 200
        yield plain


def document(service: Stage) -> dict[str, Any]:
    answer = service.http.get("/openapi.json")
    assert answer.status_code == 200
    return dict(answer.json())


def test_the_document_describes_what_wallets_and_staff_may_ask(service: Stage) -> None:
    paths = {path.removeprefix("/audio") for path in document(service)["paths"]}

    assert paths >= WALLET_ENDPOINTS
    assert any(path.startswith("/back-office/") for path in paths)
    assert any(path.startswith("/.well-known/") for path in paths)


def names_that_exist(service: Stage) -> list[str]:
    """Give what stands in the back office's paths: ids of orders, credentials and the like."""
    with service.service.store.reading() as held:
        summary = held.summary(service.clock())
    return [TYPE, "0", "1", json.dumps(summary.orders)]


def ask_everything(service: Stage, examples: int) -> int:
    """Send that many requests to each operation, twice; give how many there are."""
    schema = FROM_ASGI("/openapi.json", service.app)
    staff = {"Authorization": f"Bearer {BACK_OFFICE_KEY}"}
    names = st.sampled_from(names_that_exist(service))
    operations = [found.ok() for found in schema.get_all_operations()]
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
            for headers in ({}, staff):
                case.call_and_validate(headers=headers, checks=CHECKS, timeout=PATIENCE_S)

        send()
    return len(operations)


def test_no_request_is_answered_5xx_or_otherwise_than_documented(service: Stage) -> None:
    assert ask_everything(service, EXAMPLES) > 20


@pytest.mark.soak
def test_no_request_of_very_many_is_answered_5xx_or_otherwise_than_documented(
    service: Stage, soak_count: Callable[[int], int]
) -> None:
    assert ask_everything(service, soak_count(25 * EXAMPLES)) > 20
