"""Records: values made for every message, which the type checker keeps from changing.

A frozen dataclass also refuses at run time, and pays for that when it is made:
each field is set the long way round. Five of them stand on the way of one
presentation and cost a tenth of all that is not cryptography. What is made once
and kept, such as a key, is a frozen dataclass.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(*, kw_only: bool = False, slots: bool = True) -> Callable[[type[T]], type[T]]:
    """Make a class a dataclass that is frozen for the type checker: equal, hashable, slotted."""
    return dataclass(slots=slots, unsafe_hash=True, kw_only=kw_only)
