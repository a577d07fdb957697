"""The program: from a project's folder to the files of its DAGs, one stage after the other.

A stage that fails stops only what depends on its value. All problems of a run are gathered and
raised once, so that a cycle in one pipeline hides neither another pipeline's problems nor a
mistake in the settings.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from dagforge.check import check
from dagforge.conf import Conf, Project, read_conf, read_project, shown_path
from dagforge.errors import (
    DagForgeError,
    LoadError,
    Problem,
    Problems,
    SettingsError,
    UsageError,
    Warn,
    did_you_mean,
)
from dagforge.frontends import load, registry
from dagforge.generate import Rendered, Templates, generate
from dagforge.group import group
from dagforge.ir import NodeGroup, Pipeline, Selection
from dagforge.plan import DagPlan, check_for_keys, plan
from dagforge.resolve import Sections, Settings, free_variables, read_sections, resolve
from dagforge.resources import templates_dir
from dagforge.select import check_inputs, select
from dagforge.target import Target, read_target
from dagforge.write import RenderedFile

T = TypeVar("T")
R = TypeVar("R")
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
    selection: Selection = field(default_factory=Selection)
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
        request.root, env=request.env, conf=request.conf, project=project, environ=request.environ
    )
    registered = registry(conf)
    names = _choose(request, project, tuple(registered))
    complete = set(names) == set(registered) and not request.selection

    pipelines = list(_each(names, lambda name: load(name, conf), problems))
    stages: list[Stages] = []
    with _kept(problems):
        sections = read_sections(conf, target, pipelines=registered, warn=problems.warn)
        compiling = functools.partial(
            _compile,
            request=request,
            sections=sections,
            project=project.name,
            env=conf.env,
            warn=problems.warn,
        )
        stages += _each(pipelines, compiling, problems)
        check([each.dag for each in stages])
        if complete and not problems.errors:
            check_for_keys([(each.settings, each.groups) for each in stages])

    files: list[RenderedFile] = []
    if render_files and not problems.errors:
        with _kept(problems):
            files += _render(stages, request, project, target, problems)
    if strict:
        problems.found = [replace(problem, severity="error") for problem in problems.found]
    found = _once(problems.found)
    if problems.errors:
        raise DagForgeError(sorted(found, key=lambda problem: problem.severity != "error"))
    return Build(project, conf, target, complete, tuple(stages), tuple(files), tuple(found))


def _compile(
    whole: Pipeline,
    *,
    request: Request,
    sections: Sections,
    project: str,
    env: str | None,
    warn: Warn,
) -> Stages:
    """Return one pipeline after each stage, up to its plan."""
    pipeline = whole
    if request.selection:
        pipeline = select(whole, request.selection)
        check_inputs(pipeline, whole)
    settings = resolve(sections, pipeline, request.params, warn=warn)
    groups = group(pipeline, settings.grouping(), whole)
    dag = plan(pipeline, groups, settings, project=project, env=env, warn=warn)
    return Stages(pipeline, settings, groups, dag)


def _render(
    stages: Sequence[Stages],
    request: Request,
    project: Project,
    target: Target,
    problems: Problems,
) -> list[RenderedFile]:
    """Return the files of the plans, all of them or none."""
    team = _team_templates(request, project)
    shown = None if team is None else shown_path(team, request.root)
    templates = Templates.open(team, templates_dir(), target, shown=shown)

    def render_one(each: Stages) -> Rendered:
        return generate(
            each.dag,
            each.settings,
            templates,
            project=project.name,
            command=command_of(request, each.dag, target),
            jinja_file=request.jinja_file,
            root=request.root,
            selection=request.selection,
            warn=problems.warn,
        )

    rendered = list(_each(stages, render_one, problems))
    if len(rendered) < len(stages):
        # What a template that failed would have read is not known.
        return []
    reads = {name for each in rendered for name in each.reads}
    _check_read(stages, target, reads, lenient=request.jinja_file is not None)
    return [each.file for each in rendered]


def _each(items: Iterable[T], stage: Callable[[T], R], problems: Problems) -> Iterator[R]:
    """Yield what a stage makes of each item, and keep the problems of those that fail."""
    for item in items:
        with _kept(problems):
            yield stage(item)


def _target(request: Request, project: Project) -> Target:
    name = request.target if request.target is not None else project.target or DEFAULT_TARGET
    version = request.airflow_version or project.airflow_version
    return read_target(name, templates_dir(), version=version)


def _team_templates(request: Request, project: Project) -> Path | None:
    if request.templates is not None:
        folder = request.templates
        if not folder.is_dir():
            shown = shown_path(folder, request.root)
            raise UsageError.of("no-templates", f"there is no template folder {shown}")
        return folder
    if project.templates is None:
        return None
    folder = request.root / project.templates
    if not folder.is_dir():
        raise LoadError.of(
            "no-templates",
            f"`templates` names the folder {project.templates.as_posix()}, which does not exist",
            at=project.origin("templates"),
        )
    return folder


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
