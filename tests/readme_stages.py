"""What the examples of a page may presuppose, by the page's path.

An example that begins with a running issuer or an accepted credential finds it
here, so that the page can show the five lines that matter. `tmp_path` is a
folder of the test's own.
"""

import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl

from counterfoil_consent import Active, GrantId, Level
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.requests import PresentationRequest, VpToken, parse_response_form
from counterfoil_loyalty import CustomerPoints, PointsSigner
from counterfoil_loyalty.memory_ledger import MemoryLedger
from counterfoil_loyalty.programme_rules import parse_programme_rules
from counterfoil_verifier.requesting import Handback
from counterfoil_wallet import MemoryStore, Trust
from counterfoil_wallet.grant_states import InForce, Proved
from fastapi import FastAPI

from tests.issuer.brand import AUDIO
from tests.loyalty.customer_scene import ORIGIN as POINTS
from tests.loyalty.customer_scene import customers_on_a_chain
from tests.loyalty.programme import AUDIO as POINTS_BRAND
from tests.loyalty.programme import BICYCLE, NOW, seeded
from tests.loyalty.programme import Clock as PointsClock
from tests.loyalty.test_service import street_on
from tests.walks.test_programme_rows import RULES
from tests.wallet.town import CUSTODIAN, VELO, WARRANTY_TYPE, Killed, Town, Wire


class _Now:
    """This machine's clock: the examples use it too."""

    def __call__(self) -> datetime:
        return datetime.now(UTC)

    def advance(self, by: timedelta) -> datetime:
        text = f"expected a clock that nobody moves, found a move by {by}"
        raise Misuse(text)


def street(tmp_path: Path) -> Mapping[str, object]:
    """Give a brand and a shop that run, a link from each, and an answer to verify."""
    town = Town(_Now(), secrets.token_bytes, tmp_path / "brand")
    offer = town.offer()
    vp_token, request = _answer_to_verify(town)
    return {
        "folder": tmp_path / "my-wallet",
        "passphrase": "correct horse battery staple",
        "fetcher": town.network,
        "offer_link": offer.link,
        "tx_code": offer.tx_code,
        "request_link": town.counter.ask("warranty").link,
        "brand": AUDIO,
        "warranty": WARRANTY_TYPE,
        "vp_token": vp_token,
        "request": request,
    }


def _answer_to_verify(town: Town) -> tuple[VpToken, PresentationRequest]:
    """Let another customer answer the shop, and keep her answer from arriving."""
    wire = Wire(town.network)
    wallet = town.wallet(MemoryStore(), wire)
    offer = town.offer("#1002")
    wallet.accept(offer.link, tx_code=offer.tx_code)
    link = town.counter.ask("warranty").link
    choice = wallet.matches(link).choose()
    wire.cut_at = len(wire.sent) + 1
    with suppress(Killed):
        wallet.present(choice)
    _, _, body = wire.sent[-1]
    return parse_response_form(dict(parse_qsl(body.decode("ascii")))), choice.request


def app(tmp_path: Path) -> Mapping[str, object]:
    """Give what an app has: links that were scanned, whom it trusts, and a key service."""
    town = Town(_Now(), secrets.token_bytes, tmp_path / "brand")
    offer = town.offer()
    list_signer, now = MemorySigner.generate(), datetime.now(UTC)
    listed: JsonObject = {
        "name": "A list",
        "iat": int(now.timestamp()),
        "exp": int((now + timedelta(days=7)).timestamp()),
    }
    return {
        "folder": tmp_path / "my-wallet",
        "passphrase": "correct horse battery staple",
        "fetcher": town.network,
        "trust": Trust(custodians={CUSTODIAN: town.custodian.party.did}),
        "scanned": offer.link,
        "tx_code": offer.tx_code,
        "request_link": town.counter.ask("warranty", handback=Handback.MATCH_CODE).link,
        "terms_link": town.receiver.request(town.wish()).link,
        "seal": _turned,
        "unseal": _turned,
        "brand": AUDIO,
        "warranty": WARRANTY_TYPE,
        "shop_client_id": town.shop.client_id,
        "trust_list": sign_jws(listed, typ="counterfoil-trust-list+jwt", signer=list_signer),
        "list_key": list_signer.public,
    }


