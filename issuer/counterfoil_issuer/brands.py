"""Several brands in one service, each as if it were alone.

    brands_app({"/audio": create_app(audio, ...), "/chairs": create_app(chairs, ...)})

A brand is its own issuer: identifier, catalogue, keys, secret, database, staff keys
and webhooks. What is shared is the process and its socket. The identifiers differ in
their path, so the path alone says whom a request is for; a well-known name stands
before it (`/.well-known/openid-credential-issuer/audio`).

In a folder, brands are the folders below `brands/`, and each has the name of its path.
"""

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from counterfoil_credentials.errors import Malformed, Misuse
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

FOLDER: Final = "brands"
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")
_WELL_KNOWN: Final = re.compile(r"/\.well-known/[A-Za-z0-9-]+(?=/|\Z)")


def brands_app(apps: Mapping[str, Starlette]) -> Starlette:
    """Give the service of all brands; `apps` are theirs by the path of their identifiers.

    Raises `Misuse` for a path that lies within another's: a request would be for both.
    """
    for path in apps:
        if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path):
            raise Misuse(f"expected a brand's path like /audio, found {path!r}")
        if any(other.startswith(f"{path}/") for other in apps):
            raise Misuse(f"expected brands' paths side by side, found one within {path}")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None, None]:
        async with AsyncExitStack() as stack:
            for app in apps.values():
                await stack.enter_async_context(app.router.lifespan_context(app))
            yield

    return Starlette(routes=[Mount("/", app=_ByPath(apps))], lifespan=lifespan)


def brand_folders(folder: Path) -> dict[str, Path]:
    """Give the brands' folders below `folder` by name; none when it is one brand's own.

    Raises `Malformed` for a name that cannot stand in a path.
    """
    found = folder / FOLDER
    brands = sorted(place for place in found.iterdir() if place.is_dir()) if found.is_dir() else []
    return {require_brand_name(place.name): place for place in brands}


def require_brand_name(name: str) -> str:
    """Give `name` if it can be a brand's path: small letters, digits and hyphens."""
    if not _NAME.match(name):
        raise Malformed("a brand's name of small letters, digits and hyphens", name, FOLDER)
    return name


class _ByPath:
    """ASGI: hands a request to the brand that its path names, unchanged."""

    def __init__(self, apps: Mapping[str, ASGIApp]) -> None:
        self._apps = dict(apps)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # `Mount` took nothing away: its path is "/".
        path = _WELL_KNOWN.sub("", scope["path"], count=1)
        for prefix, app in self._apps.items():
            if path == prefix or path.startswith(f"{prefix}/"):
                await app(scope, receive, send)
                return
        body = {
            "error": "not_found",
            "error_description": "expected the path of a brand of this service, found another",
        }
        await JSONResponse(body, 404)(scope, receive, send)
