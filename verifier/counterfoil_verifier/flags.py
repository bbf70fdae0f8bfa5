"""What is said of single items: recalled, stolen, perhaps a copy. It overrides green.

    feed: FlagFeed ──latest──► Flags ──about(item)──► reasons against, or to be unsure

The whole feed is at the till and is searched there: nobody learns which item was looked
up. A feed that cannot be had, or is old, says nothing, and then nobody can say that an
item is in order: amber. How it is written and read is in `flag_feed.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Misuse, Reason, Unavailable
from counterfoil_credentials.recall_selector import Concerned, Item, RecallSelector, item_in

from counterfoil_verifier.policy import AllOf, Judgement, Policy, Presented
from counterfoil_verifier.presets import Preset

MAX_AGE: Final = timedelta(days=1)
_SKEW: Final = timedelta(seconds=60)
_WHERE: Final = "flags"


class FlagKind(StrEnum):
    """What is said of an item."""

    REPORTED_STOLEN = "reported-stolen"
    RECALLED = "recalled"
    CLONED_TAG_SUSPECT = "cloned-tag-suspect"


_AGAINST: Final = frozenset({FlagKind.REPORTED_STOLEN, FlagKind.RECALLED})
"""What is known, and red. A suspicion is amber: somebody has to look at the item."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One thing that is said of the items that `selector` means."""

    kind: FlagKind
    selector: RecallSelector


class Flags:
    """A feed as it was at `as_of`."""

    def __init__(self, flags: Iterable[Flag], *, as_of: datetime) -> None:
        """Put the flags in order, by product, and by serial number where they name some.

        Of a phone that many have, tens of thousands are stolen.
        """
        self.as_of = as_of
        self._count = 0
        self._by_gtin: dict[str, list[Flag]] = {}
        self._by_serial: dict[tuple[str, str], list[Flag]] = {}
        self._one_of_each: dict[tuple[str, FlagKind], Flag] = {}
        for flag in flags:
            self._count += 1
            gtin, serials = flag.selector.gtin, _serials(flag.selector)
            if not serials:
                self._by_gtin.setdefault(gtin, []).append(flag)
                continue
            self._one_of_each[gtin, flag.kind] = flag
            for serial in serials:
                self._by_serial.setdefault((gtin, serial), []).append(flag)

    def __len__(self) -> int:
        """Give the number of flags."""
        return self._count

    def about(self, item: Item) -> Judgement:
        """Say what speaks against `item`, and what is to be found out about it first."""
        against: dict[FlagKind, Reason] = {}
        unknown: dict[str, Reason] = {}
        for flag in (*self._by_gtin.get(item.gtin, ()), *self._of_serial(item)):
            concerned = flag.selector.concerns(item)
            if concerned is Concerned.NO:
                continue
            if flag.kind not in _AGAINST:
                unknown[flag.kind] = _reason(flag.kind, "one that may be")
            elif concerned is Concerned.YES:
                against[flag.kind] = _reason(flag.kind, "one that is")
            else:
                # What a flag goes by may be missing because whoever shows the item hides it.
                code, expected = _UNCLEAR[flag.kind], "a lot and a serial number"
                unknown[code] = Reason(code, expected, "not both of them", "item")
        return Judgement(tuple(against.values()), tuple(unknown.values()))

    def _of_serial(self, item: Item) -> Iterable[Flag]:
        """Give the flags that name the item's serial number; one of each kind if it has none."""
        if item.serial is not None:
            return self._by_serial.get((item.gtin, item.serial), ())
        named = ((item.gtin, kind) for kind in FlagKind)
        return [self._one_of_each[each] for each in named if each in self._one_of_each]


class FlagFeed(Protocol):
    """Where the flags come from."""

    def latest(self) -> Flags:
        """Give the newest flags that can be had; `Unavailable` when there are none."""
        ...


class MemoryFlags:
    """The twin in memory: what a test, or the demo, puts there."""

    def __init__(self, as_of: datetime) -> None:
        """Begin with a feed that says nothing of anything."""
        self._flags: list[Flag] = []
        self.as_of = as_of
        self.is_reachable = True

    def put(self, flag: Flag, *, as_of: datetime) -> None:
        """Add a flag."""
        self._flags.append(flag)
        self.as_of = as_of

    def latest(self) -> Flags:
        if not self.is_reachable:
            raise Unavailable("expected the flags of items, found none")
        return Flags(self._flags, as_of=self.as_of)


