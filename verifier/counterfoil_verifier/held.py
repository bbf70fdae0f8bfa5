"""What a look may take once: facts and reasons, readable by the till that asked alone.

    secret, public = new_facts_key()       # the till keeps the secret, the session the other
    kept = shut_held(held, public)         # whoever took the answer; the store keeps this
    held = open_held(kept, secret)         # for the till's first look, in whichever process

One process holds facts in its memory, and they are written nowhere. Where several share
a database, the one that took the answer is mostly not the one that the till looks at, so
what is held travels through the store, encrypted to a key that was made for this one
question. The store, its log, its backups and the shop's own secrets open none of it: what
opens it is the part of the question's name after the dot, which a till forgets with the
look. A backup may hold what was shut for longer than the minute.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_list,
    as_text,
    b64url,
    compact_json,
    from_b64url,
    list_at,
    object_at,
    optional_text_at,
    parse_object,
)
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from counterfoil_credentials.jose import DecryptionKey, EncryptionKey, decrypt_jwe, encrypt_jwe
from counterfoil_credentials.keys import PublicKey

_NAME = "facts"
_WHERE = "held"
_MAX_DEPTH = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What one look may take: facts by the path that was asked for, or reasons in full.

    `receipt` is there for a customer without a network, who reads it off the till's screen;
    `taken` is a voucher that was taken (`TakenVoucher.to_json`), for the shop to hand in.
    """

    facts: Mapping[str, Json] = field(default_factory=dict[str, Json], repr=False)
    reasons: tuple[Reason, ...] = ()
    receipt: str | None = field(default=None, repr=False)
    taken: JsonObject | None = field(default=None, repr=False)


def new_facts_key() -> tuple[str, str]:
    """Give the secret for the till and the public key for the session, as texts."""
    key = DecryptionKey.generate(_NAME)
    jwk = key.public.point.jwk()
    return b64url(key.private_bytes()), f"{jwk['x']}.{jwk['y']}"


def shut_held(held: Held, public: str) -> str:
    """Give `held` encrypted to a session's key."""
    x, _, y = public.partition(".")
    point = PublicKey.from_jwk({"kty": "EC", "crv": "P-256", "x": x, "y": y}, _WHERE)
    content: JsonObject = {
        "facts": dict(held.facts),
        "reasons": [[each.code, each.expected, each.found, each.where] for each in held.reasons],
    }
    if held.receipt is not None:
        content["receipt"] = held.receipt
    if held.taken is not None:
        content["taken"] = held.taken
    return encrypt_jwe(compact_json(content), key=EncryptionKey(_NAME, point))


def open_held(kept: str, secret: str) -> Held | None:
    """Give what was held, or None when `secret` is not this session's."""
    try:
        private = from_b64url(secret, _WHERE)
        if len(private) != 32:
            return None
        key = DecryptionKey.from_private_bytes(private, _NAME)
        plain = decrypt_jwe(kept, keys=[key], where=_WHERE)
    except (Malformed, Misuse, Refused):
        return None
    content = parse_object(plain, _WHERE, max_bytes=len(plain), max_depth=_MAX_DEPTH)
    return Held(
        facts=object_at(content, "facts", _WHERE),
        reasons=tuple(_reason(each) for each in list_at(content, "reasons", _WHERE)),
        receipt=optional_text_at(content, "receipt", _WHERE),
        taken=object_at(content, "taken", _WHERE) if "taken" in content else None,
    )


def _reason(listed: Json) -> Reason:
    code, expected, found, where = (as_text(each, _WHERE) for each in as_list(listed, _WHERE))
    return Reason(code, expected, found, where)
