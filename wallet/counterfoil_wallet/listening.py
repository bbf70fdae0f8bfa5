"""Tell an app what happens in the wallet: each event of the history, once it is kept.

A listener is called in a thread of its own, in the order of the events, so that it may
call the wallet and may be slow. It hears of an event again when its outcome is known.
"""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Final, cast

from counterfoil_wallet.history import Event
from counterfoil_wallet.store import Kind, Record, Store

PATIENCE_S: Final = 5.0

Listener = Callable[[Event], None]


class Listeners:
    """Who listens to one wallet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: dict[threading.Thread, SimpleQueue[Event | None]] = {}

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` from now on; call what is given back to stop.

        When stopping returns, the listener has been called for the last time. What it
        raises goes to `threading.excepthook`, and it is told the next event.
        """
        queue: SimpleQueue[Event | None] = SimpleQueue()
        thread = threading.Thread(target=_tell, args=(listener, queue), daemon=True)
        with self._lock:
            self._queues[thread] = queue
        thread.start()
        return lambda: self._stop(thread)

    def tell(self, event: Event) -> None:
        """Tell everybody who listens, soon."""
        with self._lock:
            for queue in self._queues.values():
                queue.put(event)

    def close(self) -> None:
        """Tell what is still to be told, and end.

        Nobody is waited for longer than `PATIENCE_S`: a listener may hang, or wait for
        the very thread that calls this.
        """
        with self._lock:
            threads = list(self._queues)
        ends_at = time.monotonic() + PATIENCE_S
        for thread in threads:
            self._stop(thread, within_s=max(0.0, ends_at - time.monotonic()))

    def _stop(self, thread: threading.Thread, within_s: float | None = None) -> None:
        with self._lock:
            queue = self._queues.pop(thread, None)
        if queue is not None:
            queue.put(None)
        # A listener that stops itself is in its last call.
        if thread is not threading.current_thread():
            thread.join(within_s)


class HeardStore:
    """A store that tells each event put into it, after the step that keeps it."""

    def __init__(self, store: Store, tell: Listener) -> None:
        self._store = store
        self._tell = tell
        self._own = _Steps()

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    @contextmanager
    def step(self) -> Generator[None, None, None]:
        own = self._own
        before = len(own.put)
        own.depth += 1
        try:
            with self._store.step():
                yield
        except BaseException:
            # What is undone was not.
            del own.put[before:]
            raise
        finally:
            own.depth -= 1
        self._tell_what_is_kept()

    def put(self, *records: Record) -> None:
        self._store.put(*records)
        self._own.put += [record for record in records if record.kind is Kind.EVENT]
        self._tell_what_is_kept()

    def _tell_what_is_kept(self) -> None:
        own = self._own
        if own.depth == 0:
            kept, own.put = own.put, []
            for record in kept:
                self._tell(Event.from_record(record))


class _Steps(threading.local):
    """How deep this thread is in steps, and which events it has put in them."""

    def __init__(self) -> None:
        self.depth = 0
        self.put: list[Record] = []


def heard(store: Store, tell: Listener) -> Store:
    """Give `store`, whose events are told from now on."""
    return cast("Store", HeardStore(store, tell))


def _tell(listener: Listener, queue: "SimpleQueue[Event | None]") -> None:
    while (event := queue.get()) is not None:
        try:
            listener(event)
        except Exception as error:  # noqa: BLE001  # a listener's error is not the wallet's
            # As if the thread had ended with it, which it does not: the next event is told.
            hook, thread = threading.excepthook, threading.current_thread()
            hook(threading.ExceptHookArgs((type(error), error, error.__traceback__, thread)))
