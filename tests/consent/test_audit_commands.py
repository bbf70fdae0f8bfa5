"""`counterfoil consent dossier`, `figures` and `audit`, over the folders of real parties."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from counterfoil_consent import CustodianParty, deliver
from counterfoil_consent.app import create_app, receiver_routes
from counterfoil_consent.cli import main
from counterfoil_consent.cli_audit import write_dossier
from counterfoil_consent.custodian_folder import CustodianFolder
from counterfoil_consent.custodian_settings import CustodianSettings
from counterfoil_consent.dossier import CustomerGrant
from counterfoil_consent.dossier_export import customer_dossier
from counterfoil_consent.export import ConsentHistory, consent_record
from counterfoil_consent.papers import Paper
from counterfoil_consent.receiver import Receiver
from counterfoil_consent.receiver_folder import open_receiver
from counterfoil_credentials.encoding import compact_json
from counterfoil_credentials.fetch import Response
from counterfoil_credentials.issuer_keys import issuer_keys_document
from counterfoil_credentials.token_status_list import VALID, pack, sign_status_list
from counterfoil_service.errors import install_error_handlers
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.conftest import Clock
from tests.consent.street import (
    AUDIO,
    BENEFITS,
    CANARIES,
    CUSTODIAN,
    FRAME,
    FRAME_VALUE,
    KEY,
    NOTICE,
    RIDER,
    VELO,
    WARRANTY,
    Street,
    handler_of,
)


class Folders(Street):
    """The street over the folders that operators have, at the true time."""

    def __init__(self, folder: Path, random: Callable[[int], bytes]) -> None:
        self.root = folder
        now = datetime.now(UTC).replace(microsecond=0)
        super().__init__(Clock(now), random, None)
        token = sign_status_list(
            pack([VALID, VALID]),
            url=f"{AUDIO}/status-lists/1",
            bits=2,
            signer=self.issuer,
            issued_at=now - timedelta(minutes=1),
            expires_at=None,
            ttl_s=None,
        )
        keys = compact_json(issuer_keys_document(AUDIO, [self.issuer.public]))

        def answer(method: str, path: str, headers: object, body: bytes) -> Response:
            if path.startswith("/.well-known/jwt-vc-issuer"):
                return Response(200, "application/json", keys)
            return Response(200, "application/statuslist+jwt", token.encode())

        self.fetcher.serve(AUDIO, answer)

    def open(self) -> Receiver:
        """Give the receiver of the folder, on the network."""
        receiver = open_receiver(
            self.root / "receiver",
            origin=VELO,
            name="Velo",
            custodian=CUSTODIAN,
            issuers={RIDER: [AUDIO], WARRANTY: [AUDIO]},
            fetcher=self.fetcher,
            anchor=self.root / "anchor",
        )
        brand = FastAPI()
        install_error_handlers(brand)
        brand.include_router(receiver_routes(receiver, KEY, finished_within_s=60))
        self.fetcher.serve(VELO, handler_of(TestClient(brand, base_url=VELO)))
        return receiver


@pytest.fixture
def audited(tmp_path: Path, random_bytes: Callable[[int], bytes]) -> Path:
    """Give the folders and dossiers of three parties after one grant, one read."""
    street = Folders(tmp_path, random_bytes)
    made = CustodianFolder(tmp_path / "custodian")
    made.make(CustodianSettings(public_url=CUSTODIAN, develops=False))
    with made.open(CUSTODIAN) as opened:
        custodian = TestClient(create_app(opened.custodian), base_url=CUSTODIAN)
        street.fetcher.serve(CUSTODIAN, handler_of(custodian))
        street.custodian = opened.custodian
        street.receiver = street.open()
        package, _ = street.packed()
        active = deliver(package, fetcher=street.fetcher)
        with street.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
            assert facts.one(FRAME) == FRAME_VALUE
    assert isinstance(active.agreement.terms.custodian, CustodianParty)
    hers = CustomerGrant(
        agreement=active.agreement,
        notice=NOTICE.text,
        papers={Paper.RECEIPT: active.receipt},
        record=consent_record(ConsentHistory.of(active)),
    )
    write_dossier(tmp_path / "customer.json", customer_dossier([hers], now=street.clock()))
    (tmp_path / "planted.txt").write_text("\n".join(CANARIES))
    return tmp_path


def spoken(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    status = main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    assert not said.err
    assert not [canary for canary in CANARIES if canary in said.out]
    return status, said.out


def test_the_commands_of_an_operator_and_of_an_auditor_fit_together(
    audited: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said = spoken(capsys, "figures", audited / "receiver", "--days", 7)
    assert (status, said.splitlines()[0]) == (0, "0 of 0 overdue, no stop yet (median)")
    for party in ("receiver", "custodian"):
        status, said = spoken(capsys, "dossier", audited / party, audited / f"{party}.json")
        assert (status, said.strip().split("; ")[1]) == (0, "grants in it: 1")

    given = (
        *("--receiver", audited / "receiver.json", "--custodian", audited / "custodian.json"),
        *("--customer", audited / "customer.json", "--anchor", audited / "anchor"),
        *("--planted", audited / "planted.txt", "--scan", audited / "receiver"),
    )
    status, said = spoken(capsys, "audit", *given, "--json")
    findings = {each["number"]: each for each in json.loads(said)["findings"]}
    # She asked nobody how often, the root of this hour is still to come, and nothing has ended.
    unknown = {number for number, each in findings.items() if each["status"] != "ok"}
    assert unknown == {3, 7, 9, 10, 11}, json.dumps([findings[n] for n in unknown], indent=1)
    assert not [each for each in findings.values() if each["status"] == "failed"]
    assert (status, len(findings)) == (2, 14)

    (audited / "receiver" / "app.log").write_text(f"read {FRAME_VALUE}")
    status, said = spoken(capsys, "audit", *given)
    assert status == 1
    assert "13 failed             planted-values-are-nowhere" in said
    assert "     wrong: app.log: holds planted value 1" in said


def test_a_dossier_is_written_once_and_of_a_party_alone(
    audited: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dossier", str(audited / "receiver"), str(audited / "customer.json")]) == 1
    assert main(["dossier", str(audited), str(audited / "new.json")]) == 2
    assert not (audited / "new.json").exists()
    assert "neither" in capsys.readouterr().err


def test_a_dossier_of_another_party_and_a_file_that_is_none_are_refused(
    audited: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    customer, planted = str(audited / "customer.json"), str(audited / "planted.txt")
    assert main(["audit", "--receiver", customer]) == 2
    assert "expected the dossier of a receiver" in capsys.readouterr().err
    assert main(["audit", "--customer", planted]) == 2
    assert main(["audit", "--custodian", str(audited / "nowhere.json")]) == 2
    assert not [canary for canary in CANARIES if canary in capsys.readouterr().err]
