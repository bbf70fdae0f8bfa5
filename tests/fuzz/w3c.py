"""Targets of the W3C's lane: documents with proofs, and their status lists."""

import gzip
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from counterfoil_credentials import bbs_2023, ecdsa_sd_2023
from counterfoil_credentials.bbs_2023 import MemoryBbsSigner, PresentationHeader
from counterfoil_credentials.bbs_keys import ProofSigner
from counterfoil_credentials.bbs_signatures import SecretKey
from counterfoil_credentials.bitstring_status_entry import BitstringStatusEntry
from counterfoil_credentials.bitstring_status_list import expand, read_bitstring_status_list
from counterfoil_credentials.cryptosuites import EDDSA_JCS_2022, Cryptosuite
from counterfoil_credentials.data_integrity import ProofPolicy, add_proof, verify_proofs
from counterfoil_credentials.did_methods import offline_resolver
from counterfoil_credentials.dids import did_key, key_id_of
from counterfoil_credentials.encoding import JsonObject, as_object, b64url, parse_object
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.integrity_proofs import ProofOptions
from counterfoil_credentials.json_ld import FrozenContexts
from counterfoil_credentials.keys import Curve, MemorySigner
from counterfoil_credentials.n_quads import line, parse_n_quads
from counterfoil_credentials.rdf_canonical import canonicalize
from counterfoil_credentials.rdfc_cryptosuites import eddsa_rdfc_2022
from counterfoil_credentials.related_resources import related_reasons
from counterfoil_credentials.w3c_credential import W3cCredential
from counterfoil_credentials.w3c_presentation import W3cPresentation
from counterfoil_credentials.w3c_shapes import CREDENTIALS_V2
from counterfoil_credentials.w3c_verification import W3cPolicy

from tests.fuzz.fixed import LIST_URL, NOW, lines, text_of
from tests.fuzz.judge import MARKER, judged

_CONTEXTS: Final = FrozenContexts(accept_contexts_in_documents=True)
_KEYS: Final = offline_resolver()
_ED25519: Final = MemorySigner.from_private_bytes(bytes(range(32)), Curve.ED25519)
_P256: Final = MemorySigner.from_private_bytes(bytes(range(1, 33)))
_BLS: Final = MemoryBbsSigner(SecretKey.from_material(bytes(range(32))))
_SD: Final = ecdsa_sd_2023.ecdsa_sd_2023(_CONTEXTS, mandatory=["/issuer"])
_BBS: Final = bbs_2023.bbs_2023(
    _CONTEXTS,
    mandatory=["/issuer"],
    presentation_header=PresentationHeader.ANY_MAY_BE_A_REPLAY,
)
_SUITES: Final[tuple[Cryptosuite, ...]] = (
    EDDSA_JCS_2022,
    eddsa_rdfc_2022(_CONTEXTS),
    _SD,
    _BBS,
)
_POLICY: Final = ProofPolicy(suites=_SUITES)


def warranty(signer: ProofSigner) -> JsonObject:
    """Give a credential that `signer` may issue, with a marker for a claim."""
    return {
        "@context": [CREDENTIALS_V2, {"@vocab": "https://shop.example/terms#"}],
        "type": ["VerifiableCredential"],
        "issuer": str(did_key(signer.public)),
        "credentialSubject": {"item": MARKER, "maker": {"item": "factory 7", "weight": 9}},
    }


def secured(suite: Cryptosuite, signer: ProofSigner) -> JsonObject:
    """Give that credential with a proof."""
    options = ProofOptions(
        verification_method=key_id_of(did_key(signer.public)), created=NOW - timedelta(hours=1)
    )
    return add_proof(warranty(signer), suite=suite, signer=signer, options=options)


HELD_SD: Final = secured(_SD, _P256)
HELD_BBS: Final = secured(_BBS, _BLS)
SHOWN_SD: Final = ecdsa_sd_2023.derive(HELD_SD, _SD, ["/credentialSubject/item"])
SHOWN_BBS: Final = bbs_2023.derive(HELD_BBS, _BBS, ["/credentialSubject/item"])
SIGNED: Final = (secured(EDDSA_JCS_2022, _ED25519), secured(_SUITES[1], _ED25519))


