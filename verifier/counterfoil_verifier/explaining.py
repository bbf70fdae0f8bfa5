"""What was checked of an answer, check by check: for whoever asks why.

    for told in explain(refused.reasons, refused.unknown):
        print(told.state, told.check.en)

The order is that of `verifier.py`. What is wrong in the first five ends the walk, and
what comes after was not reached; the others are done together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from counterfoil_credentials.errors import Reason

from counterfoil_verifier.words import Words


class State(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_REACHED = "not-reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check: its name, what it looks at, and what its reasons' codes look like.

    `codes` are codes or, with a dash at the end, how they begin. `ends_the_walk` says
    that nothing after it is looked at when it fails.
    """

    name: str
    words: Words
    codes: tuple[str, ...]
    ends_the_walk: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A check, how it ended, and why."""

    check: Check
    state: State
    reasons: tuple[Reason, ...]


CHECKS: Final = (
    Check(
        name="request",
        words=Words("The request is this shop's, and was open.", "请求出自本店且未过期。"),
        codes=("request-", "client-", "wallet-nonce-"),
        ends_the_walk=True,
    ),
    Check(
        name="answer",
        words=Words("The answer has what was asked for.", "应答包含所请求的凭证。"),
        codes=(
            *("credential-missing", "credential-repeated", "credential-not-asked-for"),
            *("declined", "wallet-unavailable", "request-not-taken"),
        ),
        ends_the_walk=True,
    ),
    Check(
        name="whole",
        words=Words("What arrived is a whole presentation.", "收到的出示内容完整。"),
        codes=("malformed", "disclosure-", "digest-", "hash-algorithm-", "token-type-"),
        ends_the_walk=True,
    ),
    Check(
        name="issuer",
        words=Words("The issuer is trusted for this type.", "签发方可签发此类凭证。"),
        codes=("issuer-", "did-", "certificate-", "key-"),
        ends_the_walk=True,
    ),
    Check(
        name="signature",
        words=Words("The issuer signed it.", "签发方的签名有效。"),
        codes=("signature-", "algorithm-"),
        ends_the_walk=True,
    ),
    Check(
        name="holder",
        words=Words(
            "Its holder showed it for this request, to this shop, just now.",
            "持有人就本次请求向本店当场出示。",
        ),
        codes=(
            "key-binding-",
            "holder-key-",
            "sd-hash-",
            "nonce-",
            "audience-",
            "transaction-data-",
        ),
    ),
    Check(
        name="time",
        words=Words("It is in force.", "凭证在有效期内。"),
        codes=("expired", "not-yet-valid"),
    ),
    Check(
        name="type",
        words=Words("It is of a type that was asked for.", "凭证类型符合请求。"),
        codes=("type-", "format-", "authority-"),
    ),
    Check(
        name="claims",
        words=Words("It shows what was asked for, and no more.", "出示的内容不多不少。"),
        codes=("claim-", "discloses-"),
    ),
    Check(
        name="status",
        words=Words("Its brand has not cancelled it.", "品牌未撤销该凭证。"),
        codes=("revoked", "suspended", "status-"),
    ),
    Check(
        name="rules",
        words=Words("The shop's own rules hold.", "符合本店的规则。"),
        # Whatever no other check knows: a preset names its own codes.
        codes=("",),
    ),
)

OF_THE_ITEM: Final = Check(
    name="item",
    words=Words(
        "Nothing is said against the item (recalled, stolen, copied).",
        "该商品无召回、失窃或仿冒标签的记录。",
    ),
    codes=(
        "recalled",
        "recall-",
        "reported-stolen",
        "theft-",
        "cloned-tag-suspect",
        "flags-",
        "item-",
    ),
)
"""Looked at by a shop that takes a feed of flags."""


def explain(
    against: Sequence[Reason],
    unknown: Sequence[Reason] = (),
    *,
    of_request: bool = False,
    of_the_item: bool = False,
) -> list[Told]:
    """Give how each check ended, by what speaks against the answer and what stayed `unknown`.

    `of_request` says that the reasons are about the request, whose signature has the
    same codes; `of_the_item` that the shop looks at flags too.
    """
    checks = (*CHECKS, OF_THE_ITEM) if of_the_item else CHECKS
    failed, still_open = (
        _by_check(each, checks, of_request=of_request) for each in (against, unknown)
    )
    told: list[Told] = []
    is_over = False
    for check in checks:
        found = (*failed.get(check, ()), *still_open.get(check, ()))
        if found:
            state = State.FAILED if check in failed else State.UNKNOWN
            is_over = is_over or check.ends_the_walk
        else:
            state = State.NOT_REACHED if is_over else State.PASSED
        told.append(Told(check=check, state=state, reasons=found))
    return told


def _by_check(
    reasons: Sequence[Reason], checks: Sequence[Check], *, of_request: bool
) -> Mapping[Check, list[Reason]]:
    found: dict[Check, list[Reason]] = {}
    for reason in reasons:
        check = CHECKS[0] if of_request else _check_of(reason.code, checks)
        found.setdefault(check, []).append(reason)
    return found


def _check_of(code: str, checks: Sequence[Check]) -> Check:
    """Give the check that a code belongs to: by the longest beginning that fits."""
    fits = [
        (len(known), check)
        for check in checks
        for known in check.codes
        if code == known or ((not known or known.endswith("-")) and code.startswith(known))
    ]
    return max(fits, key=lambda fit: fit[0])[1]
