"""SD-JWT VC: the credential profile of SD-JWT (draft-ietf-oauth-sd-jwt-vc).

A credential passes through two types: `UnverifiedCredential` names an issuer
that nobody has proved yet; `verify` turns it into a `VerifiedCredential`.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from counterfoil_credentials.claims import ClaimPath, path_text
from counterfoil_credentials.concealment import conceal
from counterfoil_credentials.encoding import (
    JsonObject,
    compact_json_of_finite_numbers,
    int_at,
    numeric_date,
    object_at,
    optional_text_at,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from counterfoil_credentials.jws import (
    ES256_ONLY,
    Header,
    SignatureCheck,
    UnverifiedJws,
    read_jws,
    sign_payload,
)
from counterfoil_credentials.keys import Algorithm, PublicKey, Signer
from counterfoil_credentials.records import record
from counterfoil_credentials.sdjwt import MAX_SD_JWT_BYTES, Revealed, SdJwt, reveal
from counterfoil_credentials.spec import NEVER_CONCEALED, OLD_SD_JWT_VC_TYP, SD_JWT_VC_TYP

_WHERE: Final = "credential"
_CNF: Final = "credential.cnf"
_STATUS: Final = "credential.status.status_list"
_SKEW: Final = timedelta(seconds=60)
_REGISTERED: Final = NEVER_CONCEALED | {"aud", "iat"}
_LATEST_TIME: Final = 253_402_300_799  # the last second of the year 9999


@record()
class StatusReference:
    """Where a credential's status stands: entry `index` of the list at `url`."""

    url: str
    index: int


# Both are made with each presentation: by position, which costs half of what names do.
@record()
class VerifiedCredential:
    """Claims that `issuer` signed. Time, status, trust and holder are not judged yet."""

    issuer: str
    vct: str
    aka_vcts: tuple[str, ...]
    vct_integrity: str | None
    claims: JsonObject = field(repr=False)
    holder_key: PublicKey | None
    audiences: tuple[str, ...] | None
    issued_at: datetime | None
    not_before: datetime | None
    expires_at: datetime | None
    status: StatusReference | None

    @property
    def types(self) -> tuple[str, ...]:
        """Give every type that the issuer says this credential is of (section 2.2.2.2)."""
        return (self.vct, *self.aka_vcts)


@record()
class UnverifiedCredential:
    """A parsed credential whose issuer's signature nobody has checked yet."""

    unverified_vct: str
    unverified_aka_vcts: tuple[str, ...]
    key_id: str | None
    revealed: Revealed = field(repr=False)
    # What the caller does to `revealed` must not become what the issuer signed.
    _claims: JsonObject = field(repr=False)
    _jws: UnverifiedJws = field(repr=False)

    @property
    def unverified_issuer(self) -> str:
        """Give `iss`; `Malformed` where the issuer is named by a certificate alone."""
        return text_at(self._claims, "iss", _WHERE)

    @property
    def header(self) -> Header:
        """Give the protected header: `x5c` stands there where there is one."""
        return self._jws.header

    def verify(
        self,
        issuer_key: PublicKey,
        *,
        issuer: str | None = None,
        algorithms: frozenset[Algorithm] = ES256_ONLY,
        check: SignatureCheck | None = None,
    ) -> VerifiedCredential:
        """Give the credential as `issuer_key` signed it under one of `algorithms`.

        `issuer` is who the caller found the key to be of (section 2.5): it must be
        given for a credential without `iss`, and equal one that is there. `check` may
        remember which signatures were good.

        Raises `Refused`: `algorithm-not-allowed`, `signature-invalid` or
        `issuer-mismatch`; `Malformed` for a registered claim of the wrong shape.
        """
        self._jws.verify(issuer_key, algorithms, check)
        claims = self._claims
        if issuer is None:
            issuer = self.unverified_issuer
        elif claims.get("iss", issuer) != issuer:
            raise Refused(Reason("issuer-mismatch", "the key's issuer", "another", f"{_WHERE}.iss"))
        return VerifiedCredential(
            issuer,
            self.unverified_vct,
            self.unverified_aka_vcts,
            optional_text_at(claims, "vct#integrity", _WHERE),
            claims,
            _holder_key(claims),
            _audiences(claims),
            time_at(claims, "iat", _WHERE),
            time_at(claims, "nbf", _WHERE),
            time_at(claims, "exp", _WHERE),
            _status(claims),
        )


