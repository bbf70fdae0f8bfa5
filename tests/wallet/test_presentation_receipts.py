"""The shop's receipt for what it was shown: checked, kept, told; and it undoes nothing."""

import json
import random
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from queue import Queue

import pytest
from counterfoil_credentials.claims import ClaimPath
from counterfoil_credentials.dcql import ClaimQuery
from counterfoil_credentials.did_web import did_web
from counterfoil_credentials.encoding import Json, object_at, parse_object, text_at
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_credentials.keys import MemorySigner, PublicKey
from counterfoil_credentials.presentation_receipt import (
    PresentationReceipt,
    ShownNames,
    read_presentation_receipt,
)
from counterfoil_credentials.qr_frames import frames
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import read_credential
from counterfoil_credentials.x509 import TrustAnchors
from counterfoil_service.sealing import Seal
from counterfoil_verifier import WARRANTY, Shop
from counterfoil_verifier.identity import OWN_KEY, CertificatePrefix, Identity, Unproved, WebDid
from counterfoil_verifier.receipts import receipt_for
from counterfoil_wallet import (
    Act,
    Event,
    Kind,
    MemoryStore,
    Outcome,
    ReceiptStanding,
    Record,
    Trust,
    Visit,
    VisitReceipt,
    Wallet,
)
from counterfoil_wallet.cli import main
from counterfoil_wallet.disclosures import disclosure_of
from counterfoil_wallet.history import EventId
from counterfoil_wallet.migrations import count
from counterfoil_wallet.presenting import shown_card
from counterfoil_wallet.sqlite_store import SqliteStore, change_version
from counterfoil_wallet.visit_receipts import ShownCard, check_receipt
from counterfoil_wallet.wallet import utc_now

from tests.conftest import NOON, Clock
from tests.verifier.certificates import DNS, HASH, papers
from tests.wallet.cards import card_of
from tests.wallet.conftest import PASSPHRASE, Place, Reach
from tests.wallet.strangers import SHOP, TYPE, StrangeIssuer, StrangeShop, json_response
from tests.wallet.town import WARRANTY_TYPE, Town

MONTH = timedelta(days=30)
SERIAL = ("item", "serial")
Bend = Callable[[PresentationReceipt], PresentationReceipt]


class Counter:
    """A shop that asks for a serial number and answers with what a test lets it write."""

    def __init__(self, clock: Callable[[], datetime], random: Callable[[int], bytes]) -> None:
        self.network = MemoryFetcher()
        self.issuer = StrangeIssuer(self.network, clock, random)
        self.shop = StrangeShop(self.network, clock)

    def receipt(self, *paths: ClaimPath) -> PresentationReceipt:
        """Give the receipt that is right for what the shop asks."""
        request = self.shop.request()
        return PresentationReceipt(
            client_id=request.client_id,
            name="The Shop",
            nonce=request.nonce,
            purpose=request.purpose,
            shown=(ShownNames(TYPE, paths or (SERIAL,)),),
            shown_at=request.issued_at,
            kept_until=request.issued_at + MONTH,
        )

    def signed(self, bend: Bend = lambda right: right, *paths: ClaimPath) -> str:
        return bend(self.receipt(*paths)).sign(self.shop.signer)

    def gives(self, receipt: Json) -> None:
        """Let the shop answer with this as its receipt."""
        self.shop.answer = json_response({"receipt": receipt})


@pytest.fixture
def counter(clock: Clock, random_bytes: Callable[[int], bytes]) -> Counter:
    return Counter(clock, random_bytes)


@pytest.fixture
def wallet(counter: Counter, clock: Clock) -> Wallet:
    wallet = Wallet.in_memory(fetcher=counter.network, clock=clock)
    wallet.accept(counter.issuer.link)
    return wallet


