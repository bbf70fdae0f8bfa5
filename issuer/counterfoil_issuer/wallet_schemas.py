"""What the OpenAPI document says of the paths that FastAPI does not see.

The handlers behind `hot_routes` read bytes, so their part of the document is written
here, by hand: enough for a person to read and for a machine to try everything.
"""

from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from counterfoil_credentials.issuer_keys import well_known
from counterfoil_credentials.spec import (
    FORM_MEDIA_TYPE,
    JSON_MEDIA_TYPE,
    PRE_AUTHORIZED_GRANT,
    STATUS_LIST_MEDIA_TYPE,
    TOKEN_MEDIA_TYPE,
    WELL_KNOWN_AUTHORIZATION_SERVER,
    WELL_KNOWN_CREDENTIAL_ISSUER,
    WELL_KNOWN_JWT_VC_ISSUER,
)

from counterfoil_issuer.spec import NotificationEvent

Schema: TypeAlias = dict[str, Any]

ACCESS_TOKEN_SCHEME: Final = "accessToken"
_WALLET: Final = ["wallet"]
_PUBLIC: Final = ["public"]
_TEXT: Final[Schema] = {"type": "string"}
_OBJECT: Final[Schema] = {"type": "object"}
_ERROR: Final[Schema] = {
    "type": "object",
    "required": ["error", "error_description"],
    "properties": {"error": _TEXT, "error_description": _TEXT},
}
_ENCRYPTION: Final[Schema] = {
    "type": "object",
    "required": ["jwk", "enc"],
    "properties": {"jwk": _OBJECT, "enc": {"enum": ["A128GCM", "A256GCM"]}},
    "description": "Only in an encrypted request (OpenID4VCI 1.0, section 8.2).",
}
_TOKEN_REQUEST: Final[Schema] = {
    "type": "object",
    "required": ["grant_type"],
    "properties": {
        "grant_type": {"type": "string", "examples": [PRE_AUTHORIZED_GRANT]},
        "pre-authorized_code": _TEXT,
        "tx_code": _TEXT,
        "code": _TEXT,
        "code_verifier": _TEXT,
        "redirect_uri": _TEXT,
        "client_id": _TEXT,
        "authorization_details": _TEXT,
    },
}
_CREDENTIAL_REQUEST: Final[Schema] = {
    "type": "object",
    "properties": {
        "credential_configuration_id": _TEXT,
        "credential_identifier": _TEXT,
        "proofs": {
            "type": "object",
            "properties": {
                "jwt": {"type": "array", "items": _TEXT, "minItems": 1},
                "attestation": {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": 1},
            },
            "minProperties": 1,
            "maxProperties": 1,
        },
        "credential_response_encryption": _ENCRYPTION,
    },
}
_DEFERRED_REQUEST: Final[Schema] = {
    "type": "object",
    "required": ["transaction_id"],
    "properties": {"transaction_id": _TEXT, "credential_response_encryption": _ENCRYPTION},
}
_NOTIFICATION_REQUEST: Final[Schema] = {
    "type": "object",
    "required": ["notification_id", "event"],
    "properties": {
        "notification_id": _TEXT,
        "event": {"enum": [event.value for event in NotificationEvent]},
        "event_description": _TEXT,
    },
}
_TOKEN_ANSWER: Final[Schema] = {
    "type": "object",
    "required": ["access_token", "token_type", "expires_in"],
    "properties": {
        "access_token": _TEXT,
        "token_type": {"enum": ["Bearer", "DPoP"]},
        "expires_in": {"type": "integer"},
        "authorization_details": {"type": "array", "items": _OBJECT},
    },
}
_NONCE_ANSWER: Final[Schema] = {
    "type": "object",
    "required": ["c_nonce"],
    "properties": {"c_nonce": _TEXT},
}
_CREDENTIAL_ANSWER: Final[Schema] = {
    "type": "object",
    "required": ["credentials", "notification_id"],
    "properties": {
        "credentials": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "required": ["credential"]},
        },
        "notification_id": _TEXT,
    },
}
_WAITING_ANSWER: Final[Schema] = {
    "type": "object",
    "required": ["transaction_id", "interval"],
    "properties": {"transaction_id": _TEXT, "interval": {"type": "integer", "minimum": 1}},
}


