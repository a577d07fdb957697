"""`verify` with the real Airflow: golden files load as planned, and what is wrong is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dagforge.build import Build
from dagforge.errors import VerificationError
from dagforge.verify import verify
from tests import run_cases
from tests.projects import PIPELINES, build_project
from tests.real.environments import python_of
from tests.run_cases import CASES

VERSIONS = ("3.3", "2.11")


def test_golden_files_load_as_planned() -> None:
    arguments = ["create", "--all", "--env", "cloud", "--target", "airflow-gke", "-o", "dags"]
    found = run_cases.built("spaceflights-all", arguments)
    folder = CASES / "spaceflights-all/expected/dags"
    verified = verify(found.dags, folder, found.target, python=python_of("airflow-3.3"))
    assert verified.summary == (
        "loaded     3 DAGs with 11 tasks for airflow-gke in Airflow 3.3.2: all there, in the "
        "planned order"
    )
    assert verified.warnings == ()
    assert not list(folder.rglob("__pycache__"))


def test_what_a_team_s_template_adds_is_told() -> None:
    for output, version in (("airflow-k8s", "3.3"), ("airflow-2", "2.11")):
        (arguments,) = (each for each in run_cases.commands("team-templates") if each[-1] == output)
        found = run_cases.built("team-templates", arguments)
        folder = CASES / "team-templates/expected" / output
        python = python_of(f"airflow-{version}")
        _, *notes = verify(found.dags, folder, found.target, python=python).summary.splitlines()
        assert len(notes) == 1
        assert notes[0].endswith("shop_sales.py has more tasks: started")


PROJECT = {
    "dagforge.toml": 'project = "shop"',
    PIPELINES: "\n".join(
        f"{name}: {{nodes: [{{name: a, command: [a]}}, {{name: b, command: [b], after: [a]}}]}}"
        for name in ("cycle", "cron", "missing", "late", "left")
    ),
}
CHANGES = {
    "cycle": ("    a >> b", "    a >> b >> a"),
    "cron": ("schedule=None", 'schedule="61 * * * *"'),
    "missing": ("import pendulum", "import pendulum\nfrom team.nowhere import notify"),
    "late": ("    a >> b", "    b >> a"),
    "left": ('task_id="b"', 'task_id="c"'),
}


def spoilt(version: str, folder: Path) -> Build:
    """Write files of which every one has its own fault."""
    found = build_project(
        folder / "project",
        PROJECT,
        target="airflow",
        airflow_version=version,
        every=True,
        render=True,
    )
    for file in found.files:
        pipeline = file.manifest.pipeline
        old, new = CHANGES[pipeline]
        assert file.text.count(old) == 1
        (folder / file.path).write_text(file.text.replace(old, new))
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_wrong_is_told(version: str, tmp_path: Path) -> None:
    found = spoilt(version, tmp_path)
    with pytest.raises(VerificationError) as caught:
        verify(found.dags, tmp_path, found.target, python=python_of(f"airflow-{version}"))
    release = {"3.3": "3.3.2", "2.11": "2.11.2"}[version]
    word = "Dag" if version == "3.3" else "DAG"
    does_not_load = f"error: Airflow {release} does not load it:"
    line = next(
        number
        for number, text in enumerate((tmp_path / "shop_missing.py").read_text().splitlines(), 1)
        if "team.nowhere" in text
    )
    said = str(caught.value).replace(f"{tmp_path}/", "")
    assert said.splitlines() == [
        f"shop_cycle.py: {does_not_load} AirflowDagCycleException: Cycle detected in {word}: "
        "shop-cycle. Faulty task: b [not-loaded]",
        f"shop_cron.py: {does_not_load} AirflowTimetableInvalid: [61 * * * *] is not acceptable, "
        "out of range [not-loaded]",
        f"shop_missing.py:{line}: {does_not_load} ModuleNotFoundError: No module named 'team' "
        "[not-loaded]",
        "  fix: make 'team' importable for that interpreter, such as by PYTHONPATH",
        "shop_late.py: error: planned but not so: 'a' before 'b' [verify-order]",
        "  fix: does a template override the block `edges`, or is the file out of date? "
        "`dagforge create --check` says so",
        "shop_left.py: error: planned but not there: 'b' [verify-tasks]",
        "  fix: does a template leave tasks out, or is the file out of date? "
        "`dagforge create --check` says so",
    ]


def test_another_version_is_told(tmp_path: Path) -> None:
    arguments = ["create", "--all", "--airflow-version", "2.11", "-o", "airflow-2.11"]
    found = run_cases.built("versions", arguments)
    shutil.copytree(CASES / "versions/expected/airflow-2.11", tmp_path / "dags")
    python = python_of("airflow-2.10")
    verified = verify(found.dags, tmp_path / "dags", found.target, python=python)
    first = str(verified.warnings[0]).splitlines()[0]
    assert first.startswith("warning: the files are for Airflow 2.11, but ")
    assert first.endswith(" has 2.10.5 [other-version]")
