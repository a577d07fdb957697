"""What a change means: the two sides of `dagforge diff`, compiled and compared."""

from __future__ import annotations

import contextlib
import datetime
import os
import posixpath
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from dagforge.build import Build, Request, Source, build, read_source
from dagforge.commands.revisions import (
    Repository,
    Revision,
    find_repository,
    find_revision,
    has_revision,
    merge_base,
    repository_of,
    write_revision,
)
from dagforge.compare.changes import Difference, compare
from dagforge.compare.moves import DIFFERS, SAME, Move, moves
from dagforge.compare.outline import DagOutline, outline
from dagforge.conf import BASE
from dagforge.errors import (
    DagForgeError,
    Problem,
    UsageError,
    did_you_mean,
)
from dagforge.frontends.definitions import NATIVE
from dagforge.frozen import frozen
from dagforge.reading.project import holds_project, read_project

HERE: Final = "working tree"
FEW_PIPELINES: Final = 20
"""Beyond it, a process of its own for the old side is faster; starting one takes 0.4 seconds."""
_HEAD: Final = "HEAD"
_RANGE: Final = re.compile(r"(?P<old>.*?)(?P<dots>\.\.\.?)(?P<new>[^.].*)?")


@frozen
class Side:
    """One of the two states that are compared.

    Attributes:
        label: what it is called.
        request: what to compile; None where the project, or its environment, was not there yet.
        mark: what stands before the path of a file in a message about this side.
        within: folder in front of the path, as messages name it.
        files: folder of generated files, which are read instead of compiled.
        commit: of the revision; None for a folder.
        name: of the project where it says none itself; None for what is here.
    """

    label: str
    request: Request | None
    mark: str = ""
    within: str = ""
    files: Path | None = None
    commit: str | None = None
    name: str | None = None


@frozen
class Compiled:
    """What one side is made of.

    Attributes:
        pipelines: names of all that are registered.
        target: its name.
        version: of the orchestrator.
        limits: where something is written that this version cannot express.
    """

    dags: tuple[DagOutline, ...]
    pipelines: tuple[str, ...]
    target: str = ""
    orchestrator: str = ""
    version: str = ""
    limits: frozenset[str] = frozenset()


@frozen
class Refused:
    """A side that is wrong.

    Attributes:
        problems: with their places looked up.
        misused: the command line is wrong.
    """

    problems: tuple[Problem, ...]
    misused: bool


@frozen
class Built:
    """A side that was compiled in this process.

    Attributes:
        found: None where nothing had to be compiled.
    """

    compiled: Compiled
    found: Build | None


@frozen
class Comparison:
    """The answer of `dagforge diff`.

    Attributes:
        moves: what the orchestrator's other version makes of the same definition.
        after: moment after which next runs are told; None tells the first ones.
    """

    old: Side
    new: Side
    before: Compiled
    now: Compiled
    difference: Difference
    moves: tuple[Move, ...]
    after: datetime.datetime | None

    def __bool__(self) -> bool:
        return bool(self.difference) or any(move.effect != SAME for move in self.moves)


@frozen
class Asked:
    """What the command line says of the two sides.

    Attributes:
        against: a revision, two of them, or a folder; None for the default.
        fork: compare with the merge base of the revision and HEAD.
        old_version: of the orchestrator, for the old side; None for what its project says.
        after: moment after which next runs are told.
    """

    request: Request
    against: str | None = None
    fork: bool = False
    old_version: str | None = None
    after: datetime.datetime | None = None


