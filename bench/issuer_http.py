"""Answer a credential request, and serve a status list, against bare ASGI endpoints.

The bare endpoint for credentials does the same cryptography (it hashes the token, opens
the holder's key, verifies the proof, MACs and hashes its nonce, salts and digests the
same claims, signs, hashes the key and the credential) and commits the same rows (the
spent nonce, the issuance, its credential, the list's count) to the same tables through
the same group commit, and nothing else: it looks nothing up, and checks nothing. The
other one says hello. Each server is a process of its own, asked on 16 connections; what
counts is its CPU time. Every request has a token, a nonce and a holder's key that were
never seen before.
"""

import hashlib
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson
from counterfoil_credentials.encoding import JsonObject, compact_json
from counterfoil_credentials.holder_proof import make_proof
from counterfoil_credentials.keys import MemorySigner, PublicKey
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import StatusReference, issue_credential
from counterfoil_issuer.app import create_app
from counterfoil_issuer.catalogue import WARRANTY, parse_catalogue_files, sample_files
from counterfoil_issuer.datasets import new_dataset
from counterfoil_issuer.issuer import Issuer, IssuerOptions, utc_now
from counterfoil_issuer.records import (
    CredentialRecord,
    Dataset,
    Issuance,
    IssuanceId,
    RevocationReason,
    secret_hash,
)
from counterfoil_issuer.sql_statements import ADD_CREDENTIAL
from counterfoil_issuer.sql_store import SqlStore
from counterfoil_issuer.tables import DATASETS, ISSUANCES, SPENT_NONCES, STATUS_LISTS
from counterfoil_issuer.tokens import grant_token
from counterfoil_service.statements import Connection, Statement
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from pybase64 import urlsafe_b64decode, urlsafe_b64encode
from sqlalchemy import insert, select, text, update

from bench.loopback import (
    AsgiApp,
    Receive,
    Scope,
    Send,
    cpu_per_request,
    get,
    post,
    respond,
    running,
    serve,
)
from bench.measure import DISK, QUICK_ROUNDS, Operation, Other

URL: Final = "https://audio.example"
VCT: Final = f"{URL}/types/warranty"
_SECRET: Final = b"a secret of the bench and no one"
_KEY: Final = b"\x07" * 32
_REQUESTS: Final = 160
_QUICK_REQUESTS: Final = 16
# One round of credentials is off by a quarter either way: two processes, a thread, the
# disk. The median of 15 was still off by a tenth.
_ISSUING_ROUNDS: Final = 61
_ROUNDS: Final = 15
_HELLOS: Final = 640
LIST_SIZE: Final = 131_072
SMALL_LIST: Final = 1_024
_HOUR: Final = timedelta(hours=1)
_SCHEME: Final = ec.ECDSA(Prehashed(hashes.SHA256()))
_SPEND: Final = Statement(insert(SPENT_NONCES))
_ADD_ISSUANCE: Final = Statement(
    insert(ISSUANCES),
    columns=(
        "issuance_id",
        "dataset_id",
        "type_name",
        "order_number",
        "serial",
        "token_hash",
        "issued_at",
        "expires_at",
    ),
)
_COUNT: Final = Statement(update(STATUS_LISTS).values(used=STATUS_LISTS.c.used + 1))


def operations(*, quick: bool) -> Iterator[Operation]:
    """Give the credential endpoint, then the status list."""
    with tempfile.TemporaryDirectory(dir=DISK) as name:
        folder = Path(name)
        if quick:
            yield from _credentials(folder, _QUICK_REQUESTS, QUICK_ROUNDS)
            yield from _status_list(folder, SMALL_LIST, QUICK_ROUNDS)
        else:
            yield from _credentials(folder, _REQUESTS, _ISSUING_ROUNDS)
            yield from _status_list(folder, LIST_SIZE, _ROUNDS)


def _credentials(folder: Path, size: int, rounds: int) -> Iterator[Operation]:
    ours, bare = folder / "ours.sqlite3", folder / "bare.sqlite3"
    # One batch more: the first sample of each warms up.
    requests = _requests(ours, size * (rounds + 1))
    _requests(bare, size * (rounds + 1))
    batches = [requests[start : start + size] for start in range(0, len(requests), size)]
    with (
        running("bench.issuer_http", "issuer", str(ours)) as our_port,
        running("bench.issuer_http", "bare", str(bare)) as bare_port,
    ):
        our_turns, bare_turns = iter(batches), iter(batches)
        yield Operation(
            name=f"credential request, {_disclosures()} disclosures",
            ours=lambda: cpu_per_request(our_port, next(our_turns)),
            others=[
                Other(
                    name="bare ASGI, same work",
                    sampler=lambda: cpu_per_request(bare_port, next(bare_turns)),
                    floor=1.35,
                )
            ],
            at_most=True,
            rounds=rounds,
        )


