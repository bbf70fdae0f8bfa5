"""A brand's folder: set up once, its secrets its owner's alone, its address remembered."""

from pathlib import Path

import pytest
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_credentials.key_file import load_or_create_signer
from counterfoil_issuer.brand_folder import BrandFolder

from tests.conftest import Clock


@pytest.fixture
def folder(tmp_path: Path, clock: Clock) -> BrandFolder:
    folder = BrandFolder(tmp_path / "audio")
    folder.make(clock)
    return folder


def contents(folder: BrandFolder) -> dict[str, bytes]:
    files = [path for path in folder.path.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder.path)): path.read_bytes() for path in files}


def test_a_new_folder_has_a_catalogue_that_can_be_read(folder: BrandFolder) -> None:
    assert {"receipt", "warranty", "membership", "ownership", "tier"} == set(
        folder.catalogue().types
    )
    assert folder.settings().allows_plain_http_on_loopback


def test_its_secrets_are_its_owners_alone(folder: BrandFolder) -> None:
    for name in ("keys.json", "secret.key", "back-office.key"):
        assert (folder.path / name).stat().st_mode & 0o777 == 0o600
    assert folder.path.stat().st_mode & 0o777 == 0o700


def test_making_it_again_changes_nothing(folder: BrandFolder, clock: Clock) -> None:
    (folder.path / "catalogue.json").write_text("{}")
    (folder.path / "types" / "tier.json").unlink()
    before = contents(folder)
    folder.make(clock)

    assert contents(folder) == before


def test_a_folder_of_an_earlier_version_keeps_its_signing_key(tmp_path: Path, clock: Clock) -> None:
    signer = load_or_create_signer(tmp_path / "signing-key.pem")
    folder = BrandFolder(tmp_path)
    folder.make(clock)

    assert folder.keys(clock).ring().published == (signer.public,)


def test_another_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="init"):
        BrandFolder(tmp_path).require_made()


def test_the_address_is_where_it_was_served_last(folder: BrandFolder) -> None:
    with pytest.raises(Misuse, match="serve"):
        folder.identifier()
    folder.record_address("http://127.0.0.1:8001")

    assert folder.identifier() == "http://127.0.0.1:8001"
    assert folder.identifier(listens="http://127.0.0.1:9") == "http://127.0.0.1:9"
    (folder.path / "address").write_text("file:///etc/passwd")
    with pytest.raises(Malformed, match="address"):
        folder.identifier()


def test_the_database_is_the_folders_file_unless_another_is_named(folder: BrandFolder) -> None:
    assert folder.database() == folder.path / "issuer.sqlite3"
    (folder.path / "issuer.json").write_text('{"database": "postgresql://db/audio"}')

    assert folder.database() == "postgresql://db/audio"
    assert folder.database("postgresql://db/other") == "postgresql://db/other"


@pytest.mark.parametrize("text", ["", "\n", "é\n"])
def test_a_key_that_is_none_is_refused(folder: BrandFolder, text: str) -> None:
    (folder.path / "secret.key").write_text(text)

    with pytest.raises(Malformed, match=r"secret\.key"):
        folder.secret()
