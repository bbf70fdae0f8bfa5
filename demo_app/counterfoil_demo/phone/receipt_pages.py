"""W8: the list of receipts, searched while one types, and taken along as a table."""

from itertools import groupby
from typing import Final

from fastapi import APIRouter, Request, Response

from counterfoil_demo.pages.shell import Shell
from counterfoil_demo.phone.brands import brand_of
from counterfoil_demo.phone.door import OpenWallet
from counterfoil_demo.phone.receipts import Receipts, Sought, as_csv, totals_of

PER_PAGE: Final = 50


def receipt_routes(shell: Shell, receipts: Receipts) -> APIRouter:
    """Give the list and the file."""
    routes = APIRouter()

    @routes.get("/receipts")
    def found(request: Request, wallet: OpenWallet, after: int = 0) -> Response:
        words = shell.words(request)
        sought = Sought.of(request.query_params)
        all_found = receipts.find(wallet, sought)
        after = max(after, 0)
        shown = all_found[after : after + PER_PAGE]
        months = groupby(shown, key=lambda one: (one.day.year, one.day.month))
        return shell.page(
            request,
            "phone/receipts.html",
            tab="/receipts",
            sought=sought,
            query=request.query_params,
            months=[(next(iter(ones := list(each))).day, ones) for _, each in months],
            count=len(all_found),
            has_any=bool(all_found) or any(True for _ in receipts.issuers(wallet)),
            totals=totals_of(all_found),
            after=after,
            more=after + PER_PAGE < len(all_found),
            brands=[(one, brand_of(one, words.language)) for one in receipts.issuers(wallet)],
            brand_of={one.issuer: brand_of(one.issuer, words.language) for one in shown},
        )

    @routes.get("/receipts.csv")
    def file(request: Request, wallet: OpenWallet) -> Response:
        text = as_csv(receipts.find(wallet, Sought.of(request.query_params)))
        headers = {"Content-Disposition": 'attachment; filename="receipts.csv"'}
        return Response(text, media_type="text/csv; charset=utf-8", headers=headers)

    return routes
