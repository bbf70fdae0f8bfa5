"""A grant's whole life, driven at random through the real parties and held to a reference model.

What reference.py says must happen, happens; and, whatever the model says: nothing
leaves a terminal state, nothing is read after the end or while it is paused, the
limit holds, and in the end both sides agree.
"""

import itertools
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from shutil import copytree, rmtree
from tempfile import mkdtemp
from typing import ClassVar, Final
from urllib.parse import urlencode

import pytest
from counterfoil_consent import (
    AuthorityParty,
    Completion,
    CompletionKind,
    Facts,
    GrantPackage,
    Level,
    Pause,
    Purpose,
    Trigger,
    sign_pause,
    verify_erasure_receipt,
)
from counterfoil_consent.artefacts import KeyDestruction
from counterfoil_consent.client import post
from counterfoil_consent.events import sign_end
from counterfoil_consent.states import Erased, name_of
from counterfoil_consent.store import Ended, Kept, Reserved
from counterfoil_consent.wire import GrantId
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Refused, Unavailable
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.requests import response_form
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.conftest import NOON, Clock
from tests.consent.reference import (
    NEVER_PAUSED,
    CustodianRow,
    CustodianSide,
    ReceiverSide,
    Rules,
)
from tests.consent.street import BENEFITS, CUSTODIAN, FRAME, FRAME_VALUE, PRODUCT, VELO, Street

pytestmark = pytest.mark.once

SHARE = int(os.environ.get("COUNTERFOIL_SOAK_SHARE", "1"))
SEED = int(os.environ.get("COUNTERFOIL_SOAK_SEED", "0")) or int.from_bytes(os.urandom(4))
STEPS = 10_000
A_LIFE = 40
MOST_GRANTS = 3
PARTIES: Final = ("custodian", "receiver")
SIGNERS = ("holder", "receiver", "completer", "authority", "stranger")
ENDS = (Trigger.WITHDRAWN, Trigger.COMPLETED, Trigger.TERMINATED)

picks = st.integers(0, MOST_GRANTS - 1)
limits = st.integers(1, 4)
lengths = st.sampled_from([10, 60, 180])
completions = st.sampled_from(["date", "date", "case", "single_use"])


@dataclass(frozen=True)
class Paper:
    """One thing that was sent, and can be sent again by whoever kept it.

    `does` is what the reference says that it does at `party`, at a time.
    """

    party: str
    url: str
    body: bytes
    media_type: str
    does: Callable[[datetime], bool]


@dataclass
class Life:
    """One grant: its papers, the model's two sides of it, and what was seen of it."""

    package: GrantPackage
    custodian: CustodianSide
    receiver: ReceiverSide
    signers: dict[str, MemorySigner]
    reads: int = 0
    sequence: int = 0
    over: set[str] = field(default_factory=set[str])
    pause_at_custodian: Pause = NEVER_PAUSED
    papers: list[Paper] = field(default_factory=list[Paper])

    @property
    def grant_id(self) -> GrantId:
        return self.package.grant_id


