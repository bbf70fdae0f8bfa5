"""The targets of signed and encrypted texts; `targets` says what a target is."""

import re
import zlib
from base64 import b64encode
from datetime import timedelta
from typing import Final

from counterfoil_credentials.claims import path_text, values_at
from counterfoil_credentials.dids import did_jwk, key_id_of
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_list,
    b64url,
    compact_json,
    from_b64url,
    parse_json,
    parse_object,
)
from counterfoil_credentials.holder_proof import check_proof
from counterfoil_credentials.jose import decrypt_jwe, encrypt_jwe, encryption_key
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.key_binding import bind, check_key_binding
from counterfoil_credentials.keys import Algorithm, PublicKey, Signer
from counterfoil_credentials.requests import client_id_of, read_request
from counterfoil_credentials.sdjwt import (
    Disclosable,
    Revealed,
    SdJwt,
    digest,
    unverified_payload,
)
from counterfoil_credentials.sdjwt_json import flattened, general, parse_json_sd_jwt
from counterfoil_credentials.sdjwt_vc import read_credential, time_reasons
from counterfoil_credentials.spec import (
    KEY_BINDING_TYP,
    PROOF_TYP,
    REQUEST_TYP,
    SD,
    SD_HASH,
    SD_JWT_VC_TYP,
    STATUS_LIST_TYP,
)
from counterfoil_credentials.status_entries import Bits
from counterfoil_credentials.status_list_aggregation import aggregation_document, parse_aggregation
from counterfoil_credentials.token_status_list import (
    pack,
    read_status_list,
    status_at,
    status_list_key_id,
)
from counterfoil_credentials.x509 import certified_key

from tests.fuzz.fixed import (
    ANCHORS,
    AUDIENCE,
    HOLDER_SIGNER,
    ISSUER,
    ISSUER_SIGNER,
    LIST_URL,
    NONCE,
    NOW,
    READER,
    SIGNERS,
    WARRANTY,
    lines,
    signed,
    text_of,
    typed,
)
from tests.fuzz.judge import judged

_TYP: Final = "fuzz+jwt"
_MAX_AGE: Final = timedelta(minutes=5)
_BITS: Final[tuple[Bits, ...]] = (1, 2, 4, 8)
_VERIFIER: Final = did_jwk(ISSUER_SIGNER.public)


def sd_jwt(data: bytes) -> None:
    """T: a token. J: one in JSON. K: a key binding's claims. S: a payload, then disclosures.

    S is read by lines; in it `#3` stands for the digest of the fourth disclosure.
    """
    match data[:1]:
        case b"T":
            _presented(text_of(data[1:]))
        case b"K":
            _key_binding(data[1:])
        case b"J":
            _serialised(data[1:])
        case _:
            payload, disclosures = _concealed(data[1:])
            token = typed(SD_JWT_VC_TYP, payload, ISSUER_SIGNER)
            _presented(str(SdJwt(token, tuple(disclosures))))


def _concealed(data: bytes) -> tuple[bytes, list[str]]:
    payload, *contents = data.split(b"\n")
    disclosures: dict[int, str] = {}

    def digests(match: re.Match[bytes]) -> bytes:
        named = disclosures.get(int(match[1]))
        return match[0] if named is None else digest(named).encode("ascii")

    # From the last one, so that a disclosure may name those behind it.
    for i, content in reversed(list(enumerate(contents))):
        disclosures[i] = b64url(re.sub(rb"#(\d{1,3})", digests, content))
    ordered = [disclosures[i] for i in range(len(contents))]
    return re.sub(rb"#(\d{1,3})", digests, payload), ordered


def _serialised(data: bytes) -> None:
    with judged(data):
        found = parse_json_sd_jwt(data)
        first = found[0]
        assert parse_json_sd_jwt(compact_json(flattened(first))) == (first,)
        unbound = [SdJwt(one.issuer_jwt, one.disclosures) for one in found]
        assert parse_json_sd_jwt(compact_json(general([first, *unbound[1:]]))) == found
        for one in found:
            _presented(str(one))


def _presented(text: str) -> None:
    with judged(text):
        presentation = SdJwt.parse(text)
        assert str(presentation) == text
        credential = read_credential(presentation)
        payload = unverified_payload(presentation)
        _require_revealed(presentation, payload, credential.revealed)
        verified = credential.verify(ISSUER_SIGNER.public)
        assert verified.claims == credential.revealed.claims
        time_reasons(verified, NOW)
        if presentation.key_binding is None:
            unbound = SdJwt(presentation.issuer_jwt, presentation.disclosures)
            text = bind(unbound, signer=HOLDER_SIGNER, audience=AUDIENCE, nonce=NONCE, now=NOW)
            presentation = SdJwt.parse(text)
            assert str(presentation) == text
        _check_binding(presentation, verified.holder_key or HOLDER_SIGNER.public)


