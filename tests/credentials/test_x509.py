"""Certificate chains: good to the second, to the anchor, and for the name they certify."""

import base64
import subprocess
import sys
from collections.abc import Collection, Sequence
from datetime import timedelta

import pytest
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import CounterfoilError, Malformed, Misuse, Refused
from counterfoil_credentials.keys import Curve, MemorySigner
from counterfoil_credentials.x509 import (
    MAX_CERTIFICATE,
    MAX_CERTIFICATES,
    TrustAnchors,
    certified_key,
)
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from tests.credentials.authority import (
    NOON,
    SIGNS,
    Party,
    anchors,
    authority,
    header,
    names,
    purposes,
    usage,
)

SECOND = timedelta(seconds=1)
ROOT = Party("Root", extensions=authority())
MIDDLE = Party("Middle", by=ROOT, extensions=authority())
LEAF = Party("Audio", by=MIDDLE)
TRUST = anchors(ROOT)
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


def codes(found: JsonObject, trust: TrustAnchors = TRUST) -> list[str]:
    with pytest.raises(Refused) as refusal:
        certified_key(found, trust, now=NOON)
    return refusal.value.codes


def test_a_chain_to_an_anchor_gives_the_key_of_its_first_certificate() -> None:
    found = certified_key(header(LEAF, MIDDLE), TRUST, now=NOON)

    assert found.key == MemorySigner(LEAF.key).public  # type: ignore[arg-type]  # an EC key
    assert found.subject == "CN=Audio"


def test_an_intermediate_can_be_the_anchor() -> None:
    assert certified_key(header(LEAF), anchors(MIDDLE), now=NOON).subject == "CN=Audio"


@pytest.mark.parametrize(
    ("key", "curve"),
    [
        (ec.derive_private_key(7, ec.SECP384R1()), Curve.P384),
        (ec.derive_private_key(7, ec.SECP256K1()), Curve.SECP256K1),
        (ed25519.Ed25519PrivateKey.from_private_bytes(b"\x07" * 32), Curve.ED25519),
    ],
)
def test_a_leaf_may_have_a_key_of_each_kind(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, curve: Curve
) -> None:
    leaf = Party("Audio", by=ROOT, key=key)

    assert certified_key(header(leaf), TRUST, now=NOON).key.curve is curve


@pytest.mark.parametrize(
    "key",
    [
        ec.derive_private_key(7, ec.SECP521R1()),
        rsa.generate_private_key(public_exponent=65_537, key_size=2048),
    ],
)
def test_a_leaf_with_a_key_that_signs_no_credentials_is_refused(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
) -> None:
    leaf = Party("Audio", by=ROOT, key=key)

    assert codes(header(leaf)) == ["certificate-key-not-allowed"]


@pytest.mark.parametrize(
    "chain",
    [
        pytest.param([LEAF], id="a link is missing"),
        pytest.param([LEAF, MIDDLE, Party("Spare", by=ROOT, extensions=authority())], id="spare"),
        pytest.param([LEAF, Party("Other", by=ROOT, extensions=authority()), MIDDLE], id="order"),
        pytest.param([Party("Audio", by=Party("Root", extensions=authority()))], id="same name"),
        pytest.param([Party("Radio", by=LEAF), LEAF, MIDDLE], id="a leaf certifies"),
    ],
)
def test_a_chain_that_does_not_lead_to_the_anchor_is_refused(chain: list[Party]) -> None:
    assert codes(header(*chain)) == ["certificate-untrusted"]


def test_no_anchor_trusts_nothing() -> None:
    assert codes(header(LEAF, MIDDLE), TrustAnchors(())) == ["certificate-untrusted"]


def test_one_changed_bit_of_the_signature_breaks_the_chain() -> None:
    der = bytearray(LEAF.certificate.public_bytes(Encoding.DER))
    der[-1] ^= 1
    listed: list[Json] = [base64.b64encode(der).decode(), MIDDLE.x5c]

    assert codes({"x5c": listed}) == ["certificate-untrusted"]


def test_a_certificate_holds_to_its_last_second_and_not_one_longer() -> None:
    for end in (NOON, NOON - SECOND):
        leaf = Party("Audio", by=ROOT, ends_at=end)
        if end == NOON:
            assert certified_key(header(leaf), TRUST, now=NOON).subject == "CN=Audio"
        else:
            assert codes(header(leaf)) == ["certificate-expired"]


def test_a_certificate_holds_from_its_first_second_and_not_one_earlier() -> None:
    for start in (NOON, NOON + SECOND):
        leaf = Party("Audio", by=ROOT, starts_at=start)
        if start == NOON:
            assert certified_key(header(leaf), TRUST, now=NOON).subject == "CN=Audio"
        else:
            assert codes(header(leaf)) == ["certificate-not-yet-valid"]


