"""W7: one card with everything it says, and the way to remove it and take it back."""

import shutil
from pathlib import Path

import pytest

from tests.demo_app.phone_scene import PASSPHRASE, Scene

pytestmark = pytest.mark.once


def test_screen_w7_shows_every_claim_in_words_and_its_issuer(shopper: Scene) -> None:
    page = shopper.get(shopper.card_paths()[0]).text

    for said in ("Product", "Serial number", "Covered until", "Buyer", "€", "Issued by"):
        assert said in page
    assert "https://auricle.example" in page
    assert "item.serial" not in page
    assert "Nobody yet. Nothing of it has left this device." in page


def test_screen_w7_shows_the_items_of_a_receipt_with_their_prices(shopper: Scene) -> None:
    page = shopper.get(shopper.card_paths()[-1]).text

    assert "Auricle One, black" in page
    assert "€249.00" in page
    assert "Ear pads for Auricle One" in page
    assert "€407.00" in page


def test_screen_w7_says_whether_it_holds_only_once_that_was_found_out(
    bought: Path, tmp_path: Path
) -> None:
    scene = Scene(shutil.copytree(bought, tmp_path / "phone"))
    scene.post("/unlock", passphrase=PASSPHRASE)
    scene.pocket.settle()
    path = scene.card_paths()[0]
    assert "Not checked yet" in scene.get(path).text
    assert "It could not be checked" in scene.post("/check", back=path).text
    assert "Not checked yet" in scene.get(path).text
    _ = scene.office

    page = scene.post("/check", back=path).text

    assert "In force" in page
    assert "as listed" in page
    scene.pocket.lock()


def test_screen_w7_shows_the_card_as_it_was_signed(shopper: Scene) -> None:
    path = shopper.card_paths()[0]
    held = next(c for c in shopper.pocket.wallet.credentials() if path.endswith(c.credential_id))

    assert str(held.sd_jwt) in shopper.get(path).text


def test_screen_w7_removes_a_card_and_takes_it_back(shopper: Scene) -> None:
    path = shopper.card_paths()[0]

    removed = shopper.post(f"{path}/remove")
    assert removed.url.path == "/trash"
    assert "You can still take it back here" in removed.text
    assert path not in shopper.card_paths()
    assert shopper.get(path).status_code == 404

    back = shopper.post(f"{path}/take-back")
    assert back.url.path == path
    assert path in shopper.card_paths()


def test_screen_w7_removes_once_what_is_clicked_twice(shopper: Scene) -> None:
    path = shopper.card_paths()[0]

    answers = [shopper.post(f"{path}/remove") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert len(shopper.pocket.wallet.removed()) == 1


@pytest.mark.parametrize("path", ["/cards/unknown", "/cards/%2e%2e%2fetc", "/cards/unknown/remove"])
def test_screen_w7_says_that_there_is_no_such_card(shopper: Scene, path: str) -> None:
    missing = shopper.post(path) if path.endswith("remove") else shopper.get(path)

    assert missing.status_code == 404
    assert "There is no such page" in missing.text
