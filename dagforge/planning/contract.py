"""What a DAG expects of the image that runs it, as hashes that both sides can make.

Settings do not count: an image may be older or newer than its DAG, but it must hold the nodes
that a task names, with the same inputs and outputs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from dagforge.ir import Node, Operator, Pipeline

# Made once: `json.dumps` makes one for each task.
_to_json = json.JSONEncoder(sort_keys=True, ensure_ascii=True).encode


def _hash(data: Any) -> str:
    return hashlib.sha256(_to_json(data).encode()).hexdigest()[:8]


def contract(nodes: Sequence[Node], pipeline: Pipeline) -> str:
    """Return two hashes: of names, inputs and outputs, and of callables and formats.

    Where the first differs a task must not run; the second only tells that something changed.
    """
    names = [(node.name, node.inputs, node.outputs) for node in nodes]
    return f"{hash_of_names(names)}-{_hash([_how(node, pipeline) for node in nodes])}"


def hash_of_names(nodes: Sequence[tuple[str, Sequence[str], Sequence[str]]]) -> str:
    """Return the first hash of a contract: of each node's name, inputs and outputs."""
    return _hash(nodes)


def _how(node: Node, pipeline: Pipeline) -> list[Any]:
    action = node.action
    what: list[Any] = (
        [action.path]
        if isinstance(action, Operator)
        else [action.runner, action.target, action.command, dict(action.arguments)]
    )
    formats = {}
    for name in (*node.inputs, *node.outputs):
        dataset = pipeline.datasets.get(name)
        if dataset is not None and dataset.format is not None:
            formats[name] = dataset.format
    return [what, formats]


def must_stop(expected: str, found: str) -> bool:
    """Say whether a task must not run: its nodes have other inputs or outputs than its DAG says."""
    return expected.partition("-")[0] != found.partition("-")[0]


def structure_hash(structure: Mapping[str, Any]) -> str:
    """Return the hash of a plan's structure: tasks, their nodes and contracts, and edges."""
    text = json.dumps(structure, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
