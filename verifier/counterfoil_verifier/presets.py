"""What a counter can ask with one tap, as data: purpose, claims, and what is kept.

    warranty = WARRANTY.accepting(["https://audio.example/types/warranty"])
    ours = parse_preset(Path("presets/hire.json").read_bytes(), "hire.json")

A preset asks for what its decision needs. A warranty needs the product, its
serial number and the last day; a name and a price decide nothing. What it asks
beyond what the policy reads has its reason beside it, and `preset_linter.py` says
where one is missing. The files of those that ship are in `preset_files/`.

    trade = ours.under(TrustAnchors.from_pem(Path("trade.pem").read_bytes()))

asks for issuers under these authorities alone; a file names such a file of the shop's
folder (`"authorities": "trade.pem"`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Final

from counterfoil_credentials.claims import ClaimPath, parse_path
from counterfoil_credentials.dcql import (
    AuthorityQuery,
    AuthorityType,
    ClaimQuery,
    CredentialQuery,
    DcqlQuery,
)
from counterfoil_credentials.encoding import (
    JsonObject,
    as_object,
    int_at,
    list_at,
    object_at,
    optional_text_at,
    parse_object,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_credentials.x509 import TrustAnchors

from counterfoil_verifier.members import require_only
from counterfoil_verifier.policy import (
    AllOf,
    AnsweredBy,
    BoundToHolder,
    DateNotPassed,
    DisclosesAtMost,
    NotRevoked,
    OfType,
    Policy,
)
from counterfoil_verifier.policy_moments import HappenedWithin
from counterfoil_verifier.words import Words

MAX_BYTES: Final = 65_536
_MAX_CLAIMS: Final = 50
_MAX_AUTHORITIES: Final = 100
_MAX_TEXT: Final = 500
_MAX_DAYS: Final = 3_650
_MAX_AGE_S: Final = 30 * 86_400
# A proof that is older was not made for the person at the counter now.
_MAX_SHOWN_S: Final = 300
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_CODE: Final = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)
_FILE: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,95}\.pem", re.ASCII)
_MEMBERS: Final = (
    "name",
    "title",
    "purpose",
    "retention",
    "answered_by",
    "authorities",
    "claims",
    "ends",
    "happened_within",
    "status_max_age_s",
    "holder_shown",
    "taken_once",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One question that a counter asks.

    `name` is also the id of its credential query. `why` gives the reason for each claim
    that the policy does not read. `ends` is the claim that holds the last day, and the
    code of the refusal once that day is over (in UTC, as the brand counted it);
    `happened_within` the claim that holds a moment, how long ago it may be, and the
    code. A status list may be up to `status_max_age` old. `shown_within` says how old
    may be what a holder shows unasked; None refuses it. What is `taken_once` is a voucher:
    a yes spends it. The result is kept for
    `kept_for`; None says that nobody decided. `answered_by` are the names of types as
    brands use them, `vcts` the types that answer it here, and `answers` says who may answer
    with which of them: with all, for None.

    `authorities` is the file of the certificates under one of which an issuer must stand,
    and `authority_ids` are the identifiers of their keys.
    """

    name: str
    title: Words
    purpose: Words
    retention: Words
    claims: tuple[ClaimPath, ...]
    ends: tuple[ClaimPath, str] | None
    status_max_age: timedelta
    vcts: tuple[str, ...] = ()
    answers: AnsweredBy | None = field(default=None, hash=False)
    why: Mapping[ClaimPath, Words] = field(default_factory=dict[ClaimPath, Words], hash=False)
    happened_within: tuple[ClaimPath, timedelta, str] | None = None
    shown_within: timedelta | None = None
    kept_for: timedelta | None = None
    answered_by: tuple[str, ...] = ()
    taken_once: bool = False
    authorities: str | None = None
    authority_ids: tuple[str, ...] = ()

    def accepting(self, vcts: Iterable[str], answers: AnsweredBy | None = None) -> "Preset":
        """Give the preset that is answered by credentials of the types `vcts`.

        With `answers`, by each issuer with its own of them alone.
        """
        return replace(self, vcts=tuple(vcts), answers=answers)

    def under(self, authorities: TrustAnchors) -> "Preset":
        """Give the preset that only issuers under one of `authorities` answer.

        It narrows whom the shop trusts, and adds nobody. Raises `Misuse` for none, and for
        more than a query may name.
        """
        if not 1 <= len(ids := authorities.key_ids) <= _MAX_AUTHORITIES:
            expected = f"1 to {_MAX_AUTHORITIES} authorities"
            raise Misuse(f"expected {expected}, found {len(ids)} ({self.name})")
        return replace(self, authority_ids=ids)

    def query(self) -> DcqlQuery:
        """Give what the wallet is asked for (OpenID4VP 1.0, section 6)."""
        return _query(self)

    def policy(self) -> Policy:
        """Give what an answer must fulfil, beyond answering the request."""
        checks: list[Policy] = [
            OfType(self.vcts),
            BoundToHolder(),
            DisclosesAtMost(self.claims),
            NotRevoked(max_age=self.status_max_age),
        ]
        if self.answers is not None:
            checks.append(self.answers)
        if self.ends is not None:
            path, code = self.ends
            checks.append(DateNotPassed(path=path, code=code))
        if self.happened_within is not None:
            path, period, code = self.happened_within
            checks.append(HappenedWithin(path=path, period=period, code=code))
        return AllOf(*checks)

    def read_by_policy(self) -> frozenset[ClaimPath]:
        """Give the claims that the decision itself reads."""
        read = [one[0] for one in (self.ends, self.happened_within) if one is not None]
        return frozenset(read)


