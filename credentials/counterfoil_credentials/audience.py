"""Who may see what a service records: each column of a table declares it.

    AUDIENCES = {
        "orders": declared({Audience.OWNER | Audience.ROLE: "number total", Audience.NOBODY: "mac"})
    }

That it is so is shown by a test (row A10): what is stored is looked for in everything that
each of them is given.
"""

from collections.abc import Mapping
from enum import Flag, auto

from counterfoil_credentials.errors import Misuse


class Audience(Flag):
    """To whom a service may give a recorded field; several with `|`.

    `PUBLIC` is everybody who asks. `OWNER` is the customer whom it is about, in her own
    dealings. `ROLE` is the staff of whoever runs the service, and its systems, each as far as
    its role goes. `NOBODY` is none of them: it is kept for the service itself.
    """

    NOBODY = 0
    PUBLIC = auto()
    OWNER = auto()
    ROLE = auto()


def declared(columns: Mapping[Audience, str]) -> Mapping[str, Audience]:
    """Give each column's audience; the names of each stand in one text, with spaces between."""
    found: dict[str, Audience] = {}
    for audience, names in columns.items():
        for name in names.split():
            if name in found:
                raise Misuse(f"expected each column once, found one twice ({name})")
            found[name] = audience
    return found
