"""Judge a credential and its copies as they come in, before they are kept.

An issuer that answers with anything but the credential it announced, for the
keys that were proved, from itself, under its own published key, is refused. So is
a credential that no screen could list. One bad copy refuses them all (OpenID4VCI
1.0, section 11.1). How copies compare with each other stands in `batching.py`.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from counterfoil_credentials.claims import path_text
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.issuer_keys import fetch_issuer_keys, issuer_key_named
from counterfoil_credentials.keys import PublicKey
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import (
    UnverifiedCredential,
    VerifiedCredential,
    read_credential,
    time_reasons,
)

from counterfoil_wallet.leaves import leaves
from counterfoil_wallet.wire import MAX_IDENTIFIER, MAX_URL, bounded, or_unavailable, refuse

_WHERE: Final = "credential"
_MAX_CLAIMS: Final = 1_000


def keys_of(fetcher: Fetcher, issuer: str) -> Mapping[str, PublicKey]:
    """Give the keys that `issuer` publishes, by `kid`: had before it is asked for a credential.

    What comes cannot be judged without them, and an issuer may give it once.
    """
    return or_unavailable(lambda: fetch_issuer_keys(fetcher, issuer))


def receive_credentials(
    texts: Sequence[str],
    *,
    issuer: str,
    issuer_keys: Mapping[str, PublicKey],
    vct: str,
    holder_keys: Collection[PublicKey],
    now: datetime,
) -> list[tuple[SdJwt, VerifiedCredential]]:
    """Give the credentials in `texts`, verified: copies of one, each for another key.

    Checked: no key binding yet; each names `issuer`; the signature by one of
    `issuer_keys`; then type, holder key and time together.
    Codes: `key-binding-unexpected`, `issuer-mismatch`, `issuer-key-unknown`,
    `signature-invalid`, `type-mismatch`, `holder-key-mismatch`, `expired`, and
    those of `read_credential`. `Malformed` also for more than 1,000 claims, a claim
    whose path has more than 1,024 characters, and a status URL of more than 2,048.
    """
    received: list[tuple[SdJwt, VerifiedCredential]] = []
    for text in texts:
        sd_jwt = SdJwt.parse(text, _WHERE)
        if sd_jwt.key_binding is not None:
            raise refuse("key-binding-unexpected", "a credential alone", "a key binding", _WHERE)
        unverified = read_credential(sd_jwt)
        if unverified.unverified_issuer != issuer:
            raise refuse("issuer-mismatch", "the offer's issuer", "another", f"{_WHERE}.iss")
        verified = unverified.verify(_issuer_key(unverified, issuer_keys))
        _require_ours(verified, vct, holder_keys, now)
        received.append((sd_jwt, verified))
    return received


def _require_ours(
    verified: VerifiedCredential, vct: str, holder_keys: Collection[PublicKey], now: datetime
) -> None:
    reasons: list[Reason] = []
    if verified.vct != vct:
        reasons.append(
            Reason("type-mismatch", "the type that was offered", "another", f"{_WHERE}.vct")
        )
    if verified.holder_key not in holder_keys:
        found = "none" if verified.holder_key is None else "another"
        reasons.append(
            Reason("holder-key-mismatch", "a key that was proved", found, f"{_WHERE}.cnf")
        )
    reasons += [reason for reason in time_reasons(verified, now) if reason.code == "expired"]
    if reasons:
        raise Refused(*reasons)
    if verified.status is not None:
        bounded(verified.status.url, f"{_WHERE}.status", MAX_URL)
    _require_listable(verified.claims)


def _require_listable(claims: JsonObject) -> None:
    # Each claim is listed on a screen and in the history under its whole path.
    for count, (path, _) in enumerate(leaves(claims), start=1):
        if count > _MAX_CLAIMS:
            raise Malformed(f"at most {_MAX_CLAIMS} claims", "more", _WHERE)
        bounded(path_text(path), f"{_WHERE}: a claim's path", MAX_IDENTIFIER)


def _issuer_key(credential: UnverifiedCredential, keys: Mapping[str, PublicKey]) -> PublicKey:
    key = issuer_key_named(keys, credential.key_id)
    if key is None:
        found = "no key id" if credential.key_id is None else "another"
        raise refuse("issuer-key-unknown", "a key the issuer publishes", found, f"{_WHERE}.kid")
    return key
