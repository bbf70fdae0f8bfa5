"""A folder's settings in the service that is put together from it."""

from pathlib import Path

import pytest
from counterfoil_credentials.encoding import JsonObject, compact_json
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.keys import MemorySigner
from counterfoil_issuer.brand_folder import BrandFolder
from counterfoil_issuer.brand_service import brand_app, open_brand
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
