"""What is said of the files: objections, and what is stale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from dagforge.errors import Problem, SourceLocation
from dagforge.output.files import RenderedFile, WriteMode
from dagforge.output.folder import Folder
from dagforge.output.judge import Fate, LeftOver, Rival
from dagforge.output.manifest import (
    Ids,
    Manifest,
    ids_of,
)

_NAMES_SHOWN: Final = 5


def objections(
    fates: Sequence[Fate],
    left_overs: Sequence[LeftOver],
    held: set[str],
    folder: Folder,
    mode: WriteMode,
) -> Iterator[Problem]:
    """Give what speaks against writing: errors where it must not happen, warnings else."""
    for fate in fates:
        at = folder.at(fate.file.path)
        if fate.verdict == "foreign":
            yield _foreign(at, mode)
            if not mode.force:
                continue
        elif fate.verdict == "owned" and fate.found and fate.found.header:
            problem = _owned(fate.file, fate.found.header.manifest, at, mode)
            yield problem
            if problem.severity == "error":
                continue
        elif fate.verdict == "conflict" and not mode.check:
            yield _in_conflict(at)
        elif fate.verdict == "edited" and not mode.check:
            real = fate.real.relative_to(folder.real).as_posix()
            yield edited_problem(fate.file, at, real in held, mode)
        if fate.verdict == "missing":
            old = [left.ids for left in left_overs if left.replaced_by is fate.file]
            yield from _lost_ids(fate.file, old, at, mode)
        elif fate.verdict != "unchanged":
            yield from _lost_ids(fate.file, [fate.old_ids], at, mode)


def _foreign(at: SourceLocation, mode: WriteMode) -> Problem:
    if mode.force:
        return Problem(
            "foreign-file",
            "this file was not made by DagForge and is replaced",
            at,
            None,
            "warning",
        )
    return Problem(
        "foreign-file",
        "this file was not made by DagForge and would be replaced",
        at,
        "move it away, choose another dag_id or --output-dir, or replace it with --force",
    )


def _owned(
    file: RenderedFile, theirs: Manifest | None, at: SourceLocation, mode: WriteMode
) -> Problem:
    assert theirs is not None  # a header that cannot be read has no owner
    ours = file.manifest
    facts = [
        (word, old, new)
        for word, old, new in (
            ("project", theirs.project, ours.project),
            ("env", theirs.env, ours.env),
            ("target", theirs.target, ours.target),
            ("pipeline", theirs.pipeline, ours.pipeline),
        )
        if old != new
    ]
    owner = ", ".join(named_owner(word, old) for word, old, _ in facts)
    taker = ", ".join(named_owner(word, new) for word, _, new in facts)
    if not facts:
        owner, taker = f"the whole of {named_owner('pipeline', ours.pipeline)}", "a part of it"
    if theirs.project != ours.project:
        return Problem(
            "owned-file",
            f"this file belongs to {owner}, and {taker} would replace it",
            at,
            "choose another dag_id or --output-dir; --force leaves other projects' files alone",
        )
    if mode.force:
        message = f"this file belonged to {owner} and is replaced by {taker}"
        return Problem("owned-file", message, at, None, "warning")
    return Problem(
        "owned-file",
        f"this file belongs to {owner}, and {taker} would replace it",
        at,
        "choose another dag_id (--dag-id) or --output-dir, or replace it with --force",
    )


def _in_conflict(at: SourceLocation) -> Problem:
    message = "git could not merge this file, and it is made again"
    fix = f"merged are its definition and settings; `git add {at.file}`"
    return Problem("merge-conflict", message, at, fix, "warning")


def named_owner(word: str, value: str | None) -> str:
    """Return a part of a file's owner as messages name it."""
    return f"no {word}" if value is None else f"{word} '{value}'"


