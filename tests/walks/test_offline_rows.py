"""The counter without a network: every connection of till and wallet is refused.

The brand's real service issued the card while there was a network; the shop gathered what
its till needs. From then on everything passes as pictures, drawn, shown at 390 pixels and
read by a camera's software. Rows are those of the product's seed map.
"""

import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.fetch import GuardedFetcher
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.presentation_receipt import read_presentation_receipt
from counterfoil_credentials.qr_frames import Assembler, frames
from counterfoil_credentials.recall_selector import RecallSelector, SerialRange
from counterfoil_credentials.token_status_list import FetchedStatusSource
from counterfoil_issuer import RevocationReason
from counterfoil_issuer.issuer import IssuerOptions
from counterfoil_service.sealing import Seal
from counterfoil_verifier import (
    WARRANTY,
    Counter,
    FetchedTrust,
    Light,
    Look,
    MemoryStore,
    Shop,
    Statuses,
)
from counterfoil_verifier.flags import Authenticity, Flag, FlagKind, MemoryFlags, authenticity
from counterfoil_verifier.gathering import Gathering
from counterfoil_verifier.looks import Scanning
from counterfoil_verifier.preload import Preload, read_preload, write_preload
from counterfoil_verifier.preloaded import PreloadedFetcher
from counterfoil_verifier.requesting import Answered, SessionId
from counterfoil_verifier.store import MemoryNames
from counterfoil_wallet import Act, CounterPreset, Wallet
from counterfoil_wallet import MemoryStore as WalletStore

from tests.conftest import Clock
from tests.issuer.brand import AUDIO, issuer_on
from tests.pictures import photographed
from tests.wallet.town import ORDER, TILL, WARRANTY_TYPE, Town, Wire

pytestmark = pytest.mark.loopback
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
GTIN = "04006381333931"
OTHER_BRAND = "https://other.example"


def nobody_listens() -> str:
    """Give a loopback address at which every connection is refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return f"http://127.0.0.1:{port}"


class Offline:
    """A till and a phone in one room, and nothing else."""

    def __init__(self, town: Town, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        self.town = town
        self.clock = clock
        self.random = random_bytes
        # A brand's lists as they are by default: the shop's own rule ends what they say.
        self.brand_with(IssuerOptions(status_list_size=64))
        kept = WalletStore()
        offer = town.offer()
        town.wallet(kept).accept(offer.link, tx_code=offer.tx_code)
        (self.card,) = [one for one in town.wallet(kept).credentials() if one.vct == WARRANTY_TYPE]
        origins: list[str] = [AUDIO, TILL, OTHER_BRAND]
        routes = dict.fromkeys(origins, nobody_listens())
        self.phone = Wire(GuardedFetcher(loopback_routes_unsafely=routes))
        self.till = Wire(GuardedFetcher(loopback_routes_unsafely=routes))
        self.wallet = Wallet(kept, fetcher=self.phone, clock=clock, random=random_bytes)
        self.flags = MemoryFlags(as_of=clock())
        self.load()

    def brand_with(self, options: IssuerOptions) -> None:
        """Start the brand's service again with `options`."""
        town = self.town
        town.issuer = issuer_on(
            town.issuer_store, self.clock, self.random, signer=town.audio_signer, options=options
        )
        town.connect()

    @property
    def serial(self) -> str:
        item = self.card.claims["item"]
        assert isinstance(item, dict)
        return str(item["serial"])

    def revoke(self) -> None:
        """Let the brand revoke the card."""
        held = self.town.issuer.credentials_of(ORDER)
        (issued,) = [one for one in held if one.type_name == "warranty"]
        self.town.issuer.revoke(issued.issuance_id, RevocationReason.GOODS_RETURNED)

    def load(self) -> None:
        """Gather again, and start the till with the new file."""
        self.preload = self.gathered()
        self.counter = self.started()

    def gathered(self) -> Preload:
        """Give what the shop gathers while there is a network, as its till loads it."""
        gathering = Gathering(self.town.network, self.clock)
        gathering.issuer(AUDIO)
        assert not gathering.failures
        signer = self.town.shop.signer
        file = write_preload(gathering.documents, signer=signer, at=self.clock())
        return read_preload(file, signed_by=signer.public, now=self.clock())

    def started(self, *, trusted: str = AUDIO, seal: Seal | None = None) -> Counter:
        """Start the till, which has its file and no network."""
        fetcher = PreloadedFetcher(self.till, self.preload, self.clock)
        return Counter(
            shop=Shop(name="Corner Shop", origin=TILL, signer=self.town.shop.signer, seal=seal),
            presets=[WARRANTY.accepting([WARRANTY_TYPE])],
            trust=FetchedTrust(fetcher, {trusted: [WARRANTY_TYPE]}),
            statuses=Statuses(FetchedStatusSource(fetcher)),
            store=MemoryStore(),
            flags=self.flags,
            names=MemoryNames(),
            clock=self.clock,
            random=self.random,
        )

    def asked(self) -> tuple[SessionId, list[str]]:
        """Let the till ask, the phone read its codes, and the customer agree."""
        session_id = self.counter.ask("warranty").session_id
        assembler = Assembler()
        read = [assembler.add(photographed(code)) for code in self.counter.codes(session_id)]
        assert read[-1] is not None
        asked = self.wallet.matches(read[-1])
        assert asked.purpose == WARRANTY.purpose.en
        assert asked.asker.claimed_name == "Corner Shop"
        return session_id, [*self.wallet.hand_over(asked.choose()).codes]

    def verdict(self) -> Look:
        """Ask, and let the till's camera read the answer."""
        session_id, codes = self.asked()
        *parts, last = [self.counter.scan(session_id, photographed(code)) for code in codes]
        assert all(isinstance(part, Scanning) for part in parts)
        assert isinstance(last, Look)
        return last

    def nothing_went_out(self) -> bool:
        """Whether the phone reached for nothing, and the till got nothing."""
        return not self.phone.sent and all(url.startswith(AUDIO) for _, url, _ in self.till.sent)


