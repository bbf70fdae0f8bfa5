"""What a receiver accepts as the answer to its request."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from counterfoil_consent import (
    ClaimTerm,
    GrantPackage,
    Necessity,
    Operation,
    Purpose,
    Terms,
    deliver,
)
from counterfoil_consent.artefacts import Receipt
from counterfoil_consent.grant import sign_grant
from counterfoil_consent.sealing import SealedBundle
from counterfoil_consent.spec import GRANT_VCT, SUITE
from counterfoil_consent.wire import GrantId, digest_of, grant_id_of
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import JsonObject, compact_json
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.fetch import Response
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.sdjwt_vc import issue_credential

from tests.consent.street import BIRTHDAY, FRAME, NOTICE, VELO, Street, wish


def resigned(street: Street, package: GrantPackage, signer: MemorySigner, terms: Terms) -> str:
    """Give the grant's presentation over other terms, properly signed."""
    request = street.receiver_store.find_request(_request_id(package))
    assert request is not None
    bundle = SealedBundle.from_bytes(package.bundle)
    presentation, _ = sign_grant(
        request.requested, terms, bundle, signer=signer, now=street.clock(), random=street.random
    )
    return presentation


def _request_id(package: GrantPackage) -> GrantId:
    return grant_id_of(package.response_uri.rsplit("/", 1)[1], "response_uri")


def receive(street: Street, package: GrantPackage, presentation: str) -> None:
    street.receiver.receive(_request_id(package), {"grant": (presentation,)})


def test_accepts_narrower_terms(street: Street) -> None:
    signer = MemorySigner.generate()
    asked = street.asked(street.ask())
    decided = asked.decide(
        [FRAME],
        holder=did_jwk(signer.public),
        random=street.random,
        valid_until=street.clock() + timedelta(days=7),
        max_reads=1,
    )
    active = deliver(street.package(decided, signer), fetcher=street.fetcher)

    with street.receiver.read(active.agreement.grant_id, Purpose.PERSONALISED_BENEFITS) as facts:
        assert facts.names == {FRAME}
    street.clock.advance(timedelta(days=7))
    assert street.receiver.end_due() == 1


def _wider(terms: Terms) -> list[tuple[Terms, str]]:
    birthday = ClaimTerm(name=BIRTHDAY, necessity=Necessity.OPTIONAL, retain_days=30)
    kept_shorter = replace(terms.claims[0], retain_days=28)
    kept_longer = replace(terms.claims[0], retain_days=31)
    return [
        (replace(terms, claims=(*terms.claims, birthday)), "claim-not-asked"),
        (replace(terms, claims=(kept_longer, *terms.claims[1:])), "claim-wider"),
        (replace(terms, valid_until=terms.valid_until + timedelta(seconds=1)), "end-later"),
        (replace(terms, max_reads=terms.max_reads + 1), "reads-more"),
        (replace(terms, operations=(*terms.operations, Operation.PROFILING)), "operations-wider"),
        (replace(terms, purpose=Purpose.DIRECT_MARKETING), "terms-differ"),
        (replace(terms, jurisdiction="CN"), "terms-differ"),
        (replace(terms, delivery_endpoint=terms.withdrawal_endpoint), "terms-differ"),
        (replace(terms, claims=terms.claims[1:]), "required-claim-missing"),
        (replace(terms, claims=(kept_shorter, *terms.claims[1:])), "retention-exceeded"),
    ]


@pytest.mark.parametrize("index", range(10))
def test_refuses_terms_that_are_not_equal_or_narrower(street: Street, index: int) -> None:
    package, signer = street.packed(valid_for=timedelta(days=29))
    terms, code = _wider(package.granted.agreement.terms)[index]

    with pytest.raises(Refused) as refusal:
        receive(street, package, resigned(street, package, signer, terms))

    assert refusal.value.codes == [code]


