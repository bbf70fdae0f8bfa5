"""A program that tests/test_imports.py runs in an environment without any extra.

It does what a till and a phone do with the base of the distribution, and fails
when anything heavy was loaded on the way.
"""

import sys

import counterfoil_consent
import counterfoil_verifier
import counterfoil_wallet

assert counterfoil_consent.__all__
assert counterfoil_verifier.__all__
assert counterfoil_wallet.__all__

heavy = {"web3", "eth", "eth_tester", "fastapi", "pydantic", "sqlalchemy", "pyld"}
loaded = heavy & set(sys.modules)
if loaded:
    sys.exit(f"expected nothing heavy, found {sorted(loaded)}")
