"""A registered system erases what it holds, says how, and claims nothing that it did not do."""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from counterfoil_consent.erase_webhook import Webhook
from counterfoil_consent.erased_system import ErasedSystem, Method, System
from counterfoil_consent.folder_files import FolderFiles
from counterfoil_consent.sql_rows import SqlRows
from counterfoil_consent.systems import MemorySystem, Place, erase_in, require_distinct
from counterfoil_consent.wire import GrantId
from counterfoil_credentials.encoding import JsonObject, canonical_json
from counterfoil_credentials.errors import (
    CounterfoilError,
    Malformed,
    Misuse,
    Refused,
    Unavailable,
)
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_service.webhook_signatures import new_secret, verify_webhook
from sqlalchemy import Engine, create_engine, text

from tests.conftest import NOON as NOW
from tests.conftest import Clock

ONE, OTHER = GrantId("A" * 22), GrantId("B" * 21 + "A")
PLANTED = "planted-frame-57cm-" + "x" * 80
CRM = Place(name="crm", system=System.LIVE_DATABASE)
INVOICES = Place(name="invoices", system=System.FILES)
MAILER = Place(name="mailer", system=System.MAIL, backups_kept=timedelta(days=7))
MAILER_URL = "https://mailer.example/hooks/erase"


@pytest.fixture
def engine(where: Path | str) -> Iterator[Engine]:
    """Give a database of the receiver's own, with two customers in it."""
    if isinstance(where, Path):
        where.parent.mkdir(parents=True)
        url = f"sqlite:///{where}"
    else:
        url = where.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text('CREATE TABLE "Customers" (grant_ref text, size text)'))
        for grant_id in (ONE, ONE, OTHER):
            connection.execute(
                text('INSERT INTO "Customers" VALUES (:grant, :size)'),
                {"grant": grant_id, "size": f"{PLANTED}{grant_id}"},
            )
    yield engine
    engine.dispose()


def rows_of(engine: Engine, clock: Clock, **changes: str) -> SqlRows:
    names = {"table_name": "Customers", "column_name": "grant_ref", **changes}
    return SqlRows(engine, place=CRM, clock=clock, **names)


def test_rows_of_the_grant_are_deleted_and_no_others(engine: Engine, clock: Clock) -> None:
    rows = rows_of(engine, clock)
    assert rows.holds(ONE)

    for _ in range(2):
        erased = rows.erase(ONE)
        assert erased == ErasedSystem(
            system=System.LIVE_DATABASE, method=Method.DELETED, name="crm"
        )

    assert (rows.holds(ONE), rows.holds(OTHER)) == (False, True)


def test_rows_deleted_from_sqlite_are_in_no_file(tmp_path: Path, clock: Clock) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'crm.sqlite3'}")
    with engine.begin() as connection:
        connection.execute(text("PRAGMA journal_mode = WAL"))
        connection.execute(text("CREATE TABLE kept (grant_ref text, size text)"))
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO kept VALUES (:a, :b)"), {"a": ONE, "b": PLANTED})
    assert any(PLANTED.encode() in path.read_bytes() for path in tmp_path.iterdir())

    rows_of(engine, clock, table_name="kept").erase(ONE)

    assert not [path for path in tmp_path.iterdir() if PLANTED.encode() in path.read_bytes()]
    engine.dispose()


@pytest.mark.parametrize(
    "changes", [{"table_name": "customer"}, {"column_name": "grant"}, {"schema": "another"}]
)
def test_a_table_or_column_that_is_not_there_is_found_at_once(
    engine: Engine, clock: Clock, changes: dict[str, str]
) -> None:
    with pytest.raises((Misuse, Unavailable)):
        rows_of(engine, clock, **changes)


def test_a_database_that_is_away_erases_later_and_quotes_nothing(
    engine: Engine, clock: Clock
) -> None:
    rows = rows_of(engine, clock)
    with engine.begin() as connection:
        connection.execute(text('ALTER TABLE "Customers" RENAME TO moved'))

    for ask in (rows.erase, rows.holds):
        with pytest.raises(Unavailable) as trouble:
            ask(ONE)
        assert ONE not in str(trouble.value)

    with engine.begin() as connection:
        connection.execute(text('ALTER TABLE moved RENAME TO "Customers"'))
    rows.erase(ONE)
    assert not rows.holds(ONE)


def test_a_file_is_overwritten_and_unlinked(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "invoices").mkdir()
    mine, others = (tmp_path / "invoices" / f"{name}.pdf" for name in (ONE, OTHER))
    mine.write_text(PLANTED)
    others.write_text(PLANTED)
    # Another name for the same bytes on disk shows what became of them.
    witness = tmp_path / "witness"
    witness.hardlink_to(mine)
    files = FolderFiles(tmp_path, pattern="invoices/{grant_id}.pdf", place=INVOICES, clock=clock)

    erased = files.erase(ONE)

    assert (erased.method, erased.name) == (Method.OVERWRITTEN, "invoices")
    assert (files.holds(ONE), files.holds(OTHER)) == (False, True)
    assert witness.stat().st_size == len(PLANTED)
    assert b"planted" not in witness.read_bytes()
    files.erase(ONE)


