"""The strangers from PyPI, openvc-core and sd-jwt: one JSON request per line, one answer.

Runs in an environment of its own (requirements/peers.txt) and sees nothing of ours.
An answer is {"answer": …}, {"refused": why}, or {"crashed": why} when openvc-core raised
what is no error of its own. `peers.mjs` speaks the same for @sd-jwt; `asking.py` asks.
"""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Path: TypeAlias = tuple[str | int, ...]
Request: TypeAlias = dict[str, Any]

# A peer has no other clock than its process's: each request says what time it is.
_now = 0


def _clock() -> float:
    return _now


time.time = _clock

# By name: the environment that checks these types holds none of them.
keys = import_module("openvc.keys")
openvc = import_module("openvc.proof.sd_jwt").SdJwtVcProofSuite()
_jcs = import_module("openvc.proof.di_jcs")
JCS = {"eddsa-jcs-2022": _jcs.EddsaJcsProofSuite(), "ecdsa-jcs-2019": _jcs.EcdsaJcsProofSuite()}
token_list = import_module("openvc.status.token_status_list")
issuing = import_module("openvc.status.issue")
OpenvcError = import_module("openvc.errors").OpenvcError
JWK = import_module("jwcrypto.jwk").JWK
common = import_module("sd_jwt.common")
SDJWTIssuer = import_module("sd_jwt.issuer").SDJWTIssuer
SDJWTHolder = import_module("sd_jwt.holder").SDJWTHolder
SDJWTVerifier = import_module("sd_jwt.verifier").SDJWTVerifier


# What the form of a credential is called here. It is the JSON of a draft before RFC 9901.
FORMATS = {"compact": "compact", "flattened": "json"}


def _signing_key(request: Request) -> object:
    jwk, alg = request["key"], request["alg"]
    if jwk["kty"] == "OKP":
        return keys.Ed25519SigningKey.from_jwk(jwk, request.get("kid", ""), alg=alg)
    return keys.signing_key_from_jwk(jwk, request.get("kid", ""))


def _openvc_issue(request: Request) -> str:
    issued: str = openvc.issue(
        request["claims"],
        signing_key=_signing_key(request),
        disclosable=[name for (name,) in request["concealed"]],
        holder_jwk=request["holder"],
        decoys=request["decoys"],
    )
    return issued


def _openvc_present(request: Request) -> str:
    presentation: str = openvc.create_presentation(
        request["sd_jwt"],
        holder_key=_signing_key(request),
        audience=request["audience"],
        nonce=request["nonce"],
    )
    return presentation


def _openvc_verify(request: Request) -> Json:
    verified = openvc.verify(
        request["presentation"],
        public_key_jwk=request["key"],
        audience=request["audience"],
        nonce=request["nonce"],
        require_key_binding=True,
        now=datetime.fromtimestamp(_now, UTC),
    )
    claims: Json = verified.claims
    return claims


def _openvc_list(request: Request) -> str:
    statuses, bits = request["statuses"], request["bits"]
    packed = token_list.new_status_list(len(statuses), bits=bits)
    for index, status in enumerate(statuses):
        token_list.set_status(packed, index, status, bits=bits)
    token: str = issuing.build_status_list_token(
        uri=request["uri"],
        status_list=packed,
        bits=bits,
        signing_key=_signing_key(request),
        ttl=request["ttl"],
    )
    return token


def _openvc_look(request: Request) -> list[int]:
    listed = issuing.verify_status_list_token(
        request["token"],
        public_key_jwk=request["key"],
        expected_uri=request["uri"],
        now=datetime.fromtimestamp(_now, UTC),
    )["status_list"]
    entries = token_list.decode_status_list(listed["lst"])
    return [
        token_list.get_status(entries, index, bits=listed["bits"]) for index in request["indices"]
    ]


def _openvc_secure(request: Request) -> Json:
    secured: Json = JCS[request["suite"]].add_proof(
        request["credential"],
        signing_key=_signing_key(request),
        verification_method=request["method"],
        created=datetime.fromtimestamp(_now, UTC),
    )
    return secured


def _openvc_believe(request: Request) -> bool:
    JCS[request["suite"]].verify(request["credential"], now=datetime.fromtimestamp(_now, UTC))
    return True


