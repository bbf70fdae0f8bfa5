"""What a credential says of its place in Bitstring Status Lists, and what a value there means.

Bitstring Status List 1.0, section 2.1.
"""

import re
from dataclasses import field
from enum import StrEnum
from typing import Final

from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_list,
    as_object,
    int_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Misuse, Reason
from counterfoil_credentials.records import record
from counterfoil_credentials.w3c_credential import W3cCredential
from counterfoil_credentials.w3c_shapes import as_url, one_or_many

ENTRY_TYPE: Final = "BitstringStatusListEntry"
MAX_STATUS_SIZE: Final = 8
_WHERE: Final = "credential.credentialStatus"
# Base 10, in its one spelling; no list that we read is longer than 2**27 entries.
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")
_VALUE: Final = re.compile(r"0x[0-9A-Fa-f]{1,2}")


class StatusPurpose(StrEnum):
    """The purposes that the specification gives a meaning; others are texts of an issuer's."""

    REFRESH = "refresh"
    REVOCATION = "revocation"
    SUSPENSION = "suspension"
    MESSAGE = "message"


@record(kw_only=True)
class BitstringStatusEntry:
    """Entry `index` of the list at `list_url`, `size` bits wide, about `purpose`.

    `messages` name each value; they are for developers and not for a screen.
    """

    purpose: str
    list_url: str
    index: int
    size: int = 1
    messages: tuple[str, ...] = field(default=(), repr=False)
    references: tuple[str, ...] = ()

    @staticmethod
    def parse(obj: JsonObject, where: str = _WHERE) -> "BitstringStatusEntry":
        """Read one entry; `Malformed` for another shape, and for more than 8 bits."""
        if ENTRY_TYPE not in one_or_many(obj, "type", where):
            raise Malformed(ENTRY_TYPE, "another type", f"{where}.type")
        index = text_at(obj, "statusListIndex", where)
        if _INDEX.fullmatch(index) is None:
            raise Malformed("a whole number as text", "another", f"{where}.statusListIndex")
        size = int_at(obj, "statusSize", where) if "statusSize" in obj else 1
        if not 1 <= size <= MAX_STATUS_SIZE:
            raise Malformed("1 to 8 bits", "another width", f"{where}.statusSize")
        list_url = as_url(obj.get("statusListCredential"), f"{where}.statusListCredential")
        if obj.get("id") == list_url:
            raise Malformed("an id of its own", "that of the list", f"{where}.id")
        return BitstringStatusEntry(
            purpose=text_at(obj, "statusPurpose", where),
            list_url=list_url,
            index=int(index),
            size=size,
            messages=_messages(obj, size, where),
            references=tuple(
                as_url(each, f"{where}.statusReference")
                for each in one_or_many(obj, "statusReference", where)
            ),
        )

    def json(self) -> JsonObject:
        """Give the object for `credentialStatus`; `Misuse` for what `parse` would refuse."""
        obj: dict[str, Json] = {
            "type": ENTRY_TYPE,
            "statusPurpose": self.purpose,
            "statusListIndex": str(self.index),
            "statusListCredential": self.list_url,
        }
        if self.size != 1:
            obj["statusSize"] = self.size
        if self.messages:
            obj["statusMessage"] = [
                {"status": hex(value), "message": text} for value, text in enumerate(self.messages)
            ]
        if self.references:
            obj["statusReference"] = [*self.references]
        try:
            BitstringStatusEntry.parse(obj)
        except Malformed as cause:
            raise Misuse("expected an entry of the specification's shape, found another") from cause
        return obj

    def reasons(self, value: int) -> list[Reason]:
        """Give the reasons in `value` why the credential does not count (section 3.2).

        `revoked`, `suspended`; `status-set` for a purpose that we do not know, as nothing
        says that it is harmless. A message, and that a newer credential may be had, are
        no reasons.
        """
        if value == 0 or self.purpose in (StatusPurpose.REFRESH, StatusPurpose.MESSAGE):
            return []
        code, found = _CODES.get(self.purpose, ("status-set", "one with a status of its issuer's"))
        return [Reason(code, "a credential in force", found, _WHERE)]

    def message(self, value: int) -> str | None:
        """Give the issuer's word for `value`, or None where it gave none."""
        return self.messages[value] if value < len(self.messages) else None


_CODES: Final = {
    StatusPurpose.REVOCATION.value: ("revoked", "one that was revoked"),
    StatusPurpose.SUSPENSION.value: ("suspended", "one that is suspended"),
}


def bitstring_entries(credential: W3cCredential) -> tuple[BitstringStatusEntry, ...]:
    """Give the credential's entries in Bitstring Status Lists; other kinds are left out."""
    return tuple(
        BitstringStatusEntry.parse(status.json, f"{_WHERE}[{i}]")
        for i, status in enumerate(credential.statuses)
        if ENTRY_TYPE in status.types
    )


def _messages(obj: JsonObject, size: int, where: str) -> tuple[str, ...]:
    place = f"{where}.statusMessage"
    if "statusMessage" not in obj:
        if size > 1:
            raise Malformed("a message for each value", "none", place)
        return ()
    listed = [as_object(each, place) for each in as_list(obj["statusMessage"], place)]
    found: dict[int, str] = {}
    for each in listed[: 1 << MAX_STATUS_SIZE]:
        value = text_at(each, "status", place)
        if _VALUE.fullmatch(value) is None:
            raise Malformed("a hexadecimal value", "another", f"{place}.status")
        found[int(value, 16)] = text_at(each, "message", place)
    if len(listed) != 1 << size or [*range(1 << size)] != sorted(found):
        raise Malformed(f"a message for each of {1 << size} values", "others", place)
    return tuple(found[value] for value in range(1 << size))
