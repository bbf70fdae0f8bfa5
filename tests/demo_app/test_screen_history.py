"""W13: everything that the wallet did, also what failed; deleted, taken along and brought back."""

import json
import re

import pytest
from counterfoil_consent.export_log import read_log, seal_entries
from counterfoil_demo.phone.events import name_of_event, name_of_party
from counterfoil_wallet import Act, Event, Outcome
from httpx2 import Response

from tests.demo_app.sharing_scene import DAY, SharingScene
from tests.demo_app.test_screen_grant import text_of

pytestmark = pytest.mark.once

WORDS = "a passphrase for the history"


@pytest.fixture
def lived(sharer: SharingScene) -> SharingScene:
    """Give a phone that bought, granted and withdrew, and withdrew once more without an answer."""
    wallet = sharer.pocket.wallet
    wallet.withdraw(sharer.granted())
    silent = sharer.granted()
    sharer.disconnect()
    wallet.withdraw(silent)
    sharer.connect()
    return sharer


def lines(page: str) -> list[str]:
    """Give the text of each event in the list, without its markup."""
    found = re.findall(r'<a class="rowlink event".*?</a>', page, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", each).split()) for each in found]


def saved(scene: SharingScene) -> bytes:
    return scene.post("/history/save", passphrase=WORDS).content


def brought(scene: SharingScene, file: bytes, passphrase: str = WORDS) -> Response:
    return scene.browser.post(
        "/history/bring", files={"file": ("h.jwe", file)}, data={"passphrase": passphrase}
    )


def the(scene: SharingScene, act: Act, place: int = 0) -> Event:
    return [event for event in scene.pocket.wallet.history() if event.act is act][place]


def test_screen_w13_says_what_goes_here_while_nothing_happened(sharer: SharingScene) -> None:
    wallet = sharer.pocket.wallet
    wallet.forget_events([event.event_id for event in wallet.history()])

    assert "Nothing happened yet" in sharer.get("/history").text


@pytest.mark.parametrize("path", ["/sharing", "/settings"])
def test_screen_w13_is_found_where_one_looks_for_it(sharer: SharingScene, path: str) -> None:
    assert 'href="/history"' in sharer.get(path).text


def test_screen_w13_tells_every_event_the_latest_first(lived: SharingScene) -> None:
    page = lived.get("/history").text

    told = lines(page)
    assert len(told) == len(lived.pocket.wallet.history())
    assert {" ".join(line.split()[:4]) for line in told} == {
        "You took a card",
        "You let Velorum read",
        "You withdrew from Velorum",
        "Velorum proved the erasure",
    }
    assert told[-1].startswith("You took a card of Auricle")
    assert told[0].startswith("You withdrew from Velorum Product, Paid at")


def test_screen_w13_tells_also_what_has_no_answer_and_what_failed(lived: SharingScene) -> None:
    entries = read_log(saved(lived).decode(), WORDS)
    refused = the(lived, Act.GRANTED).ended(Outcome.REFUSED, "grant-mismatch")
    told = next(each for each in entries if each["transactionIdentifier"] == refused.event_id)
    told["counterfoil_event"] = json.loads(refused.to_record().body)
    told["transactionIdentifier"] = "granted-elsewhere"
    brought(lived, seal_entries([told], WORDS, random=lambda n: bytes(range(n))).encode())

    failed = lines(lived.get("/history?failed=yes").text)

    assert sorted(line.rsplit(maxsplit=2)[-1] for line in failed) == ["failed", "known"]
    page = text_of(lived.get(f"/history/{name_of_event(_with_id(refused))}").text)
    assert "It failed" in page
    assert "Noted grant-mismatch" in page


def _with_id(event: Event) -> Event:
    record = event.to_record()
    return Event.from_record(type(record)(record.kind, "granted-elsewhere", "", record.body))


def test_screen_w13_finds_by_party_by_kind_and_by_day(lived: SharingScene) -> None:
    velorum = name_of_party(the(lived, Act.GRANTED).party)
    everything = len(lived.pocket.wallet.history())
    cards = len([1 for event in lived.pocket.wallet.history() if event.act is Act.ACCEPTED])

    assert len(lines(lived.get(f"/history?party={velorum}").text)) == everything - cards
    assert len(lines(lived.get("/history?kind=cards").text)) == cards
    assert len(lines(lived.get("/history?kind=shared").text)) == everything - cards
    assert len(lines(lived.get("/history?from=2020-01-01").text)) == everything
    nothing = lived.get("/history?to=2020-01-01").text
    assert lines(nothing) == []
    assert "Nothing found" in nothing


@pytest.mark.parametrize("query", ["kind=all", "from=yesterday", "to=%00", "after=-3", "failed=1"])
def test_screen_w13_takes_an_odd_filter_for_none(lived: SharingScene, query: str) -> None:
    everything = len(lived.pocket.wallet.history())

    assert len(lines(lived.get(f"/history?{query}").text)) == everything


def test_screen_w13_shows_no_value_and_no_address(lived: SharingScene) -> None:
    receipt = next(each for each in lived.pocket.wallet.credentials() if "buyer" in each.claims)
    buyer = receipt.claims["buyer"]
    assert isinstance(buyer, dict)
    pages = [lived.get("/history").text]
    pages += [
        lived.get(f"/history/{name_of_event(event)}").text
        for event in lived.pocket.wallet.history()
    ]

    for page in pages:
        assert str(buyer["name"]) not in page
        assert "did:" not in page
        assert not re.search(r"0x[0-9a-f]{6}", page)


def test_screen_w13_leads_from_an_event_to_its_grant(lived: SharingScene) -> None:
    event, grant = the(lived, Act.GRANTED), lived.pocket.wallet.grants()[0]

    page = lived.get(f"/history/{name_of_event(event)}").text

    assert f'href="/sharing/{grant.grant_id}"' in page
    assert lived.get(f"/sharing/{grant.grant_id}").status_code == 200


def test_screen_w13_deletes_one_event_and_says_what_that_costs(lived: SharingScene) -> None:
    event = the(lived, Act.WITHDRAWN)
    path = f"/history/{name_of_event(event)}"
    said = text_of(lived.get(path).text)
    assert "If you delete it The withdrawal stands" in said
    assert "It cannot be brought back" in said

    page = lived.post(f"{path}/delete").text

    assert "1 event deleted." in page
    assert event not in lived.pocket.wallet.history()
    assert lived.get(path).status_code == 404
    assert "0 events deleted." in lived.post(f"{path}/delete").text


def test_screen_w13_deletes_what_is_listed_and_nothing_that_came_since(
    lived: SharingScene,
) -> None:
    cards = len(lines(lived.get("/history?kind=cards").text))
    everything = len(lived.pocket.wallet.history())
    page = text_of(lived.get("/history?kind=cards").text)
    assert f"Delete these {cards} events They cannot be brought back" in page

    stale = lived.post("/history/delete", kind="cards", count=str(cards - 1))
    assert stale.status_code == 409
    assert "Nothing was deleted" in stale.text
    assert len(lived.pocket.wallet.history()) == everything

    lived.post("/history/delete", kind="cards", count=str(cards))
    assert len(lived.pocket.wallet.history()) == everything - cards
    assert len(lived.pocket.wallet.credentials()) == 3


def test_screen_w13_gives_a_file_that_brings_everything_back(
    lived: SharingScene, sharer: SharingScene
) -> None:
    before = lived.pocket.wallet.history()
    answer = lived.post("/history/save", passphrase=WORDS)
    name = answer.headers["content-disposition"]
    assert name.startswith('attachment; filename="counterfoil-history-')
    assert answer.text.count(".") == 4
    lived.pocket.lock()
    (lived.folder / "wallet").rename(lived.folder / "old-wallet")
    lived.first_run()
    assert lived.pocket.wallet.history() == []

    page = brought(lived, answer.content).text

    assert f"{len(before)} events brought in." in page
    assert lived.pocket.wallet.history() == before
    assert "0 events brought in." in brought(lived, answer.content).text


def test_screen_w13_keeps_deleted_what_was_deleted(lived: SharingScene) -> None:
    file = saved(lived)
    lived.post(f"/history/{name_of_event(the(lived, Act.ERASED))}/delete")
    left = lived.pocket.wallet.history()

    assert "0 events brought in." in brought(lived, file).text
    assert lived.pocket.wallet.history() == left


def test_screen_w13_says_what_is_wrong_with_a_file(lived: SharingScene) -> None:
    file, left = saved(lived), lived.pocket.wallet.history()

    for wrong, passphrase, said in (
        (file, "another passphrase", "does not open the file"),
        (file[:-6], WORDS, "no history of a wallet"),
        (b"\xff\x00 no log", WORDS, "no history of a wallet"),
        (b"", WORDS, "no history of a wallet"),
        (file[:-6] + b"AAAAAA", WORDS, "does not open the file"),
    ):
        answer = brought(lived, wrong, passphrase)
        assert answer.status_code == 422
        assert said in answer.text
    assert "Use at least 12 characters." in lived.post("/history/save", passphrase="short").text
    assert lived.pocket.wallet.history() == left


def test_screen_w13_says_the_same_in_chinese(lived: SharingScene) -> None:
    lived.browser.headers["accept-language"] = "zh-CN,zh;q=0.9"
    lived.calendar.advance(DAY)

    told = lines(lived.get("/history").text)

    assert told[0].startswith("你向Velorum撤回了授权 商品名称、付款时间")
    assert told[0].endswith("未收到回应")
    assert told[-1].startswith("你收下了耳廓音响的卡片")
