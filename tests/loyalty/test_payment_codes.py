"""Who is to have points: a code that was misread, or names somebody else, is caught."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused, Unavailable
from counterfoil_credentials.sdjwt_vc import StatusReference
from counterfoil_loyalty import Points, PointsAccounts
from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.memory_ledger import MemoryLedger
from counterfoil_loyalty.payment_codes import (
    PaymentCode,
    name_claims,
    proved_name,
    read_payment_code,
)
from counterfoil_loyalty.store import MemoryStore

from tests.loyalty.customer_scene import CustomerScene, customer_scene
from tests.loyalty.programme import AUDIO, BICYCLE, DAY, NOW, Clock, seeded

HERS = PointsAccounts(b"receiver" * 4).of(AUDIO).account
TOKEN = PointsAccounts(b"some brand's points" * 2).of(AUDIO).account
CODE = PaymentCode(token=TOKEN, chain_id=7, receiver=HERS, units=1_250)


@pytest.fixture
def scene(clock: Clock) -> Iterator[CustomerScene]:
    ledger = MemoryLedger(now=NOW, random=seeded("codes"))
    with customer_scene(ledger, MemoryStore(), clock) as scene:
        yield scene


@pytest.mark.parametrize("units", [None, 1, 2**128 - 1])
@pytest.mark.parametrize("name", [None, "eyJhbGciOiJFUzI1NiJ9.e30.c2ln~WyJzIl0~"])
def test_a_code_is_read_as_it_was_written(units: int | None, name: str | None) -> None:
    code = PaymentCode(
        token=TOKEN, chain_id=2**53, receiver=HERS, units=units, name_credential=name
    )

    assert read_payment_code(code.to_text()) == code


def test_every_letter_that_is_misread_in_a_receiver_is_caught() -> None:
    text = CODE.to_text()
    begin = text.index("address=0x") + len("address=0x")
    for at in range(begin, begin + 40):
        for digit in "0123456789abcdefABCDEF":
            if digit != text[at]:
                with pytest.raises(Malformed):
                    read_payment_code(text[:at] + digit + text[at + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://points.example",
        CODE.to_text().replace(HERS, HERS.lower()),
        CODE.to_text().replace(TOKEN, TOKEN.lower()),
        CODE.to_text().replace("1250", "0"),
        CODE.to_text().replace("1250", "1.5"),
        CODE.to_text().replace("1250", "-1"),
        CODE.to_text().replace("1250", str(2**128)),
        CODE.to_text().replace("transfer", "approve"),
        CODE.to_text().replace("@7", "@0x7"),
        CODE.to_text() + "&uint256=9",
        CODE.to_text() + "\n",
        CODE.to_text() + "#",
        CODE.to_text() + "#" + "a" * 3_000,
    ],
)
def test_another_text_is_no_code(text: str) -> None:
    with pytest.raises(Malformed):
        read_payment_code(text)


def test_a_code_that_fits_no_picture_is_not_made() -> None:
    with pytest.raises(Malformed):
        PaymentCode(token=TOKEN, chain_id=1, receiver=HERS, name_credential="a" * 2_900).to_text()


@pytest.mark.parametrize("name", ["", " Anna", "An\nna", "Anna\u202e", "A" * 101])
def test_a_name_that_a_screen_would_show_as_another_is_no_name(name: str) -> None:
    with pytest.raises(Malformed):
        name_claims(name, HERS)


def name_in(scene: CustomerScene, credential: str, *, after: timedelta = timedelta()) -> str:
    now = datetime.fromtimestamp(scene.clock.now, UTC) + after
    return proved_name(credential, HERS, brand=AUDIO, fetcher=scene.network, now=now)


def test_a_name_is_that_which_the_brand_signed_for_this_account(scene: CustomerScene) -> None:
    assert name_in(scene, scene.name_credential("Anna L.", HERS)) == "Anna L."


def test_a_name_that_proves_nothing_is_refused_by_name(scene: CustomerScene) -> None:
    good = scene.name_credential("Anna L.", HERS)
    status = StatusReference(f"{AUDIO}/statuses/1", 1)
    cases: list[tuple[str, timedelta, str]] = [
        (scene.name_credential("Anna L.", TOKEN), timedelta(), "name-of-another"),
        (good, timedelta(days=31), "expired"),
        (scene.name_credential("A", HERS, status=status), timedelta(), "name-with-status"),
        (scene.name_credential("A", HERS, issuer=BICYCLE), timedelta(), "issuer-not-trusted"),
    ]
    for credential, after, code in cases:
        with pytest.raises(Refused) as refusal:
            name_in(scene, credential, after=after)
        assert refusal.value.codes == [code]


def test_a_name_whose_brand_cannot_be_asked_is_neither_hers_nor_not(scene: CustomerScene) -> None:
    credential = scene.name_credential("Anna L.", HERS)
    scene.network.disconnect(AUDIO)

    with pytest.raises(Unavailable):
        name_in(scene, credential)


def test_a_payee_is_one_of_this_ledger_of_a_brand_here_and_another_customer(
    scene: CustomerScene,
) -> None:
    points = scene.points(scene.wallet())
    token, chain = scene.client.programme(AUDIO).token, scene.client.venue().chain_id
    own = PaymentCode(token=token, chain_id=chain, receiver=Account(points.join(AUDIO)))
    good = PaymentCode(token=token, chain_id=chain, receiver=HERS)
    assert points.payee(good.to_text()).brand == AUDIO
    for code, reason in (
        (PaymentCode(token=token, chain_id=chain + 1, receiver=HERS), "other-ledger"),
        (PaymentCode(token=HERS, chain_id=chain, receiver=HERS), "unknown-points"),
        (own, "own-account"),
    ):
        with pytest.raises(Refused) as refusal:
            points.payee(code.to_text())
        assert refusal.value.codes == [reason]


def test_points_of_another_brand_are_not_given_by_a_code(scene: CustomerScene) -> None:
    points = scene.points(scene.wallet())
    payee = points.payee(scene.points(scene.wallet()).code(AUDIO))
    points.remember(payee, "Anna")

    with pytest.raises(Refused) as refusal:
        points.give(payee, Points(BICYCLE, 5), was_warned=True)
    assert refusal.value.codes == ["other-points"]
    with pytest.raises(CounterfoilError) as poor:
        points.give(payee, Points(AUDIO, 5), was_warned=True)
    assert isinstance(poor.value, Refused)
    assert poor.value.codes == ["insufficient-points"]
    assert points.resume().waiting == 0


def test_whoever_is_known_to_nobody_gets_points_by_a_long_name_alone(scene: CustomerScene) -> None:
    points, other = scene.points(scene.wallet()), scene.points(scene.wallet())
    scene.award(points.join(AUDIO), 1_000)
    payee = points.payee(other.code(AUDIO, 100))
    assert payee.asked is not None

    points.give(payee, payee.asked, was_warned=True, even_to_somebody_nobody_named=True)

    scene.clock.advance(DAY)
    assert other.check()[AUDIO].points == Points(AUDIO, 100)
