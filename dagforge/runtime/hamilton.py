"""A part of a Hamilton driver: exactly a task's nodes, with the values of others as overrides.

`inputs` for a variable that a function computes are silently ignored by Hamilton, so what other
tasks have computed goes in as overrides, which also prune everything behind them (measured from
1.46 to 1.90).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagforge.conf import Conf
from dagforge.errors import Problems
from dagforge.frontends.definitions import Registry
from dagforge.frontends.hamilton import RUNNER, drivers_of
from dagforge.frontends.hamilton.definition import DriverDefinition
from dagforge.frontends.hamilton.driver import (
    build_driver,
    import_hamilton,
    variables_of,
    without_tracebacks,
)
from dagforge.frontends.hamilton.nodes import is_parallel, is_validation
from dagforge.ir import Node, Work, is_parameter
from dagforge.runtime.errors import RunError
from dagforge.runtime.functions import Terminated
from dagforge.runtime.records import CheckResult, as_json
from dagforge.user_code import UserError


def is_hamilton(node: Node) -> bool:
    """Say whether a node is a variable of Hamilton's."""
    return isinstance(node.action, Work) and node.action.runner == RUNNER


class NodeFailed(Exception):  # it is caught, and what is raised has another name
    """A node's function raised.

    Attributes:
        node: whose, as the pipeline calls it.
        error: with the user's own frames.
    """

    def __init__(self, node: str, error: UserError) -> None:
        self.node = node
        self.error = error
        super().__init__(node)


@dataclass(slots=True)
class Told:
    """What running a part tells, as it happens.

    Attributes:
        say: takes a line for the log.
        seconds: by node; of one that is repeated, together.
        checks: of `@check_output`.
    """

    say: Callable[[str], None]
    seconds: dict[str, float] = field(default_factory=dict)
    checks: list[CheckResult] = field(default_factory=list)

    @property
    def executed(self) -> list[str]:
        """Names of nodes, each once, in the order in which they began."""
        return list(self.seconds)


def run_part(
    nodes: Sequence[Node],
    values: Mapping[str, Any],
    wanted: Collection[str],
    *,
    conf: Conf,
    registry: Registry,
    told: Told,
) -> dict[str, Any]:
    """Run nodes of Hamilton's drivers and return those of their datasets that are wanted.

    Args:
        nodes: of one task, in topological order.
        values: what they need from elsewhere, by dataset or parameter.
        wanted: datasets that are asked for; the others are computed where these need them.
        conf: of the project.
        registry: its pipelines.
        told: is told what happens.

    Raises:
        NodeFailed: a node's function raised.
        RunError: this image has no such driver.
    """
    made: dict[str, Any] = {}
    for key, part in _by_driver(nodes):
        definition = _definition(key, registry)
        mine = {node.name for node in part}
        inside = {output for node in part for output in node.outputs}
        names = [output for node in part for output in node.outputs if output in wanted]
        read_later = {
            dataset
            for node in nodes
            if node.name not in mine
            for dataset in node.inputs
            if dataset in inside
        }
        names += sorted(read_later.difference(names))
        made |= _execute(definition, part, {**values, **made}, names, conf.root, told)
    return {name: value for name, value in made.items() if name in wanted}


def asked_for(nodes: Sequence[Node], registry: Registry) -> set[str]:
    """Return the datasets of nodes that `outputs` of their drivers names: they are kept."""
    found: set[str] = set()
    for key in dict.fromkeys(_key(node) for node in nodes):
        definition = _definition(key, registry)
        found.update(definition.prefixed(name) for name in definition.outputs)
    return found & {output for node in nodes for output in node.outputs}


def _by_driver(nodes: Sequence[Node]) -> list[tuple[str, list[Node]]]:
    """Return the nodes by driver, in an order in which each driver runs as seldom as possible."""
    producer = {output: node for node in nodes for output in node.outputs}
    waiting = list(nodes)
    done: set[str] = set()
    parts: list[tuple[str, list[Node]]] = []
    while waiting:
        best: list[Node] = []
        for key in dict.fromkeys(_key(node) for node in waiting):
            ready: set[str] = set(done)
            part: list[Node] = []
            for node in waiting:
                needed = {producer[name].name for name in node.inputs if name in producer}
                if _key(node) == key and needed <= ready:
                    part.append(node)
                    ready.add(node.name)
            if len(part) > len(best):
                best = part
        parts.append((_key(best[0]), best))
        done |= {node.name for node in best}
        waiting = [node for node in waiting if node.name not in done]
    return parts


def _key(node: Node) -> str:
    assert isinstance(node.action, Work), node.name
    return node.action.pipeline


