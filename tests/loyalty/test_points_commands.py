"""Each command of `counterfoil loyalty`, as a process of its own, and what it says as JSON."""

import json
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.fetch import GuardedFetcher, MemoryFetcher, Response
from counterfoil_loyalty import Points, PointsClient
from counterfoil_loyalty.accounts import PointsSigner
from counterfoil_loyalty.audit import DIFFERS, LedgerRead, ServiceRead, audit
from counterfoil_loyalty.brand_desk import BrandDesk
from counterfoil_loyalty.cli import main
from counterfoil_loyalty.cli_commands import count_of
from counterfoil_loyalty.keccak import keccak256
from counterfoil_loyalty.ledger import EmbeddedLedger
from counterfoil_loyalty.memory_ledger import MemoryLedger
from counterfoil_loyalty.points_folder import relayer_key
from counterfoil_loyalty.rates import Rate
from counterfoil_service.access import load_or_create_key

from tests.loyalty.anvil import anvil
from tests.loyalty.programme import AUDIO, BICYCLE, NOW, Clock, seeded
from tests.loyalty.test_service import ORIGIN, Street, street_on

COUNTERFOIL = [
    sys.executable,
    "-c",
    "import sys; from counterfoil_loyalty.cli import main; sys.exit(main(sys.argv[1:]))",
]
REF = "ab" * 32


