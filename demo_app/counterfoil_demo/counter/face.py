"""The counter as a program: the pages over the shop's service, which has the data."""

from counterfoil_credentials.encoding import int_at
from counterfoil_credentials.errors import CounterfoilError
from counterfoil_service.access import load_or_create_key
from counterfoil_service.serving import AsgiApp
from counterfoil_verifier import PRESETS
from fastapi import Request, Response

from counterfoil_demo.houses import SHOP, read_routes
from counterfoil_demo.office import Office
from counterfoil_demo.pages.guard import hosts_of
from counterfoil_demo.pages.shell import Shell
from counterfoil_demo.process import Place
from counterfoil_demo.shop import NAME
from counterfoil_demo.supervisor import KEY_FILE

_ASKS = (PRESETS["warranty"],)


def build(place: Place) -> AsgiApp:
    """Give the counter's pages in their place."""
    data = place.folder.parent
    key = load_or_create_key(data / SHOP.name / KEY_FILE)
    address = read_routes(data)[place.house.origin]
    return counter_app(Office(place.fetcher, SHOP.origin, key), hosts=hosts_of(address))


def counter_app(shop: Office, *, hosts: frozenset[str]) -> AsgiApp:
    """Give the counter's pages over the shop's back office, for the addresses `hosts`."""
    shell = Shell("counter")
    app = shell.app()

    @app.get("/")
    def first(request: Request) -> Response:
        language = shell.words(request).language
        asks = [
            (
                getattr(each.title, language),
                getattr(each.purpose, language),
                getattr(each.retention, language),
            )
            for each in _ASKS
        ]
        verdicts = waiting = None
        try:
            told = shop.get("/counter/summary")
            verdicts, waiting = (
                int_at(told, "verdicts", "summary"),
                int_at(told, "waiting", "summary"),
            )
        except CounterfoilError:
            # The page says that the shop's service does not answer.
            pass
        return shell.page(
            request,
            "counter/first.html",
            shop=NAME,
            asks=asks,
            verdicts=verdicts,
            waiting=waiting,
        )

    return shell.guarded(app, hosts)
