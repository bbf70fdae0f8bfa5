"""Our DCQL beside npm's `dcql` 3.0.0 on queries by the dice: every difference stands in a table.

`READING` says who takes a query that the other does not, `SELECTING` who finds a
claim, `ANSWERING` the rest. Each row names the section of OpenID4VP 1.0 that decides
(or the standard that it leans on), and who is right. A difference without a row
fails, and so does a row that is never met.
"""

import json
import subprocess
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, cast

import pytest
from counterfoil_credentials.claims import ClaimPath, values_at
from counterfoil_credentials.dcql import ClaimQuery, CredentialQuery, DcqlQuery, parse_dcql
from counterfoil_credentials.dcql_match import judge, ways_to_answer, ways_to_show
from counterfoil_credentials.encoding import Json, JsonObject, from_b64url
from counterfoil_credentials.errors import Malformed

from tests.interop.dcql_cases import AUTHORITIES, Case, candidate, case
from tests.interop.node import FOLDER, find_node, require_strangers

COUNT: Final = 6_000
SOAK_COUNT: Final = 100_000
_AT_ONCE: Final = 100
OURS: Final = "ours"
THEIRS: Final = "theirs"
EITHER: Final = "either"


# How a query is read. #


@dataclass(frozen=True)
class Reading:
    """A query that one side takes and the other does not: `taker` is the one that does."""

    what: str
    section: str
    right: str
    taker: str
    holds: Callable[[JsonObject], bool]


def objects(value: Json) -> list[JsonObject]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def credentials(query: JsonObject, *formats: str) -> list[JsonObject]:
    return [
        one
        for one in objects(query.get("credentials"))
        if not formats or one.get("format") in formats
    ]


def claims(query: JsonObject) -> list[JsonObject]:
    return [claim for one in credentials(query) for claim in objects(one.get("claims"))]


def authorities(query: JsonObject) -> list[JsonObject]:
    return [a for one in credentials(query) for a in objects(one.get("trusted_authorities"))]


def texts_of(authority: JsonObject) -> list[str]:
    values = authority.get("values")
    return [v for v in values if isinstance(v, str)] if isinstance(values, list) else []


def lacks(one: JsonObject, member: str) -> bool:
    meta = one.get("meta")
    return isinstance(meta, dict) and meta.get(member, []) == []


def has_claim_id_twice(one: JsonObject) -> bool:
    ids = [claim["id"] for claim in objects(one.get("claims")) if "id" in claim]
    return any(ids.count(name) > 1 for name in ids)


def is_base64url(text: str) -> bool:
    try:
        from_b64url(text, "text")
    except Malformed:
        return False
    return True


def is_fraction_spelled(value: Json) -> bool:
    return isinstance(value, float) and value.is_integer()


KNOWN_FORMATS: Final = ("dc+sd-jwt", "mso_mdoc", "jwt_vc_json", "ldp_vc")

