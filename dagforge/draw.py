"""Write pictures in a format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from dagforge.drawing.data import as_json
from dagforge.drawing.dot import dot
from dagforge.drawing.mermaid import charts, markdown, mermaid
from dagforge.drawing.model import Direction, Picture
from dagforge.drawing.page import page
from dagforge.drawing.svg import svg
from dagforge.errors import Problem, Warn
from dagforge.frozen import frozen


@frozen
class Format:
    """A format of pictures.

    Attributes:
        write: makes the text.
        endings: of the names of its files.
        most_arrows: with more of them, whatever draws the text gives up or takes too long; None
            without a limit.
        most_text: as many characters at most; None without a limit.
        drawn_by: who has these limits.
        charts: makes the parts of the text that are drawn by themselves; None for the whole.
    """

    write: Callable[[Sequence[Picture], Direction], str]
    endings: tuple[str, ...]
    most_arrows: int | None = None
    most_text: int | None = None
    drawn_by: str = ""
    charts: Callable[[Sequence[Picture], Direction], Sequence[str]] | None = None


# As at 2026-11: maxEdges and maxTextSize of Mermaid 11, which a page cannot change on GitHub.
# https://mermaid.js.org/config/schema-docs/config.html
_MERMAID = Format(mermaid, (".mmd", ".mermaid"), 500, 50_000, "Mermaid on GitHub")
FORMATS: Mapping[str, Format] = {
    "mermaid": _MERMAID,
    "markdown": replace(_MERMAID, write=markdown, endings=(".md", ".markdown"), charts=charts),
    "dot": Format(dot, (".dot", ".gv"), 1_000, None, "Graphviz' dot"),
    "svg": Format(svg, (".svg",), 20_000, None, "a browser"),
    "html": Format(page, (".html", ".htm"), 20_000, None, "a browser"),
    "json": Format(as_json, (".json",)),
}


def draw(
    pictures: Sequence[Picture], form: str, *, direction: Direction = "down", warn: Warn
) -> str:
    """Return the text of pictures in a format, the same for the same pictures.

    Args:
        pictures: one for each pipeline.
        form: a key of `FORMATS`.
        direction: of the arrows.
        warn: is told when the text is too large to be drawn.
    """
    chosen = FORMATS[form]
    text = chosen.write(pictures, direction)
    for what in _too_large(pictures, text, chosen, direction):
        warn(
            Problem(
                "large-picture",
                f"the picture has {what}",
                fix="take --by task, a part with --focus, or --format svg"
                if chosen.drawn_by.startswith("Mermaid")
                else "take --by task, or a part with --focus",
            )
        )
    return text


def _too_large(
    pictures: Sequence[Picture], text: str, form: Format, direction: Direction
) -> Iterator[str]:
    """Yield in which ways the largest drawing of a text is too large."""
    arrows = [len(panel.arrows) for picture in pictures for panel in picture.panels]
    most = (sum if form.charts is None else max)(arrows)
    if form.most_arrows is not None and most > form.most_arrows:
        yield f"{most:,} arrows, and {form.drawn_by} draws at most {form.most_arrows:,}"
    if form.most_text is None or len(text) <= form.most_text:
        return
    drawn = (text,) if form.charts is None else form.charts(pictures, direction)
    longest = max(map(len, drawn))
    if longest > form.most_text:
        yield f"{longest:,} characters, and {form.drawn_by} reads at most {form.most_text:,}"
