"""A shop's folder that a real process serves, a brand on loopback, and a customer."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.request_links import parse_request_link
from counterfoil_credentials.requests import PresentationRequest, read_request
from counterfoil_credentials.sdjwt import SdJwt, disclose
from counterfoil_credentials.sdjwt_vc import StatusReference
from counterfoil_verifier.shop_folder import ShopFolder

from tests.verifier.kills import connected, sent, shop_at
from tests.verifier.running import Served
from tests.verifier.scene import ASKED, INDEX, Brand, answer_form, warranty_claims

PATIENCE_S = 180.0
DAY = timedelta(days=1)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def now() -> datetime:
    return datetime.now(UTC)


def eventually(found: Callable[[], object], wanted: object = True) -> None:  # noqa: FBT002
    """Return once `found` gives what is wanted; fail when it takes far too long."""
    ends_at = time.monotonic() + PATIENCE_S
    while (last := found()) != wanted:
        assert time.monotonic() < ends_at, f"{last} is not {wanted}"
        time.sleep(0.1)


class House:
    """A shop's folder that is served, a brand, and a customer with its warranty."""

    def __init__(
        self, folder: Path, brand: Brand, url: str, database: Path | str | None = None
    ) -> None:
        self.folder = ShopFolder(folder)
        self.brand = brand
        self.url = url
        self.holder = MemorySigner.generate()
        shop_at(folder, url, database or folder)
        self.served: list[Served] = []

    def set(self, **changes: object) -> None:
        """Change the shop's settings, as an editor does."""
        file = self.folder.path / "shop.json"
        settings: dict[str, object] = {**json.loads(file.read_text()), **changes}
        file.write_text(json.dumps({k: v for k, v in settings.items() if v is not None}))

    def serve(self) -> Served:
        self.served.append(Served(self.folder.path))
        return self.served[-1]

    def told(self, path: str) -> Any:  # noqa: ANN401
        with connected(self.served[-1].port) as line:
            return sent(line, "GET", path, self.folder.counter_key())

    def warnings(self) -> list[str]:
        return [one["code"] for one in self.told("/health/warnings")["warnings"]]

    def measured(self, name: str) -> float:
        with connected(self.served[-1].port) as line:
            key = {"Authorization": f"Bearer {self.folder.counter_key()}"}
            line.request("GET", "/metrics", headers=key)
            lines = line.getresponse().read().decode().splitlines()
        (value,) = [each.split()[1] for each in lines if each.split()[0] == name]
        return float(value)

    def warranty(self, claims: JsonObject | None = None) -> SdJwt:
        """Issue a warranty that is good for ninety days, of these claims or of good ones."""
        valid_until = f"{now() + 90 * DAY:%Y-%m-%d}"
        return self.brand.warranty(
            issuer=self.url,
            vct=f"{self.url}/types/warranty",
            status=StatusReference(f"{self.url}/list", INDEX),
            claims={**warranty_claims(valid_until=valid_until), **(claims or {})},
            issued_at=now() - DAY,
            expires_at=now() + 90 * DAY,
            holder=self.holder.public,
        )

    def answered(self, credential: SdJwt | None = None, *, changed: bool = False) -> str:
        """Ask, and answer as a good wallet, or with a token that was changed; give the id."""
        key = self.folder.counter_key()
        with connected(self.served[-1].port) as line:
            asked = sent(line, "POST", "/counter/requests", key, {"preset": "warranty"})
            request = self.fetched(line, asked["link"])
            presented = bind(
                disclose(credential or self.warranty(), ASKED),
                signer=self.holder,
                audience=request.client_id,
                nonce=request.nonce,
                now=now(),
            )
            if changed:
                presented = presented.replace(".", "A.", 1)
            form = urlencode(answer_form({"warranty": (presented,)}, request))
            line.request("POST", urlsplit(request.response_uri).path, form, FORM)
            line.getresponse().read()
        return str(asked["id"])

    def light(self) -> tuple[str, tuple[str, ...]]:
        """Ask, answer as a good wallet, and give the light with its codes."""
        look = self.told(f"/counter/requests/{self.answered()}")
        return look["light"], tuple(reason["code"] for reason in look["reasons"])

    def purpose(self) -> str | None:
        """Give the purpose that a wallet would read now."""
        key = self.folder.counter_key()
        with connected(self.served[-1].port) as line:
            asked = sent(line, "POST", "/counter/requests", key, {"preset": "warranty"})
            return self.fetched(line, asked["link"]).purpose

    def fetched(self, line: HTTPConnection, text: str) -> PresentationRequest:
        link = parse_request_link(text)
        line.request("GET", urlsplit(link.request_uri).path)
        signed = line.getresponse().read().decode()
        return read_request(signed, client_id=link.client_id, now=now())
