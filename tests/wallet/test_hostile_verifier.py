"""A verifier that pretends, asks too much or sends the wallet elsewhere."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from counterfoil_credentials.dcql import ClaimQuery
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import b64url, compact_json
from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.key_binding import check_key_binding
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.request_links import request_link
from counterfoil_credentials.requests import client_id_of, parse_response_form
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import read_credential
from counterfoil_wallet import Act, Outcome, Standing, Trust, Verifier, Wallet

from tests.conftest import Clock
from tests.wallet.strangers import SHOP, StrangeIssuer, StrangeShop, json_response


@pytest.fixture
def shop(clock: Clock) -> StrangeShop:
    return StrangeShop(MemoryFetcher(), clock)


@pytest.fixture
def wallet(shop: StrangeShop, clock: Clock, random_bytes: Callable[[int], bytes]) -> Wallet:
    """Give a wallet that holds one warranty."""
    wallet = Wallet.in_memory(fetcher=shop.network, clock=clock)
    wallet.accept(StrangeIssuer(shop.network, clock, random_bytes).link)
    return wallet


def refused(wallet: Wallet, shop: StrangeShop) -> list[str]:
    """Give the codes of the refusal, having seen that nothing left."""
    with pytest.raises(Refused) as refusal:
        wallet.matches(shop.link)
    assert shop.forms == []
    return refusal.value.codes


def presented(shop: StrangeShop) -> SdJwt:
    """Give what arrived at the shop."""
    (form,) = shop.forms
    ((token,),) = parse_response_form({name: values[0] for name, values in form.items()}).values()
    return SdJwt.parse(token)


def test_shows_what_was_asked_and_nothing_else(
    wallet: Wallet, shop: StrangeShop, clock: Clock
) -> None:
    wallet.present(wallet.matches(shop.link).choose())

    shown = presented(shop)
    (held,) = wallet.credentials()
    assert len(shown.disclosures) == 1
    assert read_credential(shown).revealed.claims["item"] == {"serial": "A1-0001"}
    for value in ("Auricle One", "199.00", "Mira Sample"):
        assert value not in str(read_credential(shown).revealed.claims)
    check_key_binding(
        shown,
        holder_key=held.signer.public,
        audience=shop.client_id,
        nonce=shop.request().nonce,
        now=clock(),
        max_age=timedelta(minutes=1),
    )
    assert shop.forms[0]["state"] == ["a-state"]


def test_shows_nothing_that_can_be_withheld_when_no_claim_is_asked(
    wallet: Wallet, shop: StrangeShop
) -> None:
    shop.claims = ()

    matches = wallet.matches(shop.link)
    wallet.present(matches.choose())

    assert matches.answers["warranty"][0].asked == ()
    assert matches.answers["warranty"][0].names == ()
    assert presented(shop).disclosures == ()


def test_refuses_a_request_signed_by_another_key(wallet: Wallet, shop: StrangeShop) -> None:
    shop.signs_with = MemorySigner.generate()

    assert refused(wallet, shop) == ["signature-invalid"]


def test_refuses_a_request_that_names_another_client_inside(
    wallet: Wallet, shop: StrangeShop
) -> None:
    shop.claimed_client_id = client_id_of(did_jwk(MemorySigner.generate().public))

    assert refused(wallet, shop) == ["client-id-mismatch"]


@pytest.mark.parametrize("prefix", ["origin:", "openid_federation:", "verifier_attestation:", ""])
def test_refuses_a_client_id_that_nothing_here_can_prove(
    wallet: Wallet, shop: StrangeShop, prefix: str
) -> None:
    link = request_link(f"{prefix}{SHOP}", f"{SHOP}/request")

    with pytest.raises(Refused) as refusal:
        wallet.matches(link)

    assert refusal.value.codes == ["client-id-prefix-unknown"]


def test_refuses_a_request_that_is_over(wallet: Wallet, shop: StrangeShop) -> None:
    shop.lasts = timedelta()

    assert refused(wallet, shop) == ["request-expired"]


def test_refuses_to_answer_when_the_customer_thought_for_too_long(
    wallet: Wallet, shop: StrangeShop, clock: Clock
) -> None:
    choice = wallet.matches(shop.link).choose()
    clock.advance(shop.lasts)

    with pytest.raises(Refused) as refusal:
        wallet.present(choice)

    assert refusal.value.codes == ["request-expired"]
    assert shop.forms == []


@pytest.mark.parametrize("uri", ["http://shop.example/response", "ftp://shop.example/response"])
def test_refuses_to_answer_over_an_open_line(wallet: Wallet, shop: StrangeShop, uri: str) -> None:
    shop.response_uri = uri

    assert refused(wallet, shop) == ["url-not-https"]


def test_refuses_to_fetch_a_request_over_an_open_line(wallet: Wallet, shop: StrangeShop) -> None:
    link = request_link(shop.client_id, "http://shop.example/request")

    with pytest.raises(Refused) as refusal:
        wallet.matches(link)

    assert refusal.value.codes == ["url-not-https"]


def test_refuses_transaction_data_that_it_does_not_understand(
    wallet: Wallet, shop: StrangeShop
) -> None:
    shop.transaction_data = (
        b64url(compact_json({"type": "payment", "credential_ids": ["warranty"], "amount": "9"})),
    )

    with pytest.raises(Refused) as refusal:
        wallet.matches(shop.link)

    assert refusal.value.codes == ["transaction-data-unknown"]
    assert shop.forms == [{"error": ["invalid_transaction_data"], "state": ["a-state"]}]


def test_does_not_say_whether_it_holds_what_it_would_not_show(
    wallet: Wallet, shop: StrangeShop
) -> None:
    nothing = Wallet.in_memory(fetcher=shop.network, clock=shop.clock)
    wallet.decline(wallet.matches(shop.link))
    nothing.decline(nothing.matches(shop.link))

    assert shop.forms[0] == shop.forms[1] == {"error": ["access_denied"], "state": ["a-state"]}


def test_has_no_answer_when_a_claim_is_missing_or_has_another_value(
    wallet: Wallet, shop: StrangeShop
) -> None:
    for claim in (ClaimQuery(("colour",)), ClaimQuery(("item", "serial"), values=("A1-0002",))):
        shop.claims = (claim,)
        matches = wallet.matches(shop.link)

        assert matches.unanswered == ("warranty",)
        with pytest.raises(Refused) as refusal:
            matches.choose()
        assert refusal.value.codes == ["nothing-answers"]


def test_a_name_is_verified_only_when_the_app_knows_the_key(
    wallet: Wallet, shop: StrangeShop, clock: Clock
) -> None:
    trust = Trust(verifiers={shop.client_id: Verifier(name="The shop at the corner")})
    knowing = Wallet.in_memory(fetcher=shop.network, clock=clock, trust=trust)

    assert wallet.matches(shop.link).asker.standing is Standing.KEY_ONLY
    assert knowing.matches(shop.link).asker.standing is Standing.KNOWN
    assert knowing.matches(shop.link).asker.known_as == "The shop at the corner"


def test_answers_a_request_once(wallet: Wallet, shop: StrangeShop) -> None:
    choice, again = (wallet.matches(shop.link).choose() for _ in range(2))
    wallet.present(choice)

    for repeated in (choice, again):
        with pytest.raises(Refused) as refusal:
            wallet.present(repeated)
        assert refusal.value.codes == ["already-shown"]

    assert len(shop.forms) == 1
    assert len([event for event in wallet.history() if event.act is Act.SHOWN]) == 1


def test_answers_a_request_once_from_eight_threads(wallet: Wallet, shop: StrangeShop) -> None:
    choice = wallet.matches(shop.link).choose()

    def present(_: int) -> list[str]:
        try:
            wallet.present(choice)
        except Refused as refusal:
            return refusal.codes
        return []

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(present, range(8)))

    assert sorted(outcomes) == [[], *[["already-shown"]] * 7]
    assert len(shop.forms) == 1


def test_answers_a_request_once_even_when_no_answer_came(wallet: Wallet, shop: StrangeShop) -> None:
    choice = wallet.matches(shop.link).choose()
    shop.answer = Response(502, "", b"")
    with pytest.raises(Unavailable):
        wallet.present(choice)

    with pytest.raises(Refused) as refusal:
        wallet.present(choice)

    assert refusal.value.codes == ["already-shown"]
    assert len(shop.forms) == 1


@pytest.mark.parametrize("first", ["yes", "no"])
@pytest.mark.parametrize("then", ["yes", "no"])
def test_answers_a_request_once_by_a_yes_or_a_no(
    wallet: Wallet, shop: StrangeShop, first: str, then: str
) -> None:
    def answer(which: str) -> object:
        matches = wallet.matches(shop.link)
        return wallet.present(matches.choose()) if which == "yes" else wallet.decline(matches)

    answer(first)
    before = wallet.history()

    with pytest.raises(Refused) as refusal:
        answer(then)

    assert refusal.value.codes == ["already-shown" if first == "yes" else "already-declined"]
    assert len(shop.forms) == 1
    assert wallet.history() == before


def test_a_no_from_eight_threads_is_said_once(wallet: Wallet, shop: StrangeShop) -> None:
    matches = wallet.matches(shop.link)

    def decline(_: int) -> list[str]:
        try:
            wallet.decline(matches)
        except Refused as refusal:
            return refusal.codes
        return []

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(decline, range(8)))

    assert sorted(outcomes) == [[], *[["already-declined"]] * 7]
    assert len(shop.forms) == 1


def test_answers_another_request_of_the_same_verifier(wallet: Wallet, shop: StrangeShop) -> None:
    wallet.present(wallet.matches(shop.link).choose())
    shop.nonce = "a nonce of another request"

    wallet.present(wallet.matches(shop.link).choose())

    assert len(shop.forms) == 2


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (json_response({}), Outcome.DONE),
        (Response(502, "", b""), Outcome.SENT),
        (json_response({"error": "access_denied"}, 400), Outcome.SENT),
    ],
)
def test_the_history_says_what_became_of_a_no(
    wallet: Wallet, shop: StrangeShop, answer: Response, outcome: Outcome
) -> None:
    shop.answer = answer

    wallet.decline(wallet.matches(shop.link))

    assert (wallet.history()[-1].act, wallet.history()[-1].outcome) == (Act.DECLINED, outcome)


def test_a_no_stands_though_the_place_to_say_it_cannot_be_called(
    wallet: Wallet, shop: StrangeShop
) -> None:
    shop.response_uri = "https://someone@shop.example/response"

    wallet.decline(wallet.matches(shop.link))

    assert (wallet.history()[-1].act, wallet.history()[-1].outcome) == (Act.DECLINED, Outcome.SENT)
    assert shop.forms == []


def test_a_presentation_that_cannot_be_sent_is_told_and_in_the_history(
    wallet: Wallet, shop: StrangeShop
) -> None:
    shop.response_uri = "https://someone@shop.example/response"

    with pytest.raises(Malformed):
        wallet.present(wallet.matches(shop.link).choose())

    assert wallet.history()[-1].outcome is Outcome.REFUSED
    assert shop.forms == []


def test_gives_the_redirect_to_the_app_and_does_not_follow_it(
    wallet: Wallet, shop: StrangeShop
) -> None:
    shop.answer = json_response({"redirect_uri": f"{SHOP}/done#response_code=1"})

    assert wallet.present(wallet.matches(shop.link).choose()).redirect_uri == (
        f"{SHOP}/done#response_code=1"
    )
    assert len(shop.forms) == 1


def test_does_not_send_the_presentation_on_when_it_is_redirected(
    wallet: Wallet, shop: StrangeShop
) -> None:
    shop.answer = Response(307, "", b"", {"location": "https://elsewhere.example"})

    with pytest.raises(Refused) as refusal:
        wallet.present(wallet.matches(shop.link).choose())

    assert refusal.value.codes == ["peer-refused"]
    assert len(shop.forms) == 1


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (json_response({}), Outcome.DONE),
        (Response(200, "text/html", b"<p>Thank you"), Outcome.DONE),
        (json_response({"error": "access_denied"}, 400), Outcome.REFUSED),
        (Response(502, "", b""), Outcome.SENT),
    ],
)
def test_the_history_says_what_became_of_a_presentation(
    wallet: Wallet, shop: StrangeShop, answer: Response, outcome: Outcome
) -> None:
    shop.answer = answer
    try:
        wallet.present(wallet.matches(shop.link).choose())
    except (Refused, Unavailable):
        assert outcome is not Outcome.DONE

    shown = [event for event in wallet.history() if event.act is Act.SHOWN]

    assert [event.outcome for event in shown] == [outcome]
    assert shown[0].claims == ("item.serial",)
    assert shown[0].party == shop.client_id
    assert "A1-0001" not in repr(shown)


@pytest.mark.parametrize("body", [b"", b"a.b.c", b"\xff", b"e30.e30.", b"x" * 65_537])
def test_a_request_out_of_shape_is_no_request(
    wallet: Wallet, shop: StrangeShop, body: bytes
) -> None:
    def answer(method: str, path: str, headers: Mapping[str, str], sent: bytes) -> Response:
        return Response(200, "", body)

    shop.network.serve(SHOP, answer)

    with pytest.raises(CounterfoilError):
        wallet.matches(shop.link)
