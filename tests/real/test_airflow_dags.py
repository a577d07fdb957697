"""Every golden file is loaded by the real Airflow it is for, and is what was planned."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.real.airflow_plans import (
    EVERY_FILE,
    SOME_FILES,
    PlannedFile,
    agrees,
    answer_of,
    arguments_of,
    first_runs,
    home,
)

__all__ = ["home"]

# Given, and kept in a form of its own that the tests of single values look into.
NOT_KEPT_AS_GIVEN = {"resources", "schedule", "params"}
# What the cases set on purpose though the version warns of it and has nothing else to say the same.
NO_OTHER_WAY = re.compile("On Airflow 3.3\\+, use `durable` instead")


def each_dag(version: str, home: Path) -> Iterator[tuple[PlannedFile, Mapping[str, Any]]]:
    files, answer = answer_of(version, home)
    for file in files:
        yield file, answer[str(file.path)]["dags"][file.dag.dag_id]


@pytest.mark.parametrize("version", [*EVERY_FILE, *SOME_FILES])
def test_nothing_is_raised_or_warned(version: str, home: Path) -> None:
    files, answer = answer_of(version, home)
    assert len(files) >= (30 if version in EVERY_FILE else 1)
    assert [
        (file.path, said["errors"], said["warnings"], list(said["dags"]))
        for file in files
        for said in [answer[str(file.path)]]
        if said["errors"]
        or [text for text in said["warnings"] if not NO_OTHER_WAY.search(text)]
        or list(said["dags"]) != [file.dag.dag_id]
    ] == []


@pytest.mark.parametrize("version", [*EVERY_FILE, *SOME_FILES])
def test_tasks_and_edges_are_the_planned_ones(version: str, home: Path) -> None:
    for file, found in each_dag(version, home):
        planned = {task.task_id: sorted(task.downstream) for task in file.dag.tasks}
        loaded = {task_id: task["downstream"] for task_id, task in found["tasks"].items()}
        if file.builtin:
            assert loaded == planned, file.path
        else:
            assert {task_id: loaded[task_id] for task_id in planned} == planned, file.path
        assert {
            task.task_id: task.operator.rpartition(".")[2] for task in file.dag.tasks
        }.items() <= {task_id: task["operator"] for task_id, task in found["tasks"].items()}.items()


@pytest.mark.parametrize("version", [*EVERY_FILE, *SOME_FILES])
def test_runs_are_the_planned_ones(version: str, home: Path) -> None:
    for file, found in each_dag(version, home):
        arguments = file.dag.arguments
        expected = first_runs(arguments["schedule"], arguments["start_date"])
        if expected is not None and arguments["schedule"] != "@continuous":
            assert found["runs"] == expected, (file.path, found["timetable"])


@pytest.mark.parametrize("version", [*EVERY_FILE, *SOME_FILES])
def test_arguments_are_the_planned_ones(version: str, home: Path) -> None:
    wrong = []
    for file, found in each_dag(version, home):
        pairs = [
            ("", name, value, found["arguments"][name])
            for name, value in file.dag.arguments.items()
        ]
        for task in file.dag.tasks if file.builtin else ():
            loaded = found["tasks"][task.task_id]["loaded"]
            pairs += [
                (task.task_id, name, value, loaded[name])
                for name, value in arguments_of(task, file.dag).items()
            ]
        wrong += [
            (file.path.name, owner, name, planned, got)
            for owner, name, planned, got in pairs
            if name not in NOT_KEPT_AS_GIVEN
            and not agrees(planned, got, file.dag)
            # One callback may be kept as a list of one; a set of tags has no order.
            and not agrees([planned], got, file.dag)
            and not (isinstance(planned, list) and agrees(sorted(planned), got, file.dag))
        ]
    assert wrong == []
