"""Keys over the years: which one signs, which are published, and what a kill leaves."""

import signal
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_credentials.jose import decrypt_jwe, encrypt_jwe
from counterfoil_credentials.key_file import load_or_create_signer
from counterfoil_credentials.keys import MemorySigner
from counterfoil_issuer.key_ring import KEYS_ARE_CACHED, MAX_SIGNING_KEYS, READS_ON, KeyRing
from counterfoil_issuer.key_ring_file import FileKeys

from tests.conftest import NOON, Clock

DAY = timedelta(days=1)
YEAR = timedelta(days=365)
SECOND = timedelta(seconds=1)


def nothing_in_force(_issued_before: datetime) -> datetime | None:
    return None


def warranties_of_five_years(issued_before: datetime) -> datetime | None:
    return issued_before + 5 * YEAR


def rotated(ring: KeyRing, now: datetime) -> KeyRing:
    return ring.rotated(now, in_force_until=nothing_in_force)


def test_a_new_key_is_published_before_it_signs(now: datetime) -> None:
    before = KeyRing.fresh(now - YEAR)
    after = rotated(before, now)
    begins = now + KEYS_ARE_CACHED

    old, new = before.signing[0].public, after.signing[-1].public
    assert after.published == (new, old)
    assert after.signer(begins - SECOND).public == old
    assert after.signer(begins).public == new


def test_a_five_year_warranty_outlives_yearly_rotation(now: datetime) -> None:
    ring = KeyRing.fresh(now)
    first = ring.published[0]
    for year in range(1, 6):
        ring = ring.rotated(now + year * YEAR, in_force_until=warranties_of_five_years)
        assert first in ring.published

    # Issued on the first key's last day, a warranty ends five years after that day.
    late = now + 6 * YEAR + DAY
    assert first in ring.published
    assert first not in ring.rotated(late, in_force_until=warranties_of_five_years).published


def test_a_key_whose_last_credential_ends_a_second_later_stays(now: datetime) -> None:
    ring = rotated(KeyRing.fresh(now), now + DAY)
    first = ring.published[-1]
    later = now + YEAR

    ending = ring.rotated(later, in_force_until=lambda _: later)
    lasting = ring.rotated(later, in_force_until=lambda _: later + SECOND)

    assert first not in ending.published
    assert first in lasting.published


def test_a_retired_key_loses_its_private_half_and_keeps_its_name(now: datetime) -> None:
    ring = rotated(KeyRing.fresh(now), now + DAY)
    retired = ring.signing[0]
    over = now + DAY + KEYS_ARE_CACHED + timedelta(minutes=1)

    assert retired.signer is not None
    assert ring.tidied(over - SECOND).signing[0].signer is not None
    tidied = ring.tidied(over)
    assert tidied.signing[0].signer is None
    assert tidied.signing[0].key_id == retired.key_id
    assert tidied.signer(over) is ring.signer(over)


def test_a_second_rotation_waits_until_the_first_is_done(now: datetime) -> None:
    ring = rotated(KeyRing.fresh(now - YEAR), now)

    with pytest.raises(Refused) as refusal:
        rotated(ring, now + KEYS_ARE_CACHED - SECOND)

    assert refusal.value.codes == ["rotation-under-way"]
    assert len(rotated(ring, now + KEYS_ARE_CACHED).published) == 3


def test_a_rotation_in_haste_lets_the_key_that_waits_sign_at_once(now: datetime) -> None:
    ring = rotated(KeyRing.fresh(now - YEAR), now)
    soon = now + SECOND

    hasty = ring.rotated(soon, in_force_until=warranties_of_five_years, lead=timedelta(0))

    assert hasty.published == ring.published
    assert ring.signer(soon).public == ring.published[1]
    assert hasty.signer(soon).public == ring.published[0]
    assert hasty.signing[0].signs_until == hasty.signing[1].signs_from == soon


def test_no_more_keys_are_published_than_verifiers_read(now: datetime) -> None:
    ring = KeyRing.fresh(now)
    for day in range(1, MAX_SIGNING_KEYS):
        ring = ring.rotated(now + day * DAY, in_force_until=warranties_of_five_years)

    assert len(ring.published) == MAX_SIGNING_KEYS
    with pytest.raises(Refused) as refusal:
        ring.rotated(now + YEAR, in_force_until=warranties_of_five_years)
    assert refusal.value.codes == ["too-many-keys"]


def test_a_request_to_the_key_before_is_read_for_a_day(now: datetime) -> None:
    before = KeyRing.fresh(now - YEAR)
    after = rotated(before, now)
    sealed = encrypt_jwe(b"{}", key=before.announced.public)

    assert after.announced.key_id != before.announced.key_id
    last_moment = after.decryption_keys(now + READS_ON - SECOND)
    assert decrypt_jwe(sealed, keys=last_moment, where="request") == b"{}"
    with pytest.raises(Refused) as refusal:
        decrypt_jwe(sealed, keys=after.decryption_keys(now + READS_ON), where="request")
    assert refusal.value.codes == ["unknown-key"]


def test_a_key_that_somebody_else_has_is_published_no_more(now: datetime) -> None:
    ring = rotated(KeyRing.fresh(now - YEAR), now)
    stolen, waiting = ring.signing

    after = ring.withdrawn(stolen.key_id, now)

    assert after.published == (waiting.public,)
    assert after.signer(now).public == waiting.public
    alone = after.withdrawn(waiting.key_id, now)
    assert alone.signer(now).public not in (stolen.public, waiting.public)
    with pytest.raises(Refused) as refusal:
        alone.withdrawn(stolen.key_id, now)
    assert refusal.value.codes == ["key-unknown"]


