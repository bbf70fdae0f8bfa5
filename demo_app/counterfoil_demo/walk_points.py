"""Step e: points earned once, exchanged at the rate both signed, redeemed, and accounted for."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, TypeVar

from counterfoil_credentials.encoding import JsonObject, int_at, object_at, text_at
from counterfoil_credentials.errors import Refused
from counterfoil_loyalty.client import Exchanged, Quote, Voucher
from counterfoil_loyalty.points import Points
from counterfoil_loyalty.rates import Rate

from counterfoil_demo.houses import AURICLE, VELORUM
from counterfoil_demo.programmes import RATE, TERMS_END_AT, TERMS_VERSION
from counterfoil_demo.report import Step, must
from counterfoil_demo.scene import Scene
from counterfoil_demo.walk_credentials import Purchase
from counterfoil_demo.words import sentence

_MILLION: Final = 1_000_000
_ATTEMPTS: Final = 3
_Done = TypeVar("_Done")


def earn_exchange_redeem(scene: Scene, step: Step, purchase: Purchase) -> None:
    """Award twice and mint once; exchange and redeem, once per purchase whatever is repeated."""
    _open_corridor(scene)
    step.say("rate", rate=f"{RATE.denominator} Auricle → {RATE.numerator} Velorum")
    earned = _award_twice(scene, step, purchase)
    before = scene.points.supply()
    is_first = scene.diary.entry("redeemed") is None
    done = _exchange(scene, purchase, earned)
    if is_first:
        step.say("exchanged", paid=done.gave, received=done.received)
    step.note("exchanged", {"gave": done.gave.units, "received": done.received.units})
    between = scene.points.supply()
    must(between.total_value <= before.total_value, "no value made by exchanging", "some")
    voucher = _redeem(scene, purchase, done.received)
    if is_first:
        step.say("redeemed", amount=voucher.points, voucher=voucher.reference)
    step.note("voucher", voucher.reference)
    after = scene.points.supply()
    must(after.total_value <= between.total_value, "no value made by redeeming", "some")
    if not is_first:
        must(after == before, "nothing to move twice", "a movement")
        step.say("done-before", voucher=voucher.reference)
    step.say(
        "value",
        before=_euros(before.total_value),
        between=_euros(between.total_value),
        after=_euros(after.total_value),
    )
    step.note("value_before", before.total_value)
    step.note("value_between", between.total_value)
    step.note("value_after", after.total_value)
    _compare_histories(scene, step)


def _open_corridor(scene: Scene) -> None:
    for brand in (scene.auricle, scene.velorum):
        registration = brand.post("/back-office/points/register")
        scene.points.register(registration, operator_key=scene.points_operator_key)
    signatures = [
        bytes.fromhex(text_at(brand.post("/back-office/points/corridor"), "signature", "corridor"))
        for brand in (scene.auricle, scene.velorum)
    ]
    terms = scene.points.terms(
        AURICLE.origin, VELORUM.origin, RATE, version=TERMS_VERSION, ends_at=TERMS_END_AT
    )
    scene.points.agree(terms, *signatures)


def _award_twice(scene: Scene, step: Step, purchase: Purchase) -> Points:
    account = scene.accounts.of(AURICLE.origin).account
    before = scene.points.supply().units[AURICLE.origin]
    asked: JsonObject = {"order": purchase.order, "email": purchase.email, "account": account}
    first, second = (scene.auricle.post("/back-office/points/awards", asked) for _ in range(2))
    must(first == second, "one answer to both", "two answers")
    earned = Points(AURICLE.origin, int_at(first, "units", "award"))
    ref = text_at(first, "ref", "award")
    minted = scene.points.supply().units[AURICLE.origin] - before
    must(minted in (0, earned.units), f"{earned.units} minted once, or before", minted)
    entries = [e for e in scene.points.history(scene.accounts) if e.reference == ref]
    must([e.units for e in entries] == [earned.units], "one award in the history", len(entries))
    times = sentence("minted-once" if minted else "minted-before", step.report.language)
    step.say("awarded", amount=earned, order=purchase.order, times=times)
    step.note("award_ref", ref)
    step.note("awarded_units", earned.units)
    step.note("minted_units", minted)
    return earned


def _exchange(scene: Scene, purchase: Purchase, earned: Points) -> Exchanged:
    """Exchange half of what was earned."""
    half = Points(AURICLE.origin, max(earned.units // 2, RATE.denominator))
    done = _once(
        scene,
        purchase,
        "exchange",
        make=lambda: _quote_to_json(scene.points.quote(half, VELORUM.origin)),
        send=lambda entry, exchange_id: scene.points.exchange(
            _quote_from_json(entry), scene.accounts, exchange_id
        ),
    )
    at_rate = RATE.of(done.gave.units)
    must(done.received.units == at_rate, f"{at_rate} at the signed rate", done.received.units)
    return done


def _redeem(scene: Scene, purchase: Purchase, received: Points) -> Voucher:
    points = Points(VELORUM.origin, max(received.units // 2, 1))
    voucher = _once(
        scene,
        purchase,
        "redemption",
        make=lambda: {"at": int(datetime.now(UTC).timestamp())},
        send=lambda entry, redemption_id: scene.points.redeem(
            points,
            scene.accounts,
            redemption_id,
            now=datetime.fromtimestamp(int_at(entry, "at", "diary"), UTC),
        ),
    )
    scene.diary.write("redeemed", {"voucher": voucher.reference})
    return voucher


def _once(
    scene: Scene,
    purchase: Purchase,
    kind: str,
    *,
    make: Callable[[], JsonObject],
    send: Callable[[JsonObject, bytes], _Done],
    attempt: int = 0,
) -> _Done:
    """Send the request that the diary holds; a new one is on disk before it is sent.

    One that ran out before it was sent is refused and moved nothing: then, a few
    times, another is made under another id.
    """
    name = f"{kind}-{attempt}"
    entry = scene.diary.entry(name) or scene.diary.write(name, make())
    try:
        return send(entry, _id_of(purchase, name))
    except Refused:
        if attempt + 1 == _ATTEMPTS:
            raise
    return _once(scene, purchase, kind, make=make, send=send, attempt=attempt + 1)


def _compare_histories(scene: Scene, step: Step) -> None:
    """Hold the wallet's history against the Transfer events of the chain, token by token."""
    tokens: dict[str, str] = {p.token: p.brand for p in scene.points.programmes()}
    ours = {scene.accounts.of(brand).account for brand in tokens.values()}
    from_chain: Counter[tuple[str, str]] = Counter()
    for event in scene.points.events():
        if text_at(event, "name", "event") != "Transfer":
            continue
        values = object_at(event, "values", "event")
        place = (
            text_at(event, "transaction_id", "event"),
            tokens[text_at(event, "contract", "event")],
        )
        units = int_at(values, "value", "event")
        from_chain[place] += units * (text_at(values, "to", "event") in ours)
        from_chain[place] -= units * (text_at(values, "from", "event") in ours)
    from_wallet: Counter[tuple[str, str]] = Counter()
    history = scene.points.history(scene.accounts)
    for entry in history:
        from_wallet[entry.transaction, entry.brand] += entry.units
    moved = {place: units for place, units in from_chain.items() if units}
    must(moved == dict(from_wallet), "the wallet's history to equal the chain", "a difference")
    balances = {
        brand: points.units for brand, points in scene.points.balances(scene.accounts).items()
    }
    sums = {brand: sum(e.units for e in history if e.brand == brand) for brand in tokens.values()}
    must(balances == sums, "balances to be the sum of the history", "a difference")
    step.say("history", count=len(history))
    step.note("balances", {**balances})


def _id_of(purchase: Purchase, name: str) -> bytes:
    return sha256(f"{name} {purchase.order}".encode()).digest()


def _quote_to_json(quote: Quote) -> JsonObject:
    return {
        "gives": quote.gives.units,
        "receives": quote.receives.units,
        "numerator": quote.rate.numerator,
        "denominator": quote.rate.denominator,
        "version": quote.version,
        "expires_at": quote.expires_at,
    }


def _quote_from_json(obj: JsonObject) -> Quote:
    number = {name: int_at(obj, name, "diary") for name in obj}
    return Quote(
        Points(AURICLE.origin, number["gives"]),
        Points(VELORUM.origin, number["receives"]),
        Rate(number["numerator"], number["denominator"]),
        number["version"],
        number["expires_at"],
    )


def _euros(value: int) -> str:
    return f"€{value // _MILLION}.{value % _MILLION // 100:04d}"
