"""Steps a, b and c: a purchase becomes credentials, the counter asks, four cheats fail."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Final

from counterfoil_credentials.claims import path_text, values_at
from counterfoil_credentials.encoding import Json, JsonObject, int_at, list_at, object_at, text_at
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_issuer.catalogue import WARRANTY, parse_catalogue
from counterfoil_issuer.importing import parse_orders
from counterfoil_verifier.requesting import Handback
from counterfoil_wallet.disclosures import Disclosure
from counterfoil_wallet.held import HeldCredential
from counterfoil_wallet.matching import Choice
from counterfoil_wallet.presenting import Presented
from counterfoil_wallet.visit_receipts import ReceiptStanding

from counterfoil_demo.houses import AURICLE
from counterfoil_demo.mallory import Answer, request_behind
from counterfoil_demo.naming import claim_names, credential_names
from counterfoil_demo.office import objects_at, segment
from counterfoil_demo.report import NotAsItMustBe, OrdersBroken, Step, must
from counterfoil_demo.scene import Scene
from counterfoil_demo.shop import NAME as SHOP_NAME
from counterfoil_demo.shop import WARRANTY_VCT
from counterfoil_demo.words import Language, sentence

_LIGHTS: Final = {"green": "●", "amber": "▲", "red": "■"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """The order that the walk is about, as the brand's back office tells it."""

    order: str
    email: str
    buyer: str
    serials: tuple[str, ...]


# Step a.


def buy(scene: Scene, step: Step, orders: Path | None) -> Purchase:
    """Import the orders, offer one customer's credentials, accept them in her wallet."""
    name, data = _orders(orders)
    try:
        report = scene.auricle.post_bytes("/back-office/orders", data, "text/csv")
    except Malformed as unreadable:
        raise OrdersBroken(name, [str(unreadable)]) from unreadable
    imported, unchanged = (int_at(report, count, "import") for count in ("imported", "unchanged"))
    step.say("imported", file=name, imported=imported, unchanged=unchanged)
    step.note("imported", imported)
    if errors := objects_at(report, "errors"):
        step.note("errors", [*errors])
        raise OrdersBroken(name, [_spelled(error) for error in errors])
    purchase = _purchase(scene, data)
    _finish_what_was_interrupted(scene, step)
    offered = scene.auricle.post(
        f"/back-office/orders/{segment(purchase.order)}/offers", {"tx_code": True}
    )
    if offers := objects_at(offered, "offers"):
        kinds = [text_at(c, "type", "offer") for o in offers for c in objects_at(o, "credentials")]
        names = credential_names(kinds, step.report.language)
        step.say("offered", order=purchase.order, credentials=names)
    else:
        count = len(list_at(offered, "issued", "offers"))
        step.say("already-issued", order=purchase.order, count=count)
    for offer in offers:
        accepted = scene.wallet.accept(
            text_at(offer, "link", "offer"), tx_code=text_at(offer, "tx_code", "offer")
        )
        must(not accepted.refused, "every offered credential", f"{len(accepted.refused)} refused")
    held = [c for c in scene.wallet.credentials() if c.issuer == AURICLE.origin]
    kinds = [credential.configuration_id for credential in held]
    step.say("accepted", credentials=credential_names(kinds, step.report.language))
    _require_once(scene, step, purchase, held)
    return purchase


def _spelled(error: JsonObject) -> str:
    place = f"row {error['row']}, {error['column']}"
    return f"{place}: expected {error['expected']}, found {error['found']}"


def _orders(path: Path | None) -> tuple[str, bytes]:
    if path is not None:
        return path.name, path.read_bytes()
    return "orders.csv", files("counterfoil_demo").joinpath("data", "orders.csv").read_bytes()


