"""A till takes along what it will need: gathered, carried, loaded, and asked without a network."""

import io
import json
import struct
import zipfile
from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.issuer_keys import issuer_keys_document
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.spec import JSON_MEDIA_TYPE, STATUS_LIST_MEDIA_TYPE
from counterfoil_credentials.token_status_list import FetchedStatusSource
from counterfoil_verifier import (
    CouldNotCheck,
    FetchedTrust,
    NotAccepted,
    Statuses,
    Verifier,
)
from counterfoil_verifier.gathering import Gathering
from counterfoil_verifier.preload import Document, Preload, read_preload, write_preload
from counterfoil_verifier.preloaded import MAX_AGE, RETRY_AFTER, PreloadedFetcher

from tests.conftest import Clock
from tests.verifier.scene import (
    DAY,
    INDEX,
    ISSUER,
    LIST_URL,
    MINUTE,
    NOON,
    SECOND,
    WARRANTY_TYPE,
    Scene,
)

TRUST_LIST = "https://trust.example/list"
TRUST_TYPE = "application/counterfoil-trust-list+jwt"
KEYS_URL = f"{ISSUER}/.well-known/jwt-vc-issuer"


class Network:
    """The brand and a trust list on a network that can be cut."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.fetcher = MemoryFetcher()
        self.lists = [LIST_URL]
        self.asked: list[str] = []
        self.status = 200
        self.connect()

    def connect(self) -> None:
        self.fetcher.serve(ISSUER, self._brand)
        self.fetcher.serve("https://trust.example", self._trust)

    def cut(self) -> None:
        self.fetcher.disconnect(ISSUER)
        self.fetcher.disconnect("https://trust.example")

    def _brand(self, _: str, path: str, __: Mapping[str, str], ___: bytes) -> Response:
        self.asked.append(path)
        if self.status != 200:
            return Response(self.status, "text/plain", b"")
        documents: dict[str, JsonObject] = {
            "/.well-known/jwt-vc-issuer": issuer_keys_document(
                ISSUER, [self.scene.brand.signer.public]
            ),
            "/.well-known/oauth-authorization-server": {
                "status_list_aggregation_endpoint": f"{ISSUER}/status-lists"
            },
            "/status-lists": {"status_lists": [*self.lists]},
        }
        if path in documents:
            return Response(200, JSON_MEDIA_TYPE, json.dumps(documents[path]).encode())
        token = self.scene.brand.fetch(f"{ISSUER}{path}")
        return Response(200, STATUS_LIST_MEDIA_TYPE, token.encode())

    def _trust(self, *_: object) -> Response:
        return Response(200, TRUST_TYPE, b"a.signed.list")


@pytest.fixture
def network(scene: Scene) -> Network:
    return Network(scene)


def gather(scene: Scene, network: Network) -> bytes:
    gathering = Gathering(network.fetcher, scene.clock)
    gathering.issuer(ISSUER)
    gathering.document(TRUST_LIST, accept=TRUST_TYPE)
    assert not gathering.failures
    return write_preload(gathering.documents, signer=scene.shop.signer, at=scene.clock())


def till(scene: Scene, network: Network, file: bytes) -> Verifier:
    """Give the verifier of a till that was started with `file`."""
    kept = read_preload(file, signed_by=scene.shop.signer.public, now=scene.clock())
    fetcher = PreloadedFetcher(network.fetcher, kept, scene.clock)
    trust = FetchedTrust(fetcher, {ISSUER: [WARRANTY_TYPE]})
    return Verifier(scene.preset.policy(), trust, Statuses(FetchedStatusSource(fetcher)))


def light(scene: Scene, verifier: Verifier) -> tuple[str, object]:
    """Give the light with the list's date, or with the codes when there is none."""
    request = scene.request()
    answer = scene.present(scene.warranty(), request)
    try:
        return "green", verifier.verify(answer, request, now=scene.clock()).status_as_of
    except NotAccepted as refused:
        return "red", refused.status_as_of or refused.codes
    except CouldNotCheck as unknown:
        return "amber", unknown.status_as_of or unknown.codes


