"""A stranger's verifier asks our wallet in every mode that it has."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from counterfoil_credentials.encoding import Json, JsonObject, b64url, text_at
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.fetch import GuardedFetcher
from counterfoil_wallet import Standing, Trust, Wallet
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from tests.credentials.authority import Party, anchors, authority, names, usage
from tests.interop.node import require_strangers, stranger
from tests.interop.services import get_json, post_json

pytestmark = [pytest.mark.loopback, pytest.mark.once]

DAY = timedelta(days=1)
CLAIMS: list[Json] = [["item", "name"], ["valid_until"]]
SHOWN: JsonObject = {"item": {"name": "Stranger One"}, "valid_until": "2099-12-31"}
PREFIXES = {
    "decentralized_identifier": Standing.KEY_ONLY,
    "x509_hash": Standing.CERTIFIED,
    "x509_san_dns": Standing.CERTIFIED,
}
RESPONSES = ("direct_post", "direct_post.jwt")


class Authority:
    """Certifies the verifier's key, in the time of this machine's clock."""

    def __init__(self) -> None:
        start, end = (datetime.now(UTC) + away for away in (-DAY, DAY))
        self.root = Party("root", extensions=authority(), starts_at=start, ends_at=end)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.leaf = Party(
            "shop",
            by=self.root,
            key=self.key,
            extensions=(usage(signs=True), names(x509.DNSName("localhost"))),
            starts_at=start,
            ends_at=end,
        )

    def jwk(self) -> JsonObject:
        private = self.key.private_numbers()
        public = private.public_numbers
        numbers = {"x": public.x, "y": public.y, "d": private.private_value}
        parts: JsonObject = {name: b64url(n.to_bytes(32)) for name, n in numbers.items()}
        return {"kty": "EC", "crv": "P-256", **parts}


@dataclass(frozen=True)
class Scene:
    """The stranger's issuer and verifier, and a wallet of ours that holds a warranty."""

    verifier: str
    issuer: str
    authority: Authority
    wallet: Wallet

    def ask(self, mode: JsonObject, flaw: str | None = None) -> tuple[str, str]:
        url = f"{self.verifier}/requests"
        if str(mode["prefix"]).startswith("x509"):
            mode = {**mode, "key": self.authority.jwk(), "x5c": [self.authority.leaf.x5c]}
        body: JsonObject = {
            "issuer": self.issuer,
            "vct": f"{self.issuer}/types/warranty",
            "claims": CLAIMS,
            "mode": mode,
        }
        asked = post_json(url, body if flaw is None else {**body, "flaw": flaw})
        return text_at(asked, "id", url), text_at(asked, "link", url)

    def result(self, request_id: str) -> JsonObject:
        return get_json(f"{self.verifier}/results/{request_id}")


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    require_strangers()
    with stranger("issuer.mjs") as issuer, stranger("verifier.mjs") as verifier:
        certifier = Authority()
        routes = {address: address for address in (issuer, verifier)}
        routes[verifier.replace("127.0.0.1", "localhost")] = verifier
        wallet = Wallet.in_memory(
            fetcher=GuardedFetcher(loopback_routes_unsafely=routes),
            trust=Trust(anchors=anchors(certifier.root)),
        )
        offer = post_json(f"{issuer}/offers", {})
        wallet.accept(text_at(offer, "link", ""), tx_code=text_at(offer, "tx_code", ""))
        yield Scene(verifier, f"{issuer}/brand", certifier, wallet)


@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize("request_", ["get", "post"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_signed_request_is_answered(
    scene: Scene, prefix: str, request_: str, response: str
) -> None:
    request_id, link = scene.ask({"prefix": prefix, "request": request_, "response": response})

    asked = scene.wallet.matches(link)
    scene.wallet.present(asked.choose(reuse_that_links=True))

    assert asked.asker.standing is PREFIXES[prefix]
    assert scene.result(request_id) == {"state": "accepted", "claims": SHOWN}


@pytest.mark.parametrize("response", RESPONSES)
def test_a_request_in_the_open_is_answered_at_the_address_that_it_is(
    scene: Scene, response: str
) -> None:
    mode: JsonObject = {"prefix": "redirect_uri", "request": "link", "response": response}
    request_id, link = scene.ask(mode)

    asked = scene.wallet.matches(link)
    scene.wallet.present(asked.choose(reuse_that_links=True))

    assert asked.asker.standing is Standing.UNPROVED
    assert scene.result(request_id) == {"state": "accepted", "claims": SHOWN}


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    ("flaw", "code"),
    [("signature", "signature-invalid"), ("wallet_nonce", "wallet-nonce-mismatch")],
)
def test_a_request_with_a_flaw_is_refused(scene: Scene, prefix: str, flaw: str, code: str) -> None:
    request_id, link = scene.ask({"prefix": prefix, "request": "post"}, flaw)

    with pytest.raises(Refused) as refusal:
        scene.wallet.matches(link)

    assert refusal.value.codes == [code]
    assert scene.result(request_id) == {"state": "waiting"}


def test_a_certificate_of_nobody_we_trust_is_refused(scene: Scene) -> None:
    stranger_to_us = Scene(scene.verifier, scene.issuer, Authority(), scene.wallet)

    for prefix in ("x509_hash", "x509_san_dns"):
        _, link = stranger_to_us.ask({"prefix": prefix, "request": "get"})
        with pytest.raises(Refused) as refusal:
            scene.wallet.matches(link)
        assert refusal.value.codes == ["certificate-untrusted"]
