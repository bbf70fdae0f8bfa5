"""What `counterfoil verifier serve` does by itself, with the real service and real sockets."""

import json
import time
from collections.abc import Callable, Generator, Iterable
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from counterfoil_credentials.encoding import compact_json
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.recall_selector import RecallSelector, SerialRange
from counterfoil_credentials.request_links import parse_request_link
from counterfoil_credentials.requests import PresentationRequest, read_request
from counterfoil_credentials.sdjwt import SdJwt, disclose
from counterfoil_credentials.sdjwt_vc import StatusReference
from counterfoil_verifier import Answered, Outcome, SessionId, Verdict
from counterfoil_verifier.flag_feed import flags_json
from counterfoil_verifier.flags import Flag, FlagKind
from counterfoil_verifier.shop_folder import ShopFolder
from counterfoil_verifier.sql_store import SqlSessionStore

from tests.verifier.kills import connected, sent, serving_brand, shop_at
from tests.verifier.running import Served
from tests.verifier.scene import ASKED, INDEX, Brand, answer_form, warranty_claims

pytestmark = pytest.mark.loopback

PATIENCE_S = 60.0
DAY = timedelta(days=1)
GTIN = "04006381333931"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
RECALLED = Flag(
    FlagKind.RECALLED, RecallSelector(gtin=GTIN, serials=(SerialRange("A1-0001", "A1-0001"),))
)
NEIGHBOUR = Flag(
    FlagKind.RECALLED, RecallSelector(gtin=GTIN, serials=(SerialRange("A1-0002", "A1-0002"),))
)


def now() -> datetime:
    return datetime.now(UTC)


def eventually(found: Callable[[], object], wanted: object = True) -> None:  # noqa: FBT002
    """Return once `found` gives what is wanted; fail when it takes far too long."""
    ends_at = time.monotonic() + PATIENCE_S
    while (last := found()) != wanted:
        assert time.monotonic() < ends_at, f"{last} is not {wanted}"
        time.sleep(0.1)


class House:
    """A shop's folder that is served, a brand, and a customer with its warranty."""

    def __init__(self, folder: Path, brand: Brand, url: str) -> None:
        self.folder = ShopFolder(folder)
        self.brand = brand
        self.url = url
        self.holder = MemorySigner.generate()
        shop_at(folder, url, folder)
        self.served: list[Served] = []

    def set(self, **changes: object) -> None:
        """Change the shop's settings, as an editor does."""
        file = self.folder.path / "shop.json"
        settings: dict[str, object] = {**json.loads(file.read_text()), **changes}
        file.write_text(json.dumps({k: v for k, v in settings.items() if v is not None}))

    def serve(self) -> Served:
        self.served.append(Served(self.folder.path))
        return self.served[-1]

    def told(self, path: str) -> Any:  # noqa: ANN401
        with connected(self.served[-1].port) as line:
            return sent(line, "GET", path, self.folder.counter_key())

    def warnings(self) -> list[str]:
        return [one["code"] for one in self.told("/health/warnings")["warnings"]]

    def measured(self, name: str) -> float:
        with connected(self.served[-1].port) as line:
            key = {"Authorization": f"Bearer {self.folder.counter_key()}"}
            line.request("GET", "/metrics", headers=key)
            lines = line.getresponse().read().decode().splitlines()
        (value,) = [each.split()[1] for each in lines if each.split()[0] == name]
        return float(value)

    def warranty(self) -> SdJwt:
        return self.brand.warranty(
            issuer=self.url,
            vct=f"{self.url}/types/warranty",
            status=StatusReference(f"{self.url}/list", INDEX),
            claims=warranty_claims(valid_until=f"{now() + 90 * DAY:%Y-%m-%d}"),
            issued_at=now() - DAY,
            expires_at=now() + 90 * DAY,
            holder=self.holder.public,
        )

    def light(self) -> tuple[str, tuple[str, ...]]:
        """Ask, answer as a good wallet, and give the light with its codes."""
        key = self.folder.counter_key()
        with connected(self.served[-1].port) as line:
            asked = sent(line, "POST", "/counter/requests", key, {"preset": "warranty"})
            request = self.fetched(line, asked["link"])
            presented = bind(
                disclose(self.warranty(), ASKED),
                signer=self.holder,
                audience=request.client_id,
                nonce=request.nonce,
                now=now(),
            )
            assert request.response_uri is not None
            form = urlencode(answer_form({"warranty": (presented,)}, request))
            line.request("POST", urlsplit(request.response_uri).path, form, FORM)
            line.getresponse().read()
            look = sent(line, "GET", f"/counter/requests/{asked['id']}", key)
        return look["light"], tuple(reason["code"] for reason in look["reasons"])

    def purpose(self) -> str | None:
        """Give the purpose that a wallet would read now."""
        key = self.folder.counter_key()
        with connected(self.served[-1].port) as line:
            asked = sent(line, "POST", "/counter/requests", key, {"preset": "warranty"})
            return self.fetched(line, asked["link"]).purpose

    def fetched(self, line: HTTPConnection, text: str) -> PresentationRequest:
        link = parse_request_link(text)
        line.request("GET", urlsplit(link.request_uri).path)
        signed = line.getresponse().read().decode()
        return read_request(signed, client_id=link.client_id, now=now())


