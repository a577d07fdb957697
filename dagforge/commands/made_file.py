"""A file that a command makes anew each time: written, or with --check held against what is."""

from __future__ import annotations

from pathlib import Path

from dagforge.commands.folders import short_path, working_folder
from dagforge.errors import SourceLocation, StaleError

# Where ours say who made them: after the beginning of a document, at most.
_HEAD = 400
STATUSES = {"changed": "updated"}
"""The words of `dagforge create`, where they differ."""


def made_by(command: str) -> str:
    """Return what stands near the beginning of a command's files, so that no other is lost."""
    return f"Made by dagforge {command}"


def write_made(text: str, command: str, path: Path, *, check: bool, force: bool) -> str:
    """Write what a command made to its file, or hold it against the file; return what was done.

    Args:
        text: with `made_by(command)` near its beginning.
        command: name of the command.
        path: of the file.
        check: write nothing.
        force: overwrite what the command did not make.

    Returns:
        `created`, `updated` or `unchanged`.

    Raises:
        StaleError: the file is not up to date.
        OutputError: it cannot be written, or holds something else.
    """
    from dagforge.output.new_files import create_files

    working_folder()
    content = text.encode()
    old = _read(path)
    at = SourceLocation(short_path(path))
    if check:
        if old != content:
            raise StaleError.of(
                "stale-file",
                f"this file is not what `dagforge {command}` gives now"
                if old is not None
                else "this file does not exist",
                at=at,
                fix="run the same command without --check",
            )
        return "unchanged"
    is_ours = old is not None and made_by(command).encode() in old[:_HEAD]
    may_replace = {path} if is_ours or force else set()
    [(status, _)] = create_files({path: content}, may_replace=may_replace)
    return STATUSES.get(status, status)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