def test_refuses_a_grant_for_another_receiver(street: Street) -> None:
    package, _ = street.packed()
    another = street.make_receiver("https://other.example", MemorySigner.generate())
    opened = another.request(wish())

    with pytest.raises(Refused) as refusal:
        another.receive(opened.request_id, {"grant": (package.presentation,)})

    assert {"audience-mismatch", "nonce-mismatch", "request-mismatch", "terms-differ"} <= set(
        refusal.value.codes
    )


def test_refuses_a_grant_that_answers_another_request_of_the_same_receiver(
    street: Street,
) -> None:
    package, _ = street.packed()
    other = street.ask()

    with pytest.raises(Refused) as refusal:
        street.receiver.receive(other.request_id, {"grant": (package.presentation,)})

    assert {"nonce-mismatch", "request-mismatch", "transaction-data-mismatch"} <= set(
        refusal.value.codes
    )


def test_takes_one_grant_for_one_request(street: Street) -> None:
    opened = street.ask()
    first, second = MemorySigner.generate(), MemorySigner.generate()
    one = street.package(street.decide(opened, first), first)
    two = street.package(street.decide(opened, second), second)
    receive(street, one, one.presentation)
    receive(street, one, one.presentation)

    with pytest.raises(Refused) as refusal:
        receive(street, two, two.presentation)

    assert refusal.value.codes == ["request-already-answered"]


def test_a_grant_id_answers_one_request(street: Street) -> None:
    signer = MemorySigner.generate()
    decided = street.decide(street.ask(), signer)
    one = street.package(decided, signer)
    receive(street, one, one.presentation)
    again = replace(street.decide(street.ask(), signer), grant_id=decided.grant_id)
    two = street.package(again, signer)

    with pytest.raises(Refused) as refusal:
        receive(street, two, two.presentation)

    assert refusal.value.codes == ["request-already-answered"]


def test_refuses_a_grant_after_the_request_has_lapsed(street: Street) -> None:
    package, _ = street.packed()
    street.clock.advance(timedelta(minutes=15))

    with pytest.raises(Refused) as refusal:
        receive(street, package, package.presentation)

    assert refusal.value.codes == ["request-expired"]


def test_refuses_a_bundle_that_the_grant_does_not_name(street: Street) -> None:
    package, _ = street.packed()
    receive(street, package, package.presentation)
    bundle = SealedBundle.from_bytes(package.bundle)
    other = replace(bundle, nonce=bytes(12))

    with pytest.raises(Refused) as refusal:
        street.receiver.accept_bundle(package.grant_id, other.to_bytes())
    assert refusal.value.codes == ["bundle-mismatch"]
    with pytest.raises(Refused) as refusal:
        street.receiver.accept_bundle(
            package.grant_id, replace(bundle, grant_id=_request_id(package)).to_bytes()
        )
    assert refusal.value.codes == ["grant-mismatch"]


def test_refuses_something_else_than_the_grant_alone(street: Street) -> None:
    package, _ = street.packed()
    request_id, shown = _request_id(package), package.presentation

    for token in ({"grant": (shown, shown)}, {"other": (shown,)}, {"grant": (shown,), "x": ("y",)}):
        with pytest.raises(Refused) as refusal:
            street.receiver.receive(request_id, token)
        assert refusal.value.codes == ["grant-missing"]


def test_refuses_another_credential_in_the_grants_place(street: Street) -> None:
    package, _ = street.packed()
    warranty = str(next(iter(street.customer.held.values())))

    with pytest.raises(Refused) as refusal:
        receive(street, package, warranty)

    assert refusal.value.codes == ["not-a-grant"]


def test_refuses_a_grant_without_its_key_binding(street: Street) -> None:
    package, _ = street.packed()

    with pytest.raises(Refused) as refusal:
        receive(street, package, package.presentation.rpartition("~")[0] + "~")

    assert refusal.value.codes == ["key-binding-missing"]


