"""What a project has in a bucket: `.dagforge/<project>.json` under the DAGs' root.

The inventories of all projects together say who owns which file and which dag_id. They hold no
times: nothing here depends on anybody's clock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final
from urllib.parse import quote

from dagforge.deploying.settings import INVENTORIES
from dagforge.errors import OutputError, SourceLocation
from dagforge.frozen import frozen

_FORM: Final = 1
_SUFFIX: Final = ".json"


@frozen
class Entry:
    """A file of a project, as it is or soon will be.

    Attributes:
        hashes: SHA-256 of the content; of each that it may be while a deployment is under way.
        version: of the object; None while a deployment is under way.
        envs: the environments that deployed it; `base` for none. A DAG file has one.
        pipeline: None for a supporting file.
        dag_ids: sorted.
    """

    hashes: tuple[str, ...]
    version: str | None
    envs: tuple[str, ...]
    target: str | None = None
    pipeline: str | None = None
    dag_ids: tuple[str, ...] = ()


@frozen
class Inventory:
    """All files of a project, by their paths from the DAGs' root."""

    project: str
    files: Mapping[str, Entry] = field(default_factory=dict)


def path_of(project: str) -> str:
    """Return where a project's inventory is."""
    return f"{INVENTORIES}/{quote(project, safe=' ')}{_SUFFIX}"


def lock_of(project: str) -> str:
    """Return where it is kept that a project is being deployed."""
    return f"{INVENTORIES}/{quote(project, safe=' ')}.lock"


def is_inventory(path: str) -> bool:
    """Say whether a path is that of some project's inventory."""
    return path.startswith(f"{INVENTORIES}/") and path.endswith(_SUFFIX) and path.count("/") == 1


def as_bytes(inventory: Inventory) -> bytes:
    """Return the file: the same bytes for the same content, one line a fact for whoever looks."""
    files: dict[str, Any] = {}
    for path in sorted(inventory.files):
        entry = inventory.files[path]
        files[path] = {
            "sha256": list(entry.hashes),
            "version": entry.version,
            "envs": list(entry.envs),
            "target": entry.target,
            "pipeline": entry.pipeline,
            "dag_ids": list(entry.dag_ids),
        }
    document = {"dagforge_inventory": _FORM, "project": inventory.project, "files": files}
    return (json.dumps(document, indent=1, ensure_ascii=True) + "\n").encode()


def read_inventory(content: bytes, where: str) -> Inventory:
    """Return what a file holds.

    Args:
        content: of the file.
        where: its URL, for messages.

    Raises:
        OutputError: it is no inventory, or one of a later version of DagForge.
    """
    try:
        document = json.loads(content)
        form, project = document["dagforge_inventory"], document["project"]
        if isinstance(form, int) and form > _FORM:
            raise OutputError.of(
                "bad-inventory",
                "this list of a project's files was written by a later version of DagForge",
                at=SourceLocation(where),
                fix="install that version",
            )
        files = {path: _entry(facts) for path, facts in document["files"].items()}
        if form != _FORM or not isinstance(project, str):
            raise ValueError(form)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise OutputError.of(
            "bad-inventory",
            "this list of a project's files cannot be read, so it is not known what is whose",
            at=SourceLocation(where),
            fix="let its project deploy again; if that is yours, or is gone, delete the list first",
        ) from error
    return Inventory(project, files)


def _entry(facts: Any) -> Entry:
    """Return an entry.

    Raises:
        ValueError, KeyError, TypeError: it is none.
    """
    entry = Entry(
        _texts(facts["sha256"]),
        facts["version"],
        _texts(facts["envs"]),
        facts["target"],
        facts["pipeline"],
        _texts(facts["dag_ids"]),
    )
    if not all(isinstance(x, (str, type(None))) for x in (entry.version, entry.target)):
        raise ValueError(facts)
    return entry


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError(value)
    return tuple(value)
