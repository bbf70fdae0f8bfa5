"""What a holder shows unasked: once at each till.

A code on a phone names the preset and its own time, and answers nobody's nonce. Whoever
photographs it could show it again while it is young: so its nonce is taken at the till,
once and for all processes, under the key of its holder. By the key too, because whoever
sees a code could write its nonce into one of his own and come first.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from counterfoil_credentials.encoding import text_at
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.keys import PublicKey
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.spec import KEY_BINDING_TYP

from counterfoil_verifier.store import OneTimeNames

_WHERE: Final = "kb_jwt"
# A proof counts through its last second, by the till's clock. That may be ahead for a
# while: a name that was forgotten then would be new again when the clock is put right.
_KEPT_LONGER: Final = timedelta(days=1, seconds=1)


@dataclass(frozen=True, slots=True)
class Till:
    """A till by its name in the shop, and the names that were taken there."""

    name: str
    names: OneTimeNames

    def take(self, nonce: str, holder: PublicKey, last_moment: datetime) -> None:
        """Take what `holder` shows under `nonce`; it counts until `last_moment`.

        Raises `Refused` with `already-shown`.
        """
        shown = sha256(f"{holder.thumbprint()} {nonce}".encode()).hexdigest()
        if not self.names.take(f"shown {self.name} {shown}", ends_at=last_moment + _KEPT_LONGER):
            raise Refused(
                Reason("already-shown", "a code that is new here", "one shown before", _WHERE)
            )


def shown_nonce(presentation: str) -> str:
    """Give the nonce that the holder chose, of which nothing is proved yet.

    Raises `Refused` with `key-binding-missing`, and `Malformed`.
    """
    key_binding = SdJwt.parse(presentation, "presentation").key_binding
    if key_binding is None:
        raise Refused(Reason("key-binding-missing", "a key binding", "none", _WHERE))
    unverified = read_jws(key_binding, typ=KEY_BINDING_TYP, where=_WHERE)
    nonce = text_at(unverified.unverified_claims, "nonce", _WHERE)
    if not nonce:
        raise Malformed("a nonce", "an empty one", f"{_WHERE}.nonce")
    return nonce
