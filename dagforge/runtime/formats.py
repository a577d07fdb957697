"""How a value becomes a file and a file a value, chosen by the value's type.

A library is imported when such a value appears, and its absence says what to install. Further
formats come through the entry point group `dagforge.formats`: an object like `Format`.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from dagforge.errors import did_you_mean
from dagforge.runtime.errors import RunError

ENTRY_POINTS = "dagforge.formats"
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write values of some types.

    Attributes:
        name: as `format:` of a dataset and as records have it.
        extension: of the file, without a dot.
        matches: says whether a value comes back from this format exactly as it was.
        dump: writes a value to a file; takes the dataset's `save_args`.
        load: reads it; takes the dataset's `load_args`.
        unsafe: reading runs code that the file names (pickle and what is built on it).
        needs: the packages that it cannot do without, for the message when one is missing.
    """

    name: str
    extension: str
    matches: Callable[[Any], bool]
    dump: Callable[..., None]
    load: Callable[..., Any]
    unsafe: bool = False
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ref:
    """A value that its node wrote itself, such as a Spark table: only the place is handed over.

    Attributes:
        uri: where it is.
    """

    uri: str


def _module(value: object) -> str:
    return type(value).__module__.partition(".")[0]


def _is(value: object, module: str, name: str) -> bool:
    return type(value).__name__ == name and _module(value) == module


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_json(value: object) -> bool:
    """Say whether JSON gives exactly this value back: no NaN, tuples, subclasses, other keys."""
    pending: list[Any] = [value]
    while pending:
        item = pending.pop()
        kind = type(item)
        if kind is str:
            good = _is_utf8(item)
        elif kind is int:
            good = item in _INT64
        elif kind is float:
            good = item - item == 0
        elif kind is list:
            pending += item
            good = True
        elif kind is dict:
            good = all(type(key) is str and _is_utf8(key) for key in item)
            pending += item.values()
        else:
            good = item is None or kind is bool
        if not good:
            return False
    return True


def _depth_is_small(value: object, limit: int = 200) -> bool:
    level: list[object] = [value]
    for _ in range(limit):
        level = [
            inner
            for item in level
            for inner in (
                item.values() if type(item) is dict else item if type(item) is list else ()
            )
        ]
        if not level:
            return True
    return False


def _is_frame(value: Any) -> bool:
    return (
        _is(value, "pandas", "DataFrame")
        and all(type(column) is str for column in value.columns)
        and value.columns.is_unique
        and not value.attrs
        and value.columns.name is None
    )


def _is_series(value: Any) -> bool:
    return (
        _is(value, "pandas", "Series")
        and (value.name is None or type(value.name) is str)
        and not value.attrs
    )


def _dump_frame(value: Any, path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.Table.from_pandas(value, preserve_index=True)
    pyarrow.parquet.write_table(table, path)


def _load_frame(path: Path) -> Any:
    import pyarrow.parquet

    return pyarrow.parquet.read_table(path, memory_map=False, partitioning=None).to_pandas()


def _frame_comes_back(value: Any) -> bool:
    """Say whether Arrow can hold a frame at all; columns of mixed objects cannot be written."""
    return not any(str(kind) == "object" for kind in value.dtypes) or _objects_are_text(value)


def _objects_are_text(value: Any) -> bool:
    for column in value.columns:
        if str(value[column].dtype) != "object":
            continue
        if not all(type(item) is str or item is None for item in value[column]):
            return False
    return True


_VALUE_COLUMN = "__value__"


def _dump_series(value: Any, path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.Table.from_pandas(value.rename(_VALUE_COLUMN).to_frame(), preserve_index=True)
    metadata = {**(table.schema.metadata or {}), b"dagforge": json.dumps(value.name).encode()}
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), path)


def _load_series(path: Path) -> Any:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path, partitioning=None)
    name = json.loads(table.schema.metadata[b"dagforge"])
    return table.to_pandas()[_VALUE_COLUMN].rename(name)


