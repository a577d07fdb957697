"""A picture as a page of HTML that stands alone: no script, nothing from the network."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence

from dagforge.drawing.labels import CYCLE_TEXT, MADE_BY, headline, legend_title, shown
from dagforge.drawing.model import Direction, Panel, Picture
from dagforge.drawing.palette import paint
from dagforge.drawing.svg import MARKERS, STYLE, panel_svg
from dagforge.errors import visible

# The browser itself refuses what the page has no need for.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """\
:root { color-scheme: light dark; }
body { margin: 1rem 1.5rem; font-family: system-ui, sans-serif;
  background: #ffffff; color: #14212b; }
h1 { font-size: 1.3rem; } h2 { font-size: 1rem; }
.panels { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
figure { margin: 0; max-width: 100%; }
.scroll { overflow: auto; max-height: 85vh; border: 1px solid #5b7083; border-radius: 6px; }
.scroll svg { display: block; }
.legend { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .4rem; }
.legend li { padding: .2rem .6rem; border: 1px solid #5b7083; border-radius: 4px; }
.legend code { font-weight: bold; }
details { margin: 1rem 0; }
table { border-collapse: collapse; font-size: .85rem; }
th, td { border: 1px solid #5b7083; padding: .25rem .5rem; text-align: left;
  overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) { body { background: #0d1117; color: #e6edf3; } }
@media print { .scroll { overflow: visible; max-height: none; border: none; } }
"""


def page(pictures: Sequence[Picture], direction: Direction) -> str:
    """Return a page with a section for each pipeline, its panels side by side."""
    title = ", ".join(shown(picture.pipeline) for picture in pictures)
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        f"<!-- {MADE_BY} -->",
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(title)}</title>",
        f"<style>\n{_STYLE}{STYLE}</style>",
        "</head>",
        "<body>",
        # The marks at the ends of arrows, which all pictures share.
        f'<svg width="0" height="0" aria-hidden="true">{MARKERS}</svg>',
        "<main>",
    ]
    for picture in pictures:
        lines += _section(picture, direction)
    lines += ["</main>", "</body>", "</html>"]
    return "\n".join(lines) + "\n"


def _section(picture: Picture, direction: Direction) -> Iterator[str]:
    yield "<section>"
    yield f"<h1>{html.escape(shown(picture.pipeline))}</h1>"
    yield from _legend(picture)
    yield '<div class="panels">'
    for panel in picture.panels:
        title = html.escape(headline(picture, panel))
        yield f"<figure><h2>{title}</h2>"
        # Reached by the keyboard, so that it can be scrolled with it.
        yield f'<div class="scroll" tabindex="0" role="region" aria-label="{title}">'
        yield panel_svg(picture, panel, direction)
        yield "</div></figure>"
    yield "</div>"
    for panel in picture.panels:
        yield from _table(picture, panel)
    yield "</section>"


def _legend(picture: Picture) -> Iterator[str]:
    if not (picture.colours or picture.is_marked):
        return
    yield f'<ul class="legend" aria-label="{html.escape(legend_title(picture))}">'
    for colour in picture.colours:
        colours = paint(colour.step, picture.coloured_by)
        style = f"background: {colours.fill}; color: {colours.text}"
        text = f"<code>{html.escape(shown(colour.name))}</code> {html.escape(colour.text)}"
        yield f'<li style="{style}">{text.strip()}</li>'
    if picture.is_marked:
        yield f"<li>{html.escape(CYCLE_TEXT)}</li>"
    yield "</ul>"


def _table(picture: Picture, panel: Panel) -> Iterator[str]:
    """Yield the panel in words, for those who do not see it and for searching in the page."""
    before: dict[int, list[str]] = {}
    for arrow in panel.arrows:
        before.setdefault(arrow.end, []).append(panel.shapes[arrow.start].name)
    yield f"<details><summary>{html.escape(headline(picture, panel))}, as a table</summary>"
    columns = (panel.by, "task" if panel.by == "node" else "nodes", "machine", "runs after")
    yield f"<table><tr>{''.join(f'<th>{column}</th>' for column in columns)}</tr>"
    for number, shape in enumerate(panel.shapes):
        own = shape.task if panel.by == "node" else ", ".join(shape.nodes)
        cells = (shape.name, own, shape.facts.get("machine"), ", ".join(before.get(number, ())))
        yield f"<tr>{''.join(map(_cell, cells))}</tr>"
    yield "</table></details>"


def _cell(text: str | None) -> str:
    return f"<td>{html.escape(visible(text or ''))}</td>"
