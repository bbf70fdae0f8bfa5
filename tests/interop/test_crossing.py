"""Credentials and presentations cross both ways between us and three peers.

The subject's claims and the shapes are those of `scene.py`; what a verifier must see
is worked out there from the shape, not asked of either side.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final, NamedTuple

import pytest
from counterfoil_credentials import (
    Algorithm,
    Json,
    JsonObject,
    MemorySigner,
    Refused,
    SdJwt,
    check_key_binding,
    disclose,
    read_credential,
)
from counterfoil_credentials.encoding import as_object, compact_json, parse_object
from counterfoil_credentials.keys import Curve
from counterfoil_credentials.sdjwt_json import flattened, general, parse_json_sd_jwt

from tests.interop.asking import NPM, OPENVC, PEERS, PYPI, Peer, PeerRefused, private_jwk
from tests.interop.scene import (
    AUDIENCE,
    FLAT,
    HOLDER_KEY,
    ISSUER_KEY,
    NONCE,
    NOON,
    NOW,
    SHAPES,
    SUBJECT,
    Shape,
    accepted,
    as_json,
    issued,
    presented,
    registered,
    signer,
    subject_of,
)

pytestmark = pytest.mark.once

# openvc-core conceals members of the credential itself, and discloses all or nothing.
SPEAKS: Final = {
    name: [s for s, shape in SHAPES.items() if name != OPENVC or shape.depth <= 1] for name in PEERS
}
EVERY_SHAPE: Final = [(name, shape) for name in PEERS for shape in SHAPES]
SPOKEN_SHAPES: Final = [(name, shape) for name, shapes in SPEAKS.items() for shape in shapes]


@pytest.fixture
def shape(request: pytest.FixtureRequest) -> Shape:
    return SHAPES[request.param]


def issued_by(
    stranger: Peer,
    shape: Shape,
    *,
    decoys: int = 0,
    alg: Algorithm = Algorithm.ES256,
    issuer: MemorySigner = ISSUER_KEY,
    holder: MemorySigner = HOLDER_KEY,
    form: str = "compact",
) -> str:
    return stranger.text(
        "issue",
        now=NOW,
        key=private_jwk(issuer),
        alg=alg,
        kid=issuer.public.thumbprint(),
        claims={**registered(), **SUBJECT},
        concealed=as_json(shape.concealed),
        holder=holder.public.jwk(),
        decoys=decoys,
        form=form,
    )


def presented_by(
    stranger: Peer,
    credential: str,
    shape: Shape,
    *,
    audience: str = AUDIENCE,
    nonce: str = NONCE,
    alg: Algorithm = Algorithm.ES256,
    holder: MemorySigner = HOLDER_KEY,
    form: str = "compact",
) -> str:
    return stranger.text(
        "present",
        now=NOW,
        sd_jwt=credential,
        disclosed=as_json(shape.disclosed),
        key=private_jwk(holder),
        alg=alg,
        audience=audience,
        nonce=nonce,
        form=form,
    )


def seen_by(
    stranger: Peer, presentation: str, issuer: MemorySigner = ISSUER_KEY, form: str = "compact"
) -> JsonObject:
    """Give the subject as the peer sees it, or raise `PeerRefused`."""
    claims: Json = stranger.ask(
        "verify",
        now=NOW,
        presentation=presentation,
        key=issuer.public.jwk(),
        audience=AUDIENCE,
        nonce=NONCE,
        form=form,
    )
    return subject_of(as_object(claims, stranger.name))


@pytest.mark.parametrize(("stranger", "shape"), SPOKEN_SHAPES, indirect=True)
@pytest.mark.parametrize("decoys", [0, 3], ids=["bare", "among decoys"])
def test_we_show_what_a_peer_issued_and_the_shop_and_the_peer_see_it(
    stranger: Peer, shape: Shape, decoys: int
) -> None:
    credential = SdJwt.parse(issued_by(stranger, shape, decoys=decoys))

    presentation = str(presented(credential, shape))

    assert len(credential.disclosures) == len(shape.concealed)
    assert subject_of(accepted(presentation)) == shape.shown
    assert seen_by(stranger, presentation) == shape.shown


@pytest.mark.parametrize(
    ("stranger", "shape", "decoys_to"),
    [(*known, 1) for known in EVERY_SHAPE]
    # sd-jwt and @sd-jwt count decoys when they are told which element of a list to disclose.
    + [(name, shape, 8) for name, shape in EVERY_SHAPE if name == OPENVC or "array" not in shape],
    indirect=["stranger", "shape"],
)
def test_a_peer_shows_what_we_issued_and_the_shop_sees_it(
    stranger: Peer, shape: Shape, decoys_to: int
) -> None:
    credential = issued(shape, decoys_to=decoys_to)
    if stranger.name == OPENVC:
        credential = disclose(credential, shape.ends)

    presentation = presented_by(stranger, str(credential), shape)

    assert subject_of(accepted(presentation)) == shape.shown


@pytest.mark.parametrize(("stranger", "shape"), EVERY_SHAPE, indirect=True)
@pytest.mark.parametrize("decoys_to", [1, 8], ids=["bare", "among decoys"])
def test_a_peer_sees_what_we_show_of_what_we_issued(
    stranger: Peer, shape: Shape, decoys_to: int
) -> None:
    presentation = str(presented(issued(shape, decoys_to=decoys_to), shape))

    assert seen_by(stranger, presentation) == shape.shown == subject_of(accepted(presentation))


# Further algorithms. Our shop's list has ES256 alone, so these are checked one by one.

ED: Final = (Algorithm.ED25519, Algorithm.EDDSA)
ALGORITHMS: Final = {
    OPENVC: (Algorithm.ES256, Algorithm.ES384, *ED),
    PYPI: (Algorithm.ES256, Algorithm.ES384, Algorithm.ES256K, *ED),
    NPM: tuple(Algorithm),
}
CURVES: Final = {
    Algorithm.ES256: Curve.P256,
    Algorithm.ES384: Curve.P384,
    Algorithm.ES256K: Curve.SECP256K1,
    Algorithm.ED25519: Curve.ED25519,
    Algorithm.EDDSA: Curve.ED25519,
}
SPOKEN_ALGORITHMS: Final = [(name, alg) for name, spoken in ALGORITHMS.items() for alg in spoken]


class Pair(NamedTuple):
    """The keys of an issuer and of a holder, and what each writes as `alg`."""

    issuer: MemorySigner
    holder: MemorySigner
    alg: Algorithm
    holder_alg: Algorithm

    def shown(self, text: str) -> JsonObject:
        """Give the subject as we see it when both algorithms are on the list, and no other."""
        presentation = SdJwt.parse(text)
        credential = read_credential(presentation).verify(
            self.issuer.public, algorithms=frozenset({self.alg})
        )
        assert credential.holder_key == self.holder.public
        check_key_binding(
            presentation,
            holder_key=self.holder.public,
            audience=AUDIENCE,
            nonce=NONCE,
            now=NOON,
            max_age=timedelta(minutes=5),
            algorithms=frozenset({self.holder_alg}),
        )
        return subject_of(credential.claims)


def pair(stranger: Peer, alg: Algorithm) -> Pair:
    # PyPI sd-jwt takes a key binding under ES256 and no other.
    holder_alg = Algorithm.ES256 if stranger.name == PYPI else alg
    return Pair(
        signer("issuer", CURVES[alg]), signer("holder", CURVES[holder_alg]), alg, holder_alg
    )


@pytest.mark.parametrize(("stranger", "alg"), SPOKEN_ALGORITHMS, indirect=["stranger"])
def test_a_peer_issues_and_binds_under_each_algorithm_and_we_see_it(
    stranger: Peer, alg: Algorithm
) -> None:
    keys = pair(stranger, alg)
    credential = issued_by(stranger, FLAT, alg=alg, issuer=keys.issuer, holder=keys.holder)
    chosen = str(disclose(SdJwt.parse(credential), FLAT.ends))

    presentation = presented_by(stranger, chosen, FLAT, alg=keys.holder_alg, holder=keys.holder)

    assert keys.shown(presentation) == FLAT.shown
    other = Algorithm.ES384 if alg == Algorithm.ES256 else Algorithm.ES256
    with pytest.raises(Refused) as refused:
        keys._replace(alg=other).shown(presentation)
    assert refused.value.codes == ["algorithm-not-allowed"]


@pytest.mark.parametrize(("stranger", "alg"), SPOKEN_ALGORITHMS, indirect=["stranger"])
def test_a_peer_sees_what_we_issue_and_bind_under_each_algorithm(
    stranger: Peer, alg: Algorithm
) -> None:
    keys = pair(stranger, alg)
    presentation = presented(issued(FLAT, keys.issuer, keys.holder), FLAT, holder=keys.holder)

    assert seen_by(stranger, str(presentation), keys.issuer) == FLAT.shown
    with pytest.raises(PeerRefused):
        seen_by(stranger, str(presentation), signer("another", CURVES[alg]))


# The JWS JSON serialisation, which openvc-core does not speak.

FORMS: Final[Mapping[str, Callable[[SdJwt], JsonObject]]] = {
    "flattened": flattened,
    "general": lambda sd_jwt: general([sd_jwt]),
}


@pytest.mark.parametrize("stranger", [NPM], indirect=True)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", SHAPES, indirect=True)
def test_json_serialisations_cross_both_ways(stranger: Peer, shape: Shape, form: str) -> None:
    (theirs,) = parse_json_sd_jwt(issued_by(stranger, shape, form=form))
    by_us = presented(theirs, shape)
    ours = compact_json(FORMS[form](issued(shape))).decode()
    (by_them,) = parse_json_sd_jwt(presented_by(stranger, ours, shape, form=form))

    sent = compact_json(FORMS[form](by_us)).decode()

    assert seen_by(stranger, sent, form=form) == shape.shown == subject_of(accepted(str(by_us)))
    assert subject_of(accepted(str(by_them))) == shape.shown


@pytest.mark.parametrize("stranger", [NPM], indirect=True)
@pytest.mark.parametrize("form", FORMS)
def test_a_peer_refuses_our_json_without_a_disclosure_that_was_bound(
    stranger: Peer, form: str
) -> None:
    whole = presented(issued(FLAT), FLAT)
    less = SdJwt(whole.issuer_jwt, whole.disclosures[1:], whole.key_binding)

    with pytest.raises(PeerRefused):
        seen_by(stranger, compact_json(FORMS[form](less)).decode(), form=form)


@pytest.mark.parametrize("stranger", [PYPI], indirect=True)
@pytest.mark.parametrize("shape", SHAPES, indirect=True)
def test_the_json_of_an_old_draft_crosses_once_its_members_stand_where_they_do_now(
    stranger: Peer, shape: Shape
) -> None:
    """PyPI sd-jwt has what is unprotected beside the header. Its `sd_hash` covers the JSON."""
    issued_then = parse_object(issued_by(stranger, shape, form="flattened"), stranger.name)
    unprotected: JsonObject = {"disclosures": issued_then.pop("disclosures")}
    (theirs,) = parse_json_sd_jwt(compact_json({**issued_then, "header": unprotected}))
    by_us = presented(theirs, shape)
    sent = flattened(by_us)

    shown_then = {**sent, **as_object(sent.pop("header"), "header")}

    assert subject_of(accepted(str(by_us))) == shape.shown
    text = compact_json(shown_then).decode()
    assert seen_by(stranger, text, form="flattened") == shape.shown


# Each way has its refused neighbours.


@pytest.mark.parametrize("stranger", PEERS, indirect=True)
@pytest.mark.parametrize(
    ("audience", "nonce", "code"),
    [
        ("x509_san_dns:shop.example.org", NONCE, "audience-mismatch"),
        (AUDIENCE, NONCE.lower(), "nonce-mismatch"),
    ],
    ids=["another shop", "another request"],
)
def test_our_shop_refuses_what_a_peer_bound_to(
    stranger: Peer, audience: str, nonce: str, code: str
) -> None:
    presentation = presented_by(stranger, str(issued(FLAT)), FLAT, audience=audience, nonce=nonce)

    with pytest.raises(Refused) as refused:
        accepted(presentation)

    assert refused.value.codes == [code]


@pytest.mark.parametrize("stranger", PEERS, indirect=True)
def test_our_shop_refuses_what_a_peer_issued_under_another_key(stranger: Peer) -> None:
    impostor = issued_by(stranger, FLAT, issuer=signer("impostor"))
    _, payload, signature = impostor.partition("~")[0].split(".")
    header = issued(FLAT).issuer_jwt.partition(".")[0]
    claimed = impostor.replace(impostor.partition(".")[0], header, 1)
    presentation = presented_by(stranger, claimed, FLAT)

    with pytest.raises(Refused) as refused:
        accepted(presentation)

    assert f".{payload}.{signature}~" in presentation
    assert refused.value.codes == ["signature-invalid"]


@pytest.mark.parametrize("stranger", PEERS, indirect=True)
def test_a_peer_refuses_what_we_bound_with_another_key(stranger: Peer) -> None:
    presentation = str(presented(issued(FLAT), FLAT, holder=signer("thief")))

    with pytest.raises(PeerRefused):
        seen_by(stranger, presentation)


@pytest.mark.parametrize("stranger", PEERS, indirect=True)
@pytest.mark.parametrize("changed", ["audience", "nonce"])
def test_a_peer_refuses_what_we_bound_to_another(stranger: Peer, changed: str) -> None:
    named = {"audience": AUDIENCE, "nonce": NONCE, changed: "another"}
    presentation = str(
        presented(issued(FLAT), FLAT, audience=named["audience"], nonce=named["nonce"])
    )

    with pytest.raises(PeerRefused):
        seen_by(stranger, presentation)


@pytest.mark.parametrize("stranger", PEERS, indirect=True)
def test_a_peer_refuses_what_we_issued_under_another_key(stranger: Peer) -> None:
    presentation = str(presented(issued(FLAT, signer("another")), FLAT))

    with pytest.raises(PeerRefused):
        seen_by(stranger, presentation)


@pytest.mark.parametrize("stranger", PEERS, indirect=True)
def test_a_peer_refuses_what_we_show_once_a_disclosure_was_taken_away(stranger: Peer) -> None:
    whole = presented(issued(FLAT), FLAT)
    less = SdJwt(whole.issuer_jwt, whole.disclosures[1:], whole.key_binding)

    with pytest.raises(PeerRefused):
        seen_by(stranger, str(less))
