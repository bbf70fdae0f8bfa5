"""Our verifier asks a stranger's wallet and ours in every mode, and a misbehaving one."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    compact_json,
    int_at,
    list_at,
    object_at,
    text_at,
)
from counterfoil_credentials.fetch import GuardedFetcher
from counterfoil_credentials.key_discovery import CertifiedIssuers
from counterfoil_credentials.keys import MemorySigner, PublicKey
from counterfoil_service.sealing import Seal
from counterfoil_verifier import WARRANTY, Statuses
from counterfoil_verifier.identity import Identity, OwnKey, Unproved
from counterfoil_verifier.requesting import Shop, Way
from counterfoil_verifier.trust_certified import CertificateTrust
from counterfoil_wallet import Standing, Trust, Wallet

from tests.credentials.authority import (
    DAY,
    SIGNS,
    Extension,
    Party,
    anchors,
    authority,
    key_id,
    named_by,
)
from tests.interop.node import require_strangers, stranger_s_wallet
from tests.interop.services import Brand, Till, our_issuer, our_verifier
from tests.verifier.certificates import DNS, HASH, papers
from tests.verifier.scene import ISSUER, WARRANTY_TYPE
from tests.verifier.scene import Brand as Audio

pytestmark = [pytest.mark.loopback, pytest.mark.once]

_NOW: Final = datetime.now(UTC).replace(microsecond=0)


def party(name: str, *extensions: Extension, by: Party | None = None) -> Party:
    return Party(name, by=by, extensions=extensions, starts_at=_NOW - DAY, ends_at=_NOW + DAY)


TRADE: Final = party("Trade", *authority(), key_id(b"trade"))
CRAFTS: Final = party("Crafts", *authority(), key_id(b"crafts"))
BY_TRADE: Final = party("Audio", *SIGNS, named_by(b"trade"), by=TRADE)
CHAINS: Final = {
    "by the trade": BY_TRADE,
    "by the crafts": party("Audio", *SIGNS, named_by(b"crafts"), by=CRAFTS),
    "by the crafts, posing": party("Audio", *SIGNS, named_by(b"trade"), by=CRAFTS),
    "by itself": party("Audio", *SIGNS, named_by(b"trade")),
    "none": None,
}
PREFIXES: Final = {
    "decentralized_identifier": Standing.KEY_ONLY,
    "x509_san_dns": Standing.CERTIFIED,
    "x509_hash": Standing.CERTIFIED,
    "redirect_uri": Standing.UNPROVED,
}
MODES: Final = ("direct_post", "direct_post.jwt")
SEAL: Final = Seal(bytes(range(32)), "response keys")


@dataclass
class Town:
    """Our issuer, a warranty in each wallet, and our verifier in as many variants as are asked."""

    folder: Path
    brand: Brand
    stack: ExitStack
    credential: str
    key: str
    thief: str
    tills: dict[tuple[str, str], tuple[Till, Party]] = field(
        default_factory=dict[tuple[str, str], tuple[Till, Party]]
    )

    def till(self, prefix: str, mode: str) -> Till:
        return self._opened(prefix, mode)[0]

    def _opened(self, prefix: str, mode: str) -> tuple[Till, Party]:
        if (prefix, mode) not in self.tills:
            certificate = papers("localhost", at=datetime.now(UTC).replace(microsecond=0))
            identities: dict[str, Identity] = {
                "decentralized_identifier": OwnKey(),
                "x509_san_dns": certificate.identity(DNS, "localhost"),
                "x509_hash": certificate.identity(HASH),
                "redirect_uri": Unproved(),
            }

            def make_shop(address: str) -> Shop:
                return Shop(
                    name="Corner Shop",
                    origin=address.replace("127.0.0.1", "localhost"),
                    signer=certificate.signer,
                    identity=identities[prefix],
                    seal=SEAL if mode == "direct_post.jwt" else None,
                )

            folder = self.folder / f"{prefix} {mode}"
            folder.mkdir()
            till = self.stack.enter_context(our_verifier(folder, self.brand, make_shop))
            self.tills[prefix, mode] = till, certificate.root
        return self.tills[prefix, mode]

    def wallet(self, prefix: str, mode: str) -> Wallet:
        """Give a wallet of ours with a warranty, which trusts who certified the shop."""
        till, root = self._opened(prefix, mode)
        origin = "/".join(self.brand.url.split("/")[:3])
        routes = {origin: origin, till.url.replace("127.0.0.1", "localhost"): till.url}
        wallet = Wallet.in_memory(
            fetcher=GuardedFetcher(loopback_routes_unsafely=routes),
            trust=Trust(anchors=anchors(root)),
        )
        offer = self.brand.offer(self.brand.order())
        wallet.accept(offer.link, tx_code=offer.tx_code)
        return wallet

    def present(
        self,
        link: str,
        *misbehaviour: str,
        key: str | None = None,
        credential: str | None = None,
    ) -> JsonObject:
        """Let the stranger's wallet answer."""
        shown = credential or self.credential
        return stranger_s_wallet("present", link, shown, key or self.key, *misbehaviour)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    require_strangers()
    with our_issuer(tmp_path_factory.mktemp("issuer")) as brand, ExitStack() as stack:
        told, other = (stranger_s_wallet("accept", *brand.offer(brand.order())) for _ in range(2))
        warranty = object_at(object_at(told, "credentials", "wallet"), "warranty", "wallet")
        yield Town(
            folder=tmp_path_factory.mktemp("tills"),
            brand=brand,
            stack=stack,
            credential=text_at(warranty, "credential", "wallet"),
            key=compact_json(object_at(told, "key", "wallet")).decode(),
            thief=compact_json(object_at(other, "key", "wallet")).decode(),
        )


