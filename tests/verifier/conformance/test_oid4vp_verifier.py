"""What the OpenID Foundation's suite asks of a verifier: a test for each of its modules, named so.

The modules are those of the plan `oid4vp-1final-verifier`; invalid-session-transcript is of
mdoc. Where the suite takes one way through a variant (client id prefix, response mode, how
the request comes), a test here takes all that this verifier has. The suite wants a status
of 4xx for what is refused; here the counter must say the one right reason, too.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from counterfoil_credentials.keys import PublicKey
from counterfoil_service.sealing import Seal
from counterfoil_verifier import WARRANTY, Counter, PinnedTrust, Shop, Statuses, TrustedIssuer
from counterfoil_verifier.app import create_app
from counterfoil_verifier.identity import Identity, OwnKey, Unproved
from counterfoil_verifier.requesting import Way
from counterfoil_verifier.sql_store import SqlSessionStore
from fastapi.testclient import TestClient

from tests.conftest import Clock
from tests.issuer.conformance.emulated_wallet import public
from tests.verifier.certificates import DNS, HASH, papers
from tests.verifier.conformance.emulated_wallet import (
    ISSUER,
    TYPE,
    EmulatedIssuer,
    EmulatedWallet,
    Variant,
    response_code,
)

KEY = "of-the-counter"
MODES = ("direct_post", "direct_post.jwt")
PREFIXES = ("decentralized_identifier", "x509_san_dns", "x509_hash", "redirect_uri")
YEAR_S = 365 * 86_400


@dataclass(frozen=True)
class Stage:
    """Our verifier before the suite."""

    http: TestClient
    wallet: EmulatedWallet

    def ask(self, **changes: object) -> dict[str, Any]:
        body = {"preset": "warranty", **changes}
        answer = self.http.post("/counter/requests", json=body, headers=self.key)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def look(self, asked: dict[str, Any], **more: str) -> dict[str, Any]:
        path = f"/counter/requests/{asked['id']}"
        answer = self.http.get(path, params=more, headers=self.key)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    @property
    def key(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {KEY}"}


Open = Callable[..., Stage]


@pytest.fixture
def stage(
    clock: Clock, random_bytes: Callable[[int], bytes], tmp_path: Path
) -> Generator[Open, None, None]:
    """Give what opens our verifier in one of its variants."""
    opened: list[Any] = []

    def open_stage(prefix: str = PREFIXES[0], mode: str = MODES[1], way: Way = Way.GET) -> Stage:
        shop = _shop(prefix, mode, way)
        made = _stage(clock, random_bytes, tmp_path / f"{len(opened)}", shop)
        opened.append(made)
        return made.__enter__()

    yield open_stage
    for made in reversed(opened):
        made.__exit__(None, None, None)


def _shop(prefix: str, mode: str, way: Way) -> Shop:
    certificate = papers()
    identities: dict[str, Identity] = {
        "decentralized_identifier": OwnKey(),
        "x509_san_dns": certificate.identity(DNS),
        "x509_hash": certificate.identity(HASH),
        "redirect_uri": Unproved(),
    }
    return Shop(
        name="Corner Shop",
        origin="https://till.example",
        signer=certificate.signer,
        identity=identities[prefix],
        way=way,
        seal=Seal(bytes(range(32)), "response keys") if mode == MODES[1] else None,
        return_to="https://shop.example/thanks",
    )


@contextmanager
def _stage(
    clock: Clock, random: Callable[[int], bytes], folder: Path, shop: Shop
) -> Generator[Stage, None, None]:
    issuer = EmulatedIssuer(clock)
    trusted = TrustedIssuer(
        issuer=ISSUER,
        vcts=frozenset({TYPE}),
        keys=(PublicKey.from_jwk(public(issuer.key), "issuer"),),
    )
    folder.mkdir()
    store = SqlSessionStore(folder / "counter.sqlite3")
    counter = Counter(
        shop=shop,
        presets=[WARRANTY.accepting([TYPE])],
        trust=PinnedTrust([trusted]),
        statuses=Statuses(issuer),
        store=store,
        random=random,
        clock=clock,
    )
    with TestClient(create_app(counter, counter_key=KEY)) as http:
        yield Stage(http, EmulatedWallet(http, issuer))
    store.close()


def codes(look: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in look["reasons"]]


def refused(stage: Stage, variant: Variant) -> list[str]:
    """Let a wallet misbehave; give the reasons that the counter is told, after the suite's 4xx."""
    asked = stage.ask()
    answer = stage.wallet.answer(stage.wallet.request(asked["link"]), variant)
    assert answer.status_code == 400, answer.text
    # The wallet learns that, and nothing that would help it to try again.
    assert answer.json() == {
        "error": "access_denied",
        "error_description": "the presentation was not accepted",
    }
    look = stage.look(asked)
    assert (look["state"], look["light"], look["facts"]) == ("refused", "red", None)
    return codes(look)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_oid4vp_1final_verifier_happy_flow(stage: Open, prefix: str, mode: str) -> None:
    verifier = stage(prefix, mode)
    asked = verifier.ask()
    request = verifier.wallet.request(asked["link"])
    assert request["client_id"].partition(":")[0] == prefix
    assert request["response_mode"] == mode

    answer = verifier.wallet.answer(request)

    assert answer.status_code == 200
    assert isinstance(answer.json(), dict)
    assert answer.headers["content-type"] == "application/json"
    look = verifier.look(asked)
    assert (look["state"], look["light"], look["reasons"]) == ("accepted", "green", [])
    assert look["facts"] == {
        "item.name": "Auricle One",
        "item.serial": "A1-0001",
        "valid_until": "2099-12-31",
    }


