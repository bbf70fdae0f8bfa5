"""W1: the first run, and the door afterwards."""

import re
from pathlib import Path

import pytest

from tests.demo_app.phone_scene import ADDRESS, PASSPHRASE, Scene

pytestmark = pytest.mark.once


def test_screen_w1_makes_a_wallet_without_any_network(phone: Scene) -> None:
    first = phone.get("/")
    assert first.url.path == "/start"

    made = phone.first_run()

    assert made.url.path == "/"
    assert "Your wallet is ready." in made.text
    assert "No cards yet" in made.text


def test_screen_w1_shows_no_seed_words(phone: Scene) -> None:
    for page in (phone.get("/start"), phone.first_run(), phone.get("/settings")):
        assert not re.search(r"seed|mnemonic|recovery phrase|gas\b|0x[0-9a-f]{6}", page.text)


@pytest.mark.parametrize("passphrase", ["", "eleven chr.", "x" * 11])
def test_screen_w1_asks_for_a_longer_passphrase(phone: Scene, passphrase: str) -> None:
    refused = phone.post("/start", passphrase=passphrase)

    assert refused.status_code == 422
    assert "at least 12 characters" in refused.text
    assert 'aria-invalid="true"' in refused.text
    assert not phone.pocket.exists()


def test_screen_w1_without_scripts_compares_what_was_typed_twice(phone: Scene) -> None:
    refused = phone.post("/start", passphrase=PASSPHRASE, again=f"{PASSPHRASE}.")

    assert "The two are not the same" in refused.text
    assert not phone.pocket.exists()


def test_screen_w1_makes_one_wallet_when_its_button_is_clicked_twice(phone: Scene) -> None:
    phone.first_run()
    made = (phone.folder / "wallet").stat().st_ino

    again = phone.another_browser().post("/start", data={"passphrase": "another passphrase"})

    assert again.url.path == "/unlock"
    assert (phone.folder / "wallet").stat().st_ino == made
    assert phone.get("/").url.path == "/"


def test_screen_w1_shows_nothing_to_a_browser_that_has_not_unlocked(shopper: Scene) -> None:
    stranger = shopper.another_browser()
    paths = ["/", "/receipts", "/receipts.csv", "/settings", "/trash", *shopper.card_paths()]

    for path in paths:
        answer = stranger.get(path)
        assert answer.url.path == "/unlock", path
        assert "Auricle" not in answer.text


def test_screen_w1_leads_back_to_the_page_that_was_asked_for(shopper: Scene) -> None:
    asked = shopper.another_browser()
    assert str(asked.get("/receipts").url) == f"{ADDRESS}/unlock?back=/receipts"

    opened = asked.post("/unlock", data={"passphrase": PASSPHRASE, "back": "/receipts"})

    assert opened.url.path == "/receipts"


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_screen_w1_leads_to_no_other_address(shopper: Scene, back: str) -> None:
    opened = shopper.another_browser().post(
        "/unlock", data={"passphrase": PASSPHRASE, "back": back}
    )

    assert str(opened.url) == f"{ADDRESS}/"


def test_screen_w1_makes_whoever_guesses_wait_longer_each_time(shopper: Scene) -> None:
    guesser = shopper.another_browser()

    def guess(passphrase: str) -> int:
        return guesser.post("/unlock", data={"passphrase": passphrase}).status_code

    assert [guess("wrong again") for _ in range(3)] == [422, 422, 422]
    assert guess("wrong again") == 429
    assert guess(PASSPHRASE) == 429
    shopper.ticks.now += 2.5
    assert guess("wrong again") == 422
    shopper.ticks.now += 2.5
    assert guess(PASSPHRASE) == 429
    shopper.ticks.now += 2
    assert guess(PASSPHRASE) == 200


def test_screen_w1_locks_and_opens_again_with_everything_in_it(shopper: Scene) -> None:
    before = shopper.card_paths()

    locked = shopper.post("/lock")
    assert locked.url.path == "/unlock"
    assert shopper.pocket.is_locked

    shopper.post("/unlock", passphrase=PASSPHRASE)
    assert shopper.card_paths() == before


def test_screen_w1_restores_a_backup_and_says_what_is_wrong_with_it(
    shopper: Scene, tmp_path: Path
) -> None:
    backup = shopper.post("/settings/backup", passphrase="a passphrase for the file").content
    titles = shopper.card_paths()
    other = Scene(tmp_path / "other")

    def restore(file: bytes, passphrase: str) -> str:
        return other.browser.post(
            "/restore", files={"backup": ("b", file)}, data={"passphrase": passphrase}
        ).text

    assert "does not open the backup" in restore(backup, "another passphrase")
    assert "is no backup of a wallet" in restore(b"not a backup at all", "whatever it is")
    assert "is no backup of a wallet" in restore(backup[:-20], "a passphrase for the file")
    assert not other.pocket.exists()
    assert "Your wallet is back." in restore(backup, "a passphrase for the file")
    assert other.card_paths() == titles
    other.pocket.lock()
