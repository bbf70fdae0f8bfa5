"""How a shop's settings say what it does by itself, and what it takes over while it is open."""

import json
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from counterfoil_credentials.encoding import JsonObject, compact_json
from counterfoil_credentials.errors import Malformed, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.recall_selector import RecallSelector
from counterfoil_verifier.flag_feed import flags_json, sign_flags
from counterfoil_verifier.flags import Flag, FlagKind
from counterfoil_verifier.shop_file import DEVELOPMENT, parse_shop_file
from counterfoil_verifier.shop_folder import ShopFolder
from counterfoil_verifier.shop_rounds import ShopRounds
from counterfoil_verifier.shop_service import OpenShop, open_shop, take_along
from counterfoil_verifier.shop_upkeep import FeedFile, ResultsTo, flags_of, key_in
from counterfoil_verifier.trust import KeyAsked

from tests.conftest import Clock
from tests.verifier import test_commands
from tests.verifier.scene import ISSUER, LIST_URL, NOON, WARRANTY_TYPE, Scene
from tests.verifier.test_commands import HERE, Desk
from tests.verifier.test_remembered import Checks

# The fixtures of the commands' tests: a folder, and a network in which the brand answers.
desk, empty, fetcher = test_commands.desk, test_commands.empty, test_commands.fetcher

KEY = MemorySigner.generate().public
FEED: dict[str, Any] = {"url": "https://trade.example/flags", "jwk": KEY.jwk()}
RESULTS: dict[str, Any] = {"url": "https://central.example", "key_file": "central.key"}
RECALLED = Flag(FlagKind.RECALLED, RecallSelector(gtin="04006381333931"))


def parsed(**members: object) -> Any:  # noqa: ANN401
    document: dict[str, object] = {"name": "Shop", "public_url": "https://till.example"}
    document |= {"trusts": {}, **members}
    return parse_shop_file(json.dumps(document).encode()).upkeep


def test_settings_say_what_is_done_besides_answering() -> None:
    nothing = parsed()
    assert (nothing.flags, nothing.results_to, nothing.preload_every_s) == (None, None, None)
    assert nothing.remembers_signatures is False

    found = parsed(
        flags=FEED,
        results_to={**RESULTS, "url": "https://central.example/", "every_s": 5},
        preload_every_s=60,
        remember_signatures=True,
    )
    assert found.flags == FeedFile(url=FEED["url"], signed_by=KEY, every_s=300)
    assert found.results_to == ResultsTo(
        url="https://central.example", key_file="central.key", every_s=5
    )
    assert (found.preload_every_s, found.remembers_signatures) == (60, True)
    near = parsed(flags={"file": "flags.json"}).flags
    assert near == FeedFile(file="flags.json", every_s=2)


@pytest.mark.parametrize(
    "members",
    [
        {"flags": {}},
        {"flags": {**FEED, "file": "flags.json"}},
        {"flags": {"url": FEED["url"]}},
        {"flags": {**FEED, "url": "http://trade.example/flags"}},
        {"flags": {**FEED, "url": "http://127.0.0.1:9/flags"}},
        {"flags": {"file": "../flags.json"}},
        {"flags": {**FEED, "every_s": 0}},
        {"flags": {**FEED, "every_s": 86_401}},
        {"flags": {**FEED, "max_age_s": 1}},
        {"results_to": {"url": RESULTS["url"]}},
        {"results_to": {**RESULTS, "key_file": "/etc/key"}},
        {"results_to": {**RESULTS, "url": "http://central.example"}},
        {"results_to": {**RESULTS, "key": "in the open"}},
        {"preload_every_s": 59},
        {"preload_every_s": "hourly"},
        {"remember_signatures": "yes"},
    ],
)
def test_what_cannot_be_meant_is_named(members: dict[str, object]) -> None:
    with pytest.raises(Malformed, match=next(iter(members))):
        parsed(**members)


