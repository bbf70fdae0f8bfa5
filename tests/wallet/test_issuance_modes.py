"""Our wallet before our issuer, in every mode that it has: grants, keys, covers, promises."""

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_issuer.clients import Demand
from counterfoil_issuer.offering import Grant
from counterfoil_wallet import Finished, MemoryStore
from counterfoil_wallet.attesting import Client

from tests.conftest import Clock
from tests.wallet.brand_scene import (
    BRAND,
    CALLBACK,
    CLIENT_ID,
    MINUTE,
    TYPE,
    VCT,
    Mode,
    Serve,
)

MODES = {
    "plain": Mode(),
    "bearer": Mode(dpop=Demand.OFF),
    "dpop": Mode(dpop=Demand.REQUIRED, dpop_nonce=Demand.REQUIRED),
    "attested wallet": Mode(attests=Demand.REQUIRED),
    "attested wallet, optional challenge": Mode(attests=Demand.OPTIONAL, challenge=Demand.OPTIONAL),
    "attested keys that sign": Mode(keys="jwt"),
    "attested keys": Mode(keys="attestation"),
    "encrypted": Mode(encrypts=True),
    "one copy": Mode(batch_size=1),
    "pushed": Mode(pushed=Demand.REQUIRED),
    "everything": Mode(
        dpop=Demand.REQUIRED,
        dpop_nonce=Demand.REQUIRED,
        attests=Demand.REQUIRED,
        keys="jwt",
        encrypts=True,
        pushed=Demand.REQUIRED,
    ),
}


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
@pytest.mark.parametrize("by", list(Grant), ids=["code", "login"])
def test_accepts_in_every_mode(serve: Serve, mode: Mode, by: Grant) -> None:
    brand = serve(mode)
    offer, store = brand.offer(by=by), MemoryStore()
    wallet = brand.wallet(store)

    if by is Grant.PRE_AUTHORIZED:
        accepted = wallet.accept(offer.link, tx_code=offer.tx_code)
    else:
        login = wallet.authorize(offer.link, redirect_uri=CALLBACK)
        accepted = wallet.come_back(brand.browse(login.url))

    (card,) = accepted.credentials
    assert (card.vct, card.issuer, accepted.refused) == (VCT, BRAND, ())
    assert len(store.copies(card.credential_id)) == mode.batch_size
    assert [each.credential_id for each in wallet.credentials()] == [card.credential_id]
    assert wallet.resume().acceptances == ()
    assert brand.issuer.summary().personal_data["credentials.copy"] == 0, "it was acknowledged"
    is_dpop = mode.dpop is not Demand.OFF
    for headers in brand.headers("/credential"):
        assert headers["authorization"].startswith("DPoP " if is_dpop else "Bearer ")
    if mode.encrypts:
        assert all(body.count(b".") == 4 for body in brand.bodies("/credential"))


def test_each_copy_has_a_key_a_place_and_salts_of_its_own(serve: Serve) -> None:
    brand, store = serve(Mode()), MemoryStore()
    offer = brand.offer()

    (card,) = brand.wallet(store).accept(offer.link, tx_code=offer.tx_code).credentials

    copies = store.copies(card.credential_id)
    assert len({copy.signer.public for copy in copies}) == 10
    assert len({copy.status for copy in copies}) == 10
    disclosures = [each for copy in copies for each in copy.sd_jwt.disclosures]
    assert len(set(disclosures)) == len(disclosures)


def test_two_credentials_of_one_type_are_asked_for_by_their_identifiers(serve: Serve) -> None:
    brand, store = serve(Mode(batch_size=2)), MemoryStore()
    offer = brand.offer(count=2)

    accepted = brand.wallet(store).accept(offer.link, tx_code=offer.tx_code)

    assert len(accepted.credentials) == 2
    assert [len(store.copies(card.credential_id)) for card in accepted.credentials] == [2, 2]


def test_an_offer_is_fetched_where_the_qr_code_says(serve: Serve) -> None:
    brand = serve(Mode())
    offer, wallet = brand.offer(), brand.wallet()

    shown = wallet.offered(offer.qr)
    first = wallet.accept(offer.qr, tx_code=offer.tx_code)
    again = wallet.accept(offer.qr, tx_code=offer.tx_code)

    assert (shown.issuer, shown.needs_login, shown.refused) == (BRAND, False, ())
    assert [each.vct for each in shown.credentials] == [VCT]
    assert shown.tx_code is not None
    assert shown.tx_code.length == 6
    assert first == again
    assert len(wallet.credentials()) == 1