def _purchase(scene: Scene, data: bytes) -> Purchase:
    known = scene.diary.entry("purchase")
    if known is None:
        catalogue = files("counterfoil_demo").joinpath("data", f"{AURICLE.name}.json")
        parsed = parse_orders(data, parse_catalogue(catalogue.read_bytes()).assortment)
        units = [
            (order, sum(line.quantity for line in order.lines if line.warranty_months))
            for _, order in parsed.orders
        ]
        # The first customer who bought two things with a warranty: one to keep, one to return.
        fitting = sorted((it for it in units if it[1]), key=lambda it: it[1] < 2)
        found = fitting[0] if fitting else None
        if found is None:
            raise NotAsItMustBe("expected an order of something with a warranty, found none")
        order, _ = found
        # Serial numbers are the brand's to tell: they follow from its secret.
        told = scene.auricle.post("/back-office/orders/search", {"email": order.buyer_email})
        serials = [
            serial
            for listed in objects_at(told, "orders")
            if listed["order"] == order.number
            for line in objects_at(listed, "lines")
            for serial in list_at(line, "serials", "line")
        ]
        known = scene.diary.write(
            "purchase",
            {
                "order": order.number,
                "email": order.buyer_email,
                "buyer": order.buyer_name,
                "serials": [*serials],
            },
        )
    return Purchase(
        order=text_at(known, "order", "diary"),
        email=text_at(known, "email", "diary"),
        buyer=text_at(known, "buyer", "diary"),
        serials=tuple(str(serial) for serial in list_at(known, "serials", "diary")),
    )


def _finish_what_was_interrupted(scene: Scene, step: Step) -> None:
    held = len(scene.wallet.credentials())
    scene.wallet.resume()
    if finished := len(scene.wallet.credentials()) - held:
        step.say("resumed", count=finished)


def _require_once(scene: Scene, step: Step, purchase: Purchase, held: list[HeldCredential]) -> None:
    """Compare wallet and brand: each dataset issued once, an index for each copy, nothing lost."""
    answer = scene.auricle.get(f"/back-office/credentials?order={segment(purchase.order)}")
    issued = [c for c in objects_at(answer, "credentials") if c["state"] != "dropped"]
    statuses = [status for c in issued for status in objects_at(c, "statuses")]
    indices = {(int_at(s, "list", "status"), int_at(s, "index", "status")) for s in statuses}
    must(len(issued) == len(held), f"{len(issued)} credentials held", len(held))
    must(len(indices) == len(statuses), "a status index for each copy", f"{len(indices)}")
    must(len(issued) == 1 + len(purchase.serials), "a receipt and each warranty", len(issued))
    summary = scene.auricle.get("/back-office/summary")
    twice = int_at(summary, "datasets_issued_twice", "summary")
    must(twice == 0, "nothing issued twice", f"{twice}")
    step.note("order", purchase.order)
    step.note("credentials_issued", len(issued))
    step.note("status_indices_used", int_at(summary, "status_indices_used", "summary"))
    step.note("datasets_issued_twice", twice)


# Step b.


def show(scene: Scene, step: Step, purchase: Purchase) -> None:
    """Let the counter ask and the wallet answer; print the verdict with its time."""
    returned, kept = _warranties(scene, purchase)
    shown = returned
    if _is_revoked(scene, purchase, returned):
        if kept is None:
            seen = _answer_counter(scene, step, returned)
            must("revoked" in _codes(seen), "a refusal of what was returned", _codes(seen))
            _say_refusal(step, seen, "same-proof", "revoked")
            return
        step.say("returned-before", product=_product(returned), other=_product(kept))
        shown = kept
    seen = _answer_counter(scene, step, shown)
    must(seen["state"] == "accepted", "an accepted proof", f"{seen['state']} {_codes(seen)}")
    facts = object_at(seen, "facts", "verdict")
    told = str(facts)
    must(_serial(shown) in told, "the serial number at the counter", "none")
    must(purchase.buyer not in told, "no name at the counter", "one")
    took_ms = int_at(seen, "took_ms", "verdict")
    step.say(
        "verdict",
        light=_LIGHTS["green"],
        word=sentence("light-accepted", step.report.language),
        facts=", ".join(str(value) for value in _leaves(facts)),
        took_ms=took_ms,
    )
    step.note("verdict", "accepted")
    step.note("verdict_ms", took_ms)


