"""The colours, chosen so that every text on them can be read in a light and in a dark page."""

from __future__ import annotations

from dagforge.drawing.model import ColouredBy
from dagforge.frozen import frozen


@frozen
class Paint:
    """The colours of one kind of shape."""

    fill: str
    text: str
    stroke: str


_DARK, _LIGHT = "#14212b", "#ffffff"
_STROKE = "#5b7083"
# From light to dark, as the machines grow: ColorBrewer's YlGnBu, which colour-blind people can
# tell apart (https://colorbrewer2.org). The name of the machine stands on each shape, too.
_SIZES = tuple(
    Paint(fill, text, _STROKE)
    for fill, text in (
        ("#edf8d9", _DARK),
        ("#c7e9b4", _DARK),
        ("#7fcdbb", _DARK),
        ("#41b6c4", _DARK),
        ("#225ea8", _LIGHT),
        ("#253494", _LIGHT),
    )
)
# ColorBrewer's Set3, without its grey and its red.
_KINDS = tuple(
    Paint(fill, _DARK, _STROKE)
    for fill in ("#8dd3c7", "#ffffb3", "#bebada", "#80b1d3", "#fdb462", "#b3de69", "#fccde5")
)
# Of a task in a run: not run, running, done, failed. Its word stands on each shape, too.
_STATUSES = tuple(
    Paint(fill, _DARK, _STROKE) for fill in ("#e4e8ec", "#ffe9a8", "#bfe8c5", "#ffb3ab")
)
PLAIN = Paint("#f4f6f8", _DARK, _STROKE)
MARK = "#d1242f"


def paint(step: int, coloured_by: ColouredBy) -> Paint:
    """Return the colours of a step; machines beyond the last step look like the largest."""
    if coloured_by == "group":
        return _KINDS[step % len(_KINDS)]
    if coloured_by == "status":
        return _STATUSES[step]
    return _SIZES[min(step, len(_SIZES) - 1)]
