"""The store: values between tasks, each complete or absent.

A value is written under the hash of its content; the pointer `_dagforge.json` is written last.
A reader sees the value before, the new one, or that there is none, never a mix, and compares the
checksum on every load. Datasets at a fixed path have a pointer here too, which says what this run
wrote there.

Between two attempts of a task the one that started later wins. An attempt looks whether it has
been superseded before it publishes anything, and a reader compares the pointer with the record of
the task that wrote it (`execute`), so that even a write that was delayed on its way is noticed.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from dagforge.frozen import frozen
from dagforge.runtime.errors import IncompleteError, RunError, StoreError
from dagforge.runtime.files import Files, checksum
from dagforge.runtime.formats import (
    Format,
    check_pickle,
    describe,
    dump,
    format_named,
    formats_for,
    load,
    module_of,
    refuse_live,
    registry,
)
from dagforge.runtime.places import RunPlace
from dagforge.user_code import type_name

POINTER = "_dagforge.json"
SCHEMA = 1
_NOTHING: Mapping[str, Any] = {}


def now() -> str:
    """Return the time as records have it: UTC, to the microsecond, sortable as text."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds")


@frozen
class DatasetRecord:
    """What is known of a dataset in a run.

    Attributes:
        uri: where its content is.
        format: name of its format.
        file: name of the content's file, beside the pointer; empty for a fixed path.
        sha256: of the content; None for an input at a fixed path in an object store.
        size: of the content, in bytes.
        type: the value's Python type.
        producer: task_id of the task that wrote it; None for an input from outside.
        started: when the attempt that wrote it began, which decides between attempts.
        written: when it was written.
        facts: rows, columns, shape, and a preview where it was asked for; for a fixed path also
            `modified` and `version` (a generation or ETag) as the file system has them.
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
    def from_data(cls, data: Any) -> DatasetRecord:
        """Return the record that `data` holds; keys of later versions are left out.

        Raises:
            TypeError: it holds none.
        """
        if not isinstance(data, dict):
            raise TypeError(f"not a record but {type(data).__name__}")
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
        self,
        name: str,
        value: Any,
        *,
        producer: str,
        started: str,
        format_name: str | None = None,
        save_args: Mapping[str, Any] = _NOTHING,
    ) -> DatasetRecord:
        """Write a value and return its record.

        Args:
            name: of the dataset.
            value: anything that a format takes.
            producer: the task that writes it.
            started: when this attempt of the task began.
            format_name: the dataset's own; by the value's type when None.
            save_args: for the dataset's own format.

        Raises:
            RunError: no format takes it, or a library is missing.
            StoreError: it cannot be written, or a later attempt wrote it already.
        """
        self.check_current(name, started)
        used, file, sha256, size = self._write(name, value, format_name, save_args)
        record = DatasetRecord(
            name=name,
            uri=self.files.uri(f"{self.place.dataset(name)}/{file}"),
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
        self.point(record)
        begun = datetime.datetime.fromisoformat(started).timestamp()
        self.files.remove_leftovers(self.place.dataset(name), begun)
        return record

    def _write(
        self, name: str, value: Any, format_name: str | None, save_args: Mapping[str, Any]
    ) -> tuple[Format, str, str, int]:
        """Put the content, in the first format that takes it; return that, file, hash and size."""
        if format_name is not None:
            refuse_live(value)
            used = format_named(format_name)
            what = f"a {type_name(value)}"
            check_pickle(used, self.allow_pickle, what, type(value).__module__)
            return used, *self._put(name, value, used, save_args)
        refused: RunError | None = None
        formats = formats_for(value, self.allow_pickle)
        while True:
            try:
                best = next(formats, None)
            except RunError as error:
                raise refused or error from error
            if best is None:
                assert refused is not None, "pickle is tried for everything"
                raise refused
            try:
                return best, *self._put(name, value, best, save_args)
            except RunError as error:
                if error.problems[0].code != "cannot-save":
                    raise
                refused = refused or error

    def _put(
        self, name: str, value: Any, used: Format, save_args: Mapping[str, Any]
    ) -> tuple[str, str, int]:
        folder = self.place.dataset(name)
        with self.files.staged(folder, f".{used.extension}") as staged:
            dump(used, value, staged, f"dataset '{name}'", save_args)
            sha256, size = checksum(staged)
            file = f"{sha256[:16]}.{used.extension}"
            self.files.put(staged, f"{folder}/{file}")
        return file, sha256, size

    def check_current(self, name: str, started: str) -> None:
        """Stop an attempt that a later one has overtaken.

        Raises:
            StoreError: the dataset was written by an attempt that began later.
        """
        try:
            current = self.record(name)
        except StoreError as error:
            if error.problems[0].code == "store-altered":
                # What cannot be read any more is replaced by running the task again.
                return
            raise
        if current is not None and current.started > started:
            raise superseded(f"dataset '{name}'", current.started, started)

    def point(self, record: DatasetRecord) -> None:
        """Make the record the dataset's current one, unless a later attempt wrote it already.

        Raises:
            StoreError: a later attempt did, or it cannot be written.
        """
        path = f"{self.place.dataset(record.name)}/{POINTER}"
        for _ in range(5):
            self.check_current(record.name, record.started)
            self.files.write(path, record.to_json())
            current = self.record(record.name)
            # Two attempts may write at once; whichever reads an older one than itself goes again.
            if current is None or current.started >= record.started:
                return

    def record(self, name: str) -> DatasetRecord | None:
        """Return the current record of a dataset, None when it was never completely written.

        Raises:
            StoreError: it cannot be read, or belongs to another dataset.
        """
        content = self.files.read(f"{self.place.dataset(name)}/{POINTER}")
        if content is None:
            return None
        try:
            found = DatasetRecord.from_data(json.loads(content))
        except (ValueError, TypeError) as error:
            raise StoreError.of(
                "store-altered",
                f"the record of dataset '{name}' at {self.uri(name)} cannot be read: {error}",
                fix="run the task that writes it again",
            ) from error
        if found.name != name:
            raise StoreError.of(
                "dataset-clash",
                f"datasets '{name}' and '{found.name}' share a place in this store, which "
                f"does not tell upper and lower case apart ({self.uri(name)})",
                fix="rename one of them, or use a store that tells upper and lower case apart",
            )
        return found

    def current(self, name: str) -> DatasetRecord:
        """Return the current record of a dataset whose content is in the store.

        Raises:
            IncompleteError: it was never completely written in this run.
            StoreError: it cannot be read.
        """
        record = self.record(name)
        if record is None or not record.file:
            raise IncompleteError.of(
                "incomplete",
                f"dataset '{name}' was never completely written in run '{self.place.run_id}' "
                f"({self.uri(name)})",
                fix="look at the task that writes it: was it skipped, did it fail, or is this "
                "another run?",
            )
        return record

    def load(self, name: str) -> tuple[Any, DatasetRecord]:
        """Return a dataset's current value and its record; raises what `current` and `read` do."""
        record = self.current(name)
        return self.read(record), record

    def read(self, record: DatasetRecord, load_args: Mapping[str, Any] = _NOTHING) -> Any:
        """Return the value of a dataset in the store.

        Args:
            record: as `current` gives it.
            load_args: for the format, where the dataset states one.

        Raises:
            StoreError: the content is not what was written.
            RunError: its format is not allowed, or a library is missing.
        """
        what = f"dataset '{record.name}'"
        used = registry().get(record.format)
        if used is None:
            raise RunError.of(
                "unknown-format",
                f"{what} was written as '{record.format}', a format that this image does not have",
                fix="install here what the task that wrote it has: DagForge's version, and "
                "packages with formats",
            )
        check_pickle(used, self.allow_pickle, what, module_of(record.type))
        with self.files.fetched(f"{self.place.dataset(record.name)}/{record.file}") as local:
            if local is None:
                raise _altered(record, "is gone")
            if used.unsafe:
                # Nothing is unpickled before it is known to be what was written.
                _check(record, local)
                return load(used, local, what, load_args)
            with ThreadPoolExecutor(1) as pool:
                check = pool.submit(_check, record, local)
                try:
                    value = load(used, local, what, load_args)
                finally:
                    # That the content was altered says more than what a library makes of it.
                    check.result()
            return value


def _check(record: DatasetRecord, local: Path) -> None:
    sha256, size = checksum(local)
    if sha256 != record.sha256:
        raise _altered(
            record,
            f"has {size:,} bytes instead of {record.size:,}"
            if size != record.size
            else "has another content than was written",
        )


def _altered(record: DatasetRecord, what: str) -> StoreError:
    return StoreError.of(
        "store-altered",
        f"the content of dataset '{record.name}' {what} ({record.uri})",
        fix=f"run the task '{record.producer}' again",
    )


def superseded(what: str, later: str, started: str) -> StoreError:
    """Return the error for an attempt that must not write any more."""
    return StoreError.of(
        "superseded",
        f"{what} belongs to a later attempt (begun {later}); this one (begun {started}) must not "
        "replace it",
        fix="nothing is to be done: the later attempt goes on",
    )
