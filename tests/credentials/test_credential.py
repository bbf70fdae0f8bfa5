"""A credential from issue to presentation, and each neighbour that must be refused."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from counterfoil_credentials import (
    MemorySigner,
    StatusReference,
    bind,
    check_key_binding,
    disclose,
    issue_credential,
    read_credential,
    time_reasons,
)
from counterfoil_credentials.encoding import Json, JsonObject, b64url, canonical_json, compact_json
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_credentials.jws import read_jws, sign_jws
from counterfoil_credentials.keys import Algorithm, Curve
from counterfoil_credentials.sdjwt import SdJwt, digest

SHOP = "decentralized_identifier:did:jwk:shop"
ISSUER = MemorySigner.from_private_bytes(b"\x01" * 32)
HOLDER = MemorySigner.from_private_bytes(b"\x02" * 32)
STRANGER = MemorySigner.from_private_bytes(b"\x03" * 32)
MINUTE = timedelta(minutes=1)
YEAR = timedelta(days=365)

Random = Callable[[int], bytes]


@pytest.fixture
def warranty(now: datetime, random_bytes: Random) -> SdJwt:
    return issue_credential(
        {"item": {"name": "Headphones", "serial": "AU-1"}, "price": "199.00"},
        vct="https://audio.example/types/warranty",
        issuer="https://audio.example",
        signer=ISSUER,
        holder=HOLDER.public,
        issued_at=now,
        expires_at=now + YEAR,
        status=StatusReference("https://audio.example/status-lists/1", 7),
        concealed=[("item", "serial"), ("price",)],
        random=random_bytes,
    )


def issue(random: Random, now: datetime, **changes: Any) -> SdJwt:  # noqa: ANN401  # as below
    given: dict[str, Any] = {
        "claims": {},
        "vct": "v",
        "issuer": "i",
        "signer": ISSUER,
        "holder": None,
        "issued_at": now,
        "expires_at": None,
        "status": None,
        "concealed": [],
        "random": random,
    }
    return issue_credential(**{**given, **changes})


def presented(
    sd_jwt: SdJwt, now: datetime, *, signer: MemorySigner = HOLDER, nonce: str = "n-1"
) -> SdJwt:
    return SdJwt.parse(bind(sd_jwt, signer=signer, audience=SHOP, nonce=nonce, now=now))


def check(presentation: SdJwt, now: datetime, **changes: Any) -> None:  # noqa: ANN401  # one changed demand of any kind
    demands: dict[str, Any] = {
        "holder_key": HOLDER.public,
        "audience": SHOP,
        "nonce": "n-1",
        "now": now,
        "max_age": 5 * MINUTE,
    }
    check_key_binding(presentation, **{**demands, **changes})


def test_a_presentation_verifies_with_just_what_was_shown(warranty: SdJwt, now: datetime) -> None:
    shown = disclose(warranty, [("item", "serial")])
    presentation = presented(shown, now)

    verified = read_credential(presentation).verify(ISSUER.public)

    assert verified.claims["item"] == {"name": "Headphones", "serial": "AU-1"}
    assert "price" not in verified.claims
    assert verified.holder_key == HOLDER.public
    assert verified.status == StatusReference("https://audio.example/status-lists/1", 7)
    assert time_reasons(verified, now) == []
    check(presentation, now)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"nonce": "n-2"}, "nonce-mismatch"),
        ({"audience": SHOP + "x"}, "audience-mismatch"),
        ({"holder_key": STRANGER.public}, "key-binding-signature-invalid"),
        ({"transaction_data_hashes": ["h"]}, "transaction-data-mismatch"),
        ({"later": timedelta(minutes=5, seconds=1)}, "key-binding-too-old"),
        ({"later": timedelta(seconds=-61)}, "key-binding-from-the-future"),
    ],
)
def test_refuses_a_key_binding_one_thing_away(
    warranty: SdJwt, now: datetime, change: dict[str, Any], code: str
) -> None:
    presentation = presented(warranty, now)
    later = change.pop("later", timedelta(0)) if "later" in change else timedelta(0)

    with pytest.raises(Refused) as refusal:
        check(presentation, now + later, **change)

    assert refusal.value.codes == [code]


def test_gathers_every_mismatch_after_the_signature(warranty: SdJwt, now: datetime) -> None:
    presentation = presented(warranty, now)

    with pytest.raises(Refused) as refusal:
        check(presentation, now, nonce="n-2", audience="other")

    assert refusal.value.codes == ["audience-mismatch", "nonce-mismatch"]


def test_refuses_a_presentation_without_key_binding(warranty: SdJwt, now: datetime) -> None:
    with pytest.raises(Refused) as refusal:
        check(warranty, now)

    assert refusal.value.codes == ["key-binding-missing"]


def test_refuses_a_disclosure_added_after_the_binding(warranty: SdJwt, now: datetime) -> None:
    bound = presented(disclose(warranty, []), now)
    more = SdJwt(bound.issuer_jwt, warranty.disclosures, bound.key_binding)

    with pytest.raises(Refused) as refusal:
        check(more, now)

    assert refusal.value.codes == ["sd-hash-mismatch"]


def test_refuses_another_issuers_signature(warranty: SdJwt) -> None:
    with pytest.raises(Refused) as refusal:
        read_credential(warranty).verify(STRANGER.public)

    assert refusal.value.codes == ["signature-invalid"]


@pytest.mark.parametrize("typ", ["JWT", "vc+sd-jwt", "kb+jwt", "DC+SD-JWT"])
def test_refuses_a_token_of_another_type(typ: str) -> None:
    token = sign_jws({"iss": "i", "vct": "v"}, typ=typ, signer=ISSUER)

    with pytest.raises(Refused) as refusal:
        read_credential(SdJwt(token, ()))

    assert refusal.value.codes == ["token-type-mismatch"]


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES384", "es256", "EdDSA"])
def test_refuses_every_other_algorithm_before_any_cryptography(algorithm: str) -> None:
    header = b64url(compact_json({"alg": algorithm, "typ": "dc+sd-jwt"}))
    payload = b64url(compact_json({"iss": "i", "vct": "v"}))

    with pytest.raises(Refused) as refusal:
        read_credential(SdJwt(f"{header}.{payload}.AAAA", ())).verify(ISSUER.public)

    assert refusal.value.codes == ["algorithm-not-allowed"]


@pytest.mark.parametrize("name", ["iss", "nbf", "exp", "cnf", "vct", "status"])
def test_a_registered_claim_never_travels_as_a_disclosure(name: str) -> None:
    disclosure = b64url(compact_json(["salt", name, 1]))
    payload: JsonObject = {"iss": "i", "vct": "v", "_sd": [digest(disclosure)]}
    payload.pop(name, None)
    token = sign_jws(payload, typ="dc+sd-jwt", signer=ISSUER)

    with pytest.raises(Malformed, match="no disclosure of a registered claim"):
        read_credential(SdJwt(token, (disclosure,)))


@pytest.mark.parametrize("header", ["jku", "x5u", "crit"])
def test_a_header_that_changes_the_rules_is_malformed(header: str) -> None:
    changed: JsonObject = {"alg": "ES256", "typ": "dc+sd-jwt", header: ["https://evil.example"]}
    signed = f"{b64url(compact_json(changed))}.{b64url(compact_json({}))}"
    token = f"{signed}.{b64url(ISSUER.sign(signed.encode()))}"

    with pytest.raises(Malformed):
        read_credential(SdJwt(token, ()))
    with pytest.raises(Misuse):
        sign_jws({}, typ="dc+sd-jwt", signer=ISSUER, header={header: ["https://evil.example"]})


def test_ends_when_it_says_and_not_a_minute_later(warranty: SdJwt, now: datetime) -> None:
    verified = read_credential(warranty).verify(ISSUER.public)

    assert time_reasons(verified, now + YEAR + timedelta(seconds=59)) == []
    assert [r.code for r in time_reasons(verified, now + YEAR + MINUTE)] == ["expired"]


def test_a_credential_until_the_end_of_time_is_in_its_time(
    now: datetime, random_bytes: Random
) -> None:
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    forever = issue(random_bytes, now, expires_at=last)

    assert time_reasons(read_credential(forever).verify(ISSUER.public), now) == []


@pytest.mark.parametrize("name", ["iat", "iss", "vct", "cnf", "_sd", "_sd_alg", "..."])
def test_refuses_to_issue_a_claim_that_is_not_the_subject_s(
    name: str, now: datetime, random_bytes: Random
) -> None:
    with pytest.raises(Misuse):
        issue(random_bytes, now, claims={name: 1})


@pytest.mark.parametrize("path", [("iss",), ("cnf", "jwk"), ("status",), ("iat",), ()])
def test_refuses_to_conceal_what_must_be_seen(
    path: tuple[str, ...], now: datetime, random_bytes: Random
) -> None:
    with pytest.raises(Misuse):
        issue(random_bytes, now, concealed=[path])


def test_no_error_text_holds_a_claim_value(warranty: SdJwt, now: datetime) -> None:
    presentation = presented(warranty, now, nonce="secret-nonce")

    with pytest.raises(Refused) as refusal:
        check(presentation, now)

    assert "secret-nonce" not in str(refusal.value)
    assert "AU-1" not in repr(read_credential(warranty))
    assert warranty.issuer_jwt not in repr(warranty)
    assert "AU-1" not in repr(read_credential(warranty).verify(ISSUER.public))


@pytest.mark.parametrize("curve", Curve)
def test_each_algorithm_is_accepted_only_where_the_role_lists_it(
    curve: Curve, random_bytes: Random, now: datetime
) -> None:
    signer, holder = MemorySigner.generate(curve), MemorySigner.generate(curve)
    allowed = frozenset({signer.public.algorithm})
    issued = issue(random_bytes, now, signer=signer, holder=holder.public)
    presentation = presented(issued, now, signer=holder)

    verified = read_credential(presentation).verify(signer.public, algorithms=allowed)

    assert verified.holder_key == holder.public
    check(presentation, now, holder_key=holder.public, algorithms=allowed)
    for others in (frozenset(Algorithm) - allowed, frozenset[Algorithm]()):
        with pytest.raises(Refused) as refusal:
            read_credential(presentation).verify(signer.public, algorithms=others)
        assert refusal.value.codes == ["algorithm-not-allowed"]
        with pytest.raises(Refused) as refusal:
            check(presentation, now, holder_key=holder.public, algorithms=others)
        assert refusal.value.codes == ["key-binding-signature-invalid"]


@pytest.mark.parametrize("spelling", [Algorithm.ED25519, Algorithm.EDDSA])
def test_both_spellings_of_ed25519_verify_when_listed(spelling: Algorithm) -> None:
    signer = MemorySigner.generate(Curve.ED25519)
    header: JsonObject = {"alg": spelling, "typ": "t"}
    head, payload = b64url(compact_json(header)), b64url(compact_json({}))
    signature = b64url(signer.sign(f"{head}.{payload}".encode()))
    token = read_jws(f"{head}.{payload}.{signature}", typ="t", where="token")

    assert token.verify(signer.public, frozenset({spelling})) == {}
    with pytest.raises(Refused):
        token.verify(signer.public, frozenset(Algorithm) - {spelling})
    with pytest.raises(Refused):
        token.verify(ISSUER.public, frozenset(Algorithm))


def test_a_credential_is_of_its_type_and_of_those_it_is_also_known_as(
    random_bytes: Random, now: datetime
) -> None:
    issued = issue(random_bytes, now, aka_vcts=["w", "x"], not_before=now, vct_integrity="sha256-A")

    verified = read_credential(issued).verify(ISSUER.public)

    assert verified.types == ("v", "w", "x")
    assert verified.not_before == now
    assert verified.claims["vct#integrity"] == "sha256-A"
    with pytest.raises(Malformed):
        issue(random_bytes, now, aka_vcts=["w", "v"])


@pytest.mark.parametrize("types", [[], ["v"], "w", [1], None], ids=str)
def test_other_types_that_say_nothing_are_malformed(types: Json) -> None:
    token = sign_jws({"iss": "i", "vct": "v", "aka_vcts": types}, typ="dc+sd-jwt", signer=ISSUER)

    with pytest.raises(Malformed):
        read_credential(SdJwt(token, ()))


def test_an_issuer_that_only_a_certificate_names_is_given_by_the_caller() -> None:
    token = sign_jws({"vct": "v"}, typ="dc+sd-jwt", signer=ISSUER, header={"x5c": ["AAAA"]})
    unverified = read_credential(SdJwt(token, ()))

    assert unverified.header["x5c"] == ["AAAA"]
    assert unverified.verify(ISSUER.public, issuer="CN=Auricle").issuer == "CN=Auricle"
    with pytest.raises(Malformed):
        unverified.verify(ISSUER.public)


def test_the_keys_issuer_must_be_the_one_that_was_signed(
    random_bytes: Random, now: datetime
) -> None:
    unverified = read_credential(issue(random_bytes, now))

    assert unverified.verify(ISSUER.public, issuer="i").issuer == "i"
    with pytest.raises(Refused) as refusal:
        unverified.verify(ISSUER.public, issuer="other")
    assert refusal.value.codes == ["issuer-mismatch"]


def test_what_a_caller_does_to_the_parsed_claims_does_not_become_the_issuers_word(
    random_bytes: Random, now: datetime
) -> None:
    unverified = read_credential(issue(random_bytes, now))
    unverified.revealed.claims["iss"] = "another"
    del unverified.revealed.claims["iat"]

    verified = unverified.verify(ISSUER.public)

    assert verified.issuer == "i"
    assert verified.issued_at == now


@pytest.mark.parametrize(
    "change",
    [
        {"concealed": ["email"]},
        {"concealed": [["email"]]},
        {"concealed": [()]},
        {"claims": {"email": ["a"]}, "concealed": [("email", "first")]},
        {"claims": {"email": {"a": 1}}, "concealed": [("email", None)]},
        {"claims": {"list": [*range(1_001)]}, "concealed": [("list", None)]},
        {"aka_vcts": "urn:x"},
        {"header": {"alg": "none"}},
        {"header": {"typ": "JWT"}},
        {"issued_at": datetime(2026, 1, 1)},  # noqa: DTZ001  # the very mistake
    ],
    ids=str,
)
def test_an_issuers_mistake_is_named_and_nothing_goes_out(
    random_bytes: Random, now: datetime, change: dict[str, Any]
) -> None:
    with pytest.raises(Misuse):
        issue(random_bytes, now, **{"claims": {"email": "lin@example.com"}, **change})


def test_too_little_randomness_salts_nothing(now: datetime) -> None:
    with pytest.raises(Misuse):
        issue(lambda _: b"", now, claims={"email": "lin@example.com"}, concealed=[("email",)])


def test_claims_too_deep_for_our_own_reader_are_not_signed(
    random_bytes: Random, now: datetime
) -> None:
    def nested(levels: int) -> JsonObject:
        value: Json = "end"
        for _ in range(levels):
            value = {"in": value}
        return {"in": value}

    read_credential(issue(random_bytes, now, claims=nested(30)))
    for levels in (32, 3_000):
        with pytest.raises(Misuse):
            issue(random_bytes, now, claims=nested(levels))
    for write in (compact_json, canonical_json):
        assert write(nested(100)) == compact_json(nested(100))
        with pytest.raises(Misuse, match="at most 200 levels"):
            write(nested(100_000))


@pytest.mark.parametrize("change", [{"vct": ""}, {"iss": ""}, {"aka_vcts": ["w", ""]}], ids=str)
def test_an_empty_name_is_malformed(change: JsonObject) -> None:
    token = sign_jws({"iss": "i", "vct": "v", **change}, typ="dc+sd-jwt", signer=ISSUER)

    with pytest.raises(Malformed):
        read_credential(SdJwt(token, ()))


def test_an_integrity_that_is_no_text_is_malformed_once_the_signature_holds() -> None:
    claims: JsonObject = {"iss": "i", "vct": "v", "vct#integrity": 5}
    token = sign_jws(claims, typ="dc+sd-jwt", signer=ISSUER)

    with pytest.raises(Malformed):
        read_credential(SdJwt(token, ())).verify(ISSUER.public)


@pytest.mark.parametrize("change", [{"nonce": ""}, {"audience": ""}], ids=str)
def test_a_verifier_that_expects_nothing_is_mistaken(
    warranty: SdJwt, now: datetime, change: dict[str, Any]
) -> None:
    with pytest.raises(Misuse):
        check(presented(warranty, now), now, **change)


def test_the_type_of_old_drafts_is_refused_unless_it_is_the_only_one_asked_for() -> None:
    old = SdJwt(sign_jws({"iss": "i", "vct": "v"}, typ="vc+sd-jwt", signer=ISSUER), ())
    new = SdJwt(sign_jws({"iss": "i", "vct": "v"}, typ="dc+sd-jwt", signer=ISSUER), ())

    assert read_credential(old, accept_only_the_typ_of_old_drafts=True).unverified_vct == "v"
    for sd_jwt, old_ones in ((old, False), (new, True)):
        with pytest.raises(Refused) as refusal:
            read_credential(sd_jwt, accept_only_the_typ_of_old_drafts=old_ones)
        assert refusal.value.codes == ["token-type-mismatch"]


@pytest.mark.parametrize(
    ("claim", "seconds", "code"),
    [
        ("exp", 0, None),
        ("exp", -60, "key-binding-too-old"),
        ("nbf", 60, None),
        ("nbf", 61, "key-binding-from-the-future"),
    ],
)
def test_a_key_binding_is_held_to_the_time_that_it_names_itself(
    warranty: SdJwt, now: datetime, claim: str, seconds: int, code: str | None
) -> None:
    bound = presented(warranty, now)
    assert bound.key_binding is not None
    claims = read_jws(bound.key_binding, typ="kb+jwt", where="kb").unverified_claims
    timed = {**claims, claim: int(now.timestamp()) + seconds}
    presentation = SdJwt(
        bound.issuer_jwt, bound.disclosures, sign_jws(timed, typ="kb+jwt", signer=HOLDER)
    )

    if code is None:
        check(presentation, now)
        return
    with pytest.raises(Refused) as refusal:
        check(presentation, now)
    assert refusal.value.codes == [code]


def test_a_header_that_its_reader_changes_stays_as_it_was_for_the_next(now: datetime) -> None:
    token = sign_jws({}, typ="t", signer=ISSUER, header={"jwk": HOLDER.public.jwk()})
    read_jws(token, typ="t", where="token").header["jwk"]["x"] = "changed"  # type: ignore[call-overload,index]  # what a careless caller may do

    assert read_jws(token, typ="t", where="token").header["jwk"] == HOLDER.public.jwk()
