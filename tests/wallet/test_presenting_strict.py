"""Our wallet before our strict shop: what OpenID4VC HAIP 1.0 demands of the two, end to end.

Issuer, shop and wallet speak over the in-memory network. Two authorities certify the brand,
each for another card.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
from counterfoil_credentials.dcql import AuthorityQuery, CredentialQuery, DcqlQuery
from counterfoil_credentials.encoding import Json, JsonObject, b64url, from_b64url
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.jose import ContentEncryption, DecryptionKey
from counterfoil_credentials.key_discovery import CertifiedIssuers
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.requests import ResponseEncryption
from counterfoil_credentials.sdjwt_vc import StatusReference
from counterfoil_service.sealing import Seal
from counterfoil_verifier import WARRANTY, Counter, Light, MemoryStore, Shop, Statuses
from counterfoil_verifier.app import create_app
from counterfoil_verifier.requesting import Handback
from counterfoil_verifier.trust_certified import CertificateTrust
from counterfoil_wallet import Standing, Trust, Wallet
from cryptography import x509
from fastapi.testclient import TestClient

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
from tests.verifier.certificates import HASH, HOST, Papers, papers
from tests.verifier.scene import INDEX, LIST_URL, Brand
from tests.wallet.strangers import BRAND, SHOP, TYPE, StrangeIssuer, StrangeShop
from tests.wallet.town import handler_of

SIGNS = (usage(signs=True), names(x509.DNSName("brand.example")))
TRADE = Party("Trade", extensions=(*authority(), key_id(b"trade")))
CRAFTS = Party("Crafts", extensions=(*authority(), key_id(b"crafts")))
BY_TRADE = Party("Brand", by=TRADE, extensions=(*SIGNS, named_by(b"trade")))
BY_CRAFTS = Party("Brand", by=CRAFTS, extensions=(*SIGNS, named_by(b"crafts")))
BY_CRAFTS_SAME_KEY = Party(
    "Brand", by=CRAFTS, key=BY_TRADE.key, extensions=(*SIGNS, named_by(b"crafts"))
)


CLAIMS: JsonObject = {
    "item": {"name": "Auricle One", "serial": "A1-0001"},
    "valid_until": "2099-12-31",
}


def signer_of(party: Party) -> MemorySigner:
    return MemorySigner(party.key)  # type: ignore[arg-type]  # an EC key


@dataclass
class Street:
    """A brand with two certificates, a shop, and a wallet with a card by each."""

    clock: Clock
    random: Callable[[int], bytes]
    network: MemoryFetcher = field(default_factory=MemoryFetcher)
    certificate: Papers = field(default_factory=papers)

    def wallet(self, *by: Party) -> Wallet:
        """Give a wallet with a card signed by each of these, which trusts the shop's authority."""
        trust = Trust(anchors=anchors(self.certificate.root))
        wallet = Wallet.in_memory(fetcher=self.network, clock=self.clock, trust=trust)
        for party in by:
            chain: list[Json] = [party.x5c]
            issuer = StrangeIssuer(
                self.network,
                self.clock,
                self.random,
                signer=signer_of(party),
                code=party.x5c[-40:],
                claims=CLAIMS,
                concealed=(("item", "serial"), ("valid_until",)),
                status=StatusReference(LIST_URL, INDEX),
                header={"x5c": chain},
            )
            wallet.accept(issuer.link)
        return wallet

    def counter(self, *under: Party, is_strict: bool = True) -> Counter:
        """Open a shop that trusts both authorities, and asks under `under`."""
        brand = Brand(self.clock)
        brand.list_signer = signer_of(BY_TRADE)
        brand.list_chain.append(BY_TRADE.x5c)
        trusted = CertifiedIssuers(anchors=anchors(TRADE, CRAFTS), urls={BRAND}, subjects=())
        preset = WARRANTY.accepting([TYPE])
        counter = Counter(
            shop=Shop(
                name="Corner Shop",
                origin=f"https://{HOST}",
                signer=self.certificate.signer,
                identity=self.certificate.identity(HASH),
                seal=Seal(bytes(range(32)), "response keys"),
                return_to="https://shop.example/done",
                is_strict=is_strict,
            ),
            presets=[preset.under(anchors(*under)) if under else preset],
            trust=CertificateTrust({TYPE: trusted}),
            statuses=Statuses(brand),
            store=MemoryStore(),
            random=self.random,
            clock=self.clock,
        )
        app = create_app(counter, counter_key="key")
        self.network.serve(counter.shop.origin, handler_of(TestClient(app)))
        return counter


@pytest.fixture
def street(clock: Clock, random_bytes: Callable[[int], bytes]) -> Street:
    return Street(clock, random_bytes)