def crafted(
    street: Street,
    package: GrantPackage,
    signer: MemorySigner,
    *,
    holder: MemorySigner | None = None,
    issued_at: timedelta = timedelta(),
    ends_at: datetime | None = None,
) -> str:
    """Give the package's grant, signed anew by hand."""
    agreement = package.granted.agreement
    terms = agreement.terms
    claims: JsonObject = {
        "grant_id": agreement.grant_id,
        "request_digest": agreement.request_digest,
        "terms": terms.to_json(),
        "bundle": {"sha-256": agreement.bundle_digest, "suite": SUITE},
    }
    grant = issue_credential(
        claims,
        vct=GRANT_VCT,
        issuer=agreement.holder,
        signer=signer,
        holder=(holder or signer).public,
        issued_at=street.clock() + issued_at,
        expires_at=ends_at or terms.valid_until,
        status=None,
        concealed=(),
        random=street.random,
    )
    return bind(
        grant,
        signer=holder or signer,
        audience=terms.receiver.client_id,
        nonce=agreement.nonce,
        now=street.clock(),
        transaction_data_hashes=[agreement.terms_hash],
    )


def test_accepts_the_grant_that_the_others_here_are_changed_from(street: Street) -> None:
    package, signer = street.packed()

    receive(street, package, crafted(street, package, signer))


def test_refuses_a_grant_bound_to_another_key_than_its_issuers(street: Street) -> None:
    package, signer = street.packed()

    with pytest.raises(Refused) as refusal:
        receive(street, package, crafted(street, package, signer, holder=MemorySigner.generate()))

    assert refusal.value.codes == ["holder-is-not-issuer"]


@pytest.mark.parametrize("minutes", [-31, 2])
def test_refuses_a_grant_of_another_time(street: Street, minutes: int) -> None:
    package, signer = street.packed()
    token = crafted(street, package, signer, issued_at=timedelta(minutes=minutes))

    with pytest.raises(Refused) as refusal:
        receive(street, package, token)

    assert refusal.value.codes == ["grant-not-fresh"]


def test_refuses_a_grant_whose_end_is_not_that_of_its_terms(street: Street) -> None:
    package, signer = street.packed()
    later = package.granted.agreement.terms.valid_until + timedelta(seconds=1)

    with pytest.raises(Refused) as refusal:
        receive(street, package, crafted(street, package, signer, ends_at=later))

    assert refusal.value.codes == ["end-mismatch"]


def test_refuses_a_grant_that_ended_on_its_way(street: Street) -> None:
    package, _ = street.packed(valid_for=timedelta(minutes=5))
    street.clock.advance(timedelta(minutes=5))

    with pytest.raises(Refused) as refusal:
        receive(street, package, package.presentation)

    assert refusal.value.codes == ["grant-ended"]


def test_a_receipt_for_another_bundle_is_not_taken(street: Street) -> None:
    package, _ = street.packed()
    agreement = package.granted.agreement
    receipt = Receipt(
        grant_id=agreement.grant_id,
        grant_digest=agreement.grant_digest,
        bundle_digest=digest_of("another"),
        received_at=street.clock(),
        erase_within_s=60,
    ).sign(street.receiver_signer)

    def careless(method: str, path: str, headers: object, body: bytes) -> Response:
        return Response(200, "application/json", compact_json({"receipt": receipt}))

    street.fetcher.serve(VELO, careless)

    with pytest.raises(Refused) as refusal:
        deliver(package, fetcher=street.fetcher)

    assert refusal.value.codes == ["bundle-mismatch"]


def test_a_receiver_gives_no_notice_that_it_never_published(street: Street) -> None:
    opened = street.ask()
    terms = street.asked(opened).terms
    assert street.receiver.notice(terms.notice.sha256) == NOTICE.text

    with pytest.raises(Refused) as refusal:
        street.receiver.notice(digest_of("another text"))

    assert refusal.value.codes == ["notice-unknown"]
