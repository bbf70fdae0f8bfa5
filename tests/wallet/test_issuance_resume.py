"""Killed at any call of any way to be issued to, a wallet goes on from what it kept."""

from dataclasses import dataclass, field

import pytest
from counterfoil_credentials.errors import Refused, Unavailable
from counterfoil_issuer.clients import Demand
from counterfoil_issuer.offering import Grant, OpenOffer
from counterfoil_wallet import Dropped, Finished, Store, Wallet

from tests.conftest import Clock
from tests.wallet.brand_scene import CALLBACK, MINUTE, BrandScene, Mode, Serve
from tests.wallet.conftest import Place
from tests.wallet.town import Killed, Wire

# What a file keeps, memory keeps too; here the file is opened again after each kill.
pytestmark = pytest.mark.parametrize("place", ["sqlite"], indirect=True)

AUTHORIZE_CALLS = ("issuer metadata", "server metadata", "challenge", "pushed request")
COME_BACK_CALLS = (
    *("challenge", "token", "keys"),
    *("nonce", "credential", "notification"),
)
TOKEN_CALL = 2
WAIT_CALLS = ("keys", "issuer metadata", "late credential", "notification")
STRICT = Mode(
    dpop=Demand.REQUIRED, attests=Demand.REQUIRED, keys="jwt", encrypts=True, batch_size=2
)


def calls(names: tuple[str, ...]) -> list[object]:
    return [
        pytest.param(i, after, id=f"{i} {name}-{'answer lost' if after else 'not sent'}")
        for i, name in enumerate(names, start=1)
        for after in (False, True)
    ]


@dataclass
class Start:
    """A program that starts again and again over one place, with a wire that can be cut."""

    brand: BrandScene
    place: Place
    wires: list[Wire] = field(default_factory=list[Wire])
    store: Store | None = None

    def wallet(self, cut_at: int | None = None, *, after: bool = False) -> Wallet:
        """Start; the call `cut_at` from now on kills the program."""
        self.wires.append(Wire(self.brand.network, cut_at=cut_at, cut_after_sending=after))
        self.store = self.place.start()
        return self.brand.wallet(self.store, wire=self.wires[-1])

    def calls(self) -> int:
        """Count the calls since the last start."""
        return len(self.wires[-1].sent)

    def assert_holds_one(self, wallet: Wallet, copies: int) -> None:
        """Check that there is one card with all its copies, and one place in the list for each."""
        (card,) = wallet.credentials()
        assert self.store is not None
        assert len(self.store.copies(card.credential_id)) == copies
        assert self.brand.issuer.summary().status_indices_used == copies
        assert [event.act.value for event in wallet.history()] == ["accepted"]
        assert wallet.resume().acceptances == ()
        assert self.brand.issuer.summary().personal_data["credentials.copy"] == 0


def test_the_calls_of_a_login_are_these(serve: Serve, place: Place) -> None:
    start = Start(serve(STRICT), place)
    offer = start.brand.offer(by=Grant.AUTHORIZATION_CODE)

    login = start.wallet().authorize(offer.link, redirect_uri=CALLBACK)
    assert start.calls() == len(AUTHORIZE_CALLS)
    wallet = start.wallet()
    wallet.come_back(start.brand.browse(login.url))

    assert start.calls() == len(COME_BACK_CALLS)
    start.assert_holds_one(wallet, 2)


@pytest.mark.parametrize(("call", "after"), calls(AUTHORIZE_CALLS))
def test_killed_while_a_login_begins(serve: Serve, place: Place, call: int, *, after: bool) -> None:
    start = Start(serve(STRICT), place)
    offer = start.brand.offer(by=Grant.AUTHORIZATION_CODE)
    with pytest.raises(Killed):
        start.wallet(call, after=after).authorize(offer.link, redirect_uri=CALLBACK)

    wallet = start.wallet()
    assert wallet.resume().acceptances == ()
    login = wallet.authorize(offer.link, redirect_uri=CALLBACK)
    wallet.come_back(start.brand.browse(login.url))

    start.assert_holds_one(wallet, 2)


