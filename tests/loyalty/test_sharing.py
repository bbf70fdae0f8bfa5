"""Many callers at once are served together, and one customer cannot use up what all share."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from counterfoil_credentials.errors import Misuse, Refused
from counterfoil_loyalty.accounts import Account, PointsSigner
from counterfoil_loyalty.combine import MOST, Combiner
from counterfoil_loyalty.customer_limit import TOO_MANY, CustomerLimit
from counterfoil_loyalty.memory_ledger import MemoryLedger
from counterfoil_loyalty.relayer import Relayer
from counterfoil_loyalty.store import MemoryStore

from tests.loyalty.programme import AUDIO, BICYCLE, NOW, Clock, Programme, programme_on, seeded

ONE, OTHER = (PointsSigner(bytes([number]) * 32).account for number in (1, 2))


def test_who_comes_while_work_goes_on_is_served_with_the_others() -> None:
    begun, go_on = Event(), Event()
    served: list[list[int]] = []

    def work(numbers: Sequence[int]) -> list[int | Exception]:
        served.append(list(numbers))
        begun.set()
        assert go_on.wait(10)
        return [number * 2 for number in numbers]

    combiner = Combiner(work)
    with ThreadPoolExecutor(21) as pool:
        first = pool.submit(combiner.do, 0)
        assert begun.wait(10)
        rest = [pool.submit(combiner.do, number) for number in range(1, 21)]
        while len(vars(combiner)["_waiting"]) < 20:
            pass
        go_on.set()
        assert [future.result(10) for future in (first, *rest)] == list(range(0, 42, 2))
    assert served[0] == [0]
    assert sorted(served[1]) == list(range(1, 21))


def test_each_caller_gets_its_own_answer_or_its_own_error() -> None:
    def work(numbers: Sequence[int]) -> list[int | Exception]:
        return [number if number % 2 else Misuse(str(number)) for number in numbers]

    combiner = Combiner(work)

    def ask(number: int) -> object:
        try:
            return combiner.do(number)
        except Misuse as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(3 * MOST)))
    assert found == [number if number % 2 else str(number) for number in range(3 * MOST)]


def test_a_piece_of_work_that_fails_is_told_to_everybody_in_it() -> None:
    def work(numbers: Sequence[int]) -> list[int | Exception]:
        raise Misuse("all of it")

    combiner = Combiner(work)
    for _ in range(2):
        with pytest.raises(Misuse, match="all of it"):
            combiner.do(1)


def test_an_account_has_its_share_and_gets_it_back_evenly() -> None:
    clock = Clock()
    limit = CustomerLimit(most=3, per_s=60, clock=clock)
    for _ in range(3):
        limit.take(ONE)
    with pytest.raises(Refused) as refusal:
        limit.take(ONE)
    assert refusal.value.codes == [TOO_MANY]
    limit.take(OTHER)

    clock.advance(19)
    with pytest.raises(Refused):
        limit.take(ONE)
    clock.advance(1)
    limit.take(ONE)
    with pytest.raises(Refused):
        limit.take(ONE)
    clock.advance(10_000)
    for _ in range(3):
        limit.take(ONE)
    with pytest.raises(Refused):
        limit.take(ONE)


def test_strangers_without_end_take_no_memory_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterfoil_loyalty.customer_limit._MOST_ACCOUNTS", 100)
    limit = CustomerLimit(most=1, per_s=60, clock=Clock())
    for number in range(1_000):
        limit.take(Account(str(number)))
    assert len(vars(limit)["_full_until"]) <= 100


def test_a_limit_of_nothing_is_no_limit() -> None:
    for most, per_s in ((0, 60), (1, 0), (-1, 60)):
        with pytest.raises(Misuse):
            CustomerLimit(most=most, per_s=per_s, clock=Clock())


def test_a_customer_past_the_limit_is_refused_and_awards_are_not() -> None:
    clock = Clock()
    ledger = MemoryLedger(now=NOW, random=seeded("limit"))
    programme: Programme = programme_on(ledger, clock)
    store = MemoryStore()
    relayer = Relayer(ledger, store, limit=CustomerLimit(most=2, per_s=3_600, clock=clock))
    relayer.start()
    for brand in (AUDIO, BICYCLE):
        relayer.accept(programme.registration(brand))
    clock.advance(1)
    assert relayer.turn(clock.now)
    programme.tokens |= {brand.brand: brand.token for brand in store.brands()}
    for order in range(5):
        relayer.accept(programme.award(1_000, str(order)))
    clock.advance(1)
    assert relayer.turn(clock.now)

    wishes = [programme.redemption(100, redemption_id=bytes([n]) * 32) for n in range(3)]
    for wish in wishes[:2]:
        relayer.accept(wish)
    with pytest.raises(Refused) as refusal:
        relayer.accept(wishes[2])
    assert refusal.value.codes == [TOO_MANY]
    relayer.accept(wishes[0])  # The same wish again is no new one.
    clock.advance(1_800)
    relayer.accept(wishes[2])
