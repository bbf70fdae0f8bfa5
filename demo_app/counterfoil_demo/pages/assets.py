"""The files that pages load: read at the start, named by what is in them, and never changed.

The name of a file holds the digest of its bytes, so a browser may keep it for good; and each
page says with which digest it takes a script or a style sheet (Subresource Integrity).
"""

import gzip
import hashlib
from base64 import b64encode
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from typing import Final

from fastapi import APIRouter, Request, Response

_MEDIA_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "wasm": "application/wasm",
}
_FOLDERS: Final = (("vendored",), ("pages", "static"))
_FOR_GOOD: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    """One file, and where a page finds it."""

    name: str
    body: bytes = field(repr=False)

    @cached_property
    def digest(self) -> bytes:
        """Give the SHA-384 of its bytes."""
        return hashlib.sha384(self.body).digest()

    @property
    def integrity(self) -> str:
        """Give what a page asks the browser to compare it with."""
        return f"sha384-{b64encode(self.digest).decode()}"

    @property
    def path(self) -> str:
        """Give its address on this origin."""
        return f"/assets/{self.digest.hex()[:16]}/{self.name}"

    @property
    def media_type(self) -> str:
        """Give its type, by its name's end."""
        return _MEDIA_TYPES[self.name.rpartition(".")[2]]

    @cached_property
    def compressed(self) -> bytes:
        """Give it gzipped."""
        return gzip.compress(self.body, mtime=0)


def read_assets() -> dict[str, Asset]:
    """Give every file that pages may load, by its name."""
    found = [
        entry
        for folder in _FOLDERS
        for entry in files("counterfoil_demo").joinpath(*folder).iterdir()
        if entry.name.rpartition(".")[2] in _MEDIA_TYPES
    ]
    return {entry.name: Asset(entry.name, entry.read_bytes()) for entry in found}


def asset_routes(assets: dict[str, Asset]) -> APIRouter:
    """Give the route that serves them."""
    routes = APIRouter()

    @routes.get("/assets/{digest}/{name}")
    def asset(request: Request, digest: str, name: str) -> Response:
        found = assets.get(name)
        if found is None or found.path != f"/assets/{digest}/{name}":
            return Response(status_code=404)
        headers = {"Cache-Control": _FOR_GOOD, "Vary": "Accept-Encoding"}
        body = found.body
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"], body = "gzip", found.compressed
        return Response(body, media_type=found.media_type, headers=headers)

    return routes
