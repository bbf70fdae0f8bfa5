"""A customer's points, as her app shows them: `Wallet.points`, filled with the wallet itself.

    wallet.points = points = CustomerPoints(wallet, fetcher, "https://points.example")
    points.join("https://audio.example")       # what the brand is told, so that it can award
    points.check()                             # asks; what could not be asked stays as it was
    quote = points.quote(Points("https://audio.example", 10_00), "https://bicycle.example")
    points.exchange(quote)                     # as quoted or better, or nothing is exchanged

`balances`, `history` and `chart` ask nobody: they are of the copy in the wallet, each with the
time at which it was seen. Each brand's account is asked about in a request of its own.
"""

import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, tzinfo
from typing import TypeVar

from counterfoil_credentials.encoding import JsonObject, int_at, text_at
from counterfoil_credentials.errors import Malformed, Reason, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher

from counterfoil_loyalty.accounts import Account, account_from
from counterfoil_loyalty.client import Entry, Exchanged, Given, PointsClient, Quote, Voucher
from counterfoil_loyalty.expiry_calendar import Expiring, expires_on, last_used_at
from counterfoil_loyalty.keeping import Keeper
from counterfoil_loyalty.payment_codes import PaymentCode, proved_name, read_payment_code
from counterfoil_loyalty.pending_awards import AwardState
from counterfoil_loyalty.points import Points
from counterfoil_loyalty.points_book import PointsBook
from counterfoil_loyalty.programme_rules import Use
from counterfoil_loyalty.purse_copy import TRADED, BrandCopy, blank_copy, by_day, renewed
from counterfoil_loyalty.purse_views import (
    Balance,
    Line,
    Payee,
    Promise,
    balance_of,
    lines_of,
    promises_of,
)
from counterfoil_loyalty.rates import Rate
from counterfoil_loyalty.wishes import Wish, Wishes

_MOST_PAGES = 200
_Done = TypeVar("_Done")


@dataclass(frozen=True, slots=True)
class Resumed:
    """What became of what had no answer: done, refused (nothing moved), or still without one."""

    done: tuple[Exchanged | Voucher | Given, ...]
    refused: tuple[Refused, ...]
    waiting: int


