"""How a receiver takes a grant in: the grant first, then the sealed bundle that it names.

Nothing is opened here. The receipt says that both are held, and to which terms.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from counterfoil_credentials.keys import Signer
from counterfoil_credentials.requests import VpToken

from counterfoil_consent.artefacts import Receipt
from counterfoil_consent.grant import check_grant, grant_digest_of
from counterfoil_consent.key_folder import KeyFolder
from counterfoil_consent.receiver_rows import ReceiverRows, ended_refusal
from counterfoil_consent.receiver_store import ReceivedGrant
from counterfoil_consent.sealing import SealedBundle
from counterfoil_consent.spec import GRANT_QUERY_ID
from counterfoil_consent.states import Active, Granted, Suspended
from counterfoil_consent.wire import digest_of, refuse

ERASE_WITHIN: Final = timedelta(days=1)


class Intake:
    """What wallets deliver to one receiver."""

    def __init__(self, rows: ReceiverRows, keys: KeyFolder, *, signer: Signer) -> None:
        self._rows = rows
        self._keys = keys
        self._signer = signer

    def receive(self, request_id: str, vp_token: VpToken) -> ReceivedGrant:
        """Take the grant that answers a request; see `Receiver.receive`."""
        request = self._rows.request(request_id)
        if list(vp_token) != [GRANT_QUERY_ID] or len(vp_token[GRANT_QUERY_ID]) != 1:
            raise refuse("grant-missing", "the grant alone", "something else", "vp_token")
        presentation = vp_token[GRANT_QUERY_ID][0]
        now = self._rows.clock()
        if self._keys.is_destroyed(request.request_id):
            raise ended_refusal()
        if request.answered_by is None:
            granted = check_grant(presentation, request.requested, now=now)
            if now >= request.requested.expires_at:
                raise refuse("request-expired", "a live request", "an old one", "request")
            kept = self._rows.store.answer(request.request_id, granted, presentation)
        else:
            kept = self._rows.grant(request.answered_by)
        if kept is None or kept.state.agreement.grant_digest != grant_digest_of(presentation):
            raise refuse("request-already-answered", "the first answer", "another", "vp_token")
        if not isinstance(kept.state, Granted):
            raise ended_refusal()
        return kept

    def accept_bundle(self, grant_id: str, bundle: bytes) -> str:
        """Take the bundle that a grant names; see `Receiver.accept_bundle`."""
        grant = self._rows.grant(grant_id)
        # A database from before the end does not know of it; the tombstone does.
        if self._keys.is_destroyed(grant.request_id):
            raise ended_refusal()
        sealed = SealedBundle.from_bytes(bundle)
        if sealed.grant_id != grant.grant_id:
            raise refuse("grant-mismatch", "the grant in the path", "another", "bundle.grant_id")
        if digest_of(bundle) != grant.state.agreement.bundle_digest:
            raise refuse("bundle-mismatch", "the bundle that the grant names", "another", "bundle")
        match grant.state:
            case Active() | Suspended():
                return grant.state.receipt
            case Granted():
                receipt = Receipt(
                    grant_id=grant.grant_id,
                    grant_digest=grant.state.agreement.grant_digest,
                    bundle_digest=grant.state.agreement.bundle_digest,
                    received_at=self._rows.clock(),
                    erase_within_s=int(ERASE_WITHIN.total_seconds()),
                ).sign(self._signer)
                active = replace(grant, state=grant.state.acknowledge(receipt))
                if self._rows.store.advance(grant, active, bundle):
                    return receipt
                return self.accept_bundle(grant_id, bundle)
            case _:
                raise ended_refusal()