def hot_path_items(issuer_url: str) -> dict[str, Schema]:
    """Give the OpenAPI path items of the wallet's and the public paths."""
    prefix = urlsplit(issuer_url).path
    items = {
        "/token": _post("token", "6", _form(_TOKEN_REQUEST), {"200": _json(_TOKEN_ANSWER)}),
        "/nonce": _post("nonce", "7", None, {"200": _json(_NONCE_ANSWER)}),
        "/credential": _protected("credential", "8", _CREDENTIAL_REQUEST),
        "/deferred_credential": _protected("deferred_credential", "9", _DEFERRED_REQUEST),
        "/notification": _secured(
            _post(
                "notification",
                "11",
                _body({JSON_MEDIA_TYPE: _NOTIFICATION_REQUEST}),
                {"204": {"description": "Noted."}},
            )
        ),
        "/offers/{reference}": _get("offer", JSON_MEDIA_TYPE, "reference"),
        "/types/{name}": _get("type_metadata", JSON_MEDIA_TYPE, "name"),
        "/status-lists": _get("status_lists", JSON_MEDIA_TYPE),
        "/status-lists/{number}": _status_list(),
    }
    documents = {
        _path(issuer_url, WELL_KNOWN_CREDENTIAL_ISSUER): _issuer_metadata(),
        _path(issuer_url, WELL_KNOWN_AUTHORIZATION_SERVER): _get(
            "authorization_server_metadata", JSON_MEDIA_TYPE
        ),
        _path(issuer_url, WELL_KNOWN_JWT_VC_ISSUER): _get("issuer_keys", JSON_MEDIA_TYPE),
    }
    return {**documents, **{f"{prefix}{path}": item for path, item in items.items()}}


def access_token_scheme() -> Schema:
    """Give the security scheme of the wallet's tokens."""
    return {
        ACCESS_TOKEN_SCHEME: {
            "type": "http",
            "scheme": "bearer",
            "description": "From /token; as `DPoP` with a proof when it is bound to a key.",
        }
    }


def _post(name: str, section: str, body: Schema | None, answers: Schema) -> Schema:
    operation: Schema = {
        "operationId": name,
        "tags": _WALLET,
        "description": f"OpenID4VCI 1.0, section {section}.",
        "responses": {**answers, **_errors("400", "413", "503")},
    }
    if body is not None:
        operation["requestBody"] = body
    return {"post": operation}


def _protected(name: str, section: str, request: Schema) -> Schema:
    encrypted: Schema = {"type": "string", "description": "A compact JWE of the same."}
    content = {JSON_MEDIA_TYPE: _CREDENTIAL_ANSWER, TOKEN_MEDIA_TYPE: _TEXT}
    later = {JSON_MEDIA_TYPE: _WAITING_ANSWER, TOKEN_MEDIA_TYPE: _TEXT}
    answers: Schema = {
        "200": {"description": "The credentials.", "content": _content(content)},
        "202": {"description": "Not ready: ask again.", "content": _content(later)},
    }
    body = _body({JSON_MEDIA_TYPE: request, TOKEN_MEDIA_TYPE: encrypted})
    return _secured(_post(name, section, body, answers))


def _secured(item: Schema) -> Schema:
    operation = item["post"]
    operation["security"] = [{ACCESS_TOKEN_SCHEME: []}]
    operation["responses"] |= _errors("401", "403")
    return item


def _get(name: str, media_type: str, parameter: str | None = None) -> Schema:
    operation: Schema = {
        "operationId": name,
        "tags": _PUBLIC,
        "responses": {
            "200": {"description": "Found.", "content": _content({media_type: _shape(media_type)})},
            **_errors("503"),
        },
    }
    if parameter is not None:
        operation["parameters"] = [_parameter(parameter, "path", _TEXT)]
        operation["responses"] |= _errors("404")
    return {"get": operation}


def _status_list() -> Schema:
    item = _get("status_list", STATUS_LIST_MEDIA_TYPE, "number")
    operation = item["get"]
    operation["parameters"] = [
        _parameter("number", "path", {"type": "integer", "minimum": 1}),
        _parameter("If-None-Match", "header", _TEXT),
    ]
    operation["responses"]["304"] = {"description": "The list that the sender has is the latest."}
    return item


def _issuer_metadata() -> Schema:
    item = _get("issuer_metadata", JSON_MEDIA_TYPE)
    content = item["get"]["responses"]["200"]["content"]
    content |= _content({TOKEN_MEDIA_TYPE: _TEXT})
    return item


def _parameter(name: str, place: str, schema: Schema) -> Schema:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _form(schema: Schema) -> Schema:
    return _body({FORM_MEDIA_TYPE: schema})


def _body(schemas: Schema) -> Schema:
    return {"required": True, "content": _content(schemas)}


def _json(schema: Schema) -> Schema:
    return {"description": "Done.", "content": _content({JSON_MEDIA_TYPE: schema})}


def _content(schemas: Schema) -> Schema:
    return {media_type: {"schema": schema} for media_type, schema in schemas.items()}


def _shape(media_type: str) -> Schema:
    return _OBJECT if media_type == JSON_MEDIA_TYPE else _TEXT


def _errors(*statuses: str) -> Schema:
    content = _content({JSON_MEDIA_TYPE: _ERROR})
    return {status: {"description": "Refused.", "content": content} for status in statuses}


def _path(issuer_url: str, name: str) -> str:
    return urlsplit(well_known(issuer_url, name)).path
