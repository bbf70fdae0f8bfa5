"""What somebody sent with a form: short texts by name, and where a page may lead back to."""

from typing import Annotated, Final, TypeAlias
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.exceptions import HTTPException

_MOST_FIELDS: Final = 100
_LONGEST: Final = 64 * 1024


async def _texts_of(request: Request) -> dict[str, str]:
    kind = request.headers.get("content-type", "").partition(";")[0]
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(415)
    async with request.form(max_files=0, max_fields=_MOST_FIELDS) as form:
        texts = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    if any(len(value) > _LONGEST for value in texts.values()):
        raise HTTPException(413)
    return texts


Texts: TypeAlias = Annotated[dict[str, str], Depends(_texts_of)]
"""The fields of a form, each at most 65,536 characters; of several with a name, the last."""


def local_path(text: str) -> str:
    """Give `text` if it is a path on this very origin, and `/` otherwise.

    What leads elsewhere is what a browser reads as another host: two slashes, or a backslash.
    """
    is_plain = text.isprintable() and "\\" not in text and " " not in text
    if not is_plain or not text.startswith("/") or text.startswith("//"):
        return "/"
    parts = urlsplit(text)
    return "/" if parts.scheme or parts.netloc else text
