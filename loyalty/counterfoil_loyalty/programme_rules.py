"""A brand's programme rules: what earns points, what reaches a tier, what a country allows.

    {"brand": "https://audio.example", "version": 3, "currency": "EUR", "currency_decimals": 2,
     "earnings": [{"id": "buy", "occasion": "purchase", "per_spent": {"units": 1, "minor": 1}},
                  {"id": "tell", "occasion": "feedback", "units": 500,
                   "cap": {"units": 1000, "days": 30}}],
     "tiers": [{"id": "silver", "earned_units": 50000}, {"id": "gold", "earned_units": 200000}],
     "countries": {"DE": {"least_age": 16, "uses": ["discount", "goods"]}}}

They are signed by the brand, have a version, and are whole: whoever has them can work out
every award (`rewards.py`), so the wallet answers "what would I get" with what happens.
Amounts are base units of points and minor units of money, whole numbers; a ratio is two.

What a customer thought of a purchase earns nothing: there is no member to say it in, and
rules whose ids or words speak of it are refused.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from types import MappingProxyType
from typing import Final, TypeVar

from counterfoil_credentials import (
    Json,
    JsonObject,
    Malformed,
    PublicKey,
    Reason,
    Refused,
    Signer,
    read_jws,
    sign_jws,
)
from counterfoil_credentials.encoding import as_object, int_at, list_at, object_at, text_at

from counterfoil_loyalty.points import MAX_UNITS
from counterfoil_loyalty.rates import MAX_PRICE, Rate

RULES_TYP: Final = "counterfoil-programme-rules+jwt"
MAX_DAYS: Final = 36_500

_WHERE: Final = "rules"
_MAX_ENTRIES: Final = 100
_MAX_WORDS: Final = 400
_ID: Final = re.compile(r"[a-z][a-z0-9-]{0,39}\Z", re.ASCII)
_COUNTRY: Final = re.compile(r"[A-Z]{2}\Z", re.ASCII)
_CURRENCY: Final = re.compile(r"[A-Z]{3}\Z", re.ASCII)
# Whole words, in any script that the product speaks. The list cannot be complete and need
# not be: no award is computed from an opinion, because a `Deed` holds none.
_OPINIONS: Final = re.compile(
    r"\b(?:sentiments?|ratings?|rated|stars?|scores?|positive|negative|praise|(?:dis)?satisf\w*)\b"
    r"|好评|差评|评分|评级|打分|星级|[一二三四五1-5]\s*星|满意",
    re.IGNORECASE,
)
_Entry = TypeVar("_Entry")


class Occasion(Enum):
    """What a customer did. `SOCIAL` is what others see of it: asked for, and always capped."""

    PURCHASE = "purchase"
    FEEDBACK = "feedback"
    REFERRAL = "referral"
    TASK = "task"
    SOCIAL = "social"


class Use(Enum):
    """What points may become."""

    DISCOUNT = "discount"
    SERVICE = "service"
    DIGITAL = "digital"
    GOODS = "goods"
    EVENT = "event"
    EXCHANGE = "exchange"
    CASH = "cash"


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `units` in any `days` days in a row."""

    units: int
    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Earning:
    """What one occasion earns: `units`, and `per_spent` of the money, rounded down.

    `task` names the task of a `TASK`, and is "" for the rest. `words` are for people.
    """

    id: str
    occasion: Occasion
    units: int = 0
    per_spent: Rate | None = None
    task: str = ""
    cap: Cap | None = None
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """What a tier takes: all of points ever earned, purchases, feedbacks, and socials.

    All but the points count when they are at most `within_days` old; a social deed counts
    while its cap left it something to earn.
    """

    id: str
    earned_units: int = 0
    purchases: int = 0
    feedbacks: int = 0
    socials: int = 0
    within_days: int = MAX_DAYS
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountryPolicy:
    """What the law of a country allows there."""

    least_age: int = 0
    uses: frozenset[Use] = frozenset()
    cap: Cap | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgrammeRules:
    """One version of a brand's rules. `tiers` go from the lowest to the highest."""

    brand: str
    version: int
    currency: str
    currency_decimals: int
    earnings: tuple[Earning, ...]
    tiers: tuple[Tier, ...] = ()
    countries: Mapping[str, CountryPolicy] = field(default_factory=dict[str, CountryPolicy])

    def earning_for(self, occasion: Occasion, task: str = "") -> Earning | None:
        """Give the one entry for an occasion; None when it earns nothing."""
        for earning in self.earnings:
            if earning.occasion is occasion and earning.task == task:
                return earning
        return None

    def sign(self, signer: Signer) -> str:
        """Give the rules as the brand publishes them."""
        claims = self.to_json()
        parse_programme_rules(claims)  # Nobody could read what does not come back.
        return sign_jws(claims, typ=RULES_TYP, signer=signer)

    def to_json(self) -> JsonObject:
        """Give the rules as data; `parse_programme_rules` gives them back."""
        earnings: list[Json] = [_earning_json(one) for one in self.earnings]
        tiers: list[Json] = [_tier_json(one) for one in self.tiers]
        countries: JsonObject = {
            name: _policy_json(policy) for name, policy in sorted(self.countries.items())
        }
        return {
            "brand": self.brand,
            "version": self.version,
            "currency": self.currency,
            "currency_decimals": self.currency_decimals,
            "earnings": earnings,
            "tiers": tiers,
            "countries": countries,
        }


