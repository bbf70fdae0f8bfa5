"""Ask what became of a grant: how it was used, whether it has ended, what is owed.

Asked when the customer looks, never while she grants or presents. What cannot be found
out now leaves what was known.
"""

from dataclasses import replace
from datetime import datetime

from counterfoil_consent.confirmation import confirm_grant
from counterfoil_consent.holder import FetchedNotices
from counterfoil_consent.usage import Custodial, Usage, fetch_accesses, fetch_usage
from counterfoil_consent.wire import digest_of
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher

from counterfoil_wallet.consents import Consents
from counterfoil_wallet.grant_states import Ending, HeldGrant, InForce, Proved
from counterfoil_wallet.papers import Papers
from counterfoil_wallet.store import Store
from counterfoil_wallet.wire import Clock


class Inquirer:
    """Asks about the grants of one wallet. Callers see to it that each id is driven once."""

    def __init__(self, consents: Consents, store: Store, fetcher: Fetcher, clock: Clock) -> None:
        self._consents = consents
        self._store = store
        self._fetcher = fetcher
        self._clock = clock

    def ask(self, state: HeldGrant) -> HeldGrant:
        """Ask the custodian and the receiver about one grant; give where it stands now."""
        match state:
            case InForce():
                return self._ask_in_force(state)
            case Ending():
                return self._consents.resume(state)
            case Proved() if self._may_be_proved_better(state):
                return self._consents.prove(state) or state
            case _:
                return state

    def _may_be_proved_better(self, state: Proved) -> bool:
        # The custodian, a recipient or an attestor may have answered since; and what a law made the
        # receiver keep may be due: its second receipt says that it is gone.
        is_due = any(item.until <= self._clock() for item in state.erased.retained)
        return state.level < self._consents.reachable(state) or is_due

    def _ask_in_force(self, state: InForce) -> HeldGrant:
        now = self._clock()
        has_ended = now >= state.terms.valid_until
        usage = self._usage(state)
        if usage is not None and usage.state is Custodial.UNCONFIRMED and not has_ended:
            # The custodian lost its journal: the wallet has not forgotten what is in force.
            usage = self._confirm(state) or usage
        has_ended = has_ended or (usage is not None and usage.state is Custodial.ENDED)
        if has_ended:
            return self._consents.prove(state) or state
        papers = self._consents.book.papers(state.grant_id)
        if papers is not None:
            self._store.put(self._compared(state, papers, now).to_record())
        return state

    def _usage(self, state: InForce) -> Usage | None:
        try:
            usage, token = fetch_usage(
                state.active.agreement,
                signer=state.signer,
                fetcher=self._fetcher,
                now=self._clock(),
            )
        except (Refused, Malformed, Unavailable):
            return None
        self._consents.book.keep(state, usage=token)
        return usage

    def _confirm(self, state: InForce) -> Usage | None:
        try:
            confirm_grant(
                state.active, signer=state.signer, fetcher=self._fetcher, now=self._clock()
            )
        except (Refused, Malformed, Unavailable):
            return None
        return self._usage(state)

    def _compared(self, state: InForce, papers: Papers, now: datetime) -> Papers:
        """Give the papers with what the receiver shows now: its log, and its notice."""
        try:
            accesses = fetch_accesses(
                state.active.agreement, signer=state.signer, fetcher=self._fetcher, now=now
            )
        except (Refused, Malformed, Unavailable):
            pass
        else:
            papers = papers.with_log(accesses, now=now)
        try:
            text = FetchedNotices(self._fetcher).fetch(state.terms.notice.uri)
        except (Refused, Malformed, Unavailable):
            return papers
        differs = digest_of(text) != state.terms.notice.sha256
        since = (papers.notice_differs_since or now) if differs else None
        return replace(papers, notice_differs_since=since)
