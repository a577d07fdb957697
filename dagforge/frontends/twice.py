"""Functions of one name in one module, of which Python keeps the last without a word."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import ModuleType

_DEFINED = re.compile(rb"^(?:async[ \t]+)?def[ \t]+([^\s(]+)", re.MULTILINE).findall
_ON_PURPOSE = ("overload", "register", "setter", "getter", "deleter")


def defined_twice(module: ModuleType) -> list[tuple[str, int, int]]:
    """Return name, first and last line of what a module's top level defines more than once.

    Several definitions of one name on purpose (`@overload`, a registration) do not count.
    """
    file = getattr(module, "__file__", None)
    if file is None or not file.endswith(".py"):
        return []
    try:
        text = Path(file).read_bytes()
        # To parse a large module takes half as long as Hamilton takes to make a graph of it.
        names = _DEFINED(text)
        if len(names) == len({*names}):
            return []
        tree = ast.parse(text)
    except (OSError, SyntaxError, ValueError):
        return []
    lines: dict[str, list[int]] = {}
    for each in tree.body:
        if not isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        decorators = {
            part.attr if isinstance(part, ast.Attribute) else getattr(part, "id", "")
            for decorator in each.decorator_list
            for part in ast.walk(decorator)
        }
        if not each.name.startswith("_") and decorators.isdisjoint(_ON_PURPOSE):
            lines.setdefault(each.name, []).append(each.lineno)
    return [(name, found[0], found[-1]) for name, found in lines.items() if len(found) > 1]
