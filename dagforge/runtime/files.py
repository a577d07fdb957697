"""Files at any fsspec URL, with the one guarantee that the store builds on.

A file appears whole or not at all: locally through a temporary file and a rename, in an object
store because an upload becomes visible when it is complete, elsewhere (SFTP, HDFS) through an
upload under another name and a rename. Every failure of a file system is a `StoreError` that
names the URL.

How a file system is reached (endpoints, credentials) is its own business and fsspec's: see
"Object stores" in `docs/run.md`. Nothing of it belongs into a URL or a pipeline.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import re
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from dagforge.frozen import frozen
from dagforge.runtime.errors import StoreError

T = TypeVar("T")
TEMPORARY = ".dagforge-tmp"
_CHUNK = 1 << 20
# An upload to these becomes visible when it is complete, over an earlier file too.
_WHOLE_UPLOADS = frozenset(
    {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "ossfs", "r2", "memory"}
)
# `s3://conn_id@bucket/key`: Airflow's way to say which of its connections a bucket needs.
_CONNECTION = re.compile(r"^(?P<scheme>s3a?|gc?s)://(?P<connection>[^/@]+)@(?P<rest>.*)$")


@frozen
class Stat:
    """What a file system says of a file: what changes when its content does.

    Attributes:
        modified: when it was written, as the file system spells it.
        version: its generation, version or ETag; None where the file system has none.
    """

    size: int | None
    modified: str | None
    version: str | None


class Files:
    """The files below one URL.

    Args:
        url: a local path or any fsspec URL.
    """

    def __init__(self, url: str) -> None:
        try:
            import fsspec
        except ImportError as error:
            raise StoreError.of(
                "missing-library",
                "running needs fsspec, which is not installed here",
                fix="pip install 'dagforge[run]'",
            ) from error
        # Without a handler, Python prints what they log, with tracebacks, on standard error.
        for name in ("fsspec", "gcsfs", "s3fs", "adlfs"):
            if not logging.getLogger(name).handlers:
                logging.getLogger(name).addHandler(logging.NullHandler())
        self.url = url.rstrip("/") or url
        if "cache::" in url:
            raise StoreError.of(
                "store-url",
                f"the store's URL {url} reads through a cache, which would give old data back",
                fix="leave the cache out of it",
            )
        try:
            self.system, root = _airflow_system(url) or fsspec.core.url_to_fs(
                _CONNECTION.sub(r"\g<scheme>://\g<rest>", url)
            )
        except ImportError as error:
            raise StoreError.of(
                "missing-library",
                f"the store's URL {url} needs a library that is not installed here: {error}",
                fix="pip install what it names, such as s3fs for s3:// and gcsfs for gs://",
            ) from error
        except Exception as error:
            raise StoreError.of(
                "store-url",
                f"the store's URL {url} cannot be used: {error}",
                fix="a folder, or a URL such as s3://bucket/path or gs://bucket/path",
            ) from error
        self.root = str(root).rstrip("/")
        protocols = self.system.protocol
        names = {protocols} if isinstance(protocols, str) else set(protocols)
        self.is_local = "file" in names
        self._uploads_whole = bool(names & _WHOLE_UPLOADS)
        # Its open files are one object for all threads: only whole contents are safe.
        self.is_memory = "memory" in names

    def uri(self, path: str) -> str:
        """Return the URL of a file below the root."""
        return str(self.system.unstrip_protocol(self._full(path)))

    def read(self, path: str) -> bytes | None:
        """Return a file's content, None where there is no such file."""
        content: bytes | None = self._found(path, lambda: self.system.cat_file(self._full(path)))
        return content

    def write(self, path: str, content: bytes) -> None:
        """Put a small file, whole or not at all."""
        if self._uploads_whole:
            self._asked(path, lambda: self.system.pipe_file(self._full(path), content))
            return
        with self.staged(path.rpartition("/")[0]) as staged:
            self._asked(path, lambda: staged.write_bytes(content))
            self.put(staged, path)

    @contextlib.contextmanager
    def staged(self, folder: str, suffix: str = "") -> Iterator[Path]:
        """Yield the path of a local file to write into, removed afterwards.

        Args:
            folder: below the root, where the file will be put; locally it lies there already.
            suffix: what its name ends with, which tells some libraries what to write.
        """
        if not self.is_local:
            with _temporary(Path(tempfile.gettempdir()), suffix) as temporary:
                yield temporary
            return
        place = Path(self._full(folder))
        self._asked(folder, lambda: place.mkdir(parents=True, exist_ok=True))
        with _temporary(place, suffix) as temporary:
            yield temporary

    def put(self, staged: Path, path: str) -> None:
        """Publish a staged file."""
        full = self._full(path)
        if self.is_local:
            self._asked(path, lambda: _publish(staged, Path(full)))
        elif self.is_memory:
            self._asked(path, lambda: self.system.pipe_file(full, staged.read_bytes()))
        elif self._uploads_whole:
            self._asked(path, lambda: self.system.put_file(str(staged), full))
        else:
            self._asked(path, lambda: self._upload_and_rename(staged, full))

    def _upload_and_rename(self, staged: Path, full: str) -> None:
        folder, _, name = full.rpartition("/")
        hidden = f"{folder}/{TEMPORARY}-{uuid.uuid4().hex}-{name}"
        self.system.makedirs(folder, exist_ok=True)
        try:
            self.system.put_file(str(staged), hidden)
            self.system.mv(hidden, full)
        except BaseException:
            with contextlib.suppress(Exception):
                self.system.rm_file(hidden)
            raise

    @contextlib.contextmanager
    def fetched(self, path: str) -> Iterator[Path | None]:
        """Yield a local file with a file's content, None where there is no such file."""
        full = self._full(path)
        if self.is_local:
            local = Path(full)
            yield local if local.is_file() else None
            return
        suffix = "".join(Path(path).suffixes)
        with _temporary(Path(tempfile.gettempdir()), suffix) as temporary:

            def fetch() -> bool:
                if self.is_memory:
                    temporary.write_bytes(self.system.cat_file(full))
                    return True
                # Of a folder some file systems make a folder, and others nothing.
                self.system.get_file(full, str(temporary))
                return temporary.is_file()

            yield temporary if self._found(path, fetch) else None

    def stat(self, path: str) -> Stat | None:
        """Return what tells a file's versions apart, None where there is no such file."""

        def ask() -> Any:
            self.system.invalidate_cache()
            return self.system.info(self._full(path))

        info = self._found(path, ask)
        return None if info is None else stat_of(info)

    def exists(self, path: str) -> bool:
        """Say whether there is a file of that name."""
        return self.stat(path) is not None

    def list(self, folder: str) -> list[str]:
        """Return the names in a folder, sorted; empty where there is none."""

        def ask() -> Any:
            self.system.invalidate_cache()
            try:
                return self.system.ls(self._full(folder), detail=False)
            except NotADirectoryError:
                return []

        found = self._found(folder, ask) or []
        names = {str(name).rstrip("/").rpartition("/")[2] for name in found}
        return sorted(name for name in names if name and not name.startswith(TEMPORARY))

    def remove(self, folder: str) -> None:
        """Remove a folder and all in it."""
        self._asked(folder, lambda: self.system.rm(self._full(folder), recursive=True))

    def remove_leftovers(self, folder: str, before: float) -> None:
        """Remove what killed processes left half-written in a local folder.

        Args:
            folder: below the root.
            before: seconds since the epoch; what was touched later belongs to somebody alive.
        """
        if not self.is_local:
            return
        for path in Path(self._full(folder)).glob(f"{TEMPORARY}*"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < before:
                    path.unlink()

    def _full(self, path: str) -> str:
        return f"{self.root}/{path}" if path else self.root

    def _found(self, path: str, action: Callable[[], T]) -> T | None:
        """Return what an action gives, None where it finds no file."""
        try:
            return action()
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._failure(path, error) from error

    def _asked(self, path: str, action: Callable[[], T]) -> T:
        """Return what an action gives; whatever it raises, each library its own, is a StoreError.

        Raises:
            StoreError: it failed.
        """
        try:
            return action()
        except Exception as error:
            raise self._failure(path, error) from error

    def _failure(self, path: str, error: Exception) -> StoreError:
        return StoreError.of(
            "store-failed",
            f"the store at {self.url} failed at {path or 'its root'}: {reason_of(error)}",
            fix=_fix_of(error),
        )


def stat_of(info: Mapping[str, Any]) -> Stat | None:
    """Return what a file system says of a file, None for a folder."""
    if info.get("type") == "directory":
        return None
    modified = _first(info, ("mtime", "LastModified", "updated", "last_modified", "created"))
    version = _first(info, ("VersionId", "generation", "ETag", "etag"))
    return Stat(info.get("size"), modified, version)


def _first(info: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """Return the first of these that a file system tells, and does not tell as "null" (S3)."""
    values = (str(info[name]) for name in names if info.get(name) is not None)
    return next((value for value in values if value != "null"), None)


def reason_of(error: BaseException) -> str:
    """Return what an exception says, in one line, or its type where it says nothing."""
    if isinstance(error, OSError) and error.strerror:
        return str(error.strerror)
    return " ".join(str(error).split()) or type(error).__name__


def _fix_of(error: Exception) -> str:
    full = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
    if isinstance(error, OSError) and error.errno in full:
        return "make room there, then run the task again"
    return "check that it is there, that it can be reached, and that this process may use it"


def _airflow_system(url: str) -> tuple[Any, str] | None:
    """Return the file system of an Airflow connection that the URL names, and the path there.

    None when it names none, or outside of Airflow: a pod has an identity of its own.
    """
    if _CONNECTION.match(url) is None or "airflow" not in sys.modules:
        return None
    try:
        from airflow.sdk import ObjectStoragePath
    except ImportError:  # Airflow 2
        from airflow.io.path import ObjectStoragePath
    path = ObjectStoragePath(url)
    return path.fs, path.path


@contextlib.contextmanager
def _temporary(folder: Path, suffix: str) -> Iterator[Path]:
    path = folder / f"{TEMPORARY}-{uuid.uuid4().hex}{suffix}"
    try:
        # Not mkstemp's mode 0600: tasks of other users read the file once it is published.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        raise StoreError.of(
            "store-failed",
            f"no file can be written in {folder}: {reason_of(error)}",
            fix=_fix_of(error),
        ) from error
    try:
        yield path
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def _publish(staged: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with staged.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(staged, target)  # noqa: PTH105 - atomic, also over an existing file on Windows


def checksum(path: Path) -> tuple[str, int]:
    """Return the SHA-256 of a local file and its size in bytes."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size
