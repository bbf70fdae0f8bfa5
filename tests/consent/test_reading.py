"""Facts are verified each time they are opened, and exist inside the block alone."""

import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from counterfoil_consent import (
    Active,
    ClaimName,
    ClaimTerm,
    Facts,
    FetchedIssuerKeys,
    ListedStatus,
    Necessity,
    Operation,
    Pause,
    PresentationAsk,
    PresentationMaker,
    Purpose,
    Trigger,
    deliver,
    sign_pause,
)
from counterfoil_consent.access_log import AccessEvents, MemoryAccessEvents
from counterfoil_consent.events import sign_end
from counterfoil_consent.issuer_trust import MAX_KEYS_AGE
from counterfoil_consent.schemas import purpose_of
from counterfoil_consent.states import Agreement
from counterfoil_credentials.encoding import compact_json
from counterfoil_credentials.errors import Malformed, Misuse, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher, Response
from counterfoil_credentials.issuer_keys import issuer_keys_document
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.keys import MemorySigner, PublicKey
from counterfoil_credentials.sdjwt import disclose
from counterfoil_credentials.sdjwt_vc import StatusReference, VerifiedCredential
from counterfoil_credentials.token_status_list import (
    INVALID,
    VALID,
    FetchedStatusSource,
    pack,
    sign_status_list,
)

from tests.consent.street import (
    AUDIO,
    BENEFITS,
    BIRTHDAY,
    FRAME,
    FRAME_VALUE,
    PRODUCT,
    RIDER,
    WARRANTY,
    Customer,
    Street,
)


@pytest.fixture
def street(street_in_memory: Street) -> Street:
    """Give the parties on one kind of store: nothing here depends on which."""
    return street_in_memory


def granted_with(street: Street, present: PresentationMaker) -> Active:
    """Give a grant whose bundle holds what `present` makes."""
    package_signer = MemorySigner.generate()
    decided = street.decide(street.ask(), package_signer)
    street.customer.present = present
    return deliver(street.package(decided, package_signer), fetcher=street.fetcher)


def refusal_of_reading(street: Street, active: Active) -> list[str]:
    with (
        pytest.raises(Refused) as refusal,
        street.receiver.read(active.agreement.grant_id, BENEFITS),
    ):
        pass
    return refusal.value.codes


def test_a_read_for_another_purpose_never_reaches_the_custodian(street: Street) -> None:
    active, _ = street.granted(max_reads=1)
    grant_id = active.agreement.grant_id

    with (
        pytest.raises(Refused) as refusal,
        street.receiver.read(grant_id, Purpose.DIRECT_MARKETING),
    ):
        pass
    assert refusal.value.codes == ["purpose-differs"]

    with street.receiver.read(grant_id, BENEFITS) as facts:
        assert facts.one(FRAME) == FRAME_VALUE


def test_a_revoked_credential_stops_the_read(street: Street) -> None:
    active, _ = street.granted()
    street.statuses.revoked.add(0)

    assert refusal_of_reading(street, active) == ["credential-not-in-force"]


