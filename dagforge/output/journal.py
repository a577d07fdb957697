"""Writing all of several files or none of them."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from dagforge.errors import OutputError, SourceLocation
from dagforge.frozen import frozen
from dagforge.output.failures import os_problem
from dagforge.output.files import Progress
from dagforge.output.folder import BINARY, Folder

_LOCK_SECONDS: Final = 60.0

if sys.platform != "win32":
    import fcntl


_UNLOCKED_LEFT_OVER_SECONDS: Final = 3600.0


_TEMPORARY: Final = re.compile(r"\.dagforge-\d+-\d+\.tmp")


@frozen
class Change:
    """One file that is written, or with `after` None removed.

    Attributes:
        before: what was there when it was judged, None for nothing.
    """

    label: str
    real: Path
    before: bytes | None
    after: bytes | None


@frozen
class _Staged:
    """A change that is ready: one rename away from being done, and one from being undone.

    Attributes:
        new: the temporary file that takes the place, None to remove the file.
        old: another name of the file as it was, None where there was none.
    """

    change: Change
    new: Path | None
    old: Path | None


def apply(changes: Sequence[Change], folder: Folder, progress: Progress | None) -> None:
    """Make the changes, all or none.

    Everything that can fail for want of space or permission happens before the first rename, and
    nothing that undoes a rename needs space. Killed in between, each file is whole, old or new.
    Nothing is forced to the disk (a sync takes 4 ms a file): after a crash of the machine itself
    the files are made again.

    Raises:
        OutputError: with everything put back.
    """
    folders = sorted({folder.real, *(change.real.parent for change in changes)})
    if not changes and not any(_temporaries_in(real) for real in folders):
        return
    journal = _Journal(folder.label or ".")
    try:
        for real in folders:
            journal.make_folder(real)
        for real in folders:
            journal.take(real)
        staged = [journal.stage(change) for change in changes if journal.is_due(change)]
        for number, each in enumerate(staged, 1):
            journal.replace(each)
            if progress is not None:
                progress(number, len(staged))
    except BaseException as exc:
        with _uninterrupted():
            lost = journal.undo()
        if isinstance(exc, OSError):
            problem = os_problem(exc, journal.label, "cannot write it")
            detail = "\n    nothing was changed"
            if lost:
                detail = "\n    and these could not be put back: " + ", ".join(lost)
            raise OutputError([replace(problem, message=problem.message + detail)]) from exc
        raise
    finally:
        with _uninterrupted():
            journal.close()


class _Journal:
    """What one run has changed so far, so that it can be undone.

    Attributes:
        label: what is being worked on, for messages.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self._made: list[Path] = []
        self._locks: list[int] = []
        self._temporaries: list[Path] = []
        self._replaced: list[_Staged] = []

    def make_folder(self, real: Path) -> None:
        """Make a folder with its parents."""
        missing = []
        while not real.is_dir():
            missing.append(real)
            real = real.parent
        for parent in reversed(missing):
            with contextlib.suppress(FileExistsError):  # another run was quicker
                parent.mkdir()
                self._made.append(parent)

    def take(self, real: Path) -> None:
        """Wait until no other run writes to a folder, and clear what a killed one left there."""
        lock = _lock(real)
        if lock is not None:
            self._locks.append(lock)
        for temporary in _temporaries_in(real):
            age = time.time() - temporary.stat().st_mtime
            if lock is not None or age > _UNLOCKED_LEFT_OVER_SECONDS:
                temporary.unlink(missing_ok=True)

    def is_due(self, change: Change) -> bool:
        """Say whether a change is still to be made: another run may have made the same.

        Raises:
            OutputError: the file is neither what it was nor what it should be.
        """
        self.label = change.label
        try:
            now = change.real.read_bytes()
        except FileNotFoundError:
            now = None
        if now not in (change.before, change.after):
            raise OutputError.of(
                "output",
                "this file was changed while DagForge ran; nothing was written",
                at=SourceLocation(change.label),
                fix="run the command again",
            )
        return now != change.after

    def stage(self, change: Change) -> _Staged:
        """Write the new file beside the old one, and give the old one a second name."""
        self.label = change.label
        new = None if change.after is None else self._temporary(change.real, change.after)
        old = None
        if change.before is not None:
            old = self._name_beside(change.real)
            try:
                os.link(change.real, old)
            except OSError:  # a file system without links
                old = self._temporary(change.real, change.before)
        return _Staged(change, new, old)

    def replace(self, staged: _Staged) -> None:
        """Let the new file take its place."""
        self.label = staged.change.label
        self._replaced.append(staged)
        if staged.new is None:
            staged.change.real.unlink()
        else:
            staged.new.replace(staged.change.real)

    def undo(self) -> list[str]:
        """Put everything back, and return what could not be."""
        lost = [
            staged.change.label for staged in reversed(self._replaced) if not self._put_back(staged)
        ]
        self._clear()
        for real in reversed(self._made):
            with contextlib.suppress(OSError):  # somebody else's file is in it
                real.rmdir()
        return sorted(lost)

    def close(self) -> None:
        """Remove the temporary files and let other runs in."""
        self._clear()
        while self._locks:
            os.close(self._locks.pop())

    def _put_back(self, staged: _Staged) -> bool:
        try:
            if staged.old is None:
                staged.change.real.unlink(missing_ok=True)
            else:
                staged.old.replace(staged.change.real)
        except OSError:
            return False
        return True

    def _clear(self) -> None:
        while self._temporaries:
            with contextlib.suppress(OSError):
                self._temporaries.pop().unlink()

    def _name_beside(self, real: Path) -> Path:
        """Return a free name in the folder of `real`; what is made there is removed again."""
        path = real.with_name(f".dagforge-{os.getpid()}-{len(self._temporaries)}.tmp")
        self._temporaries.append(path)
        return path

    def _temporary(self, real: Path, data: bytes) -> Path:
        """Write a file beside `real` that has its permissions, or those of a new file."""
        path = self._name_beside(real)
        # With O_CREAT and 0o666 the umask decides, as it does for any new file.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY, 0o666)
        with os.fdopen(descriptor, "wb") as file:
            with contextlib.suppress(FileNotFoundError):
                _copy_permissions(real.stat(), path)
            file.write(data)
        return path


