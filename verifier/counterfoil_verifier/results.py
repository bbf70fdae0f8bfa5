"""Results that wait at a till without a network, and reach the shop's own service once.

    sync(till_store, Service(fetcher, "https://till.example", key), now=now)

A verdict is written when it is given, and is unsent until the service has said that it
has it. Whatever happens in between, it is sent again under the same id, and kept once. A
result is what the till keeps too: outcome, codes and times, and nothing that was shown.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from counterfoil_credentials.answers import answer_of
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    compact_json,
    int_at,
    list_at,
    optional_text_at,
    parse_object,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.spec import JSON_MEDIA_TYPE

from counterfoil_verifier.requesting import Answered, SessionId
from counterfoil_verifier.store import ResultQueue, SessionStore
from counterfoil_verifier.verdict import Kind, Outcome, Verdict

AT_ONCE: Final = 100
"""How many results go in one message."""

_WHERE: Final = "results"
_MAX_BYTES: Final = 262_144
_MAX_CODES: Final = 50
_CODE: Final = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_MAX_TILL: Final = 64
_KINDS: Final[dict[str, Kind]] = {"asked": "asked", "holder-shown": "holder-shown"}


class ResultSink(Protocol):
    """Where results go."""

    def take(self, results: Sequence[Answered]) -> None:
        """Keep each that is not there yet; return only once all of them are.

        Raises `Unavailable` when that is not known, and `Refused` for a till that may not.
        """
        ...


class Service:
    """The shop's own service, over HTTP, with the counter's key."""

    def __init__(self, fetcher: Fetcher, origin: str, counter_key: str) -> None:
        """Send to the service at `origin`."""
        self._fetcher = fetcher
        self._url = f"{origin}/counter/results"
        self._headers = {"Authorization": f"Bearer {counter_key}"}

    def take(self, results: Sequence[Answered]) -> None:
        response = self._fetcher.post(
            self._url,
            compact_json(results_json(results)),
            media_type=JSON_MEDIA_TYPE,
            headers=self._headers,
        )
        answer_of(response, "shop's service")


def sync(queue: ResultQueue, sink: ResultSink, *, now: datetime) -> int:
    """Send what is unsent, oldest first, and give how many results that was.

    Raises what `sink.take` raises; what was sent before that stays sent.
    """
    done = 0
    while results := queue.unsent(AT_ONCE):
        sink.take(results)
        queue.mark_sent([one.session_id for one in results], at=now)
        done += len(results)
    return done


def keep_results(store: SessionStore, data: bytes) -> int:
    """Keep the results in a till's message; give how many were new. Raises `Malformed`."""
    return sum(store.keep(one) for one in parse_results(data))


def results_json(results: Sequence[Answered]) -> JsonObject:
    """Give the message that a till sends."""
    listed: list[Json] = [result_json(one) for one in results]
    return {"results": listed}


def parse_results(data: bytes) -> list[Answered]:
    """Give the results in a till's message, or raise `Malformed` for all of them."""
    obj = parse_object(data, _WHERE, max_bytes=_MAX_BYTES)
    listed = list_at(obj, "results", _WHERE)
    if len(listed) > AT_ONCE:
        raise Malformed(f"at most {AT_ONCE} results", f"{len(listed)}", _WHERE)
    return [parse_result(as_object(one, _WHERE), f"{_WHERE}[{i}]") for i, one in enumerate(listed)]


def result_json(answered: Answered) -> JsonObject:
    """Give one result as it is written."""
    verdict = answered.verdict
    codes: list[Json] = [*verdict.codes]
    told: JsonObject = {
        "id": answered.session_id,
        "preset": answered.preset,
        "kind": verdict.kind,
        "outcome": verdict.outcome.value,
        "codes": codes,
        "checked_at": verdict.checked_at.isoformat(),
        "took_ms": verdict.took_ms,
        "later_answers": answered.later_answers,
    }
    if answered.till is not None:
        told["till"] = answered.till
    if verdict.status_as_of is not None:
        told["status_as_of"] = verdict.status_as_of.isoformat()
    return told


def parse_result(obj: JsonObject, where: str) -> Answered:
    """Give one result, or raise `Malformed`."""
    outcome, kind = text_at(obj, "outcome", where), text_at(obj, "kind", where)
    if outcome not in tuple(Outcome) or kind not in _KINDS:
        raise Malformed("a known outcome and kind", "others", where)
    codes = texts_at(obj, "codes", where)
    if len(codes) > _MAX_CODES or not all(_CODE.fullmatch(code) for code in codes):
        raise Malformed(f"at most {_MAX_CODES} codes", "others", f"{where}.codes")
    till = optional_text_at(obj, "till", where)
    if till is not None and not (0 < len(till) <= _MAX_TILL and till.isprintable()):
        raise Malformed(f"a name of at most {_MAX_TILL} characters", "another", f"{where}.till")
    counts = {name: int_at(obj, name, where) for name in ("took_ms", "later_answers")}
    if not all(0 <= count < 1 << 31 for count in counts.values()):
        raise Malformed("whole numbers from zero", "others", where)
    verdict = Verdict(
        outcome=Outcome(outcome),
        codes=tuple(codes),
        checked_at=_moment(text_at(obj, "checked_at", where), where),
        status_as_of=_moment(text_at(obj, "status_as_of", where), where)
        if "status_as_of" in obj
        else None,
        took_ms=counts["took_ms"],
        kind=_KINDS[kind],
    )
    return Answered(
        session_id=SessionId(_named(obj, "id", where)),
        preset=_named(obj, "preset", where),
        verdict=verdict,
        later_answers=counts["later_answers"],
        till=till,
    )


def _named(obj: JsonObject, name: str, where: str) -> str:
    text = text_at(obj, name, where)
    if not _NAME.fullmatch(text):
        raise Malformed("1 to 128 letters, digits, _ and -", "another text", f"{where}.{name}")
    return text


def _moment(text: str, where: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise Malformed("a time with its zone", "one without", where)
        # Beyond the first or the last year in UTC, though not in its own zone.
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Malformed("a time", "another text", where) from None
