"""The wallet's command: each verb of the face, in words and as one line of JSON."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from counterfoil_credentials.dcql import ClaimQuery, CredentialQuery, DcqlQuery
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import StatusReference
from counterfoil_credentials.token_status_list import pack, sign_status_list
from counterfoil_wallet.cli import PASSPHRASE_VARIABLE, main
from counterfoil_wallet.wallet import utc_now

from tests.wallet.conftest import Reach
from tests.wallet.strangers import TYPE, StrangeIssuer, StrangeShop
from tests.wallet.town import CUSTODIAN, Town

LIST = "https://lists.example/1"


class Shell:
    """Somebody who types commands over one wallet."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = str(folder)
        self._capsys = capsys

    def types(self, command: str, *arguments: str, status: int = 0) -> str:
        """Run a command as a person does, and give what it prints."""
        assert main([command, self.folder, *arguments]) == status
        return self._capsys.readouterr().out

    def asks(self, command: str, *arguments: str) -> dict[str, Any]:
        """Run a command as a program does, and give the object."""
        out = self.types(command, *arguments, "--json")
        assert out.count("\n") == 1
        return dict(json.loads(out))


@pytest.fixture
def network() -> MemoryFetcher:
    return MemoryFetcher()


@pytest.fixture
def issuer(network: MemoryFetcher, random_bytes: Callable[[int], bytes]) -> StrangeIssuer:
    return StrangeIssuer(network, utc_now, random_bytes, status=StatusReference(LIST, 0))


@pytest.fixture
def shell(
    tmp_path: Path,
    network: MemoryFetcher,
    commands_reach: Reach,
    capsys: pytest.CaptureFixture[str],
) -> Shell:
    commands_reach(network)
    shell = Shell(tmp_path / "wallet", capsys)
    assert shell.asks("create") == {"created": shell.folder}
    return shell


def test_a_card_is_found_removed_and_taken_back(shell: Shell, issuer: StrangeIssuer) -> None:
    (card,) = shell.asks("accept", issuer.link)["accepted"]

    assert shell.asks("find", "item.serial", "A1-0001")["credentials"] == [card]
    assert shell.asks("find", "item.serial", "A1-0002")["credentials"] == []
    assert shell.asks("search", "auricle")["credentials"] == [card]
    assert shell.asks("remove", card["id"])["removed"] == card["id"]
    assert [one["id"] for one in shell.asks("trash")["trash"]] == [card["id"]]
    assert shell.types("credentials") == "No credentials yet.\n"
    assert shell.asks("take-back", card["id"])["taken_back"] == card
    assert shell.types("trash") == "The trash is empty.\n"
    shell.types("remove", card["id"])
    assert shell.asks("trash", "--empty") == {"destroyed": 1}
    assert shell.types("take-back", card["id"], status=1) == ""
    assert [event["act"] for event in shell.asks("history")["history"]] == [
        "accepted",
        "removed",
        "taken-back",
        "removed",
    ]


