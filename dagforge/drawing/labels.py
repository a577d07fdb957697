"""What is written in and around the shapes: names of any kind, made fit to be shown."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from dagforge.drawing.model import Box, ColouredBy, Panel, Picture, Shape
from dagforge.errors import visible
from dagforge.planning.names import digest

LONGEST_NAME = 60
DATASETS_SHOWN = 3
MADE_BY = "Made by dagforge graph"
"""Stands near the beginning of every file, so that no other file is overwritten."""

_PLAIN = re.compile(r"[A-Za-z0-9_]{1,60}")


def shown(name: str) -> str:
    """Return a name in one line of printable characters, the middle of a long one left out."""
    text = visible(name).replace("\n", "\\n")
    if len(text) <= LONGEST_NAME:
        return text
    half = (LONGEST_NAME - 1) // 2
    return f"{text[:half]}\N{HORIZONTAL ELLIPSIS}{text[-half:]}"


def datasets_shown(datasets: tuple[str, ...]) -> str:
    """Return the datasets on an arrow; of many, the first and how many more there are."""
    names = [shown(name) for name in datasets]
    if len(names) > DATASETS_SHOWN + 1:
        names = [*names[:DATASETS_SHOWN], f"{len(names) - DATASETS_SHOWN} more"]
    return ", ".join(names)


@cache
def identifier(kind: str, name: str) -> str:
    """Return an id that depends on the name alone, for languages that take ASCII words.

    An id that says the name is what a reviewer can read, and a node that is added moves no other
    one. Nothing that begins with a `kind` is a keyword of Mermaid or Graphviz.

    Args:
        kind: a few letters without `_`, different for what may have equal names.
        name: any text.
    """
    if _PLAIN.fullmatch(name):
        return f"{kind}_{name}"
    words = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:30]
    # A second letter, as `a_1234` could be the name of another one.
    return f"{kind}x_{words}_{digest(name)}" if words else f"{kind}x_{digest(name)}"


def identifiers(panel: Panel, prefix: str) -> list[str]:
    """Return what the shapes of a panel are called in a text, in their order."""
    kind = "n" if panel.by == "node" else "t"
    return [f"{prefix}{identifier(kind, shape.name)}" for shape in panel.shapes]


def in_boxes(
    panel: Panel, ids: Sequence[str]
) -> Iterator[tuple[Box | None, Iterator[tuple[Shape, str]]]]:
    """Yield each box with its shapes and what they are called; None for those without a box."""
    pairs = zip(panel.shapes, ids, strict=True)
    for box, shapes in itertools.groupby(pairs, key=lambda pair: pair[0].box):
        yield None if box is None else panel.boxes[box], shapes


def headline(picture: Picture, panel: Panel) -> str:
    """Return the title of a panel."""
    what = "node" if panel.by == "node" else "task"
    count = len(panel.shapes)
    counted = f"{count} {what}" if count == 1 else f"{count} {what}s"
    if panel.left_out:
        counted = f"{count} of {count + panel.left_out} {what}s"
    return f"{shown(picture.pipeline)}: {counted}"


def scope(picture: Picture, *, alone: bool) -> str:
    """Return what ids of a picture begin with, so that those of several do not meet."""
    return "" if alone else f"{identifier('p', picture.pipeline)}__"


_LEGENDS: Mapping[ColouredBy, str] = {
    "machine": "machines",
    "group": "groups that wait for each other",
    "status": "what became of the tasks",
}


def legend_title(picture: Picture) -> str:
    """Return the title over what the colours mean."""
    return _LEGENDS[picture.coloured_by]


CYCLE_TEXT = "thick red arrows: the cycle"
