"""The spaceflights project as the targets run it, with what tells one run from another."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagforge.build import Build, Request, build
from dagforge.planning.model import DagPlan
from dagforge.runtime.files import Files
from dagforge.runtime.places import TASKS, RunPlace, slug

REPOSITORY = Path(__file__).parents[2]
PROBES = Path(__file__).parent / "probes"
NAME = "spaceflights"
METRIC = "evaluate_model_node"
# Airflow, YAML, Kubernetes and a shell would each read something else here.
ODD = "odd {{ ds }} $$(PATH) 'it'"

MORE = f"""\
whole:
  include: [data_processing, data_science, more]
more:
  nodes:
    - {{name: token, func: "more:token", outputs: token}}
    - {{name: "{ODD}", func: "more:echo", inputs: token, outputs: echoed}}
    - name: flaky
      func: "more:flaky"
      inputs: token
      outputs: [first, second]
      settings: {{retries: 1, retry_delay: 1s}}
    - {{name: told, func: "more:told", inputs: [token, echoed, first, second], outputs: story}}
"""
MORE_FUNCTIONS = '''\
"""Functions that tell runs apart."""

import os
import time
import uuid
from pathlib import Path


def token():
    """Return what no other run has; where two runs are to meet, when both have begun."""
    mine = uuid.uuid4().hex
    folder = os.environ.get("RUN_MEETS")
    if folder:
        (Path(folder) / mine).touch()
        until = time.monotonic() + 240
        while len(list(Path(folder).iterdir())) < 2:
            assert time.monotonic() < until, "the other run does not begin"
            time.sleep(0.2)
    return mine


def echo(token):
    """Return the token."""
    return token


def flaky(token):
    """Return the halves of the token, the second time."""
    folder = os.environ.get("RUN_FAILS")
    if folder and not (Path(folder) / token).exists():
        (Path(folder) / token).touch()
        raise OSError("the first time always fails")
    return token[:16], token[16:]


def told(token, echoed, first, second):
    """Return all that was said of the token."""
    assert token == echoed == first + second, (token, echoed, first, second)
    return [token, echoed, first, second]
'''
# Every call leaves a line, in whatever process it is.
COUNTED = """

def _counted(function):
    @functools.wraps(function)
    def counting(*args, **kwargs):
        with open(os.environ.get("RUN_COUNTS", os.devnull), "a") as file:
            file.write(f"{function.__name__}\\n")
        return function(*args, **kwargs)

    return counting


import functools
import os

for _name, _value in list(vars().items()):
    if getattr(_value, "__module__", None) == __name__ and _name != "_counted":
        vars()[_name] = _counted(_value)
"""


def make_project(folder: Path) -> Path:
    """Make a project as `dagforge init` does, with its data and the pipeline `whole`."""
    from dagforge.commands.init import init_project

    root = folder / NAME
    init_project(root, force=False)
    (root / "conf/base/pipelines_more.yml").write_text(MORE, encoding="utf-8")
    (root / "src/more.py").write_text(MORE_FUNCTIONS + COUNTED, encoding="utf-8")
    nodes = root / "src/spaceflights/nodes.py"
    nodes.write_text(nodes.read_text(encoding="utf-8") + COUNTED, encoding="utf-8")
    subprocess.run([sys.executable, "make_data.py"], cwd=root, check=True)
    return root


@functools.cache
def score_of_one_process(root: Path) -> float:
    """Return the score that the functions give when one Python process calls them."""
    probe = [sys.executable, str(PROBES / "run_plain.py"), str(root)]
    done = subprocess.run(probe, capture_output=True, text=True, check=True)
    return float(done.stdout)


def install(folder: Path) -> Path:
    """Unpack this checkout's wheel into a folder, to be on a worker's PYTHONPATH."""
    build_wheel = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build_wheel, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "packages")
    return folder / "packages"


def program(folder: Path, python: Path | str, packages: Path) -> Path:
    """Write `dagforge` for an interpreter that finds it in `packages`; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "dagforge"
    file.write_text(
        f"#!{python}\nimport sys\n\nsys.path.insert(0, {str(packages)!r})\n"
        "from dagforge.cli import main\n\nmain()\n",
        encoding="utf-8",
    )
    file.chmod(0o755)
    return folder


