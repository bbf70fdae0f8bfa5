"""A wallet's answer is a verdict within 50 ms (p95), at 50 answers a second, on two workers.

The workers are `counterfoil verifier serve` on one folder, as `init` makes it (so answers
come encrypted), over a PostgreSQL of its own; they keep the status list of a brand's
service. Each answer is of another customer with another credential. It goes to one worker,
and the till asks the other: half of the tills look when the wallet has its answer, half
have opened the stream of events about a second before. The bare endpoint, two workers as well,
takes the same bodies at the same pace and answers with as many bytes; it keeps nothing,
and its streams are in the worker that takes the answer.

A thread keeps the clock: an answer is due every 20 ms, whatever became of those before it,
and its time counts from when it was due. How late the sender itself was is a line of the
report. When that was much, it says so: then the machine was measured, not the service.
"""

import asyncio
import gc
import json
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from math import ceil
from pathlib import Path
from typing import IO, Final, NamedTuple
from urllib.parse import urlencode, urlsplit

from counterfoil_credentials.encoding import JsonObject, compact_json
from counterfoil_credentials.jose import encrypt_jwe
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.request_links import parse_request_link
from counterfoil_credentials.requests import read_request
from counterfoil_credentials.sdjwt import disclose
from counterfoil_credentials.spec import FORM_MEDIA_TYPE
from counterfoil_verifier.presets import WARRANTY
from counterfoil_verifier.shop_folder import ShopFolder

from bench.issuer_http import LIST_SIZE, SMALL_LIST, URL, VCT, revoke_some, sample
from bench.loopback import (
    Receive,
    Scope,
    Send,
    asked,
    get,
    post,
    respond,
    running,
    serve,
    started,
)
from bench.measure import DISK, Operation, Other, fixed
from bench.recording import postgres

_PROMISE_S: Final = 0.05
_EVERY_S: Final = 0.02
_COUNT: Final = 1_500
_QUICK_COUNT: Final = 12
_WARM_UPS: Final = 40
_OPEN_BEFORE_S: Final = 1.0
_QUICK_OPEN_BEFORE_S: Final = 0.1
LATE_S: Final = 0.005
"""A sender that is so late measures the machine."""
_PATIENCE_S: Final = 60
_AT_ONCE: Final = 8
_PERCENTS: Final = (50, 95, 99)
_JUDGED: Final = 95
_ACCEPTED: Final = b'"state":"accepted"'


class Sent(NamedTuple):
    """A request, and the port that it goes to."""

    port: int
    request: bytes


