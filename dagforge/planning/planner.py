"""What the parts of one plan have in common, and how a setting becomes an argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dagforge.errors import (
    Problem,
    Problems,
)
from dagforge.ir import Pipeline
from dagforge.planning.machines import Machine
from dagforge.resolve import Layer, Settings
from dagforge.settings.convert import (
    Context,
    Report,
    convert,
    native_cron_meaning,
)
from dagforge.target import Setting, Target

if TYPE_CHECKING:
    from dagforge.planning.run_parameters import RunParameters


@dataclass(slots=True)
class Planner:
    """What the parts of one plan have in common.

    Attributes:
        dag_path: `project/dag_id`.
        run_path: folder of the DAG's runs below the store's base.
        kept: datasets in memory that an overlay of Kedro's catalog keeps between tasks.
    """

    pipeline: Pipeline
    settings: Settings
    target: Target
    problems: Problems
    context: Context
    machines: Mapping[str, Machine]
    settings_env: str | None
    dag_path: str = ""
    behind_annotations: frozenset[str] = frozenset()
    kind_layers: dict[str, Layer] = field(default_factory=dict)
    arguments: dict[tuple[int, str, str | None], Mapping[str, Any]] = field(default_factory=dict)
    told: set[tuple[str, ...]] = field(default_factory=set)
    told_in_run: set[str] = field(default_factory=set)
    run_parameters: RunParameters | None = None
    run_path: str = ""
    kept: tuple[str, ...] = ()

    def once(self, *key: str) -> bool:
        """Say whether this is the first time that somebody asks for `key`."""
        if key in self.told:
            return False
        self.told.add(key)
        return True

    def once_a_run(self, key: str) -> bool:
        """Say whether `key` is asked for the first time in all plans of a run."""
        if key in self.told_in_run:
            return False
        self.told_in_run.add(key)
        return True


def dag_context(settings: Settings, target: Target, problems: Problems) -> Context:
    """Return what the meaning of the DAG's settings depends on."""
    data = settings.for_dag()
    zone = data.get("timezone", "UTC")
    context = Context(
        target, zone, data.get("cron_meaning") or native_cron_meaning(target), bare_numbers=False
    )
    if "timezone" in data:
        report = reporter(problems, settings, "timezone", settings.dag_layers)
        convert(target.settings["timezone"], zone, context, report)
    return context


def reporter(
    problems: Problems, settings: Settings, name: str, layers: tuple[Layer, ...]
) -> Report:
    """Return what takes a problem with a part of a setting, and finds its place."""

    def report(path: tuple[str, ...], code: str, message: str, fix: str | None) -> None:
        found = settings.explain((name,), layers)
        at = settings.place((name, *path), layers)
        if at is None and found and found[0].layer in settings.top:
            message = f"{found[0].layer.label}: {message}"
        problem = Problem(code, message, at, fix, at_key=code in _AT_KEY)
        # Tasks share most of their settings: what is wrong with one is said once.
        if problem not in problems.found:
            problems.extend([problem])

    return report


# What is wrong with these is the name of the value.
_AT_KEY = ("unknown-setting", "bad-resource")


def task_context(planner: Planner, data: Mapping[str, Any]) -> Context:
    """Return what values mean in a task with these settings."""
    native = False
    for name in planner.target.facts.get("templates", {}).get("native", ()):
        if data.get(name) is not None:
            native = bool(data[name])
    container = data.get("base_container_name")
    if isinstance(container, dict):
        container = container.get("literal")
    if not native and not container:
        return planner.context
    return replace(planner.context, native=native, container=container or planner.context.container)


def converted(
    planner: Planner, setting: Setting, value: Any, layers: tuple[Layer, ...], context: Context
) -> Any:
    """Return a setting's typed value; a bare number counts in the orchestrator's files only."""
    settings = planner.settings
    report = reporter(planner.problems, settings, setting.name, layers)
    if setting.bare:
        found = settings.explain((setting.name,), layers)
        if found and found[0].layer.family == planner.target.settings_family:
            context = replace(context, bare_numbers=True)
    return convert(setting, value, context, report)


def _cannot_express(planner: Planner, setting: Setting, layers: tuple[Layer, ...]) -> None:
    if not planner.once("cannot-express", setting.name):
        return
    target = planner.target
    when = f"before {setting.since}" if setting.since else f"after {setting.until}"
    planner.problems.warn(
        Problem(
            "cannot-express",
            f"{target.orchestrator.capitalize()} {target.version} has no '{setting.name}'; there "
            f"is none {when}",
            planner.settings.place((setting.name,), layers),
            at_key=True,
        )
    )


def argument_of(planner: Planner, setting: Setting, layers: tuple[Layer, ...]) -> str | None:
    """Return what the setting's argument is called, or None and a warning when there is none."""
    argument = planner.target.arguments.get(setting.name)
    if argument is None:
        _cannot_express(planner, setting, layers)
        return None
    stated = planner.settings.for_dag().get("providers", {})
    missing = planner.target.missing_provider(setting, stated)
    if missing is not None:
        if planner.once("provider", setting.name):
            distribution, release = missing.split(" ")
            planner.problems.warn(
                Problem(
                    "cannot-express",
                    f"'{setting.name}' is left out: it needs {distribution} {release}",
                    planner.settings.place((setting.name,), layers),
                    fix=f'when you have it, say so: `providers: {{{distribution}: "{release}"}}`',
                    at_key=True,
                )
            )
        return None
    return argument


def tag_prefixes(data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return a setting that is one beginning of tags or several."""
    value = data[key]
    return (value,) if isinstance(value, str) else tuple(value)
