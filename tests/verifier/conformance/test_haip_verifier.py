"""What OpenID4VC HAIP 1.0 demands of a verifier: a test for each MUST, under its section.

The flow is the one with redirects (section 5.1) and SD-JWT VC (section 6.1). The wallet and
the issuer have nothing of ours; the shop is a strict one, behind its HTTP service.
"""

import base64
import json
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from counterfoil_credentials.client_ids import ClientTrust
from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_credentials.fetch import Response as Fetched
from counterfoil_credentials.key_discovery import CertifiedIssuers
from counterfoil_credentials.requests import read_request
from counterfoil_service.sealing import Seal
from counterfoil_verifier import WARRANTY, Counter, Shop, Statuses
from counterfoil_verifier.app import create_app
from counterfoil_verifier.requesting import Way
from counterfoil_verifier.shop_folder import ShopFolder
from counterfoil_verifier.shop_service import open_shop, verifier_for
from counterfoil_verifier.store import MemoryStore
from counterfoil_verifier.trust_certified import CertificateTrust
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi.testclient import TestClient
from httpx2 import Response

from tests.conftest import Clock
from tests.credentials.authority import (
    Party,
    anchors,
    authority,
    key_id,
    named_by,
    names,
    usage,
)
from tests.issuer.conformance.emulated_wallet import JWK
from tests.verifier.certificates import HASH, papers
from tests.verifier.conformance.emulated_wallet import (
    GOOD,
    ISSUER,
    LIST,
    TYPE,
    EmulatedIssuer,
    EmulatedWallet,
    Variant,
    response_code,
)

KEY = {"Authorization": "Bearer of-the-counter"}
NAMED = names(x509.DNSName("suite.example"))
SIGNS = (usage(signs=True), NAMED, named_by(b"trade"))
TRADE = Party("Trade", extensions=(*authority(), key_id(b"trade")))
CRAFTS = Party("Crafts", extensions=(*authority(), key_id(b"crafts")))
BRAND = Party("Suite", by=TRADE, extensions=SIGNS)


@dataclass(frozen=True)
class Strict:
    """A strict shop, and a wallet with what `issuer` gives it."""

    http: TestClient
    issuer: EmulatedIssuer
    wallet: EmulatedWallet
    shop: Shop

    def ask(self, **more: object) -> dict[str, Any]:
        body = {"preset": "warranty", **more}
        answer = self.http.post("/counter/requests", json=body, headers=KEY)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def token(self, asked: dict[str, Any]) -> str:
        return self.http.get(urlsplit(given_in(asked)["request_uri"]).path).text

    def look(self, asked: dict[str, Any], **more: str) -> dict[str, Any]:
        url = f"/counter/requests/{asked['id']}"
        return dict(self.http.get(url, params=more, headers=KEY).json())

    def certify(self, party: Party, *above: Party) -> None:
        """Let the issuer sign with this party's key, and send this chain everywhere."""
        self.issuer.key = JWK.from_pyca(party.key)
        self.issuer.chain = [one.x5c for one in (party, *above)]
        self.issuer.list_chain = self.issuer.chain

    def answered(self, variant: Variant = GOOD) -> tuple[dict[str, Any], Response]:
        asked = self.ask()
        answer = self.wallet.answer(self.wallet.request(asked["link"]), variant)
        return asked, answer

    def codes(self, variant: Variant = GOOD) -> list[str]:
        asked, answer = self.answered(variant)
        assert answer.status_code == 400, answer.text
        look = self.look(asked)
        assert look["light"] == "red"
        return [reason["code"] for reason in look["reasons"]]


Open = Callable[..., Strict]


