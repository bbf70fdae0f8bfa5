"""One root for everybody: a total is minted once, and no root passes the issuer's limit."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_loyalty.accounts import Account, PointsSigner
from counterfoil_loyalty.actions import GovernPoints
from counterfoil_loyalty.common_contracts import Common, OpenContract, account_of
from counterfoil_loyalty.earn_tree import EarnTree
from counterfoil_loyalty.earning import ClaimEarned, EarnRoot, PostEarnRoot
from counterfoil_loyalty.intents import sign_by_brand
from counterfoil_loyalty.issuing import Pause, Policy
from counterfoil_loyalty.ledger import EmbeddedLedger

from tests.loyalty.ledgers import empty_ledger
from tests.loyalty.outcomes import done, refused
from tests.loyalty.programme import AUDIO, BICYCLE, Programme, changed

PEOPLE = [PointsSigner(bytes([number]) * 32).account for number in range(1, 12)]
ANNA, BEN = PEOPLE[:2]
THIEF = PointsSigner(b"\x7f" * 32)


@pytest.fixture(params=["memory", "chain"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedLedger]:
    """Give the two kinds that take no process; test_common_contracts.py asks a real node."""
    yield from empty_ledger(request.param, tmp_path)


def totals(**changes: int) -> dict[Account, int]:
    known = dict.fromkeys(PEOPLE, 100)
    return {**known, **{{"anna": ANNA, "ben": BEN}[name]: units for name, units in changes.items()}}


def root(
    programme: Programme,
    earned: Mapping[Account, int],
    epoch: int = 1,
    *,
    signer: PointsSigner | None = None,
    total: int | None = None,
) -> PostEarnRoot:
    it = EarnRoot(
        token=programme.tokens[AUDIO],
        root=EarnTree(earned).root,
        epoch=epoch,
        total=sum(earned.values()) if total is None else total,
    )
    return PostEarnRoot(it, sign_by_brand(it, programme.venue, signer or programme.audio))


def claim(programme: Programme, earned: Mapping[Account, int], who: Account = ANNA) -> ClaimEarned:
    proof = EarnTree(earned).proof(who)
    return ClaimEarned(programme.tokens[AUDIO], who, earned[who], proof)


def held(programme: Programme, who: Account = ANNA) -> int:
    return programme.ledger.balance(programme.tokens[AUDIO], who)


@pytest.fixture
def opened(programme: Programme) -> Programme:
    """Give a programme whose first brand awards by roots."""
    assert programme.perform(OpenContract(Common.EARN_ROOTS)).reason is None
    govern(programme, version=1)
    return programme


def govern(programme: Programme, **changes: object) -> None:
    known: dict[str, object] = {
        "token": programme.tokens[AUDIO],
        "admin": programme.audio.account,
        "issuer": programme.audio.account,
        "earn_roots": account_of(Common.EARN_ROOTS),
    }
    policy = Policy(**{**known, **changes})  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # by name
    action = GovernPoints(policy, sign_by_brand(policy, programme.venue, programme.audio))
    done(programme, action)


def test_a_customer_claims_what_the_root_awards_and_only_the_growth_of_the_next(
    opened: Programme,
) -> None:
    first = totals(anna=250)
    assert done(opened, root(opened, first)) == ["RootPosted", "Reserved"]
    assert done(opened, claim(opened, first)) == ["Transfer", "Earned"]
    assert refused(opened, claim(opened, first)) == "nothing-to-claim"
    assert held(opened) == 250

    second = totals(anna=400)
    done(opened, root(opened, second, 2))
    assert refused(opened, claim(opened, first)) == "not-in-root"
    done(opened, claim(opened, second))
    done(opened, claim(opened, second, BEN))
    assert (held(opened), held(opened, BEN)) == (400, 100)


def test_whoever_claims_late_has_lost_nothing(opened: Programme) -> None:
    for epoch in range(1, 4):
        done(opened, root(opened, totals(anna=100 * epoch), epoch))
    done(opened, claim(opened, totals(anna=300)))
    assert held(opened) == 300


@pytest.mark.parametrize("change", [{"total": 251}, {"holder": BEN}, {"proof": ()}])
def test_a_claim_of_what_the_root_does_not_say_is_refused(
    opened: Programme, change: dict[str, object]
) -> None:
    earned = totals(anna=250)
    done(opened, root(opened, earned))
    honest = claim(opened, earned)
    values = {"holder": ANNA, "total": 250, "proof": honest.proof, **change}
    forged = ClaimEarned(opened.tokens[AUDIO], **values)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # by name
    assert refused(opened, forged) == "not-in-root"
    assert held(opened) == 0


def test_before_a_root_is_posted_nothing_can_be_claimed(opened: Programme) -> None:
    assert refused(opened, claim(opened, totals())) == "not-in-root"
    # Nor the leaf that hashes to nothing at all, with no proof.
    nothing = ClaimEarned(opened.tokens[AUDIO], ANNA, 0, ())
    assert refused(opened, nothing) == "not-in-root"


@pytest.mark.parametrize("change", [{"root": b"x" * 32}, {"epoch": 2}, {"total": 10**9}])
def test_a_root_changed_after_signing_is_refused(
    opened: Programme, change: dict[str, object]
) -> None:
    action = root(opened, totals())
    assert refused(opened, PostEarnRoot(changed(action.root, change), action.signature)) == (
        "signature-invalid"
    )
    other = changed(action.root, {"token": opened.tokens[BICYCLE]})
    assert refused(opened, PostEarnRoot(other, action.signature)) == "signature-invalid"
    assert refused(opened, root(opened, totals(), signer=THIEF)) == "signature-invalid"


def test_an_older_root_does_not_return_and_a_total_never_shrinks(opened: Programme) -> None:
    first = root(opened, totals(anna=500))
    done(opened, first)
    assert refused(opened, first) == "old-root"
    assert refused(opened, root(opened, totals(anna=400), 2)) == "total-shrank"
    done(opened, root(opened, totals(anna=500), 2))


def test_a_root_that_awards_less_to_one_takes_nothing_that_was_claimed(opened: Programme) -> None:
    done(opened, root(opened, totals(anna=500)))
    done(opened, claim(opened, totals(anna=500)))
    unkind = totals(anna=200, ben=400)
    done(opened, root(opened, unkind, 2))
    assert refused(opened, claim(opened, unkind)) == "nothing-to-claim"
    assert held(opened) == 500


def test_a_root_grows_no_faster_than_the_issuer_s_bucket(opened: Programme) -> None:
    govern(opened, version=2, capacity=2_000, refill_s=10**6)
    assert refused(opened, root(opened, totals(anna=1_001))) == "over-limit"
    done(opened, root(opened, totals(anna=900)))
    # The bucket is one: what roots took, awards have no more.
    assert refused(opened, opened.award(101)) == "over-limit"
    assert refused(opened, root(opened, totals(anna=1_001), 2)) == "over-limit"


def test_a_root_that_lies_about_its_total_mints_no_more_than_it_said(opened: Programme) -> None:
    lie = totals(anna=10**9, ben=300)
    done(opened, root(opened, lie, total=1_000))
    assert refused(opened, claim(opened, lie)) == "over-limit"
    done(opened, claim(opened, lie, BEN))
    assert opened.ledger.supply(opened.tokens[AUDIO]) == 300


def test_roots_award_only_where_the_policy_names_the_contract(opened: Programme) -> None:
    earned = totals()
    done(opened, root(opened, earned))
    govern(opened, version=2, earn_roots=THIEF.account)
    assert refused(opened, claim(opened, earned)) == "not-the-earn-roots"
    assert refused(opened, root(opened, totals(anna=200), 2)) == "not-the-earn-roots"
    govern(opened, version=3)
    done(opened, claim(opened, earned))


def test_a_pause_stops_claims_and_roots_until_it_is_over(opened: Programme) -> None:
    from counterfoil_loyalty.actions import PauseAwards

    earned = totals()
    done(opened, root(opened, earned))
    it = Pause(token=opened.tokens[AUDIO], version=1)
    done(opened, PauseAwards(it, sign_by_brand(it, opened.venue, opened.audio)))
    assert refused(opened, claim(opened, earned)) == "awards-paused"
    assert refused(opened, root(opened, totals(anna=200), 2)) == "awards-paused"
    govern(opened, version=2)
    done(opened, claim(opened, earned))


def test_points_of_strangers_and_a_contract_that_is_not_there_are_named(
    programme: Programme,
) -> None:
    with pytest.raises(Refused) as missing:
        programme.ledger.check(root(programme, totals()))
    assert missing.value.codes == ["contract-missing"]
    done(programme, OpenContract(Common.EARN_ROOTS))
    programme.tokens[AUDIO] = THIEF.account
    for action in (root(programme, totals()), claim(programme, totals())):
        with pytest.raises(Refused) as unknown:
            programme.ledger.check(action)
        assert unknown.value.codes == ["unknown-points"]


def test_a_shared_contract_is_opened_once(programme: Programme) -> None:
    for contract in Common:
        done(programme, OpenContract(contract))
        again = programme.perform(OpenContract(contract))
        assert again.reason is not None
        assert again.reason.code == "reverted"
