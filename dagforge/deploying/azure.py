"""Azure Blob Storage through adlfs, whose client takes conditions."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from dagforge.deploying.bucket import ChangedError, StoreBucket, Stored


class AzureBucket(StoreBucket):
    """Blobs in a container; their versions are ETags.

    Args:
        system: an `adlfs.AzureBlobFileSystem`.
    """

    def list(self, folder: str) -> Mapping[str, Stored]:
        """Return all blobs in a folder and below: one request for each 5,000."""

        async def blobs() -> Mapping[str, Stored]:
            container = self._system.service_client.get_container_client(self._place.bucket)
            found: dict[str, Stored] = {}
            async for blob in container.list_blobs(
                name_starts_with=self._place.prefix_of(folder) or None
            ):
                digest = blob.content_settings.content_md5
                md5 = bytes(digest).hex() if digest else None
                found[self._place.path(blob.name)] = Stored(blob.etag.strip('"'), md5)
            return found

        return self._place.asked(folder, "listed", lambda: self._wait(blobs))

    def read(self, path: str) -> tuple[bytes, str] | None:
        """Return a blob's content and its ETag, None where there is none."""

        async def get() -> tuple[bytes, str] | None:
            from azure.core.exceptions import ResourceNotFoundError

            try:
                answer = await self._blob(path).download_blob()
            except ResourceNotFoundError as error:
                _raise_without_container(error)
                return None
            return await answer.readall(), answer.properties.etag.strip('"')

        found: tuple[bytes, str] | None = self._place.asked(path, "read", lambda: self._wait(get))
        return found

    def write(self, path: str, content: bytes, expected: str | None) -> str:
        """Put a blob in place of the expected one."""

        async def put() -> str:
            from azure.storage.blob import ContentSettings

            # Its checksum is kept with it, so that a listing shows whether the content is ours.
            digest = bytearray(hashlib.md5(content, usedforsecurity=False).digest())
            answer = await self._blob(path).upload_blob(
                content,
                overwrite=expected is not None,
                validate_content=True,
                content_settings=ContentSettings(content_md5=digest),
                **self._condition(expected),
            )
            return str(answer["etag"]).strip('"')

        version: str = self._place.asked(path, "written", lambda: self._conditional(path, put))
        return version

    def delete(self, path: str, expected: str) -> None:
        """Remove the expected blob."""

        async def delete() -> None:
            from azure.core.exceptions import ResourceNotFoundError

            try:
                await self._blob(path).delete_blob(**self._condition(expected))
            except ResourceNotFoundError as error:
                _raise_without_container(error)

        self._place.asked(path, "removed", lambda: self._conditional(path, delete))

    def _blob(self, path: str) -> Any:
        return self._system.service_client.get_blob_client(
            self._place.bucket, self._place.key(path)
        )

    def _condition(self, expected: str | None) -> dict[str, Any]:
        from azure.core import MatchConditions

        if expected is None:
            return {}
        return {"etag": f'"{expected}"', "match_condition": MatchConditions.IfNotModified}

    def _conditional(self, path: str, action: Callable[[], Awaitable[Any]]) -> Any:
        from azure.core.exceptions import ResourceExistsError, ResourceModifiedError

        try:
            return self._wait(action)
        except (ResourceExistsError, ResourceModifiedError) as error:
            raise ChangedError(path) from error

    def _wait(self, action: Callable[[], Awaitable[Any]]) -> Any:
        from fsspec.asyn import sync

        return sync(self._system.loop, action)


def _raise_without_container(error: Exception) -> None:
    """Raise an error again that says more than that there is no such blob."""
    if getattr(error, "error_code", None) == "ContainerNotFound":
        raise error
