"""Several nodes of one chain: who fails is passed over, who lags is not read, who lies is left."""

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from counterfoil_credentials.errors import Misuse, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_loyalty.fees import Fees, fees_from
from counterfoil_loyalty.nodes import MAX_BEHIND, STANDS_STILL_S, Nodes
from counterfoil_loyalty.rpc import Call, Fault, RpcNode, quantity, word

GENESIS = "0x" + "ab" * 32
RAW = Call("eth_sendRawTransaction", ["0x02"])


class Node:
    """A node of a test: a height, a chain, and a mood."""

    def __init__(self, fetcher: MemoryFetcher, name: str, *, genesis: str = GENESIS) -> None:
        self.url = f"https://{name}.example"
        self.name = name
        self.height = 100
        self.is_dead = False
        self.body: bytes | None = None
        self.status = 200
        self.genesis = genesis
        self.asked: list[str] = []
        fetcher.serve(self.url, self.answer)
        self.node = RpcNode(fetcher, self.url)

    def answer(self, _: str, __: str, ___: Mapping[str, str], body: bytes) -> Response:
        calls = json.loads(body)
        self.asked += [call["method"] for call in calls]
        if self.is_dead:
            raise Unavailable("the test's node is dead")
        answers = [
            {"jsonrpc": "2.0", "id": call["id"], **self.said(call["method"])} for call in calls
        ]
        sent = json.dumps(answers[::-1]).encode() if self.body is None else self.body
        return Response(self.status, "application/json", sent)

    def said(self, method: str) -> dict[str, Any]:
        match method:
            case "eth_chainId":
                return {"result": "0x1"}
            case "eth_getBlockByNumber":
                return {"result": {"hash": self.genesis}}
            case "eth_blockNumber":
                return {"result": hex(self.height)}
            case "whoami":
                return {"result": self.name}
            case _:
                return {"error": {"code": -32000, "message": "already known"}}


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def fetcher() -> MemoryFetcher:
    return MemoryFetcher()


@pytest.fixture
def town(fetcher: MemoryFetcher) -> list[Node]:
    return [Node(fetcher, name) for name in ("one", "two", "three")]


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def nodes(town: list[Node], time: Time) -> Nodes:
    return Nodes([it.node for it in town], clock=time)


def who(nodes: Nodes) -> object:
    (answer,) = nodes.ask([Call("whoami")])
    return answer


def test_reads_stay_with_one_node_and_go_on_with_the_next_when_it_dies(
    nodes: Nodes, town: list[Node], time: Time
) -> None:
    assert [who(nodes) for _ in range(3)] == ["one"] * 3
    town[0].is_dead = True
    assert who(nodes) == "two"
    asked = len(town[0].asked)
    assert who(nodes) == "two"
    assert len(town[0].asked) == asked  # it rests
    town[0].is_dead = False
    time.now += 1_000
    nodes.look()
    assert who(nodes) == "two"  # nobody changes horses without need


def test_who_keeps_failing_rests_longer_each_time(
    nodes: Nodes, town: list[Node], time: Time
) -> None:
    town[0].is_dead = True
    tried: list[float] = []
    for _ in range(400):
        before = len(town[0].asked)
        nodes.look()
        if len(town[0].asked) > before:
            tried.append(time.now)
        time.now += 0.5
    pauses = [later - earlier for earlier, later in pairwise(tried)]
    assert pauses[:5] == sorted(pauses[:5])
    assert max(pauses) <= 31
    assert len(tried) < 15


def test_a_node_that_is_behind_is_not_read_from(nodes: Nodes, town: list[Node], time: Time) -> None:
    town[0].height = 100
    town[1].height = 100 + MAX_BEHIND
    nodes.look()
    assert who(nodes) == "one"
    town[1].height = town[2].height = 101 + MAX_BEHIND
    nodes.look()
    assert who(nodes) == "two"
    assert [it.height for it in nodes.look()] == [100, 101 + MAX_BEHIND, 101 + MAX_BEHIND]
    town[1].is_dead = town[2].is_dead = True
    assert who(nodes) == "one"  # better late than never


@pytest.mark.parametrize("lead", [MAX_BEHIND + 1, 100, 2**255])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_height_that_one_node_alone_claims_draws_no_reads(
    nodes: Nodes, town: list[Node], time: Time, lead: int, place: int
) -> None:
    for _ in range(5):
        for node in town:
            node.height += 1
        town[place].height = town[place - 1].height + lead
        nodes.look()
        assert who(nodes) != town[place].name
        time.now += STANDS_STILL_S - 1
    town[place - 1].is_dead = town[place - 2].is_dead = True
    assert who(nodes) == town[place].name  # it is all there is


def test_when_the_majority_stands_still_the_one_that_goes_on_is_read_until_they_are_back(
    nodes: Nodes, town: list[Node], time: Time
) -> None:
    time.now += STANDS_STILL_S
    town[1].height += 5
    nodes.look()
    assert who(nodes) == "two"
    town[1].height = 2**255  # more than any chain grows in that time
    nodes.look()
    assert who(nodes) in ("one", "three")
    town[1].height = 150
    nodes.look()
    town[0].height = town[2].height = 120
    nodes.look()
    assert who(nodes) in ("one", "three")


