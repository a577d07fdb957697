"""What CI runs: the action, the hooks, and the snippets of docs/ci.md, by their own commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.actions import run_action
from tests.docs_pages import PROJECT
from tests.git import ENVIRONMENT, make_repository
from tests.projects import AIRFLOW, PIPELINES, run, write_project

SNIPPETS = re.findall(
    r"^```yaml\n(.*?)^```$", (PROJECT / "docs/ci.md").read_text(encoding="utf-8"), re.M | re.S
)
WRONG = {AIRFLOW: "default: {retries: many}\n"}
FACTS = {
    "dagforge.toml": 'project = "shop"\n',
    ".gitignore": ".dagforge/\n",
    PIPELINES: """\
        etl:
          nodes:
            - {name: load, func: "team.etl:load", outputs: raw}
            - {name: clean, func: "team.etl:clean", inputs: raw, outputs: tidy}
        """,
}


def schema_of(snippet: str) -> str | None:
    """Return which of check-jsonschema's schemas a snippet is for."""
    keys = yaml.safe_load(snippet).keys()
    if "jobs" in keys:
        return "github-workflows"
    if "steps" in keys:
        return "cloudbuild"
    return None if "repos" in keys else "gitlab-ci"


def program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def check_schema(schema: str, path: Path) -> None:
    command = [program("check-jsonschema"), "--builtin-schema", f"vendor.{schema}", str(path)]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_action_is_one() -> None:
    check_schema("github-actions", PROJECT / "action.yml")


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_snippets_are_what_they_are_for(number: int, tmp_path: Path) -> None:
    schema = schema_of(SNIPPETS[number])
    path = tmp_path / "snippet.yml"
    path.write_text(SNIPPETS[number])
    if schema is not None:
        check_schema(schema, path)
    else:
        subprocess.run([program("pre-commit"), "validate-config", str(path)], check=True)


def test_there_is_a_snippet_of_each_kind() -> None:
    kinds = [schema_of(snippet) for snippet in SNIPPETS]
    assert sorted(set(map(str, kinds))) == ["None", "cloudbuild", "github-workflows", "gitlab-ci"]


def scripts(value: Any) -> list[str]:
    """Return the lines that a snippet runs."""
    if isinstance(value, str):
        return [line.strip() for line in value.splitlines()]
    if isinstance(value, Mapping):
        return [line for inner in value.values() for line in scripts(inner)]
    return [line for inner in value for line in scripts(inner)] if isinstance(value, list) else []


