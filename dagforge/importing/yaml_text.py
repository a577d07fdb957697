"""YAML that people go on with: in blocks, with the comments that it came with."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from yaml.emitter import Emitter

from dagforge.reading.parts import Part
from dagforge.reading.scalars import NotPlain, read_plain
from dagforge.settings.schema import CALL_KEYS

WIDTH = 100
_STEP = 2


def to_yaml(part: Part) -> str:
    """Return a mapping as the text of a file, a blank line between its entries."""
    blocks = ["\n".join(_entry(key, inner, 0)) for key, inner in part.items()]
    text = "\n\n".join(blocks) + "\n"
    return text + "".join(f"{comment}\n" for comment in part.before)


def _entry(key: str, part: Part, indent: int) -> Iterator[str]:
    """Yield the lines of a key and what is under it."""
    margin = " " * indent
    yield from (margin + comment for comment in part.before)
    yield from _after(f"{margin}{_text(key)}:", part, indent)


def _item(part: Part, indent: int) -> Iterator[str]:
    """Yield the lines of an entry of a list."""
    margin = " " * indent
    yield from (margin + comment for comment in part.before)
    if isinstance(part.value, Mapping) and part.value and not _fits(part, indent + _STEP):
        lines = [line for key, inner in part.items() for line in _entry(key, inner, indent + _STEP)]
        # The comments of the first key stand where the dash would.
        first = next(
            number for number, line in enumerate(lines) if not line.lstrip().startswith("#")
        )
        yield from lines[:first]
        yield f"{margin}- {lines[first].lstrip()}"
        yield from lines[first + 1 :]
    else:
        yield from _after(f"{margin}-", part, indent)


def _after(head: str, part: Part, indent: int) -> Iterator[str]:
    """Yield a value behind its key or dash: in the same line where it fits, else below."""
    end = f"  {part.after}" if part.after else ""
    value = part.value
    if isinstance(value, str) and "\n" in value and _is_block(value):
        yield from _block(head, value, indent, end)
    elif not isinstance(value, (Mapping, tuple)) or not value or _fits(part, len(head) + 1):
        yield f"{head} {_flow(part)}{end}"
    else:
        yield head + end
        if isinstance(value, Mapping):
            for key, inner in part.items():
                yield from _entry(key, inner, indent + _STEP)
        else:
            apart = any(isinstance(each.value, Mapping) and len(each.value) > 2 for each in part)
            for number, inner in enumerate(part):
                if apart and number:
                    yield ""
                yield from _item(inner, indent + _STEP)


def _fits(part: Part, column: int) -> bool:
    """Say whether a value is better written in one line: a list of words, a small object."""
    inner = list(part.value.values()) if isinstance(part.value, Mapping) else list(part)
    small = isinstance(part.value, tuple) or set(part.value) <= {"import", *CALL_KEYS}
    if not inner or not small or any(not _is_inline(each) for each in inner):
        return False
    return column + len(_flow(part)) <= WIDTH


def _is_inline(part: Part) -> bool:
    if part.before or part.after:
        return False
    if isinstance(part.value, Mapping):
        return all(_is_inline(inner) for inner in part.value.values())
    if isinstance(part.value, tuple):
        return all(_is_inline(inner) for inner in part)
    return not (isinstance(part.value, str) and "\n" in part.value)


def _flow(part: Part) -> str:
    """Return a value in one line."""
    if isinstance(part.value, Mapping):
        pairs = [f"{_text(key, True)}: {_flow(inner)}" for key, inner in part.items()]
        return "{" + ", ".join(pairs) + "}"
    if isinstance(part.value, tuple):
        return "[" + ", ".join(_flow(inner) for inner in part) + "]"
    if isinstance(part.value, str):
        # In brackets more must be quoted; it is as well to quote it everywhere.
        return _text(part.value, True)
    return _number(part.value)


def _number(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        text = repr(value)
        special = {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}
        mantissa, mark, exponent = text.partition("e")
        if not mark:
            return special.get(text, text)
        whole = mantissa if "." in mantissa else f"{mantissa}.0"
        return f"{whole}e{exponent if exponent[0] in '+-' else '+' + exponent}"
    return str(value)


def _text(text: str, in_brackets: bool = False) -> str:
    """Return text as a scalar in one line, in quotes where any reader could take it otherwise."""
    analysis: Any = Emitter(io.StringIO()).analyze_scalar(text)
    plain = analysis.allow_flow_plain if in_brackets else analysis.allow_block_plain
    try:
        plain = plain and text.isprintable() and read_plain(text) == text
    except NotPlain:
        plain = False
    if plain and not text.startswith("@"):
        return text
    if "\\" in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    # JSON's quotes are YAML's, but for the characters that do not show.
    return "".join(map(_shown, json.dumps(text, ensure_ascii=False)))


def _shown(character: str) -> str:
    """Return a character, or YAML's escape of one that does not show."""
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _is_block(text: str) -> bool:
    """Say whether text can stand as lines of its own."""
    lines = text.split("\n")
    if not lines[0].strip() or lines[0][0].isspace():
        return False
    return all(line.isprintable() and line == line.rstrip() for line in lines)


def _block(head: str, text: str, indent: int, end: str) -> Iterator[str]:
    body = text.rstrip("\n")
    breaks = len(text) - len(body)
    mark = {0: "|-", 1: "|"}.get(breaks, "|+")
    yield f"{head} {mark}{end}"
    lines = body.split("\n") + [""] * (breaks - 1)
    yield from (" " * (indent + _STEP) + line if line else "" for line in lines)
