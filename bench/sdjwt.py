"""Issue, present and verify an SD-JWT VC of 10 claims, all checks on, against raw ES256 calls.

The holder presents three claims with key binding. The verifier has met the holder's
key and the header of the issuer's tokens before and remembers nothing else; first
meetings are reported beside it, with more holders than it remembers. The peer is
PyPI's sd-jwt.
"""

import importlib
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any, Final

from counterfoil_credentials import (
    MemorySigner,
    SdJwt,
    StatusReference,
    bind,
    check_key_binding,
    issue_credential,
    read_credential,
    time_reasons,
)
from counterfoil_credentials.encoding import JsonObject, b64url
from counterfoil_credentials.sdjwt import Disclosable
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from bench.measure import Operation, Other, Sampler, cpu, if_installed

_CLAIMS: Final[JsonObject] = {
    "order": "#1001-2026",
    "item": "Auricle One headphones",
    "gtin": "04012345678901",
    "serial": "AU-2026-000123",
    "bought_on": "2026-11-02",
    "valid_until": "2028-11-02",
    "price": "199.00",
    "currency": "EUR",
    "given_name": "Lin",
    "email": "lin@example.com",
}
_FRAME: Final = [(name,) for name in _CLAIMS]
_SHOWN: Final = ("item", "serial", "valid_until")
_ASKED: Final = [(name,) for name in _SHOWN]
_NOW: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
_ENDS: Final = _NOW + timedelta(days=730)
_STATUS: Final = StatusReference("https://auricle.example/status-lists/1", 4711)
_MAX_AGE: Final = timedelta(minutes=5)
_VCT: Final = "https://auricle.example/types/warranty"
_AUDIENCE: Final = "x509_san_dns:till.example"
_NONCE: Final = "4x2zW1vXtLJq6ZyTq9sHnA"
_HOLDERS: Final = 1_100
_SCHEME: Final = ec.ECDSA(hashes.SHA256())


