"""What `dagforge advise` estimates, held against pods that real operators start."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from dagforge.build import Request, build
from tests.projects import run
from tests.real.environments import python_of
from tests.real.pod_api import Image, PodApi, kubeconfig, serving
from tests.real.run_project import PROBES, dagforge, install, make_project, program, worker

IMAGE = "registry.example/measured:1"
STARTUP = 4.0
"""Seconds from a container's start until it begins to work, longer than its imports take."""
PROGRAM = """\
#!{python}
import sys
import time

begin = time.monotonic()
sys.path.insert(0, {packages!r})
import dagforge.build, dagforge.cli.run, dagforge.runtime.task
{imports}
from dagforge.cli import main

# On a busy machine imports take now longer, now shorter: a pod's start takes the same time always.
time.sleep(max(0.0, {startup} - (time.monotonic() - begin)))
main()
"""
SLOTS = 4
TOLERANCE = 0.15
ATTEMPTS = 3
STORE = "measured-store"
IDLE = 1.0
SLEEPING = '''\
"""Functions that take a known time."""

import time


def idle():
    """Take the time that calibrates."""
    time.sleep({idle})


def told(value):
    """Take the same time."""
    time.sleep({idle})


def make(seconds):
    """Return a function that takes so long, whatever it is given."""

    def sleep(*values):
        time.sleep(seconds)
        return len(values)

    return sleep


{functions}
'''


@dataclass(frozen=True, slots=True)
class Measured:
    """How a DAG ran.

    Attributes:
        makespan: seconds until the last task had ended.
        pods: seconds of each pod, by task.
        tasks: seconds of each task.
    """

    makespan: float
    pods: Mapping[str, float]
    tasks: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Place:
    """A project, a cluster of pods and what runs its DAGs."""

    root: Path
    api: PodApi
    home: Path
    variables: Mapping[str, str]

    def run(self, pipeline: str, *groupings: Any) -> list[Measured]:
        """Run a pipeline in several groupings at once, and return what each took."""
        files = [self._compile(pipeline, grouping) for grouping in groupings]
        with ThreadPoolExecutor(len(files)) as pool:
            return list(pool.map(self._run, files))

    def _compile(self, pipeline: str, grouping: Any) -> Path:
        dag_id = f"measured_{len(list(self.home.glob('measured_*')))}"
        params = {"dag_id": dag_id, "grouping": grouping}
        request = Request(self.root, (pipeline,), target="airflow-k8s", params=params)
        (file,) = build(request).files
        path = self.home / f"{dag_id}.py"
        path.write_text(file.text, encoding="utf-8")
        return path

    def _run(self, path: Path) -> Measured:
        dag_id = path.stem
        words = [str(PROBES / "run_pods.py"), str(path), dag_id, str(SLOTS)]
        done = subprocess.run(
            [str(python_of("airflow-3.3")), *words],
            env=dict(self.variables),
            cwd=self.home,
            capture_output=True,
            text=True,
        )
        labelled = [(pod.body["metadata"]["labels"], pod) for pod in list(self.api.created)]
        own = [(labels["task_id"], pod) for labels, pod in labelled if labels["dag_id"] == dag_id]
        logs = "".join(pod.log for _, pod in own)
        assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:] + logs[-3000:]
        times = json.loads(done.stdout.splitlines()[-1])
        pods = {task_id: pod.seconds for task_id, pod in own}
        assert len(pods) == len(own)
        assert pods.keys() == times.keys()
        assert all(pods.values())
        return Measured(
            max(end for _, end in times.values()),
            pods,
            {name: end - begin for name, (begin, end) in times.items()},
        )

    def calibrate(self) -> tuple[str, ...]:
        """Return options that say how long a pod takes to start here, and its task beside it."""
        [found] = self.run("calibrate", "none")
        # The first of them wait for the client of Kubernetes to be imported.
        names = [name for name in found.tasks if name.startswith("second")]
        startup = mean(found.pods[name] for name in names) - IDLE
        delay = mean(found.tasks[name] - found.pods[name] for name in names)
        return (f"--pod-startup={startup:.3f}s", f"--task-delay={max(0.0, delay):.3f}s")

    def advise(self, pipeline: str, *options: str) -> dict[str, Any]:
        """Return what `dagforge advise` says of a pipeline."""
        words = ["--project", str(self.root), "--target", "airflow-k8s", f"--slots={SLOTS}"]
        # The store is a folder here, and what takes time is known.
        words += ["--image-pull=0s", "--latency=0s", "--dataset-size=0M", "--format", "json"]
        done = run("advise", pipeline, *words, *options)
        assert done.code == 0, done.err
        (advice,) = json.loads(done.out)
        found: dict[str, Any] = advice
        return found


@pytest.fixture
def measured(tmp_path: Path) -> Iterator[Callable[..., Place]]:
    """Give what makes a place of a project."""
    packages = install(tmp_path / "wheel")
    store = tmp_path / "store"
    store.mkdir()
    config_file = tmp_path / "kubeconfig"
    own = worker(tmp_path / "worker", tmp_path, None)
    own = {name: text for name, text in own.items() if not name.startswith(("RUN", "DAGFORGE"))}
    home = tmp_path / "airflow"
    home.mkdir()
    own |= {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}

    def place(root: Path, imports: str = "", startup: float = STARTUP) -> Place:
        programs = program(tmp_path / "programs", sys.executable, packages)
        text = PROGRAM.format(
            python=sys.executable, packages=str(packages), imports=imports, startup=startup
        )
        (programs / "dagforge").write_text(text, encoding="utf-8")
        api.images[IMAGE] = Image(root, programs)
        settings = {
            "image": IMAGE,
            "namespace": "measured",
            "config_file": str(config_file),
            "in_cluster": False,
            "machines": {"medium": {"requests": {"cpu": "500m"}}},
            "secrets": [{"deploy_type": "env", "secret": STORE}],
            "startup_check_interval_seconds": "1s",
            "base_container_status_polling_interval": 0.2,
        }
        folder = root / "conf/base"
        for old in folder.glob("airflow*.yml"):
            old.unlink()
        (folder / "airflow.yml").write_text(json.dumps({"default": settings}), encoding="utf-8")
        return Place(root, api, home, own)

    api = PodApi({}, {STORE: {"DAGFORGE_STORE_URL": str(store)}})
    with serving(api) as url:
        kubeconfig(url, config_file)
        yield place