@pytest.fixture
def offline(clock: Clock, random_bytes: Callable[[int], bytes], tmp_path: Path) -> Offline:
    return Offline(Town(clock, random_bytes, tmp_path), clock, random_bytes)


def codes_of(look: Look) -> tuple[str, ...]:
    assert isinstance(look.session, Answered)
    return look.session.verdict.codes


def test_row_C2_a_warranty_is_proved_at_the_counter_with_both_devices_offline(  # noqa: N802
    offline: Offline, clock: Clock
) -> None:
    gathered_at = clock()
    clock.advance(timedelta(hours=20))

    look = offline.verdict()

    assert look.light is Light.GREEN
    assert look.held is not None
    assert {*look.held.facts} == {"item.name", "item.serial", "valid_until"}
    assert look.held.facts["item.serial"] == offline.serial
    assert isinstance(look.session, Answered)
    assert look.session.verdict.status_as_of == gathered_at
    assert look.as_of is not None
    assert look.as_of.en == f"Valid as of {gathered_at:%Y-%m-%d %H:%M} UTC."
    assert offline.till.sent, "the till tried, and was refused"
    assert offline.nothing_went_out()


def test_row_C2_the_customer_takes_a_signed_receipt_home(offline: Offline, clock: Clock) -> None:  # noqa: N802
    look = offline.verdict()

    assert look.held is not None
    assert look.held.receipt is not None
    assembler = Assembler()
    read = [assembler.add(photographed(code)) for code in frames(look.held.receipt)]
    shown = offline.wallet.history()[-1]
    assert shown.act is Act.SHOWN
    shop = offline.town.shop
    token = read[-1]
    assert token is not None
    for secret in (offline.serial, "Mira Sample", "Auricle One"):
        assert secret not in token
    claims = read_jws(
        token, typ="counterfoil-presentation-receipt+jwt", where="receipt"
    ).unverified_claims
    receipt = read_presentation_receipt(
        token,
        signed_by=shop.signer.public,
        client_id=shown.party,
        nonce=str(claims["nonce"]),
        now=clock(),
    )
    assert receipt.name == "Corner Shop"
    assert receipt.purpose == WARRANTY.purpose.en
    (names,) = receipt.shown
    assert names.vct == WARRANTY_TYPE
    assert {("item", "serial"), ("item", "name"), ("valid_until",)} <= {*names.claims}
    assert ("price",) not in names.claims
    assert ("buyer", "name") not in names.claims
    assert receipt.kept_until == clock() + timedelta(days=30, hours=1)
    visit = offline.wallet.take_receipt(token)
    assert (visit.event_id, visit.outcome, visit.is_warning) == (shown.event_id, "done", False)
    assert offline.nothing_went_out()


