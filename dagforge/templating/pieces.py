"""What a template assembles: text, and the values that stand in it.

While Jinja runs, a value is a `Value`, an object of its own among the pieces of text. No text,
wherever it came from, can be taken for one. `expand` writes the values at the end, when the
column of each is known, and only where Python expects an expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from dagforge.templating.layout import INDENT, LINE_LENGTH, Code, Shape, lay_out, text_width

# An expression of a template: the file as the user knows it, the line, and how many `{{` stand
# before it in the file. A plain tuple, because the compiled template holds it as a constant.
Site = tuple[str, int, int]


class Value(Code):
    """A value that stands in a text; reads as its literal on one line."""

    __slots__ = ("shape", "site")

    shape: Shape
    site: Site

    @classmethod
    def at(cls, shape: Shape, site: Site) -> Value:
        """Return the value of that shape, written by the expression at `site`."""
        value = cls(shape.flat)
        value.shape = shape
        value.site = site
        return value


class Text(Code):
    """Text with values in it; reads as if every value were written on one line."""

    __slots__ = ("pieces",)

    pieces: list[str]


class Part(Code):
    """Text with values in it, put into another text by the expression at `site`."""

    __slots__ = ("site", "text")

    text: Text
    site: Site

    @classmethod
    def at(cls, text: Text, site: Site) -> Part:
        """Return `text` as a piece of another text."""
        part = cls(text)
        part.text = text
        part.site = site
        return part


class ImportBlock(Code):
    """The place of the import block, which is written last."""

    __slots__ = ()


Owner = tuple["Owner | None", Site] | None


class MisplacedError(Exception):
    """A value stands where Python expects no expression.

    Attributes:
        where: `string`, `f-string`, `comment`, `name` (touches one), `value` (touches another).
        site: the expression to blame.
    """

    def __init__(self, where: str, site: Site) -> None:
        self.where = where
        self.site = site
        super().__init__(where, site)


class ImportBlockError(Exception):
    """There are imports, and not exactly one place for them.

    Attributes:
        count: how many places there are.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(count)


def concat(pieces: Iterable[str]) -> Code:
    """Return what a template wrote, as one piece of code."""
    parts = list(pieces)
    joined = "".join(parts)
    for part in parts:
        if type(part) is not str and type(part) is not Code:
            return assemble(parts, joined)
    return Code(joined)


def assemble(pieces: list[str], joined: str | None = None) -> Text:
    """Return a text of these pieces."""
    text = Text("".join(pieces) if joined is None else joined)
    text.pieces = pieces
    return text


def strip(code: Code) -> Code:
    """Return `code` without white space around it."""
    if not isinstance(code, Text):
        return Code("".join((code,)).strip())
    pieces = [piece for piece, _ in leaves(code)]
    while pieces and type(pieces[0]) is str and not pieces[0].strip():
        del pieces[0]
    while pieces and type(pieces[-1]) is str and not pieces[-1].strip():
        del pieces[-1]
    if pieces and not isinstance(pieces[0], (Value, ImportBlock)):
        pieces[0] = pieces[0].lstrip()
    if pieces and not isinstance(pieces[-1], (Value, ImportBlock)):
        pieces[-1] = pieces[-1].rstrip()
    return assemble(pieces)


def indent(code: Code, width: int, *, first: bool, blank: bool) -> Code:
    """Return `code` with its lines moved to the right.

    Args:
        code: text, with or without values.
        width: by how many columns.
        first: the first line too.
        blank: empty lines too.
    """
    pad = " " * width
    pieces = [piece for piece, _ in leaves(code)]
    moved: list[str] = [pad] if first else []
    for piece, following in zip(pieces, [*pieces[1:], "\n"], strict=True):
        if isinstance(piece, (Value, ImportBlock)):
            moved.append(piece)
            continue
        head, *lines = piece.split("\n")
        kept = [head]
        for number, line in enumerate(lines, 1):
            open_end = number == len(lines) and not following.startswith("\n")
            kept.append(pad + line if line or blank or open_end else line)
        moved.append("\n".join(kept))
    return concat(moved)


