"""bbs-2023: the holder shows single statements, and no two showings have anything in common.

    suite = bbs_2023(contexts, mandatory=["/issuer", "/validUntil"])
    held = add_proof(warranty, suite=suite, signer=signer, options=options)        # issuer
    shown = derive(held, suite, ["/credentialSubject/underWarranty"], nonce)       # holder
    suite = bbs_2023(contexts, presentation_header=nonce)                          # verifier
    verify_proofs(shown, policy=ProofPolicy(suites=[suite]), keys=keys, now=now)

All statements are under one BBS signature, of which the holder proves to know it. What is
shown may still join two showings: mandatory statements are in each, so they should be what
many credentials say. `presentation_header` is the verifier's nonce; without one a showing may
be shown again by whoever saw it. Experimental, as the signatures are a draft; needs `[ld,bbs]`.

Data Integrity BBS Cryptosuites 1.0, section 3.4, the baseline without its optional features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from secrets import token_bytes
from typing import Final

from counterfoil_credentials.bbs_keys import (
    BLS12_381_G2,
    BbsPublicKey,
    BbsSigner,
    ProofSigner,
    VerificationKey,
)
from counterfoil_credentials.bbs_proof_values import (
    MAX_PRESENTATION_HEADER,
    BbsBaseValue,
    BbsDerivedValue,
)
from counterfoil_credentials.bbs_signatures import MAX_MESSAGES, SecretKey, check_proof
from counterfoil_credentials.bbs_signatures import prove as prove_messages
from counterfoil_credentials.bbs_signatures import sign as sign_messages
from counterfoil_credentials.cryptosuites import DOCUMENT, ProofValue
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from counterfoil_credentials.json_ld import FrozenContexts
from counterfoil_credentials.sd_proof_values import HMAC_BYTES
from counterfoil_credentials.selective_statements import (
    Held,
    Statements,
    disclosed,
    found_again,
    not_signed,
    options_hash,
    stated,
)
from counterfoil_credentials.statement_groups import shuffled_labels

NAME: Final = "bbs-2023"


class PresentationHeader(Enum):
    """What a verifier may say in place of the bytes that it asked for."""

    ANY_MAY_BE_A_REPLAY = "any"


@dataclass(frozen=True, slots=True)
class MemoryBbsSigner:
    """A `BbsSigner` whose key lives in this process's memory."""

    secret: SecretKey

    @staticmethod
    def generate() -> "MemoryBbsSigner":
        """Make a fresh key from the operating system's randomness."""
        return MemoryBbsSigner(SecretKey.from_material(token_bytes(32)))

    @property
    def public(self) -> BbsPublicKey:
        """The key that verifies what this signs."""
        return BbsPublicKey(self.secret.public)

    def sign_messages(self, header: bytes, messages: Sequence[bytes]) -> bytes:
        """Give the signature; see `BbsSigner`."""
        return sign_messages(self.secret, header, messages)


