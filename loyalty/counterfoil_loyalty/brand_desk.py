"""A brand at the points service: its price, its corridors, its claims, its awards and policy.

    desk = BrandDesk(client, "https://audio.example", signer)
    desk.change_price(90)                          # lower: at once; higher: waits a week
    desk.pause()                                   # all corridors, until desk.resume()
    desk.tighten(audio, bicycle, quota=50_000_00)
    desk.acknowledge(bicycle, 12_000_000, payment_ref)
    desk.refund(holder, redemption_id)

Every verb asks the service how things stand, signs here, and sends. Each may be
tried again: what happened once is not done twice. Numbers that grow (versions,
sequences) are taken from the service; a lie in them is refused by the ledger.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from counterfoil_credentials.encoding import (
    JsonObject,
    as_object,
    int_at,
    list_at,
    object_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed

from counterfoil_loyalty.accounts import NOBODY, Account, Signer, account_from
from counterfoil_loyalty.claim_answers import cover_from, whole_number_at
from counterfoil_loyalty.claims import Acknowledgement
from counterfoil_loyalty.client import PointsClient
from counterfoil_loyalty.corridors import NEVER, ExchangePause, PriceChange, Tightening
from counterfoil_loyalty.intents import Award, Signable, sign_by_brand
from counterfoil_loyalty.issuing import AwardBatch, Cancellation, Pause, Policy, Refund
from counterfoil_loyalty.ledger import Cover
from counterfoil_loyalty.points import Points
from counterfoil_loyalty.rates import MAX_PRICE


@dataclass(frozen=True, slots=True)
class BrandDesk:
    """One brand's side of a points service; `signer` holds the key that the verb needs.

    Prices, corridors and claims are signed by the key that registered the brand; awards,
    cancellations and refunds by the issuer of the policy; a policy by its admin.
    """

    client: PointsClient
    brand: str
    signer: Signer

    # Prices and corridors

    def change_price(self, price: int) -> str:
        """Give the points another price; a higher one is announced, and waits.

        Gives the transaction, as every verb here.
        """
        version = int_at(self._listed(), "price_version", "brands[]") + 1
        change = PriceChange(token=self._token(), price=price, version=version)
        return self._send("/prices", change, {"price": price, "version": version})

    def enact_price(self) -> str:
        """Bring the announced price into force, once it has waited."""
        announced = object_at(self._listed(), "announced_price", "brands[]")
        version = int_at(announced, "version", "brands[].announced_price")
        return self._ask("/prices/enactments", {"brand": self.brand, "version": version})

    def enact_terms(self, giver: str, taker: str, version: int) -> str:
        """Bring announced terms into force, once they have waited."""
        body: JsonObject = {"from": giver, "to": taker, "version": version}
        return self._ask("/terms/enactments", body)

    def pause(self) -> str:
        """Close all of the brand's corridors, at once."""
        return self._pause(paused=True)

    def resume(self) -> str:
        """Open the brand's corridors again."""
        return self._pause(paused=False)

    def tighten(
        self,
        giver: str,
        taker: str,
        *,
        paused: bool = False,
        quota: int = MAX_PRICE,
        customer_quota: int = MAX_PRICE,
        credit: int = MAX_PRICE,
        ends_at: int = NEVER,
    ) -> str:
        """Make a corridor safer, at once; each limit is "at most this", and what is left out stays.

        `paused` is this brand's own pause of the corridor. `ends_at` (unix seconds)
        keeps the notice that was agreed.
        """
        sequence = self._sequence()
        tightening = Tightening(
            by=self._token(),
            token_in=self.client.programme(giver).token,
            token_out=self.client.programme(taker).token,
            paused=paused,
            sequence=sequence,
            quota=quota,
            customer_quota=customer_quota,
            credit=credit,
            ends_at=ends_at,
        )
        body: JsonObject = {
            "from": giver,
            "to": taker,
            "paused": paused,
            "sequence": sequence,
            "quota": quota,
            "customer_quota": customer_quota,
            "credit": credit,
            "ends_at": ends_at,
        }
        return self._send("/tightenings", tightening, body)

    # Claims

    def owed(self, debtor: str, creditor: str) -> Cover:
        """Give what one brand owes another, and what stands behind it."""
        return claim_between(self.client, debtor, creditor)

    def acknowledge(self, debtor: str, value: int, ref: bytes) -> str:
        """Say that `debtor` paid `value` (millionths) outside the chain, under `ref` (32 bytes)."""
        paid = Acknowledgement(
            debtor=self.client.programme(debtor).token,
            creditor=self._token(),
            value=value,
            ref=ref,
        )
        signature = sign_by_brand(paid, self.client.venue(), self.signer).hex()
        body: JsonObject = {
            "debtor": debtor,
            "creditor": self.brand,
            "value": value,
            "ref": ref.hex(),
            "signature": signature,
        }
        return _transaction(self.client.send("/acknowledgements", body, key=ref))

    # Awards that wait, come back or end

    def award_pending(self, points: Points, account: Account, ref: bytes, available_at: int) -> str:
        """Award points that wait until `available_at` (unix seconds); see `cancel`, `release`."""
        award = Award(
            token=self._token(), to=account, amount=points.units, ref=ref, available_at=available_at
        )
        body: JsonObject = {
            "account": account,
            "amount": points.units,
            "ref": ref.hex(),
            "available_at": available_at,
        }
        return self._send("/awards", award, body, key=ref)

    def award_many(self, awards: Sequence[tuple[Account, int]], ref: bytes) -> str:
        """Award base units to many accounts at once, once per `ref` (32 bytes)."""
        batch = AwardBatch(token=self._token(), awards=tuple(awards), ref=ref)
        listed: JsonObject = {
            "awards": [[account, units] for account, units in awards],
            "ref": ref.hex(),
        }
        return self._send("/award-batches", batch, listed, key=ref)

    def cancel(self, ref: bytes) -> str:
        """Take back an award that waits still."""
        cancellation = Cancellation(token=self._token(), ref=ref)
        return self._send("/cancellations", cancellation, {"ref": ref.hex()})

    def release(self, ref: bytes) -> str:
        """Bring an award into its balance whose time has come; anybody may."""
        return self._ask("/releases", {"brand": self.brand, "ref": ref.hex()})

    def refund(self, holder: Account, redemption_id: bytes) -> str:
        """Give back what was redeemed, once."""
        refund = Refund(token=self._token(), holder=holder, redemption_id=redemption_id)
        body: JsonObject = {"holder": holder, "id": redemption_id.hex()}
        return self._send("/refunds", refund, body)

    def expire(self, holder: Account, *, attempt: int = 0) -> str:
        """Burn the points of a holder who was inactive for the whole window; anybody may.

        `attempt` counts how often this was asked for this holder.
        """
        body: JsonObject = {"brand": self.brand, "holder": holder, "attempt": attempt}
        return self._ask("/expiries", body)

    # Who may sign

    def policy(self) -> Policy:
        """Give the policy in force; before the first, that of the key that registered the brand."""
        listed = self._listed()
        token = account_from(text_at(listed, "token", "brands[]"), "brands[].token")
        if listed.get("policy") is None:
            issuer = account_from(text_at(listed, "issuer", "brands[]"), "brands[].issuer")
            return Policy(token=token, admin=issuer, issuer=issuer, version=0)
        found, where = object_at(listed, "policy", "brands[]"), "brands[].policy"
        return Policy(
            token=token,
            admin=account_from(text_at(found, "admin", where), where),
            issuer=account_from(text_at(found, "issuer", where), where),
            version=int_at(found, "version", where),
            earn_roots=account_from(text_at(found, "earn_roots", where), where),
            capacity=whole_number_at(found, "capacity", where),
            refill_s=int_at(found, "refill", where),
            inactivity_s=int_at(found, "inactivity", where),
        )

    def govern(self, policy: Policy, *, next_admin: Signer | None = None) -> str:
        """Put a policy into force, one above that in force; `next_admin` accepts when it changes.

        Take `policy()` and change it with `dataclasses.replace`: its version is set here.
        """
        policy = replace(policy, version=self.policy().version + 1)
        body: JsonObject = {
            "admin": policy.admin,
            "issuer": policy.issuer,
            "version": policy.version,
            "earn_roots": policy.earn_roots or NOBODY,
            "capacity": policy.capacity,
            "refill": policy.refill_s,
            "inactivity": policy.inactivity_s,
            "paused": policy.is_paused,
        }
        if next_admin is not None:
            body["acceptance"] = sign_by_brand(policy, self.client.venue(), next_admin).hex()
        return self._send("/policies", policy, body)

    def pause_awards(self) -> str:
        """Stop the brand's awards until the next policy; the issuer or the admin may."""
        pause = Pause(token=self._token(), version=self.policy().version)
        return self._send("/award-pauses", pause, {"version": pause.version})

    def _pause(self, *, paused: bool) -> str:
        sequence = self._sequence()
        pause = ExchangePause(token=self._token(), paused=paused, sequence=sequence)
        return self._send("/pauses", pause, {"paused": paused, "sequence": sequence})

    def _listed(self) -> JsonObject:
        for entry in list_at(self.client.ask("/brands"), "brands", "brands"):
            listed = as_object(entry, "brands[]")
            if listed.get("brand") == self.brand:
                return listed
        raise Malformed("this brand among those with points", "others", "brands")

    def _token(self) -> Account:
        return self.client.programme(self.brand).token

    def _sequence(self) -> int:
        return int_at(self._listed(), "sequence", "brands[]")

    def _send(
        self, path: str, value: Signable, body: JsonObject, *, key: bytes | None = None
    ) -> str:
        signature = sign_by_brand(value, self.client.venue(), self.signer).hex()
        whole: JsonObject = {"brand": self.brand, **body, "signature": signature}
        return _transaction(self.client.send(path, whole, key=key))

    def _ask(self, path: str, body: JsonObject) -> str:
        return _transaction(self.client.send(path, body))


def claim_between(client: PointsClient, debtor: str, creditor: str) -> Cover:
    """Give what one brand owes another (millionths; below zero the other way), and its cover."""
    return cover_from(client.claim(debtor, creditor), "claims")


def net(client: PointsClient, brands: Sequence[str], *, number: int) -> str:
    """Shrink a cycle of claims by its smallest: each of `brands` owes the next, the last the first.

    `number` tells two nettings of one cycle apart; the same again is the same netting.
    """
    body: JsonObject = {"brands": list(brands), "number": number}
    return _transaction(client.send("/nettings", body))


def _transaction(answer: JsonObject) -> str:
    return text_at(answer, "transaction", "answer")
