"""Trust by a list that somebody signs, and several ways to trust together."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import pytest
from counterfoil_credentials.encoding import Json, compact_json
from counterfoil_credentials.errors import Misuse, Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.issuer_keys import issuer_keys_document
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.keys import MemorySigner, PublicKey
from counterfoil_credentials.trust_list import TRUST_LIST_TYP
from counterfoil_verifier import FetchedTrust, PinnedTrust, TrustedIssuer
from counterfoil_verifier.trust import Ending, KeyAsked, PinnedKey, Trust
from counterfoil_verifier.trust_kept import FRESH_FOR, RETRY_AFTER
from counterfoil_verifier.trust_listed import ListedTrust, fetched_list
from counterfoil_verifier.trust_several import AllTrust, FirstTrust

from tests.conftest import Clock
from tests.verifier.scene import DAY, ISSUER, NOON, RECEIPT_TYPE, SECOND, WARRANTY_TYPE

ASSOCIATION = MemorySigner.generate()
BRAND = MemorySigner.generate().public
LISTED_KEY = MemorySigner.generate().public
VELO = "https://velo.example"
LIST_URL = "https://association.example/list"


@dataclass
class Association:
    """Signs a list anew at every reading; the brand's keys are at the brand, Velo's on the list."""

    clock: Clock
    signer: MemorySigner = ASSOCIATION
    listed_at: datetime | None = None
    ends_at: datetime = NOON + 7 * DAY
    velo: dict[str, Json] = field(
        default_factory=lambda: {
            "url": VELO,
            "name": "Velo",
            "keys": {"keys": [{**LISTED_KEY.jwk(), "kid": "1"}]},
        }
    )
    is_reachable: bool = True
    reads: int = 0
    network: MemoryFetcher = field(default_factory=MemoryFetcher)

    def __post_init__(self) -> None:
        document = compact_json(issuer_keys_document(ISSUER, [BRAND]))
        self.network.serve(
            ISSUER, lambda _m, _p, _h, _b: Response(200, "application/json", document)
        )

    def read(self) -> str:
        self.reads += 1
        if not self.is_reachable:
            raise Unavailable("expected an answer, found nobody there")
        issuers: list[Json] = [
            {"url": ISSUER, "name": "Audio", "types": [WARRANTY_TYPE]},
            self.velo,
        ]
        return sign_jws(
            {
                "name": "Fair trade",
                "iat": int((self.listed_at or self.clock()).timestamp()),
                "exp": int(self.ends_at.timestamp()),
                "issuers": issuers,
            },
            typ=TRUST_LIST_TYP,
            signer=self.signer,
        )


@pytest.fixture
def association(clock: Clock) -> Association:
    return Association(clock)


@pytest.fixture
def trust(association: Association) -> ListedTrust:
    return ListedTrust(association.read, signed_by=ASSOCIATION.public, fetcher=association.network)


def asked(
    issuer: str | None = ISSUER, vct: str = WARRANTY_TYPE, kid: str | None = None
) -> KeyAsked:
    return KeyAsked(issuer, vct, {} if kid is None else {"kid": kid}, NOON)


def codes(ask: Callable[[], object]) -> list[str]:
    with pytest.raises(Refused) as refused:
        ask()
    return refused.value.codes


class TestAList:
    """The list says who; the keys stand on it, or the issuer publishes them."""

    def test_vouches_for_its_issuers_and_their_types(self, trust: ListedTrust) -> None:
        assert trust.key_for(asked(), now=NOON) == BRAND
        assert trust.key_for(asked(VELO, RECEIPT_TYPE, "1"), now=NOON) == LISTED_KEY
        for question, code in (
            (asked(vct=RECEIPT_TYPE), "issuer-not-trusted-for-type"),
            (asked(f"{ISSUER}/"), "issuer-not-trusted"),
            (asked("https://stranger.example"), "issuer-not-trusted"),
            (asked(None), "issuer-not-trusted"),
            (asked(kid="another"), "issuer-key-unknown"),
            (asked(VELO, kid="2"), "issuer-key-unknown"),
        ):
            assert codes(lambda question=question: trust.key_for(question, now=NOON)) == [code]  # type: ignore[misc]  # bound now

    def test_is_read_again_after_an_hour_and_whom_it_drops_is_trusted_no_more(
        self, trust: ListedTrust, association: Association, clock: Clock
    ) -> None:
        velo = asked(VELO, kid="1")
        trust.key_for(velo, now=clock())
        association.velo = {"url": "https://other.example", "name": "Other"}

        assert trust.key_for(velo, now=clock.advance(FRESH_FOR - SECOND)) == LISTED_KEY
        assert association.reads == 1
        assert codes(lambda: trust.key_for(velo, now=clock.advance(SECOND))) == [
            "issuer-not-trusted"
        ]

    def test_serves_until_its_end_while_its_source_is_silent(
        self, trust: ListedTrust, association: Association, clock: Clock
    ) -> None:
        trust.key_for(asked(VELO, kid="1"), now=clock())
        assert trust.ends(clock()) == [Ending("the trust list Fair trade", NOON + 7 * DAY)]
        association.is_reachable = False

        trust.key_for(asked(VELO, kid="1"), now=clock.advance(7 * DAY - SECOND))
        clock.advance(SECOND)
        with pytest.raises(Unavailable):
            trust.key_for(asked(VELO, kid="1"), now=clock())
        with pytest.raises(Unavailable):
            trust.key_for(asked("https://stranger.example"), now=clock())

    def test_that_has_ended_is_read_again_at_once_and_then_now_and_then(
        self, trust: ListedTrust, association: Association, clock: Clock
    ) -> None:
        """Who publishes the next list in the last minute stops no till for an hour."""
        association.ends_at = NOON + 7 * DAY
        clock.advance(7 * DAY - RETRY_AFTER)
        trust.key_for(asked(VELO, kid="1"), now=clock())
        clock.advance(RETRY_AFTER)
        for _ in range(3):
            with pytest.raises(Unavailable, match="ended"):
                trust.key_for(asked(VELO, kid="1"), now=clock())
        assert association.reads == 2

        association.ends_at = NOON + 14 * DAY
        clock.advance(RETRY_AFTER)
        assert trust.key_for(asked(VELO, kid="1"), now=clock()) == LISTED_KEY

    def test_never_goes_back_to_an_older_one(
        self, trust: ListedTrust, association: Association, clock: Clock
    ) -> None:
        trust.key_for(asked(VELO, kid="1"), now=clock())
        association.listed_at = NOON - SECOND
        association.velo = {"url": "https://other.example", "name": "Other"}
        clock.advance(FRESH_FOR)

        assert trust.key_for(asked(VELO, kid="1"), now=clock()) == LISTED_KEY
        assert codes(lambda: trust.key_for(asked("https://other.example"), now=clock())) == [
            "issuer-not-trusted"
        ]

    @pytest.mark.parametrize("trouble", ["signer", "ended", "silent", "broken"])
    def test_that_is_none_leaves_the_question_open(
        self, trust: ListedTrust, association: Association, clock: Clock, trouble: str
    ) -> None:
        if trouble == "signer":
            association.signer = MemorySigner.generate()
        if trouble == "ended":
            association.ends_at = NOON
        if trouble == "broken":
            association.velo = {"url": VELO, "name": "Velo", "keys": {"keys": []}}
        association.is_reachable = trouble != "silent"

        for _ in range(3):
            with pytest.raises(Unavailable):
                trust.key_for(asked(), now=clock())
        assert association.reads == 1

        fine = Association(clock)
        association.signer, association.ends_at = fine.signer, fine.ends_at
        association.velo, association.is_reachable = fine.velo, True
        assert trust.key_for(asked(), now=clock.advance(RETRY_AFTER)) == BRAND

    def test_without_a_fetcher_an_issuer_without_keys_has_none(
        self, association: Association
    ) -> None:
        offline = ListedTrust(association.read, signed_by=ASSOCIATION.public)

        assert offline.key_for(asked(VELO, kid="1"), now=NOON) == LISTED_KEY
        with pytest.raises(Unavailable):
            offline.key_for(asked(), now=NOON)

    @pytest.mark.parametrize("status", [200, 404, 500])
    def test_may_come_from_a_url(self, association: Association, status: int) -> None:
        network = association.network
        network.serve(
            "https://association.example",
            lambda _m, _p, _h, _b: Response(status, "application/jwt", association.read().encode()),
        )
        trust = ListedTrust(
            fetched_list(network, LIST_URL), signed_by=ASSOCIATION.public, fetcher=network
        )

        if status == 200:
            assert trust.key_for(asked(), now=NOON) == BRAND
        else:
            with pytest.raises(Unavailable):
                trust.key_for(asked(), now=NOON)


def pinned(
    key: PublicKey, issuer: str = ISSUER, vct: str = WARRANTY_TYPE, ends: datetime | None = None
) -> Trust:
    keys = (PinnedKey(key, not_after=ends),)
    return PinnedTrust([TrustedIssuer(issuer=issuer, vcts=frozenset({vct}), keys=keys)])


class TestSeveral:
    """The first that knows an issuer decides; or all must agree."""

    kid = BRAND.thumbprint()

    def test_the_first_that_knows_the_issuer_decides(self, trust: ListedTrust) -> None:
        first = FirstTrust(pinned(BRAND, "https://x.example"), pinned(LISTED_KEY), trust)

        assert first.key_for(asked(kid=LISTED_KEY.thumbprint()), now=NOON) == LISTED_KEY
        # The list would give it, but the pin has spoken.
        assert codes(lambda: first.key_for(asked(kid=self.kid), now=NOON)) == ["issuer-key-unknown"]
        assert first.key_for(asked(VELO, kid="1"), now=NOON) == LISTED_KEY
        for_receipts = FirstTrust(pinned(BRAND, vct=RECEIPT_TYPE), trust)
        assert codes(lambda: for_receipts.key_for(asked(), now=NOON)) == [
            "issuer-not-trusted-for-type"
        ]

    def test_who_knows_nobody_trusts_nobody(self) -> None:
        assert codes(lambda: FirstTrust().key_for(asked(), now=NOON)) == ["issuer-not-trusted"]
        assert codes(lambda: FirstTrust(pinned(BRAND, VELO)).key_for(asked(), now=NOON)) == [
            "issuer-not-trusted"
        ]
        with pytest.raises(Misuse):
            AllTrust()

    def test_one_that_cannot_tell_leaves_the_question_open(
        self, trust: ListedTrust, association: Association
    ) -> None:
        association.is_reachable = False
        question = asked(kid=self.kid)

        assert FirstTrust(pinned(BRAND), trust).key_for(question, now=NOON) == BRAND
        for several in (FirstTrust(trust, pinned(BRAND)), AllTrust(pinned(BRAND), trust)):
            with pytest.raises(Unavailable):
                several.key_for(question, now=NOON)

    def test_all_must_give_the_same_key(self, trust: ListedTrust, association: Association) -> None:
        published = FetchedTrust(association.network, {ISSUER: [WARRANTY_TYPE]})
        only = asked()

        assert AllTrust(published, trust, pinned(BRAND)).key_for(only, now=NOON) == BRAND
        assert codes(lambda: AllTrust(published, pinned(LISTED_KEY)).key_for(only, now=NOON)) == [
            "issuer-key-disputed"
        ]
        assert codes(lambda: AllTrust(published, pinned(BRAND, VELO)).key_for(only, now=NOON)) == [
            "issuer-not-trusted"
        ]

    def test_the_endings_of_all_are_told_once_and_soonest_first(self, trust: ListedTrust) -> None:
        trust.key_for(asked(), now=NOON)
        soon = pinned(BRAND, ends=NOON + DAY)

        for several in (FirstTrust(trust, soon, soon), AllTrust(trust, soon)):
            assert [ending.at for ending in several.ends(NOON)] == [NOON + DAY, NOON + 7 * DAY]
