"""Who asks: each prefix proves what it says, and nothing one name away."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256

import pytest
from counterfoil_credentials.client_ids import (
    Client,
    ClientProof,
    ClientTrust,
    parse_client_id,
    signing_client,
    unsigned_client,
)
from counterfoil_credentials.did_methods import resolver
from counterfoil_credentials.did_web import DatedKey, did_web, did_web_document, did_web_url
from counterfoil_credentials.dids import Did, did_jwk, did_key, key_id_of
from counterfoil_credentials.encoding import JsonObject, b64url, compact_json
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.keys import MemorySigner
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.credentials.authority import (
    DAY,
    NOON,
    Party,
    anchors,
    authority,
    header,
    names,
    purposes,
    usage,
)

ROOT = Party("root", extensions=authority())
SHOP = Party(
    "The Shop",
    by=ROOT,
    extensions=(usage(signs=True), names(x509.DNSName("shop.example"))),
)
TRUST = ClientTrust(anchors=anchors(ROOT))
KEY = MemorySigner.from_private_bytes(b"\x07" * 32)
WEB = did_web("shop.example")


def client_of(
    client_id: str, given: JsonObject, trust: ClientTrust = TRUST, now: datetime = NOON
) -> Client:
    return signing_client(parse_client_id(client_id), given, trust, now=now)[0]


def refused(client_id: str, given: JsonObject, trust: ClientTrust = TRUST) -> list[str]:
    with pytest.raises(Refused) as refusal:
        client_of(client_id, given, trust)
    return refusal.value.codes


def hash_of(party: Party) -> str:
    leaf = party.certificate.public_bytes(Encoding.DER)
    return f"x509_hash:{b64url(sha256(leaf).digest())}"


@pytest.mark.parametrize(
    "text",
    ["", "shop", "origin:https://shop.example", "openid_federation:https://shop.example",
     "verifier_attestation:shop", "https://shop.example", "X509_HASH:a", " redirect_uri:a"],
)  # fmt: skip
def test_a_prefix_that_proves_nothing_here_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse_client_id(text)
    assert refusal.value.codes == ["client-id-prefix-unknown"]


def test_a_prefix_alone_names_nobody() -> None:
    with pytest.raises(Malformed):
        parse_client_id("redirect_uri:")


class TestCertificates:
    def test_a_host_name_is_proved_by_a_chain_to_an_anchor(self) -> None:
        client = client_of("x509_san_dns:shop.example", header(SHOP))

        assert (client.proof, client.name) == (ClientProof.CERTIFICATE, "shop.example")

    def test_a_certificate_is_proved_by_its_hash_and_the_chain(self) -> None:
        client = client_of(hash_of(SHOP), header(SHOP))

        assert (client.proof, client.name) == (ClientProof.CERTIFICATE, "CN=The Shop")

    @pytest.mark.parametrize(
        "host", ["example", "other.example", "a.shop.example", "shop.example."]
    )
    def test_another_host_name_is_another_client(self, host: str) -> None:
        assert refused(f"x509_san_dns:{host}", header(SHOP)) == ["client-id-mismatch"]

    def test_another_certificate_is_another_client(self) -> None:
        other = Party("The Shop", by=ROOT, extensions=(usage(signs=True),))

        assert refused(hash_of(SHOP), header(other)) == ["client-id-mismatch"]

    @pytest.mark.parametrize("client_id", ["x509_san_dns:shop.example", hash_of(SHOP)])
    def test_a_chain_to_nobody_is_refused(self, client_id: str) -> None:
        stranger = Party("root", extensions=authority())

        for trust in (ClientTrust(), ClientTrust(anchors=anchors(stranger))):
            assert refused(client_id, header(SHOP), trust) == ["certificate-untrusted"]

    def test_a_certificate_that_is_known_needs_no_anchor_and_a_host_name_does(self) -> None:
        alone = Party("alone", extensions=(usage(signs=True), names(x509.DNSName("shop.example"))))
        named = "x509_san_dns:shop.example"
        trust = ClientTrust(known=frozenset({hash_of(alone), named}))

        assert client_of(hash_of(alone), header(alone), trust).is_known
        assert refused(named, header(alone), trust) == ["certificate-untrusted"]
        assert refused(hash_of(SHOP), header(SHOP), trust) == ["certificate-untrusted"]

    @pytest.mark.parametrize("now", [NOON - 2 * DAY, NOON + 2 * DAY])
    def test_a_known_certificate_is_good_in_its_time_alone(self, now: datetime) -> None:
        trust = ClientTrust(known=frozenset({hash_of(SHOP)}))

        with pytest.raises(Refused) as refusal:
            client_of(hash_of(SHOP), header(SHOP), trust, now)
        assert refusal.value.codes == ["certificate-expired"]

    def test_a_certificate_for_another_purpose_is_refused(self) -> None:
        def party(purpose: str) -> Party:
            return Party("p", by=ROOT, extensions=(usage(signs=True), purposes(purpose)))

        reader, mailer = party("1.0.18013.5.1.6"), party("1.3.6.1.5.5.7.3.4")

        assert client_of(hash_of(reader), header(reader)).proof is ClientProof.CERTIFICATE
        assert refused(hash_of(mailer), header(mailer)) == ["certificate-not-for-this"]

    @pytest.mark.parametrize("given", [{}, {"x5c": []}, {"x5c": ["AA=="]}, {"kid": "1"}], ids=str)
    def test_without_certificates_there_is_nothing_to_prove_it(self, given: JsonObject) -> None:
        with pytest.raises(Malformed):
            client_of(hash_of(SHOP), given)


class TestAddresses:
    client_id = "redirect_uri:https://shop.example/answers"

    def test_an_unsigned_request_is_answered_at_the_client_id_alone(self) -> None:
        client = unsigned_client(parse_client_id(self.client_id), TRUST)

        assert client.proof is ClientProof.NOTHING
        assert client.may_be_answered_at("https://shop.example/answers")
        for url in ("https://shop.example/answers/", "https://other.example/answers"):
            assert not client.may_be_answered_at(url)

    def test_a_signature_there_proves_nothing_and_is_refused(self) -> None:
        assert refused(self.client_id, header(SHOP)) == ["request-signed"]

    @pytest.mark.parametrize(
        "client_id", ["x509_san_dns:shop.example", f"decentralized_identifier:{WEB}"]
    )
    def test_every_other_prefix_demands_a_signature(self, client_id: str) -> None:
        with pytest.raises(Refused) as refusal:
            unsigned_client(parse_client_id(client_id), TRUST)
        assert refusal.value.codes == ["request-not-signed"]

    def test_a_host_name_is_answered_at_itself_unless_the_client_is_known(self) -> None:
        named = "x509_san_dns:shop.example"
        stranger = client_of(named, header(SHOP))
        known = client_of(named, header(SHOP), ClientTrust(anchors=TRUST.anchors, known={named}))

        assert stranger.may_be_answered_at("https://shop.example:8443/x")
        for url in ("https://a.shop.example/", "https://other.example/", "https://[", ""):
            assert not stranger.may_be_answered_at(url)
            assert known.may_be_answered_at(url)


class TestDecentralizedIdentifiers:
    def test_a_key_that_is_its_own_name(self) -> None:
        for did in (did_jwk(KEY.public), did_key(KEY.public)):
            client = client_of(f"decentralized_identifier:{did}", {"kid": key_id_of(did)})
            assert (client.proof, client.name) == (ClientProof.KEY, None)

    @pytest.mark.parametrize(
        "given", [{}, {"kid": 1}, {"kid": "#0"}, {"kid": key_id_of(did_key(KEY.public))}]
    )
    def test_the_header_names_the_key(self, given: JsonObject) -> None:
        client_id = f"decentralized_identifier:{did_jwk(KEY.public)}"

        assert refused(client_id, given) == ["client-id-mismatch"]

    def web(self, body: bytes | None = None, did: Did = WEB) -> ClientTrust:
        document = did_web_document(did, [DatedKey(KEY.public)])
        served = compact_json(document) if body is None else body

        def answer(_method: str, _path: str, _headers: Mapping[str, str], _body: bytes) -> Response:
            return Response(200, "application/did+json", served)

        network = MemoryFetcher()
        network.serve("/".join(did_web_url(did).split("/")[:3]), answer)
        return ClientTrust(resolver=resolver(network))

    def test_a_domain_publishes_its_keys(self) -> None:
        key_id = f"{WEB}#{KEY.public.thumbprint()}"

        client, key = signing_client(
            parse_client_id(f"decentralized_identifier:{WEB}"),
            {"kid": key_id},
            self.web(),
            now=NOON,
        )

        assert (client.proof, client.name, key) == (ClientProof.DOMAIN, "shop.example", KEY.public)

    @pytest.mark.parametrize(
        ("did", "name"),
        [
            (did_web("Bank.example"), "bank.example"),
            (did_web("bank.example", "users", "Mallory"), "bank.example/users/Mallory"),
            (did_web("bank.example", port=8443), "bank.example:8443"),
            (did_web("bank.example", "en", port=8443), "bank.example:8443/en"),
        ],
    )
    def test_a_path_does_not_speak_for_its_host(self, did: Did, name: str) -> None:
        client, _ = signing_client(
            parse_client_id(f"decentralized_identifier:{did}"),
            {"kid": f"{did}#{KEY.public.thumbprint()}"},
            self.web(did=did),
            now=NOON,
        )

        assert client.name == name

    def test_a_key_that_the_domain_does_not_publish_is_refused(self) -> None:
        client_id = f"decentralized_identifier:{WEB}"

        for key_id, code in (
            (f"{WEB}#another", "verification-method-unknown"),
            (key_id_of(did_jwk(KEY.public)), "client-id-mismatch"),
        ):
            assert refused(client_id, {"kid": key_id}, self.web()) == [code]
        with pytest.raises(Malformed):
            client_of(client_id, {"kid": f"{WEB}#x"}, self.web(b"{}"))

    def test_a_domain_that_cannot_be_asked_is_unavailable_and_without_a_network_no_client(
        self,
    ) -> None:
        client_id, given = f"decentralized_identifier:{WEB}", {"kid": f"{WEB}#x"}

        with pytest.raises(Unavailable):
            client_of(client_id, {**given}, ClientTrust(resolver=resolver(MemoryFetcher())))
        with pytest.raises(Malformed):
            client_of(client_id, {**given})


def test_the_time_of_a_chain_is_the_time_of_the_request() -> None:
    with pytest.raises(Refused) as refusal:
        client_of(hash_of(SHOP), header(SHOP), now=NOON + timedelta(days=2))
    assert "certificate-expired" in refusal.value.codes
