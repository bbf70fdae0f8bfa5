"""Vouchers for redeemed points: issued once, and reckoned up when counters hand in theirs.

    credential = issue_voucher(redeemed.reference, use=Use.DISCOUNT, good_for="EUR 10 off", ...)
    reckoned = reckon(handed_in, brand=brand, brand_key=key)

Counters that are offline cannot ask each other, so a voucher may be taken twice. Each hands
in the presentation that its holder signed for it. Two that answer different questions
were given by the holder, or by whoever has the holder's key; two that answer the same
question are one, which the shop hands in again; two for different keys the brand issued.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from counterfoil_credentials.errors import CounterfoilError, Reason, Refused
from counterfoil_credentials.key_binding import check_key_binding
from counterfoil_credentials.keys import PublicKey, Signer
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import (
    StatusReference,
    issue_credential,
    read_credential,
)
from counterfoil_credentials.voucher import TakenVoucher, Voucher, voucher_in

from counterfoil_loyalty.programme_rules import Use

_PROOF_AGE: Final = timedelta(minutes=10)


class GivenTwiceBy(Enum):
    """Who let a voucher be handed in twice."""

    HOLDER = "holder"
    SHOP = "shop"
    BRAND = "brand"


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenTwice:
    """One voucher handed in more than once, oldest first.

    `holders` are the thumbprints of the keys that it was issued to (RFC 7638), mostly one.
    """

    by: GivenTwiceBy
    voucher: Voucher
    holders: frozenset[str]
    taken: tuple[TakenVoucher, ...]


@dataclass(frozen=True, slots=True)
class Reckoned:
    """What counters handed in: what counts once, what came twice, and what proves nothing."""

    good: tuple[TakenVoucher, ...]
    twice: tuple[GivenTwice, ...]
    unproved: tuple[tuple[TakenVoucher, CounterfoilError], ...]


def issue_voucher(
    reference: str,
    *,
    use: Use,
    good_for: str,
    vct: str,
    brand: str,
    signer: Signer,
    holder: PublicKey,
    issued_at: datetime,
    expires_at: datetime,
    status: StatusReference | None,
    random: Callable[[int], bytes],
) -> SdJwt:
    """Give the voucher for points that were redeemed, for `holder` alone.

    `reference` is the redemption's, the same for each repeat: to issue it again gives the
    same voucher once more, and a counter takes one of them.
    """
    voucher = Voucher(reference=reference, use=use.value, good_for=good_for)
    return issue_credential(
        voucher.to_claims(),
        vct=vct,
        issuer=brand,
        signer=signer,
        holder=holder,
        issued_at=issued_at,
        expires_at=expires_at,
        status=status,
        concealed=(),
        random=random,
    )


def reckon(handed_in: Iterable[TakenVoucher], *, brand: str, brand_key: PublicKey) -> Reckoned:
    """Say what counts of the vouchers of `brand` that counters handed in, in any order.

    The first use of each voucher counts, whatever came after it.
    """
    unproved: list[tuple[TakenVoucher, CounterfoilError]] = []
    uses: dict[str, list[_Use]] = {}
    for taken in handed_in:
        try:
            use = _proved(taken, brand, brand_key)
        except CounterfoilError as reason:
            unproved.append((taken, reason))
        else:
            uses.setdefault(use.voucher.reference, []).append(use)
    good: list[TakenVoucher] = []
    twice: list[GivenTwice] = []
    for several in uses.values():
        several.sort(key=lambda use: (use.taken.taken_at, use.taken.shop, use.taken.nonce))
        good.append(several[0].taken)
        if len(several) > 1:
            twice.append(_attributed(several))
    return Reckoned(tuple(good), tuple(twice), tuple(unproved))


@dataclass(frozen=True, slots=True)
class _Use:
    taken: TakenVoucher
    voucher: Voucher
    holder: str


def _proved(taken: TakenVoucher, brand: str, brand_key: PublicKey) -> _Use:
    """Give the use if the brand signed the voucher, and its holder gave it to this question."""
    shown = SdJwt.parse(taken.presentation, "presentation")
    credential = read_credential(shown).verify(brand_key, issuer=brand)
    if credential.holder_key is None:
        expected = "a voucher bound to its holder"
        raise Refused(Reason("holder-unbound", expected, "one that is not", "credential.cnf"))
    check_key_binding(
        shown,
        holder_key=credential.holder_key,
        audience=taken.shop,
        nonce=taken.nonce,
        now=taken.taken_at,
        max_age=_PROOF_AGE,
    )
    return _Use(taken, voucher_in(credential.claims), credential.holder_key.thumbprint())


def _attributed(uses: list[_Use]) -> GivenTwice:
    # Questions, not bytes: of one signature anybody can make another that is good as well.
    questions = {(use.taken.shop, use.taken.nonce) for use in uses}
    holders = frozenset(use.holder for use in uses)
    if len(holders) > 1:
        by = GivenTwiceBy.BRAND
    elif len(questions) > 1:
        by = GivenTwiceBy.HOLDER
    else:
        by = GivenTwiceBy.SHOP
    taken = tuple(use.taken for use in uses)
    return GivenTwice(by=by, voucher=uses[0].voucher, holders=holders, taken=taken)
