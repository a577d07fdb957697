"""The file that keeps datasets of a Kedro project that live in memory and cross a task's border.

A file of the catalog, beside the user's own: it is part of the project and of its image. What it
lists was found by planning, which never looks at it, so that it is the same whether it is there.
"""

from __future__ import annotations

import contextlib
import importlib.util
from pathlib import Path

from dagforge.errors import OutputError, Problem, SourceLocation
from dagforge.frozen import frozen
from dagforge.output.files import FileReport, Status
from dagforge.reading.kedro_names import OVERLAY, OVERLAY_MARK


@frozen
class Overlay:
    """The file as it should be.

    Attributes:
        label: its path as messages name it.
        text: empty where there is nothing to keep, and no file is to be.
    """

    path: Path
    label: str
    before: str | None
    text: str

    @property
    def is_current(self) -> bool:
        """Whether there is nothing to do."""
        return (self.before or "") == self.text

    def report(self) -> FileReport:
        """Return what is to change, for its diff."""
        status: Status = "created" if self.before is None else "updated" if self.text else "removed"
        return FileReport(OVERLAY, self.label, status, self.before, self.text or None)

    def stale(self) -> Problem:
        """Return the problem that a check finds."""
        return Problem(
            "stale-file",
            "the datasets that DagForge keeps for other tasks are not those of the definitions",
            SourceLocation(self.label),
            "run dagforge create without --check",
        )

    def write(self) -> None:
        """Make the file what it should be.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            if not self.text:
                self.path.unlink()
                return
            self.path.parent.mkdir(parents=True, exist_ok=True)
            staged = self.path.with_name(f".{self.path.name}.new")
            try:
                staged.write_text(self.text, encoding="utf-8", newline="\n")
                staged.replace(self.path)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    staged.unlink()
        except OSError as error:
            message = f"cannot be written: {error.strerror}"
            at = SourceLocation(self.label)
            raise OutputError.of("not-written", message, at=at) from error


def overlay_of(text: str, folder: Path, root: Path) -> Overlay | None:
    """Return the overlay of an environment; None where there is none and none is to be.

    Args:
        text: what is to be in it, empty for nothing.
        folder: of the environment.
        root: the project's folder.

    Raises:
        OutputError: a file of the user's own has the name, or what it needs is not installed.
    """
    path = folder / OVERLAY
    label = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
    before: str | None = None
    if path.exists():
        before = path.read_bytes().decode("utf-8", errors="replace").replace("\r\n", "\n")
        if not before.startswith(OVERLAY_MARK):
            if not text:
                return None
            raise OutputError.of(
                "foreign-file",
                "this file is not DagForge's, which would keep datasets of other tasks here",
                at=SourceLocation(label),
                fix="rename it, such as catalog_more.yml",
            )
    if before is None and not text:
        return None
    if text and importlib.util.find_spec("kedro_datasets") is None:
        raise OutputError.of(
            "missing-library",
            "what tasks hand over is kept as pickle.PickleDataset of kedro-datasets, which is not "
            "installed",
            at=SourceLocation(label),
            fix="add kedro-datasets[pickle] to the project's requirements",
        )
    return Overlay(path, label, before, text)
