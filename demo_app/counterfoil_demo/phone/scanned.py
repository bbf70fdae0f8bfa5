"""W3: what was read, in the reader's words, where nothing can be done with it here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from counterfoil_credentials.errors import CounterfoilError, Refused, Unavailable

from counterfoil_demo.pages.words import Words, marked

_NOT_OURS: Final = "not-for-this-wallet"
# What it looks like, as the wallet says it, and what to do: of everything else it is enough
# to know that it is nothing for a wallet.
_LOOKS: Final[Mapping[str, tuple[str, str]]] = {
    "nothing": (
        marked("There was nothing to read"),
        marked("Paste the link of an offer or a request."),
    ),
    "a credential itself, and no offer of it": (
        marked("This is somebody's card"),
        marked("A card cannot be taken from a picture. Ask whoever issues it for an offer."),
    ),
    "a signed token": (
        marked("This is a signed text, and no offer or request"),
        marked("Ask whoever showed it what it is for."),
    ),
    "a product's bar code, which names no item": (
        marked("This is a product's bar code"),
        marked("It names no single item. Search your cards for the product instead."),
    ),
    "a web page": (
        marked("This is a web page"),
        marked("Nothing here is for a wallet. Nothing was opened."),
    ),
    "a secret for one-time passwords: keep it to yourself": (
        marked("This is a secret for signing in"),
        marked("Show it to nobody. Nothing of it was kept."),
    ),
    "access to a Wi-Fi network": (
        marked("This is access to a Wi-Fi network"),
        marked("Nothing here is for a wallet. Nothing of it was kept."),
    ),
    "a sign-in with a passkey": (
        marked("This is a sign-in with a passkey"),
        marked("Scan it with the camera of your phone instead."),
    ),
    "a program: do not open it": (
        marked("This is a program"),
        marked("Do not open it. Nothing of it was run."),
    ),
    "a payment": (
        marked("This is a payment"),
        marked("This wallet holds cards and points, and no money."),
    ),
}
_OLD: Final = frozenset(
    {
        "a request of an older draft",
        "an offer of an older draft",
        "a request for a mobile document (ISO 18013-5)",
    }
)


@dataclass(frozen=True, slots=True)
class Explained:
    """Why nothing came of it, and what to do next."""

    heading: str
    text: str


def explained(error: CounterfoilError, words: Words) -> Explained:
    """Give why nothing came of what was read; what it held is not quoted."""
    say = words.gettext
    if isinstance(error, Unavailable):
        return Explained(
            say("Whoever made it cannot be reached"),
            say("Nothing was sent. Try again when there is a connection."),
        )
    if isinstance(error, Refused):
        for reason in error.reasons:
            if reason.code == _NOT_OURS:
                return _look(reason.found, words)
        return Explained(
            say("It is over, or was answered before"),
            say("Nothing was sent. Ask for a new one."),
        )
    return Explained(
        say("It could not be read"), say("A part of it is missing or wrong. Ask for a new one.")
    )


def done_here(done: str, words: Words) -> Explained | None:
    """Give what is said of something that was recognised, and leads to no page of its own."""
    say = words.gettext
    if done == "transfer":
        return Explained(
            say("This is where somebody wants points"),
            say("Nothing was sent. Points are given away on their own page."),
        )
    return None


def _look(found: str, words: Words) -> Explained:
    say = words.gettext
    if found in _LOOKS:
        heading, text = _LOOKS[found]
        return Explained(say(heading), say(text))
    if found in _OLD:
        return Explained(
            say("This is made for other wallets"),
            say("Ask for an offer or a request by the final standard."),
        )
    return Explained(
        say("This is nothing for a wallet"),
        say("Offers, requests, product codes and shop receipts are taken here."),
    )
