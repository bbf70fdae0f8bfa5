"""The members of an object in a file of the shop: those that are known, and no others."""

from collections.abc import Iterable

from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Malformed


def require_only(obj: JsonObject, members: Iterable[str], where: str) -> None:
    """Return only if `obj` has no member besides `members`; `Malformed` names the first."""
    known = [*members]
    if unknown := sorted(obj.keys() - set(known)):
        raise Malformed(f"only {', '.join(known)}", unknown[0], where)
