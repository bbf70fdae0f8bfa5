"""The cards about a product whose code was scanned."""

import pytest
from counterfoil_credentials.digital_link import parse_digital_link
from counterfoil_wallet import Wallet

from tests.wallet.conftest import Place
from tests.wallet.town import RECEIPT_TYPE, WARRANTY_TYPE, Town

GTIN = "4006381333931"


@pytest.fixture
def wallet(town: Town, place: Place) -> Wallet:
    wallet, offer = town.wallet(place.start()), town.offer()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    return wallet


def serial(wallet: Wallet) -> str:
    (warranty,) = [card for card in wallet.credentials() if card.vct == WARRANTY_TYPE]
    item = warranty.claims["item"]
    assert isinstance(item, dict)
    return str(item["serial"])


def about(wallet: Wallet, link: str) -> list[str]:
    return [card.vct for card in wallet.about(parse_digital_link(link))]


@pytest.mark.parametrize("gtin", [GTIN, f"0{GTIN}"])
def test_a_product_s_cards_are_found_however_long_its_number_is(wallet: Wallet, gtin: str) -> None:
    assert about(wallet, f"https://id.example/01/{gtin}") == [RECEIPT_TYPE, WARRANTY_TYPE]


def test_an_item_s_warranty_is_its_own_and_the_receipt_is_for_all_of_them(wallet: Wallet) -> None:
    link = f"https://id.example/01/{GTIN}/21/"

    assert about(wallet, link + serial(wallet)) == [RECEIPT_TYPE, WARRANTY_TYPE]
    assert about(wallet, link + "another") == [RECEIPT_TYPE]


def test_another_product_has_none_and_the_trash_is_not_searched(wallet: Wallet) -> None:
    assert about(wallet, "https://id.example/01/09506000134352") == []
    for card in wallet.credentials():
        wallet.remove(card.credential_id)
    assert about(wallet, f"https://id.example/01/{GTIN}") == []
