"""`kedro run` with the variables of a generated task leaves its records, and else nothing."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dagforge.planning.contract import hash_of_names
from dagforge.runtime.files import Files
from dagforge.runtime.places import RunPlace
from dagforge.runtime.records import TaskRecord, read_record
from dagforge.runtime.store import Store
from tests.real.environments import python_of
from tests.real.kedro_runs import VERSIONS, kedro, ran, variables, write_project
from tests.real.run_project import install

FILES = {
    "src/small/nodes.py": '''\
"""What the nodes do."""

import os
import time


def repeat(text, times):
    """Return the text several times."""
    if times < 0:
        raise ValueError(f"{times} times?")
    return [text] * times


def join(texts):
    """Return one text."""
    return {"text": "".join(texts)}


def wait(joined):
    """Wait where a test says so, so that the process can be stopped."""
    print("waiting", flush=True)
    time.sleep(float(os.environ.get("SMALL_WAITS", 0)))
''',
    "src/small/pipeline_registry.py": '''\
"""The pipelines."""

from kedro.pipeline import node, pipeline

from small.nodes import join, repeat, wait


def register_pipelines():
    """Return the pipelines."""
    nodes = [
        node(repeat, ["raw@text", "params:times"], "texts", name="repeat"),
        node(join, "texts", "joined", name="join"),
        node(wait, "joined", None, name="wait"),
    ]
    return {"__default__": pipeline(nodes)}
''',
    "conf/base/parameters.yml": "times: 2\n",
    "conf/base/catalog.yml": """\
raw@text: {type: text.TextDataset, filepath: data/raw.txt}
raw@bytes: {type: pickle.PickleDataset, filepath: data/raw.txt}
joined: {type: json.JSONDataset, filepath: data/joined.json, versioned: true}
""",
    "data/raw.txt": "ab",
}
# Runs the command line of Kedro, and says at last what it has imported of DagForge.
MODULES = """\
import atexit
import sys

from kedro.framework.cli import main

atexit.register(lambda: print(*(name for name in sys.modules if name.startswith("dagforge"))))
main()
"""
PLACE = RunPlace("small", None, "small-dag", "manual__1")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with this checkout installed: Kedro finds its hook by the entry point."""
    return install(tmp_path_factory.mktemp("wheel"))


def of_task(packages: Path, folder: Path, task_id: str, **more: str) -> dict[str, str]:
    """Return the variables that a generated task gives to `kedro run`."""
    given = {
        "DAGFORGE_TASK": f"{PLACE.project}/{PLACE.dag_id}/{task_id}",
        "DAGFORGE_RUN_ID": PLACE.run_id,
        "DAGFORGE_STRUCTURE": "123456789abc",
        "DAGFORGE_STORE_URL": str(folder / "store"),
    }
    return variables(packages, **{**given, **more})


def record(folder: Path, task_id: str) -> TaskRecord:
    """Return the record of a task."""
    found = read_record(Files(str(folder / "store")), PLACE, task_id)
    assert found is not None
    return found


def by_name(records: Any) -> Mapping[str, Mapping[str, Any]]:
    """Return dataset records by name."""
    return {each["name"]: each for each in records}


