"""How a value becomes a file and a file a value, chosen by the value's type.

A library is imported when such a value appears, and its absence says what to install. Further
formats come through the entry point group `dagforge.formats`: an object like `Format`.

A format is chosen for a value only if the value comes back exactly: of a table the first rows are
written and read to see it, of a column of objects every value's type is looked at. What a format
turns out not to take is left to the next one; the last is pickle.
"""

from __future__ import annotations

import datetime
import importlib
import inspect
import io
import json
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from dagforge.errors import did_you_mean
from dagforge.frozen import frozen
from dagforge.runtime.errors import RunError, StoreError
from dagforge.runtime.files import reason_of
from dagforge.user_code import type_name

ENTRY_POINTS = "dagforge.formats"
_INT64 = range(-(2**63), 2**63)
# Deeper than this Python's own JSON may not read what it wrote.
_DEEPEST = 200
# What is tried of a table before it is written.
_SAMPLE_ROWS = 8


@frozen
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
    dump: Callable[..., Any]
    load: Callable[..., Any]
    unsafe: bool = False
    needs: tuple[str, ...] = ()


@frozen
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
    """Say whether JSON gives exactly this value back.

    No NaN, tuples, subclasses, other keys than text, integers that other readers would round, nor
    what is so deep that it may hold itself. A list that is held twice comes back as two.
    """
    pending: list[tuple[Any, int]] = [(value, 0)]
    deepest_seen: dict[int, int] = {}
    while pending:
        item, depth = pending.pop()
        kind = type(item)
        if kind is str:
            good = _is_utf8(item)
        elif kind is int:
            good = item in _INT64
        elif kind is float:
            good = item - item == 0
        elif kind is list or kind is dict:
            if deepest_seen.get(id(item), -1) >= depth:
                continue
            deepest_seen[id(item)] = depth
            good = depth < _DEEPEST
            if kind is dict:
                good = good and all(type(key) is str and _is_utf8(key) for key in item)
            if good:
                inner = item.values() if kind is dict else item
                pending += [(each, depth + 1) for each in inner]
        else:
            good = item is None or kind is bool
        if not good:
            return False
    return True


# --- pandas: Parquet; Arrow where Parquet has no such type


_VALUE_COLUMN = "__value__"
_KEY = b"dagforge"


def _is_frame(value: Any) -> bool:
    return (
        _is(value, "pandas", "DataFrame")
        and all(type(column) is str for column in value.columns)
        and value.columns.is_unique
        and not value.attrs
        and value.flags.allows_duplicate_labels
    )


def _is_series(value: Any) -> bool:
    return (
        _is(value, "pandas", "Series")
        and (value.name is None or type(value.name) is str)
        and not value.attrs
        and value.flags.allows_duplicate_labels
    )


def _to_arrow(frame: Any) -> Any:
    """Return a frame as an Arrow table that also says what pandas does not tell Arrow.

    Raises:
        TypeError: a column of objects holds what does not come back.
    """
    import pyarrow

    extra: dict[str, Any] = {}
    missing = {
        name: _missing_value(frame[name].array)
        for name, kind in frame.dtypes.items()
        if _holds_objects(kind)
    }
    if missing:
        extra["objects"] = missing
    if _holds_objects(frame.index.dtype) and frame.index.nlevels == 1:
        if _missing_value(frame.index.array) != "None" or frame.index.hasnans:
            raise TypeError("an index of text and missing values does not come back")
        extra["object_index"] = True
    if _holds_objects(frame.columns.dtype):
        extra["object_columns"] = True
    frequency = getattr(frame.index, "freqstr", None)
    if frequency is not None and hasattr(frame.index, "freq"):
        extra["frequency"] = frequency
    table = pyarrow.Table.from_pandas(frame)
    metadata = {**(table.schema.metadata or {}), _KEY: json.dumps(extra).encode()}
    return table.replace_schema_metadata(metadata)


def _holds_objects(dtype: Any) -> bool:
    return str(dtype) == "object"


