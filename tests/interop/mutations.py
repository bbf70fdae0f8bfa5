"""Every way we know of changing a presentation: one thing at a time, each under its name.

A name begins with the level it is at. Some changes leave the presentation good; most do
not. No verdict is written here: two verifiers give theirs in `test_differential.py`.
"""

import json
from collections.abc import Callable, Mapping
from typing import Final, cast

from counterfoil_credentials import Json, JsonObject
from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.keys import Curve
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tests.interop.draft import DECOY, GONE, Draft, Part, digest, opened, sealed
from tests.interop.scene import AUDIENCE, HOLDER_KEY, NONCE, NOW, VCT, signer

Mutation = Callable[[Draft], None]

_OTHER: Final = signer("another")
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_HOLDER_JWK: Final = HOLDER_KEY.public.jwk()
_SALT: Final = "c2FsdHNhbHRzYWx0c2FsdA"
_VCDM: Final[Json] = ["https://www.w3.org/ns/credentials/v2"]
_LIST: Final[JsonObject] = {"idx": 3, "uri": "https://brand.example/lists/1"}

HEADER: Final[Mapping[str, JsonObject]] = {
    "typ absent": {"typ": GONE},
    "typ of a JWT": {"typ": "JWT"},
    "typ of a W3C credential": {"typ": "vc+sd-jwt"},
    "typ of an SD-JWT": {"typ": "sd-jwt"},
    "typ of a key binding": {"typ": "kb+jwt"},
    "typ in capitals": {"typ": "DC+SD-JWT"},
    "typ with application/": {"typ": "application/dc+sd-jwt"},
    "typ null": {"typ": None},
    "typ a list": {"typ": ["dc+sd-jwt"]},
    "alg absent": {"alg": GONE},
    "alg none": {"alg": "none"},
    "alg HS256": {"alg": "HS256"},
    "alg in small letters": {"alg": "es256"},
    "alg of another curve": {"alg": "ES384"},
    "alg of Ed25519": {"alg": "EdDSA"},
    "alg a number": {"alg": 256},
    "alg a list": {"alg": ["ES256"]},
    "kid absent": {"kid": GONE},
    "kid unknown": {"kid": "another"},
    "kid a number": {"kid": 7},
    "crit": {"crit": ["exp"]},
    "crit empty": {"crit": []},
    "jku": {"jku": "https://brand.example/keys"},
    "x5u": {"x5u": "https://brand.example/chain"},
    "jwk of another": {"jwk": _OTHER.public.jwk()},
    "x5c of no certificate": {"x5c": ["AAAA"]},
    "b64 false": {"b64": False},
    "zip": {"zip": "DEF"},
    "another member": {"trust_me": True},
}

