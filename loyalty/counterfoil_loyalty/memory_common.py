"""The contracts that all brands share, in memory: EarnRoots.sol, Notary.sol and Guarantee.sol.

Each method does what the contract's function of that name does, and asks the
same things in the same order.
"""

from collections import defaultdict
from collections.abc import Mapping

from counterfoil_credentials.errors import Refused

from counterfoil_loyalty.accounts import NOBODY, Account
from counterfoil_loyalty.common_contracts import Common, account_of
from counterfoil_loyalty.earn_tree import require_in
from counterfoil_loyalty.earning import ClaimEarned, PostEarnRoot
from counterfoil_loyalty.guarantee import (
    FulfilGuarantee,
    Guarantee,
    OpenGuarantee,
    RefundGuarantee,
)
from counterfoil_loyalty.intents import Venue, intent_nonce
from counterfoil_loyalty.memory_points import Log, MemoryPoints, require, require_signed
from counterfoil_loyalty.notary import NO_ROOT, AnchorRoot, CloseRecall, OpenRecall
from counterfoil_loyalty.refusals import refusal

Points = Mapping[Account, MemoryPoints]


class MemoryEarnRoots:
    """The roots in force, by the points that they award."""

    def __init__(self) -> None:
        self._account = account_of(Common.EARN_ROOTS)
        self._posted: dict[Account, tuple[bytes, int, int]] = {}

    def post(self, action: PostEarnRoot, venue: Venue, points: Points, now: int) -> list[Log]:
        it = action.root
        token = _points(points, it.token)
        issuer = token.policy.issuer
        require_signed(issuer, it.digest(venue), action.signature, "InvalidRootSignature")
        _, epoch, total = self._posted.get(it.token, (NO_ROOT, 0, 0))
        require(it.epoch > epoch, "OldEpoch")
        require(it.total >= total, "TotalShrank")
        self._posted[it.token] = (it.root, it.epoch, it.total)
        values: dict[str, str | int] = {
            "token": it.token,
            "root": it.root.hex(),
            "epoch": it.epoch,
            "total": it.total,
        }
        posted = Log(self._account, "RootPosted", values)
        return [posted, *token.reserve(self._account, it.total - total, now)]

    def claim(self, action: ClaimEarned, points: Points, now: int) -> list[Log]:
        token = _points(points, action.token)
        root, _, _ = self._posted.get(action.token, (NO_ROOT, 0, 0))
        try:
            require_in(root, action.holder, action.total, action.proof)
        except Refused as cause:
            raise Refused(refusal("NotInRoot")) from cause
        return token.earn(self._account, action.holder, action.total, now)


class MemoryNotary:
    """Each issuer's chain of roots, and its recalls."""

    def __init__(self) -> None:
        self._account = account_of(Common.NOTARY)
        self._chains: dict[Account, tuple[bytes, int, int]] = {}
        self._rounds: defaultdict[tuple[Account, bytes], int] = defaultdict(int)

    def anchor(self, action: AnchorRoot, venue: Venue) -> list[Log]:
        it = action.root
        head, number, length = self._chains.get(it.issuer, (NO_ROOT, -1, 0))
        require(it.root != NO_ROOT, "EmptyRoot")
        require(it.number > number, "OldNumber")
        # The contract hashes its own head: a signature over another is of something else.
        require(it.previous == head, "InvalidNotarySignature")
        self._require_signed(it.issuer, it.digest(venue), action.signature)
        self._chains[it.issuer] = (it.head, it.number, length + 1)
        values: dict[str, str | int] = {
            "issuer": it.issuer,
            "number": it.number,
            "sequence": length + 1,
            "root": it.root.hex(),
            "head": it.head.hex(),
        }
        return [Log(self._account, "Anchored", values)]

    def open_recall(self, action: OpenRecall, venue: Venue) -> list[Log]:
        it = action.recall
        self._turn(it.issuer, it.batch, it.round, parity=1)
        self._require_signed(it.issuer, it.digest(venue), action.signature)
        values: dict[str, str | int] = {
            "issuer": it.issuer,
            "batch": it.batch.hex(),
            "notice": it.notice.hex(),
            "severity": it.severity,
            "round": it.round,
        }
        return [Log(self._account, "RecallOpened", values)]

    def close_recall(self, action: CloseRecall, venue: Venue) -> list[Log]:
        it = action.end
        self._turn(it.issuer, it.batch, it.round, parity=0)
        self._require_signed(it.issuer, it.digest(venue), action.signature)
        values: dict[str, str | int] = {
            "issuer": it.issuer,
            "batch": it.batch.hex(),
            "notice": it.notice.hex(),
            "round": it.round,
        }
        return [Log(self._account, "RecallClosed", values)]

    def _turn(self, issuer: Account, batch: bytes, turn: int, *, parity: int) -> None:
        known = self._rounds[issuer, batch]
        require(turn == known + 1 and turn % 2 == parity, "WrongRound")
        self._rounds[issuer, batch] = turn

    def _require_signed(self, issuer: Account, digest: bytes, signature: bytes) -> None:
        require_signed(issuer, digest, signature, "InvalidNotarySignature")