def _pypi_issue(request: Request) -> str:
    concealed = {tuple(path) for path in request["concealed"]}
    issued: str = SDJWTIssuer(
        _marked(request["claims"], concealed, ()),
        JWK(**request["key"]),
        request["holder"] and JWK(**request["holder"]),
        sign_alg=request["alg"],
        add_decoy_claims=request["decoys"] > 0,
        serialization_format=FORMATS[request["form"]],
        extra_header_parameters={"typ": "dc+sd-jwt", "kid": request["kid"]},
    ).sd_jwt_issuance
    return issued


def _marked(value: Json, concealed: set[Path], path: Path) -> Json:
    """Give the claims with the library's mark on those that are to be concealed."""
    if isinstance(value, dict):
        return {
            _mark(name, concealed, (*path, name)): _marked(member, concealed, (*path, name))
            for name, member in value.items()
        }
    if isinstance(value, list):
        return [
            _mark(_marked(element, concealed, (*path, i)), concealed, (*path, i))
            for i, element in enumerate(value)
        ]
    return value


def _mark(value: Json, concealed: set[Path], path: Path) -> Any:  # noqa: ANN401  # a type of theirs
    return common.SDObj(value) if path in concealed else value


def _pypi_present(request: Request) -> str:
    holder = SDJWTHolder(request["sd_jwt"])
    holder.create_presentation(
        _chosen([tuple(path) for path in request["disclosed"]]),
        nonce=request["nonce"],
        aud=request["audience"],
        holder_key=JWK(**request["key"]),
        sign_alg=request["alg"],
    )
    presentation: str = holder.sd_jwt_presentation
    return presentation


def _chosen(paths: list[Path]) -> Json:
    """Give the shape in which the library is told what to disclose: True, an object or a list."""
    below = {path[0]: [p[1:] for p in paths if p[0] == path[0] and p[1:]] for path in paths}
    chosen = {name: _chosen(rest) if rest else True for name, rest in below.items()}
    indices = [name for name in chosen if isinstance(name, int)]
    if indices:
        return [chosen.get(i) for i in range(max(indices) + 1)]
    return {str(name): choice for name, choice in chosen.items()}


def _pypi_verify(request: Request) -> Json:

    def issuer_key(_issuer: str, _header: Request) -> object:
        return JWK(**request["key"])

    verifier = SDJWTVerifier(
        request["presentation"],
        issuer_key,
        request["audience"],
        request["nonce"],
        FORMATS[request["form"]],
    )
    claims: Json = verifier.get_verified_payload()
    return claims


def _pypi_paper(request: Request) -> Json:
    """Read a signed paper: an SD-JWT in which nothing is concealed."""

    def signed_with(_issuer: str, header: Request) -> object:
        if header["typ"] != request["typ"]:
            text = f"expected the type {request['typ']}, found another"
            raise ValueError(text)
        return JWK(**request["key"])

    claims: Json = SDJWTVerifier(f"{request['token']}~", signed_with).get_verified_payload()
    return claims


DOINGS: dict[tuple[str, str], Callable[[Request], Any]] = {
    ("openvc-core", "issue"): _openvc_issue,
    ("openvc-core", "present"): _openvc_present,
    ("openvc-core", "verify"): _openvc_verify,
    ("openvc-core", "list"): _openvc_list,
    ("openvc-core", "look"): _openvc_look,
    ("openvc-core", "secure"): _openvc_secure,
    ("openvc-core", "believe"): _openvc_believe,
    ("sd-jwt", "issue"): _pypi_issue,
    ("sd-jwt", "present"): _pypi_present,
    ("sd-jwt", "verify"): _pypi_verify,
    ("sd-jwt", "paper"): _pypi_paper,
}


def answer(request: Request) -> Request:
    """Do what is asked; a stranger refuses by raising."""
    global _now  # noqa: PLW0603  # see above
    _now = request["now"]
    try:
        return {"answer": DOINGS[request["peer"], request["do"]](request)}
    except OpenvcError as refusal:
        return {"refused": f"{type(refusal).__name__}: {refusal}"}
    except Exception as error:  # noqa: BLE001  # whatever a stranger raises is what we came for
        # sd-jwt has no errors of its own: it refuses with whatever Python raises.
        word = "refused" if request["peer"] == "sd-jwt" else "crashed"
        return {word: f"{type(error).__name__}: {error}"}


for line in sys.stdin:
    sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
    sys.stdout.flush()
