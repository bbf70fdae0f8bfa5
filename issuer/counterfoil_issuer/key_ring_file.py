"""A key ring in one file that its owner alone can read, replaced whole at each change.

    keys = FileKeys(folder / "keys.json", clock=utc_now)
    keys.change(lambda ring: ring.rotated(now, ...))      # `rotate-keys`
    keys.ring()                                           # `serve` sees it at once

One file, because a rotation that was killed in the middle must leave the old ring
or the new one. A service looks at the file's time and size whenever it needs a
key, so it follows a rotation without a restart.
"""

import fcntl
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from counterfoil_credentials.encoding import (
    JsonObject,
    as_object,
    b64url,
    compact_json,
    from_b64url,
    int_at,
    list_at,
    object_at,
    optional_int_at,
    parse_object,
)
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_credentials.jose import DecryptionKey
from counterfoil_credentials.key_file import (
    load_or_create_private,
    load_or_create_signer,
    replace_private,
)
from counterfoil_credentials.keys import MemorySigner, PublicKey

from counterfoil_issuer.key_ring import KeyRing, ReadingKey, SigningKey
from counterfoil_issuer.records import Clock

_MAX_BYTES: Final = 262_144


class FileKeys:
    """The ring kept at `path`, made on first use; `former` is an older key file, taken over.

    Raises `Misuse` when others may read the file, `Malformed` when it is no ring.
    """

    def __init__(self, path: Path, *, clock: Clock, former: Path | None = None) -> None:
        self._path = path
        self._clock = clock
        self._former = former
        self._read: tuple[tuple[int, int, int], KeyRing] | None = None
        self.ring()

    def ring(self) -> KeyRing:
        """Give the ring as the file has it now."""
        try:
            mark = _mark(self._path)
            if self._read is not None and self._read[0] == mark:
                return self._read[1]
        except FileNotFoundError:
            mark = None
        ring = _parse(load_or_create_private(self._path, self._first), self._path.name)
        if self._former is not None:
            # It is in the ring, and a second copy of a private key helps nobody.
            self._former.unlink(missing_ok=True)
        # The mark was taken before the bytes: a change in between is seen the next time.
        self._read = (mark or _mark(self._path), ring)
        return ring

    def change(self, change: Callable[[KeyRing], KeyRing]) -> KeyRing:
        """Replace the ring by what `change` makes of it; others who change it wait."""
        with _alone(self._path):
            # A draft that a kill left behind holds private keys.
            for draft in self._path.parent.glob(f".{self._path.name}.*"):
                if draft.suffix != ".lock":
                    draft.unlink(missing_ok=True)
            ring = change(self.ring())
            replace_private(self._path, _written(ring))
        return ring

    def tidy(self) -> None:
        """Destroy the private halves that are over; call it now and then."""
        now = self._clock()
        ring = self.ring()
        if ring.tidied(now) != ring:
            self.change(lambda ring: ring.tidied(now))

    def _first(self) -> bytes:
        former = self._former
        signer = load_or_create_signer(former) if former is not None and former.exists() else None
        return _written(KeyRing.fresh(self._clock(), signer))


def _mark(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


@contextmanager
def _alone(path: Path) -> Generator[None, None, None]:
    # The lock lies beside the ring, whose own file is exchanged under it. It goes with
    # its process, however that ends.
    lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _written(ring: KeyRing) -> bytes:
    signing: list[JsonObject] = []
    for key in ring.signing:
        jwk = {**key.public.jwk(), "kid": key.key_id}
        if key.signer is not None:
            if not isinstance(key.signer, MemorySigner):
                raise Misuse("expected keys in memory for a key file, found one kept elsewhere")
            jwk["d"] = b64url(key.signer.private_bytes())
        times = _times("signs_from", key.signs_from, "signs_until", key.signs_until)
        signing.append({"jwk": jwk, **times})
    reading: list[JsonObject] = [
        {
            "jwk": {**one.key.jwk(), "d": b64url(one.key.private_bytes())},
            **_times("reads_from", one.reads_from, "reads_until", one.reads_until),
        }
        for one in ring.reading
    ]
    return compact_json({"signing": [*signing], "reading": [*reading]}) + b"\n"


def _parse(data: bytes, where: str) -> KeyRing:
    document = parse_object(data, where, max_bytes=_MAX_BYTES)
    signing = tuple(_signing_key(one, place) for one, place in _each(document, "signing", where))
    reading = tuple(_reading_key(one, place) for one, place in _each(document, "reading", where))
    if not any(key.signer for key in signing) or not reading:
        raise Malformed("a key that signs and one that reads", "none", where)
    return KeyRing(signing=signing, reading=reading)


def _each(
    document: JsonObject, name: str, where: str
) -> Generator[tuple[JsonObject, str], None, None]:
    for i, value in enumerate(list_at(document, name, where)):
        place = f"{where}.{name}[{i}]"
        yield as_object(value, place), place


def _signing_key(obj: JsonObject, where: str) -> SigningKey:
    jwk = object_at(obj, "jwk", where)
    signer = MemorySigner.from_jwk(jwk, where) if "d" in jwk else None
    return SigningKey(
        public=PublicKey.from_jwk(jwk, where) if signer is None else signer.public,
        signer=signer,
        signs_from=_instant(int_at(obj, "signs_from", where)),
        signs_until=_optional_instant(obj, "signs_until", where),
    )


def _reading_key(obj: JsonObject, where: str) -> ReadingKey:
    jwk = object_at(obj, "jwk", where)
    secret = from_b64url(str(jwk.get("d", "")), where)
    try:
        key = DecryptionKey.from_private_bytes(secret, str(jwk.get("kid", "")))
    except Misuse as cause:
        raise Malformed("a private key on P-256 with a name", "another", where) from cause
    return ReadingKey(
        key=key,
        reads_from=_instant(int_at(obj, "reads_from", where)),
        reads_until=_optional_instant(obj, "reads_until", where),
    )


def _times(begin: str, begins: datetime, end: str, ends: datetime | None) -> JsonObject:
    times: JsonObject = {begin: int(begins.timestamp())}
    return times if ends is None else {**times, end: int(ends.timestamp())}


def _optional_instant(obj: JsonObject, name: str, where: str) -> datetime | None:
    seconds = optional_int_at(obj, name, where)
    return None if seconds is None else _instant(seconds)


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
