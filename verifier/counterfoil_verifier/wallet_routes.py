"""What wallets ask of the shop (OpenID4VP 1.0): its request, and an ear for the answer.

    GET, POST  /requests/{id}      the signed request object (sections 5.7 and 5.10)
    POST       /responses/{id}     direct_post, direct_post.jwt (sections 8.2 and 8.3.1)
    GET        /match/{digits}     a page with the digits that the customer tells
    GET        /.well-known/did.json, where the shop is known by its web address

A wallet hears only that its answer was not accepted: reasons would help whoever
tries keys. They go to whoever runs the shop, without a value that was shown.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, TypeAlias

from counterfoil_credentials import spec
from counterfoil_credentials.encoding import parse_object
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_service.errors import error_response
from counterfoil_service.logs import say
from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, JSONResponse, Response

from counterfoil_verifier.answering import NoAnswer
from counterfoil_verifier.counter import Counter
from counterfoil_verifier.forms import form_of
from counterfoil_verifier.handback import MATCH_DIGITS, MATCH_PATH
from counterfoil_verifier.identity import WebDid
from counterfoil_verifier.match_page import POLICY, match_page
from counterfoil_verifier.requesting import NotOpen, RequestId
from counterfoil_verifier.schemas import ReceivedBody, WalletErrorBody
from counterfoil_verifier.verifier import CouldNotCheck

NO_STORE: Final = {"Cache-Control": "no-store"}
NOT_TAKEN: Final = "not-taken"
"""How an answer ended that was none: the request stays as it was."""

Noted: TypeAlias = Callable[[str, Sequence[str]], None]
"""Takes note of how an answer ended (an `Outcome`, or `NOT_TAKEN`), and of the reasons' codes."""

_MAX_NONCE: Final = 512
_MAX_METADATA: Final = 65_536
_LOGGER: Final = logging.getLogger("counterfoil.verifier")
_Form: TypeAlias = Annotated[Mapping[str, str], Depends(form_of)]
_REQUEST: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {spec.REQUEST_MEDIA_TYPE: {"schema": {"type": "string"}}},
        "description": "The signed request object",
    },
    400: {"model": WalletErrorBody, "description": "The form is not as it must be"},
    404: {"model": WalletErrorBody, "description": "No open request has this address"},
    408: {"model": WalletErrorBody, "description": "The form did not come in time"},
    413: {"model": WalletErrorBody, "description": "The form is too large"},
}
_RESPONSE: Final[dict[int | str, dict[str, Any]]] = {
    400: {
        "model": WalletErrorBody,
        "description": "invalid_request: no answer to an open request; access_denied: refused",
    },
    408: {"model": WalletErrorBody, "description": "The answer did not come in time"},
    413: {"model": WalletErrorBody, "description": "The answer is too large"},
    503: {"model": WalletErrorBody, "description": "It could not be checked; ask the shop"},
}


def note_nothing(_outcome: str, _codes: Sequence[str]) -> None:
    """Take no note."""


def wallet_routes(counter: Counter, noted: Noted = note_nothing) -> APIRouter:
    """Give the wallet's side of `counter`."""
    router = APIRouter(tags=["wallet"])

    def request_object(request_id: str, wallet_nonce: str | None) -> Response:
        try:
            signed = counter.request_object(RequestId(request_id), wallet_nonce=wallet_nonce)
        except NotOpen:
            return error_response(404, "invalid_request", "no open request has this address")
        return Response(signed, media_type=spec.REQUEST_MEDIA_TYPE, headers=NO_STORE)

    @router.get("/requests/{request_id}", responses=_REQUEST, response_class=Response)
    def get_request(request_id: str) -> Response:
        """Give the request object; a wallet may fetch it more than once."""
        return request_object(request_id, None)

    @router.post(
        "/requests/{request_id}",
        responses=_REQUEST,
        response_class=Response,
        openapi_extra=_form("wallet_metadata", "wallet_nonce"),
    )
    def post_request(request_id: str, form: _Form) -> Response:
        """Give the request object with the wallet's nonce in it (section 5.10)."""
        return request_object(request_id, _wallet_nonce(form))

    # That a refused presentation is answered with 4xx is not in the standard yet;
    # the conformance suite expects it (openid/OpenID4VP, issue 740).
    @router.post(
        "/responses/{request_id}",
        responses=_RESPONSE,
        response_model=ReceivedBody,
        openapi_extra=_form("vp_token", "response", "state", "error", "error_description"),
    )
    def response(request_id: str, form: _Form) -> Response:
        """Take the answer to one request, once."""
        try:
            received = counter.receive(RequestId(request_id), form)
        except (NotOpen, NoAnswer) as error:
            _tell(noted, NOT_TAKEN, error.codes)
            text = "expected an answer to this request, while it is open"
            return error_response(400, "invalid_request", text)
        except Malformed as error:
            _tell(noted, NOT_TAKEN, ["malformed"], where=error.where)
            return error_response(400, "invalid_request", "expected a vp_token and a state")
        except Refused as refused:
            _tell(noted, "refused", refused.codes)
            return error_response(400, "access_denied", "the presentation was not accepted")
        except Unavailable as unknown:
            codes = unknown.codes if isinstance(unknown, CouldNotCheck) else ["could-not-check"]
            _tell(noted, "unavailable", codes)
            return error_response(
                503, "temporarily_unavailable", "the presentation could not be checked"
            )
        _tell(noted, "declined" if received.is_declined else "accepted", ())
        return JSONResponse(
            ReceivedBody.of(received).model_dump(exclude_none=True), headers=NO_STORE
        )

    @router.get(f"{MATCH_PATH}/{{digits}}", response_class=HTMLResponse, include_in_schema=False)
    def match(digits: str) -> Response:
        if len(digits) != MATCH_DIGITS or not (digits.isascii() and digits.isdecimal()):
            return error_response(404, "not_found", "expected a few digits, found another text")
        return HTMLResponse(
            match_page(digits), headers={**NO_STORE, "Content-Security-Policy": POLICY}
        )

    identity = counter.shop.identity
    if isinstance(identity, WebDid):
        document = identity.document(counter.shop.signer.public)

        @router.get("/.well-known/did.json", response_model=None)
        def did_document() -> Response:
            """Give the shop's DID document."""
            return JSONResponse(document, media_type="application/did+json")

    return router


def _tell(noted: Noted, outcome: str, codes: Sequence[str], where: str | None = None) -> None:
    noted(outcome, codes)
    level = logging.INFO if outcome == "accepted" else logging.WARNING
    say(_LOGGER, level, "answer", outcome=outcome, codes=" ".join(codes), where=where)


def _wallet_nonce(form: Mapping[str, str]) -> str | None:
    if "wallet_metadata" in form:
        parse_object(form["wallet_metadata"], "wallet_metadata", max_bytes=_MAX_METADATA)
    nonce = form.get("wallet_nonce")
    if nonce is not None and not 0 < len(nonce) <= _MAX_NONCE:
        raise Malformed(f"1 to {_MAX_NONCE} characters", f"{len(nonce)}", "wallet_nonce")
    return nonce


def _form(*names: str) -> dict[str, Any]:
    fields = {name: {"type": "string"} for name in names}
    schema = {"type": "object", "properties": fields}
    return {"requestBody": {"content": {spec.FORM_MEDIA_TYPE: {"schema": schema}}}}
