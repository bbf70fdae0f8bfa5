"""Verify 1,000 presentations against raw ES256; a credential seen before against a first one.

Each presentation is of another customer with another credential, all checks on: trust,
both signatures, disclosures, query, times, status list (fetched once), policy. That is
two verifications, and the opening of a key that was never met (two batches in turns hold
more keys than are remembered). The batch has two processes, and the clock on the wall
counts against as many raw verifications on one core; one process is reported beside.

A credential that was seen before costs one verification, by a holder whose key is known.
"""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import cycle
from typing import Final

from counterfoil_credentials import (
    MemorySigner,
    StatusReference,
    bind,
    disclose,
    issue_credential,
    sign_status_list,
)
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.requests import PresentationRequest, VpToken
from counterfoil_verifier import (
    WARRANTY,
    Accepted,
    PinnedTrust,
    Remembered,
    Statuses,
    TrustedIssuer,
    Verifier,
    VerifierPool,
)
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from bench.measure import Operation, Other, cpu, wall

_NOW: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
_ISSUER: Final = "https://auricle.example"
_VCT: Final = "https://auricle.example/types/warranty"
_LIST: Final = "https://auricle.example/status-lists/1"
_CLAIMS: Final[JsonObject] = {
    "item": {"name": "Auricle One", "gtin": "04012345678901", "serial": "AU-2026-000123"},
    "valid_until": "2028-11-02",
    "price": "199.00",
    "buyer": {"name": "Lin", "email": "lin@example.com"},
}
_CONCEALED: Final = [
    *[("item", name) for name in ("name", "gtin", "serial")],
    *[("buyer", name) for name in ("name", "email")],
    ("valid_until",),
    ("price",),
]
_PRESET: Final = WARRANTY.accepting([_VCT])
_SCHEME: Final = ec.ECDSA(hashes.SHA256())
_KEY: Final = b"\x07" * 32
Pair = tuple[VpToken, PresentationRequest]


class _Brand:
    """An issuer of warranties, and the source of its status list."""

    def __init__(self, key: bytes) -> None:
        self.signer = MemorySigner.from_private_bytes(key)

    def fetch(self, url: str) -> str:
        return sign_status_list(
            bytes(250_000),
            url=url,
            bits=2,
            signer=self.signer,
            issued_at=_NOW,
            expires_at=None,
            ttl_s=None,
        )

    def verifier(self, remembered: Remembered | None = None) -> Verifier:
        trusted = TrustedIssuer(issuer=_ISSUER, vcts=frozenset({_VCT}), keys=(self.signer.public,))
        return Verifier(
            _PRESET.policy(), PinnedTrust([trusted]), Statuses(self), remembered=remembered
        )


def _verifier_of(key: bytes) -> Verifier:
    return _Brand(key).verifier()


def operations(*, quick: bool) -> Iterator[Operation]:
    """Give a batch, and the same customer again."""
    brand = _Brand(_KEY)
    count = 8 if quick else 1_000
    pairs = [_shown(brand, i) for i in range(2 * count)]
    verifier = brand.verifier()
    batches = cycle([pairs[:count], pairs[count:]])
    key, message = ec.generate_private_key(ec.SECP256R1()), b"x" * 900
    public, signature = key.public_key(), key.sign(message, _SCHEME)

    def raw() -> None:
        for _ in range(2 * count):
            public.verify(signature, message, _SCHEME)

    def batch() -> object:
        return verifier.verify_each(next(batches), now=_NOW)

    with VerifierPool(partial(_verifier_of, _KEY), processes=2) as pool:
        # Both processes have begun, and have the list, once they have had their share.
        for outcome in pool.verify_each(pairs, now=_NOW):
            if not isinstance(outcome, Accepted):
                raise AssertionError(outcome)  # noqa: TRY004  # a broken bench, no wrong argument
        yield Operation(
            name=f"{count:,} presentations, two processes",
            ours=wall(lambda: pool.verify_each(next(batches), now=_NOW), batch=1),
            others=[
                Other(name="raw verifications on one core", sampler=wall(raw, batch=1), floor=0.75)
            ],
        )
    yield Operation(
        name=f"{count:,} presentations, one process",
        ours=cpu(batch, batch=1),
        others=[Other(name="raw verifications", sampler=cpu(raw, batch=1), goal=0.75)],
    )

    seen, again = brand.verifier(Remembered()), pairs[: count // 4]
    for pair in again:
        seen.verify(*pair, now=_NOW)
    visits, first_visits = cycle(again), cycle(pairs[count // 4 :])
    yield Operation(
        name="a credential that was seen before",
        ours=cpu(lambda: seen.verify(*next(visits), now=_NOW)),
        others=[
            Other(
                name="a first one",
                sampler=cpu(lambda: verifier.verify(*next(first_visits), now=_NOW)),
                floor=1.5,
            )
        ],
    )


def _shown(brand: _Brand, index: int) -> Pair:
    holder = MemorySigner.generate()
    credential = issue_credential(
        _CLAIMS,
        vct=_VCT,
        issuer=_ISSUER,
        signer=brand.signer,
        holder=holder.public,
        issued_at=_NOW - timedelta(days=20),
        expires_at=_NOW + timedelta(days=710),
        status=StatusReference(_LIST, index),
        concealed=_CONCEALED,
        random=secrets.token_bytes,
    )
    request = PresentationRequest(
        client_id="x509_san_dns:till.example",
        response_uri=f"https://till.example/responses/{index}",
        nonce=f"4x2zW1vXtLJq6ZyTq9sHn{index}",
        state=None,
        query=_PRESET.query(),
        issued_at=_NOW,
        expires_at=_NOW + timedelta(minutes=2),
    )
    shown = bind(
        disclose(credential, _PRESET.claims),
        signer=holder,
        audience=request.client_id,
        nonce=request.nonce,
        now=_NOW,
    )
    return {"warranty": (shown,)}, request
