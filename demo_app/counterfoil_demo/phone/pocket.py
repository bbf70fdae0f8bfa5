"""The customer's wallet, in its folder, closed or in hand; and who may look into it.

One wallet, which any number of browsers may have unlocked. It is let go of with the last of
them, and a wrong passphrase makes everybody wait, longer each time.
"""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from counterfoil_credentials.errors import CounterfoilError, Misuse, Refused
from counterfoil_credentials.fetch import Fetcher
from counterfoil_wallet import KnownIssuer, Trust, Wallet

SHORTEST_PASSPHRASE: Final = 12
_FREE_GUESSES: Final = 3
_LONGEST_WAIT_S: Final = 60


def utc_now() -> datetime:
    """Give the time of this machine's clock."""
    return datetime.now(UTC)


class HasToWait(Exception):  # an answer to the customer, not a fault
    """Too many wrong passphrases; the next is looked at in `seconds`."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"expected no passphrase for {seconds} s, found one")
        self.seconds = seconds


class Pocket:
    """Holds the wallet of one folder. Safe from several threads."""

    def __init__(
        self,
        folder: Path,
        *,
        fetcher: Fetcher,
        trust: Trust,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._fetcher = fetcher
        self._trust = trust
        self._clock = clock
        self._monotonic = monotonic
        self._wallet: Wallet | None = None
        self._lock = threading.Lock()
        self._wrong = 0
        self._waits_until = 0.0
        self._going_on: threading.Thread | None = None
        self._when_locked: list[Callable[[], None]] = []
        self._when_opened: list[Callable[[Wallet], None]] = []

    @property
    def fetcher(self) -> Fetcher:
        """Give what this phone asks the network with."""
        return self._fetcher

    @property
    def clock(self) -> Callable[[], datetime]:
        """Give this phone's clock."""
        return self._clock

    @property
    def issuers(self) -> Mapping[str, KnownIssuer]:
        """Give the issuers that this phone vouches for, by URL."""
        return self._trust.issuers

    def exists(self) -> bool:
        """Tell whether there is a wallet."""
        return Wallet.exists(self._folder)

    @property
    def wallet(self) -> Wallet:
        """Give the wallet in hand; `Misuse` while it is locked."""
        wallet = self._wallet
        if wallet is None:
            raise Misuse("expected an unlocked wallet, found it locked")
        return wallet

    @property
    def is_locked(self) -> bool:
        """Tell whether nobody has the wallet in hand."""
        return self._wallet is None

    def create(self, passphrase: str) -> None:
        """Make the wallet; `Refused` with `wallet-exists` when there is one."""
        with self._lock:
            self._take(
                Wallet.create(
                    self._folder,
                    passphrase,
                    fetcher=self._fetcher,
                    clock=self._clock,
                    trust=self._trust,
                )
            )

    def restore(self, backup: Path, passphrase: str) -> None:
        """Make the wallet that the file `backup` holds; raises as `Wallet.restore` does."""
        with self._lock:
            self._take(
                Wallet.restore(
                    backup,
                    self._folder,
                    passphrase,
                    fetcher=self._fetcher,
                    clock=self._clock,
                    trust=self._trust,
                )
            )

    def unlock(self, passphrase: str) -> None:
        """Take the wallet in hand, or prove again to whom it belongs.

        Raises `Refused` with `passphrase-wrong`, and `HasToWait` after several of them,
        whatever the passphrase is.
        """
        with self._lock:
            self._require_no_wait()
            try:
                if self._wallet is None:
                    self._take(
                        Wallet.open(
                            self._folder,
                            passphrase,
                            fetcher=self._fetcher,
                            clock=self._clock,
                            trust=self._trust,
                        )
                    )
                else:
                    Wallet.key_of(self._folder, passphrase).forget()
            except Refused as refusal:
                if "passphrase-wrong" in refusal.codes:
                    self._count_wrong()
                raise
            self._wrong = 0

    def go_on(self) -> None:
        """Go on, in a thread, with what a stop left under way, and ask for statuses."""
        self._going_on = threading.Thread(target=self._go_on, name="going on", daemon=True)
        self._going_on.start()

    def settle(self) -> None:
        """Wait until what `go_on` began is over, for tests."""
        if self._going_on is not None:
            self._going_on.join()

    def lock(self) -> None:
        """Let go of the wallet and its key."""
        with self._lock:
            wallet, self._wallet = self._wallet, None
        if wallet is not None:
            wallet.lock()
        for told in self._when_locked:
            told()

    def when_locked(self, told: Callable[[], None]) -> None:
        """Call `told` each time that the wallet is let go of."""
        self._when_locked.append(told)

    def when_opened(self, told: Callable[[Wallet], None]) -> None:
        """Call `told` with each wallet that is taken in hand, before anybody else has it."""
        self._when_opened.append(told)

    def _take(self, wallet: Wallet) -> None:
        for told in self._when_opened:
            told(wallet)
        self._wallet = wallet

    def _go_on(self) -> None:
        wallet = self._wallet
        if wallet is None:
            return
        try:
            wallet.resume()
            wallet.check_statuses()
        except CounterfoilError:
            # Locked meanwhile, or nobody to be reached: what is under way stays so.
            return

    def _require_no_wait(self) -> None:
        left = self._waits_until - self._monotonic()
        if left > 0:
            raise HasToWait(int(left) + 1)

    def _count_wrong(self) -> None:
        self._wrong += 1
        if self._wrong >= _FREE_GUESSES:
            wait = min(_LONGEST_WAIT_S, 2 ** (self._wrong - _FREE_GUESSES + 1))
            self._waits_until = self._monotonic() + wait