def test_a_development_set_up_may_ask_this_machine() -> None:
    document = {
        "name": "Shop",
        DEVELOPMENT: True,
        "trusts": {},
        "flags": {**FEED, "url": "http://127.0.0.1:9/flags"},
        "results_to": {**RESULTS, "url": "http://127.0.0.1:8"},
    }

    routes = parse_shop_file(json.dumps(document).encode()).routes()
    assert {*routes} == {"http://127.0.0.1:9", "http://127.0.0.1:8"}


def test_a_feed_is_had_from_where_it_is_said_to_be(tmp_path: Path) -> None:
    publisher, network = MemorySigner.generate(), MemoryFetcher()
    token = sign_flags([RECALLED], signer=publisher, at=NOON)
    status = 200

    def trade(*_: object) -> Response:
        return Response(status, "application/jwt", token.encode())

    network.serve("https://trade.example", trade)
    far = FeedFile(url=FEED["url"], signed_by=publisher.public)
    assert len(flags_of(far, network, tmp_path)(NOON)) == 1
    status = 404
    with pytest.raises(Unavailable):
        flags_of(far, network, tmp_path)(NOON)

    signed = FeedFile(file="flags.jwt", signed_by=publisher.public)
    with pytest.raises(Unavailable, match=r"flags\.jwt"):
        flags_of(signed, network, tmp_path)(NOON)
    (tmp_path / "flags.jwt").write_text(f"{token}\n")
    assert len(flags_of(signed, network, tmp_path)(NOON)) == 1
    # Where a signature is asked for, a file without one is none.
    (tmp_path / "flags.jwt").write_bytes(compact_json(flags_json([], at=NOON)))
    with pytest.raises(Malformed):
        flags_of(signed, network, tmp_path)(NOON)
    assert len(flags_of(FeedFile(file="flags.jwt"), network, tmp_path)(NOON)) == 0


def test_a_key_comes_from_a_file_of_a_keys_size(tmp_path: Path) -> None:
    (tmp_path / "central.key").write_text("a key\n")
    assert key_in(tmp_path, "central.key") == "a key"
    (tmp_path / "central.key").write_text("k" * 2_000)
    with pytest.raises(Malformed):
        key_in(tmp_path, "central.key")


# Taking over what changed.


@pytest.fixture
def shop(desk: Desk) -> Generator[OpenShop, None, None]:
    with open_shop(desk.folder, HERE, fetcher=desk.fetcher, clock=desk.clock) as shop:
        yield shop


def change(folder: ShopFolder, **members: object) -> None:
    file = folder.path / "shop.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **members}))


def asked_of(scene: Scene) -> KeyAsked:
    header: JsonObject = {"kid": scene.brand.signer.public.thumbprint()}
    return KeyAsked(issuer=ISSUER, vct=WARRANTY_TYPE, header=header, issued_at=NOON)


def test_keys_that_were_fetched_are_not_forgotten_for_another_preset(
    shop: OpenShop, desk: Desk
) -> None:
    asked = asked_of(desk.scene)
    key = shop.trust.key_for(asked, now=NOON)
    desk.fetcher.disconnect(ISSUER)
    file = desk.folder.path / "presets" / "warranty.json"
    document = json.loads(file.read_text())

    file.write_text(json.dumps({**document, "status_max_age_s": 30}))
    shop.reloading.run()
    assert shop.trust.key_for(asked, now=NOON) == key
    # Whom the shop trusts is another thing: what is known of them is asked anew.
    change(desk.folder, trusts={ISSUER: {"warranty": [WARRANTY_TYPE]}})
    shop.reloading.run()
    with pytest.raises(Unavailable):
        shop.trust.key_for(asked, now=NOON)
    assert not shop.reloading.needs_restart


