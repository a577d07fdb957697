"""Golden DAGs as they were planned, and what the real Airflow makes of them."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dagforge.planning.model import DagPlan, Task
from dagforge.target import Target
from dagforge.values import (
    Constant,
    Cron,
    Date,
    Every,
    Instance,
    Literal,
    Model,
    Reference,
    RunValue,
)
from tests import run_cases
from tests.real.environments import python_of
from tests.run_cases import CASES

MODULES = Path(__file__).parent / "modules"
PROBE = Path(__file__).parent / "probes" / "airflow_dags.py"
NEWEST = "3.3"
# All golden files on the newest of each generation, those named for it on the others.
EVERY_FILE = ("3.3", "2.11")
SOME_FILES = ("2.10", "3.0", "3.1")
# What a run's templates are rendered with.
CONTEXT: Mapping[str, Any] = {
    "ds": "2024-01-01",
    "ds_nodash": "20240101",
    "ts": "2024-01-01T00:00:00+00:00",
    "run_id": "scheduled__2024-01-01",
    "params": {"dagforge_structure": "0123456789ab"},
    "variables": {"pods_tag": "1.2", "stage": "prod"},
}
RUN_VALUES = {
    "run_id": "{{ run_id }}",
    "logical_date": "{{ ts }}",
    "structure": "{{ params.dagforge_structure }}",
}


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A generated file and the plan it came from.

    Attributes:
        case: the golden case; a team's templates may have changed what the plan says.
    """

    case: str
    path: Path
    dag: DagPlan
    target: Target

    @property
    def builtin(self) -> bool:
        """Whether only DagForge's own templates had a part in it."""
        return not (CASES / self.case / "templates").is_dir()


def planned_files(version: str, folder: Path, *, every: bool = True) -> Iterator[PlannedFile]:
    """Yield the files that are for a version of Airflow.

    Golden files of runs that name no version are for the newest one; for another version they are
    made again, into `folder`.

    Args:
        version: major.minor.
        folder: where such files go.
        every: False for those alone whose run names this version.
    """
    for case in run_cases.cases():
        if (CASES / case / "error.txt").is_file():
            continue
        for arguments in run_cases.commands(case):
            named = "--airflow-version" in arguments
            if named and version not in arguments:
                continue
            if not named and (not every or "prefect" in arguments):
                continue
            more = [] if named else ["--airflow-version", version]
            output = CASES / case / "expected" / run_cases.output_of(arguments)
            if not named and version != NEWEST:
                output = folder / case / run_cases.output_of(arguments)
                code, said = run_cases.run_in(CASES / case, [*arguments, *more, "-o", str(output)])
                assert code == 0, said
            found = run_cases.built(case, [*arguments, *more])
            for dag in found.dags:
                yield PlannedFile(case, output / f"{dag.stem}.py", dag, found.target)


def ask(version: str, files: Sequence[PlannedFile], home: Path) -> dict[str, Any]:
    """Return what a real Airflow says of files, by path; see the probe for its form."""
    names: dict[str, set[str]] = {"dag": set(), "task": set()}
    for file in files:
        names["dag"].update(file.dag.arguments)
        for task in file.dag.tasks:
            names["task"].update(arguments_of(task, file.dag))
    paths = [str(file.path) for file in files]
    return ask_probe(version, paths, {name: sorted(found) for name, found in names.items()}, home)


