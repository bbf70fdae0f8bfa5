"""The points service for apps: earn, look, exchange and redeem in plain words.

    client = PointsClient(fetcher, "https://points.example")
    accounts = PointsAccounts(secret)                      # the wallet keeps the secret
    client.balances(accounts)                              # {brand: Points}
    quote = client.quote(Points(audio, 10_00), bicycle)
    client.exchange(quote, accounts, exchange_id)          # as quoted, or not at all
    client.redeem(Points(bicycle, 5_00), accounts, redemption_id, now=now)

Requests carry signatures made here; the service is trusted with nothing but
its work. Each may be sent again with the same id and happens once. Raises
`Refused` with the service's reasons, and `Unavailable` when no answer came or
the points are still under way: ask again with the same id.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote as percent

from counterfoil_credentials.answers import answer_of
from counterfoil_credentials.encoding import (
    JsonObject,
    as_object,
    compact_json,
    int_at,
    list_at,
    object_at,
    optional_int_at,
    optional_text_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Reason, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher, Response
from counterfoil_credentials.spec import JSON_MEDIA_TYPE

from counterfoil_loyalty.accounts import Account, PointsAccounts, Signer, account_from
from counterfoil_loyalty.claim_answers import cover_from
from counterfoil_loyalty.intents import (
    Award,
    Redemption,
    Registration,
    Swap,
    Terms,
    Venue,
    sign_by_brand,
    sign_by_customer,
)
from counterfoil_loyalty.keccak import award_ref
from counterfoil_loyalty.ledger import Cover
from counterfoil_loyalty.pending_awards import MOST_LISTED, AwardState
from counterfoil_loyalty.points import Points
from counterfoil_loyalty.programme_rules import Use
from counterfoil_loyalty.rates import USUAL_LIMITS, Limits, Rate, makes_value
from counterfoil_loyalty.supply_growth import Growth
from counterfoil_loyalty.transfers import Transfer

_WHO = "points service"
_ATTEMPTS = 4
_PENDING = "pending[]"
_SPEND_WITHIN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Programme:
    """One brand's points as the service lists them. `price`: see rates.py.

    They expire after `inactivity_s` seconds in which the holder did nothing; 0 is never.
    """

    brand: str
    name: str
    symbol: str
    token: Account
    issuer: Account
    price: int
    inactivity_s: int = 0


@dataclass(frozen=True, slots=True)
class Quote:
    """What an exchange gives: `receives` or more, or nothing is exchanged.

    It is signed before `expires_at` (unix seconds), under the terms of that `version`.
    `fee_units` of the received brand are what the points are worth beyond `receives`,
    by both brands' prices: what the rate keeps back, and what is lost by rounding.
    `cover` is what stands behind the giving brand's debt to the other; None in one that
    was kept.
    """

    gives: Points
    receives: Points
    rate: Rate
    version: int
    expires_at: int
    fee_units: int = 0
    cover: Cover | None = None


@dataclass(frozen=True, slots=True)
class Exchanged:
    """An exchange that happened. `value` is what the first brand owes the second."""

    gave: Points
    received: Points
    value: int
    intent: str
    transaction: str


@dataclass(frozen=True, slots=True)
class Voucher:
    """What redeemed points became; `reference` is shown at the counter."""

    reference: str
    points: Points
    transaction: str


@dataclass(frozen=True, slots=True)
class Given:
    """Points that went to another customer."""

    points: Points
    transaction: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a customer's history. `units` is below zero for points that left.

    `kind` and `reference` as in `store.Movement`; `at` is in unix seconds. For an exchange,
    `other_brand` and `other_units` are the other side; for a transfer, `other_account` is.
    One that is not final may still be undone by the chain.
    """

    brand: str
    account: Account
    units: int
    kind: str
    reference: str
    at: int
    block: int
    transaction: str
    other_brand: str | None = None
    other_units: int | None = None
    other_account: Account | None = None
    is_final: bool = True


@dataclass(frozen=True, slots=True)
class Waiting:
    """An award that waits, or did: in no balance before it is released, from `available_at` on.

    `reference` is the award's ref, times are in unix seconds.
    """

    brand: str
    units: int
    reference: str
    at: int
    available_at: int
    state: AwardState


