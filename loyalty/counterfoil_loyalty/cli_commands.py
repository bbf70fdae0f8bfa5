"""What each `counterfoil loyalty` command does: it gives JSON, and lines for people.

Keys and secrets come from files (`counterfoil loyalty key FILE` makes one), never from
arguments, which every process list shows. Amounts are written `12.50`.
"""

import argparse
import re
import secrets
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias

from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused, Unavailable
from counterfoil_credentials.fetch import GuardedFetcher

from counterfoil_loyalty.accounts import Account, PointsAccounts, PointsSigner, account_from
from counterfoil_loyalty.audit import LedgerRead, ServiceRead, audit
from counterfoil_loyalty.brand_desk import BrandDesk, claim_between, net
from counterfoil_loyalty.chain_setting import Nodes, chain_from
from counterfoil_loyalty.cli import key_in
from counterfoil_loyalty.client import Entry, PointsClient
from counterfoil_loyalty.intents import Registration, sign_by_brand
from counterfoil_loyalty.keccak import keccak256
from counterfoil_loyalty.points import UNITS_PER_POINT, Points
from counterfoil_loyalty.supply_growth import Growth, alarming

Told: TypeAlias = tuple[JsonObject, Sequence[str]]
"""What a command answers with `--json`, and what it prints without."""

_LOOPBACK: Final = re.compile(r"http://(?:127\.0\.0\.1|\[::1\]):[0-9]{1,5}")
_HEX32: Final = re.compile(r"[0-9a-f]{64}")
_PACE_S: Final = 0.1


def key(given: argparse.Namespace) -> Told:
    """Make a key in a file, or read the one there, and tell its account."""
    key_in(given.file, make=True)
    if given.with_brand is None:
        account = _signer(given.file).account
    else:
        account = _accounts(given.file).of(given.with_brand).account
    return {"account": account}, [account]


def deploy(given: argparse.Namespace) -> Told:
    """Put the contracts of a programme onto a chain, and with --brand a brand's points."""
    from counterfoil_loyalty.points_folder import open_service, relayer_key  # noqa: PLC0415  # heavy
    from counterfoil_loyalty.relayer import Ticker  # noqa: PLC0415  # heavy
    from counterfoil_loyalty.service import Pending  # noqa: PLC0415  # heavy

    exchange = None if given.exchange is None else _account(given.exchange, "--exchange")
    chain = chain_from(
        given.chain, exchange=exchange, first_block=given.first_block, finality=given.finality
    )
    named = (given.brand, given.name, given.symbol, given.price, given.key)
    if any(it is not None for it in named) and not all(it is not None for it in named):
        raise Misuse("expected --brand, --name, --symbol, --price and --key together")
    # Points are there for good, and so is the name that they were made under.
    if given.brand is not None and not given.brand.startswith("https://"):
        raise Misuse("expected a brand's public name (https://…), found another text (--brand)")
    payer = PointsSigner(relayer_key(given.dir)).account if isinstance(chain, Nodes) else None
    with ExitStack() as stack:
        service = open_service(given.dir, chain, stack, database=given.database)
        if service is None:
            raise Misuse("expected a chain to deploy on, found --chain none")
        ticker = Ticker(service.relayer, lambda: int(time.time()))
        ticker.start()
        stack.callback(ticker.stop)
        ends_at = time.monotonic() + given.wait
        while not service.relayer.is_idle():
            if time.monotonic() > ends_at:
                whom = "" if payer is None else f"; {payer} pays, see that it has coins"
                raise Unavailable(f"expected the contracts in a block, found none yet{whom}")
            time.sleep(_PACE_S)
        identity = service.identity
        result: JsonObject = {
            "chain_id": identity.chain_id,
            "exchange": identity.exchange,
            "clearing": identity.clearing,
            "peer_swap": identity.peer_swap,
            "pays": payer,
        }
        lines = [f"The programme's exchange is {identity.exchange} on chain {identity.chain_id}."]
        if given.brand is not None:
            signer = _signer(given.key)
            registration = Registration(
                brand=given.brand,
                name=given.name,
                symbol=given.symbol,
                issuer=signer.account,
                price=given.price,
            )
            signature = sign_by_brand(registration, identity.venue, signer)
            brand = service.register(registration, signature)
            if isinstance(brand, Pending):
                raise Unavailable("expected the brand in a block, found it under way; deploy again")
            result["brand"] = {"brand": brand.brand, "token": brand.token, "price": brand.price}
            lines = [*lines, f"The points of {brand.brand} are {brand.token}."]
    return result, lines