def phone(tmp_path: Path) -> Mapping[str, object]:
    """Give a wallet in which something happened, and places for a second and a third."""
    town = Town(_Now(), secrets.token_bytes, tmp_path / "brand")
    wallet = town.wallet(MemoryStore())
    offer = town.offer()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    return {
        "wallet": wallet,
        "another_wallet": town.wallet(MemoryStore()),
        "passphrase": "correct horse battery staple",
        "backup_file": tmp_path / "wallet.backup",
        "new_phone": tmp_path / "new-phone",
        "newer_phone": tmp_path / "newer-phone",
        "my_data": tmp_path / "my-data",
    }


def two_facts(tmp_path: Path) -> Mapping[str, object]:
    """Give a folder, a network with a brand and a custodian on it, and a customer of theirs."""
    town = Town(_Now(), secrets.token_bytes, tmp_path / "brand")
    customer = Customer(town)
    return {
        "folder": tmp_path / "velo",
        "fetcher": town.network,
        "back_office_key": "a key that staff carry in these tests",
        "customer": customer,
        "active": customer.grant(town.receiver.request(town.wish()).link),
    }


def points_app(tmp_path: Path) -> Mapping[str, object]:
    """Give two brands with points on a chain, a checkout, and a friend with a name."""
    stack = ExitStack()
    scene = stack.enter_context(customers_on_a_chain(tmp_path, now=int(_Now()().timestamp())))

    def checkout(order: str, account: str) -> None:
        scene.award(account, 100_00, order)

    friend = CustomerPoints(scene.wallet(), scene.network, POINTS)
    return {
        "stack": stack,
        "folder": tmp_path / "my-wallet",
        "passphrase": "correct horse battery staple",
        "fetcher": scene.network,
        "audio": POINTS_BRAND,
        "bicycle": BICYCLE,
        "checkout": checkout,
        "friends_points": friend,
        "friends_name": scene.name_credential("Bao W.", friend.join(POINTS_BRAND)),
    }


def points_operator(tmp_path: Path) -> Mapping[str, object]:
    """Give a points service with two brands and a corridor, the key of one, and a hot key."""
    stack, clock = ExitStack(), PointsClock()
    streets = street_on(MemoryLedger(now=NOW, random=seeded("operator")), clock)
    street = next(streets)
    stack.callback(lambda: next(streets, None))
    hot = PointsSigner(secrets.token_bytes(32))
    types = tmp_path / "types"
    types.mkdir()
    return {
        "stack": stack,
        "client": street.client,
        "signer": street.audio,
        "hot_account": hot.account,
        "rules": parse_programme_rules(RULES),
        "types": types,
    }


class Customer:
    """A customer with a warranty, who grants what is asked and takes it back."""

    def __init__(self, town: Town) -> None:
        self._town, self._wallet = town, town.wallet(MemoryStore())
        offer = town.offer()
        self._wallet.accept(offer.link, tx_code=offer.tx_code)

    def grants(self, link: str, *, at: FastAPI) -> GrantId:
        """Grant what the receiver whose app is `at` asks for; give the grant's id."""
        self._town.serve(VELO, at)
        return self.grant(link).agreement.grant_id

    def grant(self, link: str) -> Active:
        """Grant what is asked for by `link`."""
        granted = self._wallet.grant(self._wallet.asked_terms(link).choose())
        assert isinstance(granted, InForce)
        return granted.active

    def withdraws(self, grant_id: GrantId) -> Level:
        """Take it back; give how well that is proved."""
        proved = self._wallet.withdraw(grant_id)
        assert isinstance(proved, Proved)
        return proved.level


def _turned(key: bytes) -> bytes:
    """Stand in for a key service, whose sealing is not what the page is about."""
    return key[::-1]


STAGES: dict[str, Callable[[Path], Mapping[str, object]]] = {
    "docs/backup.md": phone,
    "README.md": street,
    "README.zh-CN.md": street,
    "docs/wallet.md": app,
    "docs/consent.md": two_facts,
    "docs/points.md": points_app,
    "docs/loyalty-operator.md": points_operator,
}
