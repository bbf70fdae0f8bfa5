"""SD-JWT as JSON: the same credential, written otherwise."""

from collections.abc import Callable
from datetime import datetime

import pytest
from counterfoil_credentials import MemorySigner, bind, check_key_binding, disclose, read_credential
from counterfoil_credentials.encoding import Json, JsonObject, as_object, compact_json, list_at
from counterfoil_credentials.errors import CounterfoilError, Malformed, Misuse
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.keys import Curve
from counterfoil_credentials.sdjwt import SdJwt, unverified_payload
from counterfoil_credentials.sdjwt_json import flattened, general, parse_json_sd_jwt
from counterfoil_credentials.sdjwt_vc import issue_credential
from hypothesis import given
from hypothesis import strategies as st

Random = Callable[[int], bytes]
ISSUER = MemorySigner.from_private_bytes(b"\x01" * 32)
HOLDER = MemorySigner.from_private_bytes(b"\x02" * 32)
SECOND = MemorySigner.from_private_bytes(b"\x03" * 48, Curve.P384)


@pytest.fixture
def presentation(now: datetime, random_bytes: Random) -> SdJwt:
    issued = issue_credential(
        {"item": "Headphones", "serial": "AU-1"},
        vct="https://audio.example/types/warranty",
        issuer="https://audio.example",
        signer=ISSUER,
        holder=HOLDER.public,
        issued_at=now,
        expires_at=None,
        status=None,
        concealed=[("item",), ("serial",)],
        random=random_bytes,
    )
    shown = disclose(issued, [("serial",)])
    return SdJwt.parse(bind(shown, signer=HOLDER, audience="till", nonce="n-1", now=now))


def again(sd_jwt: SdJwt) -> SdJwt:
    """Give a second signature over the payload of `sd_jwt`, by another key."""
    payload = unverified_payload(sd_jwt)
    return SdJwt(sign_jws(payload, typ="dc+sd-jwt", signer=SECOND), sd_jwt.disclosures)


def test_flattened_json_says_what_the_compact_form_says(presentation: SdJwt, now: datetime) -> None:
    (read,) = parse_json_sd_jwt(compact_json(flattened(presentation)))

    assert read == presentation
    verified = read_credential(read).verify(ISSUER.public)
    assert verified.claims["serial"] == "AU-1"
    check_key_binding(
        read,
        holder_key=HOLDER.public,
        audience="till",
        nonce="n-1",
        now=now,
        max_age=now - now,
    )


def test_general_json_holds_one_payload_under_two_signatures(presentation: SdJwt) -> None:
    first, second = parse_json_sd_jwt(compact_json(general([presentation, again(presentation)])))

    assert first == presentation
    allowed = frozenset({SECOND.public.algorithm})
    assert read_credential(second).verify(SECOND.public, algorithms=allowed).claims["serial"]
    # The holder's binding covers the first signature alone.
    assert second.key_binding is None


def test_one_signature_may_stand_in_a_list(presentation: SdJwt) -> None:
    assert parse_json_sd_jwt(compact_json(general([presentation]))) == (presentation,)


def test_no_signature_and_two_payloads_are_our_callers_mistake(
    presentation: SdJwt, now: datetime
) -> None:
    other = SdJwt(sign_jws({"vct": "v"}, typ="dc+sd-jwt", signer=ISSUER), ())
    for sd_jwts in ([], [presentation, other]):
        with pytest.raises(Misuse):
            general(sd_jwts)


@pytest.mark.parametrize(
    "change",
    [
        {"payload": 1},
        {"payload": "a.b"},
        {"protected": None},
        {"signature": "AA~AA"},
        {"signature": "\xe9"},
        {"header": []},
        {"header": {"disclosures": "one"}},
        {"header": {"disclosures": [1]}},
        {"header": {"disclosures": ["AA~AA"]}},
        {"header": {"disclosures": ["AA"] * 1_001}},
        {"header": {"kb_jwt": 1}},
        {"header": {"kb_jwt": "a~b"}},
        {"signatures": []},
        {"header": {"crit": ["b64"]}},
        {"header": {"alg": "HS256"}},
        {"header": {"kid": "another"}},
    ],
    ids=str,
)
def test_flattened_json_one_thing_away_is_malformed(
    presentation: SdJwt, change: JsonObject
) -> None:
    with pytest.raises(Malformed):
        parse_json_sd_jwt(compact_json({**flattened(presentation), **change}))


@pytest.mark.parametrize("header", [{"disclosures": []}, {"kb_jwt": "a"}], ids=str)
def test_disclosures_stand_beside_the_first_signature_alone(
    presentation: SdJwt, header: JsonObject
) -> None:
    both = general([presentation, again(presentation)])
    as_object(list_at(both, "signatures", "both")[1], "second")["header"] = header

    with pytest.raises(Malformed):
        parse_json_sd_jwt(compact_json(both))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["payload", "protected", "signature", "signatures", "header", "kb_jwt"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=10,
)


@given(JSON)
def test_any_json_gives_an_sd_jwt_or_one_of_our_errors(value: Json) -> None:
    try:
        parse_json_sd_jwt(compact_json(value))
    except CounterfoilError as error:
        assert "sd_jwt" in str(error)  # noqa: PT017  # both outcomes are right
