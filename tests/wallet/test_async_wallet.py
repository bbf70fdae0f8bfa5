"""The async face has every verb of the wallet, and keeps its promises."""

import asyncio
import inspect
import threading
from collections.abc import Callable, Mapping

import pytest
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_wallet import Act, AsyncWallet, ConsentDesk, MemoryStore, Wallet
from counterfoil_wallet.async_wallet import AsyncConsentDesk

from tests.conftest import Clock
from tests.wallet.strangers import StrangeIssuer, StrangeShop

# How a wallet comes to be, and what the loop's side has instead.
NOT_AWAITED = {
    *("create", "open", "in_memory", "exists", "restore", "salvage", "key_of"),
    *("points", "listen", "consent"),
}


def public(of: type) -> set[str]:
    return {name for name in vars(of) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("plain", "awaiting", "others"),
    [(Wallet, AsyncWallet, {"events", "consent"}), (ConsentDesk, AsyncConsentDesk, set[str]())],
)
def test_each_verb_of_the_wallet_can_be_awaited_with_the_same_arguments(
    plain: type, awaiting: type, others: set[str]
) -> None:
    verbs = public(plain) - NOT_AWAITED

    assert public(awaiting) == verbs | others
    for verb in verbs:
        awaited = getattr(awaiting, verb)
        assert inspect.iscoroutinefunction(awaited), verb
        assert inspect.signature(awaited) == inspect.signature(getattr(plain, verb)), verb
        assert awaited.__doc__, verb


def test_a_whole_walk_runs_beside_the_loop(
    clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    network = MemoryFetcher()
    issuer, shop = StrangeIssuer(network, clock, random_bytes), StrangeShop(network, clock)
    threads: set[int] = set()

    def handle(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        threads.add(threading.get_ident())
        return shop.handle(method, path, headers, body)

    network.serve("https://shop.example", handle)

    async def walk() -> list[Act]:
        plain = Wallet(MemoryStore(), fetcher=network, clock=clock, random=random_bytes)
        async with AsyncWallet(plain) as wallet, wallet.events() as events:
            await wallet.accept(issuer.link)
            asked = await wallet.matches(shop.link)
            await wallet.present(asked.choose())
            return [(await anext(events)).act for _ in range(3)]

    assert asyncio.run(walk()) == [Act.ACCEPTED, Act.SHOWN, Act.SHOWN]
    assert threads
    assert threading.get_ident() not in threads


def test_leaving_the_block_locks_the_wallet() -> None:
    async def leave() -> Wallet:
        async with AsyncWallet(Wallet.in_memory(fetcher=MemoryFetcher())) as wallet:
            return wallet.wallet

    wallet = asyncio.run(leave())

    with pytest.raises(Misuse):
        wallet.credentials()


def test_what_was_begun_ends_although_its_task_is_cancelled(
    clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    network = MemoryFetcher()
    issuer = StrangeIssuer(network, clock, random_bytes)
    asked, go_on = threading.Event(), threading.Event()

    def slowly(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        asked.set()
        go_on.wait(60)
        return issuer.handle(method, path, headers, body)

    network.serve("https://brand.example", slowly)
    plain = Wallet(MemoryStore(), fetcher=network, clock=clock, random=random_bytes)

    async def cancel() -> None:
        accepting = asyncio.create_task(AsyncWallet(plain).accept(issuer.link))
        await asyncio.to_thread(asked.wait, 60)
        accepting.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await accepting

    # The loop's end waits for its threads.
    asyncio.run(cancel())

    assert len(plain.credentials()) == 1


def test_the_desk_is_awaited_too(clock: Clock) -> None:
    async def look() -> None:
        async with AsyncWallet(Wallet.in_memory(fetcher=MemoryFetcher(), clock=clock)) as wallet:
            assert await wallet.consent.all() == ()
            assert await wallet.consent.check() == ()

    asyncio.run(look())
