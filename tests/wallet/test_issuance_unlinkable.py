"""Two acceptances of one wallet show a server no value that joins them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pytest
from counterfoil_credentials.encoding import Json, JsonObject, from_b64url, parse_object
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_issuer.clients import Demand
from counterfoil_wallet import MemoryStore, Wallet
from counterfoil_wallet.attesting import Client, DevelopmentAttester

from tests.conftest import Clock
from tests.wallet.brand_scene import BRAND as BRAND_URL
from tests.wallet.brand_scene import CLIENT_ID, MINUTE, Mode, Serve
from tests.wallet.strangers import BRAND, StrangeIssuer, json_response

METADATA = "/.well-known/openid-credential-issuer"
SERVER = "/.well-known/oauth-authorization-server"
TOKENS = ("dpop", "oauth-client-attestation", "oauth-client-attestation-pop")


class MarkingIssuer(StrangeIssuer):
    """An issuer with DPoP that marks each answer with a nonce, as others do with a cookie.

    `marked` and `proofs` list what it gave and what it was given since an acceptance began.
    """

    marks: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.marked: list[str] = []
        self.proofs: list[JsonObject] = []
        self.bends = {
            METADATA: lambda m: {**m, "nonce_endpoint": f"{BRAND}/nonce"},
            SERVER: lambda m: {**m, "dpop_signing_alg_values_supported": ["ES256"]},
            "/token": lambda a: {**a, "token_type": "DPoP", "refresh_token": f"r{self.marks}"},
        }

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        proof = {name.lower(): value for name, value in headers.items()}.get("dpop")
        if proof is not None:
            self.proofs.append(claims_of(proof))
        self.marks += 1
        self.marked.append(f"customer 4711, answer {self.marks}")
        answer = super().handle(method, path, headers, body)
        return replace(answer, headers={"dpop-nonce": self.marked[-1]})

    def nonces(self) -> list[str | None]:
        """Give the nonces in the proofs of one acceptance."""
        found = [proof.get("nonce") for proof in self.proofs]
        return [None if each is None else str(each) for each in found]


def claims_of(token: str) -> JsonObject:
    return part(token, 1)


def part(token: str, index: int) -> JsonObject:
    return parse_object(from_b64url(token.split(".")[index], "token"), "token")


def leaves(value: Json) -> Iterator[str]:
    """Give every value in a value, however deep, as a text."""
    if isinstance(value, dict):
        for below in value.values():
            yield from leaves(below)
    elif isinstance(value, list):
        for below in value:
            yield from leaves(below)
    else:
        yield str(value)


@pytest.fixture
def issuer(clock: Clock, random_bytes: Callable[[int], bytes]) -> MarkingIssuer:
    return MarkingIssuer(MemoryFetcher(), clock, random_bytes, copies=4)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def wallet(issuer: MarkingIssuer, store: MemoryStore, clock: Clock) -> Wallet:
    return Wallet(store, fetcher=issuer.network, clock=clock)


def test_a_nonce_is_used_in_the_acceptance_that_it_was_given_in_and_in_no_other(
    issuer: MarkingIssuer, wallet: Wallet
) -> None:
    for code in ("one", "another", "a third"):
        issuer.code = code
        issuer.marked.clear()
        issuer.proofs.clear()

        wallet.accept(issuer.link)

        first, *others = issuer.nonces()
        assert first is None, "its key has met nobody"
        assert others, "there is a proof with the credential request"
        assert set(others) <= set(issuer.marked)


def test_a_nonce_of_the_challenge_endpoint_is_for_the_one_that_asked(
    issuer: MarkingIssuer, clock: Clock
) -> None:
    issuer.bends[SERVER] = lambda m: {
        **m,
        "dpop_signing_alg_values_supported": ["ES256"],
        "challenge_endpoint": f"{BRAND}/challenge",
        "token_endpoint_auth_methods_supported": ["attest_jwt_client_auth"],
    }
    issuer.answers["/challenge"] = json_response({"attestation_challenge": "a challenge"})
    issuer.client_id = CLIENT_ID
    maker = DevelopmentAttester(issuer.signer, clock)
    client = Client(CLIENT_ID, wallet_attester=maker)
    wallet = Wallet.in_memory(fetcher=issuer.network, clock=clock, client=client)
    for code in ("one", "another"):
        issuer.code = code
        issuer.marked.clear()
        issuer.proofs.clear()

        wallet.accept(issuer.link)

        assert None not in issuer.nonces(), "the challenge brought one"
        assert set(issuer.nonces()) <= set(issuer.marked)


def test_more_copies_are_asked_for_under_the_key_of_their_acceptance(
    issuer: MarkingIssuer, wallet: Wallet, store: MemoryStore, clock: Clock
) -> None:
    """That key is known to the server by the refresh token; nonces of others do not come in."""
    wallet.accept(issuer.link)
    mine = set(issuer.marked)
    (card,) = store.cards()
    for i in range(2):
        store.take_copy(card.credential_id, f"verifier {i}", at=clock())
    issuer.code = "another"
    wallet.accept(issuer.link)
    issuer.marked.clear()
    issuer.proofs.clear()

    wallet.resume()

    assert issuer.proofs
    assert set(issuer.nonces()) <= mine | set(issuer.marked)


def test_two_acceptances_share_no_value(serve: Serve, clock: Clock) -> None:
    brand = serve(
        Mode(dpop=Demand.REQUIRED, dpop_nonce=Demand.REQUIRED, attests=Demand.REQUIRED, keys="jwt")
    )
    wallet = brand.wallet()
    shown: list[set[str]] = []
    for _ in range(2):
        brand.seen.clear()
        offer = brand.offer()
        wallet.accept(offer.link, tx_code=offer.tx_code)
        shown.append(
            {
                value
                for path in ("/token", "/credential")
                for headers in brand.headers(path)
                for name in TOKENS
                if name in headers
                for i in (0, 1)
                for value in leaves(part(headers[name], i))
            }
        )
        clock.advance(MINUTE)

    maker = brand.maker.public.thumbprint()
    common = shown[0] & shown[1]
    assert {each for each in common if not each.startswith(BRAND_URL)} == {
        *("ES256", "EC", "P-256", "POST", CLIENT_ID, maker),
        *("dpop+jwt", "oauth-client-attestation+jwt", "oauth-client-attestation-pop+jwt"),
    }
