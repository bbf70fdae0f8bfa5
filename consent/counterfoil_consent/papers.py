"""The signed papers about one grant, and who must have signed each for it to be good.

Whoever holds them can show what was agreed and what became of it: the holder to an
authority, each party to an auditor. No paper holds a claim value or a private key.
"""

from datetime import datetime
from enum import StrEnum
from typing import assert_never

from counterfoil_credentials.dids import key_of_did_jwk
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import read_credential

from counterfoil_consent.artefacts import KeyDestruction, Receipt, StopNotice
from counterfoil_consent.erasure_proof import verify_erasure_receipt
from counterfoil_consent.events import Parties, read_end, read_pause
from counterfoil_consent.grant import grant_digest_of
from counterfoil_consent.states import Agreement
from counterfoil_consent.usage import Usage
from counterfoil_consent.wire import SKEW, digest_of, refuse


class Paper(StrEnum):
    """A signed paper about one grant, in the order in which it comes to be."""

    REQUEST = "request"
    GRANT = "grant"
    RECEIPT = "receipt"
    USAGE = "usage"
    PAUSE = "pause"
    END = "end"
    STOP_NOTICE = "stop_notice"
    KEY_DESTRUCTION = "key_destruction"
    ERASURE_RECEIPT = "erasure_receipt"


def verify_paper(paper: Paper, token: str, agreement: Agreement, *, now: datetime) -> None:
    """Return only if who must have signed this paper about `agreement` did, at a time that can be.

    A did:jwk is its key: it cannot be exchanged, and it is valid as long as the grant.
    `Paper.GRANT` is what proves the agreement itself. Raises `Refused` or `Malformed`.
    """
    grant_id, terms = agreement.grant_id, agreement.terms
    receiver, custodian = terms.receiver.did, terms.custodian.did
    match paper:
        case Paper.REQUEST:
            if digest_of(token) != agreement.request_digest:
                raise refuse("request-mismatch", "the request of this grant", "another", "request")
        case Paper.GRANT:
            _verify_grant(agreement, token)
        case Paper.RECEIPT:
            digest = agreement.grant_digest
            read = Receipt.read(token, receiver=receiver, grant_id=grant_id, grant_digest=digest)
            if not agreement.granted_at - SKEW <= read.received_at < terms.valid_until:
                raise _out_of_time("receipt")
        case Paper.USAGE:
            Usage.read(token, custodian=custodian, grant_id=grant_id)
        case Paper.PAUSE:
            audience = terms.receiver.client_id
            read_pause(token, grant_id=grant_id, holder=agreement.holder, audience=audience)
        case Paper.END:
            read_end(
                token,
                grant_id=grant_id,
                parties=Parties.of(agreement),
                audience=terms.receiver.client_id,
                now=now,
            )
        case Paper.STOP_NOTICE:
            notice = StopNotice.read(token, receiver=receiver, grant_id=grant_id)
            if not agreement.granted_at - SKEW <= notice.stopped_at <= now + SKEW:
                raise _out_of_time("stop_notice")
        case Paper.KEY_DESTRUCTION:
            said = KeyDestruction.read(token, custodian=custodian, grant_id=grant_id)
            if not said.ended_at <= said.destroyed_at <= now + SKEW:
                raise _out_of_time("key_destruction")
        case Paper.ERASURE_RECEIPT:
            verify_erasure_receipt(token, agreement=agreement, now=now)
        case _:
            assert_never(paper)


def _verify_grant(agreement: Agreement, token: str) -> None:
    """Return only if the holder signed these very terms."""
    credential = read_credential(SdJwt.parse(token, "grant"))
    claims = credential.verify(key_of_did_jwk(agreement.holder, "grant.iss")).claims
    signed = (grant_digest_of(token), claims.get("grant_id"), claims.get("terms"))
    if signed != (agreement.grant_digest, agreement.grant_id, agreement.terms.to_json()):
        raise refuse("grant-mismatch", "this grant", "another", "grant")


def _out_of_time(where: str) -> Refused:
    return refuse("times-out-of-order", "a time within the grant's", "another", where)