@dataclass(frozen=True, slots=True)
class BbsSuite:
    """The suite; `mandatory` are JSON Pointers to what every showing of a new proof shows.

    `presentation_header` is what a proof must answer to be believed.
    """

    contexts: FrozenContexts
    mandatory: tuple[str, ...] = ()
    presentation_header: bytes | PresentationHeader = b""
    name: str = NAME
    curves: frozenset[str] = frozenset({BLS12_381_G2})
    context_in_proof: bool = False

    def prove(self, document: JsonObject, options: JsonObject, signer: ProofSigner) -> str:
        """Give a base proof, for the holder alone (section 3.4.1).

        Raises also what `Stated` raises, `Malformed` and `Refused` for pointers, and
        `Malformed` for more than 1,024 statements that are not mandatory.
        """
        if not isinstance(signer, BbsSigner):
            raise Misuse(f"expected a key of {BLS12_381_G2}, found one of {signer.public.curve}")
        hmac_key = token_bytes(HMAC_BYTES)
        labels = shuffled_labels(hmac_key)
        statements = stated(document, self.contexts, labels, self.mandatory)
        header = self._header(document, options, statements)
        signature = signer.sign_messages(header, _messages(statements))
        mandatory = list(self.mandatory)
        return BbsBaseValue(signature, header, signer.public.point, hmac_key, mandatory).text()

    def check(
        self, document: JsonObject, options: JsonObject, value: ProofValue, key: VerificationKey
    ) -> None:
        """Check a derived proof (section 3.4.7); a base proof is not for showing: `Malformed`.

        `Refused` has `presentation-header-mismatch` beside what `Cryptosuite` says.
        """
        if not isinstance(key, BbsPublicKey):
            expected, found = f"a key of {BLS12_381_G2}", f"one of {key.curve}"
            raise Refused(Reason("key-curve-mismatch", expected, found, value.where))
        derived = BbsDerivedValue.parse(value)
        if self.presentation_header not in (
            derived.presentation_header,
            PresentationHeader.ANY_MAY_BE_A_REPLAY,
        ):
            code = "presentation-header-mismatch"
            raise Refused(Reason(code, "what was asked", "another", value.where))
        labels = {number: f"_:b{place}" for number, place in derived.labels.items()}
        statements = found_again(document, self.contexts, labels, derived.mandatory, value.where)
        if len(statements.others) != len(derived.chosen):
            raise not_signed("one place for each statement", "more or fewer", value.where)
        try:
            check_proof(
                key.data,
                derived.proof,
                self._header(document, options, statements),
                dict(zip(derived.chosen, _messages(statements), strict=True)),
                presentation_header=derived.presentation_header,
            )
        except Refused as cause:
            raise not_signed("a proof of the key's signature", "another", value.where) from cause
        except Malformed as cause:
            raise Malformed(cause.expected, cause.found, value.where) from cause

    def _header(self, document: JsonObject, options: JsonObject, statements: Statements) -> bytes:
        return options_hash(document, options, self.contexts) + statements.mandatory_hash


def bbs_2023(
    contexts: FrozenContexts,
    *,
    mandatory: Sequence[str] = (),
    presentation_header: bytes | PresentationHeader = b"",
) -> BbsSuite:
    """Give the suite; `mandatory` for new proofs, `presentation_header` for those to verify."""
    return BbsSuite(contexts, tuple(mandatory), presentation_header)


def derive(
    held: JsonObject, suite: BbsSuite, shown: Sequence[str], presentation_header: bytes = b""
) -> JsonObject:
    """Give the part of `held` that `shown` names, beside what is mandatory, with its proof.

    `held` carries one base proof (section 3.4.6), whose signature is checked by the key
    that it names itself: whether that is the issuer's, the verifier finds out.

    Raises `Malformed` for other proofs, `Refused` with `pointer-not-matched`,
    `part-not-signed` and `signature-invalid`, and `Misuse` where nothing at all would be
    shown, and for a presentation header of more than 1,024 bytes.
    """
    if len(presentation_header) > MAX_PRESENTATION_HEADER:
        limit, found = MAX_PRESENTATION_HEADER, len(presentation_header)
        raise Misuse(f"expected a presentation header of at most {limit} bytes, found {found}")
    has = Held.parse(held, NAME)
    base = BbsBaseValue.parse(has.unverified.value)
    labels = shuffled_labels(base.hmac_key)
    found_part = disclosed(has.document, suite.contexts, labels, base.mandatory, shown)
    proof = prove_messages(
        base.public_key,
        base.signature,
        base.header,
        _messages(found_part.statements),
        shown=found_part.chosen,
        presentation_header=presentation_header,
    )
    value = BbsDerivedValue(
        proof,
        {n: int(label.removeprefix("_:b")) for n, label in found_part.labels.items()},
        found_part.mandatory,
        found_part.chosen,
        presentation_header,
    )
    return has.with_value(found_part.shown, value.text())


def _messages(statements: Statements) -> list[bytes]:
    messages = statements.messages
    if len(messages) > MAX_MESSAGES:
        expected = f"at most {MAX_MESSAGES} statements that are not mandatory"
        raise Malformed(expected, f"{len(messages)}", DOCUMENT)
    return messages
