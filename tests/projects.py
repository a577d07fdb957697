"""Small projects on disk, built as the command line builds them."""

from __future__ import annotations

import contextlib
import io
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagforge.build import Build, Request, build
from dagforge.cli.program import run_command
from dagforge.errors import DagForgeError
from dagforge.planning.model import DagPlan, Task

PIPELINES = "conf/base/pipelines.yml"
AIRFLOW = "conf/base/airflow.yml"
TWO_NODES = """
    etl:
      nodes:
        - {name: load, func: "team.etl:load", outputs: raw, tags: ["machine:small"]}
        - {name: clean, func: "team.etl:clean", inputs: raw, outputs: tidy}
    """

# Pods have no disk in common.
STORE = {"conf/base/dagforge_store.yml": "default: {store_url: 's3://bucket/store'}"}


def write_project(root: Path, files: Mapping[str, str]) -> Path:
    """Write files below `root`, dedented, and return `root`; without pipelines, TWO_NODES."""
    for name, text in {PIPELINES: TWO_NODES, **STORE, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return root


def build_project(
    root: Path, files: Mapping[str, str], *, render: bool = False, **request: Any
) -> Build:
    """Return what a project with these files gives for Airflow's pods, unless told otherwise."""
    write_project(root, files)
    request = {"target": "airflow-k8s", "params": {}, **request}
    return build(Request(root=root, **request), render_files=render)


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command went."""

    code: int
    out: str
    err: str


def run(*arguments: str) -> Ran:
    """Run `dagforge` in this process and the working directory, as `main` does."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_command(arguments)
    return Ran(code, out.getvalue(), err.getvalue())


def problems_of(root: Path, files: Mapping[str, str], **request: Any) -> list[str]:
    """Return every problem of a project as text, errors first."""
    try:
        found = build_project(root, files, **request)
    except DagForgeError as error:
        return [str(problem) for problem in error.problems]
    return [str(problem) for problem in found.warnings]


def task_of(dag: DagPlan, task_id: str) -> Task:
    """Return the task of that id."""
    return next(task for task in dag.tasks if task.task_id == task_id)


def argument_of(dag: DagPlan, task_id: str, name: str) -> Any:
    """Return what Airflow would give a task for an argument: its own, else the default."""
    return {**dag.default_args, **task_of(dag, task_id).arguments}.get(name)
