"""The program: from a project's folder to the files of its DAGs, one stage after the other.

A stage that fails stops only what depends on its value. All problems of a run are gathered and
raised once, so that a cycle in one pipeline hides neither another pipeline's problems nor a
mistake in the settings.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dagforge.check import check
from dagforge.conf import Conf, Project, read_conf, read_project
from dagforge.errors import (
    DagForgeError,
    LoadError,
    Problem,
    Problems,
    SettingsError,
    UsageError,
    did_you_mean,
)
from dagforge.frontends import load, registry
from dagforge.generate import Templates, generate
from dagforge.group import group
from dagforge.ir import NodeGroup, Pipeline, Selection
from dagforge.plan import DagPlan, plan, unmatched_everywhere
from dagforge.resolve import Settings, free_variables, resolve
from dagforge.resources import templates_dir
from dagforge.select import select
from dagforge.target import Target, read_target
from dagforge.write import RenderedFile

DEFAULT_PIPELINE = "__default__"
DEFAULT_TARGET = "airflow"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for; everything that the command line can say about a build.

    Attributes:
        root: the project's folder.
        pipelines: names; empty for what the project lists, else `__default__`, else all.
        every: all registered pipelines, whatever `pipelines` says.
        params: settings of the command line, nested.
        templates: a team's template folder.
        jinja_file: a kedro-airflow template that writes every file.
    """

    root: Path
    pipelines: tuple[str, ...] = ()
    every: bool = False
    env: str | None = None
    target: str | None = None
    airflow_version: str | None = None
    conf: Path | None = None
    selection: Selection = Selection()
    params: Mapping[str, Any] = field(default_factory=dict)
    templates: Path | None = None
    jinja_file: Path | None = None
    environ: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Stages:
    """One pipeline after each stage; `show` prints them."""

    pipeline: Pipeline
    settings: Settings
    groups: Sequence[NodeGroup]
    dag: DagPlan


@dataclass(frozen=True, slots=True)
class Build:
    """What a request gives.

    Attributes:
        project: the project's facts.
        complete: every registered pipeline is among `stages`, whole.
        stages: one a pipeline, in the order of the registry.
        files: one a pipeline, empty when nothing was to be rendered.
        warnings: what is doubtful.
    """

    project: Project
    conf: Conf
    target: Target
    complete: bool
    stages: tuple[Stages, ...]
    files: tuple[RenderedFile, ...]
    warnings: tuple[Problem, ...]

    @property
    def dags(self) -> tuple[DagPlan, ...]:
        """The plans, in the order of the registry."""
        return tuple(stages.dag for stages in self.stages)


def build(request: Request, *, render_files: bool = True, strict: bool = False) -> Build:
    """Return the plans, and with `render_files` the files, that `request` asks for.

    Args:
        request: what to compile, and for what.
        render_files: False leaves the templates out.
        strict: warnings stop the run like errors.

    Raises:
        DagForgeError: with every problem that was found, warnings included.
    """
    problems = Problems()
    project = read_project(request.root)
    target = _target(request, project)
    conf = read_conf(
        request.root,
        env=request.env,
        conf=request.conf,
        project=project,
        environ=request.environ,
    )
    with _kept(problems):
        conf.check(("dagforge", target.settings_family))
    registered = registry(conf)
    names = _choose(request, project, tuple(registered))
    complete = set(names) == set(registered) and not request.selection

    pipelines: list[Pipeline] = []
    for name in names:
        with _kept(problems):
            pipeline = load(name, conf)
            if request.selection:
                pipeline = select(pipeline, request.selection)
            pipelines.append(pipeline)

    stages: list[Stages] = []
    for pipeline in pipelines:
        with _kept(problems):
            settings = resolve(
                conf, pipeline, target, request.params, pipelines=registered, warn=problems.warn
            )
            groups = group(pipeline, settings.grouping())
            dag = plan(
                pipeline,
                groups,
                settings,
                target,
                project=project.name,
                env=conf.env,
                warn=problems.warn,
            )
            stages.append(Stages(pipeline, settings, groups, dag))
    if complete and not problems.errors:
        all_settings = [each.settings for each in stages]
        problems.extend(
            unmatched_everywhere(all_settings, [(each.pipeline, each.groups) for each in stages])
        )
    with _kept(problems):
        check([each.dag for each in stages])

    files: list[RenderedFile] = []
    if render_files and not problems.errors:
        templates = Templates.open(_team_templates(request, project), templates_dir(), target)
        reads: set[str] = set()
        for each in stages:
            with _kept(problems):
                rendered = generate(
                    each.dag,
                    target,
                    templates,
                    project=project.name,
                    command=command_of(request, each.dag, target),
                    jinja_file=request.jinja_file,
                    selection=request.selection,
                    warn=problems.warn,
                )
                files.append(rendered.file)
                reads |= rendered.reads
        with _kept(problems):
            _check_read(stages, target, reads, lenient=request.jinja_file is not None)
    if strict and problems.found:
        problems.found = [replace(problem, severity="error") for problem in problems.found]
    if problems.errors:
        raise _worst(problems)
    return Build(
        project, conf, target, complete, tuple(stages), tuple(files), tuple(_once(problems.found))
    )


