"""The points service's machinery on a real node: every award exactly once, whatever happens."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
from counterfoil_credentials.errors import Misuse, Refused, Unavailable
from counterfoil_credentials.fetch import MAX_BYTES, Fetcher, Response
from counterfoil_credentials.spec import JSON_MEDIA_TYPE
from counterfoil_loyalty.accounts import PointsSigner
from counterfoil_loyalty.actions import FillTrade
from counterfoil_loyalty.evm_ledger import EvmLedger
from counterfoil_loyalty.indexer import Indexer
from counterfoil_loyalty.nodes import Nodes
from counterfoil_loyalty.relayer import Patience, Relayer
from counterfoil_loyalty.rpc import RpcNode
from counterfoil_loyalty.service import Awarded, PointsService
from counterfoil_loyalty.sql_outbox import METADATA
from counterfoil_loyalty.sql_store import SCHEMA_VERSION, SqlStore
from counterfoil_loyalty.store import CANCELLED, MemoryStore, PointsStore
from counterfoil_loyalty.trades import Trade, sign_trade
from counterfoil_service.sql import Database

from tests.loyalty.anvil import RELAYER_KEY, Anvil, anvil, fetcher, ledger_on
from tests.loyalty.doomed_relayer import MOMENTS
from tests.loyalty.programme import AUDIO, BICYCLE, Clock, Programme, programme_on
from tests.loyalty.test_reorg import everything

pytestmark = [pytest.mark.loopback, pytest.mark.once]

DEPTH = 6


@dataclass
class Works:
    """A node, a relayer over it with its outbox on a disk, and the programme's signers."""

    anvil: Anvil
    programme: Programme
    open_store: Callable[[], PointsStore]
    stack: ExitStack
    patience: Patience = field(default_factory=Patience)
    fee_cap_wei: int = 10**12

    def __post_init__(self) -> None:
        self.anvil.endow()
        self.start()

    def ledger(self, key: bytes = RELAYER_KEY) -> EvmLedger:
        exchange = None if key == RELAYER_KEY else self.programme.ledger.identity.exchange
        ledger = ledger_on([self.anvil], key=key, exchange=exchange, fee_cap_wei=self.fee_cap_wei)
        self.stack.callback(ledger.close)
        return ledger

    def start(self) -> None:
        """Begin afresh over the same outbox, as after a crash."""
        self.store = self.open_store()
        ledger = self.ledger()
        self.programme.ledger = ledger  # type: ignore[assignment]  # only its identity is used
        self.relayer = Relayer(ledger, self.store, patience=self.patience)
        self.relayer.start()

    def open(self) -> None:
        self.settle()
        for brand in (AUDIO, BICYCLE):
            self.relayer.accept(self.programme.registration(brand))
        self.settle()
        self.programme.tokens |= {it.brand: it.token for it in self.store.brands()}
        self.relayer.accept(self.programme.terms())
        self.settle()

    def turn(self, after_s: int = 1) -> None:
        self.programme.clock.advance(after_s)
        self.relayer.turn(self.programme.clock.now)

    def settle(self) -> None:
        """Mine and turn until nothing waits."""
        for _ in range(40):
            self.turn()
            if self.relayer.is_idle():
                return
            self.anvil.mine()
        pytest.fail("some entries found no block")

    def award(self, order: str, units: int = 100) -> str:
        action = self.programme.award(units, order)
        self.relayer.accept(action)
        return action.key

    def minted(self) -> dict[str, int]:
        """Give how often each ref was minted, from a replay of the chain from its beginning."""
        found: dict[str, int] = {}
        ledger = self.ledger()
        ledger.watch(list(self.programme.tokens.values()))
        for number in range(ledger.head() + 1):
            for event in ledger.block(number).events:
                if event.name == "Awarded":
                    ref = str(event.values["ref"])
                    found[ref] = found.get(ref, 0) + 1
        return found

    def require_exactly_once(self, orders: int) -> None:
        assert list(self.minted().values()) == [1] * orders
        replayed = MemoryStore()
        Indexer(self.ledger(), replayed).catch_up()
        assert everything(self.store, self.programme) == everything(replayed, self.programme)
        account = self.programme.customer.of(AUDIO).account
        assert self.store.balances(account) == {self.programme.tokens[AUDIO]: 100 * orders}


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Works]]:
    with ExitStack() as stack:

        def opened() -> PointsStore:
            where = tmp_path / "points.sqlite3"
            database = Database.open(where, METADATA, version=SCHEMA_VERSION)
            stack.callback(database.close)
            return SqlStore(database)

        def made(
            *options: str,
            patience: Patience | None = None,
            cap: int = 10**12,
            is_open: bool = True,
        ) -> Works:
            node = stack.enter_context(anvil("--no-mining", *options))
            programme = programme_on(None, Clock())  # type: ignore[arg-type]  # set at the start
            works = Works(node, programme, opened, stack, patience or Patience(), cap)
            if is_open:
                works.open()
            return works

        yield made


