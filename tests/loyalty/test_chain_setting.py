"""One setting says where points live: in the service, on anybody's EVM chain, or nowhere."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Misuse, Refused
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_loyalty.accounts import Account, PointsAccounts, PointsSigner
from counterfoil_loyalty.chain_setting import Embedded, NoChain, Nodes, chain_from
from counterfoil_loyalty.client import PointsClient
from counterfoil_loyalty.points import Points
from counterfoil_loyalty.points_folder import limit_on, open_points, relayer_key
from counterfoil_loyalty.rates import Rate
from counterfoil_loyalty.refusals import POINTS_OFF
from starlette.testclient import TestClient

from tests.loyalty.anvil import anvil
from tests.loyalty.programme import AUDIO, BICYCLE, SECRET

ORIGIN = "https://points.example"
OPERATOR = "the operator's key"
BRANDS = {AUDIO: PointsSigner(b"\x01" * 32), BICYCLE: PointsSigner(b"\x02" * 32)}
CUSTOMER = PointsAccounts(b"customer" * 4)


@pytest.fixture(
    params=[
        "embedded",
        pytest.param("evm", marks=[pytest.mark.loopback, pytest.mark.once]),
        "none",
    ]
)
def chain(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the setting's text, with a node behind it where it names one."""
    if request.param != "evm":
        yield request.param
        return
    # Blocks come as they do on a chain: every second, with the clock's time.
    with anvil("--block-time", "1", at=int(datetime.now(UTC).timestamp())) as node:
        node.endow(PointsSigner(relayer_key(tmp_path)).account)
        yield node.url


@pytest.fixture
def reopen(chain: str, tmp_path: Path) -> Iterator[Callable[[], PointsClient]]:
    """Give a function that starts the service in its folder (again), and a client of it."""
    with ExitStack() as last:
        running = [last.enter_context(ExitStack())]

        def start() -> PointsClient:
            running[-1].close()
            running.append(last.enter_context(ExitStack()))
            setting = chain_from(chain, finality="5") if chain.startswith("http") else None
            app = open_points(
                tmp_path, setting or chain_from(chain), running[-1], operator_key=OPERATOR
            )
            http = running[-1].enter_context(TestClient(app, base_url=ORIGIN))
            fetcher = MemoryFetcher()

            def handle(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
                answer = http.request(method, path, headers=dict(headers), content=body)
                return Response(answer.status_code, "application/json", answer.content)

            fetcher.serve(ORIGIN, handle)
            return PointsClient(fetcher, ORIGIN)

        yield start


def register(client: PointsClient, brand: str, price: int) -> None:
    signed = client.sign_registration(
        BRANDS[brand], brand=brand, name="Points", symbol="PTS", price=price
    )
    client.register(signed, operator_key=OPERATOR)


def test_row_J1_one_setting_picks_the_embedded_chain_an_evm_chain_or_none(  # noqa: N802
    chain: str, reopen: Callable[[], PointsClient]
) -> None:
    client = reopen()
    if chain == "none":
        for ask in (
            client.programmes,
            lambda: client.balances(CUSTOMER),
            lambda: client.history(CUSTOMER),
            lambda: client.quote(Points(AUDIO, 1), BICYCLE),
        ):
            with pytest.raises(Refused) as refusal:
                ask()
            assert refusal.value.codes == [POINTS_OFF]
        return
    now = datetime.now(UTC)
    register(client, AUDIO, 100)
    register(client, BICYCLE, 50)
    ends_at = int(now.timestamp()) + 86_400
    terms = client.terms(AUDIO, BICYCLE, Rate(3, 2), version=1, ends_at=ends_at)
    client.agree(terms, *(client.sign_terms(terms, brand) for brand in BRANDS.values()))
    account = CUSTOMER.of(AUDIO).account
    for _ in range(2):
        client.award(BRANDS[AUDIO], Points(AUDIO, 1_000), account, order="1001", secret=SECRET)
    exchanged = client.exchange(client.quote(Points(AUDIO, 200), BICYCLE), CUSTOMER, b"e" * 32)
    assert exchanged.received == Points(BICYCLE, 300)

    client = reopen()
    voucher = client.redeem(Points(BICYCLE, 100), CUSTOMER, b"r" * 32, now=now)
    assert client.redeem(Points(BICYCLE, 100), CUSTOMER, b"r" * 32, now=now) == voucher
    held = client.balances(CUSTOMER)
    assert (held[AUDIO].units, held[BICYCLE].units) == (800, 200)
    assert client.supply().units == {AUDIO: 800, BICYCLE: 200}
    kinds = [entry.kind for entry in client.history(CUSTOMER)]
    assert kinds == ["awarded", "exchanged", "exchanged", "redeemed"]


def test_the_setting_is_read_from_one_text() -> None:
    account = Account("0x" + "11" * 20)
    assert chain_from("embedded") == Embedded()
    assert chain_from("none") == NoChain()
    one, two = "https://node.example/key", "http://127.0.0.1:8545"
    found = chain_from(f"{one},{two}", exchange=account, first_block=7, finality="12")
    assert found == Nodes((one, two), account, 7, 12)
    assert isinstance(found, Nodes)
    assert found.loopback_origins == (two,)
    assert "key" not in repr(found)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Embedded",
        "off",
        "http://node.example",
        "http://10.0.0.1:8545",
        "http://127.0.0.1.example:8545",
        "ftp://node.example",
        "https://",
        "https://a.example,",
        "https://a.example embedded",
        "embedded,none",
        ",".join(["https://a.example"] * 17),
    ],
)
def test_another_text_is_no_setting(text: str) -> None:
    with pytest.raises(Misuse):
        chain_from(text)


def test_an_exchange_or_a_finality_that_makes_no_sense_is_refused() -> None:
    for text in ("embedded", "none"):
        with pytest.raises(Misuse):
            chain_from(text, exchange=Account("0x" + "11" * 20))
    for finality in ("", "-1", "safe", "1.5", "1234567"):
        with pytest.raises(Misuse):
            chain_from("https://a.example", finality=finality)


def test_a_customer_has_120_wishes_an_hour_where_somebody_pays_for_them() -> None:
    limit = limit_on(chain_from("https://node.example"), lambda: 1_000)
    assert limit is not None
    for _ in range(120):
        limit.take(CUSTOMER.of(AUDIO).account)

    with pytest.raises(Refused, match="120"):
        limit.take(CUSTOMER.of(AUDIO).account)
    assert limit_on(Embedded(), lambda: 1_000) is None
