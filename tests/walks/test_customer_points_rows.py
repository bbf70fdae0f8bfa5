"""What the product's rows promise a customer of her points: F2 (seen) and F3 (given)."""

from collections import Counter
from datetime import UTC, timedelta
from itertools import accumulate
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_credentials.keys import MemorySigner
from counterfoil_loyalty import Points
from counterfoil_loyalty.indexer import project
from counterfoil_loyalty.purse import CustomerPoints
from counterfoil_loyalty.purse_views import Source
from counterfoil_loyalty.rates import Rate
from counterfoil_wallet import Transfer, Wallet, recognise

from tests.loyalty.customer_scene import CustomerScene, customers_on_a_chain
from tests.loyalty.programme import AUDIO, BICYCLE, DAY

PASSPHRASE = "correct horse battery staple"


def replayed(scene: CustomerScene, accounts: dict[str, str]) -> dict[str, int]:
    """Add up what the chain's own blocks say, from the first one on."""
    ledger = scene.relayer.ledger
    tokens = {scene.client.programme(brand).token: brand for brand in accounts}
    held: Counter[str] = Counter()
    for number in range(ledger.head() + 1):
        for movement in project(ledger.block(number)).movements:
            brand = tokens[movement.token]
            held[brand] += movement.units * (movement.account == accounts[brand])
    return {brand: held[brand] for brand in accounts}


def test_row_F2_what_she_sees_is_a_replay_of_the_chain_and_a_copy_says_how_old_it_is(  # noqa: N802
    tmp_path: Path,
) -> None:
    folder = tmp_path / "wallet"
    with customers_on_a_chain(tmp_path) as scene:
        wallet = Wallet.create(folder, PASSPHRASE, fetcher=scene.network, clock=scene.time)
        wallet.points = points = scene.points(wallet)
        mine = {AUDIO: points.join(AUDIO), BICYCLE: points.join(BICYCLE)}
        friend = scene.points(scene.wallet())
        for day in range(3):
            order = f"order {day}"
            points.keep_note(scene.award(mine[AUDIO], 1_000, order), order)
            scene.clock.advance(DAY)
        points.exchange(points.quote(Points(AUDIO, 200), BICYCLE))
        voucher = points.redeem(Points(BICYCLE, 100))
        scene.clock.advance(DAY)
        payee = points.payee(friend.code(AUDIO))
        points.remember(payee, "Bao")
        points.give(payee, Points(AUDIO, 50), was_warned=True)

        seen = points.check()

        assert all(balance.is_fresh for balance in seen.values())
        held = {brand: balance.points.units for brand, balance in seen.items()}
        assert held == replayed(scene, mine) == {AUDIO: 2_750, BICYCLE: 200}
        assert [it.name for it in seen.values()] == ["Auricle Points", "Velo Miles"]
        lines = points.history()
        assert [(it.source, it.units, it.brand_name) for it in lines] == [
            (Source.GIVEN, -50, "Auricle Points"),
            (Source.REDEEMED, -100, "Velo Miles"),
            (Source.EXCHANGED, 300, "Velo Miles"),
            (Source.EXCHANGED, -200, "Auricle Points"),
            *[(Source.EARNED, 1_000, "Auricle Points")] * 3,
        ]
        assert [it.note for it in lines] == [
            *(None, voucher.reference, None, None),
            *("order 2", "order 1", "order 0"),
        ]
        assert (lines[0].contact, lines[2].other) == ("Bao", Points(AUDIO, 200))
        for brand in mine:
            by_brand = [it.units for it in reversed(points.history(brand))]
            chart = points.chart(brand, UTC)
            assert chart[-1][1].units == held[brand] == [*accumulate(by_brand)][-1]
            days = [day for day, _ in chart]
            assert days == [days[0] + timedelta(days=it) for it in range(len(days))]
        assert [it.units for _, it in points.chart(AUDIO, UTC)] == [
            1_000,
            2_000,
            3_000,
            2_800,
            2_750,
        ]

        scene.disconnect()
        scene.clock.advance(3 * DAY)
        wallet.lock()

        # Another day, another start of the app, and the service is away.
        with Wallet.open(folder, PASSPHRASE, fetcher=MemoryFetcher(), clock=scene.time) as later:
            offline = CustomerPoints(later, MemoryFetcher(), "https://points.example")
            copy = offline.check()
            assert {brand: it.points.units for brand, it in copy.items()} == held
            for balance in copy.values():
                assert not balance.is_fresh
                assert balance.failed is not None
                assert balance.age(scene.time()) == timedelta(days=3)
            assert offline.history() == lines
        files = [it.read_bytes() for it in folder.rglob("*") if it.is_file()]
        assert not any(b"Auricle Points" in content for content in files)


