"""The file that keeps datasets of a Kedro project that live in memory and cross a task's border.

A file of the catalog, beside the user's own: it is part of the project and of its image. What it
lists was found by planning, which never looks at it, so that it is the same whether it is there.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from dagforge.errors import OutputError, Problem, SourceLocation
from dagforge.frozen import frozen
from dagforge.output.files import FileReport, Status
from dagforge.output.journal import Change
from dagforge.reading.kedro_names import OVERLAY, OVERLAY_MARK


@frozen
class Overlay:
    """The file as it should be.

    Attributes:
        label: its path as messages name it.
        source: what is there, None for nothing.
        text: empty where there is nothing to keep, and no file is to be.
    """

    path: Path
    label: str
    source: bytes | None
    text: str

    @property
    def before(self) -> str | None:
        """What is there, with line ends as DagForge writes them."""
        if self.source is None:
            return None
        return self.source.decode("utf-8", errors="replace").replace("\r\n", "\n")

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

    def change(self) -> Change:
        """Return what makes the file what it should be."""
        after = self.text.encode() if self.text else None
        return Change(self.label, self.path.resolve(), self.source, after)


def overlay_of(text: str, folder: Path, root: Path) -> Overlay | None:
    """Return the overlay of an environment; None where there is none and none is to be.

    Args:
        text: what is to be in it, empty for nothing.
        folder: of the environment.
        root: the project's folder.

    Raises:
        OutputError: a file of the user's own has the name, it cannot be read, or what it needs is
            not installed.
    """
    path = folder / OVERLAY
    label = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
    source = _read(path, label)
    if source is not None and not source.startswith(OVERLAY_MARK.encode()):
        if not text:
            return None
        raise OutputError.of(
            "foreign-file",
            "this file is not DagForge's, which would keep datasets of other tasks here",
            at=SourceLocation(label),
            fix="rename it, such as catalog_more.yml",
        )
    if source is None and not text:
        return None
    if text and importlib.util.find_spec("kedro_datasets") is None:
        raise OutputError.of(
            "missing-library",
            "what tasks hand over is kept as pickle.PickleDataset of kedro-datasets, which is not "
            "installed",
            at=SourceLocation(label),
            fix="add kedro-datasets[pickle] to the project's requirements",
        )
    return Overlay(path, label, source, text)


def _read(path: Path, label: str) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise OutputError.of("unreadable", message, at=SourceLocation(label)) from error
