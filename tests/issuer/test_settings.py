"""A folder's settings, and which identifier an issuer may have under them."""

from pathlib import Path

import pytest
from counterfoil_credentials.encoding import JsonObject, compact_json
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_credentials.keys import MemorySigner
from counterfoil_issuer.settings import (
    DEVELOPMENT,
    DEVELOPMENT_FILE,
    LOOPBACK_WEBHOOKS,
    Settings,
    StaffProvider,
    identifier,
    parse_settings,
    read_settings,
)

DEVELOPS = Settings(allows_plain_http_on_loopback=True)
SERVES = Settings()
HERE = "http://127.0.0.1:8001"
STAFF = (
    '{"staff": {"issuer": "https://login.a.example", "audience": "back-office",'
    ' "roles": {"desk": "service"}}}'
)


def test_a_development_set_up_is_identified_by_where_it_listens() -> None:
    assert parse_settings(DEVELOPMENT_FILE) == DEVELOPS
    assert identifier(DEVELOPS, given=None, listens=HERE) == HERE


def test_a_folder_of_an_earlier_version_is_a_development_set_up(tmp_path: Path) -> None:
    assert read_settings(tmp_path) == DEVELOPS


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/audio", "http://localhost:9", "http://[::1]:9"]
)
def test_a_development_set_up_may_be_named_by_loopback(url: str) -> None:
    assert identifier(DEVELOPS, given=url, listens=HERE) == url


@pytest.mark.parametrize(
    "url",
    [
        "https://audio.example",
        "http://audio.example",
        "http://127.0.0.1.audio.example",
        "http://localhost.audio.example",
        "http://127.0.0.2:9",
        "http://[::1",
        "nonsense",
    ],
)
def test_a_development_set_up_refuses_every_other_host(url: str) -> None:
    with pytest.raises(Misuse, match=DEVELOPMENT):
        identifier(DEVELOPS, given=url, listens=HERE)
    with pytest.raises(Misuse, match="public_url"):
        identifier(
            Settings(allows_plain_http_on_loopback=True, public_url=url), given=None, listens=HERE
        )


def test_any_other_set_up_needs_an_https_url() -> None:
    assert identifier(SERVES, given="https://audio.example/a", listens=HERE) == (
        "https://audio.example/a"
    )
    for url in (None, "http://audio.example", HERE):
        with pytest.raises(Misuse, match="https"):
            identifier(SERVES, given=url, listens=HERE)


def test_the_address_of_a_service_that_never_ran_is_asked_for() -> None:
    with pytest.raises(Misuse, match="serve"):
        identifier(DEVELOPS, given=None, listens=None)


def test_settings_are_read_whole() -> None:
    settings = parse_settings(
        b'{"public_url": "https://a.example", "database": "postgresql://db/a",'
        b' "may_revoke": ["issuer"], "staff": {"issuer": "https://login.a.example",'
        b' "audience": "back-office", "roles": {"desk": "service"}, "role_claim": ["a", "b"]}}'
    )

    assert settings == Settings(
        public_url="https://a.example",
        database="postgresql://db/a",
        may_revoke=frozenset({"issuer"}),
        staff=StaffProvider(
            issuer="https://login.a.example",
            audience="back-office",
            roles={"desk": "service"},
            role_claim=("a", "b"),
        ),
    )


def test_who_vouches_for_the_keys_of_wallets_is_a_setting() -> None:
    attester = MemorySigner.generate().public
    keys: JsonObject = {"key_attesters": {"keys": [attester.jwk()]}}

    assert parse_settings(compact_json(keys)).key_attesters == {attester}


def test_a_development_set_up_may_tell_this_machine_of_events() -> None:
    origin = "http://127.0.0.1:9000"
    data = compact_json({DEVELOPMENT: True, LOOPBACK_WEBHOOKS: [origin]})

    assert parse_settings(data).loopback_webhooks == {origin}
    with pytest.raises(Malformed, match="development"):
        parse_settings(compact_json({LOOPBACK_WEBHOOKS: [origin]}))


@pytest.mark.parametrize(
    "origin",
    [
        "http://127.0.0.1",
        "http://127.0.0.1:9000/",
        "http://localhost:9000",
        "http://10.0.0.1:9000",
        "http://shop.example:9000",
        "ftp://127.0.0.1:9000",
        "http://127.0.0.1:90000",
        "",
    ],
)
def test_events_are_told_to_no_other_private_address(origin: str) -> None:
    with pytest.raises(Malformed, match=LOOPBACK_WEBHOOKS):
        parse_settings(compact_json({DEVELOPMENT: True, LOOPBACK_WEBHOOKS: [origin]}))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"publik_url": "https://a.example"}', "publik_url"),
        ('{"may_revoke": ["owner"]}', "may_revoke"),
        ('{"may_revoke": []}', "may_revoke"),
        ('{"may_revoke": "issuer"}', "may_revoke"),
        (f'{{"{DEVELOPMENT}": 1}}', DEVELOPMENT),
        ('{"database": 7}', "database"),
        ('{"staff": {}}', "staff.issuer"),
        (STAFF.replace("https", "http"), "staff.issuer"),
        (STAFF.replace("service", "king"), "staff.roles"),
        (STAFF.replace('"desk": "service"', ""), "staff.roles"),
        (STAFF.replace("back-office", ""), "staff.audience"),
        (STAFF.replace('"audience"', '"audiense"'), "audiense"),
        ('{"key_attesters": []}', "key_attesters"),
        ('{"key_attesters": {"keys": [{"kty": "oct"}]}}', "key_attesters"),
        ("[]", "issuer.json"),
        ("", "issuer.json"),
    ],
)
def test_what_is_wrong_in_the_settings_is_named(text: str, place: str) -> None:
    with pytest.raises(Malformed, match=place):
        parse_settings(text.encode())