def _missing_value(values: Any) -> str:
    """Return what stands for a missing value among objects of one type, `None` or `nan`.

    Raises:
        TypeError: there are other objects than text, bytes, booleans and dates, or several types.
    """
    kinds = set(map(type, values))
    if float in kinds:
        if any(type(each) is float and each == each for each in values):
            raise TypeError("a column holds floats as objects")
        kinds.discard(float)
        if type(None) in kinds or kinds != {str}:
            raise TypeError("a column holds several kinds of missing values")
        return "nan"
    kinds.discard(type(None))
    if len(kinds) > 1 or not kinds <= {str, bytes, bool, datetime.date}:
        raise TypeError("a column holds objects of types that do not come back")
    return "None"


def _from_arrow(table: Any) -> Any:
    extra = json.loads((table.schema.metadata or {}).get(_KEY, b"{}"))
    frame = table.to_pandas()
    for name, kind in frame.dtypes.items():
        if kind.name == "category":
            # Arrow lends these read-only; a function may write into its input.
            frame[name] = frame[name].copy()
    for name, missing in extra.get("objects", {}).items():
        column = frame[name]
        values = column.astype(object).to_numpy(copy=True)
        values[column.isna().to_numpy()] = None if missing == "None" else float("nan")
        frame[name] = _object_series(values, frame.index)
    if extra.get("object_index"):
        frame.index = frame.index.astype(object)
    if extra.get("object_columns"):
        frame.columns = frame.columns.astype(object)
    if "frequency" in extra and frame.index.freqstr is None:
        frame.index.freq = extra["frequency"]
    return frame


def _object_series(values: Any, index: Any) -> Any:
    import pandas

    return pandas.Series(values, index=index, dtype=object)


def _write_parquet(table: Any, to: Any) -> None:
    import pyarrow
    import pyarrow.parquet

    # Floats hardly repeat: looking for that takes a quarter of the time to write them.
    repeating = [field.name for field in table.schema if not pyarrow.types.is_floating(field.type)]
    pyarrow.parquet.write_table(table, to, use_dictionary=repeating or False)


def _read_parquet(path: Any) -> Any:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        return file.read()


def _write_arrow(table: Any, to: Any) -> None:
    import pyarrow

    with pyarrow.ipc.new_file(str(to) if isinstance(to, Path) else to, table.schema) as writer:
        writer.write_table(table)


def _read_arrow(source: Any) -> Any:
    import pyarrow

    if isinstance(source, Path):
        with pyarrow.OSFile(str(source), "rb") as file:
            return pyarrow.ipc.open_file(file).read_all()
    return pyarrow.ipc.open_file(source).read_all()


def _comes_back(frame: Any, write: Callable[[Any, Any], None], read: Callable[[Any], Any]) -> bool:
    """Say whether the first rows of a frame come back exactly, and its objects are of good types.

    A missing library is no reason to take another format: it is to be installed.
    """
    import pandas

    import_of("pyarrow")
    try:
        for name, kind in frame.dtypes.items():
            if _holds_objects(kind):
                _missing_value(frame[name].array)
        for level in getattr(frame.index, "levels", (frame.index,)):
            if _holds_objects(level.dtype):
                _missing_value(level.array)
        sample = frame.iloc[:_SAMPLE_ROWS]
        buffer = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write(_to_arrow(sample), buffer)
            buffer.seek(0)
            back = _from_arrow(read(buffer))
            pandas.testing.assert_frame_equal(sample, back, check_exact=True, check_freq=True)
    except Exception:
        return False
    return bool(
        sample.columns.dtype == back.columns.dtype
        and type(sample.index) is type(back.index)
        and _same_objects(sample, back)
    )


def _same_objects(one: Any, other: Any) -> bool:
    """Say whether missing values among objects are the same ones: None is not NaN."""
    return all(
        list(map(type, one[name].array)) == list(map(type, other[name].array))
        for name, kind in one.dtypes.items()
        if _holds_objects(kind)
    )