def award(given: argparse.Namespace) -> Told:
    """Award points for an order, once per order and kind."""
    points = _points(given.brand, given.amount, "amount")
    account = _account(given.account, "--account")
    ref = _client(given).award(
        _signer(given.key),
        points,
        account,
        order=given.order,
        secret=_text(given.ref_secret).encode(),
        kind=given.kind,
    )
    result: JsonObject = {"brand": given.brand, "amount": str(points), "ref": ref}
    return result, [f"{points} of {given.brand} awarded."]


def balance(given: argparse.Namespace) -> Told:
    """Tell what a customer holds with each brand."""
    held = _client(given).balances(_accounts(given.secret))
    balances: list[Json] = [
        {"brand": brand, "amount": str(points)} for brand, points in sorted(held.items())
    ]
    return {"balances": balances}, [f"{points}  {brand}" for brand, points in sorted(held.items())]


def history(given: argparse.Namespace) -> Told:
    """Tell every movement of a customer's points, oldest first."""
    entries = _client(given).history(_accounts(given.secret))
    listed: list[Json] = [{**asdict(entry), "amount": _signed(entry.units)} for entry in entries]
    return {"history": listed}, [_line(entry) for entry in entries]


def quote(given: argparse.Namespace) -> Told:
    """Tell what an exchange would give now."""
    found = _client(given).quote(_points(given.brand, given.amount, "amount"), given.to_brand)
    result: JsonObject = {
        "gives": str(found.gives),
        "from": found.gives.brand,
        "receives": str(found.receives),
        "to": found.receives.brand,
        "rate": str(found.rate),
        "fee": str(Points(found.receives.brand, found.fee_units)),
        "version": found.version,
        "expires_at": found.expires_at,
    }
    told = [f"{found.gives} gives {found.receives} of {given.to_brand}."]
    if found.cover is not None:
        owed, credit, reserve = found.cover.owed, found.cover.credit, found.cover.reserve
        result |= {"owed": str(owed), "credit": str(credit), "reserve": str(reserve)}
        told.append(f"Behind it: a credit of {credit} and a reserve of {reserve}, {owed} used.")
    return result, told


def exchange(given: argparse.Namespace) -> Told:
    """Exchange points at what a quote gives now, or not at all."""
    client, wish = _client(given), _id(given.id)
    found = client.quote(_points(given.brand, given.amount, "amount"), given.to_brand)
    if given.least is not None:
        least = _points(given.to_brand, given.least, "--least")
        if found.receives < least:
            raise Refused(
                Reason("below-minimum", f"at least {least}", f"{found.receives}", "quote")
            )
    done = client.exchange(found, _accounts(given.secret), wish)
    result: JsonObject = {
        "id": wish.hex(),
        "gave": str(done.gave),
        "from": done.gave.brand,
        "received": str(done.received),
        "to": done.received.brand,
        "transaction": done.transaction,
    }
    return result, [f"{done.gave} became {done.received} of {done.received.brand}."]


def redeem(given: argparse.Namespace) -> Told:
    """Turn points into a voucher."""
    wish, points = _id(given.id), _points(given.brand, given.amount, "amount")
    done = _client(given).redeem(points, _accounts(given.secret), wish, now=datetime.now(UTC))
    result: JsonObject = {
        "id": wish.hex(),
        "brand": points.brand,
        "amount": str(points),
        "voucher": done.reference,
        "transaction": done.transaction,
    }
    return result, [f"Show this voucher: {done.reference}"]


