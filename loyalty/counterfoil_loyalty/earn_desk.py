"""Awards by a root at the points service: a brand publishes its list, a customer claims her part.

    desk = EarnDesk(service)
    desk.publish(root, signature, totals)      # signed by the brand's issuer
    desk.earned(brand, account)                # her total, her proof, what is still to claim
    desk.claim(brand, account, total, proof)   # anybody may send it; it mints to her alone

The list is held against the root before anything is sent, and is kept once the root
stands in a block; the same again is answered as the first.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from counterfoil_credentials.errors import Reason, Refused

from counterfoil_loyalty.accounts import Account, require_signature
from counterfoil_loyalty.earn_lists import EarnList
from counterfoil_loyalty.earn_tree import EarnTree
from counterfoil_loyalty.earning import ClaimEarned, EarnRoot, PostEarnRoot
from counterfoil_loyalty.service import Done, Pending, PointsService

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Earned:
    """What the newest list gives an account since the beginning, and what of it is to claim."""

    total: int
    claimable: int
    proof: tuple[bytes, ...]


class EarnDesk:
    """The awards by roots of every brand at one service. Safe for several threads."""

    def __init__(self, service: PointsService) -> None:
        self._service = service
        self._trees: dict[Account, tuple[int, EarnTree]] = {}

    def publish(
        self, root: EarnRoot, signature: bytes, totals: Mapping[Account, int]
    ) -> Done | Pending:
        """Put a root into force and keep its list.

        Raises `Refused` with `list-not-of-root` when root or sum are not those of the list.
        """
        service = self._service
        brand = next((it for it in service.brands() if it.token == root.token), None)
        policy = service.standing().brand(root.token).policy
        issuer = policy.issuer if policy is not None else brand.issuer if brand else None
        if issuer is not None:
            # Before the list is hashed: strangers make us work for nobody.
            venue = service.identity.venue
            require_signature(issuer, root.digest(venue), signature, "root.signature")
        if sum(totals.values()) != root.total or EarnTree(totals).root != root.root:
            raise Refused(Reason("list-not-of-root", "the root of this list", "another's", "root"))
        done = service.perform(PostEarnRoot(root, signature))
        if isinstance(done, Done):
            service.earn_lists.keep(root.token, EarnList(epoch=root.epoch, totals=totals))
        return done

    def earned(self, brand: str, account: Account) -> Earned:
        """Give an account's part of the newest list; nothing for one that is not in it."""
        token = self._service.brand(brand).token
        listed = self._service.earn_lists.latest(token)
        total = 0 if listed is None else listed.totals.get(account, 0)
        if listed is None or total == 0:
            return Earned(0, 0, ())
        proof = self._tree(token, listed).proof(account)
        return Earned(total, max(0, total - self._claimed(token, account)), proof)

    def claim(
        self, brand: str, account: Account, total: int, proof: tuple[bytes, ...]
    ) -> Done | Pending:
        """Mint what is above what was claimed before; the proof decides, whoever sends it."""
        token = self._service.brand(brand).token
        return self._service.perform(ClaimEarned(token, account, total, proof))

    def _tree(self, token: Account, listed: EarnList) -> EarnTree:
        epoch, tree = self._trees.get(token, (None, None))
        if tree is None or epoch != listed.epoch:
            tree = EarnTree(listed.totals)
            self._trees[token] = (listed.epoch, tree)
        return tree

    def _claimed(self, token: Account, account: Account) -> int:
        claimed, after = 0, -1
        while True:
            page = self._service.history(account, after=after, limit=_PAGE)
            claimed += sum(
                it.units
                for it in page
                # An award by a root is one without a ref.
                if it.token == token and it.kind == "awarded" and not it.reference
            )
            if len(page) < _PAGE:
                return claimed
            after = page[-1].block
