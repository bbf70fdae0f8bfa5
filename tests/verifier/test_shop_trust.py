"""Whom a shop trusts by its settings: each issuer in one way, and signed lists after those."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from counterfoil_credentials.dcql import Authority, AuthorityType
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.issuer_keys import issuer_keys_document
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.trust_list import TRUST_LIST_TYP
from counterfoil_verifier.shop_file import parse_shop_file
from counterfoil_verifier.shop_trust import parse_trust, trust_of
from counterfoil_verifier.trust import KeyAsked, Trust
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.credentials.authority import (
    Party,
    authority,
    header,
    key_id,
    named_by,
    names,
    usage,
)
from tests.verifier.scene import DAY, ISSUER, NOON, WARRANTY_TYPE

CHAIRS = "https://chairs.example"
LIST = "https://trade.example/list"
TRUSTS: JsonObject = {ISSUER: {"warranty": [WARRANTY_TYPE]}}


def jwk(signer: MemorySigner) -> JsonObject:
    return {**signer.public.jwk()}


def trust(folder: Path, fetcher: MemoryFetcher | None = None, **settings: Any) -> Trust:  # noqa: ANN401
    document: JsonObject = {"trusts": TRUSTS, **settings}
    return trust_of(parse_trust(document, "shop.json"), fetcher or MemoryFetcher(), folder)


def codes(ask: Callable[[], object]) -> list[str]:
    with pytest.raises(Refused) as refused:
        ask()
    return refused.value.codes


def asked(
    issuer: str | None = ISSUER,
    vct: str = WARRANTY_TYPE,
    *,
    at: datetime = NOON,
    kid: str | None = None,
    chain: Party | None = None,
) -> KeyAsked:
    named: JsonObject = {} if kid is None else {"kid": kid}
    return KeyAsked(issuer, vct, named if chain is None else header(chain), at)


def test_keys_that_stand_in_the_settings_need_no_network(tmp_path: Path) -> None:
    old, new = MemorySigner.generate(), MemorySigner.generate()
    pinned = [{"jwk": jwk(old), "not_after": "2026-11-01T12:00:00Z"}, {"jwk": jwk(new)}]
    found = trust(tmp_path, keys={ISSUER: pinned})

    assert found.key_for(asked(kid=new.public.thumbprint()), now=NOON) == new.public
    kid = old.public.thumbprint()
    assert found.key_for(asked(at=NOON - 2 * DAY, kid=kid), now=NOON) == old.public
    assert codes(lambda: found.key_for(asked(kid=kid), now=NOON)) == ["key-expired"]
    assert codes(lambda: found.key_for(asked(CHAIRS), now=NOON)) == ["issuer-not-trusted"]
    other = asked(vct=f"{ISSUER}/types/receipt")
    assert codes(lambda: found.key_for(other, now=NOON)) == ["issuer-not-trusted-for-type"]


def test_who_publishes_its_keys_is_asked_for_them(tmp_path: Path) -> None:
    signer = MemorySigner.generate()

    def brand(_: str, path: str, __: Mapping[str, str], ___: bytes) -> Response:
        assert path == "/.well-known/jwt-vc-issuer"
        body = json.dumps(issuer_keys_document(ISSUER, [signer.public])).encode()
        return Response(200, "application/json", body)

    fetcher = MemoryFetcher()
    fetcher.serve(ISSUER, brand)
    kid = signer.public.thumbprint()

    assert trust(tmp_path, fetcher).key_for(asked(kid=kid), now=NOON) == signer.public
    with pytest.raises(Unavailable):
        trust(tmp_path).key_for(asked(kid=kid), now=NOON)


def test_certificates_lead_to_the_anchors_of_their_issuer_alone(tmp_path: Path) -> None:
    root, other = Party("root", extensions=authority()), Party("other", extensions=authority())
    (tmp_path / "ours.pem").write_bytes(root.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "theirs.pem").write_bytes(other.certificate.public_bytes(Encoding.PEM))
    url = names(x509.UniformResourceIdentifier(ISSUER), x509.UniformResourceIdentifier(CHAIRS))
    leaf = Party("audio", by=root, extensions=(usage(signs=True), url))
    found = trust(
        tmp_path,
        trusts={**TRUSTS, CHAIRS: {"warranty": [WARRANTY_TYPE]}},
        anchors={CHAIRS: "theirs.pem", ISSUER: "ours.pem"},
    )

    assert found.key_for(asked(chain=leaf), now=NOON) is not None
    assert codes(lambda: found.key_for(asked(CHAIRS, chain=leaf), now=NOON)) == [
        "certificate-untrusted"
    ]
    assert [ending.what for ending in found.ends(NOON)] == sorted(
        ["the anchor CN=other", "the anchor CN=root"]
    )


def test_whoever_issues_without_a_name_is_known_by_its_certificates_subject(
    tmp_path: Path,
) -> None:
    root = Party("root", extensions=(*authority(), key_id(b"root")))
    (tmp_path / "ours.pem").write_bytes(root.certificate.public_bytes(Encoding.PEM))
    signs = (usage(signs=True), named_by(b"root"))
    audio, shoes = (Party(name, by=root, extensions=signs) for name in ("Audio", "Shoes"))
    found = trust(
        tmp_path,
        trusts={"CN=Audio": {"warranty": [WARRANTY_TYPE]}},
        anchors={"CN=Audio": "ours.pem"},
    )
    good = asked(None, chain=audio)

    assert found.key_for(good, now=NOON) is not None
    assert found.authorities_behind(good, now=NOON) == {Authority(AuthorityType.AKI, "cm9vdA")}
    for wrong, code in (
        (asked(None, chain=shoes), "issuer-not-trusted"),
        (asked(None), "issuer-not-trusted"),
        (asked(None, chain=Party("Audio", extensions=signs)), "certificate-self-signed"),
        (asked(None, vct=f"{ISSUER}/types/receipt", chain=audio), "issuer-not-trusted"),
        # A subject is no name that a credential could give itself.
        (asked("CN=Audio", chain=audio), "issuer-url-not-normal"),
        (asked(chain=audio), "issuer-not-trusted"),
    ):
        assert codes(partial(found.key_for, wrong, now=NOON)) == [code]


@pytest.mark.parametrize(
    ("trusts", "anchors"),
    [
        ({"CN=Audio": {}}, {}),
        ({"Audio": {}}, {"Audio": "ours.pem"}),
        ({"http://audio.example/?CN=Audio": {}}, {"http://audio.example/?CN=Audio": "ours.pem"}),
    ],
    ids=["a subject without anchors", "no attribute", "an address in the open"],
)
def test_a_name_that_no_issuer_has_is_malformed(trusts: Json, anchors: Json) -> None:
    document: JsonObject = {"name": "Shop", "trusts": trusts, "anchors": anchors}

    with pytest.raises(Malformed, match="https URLs and DIDs"):
        parse_shop_file(json.dumps(document).encode())


def test_a_signed_list_is_asked_after_those_who_are_named(tmp_path: Path) -> None:
    association, chairs = MemorySigner.generate(), MemorySigner.generate()
    vct = f"{CHAIRS}/types/membership"
    fetcher = MemoryFetcher()
    keys: JsonObject = {"keys": [{**jwk(chairs), "kid": "1"}]}
    issuers: list[Json] = [
        {"url": one, "name": "One", "types": [vct, WARRANTY_TYPE], "keys": keys}
        for one in (CHAIRS, ISSUER)
    ]
    listed: JsonObject = {
        "iat": int(NOON.timestamp()),
        "exp": int((NOON + DAY).timestamp()),
        "name": "Trade",
        "issuers": issuers,
    }
    token = sign_jws(listed, typ=TRUST_LIST_TYP, signer=association)

    def trade(*_: object) -> Response:
        return Response(200, "application/jwt", token.encode())

    fetcher.serve("https://trade.example", trade)
    lists: list[Json] = [{"url": LIST, "jwk": jwk(association), "presets": {"member": [vct]}}]
    found = trust(tmp_path, fetcher, trust_lists=lists)
    settings = parse_trust({"trusts": TRUSTS, "trust_lists": lists}, "shop.json")

    assert settings.vcts_for("member") == (vct,)
    assert found.key_for(asked(CHAIRS, vct, kid="1"), now=NOON) == chairs.public
    # Whom the shop names itself is known as it says there, and not by a list.
    with pytest.raises(Unavailable):
        found.key_for(asked(ISSUER), now=NOON)


def test_who_stands_on_a_list_says_nothing_beyond_what_the_list_is_asked_for(
    tmp_path: Path,
) -> None:
    """An association vouches for its members' memberships, and for nobody's warranties."""
    association, member = MemorySigner.generate(), MemorySigner.generate()
    vct = f"{CHAIRS}/types/membership"
    keys: JsonObject = {"keys": [{**jwk(member), "kid": "1"}]}
    listed: JsonObject = {
        "iat": int(NOON.timestamp()),
        "exp": int((NOON + DAY).timestamp()),
        "name": "Trade",
        # No types: whatever the member likes.
        "issuers": [{"url": CHAIRS, "name": "Chairs", "keys": keys}],
    }
    token = sign_jws(listed, typ=TRUST_LIST_TYP, signer=association)
    fetcher = MemoryFetcher()

    def trade(*_: object) -> Response:
        return Response(200, "application/jwt", token.encode())

    fetcher.serve("https://trade.example", trade)
    lists: list[Json] = [{"url": LIST, "jwk": jwk(association), "presets": {"member": [vct]}}]
    found = trust(tmp_path, fetcher, trust_lists=lists)

    assert found.key_for(asked(CHAIRS, vct, kid="1"), now=NOON) == member.public
    assert codes(lambda: found.key_for(asked(CHAIRS, kid="1"), now=NOON)) == ["issuer-not-trusted"]


JWK = jwk(MemorySigner.generate())
WRONG: list[dict[str, Any]] = [
    {"keys": []},
    {"keys": {CHAIRS: [{"jwk": JWK}]}},
    {"keys": {ISSUER: []}},
    {"keys": {ISSUER: [{"jwk": {}}]}},
    {"keys": {ISSUER: [{"key": JWK}]}},
    {"keys": {ISSUER: [{"jwk": JWK, "not_after": "tomorrow"}]}},
    {"keys": {ISSUER: [{"jwk": JWK, "not_after": "2027-01-01T00:00:00"}]}},
    {"keys": {ISSUER: [{"jwk": JWK}]}, "anchors": {ISSUER: "a.pem"}},
    {"anchors": {CHAIRS: "a.pem"}},
    {"anchors": {ISSUER: "../a.pem"}},
    {"anchors": {ISSUER: 1}},
    {"trust_lists": {}},
    {"trust_lists": []},
    {"trust_lists": [{"url": "http://trade.example", "jwk": JWK, "presets": {}}]},
    {"trust_lists": [{"url": LIST, "presets": {}}]},
    {"trust_lists": [{"url": LIST, "jwk": JWK, "presets": {"member": "x"}}]},
    {"trusts": []},
]


@pytest.mark.parametrize("settings", WRONG, ids=str)
def test_wrong_settings_are_named(settings: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(Malformed) as malformed:
        trust(tmp_path, **settings)

    assert malformed.value.where.startswith("shop.json")


@pytest.mark.parametrize("data", [None, b"", b"no pem"])
def test_a_file_that_holds_no_anchors_is_named(data: bytes | None, tmp_path: Path) -> None:
    if data is not None:
        (tmp_path / "a.pem").write_bytes(data)

    with pytest.raises(Malformed):
        trust(tmp_path, anchors={ISSUER: "a.pem"})
