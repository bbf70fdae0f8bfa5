"""Which types an issuer offers, by its own metadata: what `init --trust` begins with.

OpenID4VCI 1.0, section 12.2.
"""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from counterfoil_credentials.encoding import (
    as_object,
    object_at,
    optional_text_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Reason, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.issuer_keys import well_known
from counterfoil_credentials.spec import (
    JSON_MEDIA_TYPE,
    SD_JWT_VC_FORMAT,
    WELL_KNOWN_CREDENTIAL_ISSUER,
)

from counterfoil_verifier.presets import Preset

_WHERE: Final = "issuer_metadata"
_MAX_TYPES: Final = 1_000


def offered_types(fetcher: Fetcher, issuer: str) -> tuple[str, ...]:
    """Give the types (`vct`) of the SD-JWT VCs that `issuer` offers.

    Raises `Unavailable` when nobody answers, `Malformed` for what is no metadata of
    this issuer, and `Refused` for an address that may not be fetched.
    """
    url = well_known(issuer, WELL_KNOWN_CREDENTIAL_ISSUER)
    response = fetcher.get(url, accept=JSON_MEDIA_TYPE)
    if response.status != 200:
        raise Unavailable(f"expected the issuer's metadata, found HTTP status {response.status}")
    document = parse_object(response.body, _WHERE)
    if text_at(document, "credential_issuer", _WHERE) != issuer:
        raise Malformed("the metadata of this issuer", "another's", f"{_WHERE}.credential_issuer")
    member = "credential_configurations_supported"
    offered = object_at(document, member, _WHERE)
    if len(offered) > _MAX_TYPES:
        raise Malformed(f"at most {_MAX_TYPES} types", f"{len(offered)}", f"{_WHERE}.{member}")
    each = [as_object(one, f"{_WHERE}.{member}.{name}") for name, one in offered.items()]
    found = [
        optional_text_at(one, "vct", _WHERE)
        for one in each
        if one.get("format") == SD_JWT_VC_FORMAT
    ]
    return tuple(dict.fromkeys(vct for vct in found if vct))


def types_by_preset(
    vcts: Iterable[str], presets: Iterable[Preset], issuer: str
) -> dict[str, tuple[str, ...]]:
    """Give those of `vcts` that answer each preset, by the last part of their names.

    Raises `Refused` (`no-preset-answered`) when they answer none.
    """
    named = [(_last_part(vct), vct) for vct in vcts]
    found = {
        preset.name: tuple(vct for name, vct in named if name in preset.answered_by)
        for preset in presets
    }
    answered = {name: theirs for name, theirs in found.items() if theirs}
    if not answered:
        expected, found_types = "a type that answers a preset", f"{len(named)} other types"
        raise Refused(Reason("no-preset-answered", expected, found_types, issuer))
    return answered


def _last_part(vct: str) -> str:
    try:
        path = urlsplit(vct).path
    except ValueError:
        return ""
    return path.rstrip("/").replace(":", "/").rpartition("/")[2]