@pytest.mark.parametrize("depth", range(1, DEPTH + 1))
def test_a_reorg_of_any_depth_leaves_every_award_minted_exactly_once(
    make: Callable[..., Works], depth: int
) -> None:
    works = make()
    for order in range(DEPTH):
        works.award(f"{order}")
        works.anvil.mine()
        works.turn()
    assert works.relayer.is_idle()

    works.anvil.do("anvil_reorg", depth, [])
    works.turn()
    assert not works.relayer.is_idle()  # what was lost waits again
    works.award("after")
    works.settle()

    works.require_exactly_once(DEPTH + 1)


@pytest.mark.parametrize("depth", range(1, DEPTH + 1))
def test_row_F4_a_trade_that_is_taken_back_is_made_again_and_never_by_half(  # noqa: N802
    make: Callable[..., Works], depth: int
) -> None:
    works = make()
    programme, tokens = works.programme, works.programme.tokens
    maker, taker = programme.customer.of(AUDIO), PointsSigner(b"\x42" * 32)
    works.award("maker")
    works.relayer.accept(programme.award(100, "taker", brand=BICYCLE, to=taker.account))
    works.settle()
    trade = Trade(
        maker=maker.account,
        maker_receives=programme.customer.of(BICYCLE).account,
        given=tokens[AUDIO],
        amount_given=40,
        taker=taker.account,
        taker_receives=PointsSigner(b"\x43" * 32).account,
        taken=tokens[BICYCLE],
        amount_taken=90,
        deadline=programme.clock.now + 86_400,
        trade_id=b"t" * 32,
    )
    signatures = sign_trade(trade, programme.venue, maker=maker, taker=taker)
    works.relayer.accept(FillTrade(trade, *signatures))
    for order in range(depth):
        works.anvil.mine()
        works.turn()
        works.award(f"behind {order}")
    # Each side in its own points: what it had, and what the other received.
    whole, none = [60, 40, 10, 90], [100, 0, 100, 0]

    def held() -> list[int]:
        ledger = works.ledger()
        return [
            ledger.balance(tokens[AUDIO], trade.maker) - 100 * len(works.minted()) + 200,
            ledger.balance(tokens[AUDIO], trade.taker_receives),
            ledger.balance(tokens[BICYCLE], trade.taker),
            ledger.balance(tokens[BICYCLE], trade.maker_receives),
        ]

    assert held() == whole
    works.anvil.do("anvil_reorg", depth, [])
    assert held() == none
    works.turn()
    assert not works.relayer.is_idle()
    works.settle()

    assert held() == whole
    filled = [
        event
        for number in range(works.ledger().head() + 1)
        for event in works.ledger().block(number).events
        if event.name == "Filled"
    ]
    assert len(filled) == 1
    replayed = MemoryStore()
    Indexer(works.ledger(), replayed).catch_up()
    assert everything(works.store, programme) == everything(replayed, programme)
    with pytest.raises(Refused) as refusal:
        Relayer(works.ledger(), MemoryStore()).accept(FillTrade(trade, *signatures))
    assert refusal.value.codes == ["intent-used"]


def test_a_reorg_while_nobody_looks_is_found_by_the_next_run(make: Callable[..., Works]) -> None:
    works = make()
    for order in range(4):
        works.award(f"{order}")
        works.anvil.mine()
        works.turn()
    works.anvil.do("anvil_reorg", 3, [])
    works.anvil.mine()

    works.start()
    works.settle()

    works.require_exactly_once(4)


def test_a_chain_cut_short_is_filled_again(make: Callable[..., Works]) -> None:
    works = make()
    for order in range(4):
        works.award(f"{order}")
        works.anvil.mine()
        works.turn()
    works.anvil.do("anvil_rollback", 3)
    works.anvil.mine()  # another block where ours was
    works.settle()
    works.require_exactly_once(4)


