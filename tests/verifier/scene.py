"""One brand, one customer, one shop: good values that the tests change one thing of."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from counterfoil_credentials.claims import ClaimPath
from counterfoil_credentials.encoding import Json, JsonObject, compact_json
from counterfoil_credentials.errors import Unavailable
from counterfoil_credentials.jose import encrypt_jwe
from counterfoil_credentials.jws import read_jws, sign_jws
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.request_links import parse_request_link
from counterfoil_credentials.requests import (
    PresentationRequest,
    read_request,
    response_form,
)
from counterfoil_credentials.sdjwt import SdJwt, disclose
from counterfoil_credentials.sdjwt_vc import StatusReference, issue_credential
from counterfoil_credentials.spec import STATUS_LIST_TYP
from counterfoil_credentials.token_status_list import pack, sign_status_list
from counterfoil_verifier import (
    WARRANTY,
    Asked,
    Counter,
    MemoryStore,
    PinnedTrust,
    Preset,
    RequestId,
    SessionStore,
    Shop,
    Statuses,
    TrustedIssuer,
    Verifier,
)
from counterfoil_verifier.requesting import ask

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)

ISSUER = "https://audio.example"
WARRANTY_TYPE = "https://audio.example/types/warranty"
RECEIPT_TYPE = "https://audio.example/types/receipt"
LIST_URL = "https://audio.example/status-lists/1"
INDEX = 5

CONCEALED: tuple[ClaimPath, ...] = (("price",), ("buyer", "name"))
ASKED: tuple[ClaimPath, ...] = WARRANTY.claims


def warranty_claims(**changes: Json) -> JsonObject:
    return {
        "item": {"name": "Auricle One", "gtin": "4006381333931", "serial": "A1-0001"},
        "valid_until": "2028-11-02",
        "price": "199.00",
        "buyer": {"name": "Li Na"},
        **changes,
    }


def answer_form(
    vp_token: Mapping[str, Sequence[str]], request: PresentationRequest
) -> dict[str, str]:
    """Give the form of an answer in the mode that the request wants, as a good wallet does."""
    if request.encryption is None:
        return response_form(vp_token, request.state)
    shown: JsonObject = {name: [*several] for name, several in vp_token.items()}
    plain = compact_json({"vp_token": shown, "state": request.state})
    return {"response": encrypt_jwe(plain, key=request.encryption.key)}


class Brand:
    """An issuer with one status list, which is signed anew at every fetch."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        self.signer = MemorySigner.generate()
        self.list_signer = self.signer
        self.list_chain: list[Json] = []
        self.listed = [0] * 16
        self.listed_at: datetime | None = None
        self.list_subject = LIST_URL
        self.list_ttl_s: int | None = 60
        self.list_expires_at: datetime | None = None
        self.token: str | None = None
        self.is_reachable = True
        self.fetches = 0

    def fetch(self, url: str) -> str:
        """Be the status source."""
        self.fetches += 1
        if not self.is_reachable:
            raise Unavailable("expected an answer, found nobody there")
        if self.token is not None:
            return self.token
        token = sign_status_list(
            pack(self.listed),
            url=self.list_subject,
            bits=2,
            signer=self.list_signer,
            issued_at=self.listed_at or self.clock(),
            expires_at=self.list_expires_at,
            ttl_s=self.list_ttl_s,
        )
        if not self.list_chain:
            return token
        claims = read_jws(token, typ=STATUS_LIST_TYP, where="list").unverified_claims
        header: JsonObject = {"x5c": self.list_chain}
        return sign_jws(claims, typ=STATUS_LIST_TYP, signer=self.list_signer, header=header)

    def warranty(self, **changes: object) -> SdJwt:
        """Issue a good warranty; `changes` are arguments of `issue_credential`."""
        arguments: dict[str, Any] = {
            "claims": warranty_claims(),
            "vct": WARRANTY_TYPE,
            "issuer": ISSUER,
            "signer": self.signer,
            "issued_at": NOON - DAY,
            "expires_at": NOON + 1000 * DAY,
            "status": StatusReference(LIST_URL, INDEX),
            "concealed": CONCEALED,
            "random": random.Random("salts").randbytes,
            **changes,
        }
        return issue_credential(arguments.pop("claims"), **arguments)


class Scene:
    """The brand, the customer and the shop, with a clock that only tests move."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        randomness: Callable[[int], bytes],
        store: SessionStore | None = None,
    ) -> None:
        self.clock = clock
        self.random = randomness
        self.brand = Brand(clock)
        self.holder = MemorySigner.generate()
        self.shop = Shop(
            name="Corner Shop", origin="https://till.example", signer=MemorySigner.generate()
        )
        self.preset: Preset = WARRANTY.accepting([WARRANTY_TYPE])
        self.trust = PinnedTrust(
            [
                TrustedIssuer(
                    issuer=ISSUER,
                    vcts=frozenset({WARRANTY_TYPE}),
                    keys=(self.brand.signer.public,),
                )
            ]
        )
        self.statuses = Statuses(self.brand)
        self.store = MemoryStore() if store is None else store
        self.counter = self.open_counter()

    def open_counter(self, **changes: object) -> Counter:
        """Give a counter over the scene's parts, as after a restart."""
        arguments: dict[str, Any] = {
            "shop": self.shop,
            "presets": [self.preset],
            "trust": self.trust,
            "statuses": self.statuses,
            "store": self.store,
            "random": self.random,
            "clock": self.clock,
            **changes,
        }
        return Counter(**arguments)

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.preset.policy(), self.trust, self.statuses)

    def request(self, **changes: object) -> PresentationRequest:
        waiting = ask(self.preset, language="en", random=self.random, now=self.clock())
        changed: dict[str, Any] = {**changes}
        return replace(self.shop.request(waiting, self.preset), **changed)

    def warranty(self, **changes: object) -> SdJwt:
        return self.brand.warranty(**{"holder": self.holder.public, **changes})

    def present(
        self,
        credential: SdJwt,
        request: PresentationRequest,
        *,
        paths: Sequence[ClaimPath] = ASKED,
        **changes: object,
    ) -> dict[str, tuple[str, ...]]:
        """Answer as a good wallet; `changes` are arguments of `bind`."""
        arguments: dict[str, Any] = {
            "signer": self.holder,
            "audience": request.client_id,
            "nonce": request.nonce,
            "now": self.clock(),
            **changes,
        }
        return {"warranty": (bind(disclose(credential, paths), **arguments),)}

    def fetch_request(self, asked: Asked) -> tuple[RequestId, PresentationRequest]:
        """Do what a wallet does with a link."""
        link = parse_request_link(asked.link)
        request_id = RequestId(link.request_uri.rsplit("/", 1)[1])
        signed = self.counter.request_object(request_id)
        return request_id, read_request(signed, client_id=link.client_id, now=self.clock())

    def answer(
        self,
        asked: Asked,
        credential: SdJwt | None = None,
        *,
        paths: Sequence[ClaimPath] = ASKED,
        **changes: object,
    ) -> tuple[RequestId, Mapping[str, str]]:
        """Give the request id and the form with which a good wallet answers."""
        request_id, request = self.fetch_request(asked)
        vp_token = self.present(credential or self.warranty(), request, paths=paths, **changes)
        return request_id, answer_form(vp_token, request)
