"""How the demo's narrator presses the buttons in each house: its back office, over HTTP."""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from counterfoil_credentials.encoding import (
    JsonObject,
    as_object,
    compact_json,
    list_at,
    optional_text_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Reason, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.spec import JSON_MEDIA_TYPE

_SPELLED: Final = re.compile(r"expected (.*), found (.*) \((.*)\)\Z", re.DOTALL)
_MAX_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Office:
    """One house's back office: JSON in, JSON out, under its bearer key."""

    fetcher: Fetcher
    origin: str
    key: str = field(repr=False)

    def get(self, path: str) -> JsonObject:
        """GET a JSON object; `Refused` with the house's reasons for a 4xx."""
        response = self.fetcher.get(
            self.origin + path,
            accept=JSON_MEDIA_TYPE,
            headers=self._authorization,
            max_bytes=_MAX_BYTES,
        )
        return _answer(response.status, response.body)

    def post(self, path: str, body: JsonObject | None = None) -> JsonObject:
        """POST a JSON object and give the JSON object that comes back."""
        return self.post_bytes(path, compact_json(body or {}), JSON_MEDIA_TYPE)

    def post_bytes(self, path: str, body: bytes, media_type: str) -> JsonObject:
        """POST `body` as it is."""
        response = self.fetcher.post(
            self.origin + path,
            body,
            media_type=media_type,
            headers=self._authorization,
            max_bytes=_MAX_BYTES,
        )
        return _answer(response.status, response.body)

    @property
    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


def segment(text: str) -> str:
    """Give `text` as one segment of a path."""
    return quote(text, safe="")


def objects_at(obj: JsonObject, name: str) -> list[JsonObject]:
    """Give the list of objects under `name`."""
    return [as_object(value, name) for value in list_at(obj, name, "answer")]


def _answer(status: int, body: bytes) -> JsonObject:
    if 200 <= status < 300:
        return parse_object(body, "answer", max_bytes=_MAX_BYTES) if body else {}
    if not 400 <= status < 500:
        raise Unavailable(f"expected an answer, found HTTP status {status}")
    told = parse_object(body, "answer", max_bytes=_MAX_BYTES)
    reasons = [
        Reason(
            text_at(reason, "code", "reason"),
            optional_text_at(reason, "expected", "reason") or "another",
            optional_text_at(reason, "found", "reason") or "this",
            optional_text_at(reason, "where", "reason") or "",
        )
        for reason in (objects_at(told, "reasons") if "reasons" in told else ())
    ]
    if reasons:
        raise Refused(*reasons)
    description = optional_text_at(told, "error_description", "answer") or ""
    if spelled := _SPELLED.match(description):
        raise Malformed(*spelled.groups())
    raise Refused(
        Reason(text_at(told, "error", "answer"), "another request", f"status {status}", "answer")
    )