def issue_credential(
    claims: JsonObject,
    *,
    vct: str,
    issuer: str,
    signer: Signer,
    holder: PublicKey | None,
    issued_at: datetime,
    expires_at: datetime | None,
    status: StatusReference | None,
    concealed: Collection[ClaimPath],
    random: Callable[[int], bytes],
    header: Header | None = None,
    not_before: datetime | None = None,
    aka_vcts: Sequence[str] = (),
    vct_integrity: str | None = None,
    decoys_to: int = 1,
) -> SdJwt:
    """Give the signed credential with all its disclosures.

    `claims` are the subject's; the registered claims come from the arguments.
    `concealed` names what the holder may withhold; see `conceal` for it and for
    `decoys_to`. `aka_vcts` are further types that the credential is of. The `kid`
    header is the key's thumbprint unless `header` names another.

    Raises `Misuse` when `concealed` names a claim that must never be concealed,
    or `claims` set a registered claim (SD-JWT VC, section 2.2.2).
    """
    registered: JsonObject = {"iss": issuer, "iat": numeric_date(issued_at), "vct": vct}
    if aka_vcts:
        if isinstance(aka_vcts, str):
            raise Misuse("expected a sequence of types, found one text")
        registered["aka_vcts"] = [*aka_vcts]
        _aka_vcts(registered, vct)
    if vct_integrity is not None:
        registered["vct#integrity"] = vct_integrity
    if not_before is not None:
        registered["nbf"] = numeric_date(not_before)
    if expires_at is not None:
        registered["exp"] = numeric_date(expires_at)
    if holder is not None:
        registered["cnf"] = {"jwk": holder.jwk()}
    if status is not None:
        registered["status"] = {"status_list": {"idx": status.index, "uri": status.url}}
    if not _REGISTERED.isdisjoint(claims):
        taken = ", ".join(sorted(_REGISTERED & claims.keys()))
        raise Misuse(f"expected no registered claim, found {taken}")
    payload, disclosures = conceal(claims, concealed, random=random, decoys_to=decoys_to)
    _require_concealable(tuple(concealed))
    token = sign_payload(
        # What `conceal` gives, and what stands beside it, holds finite numbers alone.
        compact_json_of_finite_numbers({**registered, **payload}),
        typ=SD_JWT_VC_TYP,
        signer=signer,
        header={"kid": signer.public.thumbprint(), **(header or {})},
    )
    return SdJwt(token, disclosures)


@lru_cache(maxsize=128)
def _require_concealable(frame: tuple[ClaimPath, ...]) -> None:
    for path in frame:
        if path[0] in _REGISTERED:
            raise Misuse(f"expected a claim that may be concealed, found {path_text(path)!r}")


