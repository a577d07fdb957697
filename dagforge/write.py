"""Put the generated files into the output folder: all of them, or none.

The only stage that touches the output. What is there is read and judged first, and every reason
not to write is reported together; then new files are staged beside the old ones and renamed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dagforge.errors import OutputError, Problems, Warn
from dagforge.output.files import (
    FileReport,
    Progress,
    RenderedFile,
    StaleOutputError,
    Status,
    Verdict,
    WriteMode,
    WriteReport,
)
from dagforge.output.folder import Folder
from dagforge.output.git import held_by_git
from dagforge.output.journal import Change, apply
from dagforge.output.judge import (
    Fate,
    LeftOver,
    edited_paths,
    files_beside,
    find_left_overs,
    find_rivals,
    is_removed,
    look_at,
)
from dagforge.output.remarks import left_over_problem, objections, rival_problem, stale_problems


def write(
    files: Sequence[RenderedFile],
    out: Path,
    mode: WriteMode,
    *,
    root: Path,
    warn: Warn,
    progress: Progress | None = None,
    elsewhere: Sequence[Change] = (),
) -> WriteReport:
    """Make the output folder hold `files`, and return what happened to each.

    Args:
        files: in any order.
        out: the output folder; made with its parents where it does not exist.
        mode: what to do with it.
        root: the project's folder, to which paths in messages are relative.
        warn: takes what is odd but stops nothing.
        progress: called with the number of files written so far and of all to write.
        elsewhere: what is changed in other folders, before these files or not at all.

    Raises:
        OutputError: the folder cannot be written as it stands; nothing was changed.
        StaleOutputError: only with `mode.check`.
    """
    folder = Folder.of(out, root)
    fates = look_at(sorted(files, key=lambda file: file.path), folder, mode)
    beside = files_beside(folder, fates)
    left_overs = find_left_overs(fates, beside, mode)
    held = held_by_git(folder.real, edited_paths(fates, left_overs, folder, mode))

    problems = Problems()
    only_look = mode.diff and not mode.check
    for problem in objections(fates, left_overs, held, folder, mode):
        if only_look or problem.severity == "warning":
            warn(replace(problem, severity="warning"))
        else:
            problems.extend([problem])
    problems.raise_errors(OutputError)

    for rival in find_rivals(fates, beside):
        warn(rival_problem(rival, folder))
    removed = [left_over for left_over in left_overs if is_removed(left_over, held, mode)]
    report = report_on(fates, left_overs, removed, folder, mode)
    if mode.check:
        stale = stale_problems(fates, left_overs, folder)
        if stale:
            raise StaleOutputError(stale, report)
        return report
    for left_over in left_overs:
        if left_over not in removed:
            warn(replace(left_over_problem(left_over, folder, mode), severity="warning"))
    if not mode.diff:
        changes = [*elsewhere]
        changes += (_change_to(fate, folder) for fate in fates if fate.verdict != "unchanged")
        changes += [
            Change(folder.label_of(gone.found.path), gone.found.real, gone.found.data, None)
            for gone in removed
        ]
        if changes:
            # What was judged to be right must still be so: another run may have begun since.
            changes += [
                replace(_change_to(fate, folder), after=fate.found.data)
                for fate in fates
                if fate.verdict == "unchanged" and fate.found is not None
            ]
        apply(changes, folder, progress)
    return report


def _change_to(fate: Fate, folder: Folder) -> Change:
    before = None if fate.found is None else fate.found.data
    return Change(folder.label_of(fate.file.path), fate.real, before, fate.file.text.encode())


def report_on(
    fates: Sequence[Fate],
    left_overs: Sequence[LeftOver],
    removed: Sequence[LeftOver],
    folder: Folder,
    mode: WriteMode,
) -> WriteReport:
    """Return what happened, or would happen, to each file."""
    reports = []
    for fate in fates:
        path, before = fate.file.path, None if fate.found is None else fate.found.text
        status, after = status_of(fate.verdict, mode), fate.file.text
        if status == "unchanged" and before is not None:
            after = before
        reports.append(FileReport(path, folder.label_of(path), status, before, after))
    for left_over in left_overs:
        path, before = left_over.found.path, left_over.found.text
        gone = left_over in removed
        reports.append(
            FileReport(
                path,
                folder.label_of(path),
                "removed" if gone and not mode.check else "left-over",
                before,
                # What a check asks for is that it goes.
                None if gone or mode.check else before,
            )
        )
    return WriteReport(tuple(sorted(reports, key=lambda report: report.path)))


def status_of(verdict: Verdict, mode: WriteMode) -> Status:
    """Return what a verdict means in a run of this mode."""
    if verdict == "unchanged":
        return "unchanged"
    if verdict == "missing":
        return "missing" if mode.check else "created"
    if not mode.check:
        return "updated"
    return "edited" if verdict == "edited" else "stale"