def show(wallet: Wallet, counter: Counter) -> VisitReceipt:
    """Present, and give the receipt, which is the one in the history."""
    receipt = wallet.present(wallet.matches(counter.shop.link).choose()).receipt
    assert receipt is not None
    last = wallet.history()[-1]
    assert (last.act, last.outcome, last.receipt) == (Act.SHOWN, Outcome.DONE, receipt)
    assert last.is_warning == (receipt.standing is not ReceiptStanding.GOOD)
    return receipt


def codes(receipt: VisitReceipt) -> list[str]:
    return [reason.code for reason in receipt.reasons]


class TestOurShop:
    """The receipt of the real counter, over the real service."""

    @pytest.mark.parametrize("identity", [OWN_KEY, WebDid(did_web("till.example"))], ids=str)
    def test_it_is_kept_with_the_visit_and_says_until_when_the_shop_keeps_what(
        self, town: Town, full: Wallet, clock: Clock, identity: Identity
    ) -> None:
        town.open_shop(replace(town.shop, identity=identity))

        presented = full.present(full.matches(town.counter.ask("warranty").link).choose())

        receipt, last = presented.receipt, full.history()[-1]
        assert receipt is not None
        assert (receipt.standing, receipt.reasons) == (ReceiptStanding.GOOD, ())
        assert receipt.kept_until == clock() + timedelta(days=30, hours=1)
        assert last.receipt == receipt
        assert not last.is_warning
        (access,) = full.access_report()
        assert (access.kept_until, access.without_receipt) == (receipt.kept_until, 0)
        (card,) = [one for one in full.credentials() if one.vct == WARRANTY_TYPE]
        item = card.claims["item"]
        assert isinstance(item, dict)
        assert str(item["serial"]) not in repr(last) + str(receipt.token)

    @pytest.mark.parametrize("prefix", [DNS, HASH])
    def test_it_is_the_same_of_a_certified_shop_that_takes_encrypted_answers(
        self, town: Town, clock: Clock, prefix: CertificatePrefix
    ) -> None:
        held, offer, shown = MemoryStore(), town.offer(), papers(at=clock())
        town.wallet(held).accept(offer.link, tx_code=offer.tx_code)
        seal = Seal(bytes(range(32)), "response keys")
        town.open_shop(
            replace(town.shop, signer=shown.signer, identity=shown.identity(prefix), seal=seal)
        )
        trust = Trust(anchors=TrustAnchors((shown.root.certificate,)))
        wallet = Wallet(held, fetcher=town.network, clock=clock, trust=trust)

        receipt = wallet.present(wallet.matches(town.counter.ask("warranty").link).choose()).receipt

        assert receipt is not None
        assert (receipt.standing, receipt.reasons) == (ReceiptStanding.GOOD, ())

    def test_one_that_nobody_can_prove_gives_none(self, town: Town, full: Wallet) -> None:
        town.open_shop(replace(town.shop, identity=Unproved()))

        presented = full.present(full.matches(town.counter.ask("warranty").link).choose())

        assert presented.receipt is None
        assert full.history()[-1].outcome is Outcome.DONE
        assert full.access_report()[0].without_receipt == 1


@pytest.mark.parametrize("seed", range(40))
def test_shop_and_wallet_name_alike_what_is_shown_of_whatever_card(seed: int) -> None:
    """An honest shop is never warned of: each side reads its own end of the presentation."""
    chance = random.Random(seed)
    claims = {f"c{i}": some_json(chance) for i in range(6)}
    card = card_of(claims, chance.randbytes)
    asked: list[ClaimPath] = [(name,) for name in claims if chance.random() < 0.5]
    shop = Shop(name="Shop", origin=SHOP, signer=MemorySigner.generate())
    preset = WARRANTY.accepting([TYPE])
    waiting = shop.ask(preset, language="en", random=chance.randbytes, now=NOON)
    request = shop.request(waiting, preset)
    disclosure = disclosure_of(card, asked, query_id="warranty")
    seen = read_credential(SdJwt.parse(str(disclosure.sd_jwt))).revealed.claims

    token = receipt_for(shop, request, [seen], now=NOON, kept_until=None)

    visit = Visit(
        signed_by=shop.signer.public, purpose=request.purpose, shown=(shown_card(disclosure),)
    )
    checked = check_receipt(
        token, visit, client_id=request.client_id, nonce=request.nonce, now=NOON
    )
    assert (checked.standing, checked.reasons) == (ReceiptStanding.GOOD, ())
    assert {name for name in claims if f'["{name}"' in repr(visit.shown)} <= {
        name for (name, *_) in asked
    }


