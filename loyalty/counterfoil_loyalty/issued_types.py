"""What a brand's issuer service needs to issue vouchers and tiers: two types, and what to offer.

    (types / "voucher.json").write_text(json.dumps(voucher_type()))
    redeemed = RulesClient(fetcher, points).redeemed(reference)
    post("/back-office/offers", voucher_offer(reference, redeemed.use, good_for="EUR 10 off"))

The documents are types as the issuer service reads them from its `types/` folder; the offers
are bodies for its back office. A voucher's offer carries the redemption's reference as its
`serial`, of which a type has one: however often it is asked for, there is one voucher.
"""

from typing import Final

from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.voucher import Voucher

from counterfoil_loyalty.programme_rules import ProgrammeRules, Tier, Use
from counterfoil_loyalty.tier_credential import tier_claims

VOUCHER: Final = "voucher"
TIER_PROOF: Final = "tier-proof"
_DAYS: Final = 365
_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


def voucher_type(*, days: int = _DAYS) -> JsonObject:
    """Give the type of vouchers; each lasts `days` from its issue, and is one copy."""
    inside: JsonObject = {
        "reference": {"type": "string", "minLength": 8, "maxLength": 64},
        "use": {"type": "string", "minLength": 1, "maxLength": 200},
        "good_for": {"type": "string", "minLength": 1, "maxLength": 200},
    }
    shown = [
        _claim(["voucher", "reference"], "Number", "券号"),
        _claim(["voucher", "use"], "Kind", "类别"),
        _claim(["voucher", "good_for"], "Good for", "可兑换"),
    ]
    sample = Voucher(reference="7Q4M9KX2PA5T3WBD", use=Use.DISCOUNT.value, good_for="EUR 10 off")
    return _type(
        VOUCHER,
        ("Voucher", "兑换券"),
        ("What redeemed points are good for, once.", "积分兑换所得，仅限使用一次。"),
        claims=shown,
        properties={"voucher": _object(inside)},
        days=days,
        sample=sample.to_claims(),
    )


def tier_type(rules: ProgrammeRules, *, days: int = _DAYS) -> JsonObject:
    """Give the type that answers "at least this tier?" for each tier of `rules`, one by one."""
    answers: JsonObject = {tier.id: {"type": "boolean"} for tier in rules.tiers}
    shown = [_claim(["programme"], "Programme", "会员计划")]
    shown += [
        _claim(["at_least", tier.id], f"At least {tier.id}", f"至少 {tier.id}", concealed=True)
        for tier in rules.tiers
    ]
    sample, _ = tier_claims(rules, None)
    return _type(
        TIER_PROOF,
        ("Tier", "会员等级证明"),
        ("At least which tier a member has reached.", "证明会员至少达到的等级。"),
        claims=shown,
        properties={
            "programme": {"type": "string", "minLength": 1, "maxLength": 256},
            "at_least": _object(answers),
        },
        days=days,
        sample=sample,
    )


def voucher_offer(reference: str, use: Use, *, good_for: str) -> JsonObject:
    """Give the offer of the voucher for a redemption; raises what `Voucher` raises."""
    voucher = Voucher(reference=reference, use=use.value, good_for=good_for)
    return {"type": VOUCHER, "claims": voucher.to_claims(), "serial": reference}


def tier_offer(rules: ProgrammeRules, reached: Tier | None) -> JsonObject:
    """Give the offer of a proof of the tier that a customer reached, or of none."""
    claims, _ = tier_claims(rules, reached)
    return {"type": TIER_PROOF, "claims": claims}


def _type(
    name: str,
    names: tuple[str, str],
    descriptions: tuple[str, str],
    *,
    claims: list[JsonObject],
    properties: JsonObject,
    days: int,
    sample: JsonObject,
) -> JsonObject:
    display: list[Json] = [
        {"locale": locale, "name": named, "description": described}
        for locale, named, described in zip(("en", "zh"), names, descriptions, strict=True)
    ]
    # One copy each: a voucher is for one use, and a proof of a tier is fetched again.
    return {
        "name": name,
        "vct": f"{{issuer}}/types/{name}",
        "display": display,
        "claims": [*claims],
        "schema": {"$schema": _DRAFT, **_object(properties)},
        "validity": {"days": days},
        "status": "yes",
        "batch_size": 1,
        "proof_types": {"jwt": {"proof_signing_alg_values_supported": ["ES256"]}},
        "sample": sample,
    }


def _claim(path: list[str], english: str, chinese: str, *, concealed: bool = False) -> JsonObject:
    display: list[Json] = [{"locale": "en", "label": english}, {"locale": "zh", "label": chinese}]
    return {"path": [*path], "sd": "always" if concealed else "never", "display": display}


def _object(properties: JsonObject) -> JsonObject:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [*properties],
        "properties": properties,
    }