def _status_list(folder: Path, length: int, rounds: int) -> Iterator[Operation]:
    path = folder / "list.sqlite3"
    revoke_some(path, length)
    lists, hellos = [get("/status-lists/1")] * _HELLOS, [get("/")] * _HELLOS
    with (
        running("bench.issuer_http", "issuer", str(path), str(length)) as our_port,
        running("bench.issuer_http", "hello", str(path)) as bare_port,
    ):
        yield Operation(
            name=f"status list of {length:,}, 1 % set",
            ours=lambda: cpu_per_request(our_port, lists),
            others=[
                Other(
                    name="bare ASGI hello",
                    sampler=lambda: cpu_per_request(bare_port, hellos),
                    floor=0.7,
                )
            ],
            rounds=rounds,
        )


def _issuer(store: SqlStore, length: int = LIST_SIZE) -> Issuer:
    return Issuer(
        url=URL,
        catalogue=parse_catalogue_files(sample_files()),
        signer=MemorySigner.from_private_bytes(_KEY),
        secret=_SECRET,
        store=store,
        options=IssuerOptions(
            token_lasts=_HOUR, nonce_lasts=_HOUR, proof_max_age=_HOUR, status_list_size=length
        ),
    )


def _requests(path: Path, count: int) -> list[bytes]:
    """Give requests, each for another warranty, with the tokens that they need in the database."""
    now, found = utc_now(), list[bytes]()
    with closing(SqlStore(path)) as store, store.transaction() as held:
        issuer = _issuer(store)
        for _ in range(count):
            dataset = _warranty(issuer)
            held.add_dataset(dataset, now)
            token = grant_token(
                held,
                datasets=[dataset],
                offer_id=None,
                client_id=None,
                dpop_jkt=None,
                lasts=_HOUR,
                now=now,
                random=secrets.token_bytes,
            )
            proof = make_proof(MemorySigner.generate(), issuer=URL, nonce=issuer.nonce(), now=now)
            asked: JsonObject = {
                "credential_configuration_id": WARRANTY.name,
                "proofs": {"jwt": [proof]},
            }
            found.append(post("/credential", compact_json(asked), token=token.value))
    return found


def _warranty(issuer: Issuer) -> Dataset:
    return new_dataset(
        issuer.catalogue,
        WARRANTY.name,
        WARRANTY.sample,
        ends_at=None,
        serial=None,
        subject=None,
        random=secrets.token_bytes,
    )


def revoke_some(path: Path, length: int) -> None:
    """Issue every hundredth entry of a list, and revoke it."""
    now = utc_now()
    with closing(SqlStore(path)) as store, store.transaction() as held:
        issuer = _issuer(store, length)
        entries = range(0, length, 100)
        held.add_list(1, used=len(entries))
        for index in entries:
            name = IssuanceId(f"bench-{index}")
            dataset = _warranty(issuer)
            held.add_dataset(dataset, now)
            held.add_issuance(
                Issuance(
                    issuance_id=name,
                    dataset_id=dataset.dataset_id,
                    type_name=dataset.type_name,
                    order_number=None,
                    serial=None,
                    token_hash=secret_hash(name),
                    issued_at=now,
                    expires_at=now + _HOUR,
                )
            )
            entry = CredentialRecord(
                list_number=1, index=index, digest=name, holder=None, copy=None
            )
            held.add_credentials(name, [entry])
            held.revoke(name, now, RevocationReason.FRAUD)


def sample(holder: PublicKey, index: int) -> SdJwt:
    """Give a warranty of `holder` with an entry in the status list, as the issuer signs it."""
    now = datetime.now(UTC)
    return issue_credential(
        WARRANTY.sample,
        vct=VCT,
        issuer=URL,
        signer=MemorySigner.from_private_bytes(_KEY),
        holder=holder,
        issued_at=now,
        expires_at=now + _HOUR,
        status=StatusReference(f"{URL}/status-lists/1", index),
        concealed=WARRANTY.concealed,
        random=secrets.token_bytes,
    )


def _of_somebody() -> SdJwt:
    return sample(MemorySigner.generate().public, 4711)


def _disclosures() -> int:
    return str(_of_somebody()).count("~") - 1