CLAIMS: Final[Mapping[str, JsonObject]] = {
    "exp absent": {"exp": GONE},
    "exp past": {"exp": NOW - 3600},
    "exp past within the skew": {"exp": NOW - 59},
    "exp past by the skew": {"exp": NOW - 60},
    "exp now": {"exp": NOW},
    "exp zero": {"exp": 0},
    "exp negative": {"exp": -1},
    "exp with a fraction": {"exp": NOW + 600.5},
    "exp past with a fraction": {"exp": NOW - 600.5},
    "exp huge": {"exp": 10**400},
    "exp in the year 10000": {"exp": 253_402_300_800},
    "exp a text": {"exp": str(NOW + 600)},
    "exp a date": {"exp": "2030-01-01"},
    "exp null": {"exp": None},
    "exp true": {"exp": True},
    "exp a list": {"exp": [NOW + 600]},
    "nbf past": {"nbf": NOW - 600},
    "nbf ahead": {"nbf": NOW + 3600},
    "nbf ahead within the skew": {"nbf": NOW + 60},
    "nbf ahead past the skew": {"nbf": NOW + 61},
    "nbf with a fraction": {"nbf": NOW - 0.5},
    "nbf negative": {"nbf": -1},
    "nbf a text": {"nbf": "0"},
    "nbf null": {"nbf": None},
    "iat absent": {"iat": GONE},
    "iat ahead": {"iat": NOW + 3600},
    "iat ahead within the skew": {"iat": NOW + 60},
    "iat with a fraction": {"iat": NOW - 0.5},
    "iat negative": {"iat": -1},
    "iat a text": {"iat": "0"},
    "iat null": {"iat": None},
    "aud of this shop": {"aud": AUDIENCE},
    "aud of this shop among others": {"aud": ["https://other.example", AUDIENCE]},
    "aud of another shop": {"aud": "https://other.example"},
    "aud of other shops": {"aud": ["https://other.example"]},
    "aud of nobody": {"aud": []},
    "aud a number": {"aud": 7},
    "iss absent": {"iss": GONE},
    "iss another": {"iss": "https://other.example"},
    "iss empty": {"iss": ""},
    "iss a number": {"iss": 7},
    "vct absent": {"vct": GONE},
    "vct another": {"vct": "https://other.example/types/1"},
    "vct empty": {"vct": ""},
    "vct a list": {"vct": [VCT]},
    "vct#integrity a number": {"vct#integrity": 7},
    "aka_vcts": {"aka_vcts": ["https://brand.example/types/card"]},
    "aka_vcts empty": {"aka_vcts": []},
    "aka_vcts a text": {"aka_vcts": "https://brand.example/types/card"},
    "aka_vcts of numbers": {"aka_vcts": [7]},
    "aka_vcts with the vct": {"aka_vcts": [VCT]},
    "cnf absent": {"cnf": GONE},
    "cnf null": {"cnf": None},
    "cnf a list": {"cnf": [{"jwk": _HOLDER_JWK}]},
    "cnf empty": {"cnf": {}},
    "cnf of another": {"cnf": {"jwk": _OTHER.public.jwk()}},
    "cnf by name": {"cnf": {"kid": HOLDER_KEY.public.thumbprint()}},
    "cnf with another member": {"cnf": {"jwk": _HOLDER_JWK, "kid": "1"}},
    "cnf with a named key": {"cnf": {"jwk": {**_HOLDER_JWK, "kid": "1", "use": "sig"}}},
    "cnf with a key for encryption": {"cnf": {"jwk": {**_HOLDER_JWK, "use": "enc"}}},
    "cnf with a key that only signs": {"cnf": {"jwk": {**_HOLDER_JWK, "key_ops": ["sign"]}}},
    "cnf with a key of another alg": {"cnf": {"jwk": {**_HOLDER_JWK, "alg": "ES384"}}},
    "cnf with a private key": {
        "cnf": {"jwk": {**_HOLDER_JWK, "d": b64url(HOLDER_KEY.private_bytes())}}
    },
    "cnf off the curve": {"cnf": {"jwk": {**_HOLDER_JWK, "y": _HOLDER_JWK["x"]}}},
    "cnf of another curve": {"cnf": {"jwk": signer("holder", Curve.P384).public.jwk()}},
    "cnf mislabelled": {"cnf": {"jwk": {**_HOLDER_JWK, "crv": "P-384"}}},
    "cnf of another kind": {"cnf": {"jwk": {**_HOLDER_JWK, "kty": "OKP"}}},
    "cnf with padding": {"cnf": {"jwk": {**_HOLDER_JWK, "x": f"{_HOLDER_JWK['x']}="}}},
    "cnf with a symmetric key": {"cnf": {"jwk": {"kty": "oct", "k": "AAAA"}}},
    "status": {"status": {"status_list": _LIST}},
    "status null": {"status": None},
    "status of another mechanism": {"status": {"other": {}}},
    "status empty": {"status": {}},
    "status below zero": {"status": {"status_list": {**_LIST, "idx": -1}}},
    "status with a text as index": {"status": {"status_list": {**_LIST, "idx": "3"}}},
    "status without a list": {"status": {"status_list": {"idx": 3}}},
    "sub a number": {"sub": 7},
    "jti a number": {"jti": 7},
    "credentialStatus": {"credentialStatus": {"type": "BitstringStatusListEntry"}},
    "a W3C context": {"@context": _VCDM},
    "a W3C credential that ended": {"@context": _VCDM, "validUntil": "2020-01-01T00:00:00Z"},
    "a W3C credential to come": {"@context": _VCDM, "validFrom": "2040-01-01T00:00:00Z"},
    "a W3C credential of another issuer": {"@context": _VCDM, "issuer": "https://other.example"},
    "a validUntil of its own": {"validUntil": "2020-01-01T00:00:00Z"},
    "a name beyond ASCII": {"Größe": "größer"},
    "half a surrogate pair": {"note": "\ud800"},
    "NUL": {"note": "\0"},
    "a number of 41 digits": {"note": 10**40},
    "40 levels": {"note": cast("Json", json.loads("[" * 40 + "]" * 40))},
    "120 levels": {"note": cast("Json", json.loads("[" * 120 + "]" * 120))},
    "_sd null": {"_sd": None},
    "_sd a text": {"_sd": DECOY},
    "_sd an object": {"_sd": {}},
    "_sd of numbers": {"_sd": [7]},
    "_sd below, empty": {"note": {"_sd": []}},
    "_sd below, a text": {"note": {"_sd": DECOY}},
    "_sd_alg absent": {"_sd_alg": GONE},
    "_sd_alg of another hash": {"_sd_alg": "sha-512"},
    "_sd_alg unknown": {"_sd_alg": "md5"},
    "_sd_alg in capitals": {"_sd_alg": "SHA-256"},
    "_sd_alg null": {"_sd_alg": None},
    "_sd_alg a number": {"_sd_alg": 256},
    "_sd_alg below": {"note": {"_sd_alg": "sha-256"}},
    "_sd_alg of another hash below": {"note": {"_sd_alg": "md5"}},
    "... outside an array": {"...": DECOY},
    "... outside an array, below": {"note": {"...": DECOY}},
    "a decoy in an array": {"note": [{"...": DECOY}]},
    "a placeholder with another member": {"note": [{"...": DECOY, "and": 1}]},
    "a placeholder without a digest": {"note": [{"...": None}]},
    "a placeholder with a number": {"note": [{"...": 7}]},
    "a placeholder with a list": {"note": [{"...": [DECOY]}]},
    "a digest twice in arrays": {"note": [{"...": DECOY}, {"...": DECOY}]},
    "a digest in an array and an object": {"note": [{"...": DECOY}, {"_sd": [DECOY]}]},
}