def compiled(root: Path, folder: Path, **request: Any) -> DagPlan:
    """Write the file of a pipeline of the project, `whole` unless told otherwise."""
    asked = {"pipelines": ("whole",), **request}
    found: Build = build(Request(root=root, **asked))
    folder.mkdir(parents=True, exist_ok=True)
    for file in found.files:
        (folder / file.path).write_text(file.text, encoding="utf-8")
    (dag,) = found.dags
    return dag


@dataclass(frozen=True, slots=True)
class Run:
    """What a run left in a store."""

    store: str
    env: str | None
    dag_id: str
    run_id: str

    @property
    def place(self) -> RunPlace:
        """Where it lies."""
        return RunPlace(NAME, self.env, self.dag_id, self.run_id)

    def record(self, task_id: str) -> dict[str, Any]:
        """Return the record of a task."""
        files = Files(self.store)
        content = files.read(f"{self.place.path}/{TASKS}/{slug(task_id)}.json")
        assert content is not None, f"no record of {task_id}"
        record: dict[str, Any] = json.loads(content)
        return record

    @property
    def score(self) -> float:
        """The model's score."""
        score: float = self.record(METRIC)["metrics"][METRIC]
        return score


def check_records(dag: DagPlan, run: Run) -> None:
    """Hold what a run left against the plan: every node in its task, all data in its own place."""
    tokens = set()
    for task in dag.tasks:
        record = run.record(task.task_id)
        assert record["status"] == "success", record
        assert record["run_id"] == run.run_id
        assert record["nodes"] == list(task.nodes) == list(record["seconds"])
        assert record["contract"] == task.contract
        assert record["structure"] == dag.structure_hash
        assert record["warnings"] == []
        stored = [each["uri"] for each in (*record["inputs"], *record["outputs"])]
        inside = [uri for uri in stored if f"/{run.place.path}/" in uri]
        fixed = [uri for uri in stored if "/01_raw/" in uri or "/03_primary/" in uri]
        assert sorted({*inside, *fixed}) == sorted(set(stored))
        tokens |= {each["sha256"] for each in record["outputs"] if each["name"] == "token"}
        tokens |= {each["sha256"] for each in record["inputs"] if each["name"] == "token"}
    assert len(tokens) == 1


def calls_of(dag: DagPlan, runs: int = 1, retried: int = 0) -> Counter[str]:
    """Return how often each function is called when every node runs once a run."""
    calls: Counter[str] = Counter()
    for node in dag.pipeline.nodes:
        target = getattr(node.action, "target", "")
        calls[target.partition(":")[2]] += runs
    calls["flaky"] += retried
    return calls


def calls_in(file: Path) -> Counter[str]:
    """Return how often each function was called."""
    return Counter(file.read_text(encoding="utf-8").split())


def worker(folder: Path, root: Path, packages: Path | None) -> dict[str, str]:
    """Return the environment variables of a worker that runs the project's tasks."""
    for name in ("fails", "store"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    own = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("AIRFLOW", "PYTHON", "DAGFORGE", "PREFECT"))
    }
    own |= {
        "DAGFORGE_PROJECT": str(root),
        "DAGFORGE_STORE_URL": str(folder / "store"),
        "RUN_COUNTS": str(folder / "counts"),
        "RUN_FAILS": str(folder / "fails"),
        "DO_NOT_TRACK": "1",
    }
    return own | ({"PYTHONPATH": str(packages)} if packages else {})


def dagforge(root: Path, *arguments: str, env: Mapping[str, str]) -> str:
    """Return what `dagforge` prints in the project's folder."""
    command: Sequence[str] = [sys.executable, "-m", "dagforge", *arguments]
    done = subprocess.run(command, cwd=root, env=dict(env), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
