"""A withdrawal stops the receiver within 2 s (p95), and is proved at E2 within a minute.

Three real processes, and a PostgreSQL: this one drives the customers' wallets, `counterfoil
consent serve` is the custodian over its own folder, and a receiver keeps its rows in
PostgreSQL. Each grant is asked for, signed, sealed and delivered over HTTP before the clock
starts. A withdrawal is due every 200 ms, whatever became of those before it, and its time
counts from when it was due: until the wallet has the receiver's signed stop notice, and
until a receipt that it has verified reaches the level. The times have the wallet's own work in
them, the cryptography of both sides, and every commit to the disk.
"""

import secrets
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
    Level,
    PresentationAsk,
    Purpose,
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
from counterfoil_consent.receiver_folder import open_receiver
from counterfoil_credentials.answers import answer_of
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import JsonObject, compact_json, text_at
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.fetch import Fetcher, GuardedFetcher
from counterfoil_credentials.key_binding import bind as bind_key
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.request_links import parse_request_link
from counterfoil_credentials.sdjwt import disclose
from counterfoil_credentials.sdjwt_vc import issue_credential
from counterfoil_credentials.spec import JSON_MEDIA_TYPE, REQUEST_MEDIA_TYPE
from counterfoil_service import serving

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
    """The custodian and the receiver, by their origins, and the way to them."""

    custodian: CustodianParty
    receiver: str
    fetcher: Fetcher


class Took(NamedTuple):
    """Seconds from when the withdrawal was due: until it was sent, stopped, proved."""

    sent: float
    stopped: float
    proved: float


def operations(*, quick: bool) -> Iterator[Operation]:
    """Give the wait for the stop notice, and for the proof at E2."""
    count = _QUICK_COUNT if quick else _COUNT
    with (
        tempfile.TemporaryDirectory(dir=DISK) as name,
        postgres() as database,
        _street(Path(name), database) as street,
    ):
        took = _withdrawn(street, count)
    for told, times, promise in (
        ("withdrawn until stopped", [each.stopped for each in took], _STOP_WITHIN_S),
        ("withdrawn until proved at E2", [each.proved for each in took], _PROVED_WITHIN_S),
    ):
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
    body = compact_json(_ASKED)
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
        signer=_ISSUER,
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
    return Given(deliver(package, fetcher=street.fetcher), signer)


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


def _proved(street: Street, withdrawal: Withdrawal, due: float) -> float:
    agreement = withdrawal.withdrawn.agreement
    while (taken := time.perf_counter() - due) < _PROVED_WITHIN_S:
        now = datetime.now(UTC)
        try:
            proof = fetch_erasure_receipt(agreement, fetcher=street.fetcher, now=now)
        except Refused as not_yet:
            if not_yet.codes != ["not-erased"]:
                raise
        else:
            if proof.erased.level >= Level.E2:
                return time.perf_counter() - due
        time.sleep(_LOOK_EVERY_S)
    return taken


@contextmanager
def _street(folder: Path, database: str) -> Generator[Street, None, None]:
    custodian_command = [sys.executable, "-m", "counterfoil_credentials.cli", "consent", "serve"]
    custodian_command.append(str(folder / "custodian"))
    with started(custodian_command, log=folder / "custodian.log") as custodian:
        origin = custodian.readline().split()[1]
        command = [sys.executable, "-m", "bench.consent", str(folder / "velo"), database, origin]
        with started(command, log=folder / "receiver.log") as receiver:
            address = receiver.readline().strip()
            fetcher = GuardedFetcher(
                loopback_routes_unsafely={each: each for each in (origin, address)}
            )
            yield Street(fetch_custodian(fetcher, origin), address, fetcher)


def _serve(folder: Path, database: str, custodian: str) -> None:
    """Be the receiver, and say on the first line where it listens."""
    with serving.bind(None) as listener:
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        receiver = open_receiver(
            folder,
            origin=origin,
            name="Velo",
            custodian=custodian,
            issuers={_VCT: [_BRAND]},
            database=database,
            fetcher=GuardedFetcher(loopback_routes_unsafely={custodian: custodian}),
        )
        sys.stdout.write(f"{origin}\n")
        sys.stdout.flush()
        serving.serve(receiver_app(receiver, _KEY), listener=listener, lifeline=None)


_ISSUER: Final = MemorySigner.generate()
_ASKED: Final[JsonObject] = {
    "purpose": Purpose.CUSTOMER_CARE.value,
    "claims": [{"vct": _VCT, "path": [name], "retain_days": 30} for name in _FACTS],
    "notice": {"text": "We look after your headphones.", "language": "en"},
    "valid_for_s": 30 * 24 * 3600,
    "max_reads": 5,
    "jurisdiction": "EU",
}


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