KB_HEADER: Final[Mapping[str, JsonObject]] = {
    "typ absent": {"typ": GONE},
    "typ of a JWT": {"typ": "JWT"},
    "typ of a proof": {"typ": "openid4vci-proof+jwt"},
    "typ of a credential": {"typ": "dc+sd-jwt"},
    "typ in capitals": {"typ": "KB+JWT"},
    "typ with application/": {"typ": "application/kb+jwt"},
    "alg absent": {"alg": GONE},
    "alg none": {"alg": "none"},
    "alg HS256": {"alg": "HS256"},
    "alg of another curve": {"alg": "ES384"},
    "alg of Ed25519": {"alg": "EdDSA"},
    "alg a number": {"alg": 7},
    "kid": {"kid": "1"},
    "kid a number": {"kid": 7},
    "crit": {"crit": ["exp"]},
    "jku": {"jku": "https://holder.example/keys"},
    "jwk of another": {"jwk": _OTHER.public.jwk()},
    "another member": {"trust_me": True},
}

KB_CLAIMS: Final[Mapping[str, JsonObject]] = {
    "aud absent": {"aud": GONE},
    "aud another": {"aud": "https://other.example"},
    "aud without its prefix": {"aud": AUDIENCE.partition(":")[2]},
    "aud with a slash": {"aud": f"{AUDIENCE}/"},
    "aud in capitals": {"aud": AUDIENCE.upper()},
    "aud a list": {"aud": [AUDIENCE]},
    "aud a number": {"aud": 7},
    "aud empty": {"aud": ""},
    "nonce absent": {"nonce": GONE},
    "nonce another": {"nonce": "another"},
    "nonce in capitals": {"nonce": NONCE.upper()},
    "nonce a list": {"nonce": [NONCE]},
    "nonce null": {"nonce": None},
    "iat absent": {"iat": GONE},
    "iat as old as may be": {"iat": NOW - 300},
    "iat older than may be": {"iat": NOW - 301},
    "iat old": {"iat": NOW - 3600},
    "iat ahead within the skew": {"iat": NOW + 60},
    "iat ahead past the skew": {"iat": NOW + 61},
    "iat ahead": {"iat": NOW + 3600},
    "iat with a fraction": {"iat": NOW - 5.5},
    "iat a text": {"iat": str(NOW)},
    "iat null": {"iat": None},
    "iat true": {"iat": True},
    "iat huge": {"iat": 10**400},
    "sd_hash absent": {"sd_hash": GONE},
    "sd_hash of something else": {"sd_hash": DECOY},
    "sd_hash null": {"sd_hash": None},
    "exp past": {"exp": NOW - 3600},
    "exp ahead": {"exp": NOW + 3600},
    "exp a text": {"exp": "never"},
    "nbf ahead": {"nbf": NOW + 3600},
    "nbf past": {"nbf": NOW - 3600},
    "nbf null": {"nbf": None},
    "iss": {"iss": "https://holder.example"},
    "transaction data nobody asked about": {
        "transaction_data_hashes": [DECOY],
        "transaction_data_hashes_alg": "sha-256",
    },
    "another member": {"trust_me": True},
}

