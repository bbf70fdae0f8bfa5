"""Queries and credentials by the dice: most are good, some have one thing changed."""

import copy
import random
from dataclasses import dataclass
from typing import Final, cast

from counterfoil_credentials.dcql import Authority, AuthorityType, parse_dcql
from counterfoil_credentials.dcql_match import Candidate, claims_to_show
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Malformed

TYPES: Final = ["https://a.example/t", "urn:t"]
NAMES: Final = ["a", "b", "length"]
AUTHORITIES: Final = {
    "aki": ["s9tIpPmhxdiuNkHMEWNpYim8S8Y", "AAAA"],
    "etsi_tl": ["https://lotl.example.com"],
    "openid_federation": ["https://anchor.example.com", "https://other.example.com"],
}
_SCALARS: Final[list[Json]] = ["x", "y", 0, 1, True, False, 2**53, 2**53 + 1]
_ODD_SCALARS: Final[list[Json]] = [
    *(None, True, False, 0, 1, -1, 1.0, 1.5, 1e300, "", "x", "a b", "q0", "c0", TYPES[0]),
]
_ODD: Final[list[Json]] = [*_ODD_SCALARS, [], {}, [[]], [{}], [None], ["x"], ["q0"], [["q0"]]]
_MEMBERS: Final = [
    *("credentials", "credential_sets", "options", "required", "purpose", "id", "format"),
    *("meta", "vct_values", "doctype_value", "type_values", "claims", "claim_sets", "path"),
    *("values", "multiple", "require_cryptographic_holder_binding", "trusted_authorities"),
    *("type", "intent_to_retain", "x-new"),
]
_FORMATS: Final = ["mso_mdoc", "mso_mdoc", "jwt_vc_json", "ldp_vc", "vc+sd-jwt", "of-tomorrow"]


@dataclass(frozen=True)
class Case:
    """One query, the credentials that a wallet holds, and which of them are presented."""

    query: JsonObject
    held: list[JsonObject]
    presented: dict[str, list[int]]

    def to_json(self) -> JsonObject:
        """Give the request of the line protocol."""
        presented: JsonObject = {name: [*numbers] for name, numbers in self.presented.items()}
        return {"query": self.query, "credentials": [*self.held], "presented": presented}


def case(seed: str) -> Case:
    """Give the case that this seed names."""
    dice = random.Random(seed)
    query = _query(dice)
    held = [_credential(dice) for _ in range(dice.choice([0, 2, 4, 5]))]
    ids = [cast("str", one["id"]) for one in _objects(query["credentials"])]
    for _ in range(dice.choice([0, 0, 1, 1, 2])):
        _change_one_thing(query, dice)
    presented: dict[str, list[int]] = {}
    likely = _fitting(query, held) if dice.random() < 0.7 else {}
    for name in ids:
        numbers = likely.get(name) or [*range(len(held))]
        if numbers and dice.random() < 0.85:
            count = dice.choice([1, 1, 1, 2])
            presented[name] = dice.sample(numbers, min(len(numbers), count))
    if dice.random() < 0.03:
        presented["unasked"] = []
    return Case(query, held, presented)


def _fitting(query: JsonObject, held: list[JsonObject]) -> dict[str, list[int]]:
    """Give the credentials that answer each query, so that an answer may be right by intent."""
    try:
        asked = parse_dcql(query).credentials
    except Malformed:
        return {}
    return {
        one.id: [n for n, c in enumerate(held) if claims_to_show(one, candidate(c)) is not None]
        for one in asked
    }


def candidate(held: JsonObject) -> Candidate:
    """Give a credential of a case as our side sees it."""
    authority = cast("dict[str, list[str]]", held.get("authority", {"values": []}))
    return Candidate(
        types=(cast("str", held["vct"]),),
        claims=cast("JsonObject", held["claims"]),
        has_holder_key=held["cryptographic_holder_binding"] is True,
        authorities=frozenset(
            Authority(AuthorityType(cast("str", authority["type"])), value)
            for value in authority["values"]
        ),
    )


def _query(dice: random.Random) -> JsonObject:
    credentials = [_credential_query(dice, f"q{i}") for i in range(dice.randint(1, 3))]
    query: JsonObject = {"credentials": [*credentials]}
    ids = [f"q{i}" for i in range(len(credentials))]
    if dice.random() < 0.5:
        query["credential_sets"] = [_set(dice, ids) for _ in range(dice.randint(1, 3))]
    return query


def _set(dice: random.Random, ids: list[str]) -> Json:
    options = [_some(dice, ids) for _ in range(dice.randint(1, 3))]
    return {"options": [*options], **_perhaps(dice, "required", dice.random() < 0.5)}


