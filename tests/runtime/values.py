"""Values of every kind that a node may return, and how two of them are told apart."""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from PIL import Image
from sklearn.linear_model import LogisticRegression

BERLIN = pd.to_datetime(["2020-01-01", None]).tz_localize("Europe/Berlin")
TWO_HOURS = datetime.timezone(datetime.timedelta(hours=2))


class Custom:
    """A class of the project's own."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Custom) and other.number == self.number

    __hash__ = None  # type: ignore[assignment]


def _frame(values: Any, **options: Any) -> Any:
    return pd.DataFrame({"a": values}, **options)


def _objects(*values: Any) -> Any:
    return pd.Series(list(values), dtype=object)


def _image(mode: str, palette: bool = True) -> Any:
    size = 3, 2
    image = Image.frombytes(mode, size, bytes(range(len(Image.new(mode, size).tobytes()))))
    if mode == "P" and palette:
        image.putpalette(range(18))
    return image


def _named_attrs() -> Any:
    frame = _frame([1])
    frame.attrs["unit"] = "kg"
    return frame


def _model() -> Any:
    return LogisticRegression().fit([[0], [1]], [0, 1])


_MULTI = pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["letter", None])
_CATEGORY_LEVEL = pd.MultiIndex.from_arrays([pd.CategoricalIndex(["x"], ["y", "x"]), [1]])

# Name, format that is expected, and what makes the value.
VALUES: list[tuple[str, str, Callable[[], Any]]] = [
    # pandas: dtypes
    ("numbers", "pandas-parquet", lambda: _frame([1.5, math.nan, -0.0, math.inf])),
    ("small integers", "pandas-parquet", lambda: _frame(np.array([1, 255], "u1"))),
    ("half floats", "pandas-parquet", lambda: _frame(np.array([1.5], "f2"))),
    ("nullable integers", "pandas-parquet", lambda: _frame(pd.array([1, None], dtype="Int64"))),
    ("nullable floats", "pandas-parquet", lambda: _frame(pd.array([1.5, None], dtype="Float64"))),
    ("nullable truths", "pandas-parquet", lambda: _frame(pd.array([True, None], dtype="boolean"))),
    ("text", "pandas-parquet", lambda: _frame(["é", None, ""])),
    ("string dtype", "pandas-parquet", lambda: _frame(pd.array(["a", None], dtype="string"))),
    ("text objects, None", "pandas-parquet", lambda: _frame(_objects("a", None))),
    ("text objects, NaN", "pandas-parquet", lambda: _frame(_objects("a", math.nan))),
    ("bytes objects", "pandas-parquet", lambda: _frame(_objects(b"\0", None))),
    ("truth objects", "pandas-parquet", lambda: _frame(_objects(True, None, False))),
    ("date objects", "pandas-parquet", lambda: _frame(_objects(datetime.date(2020, 1, 1)))),
    ("no objects", "pandas-parquet", lambda: _frame(_objects())),
    ("only None", "pandas-parquet", lambda: _frame(_objects(None, None))),
    ("times ns", "pandas-parquet", lambda: _frame(np.array(["2020-01-01", "NaT"], "M8[ns]"))),
    ("times ms", "pandas-parquet", lambda: _frame(np.array(["2020-01-01"], "M8[ms]"))),
    ("times s", "pandas-arrow", lambda: _frame(np.array(["2020-01-01"], "M8[s]"))),
    ("zone", "pandas-parquet", lambda: _frame(BERLIN)),
    ("offset", "pandas-parquet", lambda: _frame(pd.to_datetime(["2020"]).tz_localize(TWO_HOURS))),
    ("timedeltas", "pandas-parquet", lambda: _frame(np.array([3, "NaT"], "m8[ns]"))),
    ("periods", "pandas-parquet", lambda: _frame(pd.period_range("2020", periods=2, freq="M"))),
    ("intervals", "pandas-parquet", lambda: _frame(pd.interval_range(0, 2))),
    (
        "categories, unused and ordered",
        "pandas-parquet",
        lambda: _frame(pd.Categorical(["a", None], ["z", "a", "q"], ordered=True)),
    ),
    ("categories of integers", "pandas-arrow", lambda: _frame(pd.Categorical([3], [5, 3]))),
    ("arrow dtype", "pandas-parquet", lambda: _frame(pd.Series([1, None], dtype="int64[pyarrow]"))),
    ("sparse", "pickle", lambda: _frame(pd.arrays.SparseArray([0, 1]))),
    ("complex", "pickle", lambda: _frame([1j])),
    ("decimals", "pickle", lambda: _frame(_objects(decimal.Decimal("1.10"), decimal.Decimal(2)))),
    ("lists in cells", "pickle", lambda: _frame(_objects([1], [2, 3]))),
    ("mixed objects", "pickle", lambda: _frame(_objects("a", 1))),
    ("both missing", "pickle", lambda: _frame(_objects("a", None, math.nan))),
    ("mixed after the first rows", "pickle", lambda: _frame(_objects(*["a"] * 50, 1))),
    ("lone surrogate", "pickle", lambda: _frame(_objects("a", "\udc80"))),
    # pandas: indexes and columns
    ("index", "pandas-parquet", lambda: _frame([1, 2], index=[7, 5])),
    ("range index", "pandas-parquet", lambda: _frame([1, 2], index=pd.RangeIndex(5, 9, 2))),
    ("named range", "pandas-parquet", lambda: _frame([1], index=pd.RangeIndex(1, name="n"))),
    (
        "index named as a column",
        "pandas-parquet",
        lambda: _frame([1], index=pd.Index([7], name="a")),
    ),
    ("multi index", "pandas-parquet", lambda: _frame([1, 2], index=_MULTI)),
    ("category level", "pandas-parquet", lambda: _frame([1], index=_CATEGORY_LEVEL)),
    ("text index", "pandas-parquet", lambda: _frame([1], index=["x"])),
    ("object index", "pandas-parquet", lambda: _frame([1], index=pd.Index(["x"], dtype=object))),
    ("mixed index", "pickle", lambda: _frame([1, 2], index=pd.Index(["x", 1], dtype=object))),
    ("frequency", "pandas-parquet", lambda: _frame([1, 2], index=pd.date_range("2020", periods=2))),
    ("index named by a number", "pickle", lambda: _frame([1], index=pd.Index([1], name=5))),
    ("integer column names", "pickle", lambda: pd.DataFrame([[1, 2]])),
    ("columns twice", "pickle", lambda: pd.DataFrame([[1, 2]], columns=["a", "a"])),
    ("column levels", "pickle", lambda: pd.DataFrame([[1]], columns=_MULTI[:1])),
    (
        "object columns",
        "pandas-parquet",
        lambda: pd.DataFrame([[1]], columns=pd.Index(["a"], dtype=object)),
    ),
    ("category columns", "pickle", lambda: pd.DataFrame([[1]], columns=pd.CategoricalIndex(["a"]))),
    ("named columns", "pandas-parquet", lambda: _frame([1]).rename_axis(columns="c")),
    ("attrs", "pickle", _named_attrs),
    ("empty", "pandas-parquet", lambda: pd.DataFrame()),
    ("no rows", "pandas-parquet", lambda: _frame([]).astype({"a": "int32"})),
    ("no columns", "pandas-parquet", lambda: pd.DataFrame(index=[1, 2])),
    ("many rows", "pandas-parquet", lambda: _frame(np.arange(100_000) % 7)),
    ("series", "series-parquet", lambda: pd.Series([1, 2], index=[5, 6])),
    ("named series", "series-parquet", lambda: pd.Series([1.0], name="v")),
    ("series of seconds", "series-arrow", lambda: pd.Series(np.array(["2020"], "M8[s]"))),
    ("series named by a number", "pickle", lambda: pd.Series([1], name=3)),
    ("text series", "series-parquet", lambda: _objects("a", None)),
    ("timestamp", "pickle", lambda: pd.Timestamp("2020", tz="UTC")),
    # other tables
    ("polars", "polars-parquet", lambda: pl.DataFrame({"a": [1, None], "l": [[1], [2, 3]]})),
    ("polars empty", "polars-parquet", lambda: pl.DataFrame({"a": pl.Series([], dtype=pl.Int8)})),
    ("polars dates", "polars-parquet", lambda: pl.DataFrame({"a": [datetime.date(2020, 1, 1)]})),
    ("polars series", "pickle", lambda: pl.Series("s", [1, None])),
    ("arrow", "arrow-parquet", lambda: pa.table({"a": [1, None], "b": ["x", "é"]})),
    ("arrow lists", "arrow", lambda: pa.table({"a": [["x"], []]})),
    ("arrow metadata", "arrow-parquet", lambda: pa.table({"a": [1]}, metadata={"k": "v"})),
    ("arrow seconds", "arrow", lambda: pa.table({"a": pa.array([1], pa.timestamp("s"))})),
    # numpy
    ("array", "npy", lambda: np.arange(6.0).reshape(2, 3)),
    ("array of one number", "npy", lambda: np.array(3)),
    ("array of nothing", "npy", lambda: np.zeros((0, 3), "f4")),
    ("columns first", "npy", lambda: np.asfortranarray(np.arange(6).reshape(2, 3))),
    ("every second", "npy", lambda: np.arange(6)[::2]),
    ("big endian", "npy", lambda: np.array([1], ">i4")),
    ("complex array", "npy", lambda: np.array([1j])),
    ("truths", "npy", lambda: np.array([True, False])),
    ("text array", "npy", lambda: np.array(["a", "bé"])),
    ("times array", "npy", lambda: np.array(["2020", "NaT"], "M8[D]")),
    ("structured", "npy", lambda: np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8", (1,))])),
    ("object array", "pickle", lambda: np.array([1, "a"], dtype=object)),
    ("masked", "pickle", lambda: np.ma.masked_array([1, 2], [True, False])),
    ("numpy number", "pickle", lambda: np.float64(1.5)),
    # pictures
    *[
        (f"image {mode}", "image", lambda mode=mode: _image(mode))
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
    ],
    ("image without its palette", "pickle", lambda: _image("P", palette=False)),
    ("image CMYK", "pickle", lambda: _image("CMYK")),
    # Python's own
    ("None", "json", lambda: None),
    ("truth", "json", lambda: True),
    ("integer", "json", lambda: -7),
    ("largest integer", "json", lambda: 2**63 - 1),
    ("big integer", "pickle", lambda: 10**30),
    ("float", "json", lambda: 0.1 + 0.2),
    ("smallest float", "json", lambda: 5e-324),
    ("minus zero", "json", lambda: -0.0),
    ("NaN", "pickle", lambda: math.nan),
    ("infinity", "pickle", lambda: -math.inf),
    ("str", "text", lambda: "é\r\n\u2028\0"),
    ("surrogate", "pickle", lambda: "\udc80"),
    ("bytes", "bytes", lambda: b"\0\xff"),
    ("bytearray", "pickle", lambda: bytearray(b"a")),
    ("list", "json", lambda: [1, "a", None, {"k": [1.5, True]}]),
    ("mapping", "json", lambda: {"b": 1, "a": {"": []}}),
    ("keys in order", "json", lambda: {"z": 1, "a": 2}),
    ("integer keys", "pickle", lambda: {1: "a"}),
    ("tuple", "pickle", lambda: (1, 2)),
    ("tuple inside", "pickle", lambda: {"a": [(1, 2)]}),
    ("set", "pickle", lambda: {1, 2}),
    ("frozenset", "pickle", lambda: frozenset("ab")),
    ("numpy inside", "pickle", lambda: {"a": np.float64(2)}),
    ("frames inside", "pickle", lambda: {"a": _frame([1])}),
    ("datetime", "pickle", lambda: datetime.datetime(2020, 1, 1, tzinfo=TWO_HOURS)),
    ("decimal", "pickle", lambda: decimal.Decimal("1.10")),
    ("own class", "pickle", lambda: Custom(3)),
    ("function", "pickle", lambda: lambda x: x + 1),
    ("model", "joblib", _model),
]


def same(one: Any, other: Any) -> bool:
    """Say whether two values are the same: type, content, and everything around it."""
    if type(one) is not type(other):
        return False
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other, check_exact=True, check_freq=True)
        kept = one.columns.dtype == other.columns.dtype and one.attrs == other.attrs
        return bool(kept) and all(_same_cells(one[c], other[c]) for c in _unique(one))
    if isinstance(one, pd.Series):
        pd.testing.assert_series_equal(one, other, check_exact=True, check_freq=True)
        return _same_cells(one, other)
    if isinstance(one, (pl.DataFrame, pl.Series)):
        kinds = (one.schema, other.schema) if isinstance(one, pl.DataFrame) else (1, 1)
        return bool(one.equals(other) and kinds[0] == kinds[1])
    if isinstance(one, pa.Table):
        return bool(one.equals(other, check_metadata=True))
    if isinstance(one, np.ndarray):
        order = one.flags.f_contiguous == other.flags.f_contiguous or one.ndim < 2
        return bool(
            one.dtype == other.dtype
            and one.shape == other.shape
            and order
            and repr(one) == repr(other)
        )
    if isinstance(one, Image.Image):
        colours = one.convert("RGBA").tobytes() == other.convert("RGBA").tobytes()
        return bool(one.tobytes() == other.tobytes() and one.mode == other.mode and colours)
    if isinstance(one, LogisticRegression):
        return bool((one.coef_ == other.coef_).all())
    if isinstance(one, dict) and any(isinstance(each, pd.DataFrame) for each in one.values()):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if callable(one):
        return bool(one(1) == other(1))
    if isinstance(one, float):
        return bool(one.hex() == other.hex())
    if isinstance(one, (dict, list)):
        return repr(one) == repr(other)
    return bool(one == other)


def _unique(frame: Any) -> list[Any]:
    return list(frame.columns) if frame.columns.is_unique else []


def _same_cells(one: Any, other: Any) -> bool:
    """Say whether missing values are the same ones: None is not NaN."""
    return str(one.dtype) != "object" or list(map(type, one)) == list(map(type, other))
