"""A shop's folder and its settings: set up once, secrets its owner's alone, nothing by mistake."""

import json
from pathlib import Path
from typing import Any

import pytest
from counterfoil_credentials.client_ids import Prefix
from counterfoil_credentials.dcql import AuthorityQuery
from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.sdjwt_vc import VerifiedCredential
from counterfoil_verifier import PRESETS, Presented, StatusAt
from counterfoil_verifier.requesting import Way
from counterfoil_verifier.shop_file import DEVELOPMENT, is_on_loopback, parse_shop_file
from counterfoil_verifier.shop_folder import ShopFolder
from cryptography.hazmat.primitives.serialization import Encoding

from tests.credentials.authority import Party, authority, key_id
from tests.verifier.scene import ISSUER, NOON, WARRANTY_TYPE

HERE = "http://127.0.0.1:8001"
SETTINGS: dict[str, Any] = {
    "name": "Corner Shop",
    "public_url": "https://till.example",
    "trusts": {ISSUER: {"warranty": [WARRANTY_TYPE]}},
}


@pytest.fixture
def folder(tmp_path: Path) -> ShopFolder:
    folder = ShopFolder(tmp_path / "corner")
    folder.make()
    return folder


def contents(folder: ShopFolder) -> dict[str, bytes]:
    files = [path for path in folder.path.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder.path)): path.read_bytes() for path in files}


def parsed(**changes: object) -> Any:  # noqa: ANN401
    return parse_shop_file(json.dumps({**SETTINGS, **changes}).encode())


def test_a_new_folder_is_a_development_set_up_with_the_presets_that_ship(
    folder: ShopFolder,
) -> None:
    assert folder.presets() == dict(PRESETS)
    assert folder.settings().develops
    assert folder.settings().trusts == {}
    assert folder.askable() == []
    assert folder.registration() is None


def test_its_secrets_are_its_owners_alone(folder: ShopFolder) -> None:
    for name in ("shop-key.pem", "secret.key", "counter.key"):
        assert (folder.path / name).stat().st_mode & 0o777 == 0o600
    assert folder.path.stat().st_mode & 0o777 == 0o700


def test_making_it_again_changes_nothing(folder: ShopFolder) -> None:
    (folder.path / "presets" / "member.json").unlink()
    folder.trust(HERE, {"warranty": ["x"]})
    before = contents(folder)
    folder.make()

    assert contents(folder) == before
    for changed in ({"name": "Other"}, {"public_url": "https://other.example"}):
        with pytest.raises(Misuse, match="new folder"):
            folder.make(**changed)
    assert contents(folder) == before


def test_a_folder_with_a_public_url_is_no_development_set_up(tmp_path: Path) -> None:
    folder = ShopFolder(tmp_path)
    folder.make(name="Quay Street", public_url="https://quay.example")

    assert not folder.settings().develops
    assert folder.settings().name == "Quay Street"
    assert folder.url(listens=HERE) == "https://quay.example"
    with pytest.raises(Malformed, match="https URLs"):
        folder.trust(HERE, {"warranty": ["x"]})


def test_another_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="init"):
        ShopFolder(tmp_path).require_made()
    with pytest.raises(Malformed, match=r"shop\.json"):
        ShopFolder(tmp_path).settings()


def test_a_folder_of_an_earlier_version_asks_what_ships(tmp_path: Path) -> None:
    former = {**SETTINGS, "origin": SETTINGS["public_url"]}
    del former["public_url"]
    (tmp_path / "shop.json").write_text(json.dumps(former))
    folder = ShopFolder(tmp_path)

    assert [(preset.name, preset.vcts) for preset in folder.askable()] == [
        ("warranty", (WARRANTY_TYPE,))
    ]
    assert folder.url() == "https://till.example"


def test_the_address_is_where_it_was_served_last(folder: ShopFolder) -> None:
    with pytest.raises(Misuse, match="counterfoil verifier serve"):
        folder.url()
    folder.record_address(HERE)

    assert folder.url() == HERE
    assert folder.url(listens="http://127.0.0.1:9") == "http://127.0.0.1:9"
    (folder.path / "address").write_text("file:///etc/passwd")
    with pytest.raises(Malformed, match="address"):
        folder.url()


@pytest.mark.parametrize(
    "url", ["https://till.example", "http://127.0.0.1.till.example", "http://[::1", "nonsense"]
)
def test_a_development_set_up_refuses_every_other_host(folder: ShopFolder, url: str) -> None:
    with pytest.raises(Misuse, match=DEVELOPMENT):
        folder.url(url, HERE)


