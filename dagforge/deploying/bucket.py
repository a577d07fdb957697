"""What deploying asks of a folder or a bucket, and how the right one is opened.

Every change is conditional: it says which version of the object it replaces, and is refused when
that is no longer the one there. So nobody's work is overwritten unseen.

How a store is reached (endpoints, credentials) is fsspec's and its own business: nothing of it
belongs into a URL. Failed requests are repeated, with growing pauses, by the store's own client.
"""

from __future__ import annotations

import errno
import logging
import posixpath
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeVar

from dagforge.errors import DagForgeError, OutputError, Problem, SourceLocation, UsageError
from dagforge.frozen import frozen

T = TypeVar("T")
_EXTRAS: Final = {
    "gs": ("gs", "gcsfs"),
    "gcs": ("gs", "gcsfs"),
    "s3": ("s3", "s3fs"),
    "s3a": ("s3", "s3fs"),
    "az": ("az", "adlfs"),
    "abfs": ("az", "adlfs"),
    "abfss": ("az", "adlfs"),
}
# On Windows, a single letter is a disk.
_SCHEME: Final = re.compile(
    rf"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{'+' if sys.platform == 'win32' else '*'}):"
    rf"|(?P<bare>{'|'.join([*_EXTRAS, 'file'])})(?=//)",
    re.IGNORECASE,
)
_MD5: Final = re.compile(r"[0-9a-f]{32}")
# Their clients write what they retry, and what finally failed, to their logs; it is told once.
_TALKATIVE: Final = ("gcsfs", "s3fs", "fsspec", "aiobotocore", "botocore", "adlfs", "azure")


@frozen
class Stored:
    """An object as a listing shows it.

    Attributes:
        version: changes when the content does: an ETag, a generation or a checksum.
        md5: of the content, in hexadecimal; None where the store does not say it.
    """

    version: str
    md5: str | None = None


class ChangedError(Exception):
    """An object is not, or no longer, the one that a change was meant for."""


class StoreFailure(OutputError):
    """The store refused, or could not be reached."""


class Bucket(Protocol):
    """The objects below one URL, by their paths from there; `../` leads out of it.

    All methods may be called from several threads. They raise StoreFailure.
    """

    @property
    def url(self) -> str:
        """The URL, without a slash at its end."""

    def list(self, folder: str) -> Mapping[str, Stored]:
        """Return all objects in a folder and those below it; empty where there is none."""

    def read(self, path: str) -> tuple[bytes, str] | None:
        """Return an object's content and its version, None where there is none."""

    def write(self, path: str, content: bytes, expected: str | None) -> str:
        """Put an object, whole or not at all, and return its version.

        Raises:
            ChangedError: what is there is not `expected`; None expects that nothing is.
        """

    def delete(self, path: str, expected: str) -> None:
        """Remove an object.

        Raises:
            ChangedError: what is there is not `expected`; of nothing, a store may say so or not.
        """


def put(
    bucket: Bucket, path: str, content: bytes, expected: str | None, *, attempts: int = 3
) -> str:
    """Put an object as `Bucket.write` does, and return its version.

    A request whose answer was lost is repeated by the client, and then finds its own object.

    Raises:
        ChangedError: what is there is neither the expected object nor this one.
    """
    try:
        return bucket.write(path, content, expected)
    except ChangedError:
        found = bucket.read(path)
        if found is not None and found[0] == content:
            return found[1]
        # Of two conditional requests that meet, a store may refuse both, whatever is there.
        if (found and found[1]) != expected or attempts == 1:
            raise
    return put(bucket, path, content, expected, attempts=attempts - 1)


def remove(bucket: Bucket, path: str, expected: str) -> None:
    """Remove an object as `Bucket.delete` does; one that is gone already is no mistake.

    Raises:
        ChangedError: there is another object.
    """
    try:
        bucket.delete(path, expected)
    except ChangedError:
        if bucket.read(path) is not None:
            raise


def open_bucket(url: str) -> Bucket:
    """Return the folder or bucket at a URL; nothing is asked of it yet.

    Raises:
        UsageError: it is no such URL, or a library is missing.
    """
    if not url.strip():
        raise UsageError.of(
            "deploy-url", "the URL is empty", fix="a URL such as gs://bucket/dags, or a folder"
        )
    if url != url.strip() or not url.isprintable():
        raise UsageError.of(
            "deploy-url",
            f"the URL {url!a} has a blank at an end, or a character that does not show",
            fix="remove it",
        )
    match = _SCHEME.match(url)
    if match is None:
        from dagforge.deploying.folder import FolderBucket

        return FolderBucket(url)
    scheme, rest = (match["scheme"] or match["bare"]).lower(), url[match.end() :]
    if match["bare"] or not rest.startswith("//"):
        known = scheme == "file" or scheme in _EXTRAS
        like = (
            f"{scheme}://{rest.lstrip('/')}" if known and scheme != "file" else "gs://bucket/dags"
        )
        raise UsageError.of(
            "deploy-url",
            f"'{url}' is no URL",
            fix=f"write it as in {like}; a folder that is called so is ./{url}",
        )
    rest, url = rest[2:], f"{scheme}:{rest}"
    if scheme == "file":
        return _folder_of(url, rest)
    if scheme not in _EXTRAS:
        raise UsageError.of(
            "deploy-url",
            f"DagForge does not deploy to {scheme}:// (in '{url}')",
            fix="a URL such as gs://bucket/dags, s3://bucket/dags or az://container/dags, "
            "or a folder",
        )
    if rest.startswith("/") or not rest:
        raise UsageError.of(
            "deploy-url",
            f"the URL '{url}' names no bucket",
            fix=f"write it as in {scheme}://bucket/dags",
        )
    extra, library = _EXTRAS[scheme]
    try:
        import fsspec

        for name in _TALKATIVE:
            logging.getLogger(name).addHandler(logging.NullHandler())
        # What another deployment wrote a moment ago must be seen.
        system, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        raise UsageError.of(
            "missing-library",
            f"deploying to {scheme}:// needs {library}, which is not installed here ({error})",
            fix=f"pip install 'dagforge[{extra}]'",
        ) from error
    except Exception as error:
        raise UsageError.of(
            "deploy-url",
            f"the URL '{url}' cannot be used: {reason_of(error)}",
            fix="check it, and the variables that configure its client",
        ) from error
    bucket, _, prefix = str(root).strip("/").partition("/")
    place = Place(url.rstrip("/"), bucket, prefix.strip("/"))
    if extra == "gs":
        from dagforge.deploying.gcs import GcsBucket

        return GcsBucket(system, place)
    if extra == "s3":
        from dagforge.deploying.s3 import S3Bucket

        return S3Bucket(system, place)
    from dagforge.deploying.azure import AzureBucket

    return AzureBucket(system, place)


