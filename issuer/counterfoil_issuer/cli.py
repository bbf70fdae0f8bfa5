"""`counterfoil issuer …`: set up a brand's folder, serve it, and do its back office's work.

    counterfoil issuer init DIR                    a development set-up with a sample catalogue
    counterfoil issuer serve DIR [--port N]        the service; DIR remembers where
    counterfoil issuer offer DIR warranty --sample [--tx-code]
    counterfoil issuer import DIR FILE [--type TYPE]
    counterfoil issuer issued | revoke | rotate-keys | verify-log DIR …

With `--json` a command prints one JSON object. Exit status: 0 done, 1 not as it must be
(refused, rows in error, a log that was touched), 2 misused. `brand_folder.py` says what
is in DIR; below `DIR/brands` there may be several, each a DIR of its own.
"""

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from counterfoil_credentials.arguments import parse_arguments
from counterfoil_credentials.encoding import Json, JsonObject, parse_object
from counterfoil_credentials.errors import CounterfoilError, Malformed, Misuse, Reason, Refused
from counterfoil_service.terminal import Bar, qr_code

from counterfoil_issuer.approvals import Act
from counterfoil_issuer.batch_rows import MAX_FILE_BYTES
from counterfoil_issuer.brand_folder import ORDERS, BrandFolder
from counterfoil_issuer.brands import FOLDER, brand_folders, require_brand_name
from counterfoil_issuer.issuer import utc_now
from counterfoil_issuer.key_ring import KEYS_ARE_CACHED, KeyRing
from counterfoil_issuer.records import RevocationReason
from counterfoil_issuer.searching import MAX_PAGE, PAGE, IssuanceState, Search, state_of
from counterfoil_issuer.settings import DATABASE
from counterfoil_issuer.settings import FILE_NAME as SETTINGS

if TYPE_CHECKING:
    from counterfoil_issuer.brand_service import OpenBrand
    from counterfoil_issuer.jobs import Job
    from counterfoil_issuer.offering import OpenOffer