def test_one_file_holds_keys_lists_and_trust_lists(scene: Scene, network: Network) -> None:
    network.lists.append(f"{ISSUER}/status-lists/other")
    gathering = Gathering(network.fetcher, scene.clock)

    gathering.issuer(ISSUER, lists=[LIST_URL])
    gathering.document(TRUST_LIST, accept=TRUST_TYPE)
    file = write_preload(gathering.documents, signer=scene.shop.signer, at=NOON)

    kept = read_preload(file, signed_by=scene.shop.signer.public, now=NOON)
    assert kept.made_at == NOON
    assert {*kept.documents} == {KEYS_URL, LIST_URL, TRUST_LIST}
    assert kept.documents[TRUST_LIST].body == b"a.signed.list"
    # The second list named itself otherwise: a till would refuse it.
    assert {*gathering.failures} == {f"{ISSUER}/status-lists/other"}


def test_what_cannot_be_had_is_named_and_stands_in_nobodys_way(
    scene: Scene, network: Network
) -> None:
    gathering = Gathering(network.fetcher, scene.clock)

    gathering.issuer("https://nobody.example")
    gathering.issuer(ISSUER)
    gathering.document("https://trust.example/other", accept=JSON_MEDIA_TYPE)

    assert {*gathering.failures} == {"https://nobody.example", "https://trust.example/other"}
    assert {one.url for one in gathering.documents} == {KEYS_URL, LIST_URL}


def test_a_list_of_somebody_else_is_not_taken_along(scene: Scene, network: Network) -> None:
    scene.brand.list_signer = MemorySigner.generate()
    gathering = Gathering(network.fetcher, scene.clock)

    gathering.issuer(ISSUER)

    assert {*gathering.failures} == {LIST_URL}
    assert {one.url for one in gathering.documents} == {KEYS_URL}


@pytest.mark.parametrize("older_by", [-1, 0, 1])
@pytest.mark.parametrize("listed", [0, 1, 2])
def test_each_of_the_three_lights_at_and_around_the_age_limit(
    scene: Scene, network: Network, clock: Clock, listed: int, older_by: int
) -> None:
    scene.brand.listed[INDEX] = listed
    file = gather(scene, network)
    network.cut()
    clock.advance(scene.preset.status_max_age + older_by * SECOND)

    shown = light(scene, till(scene, network, file))

    in_time = {0: "green", 1: "red", 2: "red"}
    too_old = {0: "amber", 1: "red", 2: "amber"}
    assert shown == ((in_time if older_by <= 0 else too_old)[listed], NOON)


def test_a_till_is_offline_without_its_file(scene: Scene, network: Network) -> None:
    file = gather(scene, network)
    network.cut()
    empty = write_preload((), signer=scene.shop.signer, at=NOON)

    assert light(scene, till(scene, network, file)) == ("green", NOON)
    assert light(scene, till(scene, network, empty)) == ("amber", ["issuer-keys-unreachable"])


def test_the_network_comes_first_and_its_word_stands(
    scene: Scene, network: Network, clock: Clock
) -> None:
    file = gather(scene, network)
    clock.advance(timedelta(hours=1))
    assert light(scene, till(scene, network, file)) == ("green", clock())

    scene.brand.listed[INDEX] = 1
    assert light(scene, till(scene, network, file)) == ("red", clock())

    network.status = 404
    assert light(scene, till(scene, network, file))[0] == "amber"


def test_what_was_learned_online_is_not_unlearned_from_the_file(
    scene: Scene, network: Network, clock: Clock
) -> None:
    file = gather(scene, network)
    scene.brand.listed[INDEX] = 1
    clock.advance(MINUTE)
    verifier = till(scene, network, file)
    assert light(scene, verifier) == ("red", clock())
    revoked_at = clock()

    network.cut()
    clock.advance(timedelta(hours=1))

    assert light(scene, verifier) == ("red", revoked_at)


def test_a_server_in_trouble_and_a_silent_one_are_left_alone_for_a_moment(
    scene: Scene, network: Network, clock: Clock
) -> None:
    file = gather(scene, network)
    kept = read_preload(file, signed_by=scene.shop.signer.public, now=NOON)
    fetcher = PreloadedFetcher(network.fetcher, kept, scene.clock)

    def ask() -> Response:
        return fetcher.get(KEYS_URL, accept=JSON_MEDIA_TYPE)

    network.status = 503
    network.asked.clear()
    assert ask().status == 200
    assert network.asked == ["/.well-known/jwt-vc-issuer"]
    clock.advance(RETRY_AFTER - SECOND)
    assert ask().age_s == 29
    assert len(network.asked) == 1

    clock.advance(SECOND)
    network.status = 200
    assert ask().age_s == 0
    assert ask().age_s == 0
    assert len(network.asked) == 3


