"""The customer's side of the walks: accept, present, grant, withdraw.

    offer link   ─► Wallet.accept                                 ─► HeldCredential
    request link ─► Wallet.matches     ─► choose ─► Wallet.present ─► Presented
    request link ─► Wallet.asked_terms ─► choose ─► Wallet.grant   ─► InForce
                                            Wallet.withdraw        ─► Ending, Proved

This is the face of the folder. Each method is one step; the decision behind it
stands in the module named for its verb. What was under way when the program
stopped is finished, or dropped for a stated reason, by `Wallet.resume`.
"""

import secrets
import threading
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, Self
from weakref import WeakValueDictionary

from counterfoil_consent.holder import asks_for_consent
from counterfoil_consent.wire import GrantId
from counterfoil_credentials.claims import ClaimPath
from counterfoil_credentials.digital_link import DigitalLink
from counterfoil_credentials.encoding import Json
from counterfoil_credentials.errors import Misuse, Reason, Unavailable
from counterfoil_credentials.fetch import Fetcher, GuardedFetcher

from counterfoil_wallet.acceptance import (
    RENEWABLE,
    Acceptance,
    Authorizing,
    Finished,
    acceptance_id_of,
)
from counterfoil_wallet.acceptance import UNDER_WAY as ACCEPTANCES_UNDER_WAY
from counterfoil_wallet.acceptance_records import from_record as acceptance_from
from counterfoil_wallet.accepting import Acceptor, End
from counterfoil_wallet.access_report import Access, access_report
from counterfoil_wallet.answers import answer_id
from counterfoil_wallet.asked_terms import AskedTerms, GrantChoice
from counterfoil_wallet.asking import Asking, SignedRequest
from counterfoil_wallet.attesting import ANONYMOUS, Client
from counterfoil_wallet.authorizing import login_of
from counterfoil_wallet.card_keys import CardKeys
from counterfoil_wallet.consent_desk import ConsentDesk
from counterfoil_wallet.consents import Consents
from counterfoil_wallet.counter_codes import CounterCodes, CounterPreset, show, showable
from counterfoil_wallet.disclosures import Disclosure
from counterfoil_wallet.grant_states import UNDER_WAY as GRANTS_UNDER_WAY
from counterfoil_wallet.grant_states import Abandoned, Ending, HeldGrant, InForce, Proved
from counterfoil_wallet.handing import Handed, hand_over
from counterfoil_wallet.held import CredentialId, HeldCredential
from counterfoil_wallet.history import Event, EventId
from counterfoil_wallet.identifiers import Identifier, identifier_for
from counterfoil_wallet.listening import Listener, Listeners, heard
from counterfoil_wallet.matching import Choice, Matches, match_request
from counterfoil_wallet.memory_store import MemoryStore
from counterfoil_wallet.offered import Offered, offer_in, offer_of
from counterfoil_wallet.passphrase import FileKey
from counterfoil_wallet.presenting import (
    Declined,
    Presented,
    Presenter,
    receipt_id,
)
from counterfoil_wallet.products import cards_about
from counterfoil_wallet.reading import Stuck, damaged_in, events_in, read_each, readable_cards
from counterfoil_wallet.reminders import Reminder, reminders_of
from counterfoil_wallet.routing import Offer, Receipt, Request, Transfer, recognise
from counterfoil_wallet.showing import copies_for
from counterfoil_wallet.statuses import ASKED_AGAIN_AFTER, CardStatus, StatusChecks, known_status
from counterfoil_wallet.store import Kind, Record, Store
from counterfoil_wallet.transactions import TransactionType
from counterfoil_wallet.trash import Removed, Trash
from counterfoil_wallet.trust import Trust
from counterfoil_wallet.wire import Clock, Random, refuse

if TYPE_CHECKING:
    from counterfoil_wallet.exporting import Imported
    from counterfoil_wallet.recovery import Recovery, RecoveryShare
    from counterfoil_wallet.salvaging import Salvaged

_SECRET_BYTES: Final = 32

MOST_KEPT_BYTES: Final = 2**21
MOST_KEPT_NAMES: Final = 500


