"""What a brand runs: it offers, issues and revokes credentials for what it sold.

    issuer = Issuer(url="https://audio.example", catalogue=parse_catalogue(file),
                    signer=signer, secret=secret, store=SqlStore(file))
    issuer.import_orders(orders_csv)
    offered = issuer.offer("#1001")            # offered.offers[0].link, .tx_code
    issuer.revoke(credential_id, RevocationReason.GOODS_RETURNED)

The service over HTTP is `counterfoil_issuer.app.create_app(issuer, …)`, the store
`counterfoil_issuer.sql_store.SqlStore`.
"""

from counterfoil_issuer.catalogue import (
    RECEIPT,
    WARRANTY,
    Catalogue,
    CredentialType,
    parse_catalogue,
)
from counterfoil_issuer.deferred import Deferred
from counterfoil_issuer.importing import CellError
from counterfoil_issuer.issuer import ImportReport, Issuer, IssuerOptions
from counterfoil_issuer.issuing import Issued
from counterfoil_issuer.offering import Grant, Offered, OpenOffer
from counterfoil_issuer.orders import Order, OrderLine
from counterfoil_issuer.records import Dataset, Issuance, RevocationReason, Summary
from counterfoil_issuer.store import Store
from counterfoil_issuer.tokens import AccessToken, Presented

__all__ = [
    "RECEIPT",
    "WARRANTY",
    "AccessToken",
    "Catalogue",
    "CellError",
    "CredentialType",
    "Dataset",
    "Deferred",
    "Grant",
    "ImportReport",
    "Issuance",
    "Issued",
    "Issuer",
    "IssuerOptions",
    "Offered",
    "OpenOffer",
    "Order",
    "OrderLine",
    "Presented",
    "RevocationReason",
    "Store",
    "Summary",
    "parse_catalogue",
]
