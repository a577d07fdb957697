"""Immutable data.

`@frozen` is a slotted dataclass that hashes and compares by value. The type checker refuses to
assign to its fields, the interpreter does not: `dataclass(frozen=True)` would take three times as
long to make an object, and the ninety classes a tenth of the time that a small project takes.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform

    @dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
    def frozen(cls: type[T]) -> type[T]:
        """Return the class as a dataclass whose fields are set once."""

else:
    frozen = dataclasses.dataclass(slots=True, unsafe_hash=True)
