"""The code that comes back from the customer's device before a yes counts.

Whoever shows somebody else a copy of the shop's QR code has that person's yes sent to
the shop, and gains by it unless the shop learns who answered (OpenID4VP 1.0, section
14.2). So the answer's own device gets a fresh code, and the yes waits for it:

    response-code   in the address where the wallet sends the browser; the browser in
                    which the question began brings it, and no other has that session
    match-code      four digits on the phone, for every wallet by a page that shows
                    them; the customer tells them at the counter
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Final
from urllib.parse import quote

from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Misuse

from counterfoil_verifier.requesting import Handback, SessionId, Shop

MATCH_DIGITS: Final = 4
MATCH_PATH: Final = "/match"
_CODE_BYTES: Final = 32


def new_code(handback: Handback, random: Callable[[int], bytes]) -> str:
    """Give a fresh code: 256 random bits, or four digits."""
    if handback is Handback.RESPONSE_CODE:
        return b64url(random(_CODE_BYTES))
    return f"{int.from_bytes(random(8)) % 10**MATCH_DIGITS:0{MATCH_DIGITS}}"


def code_digest(session_id: SessionId, code: str) -> str:
    """Give what the store keeps of a code: it fits one session alone."""
    return b64url(sha256(f"{session_id} {code}".encode()).digest())


def return_address(shop: Shop, handback: Handback, code: str) -> str:
    """Give where the wallet sends its browser (section 8.2, `redirect_uri`)."""
    if handback is Handback.MATCH_CODE:
        return f"{shop.origin}{MATCH_PATH}/{code}"
    if shop.return_to is None:
        raise Misuse("expected a page to return to, found none (return_to)")
    join = "&" if "?" in shop.return_to else "?"
    return f"{shop.return_to}{join}response_code={quote(code, safe='')}"