def some_json(chance: random.Random, depth: int = 0) -> Json:
    """Give lists and objects within each other, some of them empty, with texts at the end."""
    kind = chance.choice("tlo" if depth < 3 else "t")
    if kind == "l":
        return [some_json(chance, depth + 1) for _ in range(chance.randrange(4))]
    if kind == "o":
        names = chance.sample(["a", "b.c", "iat", "", "洗", 'q"', "vct"], chance.randrange(4))
        return {name: some_json(chance, depth + 1) for name in names}
    return chance.choice(["x", "", 0, True, None, 1.5])


def without(right: PresentationReceipt) -> PresentationReceipt:
    return replace(right, shown=(ShownNames(TYPE, ()),))


def showing(*shown: tuple[str, Iterable[ClaimPath]]) -> Bend:
    names = tuple(ShownNames(vct, tuple(paths)) for vct, paths in shown)
    return lambda right: replace(right, shown=names)


DIFFERING: list[tuple[Bend, list[str]]] = [
    (showing((TYPE, [SERIAL, ("price",)])), ["receipt-says-more"]),
    (showing((TYPE, [SERIAL, ("item",)])), ["receipt-says-more"]),
    (showing((TYPE, [SERIAL]), ("urn:other", [])), ["receipt-says-more"]),
    (showing((TYPE, [])), ["receipt-says-less"]),
    (showing(), ["receipt-says-less"]),
    (showing((TYPE, [("price",)])), ["receipt-says-more", "receipt-says-less"]),
    (showing(("urn:other", [SERIAL])), ["receipt-says-more", "receipt-says-less"]),
    (showing((TYPE, [SERIAL]), (TYPE, [SERIAL])), ["receipt-says-other"]),
    (lambda right: replace(right, purpose="To sell"), ["receipt-for-another-purpose"]),
    (lambda right: replace(right, purpose=None), ["receipt-for-another-purpose"]),
]
NOT_FOR_THIS_VISIT: list[tuple[Bend, str]] = [
    (lambda right: replace(right, client_id=f"{right.client_id}0"), "receipt-of-another"),
    (
        lambda right: replace(right, nonce=f"{right.nonce}0"),
        "receipt-for-another-request",
    ),
    (
        lambda right: replace(right, shown_at=right.shown_at + timedelta(seconds=61)),
        "receipt-from-the-future",
    ),
    (lambda right: replace(right, name="x" * 2_001), "malformed"),
]


