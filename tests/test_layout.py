"""Literals and their layout, against `ast.literal_eval` and the real `ruff format`."""

from __future__ import annotations

import ast
import math
import random
import subprocess
import sys
from collections import OrderedDict
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagforge.templating.layout import (
    Call,
    Chain,
    Code,
    NoLiteralError,
    layout,
    literal,
    quote,
    text_width,
)

STRINGS = st.text(
    st.characters()
    | st.sampled_from("\"'\\{}%#\n\r\t\x00\x85\u2028\ud800\udfff\ue000\uf8ff漢字é́🚀"),
    max_size=30,
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | STRINGS
)
KEYS = STRINGS | st.integers() | st.booleans() | st.none() | st.tuples(STRINGS, st.integers())


VALUES = st.recursive(
    SCALARS,
    lambda items: (
        st.lists(items, max_size=6)
        | st.lists(items, max_size=6).map(tuple)
        | st.dictionaries(KEYS, items, max_size=6)
    ),
    max_leaves=25,
)


class Values:
    """Random values whose layout is compared with ruff's; plain `random` is fast enough for many.

    ruff counts a few hundred characters of rare scripts otherwise than we do: none is in here.
    """

    def __init__(self, seed: int, *, single: bool) -> None:
        self.random = random.Random(seed)
        self.single = single

    def text(self) -> str:
        return "".join(self.random.choices("abcdefg \"'\\漢é🚀\n", k=self.random.randrange(25)))

    def name(self) -> Code:
        return Code("".join(self.random.choices("abc_", k=self.random.randrange(1, 30))))

    def count(self) -> int:
        count = self.random.randrange(6)
        return count if self.single or count != 1 else 2

    def scalar(self) -> Any:
        number = self.random.choice([0, -1, 10**20, 1.5, -1e30, 1e-9, math.nan, -math.inf])
        return self.random.choice([self.text(), self.text(), self.name(), number, None, True])

    def value(self, depth: int) -> Any:
        kind = self.random.randrange(6 if depth else 2)
        if kind < 2:
            return self.scalar()
        items = [self.value(depth - 1) for _ in range(self.count())]
        if kind == 2:
            return items
        if kind == 3:
            return tuple(items)
        if kind == 4:
            return {self.text() + str(number): item for number, item in enumerate(items)}
        split = self.random.randrange(len(items) + 1)
        named = {f"{self.name()}{number}": item for number, item in enumerate(items[split:])}
        return Call(self.name(), tuple(items[:split]), named)

    def nested(self) -> Any:
        while True:
            value = self.value(self.random.randrange(1, 4))
            if isinstance(value, (list, tuple, dict)) or (isinstance(value, Call) and value.kwargs):
                return value

    def chain(self) -> Chain:
        links: list[Any] = [self.name() for _ in range(self.random.randrange(2, 4))]
        for place in range(len(links)):
            if self.random.random() < 0.4:
                links[place] = [self.name() for _ in range(self.random.randrange(2, 5))]
        return Chain(tuple(links))


def ruff_format(source: str) -> str:
    """Return what the real ruff makes of `source`."""
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--stdin-filename=x.py", "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "None"),
        (True, "True"),
        (0, "0"),
        (-7, "-7"),
        (10**4000, "1" + "0" * 4000),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (1e16, "1e16"),
        (1e-7, "1e-07"),
        (math.nan, 'float("nan")'),
        (math.inf, 'float("inf")'),
        (-math.inf, 'float("-inf")'),
        ("", '""'),
        ("plain", '"plain"'),
        ('say "hi"', "'say \"hi\"'"),
        ("O'Brien", '"O\'Brien"'),
        ('O\'Brien "R&D" \\ {{ ds }}', "'O\\'Brien \"R&D\" \\\\ {{ ds }}'"),
        ("'\"", '"\'\\""'),
        ("a\nb\tc\r\x00\x7f\x85", '"a\\nb\\tc\\r\\x00\\x7f\\x85"'),
        ("\u2028\u200b\ufeff", '"\\u2028\\u200b\\ufeff"'),
        ("\ue000\U000f0000", '"\\ue000\\U000f0000"'),
        ("\ud800", '"\\ud800"'),
        ("\ufdd0\uffff", '"\\ufdd0\\uffff"'),
        ("é 漢 🚀", '"é 漢 🚀"'),
        ("__import__('os')", "\"__import__('os')\""),
        ([], "[]"),
        ((), "()"),
        ((1,), "(1,)"),
        ({}, "{}"),
        ([1, ("a", None)], '[1, ("a", None)]'),
        ({"a": 1, 2: [True], (1, "x"): {}}, '{"a": 1, 2: [True], (1, "x"): {}}'),
        (OrderedDict(b=1, a=2), '{"b": 1, "a": 2}'),
        (MappingProxyType({"a": 1}), '{"a": 1}'),
        (Code("dag_id"), "dag_id"),
        ([Code("a"), "a"], '[a, "a"]'),
        (
            Call(Code("k8s.V1Toleration"), ("x",), {"key": "gpu"}),
            'k8s.V1Toleration("x", key="gpu")',
        ),
        (Call(Code("f")), "f()"),
        (Chain((Code("a"), [Code("b"), Code("c")])), "a >> [b, c]"),
    ],
)
def test_literal(value: object, expected: str) -> None:
    assert literal(value) == expected


