"""The names on the wire that are consent's own, and the terms that it borrows.

Borrowed: ISO/IEC TS 27560 for the members of the terms, the W3C Data Privacy
Vocabulary (DPV 2) for their values, RFC 8417 for events. The URNs are ours.
"""

from typing import Final

# The grant's credential type, and the type of the transaction data that carries
# its terms (OpenID4VP 1.0, section 5.1: collision-resistant names).
GRANT_VCT: Final = "urn:counterfoil:consent:grant:1"
TERMS_TYPE: Final = "urn:counterfoil:consent:terms:1"
GRANT_QUERY_ID: Final = "grant"

# RFC 8725, section 3.11: each signed artefact has a type of its own.
KEY_REQUEST_TYP: Final = "consent-key-request+jwt"
CUSTODIAN_KEY_TYP: Final = "consent-custodian-key+jwt"
REGISTRATION_TYP: Final = "consent-registration+jwt"
RECEIPT_TYP: Final = "consent-receipt+jwt"
LEASE_REQUEST_TYP: Final = "consent-lease-request+jwt"
LEASE_TYP: Final = "consent-lease+jwt"
EVENT_TYP: Final = "secevent+jwt"  # RFC 8417, section 2.3
POLL_TYP: Final = "consent-set-poll+jwt"
STREAM_TYP: Final = "consent-set-stream+jwt"
ACCESS_TYP: Final = "consent-access+jwt"
STOP_TYP: Final = "consent-stop+jwt"
DESTRUCTION_TYP: Final = "consent-key-destruction+jwt"
ERASURE_TYP: Final = "consent-erasure-receipt+jwt"
RECIPIENT_ERASURE_TYP: Final = "consent-recipient-erasure+jwt"
HANDOVER_TYP: Final = "consent-handover+jwt"
ATTESTATION_TYP: Final = "consent-attestation+jwt"
FIGURES_TYP: Final = "consent-figures+jwt"
USAGE_REQUEST_TYP: Final = "consent-usage-request+jwt"
USAGE_TYP: Final = "consent-usage+jwt"
CONFIRMATION_TYP: Final = "consent-confirmation+jwt"

# RFC 8417, section 2.2: the members of `events`.
WITHDRAWN_EVENT: Final = "urn:counterfoil:consent:event:withdrawn:1"
COMPLETED_EVENT: Final = "urn:counterfoil:consent:event:completed:1"
TERMINATED_EVENT: Final = "urn:counterfoil:consent:event:terminated:1"
SUSPENDED_EVENT: Final = "urn:counterfoil:consent:event:suspended:1"
RESUMED_EVENT: Final = "urn:counterfoil:consent:event:resumed:1"

# RFC 8935, section 2.1, and how OpenID SSF 1.0 (section 7.1) names the two ways.
SET_MEDIA_TYPE: Final = "application/secevent+jwt"
PUSH_METHOD: Final = "urn:ietf:rfc:8935"
POLL_METHOD: Final = "urn:ietf:rfc:8936"

# Why a customer refuses, as much as a receiver learns (OpenID4VP 1.0, section 8.5,
# `error_description` beside `access_denied`).
REFUSAL_CLASSES: Final = ("purpose", "claims", "recipients", "duration", "operations")

# RFC 9180: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. The bundle
# itself is AES-256-GCM under HKDF-SHA256 of both shares.
SUITE: Final = "x25519-hkdf-sha256-aes256gcm"
