"""Money: whole minor units inside, decimal texts outside, never a float.

ISO 4217 says how many digits a currency has after the point.
"""

import re
from collections.abc import Sequence
from typing import Final

from counterfoil_credentials.errors import Malformed

MAX_MINOR_UNITS: Final = 10**12

_TWO_DIGITS: Final = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD "
    "CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ "
    "GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL "
    "MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR "
    "PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SYP SZL THB TJS TMT TOP "
    "TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD YER ZAR ZMW ZWG"
)
_NO_DIGITS: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE_DIGITS: Final = "BHD IQD JOD KWD LYD OMR TND"

DIGITS: Final[dict[str, int]] = {
    **dict.fromkeys(_TWO_DIGITS.split(), 2),
    **dict.fromkeys(_NO_DIGITS.split(), 0),
    **dict.fromkeys(_THREE_DIGITS.split(), 3),
}
"""Digits after the point, by currency code."""

_AMOUNT: Final = re.compile(r"([0-9]{1,12})(?:\.([0-9]+))?\Z")
_LIKE_AN_AMOUNT: Final = re.compile(r"[-+]?[0-9.,]{1,9}\Z")


def parse_amount(text: str, currency: str, where: str) -> int:
    """Give the whole minor units in `text`: "349.00" EUR is 34900, "349" JPY is 349.

    Raises `Malformed` for a sign, a thousands mark, a digit beyond the minor unit.
    """
    digits = DIGITS[currency]
    expected = f"an amount in {currency} with at most {digits} digits after the point"
    match = _AMOUNT.match(text)
    fraction = (match[2] or "") if match else ""
    if match is None or len(fraction) > digits:
        # Only what looks like an amount is repeated: the cell beside it may hold a name.
        found = f'"{text}"' if _LIKE_AN_AMOUNT.match(text) else "another text"
        raise Malformed(expected, found, where)
    amount = int(match[1] + fraction.ljust(digits, "0"))
    if amount > MAX_MINOR_UNITS:
        raise Malformed(f"at most {MAX_MINOR_UNITS} minor units", "more", where)
    return amount


def amount_text(amount: int, currency: str) -> str:
    """Give the decimal text of whole minor units: 34900 EUR is "349.00"."""
    digits = DIGITS[currency]
    if digits == 0:
        return str(amount)
    whole, fraction = divmod(amount, 10**digits)
    return f"{whole}.{fraction:0{digits}}"


def split_amount(amount: int, weights: Sequence[int]) -> list[int]:
    """Split `amount` in proportion to `weights`; the parts are whole and add up to it.

    What rounding leaves over goes to the largest remainders, the first of equals
    first. When every weight is zero, the first part takes all.
    """
    total = sum(weights)
    if total == 0:
        return [amount if i == 0 else 0 for i in range(len(weights))]
    parts = [amount * weight // total for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: -(amount * weights[i] % total))
    for i in by_remainder[: amount - sum(parts)]:
        parts[i] += 1
    return parts
