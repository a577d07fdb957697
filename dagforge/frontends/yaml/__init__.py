"""The native front-end: pipelines whose nodes are written in pipelines.yml.

It also reads `include` and `select`, which make a pipeline of others, whoever reads those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dagforge.errors import DagForgeError, Origin, Problems, did_you_mean
from dagforge.frontends.definitions import Definition, NodesRead, Registry
from dagforge.frontends.words import check_keys, shown, wrong_type
from dagforge.frontends.yaml.nodes import names_in, read_node_list
from dagforge.ir import Node, Parameter, Selection

_SELECT_KEYS = ("from", "tags", "nodes", "from_nodes", "to_nodes")


def needs(definition: Definition) -> Sequence[tuple[str, Origin]]:
    """Return the pipelines in `include`, or that of `select`, as far as they are names."""
    body, origin = definition.body, definition.origin
    included = body.get("include")
    if isinstance(included, list):
        places = [(name, origin / "include" / index) for index, name in enumerate(included)]
        return [(name, place) for name, place in places if isinstance(name, str)]
    selected = body.get("select")
    if isinstance(selected, dict) and isinstance(selected.get("from"), str):
        return [(selected["from"], origin / "select" / "from")]
    return []


def read_nodes(definition: Definition, registry: Registry) -> NodesRead:
    """Return the nodes of a definition with `nodes`, `include` or `select`."""
    if "nodes" in definition.body:
        return read_node_list(definition)
    if "include" in definition.body:
        return _included(definition, registry)
    return _selected(definition, registry)


def _included(definition: Definition, registry: Registry) -> NodesRead:
    """Return the nodes of all included pipelines; one that is reached twice is one node."""
    problems = Problems()
    what = f"'include' of pipeline {shown(definition.name)}"
    at = definition.origin / "include"
    names = definition.body["include"]
    if not isinstance(names, list):
        fix = f"write [{names}]" if isinstance(names, str) else None
        wrong_type(what, names, "a list of pipelines", at, problems, fix)
        return NodesRead((), tuple(problems.found), complete=False)
    complete = True
    nodes: dict[Any, Node] = {}
    parameters: dict[str, Parameter] = {}
    for index, name in enumerate(names):
        if not isinstance(name, str):
            wrong_type(f"a name in {what}", name, "text", at / index, problems)
            complete = False
        elif name not in registry:
            _unknown_pipeline(definition, name, at / index, registry, problems)
            complete = False
        else:
            read = registry.nodes_of(name)
            problems.extend(read.problems)
            complete = complete and read.complete
            parameters.update(read.parameters)
            for node in read.nodes:
                _add(node, nodes)
    return NodesRead(tuple(nodes.values()), tuple(problems.found), complete, parameters)


def _add(node: Node, nodes: dict[Any, Node]) -> None:
    """Add a node unless it is there already; two parts of one pipeline may order it otherwise."""
    earlier = nodes.setdefault(node.origin, node)
    if earlier is not node and earlier.after != node.after:
        after = tuple(dict.fromkeys((*earlier.after, *node.after)))
        nodes[node.origin] = replace(earlier, after=after)


def _selected(definition: Definition, registry: Registry) -> NodesRead:
    """Return the part of another pipeline that `select` asks for."""
    from dagforge.select import select

    problems = Problems()
    what = f"'select' of pipeline {shown(definition.name)}"
    at = definition.origin / "select"
    body = definition.body["select"]
    if not isinstance(body, dict):
        wrong_type(what, body, "a mapping", at, problems)
        return NodesRead((), tuple(problems.found), complete=False)
    check_keys(body, _SELECT_KEYS, what, at, problems)
    code_of = dict.fromkeys(_SELECT_KEYS, "node-name") | {"tags": "tag-name"}
    parts = {
        key: names_in(body[key], f"'{key}' in {what}", code_of[key], at / key, problems)
        for key in _SELECT_KEYS[1:]
        if body.get(key) is not None
    }
    whole = body.get("from")
    if not isinstance(whole, str):
        if "from" in body:
            wrong_type(f"'from' in {what}", whole, "the name of a pipeline", at / "from", problems)
        else:
            message = f"{what} does not say 'from' which pipeline"
            problems.error("missing-key", message, at, fix="add from: <pipeline>")
    elif whole not in registry:
        _unknown_pipeline(definition, whole, at / "from", registry, problems)
    elif not parts and set(body) == {"from"}:
        problems.error(
            "missing-key",
            f"{what} selects nothing",
            at,
            fix="add tags, nodes, from_nodes or to_nodes",
        )
    if not problems.found:
        selection = Selection(**{key: names for key, names in parts.items() if names is not None})
        try:
            part = select(registry.load(str(whole)), selection, name=definition.name, origin=at)
        except DagForgeError as exc:
            problems.extend(exc.problems)
        else:
            return NodesRead(part.nodes, parameters=part.parameters)
    return NodesRead((), tuple(problems.found), complete=False)


def _unknown_pipeline(
    definition: Definition, name: str, at: Origin, registry: Registry, problems: Problems
) -> None:
    problems.error(
        "unknown-pipeline",
        f"pipeline {shown(definition.name)} is made of {shown(name)}, which is no pipeline",
        at,
        fix=did_you_mean(name, [other for other in registry if other != definition.name]),
    )
