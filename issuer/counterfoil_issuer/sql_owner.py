"""Whose a database is: the first issuer that opens it leaves its mark, and no other gets in.

Two brands with one database would issue each other's data, for a token of the one is
then a token of the other. The mark is keyed with the secret of the issuer's folder, so
that it stays when the issuer moves to another URL or port.
"""

import hmac
from typing import Final

from counterfoil_credentials.errors import Misuse
from counterfoil_service.audit import MARKS
from counterfoil_service.statements import Statement
from sqlalchemy import insert, select

from counterfoil_issuer.sql_store import SqlStore

_NAME: Final = "owner"
_FIND: Final = Statement(select(MARKS.c.mac).where(MARKS.c.name == _NAME))
_LEAVE: Final = Statement(insert(MARKS))


def require_own(store: SqlStore, secret: bytes, where: str) -> None:
    """Return only if the database is of the issuer with `secret`, or nobody's until now.

    Raises `Misuse` for another issuer's; `where` says which folder asked.
    """
    mark = hmac.digest(secret, b"database-owner\0", "sha256").hex()
    with store.transaction() as held:
        found = held.connection.value(_FIND)
        if found is None:
            held.connection.change(_LEAVE, name=_NAME, sequence=0, chain="", mac=mark)
        elif not isinstance(found, str) or found != mark:
            expected = "a database or schema of this issuer's own"
            raise Misuse(f"expected {expected}, found another's (the database of {where})")
