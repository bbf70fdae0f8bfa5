"""Decentralised identifiers by themselves: their syntax, and those that are their own key.

Sources: DID Core 1.0, sections 3.1 and 3.2; the did:jwk and did:key methods. What
needs a document begins in `did_documents` and `did_resolution`.
"""

import re
from dataclasses import dataclass
from typing import Final, NewType

from counterfoil_credentials.bbs_keys import VerificationKey
from counterfoil_credentials.encoding import b64url, compact_json, from_b64url, parse_object
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.keys import PublicKey
from counterfoil_credentials.multikey import Multikey

Did = NewType("Did", str)

_JWK: Final = "did:jwk:"
_KEY: Final = "did:key:"
_MAX_DID: Final = 2_048
_MAX_URL: Final = 4_096

# DID Core, section 3.1: the last character is no colon.
_ID: Final = r"(?:[A-Za-z0-9._-]|%[0-9A-Fa-f]{2})"
_DID: Final = rf"did:[0-9a-z]+:(?:{_ID}|:)*{_ID}"
# RFC 3986, section 3.3.
_PCHAR: Final = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
_IS_DID: Final = re.compile(_DID)
_DID_URL: Final = re.compile(
    rf"(?P<did>{_DID})(?P<path>(?:/{_PCHAR}*)*)"
    rf"(?:\?(?P<query>(?:{_PCHAR}|[/?])*))?(?:#(?P<fragment>(?:{_PCHAR}|[/?])*))?"
)


@dataclass(frozen=True, slots=True)
class DidUrl:
    """A DID and what it may be followed by, percent-encoded as it arrived.

    Two DID URLs name the same thing when they are the same text: nothing is
    decoded before a comparison.
    """

    did: Did
    path: str = ""
    query: str | None = None
    fragment: str | None = None

    @staticmethod
    def parse(text: str, where: str) -> "DidUrl":
        """Read an absolute DID URL, or raise `Malformed`."""
        if len(text) > _MAX_URL:
            raise Malformed(f"a DID URL of at most {_MAX_URL} characters", f"{len(text)}", where)
        parts = _DID_URL.fullmatch(text)
        if parts is None:
            raise Malformed("a DID URL", "another text", where)
        did = parse_did(parts["did"], where)
        return DidUrl(did, parts["path"], parts["query"], parts["fragment"])

    @staticmethod
    def under(did: Did, reference: str, where: str) -> "DidUrl":
        """Read a DID URL that stands in the document of `did`, where `#key-1` is enough.

        DID Core, section 3.2.2. Other relative references are `Malformed`.
        """
        return DidUrl.parse(f"{did}{reference}" if reference[:1] == "#" else reference, where)

    def __str__(self) -> str:
        """Give the DID URL as it was read."""
        query = "" if self.query is None else f"?{self.query}"
        fragment = "" if self.fragment is None else f"#{self.fragment}"
        return f"{self.did}{self.path}{query}{fragment}"


def parse_did(text: str, where: str) -> Did:
    """Give `text` if it is a DID of any method, at most 2048 characters long."""
    if len(text) > _MAX_DID:
        raise Malformed(f"a DID of at most {_MAX_DID} bytes", f"{len(text)} bytes", where)
    if _IS_DID.fullmatch(text) is None:
        raise Malformed("a DID", "another text", where)
    return Did(text)


def method_of(did: Did) -> str:
    """Give the name of the method, such as `web`."""
    return did.split(":", 2)[1]


def did_jwk(key: PublicKey) -> Did:
    """Give the `did:jwk` of a public key."""
    return Did(_JWK + b64url(compact_json(key.jwk())))


def did_key(key: VerificationKey) -> Did:
    """Give the `did:key` of a public key."""
    return Did(f"{_KEY}{Multikey.of(key)}")


def key_id_of(did: Did) -> str:
    """Give the DID URL of the one verification method of a `did:jwk` or a `did:key`."""
    return f"{did}#{did.removeprefix(_KEY)}" if did.startswith(_KEY) else f"{did}#0"


def key_of(did: str, where: str) -> PublicKey:
    """Give the key that a `did:jwk` or a `did:key`, or the DID URL of its method, names.

    Raises `Malformed` for another method, another fragment and a broken key, and
    `Refused` with `key-type-unsupported` for a `did:key` of a kind that we do not use.
    """
    return key_of_did_key(did, where) if did.startswith(_KEY) else key_of_did_jwk(did, where)


def key_of_did_jwk(did: str, where: str) -> PublicKey:
    """Give the key that a `did:jwk`, or the DID URL of its one method, names.

    Raises `Malformed` for another method or a fragment other than `#0`.
    """
    encoded, fragment = _parts(did, _JWK, where)
    if fragment not in (None, "0"):
        raise Malformed("the fragment 0", "another fragment", where)
    return PublicKey.from_jwk(parse_object(from_b64url(encoded, where), where), where)


def key_of_did_key(did: str, where: str) -> PublicKey:
    """Give the key that a `did:key`, or the DID URL of its one method, names.

    Raises as `key_of` does.
    """
    encoded, fragment = _parts(did, _KEY, where)
    if fragment not in (None, encoded):
        raise Malformed("the key itself as fragment", "another fragment", where)
    return Multikey.parse(encoded, where).public_key(where)


def _parts(did: str, prefix: str, where: str) -> tuple[str, str | None]:
    if len(did) > _MAX_DID:
        raise Malformed(f"a DID of at most {_MAX_DID} bytes", f"{len(did)} bytes", where)
    if not did.startswith(prefix):
        raise Malformed(f"a {prefix.removesuffix(':')}", "another identifier", where)
    encoded, separator, fragment = did.removeprefix(prefix).partition("#")
    return encoded, fragment if separator else None
