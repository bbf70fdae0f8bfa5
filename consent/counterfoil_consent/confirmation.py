"""After a custodian lost its journal, the holder says again that her grant is in force.

    confirm_grant(active, signer=signer, fetcher=fetcher, now=now)

Whatever ended meanwhile may be forgotten there; the wallet has not forgotten it. The
confirmation names the new journal, so that one from before the loss confirms nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from counterfoil_credentials.answers import answer_of
from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import JsonObject, text_at
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.keys import Signer
from counterfoil_credentials.spec import JSON_MEDIA_TYPE, TOKEN_MEDIA_TYPE

from counterfoil_consent.artefacts import require_grant
from counterfoil_consent.client import post
from counterfoil_consent.spec import CONFIRMATION_TYP
from counterfoil_consent.states import Active, Suspended
from counterfoil_consent.wire import (
    Digest,
    GrantId,
    instant_at,
    read_artefact,
    refuse,
    require_members,
    seconds,
    short_text_at,
    sign_artefact,
)

_MAX_ANSWER_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """The holder tells the custodian at `audience` that the grant is in force.

    `journal` is the name of the custodian's journal as `GET /custodian` gives it.
    """

    grant_id: GrantId
    grant_digest: Digest
    journal: str
    confirmed_at: datetime

    def sign(self, signer: Signer, *, audience: str) -> str:
        """Sign with the pairwise key."""
        claims: JsonObject = {
            "aud": audience,
            "iat": seconds(self.confirmed_at),
            "grant_id": self.grant_id,
            "grant_digest": self.grant_digest,
            "journal": self.journal,
        }
        return sign_artefact(claims, typ=CONFIRMATION_TYP, signer=signer)

    @staticmethod
    def read(token: str, *, audience: str, holder: Did, grant_id: GrantId) -> "Confirmation":
        """Read what `holder` signed about this grant for `audience`."""
        where = "confirmation"
        claims = read_artefact(token, typ=CONFIRMATION_TYP, by=holder, where=where)
        names = ("iss", "aud", "iat", "grant_id", "grant_digest", "journal")
        require_members(claims, names, where)
        if text_at(claims, "aud", where) != audience:
            raise refuse("audience-mismatch", "this custodian", "another", f"{where}.aud")
        require_grant(GrantId(text_at(claims, "grant_id", where)), grant_id, where)
        return Confirmation(
            grant_id=grant_id,
            grant_digest=Digest(text_at(claims, "grant_digest", where)),
            journal=short_text_at(claims, "journal", where),
            confirmed_at=instant_at(claims, "iat", where),
        )


def confirm_grant(
    grant: Active | Suspended, *, signer: Signer, fetcher: Fetcher, now: datetime
) -> None:
    """Confirm to the custodian that `grant` has not ended, so that it lends again.

    Only for a grant that its holder has not ended. Raises `Refused` with the custodian's
    reasons, or `Unavailable`.
    """
    agreement = grant.agreement
    origin = agreement.terms.custodian.origin
    answer = answer_of(
        fetcher.get(f"{origin}/custodian", accept=JSON_MEDIA_TYPE, max_bytes=_MAX_ANSWER_BYTES),
        "custodian",
    )
    token = Confirmation(
        grant_id=agreement.grant_id,
        grant_digest=agreement.grant_digest,
        journal=short_text_at(answer, "journal", "custodian"),
        confirmed_at=now,
    ).sign(signer, audience=origin)
    post(
        fetcher,
        f"{origin}/grants/{agreement.grant_id}/confirmation",
        token.encode("ascii"),
        media_type=TOKEN_MEDIA_TYPE,
        who="custodian",
    )
