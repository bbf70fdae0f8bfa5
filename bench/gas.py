"""Gas of each operation on points, against a plain OpenZeppelin token and Solady's in one run.

No operation may cost more than the plain token with the same signed call and event, the
extra storage slots that the table names, and three in a hundred.

    python -m bench.gas            # prints docs/gas.md
    python -m bench.gas --write    # writes it

The figures hang on the contracts alone: keys and the chain's id are fixed.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from counterfoil_loyalty.accounts import Account, PointsSigner
from counterfoil_loyalty.actions import Action, GovernPoints
from counterfoil_loyalty.chain import EmbeddedChainLedger
from counterfoil_loyalty.chain_db import EmbeddedChain
from counterfoil_loyalty.common_contracts import Common, OpenContract, account_of
from counterfoil_loyalty.earn_tree import earn_leaf
from counterfoil_loyalty.earning import EarnRoot, PostEarnRoot
from counterfoil_loyalty.intents import Award, Redemption, intent_nonce, sign_by_brand
from counterfoil_loyalty.issuing import AwardBatch, Policy, Refund
from counterfoil_loyalty.keccak import keccak256
from counterfoil_loyalty.rates import Limits, Rate
from counterfoil_loyalty.transfers import Transfer

from bench.measure import Operation, Other, fixed
from tests.loyalty.contracts import Workbench
from tests.loyalty.programme import AUDIO, BICYCLE, DAY, NOW, Clock, Programme, programme_on, seeded

PAGE: Final = Path(__file__).parents[1] / "docs/gas.md"
NEW, CHANGED, READ = 22_100, 5_000, 2_100
"""A slot that is written for the first time, written again, or only read (EIP-2929, EIP-2200)."""
CALL: Final = 2_600
"""The first call of another contract in a transaction (EIP-2929)."""
TOLERANCE: Final = 1.03
_HOLDERS: Final = 100
_INTRODUCTION: Final = (
    "What each operation costs, measured in one run against OpenZeppelin's token with the same "
    "signed calls and events, and against Solady's. `python -m bench.gas --write` writes this "
    "page; a test holds it against a fresh run."
)
_RULE: Final = (
    "Ours is allowed the plain token's gas, the extra slots named in the row, and 3 %. A "
    f"storage slot costs {NEW:,} when it is new, {CHANGED:,} when it is changed and {READ:,} "
    f"when it is only read; the first call of another contract {CALL:,} (EIP-2929). Of a "
    "batch, the share of one holder is shown. Without expiry, which is the default, no stamp "
    "is written; transfers never write one. What the plain token does not know has no figure "
    "there: a goal bounds it."
)
_WORDS: Final = {NEW: "new", CHANGED: "changed", READ: "read", CALL: "called"}


@dataclass(frozen=True, slots=True)
class Slot:
    """An extra slot of ours: what is done to it, what it is, and what it buys."""

    gas: int
    name: str


REF: Final = Slot(NEW, "ref")
KEY: Final = Slot(READ, "issuer")
OPEN: Final = Slot(READ, "bucket")
LIMIT: Final = Slot(CHANGED, "bucket")
STAMP: Final = Slot(NEW, "stamp")
VOUCHER: Final = Slot(NEW, "voucher")
RETURNED: Final = Slot(CHANGED, "voucher")
CLAIMED: Final = Slot(NEW, "claimed")
MINTABLE: Final = Slot(CHANGED, "mintable")
POINTS: Final = Slot(CALL, "points")


@dataclass(frozen=True, slots=True)
class Row:
    """One operation: gas of ours, of the plain token and of Solady's, and our extra slots."""

    name: str
    ours: int
    plain: int | None = None
    solady: int | None = None
    slots: tuple[Slot, ...] = ()
    share: int = 1
    goal: int | None = None

    @property
    def allowed(self) -> int | None:
        """Give what ours may cost: the plain token's, the slots, and three in a hundred."""
        if self.plain is None:
            return None
        return int((self.plain + sum(slot.gas for slot in self.slots)) * TOLERANCE)


def operations(*, quick: bool) -> Iterator[Operation]:  # noqa: ARG001  # one size only
    """Give each operation against what it may cost."""
    for row in rows():
        others = [Other(name="goal", sampler=fixed(row.goal), floor=1)] if row.goal else []
        if row.allowed is not None:
            slots = " + slots" if row.slots else ""
            name = f"plain OpenZeppelin{slots} + 3 %"
            others.append(Other(name=name, sampler=fixed(row.allowed), floor=1))
        yield Operation(
            name=row.name, ours=fixed(row.ours), others=others, unit="gas", at_most=True, rounds=1
        )


