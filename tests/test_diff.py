"""`dagforge diff`: what it says of a change, between real commits, checkouts and files.

`tests/diff/<case>/` holds a project `before` (which is committed) and `after`, or `after` alone and
the options in `command`; `expected.txt`, `.md` and `.json` are what the command prints.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagforge.compare.changes import compare
from dagforge.compare.moves import used_in
from dagforge.compare.outline import DagOutline, NodeOutline, TaskOutline
from tests.git_projects import commit, git
from tests.projects import AIRFLOW, PIPELINES, run, write_project

CASES = Path(__file__).parent / "diff"
FORMATS = {"text": "txt", "markdown": "md", "json": "json"}
POD = "default: {image: 'shop:1', store_url: 's3://b/s', %s}\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project in a repository with one commit; the working directory."""
    folder = write_project(tmp_path / "shop", {AIRFLOW: POD % "retries: 1"})
    commit(folder)
    monkeypatch.chdir(folder)
    return folder


def said(*arguments: str) -> str:
    """Return what `dagforge diff` prints, which must go well."""
    ran = run("diff", *arguments)
    assert (ran.code, ran.err) == (0, ""), ran
    return ran.out


def data(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said(*arguments, "--format", "json"))
    return found


def test_a_name_is_all_that_differs(root: Path) -> None:
    text = (root / PIPELINES).read_text()
    name = text.partition(":")[0]
    assert "unchanged" in said() and "changed," not in said()
    (root / PIPELINES).write_text(text.replace(f"{name}:", "renamed:", 1))
    assert f"DAG shop-{name} becomes shop-renamed: Airflow takes it for another one" in said()
    assert run("diff", "--exit-code").code == 3
    (root / AIRFLOW).write_text(f"{(root / AIRFLOW).read_text()}renamed: {{dag_id: shop-{name}}}\n")
    assert f"DAG shop-{name} (pipeline renamed, before {name})\n  pipeline {name} -> " in said()
    write_project(root, {PIPELINES: text, AIRFLOW: f"{POD % 'retries: 1'}{name}: {{dag_id: x}}\n"})
    assert f"dag_id shop-{name} -> x\n" in said()