def compare_sides(asked: Asked) -> Comparison:
    """Return what differs between what is compared and what is here.

    Raises:
        UsageError: there is nothing of that name to compare with, or neither side has a pipeline
            that is asked for.
        DagForgeError: a side is wrong; with the problems of both, each told where it is.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dagforge-")))
        old, new, dated = _sides(asked, folder)
        before, now = _compile(old, new)
    _check_pipelines(asked.request, before, now.compiled)
    difference = compare(before.dags, now.compiled.dags)
    return Comparison(
        old,
        new,
        before,
        now.compiled,
        difference,
        _moves(before, now),
        asked.after or dated,
    )


def moment_of_text(text: str) -> datetime.datetime:
    """Return the moment that `--now` says; UTC where it names no zone.

    Raises:
        UsageError: it is no date.
    """
    try:
        # Python 3.10 reads no Z.
        moment = datetime.datetime.fromisoformat(re.sub("[Zz]$", "+00:00", text.strip()))
    except ValueError as error:
        raise UsageError.of(
            "wrong-value",
            f"--now is '{text}', which is no date",
            fix="write 2026-01-31, 2026-01-31T06:00 or 2026-01-31T06:00:00+01:00",
        ) from error
    utc = datetime.timezone.utc
    return moment.replace(tzinfo=utc) if moment.tzinfo is None else moment.astimezone(utc)


# --- which sides


def _sides(asked: Asked, folder: Path) -> tuple[Side, Side, datetime.datetime | None]:
    """Return the old and the new side, and when the newest commit of the new one was made."""
    request, against = asked.request, asked.against
    other = Path(against) if against is not None else None
    if against is not None and _is_folder(against, request.root):
        assert other is not None
        return _folder_side(other, asked), Side(HERE, request), _date_of_head(request.root)
    versions = request.airflow_version is not None or asked.old_version is not None
    if against is None and versions and not asked.fork:
        return (
            Side(HERE, replace(request, airflow_version=asked.old_version)),
            Side(HERE, request),
            _date_of_head(request.root),
        )
    repository = repository_of(request.root)
    first, second = _revisions(repository, against or _HEAD, fork=asked.fork)
    old_request = replace(request, airflow_version=asked.old_version or request.airflow_version)
    old = _revision_side(repository, first, old_request, folder / "old")
    if second is None:
        head = find_revision(repository, _HEAD)
        return old, Side(HERE, request), head.date
    return old, _revision_side(repository, second, request, folder / "new"), second.date


def _is_folder(against: str, root: Path) -> bool:
    """Say whether a folder is meant.

    Raises:
        UsageError: a folder is meant that is not there, or the name is that of a commit too.
    """
    written_as_path = re.match(r"\.{0,2}(/|$)", against) is not None
    if not Path(against).is_dir():
        if written_as_path:
            raise UsageError.of("no-comparison", f"there is no folder '{against}'")
        return False
    if not written_as_path:
        repository = find_repository(root)
        if repository is not None and has_revision(repository, against):
            raise UsageError.of(
                "no-comparison",
                f"'{against}' is a folder and a revision",
                fix=f"write './{against}' for the folder, 'refs/heads/{against}' for a branch",
            )
    return True


def _revisions(
    repository: Repository, text: str, *, fork: bool
) -> tuple[Revision, Revision | None]:
    """Return the commits of both sides, None for the working tree; spelled as git spells them."""
    parts = _RANGE.fullmatch(text)
    if parts is None or (parts["new"] is None and not text.endswith("..")):
        if fork:
            return merge_base(repository, text, _HEAD), None
        return find_revision(repository, text), None
    one, other = parts["old"] or _HEAD, parts["new"] or _HEAD
    new = find_revision(repository, other)
    if fork or parts["dots"] == "...":
        return merge_base(repository, one, other), new
    return find_revision(repository, one), new


def _date_of_head(root: Path) -> datetime.datetime | None:
    repository = find_repository(root)
    if repository is None or not has_revision(repository, _HEAD):
        return None
    return find_revision(repository, _HEAD).date


def _revision_side(
    repository: Repository, revision: Revision, request: Request, folder: Path
) -> Side:
    """Return a side whose files are written as a commit holds them."""
    root = write_revision(repository, revision, repository.within, folder)
    side = Side(
        revision.name,
        None,
        mark=f"{revision.name}:",
        within=str(repository.within),
        commit=revision.commit,
        name=request.root.name,
    )
    if not root.is_dir() or not holds_project(root):
        return side

    def at_that_time(path: Path | None) -> Path | None:
        """Return where a folder of the command line was in the commit; others stay as they are."""
        if path is None:
            return None
        inside = _inside(path, repository.top)
        if inside is None:
            return path
        if not (folder / inside).exists():
            write_revision(repository, revision, inside, folder)
        return folder / inside

    moved = replace(
        request,
        root=root,
        conf=at_that_time(request.conf),
        templates=at_that_time(request.templates),
    )
    try:
        project = read_project(root, any_version=True)
    except DagForgeError:
        # It is told, with all else, when the side is compiled.
        return replace(side, request=moved)
    for path in (project.conf, project.templates):
        # What a project has beside its own folder in the repository.
        outside = Path(os.path.normpath(request.root / (path or "")))
        if _inside(outside, request.root) is None:
            at_that_time(outside)
    env = request.env or project.env
    conf = moved.conf or root / project.conf
    if env not in (None, BASE) and (conf / BASE).is_dir() and not (conf / str(env)).is_dir():
        return side if _has_environment(request, str(env)) else replace(side, request=moved)
    return replace(side, request=moved)


def _has_environment(request: Request, env: str) -> bool:
    try:
        return env in read_source(request).conf.environments
    except DagForgeError:
        return False


def _inside(path: Path, top: Path) -> PurePosixPath | None:
    try:
        return PurePosixPath(path.resolve().relative_to(top.resolve()).as_posix())
    except ValueError:
        return None


def _folder_side(folder: Path, asked: Asked) -> Side:
    """Return the side that a folder is: a checkout, of the project or around it, or files.

    Raises:
        UsageError: it holds nothing to compare with.
    """
    root = asked.request.root
    request = replace(
        asked.request, airflow_version=asked.old_version or asked.request.airflow_version
    )
    shown = folder.as_posix()
    candidates = [folder]
    repository = find_repository(root)
    if repository is not None:
        candidates.append(folder / repository.within)
    for candidate in candidates:
        if holds_project(candidate):
            other = replace(
                request, root=candidate.resolve(), conf=_other(request.conf, root, candidate)
            )
            return Side(shown, other, within=candidate.as_posix(), name=root.name)
    from dagforge.commands.written_dags import holds_generated_files

    if not holds_generated_files(folder):
        raise UsageError.of(
            "no-comparison",
            f"{shown} holds neither a project nor generated files",
            fix="name a folder with conf/ or dagforge.toml, or the output folder of `create`",
        )
    return Side(shown, request, within=shown, files=folder, name=root.name)


def _other(path: Path | None, root: Path, candidate: Path) -> Path | None:
    """Return a folder of the command line as the other checkout has it."""
    inside = None if path is None else _inside(path, root)
    return path if inside is None else candidate.resolve() / inside


# --- what they are made of


def _compile(old: Side, new: Side) -> tuple[Compiled, Built]:
    """Return both sides, compiled.

    The old one gets a process of its own where that saves time, and where the new one has imported
    the project's code: one process holds one state of that.

    Raises:
        DagForgeError: with the problems of both sides.
    """
    problems: list[Problem] = []
    misused = False
    now: Built | None = None
    with ExitStack() as stack:
        old_side: Callable[[], Compiled | Refused] | None = None
        try:
            source = _read(new)
            if source is not None and len(source.pipelines) > FEW_PIPELINES:
                old_side = stack.enter_context(_started(old))
            now = _build(new, source, with_files=old.files is not None)
        except DagForgeError as error:
            problems += _placed(error.problems, new)
            misused = isinstance(error, UsageError)
        if old_side is None and now is not None and _has_imported(now, old, new):
            old_side = stack.enter_context(_started(old))
        before = compile_old(old) if old_side is None else old_side()
    if isinstance(before, Refused):
        problems += _placed(before.problems, old)
        misused = misused or before.misused
    if isinstance(before, Refused) or now is None:
        raise (UsageError if misused else DagForgeError)(_once(problems))
    return before, now


@contextlib.contextmanager
def _started(side: Side) -> Iterator[Callable[[], Compiled | Refused]]:
    """Compile a side in another process meanwhile; gives what waits for it."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool.submit(compile_old, side).result


