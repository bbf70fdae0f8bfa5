"""`counterfoil verifier …`: set up a shop's folder, serve its counter, ask, and explain.

    counterfoil verifier init DIR [--trust ISSUER_URL]     a development set-up
    counterfoil verifier serve DIR [--port N]              the service; DIR remembers where
    counterfoil verifier request DIR PRESET                a link for a wallet
    counterfoil verifier result DIR ID [--wait SECONDS]    the verdict
    counterfoil verifier verify FILE [--shop DIR]          one saved answer, check by check
    counterfoil verifier preload DIR [--take FILE]         keys and lists for a till offline
    counterfoil verifier scan DIR ID CODE...               an answer by QR codes alone
    counterfoil verifier sync DIR --to URL --key-file FILE results of a till that was offline
    counterfoil verifier trust | presets DIR               whom it trusts; what it asks

With `--json` a command prints one JSON object. Exit status: 0 done or accepted, 1 refused or
broken, 2 misused, 3 could not be found out, 130 stopped. Only an answer that was judged is
called refused; what is broken is said in one line. `shop_folder.py` says what is in DIR. A
saved answer is `{"request": "<signed request object>", "vp_token": {"warranty": ["…"]}}`.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from counterfoil_credentials.arguments import parse_arguments
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    compact_json,
    object_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import (
    CounterfoilError,
    Malformed,
    Misuse,
    Reason,
    Refused,
    Unavailable,
)
from counterfoil_credentials.fetch import GuardedFetcher
from counterfoil_credentials.requests import parse_response_form, read_request

from counterfoil_verifier.explaining import Told, explain
from counterfoil_verifier.issuer_types import offered_types, types_by_preset
from counterfoil_verifier.looks import Light, Look, Scanning
from counterfoil_verifier.preset_linter import lint
from counterfoil_verifier.presets import PRESETS, Preset
from counterfoil_verifier.receipts import receipt_codes
from counterfoil_verifier.requesting import (
    Answered,
    Expired,
    Handback,
    SessionId,
    Standing,
    Waiting,
    Way,
)
from counterfoil_verifier.shop_file import is_on_loopback, origin_of, require_issuer
from counterfoil_verifier.shop_folder import ShopFolder
from counterfoil_verifier.verdict import VERDICTS_KEPT_FOR
from counterfoil_verifier.verifier import CouldNotCheck, NotAccepted
from counterfoil_verifier.words import words_for

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from counterfoil_verifier.shop_service import OpenShop

_DONE: Final = 0
_REFUSED: Final = 1
_MISUSED: Final = 2
_UNKNOWN: Final = 3
_MAX_FILE_BYTES: Final = 1024 * 1024
_MAX_WAIT_S: Final = 3_600.0
_LOOK_EVERY_S: Final = 0.2
_LIGHTS: Final = {
    Light.GREEN: ("accepted", _DONE),
    Light.RED: ("refused", _REFUSED),
    Light.AMBER: ("unavailable", _UNKNOWN),
}
_WARNINGS: Final = {
    "runs-out": "renew, it runs out",
    "has-run-out": "renew, it has run out",
    "flags-unreachable": "not had",
    "flags-too-old": "too old to say that an item is in order",
    "not-done": "not had",
}
_NEXT: Final = {
    "preset-unknown": "`counterfoil verifier presets DIR` tells what can be asked, and what not",
    "request-unknown": "give the id that `request` gave, in the last 30 days",
    "request-expired": "ask again, a request lives for two minutes",
    "already-answered": "`counterfoil verifier result DIR ID` gives its verdict",
    "preload-older": "take the file that was made last",
    "preload-changed": "carry the file again, something changed it on its way",
    "signature-invalid": "take a file of a till with the same shop-key.pem",
    # By command, where something did not answer.
    "init": "see that the issuer is served, or `init` without --trust and name it later",
    "trust": "see that the issuer is served, or say its types yourself with --type",
    "sync": "nothing is lost; send again when there is a network",
    "preload": "try again when there is a network; what was taken along before stays",
}
_UNANSWERED: Final = (
    "no trusted issuer answers it; `counterfoil verifier trust DIR --add ISSUER_URL` asks one"
    " for its types"
)
_MARKS: Final = {"passed": "yes", "failed": "NO", "unknown": "?", "not-reached": "-"}


def main(
    arguments: Sequence[str] | None = None,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> int:
    """Run one command and give its exit status."""
    given = parse_arguments(_parser(), arguments)
    given.clock = clock
    try:
        match given.command:
            case "init":
                return _init(given)
            case "serve":
                return _serve(given)
            case "verify":
                return _verify(given)
            case "preload":
                return _preload(given)
            case "trust":
                return _trust(given)
            case "presets":
                return _presets(given)
            case _:
                return _command(given)
    except Misuse as error:
        return _told(given, error, _MISUSED)
    except Unavailable as error:
        return _told(given, error, _UNKNOWN)
    except (CounterfoilError, OSError) as error:
        return _told(given, error, _REFUSED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="counterfoil verifier", description="A shop's counter.")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, text: str, *, opens: bool = False) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text)
        if name != "verify":
            added.add_argument("dir", type=Path, help="the shop's folder")
        added.add_argument("--json", action="store_true", help="print one JSON object")
        if opens:
            text = "a postgresql:// URL instead of the SQLite file of the folder"
            added.add_argument("--database", help=text)
        return added

    init = command("init", "make a folder for a development shop")
    init.add_argument("--trust", metavar="ISSUER_URL", help="an issuer whose types it accepts")
    init.add_argument("--name", help="the shop's name, as customers see it")
    init.add_argument("--public-url", help="its https origin; without, it stays on this machine")
    serve = command("serve", "answer wallets and the counter on loopback", opens=True)
    serve.add_argument("--port", type=int, help="the port; the last one, or a free one")
    serve.add_argument("--public-url", help="the shop's origin; default: where it listens")
    request = command("request", "ask a wallet for what a preset needs", opens=True)
    request.add_argument("preset", help="a preset of the folder, such as warranty")
    request.add_argument("--language", choices=["en", "zh"], default="en")
    request.add_argument("--by", choices=[way.value for way in Way], help="how it is fetched")
    request.add_argument(
        "--codes", action="store_true", help="give the request itself, as QR codes"
    )
    request.add_argument("--till", help="the till that asks, as the customer sees it")
    request.add_argument(
        "--match-code", action="store_true", help="a yes waits for the customer's four digits"
    )
    result = command("result", "give the verdict of a request", opens=True)
    result.add_argument("id", help="the id that `request` gave")
    result.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="for an answer")
    result.add_argument("--code", help="the digits that the customer tells")
    result.add_argument("--signed", action="store_true", help="give it signed by the shop, too")
    scan = command("scan", "take an answer that a phone shows as QR codes", opens=True)
    scan.add_argument("id", help="the id that `request` gave")
    scan.add_argument("code", nargs="+", help="what each code says, in any order")
    sync = command("sync", "send results to the shop's own service, each once", opens=True)
    sync.add_argument("--to", required=True, metavar="URL", help="the service's origin")
    sync.add_argument(
        "--key-file", required=True, type=Path, metavar="FILE", help="with its counter's key"
    )
    verify = command("verify", "check one saved answer, and explain each check")
    verify.add_argument("file", type=Path, help="a file with the request and its vp_token")
    verify.add_argument("--shop", type=Path, help="the shop's folder; default: the file's")
    verify.add_argument("--at", type=_instant, help="check as of this time")
    preload = command("preload", "take keys and status lists along, for a till without network")
    preload.add_argument("--take", type=Path, metavar="FILE", help="take a file that was carried")
    trust = command("trust", "tell whom the shop trusts for what, and what of it runs out")
    change = trust.add_mutually_exclusive_group()
    change.add_argument("--add", metavar="ISSUER_URL", help="trust an issuer for its types")
    change.add_argument("--remove", metavar="ISSUER_URL", help="trust it no more")
    trust.add_argument(
        "--type", action="append", metavar="PRESET=VCT", help="a type of it; default: it is asked"
    )
    for one in (init, trust):
        one.add_argument(
            "--loopback-unsafely",
            action="append",
            default=[],
            metavar="ORIGIN=LOOPBACK_ORIGIN",
            help="reach that origin on this machine, without TLS: for development only",
        )
    command("presets", "tell what the counter can ask, and where that is too much")
    return parser


def _init(given: argparse.Namespace) -> int:
    folder = ShopFolder(given.dir)
    routes = _routes(given.loopback_unsafely)
    is_new = not folder.is_made()
    develops = given.public_url is None if is_new else folder.settings().develops
    answers: dict[str, tuple[str, ...]] = {}
    if given.trust is not None:
        # The issuer is asked first: a folder that trusts nobody was not what was meant.
        presets = PRESETS if is_new else folder.presets()
        answers = _answers_of(given.trust, routes, presets.values(), develops=develops)
    folder.make(name=given.name, public_url=given.public_url)
    if given.trust is not None:
        folder.trust(given.trust, answers, routes)
    if given.json:
        _say({"folder": str(given.dir), "trusts": [*folder.settings().trusts]})
        return _DONE
    print(f"{given.dir} is ready. Next:")
    if not folder.settings().trusts:
        print(f"  counterfoil verifier trust {given.dir} --add ISSUER_URL")
    print(f"  counterfoil verifier serve {given.dir}")
    return _DONE


def _serve(given: argparse.Namespace) -> int:
    from counterfoil_service.serving import bind, bind_exactly, serve

    from counterfoil_verifier.operating import operated_app, tell_failure
    from counterfoil_verifier.shop_rounds import ShopRounds

    folder = ShopFolder(given.dir)
    folder.require_made()
    # What cannot be its origin is refused before a port is taken.
    folder.url(given.public_url, "http://127.0.0.1")
    _warn_of_presets(folder)
    last = folder.last_port()
    # A port that was asked for is the one that others were told: nothing moves it.
    socket = bind(last) if given.port is None else bind_exactly(given.port)
    with socket as listener:
        port = listener.getsockname()[1]
        if given.port is None and last not in (None, port):
            moved = f"port {last} is in use; it listens on {port} instead"
            print(f"counterfoil verifier serve: {moved}", file=sys.stderr)
        address = f"http://127.0.0.1:{port}"
        url = folder.url(given.public_url, address)
        with _opened(folder, url, given) as shop:
            hooks = folder.settings().loopback_webhooks
            app = operated_app(
                shop.counter,
                shop.store.database,
                secret=folder.secret(),
                counter_key=folder.counter_key(),
                fetcher=GuardedFetcher(loopback_routes_unsafely={one: one for one in hooks}),
                trust=shop.trust,
                data=folder.path,
                rounds=ShopRounds(shop, clock=given.clock, failed=tell_failure),
                flags=shop.flags,
                loopback_webhooks=hooks,
                clock=given.clock,
            )
            folder.record_address(url)
            folder.record_port(port)
            if given.json:
                _say({"verifier": url, "listens": address})
            else:
                print(f"verifier {url} listens on {address}", flush=True)
            serve(app, listener=listener, lifeline=None)
    return _DONE


def _command(given: argparse.Namespace) -> int:
    folder = ShopFolder(given.dir)
    folder.require_made()
    run = {"request": _request, "result": _result, "scan": _scan, "sync": _sync}[given.command]
    with _opened(folder, folder.url(), given) as shop:
        return run(shop, given)


def _request(shop: "OpenShop", given: argparse.Namespace) -> int:
    asked = shop.counter.ask(
        given.preset,
        given.language,
        way=None if given.by is None else Way(given.by),
        handback=Handback.MATCH_CODE if given.match_code else None,
        till=given.till,
    )
    if given.codes:
        codes: list[Json] = [*shop.counter.codes(asked.session_id, till=given.till)]
        if given.json:
            _say({"codes": codes, "id": asked.session_id})
        else:
            print(*codes, f"id: {asked.session_id} (until {_text(asked.expires_at)})", sep="\n")
        return _DONE
    if given.json:
        _say({"request": asked.link, "id": asked.session_id})
        return _DONE
    from counterfoil_service.terminal import qr_code

    if code := qr_code(asked.link):
        print(code)
    print(asked.link)
    print(f"id: {asked.session_id} (until {_text(asked.expires_at)})")
    return _DONE


def _result(shop: "OpenShop", given: argparse.Namespace) -> int:
    if not 0 <= given.wait <= _MAX_WAIT_S:
        raise Misuse(f"expected 0 to {_MAX_WAIT_S:.0f} seconds (--wait)")
    session = shop.store.by_session(SessionId(given.id))
    # Whoever has the folder may see what each of its tills asked.
    till = None if session is None else session.till
    ends = time.monotonic() + given.wait
    while True:
        look = shop.counter.look(SessionId(given.id), code=given.code, till=till)
        left = ends - time.monotonic()
        # A code is tried once: the third wrong one ends the session.
        was_tried = given.code is not None and isinstance(look.session, Answered)
        if look.light is not None or was_tried or isinstance(look.session, Expired) or left <= 0:
            break
        time.sleep(min(_LOOK_EVERY_S, left))
    is_kept = given.signed and look.light is not None and look.standing is Standing.FIRM
    return _tell(
        look, given, shop.counter.signed_result(SessionId(given.id), till=till) if is_kept else None
    )


def _scan(shop: "OpenShop", given: argparse.Namespace) -> int:
    session_id = SessionId(given.id)
    session = shop.store.by_session(session_id)
    till = None if session is None else session.till
    found: Look | Scanning | None = None
    for code in given.code:
        if isinstance(found, Look):
            raise Malformed("the codes of one answer", "more", "CODE")
        found = shop.counter.scan(session_id, code, till=till)
    if isinstance(found, Scanning):
        raise Malformed(f"{found.count} codes", f"{found.read}", "CODE")
    look = found or shop.counter.look(session_id, till=till)
    receipt = None if look.held is None else look.held.receipt
    return _tell(look, given, receipt=() if receipt is None else receipt_codes(receipt))


def _sync(shop: "OpenShop", given: argparse.Namespace) -> int:
    from counterfoil_verifier.results import Service, sync

    key = _bytes_of(given.key_file).decode("ascii", "replace").strip()
    sent = sync(shop.store, Service(_fetcher(shop.folder), given.to, key), now=given.clock())
    if given.json:
        _say({"sent": sent})
    else:
        print(f"{sent} results sent")
    return _DONE


def _tell(
    look: Look,
    given: argparse.Namespace,
    signed: str | None = None,
    *,
    receipt: Sequence[str] = (),
) -> int:
    verdict, status = ("unavailable", _UNKNOWN) if look.light is None else _LIGHTS[look.light]
    texts = {code: words_for(code).en for code in _codes(look)}
    if given.json:
        reasons: list[Json] = [{"code": code, "text": text} for code, text in texts.items()]
        told: JsonObject = {"verdict": verdict, "reasons": reasons}
        if receipt:
            told["receipt"] = [*receipt]
        _say(told if signed is None else {**told, "signed": signed})
        return status
    print(verdict if look.as_of is None else f"{verdict}. {look.as_of.en}")
    for code, text in texts.items():
        print(f"  {code}: {text}")
    if isinstance(look.session, Waiting):
        print("  --wait 60 waits for an answer; the request lives for two minutes")
    if look.light is None and isinstance(look.session, Answered):
        was_tried = given.command == "result" and given.code is not None
        tried = "that was not it; " if was_tried else ""
        print(f"  {tried}`result --code` takes what the customer tells; a third wrong one is a no")
    if signed is not None:
        print(signed)
    if receipt:
        print("  The customer's receipt, as QR codes:", *receipt, sep="\n")
    return status


def _codes(look: Look) -> list[str]:
    """Give why it is no yes, also while there is no answer yet."""
    if look.light is None and isinstance(look.session, Waiting):
        return ["not-answered-yet"]
    if look.light is None and isinstance(look.session, Answered):
        return ["code-not-told-yet"]
    return [code for code, _ in look.words]


def _verify(given: argparse.Namespace) -> int:
    from counterfoil_verifier.shop_service import carried, flags_in, shop_in, verifier_for

    data = _bytes_of(given.file)
    folder = ShopFolder(given.shop or given.file.parent)
    if given.shop is None and not folder.is_made():
        made = "a folder that `counterfoil verifier init` has made"
        raise Misuse(f"expected the file in {made}, or --shop DIR, found neither")
    folder.require_made()
    at = given.at or given.clock()
    saved = parse_object(data, given.file.name, max_bytes=_MAX_FILE_BYTES)
    vp_token = compact_json(object_at(saved, "vp_token", given.file.name)).decode()
    signed = text_at(saved, "request", given.file.name)
    client_id = shop_in(folder, folder.settings().public_url or "http://127.0.0.1").client_id
    reasons: Sequence[Reason] = ()
    unknown: Sequence[Reason] = ()
    as_of: datetime | None = None
    is_read = False
    fetcher = carried(folder, _fetcher(folder), lambda: at)
    flags = flags_in(folder, fetcher, lambda: at)
    try:
        request = read_request(signed, client_id=client_id, now=at)
        is_read = True
        answer = parse_response_form({"vp_token": vp_token})
        # A wrong setting is the shop's trouble: it must not look like a refused customer.
        verifier = verifier_for(folder, request.query.credentials[0].id, fetcher, flags)
        as_of = verifier.verify(answer, request, now=at).status_as_of
        verdict, status = "accepted", _DONE
    except Refused as refused:
        verdict, status, reasons = "refused", _REFUSED, refused.reasons
        unknown = refused.unknown if isinstance(refused, NotAccepted) else ()
    except CouldNotCheck as undecided:
        verdict, status, unknown = "unavailable", _UNKNOWN, undecided.reasons
    except Unavailable as undecided:
        unknown = (Reason("could-not-check", "an answer", undecided.what, "policy"),)
        verdict, status = "unavailable", _UNKNOWN
    of_the_item = flags is not None
    checks = explain(reasons, unknown, of_request=not is_read, of_the_item=of_the_item)
    if given.json:
        told = _reasons(reasons or unknown)
        _say({"verdict": verdict, "reasons": told, "checks": _checks(checks)})
        return status
    since = f" (status as of {as_of.isoformat()})" if as_of is not None else ""
    print(f"{verdict}{since}")
    for one in checks:
        print(f"  {_MARKS[one.state]:>3}  {one.check.words.en}")
        for reason in one.reasons:
            print(f"       {reason.code}: {words_for(reason.code).en}")
            print(f"         {reason}")
    if any(reason.code == "request-expired" for reason in reasons):
        print("  --at judges a saved answer as of another time, such as that of its request")
    return status


def _preload(given: argparse.Namespace) -> int:
    from counterfoil_verifier.shop_service import take_along

    folder, now = ShopFolder(given.dir), given.clock()
    folder.require_made()
    failures: Mapping[str, CounterfoilError] = {}
    if given.take is not None:
        taken = folder.take_along(_bytes_of(given.take), now)
    else:
        taken, failures = take_along(folder, _fetcher(folder), given.clock)
    if given.json:
        failed: list[Json] = [
            {"url": url, "text": str(failure)} for url, failure in failures.items()
        ]
        documents: list[Json] = [*taken.documents]
        _say({"made_at": _text(taken.made_at), "documents": documents, "failures": failed})
    else:
        print(f"taken along as of {_text(taken.made_at)}:")
        for document in taken.documents.values():
            print(f"  {document.url} ({_age(now - document.had_at)} old)")
        for url, failure in failures.items():
            print(f"  not had: {url}: {failure}", file=sys.stderr)
    return _UNKNOWN if failures else _DONE


def _trust(given: argparse.Namespace) -> int:
    folder = ShopFolder(given.dir)
    folder.require_made()
    if given.add is not None:
        before, routes = folder.settings(), _routes(given.loopback_unsafely)
        reach = {**before.routes(), **routes}
        if given.type:
            answers = _given_types(given.type)
        else:
            presets = folder.presets().values()
            answers = _answers_of(given.add, reach, presets, develops=before.develops)
        folder.trust(given.add, answers, routes)
    elif given.remove is not None:
        if given.remove not in folder.settings().trusts:
            raise Misuse("expected an issuer that is trusted, found another (--remove)")
        folder.trust(given.remove, {})
    return _tell_trust(folder, given)


def _tell_trust(folder: ShopFolder, given: argparse.Namespace) -> int:
    from counterfoil_verifier.shop_rounds import rests_on

    settings, now = folder.settings(), given.clock()
    found = rests_on(folder, _fetcher(folder), given.clock)
    status = _UNKNOWN if found.failures else _DONE
    if given.json:
        trusts: list[Json] = [
            {"issuer": issuer, "presets": {name: [*vcts] for name, vcts in by_preset.items()}}
            for issuer, by_preset in settings.trusts.items()
        ]
        ends: list[Json] = [{"what": one.what, "at": _text(one.at)} for one in found.ends]
        warnings: list[Json] = [
            {"code": one.code, "what": one.what, "at": None if one.at is None else _text(one.at)}
            for one in found.notices
        ]
        flags: Json = None
        if found.flags is not None:
            age_s = int((now - found.flags.as_of).total_seconds())
            as_of = _text(found.flags.as_of)
            flags = {"as_of": as_of, "age_s": age_s, "count": len(found.flags)}
        _say({"trusts": trusts, "ends": ends, "flags": flags, "warnings": warnings})
        return status
    for issuer, by_preset in settings.trusts.items():
        print(issuer)
        for name, vcts in by_preset.items():
            print(f"  {name}: {', '.join(vcts)}")
    for one in settings.trusted.lists:
        print(f"whom this list names: {one.url}")
        for name, vcts in one.presets.items():
            print(f"  {name}: {', '.join(vcts)}")
    if not settings.trusts and not settings.trusted.lists:
        print(f"nobody is trusted: counterfoil verifier trust {folder.path} --add ISSUER_URL")
    if found.flags is not None:
        age = _age(now - found.flags.as_of)
        print(f"flags of items: {len(found.flags)}, as of {_text(found.flags.as_of)} ({age} old)")
    for notice in found.notices:
        at = "" if notice.at is None else f" ({_text(notice.at)})"
        print(f"{_WARNINGS[notice.code]}: {notice.what}{at}")
    return status


def _presets(given: argparse.Namespace) -> int:
    folder = ShopFolder(given.dir)
    folder.require_made()
    registered, askable = folder.registration(), {preset.name for preset in folder.askable()}
    found = {
        preset: lint(preset, kept_for=VERDICTS_KEPT_FOR, registered=registered)
        for preset in folder.presets().values()
    }
    if given.json:
        presets: list[Json] = [
            {
                "preset": preset.name,
                "title": {"en": preset.title.en, "zh": preset.title.zh},
                "answered": preset.name in askable,
                "holder_shown": preset.shown_within is not None,
                "findings": _reasons(findings),
            }
            for preset, findings in found.items()
        ]
        _say({"presets": presets})
    else:
        for preset, findings in found.items():
            nobody = "" if preset.name in askable else f" ({_UNANSWERED})"
            print(f"{preset.name}: {preset.title.en}{nobody}")
            for finding in findings:
                print(f"  {finding.code}: {finding}")
    return _REFUSED if any(found.values()) else _DONE


def _warn_of_presets(folder: ShopFolder) -> None:
    registered = folder.registration()
    for preset in folder.askable():
        for finding in lint(preset, kept_for=VERDICTS_KEPT_FOR, registered=registered):
            print(f"counterfoil verifier serve: {finding.code}: {finding}", file=sys.stderr)


def _answers_of(
    issuer: str, routes: Mapping[str, str], presets: Iterable[Preset], *, develops: bool
) -> dict[str, tuple[str, ...]]:
    """Ask an issuer for its types, and give those that answer each preset."""
    require_issuer(issuer, develops=develops)
    if issuer.startswith("did:"):
        how = "counterfoil verifier trust DIR --add DID --type PRESET=VCT"
        raise Misuse(f"expected the types of an issuer that is named by a DID, found none: `{how}`")
    here = {origin_of(issuer): origin_of(issuer)} if is_on_loopback(issuer) else {}
    fetcher = GuardedFetcher(loopback_routes_unsafely={**here, **routes})
    return types_by_preset(offered_types(fetcher, issuer), presets, issuer)


def _given_types(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        preset, sign, vct = text.partition("=")
        if not (preset and sign and vct):
            raise Malformed("PRESET=VCT", "another text", "--type")
        found[preset] = (*found.get(preset, ()), vct)
    return found


def _routes(texts: Sequence[str]) -> dict[str, str]:
    routes: dict[str, str] = {}
    for text in texts:
        origin, sign, target = text.partition("=")
        if not (origin and sign and target):
            raise Malformed("ORIGIN=LOOPBACK_ORIGIN", "another text", "--loopback-unsafely")
        routes[origin] = target
    return routes


def _opened(
    folder: ShopFolder, url: str, given: argparse.Namespace
) -> "AbstractContextManager[OpenShop]":
    from counterfoil_verifier.shop_service import open_shop

    fetcher = _fetcher(folder)
    return open_shop(folder, url, fetcher=fetcher, clock=given.clock, database=given.database)


def _fetcher(folder: ShopFolder) -> GuardedFetcher:
    return GuardedFetcher(loopback_routes_unsafely=folder.settings().routes())


def _reasons(reasons: Sequence[Reason]) -> list[Json]:
    return [{"code": reason.code, "text": str(reason)} for reason in reasons]


def _checks(checks: Sequence[Told]) -> list[Json]:
    return [
        {
            "check": one.check.name,
            "state": one.state.value,
            "en": one.check.words.en,
            "zh": one.check.words.zh,
            "codes": [reason.code for reason in one.reasons],
        }
        for one in checks
    ]


def _bytes_of(path: Path) -> bytes:
    if not path.is_file():
        raise Malformed("a file", "a folder" if path.is_dir() else "none", str(path))
    return path.read_bytes()


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        expected = "a time with its zone, such as 2026-03-01T12:00:00Z"
        raise argparse.ArgumentTypeError(f"expected {expected}, found another text") from None
    if instant.tzinfo is None:
        raise argparse.ArgumentTypeError("expected a time with its zone, found one without")
    return instant


def _age(age: timedelta) -> str:
    hours, minutes = divmod(max(0, int(age.total_seconds())) // 60, 60)
    days, hours = divmod(hours, 24)
    return f"{days} days" if days else f"{hours} h {minutes} min"


def _text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _say(value: JsonObject) -> None:
    print(json.dumps(value, ensure_ascii=False), flush=True)


def _told(given: argparse.Namespace, error: Exception, status: int) -> int:
    codes = error.codes if isinstance(error, Refused) else ()
    hints = [_NEXT[code] for code in codes if code in _NEXT]
    if not hints and isinstance(error, Unavailable) and given.command in _NEXT:
        hints = [_NEXT[given.command]]
    more = "".join(f". Next: {hint}" for hint in hints[:1])
    print(f"counterfoil verifier {given.command}: {error}{more}", file=sys.stderr)
    return status
