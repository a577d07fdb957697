"""Datasets with a place of their own, and parameters."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from dagforge.errors import did_you_mean
from dagforge.ir import Dataset
from dagforge.runtime.errors import RunError, StoreError
from dagforge.runtime.files import Files, Stat, checksum
from dagforge.runtime.formats import Format, check_pickle, describe, format_named, type_name
from dagforge.runtime.store import DatasetRecord, dump, load, now


def _split(uri: str, root: Path) -> tuple[Files, str]:
    """Return the files of the folder that a dataset lies in, and the dataset's name there."""
    text = uri if "://" in uri or Path(uri).is_absolute() else str(root / uri)
    folder, _, name = text.rpartition("/")
    return Files(folder or "/"), name


def _format(dataset: Dataset) -> Format:
    if dataset.format is not None:
        return format_named(dataset.format)
    suffix = Path(dataset.uri or "").suffix.lower().lstrip(".")
    by_suffix = {
        "csv": "csv",
        "parquet": "parquet",
        "pq": "parquet",
        "xlsx": "excel",
        "xls": "excel",
        "json": "json",
        "jsonl": "jsonl",
        "ndjson": "jsonl",
        "txt": "text",
        "npy": "npy",
        "png": "image",
        "jpg": "image",
        "jpeg": "image",
        "pkl": "pickle",
        "pickle": "pickle",
        "joblib": "joblib",
    }
    if suffix not in by_suffix:
        raise RunError.of(
            "unknown-format",
            f"dataset '{dataset.name}' does not say its format, and '.{suffix}' is none",
            at=dataset.origin,
            fix="give it a `format:` in the catalog",
            at_key=True,
        )
    return format_named(by_suffix[suffix])


def load_dataset(
    dataset: Dataset, root: Path, allow_pickle: bool | Collection[str]
) -> tuple[Any, DatasetRecord, Stat]:
    """Return the value of a dataset at a fixed path, its record, and what tells its versions apart.

    Raises:
        StoreError: it is not there, or cannot be read.
        RunError: its format cannot read it.
    """
    assert dataset.uri is not None, dataset.name
    used = _format(dataset)
    check_pickle(used, allow_pickle, f"dataset '{dataset.name}'", "")
    files, name = _split(dataset.uri, root)
    stat = files.stat(name)
    with files.fetched(name) as local:
        if stat is None or local is None:
            raise StoreError.of(
                "no-data",
                f"dataset '{dataset.name}' is not at {files.uri(name)}",
                at=dataset.origin,
                fix="write it there, or mend its path in the catalog",
                at_key=True,
            )
        value = load(used, local, f"dataset '{dataset.name}'", **dataset.load_args)
        sha256 = checksum(local)[0] if files.is_local else None
    record = DatasetRecord(
        name=dataset.name,
        uri=files.uri(name),
        format=used.name,
        sha256=sha256,
        size=stat.size,
        type=type_name(value),
        written=_when(stat.modified) or "",
        facts={**describe(value), "modified": stat.modified, "version": stat.version},
    )
    return value, record, stat


def save_dataset(
    dataset: Dataset, value: Any, root: Path, *, producer: str, started: str
) -> DatasetRecord:
    """Write a value to a dataset's fixed path and return its record.

    Raises:
        StoreError: it cannot be written there.
        RunError: its format does not take the value.
    """
    assert dataset.uri is not None, dataset.name
    used = _format(dataset)
    files, name = _split(dataset.uri, root)
    with files.staged("") as staged:
        dump(used, value, staged, f"dataset '{dataset.name}'", **dataset.save_args)
        sha256, size = checksum(staged)
        files.put(staged, name)
    return DatasetRecord(
        name=dataset.name,
        uri=files.uri(name),
        format=used.name,
        sha256=sha256,
        size=size,
        type=type_name(value),
        producer=producer,
        started=started,
        written=now(),
        facts=describe(value),
    )


def _when(modified: str | None) -> str | None:
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


def load_stat(dataset: Dataset, root: Path) -> tuple[Stat | None, str | None]:
    """Return what tells the versions of a dataset at a fixed path apart; a checksum if it is near.

    Raises:
        StoreError: the place cannot be read.
    """
    assert dataset.uri is not None, dataset.name
    files, name = _split(dataset.uri, root)
    stat = files.stat(name)
    if stat is None or not files.is_local:
        return stat, None
    with files.fetched(name) as local:
        return stat, None if local is None else checksum(local)[0]
