"""The brand's desk for points: award for an order, and sign the corridor it has agreed to.

The brand's key signs here and nowhere else; the points service only carries out.
"""

from typing import Annotated, Any, Final

from counterfoil_credentials.errors import Reason, Refused
from counterfoil_issuer.issuer import Issuer
from counterfoil_loyalty.accounts import PointsSigner, account_from
from counterfoil_loyalty.client import PointsClient
from counterfoil_loyalty.points import Points
from counterfoil_service.access import BearerKey
from fastapi import APIRouter, Body, Depends

from counterfoil_demo.houses import AURICLE, VELORUM, House
from counterfoil_demo.programmes import (
    PROGRAMMES,
    RATE,
    TERMS_END_AT,
    TERMS_VERSION,
    points_for,
)

_LONGEST: Final = 64


def points_desk(
    house: House,
    issuer: Issuer,
    points: PointsClient,
    signer: PointsSigner,
    *,
    refs_secret: bytes,
    back_office_key: str,
) -> APIRouter:
    """Give the routes under `/back-office/points`, for the brand's own staff and systems.

    `refs_secret` keys the refs of awards, so that no order number can be read from the chain.
    """
    desk = APIRouter(
        prefix="/back-office/points", dependencies=[Depends(BearerKey(back_office_key))]
    )

    @desk.post("/register")
    def register() -> dict[str, Any]:
        # The brand signs what it wants; the operator of the points service admits it.
        ours = PROGRAMMES[house.name]
        return points.sign_registration(
            signer, brand=house.origin, name=ours.name, symbol=ours.symbol, price=ours.price
        )

    @desk.post("/corridor")
    def sign_corridor() -> dict[str, str]:
        # Each brand signs the terms that stand in its own book, not what a caller sends.
        terms = points.terms(
            AURICLE.origin, VELORUM.origin, RATE, version=TERMS_VERSION, ends_at=TERMS_END_AT
        )
        return {"signature": points.sign_terms(terms, signer).hex()}

    @desk.post("/awards")
    def award(
        order: Annotated[str, Body(max_length=_LONGEST)],
        email: Annotated[str, Body(max_length=254)],
        account: Annotated[str, Body(max_length=_LONGEST)],
    ) -> dict[str, str | int]:
        for found in issuer.orders_of(email):
            if found.number == order:
                earned = Points(house.origin, points_for(found.total))
                to = account_from(account, "account")
                ref = points.award(signer, earned, to, order=order, secret=refs_secret)
                return {"ref": ref, "units": earned.units}
        raise Refused(Reason("order-unknown", "an order of this customer", "none", "order"))

    return desk