def test_a_page_in_a_documents_place_leads_to_the_file_and_no_other_refusal_does(
    scene: Scene, network: Network
) -> None:
    kept = read_preload(gather(scene, network), signed_by=scene.shop.signer.public, now=NOON)
    fetcher = PreloadedFetcher(network.fetcher, kept, scene.clock)

    def page(*_: object) -> Response:
        return Response(200, "text/html", b"<p>Back soon")

    network.fetcher.serve(ISSUER, page)

    assert fetcher.get(KEYS_URL, accept=JSON_MEDIA_TYPE).media_type == JSON_MEDIA_TYPE
    with pytest.raises(Refused):
        PreloadedFetcher(Forbidding(), kept, scene.clock).get(KEYS_URL, accept=JSON_MEDIA_TYPE)


class Forbidding(MemoryFetcher):
    """A way out that may not go there."""

    def get(self, url: str, **_: object) -> Response:
        raise Refused(Reason("fetch-not-allowed", "a public address", "another", url))


def test_a_long_silence_is_asked_about_ever_more_seldom(
    scene: Scene, network: Network, clock: Clock
) -> None:
    kept = read_preload(gather(scene, network), signed_by=scene.shop.signer.public, now=NOON)
    fetcher = PreloadedFetcher(network.fetcher, kept, scene.clock)
    network.status = 503
    network.asked.clear()

    tried: list[int] = []
    for second in range(0, 2_000, 10):
        before = len(network.asked)
        assert fetcher.get(KEYS_URL, accept=JSON_MEDIA_TYPE).status == 200
        if len(network.asked) > before:
            tried.append(second)
        clock.advance(10 * SECOND)

    assert tried == [0, 30, 90, 210, 450, 930, 1_410, 1_890]


@pytest.mark.parametrize("older_by", [-1, 0, 1])
def test_keys_serve_a_week_and_a_revocation_is_known_no_longer_than_its_key(
    scene: Scene, network: Network, clock: Clock, older_by: int
) -> None:
    scene.brand.listed[INDEX] = 1
    file = gather(scene, network)
    network.cut()
    clock.advance(MAX_AGE + older_by * SECOND)

    shown = light(scene, till(scene, network, file))

    assert shown == (("red", NOON) if older_by <= 0 else ("amber", ["issuer-keys-unreachable"]))


def test_nothing_but_what_was_asked_for_comes_from_the_file(scene: Scene, network: Network) -> None:
    kept = read_preload(gather(scene, network), signed_by=scene.shop.signer.public, now=NOON)
    network.cut()
    fetcher = PreloadedFetcher(network.fetcher, kept, scene.clock)

    assert fetcher.get(TRUST_LIST, accept=f"text/plain, {TRUST_TYPE}").body == b"a.signed.list"
    wrongs: list[Callable[[], Response]] = [
        lambda: fetcher.get(TRUST_LIST, accept=JSON_MEDIA_TYPE),
        lambda: fetcher.get(TRUST_LIST, accept=TRUST_TYPE, max_bytes=3),
        lambda: fetcher.get(f"{TRUST_LIST}2", accept=TRUST_TYPE),
        lambda: fetcher.post(TRUST_LIST, b"", media_type=JSON_MEDIA_TYPE),
    ]
    for wrong in wrongs:
        with pytest.raises(Unavailable):
            wrong()


def test_an_older_file_or_one_from_the_future_is_refused(scene: Scene, clock: Clock) -> None:
    file = write_preload((), signer=scene.shop.signer, at=NOON)

    def read(**times: object) -> Preload:
        given = {"now": clock(), "newer_than": None, **times}
        return read_preload(file, signed_by=scene.shop.signer.public, **given)  # type: ignore[arg-type]

    assert read(newer_than=NOON).made_at == NOON
    assert read(now=NOON - MINUTE).made_at == NOON
    for times, code in (
        ({"newer_than": NOON + SECOND}, "preload-older"),
        ({"now": NOON - MINUTE - SECOND}, "preload-from-the-future"),
    ):
        with pytest.raises(Refused) as refusal:
            read(**times)
        assert refusal.value.codes == [code]


