"""What the OpenID Foundation's suite asks of an issuer: a test for each of its modules, named so.

The modules are those of the plan `oid4vci-1_0-issuer`. Where the suite takes one way through a
variant (grant, client authentication, encryption), a test here takes all that this issuer has.
"""

import json
from collections.abc import Callable
from itertools import pairwise
from urllib.parse import urlsplit

import pytest
from httpx2 import Response

from tests.issuer.conformance.emulated_wallet import (
    PRE_AUTHORIZED,
    EmulatedWallet,
    Issued,
    Json,
    decrypted,
    new_key,
    public,
    verify,
    well_known,
    with_another_signature,
)
from tests.issuer.conformance.stage import TYPE, Stage

BATCH = 10
GRANTS = ["pre-authorized code", "authorization code"]


def tokened(stage: Stage, wallet: EmulatedWallet, grant: str = GRANTS[0]) -> Json:
    """Give a token response by one of the grants, checked as the suite checks it."""
    if grant == GRANTS[0]:
        offer = stage.offer()
        answer = wallet.redeem(offer.link, offer.tx_code)
    else:
        scope = wallet.metadata["credential_configurations_supported"][TYPE]["scope"]
        answer = wallet.authorize(stage.customer(), scope=scope)
    assert answer.status_code == 200, answer.text
    assert "no-store" in answer.headers["cache-control"]
    token = dict(answer.json())
    assert token["token_type"] == ("DPoP" if wallet.dpop_key else "Bearer")
    # Section 13.10: a token that anybody may use lives five minutes at most.
    assert wallet.dpop_key or 0 < token["expires_in"] <= 300
    return token


def issued(stage: Stage, wallet: EmulatedWallet, answer: Response) -> list[Issued]:
    """Give the credentials of an answer, each verified under the issuer's published keys."""
    assert answer.status_code == 200, answer.text
    assert "no-store" in answer.headers["cache-control"]
    return [of_answer(stage, one) for one in answer.json()["credentials"]]


def of_answer(stage: Stage, one: Json) -> Issued:
    keys = stage.http.get(well_known(stage.issuer, "jwt-vc-issuer")).json()["jwks"]["keys"]
    credential = Issued.verified(one["credential"], keys)
    assert credential.header["typ"] == "dc+sd-jwt"
    assert credential.claims["iss"] == stage.issuer
    return credential


def acknowledge(wallet: EmulatedWallet, token: Json, answer: Json) -> None:
    said = {"notification_id": answer["notification_id"], "event": "credential_accepted"}
    assert wallet.post_json("notification_endpoint", token, said).status_code == 204


def require_error(answer: Response, *errors: str, status: int = 400) -> None:
    """Check an error response: its code, its form, and that nothing else stands in it."""
    assert (answer.status_code, answer.json()["error"]) in [(status, error) for error in errors]
    assert answer.headers["content-type"].partition(";")[0] == "application/json"
    assert set(answer.json()) <= {"error", "error_description"}
    assert not set('\r\n\t"\\') & set(answer.json()["error_description"])


# What must work.


@pytest.mark.parametrize("grant", GRANTS)
@pytest.mark.parametrize("sender_constrained", [False, True], ids=["bearer", "dpop"])
def test_oid4vci_1_0_issuer_happy_flow(
    plain: Stage, grant: str, *, sender_constrained: bool
) -> None:
    wallet = plain.wallet(sender_constrained=sender_constrained)
    token = tokened(plain, wallet, grant)

    answer = wallet.ask(token, wallet.request(TYPE, token))

    (credential,) = issued(plain, wallet, answer)
    configuration = wallet.metadata["credential_configurations_supported"][TYPE]
    assert credential.claims["vct"] == configuration["vct"]
    assert credential.claims["cnf"]["jwk"] == public(wallet.key)
    acknowledge(wallet, token, answer.json())


def test_oid4vci_1_0_issuer_happy_flow_additional_requests(plain: Stage) -> None:
    wallet = plain.wallet(sender_constrained=True)
    token = tokened(plain, wallet)
    first = wallet.ask(token, wallet.request(TYPE, token))
    assert first.status_code == 200

    for headers in (
        {"x_fapi_customer_ip_address": "2001:db8::1893:25c8:1946", "Accept": "application/json"},
        {"Accept": "application/json; charset=UTF-8"},
        {"Accept": "*/*"},
    ):
        again = wallet.ask(token, wallet.request(TYPE, token), **headers)

        assert again.status_code == 200, again.text


