"""One brand's points, on the chain and on its twin: who awards, what waits, what goes back."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from counterfoil_credentials.errors import Misuse
from counterfoil_loyalty.accounts import NOBODY, Account, PointsSigner
from counterfoil_loyalty.actions import (
    Action,
    AwardPoints,
    AwardToMany,
    CancelAward,
    ExpirePoints,
    GovernPoints,
    PauseAwards,
    RedeemPoints,
    RefundPoints,
    ReleaseAward,
)
from counterfoil_loyalty.chain import EmbeddedChainLedger
from counterfoil_loyalty.chain_db import EmbeddedChain
from counterfoil_loyalty.intents import Award, sign_by_brand, sign_by_customer
from counterfoil_loyalty.issuing import (
    MAX_BATCH,
    AwardBatch,
    Cancellation,
    Pause,
    Policy,
    Refund,
)
from counterfoil_loyalty.keccak import keccak256
from counterfoil_loyalty.ledger import EmbeddedLedger
from web3.exceptions import ContractCustomError

from tests.loyalty.contracts import Workbench
from tests.loyalty.ledgers import empty_ledger
from tests.loyalty.outcomes import done, refused
from tests.loyalty.programme import (
    AUDIO,
    BICYCLE,
    DAY,
    NOW,
    Clock,
    Programme,
    changed,
    programme_on,
    seeded,
)

BOARD = PointsSigner(b"\x0a" * 32)
HOT_KEY = PointsSigner(b"\x0b" * 32)
THIEF = PointsSigner(b"\x0c" * 32)
YEAR = 365 * DAY


@pytest.fixture(params=["memory", "chain"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedLedger]:
    """Give the two kinds that take no process; test_common_contracts.py asks a real node."""
    yield from empty_ledger(request.param, tmp_path)


def ref_of(name: str) -> bytes:
    return keccak256(name.encode())


def pending(
    programme: Programme,
    available_at: int,
    *,
    amount: int = 1_000,
    name: str = "order",
    signer: PointsSigner | None = None,
    to: Account | None = None,
) -> AwardPoints:
    award = Award(
        token=programme.tokens[AUDIO],
        to=programme.customer.of(AUDIO).account if to is None else to,
        amount=amount,
        ref=ref_of(name),
        available_at=available_at,
    )
    return AwardPoints(award, sign_by_brand(award, programme.venue, signer or programme.audio))


def cancel(
    programme: Programme, name: str = "order", signer: PointsSigner | None = None
) -> CancelAward:
    it = Cancellation(token=programme.tokens[AUDIO], ref=ref_of(name))
    return CancelAward(it, sign_by_brand(it, programme.venue, signer or programme.audio))


def release(programme: Programme, name: str = "order") -> ReleaseAward:
    return ReleaseAward(programme.tokens[AUDIO], ref_of(name))


def refund(programme: Programme, signer: PointsSigner | None = None) -> RefundPoints:
    holder = programme.customer.of(AUDIO).account
    it = Refund(token=programme.tokens[AUDIO], holder=holder, redemption_id=b"r" * 32)
    return RefundPoints(it, sign_by_brand(it, programme.venue, signer or programme.audio))


def many(programme: Programme, *amounts: int, name: str = "batch") -> AwardToMany:
    accounts = (PointsSigner(bytes([i + 1]) * 32).account for i in range(len(amounts)))
    batch = AwardBatch(
        token=programme.tokens[AUDIO],
        awards=tuple(zip(accounts, amounts, strict=True)),
        ref=ref_of(name),
    )
    return AwardToMany(batch, sign_by_brand(batch, programme.venue, programme.audio))


def govern(
    programme: Programme, signer: PointsSigner | None = None, /, **changes: object
) -> GovernPoints:
    known: dict[str, object] = {
        "token": programme.tokens[AUDIO],
        "admin": programme.audio.account,
        "issuer": programme.audio.account,
        "version": 1,
    }
    policy = Policy(**{**known, **changes})  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # by name
    return GovernPoints(policy, sign_by_brand(policy, programme.venue, signer or programme.audio))


def expire(programme: Programme, attempt: int = 0, holder: Account | None = None) -> ExpirePoints:
    holder = programme.customer.of(AUDIO).account if holder is None else holder
    return ExpirePoints(programme.tokens[AUDIO], holder, attempt)


# Pending awards


def test_a_pending_award_is_no_balance_until_its_time_and_then_anyone_releases_it(
    programme: Programme,
) -> None:
    assert done(programme, pending(programme, NOW + DAY)) == ["AwardPending"]
    assert programme.balance() == 0
    assert programme.ledger.supply(programme.tokens[AUDIO]) == 0
    programme.clock.now = NOW + DAY - 2
    # The check beforehand asks the newest block; the next one is stamped a second before the time.
    assert refused(programme, release(programme)) == "not-available"

    assert done(programme, release(programme)) == ["Transfer", "Awarded"]
    assert programme.balance() == 1_000

    assert refused(programme, release(programme)) == "not-pending"
    assert programme.balance() == 1_000


def test_a_pending_award_is_cancelled_before_its_time_and_never_from_it_on(
    programme: Programme,
) -> None:
    done(programme, pending(programme, NOW + DAY, name="returned"))
    done(programme, pending(programme, NOW + DAY, name="kept"))
    assert refused(programme, cancel(programme, "returned", THIEF)) == "signature-invalid"
    assert done(programme, cancel(programme, "returned")) == ["AwardCancelled"]
    assert refused(programme, cancel(programme, "returned")) == "not-pending"

    programme.clock.now = NOW + DAY - 1
    late = programme.perform(cancel(programme, "kept"))  # its block bears the time itself
    assert late.reason is not None
    assert late.reason.code == "available-already"
    assert refused(programme, release(programme, "returned")) == "not-pending"
    assert done(programme, release(programme, "kept"))
    assert programme.balance() == 1_000


def test_a_ref_is_consumed_by_a_pending_award_and_by_a_cancelled_one(programme: Programme) -> None:
    done(programme, pending(programme, NOW + DAY))
    assert refused(programme, pending(programme, 0)) == "duplicate-ref"
    done(programme, cancel(programme))
    assert refused(programme, pending(programme, 0)) == "duplicate-ref"
    assert refused(programme, many(programme, 1, name="order")) == "duplicate-ref"


def test_the_time_of_a_pending_award_is_part_of_what_is_signed(programme: Programme) -> None:
    action = pending(programme, NOW + DAY)
    sooner = AwardPoints(replace(action.award, available_at=0), action.signature)
    assert refused(programme, sooner) == "signature-invalid"


def test_what_no_entry_would_hold_and_nobody_can_release_is_not_taken(programme: Programme) -> None:
    assert refused(programme, pending(programme, NOW + DAY, amount=2**48)) == "over-limit"
    assert refused(programme, pending(programme, NOW + DAY, to=NOBODY)) == "no-recipient"
    assert refused(programme, pending(programme, 0, amount=2**96)) == "over-limit"
    assert done(programme, pending(programme, NOW + DAY, amount=2**48 - 1)) == ["AwardPending"]


def test_nothing_pending_is_nothing_to_release_or_to_cancel(programme: Programme) -> None:
    assert refused(programme, release(programme, "never")) == "not-pending"
    assert refused(programme, cancel(programme, "never")) == "not-pending"
    done(programme, pending(programme, 0))
    assert refused(programme, cancel(programme)) == "not-pending"
    assert programme.balance() == 1_000


# Batches


def test_a_batch_awards_each_of_many_once_for_its_ref(programme: Programme) -> None:
    action = many(programme, 1, 20, 300)
    assert done(programme, action) == ["Transfer"] * 3 + ["AwardedBatch"]
    assert refused(programme, action) == "duplicate-ref"
    assert refused(programme, pending(programme, 0, name="batch")) == "duplicate-ref"

    token = programme.tokens[AUDIO]
    held = [programme.ledger.balance(token, account) for account, _ in action.batch.awards]
    assert held == [1, 20, 300]
    assert programme.ledger.supply(token) == 321


def test_a_batch_is_awarded_whole_or_not_at_all(programme: Programme) -> None:
    assert refused(programme, many(programme, 5, 0, 5)) == "zero-amount"
    action = many(programme, 5, 5)
    awards = ((NOBODY, 5), *action.batch.awards)
    nobody = replace(action.batch, awards=awards)
    signature = sign_by_brand(nobody, programme.venue, programme.audio)
    assert refused(programme, AwardToMany(nobody, signature)) == "no-recipient"
    assert programme.ledger.supply(programme.tokens[AUDIO]) == 0
    assert done(programme, action)


@pytest.mark.parametrize("place", [0, 1])
def test_a_batch_changed_after_signing_is_refused(programme: Programme, place: int) -> None:
    action = many(programme, 5, 6)
    awards = list(action.batch.awards)
    awards[place] = (awards[place][0], awards[place][1] + 1)
    tampered = AwardToMany(replace(action.batch, awards=tuple(awards)), action.signature)
    assert refused(programme, tampered) == "signature-invalid"
    fewer = AwardToMany(replace(action.batch, awards=tuple(awards[:1])), action.signature)
    assert refused(programme, fewer) == "signature-invalid"


def test_a_batch_is_of_a_size_that_a_block_holds() -> None:
    account = BOARD.account
    for awards in ((), ((account, 1),) * (MAX_BATCH + 1), ((account, 2**96),), ((account, -1),)):
        with pytest.raises(Misuse):
            AwardBatch(token=account, awards=awards, ref=bytes(32))


# Refunds


def test_a_redemption_is_refunded_once_and_by_the_brand_alone(programme: Programme) -> None:
    done(programme, programme.award(1_000))
    assert refused(programme, refund(programme)) == "not-redeemed"
    done(programme, programme.redemption(400))
    assert refused(programme, refund(programme, THIEF)) == "signature-invalid"

    assert done(programme, refund(programme)) == ["Transfer", "Refunded"]
    assert programme.balance() == 1_000

    assert refused(programme, refund(programme)) == "not-redeemed"
    assert refused(programme, programme.redemption(400)) == "duplicate-redemption"
    assert programme.balance() == 1_000


# Who may award


def test_the_admin_appoints_a_hot_key_and_replaces_it(programme: Programme) -> None:
    done(programme, govern(programme, issuer=HOT_KEY.account))
    assert refused(programme, pending(programme, 0)) == "signature-invalid"
    done(programme, pending(programme, 0, signer=HOT_KEY))

    done(programme, govern(programme, issuer=BOARD.account, version=2))
    stolen = pending(programme, 0, name="theft", signer=HOT_KEY)
    assert refused(programme, stolen) == "signature-invalid"
    assert programme.balance() == 1_000


def test_the_hot_key_does_not_appoint_and_an_old_policy_does_not_return(
    programme: Programme,
) -> None:
    first = govern(programme, issuer=HOT_KEY.account)
    done(programme, first)
    itself = govern(programme, HOT_KEY, issuer=HOT_KEY.account, version=2)
    assert refused(programme, itself) == "signature-invalid"
    done(programme, govern(programme, issuer=BOARD.account, version=3))
    assert refused(programme, first) == "old-policy"
    assert refused(programme, govern(programme, version=3)) == "old-policy"


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": THIEF.account},
        {"admin": THIEF.account},
        {"earn_roots": THIEF.account},
        {"capacity": 10**12},
        {"refill_s": 1},
        {"inactivity_s": 1},
        {"is_paused": True},
        {"version": 2},
    ],
)
def test_a_policy_changed_after_signing_is_refused(
    programme: Programme, change: dict[str, object]
) -> None:
    action = govern(programme, capacity=10, refill_s=DAY, inactivity_s=YEAR)
    policy = changed(action.policy, change)
    tampered = GovernPoints(policy, action.signature, action.signature)
    assert refused(programme, tampered) == "signature-invalid"


def test_a_new_admin_accepts_so_that_none_is_lost_to_a_slip(programme: Programme) -> None:
    action = govern(programme, admin=BOARD.account)
    assert refused(programme, action) == "signature-invalid"
    acceptance = sign_by_brand(action.policy, programme.venue, BOARD)
    done(programme, GovernPoints(action.policy, action.signature, acceptance))

    assert refused(programme, govern(programme, version=2)) == "signature-invalid"
    done(programme, govern(programme, BOARD, admin=BOARD.account, version=2))


def test_a_policy_names_an_issuer_and_how_its_limit_refills(programme: Programme) -> None:
    assert refused(programme, govern(programme, issuer=NOBODY)) == "policy-incomplete"
    assert refused(programme, govern(programme, capacity=10)) == "policy-incomplete"
    done(programme, govern(programme, capacity=0, refill_s=1))
    assert refused(programme, pending(programme, 0, amount=1)) == "over-limit"


def test_a_stolen_issuer_key_awards_no_more_than_its_bucket(programme: Programme) -> None:
    done(programme, programme.award(400, order="before"))
    done(programme, programme.redemption(400))
    done(programme, govern(programme, capacity=1_000, refill_s=1_000))
    done(programme, pending(programme, 0, amount=600, name="1"))
    for theft in (
        pending(programme, 0, amount=500, name="2"),
        pending(programme, NOW + YEAR, amount=500, name="2"),
        many(programme, 250, 250),
    ):
        assert refused(programme, theft) == "over-limit"
    done(programme, refund(programme))  # 400, drawn from the bucket like an award
    assert refused(programme, pending(programme, 0, amount=100, name="3")) == "over-limit"


def test_the_bucket_refills_evenly_and_to_its_brim_alone(programme: Programme) -> None:
    done(programme, govern(programme, capacity=1_000, refill_s=100))
    done(programme, pending(programme, 0, amount=1_000, name="1"))
    start = programme.clock.now
    programme.clock.now = start + 49
    # Each is asked in a block of its own, a second after the one before: 500, 510, 520 are free.
    for amount, name in ((501, "2"), (511, "3")):
        outcome = programme.perform(pending(programme, 0, amount=amount, name=name))
        assert outcome.reason is not None
        assert outcome.reason.code == "over-limit"
    assert programme.perform(pending(programme, 0, amount=520, name="4")).reason is None
    programme.clock.now = start + 10_000
    assert programme.perform(pending(programme, 0, amount=1_001, name="5")).reason is not None
    assert programme.perform(pending(programme, 0, amount=1_000, name="6")).reason is None


def test_a_new_limit_counts_what_was_used_under_the_old(programme: Programme) -> None:
    done(programme, govern(programme, capacity=1_000, refill_s=10**6))
    done(programme, pending(programme, 0, amount=1_000, name="1"))
    done(programme, govern(programme, capacity=500, refill_s=10**6, version=2))
    assert refused(programme, pending(programme, 0, amount=1, name="2")) == "over-limit"
    done(programme, govern(programme, capacity=1_500, refill_s=10**6, version=3))
    assert refused(programme, pending(programme, 0, amount=510, name="2")) == "over-limit"
    done(programme, pending(programme, 0, amount=490, name="2"))
    # And without one it is forgotten: the next limit begins full.
    done(programme, govern(programme, version=4))
    done(programme, pending(programme, 0, amount=10**6, name="3"))
    done(programme, govern(programme, capacity=500, refill_s=10**6, version=5))
    done(programme, pending(programme, 0, amount=500, name="4"))


# Pause


def pause(programme: Programme, signer: PointsSigner, version: int) -> PauseAwards:
    it = Pause(token=programme.tokens[AUDIO], version=version)
    return PauseAwards(it, sign_by_brand(it, programme.venue, signer))


def test_a_pause_stops_what_the_issuer_signs_and_nothing_that_a_holder_does(
    programme: Programme,
) -> None:
    done(programme, programme.award(1_000))
    done(programme, pending(programme, NOW + DAY, name="due"))
    done(programme, programme.redemption(100, redemption_id=b"r" * 32))
    assert done(programme, pause(programme, programme.audio, 0)) == ["Paused"]

    for stopped in (
        pending(programme, 0, name="new"),
        pending(programme, NOW + YEAR, name="new"),
        many(programme, 1),
        refund(programme),
    ):
        assert refused(programme, stopped) == "awards-paused"

    done(programme, programme.redemption(100, redemption_id=b"q" * 32))
    done(programme, programme.swap(100))
    programme.clock.now = NOW + DAY
    done(programme, release(programme, "due"))  # It was due: no pause withholds it.
    assert programme.balance() == 1_000 - 300 + 1_000


def test_the_hot_key_pauses_and_only_the_admin_goes_on(programme: Programme) -> None:
    done(programme, govern(programme, issuer=HOT_KEY.account))
    stop = pause(programme, HOT_KEY, 1)
    done(programme, stop)
    goes_on = govern(programme, HOT_KEY, issuer=HOT_KEY.account, version=2)
    assert refused(programme, goes_on) == "signature-invalid"
    done(programme, govern(programme, issuer=HOT_KEY.account, version=2))
    done(programme, pending(programme, 0, signer=HOT_KEY))
    # The signature of the last pause stops nothing a second time.
    assert refused(programme, stop) == "signature-invalid"
    assert refused(programme, pause(programme, THIEF, 2)) == "signature-invalid"
    done(programme, pause(programme, programme.audio, 2))


# Expiry


def test_points_never_expire_unless_a_rule_stood_before_the_first(programme: Programme) -> None:
    assert refused(programme, expire(programme)) == "no-expiry"
    done(programme, programme.award())
    for window in (1, YEAR, 100 * YEAR):
        later = govern(programme, inactivity_s=window)
        assert refused(programme, later) == "expiry-shortened"


def test_even_a_pending_award_or_the_other_side_of_an_exchange_fixes_the_rule(
    programme: Programme,
) -> None:
    done(programme, pending(programme, NOW + DAY))
    assert refused(programme, govern(programme, inactivity_s=YEAR)) == "expiry-shortened"
    done(programme, programme.award(order="2"))
    done(programme, programme.swap(100))
    policy = Policy(
        token=programme.tokens[BICYCLE],
        admin=programme.bicycle.account,
        issuer=programme.bicycle.account,
        version=1,
        inactivity_s=YEAR,
    )
    signature = sign_by_brand(policy, programme.venue, programme.bicycle)
    assert refused(programme, GovernPoints(policy, signature)) == "expiry-shortened"


def test_a_window_may_only_lengthen(programme: Programme) -> None:
    done(programme, govern(programme, inactivity_s=2 * YEAR))
    done(programme, govern(programme, inactivity_s=YEAR, version=2))  # Nothing is earned yet.
    done(programme, programme.award())
    shorter = govern(programme, inactivity_s=YEAR - 1, version=3)
    assert refused(programme, shorter) == "expiry-shortened"
    done(programme, govern(programme, inactivity_s=YEAR + 1, version=3))
    back = govern(programme, inactivity_s=YEAR, version=4)
    assert refused(programme, back) == "expiry-shortened"
    done(programme, govern(programme, inactivity_s=0, version=4))
    again = govern(programme, inactivity_s=100 * YEAR, version=5)
    assert refused(programme, again) == "expiry-shortened"


def test_points_expire_after_the_whole_window_and_not_a_second_sooner(
    programme: Programme,
) -> None:
    done(programme, govern(programme, inactivity_s=YEAR))
    done(programme, programme.award(1_000))
    earned_at = programme.clock.now
    programme.clock.now = earned_at + YEAR - 2
    assert refused(programme, expire(programme)) == "still-active"
    # The refusal's own block was the last second; the next is the first of the time after.
    assert done(programme, expire(programme, 1)) == ["Transfer", "Expired"]
    assert programme.balance() == 0
    assert programme.ledger.supply(programme.tokens[AUDIO]) == 0


@pytest.mark.parametrize("activity", ["award", "release", "redeem", "exchange", "refund"])
def test_what_a_customer_does_or_earns_begins_the_window_anew(
    programme: Programme, activity: str
) -> None:
    done(programme, govern(programme, inactivity_s=YEAR))
    done(programme, programme.award(1_000))
    done(programme, pending(programme, NOW + DAY, name="due"))
    if activity == "refund":
        done(programme, programme.redemption(10))
    late = NOW + YEAR - DAY
    programme.clock.now = late
    actions: dict[str, Action] = {
        "award": programme.award(order="2"),
        "release": release(programme, "due"),
        "redeem": programme.redemption(10, deadline=NOW + YEAR),
        "exchange": programme.swap(10, deadline=NOW + YEAR),
        "refund": refund(programme),
    }
    if activity == "exchange":
        done(programme, programme.terms(version=2, ends_at=NOW + 2 * YEAR))
        actions["exchange"] = programme.swap(10, deadline=NOW + YEAR, version=2)
    done(programme, actions[activity])
    programme.clock.now = late + YEAR - DAY
    assert refused(programme, expire(programme)) == "still-active"
    programme.clock.now = late + YEAR + DAY
    done(programme, expire(programme, 1))
    assert programme.balance() == 0


def test_the_window_of_a_stranger_begins_when_it_is_first_asked_for(programme: Programme) -> None:
    done(programme, govern(programme, inactivity_s=YEAR))
    assert done(programme, expire(programme)) == ["InactivityBegan"]
    assert refused(programme, expire(programme, 1)) == "still-active"
    programme.clock.now += YEAR
    assert done(programme, expire(programme, 2)) == ["Transfer", "Expired"]
    # An account that has expired starts as a stranger again.
    assert done(programme, expire(programme, 3)) == ["InactivityBegan"]


# What only a chain has: accounts that are contracts, calls by strangers, transfers


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[EmbeddedChain]:
    chain = EmbeddedChain(tmp_path / "chain.sqlite3", now=NOW, random=seeded("chain"))
    yield chain
    chain.close()


def on(chain: EmbeddedChain, clock: Clock) -> Programme:
    return programme_on(EmbeddedChainLedger(chain), clock).open()


def test_a_smart_account_is_an_issuer_until_it_signs_no_more(
    chain: EmbeddedChain, clock: Clock
) -> None:
    programme, bench = on(chain, clock), Workbench(chain)
    wallet = bench.deploy("ContractWallet", HOT_KEY.account)
    clock.now = chain.time()
    done(programme, govern(programme, issuer=Account(wallet.address)))
    done(programme, pending(programme, 0, signer=HOT_KEY))
    assert refused(programme, pending(programme, 0, name="2", signer=THIEF)) == "signature-invalid"
    assert programme.balance() == 1_000

    bench.call(wallet, "lock")
    clock.now = chain.time()
    assert (
        refused(programme, pending(programme, 0, name="3", signer=HOT_KEY)) == "signature-invalid"
    )


def test_a_smart_account_is_an_admin_and_a_customer(chain: EmbeddedChain, clock: Clock) -> None:
    programme, bench = on(chain, clock), Workbench(chain)
    wallet = bench.deploy("ContractWallet", BOARD.account)
    clock.now = chain.time()
    smart = Account(wallet.address)
    first = govern(programme, admin=smart)
    acceptance = sign_by_brand(first.policy, programme.venue, BOARD)
    done(programme, GovernPoints(first.policy, first.signature, acceptance))
    done(programme, govern(programme, BOARD, admin=smart, version=2))

    done(programme, pending(programme, 0, to=smart))
    redemption = programme.redemption(100, holder=smart).redemption
    signature = sign_by_customer(redemption, programme.venue, BOARD)
    done(programme, RedeemPoints(redemption, signature))
    assert programme.ledger.balance(programme.tokens[AUDIO], smart) == 900


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (("exchangeMint", THIEF.account, 1), "OnlyExchange(address)"),
        (
            ("exchangeBurn", THIEF.account, 1, 2**40, bytes(32), b""),
            "OnlyExchange(address)",
        ),
        (("reserve", 1), "OnlyEarnRoots(address)"),
        (("earn", THIEF.account, 1), "OnlyEarnRoots(address)"),
    ],
)
def test_a_stranger_mints_and_burns_nothing(
    chain: EmbeddedChain, clock: Clock, call: tuple[Any, ...], error: str
) -> None:
    programme, bench = on(chain, clock), Workbench(chain)
    token = bench.at("BrandPoints", programme.tokens[AUDIO])
    name, *arguments = call
    with pytest.raises(ContractCustomError) as refusal:
        bench.read(token, name, *arguments)
    assert str(refusal.value.data)[2:10] == keccak256(error.encode())[:4].hex()


def test_a_transfer_stamps_nobody_and_what_was_only_received_has_its_whole_window(
    chain: EmbeddedChain, clock: Clock
) -> None:
    programme, bench = on(chain, clock), Workbench(chain)
    token = bench.at("BrandPoints", programme.tokens[AUDIO])
    done(programme, govern(programme, inactivity_s=YEAR))
    done(programme, pending(programme, 0, to=Account(chain.relayer)))
    friend = PointsSigner(b"\x33" * 32).account
    earned_at = bench.read(token, "activeAt", chain.relayer)
    receipt = bench.call(token, "transfer", friend, 400)
    assert receipt["status"] == 1
    assert bench.read(token, "activeAt", chain.relayer) == earned_at
    assert bench.read(token, "activeAt", friend) == 0

    clock.now = chain.time() + YEAR
    assert done(programme, expire(programme, 0, friend)) == ["InactivityBegan"]
    assert refused(programme, expire(programme, 1, friend)) == "still-active"
    assert programme.ledger.balance(programme.tokens[AUDIO], friend) == 400
    assert done(programme, expire(programme, 0, Account(chain.relayer)))[-1] == "Expired"


def test_the_whole_state_is_rebuilt_from_the_events(chain: EmbeddedChain, clock: Clock) -> None:
    programme, bench = on(chain, clock), Workbench(chain)
    token = bench.at("BrandPoints", programme.tokens[AUDIO])
    for action in (
        govern(
            programme, capacity=10_000, refill_s=10**6, inactivity_s=YEAR, issuer=HOT_KEY.account
        ),
        pending(programme, 0, name="given", signer=HOT_KEY),
        pending(programme, NOW + DAY, name="waits", signer=HOT_KEY),
        pending(programme, NOW + DAY, name="cancelled", signer=HOT_KEY),
        cancel(programme, "cancelled", HOT_KEY),
        programme.redemption(300),
        refund(programme, HOT_KEY),
        programme.redemption(50, redemption_id=b"q" * 32),
        pause(programme, HOT_KEY, 1),
    ):
        done(programme, action)

    policy: dict[str, str | int] = {}
    entries: dict[str, int] = {}
    redeemed: dict[str, int] = {}
    balances: dict[str, int] = defaultdict(int)
    stamps: dict[str, int] = {}
    for number in range(programme.ledger.head() + 1):
        block = programme.ledger.block(number)
        for event in block.events:
            it: Any = event.values
            match event.name:
                case "Governed":
                    policy = dict(it)
                case "Paused":
                    policy["paused"] = 1
                case "AwardPending" | "Awarded" | "AwardCancelled":
                    entries[it["ref"]] = {"AwardPending": 1, "Awarded": 2, "AwardCancelled": 3}[
                        event.name
                    ]
                case "Redeemed":
                    redeemed[it["id"]] = it["amount"]
                case "Refunded":
                    redeemed[it["id"]] = 2**256 - 1
                case "Transfer":
                    balances[it["from"]] -= it["value"]
                    balances[it["to"]] += it["value"]
                case _:
                    pass
            for who in (it.get("to"), it.get("holder")):
                if event.name in {"Awarded", "Redeemed", "Refunded"} and who:
                    stamps[who] = block.at

    holder = programme.customer.of(AUDIO).account
    kept = bench.read(token, "policy")
    assert kept == tuple(policy[name] for name in _POLICY_FIELDS)
    assert {ref: bench.read(token, "entries", bytes.fromhex(ref))[0] for ref in entries} == entries
    assert sorted(entries.values()) == [1, 2, 3]
    assert {
        name: bench.read(token, "redeemed", holder, bytes.fromhex(name)) for name in redeemed
    } == redeemed
    assert bench.read(token, "balanceOf", holder) == balances[holder] == 950
    assert bench.read(token, "activeAt", holder) == stamps[holder]
    assert bench.read(token, "totalSupply") == -balances[NOBODY]


_POLICY_FIELDS = (
    "admin",
    "issuer",
    "earnRoots",
    "capacity",
    "refill",
    "inactivity",
    "paused",
    "version",
)
