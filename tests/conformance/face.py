"""The VC-API of this project's credentials: one issuer for each cryptosuite, one verifier for all.

    issuers = Issuers.fresh(base="http://localhost:8080")
    app = vc_api(issuers, contexts)

What a suite must be able to ask is here, and nothing that a shop should: whoever asks is
believed to be the issuer. VC-API 0.7, sections 3.2 to 3.5; DID Resolution, section 12.1.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final
from urllib.parse import unquote

from counterfoil_credentials.bbs_2023 import (
    BbsSuite,
    MemoryBbsSigner,
    PresentationHeader,
    bbs_2023,
)
from counterfoil_credentials.bbs_2023 import derive as derive_bbs
from counterfoil_credentials.bbs_keys import ProofSigner
from counterfoil_credentials.bitstring_status_entry import BitstringStatusEntry
from counterfoil_credentials.bitstring_status_list import (
    MIN_LIST_BYTES,
    read_bitstring_status_list,
    status_list_credential,
)
from counterfoil_credentials.cryptosuites import ECDSA_JCS_2019, EDDSA_JCS_2022, Cryptosuite
from counterfoil_credentials.data_integrity import (
    ProofPolicy,
    VerifiedDocument,
    add_proof,
    verify_proofs,
)
from counterfoil_credentials.date_times import date_time_at
from counterfoil_credentials.did_documents import Relationship
from counterfoil_credentials.did_methods import offline_resolver
from counterfoil_credentials.did_results import Dereferenced
from counterfoil_credentials.dids import did_key, key_id_of
from counterfoil_credentials.ecdsa_sd_2023 import EcdsaSdSuite, ecdsa_sd_2023
from counterfoil_credentials.ecdsa_sd_2023 import derive as derive_ecdsa
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    compact_json,
    object_at,
    optional_text_at,
    parse_object,
    texts_at,
)
from counterfoil_credentials.errors import CounterfoilError, Malformed, Reason, Refused
from counterfoil_credentials.integrity_proofs import ProofOptions, proofs_of
from counterfoil_credentials.json_ld import FrozenContexts
from counterfoil_credentials.keys import Curve, MemorySigner
from counterfoil_credentials.rdfc_cryptosuites import ecdsa_rdfc_2019, eddsa_rdfc_2022
from counterfoil_credentials.related_resources import related_reasons
from counterfoil_credentials.status_entries import BitOrder, StatusEntries
from counterfoil_credentials.w3c_credential import W3cCredential
from counterfoil_credentials.w3c_presentation import Envelope, W3cPresentation
from counterfoil_credentials.w3c_shapes import CREDENTIALS_V2
from counterfoil_credentials.w3c_verification import W3cPolicy
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

MAX_BODY: Final = 262_144
RESOLUTION: Final = 'application/ld+json;profile="https://w3id.org/did-resolution"'
VC: Final = "application/vc"
RESULT: Final = "application/did-resolution"
DEREFERENCED: Final = "application/did-url-dereferencing"
_IDENTIFIERS: Final = "/1.0/identifiers/"
_LIST_PATH: Final = "bsl/lists/1"
_BELOW_HTTP: Final = 400
CREDENTIALS_V1: Final = "https://www.w3.org/2018/credentials/v1"
DATA_INTEGRITY: Final = "https://w3id.org/security/data-integrity/v2"
_IN_2_0: Final = {"issuanceDate": "validFrom", "expirationDate": "validUntil"}
Answer = tuple[int, JsonObject]


@dataclass(frozen=True, slots=True)
class Lane:
    """One issuer: the suite that it signs with, and its key; `path` stands before its routes."""

    path: str
    suite: Cryptosuite
    signer: ProofSigner

    @property
    def did(self) -> str:
        """Give the issuer's `did:key`."""
        return did_key(self.signer.public)

    def secured(self, document: JsonObject, mandatory: Sequence[str] = ()) -> JsonObject:
        """Give `document` with a proof of this moment."""
        suite = self.suite
        if isinstance(suite, EcdsaSdSuite | BbsSuite):
            suite = replace(suite, mandatory=tuple(mandatory))
        method = key_id_of(did_key(self.signer.public))
        created = datetime.now(UTC).replace(microsecond=0)
        options = ProofOptions(verification_method=method, created=created)
        return add_proof(document, suite=suite, signer=self.signer, options=options)


