"""The notary through a points service: roots and recalls by services that run no chain.

    notary = NotaryClient(client, operator_key)
    NotaryAnchor(within, signer, notary, submit=notary.submit)     # notary_anchor.py
    notary.recall(Recall(...), signer)
    notary.close(RecallEnd(...), signer)

The service writes what was signed here and can sign nothing itself. What it tells of the
chain is believed when roots are read: who must not believe it reads the chain.
"""

from counterfoil_credentials.encoding import JsonObject, as_object, int_at, object_at, text_at
from counterfoil_credentials.errors import Refused

from counterfoil_loyalty.accounts import Account, Signer, account_from
from counterfoil_loyalty.client import PointsClient
from counterfoil_loyalty.intents import sign_by_brand
from counterfoil_loyalty.ledger import Block, Event, LedgerIdentity, Outcome
from counterfoil_loyalty.notary import AnchorRoot, Recall, RecallEnd


class NotaryClient:
    """A points service as `NotaryAnchor` reads and writes it (`Blocks`, and `submit`)."""

    def __init__(self, client: PointsClient, operator_key: str) -> None:
        self._client = client
        self._operator_key = operator_key

    @property
    def identity(self) -> LedgerIdentity:
        """Give where signatures are valid; the service tells no genesis."""
        venue = self._client.venue()
        return LedgerIdentity(venue.chain_id, "", venue.exchange, venue.clearing, venue.peer_swap)

    def head(self) -> int:
        return int_at(self._client.ask("/health"), "block", "health")

    def final(self) -> int:
        return int_at(self._client.ask("/health"), "final", "health")

    def block(self, number: int) -> Block:
        """Give the events of one block; without its name, which the service does not tell."""
        rows = self._client.events_after(number - 1)
        mine = [row for row in rows if int_at(row, "block", "events[]") == number]
        at = int_at(mine[0], "at", "events[]") if mine else 0
        return Block(number, "", "", at, tuple(_event(row) for row in mine))

    def submit(self, action: AnchorRoot) -> Outcome:
        """Have a root written; a refusal is its outcome, `Unavailable` says nothing of it."""
        it = action.root
        body: JsonObject = {
            "issuer": it.issuer,
            "number": it.number,
            "root": it.root.hex(),
            "previous": it.previous.hex(),
            "signature": action.signature.hex(),
        }
        try:
            self._send("/notary/roots", body)
        except Refused as error:
            return Outcome(self.head(), error.reasons[0])
        return Outcome(self.head(), None)

    def recall(self, recall: Recall, signer: Signer) -> str:
        """Open a recall; give the transaction."""
        body: JsonObject = {
            "issuer": recall.issuer,
            "batch": recall.batch.hex(),
            "notice": recall.notice.hex(),
            "severity": recall.severity,
            "round": recall.round,
            "signature": sign_by_brand(recall, self._client.venue(), signer).hex(),
        }
        return self._send("/notary/recalls", body)

    def close(self, end: RecallEnd, signer: Signer) -> str:
        """Close a recall; give the transaction."""
        body: JsonObject = {
            "issuer": end.issuer,
            "batch": end.batch.hex(),
            "notice": end.notice.hex(),
            "round": end.round,
            "signature": sign_by_brand(end, self._client.venue(), signer).hex(),
        }
        return self._send("/notary/recalls/ends", body)

    def _send(self, path: str, body: JsonObject) -> str:
        answer = self._client.send(path, body, operator_key=self._operator_key)
        return text_at(answer, "transaction", "notary")


def _event(row: JsonObject) -> Event:
    values = as_object(object_at(row, "values", "events[]"), "events[].values")
    return Event(
        transaction_id=text_at(row, "transaction_id", "events[]"),
        index=int_at(row, "index", "events[]"),
        contract=_contract(row),
        name=text_at(row, "name", "events[]"),
        values={
            name: value
            for name, value in values.items()
            if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))
        },
    )


def _contract(row: JsonObject) -> Account:
    return account_from(text_at(row, "contract", "events[]"), "events[].contract")
