"""W3 and W4: a pasted offer, what it would give, and what comes of accepting or declining it."""

import pytest
from counterfoil_demo.houses import AURICLE

from tests.demo_app.phone_scene import PASSPHRASE, Scene

pytestmark = pytest.mark.once


def offered(phone: Scene) -> tuple[str, str]:
    """Have the brand offer an order, and give the link and the code."""
    phone.first_run()
    return phone.offered()


def test_screen_w4_shows_who_offers_and_accepts_once_with_the_code(phone: Scene) -> None:
    link, code = offered(phone)

    page = phone.post("/scan", text=f"  {link}\n")
    assert page.url.path.startswith("/offers/")
    assert "Auricle offers you this" in page.text
    assert "A brand that this wallet knows" in page.text
    assert "pre-authorized" not in str(page.url)
    assert phone.get(page.url.path).text == page.text
    assert not phone.pocket.wallet.credentials()

    wrong = phone.post(f"{page.url.path}/accept", code="000000")
    assert wrong.status_code == 422
    assert "Nothing was accepted" in wrong.text
    for _ in range(2):
        accepted = phone.post(f"{page.url.path}/accept", code=code)
        assert "Accepted. It is yours now." in accepted.text
    assert len(phone.pocket.wallet.credentials()) == 2


def test_screen_w4_declines_and_leaves_no_trace(phone: Scene) -> None:
    link, _ = offered(phone)
    path = phone.post("/scan", text=link).url.path

    declined = phone.post(f"{path}/decline")

    assert "Declined. Nothing was kept." in declined.text
    assert phone.get(path).status_code == 404
    assert phone.pocket.wallet.history() == []


def test_screen_w4_says_that_the_brand_does_not_answer_and_goes_on_later(phone: Scene) -> None:
    link, code = offered(phone)
    path = phone.post("/scan", text=link).url.path
    phone.network.disconnect(AURICLE.origin)

    waiting = phone.post(f"{path}/accept", code=code)
    assert waiting.status_code == 503
    assert "The brand did not answer. Nothing is lost." in waiting.text

    del phone.office
    _ = phone.office
    assert "Accepted. It is yours now." in phone.post(f"{path}/accept", code=code).text


@pytest.mark.parametrize(
    "text", ["", "hello", "https://evil.example/", "javascript:alert(1)", "</textarea><script>"]
)
def test_screen_w3_explains_what_is_no_offer_and_keeps_what_was_typed(
    phone: Scene, text: str
) -> None:
    phone.first_run()

    page = phone.post("/scan", text=text)

    assert page.status_code == 422
    assert 'aria-invalid="true"' in page.text
    assert "</textarea><script>" not in page.text


def test_screen_w4_shows_no_offer_to_a_browser_that_has_not_unlocked(phone: Scene) -> None:
    link, _ = offered(phone)
    path = phone.post("/scan", text=link).url.path

    assert phone.another_browser().get(path).url.path == "/unlock"
    phone.post("/lock")
    phone.post("/unlock", passphrase=PASSPHRASE)
    assert phone.get(path).status_code == 404