class Face:
    """All issuers, and one verifier of what any of their suites may sign."""

    def __init__(
        self, contexts: FrozenContexts, base: str, resources: Mapping[str, bytes] | None = None
    ) -> None:
        self._contexts = contexts
        self._resources = resources or {}
        self._base = base
        self._resolver = offline_resolver()
        ed25519, p256, p384 = (
            MemorySigner.generate(curve) for curve in (Curve.ED25519, Curve.P256, Curve.P384)
        )
        bls12381 = MemoryBbsSigner.generate()
        signers: dict[str, ProofSigner] = {
            "ed25519": ed25519,
            "p256": p256,
            "p384": p384,
            "bls12381": bls12381,
        }
        self.dids = {name: str(did_key(signer.public)) for name, signer in signers.items()}
        eddsa, ecdsa = eddsa_rdfc_2022(contexts), ecdsa_rdfc_2019(contexts)
        self.lanes = (
            Lane("", eddsa, ed25519),
            Lane("bare/", eddsa, ed25519),
            Lane("bsl/", eddsa, ed25519),
            Lane("eddsa-jcs-2022/", EDDSA_JCS_2022, ed25519),
            Lane("ecdsa-rdfc-2019/p256/", ecdsa, p256),
            Lane("ecdsa-rdfc-2019/p384/", ecdsa, p384),
            Lane("ecdsa-jcs-2019/p256/", ECDSA_JCS_2019, p256),
            Lane("ecdsa-jcs-2019/p384/", ECDSA_JCS_2019, p384),
            Lane("ecdsa-sd-2023/", ecdsa_sd_2023(contexts), p256),
            Lane("bbs-2023/", bbs_2023(contexts), bls12381),
        )
        header = PresentationHeader.ANY_MAY_BE_A_REPLAY
        self._suites: tuple[Cryptosuite, ...] = (
            eddsa,
            ecdsa,
            EDDSA_JCS_2022,
            ECDSA_JCS_2019,
            ecdsa_sd_2023(contexts),
            bbs_2023(contexts, presentation_header=header),
        )
        self._entries = StatusEntries(bytes(MIN_LIST_BYTES), bits=1, order=BitOrder.HIGHEST_FIRST)

    def issue(self, lane: Lane, body: JsonObject) -> Answer:
        """Give the credential with a proof by `lane`; 201."""
        credential = _speaking_of_proofs(object_at(body, "credential", "body"))
        options = _options(body)
        if lane.path == "bsl/":
            credential = self._with_status(credential)
        _require_shape(credential)
        if reasons := related_reasons(credential, self._resources):
            raise Refused(*reasons)
        mandatory = (
            texts_at(options, "mandatoryPointers", "options")
            if "mandatoryPointers" in options
            else []
        )
        secured = lane.secured(credential, mandatory)
        return 201, secured if lane.path == "bare/" else {"verifiableCredential": secured}

    def verify(self, body: JsonObject, *, proof_alone: bool = False) -> Answer:
        """Say 200 for a credential that is to be believed, whoever its issuer is."""
        self._believed(object_at(body, "verifiableCredential", "body"), proof_alone=proof_alone)
        return 200, {"verified": True}

    def verify_presentation(self, body: JsonObject) -> Answer:
        """Say 200 for a presentation of which each credential is to be believed."""
        secured = object_at(body, "verifiablePresentation", "body")
        options = _options(body)
        document = secured
        if "proof" in secured:
            domain = optional_text_at(options, "domain", "options")
            policy = ProofPolicy(
                suites=self._suites,
                purpose=Relationship.AUTHENTICATION,
                domains=frozenset() if domain is None else frozenset({domain}),
                challenge=optional_text_at(options, "challenge", "options"),
            )
            document = self._verified(secured, policy).document
        presentation = W3cPresentation.parse(document)
        for shown in presentation.credentials:
            if isinstance(shown, Envelope):
                raise Malformed("a credential with a proof", "one in an envelope", "presentation")
            self._believed(shown)
        return 200, {"verified": True}

    def derive(self, body: JsonObject) -> Answer:
        """Give the part of a credential that is asked for, with its derived proof; 201."""
        held = object_at(body, "verifiableCredential", "body")
        options = _options(body)
        pointers = (
            texts_at(options, "selectivePointers", "options")
            if "selectivePointers" in options
            else []
        )
        if proofs_of(held)[0].get("cryptosuite") == "bbs-2023":
            derived = derive_bbs(held, bbs_2023(self._contexts), pointers)
        else:
            derived = derive_ecdsa(held, ecdsa_sd_2023(self._contexts), pointers)
        return 201, {"verifiableCredential": derived}

    def status_list(self) -> JsonObject:
        """Give the signed list that credentials of `bsl/` point to."""
        lane = next(lane for lane in self.lanes if lane.path == "bsl/")
        return lane.secured(
            status_list_credential(
                self._entries,
                url=f"{self._base}/{_LIST_PATH}",
                issuer=lane.did,
                purposes=["revocation"],
                valid_from=datetime.now(UTC),
                valid_until=None,
            )
        )

    def resolve(self, named: str, accept: str, options: JsonObject) -> tuple[int, str, JsonObject]:
        """Give status, media type and body for a DID, or for a DID URL."""
        # Whoever does not encode a DID URL keeps its fragment to himself.
        if DEREFERENCED in accept or not {"#", "/", "?"}.isdisjoint(named):
            part = self._resolver.dereference(named, options)
            body = part.to_dereferencing_json()
            if DEREFERENCED in accept or not isinstance(part, Dereferenced):
                return part.http_status, DEREFERENCED, body
            return 200, part.content_type, part.content
        asks_result = RESULT in accept or "did" not in accept
        media_type = RESULT if RESULT in accept and "profile" not in accept else RESOLUTION
        if not asks_result:
            options = {**options, "accept": accept}
        found = self._resolver.resolve(named, options)
        body = found.to_json()
        if asks_result or found.http_status >= _BELOW_HTTP:
            return found.http_status, media_type, body
        return 200, accept, object_at(body, "didDocument", "answer")

    def _believed(self, secured: JsonObject, *, proof_alone: bool = False) -> None:
        found = self._verified(secured, ProofPolicy(suites=self._suites))
        if proof_alone:
            return
        credential = _require_shape(found.document)
        reasons = credential.time_reasons(datetime.now(UTC))
        reasons += related_reasons(credential.json, self._resources)
        if credential.issuer not in found.controllers:
            reasons.append(Reason("issuer-mismatch", "whose key signed it", "another", "issuer"))
        if reasons:
            raise Refused(*reasons)
        self._require_in_force(credential)

    def _verified(self, secured: JsonObject, policy: ProofPolicy) -> VerifiedDocument:
        return verify_proofs(secured, policy=policy, keys=self._resolver, now=datetime.now(UTC))

    def _require_in_force(self, credential: W3cCredential) -> None:
        # Of other lists nothing is known here; none of the suites publishes one.
        for status in credential.statuses:
            if "BitstringStatusListEntry" not in status.types:
                continue
            entry = BitstringStatusEntry.parse(status.json)
            if entry.list_url != f"{self._base}/{_LIST_PATH}":
                continue
            read = read_bitstring_status_list(
                self.status_list(),
                url=entry.list_url,
                issuers={credential.issuer},
                policy=W3cPolicy(suites=self._suites),
                keys=self._resolver,
                now=datetime.now(UTC),
            )
            if reasons := entry.reasons(read.value_of(entry)):
                raise Refused(*reasons)

    def _with_status(self, credential: JsonObject) -> JsonObject:
        given = credential.get("credentialStatus")
        if given is not None:
            for each in given if isinstance(given, list) else [given]:
                BitstringStatusEntry.parse(as_object(each, "credential.credentialStatus"))
            return credential
        entry = BitstringStatusEntry(
            purpose="revocation",
            list_url=f"{self._base}/{_LIST_PATH}",
            index=94_567,
            references=(f"{self._base}/status",),
        )
        return {**credential, "credentialStatus": entry.json()}


