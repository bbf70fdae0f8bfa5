"""The phone shows first: only where the preset says so, while it is young, once at each till."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.sdjwt import SdJwt, disclose
from counterfoil_verifier import WARRANTY, Accepted, CouldNotCheck, Preset, Statuses
from counterfoil_verifier.shown import Till
from counterfoil_verifier.store import MemoryNames

from tests.conftest import Clock
from tests.verifier.scene import ASKED, DAY, INDEX, MINUTE, SECOND, WARRANTY_TYPE, Scene

WINDOW = timedelta(seconds=60)
PRESET = replace(WARRANTY.accepting([WARRANTY_TYPE]), shown_within=WINDOW)
TILL = "till 1"


@pytest.fixture
def till() -> Till:
    return Till(TILL, MemoryNames())


def code(scene: Scene, credential: SdJwt | None = None, **changes: object) -> str:
    """Give what an honest phone shows; `changes` are arguments of `bind`."""
    arguments: dict[str, Any] = {
        "signer": scene.holder,
        "audience": PRESET.name,
        "nonce": "a nonce of the phone's own",
        "now": scene.clock(),
        **changes,
    }
    return bind(disclose(credential or scene.warranty(), ASKED), **arguments)


def verify(scene: Scene, shown: str, till: Till, preset: Preset = PRESET) -> Accepted:
    return scene.verifier.verify_shown(shown, preset, till, now=scene.clock())


def codes(scene: Scene, shown: str, till: Till, preset: Preset = PRESET) -> list[str]:
    with pytest.raises(Refused) as refused:
        verify(scene, shown, till, preset)
    return refused.value.codes


def test_what_a_phone_shows_is_accepted_once_at_each_till(scene: Scene, till: Till) -> None:
    shown = code(scene)

    accepted = verify(scene, shown, till)
    assert accepted.claims["warranty"]["valid_until"] == "2028-11-02"
    assert accepted.status_as_of == scene.clock()

    assert codes(scene, shown, till) == ["already-shown"]
    assert verify(scene, shown, Till("till 2", till.names)).claims
    assert verify(scene, code(scene, nonce="the next one"), till).claims


def test_another_spelling_of_a_code_is_the_same_code(scene: Scene, till: Till) -> None:
    """ECDSA lets anybody turn a signature into a second good one over the same words."""
    shown = code(scene)
    verify(scene, shown, till)
    again = code(scene)

    assert again != shown
    assert codes(scene, again, till) == ["already-shown"]


def test_who_sees_a_code_cannot_spend_it_with_one_of_his_own(scene: Scene, till: Till) -> None:
    shown, other = code(scene), MemorySigner.generate()
    verify(scene, code(scene, scene.brand.warranty(holder=other.public), signer=other), till)

    assert verify(scene, shown, till).claims


def test_of_fifty_at_once_one_is_accepted(scene: Scene, till: Till) -> None:
    shown = code(scene)

    def outcome(_: int) -> bool:
        try:
            return bool(verify(scene, shown, till).claims)
        except Refused:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(outcome, range(50))) == 1


def test_only_a_preset_that_says_so_takes_it(scene: Scene, till: Till) -> None:
    asking = replace(PRESET, shown_within=None)

    assert codes(scene, code(scene), till, asking) == ["holder-shown-not-accepted"]
    assert verify(scene, code(scene), till).claims


def test_it_counts_within_the_presets_window_and_not_a_second_longer(
    scene: Scene, till: Till, clock: Clock
) -> None:
    old, older = code(scene, nonce="1"), code(scene, nonce="2", now=scene.clock() - SECOND)
    early = code(scene, nonce="3", now=scene.clock() + WINDOW + MINUTE)
    too_early = code(scene, nonce="4", now=scene.clock() + WINDOW + MINUTE + SECOND)
    clock.advance(WINDOW)

    assert verify(scene, old, till).claims
    assert verify(scene, early, till).claims
    assert codes(scene, older, till) == ["key-binding-too-old"]
    assert codes(scene, too_early, till) == ["key-binding-from-the-future"]


def test_a_name_stays_taken_for_as_long_as_its_code_counts(scene: Scene, clock: Clock) -> None:
    names = MemoryNames()
    till, shown = Till(TILL, names), code(scene)
    verify(scene, shown, till)

    clock.advance(WINDOW)
    assert names.forget_names(clock()) == 0
    assert codes(scene, shown, till) == ["already-shown"]
    clock.advance(DAY)
    assert names.forget_names(clock()) == 0
    clock.advance(SECOND)
    assert names.forget_names(clock()) == 1
    assert codes(scene, shown, till) == ["key-binding-too-old"]


def test_a_clock_that_was_ahead_for_an_hour_makes_no_code_new_again(
    scene: Scene, clock: Clock
) -> None:
    names = MemoryNames()
    till, shown = Till(TILL, names), code(scene)
    verify(scene, shown, till)

    names.forget_names(clock() + timedelta(hours=1))

    assert codes(scene, shown, till) == ["already-shown"]


def test_an_answer_to_a_question_is_nothing_to_show(scene: Scene, till: Till) -> None:
    request = scene.request()
    (answer,) = scene.present(scene.warranty(), request)["warranty"]
    elsewhere = code(scene, audience="member")

    assert codes(scene, answer, till) == ["audience-mismatch"]
    assert codes(scene, elsewhere, till) == ["audience-mismatch"]
    with pytest.raises(Refused) as refused:
        scene.verifier.verify({"warranty": (code(scene),)}, request, now=scene.clock())
    assert refused.value.codes == ["audience-mismatch", "nonce-mismatch"]


def test_a_refusal_and_an_open_question_spend_nothing(scene: Scene, till: Till) -> None:
    shown = code(scene)
    scene.brand.is_reachable = False
    with pytest.raises(Unavailable) as unavailable:
        verify(scene, shown, till)
    assert isinstance(unavailable.value, CouldNotCheck)
    assert unavailable.value.codes == ["status-unreachable"]

    scene.brand.is_reachable = True
    scene.brand.listed[INDEX] = 2
    scene.statuses = Statuses(scene.brand)
    assert codes(scene, shown, till) == ["suspended"]

    scene.brand.listed[INDEX] = 0
    scene.statuses = Statuses(scene.brand)
    assert verify(scene, shown, till).claims


def test_every_reason_is_gathered_as_for_an_answer(scene: Scene, till: Till) -> None:
    scene.brand.listed[INDEX] = 1
    ended = scene.warranty(expires_at=scene.clock() - DAY)
    bad = code(scene, ended, audience="elsewhere", now=scene.clock() - DAY)

    assert codes(scene, bad, till) == [
        "audience-mismatch",
        "key-binding-too-old",
        "expired",
        "revoked",
    ]


def test_without_a_proof_or_its_nonce_it_is_nothing(scene: Scene, till: Till) -> None:
    shown = code(scene)
    bare = shown[: shown.rindex("~") + 1]

    for text in (bare, "a.b.c~", "~"):
        assert codes(scene, text, till) == ["key-binding-missing"]
    assert codes(scene, code(scene, signer=MemorySigner.generate()), till) == [
        "key-binding-signature-invalid"
    ]
    assert codes(scene, code(scene, transaction_data_hashes=["x"]), till) == [
        "transaction-data-mismatch"
    ]
    for text in (code(scene, nonce=""), "", "a.b.c", f"{bare}x"):
        with pytest.raises(Malformed):
            verify(scene, text, till)


def test_the_till_keeps_no_nonce_and_no_key(scene: Scene) -> None:
    class Listening(MemoryNames):
        taken: str = ""

        def take(self, name: str, *, ends_at: Any) -> bool:  # noqa: ANN401  # as given
            self.taken = name
            return super().take(name, ends_at=ends_at)

    names = Listening()
    verify(scene, code(scene, nonce="planted-nonce"), Till(TILL, names))

    assert names.taken.startswith(f"shown {TILL} ")
    assert "planted" not in names.taken
    assert scene.holder.public.thumbprint() not in names.taken
