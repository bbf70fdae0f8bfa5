"""A shop's folder with its database open: what the commands and the service work with.

    with open_shop(folder, url, fetcher=fetcher, clock=clock) as shop:
        asked = shop.counter.ask("warranty")
        app = create_app(shop.counter, counter_key=folder.counter_key())

`fetcher` is the shop's one way out, and reaches what its settings say. Where it reaches
nobody, what the folder took along (`preload`) answers instead.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from counterfoil_credentials.client_ids import Prefix
from counterfoil_credentials.did_web import did_web_url
from counterfoil_credentials.dids import Did
from counterfoil_credentials.errors import CounterfoilError, Malformed, Misuse
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.fetch_urls import parse_url
from counterfoil_credentials.token_status_list import FetchedStatusSource
from counterfoil_service.sealing import Seal

from counterfoil_verifier.counter import Counter
from counterfoil_verifier.flag_feed import FEED_MEDIA_TYPES, KeptFlags
from counterfoil_verifier.flags import FlagFeed, policy_at
from counterfoil_verifier.gathering import Gathering
from counterfoil_verifier.identity import Identity, OwnKey, Unproved, WebDid, certified
from counterfoil_verifier.preload import Preload, write_preload
from counterfoil_verifier.preloaded import PreloadedFetcher
from counterfoil_verifier.remembered import Remembered
from counterfoil_verifier.requesting import Shop
from counterfoil_verifier.shop_file import FILE_NAME, ShopFile
from counterfoil_verifier.shop_folder import ShopFolder
from counterfoil_verifier.shop_reload import CurrentTrust, Reloading
from counterfoil_verifier.shop_trust import is_subject, trust_of
from counterfoil_verifier.shop_upkeep import flags_of
from counterfoil_verifier.sql_store import SqlNames, SqlSessionStore
from counterfoil_verifier.statuses import Statuses
from counterfoil_verifier.trust import Trust
from counterfoil_verifier.trust_certified import CertifiedAlone
from counterfoil_verifier.trust_listed import LIST_MEDIA_TYPES
from counterfoil_verifier.verifier import Verifier

_DID_MEDIA_TYPES: Final = "application/did+ld+json, application/did+json, application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenShop:
    """A shop whose database is open. `fetcher` is its way out, without what was taken along."""

    folder: ShopFolder
    trust: Trust
    store: SqlSessionStore
    counter: Counter
    fetcher: Fetcher
    reloading: Reloading
    flags: KeptFlags | None


@contextmanager
def open_shop(
    folder: ShopFolder,
    url: str,
    *,
    fetcher: Fetcher,
    clock: Callable[[], datetime],
    database: str | None = None,
) -> Generator[OpenShop, None, None]:
    """Open the shop in `folder` at the origin `url`; `database` overrules its settings.

    Raises `Misuse` and `Malformed` for what is wrong in the folder, and `Unavailable`
    when the database cannot be had.
    """
    folder.require_made()
    shop, upkeep = shop_in(folder, url), folder.settings().upkeep
    preloaded = carried(folder, fetcher, clock)
    presets = folder.askable()
    trust = CurrentTrust(trust_of(folder.settings().trusted, preloaded, folder.path))
    flags = flags_in(folder, preloaded, clock)
    store = SqlSessionStore(folder.database(database))
    try:
        counter = Counter(
            shop=shop,
            presets=presets,
            trust=trust,
            statuses=Statuses(FetchedStatusSource(preloaded)),
            store=store,
            flags=flags,
            names=SqlNames(store.database),
            remembered=Remembered() if upkeep.remembers_signatures else None,
            clock=clock,
        )
        yield OpenShop(
            folder=folder,
            trust=trust,
            store=store,
            counter=counter,
            fetcher=fetcher,
            reloading=Reloading(folder, counter, trust, preloaded, clock=clock),
            flags=flags,
        )
    finally:
        store.close()


def carried(
    folder: ShopFolder, fetcher: Fetcher, clock: Callable[[], datetime]
) -> PreloadedFetcher:
    """Give `fetcher` with what the folder took along for when it reaches nobody.

    Raises like `read_preload` for a file that is not this shop's, or was changed.
    """
    now = clock()
    return PreloadedFetcher(fetcher, folder.preload(now) or Preload(now, {}), clock)


def flags_in(
    folder: ShopFolder, fetcher: Fetcher, clock: Callable[[], datetime]
) -> KeptFlags | None:
    """Give the feed of flags that the settings name, if they name one."""
    feed = folder.settings().upkeep.flags
    return None if feed is None else KeptFlags(flags_of(feed, fetcher, folder.path), clock)


def take_along(
    folder: ShopFolder, fetcher: Fetcher, clock: Callable[[], datetime]
) -> tuple[Preload, Mapping[str, CounterfoilError]]:
    """Fetch what the shop will need without a network, and keep it; give what could not be had.

    `fetcher` must be the network itself: what was taken along before is no news.
    """
    gathering, now = gather(folder.settings(), fetcher, clock), clock()
    before = folder.preload(now) if gathering.failures else None
    # What could not be had today stays as it was: a list says its own age.
    kept = () if before is None else before.documents.values()
    data = write_preload([*kept, *gathering.documents], signer=folder.signer(), at=now)
    return folder.take_along(data, now), gathering.failures


def gather(settings: ShopFile, fetcher: Fetcher, clock: Callable[[], datetime]) -> Gathering:
    """Fetch, while there is a network, what the shop will need without one."""
    gathering = Gathering(fetcher, clock)
    if settings.upkeep.flags is not None and settings.upkeep.flags.url is not None:
        gathering.document(settings.upkeep.flags.url, accept=FEED_MEDIA_TYPES)
    for one in settings.trusted.lists:
        gathering.document(one.url, accept=LIST_MEDIA_TYPES)
    for issuer in settings.trusts:
        if issuer.startswith("did:web:"):
            gathering.document(did_web_url(Did(issuer)), accept=_DID_MEDIA_TYPES)
        elif not issuer.startswith("did:") and not is_subject(issuer):
            gathering.issuer(issuer)
    return gathering


def shop_in(folder: ShopFolder, url: str) -> Shop:
    """Give who asks, by the folder's settings and keys."""
    settings = folder.settings()
    seal = Seal(folder.secret(), "answer keys") if settings.encrypts_answers else None
    return Shop(
        name=settings.name,
        origin=url,
        signer=folder.signer(),
        identity=_identity(folder, settings, url),
        way=settings.way,
        seal=seal,
        return_to=settings.return_to,
        is_strict=settings.is_strict,
    )


