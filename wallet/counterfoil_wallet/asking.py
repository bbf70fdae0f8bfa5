"""Read a request: follow the link, fetch the signed request object, verify it.

OpenID4VP 1.0, section 5, by reference. Nothing about the wallet goes out: the
request object is fetched like any page, and redirects are not followed.
"""

from dataclasses import dataclass, field
from typing import Final

from counterfoil_credentials.errors import Malformed, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.jws import MAX_TOKEN_BYTES
from counterfoil_credentials.request_links import parse_request_link
from counterfoil_credentials.requests import PresentationRequest, read_request
from counterfoil_credentials.spec import REQUEST_MEDIA_TYPE

from counterfoil_wallet.wire import Clock, https_url, refuse, require_known

_WHERE: Final = "request"


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A verified request, and the request object as it was signed."""

    request: PresentationRequest
    token: str = field(repr=False)


def fetch_request(link: str, *, fetcher: Fetcher, clock: Clock) -> SignedRequest:
    """Give the request behind `link`, verified with the key that its client id names.

    Raises `Malformed`, `Unavailable`, or `Refused` with the codes of
    `read_request`, `url-not-https` or `request-not-there`.
    """
    named = parse_request_link(link)
    url = https_url(named.request_uri, "request_link.request_uri")
    response = fetcher.get(url, accept=REQUEST_MEDIA_TYPE, max_bytes=MAX_TOKEN_BYTES)
    require_known(response, _WHERE)
    if response.status in (404, 410):
        raise refuse("request-not-there", "the request", "none: it is over, or never was", _WHERE)
    if response.status != 200:
        raise Unavailable(f"expected the request, found HTTP status {response.status}")
    try:
        token = response.body.decode("ascii").strip()
    except UnicodeDecodeError as cause:
        raise Malformed("a signed request object", "other bytes", _WHERE) from cause
    request = read_request(token, client_id=named.client_id, now=clock())
    https_url(request.response_uri, f"{_WHERE}.response_uri")
    return SignedRequest(request, token)
