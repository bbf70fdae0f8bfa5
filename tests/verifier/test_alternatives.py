"""A request with alternatives: the verifier evaluates the whole of it on what arrived."""

import dataclasses
from collections.abc import Mapping
from dataclasses import replace

import pytest
from counterfoil_credentials.dcql import (
    AuthorityQuery,
    ClaimQuery,
    CredentialQuery,
    CredentialSet,
    DcqlQuery,
)
from counterfoil_credentials.errors import Misuse, Refused
from counterfoil_credentials.requests import PresentationRequest
from counterfoil_verifier import Accepted, NotRevoked, Preset, Verifier
from counterfoil_verifier.requesting import ask

from tests.verifier.scene import DAY, WARRANTY_TYPE, Scene, warranty_claims

SERIAL = ClaimQuery(("item", "serial"), id="serial")
PRICE = ClaimQuery(("price",), id="price")
DATE = CredentialQuery("date", (WARRANTY_TYPE,), (ClaimQuery(("valid_until",)),))
ITEM = CredentialQuery("item", (WARRANTY_TYPE,), (SERIAL,))
PAID = CredentialQuery("paid", (WARRANTY_TYPE,), (PRICE,))
MDOC = CredentialQuery("mdoc", (), (), format="mso_mdoc", foreign_meta={"doctype_value": "x"})

Shown = Mapping[str, tuple[str, ...]]


def asking(
    scene: Scene,
    *queries: CredentialQuery,
    sets: tuple[CredentialSet, ...] = (),
    **changes: object,
) -> PresentationRequest:
    return scene.request(query=DcqlQuery(queries, sets), **changes)


def presented(scene: Scene, request: PresentationRequest, **changes: object) -> str:
    """Give a presentation of a good warranty that shows its price."""
    shown = scene.present(scene.warranty(**changes), request, paths=[("price",)])
    return shown["warranty"][0]


def verify(scene: Scene, shown: Shown, request: PresentationRequest) -> Accepted:
    verifier = Verifier(NotRevoked(max_age=DAY), scene.trust, scene.statuses)
    return verifier.verify(shown, request, now=scene.clock())


def refusal(scene: Scene, shown: Shown, request: PresentationRequest) -> list[str]:
    with pytest.raises(Refused) as refused:
        verify(scene, shown, request)
    return refused.value.codes


def test_one_option_of_each_required_set_is_an_answer(scene: Scene) -> None:
    request = asking(
        scene,
        *(ITEM, PAID, DATE, MDOC),
        sets=(
            CredentialSet((("mdoc",), ("item", "paid"), ("date",))),
            CredentialSet((("paid",),), is_required=False),
        ),
    )
    good = (presented(scene, request),)

    assert verify(scene, {"date": good}, request).claims.keys() == {"date"}
    assert verify(scene, {"item": good, "paid": good}, request).claims.keys() == {"item", "paid"}
    assert verify(scene, {"date": good, "paid": good}, request).claims.keys() == {"date", "paid"}
    assert refusal(scene, {"item": good}, request) == ["credential-missing"]
    assert refusal(scene, {"paid": good}, request) == ["credential-missing"]
    assert refusal(scene, {}, request) == ["credential-missing"]
    assert refusal(scene, {"mdoc": good}, request) == ["format-not-asked-for"]
    assert refusal(scene, {"date": good, "other": good}, request) == ["credential-not-asked-for"]


def test_one_bad_presentation_spoils_the_answer_though_nobody_required_it(scene: Scene) -> None:
    sets = (CredentialSet((("date",),)), CredentialSet((("paid",),), is_required=False))
    request = asking(scene, DATE, PAID, sets=sets)
    good = (presented(scene, request),)
    no_price = (scene.present(scene.warranty(), request)["warranty"][0],)

    assert refusal(scene, {"date": good, "paid": no_price}, request) == ["claim-missing"]


def test_nothing_at_all_is_no_answer_even_where_all_is_optional(scene: Scene) -> None:
    sets = (CredentialSet((("date",),), is_required=False),)
    request = asking(scene, DATE, sets=sets)

    assert refusal(scene, {}, request) == ["credential-missing"]


def test_several_presentations_answer_a_query_that_wants_several(scene: Scene) -> None:
    request = asking(scene, replace(PAID, multiple=True))
    one = asking(scene, PAID)
    cheap = presented(scene, request, claims=warranty_claims(price="1.00"))
    dear = presented(scene, request)

    accepted = verify(scene, {"paid": (cheap, dear)}, request)

    assert [claims["price"] for claims in accepted.shown["paid"]] == ["1.00", "199.00"]
    assert accepted.claims["paid"]["price"] == "1.00"
    assert refusal(scene, {"paid": (cheap, dear)}, one) == ["credential-repeated"]


