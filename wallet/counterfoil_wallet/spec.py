"""Wire spellings of the customer's side, each with its section. Elsewhere, English."""

from typing import Final

# Issuer metadata: OpenID4VCI 1.0, section 12.2.4.
CREDENTIAL_ISSUER: Final = "credential_issuer"
AUTHORIZATION_SERVERS: Final = "authorization_servers"
CREDENTIAL_ENDPOINT: Final = "credential_endpoint"
NONCE_ENDPOINT: Final = "nonce_endpoint"
NOTIFICATION_ENDPOINT: Final = "notification_endpoint"
DEFERRED_ENDPOINT: Final = "deferred_credential_endpoint"
BATCH: Final = "batch_credential_issuance"
BATCH_SIZE: Final = "batch_size"
REQUEST_ENCRYPTION: Final = "credential_request_encryption"
ANSWER_ENCRYPTION: Final = "credential_response_encryption"
ENCRYPTION_REQUIRED: Final = "encryption_required"
ENCRYPTIONS: Final = "enc_values_supported"
KEY_AGREEMENTS: Final = "alg_values_supported"
CONFIGURATIONS: Final = "credential_configurations_supported"
PROOF_TYPES: Final = "proof_types_supported"
PROOF_ALGORITHMS: Final = "proof_signing_alg_values_supported"
KEY_ATTESTATIONS_REQUIRED: Final = "key_attestations_required"

# Authorization server metadata: RFC 8414, section 2; RFC 9126, section 5; RFC 9207, section 3;
# RFC 9396, section 10; RFC 9449, section 5.1; Attestation-Based Client Authentication.
ISSUER: Final = "issuer"
TOKEN_ENDPOINT: Final = "token_endpoint"
AUTHORIZATION_ENDPOINT: Final = "authorization_endpoint"
PUSHED_ENDPOINT: Final = "pushed_authorization_request_endpoint"
CHALLENGE_ENDPOINT: Final = "challenge_endpoint"
CHALLENGE_METHODS: Final = "code_challenge_methods_supported"
ISS_SUPPORTED: Final = "authorization_response_iss_parameter_supported"
DETAILS_TYPES: Final = "authorization_details_types_supported"
DPOP_ALGORITHMS: Final = "dpop_signing_alg_values_supported"
CLIENT_AUTHENTICATION: Final = "token_endpoint_auth_methods_supported"
ATTESTED: Final = "attest_jwt_client_auth"
UNAUTHENTICATED: Final = "none"
ANONYMOUS_ACCESS: Final = "pre-authorized_grant_anonymous_access_supported"

# Authorization request and response: RFC 6749, section 4.1; RFC 7636; RFC 9126; RFC 9207;
# OpenID4VCI 1.0, section 5.1.
RESPONSE_TYPE: Final = "response_type"
CODE: Final = "code"
CLIENT_ID: Final = "client_id"
SCOPE: Final = "scope"
RESOURCE: Final = "resource"  # RFC 8707, section 2
LOCATIONS: Final = "locations"  # RFC 9396, section 2.2
ISS: Final = "iss"
ISSUER_STATE: Final = "issuer_state"
CODE_CHALLENGE: Final = "code_challenge"
CODE_CHALLENGE_METHOD: Final = "code_challenge_method"
CODE_VERIFIER: Final = "code_verifier"
S256: Final = "S256"
REQUEST_URI: Final = "request_uri"
DPOP_JKT: Final = "dpop_jkt"  # RFC 9449, section 10

# Token request and response: OpenID4VCI 1.0, section 6.
GRANT_TYPE: Final = "grant_type"
PRE_AUTHORIZED_CODE: Final = "pre-authorized_code"
TX_CODE: Final = "tx_code"
ACCESS_TOKEN: Final = "access_token"
TOKEN_TYPE: Final = "token_type"
BEARER: Final = "Bearer"
DPOP: Final = "DPoP"  # RFC 9449, section 5
REFRESH_TOKEN: Final = "refresh_token"  # RFC 6749, section 6
# RFC 6749, section 5.2: the token's end, or ours as a client; the rest is about one request.
REFRESH_IS_OVER: Final = frozenset(
    {*("invalid_grant", "invalid_client", "unauthorized_client", "unsupported_grant_type")}
)
USE_DPOP_NONCE: Final = "use_dpop_nonce"  # RFC 9449, sections 8 and 9
USE_CHALLENGE: Final = "use_attestation_challenge"  # Attestation-Based Client Authentication, 7.4
CHALLENGE: Final = "attestation_challenge"  # section 6.1
AUTHORIZATION_DETAILS: Final = "authorization_details"  # section 6.2
CREDENTIAL_DETAILS_TYPE: Final = "openid_credential"  # section 5.1.1
CREDENTIAL_IDENTIFIERS: Final = "credential_identifiers"

# Nonce: OpenID4VCI 1.0, section 7.
C_NONCE: Final = "c_nonce"
INVALID_NONCE: Final = "invalid_nonce"  # section 8.3.1.2
INVALID_TRANSACTION_ID: Final = "invalid_transaction_id"  # section 9.3

# Credential request and response: OpenID4VCI 1.0, section 8.
CONFIGURATION_ID: Final = "credential_configuration_id"
CREDENTIAL_IDENTIFIER: Final = "credential_identifier"
PROOFS: Final = "proofs"
JWT_PROOF: Final = "jwt"  # appendix F.1
ATTESTATION_PROOF: Final = "attestation"  # appendix F.3
KEY_ATTESTATION: Final = "key_attestation"  # appendix F.1, a header
WANTED_ENCRYPTION: Final = "credential_response_encryption"
TRANSACTION_ID: Final = "transaction_id"  # section 8.3
INTERVAL: Final = "interval"
CREDENTIALS: Final = "credentials"
CREDENTIAL: Final = "credential"
NOTIFICATION_ID: Final = "notification_id"

# Notification: OpenID4VCI 1.0, section 11.
EVENT: Final = "event"
CREDENTIAL_ACCEPTED: Final = "credential_accepted"
CREDENTIAL_FAILURE: Final = "credential_failure"

# Errors: RFC 6749, section 5.2; OpenID4VP 1.0, section 8.5.
ERROR: Final = "error"
ERROR_DESCRIPTION: Final = "error_description"
ACCESS_DENIED: Final = "access_denied"
INVALID_REQUEST: Final = "invalid_request"
INVALID_TRANSACTION_DATA: Final = "invalid_transaction_data"
STATE: Final = "state"
REDIRECT_URI: Final = "redirect_uri"  # OpenID4VP 1.0, section 8.2
# Of our own, beside it; other wallets ignore them.
MATCH_CODE: Final = "match_code"
RECEIPT: Final = "receipt"
RESPONSE: Final = "response"  # OpenID4VP 1.0, section 8.3.1

# What a link carries: OpenID4VCI 1.0, section 4.1; OpenID4VP 1.0, section 5; HAIP 1.0, sections
# 4.2 and 5.1, for its schemes.
OFFER_BY_VALUE: Final = "credential_offer"
OFFER_BY_REFERENCE: Final = "credential_offer_uri"
REQUEST_BY_VALUE: Final = "request"
REQUEST_BY_REFERENCE: Final = "request_uri"
OFFER_SCHEMES: Final = frozenset({"openid-credential-offer", "haip-vci"})
REQUEST_SCHEMES: Final = frozenset({"openid4vp", "haip-vp"})