# --- golden


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir()))
def test_what_is_said(
    case: str,
    form: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    root = tmp_path / "shop"
    before, command = CASES / case / "before", CASES / case / "command"
    if before.is_dir():
        shutil.copytree(before, root)
        commit(root)
        shutil.rmtree(root / "conf")
    shutil.copytree(CASES / case / "after", root, dirs_exist_ok=True)
    monkeypatch.chdir(root)
    more = shlex.split(command.read_text(encoding="utf-8")) if command.is_file() else []
    ran = run("diff", "--format", form, "--all", *more)
    assert (ran.code, ran.err) == (0, "")
    expected = CASES / case / f"expected.{FORMATS[form]}"
    if request.config.getoption("--golden"):
        expected.write_text(ran.out, encoding="utf-8", newline="")
    assert ran.out == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_same_under_every_hash_seed(seed: str, tmp_path: Path) -> None:
    root = tmp_path / "shop"
    shutil.copytree(CASES / "a-change/before", root)
    commit(root)
    shutil.rmtree(root / "conf")
    shutil.copytree(CASES / "a-change/after", root, dirs_exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "dagforge", "diff", "--all", "--format", "json"],
        cwd=root,
        env={**os.environ, "PYTHONHASHSEED": seed, "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (CASES / "a-change/expected.json").read_text(encoding="utf-8")


# --- which sides


def test_nothing_differs(root: Path) -> None:
    assert root.is_dir()
    assert said() == "HEAD -> working tree, airflow (Airflow 3.3)\n1 DAG unchanged\n"
    assert run("diff", "--exit-code").code == 0


def retry(root: Path, times: int) -> None:
    (root / AIRFLOW).write_text(POD % f"retries: {times}", encoding="utf-8")


def changed_retries(*arguments: str) -> list[object]:
    """Return old and new value of the only change, which is the same in both tasks."""
    (shared,) = data(*arguments)["shared"]
    assert (shared["key"], shared["count"]) == (["retries"], 2)
    return [shared["old"], shared["new"]]


def test_sides_are_named_as_git_names_them(root: Path) -> None:
    git(root, "checkout", "-q", "-b", "branch")
    retry(root, 2)
    commit(root)
    retry(root, 3)
    assert changed_retries() == [2, 3]
    assert changed_retries("main") == [1, 3]
    assert changed_retries("HEAD~1") == [1, 3]
    assert changed_retries("main..branch") == [1, 2]
    assert changed_retries("main..") == [1, 2]
    assert changed_retries("..main") == [2, 1]
    git(root, "stash", "-q")
    git(root, "checkout", "-q", "main")
    retry(root, 9)
    commit(root)
    git(root, "checkout", "-q", "branch")
    git(root, "stash", "pop", "-q")
    assert changed_retries("main") == [9, 3]
    assert changed_retries("main", "--merge-base") == [1, 3]
    assert changed_retries("main...") == [1, 2]
    assert changed_retries("main...branch") == [1, 2]


def test_exit_code_says_whether_something_differs(root: Path) -> None:
    retry(root, 2)
    assert run("diff").code == 0
    assert run("diff", "--exit-code").code == 3
    assert run("diff", "--exit-code", "--from", "2.11", "--airflow-version", "2.11").code == 0
    moved = run("diff", "--exit-code", "--from", "2.11")
    # Airflow's own defaults are others, but no file leaves them to it.
    assert (moved.code, "same: catchup" in moved.out) == (0, True)


def test_git_and_the_working_tree_are_left_alone(root: Path) -> None:
    retry(root, 2)
    (root / "untracked.txt").write_text("mine")
    git(root, "add", AIRFLOW)
    retry(root, 3)
    before = git(root, "status", "--porcelain=v2"), (root / ".git/index").stat().st_mtime_ns
    assert changed_retries() == [1, 3]
    after = git(root, "status", "--porcelain=v2"), (root / ".git/index").stat().st_mtime_ns
    assert before[0] == after[0]
    assert not (root / ".git/worktrees").exists()


def test_untracked_definitions_are_part_of_the_working_tree(root: Path) -> None:
    more = root / "conf/base/pipelines_more.yml"
    more.write_text('late: {nodes: [{name: only, func: "team.etl:only"}]}\n')
    assert [dag["pipeline"] for dag in data()["added"]] == ["late"]
    more.unlink()
    (root / PIPELINES).write_text('late: {nodes: [{name: only, func: "team.etl:only"}]}\n')
    found = data()
    assert [dag["pipeline"] for dag in found["removed"]] == ["etl"]


def test_a_project_in_a_part_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "all"
    root = write_project(repository / "teams/shop", {AIRFLOW: POD % "retries: 1"})
    (repository / "shared").mkdir()
    (root / "dagforge.toml").write_text('conf = "../../shared/conf"\n')
    shutil.move(root / "conf", repository / "shared/conf")
    commit(repository)
    shared = repository / "shared/conf/base/airflow.yml"
    shared.write_text(POD % "retries: 4", encoding="utf-8")
    monkeypatch.chdir(root)
    assert changed_retries() == [1, 4]
    monkeypatch.chdir(repository)
    assert changed_retries("--project", "teams/shop") == [1, 4]
    shared.write_text("default: {retries: many}\n")
    ran = run("diff", "--project", "teams/shop")
    assert ran.err.startswith("../../shared/conf/base/airflow.yml:1:20: error: ")
    commit(repository)
    shared.write_text(POD % "retries: 4", encoding="utf-8")
    ran = run("diff", "--project", "teams/shop")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("HEAD:shared/conf/base/airflow.yml:1:20: error: ")


def test_a_project_that_was_not_there_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "all"
    repository.mkdir()
    commit(repository)
    root = write_project(repository / "shop", {AIRFLOW: POD % "retries: 1"})
    monkeypatch.chdir(root)
    first = "HEAD has no such project or environment: every DAG is new.\n1 DAG added"
    assert first in said()
    commit(repository)
    (root / "conf/prod").mkdir()
    (root / "conf/prod/airflow.yml").write_text("default: {retries: 2}\n")
    assert first in said("--env", "prod")
    assert "1 DAG unchanged" in said()


def test_both_sides_are_wrong_and_both_are_told(root: Path) -> None:
    (root / AIRFLOW).write_text("default: {retries: many}\n")
    commit(root)
    (root / AIRFLOW).write_text("default:\n  retries: many\n")
    ran = run("diff")
    assert (ran.code, ran.out) == (1, "")
    first, second = (line for line in ran.err.splitlines() if "error:" in line)
    assert first.startswith("conf/base/airflow.yml:2:12: error: ")
    assert second.startswith("HEAD:conf/base/airflow.yml:1:20: error: ")


def test_an_old_side_for_another_dagforge(root: Path) -> None:
    (root / "dagforge.toml").write_text('required-version = "<0.0.1"\n')
    commit(root)
    (root / "dagforge.toml").write_text("")
    retry(root, 2)
    assert changed_retries() == [1, 2]


def test_what_is_not_for_export_is_compared(root: Path) -> None:
    (root / ".gitattributes").write_text("conf/** export-ignore\n")
    commit(root)
    retry(root, 2)
    assert changed_retries() == [1, 2]


def test_a_shallow_clone_says_how_to_get_more(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    retry(root, 2)
    commit(root)
    clone = tmp_path / "clone"
    git(root, "clone", "-q", "--depth", "1", root.as_uri(), str(clone))
    monkeypatch.chdir(clone)
    assert said().endswith("1 DAG unchanged\n")
    ran = run("diff", "HEAD~1")
    assert ran.code == 2
    assert ran.err == (
        "error: git knows no commit 'HEAD~1' here [unknown-revision]\n"
        "  fix: this clone is shallow: git fetch --unshallow, or fetch-depth: 0 for "
        "actions/checkout\n"
    )


def test_configuration_in_a_submodule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf = write_project(tmp_path / "configuration", {"base/airflow.yml": POD % "retries: 1"})
    shutil.move(conf / "conf/base/pipelines.yml", conf / "base/pipelines.yml")
    commit(conf)
    root = tmp_path / "shop"
    root.mkdir()
    commit(root)
    git(root, "submodule", "add", "-q", conf.as_uri(), "conf")
    commit(root)
    monkeypatch.chdir(root)
    (root / AIRFLOW).write_text(POD % "retries: 2", encoding="utf-8")
    assert changed_retries() == [1, 2]
    (root / "conf/.git").unlink()
    ran = run("diff")
    assert ran.code == 2
    assert "HEAD' has the submodule conf at" in ran.err


def test_a_filter_that_fails(root: Path) -> None:
    (root / ".gitattributes").write_text("*.yml filter=broken\n")
    commit(root)
    git(root, "config", "filter.broken.smudge", "false")
    git(root, "config", "filter.broken.required", "true")
    ran = run("diff")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: git cannot write the files of 'HEAD': ")


def test_without_git(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(root, root.parent / "old")
    monkeypatch.setenv("PATH", "/nowhere")
    ran = run("diff")
    assert ran.code == 2
    assert "to compare with (git is not installed) [no-repository]" in ran.err
    assert said("../old").endswith("1 DAG unchanged\n")


def test_another_checkout(root: Path, tmp_path: Path) -> None:
    git(root, "clone", "-q", str(root), str(tmp_path / "other"))
    retry(root, 2)
    assert changed_retries("../other") == [1, 2]
    assert said("../other").startswith("../other -> working tree")
    (tmp_path / "other" / AIRFLOW).write_text("default: {retries: many}\n")
    ran = run("diff", "../other")
    assert ran.err.startswith("../other/conf/base/airflow.yml:1:20: error: ")


def test_outside_of_any_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_project(tmp_path / "shop", {AIRFLOW: POD % "schedule: '@daily'"})
    shutil.copytree(root, tmp_path / "old")
    (root / AIRFLOW).write_text(POD % "schedule: '@hourly'", encoding="utf-8")
    monkeypatch.chdir(root)
    found = said("../old")
    assert "before: first runs: 2023-01-01 00:00, 2023-01-02 00:00, 2023-01-03 00:00 UTC" in found
    assert "now: first runs: 2023-01-01 00:00, 2023-01-01 01:00, 2023-01-01 02:00 UTC" in found
    assert "2027-05-01 10:00" in said("../old", "--now", "2027-05-01T09:30:00Z")
    assert "2027-05-01 08:00" in said("../old", "--now", "2027-05-01T09:30:00+02:00")
    assert "runs" not in said("../old", "--runs", "0")


# --- generated files


def write_files(root: Path, *arguments: str) -> None:
    assert run("create", "--all", "--quiet", *arguments).code == 0
    assert list((root / "dags").glob("*.py"))


def test_generated_files_that_are_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for case in sorted(CASES.iterdir()):
        root = tmp_path / case.name
        shutil.copytree(case / "after", root)
        monkeypatch.chdir(root)
        write_files(root)
        found = data("dags", "--all")
        assert [found[key] for key in ("added", "removed", "changed")] == [[], [], []]
        assert found["same"] > 0


def test_generated_files_tell_what_a_revision_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "shop"
    shutil.copytree(CASES / "a-change/before", root)
    monkeypatch.chdir(root)
    write_files(root)
    shutil.rmtree(root / "conf")
    shutil.copytree(CASES / "a-change/after", root, dirs_exist_ok=True)
    found = data("dags", "--all", "--now", "2026-03-01T12:00:00")
    expected = json.loads((CASES / "a-change/expected.json").read_text(encoding="utf-8"))
    for key in ("added", "removed"):
        ids = [[dag["dag_id"] for dag in each[key]] for each in (found, expected)]
        assert ids[0] == ids[1]
    assert [each["key"] for each in found["shared"]] == [each["key"] for each in expected["shared"]]
    for mine, theirs in zip(found["changed"], expected["changed"], strict=True):
        for key in ("dag_id", "pipeline", "values", "runs", "requests"):
            assert mine[key] == theirs[key], key
    names = {(each["on"], each["name"]) for each in found["broken"]}
    # Which datasets a DAG reads stands in no file.
    assert names == {(each["on"], each["name"]) for each in expected["broken"]} - {
        ("dataset", "table")
    }


def test_generated_files_tell_that_a_task_does_something_else(root: Path) -> None:
    write_files(root)
    pipelines = (root / PIPELINES).read_text(encoding="utf-8")
    (root / PIPELINES).write_text(pipelines.replace("team.etl:clean", "team.etl:tidy"))
    [dag] = data("dags")["changed"]
    [(task_id, [change])] = dag["tasks"]["changed"].items()
    assert (task_id, change["key"]) == ("clean", ["contract"])
    assert change["old"].split("-")[0] == change["new"].split("-")[0]
    assert "task clean: contract " in said("dags")


def test_files_of_others_are_left_out(root: Path) -> None:
    write_files(root)
    (root / "dags/by_hand.py").write_text("import os\n")
    theirs = (
        (root / "dags/shop_etl.py").read_text().replace("#   project   shop", "#   project   x")
    )
    (root / "dags/theirs.py").write_text(theirs)
    assert data("dags")["same"] == 1
    ran = run("diff", "dags", "--target", "airflow-k8s")
    assert (ran.code, "dags: there is no file of project 'shop' for airflow-k8s" in ran.err) == (
        1,
        True,
    )


def test_files_that_cannot_be_read(root: Path) -> None:
    write_files(root)
    file = root / "dags/shop_etl.py"
    file.write_text(file.read_text().replace("with DAG(", "with DAG(("))
    ran = run("diff", "dags")
    assert ran.code == 1
    assert ran.err.startswith("dags/shop_etl.py: error: cannot be read: ")


# --- how much


def many(count: int, retries: str = "1") -> str:
    nodes = (
        f'    - {{name: n{number}, func: "team.etl:n{number}", settings: {{retries: {retries}}}}}\n'
        for number in range(count)
    )
    return f"etl:\n  nodes:\n{''.join(nodes)}"


def test_a_thousand_tasks_change_alike_and_not_alike(root: Path) -> None:
    (root / PIPELINES).write_text(many(1000))
    commit(root)
    (root / PIPELINES).write_text(many(1000, "2"))
    found = said()
    assert "retries 1 -> 2 in 1,000 tasks of shop-etl: n0, n1," in found
    assert found.count("\n") == 5
    each = "\n".join(
        line.replace("retries: 1", f"retries: {number}")
        for number, line in enumerate(many(1000).split("\n"))
    )
    (root / PIPELINES).write_text(each)
    assert "  and 980 more; -v shows all" in said()
    assert said("-v").count("  task n") == 1000
    markdown = said("--format", "markdown", "-v")
    assert len(markdown) < 65_536
    assert len(data()["changed"][0]["tasks"]["changed"]) == 1000
    (root / PIPELINES).write_text("x" + many(2000).replace("name: n", f"name: {'long' * 20}n"))
    markdown = said("--format", "markdown", "-v")
    assert markdown.endswith("_The rest is left out: it would not fit into a comment._\n")
    assert len(markdown) < 65_536


def test_pipelines_that_are_asked_for(root: Path) -> None:
    (root / PIPELINES).write_text('late: {nodes: [{name: only, func: "team.etl:only"}]}\n')
    found = data("-p", "late")
    assert ([dag["pipeline"] for dag in found["added"]], found["removed"]) == (["late"], [])
    found = data("-p", "etl")
    assert (found["added"], [dag["pipeline"] for dag in found["removed"]]) == ([], ["etl"])
    ran = run("diff", "-p", "etl,nope")
    assert ran.code == 2
    assert "error: neither side has a pipeline 'nope' [unknown-pipeline]" in ran.err


def test_catchup_says_how_much_it_catches_up_on(root: Path) -> None:
    daily = "schedule: '@daily', start_date: '2026-02-01', catchup: true"
    (root / AIRFLOW).write_text(POD % daily.replace("true", "false"), encoding="utf-8")
    commit(root)
    (root / AIRFLOW).write_text(POD % daily, encoding="utf-8")
    assert "shop-etl: catchup is on now; catchup starts 29 runs of the past" in said()
    minutes = f"{daily}, dag_id: other".replace("@daily", "* * * * *")
    (root / AIRFLOW).write_text(POD % minutes, encoding="utf-8")
    assert (
        "DAG shop-etl becomes other: Airflow takes it for another one, without history; "
        "catchup starts more than 1,000 runs of the past"
    ) in said()


# --- code that is imported

FLOW = """
import dagforge


@dagforge.node
def rows():
    return [1]


@dagforge.node{options}
def total(rows):
    return sum(rows)


@dagforge.pipeline
def flow():
    total(rows())
"""


def test_each_side_imports_its_own_code(root: Path) -> None:
    (root / PIPELINES).write_text('sums: {python: "sums:flow"}\n')
    (root / "sums.py").write_text(FLOW.format(options=""))
    commit(root)
    (root / "sums.py").write_text(FLOW.format(options='(settings={"retries": 7})'))
    assert changed_value("retries") == [1, 7]
    commit(root)
    assert changed_value("retries", "HEAD~1..HEAD") == [1, 7]
    assert changed_value("retries", "HEAD..HEAD~1") == [7, 1]


def changed_value(key: str, *arguments: str) -> list[object]:
    """Return old and new value of the only change, which is in one task."""
    (dag,) = data(*arguments)["changed"]
    ((change,),) = dag["tasks"]["changed"].values()
    assert change["key"] == [key]
    return [change["old"], change["new"]]


def test_many_pipelines_are_compiled_side_by_side(root: Path) -> None:
    text = "".join(
        f'p{number}: {{nodes: [{{name: n, func: "team.etl:n"}}]}}\n' for number in range(30)
    )
    (root / PIPELINES).write_text(text)
    commit(root)
    retry(root, 2)
    (shared,) = data()["shared"]
    assert (shared["key"], shared["count"], len(shared["tasks"])) == (["retries"], 30, 30)
    (root / AIRFLOW).write_text("default: {retries: few}\n")
    commit(root)
    retry(root, 2)
    ran = run("diff")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("HEAD:conf/base/airflow.yml:1:20: error: 'retries' must be")


# --- comparing


def dag_of(names: Sequence[str], after: Iterable[tuple[str, str]]) -> DagOutline:
    """Return a DAG of tasks that do what their names say behind the first letter."""
    nodes = {name: NodeOutline(name, f"do_{name[1:]}", (), ()) for name in names}
    tasks = {name: TaskOutline(name, (name,), {}, {}) for name in names}
    edges: dict[tuple[str, str], tuple[str, ...]] = dict.fromkeys(sorted(after), ())
    return DagOutline("d", "p", "d.py", None, None, None, False, {}, {}, tasks, nodes, edges)


@given(
    order=st.permutations(range(8)),
    kept=st.sets(st.integers(0, 7)),
    edges=st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7))),
)
def test_tasks_are_found_under_other_names(
    order: list[int], kept: set[int], edges: set[tuple[int, int]]
) -> None:
    def new(number: int) -> str:
        return f"{'a' if number in kept else 'b'}{number}"

    before = dag_of([f"a{n}" for n in range(8)], [(f"a{one}", f"a{two}") for one, two in edges])
    after = dag_of([new(n) for n in order], [(new(one), new(two)) for one, two in edges])
    found = compare([before], [after])
    renamed = {(f"a{n}", f"b{n}") for n in range(8) if n not in kept}
    assert (len(found.dags), bool(found)) == ((1, True) if renamed else (0, False))
    for change in found.dags:
        assert {(pair.old, pair.new) for pair in change.renamed} == renamed
        assert (change.added, change.removed, change.moved) == ((), (), ())
        assert (change.edges, change.tasks, change.nodes) == ((), {}, ())
    assert not compare([before], [before])


@pytest.mark.parametrize(
    ("template", "variables", "attributes"),
    [
        ("{{ ds }}", ["ds"], []),
        ("{{ dag_run.conf['a'] }}", ["dag_run"], [("dag_run", "conf")]),
        ("{{ dag_run.execution_date.year }}", ["dag_run"], [("dag_run", "execution_date")]),
        ("{% set ds = 1 %}{{ ds }}", [], []),
        ("{% for conf in params.all %}{{ conf.x }}{% endfor %}", ["params"], [("params", "all")]),
        ("{# execution_date #}{% raw %}{{ ds }}{% endraw %}", [], []),
        ("{{ macros.ds_add(ds, -1) | upper }}", ["ds", "macros"], [("macros", "ds_add")]),
        ("{{ broken", [], []),
        ("plain", [], []),
    ],
)
def test_what_a_template_uses(
    template: str, variables: list[str], attributes: list[tuple[str, str]]
) -> None:
    assert used_in(template) == (variables, attributes)


def moves_of(root: Path, operator: str, arguments: str, *versions: str) -> list[str]:
    """Return what is said of one operator between two versions."""
    action = f"{{type: {operator}, arguments: {arguments}}}"
    (root / PIPELINES).write_text(f"etl: {{nodes: [{{name: op, operator: {action}}}]}}\n")
    old, new = versions
    found = data("--from", old, "--airflow-version", new)["moves"]
    return [f"{each['effect']}: {each['message']}; {each['fix']}" for each in found if each["at"]]


@pytest.mark.parametrize(
    ("operator", "arguments", "versions", "said"),
    [
        (
            "airflow.operators.bash.BashOperator",
            "{}",
            ("2.11", "3.0"),
            "differs: airflow.operators.bash.BashOperator is deprecated in Airflow 3.0; "
            "write airflow.providers.standard.operators.bash.BashOperator",
        ),
        ("airflow.operators.bash.BashOperator", "{}", ("2.10", "2.11"), None),
        ("airflow.operators.bash.BashOperator", "{}", ("3.0", "3.3"), None),
        (
            "airflow.providers.standard.operators.bash.BashOperator",
            "{}",
            ("3.1", "2.11"),
            "fails: Airflow 2.11 has no airflow.providers.standard.operators.bash.BashOperator; "
            "write airflow.operators.bash.BashOperator",
        ),
        (
            "airflow.operators.subdag.SubDagOperator",
            "{}",
            ("2.10", "3.1"),
            "fails: airflow.operators.subdag.SubDagOperator is gone from Airflow 3.1; None",
        ),
        (
            "airflow.operators.branch.BaseBranchOperator",
            "{}",
            ("2.10", "3.1"),
            None,
        ),
        (
            "team.Operator",
            "{events: '{{ triggering_asset_events }}'}",
            ("3.1", "2.11"),
            "fails: templates have no triggering_asset_events in Airflow 2.11; "
            "write {{ triggering_dataset_events }}",
        ),
        (
            "team.Operator",
            "{trigger_rule: all_done_min_one_success}",
            ("3.1", "3.0"),
            "fails: there is no trigger_rule 'all_done_min_one_success' in Airflow 3.0; "
            "write all_done",
        ),
        ("team.Operator", "{text: {literal: '{{ execution_date }}'}}", ("2.11", "3.0"), None),
        (
            "team.Operator",
            "{task_concurrency: 3}",
            ("2.11", "3.0"),
            "fails: Operator does not take task_concurrency in Airflow 3.0; "
            "write max_active_tis_per_dag",
        ),
    ],
)
def test_what_another_version_does(
    operator: str, arguments: str, versions: tuple[str, str], said: str | None, root: Path
) -> None:
    found = moves_of(root, operator, arguments, *versions)
    assert found == ([] if said is None else [said])
