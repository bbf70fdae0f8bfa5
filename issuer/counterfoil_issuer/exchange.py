"""One HTTP exchange on a path that is asked often: the request as it came, the answer as bytes.

A route of FastAPI costs three P-256 signatures before it does anything, and one of
Starlette costs one. What wallets and tills ask all day is a function from an
`Incoming` to an `Answer`; `hot_routes` calls it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Final

from counterfoil_credentials.encoding import Json, JsonObject, compact_json, parse_object
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.records import record
from counterfoil_credentials.spec import JSON_MEDIA_TYPE
from starlette.types import Receive, Scope

MAX_BODY_BYTES: Final = 65_536
_DESCRIPTION_CHARACTERS: Final = 1_000
_NO_STORE: Final = (b"cache-control", b"no-store")
_JSON: Final = (b"content-type", JSON_MEDIA_TYPE.encode())


class TooLarge(Exception):  # it ends as an answer with status 413
    """A body of more than `MAX_BODY_BYTES`."""


@record()
class Answer:
    """What goes back. `headers` are lower-case names with values; the length is not among them."""

    status: int
    body: bytes = field(repr=False, default=b"")
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def with_headers(self, headers: Mapping[str, str]) -> "Answer":
        """Give the answer with more headers."""
        more = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        return Answer(self.status, self.body, (*self.headers, *more))


class Incoming:
    """A request. Its body is read at most once, and never more of it than `MAX_BODY_BYTES`."""

    __slots__ = ("_first", "_headers", "_receive", "path", "query")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]
        # Of several of one name the first stays, as it is put in last.
        self._first: dict[bytes, bytes] = dict(reversed(self._headers))
        self._receive = receive

    def header(self, name: bytes) -> str:
        """Give the first value of a header, empty when there is none. `name` is lower case."""
        return self._first.get(name, b"").decode("latin-1")

    def headers(self, name: str) -> Sequence[str]:
        """Give all values of a header."""
        wanted = name.lower().encode()
        return [value.decode("latin-1") for found, value in self._headers if found == wanted]

    @property
    def media_type(self) -> str:
        """Give the media type of the body, without parameters, in lower case."""
        return self.header(b"content-type").partition(";")[0].strip().lower()

    async def body(self) -> bytes:
        """Read the body. Raises `TooLarge`, before reading when the length was announced."""
        length = self.header(b"content-length")
        if length.isdecimal() and int(length[:12]) > MAX_BODY_BYTES:
            raise TooLarge
        body, is_more = b"", True
        while is_more:
            message = await self._receive()
            if message["type"] != "http.request":
                # What arrived before the sender was gone may read as something else.
                raise Malformed("a whole body", "one cut short", "body")
            body += message.get("body", b"")
            is_more = message.get("more_body", False)
            if len(body) > MAX_BODY_BYTES:
                raise TooLarge
        return body

    def json(self, body: bytes, where: str) -> JsonObject:
        """Give the JSON object in `body`, which is this exchange's, or raise `Malformed`."""
        if self.media_type != JSON_MEDIA_TYPE:
            raise Malformed(JSON_MEDIA_TYPE, "another media type", "Content-Type")
        return parse_object(body, where, max_bytes=MAX_BODY_BYTES)


def json_answer(value: Json, status: int = 200) -> Answer:
    """Give an answer in JSON that nobody keeps."""
    return Answer(status, compact_json(value), (_JSON, _NO_STORE))


def secret_answer(body: bytes, media_type: str, status: int = 200) -> Answer:
    """Give an answer that nobody keeps, in a media type of its own."""
    return Answer(status, body, ((b"content-type", media_type.encode()), _NO_STORE))


def empty_answer() -> Answer:
    """Give the answer that says only that it worked."""
    return Answer(204, b"", (_NO_STORE,))


def error_answer(
    status: int, error: str, description: str, headers: Mapping[str, str] | None = None
) -> Answer:
    """Give a failure in the shape of RFC 6749, section 5.2."""
    body: JsonObject = {"error": error, "error_description": _plain(description)}
    return json_answer(body, status).with_headers(headers or {})


def _plain(text: str) -> str:
    """Keep what RFC 6749, section 5.2 allows: printable ASCII without quote and backslash."""
    exchanged = text.replace('"', "'").replace("\\", "/")[:_DESCRIPTION_CHARACTERS]
    return "".join(letter if " " <= letter <= "~" else "?" for letter in exchanged)