def test_each_of_several_presentations_is_judged(scene: Scene) -> None:
    request = asking(scene, replace(PAID, multiple=True))
    good = presented(scene, request)
    elsewhere = scene.present(scene.warranty(), request, paths=[("price",)], audience="elsewhere")

    for shown in ((good, *elsewhere["warranty"]), (*elsewhere["warranty"], good)):
        assert refusal(scene, {"paid": shown}, request) == ["audience-mismatch"]


def test_one_whole_claim_set_is_enough(scene: Scene) -> None:
    claims = (PRICE, ClaimQuery(("buyer", "name"), id="name"), SERIAL)
    request = asking(
        scene,
        CredentialQuery("q", (WARRANTY_TYPE,), claims, claim_sets=(("name",), ("price", "serial"))),
    )
    nothing = scene.present(scene.warranty(), request)["warranty"]

    assert verify(scene, {"q": (presented(scene, request),)}, request).claims.keys() == {"q"}
    assert refusal(scene, {"q": nothing}, request) == ["claim-missing"]


def test_a_shop_that_names_authorities_refuses_what_it_cannot_place_under_one(
    scene: Scene,
) -> None:
    request = asking(scene, replace(PAID, trusted_authorities=(AuthorityQuery("aki", ("AAAA",)),)))

    assert refusal(scene, {"paid": (presented(scene, request),)}, request) == [
        "authority-not-asked-for"
    ]


class OnATrustedList(Preset):
    """A question about issuers on a list that this verifier cannot read."""

    def query(self) -> DcqlQuery:
        (asked,) = super().query().credentials
        named = (AuthorityQuery("etsi_tl", ("https://lotl.example",)),)
        return DcqlQuery((replace(asked, trusted_authorities=named),))


def test_a_question_that_no_answer_could_satisfy_is_not_asked(scene: Scene) -> None:
    fields = {one.name: getattr(scene.preset, one.name) for one in dataclasses.fields(Preset)}
    under = OnATrustedList(**fields)
    counter = scene.open_counter(presets=[under])
    waiting = ask(scene.preset, language="en", random=scene.random, now=scene.clock())

    for asking_it in (
        lambda: counter.ask("warranty"),
        lambda: scene.shop.signed_request(waiting, under),
    ):
        with pytest.raises(Misuse, match=r"found others alone \(warranty\)"):
            asking_it()
    assert scene.counter.ask("warranty").link


class TestWithoutTheHoldersProof:
    """Only where the request says so (section 5.3), and never against a proof that is bad."""

    loose = replace(PAID, requires_holder_binding=False)

    def test_is_accepted_where_the_request_does_not_require_it(self, scene: Scene) -> None:
        request, strict = asking(scene, self.loose), asking(scene, PAID)
        bare = presented(scene, request).rpartition("~")[0] + "~"

        assert verify(scene, {"paid": (bare,)}, request).claims["paid"]["price"] == "199.00"
        assert refusal(scene, {"paid": (bare,)}, strict) == ["key-binding-missing"]

    def test_a_credential_without_a_key_is_accepted_in_the_same_way(self, scene: Scene) -> None:
        request, strict = asking(scene, self.loose), asking(scene, PAID)
        keyless = presented(scene, request, holder=None).rpartition("~")[0] + "~"

        assert verify(scene, {"paid": (keyless,)}, request).claims["paid"]["price"] == "199.00"
        assert refusal(scene, {"paid": (keyless,)}, strict) == ["holder-key-missing"]

    def test_a_bad_proof_is_refused_though_none_was_required(self, scene: Scene) -> None:
        request, another = asking(scene, self.loose), asking(scene, self.loose)
        for_another = presented(scene, another)

        assert refusal(scene, {"paid": (for_another,)}, request) == ["nonce-mismatch"]

    def test_a_policy_that_wants_the_proof_still_gets_it(self, scene: Scene) -> None:
        request = asking(scene, replace(self.loose, id="warranty", claims=()))
        bare = scene.present(scene.warranty(), request)["warranty"][0].rpartition("~")[0] + "~"

        with pytest.raises(Refused) as refused:
            scene.verifier.verify({"warranty": (bare,)}, request, now=scene.clock())

        assert refused.value.codes == ["key-binding-missing"]
