"""How the demo's narrator presses the buttons in each house: its back office, over HTTP."""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from counterfoil_credentials.answers import answer_of
from counterfoil_credentials.encoding import JsonObject, as_object, compact_json, list_at
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.fetch import Fetcher, Response
from counterfoil_credentials.spec import JSON_MEDIA_TYPE

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
        return _answer(response)

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
        return _answer(response)

    @property
    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


def segment(text: str) -> str:
    """Give `text` as one segment of a path."""
    return quote(text, safe="")


def objects_at(obj: JsonObject, name: str) -> list[JsonObject]:
    """Give the list of objects under `name`."""
    return [as_object(value, name) for value in list_at(obj, name, "answer")]


def _answer(response: Response) -> JsonObject:
    try:
        return answer_of(response, "house")
    except Refused as refusal:
        # What the narrator sends is made here, but for one thing: a person's own file.
        reason = refusal.reasons[0]
        if reason.code == "invalid_request":
            raise Malformed(reason.expected, reason.found, reason.where) from refusal
        raise
