"""A service's folder: where it answers is remembered there, and its keys are its owner's alone.

    address              where it answers, for other commands and the next start
    port                 where it listened the last time

A development set-up speaks plain HTTP, and therefore with this machine alone.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from counterfoil_credentials.encoding import JsonObject, texts_at
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_credentials.key_file import load_or_create_private

ADDRESS: Final = "address"
PORT: Final = "port"
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_MAX_ADDRESS: Final = 1_000


@dataclass(frozen=True, slots=True)
class ServedFolder:
    """The folder at `path`."""

    path: Path

    def address(self) -> str | None:
        """Give the URL that `serve` recorded, or None before the first time."""
        try:
            text = (self.path / ADDRESS).read_text("utf-8").strip()
        except FileNotFoundError:
            return None
        if not text.startswith("http") or len(text) > _MAX_ADDRESS or not text.isprintable():
            raise Malformed("an http or https URL", "another text", ADDRESS)
        return text

    def record_address(self, url: str) -> None:
        """Record the URL under which the service is known now."""
        self._record(ADDRESS, url)

    def last_port(self) -> int | None:
        """Give the port that `serve` listened on the last time, so that it takes it again."""
        try:
            text = (self.path / PORT).read_text("ascii").strip()
        except FileNotFoundError:
            return None
        if not text.isdecimal() or not 0 < int(text) < 65_536:
            raise Malformed("a port", "another text", PORT)
        return int(text)

    def record_port(self, port: int) -> None:
        """Record where the service listens now."""
        self._record(PORT, str(port))

    def key(self, name: str) -> bytes:
        """Give the key in the file `name`, made at random when there is none."""
        key = load_or_create_private(self.path / name, _fresh_key).strip()
        if not key or not key.isascii():
            raise Malformed("a key in ASCII letters", "other bytes, or none", name)
        return key

    def _record(self, name: str, text: str) -> None:
        draft = self.path / f".{name}"
        draft.write_text(f"{text}\n", "utf-8")
        draft.replace(self.path / name)


def public_url(
    *,
    given: str | None,
    configured: str | None,
    listens: str | None,
    development: str | None,
    settings: str,
    program: str,
) -> str:
    """Give the URL of a service: `given`, else `configured`, else where it listens.

    `development` is the name of the setting that makes this a development set-up, None
    where it is not set; `settings` names the file, `program` the command, in errors.

    Raises `Misuse` when a development set-up is given another host than this
    machine, and when any other has no https URL.
    """
    url = given or configured
    if url is None:
        if development is None:
            raise Misuse(f"expected an https URL (--public-url, or public_url in {settings})")
        if listens is None:
            raise Misuse(f"expected an address of `{program} serve`, found none yet")
        return listens
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host, parts = None, urlsplit("")
    where = "--public-url" if given else f"public_url in {settings}"
    if development is not None:
        if host not in LOOPBACK:
            expected = f"a loopback URL while {settings} says {development}"
            raise Misuse(f"expected {expected}, found another host ({where})")
    elif parts.scheme != "https":
        raise Misuse(f"expected an https URL, found another scheme ({where})")
    return url


def is_loopback_origin(origin: str) -> bool:
    """Say whether `origin` is one of this machine, such as `http://127.0.0.1:9000`."""
    try:
        parts = urlsplit(origin)
        is_whole = parts.port is not None and f"{parts.scheme}://{parts.netloc}" == origin
    except ValueError:
        return False
    # Addresses alone: a name leads wherever its look-up says.
    addresses = ("127.0.0.1", "::1")
    return is_whole and parts.scheme in ("http", "https") and parts.hostname in addresses


def _fresh_key() -> bytes:
    return f"{secrets.token_urlsafe(32)}\n".encode()


def loopback_origins(
    document: JsonObject, name: str, *, develops: bool, settings: str
) -> frozenset[str]:
    """Give the origins on this machine under `name` in the file `settings`, none without it.

    Raises `Malformed` outside a development set-up, and for an origin elsewhere.
    """
    if name not in document:
        return frozenset()
    where = f"{settings}.{name}"
    if not develops:
        raise Malformed("no such member outside a development set-up", "one", where)
    origins = texts_at(document, name, settings)
    if not all(map(is_loopback_origin, origins)):
        raise Malformed("origins on this machine, such as http://127.0.0.1:9000", "another", where)
    return frozenset(origins)
