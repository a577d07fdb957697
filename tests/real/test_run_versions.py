"""DAG and image of different versions: what the table of docs/deployment-order.md says happens.

The tasks of one version's DAG run as pods in the other version's image.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from dagforge.build import Request, build
from dagforge.planning.model import DagPlan, Task
from dagforge.values import Literal, RunValue
from tests.real.pod_api import Image, Pod, PodApi
from tests.real.run_project import REPOSITORY, install, program

IMAGE = "registry.example/shop:1"
PIPELINES = "conf/base/pipelines.yml"
PARAMETERS = "conf/base/parameters.yml"
FUNCTIONS = "src/shop.py"


def pipeline(*nodes: str) -> str:
    """Return a definition with these nodes."""
    return "etl:\n  nodes:\n" + "".join(f"    - {{{node}}}\n" for node in nodes)


MAKE = 'name: make, func: "shop:make", inputs: params:start, outputs: one'
USE = 'name: use, func: "shop:use", inputs: one, outputs: two'
OLD = {
    PIPELINES: pipeline(MAKE, USE),
    PARAMETERS: "start: 1",
    "conf/base/airflow.yml": f"default: {{image: '{IMAGE}', store_url: 's3://there/store'}}",
    FUNCTIONS: """
        def make(start):
            return start

        def use(one):
            return one + 1

        def use_other(one):
            return one + 2

        def use_more(one, start):
            return one + start

        def use_both(one):
            return one, one
        """,
}
# By row of the table: what the new version has and the old one has not, and the task that is meant.
NEW: Mapping[str, tuple[Mapping[str, str], str]] = {
    "settings (schedule, retries, machines ...)": (
        {"conf/base/airflow-more.yml": "default: {retries: 5, schedule: null}"},
        "use",
    ),
    "the code inside a function": (
        {FUNCTIONS: str(OLD[FUNCTIONS]).replace("one + 1", "one + 7")},
        "use",
    ),
    "another function or format for a node": (
        {PIPELINES: pipeline(MAKE, USE.replace("shop:use", "shop:use_other"))},
        "use",
    ),
    "a node was added": (
        {PIPELINES: pipeline(MAKE, USE, 'name: more, func: "shop:use", inputs: two')},
        "more",
    ),
    "a node was removed": ({PIPELINES: pipeline(MAKE)}, "use"),
    "a node was renamed": (
        {PIPELINES: pipeline(MAKE, USE.replace("name: use", "name: used"))},
        "use",
    ),
    "a node has other inputs or outputs": (
        {
            PIPELINES: pipeline(
                MAKE, USE.replace("inputs: one", "inputs: [one, params:start]").replace(
                    "shop:use", "shop:use_more"
                )
            )
        },
        "use",
    ),
    "nodes are grouped otherwise": (
        {PIPELINES: pipeline(f"{MAKE}, tags: [airflow:all]", f"{USE}, tags: [airflow:all]")},
        "",
    ),
    "a parameter's value": ({PARAMETERS: "start: 5"}, "use"),
}  # fmt: skip


def table() -> dict[str, tuple[str, str]]:
    """Return what the page says of each change: the old DAG's outcome and the new one's."""
    page = (REPOSITORY / "docs/deployment-order.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    begin = next(index for index, row in enumerate(rows) if row[0] == "what changed") + 1
    found = {change: (old, new) for change, old, new in rows[begin:]}
    return {change: found[change] for change in list(found)[: len(NEW)]}


def outcome(text: str) -> str:
    """Return `runs`, `warned` or `stops` for what the page says."""
    return "stops" if "stops" in text else "warned" if "warned" in text else "runs"


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    return program(folder / "bin", sys.executable, install(folder))


def write(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(textwrap.dedent(text), encoding="utf-8")
    return root


def start(api: PodApi, dag: DagPlan, task: Task, store: Path) -> Pod:
    """Run a task as the pod that its operator would ask for, and return the pod when it ended."""
    values = {"run_id": "one", "structure": dag.structure_hash}
    words = [
        values[word.name] if isinstance(word, RunValue)
        else word.text if isinstance(word, Literal) else word
        for word in task.command
    ]  # fmt: skip
    container = {
        "name": "base",
        "image": IMAGE,
        "command": words[:1],
        "args": words[1:],
        "env": [{"name": "DAGFORGE_STORE_URL", "value": str(store)}],
    }
    api.create(
        "shop",
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": task.pod_name},
            "spec": {"containers": [container], "restartPolicy": "Never"},
        },
    )
    pod = api.created[-1]
    assert pod.ended.wait(120)
    return pod


def test_every_row_of_the_table_is_tried() -> None:
    assert list(table()) == list(NEW)


@pytest.mark.parametrize("newer", ["image", "DAG"])
@pytest.mark.parametrize("change", list(NEW))
def test_versions_that_differ(change: str, newer: str, tmp_path: Path, programs: Path) -> None:
    files, meant = NEW[change]
    versions = {
        "old": write(tmp_path / "old" / "shop", OLD),
        "new": write(tmp_path / "new" / "shop", {**OLD, **files}),
    }
    of_dag, of_image = ("old", "new") if newer == "image" else ("new", "old")
    request = Request(root=versions[of_dag], target="airflow-k8s", pipelines=("etl",))
    (dag,) = build(request, render_files=False).dags
    api = PodApi({IMAGE: Image(versions[of_image], programs)})
    found: dict[str, str] = {}
    logs: dict[str, str] = {}
    for task in dag.tasks:
        pod = start(api, dag, task, tmp_path / "store")
        stopped = pod.body["status"]["phase"] == "Failed"
        found[task.task_id] = "stops" if stopped else "warned" if "warning: " in pod.log else "runs"
        logs[task.task_id] = pod.log
        if stopped:
            assert "[image-differs]" in pod.log
            assert "Traceback" not in pod.log
            break
    says = outcome(table()[change][newer == "DAG"])
    expected = dict.fromkeys((str(task.task_id) for task in dag.tasks), "runs")
    if says != "runs":
        expected[meant if meant in expected else "used"] = says
    assert found == expected, logs
