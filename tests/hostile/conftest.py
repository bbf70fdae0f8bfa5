"""The brands that are attacked."""

from tests.issuer.conformance.stages import *  # noqa: F403