@pytest.fixture
def opens(clock: Clock, random_bytes: Callable[[int], bytes]) -> Generator[Open, None, None]:
    """Give what opens a strict shop that trusts both authorities and asks under `under`."""
    opened: list[TestClient] = []

    def open_one(*under: Party, way: Way = Way.GET) -> Strict:
        certificate = papers()
        issuer = EmulatedIssuer(clock)
        trusted = CertifiedIssuers(anchors=anchors(TRADE, CRAFTS), urls={ISSUER}, subjects=())
        preset = WARRANTY.accepting([TYPE])
        counter = Counter(
            shop=Shop(
                name="Corner Shop",
                origin="https://till.example",
                signer=certificate.signer,
                identity=certificate.identity(HASH),
                way=way,
                seal=Seal(bytes(range(32)), "response keys"),
                return_to="https://shop.example/thanks",
                is_strict=True,
            ),
            presets=[preset.under(anchors(*under)) if under else preset],
            trust=CertificateTrust({TYPE: trusted}),
            statuses=Statuses(issuer),
            store=MemoryStore(),
            random=random_bytes,
            clock=clock,
        )
        http = TestClient(create_app(counter, counter_key="of-the-counter"))
        opened.append(http)
        shop = Strict(http.__enter__(), issuer, EmulatedWallet(http, issuer), counter.shop)
        shop.certify(BRAND)
        return shop

    yield open_one
    for http in opened:
        http.__exit__(None, None, None)


def given_in(asked: dict[str, Any]) -> dict[str, str]:
    """Give the parameters of a link."""
    link: str = asked["link"]
    return dict(parse_qsl(urlsplit(link).query))


def payload(token: str) -> dict[str, Any]:
    return dict(json.loads(_bytes(token.split(".")[1])))


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class TestSection5:
    """OpenID for Verifiable Presentations, whatever the flow."""

    def test_a_certified_credential_turns_the_light_green(self, opens: Open) -> None:
        shop = opens(TRADE)

        asked, answer = shop.answered()

        assert answer.status_code == 200, answer.text
        assert shop.look(asked)["light"] == "green"

    def test_the_response_type_is_vp_token_and_the_query_is_dcql(self, opens: Open) -> None:
        shop = opens()

        request = payload(shop.token(shop.ask()))

        assert request["response_type"] == "vp_token"
        assert request["dcql_query"]["credentials"][0]["id"] == "warranty"
        assert not {"presentation_definition", "scope"} & request.keys()

    def test_the_request_is_signed_by_the_certificate_that_the_client_id_hashes(
        self, opens: Open
    ) -> None:
        shop = opens()
        asked = shop.ask()

        # The emulated wallet checks hash and signature for itself.
        request = shop.wallet.request(asked["link"])

        assert request["client_id"].startswith("x509_hash:")
        header = json.loads(_bytes(shop.token(asked).split(".")[0]))
        assert (header["typ"], header["alg"]) == ("oauth-authz-req+jwt", "ES256")
        chain = [x509.load_der_x509_certificate(base64.b64decode(one)) for one in header["x5c"]]
        # Neither the anchor nor a certificate that signs itself.
        assert all(one.issuer != one.subject for one in chain)

    def test_the_wallet_may_take_either_cipher_and_is_told_of_both(self, opens: Open) -> None:
        shop = opens()

        for encryption in ("A128GCM", "A256GCM"):
            shop.wallet.encryption = encryption
            asked, answer = shop.answered()
            assert answer.status_code == 200, answer.text
            assert shop.look(asked)["light"] == "green"
        metadata = payload(shop.token(shop.ask()))["client_metadata"]
        listed = metadata["encrypted_response_enc_values_supported"]
        assert set(listed) == {"A128GCM", "A256GCM"}

    def test_each_request_has_an_encryption_key_of_its_own(self, opens: Open) -> None:
        shop = opens()
        keys: list[dict[str, Any]] = []
        for _ in range(3):
            (key,) = payload(shop.token(shop.ask()))["client_metadata"]["jwks"]["keys"]
            keys.append(key)

        assert len({key["x"] for key in keys}) == len({key["kid"] for key in keys}) == 3
        for key in keys:
            assert (key["kty"], key["crv"], key["alg"], key["use"]) == (
                *("EC", "P-256"),
                *("ECDH-ES", "enc"),
            )

    def test_an_answer_to_the_key_of_another_request_opens_nothing(self, opens: Open) -> None:
        shop = opens()
        asked, other = shop.ask(), shop.ask()
        request = shop.wallet.request(asked["link"])
        wrong = shop.wallet.request(other["link"])["client_metadata"]

        answer = shop.wallet.answer({**request, "client_metadata": wrong})

        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
        assert shop.look(asked)["state"] == "waiting"

    def test_an_answer_in_the_open_is_none(self, opens: Open) -> None:
        shop = opens()
        asked = shop.ask()
        request = shop.wallet.request(asked["link"])

        answer = shop.wallet.answer({**request, "response_mode": "direct_post"})

        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
        assert shop.look(asked)["state"] == "waiting"

    def test_authorities_are_asked_for_by_their_key_identifiers(self, opens: Open) -> None:
        shop = opens(TRADE, CRAFTS)

        (query,) = payload(shop.token(shop.ask()))["dcql_query"]["credentials"]

        assert query["trusted_authorities"] == [
            {"type": "aki", "values": [b64url(b"trade"), b64url(b"crafts")]}
        ]

    def test_an_issuer_under_another_authority_is_refused_whatever_the_wallet_says(
        self, opens: Open
    ) -> None:
        shop = opens(CRAFTS)
        assert shop.codes() == ["authority-not-asked-for"]

        shop.certify(Party("Suite", by=CRAFTS, extensions=(usage(signs=True), NAMED)))
        assert shop.codes() == ["authority-not-asked-for"]
        shop.certify(Party("Suite", by=TRADE, extensions=(*SIGNS[:2], named_by(b"crafts"))))
        assert shop.codes() == ["authority-not-asked-for"]