def calibrating(module: str) -> dict[str, Any]:
    """Return twice as many nodes as run at once, each of which takes IDLE seconds."""
    nodes: list[dict[str, Any]] = []
    for number in range(SLOTS):
        first, second = f"first_{number}", f"second_{number}"
        nodes.append({"name": first, "func": f"{module}:idle", "outputs": first})
        nodes.append({"name": second, "func": f"{module}:told", "inputs": first})
    return {"calibrate": {"nodes": nodes}}


def check(estimate: Mapping[str, float], found: Measured) -> None:
    """Hold an estimate against what was measured."""
    assert estimate["pods"] == len(found.pods)
    pod_seconds = sum(found.pods.values())
    print(
        f"{estimate['pods']} pods: makespan {estimate['makespan']:.1f} / {found.makespan:.1f} s,"
        f" pod-seconds {estimate['pod_seconds']:.1f} / {pod_seconds:.1f}"
    )
    assert estimate["makespan"] == pytest.approx(found.makespan, rel=TOLERANCE)
    assert estimate["pod_seconds"] == pytest.approx(pod_seconds, rel=TOLERANCE)


def hold(
    measure: Callable[[], list[tuple[Mapping[str, float], Measured]]], attempts: int = ATTEMPTS
) -> None:
    """Hold estimates against measurements.

    What else the machine does while it is measured is in no estimate: it is measured again then.
    """
    try:
        for estimate, found in measure():
            check(estimate, found)
    except AssertionError:
        if attempts == 1:
            raise
        hold(measure, attempts - 1)


def test_thirty_nodes(tmp_path: Path, measured: Callable[..., Place]) -> None:
    root = tmp_path / "project"
    (root / "conf/base").mkdir(parents=True)
    nodes: list[dict[str, Any]] = [{"name": "source", "outputs": "source"}]
    ends = []
    for branch in range(6):
        read = "source"
        for step in range(4):
            name = f"b{branch}_{step}"
            nodes.append({"name": name, "inputs": read, "outputs": name})
            read = name
        ends.append(read)
    for number in range(4):
        inputs = ends[number : number + 3]
        nodes.append({"name": f"mid_{number}", "inputs": inputs, "outputs": f"mid_{number}"})
    nodes.append({"name": "sink", "inputs": [f"mid_{number}" for number in range(4)]})
    assert len(nodes) == 30
    seconds = {
        node["name"]: round(0.5 + 0.1 * (number % 6), 1) for number, node in enumerate(nodes)
    }
    for node in nodes:
        node["func"] = f"sleeping:{node['name']}"
    pipelines = {"fine": {"nodes": nodes}, **calibrating("sleeping")}
    (root / "conf/base/pipelines.yml").write_text(json.dumps(pipelines), encoding="utf-8")
    functions = "\n".join(f"{name} = make({length})" for name, length in seconds.items())
    (root / "sleeping.py").write_text(SLEEPING.format(idle=IDLE, functions=functions))
    durations = tmp_path / "durations.yml"
    durations.write_text("".join(f"{name}: {length}s\n" for name, length in seconds.items()))

    place = measured(root)

    def measure() -> list[tuple[Mapping[str, float], Measured]]:
        advice = place.advise("fine", *place.calibrate(), f"--durations={durations}")
        assert advice["estimates"]["proposal"]["pods"] < 10
        alone, proposed = place.run("fine", "none", advice["settings"]["grouping"])
        estimates = advice["estimates"]
        return [(estimates["none"], alone), (estimates["proposal"], proposed)]

    hold(measure)


def test_spaceflights(tmp_path: Path, measured: Callable[..., Place]) -> None:
    root = make_project(tmp_path)
    (root / "conf/base/pipelines_calibrate.yml").write_text(json.dumps(calibrating("calibrate")))
    (root / "src/calibrate.py").write_text(SLEEPING.format(idle=IDLE, functions=""))
    nodes = root / "src/spaceflights/nodes.py"
    text = nodes.read_text(encoding="utf-8")
    nodes.write_text(text.replace("def counting(*args, **kwargs):\n", SLOWLY), encoding="utf-8")
    store = f"--store={tmp_path / 'records'}"
    own = worker(tmp_path / "local", root, None)
    dagforge(root, "run", "__default__", "-g", "none", store, env=own)

    imports = "import joblib, pandas, pyarrow.parquet, openpyxl, sklearn.linear_model"
    place = measured(root, imports, startup=2 * STARTUP)

    def measure() -> list[tuple[Mapping[str, float], Measured]]:
        advice = place.advise("__default__", store, *place.calibrate())
        assert {each["source"] for each in advice["durations"].values()} == {"runs"}
        alone, present = place.run("__default__", "none", "tags")
        estimates = advice["estimates"]
        return [(estimates["none"], alone), (estimates["present"], present)]

    hold(measure)


SLOWLY = """\
def counting(*args, **kwargs):
        import time

        time.sleep(1)
"""
