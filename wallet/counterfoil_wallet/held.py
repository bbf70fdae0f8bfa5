"""A card that the wallet holds, and its copies, each with the key that it is bound to.

A card is what the customer sees: one dataset of one issuer. A copy is one issued
SD-JWT of it (OpenID4VCI 1.0, section 3.3: one credential of a batch). Each was
verified when it came in (`receiving.py`); the file that keeps them is authenticated,
so they are parsed again when read, not verified again, and only when first used.
"""

from dataclasses import field
from datetime import datetime
from functools import cached_property
from typing import Final, NewType

from counterfoil_credentials.dcql import Authority
from counterfoil_credentials.encoding import JsonObject, int_at, object_at, text_at
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.records import record
from counterfoil_credentials.sdjwt import Disclosable, Revealed, SdJwt
from counterfoil_credentials.sdjwt_vc import (
    StatusReference,
    UnverifiedCredential,
    VerifiedCredential,
    read_credential,
)

from counterfoil_wallet.authorities import authorities_in
from counterfoil_wallet.card_keys import CardKey

CredentialId = NewType("CredentialId", str)
CopyId = NewType("CopyId", str)

_WHERE: Final = "held_credential"


# Records, for thousands are made of a list that nobody scrolls through; those are made by
# position, which costs half of what names do. Without slots: what is found out about one
# is kept beside its fields.
@record(slots=False)
class Copy:
    """One issued SD-JWT, whose `key` no other copy has; the key's thumbprint is its id.

    `key` is the private key itself, or, where `keeper` names an external key store,
    the reference that this store knows the key by.
    """

    copy_id: CopyId
    issued: str = field(repr=False)
    key: bytes = field(repr=False)
    expires_at: datetime | None
    keeper: str = ""

    @staticmethod
    def of(sd_jwt: SdJwt, verified: VerifiedCredential, *, key: CardKey) -> "Copy":
        """Give the copy of a verified credential."""
        return Copy(
            copy_id=CopyId(key.public.thumbprint()),
            issued=str(sd_jwt),
            key=key.key,
            expires_at=verified.expires_at,
            keeper=key.keeper,
        )

    @cached_property
    def sd_jwt(self) -> SdJwt:
        """Give the credential as issued, in its parts."""
        return SdJwt.parse(self.issued, _WHERE)

    @cached_property
    def authorities(self) -> frozenset[Authority]:
        """Give the authorities that the copy itself names; nobody has verified them."""
        return authorities_in(self.parsed.header)

    @cached_property
    def signer(self) -> MemorySigner:
        """Give the key that it is bound to; `Misuse` where another store keeps it."""
        if self.keeper:
            raise Misuse(f"expected a key in the wallet's file, found one kept by {self.keeper}")
        return MemorySigner.from_private_bytes(self.key)

    @cached_property
    def disclosable(self) -> Disclosable:
        """Give the credential with what each claim needs, to show parts of it."""
        return Disclosable(self.sd_jwt)

    @cached_property
    def parsed(self) -> UnverifiedCredential:
        """Give what it says; `Malformed` or `Refused` only where the file was damaged."""
        return read_credential(self.sd_jwt)

    @property
    def status(self) -> StatusReference | None:
        """Give where its status is listed: each copy has an entry of its own."""
        return _status_in(self.parsed.revealed.claims)


@record(slots=False)
class HeldCredential:
    """What `issuer` said about the holder, of type `vct`. Its id is known to this wallet only.

    `copy` is the one that the claims are read from; others say the same, with
    other keys, salts and status entries. `expires_at` and `status` are its own.
    `state` is what was last found out about the status, in the words of whoever
    wrote it; "" before.
    """

    credential_id: CredentialId
    issuer: str
    vct: str
    configuration_id: str
    accepted_at: datetime
    expires_at: datetime | None
    status: StatusReference | None
    copy: Copy
    state: str = ""
    trashed_at: datetime | None = None

    @property
    def claims(self) -> JsonObject:
        """Give everything that it says."""
        return self.revealed.claims

    @property
    def sd_jwt(self) -> SdJwt:
        """Give the credential as issued, in its parts."""
        return self.copy.sd_jwt

    @property
    def signer(self) -> MemorySigner:
        """Give the key of the one copy."""
        return self.copy.signer

    @property
    def revealed(self) -> Revealed:
        """Give the whole credential's claims, and where each disclosure stands among them."""
        return self.copy.parsed.revealed

    @property
    def disclosable(self) -> Disclosable:
        """Give the credential with what each claim needs, to show parts of it."""
        return self.copy.disclosable

    @staticmethod
    def of(
        sd_jwt: SdJwt,
        verified: VerifiedCredential,
        *,
        configuration_id: str,
        key: CardKey,
        at: datetime,
        credential_id: CredentialId | None = None,
    ) -> "HeldCredential":
        """Hold a verified credential: a new card, named after the key of its first copy.

        With `credential_id` it is the newest copy of the card that is held under it.
        """
        copy = Copy.of(sd_jwt, verified, key=key)
        return HeldCredential(
            credential_id=CredentialId(copy.copy_id) if credential_id is None else credential_id,
            issuer=verified.issuer,
            vct=verified.vct,
            configuration_id=configuration_id,
            accepted_at=at.replace(microsecond=0),
            expires_at=verified.expires_at,
            status=verified.status,
            copy=copy,
        )


def whole(credential: HeldCredential) -> HeldCredential:
    """Give the credential, read to its end; `Malformed` or `Refused` where it is damaged."""
    _ = credential.revealed
    if not credential.copy.keeper:
        _ = credential.copy.signer
    return credential


def _status_in(claims: JsonObject) -> StatusReference | None:
    # Token Status List, section 6.2; its shape was checked when the credential was verified.
    if "status" not in claims:
        return None
    where = f"{_WHERE}.status"
    listed = object_at(object_at(claims, "status", _WHERE), "status_list", where)
    where = f"{where}.status_list"
    return StatusReference(text_at(listed, "uri", where), int_at(listed, "idx", where))