def test_oid4vci_1_0_issuer_happy_flow_multiple_clients(plain: Stage) -> None:
    credentials: list[Issued] = []
    for _ in range(2):
        wallet = plain.wallet(sender_constrained=True)
        token = tokened(plain, wallet, GRANTS[1])
        credentials += issued(plain, wallet, wallet.ask(token, wallet.request(TYPE, token)))

    require_unlinkable(credentials)


def test_oid4vci_1_0_issuer_happy_flow_skip_notification(plain: Stage) -> None:
    wallet = plain.wallet()
    token = tokened(plain, wallet)

    (credential,) = issued(plain, wallet, wallet.ask(token, wallet.request(TYPE, token)))

    # Nobody said that it arrived, and it is in force all the same.
    assert plain.status(credential.place) == 0


def test_oid4vci_1_0_issuer_batch_issuance(plain: Stage) -> None:
    wallet = plain.wallet()
    size = wallet.metadata["batch_credential_issuance"]["batch_size"]
    assert size >= BATCH
    keys = [new_key() for _ in range(BATCH)]
    token = tokened(plain, wallet)
    nonce = wallet.nonce()
    request = wallet.request(TYPE, token, proofs=[wallet.proof(nonce, key) for key in keys])

    credentials = issued(plain, wallet, wallet.ask(token, request))

    assert [one.claims["cnf"]["jwk"] for one in credentials] == [public(key) for key in keys]
    require_unlinkable(credentials)
    assert len({frozenset(one.dataset) for one in credentials}) == 1, "one dataset (3.3.2)"
    assert len({(one.claims.get("iat"), one.claims.get("exp")) for one in credentials}) == 1


def require_unlinkable(credentials: list[Issued]) -> None:
    """Check that nothing but the data is shared: keys, salts, digests, status indices, times."""
    for first, second in pairwise(credentials):
        assert first.claims["cnf"] != second.claims["cnf"]
        assert not first.salts & second.salts
        assert not set(first.claims["_sd"]) & set(second.claims["_sd"])
    places = [one.place for one in credentials]
    assert len(set(places)) == len(places)
    indices = [index for _, index in places]
    assert {b - a for a, b in pairwise(indices)} not in ({1}, {-1}), "unpredictable indices"
    for name in ("iat", "nbf", "exp"):
        # Section 15.4.1: a time to the second would link what was issued together.
        assert all(one.claims.get(name, 0) % 3600 == 0 for one in credentials), name


def test_oid4vci_1_0_issuer_metadata_test(plain: Stage) -> None:
    wallet = plain.wallet()
    issuer, server = wallet.metadata, wallet.server

    require_issuer_metadata(plain, issuer)
    assert server["issuer"] == plain.issuer
    assert PRE_AUTHORIZED in server["grant_types_supported"]
    assert server["code_challenge_methods_supported"] == ["S256"]
    assert server["authorization_response_iss_parameter_supported"] is True
    assert "ES256" in server["dpop_signing_alg_values_supported"]
    configurations = issuer["credential_configurations_supported"].values()
    assert all("scope" in one for one in configurations) or "openid_credential" in server.get(
        "authorization_details_types_supported", []
    )


def require_issuer_metadata(stage: Stage, document: Json) -> None:
    """Check Credential Issuer Metadata (section 12.2.4)."""
    assert document["credential_issuer"] == stage.issuer
    assert urlsplit(stage.issuer).query == "" == urlsplit(stage.issuer).fragment
    for name, url in document.items():
        if name.endswith("_endpoint"):
            assert url.startswith(f"{stage.issuer}/"), name
    assert document["nonce_endpoint"]
    assert document["credential_configurations_supported"]
    for name, one in document["credential_configurations_supported"].items():
        assert one["format"], name
        if one["format"] == "dc+sd-jwt":
            assert one["vct"], name
        # Appendix F: proofs exactly where a key is bound.
        assert ("cryptographic_binding_methods_supported" in one) == (
            "proof_types_supported" in one
        )
        for proof_type in one.get("proof_types_supported", {}).values():
            assert "ES256" in proof_type["proof_signing_alg_values_supported"], name
        displays = one["credential_metadata"]["display"]
        locales = [shown["locale"] for shown in displays]
        assert len(set(locales)) == len(locales) == 2, name
    asked, given = (document[f"credential_{side}_encryption"] for side in ("request", "response"))
    # Section 10: an encrypted answer needs an encrypted request.
    assert {"A128GCM", "A256GCM"} <= set(given["enc_values_supported"])
    assert given["alg_values_supported"] == ["ECDH-ES"]
    assert isinstance(given["encryption_required"], bool)
    assert {"A128GCM", "A256GCM"} <= set(asked["enc_values_supported"])
    for jwk in asked["jwks"]["keys"]:
        assert jwk["kid"]
        assert jwk["alg"] == "ECDH-ES"
        assert "d" not in jwk