def test_a_clock_that_was_set_back_still_finds_a_key(now: datetime) -> None:
    ring = rotated(KeyRing.fresh(now), now + DAY)

    assert ring.signer(now - YEAR).public == ring.signing[0].public


def test_the_file_is_its_owners_alone_and_gives_the_same_ring_again(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "keys.json"
    first = FileKeys(path, clock=clock)
    first.change(lambda ring: rotated(ring, clock()))
    later = clock.advance(KEYS_ARE_CACHED)
    again = FileKeys(path, clock=clock).ring()

    assert path.stat().st_mode & 0o777 == 0o600
    assert again.published == first.ring().published
    assert again.signer(later).public == first.ring().signer(later).public
    sealed = encrypt_jwe(b"{}", key=first.ring().announced.public)
    assert decrypt_jwe(sealed, keys=again.decryption_keys(later), where="request") == b"{}"


def test_a_rotation_is_followed_without_a_restart(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "keys.json"
    serving = FileKeys(path, clock=clock)
    before = serving.ring()

    assert serving.ring() is before
    FileKeys(path, clock=clock).change(lambda ring: rotated(ring, clock()))
    assert len(serving.ring().published) == 2


def test_the_key_file_of_an_earlier_version_becomes_the_first_key(
    tmp_path: Path, clock: Clock
) -> None:
    former = tmp_path / "signing-key.pem"
    signer = load_or_create_signer(former)

    ring = FileKeys(tmp_path / "keys.json", clock=clock, former=former).ring()

    assert ring.published == (signer.public,)
    assert not former.exists()
    again = FileKeys(tmp_path / "keys.json", clock=clock, former=former).ring()
    assert again.published == ring.published


def test_tidying_destroys_private_halves_on_disk(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "keys.json"
    keys = FileKeys(path, clock=clock)
    keys.change(lambda ring: rotated(ring, clock()))
    keys.tidy()
    assert path.read_text().count('"d":') == 4
    clock.advance(YEAR)
    keys.tidy()

    # What is left: the one that signs, and the one that reads.
    assert path.read_text().count('"d":') == 2
    assert len(keys.ring().published) == 2


def test_a_ring_in_hardware_is_not_written_to_a_file(tmp_path: Path, clock: Clock) -> None:
    class Hardware:
        public = MemorySigner.generate().public

        def sign(self, message: bytes) -> bytes:
            raise AssertionError

    keys = FileKeys(tmp_path / "keys.json", clock=clock)
    before = (tmp_path / "keys.json").read_bytes()

    with pytest.raises(Misuse):
        keys.change(lambda _: KeyRing.fresh(clock(), Hardware()))
    assert (tmp_path / "keys.json").read_bytes() == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"signing":[],"reading":[]}',
        '{"signing":[{"jwk":{}}],"reading":[]}',
        '{"signing":7,"reading":[]}',
    ],
)
def test_a_file_that_is_no_ring_is_named(tmp_path: Path, clock: Clock, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    path.chmod(0o600)

    with pytest.raises(Malformed, match=r"keys\.json"):
        FileKeys(path, clock=clock)


def test_a_ring_that_others_may_read_is_refused(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "keys.json"
    FileKeys(path, clock=clock)
    path.chmod(0o640)

    with pytest.raises(Misuse, match="0600"):
        FileKeys(path, clock=clock)


def test_of_many_that_change_the_ring_at_once_none_is_lost(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "keys.json"
    first = FileKeys(path, clock=clock).ring().published

    def rotate() -> None:
        FileKeys(path, clock=clock).change(
            lambda ring: ring.rotated(
                clock(), in_force_until=warranties_of_five_years, lead=timedelta(0)
            )
        )

    threads = [threading.Thread(target=rotate) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    published = FileKeys(path, clock=clock).ring().published
    assert len(set(published)) == 9
    assert set(first) <= set(published)


ROTATE_FOR_EVER = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from counterfoil_issuer.key_ring_file import FileKeys

now = lambda: datetime.now(UTC)
keys = FileKeys(Path(sys.argv[1]), clock=now)
while True:
    ring = keys.change(lambda ring: ring.rotated(
        now() + timedelta(hours=2), in_force_until=lambda _: None, lead=timedelta(0)))
    print(ring.published[0].thumbprint(), flush=True)
"""


def test_a_kill_in_the_middle_of_a_rotation_leaves_a_whole_ring(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    for lines in range(1, 6):
        program = [sys.executable, "-c", ROTATE_FOR_EVER.replace("hours=2", f"days={lines * 400}")]
        with subprocess.Popen([*program, str(path)], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            told = [child.stdout.readline().strip() for _ in range(lines)]
            child.send_signal(signal.SIGKILL)
            told += [line.strip() for line in child.stdout if line.endswith("\n")]

        ring = FileKeys(path, clock=lambda: NOON).ring()
        # What was told was on disk; at most one rotation happened that nobody was told of.
        assert told[-1] in [key.thumbprint() for key in ring.published[:2]]
    FileKeys(path, clock=lambda: NOON).change(lambda ring: ring)
    assert {file.name for file in tmp_path.iterdir()} == {"keys.json", ".keys.json.lock"}
