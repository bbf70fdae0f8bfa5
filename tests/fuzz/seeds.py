"""Where the corpus begins: good inputs from our own code, and hostile ones by name.

`python -m tests.fuzz.seeds` writes them into `corpus/`. What a fuzzer found stands
beside them, under the hash of its bytes. A signature is made anew each time, so
only a file that is absent is written.
"""

import gzip
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from counterfoil_credentials.bitstring_status_entry import BitstringStatusEntry
from counterfoil_credentials.dids import did_jwk, did_key, key_id_of
from counterfoil_credentials.encoding import (
    JsonObject,
    as_object,
    b64url,
    compact_json,
    from_b64url,
    parse_object,
    text_at,
)
from counterfoil_credentials.holder_proof import make_proof
from counterfoil_credentials.issuer_keys import issuer_keys_document
from counterfoil_credentials.jose import encrypt_jwe
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.multikey import Multikey, from_multibase
from counterfoil_credentials.offers import CredentialOffer, TxCode
from counterfoil_credentials.request_links import request_link
from counterfoil_credentials.requests import client_id_of
from counterfoil_credentials.sdjwt import SdJwt, disclose
from counterfoil_credentials.sdjwt_json import flattened, general
from counterfoil_credentials.spec import PROOF_TYP, SD_JWT_VC_TYP
from counterfoil_credentials.status_entries import Bits
from counterfoil_credentials.token_status_list import pack, sign_status_list

from tests.fuzz.fixed import (
    AUDIENCE,
    CLAIMS,
    HOLDER_SIGNER,
    ISSUER,
    ISSUER_SIGNER,
    LIST_URL,
    NONCE,
    NOW,
    READER,
    SECONDS,
    SIGNERS,
    VCT,
    WARRANTY,
    signed,
    typed,
)
from tests.fuzz.judge import MARKER
from tests.fuzz.w3c import HELD_BBS, HELD_SD, SHOWN_BBS, SHOWN_SD, SIGNED

CORPUS: Final = Path(__file__).parent / "corpus"

_JWK: Final = compact_json(HOLDER_SIGNER.public.jwk())
_DID: Final = did_jwk(ISSUER_SIGNER.public)
# What a parser may trip over wherever a value stands.
_KINDS: Final[dict[str, bytes]] = {
    "null": b"null",
    "true": b"true",
    "number": b"7",
    "negative": b"-1",
    "fraction": b"1.5",
    "exponent": b"1e3",
    "forty-digits": b"9" * 40,
    "forty-one-digits": b"9" * 41,
    "infinity": b"1e999",
    "not-a-number": b"NaN",
    "text": b'"text"',
    "empty-text": b'""',
    "nul": b'"\\u0000"',
    "line-end": b'"a\\nexpected nothing, found an attack"',
    "terminal-escape": b'"\\u001b[2J"',
    "right-to-left": '"\u202egnp.exe"'.encode(),
    "half-a-pair": b'"\\ud800"',
    "not-utf-8": b'"\xff\xfe"',
    "overlong": b'"\xc0\x80"',
    "list": b"[]",
    "object": b"{}",
    "deep-list": b"[" * 40 + b"]" * 40,
    "unclosed": b"[" * 3000,
    "duplicate": b'{"a":1,"a":1}',
    "duplicate-escaped": b'{"a":1,"\\u0061":1}',
}


def seeds() -> Iterator[tuple[str, str, bytes]]:
    """Give target, name and bytes of each seed."""
    for target, made in (
        ("sd_jwt", _sd_jwt()),
        ("jws", _jws()),
        ("did", _did()),
        ("status_list", _status_list()),
        ("dcql", _dcql()),
        ("types", _types()),
        ("jwe", _jwe()),
        ("answers", _answers()),
        ("encoding", _encoding()),
        ("links", _links()),
        ("request", _request()),
        ("proof", _proof()),
        ("metadata", _metadata()),
        ("data_integrity", _data_integrity()),
        ("bitstring", _bitstring()),
    ):
        for name, data in made:
            yield target, name, data


def write(corpus: Path = CORPUS) -> int:
    """Write the seeds that are not there yet, and give their number."""
    written = 0
    for target, name, data in seeds():
        path = corpus / target / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            written += 1
    return written


def _with(obj: JsonObject, name: str, spelled: bytes) -> bytes:
    """Give the JSON of `obj` with the value under `name` spelled as it is."""
    members = {key: compact_json(value) for key, value in obj.items()} | {name: spelled}
    return b"{" + b",".join(b'"%s":%s' % (k.encode(), v) for k, v in members.items()) + b"}"


