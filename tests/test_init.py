"""`dagforge init`: a project that compiles, and nothing of anybody's lost."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from dagforge.cli import invoke
from dagforge.cli.program import cli
from dagforge.commands.examples import files_of, names
from dagforge.commands.init import init_project
from dagforge.errors import OutputError
from dagforge.reading.project import read_project
from dagforge.resources import demo_conf_dir, demo_dir, examples_dir


def content_of(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, and every folder, as what it holds."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b"(folder)"
        for path in folder.rglob("*")
    }


def test_a_new_project_compiles_and_is_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    invoke(["init", "my shop"])
    monkeypatch.chdir("my shop")
    invoke(["validate", "--strict"])
    invoke(["create", "--all"])
    invoke(["create", "--all", "--check"])
    assert sorted(path.name for path in Path("dags").glob("*.py")) == [
        "my_shop.py",
        "my_shop_data_processing.py",
        "my_shop_data_science.py",
    ]


def test_every_file_of_the_demo_is_there(tmp_path: Path) -> None:
    statuses = init_project(tmp_path / "shop", force=False)
    assert {status for status, _ in statuses} == {"created"}
    made = {path.relative_to(tmp_path / "shop").as_posix() for _, path in statuses}
    demo = demo_conf_dir()
    code = {file.relative_to(demo_dir()).as_posix() for file in demo_dir().rglob("*.py")}
    assert code >= {"make_data.py", "src/spaceflights/nodes.py"}
    assert made == {"dagforge.toml", ".gitattributes", *code} | {
        f"conf/{file.relative_to(demo).as_posix()}" for file in demo.rglob("*.yml")
    }
    found = content_of(tmp_path / "shop")
    assert {name for name, text in found.items() if text != b"(folder)"} == made
    attributes = (tmp_path / "shop" / ".gitattributes").read_text()
    assert attributes == "dags/*.py eol=lf linguist-generated\n"


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("shop", "shop"),
        ("My Shop (2)", "my-shop-2"),
        ("Käsewürste", "kasewurste"),
        ("プロジェクト", "puroziekuto"),
        ("'\"\\n{name}", "n-name"),
        ("!!!", "project"),
    ],
)
def test_the_folder_names_the_project(tmp_path: Path, folder: str, name: str) -> None:
    init_project(tmp_path / folder, force=False)
    assert read_project(tmp_path / folder).name == name


def test_the_commented_facts_are_facts(tmp_path: Path) -> None:
    init_project(tmp_path, force=False)
    facts = tmp_path / "dagforge.toml"
    lines = facts.read_text(encoding="utf-8").splitlines()
    assert sum(" = " in line and line.startswith("# ") for line in lines) == 8
    facts.write_text(
        "\n".join(line.removeprefix("# ") if " = " in line else line for line in lines),
        encoding="utf-8",
    )
    project = read_project(tmp_path)
    assert (project.target, project.airflow_version) == ("airflow-k8s", "3.3")
    assert project.inputs == ("IMAGE_TAG",)
    assert project.deploy == {"url": "gs://bucket/dags"}


def test_facts_in_pyproject_are_enough(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.dagforge]\nproject = "x"\n')
    init_project(tmp_path, force=False)
    assert not (tmp_path / "dagforge.toml").exists()
    assert read_project(tmp_path).name == "x"


def test_twice_changes_nothing(tmp_path: Path) -> None:
    init_project(tmp_path, force=False)
    before = content_of(tmp_path)
    assert {status for status, _ in init_project(tmp_path, force=False)} == {"unchanged"}
    assert content_of(tmp_path) == before


def test_git_attributes_are_added_to(tmp_path: Path) -> None:
    (tmp_path / ".gitattributes").write_bytes(b"* text=auto")
    assert ("changed", tmp_path / ".gitattributes") in init_project(tmp_path, force=False)
    assert (tmp_path / ".gitattributes").read_bytes() == (
        b"* text=auto\ndags/*.py eol=lf linguist-generated\n"
    )


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    mine = tmp_path / "conf" / "base" / "pipelines.yml"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine: {}\n")
    (tmp_path / "dagforge.toml").write_text('project = "mine"\n')
    before = content_of(tmp_path)
    with pytest.raises(OutputError) as caught:
        init_project(tmp_path, force=False)
    assert str(caught.value) == (
        f"{mine.as_posix()}: error: this file exists and holds something else [file-exists]\n"
        "  fix: --force overwrites it\n"
        f"{tmp_path.as_posix()}/dagforge.toml: error: this file exists and holds something else "
        "[file-exists]\n"
        "  fix: --force overwrites it"
    )
    assert content_of(tmp_path) == before
    assert ("changed", mine) in init_project(tmp_path, force=True)
    assert mine.read_bytes() == (demo_conf_dir() / "base" / "pipelines.yml").read_bytes()


@pytest.mark.parametrize(
    ("path", "is_folder", "message"),
    [
        ("conf", False, "a folder is needed here, but this is a file"),
        ("conf/base", False, "a folder is needed here, but this is a file"),
        ("dagforge.toml", True, "a file is to be written here, but this is a folder"),
    ],
)
def test_something_in_the_way(tmp_path: Path, path: str, is_folder: bool, message: str) -> None:
    blocking = tmp_path / path
    blocking.parent.mkdir(exist_ok=True)
    if is_folder:
        blocking.mkdir()
    else:
        blocking.write_text("")
    before = content_of(tmp_path)
    with pytest.raises(OutputError) as caught:
        init_project(tmp_path, force=True)
    assert {str(problem) for problem in caught.value.problems} == {
        f"{blocking.as_posix()}: error: {message} [file-in-the-way]\n"
        "  fix: move it away, or choose another folder"
    }
    assert content_of(tmp_path) == before


@pytest.mark.parametrize("failing", range(1, 10))
def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    (tmp_path / ".gitattributes").write_bytes(b"# mine\n")
    before = content_of(tmp_path)
    fdopen, calls = os.fdopen, []

    def full(descriptor: int, mode: str) -> object:
        calls.append(descriptor)
        if len(calls) == failing:
            os.close(descriptor)
            raise OSError(28, "No space left on device")
        return fdopen(descriptor, mode)

    monkeypatch.setattr("dagforge.output.new_files.os.fdopen", full)
    with pytest.raises(OutputError) as caught:
        init_project(tmp_path, force=False)
    assert "cannot be written: No space left on device; nothing was changed [output]" in str(
        caught.value
    )
    assert content_of(tmp_path) == before


@pytest.mark.parametrize("failing", range(1, 10))
def test_a_rename_that_fails_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    (tmp_path / ".gitattributes").write_bytes(b"# mine\n")
    before = content_of(tmp_path)
    replace, calls = Path.replace, []

    def refuse(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == failing:
            raise PermissionError(13, "Permission denied")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OutputError, match="Permission denied; nothing was changed"):
        init_project(tmp_path, force=False)
    assert content_of(tmp_path) == before


# --- examples

EXAMPLES = ["absenteeism", "churn", "kedro-spaceflights", "resnet", "spaceflights"]


def test_help_names_every_example() -> None:
    assert names() == EXAMPLES
    shown = CliRunner().invoke(cli, ["init", "--help"])
    listed = [line.split()[0] for line in shown.output.splitlines() if line.startswith("  ")]
    assert set(EXAMPLES) <= set(listed)


@pytest.mark.parametrize("example", [name for name in EXAMPLES if name != "spaceflights"])
def test_a_project_from_an_example(tmp_path: Path, example: str) -> None:
    statuses = init_project(tmp_path / "new", force=False, example=example)
    assert {status for status, _ in statuses} == {"created"}
    made = {path.relative_to(tmp_path / "new").as_posix() for _, path in statuses}
    assert {"README.md", ".gitignore", ".gitattributes", "conf/base/airflow.yml"} <= made
    assert len((tmp_path / "new/README.md").read_text(encoding="utf-8").splitlines()) < 60


def test_what_runs_leave_is_no_part_of_an_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = shutil.copytree(
        examples_dir(), tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.setattr("dagforge.commands.examples.examples_dir", lambda: copied)
    before = {name: files_of(name) for name in EXAMPLES if name != "spaceflights"}
    for name, left in [
        ("churn", "dags/customers_churn.py"),
        ("churn", ".dagforge/store/x/data.json"),
        ("churn", "data/predictions.csv"),
        ("absenteeism", "src/absenteeism/__pycache__/train.cpython-311.pyc"),
        ("kedro-spaceflights", "data/02_intermediate/companies.parquet"),
        ("kedro-spaceflights", "conf/local/credentials.yml"),
        ("resnet", "data/candidate.joblib"),
        ("resnet", "flows/images_training.py"),
    ]:
        path = copied / name / left
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    assert {name: files_of(name) for name in before} == before
    kedro = {str(path) for path in before["kedro-spaceflights"]}
    assert {"data/01_raw/shuttles.xlsx", "conf/local/.gitkeep"} <= kedro


def test_an_example_in_a_project_with_facts_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.dagforge]\nproject = "x"\n')
    init_project(tmp_path, force=False, example="churn")
    assert not (tmp_path / "dagforge.toml").exists()
    assert read_project(tmp_path).name == "x"
