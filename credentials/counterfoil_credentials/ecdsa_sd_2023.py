"""ecdsa-sd-2023: the issuer signs each statement, the holder shows those that are asked for.

    suite = ecdsa_sd_2023(contexts, mandatory=["/issuer", "/validUntil"])
    held = add_proof(warranty, suite=suite, signer=signer, options=options)       # issuer
    shown = derive(held, suite, ["/credentialSubject/underWarranty"])             # holder
    verify_proofs(shown, policy=ProofPolicy(suites=[suite]), keys=keys, now=now)  # verifier

What is mandatory is signed as one, and always shown; every other statement has a signature
of its own, by a key that lives for this one proof. Two showings of one credential are joined
by those signatures: this hides claims, not the holder. Needs `[ld]`.

Data Integrity ECDSA Cryptosuites 1.0, sections 3.5 and 3.6.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from secrets import token_bytes
from typing import Final

from counterfoil_credentials.bbs_keys import (
    ProofSigner,
    VerificationKey,
    single,
    single_signer,
)
from counterfoil_credentials.cryptosuites import DOCUMENT, ProofValue
from counterfoil_credentials.encoding import JsonObject, b64url
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.json_ld import FrozenContexts
from counterfoil_credentials.keys import Curve, MemorySigner, PublicKey
from counterfoil_credentials.multikey import from_multibase
from counterfoil_credentials.sd_proof_values import HMAC_BYTES, BaseValue, DerivedValue
from counterfoil_credentials.selective_statements import (
    Held,
    Statements,
    disclosed,
    found_again,
    not_signed,
    options_hash,
    stated,
)
from counterfoil_credentials.statement_groups import hmac_labels

NAME: Final = "ecdsa-sd-2023"
# How a Multikey of P-256 begins.
_P256: Final = bytes.fromhex("8024")


@dataclass(frozen=True, slots=True)
class EcdsaSdSuite:
    """The suite; `mandatory` are JSON Pointers to what every showing of a new proof shows."""

    contexts: FrozenContexts
    mandatory: tuple[str, ...] = ()
    name: str = NAME
    curves: frozenset[Curve] = frozenset({Curve.P256})
    context_in_proof: bool = False

    def prove(self, document: JsonObject, options: JsonObject, signer: ProofSigner) -> str:
        """Give a base proof, for the holder alone (section 3.6.1).

        Raises also what `Stated` raises, and `Malformed` and `Refused` for pointers.
        """
        one, hmac_key = single_signer(signer), token_bytes(HMAC_BYTES)
        of_proof = MemorySigner.generate(Curve.P256)
        statements = stated(document, self.contexts, hmac_labels(hmac_key), self.mandatory)
        public_key = _P256 + of_proof.public.point
        return BaseValue(
            one.sign(self._signed(document, options, public_key, statements)),
            public_key,
            hmac_key,
            [of_proof.sign(message) for message in statements.messages],
            list(self.mandatory),
        ).text()

    def check(
        self, document: JsonObject, options: JsonObject, value: ProofValue, key: VerificationKey
    ) -> None:
        """Check a derived proof (section 3.6.7); a base proof is not for showing: `Malformed`."""
        derived, one = DerivedValue.parse(value), single(key, value.where)
        of_proof = _proof_key(derived.public_key, value.where)
        labels = {number: f"_:u{b64url(label)}" for number, label in derived.labels.items()}
        statements = found_again(document, self.contexts, labels, derived.mandatory, value.where)
        if len(statements.others) != len(derived.signatures):
            raise not_signed("one for each statement", "more or fewer", value.where)
        signed = self._signed(document, options, derived.public_key, statements)
        _require(one, derived.signature, signed, value.where)
        for message, signature in zip(statements.messages, derived.signatures, strict=True):
            _require(of_proof, signature, message, value.where)

    def _signed(
        self, document: JsonObject, options: JsonObject, public_key: bytes, statements: Statements
    ) -> bytes:
        # `serializeSignData`, section 3.5.1.
        said = options_hash(document, options, self.contexts)
        return said + public_key + statements.mandatory_hash


def ecdsa_sd_2023(contexts: FrozenContexts, *, mandatory: Sequence[str] = ()) -> EcdsaSdSuite:
    """Give the suite; `mandatory` says what a new proof always shows, as JSON Pointers."""
    return EcdsaSdSuite(contexts, tuple(mandatory))


def derive(held: JsonObject, suite: EcdsaSdSuite, shown: Sequence[str]) -> JsonObject:
    """Give the part of `held` that `shown` names, beside what is mandatory, with its proof.

    `held` carries one base proof (section 3.6.6). Whoever holds it need not trust it here:
    what is derived verifies, or does not.

    Raises `Malformed` for other proofs, `Refused` with `pointer-not-matched` and
    `part-not-signed`, and `Misuse` where nothing at all would be shown.
    """
    has = Held.parse(held, NAME)
    base, where = BaseValue.parse(has.unverified.value), has.unverified.value.where
    labels = hmac_labels(base.hmac_key)
    found = disclosed(has.document, suite.contexts, labels, base.mandatory, shown)
    if len(found.statements.others) != len(base.signatures):
        raise not_signed("one for each statement", "more or fewer", where)
    value = DerivedValue(
        base.signature,
        base.public_key,
        [base.signatures[place] for place in found.chosen],
        {n: from_multibase(label[2:], DOCUMENT) for n, label in found.labels.items()},
        found.mandatory,
    )
    return has.with_value(found.shown, value.text())


def _proof_key(data: bytes, where: str) -> PublicKey:
    if not data.startswith(_P256):
        raise Malformed("a key of P-256", "another", where)
    return PublicKey.from_point(Curve.P256, data[len(_P256) :], where)


def _require(key: PublicKey, signature: bytes, signed: bytes, where: str) -> None:
    try:
        key.verify(signature, signed)
    except Refused as cause:
        raise not_signed("the key's signature", "another", where) from cause
