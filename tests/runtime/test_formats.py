"""Formats: every value comes back exactly, or is refused with what to do about it."""

from __future__ import annotations

import builtins
import io
import json
import pickle
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dagforge.frontends.catalog import FORMATS
from dagforge.runtime import formats
from dagforge.runtime.errors import RunError
from dagforge.runtime.files import Files
from dagforge.runtime.formats import BUILT_IN, Format, Ref, describe, format_named, formats_for
from dagforge.runtime.places import RunPlace
from dagforge.runtime.store import DatasetRecord, Store, now
from tests.runtime.values import VALUES, Custom, same

STARTED = now()


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    url = f"file://{tmp_path}/store" if request.param == "file" else f"memory:/{tmp_path}"
    return Store(Files(url), RunPlace("team", None, "dag", "r"))


def put(store: Store, value: Any, name: str = "value", **options: Any) -> DatasetRecord:
    return store.save(name, value, producer="task", started=STARTED, **options)


@pytest.mark.parametrize(("name", "expected", "make"), VALUES, ids=[each[0] for each in VALUES])
def test_every_value_comes_back_exactly(
    store: Store, name: str, expected: str, make: Callable[[], Any]
) -> None:
    value = make()
    assert put(store, value, name).format == expected
    back, record = store.load(name)
    assert same(value, back)
    assert record.sha256 is not None
    assert record.size is not None
    assert same(value, make()), "saving has changed the value"


@pytest.mark.parametrize("kind", ["category", "float64", "string"])
def test_a_function_may_write_into_what_it_is_given(store: Store, kind: str) -> None:
    put(store, pd.DataFrame({"a": pd.Series([1, 2]).astype(kind)}))
    frame, _ = store.load("value")
    frame.iloc[0, 0] = frame.iloc[1, 0]
    assert frame["a"].iloc[0] == frame["a"].iloc[1]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters()) | st.integers(), inner, max_size=4)
        | st.tuples(inner)
    ),
    max_leaves=12,
)


@given(JSON)
def test_plain_data_come_back_exactly_in_the_format_that_is_chosen(value: Any) -> None:
    used = next(formats_for(value, True))
    assert used.name in ("json", "text", "pickle")
    if used.name == "json":
        assert repr(json.loads(json.dumps(value))) == repr(value)
    elif used.name == "text":
        assert value.encode().decode() == value
    else:
        assert repr(pickle.loads(pickle.dumps(value))) == repr(value)


CELLS = (
    st.none()
    | st.text(st.characters(), max_size=3)
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.booleans()
    | st.dates()
    | st.binary(max_size=3)
)


@settings(max_examples=40, deadline=None)
@given(st.lists(CELLS, max_size=12), st.booleans())
def test_columns_of_any_objects_come_back_exactly(values: list[Any], infer: bool) -> None:
    column = pd.Series(values) if infer else pd.Series(values, dtype=object)
    store = Store(Files("memory://columns"), RunPlace("team", None, "dag", "r"))
    put(store, column.to_frame("a"))
    assert same(column.to_frame("a"), store.load("value")[0])


def test_a_list_that_holds_itself_is_no_json(store: Store) -> None:
    value: list[Any] = [1]
    value.append(value)
    assert put(store, value).format == "pickle"
    back, _ = store.load("value")
    assert back[1] is back


def test_a_list_that_is_held_very_often_is_looked_at_once() -> None:
    value: list[Any] = []
    for _ in range(100):
        value = [value, value]
    assert next(formats_for(value, True)).name == "json"


def test_what_is_too_deep_for_json_is_pickled(store: Store) -> None:
    value: list[Any] = []
    for _ in range(300):
        value = [value]
    assert put(store, value).format == "pickle"


def test_a_reference_hands_over_only_the_place(store: Store) -> None:
    record = put(store, Ref("s3://bucket/spark/table"))
    assert (record.format, record.size) == ("ref", 23)
    assert store.load("value")[0] == Ref("s3://bucket/spark/table")


# --- what is refused


def _generator() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (_generator, "a generator cannot be handed to another task"),
        (threading.Lock, "_thread.lock cannot be handed to another task"),
        (lambda: io.StringIO("a"), "a _io.StringIO cannot be handed to another task"),
        (lambda: {"a": threading.Lock()}, "cannot be written as pickle: TypeError: cannot pickle"),
        (lambda: socket.socket(), "a socket.socket cannot be handed to another task"),
    ],
    ids=["generator", "lock", "file", "lock inside", "socket"],
)
def test_what_lives_in_one_process_is_refused(
    store: Store, make: Callable[[], Any], told: str
) -> None:
    value = make()
    with pytest.raises(RunError) as caught:
        put(store, value)
    assert told in str(caught.value)
    assert "[cannot-save]\n  fix: " in str(caught.value)
    assert store.record("value") is None
    if hasattr(value, "close"):
        value.close()


