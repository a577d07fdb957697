"""Amazon S3, and what speaks like it, through s3fs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dagforge.deploying.bucket import ChangedError, StoreBucket, Stored, md5_of

# The second is the answer when two conditional writes meet, the others when nothing is there.
_CHANGED: Final = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "404"}


class S3Bucket(StoreBucket):
    """Objects in S3.

    An object's version is its ETag. That of two equal contents may be equal, so a condition on it
    says that the content is the expected one, which is all that is needed.

    Args:
        system: an `s3fs.S3FileSystem`.
    """

    def list(self, folder: str) -> Mapping[str, Stored]:
        """Return all objects in a folder and below: one request for each thousand."""
        return self._place.asked(folder, "listed", lambda: self._list(folder))

    def _list(self, folder: str) -> Mapping[str, Stored]:
        found: dict[str, Stored] = {}
        more: dict[str, str] = {}
        while True:
            answer = self._system.call_s3(
                "list_objects_v2",
                Bucket=self._place.bucket,
                Prefix=self._place.prefix_of(folder),
                **more,
            )
            for each in answer.get("Contents", ()):
                etag = each["ETag"].strip('"')
                found[self._place.path(each["Key"])] = Stored(etag, md5_of(etag))
            if not answer.get("IsTruncated"):
                return found
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    def read(self, path: str) -> tuple[bytes, str] | None:
        """Return an object's content and its ETag, None where there is none."""
        from fsspec.asyn import sync

        async def get() -> tuple[bytes, str] | None:
            try:
                answer = await self._system._call_s3(
                    "get_object", Bucket=self._place.bucket, Key=self._place.key(path)
                )
            except FileNotFoundError as error:
                if code_of(error) == "NoSuchBucket":
                    raise
                return None
            async with answer["Body"] as body:
                return await body.read(), answer["ETag"].strip('"')

        found: tuple[bytes, str] | None = self._place.asked(
            path, "read", lambda: sync(self._system.loop, get)
        )
        return found

    def write(self, path: str, content: bytes, expected: str | None) -> str:
        """Put an object in place of the expected one."""
        condition = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": f'"{expected}"'}
        answer = self._changed(path, "written", "put_object", Body=content, **condition)
        return str(answer["ETag"]).strip('"')

    def delete(self, path: str, expected: str) -> None:
        """Remove the expected object."""
        self._changed(path, "removed", "delete_object", IfMatch=f'"{expected}"')

    def _changed(self, path: str, what: str, method: str, **arguments: Any) -> Any:
        def call() -> Any:
            try:
                return self._system.call_s3(
                    method, Bucket=self._place.bucket, Key=self._place.key(path), **arguments
                )
            except OSError as error:
                if code_of(error) in _CHANGED:
                    raise ChangedError(path) from error
                raise

        return self._place.asked(path, what, call)


def code_of(error: BaseException) -> str | None:
    """Return the code of the answer that s3fs made an exception of."""
    answer = getattr(error.__cause__, "response", None)
    return answer.get("Error", {}).get("Code") if isinstance(answer, dict) else None
