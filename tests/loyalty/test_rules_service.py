"""A brand's rules at the running points service: published for good, read by wallets, enforced."""

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.keys import MemorySigner
from counterfoil_loyalty import Points, PointsSigner
from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.brand_desk import BrandDesk
from counterfoil_loyalty.memory_ledger import MemoryLedger
from counterfoil_loyalty.programme_rules import Occasion, ProgrammeRules, Use, parse_programme_rules
from counterfoil_loyalty.rewards import Customer, Deed, earn, simulate
from counterfoil_loyalty.rules_book import MemoryRulesBook, Published, RulesBook, Spent
from counterfoil_loyalty.rules_bounds import Counted, require_within_caps
from counterfoil_loyalty.rules_client import RulesClient
from counterfoil_loyalty.sql_outbox import METADATA
from counterfoil_loyalty.sql_rules_book import SqlRulesBook
from counterfoil_loyalty.sql_store import SCHEMA_VERSION
from counterfoil_service.sql import Database
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.loyalty.programme import AUDIO, BICYCLE, DAY, NOW, Clock, seeded
from tests.loyalty.test_service import ORIGIN, Street, street_on

RULES: JsonObject = {
    "brand": AUDIO,
    "version": 1,
    "currency": "EUR",
    "currency_decimals": 2,
    "earnings": [
        {"id": "buy", "occasion": "purchase", "per_spent": {"units": 1, "minor": 10},
         "cap": {"units": 600, "days": 1}},
        {"id": "tell", "occasion": "feedback", "units": 500, "cap": {"units": 1000, "days": 30}},
    ],
    "countries": {
        "CN": {"least_age": 18, "uses": ["discount"], "cap": {"units": 900, "days": 1}},
        "DE": {"uses": ["discount", "goods"]},
    },
}  # fmt: skip
KEY = MemorySigner.generate()


def rules_of(**changes: object) -> ProgrammeRules:
    return parse_programme_rules({**RULES, **changes})  # type: ignore[dict-item] # pyright: ignore[reportArgumentType]  # by name


@pytest.fixture
def street(clock: Clock) -> Iterator[Street]:
    yield from street_on(MemoryLedger(now=NOW, random=seeded("rules")), clock)