class TestWhatTheShopGives:
    def test_a_receipt_that_says_what_was_shown_is_good(
        self, wallet: Wallet, counter: Counter, clock: Clock
    ) -> None:
        token = counter.signed()
        counter.gives(token)

        receipt = show(wallet, counter)

        assert receipt == VisitReceipt(token=token, kept_until=clock() + MONTH)

    def test_a_shop_may_keep_nothing(self, wallet: Wallet, counter: Counter) -> None:
        counter.gives(counter.signed(lambda right: replace(right, kept_until=None)))

        receipt = show(wallet, counter)

        assert (receipt.standing, receipt.kept_until) == (ReceiptStanding.GOOD, None)

    @pytest.mark.parametrize(("bend", "expected"), DIFFERING)
    def test_one_that_says_something_else_is_kept_as_its_word_and_warned_of(
        self, wallet: Wallet, counter: Counter, clock: Clock, bend: Bend, expected: list[str]
    ) -> None:
        told: Queue[Event] = Queue()
        stop = wallet.listen(told.put)
        counter.gives(counter.signed(bend))

        receipt = show(wallet, counter)

        assert (receipt.standing, codes(receipt)) == (ReceiptStanding.DIFFERS, expected)
        assert receipt.token is not None
        assert receipt.kept_until == clock() + MONTH
        stop()
        assert [told.get(timeout=60).is_warning for _ in range(2)] == [False, True]
        assert wallet.access_report()[0].warnings == 1

    @pytest.mark.parametrize(
        ("paths", "found"),
        [
            ([SERIAL, ("price",)], ["besides it price"]),
            ([("lines", None, "gtin")], ["besides it lines[*].gtin", "it without item.serial"]),
            (
                [SERIAL, *((f"c{i}",) for i in range(7))],
                ["besides it c0, c1, c2, c3, c4 and 2 more"],
            ),
        ],
    )
    def test_what_differs_is_named_as_people_read_it(
        self, wallet: Wallet, counter: Counter, paths: list[ClaimPath], found: list[str]
    ) -> None:
        counter.gives(counter.signed(showing((TYPE, paths))))

        assert [reason.found for reason in show(wallet, counter).reasons] == found

    @pytest.mark.parametrize(("bend", "code"), NOT_FOR_THIS_VISIT)
    def test_one_that_is_not_for_this_visit_is_worthless(
        self, wallet: Wallet, counter: Counter, bend: Bend, code: str
    ) -> None:
        counter.gives(counter.signed(bend))

        receipt = show(wallet, counter)

        assert (receipt.standing, codes(receipt)) == (ReceiptStanding.WORTHLESS, [code])
        assert (receipt.token, receipt.kept_until) == (None, None)

    def test_one_that_another_key_signed_is_worthless(
        self, wallet: Wallet, counter: Counter
    ) -> None:
        counter.gives(counter.receipt().sign(MemorySigner.generate()))

        assert codes(show(wallet, counter)) == ["signature-invalid"]

    @pytest.mark.parametrize(
        "given",
        [7, True, "", "a.b.c", "\ud55c.\x00.c", {"receipt": 1}, ["x"], "x" * 70_000, "é" * 70_000],
    )
    def test_something_that_is_no_receipt_undoes_nothing(
        self, wallet: Wallet, counter: Counter, given: Json
    ) -> None:
        counter.gives(given)

        receipt = show(wallet, counter)

        assert (receipt.standing, codes(receipt)) == (ReceiptStanding.WORTHLESS, ["malformed"])
        assert len(repr(receipt)) < 1_000
        assert wallet.damaged() == []

    def test_the_request_itself_is_no_receipt(self, wallet: Wallet, counter: Counter) -> None:
        asked = counter.shop.handle("GET", "/request", {}, b"").body.decode()
        counter.gives(asked)

        assert codes(show(wallet, counter)) == ["token-type-mismatch"]

    @pytest.mark.parametrize("answer", [{}, {"receipt": None}])
    def test_none_is_none_and_no_warning(
        self, wallet: Wallet, counter: Counter, answer: dict[str, Json]
    ) -> None:
        counter.shop.answer = json_response(answer)

        presented = wallet.present(wallet.matches(counter.shop.link).choose())

        assert presented.receipt is None
        assert not wallet.history()[-1].is_warning

    def test_what_is_said_of_a_wrong_one_is_short_and_cannot_paint(
        self, wallet: Wallet, counter: Counter
    ) -> None:
        names = [("\x1b[2J\n\u202e" * 50, f"{i}") for i in range(100)]
        counter.gives(counter.signed(showing((TYPE, [SERIAL, *names]))))

        (reason,) = show(wallet, counter).reasons

        assert len(reason.found) <= 200
        assert reason.found.isprintable()

    def test_elements_of_a_list_have_the_name_of_their_list(
        self, counter: Counter, clock: Clock
    ) -> None:
        counter.issuer.claims = {"lines": [{"gtin": "1"}, {"gtin": "2"}], "empty": {"list": []}}
        counter.issuer.concealed = (("lines", None, "gtin"),)
        wallet = Wallet.in_memory(fetcher=counter.network, clock=clock)
        wallet.accept(counter.issuer.link)
        counter.shop.claims = (ClaimQuery(("lines", None, "gtin")),)

        # The list that holds nothing travels along, and is nothing that was shown.
        counter.gives(counter.signed(lambda right: right, ("lines", None, "gtin")))

        assert show(wallet, counter).standing is ReceiptStanding.GOOD


