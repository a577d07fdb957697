"""YAML documents: plain values at once, their places when somebody asks.

The only module that parses YAML. Values are built in one pass over the events of the C parser,
which keeps no positions; a second pass finds them, and is made only when a place is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from yaml.cyaml import CParser  # type: ignore[attr-defined]  # the stubs forget it
from yaml.error import YAMLError
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from dagforge.errors import LoadError, Origin, Path, Problem, SourceLocation, suggest
from dagforge.reading.scalars import NUMBER_STARTS, PLAIN_WORDS, NotPlain, kind_of, read_plain
from dagforge.reading.yaml_errors import explain, quoted, split_lines

# The C parser itself survives any depth; what walks the values by recursion would not.
MAX_DEPTH = 100
MAX_ALIASED_VALUES = 1_000_000

Place = tuple[int, int]
Substitute = Callable[[str], str]
_TEXT_TAG = "tag:yaml.org,2002:str"
_MERGE = object()
_VALUES = (ScalarEvent, AliasEvent, MappingStartEvent, SequenceStartEvent)


class Refused(Exception):
    """A text value is not accepted; `fix` says what to write."""

    def __init__(self, code: str, message: str, fix: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fix = fix


@dataclass(slots=True, eq=False)
class Document:
    """A YAML file that was read.

    Attributes:
        file: path as the user knows it.
        source: the file's bytes, without a byte order mark.
        data: its value, made of str, int, float, bool, None, list and dict; None when empty.
            Aliases of one anchor are one object: never change it.
    """

    file: str
    source: bytes = field(repr=False)
    data: Any = field(repr=False)
    _root: _Spot | None = field(default=None, init=False, repr=False)

    def origin(self, *path: str | int) -> Origin:
        """Return the origin of the value at `path`."""
        return Origin(self, path)

    def locate(self, path: Path, *, key: bool = False) -> SourceLocation:
        """Return where the value at `path` begins, or with `key` the name in front of it.

        A value that came through an alias or a merge key is where its anchor has it. A path that
        does not exist is at its nearest parent.
        """
        if self._root is None:
            self._root = _find_spots(self.source)
        spot = self._root
        line, column = spot.place
        for part in path:
            found = spot.part(part)
            if found is None:
                break
            key_place, spot = found
            line, column = key_place if key else spot.place
        return SourceLocation(self.file, line + 1, column + 1)


def parse_yaml(data: bytes, file: str, *, substitute: Substitute | None = None) -> Document:
    """Return the document in `data`.

    Args:
        data: the bytes of the file, UTF-8 with or without a byte order mark.
        file: path to show in errors.
        substitute: changes each text value (keys stay); may raise `Refused`.

    Raises:
        LoadError: it is not the YAML that DagForge reads; holds every problem up to the first
            syntax error.
    """
    source = read_text(data, file)
    builder = _Builder(file, source, substitute)
    value = builder.build()
    if builder.problems:
        raise LoadError(builder.problems)
    return Document(file, source, value)


def read_text(data: bytes, file: str) -> bytes:
    """Return UTF-8 without a byte order mark.

    Raises:
        LoadError: it is something else.
    """
    source = data.removeprefix(b"\xef\xbb\xbf")
    not_text = _not_utf8(source, file)
    if not_text is not None:
        raise LoadError([not_text])
    return source


def _not_utf8(source: bytes, file: str) -> Problem | None:
    try:
        source.decode("utf-8")
    except UnicodeDecodeError as exc:
        fix = "save the file as UTF-8"
        if source[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return Problem("encoding", "the file is UTF-16", SourceLocation(file), fix)
        before = re.split(r"\r\n|\r|\n", source[: exc.start].decode("utf-8"))
        where = SourceLocation(file, len(before), len(before[-1]) + 1)
        return Problem("encoding", f"the byte 0x{source[exc.start]:02x} is not UTF-8", where, fix)
    return None


class _Builder:
    """Builds the values of a document in one pass over its events.

    Attributes:
        problems: what was found; reading goes on after those that leave the structure clear.
    """

    def __init__(self, file: str, source: bytes, substitute: Substitute | None) -> None:
        self.file = file
        self.source = source
        self.substitute = substitute
        self.problems: list[Problem] = []

    def build(self) -> Any:
        """Return the document's value, worth nothing when there are `problems`."""
        try:
            return self._build()
        except YAMLError as exc:
            found = explain(exc, self.source, self.file)
            # What was found before on that line is the same mistake, seen less well.
            self.problems = [
                problem
                for problem in self.problems
                if problem.location is None
                or found.location is None
                or problem.location.line != found.location.line
            ]
            self.problems.append(found)
            return None

    def _build(self) -> Any:
        # One long loop: a call per event would double the time.
        get_event = CParser(self.source).get_event
        substitute = self.substitute
        root: list[Any] = []
        current: Any = root
        in_mapping = False
        key: Any = None  # None in a mapping: a key comes next
        stack: list[tuple[Any, Any]] = []
        anchors: dict[str, Any] = {}
        sizes: dict[int, tuple[int, int, Any]] = {}
        aliased = 0
        merging: list[tuple[Any, Any]] = []
        begun = False
        while True:
            event: Any = get_event()  # PyYAML's types do not say which events have which marks
            kind = type(event)
            if kind is ScalarEvent:
                text = value = event.value
                if event.implicit[0]:
                    if text in PLAIN_WORDS or text[0] in NUMBER_STARTS:
                        is_key = in_mapping and key is None
                        is_merge = is_key and text == "<<"
                        value = _MERGE if is_merge else self._plain(text, event, is_key)
                elif event.tag is not None:
                    self._check_tag(event)
                if substitute is not None and "${" in text and (key is not None or not in_mapping):
                    value = self._substituted(text, substitute, event)
                if event.anchor is not None:
                    self._anchor(event, anchors)
                    anchors[event.anchor] = value
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                if event.tag is not None:
                    self._check_tag(event)
                if len(stack) >= MAX_DEPTH:
                    self._too_deep(event)
                    return None
                value = {} if kind is MappingStartEvent else []
                if event.anchor is not None:
                    self._anchor(event, anchors)
                    anchors[event.anchor] = value
                stack.append((current, key))
                if not in_mapping:
                    current.append(value)
                elif key is not None:
                    current[key] = value
                else:
                    self._refuse_collection_as_key(event)
                current = value
                in_mapping = kind is MappingStartEvent
                key = None
                continue
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                if merging and merging[-1][0] is current:
                    self._merge(*merging.pop())
                current, key = stack.pop()
                in_mapping = type(current) is dict
                # A collection as a key was refused when it began: read on as if it had a name.
                key = "" if in_mapping and key is None else None
                continue
            elif kind is AliasEvent:
                value = self._aliased(event, anchors, [*(entry for entry, _ in stack), current])
                size, depth = _measure(value, sizes)
                aliased += size
                if aliased > MAX_ALIASED_VALUES:
                    self._too_many_values(event)
                    return None
                if len(stack) + depth > MAX_DEPTH:
                    self._too_deep(event)
                    return None
            elif kind is StreamEndEvent:
                return root[0] if root else None
            elif kind is DocumentStartEvent:
                if begun:
                    self._refuse_second_document(event)
                    return None
                begun = True
                continue
            else:
                continue

            if not in_mapping:
                current.append(value)
            elif key is not None:
                current[key] = value
                key = None
            else:
                if value is _MERGE:
                    merging.append((current, event.start_mark))
                elif type(value) is not str:
                    value = self._not_a_name(value, event)
                if value in current:
                    self._refuse_duplicate(value, event, stack)
                key = value

    def _problem(self, code: str, message: str, mark: Any, fix: str | None = None) -> None:
        where = SourceLocation(self.file, mark.line + 1, mark.column + 1)
        self.problems.append(Problem(code, message, where, fix))

    def _plain(self, text: str, event: Any, is_key: bool) -> Any:
        if event.tag is not None:
            # To YAML 1.2 this is text, to PyYAML what it would be without the tag.
            message = f"the tag {event.tag} is not allowed"
            self._problem("yaml-tag", message, event.start_mark, f"quote it: {quoted(text)}")
        try:
            return read_plain(text)
        except NotPlain as exc:
            fix = f"quote it: {quoted(text)}" if is_key else exc.fix
            self._problem(exc.code, exc.message, event.start_mark, fix)
            return text

    def _substituted(self, text: str, substitute: Substitute, event: Any) -> str:
        try:
            return substitute(text)
        except Refused as exc:
            self._problem(exc.code, exc.message, event.start_mark, exc.fix)
            return text

    def _check_tag(self, event: Any) -> None:
        tag = str(event.tag)
        if type(event) is ScalarEvent and tag in ("!", _TEXT_TAG):
            return
        standard = tag.startswith("tag:yaml.org,2002:")
        shown = tag.replace("tag:yaml.org,2002:", "!!")
        text = f"{shown} {event.value}".strip() if type(event) is ScalarEvent else ""
        fix = f"if it is text, quote it: {quoted(text)}" if text and not standard else None
        self._problem(
            "yaml-tag", f"the tag {shown} is not allowed", event.start_mark, fix or "remove the tag"
        )

    def _refuse_collection_as_key(self, event: Any) -> None:
        row, column = event.start_mark.line, event.start_mark.column
        line = _line_at(self.source, row)
        begin = column - 1 if line[column - 1 : column] == "{" else column
        if line[begin : begin + 2] != "{{":
            what = "mapping" if type(event) is MappingStartEvent else "list"
            self._problem(
                "key-type", f"a {what} cannot be a key", event.start_mark, "quote the key"
            )
            return
        where = SourceLocation(self.file, row + 1, begin + 1)
        if self.problems and self.problems[-1].at == where:
            return
        template = re.match(r"(?:\{\{.*?\}\}[^\s,\]{}:]*)+", line[begin:])
        shown = quoted(template[0]) if template is not None else '"{{ ... }}"'
        message = "an unquoted { begins a mapping in YAML"
        self.problems.append(Problem("quote-it", message, where, f"quote it: {shown}"))

    def _not_a_name(self, value: Any, event: Any) -> str:
        text = event.value if type(event) is ScalarEvent else ""
        if isinstance(value, (dict, list)):
            self._problem("key-type", f"{kind_of(value)} cannot be a key", event.start_mark)
        elif not text:
            self._problem("key-type", "a key is missing before ':'", event.start_mark)
        else:
            what = "not text" if value is None else f"{kind_of(value)}, not text"
            self._problem(
                "key-type",
                f"the key {text} is {what}",
                event.start_mark,
                f"quote it: {quoted(text)}",
            )
        return text

    def _refuse_duplicate(self, key: Any, event: Any, stack: list[tuple[Any, Any]]) -> None:
        path = _path_to(stack)
        name = "<<" if key is _MERGE else key
        first = _find_spots(self.source).first_key(path, name)
        again = f", first on line {first[0] + 1}" if first is not None else ""
        fix = "write <<: [*first, *second]" if key is _MERGE else "remove one of them"
        self._problem(
            "duplicate-key",
            f"the key '{name}' stands here a second time{again}",
            event.start_mark,
            fix,
        )

    def _anchor(self, event: Any, anchors: dict[str, Any]) -> None:
        # YAML would let the later one win from here on; PyYAML's composer refuses it, as we do.
        if event.anchor in anchors:
            self._problem(
                "duplicate-anchor",
                f"the anchor &{event.anchor} stands here a second time",
                event.start_mark,
                "give one of them another name",
            )

    def _aliased(self, event: Any, anchors: dict[str, Any], open_: list[Any]) -> Any:
        name = str(event.anchor)
        if name not in anchors:
            near = suggest(name, anchors)
            quote = f'if it is text, quote it: "*{name}"'
            self._problem(
                "undefined-alias",
                f"the alias *{name} has no anchor &{name} before it",
                event.start_mark,
                f"did you mean *{near}?" if near else quote,
            )
            return None
        value = anchors[name]
        if any(entry is value for entry in open_):
            self._problem(
                "recursive-alias",
                f"the alias *{name} stands inside its own anchor",
                event.start_mark,
            )
            return None
        return value

    def _merge(self, mapping: dict[Any, Any], mark: Any) -> None:
        """Put the values behind `<<` into the mapping, before its own and overridden by them."""
        own = dict(mapping)
        merged = own.pop(_MERGE, None)
        sources = merged if isinstance(merged, list) else [merged]
        if not all(isinstance(source, dict) for source in sources):
            self._problem(
                "merge-key",
                "'<<' merges mappings only",
                mark,
                "write <<: *anchor, where &anchor is a mapping",
            )
            sources = []
        mapping.clear()
        for source in reversed(sources):
            mapping.update(source)
        mapping.update(own)

    def _too_deep(self, event: Any) -> None:
        self._problem("too-deep", f"values are nested more than {MAX_DEPTH} deep", event.start_mark)

    def _too_many_values(self, event: Any) -> None:
        message = f"the aliases of this file stand for more than {MAX_ALIASED_VALUES:,} values"
        self._problem("alias-bomb", message, event.start_mark)

    def _refuse_second_document(self, event: Any) -> None:
        self._problem(
            "several-documents",
            "a second document begins here",
            event.start_mark,
            "put it into a file of its own",
        )