def _dump_polars(value: Any, path: Path) -> None:
    value.write_parquet(path)


def _load_polars(path: Path) -> Any:
    import polars

    return polars.read_parquet(path)


def _dump_arrow(value: Any, path: Path) -> None:
    import pyarrow.parquet

    pyarrow.parquet.write_table(value, path)


def _load_arrow(path: Path) -> Any:
    import pyarrow.parquet

    return pyarrow.parquet.read_table(path, partitioning=None)


def _is_array(value: Any) -> bool:
    return _is(value, "numpy", "ndarray") and not value.dtype.hasobject


def _dump_array(value: Any, path: Path) -> None:
    import numpy

    with path.open("wb") as file:
        numpy.save(file, value, allow_pickle=False)


def _load_array(path: Path) -> Any:
    import numpy

    return numpy.load(path, allow_pickle=False)


def _dump_image(value: Any, path: Path, **save_args: Any) -> None:
    value.save(path, **{"format": "PNG", **save_args})


def _load_image(path: Path, **load_args: Any) -> Any:
    from PIL import Image

    with Image.open(path, **load_args) as image:
        image.load()
        return image.copy()


def _dump_json(value: Any, path: Path, **save_args: Any) -> None:
    arguments = {"ensure_ascii": False, "allow_nan": True, **save_args}
    path.write_text(json.dumps(value, **arguments), encoding="utf-8")


def _load_json(path: Path, **load_args: Any) -> Any:
    return json.loads(path.read_text(encoding="utf-8"), **load_args)


def _dump_joblib(value: Any, path: Path, **save_args: Any) -> None:
    import joblib

    joblib.dump(value, path, **save_args)


def _load_joblib(path: Path, **load_args: Any) -> Any:
    import joblib

    return joblib.load(path, **load_args)


def _dump_pickle(value: Any, path: Path, **save_args: Any) -> None:
    import cloudpickle

    with path.open("wb") as file:
        cloudpickle.dump(value, file, **{"protocol": 5, **save_args})


def _load_pickle(path: Path, **load_args: Any) -> Any:
    import pickle

    with path.open("rb") as file:
        return pickle.load(file, **load_args)


def _dump_ref(value: Ref, path: Path) -> None:
    path.write_text(value.uri, encoding="utf-8")


def _load_ref(path: Path) -> Ref:
    return Ref(path.read_text(encoding="utf-8"))


# What a catalog entry's `format:` means, with pandas' own arguments.


def _dump_csv(value: Any, path: Path, **save_args: Any) -> None:
    value.to_csv(path, **{"index": False, **save_args})


def _load_csv(path: Path, **load_args: Any) -> Any:
    import pandas

    return pandas.read_csv(path, **load_args)


def _dump_parquet(value: Any, path: Path, **save_args: Any) -> None:
    if _module(value) == "polars":
        value.write_parquet(path, **save_args)
    elif _is(value, "pyarrow", "Table"):
        import pyarrow.parquet

        pyarrow.parquet.write_table(value, path, **save_args)
    else:
        value.to_parquet(path, **save_args)


def _load_parquet(path: Path, **load_args: Any) -> Any:
    import pandas

    return pandas.read_parquet(path, **load_args)


def _dump_excel(value: Any, path: Path, **save_args: Any) -> None:
    value.to_excel(path, **{"index": False, **save_args})


def _load_excel(path: Path, **load_args: Any) -> Any:
    import pandas

    return pandas.read_excel(path, **load_args)


def _dump_jsonl(value: Any, path: Path, **save_args: Any) -> None:
    if _is(value, "pandas", "DataFrame"):
        value.to_json(path, orient="records", lines=True, **save_args)
        return
    with path.open("w", encoding="utf-8") as file:
        for item in value:
            file.write(json.dumps(item, ensure_ascii=False, **save_args) + "\n")


def _load_jsonl(path: Path, **load_args: Any) -> Any:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line, **load_args) for line in file if line.strip()]