@dataclass(frozen=True, slots=True)
class Visit:
    """What the wallet sends, and what the till asks."""

    answer: Sent
    look: Sent | None
    events: Sent | None


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds from when each answer was due, and how many bytes the last ones had."""

    late: list[float] = field(default_factory=list[float])
    answer: list[float] = field(default_factory=list[float])
    look: list[float] = field(default_factory=list[float])
    event: list[float] = field(default_factory=list[float])
    sizes: dict[str, int] = field(default_factory=dict[str, int])


def operations(*, quick: bool) -> Iterator[Operation]:
    """Give the wallet's wait, and the till's, by a look and by the stream."""
    count = _QUICK_COUNT if quick else _COUNT
    open_before_s = _QUICK_OPEN_BEFORE_S if quick else _OPEN_BEFORE_S
    with (
        tempfile.TemporaryDirectory(dir=DISK) as name,
        postgres() as database,
        _shop(Path(name), database, SMALL_LIST if quick else LIST_SIZE) as (ports, key),
    ):
        warmed_up = load(asyncio.run(_visits(ports, key, _WARM_UPS)), open_before_s)
        visits = asyncio.run(_visits(ports, key, count))
        ours = load(visits, open_before_s)
    with _bare(warmed_up.sizes) as ports:
        load(_bare_visits(ports, visits[:_WARM_UPS]), open_before_s)
        theirs = load(_bare_visits(ports, visits), open_before_s)
    for name, our_times, their_times in (
        ("the wallet is answered", ours.answer, theirs.answer),
        ("the till looks at the verdict", ours.look, theirs.look),
        ("the stream tells the till", ours.event, theirs.event),
    ):
        for percent in _PERCENTS:
            bare = Other(name="bare ASGI", sampler=fixed(_at(percent, their_times)))
            promise = Other(name="the promise", sampler=fixed(_PROMISE_S), floor=1.0)
            yield Operation(
                name=f"{name}, p{percent}",
                ours=fixed(_at(percent, our_times)),
                others=[bare, promise] if percent == _JUDGED else [bare],
                at_most=True,
            )
    late_s = _at(_JUDGED, ours.late + theirs.late)
    yield Operation(name=f"sent after its time, p{_JUDGED}", ours=fixed(late_s), others=[])
    tell_if_late(late_s)


def tell_if_late(late_s: float) -> None:
    """Say on the standard error what the figures are worth, when the sender was late."""
    if late_s > LATE_S:
        sys.stderr.write(
            "verifier_http: the machine did not keep the schedule (one answer in twenty left"
            f" {late_s * 1000:.1f} ms after its time, or more), and its delay is in all figures\n"
        )


def _at(percent: int, times: Sequence[float]) -> float:
    """Give the time within which `percent` of a hundred were."""
    return sorted(times)[ceil(len(times) * percent / 100) - 1]


@contextmanager
def _shop(folder: Path, database: str, length: int) -> Generator[tuple[list[int], str], None, None]:
    """Serve a brand with its list, and a shop that trusts it; give the workers' ports and key."""
    brand, shop = folder / "brand.sqlite3", ShopFolder(folder / "shop")
    revoke_some(brand, length)
    with running("bench.issuer_http", "issuer", str(brand), str(length)) as brand_port:
        shop.make(name="Quay Street", public_url="https://till.example")
        shop.trust(URL, {WARRANTY.name: [VCT]}, {URL: f"http://127.0.0.1:{brand_port}"})
        command = [sys.executable, "-m", "counterfoil_credentials.cli", "verifier", "serve"]
        command += [str(shop.path), "--json", "--database", database]
        with (
            started(command, log=folder / "one.log") as one,
            started(command, log=folder / "other.log") as other,
        ):
            yield [_port(said) for said in (one, other)], shop.counter_key()


def _port(said: IO[str]) -> int:
    first: dict[str, str] = json.loads(said.readline())
    return int(first["listens"].rpartition(":")[2])


async def _visits(ports: Sequence[int], key: str, count: int) -> list[Visit]:
    """Let tills ask, and wallets make ready what they will answer."""
    numbers = iter(range(count))
    found: dict[int, Visit] = {}

    async def work() -> None:
        for number in numbers:
            found[number] = await _visit(ports, key, number)

    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
    return [found[number] for number in range(count)]