def leaves(code: Code) -> Iterator[tuple[str, Owner]]:
    """Yield the pieces of text and the values of `code` in order, with who put them there."""
    if not isinstance(code, Text):
        yield code, None
        return
    stack: list[tuple[Iterator[str], Owner]] = [(iter(code.pieces), None)]
    while stack:
        pieces, owner = stack[-1]
        for piece in pieces:
            if isinstance(piece, Part):
                stack.append((iter(piece.text.pieces), (owner, piece.site)))
                break
            if isinstance(piece, Text):
                stack.append((iter(piece.pieces), owner))
                break
            yield piece, owner
        else:
            stack.pop()


def expand(code: Code, import_block: str = "") -> str:
    """Return the text of `code` with every value laid out where it stands.

    Args:
        code: what the templates of one file assembled.
        import_block: what stands at the place of the imports; if empty, its line goes too.

    Raises:
        MisplacedError: a value is in a string or comment, or touches a name.
        ImportBlockError: there is an import block, and no place for it, or several.
    """
    runs, values, places = _runs(code, import_block)
    _check_places(code, runs, values)
    if import_block and places != 1:
        raise ImportBlockError(places)
    followed_by = _widths_after(runs, values)
    written: list[str] = []
    column = indentation = 0
    for number, value in enumerate(values):
        run = runs[number]
        written.append(run)
        begin = run.rfind("\n") + 1
        on_new_line = begin > 0 or number == 0
        lead = run[begin:]
        if on_new_line:
            column = text_width(lead)
            indentation = len(lead) - len(lead.lstrip(" "))
        else:
            column += text_width(lead)
        room = LINE_LENGTH - column - followed_by[number]
        shape = value.shape
        if shape.width <= room:
            source = shape.flat
        elif on_new_line and _is_assigned(lead, runs[number + 1], shape, indentation):
            source = f"(\n{' ' * (indentation + INDENT)}{shape.flat}\n{' ' * indentation})"
        else:
            source = lay_out(shape, indentation, room)
        written.append(source)
        last_line = source[source.rfind("\n") + 1 :]
        column = text_width(last_line) + (0 if "\n" in source else column)
    written.append(runs[-1])
    return "".join(written)


def unfinished(code: Code) -> str | None:
    """Return what `code` leaves open at its end (`string`, `f-string`, `comment`), or None.

    Raises:
        MisplacedError: a value in it is misplaced already.
    """
    runs, values, _ = _runs(code, "")
    _check_places(code, runs, values)
    left_open = _open_at_end(runs[-1])
    return left_open[0] if left_open else None


def _runs(code: Code, import_block: str) -> tuple[list[str], list[Value], int]:
    """Return the texts before, between and after the values, the values, the import blocks."""
    runs: list[str] = []
    values: list[Value] = []
    run: list[str] = []
    dropping = False
    places = 0
    for piece, _ in leaves(code):
        if isinstance(piece, Value):
            runs.append(_unix("".join(run)))
            values.append(piece)
            run = []
        elif isinstance(piece, ImportBlock):
            run.append(import_block)
            places += 1
            dropping = not import_block
        elif piece:
            text: str = piece
            if dropping:
                # The line of the empty block, and the empty line that set it apart.
                text = text.removeprefix("\n").removeprefix("\n")
                dropping = False
            run.append(text)
    runs.append(_unix("".join(run)))
    return runs, values, places


def _unix(text: str) -> str:
    """Return `text` with the line ends that Python sees; a lone CR is one of them."""
    if "\r" not in text:
        return text
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _widths_after(runs: list[str], values: list[Value]) -> list[int]:
    """Return for each value the columns that follow it on its line, if all fits on one."""
    widths = [0] * len(values)
    for number in range(len(values) - 1, -1, -1):
        line, newline, _ = runs[number + 1].partition("\n")
        widths[number] = text_width(line)
        if not newline and number + 1 < len(values):
            widths[number] += values[number + 1].shape.width + widths[number + 1]
    return widths


_STATEMENT = re.compile(r" *(?:[^\W\d][\w.]*(?: *: *[\w.\[\], |]+)? = |return )\Z")


def _is_assigned(lead: str, rest: str, shape: Shape, indentation: int) -> bool:
    """Say whether ruff puts the value in brackets: all there is to assign, and then it fits."""
    return (
        not shape.items
        and not shape.links
        and rest[:1] in ("\n", "")
        and shape.width <= LINE_LENGTH - indentation - INDENT
        and _STATEMENT.match(lead) is not None
    )


