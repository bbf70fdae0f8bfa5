"""The catalogue's file, money, and what follows from an order."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from counterfoil_credentials.claims import values_at
from counterfoil_credentials.digital_link import require_gtin
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_credentials.keys import MemorySigner
from counterfoil_issuer.catalogue import (
    RECEIPT,
    STANDARD_TYPES,
    WARRANTY,
    Catalogue,
    parse_catalogue,
    sample_files,
)
from counterfoil_issuer.datasets import require_orders_fit
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.metadata import require_issuer_url
from counterfoil_issuer.money import DIGITS, amount_text, parse_amount, split_amount
from counterfoil_issuer.orders import (
    Order,
    OrderLine,
    OrderNumber,
    Serial,
    receipt_claims,
    warranty_claims,
)
from counterfoil_issuer.products import LANGUAGES
from counterfoil_issuer.store import Store

from tests.conftest import Clock
from tests.issuer.brand import CATALOGUE, ORDERS, issuer_on


def order_paid_on(day: datetime, months: int) -> Order:
    line = OrderLine(
        gtin="4006381333931",
        name="Auricle One",
        quantity=1,
        price=34900,
        tax=0,
        warranty_months=months,
        serials=(Serial("A1-X"),),
    )
    return Order(
        number=OrderNumber("#1"),
        paid_at=day,
        currency="EUR",
        tax=0,
        total=34900,
        buyer_name="Mira Sample",
        buyer_email="mira@example.org",
        lines=(line,),
    )


@pytest.mark.parametrize(
    ("paid", "months", "until"),
    [
        ((2026, 3, 1), 24, "2028-03-01"),
        ((2026, 1, 31), 1, "2026-02-28"),
        ((2028, 2, 29), 12, "2029-02-28"),
        ((2026, 12, 15), 1, "2027-01-15"),
    ],
)
def test_a_warranty_ends_so_many_months_after_the_payment(
    paid: tuple[int, int, int], months: int, until: str
) -> None:
    order = order_paid_on(datetime(*paid, 12, tzinfo=UTC), months)

    assert warranty_claims(order, Serial("A1-X"))["valid_until"] == until


@pytest.mark.parametrize("name", [RECEIPT.name, WARRANTY.name])
def test_what_follows_from_an_order_is_what_its_type_says(name: str) -> None:
    order = order_paid_on(datetime(2026, 3, 1, tzinfo=UTC), 24)
    is_warranty = name == WARRANTY.name
    claims = warranty_claims(order, Serial("A1-X")) if is_warranty else receipt_claims(order)
    kind = STANDARD_TYPES[name]

    kind.check_claims(claims)
    for claim in kind.claims:
        assert values_at(claims, claim.path) or not claim.mandatory, claim.path
        assert set(claim.names) == set(LANGUAGES)


@pytest.mark.parametrize(
    ("before", "after", "where"),
    [
        (b'"id": "audio"', b'"id": "Audio"', "catalogue.json: brand.id"),
        (b'"zh"', b'"fr"', ": brand.name.zh"),
        (b"4006381333931", b"4006381333932", ": products[0].gtin"),
        (b"4006381333931", b"400638133393", ": products[0].gtin"),
        (b'"sku": "BUDS"', b'"sku": "ONE"', ": products[1].sku"),
        (b'"warranty_months": 24', b'"warranty_months": 24.5', "[0].warranty_months"),
        (b'"warranty_months": 24', b'"warranty_months": -1', "[0].warranty_months"),
        (b'"warranty_months": 0', b'"warranty_months": 6', ": products[2]"),
        (b'"serial_prefix": "A1"', b'"serial_prefix": "a-1"', "[0].serial_prefix"),
        (b'"products": [', b'"prices_include_tax": 1, "products": [', "prices_include_tax"),
    ],
)
def test_a_catalogue_that_is_wrong_in_one_thing_names_the_place(
    before: bytes, after: bytes, where: str
) -> None:
    assert parse_catalogue(CATALOGUE).types
    with pytest.raises(Malformed) as refusal:
        parse_catalogue(CATALOGUE.replace(before, after, 1))

    assert refusal.value.where.endswith(where)


def test_gtins_of_all_four_lengths_are_known_by_their_check_digit() -> None:
    for gtin in ("96385074", "036000291452", "4006381333931", "00012345600012"):
        assert require_gtin(gtin, "gtin") == gtin
        with pytest.raises(Malformed):
            require_gtin(gtin[:-1] + str((int(gtin[-1]) + 1) % 10), "gtin")


@pytest.mark.parametrize(
    ("text", "currency", "amount"),
    [
        ("349.00", "EUR", 34900),
        ("349", "EUR", 34900),
        ("0.5", "EUR", 50),
        ("1200", "JPY", 1200),
        ("1.234", "KWD", 1234),
    ],
)
def test_an_amount_is_whole_minor_units(text: str, currency: str, amount: int) -> None:
    assert parse_amount(text, currency, "price") == amount
    assert parse_amount(amount_text(amount, currency), currency, "price") == amount


@pytest.mark.parametrize(
    ("text", "currency"),
    [("1.0", "JPY"), ("1.001", "EUR"), ("1,00", "EUR"), (".5", "EUR"), ("5.x", "EUR"), ("", "EUR")],
)
def test_what_is_no_amount_of_the_currency_is_refused(text: str, currency: str) -> None:
    with pytest.raises(Malformed):
        parse_amount(text, currency, "price")


def test_a_split_amount_adds_up_and_no_part_is_off_by_a_unit() -> None:
    for amount in range(60):
        for weights in ([1], [1, 1, 1], [5, 0, 2], [0, 0], [34900, 2000, 1]):
            parts = split_amount(amount, weights)
            assert sum(parts) == amount
            total = sum(weights) or 1
            assert all(
                abs(part * total - amount * weight) < total
                for part, weight in zip(parts, weights, strict=True)
            ) or not sum(weights)


def test_the_currencies_are_known_once_each() -> None:
    assert len(DIGITS) > 150
    assert (DIGITS["EUR"], DIGITS["CNY"], DIGITS["JPY"], DIGITS["TND"]) == (2, 2, 0, 3)


@pytest.mark.parametrize(
    "url",
    ["https://audio.example", "https://host.example/audio", "http://127.0.0.1:4711"],
)
def test_an_issuers_identifier_is_https_or_loopback(url: str) -> None:
    assert require_issuer_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://audio.example",
        "https://audio.example/",
        "https://audio.example?x=1",
        "https://audio.example#x",
        "https://user@audio.example",
        "https://",
        "audio.example",
    ],
)
def test_anything_else_is_no_identifier(url: str) -> None:
    with pytest.raises(Misuse):
        require_issuer_url(url)


def test_a_brands_own_receipt_can_say_what_follows_from_an_order_or_the_issuer_never_starts() -> (
    None
):
    document = json.loads(CATALOGUE)
    receipt = json.loads(sample_files()["types/receipt.json"])

    def catalogue(*types: object) -> Catalogue:
        return parse_catalogue(json.dumps({**document, "types": [*types]}).encode())

    require_orders_fit(catalogue(receipt))
    require_orders_fit(catalogue())
    receipt["schema"]["properties"]["order"]["maxLength"] = 1
    receipt["sample"]["order"] = "1"
    with pytest.raises(Malformed) as refusal:
        require_orders_fit(catalogue(receipt))
    assert refusal.value.where == "receipt: schema, claims.order"


def test_an_order_leads_to_what_the_brand_issues_and_to_nothing_else(
    store: Store, clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    only = json.loads(CATALOGUE) | {"types": [json.loads(sample_files()["types/warranty.json"])]}
    catalogue = parse_catalogue(json.dumps(only).encode())
    issuer = issuer_on(store, clock, random_bytes, catalogue=catalogue)
    issuer.import_orders(ORDERS)

    offered = issuer.offer("#1001").offers

    assert [[dataset.type_name for dataset in offer.datasets] for offer in offered] == [
        ["warranty"]
    ]


def test_a_short_secret_is_refused(store: Store) -> None:
    def with_secret(secret: bytes) -> Issuer:
        return Issuer(
            url="https://audio.example",
            catalogue=parse_catalogue(CATALOGUE),
            signer=MemorySigner.generate(),
            secret=secret,
            store=store,
        )

    assert with_secret(bytes(32)).nonce()
    with pytest.raises(Misuse):
        with_secret(bytes(31))
