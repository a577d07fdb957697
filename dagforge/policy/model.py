"""DAGs and tasks as rules see them: the plan, and where its values were written.

Rules of one's own get these objects too: what has a docstring here stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dagforge.errors import Place, Problems
from dagforge.frozen import frozen
from dagforge.ir import NodeGroup, Operator
from dagforge.planning import model as planned
from dagforge.planning.planner import dag_context
from dagforge.resolve import EXCEPTIONS, Layer, Settings, value_at
from dagforge.settings.convert import convert
from dagforge.target import Target
from dagforge.values import Model


@frozen
class Finding:
    """One thing that breaks a rule.

    Attributes:
        message: one sentence without a full stop; names neither the task nor the rule.
        subject: the DAG or the task.
        at: where it was written.
        at_key: point at the name of the value.
        fix: what to do about it; None where the rule's own text says it.
    """

    message: str
    subject: Dag | Task
    at: Place
    at_key: bool = False
    fix: str | None = None


@dataclass(frozen=True, eq=False)
class _Subject:
    """What a DAG and a task have in common.

    Attributes:
        settings: those that hold for it, by canonical name, as YAML gave them.
        layers: that they come from, low to high.
    """

    settings: Mapping[str, Any]
    layers: tuple[Layer, ...]
    _resolved: Settings
    _origin: Place
    _dag_origin: Place

    @property
    def facts(self) -> Target:
        """What the target is, and which settings it knows."""
        return self._resolved.target

    def typed(self, name: str) -> Any:
        """Return what a setting of the DAG means, such as a `Cron`; None where nobody sets it."""
        context = dag_context(self._resolved, self.facts, Problems())
        return convert(self.facts.settings[name], self.setting(name), context, lambda *_: None)

    def exception(self, rule: str) -> Layer | None:
        """Return the layer that says why it may break a rule; None when none does."""
        if not isinstance(self.settings.get(EXCEPTIONS), dict) or not self.setting(
            EXCEPTIONS, rule
        ):
            return None
        for layer in reversed(self.layers):
            if rule in layer.data.get(EXCEPTIONS, {}):
                return layer
        return None

    def setting(self, *path: str) -> Any:
        """Return a setting, or what is in it at a path of keys; None where nobody sets it."""
        try:
            return value_at(self.settings, path)
        except (KeyError, TypeError, IndexError, ValueError):
            return None

    def place(self, *path: str) -> Place:
        """Return where the setting at a path was written; where the definition is if it was not."""
        return self._resolved.place(path, self.layers) or self._origin

    def _problem(
        self, message: str, setting: str | Sequence[str] | None, at: Place, fix: str | None
    ) -> Finding:
        assert isinstance(self, (Dag, Task))
        path = (setting,) if isinstance(setting, str) else tuple(setting or ())
        at_key = False
        if at is None and path:
            at = self._resolved.place(path, self.layers)
        if at is None:
            # What nobody set is missing in the whole pipeline, not in each of its tasks.
            of_dag = isinstance(self, Dag) or bool(path)
            at, at_key = (self._dag_origin if of_dag else self._origin), True
        return Finding(message, self, at, at_key, fix)


@dataclass(frozen=True, eq=False)
class Task(_Subject):
    """A task of a DAG.

    Attributes:
        plan: everything that was decided about it; its form may change between versions.
    """

    dag: Dag
    plan: planned.Task
    group: NodeGroup

    @property
    def task_id(self) -> str:
        """The id of the task."""
        return self.plan.task_id

    @property
    def nodes(self) -> Sequence[str]:
        """Names of the nodes that it runs."""
        return self.plan.nodes

    @property
    def tags(self) -> Sequence[str]:
        """Tags of its nodes."""
        return self.plan.tags

    @property
    def kind(self) -> str:
        """Where it runs: `worker`, `pod`, `gke`, or `operator` for an operator of its own."""
        return self.plan.kind

    @property
    def operator(self) -> str | None:
        """Import path, or short name, of the operator that a node is; None for other tasks."""
        action = self.group.nodes[0].action
        return action.path if isinstance(action, Operator) else None

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What the operator that a node is was given; empty for other tasks."""
        action = self.group.nodes[0].action
        return action.arguments if isinstance(action, Operator) else {}

    @property
    def resources(self) -> Mapping[str, Mapping[str, str]]:
        """The `requests` and `limits` of its machine, by resource; empty without one."""
        constant = self.plan.resources
        model = self.dag.plan.constants[constant.name] if constant is not None else None
        return model.fields if isinstance(model, Model) else {}

    @property
    def operator_place(self) -> Place:
        """Where the operator that a node is was written."""
        return self.group.nodes[0].origin / "operator" / "type"

    def argument_place(self, name: str) -> Place:
        """Return where an argument of its operator was written."""
        return self.group.nodes[0].origin / "operator" / "arguments" / name

    def problem(
        self,
        message: str,
        *,
        setting: str | Sequence[str] | None = None,
        at: Place = None,
        fix: str | None = None,
    ) -> Finding:
        """Return a problem with this task.

        Args:
            message: one sentence without a full stop, that needs not name the task.
            setting: the setting that it is about, or its path; the problem is shown where that
                was written, and at the definition where nobody set it.
            at: another place.
            fix: what to do about it.
        """
        return self._problem(message, setting, at, fix)


@dataclass(frozen=True, eq=False)
class Dag(_Subject):
    """A DAG.

    Attributes:
        plan: everything that was decided about it; its form may change between versions.
        tasks: in topological order.
    """

    plan: planned.DagPlan
    tasks: list[Task] = field(default_factory=list)

    @property
    def dag_id(self) -> str:
        """The id of the DAG."""
        return self.plan.dag_id

    @property
    def pipeline(self) -> str:
        """Name of the pipeline."""
        return self.plan.pipeline.name

    @property
    def env(self) -> str | None:
        """The environment that it was made for; None for base alone."""
        return self.plan.env

    @property
    def target(self) -> str:
        """The target that it was made for, such as `airflow-gke`."""
        return self.facts.name

    @property
    def orchestrator(self) -> str:
        """`airflow` or `prefect`."""
        return self.facts.orchestrator

    @property
    def version(self) -> str:
        """The version of the orchestrator, such as `3.1`."""
        return self.facts.version

    @cached_property
    def edges(self) -> Sequence[tuple[str, str]]:
        """The task_ids of each order between two tasks."""
        return [(edge.upstream, edge.downstream) for edge in self.plan.edges]

    def problem(
        self,
        message: str,
        *,
        setting: str | Sequence[str] | None = None,
        at: Place = None,
        fix: str | None = None,
    ) -> Finding:
        """Return a problem with this DAG; as that of a task."""
        return self._problem(message, setting, at, fix)


def view(plan: planned.DagPlan, settings: Settings, groups: Sequence[NodeGroup]) -> Dag:
    """Return a DAG and its tasks as rules see them.

    Args:
        plan: of the DAG.
        settings: that it was planned with.
        groups: of its tasks, in the same order.
    """
    whole = plan.pipeline.origin
    dag = Dag(settings.for_dag(), settings.dag_layers, settings, whole, whole, plan)
    for task, group in zip(plan.tasks, groups, strict=True):
        layers = settings.task_layers(group.name, group.nodes, group.tags)
        origin = group.nodes[0].origin
        dag.tasks.append(Task(task.settings, layers, settings, origin, whole, dag, task, group))
    return dag
