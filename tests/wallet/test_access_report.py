"""Who has seen what: each party once, the latest first, by the word of its receipts."""

import json
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Misuse, Reason, Refused
from counterfoil_credentials.qr_frames import frames
from counterfoil_verifier import Light, Look
from counterfoil_verifier.requesting import Handback, SessionId
from counterfoil_wallet import Access, Act, Event, Outcome, VisitReceipt, Wallet
from counterfoil_wallet.access_report import access_report
from counterfoil_wallet.cli import main
from counterfoil_wallet.history import EventId

from tests.conftest import NOON
from tests.wallet.conftest import Reach
from tests.wallet.town import WARRANTY_TYPE, Town

DAY = timedelta(days=1)
WRONG = (Reason("receipt-says-less", "what was shown", "it without x", "receipt.shown"),)


def event(
    name: str,
    act: Act = Act.SHOWN,
    *,
    day: int = 0,
    claims: tuple[str, ...] = ("a",),
    outcome: Outcome = Outcome.DONE,
    receipt: VisitReceipt | None = None,
) -> Event:
    return Event(
        event_id=EventId(f"{name} {day}"),
        at=NOON + day * DAY,
        act=act,
        party=name,
        types=(f"type of {name}",),
        claims=claims,
        outcome=outcome,
        receipt=receipt,
    )


def test_each_party_stands_once_with_all_that_it_has_seen_and_the_latest_first() -> None:
    first, second = access_report(
        [
            event("one", claims=("a", "b")),
            event("two", day=2),
            event("one", day=1, claims=("b", "c")),
        ]
    )

    assert (first.party, second.party) == ("two", "one")
    assert second == Access(
        party="one",
        party_name=None,
        first_at=NOON,
        last_at=NOON + DAY,
        visits=2,
        types=("type of one",),
        claims=("a", "b", "c"),
        kept_until=None,
        without_receipt=2,
        warnings=0,
    )


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("act", [Act.SHOWN, Act.GRANTED])
def test_what_was_sent_counts_as_seen_whatever_came_of_it(act: Act, outcome: Outcome) -> None:
    (seen,) = access_report([event("one", act, outcome=outcome)])

    assert seen.visits == 1
    # A grant has a receipt of its own kind.
    assert seen.without_receipt == (act is Act.SHOWN)


@pytest.mark.parametrize("act", sorted({*Act} - {Act.SHOWN, Act.GRANTED}))
def test_what_showed_nothing_is_not_in_it(act: Act) -> None:
    assert access_report([event("one", act)]) == ()


def test_the_last_end_counts_and_a_worthless_receipt_is_none() -> None:
    good = VisitReceipt(token="a.b.c", kept_until=NOON + 30 * DAY)
    sooner = VisitReceipt(token="a.b.c", kept_until=NOON + 9 * DAY, reasons=WRONG)
    worthless = VisitReceipt(kept_until=NOON + 99 * DAY, reasons=WRONG)
    nothing_kept = VisitReceipt(token="a.b.c")
    events = [
        event("one", day=day, receipt=receipt)
        for day, receipt in enumerate((good, sooner, worthless, nothing_kept, None))
    ]

    (seen,) = access_report(events)

    assert (seen.kept_until, seen.without_receipt, seen.warnings) == (good.kept_until, 2, 2)


def test_it_is_made_of_what_really_happened(town: Town, full: Wallet) -> None:
    full.present(full.matches(town.counter.ask("warranty").link).choose())
    full.decline(full.matches(town.counter.ask("warranty").link))
    full.grant(full.asked_terms(town.receiver.request(town.wish()).link).choose())

    by_party = {seen.party: seen for seen in full.access_report()}

    shop = by_party.pop(town.shop.client_id)
    (brand,) = by_party.values()
    assert (shop.visits, shop.without_receipt, shop.types) == (1, 0, (WARRANTY_TYPE,))
    assert (brand.visits, brand.kept_until) == (1, None)
    (card,) = [one for one in full.credentials() if one.vct == WARRANTY_TYPE]
    item = card.claims["item"]
    assert isinstance(item, dict)
    assert str(item["serial"]) not in repr(full.access_report())


class Now:
    """This machine's clock: the command uses it too."""

    def __call__(self) -> datetime:
        return datetime.now(UTC)

    def advance(self, by: timedelta) -> datetime:
        text = f"expected a clock that nobody moves, found a move by {by}"
        raise Misuse(text)


class TestTheCommandAndTheRealCounter:
    """From the link, or the codes, to the light and the report, typed by the customer."""

    @pytest.fixture
    def town(self, tmp_path: Path, commands_reach: Reach) -> Town:
        town = Town(Now(), secrets.token_bytes, tmp_path / "brand")
        commands_reach(town.network)
        return town

    @pytest.fixture
    def folder(self, town: Town, tmp_path: Path) -> str:
        folder, offer = str(tmp_path / "wallet"), town.offer()
        assert main(["create", folder]) == 0
        assert main(["accept", folder, offer.link, "--tx-code", offer.tx_code or ""]) == 0
        return folder

    def test_the_digits_on_the_phone_make_the_light_green_and_others_do_not(
        self, town: Town, folder: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        sessions: list[SessionId] = []
        digits: list[str] = []
        for _ in range(2):
            asked = town.counter.ask("warranty", handback=Handback.MATCH_CODE)
            capsys.readouterr()
            assert main(["present", folder, asked.link, "--yes", "--json"]) == 0
            said = json.loads(capsys.readouterr().out)
            assert said["receipt"]["standing"] == "good"
            sessions.append(asked.session_id)
            digits.append(said["match_code"])

        wrong = f"{(int(digits[0]) + 1) % 10_000:04}"
        assert town.counter.look(sessions[0], code=wrong).light is None
        assert town.counter.look(sessions[0], code=digits[0]).light is Light.GREEN
        assert town.counter.look(sessions[1], code=digits[1]).light is Light.GREEN

    def test_without_a_network_the_receipt_comes_off_the_till_s_screen(
        self, town: Town, folder: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        asked = town.counter.ask("warranty")
        codes = " ".join(town.counter.codes(asked.session_id))
        capsys.readouterr()
        assert main(["present", folder, codes, "--codes", "--yes", "--json"]) == 0
        handed = json.loads(capsys.readouterr().out)["codes"]
        *_, look = [town.counter.scan(asked.session_id, code) for code in handed]
        assert isinstance(look, Look)
        assert look.held is not None
        assert look.held.receipt is not None

        screen = " ".join(frames(look.held.receipt))
        assert main(["take-receipt", folder, screen, "--json"]) == 0

        visit = json.loads(capsys.readouterr().out)["visit"]
        assert (visit["outcome"], visit["receipt"]["standing"]) == ("done", "good")
        assert main(["access", folder, "--json"]) == 0
        (seen,) = json.loads(capsys.readouterr().out)["access"]
        assert (seen["kept_until"], seen["warnings"]) == (visit["receipt"]["kept_until"], 0)
        assert main(["take-receipt", folder, "openid4vp://?not=one", "--json"]) == 1
        assert "malformed" in capsys.readouterr().out


def test_a_wallet_that_did_not_show_it_keeps_no_receipt_of_it(town: Town, full: Wallet) -> None:
    other = Wallet.in_memory(fetcher=town.network, clock=town.clock)
    presented = full.present(full.matches(town.counter.ask("warranty").link).choose())
    assert presented.receipt is not None
    assert presented.receipt.token is not None

    with pytest.raises(Refused) as refusal:
        other.take_receipt(presented.receipt.token)

    assert refusal.value.codes == ["receipt-of-no-visit"]
    assert other.access_report() == ()
