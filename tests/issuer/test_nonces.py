"""Nonces: one use, one brand, one life, one spelling."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from counterfoil_credentials.encoding import b64url, from_b64url
from counterfoil_credentials.errors import Refused
from counterfoil_issuer.nonces import NonceUse, check_nonce, make_nonce

from tests.conftest import Clock

KEY = b"a secret of the audio brand only"
LASTS = timedelta(minutes=5)
CODES = {
    NonceUse.PROOF: "invalid_nonce",
    NonceUse.DPOP: "use_dpop_nonce",
    NonceUse.ATTESTATION: "use_attestation_challenge",
}


@pytest.fixture
def nonce(clock: Clock, random_bytes: Callable[[int], bytes]) -> str:
    return make_nonce(KEY, NonceUse.PROOF, now=clock(), random=random_bytes)


def refused(nonce: str, clock: Clock, use: NonceUse = NonceUse.PROOF, key: bytes = KEY) -> str:
    with pytest.raises(Refused) as refusal:
        check_nonce(nonce, key, use, now=clock(), lasts=LASTS)
    return refusal.value.codes[0]


def test_a_nonce_is_good_until_it_ends(nonce: str, clock: Clock) -> None:
    ends_at = check_nonce(nonce, KEY, NonceUse.PROOF, now=clock(), lasts=LASTS)
    assert ends_at == clock() + LASTS

    clock.advance(LASTS - timedelta(seconds=1))
    assert check_nonce(nonce, KEY, NonceUse.PROOF, now=clock(), lasts=LASTS) == ends_at
    clock.advance(timedelta(seconds=1))
    assert refused(nonce, clock) == "invalid_nonce"


def test_a_clock_may_be_a_minute_behind_the_one_that_made_the_nonce(
    nonce: str, clock: Clock
) -> None:
    clock.advance(-timedelta(seconds=60))
    assert check_nonce(nonce, KEY, NonceUse.PROOF, now=clock(), lasts=LASTS) > clock()
    clock.advance(-timedelta(seconds=1))
    assert refused(nonce, clock) == "invalid_nonce"


@pytest.mark.parametrize("made_for", NonceUse)
@pytest.mark.parametrize("used_for", NonceUse)
def test_a_nonce_for_one_use_is_none_for_another(
    clock: Clock, random_bytes: Callable[[int], bytes], made_for: NonceUse, used_for: NonceUse
) -> None:
    nonce = make_nonce(KEY, made_for, now=clock(), random=random_bytes)

    if made_for is used_for:
        assert check_nonce(nonce, KEY, used_for, now=clock(), lasts=LASTS) == clock() + LASTS
    else:
        assert refused(nonce, clock, used_for) == CODES[used_for]


def test_a_nonce_of_another_brand_is_refused(nonce: str, clock: Clock) -> None:
    assert refused(nonce, clock, key=KEY + b"!") == "invalid_nonce"


def test_a_nonce_with_any_one_bit_changed_is_refused(nonce: str, clock: Clock) -> None:
    data = from_b64url(nonce, "nonce")
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        assert refused(b64url(bytes(changed)), clock) == "invalid_nonce"


@pytest.mark.parametrize("text", ["", "x", "=" * 54, "A" * 54, "A" * 5000, "ü" * 54])
def test_what_nobody_made_is_refused(text: str, clock: Clock) -> None:
    assert refused(text, clock) == "invalid_nonce"


def test_a_nonce_has_one_spelling_and_one_length(nonce: str, clock: Clock) -> None:
    for other in (nonce + "=", nonce + "A", nonce[:-1], f" {nonce}", nonce[:-1] + "\u0041\u0301"):
        assert refused(other, clock) == "invalid_nonce"


def test_no_two_nonces_of_one_moment_are_equal(
    clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    made = {make_nonce(KEY, NonceUse.PROOF, now=clock(), random=random_bytes) for _ in range(1_000)}
    assert len(made) == 1_000