def rows() -> list[Row]:
    """Measure everything once, on an embedded chain of its own."""
    with TemporaryDirectory() as folder:
        chain = EmbeddedChain(Path(folder) / "chain.sqlite3", now=NOW, random=seeded("gas"))
        try:
            return list(_Measured(chain).rows())
        finally:
            chain.close()


class _Measured:
    """Three tokens on one chain, with one issuer."""

    def __init__(self, chain: EmbeddedChain) -> None:
        self._chain = chain
        self._clock = Clock()
        self._programme: Programme = programme_on(EmbeddedChainLedger(chain), self._clock).open()
        self._bench = Workbench(chain)
        programme = self._programme
        self._issuer = programme.audio
        self._total, self._proof, root = _claim(_account("claims"))
        self._plain = self._bench.deploy("PlainPoints", self._issuer.account, root)
        self._solady = self._bench.deploy("SoladyPoints", self._issuer.account)
        self._ours = self._bench.at("BrandPoints", programme.tokens[AUDIO])
        self._token = programme.tokens[AUDIO]
        self._refs = 0

    def rows(self) -> Iterator[Row]:
        """Give the rows in the order of the page."""
        everyone = (self._ours, self._plain, self._solady)
        holder = self._programme.customer.of(AUDIO).account
        for token in everyone:
            self._award(token, _account("first"))  # The supply is above zero everywhere.
        new = [self._award(token, holder) for token in everyone]
        yield _row("award, new holder", new, (REF, KEY, OPEN))
        again = [self._award(token, holder) for token in everyone]
        yield _row("award, holder", again, (REF, KEY, OPEN))
        for name in ("new holders", "holders"):
            gas = [self._batch(token, "batch") for token in everyone]
            goal = 28_000 * _HOLDERS if name == "new holders" else None
            slots = (REF, KEY, OPEN)
            yield _row(f"batch of {_HOLDERS}, {name}", gas, slots, share=_HOLDERS, goal=goal)
        for name, to in (("new holder", "friend"), ("holder", "friend")):
            gas = [self._transfer(token, _account(to)) for token in everyone]
            yield _row(f"transfer, {name}", gas)
        yield from self._gifts()
        yield from self._redemption(holder)
        yield self._release(holder)
        yield from self._claims()
        yield from self._swaps()
        yield from self._limited()

    def _gifts(self) -> Iterator[Row]:
        """Give what one customer's signed gift to another costs."""
        programme = self._programme
        signer = programme.customer.of(AUDIO)
        for name in ("new holder", "holder"):
            gas: list[int] = []
            for token in (self._ours, self._plain):
                it = Transfer(
                    token=Account(token.address),
                    giver=signer.account,
                    taker=_account("given to"),
                    amount=100,
                    transfer_id=sha256(name.encode()).digest(),
                    deadline=NOW + 30 * DAY,
                )
                signature = signer.sign(it.authorization(programme.venue))
                gas.append(self._gas(token, "transferWithAuthorization", *it.values, signature))
            yield _row(f"transfer by authorisation, {name}", gas)

    def _release(self, holder: Account) -> Row:
        """Give what it costs to give a pending award; the plain token knows none."""
        # A block a second: the award's is the next one, that of its release the one after it.
        ref, available_at = self._ref(), self._chain.time() + 2
        it = Award(token=self._token, to=holder, amount=12_345, ref=ref, available_at=available_at)
        signature = sign_by_brand(it, self._programme.venue, self._issuer)
        self._gas(self._ours, "award", *it.values, signature)
        return Row("release of a pending award", self._gas(self._ours, "release", ref))

    def _swaps(self) -> Iterator[Row]:
        """Give what an exchange costs where each account has a limit of its own."""
        programme = self._programme
        limits = Limits(quota=10**7, customer_quota=10**6, credit=10**10)
        self._clock.now = self._chain.time()
        self._do(programme.terms(BICYCLE, AUDIO, rate=Rate(1, 2), limits=limits))
        self._do(programme.award(10_000, brand=BICYCLE))
        exchange = self._bench.at("PointsExchange", programme.venue.exchange)
        cold = "swap, new holder, first in its epoch"
        for name, goal in ((cold, 205_000), ("swap, holder", 160_000)):
            action = programme.swap(
                20,
                BICYCLE,
                AUDIO,
                swap_id=sha256(name.encode()).digest(),
                recipient=_account("swaps"),
                deadline=NOW + 30 * DAY,
            )
            gas = self._gas(exchange, "swap", action.swap.values, action.signature)
            yield Row(name, gas, goal=goal)

    def _redemption(self, holder: Account) -> Iterator[Row]:
        programme = self._programme
        signer = programme.customer.of(AUDIO)
        gas: list[int] = []
        for token in (self._ours, self._plain):
            it = Redemption(
                token=Account(token.address),
                holder=holder,
                amount=100,
                redemption_id=b"g" * 32,
                deadline=NOW + 30 * DAY,
            )
            signature = signer.sign(it.authorization(programme.venue))
            if token is self._ours:
                gas.append(self._gas(token, "redeem", it.values, signature))
            else:
                nonce = intent_nonce(it.digest(programme.venue))
                arguments = (it.holder, it.amount, it.deadline, nonce, signature)
                gas.append(self._gas(token, "burn", *arguments))
        yield _row("redeem", gas, (VOUCHER, KEY))
        refund = Refund(token=self._token, holder=holder, redemption_id=b"g" * 32)
        signature = sign_by_brand(refund, programme.venue, self._issuer)
        ours = self._gas(self._ours, "refund", holder, refund.redemption_id, signature)
        plain = self._award(self._plain, holder)
        yield _row("refund", (ours, plain), (RETURNED, KEY, OPEN))

    def _claims(self) -> Iterator[Row]:
        """Claim by a proof of 20 hashes: as many as a million customers need."""
        self._do(OpenContract(Common.EARN_ROOTS))
        roots = self._bench.at("EarnRoots", account_of(Common.EARN_ROOTS))
        self._govern(version=1, earn_roots=account_of(Common.EARN_ROOTS))
        slots = (CLAIMED, MINTABLE, KEY, POINTS)
        for epoch, (name, goal) in enumerate((("new holder", 122_000), ("holder", 105_000)), 1):
            who = _account("claims" if epoch == 1 else "holds")
            total, proof, root = _claim(who)
            if epoch == 2:
                self._award(self._ours, who)
            it = EarnRoot(token=self._token, root=root, epoch=epoch, total=total * epoch)
            self._do(PostEarnRoot(it, sign_by_brand(it, self._programme.venue, self._issuer)))
            ours = self._gas(roots, "claim", self._token, who, total, proof)
            plain_proof = (self._token, _account("claims"), self._total, self._proof)
            plain = self._gas(self._plain, "claim", *plain_proof)
            yield _row(f"claim by a proof of 20, {name}", (ours, plain), slots, goal=goal)

    def _limited(self) -> Iterator[Row]:
        """Give what a brand pays that limits its issuer and lets points expire."""
        token = self._other_brand()
        self._award(token, _account("stamped first"))
        new = (
            self._award(token, _account("stamped")),
            self._award(self._plain, _account("stamped")),
        )
        slots = (REF, KEY, LIMIT, STAMP)
        yield _row("award, new holder, limited and stamped", new, slots)
        gas = (self._batch(token, "stamped"), self._batch(self._plain, "stamped"))
        stamps = (*slots[:3], *(STAMP,) * _HOLDERS)
        yield _row(f"batch of {_HOLDERS}, new holders, stamped", gas, stamps, share=_HOLDERS)

    def _other_brand(self) -> Any:  # noqa: ANN401  # as web3 gives it
        """Give points with a limit and an expiry: the rule stands before the first award."""
        programme = self._programme
        name = "https://limited.example"
        block = self._do(programme.registration(AUDIO, brand=name))
        (event,) = (it for it in programme.ledger.block(block).events if it.name == "PointsCreated")
        token = Account(str(event.values["token"]))
        self._govern(token=token, version=1, capacity=10**12, refill_s=DAY, inactivity_s=10**8)
        return self._bench.at("BrandPoints", token)

    def _govern(self, **changes: object) -> None:
        known: dict[str, object] = {
            "token": self._token,
            "admin": self._issuer.account,
            "issuer": self._issuer.account,
        }
        policy = Policy(**{**known, **changes})  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # by name
        venue = self._programme.venue
        self._do(GovernPoints(policy, sign_by_brand(policy, venue, self._issuer)))

    def _award(self, token: Any, to: Account) -> int:  # noqa: ANN401  # as web3 gives it
        it = Award(token=Account(token.address), to=to, amount=12_345, ref=self._ref())
        signature = sign_by_brand(it, self._programme.venue, self._issuer)
        return self._gas(token, "award", *it.values, signature)

    def _batch(self, token: Any, names: str) -> int:  # noqa: ANN401  # as web3 gives it
        awards = tuple((_account(f"{names} {number}"), 12_345) for number in range(_HOLDERS))
        it = AwardBatch(token=Account(token.address), awards=awards, ref=self._ref())
        signature = sign_by_brand(it, self._programme.venue, self._issuer)
        return self._gas(token, "awardBatch", list(it.words), it.ref, signature)

    def _transfer(self, token: Any, to: Account) -> int:  # noqa: ANN401  # as web3 gives it
        relayer = Account(self._chain.relayer)
        if self._bench.read(token, "balanceOf", relayer) < 100:
            self._award(token, relayer)
        return self._gas(token, "transfer", to, 100)

    def _ref(self) -> bytes:
        self._refs += 1
        return keccak256(b"ref %d" % self._refs)

    def _do(self, action: Action) -> int:
        self._clock.now = self._chain.time()
        outcome = self._programme.perform(action)
        if outcome.reason is not None:
            raise RuntimeError(f"expected {action.key} to be done, found {outcome.reason.code}")
        return outcome.block

    def _gas(self, contract: Any, function: str, *arguments: object) -> int:  # noqa: ANN401  # as web3 gives it
        receipt = self._bench.call(contract, function, *arguments)
        if receipt["status"] != 1:
            raise RuntimeError(f"expected {function} to be done, found it failed")
        return int(receipt["gasUsed"])


