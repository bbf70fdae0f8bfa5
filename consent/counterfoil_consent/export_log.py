"""The customer's log as one encrypted file: the Transaction Log Object of EUDI TS10.

    file = seal_log(transactions_of(history), passphrase, random=random)
    read_log(file, passphrase)          each entry as a JSON object

A log says what was asked, granted and ended, with whom and when; of a claim it has the name
(DASH_03a of the EUDI ARF), never the value. The file is a compact JWE under a passphrase
(PBES2-HS256+A128KW, A128GCM: TS10 1.2, section 5; RFC 7518, sections 4.8 and 5.3), so that
another wallet reads it. What TS10 wants of a party and no request of ours states (registrar,
data protection authority's address) is left out.
"""

import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    b64url,
    compact_json,
    from_b64url,
    int_at,
    list_at,
    parse_json,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Misuse
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from counterfoil_consent.export import ConsentEvent, ConsentHistory, ConsentStatus
from counterfoil_consent.parties import ReceiverParty, origin_of
from counterfoil_consent.terms import ClaimName
from counterfoil_consent.wire import Random, refuse

MAX_LOG_BYTES: Final = 64 * 1024 * 1024
ITERATIONS: Final = 600_000
"""How often PBKDF2 hashes: OWASP's figure for HMAC-SHA-256."""

_MOST_ITERATIONS: Final = 2_000_000  # a file from elsewhere must not keep a phone busy for long
_FEWEST_ITERATIONS: Final = 1_000  # RFC 7518, section 4.8.1.2
_ALGORITHM: Final = "PBES2-HS256+A128KW"
_ENCRYPTION: Final = "A128GCM"
_MAX_HEADER_BYTES: Final = 4_096
_MOST_ENTRIES: Final = 1_000_000
_WHERE: Final = "log"


class TransactionType(StrEnum):
    """What an entry is about: a part of TS10's list (section 3.1)."""

    PRESENTATION = "Presentation"
    DATA_DELETION_REQUEST = "DataDeletionRequest"
    DPA_REPORT = "DPAReport"
    OTHER = "OtherTransaction"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One entry. `requested` and `presented` are names of claims; there is no place for values.

    `trouble` says why it was not completed; None means that it was. `description` is for
    `OTHER`, `contact` an address of the party.
    """

    transaction_id: str
    kind: TransactionType
    at: datetime
    party: ReceiverParty | None = None
    contact: str | None = None
    purpose: str | None = None
    notice: str | None = None
    authority: str | None = None
    requested: Collection[ClaimName] = field(default=())
    presented: Collection[ClaimName] = field(default=())
    description: str | None = None
    trouble: str | None = None

    def to_json(self) -> JsonObject:
        """Give the entry as TS10 spells it: the members of its type under the type's name."""
        name, body = self._body()
        return {
            "transactionIdentifier": self.transaction_id,
            "time": self.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "transactionType": self.kind.value,
            "transactionResult": "Completed" if self.trouble is None else "NotCompleted",
            name: body,
        }

    def _body(self) -> tuple[str, JsonObject]:
        match self.kind:
            case TransactionType.PRESENTATION:
                return "presentation", self._presentation()
            case TransactionType.DATA_DELETION_REQUEST:
                listed: JsonObject = {"listOfClaims": _claims(self.presented)}
                return "dataDeletionRequest", self._interacting() | listed
            case TransactionType.DPA_REPORT:
                return "dpaReport", {} if self.authority is None else {"dpaName": self.authority}
            case TransactionType.OTHER:
                return "otherTransaction", {"description": self.description or ""}

    def _presentation(self) -> JsonObject:
        body: JsonObject = {
            **self._interacting(),
            "interactingPartyType": "ServiceProvider",
            "isIntermediary": False,
            "listOfClaimsRequested": _claims(self.requested),
            "listOfClaimsPresented": _claims(self.presented),
        }
        if self.contact is not None:
            body["interactingPartyContact"] = [self.contact]
        if self.purpose is not None:
            body["purpose"] = [{"lang": "en", "content": self.purpose}]
        if self.notice is not None:
            policy = "http://data.europa.eu/eudi/policy/privacy-policy"
            body["privacyPolicy"] = {"type": policy, "policyURI": self.notice}
        if self.authority is not None:
            body["dpaName"] = self.authority
        if self.trouble is not None:
            body["reasonOfNoncompletion"] = self.trouble
        return body

    def _interacting(self) -> JsonObject:
        if self.party is None:
            return {}
        return {
            "interactingPartyIdentifier": {"type": "did", "identifier": self.party.did},
            "interactingPartyName": self.party.name,
        }


