"""What this wallet finds too much in a request for a grant, and what it never grants.

    policy.judge(terms, …) ─► Judgement     concerns to show; reasons why it is refused

A concern is shown beside the request; a claim that is one is off until the customer names
it. What is refused cannot be granted with this policy at all. Nobody can ask to sell data
(`dpv:SellDataToThirdParties`) or to hand it to somebody unnamed: the terms have no words
for that, and a request that uses some is malformed (`counterfoil_consent.terms`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from counterfoil_consent.terms import ClaimName, Operation, Purpose, Terms
from counterfoil_credentials.encoding import (
    JsonObject,
    compact_json,
    optional_text_at,
    parse_object,
)
from counterfoil_credentials.errors import Malformed, Reason

from counterfoil_wallet.held import HeldCredential
from counterfoil_wallet.store import Kind, Record, Store
from counterfoil_wallet.trust import Asker

_NAME: Final = "policy"
_WHERE: Final = "policy"
_LONG: Final = timedelta(days=366)
_SHORT: Final = timedelta(days=92)
_ADVERTISING: Final = frozenset({Purpose.DIRECT_MARKETING, Purpose.RECOMMENDATIONS})
_NOT_OF_MINORS: Final = _ADVERTISING | {Purpose.USAGE_ANALYTICS, Purpose.PERSONALISED_BENEFITS}
_LONGEST: Final[Mapping[Purpose, timedelta]] = MappingProxyType(
    {
        Purpose.IDENTITY_VERIFICATION: timedelta(days=31),
        Purpose.AGE_VERIFICATION: timedelta(days=31),
        Purpose.DELIVERY: _SHORT,
        Purpose.ORDER_MANAGEMENT: _SHORT,
        Purpose.DIRECT_MARKETING: _SHORT,
        Purpose.RECOMMENDATIONS: _SHORT,
        Purpose.USAGE_ANALYTICS: _SHORT,
    }
)
_BIRTHDAYS: Final = frozenset({"birthdate", "birth_date", "birthday", "date_of_birth"})


class Concern(StrEnum):
    """What is too much."""

    BEYOND_REGISTRATION = "beyond-registration"
    WHOLE_CARD = "whole-card"
    BIRTHDAY = "birthday"
    LONG = "long"
    PROFILE = "profile"
    MINOR = "minor"
    BRIBE = "bribe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """One concern, and the claims that it is about (none: about the request as a whole)."""

    concern: Concern
    claims: tuple[ClaimName, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the policy finds. With `refused`, nothing can be granted."""

    excess: tuple[Excess, ...]
    refused: tuple[Reason, ...]

    @property
    def off(self) -> frozenset[ClaimName]:
        """The claims that stay off until the customer names them, required or not."""
        return frozenset(name for one in self.excess for name in one.claims)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskingPolicy:
    """The customer's rules. `adult_from`: before that day, what is not asked of minors is refused.

    `longest` says after how long a grant for a purpose is long; purposes that are not in
    it are long after a year. For more than `most_points` no consent is freely given.
    """

    adult_from: date | None = None
    longest: Mapping[Purpose, timedelta] = field(default_factory=lambda: _LONGEST)
    most_points: int = 10_000

    def judge(
        self, terms: Terms, *, asker: Asker, held: Iterable[HeldCredential], now: datetime
    ) -> Judgement:
        """Give what is too much in `terms`, and why they are refused, if they are."""
        excess = [
            *_about(Concern.BEYOND_REGISTRATION, _beyond(terms, asker)),
            *_about(Concern.WHOLE_CARD, _whole_cards(terms, held)),
            *_about(Concern.BIRTHDAY, _birthdays(terms)),
        ]
        if terms.valid_until - now > self.longest.get(terms.purpose, _LONG):
            excess.append(Excess(concern=Concern.LONG))
        if Operation.PROFILING in terms.operations:
            excess.append(Excess(concern=Concern.PROFILE))
        refused: list[Reason] = []
        if terms.incentive is not None and terms.incentive.points > self.most_points:
            excess.append(Excess(concern=Concern.BRIBE))
            expected = f"at most {self.most_points} points for a grant"
            refused.append(Reason("refused-by-policy", expected, "more", "terms.incentive"))
        if self._is_kept_from_minors(terms, now):
            excess.append(Excess(concern=Concern.MINOR))
            expected = "what may be asked of a minor"
            refused.append(Reason("refused-by-policy", expected, "another", "terms.purpose"))
        return Judgement(excess=tuple(excess), refused=tuple(refused))

    def _is_kept_from_minors(self, terms: Terms, now: datetime) -> bool:
        if self.adult_from is None or now.date() >= self.adult_from:
            return False
        return terms.purpose in _NOT_OF_MINORS or Operation.PROFILING in terms.operations

    @staticmethod
    def kept_in(store: Store) -> "AskingPolicy":
        """Give the policy that the store keeps, else the default one."""
        record = store.get(Kind.SETTING, _NAME)
        if record is None:
            return AskingPolicy()
        text = optional_text_at(parse_object(record.body, _WHERE), "adult_from", _WHERE)
        try:
            adult_from = None if text is None else date.fromisoformat(text)
        except ValueError as cause:
            raise Malformed("a date", "another text", f"{_WHERE}.adult_from") from cause
        return replace(AskingPolicy(), adult_from=adult_from)

    def to_record(self) -> Record:
        """Give the record to store; `longest` is the app's and is not kept."""
        body: JsonObject = {}
        if self.adult_from is not None:
            body["adult_from"] = self.adult_from.isoformat()
        return Record(Kind.SETTING, _NAME, "", compact_json(body))


def _about(concern: Concern, names: Iterable[ClaimName]) -> tuple[Excess, ...]:
    claims = tuple(sorted(names, key=str))
    return (Excess(concern=concern, claims=claims),) if claims else ()


def _beyond(terms: Terms, asker: Asker) -> list[ClaimName]:
    return [name for name in terms.claim_names if not asker.may_ask(name.vct, name.path)]


def _birthdays(terms: Terms) -> list[ClaimName]:
    return [name for name in terms.claim_names if name.path[-1] in _BIRTHDAYS]


def _whole_cards(terms: Terms, held: Iterable[HeldCredential]) -> list[ClaimName]:
    """Give the claims of the types of which every claim that a card of hers has is asked for."""
    whole: list[ClaimName] = []
    for card in held:
        names = [name for name in terms.claim_names if name.vct == card.vct]
        offered = {name for name in card.claims if name not in _FRAME}
        if len(offered) > 1 and offered <= {name.path[0] for name in names if len(name.path) == 1}:
            whole += [name for name in names if name not in whole]
    return whole


# What every credential has and nobody asks for: SD-JWT VC, section 3.2.2.
_FRAME: Final = frozenset(
    {"iss", "vct", "iat", "nbf", "exp", "cnf", "status", "sub", "vct#integrity"}
)
