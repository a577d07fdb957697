"""Datasets with a place of their own, and parameters."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dagforge.errors import did_you_mean
from dagforge.ir import Dataset
from dagforge.runtime.errors import RunError, StoreError
from dagforge.runtime.files import Files, Stat, checksum
from dagforge.runtime.formats import (
    BY_SUFFIX,
    Format,
    check_pickle,
    describe,
    dump,
    format_named,
    load,
    refuse_live,
)
from dagforge.runtime.store import DatasetRecord, now
from dagforge.user_code import type_name

# How often a file is read again that changes while it is read.
_READS = 3


def _split(uri: str, root: Path) -> tuple[Files, str]:
    """Return the files of the folder that a dataset lies in, and the dataset's name there."""
    text = uri if "://" in uri or Path(uri).is_absolute() else (root / uri).as_posix()
    folder, _, name = text.rstrip("/").rpartition("/")
    return Files(folder or "/"), name


def format_of(dataset: Dataset) -> Format:
    """Return the format that a dataset states, or that its path ends with.

    Raises:
        RunError: there is none of that name, or neither says it.
    """
    try:
        if dataset.format is not None:
            return format_named(dataset.format)
    except RunError as error:
        raise RunError(
            replace(problem, at=dataset.origin, at_key=True) for problem in error.problems
        ) from error
    suffixes = [suffix.lower().lstrip(".") for suffix in Path(dataset.uri or "").suffixes]
    if suffixes[-1:] and suffixes[-1] in ("gz", "bz2", "xz", "zip", "zst"):
        # pandas compresses by the name's end; nothing else does.
        suffixes = [suffix for suffix in suffixes[:-1] if suffix == "csv"]
    if not suffixes or suffixes[-1] not in BY_SUFFIX:
        end = f"'.{suffixes[-1]}' is none" if suffixes else "its path does not end with one"
        raise RunError.of(
            "unknown-format",
            f"dataset '{dataset.name}' does not say its format, and {end}",
            at=dataset.origin,
            fix="give it a `format:` in the catalog",
            at_key=True,
        )
    return format_named(BY_SUFFIX[suffixes[-1]])


def load_dataset(
    dataset: Dataset, root: Path, allow_pickle: bool | Collection[str]
) -> tuple[Any, DatasetRecord]:
    """Return the value of a dataset at a fixed path and a record of what was read.

    Raises:
        StoreError: it is not there, cannot be read, or does not keep still.
        RunError: its format cannot read it, or is not allowed.
    """
    assert dataset.uri is not None, dataset.name
    used = format_of(dataset)
    what = f"dataset '{dataset.name}'"
    check_pickle(used, allow_pickle, what, "")
    files, name = _split(dataset.uri, root)
    stat = files.stat(name)
    for _ in range(_READS):
        with files.fetched(name) as local:
            if stat is None or local is None:
                raise _no_data(dataset, files, name)
            with _located(dataset):
                value = load(used, local, f"{what} at {files.uri(name)}", dataset.load_args)
            sha256 = checksum(local)[0] if files.is_local else None
        before, stat = stat, files.stat(name)
        if stat == before:
            return value, _record(dataset, files, name, used, value, stat, sha256)
    raise StoreError.of(
        "store-altered",
        f"{what} at {files.uri(name)} was written again each time while it was read",
        at=dataset.origin,
        fix="let only one run at a time write it, or leave it to the store",
        at_key=True,
    )


@contextlib.contextmanager
def _located(dataset: Dataset) -> Iterator[None]:
    """Say where a dataset is declared that cannot be read or written in here."""
    try:
        yield
    except RunError as error:
        if all(problem.at is not None for problem in error.problems):
            raise
        raise type(error)(
            replace(problem, at=problem.at or dataset.origin, at_key=problem.at is None)
            for problem in error.problems
        ) from error


def _no_data(dataset: Dataset, files: Files, name: str) -> StoreError:
    is_folder = bool(files.list(name))
    return StoreError.of(
        "no-data",
        f"dataset '{dataset.name}' is not at {files.uri(name)}"
        + (", which is a folder" if is_folder else ""),
        at=dataset.origin,
        fix="write it there, or mend its path in the catalog",
        at_key=True,
    )


