"""What everybody may read: metadata, keys, types, status lists; and offers, by their secret URL.

The bytes of a status list and their entity tag are made once for each signed list: a
verifier that asks again with the tag gets no body. RFC 9110, sections 8.8 and 13.1;
Token Status List, sections 8 and 13.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from counterfoil_credentials.encoding import JsonObject, b64url, compact_json
from counterfoil_credentials.issuer_keys import well_known
from counterfoil_credentials.spec import (
    JSON_MEDIA_TYPE,
    STATUS_LIST_MEDIA_TYPE,
    TOKEN_MEDIA_TYPE,
    WELL_KNOWN_AUTHORIZATION_SERVER,
    WELL_KNOWN_CREDENTIAL_ISSUER,
    WELL_KNOWN_JWT_VC_ISSUER,
)

from counterfoil_issuer.exchange import Answer, Incoming, json_answer
from counterfoil_issuer.hot_routes import Methods, not_found
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.metadata import (
    Features,
    authorization_server_metadata,
    issuer_metadata,
    signed_issuer_metadata,
)

STATUS_LISTS: Final = "/status-lists/"
TYPES: Final = "/types/"
OFFERS: Final = "/offers/"
_LONGEST_NUMBER: Final = 10
_MOST_LISTS: Final = 1_000
# A browser that opens a document must not take it for a page (SD-JWT VC, section 7.2).
_METADATA: Final = (
    (b"cache-control", b"max-age=300"),
    (b"content-security-policy", b"default-src 'none'"),
    (b"x-content-type-options", b"nosniff"),
)
_AS_JSON: Final = ((b"content-type", JSON_MEDIA_TYPE.encode()), *_METADATA)
_AS_TOKEN: Final = ((b"content-type", TOKEN_MEDIA_TYPE.encode()), *_METADATA)
_VARY: Final = ((b"vary", b"Accept"),)

Document = Callable[[], JsonObject]


def public_paths(issuer: Issuer, features: Features) -> dict[str, Methods]:
    """Give the handlers of the documents that have one path."""
    prefix = urlsplit(issuer.url).path
    documents: dict[str, Document] = {
        WELL_KNOWN_AUTHORIZATION_SERVER: partial(
            authorization_server_metadata, issuer.url, issuer.catalogue, features
        ),
        WELL_KNOWN_JWT_VC_ISSUER: issuer.keys_document,
    }
    paths: dict[str, Methods] = {
        _well_known_path(issuer, name): {"GET": partial(_document, document)}
        for name, document in documents.items()
    }
    paths[_well_known_path(issuer, WELL_KNOWN_CREDENTIAL_ISSUER)] = {
        "GET": partial(_issuer_metadata, issuer, features)
    }
    paths[f"{prefix}/status-lists"] = {"GET": partial(_document, issuer.status_lists)}
    return paths


def public_trees(issuer: Issuer) -> dict[str, Methods]:
    """Give the handlers of what lies below a path, the one asked most often first."""
    prefix = urlsplit(issuer.url).path
    return {
        f"{prefix}{STATUS_LISTS}": {"GET": _StatusLists(issuer, prefix + STATUS_LISTS)},
        f"{prefix}{TYPES}": {"GET": partial(_type, issuer, prefix + TYPES)},
        f"{prefix}{OFFERS}": {"GET": partial(_offer, issuer, prefix + OFFERS)},
    }


class _StatusLists:
    """Serves the signed lists, and keeps the prepared answers of the newest ones."""

    def __init__(self, issuer: Issuer, path: str) -> None:
        self._issuer = issuer
        self._start = len(path)
        self._prepared: dict[int, tuple[str, str, Answer, Answer]] = {}
        ttl_s = int(issuer.options.status_list_ttl.total_seconds())
        self._max_age = f"max-age={ttl_s}".encode()

    async def __call__(self, incoming: Incoming) -> Answer:
        text = incoming.path[self._start :]
        # Only the one spelling of a number is a list's URL.
        if not (text.isascii() and text.isdecimal()) or len(text) > _LONGEST_NUMBER:
            return not_found("a status list of this issuer")
        number = int(text)
        token = self._issuer.kept_status_list(number)
        if token is None:
            # To sign a new one it waits for whoever writes: an import may take its time.
            token = await asyncio.to_thread(self._issuer.status_list, number)
        if token is None or str(number) != text:
            return not_found("a status list of this issuer")
        kept = self._prepared.get(number)
        if kept is None or kept[0] is not token:
            kept = self._prepare(number, token)
        _, tag, whole, unchanged = kept
        known = incoming.header(b"if-none-match")
        return unchanged if known and _knows(known, tag) else whole

    def _prepare(self, number: int, token: str) -> tuple[str, str, Answer, Answer]:
        tag = f'"{b64url(sha256(token.encode()).digest()[:16])}"'
        caching = ((b"etag", tag.encode()), (b"cache-control", self._max_age))
        media_type = (b"content-type", STATUS_LIST_MEDIA_TYPE.encode())
        kept = (
            token,
            tag,
            Answer(200, token.encode("ascii"), (media_type, *caching)),
            Answer(304, b"", caching),
        )
        if len(self._prepared) >= _MOST_LISTS:
            self._prepared.clear()
        self._prepared[number] = kept
        return kept


def _knows(known: str, tag: str) -> bool:
    """Say whether an If-None-Match names `tag`; weak and strong are alike here (section 13.1.2)."""
    return known.strip() == "*" or tag in (
        each.strip().removeprefix("W/") for each in known.split(",")
    )


async def _document(document: Document, incoming: Incoming) -> Answer:  # noqa: ARG001  # a handler
    return Answer(200, compact_json(document()), _AS_JSON)


async def _issuer_metadata(issuer: Issuer, features: Features, incoming: Incoming) -> Answer:
    """Give the metadata signed to whoever prefers it, in JSON to everybody else (12.2.2)."""
    now = issuer.clock()
    signer = issuer.keys.ring().signer(now)
    metadata = issuer_metadata(
        issuer.url, issuer.catalogue, features, algorithms=(signer.public.algorithm,)
    )
    if not prefers_token(incoming.header(b"accept")):
        return Answer(200, compact_json(metadata), (*_AS_JSON, *_VARY))
    token = signed_issuer_metadata(metadata, signer=signer, now=now)
    return Answer(200, token.encode("ascii"), (*_AS_TOKEN, *_VARY))


async def _type(issuer: Issuer, path: str, incoming: Incoming) -> Answer:
    document = issuer.type_metadata(incoming.path[len(path) :])
    if document is None:
        return not_found("a credential type of this issuer")
    return Answer(200, compact_json(document), _AS_JSON)


async def _offer(issuer: Issuer, path: str, incoming: Incoming) -> Answer:
    offered = issuer.offered(incoming.path[len(path) :])
    if offered is None:
        return not_found("an open offer; the brand makes a new one")
    return json_answer(offered)


def prefers_token(accept: str) -> bool:
    """Say whether an Accept header asks for `application/jwt` more than for JSON.

    What it does not name it may have got by chance: JSON is for everybody who did not ask.
    """
    qualities = {
        media_type.strip().lower(): _quality(parameters)
        for media_type, _, parameters in (each.partition(";") for each in accept.split(",")[:50])
    }
    wanted = qualities.get(TOKEN_MEDIA_TYPE, 0.0)
    return wanted > 0 and wanted >= qualities.get(JSON_MEDIA_TYPE, 0.0)


def _quality(parameters: str) -> float:
    for each in parameters.split(";"):
        name, _, value = each.strip().partition("=")
        if name.lower() == "q":
            try:
                return max(0.0, min(1.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0


def _well_known_path(issuer: Issuer, name: str) -> str:
    return urlsplit(well_known(issuer.url, name)).path
