"""What the product's rows promise of the wallet, by the rows' names."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from counterfoil_consent.sealing import OpeningKey, Role, SealedBundle, open_share
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import parse_object
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.fetch import GuardedFetcher
from counterfoil_credentials.holder_proof import check_proof, make_proof
from counterfoil_wallet import Finished, InForce, MemoryStore, Trust, Wallet
from counterfoil_wallet.passphrase import Cost

from tests.conftest import Clock
from tests.issuer.brand import AUDIO
from tests.wallet.conftest import CHEAP, PASSPHRASE
from tests.wallet.killed import SECRET, Kill, Victims
from tests.wallet.town import CUSTODIAN, SERIAL, TILL, VELO, WARRANTY_TYPE, Town, Wire


@pytest.fixture(autouse=True)
def _guesses_are_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Derive cheaply: these rows are not about guessing."""

    def cheap() -> Cost:
        return CHEAP

    for module in ("sqlite_store", "envelope"):
        monkeypatch.setattr(f"counterfoil_wallet.{module}.Cost", cheap)


@pytest.fixture
def town(clock: Clock, random_bytes: Callable[[int], bytes], tmp_path: Path) -> Iterator[Town]:
    town = Town(clock, random_bytes, tmp_path / "brand")
    yield town
    town.issuer_store.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "wallet"


@pytest.fixture
def lived(town: Town, folder: Path) -> Iterator[Wallet]:
    """Give a wallet on disk in which something of each kind has happened."""
    with created(town, folder) as wallet:
        accept(town, wallet)
        wallet.present(wallet.matches(town.counter.ask("warranty").link).choose())
        first, _ = [
            wallet.grant(wallet.asked_terms(town.receiver.request(town.wish()).link).choose())
            for _ in range(2)
        ]
        wallet.withdraw(first.grant_id)
        yield wallet


def created(town: Town, folder: Path) -> Wallet:
    return Wallet.create(
        folder,
        PASSPHRASE,
        fetcher=town.network,
        clock=town.clock,
        random=town.random,
        trust=Trust(custodians={CUSTODIAN: town.custodian.party.did}),
    )


def accept(town: Town, wallet: Wallet, order: str = "#1001") -> None:
    offer = town.offer(order)
    wallet.accept(offer.link, tx_code=offer.tx_code)


def serial_of(wallet: Wallet) -> str:
    (warranty,) = [card for card in wallet.credentials() if card.vct == WARRANTY_TYPE]
    item = warranty.claims["item"]
    assert isinstance(item, dict)
    return str(item["serial"])


def test_row_A1_a_fresh_wallet_makes_its_identity_offline_and_a_brand_accepts_it_later(  # noqa: N802
    town: Town, folder: Path, clock: Clock
) -> None:
    # Sockets are closed in this test, and this is the fetcher that would open one.
    with Wallet.create(folder, PASSPHRASE, fetcher=GuardedFetcher()) as offline:
        mine, another = offline.identifier(AUDIO), offline.identifier(TILL)
    assert mine.did.startswith("did:jwk:")
    assert mine.did != another.did

    with Wallet.open(folder, PASSPHRASE, fetcher=town.network, clock=clock) as wallet:
        identity = wallet.identifier(AUDIO)
        proof = make_proof(identity.signer, issuer=AUDIO, nonce="asked once", now=clock())
        accept(town, wallet)
        cards = wallet.credentials()

    met = check_proof(proof, issuer=AUDIO, now=clock(), max_age=timedelta(minutes=1))
    assert did_jwk(met.key) == identity.did == mine.did
    assert len(cards) == town.in_force() == 2


def test_row_A7_only_who_has_the_key_can_read(  # noqa: N802
    town: Town, folder: Path, lived: Wallet
) -> None:
    """The file without its passphrase, what servers pass on, and a wrong receiver's key."""
    serial, secret = serial_of(lived).encode(), lived.secret("points")
    keys = [card.signer.private_bytes() for card in lived.credentials()]
    wire = Wire(town.network)
    other = town.wallet(MemoryStore(), wire)
    accept(town, other, "#1002")
    lent = serial_of(other)
    terms = other.asked_terms(town.receiver.request(town.wish()).link)
    wire.sent.clear()
    granted = other.grant(terms.choose())

    # While it is open, and after it was locked.
    for _ in range(2):
        contents = b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
        assert len(contents) > 4_096
        for planted in (serial, secret, *keys, b"SQLite format", AUDIO.encode()):
            assert planted not in contents
        lived.lock()
    with pytest.raises(Refused) as refusal:
        Wallet.open(folder, f"{PASSPHRASE} ")
    assert refusal.value.codes == ["passphrase-wrong"]

    assert {url.split("/")[2] for _, url, _ in wire.sent} >= {VELO.split("/")[2]}
    assert not [url for _, url, body in wire.sent if lent.encode() in body]
    delivery = granted.terms.delivery_url(granted.grant_id)
    (sealed,) = [body for _, url, body in wire.sent if url == delivery]
    bundle = SealedBundle.from_bytes(sealed)
    wrong = OpeningKey.generate(town.random)
    with pytest.raises(Refused) as refusal:
        open_share(bundle.receiver_share, wrong, bundle.grant_id, Role.RECEIVER)
    assert refusal.value.codes == ["share-does-not-open"]
    with town.receiver.read(granted.grant_id, granted.terms.purpose) as facts:
        assert facts.one(SERIAL) == lent