class ConsentMachine(RuleBasedStateMachine):
    """Three parties on disk, at most three grants, and everything that can happen to them."""

    steps: ClassVar[int] = 0
    seen: ClassVar[set[str]] = set()

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp(prefix="counterfoil-model-"))
        self.clock = Clock(NOON)
        self.street = Street(self.clock, Random(7).randbytes, self.folder / "street")
        # Room for the clock to go back: nothing here is older than this.
        self.clock.advance(timedelta(hours=12))
        self.lives: list[Life] = []
        self.backups: dict[str, dict[str, object]] = {}
        self.away: set[str] = set()
        self.is_drained = False
        self.numbers = itertools.count()
        self._record_leases()

    # What the parties do.

    @initialize(limit=limits, minutes=lengths, ends_with=completions)
    def begin_with_a_grant_in_force(self, limit: int, minutes: int, ends_with: str) -> None:
        self.ask_and_grant(limit=limit, fewer=False, minutes=minutes, ends_with=ends_with)
        self.deliver(pick=0, short=0)

    @precondition(lambda self: len(self.lives) < MOST_GRANTS and not self.away)
    @rule(limit=limits, fewer=st.booleans(), minutes=lengths, ends_with=completions)
    def ask_and_grant(self, *, limit: int, fewer: bool, minutes: int, ends_with: str) -> None:
        signers = {name: MemorySigner.generate() for name in SIGNERS}
        signers["receiver"] = self.street.receiver_signer
        completer = did_jwk(signers["completer"].public)
        completion = {
            "date": None,
            "single_use": Completion(kind=CompletionKind.SINGLE_USE),
            "case": Completion(kind=CompletionKind.CASE, by=completer),
        }[ends_with]
        is_single_use = ends_with == "single_use"
        opened = self.street.ask(
            max_reads=1 if is_single_use else limit,
            valid_for=timedelta(minutes=minutes),
            completion=completion,
            authority=AuthorityParty(did=did_jwk(signers["authority"].public), name="Authority"),
        )
        asked = self.street.asked(opened)
        decided = asked.decide(
            [FRAME] if fewer else [FRAME, PRODUCT],
            holder=did_jwk(signers["holder"].public),
            random=self.street.random,
            max_reads=1 if fewer else None,
        )
        package = self.street.package(decided, signers["holder"])
        rules = Rules(
            limit=decided.terms.max_reads,
            ends_at=decided.terms.valid_until,
            is_single_use=is_single_use,
            completer="completer" if ends_with == "case" else "receiver",
        )
        custodian = CustodianSide(
            rules=rules, row=CustodianRow(state="reserved", reserved_at=self.clock())
        )
        receiver = ReceiverSide(
            rules=rules,
            custodian=custodian,
            asked_until=opened.expires_at,
            made_at=self.clock(),
        )
        self.lives.append(Life(package, custodian, receiver, signers))

    @precondition(lambda self: self.lives)
    @rule(pick=picks, short=st.integers(0, 6).map(lambda number: number % 4))
    def deliver(self, pick: int, short: int) -> None:
        """Send the papers in their order, and stop where one is refused, or `short` of the last."""
        life = self._life(pick)
        package, terms = life.package, life.package.granted.agreement.terms
        grants = f"{CUSTODIAN}/grants"
        form = response_form({package.query_id: [package.presentation]}, package.state)
        given: dict[str, object] = {}

        def remember(answer: JsonObject) -> None:
            given.update(answer)

        steps: list[Callable[[], Paper]] = [
            lambda: Paper(
                "custodian",
                grants,
                package.registration.encode(),
                "application/jwt",
                life.custodian.register,
            ),
            lambda: Paper(
                "receiver",
                package.response_uri,
                urlencode(form).encode(),
                "application/x-www-form-urlencoded",
                life.receiver.receive,
            ),
            lambda: Paper(
                "receiver",
                terms.delivery_url(package.grant_id),
                package.bundle,
                "application/json",
                lambda _: life.receiver.accept_bundle(),
            ),
            lambda: Paper(
                "custodian",
                f"{grants}/{package.grant_id}/receipt",
                str(given["receipt"]).encode(),
                "application/jwt",
                life.custodian.acknowledge,
            ),
        ]
        for step in steps[: len(steps) - short]:
            if not self._send(life, step(), remember):
                return

    @precondition(lambda self: self.lives)
    @rule(
        pick=picks,
        stays=st.sampled_from([0, 0, 30, 61, 125]),
        ends=st.sampled_from([None, None, None, *PARTIES]),
    )
    def read(self, pick: int, stays: int, ends: str | None) -> None:
        """Read, and stay in the block for some seconds, while the holder may withdraw."""
        life = self._life(pick)
        facts_until = self._read(life)
        if facts_until is None:
            return
        block, facts, until = facts_until
        if ends is not None:
            self.end(pick=pick, how=(Trigger.WITHDRAWN, "holder"), told=ends)
        self.clock.advance(timedelta(seconds=stays))
        if self.clock() < until:
            assert facts.one(FRAME) == FRAME_VALUE
            self.seen.add("looked again")
        else:
            with pytest.raises(Refused) as refusal:
                facts.one(FRAME)
            assert refusal.value.codes == ["lease-expired"]
            self.seen.add("looked too late")
        block.__exit__(None, None, None)
        if life.custodian.rules.is_single_use:
            there = "custodian" not in self.away
            life.receiver.end(Trigger.COMPLETED, "receiver", self.clock(), is_custodian_there=there)
            life.over.add("receiver")

    @precondition(lambda self: self.lives)
    @rule(pick=picks)
    def read_for_a_foreign_purpose(self, pick: int) -> None:
        life = self._life(pick)
        with (
            pytest.raises((Refused, Unavailable)),
            self.street.receiver.read(life.grant_id, Purpose.DIRECT_MARKETING),
        ):
            pass

    @precondition(lambda self: self.lives)
    @rule(
        pick=picks,
        is_suspended=st.booleans(),
        step=st.sampled_from([1, 1, 1, 0, -1, 5]),
        by=st.sampled_from(["holder"] * 6 + ["receiver", "stranger"]),
        told=st.sampled_from([("custodian", "receiver"), ("receiver",), ("custodian",)]),
    )
    def pause_or_resume(
        self, *, pick: int, is_suspended: bool, step: int, by: str, told: tuple[str, ...]
    ) -> None:
        life = self._life(pick)
        word = Pause(max(1, life.sequence + step), is_suspended=is_suspended)
        life.sequence = max(life.sequence, word.sequence)
        agreement = life.package.granted.agreement
        token = sign_pause(
            agreement,
            word,
            signer=life.signers[by],
            now=self.clock(),
            random=self.street.random,
        ).encode()
        for party in told:
            if party == "custodian":
                url = f"{CUSTODIAN}/grants/{life.grant_id}/pause"

                def does(now: datetime) -> bool:
                    return life.custodian.pause_by(word, by, now)
            else:
                url = agreement.terms.pause_url(life.grant_id)

                def does(now: datetime) -> bool:
                    return life.receiver.pause_by(word, by)

            if self._send(life, Paper(party, url, token, "application/jwt", does)):
                self.seen.add(f"paused at the {party}" if is_suspended else "resumed")

    @precondition(lambda self: self.lives)
    @rule(
        pick=picks,
        how=st.sampled_from(
            [(trigger, by) for trigger in ENDS for by in SIGNERS]
            + [(Trigger.WITHDRAWN, "holder")] * 4
        ),
        told=st.sampled_from([*PARTIES, "both"]),
    )
    def end(self, pick: int, how: tuple[Trigger, str], told: str) -> None:
        life, (trigger, by) = self._life(pick), how
        token = sign_end(
            life.package.granted.agreement,
            trigger,
            signer=life.signers[by],
            now=self.clock(),
            random=self.street.random,
        )
        for party in PARTIES if told == "both" else (told,):
            self._send(life, self._end_paper(life, token, trigger, by, party))

    @precondition(lambda self: any(life.papers for life in self.lives))
    @rule(pick=picks, number=st.integers(0, 99))
    def send_an_old_paper_again(self, pick: int, number: int) -> None:
        life = self._life(pick)
        if life.papers:
            paper = life.papers[number % len(life.papers)]
            if self._send(life, paper, is_new=False):
                self.seen.add(f"sent again: {paper.url.rsplit('/', 1)[1]}")

    # What happens to them.

    @rule(seconds=st.sampled_from([1, 30, 61, 125, 300, 610, 3_600, -300]))
    def the_clock_moves(self, seconds: int) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    @rule(party=st.sampled_from(PARTIES))
    def sweep(self, party: str) -> None:
        if party == "custodian":
            self.street.custodian.end_due()
            for life in self.lives:
                life.custodian.sweep(self.clock())
        else:
            self.street.receiver.end_due()
            for life in self.lives:
                there = "custodian" not in self.away
                life.receiver.sweep(self.clock(), is_custodian_there=there)

    @rule()
    def both_restart(self) -> None:
        self._start()

    @rule(party=st.sampled_from(PARTIES))
    def back_up(self, party: str) -> None:
        target = self.folder / f"{party}-{next(self.numbers)}"
        self.street.back_up(party, target)
        rows = {life.grant_id: self._side(life, party).row for life in self.lives}
        queues = {life.grant_id: life.custodian.queue for life in self.lives}
        self.backups[party] = {"target": target, "rows": rows, "queues": queues}
        self._start()

    @precondition(lambda self: self.backups)
    @rule(party=st.sampled_from(PARTIES))
    def restore_yesterdays_database(self, party: str) -> None:
        if party not in self.backups:
            return
        backup = self.backups[party]
        self.street.close()
        assert self.street.folder is not None
        rmtree(self.street.folder / party)
        copytree(str(backup["target"]), self.street.folder / party)
        for life in self.lives:
            self._side(life, party).row = backup["rows"].get(life.grant_id)  # type: ignore[attr-defined]  # the rows of that side
            if party == "custodian":
                life.custodian.queue = backup["queues"].get(life.grant_id, ())  # type: ignore[attr-defined]  # as above
        self._start()
        self.seen.add(f"restored the {party}")

    @precondition(lambda self: self.lives)
    @rule(party=st.sampled_from(PARTIES))
    def a_party_goes_away(self, party: str) -> None:
        self.street.fetcher.disconnect(CUSTODIAN if party == "custodian" else VELO)
        self.away.add(party)

    @precondition(lambda self: self.away)
    @rule()
    def everybody_is_back(self) -> None:
        self._connect()

    # What must hold after every step.

    @invariant()
    def the_parties_are_where_the_reference_is(self) -> None:
        type(self).steps += 1
        for life in self.lives:
            assert self._custodian_state(life) == (
                "forgotten" if life.custodian.row is None else life.custodian.row.state
            )
            assert self._receiver_state(life) == life.receiver.state
            request_id = self._request_id(life)
            for keys, name, side in (
                (self.street.custodian_keys, life.grant_id, life.custodian),
                (self.street.receiver_keys, request_id, life.receiver),
            ):
                assert keys.is_destroyed(name) == side.is_destroyed
                assert (keys.find(name) is None) == side.is_destroyed

    def teardown(self) -> None:
        try:
            self._both_sides_agree_in_the_end()
        finally:
            self.street.close()
            rmtree(self.folder)

    def _both_sides_agree_in_the_end(self) -> None:
        self._connect()
        self.clock.advance(timedelta(hours=25))
        for _ in range(2):
            self.sweep("custodian")
            self.sweep("receiver")
        self.the_parties_are_where_the_reference_is()
        assert self.street.custodian_keys.names() == []
        assert self.street.receiver_keys.names() == []
        for life in self.lives:
            assert self.street.receiver_store.find_bundle(life.grant_id) is None
            if self._receiver_state(life) != "ended":
                continue
            grant = self.street.receiver_store.find_grant(life.grant_id)
            assert grant is not None
            assert isinstance(grant.state, Erased)
            receipt = self.street.receiver.erasure_receipt(life.grant_id)
            erased = verify_erasure_receipt(
                receipt, agreement=life.package.granted.agreement, now=self.clock()
            )
            if not life.custodian.is_registered:
                continue
            assert erased.level >= Level.E2
            said = KeyDestruction.read(
                self.street.custodian.end(life.grant_id, self._withdrawal(life)),
                custodian=self.street.custodian.party.did,
                grant_id=life.grant_id,
            )
            assert said.trigger is erased.trigger
            assert life.reads <= said.leases == life.custodian.count <= life.custodian.rules.limit
            self.seen.add(f"agreed: {said.trigger}")

    # How.

    def _life(self, pick: int) -> Life:
        return self.lives[pick % len(self.lives)]

    def _side(self, life: Life, party: str) -> CustodianSide | ReceiverSide:
        return life.custodian if party == "custodian" else life.receiver

    def _send(
        self,
        life: Life,
        paper: Paper,
        remember: Callable[[JsonObject], None] = lambda _: None,
        *,
        is_new: bool = True,
    ) -> bool:
        """POST a paper; the answer must be the reference's."""
        if is_new:
            life.papers.append(paper)
        try:
            answer = post(
                self.street.fetcher,
                paper.url,
                paper.body,
                media_type=paper.media_type,
                who=paper.party,
            )
        except Unavailable:
            assert paper.party in self.away
            return False
        except Refused:
            assert not paper.does(self.clock())
            return False
        assert paper.party not in self.away
        assert paper.does(self.clock()), paper.url
        remember(answer)
        if paper.url.endswith("/end"):
            life.over.add(paper.party)
        elif paper.party in life.over:
            # A party that has said "ended" hands out nothing but its first word again.
            assert not {"lease", "receipt"} & answer.keys()
        if paper.url.endswith(f"{life.grant_id}/pause") and paper.party == "custodian":
            life.pause_at_custodian = Pause.from_json(answer, "answer")
        return True

    def _read(self, life: Life) -> tuple[AbstractContextManager[Facts], Facts, datetime] | None:
        """Enter the block of a read; give it, and until when it may be used."""
        now = self.clock()
        self._drain_before(life, now)
        asked = life.receiver.may_ask_for_a_lease(now)
        if asked and "custodian" in self.away:
            asked = self.is_drained = False
        self.request_ids.clear()
        block = self.street.receiver.read(life.grant_id, BENEFITS)
        try:
            facts = block.__enter__()
        except Unavailable:
            assert "custodian" in self.away
            return None
        except Refused as refusal:
            assert not (asked and life.custodian.lease(self._request_id_asked(), now, now))
            if asked and "grant-ended" in refusal.codes:
                life.receiver.be_told_that_it_has_ended(now)
            return None
        assert asked
        assert life.custodian.lease(self._request_id_asked(), now, now)
        # Whatever the reference says:
        assert not life.over
        assert not life.pause_at_custodian.is_suspended
        assert now < life.package.granted.agreement.terms.valid_until
        life.reads += 1
        assert life.reads <= life.package.granted.agreement.terms.max_reads
        assert facts.one(FRAME) == FRAME_VALUE
        self.seen.add("read")
        until = min(now + timedelta(seconds=60), life.custodian.rules.ends_at)
        return block, facts, until

    def _drain_before(self, life: Life, now: datetime) -> None:
        """Let the receiver hear what it missed, as it does before a read."""
        if self.is_drained or not life.receiver.is_readable(now) or "custodian" in self.away:
            return
        for each in self.lives:
            queue, each.custodian.queue = each.custodian.queue, ()
            for told in queue:
                each.receiver.hear(told, now)
        self.is_drained = True
        if not life.receiver.is_readable(now):
            self.seen.add("heard before a read")

    def _start(self) -> None:
        self.is_drained = False
        self.street.start()
        self._record_leases()
        self.away.clear()
        for life in self.lives:
            life.custodian.start()
            life.receiver.start()

    def _connect(self) -> None:
        self.street.connect()
        self._record_leases()
        self.away.clear()

    def _record_leases(self) -> None:
        """Keep each lease request on its way, as somebody on the network could."""
        self.request_ids: list[str] = []
        real = self.street.custodian.lease

        def lease(grant_id: str, token: str) -> str:
            claims = read_jws(token, typ="consent-lease-request+jwt", where="x").unverified_claims
            request_id = str(claims["jti"])
            self.request_ids.append(request_id)
            asked_at = self.clock()
            life = next(life for life in self.lives if life.grant_id == grant_id)
            url = f"{CUSTODIAN}/grants/{grant_id}/leases"
            if not any(paper.body == token.encode() for paper in life.papers):

                def does(now: datetime) -> bool:
                    return life.custodian.lease(request_id, asked_at, now)

                life.papers.append(Paper("custodian", url, token.encode(), "application/jwt", does))
            return real(grant_id, token)

        self.street.custodian.lease = lease  # type: ignore[method-assign]  # listens, changes nothing

    def _request_id_asked(self) -> str:
        return self.request_ids[-1] if self.request_ids else "none"

    def _request_id(self, life: Life) -> GrantId:
        return GrantId(life.package.response_uri.rsplit("/", 1)[1])

    def _end_paper(self, life: Life, token: str, trigger: Trigger, by: str, party: str) -> Paper:
        if party == "custodian":
            url = f"{CUSTODIAN}/grants/{life.grant_id}/end"

            def does(now: datetime) -> bool:
                return life.custodian.end(trigger, by, now)
        else:
            url = life.package.granted.agreement.terms.withdrawal_url(life.grant_id)

            def does(now: datetime) -> bool:
                there = "custodian" not in self.away
                return life.receiver.end(trigger, by, now, is_custodian_there=there)

        return Paper(party, url, token.encode(), "application/jwt", does)

    def _withdrawal(self, life: Life) -> str:
        return sign_end(
            life.package.granted.agreement,
            Trigger.WITHDRAWN,
            signer=life.signers["holder"],
            now=self.clock(),
            random=self.street.random,
        )

    def _custodian_state(self, life: Life) -> str:
        match self.street.custodian_store.find(life.grant_id):
            case None:
                return "forgotten"
            case Reserved():
                return "reserved"
            case Kept():
                return "kept"
            case Ended():
                return "ended"

    def _receiver_state(self, life: Life) -> str:
        grant = self.street.receiver_store.find_grant(life.grant_id)
        if grant is None:
            request = self.street.receiver_store.find_request(self._request_id(life))
            return "forgotten" if request is None else "asked"
        name = name_of(grant.state)
        return name if name in ("granted", "active", "suspended") else "ended"


