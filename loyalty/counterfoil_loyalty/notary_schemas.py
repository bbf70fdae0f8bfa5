"""The HTTP bodies of what is written to the notary, and the action that each of them is."""

from typing import Annotated

from pydantic import Field

from counterfoil_loyalty.accounts import account_from
from counterfoil_loyalty.notary import (
    AnchoredRoot,
    AnchorRoot,
    CloseRecall,
    OpenRecall,
    Recall,
    RecallEnd,
)
from counterfoil_loyalty.schemas import AccountText, Body, Count, Hex32, Number64, Signature

_Severity = Annotated[int, Field(strict=True, ge=0, le=255)]


class AnchorBody(Body):
    """POST /notary/roots: signed by `issuer`; `previous` is the head of its chain of roots."""

    issuer: AccountText
    number: Count
    root: Hex32
    previous: Hex32
    signature: Signature

    def action(self) -> AnchorRoot:
        root = AnchoredRoot(
            issuer=account_from(self.issuer, "issuer"),
            number=self.number,
            root=bytes.fromhex(self.root),
            previous=bytes.fromhex(self.previous),
        )
        return AnchorRoot(root, bytes.fromhex(self.signature))


class RecallBody(Body):
    """POST /notary/recalls: signed by `issuer`; `round` is odd."""

    issuer: AccountText
    batch: Hex32
    notice: Hex32
    severity: _Severity
    round: Number64
    signature: Signature

    def action(self) -> OpenRecall:
        recall = Recall(
            issuer=account_from(self.issuer, "issuer"),
            batch=bytes.fromhex(self.batch),
            notice=bytes.fromhex(self.notice),
            severity=self.severity,
            round=self.round,
        )
        return OpenRecall(recall, bytes.fromhex(self.signature))


class RecallEndBody(Body):
    """POST /notary/recalls/ends: signed by `issuer`; `round` is even."""

    issuer: AccountText
    batch: Hex32
    notice: Hex32
    round: Number64
    signature: Signature

    def action(self) -> CloseRecall:
        end = RecallEnd(
            issuer=account_from(self.issuer, "issuer"),
            batch=bytes.fromhex(self.batch),
            notice=bytes.fromhex(self.notice),
            round=self.round,
        )
        return CloseRecall(end, bytes.fromhex(self.signature))
