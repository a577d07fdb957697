"""The files that lie in an output folder, and the builds that their headers tell of."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from dagforge.build import Build, Request, Source, read_source
from dagforge.errors import (
    DagForgeError,
    Problem,
    Problems,
    SourceLocation,
    UsageError,
    VerificationError,
    did_you_mean,
)
from dagforge.frozen import frozen
from dagforge.output.manifest import Manifest, read_manifest
from dagforge.planning.model import DagPlan
from dagforge.target import Target
from dagforge.verify import file_of

_HEAD_BYTES: Final = 16_384


@frozen
class Written:
    """A generated file.

    Attributes:
        name: within its folder.
        at: as messages name it.
        manifest: what its header says.
    """

    name: str
    at: SourceLocation
    manifest: Manifest


@frozen
class Present:
    """The Python files of a folder that matter.

    Attributes:
        files: the generated files of the project, in the order of their names.
        others: names of those without a header.
    """

    files: tuple[Written, ...]
    others: frozenset[str]


@frozen
class Batch:
    """Files that one build makes.

    Attributes:
        request: what to build, for the pipelines of all files.
    """

    request: Request
    files: tuple[Written, ...]


@frozen
class Planned:
    """The plans of all files that are for one version of one target."""

    target: Target
    dags: tuple[DagPlan, ...]


def files_in(folder: Path, project: str, *, shown: str) -> Present:
    """Return the generated files of a project in a folder.

    Args:
        folder: need not exist.
        project: name of the project; files of others are left alone.
        shown: the folder as messages name it.

    Raises:
        VerificationError: files cannot be read, or have a header that says not what they were
            made from.
    """
    problems = Problems()
    found: list[Written] = []
    others: set[str] = set()
    for name in _names(folder, shown, problems):
        at = SourceLocation(name if shown == "." else f"{shown}/{name}")
        try:
            header = read_manifest(_head(folder / name))
        except OSError as error:
            problems.extend([unreadable(at, error)])
            continue
        if header is None:
            others.add(name)
        elif header.manifest is None:
            problems.extend([bad_header(at, "a line is missing or cannot be read")])
        elif header.manifest.project == project:
            found.append(Written(name, at, header.manifest))
    problems.raise_errors(VerificationError)
    return Present(tuple(found), frozenset(others))


def _names(folder: Path, shown: str, problems: Problems) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith(".py"))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        problems.extend([unreadable(SourceLocation(shown), error)])
        return []


def _head(path: Path) -> str:
    """Return the beginning of a file; nothing of what is no file."""
    if not path.is_file():  # opening a pipe would wait for its other end
        return ""
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES).decode(errors="replace")


def unreadable(at: SourceLocation, error: OSError) -> Problem:
    """Return the problem of a file or folder that the system does not let us read."""
    fix = "give yourself the permission to read it" if isinstance(error, PermissionError) else None
    return Problem("unreadable", f"cannot be read: {error.strerror}", at, fix)


def bad_header(at: SourceLocation, why: str) -> Problem:
    """Return the problem of a file whose header does not say what it was made from."""
    return Problem(
        "bad-header",
        f"its header does not say what it was made from: {why}",
        at,
        "make it again with `dagforge create`",
    )


def batches(files: Iterable[Written], read_command: Callable[[str], Request]) -> tuple[Batch, ...]:
    """Return the files by the build that makes them, in the order of their first files.

    Args:
        files: of one project.
        read_command: returns what a command asks for, or raises DagForgeError.

    Raises:
        VerificationError: with every command that asks for nothing.
    """
    problems = Problems()
    by_request: dict[str, tuple[Request, list[Written]]] = {}
    # Commands differ in the name of their pipeline, which is said by the header besides.
    read: dict[str, Request] = {}
    for file in files:
        command = file.manifest.command
        name = shlex.join(["dagforge", "create", "--pipeline", file.manifest.pipeline])
        rest = command.removeprefix(name)
        try:
            if rest not in read:
                read[rest] = read_command(command)
        except DagForgeError as error:
            why = error.problems[0].message
            problems.extend([bad_header(file.at, f"`{command}`: {why}")])
            continue
        # What the project says now of its environment may not be what held for the file.
        request = replace(read[rest], pipelines=(), env=file.manifest.env or "base")
        by_request.setdefault(repr(request), (request, []))[1].append(file)
    problems.raise_errors(VerificationError)
    return tuple(
        Batch(
            replace(request, pipelines=tuple(file.manifest.pipeline for file in together)),
            tuple(together),
        )
        for request, together in by_request.values()
    )


def as_of_header(batch: Batch, problems: Iterable[Problem]) -> Iterator[Problem]:
    """Yield problems of a build; what its command itself gets wrong is told of the files."""
    for problem in problems:
        if problem.severity == "error" and problem.location is None:
            message = f"the command in its header does not work any more: {problem.message}"
            for file in batch.files:
                fix = "make it again with `dagforge create`, or delete it"
                yield Problem("bad-header", message, file.at, fix)
        else:
            yield problem


def source_of(batch: Batch) -> Source:
    """Return what files are made from.

    Raises:
        VerificationError: their command asks for what is not there any more.
        DagForgeError: the project is wrong.
    """
    try:
        return read_source(batch.request)
    except DagForgeError as error:
        told = tuple(as_of_header(batch, error.problems))
        if told == error.problems:
            raise
        raise VerificationError(told) from error


def choose(read: Sequence[Batch], request: Request, project: str, shown: str) -> tuple[Batch, ...]:
    """Return the files that a request chooses: all, or those of its pipelines and its target.

    Args:
        read: of `batches`.
        request: its target, environment and version choose files that were made with these; its
            pipelines must be there.
        project: name of the project.
        shown: the folder as messages name it.

    Raises:
        DagForgeError: the request names what the project does not have.
        VerificationError: there are no such files.
    """
    like = (request.target, request.env, request.airflow_version)
    names: Sequence[str] = request.pipelines
    if request.every or names or any(word is not None for word in like):
        source = read_source(request)
        names = source.pipelines if request.every else names
        unknown = [name for name in names if name not in source.pipelines]
        if unknown:
            raise UsageError(
                Problem(
                    "unknown-pipeline",
                    f"there is no pipeline '{name}'",
                    fix=did_you_mean(name, source.pipelines),
                )
                for name in unknown
            )
        if request.airflow_version is not None:
            like = (request.target, request.env, source.target.version)
    kept = []
    for batch in read:
        theirs = (batch.request.target, batch.request.env, batch.request.airflow_version)
        if all(word in (None, their) for word, their in zip(like, theirs, strict=True)):
            kept.append(_of_pipelines(batch, names) if names else batch)
    made = {
        name for batch in kept if not batch.request.selection for name in batch.request.pipelines
    }
    problems = Problems()
    for name in names:
        if name not in made:
            problems.error(
                "not-written",
                f"there is no file of pipeline '{name}'{_with(like)} in {shown}",
                fix=f"write it with `dagforge create -p {shlex.quote(name)}`",
            )
    if not problems.found and not any(batch.files for batch in kept):
        problems.error(
            "not-written",
            f"there is no file of project '{project}'{_with(like)} in {shown}",
            fix="write them with `dagforge create`",
        )
    problems.raise_errors(VerificationError)
    return tuple(batch for batch in kept if batch.files)


def _with(like: Sequence[str | None]) -> str:
    """Return the options that files were to be made with, for a message."""
    words = [
        f"{option} {word}"
        for option, word in zip(("--target", "--env", "--airflow-version"), like, strict=True)
        if word is not None
    ]
    return f" made with {' '.join(words)}" if words else ""


def _of_pipelines(batch: Batch, names: Iterable[str]) -> Batch:
    wanted = set(names)
    files = tuple(file for file in batch.files if file.manifest.pipeline in wanted)
    pipelines = tuple(file.manifest.pipeline for file in files)
    return Batch(replace(batch.request, pipelines=pipelines), files)


def without_left_overs(
    batch: Batch, registered: Sequence[str]
) -> tuple[Batch, tuple[Problem, ...]]:
    """Return the files of pipelines that are still there, and a warning for each other one."""
    kept = _of_pipelines(batch, registered)
    known = set(registered)
    return kept, tuple(
        _left_over(file, f" from pipeline '{file.manifest.pipeline}', which no longer exists")
        for file in batch.files
        if file.manifest.pipeline not in known
    )


def plans(
    builds: Iterable[tuple[Batch, Build]],
) -> tuple[tuple[Planned, ...], tuple[Problem, ...]]:
    """Return the plans by target, each for the file that it is written to, and warnings.

    A file that its own command writes elsewhere now is left over. The plan then is one of the
    file that it is written to, unless that file was made by another command.
    """
    together = list(builds)
    owner = {file.name: file for batch, _ in together for file in batch.files}
    targets: dict[tuple[str, str], Target] = {}
    dags: dict[tuple[str, str], list[DagPlan]] = {}
    warnings: list[Problem] = []
    for batch, found in together:
        plan_of: Mapping[str, DagPlan] = {dag.pipeline.name: dag for dag in found.dags}
        key = found.target.name, found.target.version
        targets[key] = found.target
        for file in batch.files:
            dag = plan_of[file.manifest.pipeline]
            name = file_of(dag, found.target)
            if name != file.name:
                what = f": its command writes '{name}' now, and both would be loaded"
                warnings.append(_left_over(file, what))
            if owner.setdefault(name, file) is file:
                dags.setdefault(key, []).append(dag)
    made = tuple(Planned(targets[key], tuple(each)) for key, each in dags.items())
    return made, tuple(warnings)


def _left_over(file: Written, what: str) -> Problem:
    return Problem(
        "left-over",
        f"this file is left over{what}",
        file.at,
        "delete it, or compile all pipelines with --prune",
        "warning",
    )
