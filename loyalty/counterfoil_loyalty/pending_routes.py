"""Awards that wait, over HTTP: what one account has been promised and has not been given yet."""

from typing import Any

from fastapi import APIRouter

from counterfoil_loyalty.accounts import account_from
from counterfoil_loyalty.service import PointsService


def pending_routes(service: PointsService) -> APIRouter:
    """Give the route over `service`; it shows what `/events` shows, for one account."""
    router = APIRouter()

    @router.get("/accounts/{account}/pending")
    def pending(account: str) -> dict[str, Any]:
        found = service.pending_awards(account_from(account, "account"))
        names = {brand.token: brand.brand for brand in service.brands()}
        return {
            "pending": [
                {
                    "brand": names[award.token],
                    "units": award.units,
                    "reference": award.ref,
                    "at": award.at,
                    "available_at": award.available_at,
                    "state": award.state.value,
                }
                for award in found
            ]
        }

    return router
