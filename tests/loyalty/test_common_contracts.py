"""The walk of each contract on every kind of ledger, a real node included."""

import pytest
from counterfoil_loyalty.accounts import Account, created_account
from counterfoil_loyalty.common_contracts import Common, OpenContract, account_of

from tests.loyalty import test_brand_points as points
from tests.loyalty import test_earn_roots as roots
from tests.loyalty import test_guarantee as guarantee
from tests.loyalty import test_notary as notary
from tests.loyalty.outcomes import done, refused
from tests.loyalty.programme import DAY, NOW, Programme


def test_points_wait_are_released_redeemed_and_refunded(programme: Programme) -> None:
    done(programme, points.pending(programme, NOW + DAY))
    done(programme, points.pending(programme, NOW + DAY, name="returned"))
    done(programme, points.cancel(programme, "returned"))
    programme.clock.now = NOW + DAY
    done(programme, points.release(programme))
    done(programme, programme.redemption(400, deadline=NOW + 2 * DAY))
    done(programme, points.refund(programme))
    assert refused(programme, points.refund(programme)) == "not-redeemed"
    done(programme, points.many(programme, 1, 20, 300))
    done(programme, points.pause(programme, programme.audio, 0))
    assert refused(programme, programme.award(order="late")) == "awards-paused"
    assert programme.balance() == 1_000


def test_a_root_is_posted_and_claimed(programme: Programme) -> None:
    done(programme, OpenContract(Common.EARN_ROOTS))
    roots.govern(programme, version=1, capacity=10_000, refill_s=DAY)
    earned = roots.totals(anna=250)
    done(programme, roots.root(programme, earned))
    done(programme, roots.claim(programme, earned))
    assert refused(programme, roots.claim(programme, earned)) == "nothing-to-claim"
    assert roots.held(programme) == 250


def test_a_root_is_anchored_and_a_recall_opened(programme: Programme) -> None:
    done(programme, OpenContract(Common.NOTARY))
    first = notary.anchored(7)
    done(programme, notary.signed(programme, first))
    done(programme, notary.signed(programme, notary.anchored(8, previous=first.head)))
    assert refused(programme, notary.signed(programme, notary.anchored(8))) == "old-number"
    done(programme, notary.recall(programme, 1))
    done(programme, notary.close(programme, 2))


def test_a_guarantee_ends_once(programme: Programme) -> None:
    done(programme, OpenContract(Common.GUARANTEE))
    done(programme, programme.award(1_000, to=guarantee.SHOP.account))
    it = guarantee.guarantee(programme)
    done(programme, guarantee.opening(programme.venue, it))
    done(programme, guarantee.refund(programme.venue, it))
    kept = guarantee.fulfilment(programme.venue, it)
    assert refused(programme, kept) == "guarantee-not-open"
    assert guarantee.held(programme) == (600, 400, 0)


@pytest.mark.parametrize(
    ("creator", "salt", "code", "account"),
    [  # EIP-1014, "Examples".
        (
            "0x0000000000000000000000000000000000000000",
            bytes(32),
            "00",
            "0x4D1A2e2bB4F88F0250f26Ffff098B0b30B26BF38",
        ),
        (
            "0xdeadbeef00000000000000000000000000000000",
            bytes(32),
            "00",
            "0xB928f69Bb1D91Cd65274e3c79d8986362984fDA3",
        ),
        (
            "0x00000000000000000000000000000000deadbeef",
            bytes.fromhex("cafebabe".rjust(64, "0")),
            "deadbeef",
            "0x60f3f640a8508fC6a86d45DF051962668E1e8AC7",
        ),
    ],
)
def test_a_contract_s_account_follows_from_its_code(
    creator: str, salt: bytes, code: str, account: str
) -> None:
    assert created_account(Account(creator), salt, bytes.fromhex(code)) == account
    assert len({account_of(contract) for contract in Common}) == len(Common)
