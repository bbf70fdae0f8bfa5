"""A brand with a catalogue and an orders file, and a customer's wallet reduced to its bytes."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.holder_proof import make_proof
from counterfoil_credentials.issuer_keys import parse_issuer_keys
from counterfoil_credentials.keys import MemorySigner, Signer
from counterfoil_credentials.offers import parse_offer
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import StatusReference, VerifiedCredential, read_credential
from counterfoil_credentials.spec import PRE_AUTHORIZED_GRANT
from counterfoil_credentials.token_status_list import read_status_list
from counterfoil_issuer.catalogue import Catalogue, parse_catalogue
from counterfoil_issuer.issuer import Issuer, IssuerOptions
from counterfoil_issuer.issuing import Issued
from counterfoil_issuer.offering import OpenOffer
from counterfoil_issuer.sql_store import SqlStore
from counterfoil_issuer.staff import Staff, staff_of
from counterfoil_issuer.store import Store
from counterfoil_issuer.tokens import AccessToken, Presented

AUDIO = "https://audio.example"
SECRET = b"a secret of the audio brand only"
STATUS_LIST_SIZE = 64

CATALOGUE = b"""{
  "brand": {"id": "audio", "name": {"en": "Auricle", "zh": "\xe8\x81\x86\xe8\x80\xb3"}},
  "products": [
    {"sku": "ONE", "gtin": "4006381333931", "name": "Auricle One",
     "serial_prefix": "A1", "warranty_months": 24},
    {"sku": "BUDS", "gtin": "4012345000009", "name": "Auricle Buds",
     "serial_prefix": "AB", "warranty_months": 12},
    {"sku": "PADS", "gtin": "4012345000016", "name": "Ear pads", "warranty_months": 0}
  ]
}"""

HEADER = (
    "Name,Email,Paid at,Currency,Taxes,Billing Name,"
    "Lineitem name,Lineitem sku,Lineitem quantity,Lineitem price"
)
_MIRA = "mira@example.org,2026-03-01 12:34:56 +0100,EUR,58.91,Mira Sample"
ORDER_1001 = (f"#1001,{_MIRA},Auricle One,ONE,1,349.00", "#1001,,,,,,Ear pads,PADS,1,20.00")
ORDER_1002 = (
    "#1002,jun@example.org,2026-03-02 08:15:00 +0800,JPY,2710,Jun Sample,Auricle Buds,BUDS,2,14900",
)


T = TypeVar("T")


def wait(answer: Coroutine[Any, Any, T]) -> T:
    """Give what an `async` verb gives."""
    return asyncio.run(answer)


def orders_file(*rows: str, header: str = HEADER) -> bytes:
    """Give an orders file with these rows."""
    return "\n".join([header, *rows, ""]).encode()


ORDERS = orders_file(*ORDER_1001, *ORDER_1002)


def issuer_on(
    store: Store,
    clock: Callable[[], datetime],
    random: Callable[[int], bytes],
    *,
    url: str = AUDIO,
    signer: Signer | None = None,
    options: IssuerOptions | None = None,
    catalogue: Catalogue | None = None,
) -> Issuer:
    """Give the audio brand's issuer on `store`."""
    return Issuer(
        url=url,
        catalogue=catalogue or parse_catalogue(CATALOGUE),
        signer=signer or MemorySigner.generate(),
        secret=SECRET,
        store=store,
        options=options or IssuerOptions(status_list_size=STATUS_LIST_SIZE),
        clock=clock,
        random=random,
    )


def staffed(issuer: Issuer, key: str) -> Staff:
    """Give a back office whose owner has `key`."""
    assert isinstance(issuer.store, SqlStore)
    return staff_of(issuer, issuer.store, back_office_key=key)


@dataclass
class Customer:
    """Speaks the protocol as a wallet does, one step at a time, so that a test may err."""

    issuer: Issuer
    clock: Callable[[], datetime]
    key: Signer
    received: list[Issued] = field(default_factory=list[Issued])

    def form(self, offer: OpenOffer) -> dict[str, str]:
        """Give a good token request for `offer`."""
        form = {
            "grant_type": PRE_AUTHORIZED_GRANT,
            "pre-authorized_code": parse_offer(offer.link).pre_authorized_code,
        }
        if offer.tx_code is not None:
            form["tx_code"] = offer.tx_code
        return form

    def token(self, offer: OpenOffer) -> str:
        """Redeem `offer`."""
        return self.redeemed(self.form(offer)).value

    def redeemed(self, form: dict[str, str]) -> AccessToken:
        """Send a token request."""
        return wait(self.issuer.redeem(form))

    def proof(self, nonce: str | None = None, *, key: Signer | None = None) -> str:
        """Give a good proof, with a fresh nonce unless one is given."""
        return make_proof(
            key or self.key,
            issuer=self.issuer.url,
            nonce=nonce or self.issuer.nonce(),
            now=self.clock(),
        )

    def request(self, type_name: str = "warranty", proof: str | None = None) -> JsonObject:
        """Give a good credential request."""
        return {
            "credential_configuration_id": type_name,
            "proofs": {"jwt": [proof or self.proof()]},
        }

    def issued(self, token: str, type_name: str = "warranty") -> Issued:
        """Ask for a credential with a fresh proof."""
        issued = self.asked(token, self.request(type_name))
        if issued not in self.received:
            self.keep(issued)
        return issued

    def asked(self, token: str | None, request: JsonObject) -> Issued:
        """Send a credential request that is answered at once."""
        issued = wait(self.issuer.issue(Presented(token), request))
        assert isinstance(issued, Issued)
        return issued

    def keep(self, issued: Issued) -> None:
        """Keep what came, before the issuer hears of it."""
        self.received.append(issued)

    def store(self, token: str, issued: Issued) -> None:
        """Tell the issuer that the credential was stored."""
        self.told(token, notification(issued))

    def told(self, token: str | None, said: JsonObject) -> None:
        """Send a notification."""
        wait(self.issuer.notify(Presented(token), said))

    def accept(self, offer: OpenOffer) -> list[Issued]:
        """Walk an offer to its end: every credential issued and acknowledged."""
        token = self.token(offer)
        credentials = [self.issued(token, dataset.type_name) for dataset in offer.datasets]
        for issued in credentials:
            self.store(token, issued)
        return credentials

    def verified(self, issued: Issued) -> VerifiedCredential:
        """Verify a credential with the keys that the issuer publishes."""
        (text,) = issued.credentials
        credential = read_credential(SdJwt.parse(text))
        keys = parse_issuer_keys(self.issuer.keys_document(), self.issuer.url)
        return credential.verify(keys[credential.key_id or ""])

    def status(self, issued: Issued) -> int:
        """Give the credential's entry of the list that is published now."""
        reference = status_of(self.verified(issued))
        token = self.issuer.status_list(int(reference.url.rpartition("/")[2]))
        assert token is not None
        keys = parse_issuer_keys(self.issuer.keys_document(), self.issuer.url)
        (key,) = keys.values()
        listed = read_status_list(token, url=reference.url, issuer_key=key, now=self.clock())
        return listed.status_at(reference.index)


def notification(issued: Issued, event: str = "credential_accepted") -> JsonObject:
    """Give a wallet's notification."""
    return {"notification_id": issued.notification_id, "event": event}


def status_of(credential: VerifiedCredential) -> StatusReference:
    """Give where the credential's status stands."""
    assert credential.status is not None
    return credential.status


def status_indices(customer: Customer, issued: Sequence[Issued]) -> list[int]:
    """Give the credentials' status indices."""
    return [status_of(customer.verified(one)).index for one in issued]
