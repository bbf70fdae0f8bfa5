"""The same wallet for programs with an event loop: each verb runs in a thread.

    async with AsyncWallet(Wallet.open(folder, passphrase)) as wallet:
        await wallet.accept(offer_link)
        asked = await wallet.matches(request_link)
        await wallet.present(asked.choose())

A verb that was begun goes on to its end also when its task is cancelled: to have sent
something and not to have written it down would be worse than to come late.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from typing import Concatenate, ParamSpec, Self, TypeVar

from counterfoil_wallet.consent_desk import ConsentDesk
from counterfoil_wallet.history import Event
from counterfoil_wallet.wallet import Wallet

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def _in_thread(
    verb: Callable[Concatenate[Wallet, _Given], _Result],
) -> Callable[Concatenate["AsyncWallet", _Given], Coroutine[None, None, _Result]]:
    @wraps(verb)
    async def awaited(
        self: "AsyncWallet", /, *arguments: _Given.args, **named: _Given.kwargs
    ) -> _Result:
        return await asyncio.to_thread(verb, self.wallet, *arguments, **named)

    return awaited


def _at_desk(
    verb: Callable[Concatenate[ConsentDesk, _Given], _Result],
) -> Callable[Concatenate["AsyncConsentDesk", _Given], Coroutine[None, None, _Result]]:
    @wraps(verb)
    async def awaited(
        self: "AsyncConsentDesk", /, *arguments: _Given.args, **named: _Given.kwargs
    ) -> _Result:
        return await asyncio.to_thread(verb, self.desk, *arguments, **named)

    return awaited


class AsyncWallet:
    """A wallet whose verbs are awaited. Each is documented at `Wallet`."""

    def __init__(self, wallet: Wallet) -> None:
        """Take over an open wallet, which may also still be used as it is."""
        self.wallet = wallet

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.lock()

    @property
    def consent(self) -> "AsyncConsentDesk":
        """What the customer sees of her grants and does about them, to await."""
        return AsyncConsentDesk(self.wallet.consent)

    about = _in_thread(Wallet.about)
    accept = _in_thread(Wallet.accept)
    access_report = _in_thread(Wallet.access_report)
    asked_terms = _in_thread(Wallet.asked_terms)
    authorize = _in_thread(Wallet.authorize)
    backup = _in_thread(Wallet.backup)
    check = _in_thread(Wallet.check)
    check_statuses = _in_thread(Wallet.check_statuses)
    come_back = _in_thread(Wallet.come_back)
    credentials = _in_thread(Wallet.credentials)
    damaged = _in_thread(Wallet.damaged)
    decline = _in_thread(Wallet.decline)
    empty_trash = _in_thread(Wallet.empty_trash)
    export = _in_thread(Wallet.export)
    export_history = _in_thread(Wallet.export_history)
    export_receipt = _in_thread(Wallet.export_receipt)
    find = _in_thread(Wallet.find)
    forget_events = _in_thread(Wallet.forget_events)
    grant = _in_thread(Wallet.grant)
    grants = _in_thread(Wallet.grants)
    hand_over = _in_thread(Wallet.hand_over)
    history = _in_thread(Wallet.history)
    identifier = _in_thread(Wallet.identifier)
    import_from = _in_thread(Wallet.import_from)
    import_history = _in_thread(Wallet.import_history)
    keep = _in_thread(Wallet.keep)
    kept = _in_thread(Wallet.kept)
    lock = _in_thread(Wallet.lock)
    matches = _in_thread(Wallet.matches)
    offered = _in_thread(Wallet.offered)
    present = _in_thread(Wallet.present)
    read = _in_thread(Wallet.read)
    recovery = _in_thread(Wallet.recovery)
    reminders = _in_thread(Wallet.reminders)
    remove = _in_thread(Wallet.remove)
    removed = _in_thread(Wallet.removed)
    resume = _in_thread(Wallet.resume)
    search = _in_thread(Wallet.search)
    secret = _in_thread(Wallet.secret)
    show = _in_thread(Wallet.show)
    showable = _in_thread(Wallet.showable)
    split_recovery_key = _in_thread(Wallet.split_recovery_key)
    statuses = _in_thread(Wallet.statuses)
    take_back = _in_thread(Wallet.take_back)
    take_receipt = _in_thread(Wallet.take_receipt)
    understand = _in_thread(Wallet.understand)
    withdraw = _in_thread(Wallet.withdraw)

    @asynccontextmanager
    async def events(self) -> AsyncGenerator["Events", None]:
        """Give what happens while the block runs; see `Wallet.listen`."""
        events = Events(asyncio.get_running_loop())
        stop = self.wallet.listen(events.tell)
        try:
            yield events
        finally:
            await asyncio.to_thread(stop)


class AsyncConsentDesk:
    """A consent desk whose verbs are awaited. Each is documented at `ConsentDesk`."""

    def __init__(self, desk: ConsentDesk) -> None:
        """Take the desk of an open wallet."""
        self.desk = desk

    all = _at_desk(ConsentDesk.all)
    ask = _at_desk(ConsentDesk.ask)
    by_fact = _at_desk(ConsentDesk.by_fact)
    by_party = _at_desk(ConsentDesk.by_party)
    check = _at_desk(ConsentDesk.check)
    come_back = _at_desk(ConsentDesk.come_back)
    complaint = _at_desk(ConsentDesk.complaint)
    custodian = _at_desk(ConsentDesk.custodian)
    defer = _at_desk(ConsentDesk.defer)
    dossier = _at_desk(ConsentDesk.dossier)
    export_log = _at_desk(ConsentDesk.export_log)
    forget_lapsed = _at_desk(ConsentDesk.forget_lapsed)
    hide = _at_desk(ConsentDesk.hide)
    one = _at_desk(ConsentDesk.one)
    policy = _at_desk(ConsentDesk.policy)
    preview = _at_desk(ConsentDesk.preview)
    records = _at_desk(ConsentDesk.records)
    refuse = _at_desk(ConsentDesk.refuse)
    reminders = _at_desk(ConsentDesk.reminders)
    resume = _at_desk(ConsentDesk.resume)
    set_policy = _at_desk(ConsentDesk.set_policy)
    stand_by = _at_desk(ConsentDesk.stand_by)
    suspend = _at_desk(ConsentDesk.suspend)
    waiting = _at_desk(ConsentDesk.waiting)
    who_has = _at_desk(ConsentDesk.who_has)


class Events:
    """Events for `async for`, in their order."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: asyncio.Queue[Event] = asyncio.Queue()

    def tell(self, event: Event) -> None:
        """Take one in, from any thread."""
        self._loop.call_soon_threadsafe(self._queue.put_nowait, event)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        return await self._queue.get()