def _has_imported(now: Built, old: Side, new: Side) -> bool:
    """Say whether a side's own code is here now, and is not that of the other side."""
    if now.found is None or old.request is None or new.request is None:
        return False
    imported = any(stages.pipeline.front_end != NATIVE for stages in now.found.stages)
    return imported and old.request.root != new.request.root


def compile_old(side: Side) -> Compiled | Refused:
    """Return what a side is made of, or what is wrong with it; for another process to read."""
    try:
        return _build(side, _read(side)).compiled
    except DagForgeError as error:
        problems = (replace(problem, at=problem.location) for problem in error.problems)
        return Refused(tuple(problems), isinstance(error, UsageError))


def _read(side: Side) -> Source | None:
    """Return what a side is compiled from, None where it was not there yet."""
    if side.request is None:
        return None
    # What is only looked at may be made for another version of DagForge.
    source = read_source(side.request, any_version=side.name is not None)
    project = source.project
    if side.name is None or project.name != project.root.name:
        return source
    # A project that says no name of its own is not another one in another folder.
    return replace(source, project=replace(project, name=side.name))


def _build(side: Side, source: Source | None, *, with_files: bool = False) -> Built:
    """Return a side, compiled or read.

    Args:
        side: which one.
        source: what it is compiled from.
        with_files: compare what stands in the files, not the plans.

    Raises:
        DagForgeError: it is wrong.
    """
    if side.request is None or source is None:
        return Built(Compiled((), ()), None)
    target = source.target
    facts = source.pipelines, target.name, target.orchestrator, target.version
    if side.files is not None:
        from dagforge.commands.written_dags import read_files

        read, version = read_files(side.files, source.project.name, source.conf.env, target)
        pipelines = tuple(dag.pipeline for dag in read)
        return Built(Compiled(read, pipelines, target.name, target.orchestrator, version), None)
    wanted = tuple(name for name in side.request.pipelines if name in source.pipelines)
    if side.request.pipelines and not wanted:
        return Built(Compiled((), *facts), None)
    request = replace(side.request, pipelines=wanted)
    found = build(request, render_files=with_files, source=source)
    if with_files:
        from dagforge.commands.written_dags import outlines

        dags = outlines(found.files, target)
    else:
        dags = tuple(outline(dag, target) for dag in found.dags)
    limits = frozenset(
        str(problem.location) for problem in found.warnings if problem.code == "cannot-express"
    )
    return Built(Compiled(dags, *facts, limits), found)


