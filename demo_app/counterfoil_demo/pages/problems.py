"""What a page says when there is none to show: what failed, what did not happen, what to do."""

from dataclasses import dataclass

from counterfoil_demo.pages.words import Words


@dataclass(frozen=True, slots=True)
class Problem:
    """A heading, a sentence, and whether trying again may help."""

    heading: str
    text: str
    may_try_again: bool = False


def problem_text(status: int, words: Words) -> Problem:
    """Give the words for an HTTP status."""
    say = words.gettext
    match status:
        case 404:
            return Problem(
                say("There is no such page"),
                say("It may have been removed, or the address has a typo."),
            )
        case 403:
            return Problem(
                say("That did not come from this page"),
                say("Nothing was done. Open the page here and press the button again."),
            )
        case 413:
            return Problem(
                say("That is too large"), say("Nothing was kept. Choose a smaller file.")
            )
        case 421:
            return Problem(
                say("This page has another address"),
                say("Open the address that the program printed when it started."),
            )
        case 405 | 415 | 422:
            return Problem(
                say("That could not be read"),
                say("Nothing was done. Go back and try again."),
                may_try_again=True,
            )
        case _:
            return Problem(
                say("Something went wrong here"),
                say("What you had is still there. Try again in a moment."),
                may_try_again=True,
            )