def test_the_wallet_answers_a_strict_shop_and_comes_back_to_it(street: Street) -> None:
    counter, wallet = street.counter(TRADE), street.wallet(BY_TRADE)
    asked = counter.ask("warranty", handback=Handback.RESPONSE_CODE)

    matches = wallet.matches(asked.link)
    presented = wallet.present(matches.choose())

    assert matches.asker.standing is Standing.CERTIFIED
    assert presented.redirect_uri is not None
    assert counter.look(asked.session_id).light is None
    code = presented.redirect_uri.partition("response_code=")[2]
    assert counter.look(asked.session_id, code=code).light is Light.GREEN


def test_only_the_cards_under_the_authorities_asked_for_are_shown(street: Street) -> None:
    wallet = street.wallet(BY_TRADE, BY_CRAFTS)

    def fitting(*under: Party) -> int:
        link = street.counter(*under).ask("warranty").link
        return len(wallet.matches(link).answers["warranty"])

    assert fitting() == fitting(TRADE, CRAFTS) == 2
    assert fitting(TRADE) == fitting(CRAFTS) == 1
    assert fitting(Party("Guild", extensions=authority())) == 0


def test_a_copy_under_another_authority_is_not_shown_for_the_one_that_fits(
    street: Street,
) -> None:
    """A brand that changed its authority in between gives copies of one card under both."""
    wallet = street.wallet()
    issuer = MovedIssuer(
        street.network, street.clock, street.random, signer=signer_of(BY_TRADE), copies=2
    )
    wallet.accept(issuer.link)
    shops = [StrangeShop(street.network, street.clock) for _ in range(2)]
    named = (AuthorityQuery("aki", (b64url(b"trade"),)),)
    query = DcqlQuery((CredentialQuery("q", (TYPE,), (), trusted_authorities=named),))

    shown: list[int] = []
    for shop in shops:
        shop.query = query
        street.network.serve(SHOP, shop.handle)
        matches = wallet.matches(shop.link)
        shown.append(len(matches.answers["q"]))
        if matches.answers["q"]:
            wallet.present(matches.choose())

    assert shown == [1, 0]


@dataclass
class MovedIssuer(StrangeIssuer):
    """A brand whose second copy has a certificate by its next authority."""

    def _credential(self, token: str) -> str:
        party = BY_CRAFTS_SAME_KEY if self.header else BY_TRADE
        chain: list[Json] = [party.x5c]
        self.header = {"x5c": chain}
        return super()._credential(token)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("etsi_tl", "https://lotl.example/list"),
        ("openid_federation", "https://anchor.example"),
        ("of-another-standard", "x"),
    ],
)
def test_an_authority_that_cannot_be_seen_is_no_answer_and_is_not_looked_up(
    street: Street, kind: str, value: str
) -> None:
    """Section 15.10 of OpenID4VP 1.0: such an address only names, and is not called."""
    wallet, shop = street.wallet(BY_TRADE), StrangeShop(street.network, street.clock)
    called: list[str] = []
    for origin in ("https://lotl.example", "https://anchor.example"):

        def listen(_: str, path: str, __: Mapping[str, str], ___: bytes) -> Response:
            called.append(path)
            return Response(200, "text/plain", b"")

        street.network.serve(origin, listen)

    def answers(*authorities: AuthorityQuery) -> int:
        shop.query = DcqlQuery(
            (CredentialQuery("q", (TYPE,), (), trusted_authorities=authorities),)
        )
        return len(wallet.matches(shop.link).answers["q"])

    unseen = AuthorityQuery(kind, (value,))
    assert answers(unseen) == 0
    assert answers(unseen, AuthorityQuery("aki", (b64url(b"trade"),))) == 1
    assert called == []


def test_a_certificate_that_nobody_else_signed_is_no_certificate(street: Street) -> None:
    street.certificate = papers(self_signed=True)
    asked = street.counter(is_strict=False).ask("warranty")

    with pytest.raises(Refused) as refused:
        street.wallet().matches(asked.link)

    assert refused.value.codes == ["certificate-self-signed"]


@pytest.mark.parametrize(
    ("listed", "taken"),
    [
        (["A128GCM", "A256GCM"], "A256GCM"),
        (["A256GCM", "A128GCM"], "A256GCM"),
        (["A128GCM"], "A128GCM"),
        (["A256GCM"], "A256GCM"),
    ],
)
def test_the_longer_key_is_taken_where_both_are_known(
    street: Street, listed: list[str], taken: str
) -> None:
    wallet, shop = street.wallet(BY_TRADE), StrangeShop(street.network, street.clock)
    key = DecryptionKey.generate("k").public
    shop.encryption = ResponseEncryption(key, tuple(map(ContentEncryption, listed)))

    wallet.present(wallet.matches(shop.link).choose())

    (form,) = shop.forms
    header = json.loads(from_b64url(form["response"][0].partition(".")[0], "header"))
    assert (header["alg"], header["enc"], header["kid"]) == ("ECDH-ES", taken, "k")
