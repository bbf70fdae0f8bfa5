"""The answer as QR codes: no network, one answer, and only to whom it was bound."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, quote

import pytest
from counterfoil_credentials.encoding import parse_object
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_credentials.jose import DecryptionKey, decrypt_jwe
from counterfoil_credentials.key_binding import check_key_binding
from counterfoil_credentials.qr_frames import frames
from counterfoil_credentials.requests import ResponseEncryption, parse_response_form, sign_request
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import read_credential
from counterfoil_wallet import Act, Choice, Handed, Outcome, Wallet
from counterfoil_wallet.cli import PASSPHRASE_VARIABLE, main
from counterfoil_wallet.handing import collected
from counterfoil_wallet.wallet import utc_now

from tests.conftest import Clock
from tests.pictures import photographed
from tests.wallet.conftest import PASSPHRASE, Place
from tests.wallet.strangers import SHOP, StrangeIssuer, StrangeShop
from tests.wallet.town import Wire


class Offline:
    """A shop that asks by value, a wallet that holds its answer, and no network between."""

    def __init__(self, place: Place, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        network = MemoryFetcher()
        self.issuer = StrangeIssuer(network, clock, random_bytes)
        self.shop = StrangeShop(network, clock)
        self.wire = Wire(network)
        self.place = place
        self.wallet = self.start()
        self.wallet.accept(self.issuer.link)
        self.wire.sent.clear()
        network.disconnect(SHOP)

    def start(self) -> Wallet:
        """Give the wallet, as a program has it that just started."""
        return Wallet(self.place.start(), fetcher=self.wire, clock=self.issuer.clock)

    def link(self) -> str:
        token = sign_request(self.shop.request(), self.shop.signer)
        return f"openid4vp://?client_id={quote(self.shop.client_id, safe='')}&request={token}"

    def hand_over(self) -> Handed:
        codes = " ".join(photographed(code) for code in frames(self.link()))
        return self.wallet.hand_over(self.wallet.matches(collected(codes)).choose())


@pytest.fixture
def offline(place: Place, clock: Clock, random_bytes: Callable[[int], bytes]) -> Offline:
    return Offline(place, clock, random_bytes)


def form_of(handed: Handed) -> dict[str, str]:
    text = collected(" ".join(photographed(code) for code in handed.codes))
    return {name: one for name, (one,) in parse_qs(text, strict_parsing=True).items()}


def test_the_codes_hold_the_answer_that_would_have_been_posted(
    offline: Offline, clock: Clock
) -> None:
    handed = offline.hand_over()

    form = form_of(handed)
    assert form["state"] == "a-state"
    (text,) = parse_response_form(form)["warranty"]
    shown = SdJwt.parse(text)
    verified = read_credential(shown).verify(offline.issuer.signer.public)
    assert verified.holder_key is not None
    request = offline.shop.request()
    check_key_binding(
        shown,
        holder_key=verified.holder_key,
        audience=request.client_id,
        nonce=request.nonce,
        now=clock(),
        max_age=offline.shop.lasts,
    )
    assert handed.until == request.expires_at
    assert offline.wire.sent == []


def test_the_history_says_what_was_shown_and_that_nobody_answered(offline: Offline) -> None:
    offline.hand_over()

    last = offline.wallet.history()[-1]
    assert (last.act, last.outcome) == (Act.SHOWN, Outcome.SENT)
    assert last.party == offline.shop.client_id
    assert last.claims == ("item.serial",)


def test_a_request_has_one_answer_handed_over_or_posted_also_after_a_restart(
    offline: Offline,
) -> None:
    choice = offline.wallet.matches(offline.link()).choose()
    offline.wallet.hand_over(choice)
    with pytest.raises(Refused) as refusal:
        offline.wallet.hand_over(choice)
    assert refusal.value.codes == ["already-shown"]

    again = offline.start()
    answers: list[Callable[[Choice], object]] = [again.hand_over, again.present]
    for answer in answers:
        with pytest.raises(Refused) as refusal:
            answer(choice)
        assert refusal.value.codes == ["already-shown"]
    with pytest.raises(Refused) as refusal:
        again.decline(again.matches(offline.link()))
    assert refusal.value.codes == ["already-shown"]
    assert offline.wire.sent == []


def test_what_was_declined_is_not_handed_over(offline: Offline) -> None:
    matches = offline.wallet.matches(offline.link())
    assert not offline.wallet.decline(matches).is_heard

    with pytest.raises(Refused) as refusal:
        offline.wallet.hand_over(matches.choose())

    assert refusal.value.codes == ["already-declined"]


def test_an_old_request_is_not_answered(offline: Offline, clock: Clock) -> None:
    choice = offline.wallet.matches(offline.link()).choose()
    clock.advance(offline.shop.lasts)

    with pytest.raises(Refused) as refusal:
        offline.wallet.hand_over(choice)

    assert refusal.value.codes == ["request-expired"]
    assert offline.wallet.history()[-1].act is not Act.SHOWN


def test_an_answer_that_is_to_be_encrypted_is_read_by_the_till_alone(
    offline: Offline, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = DecryptionKey.generate("of this request")
    asked = replace(offline.shop.request(), encryption=ResponseEncryption(key.public))
    monkeypatch.setattr(offline.shop, "request", lambda: asked)

    form = form_of(offline.hand_over())

    assert {*form} == {"response"}
    answer = parse_object(decrypt_jwe(form["response"], keys=[key], where="response"), "response")
    assert answer["state"] == "a-state"
    assert "vp_token" in answer


def test_codes_are_collected_whole_and_one_message_at_a_time() -> None:
    message = "m" * 10 + "".join(map(str, range(2_000)))
    codes = frames(message)

    assert collected(" \n".join(reversed(codes))) == message
    for wrong in (codes[:-1], [], [*codes, codes[0]], ["openid4vp://?a=b", "openid4vp://?c=d"]):
        with pytest.raises(Malformed):
            collected(" ".join(wrong))


def test_the_command_line_takes_and_gives_codes(
    tmp_path: Path,
    random_bytes: Callable[[int], bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    network = MemoryFetcher()
    issuer, shop = StrangeIssuer(network, utc_now, random_bytes), StrangeShop(network, utc_now)
    monkeypatch.setenv(PASSPHRASE_VARIABLE, PASSPHRASE)

    def fetcher(**_: object) -> MemoryFetcher:
        return network

    monkeypatch.setattr("counterfoil_wallet.cli.GuardedFetcher", fetcher)
    folder = str(tmp_path / "wallet")
    assert main(["create", folder]) == 0
    assert main(["accept", folder, issuer.link]) == 0
    network.disconnect(SHOP)
    token = sign_request(shop.request(), shop.signer)
    link = f"openid4vp://?client_id={quote(shop.client_id, safe='')}&request={token}"
    codes = " ".join(frames(link))
    capsys.readouterr()

    assert main(["ask", folder, codes, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["asker"]["client_id"] == shop.client_id
    assert main(["present", folder, codes, "--codes", "--yes", "--json"]) == 0

    said = json.loads(capsys.readouterr().out)
    form = parse_qs(collected(" ".join(said["codes"])))
    assert form["state"] == ["a-state"]
    assert said["claims"] == ["item.serial"]
    assert main(["present", folder, codes, "--codes", "--yes", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["reasons"][0]["code"] == "already-shown"
    assert shop.forms == []
