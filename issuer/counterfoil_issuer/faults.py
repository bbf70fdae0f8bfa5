"""Everything that is wrong with a catalogue, gathered: who mends it sees all of it at once."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from counterfoil_credentials.errors import Malformed

MAX_FAULTS: Final = 200
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueFault:
    """One thing wrong: in which file, in which credential type (None: of the brand), and where."""

    file: str
    type_name: str | None
    path: str
    expected: str
    found: str

    @property
    def where(self) -> str:
        """Give the place as people read it: `types/tier.json: tier: validity.days`."""
        return ": ".join(part for part in (self.file, self.type_name, self.path) if part)


class MalformedCatalogue(Malformed):
    """A catalogue that cannot be used. `faults` are all that is wrong, its text a line for each."""

    def __init__(self, faults: tuple[CatalogueFault, ...]) -> None:
        first = faults[0]
        super().__init__(first.expected, first.found, first.where)
        self.faults = faults
        self.args = ("\n".join(str(Malformed(f.expected, f.found, f.where)) for f in faults),)


@dataclass(slots=True)
class Faults:
    """What is wrong so far in one file, and with one of its types."""

    file: str
    type_name: str | None = None
    found: list[CatalogueFault] = field(default_factory=list[CatalogueFault])

    @property
    def count(self) -> int:
        """Give how many things are wrong."""
        return len(self.found)

    def add(self, path: str, expected: str, found: str) -> None:
        """Note one thing that is wrong at `path`."""
        self.found.append(
            CatalogueFault(
                file=self.file,
                type_name=self.type_name,
                path=path,
                expected=expected,
                found=found,
            )
        )

    def attempt(self, read: Callable[[], _Value]) -> _Value | None:
        """Give what `read` gives, or None when it finds its input `Malformed`, which is noted."""
        try:
            return read()
        except Malformed as error:
            self.add(error.where.removeprefix("."), error.expected, error.found)
            return None

    def only(self, names: Iterable[str], known: Iterable[str], where: str) -> None:
        """Note each of `names` that is not `known`: a misspelt member must not pass in silence."""
        for name in names:
            if name not in known:
                self.add(f"{where}{name}", "one of " + ", ".join(known), "another member")


def require_none(faults: Iterable[CatalogueFault]) -> None:
    """Return only if nothing is wrong; raises `MalformedCatalogue`."""
    found = tuple(faults)[:MAX_FAULTS]
    if found:
        raise MalformedCatalogue(found)
