"""A folder on this machine, or one that it shares, deployed to like a bucket."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from dagforge.deploying.bucket import ChangedError, Stored, StoreFailure, failure
from dagforge.deploying.settings import INVENTORIES
from dagforge.errors import UsageError

if sys.platform != "win32":
    import fcntl

_TEMPORARY: Final = ".dagforge-"


class FolderBucket:
    """Files in a folder; their versions are the SHA-256 of their content.

    A condition and its change are one step for all who deploy here, because each takes a lock
    on the folder `.dagforge` for it. Windows has no such lock: there, two at once may meet.

    Args:
        path: of the folder, which need not exist yet.
    """

    def __init__(self, path: str) -> None:
        if not path:
            raise UsageError.of("deploy-url", "the URL names no folder", fix="file:///srv/dags")
        shown = Path(path).expanduser()
        self._url, self._root = shown.as_posix(), shown.absolute()
        mask = os.umask(0)
        os.umask(mask)
        self._mode = 0o666 & ~mask

    @property
    def url(self) -> str:
        """The folder as it was given, with forward slashes."""
        return self._url

    def list(self, folder: str) -> Mapping[str, Stored]:
        """Return all files in a folder and below; links to folders are not followed."""
        start = self._root / folder
        found: dict[str, Path] = {}
        try:
            if start.exists() and not start.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, "it is a file")
            for place, _, names in os.walk(start, onerror=_raise):
                for name in names:
                    path = Path(place, name)
                    if not name.startswith(_TEMPORARY):
                        found[Path(os.path.relpath(path, self._root)).as_posix()] = path
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise failure(
                f"{self._url}/{folder}" if folder else self._url, "listed", error
            ) from error
        return _Listing(found, self._url)

    def read(self, path: str) -> tuple[bytes, str] | None:
        """Return a file's content and its checksum, None where there is none."""
        with self._told(path, "read"):
            try:
                content = _content(self._root / path)
            except FileNotFoundError:
                return None
            return content, _version(content)
        raise AssertionError

    def write(self, path: str, content: bytes, expected: str | None) -> str:
        """Put a file in place of the expected one: beside it first, then over it."""
        target = self._root / path
        with self._told(path, "written"):
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=target.parent)
            staged = Path(name)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                # As any new file: whoever reads the folder is somebody else.
                staged.chmod(self._mode)
                with self._locked():
                    self._check(target, expected)
                    staged.replace(target)
            finally:
                staged.unlink(missing_ok=True)
        return _version(content)

    def delete(self, path: str, expected: str) -> None:
        """Remove the expected file, and the folders that are empty without it."""
        target = self._root / path
        with self._told(path, "removed"), self._locked():
            if not os.path.lexists(target):
                return
            self._check(target, expected)
            target.unlink()
            for folder in target.parents:
                # The one that is locked must stay the same for all.
                is_ours = folder.is_relative_to(self._root) and folder.name != INVENTORIES
                if not is_ours or folder == self._root:
                    return
                try:
                    folder.rmdir()
                except OSError:  # somebody else's file is in it
                    return

    def _check(self, target: Path, expected: str | None) -> None:
        try:
            found = _version(_content(target))
        except FileNotFoundError:
            found = None
        if found != expected:
            raise ChangedError(target)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Let nobody else change anything here meanwhile."""
        if sys.platform == "win32":
            yield
            return
        folder = self._root / INVENTORIES
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            # A network disk without locks is as Windows.
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _told(self, path: str, what: str) -> Iterator[None]:
        """Make what the system refuses a StoreFailure."""
        try:
            yield
        except (ChangedError, StoreFailure):
            raise
        except OSError as error:
            raise failure(f"{self._url}/{path}", what, error) from error


class _Listing(Mapping[str, Stored]):
    """The files of a folder; one is read when somebody asks for it."""

    def __init__(self, paths: Mapping[str, Path], url: str) -> None:
        self._paths = paths
        self._url = url

    def __getitem__(self, path: str) -> Stored:
        real = self._paths[path]
        try:
            content = _content(real)
        except FileNotFoundError:
            raise KeyError(path) from None
        except OSError as error:
            raise failure(f"{self._url}/{path}", "read", error) from error
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return Stored(_version(content), digest)

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def _content(path: Path) -> bytes:
    if stat.S_ISFIFO(path.stat().st_mode):  # reading it would wait for its other end
        raise OSError(errno.EINVAL, "it is no ordinary file")
    return path.read_bytes()


def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _raise(error: OSError) -> None:
    raise error
