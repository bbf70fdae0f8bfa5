"""A wallet as the OpenID Foundation's suite emulates one: bytes over HTTP, nothing of ours.

Keys, signatures and encryption are jwcrypto's. Each step gives the plain answer, so that a
test may send what no honest wallet would.
"""

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import unescape
from importlib import import_module
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs, parse_qsl, urlencode, urljoin, urlsplit

from httpx2 import Client, Response

PRE_AUTHORIZED: Final = "urn:ietf:params:oauth:grant-type:pre-authorized_code"
CALLBACK: Final = "https://wallet.example/callback"
CLIENT_ID: Final = "https://wallet.example"
_FORM: Final = "application/x-www-form-urlencoded"
_MOST_PAGES: Final = 10

Json: TypeAlias = dict[str, Any]
Key: TypeAlias = Any  # jwcrypto ships no types
JWE: Any = import_module("jwcrypto.jwe").JWE
JWK: Any = import_module("jwcrypto.jwk").JWK
JWS: Any = import_module("jwcrypto.jws").JWS
JWSCore: Any = import_module("jwcrypto.jws").JWSCore


def new_key() -> Key:
    """Give a fresh P-256 key."""
    return JWK.generate(kty="EC", crv="P-256")


def public(key: Key) -> Json:
    """Give the public half as a JWK without a name."""
    return {name: key.export_public(as_dict=True)[name] for name in ("kty", "crv", "x", "y")}


def signed(header: Json, payload: Json, key: Key) -> str:
    """Give a compact JWT; the header may ask for what no reader should accept."""
    made = JWSCore(header["alg"], key, json.dumps(header), json.dumps(payload)).sign()
    return f"{made['protected']}.{made['payload'].decode()}.{made['signature']}"


def with_another_signature(token: str) -> str:
    """Give the token with one bit of its signature turned."""
    head, _, signature = token.rpartition(".")
    data = bytearray(_from_b64url(signature))
    data[10] ^= 1
    return f"{head}.{_b64url(bytes(data))}"


def well_known(url: str, name: str) -> str:
    """Insert a well-known name between host and path (RFC 8414, section 3.1)."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/.well-known/{name}{parts.path.rstrip('/')}"


@dataclass(frozen=True)
class Maker:
    """The wallet's maker: it attests wallets and keys."""

    key: Key = field(default_factory=new_key)

    @property
    def jwk(self) -> Json:
        return public(self.key)

    def client_attestation(self, instance: Key, now: int, changes: Json) -> str:
        """Vouch for one installed wallet; a change of None leaves the claim out."""
        claims = {
            "iss": "https://maker.example",
            "sub": CLIENT_ID,
            "iat": now,
            "exp": now + 3600,
            "cnf": {"jwk": public(instance)},
        } | changes
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"typ": "oauth-client-attestation+jwt", "alg": "ES256", "kid": self.kid}
        return signed(header, claims, self.key)

    def key_attestation(self, keys: Sequence[Key], nonce: str | None, now: int) -> str:
        """Vouch for keys (OpenID4VCI 1.0, appendix D.1)."""
        claims: Json = {
            "iat": now,
            "exp": now + 3600,
            "attested_keys": [public(key) for key in keys],
            "key_storage": ["iso_18045_high"],
            "user_authentication": ["iso_18045_high"],
        }
        if nonce is not None:
            claims["nonce"] = nonce
        header = {"typ": "key-attestation+jwt", "alg": "ES256", "kid": self.kid}
        return signed(header, claims, self.key)

    @property
    def kid(self) -> str:
        return str(JWK(**self.jwk).thumbprint())


