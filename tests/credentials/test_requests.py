"""Offers, proofs, requests, queries: what strangers hand over is read strictly."""

import dataclasses
import traceback
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from counterfoil_credentials import (
    ClaimQuery,
    ContentEncryption,
    CredentialOffer,
    CredentialQuery,
    DcqlQuery,
    DecryptionKey,
    MemoryFetcher,
    MemorySigner,
    PresentationRequest,
    Response,
    ResponseEncryption,
    TxCode,
    check_proof,
    client_id_of,
    did_jwk,
    fetch_issuer_keys,
    issuer_key_named,
    issuer_keys_document,
    make_proof,
    parse_offer,
    parse_request_link,
    parse_response_form,
    read_request,
    request_link,
    response_form,
    sign_request,
    well_known,
)
from counterfoil_credentials.dids import Did, did_key
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    compact_json,
    list_at,
    object_at,
)
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.keys import Curve
from counterfoil_credentials.offers import ByLogin, offer_url, parse_offer_object

SHOP = MemorySigner.from_private_bytes(b"\x04" * 32)
HOLDER = MemorySigner.from_private_bytes(b"\x02" * 32)
CLIENT_ID = client_id_of(did_jwk(SHOP.public))
VCT = "https://audio.example/types/warranty"
QUERY = DcqlQuery(
    (
        CredentialQuery(
            "warranty", (VCT,), (ClaimQuery(("item", "serial")), ClaimQuery(("valid_until",)))
        ),
    )
)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def request_(now: datetime) -> PresentationRequest:
    return PresentationRequest(
        client_id=CLIENT_ID,
        response_uri="https://shop.example/responses/1",
        nonce="n-1",
        state="s-1",
        query=QUERY,
        issued_at=now,
        expires_at=now + 2 * MINUTE,
        client_name="Quay Street Repairs",
        purpose="To see whether the item is under warranty",
    )


class TestOffers:
    offer = CredentialOffer(
        "https://audio.example/issuer",
        ("Warranty",),
        "secret code",
        TxCode(4, numeric=True, description="SMS"),
    )

    def test_an_offer_survives_its_link(self) -> None:
        assert parse_offer(self.offer.to_link()) == self.offer

    def test_an_offer_may_name_its_authorization_server(self) -> None:
        offer = dataclasses.replace(self.offer, authorization_server="https://login.example")

        assert parse_offer(offer.to_link()) == offer

    @pytest.mark.parametrize("code", [None, "secret code"])
    @pytest.mark.parametrize("state", [None, "a state of the issuer"])
    def test_an_offer_may_be_accepted_by_login(self, code: str | None, state: str | None) -> None:
        by_login = ByLogin(state, "https://login.example")
        offer = CredentialOffer(self.offer.issuer, ("a",), code, None, by_login=by_login)

        assert parse_offer(offer.to_link()) == offer
        assert "a state of the issuer" not in repr(offer)

    def test_an_offer_without_grants_is_one_by_login(self) -> None:
        offer = parse_offer_object(
            {"credential_issuer": "x", "credential_configuration_ids": ["a"]}
        )

        assert (offer.code, offer.by_login) == (None, ByLogin(None))

    def test_an_offer_of_other_grants_only_is_malformed(self) -> None:
        obj: JsonObject = {
            **self.offer.to_json(),
            "grants": {"urn:ietf:params:oauth:grant-type:other": {}},
        }

        with pytest.raises(Malformed, match="a grant that we know"):
            parse_offer_object(obj)

    def test_a_link_may_say_where_the_offer_is(self) -> None:
        link = "openid-credential-offer://?credential_offer_uri=https%3A%2F%2Fa.example%2Fo"

        assert offer_url(link) == "https://a.example/o"
        assert offer_url(self.offer.to_link()) is None
        with pytest.raises(Malformed):
            offer_url(f"{link}&credential_offer=%7B%7D")

    def test_the_code_is_not_shown(self) -> None:
        assert "secret code" not in repr(self.offer)

    @pytest.mark.parametrize(
        "link",
        [
            "",
            "https://audio.example",
            "openid-credential-offer://",
            "openid-credential-offer://?credential_offer=%7B%7D",
            "openid-credential-offer://?credential_offer=[]",
            "openid-credential-offer://?credential_offer_uri=https%3A%2F%2Fa.example",
            "openid-credential-offer://?credential_offer=%7B%7D&credential_offer=%7B%7D",
            "openid-credential-offer://?credential_offer=" + "x" * 20_000,
            "openid-credential-offer://[",
        ],
        ids=lambda link: link[:60],
    )
    def test_what_is_no_offer_is_malformed(self, link: str) -> None:
        with pytest.raises(Malformed):
            parse_offer(link)


