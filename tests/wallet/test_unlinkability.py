"""Two verifiers compare what they were shown of one fact, and cannot tell that it was one customer.

Cards of one type, each with a batch of copies from the real issuer, each copy shown to a verifier
of its own. Any two verifiers of one card compare everything they have: every value in the
credential, in its disclosures and in the proof. What they share must be the disclosed fact, or
be shared by everybody who holds a credential of that type.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations, pairwise
from statistics import fmean

import pytest
from counterfoil_credentials.dcql import ClaimQuery
from counterfoil_credentials.encoding import Json, as_list, from_b64url, parse_json, parse_object
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.requests import parse_response_form
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_issuer.offering import Grant
from counterfoil_wallet import Joining, Wallet

from tests.conftest import Clock
from tests.wallet.brand_scene import BRAND, Mode, Serve
from tests.wallet.strangers import StrangeShop

CARDS, COPIES = 25, 10
KIND, FACT = "membership", ("age_over_18",)
# Of random strings of bits, half differ. 1,125 pairs of 256 bits stay this close to that.
TOLERANCE = 0.01


@dataclass(frozen=True)
class Seen:
    """What one verifier was shown: all values in it, and the ones to be looked at closely."""

    values: frozenset[object]
    random: dict[str, bytes]
    status_index: int


def look(presentation: str) -> Seen:
    sd_jwt = SdJwt.parse(presentation)
    assert sd_jwt.key_binding is not None
    header, payload, signature = token(sd_jwt.issuer_jwt)
    kb_header, kb_payload, kb_signature = token(sd_jwt.key_binding)
    opened = [as_list(parse_json(from_b64url(text, ""), ""), "") for text in sd_jwt.disclosures]
    assert len(opened) == 1
    atoms = frozenset(
        value
        for part in (header, payload, kb_header, kb_payload, *opened)
        for value in atoms_of(part)
    )
    claims = parse_object(from_b64url(sd_jwt.issuer_jwt.split(".")[1], ""), "")
    status = claims["status"]
    assert isinstance(status, dict)
    listed = status["status_list"]
    assert isinstance(listed, dict)
    assert isinstance(listed["idx"], int)
    (key,) = (value for name, value in named(payload) if name == "x")
    first_digest = next(value for name, value in named(payload) if name == "_sd")
    return Seen(
        values=atoms | {signature, kb_signature, *sd_jwt.disclosures},
        random={
            "signature": from_b64url(signature, "")[:32],
            "proof's signature": from_b64url(kb_signature, "")[:32],
            "key": from_b64url(str(key), ""),
            "salt": from_b64url(str(opened[0][0]), ""),
            "digest": from_b64url(str(first_digest), ""),
        },
        status_index=listed["idx"],
    )


def token(text: str) -> tuple[Json, Json, str]:
    head, body, signature = text.split(".")
    return parse_json(from_b64url(head, ""), ""), parse_json(from_b64url(body, ""), ""), signature


def named(value: Json, name: str = "") -> Iterator[tuple[str, Json]]:
    """Give every value that holds nothing further, with the name that it stands under."""
    match value:
        case dict():
            for member, below in value.items():
                yield from named(below, member)
        case list():
            for below in value:
                yield from named(below, name)
        case _:
            yield name, value


def atoms_of(value: Json) -> Iterator[object]:
    for name, atom in named(value):
        # A place in a status list is a small number: another number is no match for it.
        yield ("idx", atom) if name == "idx" else atom


def differing(one: bytes, other: bytes) -> float:
    bits = int.from_bytes(one) ^ int.from_bytes(other)
    return bits.bit_count() / (8 * len(one))


def common(several: Iterable[Seen]) -> frozenset[object]:
    """Give the values that all of them have seen."""
    first, *others = several
    return first.values.intersection(*(seen.values for seen in others))


class Street:
    """A customer's wallets and the verifiers that each of them meets."""

    def __init__(self, serve: Serve, clock: Clock) -> None:
        self.brand = serve(Mode(batch_size=COPIES))
        self.clock = clock
        self.chance = random.Random("a street")
        claims = (ClaimQuery(FACT),)
        self.shop = StrangeShop(
            self.brand.network, clock, claims=claims, vct=f"{BRAND}/types/{KIND}"
        )

    def wallet(self) -> Wallet:
        self.clock.advance(timedelta(seconds=self.chance.randrange(1, 600)))
        wallet, issuer = self.brand.wallet(), self.brand.issuer
        member = {
            **issuer.catalogue.types[KIND].sample,
            "member_number": self.chance.randbytes(4).hex(),
        }
        offer = issuer.offer_datasets(
            [issuer.add_dataset(KIND, member)], with_tx_code=False, grants=[Grant.PRE_AUTHORIZED]
        )
        wallet.accept(offer.link)
        return wallet

    def show(self, wallet: Wallet, *, reuse_that_links: bool = False) -> Seen:
        """Show the fact to a verifier that nobody has met."""
        self.clock.advance(timedelta(seconds=self.chance.randrange(1, 60)))
        self.shop.signer = MemorySigner.generate()
        self.shop.nonce = self.chance.randbytes(16).hex()
        self.shop.forms.clear()
        asked = wallet.matches(self.shop.link)
        wallet.present(asked.choose(reuse_that_links=reuse_that_links))
        (form,) = self.shop.forms
        given = {name: values[0] for name, values in form.items()}
        ((presentation,),) = parse_response_form(given).values()
        return look(presentation)


@pytest.fixture
def street(serve: Serve, clock: Clock) -> Street:
    return Street(serve, clock)


def test_two_verifiers_find_nothing_that_joins_them(street: Street) -> None:
    cards = [
        [street.show(wallet) for _ in range(COPIES)]
        for wallet in (street.wallet() for _ in range(CARDS))
    ]
    everybody = common(seen for card in cards for seen in card)
    pairs = [pair for card in cards for pair in combinations(card, 2)]

    assert len(pairs) >= 1_000
    assert [one.values & other.values - everybody for one, other in pairs if
            one.values & other.values - everybody] == []  # fmt: skip
    for name in pairs[0][0].random:
        apart = fmean(differing(one.random[name], other.random[name]) for one, other in pairs)
        assert abs(apart - 0.5) < TOLERANCE, name
    # Places in the status list are drawn, not counted: neighbours are as rare as chance has them.
    near = fmean(abs(one.status_index - other.status_index) <= 8 for one, other in pairs)
    assert near < 4 * 16 / 1_024
    for card in cards:
        in_order = [seen.status_index for seen in card]
        assert any(one > other for one, other in pairwise(in_order))


def test_a_copy_that_two_verifiers_see_joins_them_and_never_goes_in_silence(
    street: Street,
) -> None:
    wallet = street.wallet()
    first = [street.show(wallet) for _ in range(COPIES)]

    asked = wallet.matches(street.shop.link)
    assert asked.answers["warranty"][0].joining is Joining.ITSELF
    street.shop.signer = MemorySigner.generate()
    street.shop.nonce = "one more"
    asked = wallet.matches(street.shop.link)
    assert asked.answers["warranty"][0].joining is Joining.OTHERS
    with pytest.raises(Refused) as refusal:
        asked.choose()
    assert refusal.value.codes == ["only-copies-that-link"]

    again = street.show(wallet, reuse_that_links=True)

    everybody = common(first)
    assert any(again.values & seen.values - everybody for seen in first)
