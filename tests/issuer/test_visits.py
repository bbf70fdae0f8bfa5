"""A browser's visit, all of which is in its cookie."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_issuer.authorization_request import AuthorizationRequest
from counterfoil_issuer.login import Subject
from counterfoil_issuer.visits import Visit, logged_in, open_visit, to_cookie, visit_in
from counterfoil_service.sealing import Seal

from tests.issuer.visitor import CHALLENGE, CLIENT, REDIRECT, RandomBytes

SEAL = Seal(b"s" * 32, "authorization")
REQUEST = AuthorizationRequest(
    client_id=CLIENT,
    redirect_uri=REDIRECT,
    state="a-state",
    code_challenge=CHALLENGE,
    configuration_ids=("receipt", "warranty"),
    by_identifier=True,
    issuer_state="an-issuer-state",
    dpop_jkt="a" * 43,
    instance_jkt="b" * 43,
    wallet_name="口袋",
)
BARE = replace(
    REQUEST,
    state=None,
    by_identifier=False,
    issuer_state=None,
    dpop_jkt=None,
    instance_jkt=None,
    wallet_name=None,
)
MIRA = Subject(("customer-7", "mira@example.org"), "Mira")


@pytest.fixture
def visit(now: datetime, random_bytes: RandomBytes) -> Visit:
    return open_visit(REQUEST, language="zh", now=now, random=random_bytes)


@pytest.mark.parametrize("request_", [REQUEST, BARE])
def test_a_request_comes_back_as_it_was(request_: AuthorizationRequest) -> None:
    assert AuthorizationRequest.from_json(request_.to_json()) == request_


@pytest.mark.parametrize("subject", [None, MIRA, Subject((), "")])
def test_a_visit_comes_back_as_it_was(
    visit: Visit, subject: Subject | None, now: datetime, random_bytes: RandomBytes
) -> None:
    before = visit if subject is None else logged_in(visit, subject)

    assert visit_in(to_cookie(before, SEAL, random_bytes), SEAL, now) == before


def test_it_ends_with_its_ten_minutes(
    visit: Visit, now: datetime, random_bytes: RandomBytes
) -> None:
    cookie = to_cookie(visit, SEAL, random_bytes)
    last = now + timedelta(minutes=10)

    assert visit_in(cookie, SEAL, last - timedelta(seconds=1)) == visit
    with pytest.raises(Refused) as refusal:
        visit_in(cookie, SEAL, last)
    assert refusal.value.codes == ["visit-over"]


def test_the_longest_request_leaves_room_for_the_longest_names_but_not_for_longer_letters(
    visit: Visit, random_bytes: RandomBytes
) -> None:
    # As many bytes as `read_authorization_request` lets through.
    request = replace(BARE, state="x" * 1_761)
    longest = replace(visit, request=request)
    latin, chinese = (Subject((2 * letter,), letter) for letter in ("x" * 255, "口" * 255))

    assert len(to_cookie(logged_in(longest, latin), SEAL, random_bytes)) <= 4_000
    with pytest.raises(Refused) as refusal:
        to_cookie(logged_in(longest, chinese), SEAL, random_bytes)
    assert refusal.value.codes == ["login-failed"]
