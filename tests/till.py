"""A program that tests/test_imports.py runs in an environment without any extra.

It does what a phone and a till do with the base of the distribution: a wallet
accepts a warranty and presents it to a verifier in the same process. It fails
when anything heavy was loaded on the way.
"""

import secrets
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl

import counterfoil_consent
from counterfoil_credentials import (
    CredentialOffer,
    FetchedStatusSource,
    Json,
    MemoryFetcher,
    MemorySigner,
    Response,
    StatusReference,
    check_proof,
    issue_credential,
    issuer_keys_document,
    pack,
    sign_status_list,
)
from counterfoil_credentials.encoding import compact_json, parse_object, texts_at
from counterfoil_credentials.errors import Refused
from counterfoil_verifier import WARRANTY, Counter, FetchedTrust, MemoryStore, Shop, Statuses
from counterfoil_verifier.requesting import RequestId
from counterfoil_wallet import Wallet

BRAND = "https://brand.example"
TILL = "https://till.example"
VCT = f"{BRAND}/types/warranty"
LIST = f"{BRAND}/status-lists/1"

network = MemoryFetcher()
brand_key = MemorySigner.generate()
revoked: list[int] = []


def now() -> datetime:
    return datetime.now(UTC)


def answer(body: Json) -> Response:
    return Response(200, "application/json", compact_json(body))


def credential(body: bytes) -> Response:
    """Issue one warranty to the key that the proof shows."""
    proofs = parse_object(body, "request")["proofs"]
    assert isinstance(proofs, dict)
    proof = check_proof(
        texts_at(proofs, "jwt", "proofs")[0], issuer=BRAND, now=now(), max_age=timedelta(minutes=5)
    )
    issued = issue_credential(
        {
            "item": {"name": "Auricle One", "gtin": "4006381333931", "serial": "A1-0001"},
            "valid_until": (now() + timedelta(days=30)).date().isoformat(),
            "price": "249.00",
        },
        vct=VCT,
        issuer=BRAND,
        signer=brand_key,
        holder=proof.key,
        issued_at=now(),
        expires_at=None,
        status=StatusReference(LIST, 0),
        concealed=[("price",)],
        random=secrets.token_bytes,
    )
    return answer({"credentials": [{"credential": str(issued)}]})


def brand(_: str, path: str, __: Mapping[str, str], body: bytes) -> Response:
    """Answer as a small issuer does."""
    match path:
        case "/.well-known/openid-credential-issuer":
            configuration: Json = {
                "format": "dc+sd-jwt",
                "vct": VCT,
                "cryptographic_binding_methods_supported": ["jwk"],
                "proof_types_supported": {"jwt": {"proof_signing_alg_values_supported": ["ES256"]}},
            }
            return answer(
                {
                    "credential_issuer": BRAND,
                    "credential_endpoint": f"{BRAND}/credential",
                    "credential_configurations_supported": {"warranty": configuration},
                }
            )
        case "/.well-known/oauth-authorization-server":
            return answer({"issuer": BRAND, "token_endpoint": f"{BRAND}/token"})
        case "/.well-known/jwt-vc-issuer":
            return answer(issuer_keys_document(BRAND, [brand_key.public]))
        case "/token":
            return answer({"access_token": "once", "token_type": "Bearer", "expires_in": 60})
        case "/credential":
            return credential(body)
        case "/status-lists/1":
            token = sign_status_list(
                pack([1 if 0 in revoked else 0]),
                url=LIST,
                bits=2,
                signer=brand_key,
                # A change has a later time than what was there, be it in the same second.
                issued_at=now() + timedelta(seconds=len(revoked)),
                expires_at=None,
                ttl_s=0,
            )
            return Response(200, "application/statuslist+jwt", token.encode())
        case _:
            return Response(404, "text/plain", b"")


counter = Counter(
    shop=Shop(name="Till", origin=TILL, signer=MemorySigner.generate()),
    presets=[WARRANTY.accepting([VCT])],
    trust=FetchedTrust(network, {BRAND: [VCT]}),
    statuses=Statuses(FetchedStatusSource(network)),
    store=MemoryStore(),
)


def till(method: str, path: str, _: Mapping[str, str], body: bytes) -> Response:
    """Answer as the counter's door does."""
    identifier = RequestId(path.rsplit("/", 1)[1])
    if method == "GET":
        signed = counter.request_object(identifier).encode()
        return Response(200, "application/oauth-authz-req+jwt", signed)
    try:
        counter.receive(identifier, dict(parse_qsl(body.decode("ascii"))))
    except Refused:
        return Response(400, "application/json", b'{"error":"access_denied"}')
    return answer({})


def show(wallet: Wallet) -> str:
    """Let the till ask and the wallet answer; give the light."""
    asked = counter.ask("warranty")
    # The wallet hears that it was refused; why, the till says.
    with suppress(Refused):
        wallet.present(wallet.matches(asked.link).choose())
    light = counter.look(asked.session_id).light
    return "none" if light is None else light.value


network.serve(BRAND, brand)
network.serve(TILL, till)
offer = CredentialOffer(BRAND, ("warranty",), "code", None).to_link()

with (
    tempfile.TemporaryDirectory() as folder,
    Wallet.create(Path(folder) / "wallet", "passphrase", fetcher=network) as wallet,
):
    wallet.accept(offer)
    assert show(wallet) == "green"
    revoked.append(0)
    assert show(wallet) == "red"

assert counterfoil_consent.__all__
heavy = {"web3", "eth", "eth_tester", "fastapi", "pydantic", "sqlalchemy", "pyld"}
loaded = heavy & set(sys.modules)
if loaded:
    sys.exit(f"expected nothing heavy, found {sorted(loaded)}")