def import_of(module: str) -> Any:
    """Return an imported module; its absence is an ImportError that `missing` explains."""
    return importlib.import_module(module)


def _dump_frame(value: Any, path: Path) -> None:
    _write_parquet(_to_arrow(value), path)


def _load_frame(path: Path) -> Any:
    return _from_arrow(_read_parquet(path))


def _dump_frame_arrow(value: Any, path: Path) -> None:
    _write_arrow(_to_arrow(value), path)


def _load_frame_arrow(path: Path) -> Any:
    return _from_arrow(_read_arrow(path))


def _as_frame(series: Any) -> Any:
    return series.rename(_VALUE_COLUMN).to_frame()


def _with_name(table: Any, name: str | None) -> Any:
    extra = {**json.loads(table.schema.metadata[_KEY]), "name": name}
    return table.replace_schema_metadata(
        {**table.schema.metadata, _KEY: json.dumps(extra).encode()}
    )


def _to_series(table: Any) -> Any:
    name = json.loads(table.schema.metadata[_KEY])["name"]
    return _from_arrow(table)[_VALUE_COLUMN].rename(name)


def _dump_series(value: Any, path: Path) -> None:
    _write_parquet(_with_name(_to_arrow(_as_frame(value)), value.name), path)


def _load_series(path: Path) -> Any:
    return _to_series(_read_parquet(path))


def _dump_series_arrow(value: Any, path: Path) -> None:
    _write_arrow(_with_name(_to_arrow(_as_frame(value)), value.name), path)


def _load_series_arrow(path: Path) -> Any:
    return _to_series(_read_arrow(path))


# --- other libraries


def _is_polars(value: Any) -> bool:
    if not _is(value, "polars", "DataFrame"):
        return False
    polars = import_of("polars")
    sample, buffer = value.head(_SAMPLE_ROWS), io.BytesIO()
    try:
        sample.write_parquet(buffer)
        buffer.seek(0)
        back = polars.read_parquet(buffer)
    except Exception:
        return False
    return bool(sample.schema == back.schema and sample.equals(back))


def _dump_polars(value: Any, path: Path) -> None:
    value.write_parquet(path)


def _load_polars(path: Path) -> Any:
    import polars

    return polars.read_parquet(path)


def _is_table(value: Any) -> bool:
    return _is(value, "pyarrow", "Table")


def _table_comes_back(value: Any) -> bool:
    if not _is_table(value):
        return False
    sample, buffer = value.slice(0, _SAMPLE_ROWS), io.BytesIO()
    try:
        _write_parquet(sample, buffer)
        buffer.seek(0)
        return bool(_read_parquet(buffer).equals(sample, check_metadata=True))
    except Exception:
        return False


def _is_array(value: Any) -> bool:
    if not _is(value, "numpy", "ndarray") or value.dtype.hasobject:
        return False
    from numpy.lib import format as npy

    try:
        return bool(
            value.dtype.metadata is None
            and npy.descr_to_dtype(npy.dtype_to_descr(value.dtype)) == value.dtype
        )
    except Exception:
        return False


def _dump_array(value: Any, path: Path) -> None:
    import numpy

    with path.open("wb") as file:
        numpy.save(file, value, allow_pickle=False)


def _load_array(path: Path, **load_args: Any) -> Any:
    import numpy

    return numpy.load(path, **{**load_args, "allow_pickle": False})


def _is_image(value: Any) -> bool:
    module = sys.modules.get("PIL.Image")
    if module is None or not isinstance(value, module.Image):
        return False
    if value.mode == "P":
        # Pillow loses pixels whose colour the palette does not have.
        colours = len(value.getpalette() or ()) // 3
        return colours > 0 and bool(value.getextrema()[1] < colours)
    return value.mode in {"1", "L", "LA", "RGB", "RGBA", "I;16"}


def _dump_image(value: Any, path: Path, **save_args: Any) -> None:
    value.save(path, **save_args)


def _load_image(path: Path, **load_args: Any) -> Any:
    from PIL import Image

    with Image.open(path, **load_args) as image:
        image.load()
        return image.copy()


