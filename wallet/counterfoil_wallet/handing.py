"""Hand over an answer as QR codes: what would have been posted, for the shop's camera.

    request by value, as codes ─► Assembler ─► Wallet.matches ─► choose ─► Wallet.hand_over
                                                                     ─► Handed.codes

Nothing is sent and nobody is asked: the copy is taken, the answer bound to the request and
written down, and shown. As when it is posted, a request has one answer. Whoever can read
the screen reads what is shown, unless the request says to encrypt.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.qr_frames import Assembler, frames

from counterfoil_wallet.matching import Choice
from counterfoil_wallet.presenting import Presenter

_WHERE: Final = "scanned codes"


@dataclass(frozen=True, slots=True)
class Handed:
    """What the screen shows: one QR code, or several in turn, three to five a second.

    The shop takes it until `until`. What it makes of it, it says at its counter.
    """

    codes: tuple[str, ...] = field(repr=False)
    until: datetime


def hand_over(presenter: Presenter, choice: Choice) -> Handed:
    """Give the answer of `choice` as codes; raises what `Presenter.answer` raises.

    The codes hold the form that `direct_post` would send (OpenID4VP 1.0, section 8.2).
    """
    form = presenter.answer(choice)
    return Handed(tuple(frames(urlencode(form))), choice.request.expires_at)


def collected(text: str) -> str:
    """Give the one message in codes that stand in `text` with spaces between them.

    A link is a message of its own. Raises what `Assembler.add` raises, and `Malformed`
    while a part is missing.
    """
    assembler, message = Assembler(), None
    for code in text.split():
        if message is not None:
            raise Malformed("one message", "more", _WHERE)
        message = assembler.add(code)
    if message is None:
        read, count = assembler.progress
        raise Malformed("every code of the message", f"{read} of {count}", _WHERE)
    return message