# A shop has few presets, and asks each of them all day.
@lru_cache(maxsize=64)
def _query(preset: Preset) -> DcqlQuery:
    if not preset.vcts:
        raise Misuse(f"expected types that answer the preset, found none ({preset.name})")
    if preset.authorities is not None and not preset.authority_ids:
        raise Misuse(f"expected the certificates of {preset.authorities}, found none")
    claims = tuple(ClaimQuery(path) for path in preset.claims)
    under = (AuthorityQuery(AuthorityType.AKI, preset.authority_ids),)
    return DcqlQuery(
        (
            CredentialQuery(
                preset.name,
                preset.vcts,
                claims,
                trusted_authorities=under if preset.authority_ids else (),
            ),
        )
    )


def parse_preset(data: bytes, where: str) -> Preset:
    """Give the preset in a JSON file's bytes; `where` names the file.

    Raises `Malformed` for a member that is missing, of another kind, or not known.
    """
    document = parse_object(data, where, max_bytes=MAX_BYTES)
    require_only(document, _MEMBERS, where)
    name = text_at(document, "name", where)
    if not _NAME.fullmatch(name):
        raise Malformed("1 to 64 letters, digits, _ and -", "another text", f"{where}.name")
    retention = object_at(document, "retention", where)
    require_only(retention, ("days", "en", "zh"), f"{where}.retention")
    answered_by = texts_at(document, "answered_by", where)
    if not answered_by or not all(_NAME.fullmatch(one) for one in answered_by):
        raise Malformed("names of types", "none, or another text", f"{where}.answered_by")
    claims, why = _claims(document, where)
    preset = Preset(
        name=name,
        title=_words(document, "title", where),
        purpose=_words(document, "purpose", where),
        retention=_words_in(retention, f"{where}.retention"),
        kept_for=_days(retention, f"{where}.retention") if "days" in retention else None,
        answered_by=tuple(answered_by),
        authorities=_authorities(document, where),
        claims=claims,
        why=why,
        ends=_ends(document, where),
        happened_within=_happened_within(document, where),
        status_max_age=_seconds(document, "status_max_age_s", _MAX_AGE_S, where),
        shown_within=_shown_within(document, where),
        taken_once=_taken_once(document, where),
    )
    if preset.read_by_policy() - set(claims):
        raise Malformed("every claim that the decision reads", "one missing", f"{where}.claims")
    return preset


