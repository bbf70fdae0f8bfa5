"""A brand's rules at the points service: published by it, and held against what is asked.

    desk = RulesDesk(book, store, venue)
    desk.publish(brand, token, key=jwk, signature=signature)     # a later version, or refused
    desk.count(brand, award, at=now)                             # before the award is taken in
    desk.require_use(brand, Use.EXCHANGE)                        # before points are spent

The rules are signed with the key that signs the brand's credentials; that key and those
bytes are signed with the brand's issuer key, the one that the operator admitted
(`RulesNotice`). So whoever reads the list of brands can check both. Where a brand has
published none, nothing is asked. What can be checked here at all says `rules_bounds.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.keys import PublicKey

from counterfoil_loyalty.accounts import Account, require_signature
from counterfoil_loyalty.eip712 import digest
from counterfoil_loyalty.intents import Award, Redemption, Venue
from counterfoil_loyalty.keccak import keccak256
from counterfoil_loyalty.pending_awards import AwardState
from counterfoil_loyalty.programme_rules import ProgrammeRules, Use, read_programme_rules
from counterfoil_loyalty.rules_book import Published, RulesBook, Spent
from counterfoil_loyalty.rules_bounds import (
    Counted,
    looks_back_s,
    require_use_somewhere,
    require_within_caps,
)
from counterfoil_loyalty.store import Brand, Movement, PointsStore

_PAGE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesNotice:
    """What a brand's issuer signs: these rules, checked with this key, are ours.

    `rules` is what `ProgrammeRules.sign` gave.
    """

    token: Account
    version: int
    rules: str
    key: PublicKey

    def digest(self, venue: Venue) -> bytes:
        """Give the 32 bytes to sign (EIP-712)."""
        line = "ProgrammeRules(address token,uint32 version,bytes32 rules,bytes32 key)"
        parts = (keccak256(self.rules.encode()), keccak256(self.key.thumbprint().encode()))
        return digest(venue.exchange_domain, line, (self.token, self.version, *parts))


def read_published(
    published: Published, *, brand: str, token: Account, issuer: Account, venue: Venue
) -> ProgrammeRules:
    """Give the rules if the brand's issuer and the brand's key both stand by them.

    Raises `Malformed`, and `Refused` with `signature-invalid` and what
    `read_programme_rules` refuses.
    """
    key = PublicKey.from_jwk(published.key, "rules.key")
    notice = RulesNotice(token=token, version=published.version, rules=published.rules, key=key)
    require_signature(issuer, notice.digest(venue), published.signature, "rules.signature")
    rules = read_programme_rules(published.rules, brand=brand, brand_key=key)
    if rules.version != published.version:
        found = f"version {rules.version}"
        raise Malformed(f"version {published.version}", found, "rules.version")
    return rules


class RulesDesk:
    """Keeps and applies rules; safe for several threads, and for processes over one database."""

    def __init__(self, book: RulesBook, store: PointsStore, venue: Callable[[], Venue]) -> None:
        """Keep rules in `book`; `store` says what was awarded without this desk."""
        self._book = book
        self._store = store
        self._venue = venue

    def publish(self, brand: Brand, published: Published) -> ProgrammeRules:
        """Put a later version into force, once and for all.

        Raises what `read_published` and `RulesBook.publish` raise.
        """
        rules = self._read(brand, published)
        self._book.publish(brand.token, published)
        return rules

    def published(self, brand: Brand, version: int | None = None) -> Published:
        """Give one version, the one in force for None; `Refused` (`no-rules`) for none."""
        if version is None:
            found = self._book.latest(brand.token)
        else:
            found = self._book.version(brand.token, version)
        if found is None:
            expected = "a brand with rules" if version is None else "a version of its rules"
            raise Refused(Reason("no-rules", expected, "none", "brand"))
        return found

    def count(self, brand: Brand, award: Award, *, at: int) -> None:
        """Count an award, if it is within the caps of the brand's rules with those before it.

        Raises what `require_within_caps` raises, and `Refused` (`key-conflict`).
        """
        rules = self._rules_of(brand)
        if rules is None:
            return
        since = at - looks_back_s(rules)
        promised = [it for it in self._store.pending_awards(award.to) if it.token == brand.token]
        # Looked up each time, not struck out: a chain that goes back takes a cancellation back.
        cancelled = {it.ref for it in promised if it.state is AwardState.CANCELLED}
        waiting = [it for it in promised if it.state is AwardState.PENDING and it.at > since]
        older = {it.ref: Counted(it.units, it.at) for it in waiting}
        for moved in self._awarded(brand, award.to):
            if moved.at > since:
                older[moved.reference] = Counted(moved.units, moved.at)

        def check(counted: Mapping[str, Counted]) -> None:
            # What came without this desk: before the rules, by another relayer, or when the
            # database was lost. The chain knows it.
            known = {**older, **counted}
            past = [it for ref, it in known.items() if ref not in cancelled]
            require_within_caps(rules, past, award.amount, at)

        counted = Counted(award.amount, at)
        self._book.count(brand.token, award.to, award.ref.hex(), counted, check)

    def uncount(self, award: Award) -> None:
        """Give back what a refused award took from the caps."""
        self._book.uncount(award.token, award.ref.hex())

    def require_use(self, brand: Brand, use: Use) -> None:
        """Return only if a country of the brand's rules allows `use`, or it has no rules."""
        rules = self._rules_of(brand)
        if rules is not None:
            require_use_somewhere(rules, use)

    def note_use(
        self, brand: Brand, redemption: Redemption, use: Use | None, *, reference: str
    ) -> None:
        """Note what these points become, if the brand's rules let them.

        Raises `Refused`: `use-not-named` where a brand with rules is not told, and
        `use-not-allowed`.
        """
        if use is None:
            if self._rules_of(brand) is not None:
                expected = " or ".join(it.value for it in Use)
                raise Refused(Reason("use-not-named", expected, "none", "use"))
            return
        self.require_use(brand, use)
        self._book.note(
            Spent(
                reference=reference,
                token=redemption.token,
                holder=redemption.holder,
                redemption_id=redemption.redemption_id.hex(),
                use=use.value,
            )
        )

    def redeemed(self, reference: str) -> tuple[Spent, Movement]:
        """Give what a voucher's reference stands for, for the brand that makes it one.

        Raises `Refused` (`voucher-unknown`) for a reference whose points were not redeemed:
        never, not yet, or no more, where the chain went back.
        """
        spent = self._book.noted(reference)
        if spent is not None:
            for it in self._store.moved_for("redeemed", spent.redemption_id):
                if (it.token, it.account) == (spent.token, spent.holder):
                    return spent, it
        expected = "the reference of points that were redeemed"
        raise Refused(Reason("voucher-unknown", expected, "another", "reference"))

    def _rules_of(self, brand: Brand) -> ProgrammeRules | None:
        latest = self._book.latest(brand.token)
        return None if latest is None else self._read(brand, latest)

    def _read(self, brand: Brand, published: Published) -> ProgrammeRules:
        return read_published(
            published,
            brand=brand.brand,
            token=brand.token,
            issuer=brand.issuer,
            venue=self._venue(),
        )

    def _awarded(self, brand: Brand, account: Account) -> list[Movement]:
        found: list[Movement] = []
        after = -1
        while page := self._store.history(account, after=after, limit=_PAGE):
            found += [it for it in page if it.token == brand.token and it.kind == "awarded"]
            after = page[-1].block
        return found
