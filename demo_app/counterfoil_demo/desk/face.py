"""The brand's desk as a program: the pages over the brand's service, which has the data."""

from counterfoil_credentials.encoding import int_at, object_at
from counterfoil_credentials.errors import CounterfoilError
from counterfoil_service.access import load_or_create_key
from counterfoil_service.serving import AsgiApp
from fastapi import Request, Response

from counterfoil_demo.houses import AURICLE, read_routes
from counterfoil_demo.office import Office
from counterfoil_demo.pages.guard import hosts_of
from counterfoil_demo.pages.shell import Shell
from counterfoil_demo.phone.brands import brand_of
from counterfoil_demo.process import Place
from counterfoil_demo.supervisor import KEY_FILE


def build(place: Place) -> AsgiApp:
    """Give the desk's pages in their place."""
    data = place.folder.parent
    key = load_or_create_key(data / AURICLE.name / KEY_FILE)
    address = read_routes(data)[place.house.origin]
    return desk_app(Office(place.fetcher, AURICLE.origin, key), hosts=hosts_of(address))


def desk_app(brand: Office, *, hosts: frozenset[str]) -> AsgiApp:
    """Give the desk's pages over the brand's back office, for the addresses `hosts`."""
    shell = Shell("desk")
    app = shell.app()

    @app.get("/")
    def first(request: Request) -> Response:
        counts: dict[str, int] = {}
        kinds: list[tuple[str, int, int]] = []
        try:
            told = brand.get("/back-office/summary")
            counts = {name: int_at(told, name, "summary") for name in ("orders", "offers_open")}
            credentials = object_at(told, "credentials", "summary")
            for name in credentials:
                of_kind = object_at(credentials, name, "summary.credentials")
                in_force = int_at(of_kind, "in_force", "summary.credentials")
                revoked = int_at(of_kind, "revoked", "summary.credentials")
                kinds.append((name, in_force, revoked))
        except CounterfoilError:
            # The page says that the brand's service does not answer.
            counts = {}
        return shell.page(
            request,
            "desk/first.html",
            brand=brand_of(brand.origin, shell.words(request).language),
            counts=counts,
            kinds=kinds,
        )

    return shell.guarded(app, hosts)
