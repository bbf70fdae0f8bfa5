"""Kill a serving counter under load, serve again, and compare with what was shown."""

import itertools
import json
import os
import random
import secrets
import signal
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from counterfoil_credentials.encoding import Json
from counterfoil_credentials.issuer_keys import issuer_keys_document
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.request_links import parse_request_link
from counterfoil_credentials.requests import PresentationRequest, read_request
from counterfoil_credentials.sdjwt import SdJwt, disclose
from counterfoil_credentials.sdjwt_vc import StatusReference
from counterfoil_verifier.shop_folder import ShopFolder

from tests.verifier.running import forking
from tests.verifier.scene import ASKED, INDEX, Brand, answer_form, warranty_claims

SESSIONS_A_KILL = 12
COPIES = 4
_ALL_AT_ONCE = 0.2
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Survived(NamedTuple):
    """What was counted, and neither lost nor doubled."""

    kills: int
    cut_off: int
    """Requests that were under way at a kill."""
    shown: int
    """Verdicts that were seen before the kill, and were the same after it."""
    verdicts: int


@dataclass
class Session:
    """A question, how often its answer was taken, and what was shown of it, if anything."""

    name: str
    url: str
    form: dict[str, str]
    taken: int = 0
    shown: str | None = None
    facts_shown: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, line: HTTPConnection) -> None:
        line.request("POST", urlsplit(self.url).path, urlencode(self.form), _FORM)
        response = line.getresponse()
        response.read()
        assert response.status in {200, 400}, response.status
        with self.lock:
            self.taken += response.status == 200

    def look(self, line: HTTPConnection, key: str) -> None:
        found = sent(line, "GET", f"/counter/requests/{self.name}", key)
        with self.lock:
            assert self.shown in (None, found["state"]), "a verdict that was shown is another now"
            if found["state"] != "waiting":
                self.shown = found["state"]
            self.facts_shown += found["facts"] is not None


def kill_under_load(
    folder: Path, brand: Brand, url: str, *, kills: int, seed: int, workers: int = 1
) -> Survived:
    """Serve the shop in `folder`, which trusts the issuer at `url`, and kill it so often.

    Each answer is sent several times at once, to every worker; then one worker is killed, or
    all of them, and all is sent again, to those that live and to those that come instead.
    One answer was taken, whoever lived to hear it, and a verdict that was shown stays.
    """
    chance = random.Random(seed)
    holder = MemorySigner.generate()
    credential = warranty_of(brand, url, holder)
    key = ShopFolder(folder).counter_key()
    cut_off = shown = verdicts = 0
    with forking(folder, folder.with_suffix(".log")) as serving:
        alive = [serving.start() for _ in range(workers)]
        for left in range(kills, 0, -1):
            told = f"{left} kills before the end of seed {seed}"
            sessions = _asked(alive[0].port, key, credential, holder)
            with _load([one.port for one in alive], key, sessions) as cut:
                time.sleep(chance.uniform(0.01, 0.2))
                killed = alive if chance.random() < _ALL_AT_ONCE else [chance.choice(alive)]
                serving.kill(*killed)
            cut_off += len(cut)
            shown += sum(session.shown is not None for session in sessions)
            alive = [one for one in alive if one not in killed]
            # A worker that lives has all that the dead one promised, without delay.
            if alive:
                _require_kept([one.port for one in alive], key, sessions, told)
            alive += [serving.start() for _ in killed]
            _require_kept([one.port for one in alive], key, sessions, told)
            verdicts += len(sessions)
        with connected(alive[0].port) as line:
            counted = sent(line, "GET", "/counter/summary", key)
    assert counted["verdicts"] == verdicts, f"verdicts were lost or doubled: seed {seed}"
    return Survived(kills, cut_off, shown, verdicts)


def freeze_under_load(folder: Path, brand: Brand, url: str, *, times: int, seed: int) -> None:
    """Let one of two workers stand still under load, so often: the other serves everybody."""
    chance = random.Random(seed)
    holder = MemorySigner.generate()
    credential = warranty_of(brand, url, holder)
    key = ShopFolder(folder).counter_key()
    with forking(folder, folder.with_suffix(".log")) as serving:
        lives = serving.start()
        for left in range(times, 0, -1):
            frozen = serving.start()
            sessions = _asked(lives.port, key, credential, holder)
            with _load([frozen.port], key, sessions):
                time.sleep(chance.uniform(0.05, 0.2))
                os.kill(frozen.pid, signal.SIGSTOP)
                told = f"{left} times before the end of seed {seed}"
                _require_kept([lives.port], key, sessions, told)
                serving.kill(frozen)


def _asked(port: int, key: str, credential: SdJwt, holder: MemorySigner) -> list[Session]:
    sessions: list[Session] = []
    with connected(port) as line:
        for _ in range(SESSIONS_A_KILL):
            asked = sent(line, "POST", "/counter/requests", key, {"preset": "warranty"})
            request = fetched(line, asked["link"])
            presented = bind(
                disclose(credential, ASKED),
                signer=holder,
                audience=request.client_id,
                nonce=request.nonce,
                now=datetime.now(UTC),
            )
            form = answer_form({"warranty": (presented,)}, request)
            sessions.append(Session(asked["id"], request.response_uri, form))
    return sessions