def _definition(key: str, registry: Registry) -> DriverDefinition:
    """Return the driver that nodes name."""
    pipeline = key.partition("#")[0]
    definition = registry.definition(pipeline)
    problems = Problems()
    drivers = [] if definition is None else drivers_of(definition, problems)
    for driver in drivers:
        if driver.key == key:
            return driver
    raise RunError.of("image-differs", f"pipeline '{pipeline}' of this image has no such driver")


def _execute(
    definition: DriverDefinition,
    nodes: Sequence[Node],
    values: Mapping[str, Any],
    wanted: Sequence[str],
    root: Path,
    told: Told,
) -> dict[str, Any]:
    import_hamilton()
    name_of = {node.action.target: node.name for node in nodes if isinstance(node.action, Work)}
    modules = {node.name: node.module or "" for node in nodes}
    target_of = {name: target for target, name in name_of.items()}
    hook = _hook(name_of, told)
    driver = build_driver(definition, root, adapters=[hook])
    variables = variables_of(driver)
    if any(is_parallel(each) for each in variables.values()):
        driver = build_driver(definition, root, adapters=[hook], dynamic=True)
    inputs: dict[str, Any] = {}
    overrides: dict[str, Any] = {}
    computed = {
        definition.prefixed(name): name for name, each in variables.items() if not each.is_input
    }
    by_dataset: dict[str, list[str]] = {}
    for name, dataset in definition.datasets.items():
        by_dataset.setdefault(dataset, []).append(name)
    outputs = {output for node in nodes for output in node.outputs}
    for node in nodes:
        for source in node.inputs:
            if source in outputs or source not in values:
                continue
            value = values[source]
            if is_parameter(source):
                inputs[source.removeprefix("params:")] = value
            elif source in by_dataset:
                inputs.update(dict.fromkeys(by_dataset[source], value))
            elif source in computed:
                overrides[computed[source]] = value
            else:
                # Of another driver: an input of this one, by the plain name.
                inputs[_plain(source, variables)] = value
    known = {name for name, each in variables.items() if each.is_input}
    inputs = {name: value for name, value in inputs.items() if name in known}
    try:
        with without_tracebacks():
            results = driver.execute(
                [target_of[name] for name in wanted], inputs=inputs, overrides=overrides
            )
    except Terminated:
        raise
    except (Exception, SystemExit) as error:
        where = hook.failed or [nodes[0].name, *told.executed][-1]
        raise NodeFailed(where, UserError(error, modules.get(where, ""))) from error
    return {name: results[target_of[name]] for name in wanted}


def _plain(source: str, variables: Mapping[str, Any]) -> str:
    """Return the input that a node of another driver is for: its name without the prefix."""
    while source not in variables and "." in source:
        source = source.partition(".")[2]
    return source


def _hook(name_of: Mapping[str, str], told: Told) -> Any:
    """Return an adapter of Hamilton's that times nodes and keeps what checks say."""
    from hamilton.lifecycle import NodeExecutionHook

    class Hook(NodeExecutionHook):  # type: ignore[misc]  # Hamilton has no types
        """Tells what is executed."""

        def __init__(self) -> None:
            self.begun: dict[tuple[str, str | None], float] = {}
            self.failed: str | None = None

        def run_before_node_execution(
            self, *, node_name: str, task_id: str | None = None, **more: Any
        ) -> None:
            """Note when a node begins."""
            del more
            name = name_of.get(node_name, node_name)
            if name not in told.seconds:
                told.say(f"node {name}")
                told.seconds[name] = 0.0
            self.begun[node_name, task_id] = time.perf_counter()

        def run_after_node_execution(
            self,
            *,
            node_name: str,
            node_tags: Mapping[str, Any],
            result: Any,
            success: bool,
            task_id: str | None = None,
            **more: Any,
        ) -> None:
            """Note how long it took, and what a check says."""
            del more
            name = name_of.get(node_name, node_name)
            begun = self.begun.pop((node_name, task_id), None)
            if begun is not None:
                seconds = told.seconds[name] + time.perf_counter() - begun
                told.seconds[name] = round(seconds, 6)
            if not success:
                self.failed = self.failed or name
            elif is_validation(node_tags) and hasattr(result, "passes"):
                _keep_check(name, result, told)

    return Hook()


def _keep_check(name: str, result: Any, told: Told) -> None:
    """Keep the result of an expectation; what it means is Hamilton's to decide.

    One of importance `fail` makes the checked node raise, so that here all are warnings.
    """
    passed = bool(result.passes)
    message = None if passed else as_json(str(getattr(result, "message", "")))
    told.checks.append(CheckResult(name, passed, "warning", message))
    told.say(f"check {name} {'passed' if passed else f'failed (warning): {message}'}")