def read_programme_rules(
    token: str, *, brand: str, brand_key: PublicKey, least_version: int = 1
) -> ProgrammeRules:
    """Give the rules that `brand` signed, no older than the version seen before.

    Raises `Malformed`, and `Refused` with `signature-invalid`, `rules-of-another`,
    `old-rules`, `opinion-rewarded` and what `parse_programme_rules` refuses.
    """
    claims = read_jws(token, typ=RULES_TYP, where=_WHERE).verify(brand_key)
    rules = parse_programme_rules(claims)
    if rules.brand != brand:
        raise Refused(Reason("rules-of-another", "rules of the brand", "another's", "rules.brand"))
    if rules.version < least_version:
        found = f"version {rules.version}"
        raise Refused(
            Reason("old-rules", f"version {least_version} or later", found, "rules.version")
        )
    return rules


def parse_programme_rules(obj: JsonObject) -> ProgrammeRules:
    """Give the rules in `obj`.

    A member that is not understood is `Malformed`: a condition left out would promise
    points that never come. Raises `Refused` (`opinion-rewarded`) for rules that speak of
    what the customer thought.
    """
    _only(
        obj,
        "brand version currency currency_decimals earnings tiers countries",
        _WHERE,
    )
    earnings = _entries(obj, "earnings", _earning)
    tiers = _entries(obj, "tiers", _tier)
    _once([one.id for one in earnings], "rules.earnings.id")
    _once([one.id for one in tiers], "rules.tiers.id")
    # Two entries for one occasion would leave open which of them is meant.
    _once([f"{one.occasion.value} {one.task}" for one in earnings], "rules.earnings.occasion")
    for lower, higher in pairwise(tiers):
        if not _is_above(higher, lower):
            expected = "tiers from the lowest to the highest, alike in within_days"
            raise Malformed(expected, "another order", "rules.tiers")
    countries = object_at(obj, "countries", _WHERE) if "countries" in obj else {}
    if len(countries) > 250:
        raise Malformed("at most 250 countries", f"{len(countries)}", "rules.countries")
    currency = text_at(obj, "currency", _WHERE)
    if not _CURRENCY.match(currency):
        raise Malformed("a currency of three letters (ISO 4217)", "another", "rules.currency")
    return ProgrammeRules(
        brand=text_at(obj, "brand", _WHERE),
        version=_whole(obj, "version", _WHERE, 1, 2**31),
        currency=currency,
        currency_decimals=_whole(obj, "currency_decimals", _WHERE, 0, 4),
        earnings=tuple(earnings),
        tiers=tuple(tiers),
        countries=MappingProxyType({name: _policy(name, it) for name, it in countries.items()}),
    )


