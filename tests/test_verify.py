"""What `verify` makes of an orchestrator's answer; scripts stand in for the orchestrator here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from dagforge.build import Build, Request, build
from dagforge.errors import VerificationError
from dagforge.verify import Verified, verify

PIPELINES = """\
sales:
  nodes:
    - {name: read, func: "sales.nodes:read", outputs: raw}
    - {name: clean, func: "sales.nodes:clean", inputs: raw, outputs: table}
    - {name: score, func: "sales.nodes:score", inputs: table}
"""
CATALOG = """\
raw: {type: pandas.CSVDataset, filepath: data/raw.csv}
table: {type: pandas.CSVDataset, filepath: data/table.csv}
"""
EDGES = [["clean", "score"], ["read", "clean"]]
AS_PLANNED = {"shop-sales": {"tasks": ["clean", "read", "score"], "edges": EDGES}}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Build:
    root = tmp_path_factory.mktemp("project")
    (root / "dagforge.toml").write_text('project = "shop"\n')
    (root / "conf/base").mkdir(parents=True)
    (root / "conf/base/pipelines.yml").write_text(PIPELINES)
    (root / "conf/base/catalog.yml").write_text(CATALOG)
    return build(Request(root), render_files=False)


Check = Callable[..., Verified]


@pytest.fixture
def check(built: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Return `verify` over a file in `dags/`, with a script instead of the orchestrator."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags/shop_sales.py").write_text("# a DAG of Airflow\n")
    (tmp_path / "script").mkdir()

    def run(script: str, **more: Any) -> Verified:
        (tmp_path / "script/verify.py").write_text(dedent(script))
        target = replace(built.target, folder=tmp_path / "script")
        python = more.pop("python", Path(sys.executable))
        return verify(built.dags, Path("dags"), target, python=python, **more)

    return run


def answer(
    *,
    version: str = "3.3.2",
    dags: Mapping[str, Any] = AS_PLANNED,
    errors: tuple[str, ...] = (),
    warnings: tuple[Mapping[str, Any], ...] = (),
) -> str:
    """Return a script that loads nothing and says this of the one file."""
    told = json.dumps({"errors": errors, "warnings": warnings, "dags": dags})
    return f"""\
import json, sys
question = json.load(open(sys.argv[1]))
path, = question["files"]
with open(sys.argv[2], "w") as out:
    print(json.dumps({{"name": "Airflow", "version": {version!r}}}), file=out)
    print(json.dumps({{"loading": path}}), file=out)
    told = json.loads({told!r}.replace("FILE", path))
    print(json.dumps({{"loaded": path, **told}}), file=out)
