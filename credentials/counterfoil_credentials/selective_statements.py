"""What the suites with selective disclosure share: statements that are always shown, and others.

The issuer signs what is mandatory as one, and each other statement by itself; the holder
shows some of those; the verifier finds each at its place again. How statements are signed
is each suite's own thought: ecdsa-sd-2023 and bbs-2023.

Data Integrity ECDSA Cryptosuites 1.0, sections 3.5.5 to 3.5.8; BBS Cryptosuites 1.0, section 3.3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from counterfoil_credentials.cryptosuites import DOCUMENT, OPTIONS
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from counterfoil_credentials.integrity_proofs import UnverifiedProof, proofs_of
from counterfoil_credentials.json_ld import FrozenContexts
from counterfoil_credentials.json_selection import select
from counterfoil_credentials.rdf_canonical import canonicalize
from counterfoil_credentials.statement_groups import LabelsFor, Stated, relabelled


class Statements(NamedTuple):
    """Canonical lines in order: those that are always shown, and the others."""

    mandatory: list[str]
    others: list[str]

    @property
    def mandatory_hash(self) -> bytes:
        """Give the SHA-256 of what is always shown (`hashMandatoryNQuads`)."""
        return sha256("".join(self.mandatory).encode()).digest()

    @property
    def messages(self) -> list[bytes]:
        """Give the other lines, as they are signed."""
        return [line.encode() for line in self.others]


class Held(NamedTuple):
    """What a holder has: a document, and the one proof that it carries."""

    document: JsonObject
    proof: JsonObject
    unverified: UnverifiedProof

    @staticmethod
    def parse(held: JsonObject, cryptosuite: str) -> "Held":
        """Take a document apart; `Malformed` unless it carries one proof, of `cryptosuite`."""
        proofs = proofs_of(held)
        if len(proofs) != 1 or proofs[0].get("cryptosuite") != cryptosuite:
            raise Malformed(f"one proof of {cryptosuite}", "others", OPTIONS)
        document = {name: value for name, value in held.items() if name != "proof"}
        return Held(document, proofs[0], UnverifiedProof.parse(proofs[0], OPTIONS))

    def with_value(self, shown: JsonObject, value: str) -> JsonObject:
        """Give `shown` with the proof, and `value` in it."""
        return {**shown, "proof": {**self.proof, "proofValue": value}}


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What a holder shows of a document, in numbers.

    `chosen` are places among the statements that are not mandatory, `mandatory` places
    among those that are shown; `labels` lead from the verifier's names to the issuer's.
    """

    shown: JsonObject = field(repr=False)
    statements: Statements = field(repr=False)
    chosen: list[int]
    mandatory: list[int]
    labels: dict[int, str] = field(repr=False)


def options_hash(document: JsonObject, options: JsonObject, contexts: FrozenContexts) -> bytes:
    """Give the SHA-256 of a proof's options, which speak in the document's contexts.

    Raises what `FrozenContexts.quads` and `canonicalize` raise.
    """
    spoken = {**options, "@context": document.get("@context", [])}
    return sha256(canonicalize(contexts.quads(spoken, OPTIONS), OPTIONS).data).digest()


def stated(
    document: JsonObject, contexts: FrozenContexts, labels: LabelsFor, mandatory: Sequence[str]
) -> Statements:
    """Give the statements of `document`, of which those that `mandatory` names are apart.

    Raises what `Stated.of` and `Stated.shown_by` raise.
    """
    all_of = Stated.of(document, contexts, labels, DOCUMENT)
    always, _ = all_of.shown_by(mandatory)
    return _parted(all_of, always)


def disclosed(
    document: JsonObject,
    contexts: FrozenContexts,
    labels: LabelsFor,
    mandatory: Sequence[str],
    shown: Sequence[str],
) -> Disclosure:
    """Choose what `shown` names, beside what is `mandatory`; both are JSON Pointers.

    Raises what `stated` raises, and `Misuse` where nothing at all would be shown.
    """
    all_of = Stated.of(document, contexts, labels, DOCUMENT)
    always, _ = all_of.shown_by(mandatory)
    pointers = [*mandatory, *shown]
    if not pointers:
        raise Misuse("expected something to show, found no pointer")
    combined, quads = all_of.shown_by(pointers)
    statements = _parted(all_of, always)
    names = canonicalize(quads, DOCUMENT).names
    return Disclosure(
        select(document, pointers, DOCUMENT),
        statements,
        [i for i, line in enumerate(statements.others) if line in combined],
        [i for i, line in enumerate(sorted(combined)) if line in always],
        {int(name.removeprefix("_:c14n")): all_of.labels[node] for node, name in names.items()},
    )


def found_again(
    document: JsonObject,
    contexts: FrozenContexts,
    labels: Mapping[int, str],
    mandatory: Sequence[int],
    where: str,
) -> Statements:
    """Give the statements of a document that was shown, under the issuer's labels.

    Raises `Refused` with `signature-invalid` for labels and places that do not fit it, and
    what `FrozenContexts.quads` and `canonicalize` raise.
    """
    quads = contexts.quads(document, DOCUMENT)
    names = canonicalize(quads, DOCUMENT).names
    given = {f"_:c14n{number}": label for number, label in labels.items()}
    if given.keys() != set(names.values()):
        raise not_signed("one label for each node", "more or fewer", where)
    lines = relabelled(quads, {node: given[name] for node, name in names.items()})
    if mandatory and mandatory[-1] >= len(lines):
        raise not_signed("places of statements", "others", where)
    always = set(mandatory)
    return Statements(
        [lines[index] for index in mandatory],
        [line for index, line in enumerate(lines) if index not in always],
    )


def not_signed(expected: str, found: str, where: str) -> Refused:
    """Give the refusal of a proof that is not over this document."""
    return Refused(Reason("signature-invalid", expected, found, where))


def _parted(all_of: Stated, always: frozenset[str]) -> Statements:
    return Statements(
        [line for line in all_of.lines if line in always],
        [line for line in all_of.lines if line not in always],
    )