@pytest.fixture
def rules(street: Street) -> RulesClient:
    def handle(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        answer = street.http.request(method, path, headers=dict(headers), content=body)
        return Response(answer.status_code, "application/json", answer.content)

    fetcher = MemoryFetcher()
    fetcher.serve(ORIGIN, handle)
    return RulesClient(fetcher, ORIGIN)


def codes(refusal: pytest.ExceptionInfo[Refused]) -> list[str]:
    return refusal.value.codes


def test_row_F12_a_wallet_reads_what_the_brand_signed_and_foretells_what_the_service_pays(  # noqa: N802
    street: Street, rules: RulesClient
) -> None:
    rules.publish(rules_of(), signer=KEY, issuer=street.audio)

    seen = rules.read(AUDIO)
    deed = Deed(
        occasion=Occasion.PURCHASE, reference="1001", at=street.clock.now, spent_minor=4_000
    )
    (foretold,) = simulate(seen.rules, [], [deed], Customer("DE"))
    # The brand: the same function over its own rules, and only then its signature.
    street.award(earn(rules_of(), [], deed, Customer("DE")).units, order="1001")

    assert seen.key == KEY.public
    assert street.held()[0] == foretold.units == 400


def test_row_F12_a_version_is_there_for_good_and_none_goes_back(  # noqa: N802
    street: Street, rules: RulesClient
) -> None:
    first, second = rules_of(), rules_of(version=2, earnings=[])
    signed = first.sign(KEY)
    rules.send(AUDIO, 1, signed, key=KEY.public, issuer=street.audio)
    rules.send(AUDIO, 1, signed, key=KEY.public, issuer=street.audio)
    rules.publish(second, signer=KEY, issuer=street.audio)

    # Of an earlier version, and of the one in force signed once more: other bytes, same number.
    for back_dated in (rules_of(tiers=[]), second):
        with pytest.raises(Refused) as refusal:
            rules.publish(back_dated, signer=KEY, issuer=street.audio)
        assert codes(refusal) == ["rules-overwritten"]
    assert rules.read(AUDIO).rules == second
    assert rules.read(AUDIO, version=1).rules == first
    with pytest.raises(Refused) as refusal:
        rules.read(AUDIO, least_version=3)
    assert codes(refusal) == ["old-rules"]


def test_a_version_between_that_was_never_published_does_not_come_later(
    street: Street, rules: RulesClient
) -> None:
    rules.publish(rules_of(version=3), signer=KEY, issuer=street.audio)

    with pytest.raises(Refused) as refusal:
        rules.publish(rules_of(version=2), signer=KEY, issuer=street.audio)

    assert codes(refusal) == ["old-rules"]


def test_rules_that_another_signs_or_that_are_anothers_are_refused(
    street: Street, rules: RulesClient
) -> None:
    for forged, issuer, code in (
        (rules_of(), street.bicycle, "signature-invalid"),
        (rules_of(), PointsSigner(b"\x07" * 32), "signature-invalid"),
    ):
        with pytest.raises(Refused) as refusal:
            rules.publish(forged, signer=KEY, issuer=issuer)
        assert codes(refusal) == [code]
    signed = rules_of().sign(KEY)
    other = MemorySigner.generate().public
    with pytest.raises(Refused) as refusal:
        rules.send(AUDIO, 1, signed, key=other, issuer=street.audio)
    assert codes(refusal) == ["signature-invalid"]
    with pytest.raises(Refused) as refusal:
        rules.send(BICYCLE, 1, signed, key=KEY.public, issuer=street.bicycle)
    assert codes(refusal) == ["rules-of-another"]
    with pytest.raises((Malformed, Refused)):
        rules.send(AUDIO, 2, signed, key=KEY.public, issuer=street.audio)
    with pytest.raises(Refused) as refusal:
        rules.read(AUDIO)
    assert codes(refusal) == ["no-rules"]


def test_a_cap_split_over_many_awards_is_a_cap_all_the_same(
    street: Street, rules: RulesClient
) -> None:
    rules.publish(rules_of(), signer=KEY, issuer=street.audio)
    # Each alone is allowed; in one day purchase and feedback leave 1,600 together.
    for order in ("1", "2", "3"):
        street.award(500, order=order)

    with pytest.raises(Refused) as refusal:
        street.award(101, order="4")

    assert codes(refusal) == ["over-cap"]
    assert street.award(500, order="3") == street.award(500, order="3")
    street.award(100, order="4")
    assert street.held()[0] == 1_600
    street.clock.advance(DAY + 60)
    street.award(101, order="5")


def test_an_award_larger_than_any_deed_earns_is_refused_and_moves_nothing(
    street: Street, rules: RulesClient
) -> None:
    rules.publish(rules_of(), signer=KEY, issuer=street.audio)

    with pytest.raises(Refused) as refusal:
        street.award(1_001, order="1")

    assert codes(refusal) == ["over-cap"]
    assert street.held()[0] == 0


def test_awards_from_before_the_rules_count_and_a_lost_outbox_hides_none(
    street: Street, rules: RulesClient
) -> None:
    street.award(1_500, order="old")
    rules.publish(rules_of(), signer=KEY, issuer=street.audio)
    with pytest.raises(Refused) as refusal:
        street.award(101, order="1")
    assert codes(refusal) == ["over-cap"]
    street.lose_the_outbox()
    rules.publish(rules_of(), signer=KEY, issuer=street.audio)

    with pytest.raises(Refused) as refusal:
        street.award(101, order="1")

    assert codes(refusal) == ["over-cap"]
    street.award(1_500, order="old")


def test_an_award_that_was_cancelled_leaves_its_room_in_the_cap_and_one_that_waits_takes_it(
    street: Street, rules: RulesClient
) -> None:
    rules.publish(rules_of(), signer=KEY, issuer=street.audio)
    desk = BrandDesk(street.client, AUDIO, street.audio)
    account = street.accounts.of(AUDIO).account
    refs = [bytes([order]) * 32 for order in range(1, 5)]
    for ref, units in zip(refs[:3], (500, 500, 600), strict=True):
        desk.award_pending(Points(AUDIO, units), account, ref, street.clock.now + 14 * DAY)
    with pytest.raises(Refused) as refusal:
        street.award(1, order="1")
    assert codes(refusal) == ["over-cap"]
    street.lose_the_outbox()
    rules.publish(rules_of(), signer=KEY, issuer=street.audio)
    with pytest.raises(Refused) as refusal:
        street.award(1, order="1")
    assert codes(refusal) == ["over-cap"]

    desk.cancel(refs[2])

    with pytest.raises(Refused) as refusal:
        street.award(601, order="1")
    assert codes(refusal) == ["over-cap"]
    desk.award_pending(Points(AUDIO, 600), account, refs[3], street.clock.now + 14 * DAY)
    desk.cancel(refs[3])
    street.award(600, order="1")
    with pytest.raises(Refused) as refusal:
        street.award(1, order="2")
    assert codes(refusal) == ["over-cap"]


def test_rules_that_name_no_country_or_reward_nothing_let_nothing_be_awarded(
    street: Street, rules: RulesClient
) -> None:
    for nothing, code in (
        (rules_of(countries={}), "country-not-served"),
        (rules_of(version=2, earnings=[]), "earns-nothing"),
    ):
        rules.publish(nothing, signer=KEY, issuer=street.audio)
        with pytest.raises(Refused) as refusal:
            street.award(1, order="1")
        assert codes(refusal) == [code]


def test_row_F14_points_become_no_cash_and_nothing_else_that_no_country_allows(  # noqa: N802
    street: Street, rules: RulesClient
) -> None:
    rules.publish(rules_of(), signer=KEY, issuer=street.audio)
    street.award(500, order="1")
    points = Points(AUDIO, 100)

    for use, code in ((Use.CASH, "use-not-allowed"), (None, "use-not-named")):
        with pytest.raises(Refused) as refusal:
            street.client.redeem(points, street.accounts, b"a" * 32, now=street.now, use=use)
        assert codes(refusal) == [code]
    with pytest.raises(Refused) as refusal:
        street.client.quote(points, BICYCLE)
    assert codes(refusal) == ["use-not-allowed"]
    assert street.held() == (500, 0)


def test_an_exchange_quoted_before_the_rules_forbade_it_is_refused(
    street: Street, rules: RulesClient
) -> None:
    street.award(500, order="1")
    quote = street.client.quote(Points(AUDIO, 100), BICYCLE)
    rules.publish(rules_of(), signer=KEY, issuer=street.audio)

    with pytest.raises(Refused) as refusal:
        street.client.exchange(quote, street.accounts, b"x" * 32)

    assert codes(refusal) == ["use-not-allowed"]
    assert street.held() == (500, 0)


def test_a_brand_asks_what_a_vouchers_reference_stands_for_and_learns_no_account(
    street: Street, rules: RulesClient
) -> None:
    rules.publish(rules_of(), signer=KEY, issuer=street.audio)
    street.award(500, order="1")
    voucher = street.client.redeem(
        Points(AUDIO, 200), street.accounts, b"a" * 32, now=street.now, use=Use.DISCOUNT
    )

    redeemed = rules.redeemed(voucher.reference)

    assert (redeemed.points, redeemed.use) == (Points(AUDIO, 200), Use.DISCOUNT)
    answer = street.http.get(f"/vouchers/{voucher.reference}").text
    assert street.accounts.of(AUDIO).account not in answer
    with pytest.raises(Refused) as refusal:
        rules.redeemed("A234-" * 3 + "A234")
    assert codes(refusal) == ["voucher-unknown"]
    # Said again, with another use: what was redeemed stays what it was.
    again = street.client.redeem(
        Points(AUDIO, 200), street.accounts, b"a" * 32, now=street.now, use=Use.GOODS
    )
    assert again.reference == voucher.reference
    assert rules.redeemed(voucher.reference).use is Use.DISCOUNT


def test_a_redemption_that_fails_leaves_a_reference_that_stands_for_nothing(
    street: Street, rules: RulesClient
) -> None:
    rules.publish(rules_of(), signer=KEY, issuer=street.audio)
    with pytest.raises(Refused):
        street.client.redeem(
            Points(AUDIO, 200), street.accounts, b"a" * 32, now=street.now, use=Use.DISCOUNT
        )
    street.award(500, order="1")

    voucher = street.client.redeem(
        Points(AUDIO, 200), street.accounts, b"a" * 32, now=street.now, use=Use.GOODS
    )

    assert rules.redeemed(voucher.reference).use is Use.GOODS


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RulesBook]:
    if request.param == "memory":
        yield MemoryRulesBook()
        return
    where: Path | str = tmp_path / "points.sqlite3"
    if request.param == "postgres":
        where = str(request.getfixturevalue("postgres_url"))
    database = Database.open(where, METADATA, version=SCHEMA_VERSION)
    with closing(database):
        yield SqlRulesBook(database)