class CustomerPoints:
    """One customer's points with every brand that she joined. Safe for several threads.

    `keeper` is her wallet. `fetcher` asks `origin`, the points service. Raises `Refused`
    where nothing moved, `Unavailable` where that could not be found out: the same call again
    goes on, and so does `resume`.
    """

    def __init__(
        self,
        keeper: Keeper,
        fetcher: Fetcher,
        origin: str,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._book = PointsBook(keeper)
        self._fetcher = fetcher
        self._client = PointsClient(fetcher, origin)
        self._clock = clock
        self._random = random
        self._lock = threading.Lock()
        self._wishes = Wishes(keeper)

    # What is there.

    def join(self, brand: str) -> str:
        """Begin to collect with a brand, and give what it must be told to award points.

        Raises `Refused` with `unknown-brand`, or `too-many-brands`.
        """
        account = self._book.account(brand)
        if brand not in self._book.brands():
            self._book.join(blank_copy(self._client.programme(brand), account, self._ledger()))
        return account

    def leave(self, brand: str) -> None:
        """Forget what was seen of a brand; the points stay hers, and `join` finds them again."""
        self._book.leave(brand)

    def check(self) -> dict[str, Balance]:
        """Ask about each brand, one after another, and keep what is answered.

        What could not be found out is given as it was, with `failed`; it is never fresh.
        """
        self._client.relist()
        return {brand: self._checked(brand) for brand in self._book.brands()}

    def balances(self) -> dict[str, Balance]:
        """Give what was last seen of each brand; nobody is asked."""
        return {brand: balance_of(copy) for brand, copy in self._book.copies().items()}

    def history(
        self, brand: str | None = None, *, older_than: Line | None = None, size: int = 50
    ) -> list[Line]:
        """Give a page of movements as last seen, the newest first, of one brand or of all.

        The next page is `older_than` the last line of this one. Nobody is asked.
        """
        notes, contacts = self._book.notes(), self._book.contacts()
        lines = [
            line
            for copy in self._book.copies().values()
            if brand in (None, copy.brand)
            for line in lines_of(copy, notes=notes, contacts=contacts)
        ]
        lines.sort(key=lambda line: line.place, reverse=True)
        if older_than is not None:
            lines = [line for line in lines if line.place < older_than.place]
        return lines[:size]

    def promises(self, *states: AwardState) -> list[Promise]:
        """Give the awards that wait, or are in one of `states`, as last seen; the next one first.

        Nobody is asked.
        """
        notes, wanted = self._book.notes(), states or (AwardState.PENDING,)
        found = [
            promise
            for copy in self._book.copies().values()
            for promise in promises_of(copy, notes=notes)
            if promise.state in wanted
        ]
        return sorted(found, key=lambda promise: promise.available_at)

    def chart(self, brand: str, zone: tzinfo) -> list[tuple[date, Points]]:
        """Give what was held at the end of each day of `zone`, the oldest first, as last seen."""
        return by_day(self._book.copy(brand), zone)

    def expiring(self) -> list[Expiring]:
        """Give what expires when she does nothing, as last seen, the nearest first.

        By each brand's public rule: for `due_reminders`. Nobody is asked.
        """
        found: list[Expiring] = []
        for brand, copy in self._book.copies().items():
            used_at = last_used_at(copy.entries)
            if used_at is not None:
                one = expires_on(Points(brand, copy.units), used_at, copy.inactivity_s)
                found += [] if one is None else [one]
        return sorted(found, key=lambda it: (it.at, it.points.brand))

    def keep_note(self, reference: str, note: str) -> None:
        """Keep beside an award's reference the order that the brand's receipt names."""
        self._book.note(reference, note)

    # Exchange and redeem.

    def quote(self, gives: Points, to: str) -> Quote:
        """Give what an exchange would bring now, its fee and its end; raises `Refused`."""
        return self._client.quote(gives, to)

    def exchange(self, quote: Quote) -> Exchanged:
        """Exchange as quoted or better, or not at all; once, however often it is called.

        Raises `Refused` when the price moved or the quote ended: nothing was exchanged.
        """
        self.join(quote.receives.brand)
        return self._once("exchange", _quote_json(quote), self._exchange)

    def redeem(self, points: Points, use: Use | None = None) -> Voucher:
        """Turn points into a voucher, once: the same call after `Unavailable` gives the same.

        `use` says what the points become, where the brand has rules.
        """
        body: JsonObject = {"brand": points.brand, "units": points.units}
        if use is not None:
            body["use"] = use.value
        return self._once("redeem", body, self._redeem)

    # Give to another customer.

    def code(
        self, brand: str, units: int | None = None, *, name_credential: str | None = None
    ) -> str:
        """Give the text of a QR code by which another customer gives her points of `brand`.

        `name_credential` is what the brand signed about her name (`payment_codes.py`): who
        reads the code then knows her name, and pays nobody else by mistake.
        """
        return PaymentCode(
            token=self._client.programme(brand).token,
            chain_id=self._client.venue().chain_id,
            receiver=Account(self.join(brand)),
            units=units,
            name_credential=name_credential,
        ).to_text()

    def payee(self, code: str) -> Payee:
        """Give who a scanned code says is to have points; show it before `give`.

        Raises `Malformed` for a code that was misread, `Refused` for one of another ledger
        (`other-ledger`), of unknown points, of her own account (`own-account`), and for a name
        that the brand did not sign for this receiver; `Unavailable` where that could not be
        found out.
        """
        read = read_payment_code(code)
        if read.chain_id != self._client.venue().chain_id:
            raise _refused("other-ledger", "a code for these points", "one of another ledger")
        programmes = [it for it in self._client.programmes() if it.token == read.token]
        if not programmes:
            raise _refused("unknown-points", "points of a brand here", "others")
        brand, name = programmes[0].brand, programmes[0].name
        if read.receiver == self._book.account(brand):
            raise _refused("own-account", "another customer", "herself")
        proved = None
        if read.name_credential is not None:
            proved = proved_name(
                read.name_credential,
                read.receiver,
                brand=brand,
                fetcher=self._fetcher,
                now=self._clock(),
            )
        return Payee(
            brand=brand,
            brand_name=name,
            asked=None if read.units is None else Points(brand, read.units),
            proved_name=proved,
            contact=self._book.contacts().get(read.receiver),
            receiver=read.receiver,
        )

    def remember(self, payee: Payee, name: str) -> None:
        """Put who was shown into the contact book; `Refused` with `too-many-contacts`."""
        self._book.remember(payee.receiver, name)

    def give(
        self,
        payee: Payee,
        points: Points,
        *,
        was_warned: bool,
        even_to_somebody_nobody_named: bool = False,
    ) -> Given:
        """Give points to another customer, once: nobody can take them back.

        `was_warned`: she was shown the payee and that. Raises `Refused` with `not-warned`, with
        `payee-unnamed` where neither the brand nor her contact book says who this is, unless
        `even_to_somebody_nobody_named`, with `other-points`, and for what the ledger refuses.
        """
        if not was_warned:
            raise _refused("not-warned", "a customer who knows that nothing undoes it", "another")
        known = payee.proved_name or self._book.contacts().get(payee.receiver)
        if known is None and not even_to_somebody_nobody_named:
            raise _refused("payee-unnamed", "a receiver whom somebody named", "one without a name")
        if points.brand != payee.brand:
            raise _refused("other-points", "points of the code's brand", "another brand's")
        body: JsonObject = {
            "brand": points.brand,
            "units": points.units,
            "receiver": payee.receiver,
        }
        return self._once("give", body, self._give)

    # What was under way.

    def resume(self) -> Resumed:
        """Ask again for everything that has no answer yet; each happens once, or not at all."""
        done: list[Exchanged | Voucher | Given] = []
        refused: list[Refused] = []
        verbs: Mapping[str, Callable[[Wish], Exchanged | Voucher | Given]] = {
            "exchange": self._exchange,
            "redeem": self._redeem,
            "give": self._give,
        }
        for wish in self._wishes.all():
            try:
                done.append(self._sent(wish, verbs[wish.kind]))
            except Refused as refusal:
                refused.append(refusal)
            except Unavailable:
                continue
        return Resumed(tuple(done), tuple(refused), len(self._wishes.all()))

    def _exchange(self, wish: Wish) -> Exchanged:
        return self._client.exchange(_quote_from(wish.body), self._book.accounts, wish.wish_id)

    def _redeem(self, wish: Wish) -> Voucher:
        points = _points_in(wish.body)
        at = datetime.fromtimestamp(wish.begun_at, UTC)
        use = Use(text_at(wish.body, "use", "wish")) if "use" in wish.body else None
        voucher = self._client.redeem(points, self._book.accounts, wish.wish_id, now=at, use=use)
        self._book.note(wish.wish_id.hex(), voucher.reference)
        return voucher

    def _give(self, wish: Wish) -> Given:
        receiver = account_from(text_at(wish.body, "receiver", "wish"), "wish.receiver")
        at = datetime.fromtimestamp(wish.begun_at, UTC)
        points = _points_in(wish.body)
        return self._client.transfer(points, receiver, self._book.accounts, wish.wish_id, now=at)

    def _once(self, kind: str, body: JsonObject, send: Callable[[Wish], _Done]) -> _Done:
        # An export may bring in what another wallet, with another secret, had under way.
        brand = text_at(body, "brand", "wish")
        whole: JsonObject = {**body, "account": self._book.account(brand)}
        now = int(self._clock().timestamp())
        with self._lock:
            wish = self._wishes.begin(kind, whole, now=now, random=self._random)
        return self._sent(wish, send)

    def _sent(self, wish: Wish, send: Callable[[Wish], _Done]) -> _Done:
        brand = text_at(wish.body, "brand", "wish")
        if text_at(wish.body, "account", "wish") != self._book.account(brand):
            self._end(wish)
            raise _refused("of-another-wallet", "what this wallet asked for", "another's")
        try:
            done = send(wish)
        except Refused:
            self._end(wish)
            raise
        self._end(wish)
        for moved in {brand, *([text_at(wish.body, "to", "wish")] if "to" in wish.body else [])}:
            self._checked(moved)
        return done

    def _end(self, wish: Wish) -> None:
        with self._lock:
            self._wishes.end(wish)

    # The copy.

    def _checked(self, brand: str) -> Balance:
        known = self._book.copy(brand)
        try:
            copy = self._looked(known)
        except (Unavailable, Malformed, Refused) as why:
            return balance_of(known, failed=str(why))
        self._book.put(copy)
        return balance_of(copy, is_fresh=True)

    def _looked(self, known: BrandCopy) -> BrandCopy:
        """Ask for what came after the copy, page by page."""
        programme, ledger = self._client.programme(known.brand), self._ledger()
        if known.ledger not in ("", ledger):
            # Movements of two ledgers are never added up; `leave` drops those of the other.
            raise _refused("other-ledger", "the ledger that was seen before", "another")
        fresh: list[Entry] = []
        after = known.settled
        for _ in range(_MOST_PAGES):
            page, following = self._client.history_page(known.account, after=after)
            trades = self._client.venue().peer_swap
            fresh += [replace(it, kind=TRADED) if it.other_account == trades else it for it in page]
            if following is None:
                blank = blank_copy(programme, known.account, ledger)
                whole = replace(
                    blank, carried=known.carried, dropped=known.dropped, entries=known.entries
                )
                seen_at = int(self._clock().timestamp())
                waiting = self._client.waiting(known.account)
                return renewed(whole, fresh, seen_at=seen_at, waiting=waiting)
            after = following
        raise Malformed(f"a history of at most {_MOST_PAGES} pages", "more", "history")

    def _ledger(self) -> str:
        venue = self._client.venue()
        return f"{venue.chain_id} {venue.exchange}"


def _points_in(body: JsonObject) -> Points:
    return Points(text_at(body, "brand", "wish"), int_at(body, "units", "wish"))


def _quote_json(quote: Quote) -> JsonObject:
    return {
        "brand": quote.gives.brand,
        "units": quote.gives.units,
        "to": quote.receives.brand,
        "least": quote.receives.units,
        "numerator": quote.rate.numerator,
        "denominator": quote.rate.denominator,
        "version": quote.version,
        "expires_at": quote.expires_at,
        "fee": quote.fee_units,
    }


def _quote_from(body: JsonObject) -> Quote:
    return Quote(
        gives=_points_in(body),
        receives=Points(text_at(body, "to", "wish"), int_at(body, "least", "wish")),
        rate=Rate(int_at(body, "numerator", "wish"), int_at(body, "denominator", "wish")),
        version=int_at(body, "version", "wish"),
        expires_at=int_at(body, "expires_at", "wish"),
        fee_units=int_at(body, "fee", "wish"),
    )


def _refused(code: str, expected: str, found: str) -> Refused:
    return Refused(Reason(code, expected, found, "points"))