_DONE: Final = 0
_REFUSED: Final = 1
_MISUSED: Final = 2
_ACTOR: Final = "command-line"
_MAX_CLAIMS_BYTES: Final = 262_144
_MAX_COUNT: Final = 1_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status: 0 done, 1 not as it must be, 2 misused."""
    given = parse_arguments(_parser(), arguments)
    try:
        match given.command:
            case "init":
                return _init(given)
            case "serve":
                return _serve(given)
            case _:
                return _command(given)
    except Misuse as error:
        return _told(given.command, error, _MISUSED)
    except (CounterfoilError, OSError) as error:
        return _told(given.command, error, _REFUSED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="counterfoil issuer", description="Issue credentials.")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, text: str, *, opens: bool = True) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text)
        added.add_argument("dir", type=Path, help="the brand's folder")
        added.add_argument("--json", action="store_true", help="print one JSON object")
        if opens:
            text = f"a postgresql:// URL instead of the {DATABASE} of the folder"
            added.add_argument("--database", help=text)
        return added

    init = command("init", "make a folder for a development issuer", opens=False)
    init.add_argument("--brand", action="append", help="a brand of several; may be repeated")
    serve = command("serve", "answer wallets and the back office on loopback")
    serve.add_argument("--port", type=int, help="the port; the last one, or a free one")
    serve.add_argument("--public-url", help="the issuer's identifier; default: where it listens")
    offer = command("offer", "offer a credential of any type")
    offer.add_argument("type", help="a type of the catalogue, such as warranty")
    claims = offer.add_mutually_exclusive_group(required=True)
    claims.add_argument("--claims", type=Path, help="a JSON file with what it says")
    claims.add_argument("--sample", action="store_true", help="with the type's sample claims")
    offer.add_argument("--serial", help="the item's serial number; default: as the claims say")
    offer.add_argument("--subject", help="who may fetch it by logging in")
    offer.add_argument("--login", action="store_true", help="let --subject fetch it by login too")
    offer.add_argument("--tx-code", action="store_true", help="with a transaction code")
    offer.add_argument("--count", type=int, default=1, help="so many offers of the same")
    load = command("import", "take in an orders file, or a batch of one type")
    load.add_argument("file", type=Path, help="CSV, or JSON for a batch")
    load.add_argument("--type", help="the type that the rows are of; default: orders")
    load.add_argument("--offers", type=Path, help="a CSV file for an offer of each row")
    issued = command("issued", "search what was issued")
    issued.add_argument("--order")
    issued.add_argument("--type")
    issued.add_argument("--serial")
    issued.add_argument("--state", choices=[state.value for state in IssuanceState])
    issued.add_argument("--from", dest="since", type=_instant, help="a time like 2026-03-01T00:00Z")
    issued.add_argument("--until", type=_instant, help="a time like 2026-04-01T00:00Z")
    issued.add_argument("--before", type=int, help="`next` of the page before")
    issued.add_argument("--limit", type=int, default=PAGE)
    revoke = command("revoke", "revoke a credential for good")
    revoke.add_argument("credential", help="its id, as `issued` shows it")
    reasons = [reason.value for reason in RevocationReason]
    revoke.add_argument("--reason", required=True, choices=reasons)
    rotate = command("rotate-keys", "begin with new keys; the old ones stay published")
    rotate.add_argument(
        "--now", action="store_true", help="sign at once with a key nobody has read"
    )
    rotate.add_argument("--withdraw", metavar="KID", help="a key that somebody else has")
    command("verify-log", "check that nobody touched the audit log")
    return parser


def _init(given: argparse.Namespace) -> int:
    names = [require_brand_name(name) for name in given.brand or ()]
    folders = [given.dir / FOLDER / name for name in names] or [given.dir]
    for folder in folders:
        BrandFolder(folder).make(utc_now)
    if given.json:
        _say({"folders": [str(folder) for folder in folders]})
        return _DONE
    print(f"{given.dir} is ready. Next:")
    print(f"  counterfoil issuer import {folders[0]} {folders[0] / ORDERS}")
    print(f"  counterfoil issuer serve {given.dir}")
    return _DONE


def _serve(given: argparse.Namespace) -> int:
    from counterfoil_service.serving import bind, bind_exactly, serve

    from counterfoil_issuer.brand_service import open_brand, service_app

    several = {name: BrandFolder(place) for name, place in brand_folders(given.dir).items()}
    folders = several or {"": BrandFolder(given.dir)}
    if given.database is not None and len(folders) > 1:
        expected = f"a database for each brand, in its {SETTINGS}"
        raise Misuse(f"expected {expected}, found one for {len(folders)} (--database)")
    for folder in folders.values():
        folder.require_made()
        # What cannot be its identifier is refused before a port is taken.
        folder.identifier(given.public_url, "http://127.0.0.1")
    last = BrandFolder(given.dir).last_port()
    # A port that was asked for is the one that others were told: nothing moves it.
    socket = bind(last) if given.port is None else bind_exactly(given.port)
    with socket as listener, ExitStack() as closing:
        port = listener.getsockname()[1]
        if given.port is None and last not in (None, port):
            moved = f"port {last} is in use; it listens on {port} instead"
            print(f"counterfoil issuer serve: {moved}", file=sys.stderr)
        address = f"http://127.0.0.1:{port}"
        brands: dict[str, OpenBrand] = {}
        for name, folder in folders.items():
            base = folder.identifier(given.public_url, address)
            if name and (given.public_url or base == address):
                base = f"{base}/{name}"
            brand = open_brand(folder, base, database=given.database)
            brands[name] = closing.enter_context(brand)
        app = service_app(brands)
        for name, folder in folders.items():
            folder.record_address(brands[name].issuer.url)
        # Where it listens, for the next start; a brand of its own has its identifier there.
        BrandFolder(given.dir).record_port(port)
        urls = [brand.issuer.url for brand in brands.values()]
        if given.json:
            _say({"issuer": urls[0], "issuers": [*urls], "listens": address})
        else:
            for url in urls:
                print(f"issuer {url} listens on {address}", flush=True)
        serve(app, listener=listener, lifeline=None)
    return _DONE


def _command(given: argparse.Namespace) -> int:
    from counterfoil_issuer.brand_service import open_brand

    folder = BrandFolder(given.dir)
    folder.require_made()
    needs_url = given.command == "offer" or getattr(given, "offers", None) is not None
    # Nothing else names a URL, so any identifier will do.
    url = folder.identifier() if needs_url else "http://127.0.0.1"
    with open_brand(folder, url, database=given.database) as brand:
        match given.command:
            case "offer":
                return _offer(brand, given)
            case "import":
                return _import(brand, given)
            case "issued":
                return _issued(brand, given)
            case "revoke":
                return _revoke(brand, given)
            case "rotate-keys":
                return _rotate_keys(brand, given)
            case _:
                return _verify_log(brand, given)


def _offer(brand: "OpenBrand", given: argparse.Namespace) -> int:
    from counterfoil_issuer.back_office import Sitting, Wanted
    from counterfoil_issuer.offering import Grant

    if not 1 <= given.count <= _MAX_COUNT:
        raise Misuse(f"expected 1 to {_MAX_COUNT} offers, found {given.count} (--count)")
    _require_type(brand, given.type, "TYPE")
    kind = brand.office.type_named(given.type)
    claims = kind.sample if given.sample else _claims_in(given.claims)
    # A sample may be offered again and again: it is about no item in particular.
    serial = f"sample-{_moment()}" if given.sample and not given.serial else given.serial
    grants = [Grant.PRE_AUTHORIZED, *([Grant.AUTHORIZATION_CODE] if given.login else [])]
    made: list[OpenOffer] = []
    for i in range(given.count):
        several = serial if serial is None or given.count == 1 else f"{serial}-{i + 1}"
        wanted = Wanted(type_name=kind.name, claims=claims, serial=several, subject=given.subject)
        with brand.store.transaction() as held:
            sitting = Sitting(held.connection, _ACTOR, utc_now())
            made.append(
                brand.office.offer(sitting, wanted, with_tx_code=given.tx_code, grants=grants)
            )
    if given.json:
        told = [_offer_object(offer) for offer in made]
        _say(told[0] if given.count == 1 else {"offers": [*told]})
        return _DONE
    for offer in made:
        if code := qr_code(offer.qr):
            print(code)
        print(offer.link)
        if offer.tx_code is not None:
            print(f"transaction code: {offer.tx_code} (send it another way than the link)")
    return _DONE


def _import(brand: "OpenBrand", given: argparse.Namespace) -> int:
    from counterfoil_issuer.jobs import ORDERS as ORDERS_KIND

    _require_file(given.file)
    if given.type not in (None, ORDERS_KIND):
        _require_type(brand, given.type, "--type")
    size_bytes = given.file.stat().st_size
    if size_bytes > MAX_FILE_BYTES:
        raise Malformed(f"at most {MAX_FILE_BYTES} bytes", f"{size_bytes} bytes", str(given.file))
    if given.offers is not None and given.type is None:
        raise Misuse("expected --type with --offers: an order is offered as a whole")
    batch = brand.desk.batch(given.type or ORDERS_KIND, given.file.read_bytes())
    bar = Bar(given.type or "orders", len(batch.rows))
    job: Job | None = None
    for job in brand.desk.run(batch, by=_ACTOR):
        bar.show(job.done)
    bar.end()
    assert job is not None  # noqa: S101  # a run gives the job that it began
    errors = brand.desk.errors(job.job_id)
    offered = 0
    if given.offers is not None:
        offered = _write_offers(brand, batch.dataset_ids, given.offers)
    if given.json:
        _say(
            {
                "job_id": job.job_id,
                "imported": job.made,
                "unchanged": job.unchanged,
                "error_count": job.error_count,
                "errors": [
                    {
                        "row": error.row,
                        "column": error.column,
                        "expected": error.expected,
                        "found": error.found,
                    }
                    for error in errors
                ],
                **({"offers": offered} if given.offers is not None else {}),
            }
        )
    else:
        for error in errors:
            print(error)
        if more := job.error_count - len(errors):
            print(f"and {more} more")
        print(f"{job.made} imported, {job.unchanged} unchanged, {job.error_count} errors")
    return _REFUSED if job.error_count else _DONE


def _write_offers(brand: "OpenBrand", datasets: Sequence[tuple[int, str]], place: Path) -> int:
    """Offer each row's credential that no wallet has stored, and write the links to a file."""
    from counterfoil_issuer.back_office import Sitting

    bar = Bar("offers", len(datasets))
    count = 0
    with place.open("w", encoding="utf-8", newline="") as file:
        place.chmod(0o600)
        rows = csv.writer(file)
        rows.writerow(["row", "link", "tx_code"])
        for done, (row, dataset_id) in enumerate(datasets, start=1):
            with brand.store.transaction() as held:
                sitting = Sitting(held.connection, _ACTOR, utc_now())
                made = brand.office.offer_dataset(sitting, dataset_id, with_tx_code=True)
            if made is not None:
                rows.writerow([row, made.link, made.tx_code])
                count += 1
            bar.show(done)
    bar.end()
    return count


