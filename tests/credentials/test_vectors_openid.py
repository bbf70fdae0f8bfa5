"""The examples of OpenID4VCI 1.0 and OpenID4VP 1.0: what our parsers speak of them.

The specifications fold long texts into lines and leave out parts with dots; whatever is
whole is read, and whatever is signed with a published key is verified. The queries are
held to `test_dcql.py`, the encrypted parts to `test_jose.py`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias, cast
from urllib.parse import quote

import pytest
from counterfoil_credentials.claims import parse_path, path_text, values_at
from counterfoil_credentials.dcql import parse_dcql
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import b64url, compact_json, from_b64url, parse_object
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.issuer_keys import parse_issuer_keys
from counterfoil_credentials.jws import read_jws, sign_jws
from counterfoil_credentials.key_binding import check_key_binding
from counterfoil_credentials.keys import Algorithm, MemorySigner, PublicKey
from counterfoil_credentials.offers import parse_offer
from counterfoil_credentials.requests import (
    client_id_of,
    parse_response_form,
    read_request,
    response_form,
)
from counterfoil_credentials.sdjwt import SdJwt, reveal
from counterfoil_credentials.sdjwt_json import parse_json_sd_jwt
from counterfoil_credentials.sdjwt_vc import read_credential
from counterfoil_credentials.spec import KEY_BINDING_TYP, REQUEST_TYP, SD_JWT_VC_FORMAT
from counterfoil_wallet.discovering import discover
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.x509 import load_der_x509_certificate

Vectors = Callable[[str], Path]
Object: TypeAlias = dict[str, Any]


# OpenID4VCI.


def offered(vectors: Vectors, name: str) -> Object:
    return body((vectors("openid4vci-examples") / name).read_text())


def link(offer: Object) -> str:
    return f"openid-credential-offer://?credential_offer={quote(json.dumps(offer))}"


@pytest.mark.parametrize(
    ("name", "configuration", "description"),
    [
        ("credential_offer_by_reference.json", "UniversityDegree_LDP_VC", None),
        (
            "credential_offer_pre-authz_code.json",
            "UniversityDegreeCredential",
            "Please provide the one-time code which was sent to your mobile phone via SMS",
        ),
    ],
)
def test_reads_the_published_offers(
    vectors: Vectors, name: str, configuration: str, description: str | None
) -> None:
    published = offered(vectors, name)

    offer = parse_offer(link(published))

    assert offer.issuer == "https://credential-issuer.example.com"
    assert offer.configuration_ids == (configuration,)
    assert offer.pre_authorized_code == "adhjhdjajkdkhjhdj"
    assert offer.tx_code is not None
    assert (offer.tx_code.length, offer.tx_code.numeric) == (None, True)
    assert offer.tx_code.description == description
    assert parse_offer(offer.to_link()) == offer
    with pytest.raises(Malformed, match="distinct configurations"):
        parse_offer(link({**published, "credential_configuration_ids": []}))


def test_reads_the_published_offer_by_login_which_has_no_code(vectors: Vectors) -> None:
    offer = parse_offer(link(offered(vectors, "credential_offer_authz_code.txt")))

    assert offer.by_login is not None
    assert offer.by_login.issuer_state == "eyJhbGciOiJSU0Et...FYUaBy"
    assert offer.code is None
    assert parse_offer(offer.to_link()) == offer
    with pytest.raises(Malformed, match="pre-authorized_code"):
        parse_offer(offer.to_link()).pre_authorized_code  # noqa: B018  # it raises


def test_reads_every_claim_path_of_the_published_metadata_and_authorization_details(
    vectors: Vectors,
) -> None:
    folder = vectors("openid4vci-examples")
    tried = 0
    found = [*folder.glob("authorization_details*.json"), *folder.glob("*_metadata_*.json")]
    for path in sorted(found):
        for claims in members(json.loads(path.read_text()), "claims"):
            for claim in claims:
                tried += 1
                steps = parse_path(claim["path"], "path")
                assert [*steps] == claim["path"]
                assert path_text(steps) == ".".join(claim["path"])
    assert tried > 30


def members(value: object, name: str) -> Iterator[list[Object]]:
    """Give the lists under `name`, however deep they are."""
    if isinstance(value, dict):
        for key, below in cast("Object", value).items():
            if key == name and isinstance(below, list):
                yield cast("list[Object]", below)
            else:
                yield from members(below, name)
    elif isinstance(value, list):
        for below in cast("list[object]", value):
            yield from members(below, name)


def test_discovers_the_issuer_of_the_published_metadata(vectors: Vectors) -> None:
    metadata = offered(vectors, "credential_issuer_metadata_sd_jwt_long.json")
    configuration, listed = "SD_JWT_VC_example_in_OpenID4VCI", "credential_configurations_supported"
    offer = parse_offer(
        link(
            {
                "credential_issuer": "https://credential-issuer.example.com",
                "credential_configuration_ids": [configuration],
                "grants": {
                    "urn:ietf:params:oauth:grant-type:pre-authorized_code": {
                        "pre-authorized_code": "code"
                    }
                },
            }
        )
    )

    found = discover(served(metadata), offer, attests_keys=True)

    assert found.endpoints.credential == metadata["credential_endpoint"]
    assert found.endpoints.nonce == metadata["nonce_endpoint"]
    assert found.endpoints.notification == metadata["notification_endpoint"]
    (ours,) = found.configurations
    assert (ours.configuration_id, ours.vct) == (
        configuration,
        metadata[listed][configuration]["vct"],
    )
    with pytest.raises(Refused, match="issuer"):
        discover(served({**metadata, "credential_issuer": "https://other.example"}), offer)
    # It wants keys that somebody vouches for.
    with pytest.raises(Refused) as refusal:
        discover(served(metadata), offer)
    assert refusal.value.codes == ["nothing-we-hold"]


@pytest.mark.parametrize(
    "name",
    [
        "credential_metadata_sd_jwt_vc.json",
        "credential_metadata_jwt_vc_json.json",
        "credential_metadata_ldp_vc.json",
        "credential_metadata_mso_mdoc.json",
    ],
)
def test_holds_only_what_is_in_our_format(vectors: Vectors, name: str) -> None:
    whole = offered(vectors, "credential_issuer_metadata_sd_jwt_long.json")
    part = offered(vectors, name)
    ((configuration, described),) = part["credential_configurations_supported"].items()
    offer = offered(vectors, "credential_offer_pre-authz_code.json")
    offer["credential_configuration_ids"] = [configuration]
    fetcher = served({**whole, **part})

    if described["format"] == SD_JWT_VC_FORMAT:
        discovered = discover(fetcher, parse_offer(link(offer)), attests_keys=True)
        (found,) = discovered.configurations
        assert (found.configuration_id, found.vct) == (configuration, described["vct"])
    else:
        with pytest.raises(Refused) as refusal:
            discover(fetcher, parse_offer(link(offer)), attests_keys=True)
        assert refusal.value.codes == ["nothing-we-hold"]


def served(metadata: Object) -> MemoryFetcher:
    """Serve the metadata of the issuer, and of the authorization server that it names."""
    server = {
        "issuer": "https://server.example.com",
        "token_endpoint": "https://server.example.com/token",
    }
    fetcher = MemoryFetcher()
    fetcher.serve("https://credential-issuer.example.com", answering(metadata))
    fetcher.serve("https://server.example.com", answering(server))
    return fetcher


def answering(obj: Object) -> Callable[[str, str, Mapping[str, str], bytes], Response]:
    answer = Response(200, "application/json", json.dumps(obj).encode())
    return lambda _method, _path, _headers, _body: answer


@pytest.mark.parametrize(
    ("name", "typ", "member"),
    [
        (
            "credential_issuer_metadata_sd_jwt_jwt.txt",
            "openidvci-issuer-metadata+jwt",
            "credential_issuer",
        ),
        ("wallet_attestation.jwt.txt", "oauth-client-attestation+jwt", "wallet_name"),
    ],
)
def test_verifies_the_published_tokens_with_their_certificates(
    vectors: Vectors, name: str, typ: str, member: str
) -> None:
    token = read_jws(text(vectors("openid4vci-examples") / name), typ=typ, where="token")
    chain = cast("list[str]", token.header["x5c"])
    # `x5c` is base64, not base64url (RFC 7515, section 4.1.6).
    encoded = chain[0].rstrip("=").translate(str.maketrans("+/", "-_"))
    key = load_der_x509_certificate(from_b64url(encoded, "x5c")).public_key()
    assert isinstance(key, EllipticCurvePublicKey)

    claims = token.verify(PublicKey.of(key))

    assert claims[member]
    with pytest.raises(Refused, match="signature"):
        token.verify(MemorySigner.generate().public)
    with pytest.raises(Refused, match="ES384"):
        token.verify(PublicKey.of(key), frozenset({Algorithm.ES384}))
    if "cnf" in claims:
        jwk = cast("Any", claims["cnf"])["jwk"]
        assert PublicKey.from_jwk(jwk, "jwk").jwk().items() <= jwk.items()


def test_names_the_issuers_key_by_its_published_thumbprint(vectors: Vectors) -> None:
    jwks = offered(vectors, "issuer_jwks.json")["jwks"]
    keys = parse_issuer_keys(
        {"issuer": "https://issuer.example", "jwks": jwks}, "https://issuer.example"
    )

    ((key_id, key),) = keys.items()

    assert key_id.removeprefix("urn:ietf:params:oauth:jwk-thumbprint:sha-256:") == key.thumbprint()


def test_verifies_the_published_w3c_credential_though_it_is_not_our_format(
    vectors: Vectors,
) -> None:
    (jwk,) = offered(vectors, "issuer_jwks.json")["jwks"]["keys"]
    response = offered(vectors, "credential_response_jwt_vc_json.txt")
    token = read_jws(response["credentials"][0]["credential"], typ="JWT", where="token")

    claims = token.verify(PublicKey.from_jwk(jwk, "jwk"))

    assert token.header["kid"] == jwk["kid"]
    assert claims["iss"] == "https://credential-issuer.example.com"
    with pytest.raises(Malformed, match="tilde"):
        SdJwt.parse(response["credentials"][0]["credential"])


def test_reveals_the_published_credential_response(vectors: Vectors) -> None:
    response = offered(vectors, "credential_response_sd_jwt_vc.txt")

    credential = read_credential(SdJwt.parse(response["credentials"][0]["credential"]))

    assert credential.unverified_issuer == "https://example.com/issuer"
    assert credential.unverified_vct == "https://credentials.example.com/identity_credential"
    claims = credential.revealed.claims
    assert claims["given_name"] == "John"
    assert claims["is_over_65"] is True
    assert len(credential.revealed.paths) == 9


# OpenID4VP.


def asked(vectors: Vectors, name: str) -> Object:
    return body((vectors("openid4vp-examples") / name).read_text())


def test_selects_in_the_published_claims_what_the_specification_says(vectors: Vectors) -> None:
    claims = asked(vectors, "spec_json/05.json")

    # OpenID4VP 1.0, section 7.2.
    assert values_at(claims, ("name",)) == ["Arthur Dent"]
    assert values_at(claims, ("address",)) == [claims["address"]]
    assert values_at(claims, ("address", "street_address")) == ["42 Market Street"]
    assert values_at(claims, ("degrees", None, "type")) == [
        "Bachelor of Science",
        "Master of Science",
    ]
    assert values_at(claims, ("nationalities", 1)) == ["Betelgeusian"]
    assert values_at(claims, ("nationalities", 2)) == []
    assert values_at(claims, ("name", 0)) == []


def test_reveals_nothing_in_the_published_payload_without_its_disclosures(
    vectors: Vectors,
) -> None:
    payload = asked(vectors, "credentials/sd_jwt_vc.json")

    claims = reveal(payload, ()).claims

    assert claims == {n: v for n, v in payload.items() if n not in ("_sd", "_sd_alg")}
    assert (
        PublicKey.from_jwk(payload["cnf"]["jwk"], "jwk").jwk().items()
        <= payload["cnf"]["jwk"].items()
    )


def test_checks_the_published_key_binding_but_for_the_credential_that_it_leaves_out(
    vectors: Vectors,
) -> None:
    claims = asked(vectors, "response/kb_jwt_unsecured.json")
    holder = MemorySigner.generate()
    presentation = SdJwt("a.b.c", (), sign_jws(claims, typ=KEY_BINDING_TYP, signer=holder))

    def check(hashes: list[str], audience: str = claims["aud"]) -> list[str]:
        with pytest.raises(Refused) as refusal:
            check_key_binding(
                presentation,
                holder_key=holder.public,
                audience=audience,
                nonce=claims["nonce"],
                now=datetime.fromtimestamp(claims["iat"], UTC),
                max_age=timedelta(minutes=5),
                transaction_data_hashes=hashes,
            )
        return refusal.value.codes

    hashes = claims["transaction_data_hashes"]
    assert check(hashes) == ["sd-hash-mismatch"]
    assert check([]) == ["sd-hash-mismatch", "transaction-data-mismatch"]
    assert check(hashes, "another") == ["audience-mismatch", "sd-hash-mismatch"]


def test_refuses_the_published_requests_that_are_answered_otherwise_than_by_direct_post(
    vectors: Vectors, now: datetime
) -> None:
    verifier = MemorySigner.generate()
    client_id = client_id_of(did_jwk(verifier.public))
    for name in ("spec_json/01.json", "spec_json/07.json"):
        audience = "https://self-issued.me/v2"
        claims = {**asked(vectors, name), "client_id": client_id, "aud": audience}
        key_id = client_id.removeprefix("decentralized_identifier:") + "#0"
        token = sign_jws(claims, typ=REQUEST_TYP, signer=verifier, header={"kid": key_id})

        with pytest.raises(Malformed) as error:
            read_request(token, client_id=client_id, now=now)

        assert error.value.where == "request.response_mode"


def test_refuses_a_signature_under_the_published_client_id_that_is_an_address(
    vectors: Vectors, now: datetime
) -> None:
    claims = asked(vectors, "spec_json/01.json")
    token = sign_jws(claims, typ=REQUEST_TYP, signer=MemorySigner.generate())

    with pytest.raises(Refused) as refusal:
        read_request(token, client_id=claims["client_id"], now=now)

    assert refusal.value.codes == ["request-signed"]


def test_refuses_the_published_header_for_its_algorithm(vectors: Vectors) -> None:
    header = asked(vectors, "request/request_header_client_id_did.json")
    assert header["alg"] == "RS256"
    signer = MemorySigner.generate()
    signed = f"{b64url(compact_json(header))}.{b64url(compact_json({}))}"
    token = f"{signed}.{b64url(signer.sign(signed.encode()))}"

    with pytest.raises(Refused) as refusal:
        read_jws(token, typ=REQUEST_TYP, where="request").verify(signer.public)

    assert refusal.value.codes == ["algorithm-not-allowed"]


def test_reads_an_answer_in_the_published_shape(vectors: Vectors) -> None:
    answer = asked(vectors, "spec_json/21.json")

    found = parse_response_form({"vp_token": json.dumps(answer)})

    assert found == {"my_credential": ("<base64url-encoded DeviceResponse>",)}
    assert parse_response_form(response_form(found, None)) == found
    with pytest.raises(Malformed, match="a list"):
        parse_response_form({"vp_token": json.dumps({"my_credential": "a text"})})


def test_reads_the_published_authorities_in_a_query(vectors: Vectors) -> None:
    authorities = asked(vectors, "spec_json/03.json")
    query = asked(vectors, "query_lang/simple.json")
    query["credentials"][0]["trusted_authorities"] = [authorities]

    read = parse_dcql(query)

    assert read.to_json() == query
    query["credentials"][0]["trusted_authorities"] = [{**authorities, "values": []}]
    with pytest.raises(Malformed, match="trusted_authorities"):
        parse_dcql(query)


def test_asks_for_the_algorithms_in_the_published_shape(vectors: Vectors) -> None:
    ours = {"sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"]}
    wallet = asked(vectors, "spec_json/11.json")["vp_formats_supported"][SD_JWT_VC_FORMAT]
    verifier = asked(vectors, "client_metadata/sd_jwt_vc_verifier_metadata.json")

    assert wallet == ours
    assert verifier["vp_formats_supported"][SD_JWT_VC_FORMAT].keys() == ours.keys()


def test_takes_no_key_for_encryption_to_verify_with(vectors: Vectors) -> None:
    jwks = asked(vectors, "spec_json/07.json")["client_metadata"]["jwks"]["keys"]
    for jwk in (*jwks, asked(vectors, "spec_json/23.json")):
        assert jwk["use"] == "enc"
        with pytest.raises(Malformed):
            PublicKey.from_jwk(jwk, "jwk")


def test_reads_no_token_with_dots_for_what_was_left_out(vectors: Vectors) -> None:
    with pytest.raises(Malformed, match="base64url"):
        parse_json_sd_jwt((vectors("openid4vp-examples") / "spec_json/13.json").read_bytes())
    for name in (
        "request/request_object_client_id_did.json",
        "digital_credentials_api/signed_request_payload.json",
        "digital_credentials_api/signed_request_payload_compact.json",
    ):
        with pytest.raises(Malformed, match="JSON"):
            parse_object((vectors("openid4vp-examples") / name).read_bytes(), "request")


def body(published: str) -> Object:
    """Give the JSON of a file, or of the HTTP message in it, unfolded."""
    unfolded = re.sub(r"\n\s*", "", published[published.index("{") :])
    found: Object = json.loads(unfolded)
    return found


def text(path: Path) -> str:
    """Give a token that the publisher has folded into lines."""
    return re.sub(r"\s", "", path.read_text())
