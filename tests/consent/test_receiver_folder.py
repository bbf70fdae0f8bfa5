"""A receiver is opened over a folder with few words, and decides nothing by itself."""

import stat
from pathlib import Path

import pytest
from counterfoil_consent.app import receiver_app
from counterfoil_consent.receiver import Receiver
from counterfoil_consent.receiver_folder import SEALING_KEYS, SIGNING_KEY, open_receiver
from counterfoil_credentials.errors import Misuse, Unavailable
from fastapi.testclient import TestClient

from tests.consent.street import AUDIO, CUSTODIAN, RIDER, VELO, Street, wish


def opened(folder: Path, street: Street, custodian: str = CUSTODIAN) -> Receiver:
    return open_receiver(
        folder,
        origin=VELO,
        name="Velo",
        custodian=custodian,
        issuers={RIDER: [AUDIO]},
        fetcher=street.fetcher,
    )


def test_a_receiver_is_the_same_after_a_restart(tmp_path: Path, street_in_memory: Street) -> None:
    first = opened(tmp_path / "velo", street_in_memory)
    asked = first.request(wish())
    party, token = first.party, first.request_object(asked.request_id)
    del first

    again = opened(tmp_path / "velo", street_in_memory)

    assert again.party == party
    assert again.request_object(asked.request_id) == token


def test_a_receiver_starts_while_its_custodian_is_away_but_not_the_first_time(
    tmp_path: Path, street_in_memory: Street
) -> None:
    opened(tmp_path / "velo", street_in_memory)
    street_in_memory.fetcher.disconnect(CUSTODIAN)

    assert opened(tmp_path / "velo", street_in_memory).summary().live == 0
    with pytest.raises(Unavailable):
        opened(tmp_path / "another", street_in_memory)


def test_a_folder_stays_with_its_custodian(tmp_path: Path, street_in_memory: Street) -> None:
    opened(tmp_path / "velo", street_in_memory)

    with pytest.raises(Misuse):
        opened(tmp_path / "velo", street_in_memory, "https://other-custodian.example")


def test_what_is_secret_is_its_owners_alone(tmp_path: Path, street_in_memory: Street) -> None:
    opened(tmp_path / "velo", street_in_memory).request(wish())

    for name in (".", SIGNING_KEY, SEALING_KEYS):
        assert stat.S_IMODE((tmp_path / "velo" / name).stat().st_mode) & 0o077 == 0


def test_the_app_answers_wallets_openly_and_staff_with_the_key(
    tmp_path: Path, street_in_memory: Street
) -> None:
    receiver = opened(tmp_path / "velo", street_in_memory)
    asked = receiver.request(wish())

    with TestClient(receiver_app(receiver, "a key of the back office"), base_url=VELO) as client:
        assert client.get(f"/consent/requests/{asked.request_id}").status_code == 200
        assert client.get("/consent/desk/summary").status_code == 401
        headers = {"Authorization": "Bearer a key of the back office"}
        assert client.get("/consent/desk/summary", headers=headers).json()["live"] == 0
