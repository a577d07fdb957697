"""Values as Python source, laid out as `ruff format` leaves them.

`literal` writes a value on one line. `layout` breaks a collection or call that does not fit: one
item a line, each followed by a comma. The types are a closed list, so that nothing is ever
written by its `repr`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import field
from functools import lru_cache
from typing import Any, NamedTuple

from dagforge.frozen import frozen

LINE_LENGTH = 88
INDENT = 4
# Wider than any line: what spans several lines never fits on one.
_ENDLESS = 1 << 40
# int() reads at most 4,300 decimal digits since Python 3.11; hexadecimal has no limit.
_DECIMAL_BITS = 14_000


class Code(str):
    """Text that is Python already, and is never quoted.

    Every string operation on it gives a plain `str`, which is a value again: only whole pieces of
    code stay code.
    """

    __slots__ = ()

    def __str__(self) -> Code:
        """Return itself; `str()` alone must not turn code into a value."""
        return self


@frozen
class Call:
    """A call that is laid out with its arguments.

    Attributes:
        function: what is called, as it stands in the source.
        args: values of positional arguments.
        kwargs: values by argument name.
    """

    function: Code
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@frozen
class Chain:
    """Tasks joined by `>>`, as a statement.

    Attributes:
        links: two or more; each a name or a list of names, in `Code`.
    """

    links: tuple[Any, ...]


class NoLiteralError(TypeError):
    """A value has a type that Python source cannot hold as a literal.

    Attributes:
        value: the value, or the part of it.
    """

    def __init__(self, value: object) -> None:
        self.value = value
        super().__init__(f"{type(value).__name__} has no Python literal")


class Shape(NamedTuple):
    """A value's source on one line, and where it may be broken.

    Attributes:
        flat: the source on one line.
        width: columns that `flat` takes.
        opening: up to and including the opening bracket; empty for what is never broken.
        closing: the closing bracket.
        items: what stands in front of each item (`"key": `, `name=`) and the item.
        joins: may keep all items together on a line of their own, as the arguments of calls do.
        links: the operands of a chain; empty for everything else.
    """

    flat: str
    width: int
    opening: str = ""
    closing: str = ""
    items: tuple[tuple[str, Shape], ...] = ()
    joins: bool = False
    links: tuple[Shape, ...] = ()


Spell = Callable[[object], "Shape | None"]


def literal(value: object, spell: Spell | None = None) -> str:
    """Return `value` as Python source on one line.

    Raises:
        NoLiteralError: `value` or a part of it is of no known type.
    """
    return shape(value, spell).flat


def layout(value: object, indent: int, room: int, spell: Spell | None = None) -> str:
    """Return `value` as Python source, on one line if that fits.

    Args:
        value: what is written.
        indent: columns of white space in front of the line that it begins on.
        room: columns left on that line, less what follows the value.
        spell: gives the shape of a value whose type is not built in, or None.

    Raises:
        NoLiteralError: `value` or a part of it is of no known type.
    """
    return lay_out(shape(value, spell), indent, room)


def shape(value: object, spell: Spell | None = None) -> Shape:
    """Return how `value` is written, before it is known where."""
    kind = type(value)
    if kind is str:
        return _atom(quote(value))  # type: ignore[arg-type]
    if value is None or kind is bool:
        return _atom(repr(value))
    if kind is int:
        return _atom(_integer(value))  # type: ignore[arg-type]
    if kind is Shape:
        return value  # type: ignore[return-value]
    if kind is Call:
        return _call(value, spell)  # type: ignore[arg-type]
    if kind is Chain:
        return _chain(value, spell)  # type: ignore[arg-type]
    if kind is Code and value.isidentifier():  # type: ignore[attr-defined]
        return _atom("".join((value,)))  # type: ignore[arg-type]  # a name leaves nothing open
    if kind not in _BUILT_IN and spell is not None:
        spelled = spell(value)
        if spelled is not None:
            return spelled
    if isinstance(value, Code):
        return _atom("".join((value,)))
    if isinstance(value, str):
        return _atom(quote("".join((value,))))
    if isinstance(value, int):
        return _atom(_integer(int(value)))
    if isinstance(value, float):
        return _float(float(value))
    if isinstance(value, list):
        return _bracketed("[", [("", shape(item, spell)) for item in value], "]")
    if isinstance(value, Mapping):
        pairs = [(literal(key, spell) + ": ", shape(item, spell)) for key, item in value.items()]
        return _bracketed("{", pairs, "}")
    if isinstance(value, tuple):
        return _bracketed("(", [("", shape(item, spell)) for item in value], ")")
    raise NoLiteralError(value)


_BUILT_IN = frozenset({str, bool, int, float, dict, list, tuple, type(None), set, frozenset})


def lay_out(shape: Shape, indent: int, room: int) -> str:
    """Return the source of `shape`; see `layout` for the arguments."""
    if shape.width <= room:
        return shape.flat
    if shape.links:
        return _break_chain(shape, indent, room)
    if not shape.items:
        return _indented(shape.flat, indent) if shape.width >= _ENDLESS else shape.flat
    inner = indent + INDENT
    pad = " " * inner
    if shape.joins:
        body = shape.flat[len(shape.opening) : -len(shape.closing)]
        if shape.width - text_width(shape.opening) - len(shape.closing) <= LINE_LENGTH - inner:
            return f"{shape.opening}\n{pad}{body}\n{' ' * indent}{shape.closing}"
    lines = [shape.opening]
    for lead, item in shape.items:
        room = LINE_LENGTH - inner - text_width(lead) - 1
        lines.append(f"{pad}{lead}{lay_out(item, inner, room)},")
    lines.append(" " * indent + shape.closing)
    return "\n".join(lines)


def quote(text: str) -> str:
    """Return `text` as a string literal, in the quotes that need fewer backslashes.

    What cannot be seen (control and format characters, odd spaces, lone surrogates, private use)
    is escaped. Characters that this Python's Unicode does not know yet are left as they are, so
    that every Python writes the same.
    """
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    mark = "'" if text.count('"') > text.count("'") else '"'
    body = text.replace("\\", "\\\\").replace(mark, "\\" + mark)
    if not body.isprintable():
        body = "".join([char if _visible(char) else _escape(char) for char in body])
    return f"{mark}{body}{mark}"


def text_width(text: str) -> int:
    """Return the columns that `text` takes; East Asian wide characters take two."""
    if text.isascii():
        return len(text)
    return len(text) + sum([_char_width(char) - 1 for char in text if char > "\x7f"])


def _atom(flat: str) -> Shape:
    return Shape(flat, _ENDLESS if "\n" in flat else text_width(flat))


def _bracketed(
    opening: str, items: list[tuple[str, Shape]], closing: str, *, joins: bool = False
) -> Shape:
    body = ", ".join([lead + item.flat for lead, item in items])
    if opening == "(" and len(items) == 1:
        body += ","
    flat = f"{opening}{body}{closing}"
    width = text_width(flat)
    if "\n" in flat:
        width += _ENDLESS
    return Shape(flat, width, opening, closing, tuple(items), joins)


def _call(call: Call, spell: Spell | None) -> Shape:
    items = [("", shape(value, spell)) for value in call.args]
    items += [(f"{name}=", shape(value, spell)) for name, value in call.kwargs.items()]
    return _bracketed(f"{call.function}(", items, ")", joins=True)


def _chain(chain: Chain, spell: Spell | None) -> Shape:
    links = tuple(shape(link, spell) for link in chain.links)
    flat = " >> ".join([link.flat for link in links])
    return Shape(flat, text_width(flat), links=links)


def _break_chain(chain: Shape, indent: int, room: int) -> str:
    """Return a chain of two with a list broken, else in brackets with one operand a line."""
    links = chain.links
    if len(links) == 2:
        first, last = links
        if last.items and first.width + len(" >> ") + len(last.opening) <= room:
            return f"{first.flat} >> {lay_out(last, indent, 0)}"
        room -= len(first.closing) + len(" >> ")
        if first.items and (last.items or last.width <= room):
            return f"{lay_out(first, indent, 0)} >> {lay_out(last, indent, room)}"
    inner = indent + INDENT
    pad = " " * inner
    lines = ["("]
    for number, link in enumerate(links):
        lead = ">> " if number else ""
        lines.append(pad + lead + lay_out(link, inner, LINE_LENGTH - inner - len(lead)))
    lines.append(" " * indent + ")")
    return "\n".join(lines)


def _indented(code: str, indent: int) -> str:
    """Return `code` with every line after the first moved to the right."""
    first, *rest = code.split("\n")
    return "\n".join([first, *(" " * indent + line if line else line for line in rest)])


def _integer(value: int) -> str:
    if value.bit_length() <= _DECIMAL_BITS:
        return int.__repr__(value)
    sign = "-" if value < 0 else ""
    return f"{sign}0x{abs(value):X}"


def _float(value: float) -> Shape:
    if value - value == 0:
        return _atom(float.__repr__(value).replace("e+", "e"))
    return _call(Call(Code("float"), (float.__repr__(value),)), None)


def _visible(char: str) -> bool:
    if char.isprintable():
        return True
    code = ord(char)
    never_assigned = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    return unicodedata.category(char) == "Cn" and not never_assigned


def _escape(char: str) -> str:
    code = ord(char)
    if char in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[char]
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


# Wide since Unicode 16, or assigned by it: written out so that every Python measures the same.
_WIDE = ((0x2630, 0x2637), (0x268A, 0x268F), (0x4DC0, 0x4DFF), (0x1D300, 0x1D376))
_EMOJI = (0x1FA70, 0x1FAFF)
_CONJOINING = ((0x1160, 0x11FF), (0xD7B0, 0xD7FF), (0xFF9E, 0xFFA0))


@lru_cache(maxsize=4096)
def _char_width(char: str) -> int:
    code = ord(char)
    category = unicodedata.category(char)
    if category in ("Mn", "Me") or _within(code, _CONJOINING):
        return 0
    if category == "Cn":
        return 2 if _within(code, (_EMOJI,)) or code >= 0x20000 else 1
    wide = unicodedata.east_asian_width(char) in "WF" or _within(code, _WIDE)
    return 2 if wide else 1


def _within(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= code <= last for first, last in ranges)