def operations(*, quick: bool) -> Iterator[Operation]:
    """Give issuing, presenting and verifying."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = MemorySigner(key)
    holder = MemorySigner.generate()
    issued = _issue(issuer, holder)
    held = Disclosable(issued)
    presented = _present(held, holder)
    peer = _Peer(issuer, holder, issued, presented)
    raw_sign, raw_verify = _raw(key, issued)

    yield Operation(
        name="issue, 10 claims",
        ours=cpu(lambda: str(_issue(issuer, holder))),
        others=[
            Other(name="one raw signature", sampler=cpu(raw_sign), floor=0.42, goal=0.60),
            peer.other("issue", floor=3.2, goal=4.5),
        ],
    )
    yield Operation(
        name="present 3 of them, key binding",
        ours=cpu(lambda: _present(held, holder)),
        others=[
            Other(name="one raw signature", sampler=cpu(raw_sign), floor=0.70, goal=0.85),
            peer.other("present", floor=6.0, goal=7.0),
        ],
    )
    yield Operation(
        name="verify: issuer, disclosures, holder",
        ours=cpu(lambda: _verify(presented, issuer)),
        others=[
            Other(name="two raw verifications", sampler=cpu(raw_verify), floor=0.70, goal=0.85),
            peer.other("verify", floor=2.4, goal=2.8),
        ],
    )
    shown = cycle([_first_visit(issuer) for _ in range(4 if quick else _HOLDERS)])
    yield Operation(
        name="verify, a holder never met before",
        ours=cpu(lambda: _verify(next(shown), issuer)),
        others=[Other(name="two raw verifications", sampler=cpu(raw_verify))],
    )


def _first_visit(issuer: MemorySigner) -> str:
    holder = MemorySigner.generate()
    return _present(Disclosable(_issue(issuer, holder)), holder)


def _issue(issuer: MemorySigner, holder: MemorySigner) -> SdJwt:
    return issue_credential(
        _CLAIMS,
        vct=_VCT,
        issuer="https://auricle.example",
        signer=issuer,
        holder=holder.public,
        issued_at=_NOW,
        expires_at=_ENDS,
        status=_STATUS,
        concealed=_FRAME,
        random=secrets.token_bytes,
    )


def _present(held: Disclosable, holder: MemorySigner) -> str:
    shown = held.disclose(_ASKED)
    return bind(shown, signer=holder, audience=_AUDIENCE, nonce=_NONCE, now=_NOW)


def _verify(presentation: str, issuer: MemorySigner) -> JsonObject:
    sd_jwt = SdJwt.parse(presentation)
    credential = read_credential(sd_jwt).verify(issuer.public)
    if time_reasons(credential, _NOW) or credential.holder_key is None or credential.vct != _VCT:
        raise AssertionError
    check_key_binding(
        sd_jwt,
        holder_key=credential.holder_key,
        audience=_AUDIENCE,
        nonce=_NONCE,
        now=_NOW,
        max_age=_MAX_AGE,
    )
    return credential.claims


def _raw(
    key: ec.EllipticCurvePrivateKey, sd_jwt: SdJwt
) -> tuple[Callable[[], object], Callable[[], object]]:
    message = sd_jwt.issuer_jwt.rpartition(".")[0].encode()
    public, signature = key.public_key(), key.sign(message, _SCHEME)

    def verify_two() -> None:
        public.verify(signature, message, _SCHEME)
        public.verify(signature, message, _SCHEME)

    return lambda: key.sign(message, _SCHEME), verify_two


class _Peer:
    """The same three operations with PyPI's sd-jwt, on the same keys and claims."""

    def __init__(
        self, issuer: MemorySigner, holder: MemorySigner, issued: SdJwt, presented: str
    ) -> None:
        self._issuer = issuer
        self._holder = holder
        self._issued = str(issued)
        self._presented = presented

    def other(self, verb: str, *, floor: float, goal: float) -> Other:
        sampler = if_installed("sd_jwt", getattr(self, f"_{verb}"))
        return Other(name="sd-jwt (PyPI)", sampler=sampler, floor=floor, goal=goal)

    def _issue(self) -> Sampler:
        module, common = (importlib.import_module(f"sd_jwt.{n}") for n in ("issuer", "common"))
        issuer, holder = _jwk(self._issuer), _jwk(self._holder)
        claims = {common.SDObj(name): value for name, value in _CLAIMS.items()}
        open_claims = {
            "iss": "https://auricle.example",
            "vct": _VCT,
            "iat": int(_NOW.timestamp()),
            "exp": int(_NOW.timestamp()) + 63_072_000,
            "status": {"status_list": {"uri": _STATUS.url, "idx": _STATUS.index}},
        }
        return cpu(
            lambda: (
                module.SDJWTIssuer(
                    {**open_claims, **claims}, issuer, holder, sign_alg="ES256"
                ).sd_jwt_issuance
            )
        )

    def _present(self) -> Sampler:
        module = importlib.import_module("sd_jwt.holder")
        key = _jwk(self._holder)
        shown = dict.fromkeys(_SHOWN, True)

        def present() -> object:
            holder = module.SDJWTHolder(self._issued)
            holder.create_presentation(shown, _NONCE, _AUDIENCE, key, sign_alg="ES256")
            return holder.sd_jwt_presentation

        return cpu(present)

    def _verify(self) -> Sampler:
        module = importlib.import_module("sd_jwt.verifier")
        key = _jwk(self._issuer)

        def key_of(*_: object) -> object:
            return key

        return cpu(
            lambda: module.SDJWTVerifier(
                self._presented, key_of, _AUDIENCE, _NONCE
            ).get_verified_payload()
        )


def _jwk(signer: MemorySigner) -> Any:  # noqa: ANN401  # jwcrypto's key object
    jwk = importlib.import_module("jwcrypto.jwk")
    return jwk.JWK(**signer.public.jwk(), d=b64url(signer.private_bytes()))