# How a part is spelled: its JSON, and its base64url.
_SPELLED: Final[Mapping[str, Callable[[str], str]]] = {
    "an object with a name twice": lambda text: text[:-1] + ', "alg": "ES256", "alg": "ES256"}',
    "an object with spaces": lambda text: " \n" + text.replace(", ", " ,\t") + "\n ",
    "a byte order mark first": lambda text: "\ufeff" + text,
    "a list": lambda text: f"[{text}]",
    "a text": json.dumps,
    "nothing": lambda _text: "",
    "no end": lambda text: text[:-1],
    "something after the end": lambda text: f"{text} 1",
    "NaN": lambda text: text[:-1] + ', "note": NaN}',
    "a comma too many": lambda text: text[:-1] + ",}",
    "a byte that is no UTF-8": lambda text: text[:-1] + ', "note": "\udcff"}',
}
_ENCODED: Final[Mapping[str, Callable[[str], str]]] = {
    "padding": lambda text: text + "=" * (-len(text) % 4 or 4),
    "the other alphabet": lambda text: text[:4] + "+/" + text[4:],
    "a space": lambda text: f"{text[:4]} {text[4:]}",
    "a line end": lambda text: f"{text}\n",
    "a letter beyond ASCII": lambda text: f"{text[:4]}ä{text[4:]}",
}

