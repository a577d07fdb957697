"""Where the values of a TOML file stand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dagforge.reading.toml import TomlDocument, read_toml

TEXT = '''\
# a comment with = and [brackets]
name = "shop"   # the project
"quoted key" = 'a # in text'
dotted.part."last one" = 5
many = """
[not.a.table]
key = 1 \\""" still text
"""
lit = \'\'\'
x = 'y'\'\'\'
empty = []
words = [
    "one",  # [
    'two', ["three", 4],
]

[tool.dagforge]
extends = ["acme"]
"unicod\\u0065" = 1979-05-27T07:32:00Z
policy = {retries = {max = 5, "min" = 1}, tags = [ {a = 1}, {b = true} ]}

  [ tool . dagforge . "sub.table" ]
  key = +inf

[[list]]
first = 1
[list.inner]
deep = 1
[[list]]
first = 2
'''


def document(folder: Path, text: str) -> TomlDocument:
    (folder / "x.toml").write_bytes(text.encode())
    read = read_toml(folder / "x.toml", "x.toml")
    assert read is not None
    return read


def paths(value: Any, above: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield every path in nested values and what is there."""
    if above:
        yield above, value
    parts = enumerate(value) if isinstance(value, list) else ()
    for part, inner in value.items() if isinstance(value, dict) else parts:
        yield from paths(inner, (*above, part))


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_every_value_is_where_its_text_is(tmp_path: Path, line_end: str) -> None:
    read = document(tmp_path, TEXT.replace("\n", line_end))
    lines = TEXT.split("\n")
    found = list(paths(read.data))
    assert len(found) == 37
    for path, value in found:
        at, key = read.locate(path), read.locate(path, key=True)
        assert at.line and at.column and key.line and key.column, path
        begins = lines[at.line - 1][at.column - 1 :]
        if isinstance(value, str):
            assert begins[0] in "'\"", path
            assert begins[1:].startswith(value) or begins[:3] in ('"""', "'''"), path
        elif isinstance(value, bool):
            assert begins.startswith("true"), path
        elif isinstance(value, int):
            assert begins.startswith(str(value)), path
        named = lines[key.line - 1][key.column - 1 :]
        if isinstance(path[-1], str) and named[0] != "[":
            assert named.strip("'\"").startswith((path[-1], "unicod")), path


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("tool", "dagforge"), "x.toml:17:1"),
        (("tool", "dagforge", "extends", 0), "x.toml:18:12"),
        (("tool", "dagforge", "policy", "retries", "min"), "x.toml:20:39"),
        (("tool", "dagforge", "policy", "retries", "nothing"), "x.toml:20:21"),
        (("tool", "dagforge", "policy", "tags", 1, "b"), "x.toml:20:66"),
        (("list", 1, "first"), "x.toml:30:9"),
        (("list", 0, "inner", "deep"), "x.toml:28:8"),
        (("nothing",), "x.toml"),
        ((), "x.toml"),
    ],
)
def test_places(tmp_path: Path, path: tuple[str | int, ...], place: str) -> None:
    assert str(document(tmp_path, TEXT).locate(path)) == place


def test_what_is_nested_deep_is_at_what_is_around_it(tmp_path: Path) -> None:
    text = "a = 1\nb = " + "[" * 150 + "]" * 150
    assert str(document(tmp_path, text).locate(("b", *[0] * 149))) == "x.toml:2:154"
