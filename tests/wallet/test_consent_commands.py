"""The commands about grants, with the real receiver and custodian behind them."""

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from counterfoil_consent import Purpose
from counterfoil_consent.dossier import CustomerDossier
from counterfoil_consent.export_log import read_log
from counterfoil_wallet import Wallet, verify_pack
from counterfoil_wallet.cli import PASSPHRASE_VARIABLE, main

from tests.conftest import Clock
from tests.wallet.conftest import PASSPHRASE, Reach
from tests.wallet.town import CUSTODIAN, VELO, Town


class Typist:
    """Somebody who types commands over one wallet; `taps` counts what she has to do."""

    def __init__(
        self,
        folder: Path,
        trust: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.folder = str(folder)
        self.taps = 0
        self._trust = str(trust)
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def types(self, command: str, *arguments: str, status: int = 0, answers: str = "") -> str:
        stdin = StringIO(answers)
        self._monkeypatch.setattr("sys.stdin", stdin)
        assert main([command, self.folder, *arguments, "--trust", self._trust]) == status
        # One for the command, one for each question that was answered.
        self.taps += 1 + answers[: stdin.tell()].count("\n")
        said = self._capsys.readouterr()
        return said.out + said.err

    def asks(self, command: str, *arguments: str) -> dict[str, Any]:
        return dict(json.loads(self.types(command, *arguments, "--json").splitlines()[0]))


@pytest.fixture
def typist(
    town: Town,
    tmp_path: Path,
    commands_reach: Reach,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Typist:
    """Give somebody whose wallet holds the receipt and the warranty of one order."""
    commands_reach(town.network)
    monkeypatch.setenv(PASSPHRASE_VARIABLE, PASSPHRASE)
    monkeypatch.setattr("counterfoil_wallet.wallet.utc_now", town.clock)
    opened: Callable[..., Wallet] = Wallet.open

    def at_noon(*arguments: Any, **named: Any) -> Wallet:  # noqa: ANN401  # passed on as it is
        return opened(*arguments, clock=town.clock, **named)

    monkeypatch.setattr(Wallet, "open", at_noon)
    trust = tmp_path / "trust.json"
    trust.write_text(json.dumps({"custodians": {CUSTODIAN: town.custodian.party.did}}))
    typist = Typist(tmp_path / "wallet", trust, capsys, monkeypatch)
    assert main(["create", typist.folder]) == 0
    offer = town.offer()
    typist.types("accept", offer.link, "--tx-code", offer.tx_code or "")
    return typist


@pytest.fixture
def grant_id(town: Town, typist: Typist) -> str:
    link = town.receiver.request(town.wish()).link
    return str(typist.asks("grant", link, "--yes")["granted"]["id"])


def test_to_withdraw_takes_no_more_taps_than_to_grant(town: Town, typist: Typist) -> None:
    link = town.receiver.request(town.wish()).link
    typist.taps = 0
    said = typist.types("grant", link, answers="y\n")
    to_grant, typist.taps = typist.taps, 0
    assert "Granted" in said
    grant_id = said.split("Granted: ")[1].split()[0]

    # With nothing to answer: it asks no question, and offers no other way out.
    said = typist.types("withdraw", grant_id)

    assert "erased, proved at level E2" in said
    assert typist.taps <= to_grant
    assert (typist.taps, to_grant) == (1, 2)


def test_lists_who_may_read_what_and_how_it_was_used(
    town: Town, typist: Typist, grant_id: str
) -> None:
    with town.receiver.read(grant_id, Purpose.PERSONALISED_BENEFITS):
        pass

    assert "Velo; to give you benefits made for you; item.serial; in force" in typist.types(
        "consents"
    )
    listed = typist.asks("consents", "--check")["consents"]
    assert [(one["id"], one["reads"], one["screen"]) for one in listed] == [
        (grant_id, 1, "command line")
    ]
    assert "为你提供专属优惠; item.serial; 生效中" in typist.types("consents", "--language", "zh")


def test_says_who_has_a_fact(typist: Typist, grant_id: str) -> None:
    assert typist.asks("consents", "--fact", "serial")["holders"][0]["grants"] == [grant_id]
    assert "Nobody has phone_number." in typist.types("consents", "--fact", "phone_number")


def test_pauses_and_goes_on_and_a_second_device_pauses_too(
    town: Town, typist: Typist, grant_id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typist.asks("suspend", grant_id)["suspended"]["state"] == "suspended"
    assert typist.asks("go-on", grant_id)["resumed"]["state"] == "active"
    file = str(tmp_path / "standby")
    assert typist.asks("stand-by", file)["grants"] == 1

    assert main(["suspend-all", file, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "suspended": [{"receiver": "Velo", "suspended": True}]
    }

    assert typist.asks("consents", "--check")["consents"][0]["state"] == "suspended"
    town.network.disconnect(CUSTODIAN)
    assert main(["suspend-all", file]) == 0
    assert "Not suspended yet, try again: Velo" in capsys.readouterr().out
    assert main(["suspend-all", str(tmp_path / "none")]) == 1


def test_previews_withdraws_and_complains(
    town: Town, typist: Typist, grant_id: str, tmp_path: Path, clock: Clock
) -> None:
    preview = typist.asks("preview", grant_id)
    assert (preview["erased"], preview["recipients"]) == (["item.serial"], [])
    assert "Nobody can prove" in typist.types("preview", grant_id)

    town.network.disconnect(VELO)
    typist.types("withdraw", grant_id)
    clock.advance(timedelta(days=1))
    assert "! Velo: The proof of erasure is overdue." in typist.types("consents")
    file = tmp_path / "complaint.json"
    typist.types("complaint", grant_id, str(file), "--language", "zh")

    agreement, _ = verify_pack(file.read_bytes(), now=clock())
    assert agreement.grant_id == grant_id
    assert file.stat().st_mode & 0o077 == 0


def test_refuses_and_puts_off(town: Town, typist: Typist) -> None:
    refused = town.receiver.request(town.wish()).link
    assert typist.asks("refuse", refused, "--why", "claims") == {"refused": True, "heard": True}
    waiting = typist.asks("defer", town.receiver.request(town.wish()).link)["deferred"]

    assert typist.asks("waiting")["waiting"] == [waiting]
    granted = typist.types("grant-waiting", waiting["id"], answers="n\n")
    assert "Not granted" in granted
    assert typist.asks("grant-waiting", waiting["id"], "--yes")["granted"]["state"] == "inforce"
    assert "Nothing waits." in typist.types("waiting")


def test_grants_less_than_is_asked(town: Town, typist: Typist) -> None:
    link = town.receiver.request(town.wish()).link

    granted = typist.asks("grant", link, "--yes", "--days", "3", "--max-reads", "1")["granted"]

    assert granted["valid_until"] == (town.clock() + timedelta(days=3)).isoformat()
    said = typist.types("grant", link, "--yes", "--recipient", "Nobody", status=1)
    assert "recipients that are asked for" in said


def test_writes_the_log_that_another_wallet_reads(
    typist: Typist, grant_id: str, tmp_path: Path
) -> None:
    file = tmp_path / "log"
    typist.types("consent-log", str(file))

    entries = read_log(file.read_text(), PASSPHRASE)

    assert [entry["transactionType"] for entry in entries] == ["Presentation"]
    assert str(entries[0]["transactionIdentifier"]).startswith(grant_id)


def test_guards_a_minor_until_the_day(town: Town, typist: Typist) -> None:
    assert "Nothing is refused for age." in typist.types("guard")
    day = (town.clock() + timedelta(days=400)).date().isoformat()

    assert typist.asks("guard", "--adult-from", day) == {"adult_from": day}
    link = town.receiver.request(town.wish()).link
    assert "refused-by-policy" in json.dumps(
        json.loads(typist.types("grant", link, "--yes", "--json", status=1).splitlines()[0])
    )
    assert "Careful: This is not asked of anybody under age." in typist.types("terms", link)
    assert "a day such as" in typist.types("guard", "--adult-from", "soon", status=1)


def test_writes_the_dossier_that_an_auditor_reads(
    typist: Typist, grant_id: str, tmp_path: Path
) -> None:
    file = tmp_path / "dossier.json"
    typist.types("dossier", str(file))

    (grant,) = CustomerDossier.from_bytes(file.read_bytes()).grants

    assert grant.agreement.grant_id == grant_id
