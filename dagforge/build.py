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
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from dagforge.check_dags import check_dags
from dagforge.conf import BASE, Conf, Project, read_conf, read_project, shown_path
from dagforge.errors import (
    DagForgeError,
    LoadError,
    PipelineError,
    Problem,
    Problems,
    SettingsError,
    UsageError,
    did_you_mean,
)
from dagforge.frontends import registry
from dagforge.frontends.parameters import dotted
from dagforge.frozen import frozen
from dagforge.group import group
from dagforge.ir import NodeGroup, Pipeline, Selection
from dagforge.output.files import RenderedFile
from dagforge.plan import check_for_keys, check_settings, plan
from dagforge.planning.borders import overlay_text
from dagforge.planning.model import DagPlan
from dagforge.reading.packages import Package, fact_of, find_packages, targets_of
from dagforge.render import Rendered, Templates, render
from dagforge.resolve import (
    EXCEPTIONS,
    FOR_TAGS,
    FOR_TASKS,
    GROUPING_SETTINGS,
    Layer,
    Sections,
    Settings,
    read_sections,
    resolve,
)
from dagforge.resources import templates_dir
from dagforge.scan import scan
from dagforge.select import check_inputs, select
from dagforge.target import Target, read_target

T = TypeVar("T")
R = TypeVar("R")
Progress = Callable[[int, int], None]
"""Takes the number of steps done and of all; each pipeline is read, planned and rendered."""
DEFAULT_PIPELINE = "__default__"
DEFAULT_TARGET = "airflow"


@frozen
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


@frozen
class Stages:
    """One pipeline after each stage; `show` prints them."""

    pipeline: Pipeline
    settings: Settings
    groups: Sequence[NodeGroup]
    dag: DagPlan


@frozen
class Unplanned:
    """One pipeline whose grouping failed.

    Attributes:
        error: what was wrong with the groups, and what is known of them.
    """

    pipeline: Pipeline
    settings: Settings
    error: PipelineError


