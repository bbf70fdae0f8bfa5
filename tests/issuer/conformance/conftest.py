"""One brand before the suite, in each of its ways to be strict."""

from tests.issuer.conformance.stages import *  # noqa: F403
