"""`dagforge run`: tasks in order, each in its own process; failures, signals, resuming."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.projects import (
    WORK,
    dagforge,
    environment,
    processes,
    ran,
    write_files,
)


def shown(root: Path, *arguments: str) -> dict[str, Any]:
    """Return a run as `runs show` gives it to programs."""
    done = dagforge(root, "runs", "show", "sums", *arguments, "--format", "json")
    assert done.returncode == 0, done.stderr
    data: dict[str, Any] = json.loads(done.stdout)
    return data


def total(root: Path, *arguments: str) -> int:
    """Return what the run's last task gave."""
    from dagforge.runtime.files import Files
    from dagforge.runtime.places import RunPlace
    from dagforge.runtime.store import Store

    run = shown(root, *arguments)
    place = RunPlace("sums", None, "sums-sums", run["run_id"])
    value: int = Store(Files(str(root / ".dagforge" / "store")), place).load("total")[0]
    return value


def test_every_task_runs_once_in_its_own_process(tmp_path: Path) -> None:
    write_files(tmp_path, {})
    done = dagforge(tmp_path, "run", "sums", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert sorted(ran(tmp_path)) == ["add", "double", "make", "square"]
    assert ran(tmp_path)[0] == "make"
    assert ran(tmp_path)[-1] == "add"
    assert len(processes(tmp_path)) == 4
    assert total(tmp_path) == 26


def test_a_group_is_one_process_and_gives_the_same(tmp_path: Path) -> None:
    write_files(tmp_path, {"conf/base/dagforge.yml": "default: {grouping: {all: [make, double]}}"})
    assert dagforge(tmp_path, "run", "sums").returncode == 0
    assert len(processes(tmp_path)) == 3
    assert total(tmp_path) == 26


def test_a_task_gives_back_what_its_functions_have_done_with(tmp_path: Path) -> None:
    """The command line switches the collector off, for it ends soon; a task may not."""
    work = WORK.replace(
        "return sum(doubled)", "import gc; return gc.isenabled() * 100 + sum(doubled)"
    )
    write_files(tmp_path, {"work.py": work})
    assert dagforge(tmp_path, "run", "sums").returncode == 0
    assert total(tmp_path) == 126


def test_parameters_of_the_run(tmp_path: Path) -> None:
    write_files(tmp_path, {})
    assert dagforge(tmp_path, "run", "sums", "--params", "size=3", "--run-id", "a").returncode == 0
    assert (
        dagforge(tmp_path, "run", "sums", "--params", '{"size": 2}', "--run-id", "b").returncode
        == 0
    )
    assert (total(tmp_path, "a"), total(tmp_path, "b")) == (11, 3)


def test_a_part_of_a_pipeline(tmp_path: Path) -> None:
    write_files(tmp_path, {})
    assert dagforge(tmp_path, "run", "sums", "--to-nodes", "double").returncode == 0
    assert ran(tmp_path) == ["make", "double"]


def test_what_would_run(tmp_path: Path) -> None:
    write_files(tmp_path, {})
    done = dagforge(tmp_path, "run", "sums", "--dry-run", "--run-id", "x")
    assert done.returncode == 0
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        "make",
        "double",
        "square",
        "add",
    ]
    assert ran(tmp_path) == []
    assert not (tmp_path / ".dagforge").exists()


FAILING = WORK.replace("return [2 * number for number in numbers]", "return 1 / 0")


def test_a_failing_node_tells_where_and_independent_branches_finish(tmp_path: Path) -> None:
    write_files(tmp_path, {"work.py": FAILING})
    done = dagforge(tmp_path, "run", "sums", "--run-id", "r")
    assert done.returncode == 1
    assert sorted(ran(tmp_path)) == ["double", "make", "square"]
    told = done.stderr
    assert (
        "conf/base/pipelines.yml:4:7: error: node 'double' failed: ZeroDivisionError: division by "
        "zero" in told
    )
    assert "function work:double" in told
    assert "input numbers: file://" in told
    assert 'work.py", line 13, in double' in told
    assert "dagforge/runtime" not in told.replace(str(tmp_path), "")
    assert "1 of 4 tasks failed: double [run-failed]" in told
    assert "dagforge run sums --resume --run-id r" in told
    run = shown(tmp_path, "r")
    assert {name: task["status"] for name, task in run["tasks"].items()} == {
        "make": "success",
        "double": "failed",
        "square": "success",
    }
    assert run["tasks"]["double"]["error"]["node"] == "double"
    assert [task["task_id"] for task in run["structure"]["tasks"]] == [
        "make",
        "double",
        "square",
        "add",
    ]


