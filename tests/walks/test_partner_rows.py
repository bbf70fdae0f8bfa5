"""What the product's rows promise of earning (F1) and of brands that cooperate (F13)."""

from contextlib import closing
from pathlib import Path

from counterfoil_loyalty.actions import AcknowledgePayment, Action, SwapPoints, TightenCorridor
from counterfoil_loyalty.chain import embedded_ledger
from counterfoil_loyalty.claims import Acknowledgement
from counterfoil_loyalty.corridors import Tightening
from counterfoil_loyalty.indexer import project
from counterfoil_loyalty.intents import sign_by_brand
from counterfoil_loyalty.rates import Limits, Rate
from counterfoil_loyalty.relayer import Relayer
from counterfoil_loyalty.sql_outbox import METADATA
from counterfoil_loyalty.sql_store import SCHEMA_VERSION, SqlStore
from counterfoil_loyalty.statements import draw_up
from counterfoil_service.sql import Database

from tests.loyalty.programme import AUDIO, BICYCLE, DAY, NOW, Clock, Programme, programme_on, seeded

NOTICE = 7 * DAY


def code(programme: Programme, action: Action) -> str | None:
    reason = programme.perform(action).reason
    return None if reason is None else reason.code


def test_row_F1_a_purchase_mints_once_and_is_seen_with_the_next_block(  # noqa: N802
    tmp_path: Path,
) -> None:
    clock = Clock()
    with closing(
        embedded_ledger(tmp_path / "chain.sqlite3", now=NOW, random=seeded("chain"))
    ) as chain:
        programme = programme_on(chain, clock)
        database = Database.open(tmp_path / "points.sqlite3", METADATA, version=SCHEMA_VERSION)
        store = SqlStore(database)
        relayer = Relayer(chain, store)
        relayer.start()
        relayer.accept(programme.registration(AUDIO))
        clock.advance(1)
        assert relayer.turn(clock.now)
        programme.tokens |= {brand.brand: brand.token for brand in store.brands()}
        award, head = programme.award(1_000), chain.head()
        account, token = programme.customer.of(AUDIO).account, programme.tokens[AUDIO]

        # The shop's till sends it three times before the block, and once more after it.
        placed = [relayer.accept(award).transaction for _ in range(3)]
        clock.advance(1)
        assert relayer.turn(clock.now)
        assert chain.head() == head + 1
        assert store.balances(account) == {token: 1_000}
        placed.append(relayer.accept(award).transaction)
        clock.advance(1)
        relayer.turn(clock.now)
        # Nor does a service that has forgotten everything mint it again.
        assert code(programme, award) == "duplicate-ref"
        relayer.turn(clock.now)

        assert {it.transaction_id for it in placed} == {placed[0].transaction_id}
        assert store.balances(account) == {token: 1_000}
        assert chain.balance(token, account) == chain.supply(token) == 1_000
        database.close()


def test_row_F13_partners_agree_limits_settle_and_part_and_points_outlast_them(  # noqa: N802
    tmp_path: Path,
) -> None:
    with closing(
        embedded_ledger(tmp_path / "chain.sqlite3", now=NOW, random=seeded("chain"))
    ) as chain:
        programme = programme_on(chain, Clock()).open()
        limits = Limits(quota=500, customer_quota=300, notice_s=NOTICE)
        agreed = programme.terms(
            BICYCLE, AUDIO, rate=Rate(1, 2), ends_at=NOW + 90 * DAY, limits=limits
        )
        assert code(programme, agreed) is None
        assert code(programme, programme.award(10_000, brand=BICYCLE)) is None
        later = NOW + 60 * DAY

        def swap(amount: int, number: int) -> SwapPoints:
            swap_id = number.to_bytes(32, "big")
            return programme.swap(amount, BICYCLE, AUDIO, deadline=later, swap_id=swap_id)

        # The limits hold.
        assert code(programme, swap(301, 1)) == "customer-quota-exceeded"
        assert code(programme, swap(200, 2)) is None

        # What is owed is stated, paid and stated again.
        def owed() -> int:
            blocks = [chain.block(number) for number in range(chain.head() + 1)]
            brands = {it.brand: it for block in blocks for it in project(block).brands}
            return draw_up(
                blocks,
                programme.venue.clearing,
                debtor=brands[BICYCLE],
                creditor=brands[AUDIO],
                since=0,
                until=chain.head(),
            ).closing

        debt = owed()
        assert debt > 0
        paid = Acknowledgement(
            debtor=programme.tokens[BICYCLE],
            creditor=programme.tokens[AUDIO],
            value=debt,
            ref=b"p" * 32,
        )
        signature = sign_by_brand(paid, programme.venue, programme.audio)
        assert code(programme, AcknowledgePayment(paid, signature)) is None
        assert owed() == 0

        # One brand leaves: not before the notice that both agreed.
        def leave(ends_at: int) -> TightenCorridor:
            tightening = Tightening(
                by=programme.tokens[AUDIO],
                token_in=programme.tokens[BICYCLE],
                token_out=programme.tokens[AUDIO],
                paused=False,
                sequence=0,
                ends_at=ends_at,
            )
            signed = sign_by_brand(tightening, programme.venue, programme.audio)
            return TightenCorridor(tightening, signed)

        given_at = programme.clock.now
        assert code(programme, leave(given_at + NOTICE - DAY)) == "too-soon"
        last = given_at + NOTICE + DAY
        assert code(programme, leave(last)) is None
        programme.clock.now = last - DAY
        assert code(programme, swap(200, 3)) is None
        programme.clock.now = last + DAY
        assert code(programme, swap(200, 4)) == "no-corridor"
        # Points of both brands are there still, and redeemed with their own brand.
        held = {BICYCLE: 9_600, AUDIO: 200}
        for brand, units in held.items():
            assert programme.balance(brand) == units
            assert code(programme, programme.redemption(units, brand, deadline=later)) is None
            assert programme.balance(brand) == 0