def test_of_many_awards_at_once_no_more_are_counted_than_the_cap_has_room_for(
    book: RulesBook,
) -> None:
    rules, token, account = rules_of(), Account("0xA"), Account("0x1")
    start = threading.Barrier(8)

    def count(number: int) -> bool:
        start.wait()
        try:
            book.count(
                token,
                account,
                f"{number:064x}",
                Counted(400, NOW),
                lambda past: require_within_caps(rules, [*past.values()], 400, NOW),
            )
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(count, range(8))) == 4


def test_a_book_keeps_each_version_as_it_was_published_and_takes_no_other(
    book: RulesBook,
) -> None:
    token, key = Account("0xA"), KEY.public.jwk()
    first, second = (
        Published(version=number, rules=f"rules {number}", key=key, signature=bytes([number]) * 65)
        for number in (1, 2)
    )
    assert book.latest(token) is None
    for published in (first, second):
        book.publish(token, published)

    # The very same again changes nothing, also of a version no more in force.
    book.publish(token, first)
    with pytest.raises(Refused) as overwritten:
        book.publish(token, replace(second, rules="others"))
    assert overwritten.value.codes == ["rules-overwritten"]
    assert (book.latest(token), book.version(token, 1)) == (second, first)
    assert book.version(token, 3) is None
    assert book.latest(Account("0xB")) is None


