"""One brand's points in memory: the rules of BrandPoints.sol as plain Python.

    points = MemoryPoints(token, issuer)
    logs = points.award(award, digest, signature, now)     # or raises `Refused`

Each method does what the contract's function of that name does, gives the events
that it emits, and asks the same things in the same order.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from counterfoil_credentials.errors import Refused

from counterfoil_loyalty.accounts import NOBODY, Account, require_signature
from counterfoil_loyalty.intents import Award, Redemption, intent_nonce
from counterfoil_loyalty.issuing import UNLIMITED, AwardBatch, Cancellation, Pause, Policy, Refund
from counterfoil_loyalty.refusals import refusal
from counterfoil_loyalty.succession import NOTICE_S, Carry, Retirement

_MAX_PENDING = 2**48 - 1


@dataclass(frozen=True)
class Log:
    """An event: the contract that emits it, its name and values."""

    contract: Account
    name: str
    values: Mapping[str, str | int]


@dataclass(frozen=True)
class _Pending:
    to: Account
    amount: int
    available_at: int


class MemoryPoints:
    """The points of one brand. `now` is always the block's time in unix seconds."""

    def __init__(self, token: Account, issuer: Account) -> None:
        self.token = token
        self.policy = Policy(token=token, admin=issuer, issuer=issuer, version=0)
        self.balances: defaultdict[Account, int] = defaultdict(int)
        self._entries: dict[bytes, _Pending | None] = {}  # None: given or cancelled
        self._redeemed: dict[tuple[Account, bytes], int | None] = {}  # None: refunded
        self._nonces: set[tuple[Account, bytes]] = set()
        self._used, self._used_at = 0, 0
        self._reserved = 0
        self._has_earned = False
        self._before: MemoryPoints | None = None
        self._retirement: tuple[Account, int] | None = None
        self._active_at: dict[Account, int] = {}
        self._claimed: defaultdict[Account, int] = defaultdict(int)

    def award(self, award: Award, digest: bytes, signature: bytes, now: int) -> list[Log]:
        self._require_issuer(digest, signature)
        require(award.amount > 0, "ZeroAmount")
        require(not self.is_awarded(award.ref), "DuplicateRef")
        self._draw(award.amount, now)
        self._has_earned = True
        values: dict[str, str | int] = {
            "to": award.to,
            "ref": award.ref.hex(),
            "amount": award.amount,
        }
        if award.available_at <= now:
            self._entries[award.ref] = None
            return [self._give(award.to, award.amount, now), self._log("Awarded", values)]
        require(award.to != NOBODY, "ERC20InvalidReceiver")
        require(award.amount <= _MAX_PENDING, "OverLimit")
        self._entries[award.ref] = _Pending(award.to, award.amount, award.available_at)
        return [self._log("AwardPending", {**values, "availableAt": award.available_at})]

    def award_batch(
        self, batch: AwardBatch, digest: bytes, signature: bytes, now: int
    ) -> list[Log]:
        self._require_issuer(digest, signature)
        require(not self.is_awarded(batch.ref), "DuplicateRef")
        self._entries[batch.ref] = None
        self._has_earned = True
        given: list[Log] = []
        for account, amount in batch.awards:
            require(amount > 0, "ZeroAmount")
            given.append(self._give(account, amount, now))
        self._draw(batch.total, now)
        values: dict[str, str | int] = {
            "ref": batch.ref.hex(),
            "count": len(given),
            "total": batch.total,
        }
        return [*given, self._log("AwardedBatch", values)]

    def release(self, ref: bytes, now: int) -> list[Log]:
        entry = self._pending(ref)
        require(entry.available_at <= now, "NotAvailable")
        self._entries[ref] = None
        values: dict[str, str | int] = {"to": entry.to, "ref": ref.hex(), "amount": entry.amount}
        return [self._give(entry.to, entry.amount, now), self._log("Awarded", values)]

    def cancel(self, it: Cancellation, digest: bytes, signature: bytes, now: int) -> list[Log]:
        self._require_issuer(digest, signature)
        return self.cancel_pending(it.ref, now)

    def cancel_pending(self, ref: bytes, now: int) -> list[Log]:
        cancelled = self._log("AwardCancelled", {"ref": ref.hex()})
        if ref not in self._entries and self._before is not None:
            require(self._before.policy.issuer == self.token, "InvalidIssuerSignature")
            return [*self._before.cancel_pending(ref, now), cancelled]
        require(self._pending(ref).available_at > now, "AvailableAlready")
        self._entries[ref] = None
        return [cancelled]

    def reserve(self, caller: Account, amount: int, now: int) -> list[Log]:
        require(caller == self.policy.earn_roots, "OnlyEarnRoots")
        self._draw(amount, now)
        self._reserved += amount
        return [self._log("Reserved", {"amount": amount})]

    def earn(self, caller: Account, holder: Account, total: int, now: int) -> list[Log]:
        require(caller == self.policy.earn_roots, "OnlyEarnRoots")
        require(not self.policy.is_paused, "AwardsPaused")
        require(total > self._claimed[holder], "NothingToClaim")
        amount = total - self._claimed[holder]
        require(amount <= self._reserved, "OverLimit")
        self._reserved -= amount
        self._claimed[holder] = total
        self._has_earned = True
        values: dict[str, str | int] = {"holder": holder, "amount": amount, "total": total}
        return [self._give(holder, amount, now), self._log("Earned", values)]

    def redeem(
        self, it: Redemption, intent: bytes, authorization: bytes, signature: bytes, now: int
    ) -> list[Log]:
        require(it.amount > 0, "ZeroAmount")
        once = (it.holder, it.redemption_id)
        require(not self.was_redeemed(once), "DuplicateRedemption")
        self._redeemed[once] = it.amount
        spent = self.spend(
            it.holder,
            it.amount,
            deadline=it.deadline,
            intent=intent,
            authorization=authorization,
            signature=signature,
            now=now,
        )
        return [*spent, self._log("Redeemed", _redemption(*once, it.amount))]

    def refund(self, it: Refund, digest: bytes, signature: bytes, now: int) -> list[Log]:
        self._require_issuer(digest, signature)
        once = (it.holder, it.redemption_id)
        amount = self.refundable(once)
        if amount is None:
            raise Refused(refusal("NotRedeemed"))
        self._draw(amount, now)
        self._redeemed[once] = None
        given = self._give(it.holder, amount, now)
        return [given, self._log("Refunded", _redemption(*once, amount))]

    def exchange_mint(self, to: Account, amount: int, now: int) -> list[Log]:
        self._require_alive(now)
        self._has_earned = True
        return [self._give(to, amount, now)]

    def spend(
        self,
        holder: Account,
        amount: int,
        *,
        deadline: int,
        intent: bytes,
        authorization: bytes,
        signature: bytes,
        now: int,
    ) -> list[Log]:
        """Burn what the holder authorised: for a redemption, or as `exchangeBurn`."""
        require_signed(holder, authorization, signature, "ERC3009InvalidSignature")
        require(now < deadline, "ERC3009InvalidAuthorizationTime")
        nonce = intent_nonce(intent)
        require((holder, nonce) not in self._nonces, "InvalidAccountNonce")
        self._nonces.add((holder, nonce))
        self._require_alive(now)
        self._stamp(holder, now)
        used = self._log("AuthorizationUsed", {"authorizer": holder, "nonce": nonce.hex()})
        return [used, self._burn(holder, amount)]

    def transfer(
        self,
        giver: Account,
        taker: Account,
        amount: int,
        *,
        authorization: bytes,
        signature: bytes,
        nonce: bytes,
        deadline: int,
        now: int,
    ) -> list[Log]:
        """Move what the giver authorised to go to `taker` (ERC-3009). It stamps nobody."""
        require_signed(giver, authorization, signature, "ERC3009InvalidSignature")
        require(now < deadline, "ERC3009InvalidAuthorizationTime")
        require((giver, nonce) not in self._nonces, "InvalidAccountNonce")
        self._nonces.add((giver, nonce))
        used = self._log("AuthorizationUsed", {"authorizer": giver, "nonce": nonce.hex()})
        return [used, self.move(giver, taker, amount)]

    def move(self, giver: Account, taker: Account, amount: int) -> Log:
        """Move points from a balance to another."""
        require(taker != NOBODY, "ERC20InvalidReceiver")
        require(self.balances[giver] >= amount, "ERC20InsufficientBalance")
        self.balances[giver] -= amount
        self.balances[taker] += amount
        return self._moved(giver, taker, amount)

    def expire(self, holder: Account, now: int) -> list[Log]:
        self._require_alive(now)
        window = self.policy.inactivity_s
        require(window != 0, "NoExpiry")
        since = self._active_at.get(holder, 0)
        if since == 0:
            self._active_at[holder] = now
            return [self._log("InactivityBegan", {"holder": holder})]
        require(now >= since + window, "StillActive")
        self._active_at[holder] = 0
        amount = self.balances[holder]
        burned = self._burn(holder, amount)
        return [burned, self._log("Expired", {"holder": holder, "amount": amount})]

    def govern(
        self,
        policy: Policy,
        digest: bytes,
        signature: bytes,
        acceptance: bytes | None,
        now: int,
    ) -> list[Log]:
        """Put a policy into force; no `acceptance` for a contract that accepts in its call."""
        known = self.policy
        require_signed(known.admin, digest, signature, "InvalidAdminSignature")
        if policy.admin != known.admin and acceptance is not None:
            require_signed(policy.admin, digest, acceptance, "InvalidAdminSignature")
        require(policy.version > known.version, "OldPolicy")
        is_limited = policy.capacity != UNLIMITED
        is_complete = NOBODY not in (policy.admin, policy.issuer)
        require(is_complete and (policy.refill_s > 0 or not is_limited), "IncompletePolicy")
        before, after = known.inactivity_s, policy.inactivity_s
        is_longer = before != 0 and (after == 0 or after > before)
        require(after == before or not self._has_earned or is_longer, "ExpiryShortened")
        self._used, self._used_at = self._in_use(now) if is_limited else 0, now
        self.policy = policy
        values: dict[str, str | int] = {
            "admin": policy.admin,
            "issuer": policy.issuer,
            "earnRoots": policy.earn_roots,
            "capacity": policy.capacity,
            "refill": policy.refill_s,
            "inactivity": policy.inactivity_s,
            "paused": int(policy.is_paused),
            "version": policy.version,
        }
        return [self._log("Governed", values)]

    def pause(self, it: Pause, digest: bytes, signature: bytes) -> list[Log]:
        # The contract hashes its own version: a signature over another is of something else.
        require(it.version == self.policy.version, "InvalidAdminSignature")
        try:
            self._require_issuer(digest, signature)
        except Refused:
            require_signed(self.policy.admin, digest, signature, "InvalidAdminSignature")
        self.policy = replace(self.policy, is_paused=True)
        return [self._log("Paused", {"version": self.policy.version})]

    def retire(self, it: Retirement, digest: bytes, signature: bytes, now: int) -> list[Log]:
        require_signed(self.policy.admin, digest, signature, "InvalidAdminSignature")
        self._require_alive(now)
        announced = 0 if self._retirement is None else self._retirement[1]
        is_later = it.ends_at >= now + NOTICE_S and it.ends_at > announced
        require(it.successor != NOBODY and is_later, "RetirementTooSoon")
        self._retirement = (it.successor, it.ends_at)
        values: dict[str, str | int] = {"successor": it.successor, "endsAt": it.ends_at}
        return [self._log("Retiring", values)]

    def succeed(
        self, before: "MemoryPoints", digest: bytes, signature: bytes, now: int
    ) -> list[Log]:
        before.require_successor(self.token, now)
        return [self._begin(before, digest, signature)]

    def take_over(
        self,
        before: "MemoryPoints",
        digest: bytes,
        signature: bytes,
        *,
        handover: tuple[Policy, bytes, bytes],
        now: int,
    ) -> list[Log]:
        """`handover` is the last policy before, its digest, and its signature."""
        begun = self._begin(before, digest, signature)
        last, hashed, signed = handover
        return [begun, *before.govern(last, hashed, signed, None, now)]

    def carry(self, it: Carry, authorization: bytes, signature: bytes, now: int) -> list[Log]:
        before = self._before
        # A call to the account of nobody is the chain's own kind of failure.
        if before is None:
            raise Refused(refusal("an error without a name"))
        locked = before.transfer(
            it.holder,
            self.token,
            it.amount,
            authorization=authorization,
            signature=signature,
            nonce=it.nonce,
            deadline=it.deadline,
            now=now,
        )
        return [*locked, *self._arrive(it.holder, it.amount, before.active_at(it.holder))]

    def take_in(self, holder: Account, now: int) -> list[Log]:
        """Move what one holder has in the retired points: `move` of a list of one."""
        before = self._before
        if before is None:
            raise Refused(refusal("an error without a name"))
        burned, amount = before.hand_over(self.token, holder, now)
        if amount == 0:
            return [burned]
        return [burned, *self._arrive(holder, amount, before.active_at(holder))]

    def hand_over(self, successor: Account, holder: Account, now: int) -> tuple[Log, int]:
        """Burn what a holder has in these retired points; give the event and the amount."""
        self.require_successor(successor, now)
        amount = self.balances[holder]
        return self._burn(holder, amount), amount

    def active_at(self, holder: Account) -> int:
        """Give when the holder last earned, redeemed or exchanged, 0 when that is not known."""
        return self._active_at.get(holder, 0)

    def _begin(self, before: "MemoryPoints", digest: bytes, signature: bytes) -> Log:
        require_signed(self.policy.admin, digest, signature, "InvalidAdminSignature")
        is_new = not self._has_earned and self._retirement is None and self._before is None
        require(is_new, "BegunAlready")
        self._before, self._has_earned = before, True
        self.policy = replace(self.policy, inactivity_s=before.policy.inactivity_s)
        supply = sum(before.balances.values())
        return self._log("Succeeded", {"predecessor": before.token, "supply": supply})

    def _arrive(self, holder: Account, amount: int, active_at: int) -> list[Log]:
        if active_at > self._active_at.get(holder, 0):
            self._active_at[holder] = active_at
        self.balances[holder] += amount
        predecessor = NOBODY if self._before is None else self._before.token
        values: dict[str, str | int] = {
            "holder": holder,
            "predecessor": predecessor,
            "amount": amount,
        }
        return [self._moved(NOBODY, holder, amount), self._log("Moved", values)]

    def require_successor(self, token: Account, now: int) -> None:
        successor, ends_at = self._retirement or (NOBODY, 0)
        require(successor == token and now >= ends_at, "NotSuccessor")

    def _require_alive(self, now: int) -> None:
        require(self._retirement is None or now < self._retirement[1], "Retired")

    def is_awarded(self, ref: bytes) -> bool:
        earlier = self._before is not None and self._before.is_awarded(ref)
        return ref in self._entries or earlier

    def was_redeemed(self, once: tuple[Account, bytes]) -> bool:
        earlier = self._before is not None and self._before.was_redeemed(once)
        return once in self._redeemed or earlier

    def refundable(self, once: tuple[Account, bytes]) -> int | None:
        if once in self._redeemed or self._before is None:
            return self._redeemed.get(once)
        return self._before.refundable(once)

    def _pending(self, ref: bytes) -> _Pending:
        entry = self._entries.get(ref)
        if entry is None:
            raise Refused(refusal("NotPending"))
        return entry

    def _draw(self, amount: int, now: int) -> None:
        self._require_alive(now)
        require(not self.policy.is_paused, "AwardsPaused")
        if self.policy.capacity == UNLIMITED:
            require(amount <= UNLIMITED, "OverLimit")
            return
        used = self._in_use(now)
        require(amount <= max(self.policy.capacity - used, 0), "OverLimit")
        self._used, self._used_at = used + amount, now

    def _in_use(self, now: int) -> int:
        if self._used == 0:
            return 0
        refilled = self.policy.capacity * (now - self._used_at) // self.policy.refill_s
        return max(self._used - refilled, 0)

    def _give(self, to: Account, amount: int, now: int) -> Log:
        require(to != NOBODY, "ERC20InvalidReceiver")
        self._stamp(to, now)
        self.balances[to] += amount
        return self._moved(NOBODY, to, amount)

    def _burn(self, holder: Account, amount: int) -> Log:
        require(self.balances[holder] >= amount, "ERC20InsufficientBalance")
        self.balances[holder] -= amount
        return self._moved(holder, NOBODY, amount)

    def _stamp(self, holder: Account, now: int) -> None:
        if self.policy.inactivity_s:
            self._active_at[holder] = now

    def _require_issuer(self, digest: bytes, signature: bytes) -> None:
        require_signed(self.policy.issuer, digest, signature, "InvalidIssuerSignature")

    def _moved(self, giver: Account, taker: Account, amount: int) -> Log:
        return self._log("Transfer", {"from": giver, "to": taker, "value": amount})

    def _log(self, name: str, values: Mapping[str, str | int]) -> Log:
        return Log(self.token, name, values)


def require(holds: bool, error: str) -> None:  # noqa: FBT001  # reads like Solidity's require
    """Raise `Refused` with the words of a contract's error, unless it holds."""
    if not holds:
        raise Refused(refusal(error))


def require_signed(signer: Account, digest: bytes, signature: bytes, error: str) -> None:
    """Raise `Refused` with the words of a contract's error, unless `signer` signed the digest."""
    try:
        require_signature(signer, digest, signature, "ledger")
    except Refused as refused:
        raise Refused(refusal(error)) from refused


def _redemption(holder: Account, redemption_id: bytes, amount: int) -> dict[str, str | int]:
    return {"holder": holder, "id": redemption_id.hex(), "amount": amount}