# A disclosure instead of another one, under the digest that it has.
_REWRITTEN: Final[Mapping[str, Callable[[list[Json]], str]]] = {
    "of one element": lambda contents: sealed(contents[:1]),
    "of one more element": lambda contents: sealed([*contents, "more"]),
    "of one less": lambda contents: sealed([contents[0], *contents[2:]]),
    "of an object": lambda contents: sealed({"salt": contents[0], "value": contents[-1]}),
    "of a text": lambda contents: sealed(json.dumps(contents)),
    "of no JSON": lambda _contents: b64url(b"disclosure"),
    "of no UTF-8": lambda _contents: b64url(b'["\xff", "a", 1]'),
    "of nothing": lambda _contents: "",
    "with a number as salt": lambda contents: sealed([7, *contents[1:]]),
    "with null as salt": lambda contents: sealed([None, *contents[1:]]),
    "with an object as salt": lambda contents: sealed([{}, *contents[1:]]),
    "with an empty salt": lambda contents: sealed(["", *contents[1:]]),
    "with spaces": lambda contents: b64url(json.dumps(contents, indent=3).encode()),
    "without spaces": lambda contents: b64url(json.dumps(contents, separators=(",", ":")).encode()),
    "with escapes": lambda contents: b64url(
        json.dumps(contents).replace("a", "\\u0061").replace("\\\\u0061", "a").encode()
    ),
    "with padding": lambda contents: _with_room(contents) + "==",
    "with stray bits": lambda contents: _stray(_with_room(contents)),
    "with the other alphabet": lambda contents: (
        sealed([*contents[:-1], "?>" * 9]).replace("-", "+").replace("_", "/")
    ),
    "with a line end": lambda contents: sealed(contents) + "\n",
    "with a name twice inside": lambda contents: b64url(
        json.dumps([*contents[:-1], "value"]).replace('"value"', '{"a": 1, "a": 2}').encode()
    ),
    "with NaN": lambda contents: sealed([*contents[:-1], float("nan")]),
    "with half a surrogate pair": lambda contents: sealed([*contents[:-1], "\ud800"]),
    "with something after the end": lambda contents: b64url(json.dumps(contents).encode() + b" 1"),
}
_RENAMED: Final[Mapping[str, Json]] = {
    "named _sd": "_sd",
    "named ...": "...",
    "named _sd_alg": "_sd_alg",
    "named by a number": 7,
    "named by null": None,
    "named by a list": ["given_name"],
    "with no name": "",
}
# What an issuer made disclosable.
_ADDED: Final[Mapping[str, tuple[str, Json]]] = {
    "of nbf": ("nbf", NOW - 600),
    "of status": ("status", {"status_list": _LIST}),
    "of aka_vcts": ("aka_vcts", ["https://brand.example/types/card"]),
    "of vct#integrity": ("vct#integrity", "sha256-AAAA"),
    "of sub": ("sub", "urn:holder"),
    "of jti": ("jti", "1"),
    "of @context": ("@context", _VCDM),
    "of credentialStatus": ("credentialStatus", {"type": "BitstringStatusListEntry"}),
    "of validUntil": ("validUntil", "2020-01-01T00:00:00Z"),
    "of an aud of this shop": ("aud", AUDIENCE),
    "of an aud of another shop": ("aud", "https://other.example"),
    "of a claim that stands open": ("is_member", False),
    "of iss, which stands open": ("iss", "https://other.example"),
    "of an object with a decoy": ("note", {"_sd": [DECOY], "open": 1}),
    "of an object with _sd of numbers": ("note", {"_sd": [7]}),
    "of an object named ...": ("note", {"...": DECOY}),
    "of an _sd_alg below": ("note", {"_sd_alg": "md5"}),
    "of a huge number": ("note", 10**400),
    "of 40 levels": ("note", cast("Json", json.loads("[" * 40 + "]" * 40))),
}


def _members(part: Part, members: JsonObject) -> Mutation:
    def change(draft: Draft) -> None:
        cast("JsonObject", getattr(draft, part)).update(members)

    return change


def _spelled(part: Part, spell: Callable[[str], str]) -> Mutation:
    def change(draft: Draft) -> None:
        draft.spell[part] = spell

    return change


def _encoded(part: Part, encode: Callable[[str], str]) -> Mutation:
    def change(draft: Draft) -> None:
        draft.encode[part] = encode

    return change


def _rewritten(rewrite: Callable[[list[Json]], str]) -> Mutation:
    def change(draft: Draft) -> None:
        index = draft.pick()
        draft.rewrite(index, rewrite(draft.contents(index)))

    return change


def _renamed(name: Json) -> Mutation:
    def change(draft: Draft) -> None:
        draft.add(sealed([_SALT, name, "value"]))

    return change


def _added(name: str, value: Json) -> Mutation:
    def change(draft: Draft) -> None:
        draft.add(sealed([_SALT, name, value]))

    return change