def ask_probe(
    version: str,
    paths: Sequence[str],
    arguments: Mapping[str, Sequence[str]],
    home: Path,
    *,
    pods: bool = True,
) -> dict[str, Any]:
    """Return what a real Airflow says of files, by path.

    Args:
        version: major.minor.
        paths: of the files.
        arguments: names of those to tell of each DAG (`dag`) and of each task (`task`).
        home: folder for Airflow.
        pods: build the pods that tasks would request.
    """
    question = {
        "files": list(paths),
        "arguments": dict(arguments),
        "context": dict(CONTEXT),
        "pods": pods,
    }
    variables = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(MODULES),
    }
    run = subprocess.run(
        [str(python_of(f"airflow-{version}")), str(PROBE)],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        env=variables,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    answer: dict[str, Any] = json.loads(run.stdout)
    return answer


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for Airflow to keep its files in."""
    return tmp_path_factory.mktemp("airflow")


_ANSWERS: dict[str, tuple[list[PlannedFile], dict[str, Any]]] = {}


def answer_of(version: str, home: Path) -> tuple[list[PlannedFile], dict[str, Any]]:
    """Return the golden files for a version and what it says of them; asked once a version."""
    if version not in _ANSWERS:
        files = list(planned_files(version, home / version, every=version in EVERY_FILE))
        _ANSWERS[version] = (files, ask(version, files, home))
    return _ANSWERS[version]


def arguments_of(task: Task, dag: DagPlan) -> dict[str, Any]:
    """Return every argument that a task of DagForge's own templates is made with."""
    arguments: dict[str, Any] = {**dag.default_args, **task.arguments}
    if task.resources is not None:
        arguments["container_resources"] = dag.constants[task.resources.name]
    if task.runs == "operator":
        return arguments
    words = list(task.command)
    if task.kind == "worker":
        name = "run_nodes" if task.runs == "nodes" else "run_command"
        arguments["python_callable"] = Reference(f"file.{name}")
        arguments["op_args"] = words[1:] if task.runs == "nodes" else words
    else:
        arguments |= {"name": task.pod_name, "cmds": words[:1], "arguments": words[1:]}
    return arguments


# --- values, as the plan has them and as the probe tells them


def agrees(planned: Any, found: Any, dag: DagPlan) -> bool:
    """Say whether a value that Airflow holds is the planned one."""
    if isinstance(planned, Constant):
        return agrees(dag.constants[planned.name], found, dag)
    if isinstance(planned, (Reference, Instance)):
        return _is_of(planned, found, dag)
    if isinstance(planned, Model):
        return (
            isinstance(found, dict)
            and found.get("model") == planned.type
            and agrees(dict(planned.fields), found["fields"], dag)
        )
    if isinstance(planned, Mapping):
        return (
            isinstance(found, dict)
            and planned.keys() == found.keys()
            and all(agrees(value, found[key], dag) for key, value in planned.items())
        )
    if isinstance(planned, (list, tuple)):
        return (
            isinstance(found, list)
            and len(planned) == len(found)
            and all(agrees(*pair, dag) for pair in zip(planned, found, strict=True))
        )
    expected = _plain(planned)
    return type(expected) is type(found) and repr(expected) == repr(found)


def _is_of(planned: Reference | Instance, found: Any, dag: DagPlan) -> bool:
    """Say whether an object is the named one, or of the named class with these arguments."""
    name = planned.path.replace(":", ".").rpartition(".")[2]
    if not isinstance(found, dict):
        return False
    if isinstance(planned, Reference):
        # A name may stand for any object; of one that is no class or function only that is known.
        return "call" in found or str(found.get("import", "")).rpartition(".")[2] == name
    if "model" in found:
        return bool(found["model"] == name)
    attributes = found.get("args", {})
    return found.get("call") == name and all(
        agrees(value, attributes[key], dag)
        for key, value in planned.arguments.items()
        if key in attributes
    )


def as_template(value: RunValue) -> str:
    """Return how Airflow reads something that a run knows."""
    if value.name != "parameters":
        return RUN_VALUES[value.name]
    entries = ", ".join(f'"{name}": params["{key}"]' for name, key in value.keys)
    filters = [" | replace('$', '\\\\u0024')"] * value.expanded + [" | tojson"] * value.native
    return "{{ {" + entries + "} | tojson" + "".join(filters) + " }}"


def defaults_of(dag: DagPlan) -> dict[str, Any]:
    """Return the params of a run that is given none."""
    params = dag.arguments.get("params", {})
    return {
        name: each.arguments.get("default") if isinstance(each, Instance) else each
        for name, each in params.items()
    }


def _plain(planned: Any) -> Any:
    if isinstance(planned, timedelta):
        return {"seconds": planned.total_seconds()}
    if isinstance(planned, Date):
        return {"utc": moment(planned).isoformat()}
    if isinstance(planned, Literal):
        return {"literal": planned.text}
    if isinstance(planned, RunValue):
        return as_template(planned)
    if isinstance(planned, float) and planned - planned != 0:
        return {"float": repr(planned)}
    return planned


def moment(date: Date) -> datetime:
    """Return a planned date in UTC, without a zone."""
    parts = (*date.parts, *(0,) * (7 - len(date.parts)))
    year, month, day, hour, minute, second, microsecond = parts
    zoned = datetime(
        year, month, day, hour, minute, second, microsecond, tzinfo=ZoneInfo(date.timezone)
    )
    return zoned.astimezone(timezone.utc).replace(tzinfo=None)


# --- when a DAG runs


def first_runs(schedule: Any, start: Date, count: int = 3) -> list[dict[str, str]] | None:
    """Return the first runs that a schedule means, None where that is up to an object.

    `interval`: a run covers the time between two firings and starts at its end; `trigger`: a run
    starts at each firing and covers no time.
    """
    if schedule is None or isinstance(schedule, list):
        return []
    since = moment(start)
    if schedule == "@once":
        return [_run(since, since, since)]
    if isinstance(schedule, Cron):
        firings = _firings(schedule, since, count + 1)
    elif isinstance(schedule, Every):
        firings = [since + number * schedule.length for number in range(count + 1)]
    else:
        return None
    if schedule.meaning == "trigger":
        return [_run(at, at, at) for at in firings[:count]]
    return [_run(end, begin, end) for begin, end in itertools.pairwise(firings)]


def _firings(cron: Cron, since: datetime, count: int) -> list[datetime]:
    from croniter import croniter

    zone = ZoneInfo(cron.timezone)
    local = since.replace(tzinfo=timezone.utc).astimezone(zone)
    before = (local - timedelta(seconds=1)).replace(tzinfo=None)
    firings = croniter(cron.expression, before)
    return [
        firings.get_next(datetime)
        .replace(tzinfo=zone)
        .astimezone(timezone.utc)
        .replace(tzinfo=None)
        for _ in range(count)
    ]


def _run(after: datetime, start: datetime, end: datetime) -> dict[str, str]:
    return {
        "run_after": after.isoformat(),
        "start": start.isoformat(),
        "end": end.isoformat(),
    }