def test_claims_that_are_said_of_the_other_card_differ() -> None:
    key, other = MemorySigner.generate(), "urn:other"
    visit = Visit(
        signed_by=key.public,
        shown=(ShownCard.of(TYPE, [SERIAL]), ShownCard.of(other, [SERIAL, ("price",)])),
    )

    def checked(*shown: tuple[str, list[ClaimPath]]) -> VisitReceipt:
        names = tuple(ShownNames(vct, tuple(paths)) for vct, paths in shown)
        receipt = PresentationReceipt(
            client_id="c",
            name="N",
            nonce="n",
            purpose=None,
            shown=names,
            shown_at=NOON,
            kept_until=None,
        )
        return check_receipt(receipt.sign(key), visit, client_id="c", nonce="n", now=NOON)

    right: list[tuple[str, list[ClaimPath]]] = [(TYPE, [SERIAL]), (other, [("price",), SERIAL])]
    assert checked(*right).reasons == ()
    assert checked(*reversed(right)).reasons == ()
    # What is in every presentation may be named, or not.
    assert checked((TYPE, [SERIAL, ("iat",)]), right[1]).reasons == ()
    assert codes(checked((other, [SERIAL]), (TYPE, [SERIAL, ("price",)]))) == [
        "receipt-says-more",
        "receipt-says-less",
    ]


@pytest.mark.parametrize("name", ["x" * 99, "x" * 5_000, "洗" * 40, 'a"b', "a.b"])
def test_a_name_is_compared_whole_however_long_it_is(name: str) -> None:
    assert ShownCard.of(TYPE, [(name,)]) == ShownCard.of(TYPE, [(name,)])
    for other in ((f"{name}x",), (*name.split("."), "b"), (name, None)):
        assert ShownCard.of(TYPE, [(name,)]) != ShownCard.of(TYPE, [other])
    (kept,) = ShownCard.of(TYPE, [(name,)]).names
    assert len(kept.encode()) <= 100


@pytest.mark.parametrize(("length", "is_given"), [(10, True), (60, False)])
def test_a_card_of_a_thousand_facts_has_a_receipt_that_is_good_or_none(
    length: int, *, is_given: bool
) -> None:
    """One that is too long to be read would warn the customer of an honest shop."""
    chance = random.Random(7)
    names = [f"{n:0{length}}" for n in range(1_000)]
    card = card_of(dict.fromkeys(names, "a fact"), chance.randbytes)
    shop = Shop(name="Shop", origin=SHOP, signer=MemorySigner.generate())
    waiting = shop.ask(WARRANTY.accepting([TYPE]), language="en", random=chance.randbytes, now=NOON)
    request = shop.request(waiting, WARRANTY.accepting([TYPE]))
    disclosure = disclosure_of(card, [(name,) for name in names], query_id="warranty")
    seen = read_credential(SdJwt.parse(str(disclosure.sd_jwt))).revealed.claims

    token = receipt_for(shop, request, [seen], now=NOON, kept_until=None)

    assert (token is not None) == is_given
    visit = Visit(
        signed_by=shop.signer.public, purpose=request.purpose, shown=(shown_card(disclosure),)
    )
    assert len(visit.shown[0].names) == 1_000
    if token is not None:
        assert check_receipt(
            token, visit, client_id=request.client_id, nonce=request.nonce, now=NOON
        ) == VisitReceipt(token=token)