def warranty_of(
    brand: Brand, url: str, holder: MemorySigner, index: int = INDEX, **claims: Json
) -> SdJwt:
    """Issue a warranty that is good today, at `index` of the brand's status list."""
    now = datetime.now(UTC)
    return brand.warranty(
        issuer=url,
        vct=f"{url}/types/warranty",
        status=StatusReference(f"{url}/list", index),
        claims=warranty_claims(valid_until=f"{now + timedelta(days=90):%Y-%m-%d}", **claims),
        issued_at=now - timedelta(days=1),
        expires_at=now + timedelta(days=90),
        holder=holder.public,
    )


def fetched(line: HTTPConnection, link: str) -> PresentationRequest:
    """Do what a wallet does with a link."""
    parsed = parse_request_link(link)
    line.request("GET", urlsplit(parsed.request_uri).path)
    signed = line.getresponse().read().decode()
    return read_request(signed, client_id=parsed.client_id, now=datetime.now(UTC))


def _require_kept(ports: list[int], key: str, sessions: list[Session], told: str) -> None:
    """Let everybody go on after a kill: what was shown is shown, what was taken is not again."""

    def go_on(session: Session) -> None:
        with connected(ports[0]) as line:
            session.look(line, key)
        was_shown = session.shown
        for port in ports:
            with connected(port) as line:
                session.answer(line)
                session.look(line, key)
        assert session.shown == "accepted", told
        # Whoever was cut off may have been the one; nobody was told twice that he was.
        assert session.taken <= 1, f"a session was answered twice: {told}"
        assert session.facts_shown <= 1, f"what was shown was seen twice: {told}"
        if was_shown is None:
            assert session.taken == 1, f"an answer is taken that nobody gave: {told}"

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(go_on, sessions))


@contextmanager
def _load(
    ports: list[int], key: str, sessions: list[Session]
) -> Generator[list[Exception], None, None]:
    """Send each answer several times at once until all are sent or the worker is gone.

    Gives what the kill cut off, once it is over.
    """
    cut: list[Exception] = []

    def run(port: int) -> None:
        try:
            with connected(port) as line:
                for session in sessions:
                    session.answer(line)
                    session.look(line, key)
        # The kill cuts connections; whatever else goes wrong fails the test.
        except (ConnectionError, HTTPException) as error:
            cut.append(error)

    copies = [port for port, _ in zip(itertools.cycle(ports), range(COPIES), strict=False)]
    with ThreadPoolExecutor(COPIES) as pool:
        runs = [pool.submit(run, port) for port in copies]
        yield cut
        for done in runs:
            done.result()


def connected(port: int) -> closing[HTTPConnection]:
    """Give a connection that is closed whatever happens."""
    return closing(HTTPConnection("127.0.0.1", port, timeout=30))


def sent(line: HTTPConnection, method: str, path: str, key: str, body: object = None) -> Any:  # noqa: ANN401
    """Give the answer of the counter's own side."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    status, text = 503, b""
    for _ in range(3):
        line.request(method, path, None if body is None else json.dumps(body), headers)
        response = line.getresponse()
        status, text = response.status, response.read()
        # A database that still clears up after the dead says later, and means it.
        if status != 503:
            break
    assert status in {200, 201}, text
    return json.loads(text)


class ServingBrand(Brand):
    """A brand with an address."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__(clock)
        self.told: list[bytes] = []


@contextmanager
def serving_brand() -> Generator[tuple[ServingBrand, str], None, None]:
    """Serve a brand's keys and its status list on loopback; give it with its URL.

    What is posted there is kept in `told`.
    """
    brand = ServingBrand(lambda: datetime.now(UTC))

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # as the library says
            if self.path.startswith("/.well-known/"):
                keys = issuer_keys_document(url, [brand.signer.public])
                kind, body = "application/json", json.dumps(keys).encode()
            else:
                kind, body = "application/statuslist+jwt", brand.fetch(self.path).encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:  # a shop's webhook
            body = self.rfile.read(int(self.headers["Content-Length"]))
            brand.told.append(f"{self.headers}".encode() + body)
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    url = f"http://127.0.0.1:{server.server_address[1]}"
    brand.list_subject = f"{url}/list"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield brand, url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def shop_at(folder: Path, issuer: str, database: Path | str, **settings: Json) -> None:
    """Make the folder of a shop that trusts the issuer, with its sessions in `database`."""
    shop = ShopFolder(folder)
    shop.make(name=f"Shop {secrets.token_hex(2)}")
    shop.trust(issuer, {"warranty": [f"{issuer}/types/warranty"]})
    if isinstance(database, str):
        settings["database"] = database
    made = json.loads((folder / "shop.json").read_text())
    (folder / "shop.json").write_text(json.dumps({**made, **settings}))
