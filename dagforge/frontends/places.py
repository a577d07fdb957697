"""Places in the user's Python."""

from __future__ import annotations

import linecache
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from dagforge.conf import shown_path
from dagforge.errors import Origin, SourceLocation
from dagforge.errors import Path as Parts
from dagforge.frozen import frozen


@frozen
class CodePlace:
    """A definition in a module, whose parts may stand on lines of their own.

    Attributes:
        path: the module's file.
        root: of the project, which files are shown relative to.
        line: from 1.
        lines: of parts, by the first word of their path; others are on `line`.
        column: where on `line` it is; None for where the line's text begins.
    """

    path: str
    root: Path
    line: int
    lines: Mapping[str, int] = field(default_factory=dict, hash=False)
    column: int | None = None

    @property
    def file(self) -> str:
        """The file as the user knows it."""
        return shown_path(Path(self.path), self.root)

    def locate(self, path: Parts, *, key: bool = False) -> SourceLocation:
        """Return the line of a part, and the column where its text begins."""
        del key
        line = self.lines.get(str(path[0]), self.line) if path else self.line
        if self.column is not None and line == self.line:
            return SourceLocation(self.file, line, self.column)
        text = linecache.getline(self.path, line)
        indent = len(text) - len(text.lstrip())
        return SourceLocation(self.file, line, indent + 1 if text.strip() else None)


def origin_in(
    path: str,
    root: Path,
    line: int,
    lines: Mapping[str, int] | None = None,
    *,
    column: int | None = None,
) -> Origin:
    """Return the origin of something that is defined in a module."""
    return Origin(CodePlace(path, root, line, lines or {}, column))