def transactions_of(history: ConsentHistory) -> list[Transaction]:
    """Give the entries of one grant, oldest first: one for each thing that happened to it."""
    entries = [_entry(history, i, event) for i, event in enumerate(history.events)]
    if history.erased is not None:
        erased = history.erased
        told = f"erasure proved at level {erased.level.name}"
        entries.append(
            Transaction(
                transaction_id=f"{history.grant_id}.erased",
                kind=TransactionType.OTHER,
                at=erased.erased_at,
                description=told,
            )
        )
    return entries


def seal_log(
    transactions: Sequence[Transaction],
    passphrase: str,
    *,
    random: Random,
    iterations: int = ITERATIONS,
) -> str:
    """Give the file: a compact JWE that `passphrase` opens (taken in NFC and UTF-8).

    Raises `Misuse` for an empty passphrase or fewer iterations than RFC 7518 allows.
    """
    entries = [transaction.to_json() for transaction in transactions]
    return seal_entries(entries, passphrase, random=random, iterations=iterations)


def seal_entries(
    entries: Sequence[JsonObject],
    passphrase: str,
    *,
    random: Random,
    iterations: int = ITERATIONS,
) -> str:
    """Give the file of entries that may have members of their own; see `seal_log`."""
    if not passphrase:
        raise Misuse("expected a passphrase, found none")
    if not _FEWEST_ITERATIONS <= iterations <= _MOST_ITERATIONS:
        expected = f"{_FEWEST_ITERATIONS} to {_MOST_ITERATIONS} iterations"
        raise Misuse(f"expected {expected}, found {iterations}")
    salt, key, nonce = random(16), random(16), random(12)
    header = b64url(
        compact_json(
            {
                "alg": _ALGORITHM,
                "enc": _ENCRYPTION,
                "p2s": b64url(salt),
                "p2c": iterations,
                "cty": "application/json",
            }
        )
    )
    wrapped = aes_key_wrap(_wrapping_key(passphrase, salt, iterations), key)
    content = compact_json([*entries])
    sealed = AESGCM(key).encrypt(nonce, content, header.encode("ascii"))
    return ".".join((header, *map(b64url, (wrapped, nonce, sealed[:-16], sealed[-16:]))))


def read_log(file: str, passphrase: str) -> list[JsonObject]:
    """Give the entries in a file of ours or of another wallet that follows TS10.

    Each has the four members of section 3.1, and whatever its writer added.
    Raises `Malformed` for other files, `Refused` with `algorithm-not-allowed`, or with
    `passphrase-wrong` also when the file was changed.
    """
    if len(file) > MAX_LOG_BYTES:
        raise Malformed(f"at most {MAX_LOG_BYTES} bytes", f"{len(file)} bytes", _WHERE)
    parts = file.strip().split(".")
    if len(parts) != 5:
        raise Malformed("a compact JWE of five parts", f"{len(parts)} parts", _WHERE)
    head, wrapped, nonce, content, tag = (from_b64url(part, _WHERE) for part in parts)
    salt, iterations = _recipe(parse_object(head, f"{_WHERE}.header", max_bytes=_MAX_HEADER_BYTES))
    if [len(part) for part in (wrapped, nonce, tag)] != [24, 12, 16]:
        raise Malformed("a wrapped key, a nonce and a tag of A128GCM", "other sizes", _WHERE)
    try:
        key = aes_key_unwrap(_wrapping_key(passphrase, salt, iterations), wrapped)
        plain = AESGCM(key).decrypt(nonce, content + tag, parts[0].encode("ascii"))
    except (InvalidUnwrap, InvalidTag):
        expected = "the passphrase of this log, unchanged"
        raise refuse("passphrase-wrong", expected, "another", "passphrase") from None
    return _entries(plain)


