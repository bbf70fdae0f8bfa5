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
from hashlib import sha256
from secrets import token_bytes
from typing import Final

from counterfoil_credentials.cryptosuites import DOCUMENT, OPTIONS, ProofValue
from counterfoil_credentials.encoding import JsonObject, b64url
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from counterfoil_credentials.integrity_proofs import UnverifiedProof, proofs_of
from counterfoil_credentials.json_ld import FrozenContexts
from counterfoil_credentials.json_selection import select
from counterfoil_credentials.keys import Curve, MemorySigner, PublicKey, Signer
from counterfoil_credentials.multikey import from_multibase
from counterfoil_credentials.rdf_canonical import canonicalize
from counterfoil_credentials.sd_proof_values import HMAC_BYTES, BaseValue, DerivedValue
from counterfoil_credentials.statement_groups import Stated, hmac_labels, relabelled

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

    def prove(self, document: JsonObject, options: JsonObject, signer: Signer) -> str:
        """Give a base proof, for the holder alone (section 3.6.1).

        Raises also what `Stated` raises, and `Malformed` and `Refused` for pointers.
        """
        hmac_key, of_proof = token_bytes(HMAC_BYTES), MemorySigner.generate(Curve.P256)
        stated = Stated.of(document, self.contexts, hmac_labels(hmac_key), DOCUMENT)
        shown, _ = stated.shown_by(self.mandatory)
        public_key = _P256 + of_proof.public.point
        mandatory = [line for line in stated.lines if line in shown]
        return BaseValue(
            signer.sign(self._signed(document, options, public_key, mandatory)),
            public_key,
            hmac_key,
            [of_proof.sign(line.encode()) for line in stated.lines if line not in shown],
            list(self.mandatory),
        ).text()

    def check(
        self, document: JsonObject, options: JsonObject, value: ProofValue, key: PublicKey
    ) -> None:
        """Check a derived proof (section 3.6.7); a base proof is not for showing: `Malformed`."""
        derived = DerivedValue.parse(value)
        of_proof = _proof_key(derived.public_key, value.where)
        lines = self._labelled(document, derived, value.where)
        mandatory = [lines[index] for index in derived.mandatory]
        chosen = set(derived.mandatory)
        others = [line for index, line in enumerate(lines) if index not in chosen]
        if len(others) != len(derived.signatures):
            raise _invalid("one for each statement", "more or fewer", value.where)
        signed = self._signed(document, options, derived.public_key, mandatory)
        _require(key, derived.signature, signed, value.where)
        for line, signature in zip(others, derived.signatures, strict=True):
            _require(of_proof, signature, line.encode(), value.where)

    def _signed(
        self, document: JsonObject, options: JsonObject, public_key: bytes, mandatory: list[str]
    ) -> bytes:
        # `serializeSignData`, section 3.5.1.
        spoken = {**options, "@context": document.get("@context", [])}
        said = canonicalize(self.contexts.quads(spoken, OPTIONS), OPTIONS).data
        always = "".join(mandatory).encode()
        return sha256(said).digest() + public_key + sha256(always).digest()

    def _labelled(self, document: JsonObject, derived: DerivedValue, where: str) -> tuple[str, ...]:
        quads = self.contexts.quads(document, DOCUMENT)
        names = canonicalize(quads, DOCUMENT).names
        labels = {f"_:c14n{n}": f"_:u{b64url(label)}" for n, label in derived.labels.items()}
        if labels.keys() != set(names.values()):
            raise _invalid("one label for each node", "more or fewer", where)
        given = {node: labels[name] for node, name in names.items()}
        lines = relabelled(quads, given)
        if derived.mandatory and derived.mandatory[-1] >= len(lines):
            raise _invalid("places of statements", "others", where)
        return lines


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
    obj = _only_proof(held)
    proof = UnverifiedProof.parse(obj, OPTIONS)
    base = BaseValue.parse(proof.value)
    document = {name: value for name, value in held.items() if name != "proof"}
    stated = Stated.of(document, suite.contexts, hmac_labels(base.hmac_key), DOCUMENT)
    always, _ = stated.shown_by(base.mandatory)
    pointers = [*base.mandatory, *shown]
    if not pointers:
        raise Misuse("expected something to show, found no pointer")
    combined, quads = stated.shown_by(pointers)
    others = [line for line in stated.lines if line not in always]
    if len(others) != len(base.signatures):
        raise _invalid("one for each statement", "more or fewer", proof.value.where)
    names = canonicalize(quads, DOCUMENT).names
    value = DerivedValue(
        base.signature,
        base.public_key,
        [s for s, line in zip(base.signatures, others, strict=True) if line in combined],
        {
            int(name.removeprefix("_:c14n")): from_multibase(stated.labels[node][2:], DOCUMENT)
            for node, name in names.items()
        },
        [i for i, line in enumerate(sorted(combined)) if line in always],
    )
    return {**select(document, pointers, DOCUMENT), "proof": {**obj, "proofValue": value.text()}}


def _only_proof(held: JsonObject) -> JsonObject:
    proofs = proofs_of(held)
    if len(proofs) != 1 or proofs[0].get("cryptosuite") != NAME:
        raise Malformed(f"one proof of {NAME}", "others", OPTIONS)
    return proofs[0]


def _proof_key(data: bytes, where: str) -> PublicKey:
    if not data.startswith(_P256):
        raise Malformed("a key of P-256", "another", where)
    return PublicKey.from_point(Curve.P256, data[len(_P256) :], where)


def _require(key: PublicKey, signature: bytes, signed: bytes, where: str) -> None:
    try:
        key.verify(signature, signed)
    except Refused as cause:
        raise _invalid("the key's signature", "another", where) from cause


def _invalid(expected: str, found: str, where: str) -> Refused:
    return Refused(Reason("signature-invalid", expected, found, where))
