"""A credential that the wallet holds, with the key that it is bound to.

It was verified when it came in (`receiving.py`); the file that keeps it is
authenticated, so it is parsed again when read, not verified again. A record says
only what the credential does not, so it is not much longer than that.
"""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Final, NewType

from counterfoil_credentials.dcql import Authority
from counterfoil_credentials.encoding import (
    JsonObject,
    b64url,
    compact_json,
    from_b64url,
    int_at,
    object_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.sdjwt import MAX_SD_JWT_BYTES, Disclosable, Revealed, SdJwt
from counterfoil_credentials.sdjwt_vc import (
    StatusReference,
    VerifiedCredential,
    read_credential,
    time_at,
)

from counterfoil_wallet.authorities import authorities_in
from counterfoil_wallet.store import Kind, Record
from counterfoil_wallet.wire import required_time_at

CredentialId = NewType("CredentialId", str)

_WHERE: Final = "held_credential"
# Beside the credential: a key, a time and a configuration id, which receiving bounds.
_MAX_BODY_BYTES: Final = MAX_SD_JWT_BYTES + 16_384


# Without slots: what is found out about a credential once is kept beside its fields.
@dataclass(frozen=True, kw_only=True)
class HeldCredential:
    """What `issuer` said about the holder, of type `vct`. Its id is known to this wallet only."""

    credential_id: CredentialId
    issuer: str
    vct: str
    configuration_id: str
    claims: JsonObject = field(repr=False)
    accepted_at: datetime
    expires_at: datetime | None
    status: StatusReference | None
    sd_jwt: SdJwt = field(repr=False)
    signer: MemorySigner = field(repr=False, compare=False)

    @cached_property
    def revealed(self) -> Revealed:
        """Give the whole credential's claims, and where each disclosure stands among them."""
        return read_credential(self.sd_jwt).revealed

    @cached_property
    def authorities(self) -> frozenset[Authority]:
        """Give the authorities that the credential itself names; nobody has verified them."""
        return authorities_in(read_credential(self.sd_jwt).header)

    @cached_property
    def disclosable(self) -> Disclosable:
        """Give the credential with what each claim needs, to show parts of it."""
        return Disclosable(self.sd_jwt)

    @staticmethod
    def of(
        sd_jwt: SdJwt,
        verified: VerifiedCredential,
        *,
        configuration_id: str,
        signer: MemorySigner,
        at: datetime,
    ) -> "HeldCredential":
        """Hold a verified credential. One key holds one credential, so the key names it."""
        return HeldCredential(
            credential_id=CredentialId(signer.public.thumbprint()),
            issuer=verified.issuer,
            vct=verified.vct,
            configuration_id=configuration_id,
            claims=verified.claims,
            accepted_at=at.replace(microsecond=0),
            expires_at=verified.expires_at,
            status=verified.status,
            sd_jwt=sd_jwt,
            signer=signer,
        )

    def to_record(self) -> Record:
        """Give the record to store: the credential as issued, and its key."""
        body: JsonObject = {
            "sd_jwt": str(self.sd_jwt),
            "key": b64url(self.signer.private_bytes()),
            "configuration_id": self.configuration_id,
            "accepted_at": int(self.accepted_at.timestamp()),
        }
        return Record(Kind.CREDENTIAL, self.credential_id, self.vct, compact_json(body))

    @staticmethod
    def from_record(record: Record) -> "HeldCredential":
        """Read a stored credential."""
        body = parse_object(record.body, _WHERE, max_bytes=_MAX_BODY_BYTES)
        sd_jwt = SdJwt.parse(text_at(body, "sd_jwt", _WHERE), _WHERE)
        parsed = read_credential(sd_jwt)
        claims = parsed.revealed.claims
        return HeldCredential(
            credential_id=CredentialId(record.key),
            issuer=parsed.unverified_issuer,
            vct=parsed.unverified_vct,
            configuration_id=text_at(body, "configuration_id", _WHERE),
            claims=claims,
            accepted_at=required_time_at(body, "accepted_at", _WHERE),
            expires_at=time_at(claims, "exp", _WHERE),
            status=_status_in(claims),
            sd_jwt=sd_jwt,
            signer=MemorySigner.from_private_bytes(
                from_b64url(text_at(body, "key", _WHERE), f"{_WHERE}.key")
            ),
        )


def _status_in(claims: JsonObject) -> StatusReference | None:
    # Token Status List, section 6.2; its shape was checked when the credential was verified.
    if "status" not in claims:
        return None
    where = f"{_WHERE}.status"
    listed = object_at(object_at(claims, "status", _WHERE), "status_list", where)
    where = f"{where}.status_list"
    return StatusReference(text_at(listed, "uri", where), int_at(listed, "idx", where))
