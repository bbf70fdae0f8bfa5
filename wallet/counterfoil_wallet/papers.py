"""What was signed about one grant, kept word for word, and how the grant came about.

Nothing here is needed to go on with a grant: it is what the customer can show when
somebody does not keep to it. No paper holds a claim value or a private key; whom each
is signed by, and by which key, anybody can check without this wallet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final

from counterfoil_consent.papers import Paper
from counterfoil_consent.wire import GrantId
from counterfoil_credentials.encoding import (
    JsonObject,
    compact_json,
    object_at,
    optional_text_at,
    parse_object,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.sdjwt_vc import time_at

from counterfoil_wallet.printable import shortened
from counterfoil_wallet.store import Kind, Record
from counterfoil_wallet.wire import required_time_at

_MAX_BODY_BYTES: Final = 16 * 1024 * 1024
_WHERE: Final = "papers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Papers:
    """The papers of one grant. `screen` is what the app calls the place where she agreed.

    `notice` is the text that she saw. `accesses` are the receiver's signed access
    events, oldest first. `notice_differs_since` says since when another text stands
    where the notice was, `log_differs_since` since when the receiver shows another log
    than the one that it showed before.
    """

    grant_id: GrantId
    asked_at: datetime
    screen: str | None
    notice: str = field(repr=False)
    tokens: Mapping[Paper, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    accesses: tuple[str, ...] = field(default=(), repr=False)
    notice_differs_since: datetime | None = None
    log_differs_since: datetime | None = None

    def token(self, paper: Paper) -> str | None:
        """Give one paper, or None where it never came."""
        return self.tokens.get(paper)

    def filing(self, paper: Paper, token: str | None) -> "Papers":
        """Give the papers with this one among them; None leaves what is there."""
        if token is None:
            return self
        return replace(self, tokens=MappingProxyType({**self.tokens, paper: token}))

    def with_log(self, accesses: tuple[str, ...], *, now: datetime) -> "Papers":
        """Give the papers with the receiver's log of now; what it showed before has to be in it.

        A log that leaves out or changes what was there is noted, and the old one kept.
        """
        if accesses[: len(self.accesses)] != self.accesses:
            return replace(self, log_differs_since=self.log_differs_since or now)
        return replace(self, accesses=accesses)

    def to_record(self) -> Record:
        """Give the record to store."""
        body: JsonObject = {
            "asked_at": int(self.asked_at.timestamp()),
            "notice": self.notice,
            "tokens": {paper.value: token for paper, token in self.tokens.items()},
            "accesses": [*self.accesses],
        }
        if self.screen is not None:
            body["screen"] = shortened(self.screen)
        times = {
            "notice_differs_since": self.notice_differs_since,
            "log_differs_since": self.log_differs_since,
        }
        body |= {name: int(at.timestamp()) for name, at in times.items() if at is not None}
        return Record(Kind.PAPERS, self.grant_id, "", compact_json(body))

    @staticmethod
    def from_record(record: Record) -> "Papers":
        """Read stored papers."""
        body = parse_object(record.body, _WHERE, max_bytes=_MAX_BODY_BYTES)
        tokens = object_at(body, "tokens", _WHERE)
        if not set(tokens) <= {paper.value for paper in Paper}:
            raise Malformed("known papers", "another", f"{_WHERE}.tokens")
        return Papers(
            grant_id=GrantId(record.key),
            asked_at=required_time_at(body, "asked_at", _WHERE),
            screen=optional_text_at(body, "screen", _WHERE),
            notice=text_at(body, "notice", _WHERE),
            tokens=MappingProxyType(
                {Paper(name): text_at(tokens, name, _WHERE) for name in tokens}
            ),
            accesses=tuple(texts_at(body, "accesses", _WHERE)),
            notice_differs_since=time_at(body, "notice_differs_since", _WHERE),
            log_differs_since=time_at(body, "log_differs_since", _WHERE),
        )
