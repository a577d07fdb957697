"""YAML of other tools: what PyYAML makes of it, with the place and the comments of every part.

DagForge's own files are read by `document.py`, which refuses what two readers understand
differently. A file that another tool has read for years means what that tool took from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from yaml.constructor import ConstructorError, SafeConstructor
from yaml.cyaml import CParser  # type: ignore[attr-defined]  # the stubs forget it
from yaml.error import YAMLError
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)
from yaml.nodes import ScalarNode
from yaml.resolver import Resolver

from dagforge.errors import LoadError, SourceLocation
from dagforge.frozen import frozen
from dagforge.reading.document import MAX_DEPTH, read_text
from dagforge.reading.yaml_errors import explain, split_lines

MAX_PARTS = 200_000
_COMMENT = re.compile(r"(?:^|(?<=[ \t]))#.*")
_MERGE = "tag:yaml.org,2002:merge"
_PLAIN_TAGS = "tag:yaml.org,2002:"


@frozen
class Part:
    """A value of a YAML file, or one that was made of such.

    Attributes:
        value: a scalar, a mapping of parts by text, or a sequence of parts.
        at: where it stands; of what was made, where that came from.
        key_at: where the key in front of it stands.
        tag: its own, such as `!and`; empty for those that YAML itself knows.
        before: comment lines above it.
        after: the comment at the end of its line.
    """

    value: Any
    at: SourceLocation | None = None
    key_at: SourceLocation | None = None
    tag: str = ""
    before: tuple[str, ...] = ()
    after: str = ""

    def get(self, key: str) -> Part | None:
        """Return the part under a key; None where there is none, or null."""
        part: Part | None = self.value.get(key) if isinstance(self.value, Mapping) else None
        return None if part is None or part.value is None else part

    def items(self) -> Iterator[tuple[str, Part]]:
        """Yield the keys and parts of a mapping; nothing of anything else."""
        if isinstance(self.value, Mapping):
            yield from self.value.items()

    def __iter__(self) -> Iterator[Part]:
        if isinstance(self.value, tuple):
            yield from self.value

    @property
    def plain(self) -> Any:
        """The value without places and comments."""
        if isinstance(self.value, Mapping):
            return {key: part.plain for key, part in self.value.items()}
        if isinstance(self.value, tuple):
            return [part.plain for part in self.value]
        return self.value

    @property
    def place(self) -> SourceLocation | None:
        """Where to point for it as a whole: its key, where it has one."""
        return self.key_at or self.at

    def of(self, value: Any) -> Part:
        """Return another value in this part's place, with its comments."""
        return replace(self, value=value, tag="")


def read_parts(data: bytes, file: str) -> Part:
    """Return what is in a YAML file.

    Args:
        data: the file's bytes.
        file: as errors show it.

    Raises:
        LoadError: it cannot be read.
    """
    source = read_text(data, file)
    try:
        return _Reader(source, file).read()
    except YAMLError as error:
        raise LoadError([explain(error, source, file)]) from error


@dataclass(slots=True)
class _Comments:
    """The comments of a file, each given to the part that it stands at."""

    by_line: dict[int, str]
    lines: list[int] = field(init=False)
    next: int = 0

    def __post_init__(self) -> None:
        self.lines = sorted(self.by_line)

    def above(self, line: int) -> tuple[str, ...]:
        """Take those that nobody has taken yet, up to a line."""
        taken = []
        while self.next < len(self.lines) and self.lines[self.next] < line:
            found = self.by_line.pop(self.lines[self.next], None)
            taken += [found] if found is not None else []
            self.next += 1
        return tuple(taken)

    def at_end_of(self, line: int) -> str:
        """Take the one in a line."""
        return self.by_line.pop(line, "")


