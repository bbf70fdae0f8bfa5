"""Plain words for a shop's counter, English and Chinese: what each reason's code means.

A sentence tells the assistant what to say or do. It holds no fact about the
customer; the exact mismatch is in the reason itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

Language: TypeAlias = Literal["en", "zh"]


@dataclass(frozen=True, slots=True)
class Words:
    """One text in both languages."""

    en: str
    zh: str

    def in_language(self, language: Language) -> str:
        """Give the text in one language."""
        return self.zh if language == "zh" else self.en


def words_for(code: str) -> Words:
    """Give the plain words for a reason's code; an unknown one gets a general sentence."""
    return _WORDS.get(code, _BAD_LIST if code.startswith("status-list-") else _GENERAL)


SHOWN_UNASKED: Final = Words(
    "Shown by the customer; this till did not ask.", "由顾客主动出示，本机未发出请求。"
)
"""What a verdict says whose presentation answered no question."""


def as_of_words(listed_at: datetime, *, is_yes: bool) -> Words:
    """Say as of when a light holds: the brand listed at `listed_at` what it rests on."""
    at = f"{listed_at.astimezone(UTC):%Y-%m-%d %H:%M}"
    if is_yes:
        return Words(f"Valid as of {at} UTC.", f"截至 {at}（UTC）有效。")
    return Words(f"The brand's list is of {at} UTC.", f"品牌的列表截至 {at}（UTC）。")


def known_codes() -> frozenset[str]:
    """Give the codes that have words of their own."""
    return frozenset(_WORDS)


_GENERAL: Final = Words("This proof cannot be accepted.", "该凭证无法接受。")
_TAMPERED: Final = Words(
    "This proof was changed after the brand signed it.", "该凭证在品牌签发后被改动过。"
)
_NOT_THEIRS: Final = Words(
    "This proof is not shown by the person it was issued to.",
    "出示者不是该凭证的持有人。",
)
_NOT_READABLE: Final = Words(
    "The customer's wallet sent something that is not a proof.",
    "顾客钱包发来的内容不是有效凭证。",
)
_OTHER_REQUEST: Final = Words(
    "This proof was made for an earlier question. Ask again.",
    "该凭证是为之前的请求出示的，请重新请求。",
)
_BAD_LIST: Final = Words(
    "The brand's list of cancelled credentials cannot be trusted right now.",
    "品牌的凭证状态列表目前不可信。",
)
_NO_LIST: Final = Words(
    "We could not find out whether the brand has cancelled this. Try again later.",
    "无法确认品牌是否已取消该凭证，请稍后重试。",
)
_ASKED_AND_MISSING: Final = Words(
    "The customer did not show everything that was asked.", "顾客未出示所需的全部信息。"
)
_ANOTHER_KIND: Final = Words(
    "The customer showed another kind of credential.", "顾客出示了其他类型的凭证。"
)

_BAD_KEY: Final = Words(
    "This is signed with a key that the brand does not use any more, or not yet.",
    "该凭证的签名密钥已停用或尚未启用。",
)
_BAD_CERTIFICATE: Final = Words(
    "No authority that this shop trusts vouches for whoever signed this.",
    "本店信任的机构均未为该凭证的签署方提供证明。",
)