def test_an_instant_without_a_time_zone_is_our_callers_mistake() -> None:
    with pytest.raises(Misuse, match="time zone"):
        certified_key(header(LEAF, MIDDLE), TRUST, now=NOON.replace(tzinfo=None))


def test_every_certificate_out_of_its_time_is_named() -> None:
    middle = Party("Middle", by=ROOT, extensions=authority(), ends_at=NOON - SECOND)
    leaf = Party("Audio", by=middle, starts_at=NOON + SECOND)

    assert codes(header(leaf, middle)) == ["certificate-not-yet-valid", "certificate-expired"]


def test_an_anchor_that_ended_anchors_nothing() -> None:
    root = Party("Root", extensions=authority(), ends_at=NOON - SECOND)

    assert codes(header(Party("Audio", by=root)), anchors(root)) == ["certificate-untrusted"]


def test_a_self_signed_certificate_signs_nothing_even_when_it_is_trusted() -> None:
    alone = Party("Audio")

    assert codes(header(alone), anchors(alone)) == ["certificate-self-signed"]
    assert codes(header(alone)) == ["certificate-self-signed"]


def test_an_anchor_does_not_travel_in_the_chain() -> None:
    assert codes(header(LEAF, MIDDLE, ROOT)) == ["certificate-anchor-in-chain"]
    assert codes(header(LEAF), anchors(LEAF)) == ["certificate-anchor-in-chain"]


def test_a_path_length_is_kept() -> None:
    for length in (1, 0):
        first = Party("First", by=ROOT, extensions=authority(path_length=length))
        second = Party("Second", by=first, extensions=authority())
        chain = header(Party("Audio", by=second), second, first)
        if length:
            assert certified_key(chain, TRUST, now=NOON).subject == "CN=Audio"
        else:
            assert codes(chain) == ["certificate-untrusted"]


@pytest.mark.parametrize(
    "extensions",
    [
        pytest.param((), id="says nothing"),
        pytest.param((usage(certifies=True),), id="no basic constraints"),
        pytest.param(((x509.BasicConstraints(ca=False, path_length=None), True),), id="ca: false"),
        pytest.param((authority()[0], usage(signs=True)), id="may not certify"),
        pytest.param((*authority(), (UNKNOWN, True)), id="unknown and critical"),
    ],
)
def test_who_is_no_authority_certifies_nobody(
    extensions: tuple[tuple[x509.ExtensionType, bool], ...],
) -> None:
    middle = Party("Middle", by=ROOT, extensions=extensions)

    assert codes(header(Party("Audio", by=middle), middle)) == ["certificate-untrusted"]


def test_an_unknown_extension_matters_only_when_it_is_critical() -> None:
    for critical in (False, True):
        leaf = Party("Audio", by=ROOT, extensions=(*SIGNS, (UNKNOWN, critical)))
        if critical:
            assert codes(header(leaf)) == ["certificate-untrusted"]
        else:
            assert certified_key(header(leaf), TRUST, now=NOON).subject == "CN=Audio"


def test_a_leaf_that_is_an_authority_or_does_not_sign_is_refused() -> None:
    assert codes(header(MIDDLE)) == ["certificate-usage"]
    assert codes(header(Party("Audio", by=ROOT, extensions=(usage(),)))) == ["certificate-usage"]


def test_a_leaf_that_does_not_limit_its_usage_may_sign() -> None:
    leaf = Party("Audio", by=ROOT, extensions=())

    assert certified_key(header(leaf), TRUST, now=NOON).subject == "CN=Audio"


class TestPurposes:
    """Extended key usages: RFC 5280, section 4.2.1.12."""

    server = "1.3.6.1.5.5.7.3.1"
    ocsp = "1.3.6.1.5.5.7.3.9"
    ours = "1.3.6.1.4.1.99999.1"
    any = "2.5.29.37.0"

    def is_for(
        self,
        leaf: Sequence[str] = (),
        middle: Sequence[str] = (),
        *,
        listed: Collection[str] = (ours,),
        critical: bool = False,
    ) -> bool:
        limits = [purposes(*middle, critical=critical)] if middle else []
        by = Party("Middle", by=ROOT, extensions=(*authority(), *limits))
        limits = [purposes(*leaf, critical=critical)] if leaf else []
        chain = header(Party("Audio", by=by, extensions=(*SIGNS, *limits)), by)
        try:
            certified_key(chain, TRUST, now=NOON, purposes=listed)
        except Refused as refusal:
            if refusal.codes != ["certificate-not-for-this"]:
                raise
            return False
        return True

    @pytest.mark.parametrize("critical", [False, True])
    def test_a_key_for_other_purposes_signs_no_credentials(self, *, critical: bool) -> None:
        for other in (self.server, self.ocsp, self.any):
            assert not self.is_for([other], critical=critical)
            assert not self.is_for([other], critical=critical, listed=())
        assert self.is_for([self.ours], critical=critical)
        assert self.is_for([self.server, self.ours], critical=critical)
        assert not self.is_for([self.ours], critical=critical, listed=())

    def test_a_certificate_that_is_not_limited_needs_no_purpose(self) -> None:
        assert self.is_for(listed=())
        assert self.is_for(listed=(self.ours,))

    @pytest.mark.parametrize("critical", [False, True])
    def test_an_authority_limits_whom_it_certifies(self, *, critical: bool) -> None:
        for leaf in ([], [self.ours]):
            assert not self.is_for(leaf, [self.server], critical=critical)
            assert self.is_for(leaf, [self.server, self.ours], critical=critical)
            assert self.is_for(leaf, [self.any], critical=critical)
        # Each alone has a purpose that is allowed, and both together have none.
        assert not self.is_for([self.ours], [self.server], listed=(self.ours, self.server))

    def test_an_anchor_limits_whom_it_certifies(self) -> None:
        root = Party("Root", extensions=(*authority(), purposes(self.server)))

        assert codes(header(Party("Audio", by=root)), anchors(root)) == ["certificate-not-for-this"]

    def test_one_text_in_place_of_purposes_is_our_callers_mistake(self) -> None:
        with pytest.raises(Misuse):
            self.is_for(listed=self.ours)


