"""Print, as JSON, what the constructors and imports of this environment's orchestrator are like.

Runs inside a real Airflow or Prefect, so it uses nothing but that and the standard library.
Standard input is `{"classes": {name: path}, "imports": {name: path}, "enums": {name: path}}`, all
paths dotted.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
import warnings
from typing import Any


def find(path: str) -> Any:
    """Return what a dotted path names: a module, or an attribute of a module or of a class."""
    names = path.split(".")
    for end in range(len(names), 0, -1):
        try:
            found = importlib.import_module(".".join(names[:end]))
        except ModuleNotFoundError as error:
            if not ".".join(names[:end]).startswith(error.name or "?"):
                raise
            continue
        for name in names[end:]:
            found = getattr(found, name)
        return found
    raise ModuleNotFoundError(path)


def arguments(called: Any) -> dict[str, dict[str, Any]]:
    """Return the arguments a class or function takes, those of its base classes too."""
    if not inspect.isclass(called) or hasattr(called, "__attrs_attrs__"):
        return _parameters(called)
    found: dict[str, dict[str, Any]] = {}
    for base in called.__mro__:
        if "__init__" in base.__dict__ and base is not object:
            own = _parameters(base.__dict__["__init__"])
            found = {**own, **found}
            if "**" not in own:
                break
    return {name: facts for name, facts in found.items() if name not in ("self", "*", "**")}


def _parameters(called: Any) -> dict[str, dict[str, Any]]:
    found = {}
    for name, parameter in inspect.signature(called).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            name = "**"
        elif parameter.kind is parameter.VAR_POSITIONAL:
            name = "*"
        required = parameter.default is parameter.empty
        default = None if required else repr(parameter.default)
        found[name] = {"required": required, "default": default}
    return found


def describe(path: str) -> dict[str, Any]:
    """Return the arguments of a class or function, and which of them Airflow renders."""
    called = find(path)
    return {
        "arguments": arguments(called),
        "template_fields": sorted(getattr(called, "template_fields", ())),
        "template_ext": sorted(getattr(called, "template_ext", ())),
    }


def try_import(statement_path: str) -> dict[str, Any]:
    """Return the error of an import, or None, and the deprecation warnings that it gave."""
    path = statement_path.split(" as ")[0]
    module, _, name = path.rpartition(".")
    statement = f"from {module} import {name}" if module else f"import {name}"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exec(statement, {"__name__": "dag_file"})
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}", "deprecations": []}
    deprecations = [
        str(warning.message)
        for warning in caught
        if issubclass(
            warning.category, (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
        )
        and warning.filename == "<string>"
    ]
    return {"error": None, "deprecations": deprecations}


def main() -> None:
    """Answer the question on standard input."""
    # Airflow writes to standard output when it is imported; the answer must be alone there.
    answer, sys.stdout = sys.stdout, sys.stderr
    wanted = json.load(sys.stdin)
    imports = {name: try_import(path) for name, path in wanted.get("imports", {}).items()}
    classes = {name: describe(path) for name, path in wanted.get("classes", {}).items()}
    enums = {name: [item.value for item in find(p)] for name, p in wanted.get("enums", {}).items()}
    json.dump({"classes": classes, "imports": imports, "enums": enums}, answer, sort_keys=True)


if __name__ == "__main__":
    main()
