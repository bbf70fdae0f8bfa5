"""Redirects, where a standard allows them: few, for GET alone, each hop checked anew.

    FollowingFetcher(fetcher, max_redirects=2).get(url, accept="application/json")

Nobody else follows any: a request object must come from where it was named, and
an answer with personal data must not be sent on. OpenID4VP 1.0, section 14;
SD-JWT VC, section 3.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urljoin

from counterfoil_credentials.errors import Malformed, Misuse, Unavailable
from counterfoil_credentials.fetch import MAX_BYTES, Fetcher, Response
from counterfoil_credentials.fetch_urls import not_allowed, origin_of, parse_url
from counterfoil_credentials.spec import JSON_MEDIA_TYPE

MOST_REDIRECTS: Final = 3
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class FollowingFetcher:
    """A fetcher around another that follows a GET's redirects, to HTTPS only.

    Each hop is a whole exchange of the fetcher within, under all of its rules
    and with its own time. Headers of the caller go to the first origin alone.
    """

    def __init__(self, fetcher: Fetcher, *, max_redirects: int) -> None:
        """Follow at most `max_redirects`, 1 to 3."""
        if not 1 <= max_redirects <= MOST_REDIRECTS:
            raise Misuse(f"expected 1 to {MOST_REDIRECTS} redirects, found {max_redirects}")
        self._fetcher = fetcher
        self._max_redirects = max_redirects

    def get(
        self,
        url: str,
        *,
        accept: str,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> Response:
        """GET `url`, or what it leads to.

        Raises as `Fetcher.get` does for every hop: `Refused` (`fetch-not-allowed`)
        for one that leaves HTTPS or the public Internet, `Malformed` for one that
        leads to no URL, `Unavailable` for one too many.
        """
        for _ in range(1 + self._max_redirects):
            response = self._fetcher.get(url, accept=accept, headers=headers, max_bytes=max_bytes)
            location = response.headers.get("location")
            if response.status not in _REDIRECTS or location is None:
                return response
            following = _next_url(url, location)
            if origin_of(parse_url(following)) != origin_of(parse_url(url)):
                headers = None
            url = following
        raise Unavailable(f"expected at most {self._max_redirects} redirects, found more")

    def post(
        self,
        url: str,
        body: bytes,
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        accept: str = JSON_MEDIA_TYPE,
        max_bytes: int = MAX_BYTES,
    ) -> Response:
        """POST `body` to `url` and nowhere else."""
        return self._fetcher.post(
            url, body, media_type=media_type, headers=headers, accept=accept, max_bytes=max_bytes
        )


def _next_url(url: str, location: str) -> str:
    try:
        following = urljoin(url, location)
    except ValueError as cause:
        raise Malformed("a URL", "another text", "location") from cause
    if parse_url(following).scheme != "https":
        raise not_allowed("a redirect to an https URL", "http:")
    return following
