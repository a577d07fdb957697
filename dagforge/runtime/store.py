"""The store: values between tasks, each complete or absent.

A value is written under the hash of its content; the pointer `_dagforge.json` is written last.
A reader sees the value before, the new one, or that there is none, never a mix. Between two
attempts of a task the one that started later wins: a run that was deleted and created again
begins to count its attempts anew.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from dagforge.runtime.errors import IncompleteError, RunError, StoreError
from dagforge.runtime.files import Files, checksum
from dagforge.runtime.formats import (
    Format,
    check_pickle,
    describe,
    format_for,
    format_named,
    missing,
    registry,
    type_name,
)
from dagforge.runtime.places import RunPlace

POINTER = "_dagforge.json"
SCHEMA = 1


def now() -> str:
    """Return the time as records have it: UTC, to the microsecond, sortable as text."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds")


@dataclass(frozen=True, slots=True)
class DatasetRecord:
    """What is known of a dataset in a run.

    Attributes:
        uri: where its content is.
        format: name of its format.
        file: name of the content's file, beside the pointer; empty for a fixed path.
        sha256: of the content; None for a fixed path in an object store.
        size: of the content, in bytes.
        type: the value's Python type.
        producer: task_id of the task that wrote it; None for an input from outside.
        started: when the attempt that wrote it began, which decides between attempts.
        written: when it was written.
        facts: rows, columns, shape, and a preview where it was asked for.
    """

    name: str
    uri: str
    format: str
    file: str = ""
    sha256: str | None = None
    size: int | None = None
    type: str | None = None
    producer: str | None = None
    started: str = ""
    written: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    def to_json(self) -> bytes:
        """Return the record as it is kept."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode()

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> DatasetRecord:
        """Return the record that `data` holds; keys of later versions are left out."""
        known = {each.name for each in fields(cls)}
        return cls(**{key: value for key, value in data.items() if key in known})


@dataclass(slots=True)
class Store:
    """The datasets of one run.

    Attributes:
        files: of the store's base.
        place: the run.
        allow_pickle: true, false, or modules whose values may be pickled.
        preview_rows: how much of a value its record shows; 0 for none.
    """

    files: Files
    place: RunPlace
    allow_pickle: bool | Collection[str] = True
    preview_rows: int = 0

    def uri(self, name: str) -> str:
        """Return the URL of a dataset's folder."""
        return self.files.uri(self.place.dataset(name))

    def save(
        self, name: str, value: Any, *, producer: str, started: str, format_name: str | None = None
    ) -> DatasetRecord:
        """Write a value and return its record.

        Args:
            name: of the dataset.
            value: anything that a format takes.
            producer: the task that writes it.
            started: when this attempt of the task began.
            format_name: the dataset's own; by the value's type when None.

        Raises:
            RunError: no format takes it, or a library is missing.
            StoreError: it cannot be written.
        """
        used = (
            format_for(value, self.allow_pickle)
            if format_name is None
            else format_named(format_name)
        )
        check_pickle(used, self.allow_pickle, f"a {type_name(value)}", type(value).__module__)
        folder = self.place.dataset(name)
        with self.files.staged(folder) as staged:
            dump(used, value, staged, f"dataset '{name}'")
            sha256, size = checksum(staged)
            file = f"{sha256[:16]}.{used.extension}"
            self.files.put(staged, f"{folder}/{file}")
        record = DatasetRecord(
            name=name,
            uri=self.files.uri(f"{folder}/{file}"),
            format=used.name,
            file=file,
            sha256=sha256,
            size=size,
            type=type_name(value),
            producer=producer,
            started=started,
            written=now(),
            facts=describe(value, self.preview_rows),
        )
        self._point(record)
        return record

    def _point(self, record: DatasetRecord) -> None:
        """Make the record the dataset's current one, unless a later attempt wrote it already."""
        path = f"{self.place.dataset(record.name)}/{POINTER}"
        for _ in range(5):
            current = self.record(record.name)
            if current is not None and current.started > record.started:
                raise StoreError.of(
                    "superseded",
                    f"a later attempt (begun {current.started}) has written '{record.name}'; this "
                    f"one (begun {record.started}) must not replace it",
                )
            self.files.write(path, record.to_json())
            current = self.record(record.name)
            # Two attempts may write at once; whichever reads an older one than itself goes again.
            if current is None or current.started >= record.started:
                return

    def record(self, name: str) -> DatasetRecord | None:
        """Return the current record of a dataset, None when it was never completely written."""
        content = self.files.read(f"{self.place.dataset(name)}/{POINTER}")
        if content is None:
            return None
        try:
            return DatasetRecord.from_data(json.loads(content))
        except (ValueError, TypeError) as error:
            raise StoreError.of(
                "store-altered",
                f"the record of dataset '{name}' at {self.uri(name)} cannot be read: {error}",
                fix="run the task that writes it again",
            ) from error

    def load(self, name: str) -> tuple[Any, DatasetRecord]:
        """Return a dataset's value and its record.

        Raises:
            IncompleteError: it was never completely written in this run.
            StoreError: the content is not what was written.
            RunError: its format is not allowed, or a library is missing.
        """
        record = self.record(name)
        if record is None:
            raise IncompleteError.of(
                "incomplete",
                f"dataset '{name}' was never completely written in run '{self.place.run_id}' "
                f"({self.uri(name)})",
                fix="look at the task that writes it: was it skipped, did it fail, or is this "
                "another run?",
            )
        used = registry().get(record.format)
        if used is None:
            raise RunError.of(
                "unknown-format",
                f"dataset '{name}' was written as '{record.format}', a format that this image "
                "does not have",
            )
        module = (record.type or "").rpartition(".")[0]
        check_pickle(used, self.allow_pickle, f"dataset '{name}'", module)
        with self.files.fetched(f"{self.place.dataset(name)}/{record.file}") as local:
            if local is None:
                raise self._altered(record, "is gone")
            if used.unsafe:
                # Nothing is unpickled before it is known to be what was written.
                self._check(record, local)
                return load(used, local, f"dataset '{name}'"), record
            with ThreadPoolExecutor(1) as pool:
                check = pool.submit(self._check, record, local)
                try:
                    value = load(used, local, f"dataset '{name}'")
                except RunError:
                    check.result()
                    raise
                check.result()
            return value, record

    def _check(self, record: DatasetRecord, local: Path) -> None:
        sha256, size = checksum(local)
        if sha256 != record.sha256:
            what = (
                f"has {size:,} bytes instead of {record.size:,}"
                if size != record.size
                else "has another content than was written"
            )
            raise self._altered(record, what)

    def _altered(self, record: DatasetRecord, what: str) -> StoreError:
        return StoreError.of(
            "store-altered",
            f"the content of dataset '{record.name}' {what} ({record.uri})",
            fix=f"run the task '{record.producer}' again",
        )


def dump(used: Format, value: Any, path: Path, what: str, **save_args: Any) -> None:
    """Write a value, whatever its library raises turned into a RunError."""
    try:
        used.dump(value, path, **save_args)
    except ImportError as error:
        raise missing(used, error) from error
    except RunError:
        raise
    except OSError as error:
        raise StoreError.of(
            "store-failed", f"{what} cannot be written: {error.strerror or error}"
        ) from error
    except Exception as error:
        raise RunError.of(
            "cannot-save",
            f"{what}, a {type_name(value)}, cannot be written as {used.name}: "
            f"{type(error).__name__}: {error}",
            fix="return another type, or give the dataset a `format:` that takes it",
        ) from error


def load(used: Format, path: Path, what: str, **load_args: Any) -> Any:
    """Read a value, whatever its library raises turned into a RunError."""
    try:
        return used.load(path, **load_args)
    except ImportError as error:
        raise missing(used, error) from error
    except Exception as error:
        raise RunError.of(
            "cannot-load",
            f"{what} cannot be read as {used.name}: {type(error).__name__}: {error}",
            fix="is it of the format that is stated, and does this image have what wrote it?",
        ) from error