"""


def failure(run: Callable[[], object]) -> str:
    with pytest.raises(VerificationError) as caught:
        run()
    assert caught.value.exit_code == 4
    return str(caught.value).replace(sys.executable, "PYTHON")


def test_as_planned(check: Check) -> None:
    verified = check(answer())
    assert verified.summary == (
        "loaded     1 DAG with 3 tasks for airflow in Airflow 3.3.2: all there, "
        "in the planned order"
    )
    assert verified.warnings == ()


def test_a_template_may_add_tasks_order_and_dags(check: Check) -> None:
    dags = {
        "shop-sales": {
            "tasks": ["clean", "note", "read", "score", "start"],
            "edges": [["clean", "score"], ["read", "note"], ["note", "clean"], ["start", "read"]],
        },
        "other": {"tasks": [], "edges": []},
    }
    assert check(answer(dags=dags)).summary.splitlines()[1:] == [
        "  dags/shop_sales.py has more tasks: note, start",
        "  dags/shop_sales.py has more DAGs: other",
    ]


def test_more_order_between_planned_tasks_is_listed(check: Check) -> None:
    edges = [*EDGES, ["read", "score"], ["score", "extra"]]
    dags = {"shop-sales": {"tasks": ["clean", "extra", "read", "score"], "edges": edges}}
    lines = check(answer(dags=dags)).summary.splitlines()
    # read before score is what the plan says by way of clean.
    assert lines[1:] == ["  dags/shop_sales.py has more tasks: extra"]


def test_order_that_no_path_holds_is_listed(check: Check) -> None:
    edges = [["read", "clean"], ["clean", "score"], ["score", "read"]]
    dags = {"shop-sales": {"tasks": ["clean", "read", "score"], "edges": edges}}
    lines = check(answer(dags=dags)).summary.splitlines()
    assert lines[1:] == ["  dags/shop_sales.py has more order: score before read"]


def test_ids_that_a_template_spells_as_kedro_airflow_does(check: Check) -> None:
    edges = [["read", "Clean"], ["Clean", "SCORE"]]
    dags = {"Shop_Sales": {"tasks": ["Clean", "read", "SCORE"], "edges": edges}}
    assert len(check(answer(dags=dags)).summary.splitlines()) == 1


def test_missing_tasks_and_order(check: Check) -> None:
    dags: dict[str, Any] = {"shop-sales": {"tasks": ["read", "score"], "edges": []}}
    assert failure(lambda: check(answer(dags=dags))) == (
        "dags/shop_sales.py: error: planned but not there: 'clean' [verify-tasks]\n"
        "  fix: does a template leave tasks out, or is the file out of date? "
        "`dagforge create --check` says so"
    )
    dags = {"shop-sales": {"tasks": ["clean", "read", "score"], "edges": [["read", "score"]]}}
    assert failure(lambda: check(answer(dags=dags))) == (
        "dags/shop_sales.py: error: planned but not so: 'clean' before 'score', "
        "'read' before 'clean' [verify-order]\n"
        "  fix: does a template override the block `edges`, or is the file out of date? "
        "`dagforge create --check` says so"
    )


def test_another_dag(check: Check) -> None:
    assert failure(lambda: check(answer(dags={"other": {"tasks": [], "edges": []}}))) == (
        "dags/shop_sales.py: error: the DAG 'shop-sales' is not in the file; what was found there: "
        "'other' [verify-dag]\n"
        "  fix: is the file up to date? `dagforge create --check` says so"
    )


def test_what_the_file_warns_of(check: Check) -> None:
    warned = {
        "line": 7,
        "category": "airflow.exceptions.RemovedInAirflow4Warning",
        "message": "Old.\nx",
    }
    (problem,) = check(answer(warnings=(warned,))).warnings
    assert str(problem) == (
        "dags/shop_sales.py:7: warning: RemovedInAirflow4Warning: Old. [load-warning]"
    )


def test_another_version_is_a_warning(check: Check) -> None:
    (problem,) = check(answer(version="3.30.1")).warnings
    assert str(problem).replace(sys.executable, "PYTHON") == (
        "warning: the files are for Airflow 3.3, but PYTHON has 3.30.1 [other-version]\n"
        "  fix: verify with the version that the files are for, or write them for this one: "
        "--airflow-version 3.30"
    )


def test_an_import_error_shows_the_frames_of_the_users_code(check: Check) -> None:
    text = (
        "Traceback (most recent call last):\n"
        '  File "/x/lib/python3.11/site-packages/airflow/models/dagbag.py", line 383, in parse\n'
        "    loader.exec_module(new_module)\n"
        "    ^^^^^^\n"
        '  File "<frozen importlib._bootstrap>", line 241, in _call_with_frames_removed\n'
        '  File "FILE", line 12, in <module>\n'
        "    from team.alerts import notify\n"
        '  File "/home/me/team/alerts.py", line 3, in <module>\n'
        "    import slack\n"
        "ModuleNotFoundError: No module named 'slack'\n"
    )
    assert failure(lambda: check(answer(errors=(text,), dags={}))) == (
        "dags/shop_sales.py:12: error: Airflow 3.3.2 does not load it: "
        "ModuleNotFoundError: No module named 'slack' [not-loaded]\n"
        "    dags/shop_sales.py:12: from team.alerts import notify\n"
        "    /home/me/team/alerts.py:3: import slack\n"
        "  fix: make 'slack' importable for that interpreter, such as by PYTHONPATH"
    )


def test_an_error_without_a_traceback(check: Check) -> None:
    text = "AirflowDagCycleException: Cycle detected in Dag: shop-sales. Faulty task: read"
    assert failure(lambda: check(answer(errors=(text,)))) == (
        f"dags/shop_sales.py: error: Airflow 3.3.2 does not load it: {text} [not-loaded]"
    )


def test_a_file_that_was_not_written(check: Check) -> None:
    Path("dags/shop_sales.py").unlink()
    assert failure(lambda: check(answer())) == (
        "error: there is no file dags/shop_sales.py [not-written]\n"
        "  fix: write it with `dagforge create`"
    )


@pytest.mark.parametrize(
    ("python", "said"),
    [
        ("nowhere/python", "there is no interpreter 'nowhere/python'"),
        ("dags", "'dags' is no program that can be run"),
        ("dags/shop_sales.py", "'dags/shop_sales.py' is no program that can be run"),
    ],
)
def test_no_interpreter(python: str, said: str, check: Check) -> None:
    assert failure(lambda: check(answer(), python=Path(python))) == (
        f"error: {said} [no-interpreter]\n"
        "  fix: --python PATH: the python of the environment that has the orchestrator, "
        "such as .venv/bin/python"
    )


def test_a_program_that_is_no_interpreter(check: Check) -> None:
    assert (
        failure(lambda: check(answer(), python=Path("true")))
        .splitlines()[0]
        .endswith("true ended with code 0 before it said anything [not-loaded]")
    )


def test_the_real_scripts_without_their_orchestrators(built: Build, tmp_path: Path) -> None:
    (tmp_path / "shop_sales.py").write_text("")
    templates = built.target.folder.parent
    for folder, said in (
        (templates / "airflow", "has no Airflow that can be imported: ModuleNotFoundError: "),
        (templates / "prefect", "has no Prefect that can be imported: ModuleNotFoundError: "),
    ):
        target = replace(built.target, folder=folder)
        text = failure(lambda: verify(built.dags, tmp_path, target, python=Path(sys.executable)))  # noqa: B023
        assert said in text
        assert "[no-orchestrator]" in text


def test_a_crash(check: Check) -> None:
    script = """
        import json, os, sys
        path, = json.load(open(sys.argv[1]))["files"]
        with open(sys.argv[2], "w") as out:
            print(json.dumps({"name": "Airflow", "version": "3.3.2"}), file=out)
            print(json.dumps({"loading": path}), file=out)
            out.write('{"loaded": ')
        print("out of memory", file=sys.stderr, flush=True)
        os._exit(9)
    """
    assert failure(lambda: check(script)) == (
        "dags/shop_sales.py: error: PYTHON ended with code 9 while it loaded this file "
        "[not-loaded]\n"
        "    out of memory\n"
        "  fix: load it there by hand: `PYTHON FILE.py` shows what happens"
    )


def test_a_hang(check: Check) -> None:
    script = """
        import json, sys, time
        path, = json.load(open(sys.argv[1]))["files"]
        with open(sys.argv[2], "w") as out:
            print(json.dumps({"name": "Airflow", "version": "3.3.2"}), file=out)
            print(json.dumps({"loading": path}), file=out, flush=True)
            time.sleep(60)
    """
    assert failure(lambda: check(script, seconds=1)) == (
        "dags/shop_sales.py: error: PYTHON was stopped after 1 s, while it loaded this file "
        "[not-loaded]\n"
        "  fix: does something at the top of the file, or of what it imports, wait or compute?"
    )


def test_nothing_is_left_behind(check: Check, tmp_path: Path) -> None:
    script = answer() + "\nimport os; open(os.environ['AIRFLOW_HOME'] + '/airflow.cfg', 'w')\n"
    check(script)
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert left == ["dags", "dags/shop_sales.py", "script", "script/verify.py"]
