"""What a change means: the two sides of `dagforge diff`, compiled and compared."""

from __future__ import annotations

import contextlib
import datetime
import posixpath
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from dagforge.build import Build, Request, Source, build, read_source
from dagforge.commands.sides import HERE, Asked, Side, sides_of
from dagforge.commands.written_dags import outlines, read_files
from dagforge.compare.changes import Difference, compare
from dagforge.compare.moves import DIFFERS, SAME, Move, moves
from dagforge.compare.outline import DagOutline, outline
from dagforge.errors import (
    DagForgeError,
    Problem,
    UsageError,
    did_you_mean,
)
from dagforge.frontends.definitions import NATIVE
from dagforge.frozen import frozen

FEW_PIPELINES: Final = 20
"""Beyond it, a process of its own for the old side is faster; starting one takes 0.4 seconds."""


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


def compare_sides(asked: Asked) -> Comparison:
    """Return what differs between what is compared and what is here.

    Raises:
        UsageError: there is nothing of that name to compare with, or neither side has a pipeline
            that is asked for.
        DagForgeError: a side is wrong; with the problems of both, each told where it is.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dagforge-")))
        old, new, dated = sides_of(asked, folder)
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


def _compile(old: Side, new: Side) -> tuple[Compiled, Built]:
    """Return both sides, compiled.

    The old one gets a process of its own where that saves time, and where the new one has imported
    the project's code: one process holds one state of that.

    Raises:
        DagForgeError: with the problems of both sides.
    """
    problems: list[Problem] = []
    refused: set[str] = set()
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
            refused = {str(problem) for problem in error.problems}
            misused = isinstance(error, UsageError)
        if old_side is None and now is not None and _has_imported(now, old, new):
            old_side = stack.enter_context(_started(old))
        before = compile_old(old) if old_side is None else old_side()
    if isinstance(before, Refused):
        # A folder of files is read with this project's facts, whose mistakes are told already.
        again = refused if old.files is not None else set()
        problems += _placed((each for each in before.problems if str(each) not in again), old)
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
        read, version = read_files(side.files, source.project.name, source.conf.env, target)
        pipelines = tuple(dag.pipeline for dag in read)
        return Built(Compiled(read, pipelines, target.name, target.orchestrator, version), None)
    wanted = tuple(name for name in side.request.pipelines if name in source.pipelines)
    if side.request.pipelines and not wanted:
        return Built(Compiled((), *facts), None)
    request = replace(side.request, pipelines=wanted)
    found = build(request, render_files=with_files, source=source)
    if with_files:
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