def _each_kind(mode: bytes, obj: JsonObject, names: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Give `obj` with one kind of value after another, and without the name, under each name.

    The kinds go round over the names: each name meets several, each kind some name.
    """
    for i, (kind, spelled) in enumerate(_KINDS.items()):
        name = names[i % len(names)]
        yield f"{name}-{kind}", mode + _with(obj, name, spelled)
    for name in names:
        yield f"no-{name}", mode + compact_json({k: v for k, v in obj.items() if k != name})


def _sd_jwt() -> Iterator[tuple[str, bytes]]:
    shown = disclose(WARRANTY, [("order",), ("lines", 0)])
    presentation = bind(shown, signer=HOLDER_SIGNER, audience=AUDIENCE, nonce=NONCE, now=NOW)
    bound = SdJwt.parse(presentation)
    whole = str(WARRANTY).encode()
    yield "token", b"T" + whole
    yield "token-bound", b"T" + presentation.encode()
    yield "token-truncated", b"T" + whole[:-30]
    yield "token-no-tilde", b"T" + WARRANTY.issuer_jwt.encode()
    yield "token-only-tildes", b"T" + b"~" * 1001
    yield "token-too-many-tildes", b"T" + b"~" * 1003
    yield "token-empty-disclosure", b"T" + whole + b"~~"
    yield "token-not-ascii", b"T" + whole.replace(b"~", "~é".encode(), 1)
    yield "token-not-utf-8", b"T" + whole.replace(b"~", b"~\xff", 1)
    yield "token-padded", b"T" + whole.replace(b"~", b"=~", 1)
    yield "token-of-another-type", b"T" + typed("jwt", b"{}", ISSUER_SIGNER).encode() + b"~"
    serialised = flattened(bound)
    yield "json", b"J" + compact_json(serialised)
    yield "json-general", b"J" + compact_json(general([bound, WARRANTY]))
    for name, data in _each_kind(b"J", serialised, tuple(serialised)):
        yield f"json-{name}", data
    header: JsonObject = {"disclosures": ["~", "."], "kb_jwt": "~", "kid": "1"}
    for name, data in _each_kind(b"", header, tuple(header)):
        yield f"json-header-{name}", b"J" + _with(serialised, "header", data)
    payload: JsonObject = {
        "iss": ISSUER,
        "vct": VCT,
        "iat": SECONDS,
        "exp": SECONDS + 60,
        "cnf": {"jwk": HOLDER_SIGNER.public.jwk()},
        "status": {"status_list": {"idx": 7, "uri": LIST_URL}},
        "_sd_alg": "sha-256",
        "_sd": ["#0"],
    }
    hidden = b'\n["%s","order","%s"]' % ((MARKER.encode(),) * 2)
    yield "payload", b"S" + compact_json(payload) + hidden
    names = ("iss", "vct", "iat", "exp", "cnf", "status", "_sd_alg", "_sd")
    for name, data in _each_kind(b"S", payload, names):
        yield f"payload-{name}", data + hidden
    for name, contents in {
        "recursive": b'["s","a",{"_sd":["#1"]}]\n["s","b",{"_sd":["#2"]}]\n["s","c",1]',
        "array": b'["s","a",[{"...":"#1"},{"...":"#2"},3]]\n["s",1]\n["s",[{"...":"none"}]]',
        "deep": b"\n".join(b'["s","a",{"_sd":["#%d"]}]' % (i + 1) for i in range(40)),
        "cycle": b'["s","a",{"_sd":["#0"]}]',
        "unreferenced": b'["s","a",1]\n["s","b",2]',
        "twice": b'["s","a",{"_sd":["#1","#1"]}]\n["s","b",1]',
        "the-same-twice": b'["s","a",1]\n["s","a",1]',
        "name-taken": b'["s","vct","other"]',
        "name-of-a-digest": b'["s","_sd",["#1"]]\n["s","b",1]',
        "name-of-a-placeholder": b'["s","...","#1"]\n["s","b",1]',
        "hidden-exp": b'["s","exp",1]',
        "hidden-nbf": b'["s","nbf",1]',
        "two-elements": b'["s",1]',
        "four-elements": b'["s","a",1,2]',
        "no-list": b'{"s":1}',
        "no-json": b"salt",
        "empty": b"",
        "salt-number": b'[1,"a",1]',
        "name-number": b'["s",1,1]',
        "name-line-end": b'["s","a\\nexpected nothing",{"_sd":7}]',
        "name-half-a-pair": b'["s","\\udfff",1]',
        "placeholder-with-more": b'["s","a",[{"...":"#1","b":1}]]\n["s",1]',
        "placeholder-kind": b'["s","a",[{"...":7}]]',
        "digest-kind": b'["s","a",{"_sd":[7]}]',
        "digests-kind": b'["s","a",{"_sd":"#1"}]\n["s","b",1]',
        "not-utf-8": b'["s","a","\xff"]',
        "deep-value": b'["s","a",' + b"[" * 31 + b"]" * 31 + b"]",
    }.items():
        yield f"disclosure-{name}", b"S" + compact_json(payload) + b"\n" + contents
    binding: JsonObject = {"iat": SECONDS, "aud": AUDIENCE, "nonce": NONCE, "sd_hash": "#h"}
    yield "binding", b"K" + compact_json(binding)
    binding |= {"transaction_data_hashes": ["a"], "transaction_data_hashes_alg": "sha-256"}
    for name, data in _each_kind(b"K", binding, tuple(binding)):
        yield f"binding-{name}", data


def _jws() -> Iterator[tuple[str, bytes]]:
    header: JsonObject = {"alg": "ES256", "typ": "fuzz+jwt", "kid": "1"}
    claims = compact_json({"sub": MARKER})
    token = typed("fuzz+jwt", claims, ISSUER_SIGNER).encode()
    yield "token", b"T" + token
    yield "token-truncated", b"T" + token[:-1]
    yield "token-stray-bits", b"T" + token[:-1] + b"_"
    yield "token-four-parts", b"T" + token + b".AA"
    yield "token-two-parts", b"T" + token.rpartition(b".")[0]
    yield "token-json", b'T{"payload":"e30","signatures":[]}'
    yield "token-unsigned", b"T" + token.rpartition(b".")[0] + b"."
    yield "token-not-ascii", b"T" + token.replace(b".", "é.".encode(), 1)
    yield "token-not-utf-8", b"T" + token.replace(b".", b"\xff.", 1)
    for name, signature in {
        "none": b"",
        "zeros": bytes(64),
        "ones": b"\xff" * 64,
        "short": bytes(63),
        "long": bytes(65),
        "der": bytes.fromhex("3006020101020101"),
    }.items():
        yield f"signature-{name}", b"V" + compact_json(header) + b"\n" + claims + b"\n" + signature
    for alg in ("none", "HS256", "RS256", "es256", "ES384", "EdDSA", "Ed25519", "ES256K"):
        header_of_it = compact_json({**header, "alg": alg})
        yield f"alg-{alg}", b"S" + header_of_it + b"\n" + claims
    for name, value in {
        "crit": ["b64"],
        "b64": False,
        "zip": "DEF",
        "jku": "https://x.example",
        "x5u": "https://x.example",
        "x5c": ["AA=="],
        "jwk": HOLDER_SIGNER.public.jwk(),
    }.items():
        member = json.dumps({name: value})[1:-1].encode()
        yield f"header-{name}", b"S" + compact_json(header)[:-1] + b"," + member + b"}\n" + claims
    for name, data in _each_kind(b"S", header, ("alg", "typ", "kid")):
        yield f"header-{name}", data + b"\n" + claims
    for alg, curve_signer in SIGNERS.items():
        other = typed("fuzz+jwt", claims, curve_signer).encode()
        yield f"token-{alg}", b"T" + other
    for kind, spelled in _KINDS.items():
        yield f"payload-{kind}", b"S" + compact_json(header) + b'\n{"sub":' + spelled + b"}"
        yield f"payload-is-{kind}", b"S" + compact_json(header) + b"\n" + spelled


def _did() -> Iterator[tuple[str, bytes]]:
    yield "did-jwk", b"T" + _DID.encode()
    yield "did-jwk-url", b"T" + key_id_of(_DID).encode()
    yield "did-jwk-empty", b"Tdid:jwk:"
    for name, text in {
        "fragment": f"{_DID}#1",
        "fragments": f"{_DID}#0#0",
        "query": f"{_DID}?versionId=1#0",
        "path": f"{_DID}/a#0",
        "padded": f"{_DID}=",
        "upper": _DID.upper(),
        "space": f" {_DID}",
        "nul": f"{_DID}\0",
        "long": f"did:jwk:{'A' * 3000}",
        "key": "did:key:zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169",
        "key-ed25519": "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
        "key-no-base58": "did:key:z0OIl",
        "key-long": f"did:key:z{'1' * 2000}",
        "web": "did:web:brand.example",
        "web-port": "did:web:brand.example%3A8443:users:1",
        "web-address": "did:web:127.0.0.1",
        "web-dots": "did:web:brand.example:..:..:etc",
        "web-escape": "did:web:brand.example%2F@evil.example",
        "pkh": "did:pkh:eip155:1:0xb9c5714089478a327f09197987f16f9e5d936e8a",
        "pkh-chain": f"did:pkh:eip155:{'9' * 100}:0x00",
        "no-method": "did::x",
        "nothing": "",
    }.items():
        yield f"did-{name}", b"T" + text.encode()
    yield "did-not-utf-8", b"Tdid:jwk:\xff"
    for signer in (HOLDER_SIGNER, *SIGNERS.values()):
        key = signer.public
        yield f"multikey-{key.curve}", b"M" + from_multibase(str(Multikey.of(key)), "key")
        yield f"jwk-of-{key.curve}", b"J" + compact_json(key.jwk())
        yield f"did-key-{key.curve}", b"T" + key_id_of(did_key(key)).encode()
    for name, data in {
        "empty": b"",
        "no-key": b"\xed\x01",
        "short": b"\xed\x01" + bytes(31),
        "small-order": b"\xed\x01" + bytes(32),
        "off-curve": b"\x80\x24\x02" + bytes(32),
        "uncompressed": b"\x80\x24\x04" + bytes(64),
        "private": b"\x80\x26" + bytes(32),
        "long-varint": b"\xed\x81\x00" + bytes(32),
        "endless-varint": b"\xff" * 40,
        "x25519": b"\xec\x01" + bytes(range(32)),
        "unknown": b"\x05" + bytes(32),
    }.items():
        yield f"multikey-{name}", b"M" + data
    for name, options in {
        "format": {"publicKeyFormat": "JsonWebKey2020"},
        "format-experimental": {"publicKeyFormat": "P256Key2021"},
        "format-kind": {"publicKeyFormat": 7},
        "agreement": {"enableEncryptionKeyDerivation": "true"},
        "accept": {"accept": "text/html, application/did+json;q=0.1"},
        "relationship": {"verificationRelationship": "assertionMethod"},
        "relationship-kind": {"verificationRelationship": ["assertionMethod"]},
        "unknown": {"a\nb": 1},
        "expand": {"expandRelativeUrls": "yes"},
    }.items():
        url = key_id_of(did_key(SIGNERS["Ed25519"].public)).encode()
        yield f"options-{name}", b"O" + url + b"\n" + json.dumps(options).encode()
    yield from _did_web()
    jwk = HOLDER_SIGNER.public.jwk()
    yield "jwk", b"J" + _JWK
    for name, data in _each_kind(b"J", {**jwk, "alg": "ES256"}, ("kty", "crv", "x", "y", "alg")):
        yield f"jwk-{name}", data
    for name, changed in {
        "private": {**jwk, "d": b64url(bytes(32))},
        "symmetric": {"kty": "oct", "k": MARKER},
        "off-curve": {**jwk, "y": jwk["x"]},
        "zero": {**jwk, "x": b64url(bytes(32)), "y": b64url(bytes(32))},
        "short": {**jwk, "x": b64url(bytes(31))},
        "field": {**jwk, "x": b64url(b"\xff" * 32)},
        "rsa": {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        "ed25519": {"kty": "OKP", "crv": "Ed25519", "x": b64url(bytes(32))},
        "p-384": {"kty": "EC", "crv": "P-384", "x": b64url(bytes(48)), "y": b64url(bytes(48))},
        "secp256k1": {"kty": "EC", "crv": "secp256k1", "x": jwk["x"], "y": jwk["y"]},
    }.items():
        yield f"jwk-{name}", b"J" + json.dumps(changed).encode()


def _did_web() -> Iterator[tuple[str, bytes]]:
    name = b"Wdid:web:brand.example#k\n"
    method: JsonObject = {
        "id": "#k",
        "type": "Multikey",
        "controller": "#d",
        "publicKeyMultibase": str(Multikey.of(HOLDER_SIGNER.public)),
        "expires": "2027-01-01T00:00:00Z",
        "revoked": "2027-01-01T00:00:00.5+23:59",
    }
    jwk: JsonObject = {
        "id": "#d#j",
        "type": "JsonWebKey2020",
        "controller": "#d",
        "publicKeyJwk": ISSUER_SIGNER.public.jwk(),
    }
    document: JsonObject = {
        "@context": ["https://www.w3.org/ns/did/v1"],
        "id": "#d",
        "controller": "#d",
        "alsoKnownAs": [ISSUER],
        "verificationMethod": [method, jwk],
        "assertionMethod": ["#k"],
        "authentication": [{**jwk, "id": "#e"}],
        "service": [{"id": "#s", "type": "x", "serviceEndpoint": ISSUER}],
    }
    yield "web", name + compact_json(document)
    for kind, data in _each_kind(b"", document, tuple(document)):
        yield f"web-{kind}", name + data
    for kind, data in _each_kind(b"", method, tuple(method)):
        yield f"method-{kind}", name + _with(document, "verificationMethod", b"[" + data + b"]")
    for kind, data in _each_kind(b"", jwk, tuple(jwk)):
        yield f"method-jwk-{kind}", name + _with(document, "authentication", b"[" + data + b"]")
    for kind, time in {
        "none": "2027-02-30T00:00:00Z",
        "early": "0001-01-01T00:00:00+23:59",
        "late": "9999-12-31T23:59:59-23:59",
        "local": "2027-01-01T00:00:00",
        "leap": "2016-12-31T23:59:60Z",
        "other-digits": "２０２７-01-01T00:00:00Z",
    }.items():
        dated: JsonObject = {**method, "expires": time}
        yield f"time-{kind}", name + compact_json({**document, "verificationMethod": [dated]})
    yield "web-cycle", name + compact_json({**document, "assertionMethod": ["#k", "#k"]})
    yield "web-of-another", name + compact_json({**document, "id": "did:web:other.example"})


def _status_list() -> Iterator[tuple[str, bytes]]:
    widths: tuple[Bits, ...] = (1, 2, 4, 8)
    for code, bits in enumerate(widths):
        entries = pack([i % 2 for i in range(64)], bits=bits)
        yield f"list-{bits}", b"P" + bytes([code]) + entries
    stream = zlib.compress(bytes(100))
    yield "stream", b"Z\0" + stream
    yield "stream-truncated", b"Z\0" + stream[:-1]
    yield "stream-with-more", b"Z\0" + stream + b"\0"
    yield "stream-wrong-checksum", b"Z\0" + stream[:-1] + b"\xff"
    yield "stream-raw", b"Z\0" + stream[2:-4]
    yield "stream-gzip", b"Z\0\x1f\x8b\x08\0\0\0\0\0\0\0"
    yield "stream-dictionary", b"Z\0\x78\xbb\0\0\0\0"
    yield "stream-empty", b"Z\0"
    yield "stream-of-nothing", b"Z\0" + zlib.compress(b"")
    yield "aggregation", b"A" + compact_json({"status_lists": [LIST_URL]})
    for kind, spelled in _KINDS.items():
        yield f"aggregation-{kind}", b'A{"status_lists":[' + spelled + b"]}"
    yield "bomb", b"Z\0" + zlib.compress(bytes(17 * 2**20), 9)[:8_000]
    claims: JsonObject = {
        "sub": LIST_URL,
        "iat": SECONDS,
        "exp": SECONDS + 60,
        "ttl": 60,
        "status_list": {"bits": 1, "lst": b64url(stream)},
    }
    yield "claims", b"C" + compact_json(claims)
    for name, data in _each_kind(b"C", claims, tuple(claims)):
        yield f"claims-{name}", data
    listed: JsonObject = {"bits": 1, "lst": b64url(stream), "aggregation_uri": ISSUER}
    for name, data in _each_kind(b"", listed, tuple(listed)):
        yield f"listed-{name}", b"C" + _with(claims, "status_list", data)
    yield "sub-another", b"C" + compact_json({**claims, "sub": f"{LIST_URL}0"})
    yield "expired", b"C" + compact_json({**claims, "exp": SECONDS})
    token = sign_status_list(
        bytes(4),
        url=LIST_URL,
        bits=1,
        signer=ISSUER_SIGNER,
        issued_at=NOW,
        expires_at=None,
        ttl_s=None,
    )
    yield "token", b"T" + token.encode()
    yield "token-of-another-type", b"T" + typed(SD_JWT_VC_TYP, b"{}", ISSUER_SIGNER).encode()


def _types() -> Iterator[tuple[str, bytes]]:
    label: JsonObject = {"locale": "en", "label": "Order", "description": "x"}
    claim: JsonObject = {
        "path": ["order"],
        "display": [label],
        "mandatory": True,
        "sd": "always",
        "svg_id": "order",
    }
    image: JsonObject = {"uri": f"{ISSUER}/a.png", "uri#integrity": "sha256-AAAA", "alt_text": "x"}
    simple: JsonObject = {
        "logo": image,
        "background_image": {"uri": "data:image/png;base64,AAAA"},
        "background_color": "#12107c",
        "text_color": "rgb(1%, 2%, 3%)",
    }
    template: JsonObject = {"uri": f"{ISSUER}/a.svg", "properties": {"orientation": "portrait"}}
    rendering: JsonObject = {"simple": simple, "svg_templates": [template]}
    shown: JsonObject = {
        "locale": "en-GB",
        "name": "Warranty",
        "description": "x",
        "rendering": rendering,
    }
    document: JsonObject = {
        "vct": "t0",
        "name": "Warranty",
        "description": "x",
        "extends": "t1",
        "display": [shown],
        "claims": [claim, {"path": ["lines", None, "price"], "sd": "allowed"}],
    }
    base: JsonObject = {"vct": "t1", "claims": [{"path": ["lines", 0], "mandatory": True}]}
    below = b"\n" + compact_json(base)
    yield "chain", b"C" + compact_json(document) + below
    for name, data in _each_kind(b"C", document, tuple(document)):
        yield f"document-{name}", data + below
    for name, data in _each_kind(b"", claim, tuple(claim)):
        yield f"claim-{name}", b"C" + _with(document, "claims", b"[" + data + b"]") + below
    for name, data in _each_kind(b"", label, tuple(label)):
        changed = _with(claim, "display", b"[" + data + b"]")
        yield f"label-{name}", b"C" + _with(document, "claims", b"[" + changed + b"]") + below
    for name, data in _each_kind(b"", shown, tuple(shown)):
        yield f"display-{name}", b"M" + _with(document, "display", b"[" + data + b"]")
    for name, data in _each_kind(b"", simple, tuple(simple)):
        changed = _with(shown, "rendering", _with(rendering, "simple", data))
        yield f"simple-{name}", b"M" + _with(document, "display", b"[" + changed + b"]")
    for name, data in _each_kind(b"", template, tuple(template)):
        changed = _with(shown, "rendering", _with(rendering, "svg_templates", b"[" + data + b"]"))
        yield f"template-{name}", b"M" + _with(document, "display", b"[" + changed + b"]")
    chains: dict[str, list[JsonObject]] = {
        "cycle": [{"vct": "t0", "extends": "t1"}, {"vct": "t1", "extends": "t0"}],
        "itself": [{"vct": "t0", "extends": "t0"}],
        "long": [{"vct": f"t{i}", "extends": f"t{i + 1}"} for i in range(20)],
        "away": [{"vct": "t0", "extends": ISSUER}],
        "of-another": [{"vct": "t0", "extends": "t1"}, {"vct": "t0"}],
        "integrity": [{"vct": "t0", "extends": "t1", "extends#integrity": "sha256-AAAA"}, base],
        "loosened": [
            {"vct": "t0", "extends": "t1", "claims": [{"path": ["a"], "mandatory": False}]},
            {"vct": "t1", "claims": [{"path": ["a"], "mandatory": True, "sd": "never"}]},
        ],
        "withheld-list": [{"vct": "t0", "claims": [{"path": ["lines", None], "sd": "never"}]}],
        "other-kind": [{"vct": "t0", "claims": [{"path": ["buyer", 0]}]}],
    }
    for name, chain in chains.items():
        yield f"chain-{name}", b"C" + b"\n".join(map(compact_json, chain))
    for name, text in {
        "good": "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
        "several": "sha1-AAAA  sha256-AAAA\tsha512-AAAA?x",
        "unknown": "md5-AAAA",
        "empty": "",
        "not-base64": "sha256-A",
        "many": "sha256-A " * 300,
    }.items():
        yield f"integrity-{name}", b"I" + text.encode() + b"\nabc"


def _jwe() -> Iterator[tuple[str, bytes]]:
    token = encrypt_jwe(MARKER.encode(), key=READER.public, apu=b"u", apv=b"v").encode()
    head, _, nonce, text, tag = token.split(b".")
    header = parse_object(from_b64url(head.decode(), "header"), "header")
    sealed = b"".join(from_b64url(part.decode(), "part") for part in (nonce, tag, text))
    yield "token", b"T" + token
    yield "token-truncated", b"T" + token[:-2]
    yield "token-four-parts", b"T" + token.rpartition(b".")[0]
    yield "token-wrapped-key", b"T" + token.replace(b"..", b".AAAA.")
    yield "token-empty", b"T...."
    yield "plaintext", b"P" + MARKER.encode()
    yield "parts", b"E" + compact_json(header) + b"\n" + sealed
    for name, data in _each_kind(b"E", header, tuple(header)):
        yield f"header-{name}", data + b"\n" + sealed
    heads: dict[str, JsonObject] = {
        "alg-dir": {"alg": "dir"},
        "alg-rsa": {"alg": "RSA1_5"},
        "alg-password": {"alg": "PBES2-HS256+A128KW", "p2s": "AAAA", "p2c": 2**31 - 1},
        "enc-cbc": {"enc": "A128CBC-HS256"},
        "zip": {"zip": "DEF"},
        "crit": {"crit": ["exp"], "exp": 1},
        "jku": {"jku": ISSUER},
        "epk-generate": {"epk": {"kty": "RSA", "generate": "RSA", "size": 65536}},
        "epk-off-curve": {"epk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}},
        "kid-another": {"kid": "other"},
    }
    for name, changed in heads.items():
        other = compact_json({**header, **changed})
        yield f"header-{name}", b"E" + other + b"\n" + sealed
    jwk = READER.jwk()
    yield "keys", b"K" + compact_json({"keys": [jwk]})
    for name, data in _each_kind(b"", jwk, tuple(jwk)):
        yield f"key-{name}", b'K{"keys":[' + data + b"]}"
    yield "keys-kind", b'K{"keys":7}'
    yield "keys-is-list", b"K[]"


def _answers() -> Iterator[tuple[str, bytes]]:
    reason: JsonObject = {
        "code": "grant-ended",
        "expected": "a grant",
        "found": "none",
        "where": "id",
    }
    told: JsonObject = {
        "error": "invalid_request",
        "error_description": "expected a grant, found none (id)",
        "reasons": [reason],
    }
    for status in (b"200", b"204", b"301", b"400", b"404", b"500"):
        yield f"status-{status.decode()}", status + compact_json(told)
    for name, data in _each_kind(b"400", told, tuple(told)):
        yield f"told-{name}", data
    for name, data in _each_kind(b"", reason, tuple(reason)):
        yield f"reason-{name}", b"403" + _with(told, "reasons", b"[" + data + b"]")
    spelled = ("expected " + ", found (" * 110 + ")")[:1_000]
    yield "spelled-over-and-over", b"400" + compact_json({"error_description": spelled})


def _query() -> tuple[JsonObject, JsonObject]:
    claim: JsonObject = {"id": "o", "path": ["lines", None, "price"], "values": ["19.00", 2, True]}
    credential: JsonObject = {
        "id": "w",
        "format": "dc+sd-jwt",
        "meta": {"vct_values": [VCT]},
        "claims": [claim, {"id": "p", "path": ["buyer", "name"]}, {"path": ["lines", 1]}],
        "multiple": False,
        "require_cryptographic_holder_binding": True,
    }
    return credential, claim


def _dcql() -> Iterator[tuple[str, bytes]]:
    credential, claim = _query()
    query: JsonObject = {"credentials": [credential]}
    yield "query", b"Q" + compact_json(query)
    yield "query-and-claims", b"C" + compact_json(query) + b"\n" + compact_json(CLAIMS)
    extended: JsonObject = {
        **credential,
        "claim_sets": [["o", "p"], ["o"]],
        "trusted_authorities": [{"type": "aki", "values": ["AQ"]}],
    }
    purpose: JsonObject = {"options": [["w"], ["v", "w"]], "required": False}
    whole: JsonObject = {"credentials": [extended], "credential_sets": [purpose]}
    yield "whole", b"Q" + compact_json(whole)
    for name, data in _each_kind(b"Q", whole, ("credentials", "credential_sets")):
        yield f"query-{name}", data
    for name, data in _each_kind(b"", extended, tuple(extended)):
        yield f"credential-{name}", b'Q{"credentials":[' + data + b"]}"
    for name, data in _each_kind(b"", claim, ("path", "values", "id")):
        one = _with(
            {"id": "w", "format": "dc+sd-jwt", "meta": {"vct_values": [VCT]}},
            "claims",
            b"[" + data + b"]",
        )
        yield f"claim-{name}", b'Q{"credentials":[' + one + b"]}"
    for name, data in _each_kind(b"", purpose, ("options", "required")):
        yield f"set-{name}", b"Q" + _with(whole, "credential_sets", b"[" + data + b"]")
    for name, path in {
        "empty": b"[]",
        "long": b"[" + b",".join([b"null"] * 17) + b"]",
        "huge-index": b'["lines",%s]' % (b"9" * 40),
        "negative": b'["lines",-1]',
        "fraction": b'["lines",0.0]',
        "true": b'["lines",true]',
    }.items():
        one = b'{"id":"w","format":"dc+sd-jwt","meta":{"vct_values":["v"]},"claims":[{"path":%s}]}'
        yield f"path-{name}", b'Q{"credentials":[' + one % path + b"]}"


def _encoding() -> Iterator[tuple[str, bytes]]:
    for kind, spelled in _KINDS.items():
        yield f"json-{kind}", b"J" + spelled
        yield f"text-{kind}", b"T" + b'{"a":[' + spelled + b"]}"
    for name, data in {
        "byte-order-mark": b"\xef\xbb\xbf{}",
        "utf-16": '{"a":1}'.encode("utf-16"),
        "unterminated": b'"' + b'\\"' * 2000,
        "unterminated-many": b'["' * 2000,
        "pair": b'"\\ud83d\\ude00"',
        "pair-swapped": b'"\\ude00\\ud83d"',
        "half-raw": b'"\xed\xa0\x80"',
        "half-name": b'{"\\ud800":1}',
        "control": b'"\x01"',
        "trailing": b"{} {}",
        "comment": b"{}/**/",
        "single-quotes": b"{'a':1}",
        "leading-zero": b"01",
        "minus": b"-",
        "minus-zero": b"[-0,-0.0]",
        "small": b"1e-999",
        "depth-32": b"[" * 32 + b"]" * 32,
        "depth-33": b"[" * 33 + b"]" * 33,
        "depth-in-text": b'["' + b"[" * 3000 + b'"]',
        "depth-after-escape": b'["\\\\",' + b"[" * 40,
    }.items():
        yield f"json-{name}", b"J" + data
    for name, data in {
        "good": b"QUJD",
        "padded": b"QUI=",
        "stray-bits": b"QUJ",
        "one": b"Q",
        "line-end": b"QUJD\n",
        "standard": b"+/+/",
        "not-ascii": "QUé".encode(),
        "not-utf-8": b"QU\xff",
        "digit-of-another-script": "QU\u0661".encode(),
    }.items():
        yield f"base64-{name}", b"B" + data


def _links() -> Iterator[tuple[str, bytes]]:
    offer = CredentialOffer(
        issuer=ISSUER,
        configuration_ids=("warranty",),
        code=MARKER,
        tx_code=TxCode(6, numeric=True, description="From the receipt"),
        authorization_server=ISSUER,
    )
    obj = offer.to_json()
    yield "offer", b"L" + offer.to_link().encode()
    yield "offer-object", b"O" + compact_json(obj)
    for name, data in _each_kind(b"O", obj, tuple(obj)):
        yield f"offer-{name}", data
    grant = "urn:ietf:params:oauth:grant-type:pre-authorized_code"
    given: JsonObject = {
        "pre-authorized_code": MARKER,
        "authorization_server": ISSUER,
        "tx_code": {"input_mode": "text", "length": 4, "description": "x"},
    }
    for name, data in _each_kind(b"", given, tuple(given)):
        yield f"grant-{name}", b"O" + _with(obj, "grants", _with({}, grant, data))
    code: JsonObject = {"input_mode": "text", "length": 4, "description": "x"}
    for name, data in _each_kind(b"", code, tuple(code)):
        described = _with(given, "tx_code", data)
        yield f"code-{name}", b"O" + _with(obj, "grants", _with({}, grant, described))
    link = request_link(client_id_of(_DID), f"{AUDIENCE}/r/1").encode()
    yield "request", b"L" + link
    for name, text in {
        "twice": link + b"&client_id=x",
        "half-a-pair": b"openid4vp://?client_id=%ED%A0%80&request_uri=x",
        "nul": b"openid4vp://?client_id=%00&request_uri=%00",
        "empty": b"openid4vp://?client_id=&request_uri=",
        "no-query": b"openid4vp://",
        "bad-escape": b"openid4vp://?client_id=%zz&request_uri=%",
        "many": b"openid4vp://?" + b"a=1&" * 100,
        "by-value": b"openid4vp://?client_id=x&request=e30.e30.",
        "bracket": b"openid4vp://[?client_id=x&request_uri=y",
        "compatibility-character": "openid4vp://\u2100?client_id=x&request_uri=y".encode(),
        "scheme-upper": b"OPENID4VP://?client_id=x&request_uri=y",
        "line-end": b"openid4vp://?client_id=x\n&request_uri=y",
        "offer-by-reference": b"openid-credential-offer://?credential_offer_uri=https%3A%2F%2Fx",
        "offer-twice": b"openid-credential-offer://?credential_offer={}&credential_offer={}",
    }.items():
        yield f"link-{name}", b"L" + text
    yield "answer", b"F" + compact_json({"w": [str(WARRANTY)[:200]]})
    for kind, spelled in _KINDS.items():
        yield f"answer-{kind}", b'F{"w":[' + spelled + b"]}"
        yield f"answer-is-{kind}", b"F" + spelled


def _request() -> Iterator[tuple[str, bytes]]:
    credential, _ = _query()
    claims: JsonObject = {
        "aud": "https://self-issued.me/v2",
        "client_id": "#d",
        "response_type": "vp_token",
        "response_mode": "direct_post",
        "response_uri": f"{AUDIENCE}/r/1",
        "nonce": NONCE,
        "state": "s",
        "purpose": "warranty",
        "dcql_query": {"credentials": [credential]},
        "client_metadata": {"client_name": "Shop"},
        "iat": SECONDS,
        "exp": SECONDS + 300,
        "transaction_data": ["e30"],
    }
    yield "claims", b"C" + compact_json(claims)
    for name, data in _each_kind(b"C", claims, tuple(claims)):
        yield f"claims-{name}", data
    yield "claims-redirect", b"C" + compact_json({**claims, "redirect_uri": AUDIENCE})
    client_id = client_id_of(_DID).encode()
    token = typed("oauth-authz-req+jwt", b"{}", ISSUER_SIGNER, kid=key_id_of(_DID)).encode()
    yield "token", b"T" + client_id + b"\n" + token
    yield "client-another", b"Tdecentralized_identifier:did:jwk:e30\n" + token
    yield "client-prefix", b"Tredirect_uri:https://x.example\n" + token
    yield "client-origin", b"Torigin:https://x.example\n" + token
    yield "client-not-utf-8", b"Tdecentralized_identifier:did:jwk:\xff\n" + token


def _proof() -> Iterator[tuple[str, bytes]]:
    yield "token", b"T" + make_proof(HOLDER_SIGNER, issuer=ISSUER, nonce=MARKER, now=NOW).encode()
    claims: JsonObject = {"aud": ISSUER, "iat": SECONDS, "nonce": MARKER}
    yield "claims", b"C" + compact_json(claims)
    for name, data in _each_kind(b"C", claims, tuple(claims)):
        yield f"claims-{name}", data
    header: JsonObject = {"alg": "ES256", "typ": PROOF_TYP, "jwk": HOLDER_SIGNER.public.jwk()}
    for name, data in _each_kind(b"H", header, ("jwk", "alg", "typ")):
        yield f"header-{name}", data + b"\n" + compact_json(claims)
    for name in ("kid", "x5c"):
        head = compact_json({**header, name: "x"})
        yield f"header-and-{name}", b"H" + head + b"\n" + compact_json(claims)
    private: JsonObject = {**HOLDER_SIGNER.public.jwk(), "d": MARKER}
    head = compact_json({**header, "jwk": private})
    yield "header-private-key", b"H" + head + b"\n" + compact_json(claims)
    none = signed(b'{"alg":"none","typ":"%s"}' % PROOF_TYP.encode(), b"{}", HOLDER_SIGNER)
    yield "token-none", b"T" + none.encode()


def _metadata() -> Iterator[tuple[str, bytes]]:
    document = issuer_keys_document(ISSUER, [ISSUER_SIGNER.public, HOLDER_SIGNER.public])
    yield "keys", b"K" + compact_json(document)
    for name, data in _each_kind(b"K", document, tuple(document)):
        yield f"keys-{name}", data
    jwk: JsonObject = {**ISSUER_SIGNER.public.jwk(), "kid": "1", "use": "sig", "alg": "ES256"}
    for name, data in _each_kind(b"", jwk, tuple(jwk)):
        inside = _with({}, "keys", b"[" + data + b"]")
        yield f"key-{name}", b"K" + _with(document, "jwks", inside)
    for name, url in {
        "plain": ISSUER,
        "path": f"{ISSUER}/a/b/",
        "query": f"{ISSUER}?a",
        "bracket": "https://[::1",
        "compatibility-character": "https://\u2100.example",
        "port": f"{ISSUER}:99999999",
        "user": "https://a:b@brand.example",
        "line-end": f"{ISSUER}\n/a",
        "nul": f"{ISSUER}/\0",
    }.items():
        yield f"url-{name}", b"U" + url.encode()
    yield "url-not-utf-8", b"Uhttps://\xff.example"
    offer = compact_json(CredentialOffer(ISSUER, ("w",), MARKER, None).to_json())
    configuration: JsonObject = {
        "format": "dc+sd-jwt",
        "vct": VCT,
        "proof_types_supported": {"jwt": {"proof_signing_alg_values_supported": ["ES256"]}},
    }
    issuer: JsonObject = {
        "credential_issuer": ISSUER,
        "credential_endpoint": f"{ISSUER}/credential",
        "nonce_endpoint": f"{ISSUER}/nonce",
        "notification_endpoint": f"{ISSUER}/notification",
        "authorization_servers": [ISSUER],
        "credential_configurations_supported": {"w": configuration},
    }
    server: JsonObject = {"issuer": ISSUER, "token_endpoint": f"{ISSUER}/token"}
    said = compact_json(server)
    yield "issuer", b"\n".join((b"D" + offer, compact_json(issuer), said))
    for name, data in _each_kind(b"", issuer, tuple(issuer)):
        yield f"issuer-{name}", b"\n".join((b"D" + offer, data, said))
    for name, data in _each_kind(b"", configuration, tuple(configuration)):
        listed = _with({}, "w", data)
        changed = _with(issuer, "credential_configurations_supported", listed)
        yield f"configuration-{name}", b"\n".join((b"D" + offer, changed, said))
    for name, data in _each_kind(b"", server, tuple(server)):
        yield f"server-{name}", b"\n".join((b"D" + offer, compact_json(issuer), data))


def _data_integrity() -> Iterator[tuple[str, bytes]]:
    documents = {"jcs": SIGNED[0], "rdfc": SIGNED[1], "sd": SHOWN_SD, "bbs": SHOWN_BBS}
    for name, document in documents.items():
        yield f"document-{name}", b"J" + compact_json(document)
    proof = as_object(SIGNED[1]["proof"], "proof")
    for name, data in _each_kind(b"", proof, tuple(proof)):
        yield f"proof-{name}", b"J" + _with(SIGNED[1], "proof", data)
    yield "proof-twice", b"J" + compact_json({**SIGNED[1], "proof": [proof, proof]})
    for mode, document in ((b"S", SHOWN_SD), (b"B", SHOWN_BBS), (b"D", HELD_SD), (b"E", HELD_BBS)):
        text = text_at(as_object(document["proof"], "proof"), "proofValue", "proof")
        value = from_b64url(text[1:], "proof")
        yield f"value-{mode.decode()}", mode + value
        yield f"value-{mode.decode()}-cut", mode + value[:-3]
        yield f"value-{mode.decode()}-header-alone", mode + value[:3]
    plain = {name: member for name, member in SIGNED[0].items() if name != "proof"}
    more: JsonObject = {
        **plain,
        "id": "urn:x",
        "name": {"@value": "kettle", "@language": "en", "@direction": "ltr"},
        "validFrom": "2026-01-01T00:00:00Z",
        "validUntil": "2027-01-01T00:00:00Z",
        "credentialStatus": {"type": "X", "id": "urn:y"},
        "credentialSchema": {"type": "X", "id": "urn:z"},
        "relatedResource": {"id": "urn:x", "digestSRI": "sha256-AAAA"},
        "termsOfUse": {"type": "X"},
        "evidence": [{"type": "X"}],
    }
    yield "whole", b"C" + compact_json(more)
    for name, data in _each_kind(b"C", more, tuple(more)):
        yield f"signed-{name}", data
    yield "pointer", b"P/credentialSubject/item\n" + compact_json(plain)
    yield "pointer-escapes", b"P/a~1b~0c/0/-\n" + compact_json(plain)
    yield "quads", b'N<urn:a> <urn:p> _:b .\n_:b <urn:q> "x"@en <urn:g> .\n'
    clique = "".join(f"_:e{a} <urn:p> _:e{b} .\n" for a in range(9) for b in range(9))
    yield "quads-clique", b"N" + clique.encode()


def _bitstring() -> Iterator[tuple[str, bytes]]:
    entry = BitstringStatusEntry(
        purpose="message",
        list_url=LIST_URL,
        index=94_567,
        size=1,
        messages=("unset", "set"),
        references=("urn:x",),
    ).json()
    yield "entry", b"E" + compact_json(entry)
    for name, data in _each_kind(b"E", entry, tuple(entry)):
        yield f"entry-{name}", data
    packed = gzip.compress(bytes(16_384), mtime=0)
    yield "gzip", b"G" + packed
    yield "gzip-cut", b"G" + packed[:-4]
    yield "gzip-and-more", b"G" + packed + b"x"
    yield "gzip-twice", b"G" + packed + packed
    yield "bits", b"Z" + bytes(64)
    subject: JsonObject = {
        "type": "BitstringStatusList",
        "statusPurpose": "revocation",
        "encodedList": f"u{b64url(packed)}",
        "ttl": 300_000,
    }
    yield "list", b"L" + compact_json(subject)
    for name, data in _each_kind(b"L", subject, tuple(subject)):
        yield f"list-{name}", data


if __name__ == "__main__":
    sys.stdout.write(f"{write()} new seeds\n")
