"""`dagforge verify`: which files it looks at, and the plan that each of them is held against."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from dagforge.planning.model import DagPlan
from dagforge.target import Target
from dagforge.verify import Verified, file_of
from tests.projects import PIPELINES, run, write_project

FILES = {
    "dagforge.toml": 'project = "shop"\n',
    PIPELINES: """
        __default__: {include: [etl, ml]}
        etl:
          nodes:
            - {name: load, func: "team.etl:load", outputs: raw}
            - {name: clean, func: "team.etl:clean", inputs: raw, outputs: tidy}
        ml: {nodes: [{name: fit, func: "team.ml:fit", inputs: tidy}]}
        """,
    "conf/base/catalog.yml": "tidy: {type: pandas.CSVDataset, filepath: tidy.csv}",
    "conf/base/airflow.yml": "default: {image: 'repo/x:1', namespace: jobs}",
    "conf/prod/airflow.yml": "etl: {grouping: none, retries: 3}",
}
pytestmark = pytest.mark.usefixtures("root")
TEMPLATE = """\
from airflow import DAG
with DAG(dag_id="{{ dag_name }}"):
    pass
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory of the test, a project."""
    folder = tmp_path / "shop"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return write_project(folder, FILES)


Looked = list[tuple[str, dict[str, int]]]


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> Looked:
    """Return what is verified: by target, the number of tasks that each file must have."""
    found: Looked = []

    def verify(dags: Sequence[DagPlan], output: Path, target: Target, *, python: Path) -> Verified:
        assert python == Path(sys.executable)
        files = {file_of(dag, target): len(dag.tasks) for dag in dags}
        assert all((output / name).is_file() for name in files)
        found.append((f"{target.name} {target.version}", files))
        return Verified(f"loaded for {target.name}")

    monkeypatch.setattr("dagforge.verify.verify", verify)
    return found


def create(*words: str) -> None:
    ran = run("create", "-q", *words)
    assert ran.code == 0, ran.err


def test_what_create_wrote_without_options(looked: Looked) -> None:
    create()
    assert run("verify").code == 0
    assert looked == [("airflow 3.3", {"shop.py": 3})]


def test_each_file_is_held_against_what_its_own_command_gives(looked: Looked) -> None:
    create("-p", "etl,ml")
    create("--airflow-version", "2.11")
    create("-p", "etl", "--env", "prod", "--dag-id", "every", "--target", "airflow-k8s")
    create("-p", "etl", "--nodes", "load", "--dag-id", "one", "--target", "prefect")
    ran = run("verify")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "loaded for airflow-k8s",
        "loaded for prefect",
        "loaded for airflow",
        "loaded for airflow",
    ]
    assert looked == [
        ("airflow-k8s 3.3", {"every.py": 2}),
        ("prefect 3", {"one.py": 1}),
        ("airflow 2.11", {"shop.py": 3}),
        ("airflow 3.3", {"shop_etl.py": 2, "shop_ml.py": 1}),
    ]


def test_one_build_serves_files_that_were_made_alike(looked: Looked) -> None:
    create("--all")
    ran = run("verify", "-v")
    assert len(ran.err.splitlines()) == 1, "each build says what it is about"
    assert looked == [("airflow 3.3", {"shop.py": 3, "shop_etl.py": 2, "shop_ml.py": 1})]


def test_options_choose_files(looked: Looked) -> None:
    create("--all")
    create("-p", "etl", "--env", "prod", "--dag-id", "prod")
    create("-p", "ml", "--target", "prefect", "--dag-id", "flow")
    create("-p", "ml", "--airflow-version", "2.11", "--dag-id", "old")
    for words in ("-p ml --target airflow", "--env prod", "--target prefect", "-p etl --env base"):
        assert run("verify", *words.split()).code == 0
    assert run("verify", "--airflow-version", "2.11").code == 0
    assert [[*files] for _, files in looked] == [
        ["old.py"],
        ["shop_ml.py"],
        ["prod.py"],
        ["flow.py"],
        ["shop_etl.py"],
        ["old.py"],
    ]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("-p ml", 4, "error: there is no file of pipeline 'ml' in dags [not-written]\n"
                     "  fix: write it with `dagforge create -p ml`\n"),
        ("--all", 4, "error: there is no file of pipeline 'ml' in dags [not-written]\n"
                     "  fix: write it with `dagforge create -p ml`\n"),
        ("-p mll", 2, "error: there is no pipeline 'mll' [unknown-pipeline]\n"
                      "  fix: did you mean 'ml'?\n"),
        ("--target prefect", 4,
         "error: there is no file of project 'shop' made with --target prefect in dags "
         "[not-written]\n  fix: write them with `dagforge create`\n"),
        ("-p etl --airflow-version 2.11", 4,
         "error: there is no file of pipeline 'etl' made with --airflow-version 2.11 in dags "
         "[not-written]\n  fix: write it with `dagforge create -p etl`\n"),
        ("elsewhere", 4,
         "error: there is no file of project 'shop' in elsewhere [not-written]\n"
         "  fix: write them with `dagforge create`\n"),
    ],
)  # fmt: skip
def test_what_is_not_there(looked: Looked, words: str, code: int, says: str) -> None:
    create("-p", "__default__,etl")
    ran = run("verify", *words.split())
    assert (ran.code, ran.out, ran.err) == (code, "", says)
    assert looked == []


def test_files_of_others_are_left_alone(root: Path, looked: Looked) -> None:
    create()
    other = (root / "dags/shop.py").read_text().replace("project   shop", "project   bank")
    (root / "dags/bank.py").write_text(other)
    (root / "dags/own.py").write_text("# written by hand\n")
    (root / "dags/latin.py").write_bytes(b"# \xe9\n")
    (root / "dags/folder.py").mkdir()
    assert run("verify").code == 0
    assert looked == [("airflow 3.3", {"shop.py": 3})]


def test_a_template_of_kedro_airflow_from_another_folder(
    root: Path, looked: Looked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "my.j2").write_text(TEMPLATE)
    create("-p", "etl", "-j", "my.j2")
    monkeypatch.chdir(tmp_path)
    assert run("verify", "--project", "shop").code == 0
    assert looked == [("airflow 3.3", {"shop_etl.py": 2})]
    (root / "my.j2").unlink()
    ran = run("verify", "--project", "shop")
    assert ran.code == 4
    assert ran.err.startswith("shop/dags/shop_etl.py: error: its header does not say what it was ")
    assert "my.j2' does not exist" in ran.err


def test_files_that_no_pipeline_writes_any_more(root: Path, looked: Looked) -> None:
    create("--all")
    (root / PIPELINES).write_text('etl: {nodes: [{name: load, func: "team.etl:load"}]}\n')
    (root / "dags/copy.py").write_text((root / "dags/shop_etl.py").read_text())
    ran = run("verify")
    assert ran.code == 0
    fix = "\n  fix: delete it, or compile all pipelines with --prune\n"
    assert ran.err == (
        "dags/shop.py: warning: this file is left over from pipeline '__default__', which no "
        f"longer exists [left-over]{fix}"
        "dags/shop_ml.py: warning: this file is left over from pipeline 'ml', which no longer "
        f"exists [left-over]{fix}"
        "dags/copy.py: warning: this file is left over: its command writes 'shop_etl.py' now, and "
        f"both would be loaded [left-over]{fix}"
        "3 warnings\n"
    )
    assert looked == [("airflow 3.3", {"shop_etl.py": 1})]
    (root / "dags/shop_etl.py").unlink()
    (root / "dags/copy.py").unlink()
    assert run("verify").code == 4


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("#   pipeline", "#   pipelin ", "a line is missing or cannot be read"),
        ("--pipeline", "--pipelin", "No such option"),
        ("dagforge create", "rm -rf", "it is no `dagforge create`"),
        ("--pipeline __default__", "--pipeline 'a", "No closing quotation"),
        ("--airflow-version 3.3", "--params x", "'x' is no key=value"),
    ],
)
def test_a_header_that_says_nothing(
    root: Path, looked: Looked, old: str, new: str, why: str
) -> None:
    create()
    file = root / "dags/shop.py"
    text = file.read_text()
    file.write_text(text.replace(old, new, 1))
    ran = run("verify")
    assert ran.code == 4
    assert ran.err.startswith("dags/shop.py: error: its header does not say what it was made from")
    assert why in ran.err
    assert "[bad-header]\n  fix: make it again with `dagforge create`\n" in ran.err
    assert looked == []


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("--airflow-version 3.3", "--airflow-version 3.9", "DagForge does not write for Airflow"),
        ("--target airflow ", "--target acme ", "there is no target 'acme'"),
        ("env       -", "env       test", "there is no environment 'test'"),
    ],
)
def test_a_command_that_works_no_more(
    root: Path, looked: Looked, old: str, new: str, why: str
) -> None:
    create()
    file = root / "dags/shop.py"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    ran = run("verify")
    assert ran.code == 4
    start = "dags/shop.py: error: the command in its header does not work any more: "
    assert ran.err.startswith(start + why)
    assert "[bad-header]\n  fix: make it again with `dagforge create`, or delete it\n" in ran.err
    assert looked == []


def test_files_that_cannot_be_read(root: Path, looked: Looked) -> None:
    create()
    (root / "dags/other.py").symlink_to("/proc/self/mem")  # refused to root too
    ran = run("verify")
    assert (ran.code, looked) == (4, [])
    assert ran.err.startswith("dags/other.py: error: cannot be read: ")


def test_headers_hold_what_is_not_the_projects_own(root: Path, looked: Looked) -> None:
    write_project(root, {"dagforge.toml": 'project = "shop"\nenv = "prod"\n'})
    (root / "other").mkdir()
    (root / "conf").rename(root / "settings")
    create("-p", "etl", "--conf", "settings", "--env", "base")
    text = (root / "dags/shop_etl.py").read_text()
    assert (
        "dagforge create --pipeline etl --conf settings --env base --target airflow "
        "--airflow-version 3.3\n"
    ) in text
    assert run("verify").code == 0
    assert looked == [("airflow 3.3", {"shop_etl.py": 2})]


def test_the_command_of_a_part_makes_it_again(root: Path) -> None:
    create("-p", "etl", "--nodes", "load", "--dag-id", "one")
    text = (root / "dags/one.py").read_text()
    assert "--nodes load --params 'dag_id=\"one\"'\n" in text
    assert run("create", "-p", "etl", "--nodes", "load", "--params", 'dag_id="one"').out == (
        "unchanged  1 file\n"
    )
