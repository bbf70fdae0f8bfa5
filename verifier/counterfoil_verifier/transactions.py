"""What a shop wants signed besides the presentation (OpenID4VP 1.0, section 8.4).

    element = transaction_data("com.example.handover", ["member"], {"parcel": "17"})

Each transaction is signed with the key of exactly one of the credentials that may sign
it: none is a transaction that nobody agreed to, two are one too many.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    b64url,
    compact_json,
    from_b64url,
    parse_object,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed, Misuse, Reason
from counterfoil_credentials.key_binding import transaction_data_hash
from counterfoil_credentials.requests import PresentationRequest
from counterfoil_credentials.spec import SHA_256

_WHERE: Final = "request.transaction_data"
_ALGORITHMS: Final = "transaction_data_hashes_alg"
_COMMON: Final = frozenset({"type", "credential_ids", _ALGORITHMS})


@dataclass(frozen=True, slots=True)
class Transaction:
    """One element of a request: a credential of one of `query_ids` signs `digest`."""

    query_ids: frozenset[str]
    digest: str
    where: str

    def reason_unless_signed(self, times: int) -> Reason | None:
        """Give the reason against an answer in which it is signed `times` times."""
        if times == 1:
            return None
        expected, found = "one credential that signs it", f"{times}" if times else "none"
        return Reason("transaction-data-mismatch", expected, found, self.where)


def transaction_data(
    kind: str, query_ids: Sequence[str], members: Mapping[str, Json] | None = None
) -> str:
    """Give one element of `transaction_data`, of the type `kind` with its own `members`.

    Raises `Misuse` without a query, and for a member that OpenID4VP defines.
    """
    members = {} if members is None else members
    if isinstance(query_ids, str) or not query_ids or not _COMMON.isdisjoint(members):
        raise Misuse(f"expected queries, and members besides {', '.join(sorted(_COMMON))}")
    content: JsonObject = {"type": kind, "credential_ids": [*query_ids], **members}
    return b64url(compact_json(content))


def transactions_of(request: PresentationRequest) -> tuple[Transaction, ...]:
    """Give the transactions of our own request.

    Raises `Misuse` for one that no wallet may sign: out of shape, twice the same, for a
    query that is not there or does without the holder's key (appendix B.3.3), or with
    another hash than SHA-256.
    """
    bound = {query.id for query in request.query.credentials if query.requires_holder_binding}
    if len({*request.transaction_data}) != len(request.transaction_data):
        raise Misuse(f"expected each transaction once, found one twice ({_WHERE})")
    return tuple(
        _read(text, bound, f"{_WHERE}[{i}]") for i, text in enumerate(request.transaction_data)
    )


def _read(text: str, bound: set[str], where: str) -> Transaction:
    try:
        content = parse_object(from_b64url(text, where), where)
        text_at(content, "type", where)
        query_ids = frozenset(texts_at(content, "credential_ids", where))
        algorithms = texts_at(content, _ALGORITHMS, where) if _ALGORITHMS in content else [SHA_256]
    except Malformed as cause:
        raise Misuse(f"expected a transaction, {cause}") from cause
    if not query_ids or not query_ids <= bound:
        expected = "queries for credentials with their holder's key"
        raise Misuse(f"expected {expected}, found others ({where}.credential_ids)")
    if SHA_256 not in algorithms:
        raise Misuse(f"expected {SHA_256}, found other algorithms ({where}.{_ALGORITHMS})")
    return Transaction(query_ids, transaction_data_hash(text), where)
