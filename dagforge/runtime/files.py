"""Files at any fsspec URL, with the two guarantees that the store builds on.

A file appears whole or not at all: locally through a temporary file and a rename, in an object
store because an upload becomes visible when it is complete. Every failure of the file system is
a `StoreError` that names the URL.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagforge.runtime.errors import StoreError

_CHUNK = 1 << 20
TEMPORARY = ".dagforge-tmp"


@dataclass(frozen=True, slots=True)
class Stat:
    """What a file system says of a file: what changes when its content does."""

    size: int | None
    modified: str | None
    version: str | None


class Files:
    """The files below one URL.

    Args:
        url: a local path or any fsspec URL.
        options: for the file system, such as an endpoint.
    """

    def __init__(self, url: str, **options: Any) -> None:
        try:
            import fsspec
        except ImportError as error:
            raise StoreError.of(
                "missing-library",
                "running needs fsspec, which is not installed here",
                fix="pip install 'dagforge[run]'",
            ) from error
        self.url = url.rstrip("/")
        try:
            self.system, root = fsspec.core.url_to_fs(url, **options)
        except (ValueError, ImportError) as error:
            raise StoreError.of(
                "store-url",
                f"the store's URL {url} cannot be used: {error}",
                fix="a folder, or a URL such as s3://bucket/path or gs://bucket/path",
            ) from error
        self.root = root.rstrip("/")
        protocols = self.system.protocol
        names = (protocols,) if isinstance(protocols, str) else tuple(protocols)
        self.is_local = "file" in names

    def uri(self, path: str) -> str:
        """Return the URL of a file below the root."""
        return str(self.system.unstrip_protocol(self._full(path)))

    def read(self, path: str) -> bytes | None:
        """Return a file's content, None where there is no such file."""
        with self._failures(path):
            try:
                content: bytes = self.system.cat_file(self._full(path))
            except FileNotFoundError:
                return None
            return content
        raise AssertionError

    def write(self, path: str, content: bytes) -> None:
        """Put a small file, whole or not at all."""
        with self._failures(path):
            if self.is_local:
                target = Path(self._full(path))
                target.parent.mkdir(parents=True, exist_ok=True)
                with _temporary(target.parent) as temporary:
                    temporary.write_bytes(content)
                    _publish(temporary, target)
            else:
                self.system.pipe_file(self._full(path), content)

    @contextlib.contextmanager
    def staged(self, folder: str) -> Iterator[Path]:
        """Yield the path of a local file to write a dataset into, removed afterwards.

        Args:
            folder: below the root, where the file will be put; locally it lies there already.
        """
        if self.is_local:
            with self._failures(folder):
                place = Path(self._full(folder))
                place.mkdir(parents=True, exist_ok=True)
        else:
            place = Path(tempfile.gettempdir())
        with _temporary(place) as temporary:
            yield temporary

    def put(self, staged: Path, path: str) -> None:
        """Publish a staged file."""
        with self._failures(path):
            if self.is_local:
                target = Path(self._full(path))
                target.parent.mkdir(parents=True, exist_ok=True)
                _publish(staged, target)
            else:
                self.system.put_file(str(staged), self._full(path))

    @contextlib.contextmanager
    def fetched(self, path: str) -> Iterator[Path | None]:
        """Yield a local file with a file's content, None where there is no such file."""
        if self.is_local:
            local = Path(self._full(path))
            yield local if local.is_file() else None
            return
        with _temporary(Path(tempfile.gettempdir())) as temporary:
            with self._failures(path):
                try:
                    self.system.get_file(self._full(path), str(temporary))
                    found = temporary.is_file()
                except FileNotFoundError:
                    found = False
            yield temporary if found else None

    def exists(self, path: str) -> bool:
        """Say whether there is a file of that name."""
        with self._failures(path):
            return bool(self.system.exists(self._full(path)))
        raise AssertionError

    def stat(self, path: str) -> Stat | None:
        """Return what tells a file's versions apart, None where there is no such file."""
        with self._failures(path):
            try:
                info = self.system.info(self._full(path))
            except FileNotFoundError:
                return None
            modified = info.get("mtime") or info.get("LastModified") or info.get("updated")
            version = info.get("VersionId") or info.get("generation") or info.get("ETag")
            return Stat(
                info.get("size"),
                None if modified is None else str(modified),
                None if version is None else str(version),
            )
        raise AssertionError

    def list(self, folder: str) -> list[str]:
        """Return the names in a folder, sorted; empty where there is none."""
        with self._failures(folder):
            self.system.invalidate_cache()
            try:
                found = self.system.ls(self._full(folder), detail=False)
            except (FileNotFoundError, NotADirectoryError):
                return []
            names = {str(name).rstrip("/").rpartition("/")[2] for name in found}
            return sorted(name for name in names if name and not name.startswith(TEMPORARY))
        raise AssertionError

    def remove(self, folder: str) -> None:
        """Remove a folder and all in it."""
        with self._failures(folder):
            self.system.rm(self._full(folder), recursive=True)

    def _full(self, path: str) -> str:
        return f"{self.root}/{path}" if path else self.root

    @contextlib.contextmanager
    def _failures(self, path: str) -> Iterator[None]:
        """Turn whatever a file system raises into a StoreError: each library has its own."""
        try:
            yield
        except (StoreError, KeyboardInterrupt):
            raise
        except Exception as error:
            reason = str(error).strip() or type(error).__name__
            raise StoreError.of(
                "store-failed",
                f"the store at {self.url} failed at {path or 'its root'}: {reason}",
                fix="check that it is there, that it has room, and that this process may use it",
            ) from error


@contextlib.contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    handle, name = tempfile.mkstemp(prefix=TEMPORARY, dir=folder)
    os.close(handle)
    path = Path(name)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _publish(staged: Path, target: Path) -> None:
    with staged.open("rb") as file:
        os.fsync(file.fileno())
    # mkstemp makes files that only their owner may read; another user's task reads them too.
    umask = os.umask(0)
    os.umask(umask)
    staged.chmod(0o666 & ~umask)
    os.replace(staged, target)  # noqa: PTH105 - atomic, also over an existing file on Windows
    with contextlib.suppress(OSError):
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def checksum(path: Path) -> tuple[str, int]:
    """Return the SHA-256 of a local file and its size in bytes."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size
