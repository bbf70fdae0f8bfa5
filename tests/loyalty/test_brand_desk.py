"""What brands do at the points service: through the client, over HTTP, on either ledger."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_loyalty import Points, PointsSigner, Rate
from counterfoil_loyalty.brand_desk import BrandDesk, claim_between, net
from counterfoil_loyalty.corridors import ExchangePause
from counterfoil_loyalty.intents import sign_by_brand
from counterfoil_loyalty.ledger import EmbeddedLedger
from counterfoil_loyalty.memory_ledger import MemoryLedger
from counterfoil_loyalty.rates import PERIOD_S
from counterfoil_loyalty.trade_client import fill_trade, sign_as_maker, sign_as_taker
from counterfoil_loyalty.trades import Trade

from tests.loyalty.programme import AUDIO, BICYCLE, DAY, NOW, SECRET, Clock, seeded
from tests.loyalty.test_service import Street, street_on

REF = b"r" * 32


@pytest.fixture
def street(clock: Clock) -> Iterator[Street]:
    yield from street_on(MemoryLedger(now=NOW, random=seeded("brand desk")), clock)


@pytest.fixture
def on_either(ledger: EmbeddedLedger, clock: Clock) -> Iterator[Street]:
    """Give the same on each kind of ledger."""
    yield from street_on(ledger, clock)


def audio_of(street: Street, signer: PointsSigner | None = None) -> BrandDesk:
    return BrandDesk(street.client, AUDIO, signer or street.audio)


def bicycle_of(street: Street) -> BrandDesk:
    return BrandDesk(street.client, BICYCLE, street.bicycle)


def listed(street: Street, brand: str = AUDIO) -> dict[str, object]:
    rows = street.http.get("/brands").json()["brands"]
    return next(row for row in rows if row["brand"] == brand)


def test_a_pause_is_told_before_a_customer_signs_and_ends(on_either: Street) -> None:
    street = on_either
    street.award()
    quote = street.client.quote(Points(AUDIO, 200), BICYCLE)
    bicycle_of(street).pause()

    with pytest.raises(Refused) as asked:
        street.client.quote(Points(AUDIO, 200), BICYCLE)
    with pytest.raises(Refused) as signed:
        street.client.exchange(quote, street.accounts, REF)

    assert asked.value.codes == signed.value.codes == ["corridor-paused"]
    assert street.http.get("/brands").json()["terms"][0]["paused_by"] == [BICYCLE]
    assert street.held() == (1_000, 0)
    bicycle_of(street).resume()
    street.client.exchange(
        street.client.quote(Points(AUDIO, 200), BICYCLE), street.accounts, b"s" * 32
    )
    assert street.held() == (800, 300)


def test_a_brand_pauses_one_corridor_and_narrows_it(on_either: Street) -> None:
    street = on_either
    street.award()
    audio_of(street).tighten(AUDIO, BICYCLE, quota=100, paused=True)

    terms = street.http.get("/brands").json()["terms"][0]
    assert (terms["paused_by"], terms["quota"]) == ([AUDIO], 100)
    with pytest.raises(Refused, match="open"):
        street.client.quote(Points(AUDIO, 100), BICYCLE)

    audio_of(street).tighten(AUDIO, BICYCLE)
    with pytest.raises(Refused) as over:
        street.client.exchange(
            street.client.quote(Points(AUDIO, 200), BICYCLE), street.accounts, REF
        )
    assert over.value.codes == ["quota-exceeded"]


def test_an_end_with_notice_is_the_end_that_is_shown(street: Street) -> None:
    street.agree(Rate(3, 2), version=2, ends_at=NOW + 300 * DAY)
    ends_at = street.clock.now + 31 * DAY

    audio_of(street).tighten(AUDIO, BICYCLE, ends_at=ends_at)

    assert street.http.get("/brands").json()["terms"][0]["ends_at"] == ends_at


def test_nobody_else_pauses_a_brand(street: Street) -> None:
    with pytest.raises(Refused) as refusal:
        audio_of(street, street.bicycle).pause()

    assert refusal.value.codes == ["signature-invalid"]
    assert listed(street)["paused"] is False


def test_what_nobody_signed_keeps_no_sequence_from_the_brand(street: Street) -> None:
    with pytest.raises(Refused):
        audio_of(street, street.bicycle).pause()

    audio_of(street).pause()

    assert listed(street)["paused"] is True


def test_the_same_pause_sent_again_is_answered_as_the_first(street: Street) -> None:
    audio_of(street).pause()
    path, body = street.sent[-1][0], street.last_body()
    first = street.http.post(path, json=body).json()
    audio_of(street).resume()

    again = street.http.post(path, json=body).json()

    assert again == first
    assert first["state"] == "done"
    assert listed(street)["paused"] is False


def test_a_sequence_that_was_used_for_something_else_is_a_conflict(street: Street) -> None:
    audio_of(street).pause()
    other = ExchangePause(token=street.client.programme(AUDIO).token, paused=False, sequence=0)
    body = {
        "brand": AUDIO,
        "paused": False,
        "sequence": 0,
        "signature": sign_by_brand(other, street.client.venue(), street.audio).hex(),
    }

    assert street.http.post("/pauses", json=body).status_code == 409


def test_a_lower_price_holds_at_once_and_a_higher_one_waits_a_week(on_either: Street) -> None:
    street = on_either
    street.clock.advance(PERIOD_S)
    street.award(order="a block at this time")
    desk = audio_of(street)
    desk.change_price(110)
    assert (listed(street)["price"], listed(street)["price_version"]) == (100, 1)
    with pytest.raises(Refused) as early:
        desk.enact_price()
    assert early.value.codes == ["too-soon"]

    street.clock.advance(PERIOD_S)
    street.award(order="a block a week later")
    desk.enact_price()

    assert (listed(street)["price"], listed(street)["announced_price"]) == (110, None)
    with pytest.raises(Refused) as soon:
        desk.change_price(100)
    assert soon.value.codes == ["too-soon"]


def test_worse_terms_are_announced_and_come_into_force_when_they_have_waited(
    street: Street,
) -> None:
    street.agree(Rate(4, 3), version=2)
    announced = street.http.get("/brands").json()["terms"][0]
    assert announced["numerator"] == 3
    assert announced["announced"]["version"] == 2
    with pytest.raises(Refused) as early:
        audio_of(street).enact_terms(AUDIO, BICYCLE, 2)
    assert early.value.codes == ["too-soon"]

    street.clock.advance(PERIOD_S)
    street.award(order="a block a week later")
    first = audio_of(street).enact_terms(AUDIO, BICYCLE, 2)

    found = street.http.get("/brands").json()["terms"][0]
    assert (found["numerator"], found["version"], found["announced"]) == (4, 2, None)
    assert audio_of(street).enact_terms(AUDIO, BICYCLE, 2) == first


def test_terms_that_nobody_announced_come_into_no_force(street: Street) -> None:
    with pytest.raises(Refused) as refusal:
        audio_of(street).enact_terms(AUDIO, BICYCLE, 7)

    assert refusal.value.codes == ["nothing-announced"]


def test_a_creditor_acknowledges_what_was_paid_once(on_either: Street) -> None:
    street = on_either
    street.award()
    street.client.exchange(
        street.client.quote(Points(AUDIO, 200), BICYCLE), street.accounts, b"s" * 32
    )
    assert claim_between(street.client, AUDIO, BICYCLE).owed == 300 * 50

    bicycle_of(street).acknowledge(AUDIO, 5_000, REF)
    bicycle_of(street).acknowledge(AUDIO, 5_000, REF)

    assert claim_between(street.client, AUDIO, BICYCLE).owed == 10_000
    assert claim_between(street.client, BICYCLE, AUDIO).owed == -10_000
    with pytest.raises(Refused) as other:
        bicycle_of(street).acknowledge(AUDIO, 6_000, REF)
    assert other.value.codes == ["key-conflict"]
    with pytest.raises(Refused) as debtor:
        BrandDesk(street.client, BICYCLE, street.audio).acknowledge(AUDIO, 1, b"q" * 32)
    assert debtor.value.codes == ["signature-invalid"]


def test_brands_without_a_cycle_have_nothing_to_net(street: Street) -> None:
    with pytest.raises(Refused) as refusal:
        net(street.client, [AUDIO, BICYCLE, AUDIO], number=1)

    assert refusal.value.codes == ["no-cycle"]


def test_a_cycle_of_three_is_netted_over_http(street: Street) -> None:
    coat, signer = "https://coat.example", PointsSigner(b"\x03" * 32)
    street.register(signer, coat, price=50)
    signers = {AUDIO: street.audio, BICYCLE: street.bicycle, coat: signer}
    for giver, taker in ((BICYCLE, coat), (coat, AUDIO)):
        rate = Rate(1, 1) if taker == coat else Rate(1, 2)
        terms = street.client.terms(giver, taker, rate, version=1, ends_at=NOW + 30 * DAY)
        street.client.agree(
            terms,
            street.client.sign_terms(terms, signers[giver]),
            street.client.sign_terms(terms, signers[taker]),
        )
    street.award()
    for number, (giver, taker, units) in enumerate(
        ((AUDIO, BICYCLE, 200), (BICYCLE, coat, 200), (coat, AUDIO, 100))
    ):
        quote = street.client.quote(Points(giver, units), taker)
        street.client.exchange(quote, street.accounts, bytes([number]) * 32)

    net(street.client, [AUDIO, BICYCLE, coat], number=1)

    owed = [
        claim_between(street.client, *pair).owed
        for pair in ((AUDIO, BICYCLE), (BICYCLE, coat), (coat, AUDIO))
    ]
    assert owed == [10_000, 5_000, 0]


def test_a_pending_award_is_cancelled_before_and_released_after_its_time(
    on_either: Street,
) -> None:
    street, desk = on_either, audio_of(on_either)
    account = street.accounts.of(AUDIO).account
    due = street.clock.now + DAY
    for ref in (b"1" * 32, b"2" * 32):
        desk.award_pending(Points(AUDIO, 500), account, ref, due)
    assert street.held() == (0, 0)
    with pytest.raises(Refused) as early:
        desk.release(b"1" * 32)
    assert early.value.codes == ["not-available"]

    desk.cancel(b"2" * 32)
    street.clock.advance(2 * DAY)
    street.award(1, "a block at this time")
    desk.release(b"1" * 32)

    assert street.held() == (501, 0)
    with pytest.raises(Refused) as gone:
        desk.release(b"2" * 32)
    assert gone.value.codes == ["not-pending"]


def test_a_redemption_is_refunded_once(on_either: Street) -> None:
    street = on_either
    street.award()
    street.client.redeem(Points(AUDIO, 400), street.accounts, REF, now=street.now)
    holder = street.accounts.of(AUDIO).account

    first = audio_of(street).refund(holder, REF)

    assert audio_of(street).refund(holder, REF) == first
    assert street.held() == (1_000, 0)


def test_many_are_awarded_in_one_batch(on_either: Street) -> None:
    street = on_either
    accounts = [PointsSigner(bytes([9, number]) * 16).account for number in range(3)]

    audio_of(street).award_many([(account, 10) for account in accounts], REF)

    held = [street.http.get(f"/accounts/{it}/balances").json() for it in accounts]
    assert held == [{"balances": [{"brand": AUDIO, "units": 10}]}] * 3


def test_a_new_issuer_awards_and_the_old_one_does_no_more(on_either: Street) -> None:
    street, hot = on_either, PointsSigner(b"\x07" * 32)
    desk = audio_of(street)
    desk.govern(replace(desk.policy(), issuer=hot.account, capacity=1_000, refill_s=DAY))

    with pytest.raises(Refused) as refusal:
        street.award()
    assert refusal.value.codes == ["signature-invalid"]
    account = street.accounts.of(AUDIO).account
    street.client.award(hot, Points(AUDIO, 600), account, order="1", secret=SECRET)
    with pytest.raises(Refused) as over:
        street.client.award(hot, Points(AUDIO, 600), account, order="2", secret=SECRET)

    assert over.value.codes == ["over-limit"]
    assert street.held() == (600, 0)
    assert desk.policy().issuer == hot.account


def test_awards_are_paused_until_the_next_policy(street: Street) -> None:
    desk = audio_of(street)
    desk.pause_awards()
    with pytest.raises(Refused) as refusal:
        street.award()
    assert refusal.value.codes == ["awards-paused"]
    assert listed(street)["awards_paused"] is True

    desk.govern(desk.policy())
    street.award()

    assert street.held() == (1_000, 0)


def test_points_expire_by_the_rule_that_was_there_before_they_were_earned(
    street: Street,
) -> None:
    desk = audio_of(street)
    desk.govern(replace(desk.policy(), inactivity_s=30 * DAY))
    street.award()
    holder = street.accounts.of(AUDIO).account
    with pytest.raises(Refused) as active:
        desk.expire(holder)
    assert active.value.codes == ["still-active"]

    street.clock.advance(31 * DAY)
    other = PointsSigner(b"\x08" * 32).account
    street.client.award(street.audio, Points(AUDIO, 1), other, order="a block", secret=SECRET)
    desk.expire(holder, attempt=1)

    assert street.held() == (0, 0)


def test_two_customers_trade_whole_or_not_at_all(on_either: Street) -> None:
    street = on_either
    street.award()
    maker, taker = street.accounts.of(AUDIO), PointsSigner(b"\x09" * 32)
    audio, bicycle = (street.client.programme(name).token for name in (AUDIO, BICYCLE))
    street.client.award(
        street.bicycle, Points(BICYCLE, 700), taker.account, order="1", secret=SECRET
    )
    trade = Trade(
        maker=maker.account,
        maker_receives=street.accounts.of(BICYCLE).account,
        given=audio,
        amount_given=500,
        taker=taker.account,
        taker_receives=taker.account,
        taken=bicycle,
        amount_taken=700,
        deadline=street.clock.now + 600,
        trade_id=REF,
    )
    of_maker = sign_as_maker(street.client, trade, maker)
    with pytest.raises(Refused) as forged:
        fill_trade(street.client, trade, of_maker, of_maker)
    assert forged.value.codes == ["signature-invalid"]
    assert street.held() == (1_000, 0)

    of_taker = sign_as_taker(street.client, trade, taker)
    first = fill_trade(street.client, trade, of_maker, of_taker)

    assert fill_trade(street.client, trade, of_maker, of_taker) == first
    assert street.held() == (500, 700)


def test_a_trade_into_a_contract_or_past_its_deadline_is_refused(street: Street) -> None:
    street.award()
    maker, audio = street.accounts.of(AUDIO), street.client.programme(AUDIO).token
    trade = Trade(
        maker=maker.account,
        maker_receives=audio,
        given=audio,
        amount_given=1,
        taker=street.audio.account,
        taker_receives=street.audio.account,
        taken=street.client.programme(BICYCLE).token,
        amount_taken=1,
        deadline=street.clock.now + 600,
        trade_id=REF,
    )
    with pytest.raises(Refused) as lost:
        fill_trade(street.client, trade, bytes(65), bytes(65))
    late = replace(trade, maker_receives=maker.account, deadline=street.clock.now)
    with pytest.raises(Refused) as passed:
        fill_trade(street.client, late, bytes(65), bytes(65))

    assert (lost.value.codes, passed.value.codes) == (["no-recipient"], ["intent-expired"])