def test_resuming_runs_what_failed_and_what_comes_after(tmp_path: Path) -> None:
    write_files(tmp_path, {"work.py": FAILING})
    dagforge(tmp_path, "run", "sums", "--run-id", "r")
    (tmp_path / "ran.txt").unlink()
    write_files(tmp_path, {})
    # The module that all four functions are in has changed, and with it what they may give.
    assert dagforge(tmp_path, "run", "sums", "--resume").returncode == 0
    assert sorted(ran(tmp_path)) == ["add", "double", "make", "square"]
    (tmp_path / "ran.txt").unlink()
    done = dagforge(tmp_path, "run", "sums", "--resume")
    assert done.returncode == 0
    assert ran(tmp_path) == []
    assert done.stdout.count("up to date") == 4


def test_resuming_after_data_were_lost_or_altered(tmp_path: Path) -> None:
    write_files(tmp_path, {})
    dagforge(tmp_path, "run", "sums", "--run-id", "r")
    (folder,) = (tmp_path / ".dagforge/store").rglob("doubled")
    for path in folder.iterdir():
        path.unlink()
    (tmp_path / "ran.txt").unlink()
    assert dagforge(tmp_path, "run", "sums", "--resume").returncode == 0
    assert ran(tmp_path) == ["double"]


def test_an_operator_cannot_run_here(tmp_path: Path) -> None:
    pipelines = """
        sums:
          nodes:
            - name: wait
              operator: {type: team.operators.Wait, arguments: {}}
        """
    write_files(tmp_path, {"conf/base/pipelines.yml": pipelines})
    done = dagforge(tmp_path, "run", "sums")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "conf/base/pipelines.yml:3:7: error: node 'wait' is an operator of the orchestrator, "
        "which cannot run here [cannot-run]"
    )


SLEEPING = WORK.replace(
    "        return list(range(size))".lstrip(),
    "import time; time.sleep(60); return []",
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_children_and_leaves_the_store_whole(
    number: signal.Signals, tmp_path: Path
) -> None:
    write_files(tmp_path, {"work.py": SLEEPING})
    process = subprocess.Popen(
        [sys.executable, "-m", "dagforge", "run", "sums", "--run-id", "r"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "ran.txt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130, told
    assert "stopped in" in told
    child = int((tmp_path / "ran.txt").read_text().split()[1])
    assert not Path(f"/proc/{child}").exists()
    leftovers = [path for path in (tmp_path / ".dagforge").rglob("*") if "tmp" in path.name]
    assert leftovers == []
    write_files(tmp_path, {})
    assert dagforge(tmp_path, "run", "sums", "--resume", "--run-id", "r").returncode == 0
    assert total(tmp_path, "r") == 26


ODD = """\
import os
import subprocess
import sys

import dagforge


class Stop(BaseException):
    pass


@dagforge.node
def leaves():
    os._exit(0)


@dagforge.node
def raises():
    raise Stop("enough")


@dagforge.node
def closes():
    sys.stdout.close()
    return 1


@dagforge.node
def starts():
    subprocess.Popen(["sleep", "60"])
    return 1


@dagforge.node
def holds():
    return open(__file__)


@dagforge.node
def lacks():
    import no_such_library


@dagforge.pipeline
def odd():
    leaves(), raises(), closes(), starts(), holds(), lacks()
"""


def test_functions_that_end_their_process_in_odd_ways(tmp_path: Path) -> None:
    write_files(tmp_path, {"odd.py": ODD, "conf/base/pipelines.yml": 'odd: {python: "odd:odd"}\n'})
    began = time.monotonic()
    done = dagforge(tmp_path, "run", "odd", "--jobs", "2")
    assert time.monotonic() - began < 50
    assert done.returncode == 1
    statuses = dict(line.split()[:2] for line in done.stdout.splitlines() if " " in line)
    assert {name: statuses[name] for name in ("leaves", "raises", "holds", "lacks")} == (
        dict.fromkeys(("leaves", "raises", "holds", "lacks"), "failed")
    )
    assert {statuses["closes"], statuses["starts"]} == {"success"}
    for text in (
        "leaves | its process ended before its nodes were done, as if all were well",
        "error: the task was ended by odd.Stop: enough [node-failed]",
        "starts | ending processes that it started and that still run",
        "odd.py:34:1: error: node 'holds', output 'holds': a _io.TextIOWrapper cannot be handed",
        "fix: install 'no_such_library' (pip install no-such-library) where the task runs",
    ):
        assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert "[internal]" not in done.stderr


def test_a_dataset_that_cannot_be_read_is_told_where_it_is_declared(tmp_path: Path) -> None:
    files = {
        "flows.py": "def count(rows):\n    return len(rows)\n",
        "data/rows.json": "[1, 2",
        "conf/base/catalog.yml": "rows: {path: data/rows.json}\n",
        "conf/base/pipelines.yml": (
            "sums:\n  nodes:\n    - {name: count, func: 'flows:count', inputs: rows}\n"
        ),
    }
    done = dagforge(write_files(tmp_path, files), "run", "sums")
    assert done.returncode == 1
    assert (
        f"conf/base/catalog.yml:1:1: error: dataset 'rows' at file://{tmp_path}/data/rows.json"
        " cannot be read as json: JSONDecodeError:" in done.stderr
    )
