"""W12: a grant, what its end erases, and what came of the end."""

import json
import re
from datetime import UTC, datetime

import pytest
from counterfoil_consent import Purpose
from counterfoil_consent.laws import ClaimKind
from counterfoil_consent.papers import Paper
from counterfoil_consent.retention import Duty
from counterfoil_credentials.errors import Refused
from counterfoil_demo.houses import CUSTODIAN, VELORUM
from counterfoil_wallet import Act, verify_pack

from tests.demo_app.sharing_scene import BUYER, DAY, PRODUCTS, SharingScene

pytestmark = pytest.mark.once


def text_of(page: str) -> str:
    """Give what a page says, without its markup."""
    return " ".join(re.sub(r"<[^>]+>", " ", page.split("<main", 1)[1]).split())


def withdraw(scene: SharingScene, grant_id: str) -> str:
    return text_of(scene.post(f"/sharing/{grant_id}/withdraw").text)


def test_screen_w12_shows_what_they_can_open_and_when_they_did(sharer: SharingScene) -> None:
    grant_id = sharer.granted()
    sharer.read(grant_id)
    sharer.post("/sharing/check", by="brand")

    said = text_of(sharer.get(f"/sharing/{grant_id}").text)

    assert "They can open 1 time so far Product Opened just now Paid at Opened just now" in said
    assert "to give you benefits made for you. used 1 time, last just now" in said
    assert "29 days" in said


def test_screen_w12_previews_what_is_erased_and_what_may_be_kept(sharer: SharingScene) -> None:
    grant_id = sharer.granted(BUYER)

    said = text_of(sharer.get(f"/sharing/{grant_id}").text)

    preview = sharer.pocket.wallet.consent.preview(grant_id)
    assert "If you withdraw Erased Buyer Kept Only what a law makes them keep." in said
    assert preview.may_keep
    assert all(law.name in said for law in preview.may_keep)
    assert "Nobody can prove that nothing was written down." in said


def test_screen_w12_withdraws_at_one_tap_and_shows_the_receipt_with_its_level(
    sharer: SharingScene,
) -> None:
    grant_id = sharer.granted()

    said = withdraw(sharer, grant_id)

    assert "Velorum Erased" in said
    assert "WITHDRAWN" in said
    assert "2 facts, closed to them" in said
    steps = ["You withdrew it", "They stopped reading", "The custodian destroyed its key"]
    places = [said.index(step) for step in [*steps, "They signed that it is erased"]]
    assert places == sorted(places)
    assert "Proof you hold: E2 Signed, and the key is destroyed" in said
    with pytest.raises(Refused):
        sharer.read(grant_id)


def test_screen_w12_withdraws_once_however_often_it_is_pressed(sharer: SharingScene) -> None:
    grant_id = sharer.granted()
    first = withdraw(sharer, grant_id)

    assert withdraw(sharer, grant_id) == first
    told = [each.act for each in sharer.pocket.wallet.history()]
    assert told.count(Act.WITHDRAWN) == 1


def test_screen_w12_counts_down_until_the_proof_is_there(sharer: SharingScene) -> None:
    grant_id = sharer.granted()
    sharer.disconnect()

    said = withdraw(sharer, grant_id)

    assert "Velorum Erasing" in said
    assert "They have not answered yet" in said
    assert "The custodian has not destroyed its key yet" in said
    assert "The signed proof of erasure by" in said
    ring = re.findall(
        r'aria-label="(\d+) (?:day|hour|minute|second)s? left"', page(sharer, grant_id)
    )
    assert len(ring) == 1
    sharer.connect()
    said = text_of(sharer.post(f"/sharing/{grant_id}/ask").text)
    assert "Velorum Erased" in said
    assert ": E2 " in said


def page(scene: SharingScene, grant_id: str) -> str:
    return scene.get(f"/sharing/{grant_id}").text


def test_screen_w12_asks_by_itself_only_while_something_is_owed(sharer: SharingScene) -> None:
    grant_id = sharer.granted()
    assert "hx-trigger" not in page(sharer, grant_id)
    sharer.network.disconnect(VELORUM.origin)
    withdraw(sharer, grant_id)
    assert 'hx-trigger="load delay:1s, every 5s"' in page(sharer, grant_id)

    asks = {"hx-request": "true"}
    same = sharer.browser.post(f"/sharing/{grant_id}/ask", headers=asks)
    assert same.status_code == 204
    sharer.connect()
    changed = sharer.browser.post(f"/sharing/{grant_id}/ask", headers=asks)
    assert "They signed that it is erased" in changed.text
    assert "hx-trigger" not in page(sharer, grant_id)


def test_screen_w12_shows_who_has_answered_and_who_has_not(sharer: SharingScene) -> None:
    grant_id = sharer.granted()
    sharer.network.disconnect(CUSTODIAN.origin)

    said = withdraw(sharer, grant_id)

    assert "They stopped reading 2" in said
    assert "The custodian has not destroyed its key yet" in said


