"""Row J2 for points: what a released version of the contracts holds moves to the next."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Misuse
from counterfoil_loyalty.accounts import Account, PointsSigner
from counterfoil_loyalty.actions import (
    AgreeTerms,
    AwardPoints,
    AwardToMany,
    CreatePoints,
    ExpirePoints,
    GovernPoints,
    RedeemPoints,
    ReleaseAward,
    SwapPoints,
    TransferPoints,
)
from counterfoil_loyalty.cli import main
from counterfoil_loyalty.intents import (
    Award,
    Redemption,
    Registration,
    Swap,
    Terms,
    sign_by_brand,
    sign_by_customer,
)
from counterfoil_loyalty.issuing import AwardBatch, Policy
from counterfoil_loyalty.points_folder import DATABASE
from counterfoil_loyalty.rates import Rate
from counterfoil_loyalty.sql_outbox import METADATA
from counterfoil_loyalty.sql_store import SCHEMA_VERSION, open_store
from counterfoil_loyalty.transfers import Transfer
from counterfoil_service.sql import Database

from tests.loyalty.programme import AUDIO, BICYCLE, DAY, NOW
from tests.loyalty.released import SINCE_SCHEMA_2, Service, by_version_1, customers
from tests.loyalty.successors import Successors

_BRANDS = {AUDIO: PointsSigner(b"\x01" * 32), BICYCLE: PointsSigner(b"\x02" * 32)}
_PRICES = {AUDIO: 100, BICYCLE: 50}
_YEAR = 365 * DAY
_FAR = NOW + 5 * _YEAR
_PENDING = b"\x77" * 32
_CUSTOMERS = 12


@dataclass
class Before:
    """What the released version held."""

    tokens: dict[str, Account]
    balances: dict[str, dict[Account, int]]
    awards: list[AwardPoints | AwardToMany]
    policies: dict[str, Policy]
    pending: AwardPoints
    used: RedeemPoints


def register(service: Service) -> dict[str, Account]:
    for brand, signer in _BRANDS.items():
        it = Registration(
            brand=brand, name="Points", symbol="PTS", issuer=signer.account, price=_PRICES[brand]
        )
        service.do(CreatePoints(it, sign_by_brand(it, service.ledger.identity.venue, signer)))
    return {brand: service.token(brand) for brand in _BRANDS}


def agree(service: Service, tokens: dict[str, Account]) -> None:
    venue = service.ledger.identity.venue
    terms = Terms(
        token_in=tokens[AUDIO],
        token_out=tokens[BICYCLE],
        rate=Rate(3, 2),
        price_in=100,
        price_out=50,
        version=1,
        ends_at=_FAR,
    )
    signed = [sign_by_brand(terms, venue, signer) for signer in _BRANDS.values()]
    service.do(AgreeTerms(terms, *signed))


def exchange(service: Service, tokens: dict[str, Account], number: int) -> SwapPoints:
    holder, venue = customers(1)[0], service.ledger.identity.venue
    swap = Swap(
        holder=holder.account,
        token_in=tokens[AUDIO],
        token_out=tokens[BICYCLE],
        amount_in=20,
        least_out=1,
        recipient=holder.account,
        version=1,
        deadline=_FAR,
        swap_id=bytes([number]) * 32,
    )
    return SwapPoints(swap, sign_by_customer(swap, venue, holder))


def award_to(  # noqa: PLR0917  # as one would say it
    service: Service,
    token: Account,
    brand: str,
    to: Account,
    amount: int,
    ref: bytes,
    *,
    at: int = 0,
) -> AwardPoints:
    it = Award(token=token, to=to, amount=amount, ref=ref, available_at=at)
    return AwardPoints(it, sign_by_brand(it, service.ledger.identity.venue, _BRANDS[brand]))


def life(service: Service) -> Before:
    """Let two brands and twelve customers do everything that leaves something to move."""
    drawn = random.Random("a life in version 1")
    venue, people = service.ledger.identity.venue, customers(_CUSTOMERS)
    tokens = register(service)
    agree(service, tokens)
    awards: list[AwardPoints | AwardToMany] = []
    policies: dict[str, Policy] = {}
    for brand, signer in _BRANDS.items():
        token = tokens[brand]
        account = signer.account
        policies[brand] = Policy(
            token=token, admin=account, issuer=account, version=4, inactivity_s=_YEAR
        )
        signed = sign_by_brand(policies[brand], venue, signer)
        service.do(GovernPoints(policies[brand], signed))
        for person in people[:-1]:
            ref = drawn.randbytes(32)
            amount = drawn.randrange(100, 10_000)
            awards.append(award_to(service, token, brand, person.account, amount, ref))
        batch = AwardBatch(
            token=token,
            awards=tuple((person.account, drawn.randrange(1, 500)) for person in people[:5]),
            ref=drawn.randbytes(32),
        )
        awards.append(AwardToMany(batch, sign_by_brand(batch, venue, signer)))
    for action in awards:
        service.relayer.accept(action)
    service.wait()
    pending = award_to(
        service, tokens[AUDIO], AUDIO, people[2].account, 70, _PENDING, at=NOW + 2 * _YEAR
    )
    service.do(pending)
    given = Transfer(
        token=tokens[AUDIO],
        giver=people[1].account,
        taker=people[-1].account,
        amount=33,
        transfer_id=b"t" * 32,
        deadline=_FAR,
    )
    service.do(TransferPoints(given, sign_by_customer(given, venue, people[1])))
    spent = Redemption(
        token=tokens[AUDIO],
        holder=people[3].account,
        amount=40,
        redemption_id=b"r" * 32,
        deadline=_FAR,
    )
    used = RedeemPoints(spent, sign_by_customer(spent, venue, people[3]))
    service.do(used)
    service.do(exchange(service, tokens, 1))
    balances = {
        brand: {it.account: service.ledger.balance(token, it.account) for it in people}
        for brand, token in tokens.items()
    }
    return Before(tokens, balances, awards, policies, pending, used)


@pytest.fixture
def before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Before:
    """Give what is in a folder that version 1 made."""
    with monkeypatch.context() as patch:
        by_version_1(patch)
        service = Service(tmp_path)
        lived = life(service)
        service.close()
    return lived


def successors(service: Service, before: Before, brand: str, new: Account) -> Successors:
    both = Successors(service.ledger.identity.venue, _BRANDS[brand], before.tokens[brand], new)
    both.policy = before.policies[brand]
    return both


def taken_over(service: Service, before: Before) -> dict[str, Account]:
    tokens = register(service)
    for brand, new in tokens.items():
        service.do(successors(service, before, brand, new).take_over())
    return tokens


@pytest.mark.once
def test_row_J2_a_folder_of_version_1_goes_on_as_it_is(  # noqa: N802
    tmp_path: Path, before: Before
) -> None:
    service = Service(tmp_path)
    assert service.ledger.opens_at == 0
    assert {it.brand: it.token for it in service.store.brands()} == before.tokens

    service.do(
        award_to(service, before.tokens[AUDIO], AUDIO, customers(1)[0].account, 5, b"n" * 32)
    )
    service.do(exchange(service, before.tokens, 2))
    assert service.refuses(before.pending) == "duplicate-ref"
    supplies = {it: service.ledger.supply(it) for it in before.tokens.values()}
    assert dict(service.store.supplies()) == supplies
    service.close()


@pytest.mark.once
def test_row_J2_a_store_of_a_released_schema_keeps_its_outbox_and_its_projection_is_made_anew(  # noqa: N802
    tmp_path: Path, before: Before
) -> None:
    path = tmp_path / DATABASE
    with sqlite3.connect(path) as store:
        # Schema 2, as version 1 had it: none of the tables that came later.
        for name in SINCE_SCHEMA_2:
            store.execute(f"DROP TABLE IF EXISTS {name}")
        store.execute("UPDATE schema_version SET version = 2")
    store.close()
    with pytest.raises(Misuse):
        Database.open(path, METADATA, version=SCHEMA_VERSION)

    open_store(path).close()

    service = Service(tmp_path)
    supplies = {it: service.ledger.supply(it) for it in before.tokens.values()}
    assert dict(service.store.supplies()) == supplies
    for action in before.awards:
        kept = service.store.placed(action.key)
        assert kept is not None
        assert kept.outcome is not None
    service.close()


@pytest.mark.once
def test_row_J2_holders_balances_and_refs_move_from_version_1_with_equal_sums(  # noqa: N802
    tmp_path: Path, before: Before, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["move", str(tmp_path)]) == 0
    assert main(["move", str(tmp_path)]) == 0
    assert "version 2" in capsys.readouterr().out
    assert (tmp_path / "points.1.sqlite3").exists()
    service = Service(tmp_path)
    tokens = taken_over(service, before)
    assert service.refuses(exchange(service, tokens, 3)) == "no-corridor"
    people = customers(_CUSTOMERS)
    supply = {brand: service.ledger.supply(token) for brand, token in before.tokens.items()}

    for brand, new in tokens.items():
        both = successors(service, before, brand, new)
        old = before.tokens[brand]
        refused = award_to(service, old, brand, people[0].account, 1, b"x" * 32)
        assert service.refuses(refused) == "signature-invalid"
        for person in people:
            held = before.balances[brand][person.account]
            if held:
                service.do(both.carry(person, held))
        assert {it.account: service.ledger.balance(new, it.account) for it in people} == (
            before.balances[brand]
        )
        assert service.ledger.supply(new) == supply[brand]
        assert service.ledger.supply(old) == service.ledger.balance(old, new) == supply[brand]
        assert service.store.supplies()[new] == supply[brand]

    brands = {token: brand for brand, token in before.tokens.items()}
    for action in before.awards:
        award = action.award if isinstance(action, AwardPoints) else action.batch
        brand = brands[award.token]
        again = award_to(service, tokens[brand], brand, people[0].account, 1, award.ref)
        assert service.refuses(again) == "duplicate-ref"
    spent = replace(before.used.redemption, token=tokens[AUDIO])
    signed = sign_by_customer(spent, service.ledger.identity.venue, people[3])
    assert service.refuses(RedeemPoints(spent, signed)) == "duplicate-redemption"

    # What waits is given where it was promised, in its time, and is carried then.
    both = successors(service, before, AUDIO, tokens[AUDIO])
    pending = before.pending.award
    old = before.tokens[AUDIO]
    again = award_to(service, tokens[AUDIO], AUDIO, pending.to, pending.amount, pending.ref)
    assert service.refuses(again) == "duplicate-ref"
    assert service.refuses(ReleaseAward(old, pending.ref)) == "not-available"
    agree(service, tokens)
    service.do(exchange(service, tokens, 4), now=pending.available_at)
    service.do(ReleaseAward(old, pending.ref))
    service.do(both.carry(people[2], pending.amount, 2))
    supplied = supply[AUDIO] + pending.amount - 20
    assert service.ledger.supply(tokens[AUDIO]) == supplied
    # The stamps of version 1 count: a year has passed for whoever only held.
    expired = ExpirePoints(tokens[AUDIO], people[4].account, 1)
    service.do(expired)
    assert service.ledger.balance(tokens[AUDIO], people[4].account) == 0
    service.close()


_CARRYING = """
import sys
from pathlib import Path
from tests.walks.test_points_version_rows import carry_everybody
carry_everybody(Path(sys.argv[1]), sys.argv[2])
"""


def carry_everybody(folder: Path, old: str) -> None:
    """Carry each customer's points with Audio, and say so after each; run in its own process."""
    service = Service(folder)
    new = service.token(AUDIO)
    both = Successors(service.ledger.identity.venue, _BRANDS[AUDIO], Account(old), new)
    for number, person in enumerate(customers(_CUSTOMERS)):
        held = service.ledger.balance(both.old, person.account)
        if held:
            service.do(both.carry(person, held))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
    service.close()


