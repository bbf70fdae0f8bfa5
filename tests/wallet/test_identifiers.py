"""Who the wallet is to one party: made without asking anybody, and met by nobody else."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from counterfoil_credentials.dids import did_jwk, key_of
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_credentials.holder_proof import check_proof, make_proof
from counterfoil_wallet import Wallet

from tests.conftest import Clock
from tests.wallet.conftest import Place

BRAND = "https://brand.example"


@pytest.fixture
def wallet(place: Place, clock: Clock, random_bytes: Callable[[int], bytes]) -> Wallet:
    return Wallet(place.start(), fetcher=MemoryFetcher(), clock=clock, random=random_bytes)


def test_each_party_meets_another_identifier_and_always_the_same(
    wallet: Wallet, place: Place, random_bytes: Callable[[int], bytes]
) -> None:
    brand, shop = wallet.identifier(BRAND), wallet.identifier("https://shop.example")

    assert brand.did != shop.did
    assert wallet.identifier(BRAND) == brand
    assert Wallet(place.start(), random=random_bytes).identifier(BRAND) == brand


def test_its_key_proves_it_to_that_party_and_to_no_other(wallet: Wallet, clock: Clock) -> None:
    identifier = wallet.identifier(BRAND)
    proof = make_proof(identifier.signer, issuer=BRAND, nonce="once", now=clock())

    shown = check_proof(proof, issuer=BRAND, now=clock(), max_age=timedelta(minutes=5))

    assert did_jwk(shown.key) == identifier.did
    assert key_of(identifier.did, "did") == shown.key
    with pytest.raises(Refused):
        check_proof(proof, issuer="https://shop.example", now=clock(), max_age=timedelta(minutes=5))


def test_it_does_not_show_its_key(wallet: Wallet) -> None:
    assert "signer" not in repr(wallet.identifier(BRAND))