def _earning(obj: JsonObject, where: str) -> Earning:
    _only(obj, "id occasion units per_spent task cap words", where)
    occasion = _member(Occasion, text_at(obj, "occasion", where), f"{where}.occasion")
    task = _id_at(obj, "task", where) if "task" in obj else ""
    if (occasion is Occasion.TASK) != bool(task):
        raise Malformed("a task's name for a task, and for nothing else", "not so", f"{where}.task")
    per_spent = None
    if "per_spent" in obj:
        if occasion is not Occasion.PURCHASE:
            raise Malformed("per_spent for a purchase alone", "elsewhere", f"{where}.per_spent")
        ratio, place = object_at(obj, "per_spent", where), f"{where}.per_spent"
        _only(ratio, "units minor", place)
        units = _whole(ratio, "units", place, 1, MAX_PRICE)
        per_spent = Rate(units, _whole(ratio, "minor", place, 1, MAX_PRICE))
    units = _whole(obj, "units", where, 1, MAX_UNITS) if "units" in obj else 0
    if not units and per_spent is None:
        raise Malformed("units or per_spent", "neither", where)
    cap = _cap(obj, where)
    if occasion is Occasion.SOCIAL and cap is None:
        raise Malformed("a cap on what others see", "none", f"{where}.cap")
    return Earning(
        id=_id_at(obj, "id", where),
        occasion=occasion,
        units=units,
        per_spent=per_spent,
        task=task,
        cap=cap,
        words=_words_at(obj, where),
    )


def _tier(obj: JsonObject, where: str) -> Tier:
    _only(obj, "id earned_units purchases feedbacks socials within_days words", where)

    def at_least(name: str, most: int) -> int:
        return _whole(obj, name, where, 1, most) if name in obj else 0

    tier = Tier(
        id=_id_at(obj, "id", where),
        earned_units=at_least("earned_units", MAX_UNITS),
        purchases=at_least("purchases", 10**6),
        feedbacks=at_least("feedbacks", 10**6),
        socials=at_least("socials", 10**6),
        within_days=at_least("within_days", MAX_DAYS) or MAX_DAYS,
        words=_words_at(obj, where),
    )
    if not any(_takes(tier)):
        raise Malformed("something that the tier takes", "nothing", where)
    return tier


def _is_above(higher: Tier, lower: Tier) -> bool:
    takes = [_takes(it) for it in (higher, lower)]
    more = all(above >= below for above, below in zip(*takes, strict=True))
    return higher.within_days == lower.within_days and more and takes[0] != takes[1]


def _takes(tier: Tier) -> tuple[int, ...]:
    return (tier.earned_units, tier.purchases, tier.feedbacks, tier.socials)


def _policy(country: str, value: Json) -> CountryPolicy:
    where = "rules.countries"
    if not _COUNTRY.match(country):
        raise Malformed("countries of two letters (ISO 3166-1)", "another", where)
    obj = as_object(value, where)
    _only(obj, "least_age uses cap", where)
    uses = [
        _member(Use, use if isinstance(use, str) else "", f"{where}.uses")
        for use in list_at(obj, "uses", where)
    ]
    age = _whole(obj, "least_age", where, 1, 120) if "least_age" in obj else 0
    return CountryPolicy(least_age=age, uses=frozenset(uses), cap=_cap(obj, where))


def _cap(obj: JsonObject, where: str) -> Cap | None:
    if "cap" not in obj:
        return None
    cap, place = object_at(obj, "cap", where), f"{where}.cap"
    _only(cap, "units days", place)
    units = _whole(cap, "units", place, 1, MAX_UNITS)
    return Cap(units, _whole(cap, "days", place, 1, MAX_DAYS))