def find_dataset(dataset: Dataset, root: Path) -> DatasetRecord:
    """Return the record of a dataset at a fixed path that something else reads or has written.

    Raises:
        StoreError: it is not there.
    """
    assert dataset.uri is not None, dataset.name
    files, name = _split(dataset.uri, root)
    stat = files.stat(name)
    if stat is None:
        raise _no_data(dataset, files, name)
    sha256 = None
    if files.is_local:
        with files.fetched(name) as local:
            sha256 = None if local is None else checksum(local)[0]
    return DatasetRecord(
        name=dataset.name,
        uri=files.uri(name),
        format=dataset.format or "",
        sha256=sha256,
        size=stat.size,
        written=moment_of(stat.modified) or "",
        facts={"modified": stat.modified, "version": stat.version},
    )


def save_dataset(
    dataset: Dataset,
    value: Any,
    root: Path,
    allow_pickle: bool | Collection[str],
    check_current: Callable[[], None],
) -> DatasetRecord:
    """Write a value to a dataset's fixed path and return its record, without a producer.

    Args:
        dataset: with a `uri`.
        value: what its format takes.
        root: of the project, for a relative path.
        allow_pickle: as in the settings.
        check_current: raises when a later attempt has begun; called last before publishing.

    Raises:
        StoreError: it cannot be written there.
        RunError: its format does not take the value, or is not allowed.
    """
    assert dataset.uri is not None, dataset.name
    used = format_of(dataset)
    refuse_live(value)
    check_pickle(used, allow_pickle, f"a {type_name(value)}", type(value).__module__)
    files, name = _split(dataset.uri, root)
    with _located(dataset), files.staged("", "".join(Path(name).suffixes)) as staged:
        dump(used, value, staged, f"dataset '{dataset.name}'", dataset.save_args)
        sha256, size = checksum(staged)
        check_current()
        files.put(staged, name)
    stat = files.stat(name) or Stat(size, None, None)
    return replace(
        _record(dataset, files, name, used, value, stat, sha256), size=size, written=now()
    )


def _record(
    dataset: Dataset,
    files: Files,
    name: str,
    used: Format,
    value: Any,
    stat: Stat,
    sha256: str | None,
) -> DatasetRecord:
    return DatasetRecord(
        name=dataset.name,
        uri=files.uri(name),
        format=used.name,
        sha256=sha256,
        size=stat.size,
        type=type_name(value),
        written=moment_of(stat.modified) or "",
        facts={**describe(value), "modified": stat.modified, "version": stat.version},
    )


def is_same_file(one: DatasetRecord, other: DatasetRecord) -> bool:
    """Say whether two records of a fixed path tell of the same content, as far as they know."""
    if one.sha256 is not None and other.sha256 is not None:
        return one.sha256 == other.sha256
    known = ("modified", "version")
    return one.size == other.size and all(
        one.facts.get(key) == other.facts.get(key) for key in known
    )


def moment_of(modified: str | None) -> str | None:
    """Return a file's time as records have it, from seconds or any ISO text; None if unreadable."""
    if modified is None:
        return None
    try:
        seconds = float(modified)
    except ValueError:
        try:
            moment = datetime.datetime.fromisoformat(modified.replace("Z", "+00:00"))
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.timezone.utc)
    else:
        moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.astimezone(datetime.timezone.utc).isoformat(timespec="microseconds")


def parameter(name: str, parameters: Mapping[str, Any]) -> Any:
    """Return the value of `params:a.b` or of `parameters`.

    Raises:
        RunError: there is none.
    """
    if name == "parameters":
        return parameters
    value: Any = parameters
    path = name.removeprefix("params:")
    if path in parameters:
        return parameters[path]
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            known = value.keys() if isinstance(value, Mapping) else ()
            raise RunError.of(
                "no-parameter",
                f"there is no parameter '{path}'",
                fix=did_you_mean(part, [str(key) for key in known]),
            )
        value = value[part]
    return value
