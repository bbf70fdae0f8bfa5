"""Who sends a request: what is demanded is policy, and never follows from what comes along."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from counterfoil_credentials.client_attestation import (
    make_client_attestation,
    make_client_attestation_pop,
)
from counterfoil_credentials.dpop import make_dpop
from counterfoil_credentials.errors import Misuse, Refused
from counterfoil_credentials.keys import MemorySigner
from counterfoil_issuer.clients import ClientPolicy, Demand, Sender, fresh_nonces, identify
from counterfoil_issuer.nonces import NonceUse, make_nonce

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
ISSUER = "https://audio.example/brands/1"
URL = f"{ISSUER}/token"
CLIENT = "https://wallet.example/app"
KEY = b"k" * 32
ATTESTER = MemorySigner.from_private_bytes(b"\x01" * 32)
STRANGER = MemorySigner.from_private_bytes(b"\x02" * 32)
INSTANCE = MemorySigner.from_private_bytes(b"\x03" * 32)
HOLDER = MemorySigner.from_private_bytes(b"\x04" * 32)
PUBLIC = ClientPolicy()
ATTESTED = ClientPolicy(attestation=Demand.REQUIRED, attesters=frozenset({ATTESTER.public}))

RandomBytes = Callable[[int], bytes]
Headers = dict[str, str | list[str]]


@pytest.fixture
def challenge(random_bytes: RandomBytes) -> str:
    return make_nonce(KEY, NonceUse.ATTESTATION, now=NOON, random=random_bytes)


def attestation(signer: MemorySigner = ATTESTER, *, lasts: int = 3600, client: str = CLIENT) -> str:
    return make_client_attestation(
        signer,
        client_id=client,
        instance_key=INSTANCE.public,
        now=NOON,
        lasts=timedelta(seconds=lasts),
    )


def pop(
    challenge: str | None,
    signer: MemorySigner = INSTANCE,
    *,
    audience: str = ISSUER,
    now: datetime = NOON,
) -> str:
    return make_client_attestation_pop(
        signer, client_id=CLIENT, audience=audience, jti="a-jti", now=now, challenge=challenge
    )


def dpop(
    signer: MemorySigner = HOLDER,
    *,
    nonce: str | None = None,
    url: str = URL,
    now: datetime = NOON,
) -> str:
    return make_dpop(signer, method="POST", url=url, jti="a-jti", now=now, nonce=nonce)


def both(challenge: str | None) -> Headers:
    return {
        "OAuth-Client-Attestation": attestation(),
        "OAuth-Client-Attestation-PoP": pop(challenge),
    }


def identified(
    headers: Mapping[str, str | list[str]],
    policy: ClientPolicy,
    *,
    client_id: str | None = CLIENT,
    now: datetime = NOON,
) -> Sender:
    def values(name: str) -> Sequence[str]:
        found = headers.get(name, [])
        return [found] if isinstance(found, str) else found

    return identify(values, client_id, url=URL, policy=policy, issuer=ISSUER, key=KEY, now=now)


def refused(
    headers: Mapping[str, str | list[str]],
    policy: ClientPolicy,
    *,
    client_id: str | None = CLIENT,
    now: datetime = NOON,
) -> list[str]:
    with pytest.raises(Refused) as refusal:
        identified(headers, policy, client_id=client_id, now=now)
    return refusal.value.codes


class TestPublicWallet:
    def test_it_is_who_it_says_and_has_proved_nothing(self) -> None:
        assert identified({}, PUBLIC) == Sender(client_id=CLIENT)
        assert identified({}, PUBLIC, client_id=None) == Sender()

    def test_a_proof_binds_what_it_is_given_and_is_remembered_until_it_is_too_old(self) -> None:
        sender = identified({"DPoP": dpop()}, PUBLIC)

        assert sender.dpop_jkt == HOLDER.public.thumbprint()
        assert [ends_at for _, ends_at in sender.once] == [NOON + timedelta(seconds=301)]

    def test_two_proofs_by_two_keys_are_remembered_apart(self) -> None:
        ours = identified({"DPoP": dpop()}, PUBLIC)
        theirs = identified({"DPoP": dpop(STRANGER)}, PUBLIC)

        assert ours.once[0][0] != theirs.once[0][0]

    @pytest.mark.parametrize("url", [f"{ISSUER}/par", "https://audio.example/token", ISSUER])
    def test_a_proof_for_another_endpoint_is_refused(self, url: str) -> None:
        assert refused({"DPoP": dpop(url=url)}, PUBLIC) == ["invalid_dpop_proof"]

    def test_an_old_proof_and_no_proof_at_all_are_refused_as_such(self) -> None:
        old = dpop(now=NOON - timedelta(seconds=301))

        assert refused({"DPoP": old}, PUBLIC) == ["invalid_dpop_proof"]
        assert refused({"DPoP": "no.such.token"}, PUBLIC) == ["invalid_dpop_proof"]
        assert refused({"DPoP": ""}, PUBLIC) == ["invalid_dpop_proof"]

    def test_two_proofs_are_refused_whichever_is_good(self) -> None:
        assert refused({"DPoP": [dpop(), dpop()]}, PUBLIC) == ["invalid_dpop_proof"]

    def test_where_a_proof_must_come_its_absence_is_refused(self) -> None:
        policy = replace(PUBLIC, dpop=Demand.REQUIRED)

        assert refused({}, policy) == ["invalid_dpop_proof"]
        assert identified({"DPoP": dpop()}, policy).dpop_jkt == HOLDER.public.thumbprint()

    def test_where_proofs_are_off_one_that_comes_binds_nothing(self) -> None:
        policy = replace(PUBLIC, dpop=Demand.OFF)

        assert identified({"DPoP": "anything"}, policy) == Sender(client_id=CLIENT)

    def test_a_nonce_that_must_come_is_asked_for_once(self, random_bytes: RandomBytes) -> None:
        policy = replace(PUBLIC, dpop_nonce=Demand.REQUIRED)
        nonce = fresh_nonces(policy, key=KEY, now=NOON, random=random_bytes)["DPoP-Nonce"]

        assert refused({"DPoP": dpop()}, policy) == ["use_dpop_nonce"]
        assert identified({"DPoP": dpop(nonce=nonce)}, policy).dpop_jkt is not None

    def test_a_nonce_that_comes_is_checked_where_it_need_not_come(
        self, random_bytes: RandomBytes, challenge: str
    ) -> None:
        nonce = make_nonce(KEY, NonceUse.DPOP, now=NOON, random=random_bytes)
        stale = make_nonce(KEY, NonceUse.DPOP, now=NOON - timedelta(minutes=5), random=random_bytes)
        foreign = make_nonce(b"x" * 32, NonceUse.DPOP, now=NOON, random=random_bytes)

        assert identified({"DPoP": dpop(nonce=nonce)}, PUBLIC).dpop_jkt is not None
        for other in (stale, foreign, challenge, "", "x"):
            assert refused({"DPoP": dpop(nonce=other)}, PUBLIC) == ["use_dpop_nonce"]

    def test_an_attestation_that_nobody_asked_for_changes_nothing(self, challenge: str) -> None:
        assert identified(both(challenge), PUBLIC) == Sender(client_id=CLIENT)


class TestAttestedWallet:
    def test_it_is_known_by_its_attester_and_its_key(self, challenge: str) -> None:
        sender = identified(both(challenge), ATTESTED)

        assert sender.client_id == CLIENT
        assert sender.instance_jkt == INSTANCE.public.thumbprint()
        assert sender.dpop_jkt is None
        assert len(sender.once) == 1

    def test_it_need_not_name_itself_but_may_not_name_another(self, challenge: str) -> None:
        assert identified(both(challenge), ATTESTED, client_id=None).client_id == CLIENT
        assert refused(both(challenge), ATTESTED, client_id="another") == ["invalid_client"]

    def test_no_attestation_is_no_client(self, challenge: str) -> None:
        assert refused({}, ATTESTED) == ["invalid_client"]
        assert refused({"OAuth-Client-Attestation-PoP": pop(challenge)}, ATTESTED) == [
            "invalid_client"
        ]

    @pytest.mark.parametrize("policy", [ATTESTED, replace(ATTESTED, attestation=Demand.OPTIONAL)])
    def test_an_attestation_without_its_proof_is_refused(self, policy: ClientPolicy) -> None:
        assert refused({"OAuth-Client-Attestation": attestation()}, policy) == [
            "invalid_client_attestation"
        ]

    def test_where_it_may_come_a_wallet_without_one_is_public(self, challenge: str) -> None:
        policy = replace(ATTESTED, attestation=Demand.OPTIONAL)

        assert identified({}, policy) == Sender(client_id=CLIENT)
        assert identified(both(challenge), policy).attested is not None
        assert refused({"OAuth-Client-Attestation-PoP": pop(challenge)}, policy) == [
            "invalid_client_attestation"
        ]

    @pytest.mark.parametrize("demand", [Demand.OPTIONAL, Demand.REQUIRED])
    @pytest.mark.parametrize(
        "token",
        [
            pytest.param(attestation(STRANGER), id="invalid-client-attestation-signature"),
            pytest.param(attestation(lasts=-600), id="client-attestation-exp-in-past"),
            pytest.param(attestation(client=""), id="client-attestation-no-sub"),
            pytest.param("a.b.c", id="no token"),
            pytest.param("", id="nothing"),
        ],
    )
    def test_a_bad_attestation_is_refused_even_where_none_need_come(
        self, token: str, demand: Demand, challenge: str
    ) -> None:
        headers = both(challenge) | {"OAuth-Client-Attestation": token}

        assert refused(headers, replace(ATTESTED, attestation=demand)) == [
            "invalid_client_attestation"
        ]

    @pytest.mark.parametrize("signer", [ATTESTER, STRANGER, HOLDER])
    def test_fail_mismatched_client_attestation_pop_key(
        self, signer: MemorySigner, challenge: str
    ) -> None:
        headers = both(challenge) | {"OAuth-Client-Attestation-PoP": pop(challenge, signer)}

        assert refused(headers, ATTESTED) == ["invalid_client_attestation"]

    @pytest.mark.parametrize("audience", ["https://audio.example", URL, f"{ISSUER}/"])
    def test_fail_client_attestation_pop_wrong_aud(self, audience: str, challenge: str) -> None:
        proof = pop(challenge, audience=audience)
        headers = both(challenge) | {"OAuth-Client-Attestation-PoP": proof}

        assert refused(headers, ATTESTED) == ["invalid_client_attestation"]

    @pytest.mark.parametrize("name", ["OAuth-Client-Attestation", "OAuth-Client-Attestation-PoP"])
    def test_each_header_comes_once(self, name: str, challenge: str) -> None:
        headers = both(challenge)
        twice = headers | {name: [str(headers[name])] * 2}

        assert refused(twice, ATTESTED) == ["invalid_client_attestation"]

    def test_a_challenge_is_asked_for_and_must_be_ours_and_young(
        self, challenge: str, random_bytes: RandomBytes
    ) -> None:
        fresh = fresh_nonces(ATTESTED, key=KEY, now=NOON, random=random_bytes)
        of_dpop = fresh["DPoP-Nonce"]

        assert identified(both(fresh["OAuth-Client-Attestation-Challenge"]), ATTESTED).attested
        for other in (None, "", "x", of_dpop):
            assert refused(both(other), ATTESTED) == ["use_attestation_challenge"]
        late = NOON + timedelta(minutes=5)
        headers = both(challenge) | {"OAuth-Client-Attestation-PoP": pop(challenge, now=late)}
        assert refused(headers, ATTESTED, now=late) == ["use_attestation_challenge"]

    def test_a_challenge_that_comes_is_checked_where_it_need_not_come(self, challenge: str) -> None:
        policy = replace(ATTESTED, challenge=Demand.OPTIONAL)

        assert identified(both(None), policy).attested is not None
        assert identified(both(challenge), policy).attested is not None
        assert refused(both("x"), policy) == ["use_attestation_challenge"]

    def test_a_stale_attestation_is_told_apart_from_a_bad_one(self, challenge: str) -> None:
        policy = replace(ATTESTED, attestation_max_age=timedelta(minutes=10))
        late = NOON + timedelta(minutes=10, seconds=1)

        assert identified(both(challenge), policy).attested is not None
        assert refused(both(challenge), policy, now=late) == ["use_fresh_attestation"]

    def test_a_dpop_proof_beside_the_proof_of_possession_may_be_by_another_key(
        self, challenge: str
    ) -> None:
        sender = identified(both(challenge) | {"DPoP": dpop()}, ATTESTED)

        assert sender.dpop_jkt == HOLDER.public.thumbprint()
        assert sender.instance_jkt == INSTANCE.public.thumbprint()
        assert len(sender.once) == 2


class TestCombinedMode:
    """One DPoP proof by the attested key stands for both (draft 10, section 5.2)."""

    def headers(self, signer: MemorySigner, nonce: str | None) -> Headers:
        return {"OAuth-Client-Attestation": attestation(), "DPoP": dpop(signer, nonce=nonce)}

    def test_its_nonce_is_a_challenge_or_a_dpop_nonce(
        self, challenge: str, random_bytes: RandomBytes
    ) -> None:
        nonce = make_nonce(KEY, NonceUse.DPOP, now=NOON, random=random_bytes)

        for each in (challenge, nonce):
            sender = identified(self.headers(INSTANCE, each), ATTESTED)
            assert sender.dpop_jkt == sender.instance_jkt == INSTANCE.public.thumbprint()

    def test_it_binds_no_token_where_none_is_bound(self, challenge: str) -> None:
        sender = identified(self.headers(INSTANCE, challenge), replace(ATTESTED, dpop=Demand.OFF))

        assert sender.dpop_jkt is None
        assert sender.instance_jkt == INSTANCE.public.thumbprint()

    def test_without_a_challenge_it_is_asked_for_one(self) -> None:
        assert refused(self.headers(INSTANCE, None), ATTESTED) == ["use_attestation_challenge"]
        assert refused(self.headers(INSTANCE, "x"), ATTESTED) == ["use_attestation_challenge"]

    def test_a_proof_by_another_key_attests_nothing(self, challenge: str) -> None:
        assert refused(self.headers(HOLDER, challenge), ATTESTED) == ["invalid_client_attestation"]


def test_attestations_that_nobody_could_give_are_a_mistake_of_the_program() -> None:
    with pytest.raises(Misuse, match="attesters"):
        ClientPolicy(attestation=Demand.REQUIRED)


def test_a_nonce_that_comes_cannot_be_ignored() -> None:
    with pytest.raises(Misuse, match="optional or required"):
        ClientPolicy(challenge=Demand.OFF)
    with pytest.raises(Misuse, match="optional or required"):
        ClientPolicy(dpop_nonce=Demand.OFF)


@pytest.mark.parametrize(
    "address", ["http://wallet.example/cb", "https://wallet.example/cb#x", "javascript:x", ""]
)
def test_a_wallet_is_not_registered_where_no_browser_should_be_sent(address: str) -> None:
    with pytest.raises(Misuse, match="addresses"):
        ClientPolicy(redirect_uris={CLIENT: frozenset({"https://wallet.example/cb", address})})
