"""Decentralised identifiers: `did:jwk`, the key that is its own name.

Source: the did:jwk method specification, and DID Core for the URL syntax.
"""

from typing import Final, NewType

from counterfoil_credentials.encoding import b64url, compact_json, from_b64url, parse_object
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.keys import PublicKey

Did = NewType("Did", str)

_METHOD: Final = "did:jwk:"
_MAX_BYTES: Final = 2_048


def did_jwk(key: PublicKey) -> Did:
    """Give the `did:jwk` of a public key."""
    return Did(_METHOD + b64url(compact_json(key.jwk())))


def key_id_of(did: Did) -> str:
    """Give the DID URL of a `did:jwk`'s one verification method."""
    return f"{did}#0"


def key_of_did_jwk(did: str, where: str) -> PublicKey:
    """Give the key that a `did:jwk`, or the DID URL of its one method, names.

    Raises `Malformed` for another method or a fragment other than `#0`.
    """
    if len(did) > _MAX_BYTES:
        raise Malformed(f"a DID of at most {_MAX_BYTES} bytes", f"{len(did)} bytes", where)
    if not did.startswith(_METHOD):
        raise Malformed("a did:jwk", "another identifier", where)
    encoded, separator, fragment = did.removeprefix(_METHOD).partition("#")
    if separator and fragment != "0":
        raise Malformed("the fragment 0", "another fragment", where)
    return PublicKey.from_jwk(parse_object(from_b64url(encoded, where), where), where)
