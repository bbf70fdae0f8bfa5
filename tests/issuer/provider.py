"""An OpenID Connect provider over the in-memory fetcher, where one customer always logs in."""

from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import parse_qsl, urlencode, urlsplit

from counterfoil_credentials.encoding import JsonObject, compact_json
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.keys import MemorySigner
from counterfoil_issuer.oidc_login import OidcLogin

PROVIDER = "https://login.example/realms/audio"
SIGNER = MemorySigner.from_private_bytes(b"\x01" * 32)


class Provider:
    """Answers as a provider does, and remembers what it was sent."""

    def __init__(self, now: datetime) -> None:
        self.claims: JsonObject = {
            "iss": PROVIDER,
            "sub": "customer-7",
            "aud": "counterfoil",
            "iat": int(now.timestamp()),
            "exp": int(now.timestamp()) + 300,
            "name": "Mira Sample",
            "email": "Mira@Example.org",
            "email_verified": True,
        }
        self.configuration: JsonObject = {
            "issuer": PROVIDER,
            "authorization_endpoint": "https://login.example/authorize?brand=audio",
            "token_endpoint": "https://login.example/token",
            "jwks_uri": "https://login.example/jwks",
        }
        self.token_status = 200
        self.asked = 0
        self.before_it_answers: Callable[[], None] = lambda: None
        self.form: dict[str, str] = {}
        self.headers: Mapping[str, str] = {}

    def login(self, secret: str | None = None) -> OidcLogin:
        """Give the login that sends customers here."""
        fetcher = MemoryFetcher()
        fetcher.serve("https://login.example", self._answer)
        return OidcLogin(PROVIDER, "counterfoil", fetcher, secret)

    def log_in(self, url: str) -> str:
        """Do what the customer does on the login page at `url`; give where it leads."""
        asked = dict(parse_qsl(urlsplit(url).query))
        self.claims["nonce"] = asked["nonce"]
        query = {"code": "a-code", "state": asked["state"], "iss": PROVIDER}
        return f"{asked['redirect_uri']}?{urlencode(query)}"

    def _answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        self.before_it_answers()
        documents: dict[str, JsonObject] = {
            "/realms/audio/.well-known/openid-configuration": self.configuration,
            "/jwks": {"keys": [SIGNER.public.jwk()]},
        }
        if method == "GET":
            self.asked += path.endswith("/openid-configuration")
            if path not in documents:
                return Response(404, "application/json", b"{}")
            return Response(200, "application/json", compact_json(documents[path]))
        self.form, self.headers = dict(parse_qsl(body.decode())), headers
        token = sign_jws(self.claims, typ="JWT", signer=SIGNER)
        return Response(self.token_status, "application/json", compact_json({"id_token": token}))
