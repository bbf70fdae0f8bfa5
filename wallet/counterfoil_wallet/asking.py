"""Read a request: follow the link, get the request object, prove who asks.

OpenID4VP 1.0, section 5. Before it is proved who asks, nothing about the wallet goes out but
what every wallet of this kind sends; redirects are not followed. What is then found wrong
with the request is told to whoever asks (section 8.5), in the standard's own word alone:
it depends on the request, never on what the wallet holds. Under `redirect_uri` nobody has
proved anything: whoever wrote the link chose that address, and the `state` that goes with it.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from counterfoil_credentials.client_ids import ClientTrust, Prefix, parse_client_id
from counterfoil_credentials.did_methods import resolver
from counterfoil_credentials.encoding import JsonObject, b64url, compact_json
from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher, Response
from counterfoil_credentials.jws import MAX_TOKEN_BYTES
from counterfoil_credentials.request_links import (
    ByReference,
    ByValue,
    UriMethod,
    read_request_link,
)
from counterfoil_credentials.requests import PresentationRequest, ProvedRequest, prove_request
from counterfoil_credentials.spec import FORM_MEDIA_TYPE, REQUEST_MEDIA_TYPE, SD_JWT_VC_FORMAT

from counterfoil_wallet import spec
from counterfoil_wallet.transactions import Transaction, TransactionType, read_transactions
from counterfoil_wallet.trust import Asker, Trust
from counterfoil_wallet.wire import Clock, Random, https_url, reasons_of, refuse, require_known

_WHERE: Final = "request"
# Where the terms of a grant are at fault, which travel as transaction data (section 8.4).
_OF_TRANSACTIONS: Final = (f"{_WHERE}.transaction_data", "transaction_data", "terms", "notice")
_NONCE_BYTES: Final = 32
# What whoever asks cannot mend: it is no longer there, or has not asked yet, or names somebody
# whom this wallet does not rely on, which is the customer's to change and nobody's to know.
_UNTOLD: Final = frozenset({"request-expired", "request-from-the-future", "custodian-not-trusted"})


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request, who was proved to ask, and the request object as it came ("": none)."""

    request: PresentationRequest
    proved: ProvedRequest

    @property
    def token(self) -> str:
        """The request object as it came."""
        return self.proved.token