def test_oid4vci_1_0_issuer_metadata_test_signed(plain: Stage) -> None:
    url = well_known(plain.issuer, "openid-credential-issuer")

    answer = plain.http.get(url, headers={"Accept": "application/jwt"})

    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == "application/jwt"
    assert "accept" in answer.headers["vary"].lower()
    header, claims = verify(answer.text, plain.keys())
    assert header["typ"] == "openidvci-issuer-metadata+jwt"
    assert claims["sub"] == plain.issuer
    assert claims["iat"] <= plain.wallet().now
    said = {name: claims[name] for name in claims if name not in {"iss", "sub", "iat", "exp"}}
    require_issuer_metadata(plain, said)
    assert said == plain.http.get(url, headers={"Accept": "application/json"}).json()


# What must be refused.


def test_oid4vci_1_0_issuer_fail_client_attestation_exp_in_past(attesting: Stage) -> None:
    wallet = attesting.wallet()
    wallet.attestation_changes = {"iat": wallet.now - 7200, "exp": wallet.now - 3600}

    require_client_refused(attesting, wallet)


def test_oid4vci_1_0_issuer_fail_client_attestation_no_sub(attesting: Stage) -> None:
    wallet = attesting.wallet()
    wallet.attestation_changes = {"sub": None}

    require_client_refused(attesting, wallet)


def test_oid4vci_1_0_issuer_fail_client_attestation_pop_wrong_aud(attesting: Stage) -> None:
    wallet = attesting.wallet()
    wallet.pop_changes = {"aud": "https://another.example"}

    require_client_refused(attesting, wallet)


def test_oid4vci_1_0_issuer_fail_invalid_client_attestation_pop_signature(
    attesting: Stage,
) -> None:
    wallet = attesting.wallet()
    wallet.change_pop = with_another_signature

    require_client_refused(attesting, wallet)


def test_oid4vci_1_0_issuer_fail_invalid_client_attestation_signature(attesting: Stage) -> None:
    wallet = attesting.wallet()
    wallet.change_attestation = with_another_signature

    require_client_refused(attesting, wallet)


def test_oid4vci_1_0_issuer_fail_mismatched_client_attestation_pop_key(attesting: Stage) -> None:
    wallet = attesting.wallet()
    wallet.pop_key = new_key()

    require_client_refused(attesting, wallet)


def require_client_refused(stage: Stage, wallet: EmulatedWallet) -> None:
    """Check that both places where a wallet is authenticated refuse this one, and its code lives.

    The same wallet without the flaw is taken at both.
    """
    scope = wallet.metadata["credential_configurations_supported"][TYPE]["scope"]
    offer = stage.offer()
    for answer in (wallet.push(scope=scope)[0], wallet.redeem(offer.link, offer.tx_code)):
        assert answer.status_code in {400, 401}
        errors = ("invalid_client", "invalid_request", "invalid_client_attestation")
        require_error(answer, *errors, status=answer.status_code)
    good = stage.wallet()
    assert good.push(scope=scope)[0].status_code == 201
    assert good.redeem(offer.link, offer.tx_code).status_code == 200


Change = Callable[[EmulatedWallet, Json], None]


def refused(stage: Stage, change: Change) -> Response:
    """Change one thing of a good credential request, give the answer, and check the neighbour.

    The same token without the change gets its credential afterwards.
    """
    wallet = stage.wallet()
    token = tokened(stage, wallet)
    request = wallet.request(TYPE, token)
    change(wallet, request)
    answer = wallet.ask(token, request)
    good = wallet.ask(token, wallet.request(TYPE, token))
    assert good.status_code == 200, good.text
    return answer


def test_oid4vci_1_0_issuer_fail_invalid_jwt_proof_signature(plain: Stage) -> None:
    def change(_: EmulatedWallet, request: Json) -> None:
        (proof,) = request["proofs"]["jwt"]
        request["proofs"]["jwt"] = [with_another_signature(proof)]

    require_error(refused(plain, change), "invalid_proof")


