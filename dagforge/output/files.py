"""Generated files as they should be, and what became of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from dagforge.errors import Problem, StaleError
from dagforge.frozen import frozen
from dagforge.output.manifest import (
    Manifest,
)

Status = Literal[
    "created", "updated", "unchanged", "removed", "missing", "stale", "edited", "left-over"
]


Verdict = Literal["missing", "unchanged", "stale", "conflict", "edited", "foreign", "owned"]


Progress = Callable[[int, int], None]


@frozen
class RenderedFile:
    """A file as it should be.

    Attributes:
        path: within the output folder, with forward slashes.
        text: the whole file, header included.
        manifest: what the header says.
        catchup: a DAG in it catches up, so that a new dag_id runs the past again.
        selection: it holds a part of its pipeline only.
    """

    path: str
    text: str
    manifest: Manifest
    catchup: bool = False
    selection: bool = False


@frozen
class WriteMode:
    """What to do with the output folder.

    Attributes:
        check: change nothing, raise `StaleOutputError` when something would change.
        diff: change nothing; what would be refused is a warning (not together with `check`).
        force: overwrite edited files, files without a header, and this project's other files.
        accept_renames: a lost dag_id or task_id is intended.
        prune: remove what is left over.
        complete: every pipeline of the project was compiled, so that a file of another one is
            left over; without it nothing is removed.
    """

    check: bool = False
    diff: bool = False
    force: bool = False
    accept_renames: bool = False
    prune: bool = False
    complete: bool = False


@frozen
class FileReport:
    """What happened, or would happen, to one file.

    Attributes:
        path: within the output folder.
        label: as messages name it: relative to the project where it lies in it.
        status: `missing`, `stale` and `edited` come from a check only.
        before: None where there was no file.
        after: None where there is none any more.
    """

    path: str
    label: str
    status: Status
    before: str | None
    after: str | None

    def diff(self) -> str:
        """Return a unified diff, empty when no line differs; line ends are not compared."""
        import difflib

        lines = difflib.unified_diff(
            lines_of(self.before),
            lines_of(self.after),
            "/dev/null" if self.before is None else f"a/{self.label}",
            "/dev/null" if self.after is None else f"b/{self.label}",
            lineterm="",
        )
        return "".join(f"{line}\n" for line in lines)


@frozen
class WriteReport:
    """What happened, or would happen, to each file, sorted by path."""

    files: tuple[FileReport, ...]

    def paths(self, *statuses: Status) -> list[str]:
        """Return the paths of the files with one of `statuses`."""
        return [file.path for file in self.files if file.status in statuses]


class StaleOutputError(StaleError):
    """A check found files that are not what the definitions give.

    Attributes:
        report: the same files with their diffs.
    """

    def __init__(self, problems: Iterable[Problem], report: WriteReport) -> None:
        super().__init__(problems)
        self.report = report


def lines_of(text: str | None) -> list[str]:
    """Return the lines for a diff, with a remark where the last one does not end."""
    if not text:
        return []
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[-1]:
        return [*lines[:-1], lines[-1] + "\n\\ No newline at end of file"]
    return lines[:-1]
