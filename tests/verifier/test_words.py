"""What the counter says: words for every code that can become a verdict."""

import re
from pathlib import Path

import counterfoil_credentials
import counterfoil_verifier
import pytest
from counterfoil_credentials.errors import Misuse
from counterfoil_verifier import PRESETS, WARRANTY, words_for
from counterfoil_verifier.flags import FlagKind
from counterfoil_verifier.words import known_codes

PRESENTATION_MODULES = (
    *("jws", "keys", "sdjwt", "sdjwt_vc", "key_binding", "dcql_match"),
    *("key_discovery", "x509"),
)
# These say that a call was wrong, not that a presentation was.
NEVER_A_VERDICT = {"preset-unknown", "request-unknown", "state-mismatch", "policy"} | {
    # These are about a preset.
    "claim-not-needed",
    "identity-claim-without-reason",
    "derived-claim-suffices",
    "contains-another-claim",
    "retention-missing",
    "kept-longer-than-told",
    "purpose-not-registered",
    "more-than-registered",
    "no-preset-answered",
    # These are about a file for the till, a list of issuers, or a result to show to others.
    "preload-changed",
    "preload-from-the-future",
    "preload-older",
    "trust-list-ended",
    "result-of-another",
}
A_CODE = re.compile(
    r'(?:Reason|_refused|_no|_open|_against|_not_open|_unsure)\(\s*"([a-z]+(?:-[a-z]+)+)"'
)


def codes_in(folder: Path, names: tuple[str, ...] = ("*",)) -> set[str]:
    texts = [path.read_text() for name in names for path in folder.glob(f"{name}.py")]
    return {code for text in texts for code in A_CODE.findall(text)}


def test_every_code_of_this_folder_and_of_a_presentation_has_words() -> None:
    ours = codes_in(Path(counterfoil_verifier.__file__).parent)
    theirs = codes_in(Path(counterfoil_credentials.__file__).parent, PRESENTATION_MODULES)
    assert {"status-too-old", "issuer-not-trusted", "policy-empty"} <= ours
    ours |= {*FlagKind}
    assert {"signature-invalid", "disclosure-unreferenced", "claim-missing"} <= theirs

    # Reasons about a status list get their prefix where they are made.
    listed = ours & {"from-the-future"}
    expected = (ours - listed - NEVER_A_VERDICT) | theirs | {f"status-list-{c}" for c in listed}

    assert expected - known_codes() == set()


def test_words_are_there_in_both_languages() -> None:
    for code in known_codes():
        words = words_for(code)
        assert words.en.endswith(".")
        assert words.zh.endswith("。")


def test_an_unknown_code_still_gets_a_sentence() -> None:
    assert words_for("no-such-code").en == "This proof cannot be accepted."
    # Whatever is wrong with whoever signed a list, the list is what cannot be trusted.
    assert words_for("status-list-certificate-expired") == words_for("status-list-malformed")


def test_a_warranty_asks_for_no_name_and_no_price() -> None:
    assert WARRANTY.claims == (("item", "name"), ("item", "serial"), ("valid_until",))


def test_presets_say_why_and_what_is_kept_in_both_languages() -> None:
    for name, preset in PRESETS.items():
        assert preset.name == name
        for words in (preset.title, preset.purpose, preset.retention):
            assert words.en
            assert words.zh


def test_a_preset_that_nothing_can_answer_is_not_asked() -> None:
    with pytest.raises(Misuse):
        WARRANTY.query()