@pytest.mark.parametrize(
    ("parse", "scheme"),
    [(parse_offer, "openid-credential-offer"), (parse_request_link, "openid4vp")],
    ids=["offer", "request"],
)
class TestLinks:
    @pytest.mark.parametrize("rest", ["?the-secret", "?client_id=x&the-secret", "[the-secret]"])
    def test_no_traceback_repeats_a_broken_link(
        self, parse: Callable[[str], object], scheme: str, rest: str
    ) -> None:
        with pytest.raises(Malformed) as failure:
            parse(f"{scheme}://{rest}")
        assert "the-secret" not in "".join(traceback.format_exception(failure.value))

    @pytest.mark.parametrize("character", ["é", "\ud800", "\u202e", "\uff0f"], ids=ascii)
    def test_other_than_ascii_stands_percent_encoded_or_the_link_is_malformed(
        self, parse: Callable[[str], object], scheme: str, character: str
    ) -> None:
        with pytest.raises(Malformed, match="a link in ASCII"):
            parse(f"{scheme}://?client_id=x&request_uri={character}")


class TestProofs:
    issuer = "https://audio.example"

    def test_a_proof_names_the_key_and_the_nonce(self, now: datetime) -> None:
        token = make_proof(HOLDER, issuer=self.issuer, nonce="c-1", now=now)

        proof = check_proof(token, issuer=self.issuer, now=now, max_age=MINUTE)

        assert (proof.key, proof.nonce) == (HOLDER.public, "c-1")

    @pytest.mark.parametrize(
        ("issuer", "later", "code"),
        [
            ("https://other.example", timedelta(0), "audience-mismatch"),
            ("https://audio.example/", timedelta(0), "audience-mismatch"),
            ("https://audio.example", timedelta(seconds=61), "proof-too-old"),
            ("https://audio.example", timedelta(seconds=-61), "proof-from-the-future"),
        ],
    )
    def test_refuses_a_proof_one_thing_away(
        self, now: datetime, issuer: str, later: timedelta, code: str
    ) -> None:
        token = make_proof(HOLDER, issuer=self.issuer, nonce="c-1", now=now)

        with pytest.raises(Refused) as refusal:
            check_proof(token, issuer=issuer, now=now + later, max_age=MINUTE)
        assert refusal.value.codes == [code]

    @pytest.mark.parametrize(
        "header",
        [
            {},
            {"kid": "did:jwk:x"},
            {"jwk": HOLDER.public.jwk(), "kid": "1"},
            {"jwk": {**HOLDER.public.jwk(), "d": "AA"}},
        ],
        ids=["no-key", "kid", "two-keys", "private"],
    )
    def test_wants_exactly_one_public_key_in_the_header(
        self, now: datetime, header: JsonObject
    ) -> None:
        claims: JsonObject = {"aud": self.issuer, "iat": int(now.timestamp())}
        token = sign_jws(claims, typ="openid4vci-proof+jwt", signer=HOLDER, header=header)

        with pytest.raises(Malformed):
            check_proof(token, issuer=self.issuer, now=now, max_age=MINUTE)

    @pytest.mark.parametrize(
        ("said", "client_id"), [(None, None), (None, "wallet"), ("wallet", "wallet")]
    )
    def test_a_proof_says_its_client_or_none(
        self, now: datetime, said: str | None, client_id: str | None
    ) -> None:
        token = self.signed(HOLDER, {} if said is None else {"iss": said}, now)

        proof = check_proof(token, issuer=self.issuer, now=now, max_age=MINUTE, client_id=client_id)

        assert proof.key == HOLDER.public

    @pytest.mark.parametrize(
        ("said", "client_id"), [("wallet", None), ("", None), ("Wallet", "wallet"), ("", "wallet")]
    )
    def test_a_proof_of_another_client_is_refused(
        self, now: datetime, said: str, client_id: str | None
    ) -> None:
        token = self.signed(HOLDER, {"iss": said}, now)

        with pytest.raises(Refused) as refusal:
            check_proof(token, issuer=self.issuer, now=now, max_age=MINUTE, client_id=client_id)
        assert refusal.value.codes == ["client-id-mismatch"]

    @pytest.mark.parametrize("said", [None, 7, ["wallet"]], ids=str)
    def test_a_client_id_is_a_text(self, now: datetime, said: Json) -> None:
        token = self.signed(HOLDER, {"iss": said}, now)

        with pytest.raises(Malformed):
            check_proof(token, issuer=self.issuer, now=now, max_age=MINUTE)

    @pytest.mark.parametrize("curve", [Curve.P384, Curve.SECP256K1, Curve.ED25519])
    def test_a_proof_under_another_algorithm_is_checked_where_it_is_allowed(
        self, now: datetime, curve: Curve
    ) -> None:
        size = 48 if curve is Curve.P384 else 32
        signer = MemorySigner.from_private_bytes(b"\x05" * size, curve)
        token = self.signed(signer, {}, now)
        allowed = frozenset({signer.public.algorithm})

        proof = check_proof(token, issuer=self.issuer, now=now, max_age=MINUTE, algorithms=allowed)

        assert proof.key == signer.public
        with pytest.raises(Refused) as refusal:
            check_proof(token, issuer=self.issuer, now=now, max_age=MINUTE)
        assert refusal.value.codes == ["algorithm-not-allowed"]

    def signed(self, signer: MemorySigner, claims: JsonObject, now: datetime) -> str:
        return sign_jws(
            {"aud": self.issuer, "iat": int(now.timestamp()), **claims},
            typ="openid4vci-proof+jwt",
            signer=signer,
            header={"jwk": signer.public.jwk()},
        )

    def test_a_proof_by_another_key_than_its_header_names_is_refused(self, now: datetime) -> None:
        claims: JsonObject = {"aud": self.issuer, "iat": int(now.timestamp())}
        header: JsonObject = {"jwk": HOLDER.public.jwk()}
        token = sign_jws(claims, typ="openid4vci-proof+jwt", signer=SHOP, header=header)

        with pytest.raises(Refused) as refusal:
            check_proof(token, issuer=self.issuer, now=now, max_age=MINUTE)
        assert refusal.value.codes == ["signature-invalid"]


