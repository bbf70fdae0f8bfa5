"""What a customer reads between a wallet and a credential.

No script, no third party, nothing that sends itself: each page is facts and buttons.
Whatever came from outside is escaped and kept from turning its neighbours around;
nothing of it ever becomes a link.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Final
from urllib.parse import urlsplit

from counterfoil_issuer.authorization_words import STOPS, WORDS, Stop
from counterfoil_issuer.dev_login import CUSTOMER, LOOPBACK, SampleCustomer
from counterfoil_issuer.spec import STATE

TICKET: Final = "ticket"
ANSWER: Final = "answer"
AGREE: Final = "agree"
REFUSE: Final = "refuse"

# One path each, on a grid of 24, drawn in the colour of the words beside it.
_ICONS: Final = {
    "alert": "M12 4l9.5 16h-19Z M12 10v5 M12 16.5v1.7",
    "check": "M4.5 12.5l5 5L19.5 7",
    "clock": "M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18Z M12 7v5.3l3.4 2",
    "cross": "M6 6l12 12 M18 6 6 18",
    "halves": "M3 6h7v12H3Z M14 6h7v12h-7Z M12 3v2 M12 7.5v2 M12 12v2 M12 16.5v2 M12 20.5v.8",
    "next": "M9 5l7 7-7 7",
    "stop": "M8.3 3h7.4L21 8.3v7.4L15.7 21H8.3L3 15.7V8.3Z M8.5 8.5l7 7 M15.5 8.5l-7 7",
    "swap": "M4 8h14 M14 4l4 4-4 4 M20 16H6 M10 12l-4 4 4 4",
    "verified": "M12 3l2.3 1.9 3-.3.6 3 2.5 1.7L19.2 12l1.2 2.7-2.5 1.7-.6 3-3-.3L12 21l-2.3-1.9"
    "-3 .3-.6-3-2.5-1.7L4.8 12 3.6 9.3l2.5-1.7.6-3 3 .3Z M8.5 12.2l2.4 2.4 4.6-4.8",
}
# Somebody may have been led here; the others happen to everybody.
_SUSPECT: Final = frozenset({Stop.UNKNOWN_WALLET, Stop.OTHER_LOGIN, Stop.BAD_REQUEST})


@dataclass(frozen=True, slots=True)
class Line:
    """One credential on the page: its type's name, and the number that it is about."""

    name: str
    serial: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What a customer is asked to agree to. `wallet_name` is the one that an attester gave."""

    brand: str
    client_id: str
    wallet_name: str | None
    attested: bool
    redirect_uri: str
    customer: str
    lines: Sequence[Line]
    minutes_left: int
    action: str
    ticket: str


def stylesheet() -> bytes:
    """Give the style sheet of all pages."""
    return (files("counterfoil_issuer") / "authorization_pages.css").read_bytes()


def return_place(redirect_uri: str, language: str) -> str:
    """Give the part of an address that says whose it is: a host, this device or an app."""
    words, parts = WORDS[language], urlsplit(redirect_uri)
    if not parts.netloc:
        return words["app"].format(scheme=parts.scheme)
    if parts.hostname in LOOPBACK:
        return words["here"].format(host=parts.netloc)
    return parts.netloc


def confirmation_page(shown: Confirmation, language: str, css: str) -> str:
    """Give the page on which a customer agrees or refuses."""
    words = WORDS[language]
    number = len(shown.lines)
    much = "one" if number == 1 else "many"
    count, get = words[much].format(number=number), words[f"get_{much}"].format(number=number)
    head = words["asks"].format(brand=shown.brand, count=count)
    mark, icon, sign = (
        ("ok", "verified", "attested") if shown.attested else ("wait", "alert", "unknown")
    )
    wallet = f"<bdi>{escape(shown.wallet_name or shown.client_id)}</bdi>"
    if shown.wallet_name is not None:
        wallet += f'<bdi class="small">{escape(shown.client_id)}</bdi>'
    place = return_place(shown.redirect_uri, language)
    body = f"""<main>
