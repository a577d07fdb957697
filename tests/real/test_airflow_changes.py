"""Every line of `templates/airflow/changes.yaml` is true in the real Airflows."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dagforge.compare.moves import read_changes
from dagforge.target import read_target, version_key
from tests.real.airflow_home import make_airflow
from tests.real.test_target_facts import AIRFLOW, TEMPLATES, ask

TARGET = read_target("airflow", TEMPLATES)
FACTS = read_changes(TARGET)


@functools.cache
def moved() -> list[tuple[str, str | None, Mapping[str, Any]]]:
    """Return old path, new path and entry of everything that moved."""
    return [
        (f"{old}.{name}" if name else old, f"{entry['to']}.{name}" if name else entry["to"], entry)
        for old, entry in FACTS["moved"].items()
        for name in entry.get("names", [""])
    ]


def operators(version: str) -> dict[str, str]:
    """Return where each operator with facts on its arguments is, by its name."""
    paths = {}
    for name in FACTS["operator_arguments"]:
        for old, new, entry in moved():
            if old.endswith(f".{name}") and "gone" not in entry:
                there = version_key(version) >= version_key(entry.get("since", "0"))
                paths[name] = new if there and new else old
    assert paths.keys() == FACTS["operator_arguments"].keys() - {"*"}
    return paths


def holds(entry: Mapping[str, str], version: str) -> bool:
    since, until = entry.get("since", "0"), entry.get("until", "99")
    return version_key(since) <= version_key(version) <= version_key(until)


@pytest.fixture(params=AIRFLOW)
def answer(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, Any]]:
    """Return a version and what its Airflow says."""
    version: str = request.param
    imports = {path for old, new, _ in moved() for path in (old, new) if path}
    question = {
        "imports": sorted(imports),
        "operators": sorted(operators(version).values()),
        "attributes": {name: list(each) for name, each in FACTS["template_attributes"].items()},
    }
    return version, ask(AIRFLOW[version], "changes.py", question, tmp_path)


def untrue(version: str, real: Mapping[str, Any]) -> Iterator[str]:
    """Yield every fact that the real Airflow contradicts."""
    at = version_key(version)
    for name, entry in FACTS["template_variables"].items():
        if holds(entry, version) != (name in real["context"]):
            yield f"template variable {name}"
    yield from (f"{name} is no variable" for name in missing_variables(real))
    for name, attributes in FACTS["template_attributes"].items():
        for attribute, entry in attributes.items():
            if holds(entry, version) != (attribute in real["attributes"][name]):
                yield f"{name}.{attribute}"
    paths = {"*": "*", **operators(version)}
    for operator, known in FACTS["operator_arguments"].items():
        for argument, entry in known.items():
            taken = argument in real["operators"][paths[operator]]
            if taken != (holds(entry, version) or bool(entry.get("ignored"))):
                yield f"{operator}({argument}=)"
    for rule, entry in FACTS["argument_values"]["trigger_rule"].items():
        if holds(entry, version) != (rule in real["rules"]):
            yield f"trigger_rule {rule}"
    for old, new, entry in moved():
        found = real["imports"][old]
        gone = at >= version_key(entry.get("gone", "99"))
        if gone != (found["error"] is not None):
            yield f"{old}: {found}"
        deprecated = not gone and at >= version_key(entry.get("deprecated", "99"))
        if not gone and deprecated != bool(found["deprecations"]):
            yield f"{old}: {found}"
        there = new is not None and at >= version_key(entry.get("since", "0"))
        if new is not None and there != (real["imports"][new]["error"] is None):
            yield f"{new}: {real['imports'][new]}"


def missing_variables(real: Mapping[str, Any]) -> list[str]:
    """Return the variables of a run's interval that templates do not have."""
    return [name for name in FACTS["of_the_interval"] if name not in real["context"]]


def test_what_changed_is_true_in_every_version(answer: tuple[str, dict[str, Any]]) -> None:
    version, real = answer
    assert list(untrue(version, real)) == []
    old = version_key(version) < (3, 0)
    expected = {"catchup": True, "timetable": "DeltaDataIntervalTimetable"}
    assert real["defaults"] == (
        expected if old else {"catchup": False, "timetable": "NullTimetable"}
    )


RUNS = """
import pathlib, sys
import pendulum
from {operator} import BashOperator
from {dag} import DAG

out = pathlib.Path(__file__).with_suffix(".txt")
with DAG("a", start_date=pendulum.datetime(2024, 1, 1, tz="UTC"), schedule=None) as dag:
    BashOperator(task_id="tell", bash_command="echo {names} >> " + str(out))

if __name__ == "__main__":
    for moment in {moments}:
        dag.test({argument}=moment)
    print(out.read_text())
"""
DATED, UNDATED = 'pendulum.datetime(2024, 1, 1, tz="UTC")', "None"


@pytest.mark.parametrize(("version", "moments"), [("2.11", [DATED]), ("3.3", [DATED, UNDATED])])
def test_tasks_see_these_variables(version: str, moments: list[str], tmp_path: Path) -> None:
    since, interval = FACTS["asset_runs_have_none"], set(FACTS["of_the_interval"])
    known = {**FACTS["template_variables"], **{name: {} for name in interval}}
    airflow = make_airflow(version, tmp_path / "airflow", dict(os.environ))
    file = airflow.dags / "runs.py"
    old = version_key(version) < version_key(since)
    file.write_text(
        RUNS.format(
            operator=operators_module(version),
            dag="airflow.models.dag" if old else "airflow.sdk",
            names=" ".join(f"{name}={{{{ {name} is defined }}}}" for name in known),
            moments=f"[{', '.join(moments)}]",
            argument="execution_date" if old else "logical_date",
        )
    )
    done = subprocess.run(
        [str(airflow.programs / "python"), str(file)],
        env=dict(airflow.variables),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    lines = file.with_suffix(".txt").read_text().splitlines()
    assert len(lines) == len(moments)
    for line, moment in zip(lines, moments, strict=True):
        seen = {word.removesuffix("=True") for word in line.split() if word.endswith("=True")}
        expected = {name for name, entry in known.items() if holds(entry, version)}
        assert seen == (expected - interval if moment == UNDATED else expected)


def operators_module(version: str) -> str:
    """Return where a version has its BashOperator."""
    target = read_target("airflow", TEMPLATES, version=version)
    return target.imports["BashOperator"].rpartition(".")[0]
