"""A grant and what is signed about it are read by libraries that know nothing of consent.

The grant is an SD-JWT VC with key binding. A receipt, a stop notice, a key destruction
statement and an erasure receipt are JWS, which an SD-JWT library takes as SD-JWT without
disclosures. The key is looked up as a stranger does: it is the did:jwk in `iss`.
"""

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Final, NamedTuple, cast

import pytest
from counterfoil_consent import deliver, fetch_erasure_receipt, withdraw
from counterfoil_consent.spec import GRANT_VCT
from counterfoil_credentials.encoding import JsonObject, object_at, text_at

from tests.conftest import Clock
from tests.consent.street import CANARIES, CUSTODIAN, VELO, Street
from tests.interop.asking import NPM, PEERS, PYPI, Peer, PeerRefused

PAPERS: Final = {
    "receipt": "consent-receipt+jwt",
    "stop": "consent-stop+jwt",
    "destruction": "consent-key-destruction+jwt",
    "erasure": "consent-erasure-receipt+jwt",
}


class Walk(NamedTuple):
    """A grant from its giving to its end, as what was signed on the way."""

    grant: str
    audience: str
    nonce: str
    now: int
    papers: dict[str, str]


@pytest.fixture
def walk(clock: Clock, random_bytes: Callable[[int], bytes]) -> Walk:
    street = Street(clock, random_bytes, None)
    package, signer = street.packed()
    active = deliver(package, fetcher=street.fetcher)
    agreement = active.agreement
    ended = withdraw(active, signer=signer, now=clock(), random=random_bytes)
    told = {
        name: json.loads(
            street.fetcher.post(
                url, ended.token.encode(), media_type="application/jwt", max_bytes=100_000
            ).body
        )
        for name, url in (
            ("statement", f"{CUSTODIAN}/grants/{agreement.grant_id}/end"),
            ("stop_notice", f"{VELO}/consent/grants/{agreement.grant_id}/end"),
        )
    }
    proof = fetch_erasure_receipt(agreement, fetcher=street.fetcher, now=clock())
    return Walk(
        package.presentation,
        agreement.terms.receiver.client_id,
        agreement.nonce,
        int(clock().timestamp()),
        {
            "receipt": active.receipt,
            "stop": told["stop_notice"]["stop_notice"],
            "destruction": told["statement"]["statement"],
            "erasure": proof.receipt,
        },
    )


def part(token: str, place: int) -> JsonObject:
    text = token.partition("~")[0].split(".")[place]
    return cast("JsonObject", json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4))))


def key_named_in(token: str) -> JsonObject:
    """Give the key of the did:jwk in `iss`, by the did:jwk method's own words."""
    did = text_at(part(token, 1), "iss", "token")
    text = did.removeprefix("did:jwk:")
    jwk = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return {name: jwk[name] for name in ("kty", "crv", "x", "y")}


def grant_seen_by(stranger: Peer, walk: Walk, **changed: str) -> JsonObject:
    asked = {"presentation": walk.grant, "audience": walk.audience, "nonce": walk.nonce, **changed}
    key = key_named_in(walk.grant)
    seen = stranger.ask("verify", now=walk.now, key=key, form="compact", **asked)
    return cast("JsonObject", seen)


@pytest.mark.parametrize("stranger", PEERS, indirect=True)
def test_a_stranger_verifies_a_grant_and_sees_its_terms(stranger: Peer, walk: Walk) -> None:
    seen = grant_seen_by(stranger, walk)

    assert seen["vct"] == GRANT_VCT
    assert (
        object_at(object_at(seen, "cnf", "grant"), "jwk", "cnf")["x"]
        == key_named_in(walk.grant)["x"]
    )
    terms = object_at(seen, "terms", "grant")
    assert terms["purpose"] == "dpv:PersonalisedBenefits"
    assert not [value for value in CANARIES if value in str(seen)]


@pytest.mark.parametrize("stranger", PEERS, indirect=True)
@pytest.mark.parametrize("changed", ["audience", "nonce"])
def test_a_stranger_refuses_a_grant_that_was_given_to_another(
    stranger: Peer, walk: Walk, changed: str
) -> None:
    with pytest.raises(PeerRefused):
        grant_seen_by(stranger, walk, **{changed: "another"})


@pytest.mark.parametrize("stranger", PEERS, indirect=True)
def test_a_stranger_refuses_a_grant_whose_terms_were_changed(stranger: Peer, walk: Walk) -> None:
    head, payload, rest = walk.grant.split(".", 2)
    swapped = payload[:-6] + ("A" if payload[-6] != "A" else "B") + payload[-5:]

    with pytest.raises(PeerRefused):
        grant_seen_by(stranger, walk, presentation=f"{head}.{swapped}.{rest}")


@pytest.mark.parametrize("stranger", [NPM, PYPI], indirect=True)
@pytest.mark.parametrize("name", PAPERS)
def test_a_stranger_verifies_each_signed_paper(stranger: Peer, walk: Walk, name: str) -> None:
    token, typ = walk.papers[name], PAPERS[name]

    seen = stranger.ask("paper", now=walk.now, token=token, key=key_named_in(token), typ=typ)

    assert seen == part(token, 1)
    assert not [value for value in CANARIES if value in str(seen)]


@pytest.mark.parametrize("stranger", [NPM, PYPI], indirect=True)
@pytest.mark.parametrize("name", PAPERS)
def test_a_stranger_refuses_a_paper_under_another_key_or_of_another_type(
    stranger: Peer, walk: Walk, name: str
) -> None:
    token, typ = walk.papers[name], PAPERS[name]
    its_own, another = key_named_in(token), key_named_in(walk.grant)

    with pytest.raises(PeerRefused):
        stranger.ask("paper", now=walk.now, token=token, key=another, typ=typ)
    with pytest.raises(PeerRefused):
        stranger.ask("paper", now=walk.now, token=token, key=its_own, typ="consent-lease+jwt")


@pytest.mark.parametrize("stranger", [NPM, PYPI], indirect=True)
@pytest.mark.parametrize("name", PAPERS)
def test_a_stranger_refuses_a_paper_in_which_one_letter_was_changed(
    stranger: Peer, walk: Walk, name: str
) -> None:
    token = walk.papers[name]
    head, payload, signature = token.split(".")
    changed = ("A" if signature[4] != "A" else "B").join((signature[:4], signature[5:]))

    with pytest.raises(PeerRefused):
        stranger.ask(
            "paper",
            now=walk.now,
            token=f"{head}.{payload}.{changed}",
            key=key_named_in(token),
            typ=PAPERS[name],
        )
