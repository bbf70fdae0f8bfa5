"""The words of the pages between a wallet and a credential, in English and Chinese.

Also how a page that cannot go on tells its customer why: each `Stop` has a heading, what
happened, and what to do now. What a program would want to know is not in these words.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from counterfoil_credentials.errors import Malformed, Refused, Unavailable

from counterfoil_issuer.products import LANGUAGES
from counterfoil_issuer.spec import STATE, ErrorCode
from counterfoil_issuer.visits import VISIT_OVER


class Stop(StrEnum):
    """Why a page cannot go on, as far as its customer can do something about it."""

    OVER = "over"
    REQUEST_OVER = "request-over"
    UNKNOWN_WALLET = "unknown-wallet"
    OTHER_LOGIN = "other-login"
    BAD_REQUEST = "bad-request"
    BUSY = "busy"


class Told(NamedTuple):
    """What a customer is told of a `Stop`."""

    head: str
    happened: str
    do_now: str


WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "asks": "{brand} will issue {count} to your wallet",
        "one": "1 credential",
        "many": "{number} credentials",
        "open": "Valid for {minutes} min",
        "who": "Who takes part",
        "wallet": "Wallet",
        "returns": "Returns to",
        "here": "A program on this device ({host})",
        "app": "The app {scheme}",
        "attested": "A maker that {brand} trusts vouches for this wallet.",
        "unknown": "Not verified. We cannot say who made this wallet.",
        "goes": "Goes to your wallet",
        "you": "Logged in as",
        "warning": "Go on only if you started this in your own wallet just now. "
        "If somebody sent you here, refuse.",
        "nothing": "Nothing has been issued yet.",
        "refuse": "Refuse",
        "get_one": "Get it",
        "get_many": "Get all {number}",
        "sample": "Who are you today?",
        "development": "Development",
        "sample_note": "Sample customers for development. There are no passwords here.",
        "detail": "For the wallet's maker",
    },
    "zh": {
        "asks": "{brand}将向你的钱包签发 {count}",
        "one": "1 张凭证",
        "many": "{number} 张凭证",
        "open": "{minutes} 分钟内有效",
        "who": "参与方",
        "wallet": "钱包",
        "returns": "返回到",
        "here": "本设备上的程序（{host}）",
        "app": "应用 {scheme}",
        "attested": "此钱包由{brand}信任的厂商担保。",
        "unknown": "未核实，无法确认钱包的来源。",
        "goes": "进入你的钱包",
        "you": "当前登录",
        "warning": "仅当你刚刚在自己的钱包里发起此操作时才继续。如果是别人让你来的，请拒绝。",
        "nothing": "尚未签发任何凭证。",
        "refuse": "拒绝",
        "get_one": "领取",
        "get_many": "领取 {number} 张",
        "sample": "今天你是谁？",
        "development": "开发环境",
        "sample_note": "供开发使用的示例顾客，无需密码。",
        "detail": "供钱包厂商参考",
    },
}

STOPS: Final[Mapping[str, Mapping[Stop, Told]]] = {
    "en": {
        # Whoever agreed and pressed again has a credential on its way: no word of "nothing".
        Stop.OVER: Told(
            "This page is no longer open",
            "It was answered already, it is more than 10 minutes old, or it began in another "
            "browser.",
            "If you agreed, look in your wallet first. If nothing came, start again there.",
        ),
        Stop.REQUEST_OVER: Told(
            "This request is no longer open",
            "A wallet's request works once, and for one minute.",
            "Nothing was issued. Go back to your wallet and start again.",
        ),
        Stop.UNKNOWN_WALLET: Told(
            "We do not know this wallet",
            "{brand} does not issue to the wallet that sent you here.",
            "Nothing was issued. If somebody sent you this link, close the page.",
        ),
        Stop.OTHER_LOGIN: Told(
            "This login belongs to another page",
            "You began again in another tab, or somebody else began this login.",
            "Nothing was issued here. Go on in the newest tab, or start again from your wallet.",
        ),
        Stop.BAD_REQUEST: Told(
            "We cannot go on with this request",
            "What the wallet sent is not complete, or not allowed.",
            "Nothing was issued. Go back to your wallet and start again. If somebody sent you "
            "this link, close the page.",
        ),
        Stop.BUSY: Told(
            "We cannot answer just now",
            "Something that we need does not answer.",
            "Wait a minute, then load this page again. If you agreed, look in your wallet first.",
        ),
    },
    "zh": {
        Stop.OVER: Told(
            "此页面已失效",
            "它已被回答，或已超过 10 分钟，或是在另一个浏览器中打开的。",
            "如果你已同意，请先查看钱包；若没有收到凭证，请在钱包里重新开始。",
        ),
        Stop.REQUEST_OVER: Told(
            "此请求已失效",
            "钱包的请求只能使用一次，一分钟内有效。",
            "没有签发任何凭证。请回到钱包重新开始。",
        ),
        Stop.UNKNOWN_WALLET: Told(
            "无法识别此钱包",
            "{brand}不向这个钱包签发凭证。",
            "没有签发任何凭证。如果链接是别人发来的，请关闭此页面。",
        ),
        Stop.OTHER_LOGIN: Told(
            "此登录属于另一个页面",
            "你在另一个标签页重新开始了，或者此登录由他人发起。",
            "此处没有签发任何凭证。请在最新的标签页继续，或在钱包里重新开始。",
        ),
        Stop.BAD_REQUEST: Told(
            "无法处理此请求",
            "钱包发来的内容不完整，或不被允许。",
            "没有签发任何凭证。请回到钱包重新开始。如果链接是别人发来的，请关闭此页面。",
        ),
        Stop.BUSY: Told(
            "暂时无法响应",
            "所需的某项服务没有应答。",
            "请稍等一分钟，再重新加载此页面。如果你已同意，请先查看钱包。",
        ),
    },
}


def language_of(wanted: str | None) -> str:
    """Give the page's language for an `Accept-Language` header or `ui_locales`."""
    for part in (wanted or "")[:500].replace(";", ",").replace(" ", ",").split(","):
        if part[:2].lower() in LANGUAGES:
            return part[:2].lower()
    return LANGUAGES[0]


def stop_of(error: Malformed | Refused | Unavailable) -> Stop:
    """Give what `error` means to a customer who has lost the way back to the wallet."""
    if isinstance(error, Unavailable):
        return Stop.BUSY
    if isinstance(error, Malformed):
        return Stop.BAD_REQUEST
    match error.reasons[0].code:
        case code if code == VISIT_OVER:
            return Stop.OVER
        case ErrorCode.INVALID_REQUEST_URI:
            return Stop.REQUEST_OVER
        case ErrorCode.INVALID_CLIENT:
            return Stop.UNKNOWN_WALLET
        case _ if error.reasons[0].where == STATE:
            return Stop.OTHER_LOGIN
        case _:
            return Stop.BAD_REQUEST
