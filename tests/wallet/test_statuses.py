"""What the wallet finds out about its cards' status, and when it asks."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.sdjwt_vc import StatusReference
from counterfoil_credentials.token_status_list import pack, sign_status_list
from counterfoil_wallet import Act, CardStatus, CredentialId, MemoryStore, Status, Store, Wallet

from tests.conftest import Clock
from tests.wallet.conftest import Place
from tests.wallet.strangers import BRAND, StrangeIssuer, StrangeShop
from tests.wallet.town import Town, Wire

LISTS = "https://lists.example"
URL = f"{LISTS}/1"
INDEX = 4


@dataclass
class Lists:
    """A server of one status list, which says what a test lets it say."""

    network: MemoryFetcher
    clock: Clock
    signer: MemorySigner
    code: int = 0
    index: int = INDEX
    ttl_s: int | None = 600
    length: int = 8
    listed_ago: timedelta = timedelta(0)
    answer: Response | None = None
    asked: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.network.serve(LISTS, self.handle)

    def handle(self, method: str, path: str, headers: object, body: bytes) -> Response:
        self.asked.append(path)
        if self.answer is not None:
            return self.answer
        codes = [self.code if index == self.index else 0 for index in range(self.length)]
        token = sign_status_list(
            pack(codes, bits=4),
            url=URL,
            bits=4,
            signer=self.signer,
            issued_at=self.clock() - self.listed_ago,
            expires_at=None,
            ttl_s=self.ttl_s,
        )
        return Response(200, "application/statuslist+jwt", token.encode())


@dataclass
class Scene:
    wallet: Wallet
    lists: Lists
    issuer: StrangeIssuer
    shop: StrangeShop
    store: Store
    wire: Wire

    def check(self, max_age: timedelta = timedelta(0)) -> CardStatus:
        (one,) = self.wallet.check_statuses(max_age=max_age)
        return one

    def acts(self) -> list[Act]:
        return [event.act for event in self.wallet.history()]


@pytest.fixture
def scene(clock: Clock, random_bytes: Callable[[int], bytes]) -> Scene:
    network = MemoryFetcher()
    issuer = StrangeIssuer(network, clock, random_bytes, status=StatusReference(URL, INDEX))
    lists = Lists(network, clock, issuer.signer)
    shop = StrangeShop(network, clock)
    store, wire = MemoryStore(), Wire(network)
    wallet = Wallet(store, fetcher=wire, clock=clock, random=random_bytes)
    wallet.accept(issuer.link)
    return Scene(wallet, lists, issuer, shop, store, wire)


def test_before_the_first_check_nothing_is_known(scene: Scene) -> None:
    (known,) = scene.wallet.statuses()

    assert (known.status, known.listed_at, known.failed) == (Status.UNKNOWN, None, ())
    assert scene.lists.asked == []


@pytest.mark.parametrize("state", ["suspended", "{}", '{"code": "0"}', '{"code": 0}'])
def test_a_state_in_other_words_is_unknown(scene: Scene, state: str) -> None:
    scene.store.mark(scene.wallet.credentials()[0].credential_id, state)

    assert [one.status for one in scene.wallet.statuses()] == [Status.UNKNOWN]
    assert scene.check().status is Status.IN_FORCE


@pytest.mark.parametrize(
    ("code", "status", "told"),
    [
        (0, Status.IN_FORCE, []),
        (1, Status.REVOKED, [Act.REVOKED]),
        (2, Status.SUSPENDED, [Act.SUSPENDED]),
        (3, Status.OTHER, [Act.MARKED]),
        (12, Status.OTHER, [Act.MARKED]),
    ],
)
def test_the_list_s_word_is_shown_kept_and_in_the_history(
    scene: Scene, clock: Clock, code: int, status: Status, told: list[Act]
) -> None:
    scene.lists.code = code

    found = scene.check()

    assert (found.status, found.code, found.listed_at) == (status, code, clock.now)
    assert scene.wallet.statuses() == [found]
    assert scene.acts() == [Act.ACCEPTED, *told]


def test_a_suspension_that_is_lifted_is_told(scene: Scene, clock: Clock) -> None:
    for code in (2, 2, 0, 0):
        scene.lists.code = code
        clock.advance(timedelta(minutes=1))
        found = scene.check()

    assert found.status is Status.IN_FORCE
    assert scene.acts() == [Act.ACCEPTED, Act.SUSPENDED, Act.REINSTATED]


def test_another_word_of_the_issuer_s_own_is_told_and_the_same_one_is_not(
    scene: Scene, clock: Clock
) -> None:
    for code in (3, 3, 4, 4, 0):
        scene.lists.code = code
        clock.advance(timedelta(minutes=1))
        scene.check()

    assert scene.acts() == [Act.ACCEPTED, Act.MARKED, Act.MARKED, Act.REINSTATED]


def test_what_the_town_s_brand_revokes_is_revoked_in_the_wallet(town: Town, place: Place) -> None:
    wallet, offer = town.wallet(place.start()), town.offer()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    before = [one.status for one in wallet.check_statuses()]
    warranty = wallet.credentials()[1]
    for issued in town.issuer.credentials_of("#1001"):
        if issued.type_name == "warranty":
            town.issuer.suspend(issued.issuance_id)
    town.clock.advance(timedelta(minutes=10))

    after = wallet.check_statuses(max_age=timedelta(0))

    assert set(before) == {Status.IN_FORCE}
    assert {one.credential_id for one in after if one.status is Status.SUSPENDED} == {
        warranty.credential_id
    }
    assert [one.status for one in town.wallet(place.start()).statuses()] == [
        one.status for one in after
    ]


NOT_A_LIST = Response(200, "application/statuslist+jwt", b"no list")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"answer": Response(503, "text/plain", b"")}, "failed"),
        ({"answer": Response(404, "text/plain", b"")}, "failed"),
        ({"answer": NOT_A_LIST}, "malformed"),
        ({"signer": MemorySigner.generate()}, "issuer-key-unknown"),
        ({"length": INDEX}, "status-index-out-of-range"),
        ({"listed_ago": timedelta(minutes=10)}, "status-list-older"),
        ({"listed_ago": timedelta(minutes=-10)}, "status-list-from-the-future"),
    ],
)
def test_what_cannot_be_found_out_is_neither_and_leaves_what_was_known(
    scene: Scene, clock: Clock, change: dict[str, object], code: str
) -> None:
    scene.lists.code = 2
    known = scene.check()
    clock.advance(timedelta(minutes=5))
    for name, value in {"code": 0, **change}.items():
        setattr(scene.lists, name, value)

    failed = scene.check()

    assert [reason.code for reason in failed.failed] == [code]
    assert (failed.status, failed.listed_at) == (Status.SUSPENDED, known.listed_at)
    assert scene.wallet.statuses() == [known]
    assert scene.acts() == [Act.ACCEPTED, Act.SUSPENDED]


def test_a_first_check_that_fails_is_no_yes(scene: Scene) -> None:
    scene.lists.answer = Response(503, "text/plain", b"")

    found = scene.check()

    assert found.status is Status.UNKNOWN
    assert found.failed


@pytest.mark.parametrize(
    ("ttl_s", "max_age_s", "after_s", "asked"),
    [
        (600, 300, 299, 1),
        (600, 300, 300, 2),
        (60, 300, 60, 2),
        (None, 3600, 300, 2),
        (None, 3600, 240, 1),
        (600, 0, 0, 2),
        (600, 300, -1, 2),
    ],
)
def test_a_list_is_fetched_again_when_it_is_old_by_its_own_word_or_the_app_s(
    scene: Scene, ttl_s: int | None, max_age_s: int, after_s: int, asked: int
) -> None:
    scene.lists.ttl_s = ttl_s
    scene.check(timedelta(seconds=max_age_s))
    scene.lists.clock.advance(timedelta(seconds=after_s))

    scene.check(timedelta(seconds=max_age_s))

    assert len(scene.lists.asked) == asked


def test_cards_on_one_list_cost_one_fetch_and_nobody_learns_which_entry(scene: Scene) -> None:
    scene.issuer.code = "another-code"
    scene.wallet.accept(scene.issuer.link)

    found = scene.wallet.check_statuses()

    assert [one.status for one in found] == 2 * [Status.IN_FORCE]
    assert scene.lists.asked == ["/1"]


@pytest.mark.parametrize("code", [1, 2])
def test_a_card_that_was_revoked_or_suspended_is_chosen_last(
    scene: Scene, clock: Clock, code: int
) -> None:
    clock.advance(timedelta(days=1))
    scene.issuer.code, scene.issuer.status = "another-code", StatusReference(URL, INDEX - 1)
    newer = scene.wallet.accept(scene.issuer.link).credentials[0].credential_id
    older = scene.wallet.credentials()[0].credential_id

    def offered() -> list[CredentialId]:
        (answers,) = scene.wallet.matches(scene.shop.link).answers.values()
        return [one.credential.credential_id for one in answers]

    assert offered() == [newer, older]
    scene.wallet.check_statuses()
    assert offered() == [newer, older]
    scene.lists.index, scene.lists.code = INDEX - 1, code
    scene.wallet.check_statuses(max_age=timedelta(0))
    assert offered() == [older, newer]


def test_presenting_asks_no_list_and_no_issuer(scene: Scene) -> None:
    scene.wire.sent.clear()

    scene.wallet.present(scene.wallet.matches(scene.shop.link).choose())

    assert scene.lists.asked == []
    assert not [url for _, url, _ in scene.wire.sent if url.startswith((LISTS, BRAND))]


def test_what_has_ended_is_in_the_trash_or_has_no_status_is_not_asked_about(
    scene: Scene, clock: Clock
) -> None:
    scene.issuer.status, scene.issuer.code = None, "another-code"
    plain = scene.wallet.accept(scene.issuer.link).credentials[0]
    listed = scene.wallet.credentials()[0]

    scene.wallet.remove(listed.credential_id)
    without = scene.wallet.check_statuses(max_age=timedelta(0))
    scene.wallet.take_back(listed.credential_id)
    clock.advance(timedelta(days=366))
    ended = scene.wallet.check_statuses(max_age=timedelta(0))

    assert [(one.credential_id, one.status) for one in without] == [
        (plain.credential_id, Status.NOT_LISTED)
    ]
    assert [one.status for one in ended] == [Status.UNKNOWN, Status.NOT_LISTED]
    assert scene.lists.asked == []
