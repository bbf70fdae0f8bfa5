"""What a stranger sends is bounded when it comes in, so that nothing kept is unreadable later."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Malformed, Reason, Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.offers import CredentialOffer, TxCode
from counterfoil_credentials.sdjwt_vc import StatusReference
from counterfoil_wallet import (
    Act,
    Collecting,
    Delivering,
    Finished,
    InForce,
    Kind,
    MemoryStore,
    Record,
    Wallet,
)
from counterfoil_wallet.acceptance import AcceptanceId, Late, Notice, Wanted
from counterfoil_wallet.acceptance_records import from_record, to_record
from counterfoil_wallet.card_keys import MAX_NAME, MAX_REFERENCE_BYTES, CardKey
from counterfoil_wallet.configurations import Configuration
from counterfoil_wallet.discovering import Endpoints
from counterfoil_wallet.grant_states import to_record as grant_to_record
from counterfoil_wallet.history import Event, EventId
from counterfoil_wallet.sending import Identity, Token
from counterfoil_wallet.wire import reasons_of

from tests.conftest import NOON, Clock
from tests.wallet.conftest import Place
from tests.wallet.strangers import BRAND, CLAIMS, StrangeIssuer, StrangeShop
from tests.wallet.town import Killed, Town, Wire

METADATA = "/.well-known/openid-credential-issuer"
SERVER = "/.well-known/oauth-authorization-server"
WORST = "\x01"  # six bytes of JSON for one character
DAMAGED = {
    Kind.CREDENTIAL: b'{"sd_jwt":"not one"}',
    Kind.ACCEPTANCE: b"[" * 100,
    Kind.GRANT: b"{}",
    Kind.EVENT: b'{"at":9999999999999,"act":"another"}',
}


@pytest.fixture
def issuer(clock: Clock, random_bytes: Callable[[int], bytes]) -> StrangeIssuer:
    return StrangeIssuer(MemoryFetcher(), clock, random_bytes)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def wallet(issuer: StrangeIssuer, clock: Clock, store: MemoryStore) -> Wallet:
    return Wallet(store, fetcher=issuer.network, clock=clock)


def url_of(length: int) -> str:
    return f"{BRAND}/".ljust(length, "x")


def detail(kind: str, *identifiers: str) -> JsonObject:
    """Give an authorization detail that names these datasets."""
    return {
        "type": "openid_credential",
        "credential_configuration_id": kind,
        "credential_identifiers": [*identifiers],
    }


def naming(*details: JsonObject) -> Callable[[JsonObject], JsonObject]:
    """Let the token answer hold these authorization details."""
    return lambda answer: {**answer, "authorization_details": [*details]}


@pytest.mark.parametrize(("length", "held"), [(2_048, 1), (2_049, 0), (150_000, 0)])
def test_a_status_url_is_kept_once_and_no_longer_than_a_url(
    wallet: Wallet, issuer: StrangeIssuer, store: MemoryStore, length: int, held: int
) -> None:
    issuer.status = StatusReference(url_of(length), 7)

    if not held:
        with pytest.raises(Refused):
            wallet.accept(issuer.link)
    else:
        wallet.accept(issuer.link)

    assert [c.status for c in wallet.credentials()] == [issuer.status] * held
    assert [card.status for card in store.cards()] == [issuer.status] * held
    assert store.find(Kind.CREDENTIAL) == []


def test_what_a_record_leaves_out_is_read_from_the_credential(
    wallet: Wallet, issuer: StrangeIssuer, clock: Clock
) -> None:
    issuer.status = StatusReference(f"{BRAND}/status-lists/1", 7)

    (accepted,) = wallet.accept(issuer.link).credentials

    assert wallet.credentials() == [accepted]
    assert accepted.expires_at == clock() + issuer.expires_in
    assert accepted.status == issuer.status


def test_the_largest_credential_that_is_accepted_can_be_read_again(
    wallet: Wallet, issuer: StrangeIssuer, store: MemoryStore
) -> None:
    issuer.concealed = ()
    issuer.claims = {**CLAIMS, "photo": "x" * 190_000}
    (accepted,) = wallet.accept(issuer.link).credentials
    assert len(str(accepted.sd_jwt)) > 250_000
    (held,) = store.cards()

    store.discard(held.credential_id)
    store.hold(replace(held, configuration_id=WORST * 1_024))

    (card,) = wallet.credentials()
    assert card.claims == accepted.claims
    assert wallet.damaged() == []


@pytest.mark.parametrize(
    ("claims", "held"),
    [
        ({f"n{i}": i for i in range(990)}, 1),
        ({f"n{i}": i for i in range(1_001)}, 0),
        ({"n" * 1_024: 1}, 1),
        ({"n" * 1_025: 1}, 0),
        ({"n" * 600: {"m" * 600: 1}}, 0),
    ],
)
def test_a_credential_that_no_screen_could_list_is_refused(
    wallet: Wallet, issuer: StrangeIssuer, claims: JsonObject, held: int
) -> None:
    issuer.claims, issuer.concealed = claims, ()

    if held:
        wallet.accept(issuer.link)
    else:
        with pytest.raises(Refused) as refusal:
            wallet.accept(issuer.link)
        assert refusal.value.codes == ["malformed"]

    assert len(wallet.credentials()) == held


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (METADATA, "credential_endpoint"),
        (METADATA, "nonce_endpoint"),
        (METADATA, "notification_endpoint"),
        (SERVER, "token_endpoint"),
    ],
)
def test_an_endpoint_longer_than_a_url_stops_the_offer_before_the_code_is_sent(
    wallet: Wallet, issuer: StrangeIssuer, store: MemoryStore, path: str, name: str
) -> None:
    issuer.bends[path] = lambda document: {**document, name: url_of(2_049)}

    with pytest.raises(Malformed):
        wallet.accept(issuer.link)

    assert store.find(Kind.ACCEPTANCE) == []
    assert "/token" not in [path for path, _ in issuer.received]


@pytest.mark.parametrize(
    "details",
    [
        pytest.param([detail("warranty", "y" * 1_025)], id="a long name"),
        pytest.param([detail("warranty", "y")] * 21, id="many details"),
        pytest.param(
            [detail(f"{kind}", *(f"{i}" for i in range(20))) for kind in range(6)],
            id="many datasets in all",
        ),
    ],
)
def test_datasets_too_long_or_too_many_are_refused(
    wallet: Wallet, issuer: StrangeIssuer, details: list[JsonObject]
) -> None:
    issuer.bends["/token"] = naming(*details)

    with pytest.raises(Refused) as refusal:
        wallet.accept(issuer.link)

    assert refusal.value.codes == ["malformed"]
    assert wallet.resume().acceptances == ()


def test_long_texts_within_the_bounds_are_gone_on_with(
    wallet: Wallet, issuer: StrangeIssuer
) -> None:
    issuer.bends[METADATA] = lambda m: {**m, "notification_endpoint": url_of(2_048)}
    issuer.bends["/token"] = naming(
        detail("warranty", *(f"{i}".rjust(1_024, WORST) for i in range(20)))
    )
    issuer.answers["/credential"] = Response(503, "", b"")
    with pytest.raises(Unavailable):
        wallet.accept(issuer.link)
    del issuer.answers["/credential"]

    (finished,) = wallet.resume().acceptances

    assert isinstance(finished, Finished)
    assert len(wallet.credentials()) == 20


def test_the_longest_state_of_an_acceptance_can_be_read_again() -> None:
    reason = Reason("malformed", WORST * 9_000, WORST * 9_000, WORST * 9_000)
    signer = MemorySigner.generate()
    keys = (CardKey(signer.public, bytes(MAX_REFERENCE_BYTES), WORST * MAX_NAME),) * 10
    wanted = tuple(
        Wanted(
            configuration=Configuration(
                WORST * 1_024,
                WORST * 2_048,
                scope=WORST * 1_024,
                levels=(WORST * 128,) * 20,
                name=WORST * 200,
            ),
            identifier=WORST * 1_024,
            keys=keys,
        )
        for _ in range(119)
    )
    state = Collecting(
        acceptance_id=AcceptanceId("worst"),
        issuer=WORST * 2_048,
        endpoints=Endpoints(
            server=WORST * 2_048,
            token=WORST * 2_048,
            credential=WORST * 2_048,
            nonce=WORST * 2_048,
            notification=WORST * 2_048,
            deferred=WORST * 2_048,
            authorization=WORST * 2_048,
            pushed=WORST * 2_048,
            challenge=WORST * 2_048,
        ),
        identity=Identity(client_id="wallet", dpop=signer, instance=signer),
        token=Token("\\" * 16_384, "DPoP"),
        wanted=wanted[:60],
        late=tuple(Late(each, WORST * 1_024, NOON, NOON) for each in wanted[60:]),
        refused=reasons_of(Refused(*[reason] * 50)) * 8,
        notices=(Notice(WORST * 1_024, "credential_failure"),) * 119,
    )

    assert from_record(to_record(state)) == state


def test_the_reasons_that_are_kept_are_short_and_few() -> None:
    reason = Reason("malformed", "e" * 9_000, "f" * 9_000, "w" * 9_000)

    kept = reasons_of(Refused(*[reason] * 50))

    assert len(kept) == 20
    assert all(len(str(reason)) < 1_000 for reason in kept)


def test_the_longest_event_can_be_read_again() -> None:
    event = Event(
        event_id=EventId("worst"),
        at=NOON,
        act=Act.SHOWN,
        party=WORST * 8_192,
        types=(WORST * 2_048,) * 20,
        claims=(WORST * 1_024,) * 20_000,
    )

    read = Event.from_record(event.to_record())

    assert len(read.claims) == 20_000
    assert all(len(name) == 200 for name in (*read.claims, *read.types))


@pytest.mark.parametrize("kind", list(DAMAGED))
def test_a_record_that_cannot_be_read_hides_no_other_and_is_named(
    town: Town, place: Place, kind: Kind
) -> None:
    wallet = holding(town, place, Wire(town.network))
    wallet.grant(wallet.asked_terms(town.receiver.request(town.wish()).link).choose())
    store = place.start()
    label = {Kind.ACCEPTANCE: "collecting", Kind.GRANT: "ending"}.get(kind, "")
    store.put(Record(kind, "damaged", label, DAMAGED[kind]))
    wallet = town.wallet(store)

    assert len(wallet.credentials()) == 2
    assert len(wallet.grants()) == 1
    assert len(wallet.history()) == 3
    (damaged,) = wallet.damaged()
    assert (damaged.kind, damaged.key) == (kind, "damaged")
    assert damaged.reasons != ()
    assert store.get(kind, "damaged") is not None


def test_a_type_that_cannot_be_read_hides_no_other_of_that_type(
    wallet: Wallet, issuer: StrangeIssuer, store: MemoryStore, clock: Clock
) -> None:
    wallet.accept(issuer.link)
    store.put(Record(Kind.CREDENTIAL, "damaged", issuer.vct, b"{}"))

    matches = wallet.matches(StrangeShop(issuer.network, clock).link)

    assert len(matches.answers["warranty"]) == 1


@pytest.mark.parametrize("body", [DAMAGED[Kind.ACCEPTANCE], b"{}"])
def test_an_acceptance_that_is_stuck_stops_no_other_and_no_withdrawal(
    town: Town, place: Place, body: bytes
) -> None:
    wire = Wire(town.network)
    wallet = holding(town, place, wire)
    grant = wallet.grant(wallet.asked_terms(town.receiver.request(town.wish()).link).choose())
    wire.cut_at = len(wire.sent) + 1
    with pytest.raises(Killed):
        wallet.withdraw(grant.grant_id)
    offer = town.offer("#1002")
    wire.cut_at = len(wire.sent) + 4
    with pytest.raises(Killed):
        wallet.accept(offer.link, tx_code=offer.tx_code)
    store = place.start()
    store.put(Record(Kind.ACCEPTANCE, "damaged", "collecting", body))
    store.put(Record(Kind.GRANT, "damaged", "ending", body))

    resumed = town.wallet(store).resume()

    assert [type(state) for state in resumed.acceptances] == [Finished]
    (ended,) = resumed.grants
    assert ended.grant_id == grant.grant_id
    assert not isinstance(ended, InForce)
    assert [(stuck.kind, stuck.key) for stuck in resumed.stuck] == [
        (Kind.ACCEPTANCE, "damaged"),
        (Kind.GRANT, "damaged"),
    ]
    assert all(stuck.reasons for stuck in resumed.stuck)


def test_a_refusal_that_nobody_expected_leaves_the_acceptance_and_says_why(
    wallet: Wallet,
    issuer: StrangeIssuer,
    clock: Clock,
    store: MemoryStore,
    random_bytes: Callable[[int], bytes],
) -> None:
    issuer.answers["/credential"] = Response(503, "", b"")
    for code in ("first", "second"):
        with pytest.raises(Unavailable):
            wallet.accept(CredentialOffer(BRAND, ("warranty",), code, None).to_link())
    del issuer.answers["/credential"]
    refusals = iter([Refused(Reason("unforeseen", "this", "that", "there"))])

    def refusing_once(size_bytes: int) -> bytes:
        for refusal in refusals:
            raise refusal
        return random_bytes(size_bytes)

    wallet = Wallet(store, fetcher=issuer.network, clock=clock, random=refusing_once)
    resumed = wallet.resume()

    assert [type(state) for state in resumed.acceptances] == [Finished]
    (stuck,) = resumed.stuck
    assert [reason.code for reason in stuck.reasons] == ["unforeseen"]
    assert [type(state) for state in wallet.resume().acceptances] == [Finished]
    assert len(wallet.credentials()) == 2


def test_a_part_of_an_offer_that_cannot_be_held_is_named(
    wallet: Wallet, issuer: StrangeIssuer
) -> None:
    offer = CredentialOffer(BRAND, ("driving-licence", "warranty"), "a-code", None)

    accepted = wallet.accept(offer.to_link())

    assert len(accepted.credentials) == 1
    assert [reason.code for reason in accepted.refused] == ["not-held-here"]
    assert accepted.refused[0].where.endswith("driving-licence")
    assert wallet.accept(offer.to_link()) == accepted


def test_a_transaction_code_is_printable(wallet: Wallet, issuer: StrangeIssuer) -> None:
    issuer.tx_code = TxCode(None, numeric=False, description=None)

    for given in ("\udc80", "a\x00b"):
        with pytest.raises(Refused) as refusal:
            wallet.accept(issuer.link, tx_code=given)
        assert refusal.value.codes == ["tx-code-shape"]


def test_a_grant_too_long_to_read_again_is_not_kept(town: Town, place: Place) -> None:
    wire = Wire(town.network)
    wallet = holding(town, place, wire)
    asked = wallet.asked_terms(town.receiver.request(town.wish()).link)
    wire.cut_at = len(wire.sent) + 3
    with pytest.raises(Killed):
        wallet.grant(asked.choose())
    (state,) = wallet.grants()
    assert isinstance(state, Delivering)

    with pytest.raises(Malformed):
        grant_to_record(
            replace(state, package=replace(state.package, bundle=bytes(4 * 1024 * 1024)))
        )


def holding(town: Town, place: Place, wire: Wire) -> Wallet:
    """Give a wallet that holds one order's credentials."""
    wallet = town.wallet(place.start(), wire)
    offer = town.offer()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    return wallet
