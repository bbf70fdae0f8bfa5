"""The vocabulary that every role speaks: keys, credentials, offers, requests, status.

    signer = MemorySigner.generate()
    credential = issue_credential(claims, vct=vct, issuer=url, signer=signer, ...)
    sent = bind(disclose(credential, [("item", "serial")]), signer=holder, ...)
    shown = SdJwt.parse(sent)
    verified = read_credential(shown).verify(signer.public)
    check_key_binding(shown, holder_key=verified.holder_key, audience=..., ...)
    reasons = time_reasons(verified, now) + audience_reasons(verified, client_id)

Nothing here reads a clock, draws randomness or knows a role: they are arguments.
One module opens sockets, `fetch`. What is not listed here may change tomorrow.

A name is loaded when it is first asked for, so that a program pays for what it uses.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from counterfoil_credentials.answers import (
        answer_of,
    )
    from counterfoil_credentials.claims import (
        ClaimPath,
        path_text,
        values_at,
    )
    from counterfoil_credentials.client_attestation import (
        ClientAttestation,
        ClientAttestationPop,
        check_client_attestation,
        check_client_attestation_pop,
        make_client_attestation,
        make_client_attestation_pop,
    )
    from counterfoil_credentials.client_ids import (
        Client,
        ClientProof,
        ClientTrust,
        parse_client_id,
    )
    from counterfoil_credentials.concealment import (
        conceal,
    )
    from counterfoil_credentials.dcql import (
        Authority,
        AuthorityQuery,
        AuthorityType,
        ClaimQuery,
        CredentialQuery,
        CredentialSet,
        DcqlQuery,
        parse_dcql,
    )
    from counterfoil_credentials.dcql_match import (
        Candidate,
        Ways,
        claims_to_show,
        judge,
        mismatches,
        unmet,
        ways_to_answer,
    )
    from counterfoil_credentials.did_documents import (
        DidDocument,
        key_for,
    )
    from counterfoil_credentials.did_methods import (
        offline_resolver,
        resolver,
    )
    from counterfoil_credentials.did_resolution import (
        Resolver,
    )
    from counterfoil_credentials.did_results import (
        Deactivated,
        DidError,
        NotResolved,
        Resolved,
    )
    from counterfoil_credentials.did_web import (
        DatedKey,
        did_web_document,
    )
    from counterfoil_credentials.dids import (
        Did,
        DidUrl,
        did_jwk,
        did_key,
        key_of,
        key_of_did_jwk,
    )
    from counterfoil_credentials.dpop import (
        DpopProof,
        check_dpop,
        make_dpop,
    )
    from counterfoil_credentials.encoding import (
        Json,
        JsonObject,
    )
    from counterfoil_credentials.errors import (
        CounterfoilError,
        Malformed,
        Misuse,
        Reason,
        Refused,
        Unavailable,
    )
    from counterfoil_credentials.fetch import (
        Fetcher,
        GuardedFetcher,
        MemoryFetcher,
        Response,
    )
    from counterfoil_credentials.fetch_cache import (
        CachingFetcher,
    )
    from counterfoil_credentials.fetch_redirects import (
        FollowingFetcher,
    )
    from counterfoil_credentials.holder_proof import (
        Proof,
        check_proof,
        make_proof,
    )
    from counterfoil_credentials.id_tokens import (
        check_id_token,
    )
    from counterfoil_credentials.integrity import (
        check_integrity,
    )
    from counterfoil_credentials.issuer_keys import (
        fetch_issuer_keys,
        issuer_key_named,
        issuer_keys_document,
        parse_issuer_keys,
        well_known,
    )
    from counterfoil_credentials.jose import (
        ContentEncryption,
        DecryptionKey,
        EncryptionKey,
        decrypt_jwe,
        encrypt_jwe,
        encryption_key,
    )
    from counterfoil_credentials.jws import (
        UnverifiedJws,
        read_jws,
        sign_jws,
    )
    from counterfoil_credentials.key_attestation import (
        KeyAttestation,
        KeyAttestationPolicy,
        check_key_attestation,
        make_key_attestation,
    )
    from counterfoil_credentials.key_binding import (
        bind,
        check_key_binding,
        transaction_data_hash,
    )
    from counterfoil_credentials.key_discovery import (
        CertifiedIssuers,
        IssuerKey,
        IssuerPolicy,
        find_issuer_key,
    )
    from counterfoil_credentials.key_file import (
        load_or_create_signer,
    )
    from counterfoil_credentials.keys import (
        Algorithm,
        Curve,
        MemorySigner,
        PublicKey,
        Signer,
    )
    from counterfoil_credentials.offers import (
        CredentialOffer,
        TxCode,
        parse_offer,
    )
    from counterfoil_credentials.presentation_receipt import (
        PresentationReceipt,
        ShownNames,
        read_presentation_receipt,
    )
    from counterfoil_credentials.qr_frames import (
        Assembler,
        frames,
    )
    from counterfoil_credentials.recall_selector import (
        Concerned,
        Item,
        RecallSelector,
        SerialRange,
        item_in,
        parse_recall_selector,
    )
    from counterfoil_credentials.request_links import (
        ByReference,
        ByValue,
        InTheOpen,
        UriMethod,
        parse_request_link,
        read_request_link,
        request_link,
    )
    from counterfoil_credentials.requests import (
        PresentationRequest,
        ProvedRequest,
        ResponseEncryption,
        VpToken,
        client_id_of,
        parse_response_form,
        prove_request,
        read_request,
        response_form,
        sign_request,
    )
    from counterfoil_credentials.sdjwt import (
        Disclosable,
        Revealed,
        SdJwt,
        disclose,
        reveal,
    )
    from counterfoil_credentials.sdjwt_json import (
        flattened,
        general,
        parse_json_sd_jwt,
    )
    from counterfoil_credentials.sdjwt_vc import (
        StatusReference,
        UnverifiedCredential,
        VerifiedCredential,
        audience_reasons,
        issue_credential,
        read_credential,
        time_reasons,
    )
    from counterfoil_credentials.status_entries import (
        Effort,
        StatusEntries,
    )
    from counterfoil_credentials.status_list_aggregation import (
        aggregation_document,
        fetch_aggregation,
        parse_aggregation,
        read_each,
    )
    from counterfoil_credentials.token_status_list import (
        INVALID,
        SUSPENDED,
        VALID,
        FetchedStatusSource,
        SignedStatusList,
        StatusSource,
        pack,
        read_status_list,
        sign_status_entries,
        sign_status_list,
        status_at,
    )
    from counterfoil_credentials.type_chain import (
        ResolvedType,
        resolve_type,
    )
    from counterfoil_credentials.type_metadata import (
        TypeMetadata,
        parse_type_metadata,
    )
    from counterfoil_credentials.type_rules import (
        check_issued,
        check_presented,
    )
    from counterfoil_credentials.x509 import (
        TrustAnchors,
    )

__all__ = [
    "INVALID",
    "SUSPENDED",
    "VALID",
    "Algorithm",
    "Assembler",
    "Authority",
    "AuthorityQuery",
    "AuthorityType",
    "ByReference",
    "ByValue",
    "CachingFetcher",
    "Candidate",
    "CertifiedIssuers",
    "ClaimPath",
    "ClaimQuery",
    "Client",
    "ClientAttestation",
    "ClientAttestationPop",
    "ClientProof",
    "ClientTrust",
    "Concerned",
    "ContentEncryption",
    "CounterfoilError",
    "CredentialOffer",
    "CredentialQuery",
    "CredentialSet",
    "Curve",
    "DatedKey",
    "DcqlQuery",
    "Deactivated",
    "DecryptionKey",
    "Did",
    "DidDocument",
    "DidError",
    "DidUrl",
    "Disclosable",
    "DpopProof",
    "Effort",
    "EncryptionKey",
    "FetchedStatusSource",
    "Fetcher",
    "FollowingFetcher",
    "GuardedFetcher",
    "InTheOpen",
    "IssuerKey",
    "IssuerPolicy",
    "Item",
    "Json",
    "JsonObject",
    "KeyAttestation",
    "KeyAttestationPolicy",
    "Malformed",
    "MemoryFetcher",
    "MemorySigner",
    "Misuse",
    "NotResolved",
    "PresentationReceipt",
    "PresentationRequest",
    "Proof",
    "ProvedRequest",
    "PublicKey",
    "Reason",
    "RecallSelector",
    "Refused",
    "Resolved",
    "ResolvedType",
    "Resolver",
    "Response",
    "ResponseEncryption",
    "Revealed",
    "SdJwt",
    "SerialRange",
    "ShownNames",
    "SignedStatusList",
    "Signer",
    "StatusEntries",
    "StatusReference",
    "StatusSource",
    "TrustAnchors",
    "TxCode",
    "TypeMetadata",
    "Unavailable",
    "UnverifiedCredential",
    "UnverifiedJws",
    "UriMethod",
    "VerifiedCredential",
    "VpToken",
    "Ways",
    "aggregation_document",
    "answer_of",
    "audience_reasons",
    "bind",
    "check_client_attestation",
    "check_client_attestation_pop",
    "check_dpop",
    "check_id_token",
    "check_integrity",
    "check_issued",
    "check_key_attestation",
    "check_key_binding",
    "check_presented",
    "check_proof",
    "claims_to_show",
    "client_id_of",
    "conceal",
    "decrypt_jwe",
    "did_jwk",
    "did_key",
    "did_web_document",
    "disclose",
    "encrypt_jwe",
    "encryption_key",
    "fetch_aggregation",
    "fetch_issuer_keys",
    "find_issuer_key",
    "flattened",
    "frames",
    "general",
    "issue_credential",
    "issuer_key_named",
    "issuer_keys_document",
    "item_in",
    "judge",
    "key_for",
    "key_of",
    "key_of_did_jwk",
    "load_or_create_signer",
    "make_client_attestation",
    "make_client_attestation_pop",
    "make_dpop",
    "make_key_attestation",
    "make_proof",
    "mismatches",
    "offline_resolver",
    "pack",
    "parse_aggregation",
    "parse_client_id",
    "parse_dcql",
    "parse_issuer_keys",
    "parse_json_sd_jwt",
    "parse_offer",
    "parse_recall_selector",
    "parse_request_link",
    "parse_response_form",
    "parse_type_metadata",
    "path_text",
    "prove_request",
    "read_credential",
    "read_each",
    "read_jws",
    "read_presentation_receipt",
    "read_request",
    "read_request_link",
    "read_status_list",
    "request_link",
    "resolve_type",
    "resolver",
    "response_form",
    "reveal",
    "sign_jws",
    "sign_request",
    "sign_status_entries",
    "sign_status_list",
    "status_at",
    "time_reasons",
    "transaction_data_hash",
    "unmet",
    "values_at",
    "ways_to_answer",
    "well_known",
]

# Where each name lives; a test holds this, `__all__` and the imports above to each other.
_SHELVES = """\
answers: answer_of
claims: ClaimPath path_text values_at
client_attestation: ClientAttestation ClientAttestationPop check_client_attestation
client_attestation: check_client_attestation_pop make_client_attestation
client_attestation: make_client_attestation_pop
client_ids: Client ClientProof ClientTrust parse_client_id
concealment: conceal
dcql: Authority AuthorityQuery AuthorityType ClaimQuery CredentialQuery CredentialSet
dcql: DcqlQuery parse_dcql
dcql_match: Candidate Ways claims_to_show judge mismatches unmet ways_to_answer
did_documents: DidDocument key_for
did_methods: offline_resolver resolver
did_resolution: Resolver
did_results: Deactivated DidError NotResolved Resolved
did_web: DatedKey did_web_document
dids: Did DidUrl did_jwk did_key key_of key_of_did_jwk
dpop: DpopProof check_dpop make_dpop
encoding: Json JsonObject
errors: CounterfoilError Malformed Misuse Reason Refused Unavailable
fetch: Fetcher GuardedFetcher MemoryFetcher Response
fetch_cache: CachingFetcher
fetch_redirects: FollowingFetcher
holder_proof: Proof check_proof make_proof
id_tokens: check_id_token
integrity: check_integrity
issuer_keys: fetch_issuer_keys issuer_key_named issuer_keys_document parse_issuer_keys
issuer_keys: well_known
jose: ContentEncryption DecryptionKey EncryptionKey decrypt_jwe encrypt_jwe encryption_key
jws: UnverifiedJws read_jws sign_jws
key_attestation: KeyAttestation KeyAttestationPolicy check_key_attestation
key_attestation: make_key_attestation
key_binding: bind check_key_binding transaction_data_hash
key_discovery: CertifiedIssuers IssuerKey IssuerPolicy find_issuer_key
key_file: load_or_create_signer
keys: Algorithm Curve MemorySigner PublicKey Signer
offers: CredentialOffer TxCode parse_offer
presentation_receipt: PresentationReceipt ShownNames read_presentation_receipt
qr_frames: Assembler frames
recall_selector: Concerned Item RecallSelector SerialRange item_in parse_recall_selector
request_links: ByReference ByValue InTheOpen UriMethod parse_request_link read_request_link
request_links: request_link
requests: PresentationRequest ProvedRequest ResponseEncryption VpToken client_id_of
requests: parse_response_form prove_request read_request response_form sign_request
sdjwt: Disclosable Revealed SdJwt disclose reveal
sdjwt_json: flattened general parse_json_sd_jwt
sdjwt_vc: StatusReference UnverifiedCredential VerifiedCredential audience_reasons
sdjwt_vc: issue_credential read_credential time_reasons
status_entries: Effort StatusEntries
status_list_aggregation: aggregation_document fetch_aggregation parse_aggregation
status_list_aggregation: read_each
token_status_list: INVALID SUSPENDED VALID FetchedStatusSource SignedStatusList
token_status_list: StatusSource pack read_status_list sign_status_entries sign_status_list
token_status_list: status_at
type_chain: ResolvedType resolve_type
type_metadata: TypeMetadata parse_type_metadata
type_rules: check_issued check_presented
x509: TrustAnchors
"""
_HOMES = {
    name: shelf.partition(":")[0]
    for shelf in _SHELVES.splitlines()
    for name in shelf.partition(":")[2].split()
}


# Type checkers read the imports above: to them, a name that is not shown stays an error.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Load the module in which `name` lives, and keep what it is."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        """Name what the window shows, loaded or not."""
        return sorted({*globals(), *__all__})