def test_what_was_taken_along_serves_from_the_moment_it_is_there(
    shop: OpenShop, desk: Desk, clock: Clock
) -> None:
    taken, failures = take_along(desk.folder, desk.fetcher, clock)
    assert not failures
    assert LIST_URL in taken.documents
    desk.fetcher.disconnect(ISSUER)
    asked = asked_of(desk.scene)
    with pytest.raises(Unavailable):
        shop.trust.key_for(asked, now=clock())

    shop.reloading.run()
    clock.advance(timedelta(seconds=31))
    assert shop.trust.key_for(asked, now=clock()) == desk.scene.brand.signer.public
    (desk.folder.path / "preload.zip").unlink()
    shop.reloading.run()
    clock.advance(timedelta(days=2))
    with pytest.raises(Unavailable):
        shop.trust.key_for(asked, now=clock())


@pytest.mark.parametrize("name", ["shop.json", "presets/warranty.json", "preload.zip"])
def test_what_is_broken_changes_nothing(shop: OpenShop, desk: Desk, name: str) -> None:
    before = shop.counter.ask("warranty").purpose
    (desk.folder.path / name).write_text("broken")

    for _ in range(2):
        with pytest.raises(Malformed):
            shop.reloading.run()
    assert shop.counter.ask("warranty").purpose == before


def test_a_shop_without_a_network_says_what_could_not_be_done_and_goes_on(
    desk: Desk, clock: Clock
) -> None:
    change(desk.folder, flags=FEED, results_to=RESULTS, preload_every_s=60)
    (desk.folder.path / "central.key").write_text("key")
    told: list[tuple[str, str]] = []
    with open_shop(desk.folder, HERE, fetcher=desk.fetcher, clock=clock) as shop:
        desk.fetcher.disconnect(ISSUER)
        rounds = ShopRounds(
            shop, clock=clock, failed=lambda name, error: told.append((name, error))
        )
        assert [each.name for each in (*rounds.local, *rounds.distant)] == [
            "folder",
            "flags",
            "results",
            "lists",
            "preload",
        ]
        for _ in range(3):
            rounds.run_local()
            rounds.run_distant()
        # Nothing waits to be sent, so nobody was asked.
        assert told == [("flags", "Unavailable"), ("preload", "Unavailable")]
        codes = [one.code for one in rounds.notices()]
        assert codes == ["flags-unreachable", "not-done", "not-done"]
        assert shop.counter.ask("warranty").link


def test_of_several_processes_one_takes_along_what_all_will_need(desk: Desk, clock: Clock) -> None:
    change(desk.folder, preload_every_s=3_600)
    with open_shop(desk.folder, HERE, fetcher=desk.fetcher, clock=clock) as shop:
        one, other = (ShopRounds(shop, clock=clock, monotonic=lambda: 0.0) for _ in range(2))
        one.run_distant()
        first = desk.folder.preload(clock())
        assert first is not None
        clock.advance(timedelta(minutes=20))
        other.run_distant()
        assert desk.folder.preload(clock()) == first

        clock.advance(timedelta(minutes=10))
        ShopRounds(shop, clock=clock).run_distant()
        later = desk.folder.preload(clock())
        assert later is not None
        assert later.made_at == clock()
        assert not [*one.notices(), *other.notices()]


@pytest.mark.parametrize("remembers", [False, True])
def test_a_shop_remembers_signatures_only_where_its_settings_say_so(
    desk: Desk, clock: Clock, monkeypatch: pytest.MonkeyPatch, *, remembers: bool
) -> None:
    change(desk.folder, remember_signatures=remembers, encrypted_answers=False)
    card, scene = desk.scene.warranty(), desk.scene
    with open_shop(desk.folder, HERE, fetcher=desk.fetcher, clock=clock) as shop:

        def answered() -> None:
            scene.counter = shop.counter
            shop.counter.receive(*scene.answer(shop.counter.ask("warranty"), card))

        answered()
        checks = Checks(monkeypatch)
        answered()

    brand = scene.brand.signer.public
    assert checks.keys.count(brand) == (0 if remembers else 1)
    assert scene.holder.public in checks.keys
