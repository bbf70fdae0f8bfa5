"""Row J5: what the law asks is mapped to what the software does, recorded, and assessed.

The pages are held to the code and the tests that they name, and to what a running
receiver says of itself: each line of §2.8 is walked, from a read to what a withdrawal
leaves.
"""

import ast
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import pytest
from counterfoil_consent import (
    Active,
    Level,
    Purpose,
    fetch_erasure_receipt,
    send_withdrawal,
    withdraw,
)
from counterfoil_consent.laws import LAWS, ClaimKind
from counterfoil_consent.retention import Duty
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.keys import MemorySigner

from tests.conftest import Clock
from tests.consent.street import BENEFITS, CANARIES, FRAME, KEY, PRODUCT, PRODUCT_VALUE
from tests.consent.town import Town

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
STAFF = {"Authorization": f"Bearer {KEY}"}
_TEST = re.compile(r"`(test_\w+)`")
_MEMBER = re.compile(r"`(\w+)`")
_CODE = re.compile(r"`(counterfoil_[\w.]+)`")
_ARTICLE = re.compile(r"(\d+)(?:\(\d+\))*(?:\(\w\))?\Z")
_ARTICLES = {"GDPR": 99, "PIPL": 74}


def rows(page: str, heading: str) -> list[dict[str, str]]:
    """Give the rows of the table under a heading, by the names of its columns."""
    text = (DOCS / page).read_text(encoding="utf-8")
    section = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    head, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(head, cells, strict=True)) for cells in body]


def known_tests() -> frozenset[str]:
    """Give the name of every test function in the house."""
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(node.name)
    return frozenset(found)


