"""A withdrawal stops the receiver within 2 s (p95), and is proved within a minute.

Four real processes, and a PostgreSQL: this one drives the customers' wallets, `counterfoil
consent serve` is the custodian over its own folder, a receiver keeps its rows in PostgreSQL,
and a recipient has facts from it. Each grant is asked for, signed, sealed, delivered, read
once and handed over by HTTP before the clock starts. A withdrawal is due every 200 ms,
whatever became of those before it, and its time counts from when it was due: until the
wallet has the receiver's signed stop notice, and until a receipt that it has verified reaches
E2 (the custodian's word) and E3 (the recipient's). The times have the wallet's own work in
them, the cryptography of all sides, and every commit to the disk.
"""

import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Final, NamedTuple

from counterfoil_consent import (
    Active,
    FetchedNotices,
    FileKeyFolder,
    Level,
    PresentationAsk,
    Purpose,
    RecipientParty,
    Withdrawal,
    deliver,
    fetch_custodian,
    fetch_custodian_key,
    fetch_erasure_receipt,
    grant,
    read_consent_request,
    send_withdrawal,
    withdraw,
)
from counterfoil_consent.app import receiver_app
from counterfoil_consent.parties import CustodianParty
from counterfoil_consent.receiver_folder import SIGNING_KEY, open_receiver
from counterfoil_consent.recipient import MemoryRecipientStore, Recipient
from counterfoil_consent.recipient_routes import recipient_routes
from counterfoil_consent.sealing import SealingKey
from counterfoil_credentials.answers import answer_of
from counterfoil_credentials.dids import Did, did_jwk
from counterfoil_credentials.encoding import (
    JsonObject,
    b64url,
    compact_json,
    from_b64url,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.fetch import Fetcher, GuardedFetcher
from counterfoil_credentials.key_binding import bind as bind_key
from counterfoil_credentials.key_file import load_or_create_signer
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.request_links import parse_request_link
from counterfoil_credentials.sdjwt import disclose
from counterfoil_credentials.sdjwt_vc import issue_credential
from counterfoil_credentials.spec import JSON_MEDIA_TYPE, REQUEST_MEDIA_TYPE
from counterfoil_service import serving
from counterfoil_service.errors import install_error_handlers
from fastapi import FastAPI
from fastapi.responses import JSONResponse

from bench.loopback import started
from bench.measure import DISK, Operation, Other, fixed
from bench.recording import postgres

_STOP_WITHIN_S: Final = 2.0
_PROVED_WITHIN_S: Final = 60.0
_EVERY_S: Final = 0.2
_LOOK_EVERY_S: Final = 0.05
_COUNT: Final = 150
_QUICK_COUNT: Final = 4
_AT_ONCE: Final = 4
_PERCENTS: Final = (50, 95)
_JUDGED: Final = 95
_BRAND: Final = "https://audio.example"
_VCT: Final = f"{_BRAND}/types/warranty"
_FACTS: Final[JsonObject] = {"serial": "AUR-000042", "valid_until": "2028-11-01"}
_KEY: Final = "a key of the bench and of nobody else"


class Given(NamedTuple):
    """A grant in force, and the key that may withdraw it."""

    active: Active
    signer: MemorySigner


@dataclass(frozen=True, slots=True)
class Street:
    """The custodian, the receiver by its origin, its recipient, and the way to them."""

    custodian: CustodianParty
    receiver: str
    recipient: RecipientParty
    issuer: MemorySigner
    fetcher: Fetcher


class Took(NamedTuple):
    """Seconds from when the withdrawal was due: until it was sent, stopped, and proved."""

    sent: float
    stopped: float
    proved: dict[Level, float]


def operations(*, quick: bool) -> Iterator[Operation]:
    """Give the wait for the stop notice, and for each level of proof."""
    count = _QUICK_COUNT if quick else _COUNT
    with (
        tempfile.TemporaryDirectory(dir=DISK) as name,
        postgres() as database,
        _street(Path(name), database) as street,
    ):
        took = _withdrawn(street, count)
    waits = [("withdrawn until stopped", [each.stopped for each in took], _STOP_WITHIN_S)]
    for level in (Level.E2, Level.E3):
        proved = [each.proved[level] for each in took]
        waits.append((f"withdrawn until proved at {level.name}", proved, _PROVED_WITHIN_S))
    for told, times, promise in waits:
        for percent in _PERCENTS:
            other = Other(name="the promise", sampler=fixed(promise), floor=1.0)
            yield Operation(
                name=f"{told}, p{percent}",
                ours=fixed(_at(percent, times)),
                others=[other] if percent == _JUDGED else [],
                at_most=True,
            )
    late = _at(_JUDGED, [each.sent for each in took])
    yield Operation(name=f"sent after its time, p{_JUDGED}", ours=fixed(late), others=[])


def _at(percent: int, times: Sequence[float]) -> float:
    return sorted(times)[ceil(len(times) * percent / 100) - 1]


def _withdrawn(street: Street, count: int) -> list[Took]:
    """Make the grants, then withdraw each when it is due."""
    with ThreadPoolExecutor(_AT_ONCE) as wallets:
        given = list(wallets.map(_given, [street] * count))
    starts_at = time.perf_counter() + _EVERY_S
    with ThreadPoolExecutor(count) as wallets:
        # Every wallet waits for its own moment: none waits for another's answer.
        dues = [starts_at + number * _EVERY_S for number in range(count)]
        return list(wallets.map(_ended, [street] * count, given, dues))


def _given(street: Street) -> Given:
    """Be a receiver's staff that asks, and a customer who grants what is asked."""
    body = compact_json({**_ASKED, "recipients": [street.recipient.to_json()]})
    headers = {"Authorization": f"Bearer {_KEY}"}
    opened = answer_of(
        street.fetcher.post(
            f"{street.receiver}/consent/requests", body, media_type=JSON_MEDIA_TYPE, headers=headers
        ),
        "receiver",
    )
    link = parse_request_link(text_at(opened, "link", "receiver"))
    signed = street.fetcher.get(link.request_uri, accept=REQUEST_MEDIA_TYPE).body.decode("ascii")
    now, signer, holder = datetime.now(UTC), MemorySigner.generate(), MemorySigner.generate()
    asked = read_consent_request(
        signed,
        client_id=link.client_id,
        custodians={street.custodian.origin: street.custodian.did},
        notices=FetchedNotices(street.fetcher),
        now=now,
    )
    decided = asked.decide(
        asked.terms.claim_names, holder=did_jwk(signer.public), random=secrets.token_bytes
    )
    held = issue_credential(
        _FACTS,
        vct=_VCT,
        issuer=_BRAND,
        signer=street.issuer,
        holder=holder.public,
        issued_at=now,
        expires_at=now + timedelta(days=365),
        status=None,
        concealed=[(name,) for name in _FACTS],
        random=secrets.token_bytes,
    )

    def present(ask: PresentationAsk) -> str:
        shown = bind_key(
            disclose(held, ask.paths),
            signer=holder,
            audience=ask.audience,
            nonce=ask.nonce,
            now=now,
            transaction_data_hashes=ask.transaction_data_hashes,
        )
        return str(shown)

    key = fetch_custodian_key(decided, signer=signer, fetcher=street.fetcher, now=now)
    package = grant(
        decided,
        signer=signer,
        present=present,
        custodian_key=key,
        now=now,
        random=secrets.token_bytes,
    )
    active = deliver(package, fetcher=street.fetcher)
    url = f"{street.receiver}/hand-over/{active.agreement.grant_id}"
    answer_of(street.fetcher.post(url, b"{}", media_type=JSON_MEDIA_TYPE), "receiver")
    return Given(active, signer)


def _ended(street: Street, given: Given, due: float) -> Took:
    """Withdraw when it is due, and look until it is proved."""
    time.sleep(max(0.0, due - time.perf_counter()))
    sent = time.perf_counter() - due
    withdrawal = withdraw(
        given.active, signer=given.signer, now=datetime.now(UTC), random=secrets.token_bytes
    )
    ending = send_withdrawal(withdrawal, fetcher=street.fetcher)
    stopped = time.perf_counter() - due
    if ending.stopped_at is None or ending.key_destroyed_at is None:
        text = "expected both parties' answers, found one missing"
        raise RuntimeError(text)
    return Took(sent, stopped, _proved(street, withdrawal, due))


def _proved(street: Street, withdrawal: Withdrawal, due: float) -> dict[Level, float]:
    agreement = withdrawal.withdrawn.agreement
    took: dict[Level, float] = {}
    while Level.E3 not in took:
        now = datetime.now(UTC)
        try:
            proof = fetch_erasure_receipt(agreement, fetcher=street.fetcher, now=now)
        except Refused as not_yet:
            if not_yet.codes != ["not-erased"]:
                raise
        else:
            for level in (Level.E2, Level.E3):
                if proof.erased.level >= level:
                    took.setdefault(level, time.perf_counter() - due)
        if (waited := time.perf_counter() - due) > _PROVED_WITHIN_S:
            # What has not come took longer than the promise, never just as long.
            return {level: took.get(level, waited) for level in (Level.E2, Level.E3)}
        time.sleep(_LOOK_EVERY_S)
    return took


@contextmanager
def _street(folder: Path, database: str) -> Generator[Street, None, None]:
    house, issuer = folder / "velo", MemorySigner.generate()
    house.mkdir(mode=0o700)
    receiver = did_jwk(load_or_create_signer(house / SIGNING_KEY).public)
    ours, kept = [sys.executable, "-m", "counterfoil_credentials.cli", "consent"], folder / "kept"
    subprocess.run([*ours, "init", str(kept)], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    with started([*ours, "serve", str(kept)], log=folder / "custodian.log") as said:
        custodian = said.readline().split()[1]
        key = compact_json(issuer.public.jwk()).decode()
        with _running(folder, "recipient", str(folder / "courier"), receiver, key) as courier:
            address, did = courier
            end = f"{address}/consent/grants/{{grant_id}}/end"
            recipient = RecipientParty(did=Did(did), name="Courier", endpoint=end)
            rest = (database, custodian, address, did)
            with _running(folder, "receiver", str(house), *rest) as (velo, _):
                fetcher = _fetcher(custodian, velo)
                party = fetch_custodian(fetcher, custodian)
                yield Street(party, velo, recipient, issuer, fetcher)


@contextmanager
def _running(folder: Path, role: str, *arguments: str) -> Generator[tuple[str, str], None, None]:
    command = [sys.executable, "-m", "bench.consent", role, *arguments]
    with started(command, log=folder / f"{role}.log") as said:
        address, did = said.readline().split()
        yield address, did


def _fetcher(*origins: str) -> GuardedFetcher:
    return GuardedFetcher(loopback_routes_unsafely={origin: origin for origin in origins})


def _receiver(origin: str, folder: str, database: str, *others: str) -> tuple[FastAPI, Did]:
    """Give the receiver, which hands what it reads to the recipient when it is told to."""
    custodian, courier, did = others
    routes = {custodian: custodian, courier: courier, _BRAND: courier}
    fetcher = GuardedFetcher(loopback_routes_unsafely=routes)
    receiver = open_receiver(
        Path(folder),
        origin=origin,
        name="Velo",
        custodian=custodian,
        issuers={_VCT: [_BRAND]},
        database=database,
        fetcher=fetcher,
    )
    app = receiver_app(receiver, _KEY)

    @app.post("/hand-over/{grant_id}")
    def hand_over(grant_id: str) -> JSONResponse:
        with receiver.read(grant_id, Purpose.CUSTOMER_CARE) as facts:
            asked = fetcher.get(f"{courier}/keys/{grant_id}", accept=JSON_MEDIA_TYPE)
            key = SealingKey.from_jwk(answer_of(asked, "recipient"), "recipient")
            over = receiver.hand_over(facts, Did(did), key, sorted(facts.names, key=str))
        body = compact_json({"token": over.token, "sealed": b64url(over.sealed)})
        url = f"{courier}/handovers"
        told = answer_of(fetcher.post(url, body, media_type=JSON_MEDIA_TYPE), "recipient")
        return JSONResponse(told)

    return app, receiver.party.did


def _recipient(folder: str, receiver: str, issuer_key: str) -> tuple[FastAPI, Did]:
    """Give the recipient, which also says which key the brand signs with."""
    recipient = Recipient(
        signer=MemorySigner.generate(),
        receivers=[Did(receiver)],
        store=MemoryRecipientStore(),
        keys=FileKeyFolder(Path(folder)),
        clock=lambda: datetime.now(UTC),
        random=secrets.token_bytes,
    )
    app = FastAPI()
    install_error_handlers(app)
    app.include_router(recipient_routes(recipient))

    @app.get("/.well-known/jwt-vc-issuer")
    def metadata() -> JSONResponse:
        keys = [parse_object(issuer_key, "key")]
        return JSONResponse({"issuer": _BRAND, "jwks": {"keys": keys}})

    @app.get("/keys/{grant_id}")
    def key(grant_id: str) -> JSONResponse:
        return JSONResponse(recipient.key(grant_id).jwk())

    @app.post("/handovers")
    def accept(body: dict[str, str]) -> JSONResponse:
        recipient.accept(body["token"], from_b64url(body["sealed"], "sealed"))
        return JSONResponse({})

    return app, recipient.did


def _serve(role: str, *arguments: str) -> None:
    """Be one of them, and say on the first line where it listens and who it is."""
    with serving.bind(None) as listener:
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app, did = _receiver(origin, *arguments) if role == "receiver" else _recipient(*arguments)
        sys.stdout.write(f"{origin} {did}\n")
        sys.stdout.flush()
        serving.serve(app, listener=listener, lifeline=None)


_ASKED: Final[JsonObject] = {
    "purpose": Purpose.CUSTOMER_CARE.value,
    "claims": [{"vct": _VCT, "path": [name], "retain_days": 30} for name in _FACTS],
    "notice": {"text": "We look after your headphones.", "language": "en"},
    "valid_for_s": 30 * 24 * 3600,
    "max_reads": 5,
    "jurisdiction": "EU",
    "operations": ["dpv:Use", "dpv:Share"],
}


if __name__ == "__main__":
    _serve(*sys.argv[1:])
