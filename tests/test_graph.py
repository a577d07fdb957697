"""`dagforge graph`, asked as a user asks it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from dagforge.draw import FORMATS
from dagforge.drawing.labels import identifier, shown
from dagforge.drawing.palette import MARK, PLAIN, paint
from tests.projects import run, write_project

PIPELINES = """
    etl:
      description: Feeds the shop.
      nodes:
        - {name: load, func: "team.etl:load", outputs: [orders, rates], tags: ["machine:small"]}
        - name: clean
          func: team.etl:clean
          inputs: orders
          outputs: tidy
          tags: ["airflow:prepare", "machine:large"]
        - name: convert
          func: team.etl:convert
          inputs: [tidy, rates]
          outputs: prices
          tags: ["airflow:prepare", "machine:small"]
        - {name: tell, command: [echo, done], after: [convert]}
    other:
      nodes:
        - {name: clean, func: "team.etl:clean", outputs: tidy}
    """
SETTINGS = """
    default:
      machines:
        large: {requests: {cpu: "4", memory: 8Gi}}
        small: {requests: {cpu: 500m, memory: 1Gi}}
        vast: {requests: {cpu: "64", memory: 500Gi}}
    """
CYCLE = """
    etl:
      nodes:
        - {name: load, func: "team.etl:load", outputs: raw}
        - {name: split, func: "team.etl:split", inputs: raw, outputs: part, tags: ["airflow:prep"]}
        - {name: train, func: "team.etl:train", inputs: part, outputs: model}
        - {name: score, func: "team.etl:score", inputs: model, tags: ["airflow:prep"]}
    """
HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "</title></style><script>alert(1)</script>",
    "a \"quoted\" 'name' `x`",
    "[square](round) {curly} | pipe",
    "end",
    "subgraph",
    "__init__ and *b* **c**",
    "1. one",
    "+ two -",
    "%%{init: {'theme': 'dark'}}%%",
    "#35; &lt; &amp; \\N \\",
    "fa:fa-user:::x { shape: x }",
    "größe 数据 🙂",
    "$$x^2$$",
    "x" * 230,
]


def hostile_pipelines() -> str:
    """Return a pipeline whose every name is one of HOSTILE."""
    nodes = [
        {
            "name": name,
            "func": "team.etl:step",
            "inputs": [f"{HOSTILE[number - 1]} data"] if number else [],
            "outputs": [f"{name} data"],
            "tags": [f"airflow:{name} group", f"machine:{name}"],
        }
        for number, name in enumerate(HOSTILE)
    ]
    return json.dumps({"hostile <b>": {"nodes": nodes}}, ensure_ascii=False)


def hostile_settings() -> str:
    machines = {name: {"requests": {"cpu": number + 1}} for number, name in enumerate(HOSTILE)}
    return json.dumps({"default": {"machines": machines}}, ensure_ascii=False)


pytestmark = pytest.mark.usefixtures("project")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_project(
        tmp_path / "shop",
        {"conf/base/pipelines.yml": PIPELINES, "conf/base/airflow.yml": SETTINGS},
    )
    monkeypatch.chdir(tmp_path / "shop")
    return tmp_path / "shop"


def graph(*arguments: str) -> str:
    """Return what `dagforge graph` prints."""
    ran = run("graph", *arguments, "-q")
    assert (ran.code, ran.err) == (0, "")
    return ran.out


def data(*arguments: str) -> dict[str, Any]:
    """Return the first picture as JSON."""
    picture: dict[str, Any] = json.loads(graph(*arguments, "--format", "json"))["pictures"][0]
    return picture


# --- what is shown


def test_nodes_in_their_groups_as_mermaid() -> None:
    assert graph("etl") == textwrap.dedent(
        """\
        %% Made by dagforge graph
        flowchart TB
          n_load["load<br/>small"]:::machine0
          subgraph g_prepare["prepare · large"]
            n_clean["clean<br/>large"]:::machine1
            n_convert["convert<br/>small"]:::machine0
          end
          n_tell["tell"]:::plain
          n_load -->|"orders"| n_clean
          n_load -->|"rates"| n_convert
          n_clean -->|"tidy"| n_convert
          n_convert -.-> n_tell
          subgraph legend["machines"]
            c_small["small<br/>cpu 500m, memory 1Gi"]:::machine0
            c_large["large<br/>cpu 4, memory 8Gi"]:::machine1
          end
          classDef plain fill:#f4f6f8,color:#14212b,stroke:#5b7083
          classDef machine0 fill:#edf8d9,color:#14212b,stroke:#5b7083
          classDef machine1 fill:#c7e9b4,color:#14212b,stroke:#5b7083
        """
    )


def test_tasks_as_mermaid() -> None:
    lines = graph("etl", "--by", "task", "--direction", "right").splitlines()
    assert lines[1:8] == [
        "flowchart LR",
        '  t_load["load<br/>small"]:::machine0',
        '  t_prepare["prepare<br/>2 nodes<br/>large"]:::machine1',
        '  t_tell["tell"]:::plain',
        '  t_load -->|"orders, rates"| t_prepare',
        "  t_prepare -.-> t_tell",
        '  subgraph legend["machines"]',
    ]


def test_both_side_by_side() -> None:
    text = graph("etl", "--by", "both")
    assert '  subgraph nodes["etl#58; 4 nodes"]' in text
    assert '  subgraph tasks["etl#58; 3 tasks"]' in text
    assert text.count('subgraph legend["machines"]') == 1


def test_several_pipelines_share_no_id() -> None:
    text = graph()
    ids = re.findall(r"^ +(?:subgraph )?(\w+)\[", text, re.MULTILINE)
    assert sorted(set(ids)) == sorted(ids)
    assert "p_etl__n_clean" in ids
    assert "p_other__n_clean" in ids


def test_the_task_has_the_machine_that_the_plan_gives_it() -> None:
    shown_tasks = data("etl", "--by", "task", "--target", "airflow-k8s", "--params", "image=a:1")
    planned = json.loads(
        run(
            *("show", "etl", "--stage", "plan", "--format", "json", "-q"),
            *("--target", "airflow-k8s", "--params", "image=a:1"),
        ).out
    )
    panel = shown_tasks["panels"][0]
    assert [(shape["name"], shape["machine"], shape["kind"]) for shape in panel["shapes"]] == [
        (task["task_id"], task["machine"], task["kind"])
        for task in planned["pipelines"][0]["tasks"]
    ]


def test_json_says_what_the_picture_does() -> None:
    picture = data("etl")
    assert picture["dag_id"] == "shop-etl"
    panel = picture["panels"][0]
    assert panel["boxes"] == [{"name": "prepare", "notes": ["large"], "in_cycle": False}]
    assert panel["shapes"][1] == {
        "name": "clean",
        "nodes": ["clean"],
        "task": "prepare",
        "box": "prepare",
        "colour": "large",
        "notes": ["large"],
        "runs": "team.etl:clean",
        "machine": "large",
        "inputs": ["orders"],
        "outputs": ["tidy"],
        "tags": ["airflow:prepare", "machine:large"],
        "namespace": None,
        "at": "conf/base/pipelines.yml:5:7",
    }
    assert panel["arrows"][3] == {
        "upstream": "convert",
        "downstream": "tell",
        "datasets": [],
        "in_cycle": False,
    }


def test_a_part_keeps_the_colours_of_the_whole() -> None:
    whole, part = data("etl"), data("etl", "--nodes", "load")
    assert part["colours"] == [whole["colours"][0]]


# --- focus


@pytest.mark.parametrize(
    ("options", "names", "left_out"),
    [
        (["--focus", "convert"], ["load", "clean", "convert", "tell"], 0),
        (["--focus", "tell"], ["convert", "tell"], 2),
        (["--focus", "tell", "--upstream", "2"], ["load", "clean", "convert", "tell"], 0),
        (["--focus", "tell", "--upstream", "0"], ["tell"], 3),
        (["--focus", "load", "--downstream", "all"], ["load", "clean", "convert", "tell"], 0),
        (["--focus", "clean", "--upstream", "0"], ["clean", "convert"], 2),
        (["--focus", "prepare", "--upstream", "0", "--downstream", "0"], ["clean", "convert"], 2),
        (["--focus", "load,tell", "--upstream", "0", "--downstream", "0"], ["load", "tell"], 2),
    ],
)
def test_focus(options: list[str], names: list[str], left_out: int) -> None:
    panel = data("etl", *options)["panels"][0]
    assert [shape["name"] for shape in panel["shapes"]] == names
    assert panel["left_out"] == left_out
    ends = {name for arrow in panel["arrows"] for name in (arrow["upstream"], arrow["downstream"])}
    assert ends <= set(names)


def test_focus_on_a_node_shows_its_task() -> None:
    options = ("--by", "both", "--focus", "clean", "--upstream", "0", "--downstream", "0")
    nodes, tasks = data("etl", *options)["panels"]
    assert [shape["name"] for shape in nodes["shapes"]] == ["clean"]
    assert [shape["name"] for shape in tasks["shapes"]] == ["prepare"]


def test_focus_leaves_out_pipelines_without_the_node() -> None:
    pictures = json.loads(graph("--focus", "load", "--format", "json"))["pictures"]
    assert [picture["pipeline"] for picture in pictures] == ["etl"]


def test_the_title_says_that_something_is_left_out() -> None:
    assert ">etl: 2 of 4 nodes<" in graph("etl", "--focus", "tell", "--format", "svg")


# --- a cycle of groups


def test_a_cycle_is_drawn_and_marked(project: Path) -> None:
    write_project(project, {"conf/base/pipelines.yml": CYCLE})
    ran = run("graph", "-q")
    assert ran.code == 1
    assert "[group-cycle]" in ran.err
    assert '  subgraph g_prep["prep"]' in ran.out
    assert "\n  class g_prep cycle\n" in ran.out
    assert '    n_split["split"]:::group0' in ran.out
    assert '  n_load["load"]:::plain' in ran.out
    assert '  n_train["train"]:::group1' in ran.out
    assert '  n_split ==>|"part"| n_train' in ran.out
    assert '  n_load -->|"raw"| n_split' in ran.out
    assert f"  linkStyle 1,2 stroke:{MARK},stroke-width:3px" in ran.out


@pytest.mark.parametrize("form", sorted(FORMATS))
@pytest.mark.parametrize("by", ["node", "both"])
def test_a_cycle_in_every_format(project: Path, form: str, by: str) -> None:
    write_project(project, {"conf/base/pipelines.yml": CYCLE})
    ran = run("graph", "--format", form, "--by", by, "-o", "picture", "-q")
    assert (ran.code, ran.out) == (1, "")
    text = (project / "picture").read_text(encoding="utf-8")
    sign = {"json": '"in_cycle": true', "svg": "arrow marked", "html": "arrow marked"}
    assert sign.get(form, MARK) in text


def test_with_another_error_nothing_is_drawn(project: Path) -> None:
    write_project(
        project,
        {"conf/base/pipelines.yml": CYCLE, "conf/base/airflow.yml": "default: {retires: 1, k: [}"},
    )
    ran = run("graph", "-o", "picture.svg")
    assert (ran.code, ran.out) == (1, "")
    assert not (project / "picture.svg").exists()


def test_nodes_in_a_cycle_are_no_picture(project: Path) -> None:
    circle = CYCLE.replace("outputs: raw}", "inputs: model, outputs: raw}")
    write_project(project, {"conf/base/pipelines.yml": circle})
    ran = run("graph")
    assert (ran.code, ran.out) == (1, "")
    assert "[node-cycle]" in ran.err


# --- files


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("a.mmd", "%% Made by dagforge graph\nflowchart"),
        ("a.md", "<!-- Made by dagforge graph -->\n\n## etl: 4 nodes\n\n```mermaid\n"),
        ("a.DOT", "// Made by dagforge graph\ndigraph"),
        ("a.gv", "// Made by dagforge graph\ndigraph"),
        ("a.svg", "<svg "),
        ("a.html", "<!DOCTYPE html>"),
        ("deep/er/a.json", '{\n  "note": "Made by dagforge graph"'),
    ],
)
def test_the_ending_says_which_format(project: Path, name: str, begins: str) -> None:
    ran = run("graph", "etl", "-o", name, "-q")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert (project / name).read_text(encoding="utf-8").startswith(begins)
    assert run("graph", "etl", "-o", name, "-q").code == 0, "it must know its own file"


def test_a_file_is_written_checked_and_updated(project: Path) -> None:
    assert run("graph", "etl", "-o", "a.svg", "--check").code == 3
    assert not (project / "a.svg").exists()
    assert run("graph", "etl", "-o", "a.svg").out == "created    a.svg\n"
    before = (project / "a.svg").stat().st_mtime_ns
    assert run("graph", "etl", "-o", "a.svg").out == "unchanged  a.svg\n"
    assert run("graph", "etl", "-o", "a.svg", "--check").out == "unchanged  a.svg\n"
    assert (project / "a.svg").stat().st_mtime_ns == before
    stale = run("graph", "etl", "--by", "task", "-o", "a.svg", "--check")
    assert (stale.code, stale.out) == (3, "")
    assert stale.err == (
        "a.svg: error: this file is not what `dagforge graph` gives now [stale-file]\n"
        "  fix: run the same command without --check\n"
    )
    assert run("graph", "etl", "--by", "task", "-o", "a.svg").out == "updated    a.svg\n"


def test_no_other_file_is_overwritten(project: Path) -> None:
    (project / "README.md").write_text("# Shop\n")
    ran = run("graph", "etl", "-o", "README.md")
    assert ran.code == 1
    assert ran.err == (
        "README.md: error: this file exists and holds something else [file-exists]\n"
        "  fix: --force overwrites it\n"
    )
    assert (project / "README.md").read_text() == "# Shop\n"
    assert run("graph", "etl", "-o", "README.md", "--force").code == 0


# --- every name stays text, every text stays the same


@pytest.fixture
def hostile(project: Path) -> Path:
    write_project(
        project,
        {
            "conf/base/pipelines.yml": hostile_pipelines(),
            "conf/base/airflow.yml": hostile_settings(),
        },
    )
    return project


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("direction", ["down", "right"])
def test_svg_of_hostile_names(direction: str) -> None:
    root = ElementTree.fromstring(graph("--format", "svg", "--direction", direction))
    space = "{http://www.w3.org/2000/svg}"
    tags = {element.tag.removeprefix(space) for element in root.iter()}
    assert tags == {"svg", "title", "style", "defs", "marker", "path", "g", "rect", "text"}
    written = {element.text for element in root.iter(f"{space}text")}
    assert {shown(name) for name in HOSTILE} <= written
    assert {shown(f"{name} data") for name in HOSTILE[:-1]} <= written


@pytest.mark.usefixtures("hostile")
def test_html_of_hostile_names() -> None:
    text = graph("--format", "html")
    assert set(re.findall(r"<(/?script|img)", text)) == set()
    assert "default-src 'none'" in text


@pytest.mark.usefixtures("hostile")
def test_mermaid_of_hostile_names_holds_no_sign() -> None:
    for label in re.findall(r'\["(.*)"\]', graph()):
        assert not re.search(r"[\"<>`{}\[\]|$%:@]", label.replace("<br/>", "")), label


def test_ids_depend_on_the_name_alone() -> None:
    ids = [identifier("n", name) for name in [*HOSTILE, "a", "a b", "a_b", "x_a_b"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"n[x_][A-Za-z0-9_]{1,70}", each) for each in ids)
    assert identifier("n", "split_data") == "n_split_data"


SEEDED = """
import sys
from dagforge.cli import main
sys.argv = ["dagforge", "graph", "--by", "both", "-q", "--format", sys.argv[1]]
main()
"""


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("form", sorted(FORMATS))
def test_the_same_bytes_under_every_hash_seed(form: str) -> None:
    texts = {
        subprocess.run(
            [sys.executable, "-c", SEEDED, form],
            env={"PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1


def test_the_order_of_the_definition_makes_no_difference(project: Path) -> None:
    before = graph("etl", "--by", "both")
    lines = textwrap.dedent(PIPELINES).strip("\n").splitlines(keepends=True)
    moved = [*lines[:3], *lines[14:15], *lines[3:14], *lines[15:]]
    assert sorted(moved) == sorted(lines) and moved != lines
    write_project(project, {"conf/base/pipelines.yml": "".join(moved)})
    assert graph("etl", "--by", "both") == before


# --- pictures that are too large


def test_too_many_arrows_for_github(project: Path) -> None:
    nodes = [{"name": "first", "func": "a.b:c"}] + [
        {"name": f"n{number}", "func": "a.b:c", "after": ["first"]} for number in range(600)
    ]
    text = json.dumps({"wide": {"nodes": nodes}})
    write_project(project, {"conf/base/pipelines.yml": text})
    assert run("graph").err == (
        "warning: the picture has 600 arrows, and Mermaid on GitHub draws at most 500 "
        "[large-picture]\n  fix: take --by task, a part with --focus, or --format svg\n"
    )
    assert run("graph", "--format", "svg").err == ""


def test_too_much_text_for_github(project: Path) -> None:
    names = [f"{'n' * 200}{number}" for number in range(600)]
    text = json.dumps({"long": {"nodes": [{"name": name, "func": "a.b:c"} for name in names]}})
    write_project(project, {"conf/base/pipelines.yml": text})
    assert "characters, and Mermaid on GitHub reads at most 50,000" in run("graph").err
    assert "characters" in run("graph", "-o", "a.md").err


# --- colours


def _luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2 (https://www.w3.org/TR/WCAG22/)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours; 4.5 can be read, 3 can be seen."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_every_colour_can_be_read() -> None:
    paints = [PLAIN, *(paint(step, "machine") for step in range(9))]
    paints += [paint(step, "group") for step in range(9)]
    for each in paints:
        assert contrast(each.fill, each.text) >= 4.5, each
        for page in ("#ffffff", "#0d1117"):
            # The shape itself, or the line around it.
            assert max(contrast(each.fill, page), contrast(each.stroke, page)) >= 3, each
    for page in ("#ffffff", "#0d1117"):
        assert contrast(MARK, page) >= 3