@dataclass(frozen=True, slots=True)
class Supply:
    """All points in existence, by brand in base units, and what they are worth together.

    `growths` are those of the last period, for `supply_growth.alarming`.
    """

    units: Mapping[str, int]
    total_value: int
    growths: tuple[Growth, ...] = ()


class PointsClient:
    """One points service at its public `origin`."""

    def __init__(self, fetcher: Fetcher, origin: str) -> None:
        self._fetcher = fetcher
        self._origin = origin.rstrip("/")
        self._listing: JsonObject | None = None

    # The brand's side

    def sign_registration(
        self, issuer: Signer, *, brand: str, name: str, symbol: str, price: int
    ) -> JsonObject:
        """Give the brand's signed wish for points of its own, for the service's operator."""
        registration = Registration(
            brand=brand, name=name, symbol=symbol, issuer=issuer.account, price=price
        )
        signature = sign_by_brand(registration, self.venue(), issuer)
        return {
            "brand": brand,
            "name": name,
            "symbol": symbol,
            "issuer": issuer.account,
            "price": price,
            "signature": signature.hex(),
        }

    def register(self, registration: JsonObject, *, operator_key: str) -> Programme:
        """Admit a brand: its points come into being; again and again is once.

        Only the service's operator can: a brand's name belongs to whom the
        operator says, never to whoever comes first.
        """
        bearer = {"Authorization": f"Bearer {operator_key}"}
        return _programme(self._post("/brands", registration, headers=bearer))

    def terms(
        self,
        giver: str,
        taker: str,
        rate: Rate,
        *,
        version: int,
        ends_at: int,
        limits: Limits = USUAL_LIMITS,
    ) -> Terms:
        """Give the terms that both brands then sign; `ends_at` in unix seconds."""
        # Not what was listed before: a price may have changed.
        self.relist()
        from_, to = self.programme(giver), self.programme(taker)
        return Terms(
            token_in=from_.token,
            token_out=to.token,
            rate=rate,
            price_in=from_.price,
            price_out=to.price,
            version=version,
            ends_at=ends_at,
            limits=limits,
        )

    def sign_terms(self, terms: Terms, issuer: Signer) -> bytes:
        """Give one brand's signature under terms."""
        return sign_by_brand(terms, self.venue(), issuer)

    def agree(self, terms: Terms, signature_from: bytes, signature_to: bytes) -> None:
        """Put terms into force; the same terms again change nothing."""
        names = {programme.token: programme.brand for programme in self.programmes()}
        body: JsonObject = {
            "from": names[terms.token_in],
            "to": names[terms.token_out],
            "numerator": terms.rate.numerator,
            "denominator": terms.rate.denominator,
            "price_from": terms.price_in,
            "price_to": terms.price_out,
            "version": terms.version,
            "ends_at": terms.ends_at,
            "notice": terms.limits.notice_s,
            "quota": terms.limits.quota,
            "customer_quota": terms.limits.customer_quota,
            "epoch": terms.limits.epoch_s,
            "credit": terms.limits.credit,
            "signature_from": signature_from.hex(),
            "signature_to": signature_to.hex(),
        }
        self._post("/terms", body)

    def award(
        self,
        issuer: Signer,
        points: Points,
        account: Account,
        *,
        order: str,
        secret: bytes,
        kind: str = "purchase",
    ) -> str:
        """Award points for an order, once per brand, order and kind; give the award's ref.

        `secret` is the brand's own and stays the same for ever: see `award_ref`.
        """
        ref = award_ref(points.brand, order, kind, secret=secret)
        award = Award(
            token=self.programme(points.brand).token, to=account, amount=points.units, ref=ref
        )
        body: JsonObject = {
            "brand": points.brand,
            "account": account,
            "amount": points.units,
            "ref": ref.hex(),
            "signature": sign_by_brand(award, self.venue(), issuer).hex(),
        }
        self._post("/awards", body, headers=_idempotent(ref))
        return ref.hex()

    # The customer's side

    def balances(self, accounts: PointsAccounts) -> dict[str, Points]:
        """Give what the customer holds with each brand that the service knows."""
        found: dict[str, Points] = {}
        for programme in self.programmes():
            account = accounts.of(programme.brand).account
            answer = self._get(f"/accounts/{account}/balances")
            units = 0
            for entry in list_at(answer, "balances", "balances"):
                balance = as_object(entry, "balances[]")
                if text_at(balance, "brand", "balances[]") == programme.brand:
                    units = int_at(balance, "units", "balances[]")
            found[programme.brand] = Points(programme.brand, units)
        return found

    def history(self, accounts: PointsAccounts) -> list[Entry]:
        """Give every movement of the customer's points, oldest first, with its source."""
        found: list[Entry] = []
        for programme in self.programmes():
            account = accounts.of(programme.brand).account
            after: int | None = -1
            while after is not None:
                page, after = self.history_page(account, after=after)
                found += page
        return sorted(found, key=lambda entry: (entry.block, entry.transaction, entry.units))

    def quote(self, gives: Points, to: str) -> Quote:
        """Give what an exchange would bring now, checked against the brands' prices."""
        path = f"/quote?from={percent(gives.brand, '')}&to={percent(to, '')}&amount={gives.units}"
        answer = self._get(path)
        rate = Rate(int_at(answer, "numerator", "quote"), int_at(answer, "denominator", "quote"))
        receives = Points(to, int_at(answer, "receives", "quote"))
        prices = (int_at(answer, "price_from", "quote"), int_at(answer, "price_to", "quote"))
        is_off = rate.of(gives.units) != receives.units
        if is_off or makes_value(gives.units, prices[0], receives.units, prices[1]):
            raise Malformed("a quote that follows from its rate and prices", "another", "quote")
        version = int_at(answer, "version", "quote")
        worth = gives.units * prices[0] // prices[1]
        expires_at = int_at(answer, "expires_at", "quote")
        fee_units = worth - receives.units
        cover = cover_from(answer, "quote")
        return Quote(gives, receives, rate, version, expires_at, fee_units, cover)

    def exchange(self, quote: Quote, accounts: PointsAccounts, exchange_id: bytes) -> Exchanged:
        """Exchange as quoted, at that rate or better, or not at all.

        `exchange_id` is 32 bytes of the app's choice: sent again, it happens once.
        """
        giver, taker = self.programme(quote.gives.brand), self.programme(quote.receives.brand)
        signer = accounts.of(giver.brand)
        swap = Swap(
            holder=signer.account,
            token_in=giver.token,
            token_out=taker.token,
            amount_in=quote.gives.units,
            least_out=quote.receives.units,
            recipient=accounts.of(taker.brand).account,
            version=quote.version,
            deadline=quote.expires_at,
            swap_id=exchange_id,
        )
        body: JsonObject = {
            "from": giver.brand,
            "to": taker.brand,
            "holder": swap.holder,
            "recipient": swap.recipient,
            "amount": swap.amount_in,
            "least": swap.least_out,
            "version": swap.version,
            "deadline": swap.deadline,
            "id": exchange_id.hex(),
            "signature": sign_by_customer(swap, self.venue(), signer).hex(),
        }
        answer = self._post("/exchanges", body, headers=_idempotent(exchange_id))
        return Exchanged(
            Points(giver.brand, int_at(answer, "amount", "exchange")),
            Points(taker.brand, int_at(answer, "received", "exchange")),
            int_at(answer, "value", "exchange"),
            text_at(answer, "intent", "exchange"),
            text_at(answer, "transaction", "exchange"),
        )

    def redeem(
        self,
        points: Points,
        accounts: PointsAccounts,
        redemption_id: bytes,
        *,
        now: datetime,
        use: Use | None = None,
    ) -> Voucher:
        """Turn points into a voucher.

        `redemption_id` is 32 bytes of the app's choice: sent again, it gives the same voucher.
        `use` says what the points become, where the brand has rules.
        """
        signer = accounts.of(points.brand)
        redemption = Redemption(
            token=self.programme(points.brand).token,
            holder=signer.account,
            amount=points.units,
            redemption_id=redemption_id,
            deadline=int((now + _SPEND_WITHIN).timestamp()),
        )
        body: JsonObject = {
            "brand": points.brand,
            "holder": redemption.holder,
            "amount": points.units,
            "id": redemption_id.hex(),
            "deadline": redemption.deadline,
            "signature": sign_by_customer(redemption, self.venue(), signer).hex(),
        }
        if use is not None:
            body["use"] = use.value
        answer = self._post("/redemptions", body, headers=_idempotent(redemption_id))
        voucher = text_at(answer, "voucher", "redemption")
        return Voucher(voucher, points, text_at(answer, "transaction", "redemption"))

    def transfer(
        self,
        points: Points,
        taker: Account,
        accounts: PointsAccounts,
        transfer_id: bytes,
        *,
        now: datetime,
    ) -> Given:
        """Give points to another customer's account; nobody can take them back.

        `transfer_id` is 32 bytes of the app's choice: sent again, it happens once.
        """
        signer = accounts.of(points.brand)
        transfer = Transfer(
            token=self.programme(points.brand).token,
            giver=signer.account,
            taker=taker,
            amount=points.units,
            transfer_id=transfer_id,
            deadline=int((now + _SPEND_WITHIN).timestamp()),
        )
        body: JsonObject = {
            "brand": points.brand,
            "giver": transfer.giver,
            "taker": taker,
            "amount": points.units,
            "id": transfer_id.hex(),
            "deadline": transfer.deadline,
            "signature": sign_by_customer(transfer, self.venue(), signer).hex(),
        }
        answer = self._post("/transfers", body, headers=_idempotent(transfer_id))
        return Given(points, text_at(answer, "transaction", "transfer"))

    def history_page(self, account: Account, *, after: int = -1) -> tuple[list[Entry], int | None]:
        """Give the next of one account's movements above block `after`, oldest first.

        The number beside them is the next `after`; None when there are no more.
        """
        answer = self._get(f"/accounts/{account}/history?after={after}")
        listed = list_at(answer, "history", "history")
        entries = [_entry(as_object(it, "history[]"), account) for it in listed]
        following = None if answer.get("next") is None else int_at(answer, "next", "history")
        if following is not None and following <= after:
            raise Malformed("a next page behind this one", "an earlier one", "history.next")
        return entries, following

    def waiting(self, account: Account) -> list[Waiting]:
        """Give the awards to one account that wait or did, the newest first."""
        answer = self._get(f"/accounts/{account}/pending")
        listed = list_at(answer, "pending", "pending")[:MOST_LISTED]
        return [waiting_from(as_object(it, _PENDING), _PENDING) for it in listed]

    # What everybody may see

    def programmes(self) -> list[Programme]:
        """Give the brands with points here."""
        self.relist()
        return self._listed()

    def relist(self) -> None:
        """Forget what was listed: names and prices are asked for again when they are needed."""
        self._listing = None

    def programme(self, brand: str) -> Programme:
        """Give one brand's points; raises `Refused` for a brand without."""
        # What is listed stays as it is; only a brand that is not there asks again.
        for programmes in (self._listed, self.programmes):
            for programme in programmes():
                if programme.brand == brand:
                    return programme
        raise Refused(Reason("unknown-brand", "a brand with points", "another", "brand"))

    def venue(self) -> Venue:
        """Give where signatures are valid."""
        answer = self._brands()
        places = (
            account_from(text_at(answer, name, "brands"), f"brands.{name}")
            for name in ("exchange", "clearing", "peer_swap")
        )
        return Venue(int_at(answer, "chain_id", "brands"), *places)

    def claim(self, debtor: str, creditor: str) -> JsonObject:
        """Give what one brand owes another; `brand_desk.claim_between` reads it."""
        return self._get(f"/claims?debtor={percent(debtor, '')}&creditor={percent(creditor, '')}")

    def supply(self) -> Supply:
        """Give all points in existence and what they are worth together."""
        answer = self._get("/supply")
        rows = [as_object(entry, "supply[]") for entry in list_at(answer, "brands", "supply")]
        growths = tuple(
            Growth(
                text_at(row, "brand", "supply[]"),
                int_at(row, "units_before", "supply[]"),
                int_at(row, "units", "supply[]"),
            )
            for row in rows
        )
        units = {it.brand: it.now for it in growths}
        return Supply(units, int_at(answer, "total_value", "supply"), growths)

    def events(self) -> list[JsonObject]:
        """Give every event of the chain, oldest first, as the service decodes it."""
        return list(self._pages("/events", "events"))

    def ask(self, path: str) -> JsonObject:
        """Give the service's answer at `path`."""
        return self._get(path)

    def events_after(self, block: int) -> list[JsonObject]:
        """Give the events of one page of whole blocks above `block`."""
        rows = list_at(self._get(f"/events?after={block}"), "events", "events")
        return [as_object(row, "events[]") for row in rows]

    def send(
        self,
        path: str,
        body: JsonObject,
        *,
        key: bytes | None = None,
        operator_key: str | None = None,
    ) -> JsonObject:
        """Send something signed, again until it is done; `key` is its ref or id, where it has one.

        `operator_key` is for what the service's operator alone lets in. Raises `Unavailable`
        while it is under way still: the same again asks how it stands.
        """
        headers = {} if key is None else dict(_idempotent(key))
        if operator_key is not None:
            headers["Authorization"] = f"Bearer {operator_key}"
        return self._post(path, body, headers=headers or None)

    def _listed(self) -> list[Programme]:
        brands = list_at(self._brands(), "brands", "brands")
        return [_programme(as_object(entry, "brands[]")) for entry in brands]

    def _brands(self) -> JsonObject:
        if self._listing is None:
            self._listing = self._get("/brands")
        return self._listing

    def _pages(self, path: str, name: str) -> Sequence[JsonObject]:
        found: list[JsonObject] = []
        after: int | None = -1
        while after is not None:
            answer = self._get(f"{path}?after={after}")
            found += [as_object(entry, f"{name}[]") for entry in list_at(answer, name, name)]
            following = (
                None if answer.get("next") is None else optional_int_at(answer, "next", name)
            )
            if following is not None and following <= after:
                raise Malformed("a next page behind this one", "an earlier one", f"{name}.next")
            after = following
        return found

    def _get(self, path: str) -> JsonObject:
        return _body(self._fetcher.get(self._origin + path, accept=JSON_MEDIA_TYPE))

    def _post(
        self, path: str, body: JsonObject, *, headers: Mapping[str, str] | None = None
    ) -> JsonObject:
        for _ in range(_ATTEMPTS):
            response = self._fetcher.post(
                self._origin + path, compact_json(body), media_type=JSON_MEDIA_TYPE, headers=headers
            )
            if response.status != 202:  # 202: taken in; the same request again asks how it stands.
                return _body(response)
        raise Unavailable(f"expected {path} to be done by now, found it still under way")


