"""A link holds a request in one of three forms, each read strictly."""

from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import urlencode

import pytest
from counterfoil_credentials.client_ids import ClientProof, ClientTrust
from counterfoil_credentials.encoding import Json, JsonObject, b64url, compact_json
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.request_links import (
    MAX_LINK,
    ByReference,
    ByValue,
    InTheOpen,
    UriMethod,
    parse_request_link,
    read_request_link,
    request_link,
)
from counterfoil_credentials.requests import prove_request

CLIENT = "redirect_uri:https://shop.example/answers"
URI = "https://shop.example/requests/1"
QUERY: JsonObject = {
    "credentials": [{"id": "w", "format": "dc+sd-jwt", "meta": {"vct_values": ["https://t"]}}]
}


def link_of(parameters: dict[str, str]) -> str:
    return f"openid4vp://?{urlencode(parameters)}"


def parameters(**changed: str) -> dict[str, str]:
    return {
        "client_id": CLIENT,
        "response_type": "vp_token",
        "response_mode": "direct_post",
        "nonce": "n-1",
        "dcql_query": compact_json(QUERY).decode(),
        **changed,
    }


def unsigned(claims: JsonObject, alg: str = "none", signature: str = "") -> str:
    header: JsonObject = {"alg": alg, "typ": "oauth-authz-req+jwt"}
    return f"{b64url(compact_json(header))}.{b64url(compact_json(claims))}.{signature}"


def refusals(check: Callable[[], object]) -> list[str]:
    try:
        check()
    except Refused as refusal:
        return refusal.codes
    return []


def test_a_request_by_reference_says_how_it_is_fetched() -> None:
    for method in UriMethod:
        assert read_request_link(request_link(CLIENT, URI, method)) == ByReference(
            CLIENT, URI, method
        )


@pytest.mark.parametrize("method", ["POST", "put", "Get"])
def test_a_method_that_is_neither_is_refused(method: str) -> None:
    link = link_of({"client_id": CLIENT, "request_uri": URI, "request_uri_method": method})

    with pytest.raises(Refused) as refusal:
        read_request_link(link)
    assert refusal.value.codes == ["request-uri-method-unknown"]


def test_a_request_by_value_is_the_token() -> None:
    assert read_request_link(link_of({"client_id": CLIENT, "request": "a.b.c"})) == ByValue(
        CLIENT, "a.b.c"
    )


def test_parameters_in_the_open_are_a_request_that_nobody_signed(now: datetime) -> None:
    found = read_request_link(link_of(parameters(state="s", exp="1", whatever="x")))

    assert isinstance(found, InTheOpen)
    proved = found.prove(ClientTrust())
    request = proved.read(now)
    proved.require_for(client_id=CLIENT, wallet_nonce=None)
    assert proved.client.proof is ClientProof.NOTHING
    assert request.response_uri == "https://shop.example/answers"
    assert (request.nonce, request.state, request.query.to_json()) == ("n-1", "s", QUERY)
    # A time that nobody signed is no time.
    assert request.expires_at == now + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"response_uri": "https://other.example/answers"}, "response-uri-mismatch"),
        ({"aud": "https://other.example"}, "audience-mismatch"),
    ],
)
def test_parameters_in_the_open_are_refused_one_thing_away(
    now: datetime, changed: dict[str, str], code: str
) -> None:
    found = read_request_link(link_of(parameters(**changed)))

    assert isinstance(found, InTheOpen)
    proved = found.prove(ClientTrust())
    assert refusals(lambda: proved.require_for(client_id=CLIENT, wallet_nonce=None)) + refusals(
        lambda: proved.read(now)
    ) == [code]


def test_who_must_sign_does_not_ask_in_the_open() -> None:
    found = read_request_link(link_of(parameters(client_id="x509_san_dns:shop.example")))

    assert isinstance(found, InTheOpen)
    with pytest.raises(Refused) as refusal:
        found.prove(ClientTrust())
    assert refusal.value.codes == ["request-not-signed"]


@pytest.mark.parametrize(
    "given",
    [
        {"client_id": CLIENT},
        {"request_uri": URI},
        {"client_id": CLIENT, "request_uri": URI, "request": "a.b.c"},
        {"client_id": CLIENT, "request": "a.b.c", "request_uri_method": "get"},
        parameters(dcql_query="{"),
        parameters(dcql_query='{"a":1,"a":2}'),
        parameters(client_metadata="[" * 100),
    ],
    ids=str,
)
def test_what_is_no_request_is_malformed(given: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        read_request_link(link_of(given))


@pytest.mark.parametrize(
    "link",
    [
        f"openid4vp://?{'&'.join(f'p{i}=1' for i in range(51))}",
        f"openid4vp://?client_id={'x' * MAX_LINK}",
        "openid4vp://?client_id=a&client_id=b&request=c",
        "openid4vp://?client_id=%ff&request=c",
    ],
    ids=["many", "long", "doubled", "no text"],
)
def test_a_link_is_bounded_and_says_each_thing_once(link: str) -> None:
    with pytest.raises(Malformed):
        read_request_link(link)


def test_who_wants_a_reference_takes_no_other_form() -> None:
    with pytest.raises(Malformed):
        parse_request_link(link_of(parameters()))


CLAIMS: JsonObject = {**parameters(), "dcql_query": QUERY}


class TestUnsignedObjects:
    def test_an_object_without_a_signature_is_for_an_address_alone(self, now: datetime) -> None:
        proved = prove_request(unsigned(CLAIMS), client_id=CLIENT, now=now)

        assert proved.client.proof is ClientProof.NOTHING
        with pytest.raises(Refused) as refusal:
            prove_request(unsigned(CLAIMS), client_id="x509_san_dns:shop.example", now=now)
        assert refusal.value.codes == ["request-not-signed"]

    @pytest.mark.parametrize(("alg", "signature"), [("none", "AA"), ("NONE", ""), ("ES256", "")])
    def test_nothing_else_passes_for_unsigned(
        self, now: datetime, alg: str, signature: str
    ) -> None:
        with pytest.raises(Refused) as refusal:
            prove_request(unsigned(CLAIMS, alg, signature), client_id=CLIENT, now=now)
        assert refusal.value.codes == ["request-signed"]

    def test_its_type_is_demanded_all_the_same(self, now: datetime) -> None:
        head: dict[str, Json] = {"alg": "none"}
        token = f"{b64url(compact_json(head))}.{b64url(compact_json(CLAIMS))}."

        with pytest.raises(Refused) as refusal:
            prove_request(token, client_id=CLIENT, now=now)
        assert refusal.value.codes == ["token-type-mismatch"]