READING: Final = [
    Reading(
        "meta that is absent, or a list",
        "6.1, meta: REQUIRED. An object",
        OURS,
        THEIRS,
        lambda q: any(not isinstance(one.get("meta"), dict) for one in credentials(q)),
    ),
    Reading(
        "no type at all for an SD-JWT VC",
        "B.3.5, vct_values: REQUIRED. A non-empty array",
        OURS,
        THEIRS,
        lambda q: any(lacks(one, "vct_values") for one in credentials(q, "dc+sd-jwt")),
    ),
    Reading(
        "no type for an mdoc",
        "B.2.3, doctype_value: REQUIRED",
        OURS,
        THEIRS,
        lambda q: any(lacks(one, "doctype_value") for one in credentials(q, "mso_mdoc")),
    ),
    Reading(
        "an mdoc's claim by namespace and claim_name, as drafts had it",
        "6.3, path: REQUIRED",
        OURS,
        THEIRS,
        lambda q: any("namespace" in claim and "path" not in claim for claim in claims(q)),
    ),
    Reading(
        "an mdoc's claim of more than two steps",
        "7.2: contains two elements of type string",
        OURS,
        THEIRS,
        lambda q: any(
            len(cast("list[Json]", claim["path"])) > 2
            for one in credentials(q, "mso_mdoc")
            for claim in objects(one.get("claims"))
            if isinstance(claim.get("path"), list)
        ),
    ),
    Reading(
        "empty values",
        "6.3, values: A non-empty array",
        OURS,
        THEIRS,
        lambda q: any(claim.get("values") == [] for claim in claims(q)),
    ),
    Reading(
        "one claim id twice",
        "6.3, id: the same id MUST NOT be present more than once",
        OURS,
        THEIRS,
        lambda q: any(has_claim_id_twice(one) for one in credentials(q)),
    ),
    Reading(
        "a claim without id beside claim_sets",
        "6.3, id: REQUIRED if claim_sets is present",
        OURS,
        THEIRS,
        lambda q: any(
            "claim_sets" in one and any("id" not in c for c in objects(one.get("claims")))
            for one in credentials(q)
        ),
    ),
    Reading(
        "an option of no credential",
        "6.2, options: each element is a non-empty array",
        OURS,
        THEIRS,
        lambda q: any(
            [] in cast("list[Json]", one["options"])
            for one in objects(q.get("credential_sets"))
            if isinstance(one.get("options"), list)
        ),
    ),
    Reading(
        "a purpose that is neither text nor number nor object",
        "6: any unknown properties are ignored, and 6.2 knows none of this name",
        OURS,
        OURS,
        lambda q: any("purpose" in one for one in objects(q.get("credential_sets"))),
    ),
    Reading(
        "a format that OpenID4VP 1.0 does not define",
        "B: others may define their own",
        OURS,
        OURS,
        lambda q: any(
            one.get("format") not in KNOWN_FORMATS and isinstance(one.get("format"), str)
            for one in credentials(q)
        ),
    ),
    Reading(
        "an authority of an unknown type",
        "6.1.1, type: a string; never a match here",
        OURS,
        OURS,
        lambda q: any(a.get("type") not in AUTHORITIES for a in authorities(q)),
    ),
    Reading(
        "a trusted list or a federation entity that is no URL",
        "6.1.1, values: an array of strings; what names nothing matches nothing",
        EITHER,
        OURS,
        lambda q: any(
            not text.startswith("http")
            for a in authorities(q)
            if a.get("type") in ("etsi_tl", "openid_federation")
            for text in texts_of(a)
        ),
    ),
    Reading(
        "a key identifier with padding, or with stray bits",
        "6.1.1.1 with RFC 7515, section 2: base64url has none, and one spelling",
        OURS,
        THEIRS,
        lambda q: any(
            not is_base64url(text)
            for a in authorities(q)
            if a.get("type") == "aki"
            for text in texts_of(a)
        ),
    ),
    Reading(
        "a whole number that is spelled as a fraction, such as 1.0",
        "6.3 and 7: integers; RFC 8259, section 6, leaves the spelling open",
        EITHER,
        THEIRS,
        lambda q: any(
            is_fraction_spelled(value)
            for claim in claims(q)
            for member in (claim.get("path"), claim.get("values"))
            for value in (member if isinstance(member, list) else [])
        ),
    ),
    Reading(
        "a path of more than 16 steps",
        "none: our own bound, past which no claim of ours lies",
        EITHER,
        THEIRS,
        lambda q: any(
            isinstance(claim.get("path"), list) and len(cast("list[Json]", claim["path"])) > 16
            for claim in claims(q)
        ),
    ),
]


# Which claims are found. #


@dataclass(frozen=True)
class Selecting:
    """A claim that one side finds and the other does not: `finder` is the one that does."""

    what: str
    section: str
    right: str
    finder: str
    holds: Callable[[ClaimQuery, JsonObject, bool], bool]


def steps(
    held: JsonObject, path: ClaimPath, *, any_index: bool
) -> Iterator[tuple[str | int | None, list[Json]]]:
    """Give each step with what is selected before it, as leniently as theirs goes."""
    selected: list[Json] = [held]
    for step in path:
        yield step, selected
        following: list[Json] = []
        for value in selected:
            match value, step:
                case dict(), str() if step in value:
                    following.append(value[step])
                case list(), "length":
                    following.append(len(value))
                case list(), None:
                    following += value
                case list(), int() if any_index:
                    following += value
                case list(), int() if step < len(value):
                    following.append(value[step])
                case _:
                    pass
        selected = following


def meets_wrong_kind(claim: ClaimQuery, held: JsonObject, presented: bool) -> bool:  # noqa: FBT001
    return any(
        any(not isinstance(value, dict if isinstance(step, str) else list) for value in selected)
        for step, selected in steps(held, claim.path, any_index=presented)
    )


def meets_length_of_list(claim: ClaimQuery, held: JsonObject, presented: bool) -> bool:  # noqa: FBT001
    return any(
        step == "length" and any(isinstance(value, list) for value in selected)
        for step, selected in steps(held, claim.path, any_index=presented)
    )


def meets_empty_list(claim: ClaimQuery, held: JsonObject, presented: bool) -> bool:  # noqa: FBT001
    return any(
        step is None and [] in selected
        for step, selected in steps(held, claim.path, any_index=presented)
    )