def read_credential(
    sd_jwt: SdJwt, *, accept_only_the_typ_of_old_drafts: bool = False
) -> UnverifiedCredential:
    """Parse a credential and put its disclosures back (RFC 9901, section 7.1).

    With `accept_only_the_typ_of_old_drafts` the type is `vc+sd-jwt`, as it was
    before draft 6; such a credential is otherwise refused.

    Raises `Malformed`, or `Refused` with a code of `read_jws` or `reveal`. A
    registered claim that travels as a disclosure is `Malformed`.
    """
    typ = OLD_SD_JWT_VC_TYP if accept_only_the_typ_of_old_drafts else SD_JWT_VC_TYP
    jws = read_jws(sd_jwt.issuer_jwt, typ=typ, where=_WHERE, max_bytes=MAX_SD_JWT_BYTES)
    revealed = reveal(jws.unverified_claims, sd_jwt.disclosures, _WHERE)
    for path in revealed.paths.values():
        if path[0] in NEVER_CONCEALED or path == ("aud",):
            raise Malformed("no disclosure of a registered claim", path_text(path), _WHERE)
    vct = text_at(revealed.claims, "vct", _WHERE)
    if "" in (vct, optional_text_at(revealed.claims, "iss", _WHERE)):
        raise Malformed("names of issuer and type", "an empty text", _WHERE)
    return UnverifiedCredential(
        vct,
        _aka_vcts(revealed.claims, vct),
        optional_text_at(jws.header, "kid", f"{_WHERE}.header"),
        revealed,
        {**revealed.claims},
        jws,
    )


def time_reasons(
    credential: VerifiedCredential, now: datetime, skew: timedelta = _SKEW
) -> list[Reason]:
    """Give the reasons why `credential` is not valid at `now`: `expired`, `not-yet-valid`."""
    reasons: list[Reason] = []
    if credential.expires_at is not None and now - skew >= credential.expires_at:
        reasons.append(
            Reason("expired", "a credential in its time", "one past it", f"{_WHERE}.exp")
        )
    if credential.not_before is not None and now + skew < credential.not_before:
        reasons.append(
            Reason("not-yet-valid", "a credential in its time", "one before it", f"{_WHERE}.nbf")
        )
    return reasons


def audience_reasons(credential: VerifiedCredential, audience: str) -> list[Reason]:
    """Give the reason why `credential` is not for `audience`: `audience-mismatch`.

    A credential that names no audience is for everybody; one that names some is for
    nobody else (RFC 7519, section 4.1.3; RFC 9901, section 7.1, step 6).
    """
    if credential.audiences is None or audience in credential.audiences:
        return []
    return [Reason("audience-mismatch", "this audience", "another", f"{_WHERE}.aud")]


def time_at(claims: JsonObject, name: str, where: str) -> datetime | None:
    """Give the instant in a NumericDate claim (RFC 7519, section 2), or None if absent."""
    if name not in claims:
        return None
    seconds = int_at(claims, name, where)
    if not 0 <= seconds <= _LATEST_TIME:
        raise Malformed("seconds since 1970", "a number out of range", f"{where}.{name}")
    return datetime.fromtimestamp(seconds, UTC)


def _aka_vcts(claims: JsonObject, vct: str) -> tuple[str, ...]:
    if "aka_vcts" not in claims:
        return ()
    types = texts_at(claims, "aka_vcts", _WHERE)
    if not types or not {"", vct}.isdisjoint(types):
        raise Malformed("types besides vct", "none, or vct itself", f"{_WHERE}.aka_vcts")
    return tuple(types)


def _audiences(claims: JsonObject) -> tuple[str, ...] | None:
    if "aud" not in claims:
        return None
    if isinstance(claims["aud"], str):
        return (claims["aud"],)
    return tuple(texts_at(claims, "aud", _WHERE))


def _holder_key(claims: JsonObject) -> PublicKey | None:
    if "cnf" not in claims:
        return None
    confirmation = object_at(claims, "cnf", _WHERE)
    return PublicKey.from_jwk(object_at(confirmation, "jwk", _CNF), f"{_CNF}.jwk")


def _status(claims: JsonObject) -> StatusReference | None:
    if "status" not in claims:
        return None
    reference = object_at(object_at(claims, "status", _WHERE), "status_list", _STATUS)
    index = int_at(reference, "idx", _STATUS)
    if index < 0:
        raise Malformed("an index from zero", "a negative one", f"{_STATUS}.idx")
    return StatusReference(text_at(reference, "uri", _STATUS), index)