def _moves(before: Compiled, now: Built) -> tuple[Move, ...]:
    """Return what the new side's version makes of its definitions, where the old one had another.

    What that version cannot express at all, and what the old one could, comes first.
    """
    after, found = now.compiled, now.found
    versions = before.orchestrator == after.orchestrator and before.version != after.version
    if found is None or not versions:
        return ()
    limits = [
        Move("setting", DIFFERS, problem.message, problem.fix, str(problem.location))
        for problem in found.warnings
        if problem.code == "cannot-express" and str(problem.location) not in before.limits
    ]
    old_dags = {dag.pipeline: dag for dag in before.dags}
    pairs = [(old_dags[dag.pipeline], dag) for dag in after.dags if dag.pipeline in old_dags]
    definitions = [(stages.pipeline, stages.settings) for stages in found.stages]
    return (*limits, *moves(definitions, pairs, before.version, found.target))


def _placed(problems: Iterable[Problem], side: Side) -> Iterator[Problem]:
    """Yield problems with the side in front of the file, or of the message where there is none."""
    for problem in problems:
        at = problem.location
        if at is None:
            what = "" if side.label == HERE else f"{side.label}: "
            yield replace(problem, message=f"{what}{problem.message}")
        else:
            path = posixpath.normpath(posixpath.join(side.within, at.file))
            yield replace(problem, at=replace(at, file=f"{side.mark}{path}"))


def _once(problems: Iterable[Problem]) -> list[Problem]:
    return list({str(problem): problem for problem in problems}.values())


def _check_pipelines(request: Request, before: Compiled, now: Compiled) -> None:
    """Refuse pipelines that neither side has."""
    known = {*before.pipelines, *now.pipelines}
    unknown = [name for name in request.pipelines if name not in known]
    if unknown:
        raise UsageError(
            Problem(
                "unknown-pipeline",
                f"neither side has a pipeline '{name}'",
                fix=did_you_mean(name, known),
            )
            for name in unknown
        )
