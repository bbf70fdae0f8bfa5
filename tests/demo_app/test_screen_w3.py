"""W3: whatever is scanned or pasted leads somewhere, or is explained."""

import pytest

from tests.demo_app.phone_scene import Scene

pytestmark = pytest.mark.once

ROUTED = {
    "WIFI:S:home;P:hunter2;;": "This is access to a Wi-Fi network",
    "otpauth://totp/me?secret=JBSWY3DP": "This is a secret for signing in",
    "FIDO:/1234": "This is a sign-in with a passkey",
    "javascript:alert(1)": "This is a program",
    "bitcoin:1BoatSLRHtKNngkdXEeobR76b53LETtpyT": "This is a payment",
    "openid-vc://?request_uri=https%3A%2F%2Fx.example": "This is made for other wallets",
    "https://shop.example/sale": "This is a web page",
    "09506000134352": "This is a product's bar code",
    "hello": "This is nothing for a wallet",
    "": "There was nothing to read",
    "openid-credential-offer://?credential_offer=%7B": "It could not be read",
    "openid4vp://?client_id=x&request_uri=https%3A%2F%2Fgone.example%2Fr": "cannot be reached",
}


@pytest.mark.parametrize("text", ROUTED)
def test_screen_w3_says_what_something_is_that_leads_nowhere(phone: Scene, text: str) -> None:
    phone.first_run()

    said = phone.post("/scan", text=text)

    assert said.status_code in {422, 503}
    assert ROUTED[text].replace("'", "&#39;") in said.text


def test_screen_w3_does_not_show_again_what_a_camera_saw(phone: Scene) -> None:
    phone.first_run()
    text = "WIFI:S:home;P:hunter2;;"

    assert "hunter2" in phone.post("/scan", text=text, source="paste").text
    assert "hunter2" not in phone.post("/scan", text=text, source="camera").text


def test_screen_w3_leads_to_the_cards_of_a_product(shopper: Scene) -> None:
    (held, *_) = [
        card for card in shopper.pocket.wallet.credentials() if card.vct.endswith("/warranty")
    ]
    item = held.claims["item"]
    assert isinstance(item, dict)
    link = f"https://id.example/01/{str(item['gtin']).zfill(14)}/21/{item['serial']}"

    found = shopper.post("/scan", text=link)

    assert "Your cards of this product" in found.text
    assert f"/cards/{held.credential_id}" in found.text
    other = shopper.post("/scan", text="https://id.example/01/09506000134352")
    assert "You hold no card of it" in other.text
    assert shopper.get("/products/09506000134353").status_code == 404


def test_screen_w3_explains_somebody_elses_card(shopper: Scene) -> None:
    (held, *_) = shopper.pocket.wallet.credentials()

    said = shopper.post("/scan", text=str(held.sd_jwt), source="camera")

    assert "This is somebody&#39;s card" in said.text
    assert str(held.sd_jwt) not in said.text


def test_screen_w3_alone_may_use_the_camera_and_compile_its_reader(phone: Scene) -> None:
    phone.first_run()

    for page in (phone.get("/scan"), phone.post("/scan", text="hello")):
        policy = page.headers["content-security-policy"]
        assert "script-src 'self' 'wasm-unsafe-eval';" in policy
        assert policy.count("unsafe") == 1
        assert "camera=(self)" in page.headers["permissions-policy"]
    for path in ("/", "/receipts", "/settings"):
        headers = phone.get(path).headers
        assert "unsafe" not in headers["content-security-policy"]
        assert "camera=()" in headers["permissions-policy"]
