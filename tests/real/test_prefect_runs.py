"""Generated flows run in the real Prefect as planned, with stubs for what tasks start."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from dagforge.build import Build, Request, build
from dagforge.planning.model import DagPlan
from dagforge.values import RunValue
from tests.projects import build_project
from tests.real.environments import python_of
from tests.real.prefect_environment import (
    ask,
    events,
    start,
    stub_on_path,
    variables,
)

PROJECT = Path(__file__).parents[2]
FLAKY = """
    __default__:
      nodes:
        - {name: first, func: "m:f", outputs: a}
        - {name: flaky, func: "m:f", inputs: a, outputs: b}
        - {name: bad, func: "m:f", inputs: a, outputs: c, settings: {retries: 0}}
        - {name: after_flaky, func: "m:f", inputs: b}
        - {name: after_bad, func: "m:f", inputs: [b, c], outputs: d}
        - {name: last, func: "m:f", inputs: d}
        - {name: slow, func: "m:f", settings: {retries: 0, timeout_seconds: 1}}
        - {name: alone, func: "m:f"}
    """


def written(found: Build, folder: Path) -> list[tuple[DagPlan, Path]]:
    """Write the files of a build and return them with their plans."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = []
    for dag, file in zip(found.dags, found.files, strict=True):
        path = folder / file.path
        path.write_text(file.text, encoding="utf-8")
        pairs.append((dag, path))
    return pairs


def spaceflights(folder: Path, **request: Any) -> tuple[DagPlan, Path]:
    """Return the plan and the file of the demo's default pipeline."""
    whole = {"root": PROJECT, "target": "prefect", "pipelines": ("__default__",), **request}
    [pair] = written(build(Request(**whole)), folder)
    return pair


def commands(dag: DagPlan, run_id: str) -> dict[str, list[str]]:
    """Return the command of each task in one run."""
    values = {"run_id": run_id, "structure": dag.structure_hash}
    return {
        task.task_id: [
            values[word.name] if isinstance(word, RunValue) else word for word in task.command
        ]
        for task in dag.tasks
    }


def check_run(dag: DagPlan, said: Mapping[str, Any], log: Path) -> None:
    """Hold a run that succeeded against the plan."""
    assert said["state"]["type"] == "COMPLETED", said
    assert said["warnings"] == []
    assert said["files"] == []
    assert said["flow"]["name"] == dag.dag_id
    assert said["flow"]["description"] == dag.description
    assert [task["name"] for task in said["tasks"]] == [task.task_id for task in dag.tasks]
    for task, real in zip(dag.tasks, said["tasks"], strict=True):
        assert real["state"]["type"] == "COMPLETED"
        assert real["retries"] == task.arguments.get("retries", 0)
        assert real["delay"] == task.arguments.get("retry_delay_seconds", 0)
        assert real["timeout"] == task.arguments.get("timeout_seconds")
        assert f"running {','.join(task.nodes)}" in real["log"]
    noted = events(log)
    started = [each["argv"][1:] for each in noted if each["event"] == "start"]
    planned = commands(dag, said["run_id"])
    assert sorted(started) == sorted(words[1:] for words in planned.values())
    place = {(each["event"], each["nodes"]): index for index, each in enumerate(noted)}
    nodes = {task.task_id: ",".join(task.nodes) for task in dag.tasks}
    assert dag.edges
    for edge in dag.edges:
        assert place["end", nodes[edge.upstream]] < place["start", nodes[edge.downstream]], edge


def test_spaceflights_runs_as_planned_twice_at_once(server: str, tmp_path: Path) -> None:
    cases = {
        "base": spaceflights(tmp_path / "base"),
        "cloud": spaceflights(tmp_path / "cloud", env="cloud"),
        "nodes": spaceflights(tmp_path / "nodes", params={"grouping": "none"}),
        "cloud-nodes": spaceflights(
            tmp_path / "cloud-nodes", env="cloud", params={"grouping": "none"}
        ),
    }
    assert [len(dag.tasks) for dag, _ in cases.values()] == [5, 5, 6, 6]
    path = stub_on_path(tmp_path / "bin")

    def begin(which: str) -> Any:
        runs = [
            {
                "file": str(file),
                "environment": {"STUB_LOG": str(tmp_path / f"{name}-{which}.log")},
            }
            for name, (_, file) in cases.items()
        ]
        home = tmp_path / which
        home.mkdir()
        return start("prefect_run.py", {"runs": runs}, home, server, PATH=path)

    waiting = [begin("one"), begin("two")]
    answers = [answer() for answer in waiting]
    ids = set()
    for which, answer in zip(("one", "two"), answers, strict=True):
        for said, (name, (dag, _)) in zip(answer, cases.items(), strict=True):
            check_run(dag, said, tmp_path / f"{name}-{which}.log")
            ids.add(said["run_id"])
    assert len(ids) == 8


