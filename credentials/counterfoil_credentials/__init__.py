"""The vocabulary that every role speaks: keys, credentials, offers, requests, status.

    signer = MemorySigner.generate()
    credential = issue_credential(claims, vct=vct, issuer=url, signer=signer, ...)
    shown = bind(disclose(credential, [("item", "serial")]), signer=holder, ...)
    verified = read_credential(shown).verify(signer.public)
    check_key_binding(shown, holder_key=verified.holder_key, audience=..., ...)

Nothing here reads a clock, draws randomness or knows a role: they are arguments.
One module opens sockets, `fetch`. What is not listed here may change tomorrow.
"""

from counterfoil_credentials.claims import ClaimPath, path_text, values_at
from counterfoil_credentials.concealment import conceal
from counterfoil_credentials.dcql import ClaimQuery, CredentialQuery, DcqlQuery, parse_dcql
from counterfoil_credentials.dids import Did, did_jwk, key_of_did_jwk
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import (
    CounterfoilError,
    Malformed,
    Misuse,
    Reason,
    Refused,
    Unavailable,
)
from counterfoil_credentials.fetch import Fetcher, GuardedFetcher, MemoryFetcher, Response
from counterfoil_credentials.holder_proof import Proof, check_proof, make_proof
from counterfoil_credentials.issuer_keys import (
    fetch_issuer_keys,
    issuer_key_named,
    issuer_keys_document,
    parse_issuer_keys,
    well_known,
)
from counterfoil_credentials.jws import UnverifiedJws, read_jws, sign_jws
from counterfoil_credentials.key_binding import bind, check_key_binding, transaction_data_hash
from counterfoil_credentials.key_file import load_or_create_signer
from counterfoil_credentials.keys import Algorithm, MemorySigner, PublicKey, Signer
from counterfoil_credentials.offers import CredentialOffer, TxCode, parse_offer
from counterfoil_credentials.requests import (
    PresentationRequest,
    RequestLink,
    VpToken,
    client_id_of,
    parse_request_link,
    parse_response_form,
    read_request,
    request_link,
    response_form,
    sign_request,
)
from counterfoil_credentials.sdjwt import Disclosable, Revealed, SdJwt, disclose, reveal
from counterfoil_credentials.sdjwt_vc import (
    StatusReference,
    UnverifiedCredential,
    VerifiedCredential,
    issue_credential,
    read_credential,
    time_reasons,
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
    sign_status_list,
    status_at,
)

__all__ = [
    "INVALID",
    "SUSPENDED",
    "VALID",
    "Algorithm",
    "ClaimPath",
    "ClaimQuery",
    "CounterfoilError",
    "CredentialOffer",
    "CredentialQuery",
    "DcqlQuery",
    "Did",
    "Disclosable",
    "FetchedStatusSource",
    "Fetcher",
    "GuardedFetcher",
    "Json",
    "JsonObject",
    "Malformed",
    "MemoryFetcher",
    "MemorySigner",
    "Misuse",
    "PresentationRequest",
    "Proof",
    "PublicKey",
    "Reason",
    "Refused",
    "RequestLink",
    "Response",
    "Revealed",
    "SdJwt",
    "SignedStatusList",
    "Signer",
    "StatusReference",
    "StatusSource",
    "TxCode",
    "Unavailable",
    "UnverifiedCredential",
    "UnverifiedJws",
    "VerifiedCredential",
    "VpToken",
    "bind",
    "check_key_binding",
    "check_proof",
    "client_id_of",
    "conceal",
    "did_jwk",
    "disclose",
    "fetch_issuer_keys",
    "issue_credential",
    "issuer_key_named",
    "issuer_keys_document",
    "key_of_did_jwk",
    "load_or_create_signer",
    "make_proof",
    "pack",
    "parse_dcql",
    "parse_issuer_keys",
    "parse_offer",
    "parse_request_link",
    "parse_response_form",
    "path_text",
    "read_credential",
    "read_jws",
    "read_request",
    "read_status_list",
    "request_link",
    "response_form",
    "reveal",
    "sign_jws",
    "sign_request",
    "sign_status_list",
    "status_at",
    "time_reasons",
    "transaction_data_hash",
    "values_at",
    "well_known",
]
