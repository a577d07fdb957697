"""The front-end of Kedro projects: the pipelines that the project registers.

Kedro's own node names are kept, since they are what `kedro run --nodes` takes. Datasets lose what
follows `@`, by which Kedro tells apart the formats of one dataset.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dagforge.errors import Origin, Problem, Problems, SourceLocation, did_you_mean
from dagforge.frontends.definitions import Definition, NodesRead, Registry
from dagforge.frontends.words import shown, wrong_type
from dagforge.ir import Node, Work, is_parameter
from dagforge.reading.kedro_conf import KedroConf
from dagforge.reading.kedro_places import CallPlace, place_of

RUNNER = "kedro"


def registered(conf: KedroConf) -> tuple[list[Definition], tuple[Problem, ...]]:
    """Return the pipelines that a Kedro project registers, sorted by name, and what is wrong.

    Raises:
        LoadError: the project's code failed.
    """
    pipelines, found = conf.project.pipelines()
    problems = Problems([*found])
    definitions = []
    name: Any  # what the user's code has registered
    for name, pipeline in sorted(pipelines.items(), key=lambda item: str(item[0])):
        at = Origin(_call_place(conf, pipeline, str(name)))
        if not isinstance(name, str):
            message = f"a pipeline is registered under {name!r}, which is no text"
            problems.error("kedro-pipelines", message, at)
        elif not hasattr(pipeline, "nodes"):
            message = f"{shown(name)} is registered as a {type(pipeline).__name__}, not a pipeline"
            fix = "call it, so that its pipeline is registered" if callable(pipeline) else None
            problems.error("kedro-pipelines", message, conf.project.registry_place(), fix=fix)
        else:
            definitions.append(Definition(name, at, {RUNNER: name}))
    _warn_of_local(conf, problems)
    return definitions, tuple(problems.found)


def _warn_of_local(conf: KedroConf, problems: Problems) -> None:
    """Warn of settings in the environment that Kedro takes by itself, which git does not hold."""
    own = [file for file in conf.files("airflow") if file.layer != conf.layers[0]]
    if conf.env is None and own:
        base, local = conf.layers
        problems.warn(
            Problem(
                "local-env",
                f"without --env Kedro takes '{local}', whose files git commonly does not hold: "
                "another machine would make other DAGs",
                SourceLocation(own[0].shown),
                fix=f"name the environment: --env {local}, or --env {base} for no other",
            )
        )


def needs(definition: Definition) -> Sequence[tuple[str, Origin]]:
    """Return nothing: a pipeline of Kedro holds all of its nodes."""
    del definition
    return ()


def read_nodes(definition: Definition, registry: Registry) -> NodesRead:
    """Return the nodes of a pipeline that the Kedro project registers."""
    problems = Problems()
    name, at = definition.body[RUNNER], definition.origin / RUNNER
    what = f"'kedro' of pipeline {shown(definition.name)}"
    conf = registry.conf.kedro
    if not isinstance(name, str):
        wrong_type(what, name, "the name of a registered pipeline", at, problems)
    elif conf is None:
        message = f"{what}: this is no Kedro project, pyproject.toml has no [tool.kedro]"
        problems.error("no-kedro", message, at)
    else:
        pipelines, _ = conf.project.pipelines()
        if name in pipelines:
            return _read(conf, name, pipelines[name])
        message = f"pipeline {shown(definition.name)}: Kedro has no pipeline {shown(name)}"
        problems.error("unknown-pipeline", message, at, fix=did_you_mean(name, pipelines))
    return NodesRead((), tuple(problems.found), complete=False)


def _read(conf: KedroConf, name: str, pipeline: Any) -> NodesRead:
    problems = Problems()
    # Of a module that failed, Kedro has left out its nodes; that is told already.
    _, lost = conf.project.pipelines()
    nodes = tuple(_node(conf, name, node) for node in pipeline.nodes)
    for node in nodes:
        if "," in node.name:
            message = f"the node's name {shown(node.name)} holds a comma, which separates names"
            problems.error("node-name", f"{message} on Kedro's command line", node.origin / "name")
    complete = not any(problem.severity == "error" for problem in lost)
    return NodesRead(nodes, tuple(problems.found), complete)


def _node(conf: KedroConf, pipeline: str, node: Any) -> Node:
    """Return a node of Kedro as every stage knows it; one node is the same in every pipeline."""
    inputs, outputs = plain_names(node.inputs), plain_names(node.outputs)
    tags = tuple(sorted(node.tags))
    parts = (("inputs", inputs), ("outputs", outputs), ("tags", tags), ("name", (node.name,)))
    module, function = _function_of(node.func)
    return Node(
        name=node.name,
        action=Work(RUNNER, f"{module}:{function}", pipeline=pipeline),
        origin=Origin(_call_place(conf, node, node.name, parts)),
        inputs=inputs,
        outputs=outputs,
        tags=tags,
        namespace=node.namespace,
        module=module,
    )


def plain_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return names of datasets without what follows `@`, each once."""
    return tuple(
        dict.fromkeys(name if is_parameter(name) else name.partition("@")[0] for name in names)
    )


def _function_of(function: Any) -> tuple[str, str]:
    """Return module and name of what a node calls, also where it is no plain function."""
    while isinstance(function, functools.partial):
        function = function.func
    kind = type(function)
    module = getattr(function, "__module__", None) or kind.__module__
    name = getattr(function, "__qualname__", None) or kind.__qualname__
    return str(module), str(name)


def _call_place(
    conf: KedroConf,
    made: Any,
    name: str,
    parts: tuple[tuple[str, tuple[str, ...]], ...] = (),
) -> CallPlace:
    project = conf.project
    place = place_of(made)
    if place is None:
        registry = project.source / project.facts.package / "pipeline_registry.py"
        return CallPlace(*_known_file(str(registry), project.root), None, name, parts)
    return CallPlace(*_known_file(place[0], project.root), place[1], name, parts)


@functools.lru_cache(maxsize=256)
def _known_file(file: str, root: Path) -> tuple[str, Path]:
    """Return a file as the user knows it, and its path; many nodes are written in one file."""
    path = Path(file)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else file, path