def _require_revealed(shown: SdJwt, payload: JsonObject, revealed: Revealed) -> None:
    assert len(revealed.paths) == len(shown.disclosures)
    assert not _names_in(revealed.claims) & {SD, "..."}
    for disclosure, path in revealed.paths.items():
        # Its own text is never the value: what it conceals is now at its place, once.
        assert len(values_at(revealed.claims, path)) == 1, path_text(path)
        assert disclosure in shown.disclosures
    holder = Disclosable(shown)
    everything = holder.disclose([(name,) for name in revealed.claims])
    assert everything.disclosures == shown.disclosures
    for path in [*revealed.paths.values()][:3]:
        fewer = holder.disclose([path])
        again = read_credential(fewer)
        assert set(again.revealed.paths) == set(fewer.disclosures) <= set(shown.disclosures)
    assert unverified_payload(holder.disclose([])) == payload


def _key_binding(claims: bytes) -> None:
    sd_hash = digest(WARRANTY.without_key_binding()).encode("ascii")
    token = typed(KEY_BINDING_TYP, claims.replace(b"#h", sd_hash), HOLDER_SIGNER)
    bound = SdJwt(WARRANTY.issuer_jwt, WARRANTY.disclosures, token)
    with judged(claims):
        assert SdJwt.parse(str(bound)) == bound
        _check_binding(bound, HOLDER_SIGNER.public)
        found = parse_object(claims.replace(b"#h", sd_hash), "kb_jwt")
        assert (found["aud"], found["nonce"]) == (AUDIENCE, NONCE)
        assert found[SD_HASH] == sd_hash.decode("ascii")


def _check_binding(presentation: SdJwt, holder_key: PublicKey) -> None:
    check_key_binding(
        presentation,
        holder_key=holder_key,
        audience=AUDIENCE,
        nonce=NONCE,
        now=NOW,
        max_age=_MAX_AGE,
    )


def jws(data: bytes) -> None:
    """T: a token. V: header, payload, raw signature. S: header and payload, rightly signed."""
    signer: Signer = ISSUER_SIGNER
    match data[:1]:
        case b"T":
            token = text_of(data[1:])
        case b"V":
            header, payload, signature = lines(data[1:], 3)
            signer = _signer_for(header)
            token = f"{b64url(header)}.{b64url(payload)}.{b64url(signature)}"
        case _:
            header, payload = lines(data[1:], 2)
            signer = _signer_for(header)
            token = signed(header, payload, signer)
    with judged(token):
        unverified = read_jws(token, typ=_TYP, where="token")
        assert unverified.header["typ"] == _TYP
        claims = unverified.verify(signer.public, frozenset(Algorithm))
        assert signer.public.accepts(str(unverified.header["alg"]))
        head, body, signature = (from_b64url(part, "part") for part in token.split("."))
        assert parse_object(head, "header") == unverified.header
        assert parse_object(body, "payload") == claims
        signer.public.verify(signature, token.rpartition(".")[0].encode("ascii"))


def _signer_for(header: bytes) -> Signer:
    named = (signer for alg, signer in SIGNERS.items() if b'"%s"' % alg.encode() in header)
    return next(named, ISSUER_SIGNER)


