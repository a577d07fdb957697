"""Where the call that makes a node stands in the user's source, and where its parts do."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagforge.errors import Origin
from dagforge.reading.kedro_places import CallPlace

SOURCE = '''\
"""Żółw."""
from kedro.pipeline import Pipeline, node, pipeline

OUT = "model"


def create_pipeline():
    return pipeline([node(train, ["table@pandas", "params:rate"], OUT, name="train"), node(
        func=check,
        inputs={"é": "model", "other": "table"},
        outputs=None,
        tags=["late", "airflow.check"],
        name="check",
    )] + [Node(f, f"in{i}", f"out{i}", name=f"n{i}") for i in range(3)])
'''
PARTS = (
    ("inputs", ("ns.table", "params:rate")),
    ("outputs", ("ns.model",)),
    ("tags", ("late",)),
    ("name", ("train",)),
)
CHECK = (
    ("inputs", ("model", "table")),
    ("tags", ("airflow.check", "from_outside", "late")),
    ("name", ("check",)),
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "pipeline.py"
    file.write_text(SOURCE, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("line", "parts", "path", "place"),
    [
        (8, PARTS, (), "p.py:8:22"),
        (8, PARTS, ("inputs",), "p.py:8:34"),
        (8, PARTS, ("inputs", 0), "p.py:8:35"),
        (8, PARTS, ("inputs", 1), "p.py:8:51"),
        (8, PARTS, ("outputs", 0), "p.py:8:67"),
        (8, PARTS, ("tags", 0), "p.py:8:22"),
        (8, PARTS, ("name",), "p.py:8:77"),
        (8, PARTS, ("settings", "retries"), "p.py:8:22"),
        (8, CHECK, (), "p.py:8:87"),
        (8, (), (), "p.py:8:12"),
        # A line in the middle of a call is that of the call, as older Pythons count.
        (10, CHECK, (), "p.py:8:87"),
        (10, CHECK, ("inputs", 0), "p.py:10:22"),
        (10, CHECK, ("inputs", 1), "p.py:10:40"),
        (10, CHECK, ("tags", 0), "p.py:12:23"),
        (10, CHECK, ("tags", 1), "p.py:12:14"),
        (14, (("inputs", ("in1",)),), ("inputs", 0), "p.py:14:19"),
        (1, (), (), "p.py:1"),
        (None, (), ("inputs",), "p.py"),
    ],
)
def test_places(
    source: Path,
    line: int | None,
    parts: tuple[tuple[str, tuple[str, ...]], ...],
    path: tuple[str | int, ...],
    place: str,
) -> None:
    name = dict(parts).get("name", ("n",))[0]
    call = CallPlace("p.py", source, line, name, parts)
    assert str(Origin(call, path).location()) == place


def test_a_file_that_is_gone_or_changed(source: Path) -> None:
    call = CallPlace("p.py", source, 8, "train", PARTS)
    assert str(call.locate(())) == "p.py:8:22"
    source.write_text("\n" * 7 + "x = node(f)\n", encoding="utf-8")
    assert str(call.locate(())) == "p.py:8:5"
    source.write_text("def :\n", encoding="utf-8")
    assert str(call.locate(("tags", 0))) == "p.py:8"
    source.unlink()
    assert str(call.locate(("tags", 0))) == "p.py:8"


def test_one_node_is_the_same_in_every_pipeline(source: Path) -> None:
    one, other = (CallPlace("p.py", source, 8, "train", PARTS) for _ in range(2))
    assert Origin(one) == Origin(other)
    assert Origin(one) != Origin(CallPlace("p.py", source, 8, "check", PARTS))
    assert one.data["inputs"] == ["ns.table", "params:rate"]
