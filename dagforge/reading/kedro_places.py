"""Where the nodes and pipelines of a Kedro project are written.

Kedro keeps no place, and copies nodes to tag them and to put them into namespaces. While the
project's pipelines are made, each new node and pipeline is given the line of the project's own
code that called for it, and each copy that of its original. The parts of a call, such as its
tags, are looked up in the source when somebody asks for them.
"""

from __future__ import annotations

import ast
import contextlib
import os
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any

from dagforge.errors import Path as KeyPath
from dagforge.errors import SourceLocation
from dagforge.frozen import frozen

_PLACE = "_dagforge_place"
Line = tuple[str, int]
"""A file, and a line in it from 1."""


@contextlib.contextmanager
def recorded_places(source: Path) -> Iterator[None]:
    """Let nodes and pipelines that are made meanwhile know where.

    Args:
        source: folder of the project's own code.
    """
    from kedro.pipeline.node import Node
    from kedro.pipeline.pipeline import Pipeline

    kedro_module = sys.modules["kedro"].__file__ or ""
    own, kedro = f"{source}{os.sep}", f"{Path(kedro_module).parent}{os.sep}"
    make_node, copy_node, make_pipeline = Node.__init__, Node._copy, Pipeline.__init__

    def place() -> Line | None:
        return _line_of(sys._getframe(2), own, kedro)

    def node(self: Any, *arguments: Any, **named: Any) -> None:
        make_node(self, *arguments, **named)
        setattr(self, _PLACE, place())

    def copy(self: Any, **changes: Any) -> Any:
        made = copy_node(self, **changes)
        setattr(made, _PLACE, getattr(self, _PLACE, None))
        return made

    def pipeline(self: Any, *arguments: Any, **named: Any) -> None:
        make_pipeline(self, *arguments, **named)
        setattr(self, _PLACE, place())

    Node.__init__, Node._copy, Pipeline.__init__ = node, copy, pipeline
    try:
        yield
    finally:
        Node.__init__, Node._copy, Pipeline.__init__ = make_node, copy_node, make_pipeline


def _line_of(frame: FrameType | None, own: str, kedro: str) -> Line | None:
    """Return the innermost line of the project's own code, else of anybody's but Kedro's."""
    elsewhere: Line | None = None
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(own) and "site-packages" not in file:
            return file, frame.f_lineno
        if elsewhere is None and not file.startswith(kedro) and file != __file__:
            elsewhere = file, frame.f_lineno
        frame = frame.f_back
    return elsewhere


def place_of(made: Any) -> Line | None:
    """Return where a node or pipeline of Kedro was made; None where that is not known."""
    found: Line | None = getattr(made, _PLACE, None)
    return found


@frozen
class CallPlace:
    """The call that makes a node or a pipeline; a `Locator` of its parts.

    Attributes:
        file: as the user knows it.
        path: of the file.
        line: where the call begins; None for the file as a whole.
        name: of what is made.
        parts: what the call of a node says, by argument: the texts that `locate` is asked for by
            number; empty for a pipeline.
    """

    file: str
    path: Path
    line: int | None
    name: str
    parts: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def data(self) -> dict[str, list[str]]:
        """The parts as a document would hold them."""
        return {key: list(texts) for key, texts in self.parts}

    def locate(self, path: KeyPath, *, key: bool = False) -> SourceLocation:
        """Return where an argument of the call, or a text in it, stands; else where the call is."""
        del key
        if self.line is None:
            return SourceLocation(self.file)
        call = _call_at(self.path, self.line, self.name if self.parts else None)
        if call is None:
            return SourceLocation(self.file, self.line)
        found: ast.expr = call
        if path:
            found = _argument(call, str(path[0])) or call
        if len(path) > 1 and found is not call:
            found = _text_in(found, self._text(str(path[0]), path[1])) or found
        return SourceLocation(self.file, found.lineno, _column(self.path, found))

    def _text(self, argument: str, number: str | int) -> str | None:
        texts = dict(self.parts).get(argument, ())
        return texts[number] if isinstance(number, int) and number < len(texts) else None


# In the order in which `node` takes them.
_POSITIONS = ("func", "inputs", "outputs")


def _argument(call: ast.Call, name: str) -> ast.expr | None:
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    position = _POSITIONS.index(name) if name in _POSITIONS else len(call.args)
    return call.args[position] if position < len(call.args) else None


def _text_in(expression: ast.expr, text: str | None) -> ast.expr | None:
    """Return the literal in an expression that gives a name, perhaps within a namespace."""
    if text is None:
        return None
    for part in ast.walk(expression):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            # A dataset is known without what follows @, by which Kedro tells its formats apart.
            name = part.value.partition("@")[0]
            if name and (text == name or text.endswith(f".{name}")):
                return part
    return None


def _column(path: Path, expression: ast.expr) -> int:
    """Return the column from 1, in characters; Python counts bytes."""
    line = _read(path).lines[expression.lineno - 1].encode()
    return len(line[: expression.col_offset].decode(errors="replace")) + 1


def _call_at(path: Path, line: int, node: str | None) -> ast.Call | None:
    """Return the call that makes something: of several on its line, or around it, the likeliest.

    For a node that is a call of `node` by its name, then any of `node`, one that begins on the
    line, the innermost; for a pipeline the first one of the line.
    """

    def rank(call: ast.Call) -> tuple[bool, bool, bool, int, int]:
        begins = call.lineno == line
        if node is None:
            return not begins, False, False, 0, call.col_offset
        given = _argument(call, "name") if _is_node(call) else None
        is_named = given is not None and _text_in(given, node) is not None
        size = (call.end_lineno or call.lineno) - call.lineno
        return not is_named, not _is_node(call), not begins, size, -call.col_offset

    around = (
        call for call in _read(path).calls if call.lineno <= line <= (call.end_lineno or line)
    )
    return min(around, key=rank, default=None)


def _is_node(call: ast.Call) -> bool:
    name = getattr(call.func, "id", None) or getattr(call.func, "attr", None)
    return name in ("node", "Node")


@frozen
class _Source:
    """A file of the user's, and the calls in it."""

    lines: list[str]
    calls: list[ast.Call]


def _read(path: Path) -> _Source:
    """Return a file, read again when it has changed; nothing where it cannot be read."""
    try:
        return _parsed(path, path.stat().st_mtime_ns)
    except (OSError, SyntaxError, ValueError):
        return _Source([], [])


@lru_cache(maxsize=64)
def _parsed(path: Path, changed: int) -> _Source:
    del changed
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    tree = ast.parse("\n".join(lines))
    return _Source(lines, [part for part in ast.walk(tree) if isinstance(part, ast.Call)])
