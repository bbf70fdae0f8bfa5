"""What the customer does about her grants, besides granting and withdrawing: `wallet.consent`.

    see       all, by_party, who_has, by_fact, reminders; check asks how each was used, ask one
    answer    refuse, hide, defer; waiting and come_back to what was put off
    change    suspend, resume; stand_by for a second device; preview before withdrawing
    complain  complaint, for the authority
    keep      custodian, for who would rather trust nobody with a share
    take      records in JSON-LD; export_log, encrypted, for another wallet

To withdraw is `Wallet.withdraw`, one call with the grant's id and no question asked.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from counterfoil_consent.dossier import CustomerDossier
from counterfoil_consent.export import ConsentHistory, consent_record
from counterfoil_consent.export_log import seal_log, transactions_of
from counterfoil_consent.incentive import Incentive
from counterfoil_consent.laws import LAWS, Law
from counterfoil_consent.parties import RecipientParty
from counterfoil_consent.terms import ClaimName
from counterfoil_consent.wire import Digest, GrantId
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.fetch import Fetcher

from counterfoil_wallet.answers import answer_id
from counterfoil_wallet.asked_terms import AskedTerms
from counterfoil_wallet.asking import Asking
from counterfoil_wallet.complaining import complaint_pack
from counterfoil_wallet.consent_history import consent_history
from counterfoil_wallet.consent_reminders import ConsentReminder, consent_reminders
from counterfoil_wallet.consent_view import Consent, agreement_of, consent_of
from counterfoil_wallet.consent_words import Language
from counterfoil_wallet.consents import Consents
from counterfoil_wallet.dashboard import (
    FactHolder,
    FactView,
    PartyView,
    by_fact,
    by_party,
    who_has,
)
from counterfoil_wallet.grant_states import HeldGrant, InForce
from counterfoil_wallet.handing_over import dossier_of
from counterfoil_wallet.inquiring import Inquirer
from counterfoil_wallet.matching import Matches
from counterfoil_wallet.pausing import Standby, standby_file
from counterfoil_wallet.policy import AskingPolicy
from counterfoil_wallet.presenting import Declined, Presenter
from counterfoil_wallet.reading import events_in, readable
from counterfoil_wallet.refusing import RefusalClass, Refuser, require_unanswered
from counterfoil_wallet.store import Kind, Store
from counterfoil_wallet.waiting import Waiting
from counterfoil_wallet.wire import Clock, Random, refuse

if TYPE_CHECKING:
    from counterfoil_consent.custodian import Custodian

OnlyOne = Callable[[str], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalPreview:
    """What a withdrawal does, to be shown before it is confirmed. Nothing has been sent.

    `erased` is to be erased by the receiver and, as far as it was handed on, by each of
    `recipients`. `may_keep` are the laws of the place that can make the receiver keep some
    of it; what it does keep, under which of them and until when, its receipt will say.
    `stays_hers` is what was offered for the grant: no withdrawal takes it back.
    """

    grant_id: GrantId
    receiver: str
    erased: tuple[ClaimName, ...]
    recipients: tuple[RecipientParty, ...]
    may_keep: tuple[Law, ...]
    stays_hers: Incentive | None = None


class ConsentDesk:
    """The customer's grants, requests and complaints in one open wallet."""

    def __init__(
        self,
        store: Store,
        fetcher: Fetcher,
        clock: Clock,
        random: Random,
        *,
        consents: Consents,
        asking: Asking,
        presenter: Presenter,
        only_one: OnlyOne,
    ) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._consents = consents
        self._asking = asking
        self._presenter = presenter
        self._only_one = only_one
        self._refuser = Refuser(store, fetcher, clock)
        self._inquirer = Inquirer(consents, store, fetcher, clock)

    # See.

    def all(self) -> tuple[Consent, ...]:
        """Give every grant as it stands now, the oldest first; nobody is asked."""
        return tuple(map(self._seen, self._consents.book.all()))

    def one(self, grant_id: GrantId) -> Consent:
        """Give one grant; `Refused` with `grant-unknown`."""
        return self._seen(self._consents.book.state(grant_id))

    def by_party(self) -> tuple[PartyView, ...]:
        """Give the grants of each party, the latest first."""
        return by_party(self.all())

    def who_has(self, fact: str) -> tuple[FactHolder, ...]:
        """Give who has a fact, such as `phone_number`, by a grant or because it was shown it."""
        return who_has(fact, self.all(), events_in(self._store))

    def by_fact(self) -> tuple[FactView, ...]:
        """Give each fact that anybody has, or may have been handed, with who has it."""
        return by_fact(self.all(), events_in(self._store))

    def check(self) -> tuple[Consent, ...]:
        """Ask the custodians and receivers about every grant, and give them as they stand now.

        What cannot be found out leaves what was known. Ask when the customer looks.
        """
        for state in self._consents.book.all():
            self._ask(state.grant_id)
        return self.all()

    def ask(self, grant_id: GrantId) -> Consent:
        """Ask about one grant, as `check` does about all; `Refused` with `grant-unknown`."""
        return self._seen(self._ask(grant_id))

    def reminders(self) -> tuple[ConsentReminder, ...]:
        """Give what is worth telling the customer now."""
        return consent_reminders(self.all(), self.waiting(), now=self._clock())

    # Answer.

    def refuse(self, asked: AskedTerms, why: RefusalClass | None = None) -> Declined:
        """Say no; with `why` the receiver learns this class of reason, and never more.

        Raises `Refused` with `already-declined`: to each request one answer.
        """
        with self._only_one(answer_id(asked.signed.request)):
            return self._refuser.refuse(asked, why)

    def hide(self, asked: AskedTerms | Matches) -> Declined:
        """Say no as a wallet does that holds nothing of what is asked, for who must not seem to.

        On the wire, in the history and in what is given back nothing tells the two apart;
        `asked.hidden()` is what the screen shows meanwhile.
        """
        if isinstance(asked, AskedTerms):
            return self.refuse(asked)
        with self._only_one(answer_id(asked.request)):
            return self._presenter.decline(asked)

    def defer(self, asked: AskedTerms) -> Waiting:
        """Put a request off. It waits here until it lapses; nobody is told.

        Raises `Refused` with `already-declined`, or `not-deferrable` for a request that came
        without a request object.
        """
        require_unanswered(self._store, asked.signed.request)
        if not asked.signed.token:
            raise refuse("not-deferrable", "a signed request object", "none", "request")
        waiting = Waiting(
            waiting_id=asked.asked.requested.request_digest,
            party=asked.asker.client_id,
            receiver=asked.terms.receiver.name,
            purpose=asked.terms.purpose,
            recipients=asked.terms.recipients,
            asked_at=asked.at,
            expires_at=asked.asked.requested.expires_at,
            token=asked.signed.token,
            notice=asked.notice,
        )
        self._store.put(waiting.to_record())
        return waiting

    def waiting(self) -> tuple[Waiting, ...]:
        """Give what was put off and has not lapsed, the oldest first."""
        found = readable(self._store.find(Kind.WAITING), Waiting.from_record)
        return tuple(one for one in found if self._clock() < one.expires_at)

    def come_back(self, waiting_id: Digest) -> AskedTerms:
        """Give the terms of a request that was put off, as they were asked then.

        Raises `Refused` with `request-unknown`, or `request-expired` when it has lapsed.
        """
        record = self._store.get(Kind.WAITING, waiting_id)
        if record is None:
            raise refuse("request-unknown", "a request put off", "none", "waiting")
        waiting = Waiting.from_record(record)
        signed = self._asking.read_again(waiting.party, waiting.token)
        return self._consents.read(signed, _Kept(waiting.notice))

    def forget_lapsed(self) -> None:
        """Forget what was put off and has lapsed since."""
        lapsed = [
            one.waiting_id
            for one in readable(self._store.find(Kind.WAITING), Waiting.from_record)
            if self._clock() >= one.expires_at
        ]
        self._store.forget(Kind.WAITING, *lapsed)

    def policy(self) -> AskingPolicy:
        """Give what this wallet finds too much; `set_policy` changes it."""
        return AskingPolicy.kept_in(self._store)

    def set_policy(self, policy: AskingPolicy) -> None:
        """Keep the customer's rules, or her guardian's, from the next request on."""
        self._store.put(policy.to_record())

    # Change.

    def suspend(self, grant_id: GrantId) -> Consent:
        """Pause a grant: nothing is read until she resumes.

        It stands from the first stored step on; `Wallet.resume` tells whoever could not be
        reached. Raises `Refused` with `grant-unknown` or `grant-not-active`.
        """
        with self._only_one(grant_id):
            return self._seen(self._consents.pauser.pause(grant_id, suspend=True))

    def resume(self, grant_id: GrantId) -> Consent:
        """Let a paused grant go on, whoever paused it; raises as `suspend`."""
        with self._only_one(grant_id):
            return self._seen(self._consents.pauser.pause(grant_id, suspend=False))

    def stand_by(self) -> bytes:
        """Give a file for a second device, with which it can suspend each grant in force.

        It cannot read with it, nor withdraw, nor resume. Names of receivers and claims are in
        it, and no value. Make a new one after each grant, and after a use of the old one.
        """
        found: list[Standby] = []
        for state in self._consents.book.all():
            if isinstance(state, InForce) and self._clock() < state.terms.valid_until:
                with self._only_one(state.grant_id):
                    found.append(self._consents.pauser.stand_by(state.grant_id))
        return standby_file(found)

    def preview(self, grant_id: GrantId) -> WithdrawalPreview:
        """Give what a withdrawal would erase, and what may be kept; nothing is sent."""
        terms = self._consents.book.state(grant_id).terms
        return WithdrawalPreview(
            grant_id=grant_id,
            receiver=terms.receiver.name,
            erased=tuple(sorted(terms.claim_names, key=str)),
            recipients=terms.recipients,
            may_keep=tuple(law for law in LAWS.values() if law.holds_in(terms.jurisdiction)),
            stays_hers=terms.incentive,
        )

    # Complain.

    def complaint(self, grant_id: GrantId, language: Language = Language.ENGLISH) -> bytes:
        """Give the complaint pack for a grant that has ended; see `complaining.py`.

        Offer it where `Consent.may_complain`. Raises `Refused` with `grant-unknown`,
        `not-ended`, or `papers-missing` for a grant of an older wallet.
        """
        state = self._consents.book.state(grant_id)
        papers, agreement = self._consents.book.papers(grant_id), agreement_of(state)
        if papers is None or agreement is None:
            raise refuse("papers-missing", "the papers of this grant", "none", "grant")
        return complaint_pack(
            self._seen(state), agreement, papers, language=language, at=self._clock()
        )

    # Keep.

    def custodian(self, origin: str, folder: Path | None = None) -> "Custodian":
        """Give the wallet as custodian of its own grants, to be served at `origin` while open.

        `folder` keeps its one-time keys, outside the wallet's file and every backup. What it
        cannot do stands in `custody.py`. Raises `Unavailable` where the keys are not those
        that were in use, as after a restore.
        """
        # Loaded when first used: few wallets keep their own shares.
        from counterfoil_wallet.custody import custodian_in  # noqa: PLC0415

        return custodian_in(
            self._store, origin=origin, folder=folder, clock=self._clock, random=self._random
        )

    # Take away.

    def records(self) -> tuple[JsonObject, ...]:
        """Give each grant as a consent record of ISO/IEC TS 27560, in JSON-LD."""
        return tuple(consent_record(one) for one in self._histories())

    def dossier(self) -> CustomerDossier:
        """Give every signed paper of every grant, for an auditor; see `handing_over.py`."""
        book = self._consents.book
        kept = [(one, book.papers(one.grant_id)) for one in self._histories()]
        return dossier_of(kept, at=self._clock())

    def export_log(self, passphrase: str) -> str:
        """Give what happened to the grants, encrypted, for another wallet: EUDI TS10.

        Names of claims are in it, never values. `Misuse` for an empty passphrase.
        """
        entries = [entry for one in self._histories() for entry in transactions_of(one)]
        return seal_log(entries, passphrase, random=self._random)

    def _ask(self, grant_id: GrantId) -> HeldGrant:
        with self._only_one(grant_id):
            return self._inquirer.ask(self._consents.book.state(grant_id))

    def _histories(self) -> list[ConsentHistory]:
        events = events_in(self._store)
        book, now = self._consents.book, self._clock()
        return [
            consent_history(grant, events, book.papers(grant.grant_id), now=now)
            for grant in book.all()
        ]

    def _seen(self, state: HeldGrant) -> Consent:
        book = self._consents.book
        return consent_of(
            state,
            book.papers(state.grant_id),
            known_as=book.name_of(state),
            now=self._clock(),
        )


@dataclass(frozen=True, slots=True)
class _Kept:
    """The notice that went with a request, as it was read then."""

    text: str

    def fetch(self, url: str) -> bytes:  # a port: the notice is the one kept
        return self.text.encode()