def test_writes_go_to_every_node_that_is_well(nodes: Nodes, town: list[Node]) -> None:
    town[1].is_dead = True
    answers = nodes.tell([RAW, RAW])
    assert len(answers) == 2
    for found in answers:
        assert found == [Fault(-32000, "already known", "")] * 2
    for node in (town[0], town[2]):
        assert node.asked.count("eth_sendRawTransaction") == 2


def test_a_node_of_another_chain_is_never_asked_for_anything_else(
    fetcher: MemoryFetcher, town: list[Node], time: Time
) -> None:
    foreign = Node(fetcher, "foreign", genesis="0x" + "cd" * 32)
    nodes = Nodes([town[0].node, foreign.node], clock=time)
    nodes.tell([RAW])
    town[0].is_dead = True
    with pytest.raises(Unavailable):
        nodes.ask([Call("whoami")])
    assert {"whoami", "eth_sendRawTransaction"}.isdisjoint(foreign.asked)
    assert [it.is_well for it in nodes.look()] == [False, False]


def test_a_node_that_comes_back_as_another_chain_is_left(
    nodes: Nodes, town: list[Node], time: Time
) -> None:
    town[0].is_dead = True
    assert who(nodes) == "two"
    town[0].is_dead, town[0].genesis = False, "0x" + "cd" * 32
    time.now += 1_000
    nodes.look()
    town[1].is_dead = town[2].is_dead = True
    with pytest.raises(Unavailable):
        who(nodes)
    assert town[0].asked.count("whoami") == 1  # as it died, and never again


def test_without_any_node_that_answers_nothing_begins(fetcher: MemoryFetcher, time: Time) -> None:
    with pytest.raises(Misuse):
        Nodes([], clock=time)
    with pytest.raises(Unavailable):
        Nodes([RpcNode(fetcher, "https://nobody.example")], clock=time)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"{}",
        b"[]",
        b"[1]",
        b'[{"id": 0}]',
        b'[{"id": 1, "result": "0x1"}]',
        b'[{"id": "0", "result": "0x1"}]',
        b'[{"id": false, "result": "0x1"}]',
        b'{"id": 0, "error": {"code": -32600, "message": "batches are off"}}',
        b'[{"id": 0, "result": "0x1"}, {"id": 0, "result": "0x1"}]',
        b"[" * 5_000 + b"]" * 5_000,
    ],
)
def test_an_answer_out_of_shape_is_no_answer(
    fetcher: MemoryFetcher, town: list[Node], body: bytes
) -> None:
    town[0].body = body
    with pytest.raises(Unavailable):
        town[0].node.ask([Call("whoami")])


def test_a_status_other_than_200_is_no_answer(town: list[Node]) -> None:
    for status in (204, 301, 403, 429, 500, 503):
        town[0].status = status
        with pytest.raises(Unavailable) as lost:
            town[0].node.ask([Call("whoami")])
        assert "one.example" not in str(lost.value)


def test_an_address_that_leads_nowhere_is_the_operator_s_mistake() -> None:
    from counterfoil_credentials.fetch import GuardedFetcher

    with pytest.raises(Misuse):
        RpcNode(GuardedFetcher(), "http://10.0.0.1:8545").ask([Call("whoami")])


def test_a_great_many_calls_are_asked_in_several_requests_and_answered_in_order(
    town: list[Node],
) -> None:
    calls = [Call("eth_blockNumber" if number % 3 else "whoami") for number in range(250)]
    answers = town[0].node.ask(calls)
    assert answers == ["0x64" if number % 3 else "one" for number in range(250)]


@pytest.mark.parametrize(
    "value", [None, 17, "1", "0x", "0xzz", "0x-1", "0x1_0", "0x" + "1" * 65, "0x١", "0x1\n", [], {}]
)
def test_what_is_no_number_is_not_read_as_one(value: Any) -> None:  # noqa: ANN401
    with pytest.raises(Unavailable):
        quantity(value, "test")


@pytest.mark.parametrize("value", [None, 1, "ab", "0xabc", "0xzz", Fault(1, "", "")])
def test_what_is_no_bytes_is_not_read_as_bytes(value: Any) -> None:  # noqa: ANN401
    with pytest.raises(Unavailable):
        word(value, "test")


def test_the_fee_outlasts_full_blocks_and_stays_below_its_cap() -> None:
    history: Any = {
        "baseFeePerGas": ["0x64", "0x65", "0xc8"],
        "reward": [["0x1"], ["0x5"], ["0x9"]],
    }
    assert fees_from(history, cap_wei=10**9) == Fees(tip_wei=5, fee_wei=405)
    assert fees_from(history, cap_wei=300) == Fees(tip_wei=5, fee_wei=300)
    assert fees_from({"baseFeePerGas": ["0x64"]}, cap_wei=10**9) == Fees(0, 200)
    broken: list[Any] = [None, {}, {"baseFeePerGas": []}, {"baseFeePerGas": [1]}, Fault(1, "", "")]
    for wrong in broken:
        with pytest.raises(Unavailable):
            fees_from(wrong, cap_wei=10**9)
