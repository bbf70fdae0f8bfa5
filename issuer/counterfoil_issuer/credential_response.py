"""What the credential endpoints answer, in JSON or encrypted as the wallet asked.

    body, media_type = written(credentials_answer(credentials, notification_id), asked.reply)

A refusal is never encrypted (OpenID4VCI 1.0, section 8.3.1.2): it does not come here.

OpenID4VCI 1.0, sections 8.3, 9.2 and 10.
"""

from collections.abc import Sequence

from counterfoil_credentials.encoding import Json, JsonObject, compact_json_of_finite_numbers
from counterfoil_credentials.jose import encrypt_jwe
from counterfoil_credentials.spec import JSON_MEDIA_TYPE, TOKEN_MEDIA_TYPE

from counterfoil_issuer.credential_request import Reply
from counterfoil_issuer.spec import (
    CREDENTIAL,
    CREDENTIALS,
    INTERVAL,
    NOTIFICATION_ID,
    TRANSACTION_ID,
)


def credentials_answer(credentials: Sequence[Json], notification_id: str) -> JsonObject:
    """Give the answer with credentials, each as its format writes it: a text or an object."""
    return {
        CREDENTIALS: [{CREDENTIAL: credential} for credential in credentials],
        NOTIFICATION_ID: notification_id,
    }


def waiting_answer(transaction_id: str, interval_s: int) -> JsonObject:
    """Give the answer that the credentials are not ready; its HTTP status is 202."""
    return {TRANSACTION_ID: transaction_id, INTERVAL: interval_s}


def written(answer: JsonObject, reply: Reply | None) -> tuple[bytes, str]:
    """Give the bytes of `answer` and their media type, encrypted when `reply` says how."""
    # Its credentials were written as JSON before, to be signed.
    body = compact_json_of_finite_numbers(answer)
    if reply is None:
        return body, JSON_MEDIA_TYPE
    token = encrypt_jwe(body, key=reply.key, encryption=reply.encryption)
    return token.encode("ascii"), TOKEN_MEDIA_TYPE
