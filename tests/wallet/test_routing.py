"""What a scanned or pasted text is, and what it looks like when it is not for a wallet."""

from urllib.parse import quote

import pytest
from counterfoil_credentials.digital_link import DigitalLink
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.keys import MemorySigner
from counterfoil_wallet import AskedTerms, Matches, MemoryStore
from counterfoil_wallet.routing import MAX_TEXT, Offer, Receipt, Request, Transfer, recognise
from hypothesis import example, given
from hypothesis import strategies as st

from tests.wallet.town import SERIAL, Town, Wire

VALUE = "credential_offer=%7B%22pre-authorized_code%22%3A%22hush%22%7D"
ASKED = "client_id=x509_san_dns%3Atill.example&request_uri=https%3A%2F%2Ftill.example%2Fr"
TOKEN = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
FRIEND = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
PAY = f"ethereum:{TOKEN}@31337/transfer?address={FRIEND}"


@pytest.mark.parametrize(
    "text",
    [
        f"openid-credential-offer://?{VALUE}",
        f"  OPENID-CREDENTIAL-OFFER://?{VALUE}\n",
        f"haip-vci://?{VALUE}",
        f"https://wallet.example/open?{VALUE}",
    ],
)
def test_an_offer_is_an_offer_however_it_is_linked(text: str) -> None:
    assert recognise(text) == Offer(f"openid-credential-offer://?{VALUE}")


def test_an_offer_by_reference_is_one_too() -> None:
    query = f"credential_offer_uri={quote('https://brand.example/o/1', safe='')}"

    assert recognise(f"openid-credential-offer://?{query}") == recognise(
        f"https://w.example?{query}"
    )


@pytest.mark.parametrize(
    "text", [f"openid4vp://?{ASKED}", f"haip-vp://?{ASKED}", f"https://wallet.example/?{ASKED}"]
)
def test_a_request_is_a_request_however_it_is_linked(text: str) -> None:
    assert recognise(text) == Request(f"openid4vp://?{ASKED}")


def token_of(typ: str) -> str:
    return sign_jws({"iss": "a shop"}, typ=typ, signer=MemorySigner.generate())


def test_a_shop_s_receipt_is_for_the_wallet_and_no_other_token_is() -> None:
    token = token_of("counterfoil-presentation-receipt+jwt")

    assert recognise(f" {token}\n") == Receipt(token)
    for typ in ("counterfoil-presentation-receipt", "oauth-authz-req+jwt", "JWT"):
        assert looks_like(token_of(typ)) == "a signed token"
    assert looks_like(f"{token}~") == "a credential itself, and no offer of it"


def test_a_product_s_link_names_the_product() -> None:
    link = "https://id.example/01/09506000134352/21/12345"

    assert recognise(link) == DigitalLink(link, "09506000134352", serial="12345")


@pytest.mark.parametrize(
    ("more", "amount"),
    [
        ("", None),
        ("&uint256=250", 250),
        ("&uint256=2.5e3", 2_500),
        ("&uint256=2.50e1", 25),
        (f"&uint256={2**256 - 1}", 2**256 - 1),
    ],
)
def test_a_transfer_says_to_whom_and_how_much(more: str, amount: int | None) -> None:
    assert recognise(PAY + more) == Transfer(
        token=TOKEN, chain_id=31337, recipient=FRIEND, amount=amount
    )


@pytest.mark.parametrize(
    "more", ["&uint256=", "&uint256=2.5", "&uint256=-1", f"&uint256={2**256}", "&uint256=1e99"]
)
def test_a_transfer_of_no_whole_number_is_refused(more: str) -> None:
    assert looks_like(PAY + more) == "a transfer of something that is no whole number"