def _claims(
    document: JsonObject, where: str
) -> tuple[tuple[ClaimPath, ...], dict[ClaimPath, Words]]:
    claims: list[ClaimPath] = []
    why: dict[ClaimPath, Words] = {}
    for i, value in enumerate(list_at(document, "claims", where)):
        place = f"{where}.claims[{i}]"
        claim = as_object(value, place)
        require_only(claim, ("path", "why"), place)
        path = parse_path(claim.get("path"), f"{place}.path")
        if path in claims:
            raise Malformed("each claim once", "one twice", place)
        claims.append(path)
        if "why" in claim:
            why[path] = _words(claim, "why", place)
    # Without one, a wallet sends whatever the brand conceals nowhere: nobody chose that.
    if not 1 <= len(claims) <= _MAX_CLAIMS:
        raise Malformed(f"1 to {_MAX_CLAIMS} claims", f"{len(claims)}", f"{where}.claims")
    return tuple(claims), why


def _authorities(document: JsonObject, where: str) -> str | None:
    file = optional_text_at(document, "authorities", where)
    if file is not None and not _FILE.fullmatch(file):
        raise Malformed("the name of a .pem file in the folder", "another", f"{where}.authorities")
    return file


def _ends(document: JsonObject, where: str) -> tuple[ClaimPath, str] | None:
    if "ends" not in document:
        return None
    ends, place = object_at(document, "ends", where), f"{where}.ends"
    require_only(ends, ("path", "code"), place)
    return parse_path(ends.get("path"), f"{place}.path"), _code(ends, place)


def _happened_within(document: JsonObject, where: str) -> tuple[ClaimPath, timedelta, str] | None:
    if "happened_within" not in document:
        return None
    happened, place = object_at(document, "happened_within", where), f"{where}.happened_within"
    require_only(happened, ("path", "days", "code"), place)
    path = parse_path(happened.get("path"), f"{place}.path")
    return path, _days(happened, place), _code(happened, place)


def _shown_within(document: JsonObject, where: str) -> timedelta | None:
    if "holder_shown" not in document:
        return None
    shown, place = object_at(document, "holder_shown", where), f"{where}.holder_shown"
    require_only(shown, ("within_s",), place)
    return _seconds(shown, "within_s", _MAX_SHOWN_S, place)


def _taken_once(document: JsonObject, where: str) -> bool:
    taken_once = document.get("taken_once", False)
    if not isinstance(taken_once, bool):
        raise Malformed("true or false", "another value", f"{where}.taken_once")
    if taken_once and "holder_shown" in document:
        # What answers no question names no shop: it would prove nobody's double use.
        raise Malformed("a voucher that is asked for", "one shown unasked", f"{where}.holder_shown")
    return taken_once


def _words(document: JsonObject, name: str, where: str) -> Words:
    words, place = object_at(document, name, where), f"{where}.{name}"
    require_only(words, ("en", "zh"), place)
    return _words_in(words, place)


def _words_in(words: JsonObject, where: str) -> Words:
    found = [text_at(words, language, where) for language in ("en", "zh")]
    if not all(0 < len(text) <= _MAX_TEXT and text.isprintable() for text in found):
        raise Malformed(f"1 to {_MAX_TEXT} printable characters", "another text", where)
    return Words(*found)


def _code(obj: JsonObject, where: str) -> str:
    code = text_at(obj, "code", where)
    if not _CODE.fullmatch(code):
        raise Malformed("a code such as warranty-ended", "another text", f"{where}.code")
    return code


def _days(obj: JsonObject, where: str) -> timedelta:
    days = int_at(obj, "days", where)
    if not 0 <= days <= _MAX_DAYS:
        raise Malformed(f"0 to {_MAX_DAYS} days", f"{days}", f"{where}.days")
    return timedelta(days=days)


def _seconds(obj: JsonObject, name: str, most: int, where: str) -> timedelta:
    seconds = int_at(obj, name, where)
    if not 1 <= seconds <= most:
        raise Malformed(f"1 to {most} seconds", f"{seconds}", f"{where}.{name}")
    return timedelta(seconds=seconds)


def preset_files() -> dict[str, bytes]:
    """Give the files of the presets that ship, by name: what a new folder begins with."""
    folder = files("counterfoil_verifier") / "preset_files"
    names = ("warranty.json", "member.json", "return.json", "voucher.json")
    return {name: (folder / name).read_bytes() for name in names}


PRESETS: Final[Mapping[str, Preset]] = {
    preset.name: preset
    for preset in (parse_preset(data, name) for name, data in preset_files().items())
}
"""The presets that ship, by name."""

WARRANTY: Final = PRESETS["warranty"]