_WORDS: Final[Mapping[str, Words]] = {
    "voucher-spent": Words("This voucher was used before.", "该兑换券已使用过。"),
    # The warranty itself.
    "warranty-ended": Words("The warranty has ended.", "保修期已结束。"),
    "return-period-over": Words("The time to bring this back is over.", "退货期限已过。"),
    "revoked": Words(
        "The brand has cancelled this, for example because the goods were returned.",
        "品牌已撤销该凭证，例如商品已退货。",
    ),
    "suspended": Words("The brand has put this on hold.", "品牌已暂停该凭证。"),
    "expired": Words("This credential has run out.", "该凭证已过期。"),
    "not-yet-valid": Words("This credential is not valid yet.", "该凭证尚未生效。"),
    # Who issued it.
    "issuer-not-trusted": Words(
        "This shop does not know the brand that issued this.", "本店不认可该凭证的签发方。"
    ),
    "issuer-mismatch": Words(
        "This names another brand than the one that signed it.", "凭证所称的品牌与签署方不符。"
    ),
    "issuer-not-trusted-for-type": Words(
        "This brand may not issue this kind of proof.", "该品牌无权签发此类凭证。"
    ),
    "issuer-key-unknown": Words(
        "This is not signed with a key of the brand.", "该凭证未使用品牌的密钥签名。"
    ),
    "issuer-url-not-normal": _BAD_CERTIFICATE,
    "issuer-key-disputed": _BAD_KEY,
    "issuer-certificate-missing": _BAD_CERTIFICATE,
    "issuer-not-certified": _BAD_CERTIFICATE,
    "key-expired": _BAD_KEY,
    "key-not-yet-in-force": _BAD_KEY,
    "key-revoked": _BAD_KEY,
    "key-controller-mismatch": _BAD_KEY,
    "key-relationship-missing": _BAD_KEY,
    "key-of-another-did": _BAD_KEY,
    "did-deactivated": _BAD_KEY,
    "certificate-expired": _BAD_CERTIFICATE,
    "certificate-not-yet-valid": _BAD_CERTIFICATE,
    "certificate-self-signed": _BAD_CERTIFICATE,
    "certificate-anchor-in-chain": _BAD_CERTIFICATE,
    "certificate-untrusted": _BAD_CERTIFICATE,
    "certificate-usage": _BAD_CERTIFICATE,
    "certificate-not-for-this": _BAD_CERTIFICATE,
    "certificate-key-not-allowed": _BAD_CERTIFICATE,
    "issuer-not-accepted": Words(
        "Proofs of this brand are not accepted here.", "此处不接受该品牌的凭证。"
    ),
    "issuer-keys-unreachable": Words(
        "We could not reach the brand to check its signature. Try again later.",
        "无法连接品牌以核验签名，请稍后重试。",
    ),
    # Whether it is whole.
    "signature-invalid": _TAMPERED,
    "disclosure-unreferenced": _TAMPERED,
    "disclosure-duplicate": _TAMPERED,
    "digest-duplicate": _TAMPERED,
    "sd-hash-mismatch": _TAMPERED,
    "hash-algorithm-unknown": _NOT_READABLE,
    "algorithm-not-allowed": _NOT_READABLE,
    "token-type-mismatch": _NOT_READABLE,
    "malformed": _NOT_READABLE,
    # Who shows it, to whom, and when.
    "audience-mismatch": Words(
        "This proof was made for another shop.", "该凭证是出示给另一家店的。"
    ),
    "nonce-mismatch": _OTHER_REQUEST,
    "key-binding-too-old": _OTHER_REQUEST,
    "transaction-data-mismatch": _OTHER_REQUEST,
    "key-binding-from-the-future": Words(
        "The clock of the customer's phone is wrong.", "顾客手机的时间不正确。"
    ),
    "key-binding-missing": _NOT_THEIRS,
    "key-binding-signature-invalid": _NOT_THEIRS,
    "holder-key-missing": _NOT_THEIRS,
    "already-answered": Words(
        "This question has been answered already. Ask again.", "该请求已被回答，请重新请求。"
    ),
    "not-answered-yet": Words("Nobody has answered yet.", "尚未收到应答。"),
    "code-not-told-yet": Words("The customer has not told the code yet.", "顾客尚未告知代码。"),
    "request-expired": Words("Too slow: ask again.", "请求已超时，请重新请求。"),
    "answer-not-encrypted": _NOT_READABLE,
    "code-wrong": Words(
        "The number is not the one on the customer's phone. Ask again.",
        "号码与顾客手机上显示的不一致，请重新请求。",
    ),
    "already-shown": Words(
        "This code was shown here before. Ask for a new one.", "该二维码已在此出示过，请出示新的。"
    ),
    "holder-shown-not-accepted": Words(
        "For this, the till asks first. Let the customer scan your code.",
        "此项须由收银台发起请求，请顾客扫描您的二维码。",
    ),
    "declined": Words("The customer did not want to show this.", "顾客不愿出示。"),
    "wallet-unavailable": Words(
        "The customer's wallet cannot answer right now. Ask again.",
        "顾客的钱包暂时无法应答，请重新请求。",
    ),
    "request-not-taken": Words(
        "The customer's wallet does not take this question. Call the shop's administrator.",
        "顾客的钱包不接受该请求，请联系管理员。",
    ),
    # What it shows.
    "claim-missing": _ASKED_AND_MISSING,
    "credential-missing": _ASKED_AND_MISSING,
    "credential-repeated": _NOT_READABLE,
    "credential-not-asked-for": _ANOTHER_KIND,
    "type-not-asked-for": _ANOTHER_KIND,
    "format-not-asked-for": _ANOTHER_KIND,
    "authority-not-asked-for": Words(
        "This was issued by someone whom none of the named authorities vouches for.",
        "该凭证的签发方未获任何指定机构的认可。",
    ),
    "type-not-accepted": _ANOTHER_KIND,
    "discloses-too-much": Words(
        "The customer's wallet sent more than was asked; nothing of it was kept.",
        "顾客钱包发送了超出所需的信息，均未保留。",
    ),
    "date-missing": _ASKED_AND_MISSING,
    "date-malformed": _NOT_READABLE,
    # What the brand's list says.
    "status-missing": Words(
        "The brand offers no way to see whether this was cancelled.",
        "品牌未提供查询该凭证状态的途径。",
    ),
    "status-unknown": _BAD_LIST,
    "status-index-out-of-range": _BAD_LIST,
    "status-list-signature-invalid": _BAD_LIST,
    "status-list-algorithm-not-allowed": _BAD_LIST,
    "status-list-token-type-mismatch": _BAD_LIST,
    "status-list-issuer-key-unknown": _BAD_LIST,
    "status-list-mismatch": _BAD_LIST,
    "status-list-malformed": _BAD_LIST,
    "status-list-from-the-future": _BAD_LIST,
    "status-list-fetch-not-allowed": _BAD_LIST,
    "status-too-old": _NO_LIST,
    "status-unreachable": _NO_LIST,
    "could-not-check": Words(
        "This could not be checked. Try again later.", "暂时无法核验，请稍后重试。"
    ),
    # What is said of this item.
    "reported-stolen": Words(
        "This item is reported stolen. Follow the shop's rule for stolen goods.",
        "该商品已被报失窃，请按店内规定处理。",
    ),
    "recalled": Words(
        "This item is recalled. Tell the customer to stop using it, and begin the recall.",
        "该商品已被召回。请告知顾客停止使用，并启动召回流程。",
    ),
    "cloned-tag-suspect": Words(
        "The tag of this item may have been copied. Look at the item itself.",
        "该商品的标签可能被复制，请检查实物。",
    ),
    "recall-unclear": Words(
        "Some items of this product are recalled. Compare the lot number on the box.",
        "该产品的部分批次已被召回，请核对包装上的批号。",
    ),
    "theft-unclear": Words(
        "Some items of this product are reported stolen. Compare the serial number on the item.",
        "该产品的部分商品已被报失窃，请核对商品上的序列号。",
    ),
    "item-unclear": Words(
        "The proof does not say which item this is. Look up whether it is recalled or stolen.",
        "该凭证未说明具体是哪件商品，请查询其是否已被召回或报失窃。",
    ),
    "flags-from-the-future": Words(
        "What we know of recalls and stolen items is later than this till's clock. Set the clock.",
        "召回和失窃信息的时间晚于本机时间，请校准本机时钟。",
    ),
    "flags-unreachable": Words(
        "We could not find out whether this item is recalled or reported stolen.",
        "无法确认该商品是否已被召回或报失窃。",
    ),
    "flags-too-old": Words(
        "What we know of recalls and stolen items is too old to be sure.",
        "召回和失窃信息已过期，无法确认。",
    ),
    # The shop's own set-up.
    "policy-empty": Words(
        "This till has no rule for what to accept. Call the shop's administrator.",
        "本机未配置验证规则，请联系管理员。",
    ),
}
