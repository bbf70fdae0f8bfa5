"""did:web: where a document is, what may come back, and keys that rotate every year."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from counterfoil_credentials.did_documents import MAX_DOCUMENT_BYTES, Relationship
from counterfoil_credentials.did_methods import resolver
from counterfoil_credentials.did_results import (
    Deactivated,
    Dereferenced,
    DidError,
    NotResolved,
    Resolved,
)
from counterfoil_credentials.did_verification_methods import MethodType
from counterfoil_credentials.did_web import DatedKey, did_web, did_web_document, did_web_url
from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import Json, compact_json
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import GuardedFetcher, MemoryFetcher, Response
from counterfoil_credentials.jws import read_jws, sign_jws
from counterfoil_credentials.keys import Curve, MemorySigner, PublicKey
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
YEAR = timedelta(days=365)
SECOND = timedelta(seconds=1)
DID = did_web("brand.example")
# One key for each year, the last one in use.
SIGNERS = [MemorySigner.from_private_bytes(bytes([7 + i]) * 32) for i in range(6)]
CURRENT = SIGNERS[-1]


def retired_at(year: int) -> datetime:
    """Give the time at which the key of that year was retired."""
    return NOW - (4 - year) * YEAR


def yearly() -> list[DatedKey]:
    return [
        DatedKey(signer.public, expires_at=retired_at(year))
        for year, signer in enumerate(SIGNERS[:-1])
    ] + [DatedKey(CURRENT.public)]


class Web:
    """A web server for `brand.example`, and a resolver that reaches it."""

    def __init__(self, document: Json, status: int = 200) -> None:
        self.asked: list[str] = []
        self.answer = Response(status, "application/json", compact_json(document))
        self.fetcher = MemoryFetcher()
        self.fetcher.serve("https://brand.example", self.serve)
        self.resolver = resolver(self.fetcher)

    def serve(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        self.asked.append(f"{method} {path}")
        return self.answer

    def error(self, did: str = DID) -> DidError:
        found = self.resolver.resolve(did)
        assert isinstance(found, NotResolved), found
        return found.error

    def refusal(self, did_url: str, at: datetime) -> list[str]:
        with pytest.raises(Refused) as refused:
            self.resolver.key_for(did_url, Relationship.ASSERTION, at=at, now=NOW)
        return refused.value.codes


def key_id(signer: MemorySigner) -> str:
    return f"{DID}#{signer.public.thumbprint()}"


@pytest.mark.parametrize(
    ("did", "url"),
    [
        ("did:web:brand.example", "https://brand.example/.well-known/did.json"),
        ("did:web:brand.example:de:audio", "https://brand.example/de/audio/did.json"),
        ("did:web:brand.example%3A3000", "https://brand.example:3000/.well-known/did.json"),
        ("did:web:brand.example%3a3000:u:bob", "https://brand.example:3000/u/bob/did.json"),
        ("did:web:localhost%3A8443", "https://localhost:8443/.well-known/did.json"),
        (
            "did:web:xn--mnchen-3ya.example:a%C3%A4",
            "https://xn--mnchen-3ya.example/a%C3%A4/did.json",
        ),
        ("did:web:brand.example:.well-known", "https://brand.example/.well-known/did.json"),
        ("did:web:1.2.3.example", "https://1.2.3.example/.well-known/did.json"),
        ("did:web:brand.example%3A65535", "https://brand.example:65535/.well-known/did.json"),
        ("did:web:brand.example:%21", "https://brand.example/%21/did.json"),
        ("did:web:brand.example:%3Fa%23b", "https://brand.example/%3Fa%23b/did.json"),
        ("did:web:brand.example:...", "https://brand.example/.../did.json"),
        ("did:web:brand.example:%2e%2ea", "https://brand.example/%2e%2ea/did.json"),
        ("did:web:brand.example:a%3B..", "https://brand.example/a%3B../did.json"),
        ("did:web:brand.example:100%25", "https://brand.example/100%25/did.json"),
    ],
)
def test_a_did_web_is_at_its_url(did: str, url: str) -> None:
    assert did_web_url(Did(did)) == url


@pytest.mark.parametrize(
    "rest",
    [
        "",
        ":",
        "brand.example:",
        "brand.example::a",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "brand.0X",
        "brand.example.",
        ".example",
        "-brand.example",
        "brand_.example",
        "brand%2Eexample",
        "a%40brand.example",
        "brand.example%2Fpath",
        "brand.example%3A",
        "brand.example%3A0",
        "brand.example%3A080",
        "brand.example%3A65536",
        "brand.example%3A80%3A80",
        "brand.example%3A80a",
        "brand.example%253A80",
        "%5B%3A%3A1%5D",
        "brand.example:..",
        "brand.example:..:a",
        "brand.example:.",
        "brand.example:%2e%2E:a",
        "brand.example:.%2e",
        "brand.example:%2e",
        "brand.example:%2e%2e%3b:a",
        "brand.example:..%3Ba%3Db",
        "brand.example:.%3B",
        "brand.example:%3Ba",
        "brand.example:%252e%252e:a",
        "brand.example:%252e.%253b",
        "brand.example:%25252525252e.",
        "brand.example:%%32%65.",
        "brand.example:%C0%AE%C0%AE",
        "brand.example:%25C0%25AE.",
        "brand.example:%E0%80%AE.",
        "brand.example:a%252Fb",
        "brand.example:a%255Cb",
        "brand.example:%2500",
        "brand.example:%FF",
        "brand.example:a%2Fb",
        "brand.example:a%5Cb",
        "brand.example:%00",
        "brand.example:a%0D%0A",
        "brand.example:%20",
        f"{'a' * 64}.example",
    ],
)
def test_a_did_web_that_leads_elsewhere_is_invalid_and_not_asked(rest: str) -> None:
    web = Web(did_web_document(DID, yearly()))

    with pytest.raises(Malformed):
        did_web_url(Did(f"did:web:{rest}"))
    assert web.error(f"did:web:{rest}") is DidError.INVALID_DID
    assert web.asked == []


def test_a_brand_makes_its_did_from_host_port_and_path() -> None:
    longest = f"{'a.' * 123}example"
    assert len(longest) == 253
    assert did_web(longest) == f"did:web:{longest}"
    assert did_web("brand.example", "de", "audio", port=8443) == (
        "did:web:brand.example%3A8443:de:audio"
    )
    for host, path in (
        ("brand.example/a", ()),
        ("brand.example:80", ()),
        (f"a{longest}", ()),
        ("brand.example", ("..",)),
        ("brand.example", ("a:b",)),
    ):
        with pytest.raises(Malformed):
            did_web(host, *path)


@pytest.mark.parametrize("method_type", [MethodType.MULTIKEY, MethodType.JSON_WEB_KEY])
def test_resolves_what_the_brand_publishes(method_type: MethodType) -> None:
    document = did_web_document(DID, yearly(), method_type=method_type)
    web = Web(document)
    found = web.resolver.resolve(DID)

    assert isinstance(found, Resolved)
    assert found.json == document
    assert found.to_json()["didResolutionMetadata"] == {"contentType": "application/did"}
    assert (found.document.unusable, found.age_s) == (0, 0)
    assert web.asked == ["GET /.well-known/did.json"]


def test_relative_ids_mean_the_did_that_was_asked_and_are_expanded_when_asked() -> None:
    method = did_web_document(DID, [DatedKey(CURRENT.public)])["verificationMethod"]
    service: dict[str, Json] = {
        "id": "#shop",
        "type": "Shop",
        "serviceEndpoint": "https://a.example",
    }
    web = Web({"id": DID, "verificationMethod": method, "service": [service]})
    expanded = web.resolver.resolve(DID, {"expandRelativeUrls": "true"})
    named = web.resolver.dereference(f"{DID}#shop")

    assert isinstance(expanded, Resolved)
    assert expanded.json["service"] == [{**service, "id": f"{DID}#shop"}]
    assert isinstance(named, Dereferenced)
    assert named.content == service


def test_a_path_has_its_own_document() -> None:
    did = did_web("brand.example", "de", "audio")
    web = Web(did_web_document(did, yearly()))

    assert web.resolver.document(did).did == did
    assert web.asked == ["GET /de/audio/did.json"]
    assert web.error(DID) is DidError.INVALID_DID_DOCUMENT  # The id must be equal.


def test_the_age_of_a_cached_answer_is_seen() -> None:
    web = Web(did_web_document(DID, yearly()))
    web.answer = Response(200, "application/json", web.answer.body, age_s=90)
    found = web.resolver.resolve(DID)

    assert isinstance(found, Resolved)
    assert found.age_s == 90


def test_five_years_of_credentials_outlive_yearly_rotation() -> None:
    web = Web(did_web_document(DID, yearly()))
    for year, signer in enumerate(SIGNERS[:-1]):
        issued_at = retired_at(year) - SECOND
        token = sign_jws({"year": year}, typ="warranty", signer=signer)
        key = web.resolver.key_for(key_id(signer), Relationship.ASSERTION, at=issued_at, now=NOW)
        assert isinstance(key, PublicKey)
        assert read_jws(token, typ="warranty", where="token").verify(key) == {"year": year}

        assert web.refusal(key_id(signer), retired_at(year)) == ["key-expired"]
        assert web.refusal(key_id(signer), NOW + YEAR) == ["key-expired"]
    assert (
        web.resolver.key_for(key_id(CURRENT), Relationship.ASSERTION, at=NOW, now=NOW)
        == CURRENT.public
    )


def test_a_key_that_was_stolen_is_revoked_or_left_out_and_verifies_nothing() -> None:
    first = SIGNERS[0]
    revoked = Web(did_web_document(DID, [DatedKey(first.public, revoked_at=NOW)]))
    left_out = Web(did_web_document(DID, [DatedKey(CURRENT.public)]))

    for said in (NOW - 5 * YEAR, NOW - SECOND, NOW):
        assert revoked.refusal(key_id(first), said) == ["key-revoked"]
        assert left_out.refusal(key_id(first), said) == ["verification-method-unknown"]


def test_a_key_that_will_be_revoked_is_still_in_use() -> None:
    web = Web(did_web_document(DID, [DatedKey(CURRENT.public, revoked_at=NOW + SECOND)]))
    key = web.resolver.key_for(key_id(CURRENT), Relationship.ASSERTION, at=NOW, now=NOW)

    assert key == CURRENT.public


def test_a_document_is_for_the_relationships_that_it_names() -> None:
    document = did_web_document(
        DID, [DatedKey(CURRENT.public)], relationships=[Relationship.AUTHENTICATION]
    )
    web = Web(document)

    assert (
        web.resolver.key_for(key_id(CURRENT), Relationship.AUTHENTICATION, at=NOW, now=NOW)
        == CURRENT.public
    )
    assert web.refusal(key_id(CURRENT), NOW) == ["key-relationship-missing"]


def test_a_brand_cannot_publish_a_key_twice_or_under_another_method() -> None:
    with pytest.raises(Malformed):
        did_web_document(DID, [DatedKey(CURRENT.public), DatedKey(CURRENT.public)])
    with pytest.raises(Malformed):
        did_web_document(Did("did:jwk:e30"), yearly())
    with pytest.raises(Malformed):
        did_web_document(DID, yearly(), method_type=MethodType.ED25519_2020)


def test_only_a_definite_answer_is_not_found() -> None:
    web = Web({}, status=404)
    assert web.error() is DidError.NOT_FOUND
    with pytest.raises(Refused) as refused:
        web.resolver.document(DID)
    assert refused.value.codes == ["did-not-found"]

    web = Web({}, status=410)
    assert isinstance(web.resolver.resolve(DID), Deactivated)
    assert web.refusal(key_id(CURRENT), NOW) == ["did-deactivated"]


@pytest.mark.parametrize("status", [201, 204, 301, 302, 304, 400, 401, 403, 429, 500, 503])
def test_every_other_status_is_could_not_find_out(status: int) -> None:
    web = Web(did_web_document(DID, yearly()), status)

    for ask in (web.resolver.resolve, web.resolver.dereference, web.resolver.document):
        with pytest.raises(Unavailable):
            ask(DID)


def test_nobody_there_is_could_not_find_out() -> None:
    web = Web({})
    web.fetcher.disconnect("https://brand.example")

    with pytest.raises(Unavailable):
        web.resolver.resolve(DID)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"id":"did:web:brand.example","id":"did:web:brand.example"}',
        b'{"id":"did:web:brand.example\xff"}',
        b'{"id":"did:web:BRAND.example"}',
        b'{"id":"did:web:brand.example","a":' + b"[" * 1_000 + b"]" * 1_000 + b"}",
    ],
)
def test_what_is_no_document_of_the_did_is_an_invalid_document(body: bytes) -> None:
    web = Web({})
    web.answer = Response(200, "application/json", body)

    assert web.error() is DidError.INVALID_DID_DOCUMENT
    with pytest.raises(Malformed):
        web.resolver.document(DID)


@pytest.mark.parametrize(
    "media_type",
    [
        "application/did",
        "application/did+ld+json",
        "application/did+json",
        "application/json",
        "application/ld+json",
    ],
)
def test_takes_a_document_under_every_type_that_it_is_published_as(media_type: str) -> None:
    web = Web({})
    web.answer = Response(200, media_type, compact_json(did_web_document(DID, yearly())))

    assert web.resolver.document(DID).did == DID


@pytest.mark.parametrize("media_type", ["text/html", "text/plain", "image/png", ""])
def test_a_page_that_somebody_uploaded_is_refused_before_it_is_read(media_type: str) -> None:
    web = Web({})
    body = compact_json(did_web_document(DID, yearly()))
    web.answer = Response(200, media_type, body)

    with pytest.raises(Refused) as refused:
        web.resolver.resolve(DID)
    assert refused.value.codes == ["media-type-not-accepted"]


def test_the_size_of_an_answer_is_bounded() -> None:
    padding = "x" * (MAX_DOCUMENT_BYTES - 50)
    fits = Web({"id": DID, "x": padding[:-10]})
    over = Web({"id": DID, "x": padding + "x" * 50})

    assert isinstance(fits.resolver.resolve(DID), Resolved)
    with pytest.raises(Unavailable):
        over.resolver.resolve(DID)


@pytest.mark.loopback
def test_a_did_that_leads_to_an_address_that_is_not_public_is_refused() -> None:
    # Neither an answer nor an absence of one: who wrote this DID wants us to try the address.
    for did in ("did:web:localhost", "did:web:localhost%3A1"):
        with pytest.raises(Refused) as refused:
            resolver(GuardedFetcher(timeout_s=5)).resolve(did)
        assert refused.value.codes == ["fetch-not-allowed"]


@given(st.text(max_size=40), st.sampled_from(["", "brand.example", "brand.example%3A", "a.b:"]))
def test_any_text_gives_a_url_on_its_own_host_or_our_error(text: str, beginning: str) -> None:
    try:
        url = did_web_url(Did(f"did:web:{beginning}{text}"))
    except Malformed:
        return
    assert url.startswith("https://")
    assert url.endswith("/did.json")
    assert "/../" not in url


@given(st.binary(max_size=200))
def test_any_answer_gives_a_document_or_an_invalid_one(body: bytes) -> None:
    web = Web({})
    web.answer = Response(200, "application/did", body)

    assert web.error() is DidError.INVALID_DID_DOCUMENT


def test_other_curves_are_published_alike() -> None:
    keys = [
        MemorySigner.from_private_bytes(b"\x07" * size, curve).public
        for curve, size in zip(Curve, (32, 48, 32, 32), strict=True)
    ]
    web = Web(did_web_document(DID, [DatedKey(key) for key in keys]))
    for key in keys:
        found = web.resolver.key_for(
            f"{DID}#{key.thumbprint()}", Relationship.ASSERTION, at=NOW, now=NOW
        )
        assert found == key
