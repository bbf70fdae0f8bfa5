"""What to do next when a command could not be done: one line, by the reason's code."""

from typing import Final

from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused, Unavailable

_NEW_ONE: Final = "Each request has one answer: ask whoever asked you for a new one."
_NEXT: Final = {
    "wallet-missing": "counterfoil wallet create makes one, restore brings one from its backup.",
    "wallet-exists": "It stays as it is: name another folder.",
    "passphrase-wrong": "Nobody can look it up. Contacts who keep shares can help: see restore.",
    "tx-code-needed": "Whoever made the offer sent a code another way: add --tx-code CODE.",
    "login-needed": "counterfoil wallet login begins one.",
    "not-for-this-wallet": "counterfoil wallet scan says what a text is.",
    "asks-for-a-grant": "counterfoil wallet terms shows what it asks.",
    "not-a-consent-request": "counterfoil wallet ask shows what it asks.",
    "only-copies-that-link": "counterfoil wallet resume may bring fresh copies. With "
    "--reuse-that-links two shops can find out that they met the same customer.",
    "request-not-there": _NEW_ONE,
    "request-expired": _NEW_ONE,
    "already-shown": _NEW_ONE,
    "already-declined": _NEW_ONE,
    "credential-unknown": "counterfoil wallet credentials and trash list the ids.",
    "fetch-not-allowed": "While developing, an address of this machine is reached with"
    " --loopback-unsafely http://127.0.0.1:PORT.",
    "receipt-unknown": "counterfoil wallet history --json names each visit's id and receipt.",
    "grant-unknown": "counterfoil wallet grants lists the ids.",
    "custodian-not-trusted": "--trust FILE names the custodians that you rely on.",
}
_OWN_FILES: Final = ("wallet.db", "wallet.json")
_SALVAGE: Final = "counterfoil wallet salvage saves what is intact; restore brings a backup."
# What could not be found out has no code; its text begins with what was expected.
_UNAVAILABLE: Final = {
    "expected an answer": "Try later; counterfoil wallet resume goes on with what had begun.",
    "expected the disk": "Is its folder there, with room in it, and yours to write to?",
    "expected a free wallet": "Lock it there, or wait until that program ends.",
}


def next_step(error: CounterfoilError) -> str | None:
    """Give what somebody at the command line can do about `error`, where that is known."""
    match error:
        case Refused():
            return next((_NEXT[code] for code in error.codes if code in _NEXT), None)
        case Malformed() if error.where.startswith(_OWN_FILES):
            return _SALVAGE
        case Unavailable():
            text = str(error)
            return next((_UNAVAILABLE[one] for one in _UNAVAILABLE if text.startswith(one)), None)
        case _:
            return None
