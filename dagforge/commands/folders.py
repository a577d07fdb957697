"""The current folder, the project around it, and paths as people type them."""

from __future__ import annotations

import os
from pathlib import Path

from dagforge.errors import UsageError


def working_folder() -> Path:
    """Return the current folder.

    Raises:
        UsageError: it is gone.
    """
    try:
        return Path.cwd()
    except OSError as error:
        raise UsageError.of(
            "unreadable",
            f"the current folder cannot be used: {error.strerror}",
            fix="change to a folder that exists",
        ) from error


def find_root(start: Path) -> Path:
    """Return the nearest folder at or above `start` that holds a project, else `start`."""
    from dagforge.reading.project import holds_project

    return next((each for each in (start, *start.parents) if holds_project(each)), start)


def short_path(path: Path) -> str:
    """Return a path as short as it can be typed from here."""
    relative = os.path.relpath(path)
    return (
        Path(os.path.normpath(path)).as_posix()
        if relative.startswith("..")
        else Path(relative).as_posix()
    )
