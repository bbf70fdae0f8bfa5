"""How one party calls another: signed papers out, signed papers back.

A refusal comes back as `Refused` with the other side's reasons, whatever else is
wrong as `Unavailable`: what we could not find out never counts as a yes.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from counterfoil_credentials.answers import answer_of
from counterfoil_credentials.dids import Did, key_of_did_jwk
from counterfoil_credentials.encoding import JsonObject, text_at
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.spec import FORM_MEDIA_TYPE, JSON_MEDIA_TYPE, TOKEN_MEDIA_TYPE

from counterfoil_consent.parties import CustodianParty
from counterfoil_consent.wire import GrantId

_MAX_ANSWER_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class CustodianClient:
    """The custodian at `party.origin`, as the wallet and the receiver call it."""

    party: CustodianParty
    fetcher: Fetcher

    def key(self, grant_id: GrantId, token: str) -> str:
        """Ask for the one-time key; gives the signed `CustodianKey`."""
        return text_at(self._post(f"/grants/{grant_id}/key", token), "key", "custodian")

    def register(self, token: str) -> None:
        """Register a grant."""
        self._post("/grants", token)

    def acknowledge(self, grant_id: GrantId, receipt: str) -> None:
        """Hand over the receiver's receipt."""
        self._post(f"/grants/{grant_id}/receipt", receipt)

    def lease(self, grant_id: GrantId, token: str) -> str:
        """Ask for one read; gives the signed `Lease`."""
        return text_at(self._post(f"/grants/{grant_id}/leases", token), "lease", "custodian")

    def usage(self, grant_id: GrantId, token: str) -> str:
        """Ask how the grant was used; gives the signed `Usage`."""
        return text_at(self._post(f"/grants/{grant_id}/usage", token), "usage", "custodian")

    def end(self, grant_id: GrantId, token: str) -> str:
        """End the grant; gives the signed `KeyDestruction`."""
        return text_at(self._post(f"/grants/{grant_id}/end", token), "statement", "custodian")

    def _post(self, path: str, token: str) -> JsonObject:
        return post(
            self.fetcher,
            f"{self.party.origin}{path}",
            token.encode("ascii", "replace"),
            media_type=TOKEN_MEDIA_TYPE,
            who="custodian",
        )


def fetch_custodian(fetcher: Fetcher, origin: str) -> CustodianParty:
    """Give the custodian that answers at `origin`: `GET /custodian`.

    TLS proves the origin; whether to trust that custodian is the caller's choice.
    """
    response = fetcher.get(
        f"{origin}/custodian", accept=JSON_MEDIA_TYPE, max_bytes=_MAX_ANSWER_BYTES
    )
    answer = answer_of(response, "custodian")
    if text_at(answer, "origin", "custodian") != origin:
        raise Malformed("the origin that was asked", "another", "custodian.origin")
    did = text_at(answer, "did", "custodian")
    key_of_did_jwk(did, "custodian.did")
    return CustodianParty(origin=origin, did=Did(did))


def post(fetcher: Fetcher, url: str, body: bytes, *, media_type: str, who: str) -> JsonObject:
    """POST `body` and give the JSON object of a 2xx answer."""
    response = fetcher.post(url, body, media_type=media_type, max_bytes=_MAX_ANSWER_BYTES)
    return answer_of(response, who)


def post_form(fetcher: Fetcher, url: str, form: dict[str, str], *, who: str) -> JsonObject:
    """POST a form (OpenID4VP 1.0, section 8.2) and give the JSON object of a 2xx answer."""
    body = urlencode(form).encode("ascii")
    return post(fetcher, url, body, media_type=FORM_MEDIA_TYPE, who=who)