def _dump_json(value: Any, path: Path, **save_args: Any) -> None:
    text = json.dumps(value, **{"ensure_ascii": False, **save_args})
    path.write_text(text, encoding="utf-8", newline="")


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
    with path.open("w", encoding="utf-8", newline="") as file:
        for item in value:
            file.write(json.dumps(item, **{"ensure_ascii": False, **save_args}) + "\n")


def _load_jsonl(path: Path, **load_args: Any) -> Any:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line, **load_args) for line in file if line.strip()]


def _dump_text(value: str, path: Path, **save_args: Any) -> None:
    with path.open("w", **{"encoding": "utf-8", "newline": "", **save_args}) as file:
        file.write(value)


def _load_text(path: Path, **load_args: Any) -> str:
    with path.open(**{"encoding": "utf-8", "newline": "", **load_args}) as file:
        return str(file.read())


def _dump_bytes(value: bytes, path: Path) -> None:
    path.write_bytes(value)


def _load_bytes(path: Path) -> bytes:
    return path.read_bytes()


def _always(value: object) -> bool:
    del value
    return True


def _never(value: object) -> bool:
    del value
    return False


_PANDAS = ("pandas", "pyarrow")
BUILT_IN: tuple[Format, ...] = (
    # Chosen by a value's type: the first that gives it back exactly.
    Format("ref", "uri", lambda value: type(value) is Ref, _dump_ref, _load_ref),
    Format(
        "pandas-parquet",
        "parquet",
        lambda value: _is_frame(value) and _comes_back(value, _write_parquet, _read_parquet),
        _dump_frame,
        _load_frame,
        needs=_PANDAS,
    ),
    Format(
        "pandas-arrow",
        "arrow",
        lambda value: _is_frame(value) and _comes_back(value, _write_arrow, _read_arrow),
        _dump_frame_arrow,
        _load_frame_arrow,
        needs=_PANDAS,
    ),
    Format(
        "series-parquet",
        "parquet",
        lambda value: (
            _is_series(value) and _comes_back(_as_frame(value), _write_parquet, _read_parquet)
        ),
        _dump_series,
        _load_series,
        needs=_PANDAS,
    ),
    Format(
        "series-arrow",
        "arrow",
        lambda value: (
            _is_series(value) and _comes_back(_as_frame(value), _write_arrow, _read_arrow)
        ),
        _dump_series_arrow,
        _load_series_arrow,
        needs=_PANDAS,
    ),
    Format("polars-parquet", "parquet", _is_polars, _dump_polars, _load_polars, needs=("polars",)),
    Format(
        "arrow-parquet",
        "parquet",
        _table_comes_back,
        _write_parquet,
        _read_parquet,
        needs=("pyarrow",),
    ),
    Format("arrow", "arrow", _is_table, _write_arrow, _read_arrow, needs=("pyarrow",)),
    Format("npy", "npy", _is_array, _dump_array, _load_array, needs=("numpy",)),
    Format("bytes", "bin", lambda value: type(value) is bytes, _dump_bytes, _load_bytes),
    Format(
        "text", "txt", lambda value: type(value) is str and _is_utf8(value), _dump_text, _load_text
    ),
    Format("image", "png", _is_image, _dump_image, _load_image, needs=("pillow",)),
    Format("json", "json", _is_json, _dump_json, _load_json),
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
    Format("parquet", "parquet", _never, _dump_parquet, _load_parquet, needs=_PANDAS),
    Format("excel", "xlsx", _never, _dump_excel, _load_excel, needs=("pandas", "openpyxl")),
    Format("jsonl", "jsonl", _never, _dump_jsonl, _load_jsonl),
)