def _moved(name: str) -> Mutation:
    """Take an open claim of the credential into a disclosure."""

    def change(draft: Draft) -> None:
        draft.add(sealed([_SALT, name, draft.claims.pop(name, None)]))

    return change


def _conceal_below(name: str, below: str) -> Mutation:
    """Take a member of an open claim into a disclosure."""

    def change(draft: Draft) -> None:
        above = draft.claims.get(name)
        members = dict(above) if isinstance(above, dict) else {}
        disclosure = sealed([_SALT, below, members.pop(below, "1")])
        draft.claims[name] = {**members, "_sd": [digest(disclosure)]}
        draft.disclosures.append(disclosure)

    return change


def _decoy(draft: Draft) -> None:
    draft.digests().append(DECOY)


def _odd_decoy(draft: Draft) -> None:
    draft.digests().append("no digest at all")


def _digest_twice(draft: Draft) -> None:
    draft.digests().extend([DECOY, DECOY])


def _digest_twice_apart(draft: Draft) -> None:
    draft.digests().append(DECOY)
    draft.claims["note"] = {"_sd": [DECOY]}


def _disclosure_claimed_twice(draft: Draft) -> None:
    draft.claims["note"] = {"_sd": [digest(draft.disclosures[draft.pick()])]}


def _disclosed_twice_below(draft: Draft) -> None:
    inner = sealed([_SALT, "inner", 1])
    draft.add(sealed([_SALT, "note", {"_sd": [digest(inner)]}]), inner)
    draft.claims["other"] = {"_sd": [digest(inner)]}


def _same_name_twice(draft: Draft) -> None:
    draft.add(sealed([_SALT, "note", 1]))
    draft.add(sealed([f"{_SALT}A", "note", 2]))


def _array_element_as_member(draft: Draft) -> None:
    draft.add(sealed([_SALT, "value"]))


def _member_as_array_element(draft: Draft) -> None:
    disclosure = sealed([_SALT, "note", "value"])
    draft.claims["note"] = [{"...": digest(disclosure)}]
    draft.disclosures.append(disclosure)


def _chain(levels: int) -> Mutation:
    def change(draft: Draft) -> None:
        disclosure, chain = sealed([_SALT, "x", 1]), list[str]()
        for _ in range(levels):
            chain.append(disclosure)
            disclosure = sealed([_SALT, "x", {"_sd": [digest(disclosure)]}])
        draft.add(disclosure, *chain)

    return change


def _parent_withheld(draft: Draft) -> None:
    inner = sealed([_SALT, "inner", 1])
    draft.add(sealed([_SALT, "note", {"_sd": [digest(inner)]}]))
    draft.disclosures[-1] = inner


def _unreferenced(draft: Draft) -> None:
    draft.disclosures.append(sealed([_SALT, "note", 1]))


def _twice(draft: Draft) -> None:
    draft.disclosures.append(draft.disclosures[draft.pick()])


def _shuffled(draft: Draft) -> None:
    draft.chance.shuffle(draft.disclosures)


def _withheld(draft: Draft) -> None:
    # Leaves first: whatever stands below it would be unreferenced.
    del draft.disclosures[0]


def _hashed_otherwise(draft: Draft) -> None:
    for index in range(len(draft.disclosures)):
        text = draft.disclosures[index]
        old, new = digest(text), digest(text, "sha512")
        draft.claims = json.loads(json.dumps(draft.claims).replace(old, new))
    draft.claims["_sd_alg"] = "sha-512"


def _after_binding(change_them: Callable[[list[str]], list[str]]) -> Mutation:
    def change(draft: Draft) -> None:
        draft.after_binding = change_them

    return change


def _holder(draft: Draft) -> None:
    draft.holder = _OTHER


def _issuer(draft: Draft) -> None:
    draft.issuer = _OTHER


def _signature(which: str, spoil: Callable[[bytes], bytes]) -> Mutation:
    def change(draft: Draft) -> None:
        setattr(draft, f"{which}_signature", spoil)

    return change