ORIGIN = "https://audio.example"
BRAND = "https://audio.example/brand"
WEB = x509.DNSName("audio.example")


def url(text: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(text)


class TestNames:
    def certified(self, issuer: str, *given_names: x509.GeneralName, by: Party = ROOT) -> bool:
        leaf = Party("Audio", by=by, extensions=(usage(signs=True), names(*given_names)))
        chain = [leaf] if by is ROOT else [leaf, by]
        return certified_key(header(*chain), TRUST, now=NOON).names(issuer)

    @pytest.mark.parametrize(
        ("issuer", "name"),
        [
            (ORIGIN, WEB),
            (ORIGIN, x509.DNSName("AUDIO.example")),
            (ORIGIN, url(ORIGIN)),
            (BRAND, url(BRAND)),
            (f"{ORIGIN}:8443", url(f"{ORIGIN}:8443")),
            (f"{ORIGIN}:65535/brands/1", url(f"{ORIGIN}:65535/brands/1")),
            ("https://xn--dio-5na.example", x509.DNSName("xn--dio-5na.example")),
        ],
    )
    def test_the_host_or_the_very_url_names_the_issuer(
        self, issuer: str, name: x509.GeneralName
    ) -> None:
        assert self.certified(issuer, x509.DNSName("other.example"), name)

    @pytest.mark.parametrize(
        "name",
        [
            x509.DNSName("audio.example.evil.example"),
            x509.DNSName("shop.audio.example"),
            x509.DNSName("example"),
            x509.DNSName("*.example"),
            x509.DNSName("audio.example/brand"),
            WEB,
            url(ORIGIN),
            url(f"{BRAND}/"),
            x509.RFC822Name("brand@audio.example"),
        ],
    )
    def test_a_near_name_does_not(self, name: x509.GeneralName) -> None:
        assert not self.certified(BRAND, name)

    @pytest.mark.parametrize(
        "rest",
        ["/", "/tenants/alice", ":443", ":8443", ":99999", "?", "?x", "#", "#x", ".", "/.", "//"],
    )
    def test_a_host_names_nothing_on_it_or_beside_it(self, rest: str) -> None:
        for name in (WEB, x509.DNSName(f"audio.example{rest}")):
            assert not self.certified(ORIGIN + rest, name)

    @pytest.mark.parametrize(
        "issuer",
        [
            "http://audio.example",
            "https://AUDIO.example",
            "https://evil.example@audio.example",
            "https://audio.example ",
            "https://audio.example:443",
            "https://audio.example:443/brand",
            "https://audio.example:99999",
            "https://audio.example:080",
            "https://audio.example:",
            "https://audio.example/",
            "https://audio.example/brand/",
            "https://audio.example/./brand",
            "https://audio.example/x/../brand",
            "https://audio.example/..",
            "https://audio.example//brand",
            "https://audio.example/%62rand",
            "https://audio.example?x",
            "https://audio.example.",
            "https://-audio.example",
            "https://[::1]",
            "https://10.1",
            "https://*.example",
            "https://audio.example/*",
            "audio.example",
            "urn:example:audio",
            "CN=Audio",
        ],
    )
    def test_only_an_https_url_in_its_one_spelling_names_anybody(self, issuer: str) -> None:
        assert not self.certified(issuer, url(issuer), WEB)

    def test_a_wildcard_names_nobody_not_even_in_its_own_letters(self) -> None:
        assert not self.certified("https://*.example", x509.DNSName("*.example"))

    @pytest.mark.parametrize("issuer", ["https://audio.exa\nmple", f"{ORIGIN}\n", "", "\ud800"])
    def test_any_other_text_is_nobodys_name(self, issuer: str) -> None:
        assert not self.certified(issuer, WEB)

    def test_an_authority_limited_to_hosts_names_hosts_alone(self) -> None:
        limits = x509.NameConstraints([x509.DNSName("audio.example")], None)
        limited = Party("Limited", by=ROOT, extensions=(*authority(), (limits, True)))

        assert self.certified(ORIGIN, WEB, by=limited)
        assert not self.certified(BRAND, url(BRAND), WEB, by=limited)
        leaf = Party("Someone else", by=limited)
        assert certified_key(header(leaf, limited), TRUST, now=NOON).subject is None
        other = (usage(signs=True), names(x509.DNSName("shoes.example")))
        leaf = Party("Audio", by=limited, extensions=other)
        assert codes(header(leaf, limited)) == ["certificate-untrusted"]


class TestHeader:
    @pytest.mark.parametrize(
        "listed",
        [
            None,
            "",
            LEAF.x5c,
            {},
            [],
            [1],
            [None],
            [[LEAF.x5c]],
            [""],
            ["="],
            ["AAAA"],
            [LEAF.x5c, ""],
            [LEAF.x5c + "\n"],
            [f" {LEAF.x5c}"],
            ["é"],
            ["\ud800"],
            [LEAF.x5c * 2],
            ["MIIB" + "A" * 400],
            ["A" * (MAX_CERTIFICATE + 4)],
            [LEAF.x5c] * (MAX_CERTIFICATES + 1),
        ],
    )
    def test_what_is_no_list_of_certificates_is_malformed(self, listed: Json) -> None:
        with pytest.raises(Malformed):
            certified_key({"x5c": listed}, TRUST, now=NOON)

    def test_a_header_without_a_chain_is_malformed(self) -> None:
        with pytest.raises(Malformed, match="expected a list, found nothing"):
            certified_key({"alg": "ES256"}, TRUST, now=NOON)

    def test_the_url_alphabet_and_missing_padding_are_malformed(self) -> None:
        der = next(
            found
            for i in range(200)
            if len(found := self.der_named(f"Audio {i}")) % 3
            and {"+", "/"} & {*base64.b64encode(found).decode()}
        )
        for text in (
            base64.urlsafe_b64encode(der).decode(),
            base64.b64encode(der).decode().rstrip("="),
        ):
            with pytest.raises(Malformed, match="base64"):
                certified_key({"x5c": [text]}, TRUST, now=NOON)

    def der_named(self, name: str) -> bytes:
        return Party(name, by=ROOT).certificate.public_bytes(Encoding.DER)

    @given(st.binary(max_size=300))
    def test_any_bytes_raise_only_our_errors(self, data: bytes) -> None:
        with pytest.raises(CounterfoilError):
            certified_key({"x5c": [base64.b64encode(data).decode()]}, TRUST, now=NOON)

    @given(st.data())
    def test_a_certificate_with_changed_bytes_raises_only_our_errors(
        self, data: st.DataObject
    ) -> None:
        der = bytearray(DIRECT.certificate.public_bytes(Encoding.DER))
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(der) - 1))
            der[at] ^= data.draw(st.integers(1, 255))
        if bytes(der) == DIRECT.certificate.public_bytes(Encoding.DER):
            return
        with pytest.raises(CounterfoilError):
            certified_key({"x5c": [base64.b64encode(der).decode()]}, TRUST, now=NOON)