def _measure(value: Any, sizes: dict[int, tuple[int, int, Any]]) -> tuple[int, int]:
    """Return how many values `value` stands for with aliases written out, and its depth.

    Args:
        value: complete; what is shared within it was measured when it was first an alias.
        sizes: by `id`, with the value itself to keep its id its own; filled here.
    """
    if not isinstance(value, (dict, list)):
        return 1, 0
    if id(value) in sizes:
        return sizes[id(value)][:2]
    total, deepest = 1, 1
    pending = [(value, 1)]
    while pending:
        collection, depth = pending.pop()
        deepest = max(deepest, depth)
        for part in collection.values() if isinstance(collection, dict) else collection:
            if not isinstance(part, (dict, list)):
                total += 1
            elif id(part) in sizes:
                size, below = sizes[id(part)][:2]
                total += size
                deepest = max(deepest, depth + below)
            else:
                total += 1
                pending.append((part, depth + 1))
    sizes[id(value)] = total, deepest, value
    return total, deepest


def _path_to(stack: list[tuple[Any, Any]]) -> Path:
    """Return the path of the collection that is being read, from those around it."""
    parts: list[str | int] = []
    for collection, key in stack[1:]:
        if isinstance(collection, dict):
            parts.append("<<" if key is _MERGE else (key or ""))
        else:
            parts.append(len(collection) - 1)
    return tuple(parts)