@pytest.mark.parametrize("url", [None, "http://till.example", "http://127.0.0.1:9"])
def test_any_other_set_up_needs_https(tmp_path: Path, url: str | None) -> None:
    document = {**SETTINGS, "public_url": url}
    (tmp_path / "shop.json").write_text(
        json.dumps({name: value for name, value in document.items() if value is not None})
    )

    with pytest.raises(Misuse, match="https"):
        ShopFolder(tmp_path).url(listens=HERE)


def test_the_database_is_the_folders_file_unless_another_is_named(folder: ShopFolder) -> None:
    assert folder.database() == folder.path / "counter.sqlite3"
    (folder.path / "shop.json").write_text(
        json.dumps({**SETTINGS, "database": "postgresql://db/corner"})
    )

    assert folder.database() == "postgresql://db/corner"
    assert folder.database("postgresql://db/other") == "postgresql://db/other"


def test_trust_is_given_and_taken_away(folder: ShopFolder) -> None:
    folder.trust(HERE, {"warranty": ["w"], "member": ["m"]})
    folder.trust(ISSUER, {"warranty": ["w", "v"]}, {ISSUER: "http://127.0.0.1:9"})

    assert folder.settings().trusts == {
        HERE: {"warranty": ("w",), "member": ("m",)},
        ISSUER: {"warranty": ("w", "v")},
    }
    assert [(one.name, one.vcts) for one in folder.askable()] == [
        ("member", ("m",)),
        ("warranty", ("w", "v")),
    ]
    # A developer's issuer is reached where it says it is, and no other on loopback.
    assert folder.settings().routes() == {HERE: HERE, ISSUER: "http://127.0.0.1:9"}
    folder.trust(HERE, {})
    assert set(folder.settings().trusts) == {ISSUER}


def test_an_issuer_answers_a_preset_with_the_types_beside_it_alone(folder: ShopFolder) -> None:
    """A type that two issuers have, each for a question of its own."""
    folder.trust(HERE, {"member": ["shared", "m"]})
    folder.trust(ISSUER, {"warranty": ["shared"]})
    file = folder.path / "shop.json"
    jwk = {**MemorySigner.generate().public.jwk()}
    listed = {"url": "https://trade.example", "jwk": jwk, "presets": {"member": ["shared"]}}
    file.write_text(json.dumps({**json.loads(file.read_text()), "trust_lists": [listed]}))
    asked = {preset.name: preset for preset in folder.askable()}

    def answers(preset: str, issuer: str, vct: str = "shared") -> bool:
        credential = VerifiedCredential(
            issuer, vct, (), None, {}, None, None, None, None, None, None
        )
        presented = Presented(
            credential=credential,
            disclosed=frozenset(),
            bound_at=NOON,
            unbound=(),
            status=lambda _: StatusAt(0, NOON),
            now=NOON,
        )
        found = asked[preset].policy().judge(presented)
        return "issuer-not-accepted" not in [one.code for one in found.reasons]

    assert answers("warranty", ISSUER)
    assert not answers("warranty", HERE)
    assert not answers("warranty", "https://of-the-list.example")
    assert answers("member", HERE)
    assert answers("member", HERE, "m")
    assert not answers("member", ISSUER)
    assert answers("member", "https://of-the-list.example")
    assert not answers("member", "https://of-the-list.example", "m")


def test_what_may_not_be_trusted_changes_nothing(folder: ShopFolder) -> None:
    before = contents(folder)
    for issuer, by_preset in (
        ("http://audio.example", {"warranty": ["w"]}),
        ("ftp://audio.example", {"warranty": ["w"]}),
        (ISSUER, {"no-such-preset": ["w"]}),
    ):
        with pytest.raises(Malformed):
            folder.trust(issuer, by_preset)

    assert contents(folder) == before


def test_loopback_is_plain_http_on_this_machine_and_nothing_that_looks_like_it() -> None:
    assert all(map(is_on_loopback, ["http://127.0.0.1:1/x", "http://localhost", "http://[::1]:9"]))
    assert not any(
        map(
            is_on_loopback,
            ["https://127.0.0.1", "http://127.0.0.2", "http://127.0.0.1.example", "http://[::1"],
        )
    )


