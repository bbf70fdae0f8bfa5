"""A brand's rules for apps: published by the brand, read by a wallet before it earns.

    rules = RulesClient(fetcher, "https://points.example")
    rules.publish(mine, signer=brand_key, issuer=points_signer)
    rules.read("https://audio.example").rules              # `simulate` says what would be earned
    rules.redeemed(reference)                              # what a voucher stands for

What is read is checked here: by the key that the brand's issuer named, and that issuer is
the one of the list of brands. Who knows the brand's key from elsewhere (its credentials are
signed with it) compares it with `key`.
"""

from dataclasses import dataclass
from urllib.parse import quote as percent

from counterfoil_credentials.answers import answer_of
from counterfoil_credentials.encoding import JsonObject, compact_json, int_at, object_at, text_at
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.keys import PublicKey
from counterfoil_credentials.keys import Signer as KeySigner
from counterfoil_credentials.spec import JSON_MEDIA_TYPE

from counterfoil_loyalty.accounts import Signer
from counterfoil_loyalty.client import PointsClient
from counterfoil_loyalty.intents import sign_by_brand
from counterfoil_loyalty.points import Points
from counterfoil_loyalty.programme_rules import ProgrammeRules, Use
from counterfoil_loyalty.rules_book import Published
from counterfoil_loyalty.rules_desk import RulesNotice, read_published

_WHO = "points service"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRules:
    """Rules that were checked, and the key of the brand that signed them."""

    rules: ProgrammeRules
    key: PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeemed:
    """Points that were redeemed for `use`. One that is not final the chain may still undo."""

    points: Points
    use: Use
    is_final: bool


class RulesClient:
    """The rules at one points service at its public `origin`."""

    def __init__(self, fetcher: Fetcher, origin: str) -> None:
        self._fetcher = fetcher
        self._origin = origin.rstrip("/")
        self._points = PointsClient(fetcher, origin)

    def publish(self, rules: ProgrammeRules, *, signer: KeySigner, issuer: Signer) -> None:
        """Put a version into force: `signer` signs the brand's credentials, `issuer` its points.

        Sign once and send the same again after trouble: another signature is another version.
        """
        self.send(rules.brand, rules.version, rules.sign(signer), key=signer.public, issuer=issuer)

    def send(self, brand: str, version: int, rules: str, *, key: PublicKey, issuer: Signer) -> None:
        """Put rules into force that were signed before; the same bytes again change nothing."""
        token = self._points.programme(brand).token
        notice = RulesNotice(token=token, version=version, rules=rules, key=key)
        body: JsonObject = {
            "brand": brand,
            "version": version,
            "rules": rules,
            "key": key.jwk(),
            "signature": sign_by_brand(notice, self._points.venue(), issuer).hex(),
        }
        url = f"{self._origin}/rules"
        answer_of(self._fetcher.post(url, compact_json(body), media_type=JSON_MEDIA_TYPE), _WHO)

    def read(self, brand: str, *, version: int | None = None, least_version: int = 1) -> ReadRules:
        """Give a brand's rules in force, or one `version`; no older than was seen before.

        Raises `Refused`: `no-rules`, `old-rules`, `signature-invalid` and what
        `read_programme_rules` refuses.
        """
        wanted = "" if version is None else f"&version={version}"
        answer = self._get(f"/rules?brand={percent(brand, '')}{wanted}")
        published = Published(
            version=int_at(answer, "version", "rules"),
            rules=text_at(answer, "rules", "rules"),
            key=object_at(answer, "key", "rules"),
            signature=_bytes_at(answer, "signature"),
        )
        if published.version < least_version or version not in {None, published.version}:
            expected = f"version {version or least_version}" + ("" if version else " or later")
            found = f"version {published.version}"
            raise Refused(Reason("old-rules", expected, found, "rules.version"))
        programme = self._points.programme(brand)
        rules = read_published(
            published,
            brand=brand,
            token=programme.token,
            issuer=programme.issuer,
            venue=self._points.venue(),
        )
        return ReadRules(rules=rules, key=PublicKey.from_jwk(published.key, "rules.key"))

    def redeemed(self, reference: str) -> Redeemed:
        """Give what a voucher's reference stands for; `Refused` (`voucher-unknown`) for none."""
        answer = self._get(f"/vouchers/{percent(reference, '')}")
        use, is_final = text_at(answer, "use", "voucher"), answer.get("final")
        known = {it.value: it for it in Use}
        if use not in known or not isinstance(is_final, bool):
            raise Malformed("a use, and whether it is final", "others", "voucher")
        points = Points(text_at(answer, "brand", "voucher"), int_at(answer, "amount", "voucher"))
        return Redeemed(points=points, use=known[use], is_final=is_final)

    def _get(self, path: str) -> JsonObject:
        return answer_of(self._fetcher.get(self._origin + path, accept=JSON_MEDIA_TYPE), _WHO)


def _bytes_at(obj: JsonObject, name: str) -> bytes:
    try:
        return bytes.fromhex(text_at(obj, name, "rules"))
    except ValueError as error:
        raise Malformed("hex digits", "others", f"rules.{name}") from error
