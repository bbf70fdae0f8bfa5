"""What the command line shows before anything is shown to others, or granted."""

from collections.abc import Iterable
from typing import Final

from counterfoil_credentials.claims import ClaimPath, path_text
from counterfoil_credentials.encoding import Json, JsonObject

from counterfoil_wallet.cli_forms import receipt_lines, value_line
from counterfoil_wallet.disclosures import Disclosure, RevealedClaim
from counterfoil_wallet.held import HeldCredential
from counterfoil_wallet.leaves import leaves
from counterfoil_wallet.matching import Matches
from counterfoil_wallet.presenting import Presented
from counterfoil_wallet.trust import Asker

# What says nothing about the customer, in words; by its whole path, so that nothing else is.
_OF_EVERY_CARD: Final[dict[ClaimPath, str]] = {
    ("vct",): "its type",
    ("iss",): "its issuer",
    ("iat",): "when it was issued",
    ("nbf",): "from when on it counts",
    ("exp",): "when it ends",
    **{("cnf", "jwk", name): "a key of this copy" for name in ("kty", "crv", "x", "y")},
    **{
        ("status", "status_list", name): "its place in the issuer's list of statuses"
        for name in ("idx", "uri")
    },
}


def matches_json(matches: Matches) -> JsonObject:
    """Give what is asked, and all that could answer."""
    answers: dict[str, Json] = {
        query_id: [_disclosure_json(disclosure) for disclosure in fitting]
        for query_id, fitting in matches.answers.items()
    }
    return {
        "asker": asker_json(matches.asker),
        "purpose": matches.purpose,
        "registered_purpose": matches.registered_purpose,
        "other_purpose": matches.is_other_purpose,
        "retention": matches.retention,
        "transactions": [one.type for one in matches.transactions],
        "expires_at": matches.expires_at.isoformat(),
        "answers": answers,
    }


def matches_lines(matches: Matches, disclosures: Iterable[Disclosure]) -> list[str]:
    """Give what the customer is asked, in the order in which it matters."""
    lines = asker_lines(matches.asker)
    if matches.is_other_purpose:
        lines.append(f"Careful: it registered another purpose: {matches.registered_purpose}")
    elif matches.registered_purpose:
        lines.append(f"Why, as it registered: {matches.registered_purpose}")
    if matches.purpose:
        lines.append(f"Why, in its own words: {matches.purpose}")
    if matches.retention:
        lines.append(f"What it keeps, in its own words: {matches.retention}")
    lines += [f"You would also sign: {one.type}" for one in matches.transactions]
    for disclosure in disclosures:
        lines += disclosure_lines(disclosure, "It")
    return lines


def disclosure_lines(disclosure: Disclosure, who: str) -> list[str]:
    """Give what `who` would see of one card."""
    card, frame = disclosure.credential, dict[str, None]()
    lines: list[str] = []
    for claim in disclosure.claims:
        if claim.is_frame and not claim.is_asked and claim.path in _OF_EVERY_CARD:
            frame[_OF_EVERY_CARD[claim.path]] = None
        else:
            lines.append(_claim_line("asked" if claim.is_asked else "always visible", claim))
    lines += [_claim_line("optional, off", claim) for claim in disclosure.optional]
    if frame:
        lines.append(f"  as on every card: {', '.join(frame)}")
    return [
        f"{who} would see, of {card.vct} from {card.issuer}",
        *lines,
        f"  {who} can join: {disclosure.joining}",
    ]


def claim_lines(held: HeldCredential) -> list[str]:
    """Give what a card says, a line for each claim."""
    return [
        f"  {value_line(path_text(path), value)}"
        for path, value in leaves(held.claims)
        if path not in _OF_EVERY_CARD
    ]


def asker_json(asker: Asker) -> JsonObject:
    """Give who asks."""
    return {
        "client_id": asker.client_id,
        "standing": asker.standing.value,
        "known_as": asker.known_as,
        "proved_name": asker.proved_name,
        "claimed_name": asker.claimed_name,
        "poses_as": asker.poses_as,
    }


def asker_lines(asker: Asker) -> list[str]:
    """Give who asks, as far as it is proved."""
    # The standing comes first: a name cannot say how well it is proved.
    name = asker.known_as or asker.proved_name or asker.claimed_name or asker.client_id
    lines = [f"Asked by {asker.standing}: {name}"]
    if asker.poses_as is not None:
        lines.append(
            f"Careful: nothing proves that it is what this wallet knows as {asker.poses_as}"
        )
    return lines


def presented_lines(presented: Presented) -> list[str]:
    """Give what the customer is told once something was shown."""
    lines: list[str] = []
    if presented.match_code is not None:
        lines += [
            f"Tell this number at the counter where you are standing: {presented.match_code}",
            "Nobody in front of you asks for it? Then tell it to nobody.",
        ]
    lines += receipt_lines(presented.receipt)
    if presented.redirect_uri is not None:
        lines.append(f"It would like you to go on in your browser at {presented.redirect_uri}")
    return lines


def _disclosure_json(disclosure: Disclosure) -> JsonObject:
    return {
        "id": disclosure.credential.credential_id,
        "type": disclosure.credential.vct,
        "claims": [_claim_json(claim) for claim in disclosure.claims],
        "optional": [_claim_json(claim) for claim in disclosure.optional],
        "joining": disclosure.joining.name.lower(),
    }


def _claim_json(claim: RevealedClaim) -> JsonObject:
    return {
        "path": [*claim.path],
        "value": claim.value,
        "asked": claim.is_asked,
        "beyond": claim.is_beyond,
    }


def _claim_line(mark: str, claim: RevealedClaim) -> str:
    beyond = ", beyond what it registered" if claim.is_beyond else ""
    return f"  {mark}{beyond}: {value_line(claim.name, claim.value)}"