DIRECT = Party("Audio", by=ROOT)


class TestAnchors:
    def test_several_come_from_one_pem_text(self) -> None:
        pem = b"".join(one.certificate.public_bytes(Encoding.PEM) for one in (MIDDLE, ROOT))

        trust = TrustAnchors.from_pem(pem)

        assert trust == anchors(MIDDLE, ROOT)

    def test_an_anchor_that_cannot_be_read_is_named_before_a_chain_is(self) -> None:
        broken = x509.UnrecognizedExtension(x509.NameConstraints.oid, b"\xff")
        root = Party("Root", extensions=(*authority(), (broken, True)))

        with pytest.raises(Malformed, match=r"\(anchors\)"):
            anchors(root)
        with pytest.raises(Malformed, match=r"\(header.x5c\)"):
            certified_key(header(Party("Audio", by=ROOT), root), TRUST, now=NOON)

    @pytest.mark.parametrize("data", [b"", b"\xff", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
    def test_a_text_without_certificates_is_malformed(self, data: bytes) -> None:
        with pytest.raises(Malformed):
            TrustAnchors.from_pem(data)


def test_the_import_does_not_load_the_certificates_of_the_package() -> None:
    program = (
        "import sys, counterfoil_credentials.key_discovery;"
        "sys.exit('cryptography.x509' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
