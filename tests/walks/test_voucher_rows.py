"""What the product's rows promise of vouchers and tiers, by the rows' names."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from counterfoil_credentials.dcql import CredentialQuery, DcqlQuery
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.requests import PresentationRequest
from counterfoil_credentials.sdjwt import SdJwt, disclose
from counterfoil_credentials.voucher import TakenVoucher, Voucher, parse_taken_voucher, voucher_in
from counterfoil_loyalty.chain import embedded_ledger
from counterfoil_loyalty.programme_rules import Use
from counterfoil_loyalty.service import voucher_reference
from counterfoil_loyalty.vouchers import GivenTwiceBy, issue_voucher, reckon
from counterfoil_verifier import AllOf, BoundToHolder, PinnedTrust, TrustedIssuer, Verifier
from counterfoil_verifier.sql_store import SqlNames, SqlSessionStore
from counterfoil_verifier.store import MemoryNames, OneTimeNames
from counterfoil_verifier.voucher_desk import VoucherDesk

from tests.conftest import Clock
from tests.loyalty.programme import AUDIO, NOW, programme_on, seeded
from tests.loyalty.programme import Clock as LedgerClock
from tests.verifier.scene import NOON, Scene

VOUCHER_TYPE = f"{AUDIO}/types/voucher"
DAY = timedelta(days=1)


class Street:
    """A brand that issues vouchers, a customer, and shops that may be offline."""

    def __init__(self, clock: Clock, random: Callable[[int], bytes]) -> None:
        self.clock, self.random = clock, random
        self.scene = Scene(clock, random)
        self.brand, self.holder = MemorySigner.generate(), MemorySigner.generate()
        trusted = TrustedIssuer(
            issuer=AUDIO, vcts=frozenset({VOUCHER_TYPE}), keys=(self.brand.public,)
        )
        self.verifier = Verifier(
            AllOf(BoundToHolder()), PinnedTrust([trusted]), self.scene.statuses
        )

    def redeemed(self, chain: Path) -> str:
        """Redeem points on a chain; give the voucher's reference."""
        with closing(embedded_ledger(chain, now=NOW, random=seeded("chain"))) as ledger:
            programme = programme_on(ledger, LedgerClock()).open()
            assert programme.perform(programme.award(1_000)).reason is None
            action = programme.redemption(1_000)
            assert programme.perform(action).reason is None
            assert programme.balance() == 0
        return voucher_reference(action.redemption, secret=b"voucher " * 4)

    def voucher(self, reference: str, **changes: object) -> SdJwt:
        arguments = {
            "use": Use.DISCOUNT,
            "good_for": "EUR 10 off",
            "vct": VOUCHER_TYPE,
            "brand": AUDIO,
            "signer": self.brand,
            "holder": self.holder.public,
            "issued_at": self.clock(),
            "expires_at": self.clock() + 90 * DAY,
            "status": None,
            "random": self.random,
            **changes,
        }
        return issue_voucher(reference, **arguments)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # by name

    def request(self, shop: str, nonce: str) -> PresentationRequest:
        query = DcqlQuery((CredentialQuery("voucher", (VOUCHER_TYPE,), ()),))
        asked = self.scene.request(query=query, nonce=nonce, encryption=None)
        return replace(asked, client_id=f"redirect_uri:https://{shop}.example/answer")

    def show(
        self, credential: SdJwt, request: PresentationRequest, signer: MemorySigner | None = None
    ) -> Mapping[str, tuple[str, ...]]:
        shown = bind(
            disclose(credential, ()),
            signer=signer or self.holder,
            audience=request.client_id,
            nonce=request.nonce,
            now=self.clock(),
        )
        return {"voucher": (shown,)}

    def take(self, credential: SdJwt, shop: str, nonce: str, names: OneTimeNames) -> TakenVoucher:
        request = self.request(shop, nonce)
        desk = VoucherDesk(self.verifier, names)
        return desk.take(self.show(credential, request), request, now=self.clock())


@pytest.fixture
def street(clock: Clock, random_bytes: Callable[[int], bytes]) -> Street:
    return Street(clock, random_bytes)


def test_row_F8_a_voucher_is_taken_once_at_a_counter_and_offline_double_use_has_a_name(  # noqa: N802
    street: Street, tmp_path: Path
) -> None:
    voucher = street.voucher(street.redeemed(tmp_path / "chain.sqlite3"))
    first, second = (SqlSessionStore(tmp_path / f"{name}.sqlite3") for name in "ab")
    here, there = SqlNames(first.database), SqlNames(second.database)

    taken = street.take(voucher, "corner", "nonce-1", here)
    with pytest.raises(Refused) as refusal:
        street.take(voucher, "corner", "nonce-2", here)
    assert refusal.value.codes == ["voucher-spent"]
    # The counter is started again, and another till of the shop asks.
    first.close()
    first = SqlSessionStore(tmp_path / "a.sqlite3")
    with pytest.raises(Refused):
        street.take(voucher, "corner", "nonce-3", SqlNames(first.database))
    # A shop without a network cannot know; the brand learns who gave it twice.
    street.clock.advance(timedelta(hours=1))
    again = street.take(voucher, "market", "nonce-4", there)
    handed_in = [parse_taken_voucher(it.to_json()) for it in (again, taken)]
    reckoned = reckon(handed_in, brand=AUDIO, brand_key=street.brand.public)

    assert reckoned.good == (taken,)
    assert reckoned.unproved == ()
    (twice,) = reckoned.twice
    assert twice.by is GivenTwiceBy.HOLDER
    assert twice.holders == {street.holder.public.thumbprint()}
    assert twice.taken == (taken, again)
    first.close()
    second.close()