class MemoryGuarantee:
    """The guarantees that are open, and those that have ended."""

    def __init__(self) -> None:
        self._account = account_of(Common.GUARANTEE)
        self._is_open: dict[bytes, bool] = {}

    def open(self, action: OpenGuarantee, venue: Venue, points: Points, now: int) -> list[Log]:
        it, name = action.guarantee, action.guarantee.digest(venue)
        token = points.get(it.token)
        is_complete = NOBODY not in (it.customer, it.attester) and it.deadline > now
        if token is None or it.amount == 0 or not is_complete:
            raise Refused(refusal("IncompleteGuarantee"))
        require(name not in self._is_open, "DuplicateGuarantee")
        self._is_open[name] = True
        values: dict[str, str | int] = {
            "id": name.hex(),
            "customer": it.customer,
            "funder": it.funder,
            "token": it.token,
            "amount": it.amount,
            "attester": it.attester,
            "deadline": it.deadline,
        }
        received = token.transfer(
            it.funder,
            self._account,
            it.amount,
            authorization=it.authorization(venue),
            signature=action.signature,
            nonce=intent_nonce(name),
            deadline=it.fund_before,
            now=now,
        )
        return [Log(self._account, "Opened", values), *received]

    def fulfil(self, action: FulfilGuarantee, venue: Venue, points: Points, now: int) -> list[Log]:
        it = action.guarantee
        name = self._require_open(it, venue)
        require(now < it.deadline, "TooLate")
        statement = it.statement(venue, kept=True)
        require_signed(it.attester, statement, action.statement, "InvalidStatement")
        self._is_open[name] = False
        paid = _points(points, it.token).move(self._account, it.funder, it.amount)
        return [Log(self._account, "Fulfilled", {"id": name.hex()}), paid]

    def refund(self, action: RefundGuarantee, venue: Venue, points: Points, now: int) -> list[Log]:
        it = action.guarantee
        name = self._require_open(it, venue)
        if now < it.deadline:
            statement = it.statement(venue, kept=False)
            require_signed(it.attester, statement, action.statement, "InvalidStatement")
        self._is_open[name] = False
        paid = _points(points, it.token).move(self._account, it.customer, it.amount)
        return [Log(self._account, "Refunded", {"id": name.hex()}), paid]

    def _require_open(self, it: Guarantee, venue: Venue) -> bytes:
        name = it.digest(venue)
        require(self._is_open.get(name, False), "NotOpen")
        return name


def _points(points: Points, token: Account) -> MemoryPoints:
    # A call to a contract that does not exist is the chain's own kind of failure.
    found = points.get(token)
    if found is None:
        raise Refused(refusal("UnknownPoints"))
    return found
