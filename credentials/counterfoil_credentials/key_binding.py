"""Key binding: the holder signs what is shown, to whom, and for which request.

RFC 9901, sections 4.3 and 7.3. Whether a binding is demanded is the caller's
policy; this module never concludes anything from a binding's absence.
"""

from collections.abc import Collection, Sequence
from dataclasses import field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    b64url,
    int_at,
    numeric_date,
    optional_int_at,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Misuse, Reason, Refused
from counterfoil_credentials.jws import ES256_ONLY, read_jws, sign_jws
from counterfoil_credentials.keys import Algorithm, PublicKey, Signer
from counterfoil_credentials.records import record
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.spec import (
    KEY_BINDING_TYP,
    SD_HASH,
    SHA_256,
    TRANSACTION_DATA_HASHES,
    TRANSACTION_DATA_HASHES_ALG,
)

_WHERE: Final = "kb_jwt"
_SKEW_S: Final = 60


# One for each check of section 7.3 and of OpenID4VP 1.0, appendix B.3.3, in the order of
# `check_key_binding`.
_REASONS: Final = tuple(
    Reason(code, expected, "another", f"{_WHERE}.{name}")
    for code, expected, name in (
        ("audience-mismatch", "this audience", "aud"),
        ("nonce-mismatch", "this request's nonce", "nonce"),
        ("sd-hash-mismatch", "the hash of what is shown", SD_HASH),
        (
            "transaction-data-mismatch",
            "the hashes of this request's transaction data",
            TRANSACTION_DATA_HASHES,
        ),
        ("key-binding-too-old", "a younger key binding", "iat"),
        ("key-binding-too-old", "a key binding in its time", "exp"),
        ("key-binding-from-the-future", "a key binding that is not from the future", "iat"),
    )
)


@record()
class HolderProof:
    """A key binding that holds: when it was made, and which transactions it signs too."""

    issued_at: datetime
    transaction_data_hashes: tuple[str, ...] = field(repr=False)


def bind(
    sd_jwt: SdJwt,
    *,
    signer: Signer,
    audience: str,
    nonce: str,
    now: datetime,
    transaction_data_hashes: Sequence[str] = (),
) -> str:
    """Give the presentation as it travels: `sd_jwt` with a key binding by the holder's `signer`."""
    shown = sd_jwt.without_key_binding()
    claims: JsonObject = {
        "iat": numeric_date(now),
        "aud": audience,
        "nonce": nonce,
        SD_HASH: _sd_hash(shown),
    }
    if transaction_data_hashes:
        hashes: list[Json] = [*transaction_data_hashes]
        claims[TRANSACTION_DATA_HASHES] = hashes
        claims[TRANSACTION_DATA_HASHES_ALG] = SHA_256
    return shown + sign_jws(claims, typ=KEY_BINDING_TYP, signer=signer)


def check_key_binding(
    presentation: SdJwt,
    *,
    holder_key: PublicKey,
    audience: str,
    nonce: str,
    now: datetime,
    max_age: timedelta,
    transaction_data_hashes: Sequence[str] = (),
    allowing: Collection[str] = (),
    algorithms: frozenset[Algorithm] = ES256_ONLY,
) -> HolderProof:
    """Give the proof if the holder bound this presentation to this request (section 7.3).

    It signs all of `transaction_data_hashes`, and may sign each of `allowing` once: where
    one of several credentials signs a transaction, the caller counts them.

    The signature comes first; then every other mismatch is gathered. Codes:
    `key-binding-missing`, `key-binding-signature-invalid`, `audience-mismatch`,
    `nonce-mismatch`, `sd-hash-mismatch`, `transaction-data-mismatch`,
    `key-binding-too-old`, `key-binding-from-the-future`.
    """
    if not audience or not nonce:
        raise Misuse("expected an audience and a nonce to check against, found an empty one")
    if presentation.key_binding is None:
        raise _refused("key-binding-missing", "a key binding", "none", _WHERE)
    unverified = read_jws(presentation.key_binding, typ=KEY_BINDING_TYP, where=_WHERE)
    try:
        claims = unverified.verify(holder_key, algorithms)
    except Refused as cause:
        raise _refused(
            "key-binding-signature-invalid", "the holder's signature", "another", _WHERE
        ) from cause
    issued_at = int_at(claims, "iat", _WHERE)
    ends_at = optional_int_at(claims, "exp", _WHERE)
    begins_at = optional_int_at(claims, "nbf", _WHERE)
    hashes = _transaction_hashes(claims)
    demanded = [one for one in hashes if one not in allowing]
    seconds = numeric_date(now)
    oldest, latest = seconds - max_age.total_seconds(), seconds + _SKEW_S
    checks = (
        text_at(claims, "aud", _WHERE) == audience,
        text_at(claims, "nonce", _WHERE) == nonce,
        text_at(claims, SD_HASH, _WHERE) == _sd_hash(presentation.without_key_binding()),
        demanded == list(transaction_data_hashes) and len({*hashes}) == len(hashes),
        issued_at >= oldest,
        ends_at is None or ends_at + _SKEW_S > seconds,
        max(issued_at, begins_at or 0) <= latest,
    )
    if not all(checks):
        raise Refused(*(r for r, holds in zip(_REASONS, checks, strict=True) if not holds))
    return HolderProof(datetime.fromtimestamp(issued_at, UTC), tuple(hashes))


def transaction_data_hash(transaction_data: str) -> str:
    """Give the hash of one transaction_data element, over its text as received.

    OpenID4VP 1.0, appendix B.3.3.
    """
    return b64url(sha256(transaction_data.encode("ascii", "replace")).digest())


def _transaction_hashes(claims: JsonObject) -> list[str]:
    if TRANSACTION_DATA_HASHES not in claims:
        return []
    if claims.get(TRANSACTION_DATA_HASHES_ALG, SHA_256) != SHA_256:
        return [""]
    return texts_at(claims, TRANSACTION_DATA_HASHES, _WHERE)


def _sd_hash(shown: str) -> str:
    return b64url(sha256(shown.encode("ascii", "replace")).digest())


def _refused(code: str, expected: str, found: str, where: str) -> Refused:
    return Refused(Reason(code, expected, found, where))
