"""Where a counter takes vouchers, each once.

    taken = VoucherDesk(verifier, names).take(vp_token, request, now=now)

The voucher is spent when everything else about it is good: a refusal spends nothing. Tills
that share a database spend each voucher once between them. A counter's service does the
same for a preset that is `taken_once`, in one step with its verdict (`deciding.py`). A till
that is offline cannot know what another took; what each keeps (`TakenVoucher`) shows the
brand later who gave it twice.
"""

from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.encoding import JsonObject, text_at
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from counterfoil_credentials.requests import PresentationRequest, VpToken
from counterfoil_credentials.sdjwt_vc import time_at
from counterfoil_credentials.voucher import TakenVoucher, voucher_in

from counterfoil_verifier.store import OneTimeName, OneTimeNames
from counterfoil_verifier.verifier import Verifier

# Clocks differ by less than this: until then, a voucher past its end may still be accepted.
_KEPT_LONGER: Final = timedelta(days=1)


SPENT: Final = Reason(
    "voucher-spent", "a voucher not taken before", "one that was", "credential.voucher"
)


def one_use_of(claims: JsonObject) -> OneTimeName:
    """Give the name that taking a voucher takes; `claims` are those of an accepted credential.

    Raises `Malformed` for a credential that is no voucher, or has no end.
    """
    voucher = voucher_in(claims)
    ends_at = time_at(claims, "exp", "credential")
    if ends_at is None:
        # It could be forgotten on no day without being good once more.
        raise Malformed("a voucher with an end", "none", "credential.exp")
    issuer = text_at(claims, "iss", "credential")
    name = f"voucher {len(issuer)} {issuer} {voucher.reference}"
    return OneTimeName(name, ends_at + _KEPT_LONGER)


class VoucherDesk:
    """Takes vouchers that `verifier` accepts; `names` remembers which were taken."""

    def __init__(self, verifier: Verifier, names: OneTimeNames) -> None:
        self._verifier = verifier
        self._names = names

    def take(
        self, vp_token: VpToken, request: PresentationRequest, *, now: datetime
    ) -> TakenVoucher:
        """Take the voucher shown in answer to `request`, for the one time that it is good.

        `request` asks for one credential, bound to its holder. Raises as
        `Verifier.verify` does, `Malformed` for a credential that is no voucher or has no
        end, and `Refused` with `voucher-spent` for one that was taken here before.
        """
        queries = request.query.credentials
        if len(queries) != 1 or queries[0].multiple or not queries[0].requires_holder_binding:
            raise Misuse("expected a request for one voucher bound to its holder, found another")
        query_id = queries[0].id
        accepted = self._verifier.verify(vp_token, request, now=now)
        use = one_use_of(accepted.claims[query_id])
        if not self._names.take(use.name, ends_at=use.ends_at):
            raise Refused(SPENT)
        (presentation,) = vp_token[query_id]
        return TakenVoucher(
            presentation=presentation,
            shop=request.client_id,
            nonce=request.nonce,
            taken_at=now.replace(microsecond=0),
        )