def test_a_file_of_another_shop_is_refused(scene: Scene) -> None:
    file = write_preload((), signer=MemorySigner.generate(), at=NOON)

    with pytest.raises(Refused) as refusal:
        read_preload(file, signed_by=scene.shop.signer.public, now=NOON)

    assert refusal.value.codes == ["signature-invalid"]


def repacked(
    file: bytes,
    change: Callable[[str, bytes], bytes | None],
    *,
    compression: int = zipfile.ZIP_STORED,
) -> bytes:
    """Give the file with members changed, or left out, by whoever carried it."""
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(file)) as before,
        zipfile.ZipFile(packed, "w", compression) as after,
    ):
        for name in before.namelist():
            body = change(name, before.read(name))
            if body is not None:
                after.writestr(name, body)
    return packed.getvalue()


def test_whoever_carries_the_file_can_change_nothing(scene: Scene, network: Network) -> None:
    file = gather(scene, network)

    def read(data: bytes) -> Preload:
        return read_preload(data, signed_by=scene.shop.signer.public, now=NOON)

    assert read(repacked(file, lambda _, body: body)).documents.keys() == {
        KEYS_URL,
        LIST_URL,
        TRUST_LIST,
    }
    flipped = repacked(
        file, lambda name, body: body if name == "manifest.jwt" else body[:-1] + b"!"
    )
    with pytest.raises(Refused) as refusal:
        read(flipped)
    assert refusal.value.codes == ["preload-changed"]
    for broken in (
        repacked(file, lambda name, body: None if name == "manifest.jwt" else body),
        repacked(file, lambda name, body: None if name != "manifest.jwt" else body),
        repacked(file, lambda name, body: body + b"!" if name != "manifest.jwt" else body),
        repacked(file, lambda _, body: body, compression=zipfile.ZIP_DEFLATED),
        repacked(file, lambda _, __: b"\xff"),
        file[: len(file) // 2],
        b"PK\x05\x06" + bytes(10),
        b"",
        b"no zip at all",
    ):
        with pytest.raises(Malformed):
            read(broken)


def test_a_directory_larger_than_a_tills_is_refused_before_it_is_read(
    scene: Scene, network: Network
) -> None:
    """A file that somebody carries could fill the till's memory with names of members."""
    good = gather(scene, network)
    many = io.BytesIO(good)
    with zipfile.ZipFile(many, "a") as file:
        for n in range(2_001):
            file.writestr(zipfile.ZipInfo(f"{n}"), b"")
    # In the manner of very large files the directory's size stands elsewhere.
    end = good[-22:]
    size, offset = struct.unpack("<II", end[12:20])
    counts = struct.pack("<QQQQ", 4, 4, size, offset)
    other = b"PK\6\6" + struct.pack("<QHHII", 44, 45, 45, 0, 0) + counts
    elsewhere = good[:-22] + other + b"PK\6\7" + struct.pack("<IQI", 0, len(good) - 22, 1) + end

    for data in (many.getvalue(), elsewhere, good[:-2] + b"\1\0!"):
        with pytest.raises(Malformed, match="directory"):
            read_preload(data, signed_by=scene.shop.signer.public, now=NOON)


@pytest.mark.parametrize("at", range(0, 400, 7))
def test_a_flipped_byte_is_refused_or_changes_nothing(
    scene: Scene, network: Network, at: int
) -> None:
    file = bytearray(gather(scene, network))
    good = read_preload(bytes(file), signed_by=scene.shop.signer.public, now=NOON)
    file[at * len(file) // 400] ^= 0x41

    try:
        kept = read_preload(bytes(file), signed_by=scene.shop.signer.public, now=NOON)
    except (Malformed, Refused):
        return
    assert kept == good


def test_more_than_a_till_would_load_is_not_written(scene: Scene) -> None:
    many = [
        Document(url=f"https://a.example/{n}", media_type="text/plain", body=b"", had_at=NOON)
        for n in range(2_001)
    ]

    with pytest.raises(Misuse):
        write_preload(many, signer=scene.shop.signer, at=NOON)
    write_preload(many[:-1] + many[:1], signer=scene.shop.signer, at=NOON + DAY)