@frozen
class Build:
    """What a request gives.

    Attributes:
        project: the project's facts.
        complete: every registered pipeline is among `stages`, whole.
        stages: one a pipeline, in the order of the registry; those that could be compiled.
        files: one a pipeline, empty when nothing was to be rendered.
        problems: errors first, each of them once.
        misused: some of the errors are the command line's.
        names: of the pipelines that are asked for, in the order of the registry.
        unplanned: those of the pipelines that have no plan because of their groups.
    """

    project: Project
    conf: Conf
    target: Target
    complete: bool
    stages: tuple[Stages, ...]
    files: tuple[RenderedFile, ...]
    problems: tuple[Problem, ...]
    misused: bool = False
    names: tuple[str, ...] = ()
    unplanned: tuple[Unplanned, ...] = ()

    @property
    def dags(self) -> tuple[DagPlan, ...]:
        """The plans, in the order of the registry."""
        return tuple(stages.dag for stages in self.stages)

    @property
    def overlay(self) -> str:
        """The file of Kedro's catalog that keeps what tasks hand over; empty where none does.

        A run of some pipelines adds to what is there for others.
        """
        kept = {name for dag in self.dags for name in dag.kept}
        if not self.complete and self.conf.kedro is not None:
            from dagforge.reading.kedro_conf import overlay_names

            kept.update(overlay_names(self.conf.env_folder))
        return overlay_text(kept)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is doubtful, but no error."""
        return tuple(problem for problem in self.problems if problem.severity == "warning")

    def raise_errors(self) -> None:
        """Raise everything that was found, if an error is among it.

        Raises:
            UsageError: the command line is wrong, perhaps among other things.
            DagForgeError: the input is wrong.
        """
        if any(problem.severity == "error" for problem in self.problems):
            raise (UsageError if self.misused else DagForgeError)(self.problems)


@dataclass(slots=True)
class _Kept(Problems):
    """The problems of a run, whose stages fail one by one.

    Attributes:
        misused: the command line is wrong.
    """

    misused: bool = False

    @contextlib.contextmanager
    def stage(self) -> Iterator[None]:
        """Keep the problems of a stage that fails, and go on after it."""
        try:
            yield
        except DagForgeError as error:
            self.extend(error.problems)
            self.misused = self.misused or isinstance(error, UsageError)


@frozen
class Source:
    """What is read before anything is compiled.

    Attributes:
        pipelines: names of the registered ones, in the order of the registry.
    """

    project: Project
    conf: Conf
    target: Target
    pipelines: tuple[str, ...]


def build(
    request: Request,
    *,
    render_files: bool = True,
    strict: bool = False,
    source: Source | None = None,
    progress: Progress | None = None,
) -> Build:
    """Return the plans, and with `render_files` the files, that `request` asks for.

    Args:
        request: what to compile, and for what.
        render_files: False leaves out the templates, the policy and the search for credentials.
        strict: warnings stop the run like errors.
        source: of `read_source`; read when None.
        progress: told after each step.

    Raises:
        DagForgeError: with every problem that was found, warnings included.
    """
    found = attempt(
        request, render_files=render_files, strict=strict, source=source, progress=progress
    )
    found.raise_errors()
    return found


def read_source(request: Request, *, any_version: bool = False) -> Source:
    """Return the files that `request` is about.

    Args:
        request: what is asked for.
        any_version: take a project that wants another DagForge; nothing is written then.

    Raises:
        DagForgeError: they cannot be read, or there is no such target.
    """
    project = read_project(request.root, any_version=any_version)
    packages = find_packages(project)
    target = _target(request, project, packages)
    conf = read_conf(
        request.root,
        env=request.env,
        conf=request.conf,
        project=project,
        packages=packages,
        families=("dagforge", target.settings_family),
        environ=request.environ,
    )
    return Source(project, conf, target, tuple(registry(conf)))


def attempt(
    request: Request,
    *,
    render_files: bool = True,
    strict: bool = False,
    source: Source | None = None,
    progress: Progress | None = None,
) -> Build:
    """Return as much as can be built, and every problem; otherwise as `build`.

    Raises:
        DagForgeError: the source cannot be read.
    """
    source = source or read_source(request)
    project, conf, target = source.project, source.conf, source.target
    problems = _Kept()
    names = _choose(request, project, source.pipelines, problems)
    complete = set(names) == set(source.pipelines) and not request.selection
    steps = _Steps(len(names) * (3 if render_files else 2), progress)

    if render_files:
        read = _template_files(request, project, conf.packages)
        problems.extend(scan(conf, target, templates=read, params=request.params))
    registered = registry(conf)
    problems.extend(registered.problems)
    pipelines = list(_each(names, registered.load, problems, steps))
    for pipeline in pipelines:
        problems.extend(pipeline.warnings)
    sections: Sections | None = None
    stages: list[Stages] = []
    unplanned: list[Unplanned] = []
    with problems.stage():
        sections = read_sections(conf, target, pipelines=source.pipelines, problems=problems)
        compiling = functools.partial(
            _compile,
            request=request,
            sections=sections,
            project=project.name,
            env=conf.env,
            problems=problems,
            told=set(),
            unplanned=unplanned,
        )
        planned = _each(pipelines, compiling, problems, steps)
        stages += (each for each in planned if each is not None)
    with problems.stage():
        check_dags([each.dag for each in stages])
    if complete and len(stages) == len(names):
        with problems.stage():
            check_for_keys([(each.settings, each.groups) for each in stages])

    files: list[RenderedFile] = []
    if render_files and sections is not None:
        problems.extend(_policy(stages, sections, project, conf.packages, complete=complete))
        with problems.stage():
            free = [*sections.layers(names), *_own_layers(stages)]
            whole = len(stages) == len(names)
            files += _render(
                stages,
                free,
                request,
                project,
                target,
                conf.packages,
                problems,
                steps,
                sections=sections.pipelines,
                whole=whole,
            )
    if strict:
        problems.found = [replace(problem, severity="error") for problem in problems.found]
    found = sorted(_once(problems.found), key=lambda problem: problem.severity != "error")
    return Build(
        project,
        conf,
        target,
        complete,
        tuple(stages),
        tuple(files) if not problems.errors else (),
        tuple(found),
        problems.misused,
        names,
        tuple(unplanned),
    )


def _compile(
    whole: Pipeline,
    *,
    request: Request,
    sections: Sections,
    project: str,
    env: str | None,
    problems: _Kept,
    told: set[str],
    unplanned: list[Unplanned],
) -> Stages | None:
    """Return one pipeline after each stage, up to its plan; None where there can be no plan.

    Its settings and its groups do not hide what is wrong with the other.
    """
    pipeline = whole
    if request.selection:
        pipeline = select(whole, request.selection)
        check_inputs(pipeline, whole)
    settings = resolve(sections, pipeline, request.params, problems=problems)
    if request.jinja_file is not None:
        # Such a template says itself how tasks run, and warns of what they lose.
        settings = settings.with_default("memory_borders", "allow")
    groups = None
    cyclic: Sequence[NodeGroup] = ()
    if not settings.lost & GROUPING_SETTINGS:
        with problems.stage():
            try:
                groups = group(pipeline, settings.grouping(pipeline.grouping), whole)
            except PipelineError as error:
                unplanned.append(Unplanned(pipeline, settings, error))
                cyclic = _groups_of(error)
                raise
    if groups is None or settings.lost:
        warn = problems.warn
        check_settings(pipeline, settings, cyclic, project=project, env=env, warn=warn)
        return None
    dag = plan(pipeline, groups, settings, project=project, env=env, warn=problems.warn, told=told)
    return Stages(pipeline, settings, groups, dag)


def _groups_of(error: PipelineError) -> Sequence[NodeGroup]:
    """Return the groups that a cycle keeps from being tasks; none after any other mistake."""
    from dagforge.grouping.cycles import GroupCycleError

    return error.groups if isinstance(error, GroupCycleError) else ()


def _policy(
    stages: Sequence[Stages],
    sections: Sections,
    project: Project,
    packages: Sequence[Package],
    *,
    complete: bool,
) -> Iterator[Problem]:
    """Yield what breaks the policy of the project and of the packages that it extends.

    Args:
        stages: of the pipelines that could be compiled.
        sections: of the settings.
        project: its facts.
        packages: that it extends.
        complete: every pipeline is to be compiled.
    """
    own = [*sections.layers(sections.pipelines), *_own_layers(stages)]
    demanded = [project.policy, *(package.policy for package in packages)]
    if not any(demanded) and not any(EXCEPTIONS in layer.data for layer in own):
        return
    from dagforge.enforce import enforce
    from dagforge.policy.model import view
    from dagforge.policy.rules import policy_tables, read_rules

    problems = Problems()
    rules = read_rules(policy_tables(project, packages), sections.target, problems)
    yield from problems
    for_others = set(map(id, sections.package_layers()))
    if not complete or len(stages) < len(sections.pipelines):
        for_others.update(map(id, sections.layers(())))
    dags = [view(each.dag, each.settings, each.groups) for each in stages]
    yield from enforce(dags, rules, may_be_unused=lambda layer: id(layer) not in for_others)


def _own_layers(stages: Iterable[Stages]) -> Iterator[Layer]:
    """Yield the settings that stand in no file of settings: next to nodes, on the command line."""
    for each in stages:
        yield from each.settings.by_node.values()
        yield from each.settings.top


def _render(
    stages: Sequence[Stages],
    free: Iterable[Layer],
    request: Request,
    project: Project,
    target: Target,
    packages: Sequence[Package],
    problems: _Kept,
    steps: _Steps,
    *,
    sections: Collection[str],
    whole: bool,
) -> list[RenderedFile]:
    """Return the files of the plans, all of them or none.

    Args:
        stages: of the pipelines that could be compiled.
        free: layers whose free variables a template should read.
        request: what is asked for.
        project: its facts.
        target: what is compiled for.
        packages: that the project extends.
        problems: takes those of single files.
        steps: counts the files.
        sections: names of the pipelines, which sections of settings may have.
        whole: all pipelines could be compiled.
    """
    team = _team_templates(request, project)
    shown = None if team is None else shown_path(team, request.root)
    of_packages = [
        (package.shown(), package.templates)
        for package in packages
        if package.templates is not None
    ]
    templates = Templates.open(
        team, templates_dir(), target, shown=shown, packages=of_packages[::-1]
    )

    def render_one(each: Stages) -> Rendered:
        return render(
            each.dag,
            each.settings,
            templates,
            project=project.name,
            package=project.package,
            command=command_of(request, each.dag, target, project),
            jinja_file=request.jinja_file,
            root=request.root,
            selection=request.selection,
            warn=problems.warn,
        )

    # Of a pipeline whose nodes could not be read there is nothing to write.
    filled = [each for each in stages if each.dag.tasks]
    rendered = list(_each(filled, render_one, problems, steps))
    whole = whole and len(rendered) == len(stages)
    own_templates = team is not None or bool(of_packages) or request.jinja_file is not None
    # What a template that failed, or one for a pipeline that did, would have read is not known;
    # the built-in ones read nothing of the kind.
    if whole or not own_templates:
        reads = {name for each in rendered for name in each.reads}
        _check_read(free, target, sections, reads, lenient=request.jinja_file is not None)
    return [each.file for each in rendered]


def _each(
    items: Iterable[T], stage: Callable[[T], R], problems: _Kept, steps: _Steps
) -> Iterator[R]:
    """Yield what a stage makes of each item, and keep the problems of those that fail."""
    for item in items:
        with problems.stage():
            yield stage(item)
        steps.take()


@dataclass(slots=True)
class _Steps:
    """How far a run is."""

    of: int
    progress: Progress | None
    done: int = 0

    def take(self) -> None:
        """Count one more and tell it."""
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, self.of)


def _target(request: Request, project: Project, packages: Sequence[Package]) -> Target:
    """Return what is compiled for: the command line says it, the project, or a package."""
    name, origin = request.target, None
    if name is None:
        name, origin = project.target, project.origin("target")
    if name is None:
        name, origin = fact_of(packages, "target")
    version, version_origin = request.airflow_version, None
    if version is None:
        version, version_origin = project.airflow_version, project.origin("airflow-version")
    if version is None:
        version, version_origin = fact_of(packages, "airflow-version")
    return read_target(
        DEFAULT_TARGET if name is None else name,
        templates_dir(),
        more=targets_of(packages),
        version=version,
        origin=origin,
        version_origin=version_origin,
    )


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


def _template_files(
    request: Request, project: Project, packages: Sequence[Package]
) -> Iterator[tuple[Path, str]]:
    """Yield the templates that are not DagForge's own, with how messages name them."""
    team = request.templates
    if team is None and project.templates is not None:
        team = request.root / project.templates
    for path in sorted(team.rglob("*.jinja")) if team is not None else ():
        yield path, shown_path(path, request.root)
    for package in packages:
        for path in sorted(package.templates.rglob("*.jinja")) if package.templates else ():
            yield path, shown_path(path, package.root)
    if request.jinja_file is not None:
        yield request.jinja_file, shown_path(request.jinja_file, request.root)