def _dump_text(value: str, path: Path, **save_args: Any) -> None:
    with path.open("w", **{"encoding": "utf-8", "newline": "", **save_args}) as file:
        file.write(value)


def _load_text(path: Path, **load_args: Any) -> str:
    with path.open(**{"encoding": "utf-8", "newline": "", **load_args}) as file:
        return str(file.read())


def _always(value: object) -> bool:
    del value
    return True


def _never(value: object) -> bool:
    del value
    return False


BUILT_IN: tuple[Format, ...] = (
    # Chosen by a value's type: the first that gives it back exactly.
    Format("ref", "uri", lambda value: type(value) is Ref, _dump_ref, _load_ref),
    Format(
        "pandas-parquet",
        "parquet",
        lambda value: _is_frame(value) and _frame_comes_back(value),
        _dump_frame,
        _load_frame,
        needs=("pandas", "pyarrow"),
    ),
    Format(
        "series-parquet",
        "parquet",
        lambda value: _is_series(value) and _frame_comes_back(value.to_frame(_VALUE_COLUMN)),
        _dump_series,
        _load_series,
        needs=("pandas", "pyarrow"),
    ),
    Format(
        "polars-parquet",
        "parquet",
        lambda value: _is(value, "polars", "DataFrame"),
        _dump_polars,
        _load_polars,
        needs=("polars",),
    ),
    Format(
        "arrow-parquet",
        "parquet",
        lambda value: _is(value, "pyarrow", "Table"),
        _dump_arrow,
        _load_arrow,
        needs=("pyarrow",),
    ),
    Format("npy", "npy", _is_array, _dump_array, _load_array, needs=("numpy",)),
    Format(
        "bytes",
        "bin",
        lambda value: type(value) is bytes,
        lambda value, path: path.write_bytes(value),
        lambda path: path.read_bytes(),
    ),
    Format(
        "text", "txt", lambda value: type(value) is str and _is_utf8(value), _dump_text, _load_text
    ),
    Format(
        "image",
        "png",
        lambda value: (
            _module(value) == "PIL"
            and getattr(value, "mode", "") in {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}
        ),
        _dump_image,
        _load_image,
        needs=("pillow",),
    ),
    Format(
        "json",
        "json",
        lambda value: _is_json(value) and _depth_is_small(value),
        _dump_json,
        _load_json,
    ),
    Format(
        "joblib",
        "joblib",
        lambda value: _module(value) in {"sklearn", "xgboost", "lightgbm"},
        _dump_joblib,
        _load_joblib,
        unsafe=True,
        needs=("joblib",),
    ),
    Format(
        "pickle",
        "pkl",
        _always,
        _dump_pickle,
        _load_pickle,
        unsafe=True,
        needs=("cloudpickle",),
    ),
    # Chosen by `format:` only.
    Format("csv", "csv", _never, _dump_csv, _load_csv, needs=("pandas",)),
    Format("parquet", "parquet", _never, _dump_parquet, _load_parquet, needs=("pandas", "pyarrow")),
    Format("excel", "xlsx", _never, _dump_excel, _load_excel, needs=("pandas", "openpyxl")),
    Format("jsonl", "jsonl", _never, _dump_jsonl, _load_jsonl),
)

# Kedro's dataset classes, by the last part of their name in lower case.
KEDRO_TYPES: Mapping[str, str] = {
    "csvdataset": "csv",
    "parquetdataset": "parquet",
    "exceldataset": "excel",
    "jsondataset": "json",
    "textdataset": "text",
    "pickledataset": "pickle",
    "imagedataset": "image",
}


@lru_cache(maxsize=1)
def registry() -> Mapping[str, Format]:
    """Return every format by name; those of entry points come before the built-in ones."""
    from importlib.metadata import entry_points

    found: dict[str, Format] = {}
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        found[point.name] = point.load()
    return {**found, **{each.name: each for each in BUILT_IN if each.name not in found}}


