"""Immutable data.

`@frozen` is a slotted dataclass that hashes and compares by value. The type checker refuses to
assign to its fields, the interpreter does not: `dataclass(frozen=True)` would take three times as
long to make an object. Of its methods only `__init__` is compiled for each class: to compile the
others for the hundred classes that a small project needs took a tenth of its time.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform

    @dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
    def frozen(cls: type[T]) -> type[T]:
        """Return the class as a dataclass whose fields are set once."""

else:

    def frozen(cls: type[T]) -> type[T]:
        """Return the class as a dataclass whose fields are set once."""
        made = dataclasses.dataclass(slots=True, repr=False, eq=False, match_args=False)(cls)
        fields = dataclasses.fields(made)
        compared = [each.name for each in fields if each.compare]
        values = attrgetter(*compared) if compared else type
        # As in a dataclass: what says nothing of its hash counts where it is compared.
        hashed = [
            each.name for each in fields if (each.compare if each.hash is None else each.hash)
        ]
        to_hash = attrgetter(*hashed) if hashed else type

        def equal(self: Any, other: object) -> bool:
            if other.__class__ is not self.__class__:
                return NotImplemented
            return values(self) == values(other)

        def hash_of(self: Any) -> int:
            return hash(to_hash(self))

        def text(self: Any) -> str:
            shown = (f"{each.name}={getattr(self, each.name)!r}" for each in fields if each.repr)
            return f"{made.__qualname__}({', '.join(shown)})"

        for name, method in (("__eq__", equal), ("__hash__", hash_of), ("__repr__", text)):
            if name not in cls.__dict__:
                setattr(made, name, method)
        return made