def _copy_permissions(status: os.stat_result, path: Path) -> None:
    path.chmod(stat.S_IMODE(status.st_mode))
    mine = path.stat()
    if (mine.st_uid, mine.st_gid) != (status.st_uid, status.st_gid):
        with contextlib.suppress(OSError):  # only root may give files away
            os.chown(path, status.st_uid, status.st_gid)


def _temporaries_in(real: Path) -> list[Path]:
    try:
        with os.scandir(real) as entries:
            names = sorted(
                entry.name
                for entry in entries
                if _TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
            )
    except OSError:
        return []
    return [real / name for name in names]


def _lock(real: Path) -> int | None:
    """Return a descriptor that keeps other runs out of a folder until it is closed.

    None where the system cannot lock folders; two runs at once then each write whole files, but
    one may overwrite the other's.

    Raises:
        OSError: another run holds it for too long.
    """
    if sys.platform == "win32":
        return None
    descriptor = os.open(real, os.O_RDONLY)
    until = time.monotonic() + _LOCK_SECONDS
    locked = _try_lock(descriptor)
    while locked is False and time.monotonic() < until:
        time.sleep(0.02)
        locked = _try_lock(descriptor)
    if locked:
        return descriptor
    os.close(descriptor)
    if locked is False:
        raise OSError(errno.EBUSY, "another run is writing to this folder")
    return None


def _try_lock(descriptor: int) -> bool | None:
    """Return whether the lock was free, None where there are no locks (some network disks)."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C: undoing must not be cut short by a second one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
