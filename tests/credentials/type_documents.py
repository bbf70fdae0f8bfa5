"""Type metadata as tests write it."""

import base64
import hashlib
from datetime import UTC, datetime

from counterfoil_credentials.encoding import Json, JsonObject, compact_json
from counterfoil_credentials.type_metadata import (
    TypeMetadata,
    parse_type_metadata,
)
from hypothesis import strategies as st

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
VCT = "https://audio.example/types/warranty"
BASE = "https://trade.example/types/warranty"
ROOT = "urn:example:warranty"
SHA256 = "sha256-" + base64.b64encode(hashlib.sha256(b"data").digest()).decode()
SHA384 = "sha384-" + base64.b64encode(hashlib.sha384(b"data").digest()).decode()
SHA512 = "sha512-" + base64.b64encode(hashlib.sha512(b"data").digest()).decode()
WRONG = {name: f"{name}-AAAA" for name in ("sha256", "sha384", "sha512")}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def parse(**members: Json) -> TypeMetadata:
    return parse_type_metadata(compact_json({"vct": VCT, **members}))


def display(**members: Json) -> JsonObject:
    return {"locale": "en", "name": "Warranty", **members}


def claim(*path: str | int | None, **members: Json) -> JsonObject:
    return {"path": [*path], **members}


def integrity_of(data: bytes) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(data).digest()).decode()