def _signature_text(spoil: Callable[[str], str]) -> Mutation:
    def change(draft: Draft) -> None:
        draft.signature_text = spoil

    return change


def _whole(spoil: Callable[[str], str]) -> Mutation:
    def change(draft: Draft) -> None:
        draft.whole = spoil

    return change


def _other_half(signature: bytes) -> bytes:
    """Give the signature with s replaced by its negative: as good as the first."""
    s = _P256_ORDER - int.from_bytes(signature[32:])
    return signature[:32] + s.to_bytes(32)


def _der(signature: bytes) -> bytes:
    return encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))


def _with_room(contents: list[Json]) -> str:
    """Give a disclosure whose last base64url letter has four unused bits."""
    text = json.dumps(contents)
    return b64url((text + " " * ((1 - len(text)) % 3)).encode())


def _stray(text: str) -> str:
    """Set the last of the unused bits, which are zero in A, Q, g and w."""
    return text[:-1] + "".join(chr(ord(last) + 1) for last in text[-1:])


_SIGNATURES: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "with one bit turned": lambda signature: bytes([signature[0] ^ 1]) + signature[1:],
    "cut short": lambda signature: signature[:-1],
    "too long": lambda signature: signature + b"\0",
    "empty": lambda _signature: b"",
    "of zeros": lambda _signature: bytes(64),
    "of the group's order": lambda _signature: _P256_ORDER.to_bytes(32) * 2,
    "in DER": _der,
    "with the other s": _other_half,
}
_WHOLE: Final[Mapping[str, Callable[[str], str]]] = {
    "without the key binding": lambda text: text[: text.rindex("~") + 1],
    "without the key binding and its tilde": lambda text: text[: text.rindex("~")],
    "the issuer's JWT alone": lambda text: text[: text.index("~")],
    "the issuer's JWT alone, with a tilde": lambda text: text[: text.index("~") + 1],
    "the key binding alone": lambda text: text[text.rindex("~") + 1 :],
    "a tilde first": lambda text: f"~{text}",
    "a tilde last": lambda text: f"{text}~",
    "an empty disclosure last": lambda text: text[: text.rindex("~")] + "~~" + _kb(text),
    "an empty disclosure first": lambda text: text.replace("~", "~~", 1),
    "a space first": lambda text: f" {text}",
    "a space last": lambda text: f"{text} ",
    "a line end last": lambda text: f"{text}\n",
    "a NUL last": lambda text: f"{text}\0",
    "in quotes": lambda text: f'"{text}"',
    "with tildes as in an address": lambda text: text.replace("~", "%7E"),
    "twice": lambda text: f"{text}~{text}",
    "with two key bindings": lambda text: f"{text}~{_kb(text)}",
    "with the key binding as a disclosure": lambda text: f"{text}~",
    "with the issuer's JWT as key binding": lambda text: (
        text[: text.rindex("~") + 1] + text[: text.index("~")]
    ),
    "with a JWT of two parts": lambda text: text.replace(".", "", 1),
    "with a JWT of four parts": lambda text: text.replace(".", "..", 1),
    "with a key binding of two parts": lambda text: text[::-1].replace(".", "", 1)[::-1],
    "empty": lambda _text: "",
    "a tilde": lambda _text: "~",
    "as JSON": lambda text: json.dumps({"payload": text}),
}


_EDITS: Final[Mapping[str, Callable[[str, int], str]]] = {
    "changed": lambda text, i: text[:i] + ("A" if text[i] != "A" else "B") + text[i + 1 :],
    "left out": lambda text, i: text[:i] + text[i + 1 :],
    "put in": lambda text, i: f"{text[:i]}A{text[i:]}",
    "the last": lambda text, i: text[: i + 1],
}


def _edited(edit: Callable[[str, int], str]) -> Mutation:
    def change(draft: Draft) -> None:
        place = draft.chance.random()
        draft.whole = lambda text: edit(text, int(place * (len(text) - 1)))

    return change


