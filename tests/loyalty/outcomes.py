"""What becomes of an action: done, or refused for one reason."""

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_loyalty.actions import Action

from tests.loyalty.programme import Programme


def refused(programme: Programme, action: Action) -> str:
    """Give the code of the one refusal: by the check beforehand, and again in a block."""
    with pytest.raises(Refused) as refusal:
        programme.ledger.check(action)
    outcome = programme.perform(action)
    assert outcome.reason is not None
    assert [outcome.reason.code] == refusal.value.codes
    return outcome.reason.code


def done(programme: Programme, action: Action) -> list[str]:
    """Perform an action that must succeed; give the names of its events."""
    outcome = programme.perform(action)
    assert outcome.reason is None, outcome.reason
    return [event.name for event in programme.ledger.block(outcome.block).events]
