"""The phone's custodian: whoever answered first, also while it is away, and nobody before."""

from pathlib import Path

import pytest
from counterfoil_demo.houses import CUSTODIAN
from counterfoil_demo.phone.custodian_known import known_custodians

from tests.demo_app.sharing_scene import SharingScene

pytestmark = pytest.mark.once


def test_the_custodian_is_asked_once_and_believed_from_then_on(
    sharer: SharingScene, tmp_path: Path
) -> None:
    known = known_custodians(tmp_path, sharer.network)
    assert known == {CUSTODIAN.origin: sharer.custodian.party.did}

    sharer.disconnect()
    assert known_custodians(tmp_path, sharer.network) == known
    sharer.custodian = SharingScene(sharer.folder).custodian
    sharer.connect()
    assert sharer.custodian.party.did not in known.values()
    assert known_custodians(tmp_path, sharer.network) == known


def test_a_phone_that_never_reached_the_custodian_starts_without(
    sharer: SharingScene, tmp_path: Path
) -> None:
    sharer.disconnect()
    assert known_custodians(tmp_path, sharer.network) == {}

    sharer.connect()
    assert CUSTODIAN.origin in known_custodians(tmp_path, sharer.network)
