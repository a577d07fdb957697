"""What is wrong with the functions of a driver's modules, each at its own line."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from dagforge.errors import Origin, Problem
from dagforge.frontends.places import origin_in
from dagforge.frontends.twice import defined_twice
from dagforge.frontends.words import shown

_NAMED = (
    re.compile(r"^Error: (\w+) is expecting"),
    re.compile(r"defined by <function (\w+)"),
    re.compile(r"in function (\w+)"),
    re.compile(r"<function (\w+)"),
)


def functions_of(module: ModuleType) -> dict[str, Any]:
    """Return the functions that Hamilton makes nodes of, by the name that they have there."""
    return {
        name: each
        for name, each in vars(module).items()
        if inspect.isfunction(each)
        and not name.startswith("_")
        and (each.__module__ or "").startswith(module.__name__)
    }


def problems_twice(modules: Iterable[ModuleType], root: Path) -> list[Problem]:
    """Return a problem for each function whose place another one of its name has taken."""
    found = []
    for module in modules:
        for name, first, last in defined_twice(module):
            found.append(
                Problem(
                    "duplicate-function",
                    f"module '{module.__name__}' defines {shown(name)} again, after line {first}:"
                    " Python forgets the first",
                    origin_in(str(module.__file__), root, last),
                    "rename one of them, such as fit__small and fit__large with @config.when",
                )
            )
    return found


def config_of(modules: Iterable[ModuleType]) -> set[str]:
    """Return the names of the config that `@config.when` and its like ask for."""
    found: set[str] = set()
    for module in modules:
        for function in functions_of(module).values():
            for each in getattr(function, "resolve", ()):
                asked = getattr(each, "optional_config", None)
                found |= {*((asked() if asked is not None else None) or ())}
    return found


def problems_of_hints(modules: Iterable[ModuleType], root: Path) -> list[Problem]:
    """Return a problem for each function that does not state the types that Hamilton wants."""
    found = []
    for module in modules:
        for name, function in functions_of(module).items():
            says = _fault_of_hints(name, function)
            if says is not None:
                what, fix = says
                at = _place(function, root)
                found.append(Problem("hamilton-build", f"function {shown(name)} {what}", at, fix))
    return found


def _fault_of_hints(name: str, function: Any) -> tuple[str, str] | None:
    hints: Mapping[str, Any] = function.__annotations__
    code = function.__code__
    arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    missing = [argument for argument in arguments if argument not in hints]
    if missing:
        listed = ", ".join(f"'{argument}'" for argument in missing)
        return (
            f"does not state the type of {listed}",
            f"such as def {name}({missing[0]}: int)",
        )
    if "return" not in hints:
        listed = ", ".join(arguments)
        return "does not state what it returns", f"such as def {name}({listed}) -> int"
    try:
        typing.get_type_hints(function)
    except Exception as error:
        return f"has a type that cannot be told: {error}", "import the type in its module"
    return None


def problem_of_build(
    error: Exception, modules: Iterable[ModuleType], root: Path, at: Origin
) -> Problem:
    """Return the problem for a driver that Hamilton cannot build, at the function if it is told."""
    text = re.sub(r" at 0x[0-9a-f]+", "", " ".join(str(error).split()))
    text, _, _ = text.partition(" Hamilton does not consider these types")
    place = at
    message = f"Hamilton cannot build the driver: {type(error).__name__}: {text}"
    named = next(filter(None, (pattern.search(str(error)) for pattern in _NAMED)), None)
    name = named[1] if named is not None else ""
    having = [module for module in modules if name in functions_of(module)]
    if having:
        # The last of several is the one that is too many.
        place = _place(functions_of(having[-1])[name], root)
    fix = None
    if "cannot define function" in text.lower() or "already defined" in text.lower():
        fix = "rename one of them, or let a later module define it again: allow_overrides: true"
        if len(having) > 1:
            first, *_, last = (module.__name__ for module in having)
            message = f"function {shown(name)} of module '{last}' is in module '{first}', too"
    elif "is expecting" in text:
        fix = "let both functions state the same type"
    return Problem("hamilton-build", message, place, fix)


def _place(function: Any, root: Path) -> Origin:
    code = inspect.unwrap(function).__code__
    return origin_in(code.co_filename, root, code.co_firstlineno)