@pytest.mark.parametrize(("call", "after"), calls(COME_BACK_CALLS))
def test_killed_after_a_login(serve: Serve, place: Place, call: int, *, after: bool) -> None:
    start = Start(serve(STRICT), place)
    offer = start.brand.offer(by=Grant.AUTHORIZATION_CODE)
    login = start.wallet().authorize(offer.link, redirect_uri=CALLBACK)
    back = start.brand.browse(login.url)
    with pytest.raises(Killed):
        start.wallet(call, after=after).come_back(back)

    wallet = start.wallet()
    (state,) = wallet.resume().acceptances

    if call == TOKEN_CALL and after:
        assert isinstance(state, Dropped)
        assert [reason.code for reason in state.reasons] == ["token-lost"]
        offer = start.brand.issuer.offer_datasets(offer.datasets, grants=[Grant.AUTHORIZATION_CODE])
        login = wallet.authorize(offer.link, redirect_uri=CALLBACK)
        wallet.come_back(start.brand.browse(login.url))
    else:
        assert isinstance(state, Finished)
    start.assert_holds_one(wallet, 2)


@pytest.mark.parametrize(("call", "after"), calls(COME_BACK_CALLS[:TOKEN_CALL]))
def test_cut_off_after_a_login_the_same_answer_goes_on(
    serve: Serve, place: Place, call: int, *, after: bool
) -> None:
    start = Start(serve(STRICT), place)
    offer = start.brand.offer(by=Grant.AUTHORIZATION_CODE)
    login = start.wallet().authorize(offer.link, redirect_uri=CALLBACK)
    back = start.brand.browse(login.url)
    wallet = start.wallet(call, after=after)
    start.wires[-1].error = Unavailable
    with pytest.raises(Unavailable):
        wallet.come_back(back)

    if call == TOKEN_CALL and after:
        with pytest.raises(Refused) as refusal:
            wallet.come_back(back)
        assert refusal.value.codes == ["token-lost"]
    else:
        assert len(wallet.come_back(back).credentials) == 1
        start.assert_holds_one(wallet, 2)


def waiting(start: Start, clock: Clock) -> OpenOffer:
    """Bring the wallet to where the issuer has just become ready."""
    offer = start.brand.offer()
    accepted = start.wallet().accept(offer.link, tx_code=offer.tx_code)
    assert accepted.waits_until == clock() + MINUTE
    start.brand.approve(offer)
    clock.advance(MINUTE)
    return offer


@pytest.mark.parametrize(("call", "after"), calls(WAIT_CALLS))
def test_killed_while_asking_for_what_was_late(
    serve: Serve, place: Place, clock: Clock, call: int, *, after: bool
) -> None:
    start = Start(serve(Mode(defers=True, batch_size=2)), place)
    waiting(start, clock)
    with pytest.raises(Killed):
        start.wallet(call, after=after).resume()

    wallet = start.wallet()
    (finished,) = wallet.resume().acceptances

    assert isinstance(finished, Finished)
    start.assert_holds_one(wallet, 2)


def test_the_calls_for_what_was_late_are_these(serve: Serve, place: Place, clock: Clock) -> None:
    start = Start(serve(Mode(defers=True, batch_size=2)), place)
    waiting(start, clock)

    start.wallet().resume()

    assert start.calls() == len(WAIT_CALLS)


def test_the_app_may_stop_before_the_issuer_promises(
    serve: Serve, place: Place, clock: Clock
) -> None:
    """The answer that promised is lost: the same request again has the same promise."""
    start = Start(serve(Mode(defers=True, batch_size=2)), place)
    offer = start.brand.offer()
    with pytest.raises(Killed):
        start.wallet(6, after=True).accept(offer.link, tx_code=offer.tx_code)

    start.wallet().resume()
    start.brand.approve(offer)
    clock.advance(MINUTE)
    wallet = start.wallet()
    wallet.resume()

    start.assert_holds_one(wallet, 2)
