"""Awards by a root, for who publishes them and for who claims.

award_by_roots(desk)                                   # once: the brand's policy says so
publish_totals(desk, {account: units}, epoch=7)        # everybody's, since the beginning

claimable(client, accounts, brand)                     # Points
claim_earned(client, accounts, brand)                  # Points, now hers; again is nothing
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote as percent

from counterfoil_credentials.encoding import JsonObject, int_at, list_at, text_at
from counterfoil_credentials.errors import Malformed

from counterfoil_loyalty.accounts import Account, PointsAccounts
from counterfoil_loyalty.brand_desk import BrandDesk
from counterfoil_loyalty.client import PointsClient
from counterfoil_loyalty.common_contracts import Common, account_of
from counterfoil_loyalty.earn_tree import MAX_PROOF, EarnTree
from counterfoil_loyalty.earning import EarnRoot
from counterfoil_loyalty.intents import sign_by_brand
from counterfoil_loyalty.points import Points


def award_by_roots(desk: BrandDesk) -> None:
    """Let roots award the brand's points, within the issuer's bucket; signed by the admin."""
    desk.govern(replace(desk.policy(), earn_roots=account_of(Common.EARN_ROOTS)))


def publish_totals(desk: BrandDesk, totals: Mapping[Account, int], *, epoch: int) -> str:
    """Publish what everybody has earned since the beginning; give the transaction.

    `totals` are base units, at most `earn_lists.MAX_LISTED` accounts; `epoch` is above that
    before. Signed by the issuer of the policy. The same again is once.
    """
    client = desk.client
    root = EarnRoot(
        token=client.programme(desk.brand).token,
        root=EarnTree(totals).root,
        epoch=epoch,
        total=sum(totals.values()),
    )
    listed: JsonObject = {str(account): units for account, units in totals.items()}
    body: JsonObject = {
        "brand": desk.brand,
        "root": root.root.hex(),
        "epoch": epoch,
        "total": root.total,
        "totals": listed,
        "signature": sign_by_brand(root, client.venue(), desk.signer).hex(),
    }
    return text_at(client.send("/earn-roots", body), "transaction", "earn-roots")


@dataclass(frozen=True, slots=True)
class _Part:
    account: Account
    total: int
    claimable: int
    proof: tuple[str, ...]


def claimable(client: PointsClient, accounts: PointsAccounts, brand: str) -> Points:
    """Give what a customer may claim of a brand's points: earned, and not hers yet."""
    return Points(brand, _part(client, accounts, brand).claimable)


def claim_earned(client: PointsClient, accounts: PointsAccounts, brand: str) -> Points:
    """Claim all that is claimable, and give it; nothing left is no points, and no error.

    Raises `Unavailable` while it is under way: the same again asks how it stands.
    """
    part = _part(client, accounts, brand)
    if part.claimable > 0:
        body: JsonObject = {
            "brand": brand,
            "account": part.account,
            "total": part.total,
            "proof": list(part.proof),
        }
        client.send("/earn-claims", body)
    return Points(brand, part.claimable)


def _part(client: PointsClient, accounts: PointsAccounts, brand: str) -> _Part:
    account = accounts.of(brand).account
    answer = client.ask(f"/accounts/{account}/earned?brand={percent(brand, '')}")
    proof = list_at(answer, "proof", "earned")
    if len(proof) > MAX_PROOF or not all(isinstance(it, str) for it in proof):
        raise Malformed(f"at most {MAX_PROOF} hashes", "others", "earned.proof")
    total, open_ = (int_at(answer, it, "earned") for it in ("total", "claimable"))
    if not 0 <= open_ <= total:
        raise Malformed("a claimable part of the total", "another", "earned.claimable")
    return _Part(account, total, open_, tuple(str(it) for it in proof))