def _issued(brand: "OpenBrand", given: argparse.Namespace) -> int:
    if not 1 <= given.limit <= MAX_PAGE:
        raise Misuse(f"expected a page of 1 to {MAX_PAGE}, found {given.limit} (--limit)")
    search = Search(
        order=given.order,
        type_name=given.type,
        serial=given.serial,
        state=None if given.state is None else IssuanceState(given.state),
        issued_from=given.since,
        issued_until=given.until,
        before=given.before,
    )
    with brand.store.reading() as held:
        page = brand.office.search(held.connection, search, at_most=given.limit)
    if given.json:
        from counterfoil_issuer.issued_schemas import CredentialsAnswer

        print(CredentialsAnswer.of(page).model_dump_json())
        return _DONE
    for one in page.issuances:
        at = one.issued_at.strftime("%Y-%m-%d %H:%M")
        about = one.serial or one.order_number or ""
        print(f"{one.issuance_id}  {at}  {one.type_name:<12} {state_of(one):<10} {about}")
    if not page.issuances:
        print("nothing issued")
    if page.next_before is not None:
        print(f"more: --before {page.next_before}")
    return _DONE


def _revoke(brand: "OpenBrand", given: argparse.Namespace) -> int:
    from counterfoil_issuer.back_office import Sitting

    with brand.store.transaction() as held:
        sitting = Sitting(held.connection, _ACTOR, utc_now())
        reason = RevocationReason(given.reason)
        after = brand.office.act(sitting, Act.REVOKE, given.credential, reason)
    if given.json:
        from counterfoil_issuer.issued_schemas import CredentialAnswer

        print(CredentialAnswer.of(after).model_dump_json())
    else:
        print(f"{after.issuance_id} is revoked ({after.revocation_reason})")
    return _DONE