@pytest.mark.parametrize(
    ("text", "looks"),
    [
        ("", "nothing"),
        (" \n", "nothing"),
        ("hush", "text"),
        ("https://brand.example/warranty", "a web page"),
        ("https://brand.example/?credential_offers=1", "a web page"),
        ("https://id.example/01/09506000134353", "a web page"),
        (f"http://wallet.example/?{VALUE}", "a web page"),
        ("4006381333931", "a product's bar code, which names no item"),
        ("4006381333932", "text"),
        ("BEGIN:VCARD\nFN:Hush\nEND:VCARD", "a contact or a calendar's date"),
        ("WIFI:T:WPA;S:home;P:hush;;", "access to a Wi-Fi network"),
        ("otpauth://totp/x?secret=HUSH", "a secret for one-time passwords: keep it to yourself"),
        ("mdoc:owBjMS4w", "a request for a mobile document (ISO 18013-5)"),
        ("openid-vc://?request_uri=x", "a request of an older draft"),
        ("did:key:zDnae", "an identifier (DID), and nothing that it asks or offers"),
        ("javascript:alert(1)", "a program: do not open it"),
        (f"ethereum:{TOKEN}@1", "a payment, or a call of another kind"),
        (PAY.replace("/transfer", "/approve"), "a payment, or a call of another kind"),
        (PAY + "&gas=1", "a payment, or a call of another kind"),
        (PAY[:-1], "a transfer to something that is no address"),
        (PAY + f"&address={TOKEN}", "a link that says one thing twice"),
        (f"https://w.example/?{VALUE}&{VALUE}", "a link that says one thing twice"),
        ("https://[", "a broken link"),
        ("https://w.example/?" + "&".join(f"a{i}=" for i in range(60)), "a broken link"),
        ("https://例.example/", "a link of another kind"),
        ("openid4vp://?request=\u202ehush", "a link of another kind"),
        (f"{'a' * 12}.eyJ9.sig~", "a credential itself, and no offer of it"),
        (f"{'a' * 12}.eyJ9.sig", "a signed token"),
        ('{"credential_issuer": "hush"}', "a document"),
        ("x" * (MAX_TEXT + 1), f"more than {MAX_TEXT} characters"),
    ],
)
def test_what_is_not_for_a_wallet_is_refused_with_what_it_looks_like(text: str, looks: str) -> None:
    assert looks_like(text) == looks


@given(st.one_of(st.text(), st.text().map("https://".__add__), st.text().map(PAY.__add__)))
@example("//[")
@example("https://a:b@c:99999/")
@example("1" * 5_000)
def test_whatever_is_scanned_is_recognised_or_refused_and_never_quoted(text: str) -> None:
    said = ""
    try:
        recognise(text)
    except Refused as refusal:
        said = str(refusal)

    assert len(text.strip()) < 20 or text.strip() not in said


def looks_like(text: str) -> str:
    with pytest.raises(Refused) as refusal:
        recognise(text)
    assert refusal.value.codes == ["not-for-this-wallet"]
    assert "hush" not in str(refusal.value).lower()
    return refusal.value.reasons[0].found


def test_a_wallet_reads_whatever_is_scanned_to_the_value_with_the_next_step(town: Town) -> None:
    wallet, offer = town.wallet(MemoryStore()), town.offer()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    product = "https://id.example/01/09506000134352"

    assert wallet.read(f" {offer.link}\n") == Offer(offer.link)
    asked = wallet.read(town.counter.ask("warranty").link)
    terms = wallet.read(town.receiver.request(town.wish()).link)
    assert wallet.read(product) == recognise(product)

    assert isinstance(asked, Matches)
    assert wallet.present(asked.choose()).redirect_uri is None
    assert isinstance(terms, AskedTerms)
    assert wallet.grant(terms.choose()).terms.claim_names == {SERIAL}


def test_reading_what_is_not_for_a_wallet_asks_nobody(town: Town) -> None:
    wire = Wire(town.network)

    with pytest.raises(Refused) as refusal:
        town.wallet(MemoryStore(), wire).read("https://till.example/a/page")

    assert refusal.value.codes == ["not-for-this-wallet"]
    assert wire.sent == []