def _choose(
    request: Request, project: Project, registered: tuple[str, ...], problems: _Kept
) -> tuple[str, ...]:
    """Return the names of the pipelines that are asked for, in the order of the registry."""
    if request.every:
        return registered
    wanted = request.pipelines or project.pipelines
    if not wanted:
        return (DEFAULT_PIPELINE,) if DEFAULT_PIPELINE in registered else registered
    for name in dict.fromkeys(wanted):
        if name not in registered:
            problems.error(
                "unknown-pipeline",
                f"there is no pipeline '{name}'",
                None if request.pipelines else project.origin("pipelines"),
                fix=did_you_mean(name, registered),
            )
            problems.misused = problems.misused or bool(request.pipelines)
    return tuple(name for name in registered if name in wanted)


def _once(found: Sequence[Problem]) -> list[Problem]:
    """Return the problems, each said once: pipelines share their settings' files."""
    return list({str(problem): problem for problem in found}.values())


def command_of(request: Request, dag: DagPlan, target: Target, project: Project) -> str:
    """Return the one command that remakes a file, the same however it was first asked for."""
    words = ["dagforge", "create", "--pipeline", dag.pipeline.name]
    conf = request.root / (request.conf or project.conf)
    if os.path.normpath(conf) != os.path.normpath(request.root / project.conf):
        words += ["--conf", _relative(conf, request.root)]
    if dag.env is not None or project.env is not None:
        words += ["--env", dag.env or BASE]
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
    pairs = (
        f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in dotted(request.params)
    )
    words += [word for pair in sorted(pairs) for word in ("--params", pair)]
    for option, path in (("--templates", request.templates), ("--jinja-file", request.jinja_file)):
        if path is not None:
            words += [option, _relative(path, request.root)]
    return shlex.join(words)


def _relative(path: Path, root: Path) -> str:
    return Path(os.path.relpath(path, root)).as_posix()


def _check_read(
    layers: Iterable[Layer],
    target: Target,
    sections: Collection[str],
    reads: set[str],
    *,
    lenient: bool,
) -> None:
    """Refuse settings that DagForge does not know and that no template has read."""
    problems = Problems()
    told: set[str] = set()
    for layer in layers:
        for name in sorted(layer.free):
            place = layer.place(("vars", name))
            key = f"{name} {place.location() if place else layer.label}"
            if name in reads or key in told:
                continue
            told.add(key)
            message = f"there is no setting '{name}', and no template reads such a variable"
            if place is None:
                message = f"{layer.label}: {message}"
            hint = target.facts.get("hints", {}).get(name)
            if name in sections:
                hint = f"write '{name}:' at the beginning of a line, beside default:"
            fix = hint or did_you_mean(name, [*target.canonical, FOR_TAGS, FOR_TASKS])
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
