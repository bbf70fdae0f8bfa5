"""Several copies of one credential, so that two verifiers who compare find nothing in common.

Each copy has a key of ours of its own. What else would join them is the issuer's to vary, so
it is looked at before a batch is kept, beside the copies that are held: salts, digests,
signatures and places in status lists differ, and what is said does not. OpenID4VCI 1.0,
sections 8.3, 15.4.1 and 3.3.2.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_list,
    parse_each,
)
from counterfoil_credentials.errors import Reason
from counterfoil_credentials.sdjwt import unverified_payload

from counterfoil_wallet.held import Copy

WANTED_COPIES: Final = 10
"""How many verifiers a card can be shown to before two of them see the same copy."""
FEW_COPIES: Final = 3
"""With fewer fresh ones than this, more are asked for."""

_WHERE: Final = "credentials"
# What differs from copy to copy, or may: key, status, digests, and times that were not rounded.
_OF_A_COPY: Final = frozenset({"cnf", "status", "_sd", "iat", "nbf", "exp", "jti"})


def batch_reasons(batch: Sequence[Copy]) -> list[Reason]:
    """Give every reason why these verified copies are not all of one card.

    Codes: `copies-share-a-key`, `copies-share-a-salt`, `copies-share-a-digest`,
    `copies-share-a-signature`, `copies-share-a-status`, `copies-differ`.
    """
    keys = [copy.copy_id for copy in batch]
    places = [copy.status for copy in batch if copy.status is not None]
    signatures = [copy.sd_jwt.issuer_jwt.rpartition(".")[2] for copy in batch]
    opened = [_opened(copy) for copy in batch]
    salts = [salt for parts in opened for salt in {str(part[0]) for part in parts}]
    digests = [
        each
        for copy, parts in zip(batch, opened, strict=True)
        for each in set(_digests([unverified_payload(copy.sd_jwt), *parts]))
    ]
    first, *others = (_common(copy) for copy in batch)
    found = (
        ("copies-share-a-key", "a key for each copy", _differ(keys)),
        ("copies-share-a-salt", "salts for each copy", _differ(salts)),
        ("copies-share-a-digest", "digests for each copy", _differ(digests)),
        ("copies-share-a-signature", "a signature for each copy", _differ(signatures)),
        ("copies-share-a-status", "a place in a status list for each copy", _differ(places)),
        ("copies-differ", "one dataset", all(one == first for one in others)),
    )
    return [
        Reason(code, expected, "others", _WHERE) for code, expected, is_so in found if not is_so
    ]


def _differ(values: Sequence[object]) -> bool:
    return len(set(values)) == len(values)


def _opened(copy: Copy) -> list[list[Json]]:
    """Give the disclosures as lists of salt, perhaps name, and value."""
    return [as_list(each, _WHERE) for each in parse_each(copy.sd_jwt.disclosures, _WHERE)]


def _digests(value: Json) -> Iterable[str]:
    if isinstance(value, dict):
        for name, below in value.items():
            if name == "_sd" and isinstance(below, list):
                yield from (each for each in below if isinstance(each, str))
            elif name == "..." and isinstance(below, str):
                yield below
            else:
                yield from _digests(below)
    elif isinstance(value, list):
        for below in value:
            yield from _digests(below)


def _common(copy: Copy) -> JsonObject:
    claims = copy.parsed.revealed.claims
    return {name: value for name, value in claims.items() if name not in _OF_A_COPY}
