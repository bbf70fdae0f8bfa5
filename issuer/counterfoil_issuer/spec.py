"""Wire spellings of issuing, each with its section. Elsewhere, English."""

from enum import StrEnum
from typing import Final

from counterfoil_credentials.errors import Reason, Refused


class ErrorCode(StrEnum):
    """What a refused wallet is told: the error codes of the protocols."""

    INVALID_REQUEST = "invalid_request"  # RFC 6749, section 5.2
    INVALID_GRANT = "invalid_grant"  # RFC 6749, section 5.2
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"  # RFC 6749, section 5.2
    INVALID_CLIENT = "invalid_client"  # RFC 6749, section 5.2
    # RFC 6749, section 4.1.2.1
    UNSUPPORTED_RESPONSE_TYPE = "unsupported_response_type"
    INVALID_SCOPE = "invalid_scope"
    ACCESS_DENIED = "access_denied"
    INVALID_AUTHORIZATION_DETAILS = "invalid_authorization_details"  # RFC 9396, section 5
    INVALID_REQUEST_URI = "invalid_request_uri"  # RFC 9101, section 7
    INVALID_DPOP_PROOF = "invalid_dpop_proof"  # RFC 9449, section 5
    USE_DPOP_NONCE = "use_dpop_nonce"  # RFC 9449, sections 8 and 9
    # Attestation-Based Client Authentication, section 7.4
    USE_ATTESTATION_CHALLENGE = "use_attestation_challenge"
    USE_FRESH_ATTESTATION = "use_fresh_attestation"
    INVALID_CLIENT_ATTESTATION = "invalid_client_attestation"
    INVALID_TOKEN = "invalid_token"  # RFC 6750, section 3.1
    INSUFFICIENT_SCOPE = "insufficient_scope"  # RFC 6750, section 3.1
    # OpenID4VCI 1.0, section 8.3.1.2
    INVALID_CREDENTIAL_REQUEST = "invalid_credential_request"
    UNKNOWN_CREDENTIAL_CONFIGURATION = "unknown_credential_configuration"
    UNKNOWN_CREDENTIAL_IDENTIFIER = "unknown_credential_identifier"
    INVALID_PROOF = "invalid_proof"
    INVALID_NONCE = "invalid_nonce"
    INVALID_ENCRYPTION_PARAMETERS = "invalid_encryption_parameters"
    CREDENTIAL_REQUEST_DENIED = "credential_request_denied"
    INVALID_TRANSACTION_ID = "invalid_transaction_id"  # OpenID4VCI 1.0, section 9.3
    # OpenID4VCI 1.0, section 11.3
    INVALID_NOTIFICATION_ID = "invalid_notification_id"
    INVALID_NOTIFICATION_REQUEST = "invalid_notification_request"


class NotificationEvent(StrEnum):
    """What a wallet says became of a credential (OpenID4VCI 1.0, section 11.1)."""

    ACCEPTED = "credential_accepted"
    FAILED = "credential_failure"
    DELETED = "credential_deleted"


def refusal(code: ErrorCode, expected: str, found: str, where: str) -> Refused:
    """Give the refusal whose one reason has a protocol's error code."""
    return Refused(Reason(code, expected, found, where))


# Token request and response: RFC 6749, section 5; OpenID4VCI 1.0, section 6.
GRANT_TYPE: Final = "grant_type"
PRE_AUTHORIZED_CODE: Final = "pre-authorized_code"
TX_CODE: Final = "tx_code"
ACCESS_TOKEN: Final = "access_token"
BEARER: Final = "Bearer"
DPOP: Final = "DPoP"  # RFC 9449, section 5
TOKEN_TYPE: Final = "token_type"
EXPIRES_IN: Final = "expires_in"
AUTHORIZATION_DETAILS: Final = "authorization_details"

# Nonce response: OpenID4VCI 1.0, section 7.2.
C_NONCE: Final = "c_nonce"

# Credential request and response: OpenID4VCI 1.0, section 8.
CREDENTIAL_CONFIGURATION_ID: Final = "credential_configuration_id"
CREDENTIAL_IDENTIFIER: Final = "credential_identifier"
CREDENTIAL_IDENTIFIERS: Final = "credential_identifiers"  # section 6.2
CREDENTIAL_REQUEST: Final = "credential_request"  # where an error is, in our own words
CREDENTIAL_RESPONSE_ENCRYPTION: Final = "credential_response_encryption"
PROOF: Final = "proof"  # the drafts' singular; refused by name
PROOFS: Final = "proofs"
JWT_PROOF_TYPE: Final = "jwt"  # appendix F.1
ATTESTATION_PROOF_TYPE: Final = "attestation"  # appendix F.3
KEY_ATTESTATION: Final = "key_attestation"  # appendix F.1, a header
TRANSACTION_ID: Final = "transaction_id"  # section 9
INTERVAL: Final = "interval"  # section 8.3
CREDENTIALS: Final = "credentials"
CREDENTIAL: Final = "credential"
NOTIFICATION_ID: Final = "notification_id"
EVENT: Final = "event"

# Authorization code grant: RFC 6749, section 4.1; RFC 7636; RFC 9126; RFC 9207; RFC 9449, 10.
AUTHORIZATION_CODE_GRANT: Final = "authorization_code"
RESPONSE_TYPE: Final = "response_type"
CODE: Final = "code"
CLIENT_ID: Final = "client_id"
REDIRECT_URI: Final = "redirect_uri"
STATE: Final = "state"
SCOPE: Final = "scope"
ISS: Final = "iss"
ISSUER_STATE: Final = "issuer_state"  # OpenID4VCI 1.0, section 5.1.3
CODE_CHALLENGE: Final = "code_challenge"
CODE_CHALLENGE_METHOD: Final = "code_challenge_method"
CODE_VERIFIER: Final = "code_verifier"
S256: Final = "S256"
REQUEST_URI: Final = "request_uri"
REQUEST_URI_PREFIX: Final = "urn:ietf:params:oauth:request_uri:"  # RFC 9126, section 2.2
DPOP_JKT: Final = "dpop_jkt"
OPENID_CREDENTIAL: Final = "openid_credential"  # OpenID4VCI 1.0, section 5.1.1
LOCATIONS: Final = "locations"  # RFC 9396, section 2.2
ATTESTATION_CHALLENGE: Final = "attestation_challenge"  # Attestation-Based Client Auth., 6.1

# Metadata.
ISSUER_METADATA_TYP: Final = "openidvci-issuer-metadata+jwt"  # OpenID4VCI 1.0, section 12.2.3
ATTESTATION_CLIENT_AUTH: Final = "attest_jwt_client_auth"  # Attestation-Based Client Auth., 13.4
