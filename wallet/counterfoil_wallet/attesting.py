"""Who this wallet is to an issuer, and who vouches for it and for its keys: a name and two ports.

    client = Client("https://wallet.example", wallet_attester=maker, key_attester=keeper)

The wallet's maker vouches for one installed wallet, whoever keeps its keys says how well
they are kept. Both are services of others, so both are ports; `DevelopmentAttester` is their
twin in this process. The key that the maker vouches for is made anew for each acceptance: two
issuers that compare what they saw find the wallet's maker in common, and no wallet.

OpenID4VCI 1.0, appendices D.1 and E, and section 15.4.4.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from counterfoil_credentials.client_attestation import make_client_attestation
from counterfoil_credentials.key_attestation import make_key_attestation
from counterfoil_credentials.keys import PublicKey, Signer

from counterfoil_wallet.card_keys import KeyStore
from counterfoil_wallet.wire import Clock

_LASTS: Final = timedelta(minutes=10)


class WalletAttester(Protocol):
    """The wallet's maker."""

    def attest_wallet(self, key: PublicKey, *, client_id: str) -> str:
        """Give the attestation that this installed wallet holds `key`, for `client_id`.

        Raises `Unavailable` when the maker cannot be reached, `Refused` when it does not vouch.
        """
        ...


class KeyAttester(Protocol):
    """Whoever keeps the wallet's keys."""

    def attest_keys(
        self, keys: Sequence[PublicKey], *, nonce: str | None, levels: Collection[str]
    ) -> str:
        """Give the attestation of `keys`, which carries the issuer's `nonce`.

        `levels` are what the issuer asks for, such as `iso_18045_high`; whether they are
        reached is the keeper's to say. Raises as `attest_wallet` does.
        """
        ...


@dataclass(frozen=True, slots=True)
class Client:
    """The name by which authorization servers know this wallet, and who vouches for it.

    With `key_store` the keys of new cards are made and kept there (see `KeyStore`), and
    otherwise in the wallet's file. `key_attester` says how well they are kept.
    """

    client_id: str | None = None
    wallet_attester: WalletAttester | None = None
    key_attester: KeyAttester | None = None
    key_store: KeyStore | None = None


ANONYMOUS: Final = Client()


@dataclass(frozen=True, slots=True)
class DevelopmentAttester:
    """Vouches for every wallet and every key, with a key that no real issuer believes."""

    signer: Signer
    clock: Clock
    key_storage: tuple[str, ...] = ("iso_18045_basic",)

    def attest_wallet(self, key: PublicKey, *, client_id: str) -> str:
        """Give an attestation of ten minutes."""
        return make_client_attestation(
            self.signer, client_id=client_id, instance_key=key, now=self.clock(), lasts=_LASTS
        )

    def attest_keys(
        self, keys: Sequence[PublicKey], *, nonce: str | None, levels: Collection[str]
    ) -> str:
        """Give an attestation of ten minutes, with `key_storage` whatever was asked for."""
        return make_key_attestation(
            self.signer,
            keys=keys,
            now=self.clock(),
            lasts=_LASTS,
            nonce=nonce,
            key_storage=self.key_storage,
            user_authentication=self.key_storage,
        )