def judge_claims(claims: JsonObject, feed: FlagFeed, *, now: datetime) -> Judgement:
    """Say what the newest flags mean for the item that a credential's claims show.

    Of a credential without an item nothing can be said, and nothing is asked. One that
    shows some of an item and not which product it is leaves the question open: its holder
    may keep back what the brand concealed.
    """
    item = item_in(claims)
    if item is not None:
        return judge_item(item, feed, now=now)
    if "item" in claims:
        return _unsure("item-unclear", "the product that an item is of", "none")
    return Judgement()


@dataclass(frozen=True, slots=True)
class NotFlagged:
    """Accepts while nothing is said of the item in `feed`, and that is known."""

    feed: FlagFeed

    def judge(self, presented: Presented) -> Judgement:
        return judge_claims(presented.credential.claims, self.feed, now=presented.now)


def policy_at(preset: Preset, feed: FlagFeed | None) -> Policy:
    """Give what an answer to `preset` must fulfil where `feed`, if any, is at hand."""
    return preset.policy() if feed is None else AllOf(preset.policy(), NotFlagged(feed))


def judge_item(
    item: Item, feed: FlagFeed, *, now: datetime, max_age: timedelta = MAX_AGE
) -> Judgement:
    """Say what the newest flags, no older than `max_age`, mean for `item`.

    A flag in an older feed still speaks against; that nothing is said there means nothing.
    """
    try:
        flags = feed.latest()
    except Unavailable as cause:
        return _unsure("flags-unreachable", "what is said of items", cause.what)
    found = flags.about(item)
    age = now - flags.as_of
    if -_SKEW <= age <= max_age or found.reasons:
        return found
    if age < -_SKEW:
        ahead = _unsure("flags-from-the-future", "what was said by now", "what was said later")
        return Judgement((), (*found.unknown, *ahead.unknown))
    too_old = _unsure("flags-too-old", f"what was said within {max_age}", f"what was {age} ago")
    return Judgement((), (*found.unknown, *too_old.unknown))


def _serials(selector: RecallSelector) -> Sequence[str]:
    """Give the serial numbers of a selector that goes by nothing else, and by no ranges."""
    if selector.lots or any(one.first != one.last for one in selector.serials):
        return ()
    return [one.first for one in selector.serials]


class Authenticity(StrEnum):
    """The quick answer to "is it genuine?"."""

    GENUINE = "genuine"
    UNKNOWN = "unknown"
    REPORTED_STOLEN = "reported-stolen"
    RECALLED = "recalled"
    CLONED_TAG_SUSPECT = "cloned-tag-suspect"


def authenticity(*, accepted: bool, codes: Iterable[str]) -> Authenticity:
    """Give the quick answer out of a verdict: its yes or no, and its reasons' codes.

    Only what the brand proved and nobody flagged is genuine; what is not proved is unknown.
    """
    given = {*codes}
    if accepted and given:
        raise Misuse("expected a yes without reasons, found some")
    for kind in FlagKind:
        if kind in given:
            return Authenticity(kind.value)
    return Authenticity.GENUINE if accepted else Authenticity.UNKNOWN


def _reason(kind: FlagKind, found: str) -> Reason:
    return Reason(kind.value, _IN_ORDER[kind], found, _WHERE)


def _unsure(code: str, expected: str, found: str) -> Judgement:
    return Judgement((), (Reason(code, expected, found, _WHERE),))


_IN_ORDER: Final[Mapping[FlagKind, str]] = {
    FlagKind.REPORTED_STOLEN: "an item that nobody misses",
    FlagKind.RECALLED: "an item that is not recalled",
    FlagKind.CLONED_TAG_SUSPECT: "an item whose tag is the only one",
}
_UNCLEAR: Final[Mapping[FlagKind, str]] = {
    FlagKind.REPORTED_STOLEN: "theft-unclear",
    FlagKind.RECALLED: "recall-unclear",
}