def _entries(
    obj: JsonObject, name: str, parse: Callable[[JsonObject, str], _Entry]
) -> list[_Entry]:
    where = f"{_WHERE}.{name}"
    values = list_at(obj, name, _WHERE) if name in obj else []
    if len(values) > _MAX_ENTRIES:
        raise Malformed(f"at most {_MAX_ENTRIES} entries", f"{len(values)}", where)
    return [parse(as_object(value, where), where) for value in values]


def _only(obj: JsonObject, known: str, where: str) -> None:
    unknown = obj.keys() - set(known.split())
    for name in unknown:
        _require_no_opinion(name.replace("_", " "), where)
    if unknown:
        raise Malformed(f"{known} alone", f"{len(unknown)} others", where)


def _id_at(obj: JsonObject, name: str, where: str) -> str:
    text = text_at(obj, name, where)
    if not _ID.match(text):
        raise Malformed("up to 40 small letters, digits and dashes", "others", f"{where}.{name}")
    _require_no_opinion(text, f"{where}.{name}")
    return text


def _words_at(obj: JsonObject, where: str) -> str:
    words = text_at(obj, "words", where) if "words" in obj else ""
    if len(words) > _MAX_WORDS or not words.isprintable():
        raise Malformed(f"up to {_MAX_WORDS} printable characters", "others", f"{where}.words")
    _require_no_opinion(words, f"{where}.words")
    return words


def _require_no_opinion(text: str, where: str) -> None:
    if _OPINIONS.search(text):
        expected = "points for what was done, whatever was thought of it"
        raise Refused(Reason("opinion-rewarded", expected, "a word for an opinion", where))


def _whole(obj: JsonObject, name: str, where: str, least: int, most: int) -> int:
    # JSON carries larger amounts as text: a reader in a browser would round them.
    value = obj.get(name)
    if isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{15,38}", value, re.ASCII):
        number = int(value)
    else:
        number = int_at(obj, name, where)
    if not least <= number <= most:
        raise Malformed(f"{least} to {most}", "another number", f"{where}.{name}")
    return number


_Closed = TypeVar("_Closed", Occasion, Use)


def _member(kind: type[_Closed], text: str, where: str) -> _Closed:
    _require_no_opinion(text, where)
    for member in kind:
        if member.value == text:
            return member
    raise Malformed(" or ".join(it.value for it in kind), "another", where)


def _once(names: list[str], where: str) -> None:
    if len(set(names)) != len(names):
        raise Malformed("each once", "one twice", where)


def _number(value: int) -> Json:
    return value if value < 2**53 else str(value)


def _filled(**members: Json) -> JsonObject:
    return {name: value for name, value in members.items() if value not in (0, "", None)}


def _cap_json(cap: Cap | None) -> Json:
    return None if cap is None else {"units": _number(cap.units), "days": cap.days}


def _earning_json(it: Earning) -> JsonObject:
    ratio: Json = None
    if it.per_spent is not None:
        units, minor = it.per_spent.numerator, it.per_spent.denominator
        ratio = {"units": _number(units), "minor": _number(minor)}
    return _filled(
        id=it.id,
        occasion=it.occasion.value,
        units=_number(it.units),
        per_spent=ratio,
        task=it.task,
        cap=_cap_json(it.cap),
        words=it.words,
    )


def _tier_json(it: Tier) -> JsonObject:
    return _filled(
        id=it.id,
        earned_units=_number(it.earned_units),
        purchases=it.purchases,
        feedbacks=it.feedbacks,
        socials=it.socials,
        within_days=it.within_days,
        words=it.words,
    )


def _policy_json(it: CountryPolicy) -> JsonObject:
    uses: list[Json] = [*sorted(use.value for use in it.uses)]
    return {**_filled(least_age=it.least_age, cap=_cap_json(it.cap)), "uses": uses}