def test_a_book_tells_what_a_redemption_was_for_and_forgets_what_was_refused(
    book: RulesBook,
) -> None:
    token, account = Account("0xA"), Account("0x1")
    spent = Spent(reference="R", token=token, holder=account, redemption_id="aa", use="goods")
    assert book.noted("R") is None
    for use in ("discount", "goods"):
        book.note(replace(spent, use=use))
    assert book.noted("R") == spent
    # An amount as a contract counts it, which no integer of SQL holds.
    seen: list[dict[str, Counted]] = []
    for ref in ("a", "a", "b"):
        book.count(token, account, ref, Counted(2**255, NOW), lambda past: seen.append({**past}))
    assert seen == [{}, {"a": Counted(2**255, NOW)}]
    with pytest.raises(Refused) as conflict:
        book.count(token, account, "a", Counted(1, NOW), lambda _: None)
    assert conflict.value.codes == ["key-conflict"]
    book.uncount(token, "a")
    book.count(token, account, "c", Counted(1, NOW), lambda past: seen.append({**past}))
    assert list(seen[-1]) == ["b"]


def test_a_counted_award_stays_counted_in_a_file_that_is_opened_again(tmp_path: Path) -> None:
    token, account = Account("0xA"), Account("0x1")
    found: list[int] = []
    for number in range(2):
        with closing(
            Database.open(tmp_path / "points.sqlite3", METADATA, version=SCHEMA_VERSION)
        ) as database:
            SqlRulesBook(database).count(
                token, account, f"{number}", Counted(1, NOW), lambda past: found.append(len(past))
            )

    assert found == [0, 1]


DEEDS = st.lists(
    st.tuples(st.sampled_from([*Occasion][:2]), st.integers(0, 3 * DAY), st.integers(0, 9_000)),
    max_size=12,
)


@given(DEEDS, st.sampled_from([Customer("DE"), Customer("CN", 18)]))
@settings(max_examples=200, deadline=None)
def test_nothing_that_the_rules_give_somebody_is_refused(
    deeds: list[tuple[Occasion, int, int]], customer: Customer
) -> None:
    rules, at = rules_of(), NOW
    done: list[Deed] = []
    for number, (occasion, later, spent) in enumerate(deeds):
        at += later
        minor = spent if occasion is Occasion.PURCHASE else 0
        done.append(Deed(occasion=occasion, reference=f"{number}", at=at, spent_minor=minor))
    past: list[Counted] = []
    for earned in simulate(rules, [], done, customer):
        require_within_caps(rules, past, earned.units, earned.deed.at)
        past.append(Counted(earned.units, earned.deed.at))


def test_a_clock_that_went_back_gives_no_second_period() -> None:
    past = [Counted(1_600, NOW)]

    with pytest.raises(Refused):
        require_within_caps(rules_of(), past, 1, NOW - 10 * DAY)
