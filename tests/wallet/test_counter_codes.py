"""The phone shows first: codes for a counter that nobody asked for."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from counterfoil_credentials.claims import values_at
from counterfoil_credentials.dcql import ClaimQuery, CredentialQuery
from counterfoil_credentials.errors import Misuse, Refused
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.key_binding import check_key_binding
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import read_credential
from counterfoil_wallet import Act, CounterPreset, Joining, Outcome, Wallet

from tests.conftest import Clock
from tests.wallet.conftest import Place
from tests.wallet.strangers import TYPE, StrangeIssuer
from tests.wallet.town import WARRANTY_TYPE, Town, Wire

PRESET_ID = "https://till.example/presets/warranty"


def preset(vct: str = WARRANTY_TYPE, *, multiple: bool = False) -> CounterPreset:
    query = CredentialQuery(
        "warranty", (vct,), (ClaimQuery(("item", "serial")),), multiple=multiple
    )
    return CounterPreset(preset_id=PRESET_ID, query=query)


@pytest.fixture
def wire(town: Town) -> Wire:
    return Wire(town.network)


@pytest.fixture
def wallet(town: Town, place: Place, wire: Wire) -> Wallet:
    wallet, offer = town.wallet(place.start(), wire), town.offer()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    wire.sent.clear()
    return wallet


def nonce_of(text: str) -> str:
    token = SdJwt.parse(text).key_binding
    assert token is not None
    return str(read_jws(token, typ="kb+jwt", where="kb_jwt").unverified_claims["nonce"])


def check(town: Town, text: str, *, audience: str = PRESET_ID) -> None:
    """Judge a code as a till does, with the issuer's key and its own clock."""
    shown = SdJwt.parse(text)
    verified = read_credential(shown).verify(town.audio_signer.public)
    assert verified.holder_key is not None
    check_key_binding(
        shown,
        holder_key=verified.holder_key,
        audience=audience,
        nonce=nonce_of(text),
        now=town.clock(),
        max_age=timedelta(seconds=30),
    )
    assert values_at(verified.claims, ("item", "serial"))
    assert not values_at(verified.claims, ("price",))


def test_a_code_shows_what_was_chosen_to_the_preset_and_asks_nobody(
    town: Town, wallet: Wallet, wire: Wire
) -> None:
    (disclosure,) = wallet.showable(preset())
    assert [event.act for event in wallet.history()] == [Act.ACCEPTED, Act.ACCEPTED]

    code = wallet.show(preset(), disclosure).code()

    check(town, code.text)
    with pytest.raises(Refused):
        check(town, code.text, audience="https://till.example/presets/member")
    last = wallet.history()[-1]
    assert (last.act, last.outcome, last.party) == (Act.SHOWN, Outcome.SENT, PRESET_ID)
    assert wire.sent == []


def test_a_code_changes_every_thirty_seconds_and_an_older_one_is_worth_nothing(
    town: Town, wallet: Wallet, clock: Clock
) -> None:
    codes = wallet.show(preset(), wallet.showable(preset())[0])
    first = codes.code()
    clock.advance(timedelta(seconds=29))
    assert codes.code() == first

    clock.advance(timedelta(seconds=1))
    second = codes.code()

    assert nonce_of(second.text) != nonce_of(first.text)
    assert second.until - first.until == timedelta(seconds=30)
    check(town, second.text)
    clock.advance(timedelta(seconds=1))
    with pytest.raises(Refused):
        check(town, first.text)


def test_after_five_minutes_a_phone_that_was_laid_down_shows_nothing(
    wallet: Wallet, clock: Clock
) -> None:
    codes = wallet.show(preset(), wallet.showable(preset())[0])
    clock.advance(timedelta(minutes=4, seconds=59))
    assert codes.code().until == codes.ends_at

    clock.advance(timedelta(seconds=1))

    with pytest.raises(Refused) as refusal:
        codes.code()
    assert refusal.value.codes == ["showing-over"]


def test_a_card_that_was_removed_has_no_more_codes(wallet: Wallet) -> None:
    choice = wallet.showable(preset())[0]
    codes = wallet.show(preset(), choice)
    shown_before = len(wallet.history())
    codes.code()

    wallet.remove(choice.credential.credential_id)
    with pytest.raises(Refused) as refusal:
        codes.code()
    assert refusal.value.codes == ["showing-over"]
    with pytest.raises(Refused) as refusal:
        wallet.show(preset(), choice)
    assert refusal.value.codes == ["credential-unknown"]
    assert len(wallet.history()) == shown_before + 1

    wallet.take_back(choice.credential.credential_id)
    codes.code()
    wallet.remove(choice.credential.credential_id)
    wallet.empty_trash()
    with pytest.raises(Refused) as refusal:
        codes.code()
    assert refusal.value.codes == ["showing-over"]


def test_a_locked_wallet_has_no_more_codes(wallet: Wallet) -> None:
    codes = wallet.show(preset(), wallet.showable(preset())[0])
    codes.code()

    wallet.lock()

    with pytest.raises(Misuse, match="locked"):
        codes.code()


def test_a_clock_that_was_set_back_makes_a_new_code(wallet: Wallet, clock: Clock) -> None:
    codes = wallet.show(preset(), wallet.showable(preset())[0])
    first = codes.code()

    clock.advance(timedelta(seconds=-60))

    assert codes.code().until < first.until


def test_two_showings_share_no_copy_and_the_last_copy_is_not_shown_again_in_silence(
    place: Place, clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    network = MemoryFetcher()
    wallet = Wallet(place.start(), fetcher=network, clock=clock, random=random_bytes)
    wallet.accept(StrangeIssuer(network, clock, random_bytes).link)
    (first,) = wallet.showable(preset(TYPE))
    assert first.joining is Joining.NOTHING
    wallet.show(preset(TYPE), first)

    (second,) = wallet.showable(preset(TYPE))

    assert second.joining is Joining.OTHERS
    with pytest.raises(Refused) as refusal:
        wallet.show(preset(TYPE), second)
    assert refusal.value.codes == ["only-copies-that-link"]
    assert [event.act for event in wallet.history()] == [Act.ACCEPTED, Act.SHOWN]
    assert wallet.show(preset(TYPE), second, reuse_that_links=True).code().text


def test_a_preset_for_what_is_not_held_shows_nothing(wallet: Wallet) -> None:
    assert wallet.showable(preset("https://another.example/type")) == ()


def test_a_preset_of_several_credentials_is_misuse() -> None:
    with pytest.raises(Misuse):
        preset(multiple=True)