def exists(name: str) -> bool:
    """Say whether a dotted name is a module, or a public part of one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if part.startswith("_") or not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def articles(cell: str, law: str) -> list[int]:
    """Give the articles that a cell names; a cell without one, or with another text, is wrong."""
    named = [_ARTICLE.match(part.strip()) for part in cell.split(",")]
    numbers = [int(match[1]) for match in named if match is not None]
    assert len(numbers) == len(named), (cell, law)
    assert numbers
    assert all(1 <= number <= _ARTICLES[law] for number in numbers), (cell, law)
    return numbers


def end(town: Town, active: Active, signer: MemorySigner) -> Level:
    given = withdraw(active, signer=signer, now=town.clock(), random=town.random)
    send_withdrawal(given, fetcher=town.fetcher)
    return proof(town, active)


def proof(town: Town, active: Active) -> Level:
    proved = fetch_erasure_receipt(active.agreement, fetcher=town.fetcher, now=town.clock())
    return proved.erased.level


def records(town: Town) -> list[JsonObject]:
    answer = town.brand.get("/consent/desk/processing", headers=STAFF)
    assert answer.status_code == 200
    assert answer.json()["controller"] == "Velo"
    lines: list[JsonObject] = answer.json()["lines"]
    return lines


@pytest.fixture
def town(clock: Clock, random_bytes: Callable[[int], bytes]) -> Iterator[Town]:
    town = Town(clock, random_bytes)
    yield town
    town.close()


def test_row_j5_each_feature_is_mapped_to_articles_code_and_a_test() -> None:
    features = rows("privacy-law.md", "Feature by feature")
    tests = known_tests()

    named = {(law, n) for row in features for law in _ARTICLES for n in articles(row[law], law)}

    assert len(features) >= 25
    # What the design rests on: GDPR 7, 12, 17, 19, 20; PIPL 15, 16, 23, 45, 47, 55.
    assert named >= {("GDPR", number) for number in (6, 7, 12, 13, 17, 19, 20, 25, 30, 32)}
    assert named >= {("PIPL", number) for number in (14, 15, 16, 19, 23, 45, 47, 51, 55)}
    for row in features:
        assert [exists(name) for name in _CODE.findall(row["what does it"])] == [True], row
        (test,) = _TEST.findall(row["tried by"])
        assert test in tests, test
    assert not exists("counterfoil_consent.erasing.Nothing")
    for wrong in ("", "seven", "100", "7, x"):
        with pytest.raises(AssertionError):
            articles(wrong, "GDPR")


def test_row_j5_a_withdrawal_erases_what_rests_on_consent_and_keeps_what_a_law_asks_for(
    town: Town,
) -> None:
    what = rows("privacy-law.md", "What a withdrawal erases, and what it cannot")
    assert len(what) == 7
    assert all(exists(_CODE.findall(row["by"])[0]) for row in what)
    # A profile for offers, shared with a workshop; an invoice; a contact for recalls.
    shared, shared_signer = town.shared()
    town.hand_over(shared.agreement.grant_id, town.workshops[0])
    sale, sale_signer = town.granted()
    recall, recall_signer = town.granted()
    duties = (
        (
            sale,
            Duty(
                law="DE AO §147", kind=ClaimKind.PURCHASE, claims=(PRODUCT,), event_at=town.clock()
            ),
        ),
        (
            recall,
            Duty(
                law="EU 2023/988 Art. 9",
                kind=ClaimKind.PRODUCT,
                claims=(PRODUCT,),
                event_at=town.clock(),
            ),
        ),
    )
    for active, duty in duties:
        with town.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
            town.receiver.keep(facts, duty)

    levels = [
        end(town, active, signer)
        for active, signer in (
            (shared, shared_signer),
            (sale, sale_signer),
            (recall, recall_signer),
        )
    ]

    assert levels == [Level.E3, Level.E2, Level.E2]
    for active, duty in duties:
        grant_id = active.agreement.grant_id
        with town.receiver.read_kept(grant_id, duty.law, Purpose.LEGAL_COMPLIANCE) as kept:
            assert kept.one(PRODUCT) == PRODUCT_VALUE
            assert FRAME not in kept.names
        with pytest.raises(Refused), town.receiver.read(grant_id, BENEFITS):
            pass
        with pytest.raises(Refused), town.receiver.read_kept(grant_id, duty.law, BENEFITS):
            pass
    town.clock.advance(timedelta(days=5 * 366))
    town.receiver.end_due()
    answer = town.brand.get("/consent/desk/grants/keeping", headers=STAFF).json()
    assert [line["retained"][0]["law"] for line in answer["lines"]] == ["DE AO §147"]
    assert answer["lines"][0]["stage"] == "erased-with-retention"
    town.clock.advance(timedelta(days=4 * 366))
    town.receiver.end_due()
    assert town.brand.get("/consent/desk/grants/keeping", headers=STAFF).json()["lines"] == []


def test_row_j5_the_records_of_processing_are_those_of_what_runs(town: Town) -> None:
    assert records(town) == []
    town.shared()
    actives = [town.granted() for _ in range(2)]

    several, shared = records(town)

    assert (several["grants"], several["recipients"]) == (2, [])
    assert (shared["grants"], len(list(shared["recipients"]))) == (1, 2)  # type: ignore[arg-type]
    # What GDPR article 30 (1) asks for stands in each line, and no value does.
    for line in (several, shared):
        assert {"purpose", "claims", "recipients", "jurisdiction", "longest_until"} <= line.keys()
        assert not [canary for canary in CANARIES if canary in str(line)]
    end(town, *actives[0])
    assert records(town)[0]["grants"] == 1


def test_row_j5_the_assessment_names_what_the_software_enforces_and_asks_the_rest(
    town: Town,
) -> None:
    tests = known_tests()
    text = (DOCS / "dpia.md").read_text(encoding="utf-8")
    town.granted()
    (line,) = records(town)

    # Section 1 is filled from what a running receiver says.
    facts = rows("dpia.md", "1. What is processed")
    members = {name for row in facts for name in _MEMBER.findall(row["answer"])}
    assert members == {*line, "controller"}
    for heading, column in (
        ("2. Is it necessary, and in proportion?", "enforced by"),
        ("3. Risks, and what is done about them", "tried by"),
    ):
        listed = rows("dpia.md", heading)
        assert len(listed) >= 7
        for row in listed:
            (test,) = _TEST.findall(row[column])
            assert test in tests, test
    # GDPR article 35 (7): description, necessity, risks, measures; and what only people know.
    assert [text.count(f"\n## {number}. ") for number in (1, 2, 3, 4)] == [1, 1, 1, 1]
    assert text.count("▢") >= 10


def test_row_j5_the_table_of_laws_on_the_page_is_the_one_that_counts() -> None:
    listed = rows("consent.md", "What is kept under which law")

    assert [row["law"] for row in listed] == list(LAWS)
    for row, law in zip(listed, LAWS.values(), strict=True):
        assert row["place"] == law.place
        assert {kind.strip() for kind in row["kinds"].split(",")} == law.kinds
        assert row["longest"].split()[0] == str(law.years)
        assert row["looked up"].startswith("no" if law.checked is None else "[yes]")
