"""SD-JWT in the JWS JSON serialisation, flattened and general (RFC 9901, section 8).

Both are read into the compact form, because that is what `sd_hash` covers: one
`SdJwt` for each signature, all with the disclosures of the first.
"""

from collections.abc import Sequence
from typing import Final

from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    from_b64url,
    list_at,
    object_at,
    optional_text_at,
    parse_object,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_credentials.sdjwt import MAX_DISCLOSURES, MAX_SD_JWT_BYTES, SdJwt

_MAX_SIGNATURES: Final = 10
_OF_ONE: Final = frozenset({"protected", "signature", "header"})
_DISCLOSURES: Final = "disclosures"
_KEY_BINDING: Final = "kb_jwt"


def flattened(sd_jwt: SdJwt) -> JsonObject:
    """Give the flattened serialisation (RFC 7515, section 7.2.2)."""
    protected, payload, signature = _parts(sd_jwt)
    return {
        "payload": payload,
        "protected": protected,
        "signature": signature,
        "header": _unprotected(sd_jwt),
    }


def general(sd_jwts: Sequence[SdJwt]) -> JsonObject:
    """Give the general serialisation of one payload under several signatures.

    The disclosures and the key binding are those of the first.

    Raises `Misuse` for none, and for signatures over different payloads.
    """
    parts = [_parts(sd_jwt) for sd_jwt in sd_jwts]
    if len({payload for _, payload, _ in parts}) != 1:
        raise Misuse("expected signatures over one payload, found none or several payloads")
    signatures: list[Json] = [
        {"protected": protected, "signature": signature} for protected, _, signature in parts
    ]
    as_object(signatures[0], "signatures")["header"] = _unprotected(sd_jwts[0])
    return {"payload": parts[0][1], "signatures": signatures}


def parse_json_sd_jwt(data: bytes | str, where: str = "sd_jwt") -> tuple[SdJwt, ...]:
    """Give the SD-JWT under each of its signatures; the key binding belongs to the first.

    Unprotected headers other than ours are ignored: nothing protects them.

    Raises `Malformed`, also for a header that is both protected by nobody and ours
    beside a later signature (section 8.3).
    """
    obj = parse_object(data, where, max_bytes=MAX_SD_JWT_BYTES)
    payload = text_at(obj, "payload", where)
    if "signatures" not in obj:
        return (_one(obj, payload, where),)
    if not _OF_ONE.isdisjoint(obj):
        raise Malformed("one signature or a list of them", "both", where)
    listed = list_at(obj, "signatures", where)
    if not 1 <= len(listed) <= _MAX_SIGNATURES:
        raise Malformed(f"1 to {_MAX_SIGNATURES} signatures", f"{len(listed)}", where)
    first = _one(as_object(listed[0], f"{where}.signatures[0]"), payload, where)
    others: list[SdJwt] = []
    for i, value in enumerate(listed[1:], start=1):
        place = f"{where}.signatures[{i}]"
        other = as_object(value, place)
        header = _unprotected_of(other, place)
        if _DISCLOSURES in header or _KEY_BINDING in header:
            raise Malformed("disclosures beside the first signature", "beside another", place)
        others.append(SdJwt(_one(other, payload, place).issuer_jwt, first.disclosures))
    return (first, *others)


def _one(signed: JsonObject, payload: str, where: str) -> SdJwt:
    header = _unprotected_of(signed, where)
    disclosures = texts_at(header, _DISCLOSURES, where) if _DISCLOSURES in header else []
    if len(disclosures) > MAX_DISCLOSURES:
        raise Malformed(f"at most {MAX_DISCLOSURES} disclosures", f"{len(disclosures)}", where)
    issuer_jwt = ".".join(
        (text_at(signed, "protected", where), payload, text_at(signed, "signature", where))
    )
    compact = SdJwt(issuer_jwt, tuple(disclosures), optional_text_at(header, _KEY_BINDING, where))
    # A tilde or a dot within a part would read otherwise in the compact form.
    if SdJwt.parse(str(compact), where) != compact or issuer_jwt.count(".") != 2:
        raise Malformed("base64url parts", "other characters", where)
    return compact


def _unprotected_of(signed: JsonObject, where: str) -> JsonObject:
    """Give the header that nobody protects (RFC 7515, sections 4.1.11 and 5.2, step 4)."""
    if "header" not in signed:
        return {}
    header = object_at(signed, "header", where)
    protected = from_b64url(text_at(signed, "protected", where), f"{where}.protected")
    if "crit" in header or not header.keys().isdisjoint(parse_object(protected, where)):
        raise Malformed("names of one header, and no crit", "others", f"{where}.header")
    return header


def _unprotected(sd_jwt: SdJwt) -> JsonObject:
    header: JsonObject = {_DISCLOSURES: [*sd_jwt.disclosures]}
    if sd_jwt.key_binding is not None:
        header[_KEY_BINDING] = sd_jwt.key_binding
    return header


def _parts(sd_jwt: SdJwt) -> tuple[str, str, str]:
    parts = sd_jwt.issuer_jwt.split(".")
    if len(parts) != 3:
        raise Misuse(f"expected a compact JWS of three parts, found {len(parts)}")
    return parts[0], parts[1], parts[2]