def test_pickle_may_be_refused(store: Store) -> None:
    put(store, Custom(3))
    store.allow_pickle = False
    with pytest.raises(RunError) as caught:
        put(store, Custom(3), "other")
    assert str(caught.value) == (
        "error: a tests.runtime.values.Custom can only be handed over as a pickle, which "
        "`allow_pickle` does not allow [pickle-refused]\n"
        "  fix: return a table, an array or plain data, give the dataset a `format:`, or allow "
        "pickles of 'tests'"
    )
    with pytest.raises(RunError, match="dataset 'value' can only be handed over as a pickle"):
        store.load("value")
    with pytest.raises(RunError, match="as a pickle"):
        put(store, Custom(3), format_name="pickle")
    assert put(store, [1], "plain").format == "json"


def test_pickle_may_be_allowed_for_modules(store: Store) -> None:
    store.allow_pickle = ["tests.runtime", "builtins"]
    for value in (Custom(3), (1, 2)):
        put(store, value)
        assert store.load("value")[0] == value
    with pytest.raises(RunError, match="pickle-refused"):
        put(store, pd.Timestamp("2020"))
    store.allow_pickle = ["tests.run"]
    with pytest.raises(RunError, match="pickle-refused"):
        put(store, Custom(3))


def test_why_a_table_cannot_be_parquet_is_told_where_pickle_is_off(store: Store) -> None:
    store.allow_pickle = False
    frame = pd.DataFrame({"a": pd.Series(["x"] * 20 + ["\udc80"], dtype=object)})
    with pytest.raises(RunError) as caught:
        put(store, frame)
    assert "cannot be written as pandas-parquet: UnicodeEncodeError" in str(caught.value)


# --- missing libraries


@pytest.mark.parametrize(
    ("make", "hidden", "told"),
    [
        (lambda: pd.DataFrame({"a": [1]}), "pyarrow", "'pandas-parquet' needs pyarrow"),
        (lambda: pd.Series([1]), "pyarrow", "'series-parquet' needs pyarrow"),
        (lambda: Custom(1), "cloudpickle", "'pickle' needs cloudpickle"),
    ],
    ids=["frame", "series", "pickle"],
)
def test_a_missing_library_says_what_to_install(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[], Any],
    hidden: str,
    told: str,
) -> None:
    value = make()
    hide(monkeypatch, hidden)
    with pytest.raises(RunError) as caught:
        put(store, value)
    assert told in str(caught.value)
    assert f"[missing-library]\n  fix: pip install {hidden}" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "form", "hidden", "package"),
    [
        (pd.DataFrame({"a": [1]}), "excel", "openpyxl", "openpyxl"),
        (Image.new("RGB", (1, 1)), "image", "PIL", "pillow"),
        (pl.DataFrame({"a": [1]}), "polars-parquet", "polars", "polars"),
        ([1], "joblib", "joblib", "joblib"),
    ],
)
def test_a_missing_library_when_reading(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    value: Any,
    form: str,
    hidden: str,
    package: str,
) -> None:
    put(store, value, format_name=form)
    hide(monkeypatch, hidden)
    with pytest.raises(RunError) as caught:
        store.load("value")
    assert f"the format '{form}' needs {package}, which is not installed here" in str(caught.value)
    assert f"fix: pip install {package}" in str(caught.value)


