"""Every line of `templates/airflow/changes.yaml` is true in the real Airflows."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dagforge.compare.moves import read_changes
from dagforge.target import read_target, version_key
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