class TestReadOffTheScreen:
    """A receipt that comes another way than in the answer: as codes on the till's screen."""

    @pytest.fixture
    def handed(self, wallet: Wallet, counter: Counter) -> Wallet:
        wallet.hand_over(wallet.matches(counter.shop.link).choose())
        return wallet

    def test_it_ends_the_visit_and_is_kept_once(
        self, handed: Wallet, counter: Counter, clock: Clock
    ) -> None:
        assert handed.history()[-1].outcome is Outcome.SENT
        token = counter.signed()

        event = handed.take_receipt(token)

        assert (event.outcome, event.is_warning) == (Outcome.DONE, False)
        assert event.receipt == VisitReceipt(token=token, kept_until=clock() + MONTH)
        assert handed.history()[-1] == event
        assert handed.take_receipt(token) == event
        with pytest.raises(Refused) as refusal:
            handed.take_receipt(counter.signed(without))
        assert refusal.value.codes == ["receipt-kept-before"]
        assert handed.history()[-1] == event

    def test_one_that_differs_is_kept_and_warned_of(self, handed: Wallet, counter: Counter) -> None:
        event = handed.take_receipt(counter.signed(without))

        assert event.is_warning
        assert event.receipt is not None
        assert codes(event.receipt) == ["receipt-says-less"]

    def test_forged_ones_and_those_of_other_visits_change_nothing(
        self, handed: Wallet, counter: Counter
    ) -> None:
        before = handed.history()
        right = counter.receipt()
        for token, code in (
            (right.sign(MemorySigner.generate()), "signature-invalid"),
            (counter.signed(lambda one: replace(one, nonce="another")), "receipt-of-no-visit"),
            (counter.signed(lambda one: replace(one, client_id="x")), "receipt-of-no-visit"),
        ):
            with pytest.raises(Refused) as refusal:
                handed.take_receipt(token)
            assert refusal.value.codes == [code]
        for text in ("", "not one", "a.b.c", "x" * 70_000):
            with pytest.raises(Malformed):
                handed.take_receipt(text)
        assert handed.history() == before

    def test_what_was_declined_has_none(self, wallet: Wallet, counter: Counter) -> None:
        wallet.decline(wallet.matches(counter.shop.link))

        with pytest.raises(Refused) as refusal:
            wallet.take_receipt(counter.signed())

        assert refusal.value.codes == ["receipt-of-no-visit"]

    def test_the_right_one_may_follow_one_that_was_worthless(
        self, wallet: Wallet, counter: Counter
    ) -> None:
        counter.gives("a.b.c")
        assert show(wallet, counter).standing is ReceiptStanding.WORTHLESS

        assert not wallet.take_receipt(counter.signed()).is_warning

    def test_it_is_checked_also_after_a_restart(
        self, place: Place, counter: Counter, clock: Clock
    ) -> None:
        wallet = Wallet(place.start(), fetcher=counter.network, clock=clock)
        wallet.accept(counter.issuer.link)
        wallet.hand_over(wallet.matches(counter.shop.link).choose())
        again = Wallet(place.start(), fetcher=counter.network, clock=clock)

        token = counter.signed()
        assert again.take_receipt(token).receipt == VisitReceipt(
            token=token, kept_until=clock() + MONTH
        )
        assert again.damaged() == []

    def test_a_visit_of_an_older_program_can_have_none(
        self, counter: Counter, clock: Clock
    ) -> None:
        store = MemoryStore()
        wallet = Wallet(store, fetcher=counter.network, clock=clock)
        wallet.accept(counter.issuer.link)
        wallet.present(wallet.matches(counter.shop.link).choose())
        (record,) = store.find(Kind.EVENT, [Act.SHOWN])
        body = json.loads(record.body)
        del body["visit"]
        store.put(Record(record.kind, record.key, record.label, json.dumps(body).encode()))
        assert wallet.history()[-1].visit is None

        with pytest.raises(Refused) as refusal:
            wallet.take_receipt(counter.signed())

        assert refusal.value.codes == ["receipt-unprovable"]


