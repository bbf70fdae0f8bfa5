"""Who offers, and whom a trust list vouches for."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.keys import MemorySigner
from counterfoil_wallet import (
    IssuerStanding,
    KnownIssuer,
    Offerer,
    Standing,
    Trust,
    TrustList,
    Verifier,
    Wallet,
    offerer_of,
    read_trust_list,
)

from tests.conftest import Clock
from tests.wallet.strangers import StrangeIssuer, StrangeShop

BRAND = "https://brand.example"
WARRANTY = "https://brand.example/types/warranty"
RECEIPT = "https://brand.example/types/receipt"
KEY = MemorySigner.generate()


def claims(now: datetime, **changed: Json) -> JsonObject:
    return {
        "name": "Fair trade",
        "iat": int(now.timestamp()),
        "exp": int((now + timedelta(days=7)).timestamp()),
        "issuers": [{"url": BRAND, "name": "Brand", "types": [WARRANTY]}],
        "verifiers": [
            {
                "client_id": "x509_san_dns:till.example",
                "name": "Corner\u202eShop",
                "purpose": "Warranty",
                "may_ask": {WARRANTY: [["item", "serial"]]},
            }
        ],
        **changed,
    }


def read(now: datetime, seen_at: datetime | None = None, **changed: Json) -> TrustList:
    token = sign_jws(claims(now, **changed), typ="counterfoil-trust-list+jwt", signer=KEY)
    return read_trust_list(token, signed_by=KEY.public, now=now, seen_at=seen_at)


def test_a_list_vouches_for_issuers_and_verifiers(now: datetime) -> None:
    trust, ends_at = read(now, seen_at=now).extend(Trust()), now + timedelta(days=7)

    assert trust.issuers == {
        BRAND: KnownIssuer(
            name="Brand", types=frozenset({WARRANTY}), vouched_by="Fair trade", ends_at=ends_at
        )
    }
    assert trust.verifiers == {
        "x509_san_dns:till.example": Verifier(
            name="Corner\N{REPLACEMENT CHARACTER}Shop",
            may_ask={WARRANTY: (("item", "serial"),)},
            purpose="Warranty",
            ends_at=ends_at,
        )
    }


def test_whom_the_app_pinned_stays_as_it_was_pinned(now: datetime) -> None:
    pinned = KnownIssuer(name="Our own brand")

    trust = read(now).extend(Trust(issuers={BRAND: pinned}))

    assert trust.issuers == {BRAND: pinned}


def test_who_offers_is_known_by_pin_or_list_for_the_types_named(now: datetime) -> None:
    listed = read(now).issuers
    pinned = {BRAND: KnownIssuer(name="Brand")}

    assert offerer_of(BRAND, [WARRANTY], known=listed, now=now) == Offerer(
        url=BRAND, standing=IssuerStanding.LISTED, known_as="Brand", vouched_by="Fair trade"
    )
    assert offerer_of(BRAND, [WARRANTY, RECEIPT], known=pinned, now=now) == Offerer(
        url=BRAND, standing=IssuerStanding.PINNED, known_as="Brand"
    )


@pytest.mark.parametrize(
    ("url", "types"),
    [
        (BRAND, [RECEIPT]),
        (BRAND, [WARRANTY, RECEIPT]),
        (f"{BRAND}/", [WARRANTY]),
        ("https://BRAND.example", [WARRANTY]),
        ("https://brand.example.org", [WARRANTY]),
    ],
)
def test_the_neighbours_of_a_known_issuer_are_plainly_not_verified(
    now: datetime, url: str, types: list[str]
) -> None:
    offerer = offerer_of(url, types, known=read(now).issuers, now=now)

    assert offerer == Offerer(url=url, standing=IssuerStanding.NOT_VERIFIED)


def test_a_list_is_good_until_it_ends(now: datetime) -> None:
    end = int(now.timestamp())

    assert read(now, exp=end + 1).ends_at > now
    with pytest.raises(Refused) as refusal:
        read(now, exp=end)
    assert refusal.value.codes == ["trust-list-ended"]


def test_a_wallet_that_stays_open_knows_nobody_by_a_list_that_ended(
    clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    network = MemoryFetcher()
    issuer, shop = StrangeIssuer(network, clock, random_bytes), StrangeShop(network, clock)
    listed = read(
        clock(),
        exp=int(clock().timestamp()) + 60,
        verifiers=[{"client_id": shop.client_id, "name": "Shop"}],
    )
    ours = "https://ours.example"
    trust = listed.extend(Trust(issuers={ours: KnownIssuer(name="Ours")}))
    wallet = Wallet.in_memory(fetcher=network, clock=clock, trust=trust)

    def offerer() -> tuple[IssuerStanding, str | None]:
        found = wallet.offered(issuer.link).offerer
        return found.standing, found.known_as

    def asker() -> tuple[Standing, str | None]:
        found = wallet.matches(shop.link).asker
        return found.standing, found.known_as

    clock.advance(timedelta(seconds=59))
    assert offerer() == (IssuerStanding.LISTED, "Brand")
    assert asker() == (Standing.KNOWN, "Shop")
    assert trust.clients(None, now=clock()).known == {shop.client_id}

    clock.advance(timedelta(seconds=1))
    assert offerer() == (IssuerStanding.NOT_VERIFIED, None)
    assert asker() == (Standing.KEY_ONLY, None)
    assert trust.clients(None, now=clock()).known == frozenset()
    kept = offerer_of(ours, [WARRANTY], known=trust.issuers, now=clock())
    assert kept.standing is IssuerStanding.PINNED


def test_a_list_of_another_signer_is_refused(now: datetime) -> None:
    token = sign_jws(claims(now), typ="counterfoil-trust-list+jwt", signer=KEY)
    another = MemorySigner.generate().public

    with pytest.raises(Refused) as refusal:
        read_trust_list(token, signed_by=another, now=now)
    assert refusal.value.codes == ["signature-invalid"]


def test_a_list_from_the_future_or_older_than_the_last_one_is_refused(now: datetime) -> None:
    for code, iat, seen_at in (
        ("trust-list-from-the-future", 61, None),
        ("trust-list-older", -1, now),
    ):
        with pytest.raises(Refused) as refusal:
            read(now, seen_at=seen_at, iat=int(now.timestamp()) + iat)
        assert refusal.value.codes == [code]


WRONG: list[JsonObject] = [
    {"name": ""},
    {"name": 1},
    {"exp": None},
    {"iat": "now"},
    {"issuers": {}},
    {"issuers": ["brand"]},
    {"issuers": [{"url": BRAND}]},
    {"issuers": [{"url": "x" * 2_049, "name": "Brand"}]},
    {"issuers": [{"url": BRAND, "name": "n" * 1_025}]},
    {"issuers": [{"url": BRAND, "name": "Brand", "types": WARRANTY}]},
    {"issuers": [{"url": BRAND, "name": "Brand"} for _ in range(10_001)]},
    {"verifiers": [{"name": "Corner Shop"}]},
    {"verifiers": [{"client_id": "a", "name": "b", "may_ask": [WARRANTY]}]},
    {"verifiers": [{"client_id": "a", "name": "b", "may_ask": {WARRANTY: [[]]}}]},
    {
        "verifiers": [
            {"client_id": "a", "name": "b", "may_ask": {WARRANTY: [["x"] for _ in range(1_001)]}}
        ]
    },
]


@pytest.mark.parametrize("changed", WRONG)
def test_a_list_that_says_something_else_is_malformed(now: datetime, changed: JsonObject) -> None:
    token = sign_jws({**claims(now), **changed}, typ="counterfoil-trust-list+jwt", signer=KEY)

    with pytest.raises(Malformed):
        read_trust_list(token, signed_by=KEY.public, now=now)
