"""`counterfoil verifier`: run a shop's counter, or check one saved answer.

    counterfoil verifier serve DIR [--port N]
    counterfoil verifier verify FILE --shop DIR [--preset NAME] [--at TIME] [--json]

FILE holds `{"request": "<signed request object>", "vp_token": {"warranty": ["…"]}}`.
Exit status: 0 accepted, 1 refused or broken, 3 could not be found out. Only an
answer that was judged is called refused; what is broken is said in one line.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from counterfoil_credentials.encoding import compact_json, object_at, parse_object, text_at
from counterfoil_credentials.errors import (
    CounterfoilError,
    Misuse,
    Reason,
    Refused,
    Unavailable,
)
from counterfoil_credentials.fetch import GuardedFetcher
from counterfoil_credentials.key_file import load_or_create_signer
from counterfoil_credentials.requests import parse_response_form, read_request
from counterfoil_credentials.token_status_list import FetchedStatusSource

from counterfoil_verifier.counter import Counter
from counterfoil_verifier.requesting import Shop
from counterfoil_verifier.shop_file import ShopFile, read_shop_file
from counterfoil_verifier.statuses import Statuses
from counterfoil_verifier.trust import FetchedTrust
from counterfoil_verifier.verifier import CouldNotCheck, Verifier
from counterfoil_verifier.words import words_for

_ACCEPTED: Final = 0
_REFUSED: Final = 1
_UNKNOWN: Final = 3
_MAX_FILE_BYTES: Final = 1024 * 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and give its exit status."""
    parser = argparse.ArgumentParser(prog="counterfoil verifier", description="A shop's counter.")
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="run the counter's service on this machine")
    serving.add_argument("directory", type=Path, help="the shop's folder, with its shop.json")
    serving.add_argument("--port", type=int, help="the port to try first")
    checking = commands.add_parser("verify", help="check one saved answer")
    checking.add_argument("file", type=Path, help="a file with the request and its vp_token")
    checking.add_argument("--shop", type=Path, required=True, help="the shop's folder")
    checking.add_argument("--preset", default="warranty", help="what had been asked")
    checking.add_argument("--at", type=datetime.fromisoformat, help="check as of this time")
    checking.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args(arguments)
    try:
        if given.command == "serve":
            return _serve(given.directory, given.port)
        return _verify(
            given.file, given.shop, given.preset, given.at or datetime.now(UTC), given.json
        )
    except Unavailable as unknown:
        print(f"counterfoil verifier: {unknown}", file=sys.stderr)
        return _UNKNOWN
    except (CounterfoilError, OSError) as error:
        print(f"counterfoil verifier: {error}", file=sys.stderr)
        return _REFUSED


def _serve(directory: Path, port: int | None) -> int:
    from counterfoil_service.access import load_or_create_key
    from counterfoil_service.serving import bind, serve

    from counterfoil_verifier.app import create_app
    from counterfoil_verifier.sql_store import SqlSessionStore

    settings = read_shop_file(directory)
    key = load_or_create_key(directory / "counter.key")
    with bind(port) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        store = SqlSessionStore(directory / "counter.sqlite3")
        try:
            shop = Shop(
                name=settings.name,
                origin=settings.origin or address,
                signer=load_or_create_signer(directory / "shop-key.pem"),
            )
            fetcher = GuardedFetcher(loopback_routes_unsafely=settings.loopback_routes_unsafely)
            counter = Counter(
                shop=shop,
                presets=settings.presets(),
                trust=FetchedTrust(fetcher, settings.vcts_by_issuer()),
                statuses=Statuses(FetchedStatusSource(fetcher)),
                store=store,
            )
            print(f"{settings.name}: {address} (counter key in counter.key)", flush=True)
            serve(create_app(counter, counter_key=key), listener=listener, lifeline=None)
        finally:
            store.close()
    return 0


def _verify(file: Path, directory: Path, preset_name: str, at: datetime, as_json: bool) -> int:  # noqa: FBT001  # as parsed
    if at.tzinfo is None:
        raise Misuse("expected a time with its zone, found one without (--at)")
    settings = read_shop_file(directory)
    saved = parse_object(file.read_bytes(), file.name, max_bytes=_MAX_FILE_BYTES)
    vp_token = compact_json(object_at(saved, "vp_token", file.name)).decode()
    client_id = Shop(
        name=settings.name, origin="", signer=load_or_create_signer(directory / "shop-key.pem")
    ).client_id
    # A wrong setting is the shop's trouble: it must not look like a refused customer.
    verifier = _verifier(settings, preset_name)
    try:
        request = read_request(text_at(saved, "request", file.name), client_id=client_id, now=at)
        answer = parse_response_form({"vp_token": vp_token})
        accepted = verifier.verify(answer, request, now=at)
    except Refused as refused:
        return _tell("refused", refused.reasons, _REFUSED, as_json=as_json)
    except CouldNotCheck as unknown:
        return _tell("unavailable", unknown.reasons, _UNKNOWN, as_json=as_json)
    except Unavailable as unknown:
        reason = Reason("could-not-check", "an answer", unknown.what, "policy")
        return _tell("unavailable", (reason,), _UNKNOWN, as_json=as_json)
    if not as_json:
        as_of = accepted.status_as_of
        print(f"accepted (status as of {as_of.isoformat() if as_of else 'never asked'})")
        return _ACCEPTED
    return _tell("accepted", (), _ACCEPTED, as_json=True)


def _verifier(settings: ShopFile, preset_name: str) -> Verifier:
    presets = {preset.name: preset for preset in settings.presets()}
    if preset_name not in presets:
        raise Misuse(f"expected one of {', '.join(sorted(presets))}, found another (--preset)")
    fetcher = GuardedFetcher(loopback_routes_unsafely=settings.loopback_routes_unsafely)
    return Verifier(
        presets[preset_name].policy(),
        FetchedTrust(fetcher, settings.vcts_by_issuer()),
        Statuses(FetchedStatusSource(fetcher)),
    )


def _tell(verdict: str, reasons: Sequence[Reason], status: int, *, as_json: bool) -> int:
    if as_json:
        listed = [{"code": reason.code, "text": str(reason)} for reason in reasons]
        print(json.dumps({"verdict": verdict, "reasons": listed}))
        return status
    print(verdict)
    for reason in reasons:
        print(f"  {reason.code}: {words_for(reason.code).en} {reason}")
    return status