def is_folder(url: str) -> bool:
    """Say whether it is a folder's path, not a URL or something that looks like one."""
    return _SCHEME.match(url) is None


def _folder_of(url: str, rest: str) -> Bucket:
    """Return the folder of a URL such as file:///srv/dags; `rest` follows the two slashes."""
    from dagforge.deploying.folder import FolderBucket

    machine, slash, _ = rest.partition("/")
    if machine not in ("", "localhost"):
        raise UsageError.of(
            "deploy-url",
            f"the URL '{url}' names a machine, '{machine}', and no folder of this one",
            fix="write it with three slashes, file:///srv/dags, or as a folder without file://",
        )
    return FolderBucket(rest.removeprefix(machine) if slash else "")


@frozen
class Place:
    """Where in a bucket the paths begin.

    Attributes:
        url: as it was given, without a slash at its end.
        bucket: name of the bucket or container.
        prefix: empty, or a path without slashes at its ends.
    """

    url: str
    bucket: str
    prefix: str

    def key(self, path: str) -> str:
        """Return the whole name of the object at a path.

        Raises:
            UsageError: it leads out of the bucket.
        """
        key = posixpath.normpath(posixpath.join(self.prefix, path))
        if key == ".." or key.startswith("../"):
            raise UsageError.of(
                "deploy-url",
                f"'{path}' leads out of the bucket, seen from {self.url}",
                fix="choose another destination in `files`, or a URL with the folder of DAGs",
            )
        return key

    def prefix_of(self, folder: str) -> str:
        """Return what the names of all objects in a folder begin with."""
        key = self.key(folder)
        return "" if key == "." else f"{key}/"

    def path(self, key: str) -> str:
        """Return the path of the object with that name."""
        return posixpath.relpath(key, self.prefix) if self.prefix else key

    def failure(self, path: str, what: str, error: BaseException) -> StoreFailure:
        """Return the problem that a request failed."""
        return failure(f"{self.url}/{path}" if path else self.url, what, error)

    def asked(self, path: str, what: str, action: Callable[[], T]) -> T:
        """Return what a request gives.

        Raises:
            StoreFailure: it failed, in whatever way its client says it.
        """
        try:
            return action()
        except (ChangedError, DagForgeError):
            raise
        except Exception as error:
            raise self.failure(path, what, error) from error


class StoreBucket:
    """What the buckets of all object stores have in common.

    Args:
        system: fsspec's file system of the store.
        place: where the paths begin.
    """

    def __init__(self, system: Any, place: Place) -> None:
        self._system = system
        self._place = place

    @property
    def url(self) -> str:
        """The URL, without a slash at its end."""
        return self._place.url


_ABOUT_THE_BUCKET: Final = (
    "check that the bucket is there and can be reached, and that whoever deploys may "
    "list, read, write and delete objects in it"
)
_ABOUT_A_FOLDER: Final = {
    errno.EDQUOT: "make room on the disk, or ask for a larger quota",
    errno.EISDIR: "move the folder away, or choose another dag_id",
    errno.ENAMETOOLONG: "choose a shorter dag_id or folder",
    errno.ENOSPC: "make room on the disk",
    errno.ENOTDIR: "move the file away that stands where a folder is needed",
    errno.EROFS: "choose a folder that can be written to",
}


def failure(where: str, what: str, error: BaseException) -> StoreFailure:
    """Return the problem that a request failed."""
    number = error.errno if isinstance(error, OSError) else None
    fix = _ABOUT_A_FOLDER.get(number or 0, _ABOUT_THE_BUCKET)
    return StoreFailure(
        [
            Problem(
                "deploy-failed",
                f"it cannot be {what}: {reason_of(error)}",
                SourceLocation(where),
                f"{fix}; then deploy again, which goes on where this ended",
            )
        ]
    )


def md5_of(etag: str) -> str | None:
    """Return the MD5 that an ETag may be; one of an encrypted object equals no content's."""
    return etag if _MD5.fullmatch(etag) else None


def reason_of(error: BaseException) -> str:
    """Return what an exception says, in one line, or its type where it says nothing."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # Azure's client goes on with a number and the whole answer.
    text = re.split(r"\s*RequestId:", str(error), maxsplit=1)[0]
    return " ".join(text.split())[:500] or type(error).__name__