@pytest.fixture
def machine() -> type[ConsentMachine]:
    """Give the machine with nothing counted."""
    ConsentMachine.steps = 0
    ConsentMachine.seen = set()
    return ConsentMachine


def drive(machine: type[ConsentMachine], lives: int, *, is_random: bool) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=lives,
            stateful_step_count=A_LIFE,
            derandomize=not is_random,
            database=None,
            deadline=None,
            phases=(Phase.generate,),
            report_multiple_bugs=False,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


def test_a_few_hundred_random_steps_are_as_the_reference_says(
    machine: type[ConsentMachine],
) -> None:
    drive(machine, 10, is_random=False)

    assert machine.steps >= 300
    assert "read" in machine.seen


@pytest.mark.soak
def test_ten_thousand_random_steps_are_as_the_reference_says(
    machine: type[ConsentMachine],
) -> None:
    seed(SEED)(machine)
    try:
        while machine.steps < STEPS // SHARE:
            drive(machine, -(-STEPS // SHARE // A_LIFE), is_random=True)
    except Exception as trouble:
        trouble.add_note(f"COUNTERFOIL_SOAK_SEED={SEED}")
        raise

    surely = {"read"}
    in_the_whole_count = {
        "paused at the custodian",
        "restored the custodian",
        "agreed: withdrawn",
        "looked again",
        "looked too late",
        "paused at the receiver",
        "restored the receiver",
        "agreed: completed",
        "agreed: expired",
        "agreed: terminated",
    }
    expected = surely if SHARE > 1 else surely | in_the_whole_count
    assert expected <= machine.seen, sorted(machine.seen)