def _kb(text: str) -> str:
    return text[text.rindex("~") + 1 :]


def _padded_hash(draft: Draft) -> None:
    text = str(draft)
    draft.kb_claims["sd_hash"] = digest(text[: text.rindex("~") + 1]) + "="


MUTATIONS: Final[Mapping[str, Mutation]] = {
    "nothing": lambda _draft: None,
    **{f"header: {n}": _members("header", m) for n, m in HEADER.items()},
    **{f"claims: {n}": _members("claims", m) for n, m in CLAIMS.items()},
    **{f"kb header: {n}": _members("kb_header", m) for n, m in KB_HEADER.items()},
    **{f"kb claims: {n}": _members("kb_claims", m) for n, m in KB_CLAIMS.items()},
    **{
        f"{part.replace('_', ' ')} spelled as {n}": _spelled(part, spell)
        for part in ("header", "claims", "kb_header", "kb_claims")
        for n, spell in _SPELLED.items()
    },
    **{
        f"{part.replace('_', ' ')} encoded with {n}": _encoded(part, encode)
        for part in ("header", "claims", "kb_header", "kb_claims")
        for n, encode in _ENCODED.items()
    },
    **{f"disclosure {n}": _rewritten(rewrite) for n, rewrite in _REWRITTEN.items()},
    **{f"disclosure {n}": _renamed(name) for n, name in _RENAMED.items()},
    **{f"disclosure {n}": _added(*added) for n, added in _ADDED.items()},
    **{f"disclosure of {n}": _moved(n) for n in ("iss", "vct", "iat", "exp", "cnf", "is_member")},
    "disclosure below cnf": _conceal_below("cnf", "kid"),
    "disclosure below cnf, the key": _conceal_below("cnf", "jwk"),
    "disclosure unreferenced": _unreferenced,
    "disclosure twice": _twice,
    "disclosure whose parent is withheld": _parent_withheld,
    "disclosure of a name that another has": _same_name_twice,
    "disclosure of an element as a member": _array_element_as_member,
    "disclosure of a member as an element": _member_as_array_element,
    "disclosures in another order": _shuffled,
    "disclosures, the first withheld": _withheld,
    "disclosures in a chain of 20": _chain(20),
    "disclosures in a chain of 40": _chain(40),
    "disclosures in a chain of 120": _chain(120),
    "disclosures in a chain of 990": _chain(990),
    "digests of another hash": _hashed_otherwise,
    "digest of nothing": _decoy,
    "digest that is none": _odd_decoy,
    "digest twice": _digest_twice,
    "digest twice, apart": _digest_twice_apart,
    "digest twice, of a disclosure": _disclosure_claimed_twice,
    "digest twice, one below a disclosure": _disclosed_twice_below,
    "after binding, one disclosure less": _after_binding(lambda texts: texts[1:]),
    "after binding, one disclosure twice": _after_binding(lambda texts: [*texts, texts[0]]),
    "after binding, one disclosure more": _after_binding(
        lambda texts: [*texts, sealed([_SALT, "note", 1])]
    ),
    "after binding, another order": _after_binding(lambda texts: texts[::-1]),
    "after binding, one disclosure of another value": _after_binding(
        lambda texts: [sealed([*opened(texts[0])[:-1], "changed"]), *texts[1:]]
    ),
    "kb claims: sd_hash with padding": _padded_hash,
    "signed by another holder": _holder,
    "signed by another issuer": _issuer,
    **{f"issuer's signature {n}": _signature("issuer", spoil) for n, spoil in _SIGNATURES.items()},
    **{f"holder's signature {n}": _signature("holder", spoil) for n, spoil in _SIGNATURES.items()},
    "issuer's signature with padding": _signature_text(lambda text: f"{text}=="),
    "issuer's signature with stray bits": _signature_text(_stray),
    **{f"whole: {n}": _whole(spoil) for n, spoil in _WHOLE.items()},
    **{f"whole: a letter {n} by chance": _edited(edit) for n, edit in _EDITS.items()},
}
