"""Wire spellings of the customer's side, each with its section. Elsewhere, English."""

from typing import Final

# Issuer metadata: OpenID4VCI 1.0, section 12.2.4.
CREDENTIAL_ISSUER: Final = "credential_issuer"
AUTHORIZATION_SERVERS: Final = "authorization_servers"
CREDENTIAL_ENDPOINT: Final = "credential_endpoint"
NONCE_ENDPOINT: Final = "nonce_endpoint"
NOTIFICATION_ENDPOINT: Final = "notification_endpoint"
CONFIGURATIONS: Final = "credential_configurations_supported"
PROOF_TYPES: Final = "proof_types_supported"
PROOF_ALGORITHMS: Final = "proof_signing_alg_values_supported"

# Authorization server metadata: RFC 8414, section 2.
ISSUER: Final = "issuer"
TOKEN_ENDPOINT: Final = "token_endpoint"

# Token request and response: OpenID4VCI 1.0, section 6.
GRANT_TYPE: Final = "grant_type"
PRE_AUTHORIZED_CODE: Final = "pre-authorized_code"
TX_CODE: Final = "tx_code"
ACCESS_TOKEN: Final = "access_token"
TOKEN_TYPE: Final = "token_type"
BEARER: Final = "Bearer"
AUTHORIZATION_DETAILS: Final = "authorization_details"  # section 6.2
CREDENTIAL_DETAILS_TYPE: Final = "openid_credential"  # section 5.1.1
CREDENTIAL_IDENTIFIERS: Final = "credential_identifiers"

# Nonce: OpenID4VCI 1.0, section 7.
C_NONCE: Final = "c_nonce"
INVALID_NONCE: Final = "invalid_nonce"  # section 8.3.1.2

# Credential request and response: OpenID4VCI 1.0, section 8.
CONFIGURATION_ID: Final = "credential_configuration_id"
CREDENTIAL_IDENTIFIER: Final = "credential_identifier"
PROOFS: Final = "proofs"
JWT_PROOF: Final = "jwt"  # appendix F.1
CREDENTIALS: Final = "credentials"
CREDENTIAL: Final = "credential"
NOTIFICATION_ID: Final = "notification_id"

# Notification: OpenID4VCI 1.0, section 11.
EVENT: Final = "event"
CREDENTIAL_ACCEPTED: Final = "credential_accepted"
CREDENTIAL_FAILURE: Final = "credential_failure"

# Errors: RFC 6749, section 5.2; OpenID4VP 1.0, section 8.5.
ERROR: Final = "error"
ACCESS_DENIED: Final = "access_denied"
STATE: Final = "state"
REDIRECT_URI: Final = "redirect_uri"  # OpenID4VP 1.0, section 8.2

# What a link carries: OpenID4VCI 1.0, section 4.1; OpenID4VP 1.0, section 5; HAIP 1.0, sections
# 4.2 and 5.1, for its schemes.
OFFER_BY_VALUE: Final = "credential_offer"
OFFER_BY_REFERENCE: Final = "credential_offer_uri"
REQUEST_BY_VALUE: Final = "request"
REQUEST_BY_REFERENCE: Final = "request_uri"
OFFER_SCHEMES: Final = frozenset({"openid-credential-offer", "haip-vci"})
REQUEST_SCHEMES: Final = frozenset({"openid4vp", "haip-vp"})