async def _visit(ports: Sequence[int], key: str, number: int) -> Visit:
    """Let one till ask, and one customer read what it asks."""
    wallets, tills = (ports[(number // 2 + i) % 2] for i in (0, 1))
    question = compact_json({"preset": WARRANTY.name})
    opened = json.loads(await _asked(Sent(tills, post("/counter/requests", question, token=key))))
    link = parse_request_link(opened["link"])
    signed = await _asked(Sent(wallets, get(urlsplit(link.request_uri).path)))
    now = datetime.now(UTC)
    request = read_request(signed.decode(), client_id=link.client_id, now=now)
    holder = MemorySigner.generate()
    shown = bind(
        disclose(sample(holder.public, 1 + number * 100 % SMALL_LIST), WARRANTY.claims),
        signer=holder,
        audience=request.client_id,
        nonce=request.nonce,
        now=now,
    )
    answer: JsonObject = {"vp_token": {WARRANTY.name: [shown]}, "state": request.state}
    assert request.encryption is not None  # noqa: S101  # as `init` makes a shop
    sealed = encrypt_jwe(compact_json(answer), key=request.encryption.key)
    form = urlencode({"response": sealed}).encode()
    path = f"/counter/requests/{opened['id']}"
    return Visit(
        Sent(wallets, post(urlsplit(request.response_uri).path, form, media_type=FORM_MEDIA_TYPE)),
        None if number % 2 else Sent(tills, get(path, token=key)),
        Sent(tills, get(f"{path}/events", token=key)) if number % 2 else None,
    )


def load(visits: Sequence[Visit], open_before_s: float) -> Taken:
    """Send every answer when it is due, whatever became of those before; give what each took."""
    gc.collect()
    gc.disable()
    try:
        return asyncio.run(_loaded(visits, open_before_s))
    finally:
        gc.enable()


async def _loaded(visits: Sequence[Visit], open_before_s: float) -> Taken:
    taken, under_way = Taken(), list[asyncio.Task[None]]()
    loop, starts_at = asyncio.get_running_loop(), time.perf_counter() + 2 * open_before_s
    acts: list[tuple[float, Callable[[], Awaitable[None]]]] = []
    chance = random.Random("streams")  # noqa: S311  # no secret
    for number, visit in enumerate(visits):
        due = starts_at + number * _EVERY_S
        acts.append((due, partial(_answer, visit, due, taken)))
        if visit.events is not None:
            # At no fixed distance: a till that looks now and then must not look in step.
            opens_at = due - chance.uniform(0.5, 1.5) * open_before_s
            acts.append((opens_at, partial(_listen, visit.events, due, taken)))
    acts.sort(key=lambda act: act[0])

    def begin(act: Callable[[], Awaitable[None]]) -> None:
        under_way.append(asyncio.ensure_future(act()))

    def keep_time() -> None:
        for at, act in acts:
            time.sleep(max(0.0, at - time.perf_counter()))
            loop.call_soon_threadsafe(begin, act)

    await asyncio.to_thread(keep_time)
    ended, waiting = await asyncio.wait(under_way, timeout=_PATIENCE_S)
    if waiting:
        text = f"expected {len(under_way)} answers, found {len(waiting)} that did not come"
        raise RuntimeError(text)
    for task in ended:
        task.result()
    return taken


async def _answer(visit: Visit, due: float, taken: Taken) -> None:
    """Be the wallet that answers, and then the till that looks."""
    taken.late.append(time.perf_counter() - due)
    taken.sizes["answer"] = len(await _asked(visit.answer))
    taken.answer.append(time.perf_counter() - due)
    if visit.look is None:
        return
    found = await _asked(visit.look)
    taken.look.append(time.perf_counter() - due)
    taken.sizes["look"] = len(found)
    if _ACCEPTED not in found:
        text = f"expected a verdict, found {found!r}"
        raise RuntimeError(text)


async def _listen(events: Sent, due: float, taken: Taken) -> None:
    """Be the till that hears of the verdict."""
    reader, writer = await asyncio.open_connection("127.0.0.1", events.port)
    try:
        writer.write(events.request)
        await reader.readuntil(_ACCEPTED)
        taken.event.append(time.perf_counter() - due)
    finally:
        writer.close()


async def _asked(sent: Sent) -> bytes:
    """Give the answer's body, over a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", sent.port)
    try:
        return await asked(reader, writer, sent.request)
    finally:
        writer.close()


@contextmanager
def _bare(sizes: dict[str, int]) -> Generator[list[int], None, None]:
    module = [sys.executable, "-m", "bench.verifier_http"]
    command = [*module, str(sizes["answer"]), str(sizes["look"])]
    with started(command) as one, started(command) as other:
        yield [int(said.readline()) for said in (one, other)]


def _bare_visits(ports: Sequence[int], visits: Sequence[Visit]) -> list[Visit]:
    """Give the same visits to the bare endpoint, where a number is all that a path says."""
    return [_bare_visit(ports, number, visit) for number, visit in enumerate(visits)]


def _bare_visit(ports: Sequence[int], number: int, visit: Visit) -> Visit:
    port, path = ports[number // 2 % 2], f"/{number}"
    body = visit.answer.request.partition(b"\r\n\r\n")[2]
    return Visit(
        Sent(port, post(path, body, media_type=FORM_MEDIA_TYPE)),
        None if visit.look is None else Sent(port, get(path)),
        None if visit.events is None else Sent(port, get(f"{path}/events")),
    )


class _Bare:
    """Takes what is posted to a path, and tells whoever has its stream open."""

    def __init__(self, answer_size: int, look_size: int) -> None:
        self._answer = b"x" * answer_size
        self._look = _ACCEPTED.ljust(look_size)
        self._came: dict[str, asyncio.Event] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path: str = scope["path"]
        name = path.removesuffix("/events")
        if scope["method"] == "POST":
            while (await receive())["more_body"]:
                pass
            self._came.pop(name, asyncio.Event()).set()
            await respond(send, self._answer)
        elif name == path:
            await respond(send, self._look)
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"waiting", "more_body": True})
            await self._came.setdefault(name, asyncio.Event()).wait()
            await send({"type": "http.response.body", "body": self._look})


if __name__ == "__main__":
    serve(_Bare(int(sys.argv[1]), int(sys.argv[2])))