def run(*words: object, status: int = 0) -> dict[str, Any]:
    """Give what a command says with `--json`, in a process of its own."""
    done = subprocess.run(
        [*COUNTERFOIL, *map(str, words), "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    assert len(done.stderr.splitlines()) == (0 if status == 0 else 1), done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@contextmanager
def serving(folder: Path, *options: str) -> Generator[str]:
    """Run the service on a chain of its own; give its address."""
    process = subprocess.Popen(
        [*COUNTERFOIL, "serve", str(folder), *options], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        said = ""
        for said in process.stdout:
            if said.startswith("points listen"):
                break
        yield said.split()[-1]
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def deploy(folder: Path, keys: Path, *options: str) -> list[dict[str, Any]]:
    """Deploy a programme with two brands, each with its key."""
    found: list[dict[str, Any]] = []
    for brand, price in ((AUDIO, 100), (BICYCLE, 50)):
        key = keys / f"{brand.split('//')[1]}.key"
        run("key", key)
        named = ("--brand", brand, "--name", "Points", "--symbol", "PTS", "--price", price)
        found.append(run("deploy", folder, *named, "--key", key, *options))
    return found


def agree(url: str, keys: Path) -> None:
    """Open a corridor from one brand to the other, as both sign it."""
    fetcher = GuardedFetcher(timeout_s=30, loopback_routes_unsafely={url: url})
    client = PointsClient(fetcher, url)
    ends_at = int(datetime.now(UTC).timestamp()) + 30 * 86_400
    terms = client.terms(AUDIO, BICYCLE, Rate(3, 2), version=1, ends_at=ends_at)
    signers = [
        PointsSigner(keccak256(load_or_create_key(keys / f"{name}.example.key").encode()))
        for name in ("audio", "bicycle")
    ]
    client.agree(terms, *(client.sign_terms(terms, signer) for signer in signers))


@pytest.mark.loopback
@pytest.mark.once
def test_each_command_does_what_it_says(tmp_path: Path) -> None:
    folder, keys = tmp_path / "points", tmp_path
    first, second = deploy(folder, keys)
    assert first["exchange"] == second["exchange"]
    secret, refs = keys / "customer.secret", keys / "refs.secret"
    run("key", refs)
    account = run("key", secret, "--with", AUDIO)["account"]
    customer = ("--secret", secret)

    with serving(folder) as url:
        agree(url, keys)
        earned = (
            *("award", url, AUDIO, "10.00", "--account", account, "--order", "1001"),
            *("--key", keys / "audio.example.key", "--ref-secret", refs),
        )
        assert run(*earned) == run(*earned)
        assert run("quote", url, AUDIO, "2", BICYCLE)["receives"] == "3.00"
        swap = ("exchange", url, AUDIO, "2", BICYCLE, *customer)
        refused = run(*swap, "--least", "3.01", status=1)
        assert refused["reasons"][0]["code"] == "below-minimum"
        swapped = run(*swap, "--id", REF)
        assert (swapped["gave"], swapped["received"]) == ("2.00", "3.00")
        redeemed = run("redeem", url, BICYCLE, "1", *customer, "--id", REF)
        assert redeemed == run("redeem", url, BICYCLE, "1", *customer, "--id", REF)
        assert run("balance", url, *customer)["balances"] == [
            {"brand": AUDIO, "amount": "8.00"},
            {"brand": BICYCLE, "amount": "2.00"},
        ]
        moved = [entry["amount"] for entry in run("history", url, *customer)["history"]]
        assert sorted(moved) == ["-1.00", "-2.00", "10.00", "3.00"]
        assert run("settle", url, AUDIO, BICYCLE)["owed"] == "15000"
        paid = ("--paid", 5_000, "--ref", REF, "--key", keys / "bicycle.example.key")
        assert run("settle", url, AUDIO, BICYCLE, *paid)["owed"] == "10000"
        assert run("settle", url, AUDIO, BICYCLE, *paid)["owed"] == "10000"
        cycle = run("settle", url, AUDIO, BICYCLE, AUDIO, "--number", 1, status=1)
        assert cycle["reasons"][0]["code"] == "no-cycle"
        audited = run("audit", url)
        assert (audited["exchanges"], audited["brands"], audited["accounts"]) == (1, 2, 2)
        assert audited["total_value"] == str(800 * 100 + 200 * 50)


@pytest.mark.loopback
@pytest.mark.once
def test_a_programme_is_deployed_on_a_chain_by_url_and_audited_there(tmp_path: Path) -> None:
    with anvil("--block-time", "1", at=int(datetime.now(UTC).timestamp())) as node:
        node.endow(PointsSigner(relayer_key(tmp_path / "points")).account)
        options = ("--chain", node.url, "--finality", "2")

        placed = deploy(tmp_path / "points", tmp_path, *options)

        read = ("audit", *options, "--exchange", placed[0]["exchange"])
        assert run(*read)["brands"] == 2
        elsewhere = run("deploy", tmp_path / "poor", *options, "--wait", "2", status=1)
        assert elsewhere["error"] == "unavailable"


@pytest.mark.parametrize(
    "words",
    [
        ("quote", "http://points.example", AUDIO, "1", BICYCLE),
        ("quote", "https://points.example", AUDIO, "1.234", BICYCLE),
        ("balance", "https://points.example", "--secret", "/nowhere/customer.secret"),
        ("redeem", "https://points.example", AUDIO, "1", "--secret", "/nowhere", "--id", "short"),
        ("settle", "https://points.example", AUDIO),
        ("settle", "https://points.example", AUDIO, BICYCLE, "--paid", "1"),
        ("settle", "https://points.example", AUDIO, AUDIO),
        ("quote", "https://points.example", AUDIO, "0.00", BICYCLE),
        ("settle", "https://points.example", AUDIO, BICYCLE, "https://coat.example"),
        ("audit",),
        ("audit", "--chain", "http://127.0.0.1:1"),
        ("audit", "--chain", "embedded", "--exchange", "0x" + "11" * 20),
        ("deploy", "nowhere", "--chain", "none"),
        ("deploy", "nowhere", "--brand", AUDIO),
    ],
)
def test_a_command_that_is_misused_says_so_in_one_line_and_ends_with_2(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given = [str(tmp_path / word) if word == "nowhere" else word for word in words]

    status = main([*given, "--json"])

    said = capsys.readouterr()
    assert (status, json.loads(said.out)["error"]) == (2, "misuse")
    assert len(said.err.splitlines()) == 1


@pytest.fixture
def on_either(ledger: EmbeddedLedger, clock: Clock) -> Iterator[Street]:
    yield from street_on(ledger, clock)


@pytest.fixture
def street(clock: Clock) -> Iterator[Street]:
    yield from street_on(MemoryLedger(now=NOW, random=seeded("audit")), clock)


def busy(street: Street) -> None:
    street.award()
    quote = street.client.quote(Points(AUDIO, 200), BICYCLE)
    street.client.exchange(quote, street.accounts, b"s" * 32)
    street.client.redeem(Points(BICYCLE, 100), street.accounts, b"r" * 32, now=street.now)


def test_an_audit_counts_what_happened_at_a_service_and_on_its_ledger(on_either: Street) -> None:
    busy(on_either)

    by_service = audit(ServiceRead(on_either.client))

    assert by_service == audit(LedgerRead(on_either.relayer.ledger))
    assert (by_service.exchanges, by_service.accounts) == (1, 2)
    assert by_service.total_value == 800 * 100 + 200 * 50


@pytest.mark.parametrize(
    ("path", "before", "after", "where"),
    [
        ("/supply", '"units":800', '"units":801', f"supply of {AUDIO}"),
        ("/accounts/", '"units":800', '"units":799', "balance of"),
        ("/claims", '"owed":"15000"', '"owed":"14000"', "claim of"),
        ("/claims", '"owed":"-15000"', '"owed":"15000"', "claim of"),
        ("/events", '"amountOut":300', '"amountOut":401', "Swapped"),
        ("/events", '"oldPrice":100', '"oldPrice":90', "oldPrice"),
        ("/events", '"owed":15000', '"owed":15001', "Booked.owed"),
    ],
)
def test_an_audit_names_the_first_thing_that_a_service_says_and_is_not_so(
    street: Street, path: str, before: str, after: str, where: str
) -> None:
    busy(street)
    if "oldPrice" in where:
        street.clock.advance(7 * 86_400)
        street.award(order="a block at this time")
        BrandDesk(street.client, AUDIO, street.audio).change_price(99)
    fetcher = MemoryFetcher()
    changed: list[str] = []

    def handle(method: str, at: str, headers: Mapping[str, str], body: bytes) -> Response:
        answer = street.http.request(method, at, headers=dict(headers), content=body)
        text = answer.text
        if at.startswith(path) and before in text:
            changed.append(at)
            text = text.replace(before, after)
        return Response(answer.status_code, "application/json", text.encode())

    fetcher.serve(ORIGIN, handle)
    with pytest.raises(Refused) as refusal:
        audit(ServiceRead(PointsClient(fetcher, ORIGIN)))

    assert changed
    assert refusal.value.codes == [DIFFERS]
    assert where in refusal.value.reasons[0].where


def test_deploy_keeps_its_outbox_where_database_says(
    tmp_path: Path, postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["deploy", str(tmp_path / "points"), "--database", postgres_url, "--json"]

    assert main(command) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(command) == 0

    assert json.loads(capsys.readouterr().out) == first
    assert not (tmp_path / "points" / "points.sqlite3").exists()


def test_a_folder_in_place_of_a_key_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["balance", "https://points.example", "--secret", "."]) == 2

    assert "a key in . (" in capsys.readouterr().err


def test_points_are_made_under_no_name_that_is_not_https(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = str(tmp_path / "audio.key")
    assert main(["key", key]) == 0
    named = ("--name", "Points", "--symbol", "PTS", "--price", "100", "--key", key)

    status = main(["deploy", str(tmp_path / "points"), "--brand", "http://audio.example", *named])

    assert status == 2
    assert "(--brand)" in capsys.readouterr().err
    assert not (tmp_path / "points").exists()


def test_one_of_a_thing_is_told_as_one() -> None:
    assert [count_of(it, "account") for it in range(3)] == ["0 accounts", "1 account", "2 accounts"]