def _answer_counter(scene: Scene, step: Step, credential: HeldCredential) -> JsonObject:
    asked = _ask(scene, step.report.language, handback=Handback.MATCH_CODE)
    matches = scene.wallet.matches(text_at(asked, "link", "asked"))
    step.say("asks", who=matches.asker.claimed_name or SHOP_NAME, purpose=matches.purpose or "")
    step.say("not-verified")
    choice = matches.choose(dict.fromkeys(matches.answers, credential.credential_id))
    for disclosure in choice.disclosures:
        _say_both_halves(step, disclosure)
    presented = _present(scene, choice)
    if presented is None:
        return _look(scene, asked)
    _say_what_is_kept(step, presented)
    digits = presented.match_code
    must(digits is not None, "digits to tell at the counter", "none")
    seen = _look(scene, asked)
    must(seen["state"] == "awaited", "a light that waits for the digits", seen["state"])
    step.say("tells", digits=digits)
    return _look(scene, asked, digits)


def _say_what_is_kept(step: Step, presented: Presented) -> None:
    receipt = presented.receipt
    if receipt is None or receipt.kept_until is None:
        raise NotAsItMustBe("expected a receipt that says until when, found none")
    must(receipt.standing is ReceiptStanding.GOOD, "a receipt of what was shown", receipt.standing)
    until = receipt.kept_until.date().isoformat()
    step.say("shop-keeps", who=SHOP_NAME, until=until)
    step.note("shop_keeps_until", until)


def _say_both_halves(step: Step, disclosure: Disclosure) -> None:
    language = step.report.language
    step.say("would-reveal", claims=claim_names(disclosure.names, language))
    withheld = [
        path_text(path)
        for path in WARRANTY.concealed
        if values_at(disclosure.credential.claims, path) and path_text(path) not in disclosure.names
    ]
    must({"price", "buyer.name"} <= set(withheld), "name and price to stay", "them shown")
    step.say("stays", claims=claim_names(withheld, language))


# Step c.


def cheat(scene: Scene, step: Step, purchase: Purchase) -> None:
    """Return the goods, then try an old answer, a changed one, and one made for another shop."""
    returned, kept = _warranties(scene, purchase)
    earlier = scene.tap.answers[-1]
    _take_back(scene, step, purchase, returned)
    seen = _shown_again(scene, step, returned)
    must("revoked" in _codes(seen), "a refusal as revoked", f"{seen['state']} {_codes(seen)}")
    _say_refusal(step, seen, "same-proof", "revoked")

    seen = _replayed(scene, step.report.language, earlier)
    must("nonce-mismatch" in _codes(seen), "a refusal as made earlier", _codes(seen))
    _say_refusal(step, seen, "replayed", "nonce-mismatch")

    proof = kept or returned
    seen = _tampered(scene, step.report.language, proof)
    must("signature-invalid" in _codes(seen), "a refusal as changed", _codes(seen))
    _say_refusal(step, seen, "tampered", "signature-invalid")

    seen = _misdirected(scene, step.report.language, proof)
    must("audience-mismatch" in _codes(seen), "a refusal as another shop's", _codes(seen))
    _say_refusal(step, seen, "misdirected", "audience-mismatch")
    step.note("refused", ["revoked", "nonce-mismatch", "signature-invalid", "audience-mismatch"])


def _take_back(scene: Scene, step: Step, purchase: Purchase, returned: HeldCredential) -> None:
    before = _is_revoked(scene, purchase, returned)
    record = _record(scene, purchase, returned)
    identifier = segment(text_at(record, "credential_id", "credential"))
    scene.auricle.post(
        f"/back-office/credentials/{identifier}/revoke", {"reason": "goods-returned"}
    )
    step.say("revoked-before" if before else "revoked", product=_product(returned))


