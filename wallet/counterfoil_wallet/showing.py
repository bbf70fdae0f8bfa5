"""Which copy of a card a verifier is shown: one of its own, and no other in silence.

The screen is drawn from the copy that would be shown (`copies_for`); when the customer agrees,
it is taken (`take_for`), in one step with what is written down. In between another verifier
may have been shown it: then this one gets the next, and only if that says the same.
"""

from datetime import datetime

from counterfoil_wallet.disclosures import Chosen, Disclosure, Joining
from counterfoil_wallet.held import Copy, HeldCredential
from counterfoil_wallet.store import NoFreshCopy, Store
from counterfoil_wallet.wire import refuse


def copies_for(store: Store, client_id: str, *, at: datetime) -> Chosen:
    """Give the way to the copy of each card that `client_id` would be shown."""

    def chosen(credential: HeldCredential) -> tuple[Copy, Joining]:
        taken = store.peek_copy(credential.credential_id, client_id, at=at)
        if isinstance(taken, NoFreshCopy):
            return credential.copy, Joining.OTHERS
        if taken.links:
            return taken.copy, Joining.OTHERS
        return taken.copy, Joining.ITSELF if taken.shown_before else Joining.NOTHING

    return chosen


def take_for(
    store: Store, disclosure: Disclosure, client_id: str, *, at: datetime, may_link: bool = False
) -> Disclosure:
    """Give what was on the screen, of the copy that is now this verifier's.

    `Refused` with `only-copies-that-link`, unless `may_link`, or with `copy-differs`.
    """
    taken = store.take_copy(
        disclosure.credential.credential_id, client_id, at=at, reuse_that_links=may_link
    )
    if isinstance(taken, NoFreshCopy):
        expected = "a copy that nobody else has seen"
        raise refuse("only-copies-that-link", expected, "shown ones", disclosure.query_id)
    return disclosure.of_copy(taken.copy)
