"""The repair shop: a counter that trusts Auricle for warranties and keeps only verdicts."""

from counterfoil_credentials.key_file import load_or_create_signer
from counterfoil_credentials.token_status_list import FetchedStatusSource
from counterfoil_service.serving import AsgiApp
from counterfoil_verifier.app import create_app
from counterfoil_verifier.counter import Counter
from counterfoil_verifier.presets import PRESETS
from counterfoil_verifier.requesting import Shop
from counterfoil_verifier.sql_store import SqlSessionStore
from counterfoil_verifier.statuses import Statuses
from counterfoil_verifier.trust import FetchedTrust

from counterfoil_demo.houses import AURICLE
from counterfoil_demo.process import Place

NAME = "Quay Street Repairs"
WARRANTY_VCT = f"{AURICLE.origin}/types/warranty"


def build(place: Place) -> AsgiApp:
    """Give the counter's service in its place."""
    store = SqlSessionStore(place.folder / "counter.sqlite3")
    place.closing.callback(store.close)
    counter = Counter(
        shop=Shop(
            name=NAME,
            origin=place.house.origin,
            signer=load_or_create_signer(place.folder / "shop-key.pem"),
        ),
        presets=[PRESETS["warranty"].accepting([WARRANTY_VCT])],
        trust=FetchedTrust(place.fetcher, {AURICLE.origin: frozenset({WARRANTY_VCT})}),
        statuses=Statuses(FetchedStatusSource(place.fetcher)),
        store=store,
    )
    return create_app(counter, counter_key=place.back_office_key)
