"""The phone as a program: the pages over the wallet in its folder."""

from typing import Final

from counterfoil_service.serving import AsgiApp
from counterfoil_wallet import Trust

from counterfoil_demo.houses import read_routes
from counterfoil_demo.pages.guard import hosts_of
from counterfoil_demo.pages.sessions import Sessions
from counterfoil_demo.pages.shell import Shell, Tab
from counterfoil_demo.pages.words import marked
from counterfoil_demo.phone.brands import known_issuers
from counterfoil_demo.phone.card_pages import card_routes
from counterfoil_demo.phone.custodian_known import known_custodians
from counterfoil_demo.phone.door import Door
from counterfoil_demo.phone.entrance import MAX_BACKUP_BYTES, entrance_routes
from counterfoil_demo.phone.exchange_pages import OpenQuotes, exchange_routes
from counterfoil_demo.phone.grant_pages import grant_routes
from counterfoil_demo.phone.history_pages import MAX_LOG_BYTES, history_routes
from counterfoil_demo.phone.home import home_routes
from counterfoil_demo.phone.pocket import Pocket, utc_now
from counterfoil_demo.phone.points import plug_in
from counterfoil_demo.phone.points_pages import points_routes
from counterfoil_demo.phone.receipt_pages import receipt_routes
from counterfoil_demo.phone.receipts import Receipts
from counterfoil_demo.phone.scan_pages import scan_routes
from counterfoil_demo.phone.settings_pages import settings_routes
from counterfoil_demo.phone.sharing_pages import sharing_routes
from counterfoil_demo.process import Place

TABS: Final = (
    Tab("/", "cards", marked("Cards")),
    Tab("/receipts", "receipt", marked("Receipts")),
    Tab("/scan", "scan", marked("Scan")),
    Tab("/sharing", "halves", marked("Sharing")),
    Tab("/points", "points", marked("Points")),
)


def build(place: Place) -> AsgiApp:
    """Give the phone's pages in their place."""
    pocket = Pocket(
        place.folder / "wallet",
        fetcher=place.fetcher,
        trust=Trust(
            issuers=known_issuers(),
            custodians=known_custodians(place.folder, place.fetcher),
        ),
    )
    place.closing.callback(pocket.lock)
    address = read_routes(place.folder.parent)[place.house.origin]
    return phone_app(pocket, hosts=hosts_of(address))


def phone_app(pocket: Pocket, *, hosts: frozenset[str]) -> AsgiApp:
    """Give the phone's pages over `pocket`, for the addresses `hosts`."""
    shell = Shell("phone", tabs=TABS)
    pocket.when_opened(plug_in(pocket))
    door = Door(pocket, Sessions("phone", utc_now))
    app = shell.app()
    door.install(app)
    app.include_router(entrance_routes(shell, door))
    app.include_router(home_routes(shell))
    app.include_router(card_routes(shell))
    app.include_router(receipt_routes(shell, Receipts(pocket)))
    app.include_router(scan_routes(shell, pocket))
    app.include_router(sharing_routes(shell))
    app.include_router(grant_routes(shell))
    app.include_router(history_routes(shell))
    app.include_router(points_routes(shell, pocket))
    app.include_router(exchange_routes(shell, pocket, OpenQuotes(pocket)))
    app.include_router(settings_routes(shell))
    return shell.guarded(
        app, hosts, large={"/restore": MAX_BACKUP_BYTES, "/history/bring": MAX_LOG_BYTES}
    )
