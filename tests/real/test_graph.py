"""Pictures, drawn by what users draw them with: Mermaid, Graphviz and a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from dagforge.commands.init import init_project
from dagforge.drawing.labels import CYCLE_TEXT, datasets_shown, shown
from tests.projects import run, write_project
from tests.real.browser import ask
from tests.test_graph import CYCLE, hostile_pipelines, hostile_settings

DOCS = Path(__file__).parents[2] / "docs"
BETWEEN = " \N{MIDDLE DOT} "
PROJECTS = ("demo", "hostile", "cycle")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the projects that are drawn."""
    monkeypatch.chdir(tmp_path)
    init_project(tmp_path / "demo", force=False)
    write_project(tmp_path / "cycle", {"conf/base/pipelines.yml": CYCLE})
    write_project(
        tmp_path / "hostile",
        {
            "conf/base/pipelines.yml": hostile_pipelines(),
            "conf/base/airflow.yml": hostile_settings(),
        },
    )
    return tmp_path


def drawn(project: str, form: str, *options: str) -> str:
    """Return the picture of a project."""
    ran = run("graph", "--project", project, "--format", form, "-q", *options)
    assert ran.code == (project == "cycle"), ran.err
    return ran.out


def picture(project: str, *options: str) -> dict[str, Any]:
    """Return what a picture shows."""
    found: dict[str, Any] = json.loads(drawn(project, "json", *options))["pictures"][0]
    return found


def lines_of_shapes(of: dict[str, Any]) -> Iterator[list[str]]:
    """Yield what stands in each shape, and in the legend."""
    for panel in of["panels"]:
        for shape in panel["shapes"]:
            yield [shown(shape["name"]), *map(shown, shape["notes"])]
    for colour in of["colours"]:
        yield [shown(colour["name"]), *([colour["text"]] if colour["text"] else [])]
    if any(arrow["in_cycle"] for panel in of["panels"] for arrow in panel["arrows"]):
        yield [CYCLE_TEXT]


def titles_of_boxes(of: dict[str, Any]) -> Iterator[str]:
    """Yield what stands at each box."""
    for panel in of["panels"]:
        for box in panel["boxes"]:
            yield BETWEEN.join([shown(box["name"]), *map(shown, box["notes"])])


def labels_of_arrows(of: dict[str, Any]) -> Iterator[str]:
    """Yield what stands on each arrow."""
    for panel in of["panels"]:
        for arrow in panel["arrows"]:
            if arrow["datasets"]:
                yield datasets_shown(tuple(arrow["datasets"]))


VIEWS = (
    ("--by", "node"),
    ("--by", "task", "--direction", "right"),
    ("--by", "both", "--direction", "right"),
)


@pytest.mark.usefixtures("folder")
def test_mermaid_draws_what_the_picture_shows() -> None:
    asked = [(project, view) for project in PROJECTS for view in VIEWS]
    answer = ask("mermaid", charts=[drawn(project, "mermaid", *view) for project, view in asked])
    assert answer["complaints"] == []
    for (project, view), chart in zip(asked, answer["drawn"], strict=True):
        assert "error" not in chart, chart
        of = picture(project, *view)
        chart = json.loads(json.dumps(chart).replace(r"\u2060", ""))
        assert sorted(chart["nodes"]) == sorted(lines_of_shapes(of))
        assert sorted(chart["labels"]) == sorted([label] for label in labels_of_arrows(of))
        assert sorted([title] for title in titles_of_boxes(of)) == sorted(
            box for box in chart["boxes"] if not is_heading(box[0], of)
        )
        assert chart["arrows"] == sum(len(panel["arrows"]) for panel in of["panels"])
        assert chart["foreign"] == 0


def is_heading(title: str, of: dict[str, Any]) -> bool:
    """Say whether a title is that of a panel or of the legend."""
    headings = {f"{of['pipeline']}: {len(p['shapes'])} {p['by']}s" for p in of["panels"]}
    return title in headings | {"machines", "groups that wait for each other"}


def test_mermaid_draws_the_pages_that_hold_pictures(folder: Path) -> None:
    assert run("graph", "--project", "demo", "--by", "both", "-o", "demo.md", "-q").code == 0
    pages = [folder / "demo.md", DOCS / "graph.md"]
    charts = [
        chart
        for page in pages
        for chart in re.findall(r"^```mermaid\n(.*?)^```$", page.read_text(), re.DOTALL | re.M)
    ]
    assert len(charts) == 6
    answer = ask("mermaid", charts=charts)
    assert answer["complaints"] == []
    assert all(chart.get("nodes") for chart in answer["drawn"]), answer


@pytest.mark.usefixtures("folder")
def test_graphviz_draws_what_the_picture_shows() -> None:
    asked = [(project, view) for project in PROJECTS for view in VIEWS]
    answer = ask("dot", graphs=[drawn(project, "dot", *view) for project, view in asked])
    for (project, view), graph in zip(asked, answer["drawn"], strict=True):
        # This build of Graphviz has no fonts, and guesses how wide foreign letters are.
        errors = [each for each in graph["errors"] if "non-ASCII" not in each["message"]]
        assert (graph["status"], errors) == ("success", [])
        of = picture(project, *view)
        root = ElementTree.fromstring(graph["output"])
        written = [
            "".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")
        ]
        wanted = [line for lines in lines_of_shapes(of) for line in lines]
        wanted += [*titles_of_boxes(of), *labels_of_arrows(of)]
        assert sorted(text for text in written if not is_heading(text, of)) == sorted(wanted)


@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_shows_every_name_inside_of_its_shape(folder: Path, dark: bool) -> None:
    files: list[str] = []
    pictures: list[dict[str, Any]] = []
    for project in PROJECTS:
        for form in ("svg", "html"):
            for view in VIEWS:
                file = folder / f"{len(files)}.{form}"
                file.write_text(drawn(project, form, *view), encoding="utf-8")
                files.append(str(file))
                pictures.append(picture(project, *view))
    answer = ask("open", files=files, dark=dark)
    assert answer["complaints"] == []
    for of, seen in zip(pictures, answer["seen"], strict=True):
        assert seen["foreign"] == 0
        assert seen["background"] == ("rgb(13, 17, 23)" if dark else "rgb(255, 255, 255)")
        shapes = [shape for panel in of["panels"] for shape in panel["shapes"]]
        assert [shape["name"] for shape in seen["shapes"]] == [shape["name"] for shape in shapes]
        for shape in seen["shapes"]:
            assert all(is_inside(text["box"], shape["rectangle"]) for text in shape["texts"]), shape
        assert [label["text"] for label in seen["labels"]] == list(labels_of_arrows(of))


def is_inside(inner: dict[str, float], outer: dict[str, float]) -> bool:
    """Say whether one rectangle lies in another."""
    return (
        outer["left"] <= inner["left"]
        and inner["right"] <= outer["right"]
        and outer["top"] <= inner["top"]
        and inner["bottom"] <= outer["bottom"]
    )
