"""Who takes part in a grant besides its holder, as the terms name them.

receiver    pii_controllers          asks, reads, answers for what it does
custodian   custodian                keeps the other share of the key (ours)
recipients  recipient_third_parties  get facts from the receiver, each named
authority   authority_party          hears complaints, and may end the grant
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from counterfoil_credentials.dids import Did, key_of_did_jwk
from counterfoil_credentials.encoding import Json, JsonObject, as_object, text_at
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.spec import DID_PREFIX

from counterfoil_consent.wire import GrantId, require_members, short_text_at

MAX_RECIPIENTS: Final = 20
_GRANT_ID: Final = "{grant_id}"
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverParty:
    """Who receives: the OpenID4VP client id (`decentralized_identifier:did:jwk:…`), and a name."""

    client_id: str
    name: str

    @property
    def did(self) -> Did:
        """The DID whose key signs the receiver's requests, receipts and lease requests."""
        return Did(self.client_id.removeprefix(DID_PREFIX))

    def to_json(self) -> JsonObject:
        """Give the party as it stands in terms."""
        return {"client_id": self.client_id, "name": self.name}

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "ReceiverParty":
        """Read the party."""
        require_members(obj, ("client_id", "name"), where)
        client_id = text_at(obj, "client_id", where)
        if not client_id.startswith(DID_PREFIX):
            raise Malformed(f"the prefix {DID_PREFIX}", "another", f"{where}.client_id")
        key_of_did_jwk(client_id.removeprefix(DID_PREFIX), f"{where}.client_id")
        return ReceiverParty(client_id=client_id, name=short_text_at(obj, "name", where))


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodianParty:
    """Who keeps the other share: the service's public origin and its DID."""

    origin: str
    did: Did

    def to_json(self) -> JsonObject:
        """Give the party as it stands in terms."""
        return {"origin": self.origin, "did": self.did}

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "CustodianParty":
        """Read the party."""
        require_members(obj, ("origin", "did"), where)
        origin = text_at(obj, "origin", where)
        if origin_of(origin, f"{where}.origin") != origin:
            raise Malformed("an origin without a path", "another text", f"{where}.origin")
        return CustodianParty(origin=origin, did=did_at(obj, "did", where))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientParty:
    """Whom the receiver may hand facts to. The end of the grant goes to `endpoint`."""

    did: Did
    name: str
    endpoint: str

    def end_url(self, grant_id: GrantId) -> str:
        """Give where the end of a grant is sent; the recipient's erasure receipt is the answer."""
        return url_for(self.endpoint, grant_id)

    def to_json(self) -> JsonObject:
        """Give the party as it stands in terms."""
        return {"did": self.did, "name": self.name, "endpoint": self.endpoint}

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "RecipientParty":
        """Read the party."""
        require_members(obj, ("did", "name", "endpoint"), where)
        return RecipientParty(
            did=did_at(obj, "did", where),
            name=short_text_at(obj, "name", where),
            endpoint=endpoint_at(obj, "endpoint", where),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityParty:
    """Who hears the customer's complaint (`dpv:Authority`), and may end the grant."""

    did: Did
    name: str

    def to_json(self) -> JsonObject:
        """Give the party as it stands in terms."""
        return {"did": self.did, "name": self.name}

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "AuthorityParty":
        """Read the party."""
        require_members(obj, ("did", "name"), where)
        return AuthorityParty(did=did_at(obj, "did", where), name=short_text_at(obj, "name", where))


def recipients_of(values: Sequence[Json], where: str) -> tuple[RecipientParty, ...]:
    """Read a list of recipients, each named once."""
    if not 1 <= len(values) <= MAX_RECIPIENTS:
        raise Malformed(f"1 to {MAX_RECIPIENTS} recipients", f"{len(values)}", where)
    places = [f"{where}[{i}]" for i in range(len(values))]
    recipients = tuple(
        RecipientParty.from_json(as_object(value, place), place)
        for value, place in zip(values, places, strict=True)
    )
    if len({recipient.did for recipient in recipients}) != len(recipients):
        raise Malformed("each recipient once", "one twice", where)
    return recipients


def did_at(obj: JsonObject, name: str, where: str) -> Did:
    """Give the did:jwk in a member."""
    did = text_at(obj, name, where)
    key_of_did_jwk(did, f"{where}.{name}")
    return Did(did)


def endpoint_at(obj: JsonObject, name: str, where: str) -> str:
    """Give the URL in a member, with `{grant_id}` once in its path."""
    url = short_text_at(obj, name, where)
    origin_of(url, f"{where}.{name}")
    if url.count(_GRANT_ID) != 1 or _GRANT_ID not in urlsplit(url).path:
        raise Malformed("a URL with {grant_id} once in its path", "another", f"{where}.{name}")
    return url


def url_for(endpoint: str, grant_id: GrantId) -> str:
    """Give the endpoint's URL for one grant."""
    return endpoint.replace(_GRANT_ID, grant_id)


def origin_of(url: str, where: str) -> str:
    """Give the origin of an https URL; http is for loopback addresses alone."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as cause:
        raise Malformed("a URL", "another text", where) from cause
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACK):
        raise Malformed("an https URL", "another text", where)
    if not host or parts.username is not None or parts.fragment:
        raise Malformed("a URL of host and path", "another text", where)
    return f"{parts.scheme}://{parts.netloc}"