def _rotate_keys(brand: "OpenBrand", given: argparse.Namespace) -> int:
    from counterfoil_issuer.back_office import Sitting
    from counterfoil_issuer.sql_searching import latest_end

    def in_force_until(issued_before: datetime) -> datetime | None:
        with brand.store.reading() as held:
            return latest_end(held.connection, issued_before)

    def change(ring: KeyRing) -> KeyRing:
        now = utc_now()
        if given.withdraw is not None:
            return ring.withdrawn(given.withdraw, now)
        lead = timedelta(0) if given.now else KEYS_ARE_CACHED
        try:
            return ring.rotated(now, in_force_until=in_force_until, lead=lead)
        except Refused as refused:
            if given.now or refused.codes != ["rotation-under-way"]:
                raise
            (why,) = refused.reasons
            hint = f"{why.found}; with --now it signs at once"
            raise Refused(Reason(why.code, why.expected, hint, why.where)) from refused

    ring = brand.keys.change(change)
    with brand.store.transaction() as held:
        action = "keys.rotated" if given.withdraw is None else "keys.withdrawn"
        sitting = Sitting(held.connection, _ACTOR, utc_now())
        brand.office.note(sitting, action, f"key:{given.withdraw or ring.signing[-1].key_id}")
    if given.json:
        _say({"signing": _signing_keys(ring), "request_key": ring.announced.key_id})
        return _DONE
    for key in ring.signing:
        until = "" if key.signs_until is None else f" until {_text(key.signs_until)}"
        print(f"{key.key_id}  signs from {_text(key.signs_from)}{until}")
    return _DONE


def _verify_log(brand: "OpenBrand", given: argparse.Namespace) -> int:
    try:
        end = brand.staff.check_log()
    except Refused as refused:
        reason = refused.reasons[0]
        if given.json:
            wrong: JsonObject = {"code": reason.code, "where": reason.where}
            _say({"whole": False, "wrong": wrong})
        print(f"counterfoil issuer verify-log: {refused}", file=sys.stderr)
        return _REFUSED
    if given.json:
        _say({"whole": True, "entries": end.sequence, "chain": end.chain})
    else:
        print(f"the log is whole: {end.sequence} entries")
    return _DONE


def _require_type(brand: "OpenBrand", name: str, where: str) -> None:
    """Return only if the catalogue has it; what was given here is no claim, so it is named."""
    types = brand.office.issuer.catalogue.types
    if name not in types:
        raise Refused(Reason("type-unknown", f"one of {', '.join(types)}", repr(name), where))


def _require_file(path: Path) -> None:
    if not path.exists():
        raise Malformed("a file", "none", str(path))
    if path.is_dir():
        raise Malformed("a file", "a folder", str(path))


def _claims_in(path: Path) -> JsonObject:
    _require_file(path)
    return parse_object(path.read_bytes(), path.name, max_bytes=_MAX_CLAIMS_BYTES)


def _offer_object(offer: "OpenOffer") -> JsonObject:
    return {
        "offer": offer.link,
        "tx_code": offer.tx_code,
        "offer_id": offer.offer_id,
        "expires_at": _text(offer.expires_at),
    }


def _signing_keys(ring: KeyRing) -> list[Json]:
    return [
        {
            "kid": key.key_id,
            "signs_from": _text(key.signs_from),
            "signs_until": None if key.signs_until is None else _text(key.signs_until),
        }
        for key in ring.signing
    ]


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise argparse.ArgumentTypeError("expected a time with its zone, found one without")
    return instant


def _text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment() -> str:
    return f"{utc_now():%Y%m%d%H%M%S%f}"


def _say(value: JsonObject) -> None:
    print(json.dumps(value, ensure_ascii=False), flush=True)


def _told(command: str, error: Exception, status: int) -> int:
    print(f"counterfoil issuer {command}: {error}", file=sys.stderr)
    return status
