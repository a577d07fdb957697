"""The page of `dagforge report`, used as a reader uses it: in a browser, offline, from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dagforge.commands.init import init_project
from tests.projects import run, write_project
from tests.real.browser import ask
from tests.runtime.projects import dagforge, write_files
from tests.test_graph import HOSTILE, hostile_pipelines, hostile_settings

OPEN = {"click": 'nav a[href="#pipeline-0"]'}
SPLIT = '#pipeline-0-after .shape[data-name="split"]'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the pages that are opened."""
    root = tmp_path_factory.mktemp("reports")
    init_project(root / "demo", force=False)
    write_project(
        root / "hostile",
        {
            "conf/base/pipelines.yml": hostile_pipelines(),
            "conf/base/airflow.yml": hostile_settings(),
        },
    )
    write_project(root / "large", {"conf/base/pipelines.yml": layers(2000, wide=40)})
    sums = write_files(root / "sums", {})
    done = dagforge(sums, "run", "sums", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    options = {"sums": ("--store", str(sums / ".dagforge" / "store"))}
    for name in ("demo", "hostile", "large", "sums"):
        page = str(root / f"{name}.html")
        target = () if name == "demo" else ("--target", "airflow")
        where = ("--project", str(root / name), "-o", page)
        ran = run("report", *where, "-q", *target, *options.get(name, ()))
        assert ran.code == 0, ran.err
    return root


def layers(count: int, *, wide: int) -> str:
    """Return a pipeline of layers whose nodes read two of the layer before; five share a task."""
    nodes = [
        {
            "name": f"node_{number}",
            "func": "team.etl:step",
            "inputs": [f"data_{number - wide}", f"data_{number - wide + 1}"]
            if number >= wide
            else [],
            "outputs": [f"data_{number}"],
            "tags": [f"airflow:group_{number // wide}_{number % wide // 5}"],
        }
        for number in range(count)
    ]
    return json.dumps({"large": {"nodes": nodes}})


def visit(page: Path, *steps: dict[str, Any], **how: Any) -> list[Any]:
    """Return what is seen on a page; it complains of nothing."""
    answer = ask("visit", file=str(page), steps=steps, **how)
    assert answer["complaints"] == []
    answers: list[Any] = answer["answers"]
    return answers


def text(selector: str) -> dict[str, str]:
    """Return the question for the text of an element."""
    return {"ask": f"document.querySelector({json.dumps(selector)}).innerText"}


def seen(selector: str) -> dict[str, str]:
    """Return the question which elements can be seen, by what they are called."""
    return {
        "ask": f"[...document.querySelectorAll({json.dumps(selector)})]"
        ".filter((each) => each.checkVisibility({visibilityProperty: true}))"
        ".map((each) => each.dataset.kind ?? each.dataset.name ?? each.id)"
    }


PLACE = {
    "ask": "(({e, f, a}) => [e, f, a])(new DOMMatrix(getComputedStyle(document."
    "querySelector('#pipeline-0-after .sheet')).transform))"
}
SCALE = {
    "ask": "new DOMMatrix(getComputedStyle(document.activeElement.closest('.sheet')).transform).a"
}
FOCUSED = {"ask": "document.activeElement.dataset.name ?? document.activeElement.textContent"}


def test_one_part_is_shown_at_a_time_and_two_drawings_side_by_side(folder: Path) -> None:
    boxes = {
        "ask": "[...document.querySelectorAll('#pipeline-0 figure:not([hidden])')]"
        ".map((each) => each.getBoundingClientRect()).map(({left, right, top}) =>"
        " [left, right, top])"
    }
    parts, chosen, figures, (before, after), tasks, nodes = visit(
        folder / "demo.html",
        seen("main > section"),
        OPEN,
        seen("main > section"),
        seen("#pipeline-0 figure"),
        boxes,
        {"click": "#pipeline-0 .views button:nth-child(2)"},
        seen("#pipeline-0 figure"),
        {"click": "#pipeline-0 .views button:nth-child(3)"},
        seen("#pipeline-0 figure"),
    )
    assert (parts, chosen) == (["overview"], ["pipeline-0"])
    assert (figures, tasks, nodes) == (["before", "after"], ["after"], ["nodes"])
    assert before[2] == after[2]
    assert before[1] <= after[0]


def test_a_click_tells_of_a_task_and_leads_to_its_neighbours(folder: Path) -> None:
    aside = "#pipeline-0 aside"
    told, mates, near, marked, neighbour, node, closed = visit(
        folder / "demo.html",
        OPEN,
        {"click": SPLIT},
        text(aside),
        seen("#pipeline-0-before .mate"),
        seen("#pipeline-0-after :is(.shape.before, .shape.after)"),
        {"ask": "document.querySelectorAll('#pipeline-0-after .arrow.near').length"},
        {"follow": [f"{aside} button", "train_model_node"]},
        text(f"{aside} h3"),
        {"follow": [f"{aside} button", "split"]},
        {"follow": [f"{aside} button", "split_data_node"]},
        text(f"{aside} h3"),
        {"click": f"{aside} > button"},
        seen(aside),
    )
    assert told.startswith("Close\ntask split\n")
    assert "create_model_input_table_node" in told
    assert "dagforge run __default__ --nodes" in told
    assert mates == ["create_model_input_table_node", "split_data_node"]
    assert near == ["companies", "shuttles", "train_model_node", "evaluate_model_node"]
    assert marked == 4
    assert (neighbour, node) == ("task train_model_node", "node split_data_node")
    assert closed == []


def test_settings_say_where_their_values_came_from(folder: Path) -> None:
    (rows,) = visit(
        folder / "demo.html",
        OPEN,
        {"click": SPLIT},
        {"click": "#pipeline-0 aside summary"},
        text("#pipeline-0 aside details"),
    )
    assert "conf/base/airflow.yml:26:22" in rows
    assert "target airflow-k8s" in rows


def test_searching_leads_to_what_was_found(folder: Path) -> None:
    wait = {"ask": "new Promise((done) => setTimeout(done, 150))"}
    _, count, hits, chosen, where, found = visit(
        folder / "demo.html",
        {"press": "/"},
        {"type": "X_tr"},
        wait,
        text("#count"),
        text("#hits"),
        {"press": "Enter"},
        text("main > section:not([hidden]) aside h3"),
        {"ask": "location.hash"},
        {
            "ask": "document.querySelector('#search').value = 'split'; "
            "document.querySelector('#search').dispatchEvent(new Event('input')); "
            "new Promise((done) => setTimeout(done, 150)).then(() => "
            "[...document.querySelectorAll('#pipeline-0-after .found')].map((e) => e.dataset.name))"
        },
    )
    assert count == "2 found"
    assert hits.splitlines()[:2] == ["X_train", "dataset of __default__"]
    assert (chosen, where, found) == ("node split_data_node", "#pipeline-0", ["split"])


def test_the_keyboard_is_enough(folder: Path) -> None:
    first, down, right, details, back, zoomed, whole = visit(
        folder / "demo.html",
        OPEN,
        {"ask": "document.querySelector('#pipeline-0-after .scene').focus()"},
        {"press": "Tab"},
        FOCUSED,
        {"press": "ArrowDown"},
        FOCUSED,
        {"press": "ArrowRight"},
        FOCUSED,
        {"press": "Enter"},
        FOCUSED,
        {"press": "Escape"},
        FOCUSED,
        {"press": "+"},
        SCALE,
        {"press": "0"},
        SCALE,
    )[1:]
    assert (first, down, right) == ("companies", "split", "train_model_node")
    assert details == "task train_model_node"
    assert back == "train_model_node"
    assert zoomed > whole


def test_dragging_and_the_wheel_move_the_drawing(folder: Path) -> None:
    scene = "document.querySelector('#pipeline-0-after .scene')"
    point = "{pointerId: 1, button: 0, bubbles: true, clientX: %d, clientY: %d}"
    drag = (
        f"{scene}.setPointerCapture = () => {{}};"
        f"{scene}.dispatchEvent(new PointerEvent('pointerdown', {point % (900, 500)}));"
        f"{scene}.dispatchEvent(new PointerEvent('pointermove', {point % (930, 540)}));"
        f"{scene}.dispatchEvent(new PointerEvent('pointerup', {point % (930, 540)}));"
    )
    turn = (
        f"{scene}.dispatchEvent(new WheelEvent('wheel', {{deltaY: -300, ctrlKey: true,"
        " cancelable: true, clientX: 900, clientY: 500}))"
    )
    before, _, moved, _, larger = visit(
        folder / "demo.html",
        OPEN,
        PLACE,
        {"ask": drag},
        {"press": "Shift"},
        PLACE,
        {"ask": turn},
        {"press": "Shift"},
        PLACE,
    )
    assert (moved[0] - before[0], moved[1] - before[1]) == (30, 40)
    assert larger[2] > moved[2]


@pytest.mark.parametrize("dark", [False, True])
def test_light_or_dark_as_the_reader_has_it_and_for_everybody(folder: Path, dark: bool) -> None:
    colours = (
        "['body', '#pipeline-0 svg.dagforge', 'header'].map((each) => getComputedStyle("
        "document.querySelector(each)).backgroundColor)"
    )
    look = {"axe": True}
    found, *wrong = visit(
        folder / "sums.html",
        {"ask": colours},
        look,
        OPEN,
        {"click": '#pipeline-0-after .shape[data-name="add"]'},
        look,
        {"click": "#pipeline-0 .run > summary"},
        {"click": '#pipeline-0-run-0 .shape[data-name="add"]'},
        look,
        {"press": "/"},
        {"type": "d"},
        {"press": "Shift"},
        look,
        {"click": 'nav a[href="#targets"]'},
        look,
        dark=dark,
    )
    page, raised = (
        ("rgb(13, 17, 23)", "rgb(26, 34, 44)")
        if dark
        else ("rgb(255, 255, 255)", "rgb(241, 244, 247)")
    )
    assert found == [page, page, raised]
    assert wrong == [[]] * 5


def test_a_run_is_shown_as_it_was(folder: Path) -> None:
    told, closed = visit(
        folder / "sums.html",
        OPEN,
        {"click": "#pipeline-0 .run > summary"},
        {"click": '#pipeline-0-run-0 .shape[data-name="add"]'},
        text("#pipeline-0 .run aside"),
        {"press": "Tab"},
        {"click": "#pipeline-0 .run aside button"},
        seen("#pipeline-0 .run aside"),
    )
    assert told.splitlines()[:4] == ["Close", "task add", "status", "success"]
    assert closed == []


def test_two_thousand_nodes_are_moved_without_laying_them_out_again(folder: Path) -> None:
    scene = "document.querySelector('#pipeline-0-nodes .scene')"
    moves = (
        f"(async () => {{ const scene = {scene}; scene.focus();"
        "for (let step = 0; step < 30; step += 1) {"
        "scene.dispatchEvent(new KeyboardEvent('keydown', {key: step % 2 ? '+' : 'ArrowRight',"
        " bubbles: true})); await new Promise(requestAnimationFrame); } })()"
    )
    before, _, after, shapes = visit(
        folder / "large.html",
        OPEN,
        {"click": "#pipeline-0 .views button:nth-child(3)"},
        {"press": "Shift"},
        {"metrics": True},
        {"ask": moves},
        {"metrics": True},
        {"ask": f"{scene}.querySelectorAll('.shape').length"},
    )
    assert shapes == 2000
    # One layout when names become large enough to be read, and one for the focus.
    assert after["LayoutCount"] - before["LayoutCount"] <= 5


def test_hostile_names_are_shown_and_do_nothing(folder: Path) -> None:
    shapes, details, foreign = visit(
        folder / "hostile.html",
        OPEN,
        {
            "ask": "[...document.querySelectorAll('#pipeline-0-before .shape')]"
            ".map((each) => each.dataset.name)"
        },
        {
            "ask": "[...document.querySelectorAll('#pipeline-0-before .shape')].map((each) =>"
            " {each.dispatchEvent(new MouseEvent('click', {bubbles: true}));"
            " return document.querySelector('#pipeline-0 h3[tabindex]').textContent})"
        },
        {"ask": "document.querySelectorAll('img, iframe, object, link, b').length"},
    )
    assert sorted(shapes) == sorted(HOSTILE)
    assert details == [f"node {name}" for name in shapes]
    assert foreign == 0


def test_without_scripts_and_on_paper_everything_is_there(folder: Path) -> None:
    pdf = folder / "demo.pdf"
    visit(folder / "demo.html", {"pdf": str(pdf)})
    assert pdf.read_bytes().count(b"/Type /Page\n") >= 5
    answer = ask(
        "visit",
        file=str(folder / "demo.html"),
        scripts=False,
        steps=[
            seen("main > section"),
            seen("#pipeline-0 figure"),
            seen(".search"),
        ],
    )
    parts, figures, search = answer["answers"]
    assert parts == ["overview", "pipeline-0", "pipeline-1", "pipeline-2", "targets"]
    assert figures == ["before", "after", "nodes"]
    assert search == []