class _Reader:
    """Makes parts of the events of the C parser."""

    def __init__(self, source: bytes, file: str) -> None:
        self.file = file
        self.events = list(_events(source))
        self.next = 0
        self.comments = _Comments(_find_comments(source.decode(), self.events))
        self.resolver = Resolver()
        self.constructor = SafeConstructor()
        self.anchors: dict[str, Part | None] = {}
        self.count = 0

    def read(self) -> Part:
        """Return the first document."""
        event = self._take()
        if isinstance(event, StreamEndEvent):
            return Part(None, SourceLocation(self.file, 1, 1))
        self._take_document_start(event)
        part = self._part(0)
        rest = self.comments.above(1 << 60)
        return replace(part, before=(*part.before, *rest)) if rest else part

    def _take_document_start(self, event: Any) -> None:
        assert isinstance(event, DocumentStartEvent), event
        later = [each for each in self.events[self.next :] if isinstance(each, DocumentStartEvent)]
        if later:
            self._refuse("a second document begins here, and only one is read", later[0])

    def _take(self) -> Any:
        event = self.events[self.next]
        self.next += 1
        return event

    def _part(self, depth: int) -> Part:
        event = self._take()
        self.count += 1
        if depth > MAX_DEPTH:
            self._refuse(f"this is nested more than {MAX_DEPTH} deep", event)
        if self.count > MAX_PARTS:
            self._refuse(f"the file has more than {MAX_PARTS:,} values", event)
        if isinstance(event, AliasEvent):
            return self._aliased(event)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        at = self._place(event)
        if isinstance(event, ScalarEvent):
            part = Part(self._scalar(event), at, tag=_own_tag(event))
        elif isinstance(event, SequenceStartEvent):
            part = Part(tuple(self._entries(depth)), at, tag=_own_tag(event))
        else:
            part = Part(self._mapping(depth), at, tag=_own_tag(event))
        if event.anchor is not None:
            self.anchors[event.anchor] = part
        return part

    def _aliased(self, event: Any) -> Part:
        part = self.anchors.get(event.anchor)
        if part is None:
            self._refuse(f"*{event.anchor} stands for nothing that is complete here", event)
        self.count += _size(part)
        if self.count > MAX_PARTS:
            self._refuse(f"with its aliases the file has more than {MAX_PARTS:,} values", event)
        return part

    def _entries(self, depth: int) -> Iterator[Part]:
        while not isinstance(self.events[self.next], SequenceEndEvent):
            line = self.events[self.next].start_mark.line
            before = self.comments.above(line)
            part = self._part(depth + 1)
            after = part.after
            if not isinstance(part.value, Mapping):
                after = self.comments.at_end_of(line)
            yield replace(part, before=before, after=after, key_at=None)
        self._take()

    def _mapping(self, depth: int) -> dict[str, Part]:
        own: dict[str, Part] = {}
        merged: list[Part] = []
        while not isinstance(self.events[self.next], MappingEndEvent):
            event = self.events[self.next]
            line = event.start_mark.line
            before = self.comments.above(line)
            is_merge = _is_merge(event)
            key = self._part(depth + 1)
            # What follows the key may be lines of its own, with comments of their own.
            after = self.comments.at_end_of(line)
            part = self._part(depth + 1)
            if is_merge:
                merged += part if isinstance(part.value, tuple) else [part]
            elif type(key.value) is not str:
                self._refuse("the name in front of ':' must be text: put it in quotes", event)
            elif key.value in own:
                self._refuse(f"'{key.value}' stands here twice", event)
            else:
                own[key.value] = replace(part, before=before, after=after, key_at=key.at)
        self._take()
        inherited: dict[str, Part] = {}
        for part in merged:
            for name, value in part.items():
                inherited.setdefault(name, value)
        return {**{name: value for name, value in inherited.items() if name not in own}, **own}

    def _scalar(self, event: Any) -> Any:
        tag = event.tag
        if tag is None or tag == "!":
            resolve: Any = self.resolver.resolve
            tag = resolve(ScalarNode, event.value, event.implicit)
        if not tag.startswith(_PLAIN_TAGS) or tag in (_MERGE, f"{_PLAIN_TAGS}value"):
            return event.value
        try:
            return self.constructor.construct_object(ScalarNode(tag, event.value))
        except ConstructorError:
            # A tag such as !!python/name:, kept as the part's own.
            return event.value
        except (ValueError, OverflowError) as error:
            self._refuse(f"this cannot be read: {error}", event)

    def _place(self, event: Any) -> SourceLocation:
        mark = event.start_mark
        return SourceLocation(self.file, mark.line + 1, mark.column + 1)

    def _refuse(self, message: str, event: Any) -> NoReturn:
        raise LoadError.of("yaml-syntax", message, at=self._place(event))


def _events(source: bytes) -> Iterator[Any]:
    parser = CParser(source)
    while True:
        event: Any = parser.get_event()
        if isinstance(event, (StreamStartEvent, DocumentEndEvent)):
            continue
        yield event
        if isinstance(event, StreamEndEvent):
            return


def _own_tag(event: Any) -> str:
    """Return a tag that YAML does not know by itself."""
    tag: str = event.tag or ""
    known = ("str", "int", "float", "bool", "null", "seq", "map", "timestamp", "binary")
    return "" if tag in ("!", *(f"{_PLAIN_TAGS}{name}" for name in known)) else tag


def _is_merge(event: Any) -> bool:
    return isinstance(event, ScalarEvent) and event.value == "<<" and event.implicit[0]


def _size(part: Part) -> int:
    open_, count = [part], 0
    while open_ and count <= MAX_PARTS:
        each = open_.pop()
        count += 1
        if isinstance(each.value, Mapping):
            open_ += each.value.values()
        elif isinstance(each.value, tuple):
            open_ += each.value
    return count


def _find_comments(text: str, events: Sequence[Any]) -> dict[int, str]:
    """Return the comment of each line that has one: what begins with # outside all scalars."""
    spans: dict[int, list[tuple[int, float]]] = {}
    for event in events:
        if isinstance(event, ScalarEvent):
            start: Any = event.start_mark
            end: Any = event.end_mark
            for line in range(start.line, end.line + 1):
                first = start.column if line == start.line else 0
                last = end.column if line == end.line else float("inf")
                spans.setdefault(line, []).append((first, last))
    comments = {}
    for number, written in enumerate(split_lines(text)):
        for found in _COMMENT.finditer(written):
            within = spans.get(number, ())
            if not any(first <= found.start() < last for first, last in within):
                comments[number] = found[0].rstrip()
                break
    return comments