def test_a_folder_goes_with_all_that_is_in_it(tmp_path: Path, clock: Clock) -> None:
    deep = tmp_path / ONE / "scans" / "front"
    deep.mkdir(parents=True)
    (deep / "1.png").write_text(PLANTED)
    (tmp_path / ONE / "empty.txt").touch()
    files = FolderFiles(tmp_path, place=INVOICES, clock=clock)

    files.erase(ONE)

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("pattern", ["/etc/{grant_id}", "../{grant_id}", "a/../../{grant_id}"])
def test_a_pattern_that_leaves_the_folder_is_refused(
    tmp_path: Path, clock: Clock, pattern: str
) -> None:
    with pytest.raises(Misuse):
        FolderFiles(tmp_path, pattern=pattern, place=INVOICES, clock=clock)


@pytest.mark.parametrize("pattern", ["", "invoices", "{grant_id}/{grant_id}"])
def test_a_pattern_names_the_grant_once(tmp_path: Path, clock: Clock, pattern: str) -> None:
    with pytest.raises(Misuse):
        FolderFiles(tmp_path, pattern=pattern, place=INVOICES, clock=clock)


@pytest.mark.parametrize("text", ["../x", "a/b", "", "A" * 21, "A" * 22 + "/.."])
def test_a_text_that_is_no_grant_id_touches_no_file(
    tmp_path: Path, clock: Clock, text: str
) -> None:
    files = FolderFiles(tmp_path, place=INVOICES, clock=clock)

    for ask in (files.erase, files.holds):
        with pytest.raises(Malformed):
            ask(GrantId(text))


@pytest.mark.parametrize("where", ["way", "end", "inside"])
def test_a_link_that_leads_out_of_the_folder_is_refused_and_nothing_outside_is_touched(
    tmp_path: Path, clock: Clock, where: str
) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    (outside / ONE).mkdir(parents=True)
    (outside / ONE / "kept.txt").write_text(PLANTED)
    (folder / "a").mkdir(parents=True)
    match where:
        case "way":
            (folder / "a").rmdir()
            (folder / "a").symlink_to(outside)
        case "end":
            (folder / "a" / ONE).symlink_to(outside / ONE)
        case _:
            (folder / "a" / ONE).mkdir()
            (folder / "a" / ONE / "own.txt").write_text("own")
            (folder / "a" / ONE / "out").symlink_to(outside / ONE)
    files = FolderFiles(folder, pattern="a/{grant_id}", place=INVOICES, clock=clock)

    with pytest.raises(Refused) as refusal:
        files.erase(ONE)

    assert refusal.value.codes == ["path-leaves-folder"]
    assert (outside / ONE / "kept.txt").read_text() == PLANTED
    if where == "inside":
        assert (folder / "a" / ONE / "own.txt").read_text() == "own"


def test_a_folder_that_is_away_is_not_taken_for_files_that_are_erased(
    tmp_path: Path, clock: Clock
) -> None:
    files = FolderFiles(tmp_path / "unmounted", place=INVOICES, clock=clock)

    for ask in (files.erase, files.holds):
        with pytest.raises(Unavailable) as trouble:
            ask(ONE)
        assert str(tmp_path) not in str(trouble.value)


class Mailer:
    """Somebody's mail system: checks the signature, erases, answers."""

    def __init__(self, clock: Clock, secret: str) -> None:
        self.clock, self.secret = clock, secret
        self.held = {ONE, OTHER}
        self.calls: list[str] = []
        self.answer: Callable[[JsonObject], Response] = self.honest

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        event = verify_webhook(headers, body, secrets=[self.secret], now=self.clock())
        self.calls.append(headers["webhook-id"])
        return self.answer(event)

    def honest(self, event: JsonObject) -> Response:
        grant_id = GrantId(str(event["grant_id"]))
        if event["type"] == "consent.holds":
            return json_of({"grant_id": grant_id, "holds": grant_id in self.held})
        self.held.discard(grant_id)
        return json_of({"grant_id": grant_id, "class": "mail", "method": "deleted"})


def json_of(body: JsonObject, status: int = 200) -> Response:
    return Response(status, "application/json", canonical_json(body))


@pytest.fixture
def secret(random_bytes: Callable[[int], bytes]) -> str:
    return new_secret(random_bytes(32))


@pytest.fixture
def mailer(clock: Clock, secret: str) -> Mailer:
    return Mailer(clock, secret)