def read(claims: JsonObject, now: datetime) -> PresentationRequest:
    """Read a request with these claims, rightly signed."""
    header: JsonObject = {"kid": f"{did_jwk(SHOP.public)}#0"}
    token = sign_jws(claims, typ="oauth-authz-req+jwt", signer=SHOP, header=header)
    return read_request(token, client_id=CLIENT_ID, now=now)


class TestPresentationRequests:
    def test_a_request_survives_signing(self, request_: PresentationRequest, now: datetime) -> None:
        assert read_request(sign_request(request_, SHOP), client_id=CLIENT_ID, now=now) == request_

    def test_a_did_key_is_a_client_id_too(
        self, request_: PresentationRequest, now: datetime
    ) -> None:
        of_key = client_id_of(did_key(SHOP.public))
        request = dataclasses.replace(request_, client_id=of_key)
        token = sign_request(request, SHOP)

        assert read_request(token, client_id=of_key, now=now) == request
        with pytest.raises(Refused) as refusal:
            read_request(sign_request(request, HOLDER), client_id=of_key, now=now)
        assert refusal.value.codes == ["signature-invalid"]
        # One key, and another name: the wallet shows who asks by the name.
        with pytest.raises(Refused) as refusal:
            read_request(token, client_id=CLIENT_ID, now=now)
        assert refusal.value.codes == ["client-id-mismatch"]

    def test_a_did_that_takes_a_document_is_no_client_id_yet(
        self, request_: PresentationRequest, now: datetime
    ) -> None:
        of_web = client_id_of(Did("did:web:shop.example"))
        token = sign_request(dataclasses.replace(request_, client_id=of_web), SHOP)

        with pytest.raises(Malformed):
            read_request(token, client_id=of_web, now=now)

    def test_a_request_by_another_key_is_refused(
        self, request_: PresentationRequest, now: datetime
    ) -> None:
        with pytest.raises(Refused) as refusal:
            read_request(sign_request(request_, HOLDER), client_id=CLIENT_ID, now=now)
        assert refusal.value.codes == ["signature-invalid"]

    def test_the_inner_client_id_is_the_one_of_the_link(
        self, request_: PresentationRequest, now: datetime
    ) -> None:
        other = dataclasses.replace(request_, client_id=client_id_of(did_jwk(HOLDER.public)))
        token = sign_jws(
            other.to_claims(),
            typ="oauth-authz-req+jwt",
            signer=SHOP,
            header={"kid": f"{did_jwk(SHOP.public)}#0"},
        )

        with pytest.raises(Refused) as refusal:
            read_request(token, client_id=CLIENT_ID, now=now)
        assert refusal.value.codes == ["client-id-mismatch"]

    @pytest.mark.parametrize("prefix", ["", "origin:", "openid_federation:", "REDIRECT_URI:"])
    def test_refuses_a_client_id_whose_proof_it_does_not_know(
        self, request_: PresentationRequest, now: datetime, prefix: str
    ) -> None:
        with pytest.raises(Refused) as refusal:
            read_request(
                sign_request(request_, SHOP),
                client_id=prefix + CLIENT_ID.split(":", 1)[1],
                now=now,
            )
        assert refusal.value.codes == ["client-id-prefix-unknown"]

    @pytest.mark.parametrize(
        ("later", "code"),
        [(2 * MINUTE, "request-expired"), (timedelta(seconds=-61), "request-from-the-future")],
    )
    def test_refuses_a_request_out_of_its_time(
        self, request_: PresentationRequest, now: datetime, later: timedelta, code: str
    ) -> None:
        with pytest.raises(Refused) as refusal:
            read_request(sign_request(request_, SHOP), client_id=CLIENT_ID, now=now + later)
        assert refusal.value.codes == [code]

    @pytest.mark.parametrize(
        "change",
        [
            {"response_mode": "fragment"},
            {"response_type": "code"},
            {"redirect_uri": "https://shop.example"},
            {"nonce": ""},
            {"nonce": None},
            {"dcql_query": {}},
            {"transaction_data": []},
            {"client_metadata": {"client_name": "x" * 2001}},
            {"exp": "soon"},
            {"state": "s" * 2_049},
        ],
        ids=str,
    )
    def test_a_misshapen_request_is_malformed(
        self, request_: PresentationRequest, now: datetime, change: JsonObject
    ) -> None:
        token = sign_jws(
            {**request_.to_claims(), **change},
            typ="oauth-authz-req+jwt",
            signer=SHOP,
            header={"kid": f"{did_jwk(SHOP.public)}#0"},
        )

        with pytest.raises(Malformed):
            read_request(token, client_id=CLIENT_ID, now=now)

    def test_a_long_state_is_no_longer_than_it_may_be(
        self, request_: PresentationRequest, now: datetime
    ) -> None:
        assert read({**request_.to_claims(), "state": "s" * 2_048}, now).state == "s" * 2_048

    @pytest.mark.parametrize(
        "audience",
        [
            None,
            "",
            "https://self-issued.me",
            "https://self-issued.me/v2/",
            CLIENT_ID,
            ["https://self-issued.me/v2"],
        ],
        ids=str,
    )
    def test_a_signed_request_for_another_audience_is_refused(
        self, request_: PresentationRequest, now: datetime, audience: Json
    ) -> None:
        claims = request_.to_claims()
        assert claims["aud"] == "https://self-issued.me/v2"

        with pytest.raises(Refused) as refusal:
            read({**claims, "aud": audience}, now)
        assert refusal.value.codes == ["audience-mismatch"]

    def test_a_signed_request_that_names_no_audience_is_refused(
        self, request_: PresentationRequest, now: datetime
    ) -> None:
        claims = request_.to_claims()
        del claims["aud"]

        with pytest.raises(Refused) as refusal:
            read(claims, now)
        assert refusal.value.codes == ["audience-mismatch"]

    def test_a_link_survives_and_a_doubled_parameter_does_not(self) -> None:
        link = request_link(CLIENT_ID, "https://shop.example/requests/1")

        assert parse_request_link(link).client_id == CLIENT_ID
        assert parse_request_link(link).request_uri == "https://shop.example/requests/1"
        assert parse_request_link(request_link("é", "u")).client_id == "é"
        for bad in (
            link + "&client_id=x",
            "openid4vp://",
            "openid4vp://[",
            "https://x.example/?client_id=a",
        ):
            with pytest.raises(Malformed):
                parse_request_link(bad)

    def test_a_request_that_names_no_time_is_good_for_five_minutes(
        self, request_: PresentationRequest, now: datetime
    ) -> None:
        claims = request_.to_claims()
        del claims["iat"], claims["exp"]
        token = sign_jws(
            claims,
            typ="oauth-authz-req+jwt",
            signer=SHOP,
            header={"kid": f"{did_jwk(SHOP.public)}#0"},
        )

        read = read_request(token, client_id=CLIENT_ID, now=now)

        assert (read.issued_at, read.expires_at) == (now, now + 5 * MINUTE)

    def test_a_request_for_another_wallet_s_nonce_is_refused(
        self, request_: PresentationRequest, now: datetime
    ) -> None:
        def read(sent: str | None, back: str | None) -> PresentationRequest:
            token = sign_request(request_, SHOP, wallet_nonce=back)
            return read_request(token, client_id=CLIENT_ID, now=now, wallet_nonce=sent)

        assert read("n-w", "n-w") == read(None, "n-w") == read(None, None) == request_
        for back in (None, "n-W", ""):
            with pytest.raises(Refused) as refusal:
                read("n-w", back)
            assert refusal.value.codes == ["wallet-nonce-mismatch"]

    def test_an_answer_is_encrypted_to_the_first_key_that_can_be_used(
        self, request_: PresentationRequest, now: datetime
    ) -> None:
        key = DecryptionKey.generate("ours")
        asked = dataclasses.replace(
            request_,
            encryption=ResponseEncryption(
                key.public, (ContentEncryption.A256GCM, ContentEncryption.A128GCM)
            ),
        )
        claims = asked.to_claims()
        jwks = object_at(object_at(claims, "client_metadata", ""), "jwks", "")
        good = list_at(jwks, "keys", "")[0]
        other: JsonObject = {"kty": "OKP", "crv": "X25519", "x": "AA", "alg": "ECDH-ES"}
        jwks["keys"] = [other, {**as_object(good, ""), "use": "sig"}, good]

        assert read(claims, now) == asked
        jwks["keys"] = [other]
        with pytest.raises(Refused) as refusal:
            read(claims, now)
        assert refusal.value.codes == ["no-usable-key"]

    @pytest.mark.parametrize(
        ("listed", "code"),
        [(["A128CBC-HS256"], "no-usable-key"), (["A128CBC-HS256", "A128GCM"], "")],
    )
    def test_the_content_is_encrypted_as_both_sides_can(
        self, request_: PresentationRequest, now: datetime, listed: list[Json], code: str
    ) -> None:
        key = DecryptionKey.generate("ours").public
        claims = dataclasses.replace(request_, encryption=ResponseEncryption(key)).to_claims()
        metadata = object_at(claims, "client_metadata", "")
        metadata["encrypted_response_enc_values_supported"] = listed

        if not code:
            assert read(claims, now).encryption == ResponseEncryption(key)
            return
        with pytest.raises(Refused) as refusal:
            read(claims, now)
        assert refusal.value.codes == [code]

    def test_an_answer_is_an_object_of_lists(self) -> None:
        assert parse_response_form(response_form({"warranty": ["a~"]}, "s")) == {
            "warranty": ("a~",)
        }
        for bad in ('{"warranty":"a~"}', '{"warranty":[]}', '{"warranty":[1]}', "[]", "a~"):
            with pytest.raises(Malformed):
                parse_response_form({"vp_token": bad})


