"""What the customer reads before she agrees is what it says, whoever wrote the words in it."""

import json
import secrets
from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
from counterfoil_credentials.claims import ClaimPath, values_at
from counterfoil_credentials.dcql import ClaimQuery
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.sdjwt import Disclosable, SdJwt, disclose
from counterfoil_credentials.sdjwt_vc import issue_credential, read_credential
from counterfoil_wallet import Disclosure, HeldCredential, Wallet, printable
from counterfoil_wallet.card_keys import CardKey
from counterfoil_wallet.cli import PASSPHRASE_VARIABLE, main
from counterfoil_wallet.disclosures import disclosure_of
from counterfoil_wallet.leaves import leaves
from counterfoil_wallet.wallet import utc_now
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import NOON, Clock
from tests.wallet.conftest import PASSPHRASE
from tests.wallet.strangers import BRAND, TYPE, StrangeIssuer, StrangeShop

LINES: Json = [{"serial": "A"}, {"serial": "B"}, {"serial": "C"}]
TRICKS = (
    "\x1b[2J",
    "\r",
    "\n",
    "\x7f",
    "\x9b",
    "\u202e",
    "\u2066",
    "\u200b",
    "\u2028",
    "\ufeff",
    "\x00",
)


@pytest.mark.parametrize(
    "trick", [*TRICKS, "\u061c", "\u200d", "\u3164", "\u2800", "\U000e0041", "\ue000"]
)
def test_nothing_in_a_printable_text_moves_hides_or_turns(trick: str) -> None:
    shown = printable(f"Your bank{trick}asks")

    assert shown.isprintable()
    assert shown.startswith("Your bank")
    assert shown.endswith("asks")
    assert set(trick).isdisjoint(set(shown) - set("[2J"))


@pytest.mark.parametrize(
    "text",
    [
        "Corner Shop",
        "Auricle \u2013 caf\u00e9",
        "\u8033\u673a \u4fdd\u4fee",
        "\u05d7\u05e0\u05d5\u05ea",
        "\U0001f3a7",
        "",
    ],
)
def test_an_honest_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_a_line_is_not_filled_up_to_the_next() -> None:
    assert printable("Shop" + " " * 70 + "\u3000\u00a0asks") == "Shop asks"


@given(st.text())
def test_a_printable_text_is_one_line_and_printing_it_twice_changes_nothing(text: str) -> None:
    shown = printable(text)

    assert shown.isprintable()
    assert printable(shown) == shown
    assert len(shown) <= len(text)


@pytest.fixture
def network() -> MemoryFetcher:
    return MemoryFetcher()


@pytest.fixture
def shop(network: MemoryFetcher, clock: Clock) -> StrangeShop:
    return StrangeShop(network, clock)


@pytest.fixture
def issuer(
    network: MemoryFetcher, clock: Clock, random_bytes: Callable[[int], bytes]
) -> StrangeIssuer:
    return StrangeIssuer(network, clock, random_bytes)


def holding(issuer: StrangeIssuer, claims: JsonObject, *concealed: ClaimPath) -> Wallet:
    """Give a wallet that holds one credential of these claims."""
    issuer.claims, issuer.concealed = claims, concealed
    wallet = Wallet.in_memory(fetcher=issuer.network, clock=issuer.clock)
    wallet.accept(issuer.link)
    return wallet


def about_lines(disclosure: Disclosure) -> list[tuple[str, Json, bool]]:
    return [(c.name, c.value, c.is_asked) for c in disclosure.claims if c.path[0] == "lines"]


def test_names_and_purpose_of_a_stranger_are_safe_to_show(
    issuer: StrangeIssuer, shop: StrangeShop
) -> None:
    shop.client_name, shop.purpose = "Your bank\x1b[2J\x1b[H", "To \u202esee\nKnown: yes"
    matches = holding(issuer, {"item": {"serial": "A"}}).matches(shop.link)

    assert matches.asker.claimed_name == "Your bank\ufffd[2J\ufffd[H"
    assert matches.purpose == "To \ufffdsee Known: yes"


def test_a_claim_is_shown_under_the_path_that_it_has_in_the_whole_credential(
    issuer: StrangeIssuer, shop: StrangeShop
) -> None:
    wallet = holding(issuer, {"lines": LINES}, ("lines", None))

    shop.claims = (ClaimQuery(("lines", None, "serial")),)
    (every,) = wallet.matches(shop.link).answers["warranty"]
    (held,) = wallet.credentials()
    last = disclosure_of(held, [("lines", 2, "serial")], query_id="warranty")

    assert about_lines(every) == [
        ("lines[0].serial", "A", True),
        ("lines[1].serial", "B", True),
        ("lines[2].serial", "C", True),
    ]
    assert about_lines(last) == [("lines[2].serial", "C", True)]