def hide(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Make a module and all below it impossible to import, as if it were not installed."""
    for name in list(sys.modules):
        if name == module or name.startswith(f"{module}."):
            monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def refuse(name: str, *arguments: Any, **named: Any) -> Any:
        if name == module or name.startswith(f"{module}."):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.setitem(sys.modules, module, None)


# --- explicit formats


FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", "é"]})


@pytest.mark.parametrize(
    ("form", "value", "save_args", "load_args"),
    [
        ("csv", FRAME, {"sep": ";"}, {"sep": ";"}),
        ("parquet", FRAME, {"compression": "gzip"}, {"columns": ["a", "b"]}),
        ("excel", FRAME, {"sheet_name": "data"}, {"sheet_name": "data"}),
        ("json", {"a": [1]}, {"indent": 2}, {}),
        ("jsonl", [{"a": 1}, {"a": "é"}], {}, {}),
        ("text", "é\r\n", {"encoding": "utf-16"}, {"encoding": "utf-16"}),
        ("bytes", b"\0", {}, {}),
        ("npy", VALUES[0][2]()["a"].to_numpy(), {}, {}),
        ("image", Image.new("RGB", (2, 2), (1, 2, 3)), {"optimize": True}, {}),
        ("pickle", (1, 2), {"protocol": 4}, {}),
        ("joblib", (1, 2), {"compress": 3}, {}),
    ],
)
def test_a_stated_format_with_its_arguments(
    store: Store, form: str, value: Any, save_args: dict[str, Any], load_args: dict[str, Any]
) -> None:
    record = put(store, value, format_name=form, save_args=save_args)
    assert record.format == form
    assert same(value, store.read(store.current("value"), load_args))


def test_a_table_of_lines(store: Store) -> None:
    put(store, FRAME, format_name="jsonl")
    assert store.load("value")[0] == [{"a": 1, "b": "x"}, {"a": 2, "b": "é"}]


def test_a_stated_format_that_does_not_take_the_value(store: Store) -> None:
    with pytest.raises(RunError) as caught:
        put(store, {"a": {1}}, format_name="json")
    assert "dataset 'value', a dict, cannot be written as json: TypeError" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("csv", "csv"),
        ("pandas.CSVDataset", "csv"),
        ("pandas.CSVDataSet", "csv"),
        ("kedro_datasets.pandas.ParquetDataset", "parquet"),
        ("pickle.PickleDataset", "pickle"),
        ("pillow.ImageDataset", "image"),
    ],
)
def test_kedro_names(name: str, expected: str) -> None:
    assert format_named(name).name == expected


@pytest.mark.parametrize("name", ["cvs", "polars.CSVDataset", "pandas.JSONDataset"])
def test_unknown_format(name: str) -> None:
    with pytest.raises(RunError) as caught:
        format_named(name)
    assert f"error: there is no format '{name}' [unknown-format]\n  fix: " in str(caught.value)


# --- formats of other packages


class Money(int):
    """A value that only another package knows."""


def _dump_money(value: Money, path: Path) -> None:
    path.write_text(f"{int(value)} EUR")


def _load_money(path: Path) -> Money:
    return Money(path.read_text().split()[0])


MONEY = Format("a name", "eur", lambda value: type(value) is Money, _dump_money, _load_money)
NO_FORMAT = 7


@pytest.fixture
def entry_points(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EntryPoint]]:
    points: list[EntryPoint] = []
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: EntryPoints(points))
    formats.registry.cache_clear()
    yield points
    formats.registry.cache_clear()


def test_a_format_of_an_entry_point(store: Store, entry_points: list[EntryPoint]) -> None:
    entry_points.append(EntryPoint("money", f"{__name__}:MONEY", formats.ENTRY_POINTS))
    record = put(store, Money(3))
    assert (record.format, record.file[-4:]) == ("money", ".eur")
    back, _ = store.load("value")
    assert type(back) is Money
    assert put(store, Money(3), format_name="money").format == "money"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (f"{__name__}:NO_FORMAT", "is a int, not a dagforge.runtime.formats.Format"),
        ("no_such_module:X", "cannot be loaded: ModuleNotFoundError: No module named"),
    ],
)
def test_an_entry_point_that_gives_no_format(
    store: Store, entry_points: list[EntryPoint], value: str, told: str
) -> None:
    entry_points.append(EntryPoint("bad", value, formats.ENTRY_POINTS))
    with pytest.raises(RunError) as caught:
        put(store, 1)
    assert f"the entry point bad = {value} of 'dagforge.formats' {told}" in str(caught.value)


def test_a_format_that_this_image_does_not_have(
    store: Store, entry_points: list[EntryPoint]
) -> None:
    entry_points.append(EntryPoint("money", f"{__name__}:MONEY", formats.ENTRY_POINTS))
    put(store, Money(3))
    entry_points.clear()
    formats.registry.cache_clear()
    with pytest.raises(RunError, match="written as 'money', a format that this image does not"):
        store.load("value")


# --- what records say of a value


@pytest.mark.parametrize(
    ("value", "rows", "expected"),
    [
        (FRAME, 0, {"rows": 2, "columns": {"a": "int64", "b": "str"}}),
        (pl.DataFrame({"a": [1]}), 0, {"rows": 1, "columns": {"a": "Int64"}}),
        ([1, 2], 0, {"rows": 2}),
        ([1, 2], 5, {"rows": 2, "preview": "[1, 2]"}),
        (7, 0, {}),
    ],
)
def test_what_a_record_says_of_a_value(value: Any, rows: int, expected: dict[str, Any]) -> None:
    assert describe(value, rows) == expected


def test_a_preview_is_of_the_rows_that_were_asked_for() -> None:
    assert describe(FRAME, 1)["preview"] == {
        "columns": ["a", "b"],
        "index": [0],
        "data": [[1, "x"]],
    }


def test_no_value_fails_its_description() -> None:
    class Shy:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert describe(Shy(), 5) == {"undescribed": "RuntimeError: no"}


def test_every_built_in_format_has_a_name_of_its_own() -> None:
    assert len({each.name for each in BUILT_IN}) == len(BUILT_IN)


def test_the_compiler_knows_the_formats_of_tasks() -> None:
    assert {each.name for each in formats.BUILT_IN} == FORMATS
