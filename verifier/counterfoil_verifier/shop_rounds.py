"""What an open shop does by itself while it serves, and what somebody has to see to.

    folder    presets, trust and what was taken along, when their files change
    flags     the feed of what is said of items
    results   what the till found out goes to the shop's own service, each once
    lists     the trust lists, to know when they end
    preload   what the till will need without a network

Everything that goes out goes through the shop's one fetcher. A till without a network
does all of it in vain, ever less often, and answers customers meanwhile.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.errors import CounterfoilError, Unavailable
from counterfoil_credentials.fetch import Fetcher

from counterfoil_verifier.flag_feed import KeptFlags
from counterfoil_verifier.flags import MAX_AGE, Flags
from counterfoil_verifier.identity import Certified, Identity
from counterfoil_verifier.results import Service, sync
from counterfoil_verifier.shop_folder import ShopFolder
from counterfoil_verifier.shop_service import (
    OpenShop,
    carried,
    flags_in,
    shop_in,
    take_along,
)
from counterfoil_verifier.shop_trust import ends_of_lists, trust_of
from counterfoil_verifier.shop_upkeep import ResultsTo, key_in
from counterfoil_verifier.trust import Ending, by_time
from counterfoil_verifier.upkeep import Notice, Round, notices_of_ends, notices_of_rounds

FOLDER_EVERY_S: Final = 2
LISTS_EVERY_S: Final = 3_600

LISTS_SOON: Final = timedelta(days=2)
"""A list is mostly published anew every week: a month before its end nothing is amiss."""


class ShopRounds:
    """The rounds of one shop."""

    def __init__(
        self,
        shop: OpenShop,
        *,
        clock: Callable[[], datetime],
        failed: Callable[[str, str], None] = lambda _name, _error: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Do what the settings say; `failed` is told of a failure that is new."""
        self._shop = shop
        self._clock = clock
        self._lists: Sequence[Ending] = ()
        upkeep = shop.folder.settings().upkeep

        def local(name: str, act: Callable[[], object], every_s: float) -> Round:
            return Round(name, act, every_s, is_patient=False, failed=failed, monotonic=monotonic)

        def distant(name: str, act: Callable[[], object], every_s: float) -> Round:
            return Round(name, act, every_s, failed=failed, monotonic=monotonic)

        self.local = [local("folder", shop.reloading.run, FOLDER_EVERY_S)]
        self.distant: list[Round] = []
        if upkeep.flags is not None and shop.flags is not None:
            is_near = upkeep.flags.url is None
            made = (local if is_near else distant)(
                "flags", shop.flags.refresh, upkeep.flags.every_s
            )
            (self.local if is_near else self.distant).append(made)
        if (to := upkeep.results_to) is not None:
            self.distant.append(distant("results", lambda: self._send(to), to.every_s))
        self.distant.append(distant("lists", self._read_lists, LISTS_EVERY_S))
        if (every_s := upkeep.preload_every_s) is not None:
            self.distant.append(distant("preload", lambda: self._take_along(every_s), every_s))

    def run_local(self) -> None:
        """Do what is due and asks nobody."""
        for each in self.local:
            each.run()

    def run_distant(self) -> None:
        """Do what is due and asks others: one after another, so that one thread is enough."""
        for each in self.distant:
            each.run()

    def notices(self) -> list[Notice]:
        """Say what runs out, what is too old and what could not be done."""
        now, shop = self._clock(), self._shop
        found = notices_of_trust(shop.trust.ends(now), self._lists, shop.counter.shop.identity, now)
        found += notices_of_flags(shop.flags, now)
        found += notices_of_rounds([*self.local, *self.distant])
        if shop.reloading.needs_restart:
            found.append(Notice("needs-restart", "settings that are read when it starts"))
        return found

    def _send(self, to: ResultsTo) -> None:
        shop = self._shop
        service = Service(shop.fetcher, to.url, key_in(shop.folder.path, to.key_file))
        sync(shop.store, service, now=self._clock())

    def _read_lists(self) -> None:
        trusted = self._shop.folder.settings().trusted
        self._lists, failures = ends_of_lists(trusted.lists, self._shop.fetcher, self._clock())
        _require_none(failures)

    def _take_along(self, every_s: int) -> None:
        shop, now = self._shop, self._clock()
        kept = shop.folder.preload(now)
        # Of several processes that serve the folder one does it, whichever comes first.
        if kept is not None and now - kept.made_at < timedelta(seconds=every_s / 2):
            return
        _require_none(take_along(shop.folder, shop.fetcher, self._clock)[1].values())


@dataclass(frozen=True, slots=True, kw_only=True)
class RestsOn:
    """What a shop's yes rests on: what of it ends, the feed of flags, and what is amiss."""

    ends: Sequence[Ending]
    flags: Flags | None
    notices: Sequence[Notice]
    failures: int


def rests_on(folder: ShopFolder, fetcher: Fetcher, clock: Callable[[], datetime]) -> RestsOn:
    """Look at all of it once, asking whoever publishes a part of it."""
    now, settings = clock(), folder.settings()
    fetcher = carried(folder, fetcher, clock)
    lists, failures = ends_of_lists(settings.trusted.lists, fetcher, now)
    ends = trust_of(settings.trusted, fetcher, folder.path).ends(now)
    identity = shop_in(folder, settings.public_url or "http://127.0.0.1").identity
    feed, flags = flags_in(folder, fetcher, clock), None
    with suppress(Unavailable):
        flags = None if feed is None else feed.latest()
    return RestsOn(
        ends=by_time([*ends, *lists, *ends_of_identity(identity)]),
        flags=flags,
        notices=[
            *notices_of_trust(ends, lists, identity, now),
            *notices_of_flags(feed, now),
            *(Notice("not-done", f"a trust list: {failure}") for failure in failures),
        ],
        failures=len(failures) + (feed is not None and flags is None),
    )


def ends_of_identity(identity: Identity) -> list[Ending]:
    """Give when the shop's own certificate ends, if it has one."""
    if isinstance(identity, Certified):
        return [Ending("this shop's certificate", identity.ends_at)]
    return []


def notices_of_trust(
    ends: Iterable[Ending], lists: Sequence[Ending], identity: Identity, now: datetime
) -> list[Notice]:
    """Say what of a shop's trust, and of its own certificate, is over or will be soon."""
    named = {ending.what for ending in lists}
    others = [ending for ending in ends if ending.what not in named]
    others += ends_of_identity(identity)
    return [*notices_of_ends(others, now), *notices_of_ends(lists, now, soon=LISTS_SOON)]


def notices_of_flags(feed: KeptFlags | None, now: datetime) -> list[Notice]:
    """Say that the feed of flags is silent, or older than a yes allows."""
    if feed is None:
        return []
    try:
        flags: Flags = feed.latest()
    except Unavailable as silent:
        return [Notice("flags-unreachable", f"the feed of flags: {silent}")]
    if now - flags.as_of <= MAX_AGE:
        return []
    return [Notice("flags-too-old", "the feed of flags", flags.as_of)]


def _require_none(failures: Iterable[CounterfoilError]) -> None:
    each: Iterator[CounterfoilError] = iter(failures)
    if (first := next(each, None)) is not None:
        raise Unavailable(f"{first}, and {sum(1 for _ in each)} more")