class TestSection51:
    """With redirects: by reference, encrypted, and back to the browser that began."""

    @pytest.mark.parametrize("way", [Way.GET, Way.POST])
    def test_the_request_is_fetched(self, opens: Open, way: Way) -> None:
        shop = opens(way=way)
        asked = shop.ask()

        assert given_in(asked).keys() == {"client_id", "request_uri"} | (
            {"request_uri_method"} if way is Way.POST else set()
        )
        assert shop.wallet.request(asked["link"])["response_mode"] == "direct_post.jwt"

    def test_no_program_of_the_shop_can_ask_otherwise(self, opens: Open) -> None:
        body = {"preset": "warranty", "way": "value"}
        answer = opens().http.post("/counter/requests", json=body, headers=KEY)

        assert answer.status_code == 400
        assert "requests that wallets fetch" in answer.text

    def test_a_yes_counts_in_the_browser_that_began_and_nowhere_else(self, opens: Open) -> None:
        shop = opens()
        asked, other = (shop.ask(handback="response-code") for _ in range(2))

        answer = shop.wallet.answer(shop.wallet.request(asked["link"]))
        code = response_code(answer)

        assert answer.status_code == 200
        assert (shop.look(asked)["state"], shop.look(asked)["light"]) == ("awaited", None)
        assert shop.look(other, code=code)["light"] is None
        assert shop.look(asked, code=code)["light"] == "green"


class TestSection61:
    """SD-JWT VC: who signed, by a chain to an anchor and by nothing else."""

    def test_the_format_is_dc_sd_jwt_and_the_metadata_say_the_algorithms(self, opens: Open) -> None:
        shop = opens()

        request = payload(shop.token(shop.ask()))

        (query,) = request["dcql_query"]["credentials"]
        assert query["format"] == "dc+sd-jwt"
        assert request["client_metadata"]["vp_formats_supported"] == {
            "dc+sd-jwt": {"sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"]}
        }

    @pytest.mark.parametrize(
        ("chain", "code"),
        [
            ([BRAND, TRADE], "certificate-anchor-in-chain"),
            ([Party("Suite", extensions=SIGNS)], "certificate-self-signed"),
            ([Party("Suite", by=Party("Trade", extensions=authority()))], "certificate-untrusted"),
        ],
        ids=["the anchor along", "self-signed", "another anchor of that name"],
    )
    def test_a_chain_that_is_not_as_it_must_be_is_refused(
        self, opens: Open, chain: Sequence[Party], code: str
    ) -> None:
        shop = opens()
        shop.certify(*chain)

        assert shop.codes() == [code]

    def test_a_credential_without_a_chain_is_refused(self, opens: Open) -> None:
        shop = opens()
        shop.issuer.chain = []

        assert shop.codes() == ["issuer-certificate-missing"]

    @pytest.mark.parametrize(
        ("chain", "code"),
        [
            ([], "issuer-certificate-missing"),
            ([BRAND, TRADE], "certificate-anchor-in-chain"),
            ([Party("Suite", key=BRAND.key, extensions=SIGNS)], "certificate-self-signed"),
        ],
        ids=["no chain", "the anchor along", "self-signed"],
    )
    def test_a_status_list_brings_a_chain_of_its_own(
        self, opens: Open, chain: Sequence[Party], code: str
    ) -> None:
        shop = opens()
        shop.issuer.list_chain = [one.x5c for one in chain]

        assert shop.codes() == [f"status-list-{code}"]

    def test_a_bound_credential_is_shown_with_its_holders_proof(self, opens: Open) -> None:
        assert opens().codes(Variant(leaves_binding_out=True)) == ["key-binding-missing"]


