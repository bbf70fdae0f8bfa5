"""Who has what: the customer's grants by party, and who has one fact of hers.

    by_party(consents)    ─► PartyView     what each party may read, or has had
    who_has(fact, …)      ─► FactHolder    "who has my phone number?"
    by_fact(consents, …)  ─► FactView      the same for each fact that anybody has

Made of what the wallet keeps; nobody is asked.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from counterfoil_consent.terms import ClaimName

from counterfoil_wallet.consent_view import Consent, ConsentState
from counterfoil_wallet.history import Act, Event


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyView:
    """What one party may read or has had, the newest grant first."""

    party: str
    name: str
    consents: tuple[Consent, ...]

    @property
    def facts(self) -> frozenset[ClaimName]:
        """The facts that it may read, or has not yet proved to have erased."""
        return frozenset(name for one in self.consents for name in held_by(one))


@dataclass(frozen=True, slots=True, kw_only=True)
class FactHolder:
    """A party that has a fact: by `consents`, or because it was shown it at `shown_at`.

    By `handed_on` it may have it: the receivers of these grants may hand the fact to it.
    """

    party: str
    name: str
    consents: tuple[Consent, ...]
    shown_at: tuple[datetime, ...]
    kept_until: datetime | None
    handed_on: tuple[Consent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FactView:
    """A fact that somebody has, by its claim's path, and everybody who has it."""

    fact: str
    holders: tuple[FactHolder, ...]


def by_party(consents: Iterable[Consent]) -> tuple[PartyView, ...]:
    """Give the grants of each party; who was granted something last stands first."""
    parties: dict[str, list[Consent]] = {}
    for one in _newest_first(consents):
        parties.setdefault(one.party, []).append(one)
    return tuple(
        PartyView(party=party, name=granted[0].name, consents=(*granted,))
        for party, granted in parties.items()
    )


def held_by(consent: Consent) -> frozenset[ClaimName]:
    """Give the facts that the receiver has by this grant: granted, and not proved erased."""
    match consent.state:
        case ConsentState.NOT_GRANTED | ConsentState.ERASED:
            return frozenset()
        case _ if consent.level is not None:
            return frozenset(name for item in consent.retained for name in item.claims)
        case _:
            return frozenset(consent.claims)


def who_has(
    fact: str, consents: Sequence[Consent], history: Iterable[Event]
) -> tuple[FactHolder, ...]:
    """Give who has a fact: by a grant that is not proved erased, or because it was shown it.

    A recipient that the terms name may have it until its own receipt says that it has not.
    `fact` is a claim's path, such as `item.serial`, or its last name, `serial`.
    """
    granted: dict[str, list[Consent]] = {}
    handed_on: dict[str, list[Consent]] = {}
    names: dict[str, str] = {}
    for one in _newest_first(consents):
        names.setdefault(one.party, one.name)
        if any(_is_meant(str(name), fact) for name in one.claims):
            for recipient in one.recipients_left:
                names.setdefault(recipient.did, recipient.name)
                handed_on.setdefault(recipient.did, []).append(one)
        if any(_is_meant(str(name), fact) for name in held_by(one)):
            granted.setdefault(one.party, []).append(one)
    shown: dict[str, list[Event]] = {}
    for event in history:
        if event.act is Act.SHOWN and any(_is_meant(name, fact) for name in event.claims):
            shown.setdefault(event.party, []).append(event)
    return tuple(
        _holder(
            party,
            names.get(party),
            granted.get(party, ()),
            shown.get(party, ()),
            handed_on.get(party, ()),
        )
        for party in dict.fromkeys([*granted, *shown, *handed_on])
    )


def by_fact(consents: Sequence[Consent], history: Iterable[Event]) -> tuple[FactView, ...]:
    """Give each fact that somebody has, or may have been handed, by name."""
    shown = [event for event in history if event.act is Act.SHOWN]
    names = {name for event in shown for name in event.claims}
    names |= {str(name) for one in consents for name in held_by(one)}
    names |= {str(name) for one in consents if one.recipients_left for name in one.claims}
    return tuple(
        FactView(fact=name, holders=who_has(name, consents, shown)) for name in sorted(names)
    )


def _newest_first(consents: Iterable[Consent]) -> list[Consent]:
    return [*reversed([*consents])]


def _is_meant(name: str, fact: str) -> bool:
    return name == fact or name.endswith(f".{fact}")


def _holder(
    party: str,
    name: str | None,
    consents: Sequence[Consent],
    shown: Sequence[Event],
    handed_on: Sequence[Consent],
) -> FactHolder:
    names = [name] if name is not None else []
    names += [event.party_name for event in reversed(shown) if event.party_name]
    receipts = [event.receipt for event in shown if event.receipt is not None]
    return FactHolder(
        party=party,
        name=names[0] if names else party,
        consents=(*consents,),
        shown_at=tuple(event.at for event in shown),
        kept_until=max((one.kept_until for one in receipts if one.kept_until), default=None),
        handed_on=(*handed_on,),
    )
