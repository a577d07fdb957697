"""A picture in Graphviz' language, for `dot`.

Syntax: https://graphviz.org/doc/info/lang.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
from dagforge.drawing.model import Direction, Panel, Picture
from dagforge.drawing.palette import MARK, PLAIN, Paint, paint
from dagforge.errors import visible


def dot(pictures: Sequence[Picture], direction: Direction) -> str:
    """Return one graph, with a cluster for each panel."""
    return "\n".join(_lines(pictures, direction)) + "\n"


def _lines(pictures: Sequence[Picture], direction: Direction) -> Iterator[str]:
    yield f"// {MADE_BY}"
    yield "digraph pipelines {"
    yield f"  graph [rankdir={'TB' if direction == 'down' else 'LR'}];"
    yield '  graph [charset="UTF-8", fontname="Helvetica", labeljust=l, style=rounded];'
    yield '  node [fontname="Helvetica", shape=box, style="rounded,filled"];'
    yield '  edge [fontname="Helvetica", fontsize=10, color="#5b7083"];'
    for picture in pictures:
        prefix = scope(picture, alone=len(pictures) == 1)
        for panel in picture.panels:
            yield f"  subgraph cluster_{prefix}{panel.by}s {{"
            yield f"    label={_quoted(headline(picture, panel))}; color=none;"
            yield from (f"    {line}" for line in _panel(picture, panel, prefix))
            yield "  }"
        yield from _legend(picture, prefix)
    yield "}"


def _panel(picture: Picture, panel: Panel, prefix: str) -> Iterator[str]:
    ids = identifiers(panel, prefix)
    step_of = {colour.name: colour.step for colour in picture.colours}
    for box, shapes in in_boxes(panel, ids):
        if box is not None:
            yield f"subgraph cluster_{prefix}{identifier('g', box.name)} {{"
            label = " \N{MIDDLE DOT} ".join([shown(box.name), *map(shown, box.notes)])
            mark = f'color="{MARK}"; penwidth=3;' if box.marked else f'color="{_BORDER}";'
            yield f"  label={_quoted(label)}; {mark}"
        indent = "" if box is None else "  "
        for shape, name in shapes:
            label = _quoted("\n".join([shown(shape.name), *map(shown, shape.notes)]))
            tooltip = _quoted(visible(shape.name))
            step = step_of.get(shape.colour or "")
            colours = PLAIN if step is None else paint(step, picture.coloured_by)
            yield f"{indent}{name} [label={label}, tooltip={tooltip}, {_style(colours)}];"
        if box is not None:
            yield "}"
    for arrow in panel.arrows:
        how = [f"label={_quoted(datasets_shown(arrow.datasets))}"] if arrow.datasets else []
        how += [] if arrow.datasets else ["style=dashed"]
        how += [f'color="{MARK}"', "penwidth=3"] if arrow.marked else []
        yield f"{ids[arrow.start]} -> {ids[arrow.end]} [{', '.join(how)}];"


_BORDER = PLAIN.stroke


def _legend(picture: Picture, prefix: str) -> Iterator[str]:
    if not (picture.colours or picture.is_marked):
        return
    yield f"  subgraph cluster_{prefix}legend {{"
    yield f'    label={_quoted(legend_title(picture))}; color="{_BORDER}"; style="dashed,rounded";'
    for colour in picture.colours:
        label = _quoted("\n".join(filter(None, (shown(colour.name), colour.text))))
        style = _style(paint(colour.step, picture.coloured_by))
        yield f"    {prefix}{identifier('c', colour.name)} [label={label}, {style}];"
    if picture.is_marked:
        yield f"    {prefix}marked [label={_quoted(CYCLE_TEXT)}, {_style(PLAIN)}];"
    yield "  }"


def _style(colours: Paint) -> str:
    return f'fillcolor="{colours.fill}", fontcolor="{colours.text}", color="{colours.stroke}"'


def _quoted(text: str) -> str:
    """Return a text in quotes, in which Graphviz reads HTML's entities and escapes of its own."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
    return '"' + escaped.replace("\n", "\\n") + '"'
