"""What a brand issues, as data: credential types, what each shows, and for how long it lasts.

A claim is either always disclosed or concealed, so that the holder may withhold
it. The names follow UBL 2.4's purchase receipt, schema.org's and GS1's
`WarrantyPromise`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from counterfoil_credentials.claims import ClaimPath

from counterfoil_issuer.products import Assortment, parse_assortment


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimDescription:
    """One claim of a credential type: where it stands, whether it is concealed, its names."""

    path: ClaimPath
    concealed: bool
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialType:
    """A kind of credential. `name` is its configuration id and the last part of its `vct`.

    `lasts` counts from the day of issue; a type whose credentials end with what
    they promise (a warranty) counts from that end.
    """

    name: str
    names: Mapping[str, str]
    descriptions: Mapping[str, str]
    claims: tuple[ClaimDescription, ...]
    lasts: timedelta

    @property
    def concealed(self) -> tuple[ClaimPath, ...]:
        """The claims that a holder may withhold."""
        return tuple(claim.path for claim in self.claims if claim.concealed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Everything a brand issues: its assortment, and the credential types by name."""

    assortment: Assortment
    types: Mapping[str, CredentialType]


def _shown(*path: str | None, en: str, zh: str) -> ClaimDescription:
    return ClaimDescription(path=path, concealed=False, names={"en": en, "zh": zh})


def _concealed(*path: str | None, en: str, zh: str) -> ClaimDescription:
    return ClaimDescription(path=path, concealed=True, names={"en": en, "zh": zh})


RECEIPT: Final = CredentialType(
    name="receipt",
    names={"en": "Purchase receipt", "zh": "购买凭证"},
    descriptions={
        "en": "What was bought, when, and for how much.",
        "zh": "所购商品、购买时间与金额。",
    },
    claims=(
        _shown("currency", en="Currency", zh="货币"),
        _concealed("order", en="Order", zh="订单号"),
        _concealed("paid_at", en="Paid at", zh="付款时间"),
        # Each line is concealed as a whole and in its parts: a holder can show one
        # product out of an order, and that product without its price.
        _concealed("lines", None, en="Products", zh="商品"),
        _shown("lines", None, "name", en="Product", zh="商品名称"),
        _shown("lines", None, "gtin", en="GTIN", zh="商品条码"),
        _concealed("lines", None, "serial", en="Serial number", zh="序列号"),
        _shown("lines", None, "quantity", en="Quantity", zh="数量"),
        _concealed("lines", None, "price", en="Price", zh="单价"),
        _concealed("lines", None, "tax", en="Tax", zh="税额"),
        _concealed("tax", en="Total tax", zh="税额合计"),
        _concealed("total", en="Total", zh="总金额"),
        _concealed("buyer", "name", en="Buyer", zh="购买人"),
        _concealed("buyer", "email", en="E-mail", zh="电子邮箱"),
    ),
    lasts=timedelta(days=3650),
)

WARRANTY: Final = CredentialType(
    name="warranty",
    names={"en": "Warranty", "zh": "保修凭证"},
    descriptions={
        "en": "The maker repairs or replaces this item until the day shown.",
        "zh": "在所示日期之前，制造商负责维修或更换该商品。",
    },
    claims=(
        _shown("item", "name", en="Product", zh="商品名称"),
        _shown("item", "gtin", en="GTIN", zh="商品条码"),
        _shown("item", "serial", en="Serial number", zh="序列号"),
        _shown("valid_until", en="Valid until", zh="有效期至"),
        _concealed("valid_from", en="Valid from", zh="生效日期"),
        _concealed("price", en="Price", zh="单价"),
        _concealed("currency", en="Currency", zh="货币"),
        _concealed("buyer", "name", en="Buyer", zh="购买人"),
    ),
    # The credential outlives the warranty: a counter then says "ended in March",
    # which helps the customer, and not "expired", which could mean anything.
    lasts=timedelta(days=365),
)

STANDARD_TYPES: Final[Mapping[str, CredentialType]] = {
    RECEIPT.name: RECEIPT,
    WARRANTY.name: WARRANTY,
}


def parse_catalogue(data: bytes) -> Catalogue:
    """Give the catalogue of the brand whose JSON file holds `data`, with the standard types.

    The file's shape stands in `products.py`. Raises `Malformed`.
    """
    return Catalogue(assortment=parse_assortment(data), types=STANDARD_TYPES)
