"""Google Cloud Storage, the bucket of Cloud Composer among it, through gcsfs.

gcsfs knows only the condition that nothing is there, so the requests are its own, with a
generation in them. https://cloud.google.com/storage/docs/request-preconditions
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from dagforge.deploying.bucket import ChangedError, StoreBucket, Stored

_BOUNDARY: Final = "==dagforge=="
_FIELDS: Final = "nextPageToken,items(name,generation,md5Hash)"


class GcsBucket(StoreBucket):
    """Objects in Google Cloud Storage; their versions are generations.

    Args:
        system: a `gcsfs.GCSFileSystem`.
    """

    def list(self, folder: str) -> Mapping[str, Stored]:
        """Return all objects in a folder and below: one request for each thousand."""
        return self._place.asked(folder, "listed", lambda: self._list(folder))

    def _list(self, folder: str) -> Mapping[str, Stored]:
        found: dict[str, Stored] = {}
        more: dict[str, str] = {}
        while True:
            answer = self._call(
                "GET",
                "b/{}/o",
                self._place.bucket,
                prefix=self._place.prefix_of(folder),
                fields=_FIELDS,
                **more,
            )
            for each in answer.get("items", ()):
                stored = Stored(str(each["generation"]), _md5(each))
                found[self._place.path(each["name"])] = stored
            if not answer.get("nextPageToken"):
                return found
            more = {"pageToken": answer["nextPageToken"]}

    def read(self, path: str) -> tuple[bytes, str] | None:
        """Return an object's content and its generation, None where there is none."""
        return self._place.asked(path, "read", lambda: self._read(path))

    def _read(self, path: str) -> tuple[bytes, str] | None:
        name = (self._place.bucket, self._place.key(path))
        while True:
            try:
                generation = str(self._call("GET", "b/{}/o/{}", *name)["generation"])
            except FileNotFoundError:
                return None
            try:
                _, content = self._system.call(
                    "GET", "b/{}/o/{}", *name, alt="media", generation=generation
                )
            except FileNotFoundError:  # replaced in between
                continue
            return bytes(content), generation

    def write(self, path: str, content: bytes, expected: str | None) -> str:
        """Put an object in place of the expected one."""
        return self._place.asked(path, "written", lambda: self._write(path, content, expected))

    def _write(self, path: str, content: bytes, expected: str | None) -> str:
        # With its checksum: what arrives damaged is refused there.
        digest = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        about = json.dumps({"name": self._place.key(path), "md5Hash": digest})
        head = (
            f"--{_BOUNDARY}\nContent-Type: application/json; charset=UTF-8\n\n{about}\n"
            f"--{_BOUNDARY}\nContent-Type: application/octet-stream\n\n"
        )
        try:
            answer = self._call(
                "POST",
                f"{self._system._location}/upload/storage/v1/b/{self._place.bucket}/o",
                uploadType="multipart",
                headers={"Content-Type": f'multipart/related; boundary="{_BOUNDARY}"'},
                data=head.encode() + content + f"\n--{_BOUNDARY}--".encode(),
                ifGenerationMatch=expected or "0",
            )
        except Exception as error:
            _raise_changed(path, error)
            raise
        return str(answer["generation"])

    def delete(self, path: str, expected: str) -> None:
        """Remove the expected object."""

        def call() -> None:
            try:
                self._system.call(
                    "DELETE",
                    "b/{}/o/{}",
                    self._place.bucket,
                    self._place.key(path),
                    ifGenerationMatch=expected,
                )
            except FileNotFoundError:
                pass
            except Exception as error:
                _raise_changed(path, error)
                raise

        self._place.asked(path, "removed", call)

    def _call(self, method: str, url: str, *arguments: str, **more: Any) -> Any:
        return self._system.call(method, url, *arguments, json_out=True, **more)


def _md5(about: Mapping[str, Any]) -> str | None:
    digest = about.get("md5Hash")
    return base64.b64decode(digest).hex() if digest else None


def _raise_changed(path: str, error: Exception) -> None:
    """Raise ChangedError for gcsfs's words for 412, which differ between its versions."""
    if isinstance(error, FileExistsError) or str(getattr(error, "code", "")) == "412":
        raise ChangedError(path) from error
