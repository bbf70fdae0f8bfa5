"""A folder's settings in the service that is put together from it."""

import shutil
from pathlib import Path

import pytest
from counterfoil_credentials.encoding import JsonObject, compact_json
from counterfoil_credentials.errors import Misuse, Refused
from counterfoil_credentials.keys import MemorySigner
from counterfoil_issuer.brand_folder import DATABASE, BrandFolder
from counterfoil_issuer.brand_service import brand_app, open_brand
from counterfoil_issuer.cli import main
from counterfoil_issuer.settings import DEVELOPMENT, FILE_NAME, KEY_ATTESTERS, LOOPBACK_WEBHOOKS

from tests.conftest import Clock

HERE = "http://127.0.0.1:8001"
RECEIVER = "http://127.0.0.1:9000"


@pytest.fixture
def folder(tmp_path: Path, clock: Clock) -> BrandFolder:
    folder = BrandFolder(tmp_path / "brand")
    folder.make(clock)
    return folder


def test_the_issuer_believes_the_attesters_of_its_folder(folder: BrandFolder) -> None:
    attester = MemorySigner.generate().public
    settings: JsonObject = {DEVELOPMENT: True, KEY_ATTESTERS: {"keys": [attester.jwk()]}}
    (folder.path / FILE_NAME).write_bytes(compact_json(settings))

    with open_brand(folder, HERE) as brand:
        assert brand.issuer.options.key_attesters == {attester}


def test_events_go_to_this_machine_where_its_folder_says_so_alone(folder: BrandFolder) -> None:
    settings: JsonObject = {DEVELOPMENT: True, LOOPBACK_WEBHOOKS: [RECEIVER]}
    (folder.path / FILE_NAME).write_bytes(compact_json(settings))

    with open_brand(folder, HERE) as brand:
        assert brand_app(brand).routes
        with brand.store.transaction() as held:
            brand.staff.webhooks.add(held.connection, f"{RECEIVER}/events")
            with pytest.raises(Refused, match="https"):
                brand.staff.webhooks.add(held.connection, "http://127.0.0.1:9001/events")


def test_a_database_is_one_issuers_at_whatever_address(
    folder: BrandFolder, tmp_path: Path, clock: Clock
) -> None:
    other = BrandFolder(tmp_path / "other")
    other.make(clock)
    for url in (HERE, "http://127.0.0.1:8002", HERE):
        with open_brand(folder, url) as brand:
            assert brand.issuer.url == url
            assert brand.staff.check_log().sequence == 0
    shutil.copy(folder.path / DATABASE, other.path / DATABASE)

    with pytest.raises(Misuse, match="of this issuer's own"), open_brand(other, HERE):
        pytest.fail("opened another's database")


def test_several_brands_are_not_served_from_one_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = str(tmp_path / "house")
    assert main(["init", place, "--brand", "audio", "--brand", "chairs"]) == 0

    assert main(["serve", place, "--port", "0", "--database", "postgresql://db/one"]) == 2
    assert "expected a database for each brand" in capsys.readouterr().err