def test_the_settings_of_a_folder_make_a_strict_shop(tmp_path: Path, clock: Clock) -> None:
    issuer = EmulatedIssuer(clock)
    issuer.key, issuer.chain = JWK.from_pyca(BRAND.key), [BRAND.x5c]
    issuer.list_chain = issuer.chain
    folder = ShopFolder(tmp_path / "corner")
    folder.make()
    settings = {
        "name": "Corner Shop",
        "public_url": "https://till.example",
        "trusts": {ISSUER: {"warranty": [TYPE]}},
        "anchors": {ISSUER: "trade.pem"},
        "client_id": "x509_hash",
        "certificates": "certificates.pem",
        "encrypted_answers": True,
        "strict": True,
        "return_to": "https://shop.example/thanks",
    }
    (folder.path / "shop.json").write_text(json.dumps(settings))
    (folder.path / "trade.pem").write_bytes(TRADE.certificate.public_bytes(Encoding.PEM))
    (folder.path / "certificates.pem").write_bytes(papers(signer=folder.signer()).pem)
    preset = folder.path / "presets" / "warranty.json"
    preset.write_text(json.dumps({**json.loads(preset.read_text()), "authorities": "trade.pem"}))
    network = MemoryFetcher()

    def lists(_: str, __: str, ___: object, ____: bytes) -> Fetched:
        return Fetched(200, "application/statuslist+jwt", issuer.fetch(LIST).encode())

    network.serve(ISSUER, lists)
    with (
        open_shop(folder, folder.url(), fetcher=network, clock=clock) as shop,
        TestClient(create_app(shop.counter, counter_key="of-the-counter")) as http,
    ):
        strict = Strict(http, issuer, EmulatedWallet(http, issuer), shop.counter.shop)
        asked, answer = strict.answered()
        assert answer.status_code == 200, answer.text
        assert strict.look(asked)["light"] == "green"
        # A saved answer is judged as the till judges it.
        token, known = strict.token(strict.ask()), ClientTrust(known=[shop.counter.shop.client_id])
        request = read_request(
            token, client_id=shop.counter.shop.client_id, now=clock(), trust=known
        )
        shown = {"warranty": (strict.wallet.presentation(payload(token)),)}
        saved = verifier_for(folder, "warranty", network, None)
        assert saved.verify(shown, request, now=clock()).claims["warranty"]
        issuer.list_chain = []
        with pytest.raises(Refused) as refused:
            verifier_for(folder, "warranty", network, None).verify(shown, request, now=clock())
        assert refused.value.codes == ["status-list-issuer-certificate-missing"]
        issuer.chain = []
        assert strict.codes() == ["issuer-certificate-missing"]


def test_a_proof_by_p_256_and_digests_by_sha_256_are_taken(opens: Open) -> None:
    """Sections 7 and 8: the emulated issuer and wallet sign by ES256 and hash by SHA-256."""
    shop = opens()
    token, _ = shop.issuer.credential(shop.wallet.holder, {})
    header, claims = (json.loads(_bytes(part)) for part in token.split(".")[:2])
    assert (header["alg"], claims["_sd_alg"]) == ("ES256", "sha-256")

    asked, answer = shop.answered()

    assert answer.status_code == 200
    assert shop.look(asked)["facts"]["valid_until"] == "2099-12-31"