def format_named(name: str) -> Format:
    """Return the format that a dataset's `format:` or Kedro `type:` means.

    Raises:
        RunError: there is none.
    """
    formats = registry()
    key = KEDRO_TYPES.get(name.rpartition(".")[2].lower(), name)
    found = formats.get(key)
    if found is None:
        raise RunError.of(
            "unknown-format",
            f"there is no format '{name}'",
            fix=did_you_mean(name, formats) or f"register one in the entry point '{ENTRY_POINTS}'",
        )
    return found


def format_for(value: Any, allow_pickle: bool | Collection[str]) -> Format:
    """Return the first format that gives `value` back exactly.

    Raises:
        RunError: only a pickle could hold it, and the settings do not allow that.
    """
    for found in registry().values():
        if found.matches(value):
            check_pickle(found, allow_pickle, f"a {type_name(value)}", type(value).__module__)
            return found
    raise AssertionError("pickle takes everything")


def check_pickle(
    used: Format, allow_pickle: bool | Collection[str], what: str, module: str
) -> None:
    """Refuse a format that runs code where the settings do not allow it.

    Args:
        used: the format.
        allow_pickle: true, false, or the modules whose values may be pickled.
        what: is written or read, for the message.
        module: of the value's type.

    Raises:
        RunError: it is not allowed.
    """
    if not used.unsafe or allow_pickle is True:
        return
    modules = () if allow_pickle is False else allow_pickle
    if any(module == allowed or module.startswith(f"{allowed}.") for allowed in modules):
        return
    raise RunError.of(
        "pickle-refused",
        f"{what} can only be handed over as a {used.name}, which `allow_pickle` does not allow",
        fix="return a table, an array or plain data, give the dataset a `format:`, or allow "
        "pickles for this module",
    )


def type_name(value: object) -> str:
    """Return a value's type as `module.Class`."""
    kind = type(value)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def missing(used: Format, error: ImportError) -> RunError:
    """Return the error for a library that a format needs and that is not installed."""
    absent = [name for name in used.needs if not _is_installed(name)]
    package = " ".join(absent) or (error.name or "the missing package")
    return RunError.of(
        "missing-library",
        f"the format '{used.name}' needs {package}, which is not installed here: {error}",
        fix=f"pip install {package}",
    )


def _is_installed(name: str) -> bool:
    module = {"pillow": "PIL"}.get(name, name)
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def describe(value: Any, preview_rows: int = 0) -> Mapping[str, Any]:
    """Return what a record says of a value: rows, columns, types; a preview where it is wanted.

    Never fails: what cannot be described is left out.
    """
    try:
        return _describe(value, preview_rows)
    except Exception as error:
        return {"undescribed": f"{type(error).__name__}: {error}"[:200]}


def _describe(value: Any, preview_rows: int) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    if _is(value, "pandas", "DataFrame"):
        found["rows"] = len(value)
        found["columns"] = {str(name): str(kind) for name, kind in value.dtypes.items()}
        if preview_rows:
            text = value.head(preview_rows).to_json(orient="split", date_format="iso")
            found["preview"] = json.loads(text)
    elif _is(value, "pandas", "Series"):
        found["rows"] = len(value)
        found["columns"] = {str(value.name): str(value.dtype)}
    elif _is(value, "polars", "DataFrame"):
        found["rows"] = value.height
        found["columns"] = {name: str(kind) for name, kind in value.schema.items()}
    elif _is(value, "pyarrow", "Table"):
        found["rows"] = value.num_rows
        found["columns"] = {field.name: str(field.type) for field in value.schema}
    elif _is(value, "numpy", "ndarray"):
        found["rows"] = int(value.shape[0]) if value.shape else 1
        found["shape"] = [int(size) for size in value.shape]
        found["dtype"] = str(value.dtype)
    elif isinstance(value, (list, dict, str, bytes)):
        found["rows"] = len(value)
    if preview_rows and "preview" not in found and "shape" not in found:
        found["preview"] = repr(value)[:2000]
    return found