def test_three_relayers_at_once_over_one_outbox_mint_each_award_once(
    make: Callable[..., Works],
) -> None:
    works = make()
    keys = [RELAYER_KEY, b"\x32" * 32, b"\x33" * 32]
    relayers = [works.relayer]
    for key in keys[1:]:
        works.anvil.endow(PointsSigner(key).account)
        relayers.append(Relayer(works.ledger(key), works.open_store()))
        relayers[-1].start()
    actions = [works.programme.award(100, str(order)) for order in range(20)]

    def relay(number: int) -> None:
        for action in actions[number * 3 :] + actions[: number * 3]:
            relayers[number].accept(action)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(relay, range(3)))
    for _ in range(6):
        works.anvil.mine()
        works.programme.clock.advance(1)
        for relayer in relayers:
            relayer.turn(works.programme.clock.now)

    assert all(relayer.is_idle() for relayer in relayers)
    works.require_exactly_once(20)


def test_three_relayers_with_outboxes_of_their_own_mint_each_award_once(
    make: Callable[..., Works],
) -> None:
    works = make()
    relayers, stores = [works.relayer], [works.store]
    for key in (b"\x32" * 32, b"\x33" * 32):
        works.anvil.endow(PointsSigner(key).account)
        stores.append(MemoryStore())
        relayers.append(Relayer(works.ledger(key), stores[-1]))
        relayers[-1].start()
    actions = [works.programme.award(100, str(order)) for order in range(12)]

    def relay(relayer: Relayer) -> None:
        for action in actions:
            relayer.accept(action)  # Each passes its check: none is in a block yet.

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(relay, relayers))
    for _ in range(6):
        works.anvil.mine()
        works.programme.clock.advance(1)
        for relayer in relayers:
            relayer.turn(works.programme.clock.now)

    assert all(relayer.is_idle() for relayer in relayers)
    works.require_exactly_once(12)
    for relayer, store in zip(relayers, stores, strict=True):
        # Two of the three saw it fail: the ledger's word is the answer all the same.
        clock = works.programme.clock
        service = PointsService(relayer, store, clock, voucher_secret=bytes(32), patience_s=0)
        for action in actions:
            assert isinstance(service.award(action.award, action.signature), Awarded)
    for action in actions:
        with pytest.raises(Refused) as refusal:
            Relayer(works.ledger(), MemoryStore()).accept(action)
        assert refusal.value.codes == ["duplicate-ref"]


def test_a_stuck_transaction_is_outbid_and_mined_once(make: Callable[..., Works]) -> None:
    works = make(patience=Patience(stuck_after_s=10, raises=3))
    key = works.award("1")
    for _ in range(3):
        works.turn(after_s=5)
    entry = works.store.placed(key)
    assert entry is not None
    assert len(entry.attempts) == 2
    works.settle()
    works.require_exactly_once(1)
    entry = works.store.placed(key)
    assert entry is not None
    assert entry.outcome is not None
    assert entry.outcome.reason is None


def test_what_finds_no_block_is_given_up_and_may_be_asked_for_again(
    make: Callable[..., Works],
) -> None:
    works = make(patience=Patience(stuck_after_s=1, raises=1))
    key = works.award("1")
    for _ in range(4):
        works.turn(after_s=2)
    works.settle()
    entry = works.store.placed(key)
    assert entry is not None
    assert entry.outcome is not None
    assert entry.outcome.reason is not None
    assert entry.outcome.reason.code == CANCELLED
    assert works.minted() == {}

    works.relayer = Relayer(works.ledger(), works.store)
    works.relayer.start()
    works.award("1")
    works.settle()
    works.require_exactly_once(1)


@pytest.mark.parametrize("cap", [2_100_000_000, 10**12])
def test_a_contract_whose_place_is_its_number_is_never_given_up(
    make: Callable[..., Works], cap: int
) -> None:
    works = make(patience=Patience(stuck_after_s=1, raises=1), cap=cap, is_open=False)
    for _ in range(6):
        works.turn(after_s=2)
    works.open()
    works.award("1")
    works.settle()
    works.require_exactly_once(1)


def test_a_number_that_another_process_took_is_replaced(make: Callable[..., Works]) -> None:
    """Two services with one key and an outbox each: a mistake, and still no award is lost."""
    works = make()
    other = works.ledger()
    sequence = other.sequence()
    foreign = other.sign(works.programme.award(100, "other"), sequence)
    other.send(foreign)
    works.award("1")  # under the same number; the node keeps the other one
    for _ in range(14):
        works.anvil.mine()
        works.turn()
    works.settle()
    works.require_exactly_once(2)


