"""A key store over a PKCS#11 token: keys that are made in the token and never leave it.

    with Pkcs11Token(library, label="wallet", pin=pin, writing=True) as token:
        client = Client(key_store=Pkcs11Keys(token, "this phone's token", random=token_bytes))

Needs the extra `hsm`.
"""

from typing import Final

from counterfoil_credentials.keys import Signer
from counterfoil_credentials.pkcs11_signer import Pkcs11Token

from counterfoil_wallet.wire import Random

_ID_BYTES: Final = 16


class Pkcs11Keys:
    """Keeps the keys of cards in a token that was opened for writing; see `KeyStore`."""

    def __init__(self, token: Pkcs11Token, name: str, *, random: Random) -> None:
        """Keep keys in `token`; `name` tells it from every other for good."""
        self.name = name
        self._token = token
        self._random = random

    def make(self) -> bytes:
        """Make a key and give its id."""
        key_id = self._random(_ID_BYTES)
        self._token.make(key_id)
        return key_id

    def signer(self, reference: bytes) -> Signer:
        """Give what signs with the key of that id; `Misuse` where there is none."""
        return self._token.signer(key_id=reference)

    def destroy(self, reference: bytes) -> None:
        """Destroy the key of that id; one that is gone is destroyed."""
        self._token.destroy(reference)
