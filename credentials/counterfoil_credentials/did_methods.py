"""The DID methods that we speak: key, jwk and pkh from the DID alone, web by a fetcher.

Sources: the did:key method 0.7, the did:jwk and the did:pkh method specifications,
CAIP-2 and CAIP-10. `did_web` has the fourth.
"""

import re
from collections.abc import Mapping
from typing import Final

from counterfoil_credentials.bbs_keys import BbsPublicKey, VerificationKey
from counterfoil_credentials.did_documents import DidDocument, Relationship
from counterfoil_credentials.did_resolution import Method, Options, Resolver, flag
from counterfoil_credentials.did_results import (
    DidError,
    NotResolved,
    Resolution,
    Resolved,
    no_document,
)
from counterfoil_credentials.did_verification_methods import KEY_MALFORMED, MethodType, method_json
from counterfoil_credentials.did_web import did_web_method
from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_text,
    b64url,
    from_b64url,
    parse_object,
)
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.keys import Curve
from counterfoil_credentials.multikey import X25519, Multikey
from counterfoil_credentials.spec import DID_CONTEXTS

_SIGNING: Final = tuple(r for r in Relationship if r is not Relationship.KEY_AGREEMENT)
# What the did:key method calls experimental: known, and only made when it is asked for.
_EXPERIMENTAL: Final = frozenset(
    {
        "Ed25519VerificationKey2018",
        "X25519KeyAgreementKey2019",
        "EcdsaSecp256k1VerificationKey2019",
        "JsonWebKey",
        "P256Key2021",
        "P384Key2021",
    }
)
_KEY_OPTIONS: Final = frozenset(
    {"publicKeyFormat", "enableExperimentalPublicKeyTypes", "enableEncryptionKeyDerivation"}
)
# CAIP-2 and CAIP-10; and what the namespace eip155 makes of them.
_ACCOUNT: Final = re.compile(r"[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}:[-.%a-zA-Z0-9]{1,128}")
_EIP155: Final = re.compile(r"eip155:[1-9][0-9]*:0x[0-9a-fA-F]{40}")


def offline_resolver() -> Resolver:
    """Give a resolver that needs no network: did:key, did:jwk, did:pkh."""
    return Resolver(_OFFLINE)


def resolver(fetcher: Fetcher) -> Resolver:
    """Give a resolver for every method that we speak; `fetcher` serves did:web."""
    return Resolver({**_OFFLINE, "web": did_web_method(fetcher)})


def _resolve_key(did: Did, options: Options) -> Resolution:
    """Expand a did:key (section 3.1.1).

    Options: `publicKeyFormat` (`Multikey` by default, `JsonWebKey2020`, for Ed25519
    also `Ed25519VerificationKey2020`), `enableEncryptionKeyDerivation` (the X25519
    key that belongs to an Ed25519 one), `enableExperimentalPublicKeyTypes`.
    """
    where, asked = "did", dict(options)
    try:
        experimental = flag(asked, "enableExperimentalPublicKeyTypes")
        derive = flag(asked, "enableEncryptionKeyDerivation")
        named = as_text(asked.get("publicKeyFormat", MethodType.MULTIKEY), "publicKeyFormat")
    except Malformed as cause:
        return NotResolved(DidError.INVALID_OPTIONS, cause)
    encoded = did.removeprefix("did:key:")
    try:
        multikey = Multikey.parse(encoded, where)
    except Malformed as cause:
        return NotResolved(DidError.INVALID_DID, cause)
    try:
        key = multikey.verification_key(where)
    except Refused as cause:
        return NotResolved(DidError.UNSUPPORTED_PUBLIC_KEY_TYPE, cause)
    except Malformed as cause:
        whole = multikey.has_its_length
        error = DidError.INVALID_PUBLIC_KEY if whole else DidError.INVALID_PUBLIC_KEY_LENGTH
        return NotResolved(error, cause)
    if named in _EXPERIMENTAL and not experimental:
        return no_document(DidError.INVALID_PUBLIC_KEY_TYPE, "a format in use", "another")
    if named not in _formats(key):
        return no_document(
            DidError.UNSUPPORTED_PUBLIC_KEY_TYPE, " or ".join(_formats(key)), "another format"
        )
    method_type = MethodType(named)
    method = method_json(did, key, fragment=encoded, method_type=method_type)
    agreement = _derived(did, key, method_type) if derive and key.curve == Curve.ED25519 else None
    return _resolved(did, method, _SIGNING, agreement)