@pytest.mark.parametrize("moment", MOMENTS)
def test_kill_9_at_any_moment_of_the_outbox_loses_no_award_and_mints_none_twice(
    make: Callable[..., Works], tmp_path: Path, moment: str
) -> None:
    works = make()
    actions = [works.programme.award(100, str(order)) for order in range(3)]
    database = str(tmp_path / "points.sqlite3")
    said = pickle.dumps(actions).hex()
    command = [sys.executable, "-m", "tests.loyalty.doomed_relayer"]
    ended = subprocess.run(
        [*command, works.anvil.url, database, moment, said],
        cwd=Path(__file__).parents[2],
        timeout=60,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL

    works.start()
    for action in actions:  # whoever got no answer asks again
        works.relayer.accept(action)
    works.settle()
    for action in actions:
        assert works.relayer.accept(action).outcome is not None

    works.require_exactly_once(3)


class Stumbling(Fetcher):
    """A way to a node that breaks off: before the node hears, or after, or never."""

    def __init__(self, url: str, random: Random) -> None:
        self._through = fetcher(url)
        self._random = random
        self.share = 0.0
        self.broken = 0

    def get(self, *_: object, **__: object) -> Response:
        raise Misuse("expected a node to be asked by POST, found GET")

    def post(
        self,
        url: str,
        body: bytes,
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        accept: str = JSON_MEDIA_TYPE,
        max_bytes: int = MAX_BYTES,
    ) -> Response:
        breaks = self._random.random() < self.share
        self.broken += breaks
        if breaks and self._random.random() < 0.5:
            raise Unavailable("the line broke before the node heard")
        response = self._through.post(url, body, media_type=media_type, max_bytes=max_bytes)
        if breaks:
            raise Unavailable("the line broke before the node's answer")
        return response


def test_lines_that_break_in_the_middle_of_a_call_lose_no_award_and_double_none(
    make: Callable[..., Works],
) -> None:
    works = make()
    url = works.anvil.url
    lines = [Stumbling(url, Random(seed)) for seed in range(3)]
    time = iter(range(10**6))
    nodes = Nodes([RpcNode(line, url) for line in lines], clock=lambda: float(next(time)))
    ledger = EvmLedger(nodes, relayer_key=RELAYER_KEY, finality=8)
    works.stack.callback(ledger.close)
    works.relayer = Relayer(ledger, works.store)
    works.relayer.start()
    for line in lines:
        line.share = 0.3

    actions = [works.programme.award(100, str(order)) for order in range(20)]
    waiting = list(actions)
    for _ in range(300):
        try:
            if waiting:
                works.relayer.accept(waiting[0])
                waiting.pop(0)
            works.turn()
            if not waiting and works.relayer.is_idle():
                break
        except Unavailable:
            continue  # the caller tries again, and so does the ticker
        works.anvil.mine()
    assert not waiting
    assert works.relayer.is_idle()
    assert min(line.broken for line in lines) > 3

    works.require_exactly_once(20)


@pytest.mark.parametrize("awards", [30, pytest.param(1_000, marks=pytest.mark.soak)])
def test_awards_that_come_many_times_at_once_are_minted_once_each(
    make: Callable[..., Works], awards: int, soak_count: Callable[[int], int]
) -> None:
    works = make("--gas-limit", "300000000")
    count = soak_count(awards) if awards > 30 else awards
    actions = [works.programme.award(100, str(order)) for order in range(count)]
    second = Relayer(works.ledger(), works.open_store())  # the same key, the same outbox
    second.start()

    def send(number: int) -> None:
        relayer = (works.relayer, second)[number % 2]
        for action in actions[number * 7 :] + actions[: number * 7]:
            relayer.accept(action)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(8)))
    works.settle()

    works.require_exactly_once(count)


@pytest.mark.parametrize("width", [1, 3, 1_000])
def test_final_blocks_are_read_by_ranges_of_any_width(
    make: Callable[..., Works], width: int
) -> None:
    works = make()
    for order in range(6):
        works.award(f"{order}")
        works.anvil.mine()
        if order % 2:
            works.anvil.mine()
        works.turn()
    for _ in range(10):
        works.anvil.mine()
    works.turn()
    ledger = works.ledger()
    vars(ledger)["_width"] = width
    replayed = MemoryStore()
    Indexer(ledger, replayed).catch_up()
    assert everything(replayed, works.programme) == everything(works.store, works.programme)
    assert replayed.final() == works.store.final() > 6