def _target(request: Request, project: Project) -> Target:
    name = request.target or project.target or DEFAULT_TARGET
    version = request.airflow_version or project.airflow_version
    return read_target(name, templates_dir(), version=version)


def _team_templates(request: Request, project: Project) -> Path | None:
    if request.templates is not None:
        folder = request.templates
        if not folder.is_dir():
            raise UsageError.of("no-templates", f"there is no template folder {folder}")
        return folder
    if project.templates is None:
        return None
    if not project.templates.is_dir():
        raise LoadError.of(
            "no-templates",
            f"`templates` names the folder {project.templates.name}, which does not exist",
            at=project.origin("templates"),
        )
    return project.templates


def _choose(request: Request, project: Project, registered: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the pipelines that are asked for, in the order of the registry."""
    if request.every:
        return registered
    wanted = request.pipelines or project.pipelines
    if not wanted:
        return (DEFAULT_PIPELINE,) if DEFAULT_PIPELINE in registered else registered
    problems = Problems()
    for name in dict.fromkeys(wanted):
        if name not in registered:
            at = None if request.pipelines else project.origin("pipelines")
            problems.error(
                "unknown-pipeline",
                f"there is no pipeline '{name}'",
                at,
                fix=did_you_mean(name, registered),
            )
    problems.raise_errors(UsageError if request.pipelines else LoadError)
    return tuple(name for name in registered if name in wanted)


@contextlib.contextmanager
def _kept(problems: Problems) -> Iterator[None]:
    """Keep the problems of a stage that fails, and go on after it."""
    try:
        yield
    except DagForgeError as error:
        problems.extend(error.problems)


def _once(found: Sequence[Problem]) -> list[Problem]:
    """Return the problems, each said once: pipelines share their settings' files."""
    return list({str(problem): problem for problem in found}.values())


def command_of(request: Request, dag: DagPlan, target: Target) -> str:
    """Return the one command that remakes a file, the same however it was first asked for."""
    words = ["dagforge", "create", "--pipeline", dag.pipeline.name]
    if dag.env is not None:
        words += ["--env", dag.env]
    words += ["--target", target.name]
    if "version_setting" in target.facts:
        words += [f"--{target.facts['version_setting'].replace('_', '-')}", target.version]
    selection = request.selection
    for option, names in (
        ("--tags", selection.tags),
        ("--nodes", selection.nodes),
        ("--from-nodes", selection.from_nodes),
        ("--to-nodes", selection.to_nodes),
    ):
        if names:
            words += [option, ",".join(sorted(names))]
    words += [word for pair in sorted(_flat(request.params)) for word in ("--params", pair)]
    for option, path in (("--templates", request.templates), ("--jinja-file", request.jinja_file)):
        if path is not None:
            words += [option, _relative(path, request.root)]
    return shlex.join(words)


def _flat(params: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key, value in params.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}={json.dumps(value, ensure_ascii=False)}"


def _relative(path: Path, root: Path) -> str:
    return Path(os.path.relpath(path, root)).as_posix()


def _worst(problems: Problems) -> DagForgeError:
    found = _once(problems.found)
    return DagForgeError(sorted(found, key=lambda problem: problem.severity != "error"))


def _check_read(
    stages: Sequence[Stages], target: Target, reads: set[str], *, lenient: bool
) -> None:
    """Refuse settings that DagForge does not know and that no template has read."""
    problems = Problems()
    told: set[str] = set()
    for each in stages:
        for name, layer in free_variables(each.settings):
            place = layer.place(("vars", name))
            key = f"{name} {place.location() if place else layer.label}"
            if name in reads or key in told:
                continue
            told.add(key)
            message = f"there is no setting '{name}', and no template reads such a variable"
            hint = target.facts.get("hints", {}).get(name)
            fix = hint or did_you_mean(name, target.canonical)
            problem = Problem(
                "unknown-setting",
                message,
                place,
                fix
                if fix and (hint or fix.startswith("did"))
                else "put it under `vars:`, or remove it",
                at_key=True,
            )
            if lenient:
                problems.warn(problem)
            else:
                problems.extend([problem])
    if problems.found:
        raise SettingsError(problems.found)