def codes(look: JsonObject) -> list[str]:
    reasons = list_at(look, "reasons", "counter")
    return [text_at(as_object(reason, "counter"), "code", "counter") for reason in reasons]


def refusal(told: JsonObject) -> tuple[int, str]:
    refused = object_at(told, "refused", "wallet")
    return int_at(refused, "status", "wallet"), text_at(refused, "error", "wallet")


def ways(prefix: str) -> list[Way]:
    return [Way.GET] if prefix == "redirect_uri" else [*Way]


EACH = [(prefix, mode, way) for prefix in PREFIXES for mode in MODES for way in ways(prefix)]


@pytest.mark.parametrize(("prefix", "mode", "way"), EACH)
def test_a_stranger_s_wallet_is_asked_and_answers(
    town: Town, prefix: str, mode: str, way: Way
) -> None:
    session, link = town.till(prefix, mode).ask(way=way)

    told = town.present(link)

    assert "answered" in told
    look = town.till(prefix, mode).look(session)
    assert (look["state"], look["light"], codes(look)) == ("accepted", "green", [])


@pytest.mark.parametrize("encryption", ["A128GCM", "A256GCM"])
def test_a_stranger_s_wallet_chooses_how_it_encrypts(town: Town, encryption: str) -> None:
    till = town.till("x509_hash", "direct_post.jwt")
    session, link = till.ask()

    assert "answered" in town.present(link, "--enc", encryption)

    assert till.look(session)["light"] == "green"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_our_wallet_is_asked_in_each_way_and_answers(town: Town, prefix: str, mode: str) -> None:
    wallet, till = town.wallet(prefix, mode), town.till(prefix, mode)

    for way in ways(prefix):
        session, link = till.ask(way=way)
        asked = wallet.matches(link)
        wallet.present(asked.choose(reuse_that_links=True))

        assert asked.asker.standing is PREFIXES[prefix]
        look = till.look(session)
        assert (look["state"], look["light"], codes(look)) == ("accepted", "green", [])


def test_every_wallet_is_led_to_the_digits_that_its_customer_tells(town: Town) -> None:
    till = town.till("x509_san_dns", "direct_post.jwt")
    session, link = till.ask(handback="match-code")

    answered = object_at(town.present(link), "answered", "wallet")

    code = text_at(answered, "match_code", "wallet")
    assert text_at(answered, "redirect_uri", "wallet").endswith(f"/match/{code}")
    assert till.look(session)["state"] == "awaited"
    assert till.look(session, code)["light"] == "green"


# Twelve that misbehave. A key of another's and a broken signature are one reason to whoever
# knows the holder's key alone: the signature is not by that key.
Misbehaves = Callable[[Town, str], JsonObject]
TWELVE: Final[dict[str, tuple[Misbehaves, str]]] = {
    "wrong nonce": (
        lambda town, link: town.present(link, "--nonce", "made-up"),
        "nonce-mismatch",
    ),
    "wrong audience": (
        lambda town, link: town.present(link, "--audience", "x509_san_dns:other.example"),
        "audience-mismatch",
    ),
    "no key binding": (
        lambda town, link: town.present(link, "--flaw", "unbound"),
        "key-binding-missing",
    ),
    "another's key": (
        lambda town, link: town.present(link, key=town.thief),
        "key-binding-signature-invalid",
    ),
    "bad issuer signature": (
        lambda town, link: town.present(link, "--flaw", "issuer_signature"),
        "signature-invalid",
    ),
    "bad key-binding signature": (
        lambda town, link: town.present(link, "--flaw", "binding_signature"),
        "key-binding-signature-invalid",
    ),
    "wrong sd_hash": (
        lambda town, link: town.present(link, "--flaw", "sd_hash"),
        "sd-hash-mismatch",
    ),
    "key binding too old": (
        lambda town, link: town.present(link, "--flaw", "too_old"),
        "key-binding-too-old",
    ),
    "key binding from the future": (
        lambda town, link: town.present(link, "--flaw", "future"),
        "key-binding-from-the-future",
    ),
    "an unreferenced disclosure": (
        lambda town, link: town.present(link, "--flaw", "unreferenced"),
        "disclosure-unreferenced",
    ),
    "a required credential left out": (
        lambda town, link: town.present(link, "--flaw", "left_out"),
        "credential-missing",
    ),
}


