"""The feed of flags: read from whoever signs it, never an older one, and never waited for."""

import json
from collections.abc import Callable
from datetime import datetime

import pytest
from counterfoil_credentials.encoding import Json, JsonObject, compact_json
from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused, Unavailable
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.recall_selector import Item, RecallSelector, SerialRange
from counterfoil_verifier.flag_feed import (
    KeptFlags,
    flags_json,
    parse_flags,
    read_flags,
    sign_flags,
)
from counterfoil_verifier.flags import Flag, FlagKind, Flags, judge_item

from tests.conftest import Clock
from tests.verifier.scene import DAY, MINUTE, NOON, SECOND

GTIN = "04006381333931"
SELECTOR = RecallSelector(gtin=GTIN, serials=(SerialRange("A1-0001", "A1-0009"),))
RECALLED = Flag(FlagKind.RECALLED, SELECTOR)
STOLEN = Flag(FlagKind.REPORTED_STOLEN, RecallSelector(gtin=GTIN))
ITEM = Item(gtin=GTIN, serial="A1-0005")


def codes(flags: Flags) -> list[str]:
    return [reason.code for reason in flags.about(ITEM).reasons]


def test_a_feed_says_what_was_signed() -> None:
    publisher = MemorySigner.generate()
    token = sign_flags([RECALLED, STOLEN], signer=publisher, at=NOON)

    flags = read_flags(token, signed_by=publisher.public, now=NOON)

    assert (flags.as_of, len(flags)) == (NOON, 2)
    assert codes(flags) == ["recalled", "reported-stolen"]


def test_a_feed_of_another_publisher_is_refused() -> None:
    token = sign_flags([], signer=MemorySigner.generate(), at=NOON)

    with pytest.raises(Refused) as refused:
        read_flags(token, signed_by=MemorySigner.generate().public, now=NOON)
    assert refused.value.codes == ["signature-invalid"]


def test_a_token_of_another_kind_is_no_feed() -> None:
    publisher = MemorySigner.generate()
    token = sign_jws(
        flags_json([], at=NOON), typ="counterfoil-trust-list+jwt", signer=publisher, header={}
    )

    with pytest.raises(Refused):
        read_flags(token, signed_by=publisher.public, now=NOON)


def test_a_feed_from_the_future_is_refused() -> None:
    data = compact_json(flags_json([RECALLED], at=NOON))

    assert len(parse_flags(data, now=NOON - MINUTE)) == 1
    with pytest.raises(Refused) as refused:
        parse_flags(data, now=NOON - MINUTE - SECOND)
    assert refused.value.codes == ["flags-from-the-future"]


@pytest.mark.parametrize(
    "changed",
    [
        {"iat": "noon"},
        {"iat": None},
        {"flags": {}},
        {"flags": [{"kind": "recalled"}]},
        {"flags": [{"kind": "borrowed", "selector": {"gtin": GTIN}}]},
        {"flags": [{"kind": "recalled", "selector": {"gtin": GTIN}, "unless": "sold"}]},
        {"flags": [{"kind": "recalled", "selector": {"gtin": GTIN, "colours": ["red"]}}]},
        {"flags": [{"kind": "recalled", "selector": {"gtin": "1"}}]},
        {"flags": ["recalled"]},
    ],
)
def test_what_is_not_understood_is_no_feed_at_all(changed: dict[str, Json]) -> None:
    document: JsonObject = {**flags_json([RECALLED], at=NOON), **changed}

    with pytest.raises(Malformed):
        parse_flags(json.dumps(document).encode(), now=NOON)


class Source:
    """A feed that can fail, and counts who asks."""

    def __init__(self) -> None:
        self.found: Flags | CounterfoilError = Flags([], as_of=NOON)
        self.asked = 0

    def __call__(self, now: datetime) -> Flags:
        self.asked += 1
        if isinstance(self.found, CounterfoilError):
            raise self.found
        return self.found


def test_looking_waits_for_the_first_reading_alone(clock: Clock) -> None:
    source = Source()
    feed = KeptFlags(source, clock)

    for _ in range(3):
        assert len(feed.latest()) == 0
    assert source.asked == 1

    source.found = Flags([RECALLED], as_of=NOON)
    feed.refresh()
    assert codes(feed.latest()) == ["recalled"]
    assert source.asked == 2


def test_an_older_feed_brings_nothing_back(clock: Clock) -> None:
    source = Source()
    source.found = Flags([RECALLED], as_of=NOON)
    feed = KeptFlags(source, clock)
    feed.refresh()

    source.found = Flags([], as_of=NOON - SECOND)
    feed.refresh()
    assert codes(feed.latest()) == ["recalled"]
    source.found = Flags([], as_of=NOON)
    feed.refresh()
    assert codes(feed.latest()) == []


@pytest.mark.parametrize(
    "trouble",
    [Unavailable("expected a feed, found nobody"), Malformed("a feed", "bytes", "flags")],
)
def test_a_silent_or_broken_feed_leaves_what_was_known_and_its_age(
    clock: Clock, trouble: CounterfoilError
) -> None:
    source = Source()
    source.found = trouble
    feed = KeptFlags(source, clock)
    assert _unknown(feed, clock) == ["flags-unreachable"]
    assert _unknown(feed, clock) == ["flags-unreachable"]
    assert source.asked == 1, "who stands at the counter waits for it once"

    source.found = Flags([], as_of=NOON)
    feed.refresh()
    source.found = trouble
    with pytest.raises(type(trouble)):
        feed.refresh()

    assert _unknown(feed, clock) == []
    clock.advance(DAY)
    assert _unknown(feed, clock) == []
    clock.advance(SECOND)
    assert _unknown(feed, clock) == ["flags-too-old"]


def _unknown(feed: KeptFlags, clock: Callable[[], datetime]) -> list[str]:
    return [reason.code for reason in judge_item(ITEM, feed, now=clock()).unknown]