@pytest.mark.parametrize("mode", MODES)
def test_oid4vp_1final_verifier_happy_flow_with_a_redirect(stage: Open, mode: str) -> None:
    """The suite follows `redirect_uri`; the result is there for the session that began."""
    verifier = stage(mode=mode)
    asked = verifier.ask(handback="response-code")

    answer = verifier.wallet.answer(verifier.wallet.request(asked["link"]))

    assert answer.status_code == 200
    assert verifier.look(asked)["state"] == "awaited"
    assert verifier.look(asked, code=response_code(answer))["state"] == "accepted"


@pytest.mark.parametrize("mode", MODES)
def test_oid4vp_1final_verifier_invalid_credential_signature(stage: Open, mode: str) -> None:
    assert refused(stage(mode=mode), Variant(breaks_credential=True)) == ["signature-invalid"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_oid4vp_1final_verifier_invalid_kb_jwt_aud(stage: Open, prefix: str, mode: str) -> None:
    verifier = stage(prefix, mode)
    right = verifier.wallet.request(verifier.ask()["link"])["client_id"]

    # The whole client id is the audience, with its prefix (section 14.7).
    for wrong in ("https://other.example", right.partition(":")[2], f"{right}/", f" {right}"):
        assert refused(verifier, Variant(audience=wrong)) == ["audience-mismatch"]


@pytest.mark.parametrize("mode", MODES)
def test_oid4vp_1final_verifier_invalid_kb_jwt_nonce(stage: Open, mode: str) -> None:
    verifier = stage(mode=mode)
    earlier = verifier.wallet.request(verifier.ask()["link"])["nonce"]

    for wrong in ("another", earlier):
        assert refused(verifier, Variant(nonce=wrong)) == ["nonce-mismatch"]


@pytest.mark.parametrize("mode", MODES)
def test_oid4vp_1final_verifier_invalid_kb_jwt_signature(stage: Open, mode: str) -> None:
    variant = Variant(breaks_binding=True)

    assert refused(stage(mode=mode), variant) == ["key-binding-signature-invalid"]


@pytest.mark.parametrize("mode", MODES)
def test_oid4vp_1final_verifier_invalid_sd_hash(stage: Open, mode: str) -> None:
    assert refused(stage(mode=mode), Variant(sd_hash="A" * 43)) == ["sd-hash-mismatch"]


@pytest.mark.parametrize("mode", MODES)
def test_oid4vp_1final_verifier_kb_jwt_iat_in_future(stage: Open, mode: str) -> None:
    verifier = stage(mode=mode)

    # A minute is allowed for clocks that differ.
    for ahead_s in (61, YEAR_S):
        codes = refused(verifier, Variant(iat_s=ahead_s))
        assert codes == ["key-binding-from-the-future"]
    asked = verifier.ask()
    request = verifier.wallet.request(asked["link"])
    assert verifier.wallet.answer(request, Variant(iat_s=60)).status_code == 200


@pytest.mark.parametrize("mode", MODES)
def test_oid4vp_1final_verifier_kb_jwt_iat_in_past(stage: Open, mode: str) -> None:
    verifier = stage(mode=mode)

    for ago_s in (301, YEAR_S):
        assert refused(verifier, Variant(iat_s=-ago_s)) == ["key-binding-too-old"]
    asked = verifier.ask()
    request = verifier.wallet.request(asked["link"])
    assert verifier.wallet.answer(request, Variant(iat_s=-300)).status_code == 200


@pytest.mark.parametrize("mode", MODES)
def test_oid4vp_1final_verifier_minimal_cnf_jwk(stage: Open, mode: str) -> None:
    """A holder's key has kty, crv, x and y, and need not have more; it may."""
    verifier = stage(mode=mode)
    for cnf in ({}, {"kid": "k", "use": "sig", "alg": "ES256"}):
        asked = verifier.ask()
        answer = verifier.wallet.answer(
            verifier.wallet.request(asked["link"]), Variant(cnf=dict(cnf))
        )
        assert answer.status_code == 200
        assert verifier.look(asked)["light"] == "green"


@pytest.mark.parametrize("way", [Way.GET, Way.POST])
@pytest.mark.parametrize("mode", MODES)
def test_oid4vp_1final_verifier_request_uri_fetched_twice(stage: Open, mode: str, way: Way) -> None:
    verifier = stage(mode=mode, way=way)
    asked = verifier.ask()

    request = verifier.wallet.request(asked["link"], fetches=2)

    assert verifier.wallet.answer(request).status_code == 200
    assert verifier.look(asked)["light"] == "green"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("prefix", PREFIXES[:3])
def test_oid4vp_1final_verifier_request_uri_method_post(
    stage: Open, prefix: str, mode: str
) -> None:
    verifier = stage(prefix, mode, Way.POST)
    asked = verifier.ask()
    assert "request_uri_method=post" in asked["link"]

    answer = verifier.wallet.answer(verifier.wallet.request(asked["link"]))

    assert answer.status_code == 200
    assert verifier.look(asked)["light"] == "green"
