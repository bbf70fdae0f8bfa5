"""The keys of an issuer over the years: which one signs now, and which are still published.

    ring = ring.rotated(now, lead=KEYS_ARE_CACHED, in_force_until=held.latest_end_before)
    ring.signer(now)          signs credentials, status lists and metadata
    ring.published            verify them: a warranty outlives many keys
    ring.decryption_keys(now) open requests, also those to the key before

Each key names its times, and they alone decide. A new key is published `lead`
before it signs, so that whoever keeps the issuer's keys for that long meets no
signature of a key that he does not know. A key that signs no more loses its
private half; its public half stays as long as anything that it may have signed
is in force.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from counterfoil_credentials.errors import Reason, Refused
from counterfoil_credentials.jose import DecryptionKey
from counterfoil_credentials.keys import MemorySigner, PublicKey, Signer

KEYS_ARE_CACHED: Final = timedelta(minutes=5)
"""How long others may keep what we publish: the `max-age` of our metadata."""

READS_ON: Final = timedelta(days=1)
"""How long a wallet may go on encrypting requests to the key before."""

MAX_SIGNING_KEYS: Final = 50
_ALWAYS: Final = datetime(1970, 1, 1, tzinfo=UTC)
# A request that began before the change may still be signing.
_GRACE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key that signs from `signs_from` until `signs_until`; None when no end is set.

    `signer` is None when the private half was destroyed.
    """

    public: PublicKey
    signer: Signer | None = field(repr=False)
    signs_from: datetime
    signs_until: datetime | None = None

    @property
    def key_id(self) -> str:
        """Give the name under which it is published, the same for ever."""
        return self.public.thumbprint()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingKey:
    """A key that opens requests until `reads_until`; None for the one that is announced."""

    key: DecryptionKey
    reads_from: datetime
    reads_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """All keys of an issuer, the newest last. There is always one that signs and one that reads."""

    signing: tuple[SigningKey, ...]
    reading: tuple[ReadingKey, ...]

    @staticmethod
    def fresh(now: datetime, signer: Signer | None = None) -> "KeyRing":
        """Give the ring of a new issuer; `signer`, when given, is its first key."""
        first = signer or MemorySigner.generate()
        return KeyRing(
            signing=(SigningKey(public=first.public, signer=first, signs_from=now),),
            reading=(_reading_key(now),),
        )

    def ring(self) -> "KeyRing":
        """Give itself: a ring that never changes is a source of keys too."""
        return self

    def signer(self, now: datetime) -> Signer:
        """Give the key that signs at `now`."""
        for key in reversed(self.signing):
            if key.signer is not None and key.signs_from <= now:
                return key.signer
        # A clock that was set back to before the first key finds that key.
        return next(key.signer for key in self.signing if key.signer is not None)

    @property
    def published(self) -> tuple[PublicKey, ...]:
        """The keys that verify what this issuer signed or is about to sign, the newest first."""
        return tuple(key.public for key in reversed(self.signing))

    @property
    def announced(self) -> DecryptionKey:
        """The key that wallets encrypt their requests to."""
        return self.reading[-1].key

    def decryption_keys(self, now: datetime) -> tuple[DecryptionKey, ...]:
        """Give the keys that open requests at `now`."""
        return tuple(
            one.key for one in self.reading if one.reads_until is None or now < one.reads_until
        )

    def rotated(
        self,
        now: datetime,
        *,
        in_force_until: Callable[[datetime], datetime | None],
        lead: timedelta = KEYS_ARE_CACHED,
        reads_on: timedelta = READS_ON,
    ) -> "KeyRing":
        """Give the ring with a new signing key, which signs after `lead`, and a new reading key.

        `in_force_until` tells when the last of the credentials issued before an
        instant ends; None when there is none. A key of which nothing is left goes.

        While the newest key does not sign yet, a rotation without a `lead` lets it sign
        at once and makes no other.

        Raises `Refused`: `rotation-under-way` while the newest key does not sign yet,
        with a `lead`; `too-many-keys` when more than fifty would have to stay published.
        """
        newest = self.signing[-1]
        if newest.signs_from > now:
            if not lead and len(self.signing) > 1:
                return self._hastened(now)
            raise _refused(
                "rotation-under-way",
                "a newest key that signs already",
                f"one that signs from {newest.signs_from.isoformat()}",
            )
        begins = now + lead
        kept = [key for key in self.signing[:-1] if not _is_spent(key, now, in_force_until)]
        if len(kept) + 2 > MAX_SIGNING_KEYS:
            expected = f"at most {MAX_SIGNING_KEYS} keys whose credentials are in force"
            raise _refused("too-many-keys", expected, f"{len(kept) + 2}")
        signer = MemorySigner.generate()
        fresh = SigningKey(public=signer.public, signer=signer, signs_from=begins)
        reading = replace(self.reading[-1], reads_until=now + reads_on)
        return KeyRing(
            signing=(*kept, replace(newest, signs_until=begins), fresh),
            reading=(*self.reading[:-1], reading, _reading_key(now)),
        ).tidied(now)

    def _hastened(self, now: datetime) -> "KeyRing":
        *before, current, waiting = self.signing
        ended, begun = replace(current, signs_until=now), replace(waiting, signs_from=now)
        return replace(self, signing=(*before, ended, begun))

    def withdrawn(self, key_id: str, now: datetime) -> "KeyRing":
        """Give the ring without a signing key that somebody else has.

        Nothing that it signed verifies from then on: whoever has the key can write
        any time into what he signs. When no other key signs, the next one does at once.

        Raises `Refused` with `key-unknown`.
        """
        kept = tuple(key for key in self.signing if key.key_id != key_id)
        if len(kept) == len(self.signing):
            raise _refused("key-unknown", "the kid of a published key", "another")
        if not any(key.signer and key.signs_from <= now for key in kept):
            # A key that waits is published already; without one, a fresh key signs unannounced.
            waiting = [key.signer for key in kept if key.signer and key.signs_from > now]
            signer = waiting[0] if waiting else MemorySigner.generate()
            kept = (
                *(key for key in kept if key.signs_from <= now),
                SigningKey(public=signer.public, signer=signer, signs_from=now),
            )
        return replace(self, signing=kept)

    def tidied(self, now: datetime) -> "KeyRing":
        """Give the ring without the private halves and the reading keys that are over."""
        signing = tuple(
            replace(key, signer=None) if _is_over(key.signs_until, now - _GRACE) else key
            for key in self.signing
        )
        reading = tuple(key for key in self.reading if not _is_over(key.reads_until, now))
        return KeyRing(signing=signing, reading=reading)


class Keys(Protocol):
    """Where the ring comes from, asked anew for each thing that is signed or opened."""

    def ring(self) -> KeyRing:
        """Give the ring as it is now."""
        ...


def keys_of(signer: Signer) -> Keys:
    """Give the keys of an issuer that has one signer and never rotates it."""
    return KeyRing.fresh(_ALWAYS, signer)


def _reading_key(now: datetime) -> ReadingKey:
    key = DecryptionKey.generate("request")
    named = DecryptionKey(key.private, key.public.point.thumbprint())
    return ReadingKey(key=named, reads_from=now)


def _is_over(until: datetime | None, now: datetime) -> bool:
    return until is not None and until <= now


def _is_spent(
    key: SigningKey, now: datetime, in_force_until: Callable[[datetime], datetime | None]
) -> bool:
    if key.signs_until is None or key.signs_until + _GRACE > now:
        return False
    last = in_force_until(key.signs_until + _GRACE)
    return last is None or last <= now


def _refused(code: str, expected: str, found: str) -> Refused:
    return Refused(Reason(code, expected, found, "keys"))
