"""Client attestation: who vouches for a wallet, and whether it holds its key."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from counterfoil_credentials.client_attestation import (
    ClientAttestation,
    ClientAttestationPop,
    check_client_attestation,
    check_client_attestation_pop,
    make_client_attestation,
    make_client_attestation_pop,
)
from counterfoil_credentials.dpop import check_dpop, make_dpop
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.keys import Algorithm, Curve, MemorySigner

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
SECONDS = int(NOON.timestamp())
SERVER = "https://audio.example"
CLIENT = "https://wallet.example/app"
ATTESTER = MemorySigner.from_private_bytes(b"\x01" * 32)
STRANGER = MemorySigner.from_private_bytes(b"\x02" * 32)
INSTANCE = MemorySigner.from_private_bytes(b"\x03" * 32)
TRUSTED = frozenset({ATTESTER.public})
ATTESTATION_TYP = "oauth-client-attestation+jwt"
POP_TYP = "oauth-client-attestation-pop+jwt"


def body(**changes: Json) -> JsonObject:
    return {
        "sub": CLIENT,
        "iat": SECONDS,
        "exp": SECONDS + 3600,
        "cnf": {"jwk": INSTANCE.public.jwk()},
        **changes,
    }


def pop_body(**changes: Json) -> JsonObject:
    return {"aud": SERVER, "jti": "a-jti", "iat": SECONDS, **changes}


def without(full: JsonObject, name: str) -> JsonObject:
    return {key: value for key, value in full.items() if key != name}


def attestation(claims: JsonObject, signer: MemorySigner = ATTESTER) -> str:
    return sign_jws(claims, typ=ATTESTATION_TYP, signer=signer)


def pop(claims: JsonObject, signer: MemorySigner = INSTANCE) -> str:
    return sign_jws(claims, typ=POP_TYP, signer=signer)


def attested(token: str, max_age: timedelta | None = None) -> ClientAttestation:
    return check_client_attestation(token, attesters=TRUSTED, now=NOON, max_age=max_age)


def proved(token: str, now: datetime = NOON) -> ClientAttestationPop:
    return check_client_attestation_pop(
        token,
        attested(attestation(body())),
        audience=SERVER,
        now=now,
        max_age=timedelta(minutes=5),
    )


def refused(check: Callable[[], object]) -> list[str]:
    with pytest.raises(Refused) as refusal:
        check()
    return refusal.value.codes


class TestAttestation:
    def test_what_an_attester_makes_names_the_client_and_its_key(self) -> None:
        token = make_client_attestation(
            ATTESTER,
            client_id=CLIENT,
            instance_key=INSTANCE.public,
            now=NOON,
            lasts=timedelta(hours=1),
            wallet_name="Pocket",
        )

        assert attested(token) == ClientAttestation(
            client_id=CLIENT,
            instance_key=INSTANCE.public,
            attester=ATTESTER.public,
            ends_at=NOON + timedelta(hours=1),
            wallet_name="Pocket",
        )

    def test_members_of_the_seventh_draft_and_unknown_ones_are_let_be(self) -> None:
        token = attestation(body(iss="https://attester.example", nbf=SECONDS, other=[1]))

        assert attested(token).client_id == CLIENT

    def test_another_attester_is_refused_however_the_header_praises_it(self) -> None:
        for header in (
            {"kid": ATTESTER.public.thumbprint()},
            {"jwk": STRANGER.public.jwk()},
            {},
        ):
            token = sign_jws(body(), typ=ATTESTATION_TYP, signer=STRANGER, header=header)

            assert refused(partial(attested, token)) == ["attester-not-trusted"]

    def test_a_wallet_cannot_vouch_for_itself(self) -> None:
        assert refused(lambda: attested(attestation(body(), INSTANCE))) == ["attester-not-trusted"]

    def test_each_of_several_attesters_is_believed(self) -> None:
        both = [ATTESTER.public, STRANGER.public]

        for signer in (ATTESTER, STRANGER):
            seen = check_client_attestation(attestation(body(), signer), attesters=both, now=NOON)
            assert seen.attester == signer.public

    def test_to_believe_nobody_is_a_mistake_of_the_program(self) -> None:
        with pytest.raises(Misuse, match="at least one attester"):
            check_client_attestation(attestation(body()), attesters=(), now=NOON)

    @pytest.mark.parametrize("typ", ["jwt", POP_TYP, "client-attestation+jwt"])
    def test_a_token_of_another_type_is_refused(self, typ: str) -> None:
        token = sign_jws(body(), typ=typ, signer=ATTESTER)

        assert refused(lambda: attested(token)) == ["token-type-mismatch"]

    def test_an_algorithm_outside_the_list_is_refused_even_of_a_trusted_key(self) -> None:
        signer = MemorySigner.from_private_bytes(b"\x01" * 32, Curve.ED25519)
        token = attestation(body(), signer)
        trusted = [signer.public, ATTESTER.public]

        assert refused(lambda: check_client_attestation(token, attesters=trusted, now=NOON)) == [
            "algorithm-not-allowed"
        ]
        seen = check_client_attestation(
            token, attesters=trusted, now=NOON, algorithms=frozenset({Algorithm.ED25519})
        )
        assert seen.attester == signer.public

    @pytest.mark.parametrize("name", ["sub", "exp", "cnf"])
    def test_each_required_claim_must_be_there(self, name: str) -> None:
        with pytest.raises(Malformed, match=f"client_attestation.{name}"):
            attested(attestation(without(body(), name)))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("sub", ""),
            ("sub", "x" * 257),
            ("sub", 7),
            ("exp", "tomorrow"),
            ("exp", 10**30),
            ("iat", "now"),
            ("cnf", {}),
            ("cnf", {"jkt": "x"}),
            ("cnf", {"kid": "1"}),
            ("wallet_name", 1),
        ],
    )
    def test_a_claim_of_another_kind_is_malformed(self, name: str, value: Json) -> None:
        with pytest.raises(Malformed, match=f"client_attestation.{name}"):
            attested(attestation(body(**{name: value})))

    def test_a_private_key_of_the_wallet_is_malformed(self) -> None:
        jwk: JsonObject = {**INSTANCE.public.jwk(), "d": "AwMD"}

        with pytest.raises(Malformed, match="a public key"):
            attested(attestation(body(cnf={"jwk": jwk})))

    def test_its_last_second_is_the_one_before_exp(self) -> None:
        assert attested(attestation(body(exp=SECONDS + 1))).client_id == CLIENT
        for exp in (SECONDS, SECONDS - 600):
            token = attestation(body(exp=exp))
            assert refused(partial(attested, token)) == ["attestation-expired"]

    @pytest.mark.parametrize("name", ["iat", "nbf"])
    def test_one_from_the_future_is_refused(self, name: str) -> None:
        assert attested(attestation(body(**{name: SECONDS + 60}))).client_id == CLIENT
        assert refused(lambda: attested(attestation(body(**{name: SECONDS + 61})))) == [
            "attestation-from-the-future"
        ]

    def test_how_fresh_it_must_be_is_policy(self) -> None:
        hour = timedelta(hours=1)

        assert attested(attestation(body(iat=SECONDS - 3600)), hour).client_id == CLIENT
        assert attested(attestation(body(iat=SECONDS - 3601))).client_id == CLIENT
        for claims in (body(iat=SECONDS - 3601), without(body(), "iat")):
            token = attestation(claims)
            assert refused(partial(attested, token, hour)) == ["attestation-not-fresh"]


class TestProofOfPossession:
    def test_what_a_wallet_makes_is_accepted_with_its_challenge(self) -> None:
        token = make_client_attestation_pop(
            INSTANCE, client_id=CLIENT, audience=SERVER, jti="a-jti", now=NOON, challenge="c"
        )

        seen = proved(token)

        assert (seen.jti, seen.challenge) == ("a-jti", "c")
        assert seen.ends_at == NOON + timedelta(seconds=301)

    def test_the_tenth_draft_names_no_issuer(self) -> None:
        assert proved(pop(pop_body())).challenge is None

    def test_a_named_issuer_must_be_the_client(self) -> None:
        assert proved(pop(pop_body(iss=CLIENT))).jti == "a-jti"
        assert refused(lambda: proved(pop(pop_body(iss="another")))) == ["client-id-mismatch"]

    @pytest.mark.parametrize("signer", [ATTESTER, STRANGER])
    def test_only_the_attested_key_signs_it(self, signer: MemorySigner) -> None:
        assert refused(lambda: proved(pop(pop_body(), signer))) == ["signature-invalid"]

    @pytest.mark.parametrize("typ", ["jwt", ATTESTATION_TYP, "dpop+jwt"])
    def test_a_token_of_another_type_is_refused(self, typ: str) -> None:
        token = sign_jws(pop_body(), typ=typ, signer=INSTANCE)

        assert refused(lambda: proved(token)) == ["token-type-mismatch"]

    @pytest.mark.parametrize("name", ["aud", "jti", "iat"])
    def test_each_required_claim_must_be_there(self, name: str) -> None:
        with pytest.raises(Malformed, match=f"client_attestation_pop.{name}"):
            proved(pop(without(pop_body(), name)))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("jti", ""),
            ("jti", "x" * 257),
            ("challenge", 7),
            ("challenge", "x" * 513),
            ("aud", [SERVER]),
            ("aud", [SERVER, "https://evil.example"]),
            ("iat", 1.5),
        ],
    )
    def test_a_claim_of_another_kind_is_malformed(self, name: str, value: Json) -> None:
        with pytest.raises(Malformed, match=f"client_attestation_pop.{name}"):
            proved(pop(pop_body(**{name: value})))

    @pytest.mark.parametrize(
        "aud",
        [
            f"{SERVER}/",
            f"{SERVER}/token",
            "http://audio.example",
            "https://audio.example.evil.example",
            "",
        ],
    )
    def test_a_proof_for_another_server_is_refused(self, aud: str) -> None:
        assert refused(lambda: proved(pop(pop_body(aud=aud)))) == ["audience-mismatch"]

    @pytest.mark.parametrize(
        ("late", "code"), [(-61, "proof-from-the-future"), (301, "proof-too-old")]
    )
    def test_a_proof_of_another_time_is_refused(self, late: int, code: str) -> None:
        near = NOON + timedelta(seconds=-60 if late < 0 else 300)
        token = pop(pop_body())

        assert proved(token, now=near).jti == "a-jti"
        assert refused(lambda: proved(token, now=NOON + timedelta(seconds=late))) == [code]


class TestCombinedWithDpop:
    @pytest.mark.parametrize(("signer", "is_same"), [(INSTANCE, True), (STRANGER, False)])
    def test_a_proof_by_the_attested_key_serves_both_purposes(
        self, signer: MemorySigner, *, is_same: bool
    ) -> None:
        token = make_dpop(signer, method="POST", url=f"{SERVER}/token", jti="a-jti", now=NOON)
        proof = check_dpop(
            token, method="POST", url=f"{SERVER}/token", now=NOON, max_age=timedelta(minutes=5)
        )

        assert attested(attestation(body())).is_proved_by(proof) is is_same
