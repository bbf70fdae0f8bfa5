"""An issuer and a verifier whose every answer a test may bend."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import parse_qs

from counterfoil_credentials.claims import ClaimPath
from counterfoil_credentials.dcql import ClaimQuery, CredentialQuery, DcqlQuery
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import Json, JsonObject, compact_json, parse_object
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.holder_proof import check_proof
from counterfoil_credentials.issuer_keys import issuer_keys_document
from counterfoil_credentials.keys import MemorySigner, PublicKey
from counterfoil_credentials.offers import CredentialOffer, TxCode
from counterfoil_credentials.request_links import request_link
from counterfoil_credentials.requests import (
    PresentationRequest,
    ResponseEncryption,
    client_id_of,
    sign_request,
)
from counterfoil_credentials.sdjwt_vc import StatusReference, issue_credential

BRAND = "https://brand.example"
SHOP = "https://shop.example"
TYPE = "https://brand.example/types/warranty"
TOKEN = "a-token"
CLAIMS: JsonObject = {
    "item": {"name": "Auricle One", "serial": "A1-0001"},
    "price": "199.00",
    "buyer": {"name": "Mira Sample"},
}
CONCEALED: tuple[ClaimPath, ...] = (
    ("item", "name"),
    ("item", "serial"),
    ("price",),
    ("buyer", "name"),
)

Random = Callable[[int], bytes]
Clock = Callable[[], datetime]
Bend = Callable[[JsonObject], JsonObject]


@dataclass
class StrangeIssuer:
    """A conforming issuer with nothing optional, until a test changes something."""

    network: MemoryFetcher
    clock: Clock
    random: Random
    signer: MemorySigner = field(default_factory=MemorySigner.generate)
    signs_with: MemorySigner | None = None
    binds_to: PublicKey | None = None
    vct: str = TYPE
    claims: JsonObject = field(default_factory=lambda: CLAIMS)
    concealed: tuple[ClaimPath, ...] = CONCEALED
    status: StatusReference | None = None
    issuer: str = BRAND
    expires_in: timedelta = timedelta(days=365)
    tx_code: TxCode | None = None
    copies: int = 1
    code: str = "a-code"
    authorization_server: str | None = None
    client_id: str | None = None
    header: JsonObject = field(default_factory=dict[str, Json])
    answers: dict[str, Response] = field(default_factory=dict[str, Response])
    bends: dict[str, Bend] = field(default_factory=dict[str, Bend])
    received: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])
    events: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.network.serve(BRAND, self.handle)

    @property
    def link(self) -> str:
        return CredentialOffer(
            BRAND, ("warranty",), self.code, self.tx_code, self.authorization_server
        ).to_link()

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        self.received.append((path, body))
        if path in self.answers:
            return self.answers[path]
        answer = self._answer(path, body)
        bend = self.bends.get(path)
        return json_response(answer if bend is None else bend(answer))

    def _answer(self, path: str, body: bytes) -> JsonObject:
        match path:
            case "/.well-known/openid-credential-issuer":
                batch: JsonObject = {"batch_credential_issuance": {"batch_size": self.copies}}
                return {
                    **(batch if self.copies > 1 else {}),
                    "credential_issuer": BRAND,
                    "credential_endpoint": f"{BRAND}/credential",
                    "credential_configurations_supported": {
                        "warranty": {"format": "dc+sd-jwt", "vct": TYPE},
                        "driving-licence": {"format": "mso_mdoc", "doctype": "another"},
                    },
                }
            case "/.well-known/oauth-authorization-server":
                return {"issuer": BRAND, "token_endpoint": f"{BRAND}/token"}
            case "/.well-known/jwt-vc-issuer":
                return issuer_keys_document(BRAND, [self.signer.public])
            case "/token":
                return {"access_token": TOKEN, "token_type": "Bearer"}
            case "/nonce":
                return {"c_nonce": "a-nonce"}
            case "/notification":
                self.events.append(str(parse_object(body, "body")["event"]))
                return {}
            case _:
                proofs = parse_object(body, "body")["proofs"]
                assert isinstance(proofs, dict)
                tokens = proofs["jwt"]
                assert isinstance(tokens, list)
                return {"credentials": [{"credential": self._credential(str(t))} for t in tokens]}

    def _credential(self, token: str) -> str:
        proof = check_proof(
            token,
            issuer=BRAND,
            now=self.clock(),
            max_age=timedelta(minutes=5),
            client_id=self.client_id,
        )
        sd_jwt = issue_credential(
            self.claims,
            vct=self.vct,
            issuer=self.issuer,
            signer=self.signs_with or self.signer,
            holder=self.binds_to or proof.key,
            issued_at=self.clock(),
            expires_at=self.clock() + self.expires_in,
            status=self.status,
            concealed=self.concealed,
            random=self.random,
            header={"kid": self.signer.public.thumbprint(), **self.header},
        )
        return str(sd_jwt)


@dataclass
class StrangeShop:
    """A verifier that asks for a serial number, until a test changes something."""

    network: MemoryFetcher
    clock: Clock
    signer: MemorySigner = field(default_factory=MemorySigner.generate)
    signs_with: MemorySigner | None = None
    claims: tuple[ClaimQuery, ...] = (ClaimQuery(("item", "serial")),)
    query: DcqlQuery | None = None
    vct: str = TYPE
    client_name: str = "The Shop"
    purpose: str = "To see"
    retention: str | None = None
    claimed_client_id: str | None = None
    response_uri: str = f"{SHOP}/response"
    transaction_data: tuple[str, ...] = ()
    encryption: ResponseEncryption | None = None
    nonce: str = "a nonce of this request"
    lasts: timedelta = timedelta(minutes=2)
    answer: Response = field(default_factory=lambda: json_response({}))
    forms: list[dict[str, list[str]]] = field(default_factory=list[dict[str, list[str]]])

    def __post_init__(self) -> None:
        self.network.serve(SHOP, self.handle)

    @property
    def client_id(self) -> str:
        return client_id_of(did_jwk(self.signer.public))

    @property
    def link(self) -> str:
        return request_link(self.client_id, f"{SHOP}/request")

    def request(self) -> PresentationRequest:
        return PresentationRequest(
            client_id=self.claimed_client_id or self.client_id,
            response_uri=self.response_uri,
            nonce=self.nonce,
            state="a-state",
            query=self.query or DcqlQuery((CredentialQuery("warranty", (self.vct,), self.claims),)),
            issued_at=self.clock(),
            expires_at=self.clock() + self.lasts,
            client_name=self.client_name,
            purpose=self.purpose,
            retention=self.retention,
            transaction_data=self.transaction_data,
            encryption=self.encryption,
        )

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        if path == "/request":
            token = sign_request(self.request(), self.signs_with or self.signer)
            return Response(200, "application/oauth-authz-req+jwt", token.encode())
        self.forms.append(parse_qs(body.decode()))
        return self.answer


def json_response(body: JsonObject, status: int = 200) -> Response:
    """Give an answer of JSON."""
    return Response(status, "application/json", compact_json(body))