def test_a_wallet_may_begin_without_an_offer(serve: Serve) -> None:
    brand = serve(Mode())
    brand.offer(by=Grant.AUTHORIZATION_CODE)
    wallet = brand.wallet()

    login = wallet.authorize(BRAND, redirect_uri=CALLBACK, configurations=[TYPE])
    accepted = wallet.come_back(brand.browse(login.url))

    assert [card.vct for card in accepted.credentials] == [VCT]


def test_an_offer_by_login_says_so(serve: Serve) -> None:
    brand = serve(Mode())
    offer, wallet = brand.offer(by=Grant.AUTHORIZATION_CODE), brand.wallet()

    assert wallet.offered(offer.link).needs_login
    with pytest.raises(Refused) as refusal:
        wallet.accept(offer.link)
    assert refusal.value.codes == ["login-needed"]


def test_the_app_may_start_again_while_the_customer_logs_in(serve: Serve) -> None:
    brand, store = serve(Mode(attests=Demand.REQUIRED, dpop=Demand.REQUIRED)), MemoryStore()
    offer = brand.offer(by=Grant.AUTHORIZATION_CODE)
    login = brand.wallet(store).authorize(offer.link, redirect_uri=CALLBACK)
    back = brand.browse(login.url)

    wallet = brand.wallet(store)
    (waiting,) = wallet.resume().acceptances
    accepted = wallet.come_back(back)

    assert waiting == login
    assert len(accepted.credentials) == 1
    assert brand.wallet(store).come_back(back) == accepted, "the same answer, the same end"


def test_a_wallet_that_nobody_vouches_for_is_told_so(serve: Serve) -> None:
    brand = serve(Mode(attests=Demand.REQUIRED))
    offer = brand.offer()

    with pytest.raises(Refused) as refusal:
        brand.wallet(client=Client(CLIENT_ID)).accept(offer.link, tx_code=offer.tx_code)

    assert refusal.value.codes == ["wallet-attestation-needed"]
    assert "/token" not in brand.paths(), "the code is not spent"


def test_keys_that_nobody_vouches_for_are_told_so(serve: Serve) -> None:
    brand = serve(Mode(keys="jwt"))
    offer = brand.offer()

    with pytest.raises(Refused) as refusal:
        brand.wallet(client=Client(CLIENT_ID)).accept(offer.link, tx_code=offer.tx_code)

    assert refusal.value.codes == ["nothing-we-hold"]
    assert "/token" not in brand.paths()


@pytest.mark.parametrize("mode", [Mode(defers=True), Mode(defers=True, encrypts=True)])
def test_what_is_not_ready_is_asked_for_again_and_not_before_its_time(
    serve: Serve, clock: Clock, mode: Mode
) -> None:
    brand, store = serve(mode), MemoryStore()
    offer = brand.offer()

    accepted = brand.wallet(store).accept(offer.link, tx_code=offer.tx_code)

    assert (accepted.credentials, accepted.waits_until) == ((), clock() + MINUTE)
    brand.approve(offer)
    clock.advance(MINUTE / 2)
    brand.wallet(store).resume()
    assert brand.paths().count("/deferred_credential") == 0

    clock.advance(MINUTE / 2)
    wallet = brand.wallet(store)
    (finished,) = wallet.resume().acceptances

    assert isinstance(finished, Finished)
    (card,) = wallet.credentials()
    assert len(store.copies(card.credential_id)) == 10
    assert brand.issuer.summary().personal_data["credentials.copy"] == 0
    assert wallet.accept(offer.link, tx_code=offer.tx_code).credentials == (card,)


def test_what_is_still_not_ready_waits_on_and_what_is_denied_ends(
    serve: Serve, clock: Clock
) -> None:
    brand = serve(Mode(defers=True))
    offer, wallet = brand.offer(), brand.wallet()
    wallet.accept(offer.link, tx_code=offer.tx_code)

    clock.advance(MINUTE)
    (waiting,) = wallet.resume().acceptances
    brand.issuer.deny(offer.datasets[0].dataset_id)
    clock.advance(MINUTE)
    (dropped,) = wallet.resume().acceptances

    assert type(waiting).__name__ == "Waiting"
    assert type(dropped).__name__ == "Dropped"
    assert wallet.resume().acceptances == ()
    assert wallet.credentials() == []