def status_list(data: bytes) -> None:
    """T: a token. Z: bits, then a zlib stream. P: bits, then the list. A: an aggregation.

    Otherwise: the claims of a token.
    """
    body = data[1:]
    match data[:1]:
        case b"T":
            token = text_of(body)
        case b"A":
            _aggregation(body)
            return
        case b"Z":
            token = _list(body[:1], body[1:])
        case b"P":
            token = _list(body[:1], zlib.compress(body[1:]))
        case _:
            token = typed(STATUS_LIST_TYP, body, ISSUER_SIGNER)
    with judged(token):
        status_list_key_id(token)
        listed = read_status_list(token, url=LIST_URL, issuer_key=ISSUER_SIGNER.public, now=NOW)
        count = len(listed.entries) * 8 // listed.bits
        first = [listed.status_at(i) for i in range(min(count, 64))]
        assert pack(first, bits=listed.bits) == listed.entries[: len(first) * listed.bits // 8]
        if count:
            assert listed.status_at(count - 1) == listed.entries[-1] >> (8 - listed.bits)
    for index in (-1, 8 * len(body), 10**39):
        with judged(body):
            status_at(body, index, bits=1)
            raise AssertionError("expected no status outside the list")


def _aggregation(body: bytes) -> None:
    with judged(body):
        urls = parse_aggregation(body)
        assert parse_aggregation(compact_json(aggregation_document(urls))) == urls


def _list(bits: bytes, stream: bytes) -> str:
    claims: JsonObject = {
        "sub": LIST_URL,
        "iat": int(NOW.timestamp()),
        "status_list": {"bits": _BITS[sum(bits) % 4], "lst": b64url(stream)},
    }
    return typed(STATUS_LIST_TYP, compact_json(claims), ISSUER_SIGNER)


def request(data: bytes) -> None:
    """C: a request's claims, signed by the verifier they name. Otherwise: client id and token."""
    if data[:1] == b"C":
        client_id = client_id_of(_VERIFIER)
        claims = data[1:].replace(b"#d", client_id.encode())
        token = typed(REQUEST_TYP, claims, ISSUER_SIGNER, kid=key_id_of(_VERIFIER))
    else:
        client_id, token = (text_of(line) for line in lines(data[1:], 2))
    with judged(token):
        asked = read_request(token, client_id=client_id, now=NOW)
        assert asked.client_id == client_id
        claims = compact_json(asked.to_claims())
        token = typed(REQUEST_TYP, claims, ISSUER_SIGNER, kid=key_id_of(_VERIFIER))
        assert read_request(token, client_id=client_id, now=NOW) == asked


def proof(data: bytes) -> None:
    """T: a proof. C: its claims. Otherwise: its header and claims, rightly signed."""
    match data[:1]:
        case b"T":
            token = text_of(data[1:])
        case b"C":
            head: JsonObject = {
                "alg": "ES256",
                "typ": PROOF_TYP,
                "jwk": HOLDER_SIGNER.public.jwk(),
            }
            token = signed(compact_json(head), data[1:], HOLDER_SIGNER)
        case _:
            header, claims = lines(data[1:], 2)
            token = signed(header, claims, HOLDER_SIGNER)
    with judged(token):
        proven = check_proof(token, issuer=ISSUER, now=NOW, max_age=_MAX_AGE)
        assert proven.key == HOLDER_SIGNER.public


def jwe(data: bytes) -> None:
    """T: a token. P: a plaintext. K: a key set. Otherwise: header, nonce and tag, ciphertext."""
    body = data[1:]
    match data[:1]:
        case b"T":
            token = text_of(body)
        case b"P" if body:
            token = encrypt_jwe(body, key=READER.public, apu=body[:4], apv=body[:2])
            assert decrypt_jwe(token, keys=[READER], where="response") == body
            return
        case b"K":
            with judged(body):
                key = encryption_key(parse_json(body, "jwks"), "jwks")
                assert encrypt_jwe(b"x", key=key).count(".") == 4
            return
        case _:
            header, sealed = lines(body, 2)
            parts = (header, b"", sealed[:12], sealed[28:], sealed[12:28])
            token = ".".join(map(b64url, parts))
    with judged(token):
        assert decrypt_jwe(token, keys=[READER], where="response")


def x5c(data: bytes) -> None:
    """H: a header. Otherwise: certificates in DER, each after its length in two bytes."""
    body = data[1:]
    if data[:1] == b"H":
        with judged(body):
            _certified(parse_object(body, "header"))
    else:
        chain: list[Json] = []
        while len(body) > 2 and len(chain) < 20:
            size = int.from_bytes(body[:2])
            chain.append(b64encode(body[2 : 2 + size]).decode("ascii"))
            body = body[2 + size :]
        with judged(*map(str, chain)):
            _certified({"x5c": chain})


def _certified(header: JsonObject) -> None:
    found = certified_key(header, ANCHORS, now=NOW)
    assert PublicKey.from_jwk(found.key.jwk(), "jwk") == found.key
    for host in found.hosts:
        found.names(f"https://{host}/")
    assert all(found.names(url) for url in found.urls)


def _names_in(value: Json) -> set[str]:
    match value:
        case dict():
            return {*value}.union(*map(_names_in, value.values()))
        case list():
            return set[str]().union(*map(_names_in, as_list(value, "list")))
        case _:
            return set()
