"""Points to voucher to counter, over HTTP all the way: issued by the brand's own service, once."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
from counterfoil_credentials.encoding import JsonObject, compact_json, parse_object, text_at
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.fetch import GuardedFetcher, Response
from counterfoil_issuer.catalogue import parse_catalogue_files, sample_files
from counterfoil_loyalty import Points
from counterfoil_loyalty.issued_types import (
    tier_offer,
    tier_type,
    voucher_offer,
    voucher_type,
)
from counterfoil_loyalty.memory_ledger import MemoryLedger
from counterfoil_loyalty.programme_rules import Use, parse_programme_rules
from counterfoil_loyalty.rules_client import Redeemed
from counterfoil_verifier.presets import PRESETS, parse_preset
from counterfoil_verifier.trust import FetchedTrust
from counterfoil_wallet import Wallet

from tests.interop.services import Brand, Till, fetcher_for, our_issuer, our_verifier
from tests.loyalty.programme import AUDIO, NOW, Clock, seeded
from tests.loyalty.test_service import Street, street_on
from tests.walks.test_programme_rows import RULES
from tests.walks.test_voucher_services import points_at

pytestmark = [pytest.mark.loopback, pytest.mark.once]
TIERS = parse_programme_rules(RULES)
GOLD = {
    "name": "gold",
    "title": {"en": "Gold members", "zh": "金卡会员"},
    "purpose": {"en": "To let you in.", "zh": "用于入场。"},
    "retention": {"days": 1, "en": "The verdict, for a day.", "zh": "仅保留结果一天。"},
    "answered_by": ["tier-proof"],
    "claims": [{"path": ["at_least", "gold"]}],
    "status_max_age_s": 86400,
}


@dataclass
class Shops:
    """The brand's issuer service and a shop's counter, each at an address of its own."""

    brand: Brand
    till: Till

    def post(self, body: JsonObject, key: str) -> Response:
        url = f"{self.brand.url}/back-office/offers"
        headers = {"Authorization": f"Bearer {self.brand.key}", "Idempotency-Key": key}
        fetcher = fetcher_for(url)
        return fetcher.post(url, compact_json(body), media_type="application/json", headers=headers)

    def offered(self, body: JsonObject, key: str) -> tuple[str, str]:
        answer = self.post({**body, "tx_code": True}, key)
        assert answer.status == 201, answer.body
        found = parse_object(answer.body, "offer")
        return text_at(found, "link", "offer"), text_at(found, "tx_code", "offer")

    def wallet(self) -> Wallet:
        return Wallet.in_memory(fetcher=self.fetcher)

    @property
    def fetcher(self) -> GuardedFetcher:
        return fetcher_for(self.brand.url, self.till.url)

    def show(self, wallet: Wallet, preset: str) -> JsonObject:
        """Let the till ask and the customer answer; give what the till sees."""
        session, link = self.till.ask(preset=preset)
        asked = wallet.matches(link)
        with suppress(Refused):  # It is in the look.
            wallet.present(asked.choose(reuse_that_links=True))
        return self.till.look(session)


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shops]:
    folder = tmp_path_factory.mktemp("shops")
    documents = {f"types/{it['name']}.json": it for it in (voucher_type(), tier_type(TIERS))}
    more = {name: json.dumps(document).encode() for name, document in documents.items()}
    catalogue = parse_catalogue_files({**sample_files(), **more})
    with our_issuer(folder, catalogue) as brand:
        vouchers, tiers = (f"{brand.url}/types/{name}" for name in ("voucher", "tier-proof"))
        gold = parse_preset(json.dumps(GOLD).encode(), "gold.json")
        presets = [PRESETS["voucher"].accepting([vouchers]), gold.accepting([tiers])]
        trust = FetchedTrust(fetcher_for(brand.url), {brand.url: [vouchers, tiers]})
        with our_verifier(folder, brand, presets=presets, trust=trust) as till:
            yield Shops(brand, till)


@pytest.fixture
def street() -> Iterator[Street]:
    yield from street_on(MemoryLedger(now=NOW, random=seeded("issuance")), Clock())


def redeemed_at(street: Street, order: int, units: int) -> tuple[str, Redeemed]:
    street.award(1_000, order=str(order))
    receipt = street.client.redeem(
        Points(AUDIO, units),
        street.accounts,
        order.to_bytes(32),
        now=street.now,
        use=Use.DISCOUNT,
    )
    return receipt.reference, points_at(street).redeemed(receipt.reference)


def test_row_F8_the_brand_s_service_issues_one_voucher_and_a_counter_takes_it_once(  # noqa: N802
    street: Street, shops: Shops
) -> None:
    reference, redeemed = redeemed_at(street, 1, 400)
    offer = voucher_offer(reference, redeemed.use, good_for="EUR 4 off")

    # An answer that was lost is asked for again: the same offer, and no second voucher.
    link, tx_code = shops.offered(offer, key=reference)
    assert shops.offered(offer, key=reference) == (link, tx_code)
    again = shops.post(offer, key="another-key")
    assert (again.status, b"dataset-known" in again.body) == (409, True)
    wallet = shops.wallet()
    (card,) = wallet.accept(link, tx_code=tx_code).credentials
    assert card.claims["voucher"] == {
        "reference": reference,
        "use": "discount",
        "good_for": "EUR 4 off",
    }
    first, second = (shops.show(wallet, "voucher") for _ in range(2))

    assert first["light"] == "green"
    assert second["light"] == "red"
    assert "voucher-spent" in json.dumps(second)
    with pytest.raises(Refused):
        shops.wallet().accept(link, tx_code=tx_code)


def test_row_F9_the_brand_s_service_issues_a_tier_that_proves_gold_and_no_more(  # noqa: N802
    shops: Shops,
) -> None:
    platinum = TIERS.tiers[-1]
    wallet = shops.wallet()
    link, tx_code = shops.offered(tier_offer(TIERS, platinum), key="tier-of-1")
    wallet.accept(link, tx_code=tx_code)

    seen = shops.show(wallet, "gold")

    assert seen["light"] == "green"
    said = json.dumps(seen)
    assert "gold" in said
    assert "platinum" not in said
    assert "silver" not in said


def test_a_voucher_says_nothing_that_its_type_does_not_allow(shops: Shops) -> None:
    offer = voucher_offer("7Q4M9KX2PA5T3WBD", Use.GOODS, good_for="a kettle")
    claims = offer["claims"]
    assert isinstance(claims, dict)

    refused = shops.post({**offer, "claims": {**claims, "name": "J. Doe"}}, key="wrong")

    assert refused.status == 400
    assert b"claims" in refused.body
    assert b"J. Doe" not in refused.body
