"""From points to a counter: the services redeem, say what for, issue and take a voucher once."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.fetch import Fetcher, MemoryFetcher, Response
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.sdjwt_vc import StatusReference
from counterfoil_loyalty import Points
from counterfoil_loyalty.memory_ledger import MemoryLedger
from counterfoil_loyalty.programme_rules import (
    CountryPolicy,
    ProgrammeRules,
    Use,
    parse_programme_rules,
)
from counterfoil_loyalty.rewards import Customer, require_use
from counterfoil_loyalty.rules_client import RulesClient
from counterfoil_loyalty.vouchers import issue_voucher, reckon
from counterfoil_verifier import Light, MemoryStore

from tests.conftest import Clock
from tests.loyalty.programme import AUDIO, NOW, seeded
from tests.loyalty.programme import Clock as LedgerClock
from tests.loyalty.test_service import ORIGIN, Street, street_on
from tests.verifier.scene import INDEX, ISSUER, LIST_URL
from tests.verifier.test_counter_vouchers import VOUCHER_TYPE, Desk, codes, taken


def rules() -> ProgrammeRules:
    return parse_programme_rules(
        {
            "brand": AUDIO,
            "version": 1,
            "currency": "EUR",
            "currency_decimals": 2,
            "earnings": [{"id": "buy", "occasion": "purchase", "units": 500}],
            "countries": {
                "CN": {"least_age": 18, "uses": ["discount"]},
                "DE": {"uses": ["discount", "goods"]},
            },
        }
    )


@pytest.fixture
def street() -> Iterator[Street]:
    yield from street_on(MemoryLedger(now=NOW, random=seeded("vouchers")), LedgerClock())


def reaching(street: Street) -> Fetcher:
    """Give a way to the points service."""

    def handle(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        answer = street.http.request(method, path, headers=dict(headers), content=body)
        return Response(answer.status_code, "application/json", answer.content)

    fetcher = MemoryFetcher()
    fetcher.serve(ORIGIN, handle)
    return fetcher


def points_at(street: Street) -> RulesClient:
    """Give the brand's way to what redemptions stand for."""
    return RulesClient(reaching(street), ORIGIN)


def test_row_F8_redeemed_points_become_a_voucher_that_a_counters_service_takes_once(  # noqa: N802
    street: Street, clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    assert ISSUER == AUDIO
    desk = Desk(clock, random_bytes, MemoryStore())
    points = points_at(street)
    points.publish(rules(), signer=desk.brand, issuer=street.audio)
    street.award(500, order="1")
    receipt = street.client.redeem(
        Points(AUDIO, 400), street.accounts, b"a" * 32, now=street.now, use=Use.DISCOUNT
    )

    # The brand: it asks the points service what the reference stands for, and issues.
    redeemed = points.redeemed(receipt.reference)
    voucher = issue_voucher(
        receipt.reference,
        use=redeemed.use,
        good_for=f"{redeemed.points.units // 100} EUR off",
        vct=VOUCHER_TYPE,
        brand=AUDIO,
        signer=desk.brand,
        holder=desk.scene.holder.public,
        issued_at=clock() - timedelta(seconds=1),
        expires_at=clock() + timedelta(days=90),
        status=StatusReference(LIST_URL, INDEX),
        random=random_bytes,
    )
    first, second = desk.give(voucher), desk.give(voucher)

    assert first.light is Light.GREEN
    assert first.held is not None
    assert first.held.facts["voucher.good_for"] == "4 EUR off"
    assert (second.light, codes(second)) == (Light.RED, ["voucher-spent"])
    good = taken(first)
    assert reckon([good], brand=AUDIO, brand_key=desk.brand.public).good == (good,)
    assert street.held()[0] == 100


@pytest.mark.parametrize("use", [Use.SERVICE, Use.DIGITAL, Use.GOODS, Use.EVENT])
def test_row_F8_points_become_whatever_the_rules_name_and_the_counter_takes_it_once(  # noqa: N802
    street: Street, clock: Clock, random_bytes: Callable[[int], bytes], use: Use
) -> None:
    desk = Desk(clock, random_bytes, MemoryStore())
    points = points_at(street)
    allowed = CountryPolicy(uses=frozenset({use}))
    points.publish(
        replace(rules(), countries={"DE": allowed}), signer=desk.brand, issuer=street.audio
    )
    street.award(500, order="1")
    with pytest.raises(Refused) as another:
        street.client.redeem(
            Points(AUDIO, 100), street.accounts, b"x" * 32, now=street.now, use=Use.DISCOUNT
        )
    assert another.value.codes == ["use-not-allowed"]
    receipt = street.client.redeem(
        Points(AUDIO, 100), street.accounts, b"a" * 32, now=street.now, use=use
    )
    redeemed = points.redeemed(receipt.reference)
    assert redeemed.use is use
    voucher = issue_voucher(
        receipt.reference,
        use=redeemed.use,
        good_for="the concert of 3 May",
        vct=VOUCHER_TYPE,
        brand=AUDIO,
        signer=desk.brand,
        holder=desk.scene.holder.public,
        issued_at=clock() - timedelta(seconds=1),
        expires_at=clock() + timedelta(days=90),
        status=StatusReference(LIST_URL, INDEX),
        random=random_bytes,
    )
    first, second = desk.give(voucher), desk.give(voucher)

    assert first.light is Light.GREEN
    assert first.held is not None
    assert first.held.facts["voucher.use"] == use.value
    assert (second.light, codes(second)) == (Light.RED, ["voucher-spent"])


def test_row_F14_what_the_service_cannot_know_is_refused_at_the_brand_by_the_same_rules(  # noqa: N802
    street: Street,
) -> None:
    points = points_at(street)
    points.publish(rules(), signer=MemorySigner.generate(), issuer=street.audio)
    street.award(500, order="1")
    # Goods are allowed somewhere: the service does not know where she lives, and goes on.
    receipt = street.client.redeem(
        Points(AUDIO, 100), street.accounts, b"b" * 32, now=street.now, use=Use.GOODS
    )
    use, seen = points.redeemed(receipt.reference).use, points.read(AUDIO).rules

    require_use(seen, use, Customer("DE"))
    for customer, refused in (
        (Customer("CN", 18), ["use-not-allowed"]),
        (Customer("CN"), ["under-age", "use-not-allowed"]),
        (Customer("FR", 99), ["country-not-served"]),
    ):
        with pytest.raises(Refused) as refusal:
            require_use(seen, use, customer)
        assert refusal.value.codes == refused
