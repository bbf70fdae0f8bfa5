"""A request with alternatives: the customer sees what is possible, and shows one whole answer."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import timedelta

import pytest
from counterfoil_credentials.dcql import (
    AuthorityQuery,
    ClaimQuery,
    CredentialQuery,
    CredentialSet,
    DcqlQuery,
)
from counterfoil_credentials.dcql_match import Candidate, judge
from counterfoil_credentials.encoding import Json, JsonObject, b64url
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_credentials.requests import parse_response_form
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import read_credential
from counterfoil_wallet import CredentialId, Matches, Wallet

from tests.conftest import Clock
from tests.credentials.authority import SIGNS, Party, authority, key_id, named_by
from tests.wallet.strangers import TYPE, StrangeIssuer, StrangeShop

ITEM = CredentialQuery("item", (TYPE,), (ClaimQuery(("item", "serial")),))
MEMBER = CredentialQuery("member", (TYPE,), (ClaimQuery(("level",)),))
ABSENT = CredentialQuery("absent", ("https://state.example/types/licence",), ())
MDOC = CredentialQuery(
    "mdoc",
    (),
    (ClaimQuery(("org.iso", "name")),),
    format="mso_mdoc",
    foreign_meta={"doctype_value": "org.iso.mDL"},
)


@pytest.fixture
def shop(clock: Clock) -> StrangeShop:
    return StrangeShop(MemoryFetcher(), clock)


@pytest.fixture
def wallet(shop: StrangeShop, clock: Clock, random_bytes: Callable[[int], bytes]) -> Wallet:
    """Give a wallet that holds the items `A1` and `A2`, and a membership."""
    issuer = StrangeIssuer(shop.network, clock, random_bytes)
    wallet = Wallet.in_memory(fetcher=shop.network, clock=clock)
    things: list[JsonObject] = [
        {"item": {"serial": "A1"}},
        {"item": {"serial": "A2"}},
        {"level": "gold", "birth_year": 1979},
    ]
    for claims in things:
        issuer.code = f"a code at {clock()}"
        issuer.claims, issuer.concealed = claims, tuple((name,) for name in claims)
        wallet.accept(issuer.link)
        clock.advance(timedelta(seconds=1))
    return wallet


def asked(
    wallet: Wallet,
    shop: StrangeShop,
    *queries: CredentialQuery,
    sets: Collection[CredentialSet] = (),
) -> Matches:
    """Give what the wallet makes of a request for `queries`."""
    shop.query = DcqlQuery(queries, tuple(sets))
    return wallet.matches(shop.link)


def refusal(matches: Matches, showing: Collection[str] | None = None) -> list[str]:
    with pytest.raises(Refused) as refused:
        matches.choose(showing=showing)
    return refused.value.codes


def arrived(shop: StrangeShop) -> dict[str, list[Json]]:
    """Give the claims that arrived at the shop, by query, having judged them there again."""
    (form,) = shop.forms
    token = parse_response_form({name: values[0] for name, values in form.items()})
    read = {
        name: [read_credential(SdJwt.parse(text)).revealed.claims for text in texts]
        for name, texts in token.items()
    }
    assert shop.query is not None
    candidates = {
        name: [Candidate(types=(str(claims["vct"]),), claims=claims) for claims in several]
        for name, several in read.items()
    }
    assert judge(shop.query, candidates) == []
    return {
        name: [claims.get("item", claims.get("level")) for claims in several]
        for name, several in read.items()
    }


def test_answers_the_option_that_it_can(wallet: Wallet, shop: StrangeShop) -> None:
    options = CredentialSet((("absent",), ("mdoc",), ("item", "member"), ("member",)))
    matches = asked(wallet, shop, ITEM, MEMBER, ABSENT, MDOC, sets=[options])

    wallet.present(matches.choose())

    assert matches.unanswered == ("absent", "mdoc")
    assert matches.ways.sets == (CredentialSet((("item", "member"), ("member",))),)
    assert arrived(shop) == {"item": [{"serial": "A2"}], "member": ["gold"]}


def test_shows_another_option_when_the_customer_prefers_it(
    wallet: Wallet, shop: StrangeShop
) -> None:
    options = CredentialSet((("item", "member"), ("member",)))
    matches = asked(wallet, shop, ITEM, MEMBER, sets=[options])

    wallet.present(matches.choose(showing=["member"]))

    assert arrived(shop) == {"member": ["gold"]}


def test_what_is_optional_is_off_until_the_customer_names_it(
    wallet: Wallet, shop: StrangeShop
) -> None:
    matches = asked(
        wallet,
        shop,
        ITEM,
        MEMBER,
        ABSENT,
        sets=[
            CredentialSet((("item",),)),
            CredentialSet((("member",),), is_required=False),
            CredentialSet((("absent",),), is_required=False),
        ],
    )

    assert [d.query_id for d in matches.choose().disclosures] == ["item"]
    assert refusal(matches, ["item", "absent"]) == ["nothing-answers"]
    wallet.present(matches.choose(showing=["member", "item"]))
    assert arrived(shop) == {"item": [{"serial": "A2"}], "member": ["gold"]}


def test_nothing_is_shown_that_is_no_whole_option(wallet: Wallet, shop: StrangeShop) -> None:
    other = replace(ITEM, id="other")
    sets = [
        CredentialSet((("item", "member"), ("other",))),
        CredentialSet((("member",),), is_required=False),
    ]
    matches = asked(wallet, shop, ITEM, MEMBER, other, sets=sets)

    assert refusal(matches, ["item"]) == ["not-an-option"]
    assert refusal(matches, ["member"]) == ["not-an-option"]
    assert refusal(matches, ["other", "item"]) == ["not-an-option"]
    assert refusal(matches, ["other", "no-such-query"]) == ["not-an-option"]
    assert refusal(matches, []) == ["nothing-chosen"]
    assert [d.query_id for d in matches.choose(showing=["other", "member"]).disclosures] == [
        "member",
        "other",
    ]


def test_nothing_at_all_is_shown_when_one_required_set_has_no_answer(
    wallet: Wallet, shop: StrangeShop
) -> None:
    sets = [CredentialSet((("item",),)), CredentialSet((("absent",), ("mdoc",)))]
    matches = asked(wallet, shop, ITEM, ABSENT, MDOC, sets=sets)
    all_of_them = asked(wallet, shop, ITEM, ABSENT, MDOC)

    assert not matches.ways.is_answerable
    assert refusal(matches) == refusal(matches, ["item"]) == ["nothing-answers"]
    assert refusal(all_of_them) == ["nothing-answers", "nothing-answers"]
    assert shop.forms == []


def test_where_all_is_optional_something_must_be_chosen(wallet: Wallet, shop: StrangeShop) -> None:
    matches = asked(
        wallet,
        shop,
        ITEM,
        MEMBER,
        sets=[CredentialSet((("item",), ("member",)), is_required=False)],
    )

    assert matches.ways.is_answerable
    assert refusal(matches) == ["nothing-chosen"]
    assert len(matches.choose(showing=["member"]).disclosures) == 1


def test_shows_the_first_claim_set_that_the_credential_has(
    wallet: Wallet, shop: StrangeShop
) -> None:
    claims = (
        ClaimQuery(("over_18",), id="over_18"),
        ClaimQuery(("birth_year",), id="year"),
        ClaimQuery(("level",), id="level"),
    )
    member = replace(MEMBER, claims=claims, claim_sets=(("over_18",), ("level",), ("year",)))
    (disclosure,) = asked(wallet, shop, member).choose().disclosures

    assert [claim.name for claim in disclosure.asked] == ["level"]
    assert "birth_year" not in disclosure.names
    nothing_fits = replace(member, claim_sets=(("over_18", "year"),))
    assert refusal(asked(wallet, shop, nothing_fits)) == ["nothing-answers"]


def test_several_credentials_answer_a_query_that_wants_several(
    wallet: Wallet, shop: StrangeShop
) -> None:
    def serials(*picks: CredentialId) -> list[Json]:
        shop.forms.clear()
        shop.nonce = f"a nonce for {picks}"
        wallet.present(asked(wallet, shop, replace(ITEM, multiple=True)).choose({"item": picks}))
        return arrived(shop)["item"]

    newest, oldest = [d.credential.credential_id for d in asked(wallet, shop, ITEM).answers["item"]]
    member = asked(wallet, shop, MEMBER).answers["member"][0].credential.credential_id

    assert serials() == [{"serial": "A2"}]
    assert serials(oldest) == [{"serial": "A1"}]
    assert serials(oldest, newest) == [{"serial": "A2"}, {"serial": "A1"}]
    for picks, code in (
        ([oldest, newest], "one-credential-wanted"),
        ([oldest, member], "nothing-answers"),
        (member, "nothing-answers"),
    ):
        with pytest.raises(Refused) as refused:
            asked(wallet, shop, ITEM).choose({"item": picks})
        assert refused.value.codes == [code]


def test_an_authority_that_the_wallet_cannot_see_is_no_answer(
    wallet: Wallet, shop: StrangeShop
) -> None:
    under = replace(ITEM, trusted_authorities=(AuthorityQuery("aki", ("AAAA",)),))

    assert asked(wallet, shop, under).unanswered == ("item",)
    assert asked(wallet, shop, ITEM).unanswered == ()


ROOT = Party("Root", extensions=(*authority(), key_id(b"root")))
MIDDLE = Party("Middle", by=ROOT, extensions=(*authority(), named_by(b"root")))
BRAND_PARTY = Party("Brand", by=MIDDLE, extensions=(named_by(b"middle"), *SIGNS))
CHAIN = [BRAND_PARTY.x5c, MIDDLE.x5c]


@pytest.mark.parametrize(
    ("chain", "named", "answers"),
    [
        (CHAIN, b"middle", True),
        (CHAIN, b"root", True),
        (CHAIN, b"brand", False),
        (CHAIN[:1], b"root", False),
        ([*CHAIN, "AAAA"], b"middle", False),
        ([*CHAIN, CHAIN[0][:-4]], b"middle", False),
        ([*CHAIN, "\u00e9"], b"middle", False),
        ([*CHAIN, 1], b"middle", False),
        ([Party("Odd").x5c], b"middle", False),
        (CHAIN * 5, b"middle", False),
        ("AAAA", b"middle", False),
    ],
)
def test_an_authority_that_the_credentials_chain_names_is_an_answer(  # noqa: PLR0917
    shop: StrangeShop,
    clock: Clock,
    random_bytes: Callable[[int], bytes],
    chain: Json,
    named: bytes,
    answers: bool,  # noqa: FBT001
) -> None:
    issuer = StrangeIssuer(shop.network, clock, random_bytes, header={"x5c": chain})
    wallet = Wallet.in_memory(fetcher=shop.network, clock=clock)
    wallet.accept(issuer.link)
    under = replace(ITEM, trusted_authorities=(AuthorityQuery("aki", ("AAAA", b64url(named))),))

    assert asked(wallet, shop, ITEM).unanswered == ()
    assert (asked(wallet, shop, under).unanswered == ()) == answers


def test_binds_its_answer_also_where_the_shop_would_do_without(
    wallet: Wallet, shop: StrangeShop
) -> None:
    wallet.present(asked(wallet, shop, replace(ITEM, requires_holder_binding=False)).choose())

    (form,) = shop.forms
    ((token,),) = parse_response_form({name: values[0] for name, values in form.items()}).values()
    assert SdJwt.parse(token).key_binding is not None
