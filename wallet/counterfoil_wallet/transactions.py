"""What a verifier wants signed besides the presentation (OpenID4VP 1.0, section 8.4).

An app registers the types that it can show. Whatever else is asked is refused, for what
the wallet does not understand it must not sign: an unknown type, a member that the type
does not have, one that is missing, a hash other than SHA-256, a query that is not there or
does without the holder's key. The signed hash is over the text as it came (appendix B.3.3).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from counterfoil_credentials.encoding import (
    JsonObject,
    from_b64url,
    parse_object,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.key_binding import transaction_data_hash
from counterfoil_credentials.requests import PresentationRequest
from counterfoil_credentials.spec import SHA_256

from counterfoil_wallet.printable import printable
from counterfoil_wallet.wire import refuse

_WHERE: Final = "request.transaction_data"
_ALGORITHMS: Final = "transaction_data_hashes_alg"
_COMMON: Final = frozenset({"type", "credential_ids", _ALGORITHMS})
_MAX_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionType:
    """A kind of transaction that the app understands.

    `required` and `optional` name its own members, beside those that OpenID4VP defines.
    `show` gives the lines for the screen, name and value, out of its content; it raises
    `Malformed` for a value that the type does not have.
    """

    name: str
    required: frozenset[str]
    optional: frozenset[str] = frozenset()
    show: Callable[[JsonObject], Sequence[tuple[str, str]]] = field(compare=False)


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction: its lines are what the customer agrees to, safe to show.

    It is signed with the key of one credential that answers one of `query_ids`.
    """

    type: str
    query_ids: tuple[str, ...]
    lines: tuple[tuple[str, str], ...] = field(repr=False)
    text: str = field(repr=False)

    @property
    def digest(self) -> str:
        """The hash that is signed, over the text as it came."""
        return transaction_data_hash(self.text)


def read_transactions(
    request: PresentationRequest, known: Mapping[str, TransactionType]
) -> tuple[Transaction, ...]:
    """Give the request's transactions, or refuse them all.

    `Refused` with `transaction-data-unknown` for a type that no one registered; else
    `Malformed`, in a place that begins with `request.transaction_data`.
    """
    return tuple(
        _read(text, request, known, f"{_WHERE}[{i}]")
        for i, text in enumerate(request.transaction_data)
    )


def _read(
    text: str, request: PresentationRequest, known: Mapping[str, TransactionType], where: str
) -> Transaction:
    content = parse_object(from_b64url(text, where), where, max_bytes=_MAX_BYTES)
    kind = known.get(text_at(content, "type", where))
    if kind is None:
        expected = "transaction data of a type that this wallet understands"
        raise refuse("transaction-data-unknown", expected, "another type", where)
    members = content.keys() - _COMMON
    if not kind.required <= members <= kind.required | kind.optional:
        raise Malformed("the members that its type has", "others", where)
    if _ALGORITHMS in content and SHA_256 not in texts_at(content, _ALGORITHMS, where):
        raise Malformed(SHA_256, "other algorithms", f"{where}.{_ALGORITHMS}")
    query_ids = texts_at(content, "credential_ids", where)
    bound = {query.id for query in request.query.credentials if query.requires_holder_binding}
    if not query_ids or not {*query_ids} <= bound:
        expected = "queries for credentials with their holder's key"
        raise Malformed(expected, "others", f"{where}.credential_ids")
    lines = tuple((printable(name), printable(value)) for name, value in kind.show(content))
    return Transaction(kind.name, tuple(query_ids), lines, text)
