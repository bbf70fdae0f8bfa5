"""Every wire spelling, once, each with its section. Elsewhere, English."""

from typing import Final

# Media types and `typ` headers.
SD_JWT_VC_TYP: Final = "dc+sd-jwt"  # SD-JWT VC, section 3.2.1
OLD_SD_JWT_VC_TYP: Final = "vc+sd-jwt"  # SD-JWT VC, drafts before the sixth
SD_JWT_VC_FORMAT: Final = "dc+sd-jwt"  # OpenID4VCI 1.0, appendix A.3
MDOC_FORMAT: Final = "mso_mdoc"  # OpenID4VP 1.0, appendix B.2
W3C_FORMATS: Final = frozenset({"jwt_vc_json", "ldp_vc"})  # OpenID4VP 1.0, appendix B.1
KEY_BINDING_TYP: Final = "kb+jwt"  # RFC 9901, section 4.3
STATUS_LIST_TYP: Final = "statuslist+jwt"  # Token Status List, section 5.1
STATUS_LIST_MEDIA_TYPE: Final = "application/statuslist+jwt"  # Token Status List, section 8.1
PROOF_TYP: Final = "openid4vci-proof+jwt"  # OpenID4VCI 1.0, appendix F.1
DPOP_TYP: Final = "dpop+jwt"  # RFC 9449, section 4.2
# OAuth 2.0 Attestation-Based Client Authentication, sections 4 and 5.1
CLIENT_ATTESTATION_TYP: Final = "oauth-client-attestation+jwt"
CLIENT_ATTESTATION_POP_TYP: Final = "oauth-client-attestation-pop+jwt"
KEY_ATTESTATION_TYP: Final = "key-attestation+jwt"  # OpenID4VCI 1.0, appendix D.1
REQUEST_TYP: Final = "oauth-authz-req+jwt"  # RFC 9101, section 10.8; OpenID4VP 1.0, section 5
REQUEST_MEDIA_TYPE: Final = "application/oauth-authz-req+jwt"
JSON_MEDIA_TYPE: Final = "application/json"
FORM_MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
TOKEN_MEDIA_TYPE: Final = "application/jwt"

# RFC 9901, section 4.
SD: Final = "_sd"
SD_ALG: Final = "_sd_alg"
ELLIPSIS: Final = "..."
SHA_256: Final = "sha-256"
SD_HASH: Final = "sd_hash"

# SD-JWT VC, section 2.2.2.3: these never travel as disclosures.
NEVER_CONCEALED: Final = frozenset(
    {"iss", "nbf", "exp", "cnf", "vct", "vct#integrity", "aka_vcts", "status"}
)

# OpenID4VP 1.0.
SELF_ISSUED_AUDIENCE: Final = "https://self-issued.me/v2"  # section 5.8
DID_PREFIX: Final = "decentralized_identifier:"  # section 5.9.3
REQUEST_SCHEME: Final = "openid4vp"  # section 13.1.2
REQUEST_SCHEMES: Final = frozenset({REQUEST_SCHEME, "haip-vp"})  # HAIP 1.0, section 5.1
TRANSACTION_DATA_HASHES: Final = "transaction_data_hashes"  # appendix B.3.3
TRANSACTION_DATA_HASHES_ALG: Final = "transaction_data_hashes_alg"

# OpenID4VCI 1.0.
OFFER_SCHEME: Final = "openid-credential-offer"  # section 4.1.2
AUTHORIZATION_CODE_GRANT: Final = "authorization_code"  # RFC 6749, section 4.1.3
PRE_AUTHORIZED_GRANT: Final = (
    "urn:ietf:params:oauth:grant-type:pre-authorized_code"  # section 4.1.1
)

# Well-known names, inserted between host and path.
WELL_KNOWN_CREDENTIAL_ISSUER: Final = "openid-credential-issuer"  # OpenID4VCI 1.0, section 12.2.2
WELL_KNOWN_AUTHORIZATION_SERVER: Final = "oauth-authorization-server"  # RFC 8414, section 3
WELL_KNOWN_JWT_VC_ISSUER: Final = "jwt-vc-issuer"  # SD-JWT VC, section 4

# Request and response headers.
DPOP_HEADER: Final = "DPoP"  # RFC 9449, section 4.1
DPOP_NONCE_HEADER: Final = "DPoP-Nonce"  # RFC 9449, section 8
# OAuth 2.0 Attestation-Based Client Authentication, sections 4, 5.1 and 6.2
CLIENT_ATTESTATION_HEADER: Final = "OAuth-Client-Attestation"
CLIENT_ATTESTATION_POP_HEADER: Final = "OAuth-Client-Attestation-PoP"
ATTESTATION_CHALLENGE_HEADER: Final = "OAuth-Client-Attestation-Challenge"

# Decentralised identifiers.
DID_CONTEXTS: Final = (  # DID Core 1.0, section 6.3.1; DID 1.1
    "https://www.w3.org/ns/did/v1",
    "https://www.w3.org/ns/did/v1.1",
)
DID_DOCUMENT_MEDIA_TYPES: Final = (  # DID 1.1; DID Core 1.0, sections 6.3 and 6.2
    "application/did",
    "application/did+ld+json",
    "application/did+json",
)
DID_RESOLUTION_CONTEXT: Final = "https://w3id.org/did-resolution/v1"
DID_ERRORS: Final = "https://www.w3.org/ns/did#"  # DID Resolution, Errors
CID_ERRORS: Final = "https://w3id.org/security#"  # Controlled Identifiers 1.0, section 3.5