@pytest.mark.parametrize("language", ["en", "zh"])
def test_screen_w12_gives_the_complaint_once_the_proof_is_overdue(
    sharer: SharingScene, language: str
) -> None:
    grant_id = sharer.overdue()
    sharer.browser.headers["accept-language"] = language

    assert "badge--stop" in page(sharer, grant_id)
    answer = sharer.get(f"/sharing/{grant_id}/papers")

    name = answer.headers["content-disposition"]
    assert name.startswith('attachment; filename="counterfoil-complaint-')
    agreement, papers = verify_pack(answer.content, now=sharer.calendar())
    assert agreement.grant_id == grant_id
    assert {Paper.REQUEST, Paper.GRANT, Paper.RECEIPT, Paper.END} <= set(papers)
    assert json.loads(answer.content)["language"] == language


def test_screen_w12_names_what_a_law_makes_them_keep_and_until_when(sharer: SharingScene) -> None:
    grant_id = sharer.granted()
    with sharer.receiver.read(grant_id, Purpose.PERSONALISED_BENEFITS) as facts:
        sold = Duty(
            law="DE AO §147",
            kind=ClaimKind.PURCHASE,
            claims=(PRODUCTS,),
            event_at=datetime(2026, 8, 4, tzinfo=UTC),
        )
        sharer.receiver.keep(facts, sold)

    said = withdraw(sharer, grant_id)

    assert "Velorum Erased in part" in said
    assert "Kept by DE AO §147: Product until 1 Jan 2035" in said
    assert "some is kept until 1 Jan 2035" in text_of(sharer.get("/sharing").text)


def test_screen_w12_says_that_she_withdrew_also_where_they_heard_it_after_its_end(
    sharer: SharingScene,
) -> None:
    grant_id = sharer.overdue()
    sharer.connect()

    said = text_of(sharer.post(f"/sharing/{grant_id}/ask").text)

    assert "Velorum Erased" in said
    assert "WITHDRAWN" in said
    assert "You withdrew it" in said


def test_screen_w12_says_that_its_time_was_over(sharer: SharingScene) -> None:
    grant_id = sharer.granted(days=2)
    sharer.calendar.advance(3 * DAY)

    said = text_of(sharer.post(f"/sharing/{grant_id}/ask").text)

    assert "ENDED" in said
    assert "Its time was over" in said


def test_screen_w12_gives_no_papers_of_a_grant_in_force(sharer: SharingScene) -> None:
    grant_id = sharer.granted()

    assert sharer.get(f"/sharing/{grant_id}/papers").status_code == 404


def test_screen_w12_delivers_again_what_nobody_acknowledged(sharer: SharingScene) -> None:
    grant_id = sharer.unacknowledged()
    sharer.calendar.advance(DAY / 100)
    assert "They have not acknowledged it" in page(sharer, grant_id)

    sharer.connect()
    said = text_of(sharer.post(f"/sharing/{grant_id}/ask").text)

    assert "Velorum In force" in said


def test_screen_w12_pauses_and_lets_go_on(sharer: SharingScene) -> None:
    grant_id = sharer.granted()

    assert (
        "Nothing can be read until you let it go on."
        in sharer.post(f"/sharing/{grant_id}/pause").text
    )
    with pytest.raises(Refused):
        sharer.read(grant_id)
    assert "It goes on." in sharer.post(f"/sharing/{grant_id}/go-on").text
    sharer.read(grant_id)


def test_screen_w12_does_nothing_to_a_grant_that_has_ended(sharer: SharingScene) -> None:
    grant_id = sharer.granted()
    ended = withdraw(sharer, grant_id)

    for verb in ("pause", "go-on", "withdraw", "ask"):
        assert sharer.post(f"/sharing/{grant_id}/{verb}").status_code == 200
    assert text_of(page(sharer, grant_id)) == ended


@pytest.mark.parametrize("grant_id", ["x", "A" * 43, "%00", "..%2f", "<b>"])
@pytest.mark.parametrize("verb", ["", "/papers"])
def test_screen_w12_knows_no_other_grant(sharer: SharingScene, grant_id: str, verb: str) -> None:
    assert sharer.get(f"/sharing/{grant_id}{verb}").status_code == 404


def test_screen_w12_takes_no_withdrawal_of_another_page(sharer: SharingScene) -> None:
    grant_id = sharer.granted()

    answer = sharer.browser.post(
        f"/sharing/{grant_id}/withdraw", headers={"origin": "https://evil.example"}
    )

    assert answer.status_code == 403
    sharer.read(grant_id)


def test_screen_w12_says_the_same_in_chinese(sharer: SharingScene) -> None:
    grant_id = sharer.granted()
    sharer.browser.headers["accept-language"] = "zh-CN,zh;q=0.9"

    assert "撤回后" in text_of(page(sharer, grant_id))
    said = withdraw(sharer, grant_id)
    assert "已撤回" in said
    assert "E2 已签署，密钥已销毁" in said
