"""The page that shows a customer the digits to tell at the counter, in both languages.

It is the end of the wallet's own way (`redirect_uri`), so every wallet shows it. It needs
no script, and says nothing of what was shown or to whom.
"""

import base64
from hashlib import sha256
from typing import Final

_STYLE: Final = (
    "body{font:1.2rem/1.5 system-ui,sans-serif;margin:15vh auto;max-width:22rem;padding:0 1rem;"
    "text-align:center}b{display:block;font-size:4rem;letter-spacing:.2em}"
)
_DIGEST: Final = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def match_page(digits: str) -> str:
    """Give the page; `digits` are digits."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{digits}</title><style>{_STYLE}</style></head><body>"
        "<p>Tell this number at the counter where you are standing.</p>"
        f"<b>{digits}</b>"
        "<p>Nobody in front of you asks for it? Then tell it to nobody.</p>"
        '<p lang="zh">请把这个号码告诉您面前的店员；如果面前没有人询问，请不要告诉任何人。</p>'
        "</body></html>"
    )