def test_an_id_that_begins_with_a_dash_is_an_id(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    # One card in sixty-four has such an id.
    unknown = "-Zf3x0cKqTjK2mYwVbN8sQeZf3x0cKqTjK2mYwVbN8s"

    assert main(["remove", shell.folder, unknown]) == 1
    assert "expected a card that is held, found none" in capsys.readouterr().err


def test_what_the_issuer_lists_is_told(
    shell: Shell, issuer: StrangeIssuer, network: MemoryFetcher
) -> None:
    def handle(*_: object) -> Response:
        token = sign_status_list(
            pack([1] * 4),
            url=LIST,
            bits=2,
            signer=issuer.signer,
            issued_at=utc_now(),
            expires_at=None,
            ttl_s=None,
        )
        return Response(200, "application/statuslist+jwt", token.encode())

    network.serve("https://lists.example", handle)
    shell.types("accept", issuer.link)

    assert shell.asks("statuses")["statuses"][0]["status"] == "unknown"
    assert shell.asks("statuses", "--check")["statuses"][0]["status"] == "revoked"
    assert "revoked, listed at" in shell.types("statuses")


def test_reminders_speak_in_the_customer_s_zone(shell: Shell, issuer: StrangeIssuer) -> None:
    shell.types("accept", issuer.link)

    found = shell.asks("reminders", "--zone", "Asia/Shanghai")["reminders"]

    assert [one["days"] for one in found] == [30, 7, 1]
    assert all(one["remind_at"].endswith("+08:00") for one in found)
    assert shell.types("reminders").count("\n") == 3


@pytest.mark.parametrize("zone", ["Nowhere/Land", "../etc/passwd", "", "x" * 500])
def test_a_zone_that_is_none_is_refused(shell: Shell, zone: str) -> None:
    assert shell.types("reminders", "--zone", zone, status=1) == ""


def test_what_a_request_would_reveal_is_shown_and_it_is_declined(
    shell: Shell, issuer: StrangeIssuer, network: MemoryFetcher
) -> None:
    shop = StrangeShop(network, utc_now)
    shell.types("accept", issuer.link)

    asked = shell.asks("ask", shop.link)
    assert [claim["path"] for claim in asked["answers"]["warranty"][0]["claims"] if claim["asked"]]
    assert "A1-0001" in shell.types("ask", shop.link)
    assert shop.forms == []
    assert shell.asks("decline", shop.link)["declined"] is True
    assert [form.keys() for form in shop.forms] == [{"error", "state"}]


class Now:
    """The clock of this machine, which the command reads too."""

    def __call__(self) -> datetime:
        return utc_now()

    def advance(self, by: timedelta) -> datetime:
        raise AssertionError(by)


def test_a_grant_is_shown_given_and_withdrawn(
    shell: Shell,
    tmp_path: Path,
    random_bytes: Callable[[int], bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    town = Town(Now(), random_bytes, tmp_path / "brand")

    def fetcher(**_: object) -> MemoryFetcher:
        return town.network

    monkeypatch.setattr("counterfoil_wallet.cli.GuardedFetcher", fetcher)
    trust = tmp_path / "trust.json"
    trust.write_text(json.dumps({"custodians": {CUSTODIAN: town.custodian.party.did}}))
    options = ["--trust", str(trust)]
    offer = town.offer()
    shell.types("accept", offer.link, "--tx-code", offer.tx_code or "", *options)
    link = town.receiver.request(town.wish()).link

    terms = shell.asks("terms", link, *options)
    assert [one["required"] for one in terms["claims"]] == [True, False]
    shell.types("grant", link, "--optional", "item.colour", "--yes", *options, status=1)
    monkeypatch.setattr("sys.stdin", StringIO("n\n"))
    capsys.readouterr()
    assert main(["grant", shell.folder, link, *options]) == 0
    screen = capsys.readouterr().err
    assert "For personalised benefits" in screen
    assert "asked: item.serial = " in screen  # with its value: that is what is given
    granted = shell.asks("grant", link, "--yes", *options)["granted"]
    assert (granted["state"], granted["claims"]) == ("inforce", ["item.serial"])
    assert [one["id"] for one in shell.asks("grants", *options)["grants"]] == [granted["id"]]
    ended = shell.asks("withdraw", granted["id"], *options)["withdrawn"]
    assert ended["state"] in ("ending", "proved")
    town.issuer_store.close()


def test_a_wallet_comes_back_from_its_backup_and_from_contacts(
    shell: Shell,
    issuer: StrangeIssuer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shell.types("accept", issuer.link)
    assert shell.asks("recovery") == {"recovery": None}
    shares = shell.asks("split", "Mei", "Jun", "Ana", "--threshold", "2")["shares"]
    assert shell.asks("recovery")["recovery"]["contacts"] == ["Mei", "Jun", "Ana"]
    file = str(tmp_path / "wallet.backup")
    shell.asks("backup", file)

    again = Shell(tmp_path / "again", capsys)
    assert again.asks("restore", file)["credentials"] == 1
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "a new passphrase")
    lost = Shell(tmp_path / "lost", capsys)
    lost.types("restore", file, status=1)
    words = "\n".join(share["words"] for share in shares[1:])
    monkeypatch.setattr("sys.stdin", StringIO(f"{words}\n\n"))
    assert lost.asks("restore", file, "--shares")["credentials"] == 1
    assert len(lost.asks("credentials")["credentials"]) == 1


def test_a_damaged_wallet_is_salvaged(
    shell: Shell, issuer: StrangeIssuer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.types("accept", issuer.link)

    assert shell.asks("check") == {"intact": True}
    saved = shell.asks("salvage", str(tmp_path / "saved"))

    assert (saved["cards"], saved["lost"]) == (1, [])
    again = Shell(tmp_path / "saved", capsys)
    assert again.asks("credentials") == shell.asks("credentials")
    assert shell.types("salvage", str(tmp_path / "saved"), status=1) == ""


def test_an_export_is_brought_into_a_second_wallet(
    shell: Shell, issuer: StrangeIssuer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.types("accept", issuer.link)
    second = Shell(tmp_path / "second", capsys)
    second.types("create")

    shell.asks("export", str(tmp_path / "my-data"))
    brought = second.asks("import", str(tmp_path / "my-data"))
    again = second.asks("import", str(tmp_path / "my-data"))

    assert (brought["known"], brought["differing"]) == (0, 0)
    assert (again["added"], again["known"]) == (0, brought["added"])
    assert second.asks("credentials") == shell.asks("credentials")


def test_a_code_for_the_counter_is_shown_after_a_yes(
    shell: Shell, issuer: StrangeIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.types("accept", issuer.link)
    query = DcqlQuery((CredentialQuery("warranty", (TYPE,), (ClaimQuery(("item", "serial")),)),))
    file = tmp_path / "preset.json"
    file.write_text(json.dumps({"id": "https://till.example/p", "dcql_query": query.to_json()}))

    monkeypatch.setattr("sys.stdin", StringIO("n\n"))
    assert shell.asks("show", str(file)) == {"code": None}
    shown = shell.asks("show", str(file), "--yes")

    assert SdJwt.parse(shown["code"]).key_binding is not None
    # The one copy of this issuer was shown: another till could join the two.
    shell.types("show", str(file), "--yes", status=1)
    assert shell.asks("show", str(file), "--yes", "--reuse-that-links")["code"] != shown["code"]


@pytest.mark.parametrize("text", ["", "{}", '{"id": "a", "dcql_query": {}}', "no file"])
def test_a_preset_that_says_something_else_is_refused(
    shell: Shell, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "preset.json"
    if text != "no file":
        file.write_text(text)

    assert shell.types("show", str(file), status=1) == ""


def test_an_offer_is_shown_before_it_is_accepted(
    shell: Shell, issuer: StrangeIssuer, tmp_path: Path
) -> None:
    offered = shell.asks("offered", issuer.link)
    trust = tmp_path / "trust.json"
    trust.write_text(json.dumps({"issuers": {issuer.issuer: "Our brand"}}))
    known = shell.asks("offered", issuer.link, "--trust", str(trust))

    assert offered["standing"] == "a web address, not a verified name"
    assert (known["standing"], known["known_as"]) == ("an issuer that this app knows", "Our brand")
    assert (offered["issuer"], offered["needs_login"]) == (issuer.issuer, False)
    assert [one["type"] for one in offered["credentials"]] == [issuer.vct]
    assert shell.asks("credentials")["credentials"] == []


def test_a_login_that_the_issuer_does_not_offer_is_refused(
    shell: Shell, issuer: StrangeIssuer
) -> None:
    shell.types("login", issuer.link, "--redirect-uri", "app://back", status=1)
    shell.types("come-back", "app://back?state=unknown&code=a", status=1)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("openid-credential-offer://?credential_offer=%7B%7D", "offer"),
        ("openid4vp://?client_id=a&request_uri=b", "request"),
        ("https://id.example/01/09506000134352/21/1", "product"),
        (f"ethereum:0x{40 * 'a'}@1/transfer?address=0x{40 * 'b'}&uint256=5", "transfer"),
    ],
)
def test_a_scanned_text_is_named_without_a_wallet(
    text: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scan", text, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["is"] == kind
    assert main(["scan", text]) == 0
    assert kind in capsys.readouterr().out.lower()


def test_a_text_that_is_not_for_a_wallet_is_named_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "WIFI:S:home;P:hush;;", "--json"]) == 1

    said = capsys.readouterr()
    assert json.loads(said.out)["reasons"][0]["found"] == "access to a Wi-Fi network"
    assert "hush" not in said.out + said.err


@pytest.mark.parametrize(
    "text", ["", "[]", '{"issuer": {}}', '{"issuers": {"https://a.example": 1}}', "no file"]
)
def test_a_trust_file_that_says_something_else_is_refused(
    shell: Shell, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "trust.json"
    if text != "no file":
        file.write_text(text)

    assert shell.types("credentials", "--trust", str(file), status=1) == ""
