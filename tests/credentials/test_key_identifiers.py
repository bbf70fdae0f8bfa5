"""Who stands above an issuer: what the chain proves, and nothing that it merely says."""

from hashlib import sha1

import pytest
from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.key_identifiers import key_id, key_id_above
from counterfoil_credentials.x509 import certified_key
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.credentials import authority as make
from tests.credentials.authority import NOON, SIGNS, Party, anchors, authority, header, named_by

ROOT = Party("Root", extensions=(*authority(), make.key_id(b"root")))
MIDDLE = Party(
    "Middle", by=ROOT, extensions=(*authority(), make.key_id(b"middle"), named_by(b"root"))
)
LEAF = Party("Audio", by=MIDDLE, extensions=(named_by(b"middle"), *SIGNS))


def proved(*chain: Party, root: Party = ROOT) -> set[str]:
    return {*certified_key(header(*chain), anchors(root), now=NOON).authorities}


def test_the_authorities_that_the_chain_leads_through_are_proved() -> None:
    assert proved(LEAF, MIDDLE) == {b64url(b"middle"), b64url(b"root")}
    assert proved(LEAF, root=MIDDLE) == {b64url(b"middle")}


@pytest.mark.parametrize(
    ("named", "borne"),
    [(b"other", b"root"), (b"root", b"other"), (None, b"root"), (b"root", None)],
    ids=["another is named", "it bears another", "none is named", "it bears none"],
)
def test_an_authority_that_one_of_the_two_does_not_name_is_not_proved(
    named: bytes | None, borne: bytes | None
) -> None:
    bears = () if borne is None else (make.key_id(borne),)
    names = () if named is None else (named_by(named),)
    root = Party("Root", extensions=(*authority(), *bears))
    leaf = Party("Audio", by=root, extensions=(*names, *SIGNS))

    assert proved(leaf, root=root) == set()


def test_an_authority_without_a_name_has_that_of_its_key() -> None:
    root = Party("Root", extensions=authority())
    key = root.key.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    digest = sha1(key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)).digest()  # noqa: S324  # RFC 5280 names it
    leaf = Party("Audio", by=root, extensions=(named_by(digest), *SIGNS))

    assert key_id(root.certificate) == b64url(digest)
    assert key_id_above(root.certificate) is None
    assert proved(leaf, root=root) == {b64url(digest)}


def test_an_authority_does_not_speak_for_an_anchor_by_taking_its_name() -> None:
    other = Party("Other root", extensions=(*authority(), make.key_id(b"other")))
    posing = Party("Middle", by=ROOT, extensions=(*authority(), make.key_id(b"other")))
    leaf = Party("Audio", by=posing, extensions=(named_by(b"other"), *SIGNS))
    honest = Party("Audio", by=other, extensions=(named_by(b"other"), *SIGNS))
    both = anchors(ROOT, other)

    assert certified_key(header(leaf, posing), both, now=NOON).authorities == set()
    assert certified_key(header(honest), both, now=NOON).authorities == {b64url(b"other")}


def test_anchors_have_the_names_of_their_keys_each_once() -> None:
    assert anchors(ROOT, MIDDLE, ROOT).key_ids == (b64url(b"root"), b64url(b"middle"))


def test_a_name_that_is_only_an_issuer_and_a_number_names_no_key() -> None:
    by_number = x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(ROOT.name)], 7)
    leaf = Party("Audio", by=ROOT, extensions=((by_number, False), *SIGNS))

    assert key_id_above(leaf.certificate) is None
    assert proved(leaf) == set()
