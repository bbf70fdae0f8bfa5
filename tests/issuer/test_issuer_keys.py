"""An issuer whose keys rotate while it issues: what was signed before stays verifiable."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Misuse, Refused
from counterfoil_credentials.issuer_keys import issuer_key_named, parse_issuer_keys
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import read_credential
from counterfoil_credentials.token_status_list import read_status_list
from counterfoil_issuer.catalogue import parse_catalogue
from counterfoil_issuer.issuer import Issuer, IssuerOptions
from counterfoil_issuer.key_ring import KEYS_ARE_CACHED
from counterfoil_issuer.key_ring_file import FileKeys
from counterfoil_issuer.sql_searching import latest_end
from counterfoil_issuer.sql_store import SqlStore

from tests.conftest import Clock
from tests.issuer.brand import AUDIO, CATALOGUE, ORDERS, SECRET, Customer

DAY = timedelta(days=1)
YEAR = timedelta(days=365)


@pytest.fixture
def keys(tmp_path: Path, clock: Clock) -> FileKeys:
    return FileKeys(tmp_path / "keys.json", clock=clock)


@pytest.fixture
def issuer(
    store: SqlStore, keys: FileKeys, clock: Clock, random_bytes: Callable[[int], bytes]
) -> Issuer:
    issuer = Issuer(
        url=AUDIO,
        catalogue=parse_catalogue(CATALOGUE),
        keys=keys,
        secret=SECRET,
        store=store,
        options=IssuerOptions(status_list_size=64),
        clock=clock,
        random=random_bytes,
    )
    issuer.import_orders(ORDERS)
    return issuer


def rotate(keys: FileKeys, store: SqlStore, clock: Clock) -> None:
    def in_force_until(issued_before: datetime) -> datetime | None:
        with store.reading() as held:
            return latest_end(held.connection, issued_before)

    keys.change(lambda ring: ring.rotated(clock(), in_force_until=in_force_until))
    clock.advance(KEYS_ARE_CACHED)


def names_in(text: str) -> str | None:
    return read_credential(SdJwt.parse(text)).key_id


def test_a_credential_of_the_first_key_is_verified_after_the_fifth_rotation(
    issuer: Issuer, customer: Customer, keys: FileKeys, store: SqlStore, clock: Clock
) -> None:
    receipt, _ = customer.accept(issuer.offer("#1001").offers[0])
    for _ in range(5):
        clock.advance(YEAR)
        rotate(keys, store, clock)

    ends_at = customer.verified(receipt).expires_at
    assert ends_at is not None
    assert clock() < ends_at
    assert len(keys.ring().published) == 6


def test_what_is_signed_after_a_rotation_names_the_new_key(
    issuer: Issuer, customer: Customer, keys: FileKeys, store: SqlStore, clock: Clock
) -> None:
    before, _ = customer.accept(issuer.offer("#1001").offers[0])
    (old,) = keys.ring().published
    rotate(keys, store, clock)
    after, _ = customer.accept(issuer.offer("#1002").offers[0])
    new = keys.ring().published[0]

    assert [names_in(one.credentials[0]) for one in (before, after)] == [
        old.thumbprint(),
        new.thumbprint(),
    ]
    for issued in (before, after):
        customer.verified(issued)
    # The list changed with what was issued last, so the new key has signed it.
    clock.advance(DAY)
    token = issuer.status_list(1)
    assert token is not None
    url = f"{AUDIO}/status-lists/1"
    read_status_list(token, url=url, issuer_key=new, now=clock())
    with pytest.raises(Refused):
        read_status_list(token, url=url, issuer_key=old, now=clock())


def test_a_key_of_which_nothing_is_left_is_published_no_more(
    issuer: Issuer, customer: Customer, keys: FileKeys, store: SqlStore, clock: Clock
) -> None:
    receipt, _ = customer.accept(issuer.offer("#1001").offers[0])
    first = keys.ring().published[0]
    rotate(keys, store, clock)
    ends_at = customer.verified(receipt).expires_at
    assert ends_at is not None
    clock.now = ends_at - timedelta(seconds=1)
    rotate(keys, store, clock)
    assert first in keys.ring().published

    clock.now = ends_at + DAY
    rotate(keys, store, clock)
    assert first not in keys.ring().published


def test_a_list_that_a_stolen_key_has_signed_is_signed_anew_at_once(
    issuer: Issuer, customer: Customer, keys: FileKeys, clock: Clock
) -> None:
    customer.accept(issuer.offer("#1001").offers[0])
    (stolen,) = keys.ring().published
    before = issuer.status_list(1)
    assert before == issuer.status_list(1)

    keys.change(lambda ring: ring.withdrawn(stolen.thumbprint(), clock()))
    published = parse_issuer_keys(issuer.keys_document(), AUDIO)
    after = issuer.status_list(1)

    assert stolen.thumbprint() not in published
    assert after is not None
    key = issuer_key_named(published, None)
    assert key is not None
    read_status_list(after, url=f"{AUDIO}/status-lists/1", issuer_key=key, now=clock())


def test_an_issuer_needs_a_signer_or_a_ring(store: SqlStore) -> None:
    assets = parse_catalogue(CATALOGUE)
    with pytest.raises(Misuse, match="signer"):
        Issuer(url=AUDIO, catalogue=assets, secret=SECRET, store=store)
    signer = MemorySigner.generate()
    issuer = Issuer(url=AUDIO, catalogue=assets, signer=signer, secret=SECRET, store=store)
    assert [*parse_issuer_keys(issuer.keys_document(), AUDIO)] == [signer.public.thumbprint()]
