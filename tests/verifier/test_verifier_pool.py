"""Many at once, in one process or in several: each has its own outcome, in order."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Misuse, Refused, Unavailable
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.requests import PresentationRequest, VpToken
from counterfoil_credentials.sdjwt_vc import StatusReference
from counterfoil_verifier import (
    WARRANTY,
    Accepted,
    CouldNotCheck,
    NotAccepted,
    PinnedTrust,
    Statuses,
    TrustedIssuer,
    Verifier,
    VerifierPool,
)
from counterfoil_verifier.outcomes import Decision

from tests.verifier.scene import (
    ISSUER,
    LIST_URL,
    MINUTE,
    RECEIPT_TYPE,
    WARRANTY_TYPE,
    Brand,
    Scene,
    warranty_claims,
)

Pair = tuple[VpToken, PresentationRequest]
Each = Callable[..., list[Decision]]
REVOKED = 3


def made(key: bytes, now: datetime, *, is_reachable: bool = True) -> Verifier:
    """Give the scene's verifier, of values alone, as another process must make it.

    Its brand has revoked one credential.
    """
    brand = Brand(lambda: now)
    brand.signer = brand.list_signer = MemorySigner.from_private_bytes(key)
    brand.listed[REVOKED], brand.is_reachable = 1, is_reachable
    trusted = TrustedIssuer(
        issuer=ISSUER, vcts=frozenset([WARRANTY_TYPE]), keys=(brand.signer.public,)
    )
    policy = WARRANTY.accepting([WARRANTY_TYPE]).policy()
    return Verifier(policy, PinnedTrust([trusted]), Statuses(brand))


def makes_a_mistake() -> Verifier:
    raise Misuse("expected a shop's settings, found none")


def ends_itself_at_first(mark: Path, make: Callable[[], Verifier]) -> Verifier:
    if multiprocessing.parent_process() is None or mark.exists():
        return make()
    mark.touch()
    os._exit(9)


@pytest.fixture(params=[0, 2], ids=["in one process", "in two more"])
def several(request: pytest.FixtureRequest, scene: Scene) -> Each:
    """Give what verifies many, in this process or in two others."""
    processes: int = request.param

    def each(pairs: Sequence[Pair], **changes: bool) -> list[Decision]:
        now = scene.clock()
        make = partial(made, scene.brand.signer.private_bytes(), now, **changes)
        if not processes:
            return make().verify_each(pairs, now=now)
        with VerifierPool(make, processes=processes) as pool:
            return pool.verify_each(pairs, now=now)

    return each


def good_pair(scene: Scene) -> Pair:
    request = scene.request()
    return scene.present(scene.warranty(), request), request


def test_each_of_many_gets_its_own_outcome_in_order(scene: Scene, several: Each) -> None:
    shown, good = good_pair(scene)
    revoked = scene.warranty(status=StatusReference(LIST_URL, REVOKED))
    pairs: list[Pair] = [
        (shown, good),
        (shown, scene.request()),
        ({"warranty": ("no presentation",)}, good),
        ({}, good),
        (scene.present(scene.warranty(vct=RECEIPT_TYPE), good), good),
        (shown, replace(good, expires_at=scene.clock())),
        (scene.present(revoked, good), good),
    ] * 25

    outcomes = several(pairs)

    told = [one.codes if isinstance(one, Refused) else type(one) for one in outcomes]
    assert (
        told
        == [
            Accepted,
            ["nonce-mismatch"],
            ["malformed"],
            ["credential-missing"],
            ["issuer-not-trusted-for-type"],
            ["request-expired"],
            ["revoked"],
        ]
        * 25
    )
    accepted, refused = outcomes[0], outcomes[6]
    assert isinstance(accepted, Accepted)
    assert isinstance(refused, NotAccepted)
    assert accepted.claims["warranty"]["item"] == warranty_claims()["item"]
    assert accepted.status_as_of == refused.status_as_of == scene.clock()
    assert several([]) == []


def test_a_silent_brand_leaves_each_of_many_open(scene: Scene, several: Each) -> None:
    outcomes = several([good_pair(scene)] * 3, is_reachable=False)

    assert all(isinstance(one, Unavailable) for one in outcomes)
    assert {one.codes[0] for one in outcomes if isinstance(one, CouldNotCheck)} == {
        "status-unreachable"
    }
    assert all(isinstance(one, Exception) and one.__traceback__ is None for one in outcomes)


def test_our_own_mistake_ends_the_batch(scene: Scene, several: Each) -> None:
    request = scene.request(transaction_data=("e30",))
    pair = (scene.present(scene.warranty(), request, now=scene.clock() - MINUTE), request)

    with pytest.raises(Misuse):
        several([pair])


def test_what_is_wrong_with_a_verifier_reaches_who_asked_for_it(scene: Scene) -> None:
    with (
        VerifierPool(makes_a_mistake, processes=1) as pool,
        pytest.raises(Misuse, match="expected a shop's settings, found none"),
    ):
        pool.verify_each([good_pair(scene)], now=scene.clock())


def test_a_process_that_ends_is_an_open_question_and_the_next_batch_has_new_ones(
    scene: Scene, tmp_path: Path
) -> None:
    now, pairs = scene.clock(), [good_pair(scene)] * 2
    make = partial(made, scene.brand.signer.private_bytes(), now)
    with VerifierPool(partial(ends_itself_at_first, tmp_path / "ended", make), processes=2) as pool:
        with pytest.raises(Unavailable, match="found one that ended"):
            pool.verify_each(pairs, now=now)

        outcomes = pool.verify_each(pairs, now=now)

    assert [type(one) for one in outcomes] == [Accepted] * 2


def test_a_pool_without_processes_is_a_mistake() -> None:
    with pytest.raises(Misuse, match="expected at least one process, found -1"):
        VerifierPool(makes_a_mistake, processes=-1)