def _shown_again(scene: Scene, step: Step, credential: HeldCredential) -> JsonObject:
    asked = _ask(scene, step.report.language)
    matches = scene.wallet.matches(text_at(asked, "link", "asked"))
    picks = dict.fromkeys(matches.answers, credential.credential_id)
    _present(scene, matches.choose(picks))
    return _look(scene, asked)


def _replayed(scene: Scene, language: Language, earlier: Answer) -> JsonObject:
    asked = _ask(scene, language)
    place, state = request_behind(scene.tap, text_at(asked, "link", "asked"), _now())
    scene.tap.send(earlier.retargeted(place, state))
    return _look(scene, asked)


def _tampered(scene: Scene, language: Language, proof: HeldCredential) -> JsonObject:
    asked = _ask(scene, language)
    matches = scene.wallet.matches(text_at(asked, "link", "asked"))
    picks = dict.fromkeys(matches.answers, proof.credential_id)
    with scene.tap.holding() as held:
        scene.wallet.present(matches.choose(picks))
    scene.tap.send(held[-1].tampered())
    return _look(scene, asked)


def _misdirected(scene: Scene, language: Language, proof: HeldCredential) -> JsonObject:
    asked = _ask(scene, language)
    lure = scene.tap.lure(text_at(asked, "link", "asked"), _now())
    matches = scene.wallet.matches(lure)
    _present(scene, matches.choose(dict.fromkeys(matches.answers, proof.credential_id)))
    return _look(scene, asked)


# What the steps share.


def _ask(scene: Scene, language: Language, handback: Handback | None = None) -> JsonObject:
    question: JsonObject = {"preset": "warranty", "language": language, "handback": handback}
    return scene.shop.post("/counter/requests", question)


def _present(scene: Scene, choice: Choice) -> Presented | None:
    # The wallet hears no more than that the counter did not accept: why is for the counter to say.
    with suppress(Refused):
        return scene.wallet.present(choice)
    return None


def _look(scene: Scene, asked: JsonObject, digits: str | None = None) -> JsonObject:
    told = "" if digits is None else f"?code={segment(digits)}"
    return scene.shop.get(f"/counter/requests/{segment(text_at(asked, 'id', 'asked'))}{told}")


def _codes(seen: JsonObject) -> list[str]:
    return [text_at(reason, "code", "reason") for reason in objects_at(seen, "reasons")]


def _say_refusal(step: Step, seen: JsonObject, what: str, code: str) -> None:
    language = step.report.language
    reason = next(r for r in objects_at(seen, "reasons") if r["code"] == code)
    step.say(
        "refused",
        light=_LIGHTS["red"],
        what=sentence(what, language),
        reason=text_at(reason, language, "reason"),
        code=code,
    )


def _warranties(scene: Scene, purchase: Purchase) -> tuple[HeldCredential, HeldCredential | None]:
    """Give the warranty of the unit that is returned, and of one that is kept."""
    by_serial = {_serial(c): c for c in scene.wallet.credentials() if c.vct == WARRANTY_VCT}
    units = [by_serial[serial] for serial in purchase.serials]
    return units[0], units[1] if len(units) > 1 else None


def _record(scene: Scene, purchase: Purchase, credential: HeldCredential) -> JsonObject:
    answer = scene.auricle.get(f"/back-office/credentials?order={segment(purchase.order)}")
    return next(
        record
        for record in objects_at(answer, "credentials")
        if record["serial"] == _serial(credential) and record["state"] != "dropped"
    )


def _is_revoked(scene: Scene, purchase: Purchase, credential: HeldCredential) -> bool:
    return _record(scene, purchase, credential)["state"] == "revoked"


def _serial(credential: HeldCredential) -> str:
    return text_at(object_at(credential.claims, "item", "claims"), "serial", "claims.item")


def _product(credential: HeldCredential) -> str:
    return text_at(object_at(credential.claims, "item", "claims"), "name", "claims.item")


def _leaves(value: Json) -> list[Json]:
    if isinstance(value, dict):
        return [leaf for member in value.values() for leaf in _leaves(member)]
    return [value]


def _now() -> datetime:
    return datetime.now(UTC)
