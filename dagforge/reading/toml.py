"""TOML files: their values, and where each of them stands.

The standard library's parser keeps no positions. A second pass finds them, and is made only when a
place is shown: the text is valid by then, so it only has to be taken apart.
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagforge.errors import LoadError, SourceLocation
from dagforge.errors import Path as KeyPath

Spots = dict[KeyPath, tuple[int, int]]
"""Offsets of the name in front of a value, and of the value, by path."""

_BLANK = r"(?:[ \t\r\n]|#[^\n]*)*"
_SPACE = r"[ \t]*"
_STRING = (
    r'(?s:"""(?:[^\\]|\\.)*?"""(?:"{0,2})|'
    r"'''.*?'''(?:'{0,2})|"
    r'"(?:[^"\\]|\\.)*"|'
    r"'[^']*')"
)
_BARE_KEY = r"[A-Za-z0-9_-]+"
_OTHER = r"[^,\]}#\r\n]*"


@dataclass(slots=True, eq=False)
class TomlDocument:
    """A TOML file that was read.

    Attributes:
        file: path as the user knows it.
        text: what stands in it.
        data: its value.
    """

    file: str
    text: str = field(repr=False)
    data: dict[str, Any] = field(repr=False)
    _spots: Spots | None = field(default=None, init=False, repr=False)

    def locate(self, path: KeyPath, *, key: bool = False) -> SourceLocation:
        """Return where the value at `path` begins, or with `key` the name in front of it.

        A table begins at its header. A path that does not exist is at its nearest parent, the
        whole document at the file.
        """
        if self._spots is None:
            self._spots = _Finder(self.text).run()
        for length in range(len(path), 0, -1):
            found = self._spots.get(path[:length])
            if found is not None:
                offset = found[0] if key else found[1]
                before = self.text[:offset]
                column = offset - (before.rfind("\n") + 1)
                return SourceLocation(self.file, before.count("\n") + 1, column + 1)
        return SourceLocation(self.file)

    def table(self, name: str) -> dict[str, Any]:
        """Return a table at the top of the file; empty where there is none of that name."""
        table = self.data.get(name)
        return table if isinstance(table, dict) else {}


def read_toml(path: Path, shown: str) -> TomlDocument | None:
    """Return the document in a file, None where there is no file.

    Args:
        path: of the file.
        shown: how messages name it.

    Raises:
        LoadError: it cannot be read, or is not TOML.
    """
    if not path.exists():
        return None
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]
    at = SourceLocation(shown)
    try:
        source = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
        text = source.decode("utf-8")
        return TomlDocument(shown, text, tomllib.loads(text))
    except OSError as exc:
        raise LoadError.of("unreadable", f"cannot be read: {exc.strerror}", at=at) from exc
    except UnicodeDecodeError as exc:
        line = source[: exc.start].count(b"\n") + 1
        at = SourceLocation(shown, line)
        raise LoadError.of(
            "encoding",
            f"the byte 0x{source[exc.start]:02x} is not UTF-8",
            at=at,
            fix="save the file as UTF-8",
        ) from exc
    except (ValueError, RecursionError) as exc:
        says = "values are nested too deep" if isinstance(exc, RecursionError) else str(exc)
        match = re.search(r"^(?P<says>.*) \(at line (?P<line>\d+), column (?P<column>\d+)\)$", says)
        if match is not None:
            says = match["says"]
            at = SourceLocation(shown, int(match["line"]), int(match["column"]))
        message = f"not TOML: {says[:1].lower()}{says[1:]}"
        raise LoadError.of("toml-syntax", message, at=at) from exc


class _Finder:
    """Finds the places of the values in a text that is valid TOML."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.spots: Spots = {}
        self.lengths: dict[KeyPath, int] = {}

    def run(self) -> Spots:
        """Return the places of all values, as far as they are not nested too deep to follow."""
        with suppress(RecursionError):
            self._run()
        return self.spots

    def _run(self) -> None:
        table: KeyPath = ()
        while True:
            self._skip(_BLANK)
            if self.position >= len(self.text):
                return
            if self.text[self.position] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _skip(self, pattern: str) -> None:
        match = self._match(pattern)
        if match is not None:
            self.position = match.end()

    def _match(self, pattern: str) -> re.Match[str] | None:
        # Compiled when a place is first shown; most runs show none.
        return re.compile(pattern).match(self.text, self.position)

    def _header(self) -> KeyPath:
        """Read `[a.b]` or `[[a.b]]`; return the path of the table that follows."""
        begin = self.position
        is_list = self.text.startswith("[[", begin)
        self.position += 2 if is_list else 1
        path: KeyPath = ()
        *above, last = self._names()
        for name, _ in above:
            self.spots.setdefault((*path, name), (begin, begin))
            path = self._entered((*path, name))
        path = (*path, last[0])
        if is_list:
            number = self.lengths[path] = self.lengths.get(path, 0) + 1
            self.spots.setdefault(path, (begin, begin))
            path = (*path, number - 1)
        self.spots.setdefault(path, (begin, begin))
        self.position += 2 if is_list else 1
        return path

    def _entered(self, path: KeyPath) -> KeyPath:
        """Return the path of a table, which is the last one where it is a list of them."""
        return (*path, self.lengths[path] - 1) if path in self.lengths else path

    def _names(self) -> list[tuple[str, int]]:
        """Read a dotted key; return its parts, each with its offset."""
        names = []
        while True:
            self._skip(_SPACE)
            begin = self.position
            string = self._match(_STRING)
            if string is not None:
                self.position = string.end()
                names.append((_text_of(string[0]), begin))
            else:
                self._skip(_BARE_KEY)
                names.append((self.text[begin : self.position], begin))
            self._skip(_SPACE)
            if not self.text.startswith(".", self.position):
                return names
            self.position += 1

    def _pair(self, table: KeyPath) -> None:
        names = self._names()
        path = table
        for name, begin in names[:-1]:
            path = (*path, name)
            self.spots.setdefault(path, (begin, begin))
        name, begin = names[-1]
        self.position += 1  # the equals sign
        self._skip(_SPACE)
        self._value((*path, name), begin)

    def _value(self, path: KeyPath, key: int) -> None:
        self.spots.setdefault(path, (key, self.position))
        string = self._match(_STRING)
        first = self.text[self.position : self.position + 1]
        if string is not None:
            self.position = string.end()
        elif first == "[":
            self._list(path)
        elif first == "{":
            self._table(path)
        else:
            self._skip(_OTHER)

    def _list(self, path: KeyPath) -> None:
        self.position += 1
        number = 0
        while self._more("]"):
            self._value((*path, number), self.position)
            number += 1

    def _table(self, path: KeyPath) -> None:
        self.position += 1
        while self._more("}"):
            self._pair(path)

    def _more(self, end: str) -> bool:
        """Go to the next part of a list or table; False behind its end."""
        self._skip(_BLANK)
        if self.text.startswith(",", self.position):
            self.position += 1
            self._skip(_BLANK)
        if self.text.startswith(end, self.position):
            self.position += 1
            return False
        return True


def _text_of(quoted: str) -> str:
    """Return what a quoted key says."""
    if quoted[0] == "'":
        return quoted[1:-1]
    return re.sub(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", _unescaped, quoted[1:-1])


_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}


def _unescaped(match: re.Match[str]) -> str:
    escape = match[1]
    return chr(int(escape[1:], 16)) if escape[0] in "uU" else _ESCAPES.get(escape, escape)