def test_row_F3_points_go_to_another_customer_and_a_wrong_receiver_is_caught(  # noqa: N802
    tmp_path: Path,
) -> None:
    with customers_on_a_chain(tmp_path) as scene:
        anna, bao = scene.points(scene.wallet()), scene.points(scene.wallet())
        scene.award(anna.join(AUDIO), 1_000)
        signed = scene.name_credential("Bao W.", bao.join(AUDIO))

        code = bao.code(AUDIO, 200, name_credential=signed)
        assert isinstance(recognise(code), Transfer)  # the wallet knows it by its form
        payee = anna.payee(code)
        assert (payee.brand_name, payee.proved_name) == ("Auricle Points", "Bao W.")
        assert payee.asked == Points(AUDIO, 200)

        # One letter misread, and no name, or the name of somebody else.
        at = code.index("address=0x") + 12
        misread = code[:at] + ("1" if code[at] != "1" else "2") + code[at + 1 :]
        with pytest.raises(Malformed):
            anna.payee(misread)
        nobody = anna.payee(scene.points(scene.wallet()).code(AUDIO))
        with pytest.raises(Refused) as unnamed:
            anna.give(nobody, Points(AUDIO, 200), was_warned=True)
        assert unnamed.value.codes == ["payee-unnamed"]
        thief = scene.points(scene.wallet())
        with pytest.raises(Refused) as borrowed:
            anna.payee(thief.code(AUDIO, 200, name_credential=signed))
        assert borrowed.value.codes == ["name-of-another"]
        own = scene.name_credential("Bao W.", thief.join(AUDIO), signer=MemorySigner.generate())
        with pytest.raises(Refused):
            anna.payee(thief.code(AUDIO, 200, name_credential=own))

        # Nothing undoes it: she must have been told.
        with pytest.raises(Refused) as silent:
            anna.give(payee, Points(AUDIO, 200), was_warned=False)
        assert silent.value.codes == ["not-warned"]
        assert anna.check()[AUDIO].points.units == 1_000

        asked = len(scene.asked)
        anna.give(payee, Points(AUDIO, 200), was_warned=True)

        sent = [path for method, path in scene.asked[asked:] if method == "POST"]
        assert set(sent) == {"/transfers"}  # her signature went; the service paid
        assert anna.check()[AUDIO].points.units == 800
        assert bao.check()[AUDIO].points.units == 200
        (came,) = bao.history()
        assert (came.source, came.units, came.contact) == (Source.RECEIVED, 200, None)
        bao.remember(bao.payee(anna.code(AUDIO)), "Anna")
        assert bao.history()[0].contact == "Anna"


def test_a_price_that_moved_reaches_her_as_a_refusal_and_nothing_was_exchanged(
    tmp_path: Path,
) -> None:
    with customers_on_a_chain(tmp_path) as scene:
        points = scene.points(scene.wallet())
        scene.award(points.join(AUDIO), 1_000)
        quote = points.quote(Points(AUDIO, 201), BICYCLE)
        assert (quote.receives, quote.rate) == (Points(BICYCLE, 301), Rate(3, 2))
        assert quote.fee_units == 101
        assert quote.expires_at > scene.clock.now
        scene.agree(Rate(2, 1), version=2)

        with pytest.raises(Refused) as refusal:
            points.exchange(quote)

        assert refusal.value.codes == ["terms-changed"]
        assert {brand: it.points.units for brand, it in points.check().items()} == {
            AUDIO: 1_000,
            BICYCLE: 0,
        }
        assert points.resume().waiting == 0
