"""A request whose credentials are not ready: the wallet asks again with its transaction id.

The id follows from the token, the dataset and the keys, so a request whose answer
was lost gets the same one. The keys were proved with the first request, so the token
may have ended since: whoever stole it gets a credential that he cannot show.

OpenID4VCI 1.0, sections 8.3 and 9.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from counterfoil_credentials.encoding import JsonObject, b64url, canonical_json
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.keys import PublicKey

from counterfoil_issuer.records import Dataset, Deferral, Session, secret_hash
from counterfoil_issuer.spec import TRANSACTION_ID, ErrorCode, refusal
from counterfoil_issuer.store import Held


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not yet: ask again under `transaction_id`, after `interval_s` seconds."""

    transaction_id: str = field(repr=False)
    interval_s: int


@dataclass(frozen=True, slots=True)
class Deferrals:
    """How long a request may wait, and how often a wallet should ask."""

    key: bytes = field(repr=False)
    lasts: timedelta
    interval: timedelta

    def defer(
        self,
        held: Held,
        session: Session,
        dataset: Dataset,
        keys: Sequence[PublicKey],
        now: datetime,
    ) -> Deferred:
        """Let a request wait; the same request again waits under the same id."""
        token_hash = session.token.token_hash
        thumbprints = sorted(key.thumbprint() for key in keys)
        asked = canonical_json([token_hash, dataset.dataset_id, *thumbprints])
        transaction_id = b64url(hmac.digest(self.key, b"transaction\x00" + asked, "sha256"))
        held.add_deferral(
            Deferral(
                transaction_hash=secret_hash(transaction_id),
                dataset_id=dataset.dataset_id,
                token_hash=token_hash,
                keys=tuple(key.jwk() for key in keys),
                expires_at=now + self.lasts,
            )
        )
        return self.again(transaction_id)

    def again(self, transaction_id: str) -> Deferred:
        """Tell the wallet to ask later."""
        return Deferred(transaction_id, int(self.interval.total_seconds()))

    def waiting(self, held: Held, session: Session, transaction_id: str, now: datetime) -> Deferral:
        """Give the request that waits under `transaction_id`, for this token.

        Raises `Refused` with `invalid_transaction_id`.
        """
        found = held.deferral(secret_hash(transaction_id))
        if (
            found is None
            or found.token_hash != session.token.token_hash
            or found.done_at is not None
            or now >= found.expires_at
        ):
            raise invalid_transaction_id("a transaction of this token that still waits")
        return found


def invalid_transaction_id(expected: str, found: str = "another text") -> Refused:
    """Give the refusal of a transaction id (section 9.3)."""
    return refusal(ErrorCode.INVALID_TRANSACTION_ID, expected, found, TRANSACTION_ID)


def keys_of(deferral: Deferral) -> list[PublicKey]:
    """Give the keys that were proved when the request began to wait."""
    return [PublicKey.from_jwk(jwk, "deferrals.keys") for jwk in deferral.keys]


def transaction_id_of(request: JsonObject) -> str:
    """Give the id that a Deferred Credential Request names (section 9.1)."""
    found = request.get(TRANSACTION_ID)
    if not isinstance(found, str):
        raise refusal(
            ErrorCode.INVALID_CREDENTIAL_REQUEST, "a text", "something else", TRANSACTION_ID
        )
    return found