def _resolve_jwk(did: Did, _options: Options) -> Resolution:
    """Expand a did:jwk. A key of a kind that we do not use resolves, and verifies nothing."""
    try:
        data = from_b64url(did.removeprefix("did:jwk:"), "did")
        jwk = parse_object(data, "did", max_depth=8)
        method: JsonObject = {
            "id": f"{did}#0",
            "type": MethodType.JSON_WEB_KEY_2020.value,
            "controller": did,
            "publicKeyJwk": jwk,
        }
        related: tuple[Relationship, ...]
        match jwk.get("use"):
            case "sig":
                related = _SIGNING
            case "enc":
                related = (Relationship.KEY_AGREEMENT,)
            case _:
                related = tuple(Relationship)
        found = _resolved(did, method, related)
    except Malformed as cause:
        return NotResolved(DidError.INVALID_DID, cause)
    key = found.document.methods[f"{did}#0"].key
    if isinstance(key, Reason) and key.code == KEY_MALFORMED:
        return NotResolved(DidError.INVALID_DID, Malformed(key.expected, key.found, key.where))
    return found


def _resolve_pkh(did: Did, _options: Options) -> Resolution:
    """Expand the did:pkh of an Ethereum account.

    Its document has an account and no public key: only who recovers the key from a
    signature can check one, and no JWS is made so. Upper and lower case of an
    address are not compared with its checksum (EIP-55), as CAIP-10 does not ask it.
    """
    account = did.removeprefix("did:pkh:")
    if _ACCOUNT.fullmatch(account) is None:
        return no_document(DidError.INVALID_DID, "a CAIP-10 account", "another text")
    if not account.startswith("eip155:"):
        return no_document(DidError.FEATURE_NOT_SUPPORTED, "the namespace eip155", "another")
    if _EIP155.fullmatch(account) is None:
        return no_document(DidError.INVALID_DID, "an account of eip155", "another text")
    method_type = "EcdsaSecp256k1RecoveryMethod2020"
    name = f"{did}#blockchainAccountId"
    return _document(
        did,
        {
            "@context": [
                DID_CONTEXTS[0],
                {
                    "blockchainAccountId": "https://w3id.org/security#blockchainAccountId",
                    method_type: "https://identity.foundation/EcdsaSecp256k1RecoverySignature2020#"
                    + method_type,
                },
            ],
            "id": did,
            "verificationMethod": [
                {
                    "id": name,
                    "type": method_type,
                    "controller": did,
                    "blockchainAccountId": account,
                }
            ],
            "authentication": [name],
            "assertionMethod": [name],
        },
    )


_OFFLINE: Final[Mapping[str, Method]] = {
    "key": Method(_resolve_key, _KEY_OPTIONS),
    "jwk": Method(_resolve_jwk),
    "pkh": Method(_resolve_pkh),
}


def _formats(key: VerificationKey) -> tuple[MethodType, ...]:
    if isinstance(key, BbsPublicKey):
        return (MethodType.MULTIKEY,)
    formats = (MethodType.MULTIKEY, MethodType.JSON_WEB_KEY_2020)
    return (*formats, MethodType.ED25519_2020) if key.curve is Curve.ED25519 else formats


def _derived(did: Did, key: VerificationKey, method_type: MethodType) -> JsonObject:
    # RFC 7748, section 4.1: u = (1 + y) / (1 - y). No key of ours has y = 1.
    prime = 2**255 - 19
    y = int.from_bytes(key.point, "little") & (2**255 - 1)
    u = ((1 + y) * pow(1 - y, -1, prime) % prime).to_bytes(32, "little")
    text = str(Multikey(X25519, u))
    method: JsonObject = {"id": f"{did}#{text}", "type": method_type.value, "controller": did}
    if method_type.is_jwk:
        method["publicKeyJwk"] = {"kty": "OKP", "crv": "X25519", "x": b64url(u)}
    elif method_type is MethodType.ED25519_2020:
        method |= {"type": "X25519KeyAgreementKey2020", "publicKeyMultibase": text}
    else:
        method["publicKeyMultibase"] = text
    return method


def _resolved(
    did: Did,
    method: JsonObject,
    relationships: tuple[Relationship, ...],
    agreement: JsonObject | None = None,
) -> Resolved:
    contexts: list[Json] = [DID_CONTEXTS[0], MethodType(str(method["type"])).context]
    methods: list[Json] = [method]
    document: JsonObject = {"@context": contexts, "id": did, "verificationMethod": methods}
    document |= {relationship.value: [method["id"]] for relationship in relationships}
    if agreement is not None:
        methods.append(agreement)
        document["keyAgreement"] = [agreement["id"]]
        if agreement["type"] == "X25519KeyAgreementKey2020":
            contexts.append("https://w3id.org/security/suites/x25519-2020/v1")
    return _document(did, document)


def _document(did: Did, json: JsonObject) -> Resolved:
    document = DidDocument.parse(json, did)
    return Resolved(document=document, json=document.json)
