"""Judge a credential as it comes in, before it is kept.

An issuer that answers with anything but the credential it announced, for the
key that was proved, from itself, under its own published key, is refused.
"""

from datetime import datetime
from typing import Final

from counterfoil_credentials.errors import Reason, Refused
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.issuer_keys import fetch_issuer_keys
from counterfoil_credentials.keys import PublicKey
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import (
    UnverifiedCredential,
    VerifiedCredential,
    read_credential,
    time_reasons,
)

from counterfoil_wallet.wire import refuse

_WHERE: Final = "credential"


def receive_credential(
    text: str,
    *,
    issuer: str,
    vct: str,
    holder_key: PublicKey,
    fetcher: Fetcher,
    now: datetime,
) -> tuple[SdJwt, VerifiedCredential]:
    """Give the credential in `text`, verified.

    Checked: no key binding yet; it names `issuer`; the signature by one of the
    keys that the issuer publishes; then type, holder key and time together.
    Codes: `key-binding-unexpected`, `issuer-mismatch`, `issuer-key-unknown`,
    `signature-invalid`, `type-mismatch`, `holder-key-mismatch`, `expired`, and
    those of `read_credential`. `Unavailable` when the keys could not be had.
    """
    sd_jwt = SdJwt.parse(text, _WHERE)
    if sd_jwt.key_binding is not None:
        raise refuse("key-binding-unexpected", "a credential alone", "a key binding", _WHERE)
    unverified = read_credential(sd_jwt)
    # Before the keys are fetched: an issuer cannot make the wallet call another.
    if unverified.unverified_issuer != issuer:
        raise refuse("issuer-mismatch", "the offer's issuer", "another", f"{_WHERE}.iss")
    verified = unverified.verify(_issuer_key(unverified, fetcher))
    reasons: list[Reason] = []
    if verified.vct != vct:
        reasons.append(
            Reason("type-mismatch", "the type that was offered", "another", f"{_WHERE}.vct")
        )
    if verified.holder_key != holder_key:
        found = "none" if verified.holder_key is None else "another"
        reasons.append(
            Reason("holder-key-mismatch", "the key that was proved", found, f"{_WHERE}.cnf")
        )
    reasons += [reason for reason in time_reasons(verified, now) if reason.code == "expired"]
    if reasons:
        raise Refused(*reasons)
    return sd_jwt, verified


def _issuer_key(credential: UnverifiedCredential, fetcher: Fetcher) -> PublicKey:
    keys = fetch_issuer_keys(fetcher, credential.unverified_issuer)
    if credential.key_id is None:
        # Without a key id there is nothing to choose by: the one key, or none.
        if len(keys) == 1:
            return next(iter(keys.values()))
        raise refuse("issuer-key-unknown", "a key id", "none", f"{_WHERE}.kid")
    if credential.key_id not in keys:
        raise refuse("issuer-key-unknown", "a key the issuer publishes", "another", f"{_WHERE}.kid")
    return keys[credential.key_id]