def _check_places(code: Code, runs: list[str], values: list[Value]) -> None:
    for number, value in enumerate(values):
        run = runs[number]
        left_open = _open_at_end(run)
        if left_open:
            where, offset = left_open
            raise MisplacedError(where, _blamed(code, number, number, offset))
        if run:
            if _joins(run[-1]) or run[-1] in ".\\":
                raise MisplacedError("name", _blamed(code, number, number, len(run) - 1))
        elif number:
            raise MisplacedError("value", _blamed(code, number, number, 0))
        following = runs[number + 1][:1]
        if following and (_joins(following) or (following == "." and value[-1].isdigit())):
            raise MisplacedError("name", _blamed(code, number, number + 1, 0))


def _joins(char: str) -> bool:
    """Say whether a literal beside `char` would be read together with it."""
    return char.isalnum() or char in "_\"'" or not char.isascii()


# Tried where a word begins, not at each of its letters.
_OPENING = re.compile(r"#[^\n]*|(?<![A-Za-z])([A-Za-z]*)(\"\"\"|'''|\"|')")
_CLOSING = {
    quotes: re.compile(rf"\\.|{quotes}" + (r"|\n" if len(quotes) == 1 else ""), re.DOTALL)
    for quotes in ('"""', "'''", '"', "'")
}
_IN_F_STRING = re.compile(r"\\.|\"\"\"|'''|[\"'{}\n]", re.DOTALL)


def _open_at_end(run: str) -> tuple[str, int] | None:
    """Return what is open at the end of `run`, which begins in code, and where it opened."""
    if '"' not in run and "'" not in run and "#" not in run:
        return None  # most runs, and the search below tries every letter of them
    position = 0
    while found := _OPENING.search(run, position):
        if found.group(2) is None:
            if found.end() == len(run):
                return "comment", found.start()
            position = found.end()
            continue
        is_formatted = not set("fFtT").isdisjoint(found.group(1)[-2:])
        close = _f_string_end if is_formatted else _string_end
        end = close(run, found.end(), found.group(2))
        if end is None:
            return "f-string" if is_formatted else "string", found.start()
        position = end
    return None


def _string_end(run: str, position: int, quotes: str) -> int | None:
    """Return where the string that opened before `position` ends, or None."""
    for found in _CLOSING[quotes].finditer(run, position):
        if not found.group().startswith("\\"):
            return found.end()
    return None


def _f_string_end(run: str, position: int, quotes: str) -> int | None:
    """Return where the f-string ends, or None.

    Python 3.12 lets a field hold the quotes of its own f-string, older versions end the string
    there. Where the two readings differ, none is taken.
    """
    depth = 0
    while found := _IN_F_STRING.search(run, position):
        token = found.group()
        position = found.end()
        if token == "{":
            if depth == 0 and run.startswith("{", position):
                position += 1
            else:
                depth += 1
        elif token == "}":
            depth = max(depth - 1, 0)
        elif token == "\n":
            if len(quotes) == 1:
                return None if depth else position
        elif token[0] in "\"'":
            if depth == 0:
                if token.startswith(quotes):
                    return found.start() + len(quotes)
            elif token == quotes or (len(quotes) == 1 and token[0] == quotes):
                return None
            else:
                end = _string_end(run, position, token)
                if end is None:
                    return None
                position = end
    return None


def _blamed(code: Code, value_number: int, run_number: int, offset: int) -> Site:
    """Return the outermost expression that brought the value to what it must not touch.

    That is the expression which stands in one text with the quote or name at fault; the value
    may come from a macro that is right in itself.

    Args:
        code: what holds the value.
        value_number: of the value.
        run_number: of the run of text with the quote or name.
        offset: of the quote or name in that run.
    """
    run, length = 0, 0
    of_value: list[Site] = []
    of_fault: list[Site] | None = None
    for piece, owner in leaves(code):
        if isinstance(piece, Value):
            if run == value_number:
                of_value = [*_path(owner), piece.site]
            if of_fault is None and run + 1 == run_number and not of_value:
                of_fault = _path(owner)
            run, length = run + 1, 0
        elif run == run_number and of_fault is None and offset < length + len(piece):
            of_fault = _path(owner)
        length += len(piece)
    for ours, fault in zip(of_value, of_fault or []):  # noqa: B905
        if ours != fault:
            return ours
    return of_value[min(len(of_fault or []), len(of_value) - 1)]


def _path(owner: Owner) -> list[Site]:
    sites: list[Site] = []
    while owner is not None:
        owner, site = owner
        sites.append(site)
    return sites[::-1]
