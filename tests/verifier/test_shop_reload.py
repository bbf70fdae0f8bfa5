"""A file of the folder that changes while the shop serves."""

import json
from pathlib import Path

from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_credentials.request_links import parse_request_link
from counterfoil_credentials.requests import read_request
from counterfoil_verifier import Counter, RequestId
from counterfoil_verifier.shop_folder import ShopFolder
from counterfoil_verifier.shop_service import open_shop
from cryptography.hazmat.primitives.serialization import Encoding

from tests.conftest import Clock
from tests.credentials.authority import Party, authority, key_id

HERE = "http://127.0.0.1:8001"


def authorities_asked_by(counter: Counter, now: Clock) -> tuple[str, ...]:
    link = parse_request_link(counter.ask("warranty").link)
    token = counter.request_object(RequestId(link.request_uri.rsplit("/", 1)[1]))
    (query,) = read_request(token, client_id=link.client_id, now=now()).query.credentials
    return tuple(value for asked in query.trusted_authorities for value in asked.values)


def test_the_authorities_of_a_preset_are_those_of_its_file(tmp_path: Path, clock: Clock) -> None:
    folder = ShopFolder(tmp_path / "corner")
    folder.make()
    folder.trust(HERE, {"warranty": ["w"]})
    file = folder.path / "presets" / "warranty.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "authorities": "trade.pem"}))

    def certify(name: bytes) -> None:
        party = Party("Trade", extensions=(*authority(), key_id(name)))
        (folder.path / "trade.pem").write_bytes(party.certificate.public_bytes(Encoding.PEM))

    certify(b"trade")
    with open_shop(folder, HERE, fetcher=MemoryFetcher(), clock=clock) as shop:
        assert authorities_asked_by(shop.counter, clock) == (b64url(b"trade"),)
        certify(b"the trade's next key")
        assert authorities_asked_by(shop.counter, clock) == (b64url(b"trade"),)

        shop.reloading.run()

        assert authorities_asked_by(shop.counter, clock) == (b64url(b"the trade's next key"),)
