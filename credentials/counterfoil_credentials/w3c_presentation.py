"""A presentation of the W3C's data model as a value: who holds, and the credentials shown.

VC Data Model 2.0, sections 4.13 and 4.14. Each credential stands there as an object, with
a proof of its own, or in an envelope: a `data:` URL that holds a token.
"""

from dataclasses import field
from typing import Final

from counterfoil_credentials.encoding import Json, JsonObject, as_text
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.records import record
from counterfoil_credentials.w3c_shapes import (
    CREDENTIALS_V2,
    as_url,
    contexts,
    each_at,
    types,
    url_at,
)

VERIFIABLE_PRESENTATION: Final = "VerifiablePresentation"
ENVELOPED_CREDENTIAL: Final = "EnvelopedVerifiableCredential"
VC_JWT_MEDIA_TYPE: Final = "application/vc+jwt"  # Securing VCs with JOSE and COSE, section 6.1.1
MAX_CREDENTIALS: Final = 32


@record(kw_only=True)
class Envelope:
    """A credential in an envelope: its media type and the token (RFC 2397)."""

    media_type: str
    token: str = field(repr=False)


@record(kw_only=True)
class W3cPresentation:
    """A presentation that was read. Nothing says yet that its holder signed it."""

    id: str | None
    types: tuple[str, ...]
    contexts: tuple[Json, ...] = field(repr=False)
    holder: str | None
    credentials: tuple[Envelope | JsonObject, ...] = field(repr=False)
    json: JsonObject = field(repr=False)

    @staticmethod
    def parse(obj: JsonObject, where: str = "presentation") -> "W3cPresentation":
        """Read a presentation; its credentials are read by whoever verifies them.

        Raises `Malformed` with the place of the first thing that the data model does
        not allow, and for more than 32 credentials.
        """
        listed, named = contexts(obj, where), types(obj, where, VERIFIABLE_PRESENTATION)
        credentials = each_at(obj, "verifiableCredential", where, _credential)
        if len(credentials) > MAX_CREDENTIALS:
            place = f"{where}.verifiableCredential"
            raise Malformed(f"at most {MAX_CREDENTIALS} credentials", "more", place)
        return W3cPresentation(
            id=url_at(obj, "id", where),
            types=named,
            contexts=listed,
            holder=_holder(obj, where),
            credentials=credentials,
            json=obj,
        )


def enveloped(token: str) -> JsonObject:
    """Give the object that stands for the credential in `token`, a `vc+jwt` (section 4.14)."""
    return {
        "@context": CREDENTIALS_V2,
        "id": f"data:{VC_JWT_MEDIA_TYPE},{token}",
        "type": ENVELOPED_CREDENTIAL,
    }


def _holder(obj: JsonObject, where: str) -> str | None:
    value, place = obj.get("holder"), f"{where}.holder"
    if isinstance(value, dict):
        return as_url(value.get("id"), f"{place}.id")
    return url_at(obj, "holder", where)


def _credential(obj: JsonObject, where: str) -> Envelope | JsonObject:
    if ENVELOPED_CREDENTIAL not in types(obj, where):
        return obj
    # One context is often written without brackets here, as the specification's own
    # examples do.
    if obj.get("@context") != CREDENTIALS_V2:
        contexts(obj, where)
    text, place = as_text(obj.get("id"), f"{where}.id"), f"{where}.id"
    head, comma, token = text.partition(",")
    if not comma or not token or not head.startswith("data:"):
        raise Malformed("a data: URL with its content", "another text", place)
    return Envelope(media_type=head.removeprefix("data:"), token=token)