def settle(given: argparse.Namespace) -> Told:
    """Tell what brands owe, acknowledge a payment (--paid), or net a cycle of three or more."""
    client = _client(given)
    brands: list[str] = given.brands
    if len(brands) > 2:
        if given.number is None or given.paid is not None:
            raise Misuse("expected --number, and no --paid, beside a cycle of brands")
        transaction = net(client, brands, number=given.number)
        result: JsonObject = {"netted": list(brands), "transaction": transaction}
        return result, [f"Netted: {', '.join(brands)}."]
    if len(brands) != 2:
        raise Misuse("expected a debtor and a creditor, or a cycle of brands, found one brand")
    debtor, creditor = brands
    if debtor == creditor:
        raise Misuse("expected a debtor and another brand as creditor, found one brand twice")
    result = {"debtor": debtor, "creditor": creditor}
    if given.paid is not None:
        if given.key is None or given.ref is None:
            raise Misuse("expected --key and --ref beside --paid")
        desk = BrandDesk(client, creditor, _signer(given.key))
        result["transaction"] = desk.acknowledge(debtor, given.paid, _id(given.ref))
    cover = claim_between(client, debtor, creditor)
    # Texts: they may be above 2**53.
    result |= {"owed": str(cover.owed), "credit": str(cover.credit), "reserve": str(cover.reserve)}
    return result, [f"{debtor} owes {creditor} {cover.owed} millionths."]


def audit_all(given: argparse.Namespace) -> Told:
    """Add everything up again from the first event, and name the first difference."""
    if (given.url is None) == (given.chain is None):
        raise Misuse("expected the address of a service, or --chain with --exchange")
    growths: Sequence[Growth] = ()
    with ExitStack() as stack:
        if given.chain is None:
            client = _client(given)
            found, growths = audit(ServiceRead(client)), client.supply().growths
        else:
            if given.exchange is None:
                raise Misuse("expected --exchange beside --chain")
            chain = chain_from(
                given.chain,
                exchange=_account(given.exchange, "--exchange"),
                first_block=given.first_block,
                finality=given.finality,
            )
            from counterfoil_loyalty.points_folder import open_reader  # noqa: PLC0415  # heavy

            found = audit(LedgerRead(open_reader(chain, stack)))
    result: JsonObject = {**asdict(found), "total_value": str(found.total_value)}
    counted = ", ".join(
        count_of(number, what)
        for number, what in (
            (found.events, "event"),
            (found.accounts, "account"),
            (found.exchanges, "exchange"),
        )
    )
    told = [f"Nothing differs: {counted}."]
    fast = alarming(growths)
    if given.chain is None:
        result["growing_fast"] = [it.brand for it in fast]
    for it in fast:
        was, now = Points(it.brand, it.before), Points(it.brand, it.now)
        told.append(f"{it.brand} grew by more than a fifth in a week, from {was} to {now} points.")
    return result, told


def _client(given: argparse.Namespace) -> PointsClient:
    url = str(given.url).rstrip("/")
    routes = {url: url} if _LOOPBACK.fullmatch(url) else {}
    if not routes and not url.startswith("https://"):
        raise Misuse("expected https://…, or http://127.0.0.1:PORT on this machine")
    return PointsClient(GuardedFetcher(timeout_s=30, loopback_routes_unsafely=routes), url)


def _text(path: Path) -> str:
    return key_in(path)


def _signer(path: Path) -> PointsSigner:
    return PointsSigner(keccak256(_text(path).encode()))


def _accounts(path: Path) -> PointsAccounts:
    return PointsAccounts(keccak256(_text(path).encode()))


def count_of(number: int, what: str) -> str:
    """Give a number with its noun: "1 account", "2 accounts"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _points(brand: str, written: str, where: str) -> Points:
    try:
        points = Points.parse(brand, written, where)
    except Malformed as cause:
        raise Misuse(str(cause)) from cause
    if points.units == 0:
        raise Misuse(f"expected an amount above zero, found zero ({where})")
    return points


def _account(written: str, where: str) -> Account:
    try:
        return account_from(written, where)
    except Malformed as cause:
        raise Misuse(str(cause)) from cause


def _id(written: str | None) -> bytes:
    if written is None:
        return secrets.token_bytes(32)
    if _HEX32.fullmatch(written) is None:
        raise Misuse("expected 64 hex digits as id or ref, found another text")
    return bytes.fromhex(written)


def _signed(units: int) -> str:
    whole, part = divmod(abs(units), UNITS_PER_POINT)
    return f"{'-' if units < 0 else ''}{whole}.{part:02}"


def _line(entry: Entry) -> str:
    at = datetime.fromtimestamp(entry.at, UTC).isoformat().replace("+00:00", "Z")
    return f"{at}  {_signed(entry.units)}  {entry.kind}  {entry.brand}"
