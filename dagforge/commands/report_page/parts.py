"""Parts that a report's page is made of. Whatever comes from files goes through `text`."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dagforge.drawing.labels import legend_title, shown
from dagforge.drawing.model import Direction, Picture
from dagforge.drawing.palette import paint
from dagforge.drawing.svg import panel_svg
from dagforge.errors import Problem, visible


def text(value: object) -> str:
    """Return a value as HTML in which no name is an element, and every character can be seen."""
    return html.escape(visible(str(value)))


def embedded(data: Any) -> str:
    """Return data as JSON that no browser takes for the end of a script or for HTML."""
    written = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return written.encode("utf-8", "replace").decode()


def section(name: str, title: str, style: str = "") -> Iterator[str]:
    """Yield the beginning of a part of the report; who calls it ends it."""
    kind = f' class="{style}"' if style else ""
    yield f'<section id="{name}"{kind} aria-labelledby="{name}-title">'
    yield f'<h2 id="{name}-title" tabindex="-1">{text(title)}</h2>'


def table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, is_shown: bool = True
) -> Iterator[str]:
    """Yield a table.

    Args:
        title: what it is about.
        is_shown: False where a heading above it says so.
        columns: their headings, text.
        rows: cells, HTML.
    """
    # Reached by the keyboard, so that a wide one can be scrolled with it.
    yield f'<div class="wide" tabindex="0" role="region" aria-label="{text(title)}">'
    yield "<table>"
    if is_shown:
        yield f"<caption>{text(title)}</caption>"
    heads = "".join(f'<th scope="col">{text(column)}</th>' for column in columns)
    yield f"<thead><tr>{heads}</tr></thead><tbody>"
    for first, *rest in rows:
        cells = "".join(f"<td>{cell}</td>" for cell in rest)
        yield f'<tr><th scope="row">{first}</th>{cells}</tr>'
    yield "</tbody></table></div>"


def link(address: str, name: str) -> str:
    """Return a link within the page."""
    return f'<a href="{address}">{text(shown(name))}</a>'


def figure(
    part: str, kind: str, title: str, picture: Picture, direction: Direction
) -> Iterator[str]:
    """Yield a drawing.

    Args:
        part: id of the part of the report.
        kind: by which scripts know it; unique in its part.
        title: what is drawn.
        picture: its only panel is drawn.
        direction: of the arrows.
    """
    yield f'<figure data-kind="{kind}" id="{part}-{kind}">'
    yield f"<figcaption>{text(title)}</figcaption>"
    # Reached by the keyboard, so that it can be moved with it.
    label = text(f"{title}, drawing of {shown(picture.pipeline)}")
    yield f'<div class="scene" tabindex="0" role="group" aria-label="{label}">'
    yield panel_svg(picture, picture.panels[0], direction)
    yield "</div></figure>"


def legend(picture: Picture) -> Iterator[str]:
    """Yield what the colours of a picture mean."""
    if not picture.colours:
        return
    yield f'<ul class="legend" aria-label="{legend_title(picture)}">'
    for colour in picture.colours:
        colours = paint(colour.step, picture.coloured_by)
        style = f"background: {colours.fill}; color: {colours.text}"
        words = f"<code>{text(shown(colour.name))}</code> {text(colour.text)}"
        yield f'<li style="{style}">{words.strip()}</li>'
    yield "</ul>"


def problem_list(problems: Iterable[Problem]) -> Iterator[str]:
    """Yield what is wrong or doubtful, as a list."""
    yield '<ul class="problems">'
    for each in problems:
        where = f"<code>{text(each.location)}</code> " if each.at is not None else ""
        code = f" <code>[{text(each.code)}]</code>"
        fix = f"<br>fix: {text(each.fix)}" if each.fix else ""
        yield f"<li>{where}{each.severity}: {text(each.message)}{code}{fix}</li>"
    yield "</ul>"