def edited_problem(file: RenderedFile, at: SourceLocation, held: bool, mode: WriteMode) -> Problem:
    """Return what is said of a file that was edited by hand: stopped by it or not."""
    if mode.force:
        message = "this file was edited by hand, and the edit is replaced"
        return Problem("edited-file", message, at, None, "warning")
    if held:
        message = "this file was edited by hand, and the edit is replaced; git holds it"
        return Problem("edited-file", message, at, None, "warning")
    return Problem(
        "edited-file",
        "this file was edited by hand, and git does not hold the edit",
        at,
        f"make the change in {file.manifest.source}, its settings or a template; "
        "then commit this file, or replace it with --force",
    )


def _lost_ids(
    file: RenderedFile, old: Sequence[Ids], at: SourceLocation, mode: WriteMode
) -> Iterator[Problem]:
    """Give a problem when ids of the old files are not in the new one."""
    if mode.accept_renames or not any(ids.dag_ids or ids.task_ids for ids in old):
        return
    new = ids_of(file.text)
    dags = sorted({name for ids in old for name in ids.dag_ids} - new.dag_ids)
    tasks = sorted({name for ids in old for name in ids.task_ids} - new.task_ids)
    lost = [_listed(word, names) for word, names in (("dag_id", dags), ("task_id", tasks)) if names]
    if not lost:
        return
    message = f"the new file has no {' and no '.join(lost)}: what ran under the old name is lost"
    if file.catchup and dags:
        message += ", and catchup runs the past again"
    yield Problem(
        "id-change",
        message,
        at,
        "keep the name (setting dag_id, name of the node or group), or say --accept-renames",
        "error" if file.catchup and not mode.check else "warning",
    )


def _listed(word: str, names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return f"{word} {shown}" + (f" and {more} more" if more > 0 else "")


def stale_problems(
    fates: Sequence[Fate], left_overs: Sequence[LeftOver], folder: Folder
) -> list[Problem]:
    """Return what a check says: files that are missing, stale, edited or left over."""
    problems = []
    for fate in fates:
        at, ours = folder.at(fate.file.path), fate.file.manifest
        run = f"run '{ours.command}'"
        if fate.verdict == "missing":
            message = f"this file of pipeline '{ours.pipeline}' is missing"
            problems.append(Problem("missing-file", message, at, run))
        elif fate.verdict == "conflict":
            message = "git could not merge this file"
            problems.append(Problem("merge-conflict", message, at, run))
        elif fate.verdict == "edited":
            fix = f"make the change in {ours.source}, its settings or a template; then {run}"
            problems.append(Problem("edited-file", "this file was edited by hand", at, fix))
        elif fate.verdict != "unchanged":
            message = f"this file is not what pipeline '{ours.pipeline}' gives now"
            problems.append(Problem("stale-file", message, at, run))
    problems += [
        left_over_problem(left_over, folder, WriteMode(check=True)) for left_over in left_overs
    ]
    return problems


def left_over_problem(left_over: LeftOver, folder: Folder, mode: WriteMode) -> Problem:
    """Return what is said of a file whose pipeline is gone or written elsewhere."""
    pipeline, new = left_over.manifest.pipeline, left_over.replaced_by
    if new is None:
        message = f"this file is left over from pipeline '{pipeline}', which no longer exists"
    else:
        message = (
            f"this file is left over: pipeline '{pipeline}' is now written to "
            f"'{folder.label_of(new.path)}', and both would be loaded"
        )
    fix = "delete it, or compile all pipelines with --prune"
    if mode.prune and mode.complete:
        fix = "it was edited by hand and git does not hold the edit: delete it, or use --force"
    return Problem("left-over", message, folder.at(left_over.found.path), fix)


def rival_problem(rival: Rival, folder: Folder) -> Problem:
    """Return what is said of a file of somebody else that has a DAG of ours."""
    return Problem(
        "same-dag-id",
        f"this file, which DagForge did not make, has the DAG '{rival.dag_id}' too, which is in "
        f"'{folder.label_of(rival.ours.path)}': Airflow shows now the one, now the other",
        folder.at(rival.path),
        "remove it, or give the pipeline another dag_id",
        "warning",
    )