def _line_at(source: bytes, line: int) -> str:
    lines = split_lines(source.decode("utf-8"))
    return lines[line] if line < len(lines) else ""


@dataclass(slots=True)
class _Spot:
    """Where a value and its parts are; lines and columns from 0.

    Attributes:
        parts: by key or index, the place of the name in front (of the value itself in a list)
            and the spot of the value; the first when a key stands twice.
        merged: the values of merge keys, each a mapping or a list of mappings.
    """

    place: Place
    is_list: bool
    parts: dict[str | int, tuple[Place, _Spot]]
    merged: list[_Spot]

    def part(self, name: str | int) -> tuple[Place, _Spot] | None:
        """Return the places of a part, or None; an item of a list also by its number as text."""
        if self.is_list and isinstance(name, str) and name.isdecimal():
            name = int(name)
        found = self.parts.get(name)
        if found is not None:
            return found
        for spot in self.merged:
            mappings = [part for _, part in spot.parts.values()] if spot.is_list else [spot]
            for mapping in mappings:
                found = mapping.part(name)
                if found is not None:
                    return found
        return None

    def first_key(self, path: Path, key: str) -> Place | None:
        """Return where `key` stands first in the mapping at `path`."""
        spot = self
        for part in path:
            found = spot.part(part)
            if found is None:
                return None
            spot = found[1]
        found = spot.parts.get(key)
        return found[0] if found is not None else None


