"""Rules over HTTP: what a brand promises, for everybody, and what a voucher stands for.

    POST  /rules                     a later version, signed by the brand
    GET   /rules?brand=…             the version in force; &version=2 one of before
    GET   /vouchers/{reference}      what was redeemed, for the brand that makes it a voucher

Whoever knows a voucher's reference may redeem it, so whoever knows it may ask; the answer
holds neither the account nor anything else of its holder.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from counterfoil_loyalty.rules_book import Published
from counterfoil_loyalty.rules_schemas import RulesBody
from counterfoil_loyalty.service import PointsService

_BrandQuery = Annotated[str, Query(min_length=1, max_length=256)]
_VersionQuery = Annotated[int | None, Query(gt=0, lt=2**31)]
_Reference = Annotated[str, Path(pattern="^[A-Z2-7-]{19}$")]


def rules_routes(service: PointsService) -> APIRouter:
    """Give the routes over `service`."""
    router = APIRouter()

    @router.post("/rules")
    def publish(body: RulesBody) -> dict[str, Any]:
        """Put a later version into force; it can never be taken back."""
        published = Published(
            version=body.version,
            rules=body.rules,
            key=body.key.model_dump(exclude_none=True),
            signature=bytes.fromhex(body.signature),
        )
        service.rules.publish(service.brand(body.brand), published)
        return {"brand": body.brand, "version": body.version}

    @router.get("/rules")
    def rules(brand: _BrandQuery, version: _VersionQuery = None) -> dict[str, Any]:
        """Give a version as the brand published it."""
        found = service.rules.published(service.brand(brand), version)
        return {
            "brand": brand,
            "version": found.version,
            "rules": found.rules,
            "key": found.key,
            "signature": found.signature.hex(),
        }

    @router.get("/vouchers/{reference}")
    def redeemed(reference: _Reference) -> dict[str, Any]:
        """Give what the reference stands for."""
        spent, movement = service.rules.redeemed(reference)
        (brand,) = [it for it in service.brands() if it.token == spent.token]
        return {
            "brand": brand.brand,
            "amount": -movement.units,
            "use": spent.use,
            "at": movement.at,
            "final": movement.is_final,
            "transaction": movement.transaction_id,
        }

    return router
