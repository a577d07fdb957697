"""A picture as JSON, for programs that draw it themselves; names are whole here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from dagforge.drawing.labels import MADE_BY
from dagforge.drawing.model import Direction, Panel, Picture
from dagforge.drawing.palette import paint


def as_json(pictures: Sequence[Picture], direction: Direction) -> str:
    """Return one object for all pictures; its keys are stable."""
    del direction  # is for who draws it
    data = {"note": MADE_BY, "pictures": [picture_data(picture) for picture in pictures]}
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def picture_data(picture: Picture) -> dict[str, Any]:
    """Return a picture as JSON data."""
    return {
        "pipeline": picture.pipeline,
        "dag_id": picture.dag_id,
        "coloured_by": picture.coloured_by,
        "colours": [
            {
                "name": colour.name,
                "text": colour.text,
                "fill": paint(colour.step, picture.coloured_by).fill,
                "ink": paint(colour.step, picture.coloured_by).text,
            }
            for colour in picture.colours
        ],
        "panels": [_panel(panel) for panel in picture.panels],
    }


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "by": panel.by,
        "left_out": panel.left_out,
        "boxes": [
            {"name": box.name, "notes": list(box.notes), "in_cycle": box.marked}
            for box in panel.boxes
        ],
        "shapes": [
            {
                "name": shape.name,
                "nodes": list(shape.nodes),
                "task": shape.task,
                "box": None if shape.box is None else panel.boxes[shape.box].name,
                "colour": shape.colour,
                "notes": list(shape.notes),
                **shape.facts,
            }
            for shape in panel.shapes
        ],
        "arrows": [
            {
                "upstream": panel.shapes[arrow.start].name,
                "downstream": panel.shapes[arrow.end].name,
                "datasets": list(arrow.datasets),
                "in_cycle": arrow.marked,
            }
            for arrow in panel.arrows
        ],
    }
