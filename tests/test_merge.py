"""Branches that change the same DAG: git merges the definitions, `create` makes the rest again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.git import Repository, make_repository
from tests.projects import AIRFLOW, PIPELINES, run, write_project

ETL = """\
etl:
  nodes:
    - {name: load, func: "team.etl:load", outputs: raw}

    - {name: clean, func: "team.etl:clean", inputs: raw, outputs: tidy}

    - {name: save, func: "team.etl:save", inputs: tidy}
"""
FILES = {"dagforge.toml": 'project = "shop"\n', PIPELINES: ETL, AIRFLOW: "default: {owner: us}\n"}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A project whose DAG is committed; the working directory."""
    made = make_repository(tmp_path / "repository")
    monkeypatch.chdir(made.root)
    write_project(made.root, FILES)
    assert run("create").code == 0
    made.commit()
    return made


def branch(repository: Repository, name: str, *changes: tuple[str, str, str]) -> None:
    """Commit changes of files, and the DAG that they give, on a branch off main."""
    repository.git("checkout", "-q", "-b", name, "main")
    for file, old, new in changes:
        path = repository.root / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
    assert run("create").code == 0
    repository.commit(name)


def node(name: str, settings: str) -> tuple[str, str, str]:
    """Return the change that gives a node settings."""
    return PIPELINES, f"- {{name: {name},", f"- {{name: {name}, settings: {settings},"


def dag(repository: Repository) -> str:
    return (repository.root / "dags/shop_etl.py").read_text()


@pytest.mark.parametrize("style", ["merge", "diff3", "zdiff3"])
@pytest.mark.parametrize("way", [["merge", "two"], ["rebase", "two"], ["cherry-pick", "two"]])
def test_two_branches_that_each_change_a_task(
    way: Sequence[str], style: str, repository: Repository
) -> None:
    repository.git("config", "merge.conflictStyle", style)
    branch(repository, "two", node("save", "{retries: 7}"))
    branch(repository, "one", node("load", "{pool: slow}"))
    repository.git(*way, code=1)
    # The definitions were merged; in the DAG both have changed the header's hash.
    assert repository.git("diff", "--name-only", "--diff-filter=U") == "dags/shop_etl.py\n"
    assert "<<<<<<< " in dag(repository)
    checked = run("create", "--check")
    assert checked.code == 3
    assert checked.err.startswith(
        "dags/shop_etl.py: error: git could not merge this file [merge-conflict]\n"
        "  fix: run 'dagforge create --pipeline etl --target airflow --airflow-version 3.3'\n"
    )

    made = run("create")
    assert made.code == 0
    assert made.out == "updated    dags/shop_etl.py  (3 tasks)\n"
    assert (
        "dags/shop_etl.py: warning: git could not merge this file, and it is made again "
        "[merge-conflict]\n  fix: merged are its definition and settings; "
        "`git add dags/shop_etl.py`"
    ) in made.err
    assert 'pool="slow"' in dag(repository)
    assert "retries=7" in dag(repository)
    assert run("create", "--check").code == 0
    repository.git("add", "dags")
    repository.git("-c", "core.editor=true", way[0], "--continue")
    assert repository.git("status", "--porcelain") == ""
    assert run("create", "--check").out == "unchanged  1 file\n"


def test_a_change_of_what_is_in_the_header_too(repository: Repository) -> None:
    branch(repository, "two", (PIPELINES, "tidy}\n", "tidy, tags: [b]}\n"), (
        "dagforge.toml", '"shop"\n', '"shop"\nairflow-version = "3.1"\n'))  # fmt: skip
    branch(repository, "one", (PIPELINES, "name: load,", "name: fetch,"))
    repository.git("merge", "two", code=1)
    assert run("create", "--accept-renames").code == 0
    assert run("create", "--check").code == 0


def test_definitions_that_git_cannot_merge_are_told_and_nothing_is_written(
    repository: Repository,
) -> None:
    branch(repository, "two", node("load", "{retries: 7}"))
    branch(repository, "one", node("load", "{retries: 3}"))
    repository.git("merge", "two", code=1)
    before = dag(repository)
    ran = run("create")
    assert ran.code == 1
    assert ran.err == (
        "conf/base/pipelines.yml:3:1: error: git could not merge this file: both versions stand "
        "here [merge-conflict]\n"
        "  fix: keep one of them, or both, and remove the lines <<<<<<<, ======= and >>>>>>>\n"
    )
    assert dag(repository) == before
    repository.git("checkout", "--theirs", PIPELINES)
    assert run("create").code == 0
    assert "retries=7" in dag(repository)


def test_branches_that_change_different_dags_meet_nowhere(repository: Repository) -> None:
    write_project(repository.root, {**FILES, PIPELINES: ETL + ETL.replace("etl:\n", "more:\n", 1)})
    run("create")
    repository.commit()
    branch(repository, "two", (AIRFLOW, "us}\n", "us}\n\n\nmore: {retries: 7}\n"))
    branch(repository, "one", (AIRFLOW, "default:", "etl: {retries: 3}\n\ndefault:"))
    repository.git("merge", "two")
    assert run("create", "--check").out == "unchanged  2 files\n"


def test_an_edit_is_still_an_edit(repository: Repository) -> None:
    path = repository.root / "dags/shop_etl.py"
    text = path.read_text().replace('"owner": "us"', '"owner": "me"')
    # Marks of a conflict in text are no conflict.
    path.write_text(text.replace('"""shop-etl: etl.', '"""\n<<<<<<< a\n=======\n>>>>>>> b'))
    ran = run("create")
    assert ran.code == 1
    assert "[edited-file]" in ran.err
    assert run("create", "--check").err.startswith("dags/shop_etl.py: error: this file was edited")


def test_an_edit_shows_in_the_diff_of_a_check(repository: Repository) -> None:
    path = repository.root / "dags/shop_etl.py"
    path.write_text(path.read_text().replace('"owner": "us"', '"owner": "me"'))
    ran = run("create", "--check")
    assert ran.code == 3
    assert '-    default_args={"owner": "me"},\n+    default_args={"owner": "us"},\n' in ran.out
    (repository.root / "check.diff").write_text(ran.out)
    repository.git("apply", "check.diff")
    assert run("create", "--check").code == 0


def test_a_file_without_a_pipeline_shows_in_the_diff_of_a_check(repository: Repository) -> None:
    write_project(repository.root, {**FILES, PIPELINES: ETL.replace("etl:", "other:", 1)})
    ran = run("create", "--check")
    assert ran.code == 3
    assert "--- a/dags/shop_etl.py\n+++ /dev/null\n" in ran.out
    (repository.root / "check.diff").write_text(ran.out)
    repository.git("apply", "check.diff")
    assert run("create", "--check").code == 0
