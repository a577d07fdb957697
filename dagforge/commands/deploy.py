"""What `dagforge deploy` deploys, from where, and to where."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from dagforge.build import DEFAULT_PIPELINE, Request, attempt, read_source
from dagforge.commands.folders import short_path
from dagforge.commands.written import (
    Batch,
    Written,
    as_of_header,
    batches,
    files_in,
    source_of,
    without_left_overs,
)
from dagforge.conf import BASE, Project
from dagforge.deploying.bucket import is_folder
from dagforge.deploying.decide import Scope
from dagforge.deploying.local import LocalFile, dag_file, deployed_as, supporting_files
from dagforge.deploying.settings import DeploySettings, deploy_settings, folder_of
from dagforge.errors import (
    DagForgeError,
    LoadError,
    OutputError,
    Problem,
    Problems,
    SourceLocation,
    StaleError,
    UsageError,
    VerificationError,
    did_you_mean,
)
from dagforge.frozen import frozen
from dagforge.output.files import RenderedFile, StaleOutputError, WriteMode
from dagforge.write import write

ReadCommand = Callable[[str, Request], Request]


@frozen
class Destination:
    """What the command line says of the place; None where it does not say."""

    url: str | None = None
    folder: str | None = None
    composer: str | None = None
    location: str | None = None
    composer_project: str | None = None


def settings_of(request: Request, project: Project, given: Destination) -> DeploySettings:
    """Return where to deploy to: what the command line says over what the project says.

    Raises:
        LoadError: the project's table is wrong.
        UsageError: neither says it, or the command line says it twice.
    """
    if given.url is not None and given.composer is not None:
        raise UsageError.of(
            "deploy-url", "a URL and --composer both say where to deploy to", fix="leave out one"
        )
    conf = request.root / (request.conf or project.conf)
    settings = deploy_settings(project, env_of(request, project), _environments(conf))
    if given.url is not None or given.composer is not None:
        settings = replace(settings, url=given.url, composer=given.composer, url_origin=None)
    elif settings.url is not None and is_folder(settings.url):
        folder_here = request.root / Path(settings.url).expanduser()
        settings = replace(settings, url=short_path(folder_here))
    folder = settings.folder if given.folder is None else folder_of(given.folder)
    if folder is None:
        raise UsageError.of(
            "deploy-url",
            f"--folder: '{given.folder}' is no folder below the DAGs' root",
            fix="write it as in team_a",
        )
    settings = replace(
        settings,
        folder=folder,
        location=given.location or settings.location,
        composer_project=given.composer_project or settings.composer_project,
    )
    if settings.url is None and settings.composer is None:
        raise UsageError.of(
            "deploy-url",
            "nothing says where to deploy to",
            fix="give a URL such as gs://bucket/dags, or write it into [tool.dagforge.deploy] as "
            "`url`",
        )
    return settings


def env_of(request: Request, project: Project) -> str | None:
    """Return the environment that is deployed; None for base alone."""
    env = request.env if request.env is not None else project.env
    return None if env == BASE else env


def _environments(conf: Path) -> Collection[str]:
    try:
        return {entry.name for entry in conf.iterdir() if entry.is_dir()}
    except OSError:
        return ()


@frozen
class Deployable:
    """What is to be deployed.

    Attributes:
        warnings: of the definitions, and of files that are not deployed.
    """

    files: tuple[LocalFile, ...]
    scope: Scope
    warnings: tuple[Problem, ...]


def collect(
    request: Request,
    project: Project,
    settings: DeploySettings,
    output: Path,
    shown: str,
    *,
    read_command: ReadCommand | None,
    force: bool,
    allow_empty: bool,
) -> Deployable:
    """Return the files that a request deploys, after checking that they are up to date.

    Args:
        request: its environment and pipelines choose among the files.
        project: whose files they are.
        settings: name the supporting files.
        output: the folder of the generated files.
        shown: that folder as messages name it.
        read_command: reads the command in a header; None leaves out the check.
        force: see `Scope`.
        allow_empty: no file is what is meant.

    Raises:
        StaleError: files are not what the definitions give.
        DagForgeError: the input is wrong, or there is nothing to deploy.
    """
    env = env_of(request, project)
    try:
        there = files_in(output, project.name, shown=shown)
    except VerificationError as error:
        raise OutputError(error.problems) from error
    present = there.files
    chosen = tuple(
        file
        for file in present
        if file.manifest.env == env
        and (not request.pipelines or file.manifest.pipeline in request.pipelines)
    )
    nothing = not (chosen or allow_empty)
    if nothing and not request.pipelines:
        if read_command is not None:
            read_source(request)  # that there is no such environment is the better reason
        raise OutputError([_nothing(project, env, present, shown)])
    warnings: list[Problem] = []
    if read_command is not None and (chosen or request.pipelines):
        warnings += check(request, project, chosen, output, shown, read_command)
    if nothing:
        raise OutputError([_nothing(project, env, present, shown)])
    supporting = supporting_files(request.root, settings.files)
    files = [_read(file, output, settings.folder) for file in chosen]
    scope = Scope(
        project.name,
        env or BASE,
        frozenset(request.pipelines) if request.pipelines else None,
        force=force,
        unclear={
            deployed_as(name, settings.folder): SourceLocation(
                name if shown == "." else f"{shown}/{name}"
            )
            for name in there.others
        },
    )
    return Deployable((*files, *supporting), scope, tuple(warnings))


def _read(file: Written, output: Path, folder: str) -> LocalFile:
    try:
        content = (output / file.name).read_bytes()
    except OSError as error:
        raise LoadError.of("unreadable", f"cannot be read: {error.strerror}", at=file.at) from error
    return dag_file(file.name, content, file.at, file.manifest, folder)


def _nothing(project: Project, env: str | None, present: Sequence[Written], shown: str) -> Problem:
    others = sorted({file.manifest.env or BASE for file in present})
    fix = "write them with `dagforge create`; if there is to be none, say --allow-empty"
    if others:
        fix += f"\nthere are files for --env {', '.join(others)}"
    return Problem(
        "not-written",
        f"there is no file of project '{project.name}' for environment '{env or BASE}' in {shown}",
        fix=fix,
    )


def check(
    request: Request,
    project: Project,
    chosen: Sequence[Written],
    output: Path,
    shown: str,
    read_command: ReadCommand,
) -> list[Problem]:
    """Return the warnings of the definitions that files were made from.

    Raises:
        StaleError: a file is not what the command in its header gives now, or one is missing.
        DagForgeError: the definitions are wrong.
    """
    env = env_of(request, project) or BASE
    registered = read_source(replace(request, env=env)).pipelines
    try:
        read = batches(chosen, lambda command: read_command(command, request))
        sources = [source_of(batch) for batch in read]
    except VerificationError as error:
        raise OutputError(error.problems) from error
    problems, stale = Problems(), Problems()
    rendered: list[RenderedFile] = []
    for batch, source in zip(read, sources, strict=True):
        here, left_overs = without_left_overs(batch, source.pipelines)
        stale.extend(left_overs)
        if here.files:
            found = attempt(here.request, source=source)
            problems.extend(as_of_header(here, found.problems))
            rendered += found.files
    problems.raise_errors(DagForgeError)
    stale.extend(_missing(request, project, registered, read, shown))
    try:
        write(rendered, output, WriteMode(check=True), root=request.root, warn=problems.warn)
    except StaleOutputError as error:
        stale.extend(error.problems)
    if stale.found:
        raise StaleError(replace(problem, severity="error") for problem in _once(stale))
    return _once(problems)


def _missing(
    request: Request,
    project: Project,
    registered: tuple[str, ...],
    read: Sequence[Batch],
    shown: str,
) -> Iterator[Problem]:
    """Give a problem for each pipeline that should have a file.

    Raises:
        UsageError: there is no such pipeline.
    """
    unknown = [name for name in request.pipelines if name not in registered]
    if unknown:
        raise UsageError(
            Problem(
                "unknown-pipeline",
                f"there is no pipeline '{name}'",
                fix=did_you_mean(name, registered),
            )
            for name in unknown
        )
    wanted = request.pipelines or project.pipelines
    if not wanted and DEFAULT_PIPELINE not in registered:
        wanted = registered
    made = {
        name for batch in read if not batch.request.selection for name in batch.request.pipelines
    }
    env = env_of(request, project)
    for name in wanted:
        if name not in made:
            command = ["dagforge", "create", "-p", name, *(["--env", env] if env else [])]
            message = f"there is no file of pipeline '{name}' in {shown}"
            yield Problem("missing-file", message, fix=f"run '{shlex.join(command)}'")


def _once(problems: Iterable[Problem]) -> list[Problem]:
    return list({str(problem): problem for problem in problems}.values())
