"""What the command line says: with whom, what comes next, and nothing of its own insides."""

import getpass
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from counterfoil_credentials.dcql import ClaimQuery
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.offers import CredentialOffer, TxCode
from counterfoil_wallet import Act, Event
from counterfoil_wallet.cli import PASSPHRASE_VARIABLE, main
from counterfoil_wallet.cli_forms import event_line
from counterfoil_wallet.history import EventId, Outcome
from counterfoil_wallet.wallet import utc_now

from tests.wallet.conftest import PASSPHRASE, Reach
from tests.wallet.strangers import BRAND, StrangeIssuer, StrangeShop, json_response

Type = Callable[..., tuple[int, str, str]]


@pytest.fixture
def network() -> MemoryFetcher:
    return MemoryFetcher()


@pytest.fixture
def issuer(network: MemoryFetcher, random_bytes: Callable[[int], bytes]) -> StrangeIssuer:
    return StrangeIssuer(network, utc_now, random_bytes)


@pytest.fixture
def shop(network: MemoryFetcher) -> StrangeShop:
    return StrangeShop(network, utc_now)


@pytest.fixture
def types(
    network: MemoryFetcher, commands_reach: Reach, capsys: pytest.CaptureFixture[str]
) -> Type:
    """Give somebody who types: status, what is printed, what is said beside it."""
    commands_reach(network)

    def typed(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return typed


@pytest.fixture
def folder(types: Type, tmp_path: Path) -> Path:
    folder = tmp_path / "wallet"
    assert types("create", folder)[0] == 0
    return folder


class Keys:
    """A keyboard at which passphrases are typed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
        self.prompts: list[str] = []
        self._answers = list(answers)
        monkeypatch.delenv(PASSPHRASE_VARIABLE)
        monkeypatch.setattr(getpass, "getpass", self)

    def __call__(self, prompt: str) -> str:
        self.prompts.append(prompt)
        if not self._answers:
            raise KeyboardInterrupt
        return self._answers.pop(0)


class TestThePassphrase:
    def test_a_new_one_is_typed_twice(
        self, types: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys = Keys(monkeypatch, "a passphrase", "a passphrase", "a passphrase")

        assert types("create", tmp_path / "new")[0] == 0
        assert types("credentials", tmp_path / "new")[:2] == (0, "No credentials yet.\n")
        assert keys.prompts == ["New passphrase: ", "The same once more: ", "Passphrase: "]

    def test_a_slip_makes_no_wallet(
        self, types: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Keys(monkeypatch, "a passphrase", "a pasphrase")

        status, _, said = types("create", tmp_path / "new")

        assert (status, said) == (
            2,
            "counterfoil wallet: expected the same passphrase twice, found two\n",
        )
        assert not (tmp_path / "new").exists()

    @pytest.mark.parametrize(("command", "is_there"), [("credentials", False), ("create", True)])
    def test_nobody_is_asked_for_one_in_vain(
        self,
        types: Type,
        tmp_path: Path,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        command: str,
        *,
        is_there: bool,
    ) -> None:
        keys = Keys(monkeypatch)

        assert types(command, folder if is_there else tmp_path / "elsewhere")[0] == 1
        assert keys.prompts == []

    def test_control_c_there_stops_without_a_traceback(
        self, types: Type, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Keys(monkeypatch)

        assert types("credentials", folder) == (130, "", "\ncounterfoil wallet: stopped\n")

    def test_control_c_later_says_how_it_goes_on(
        self, types: Type, folder: Path, issuer: StrangeIssuer, network: MemoryFetcher
    ) -> None:
        def interrupted(*_: object) -> Response:
            raise KeyboardInterrupt

        network.serve(BRAND, interrupted)

        status, out, said = types("accept", folder, issuer.link)

        assert (status, out) == (130, "")
        assert "resume goes on" in said


class TestWhatComesNext:
    def test_a_refusal_ends_with_the_command_that_helps(
        self, types: Type, folder: Path, issuer: StrangeIssuer, shop: StrangeShop
    ) -> None:
        issuer.tx_code = TxCode(4, numeric=True, description="SMS")
        for arguments, hint in (
            (("accept", folder, issuer.link), "--tx-code"),
            (("accept", folder, "hello"), "wallet scan"),
            (("ask", folder, issuer.link), "wallet scan"),
            (("terms", folder, shop.link), "wallet ask"),
            (("card", folder, "nobody"), "wallet credentials"),
            (("withdraw", folder, "nobody"), "wallet grants"),
            (("credentials", folder.with_name("other")), "wallet create"),
            (("create", folder), "another folder"),
            (("backup", folder, folder / "no-folder" / "b"), "Is its folder there"),
        ):
            status, out, said = types(*arguments)
            assert (status, out) == (1, "")
            assert hint in said.splitlines()[-1], arguments

    def test_a_damaged_file_is_for_salvage(self, types: Type, folder: Path) -> None:
        (folder / "wallet.db").write_bytes(b"x")

        status, _, said = types("credentials", folder)

        assert status == 1
        assert "wallet salvage" in said.splitlines()[-1]

    def test_a_program_reads_the_reasons_alone(
        self, types: Type, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(PASSPHRASE_VARIABLE, "another")

        status, out, said = types("credentials", folder, "--json")

        assert (status, said.count("\n")) == (1, 1)
        assert json.loads(out)["reasons"][0]["code"] == "passphrase-wrong"


class TestLinks:
    def test_an_offer_is_taken_in_the_form_in_which_it_was_scanned(
        self, types: Type, folder: Path, issuer: StrangeIssuer
    ) -> None:
        query = issuer.link.partition("?")[2]

        for link in (f"haip-vci://?{query}", f"https://wallet.example/open?{query}"):
            assert types("offered", folder, link)[0] == 0
        assert types("accept", folder, f"haip-vci://?{query}")[0] == 0

    def test_where_a_shop_would_like_her_to_go_on_is_printed(
        self, types: Type, folder: Path, issuer: StrangeIssuer, shop: StrangeShop
    ) -> None:
        shop.answer = json_response({"redirect_uri": "https://shop.example/done"})
        types("accept", folder, issuer.link)

        assert "https://shop.example/done" in types("present", folder, shop.link, "--yes")[1]


class TestTheScreen:
    def test_what_is_on_every_card_is_said_in_words_and_the_rest_is_not_left_out(
        self, types: Type, folder: Path, issuer: StrangeIssuer, shop: StrangeShop
    ) -> None:
        issuer.claims = {**issuer.claims, "cnf.jwk.x": "mine", "jti": "customer-4711"}
        types("accept", folder, issuer.link)

        _, screen, _ = types("ask", folder, shop.link)

        assert "cnf.jwk.kty" not in screen
        assert "a key of this copy" in screen
        # Neither is what a card has by itself: the one only looks like it, the other may name her.
        assert 'always visible: cnf.jwk.x = "mine"' in screen
        assert 'always visible: jti = "customer-4711"' in screen

    def test_what_is_asked_for_is_never_one_of_the_words(
        self, types: Type, folder: Path, issuer: StrangeIssuer, shop: StrangeShop
    ) -> None:
        shop.claims = (ClaimQuery(("exp",)),)
        types("accept", folder, issuer.link)

        screen = types("ask", folder, shop.link)[1]

        assert "asked: exp = " in screen
        assert "when it ends" not in screen

    def test_a_card_says_what_it_says(
        self, types: Type, folder: Path, issuer: StrangeIssuer
    ) -> None:
        types("accept", folder, issuer.link)
        (card,) = json.loads(types("credentials", folder, "--json")[1])["credentials"]

        text = types("card", folder, card["id"])[1]
        read = json.loads(types("card", folder, card["id"], "--json")[1])

        assert 'item.serial = "A1-0001"' in text
        assert "cnf" not in text
        assert read["claims"]["item"] == {"name": "Auricle One", "serial": "A1-0001"}

    def test_the_history_says_with_whom(
        self, types: Type, folder: Path, issuer: StrangeIssuer, shop: StrangeShop
    ) -> None:
        types("accept", folder, issuer.link)
        types("present", folder, shop.link, "--yes")

        accepted, shown = types("history", folder)[1].splitlines()

        assert f"accepted from {BRAND}: " in accepted
        assert f"shown to {shop.client_id[:40]}" in shown
        assert shown.endswith(": item.serial")

    @pytest.mark.parametrize("act", Act)
    @pytest.mark.parametrize("outcome", Outcome)
    def test_every_act_has_words(self, act: Act, outcome: Outcome) -> None:
        event = Event(
            event_id=EventId("1"),
            at=utc_now() - timedelta(days=1),
            act=act,
            party="P",
            party_name="Corner Shop",
            types=("T",),
            outcome=outcome,
        )

        assert "Corner Shop" in event_line(event)


@pytest.mark.loopback
@pytest.mark.usefixtures("cheap_guesses")
def test_an_issuer_on_this_machine_is_reached_when_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The fetcher is the real one, and nobody listens there.
    origin, folder = "http://127.0.0.1:9", str(tmp_path / "wallet")
    link = CredentialOffer(origin, ("warranty",), "a-code", None).to_link()
    monkeypatch.setenv(PASSPHRASE_VARIABLE, PASSPHRASE)
    assert main(["create", folder]) == 0

    assert main(["accept", folder, link]) == 1
    assert "--loopback-unsafely http://127.0.0.1:PORT" in capsys.readouterr().err
    assert main(["accept", folder, link, "--loopback-unsafely", origin]) == 1
    assert "expected an answer" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["accept", folder, link, "--loopback-unsafely"])