@pytest.mark.once
@pytest.mark.parametrize("after", [1, 5])
def test_row_J2_a_move_that_was_cut_off_by_kill_9_is_finished_with_equal_sums(  # noqa: N802
    tmp_path: Path, before: Before, after: int
) -> None:
    assert main(["move", str(tmp_path)]) == 0
    service = Service(tmp_path)
    new = taken_over(service, before)[AUDIO]
    supply = service.ledger.supply(before.tokens[AUDIO])
    service.close()
    command = [sys.executable, "-c", _CARRYING, str(tmp_path), before.tokens[AUDIO]]
    moving = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert moving.stdout is not None
    for _ in range(after):
        assert moving.stdout.readline()
    os.kill(moving.pid, signal.SIGKILL)
    moving.wait()
    moving.stdout.close()

    carry_everybody(tmp_path, before.tokens[AUDIO])

    service = Service(tmp_path)
    people = customers(_CUSTOMERS)
    held = {it.account: service.ledger.balance(new, it.account) for it in people}
    assert held == before.balances[AUDIO]
    assert service.ledger.supply(new) == supply == service.store.supplies()[new]
    service.close()


@pytest.mark.once
@pytest.mark.parametrize("cut", ["outbox", "chain"])
def test_row_J2_the_command_that_moves_a_folder_is_finished_when_it_is_run_again(  # noqa: N802
    tmp_path: Path, before: Before, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    class CutOff(BaseException):
        pass

    def cut_off(*_: object) -> None:
        raise CutOff

    with monkeypatch.context() as patch:
        if cut == "outbox":
            patch.setattr(Path, "replace", cut_off)
        else:
            from counterfoil_loyalty.chain_db import EmbeddedChain

            patch.setattr(EmbeddedChain, "begin_programme", cut_off)
        with pytest.raises(CutOff):
            main(["move", str(tmp_path)])
    assert (tmp_path / DATABASE).exists()

    assert main(["move", str(tmp_path)]) == 0
    service = Service(tmp_path)
    assert service.ledger.opens_at > 0
    assert set(taken_over(service, before)) == set(_BRANDS)
    service.close()
