"""Who asks, and how the request comes to a wallet: each client id prefix, each way."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from counterfoil_credentials.client_ids import ClientTrust
from counterfoil_credentials.did_methods import resolver
from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import compact_json
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.request_links import (
    ByReference,
    ByValue,
    InTheOpen,
    UriMethod,
    read_request_link,
)
from counterfoil_credentials.requests import PresentationRequest, read_request
from counterfoil_service.sealing import Seal
from counterfoil_verifier import Asked, Counter, RequestId, Shop
from counterfoil_verifier.identity import Identity, OwnKey, Unproved, WebDid, certified
from counterfoil_verifier.requesting import Way

from tests.conftest import Clock
from tests.credentials.authority import anchors
from tests.verifier.certificates import DNS, HASH, HOST, papers
from tests.verifier.scene import NOON, Scene

ORIGIN = f"https://{HOST}"
WEB = WebDid(Did(f"did:web:{HOST}"))
SEAL = Seal(bytes(range(32)), "response keys")


def shop(identity: Identity, signer: MemorySigner, **changes: object) -> Shop:
    plain = Shop(name="Corner Shop", origin=ORIGIN, signer=signer, identity=identity)
    return replace(plain, **changes)  # type: ignore[arg-type]  # as the test names them


def published(shop: Shop) -> MemoryFetcher:
    """Serve the DID document of a shop that has one."""
    network = MemoryFetcher()
    if isinstance(shop.identity, WebDid):
        document = compact_json(shop.identity.document(shop.signer.public))

        def answer(_: str, __: str, ___: Mapping[str, str], ____: bytes) -> Response:
            return Response(200, "application/did+json", document)

        network.serve(ORIGIN, answer)
    return network


def read(counter: Counter, asked: Asked, trust: ClientTrust, **sent: str) -> PresentationRequest:
    """Do what a wallet does with a link, in whichever form it is."""
    link = read_request_link(asked.link)
    match link:
        case InTheOpen():
            proved = link.prove(trust)
            proved.require_for(client_id=link.client_id, wallet_nonce=None)
            return proved.read(NOON)
        case ByValue():
            token = link.token
        case ByReference():
            token = counter.request_object(RequestId(link.request_uri.rsplit("/", 1)[1]), **sent)
    return read_request(
        token,
        client_id=link.client_id,
        now=NOON,
        trust=trust,
        wallet_nonce=sent.get("wallet_nonce"),
    )


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("kind", ["own key", "did:web", "x509_san_dns", "x509_hash"])
def test_a_wallet_proves_who_asks(scene: Scene, kind: str, way: Way) -> None:
    certificate = papers()
    identities: dict[str, Identity] = {
        "own key": OwnKey(),
        "did:web": WEB,
        "x509_san_dns": certificate.identity(DNS),
        "x509_hash": certificate.identity(HASH),
    }
    asking = shop(identities[kind], certificate.signer, way=way)
    trust = ClientTrust(anchors=anchors(certificate.root), resolver=resolver(published(asking)))
    counter = scene.open_counter(shop=asking)

    request = read(counter, counter.ask("warranty"), trust)

    assert request.client_id == asking.client_id
    assert request.client_name == "Corner Shop"
    assert request.response_uri.startswith(f"{ORIGIN}/responses/")
    assert request.query == scene.preset.query()
    assert request.expires_at - request.issued_at == timedelta(minutes=2)


def test_what_nobody_signs_is_answered_at_the_address_that_is_the_client_id(scene: Scene) -> None:
    counter = scene.open_counter(shop=shop(Unproved(), MemorySigner.generate()))

    first, second = (read(counter, counter.ask("warranty"), ClientTrust()) for _ in range(2))

    assert first.client_id == f"redirect_uri:{first.response_uri}"
    assert first.client_id != second.client_id
    assert first.query == scene.preset.query()
    link = read_request_link(counter.ask("warranty").link)
    assert isinstance(link, InTheOpen)
    # Times that nobody signs prove nothing, and there is nothing to fetch.
    assert not {"iat", "exp", "aud"} & link.parameters.keys()
    request_id = RequestId(first.response_uri.rsplit("/", 1)[1])
    with pytest.raises(Refused) as refused:
        counter.request_object(request_id)
    assert refused.value.codes == ["request-unknown"]


def test_the_link_says_how_the_request_is_fetched(scene: Scene) -> None:
    for way, method in ((Way.GET, UriMethod.GET), (Way.POST, UriMethod.POST)):
        link = read_request_link(scene.counter.ask("warranty", way=way).link)
        assert isinstance(link, ByReference)
        assert link.method is method


def test_a_wallet_s_nonce_comes_back_and_no_other(scene: Scene) -> None:
    asked, trust = scene.counter.ask("warranty", way=Way.POST), ClientTrust()

    fresh = read(scene.counter, asked, trust, wallet_nonce="n-17")
    again = read(scene.counter, asked, trust, wallet_nonce="n-18")

    assert fresh == again
    link = read_request_link(asked.link)
    assert isinstance(link, ByReference)
    kept = scene.counter.request_object(
        RequestId(link.request_uri.rsplit("/", 1)[1]), wallet_nonce="n-17"
    )
    with pytest.raises(Refused) as refused:
        read_request(kept, client_id=link.client_id, now=NOON, wallet_nonce="n-18")
    assert refused.value.codes == ["wallet-nonce-mismatch"]


def test_the_till_is_named_on_the_phone(scene: Scene) -> None:
    asked = scene.counter.ask("warranty", till="till 3")

    assert read(scene.counter, asked, ClientTrust()).client_name == "Corner Shop, till 3"


def test_each_request_has_ids_of_its_own(scene: Scene) -> None:
    asked = [scene.counter.ask("warranty") for _ in range(20)]
    requests = [read(scene.counter, each, ClientTrust()) for each in asked]

    ids = {each.session_id for each in asked}
    for names in (
        ids,
        {request.nonce for request in requests},
        {request.state for request in requests},
        {request.response_uri for request in requests},
    ):
        assert len(names) == 20
    # What the wallet learns does not lead to the result.
    assert not any(name in each.link for each in asked for name in ids)


@pytest.mark.parametrize(
    ("identify", "expected"),
    [
        (lambda: shop(papers().identity(HASH), MemorySigner.generate()), "the shop's key"),
        (lambda: papers("other.example").identity(DNS), "the shop's host"),
        (lambda: shop_at("https://elsewhere.example"), "the shop's host"),
        (lambda: returning("https://shop.example/done#top"), "without a fragment"),
        (lambda: returning("shop.example/done"), "a web page"),
        (lambda: returning("javascript:done()"), "a web page"),
        (lambda: returning("https://[shop"), "a web page"),
        (lambda: papers(with_root=True).identity(HASH), "without its anchor"),
        (lambda: shop(OwnKey(), MemorySigner.generate(), is_strict=True), "x509_hash"),
        (lambda: strict(self_signed=True), "x509_hash"),
        (lambda: strict(prefix=DNS), "x509_hash"),
        (lambda: strict(way=Way.VALUE), "requests that wallets fetch"),
        (lambda: strict(seal=None), "a seal for encrypted answers"),
        (lambda: strict(return_to=None), "a page to return to"),
        (lambda: shop(Unproved(), MemorySigner.generate()).client_id, "one client id"),
    ],
    ids=[
        "another's certificate",
        "another host",
        "a shop elsewhere",
        "back to a fragment",
        "back to no address",
        "back to a script",
        "back to half an address",
        "the anchor along",
        "strict by a DID",
        "strict by itself",
        "strict by host name",
        "strict in the link",
        "strict in the open",
        "strict without a way back",
        "one id for all",
    ],
)
def test_a_wrong_set_up_is_refused_where_it_is_made(
    identify: Callable[[], object], expected: str
) -> None:
    with pytest.raises(Misuse, match=expected):
        identify()


def shop_at(origin: str) -> Shop:
    certificate = papers()
    return shop(certificate.identity(DNS), certificate.signer, origin=origin)


def returning(url: str) -> Shop:
    return shop(OwnKey(), MemorySigner.generate(), return_to=url)


def strict(*, prefix: object = HASH, self_signed: bool = False, **changes: object) -> Shop:
    certificate = papers(self_signed=self_signed)
    identity = certificate.identity(DNS if prefix is DNS else HASH)
    settings: dict[str, object] = {
        "seal": SEAL,
        "is_strict": True,
        "return_to": "https://shop.example/done",
        **changes,
    }
    return shop(identity, certificate.signer, **settings)


def test_a_strict_shop_asks_as_the_profile_demands(scene: Scene, clock: Clock) -> None:
    """HAIP 1.0, section 5: x509_hash, by reference, encrypted to a key of this request's."""
    asking = strict()
    counter = scene.open_counter(shop=asking)

    requests: list[PresentationRequest] = []
    for _ in range(2):
        link = read_request_link(counter.ask("warranty").link)
        assert isinstance(link, ByReference)
        assert link.client_id.startswith("x509_hash:")
        token = counter.request_object(RequestId(link.request_uri.rsplit("/", 1)[1]))
        known = ClientTrust(known=[asking.client_id])
        requests.append(read_request(token, client_id=link.client_id, now=clock(), trust=known))

    keys = [request.encryption.key for request in requests if request.encryption is not None]
    assert len({key.point.thumbprint() for key in keys}) == 2
    for request in requests:
        assert request.to_claims()["response_mode"] == "direct_post.jwt"
        assert request.encryption is not None
        assert set(request.encryption.encryptions) == {"A128GCM", "A256GCM"}


def test_a_strict_shop_puts_no_request_in_a_link_that_could_be_fetched(scene: Scene) -> None:
    counter = scene.open_counter(shop=strict())

    with pytest.raises(Misuse, match="requests that wallets fetch"):
        counter.ask("warranty", way=Way.VALUE)
    # Without a network nothing can be fetched, and the profile says nothing of that.
    assert len(counter.codes(counter.ask("warranty").session_id)) > 1


def test_a_certificate_file_that_is_none_is_malformed() -> None:
    for data in (b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"x"):
        with pytest.raises(Malformed):
            certified(HASH, data)