def test_what_nobody_signed_for_has_no_receipt(counter: Counter, clock: Clock) -> None:
    receipt = check_receipt(
        counter.signed(), Visit(), client_id="c", nonce=counter.shop.nonce, now=clock()
    )

    assert codes(receipt) == ["receipt-unprovable"]


class TestKept:
    """In the file, in its backup and in the export."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "wallet"

    @pytest.fixture
    def lived(
        self, cheap_guesses: None, folder: Path, counter: Counter, clock: Clock
    ) -> Iterable[Wallet]:
        """Give a wallet on disk with a good receipt, and one that says less than was shown."""
        with Wallet.create(folder, PASSPHRASE, fetcher=counter.network, clock=clock) as wallet:
            wallet.accept(counter.issuer.link)
            counter.gives(counter.signed())
            show(wallet, counter)
            counter.shop.nonce = "a nonce of another request"
            counter.gives(counter.signed(without))
            show(wallet, counter)
            yield wallet

    def test_a_backup_and_an_export_bring_it_to_another_wallet(
        self, lived: Wallet, tmp_path: Path
    ) -> None:
        lived.backup(tmp_path / "backup", PASSPHRASE)
        lived.export(tmp_path / "my-data", PASSPHRASE)

        with Wallet.restore(tmp_path / "backup", tmp_path / "restored", PASSPHRASE) as restored:
            assert restored.history() == lived.history()
            assert restored.access_report() == lived.access_report()
        other = Wallet.in_memory()
        other.import_from(tmp_path / "my-data", PASSPHRASE)
        assert other.history() == lived.history()

    def test_the_export_holds_each_receipt_and_who_has_seen_what(
        self, lived: Wallet, tmp_path: Path, clock: Clock
    ) -> None:
        lived.export(tmp_path / "my-data", PASSPHRASE)

        files = sorted((tmp_path / "my-data" / "receipts").iterdir())
        assert len(files) == 2
        assert {str(json.loads(path.read_bytes())["differs"]) for path in files} == {
            "[]",
            "['receipt-says-less']",
        }
        (access,) = json.loads((tmp_path / "my-data" / "access-report.json").read_bytes())
        assert access["claims"] == ["item.serial"]
        assert (access["visits"], access["warnings"], access["without_receipt"]) == (2, 1, 0)
        assert access["kept_until"] == (clock() + MONTH).isoformat()

    def test_one_is_exported_for_whoever_is_to_check_it(
        self, lived: Wallet, counter: Counter, tmp_path: Path, clock: Clock
    ) -> None:
        event = lived.history()[-2]
        file = tmp_path / "receipt.json"

        lived.export_receipt(event.event_id, file)

        data = file.read_bytes()
        held = parse_object(data, "receipt")
        key = PublicKey.from_jwk(object_at(held, "signed_by", "receipt"), "receipt")
        assert key == counter.shop.signer.public
        receipt = read_presentation_receipt(
            text_at(held, "receipt", "receipt"),
            signed_by=key,
            client_id=text_at(held, "client_id", "receipt"),
            nonce="a nonce of this request",
            now=clock(),
        )
        assert receipt.shown == (ShownNames(TYPE, (SERIAL,)),)
        assert b"A1-0001" not in data
        with pytest.raises(Refused) as refusal:
            lived.export_receipt(event.event_id, file)
        assert refusal.value.codes == ["path-taken"]
        assert file.read_bytes() == data
        for unknown in (EventId("another"), lived.history()[0].event_id):
            with pytest.raises(Refused) as refusal:
                lived.export_receipt(unknown, tmp_path / "other.json")
            assert refusal.value.codes == ["receipt-unknown"]
        assert not (tmp_path / "other.json").exists()

    def test_the_first_version_of_the_file_and_back_lose_none(
        self, lived: Wallet, folder: Path
    ) -> None:
        before = lived.history()
        lived.lock()
        with closing(SqliteStore.open(folder, PASSPHRASE)) as store:
            counted = count(store.connection)

        change_version(folder, PASSPHRASE, 1)
        with closing(SqliteStore.open(folder, PASSPHRASE)) as store:
            assert count(store.connection) == counted

        with Wallet.open(folder, PASSPHRASE) as again:
            assert again.history() == before
            assert again.damaged() == []

    def test_a_locked_wallet_takes_none(self, lived: Wallet, counter: Counter) -> None:
        lived.lock()

        with pytest.raises(Misuse):
            lived.take_receipt(counter.signed())


class TestTheCommand:
    """`present`, `history`, `take-receipt`, `receipt` and `access` say it in plain words."""

    Said = Callable[..., tuple[int, str]]

    @pytest.fixture
    def counter(self, random_bytes: Callable[[int], bytes]) -> Counter:
        return Counter(utc_now, random_bytes)

    @pytest.fixture
    def folder(self, tmp_path: Path) -> str:
        return str(tmp_path / "wallet")

    @pytest.fixture
    def types(
        self,
        counter: Counter,
        folder: str,
        commands_reach: Reach,
        capsys: pytest.CaptureFixture[str],
    ) -> Said:
        commands_reach(counter.network)

        def types(*arguments: str) -> tuple[int, str]:
            status = main([*arguments])
            return status, capsys.readouterr().out

        assert types("create", folder)[0] == 0
        assert types("accept", folder, counter.issuer.link)[0] == 0
        return types

    def test_after_presenting_it_says_what_the_shop_keeps_until_when(
        self, types: Said, counter: Counter, folder: str
    ) -> None:
        until = (utc_now() + MONTH).replace(microsecond=0)
        token = counter.signed(lambda right: replace(right, kept_until=until))
        counter.gives(token)

        _, out = types("present", folder, counter.shop.link, "--yes")

        kept = f"the last of this that it keeps is gone by {until:%Y-%m-%d %H:%M}Z."
        assert f"Its signed receipt says: {kept}" in out
        assert f"(receipt: kept until {until:%Y-%m-%d})" in types("history", folder)[1]
        assert f"kept until {until:%Y-%m-%d}: item.serial" in types("access", folder)[1]
        history = json.loads(types("history", folder, "--json")[1])["history"]
        (visit,) = [one for one in history if one["receipt"]]
        assert visit["receipt"] == {
            "standing": "good",
            "kept_until": until.isoformat(),
            "reasons": [],
        }
        assert visit["purpose"] == "To see"
        file = f"{folder}.receipt.json"
        assert types("receipt", folder, visit["id"], file)[0] == 0
        assert json.loads(Path(file).read_bytes())["receipt"] == token

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            (None, ("It gave no signed receipt", ": item.serial")),
            ("a.b.c", ("is not its word on this", "(careful: its receipt is worthless)")),
            ("less", ("does not say what was shown", "(careful: its receipt does not say")),
        ],
    )
    def test_a_wrong_or_missing_one_is_said_in_plain_words(
        self,
        types: Said,
        counter: Counter,
        folder: str,
        given: str | None,
        said: tuple[str, str],
    ) -> None:
        counter.gives(counter.signed(without) if given == "less" else given)

        status, out = types("present", folder, counter.shop.link, "--yes")

        assert status == 0
        assert "Shown: item.serial" in out
        assert said[0] in out
        assert said[1] in types("history", folder)[1]

    def test_it_takes_one_from_the_screen(self, types: Said, counter: Counter, folder: str) -> None:
        assert types("present", folder, counter.shop.link, "--yes", "--codes")[0] == 0
        token = counter.signed(lambda right: replace(right, kept_until=None))

        status, out = types("take-receipt", folder, " ".join(frames(token)))

        assert status == 0
        assert "nothing of this is kept" in out
        assert "(receipt: nothing kept)" in types("history", folder)[1]
        assert types("take-receipt", folder, token)[0] == 0
        assert types("take-receipt", folder, counter.signed(without))[0] == 1