def test_a_credential_that_expired_since_stops_the_read(street: Street, now: datetime) -> None:
    kept = ClaimTerm(name=FRAME, necessity=Necessity.REQUIRED, retain_days=366)
    active, _ = street.granted(claims=(kept,), valid_for=timedelta(days=366))
    street.clock.advance(timedelta(days=365, seconds=61))

    assert refusal_of_reading(street, active) == ["expired"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"audience": "decentralized_identifier:did:jwk:other"}, "audience-mismatch"),
        ({"nonce": "another"}, "nonce-mismatch"),
        ({"transaction_data_hashes": ()}, "transaction-data-mismatch"),
        ({"age": timedelta(minutes=11)}, "key-binding-too-old"),
        ({"age": timedelta(minutes=-2)}, "key-binding-from-the-future"),
        ({"stranger": True}, "key-binding-signature-invalid"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_presentation_made_for_something_else_stops_the_read(
    street: Street, changes: dict[str, object], code: str
) -> None:
    def present(ask: PresentationAsk) -> str:
        shown = disclose(street.customer.held[ask.vct], ask.paths)
        age = changes.get("age", timedelta())
        assert isinstance(age, timedelta)
        arguments: dict[str, object] = {
            "audience": ask.audience,
            "nonce": ask.nonce,
            "transaction_data_hashes": ask.transaction_data_hashes,
            **{name: value for name, value in changes.items() if name not in ("age", "stranger")},
        }
        signer = MemorySigner.generate() if "stranger" in changes else street.customer.signer
        return bind(shown, signer=signer, now=street.clock() - age, **arguments)  # type: ignore[arg-type]  # the names of bind

    active = granted_with(street, present)

    assert refusal_of_reading(street, active) == [code]


def test_the_age_of_the_key_binding_is_judged_as_of_the_grant(street: Street) -> None:
    active, _ = street.granted()
    street.clock.advance(timedelta(days=29))

    with street.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
        assert facts.one(FRAME) == FRAME_VALUE


def test_a_credential_of_an_issuer_not_trusted_stops_the_read(street: Street) -> None:
    forger = MemorySigner.generate()
    forged = Customer(forger, street.clock(), street.random)
    active = granted_with(street, forged.present)

    assert refusal_of_reading(street, active) == ["signature-invalid"]


def test_a_claim_that_was_granted_and_not_presented_stops_the_read(street: Street) -> None:
    honest = street.customer.present_paths

    active = granted_with(street, lambda ask: honest(ask, (("nothing",),)))

    assert refusal_of_reading(street, active) == ["claim-missing", "claim-missing"]


def test_a_credential_of_another_type_stops_the_read(street: Street) -> None:
    def present(ask: PresentationAsk) -> str:
        swapped = {RIDER: WARRANTY, WARRANTY: RIDER}[ask.vct]
        shown = disclose(street.customer.held[swapped], ())
        return bind(
            shown,
            signer=street.customer.signer,
            audience=ask.audience,
            nonce=ask.nonce,
            now=street.clock(),
            transaction_data_hashes=ask.transaction_data_hashes,
        )

    active = granted_with(street, present)

    assert refusal_of_reading(street, active) == ["type-not-granted"]


@pytest.mark.parametrize("log", [MemoryAccessEvents, lambda: None], ids=["logged", "not logged"])
@pytest.mark.parametrize("said", ["stopped", "paused"])
def test_what_is_stopped_while_it_is_opened_is_not_given(
    street: Street, log: Callable[[], AccessEvents | None], said: str
) -> None:
    street.access_events = log()
    street.start()
    active, signer = street.granted()
    agreement = active.agreement
    given: list[Facts] = []

    def stops(credential: VerifiedCredential, *, now: datetime) -> None:
        assert credential.status is not None
        if said == "stopped":
            token = sign_end(
                agreement, Trigger.WITHDRAWN, signer=signer, now=now, random=street.random
            )
            street.receiver.stop(agreement.grant_id, token)
        else:
            pause = Pause(1, is_suspended=True)
            token = sign_pause(agreement, pause, signer=signer, now=now, random=street.random)
            street.receiver.pause(agreement.grant_id, token)

    street.statuses.require_valid = stops  # type: ignore[method-assign]  # in the middle of the read
    with (
        pytest.raises(Refused) as refusal,
        street.receiver.read(agreement.grant_id, BENEFITS) as facts,
    ):
        given.append(facts)

    assert refusal.value.codes == ["grant-ended" if said == "stopped" else "grant-suspended"]
    assert not given


@pytest.mark.parametrize(
    ("operations", "codes"),
    [
        ((Operation.STORE,), ["operation-not-granted"]),
        ((Operation.CONSULT,), []),
        ((Operation.USE,), []),
    ],
    ids=str,
)
def test_an_operation_that_is_not_granted_is_forbidden(
    street: Street, operations: tuple[Operation, ...], codes: list[str]
) -> None:
    asked = street.ask(operations=(Operation.USE, Operation.STORE, Operation.CONSULT))
    signer = MemorySigner.generate()
    decided = street.decide(asked, signer)
    narrower = replace(decided, terms=replace(decided.terms, operations=operations))
    active = deliver(street.package(narrower, signer), fetcher=street.fetcher)
    refused: list[str] = []

    try:
        with street.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
            assert facts.one(FRAME) == FRAME_VALUE
    except Refused as refusal:
        refused = refusal.codes

    assert refused == codes


def test_facts_are_gone_outside_their_block(street: Street) -> None:
    active, _ = street.granted()
    with street.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
        kept = facts

    with pytest.raises(Misuse):
        kept.one(FRAME)
    with pytest.raises(Misuse):
        _ = kept.names
    assert repr(kept) == "Facts(closed)"


def test_facts_are_gone_when_the_block_fails(street: Street) -> None:
    active, _ = street.granted()
    kept: list[Facts] = []

    def read_and_fail() -> None:
        with street.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
            kept.append(facts)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        read_and_fail()
    with pytest.raises(Misuse):
        kept[0].one(FRAME)


def test_facts_are_gone_when_their_lease_is_over_though_the_block_is_not(street: Street) -> None:
    active, _ = street.granted()
    with street.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
        street.clock.advance(timedelta(seconds=59))
        assert facts.one(FRAME) == FRAME_VALUE
        street.clock.advance(timedelta(seconds=1))
        for _ in range(2):
            with pytest.raises(Refused) as refusal:
                facts.one(FRAME)
            assert refusal.value.codes == ["lease-expired"]


def test_facts_do_not_serialise_copy_or_print(street: Street) -> None:
    active, _ = street.granted()
    with street.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
        assert FRAME_VALUE not in f"{facts} {facts!r}"
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(Misuse):
                attempt(facts)
        with pytest.raises(TypeError):
            json.dumps(facts)
        with pytest.raises(TypeError):
            vars(facts)


def test_facts_know_only_what_was_granted(street: Street) -> None:
    active, _ = street.granted()
    with street.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
        for name in (BIRTHDAY, ClaimName(WARRANTY, FRAME.path)):
            with pytest.raises(Misuse):
                facts.one(name)


def test_reads_nothing_before_the_bundle_is_there(street: Street) -> None:
    package, _ = street.packed()
    street.custodian.register(package.registration)
    request_id = package.response_uri.rsplit("/", 1)[1]
    street.receiver.receive(request_id, {"grant": (package.presentation,)})

    with pytest.raises(Refused) as refusal, street.receiver.read(package.grant_id, BENEFITS):
        pass

    assert refusal.value.codes == ["grant-not-active"]


# The ports over the network.


def audio(street: Street, status: int, listed_at: datetime, ttl_s: int | None = None) -> None:
    url = f"{AUDIO}/status-lists/1"
    token = sign_status_list(
        pack([status, VALID]),
        url=url,
        bits=2,
        signer=street.issuer,
        issued_at=listed_at,
        expires_at=None,
        ttl_s=ttl_s,
    )
    keys = compact_json(issuer_keys_document(AUDIO, [street.issuer.public]))

    def answer(method: str, path: str, headers: object, body: bytes) -> Response:
        if path.startswith("/.well-known/jwt-vc-issuer"):
            return Response(200, "application/json", keys)
        return Response(200, "application/statuslist+jwt", token.encode())

    street.fetcher.serve(AUDIO, answer)


def credential_of(agreement: Agreement, now: datetime) -> VerifiedCredential:
    return VerifiedCredential(
        issuer=AUDIO,
        vct=RIDER,
        aka_vcts=(),
        vct_integrity=None,
        claims={},
        holder_key=None,
        audiences=None,
        issued_at=now,
        not_before=None,
        expires_at=None,
        status=StatusReference(f"{AUDIO}/status-lists/1", 0),
    )


def test_the_fetched_ports_believe_the_issuer_and_its_list(street: Street) -> None:
    active, _ = street.granted()
    keys = FetchedIssuerKeys(street.fetcher, {RIDER: [AUDIO]}, street.clock)
    listed = ListedStatus(FetchedStatusSource(street.fetcher), keys)
    now = street.clock()
    credential = credential_of(active.agreement, now)
    audio(street, VALID, now)

    assert keys.key_of(issuer=AUDIO, vct=RIDER, key_id=None) == street.issuer.public
    listed.require_valid(credential, now=now)

    for issuer, vct in (("https://other.example", RIDER), (AUDIO, WARRANTY)):
        with pytest.raises(Refused) as refusal:
            keys.key_of(issuer=issuer, vct=vct, key_id=None)
        assert refusal.value.codes == ["issuer-not-trusted"]
    with pytest.raises(Refused) as refusal:
        keys.key_of(issuer=AUDIO, vct=RIDER, key_id="another")
    assert refusal.value.codes == ["issuer-key-unknown"]
    with pytest.raises(Unavailable):
        listed.require_valid(credential, now=now + timedelta(days=1, seconds=1))
    audio(street, INVALID, now)
    with pytest.raises(Refused) as refusal:
        listed.require_valid(credential, now=now)
    assert refusal.value.codes == ["credential-not-in-force"]


@pytest.mark.parametrize("purpose", ["dpv:Everything", ""])
def test_an_unknown_purpose_is_malformed(purpose: str) -> None:
    with pytest.raises(Malformed):
        purpose_of(purpose)


def test_product_is_one_of_two_facts(street: Street) -> None:
    active, _ = street.granted()
    with street.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
        assert sorted(map(str, facts.names)) == ["frame_size", "product.name"]
        assert len(facts.all(PRODUCT)) == 1


def listening(street: Street) -> tuple[FetchedIssuerKeys, list[str]]:
    """Give the port over a network that writes down what is got."""
    gets: list[str] = []
    real = street.fetcher

    class Listening:
        def get(self, url: str, **named: object) -> Response:
            gets.append(url)
            return real.get(url, **named)  # type: ignore[arg-type]  # as it came

    network: Fetcher = Listening()  # type: ignore[assignment]  # keys are got, not posted
    return FetchedIssuerKeys(network, {RIDER: [AUDIO]}, street.clock), gets


def test_an_issuers_keys_serve_for_an_hour_and_a_new_key_is_asked_for(street: Street) -> None:
    audio(street, VALID, street.clock())
    keys, gets = listening(street)
    old, new = street.issuer.public, MemorySigner.generate()

    def found(key_id: str | None) -> PublicKey:
        return keys.key_of(issuer=AUDIO, vct=RIDER, key_id=key_id)

    for _ in range(3):
        assert found(old.thumbprint()) == found(None) == old
    assert len(gets) == 1

    street.issuer = new
    audio(street, VALID, street.clock())
    street.clock.advance(MAX_KEYS_AGE - timedelta(seconds=1))
    assert found(old.thumbprint()) == old
    assert len(gets) == 1
    assert found(new.public.thumbprint()) == new.public
    # The key that is published no more is believed no more.
    with pytest.raises(Refused) as refusal:
        found(old.thumbprint())
    assert refusal.value.codes == ["issuer-key-unknown"]
    assert len(gets) == 2

    street.clock.advance(MAX_KEYS_AGE)
    assert found(None) == new.public
    assert len(gets) == 3


def test_a_key_that_nobody_publishes_is_asked_for_once_a_minute(street: Street) -> None:
    audio(street, VALID, street.clock())
    keys, gets = listening(street)

    for _ in range(5):
        with pytest.raises(Refused):
            keys.key_of(issuer=AUDIO, vct=RIDER, key_id="unheard-of")
        street.clock.advance(timedelta(seconds=20))

    assert len(gets) == 2


def test_a_list_that_is_too_old_is_fetched_anew_before_its_ttl(street: Street) -> None:
    active, _ = street.granted()
    source = FetchedStatusSource(street.fetcher)
    keys = FetchedIssuerKeys(street.fetcher, {RIDER: [AUDIO]}, street.clock)
    listed, now = ListedStatus(source, keys), street.clock()
    credential = credential_of(active.agreement, now)
    audio(street, VALID, now - timedelta(hours=20), ttl_s=86_400)
    listed.require_valid(credential, now=now)

    now = street.clock.advance(timedelta(hours=5))
    audio(street, VALID, now, ttl_s=86_400)

    listed.require_valid(credential, now=now)
