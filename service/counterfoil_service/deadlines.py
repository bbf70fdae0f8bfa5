"""A request must have come whole by its deadline: whoever sends slowly frees the connection.

    uvicorn.Config(app, http=PunctualProtocol, ...)

uvicorn ends a connection that is idle after an answer, and waits for a first head, and for
any body, as long as the sender likes. Each wait holds a descriptor, and few strangers hold
all that a process has. The deadline is for the whole head, and for the whole body: one byte
now and then moves neither. An answer must be read by its deadline likewise. A connection
past it is cut; nobody listens there anyway.
"""

import asyncio
from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS: Final = 800
"""How many there are at once: of the 1,024 files that a process usually may open, the
database and the fetcher need some, and each may hold half a body in memory."""
HEAD_WITHIN_S: Final = 10
BODY_WITHIN_S: Final = 60
REFUSED_WITHIN_S: Final = 5
"""How long the rest of a body is taken in whose answer is out already: it was refused."""
READ_WITHIN_S: Final = 60


class PunctualProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with a deadline for what comes in."""

    _deadline: asyncio.TimerHandle | None = None
    _within_s: int | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a first head, for a while; one too many is hung up on."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self._expect(HEAD_WITHIN_S)

    def data_received(self, data: bytes) -> None:
        """Wait for what is missing after `data`, for a while."""
        super().data_received(data)
        self._expect_the_rest()

    def on_response_complete(self) -> None:
        """Wait for what came of the next request before this answer."""
        super().on_response_complete()
        # Between two requests uvicorn's own, shorter time runs.
        if self.conn.their_state is h11.SEND_BODY:
            self._expect_the_rest()

    def pause_writing(self) -> None:
        """Wait for whoever does not read, for a while."""
        super().pause_writing()
        self._unread = self.loop.call_later(READ_WITHIN_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: it was read."""
        super().resume_writing()
        self._forget_unread()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing."""
        self._expect(None)
        self._forget_unread()
        super().connection_lost(exc)

    def _forget_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _expect_the_rest(self) -> None:
        state = self.conn.their_state
        if state is h11.IDLE:
            self._expect(HEAD_WITHIN_S)
        elif state is h11.SEND_BODY:
            # Who hangs up at once takes the answer away from whoever still sends.
            is_answered = self.conn.our_state is h11.DONE
            self._expect(REFUSED_WITHIN_S if is_answered else BODY_WITHIN_S)
        else:
            self._expect(None)

    def _expect(self, within_s: int | None) -> None:
        if within_s == self._within_s:
            return  # The time that runs, runs on.
        self._within_s = within_s
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if within_s is not None:
            self._deadline = self.loop.call_later(within_s, self.transport.abort)