class EmulatedWallet:
    """One installed wallet before one issuer. `maker` vouches for it, where that is asked for."""

    def __init__(
        self,
        http: Client,
        issuer: str,
        *,
        clock: Callable[[], datetime],
        maker: Maker | None = None,
        sender_constrained: bool = False,
    ) -> None:
        self.http = http
        self.issuer = issuer
        self.maker = maker
        self.instance = new_key()
        self.dpop_key = new_key() if sender_constrained else None
        self.key = new_key()
        self.attestation_changes: Json = {}
        self.pop_changes: Json = {}
        self.change_attestation: Callable[[str], str] = str
        self.change_pop: Callable[[str], str] = str
        self.pop_key = self.instance
        self._clock = clock
        self._dpop_nonce: str | None = None
        self.metadata = self.get_json(well_known(issuer, "openid-credential-issuer"))
        server = self.metadata.get("authorization_servers", [issuer])[0]
        self.server = self.get_json(well_known(server, "oauth-authorization-server"))

    @property
    def now(self) -> int:
        return int(self._clock().timestamp())

    def get_json(self, url: str) -> Json:
        answer = self.http.get(url, headers={"Accept": "application/json"})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].partition(";")[0] == "application/json"
        return dict(answer.json())

    # The token.

    def offered(self, link: str) -> Json:
        """Give the offer behind a link, by value or by reference."""
        query = dict(parse_qsl(urlsplit(link).query))
        if "credential_offer_uri" in query:
            return self.get_json(query["credential_offer_uri"])
        return dict(json.loads(query["credential_offer"]))

    def redeem(self, link: str, tx_code: str | None = None, **more: str) -> Response:
        """Send the offer's pre-authorized code to the token endpoint."""
        grant = self.offered(link)["grants"][PRE_AUTHORIZED]
        form = {"grant_type": PRE_AUTHORIZED, "pre-authorized_code": grant["pre-authorized_code"]}
        if tx_code is not None:
            form["tx_code"] = tx_code
        return self.post_form("token_endpoint", form | more)

    def push(self, **changes: str) -> tuple[Response, str]:
        """Push an authorization request (RFC 9126); give the answer and the PKCE verifier."""
        verifier = secrets.token_urlsafe(32)
        form = {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "redirect_uri": CALLBACK,
            "state": secrets.token_urlsafe(16),
            "code_challenge": _b64url(hashlib.sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
        } | changes
        return self.post_form("pushed_authorization_request_endpoint", form), verifier

    def authorize(self, subject: str, **changes: str) -> Response:
        """Walk the authorization code grant; give the token endpoint's answer."""
        pushed, verifier = self.push(**changes)
        assert pushed.status_code == 201, pushed.text
        query = urlencode({"client_id": CLIENT_ID, "request_uri": pushed.json()["request_uri"]})
        back = self.browse(f"{self.server['authorization_endpoint']}?{query}", subject)
        answer = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
        assert answer.get("iss") == self.server["issuer"], "RFC 9207"
        form = {
            "grant_type": "authorization_code",
            "code": answer["code"],
            "redirect_uri": CALLBACK,
            "code_verifier": verifier,
            "client_id": CLIENT_ID,
        }
        return self.post_form("token_endpoint", form)

    def post_form(self, endpoint: str, form: Mapping[str, str]) -> Response:
        """Post to the authorization server, attested and sender-constrained as this wallet is."""

        def post() -> Response:
            headers = {
                "Content-Type": _FORM,
                **self._attested(),
                **self._dpop(self.server[endpoint]),
            }
            return self.http.post(self.server[endpoint], content=urlencode(form), headers=headers)

        answer = post()
        if answer.status_code == 400 and answer.json().get("error") == "use_dpop_nonce":
            self._dpop_nonce = answer.headers["dpop-nonce"]
            answer = post()
        return answer

    def _attested(self) -> dict[str, str]:
        if self.maker is None:
            return {}
        attestation = self.maker.client_attestation(
            self.instance, self.now, self.attestation_changes
        )
        claims = {
            "iss": CLIENT_ID,
            "aud": self.server["issuer"],
            "jti": secrets.token_urlsafe(16),
            "iat": self.now,
        } | self.pop_changes
        if endpoint := self.server.get("challenge_endpoint"):
            claims["challenge"] = self.http.post(endpoint).json()["attestation_challenge"]
        header = {"typ": "oauth-client-attestation-pop+jwt", "alg": "ES256"}
        return {
            "OAuth-Client-Attestation": self.change_attestation(attestation),
            "OAuth-Client-Attestation-PoP": self.change_pop(signed(header, claims, self.pop_key)),
        }

    def _dpop(self, url: str, token: str | None = None) -> dict[str, str]:
        if self.dpop_key is None:
            return {}
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": public(self.dpop_key)}
        claims: Json = {
            "jti": secrets.token_urlsafe(16),
            "htm": "POST",
            "htu": url,
            "iat": self.now,
        }
        if token is not None:
            claims["ath"] = _b64url(hashlib.sha256(token.encode()).digest())
        if self._dpop_nonce is not None:
            claims["nonce"] = self._dpop_nonce
        return {"DPoP": signed(header, claims, self.dpop_key)}

    def browse(self, start: str, subject: str) -> str:
        """Follow redirects and press each page's button, as a browser with `subject` before it."""
        url, answer = start, self.http.get(start, follow_redirects=False)
        for _ in range(_MOST_PAGES):
            if answer.is_redirect:
                url = urljoin(url, answer.headers["location"])
                if url.startswith(CALLBACK):
                    return url
                answer = self.http.get(url, follow_redirects=False)
                continue
            assert answer.status_code == 200, answer.text
            page = Page.read(answer.text)
            url, form = urljoin(url, page.action), urlencode(page.pressed(subject))
            if page.method == "get":
                answer = self.http.get(f"{url}?{form}", follow_redirects=False)
            else:
                headers = {
                    "Content-Type": _FORM,
                    "Origin": "{0.scheme}://{0.netloc}".format(urlsplit(url)),
                }
                answer = self.http.post(url, content=form, headers=headers, follow_redirects=False)
        raise AssertionError("expected the way back to the wallet, found more pages")

    # The credential.

    def nonce(self) -> str:
        answer = self.http.post(self.metadata["nonce_endpoint"])
        assert answer.status_code == 200, answer.text
        assert "no-store" in answer.headers["cache-control"]
        return str(answer.json()["c_nonce"])

    def proof(
        self,
        nonce: str | None,
        key: Key | None = None,
        *,
        header: Json | None = None,
        claims: Json | None = None,
    ) -> str:
        """Give a key proof (appendix F.1), good but for the changes; None leaves a header out."""
        signer = key or self.key
        head: Json = {"typ": "openid4vci-proof+jwt", "alg": "ES256", "jwk": public(signer)}
        said: Json = {"aud": self.issuer, "iat": self.now}
        if nonce is not None:
            said["nonce"] = nonce
        head = {name: value for name, value in (head | (header or {})).items() if value is not None}
        return signed(head, said | (claims or {}), signer)

    def request(self, name: str, token: Json, *, proofs: Sequence[str] | None = None) -> Json:
        """Give a credential request for `name`, as the token says that it is to be asked for."""
        jwts = list(proofs) if proofs is not None else [self.proof(self.nonce())]
        for detail in token.get("authorization_details", []):
            if detail["credential_configuration_id"] == name:
                identifier = detail["credential_identifiers"][0]
                return {"credential_identifier": identifier, "proofs": {"jwt": jwts}}
        return {"credential_configuration_id": name, "proofs": {"jwt": jwts}}

    def ask(self, token: Json, body: Json, *, url: str | None = None, **headers: str) -> Response:
        """Send a plain credential request."""
        return self.post_json("credential_endpoint", token, body, url=url, **headers)

    def ask_encrypted(
        self, token: Json, body: Json, *, enc: str = "A128GCM", **changes: object
    ) -> tuple[Response, Key]:
        """Send a request encrypted, for an encrypted answer (section 10)."""
        key = JWK.generate(kty="EC", crv="P-256", alg="ECDH-ES", use="enc", kid="answer")
        told: Json = {"jwk": key.export_public(as_dict=True), "enc": enc} | changes
        asked = self.metadata["credential_request_encryption"]
        jwk = JWK(**asked["jwks"]["keys"][0])
        header = {"alg": "ECDH-ES", "enc": asked["enc_values_supported"][0], "kid": jwk["kid"]}
        jwe = JWE(
            json.dumps({**body, "credential_response_encryption": told}),
            protected=json.dumps(header),
            recipient=jwk,
        )
        url = self.metadata["credential_endpoint"]
        answer = self._post_protected(
            url, url, token, jwe.serialize(compact=True), {"Content-Type": "application/jwt"}
        )
        return answer, key

    def post_json(
        self, endpoint: str, token: Json, body: Json, *, url: str | None = None, **headers: str
    ) -> Response:
        """Post to a protected endpoint of the issuer under the token."""
        content = {"Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        place = self.metadata[endpoint]
        return self._post_protected(url or place, place, token, json.dumps(body), content)

    def _post_protected(
        self, url: str, target: str, token: Json, content: str, headers: dict[str, str]
    ) -> Response:
        def post() -> Response:
            scheme = "DPoP" if self.dpop_key else "Bearer"
            mine = {"Authorization": f"{scheme} {token['access_token']}"}
            mine |= self._dpop(target, token["access_token"])
            return self.http.post(url, content=content, headers=mine | headers)

        answer = post()
        if answer.status_code == 401 and "use_dpop_nonce" in answer.headers["www-authenticate"]:
            self._dpop_nonce = answer.headers["dpop-nonce"]
            answer = post()
        return answer


def decrypted(answer: Response, key: Key) -> Json:
    """Give the JSON of an encrypted answer; it must be one."""
    assert answer.headers["content-type"].partition(";")[0] == "application/jwt", answer.text
    jwe = JWE()
    jwe.deserialize(answer.text, key=key)
    return dict(json.loads(jwe.payload))


def verify(token: str, keys: Sequence[Json]) -> tuple[Json, Json]:
    """Give header and claims of a JWT that the one of these keys with its name signed."""
    header = json.loads(_from_b64url(token.partition(".")[0]))
    assert header["alg"] == "ES256"
    key = next(JWK(**jwk) for jwk in keys if jwk["kid"] == header["kid"])
    read = JWS()
    read.deserialize(token, key=key)
    return header, json.loads(read.payload)


@dataclass(frozen=True)
class Issued:
    """A credential taken apart; `verified` gives one."""

    header: Json
    claims: Json
    disclosures: tuple[tuple[Any, ...], ...]

    @classmethod
    def verified(cls, text: str, keys: Sequence[Json]) -> "Issued":
        """Give a credential whose signature is by one of the published keys."""
        jwt, *disclosed, binding = text.split("~")
        assert binding == ""
        header, claims = verify(jwt, keys)
        parts = tuple(tuple(json.loads(_from_b64url(part))) for part in disclosed)
        return cls(header, claims, parts)

    @property
    def dataset(self) -> set[str]:
        """Give what it discloses, without salts: equal for all of a batch."""
        return {json.dumps(disclosure[1:]) for disclosure in self.disclosures} - {"[]"}

    @property
    def salts(self) -> set[str]:
        return {disclosure[0] for disclosure in self.disclosures}

    @property
    def place(self) -> tuple[str, int]:
        """Give its place in a status list."""
        listed = self.claims["status"]["status_list"]
        return listed["uri"], listed["idx"]


@dataclass(frozen=True)
class Page:
    """The form of a page: where it goes, what it carries, and its buttons."""

    action: str
    method: str
    hidden: dict[str, str]
    buttons: list[tuple[str, str]]

    @classmethod
    def read(cls, text: str) -> "Page":
        """Give the page's first form."""
        form = re.search(r"<form\b[^>]*>", text)
        assert form, text
        tags = re.findall(r"<(?:input|button)\b[^>]*>", text)
        fields = [(tag, _attribute(tag, "name"), _attribute(tag, "value")) for tag in tags]
        return cls(
            _attribute(form[0], "action"),
            _attribute(form[0], "method").lower() or "get",
            {name: value for tag, name, value in fields if tag.startswith("<input")},
            [(name, value) for tag, name, value in fields if tag.startswith("<button")],
        )

    def pressed(self, wanted: str) -> dict[str, str]:
        """Give what is sent by the button of `wanted`, or else by the last, which agrees."""
        chosen = [button for button in self.buttons if button[1] == wanted] or self.buttons
        return self.hidden | dict(chosen[-1:])


def _attribute(tag: str, name: str) -> str:
    found = re.search(rf'\b{name}="([^"]*)"', tag)
    return unescape(found[1]) if found else ""


def _b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _from_b64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