class Points(Protocol):
    """What an app plugs in for points, made with this wallet's `secret`, `keep` and `kept`."""

    def balances(self) -> Mapping[str, object]:
        """Give the balance with each brand, as it was last seen."""
        ...

    def history(self) -> Sequence[object]:
        """Give what was earned, exchanged, redeemed and given, the newest first."""
        ...


@dataclass(frozen=True, slots=True)
class Accepted:
    """What an offer led to. `refused` says why a part of it is not held.

    `waits_until`: the issuer has a part of it not ready; `Wallet.resume` asks for it, and
    not before that instant. None where nothing is late.
    """

    credentials: tuple[HeldCredential, ...]
    refused: tuple[Reason, ...]
    waits_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Resumed:
    """Where each thing stands that was under way: see the states' names.

    `stuck` names what could not be gone on with and why; it is left as it is.
    """

    acceptances: tuple[Acceptance, ...]
    grants: tuple[HeldGrant, ...]
    stuck: tuple[Stuck, ...] = ()


def utc_now() -> datetime:
    """Give the time of this machine's clock."""
    return datetime.now(UTC)


class Wallet:
    """Holds a customer's credentials. Safe from several threads; one program at a time.

    `fetcher`, `clock` and `random` are for tests and unusual places; `trust`
    names the verifiers and custodians that the app vouches for.
    """

    def __init__(
        self,
        store: Store,
        *,
        fetcher: Fetcher | None = None,
        clock: Clock = utc_now,
        random: Random = secrets.token_bytes,
        trust: Trust | None = None,
        client: Client = ANONYMOUS,
    ) -> None:
        self._listeners = Listeners()
        # What is brought in from elsewhere is no news: nobody is told of it.
        self._untold = store
        store = heard(store, self._listeners.tell)
        self._store = store
        self._fetcher = GuardedFetcher() if fetcher is None else fetcher
        self._clock = clock
        self._random = random
        self._trust = Trust() if trust is None else trust
        self._keys = CardKeys(random, client.key_store)
        if client.key_store is not None:
            store.reach(client.key_store.name)
        self._acceptor = Acceptor(store, self._fetcher, clock, random, client, keys=self._keys)
        self._asking = Asking(self._fetcher, clock, random, self._trust)
        self._presenter = Presenter(store, self._fetcher, clock, self._keys)
        self._consents = Consents(store, self._fetcher, clock, random, self._trust, keys=self._keys)
        self._consent = ConsentDesk(
            store,
            self._fetcher,
            clock,
            random,
            consents=self._consents,
            asking=self._asking,
            presenter=self._presenter,
            only_one=self._only_one,
        )
        self._statuses = StatusChecks(store, self._fetcher, clock, random)
        self._trash = Trash(store, clock, random, self._keys)
        # A lock for each walk under way, gone when nobody holds it or waits.
        self._one_at_a_time: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._one_more = threading.Lock()
        self._points: Points | None = None

    @classmethod
    def create(
        cls,
        path: str | PathLike[str],
        passphrase: str,
        *,
        fetcher: Fetcher | None = None,
        clock: Clock = utc_now,
        random: Random = secrets.token_bytes,
        trust: Trust | None = None,
        client: Client = ANONYMOUS,
    ) -> Self:
        """Make a wallet in the folder `path`; `Refused` with `wallet-exists` if there is one."""
        # Loaded here: the wallet's face must load without the encrypted SQLite.
        from counterfoil_wallet.sqlite_store import SqliteStore  # noqa: PLC0415

        store = SqliteStore.create(Path(path), passphrase, random=random)
        return cls(store, fetcher=fetcher, clock=clock, random=random, trust=trust, client=client)

    @classmethod
    def open(
        cls,
        path: str | PathLike[str],
        secret: str | FileKey,
        *,
        fetcher: Fetcher | None = None,
        clock: Clock = utc_now,
        random: Random = secrets.token_bytes,
        trust: Trust | None = None,
        client: Client = ANONYMOUS,
    ) -> Self:
        """Open the wallet in the folder `path`, with its passphrase or the key that `key_of` gave.

        Raises `Refused` with `wallet-missing`, `passphrase-wrong` or `key-wrong`,
        `Unavailable` while another program has it open, `Malformed` when it is
        damaged. Call `resume` next.
        """
        from counterfoil_wallet.sqlite_store import SqliteStore  # noqa: PLC0415

        store = SqliteStore.open(Path(path), secret)
        return cls(store, fetcher=fetcher, clock=clock, random=random, trust=trust, client=client)

    @classmethod
    def restore(
        cls,
        backup: str | PathLike[str],
        path: str | PathLike[str],
        passphrase: str,
        *,
        shares: Sequence[str] = (),
        fetcher: Fetcher | None = None,
        clock: Clock = utc_now,
        random: Random = secrets.token_bytes,
        trust: Trust | None = None,
        client: Client = ANONYMOUS,
    ) -> Self:
        """Make in the folder `path` the wallet that the file `backup` holds.

        `passphrase` is the backup's, and from now on this wallet's. With the words of
        enough contacts' `shares` it is a new one. Raises `Refused` with
        `passphrase-wrong`, `wallet-exists`, `shares-too-few`, …, and `Malformed` for a
        damaged file: then no wallet is made. Call `resume` next.
        """
        from counterfoil_wallet.backup import read_backup  # noqa: PLC0415
        from counterfoil_wallet.sqlite_store import SqliteStore  # noqa: PLC0415

        contents = read_backup(Path(backup), passphrase, shares)
        store = SqliteStore.create(Path(path), passphrase, random=random, fill=contents.put_into)
        return cls(store, fetcher=fetcher, clock=clock, random=random, trust=trust, client=client)

    @classmethod
    def in_memory(
        cls,
        *,
        fetcher: Fetcher | None = None,
        clock: Clock = utc_now,
        random: Random = secrets.token_bytes,
        trust: Trust | None = None,
        client: Client = ANONYMOUS,
    ) -> Self:
        """Make a wallet that is gone when the program ends."""
        return cls(
            MemoryStore(), fetcher=fetcher, clock=clock, random=random, trust=trust, client=client
        )

    @staticmethod
    def key_of(path: str | PathLike[str], passphrase: str) -> FileKey:
        """Give the key of the wallet's file, for the platform's keychain.

        With it, opening derives nothing. Whoever has it reads the wallet. Raises as `open`.
        """
        from counterfoil_wallet.sqlite_store import key_of  # noqa: PLC0415

        return key_of(Path(path), passphrase)

    @staticmethod
    def salvage(
        path: str | PathLike[str],
        passphrase: str,
        into: str | PathLike[str],
        *,
        random: Random = secrets.token_bytes,
    ) -> "Salvaged":
        """Make in the folder `into` a wallet of what is intact in a damaged one, which stays.

        The answer lists what could not be read. Raises `Refused` with
        `passphrase-wrong`, `wallet-missing` or `wallet-exists`, and `Malformed`
        where nothing can be read: restore a backup then.
        """
        from counterfoil_wallet.salvaging import salvage  # noqa: PLC0415

        return salvage(Path(path), passphrase, Path(into), random=random)

    @staticmethod
    def exists(path: str | PathLike[str]) -> bool:
        """Say whether the folder `path` holds a wallet."""
        from counterfoil_wallet.sqlite_store import exists  # noqa: PLC0415

        return exists(Path(path))

    def lock(self) -> None:
        """Let go of the file and its key. Every later call is `Misuse`; open it again.

        Listeners are told what is still to be told, but the file is closed before.
        """
        self._store.close()
        self._listeners.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.lock()

    # Offers.

    def accept(self, source: Offered | str, *, tx_code: str | None = None) -> Accepted:
        """Accept an offer: redeem it, prove a fresh key, verify what comes and keep it.

        `source` is what `offered` gave: what was shown is what is accepted. With a link
        instead, whatever it leads to now is accepted unseen.
        Once accepted, the same offer gives the same credentials, and so does the same
        link: one that leads to a new offer each time is for `offered`. `Unavailable`
        leaves it under way: call again, or `resume`. Raises `Refused` when
        nothing of it could be kept (`offer-not-redeemed`, `issuer-mismatch`,
        `tx-code-needed`, …) or is left (`accepted-before`), and `Malformed`.
        """
        offer = offer_in(source)
        with self._only_one(acceptance_id_of(offer)):
            return self._accepted(self._acceptor.accept(offer, tx_code))

    def offered(self, offer_link: str) -> Offered:
        """Give what an offer would give, as its issuer says it. Nothing is accepted yet.

        Show it, and hand it on to `accept` or, where it needs a login, `authorize`.
        Raises as `accept` does.
        """
        offer = offer_of(self._fetcher, offer_link, ())
        discovered = self._acceptor.discover(offer, by_login=offer.code is None)
        return Offered.of(offer, discovered, known=self._trust.issuers, now=self._clock())

    def authorize(
        self, source: Offered | str, *, redirect_uri: str, configurations: Sequence[str] = ()
    ) -> Authorizing:
        """Begin a login for an offer; open its `url` in a browser, and hand on what comes back.

        `source` is what `offered` gave, a link, or an issuer's URL with the
        `configurations` to ask it for. `redirect_uri` is the app's own. The login is
        kept: the app may stop and start again before the browser is back. Raises
        `Refused` (`login-not-offered`, `peer-refused`, …), `Unavailable`, `Malformed`.
        """
        offer = offer_of(self._fetcher, source, configurations)
        return self._acceptor.authorize(offer, redirect_uri)

    def come_back(self, url: str) -> Accepted:
        """Go on with the login that ended at `url`, the whole address the browser came to.

        Raises `Refused` (`login-refused`, `login-unknown`, `login-over`,
        `issuer-mismatch`, …) and what `accept` raises.
        """
        with self._only_one(login_of(url)):
            return self._accepted(self._acceptor.come_back(url))

    def credentials(self) -> list[HeldCredential]:
        """Give what is held, oldest first, without the trash; each is read when first used."""
        return self._store.cards()

    def find(self, path: ClaimPath, value: Json) -> list[HeldCredential]:
        """Give the cards that say exactly `value` at `path`, oldest first, without the trash.

        `None` in `path` stands for any element of a list. `Misuse` for a list or an object as
        `value`, and for a path that leads to no claim (`iss`, `vct`).
        """
        return self._store.cards_with(path, value)

    def search(self, text: str, *, limit: int = 50) -> list[HeldCredential]:
        """Give the cards in which every word of `text` occurs or begins one, newest first.

        In English and Chinese, without the trash; of a long claim the first 2,000 characters.
        """
        return self._store.search(text, limit=limit)

    def about(self, product: DigitalLink) -> list[HeldCredential]:
        """Give the cards about a product that was scanned (`read`), oldest first."""
        return cards_about(product, self._store)

    # Requests.

    def read(self, text: str) -> Offer | Matches | AskedTerms | DigitalLink | Transfer | Receipt:
        """Give what a scanned or pasted text leads to. Nothing about this wallet goes out.

        An offer is still a link, for `offered` and `accept`, and a shop's receipt still to be
        taken (`take_receipt`); a request is fetched once, and
        asks to see or for a grant. What is wrong with a request is told to the address that
        it names, before anybody agreed. Raises as `recognise`, `matches` and `asked_terms` do.
        """
        found = recognise(text)
        if not isinstance(found, Request):
            return found
        signed = self._asking.fetch(found.link)
        if asks_for_consent(signed.request):
            return self._asked_terms(signed)
        return self._matches(signed)

    def matches(self, request_link: str) -> Matches:
        """Give what is asked, by whom, and exactly what each answer would reveal.

        Nothing about this wallet goes out; what is wrong with the request itself is
        told to whoever asks, at the address that the request names. Raises `Refused` when
        the request cannot be trusted, or with `asks-for-a-grant` when `asked_terms` is
        the way; `Unavailable`, `Malformed`.
        """
        signed = self._asking.fetch(request_link)
        if asks_for_consent(signed.request):
            raise refuse("asks-for-a-grant", "a request to present", "one for a grant", "request")
        return self._matches(signed)

    def present(self, choice: Choice) -> Presented:
        """Show what was chosen, to whom it was shown on the screen, once.

        Raises `Refused` with `already-shown` or `already-declined` when this request was
        answered before, also by another choice or before a crash; see `Presenter.present`.
        """
        with self._only_one(answer_id(choice.request)):
            return self._presenter.present(choice)

    def hand_over(self, choice: Choice) -> Handed:
        """Show what was chosen as QR codes, once, where there is no network.

        The request came as codes too, by value. Nothing is sent; raises what `present`
        raises before it sends.
        """
        with self._only_one(answer_id(choice.request)):
            return hand_over(self._presenter, choice)

    def take_receipt(self, token: str) -> Event:
        """Keep the shop's receipt for what was shown, read off its screen, and give the visit.

        One that came in the answer is kept already. Raises `Refused` for one that is not the
        shop's word on something that this wallet showed; what differs from what was shown is
        kept, and the event `is_warning`.
        """
        with self._only_one(receipt_id(token)):
            return self._presenter.take_receipt(token)

    def export_receipt(self, event_id: EventId, path: str | PathLike[str]) -> None:
        """Write the receipt of one visit into the file `path`, for whoever is to check it.

        Raises `Refused` with `receipt-unknown` or `path-taken`, `Unavailable` when the disk
        does not take it.
        """
        from counterfoil_wallet.exporting import write_receipt  # noqa: PLC0415

        write_receipt(self._store, event_id, Path(path))

    def decline(self, matches: Matches) -> Declined:
        """Say no, and no more than that.

        Raises `Refused` with `already-shown` or `already-declined`: to each request one answer.
        """
        with self._only_one(answer_id(matches.request)):
            return self._presenter.decline(matches)

    def understand(self, *types: TransactionType) -> None:
        """Let requests of these types of transaction through: the app can show them."""
        self._asking.types.update({one.name: one for one in types})

    def showable(self, preset: CounterPreset) -> tuple[Disclosure, ...]:
        """Give what could be shown at a counter of this preset, first: nobody has asked.

        Nothing is shown yet.
        """
        now = self._clock()
        held = self._keys.here(readable_cards(self._store.cards(preset.query.vct_values)))
        return showable(preset, held, self._store, now=now)

    def show(
        self, preset: CounterPreset, disclosure: Disclosure, *, reuse_that_links: bool = False
    ) -> CounterCodes:
        """Show what was chosen of `showable` as codes that change every 30 seconds.

        Nothing is sent, and nobody is asked. Each showing takes a copy that nobody has
        seen; raises `Refused` with `only-copies-that-link` when none is left, unless
        `reuse_that_links`.
        """
        return show(
            preset,
            disclosure,
            self._store,
            self._clock,
            self._random,
            keys=self._keys,
            may_link=reuse_that_links,
        )

    # Consent.

    def asked_terms(self, request_link: str) -> AskedTerms:
        """Give the terms that a receiver asks to be granted, and what could be granted.

        What is wrong with them is told to the receiver. Raises as `matches` does, and
        `Refused` with `not-a-consent-request` when `matches` is the way.
        """
        signed = self._asking.fetch(request_link)
        if not asks_for_consent(signed.request):
            expected, found = "a request for a grant", "one to present"
            raise refuse("not-a-consent-request", expected, found, "request")
        return self._asked_terms(signed)

    def grant(self, choice: GrantChoice, *, screen: str | None = None) -> InForce:
        """Grant what was chosen: seal it, sign it, deliver it.

        `screen` is what the app calls the place where she agreed, for her to know later.
        `Unavailable` leaves it under way: `resume` goes on. Raises `Refused` or
        `Malformed` with the other side's word; then nothing is in force.
        """
        with self._only_one(answer_id(choice.signed.request)):
            deciding = self._consents.decide(choice, screen)
        with self._only_one(deciding.grant_id):
            return self._consents.deliver(deciding)

    def withdraw(self, grant_id: GrantId) -> Ending | Proved | Abandoned:
        """End a grant for good. The answer says who has heard, and how well erasure is proved."""
        with self._only_one(grant_id):
            return self._consents.withdraw(grant_id)

    def grants(self) -> list[HeldGrant]:
        """Give every grant that can be read, oldest first; `damaged` names the rest."""
        return self._consents.book.all()

    @property
    def consent(self) -> ConsentDesk:
        """What the customer sees of her grants and does about them: see `ConsentDesk`."""
        return self._consent

    # The desk.

    def statuses(self) -> list[CardStatus]:
        """Give what was last found out about each card's status; nobody is asked."""
        return [known_status(card) for card in self.credentials()]

    def check_statuses(self, *, max_age: timedelta = ASKED_AGAIN_AFTER) -> list[CardStatus]:
        """Ask the issuers' status lists about each card, and keep what they say.

        A list that was fetched less than `max_age` ago is not fetched again. Where it
        could not be found out, `failed` says why, and what was known stands. Ask when
        the app opens, or when the customer looks; never while presenting.
        """
        with self._only_one("statuses"):
            return self._statuses.check(max_age=max_age)

    def remove(self, credential_id: CredentialId) -> Removed:
        """Put a card into the trash for thirty days; `resume` destroys what is older.

        Raises `Refused` with `credential-unknown`.
        """
        return self._trash.remove(credential_id)

    def removed(self) -> list[Removed]:
        """Give what is in the trash, and until when it can be taken back."""
        return self._trash.all()

    def take_back(self, credential_id: CredentialId) -> HeldCredential:
        """Take a card out of the trash; `Refused` with `credential-unknown` when it is gone."""
        return self._trash.take_back(credential_id)

    def empty_trash(self) -> int:
        """Destroy everything in the trash, with its keys, and give how many cards it was."""
        return self._trash.empty(at_once=True)

    def reminders(self, zone: tzinfo) -> tuple[Reminder, ...]:
        """Give when each end is to be told, 30, 7 and 1 days before, in the app's `zone`."""
        return reminders_of(self.credentials(), now=self._clock(), zone=zone)

    # Backup, recovery, export. Loaded when first used: few programs do it each time.

    def backup(self, path: str | PathLike[str], passphrase: str) -> None:
        """Write all of this moment into the file `path`, encrypted; `docs/backup.md` reads it.

        It is there whole or not at all. Raises `Misuse` for an empty passphrase,
        `Unavailable` when the disk does not take it.
        """
        from counterfoil_wallet.backup import write_backup  # noqa: PLC0415

        with self._only_one("backup"):
            write_backup(self._store, Path(path), passphrase, at=self._clock(), random=self._random)

    def split_recovery_key(
        self, contacts: Sequence[str], threshold: int
    ) -> tuple["RecoveryShare", ...]:
        """Make a key that opens later backups, and give each contact a share of it, in words.

        `threshold` shares together are the key; fewer tell nothing. Show each its own,
        once: nobody keeps them, nor the key. An older split does not open later backups.
        `Misuse` unless 2 <= threshold <= contacts <= 16.
        """
        from counterfoil_wallet.recovery import split  # noqa: PLC0415

        recovery, shares = split(contacts, threshold, random=self._random, at=self._clock())
        self._store.put(recovery.to_record())
        return shares

    def recovery(self) -> "Recovery | None":
        """Give who holds shares and how many are needed, or None before the first split."""
        from counterfoil_wallet.backup import recovery_of  # noqa: PLC0415

        return recovery_of(self._store)

    def export(self, path: str | PathLike[str], passphrase: str) -> None:
        """Write everything into the new folder `path`, in open formats; keys stay encrypted.

        Raises `Refused` with `path-taken`, `Misuse` for an empty passphrase,
        `Unavailable` when the disk does not take it.
        """
        from counterfoil_wallet.exporting import write_export  # noqa: PLC0415

        write_export(self._store, Path(path), passphrase, at=self._clock(), random=self._random)

    def import_from(
        self, path: str | PathLike[str], passphrase: str, *, shares: Sequence[str] = ()
    ) -> "Imported":
        """Add what an export's folder or a backup file holds; what is here stays as it is.

        Raises what `restore` raises for a file; then nothing has changed.
        """
        from counterfoil_wallet.exporting import bring_in, read_export  # noqa: PLC0415

        return bring_in(read_export(Path(path), passphrase, shares), self._untold)

    # Everything.

    def resume(self) -> Resumed:
        """Go on with everything that was under way, as far as each goes now.

        What cannot be reached stays where it is; what was refused is dropped.
        Each goes on by itself: one that is stuck does not stop the others. What has been
        in the trash for thirty days is destroyed, and where few fresh copies of a card are
        left and its issuer gives a way to, more are asked for.
        """
        self._trash.empty()
        self._consent.forget_lapsed()

        def go_on_accepting(record: Record) -> Acceptance:
            with self._only_one(record.key):
                # Another thread may have brought it on since it was listed.
                latest = self._store.get(Kind.ACCEPTANCE, record.key) or record
                return self._acceptor.resume(acceptance_from(latest))

        def go_on_granting(record: Record) -> HeldGrant:
            with self._only_one(record.key):
                return self._consents.resume(self._consents.book.state(GrantId(record.key)))

        acceptances, stuck = read_each(
            self._store.find(Kind.ACCEPTANCE, ACCEPTANCES_UNDER_WAY), go_on_accepting
        )
        refilled, not_refilled = read_each(
            self._store.find(Kind.ACCEPTANCE, (RENEWABLE,)), self._refill
        )
        acceptances += [state for state in refilled if state is not None]
        stuck += not_refilled
        grants, stuck_grants = read_each(
            self._store.find(Kind.GRANT, GRANTS_UNDER_WAY), go_on_granting
        )
        return Resumed(tuple(acceptances), tuple(grants), (*stuck, *stuck_grants))

    def history(self) -> list[Event]:
        """Give what was accepted, shown, declined, granted and withdrawn, oldest first."""
        return events_in(self._store)

    def forget_events(self, event_ids: Collection[EventId]) -> int:
        """Delete events from the history for good, with their receipts; give how many it were.

        That a request was answered stays known, so that none is answered twice. An answer
        that comes later to something under way is a new event. Backups made before keep them.
        """
        wanted = frozenset(event_ids)
        with self._untold.step():
            found = [event for event in self.history() if event.event_id in wanted]
            # Nobody is told: nothing happened.
            self._untold.put(*(event.forgotten().to_record() for event in found))
        return len(found)

    def export_history(self, passphrase: str) -> str:
        """Give the history, encrypted, for this or another wallet: EUDI TS10, a compact JWE.

        Names of claims are in it, never values. `Misuse` for an empty passphrase.
        """
        from counterfoil_wallet.history_log import seal_history  # noqa: PLC0415

        return seal_history(self.history(), passphrase, random=self._random)

    def import_history(self, file: str, passphrase: str) -> "Imported":
        """Add the events that a file of `export_history` holds; what is here stays as it is.

        What was deleted here stays deleted. Raises `Refused` with `passphrase-wrong`, or with
        `history-foreign` where another wallet wrote it; `Malformed` for what is no log.
        """
        from counterfoil_wallet.exporting import bring_in_events  # noqa: PLC0415
        from counterfoil_wallet.history_log import read_history  # noqa: PLC0415

        return bring_in_events(read_history(file, passphrase), self._untold)

    def access_report(self) -> tuple[Access, ...]:
        """Give who has seen what, and until when each says that it keeps it; the latest first."""
        return access_report(self.history())

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` each event of the history once it is kept; see `Event`.

        It is called in a thread of its own, again when an event's outcome is known.
        Call what is given back to stop, from any thread.
        """
        return self._listeners.listen(listener)

    def damaged(self) -> list[Stuck]:
        """Give the records that cannot be read, and so are in no list; they are kept."""
        return damaged_in(self._store)

    def check(self) -> None:
        """Read the whole file; `Malformed` names the page that is damaged. `salvage` is next."""
        self._store.check()

    def secret(self, name: str) -> bytes:
        """Give 32 secret bytes, made at the first call for `name` and kept in the wallet.

        For keys that live outside the wallet's own walks, such as points accounts.
        """
        with self._only_one(f"secret {name}"):
            record = self._store.get(Kind.SECRET, name)
            if record is None:
                record = Record(Kind.SECRET, name, "", self._random(_SECRET_BYTES))
                self._store.put(record)
        return record.body

    def keep(self, name: str, body: bytes) -> None:
        """Keep what the app needs again, in place of what was kept under `name`.

        For what lives outside the wallet's own walks, such as the last look at points. It is
        encrypted, backed up and exported with the rest; an empty `body` is nothing. `Misuse`
        above `MOST_KEPT_BYTES`, and for more than `MOST_KEPT_NAMES` names.
        """
        if len(body) > MOST_KEPT_BYTES:
            raise Misuse(f"expected at most {MOST_KEPT_BYTES} bytes to keep, found {len(body)}")
        with self._store.step():
            if not body:
                self._store.forget(Kind.KEPT, name)
                return
            if self._store.get(Kind.KEPT, name) is None:
                names = len(self._store.find(Kind.KEPT))
                if names >= MOST_KEPT_NAMES:
                    raise Misuse(
                        f"expected at most {MOST_KEPT_NAMES} names to keep, found one more"
                    )
            self._store.put(Record(Kind.KEPT, name, "", body))

    def kept(self, name: str) -> bytes | None:
        """Give what the app kept under `name`; None for nothing."""
        record = self._store.get(Kind.KEPT, name)
        return None if record is None else record.body

    def identifier(self, party: str) -> Identifier:
        """Give who this wallet is to `party`, made without asking anybody at the first call.

        Each party meets another one, so that no two can find out that they know the same
        customer. `party` is compared as a text: an issuer's URL, a client id.
        """
        with self._only_one(f"identifier {party}"):
            return identifier_for(party, self._store, self._random)

    @property
    def points(self) -> Points:
        """What the app set for points; `Misuse` while it has set nothing."""
        if self._points is None:
            raise Misuse("expected the app to set Wallet.points, found it unset")
        return self._points

    @points.setter
    def points(self, points: Points) -> None:
        self._points = points

    def _matches(self, signed: SignedRequest) -> Matches:
        request = signed.request
        transactions = self._asking.transactions(signed)
        types = {vct for query in request.query.credentials for vct in query.vct_values}
        return match_request(
            request,
            self._keys.here(readable_cards(self._store.cards(types))),
            asker=self._asking.asker(signed),
            now=self._clock(),
            transactions=transactions,
            chosen=copies_for(self._store, request.client_id, at=self._clock()),
        )

    def _asked_terms(self, signed: SignedRequest) -> AskedTerms:
        with self._asking.telling(signed.proved):
            return self._consents.read(signed)

    def _refill(self, record: Record) -> Acceptance | None:
        """Refill the cards of a finished acceptance; None where there was nothing to do."""
        with self._only_one(record.key):
            before = acceptance_from(self._store.get(Kind.ACCEPTANCE, record.key) or record)
            if not isinstance(before, Finished):
                return None
            try:
                after = self._acceptor.refill(before)
            except Unavailable:
                return None
            return None if after == before else after

    def _accepted(self, end: End) -> Accepted:
        found = [self._store.card(credential_id) for credential_id in end.held]
        held = tuple(card for card in found if card is not None and card.trashed_at is None)
        late = () if isinstance(end, Finished) else end.late
        if end.held and not held and not late:
            expected, was = "an offer that is new to this wallet", "one whose cards were removed"
            raise refuse("accepted-before", expected, was, "credential_offer")
        return Accepted(
            held,
            end.refused,
            min((each.not_before for each in late), default=None),
        )

    @contextmanager
    def _only_one(self, key: str) -> Generator[None, None, None]:
        with self._one_more:
            lock = self._one_at_a_time.setdefault(key, threading.Lock())
        with lock:
            yield
