"""A picture as a flowchart of Mermaid, which GitHub draws in Markdown.

Syntax: https://mermaid.js.org/syntax/flowchart.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from dagforge.drawing.labels import (
    CYCLE_TEXT,
    MADE_BY,
    datasets_shown,
    headline,
    identifier,
    identifiers,
    in_boxes,
    legend_title,
    scope,
    shown,
)
from dagforge.drawing.model import Box, Direction, Panel, Picture
from dagforge.drawing.palette import MARK, PLAIN, Paint, paint

# What Mermaid, or Markdown inside of it, might read as more than a character. `#60;` is its own
# spelling of one by number.
_SPECIAL = re.compile(r"[\u2060!-'*:-@\[-^`{-~]|\.(?= )|^[+-]")
# What begins a formula or an icon, however its characters are spelled. A character that is not seen
# parts it.
_MAGIC = re.compile(r"(?<=\$)(?=\$)|(?<=:)(?=fa-)")
_JOINER = "\N{WORD JOINER}"


def mermaid(pictures: Sequence[Picture], direction: Direction) -> str:
    """Return one flowchart, with a subgraph for each panel where there are several."""
    return "\n".join(_lines(pictures, direction)) + "\n"


def markdown(pictures: Sequence[Picture], direction: Direction) -> str:
    """Return a page with a flowchart for each panel of each pipeline."""
    parts = [f"<!-- {MADE_BY} -->"]
    titles = [headline(picture, panel) for picture in pictures for panel in picture.panels]
    for title, chart in zip(titles, charts(pictures, direction), strict=True):
        parts += [f"## {_heading(title)}", f"```mermaid\n{chart}```"]
    return "\n\n".join(parts) + "\n"


def charts(pictures: Sequence[Picture], direction: Direction) -> list[str]:
    """Return a flowchart for each panel of each pipeline."""
    return [
        mermaid([replace(picture, panels=(panel,))], direction)
        for picture in pictures
        for panel in picture.panels
    ]


def _heading(text: str) -> str:
    """Return a text for Markdown, in which none of its characters means anything."""
    return re.sub(r"[^\w :,.\-]|_", lambda found: f"&#{ord(found[0])};", text)


def _lines(pictures: Sequence[Picture], direction: Direction) -> Iterator[str]:
    several = sum(len(picture.panels) for picture in pictures) > 1
    yield f"%% {MADE_BY}"
    yield "flowchart TB" if direction == "down" else "flowchart LR"
    marked: list[int] = []
    boxes: list[str] = []
    arrows = 0
    paints: dict[str, Paint] = {}
    for picture in pictures:
        prefix = scope(picture, alone=len(pictures) == 1)
        for colour in picture.colours:
            paints[_class(picture, colour.step)] = paint(colour.step, picture.coloured_by)
        for panel in picture.panels:
            inside = "    " if several else "  "
            if several:
                yield f'  subgraph {prefix}{panel.by}s["{_text(headline(picture, panel))}"]'
                yield f"    direction {'TB' if direction == 'down' else 'LR'}"
            yield from (inside + line for line in _panel(picture, panel, prefix))
            if several:
                yield "  end"
            marked += (arrows + number for number, arrow in enumerate(panel.arrows) if arrow.marked)
            arrows += len(panel.arrows)
            boxes += (_box(prefix, box) for box in panel.boxes if box.marked)
        yield from _legend(picture, prefix)
    yield f"  classDef plain {_style(PLAIN)}"
    for name, each in sorted(paints.items()):
        yield f"  classDef {name} {_style(each)}"
    if boxes:
        yield f"  classDef cycle stroke:{MARK},stroke-width:3px"
        yield f"  class {','.join(boxes)} cycle"
    if marked:
        numbers = ",".join(map(str, marked))
        yield f"  linkStyle {numbers} stroke:{MARK},stroke-width:3px"


def _panel(picture: Picture, panel: Panel, prefix: str) -> Iterator[str]:
    ids = identifiers(panel, prefix)
    step_of = {colour.name: colour.step for colour in picture.colours}
    for box, shapes in in_boxes(panel, ids):
        if box is not None:
            label = _label(box.name, box.notes, " \N{MIDDLE DOT} ")
            yield f'subgraph {_box(prefix, box)}["{label}"]'
        indent = "" if box is None else "  "
        for shape, name in shapes:
            label = _label(shape.name, shape.notes, "<br/>")
            # A colour of a machine that no settings describe is not known.
            step = step_of.get(shape.colour or "")
            style = "plain" if step is None else _class(picture, step)
            yield f'{indent}{name}["{label}"]:::{style}'
        if box is not None:
            yield "end"
    for arrow in panel.arrows:
        line = "==>" if arrow.marked else "-->" if arrow.datasets else "-.->"
        label = f'|"{_text(datasets_shown(arrow.datasets))}"|' if arrow.datasets else ""
        yield f"{ids[arrow.start]} {line}{label} {ids[arrow.end]}"


def _legend(picture: Picture, prefix: str) -> Iterator[str]:
    if not (picture.colours or picture.is_marked):
        return
    yield f'  subgraph {prefix}legend["{_text(legend_title(picture))}"]'
    for colour in picture.colours:
        name = f"{prefix}{identifier('c', colour.name)}"
        label = _label(colour.name, (colour.text,) if colour.text else (), "<br/>")
        yield f'    {name}["{label}"]:::{_class(picture, colour.step)}'
    if picture.is_marked:
        yield f'    {prefix}marked["{_text(CYCLE_TEXT)}"]:::plain'
    yield "  end"


def _box(prefix: str, box: Box) -> str:
    return f"{prefix}{identifier('g', box.name)}"


def _class(picture: Picture, step: int) -> str:
    return f"{picture.coloured_by}{step}"


def _style(colours: Paint) -> str:
    return f"fill:{colours.fill},color:{colours.text},stroke:{colours.stroke}"


def _label(name: str, notes: Sequence[str], between: str) -> str:
    return between.join([_text(shown(name)), *(_text(shown(note)) for note in notes)])


def _text(text: str) -> str:
    """Return a text for a label in quotes, in which none of its characters means anything."""
    text = _MAGIC.sub(_JOINER, text)
    return _SPECIAL.sub(lambda found: "".join(f"#{ord(char)};" for char in found[0]), text)
