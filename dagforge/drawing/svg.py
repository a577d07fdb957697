"""A picture as SVG, laid out here: it needs neither Graphviz nor a browser that runs scripts."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Sequence

from dagforge.drawing.labels import (
    CYCLE_TEXT,
    MADE_BY,
    datasets_shown,
    headline,
    legend_title,
    shown,
)
from dagforge.drawing.layered import Point
from dagforge.drawing.layout import (
    BOX_TITLE,
    LETTER,
    LINE,
    NAME_SIZE,
    NOTE_SIZE,
    PADDING,
    Layout,
    Rectangle,
    box_title,
    lay_out,
)
from dagforge.drawing.model import Direction, Panel, Picture, Shape
from dagforge.drawing.palette import MARK, PLAIN, paint
from dagforge.errors import visible
from dagforge.templating.layout import text_width

MARGIN = 16
TITLE = 30
SWATCH = 14
STYLE = f"""\
.dagforge {{ background: #ffffff; color: #14212b; }}
.dagforge text {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {NAME_SIZE}px; fill: currentColor; }}
.dagforge .note, .dagforge .label {{ font-size: {NOTE_SIZE}px; }}
.dagforge .title {{ font-size: 14px; font-weight: bold; }}
.dagforge .shape rect {{ stroke-width: 1; }}
.dagforge .box {{ fill: #5b7083; fill-opacity: 0.08; stroke: #5b7083; stroke-dasharray: 4 3; }}
.dagforge .box.marked {{ stroke: {MARK}; stroke-width: 2.5; stroke-dasharray: none; }}
.dagforge .arrow {{ fill: none; stroke: #6b7d8d; stroke-width: 1.2; }}
.dagforge .arrow.after {{ stroke-dasharray: 5 4; }}
.dagforge .arrow.marked {{ stroke: {MARK}; stroke-width: 3; }}
.dagforge .behind {{ fill: #ffffff; fill-opacity: 0.85; }}
@media (prefers-color-scheme: dark) {{
  .dagforge {{ background: #0d1117; color: #e6edf3; }}
  .dagforge .arrow {{ stroke: #8b9aa8; }}
  .dagforge .arrow.marked {{ stroke: #ff6b6b; }}
  .dagforge .behind {{ fill: #0d1117; }}
}}
@media print {{
  .dagforge {{ background: #ffffff; color: #14212b; }}
  .dagforge .behind {{ fill: #ffffff; }}
}}
"""
MARKERS = f"""\
<defs>
<marker id="dagforge_arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" \
markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z" fill="#6b7d8d"/></marker>
<marker id="dagforge_marked" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="12" \
markerHeight="12" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z" \
fill="{MARK}"/></marker>
</defs>"""


def svg(pictures: Sequence[Picture], direction: Direction) -> str:
    """Return one SVG, with the panels of a pipeline side by side and the pipelines in a column."""
    lines: list[str] = []
    width, y = 0.0, float(MARGIN)
    for picture in pictures:
        x, tallest = float(MARGIN), 0.0
        for panel in picture.panels:
            layout = lay_out(panel, direction)
            lines.append(f'<g transform="translate({_n(x)} {_n(y)})">')
            title = headline(picture, panel)
            lines.append(_text(title, 0, 14, "title"))
            lines.append(f'<g transform="translate(0 {TITLE})">')
            lines += panel_lines(picture, panel, layout)
            lines += ["</g>", "</g>"]
            x += max(layout.width, 8.5 * text_width(title)) + 2 * MARGIN
            tallest = max(tallest, layout.height + TITLE)
        y += tallest + MARGIN
        legend, legend_width, legend_height = _legend(picture)
        if legend:
            lines.append(f'<g transform="translate({MARGIN} {_n(y)})">')
            lines += [*legend, "</g>"]
            y += legend_height
        width = max(width, x - MARGIN, legend_width + 2 * MARGIN)
        y += MARGIN
    names = "; ".join(headline(each, panel) for each in pictures for panel in each.panels)
    return "\n".join([*_open(width, y, names), *lines, "</svg>"]) + "\n"


def _open(width: float, height: float, title: str) -> list[str]:
    size = f'width="{_n(width)}" height="{_n(height)}"'
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="dagforge" {size} '
        f'viewBox="0 0 {_n(width)} {_n(height)}" role="img">',
        f"<!-- {MADE_BY} -->",
        f"<title>{_escaped(title)}</title>",
        f"<style>\n{STYLE}</style>",
        MARKERS,
    ]


def panel_svg(picture: Picture, panel: Panel, direction: Direction) -> str:
    """Return one panel as an SVG element of a page that has `STYLE` and `MARKERS`."""
    layout = lay_out(panel, direction)
    width, height = _n(layout.width + 2 * MARGIN), _n(layout.height + 2 * MARGIN)
    lines = [
        f'<svg class="dagforge" width="{width}" height="{height}" '
        f'viewBox="-{MARGIN} -{MARGIN} {width} {height}" role="img" '
        f'aria-label="{_escaped(headline(picture, panel))}">',
        *panel_lines(picture, panel, layout),
        "</svg>",
    ]
    return "\n".join(lines)


def panel_lines(picture: Picture, panel: Panel, layout: Layout) -> Iterator[str]:
    """Yield the elements of one panel: boxes, arrows, shapes, and labels above all."""
    for box, at in zip(panel.boxes, layout.boxes, strict=True):
        style = "box marked" if box.marked else "box"
        yield f"<g>{_tooltip(box.name)}{_rectangle(at, style)}</g>"
    for arrow, path in zip(panel.arrows, layout.paths, strict=True):
        kinds = ["arrow"]
        kinds += [] if arrow.datasets else ["after"]
        kinds += ["marked"] if arrow.marked else []
        head = "dagforge_marked" if arrow.marked else "dagforge_arrow"
        start, end = panel.shapes[arrow.start].name, panel.shapes[arrow.end].name
        behind = ", ".join(arrow.datasets) or "after"
        yield (
            f'<path class="{" ".join(kinds)}" d="{_curve(path, layout.direction)}" '
            f'marker-end="url(#{head})">{_tooltip(f"{start} → {end}: {behind}")}</path>'
        )
    for box, at in zip(panel.boxes, layout.boxes, strict=True):
        title = box_title(box)
        width = LETTER * NOTE_SIZE * text_width(title)
        yield _rectangle(Rectangle(at.x + PADDING, at.y + 5, width, 14), "behind")
        yield _text(title, at.x + PADDING, at.y + BOX_TITLE - 7, "note")
    step_of = {colour.name: colour.step for colour in picture.colours}
    for shape, at in zip(panel.shapes, layout.shapes, strict=True):
        yield from _shape(picture, shape, at, step_of.get(shape.colour or ""))
    for arrow, middle in zip(panel.arrows, layout.labels, strict=True):
        if middle is None:
            continue
        label = datasets_shown(arrow.datasets)
        width = LETTER * NOTE_SIZE * text_width(label)
        x, y = middle
        yield _rectangle(Rectangle(x - width / 2, y - 7, width, 14), "behind")
        yield _text(label, x, y + 3.5, "label", anchor="middle")


def _shape(picture: Picture, shape: Shape, at: Rectangle, step: int | None) -> Iterator[str]:
    colours = PLAIN if step is None else paint(step, picture.coloured_by)
    facts = "\n".join(
        f"{key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for key, value in shape.facts.items()
        if value
    )
    tooltip = _tooltip(f"{shape.name}\n{facts}" if facts else shape.name)
    yield f'<g class="shape" data-name="{_escaped(visible(shape.name))}">{tooltip}'
    where = f'x="{_n(at.x)}" y="{_n(at.y)}" width="{_n(at.width)}" height="{_n(at.height)}"'
    yield f'<rect {where} rx="6" style="fill: {colours.fill}; stroke: {colours.stroke}"/>'
    x, y = at.x + at.width / 2, at.y + PADDING / 2 + LINE - 4
    yield _text(shown(shape.name), x, y, anchor="middle", fill=colours.text)
    for line, note in enumerate(shape.notes, 1):
        yield _text(shown(note), x, y + line * LINE, "note", anchor="middle", fill=colours.text)
    yield "</g>"


def _legend(picture: Picture) -> tuple[list[str], float, float]:
    """Return the elements that say what the colours mean, with their width and height."""
    if not (picture.colours or picture.is_marked):
        return [], 0.0, 0.0
    lines = [_text(legend_title(picture), 0, 12, "note")]
    longest, y = 0, 20.0
    for colour in picture.colours:
        colours = paint(colour.step, picture.coloured_by)
        text = f"{shown(colour.name)}  {colour.text}".strip()
        lines.append(
            f'<rect x="0" y="{_n(y)}" width="{SWATCH}" height="{SWATCH}" rx="3" '
            f'style="fill: {colours.fill}; stroke: {colours.stroke}"/>'
        )
        lines.append(_text(text, SWATCH + 8, y + 11, "note"))
        longest = max(longest, text_width(text))
        y += SWATCH + 6
    if picture.is_marked:
        lines.append(_text(CYCLE_TEXT, 0, y + 11, "note"))
        longest = max(longest, text_width(CYCLE_TEXT))
        y += SWATCH + 6
    return lines, SWATCH + 8 + LETTER * NOTE_SIZE * longest, y


def _curve(path: Sequence[Point], direction: Direction) -> str:
    """Return the path through points, bent where it changes its place across the arrows' way."""
    first, *rest = path
    parts = [f"M{_n(first[0])} {_n(first[1])}"]
    before = first
    for point in rest:
        (x, y), (to_x, to_y) = before, point
        if point == before:
            continue
        if x == to_x or y == to_y:
            parts.append(f"L{_n(to_x)} {_n(to_y)}")
        elif direction == "down":
            middle = _n((y + to_y) / 2)
            parts.append(f"C{_n(x)} {middle} {_n(to_x)} {middle} {_n(to_x)} {_n(to_y)}")
        else:
            middle = _n((x + to_x) / 2)
            parts.append(f"C{middle} {_n(y)} {middle} {_n(to_y)} {_n(to_x)} {_n(to_y)}")
        before = point
    return "".join(parts)


def _rectangle(at: Rectangle, style: str) -> str:
    where = f'x="{_n(at.x)}" y="{_n(at.y)}" width="{_n(at.width)}" height="{_n(at.height)}"'
    return f'<rect class="{style}" {where} rx="6"/>'


def _text(
    text: str, x: float, y: float, style: str = "", *, anchor: str = "", fill: str = ""
) -> str:
    attributes = f' class="{style}"' if style else ""
    attributes += f' text-anchor="{anchor}"' if anchor else ""
    attributes += f' style="fill: {fill}"' if fill else ""
    return f'<text x="{_n(x)}" y="{_n(y)}"{attributes}>{_escaped(text)}</text>'


def _tooltip(text: str) -> str:
    return f"<title>{_escaped(visible(text))}</title>"


def _escaped(text: str) -> str:
    return html.escape(text)


def _n(number: float) -> str:
    """Return a length to a tenth of a pixel."""
    # Adding 0 makes -0.0 a plain 0.
    return f"{round(number, 1) + 0.0:.1f}".removesuffix(".0")