def test_presets_are_the_folders_own(folder: ShopFolder) -> None:
    place = folder.path / "presets"
    ours = json.loads((place / "warranty.json").read_text())
    (place / "hire.json").write_text(json.dumps({**ours, "name": "hire"}))
    assert set(folder.presets()) == {"warranty", "member", "return", "voucher", "hire"}

    (place / "again.json").write_text(json.dumps(ours))
    with pytest.raises(Malformed, match="warranty twice"):
        folder.presets()
    (place / "again.json").write_text("{")
    with pytest.raises(Malformed, match=r"presets/again\.json"):
        folder.presets()


def test_somebody_trusted_for_a_preset_that_is_gone_is_named(folder: ShopFolder) -> None:
    folder.trust(HERE, {"member": ["m"]})
    (folder.path / "presets" / "member.json").unlink()

    with pytest.raises(Malformed, match="member"):
        folder.askable()


def test_a_preset_finds_its_authorities_in_the_folder(folder: ShopFolder) -> None:
    folder.trust(HERE, {"warranty": [WARRANTY_TYPE]})
    file = folder.path / "presets" / "warranty.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "authorities": "trade.pem"}))

    with pytest.raises(Malformed, match=r"certificates in PEM, found none \(trade\.pem\)"):
        folder.askable()
    trade = Party("Trade", extensions=(*authority(), key_id(b"trade")))
    pem = trade.certificate.public_bytes(Encoding.PEM)
    (folder.path / "trade.pem").write_bytes(pem + pem)

    (preset,) = folder.askable()
    (asked,) = preset.query().credentials
    assert asked.trusted_authorities == (AuthorityQuery("aki", (b64url(b"trade"),)),)


def test_settings_say_how_wallets_know_the_shop() -> None:
    assert (parsed().client_id, parsed().way) == (Prefix.DECENTRALIZED_IDENTIFIER, Way.GET)
    settings = parsed(
        client_id="x509_hash",
        certificates="certificates.pem",
        request="post",
        encrypted_answers=True,
        strict=True,
        anchors={ISSUER: "trade.pem"},
        return_to="https://shop.example/done",
    )

    assert (settings.client_id, settings.certificates) == (Prefix.X509_HASH, "certificates.pem")
    assert (settings.way, settings.encrypts_answers, settings.is_strict) == (Way.POST, True, True)
    assert settings.return_to == "https://shop.example/done"


KEY = MemorySigner.from_private_bytes(bytes(31) + b"1").public.jwk()
LIST = {"url": "https://trade.example/list", "jwk": KEY, "presets": {}}
CHAIRS = "did:web:chairs.example"


@pytest.mark.parametrize(
    "changes",
    [
        {"anchors": {}},
        {"anchors": {}, "keys": {ISSUER: [{"jwk": KEY}]}},
        {"trusts": {ISSUER: {"warranty": [WARRANTY_TYPE]}, CHAIRS: {"member": ["m"]}}},
        {"trust_lists": [LIST]},
    ],
    ids=["as it publishes", "by its keys", "one by its DID", "by a list"],
)
def test_a_strict_shop_knows_issuers_by_certificates_alone(changes: dict[str, object]) -> None:
    trusted: dict[str, object] = {"anchors": {ISSUER: "trade.pem"}, **changes}

    assert not parsed(**trusted).is_strict
    with pytest.raises(Malformed, match=r"anchors for each issuer \(strict\)"):
        parsed(strict=True, **trusted)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": 1},
        {"trusts": []},
        {"trusts": {ISSUER: []}},
        {"trusts": {ISSUER: {"warranty": WARRANTY_TYPE}}},
        {"trusts": {HERE: {"warranty": [WARRANTY_TYPE]}}},
        {"trusts": {"http://audio.example": {}}, DEVELOPMENT: True},
        {"trust": {}},
        {"loopback_routes_unsafely": []},
        {DEVELOPMENT: "yes"},
        {"public_url": 1},
        {"client_id": "pre-registered"},
        {"request": "fax"},
        {"strict": 1},
        {"certificates": "../others.pem"},
        {"certificates": ".."},
        {"certificates": ""},
        {"loopback_webhooks_for_development_only": ["http://127.0.0.1:9000"]},
        {
            "loopback_webhooks_for_development_only": ["https://events.example"],
            DEVELOPMENT: True,
        },
    ],
    ids=str,
)
def test_wrong_settings_are_named(changes: dict[str, object]) -> None:
    with pytest.raises(Malformed) as malformed:
        parsed(**changes)

    assert malformed.value.where.startswith("shop.json")