def test_a_shop_that_hands_one_voucher_in_twice_is_named_and_not_its_customer(
    street: Street,
) -> None:
    taken = street.take(street.voucher("A" * 16), "corner", "nonce-1", MemoryNames())
    later = replace(taken, taken_at=taken.taken_at + timedelta(minutes=5))

    reckoned = reckon([later, taken], brand=AUDIO, brand_key=street.brand.public)

    assert reckoned.good == (taken,)
    assert [it.by for it in reckoned.twice] == [GivenTwiceBy.SHOP]


def test_a_brand_that_issued_one_voucher_to_two_keys_is_named_and_not_its_customers(
    street: Street,
) -> None:
    mine = street.take(street.voucher("A" * 16), "corner", "nonce-1", MemoryNames())
    street.holder = MemorySigner.generate()
    yours = street.take(street.voucher("A" * 16), "market", "nonce-2", MemoryNames())

    (twice,) = reckon([mine, yours], brand=AUDIO, brand_key=street.brand.public).twice

    assert twice.by is GivenTwiceBy.BRAND
    assert len(twice.holders) == 2


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"shop": "redirect_uri:https://market.example/answer"}, "audience-mismatch"),
        ({"nonce": "nonce-2"}, "nonce-mismatch"),
        ({"taken_at": NOON + DAY}, "key-binding-too-old"),
    ],
)
def test_a_shop_cannot_accuse_a_customer_of_a_use_that_nobody_signed_for(
    street: Street, change: dict[str, object], code: str
) -> None:
    taken = street.take(street.voucher("A" * 16), "corner", "nonce-1", MemoryNames())
    made_up = replace(taken, **change)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # by name

    reckoned = reckon([taken, made_up], brand=AUDIO, brand_key=street.brand.public)

    assert (reckoned.good, reckoned.twice) == ((taken,), ())
    ((_, reason),) = reckoned.unproved
    assert isinstance(reason, Refused)
    assert code in reason.codes


def test_a_refusal_spends_no_voucher(street: Street) -> None:
    names, voucher = MemoryNames(), street.voucher("A" * 16)
    request = street.request("corner", "nonce-1")
    thief = MemorySigner.generate()

    with pytest.raises(Refused) as refusal:
        VoucherDesk(street.verifier, names).take(
            street.show(voucher, request, thief), request, now=street.clock()
        )

    assert "key-binding-signature-invalid" in refusal.value.codes
    assert street.take(voucher, "corner", "nonce-2", names).nonce == "nonce-2"


def test_a_voucher_past_its_end_is_refused_and_one_without_an_end_is_none(street: Street) -> None:
    endless = street.voucher("A" * 16, expires_at=None)
    with pytest.raises(Malformed):
        street.take(endless, "corner", "nonce-1", MemoryNames())
    voucher = street.voucher("B" * 16)
    street.clock.advance(91 * DAY)

    with pytest.raises(Refused) as refusal:
        street.take(voucher, "corner", "nonce-2", MemoryNames())

    assert refusal.value.codes == ["expired"]


def test_a_desk_that_does_not_ask_for_the_holder_is_misused(street: Street) -> None:
    request = street.request("corner", "nonce-1")
    (query,) = request.query.credentials
    unbound = replace(request, query=DcqlQuery((replace(query, requires_holder_binding=False),)))

    with pytest.raises(Misuse):
        VoucherDesk(street.verifier, MemoryNames()).take(
            street.show(street.voucher("A" * 16), request), unbound, now=street.clock()
        )


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"voucher": "A" * 16},
        {"voucher": {"reference": "short", "use": "goods", "good_for": "A cup"}},
        {"voucher": {"reference": "A" * 16, "use": "goods", "good_for": "A\u202ecup"}},
        {"voucher": {"reference": "A" * 16, "use": "", "good_for": "A cup"}},
    ],
)
def test_claims_that_hold_no_voucher_are_malformed(claims: JsonObject) -> None:
    with pytest.raises(Malformed):
        voucher_in(claims)


def test_a_voucher_comes_back_from_its_claims() -> None:
    voucher = Voucher(reference="A" * 16, use="goods", good_for="A cup")

    assert voucher_in(voucher.to_claims()) == voucher
