"""Whom the wallet is to one party: an identifier that it makes itself and shows nobody else.

A `did:jwk` is its own key, so no registry is asked, and none learns of it. Credentials
are bound to keys of their own; this one is for what lasts between the customer and one
party, such as signing in.
"""

from dataclasses import dataclass, field

from counterfoil_credentials.dids import Did, did_jwk
from counterfoil_credentials.keys import MemorySigner

from counterfoil_wallet.store import Kind, Record, Store
from counterfoil_wallet.wire import Random, fresh_signer


@dataclass(frozen=True, slots=True)
class Identifier:
    """The DID towards one party, and the key that proves it."""

    did: Did
    signer: MemorySigner = field(repr=False, compare=False)


def identifier_for(party: str, store: Store, random: Random) -> Identifier:
    """Give the identifier towards `party`, made and kept at the first call.

    Callers see to it that each party is asked for once at a time.
    """
    name = f"identifier {party}"
    record = store.get(Kind.SECRET, name)
    if record is None:
        record = Record(Kind.SECRET, name, "", fresh_signer(random).private_bytes())
        store.put(record)
    signer = MemorySigner.from_private_bytes(record.body)
    return Identifier(did_jwk(signer.public), signer)
