"""A refund that needs nobody's good will, for the shop that promises and whoever asks for it.

    promised = promise(client, points, to=customer, by=funder, judge=account, salt=salt,
                       funded_before=..., until=...)
    set_aside(client, promised, funder)         # the shop's points wait
    keep(client, promised, judge)               # the judge says "kept": back to the shop
    give_back(client, promised)                 # after `until` anybody may: to the customer
    give_back(client, promised, judge)          # before, when the judge says "not kept"
    state_of(client, promised)                  # open, kept, refunded or unknown

One of the two ends happens, once; each verb may be tried again. Whoever wants to end it
keeps all of it (`to_json`, `guarantee_from`): the chain knows no more than its name.
"""

from datetime import datetime

from counterfoil_credentials.encoding import JsonObject, int_at, text_at
from counterfoil_credentials.errors import Malformed

from counterfoil_loyalty.accounts import Account, Signer, account_from
from counterfoil_loyalty.client import PointsClient
from counterfoil_loyalty.guarantee import Guarantee
from counterfoil_loyalty.guarantee_desk import GuaranteeState
from counterfoil_loyalty.points import Points

_WHERE = "guarantee"


def promise(
    client: PointsClient,
    points: Points,
    *,
    to: Account,
    by: Account,
    judge: Account,
    salt: bytes,
    funded_before: datetime,
    until: datetime,
) -> Guarantee:
    """Give a promise that nobody has funded yet: `points` are `to`'s, unless it is kept `until`.

    `salt` is 32 bytes of the shop's choice; the same is the same promise. Instants are aware.
    """
    return Guarantee(
        token=client.programme(points.brand).token,
        amount=points.units,
        funder=by,
        customer=to,
        attester=judge,
        fund_before=int(funded_before.timestamp()),
        deadline=int(until.timestamp()),
        salt=salt,
    )


def set_aside(client: PointsClient, promised: Guarantee, funder: Signer) -> str:
    """Set the funder's points aside; give the guarantee's name (64 hex digits)."""
    signature = funder.sign(promised.authorization(client.venue())).hex()
    body: JsonObject = {**to_json(client, promised), "signature": signature}
    return text_at(client.send("/guarantees", body), "guarantee", _WHERE)


def keep(client: PointsClient, promised: Guarantee, judge: Signer) -> str:
    """Say that the promise was kept: the points go back to the funder; before the deadline."""
    statement = judge.sign(promised.statement(client.venue(), kept=True)).hex()
    body: JsonObject = {**to_json(client, promised), "statement": statement}
    return text_at(client.send("/guarantees/fulfilments", body), "transaction", _WHERE)


def give_back(client: PointsClient, promised: Guarantee, judge: Signer | None = None) -> str:
    """Give the points to the customer: by the judge's word, or by anybody after the deadline."""
    body = to_json(client, promised)
    if judge is not None:
        body["statement"] = judge.sign(promised.statement(client.venue(), kept=False)).hex()
    return text_at(client.send("/guarantees/refunds", body), "transaction", _WHERE)


def state_of(client: PointsClient, promised: Guarantee) -> GuaranteeState:
    """Give what became of a promise; `UNKNOWN` for one that nobody funded."""
    answer = client.ask(f"/guarantees/{promised.digest(client.venue()).hex()}")
    try:
        return GuaranteeState(text_at(answer, "state", _WHERE))
    except ValueError as cause:
        raise Malformed("a state of a guarantee", "another", "guarantee.state") from cause


def to_json(client: PointsClient, promised: Guarantee) -> JsonObject:
    """Give all of a promise, to be kept or handed on."""
    names = {it.token: it.brand for it in client.programmes()}
    return {
        "brand": names[promised.token],
        "amount": promised.amount,
        "funder": promised.funder,
        "customer": promised.customer,
        "attester": promised.attester,
        "fund_before": promised.fund_before,
        "deadline": promised.deadline,
        "salt": promised.salt.hex(),
    }


def guarantee_from(client: PointsClient, obj: JsonObject) -> Guarantee:
    """Read what `to_json` gave; `Malformed` for another thing."""
    people = (
        account_from(text_at(obj, it, _WHERE), f"{_WHERE}.{it}")
        for it in ("funder", "customer", "attester")
    )
    funder, customer, attester = people
    try:
        salt = bytes.fromhex(text_at(obj, "salt", _WHERE))
    except ValueError as cause:
        raise Malformed("64 hex digits", "another text", f"{_WHERE}.salt") from cause
    return Guarantee(
        token=client.programme(text_at(obj, "brand", _WHERE)).token,
        amount=int_at(obj, "amount", _WHERE),
        funder=funder,
        customer=customer,
        attester=attester,
        fund_before=int_at(obj, "fund_before", _WHERE),
        deadline=int_at(obj, "deadline", _WHERE),
        salt=salt,
    )
