"""Whether a service lives, and whether it can do its work now.

    health = Health(
        {
            "database": database_answers(db),
            "signing_key": key_signs(signer),
            "clock": clock_goes_on(clock, last_seen),
            "disk": disk_has_room(data),
        }
    )
    health.mount(app)

GET /health/live answers 200 while the process answers at all. GET /health/ready runs
the checks, at most once in two seconds however many ask, and answers 200 or 503 with
the name of each check. Why one fails is in the log, for the service's own people.
"""

import asyncio
import logging
import shutil
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias

from counterfoil_credentials.errors import CounterfoilError, Misuse, Unavailable
from counterfoil_credentials.keys import Signer
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from sqlalchemy import literal, select

from counterfoil_service.logs import say
from counterfoil_service.sql import Database
from counterfoil_service.statements import Statement

Check: TypeAlias = Callable[[], None]
"""Returns when all is well, raises an error of ours when not; it may take its time."""

KEPT_S: Final = 2.0
PATIENCE_S: Final = 5.0
MIN_FREE_BYTES: Final = 200_000_000
EARLIEST: Final = datetime(2026, 1, 1, tzinfo=UTC)
BACKWARDS: Final = timedelta(minutes=5)
_PROBE: Final = b"counterfoil: is this key still there?"
_ONE: Final = Statement(select(literal(1)))
_LOGGER: Final = logging.getLogger("counterfoil.health")


class Health:
    """Runs a service's checks for whoever asks."""

    def __init__(
        self,
        checks: Mapping[str, Check],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Take the checks by name; without any a service would always be ready."""
        if not checks:
            raise Misuse("expected something to check, found nothing")
        self._checks = dict(checks)
        self._monotonic = monotonic
        self._patience_s = patience_s
        self._found: dict[str, bool] = {}
        self._found_at: float | None = None
        self._running: asyncio.Task[None] | None = None

    async def ready(self) -> dict[str, bool]:
        """Give each check's name and whether it was well, at most two seconds ago."""
        if self._found_at is not None and self._monotonic() - self._found_at < KEPT_S:
            return self._found
        # All who ask meanwhile wait for one run; one that hangs is not joined by a second.
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._look())
        try:
            await asyncio.wait_for(asyncio.shield(self._running), self._patience_s)
        except TimeoutError:
            return dict.fromkeys(self._checks, False)
        return self._found

    def mount(self, app: FastAPI) -> None:
        """Add the two routes."""

        async def live() -> JSONResponse:
            return _answer(200, {"status": "live"})

        async def ready() -> JSONResponse:
            found = await self.ready()
            checks = {name: "ok" if well else "failed" for name, well in found.items()}
            if all(found.values()):
                return _answer(200, {"status": "ready", "checks": checks})
            return _answer(503, {"status": "not ready", "checks": checks})

        app.add_api_route("/health/live", live, summary="Whether the process answers")
        app.add_api_route("/health/ready", ready, summary="Whether it can do its work")

    async def _look(self) -> None:
        # What a slow run finds is kept as well, for those who ask next.
        self._found = await asyncio.to_thread(self._run)
        self._found_at = self._monotonic()

    def _run(self) -> dict[str, bool]:
        return {name: _is_well(name, check) for name, check in self._checks.items()}


def database_answers(database: Database) -> Check:
    """Check that the database can be read."""

    def check() -> None:
        with database.reading() as connection:
            connection.value(_ONE)

    return check


def key_signs(signer: Signer) -> Check:
    """Check that the signing key, wherever it is, still signs as its public key says."""
    return lambda: signer.public.verify(signer.sign(_PROBE), _PROBE)


def clock_goes_on(
    clock: Callable[[], datetime], last_seen: Callable[[], datetime | None] = lambda: None
) -> Check:
    """Check that the clock is set, and not behind what the service wrote down before.

    `last_seen` gives such a time: of the last audit entry, or credential.
    """

    def check() -> None:
        now = clock()
        earliest = max(EARLIEST, (last_seen() or EARLIEST) - BACKWARDS)
        if now < earliest:
            raise Unavailable("expected a clock that goes on, found it set back")

    return check


def disk_has_room(folder: Path, *, bytes_free: int = MIN_FREE_BYTES) -> Check:
    """Check that the disk under `folder` has room left."""

    def check() -> None:
        try:
            free = shutil.disk_usage(folder).free
        except OSError as cause:
            raise Unavailable("expected the data folder's disk, found none") from cause
        if free < bytes_free:
            raise Unavailable(f"expected {bytes_free} bytes free, found {free}")

    return check


def _is_well(name: str, check: Check) -> bool:
    try:
        check()
    except CounterfoilError as error:
        say(_LOGGER, logging.WARNING, "check failed", check=name, error=type(error).__name__)
        return False
    except Exception:
        _LOGGER.exception("check broke")
        return False
    return True


def _answer(status: int, content: dict[str, object]) -> JSONResponse:
    return JSONResponse(content, status, headers={"Cache-Control": "no-store"})