def _entry(history: ConsentHistory, place: int, event: ConsentEvent) -> Transaction:
    terms = history.terms
    name = f"{history.grant_id}.{place}"
    match event.status:
        case ConsentStatus.GIVEN | ConsentStatus.REFUSED:
            is_given = event.status is ConsentStatus.GIVEN
            return Transaction(
                transaction_id=name,
                kind=TransactionType.PRESENTATION,
                at=event.at,
                party=terms.receiver,
                contact=origin_of(terms.withdrawal_endpoint, "terms.withdrawal_method"),
                purpose=terms.purpose.value,
                notice=terms.notice.uri,
                authority=None if terms.authority is None else terms.authority.name,
                requested=terms.claim_names,
                presented=terms.claim_names if is_given else (),
                trouble=None if is_given else "refused by the holder",
            )
        case ConsentStatus.WITHDRAWN:
            return Transaction(
                transaction_id=name,
                kind=TransactionType.DATA_DELETION_REQUEST,
                at=event.at,
                party=terms.receiver,
                presented=terms.claim_names,
            )
        case _:
            told = f"{event.status.value} for {terms.purpose.value}"
            return Transaction(
                transaction_id=name, kind=TransactionType.OTHER, at=event.at, description=told
            )


def _claims(names: Collection[ClaimName]) -> list[Json]:
    """Give the claims by credential type (ClaimInfo, section 3.19.2)."""
    return [
        {
            "credentialIdentifier": vct,
            "claims": [str(name) for name in sorted(names, key=str) if name.vct == vct],
        }
        for vct in sorted({name.vct for name in names})
    ]


def _recipe(header: JsonObject) -> tuple[bytes, int]:
    where = f"{_WHERE}.header"
    for name, expected in (("alg", _ALGORITHM), ("enc", _ENCRYPTION)):
        if text_at(header, name, where) != expected:
            raise refuse("algorithm-not-allowed", expected, "another", f"{where}.{name}")
    if {"crit", "zip"} & header.keys():
        raise Malformed("neither an extension nor compression", "one", where)
    salt = from_b64url(text_at(header, "p2s", where), f"{where}.p2s")
    iterations = int_at(header, "p2c", where)
    if not 8 <= len(salt) <= 256:
        raise Malformed("a salt of 8 bytes or more", f"{len(salt)}", f"{where}.p2s")
    if not _FEWEST_ITERATIONS <= iterations <= _MOST_ITERATIONS:
        expected = f"{_FEWEST_ITERATIONS} to {_MOST_ITERATIONS} iterations"
        raise Malformed(expected, "another number", f"{where}.p2c")
    return salt, iterations


def _wrapping_key(passphrase: str, salt: bytes, iterations: int) -> bytes:
    # RFC 7518, section 4.8.1.1: the algorithm's name is a part of the salt.
    salted = _ALGORITHM.encode("ascii") + b"\x00" + salt
    derive = PBKDF2HMAC(algorithm=SHA256(), length=16, salt=salted, iterations=iterations)
    return derive.derive(unicodedata.normalize("NFC", passphrase).encode())


def _entries(plain: bytes) -> list[JsonObject]:
    log = parse_json(plain, _WHERE, max_bytes=MAX_LOG_BYTES)
    # The array alone (section 3.16), or named as in the example of section 4.1.
    named = log if isinstance(log, dict) else {"TransactionLog": log}
    listed = list_at(named, "TransactionLog", _WHERE)
    if len(listed) > _MOST_ENTRIES:
        raise Malformed(f"at most {_MOST_ENTRIES} entries", f"{len(listed)}", _WHERE)
    entries: list[JsonObject] = []
    for i, value in enumerate(listed):
        where = f"{_WHERE}[{i}]"
        entry = as_object(value, where)
        for name in ("transactionIdentifier", "time", "transactionType", "transactionResult"):
            text_at(entry, name, where)
        entries.append(entry)
    return entries
