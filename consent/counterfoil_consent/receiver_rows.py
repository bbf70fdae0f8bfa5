"""A receiver's rows, as each of its acts meets them: found or refused, and changed whole.

grant = rows.grant(grant_id)               `grant-unknown` where there is none
rows.require_readable(grant, purpose)      `grant-ended`, `grant-suspended`, …
rows.advance(grant_id, change)             the newest row, changed in one step
"""

from collections.abc import Callable, Sequence

from counterfoil_credentials.errors import Refused

from counterfoil_consent.receiver_store import OpenRequest, ReceivedGrant, ReceiverStore
from counterfoil_consent.set_outbox import Letter
from counterfoil_consent.states import Active, Granted, Suspended
from counterfoil_consent.terms import Purpose
from counterfoil_consent.wire import Clock, GrantId, grant_id_of, refuse


class ReceiverRows:
    """The store and the clock of one receiver."""

    def __init__(self, store: ReceiverStore, clock: Clock) -> None:
        self.store = store
        self.clock = clock

    def request(self, request_id: str) -> OpenRequest:
        """Give a request, or refuse with `request-unknown`."""
        found = self.store.find_request(grant_id_of(request_id, "request_id"))
        if found is None:
            raise refuse("request-unknown", "a request made here", "none", "request_id")
        return found

    def grant(self, grant_id: str) -> ReceivedGrant:
        """Give a grant, or refuse with `grant-unknown`."""
        found = self.store.find_grant(grant_id_of(grant_id, "grant_id"))
        if found is None:
            raise refuse("grant-unknown", "a grant received here", "none", "grant_id")
        return found

    def require_readable(self, grant: ReceivedGrant, purpose: Purpose) -> None:
        """Return only if `grant` may be read for `purpose` now."""
        match grant.state:
            case Active():
                pass
            case Suspended():
                raise refuse("grant-suspended", "a grant that runs", "one that is paused", "grant")
            case Granted():
                raise refuse("grant-not-active", "a grant with its bundle", "none yet", "grant")
            case _:
                raise ended_refusal()
        if self.clock() >= grant.terms.valid_until:
            raise ended_refusal()
        if not grant.terms.allows_reading:
            where = "processing_method"
            raise refuse("operation-not-granted", "an operation that reads", "others", where)
        if purpose is not grant.terms.purpose:
            raise refuse("purpose-differs", "the purpose granted", "another", "purpose")

    def advance(
        self,
        grant_id: GrantId,
        change: Callable[[ReceivedGrant], ReceivedGrant | None],
        letters: Sequence[Letter] = (),
    ) -> ReceivedGrant:
        """Apply `change` to the newest row, and put `letters`; ended rows hold no ciphertext."""
        while True:
            before = self.grant(grant_id)
            after = change(before)
            if after is None:
                return before
            is_live = isinstance(after.state, Granted)
            bundle = self.store.find_bundle(grant_id) if is_live else None
            if self.store.advance(before, after, bundle, letters):
                return self.grant(grant_id)


def ended_refusal() -> Refused:
    """Give the refusal of whatever needs a grant in force."""
    return refuse("grant-ended", "a grant in force", "one that has ended", "grant_id")