@pytest.mark.parametrize("version", VERSIONS)
def test_records_tell_of_two_tasks_as_the_store_does(
    version: str, packages: Path, tmp_path: Path
) -> None:
    root = write_project(tmp_path / "small", version, FILES)
    shapes = [("repeat", ["raw", "params:times"], ["texts"]), ("join", ["texts"], ["joined"])]
    contract = f"{hash_of_names(shapes)}-12345678"
    first = of_task(packages, tmp_path, "first", DAGFORGE_CONTRACT=contract)
    ran(root, version, "run", "--nodes", "repeat,join", "--params", "times=3", env=first)
    task = record(tmp_path, "first")
    assert (task.status, task.nodes) == ("success", ("repeat", "join"))
    assert (task.contract, task.structure) == (contract, "123456789abc")
    assert task.parameters == {"params:times": 3}
    assert set(task.seconds) == {"repeat", "join"}
    assert task.versions["kedro"].startswith(version)
    assert task.code
    assert task.peak_memory
    assert not task.warnings

    # What lives in memory is no dataset of the task; of the two readings of `raw` there is one.
    [(name, raw)] = by_name(task.inputs).items()
    assert name == "raw"
    assert raw["uri"] == (root / "data/raw.txt").as_uri()
    assert raw["format"] == "text.TextDataset"
    assert raw["sha256"] == hashlib.sha256(b"ab").hexdigest()
    [(name, joined)] = by_name(task.outputs).items()
    assert name == "joined"
    [file] = (root / "data/joined.json").glob("*/joined.json")
    assert joined["uri"] == file.as_uri()
    assert joined["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert joined["producer"] == "first"
    pointer = Store(Files(str(tmp_path / "store")), PLACE).record("joined")
    assert pointer is not None
    assert (pointer.uri, pointer.producer) == (joined["uri"], "first")

    second = of_task(packages, tmp_path, "second")
    ran(root, version, "run", "--nodes", "wait", env=second)
    task = record(tmp_path, "second")
    [found] = task.inputs
    assert (found["uri"], found["producer"]) == (joined["uri"], "first")
    assert not task.warnings
    assert not task.outputs


def test_without_a_task_nothing_is_done(packages: Path, tmp_path: Path) -> None:
    root = write_project(tmp_path / "small", "1.7", FILES)
    ran(root, "1.7", "registry", "list", env=of_task(packages, tmp_path, "first"))
    assert not (tmp_path / "store").exists()
    env = variables(packages, DAGFORGE_STORE_URL=str(tmp_path / "store"))
    telling = [str(python_of("kedro-1.7")), "-c", MODULES, "run", "--nodes", "repeat,join"]
    done = subprocess.run(telling, cwd=root, env=env, capture_output=True, text=True, check=True)
    assert set(done.stdout.splitlines()[-1].split()) == {
        "dagforge",
        "dagforge.kedro_plugin",
        "dagforge.planning",
        "dagforge.planning.variables",
        "dagforge.runtime",
        "dagforge.runtime.kedro_hook",
    }
    assert not (tmp_path / "store").exists()
    assert not (root / ".dagforge").exists()


def test_a_failed_node_is_recorded_with_the_users_own_frames(
    packages: Path, tmp_path: Path
) -> None:
    root = write_project(tmp_path / "small", "0.19", FILES)
    env = of_task(packages, tmp_path, "first")
    assert kedro(root, "0.19", "run", "--params", "times=-1", env=env).returncode != 0
    task = record(tmp_path, "first")
    assert task.status == "failed"
    assert task.ended
    assert task.error is not None
    assert (task.error["node"], task.error["type"]) == ("repeat", "ValueError")
    assert task.error["message"] == "-1 times?"
    assert "src/small/nodes.py" in task.error["frames"]
    assert "site-packages" not in task.error["frames"]


def test_an_image_without_the_node_is_recorded(packages: Path, tmp_path: Path) -> None:
    root = write_project(tmp_path / "small", "1.7", FILES)
    env = of_task(packages, tmp_path, "first")
    assert kedro(root, "1.7", "run", "--nodes", "gone", env=env).returncode != 0
    task = record(tmp_path, "first")
    assert (task.status, task.nodes) == ("failed", ())
    assert task.error is not None
    assert "gone" in task.error["message"]


def test_an_image_with_other_inputs_stops(packages: Path, tmp_path: Path) -> None:
    root = write_project(tmp_path / "small", "1.7", FILES)
    contract = f"{hash_of_names([('join', ['texts', 'more'], ['joined'])])}-12345678"
    env = of_task(packages, tmp_path, "first", DAGFORGE_CONTRACT=contract)
    done = kedro(root, "1.7", "run", "--nodes", "join", env=env)
    assert done.returncode != 0
    assert "here, join reads texts and writes joined" in done.stdout
    task = record(tmp_path, "first")
    assert task.status == "failed"
    assert task.error is not None
    assert task.error["code"] == "image-differs"


def test_a_stopped_pod_leaves_a_record(packages: Path, tmp_path: Path) -> None:
    root = write_project(tmp_path / "small", "1.7", FILES)
    process = subprocess.Popen(
        [str(python_of("kedro-1.7")), "-m", "kedro", "run"],
        cwd=root,
        env=of_task(packages, tmp_path, "first", SMALL_WAITS="60"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "waiting":
            break
    assert record(tmp_path, "first").status == "running"
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    task = record(tmp_path, "first")
    assert task.status == "failed"
    assert task.error is not None
    assert task.error["message"] == "stopped by SIGTERM"
    assert set(by_name(task.outputs)) == {"joined"}


def test_a_store_that_cannot_be_written_does_not_stop_the_work(
    packages: Path, tmp_path: Path
) -> None:
    root = write_project(tmp_path / "small", "1.7", FILES)
    (tmp_path / "file").touch()
    env = of_task(packages, tmp_path, "first", DAGFORGE_STORE_URL=str(tmp_path / "file"))
    said = ran(root, "1.7", "run", "--nodes", "repeat,join", env=env)
    assert "DagForge cannot record this task" in said
    assert list((root / "data/joined.json").glob("*/joined.json"))


def test_data_of_another_run_are_noticed(packages: Path, tmp_path: Path) -> None:
    root = write_project(tmp_path / "small", "1.7", FILES)
    ran(root, "1.7", "run", "--nodes", "repeat,join", env=of_task(packages, tmp_path, "first"))
    [file] = (root / "data/joined.json").glob("*/joined.json")
    file.write_text('{"text": "other"}')
    ran(root, "1.7", "run", "--nodes", "wait", env=of_task(packages, tmp_path, "second"))
    [warning] = record(tmp_path, "second").warnings
    assert "is not what task 'first' of this run wrote there" in warning