def test_oid4vci_1_0_issuer_fail_invalid_key_attestation_signature(
    key_attesting: Stage,
) -> None:
    wallet = key_attesting.wallet()
    maker = key_attesting.maker
    token = tokened(key_attesting, wallet)

    def request(kind: str, change: Callable[[str], str]) -> Json:
        nonce = wallet.nonce()
        attestation = change(maker.key_attestation([wallet.key], nonce, wallet.now))
        if kind == "attestation":
            return wallet.request(TYPE, token) | {"proofs": {"attestation": [attestation]}}
        proof = wallet.proof(nonce, header={"key_attestation": attestation})
        return wallet.request(TYPE, token, proofs=[proof])

    for kind in ("jwt", "attestation"):
        answer = wallet.ask(token, request(kind, with_another_signature))
        require_error(answer, "invalid_proof")
        good = wallet.ask(token, request(kind, str))
        assert good.status_code == 200, good.text


def test_oid4vci_1_0_issuer_fail_invalid_nonce(plain: Stage) -> None:
    def change(wallet: EmulatedWallet, request: Json) -> None:
        request["proofs"]["jwt"] = [wallet.proof("made-up-by-the-suite")]

    require_error(refused(plain, change), "invalid_nonce")


def test_oid4vci_1_0_issuer_fail_replay_nonce(plain: Stage) -> None:
    wallet = plain.wallet()
    nonce = wallet.nonce()
    token = tokened(plain, wallet)
    first = wallet.ask(token, wallet.request(TYPE, token, proofs=[wallet.proof(nonce)]))
    assert first.status_code == 200

    thief = plain.wallet()
    other = tokened(plain, thief)
    answer = thief.ask(other, thief.request(TYPE, other, proofs=[thief.proof(nonce)]))

    require_error(answer, "invalid_nonce")


def test_oid4vci_1_0_issuer_fail_missing_proof(plain: Stage) -> None:
    def change(_: EmulatedWallet, request: Json) -> None:
        del request["proofs"]

    require_error(refused(plain, change), "invalid_proof")


def test_oid4vci_1_0_issuer_fail_on_access_token_in_query(plain: Stage) -> None:
    wallet = plain.wallet()
    token = tokened(plain, wallet)
    url = f"{wallet.metadata['credential_endpoint']}?access_token={token['access_token']}"

    body = json.dumps(wallet.request(TYPE, token))
    without = plain.http.post(url, content=body, headers={"Content-Type": "application/json"})
    beside = wallet.ask(token, wallet.request(TYPE, token), url=url)

    assert without.status_code in {400, 401}
    assert beside.status_code in {400, 401}


def test_oid4vci_1_0_issuer_fail_unknown_credential_configuration(plain: Stage) -> None:
    def change(_: EmulatedWallet, request: Json) -> None:
        request.pop("credential_identifier", None)
        request["credential_configuration_id"] = "unknown-to-the-issuer"

    require_error(refused(plain, change), "unknown_credential_configuration")


def test_oid4vci_1_0_issuer_fail_unknown_credential_identifier(plain: Stage) -> None:
    def change(_: EmulatedWallet, request: Json) -> None:
        request.pop("credential_configuration_id", None)
        request["credential_identifier"] = "unknown-to-the-issuer"

    require_error(refused(plain, change), "unknown_credential_identifier")


def test_oid4vci_1_0_issuer_fail_unsupported_encryption_algorithm(plain: Stage) -> None:
    wallet = plain.wallet()
    token = tokened(plain, wallet)
    key = public(new_key()) | {"kid": "answer", "use": "enc"}

    for enc, told in (
        ("A128CBC-HS256-UNSUPPORTED", {}),
        ("A128GCM", {"jwk": key | {"alg": "RSA1_5"}}),
        ("A128GCM", {"jwk": key}),
        ("A128GCM", {"zip": "DEF"}),
    ):
        answer, _ = wallet.ask_encrypted(token, wallet.request(TYPE, token), enc=enc, **told)
        require_error(answer, "invalid_encryption_parameters")

    good, secret = wallet.ask_encrypted(token, wallet.request(TYPE, token))
    assert good.status_code == 200
    (one,) = decrypted(good, secret)["credentials"]
    assert of_answer(plain, one).claims["cnf"]["jwk"] == public(wallet.key)