def data_integrity(data: bytes) -> None:
    """J: a document. S, B: what stands in a proof that was shown. D, E: in one that is held.

    N: N-Quads. P: pointers, then the document that they lead into. Otherwise: a document
    that its issuer signs, so that what it says is looked at and not its signature alone.
    """
    body = data[1:]
    match data[:1]:
        case b"J":
            _believed(body)
        case b"S":
            _with_value(SHOWN_SD, body, _verified)
        case b"B":
            _with_value(SHOWN_BBS, body, _verified)
        case b"D":
            _with_value(HELD_SD, body, lambda it: ecdsa_sd_2023.derive(it, _SD, ["/issuer"]))
        case b"E":
            _with_value(HELD_BBS, body, lambda it: bbs_2023.derive(it, _BBS, ["/issuer"]))
        case b"N":
            text = text_of(body)
            with judged(text):
                quads = parse_n_quads(text, "quads")
                assert parse_n_quads("".join(map(line, quads)), "quads") == quads
                canonicalize(quads, "quads")
        case b"P":
            pointer, document = lines(body, 2)
            with judged(pointer, document):
                held = {**parse_object(document, "document"), "proof": HELD_SD["proof"]}
                ecdsa_sd_2023.derive(held, _SD, [text_of(pointer)])
        case _:
            _signed(body)


def bitstring(data: bytes) -> None:
    """E: an entry. G: bytes of a list, as they are. Z: bytes that are gzipped. Otherwise: a list.

    The list is the subject of a credential that its issuer signed.
    """
    body = data[1:]
    match data[:1]:
        case b"E":
            with judged(body):
                entry = BitstringStatusEntry.parse(parse_object(body, "entry"))
                assert BitstringStatusEntry.parse(entry.json()) == entry
                entry.reasons(1)
                entry.message(1)
        case b"G":
            with judged(body):
                expand(f"u{b64url(body)}")
        case b"Z":
            with judged(body):
                assert expand(f"u{b64url(gzip.compress(body))}") == body
        case _:
            with judged(body):
                _list(parse_object(body, "list"))


def _believed(document: bytes) -> None:
    with judged(document):
        _verified(parse_object(document, "document"))
    with judged(document):
        W3cPresentation.parse(parse_object(document, "document"))


def _verified(document: JsonObject) -> None:
    found = verify_proofs(document, policy=_POLICY, keys=_KEYS, now=NOW)
    _read(found.document)


def _read(document: JsonObject) -> None:
    credential = W3cCredential.parse(document)
    credential.time_reasons(NOW)
    related_reasons(document, {"urn:x": b"x"})
    for status in credential.statuses:
        BitstringStatusEntry.parse(status.json)


def _with_value(shown: JsonObject, value: bytes, act: Callable[[JsonObject], object]) -> None:
    proof = {**as_object(shown["proof"], "proof"), "proofValue": f"u{b64url(value)}"}
    with judged(value):
        act({**shown, "proof": proof})


def _signed(body: bytes) -> None:
    options = ProofOptions(verification_method=key_id_of(did_key(_ED25519.public)), created=NOW)
    with judged(body):
        document = parse_object(body, "document")
        document.pop("proof", None)
        for suite in _SUITES[:2]:
            try:
                signed = add_proof(document, suite=suite, signer=_ED25519, options=options)
            except Misuse as cause:
                # What the issuer himself would sign is his own caller's business.
                raise AssertionError("expected an error about the document") from cause
            found = verify_proofs(signed, policy=_POLICY, keys=_KEYS, now=NOW)
            assert found.document == document
        _read(document)


def _list(subject: JsonObject) -> None:
    issuer = str(did_key(_ED25519.public))
    credential: JsonObject = {
        "@context": [CREDENTIALS_V2],
        "id": LIST_URL,
        "type": ["VerifiableCredential", "BitstringStatusListCredential"],
        "issuer": issuer,
        "credentialSubject": subject,
    }
    options = ProofOptions(verification_method=key_id_of(did_key(_ED25519.public)), created=NOW)
    signed = add_proof(credential, suite=EDDSA_JCS_2022, signer=_ED25519, options=options)
    read = read_bitstring_status_list(
        signed,
        url=LIST_URL,
        issuers={issuer},
        policy=W3cPolicy(suites=_SUITES),
        keys=_KEYS,
        now=NOW,
    )
    for size in (1, 8):
        entry = BitstringStatusEntry(purpose="revocation", list_url=LIST_URL, index=0, size=size)
        read.value_of(entry)
