"""W5: the sheet on which she decides: who asks, why, each fact with its switch, and the terms.

What is off is not shared; a sheet with a `choice` can be agreed to, and its `seen` names what
stood on it, so that nothing is shared which was not on the screen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Generic, TypeVar

from counterfoil_wallet import Asker, HeldCredential, Standing

from counterfoil_demo.pages.words import Words, marked
from counterfoil_demo.phone.cards import card_of, number_of
from counterfoil_demo.phone.pocket import utc_now

_Choice = TypeVar("_Choice")
ON: Final = "on"
REUSE: Final = "reuse"
"""The field that lets a copy be shown which somebody else has seen."""
_STANDINGS: Final = {
    Standing.KNOWN: ("ok", "verified", marked("Known to this wallet")),
    Standing.CERTIFIED: ("ok", "verified", marked("Vouched for by an authority")),
    Standing.DOMAIN: ("plain", "key", marked("Proved by its web address")),
    Standing.KEY_ONLY: ("wait", "alert", marked("Not verified. We cannot say who this is.")),
    Standing.UNPROVED: ("stop", "alert", marked("Nobody signed this request.")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Requester:
    """Who asks: the name to show, how well it is proved, and whose name it borrows."""

    name: str
    tone: str
    icon: str
    word: str
    proved: str
    poses_as: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One fact. `field` turns it on or off; "" where it is required. `notes` warn or explain."""

    name: str
    value: str
    is_code: bool = False
    field: str = ""
    is_on: bool = True
    is_asked: bool = True
    notes: tuple[str, ...] = ()

    @property
    def is_fact(self) -> bool:
        """Whether it says something about her; else it is a permission."""
        return self.field != REUSE


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One line of the terms; with `options` (value and words) she can change it."""

    label: str
    text: str = ""
    field: str = ""
    options: tuple[tuple[str, str], ...] = ()
    chosen: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet(Generic[_Choice]):
    """What stands on the screen. `problems` say why it cannot be agreed to as it is."""

    rows: Sequence[Row]
    optional: Sequence[Row]
    terms: Sequence[Term]
    passed: Sequence[Row] = ()
    warnings: Sequence[str] = ()
    problems: Sequence[str] = ()
    choice: _Choice | None = field(default=None, repr=False)

    @property
    def shared(self) -> int:
        """How many facts would leave."""
        return len(self.rows) + sum(row.is_on and row.is_fact for row in self.optional)

    @property
    def total(self) -> int:
        """How many facts stand here."""
        return len(self.rows) + sum(row.is_fact for row in self.optional)

    @property
    def asked(self) -> int:
        """How many of them are asked for; the rest goes along."""
        return self.total - sum(not row.is_asked for row in self.rows)

    @property
    def seen(self) -> str:
        """Name what stands here: another text for anything else."""
        shown = (
            [(row.name, row.value, row.is_on) for row in (*self.rows, *self.optional)],
            [(term.label, term.text, term.chosen) for term in self.terms],
            [(row.name, row.is_on) for row in self.passed],
        )
        return sha256(repr(shown).encode()).hexdigest()


def requester_of(asker: Asker, words: Words) -> Requester:
    """Give who asks, as the sheet shows it."""
    tone, icon, word = _STANDINGS[asker.standing]
    unnamed = words.gettext("Somebody without a name")
    return Requester(
        name=asker.known_as or asker.claimed_name or asker.proved_name or unnamed,
        tone=tone,
        icon=icon,
        word=words.gettext(word),
        proved=asker.proved_name or "",
        poses_as=asker.poses_as or "",
    )


def card_term(
    name: str, fitting: Sequence[HeldCredential], chosen: HeldCredential, words: Words
) -> Term:
    """Give the line that says which card it is, to be changed where several fit."""
    now = utc_now()

    def label(held: HeldCredential) -> str:
        return f"{card_of(held, None, words, now).title} № {number_of(held.credential_id)}"

    options = [(held.credential_id, label(held)) for held in fitting] if len(fitting) > 1 else []
    return Term(
        label=words.gettext("Card"),
        text=label(chosen),
        field=name if options else "",
        options=tuple(options),
        chosen=chosen.credential_id,
    )


def reuse_row(given: Mapping[str, str], words: Words) -> Row:
    """Give the switch without which no copy is shown that somebody else has seen."""
    return Row(
        name=words.gettext("Show a copy that somebody else saw"),
        value=words.gettext("The two can find out that they met the same customer."),
        field=REUSE,
        is_on=given.get(REUSE) == ON,
    )


def problem_text(codes: Sequence[str], words: Words) -> list[str]:
    """Give why a choice cannot be agreed to, by the wallet's codes, each once."""
    say = words.gettext
    texts = {
        "nothing-answers": say("You hold no card that answers this."),
        "beyond-registration": say(
            "They ask for more than they registered. Turn it on yourself, or refuse."
        ),
        "over-asking": say("They ask for more than it takes. Turn it on yourself, or refuse."),
        "nothing-chosen": say("Turn on what you want to share, or refuse."),
        "only-copies-that-link": say(
            "Every copy of this card was shown to somebody else before. Allow it below, or refuse."
        ),
        "refused-by-policy": say("This wallet does not grant this."),
        "request-expired": say("The request is over. Ask for a new one. Nothing was sent."),
        "copy-differs": say("Your card changed meanwhile. Look once more. Nothing was sent."),
    }
    other = say("These cannot be shared together. Choose others, or refuse.")
    return [*dict.fromkeys(texts.get(code, other) for code in codes)]
