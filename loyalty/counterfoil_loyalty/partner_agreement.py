"""What two brands signed, in words: each sentence is filled from `Terms`, and from nothing else.

    agreement_words(terms, giver=audio, taker=bicycle)         # sentences, English and Chinese
    exit_words(terms, notice_at=now, giver=audio, taker=bicycle)

For the people who sign, and for a page that shows what was signed. Whole numbers are written
as they were signed; amounts of points in whole points and hundredths, money in units of the
settlement currency. There is no sentence that is not a field, and no field without one.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from counterfoil_credentials.errors import Misuse, Reason, Refused

from counterfoil_loyalty.intents import Terms
from counterfoil_loyalty.rates import PART, PERIOD_S
from counterfoil_loyalty.store import Brand

_UNIT: Final = 100
_MILLION: Final = 1_000_000
_SPANS: Final = (
    (86_400, "day", "days", "天"),
    (3_600, "hour", "hours", "小时"),
    (60, "minute", "minutes", "分钟"),
    (1, "second", "seconds", "秒"),
)

Topic = Literal[
    "parties", "version", "rate", "prices", "quota", "customer-quota", "credit", "settlement",
    "change", "notice", "end", "exit", "points",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sentence:
    """One thing that was agreed. `topic` is a word for programs."""

    topic: Topic
    en: str
    zh: str


def agreement_words(terms: Terms, *, giver: Brand, taker: Brand) -> tuple[Sentence, ...]:
    """Give what both brands signed, in the order in which it is read out.

    `giver`'s points are given up, `taker`'s are received. Raises `Misuse` for brands that
    are not those of the terms.
    """
    _require_parties(terms, giver, taker)
    give, take, limits = giver.brand, taker.brand, terms.limits
    rate_in, rate_out = _points(terms.rate.denominator), _points(terms.rate.numerator)
    span, span_zh = _span(limits.epoch_s)
    notice, notice_zh = _span(limits.notice_s)
    wait, wait_zh = _span(PERIOD_S)
    ends = _at(terms.ends_at)
    credit = _money(limits.credit)
    price_in, price_out = _money(terms.price_in * _UNIT), _money(terms.price_out * _UNIT)
    quota, customer_quota = _points(limits.quota), _points(limits.customer_quota)
    return (
        Sentence(
            "parties",
            f"Customers of {give} may turn its points into points of {take}.",
            f"{give} 的顾客可将其积分兑换为 {take} 的积分。",
        ),
        Sentence(
            "version",
            f"These are terms of version {terms.version}.",
            f"本条款为第 {terms.version} 版。",
        ),
        Sentence(
            "rate",
            f"For {rate_in} points of {give} a customer receives {rate_out} points of {take},"
            " rounded down to a hundredth of a point.",
            f"每 {rate_in} 分 {give} 积分可兑换 {rate_out} 分 {take} 积分，向下取整至百分之一分。",
        ),
        Sentence(
            "prices",
            f"One point of {give} is worth {price_in} of the settlement currency,"
            f" one of {take} {price_out}.",
            f"按结算货币计，{give} 每分值 {price_in}，{take} 每分值 {price_out}。",
        ),
        Sentence(
            "quota",
            f"All customers together give up at most {quota} points of {give} in each {span}.",
            f"每 {span_zh}内，全部顾客合计最多兑出 {quota} 分 {give} 积分。",
        ),
        Sentence(
            "customer-quota",
            f"One account gives up at most {customer_quota} points of {give} in each {span}.",
            f"每 {span_zh}内，单个账户最多兑出 {customer_quota} 分 {give} 积分。",
        ),
        Sentence(
            "credit",
            f"{give} owes {take} at most {credit} of the settlement currency without collateral.",
            f"{give} 在无抵押的情况下最多欠 {take} {credit}（结算货币）。",
        ),
        Sentence(
            "settlement",
            f"What customers receive, at the price of {take}, is what {give} owes;"
            " anybody may pay it, and debts around a cycle are netted.",
            f"{give} 的欠款为顾客所得积分按 {take} 价格计算的金额；"
            "任何人均可代为支付，循环债务相互抵销。",
        ),
        Sentence(
            "change",
            f"Worse terms wait {wait}, and in that time a rate falls by at most one part in"
            f" {PART}; safer ones hold at once.",
            f"更不利的条款须等待 {wait_zh}后生效，其间兑换率最多下降 {PART} 分之一；"
            "更安全的条款立即生效。",
        ),
        Sentence(
            "notice",
            f"Either brand may leave earlier, with {notice} of notice.",
            f"任一品牌可提前 {notice_zh}通知后退出。",
        ),
        Sentence("end", f"The terms end on {ends}.", f"本条款于 {ends} 终止。"),
        Sentence(
            "points",
            "After the end nothing more is exchanged; points stay with their holders, and what"
            " is owed stays owed until it is paid.",
            "终止后不再兑换；积分仍归持有人所有，未结欠款在付清前继续有效。",
        ),
    )


def earliest_end(terms: Terms, notice_at: int) -> int:
    """Give the first second at which a brand that says so at `notice_at` may be out (unix).

    Never after the end that was agreed anyway. Raises `Refused` (`no-corridor`) after it.
    """
    if notice_at >= terms.ends_at:
        raise Refused(Reason("no-corridor", "terms in force", "terms that ended", "terms"))
    return min(notice_at + terms.limits.notice_s, terms.ends_at)


def exit_words(terms: Terms, *, notice_at: int, giver: Brand, taker: Brand) -> tuple[Sentence, ...]:
    """Give what happens, and when, if one of the brands gives notice at `notice_at` (unix).

    Raises as `earliest_end` does.
    """
    _require_parties(terms, giver, taker)
    end = earliest_end(terms, notice_at)
    said, out = _at(notice_at), _at(end)
    give, take = giver.brand, taker.brand
    return (
        Sentence(
            "exit",
            f"With notice given on {said}, exchanges from {give} to {take} end on {out}.",
            f"若于 {said} 发出通知，从 {give} 到 {take} 的兑换于 {out} 终止。",
        ),
        Sentence(
            "points",
            "Until then they go on as agreed; afterwards points are redeemed as ever, and what"
            " is owed stays owed until it is paid.",
            "在此之前兑换照常进行；此后积分仍可照常使用，未结欠款在付清前继续有效。",
        ),
    )


def _require_parties(terms: Terms, giver: Brand, taker: Brand) -> None:
    if (terms.token_in, terms.token_out) != (giver.token, taker.token):
        raise Misuse("expected the two brands of the terms, found others")


def _points(units: int) -> str:
    whole, rest = divmod(units, _UNIT)
    return f"{whole:,}.{rest:02}"


def _money(millionths: int) -> str:
    whole, rest = divmod(millionths, _MILLION)
    return f"{whole:,}.{rest:06}"


def _span(seconds: int) -> tuple[str, str]:
    """Give a span in the largest unit that it is a whole number of."""
    for size, one, more, zh in _SPANS:
        if seconds % size == 0 and seconds:
            count = seconds // size
            return f"{count} {one if count == 1 else more}", f"{count} {zh}"
    return "0 seconds", "0 秒"


def _at(unix: int) -> str:
    try:
        return f"{datetime.fromtimestamp(unix, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError):
        return f"second {unix} after 1970"  # A contract counts further than a calendar.
