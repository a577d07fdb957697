"""The plan as data: what a DAG's file holds, decided to the last argument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagforge.frozen import frozen
from dagforge.ir import Pipeline
from dagforge.planning.contract import structure_hash
from dagforge.planning.deployment import Parameter
from dagforge.planning.names import (
    Identifier,
    PodName,
    TaskId,
)
from dagforge.values import Constant

DEFAULT_PIPELINE = "__default__"


# Python reads `a >> b >> c` by recursion.
LONGEST_CHAIN = 10


@frozen
class Task:
    """One task of a DAG.

    Attributes:
        task_id: unique in the DAG.
        variable: its Python name in the generated file.
        kind: which `tasks/<kind>.py.jinja` writes it.
        operator: its class, a name of the target's imports or an import path.
        nodes: names of the nodes that it runs, in order; one for an operator.
        command: the whole command, program first; empty for an operator.
        runs: `nodes` (DagForge runs them, in the worker's own process where it can), `command`
            or `operator`.
        pod_name: of its pod, before the operator's own suffix.
        machine: name of its machine, None without one.
        resources: the constant that holds its resources, None without any.
        arguments: of its operator, beyond those that `default_args` or the template gives.
        upstream: task_ids, sorted.
        downstream: task_ids, sorted.
        contract: hash of what the task reads and writes through which callables.
        settings: everything that holds for it, by canonical name, as YAML gave it.
    """

    task_id: TaskId
    variable: Identifier
    kind: str
    operator: str
    nodes: tuple[str, ...]
    tags: tuple[str, ...]
    command: tuple[Any, ...]
    runs: str
    pod_name: PodName
    machine: str | None
    resources: Constant | None
    arguments: Mapping[str, Any]
    upstream: tuple[TaskId, ...]
    downstream: tuple[TaskId, ...]
    contract: str
    settings: Mapping[str, Any]


@frozen
class Edge:
    """An order between two tasks and the datasets that cause it."""

    upstream: TaskId
    downstream: TaskId
    datasets: tuple[str, ...]


@frozen
class DagPlan:
    """One DAG, which becomes one file.

    Attributes:
        project: the part of a store's paths that says whose data they are.
        stem: name of the file without its ending.
        variable: Python name for the DAG, where the orchestrator needs one.
        env: environment; None for base alone.
        arguments: of the DAG's (flow's) constructor, beyond its id and `default_args`.
        deployment: of the deployment, where the orchestrator has one; empty without.
        source: of what fetches the file for the deployment; None when nothing has to.
        parameters: of the flow, where the orchestrator's flows take some.
        default_args: what every task has in common.
        constants: values that stand once at the top of the file, by their Python name.
        tasks: in topological order, ties by name.
        edges: sorted.
        variables: Python name by task_id.
        vars: free variables for templates.
        settings: what holds for the DAG, by canonical name, as YAML gave it.
        kept: datasets in memory that an overlay of Kedro's catalog keeps between tasks.
    """

    dag_id: str
    project: str
    stem: str
    variable: Identifier
    pipeline: Pipeline
    env: str | None
    description: str | None
    arguments: Mapping[str, Any]
    deployment: Mapping[str, Any]
    source: Mapping[str, Any] | None
    parameters: Mapping[str, Parameter]
    default_args: Mapping[str, Any]
    constants: Mapping[str, Any]
    tasks: tuple[Task, ...]
    edges: tuple[Edge, ...]
    vars: Mapping[str, Any]
    settings: Mapping[str, Any]
    catchup: bool = False
    kept: tuple[str, ...] = ()

    @property
    def stored_parameters(self) -> Mapping[str, Parameter]:
        """The parameters that the orchestrator keeps values of, by name."""
        return {
            name: parameter
            for name, parameter in self.parameters.items()
            if parameter.stored is not None
        }

    @property
    def structure(self) -> Mapping[str, Any]:
        """What the DAG is made of, without settings: tasks, their nodes and contracts, edges."""
        return {
            "dag_id": self.dag_id,
            "pipeline": self.pipeline.name,
            "tasks": [
                {"task_id": task.task_id, "nodes": list(task.nodes), "contract": task.contract}
                for task in self.tasks
            ],
            "edges": [
                {
                    "upstream": edge.upstream,
                    "downstream": edge.downstream,
                    "datasets": list(edge.datasets),
                }
                for edge in self.edges
            ],
        }

    @property
    def structure_hash(self) -> str:
        """Hash of the structure, which every record of a run names."""
        return structure_hash(self.structure)

    @property
    def summary(self) -> str:
        """The text of the file's docstring."""
        name = self.pipeline.name
        title = self.dag_id if name == DEFAULT_PIPELINE else f"{self.dag_id}: {name}"
        return f"{title}.\n\n{self.description}" if self.description else f"{title}."

    @property
    def runs_nodes(self) -> bool:
        """Whether a task runs nodes in the worker's own process."""
        return any(task.kind == "worker" and task.runs == "nodes" for task in self.tasks)

    @property
    def runs_commands(self) -> bool:
        """Whether a task starts a command in the worker."""
        return any(task.kind == "worker" and task.runs == "command" for task in self.tasks)

    @property
    def upstream_by_variable(self) -> Mapping[Identifier, tuple[Identifier, ...]]:
        """Variables of the tasks right before each task; empty for the first ones."""
        variable_of = {task.task_id: task.variable for task in self.tasks}
        return {
            task.variable: tuple(variable_of[task_id] for task_id in task.upstream)
            for task in self.tasks
        }

    @property
    def chains(self) -> tuple[tuple[tuple[Identifier, ...], ...], ...]:
        """The edges as statements, each of steps one after the other, in the order of the tasks.

        A step is one task or several. Tasks with one and the same task after them share a step;
        Airflow takes no two steps of several tasks beside each other.
        """
        place_of = {task.task_id: place for place, task in enumerate(self.tasks)}
        after: dict[int, list[int]] = {}
        for edge in self.edges:
            after.setdefault(place_of[edge.upstream], []).append(place_of[edge.downstream])
        statements: dict[tuple[tuple[int, ...], int | None], list[int]] = {}
        for upstream, downstream in sorted(after.items()):
            following = tuple(sorted(downstream))
            alone = upstream if len(following) > 1 else None
            statements.setdefault((following, alone), []).append(upstream)
        after_step = {tuple(before): following for (following, _), before in statements.items()}
        chains: list[list[tuple[int, ...]]] = []
        while after_step:
            step = next(iter(after_step))
            chain = [step]
            while step in after_step and len(chain) < LONGEST_CHAIN:
                step = after_step.pop(step)
                chain.append(step)
            chains.append(chain)
        return tuple(
            tuple(tuple(self.tasks[place].variable for place in step) for step in chain)
            for chain in chains
        )