def test_commands_of_the_snippets_pass_where_files_are_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_repository(tmp_path / "repository")
    write_project(made.root, FACTS)
    monkeypatch.chdir(made.root)
    assert run("create").code == 0
    made.commit()
    made.git("update-ref", "refs/remotes/origin/main", "main")
    lines = [line for snippet in SNIPPETS for line in scripts(yaml.safe_load(snippet))]
    tried = [line for line in lines if re.match("dagforge (?!verify)", line)]
    assert len(tried) == 9
    environment = {
        **ENVIRONMENT,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_BASE_REF": "main",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }
    for command in dict.fromkeys(tried):
        subprocess.run(["bash", "-e", "-c", command], cwd=made.root, env=environment, check=True)
    assert (tmp_path / "summary.md").read_text().startswith("### DAGs: ")
    assert '"results": []' in (made.root / "dagforge.sarif").read_text()


# --- the action


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a project in the folder `shop`, its DAG committed."""
    made = make_repository(tmp_path / "repository")
    root = write_project(made.root / "shop", FACTS)
    assert run("create", "--project", str(root)).code == 0
    made.commit()
    return made.root


def test_the_action_passes_where_files_are_up_to_date(repository: Path, tmp_path: Path) -> None:
    done = run_action(repository, tmp_path, project="shop", arguments="--all --env base")
    assert [(name, code) for name, code, _ in done] == [
        ("Are the definitions right?", 0),
        ("Are the files what they give?", 0),
    ]


def test_the_action_says_where_in_the_repository_something_is_wrong(
    repository: Path, tmp_path: Path
) -> None:
    write_project(repository / "shop", {**FACTS, **WRONG})
    ((name, code, said),) = run_action(repository, tmp_path, project="shop")
    assert (name, code) == ("Are the definitions right?", 1)
    assert said.startswith("::error file=shop/conf/base/airflow.yml,line=1,col=20,title=wrong-type")


def test_the_action_shows_what_is_not_up_to_date(repository: Path, tmp_path: Path) -> None:
    (repository / "shop" / AIRFLOW).write_text("default: {retries: 7}\n")
    *_, (_, code, said) = run_action(repository, tmp_path, project="shop")
    assert code == 3
    begin, *diff, end, error = said.splitlines()
    assert begin.replace("stop-commands::", "") + "::" == end
    assert diff[:2] == ["--- a/dags/shop_etl.py", "+++ b/dags/shop_etl.py"]
    assert error.startswith("::error file=shop/dags/shop_etl.py,title=stale-file::this file is not")


def test_nothing_in_a_diff_is_a_command(repository: Path, tmp_path: Path) -> None:
    etl = (repository / "shop" / PIPELINES).read_text()
    described = etl.replace("etl:", "etl:\n  description: |\n    One.\n\n    ::error::no\n", 1)
    (repository / "shop" / PIPELINES).write_text(described)
    *_, (_, code, said) = run_action(repository, tmp_path, project="shop")
    assert code == 3
    assert "\n+::error::no\n" in said
    (token,) = re.findall(r"^::stop-commands::(\w+)$", said, re.M)
    # The runner looks for commands behind blanks too; between these two lines it does not.
    assert said.index(token) < said.index("::error::no") < said.rindex(f"::{token}::")


def test_warnings_may_pass(repository: Path, tmp_path: Path) -> None:
    # Its nodes have a machine, which tasks of a worker do not.
    write_project(repository / "shop", {"dagforge.toml": FACTS["dagforge.toml"]})
    assert "warning" in run("create", "--project", str(repository / "shop")).err
    strict = run_action(repository, tmp_path, project="shop")
    lenient = run_action(repository, tmp_path, project="shop", strict="false")
    assert (strict[-1][1], lenient[-1][1]) == (1, 0)


# --- the hooks


HOOKS = yaml.safe_load((PROJECT / ".pre-commit-hooks.yaml").read_text())


def test_the_hooks_are_hooks() -> None:
    manifest = str(PROJECT / ".pre-commit-hooks.yaml")
    subprocess.run([program("pre-commit"), "validate-manifest", manifest], check=True)


def commit_with(hook: str, repository: Path, home: Path) -> tuple[int, str]:
    """Return how a commit goes with a hook, run by the real pre-commit."""
    entry = next(each for each in HOOKS if each["id"] == hook)
    # What pre-commit would install for the hook is here already.
    local = {**entry, "language": "system", "args": ["--project", "shop"]}
    config = yaml.safe_dump({"repos": [{"repo": "local", "hooks": [local]}]})
    (repository / ".pre-commit-config.yaml").write_text(config)
    environment = {
        **ENVIRONMENT,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PRE_COMMIT_HOME": str(home),
    }

    def git(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["git", *arguments]
        return subprocess.run(
            command, cwd=repository, env=environment, capture_output=True, text=True
        )

    installed = [program("pre-commit"), "install"]
    subprocess.run(installed, cwd=repository, env=environment, check=True, capture_output=True)
    git("add", "-A")
    done = git("commit", "-m", "work")
    return done.returncode, done.stdout + done.stderr


def test_the_hook_fails_with_a_diff(repository: Path, tmp_path: Path) -> None:
    (repository / "shop" / AIRFLOW).write_text("default: {retries: 7}\n")
    code, said = commit_with("dagforge-check", repository, tmp_path / "home")
    assert (code, "DAG files are up to date" in said) == (1, True)
    assert '+    default_args={"retries": 7},' in said
    assert "[stale-file]" in said
    run("create", "--project", str(repository / "shop"))
    code, said = commit_with("dagforge-check", repository, tmp_path / "home")
    assert (code, "Passed" in said) == (0, True)


def test_the_hook_that_makes_the_files(repository: Path, tmp_path: Path) -> None:
    (repository / "shop" / AIRFLOW).write_text("default: {retries: 7}\n")
    code, said = commit_with("dagforge-create", repository, tmp_path / "home")
    assert (code, "files were modified by this hook" in said) == (1, True)
    code, said = commit_with("dagforge-create", repository, tmp_path / "home")
    assert (code, "Passed" in said) == (0, True)


def test_the_hook_that_validates(repository: Path, tmp_path: Path) -> None:
    write_project(repository / "shop", {**FACTS, **WRONG})
    code, said = commit_with("dagforge-validate", repository, tmp_path / "home")
    assert (code, "[wrong-type]" in said) == (1, True)


def test_a_commit_of_something_else_runs_no_hook(repository: Path, tmp_path: Path) -> None:
    (repository / "notes.txt").write_text("a\n")
    code, said = commit_with("dagforge-check", repository, tmp_path / "home")
    assert (code, "(no files to check)Skipped" in said) == (0, True)