def is_beyond_a_double(claim: ClaimQuery, held: JsonObject) -> bool:
    numbers = [v for v in values_at(held, claim.path) if isinstance(v, int)]
    return any(isinstance(v, int) and float(v) == float(n) for v in claim.values for n in numbers)


SELECTING: Final = [
    Selecting(
        "a claim whose value is null",
        "7.1.1, step 2.1: the element under the key is selected, whatever it is",
        OURS,
        OURS,
        lambda claim, held, _: None in values_at(held, claim.path),
    ),
    Selecting(
        "a selection of which one element is of the wrong kind",
        "7.1.1, steps 2.1 to 2.3: if any is, abort processing and return an error",
        OURS,
        THEIRS,
        meets_wrong_kind,
    ),
    Selecting(
        "`length` of a list, which JavaScript knows and JSON does not",
        "7.1.1, step 2.1: a list is not an object",
        OURS,
        THEIRS,
        meets_length_of_list,
    ),
    Selecting(
        "every element of an empty list",
        "7.1.1, step 3: if nothing is selected, return an error",
        OURS,
        THEIRS,
        meets_empty_list,
    ),
    Selecting(
        "another whole number that is the same as a double",
        "6.3, values: match exactly; RFC 8259, section 6, warns of it",
        OURS,
        THEIRS,
        lambda claim, held, _: is_beyond_a_double(claim, held),
    ),
    Selecting(
        "any element of a presented list in place of the one with the number",
        "7.1.1, step 2.3: the element at the index; withheld ones leave no gap, so theirs"
        " cannot know which it sees, and takes one that was not asked for",
        OURS,
        THEIRS,
        lambda claim, _, presented: presented and any(isinstance(s, int) for s in claim.path),
    ),
]


# What is an answer. #

HEARD_ONCE: Final = (
    "two claims queries for one claim: 6.1, Wallets SHOULD ignore such duplicates; ours is right"
)
NOTHING_SHOWN: Final = (
    "an answer of no presentation where all is optional: 8.5, one who has nothing sends"
    " access_denied; ours is the stricter"
)
CRASHED: Final = (
    "a number into an empty list that is presented: 7.1.1, step 2.3, it is not there; theirs"
    " crashes, ours is right"
)
ANSWERING: Final = {HEARD_ONCE, NOTHING_SHOWN, CRASHED}


class Differences:
    """What was met so far: rows by name, and everything that no row explains."""

    def __init__(self) -> None:
        self.met: dict[str, int] = {}
        self.unexplained: list[str] = []

    def meet(self, rows: list[str], what: str) -> None:
        for row in rows:
            self.met[row] = self.met.get(row, 0) + 1
        if not rows:
            self.unexplained.append(what)