def _find_spots(source: bytes) -> _Spot:
    """Return the places of all values, as far as the text can be read."""
    top = _Spot((0, 0), True, {}, [])
    # What follows an error has no places; the first pass has reported the error itself.
    with suppress(YAMLError):
        _add_spots(top, source)
    return top.parts[0][1] if top.parts else top


def _add_spots(top: _Spot, source: bytes) -> None:
    get_event = CParser(source).get_event
    current = top
    key: tuple[str, Place, bool] | None = None
    stack: list[tuple[_Spot, tuple[str, Place, bool] | None]] = []
    anchors: dict[str, _Spot] = {}
    # Shared by all scalars, which have no parts.
    no_parts: dict[str | int, tuple[Place, _Spot]] = {}
    no_merged: list[_Spot] = []
    while True:
        event: Any = get_event()
        kind = type(event)
        if kind is MappingEndEvent or kind is SequenceEndEvent:
            ended = current
            current, key = stack.pop()
            wants_key = not current.is_list and key is None
            key = ("", ended.place, False) if wants_key else None
            continue
        if kind is StreamEndEvent:
            return
        if kind not in _VALUES:
            continue
        place = event.start_mark.line, event.start_mark.column
        collection = kind is MappingStartEvent or kind is SequenceStartEvent
        if collection:
            spot = _Spot(place, kind is SequenceStartEvent, {}, [])
        else:
            spot = _Spot(place, False, no_parts, no_merged)
        if kind is AliasEvent:
            anchored = anchors.get(event.anchor)
            if anchored is not None:
                spot = _Spot(place, anchored.is_list, anchored.parts, anchored.merged)
        elif event.anchor is not None:
            anchors[event.anchor] = spot
        if current.is_list:
            current.parts[len(current.parts)] = place, spot
        elif key is not None:
            name, key_place, is_merge = key
            current.parts.setdefault(name, (key_place, spot))
            if is_merge:
                current.merged.append(spot)
        elif kind is ScalarEvent:
            key = event.value, place, event.value == "<<" and event.implicit[0]
            continue
        elif not collection:
            key = "", place, False
            continue
        if collection:
            if len(stack) > MAX_DEPTH:
                return
            stack.append((current, key))
            current = spot
        key = None
