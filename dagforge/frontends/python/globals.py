"""What a function takes from its module that is no constant."""

from __future__ import annotations

import bisect
import datetime
import dis
import enum
import inspect
import logging
import pathlib
import re
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

from dagforge.frozen import frozen
from dagforge.user_code import type_name

_PLAIN = (type(None), bool, int, float, complex, str, bytes, range, type(Ellipsis))
_CONSTANTS = (
    *_PLAIN,
    enum.Enum,
    re.Pattern,
    pathlib.PurePath,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    datetime.tzinfo,
    logging.Logger,
    types.ModuleType,
    types.BuiltinFunctionType,
    types.GenericAlias,
    typing.TypeVar,
)


@frozen
class Captive:
    """A value that a function finds in its module.

    Attributes:
        type: as `module.Class`.
        line: where the function uses it first.
    """

    name: str
    type: str
    line: int


def captured(function: Callable[..., Any]) -> list[Captive]:
    """Return what a function uses of its module that is neither code nor constant.

    Plain data under a name in capitals counts as constant, though Python does not make it so.
    """
    inner = inspect.unwrap(function)
    code = getattr(inner, "__code__", None)
    space = getattr(inner, "__globals__", {})
    if code is None:
        return []
    found: dict[str, Captive] = {}
    for name, line in _global_names(code):
        if name in space and name not in found and not _is_constant(name, space[name]):
            found[name] = Captive(name, type_name(space[name]), line)
    return list(found.values())


def _global_names(code: types.CodeType) -> Iterator[tuple[str, int]]:
    """Yield the globals that a function reads, with lines; those of inner functions too."""
    lines = [(offset, line) for offset, line in dis.findlinestarts(code) if line is not None]
    offsets = [offset for offset, _ in lines]
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            index = bisect.bisect_right(offsets, instruction.offset) - 1
            yield str(instruction.argval), lines[index][1] if index >= 0 else code.co_firstlineno
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)


def _is_constant(name: str, value: Any) -> bool:
    # What has a name of its own is code: functions however decorated, classes, numpy's functions.
    if isinstance(value, _CONSTANTS) or (callable(value) and hasattr(value, "__name__")):
        return True
    if type(value).__module__ in ("typing", "typing_extensions"):
        return True
    if isinstance(value, (tuple, frozenset)):
        return all(_is_constant(name, each) for each in value)
    if name.isupper() and isinstance(value, (list, dict, set)):
        each_of = value.values() if isinstance(value, dict) else value
        return all(_is_constant(name, each) for each in each_of)
    return False
