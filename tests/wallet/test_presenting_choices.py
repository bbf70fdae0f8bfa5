"""What is off until the customer says otherwise: optional claims, over-asking, copies that link."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from counterfoil_credentials.claims import ClaimPath, path_text
from counterfoil_credentials.dcql import ClaimQuery, CredentialQuery, DcqlQuery
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.requests import client_id_of, parse_response_form
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import read_credential
from counterfoil_wallet import Choice, Disclosure, Joining, Matches, Trust, Verifier, Wallet

from tests.conftest import Clock
from tests.wallet.strangers import CLAIMS, CONCEALED, TYPE, StrangeIssuer, StrangeShop

SERIAL, PRICE, NAME = ("item", "serial"), ("price",), ("buyer", "name")


@pytest.fixture
def shop(clock: Clock) -> StrangeShop:
    return StrangeShop(MemoryFetcher(), clock)


@pytest.fixture
def issuer(shop: StrangeShop, clock: Clock, random_bytes: Callable[[int], bytes]) -> StrangeIssuer:
    return StrangeIssuer(shop.network, clock, random_bytes, copies=2)


def wallet_of(issuer: StrangeIssuer, trust: Trust | None = None) -> Wallet:
    """Give a wallet with one warranty, of which it has two copies."""
    wallet = Wallet.in_memory(fetcher=issuer.network, clock=issuer.clock, trust=trust)
    wallet.accept(issuer.link)
    return wallet


@pytest.fixture
def wallet(issuer: StrangeIssuer) -> Wallet:
    return wallet_of(issuer)


def ask(shop: StrangeShop, *claim_sets: tuple[ClaimPath, ...]) -> None:
    """Let the shop ask for one of these sets of claims, its favourite first."""
    paths = {
        path: f"c{i}" for i, path in enumerate(dict.fromkeys(p for s in claim_sets for p in s))
    }
    query = CredentialQuery(
        "warranty",
        (TYPE,),
        tuple(ClaimQuery(path, name) for path, name in paths.items()),
        claim_sets=tuple(tuple(paths[path] for path in one) for one in claim_sets),
    )
    shop.query = DcqlQuery((query,))


def only(asked: Matches | Choice) -> Disclosure:
    (disclosure,) = asked.disclosures if isinstance(asked, Choice) else asked.answers["warranty"]
    return disclosure


def names(disclosure: Disclosure) -> set[str]:
    return {claim.name for claim in disclosure.asked}


def arrived(shop: StrangeShop) -> JsonObject:
    """Give the claims in the last answer."""
    given = {name: values[0] for name, values in shop.forms[-1].items()}
    ((text,),) = parse_response_form(given).values()
    claims = read_credential(SdJwt.parse(text)).revealed.claims
    return {name: claims[name] for name in ("item", "price", "buyer") if claims.get(name, {}) != {}}


def refused(asked: Matches, **options: object) -> list[str]:
    with pytest.raises(Refused) as refusal:
        asked.choose(**options)  # type: ignore[arg-type]  # each test gives the right ones
    return refusal.value.codes


class TestOptionalClaims:
    def test_what_a_smaller_set_does_without_is_optional_and_off(
        self, wallet: Wallet, shop: StrangeShop
    ) -> None:
        ask(shop, (SERIAL, PRICE, NAME), (SERIAL, PRICE), (SERIAL,))

        asked = wallet.matches(shop.link)

        assert names(only(asked)) == {"item.serial"}
        assert {(c.name, c.is_optional) for c in only(asked).optional} == {
            ("price", True),
            ("buyer.name", True),
        }
        wallet.present(asked.choose())
        assert arrived(shop) == {"item": {"serial": "A1-0001"}}

    def test_an_optional_claim_goes_when_the_customer_names_it(
        self, wallet: Wallet, shop: StrangeShop
    ) -> None:
        ask(shop, (SERIAL, PRICE, NAME), (SERIAL, PRICE), (SERIAL,))

        choice = wallet.matches(shop.link).choose(including={"warranty": [PRICE]})

        assert names(only(choice)) == {"item.serial", "price"}
        assert [claim.name for claim in only(choice).optional] == ["buyer.name"]
        wallet.present(choice)
        assert arrived(shop) == {"item": {"serial": "A1-0001"}, "price": "199.00"}

    def test_nothing_goes_that_the_verifier_would_not_take_so(
        self, wallet: Wallet, shop: StrangeShop
    ) -> None:
        ask(shop, (SERIAL, PRICE), (SERIAL,))
        asked = wallet.matches(shop.link)

        for path in (NAME, ("item", "name"), ("colour",)):
            assert refused(asked, including={"warranty": [path]}) == ["not-an-option"]

    def test_the_verifier_s_favourite_stands_where_no_set_is_a_part_of_it(
        self, wallet: Wallet, shop: StrangeShop
    ) -> None:
        ask(shop, (SERIAL, PRICE), (NAME,))

        asked = wallet.matches(shop.link)

        assert names(only(asked)) == {"item.serial", "price"}
        assert only(asked).optional == ()

    def test_a_claim_that_is_not_held_is_no_option(self, wallet: Wallet, shop: StrangeShop) -> None:
        ask(shop, (SERIAL, ("colour",)), (SERIAL,))

        asked = wallet.matches(shop.link)

        assert names(only(asked)) == {"item.serial"}
        assert only(asked).optional == ()


class TestOverAsking:
    def registered(self, shop: StrangeShop, *paths: ClaimPath) -> Trust:
        verifier = Verifier(name="The shop", may_ask={TYPE: paths}, purpose="Repairs")
        return Trust(verifiers={shop.client_id: verifier})

    def test_a_claim_beyond_the_registered_purpose_is_marked_and_off(
        self, issuer: StrangeIssuer, shop: StrangeShop
    ) -> None:
        wallet = wallet_of(issuer, self.registered(shop, SERIAL))
        shop.claims = (ClaimQuery(SERIAL), ClaimQuery(NAME))

        asked = wallet.matches(shop.link)

        assert [(c.name, c.is_beyond) for c in only(asked).asked] == [
            ("item.serial", False),
            ("buyer.name", True),
        ]
        assert refused(asked) == ["beyond-registration"]
        assert shop.forms == []
        wallet.present(asked.choose(including={"warranty": [NAME]}))
        assert arrived(shop)["buyer"] == {"name": "Mira Sample"}

    @pytest.mark.parametrize("path", [("jti",), ("jti", "of")], ids=path_text)
    def test_a_concealed_word_about_the_credential_is_a_claim_like_any(
        self, issuer: StrangeIssuer, shop: StrangeShop, path: ClaimPath
    ) -> None:
        """What an issuer conceals can be anything, so whoever asks for it is marked."""
        issuer.claims = {**CLAIMS, "jti": {"of": "customer 4711"}}
        issuer.concealed = (*CONCEALED, path)
        shop.claims = (ClaimQuery(path),)
        wallet = wallet_of(issuer, self.registered(shop, PRICE))

        asked = wallet.matches(shop.link)

        assert [claim.name for claim in only(asked).beyond] == ["jti.of"]
        assert refused(asked) == ["beyond-registration"]
        wallet.present(asked.choose(including={"warranty": [("jti", "of")]}))
        assert wallet.history()[-1].claims == ("jti.of",)

    def test_a_word_about_the_credential_in_the_open_goes_to_everybody_and_is_not_marked(
        self, issuer: StrangeIssuer, shop: StrangeShop
    ) -> None:
        issuer.claims = {**CLAIMS, "jti": "a number"}
        shop.claims = (ClaimQuery(("jti",)), ClaimQuery(("iat",)))
        wallet = wallet_of(issuer, self.registered(shop, PRICE))

        shown = only(wallet.matches(shop.link))

        assert {claim.name for claim in shown.asked} == {"jti", "iat"}
        assert (shown.beyond, shown.names) == ((), ())

    def test_what_was_registered_goes_as_it_is(
        self, issuer: StrangeIssuer, shop: StrangeShop
    ) -> None:
        wallet = wallet_of(issuer, self.registered(shop, ("item",), NAME))
        shop.claims = (ClaimQuery(SERIAL), ClaimQuery(NAME))

        asked = wallet.matches(shop.link)

        assert only(asked).beyond == ()
        wallet.present(asked.choose())

    def test_a_whole_object_is_beyond_where_a_part_was_registered(
        self, issuer: StrangeIssuer, shop: StrangeShop
    ) -> None:
        wallet = wallet_of(issuer, self.registered(shop, SERIAL))
        shop.claims = (ClaimQuery(("item",)),)

        asked = wallet.matches(shop.link)

        assert refused(asked) == ["beyond-registration"]
        named = [claim.path for claim in only(asked).beyond]
        assert named == [("item", "name")]
        wallet.present(asked.choose(including={"warranty": named}))

    def test_of_two_sets_the_one_that_was_registered_is_meant(
        self, issuer: StrangeIssuer, shop: StrangeShop
    ) -> None:
        wallet = wallet_of(issuer, self.registered(shop, SERIAL, PRICE))
        ask(shop, (NAME,), (SERIAL, PRICE))

        wallet.present(wallet.matches(shop.link).choose())

        assert arrived(shop) == {"item": {"serial": "A1-0001"}, "price": "199.00"}

    @pytest.mark.parametrize("verifier", [None, Verifier(name="The shop")])
    def test_nothing_is_marked_where_no_registration_is_known(
        self, issuer: StrangeIssuer, shop: StrangeShop, verifier: Verifier | None
    ) -> None:
        verifiers = {} if verifier is None else {shop.client_id: verifier}
        wallet = wallet_of(issuer, Trust(verifiers=verifiers))
        shop.claims = (ClaimQuery(NAME),)

        assert only(wallet.matches(shop.link)).beyond == ()


class TestCopies:
    def show(
        self,
        wallet: Wallet,
        shop: StrangeShop,
        signer: MemorySigner,
        *,
        reuse_that_links: bool = False,
    ) -> Json:
        """Show the serial number to the shop of this key, and give the key that it saw."""
        shop.signer = signer
        shop.nonce += "!"
        asked = wallet.matches(shop.link)
        wallet.present(asked.choose(reuse_that_links=reuse_that_links))
        given = {name: values[0] for name, values in shop.forms[-1].items()}
        ((text,),) = parse_response_form(given).values()
        cnf = read_credential(SdJwt.parse(text)).revealed.claims["cnf"]
        assert isinstance(cnf, dict)
        return cnf["jwk"]

    def joining(self, wallet: Wallet, shop: StrangeShop) -> Joining:
        return only(wallet.matches(shop.link)).joining

    def test_each_verifier_sees_a_copy_of_its_own_and_the_same_one_again(
        self, wallet: Wallet, shop: StrangeShop
    ) -> None:
        mine, other = shop.signer, MemorySigner.generate()
        assert self.joining(wallet, shop) is Joining.NOTHING

        here, there = (self.show(wallet, shop, signer) for signer in (mine, other))

        assert here != there
        assert self.joining(wallet, shop) is Joining.ITSELF
        assert self.show(wallet, shop, mine) == here

    def test_a_copy_that_another_has_seen_goes_only_when_that_is_said(
        self, wallet: Wallet, shop: StrangeShop
    ) -> None:
        seen = [self.show(wallet, shop, MemorySigner.generate()) for _ in range(2)]
        shop.signer = MemorySigner.generate()

        asked = wallet.matches(shop.link)

        assert only(asked).joining is Joining.OTHERS
        assert refused(asked) == ["only-copies-that-link"]
        assert self.show(wallet, shop, shop.signer, reuse_that_links=True) in seen

    def test_two_requests_on_the_screen_at_once_do_not_get_one_copy(
        self, wallet: Wallet, shop: StrangeShop
    ) -> None:
        other = client_id_of(did_jwk(MemorySigner.generate().public))
        first = wallet.matches(shop.link).choose()
        second = replace(first, request=replace(first.request, client_id=other, nonce="2"))
        assert only(first).copy == only(second).copy

        for choice in (first, second):
            wallet.present(choice)

        keys: list[Json] = []
        for form in shop.forms:
            ((text,),) = parse_response_form({n: v[0] for n, v in form.items()}).values()
            keys.append(read_credential(SdJwt.parse(text)).revealed.claims["cnf"])
        assert keys[0] != keys[1]

    def test_the_last_fresh_copy_goes_to_whoever_is_first_and_the_other_is_refused(
        self, wallet: Wallet, shop: StrangeShop
    ) -> None:
        first = wallet.matches(shop.link).choose()
        clients = [client_id_of(did_jwk(MemorySigner.generate().public)) for _ in range(2)]
        others = [
            replace(first, request=replace(first.request, client_id=one, nonce=one))
            for one in clients
        ]
        wallet.present(first)
        wallet.present(others[0])

        with pytest.raises(Refused) as refusal:
            wallet.present(others[1])

        assert refusal.value.codes == ["only-copies-that-link"]
        assert len(shop.forms) == 2


def test_the_screen_says_why_it_is_asked_and_what_is_kept(
    wallet: Wallet, shop: StrangeShop
) -> None:
    shop.purpose, shop.retention = "To\u202e see", "The result,\nfor 30 days"

    asked = wallet.matches(shop.link)

    assert (asked.purpose, asked.retention) == (
        "To\N{REPLACEMENT CHARACTER} see",
        "The result, for 30 days",
    )
    shop.retention = None
    assert wallet.matches(shop.link).retention is None
