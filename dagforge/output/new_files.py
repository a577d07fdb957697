"""Writing files that people go on with: all of them or none, and nothing of theirs is lost."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from dagforge.errors import OutputError, Problem, SourceLocation
from dagforge.frozen import frozen

_FIXES = {
    errno.EACCES: "give yourself the permission, or choose another folder",
    errno.EPERM: "give yourself the permission, or choose another folder",
    errno.EROFS: "choose a folder that can be written to",
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room on the disk, or ask for a larger quota",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def create_files(
    contents: Mapping[Path, bytes], *, may_replace: Container[Path] = ()
) -> list[tuple[str, Path]]:
    """Write files with the folders that they need; return what became of each.

    Args:
        contents: of each file, by its path.
        may_replace: files that are overwritten when they hold something else.

    Returns:
        `created`, `changed` or `unchanged` for each path, in the order of `contents`.

    Raises:
        OutputError: a file is in the way or cannot be written; nothing was changed then.
    """
    problems = [
        problem
        for path, content in contents.items()
        for problem in _in_the_way(path, content, replace=path in may_replace)
    ]
    if problems:
        # One file can be in the way of several.
        raise OutputError(dict.fromkeys(problems))
    statuses = {path: _status(path, content) for path, content in contents.items()}
    wanted = [path for path, status in statuses.items() if status != "unchanged"]
    _write({path: contents[path] for path in wanted})
    return [(status, path) for path, status in statuses.items()]


def _in_the_way(path: Path, content: bytes, *, replace: bool) -> Iterator[Problem]:
    at, fix = SourceLocation(path.as_posix()), "move it away, or choose another folder"
    blocking = next((above for above in path.parents if os.path.lexists(above)), None)
    if blocking is not None and not blocking.is_dir():
        place = SourceLocation(blocking.as_posix())
        yield Problem("file-in-the-way", "a folder is needed here, but this is a file", place, fix)
    elif path.is_dir():
        message = "a file is to be written here, but this is a folder"
        yield Problem("file-in-the-way", message, at, fix)
    elif not replace and _status(path, content) == "changed":
        fix = "--force overwrites it"
        yield Problem("file-exists", "this file exists and holds something else", at, fix)


def _status(path: Path, content: bytes) -> str:
    if not os.path.lexists(path):
        return "created"
    try:
        return "unchanged" if path.read_bytes() == content else "changed"
    except OSError:
        return "changed"


@frozen
class _Undo:
    """What stood at a path before; None when nothing did."""

    path: Path
    content: bytes | None


def _write(contents: Mapping[Path, bytes]) -> None:
    made: list[Path] = []
    staged: dict[Path, Path] = {}
    done: list[_Undo] = []
    at = Path()
    try:
        for path, content in contents.items():
            at = path
            made += _make_folder(path.parent)
            # What the disk or a permission refuses is refused here, before a file is touched.
            staged[path] = _temporary(path, content)
        for path, temporary in staged.items():
            at = path
            before = path.read_bytes() if path.is_file() else None
            temporary.replace(path)
            done.append(_Undo(path, before))
    except OSError as exc:
        _undo(done, staged, made)
        raise OutputError.of(
            "output",
            f"cannot be written: {exc.strerror or exc}; nothing was changed",
            at=SourceLocation(at.as_posix()),
            fix=_FIXES.get(exc.errno or 0),
        ) from exc


def _make_folder(folder: Path) -> list[Path]:
    """Make a folder and those above it; return the new ones, outermost first."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing[::-1]


def _temporary(path: Path, content: bytes) -> Path:
    descriptor, name = tempfile.mkstemp(prefix=".dagforge-", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        temporary.chmod(_mode(path))
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _mode(path: Path) -> int:
    """Return the permissions of the file that is replaced, else those of any new file."""
    if path.is_file():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _undo(done: list[_Undo], staged: Mapping[Path, Path], made: list[Path]) -> None:
    for step in reversed(done):
        with suppress(OSError):
            if step.content is None:
                step.path.unlink()
            else:
                step.path.write_bytes(step.content)
    for temporary in staged.values():
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    for folder in reversed(made):
        with suppress(OSError):
            folder.rmdir()