def verifier_for(
    folder: ShopFolder, preset_name: str, fetcher: Fetcher, flags: FlagFeed | None
) -> Verifier:
    """Give what decides about answers to one preset, as the counter does.

    Raises `Misuse` for a preset that the folder cannot ask.
    """
    settings = folder.settings()
    trust = trust_of(settings.trusted, fetcher, folder.path)
    askable = {preset.name: preset for preset in folder.askable()}
    if preset_name not in askable:
        expected = f"a request for one of {', '.join(sorted(askable)) or 'no preset'}"
        raise Misuse(f"expected {expected}, found another")
    statuses = Statuses(FetchedStatusSource(fetcher))
    believed = CertifiedAlone(trust) if settings.is_strict else trust
    return Verifier(policy_at(askable[preset_name], flags), believed, statuses)


def _identity(folder: ShopFolder, settings: ShopFile, url: str) -> Identity:
    match settings.client_id:
        case Prefix.REDIRECT_URI:
            return Unproved()
        case Prefix.X509_SAN_DNS | Prefix.X509_HASH as prefix:
            name = settings.certificates
            if name is None:
                raise Malformed("the name of a file", "none", f"{FILE_NAME}.certificates")
            path = folder.path / name
            if not path.is_file():
                raise Malformed("a file of certificates in PEM", "none", name)
            return certified(prefix, path.read_bytes(), host=parse_url(url).hostname)
        case Prefix.DECENTRALIZED_IDENTIFIER:
            return OwnKey() if settings.did is None else WebDid(Did(settings.did))
