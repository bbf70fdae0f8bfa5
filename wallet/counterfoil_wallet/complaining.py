"""The complaint pack: everything that was signed about one grant, for an authority.

    {"format": "counterfoil-complaint", "version": 1, "made_at", "language", "text",
     "authority", "controller", "custodian", "holder", "purpose", "claims", "end",
     "notice", "agreement", "papers": [{"number", "name", "signed_by", "token"}, …], "missing"}

Papers are numbered as in the design: 1 request, 2 grant, 4 receipt, 5 the custodian's
count of its leases, 6 the receiver's access events, 7 the end and the pauses, 8 stop
notice, 9 key destruction, 10 erasure receipt. The sealed bundle (3) is named by the grant,
by its digest, and stays where it is. Each is as it came: `verify_pack` needs nothing else.
No claim value is in it; that the holder's key is used for this receiver alone keeps it
from saying who else she deals with.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Final

from counterfoil_consent.access_log import read_chain
from counterfoil_consent.papers import Paper, verify_paper
from counterfoil_consent.states import Agreement
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    compact_json,
    list_at,
    object_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed

from counterfoil_wallet.consent_view import Consent, ConsentState, End
from counterfoil_wallet.consent_words import Language, lack_text, purpose_text
from counterfoil_wallet.papers import Papers
from counterfoil_wallet.printable import printable
from counterfoil_wallet.wire import refuse

FORMAT: Final = "counterfoil-complaint"
VERSION: Final = 1
MAX_PACK_BYTES: Final = 32 * 1024 * 1024
_WHERE: Final = "complaint"
_ACCESS: Final = "access"
_NUMBERS: Final[Mapping[Paper, int]] = {
    Paper.REQUEST: 1,
    Paper.GRANT: 2,
    Paper.RECEIPT: 4,
    Paper.USAGE: 5,
    Paper.PAUSE: 7,
    Paper.END: 7,
    Paper.STOP_NOTICE: 8,
    Paper.KEY_DESTRUCTION: 9,
    Paper.ERASURE_RECEIPT: 10,
}
_SIGNERS: Final[Mapping[Paper, str]] = {
    Paper.REQUEST: "receiver",
    Paper.GRANT: "holder",
    Paper.RECEIPT: "receiver",
    Paper.USAGE: "custodian",
    Paper.PAUSE: "holder",
    Paper.END: "holder",
    Paper.STOP_NOTICE: "receiver",
    Paper.KEY_DESTRUCTION: "custodian",
    Paper.ERASURE_RECEIPT: "receiver",
}
_TEXTS: Final[Mapping[Language, str]] = {
    Language.ENGLISH: (
        "I let {receiver} read the following about me, {purpose}: {claims}. "
        "This ended on {ended}. {owed} I ask you to see to it. The signed papers are attached."
    ),
    Language.CHINESE: (
        "我曾允许{receiver}读取我的以下数据,用途:{purpose}。数据:{claims}。"
        "该授权已于 {ended} 结束。{owed}请予以处理。附上各方签署的文件。"
    ),
}


class _Owed(Enum):
    """What of the erasure is proved: an authority is told nothing that the papers deny."""

    OVERDUE = "overdue"
    DUE = "due"
    KEPT = "kept"
    PROVED = "proved"


_OWED: Final[Mapping[Language, Mapping[_Owed, str]]] = {
    Language.ENGLISH: {
        _Owed.OVERDUE: ("The proof that my data was erased was due by {due} and has not come."),
        _Owed.DUE: "The proof that my data was erased is due by {due} and has not come yet.",
        _Owed.KEPT: (
            "A law let them keep some of it. That this is erased too was to be proved by {due}, "
            "and the proof has not come."
        ),
        _Owed.PROVED: "A receipt for the erasure has come. It proves level {level}{lacks}.",
    },
    Language.CHINESE: {
        _Owed.OVERDUE: "删除证明应于 {due} 前提供,至今未收到。",
        _Owed.DUE: "删除证明应于 {due} 前提供,目前尚未收到。",
        _Owed.KEPT: "法律曾允许对方保留部分数据,其删除证明应于 {due} 前提供,至今未收到。",
        _Owed.PROVED: "已收到删除回执,其证明等级为 {level}{lacks}。",
    },
}


def complaint_pack(
    consent: Consent, agreement: Agreement, papers: Papers, *, language: Language, at: datetime
) -> bytes:
    """Give the file for the authority that the terms name, or for the one that she knows.

    Raises `Refused` with `not-ended` for a grant that is in force.
    """
    if consent.end is None:
        raise refuse("not-ended", "a grant that has ended", "one in force", _WHERE)
    listed: list[Json] = [
        _paper(paper, token) for paper in Paper if (token := papers.token(paper)) is not None
    ]
    accesses: list[Json] = [
        {"number": 6, "name": _ACCESS, "signed_by": "receiver", "token": token}
        for token in papers.accesses
    ]
    authority = consent.authority
    pack: JsonObject = {
        "format": FORMAT,
        "version": VERSION,
        "made_at": at.isoformat(),
        "language": language.value,
        "text": _text(consent, consent.end, language),
        "authority": None if authority is None else authority.to_json(),
        "controller": agreement.terms.receiver.to_json(),
        "custodian": agreement.terms.custodian.to_json(),
        "holder": agreement.holder,
        "purpose": consent.purpose.value,
        "claims": [name.to_json() for name in consent.claims],
        "end": {
            "trigger": consent.end.trigger.value,
            "at": consent.end.at.isoformat(),
            "erase_by": consent.end.erase_by.isoformat(),
        },
        "notice": papers.notice,
        "agreement": agreement.to_json(),
        "papers": [*listed, *accesses],
        "missing": [paper.value for paper in Paper if papers.token(paper) is None],
    }
    return compact_json(pack)


def verify_pack(raw: bytes, *, now: datetime) -> tuple[Agreement, tuple[Paper, ...]]:
    """Check each paper of a pack by its own signature; give what it is about and what is there.

    Raises `Refused` for a paper that somebody else signed or that is about another grant, and
    with `papers-missing` without the grant, which alone proves what was agreed; `Malformed`
    for what is none. It says nothing on who is right.
    """
    body = parse_object(raw, _WHERE, max_bytes=MAX_PACK_BYTES)
    if text_at(body, "format", _WHERE) != FORMAT or body.get("version") != VERSION:
        raise Malformed(f"{FORMAT}, version {VERSION}", "another", f"{_WHERE}.format")
    agreement = Agreement.from_json(object_at(body, "agreement", _WHERE), f"{_WHERE}.agreement")
    found: list[Paper] = []
    accesses: list[str] = []
    for value in list_at(body, "papers", _WHERE):
        listed = as_object(value, f"{_WHERE}.papers")
        name, token = text_at(listed, "name", _WHERE), text_at(listed, "token", _WHERE)
        if name == _ACCESS:
            accesses.append(token)
            continue
        try:
            paper = Paper(name)
        except ValueError as cause:
            raise Malformed("a known paper", "another", f"{_WHERE}.papers") from cause
        verify_paper(paper, token, agreement, now=now)
        found.append(paper)
    if Paper.GRANT not in found:
        raise refuse("papers-missing", "the grant that the holder signed", "none", _WHERE)
    receiver = agreement.terms.receiver.did
    read_chain(accesses, receiver=receiver, grant_id=agreement.grant_id)
    return agreement, tuple(found)


def _paper(paper: Paper, token: str) -> JsonObject:
    return {
        "number": _NUMBERS[paper],
        "name": paper.value,
        "signed_by": _SIGNERS[paper],
        "token": token,
    }


def _text(consent: Consent, end: End, language: Language) -> str:
    lacks = "; ".join(
        " ".join(filter(None, (printable(lack.party), lack_text(lack.what, language))))
        for lack in consent.lacks
    )
    owed = _OWED[language][_owed(consent)].format(
        due=f"{end.erase_by:%Y-%m-%d}",
        level="" if consent.level is None else consent.level.name,
        lacks=lacks and f" ({lacks})",
    )
    return _TEXTS[language].format(
        receiver=printable(consent.name),
        purpose=purpose_text(consent.purpose, language),
        claims=", ".join(map(str, consent.claims)),
        ended=f"{end.at:%Y-%m-%d}",
        owed=owed,
    )


def _owed(consent: Consent) -> _Owed:
    if consent.state is ConsentState.OVERDUE:
        return _Owed.OVERDUE if consent.level is None else _Owed.KEPT
    return _Owed.DUE if consent.level is None else _Owed.PROVED
