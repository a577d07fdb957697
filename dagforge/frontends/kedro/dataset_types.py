"""The classes that Kedro finds by a short name, looked up without importing any of them.

`pandas.CSVDataset` is `kedro_datasets.pandas.CSVDataset`, `MemoryDataset` is of `kedro.io`. Of a
name that begins otherwise nothing is known: the class may be the project's own.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path

from dagforge.errors import suggest

_DATASETS = "kedro_datasets"


@functools.cache
def is_missing(kind: str) -> bool:
    """Say whether the installed Kedro surely finds no class of this name."""
    module, _, name = kind.removeprefix(f"{_DATASETS}.").rpartition(".")
    if not module:
        return name not in _of_kedro()
    classes = _installed().get(module)
    return classes is not None and name not in classes


def fix_of(kind: str) -> str | None:
    """Return what to write for a class that is missing, None where no name is near."""
    module, _, name = kind.removeprefix(f"{_DATASETS}.").rpartition(".")
    installed = _installed()
    modules = sorted(each for each in installed if name in installed[each])
    if module:
        near = suggest(name, (each for each in installed[module] if each.endswith("Dataset")))
        return None if near is None else f"did you mean '{module}.{near}'?"
    if modules:
        return f"write its module too: {' or '.join(f'{each}.{name}' for each in modules)}"
    near = suggest(name, _of_kedro())
    return None if near is None else f"did you mean '{near}'?"


def _of_kedro() -> frozenset[str]:
    from kedro import io

    return frozenset(name for name in dir(io) if name.endswith("Dataset"))


@functools.cache
def _installed() -> dict[str, frozenset[str]]:
    """Return the names in each module of kedro-datasets; empty where it is not installed."""
    spec = importlib.util.find_spec(_DATASETS)
    folders = spec.submodule_search_locations if spec is not None else None
    found: dict[str, frozenset[str]] = {}
    for folder in folders or ():
        for file in Path(folder).glob("*/__init__.py"):
            text = file.read_text(encoding="utf-8", errors="replace")
            names = frozenset(re.findall(r"\b[A-Z]\w+", text))
            if names and not file.parent.name.startswith("_"):
                found[file.parent.name] = names
    return found
