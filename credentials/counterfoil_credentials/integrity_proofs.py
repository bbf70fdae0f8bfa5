"""One proof of Data Integrity, as its maker asks for it and as it is read.

Data Integrity 1.0, section 2.1. A proof says nothing that is believed before
`data_integrity` has checked its signature.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from counterfoil_credentials.cryptosuites import ProofValue
from counterfoil_credentials.date_times import date_time_at, date_time_stamp
from counterfoil_credentials.did_documents import Relationship
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_list,
    as_object,
    as_text,
    optional_text_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.multikey import from_multibase
from counterfoil_credentials.records import record

PROOF_TYPE: Final = "DataIntegrityProof"
# Each proof costs a canonicalisation and a signature check; chains and sets are short.
MAX_PROOFS: Final = 8
PROOF: Final = "document.proof"
_VALUE: Final = "proofValue"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofOptions:
    """What a new proof says beside its signature.

    `previous` are the ids of proofs, already on the document, that this one signs too:
    a chain. `domains` and `challenge` bind it to who asked for it.
    """

    verification_method: str
    purpose: Relationship = Relationship.ASSERTION
    created: datetime | None = None
    expires: datetime | None = None
    domains: tuple[str, ...] = ()
    challenge: str | None = None
    nonce: str | None = None
    id: str | None = None
    previous: tuple[str, ...] = ()

    def json(self, cryptosuite: str) -> JsonObject:
        """Give the proof without its value."""
        members: dict[str, Json] = {
            "type": PROOF_TYPE,
            "id": self.id,
            "cryptosuite": cryptosuite,
            "created": None if self.created is None else date_time_stamp(self.created),
            "expires": None if self.expires is None else date_time_stamp(self.expires),
            "verificationMethod": self.verification_method,
            "proofPurpose": self.purpose.value,
            "domain": _one_or_many(self.domains),
            "challenge": self.challenge,
            "nonce": self.nonce,
            "previousProof": _one_or_many(self.previous),
        }
        return {name: value for name, value in members.items() if value is not None}


@record(kw_only=True)
class UnverifiedProof:
    """A proof that was read and not checked yet; `options` is all of it but its value."""

    where: str
    options: JsonObject = field(repr=False)
    value: ProofValue = field(repr=False)
    cryptosuite: str
    verification_method: str
    purpose: str
    created: datetime | None
    expires: datetime | None
    domains: frozenset[str]
    challenge: str | None
    id: str | None
    previous: tuple[str, ...]

    @staticmethod
    def parse(obj: JsonObject, where: str) -> "UnverifiedProof":
        """Read one proof.

        Raises `Malformed` for another type of proof, a required member that is missing
        or of another shape, and a value that is no multibase of base58btc or base64url.
        """
        found = text_at(obj, "type", where)
        if found != PROOF_TYPE:
            raise Malformed(PROOF_TYPE, "another type of proof", f"{where}.type")
        value, place = text_at(obj, _VALUE, where), f"{where}.{_VALUE}"
        return UnverifiedProof(
            where=where,
            options={name: member for name, member in obj.items() if name != _VALUE},
            value=ProofValue(value[:1], from_multibase(value, place), place),
            cryptosuite=text_at(obj, "cryptosuite", where),
            verification_method=text_at(obj, "verificationMethod", where),
            purpose=text_at(obj, "proofPurpose", where),
            created=date_time_at(obj, "created", where),
            expires=date_time_at(obj, "expires", where),
            domains=frozenset(_texts(obj, "domain", where)),
            challenge=optional_text_at(obj, "challenge", where),
            id=optional_text_at(obj, "id", where),
            previous=_texts(obj, "previousProof", where),
        )


def proofs_of(secured: Mapping[str, Json]) -> list[JsonObject]:
    """Give the proofs of a document in their order, as they stand there.

    Raises `Malformed` for none, for more than eight, and for an id that stands twice.
    """
    value = secured.get("proof", [])
    listed = value if isinstance(value, list) else [value]
    if not 0 < len(listed) <= MAX_PROOFS:
        raise Malformed(f"1 to {MAX_PROOFS} proofs", f"{len(listed)}", PROOF)
    proofs = [as_object(item, PROOF) for item in listed]
    ids = [proof["id"] for proof in proofs if "id" in proof]
    if len({as_text(name, f"{PROOF}.id") for name in ids}) != len(ids):
        raise Malformed("each id of a proof once", "one twice", f"{PROOF}.id")
    return proofs


def _texts(obj: JsonObject, name: str, where: str) -> tuple[str, ...]:
    if name not in obj:
        return ()
    value, place = obj[name], f"{where}.{name}"
    texts = (
        [as_text(item, place) for item in as_list(value, place)]
        if (isinstance(value, list))
        else [as_text(value, place)]
    )
    if not 0 < len(texts) <= MAX_PROOFS or len(set(texts)) != len(texts):
        raise Malformed(f"1 to {MAX_PROOFS} texts, each once", "other texts", place)
    return tuple(texts)


def _one_or_many(texts: tuple[str, ...]) -> Json:
    match texts:
        case ():
            return None
        case (text,):
            return text
        case _:
            return [*texts]
