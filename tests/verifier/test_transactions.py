"""What the customer signs besides the presentation: each transaction once, with one credential."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from counterfoil_credentials.dcql import ClaimQuery, CredentialQuery, DcqlQuery
from counterfoil_credentials.encoding import Json, b64url, compact_json
from counterfoil_credentials.errors import Misuse, Refused
from counterfoil_credentials.key_binding import transaction_data_hash
from counterfoil_credentials.requests import PresentationRequest
from counterfoil_verifier import Accepted, NotRevoked, Verifier
from counterfoil_verifier.transactions import transaction_data, transactions_of

from tests.verifier.scene import DAY, WARRANTY_TYPE, Scene

ITEM = CredentialQuery("item", (WARRANTY_TYPE,), (ClaimQuery(("item", "serial")),))
DATE = CredentialQuery("date", (WARRANTY_TYPE,), (ClaimQuery(("valid_until",)),))
HANDOVER = transaction_data("com.example.handover", ["item"], {"parcel": "17"})
EITHER = transaction_data("com.example.handover", ["item", "date"], {"parcel": "18"})


def asking(scene: Scene, *transactions: str, multiple: bool = False) -> PresentationRequest:
    queries = (replace(ITEM, multiple=multiple), DATE)
    return scene.request(query=DcqlQuery(queries), transaction_data=transactions)


def signing(
    scene: Scene, request: PresentationRequest, *transactions: str, nonce: str | None = None
) -> str:
    shown = scene.present(
        scene.warranty(),
        request,
        transaction_data_hashes=[transaction_data_hash(one) for one in transactions],
        nonce=nonce or request.nonce,
    )
    return shown["warranty"][0]


def verify(
    scene: Scene, request: PresentationRequest, shown: Mapping[str, Sequence[str]]
) -> Accepted:
    verifier = Verifier(NotRevoked(max_age=DAY), scene.trust, scene.statuses)
    answer = {name: tuple(several) for name, several in shown.items()}
    return verifier.verify(answer, request, now=scene.clock())


def refusal(
    scene: Scene, request: PresentationRequest, item: Sequence[str], date: Sequence[str] = ()
) -> list[str]:
    """Give the places of the refusal; its code is one."""
    shown = {"item": item, "date": date or [signing(scene, request)]}
    with pytest.raises(Refused) as refused:
        verify(scene, request, shown)
    assert set(refused.value.codes) == {"transaction-data-mismatch"}
    return [reason.where for reason in refused.value.reasons]


def test_only_the_credentials_that_are_named_sign_the_transaction(scene: Scene) -> None:
    request = asking(scene, HANDOVER)
    signed, plain = signing(scene, request, HANDOVER), signing(scene, request)

    assert verify(scene, request, {"item": [signed], "date": [plain]}).claims.keys() == {
        "item",
        "date",
    }
    assert refusal(scene, request, [plain]) == ["request.transaction_data[0]"]
    # A credential that was not named must not sign it, and not instead of the named one.
    assert refusal(scene, request, [signed], [signed]) == ["date: kb_jwt.transaction_data_hashes"]
    assert refusal(scene, request, [plain], [signed]) == [
        "date: kb_jwt.transaction_data_hashes",
        "request.transaction_data[0]",
    ]


def test_of_several_credentials_that_may_sign_exactly_one_does(scene: Scene) -> None:
    request = asking(scene, EITHER)
    signed, plain = signing(scene, request, EITHER), signing(scene, request)

    for item, date in ((signed, plain), (plain, signed)):
        assert verify(scene, request, {"item": [item], "date": [date]}).claims
    assert refusal(scene, request, [plain], [plain]) == ["request.transaction_data[0]"]
    assert refusal(scene, request, [signed], [signed]) == ["request.transaction_data[0]"]


def test_of_several_presentations_of_one_query_one_signs(scene: Scene) -> None:
    request = asking(scene, HANDOVER, multiple=True)
    signed, plain = signing(scene, request, HANDOVER), signing(scene, request)

    assert verify(scene, request, {"item": [plain, signed], "date": [plain]}).claims
    assert refusal(scene, request, [signed, signed]) == ["request.transaction_data[0]"]


def test_two_transactions_are_signed_in_any_order_and_by_any_that_may(scene: Scene) -> None:
    request = asking(scene, HANDOVER, EITHER)
    both = signing(scene, request, EITHER, HANDOVER)
    first, second = signing(scene, request, HANDOVER), signing(scene, request, EITHER)
    plain = signing(scene, request)

    assert verify(scene, request, {"item": [both], "date": [plain]}).claims
    assert verify(scene, request, {"item": [first], "date": [second]}).claims
    assert refusal(scene, request, [first]) == ["request.transaction_data[1]"]
    assert refusal(scene, request, [plain], [plain]) == [
        "request.transaction_data[0]",
        "request.transaction_data[1]",
    ]


def test_refuses_another_transaction_and_one_that_is_signed_twice_over(scene: Scene) -> None:
    request = asking(scene, HANDOVER)
    dearer = transaction_data("com.example.handover", ["item"], {"parcel": "99"})

    for hashes in ([dearer], [HANDOVER, dearer], [HANDOVER, HANDOVER]):
        assert refusal(scene, request, [signing(scene, request, *hashes)]) == [
            "item: kb_jwt.transaction_data_hashes"
        ]
    without = asking(scene)
    assert refusal(scene, without, [signing(scene, without, HANDOVER)])


def test_a_bad_proof_is_told_once(scene: Scene) -> None:
    request = asking(scene, HANDOVER)
    for_another = signing(scene, request, HANDOVER, nonce="another")

    with pytest.raises(Refused) as refused:
        verify(scene, request, {"item": [for_another], "date": [signing(scene, request)]})

    assert refused.value.codes == ["nonce-mismatch"]


def element(**members: Json) -> str:
    content: dict[str, Json] = {"type": "t", "credential_ids": ["item"], **members}
    return b64url(compact_json(content))


@pytest.mark.parametrize(
    "transactions",
    [
        [HANDOVER, HANDOVER],
        ["e30"],
        ["no json"],
        [element(credential_ids=[])],
        [element(credential_ids=["item", "other"])],
        [element(credential_ids=["loose"])],
        [element(transaction_data_hashes_alg=["sha-512"])],
    ],
)
def test_a_request_that_no_wallet_may_sign_is_our_own_mistake(
    scene: Scene, transactions: list[str]
) -> None:
    loose = CredentialQuery("loose", (WARRANTY_TYPE,), (), requires_holder_binding=False)
    request = scene.request(
        query=DcqlQuery((ITEM, loose)), transaction_data=(element(), *transactions)
    )

    with pytest.raises(Misuse):
        transactions_of(request)
    assert len(transactions_of(replace(request, transaction_data=(element(),)))) == 1


def test_an_element_names_queries_and_its_own_members() -> None:
    for queries, members in (([], {}), ("item", {}), (["item"], {"type": "x"})):
        with pytest.raises(Misuse):
            transaction_data("t", queries, members)