def _row(
    name: str,
    gas: Sequence[int],
    slots: tuple[Slot, ...] = (),
    *,
    share: int = 1,
    goal: int | None = None,
) -> Row:
    """Give a row; `gas` is ours, the plain token's and, where there is one, Solady's."""
    ours, plain, *others = gas
    solady = others[0] if others else None
    return Row(name, ours, plain, solady, slots, share, goal)


def page(measured: Sequence[Row]) -> str:
    """Give the page with the table."""
    lines = [
        "# Gas",
        "",
        _INTRODUCTION,
        "",
        _RULE,
        "",
        "| operation | plain | Solady | ours | allowed | goal | extra slots |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    lines += [_line(row) for row in measured]
    lines += [
        "",
        "| slot | what it buys |",
        "|---|---|",
        "| ref | an award happens once, whoever repeats it; a pending one is kept there too |",
        "| issuer | the brand replaces a stolen key, and stops awards at once |",
        "| bucket | a stolen key awards no more than the bucket holds |",
        "| stamp | points expire only after inactivity; written where a brand has such a rule |",
        "| voucher | a redemption happens once by the customer's own id, and may be refunded |",
        "| claimed | a total that a root awards is minted once, whatever contract asks |",
        "| mintable | roots mint no more than the issuer's bucket let them, and by one contract |",
        "| points | the roots of all brands stand in one contract, apart from the balances |",
    ]
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    def share(gas: int | None) -> str:
        return "" if gas is None else f"{gas // row.share:,}"

    counted: dict[Slot, int] = {}
    for slot in row.slots:
        counted[slot] = counted.get(slot, 0) + 1
    slots = ", ".join(
        f"{f'{count} ' if count > 1 else ''}{slot.name} ({_WORDS[slot.gas]})"
        for slot, count in counted.items()
    )
    cells = (share(row.plain), share(row.solady), share(row.ours), share(row.allowed))
    return f"| {row.name} | {' | '.join(cells)} | {share(row.goal)} | {slots} |"


def _account(name: str) -> Account:
    return PointsSigner(sha256(name.encode()).digest()).account


def _claim(who: Account) -> tuple[int, list[bytes], bytes]:
    """Give a total, a proof of 20 hashes and its root: a path through a tree of a million."""
    total = 12_345
    proof = [keccak256(b"%s %d" % (who.encode(), height)) for height in range(20)]
    root = earn_leaf(who, total)
    for beside in proof:
        root = keccak256(min(root, beside) + max(root, beside))
    return total, proof, root


def main(arguments: Sequence[str]) -> int:
    """Print the page, or write it."""
    text = page(rows())
    if "--write" in arguments:
        PAGE.write_text(text, "utf-8")
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