@pytest.mark.parametrize("revoked", [False, True])
def test_row_C2_the_three_lights_at_and_around_the_age_limit(  # noqa: N802
    offline: Offline, clock: Clock, *, revoked: bool
) -> None:
    if revoked:
        offline.revoke()
        clock.advance(SECOND)
        offline.load()
    gathered_at = offline.preload.made_at
    clock.advance(WARRANTY.status_max_age - SECOND)

    for too_old in (False, False, True):
        offline.flags.as_of = clock()
        look = offline.verdict()
        assert isinstance(look.session, Answered)
        assert look.session.verdict.status_as_of == gathered_at
        if revoked:
            assert (look.light, codes_of(look)) == (Light.RED, ("revoked",))
        elif too_old:
            assert (look.light, codes_of(look)) == (Light.AMBER, ("status-too-old",))
        else:
            assert (look.light, codes_of(look)) == (Light.GREEN, ())
        clock.advance(SECOND)
    assert offline.nothing_went_out()


def test_row_C2_a_list_that_has_ended_by_its_brands_word_is_amber_with_its_date(  # noqa: N802
    offline: Offline, clock: Clock
) -> None:
    short = IssuerOptions(status_list_size=64, status_list_lasts=timedelta(hours=1))
    offline.brand_with(short)
    offline.load()
    clock.advance(timedelta(hours=1) - SECOND)
    assert offline.verdict().light is Light.GREEN

    clock.advance(SECOND)
    look = offline.verdict()

    assert (look.light, codes_of(look)) == (Light.AMBER, ("status-unreachable",))
    assert look.as_of is not None
    assert look.as_of.zh == f"品牌的列表截至 {offline.preload.made_at:%Y-%m-%d %H:%M}（UTC）。"


def test_row_C2_the_phone_may_show_first_and_a_photograph_of_it_is_worth_nothing(  # noqa: N802
    offline: Offline, clock: Clock
) -> None:
    preset = CounterPreset(
        preset_id="warranty",
        query=WARRANTY.accepting([WARRANTY_TYPE]).query().credentials[0],
    )
    codes = offline.wallet.show(preset, offline.wallet.showable(preset)[0])

    def read(text: str) -> Look:
        *_, look = [
            offline.counter.take_shown("warranty", photographed(code), till="3")
            for code in frames(text)
        ]
        assert isinstance(look, Look)
        return look

    first = codes.code()
    look = read(first.text)
    assert look.light is Light.GREEN
    assert look.how is not None
    assert look.as_of is not None
    assert codes_of(read(first.text)) == ("already-shown",)
    clock.advance(timedelta(seconds=31))
    second = codes.code()
    assert second.text != first.text
    assert WARRANTY.shown_within is not None
    clock.advance(WARRANTY.shown_within + SECOND)
    assert codes_of(read(second.text)) == ("key-binding-too-old",)
    assert read(codes.code().text).light is Light.GREEN
    assert offline.nothing_went_out()


