"""One connection's transaction: begun late, divided by marks, ended once.

A work inside a group can be undone alone: it starts at a mark, and undoing
goes back to that mark. Marks and the beginning travel with the next statement, so
that a database across a network is asked once where it could be asked four times.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Final

from counterfoil_credentials.errors import Misuse
from sqlalchemy import ClauseElement
from sqlalchemy.engine import Dialect

from counterfoil_service.statements import Compiled, Connection, Row, Statement, Value

MARK: Final = "SAVEPOINT work"
RELEASE: Final = "RELEASE SAVEPOINT work"
UNDO: Final = "ROLLBACK TO SAVEPOINT work"
COMMIT: Final = "COMMIT"
ROLL_BACK: Final = "ROLLBACK"


class Session(Connection):
    """A connection with the verbs that its owner needs besides the works' own."""

    def __init__(self, dialect: Dialect, *, beginning: Sequence[str]) -> None:
        self._dialect = dialect
        self._beginning = tuple(beginning)
        self._waiting: list[str] = []
        self._open = False
        self._begun = False
        self._marked = False
        self._touched = False
        self._failed = False
        self.wrote = 0
        """How many of the transaction's statements have changed something, or may have."""

    def begin(self) -> None:
        """Begin a transaction; the database hears of it with the first statement."""
        self._waiting = list(self._beginning)
        self._open = True
        self._begun = self._marked = self._touched = self._failed = False
        self.wrote = 0

    def start(self) -> None:
        """Begin at once, and wait for whoever writes; otherwise the first statement does."""
        for command in self._ahead():
            self._command(command)
        self._touched = False

    def mark(self) -> None:
        """Set the point to which `undo` goes back."""
        if self._marked and self._touched:
            self._waiting.append(RELEASE)
            self._marked = False
        if not self._marked:
            self._waiting.append(MARK)
            self._marked = True
        self._touched = False

    def undo(self) -> None:
        """Take back what happened since the mark."""
        if self._touched:
            self._command(UNDO)
        self._touched = self._failed = False

    def require_whole(self) -> None:
        """Raise what an `add` broke, and `Misuse` when a statement failed and nobody said so.

        PostgreSQL answers nothing more after a failed statement, so a work that
        goes on as if nothing had happened would work on SQLite alone.
        """
        if self._failed:
            raise Misuse("expected a failed statement to end its work, found the work went on")
        try:
            self._settle()
        except Exception as error:
            raise self._failure(error) from error

    @property
    def failed(self) -> bool:
        """Whether a statement failed, so that the transaction can only be undone."""
        return self._failed

    def commit(self) -> None:
        """End the transaction; what it changed has reached the disk."""
        self.require_whole()
        if self._begun:
            self._command(COMMIT)
        self._open = self._begun = False

    def roll_back(self) -> None:
        """End the transaction; it changed nothing."""
        if self._begun and not self.lost:
            self._command(ROLL_BACK)
        self._open = self._begun = False

    def rows(self, statement: Statement | ClauseElement, /, **values: Value) -> list[Row]:
        compiled, arranged = self._prepare(statement, values)
        if compiled.writes:
            self.wrote += 1
        try:
            return self._rows(compiled, arranged)
        except Exception as error:
            raise self._failure(error) from error

    def change(self, statement: Statement | ClauseElement, /, **values: Value) -> int:
        compiled, arranged = self._prepare(statement, values)
        try:
            changed = self._change(compiled, arranged)
        except Exception as error:
            raise self._failure(error) from error
        if changed:
            self.wrote += 1
        return changed

    def add(self, statement: Statement, /, **values: Value) -> None:
        compiled, arranged = self._prepare(statement, values)
        self.wrote += 1
        try:
            self._add(compiled, arranged)
        except Exception as error:
            raise self._failure(error) from error

    @property
    def lost(self) -> bool:
        """Whether the transaction that was begun is gone, whoever ended it."""
        return self._begun and not self._in_transaction

    @property
    @abstractmethod
    def is_remote(self) -> bool:
        """Whether each statement waits for another process."""

    @property
    @abstractmethod
    def usable(self) -> bool:
        """Whether another transaction may be begun on this connection."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""

    @property
    @abstractmethod
    def _in_transaction(self) -> bool: ...

    @abstractmethod
    def _control(self, command: str) -> None: ...

    @abstractmethod
    def _named(self, error: Exception) -> Exception:
        """Give the driver's error as one of ours."""

    @abstractmethod
    def _rows(self, compiled: Compiled, values: tuple[Value, ...]) -> list[Row]: ...

    @abstractmethod
    def _change(self, compiled: Compiled, values: tuple[Value, ...]) -> int: ...

    @abstractmethod
    def _add(self, compiled: Compiled, values: tuple[Value, ...]) -> None: ...

    def _settle(self) -> None:
        """Wait for what was added. Raises what it broke."""

    def _prepare(
        self, statement: Statement | ClauseElement, values: Mapping[str, Value]
    ) -> tuple[Compiled, tuple[Value, ...]]:
        if not self._open:
            raise Misuse("expected an open transaction, found it ended")
        if self._failed:
            self.require_whole()
        if isinstance(statement, Statement):
            compiled = statement.on(self._dialect)
        else:
            compiled = Compiled(statement, self._dialect, once=True)
        return compiled, compiled.arranged(values)

    def _command(self, command: str) -> None:
        try:
            self._control(command)
        except Exception as error:
            raise self._named(error) from error

    def _failure(self, error: Exception) -> Exception:
        self._failed = True
        return self._named(error)

    def _ahead(self) -> list[str]:
        """Give the commands that go before the statement that is now sent."""
        self._begun = self._touched = True
        ahead = self._waiting
        if ahead:
            self._waiting = []
        return ahead