def _idempotent(name: bytes) -> Mapping[str, str]:
    return {"Idempotency-Key": name.hex()}


def _body(response: Response) -> JsonObject:
    if response.status == 401:
        raise Refused(Reason("not-the-operator", "the operator's key", "another", _WHO))
    return answer_of(response, _WHO)


def _programme(obj: JsonObject) -> Programme:
    policy = None if obj.get("policy") is None else object_at(obj, "policy", "brands[]")
    return Programme(
        brand=text_at(obj, "brand", "brands[]"),
        name=text_at(obj, "name", "brands[]"),
        symbol=text_at(obj, "symbol", "brands[]"),
        token=account_from(text_at(obj, "token", "brands[]"), "brands[].token"),
        issuer=account_from(text_at(obj, "issuer", "brands[]"), "brands[].issuer"),
        price=int_at(obj, "price", "brands[]"),
        inactivity_s=0 if policy is None else int_at(policy, "inactivity", "brands[].policy"),
    )


def _entry(obj: JsonObject, account: Account) -> Entry:
    obj = {name: value for name, value in obj.items() if value is not None}
    other = optional_text_at(obj, "other_account", "history[]")
    is_final = obj.get("final")
    if not isinstance(is_final, bool):
        raise Malformed("true or false", "another value", "history[].final")
    return Entry(
        brand=text_at(obj, "brand", "history[]"),
        account=account,
        units=int_at(obj, "units", "history[]"),
        kind=text_at(obj, "kind", "history[]"),
        reference=text_at(obj, "reference", "history[]"),
        at=int_at(obj, "at", "history[]"),
        block=int_at(obj, "block", "history[]"),
        transaction=text_at(obj, "transaction", "history[]"),
        other_brand=optional_text_at(obj, "other_brand", "history[]"),
        other_units=optional_int_at(obj, "other_units", "history[]"),
        other_account=None if other is None else account_from(other, "history[].other_account"),
        is_final=is_final,
    )


def waiting_from(obj: JsonObject, where: str) -> Waiting:
    """Read an award that waits; `Malformed` for another thing."""
    try:
        state = AwardState(text_at(obj, "state", where))
    except ValueError as cause:
        raise Malformed("pending, released or cancelled", "another", f"{where}.state") from cause
    return Waiting(
        brand=text_at(obj, "brand", where),
        units=int_at(obj, "units", where),
        reference=text_at(obj, "reference", where),
        at=int_at(obj, "at", where),
        available_at=int_at(obj, "available_at", where),
        state=state,
    )
