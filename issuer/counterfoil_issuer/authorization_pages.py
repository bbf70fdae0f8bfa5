"""What a customer reads between a wallet and a credential, in English and Chinese.

No script, no third party, nothing that sends itself: each page is facts and buttons.
Whatever came from outside is escaped; nothing of it ever becomes a link.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Final
from urllib.parse import urlsplit

from counterfoil_issuer.dev_login import CUSTOMER, SampleCustomer
from counterfoil_issuer.products import LANGUAGES
from counterfoil_issuer.spec import STATE

TICKET: Final = "ticket"
ANSWER: Final = "answer"
AGREE: Final = "agree"
REFUSE: Final = "refuse"

_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "asks": "{brand} will issue {count} to your wallet",
        "one": "1 credential",
        "many": "{number} credentials",
        "who": "Who asks",
        "wallet": "Wallet",
        "returns": "Returns to",
        "attested": "Vouched for by a maker that {brand} trusts",
        "unknown": "Not verified. We cannot say who made this wallet.",
        "goes": "Goes to your wallet",
        "you": "Logged in as",
        "warning": "Go on only if you started this in your own wallet just now. "
        "If somebody sent you here, refuse.",
        "nothing": "Nothing has been issued yet.",
        "refuse": "Refuse",
        "agree": "Issue {count}",
        "sample": "Who are you today?",
        "sample_note": "Sample customers for development. There are no passwords here.",
        "stopped": "This did not work",
        "kept": "Nothing was issued. Go back to your wallet and start again.",
    },
    "zh": {
        "asks": "{brand} 将向你的钱包签发 {count}",
        "one": "1 张凭证",
        "many": "{number} 张凭证",
        "who": "请求方",
        "wallet": "钱包",
        "returns": "返回到",
        "attested": "由 {brand} 信任的厂商担保",
        "unknown": "未核实，无法确认钱包的来源。",
        "goes": "进入你的钱包",
        "you": "当前登录",
        "warning": "仅当你刚刚在自己的钱包里发起此操作时才继续。如果是别人让你来的，请拒绝。",
        "nothing": "尚未签发任何凭证。",
        "refuse": "拒绝",
        "agree": "签发 {count}",
        "sample": "今天你是谁？",
        "sample_note": "供开发使用的示例顾客，无需密码。",
        "stopped": "未能完成",
        "kept": "没有签发任何凭证。请回到钱包重新开始。",
    },
}


@dataclass(frozen=True, slots=True)
class Line:
    """One credential on the page: its type's name, and the number that it is about."""

    name: str
    serial: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What a customer is asked to agree to."""

    brand: str
    wallet: str
    attested: bool
    redirect_uri: str
    customer: str
    lines: Sequence[Line]
    action: str
    ticket: str


def stylesheet() -> bytes:
    """Give the style sheet of all pages."""
    return (files("counterfoil_issuer") / "authorization_pages.css").read_bytes()


def language_of(wanted: str | None) -> str:
    """Give the page's language for an `Accept-Language` header or `ui_locales`."""
    for part in (wanted or "")[:500].replace(";", ",").replace(" ", ",").split(","):
        if part[:2].lower() in LANGUAGES:
            return part[:2].lower()
    return LANGUAGES[0]


def return_place(redirect_uri: str) -> str:
    """Give the part of an address that says whose it is: a host, or an app's scheme."""
    parts = urlsplit(redirect_uri)
    return parts.netloc or f"{parts.scheme}:"


def confirmation_page(shown: Confirmation, language: str, css: str) -> str:
    """Give the page on which a customer agrees or refuses."""
    words = _WORDS[language]
    number = len(shown.lines)
    count = words["one"] if number == 1 else words["many"].format(number=number)
    mark, sign = ("ok", "attested") if shown.attested else ("wait", "unknown")
    rows = "".join(
        f'<li class="row"><b>{escape(line.name)}</b>'
        + (f'<span class="serial">№ {escape(line.serial)}</span>' if line.serial else "")
        + "</li>"
        for line in shown.lines
    )
    body = f"""<h1>{escape(words["asks"].format(brand=shown.brand, count=count))}</h1>
<p class="badge badge-{mark}">{escape(words[sign].format(brand=shown.brand))}</p>
<section class="half leaves"><h2>{words["goes"]}</h2><ul>{rows}</ul></section>
<section class="half stays"><h2>{words["who"]}</h2><dl>
<dt>{words["wallet"]}</dt><dd>{escape(shown.wallet)}</dd>
<dt>{words["returns"]}</dt><dd>{escape(return_place(shown.redirect_uri))}</dd>
<dt>{words["you"]}</dt><dd>{escape(shown.customer)}</dd></dl></section>
<p>{words["warning"]}</p>
<p class="small">{words["nothing"]}</p>
<form method="post" action="{escape(shown.action)}">
<input type="hidden" name="{TICKET}" value="{escape(shown.ticket)}">
<div class="answers"><button name="{ANSWER}" value="{REFUSE}">{words["refuse"]}</button>
<button name="{ANSWER}" value="{AGREE}">{escape(words["agree"].format(count=count))}</button></div>
</form>"""
    return _page(shown.brand, body, language, css)


def sample_customers_page(
    customers: Sequence[SampleCustomer],
    *,
    brand: str,
    action: str,
    state: str,
    language: str,
    css: str,
) -> str:
    """Give the page of the login for development."""
    words = _WORDS[language]
    buttons = "".join(
        f'<button name="{CUSTOMER}" value="{escape(each.customer_id)}">{escape(each.name)}</button>'
        for each in customers
    )
    body = f"""<h1>{words["sample"]}</h1>
<p>{words["sample_note"]}</p>
<form method="get" action="{escape(action)}" class="choices">
<input type="hidden" name="{STATE}" value="{escape(state)}">{buttons}</form>"""
    return _page(brand, body, language, css)


def stopped_page(why: str, *, brand: str, language: str, css: str) -> str:
    """Give the page for an error that cannot travel back to a wallet."""
    words = _WORDS[language]
    body = f"""<h1>{words["stopped"]}</h1>
<p>{words["kept"]}</p>
<p class="small">{escape(why)}</p>"""
    return _page(brand, body, language, css)


def _page(title: str, body: str, language: str, css: str) -> str:
    return f"""<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="stylesheet" href="{escape(css)}">
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
