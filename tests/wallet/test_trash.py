"""The trash: thirty days to take a card back, and nothing left afterwards."""

from collections.abc import Callable
from datetime import timedelta
from itertools import count

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.offers import CredentialOffer
from counterfoil_wallet import Act, CredentialId, HeldCredential, Wallet

from tests.conftest import Clock
from tests.wallet.conftest import Place
from tests.wallet.strangers import BRAND, StrangeIssuer, StrangeShop, json_response

MONTH = timedelta(days=30)


@pytest.fixture
def network() -> MemoryFetcher:
    return MemoryFetcher()


@pytest.fixture
def wallet(
    place: Place, network: MemoryFetcher, clock: Clock, random_bytes: Callable[[int], bytes]
) -> Wallet:
    return Wallet(place.start(), fetcher=network, clock=clock, random=random_bytes)


@pytest.fixture
def held(
    wallet: Wallet, network: MemoryFetcher, clock: Clock, random_bytes: Callable[[int], bytes]
) -> HeldCredential:
    return wallet.accept(StrangeIssuer(network, clock, random_bytes).link).credentials[0]


def test_what_is_in_the_trash_is_listed_nowhere_else_and_shown_to_nobody(
    wallet: Wallet, held: HeldCredential, network: MemoryFetcher, clock: Clock
) -> None:
    removed = wallet.remove(held.credential_id)

    assert removed.gone_at == clock.now + MONTH
    assert [one.credential.credential_id for one in wallet.removed()] == [held.credential_id]
    assert wallet.credentials() == []
    assert wallet.statuses() == []
    asked = wallet.matches(StrangeShop(network, clock).link)
    assert asked.unanswered == ("warranty",)


def test_what_was_on_the_screen_when_it_was_removed_is_not_sent(
    wallet: Wallet, held: HeldCredential, network: MemoryFetcher, clock: Clock
) -> None:
    choice = wallet.matches(StrangeShop(network, clock).link).choose()
    wallet.remove(held.credential_id)

    with pytest.raises(Refused) as refusal:
        wallet.present(choice)

    assert refusal.value.codes == ["credential-unknown"]
    assert [event.act for event in wallet.history()] == [Act.ACCEPTED, Act.REMOVED]
    wallet.take_back(held.credential_id)
    wallet.present(choice)
    assert wallet.history()[-1].act is Act.SHOWN


@pytest.mark.parametrize("destroys", [False, True])
def test_what_was_removed_does_not_count_as_accepted_when_its_offer_is_scanned_again(
    wallet: Wallet,
    network: MemoryFetcher,
    clock: Clock,
    random_bytes: Callable[[int], bytes],
    *,
    destroys: bool,
) -> None:
    issuer = StrangeIssuer(network, clock, random_bytes)
    (held,) = wallet.accept(issuer.link).credentials
    assert wallet.accept(issuer.link).credentials == (held,)
    wallet.remove(held.credential_id)
    if destroys:
        wallet.empty_trash()

    with pytest.raises(Refused) as refusal:
        wallet.accept(issuer.link)

    assert refusal.value.codes == ["accepted-before"]


def test_a_poster_with_a_new_offer_for_everybody_is_accepted_each_time_it_is_shown(
    wallet: Wallet, network: MemoryFetcher, clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    issuer, made = StrangeIssuer(network, clock, random_bytes), count(1)

    def offers(*_: object) -> Response:
        offer = CredentialOffer(BRAND, ("warranty",), f"code-{next(made)}", None)
        return json_response(offer.to_json())

    network.serve("https://links.example", offers)
    poster = "openid-credential-offer://?credential_offer_uri=https%3A%2F%2Flinks.example%2F1"

    for _ in range(2):
        (card,) = wallet.accept(wallet.offered(poster)).credentials
        wallet.remove(card.credential_id)

    assert len([path for path, _ in issuer.received if path == "/credential"]) == 2


def test_what_is_taken_back_is_as_it_was(wallet: Wallet, held: HeldCredential) -> None:
    wallet.remove(held.credential_id)

    back = wallet.take_back(held.credential_id)

    assert (back.credential_id, back.claims) == (held.credential_id, held.claims)
    assert [one.credential_id for one in wallet.credentials()] == [held.credential_id]
    assert wallet.removed() == []
    assert [event.act for event in wallet.history()] == [
        Act.ACCEPTED,
        Act.REMOVED,
        Act.TAKEN_BACK,
    ]


def test_removing_twice_does_not_begin_the_month_anew(
    wallet: Wallet, held: HeldCredential, clock: Clock
) -> None:
    first = wallet.remove(held.credential_id)
    clock.advance(timedelta(days=10))

    assert wallet.remove(held.credential_id).gone_at == first.gone_at
    assert [event.act for event in wallet.history()] == [Act.ACCEPTED, Act.REMOVED]


def test_taking_back_what_was_not_removed_changes_nothing(
    wallet: Wallet, held: HeldCredential
) -> None:
    assert wallet.take_back(held.credential_id).credential_id == held.credential_id
    assert [event.act for event in wallet.history()] == [Act.ACCEPTED]


@pytest.mark.parametrize(
    ("after", "is_there"), [(MONTH - timedelta(seconds=1), True), (MONTH, False)]
)
def test_after_thirty_days_a_card_cannot_be_taken_back(
    wallet: Wallet, held: HeldCredential, clock: Clock, after: timedelta, *, is_there: bool
) -> None:
    wallet.remove(held.credential_id)
    clock.advance(after)

    assert [one.credential.credential_id for one in wallet.removed()] == (
        [held.credential_id] if is_there else []
    )
    if is_there:
        wallet.take_back(held.credential_id)
    else:
        with pytest.raises(Refused) as refusal:
            wallet.take_back(held.credential_id)
        assert refusal.value.codes == ["credential-unknown"]


def test_resuming_destroys_what_was_thirty_days_in_the_trash_and_nothing_younger(
    wallet: Wallet, held: HeldCredential, place: Place, clock: Clock
) -> None:
    wallet.remove(held.credential_id)
    clock.advance(MONTH - timedelta(seconds=1))
    wallet.resume()
    store = place.start()
    assert store.card(held.credential_id) is not None

    clock.advance(timedelta(seconds=1))
    Wallet(store, fetcher=MemoryFetcher(), clock=clock).resume()

    assert store.card(held.credential_id) is None
    assert store.copies(held.credential_id) == []


def test_the_trash_can_be_emptied_at_once(wallet: Wallet, held: HeldCredential) -> None:
    wallet.remove(held.credential_id)

    assert wallet.empty_trash() == 1
    assert wallet.empty_trash() == 0
    assert wallet.removed() == []
    assert wallet.credentials() == []


@pytest.mark.parametrize("verb", [Wallet.remove, Wallet.take_back])
def test_a_card_that_nobody_holds_is_refused(
    wallet: Wallet, verb: Callable[[Wallet, CredentialId], object]
) -> None:
    with pytest.raises(Refused) as refusal:
        verb(wallet, CredentialId("another"))

    assert refusal.value.codes == ["credential-unknown"]
