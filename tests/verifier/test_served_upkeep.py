"""What `counterfoil verifier serve` does by itself, with the real service and real sockets."""

import json
from collections.abc import Generator, Iterable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from counterfoil_credentials.encoding import compact_json
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.recall_selector import RecallSelector, SerialRange
from counterfoil_verifier import Answered, Outcome, SessionId, Verdict
from counterfoil_verifier.flag_feed import flags_json
from counterfoil_verifier.flags import Flag, FlagKind
from counterfoil_verifier.shop_folder import ShopFolder
from counterfoil_verifier.sql_store import SqlSessionStore

from tests.verifier.house import DAY, House, eventually, now
from tests.verifier.kills import serving_brand

pytestmark = [pytest.mark.loopback, pytest.mark.once]

GTIN = "04006381333931"
RECALLED = Flag(
    FlagKind.RECALLED, RecallSelector(gtin=GTIN, serials=(SerialRange("A1-0001", "A1-0001"),))
)
NEIGHBOUR = Flag(
    FlagKind.RECALLED, RecallSelector(gtin=GTIN, serials=(SerialRange("A1-0002", "A1-0002"),))
)


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