@dataclass(frozen=True, slots=True)
class Asking:
    """Reads requests. `types` are the kinds of transaction that the app can show."""

    fetcher: Fetcher
    clock: Clock
    random: Random
    trust: Trust
    types: dict[str, TransactionType] = field(default_factory=dict[str, TransactionType])

    def fetch(self, link: str) -> SignedRequest:
        """Give the request behind `link`, proved and checked.

        Raises `Malformed`, `Unavailable`, or `Refused` with the codes of
        `read_request_link` and `read_request`, `url-not-https` or `request-not-there`.
        """
        clients = self.trust.clients(resolver(self.fetcher), now=self.clock())
        named, nonce = read_request_link(link), None
        match named:
            case ByReference(method=UriMethod.POST):
                nonce = b64url(self.random(_NONCE_BYTES))
                proved = self._prove(named.client_id, self._post(named, nonce), clients)
            case ByReference():
                proved = self._prove(named.client_id, self._get(named), clients)
            case ByValue():
                proved = self._prove(named.client_id, named.token, clients)
            case _:
                proved = named.prove(clients)
        proved.require_for(client_id=named.client_id, wallet_nonce=nonce)
        with self.telling(proved):
            request = proved.read(self.clock())
            https_url(request.response_uri, f"{_WHERE}.response_uri")
        return SignedRequest(request, proved)

    def read_again(self, client_id: str, token: str) -> SignedRequest:
        """Give a request that `fetch` gave before, proved anew from the request object kept.

        Raises `Refused` with `request-expired` once it is over, and what `fetch` raises.
        """
        clients = self.trust.clients(resolver(self.fetcher), now=self.clock())
        proved = self._prove(client_id, token, clients)
        request = proved.read(self.clock())
        https_url(request.response_uri, f"{_WHERE}.response_uri")
        return SignedRequest(request, proved)

    @contextmanager
    def telling(self, proved: ProvedRequest) -> Generator[None, None, None]:
        """Tell whoever asks when the request turns out, inside, `Malformed` or `Refused`."""
        try:
            yield
        except (Malformed, Refused) as error:
            reasons = reasons_of(error)
            if not any(reason.code in _UNTOLD for reason in reasons):
                about_data = any(r.where.startswith(_OF_TRANSACTIONS) for r in reasons)
                self._tell(
                    proved, spec.INVALID_TRANSACTION_DATA if about_data else spec.INVALID_REQUEST
                )
            raise

    def asker(self, signed: SignedRequest) -> Asker:
        """Give who asks, as far as this wallet knows."""
        name = signed.request.client_name
        return self.trust.asker(signed.proved.client, name, now=self.clock())

    def transactions(self, signed: SignedRequest) -> tuple[Transaction, ...]:
        """Give what is to be signed besides the presentation; see `read_transactions`."""
        try:
            return read_transactions(signed.request, self.types)
        except (Malformed, Refused):
            self._tell(signed.proved, spec.INVALID_TRANSACTION_DATA)
            raise

    def _prove(self, client_id: str, token: str, clients: ClientTrust) -> ProvedRequest:
        return prove_request(token, client_id=client_id, now=self.clock(), trust=clients)

    def _get(self, named: ByReference) -> str:
        url = https_url(named.request_uri, "request_link.request_uri")
        return _token_in(
            self.fetcher.get(url, accept=REQUEST_MEDIA_TYPE, max_bytes=MAX_TOKEN_BYTES)
        )

    def _post(self, named: ByReference, nonce: str) -> str:
        # Section 5.10. The nonce makes an old request object worthless to whoever kept it.
        url = https_url(named.request_uri, "request_link.request_uri")
        form = {
            "wallet_metadata": compact_json(wallet_metadata(named.client_id)).decode(),
            "wallet_nonce": nonce,
        }
        response = self.fetcher.post(
            url,
            urlencode(form).encode(),
            media_type=FORM_MEDIA_TYPE,
            accept=REQUEST_MEDIA_TYPE,
            max_bytes=MAX_TOKEN_BYTES,
        )
        if response.status == 200 and response.media_type not in ("", REQUEST_MEDIA_TYPE):
            raise refuse("media-type-not-accepted", REQUEST_MEDIA_TYPE, "another", _WHERE)
        return _token_in(response)

    def _tell(self, proved: ProvedRequest, code: str) -> None:
        url = proved.answers_go_to
        if url is None:
            return
        # It was told why it is refused here; the other side is only helped by it.
        with suppress(CounterfoilError):
            tell_error(self.fetcher, https_url(url, _WHERE), code, proved.state)


def wallet_metadata(client_id: str) -> JsonObject:
    """Give what this wallet can do (sections 5.10 and 10.1): the same from every wallet."""
    metadata: JsonObject = {
        "vp_formats_supported": {
            SD_JWT_VC_FORMAT: {"sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"]}
        },
        "client_id_prefixes_supported": [prefix.value for prefix in Prefix],
        "response_types_supported": ["vp_token"],
        "response_modes_supported": ["direct_post", "direct_post.jwt"],
        "authorization_encryption_alg_values_supported": ["ECDH-ES"],
        "authorization_encryption_enc_values_supported": ["A128GCM", "A256GCM"],
    }
    if parse_client_id(client_id).prefix is not Prefix.REDIRECT_URI:
        metadata["request_object_signing_alg_values_supported"] = ["ES256"]
    return metadata


def tell_error(fetcher: Fetcher, url: str, code: str, state: str | None) -> Response:
    """Send an error response (section 8.5): the code, and the state that it belongs to."""
    form = error_form(code, state)
    return fetcher.post(url, urlencode(form).encode(), media_type=FORM_MEDIA_TYPE)


def error_form(code: str, state: str | None) -> Mapping[str, str]:
    """Give the parameters of an error response."""
    return {spec.ERROR: code} if state is None else {spec.ERROR: code, spec.STATE: state}


def _token_in(response: Response) -> str:
    require_known(response, _WHERE)
    if response.status in (404, 410):
        raise refuse("request-not-there", "the request", "none: it is over, or never was", _WHERE)
    if response.status != 200:
        raise Unavailable(f"expected the request, found HTTP status {response.status}")
    try:
        return response.body.decode("ascii").strip()
    except UnicodeDecodeError as cause:
        raise Malformed("a signed request object", "other bytes", _WHERE) from cause