# Kedro's dataset classes, by package and name in lower case; 0.18 wrote DataSet.
KEDRO_TYPES: Mapping[str, str] = {
    "pandas.csvdataset": "csv",
    "pandas.parquetdataset": "parquet",
    "pandas.exceldataset": "excel",
    "json.jsondataset": "json",
    "text.textdataset": "text",
    "pickle.pickledataset": "pickle",
    "pillow.imagedataset": "image",
}
# For datasets that do not say what they are.
BY_SUFFIX: Mapping[str, str] = {
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


@lru_cache(maxsize=1)
def registry() -> Mapping[str, Format]:
    """Return every format by name; those of entry points come before the built-in ones.

    Raises:
        RunError: an entry point cannot be loaded, or gives something else than a format.
    """
    from importlib.metadata import entry_points

    found: dict[str, Format] = {}
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        where = f"the entry point {point.name} = {point.value} of '{ENTRY_POINTS}'"
        try:
            given = point.load()
        except Exception as error:
            raise RunError.of(
                "bad-format",
                f"{where} cannot be loaded: {type(error).__name__}: {reason_of(error)}",
                fix="mend or uninstall the package that it is in",
            ) from error
        if not isinstance(given, Format):
            raise RunError.of(
                "bad-format",
                f"{where} is a {type_name(given)}, not a dagforge.runtime.formats.Format",
                fix="mend or uninstall the package that it is in",
            )
        # Records name the format: what they say must find it again.
        found[point.name] = replace(given, name=point.name)
    return {**found, **{each.name: each for each in BUILT_IN if each.name not in found}}


def format_named(name: str) -> Format:
    """Return the format that a dataset's `format:` or Kedro `type:` means.

    Raises:
        RunError: there is none.
    """
    formats = registry()
    kedro = ".".join(name.lower().split(".")[-2:])
    found = formats.get(KEDRO_TYPES.get(kedro, name))
    if found is None:
        raise RunError.of(
            "unknown-format",
            f"there is no format '{name}'",
            fix=did_you_mean(name, formats) or f"register one in the entry point '{ENTRY_POINTS}'",
        )
    return found


def formats_for(value: Any, allow_pickle: bool | Collection[str]) -> Iterator[Format]:
    """Yield the formats that give `value` back exactly, the best first.

    Each is to be tried: a value may hold what a format does not take, and only writing tells.

    Raises:
        RunError: nothing can hold it, only a pickle could and the settings do not allow that, or a
            library is missing.
    """
    refuse_live(value)
    for found in registry().values():
        try:
            takes = found.matches(value)
        except ImportError as error:
            raise missing(found, error) from error
        if takes:
            check_pickle(found, allow_pickle, f"a {type_name(value)}", type(value).__module__)
            yield found


_LOCKS = (type(threading.Lock()), type(threading.RLock()), threading.Condition, threading.Event)


def refuse_live(value: Any) -> None:
    """Refuse what only means something in the process that made it.

    Raises:
        RunError: it is a generator, an open file, a socket or a lock.
    """
    if inspect.isgenerator(value) or inspect.isasyncgen(value) or inspect.iscoroutine(value):
        fix = "return a list, or a table"
    elif isinstance(value, io.IOBase):
        # cloudpickle would hand over a copy of what it holds, which is no file.
        fix = "return what is in it, or its path"
    elif isinstance(value, (socket.socket, *_LOCKS)):
        fix = "return the data that it was for"
    else:
        return
    raise RunError.of(
        "cannot-save", f"a {type_name(value)} cannot be handed to another task", fix=fix
    )


def check_pickle(
    used: Format, allow_pickle: bool | Collection[str], what: str, module: str
) -> None:
    """Refuse a format that runs code where the settings do not allow it.

    Args:
        used: the format.
        allow_pickle: true, false, or the modules whose values may be pickled.
        what: is written or read, for the message.
        module: of the value's type; empty where nobody knows it yet.

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
        + (f"pickles of '{module.partition('.')[0]}'" if module else "pickles"),
    )


def module_of(type_name: str | None) -> str:
    """Return the module in a name that `type_name` gave; empty where the type is not known."""
    if not type_name:
        return ""
    return type_name.rpartition(".")[0] or "builtins"


def dump(used: Format, value: Any, path: Path, what: str, save_args: Mapping[str, Any]) -> None:
    """Write a value, whatever its library raises turned into a RunError.

    Raises:
        StoreError: the file cannot be written.
        RunError: the format does not take the value, or a library is missing.
    """
    try:
        used.dump(value, path, **save_args)
    except ImportError as error:
        raise missing(used, error) from error
    except RunError:
        raise
    except OSError as error:
        raise StoreError.of(
            "store-failed",
            f"{what} cannot be written to {path.parent}: {reason_of(error)}",
            fix="make room there, then run the task again",
        ) from error
    except Exception as error:
        raise RunError.of(
            "cannot-save",
            f"{what}, a {type_name(value)}, cannot be written as {used.name}: "
            f"{type(error).__name__}: {reason_of(error)}",
            fix="return another type, or give the dataset a `format:` that takes it",
        ) from error


def load(used: Format, path: Path, what: str, load_args: Mapping[str, Any]) -> Any:
    """Return the value in a file, whatever its library raises turned into a RunError.

    Raises:
        RunError: it is not of that format, or a library is missing.
    """
    try:
        return used.load(path, **load_args)
    except ImportError as error:
        raise missing(used, error) from error
    except Exception as error:
        raise RunError.of(
            "cannot-load",
            f"{what} cannot be read as {used.name}: {type(error).__name__}: {reason_of(error)}",
            fix="is it of the format that is stated, and does this image have what wrote it?",
        ) from error


def missing(used: Format, error: ImportError) -> RunError:
    """Return the error for a library that a format needs and that is not installed."""
    absent = [name for name in used.needs if not _is_installed(name)]
    package = " ".join(absent) or error.name or "the missing package"
    return RunError.of(
        "missing-library",
        f"the format '{used.name}' needs {package}, which is not installed here: "
        f"{reason_of(error)}",
        fix=f"pip install {package}",
    )


def _is_installed(name: str) -> bool:
    module = {"pillow": "PIL"}.get(name, name)
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def describe(value: Any, preview_rows: int = 0) -> dict[str, Any]:
    """Return what a record says of a value: rows, columns, types; a preview where it is wanted.

    Never fails: what cannot be described is left out.
    """
    try:
        return _describe(value, preview_rows)
    except Exception as error:
        return {"undescribed": f"{type(error).__name__}: {error}"[:200]}


def _describe(value: Any, preview_rows: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if _is(value, "pandas", "DataFrame"):
        found["rows"] = len(value)
        found["columns"] = {str(name): str(kind) for name, kind in value.dtypes.items()}
        if preview_rows:
            text = value.head(preview_rows).to_json(
                orient="split", date_format="iso", default_handler=str
            )
            found["preview"] = json.loads(text)
    elif _is(value, "pandas", "Series"):
        found["rows"] = len(value)
        found["columns"] = {str(value.name): str(value.dtype)}
        if preview_rows:
            found["preview"] = value.head(preview_rows).to_string()[:2000]
    elif _is(value, "polars", "DataFrame"):
        found["rows"] = value.height
        found["columns"] = {name: str(kind) for name, kind in value.schema.items()}
        if preview_rows:
            found["preview"] = str(value.head(preview_rows))[:2000]
    elif _is_table(value):
        found["rows"] = value.num_rows
        found["columns"] = {field.name: str(field.type) for field in value.schema}
        if preview_rows:
            found["preview"] = repr(value.slice(0, preview_rows).to_pylist())[:2000]
    elif _is(value, "numpy", "ndarray"):
        found["rows"] = int(value.shape[0]) if value.shape else 1
        found["shape"] = [int(size) for size in value.shape]
        found["dtype"] = str(value.dtype)
        if preview_rows:
            found["preview"] = repr(value[:preview_rows] if value.shape else value)[:2000]
    else:
        if type(value) in (list, dict, str, bytes, tuple, set, frozenset):
            found["rows"] = len(value)
        if preview_rows:
            found["preview"] = repr(value)[:2000]
    return found