class Stranger:
    """npm's `dcql` in one Node process."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout

    def answer(self, cases: list[Case]) -> list[JsonObject]:
        """Give its answers."""
        self._stdin.write(json.dumps([one.to_json() for one in cases]).encode() + b"\n")
        self._stdin.flush()
        return cast("list[JsonObject]", json.loads(self._stdout.readline()))


@contextmanager
def stranger() -> Generator[Stranger, None, None]:
    require_strangers()
    command = [find_node() or "node", "dcql.mjs"]
    with subprocess.Popen(
        command, cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield Stranger(process)
        finally:
            process.terminate()


def read(query: JsonObject) -> DcqlQuery | None:
    try:
        return parse_dcql(query)
    except Malformed:
        return None


def compare(one: Case, theirs: JsonObject, differences: Differences) -> str:
    """Note every difference on one case; give the verdicts in a word."""
    query = read(one.query)
    taken = theirs["read"] is True
    if (query is not None) != taken:
        taker = THEIRS if taken else OURS
        rows = [row.what for row in READING if row.taker == taker and row.holds(one.query)]
        differences.meet(rows, f"only {taker} takes {json.dumps(one.query)}")
        return "differing"
    if query is None:
        return "refused"
    compare_held(query, one, cast("JsonObject", theirs["held"]), differences)
    compare_shown(query, one, cast("JsonObject", theirs["shown"]), differences)
    return "read"


def compare_held(query: DcqlQuery, one: Case, theirs: JsonObject, differences: Differences) -> None:
    found = cast("dict[str, list[JsonObject]]", theirs["found"])
    answered: set[str] = set()
    alike = True
    for asked in query.credentials:
        for held, their in zip(one.held, found[asked.id], strict=True):
            # Which claims answer: theirs does not say which elements of a list match.
            chosen = next(iter(ways_to_show(asked, candidate(held))), None)
            ours = None if chosen is None else tuple(claim.path for claim in chosen)
            if ours is not None:
                answered.add(asked.id)
            alike &= compare_credential(asked, held, ours, their, differences)
    if not alike:
        return
    ways = ways_to_answer(query, answered)
    assert ways.is_answerable == theirs["answerable"], one
    if theirs["options"] is not None:
        options = [[[*ids] for ids in ways_set.options] for ways_set in ways.sets]
        assert options == theirs["options"], one


def compare_credential(
    asked: CredentialQuery,
    held: JsonObject,
    ours: tuple[ClaimPath, ...] | None,
    their: JsonObject,
    differences: Differences,
) -> bool:
    """Note every difference on one credential for one query; say whether there was none."""
    if differing_claims(asked, held, their, differences, presented=False):
        return False
    numbers = cast("list[int]", their["wanted"])
    wanted = tuple(dict.fromkeys(asked.claims[n].path for n in numbers))
    if (ours if their["fits"] else None) == (wanted if their["fits"] else ours):
        return True
    paths = [claim.path for claim in asked.claims]
    rows = [HEARD_ONCE] if len(set(paths)) < len(paths) else []
    differences.meet(rows, f"{asked.to_json()} on {held}: ours {ours}, theirs {their}")
    return False


def differing_claims(
    asked: CredentialQuery,
    held: JsonObject,
    their: JsonObject,
    differences: Differences,
    *,
    presented: bool,
) -> bool:
    """Note every claim that only one side finds; say whether there is one."""
    differ = False
    if asked.format != "dc+sd-jwt":
        return False
    found = cast("list[int]", their["claims"])
    values = cast("JsonObject", held["claims"])
    for number, claim in enumerate(asked.claims):
        is_ours, is_theirs = claim.fits(values), number in found
        if is_ours == is_theirs:
            continue
        differ = True
        finder = OURS if is_ours else THEIRS
        rows = [
            row.what
            for row in SELECTING
            if row.finder == finder and row.holds(claim, values, presented)
        ]
        differences.meet(rows, f"only {finder} finds {claim.to_json()} in {values}")
    return differ


def compare_shown(
    query: DcqlQuery, one: Case, theirs: JsonObject, differences: Differences
) -> None:
    if "crashed" in theirs:
        rows = [CRASHED] if meets_number_into_empty_list(query, one) else []
        differences.meet(rows, f"{one}: {theirs}")
        return
    candidates = {
        name: [candidate(one.held[number]) for number in numbers]
        for name, numbers in one.presented.items()
    }
    reasons = judge(query, candidates)
    if "refused" in theirs:
        assert reasons, one
        return
    found = cast("dict[str, list[JsonObject]]", theirs["found"])
    asked = {credential.id: credential for credential in query.credentials}
    differ = [
        differing_claims(asked[name], one.held[number], their, differences, presented=True)
        for name, numbers in one.presented.items()
        for number, their in zip(numbers, found[name], strict=True)
    ]
    if any(differ) or (not reasons) == theirs["answerable"]:
        return
    rows = [NOTHING_SHOWN] if not one.presented else []
    if any(len({c.path for c in a.claims}) < len(a.claims) for a in query.credentials):
        rows.append(HEARD_ONCE)
    differences.meet(rows, f"{one}: ours {reasons}, theirs {theirs}")


def meets_number_into_empty_list(query: DcqlQuery, one: Case) -> bool:
    return any(
        isinstance(step, int) and [] in selected
        for asked in query.credentials
        for number in one.presented.get(asked.id, ())
        for claim in asked.claims
        for step, selected in steps(
            cast("JsonObject", one.held[number]["claims"]), claim.path, any_index=True
        )
    )


def run(count: int, seed: str) -> None:
    differences = Differences()
    verdicts: dict[str, int] = {}
    with stranger() as theirs:
        for start in range(0, count, _AT_ONCE):
            cases = [case(f"{seed} {n}") for n in range(start, min(start + _AT_ONCE, count))]
            for one, answer in zip(cases, theirs.answer(cases), strict=True):
                verdict = compare(one, answer, differences)
                verdicts[verdict] = verdicts.get(verdict, 0) + 1

    assert differences.unexplained == []
    rows = {row.what for row in READING} | {row.what for row in SELECTING} | ANSWERING
    assert rows - differences.met.keys() == set(), "a row that was never met"
    # The dice must not make one kind only.
    assert min(verdicts["read"], verdicts["refused"]) > count // 10, verdicts


def test_every_difference_to_the_stranger_stands_in_a_table() -> None:
    run(COUNT, "dcql")


@pytest.mark.soak
def test_every_difference_to_the_stranger_stands_in_a_table_over_a_long_count(
    soak_count: Callable[[int], int],
) -> None:
    run(soak_count(SOAK_COUNT), "dcql soak")