def _credential_query(dice: random.Random, name: str) -> JsonObject:
    format_ = "dc+sd-jwt" if dice.random() < 0.85 else dice.choice(_FORMATS)
    meta: JsonObject = {"vct_values": _some(dice, TYPES)}
    if format_ == "mso_mdoc":
        meta = {"doctype_value": "org.iso.18013.5.1.mDL"}
    elif format_ in ("jwt_vc_json", "ldp_vc"):
        meta = {"type_values": [_some(dice, TYPES)]}
    query: JsonObject = {
        "id": name,
        "format": format_,
        "meta": meta,
        **_perhaps(dice, "multiple", dice.random() < 0.7),
        **_perhaps(dice, "require_cryptographic_holder_binding", dice.random() < 0.5),
    }
    if dice.random() < 0.85:
        claims = [_claim(dice, i, format_) for i in range(dice.randint(1, 4))]
        query["claims"] = [*claims]
        if dice.random() < 0.4:
            names = [f"c{i}" for i in range(len(claims))]
            query["claim_sets"] = [_some(dice, names) for _ in range(dice.randint(1, 3))]
        elif dice.random() < 0.5:
            for claim in claims:
                del claim["id"]
    if dice.random() < 0.2:
        kinds = dice.sample([*AUTHORITIES], dice.randint(1, 2))
        query["trusted_authorities"] = [
            {"type": kind, "values": _some(dice, AUTHORITIES[kind])} for kind in kinds
        ]
    return query


def _claim(dice: random.Random, number: int, format_: str) -> JsonObject:
    claim: JsonObject = {"id": f"c{number}", "path": _path(dice)}
    if format_ == "mso_mdoc":
        claim["path"] = ["org.iso.18013.5.1", dice.choice(NAMES)]
        if dice.random() < 0.2:
            claim["intent_to_retain"] = True
    if dice.random() < 0.25:
        claim["values"] = dice.sample(_SCALARS, dice.randint(1, 5))
    return claim


def _path(dice: random.Random) -> list[Json]:
    path: list[Json] = [dice.choice(NAMES[:2])]
    while dice.random() < 0.3:
        path.append(dice.choice([*NAMES, None, None, 0, 1]))
    return path


def _credential(dice: random.Random) -> JsonObject:
    credential: JsonObject = {
        "credential_format": "dc+sd-jwt",
        "vct": dice.choice(TYPES),
        "cryptographic_holder_binding": dice.random() < 0.85,
        "claims": {name: _value(dice, 0) for name in NAMES if dice.random() < 0.9},
    }
    if dice.random() < 0.4:
        kind = dice.choice([*AUTHORITIES])
        credential["authority"] = {"type": kind, "values": _some(dice, AUTHORITIES[kind])}
    return credential


def _value(dice: random.Random, depth: int) -> Json:
    kind = dice.random()
    if depth == 3 or kind < 0.4:
        return None if dice.random() < 0.05 else dice.choice(_SCALARS)
    if kind < 0.7:
        return {name: _value(dice, depth + 1) for name in NAMES if dice.random() < 0.7}
    # Most lists are of one kind; a list of several is what section 7.1.1 stops at.
    many = dice.randint(0, 3)
    if dice.random() < 0.3:
        return [_value(dice, depth + 1) for _ in range(many)]
    first = _value(dice, depth + 1)
    return [copy.deepcopy(first) for _ in range(many)]


def _change_one_thing(query: JsonObject, dice: random.Random) -> None:
    """Change, add, double or take away something anywhere in the query."""
    place = dice.choice([query, *_inside(query)])
    if isinstance(place, list):
        match dice.randint(0, 3):
            case 0 if place:
                del place[dice.randrange(len(place))]
            case 1 if place:
                place.append(copy.deepcopy(dice.choice(place)))
            case 2 if place:
                place[dice.randrange(len(place))] = copy.deepcopy(dice.choice(_ODD))
            case _:
                place.extend(
                    copy.deepcopy(dice.choice(place)) for _ in range(dice.choice([0, 17])) if place
                )
        return
    match dice.randint(0, 4):
        case 0 | 1 if place:
            del place[dice.choice([*place])]
        case 2 if place:
            place[dice.choice([*place])] = copy.deepcopy(dice.choice(_ODD))
        case 3 if temptations := _temptations(place, dice):
            place |= dice.choice(temptations)
        case _:
            place[dice.choice(_MEMBERS)] = copy.deepcopy(dice.choice(_ODD))


def _temptations(place: JsonObject, dice: random.Random) -> list[JsonObject]:
    """Give the changes to an object that two readers are likely to read in two ways."""
    if "format" in place:
        return [{"meta": {}}, {"meta": []}, {"format": "of-tomorrow"}]
    if "options" in place:
        return [{"purpose": copy.deepcopy(dice.choice(_ODD))}, {"options": [["q0"], []]}]
    if "type" in place:
        texts = dice.choice(["AAA=", "AAB", "no-url", "http://x.example", ""])
        return [{"type": "of-tomorrow"}, {"values": [texts]}, {"values": []}]
    if path := place.pop("path", None):
        by_name: JsonObject = {"namespace": "org.iso.18013.5.1", "claim_name": "a"}
        return [by_name, {"path": path, "values": []}, {"path": path, "id": "c0"}]
    return []


def _inside(value: Json) -> list[JsonObject | list[Json]]:
    """Give every object and every list in `value`."""
    below = (
        [*value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    )
    found: list[JsonObject | list[Json]] = []
    for one in below:
        if isinstance(one, dict | list):
            found += [one, *_inside(one)]
    return found


def _objects(value: Json) -> list[JsonObject]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _some(dice: random.Random, names: list[str]) -> list[Json]:
    return [*dice.sample(names, dice.randint(1, len(names)))]


def _perhaps(dice: random.Random, name: str, value: bool) -> JsonObject:  # noqa: FBT001  # a JSON value
    return {name: value} if dice.random() < 0.5 else {}