@pytest.mark.parametrize("variant", TWELVE)
def test_a_misbehaving_wallet_is_refused_for_its_reason(town: Town, variant: str) -> None:
    misbehave, code = TWELVE[variant]
    # One mode each, both in turn.
    number = [*TWELVE].index(variant)
    till = town.till([*PREFIXES][number % 4], MODES[number % 2])
    session, link = till.ask()

    told = misbehave(town, link)

    assert refusal(told) == (400, "access_denied")
    look = till.look(session)
    assert (look["state"], look["light"], codes(look)) == ("refused", "red", [code])
    assert look["facts"] is None


@pytest.mark.parametrize("mode", MODES)
def test_the_same_answer_twice_is_taken_once(town: Town, mode: str) -> None:
    till = town.till("decentralized_identifier", mode)
    session, link = till.ask()

    told = town.present(link, "--twice")

    assert "answered" in told
    assert refusal(object_at(told, "second", "wallet")) == (400, "invalid_request")
    look = till.look(session)
    assert (look["state"], look["later_answers"]) == ("accepted", 1)


@pytest.fixture(scope="module")
def strict_till(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    certificate = papers("localhost", at=_NOW)
    trusted = CertifiedIssuers(anchors=anchors(TRADE, CRAFTS), urls={ISSUER}, subjects=())
    lists = Audio(lambda: _NOW)
    lists.list_signer = MemorySigner(BY_TRADE.key)  # type: ignore[arg-type]  # an EC key
    lists.list_chain.append(BY_TRADE.x5c)

    def make_shop(address: str) -> Shop:
        return Shop(
            name="Corner Shop",
            origin=address.replace("127.0.0.1", "localhost"),
            signer=certificate.signer,
            identity=certificate.identity(HASH),
            seal=SEAL,
            return_to="https://shop.example/done",
            is_strict=True,
        )

    with our_verifier(
        tmp_path_factory.mktemp("strict"),
        town.brand,
        make_shop,
        presets=[WARRANTY.accepting([WARRANTY_TYPE]).under(anchors(TRADE))],
        trust=CertificateTrust({WARRANTY_TYPE: trusted}),
        statuses=Statuses(lists),
    ) as till:
        yield till


@pytest.mark.parametrize(
    ("chain", "found"),
    [
        ("by the trade", []),
        ("by the crafts", ["authority-not-asked-for"]),
        ("by the crafts, posing", ["authority-not-asked-for"]),
        ("by itself", ["certificate-self-signed"]),
        ("none", ["issuer-certificate-missing"]),
    ],
)
def test_a_strict_shop_looks_for_itself_who_stands_behind_an_issuer(
    town: Town, strict_till: Till, chain: str, found: list[str]
) -> None:
    """HAIP 1.0. The stranger's wallet reads the query, and shows whatever it has."""
    session, link = strict_till.ask()

    told = town.present(link, credential=certified(CHAINS[chain], town.key))

    look = strict_till.look(session)
    assert codes(look) == found
    assert look["light"] == ("red" if found else "green")
    assert ("refused" if found else "answered") in told


def certified(party: Party | None, holder: str) -> str:
    """Give a warranty that `party` signed with its chain, for the holder of a JWK."""
    key = as_object(json.loads(holder), "key")
    point = {name: key[name] for name in ("kty", "crv", "x", "y")}
    signer = MemorySigner.generate() if party is None else MemorySigner(party.key)  # type: ignore[arg-type]  # an EC key
    chain: list[Json] = [] if party is None else [party.x5c]
    return str(
        Audio(lambda: _NOW).warranty(
            signer=signer,
            holder=PublicKey.from_jwk(point, "key"),
            issued_at=_NOW,
            expires_at=_NOW + DAY,
            header={"x5c": chain} if chain else {},
        )
    )