@pytest.fixture
def house(tmp_path: Path) -> Generator[House, None, None]:
    with serving_brand() as (brand, url):
        house = House(tmp_path / "till", brand, url)
        yield house
        for served in house.served:
            served.kill()


def results(count: int) -> Iterable[Answered]:
    for number in range(count):
        verdict = Verdict(
            outcome=Outcome.REFUSED if number % 2 else Outcome.ACCEPTED,
            codes=("revoked",) if number % 2 else (),
            checked_at=now() - timedelta(hours=1) + timedelta(seconds=number),
            status_as_of=None,
            took_ms=1,
        )
        yield Answered(
            session_id=SessionId(f"offline-{number:04d}"),
            preset="warranty",
            verdict=verdict,
            later_answers=0,
            till="3",
        )


def queued(folder: ShopFolder, each: Iterable[Answered]) -> None:
    store = SqlSessionStore(folder.path / "counter.sqlite3")
    for one in each:
        assert store.keep(one)
    store.close()


def test_results_of_a_till_that_was_offline_reach_the_shops_service_once(
    house: House, tmp_path: Path
) -> None:
    central = House(tmp_path / "central", house.brand, house.url)
    try:
        url = central.serve().said["listens"]
        key_file = house.folder.path / "central.key"
        key_file.write_text("a key that it does not know\n")
        house.set(results_to={"url": url, "key_file": "central.key", "every_s": 1})
        queued(house.folder, results(130))
        till = house.serve()
        eventually(house.warnings, ["not-done"])
        assert house.light() == ("green", ()), "who stands at the till waits for nobody"
        assert central.told("/counter/summary")["verdicts"] == 0

        key_file.write_text(f"{central.folder.counter_key()}\n")
        eventually(lambda: central.told("/counter/summary")["verdicts"], 131)
        eventually(house.warnings, [])
        till.kill()
        house.serve()
        assert house.light() == ("green", ())
        eventually(lambda: central.told("/counter/summary")["verdicts"], 132)
    finally:
        for served in central.served:
            served.kill()


def test_a_feed_of_flags_turns_the_light_while_the_shop_serves(house: House) -> None:
    def write(*flags: Flag, at: datetime) -> None:
        document = compact_json(flags_json(flags, at=at))
        (house.folder.path / "flags.json").write_bytes(document)

    house.set(flags={"file": "flags.json", "every_s": 1})
    house.serve()
    # Silent, and then old: nobody can say that the item is in order.
    assert house.light() == ("amber", ("flags-unreachable",))
    assert "flags-unreachable" in house.warnings()
    write(NEIGHBOUR, at=now() - DAY - timedelta(minutes=1))
    eventually(house.light, ("amber", ("flags-too-old",)))
    assert "flags-too-old" in house.warnings()
    assert house.measured("counterfoil_flags_age_seconds") > DAY.total_seconds()

    write(NEIGHBOUR, at=now() - timedelta(minutes=1))
    eventually(house.light, ("green", ()))
    write(NEIGHBOUR, RECALLED, at=now())
    eventually(house.light, ("red", ("recalled",)))
    # Who cannot read it any more goes by what was known.
    (house.folder.path / "flags.json").write_text("nothing")
    eventually(house.warnings, ["not-done"])
    assert house.light() == ("red", ("recalled",))


def test_a_shop_takes_over_what_changes_in_its_folder_and_tells_what_is_amiss(
    house: House,
) -> None:
    file = house.folder.path / "presets" / "warranty.json"
    preset = json.loads(file.read_text())
    house.set(preload_every_s=60)
    served = house.serve()
    assert served.answers("/health/warnings") == 401
    eventually((house.folder.path / "preload.zip").exists)
    eventually(house.warnings, [])

    preset["purpose"]["en"] = "To mend it."
    file.write_text(json.dumps(preset))
    eventually(house.purpose, "To mend it.")
    # What is broken changes nothing, and is told.
    file.write_text(json.dumps({**preset, "purpose": {"en": "Only English."}}))
    eventually(house.warnings, ["not-done"])
    (warning,) = house.told("/health/warnings")["warnings"]
    assert "presets/warranty.json.purpose" in warning["what"]
    assert house.purpose() == "To mend it."
    assert house.light() == ("green", ())
    file.write_text(json.dumps(preset))
    eventually(house.warnings, [])

    key = house.brand.signer.public.jwk()
    for days, told in ((31, []), (29, ["runs-out"])):
        ends_at = (now() + days * DAY).isoformat()
        house.set(keys={house.url: [{"jwk": key, "not_after": ends_at}]})
        eventually(house.warnings, told)
    assert house.measured("counterfoil_trust_ends_in_seconds") < 29 * DAY.total_seconds()
    assert house.measured("counterfoil_warnings") == 1
    other = MemorySigner.generate().public.jwk()
    house.set(keys={house.url: [{"jwk": other}]}, name="Harbour Street")
    eventually(house.light, ("red", ("issuer-key-unknown",)))
    eventually(house.warnings, ["needs-restart"])
    assert '"round":"folder"' in served.ends()