class TestIssuerKeys:
    issuer = "https://audio.example/brands/auricle"

    def test_the_well_known_name_stands_before_the_path(self) -> None:
        assert (
            well_known(self.issuer, "jwt-vc-issuer")
            == "https://audio.example/.well-known/jwt-vc-issuer/brands/auricle"
        )
        assert well_known("https://a.example/", "x") == "https://a.example/.well-known/x"
        with pytest.raises(Malformed):
            well_known("https://a.example/?x=1", "x")
        with pytest.raises(Malformed):
            well_known("https://[", "x")

    def serve(self, document: JsonObject, status: int = 200) -> MemoryFetcher:
        fetcher = MemoryFetcher()
        body = compact_json(document)
        fetcher.serve(
            "https://audio.example",
            lambda _m, _p, _h, _b: Response(status, "application/json", body),
        )
        return fetcher

    def test_fetches_keys_by_thumbprint_and_skips_kinds_it_does_not_speak(self) -> None:
        document = issuer_keys_document(self.issuer, [SHOP.public])
        jwks = document["jwks"]
        assert isinstance(jwks, dict)
        keys = jwks["keys"]
        assert isinstance(keys, list)
        keys.append({"kty": "OKP", "crv": "Ed25519", "x": "AA"})

        found = fetch_issuer_keys(self.serve(document), self.issuer)

        assert found == {SHOP.public.thumbprint(): SHOP.public}

    def test_a_key_for_encryption_signs_nothing(self) -> None:
        encrypting: JsonObject = {**HOLDER.public.jwk(), "kid": "enc"}
        for marked in ({"use": "enc"}, {"alg": "ECDH-ES"}):
            document = issuer_keys_document(self.issuer, [SHOP.public])
            keys = list_at(object_at(document, "jwks", ""), "keys", "")
            keys.append({**encrypting, **marked})

            found = fetch_issuer_keys(self.serve(document), self.issuer)

            assert found == {SHOP.public.thumbprint(): SHOP.public}

    def test_one_name_for_two_keys_is_malformed(self) -> None:
        document = issuer_keys_document(self.issuer, [SHOP.public])
        keys = list_at(object_at(document, "jwks", ""), "keys", "")
        keys.append({**HOLDER.public.jwk(), "kid": SHOP.public.thumbprint()})

        with pytest.raises(Malformed, match="each kid once"):
            fetch_issuer_keys(self.serve(document), self.issuer)

    def test_an_unnamed_key_is_the_only_one_or_none(self) -> None:
        one = {"1": SHOP.public}

        assert issuer_key_named(one, None) == SHOP.public
        assert issuer_key_named(one, "2") is None
        assert issuer_key_named({**one, "2": HOLDER.public}, None) is None

    def test_believes_no_document_of_another_issuer(self) -> None:
        document = issuer_keys_document("https://audio.example", [SHOP.public])

        with pytest.raises(Malformed, match="the issuer that was asked"):
            fetch_issuer_keys(self.serve(document), self.issuer)

    def test_a_missing_document_is_unavailable_and_no_answer(self) -> None:
        with pytest.raises(Unavailable):
            fetch_issuer_keys(self.serve({}, status=404), self.issuer)