def test_an_integer_that_python_would_not_read_is_hexadecimal() -> None:
    assert literal(1 << 20_000) == "0x1" + "0" * 5000
    assert literal(-(1 << 20_000)) == "-0x1" + "0" * 5000
    assert ast.literal_eval(literal([1 << 20_000])) == [1 << 20_000]


def test_a_string_subclass_is_written_by_its_text() -> None:
    class TaskId(str):
        def __str__(self) -> str:
            return "other"

        __repr__ = __str__

    assert literal(TaskId("load")) == '"load"'


def test_an_int_subclass_is_written_by_its_value() -> None:
    class Level(int):
        def __repr__(self) -> str:
            return "__import__('os')"

    assert literal([Level(3)]) == "[3]"


@pytest.mark.parametrize("value", [{1}, frozenset(), b"x", object(), 1j, ..., int, len, range(3)])
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [x], lambda x: {"a": (x,)}])
def test_other_types_are_refused(value: object, wrap: Any) -> None:
    with pytest.raises(NoLiteralError) as caught:
        literal(wrap(value))
    assert caught.value.value is value


@pytest.mark.parametrize(
    ("value", "indent", "room", "expected"),
    [
        ([1, 2], 4, 6, "[1, 2]"),
        ([1, 2], 4, 5, "[\n        1,\n        2,\n    ]"),
        ([], 4, 0, "[]"),
        ("long", 4, 0, '"long"'),
        ((1,), 0, 0, "(\n    1,\n)"),
        ({"a": [1]}, 0, 0, '{\n    "a": [1],\n}'),
        (Call(Code("f"), (1,), {"a": 2}), 0, 5, "f(\n    1, a=2\n)"),
        (
            Call(Code("f"), ("x" * 50,), {"a": "y" * 50}),
            0,
            5,
            f'f(\n    "{"x" * 50}",\n    a="{"y" * 50}",\n)',
        ),
        (Call(Code("f")), 0, 0, "f()"),
        (
            [Code("[\n    1,\n]"), 2],
            4,
            80,
            "[\n        [\n            1,\n        ],\n        2,\n    ]",
        ),
        (Chain((Code("a"), [Code("b"), Code("c")])), 0, 9, "a >> [\n    b,\n    c,\n]"),
        (Chain(([Code("b"), Code("c")], Code("a"))), 0, 9, "[\n    b,\n    c,\n] >> a"),
        (Chain((Code("a"), Code("b"))), 4, 5, "(\n        a\n        >> b\n    )"),
    ],
)
def test_layout(value: object, indent: int, room: int, expected: str) -> None:
    assert layout(value, indent, room) == expected


@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_literals_give_the_value_back(value: Any) -> None:
    assert ast.literal_eval(literal(value)) == value
    assert repr(ast.literal_eval(literal(value))) == repr(value)


@given(VALUES, st.integers(0, 80), st.integers(0, 90))
@settings(max_examples=100, deadline=None)
def test_layouts_give_the_value_back(value: Any, indent: int, room: int) -> None:
    assert repr(ast.literal_eval(layout(value, indent, room))) == repr(value)


@given(STRINGS)
@settings(max_examples=300, deadline=None)
def test_quoted_text_is_one_line_that_can_be_seen(text: str) -> None:
    quoted = quote(text)
    assert ast.literal_eval(quoted) == text
    assert "\n" not in quoted
    assert all(ord(char) not in range(0xD800, 0xF900) for char in quoted)


def assert_ruff(sources: list[str], expected: list[str]) -> None:
    """Compare statement by statement, so that a failure shows the one that differs."""
    mark = "\n# -\n"
    formatted = ruff_format(mark.join(sources) + "\n").split(mark)
    formatted[-1] = formatted[-1].removesuffix("\n")
    assert len(formatted) == len(expected)
    for ours, theirs in zip(expected, formatted, strict=True):
        assert ours == theirs


@pytest.mark.parametrize("seed", range(4))
def test_ruff_leaves_the_layout_unchanged(seed: int) -> None:
    values = Values(seed, single=True)
    sources = [f"x = {layout(values.nested(), 0, 84)}" for _ in range(2000)]
    assert_ruff(sources, sources)


@pytest.mark.parametrize("seed", range(4))
def test_ruff_lays_one_line_out_the_same(seed: int) -> None:
    values = Values(seed, single=False)
    nested = [values.nested() for _ in range(2000)]
    assert_ruff(
        [f"x = {literal(value)}" for value in nested],
        [f"x = {layout(value, 0, 84)}" for value in nested],
    )


@pytest.mark.parametrize("seed", range(4))
def test_ruff_lays_chains_out_the_same(seed: int) -> None:
    values = Values(seed, single=True)
    chains = [values.chain() for _ in range(1000)]
    assert_ruff(
        [f"with dag:\n    {literal(chain)}" for chain in chains],
        [f"with dag:\n    {layout(chain, 4, 84)}" for chain in chains],
    )


@pytest.mark.parametrize(
    ("text", "width"),
    [("abc", 3), ("é", 1), ("e\u0301", 1), ("漢字", 4), ("🚀", 2), ("ｱ", 1), ("Ａ", 2)],
)
def test_width(text: str, width: int) -> None:
    assert text_width(text) == width