<h1>{escape(head)}</h1>
<p class="note note-{mark}">{_icon(icon)}<span><b>{escape(words[sign].format(brand=shown.brand))}\
</b>{words["warning"]}</span></p>
<div class="halves">
<section class="half leaves" aria-labelledby="goes">
<h2 id="goes">{_icon("halves")}{words["goes"]}<span class="push">{count}</span></h2>
<ul>{"".join(_row(line) for line in shown.lines)}</ul></section>
<section class="half stays" aria-labelledby="who"><h2 id="who">{_icon("swap")}{words["who"]}</h2>
<dl>
<dt>{words["wallet"]}</dt><dd>{wallet}</dd>
<dt>{words["returns"]}</dt><dd><bdi>{escape(place)}</bdi></dd>
<dt>{words["you"]}</dt><dd><bdi>{escape(shown.customer)}</bdi></dd></dl></section>
</div>
<p class="small">{words["nothing"]}</p>
<form class="dock" method="post" action="{escape(shown.action)}">
<input type="hidden" name="{TICKET}" value="{escape(shown.ticket)}">
<div class="answers">
<button name="{ANSWER}" value="{REFUSE}">{_icon("cross")}{words["refuse"]}</button>
<button name="{ANSWER}" value="{AGREE}">{_icon("check")}{get}</button></div>
</form>
</main>"""
    left = words["open"].format(minutes=shown.minutes_left)
    aside = f'<span class="age">{_icon("clock")}{left}</span>'
    return _page(head, body, brand=shown.brand, aside=aside, language=language, css=css)


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
    words = WORDS[language]
    buttons = "".join(
        f'<button name="{CUSTOMER}" value="{escape(each.customer_id)}">'
        f'<span><b>{escape(each.name)}</b><span class="small">{escape(each.customer_id)}, '
        f"{escape(each.email)}</span></span>{_icon('next')}</button>"
        for each in customers
    )
    body = f"""<main>
<h1>{words["sample"]}</h1>
<p>{words["sample_note"]}</p>
<form method="get" action="{escape(action)}" class="choices">
<input type="hidden" name="{STATE}" value="{escape(state)}">{buttons}</form>
</main>"""
    title = f"{words['sample']} · {brand}"
    aside = f'<span class="badge">{words["development"]}</span>'
    return _page(title, body, brand=brand, aside=aside, language=language, css=css)


def stopped_page(why: Stop, detail: str, *, brand: str, language: str, css: str) -> str:
    """Give the page for an error that cannot travel back to a wallet.

    `detail` is what a program would be told, in English.
    """
    told = STOPS[language][why]
    mark, icon = ("stop", "stop") if why in _SUSPECT else ("wait", "alert")
    body = f"""<main>
<h1>{told.head}</h1>
<p class="note note-{mark}">{_icon(icon)}<span><b>{escape(told.happened.format(brand=brand))}</b>\
{told.do_now}</span></p>
<details><summary>{WORDS[language]["detail"]}</summary>
<p class="code" lang="en"><bdi>{escape(detail)}</bdi></p></details>
</main>"""
    return _page(f"{told.head} · {brand}", body, brand=brand, aside="", language=language, css=css)


def _row(line: Line) -> str:
    serial = "" if line.serial is None else escape(line.serial)
    number = f'<span class="serial"><span>№</span> <bdi>{serial}</bdi></span>' if serial else ""
    return f'<li class="row"><b>{escape(line.name)}</b>{number}</li>'


def _icon(name: str) -> str:
    return (
        f'<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d="{_ICONS[name]}"/></svg>'
    )


def _page(title: str, body: str, *, brand: str, aside: str, language: str, css: str) -> str:
    return f"""<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<link rel="stylesheet" href="{escape(css)}">
</head>
<body>
<header><b>{escape(brand)}</b>{aside}</header>
{body}
</body>
</html>
"""