@pytest.mark.parametrize(
    ("concealed", "asked", "offered"),
    [
        # Cut down, the list would hold one element: the verifier would find no second.
        ([("lines", None)], ("lines", 1, "serial"), False),
        # It would find another second than the one that the customer saw.
        ([("lines", 0)], ("lines", 1, "serial"), False),
        ([("lines", None)], ("lines", 0, "serial"), True),
        ([("lines", 2)], ("lines", 1, "serial"), True),
        ([("lines", None, "serial")], ("lines", 1, "serial"), True),
    ],
)
def test_offers_only_what_the_verifier_will_read_as_the_customer_did(
    issuer: StrangeIssuer,
    shop: StrangeShop,
    concealed: list[ClaimPath],
    asked: ClaimPath,
    offered: bool,  # noqa: FBT001
) -> None:
    wallet = holding(issuer, {"lines": LINES}, *concealed)
    shop.claims = (ClaimQuery(asked),)

    matches = wallet.matches(shop.link)

    assert bool(matches.answers["warranty"]) == offered
    for disclosure in matches.answers["warranty"]:
        (asked_claim,) = [claim for claim in about_lines(disclosure) if claim[2]]
        left = read_credential(disclosure.sd_jwt).revealed.claims
        assert values_at(left, asked) == [asked_claim[1]]


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (("DE",), ["DE"]),
        (("FR",), ["FR"]),
        (("IL", "DE"), ["DE", "IL"]),
        ((), ["DE", "FR", "IL"]),
    ],
)
def test_of_a_list_only_what_has_a_value_that_was_asked_for_is_shown(
    issuer: StrangeIssuer, shop: StrangeShop, values: tuple[str, ...], shown: list[str]
) -> None:
    wallet = holding(issuer, {"nat": ["DE", "FR", "IL"]}, ("nat", None))
    shop.claims = (ClaimQuery(("nat", None), values=values),)

    (disclosure,) = wallet.matches(shop.link).answers["warranty"]

    assert [c.value for c in disclosure.claims if c.path[0] == "nat"] == shown
    assert read_credential(disclosure.sd_jwt).revealed.claims["nat"] == shown


def test_a_credential_is_taken_apart_once_however_often_it_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = held_with({"a": 1, "b": 2}, [("a",), ("b",)])
    taken_apart: list[SdJwt] = []

    class Counted(Disclosable):
        def __init__(self, sd_jwt: SdJwt) -> None:
            taken_apart.append(sd_jwt)
            super().__init__(sd_jwt)

    monkeypatch.setattr("counterfoil_wallet.held.Disclosable", Counted)
    for name in ("a", "b", "a"):
        shown = disclosure_of(held, [("of", name)], query_id="q")
        assert shown.sd_jwt == disclose(held.sd_jwt, [("of", name)])

    assert taken_apart == [held.sd_jwt]


NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    st.integers(0, 9),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(NAMES, below, max_size=3),
    max_leaves=8,
)
PATHS = st.lists(NAMES | st.integers(0, 2) | st.none(), min_size=1, max_size=4).map(tuple)


@given(
    claims=st.dictionaries(NAMES, VALUES, min_size=1, max_size=3),
    concealed=st.lists(PATHS, max_size=4),
    asked=st.lists(PATHS.map(lambda path: ("of", *path)), max_size=3),
)
def test_the_screen_lists_exactly_what_is_sent(
    claims: JsonObject, concealed: list[ClaimPath], asked: list[ClaimPath]
) -> None:
    # Issuing refuses to conceal at a path of the wrong kind.
    held = held_with(claims, [path for path in concealed if values_at(claims, path)])
    listed = disclosure_of(held, asked, query_id="q")

    left = read_credential(disclose(held.sd_jwt, asked)).revealed.claims
    sent = [value for _, value in leaves(left) if value not in ({}, [])]
    assert [claim.value for claim in listed.claims if claim.value not in ({}, [])] == sent
    for claim in listed.claims:
        assert values_at(held.claims, claim.path) == [claim.value]


def held_with(claims: JsonObject, concealed: list[ClaimPath]) -> HeldCredential:
    """Give a held credential of `claims`, by an issuer that conceals them so."""
    signer = MemorySigner.generate()
    sd_jwt = issue_credential(
        {"of": claims},
        vct=TYPE,
        issuer=BRAND,
        signer=signer,
        holder=signer.public,
        issued_at=NOON,
        expires_at=None,
        status=None,
        concealed=[("of", *path) for path in concealed],
        random=secrets.token_bytes,
    )
    verified = read_credential(sd_jwt).verify(signer.public)
    return HeldCredential.of(
        sd_jwt, verified, configuration_id="of", key=CardKey.own(signer), at=NOON
    )


def test_the_command_line_paints_no_screen_of_a_stranger(
    tmp_path_factory: pytest.TempPathFactory,
    issuer: StrangeIssuer,
    shop: StrangeShop,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trick = "".join(TRICKS)
    issuer.clock = shop.clock = utc_now
    issuer.claims = {f"na{trick}me": f"val{trick}ue", "item": {"serial": "A"}}
    issuer.concealed = ()
    issuer.expires_in = timedelta(days=1)
    shop.client_name = shop.purpose = f"a{trick}b"
    monkeypatch.setenv(PASSPHRASE_VARIABLE, PASSPHRASE)

    def fetcher(**_: object) -> MemoryFetcher:
        return issuer.network

    monkeypatch.setattr("counterfoil_wallet.cli.GuardedFetcher", fetcher)
    folder = str(tmp_path_factory.mktemp("screen") / "wallet")
    main(["create", folder])
    main(["accept", folder, issuer.link])
    for number, as_json in enumerate((["--json"], [])):
        shop.nonce = f"nonce {number}"
        monkeypatch.setattr("sys.stdin", StringIO("n\n"))
        capsys.readouterr()
        assert main(["present", folder, shop.link, *as_json]) == 0
        said = capsys.readouterr()
        assert_plain(said.err)
        assert "always visible: na" in said.err
        # The standing is ours to say, and comes before the name.
        assert said.err.startswith("Asked by a key, not a verified name: a")
    shop.nonce = "the last nonce"
    monkeypatch.setattr("sys.stdin", StringIO("y\n"))
    assert main(["present", folder, shop.link, "--json"]) == 0
    main(["history", folder])
    main(["history", folder, "--json"])
    said = capsys.readouterr()
    assert_plain(said.out)
    assert len([json.loads(line) for line in said.out.splitlines() if line.startswith("{")]) == 2


def assert_plain(printed: str) -> None:
    """Assert that nothing but text and our own line ends is there."""
    assert all(line.isprintable() for line in printed.split("\n"))