def vc_api(face: Face) -> Starlette:
    """Give the ASGI app: every refusal is a 400 with our words, and none of the caller's."""
    routes = [
        Route(f"/{lane.path}credentials/issue", _post(partial(face.issue, lane)), methods=["POST"])
        for lane in face.lanes
    ]
    verify_proof = partial(face.verify, proof_alone=True)
    for path, act in (
        ("credentials/verify", face.verify),
        ("proof/credentials/verify", verify_proof),
        ("presentations/verify", face.verify_presentation),
        ("credentials/derive", face.derive),
    ):
        routes.append(Route(f"/{path}", _post(act), methods=["POST"]))

    async def status_list(request: Request) -> Response:
        knows = VC in request.headers.get("accept", "*/*").replace("*/*", VC)
        return _json(200, face.status_list(), VC if knows else "application/json")

    async def resolve(request: Request) -> Response:
        named = unquote(request.scope["raw_path"].decode()).removeprefix(_IDENTIFIERS)
        accept = request.headers.get("accept", "*/*")
        status, media_type, body = face.resolve(named, accept, {**request.query_params})
        return _json(status, body, media_type)

    routes.append(Route(f"/{_LIST_PATH}", status_list))
    routes.append(Route(f"{_IDENTIFIERS}{{named:path}}", resolve))
    return Starlette(routes=routes)


def _post(act: Callable[[JsonObject], Answer]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                return _json(413, {"errors": [f"expected at most {MAX_BODY} bytes"]})
        try:
            status, found = act(parse_object(bytes(body), "body", max_bytes=MAX_BODY))
        except CounterfoilError as refusal:
            return _json(400, {"verified": False, "errors": [str(refusal)]})
        return _json(status, found)

    return answer


def _require_shape(document: JsonObject) -> W3cCredential:
    """Read a credential; one of the data model 1.1 as what it is called in 2.0."""
    listed = document.get("@context")
    if not isinstance(listed, list) or not listed or listed[0] != CREDENTIALS_V1:
        return W3cCredential.parse(document)
    date_time_at({**document, "issuanceDate": document.get("issuanceDate")}, "issuanceDate", "vc")
    renamed = {_IN_2_0.get(name, name): value for name, value in document.items()}
    return W3cCredential.parse({**renamed, "@context": [CREDENTIALS_V2, *listed[1:]]})


def _speaking_of_proofs(credential: JsonObject) -> JsonObject:
    """Add the context of proofs to a credential of the data model 1.1, which has none itself."""
    match credential.get("@context"):
        case [first, *more] if first == CREDENTIALS_V1 and DATA_INTEGRITY not in more:
            return {**credential, "@context": [first, *more, DATA_INTEGRITY]}
        case _:
            return credential


def _options(body: JsonObject) -> JsonObject:
    return object_at(body, "options", "body") if "options" in body else {}


def _json(status: int, body: Json, media_type: str = "application/json") -> Response:
    return Response(compact_json(body), status, media_type=media_type)