def test_row_A11_everything_is_exported_in_open_formats_and_brought_into_a_second_wallet(  # noqa: N802
    town: Town, tmp_path: Path, lived: Wallet
) -> None:
    lived.export(tmp_path / "my-data", PASSPHRASE)
    issued = {path.read_text().strip() for path in (tmp_path / "my-data").rglob("*.sd-jwt")}
    consents = [
        parse_object(path.read_bytes(), "consent")
        for path in (tmp_path / "my-data").rglob("*.jsonld")
    ]
    # Each card has several copies, and is read from one of them.
    assert issued >= {str(card.sd_jwt) for card in lived.credentials()}
    assert len(consents) == len(lived.grants()) == 2
    assert all("@context" in consent for consent in consents)
    # And what the shop signed for what it was shown, with until when it keeps what.
    (receipt,) = (tmp_path / "my-data" / "receipts").iterdir()
    assert parse_object(receipt.read_bytes(), "receipt")["differs"] == []
    (shop,) = [seen for seen in lived.access_report() if seen.party == town.shop.client_id]
    assert shop.kept_until == town.clock() + timedelta(days=30, hours=1)

    with created(town, tmp_path / "second") as second:
        brought = second.import_from(tmp_path / "my-data", PASSPHRASE)

        assert (brought.known, brought.differing) == (0, 0)
        assert [
            (card.credential_id, card.claims, card.accepted_at) for card in second.credentials()
        ] == [(card.credential_id, card.claims, card.accepted_at) for card in lived.credentials()]
        assert second.grants() == lived.grants()
        assert second.history() == lived.history()
        assert second.access_report() == lived.access_report()
        # What came along is in use: shown, and taken back.
        second.present(second.matches(town.counter.ask("warranty").link).choose())
        (running,) = [grant for grant in second.grants() if isinstance(grant, InForce)]
        second.withdraw(running.grant_id)


def test_row_A12_a_wallet_killed_in_the_middle_opens_and_has_lost_nothing(  # noqa: N802
    town: Town, folder: Path
) -> None:
    Wallet.create(folder, SECRET, random=town.random).lock()
    offer = town.offer()
    victims = Victims()
    try:
        said = victims.run(
            "accept",
            {
                "folder": str(folder),
                "now": town.clock().isoformat(),
                "origins": f"{AUDIO} {TILL} {VELO} {CUSTODIAN}",
                "link": offer.link,
                "tx_code": offer.tx_code or "",
            },
            network=town.network,
            # The issuer has made a credential, and its answer does not arrive.
            kill=Kill(line=6, before_sending=False, answered=False, delay_s=0.0),
        )
    finally:
        victims.close()

    with Wallet.open(folder, SECRET, fetcher=town.network, clock=town.clock) as wallet:
        (state,) = wallet.resume().acceptances
        assert said == []
        assert isinstance(state, Finished)
        assert wallet.damaged() == []
        assert len(wallet.credentials()) == town.in_force() == 2


def test_row_A12_a_lost_phone_comes_back_from_its_backup_and_by_contacts(  # noqa: N802
    town: Town, tmp_path: Path, lived: Wallet
) -> None:
    shares = lived.split_recovery_key(["Mei", "Jun", "Ana"], 2)
    lived.backup(tmp_path / "wallet.backup", PASSPHRASE)
    before = ([card.claims for card in lived.credentials()], lived.grants(), lived.history())
    words = [share.words for share in shares]

    restored = Wallet.restore(tmp_path / "wallet.backup", tmp_path / "new", PASSPHRASE)
    recovered = Wallet.restore(
        tmp_path / "wallet.backup", tmp_path / "newer", "another", shares=words[1:]
    )
    with pytest.raises(Refused):
        Wallet.restore(tmp_path / "wallet.backup", tmp_path / "no", "another", shares=words[:1])

    for wallet in (restored, recovered):
        with wallet:
            after = [card.claims for card in wallet.credentials()]
            assert (after, wallet.grants(), wallet.history()) == before
    assert not Wallet.exists(tmp_path / "no")


def test_row_A12_a_damaged_file_is_named_and_what_is_intact_is_brought_into_a_new_one(  # noqa: N802
    tmp_path: Path, folder: Path, lived: Wallet
) -> None:
    before = [card.credential_id for card in lived.credentials()]
    lived.lock()
    file = folder / "wallet.db"
    data = bytearray(file.read_bytes())
    # Each page is authenticated, so one bit of one is enough.
    data[4 * 4_096 + 100] ^= 1
    file.write_bytes(data)

    with pytest.raises(Malformed), Wallet.open(folder, PASSPHRASE) as damaged:
        damaged.check()
    saved = Wallet.salvage(folder, PASSPHRASE, tmp_path / "saved")

    with Wallet.open(tmp_path / "saved", PASSPHRASE) as wallet:
        after = [card.credential_id for card in wallet.credentials()]
    assert set(after) <= set(before)
    assert saved.lost or after == before
    assert file.read_bytes() == data


def test_row_A12_a_message_that_comes_again_changes_nothing(  # noqa: N802
    town: Town,
) -> None:
    wire = Wire(town.network)
    wallet = town.wallet(MemoryStore(), wire)
    offer = town.offer()
    first = wallet.accept(offer.link, tx_code=offer.tx_code)
    asked = wallet.matches(town.counter.ask("warranty").link)
    wallet.present(asked.choose())
    _, url, answer = wire.sent[-1]

    again = wallet.accept(offer.link, tx_code=offer.tx_code)
    with pytest.raises(Refused) as refusal:
        wallet.present(asked.choose())
    replayed = town.network.post(url, answer, media_type="application/x-www-form-urlencoded")

    assert again == first
    assert town.in_force() == 2
    assert refusal.value.codes == ["already-shown"]
    assert replayed.status == 400
