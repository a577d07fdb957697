"""What goes wrong at the worst moment: nothing is ever read torn, or silently stale."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from dagforge.runtime.errors import IncompleteError, RunError, StoreError
from dagforge.runtime.files import TEMPORARY
from dagforge.runtime.records import TaskRecord
from dagforge.runtime.store import POINTER
from tests.runtime import work
from tests.runtime.projects import dagforge, environment, write_files
from tests.runtime.tasks import Bench, bench, dataset, node

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _nothing_seen() -> Iterator[None]:
    work.seen.clear()
    work.hooks.clear()
    yield
    work.seen.clear()
    work.hooks.clear()


PROCESS = """
import sys
from pathlib import Path
from tests.runtime.tasks import bench, node
from dagforge.errors import DagForgeError
{more}
outputs = sys.argv[3].split(",")
try:
    bench(Path(sys.argv[1]), node(sys.argv[2], outputs=outputs)).run()
except DagForgeError as error:
    print(error)
    sys.exit(1)
"""


def start(
    root: Path, name: str, outputs: str = "x", more: str = "", env: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a process that executes one task."""
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS.format(more=more), str(root), name, outputs],
        env=environment({"PYTHONPATH": str(ROOT), **(env or {})}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def stopped(process: subprocess.Popen[str], by: signal.Signals | None = None) -> tuple[int, str]:
    """Return exit code and output of a process, signalled after its first line when asked to."""
    first = ""
    if by is not None:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(by)
    rest, _ = process.communicate(timeout=60)
    return process.returncode, first + rest


def leftovers(root: Path) -> list[Path]:
    return list(root.rglob(f"{TEMPORARY}*"))


# --- killed


def test_killed_in_the_middle_of_a_save_and_run_again(tmp_path: Path) -> None:
    run = bench(tmp_path, node("slow_to_save", outputs=["x"]), node("see", inputs=["x"]))
    code, _ = stopped(start(tmp_path, "slow_to_save", env={"SLOW": "1"}), signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert len(leftovers(tmp_path)) == 1
    assert run.record("slow_to_save").status == "running"
    with pytest.raises(IncompleteError):
        run.run("see")
    run.run("slow_to_save")
    run.run("see")
    assert work.seen == [[1]]
    assert leftovers(tmp_path) == []


def test_killed_between_content_and_pointer(tmp_path: Path) -> None:
    more = f"""
import os, signal
from dagforge.runtime.files import Files
write = Files.write
def kill(self, path, content):
    if path.endswith("{POINTER}"):
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, path, content)
Files.write = kill
"""
    code, _ = stopped(start(tmp_path, "one", more=more))
    assert code == -signal.SIGKILL
    run = bench(tmp_path, node("one", outputs=["x"]), node("see", inputs=["x"]))
    assert len(run.store.files.list(run.place.dataset("x"))) == 1
    with pytest.raises(IncompleteError):
        run.run("see")
    run.run("one")
    assert run.value("x") == 1


def test_killed_after_half_of_its_outputs(tmp_path: Path) -> None:
    run = bench(tmp_path, node("first_then_slow", outputs=["x", "y"]))
    process = start(tmp_path, "first_then_slow", "x,y", env={"SLOW": "1"})
    assert stopped(process, signal.SIGKILL)[0] == -signal.SIGKILL
    first = run.store.current("x")
    assert run.store.record("y") is None
    record = run.run("first_then_slow")
    assert [each["name"] for each in record.outputs] == ["x", "y"]
    assert run.value("y") == [1]
    again = run.store.current("x")
    assert again.file == first.file
    assert again.started > first.started


def test_a_node_that_kills_its_process(tmp_path: Path) -> None:
    run = bench(tmp_path, node("killed", outputs=["x"]))
    assert stopped(start(tmp_path, "killed", env={"SLOW": "1"}))[0] == -signal.SIGKILL
    assert run.run().status == "success"


def test_sigterm_leaves_the_store_whole_and_a_record(tmp_path: Path) -> None:
    run = bench(tmp_path, node("sleep", outputs=["x"]), node("slow_to_save", outputs=["y"]))
    for name, output in (("sleep", "x"), ("slow_to_save", "y")):
        process = start(tmp_path, name, output, env={"SLOW": "1"})
        code, _ = stopped(process, signal.SIGTERM)
        assert code == 128 + signal.SIGTERM
        record = run.record(name)
        assert record.status == "failed"
        assert record.error == {"type": "Terminated", "message": "stopped by SIGTERM"}
        assert record.ended is not None
        assert leftovers(tmp_path) == []
        assert run.store.record(output) is None
        assert run.run(name).status == "success"


def test_sigterm_to_the_command_of_a_generated_task(tmp_path: Path) -> None:
    sleeping = "import time\n\ndef make(size):\n    print('here', flush=True)\n    time.sleep(60)\n"
    write_files(tmp_path, {"work.py": sleeping})
    words = ["run", "sums", "--nodes", "make", "--task", "sums/sums/make", "--run-id", "r"]
    process = subprocess.Popen(
        [sys.executable, "-m", "dagforge", *words],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    while "here" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "Traceback" not in told
    (path,) = tmp_path.rglob("_tasks/make.json")
    assert '"status": "failed"' in path.read_text()
    assert "stopped by SIGTERM" in path.read_text()


# --- full disk


@pytest.mark.parametrize("kind", ["bytes", "frame", "array", "text", "pickle", "polars"])
def test_a_full_disk(tmp_path: Path, kind: str) -> None:
    name = f"large_{kind}"
    run = bench(tmp_path, node("before", "one", outputs=["x"]), node(name, outputs=["x2"]))
    run.nodes[1] = replace(run.nodes[1], outputs=("x",))
    run.run("before")
    more = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))"
    code, told = stopped(start(tmp_path, name, more=more))
    assert code == 1, told
    assert "dataset 'x'" in told
    assert "[store-failed]\n  fix: make room there, then run the task again" in told
    assert "Traceback" not in told
    assert leftovers(tmp_path) == []
    assert run.value("x") == 1, "what was there before is still whole"
    assert run.record(name).status == "failed"
    assert (run.record(name).error or {})["code"] == "store-failed"
    run.run(name)
    assert run.store.current("x").producer == name
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


# --- two attempts at once


def test_an_attempt_that_was_overtaken_writes_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = bench(tmp_path, node("hooked", outputs=["x"]))

    def later() -> None:
        monkeypatch.setenv("VALUE", "second")
        run.run()

    work.hooks.append(later)
    with pytest.raises(StoreError) as caught:
        run.run()
    assert "task 'hooked' belongs to a later attempt (begun " in str(caught.value)
    assert "[superseded]\n  fix: nothing is to be done" in str(caught.value)
    assert run.value("x") == ["second"]
    assert run.record("hooked").status == "success"


def test_an_attempt_that_was_overtaken_by_one_that_still_runs(tmp_path: Path) -> None:
    run = bench(tmp_path, node("hooked", outputs=["x"]))

    def only_begun() -> None:
        record = run.record("hooked")
        later = replace(record, started=record.started.replace("202", "302", 1))
        run.store.files.write(run.place.task("hooked"), later.to_json())

    work.hooks.append(only_begun)
    with pytest.raises(StoreError, match="superseded"):
        run.run()
    assert run.store.record("x") is None
    # A clock that is behind does not make the next attempt an earlier one.
    assert run.run().started.startswith("302")
    assert run.value("x") == ["first"]


def test_an_overtaken_attempt_leaves_a_fixed_path_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = bench(tmp_path, node("hooked", outputs=["x"]), datasets=[dataset("x", "x.json")])

    def later() -> None:
        monkeypatch.setenv("VALUE", "second")
        run.run()

    work.hooks.append(later)
    with pytest.raises(StoreError, match="superseded"):
        run.run()
    assert (tmp_path / "x.json").read_text() == '["second"]'
    assert leftovers(tmp_path) == []


def test_a_write_that_comes_after_the_later_attempt_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = bench(tmp_path, node("hooked", outputs=["x"]), node("see", inputs=["x"]))
    run.run("hooked")
    earlier = run.store.current("x")
    monkeypatch.setenv("VALUE", "second")
    run.run("hooked")
    run.store.files.write(f"{run.place.dataset('x')}/{POINTER}", earlier.to_json())
    record = run.run("see")
    assert work.seen == [["second"]]
    assert record.warnings == []


# --- stale


def _chain(root: Path) -> Bench:
    return bench(
        root,
        node("hooked", outputs=["x"]),
        node("echo", inputs=["x"], outputs=["y"]),
        node("see", inputs=["y"]),
    )


def test_a_run_deleted_and_created_again_under_the_same_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _chain(tmp_path)
    for name in ("hooked", "echo", "see"):
        assert run.run(name).warnings == []
    # The same id again: attempts count from 1, values are new, and `echo` is skipped.
    monkeypatch.setenv("VALUE", "second")
    assert run.run("hooked").warnings == []
    assert run.value("x") == ["second"]
    (warning,) = run.run("see").warnings
    assert "dataset 'y' is of " in warning
    assert "'x', which task 'echo' made it from, was written again at " in warning
    assert f"warning: {warning}" in run.lines
    assert run.record("see").warnings == [warning]
    run.run("echo")
    assert run.run("see").warnings == []
    assert work.seen[-1] == ["second"]


def test_the_same_value_again_makes_nothing_stale(tmp_path: Path) -> None:
    run = _chain(tmp_path)
    for name in ("hooked", "echo", "hooked", "see"):
        assert run.run(name).warnings == []


def test_a_value_whose_task_has_failed_since(tmp_path: Path) -> None:
    run = _chain(tmp_path)
    run.run("hooked")

    def fail() -> None:
        raise RuntimeError("later")

    work.hooks.append(fail)
    with pytest.raises(RunError, match="node 'hooked' failed: RuntimeError: later"):
        run.run("hooked")
    (warning,) = run.run("echo").warnings
    assert "dataset 'x' is of " in warning
    assert "task 'hooked' has begun again at " in warning
    assert "(failed) and has not written it since" in warning


def _fixed(root: Path, run_id: str) -> Bench:
    return bench(
        root,
        node("hooked", outputs=["x"]),
        node("see", inputs=["x"]),
        datasets=[dataset("x", "x.json")],
        run_id=run_id,
    )


def test_a_fixed_path_that_this_run_has_not_written(tmp_path: Path) -> None:
    assert _fixed(tmp_path, "monday").run("hooked").warnings == []
    record: TaskRecord = _fixed(tmp_path, "tuesday").run("see")
    (warning,) = record.warnings
    assert f"dataset 'x' at file://{tmp_path}/x.json (of 20" in warning
    assert "is older than this run, in which node 'hooked' has not written it" in warning
    assert record.inputs[0]["facts"]["modified"]
    assert record.inputs[0]["written"]


def test_a_fixed_path_that_another_run_has_written_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monday, tuesday = _fixed(tmp_path, "monday"), _fixed(tmp_path, "tuesday")
    monday.run("hooked")
    assert monday.run("see").warnings == []
    monkeypatch.setenv("VALUE", "second")
    tuesday.run("hooked")
    assert tuesday.run("see").warnings == []
    (warning,) = monday.run("see").warnings
    assert "is not what task 'hooked' of this run wrote there at " in warning
    assert "another run has written it since" in warning


def test_a_fixed_path_that_does_not_keep_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    (tmp_path / "x.json").write_text("[0]")
    loads, count = json.loads, iter(range(10**6))

    def meanwhile(text: str) -> object:
        if text.startswith("["):
            (tmp_path / "x.json").write_text("[" + "1" * next(count) + "0]")
        return loads(text)

    monkeypatch.setattr(json, "loads", meanwhile)
    with pytest.raises(StoreError, match="was written again each time while it was read"):
        _fixed(tmp_path, "monday").run("see")


# --- one bucket for all


def test_two_teams_and_two_environments_with_one_bucket_and_one_run_id(tmp_path: Path) -> None:
    runs = [
        bench(
            tmp_path,
            node("echo", inputs=["params:me"], outputs=["x"]),
            project=project,
            env=env,
            url="memory://shared-bucket",
            run_id="manual__2026-01-01T00:00:00+00:00",
            parameters={"me": f"{project}/{env}"},
        )
        for project in ("team_a", "team_b")
        for env in (None, "prod")
    ]
    for run in runs:
        run.run()
    assert [run.value("x") for run in runs] == [run.parameters["me"] for run in runs]


# --- an image that is not the DAG's


def _contract_of(root: Path, name: str) -> str:
    from dagforge.conf import read_conf, read_project
    from dagforge.frontends import load
    from dagforge.planning.contract import contract

    pipeline = load("sums", read_conf(root, env=None, project=read_project(root)))
    return contract([each for each in pipeline.nodes if each.name == name], pipeline)


def _run_task(root: Path, name: str, contract: str) -> subprocess.CompletedProcess[str]:
    task = ("--nodes", name, "--task", f"sums/sums/{name}", "--run-id", "r")
    return dagforge(root, "run", "sums", *task, "--contract", contract)


PIPELINES = "conf/base/pipelines.yml"


def test_images_that_are_newer_and_older_than_the_dag(tmp_path: Path) -> None:
    root = write_files(tmp_path, {})
    contracts = {name: _contract_of(root, name) for name in ("make", "double")}
    text = (root / PIPELINES).read_text()
    # One version newer: another node, and another function for one that there was.
    newer = text.replace("work:double", "work:square") + (
        '    - {name: more, func: "work:add", inputs: [doubled, squared], outputs: extra}\n'
    )
    (root / PIPELINES).write_text(newer)
    done = _run_task(root, "make", contracts["make"])
    assert (done.returncode, done.stderr) == (0, "")
    assert "warning" not in done.stdout
    done = _run_task(root, "double", contracts["double"])
    assert done.returncode == 0, done.stderr
    warning = "task 'double': functions or formats of its nodes differ from the DAG's"
    assert f"warning: {warning}" in done.stdout
    (record,) = root.rglob("_tasks/double.json")
    assert warning in record.read_text()
    # One version older: the node is not there yet.
    (root / PIPELINES).write_text(text)
    done = _run_task(root, "more", "00000000-00000000")
    assert done.returncode == 1
    assert (
        "error: task 'more' is to run node 'more', which pipeline 'sums' of this image does not "
        "have [image-differs]\n  fix: " in done.stderr
    )


def test_an_image_with_other_inputs_stops(tmp_path: Path) -> None:
    root = write_files(tmp_path, {})
    expected = _contract_of(root, "double")
    text = (root / PIPELINES).read_text()
    (root / PIPELINES).write_text(
        text.replace(
            "inputs: numbers, outputs: doubled", "inputs: numbers, outputs: twice"
        ).replace("[doubled", "[twice")
    )
    done = _run_task(root, "double", expected)
    assert done.returncode == 1
    assert "its nodes have other inputs or outputs in this image than in the DAG" in done.stderr
    assert "double reads numbers and writes twice" in done.stderr
    assert "fix: deploy the image and the DAG that belong together, then clear the task" in (
        done.stderr
    )
    assert not list(root.rglob("_tasks"))
