"""The stage of the walk: the houses' offices, the wallet, the wire between them, the diary."""

import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from counterfoil_consent.client import fetch_custodian
from counterfoil_credentials.errors import Refused
from counterfoil_loyalty.accounts import PointsAccounts
from counterfoil_loyalty.client import PointsClient
from counterfoil_loyalty.refusals import POINTS_OFF
from counterfoil_service.access import load_or_create_key
from counterfoil_wallet.trust import Trust
from counterfoil_wallet.wallet import Wallet

from counterfoil_demo.diary import Diary
from counterfoil_demo.houses import AURICLE, CUSTODIAN, POINTS, SHOP, VELORUM, House, fetcher_for
from counterfoil_demo.mallory import WireTap
from counterfoil_demo.office import Office
from counterfoil_demo.report import Report
from counterfoil_demo.supervisor import Supervisor

_WALLET: Final = "wallet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything that the steps share. `tap` is the wire that the wallet speaks over."""

    data: Path
    report: Report
    diary: Diary
    tap: WireTap
    wallet: Wallet
    points: PointsClient
    accounts: PointsAccounts
    auricle: Office
    velorum: Office
    shop: Office
    points_operator_key: str = field(repr=False)

    def has_points(self) -> bool:
        """Tell whether this programme has points, by the points service's own word."""
        try:
            self.points.programmes()
        except Refused as refusal:
            if refusal.codes == [POINTS_OFF]:
                return False
            raise
        return True

    @property
    def wallet_folder(self) -> Path:
        """Where the customer's wallet keeps its encrypted file."""
        return self.data / _WALLET


@contextmanager
def open_scene(data: Path, supervisor: Supervisor, report: Report) -> Generator[Scene]:
    """Give the stage over running houses; the wallet is open while the block runs."""
    wire = fetcher_for(data)
    tap = WireTap(wire)
    custodian = fetch_custodian(wire, CUSTODIAN.origin)
    trust = Trust(custodians={custodian.origin: custodian.did})
    folder = data / _WALLET
    # The passphrase is the customer's to remember; here a file plays her memory.
    passphrase = load_or_create_key(data / "customer-passphrase")
    opens = Wallet.open if Wallet.exists(folder) else Wallet.create
    with opens(folder, passphrase, fetcher=tap, random=secrets.token_bytes, trust=trust) as wallet:

        def office(house: House) -> Office:
            return Office(wire, house.origin, supervisor.key_of(house))

        yield Scene(
            data=data,
            report=report,
            diary=Diary(data),
            tap=tap,
            wallet=wallet,
            points=PointsClient(wire, POINTS.origin),
            accounts=PointsAccounts(wallet.secret("points")),
            auricle=office(AURICLE),
            velorum=office(VELORUM),
            shop=office(SHOP),
            points_operator_key=supervisor.key_of(POINTS),
        )
