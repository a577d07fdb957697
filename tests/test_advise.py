"""`dagforge advise`, asked as a user asks it."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from dagforge.advice.assumptions import Assumptions
from dagforge.advice.settings import key_of
from dagforge.build import Request, build
from tests.projects import run, write_project

PODS = ("--target", "airflow-k8s")
PIPELINES = """
    etl:
      nodes:
        - {name: load, func: "team.etl:load", outputs: raw}
        - {name: clean, func: "team.etl:clean", inputs: raw, outputs: tidy}
        - {name: convert, func: "team.etl:convert", inputs: tidy, outputs: prices}
        - name: train
          func: "team.etl:train"
          inputs: prices
          outputs: model
          tags: ["machine:large"]
        - {name: notify, operator: {type: team.Notify}, after: [train]}
        - {name: "yes", command: [echo, done], after: [train]}
    """
SETTINGS = """
    default:
      image: registry.example/etl:1
      namespace: jobs
      machines:
        large: {requests: {cpu: "4", memory: 8Gi}}
    """
FILES = {"conf/base/pipelines.yml": PIPELINES, "conf/base/airflow.yml": SETTINGS}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a project, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    return write_project(tmp_path, FILES)


def advice(*words: str) -> dict[str, Any]:
    """Return what the command says of `etl`."""
    done = run("advise", "etl", *PODS, "--format", "json", *words)
    assert done.code == 0, done.err
    [found] = json.loads(done.out)
    data: dict[str, Any] = found
    return data


def groups(*words: str) -> list[list[str]]:
    """Return the nodes of each task of the proposal."""
    return [task["nodes"] for task in advice(*words)["tasks"]]


@pytest.mark.usefixtures("project")
def test_small_nodes_share_a_task_and_machines_stay_apart() -> None:
    assert groups() == [["load", "clean", "convert"], ["train"], ["notify"], ["yes"]]


@pytest.mark.usefixtures("project")
def test_machines_mixed_when_told() -> None:
    found = groups("--mix-machines", "--cpu-price=0")
    assert found == [["load", "clean", "convert", "train"], ["notify"], ["yes"]]


@pytest.mark.usefixtures("project")
def test_long_nodes_stay_alone_under_a_limit() -> None:
    words = ["--duration=clean=50m", "--duration", "convert=9m30s", "--max-task-minutes=60"]
    assert groups(*words) == [["load"], ["clean", "convert"], ["train"], ["notify"], ["yes"]]


def test_tags_stay_as_they_are(project: Path) -> None:
    text = (project / "conf/base/pipelines.yml").read_text()
    for node in ("load", "convert"):
        text = text.replace(f"name: {node},", f'name: {node}, tags: ["airflow:{node}_group"],')
    (project / "conf/base/pipelines.yml").write_text(text)
    found = advice()
    groups = {task["name"]: task["nodes"] for task in found["tasks"]}
    assert "load" in groups["load_group"]
    assert "convert" in groups["convert_group"]
    assert "clean" in [*groups["load_group"], *groups["convert_group"]]
    assert list(found["tags"]) == ["clean"]


def test_what_is_pasted_gives_what_was_estimated(project: Path) -> None:
    before = advice()
    for words in ((), ("--as", "settings")):
        out = run("advise", "etl", *PODS, *words).out
        if words:
            part = out.split("settings, in conf/base:\n\n")[1].split("\n\n")[0]
            pasted = {**yaml.safe_load(SETTINGS), **yaml.safe_load(part)}
            (project / "conf/base/airflow.yml").write_text(json.dumps(pasted))
        else:
            definition = yaml.safe_load(PIPELINES)
            for node in definition["etl"]["nodes"]:
                line = f"  # {node['name']}\n  tags: "
                if line in out:
                    node["tags"] = yaml.safe_load(out.split(line)[1].splitlines()[0])
            (project / "conf/base/pipelines.yml").write_text(json.dumps(definition))
        after = advice()
        assert after["estimates"]["present"] == before["estimates"]["proposal"]
        assert not after["is_new"]
        write_project(project, FILES)


def test_the_proposal_is_what_create_compiles(project: Path) -> None:
    found = advice()
    request = Request(project, ("etl",), target="airflow-k8s", params=found["settings"])
    [dag] = build(request, render_files=False).dags
    assert [list(task.nodes) for task in dag.tasks] == [task["nodes"] for task in found["tasks"]]


def test_nothing_is_written(project: Path) -> None:
    before = sorted(project.rglob("*"))
    assert run("advise", *PODS).code == 0
    assert sorted(project.rglob("*")) == before


def test_settings_of_the_project(project: Path) -> None:
    (project / "pyproject.toml").write_text(
        """
        [tool.dagforge.advise]
        pod-startup = "1m"
        image-pull = "0s"
        slots = 2
        mix-machines = true
        [tool.dagforge.advise.durations]
        train = "5m"
        [tool.dagforge.advise.sizes]
        raw = "2Gi"
        """
    )
    found = advice("--duration", "load=7s")
    assert found["assumptions"]["pod-startup"] == 60
    assert (found["assumptions"]["slots"], found["assumptions"]["mix-machines"]) == (2, True)
    assert found["durations"] == {
        "load": {"seconds": 7.0, "source": "option"},
        "train": {"seconds": 300.0, "source": "project"},
    }
    assert found["estimates"]["none"]["border_bytes"] == 2 * 1024**3 + 2 * 10e6
    assert advice("--pod-startup", "5s")["assumptions"]["pod-startup"] == 5
    assert not advice("--no-mix-machines")["assumptions"]["mix-machines"]


def test_slots_of_the_settings(project: Path) -> None:
    text = SETTINGS.replace("image:", "max_active_tasks: 3\n      image:")
    write_project(project, {**FILES, "conf/base/airflow.yml": text})
    assert advice()["assumptions"]["slots"] == 3
    assert advice("--slots=5")["assumptions"]["slots"] == 5


def test_durations_of_a_file(project: Path) -> None:
    (project / "known.yml").write_text("load: 3s\ngone: 1m\n")
    done = run("advise", *PODS, "--durations", "known.yml")
    assert done.code == 0
    assert "a duration is given for 'gone', which no pipeline has [unknown-node]" in done.err
    assert "durations of nodes: 1 from --durations, 5 assumed" in done.out


RUNNABLE = """
    etl:
      nodes:
        - {name: load, func: "work:load", outputs: raw}
        - {name: clean, func: "work:clean", inputs: raw, outputs: tidy}
    """
WORK = """
    import time

    def load():
        return "x" * 1000

    def clean(raw):
        time.sleep(0.3)
        return len(raw)
    """


def test_durations_and_sizes_of_past_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = {"conf/base/pipelines.yml": RUNNABLE, "work.py": WORK}
    # Of such a name, the store's paths have another form.
    write_project(tmp_path, {**files, "dagforge.toml": 'project = "Ünser Shop"\n'})
    assert run("run", "etl", "--store", "kept").code == 0
    done = run("advise", "etl", "--store", "kept", "--format", "json")
    assert done.code == 0, done.err
    [found] = json.loads(done.out)
    assert {each["source"] for each in found["durations"].values()} == {"runs"}
    assert 0.3 <= found["durations"]["clean"]["seconds"] < 5
    assert found["durations"]["load"]["seconds"] < 0.3
    assert 500 < found["estimates"]["none"]["border_bytes"] < 10_000
    page = run("report", "--store", "kept", "-o", "-").out
    assert "the only one" in page


@pytest.mark.usefixtures("project")
def test_tasks_in_the_worker_are_no_pods() -> None:
    [found] = json.loads(run("advise", "etl", "--format", "json").out)
    assert found["estimates"]["none"]["pods"] == 0
    assert found["estimates"]["none"]["pod_seconds"] == 0
    assert found["estimates"]["none"]["task_seconds"] > 0


def test_a_namespace_names_its_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = PIPELINES.replace("outputs: raw}", "outputs: raw, namespace: intake.a}")
    text = text.replace("outputs: tidy}", "outputs: tidy, namespace: intake}")
    text = text.replace("outputs: prices}", "outputs: prices, tags: ['machine:large']}")
    write_project(tmp_path, {**FILES, "conf/base/pipelines.yml": text})
    tasks = {task["name"]: task["nodes"] for task in advice()["tasks"]}
    assert tasks["intake"] == ["load", "clean"]


def test_own_settings_keep_nodes_apart(project: Path) -> None:
    text = PIPELINES.replace("outputs: tidy}", "outputs: tidy, settings: {retries: 5}}")
    write_project(project, {**FILES, "conf/base/pipelines.yml": text})
    assert ["clean"] in groups()


def test_output_does_not_depend_on_the_definition_s_order(project: Path) -> None:
    first = advice()
    definition = yaml.safe_load(PIPELINES)
    definition["etl"]["nodes"].reverse()
    (project / "conf/base/pipelines.yml").write_text(json.dumps(definition))
    assert advice() == first


@pytest.mark.parametrize("words", [(), ("--as", "settings")])
def test_any_name_can_be_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["a b", "[c]: {d} #e", "yes", "0x1", "f" * 120]
    nodes: list[dict[str, Any]] = []
    for name in names:
        read = {"inputs": nodes[-1]["outputs"]} if nodes else {}
        nodes.append({"name": name, "func": "team:f", "outputs": f"d{len(nodes)}", **read})
    definition = json.dumps({"etl": {"nodes": nodes}})
    write_project(tmp_path, {**FILES, "conf/base/pipelines.yml": definition})
    done = run("advise", "etl", *PODS, *words)
    assert done.code == 0, done.err
    out = done.out
    if words:
        part = yaml.safe_load(out.split("settings, in conf/base:\n\n")[1].split("\n\n")[0])
        assert part == {"etl": {"grouping": {names[0]: names}}}
    else:
        tags = [line for line in out.splitlines() if line.startswith("  tags: ")]
        assert [yaml.safe_load(line)["tags"] for line in tags] == [[f"airflow:{names[0]}"]] * 5


def test_the_page_shows_what_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("init", "demo").code == 0
    page = (Path(__file__).parents[1] / "docs/task-size.md").read_text(encoding="utf-8")
    shown = page.split("$ dagforge advise --target airflow-k8s\n")[1].split("...\n```")[0]
    assert run("advise", *PODS, "--project", "demo").out.startswith(shown)


def test_the_page_lists_every_assumption() -> None:
    page = (Path(__file__).parents[1] / "docs/task-size.md").read_text(encoding="utf-8")
    keys = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    assert keys == {key_of(each.name) for each in fields(Assumptions)}
