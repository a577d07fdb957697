"""Functions of one name in one module, of which Python keeps the last without a word."""

from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType

_ON_PURPOSE = ("overload", "register", "setter", "getter", "deleter")


def defined_twice(module: ModuleType) -> list[tuple[str, int, int]]:
    """Return name, first and last line of what a module's top level defines more than once.

    Several definitions of one name on purpose (`@overload`, a registration) do not count.
    """
    file = getattr(module, "__file__", None)
    if file is None or not file.endswith(".py"):
        return []
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    lines: dict[str, list[int]] = {}
    for each in tree.body:
        if not isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        names = {
            part.attr if isinstance(part, ast.Attribute) else getattr(part, "id", "")
            for decorator in each.decorator_list
            for part in ast.walk(decorator)
        }
        if not each.name.startswith("_") and names.isdisjoint(_ON_PURPOSE):
            lines.setdefault(each.name, []).append(each.lineno)
    return [(name, found[0], found[-1]) for name, found in lines.items() if len(found) > 1]