@pytest.fixture(scope="module")
def flaky(tmp_path_factory: pytest.TempPathFactory) -> tuple[DagPlan, Path]:
    root = tmp_path_factory.mktemp("flaky")
    settings = "default: {retries: 1}"
    found = build_project(
        root,
        {"conf/base/pipelines.yml": FLAKY, "conf/base/prefect.yml": settings},
        target="prefect",
        render=True,
    )
    [pair] = written(found, root / "flows")
    return pair


FAILURES = {
    "STUB_FAILS": json.dumps({"flaky": 1, "bad": 9}),
    "STUB_SLEEPS": json.dumps({"slow": 60}),
}


def test_what_fails_stops_what_follows_and_nothing_else(
    server: str, tmp_path: Path, flaky: tuple[DagPlan, Path]
) -> None:
    _, file = flaky
    log = tmp_path / "stub.log"
    path = stub_on_path(tmp_path / "bin")
    runs = [{"file": str(file), "environment": {"STUB_LOG": str(log), **FAILURES}}]
    [said] = ask("prefect_run.py", {"runs": runs}, tmp_path, server, PATH=path)
    assert said["state"]["type"] == "FAILED"
    assert "returned non-zero exit status 3" in said["state"]["message"]
    states = {task["name"]: task["state"]["name"] for task in said["tasks"]}
    assert states == {
        "alone": "Completed",
        "first": "Completed",
        "slow": "TimedOut",
        "bad": "Failed",
        "flaky": "Completed",
        "after_bad": "NotReady",
        "after_flaky": "Completed",
        "last": "NotReady",
    }
    started = [each["nodes"] for each in events(log) if each["event"] == "start"]
    assert sorted(started) == ["after_flaky", "alone", "bad", "first", "flaky", "flaky", "slow"]
    # The command that took too long was stopped, not left behind.
    assert "slow" not in [each["nodes"] for each in events(log) if each["event"] == "end"]
    logged = {task["name"]: task["log"] for task in said["tasks"]}
    assert logged["bad"][:2] == ["running bad", "no luck"]


def test_a_flow_is_tried_again_and_hands_its_parameters_on(server: str, tmp_path: Path) -> None:
    settings = """
        default:
          flow_retries: 1
          task_runner: {call: prefect.task_runners.ThreadPoolTaskRunner, args: {max_workers: 1}}
          parameters: {size: 1, names: [a, "b c"], note: {default: "it's"}}
        """
    pipelines = yaml.safe_load(FLAKY)
    for node in pipelines["__default__"]["nodes"]:
        # A task is handed the parameters that its nodes read.
        read = node.get("inputs", [])
        node["inputs"] = [*([read] if isinstance(read, str) else read), "parameters"]
    files = {"conf/base/pipelines.yml": json.dumps(pipelines), "conf/base/prefect.yml": settings}
    found = build_project(tmp_path, files, target="prefect", render=True)
    [(dag, file)] = written(found, tmp_path / "flows")
    log = tmp_path / "stub.log"
    fails = {"STUB_LOG": str(log), "STUB_FAILS": json.dumps({"flaky": 1})}
    runs = [{"file": str(file), "environment": fails}]
    path = stub_on_path(tmp_path / "bin")
    [said] = ask("prefect_run.py", {"runs": runs}, tmp_path, server, PATH=path)
    assert said["state"]["type"] == "COMPLETED", said
    assert said["flow"]["retries"] == 1
    names = [task.task_id for task in dag.tasks]
    assert [task["name"] for task in said["tasks"]] == names * 2
    started = [each for each in events(log) if each["event"] == "start"]
    assert len(started) == len(names) * 2 - 3
    for each in started:
        words = each["argv"]
        parameters = words[words.index("--params") + 1]
        assert json.loads(parameters) == {"size": 1, "names": ["a", "b c"], "note": "it's"}
        assert words[words.index("--run-id") + 1] == said["run_id"]


def test_a_script_that_fails_says_so_with_its_exit_code(
    server: str, tmp_path: Path, flaky: tuple[DagPlan, Path]
) -> None:
    _, file = flaky
    environment = variables(tmp_path, server) | {
        "PATH": stub_on_path(tmp_path / "bin"),
        "STUB_LOG": str(tmp_path / "stub.log"),
    }
    command = [str(python_of("prefect")), str(file)]
    bad = subprocess.run(command, env=environment | FAILURES, capture_output=True, text=True)
    assert bad.returncode == 1, bad.stderr[-2000:]
    assert "CalledProcessError" in bad.stderr
    good = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert good.returncode == 0, good.stderr[-2000:]