def test_row_C2_an_answer_that_is_encrypted_is_for_the_till_alone(offline: Offline) -> None:  # noqa: N802
    offline.counter = offline.started(seal=Seal(bytes(range(32)), "response keys"))
    session_id, codes = offline.asked()

    *_, look = [offline.counter.scan(session_id, photographed(code)) for code in codes]

    assert isinstance(look, Look)
    assert look.light is Light.GREEN
    assembler = Assembler()
    answer = [assembler.add(code) for code in codes][-1]
    assert answer is not None
    assert answer.startswith("response=")


def test_an_answer_is_taken_once_and_by_the_question_it_was_made_for(
    offline: Offline, clock: Clock
) -> None:
    session_id, codes = offline.asked()
    other_id, other_codes = offline.asked()

    for code in other_codes[:-1]:
        offline.counter.scan(session_id, code)
    with pytest.raises(Refused) as refusal:
        offline.counter.scan(session_id, other_codes[-1])
    assert refusal.value.codes == ["state-mismatch"]

    # A photograph of the first screen, half collected, is forgotten for the second.
    offline.counter.scan(session_id, other_codes[0])
    *_, look = [offline.counter.scan(session_id, f"{code}\r\n") for code in codes]
    assert isinstance(look, Look)
    assert look.light is Light.GREEN
    with pytest.raises(Refused) as refusal:
        offline.counter.scan(session_id, codes[0])
    assert refusal.value.codes == ["already-answered"]
    clock.advance(timedelta(minutes=2))
    with pytest.raises(Refused) as refusal:
        offline.counter.scan(other_id, other_codes[0])
    assert refusal.value.codes == ["request-expired"]
    with pytest.raises(Refused) as refusal:
        offline.counter.codes(other_id)
    assert refusal.value.codes == ["request-expired"]


def one_item(serial: str) -> RecallSelector:
    return RecallSelector(gtin=GTIN, serials=(SerialRange(serial, serial),))


def test_row_B6_genuine_unknown_stolen_recalled_or_perhaps_a_copy(  # noqa: N802
    offline: Offline, clock: Clock
) -> None:
    of_this = one_item(offline.serial)
    # What is said of a neighbour, and of another product with this number, is not said of this.
    neighbour = one_item(offline.serial[:-1] + ("A" if offline.serial[-1] != "A" else "B"))
    other = RecallSelector(gtin="04012345000009", serials=of_this.serials)

    def quick(kind: FlagKind | None = None, *, trusted: str = AUDIO) -> tuple[object, object]:
        offline.flags = MemoryFlags(as_of=clock())
        offline.flags.put(Flag(FlagKind.REPORTED_STOLEN, neighbour), as_of=clock())
        offline.flags.put(Flag(FlagKind.RECALLED, other), as_of=clock())
        if kind is not None:
            offline.flags.put(Flag(kind, of_this), as_of=clock())
        offline.counter = offline.started(trusted=trusted)
        look = offline.verdict()
        if kind is not None:
            assert [code for code, _ in look.words] == [kind]
        is_green = look.light is Light.GREEN
        return authenticity(accepted=is_green, codes=codes_of(look)), look.light

    assert quick() == (Authenticity.GENUINE, Light.GREEN)
    assert quick(trusted=OTHER_BRAND) == (Authenticity.UNKNOWN, Light.RED)
    assert quick(FlagKind.REPORTED_STOLEN) == (Authenticity.REPORTED_STOLEN, Light.RED)
    assert quick(FlagKind.RECALLED) == (Authenticity.RECALLED, Light.RED)
    assert quick(FlagKind.CLONED_TAG_SUSPECT) == (Authenticity.CLONED_TAG_SUSPECT, Light.AMBER)
    assert offline.nothing_went_out(), "nobody learns which item was looked up"


def test_row_B6_nobody_can_say_genuine_while_the_feed_is_silent_or_old(  # noqa: N802
    offline: Offline, clock: Clock
) -> None:
    offline.flags.is_reachable = False
    assert codes_of(offline.verdict()) == ("flags-unreachable",)

    offline.flags.is_reachable = True
    offline.flags.as_of = clock() - DAY - SECOND
    look = offline.verdict()

    assert (look.light, codes_of(look)) == (Light.AMBER, ("flags-too-old",))