@pytest.fixture
def webhook(mailer: Mailer, clock: Clock, secret: str) -> Webhook:
    fetcher = MemoryFetcher()
    fetcher.serve(MAILER_URL, mailer.handle)
    return Webhook(MAILER_URL, secrets=[secret], place=MAILER, fetcher=fetcher, clock=clock)


def test_another_system_is_asked_under_a_signature_and_answers(
    webhook: Webhook, mailer: Mailer, clock: Clock
) -> None:
    assert webhook.holds(ONE)

    first, again = webhook.erase(ONE), webhook.erase(ONE)

    assert (first.system, first.method, first.name) == (System.MAIL, Method.DELETED, "mailer")
    assert first.backups_until == clock() + timedelta(days=7)
    assert again == first
    assert (webhook.holds(ONE), mailer.held) == (False, {OTHER})
    # One id for one erasure, however often it is asked for.
    assert mailer.calls[1] == mailer.calls[2]


@pytest.mark.parametrize(
    "answer",
    [
        json_of({}),
        json_of({}, 202),
        json_of({}, 204),
        json_of({}, 500),
        Response(302, "", b"", {"location": MAILER_URL}),
        Response(200, "text/html", b"<p>done</p>"),
        json_of({"grant_id": OTHER, "class": "mail", "method": "deleted"}),
        json_of({"grant_id": ONE, "class": "caches", "method": "deleted"}),
        json_of({"grant_id": ONE, "class": "mail", "method": "forgotten"}),
        json_of({"grant_id": ONE, "class": "mail", "method": "deleted", "but": "later"}),
        json_of({"grant_id": ONE, "class": "mail"}),
        json_of({"grant_id": ONE, "class": "mail", "method": "deleted"}, 202),
        json_of({"grant_id": ONE, "class": "mail", "method": "deleted"}, 201),
        json_of({"grant_id": ONE, "class": "mail", "method": "deleted", "x": "y" * 5_000}),
    ],
    ids=[
        *("empty", "heard", "no-content", "failed", "elsewhere", "page", "grant", "class"),
        *("method", "more", "less", "whole-but-heard", "whole-but-created", "long"),
    ],
)
def test_no_answer_but_the_whole_one_counts(
    webhook: Webhook, mailer: Mailer, answer: Response
) -> None:
    mailer.answer = lambda _: answer

    with pytest.raises(CounterfoilError):
        webhook.erase(ONE)


@pytest.mark.parametrize("holds", ["no", 0, None])
def test_whether_something_is_held_is_true_or_false(
    webhook: Webhook, mailer: Mailer, holds: str | int | None
) -> None:
    mailer.answer = lambda _: json_of({"grant_id": ONE, "holds": holds})

    with pytest.raises(Malformed):
        webhook.holds(ONE)


class SaysSo(MemorySystem):
    """Says that it erased, and did not."""

    def erase(self, grant_id: GrantId) -> ErasedSystem:
        assert self.holds(grant_id)
        return self.place.erased(Method.DELETED, NOW)


class Lends(MemorySystem):
    """Answers in another system's name."""

    def erase(self, grant_id: GrantId) -> ErasedSystem:
        super().erase(grant_id)
        return CRM.erased(Method.DELETED, NOW)


def test_only_systems_that_hold_nothing_more_are_said_to_be_erased(
    webhook: Webhook, mailer: Mailer
) -> None:
    away, cache = (
        MemorySystem(Place(name=name, system=System.CACHES)) for name in ("away", "cache")
    )
    kept = SaysSo(Place(name="kept", system=System.CACHES))
    for system in (kept, away, cache):
        system.keep(ONE, PLANTED)
    away.is_away = True
    mailer.answer = lambda _: json_of({}, 503)
    systems = (kept, away, cache, webhook)

    assert [erased.name for erased in erase_in(systems, ONE, ())] == ["cache"]
    away.is_away = False
    mailer.answer = mailer.honest
    assert [erased.name for erased in erase_in(systems, ONE, ("cache",))] == ["away", "mailer"]


def test_a_system_answers_for_itself_alone() -> None:
    system = Lends(Place(name="cache", system=System.CACHES))

    assert erase_in([system], ONE, ()) == ()


def test_each_system_has_a_name_of_its_own_and_the_receipt_has_room_for_it() -> None:
    systems = [MemorySystem(Place(name=str(i), system=System.CACHES)) for i in range(48)]

    require_distinct(systems[:47])
    for wrong in (systems, [systems[0], systems[0]]):
        with pytest.raises(Misuse):
            require_distinct(wrong)
    for name in ("", "x" * 101, "a\nb"):
        with pytest.raises(Malformed):
            Place(name=name, system=System.CACHES)
    with pytest.raises(Misuse):
        Place(name="key", system=System.SEALING_KEY)
