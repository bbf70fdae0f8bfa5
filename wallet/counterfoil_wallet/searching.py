"""What a card can be found by: its facts, one by one, and the words in them.

SQLite's full text takes a run of Chinese or Japanese characters for one word. So
text and query are prepared alike: such a run becomes its overlapping pairs and its
last character (`洗衣机` gives `洗衣 衣机 机`). A word of two characters is then one
token, a longer one a phrase of tokens, a single character the beginning of one.
Of each claim the first 2,000 characters are searched.
"""

import re
import unicodedata
from collections.abc import Iterator
from hashlib import sha256
from itertools import pairwise
from typing import Final

from counterfoil_credentials.claims import ClaimPath
from counterfoil_credentials.encoding import Json, JsonObject, b64url, compact_json
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.spec import NEVER_CONCEALED

from counterfoil_wallet.leaves import leaves

# What says how the credential is signed, bound and checked, rather than what it says.
_FRAME: Final = NEVER_CONCEALED | {"iat"}
_LONGEST_VALUE: Final = 128
_LONGEST_TEXT: Final = 2_000
_MOST_WORDS: Final = 32
# For private use: a word to SQLite, none to `_WORD`. No phrase goes from one claim to the next.
_BETWEEN_CLAIMS: Final = " \ue000 "
# Han (with extensions and compatibility forms), kana, bopomofo and hangul; after NFKC.
_UNSPACED: Final = re.compile(
    "[\u3005-\u3007\u3041-\u30ff\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]+"
)
_WORD: Final = re.compile(r"\w+")


def found_by(claims: JsonObject) -> tuple[set[tuple[str, str]], str]:
    """Give the facts, path and value of each claim, and the prepared text of what they say."""
    facts: set[tuple[str, str]] = set()
    texts: list[str] = []
    for name, claim in claims.items():
        if name in _FRAME:
            continue
        for path, value in leaves(claim, (name,)):
            facts.add((fact_path(path), fact_value(value)))
            if isinstance(value, str):
                texts.append(" ".join(_tokens(value[:_LONGEST_TEXT])))
            elif isinstance(value, int | float) and not isinstance(value, bool):
                texts.append(str(value))
    return facts, _BETWEEN_CLAIMS.join(filter(None, texts))


def require_findable(path: ClaimPath, value: Json) -> None:
    """Insist on one value of a claim: lists, objects and the words of the frame are no facts."""
    if not path or path[0] in _FRAME:
        raise Misuse("expected the path of a claim, found none, or of what frames the credential")
    if isinstance(value, dict | list) and value:
        raise Misuse("expected one value to find a card by, found a list or an object")


def fact_path(path: ClaimPath) -> str:
    """Give a path's text. A list's elements are not told apart: any of them may be the one."""
    return compact_json([None if isinstance(step, int) else step for step in path]).decode()


def fact_value(value: Json) -> str:
    """Give a value's text: compact JSON, or its hash where that is long."""
    text = compact_json(value)
    if len(text) <= _LONGEST_VALUE:
        return text.decode()
    return f"sha256 {b64url(sha256(text).digest())}"


def query_of(text: str) -> str:
    """Give the full-text query for what somebody typed, or "" where there is no word in it.

    Every word must occur, in any order; the last may be unfinished. A word that is
    written with a mark inside (`SN-17`) is looked for as it stands.
    """
    words = [tokens for word in text.split()[:_MOST_WORDS] if (tokens := list(_tokens(word)))]
    return " ".join(_phrase(tokens, is_last=tokens is words[-1]) for tokens in words)


def _phrase(tokens: list[str], *, is_last: bool) -> str:
    ends_unspaced = _UNSPACED.fullmatch(tokens[-1]) is not None
    if ends_unspaced and len(tokens) > 1 and tokens[-2][-1] == tokens[-1]:
        # The last character of a run is a token by itself only where the run ends.
        tokens = tokens[:-1]
    # A single character is the beginning of a pair, wherever it does not end its run.
    begins = is_last or (ends_unspaced and len(tokens[-1]) == 1)
    return f'"{" ".join(tokens)}"{"*" if begins else ""}'


def _tokens(text: str) -> Iterator[str]:
    for word in _WORD.findall(unicodedata.normalize("NFKC", text)):
        end = 0
        for run in () if word.isascii() else _UNSPACED.finditer(word):
            if end < run.start():
                yield word[end : run.start()]
            yield from (first + second for first, second in pairwise(run[0]))
            yield run[0][-1]
            end = run.end()
        if end < len(word):
            yield word[end:]
