"""What was shown and nobody looked at, where a database server is shared: a minute, and shut."""

from collections.abc import Callable

import pytest
from counterfoil_credentials.encoding import JsonObject, from_b64url
from counterfoil_credentials.request_links import parse_request_link
from counterfoil_credentials.requests import read_request
from counterfoil_verifier.app import create_app
from counterfoil_verifier.held import open_held
from counterfoil_verifier.held_in_memory import FACTS_HELD_FOR
from counterfoil_verifier.presets import PRESETS
from counterfoil_verifier.sql_store import SqlSessionStore
from counterfoil_verifier.tables import SESSIONS
from counterfoil_verifier.verdict import VERDICTS_KEPT_FOR
from sqlalchemy import select

from tests.conftest import Clock
from tests.verifier.leaks import as_it_is_written, files_of, scan, spelled
from tests.verifier.scene import Scene, answer_form, warranty_claims
from tests.verifier.tills import KEY, serving

PLANTED = "PLANTED-SERIAL-8R"


@pytest.mark.loopback
def test_nothing_is_left_on_the_server_that_opens_what_nobody_looked_at(
    clock: Clock, random_bytes: Callable[[int], bytes], postgres_url: str
) -> None:
    store = SqlSessionStore(postgres_url)
    as_it_is_written(postgres_url)
    scene = Scene(clock, random_bytes, store)

    def row() -> dict[str, object]:
        with store.database.reading() as connection:
            (found,) = connection.rows(select(SESSIONS))
        return {column.name: getattr(found, column.name) for column in SESSIONS.columns}

    with serving(scene, create_app(scene.counter, counter_key=KEY)) as till:
        asked = till.ask()
        session_id, _, secret = asked["id"].partition(".")
        url = parse_request_link(asked["link"])
        _, signed, _ = till.send("GET", url.request_uri)
        request = read_request(signed, client_id=url.client_id, now=clock())
        item: JsonObject = {"name": "Auricle One", "gtin": "4006381333931", "serial": PLANTED}
        card = scene.warranty(claims=warranty_claims(item=item))
        form = answer_form(scene.present(card, request), request)
        assert till.post(request.response_uri, form)[0] == 200
        shut = str(row()["held"])
        assert open_held(shut, secret) is not None
        clock.advance(FACTS_HELD_FOR)
        scene.counter.tidy()

        left = row()
        assert (left["held"], left["facts_key"], left["response_key"]) == (None, None, None)
        status, found = till.counter("GET", f"/counter/requests/{asked['id']}")
        assert (status, found["light"], found["facts"]) == (200, "green", None)

    files = files_of(postgres_url)
    assert scan(files, [session_id.encode()]), "what stands there is found"
    # What was shut may lie in the log for longer. It opens with what the till alone has.
    assert scan(files, [secret.encode(), from_b64url(secret, "secret")]) == []
    assert scan(files, spelled(PLANTED)) == []
    for value in left.values():
        assert open_held(shut, str(value)) is None
    store.close()


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_says_how_long_what_is_really_kept(name: str) -> None:
    preset = PRESETS[name]

    assert preset.kept_for == VERDICTS_KEPT_FOR
    days = str(VERDICTS_KEPT_FOR.days)
    assert days in preset.retention.en
    assert days in preset.retention.zh
    if name != "member":
        # No longer than this, in one process or in a database that several share.
        assert FACTS_HELD_FOR.total_seconds() == 60
        assert "gone after a minute" in preset.retention.en
        assert "一分钟" in preset.retention.zh