def _b64(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _from_b64(text: bytes) -> bytes:
    return urlsafe_b64decode(text + b"=" * (-len(text) % 4))


class _Bare:
    """The work of a credential request in the fewest calls, without any check."""

    def __init__(self, path: Path) -> None:
        self._database = SqlStore(path).database
        with self._database.transaction() as connection:
            # In the order in which they are asked for: rows in the order of an index cost less.
            rows = connection.rows(select(DATASETS.c.dataset_id).order_by(text("rowid")))
            connection.change(insert(STATUS_LISTS).values(list_number=1, used=0, changes=0))
        self._datasets = iter([row.dataset_id for row in rows])
        self._key = ec.derive_private_key(int.from_bytes(_KEY), ec.SECP256R1())
        head, payload, _ = str(_of_somebody()).partition("~")[0].encode().split(b".")
        self._head = head
        self._payload: dict[str, Any] = orjson.loads(_from_b64(payload))
        texts = str(_of_somebody()).encode().split(b"~")[1:-1]
        self._claims = [orjson.loads(_from_b64(text))[1:] for text in texts]
        # Entries of the list are drawn: they go anywhere in their index.
        self._entries = iter(random.sample(range(LIST_SIZE), len(rows)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one credential request."""
        message = await receive()
        body = message["body"]
        while message["more_body"]:
            message = await receive()
            body += message["body"]
        hashlib.sha256(dict(scope["headers"])[b"authorization"]).hexdigest()
        credential, holder, nonce = self._issue(orjson.loads(body)["proofs"]["jwt"][0].encode())
        name, number = secrets.token_urlsafe(16), next(self._entries)
        digest = hashlib.sha256(credential.partition("~")[0].encode()).hexdigest()
        dataset, now = next(self._datasets), int(time.time())

        def work(connection: Connection) -> None:
            connection.change(_SPEND, nonce_hash=nonce, expires_at=now)
            connection.change(
                _ADD_ISSUANCE,
                issuance_id=name,
                dataset_id=dataset,
                type_name=WARRANTY.name,
                order_number=None,
                serial=None,
                token_hash=digest,
                issued_at=now,
                expires_at=now,
            )
            connection.change(
                ADD_CREDENTIAL,
                issuance_id=name,
                number=0,
                list_number=1,
                status_index=number,
                status=0,
                digest=digest,
                holder=holder,
                copy=credential,
            )
            connection.change(_COUNT)

        await self._database.write(work)
        answer = {"credentials": [{"credential": credential}], "notification_id": name}
        await respond(send, orjson.dumps(answer), b"application/json")

    def _issue(self, proof: bytes) -> tuple[str, str, str]:
        signed, _, signature = proof.rpartition(b".")
        head, _, claims = signed.partition(b".")
        jwk, raw = orjson.loads(_from_b64(head))["jwk"], _from_b64(signature)
        nonce = orjson.loads(_from_b64(claims))["nonce"].encode()
        hashlib.blake2b(_from_b64(nonce), digest_size=16, key=_SECRET, person=b"nonce").digest()
        point = b"\x04" + _from_b64(jwk["x"].encode()) + _from_b64(jwk["y"].encode())
        holder = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
        holder.verify(der, hashlib.sha256(signed).digest(), _SCHEME)
        texts = [
            _b64(orjson.dumps([_b64(secrets.token_bytes(16)).decode(), *claim]))
            for claim in self._claims
        ]
        digests = [_b64(hashlib.sha256(text).digest()).decode() for text in texts]
        payload = self._payload | {"_sd": sorted(digests), "cnf": {"jwk": jwk}}
        unsigned = self._head + b"." + _b64(orjson.dumps(payload))
        der = self._key.sign(hashlib.sha256(unsigned).digest(), _SCHEME)
        r, s = decode_dss_signature(der)
        token = unsigned + b"." + _b64(r.to_bytes(32) + s.to_bytes(32))
        thumbprint = hashlib.sha256(orjson.dumps(jwk, option=orjson.OPT_SORT_KEYS)).digest()
        spent = hashlib.sha256(nonce).hexdigest()
        return b"~".join((token, *texts, b"")).decode(), _b64(thumbprint).decode(), spent


async def _hello(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  # ASGI
    await respond(send, b"hello")


def _app(kind: str, path: Path, length: int) -> AsgiApp:
    match kind:
        case "issuer":
            return create_app(_issuer(SqlStore(path), length))
        case "bare":
            return _Bare(path)
        case _:
            return _hello


if __name__ == "__main__":
    serve(_app(sys.argv[1], Path(sys.argv[2]), int([*sys.argv, str(LIST_SIZE)][3])))
