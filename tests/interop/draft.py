"""A presentation in parts that can be changed, one by one, before it is signed and joined.

Its issuer and its holder sign whatever stands there: what a verifier must refuse, it must
refuse under good signatures.
"""

import hmac
import json
import random
from base64 import urlsafe_b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import new as new_hash
from typing import Final, Literal, cast

from counterfoil_credentials import Json, JsonObject, MemorySigner
from counterfoil_credentials.encoding import b64url

from tests.interop.scene import (
    AUDIENCE,
    HOLDER_KEY,
    ISSUER_KEY,
    NONCE,
    NOW,
    Shape,
    issued,
)

Part = Literal["header", "claims", "kb_header", "kb_claims"]
Spelling = dict[Part, Callable[[str], str]]
GONE: Final = "a member to be taken away"


@dataclass
class Draft:
    """A presentation in parts. What is None is filled in when it is signed."""

    header: JsonObject
    claims: JsonObject
    disclosures: list[str]
    kb_header: JsonObject
    kb_claims: JsonObject
    chance: random.Random
    issuer: MemorySigner = ISSUER_KEY
    holder: MemorySigner = HOLDER_KEY
    # How a part's JSON is spelled, and its base64url; how signatures are; what follows binding.
    spell: dict[Part, Callable[[str], str]] = field(
        default_factory=dict[Part, Callable[[str], str]]
    )
    encode: dict[Part, Callable[[str], str]] = field(
        default_factory=dict[Part, Callable[[str], str]]
    )
    issuer_signature: Callable[[bytes], bytes] = bytes
    holder_signature: Callable[[bytes], bytes] = bytes
    signature_text: Callable[[str], str] = str
    after_binding: Callable[[list[str]], list[str]] = list
    whole: Callable[[str], str] = str

    def __str__(self) -> str:
        issuer_jwt = self._jwt("header", "claims", self.issuer, self.issuer_signature)
        bound = "".join(f"{part}~" for part in (issuer_jwt, *self.disclosures))
        shown = "".join(f"{p}~" for p in (issuer_jwt, *self.after_binding(self.disclosures)))
        self.kb_claims.setdefault("sd_hash", digest(bound))
        kb_jwt = self._jwt("kb_header", "kb_claims", self.holder, self.holder_signature)
        return self.whole(shown + kb_jwt)

    def _jwt(
        self, header: Part, claims: Part, key: MemorySigner, spoil: Callable[[bytes], bytes]
    ) -> str:
        signing_input = f"{self._part(header)}.{self._part(claims)}"
        message = signing_input.encode("ascii", "replace")
        match cast("JsonObject", getattr(self, header)).get("alg"):
            case "none":
                signature = b""
            case "HS256":
                secret = json.dumps(key.public.jwk()).encode()
                signature = hmac.digest(secret, message, "sha256")
            case _:
                signature = spoil(key.sign(message))
        text = b64url(signature)
        return f"{signing_input}.{self.signature_text(text) if header == 'header' else text}"

    def _part(self, name: Part) -> str:
        members = {n: v for n, v in getattr(self, name).items() if v != GONE}
        # Escapes everywhere, so that half a surrogate pair can be written too.
        text = self.spell.get(name, str)(json.dumps(members))
        return self.encode.get(name, str)(b64url(text.encode("utf-8", "surrogateescape")))

    def contents(self, index: int) -> list[Json]:
        """Give what stands in a disclosure."""
        return opened(self.disclosures[index])

    def pick(self) -> int:
        """Give the index of one disclosure."""
        return self.chance.randrange(len(self.disclosures))

    def rewrite(self, index: int, disclosure: str) -> None:
        """Put another disclosure in place of one, and its digest wherever the old one's was."""
        old, new = digest(self.disclosures[index]), digest(disclosure)
        self.disclosures[index] = disclosure
        self.claims = json.loads(json.dumps(self.claims).replace(old, new))
        for above, text in enumerate(self.disclosures):
            if above != index and old.encode() in (spelled := _spelled(text)):
                self.rewrite(above, b64url(spelled.replace(old.encode(), new.encode())))

    def add(self, disclosure: str, *others: str) -> None:
        """Add disclosures: the first under a digest of the credential itself, the rest below."""
        self.digests().append(digest(disclosure))
        self.disclosures += [disclosure, *others]

    def digests(self) -> list[Json]:
        """Give the list of the credential's own digests, a new one if need be."""
        if not isinstance(found := self.claims.get("_sd"), list):
            found = self.claims["_sd"] = []
        return found


def draft(shape: Shape, chance: random.Random) -> Draft:
    """Give a good presentation that discloses everything that `shape` conceals."""
    credential = issued(shape)
    header, claims, _ = credential.issuer_jwt.split(".")
    return Draft(
        header=_object(header),
        claims=_object(claims),
        disclosures=list(credential.disclosures),
        kb_header={"alg": "ES256", "typ": "kb+jwt"},
        kb_claims={"iat": NOW - 5, "aud": AUDIENCE, "nonce": NONCE},
        chance=chance,
    )


def sealed(contents: Json) -> str:
    """Give the disclosure with these contents."""
    return b64url(json.dumps(contents).encode())


def opened(disclosure: str) -> list[Json]:
    """Give what stands in a disclosure; one that was spoiled before counts as another one."""
    try:
        contents = cast("Json", json.loads(_spelled(disclosure)))
    except ValueError:
        contents = None
    return contents if isinstance(contents, list) else ["salt", "spoiled", 1]


def _spelled(disclosure: str) -> bytes:
    """Give the bytes of a disclosure, which may have been spoiled before."""
    return urlsafe_b64decode(disclosure.encode("ascii", "ignore") + b"==")


def _object(text: str) -> JsonObject:
    return cast("JsonObject", json.loads(urlsafe_b64decode(text + "==")))


def digest(text: str, algorithm: str = "sha256") -> str:
    """Give the base64url hash of a text: a disclosure's digest, or what `sd_hash` says."""
    return b64url(new_hash(algorithm, text.encode()).digest())


# A digest that no disclosure has.
DECOY: Final = digest("decoy")
