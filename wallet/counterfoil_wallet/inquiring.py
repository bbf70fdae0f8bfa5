"""Ask what became of a grant: how it was used, whether it has ended, what is owed.

Asked when the customer looks, never while she grants or presents. What cannot be found
out now leaves what was known.
"""

from dataclasses import replace
from datetime import datetime

from counterfoil_consent.holder import FetchedNotices
from counterfoil_consent.usage import Custodial, fetch_usage
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
            case Proved() if any(item.until <= self._clock() for item in state.erased.retained):
                # What a law made it keep is due: its second receipt says that it is gone.
                return self._consents.prove(state) or state
            case _:
                return state

    def _ask_in_force(self, state: InForce) -> HeldGrant:
        agreement, now = state.active.agreement, self._clock()
        has_ended = now >= state.terms.valid_until
        try:
            usage, token = fetch_usage(
                agreement, signer=state.signer, fetcher=self._fetcher, now=now
            )
        except (Refused, Malformed, Unavailable):
            pass
        else:
            self._consents.book.keep(state, usage=token)
            has_ended = has_ended or usage.state is Custodial.ENDED
        if has_ended:
            return self._consents.prove(state) or state
        self._compare_notice(state, now)
        return state

    def _compare_notice(self, state: InForce, now: datetime) -> None:
        papers = self._consents.book.papers(state.grant_id)
        if papers is None:
            return
        try:
            text = FetchedNotices(self._fetcher).fetch(state.terms.notice.uri)
        except (Refused, Malformed, Unavailable):
            return
        differs = digest_of(text) != state.terms.notice.sha256
        self._store.put(_noted(papers, differs=differs, now=now).to_record())


def _noted(papers: Papers, *, differs: bool, now: datetime) -> Papers:
    since = (papers.notice_differs_since or now) if differs else None
    return replace(papers, notice_differs_since=since)
