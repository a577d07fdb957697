"""`dagforge migrate`: what is said about a kedro-airflow set-up, and what keeps its ids.

The DAG files in `kedro_dags/` are what kedro-airflow of that release wrote for the pipelines below,
which are written here as DagForge's own.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dagforge.commands.migrate.insert import inserted
from dagforge.conf import parse_yaml
from dagforge.kedro_airflow.dag_files import NotRead, OldDag, read_dag_file
from dagforge.output.manifest import ids_of
from tests.projects import run

DAGS = Path(__file__).parent / "kedro_dags"
RELEASES = {"0.8.0": "0.8", "0.9.2": "0.9 or 0.10", "0.10.0": "0.9 or 0.10", "0.11.0": "0.11"}
FACTS = '[tool.dagforge]\nproject = "space_flights"\n'
PIPELINES = """
data_processing:
  nodes:
    - {name: clean_companies_node, func: "m:work", inputs: companies, outputs: clean_companies}
    - {name: clean_shuttles_node, func: "m:work", inputs: shuttles, outputs: clean_shuttles}
    - {name: join.all, func: "m:work", inputs: [clean_companies, clean_shuttles], outputs: table}
data_science:
  nodes:
    - name: split_data_node
      func: "m:split"
      inputs: [table, "params:size"]
      outputs: [train, test]
    - {name: train_model_node, func: "m:work", inputs: train, outputs: regressor}
    - {name: evaluate_model_node, func: "m:work", inputs: [regressor, test], outputs: metrics}
__default__:
  include: [data_processing, data_science]
"""
GROUPED = """
__default__:
  nodes:
    - name: prepare.companies
      func: "m:work"
      namespace: prepare
      inputs: companies
      outputs: prepare.clean_companies
    - name: prepare.table
      func: "m:work"
      namespace: prepare
      inputs: prepare.clean_companies
      outputs: table
    - name: split_data_node
      func: "m:split"
      inputs: [table, "params:size"]
      outputs: [train, test]
    - {name: train_model_node, func: "m:work", inputs: train, outputs: regressor}
    - {name: evaluate_model_node, func: "m:work", inputs: [regressor, test], outputs: metrics}
"""
CATALOG = """
companies: {type: pickle.PickleDataset, filepath: data/companies.pkl}
shuttles: {type: pickle.PickleDataset, filepath: data/shuttles.pkl}
table: {type: pickle.PickleDataset, filepath: data/table.pkl}
"""
# What the files in `kedro_dags/` were made with.
AIRFLOW = """
default:
  start_date: [2023, 6, 1]
  max_active_runs: 2
  schedule_interval: "@daily"
  owner: "O'Brien"
  retries: 2
  retry_delay: 7
data_science:
  owner: team-ds
"""
# Runs at once share the table's file, which DagForge does not let pass.
ONE_RUN = {"conf/base/airflow.yml": AIRFLOW.replace("runs: 2", "runs: 1")}
SETTINGS = "conf/base/dagforge.yml"
OLD_FILES = ("space_flights", "space_flights_data_science")
DAG_FOLDER = Path("airflow_dags")  # from the project, in which each test is

Project = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a function that writes a project, with DAG files of a release, and goes there."""

    def make(dags: str | None = None, files: Mapping[str, str | bytes] | None = None) -> Path:
        contents: dict[str, str | bytes] = {
            "pyproject.toml": FACTS,
            "conf/base/pipelines.yml": PIPELINES,
            "conf/base/catalog.yml": CATALOG,
            "conf/base/parameters.yml": "size: 1\n",
            **(files or {}),
        }
        for name, content in contents.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        if dags is not None:
            shutil.copytree(DAGS / dags, tmp_path / "airflow_dags", dirs_exist_ok=True)
        monkeypatch.chdir(tmp_path)
        return tmp_path

    return make


def report(*arguments: str) -> dict[str, Any]:
    """Return what `dagforge migrate` says to a program."""
    ran = run("migrate", "--message-format", "json", *arguments)
    found: dict[str, Any] = json.loads(ran.out)
    return found


def told(found: Mapping[str, Any], about: str) -> list[str]:
    """Return the notes about something, each as its line of text begins."""
    return [
        f"{note['file']}:{note['line']}:{note['column']}: {note['kind']}: {note['message']}"
        for note in found["notes"]
        if note["about"] == about
    ]


@dataclass
class Made:
    """The ids in a file."""

    dag_ids: set[str]
    task_ids: set[str]


def made(file: Path) -> Made:
    ids = ids_of(file.read_text(encoding="utf-8"))
    return Made(set(ids.dag_ids), set(ids.task_ids))


def dag_in(text: str | bytes) -> OldDag:
    source = text if isinstance(text, bytes) else text.encode()
    (dag,) = read_dag_file(source, "dag.py").dags
    return dag


# --- reading the DAG files of every release


@pytest.mark.parametrize("release", RELEASES)
def test_files_of_every_release_are_read(release: str) -> None:
    source = (DAGS / release / "space_flights_dag.py").read_bytes()
    read = read_dag_file(source, "dag.py")
    assert read.release == RELEASES[release]
    assert read.facts == {
        "pipeline_name": "__default__",
        "env": "local",
        "package_name": "space_flights",
    }
    assert [text.value for text in read.escaped] == ["O&#39;Brien"]
    (dag,) = read.dags
    assert dag.dag_id == "space-flights"
    assert {task.task_id: task.nodes for task in dag.tasks} == {
        "clean-companies-node": ("clean_companies_node",),
        "clean-shuttles-node": ("clean_shuttles_node",),
        "join-all": ("join.all",),
        "split-data-node": ("split_data_node",),
        "train-model-node": ("train_model_node",),
        "evaluate-model-node": ("evaluate_model_node",),
    }
    assert set(dag.edges) == {
        ("clean-companies-node", "join-all"),
        ("clean-shuttles-node", "join-all"),
        ("join-all", "split-data-node"),
        ("split-data-node", "train-model-node"),
        ("split-data-node", "evaluate-model-node"),
        ("train-model-node", "evaluate-model-node"),
    }
    values = {name: str(argument.value) for name, argument in dag.arguments.items()}
    assert values.pop("schedule", values.pop("schedule_interval", None)) == "@daily"
    assert values == {
        "start_date": "2023-06-01 00:00:00",
        "max_active_runs": "2",
        "catchup": "False",
        "owner": "O&#39;Brien",
        "depends_on_past": "False",
        "email_on_failure": "False",
        "email_on_retry": "False",
        "retries": "2",
        "retry_delay": "0:07:00",
    }


def test_groups_of_nodes_and_namespaces_are_read() -> None:
    memory = dag_in((DAGS / "0.10.0-memory/space_flights_dag.py").read_bytes())
    assert [task.nodes for task in memory.tasks] == [
        ("prepare.companies", "prepare.table"),
        ("split_data_node", "train_model_node", "evaluate_model_node"),
    ]
    namespace = dag_in((DAGS / "0.11.0-namespace/space_flights_dag.py").read_bytes())
    assert namespace.tasks[0].task_id == "prepare"
    assert namespace.tasks[0].nodes is None
    assert namespace.tasks[0].namespaces == ("prepare",)


def test_files_of_other_templates_are_read_as_far_as_they_say() -> None:
    dag = dag_in(
        """
DAG_ID = "nightly"
ARGS = ["python", "-m", "kedro", "run", "--pipeline", "etl", "--env", "cloud", "--nodes", "a,b"]
dag = models.DAG(f"{DAG_ID}-etl", schedule_interval=timedelta(hours=6), **MORE)
pre = EmptyOperator(task_id="init-ł", dag=dag)
with dag:
    with TaskGroup("load"):
        ab = GKEStartPodOperator(task_id="ab", arguments=ARGS)
        c = BashOperator(task_id="c", bash_command="cd /app && kedro run --pipeline=etl --nodes=c")
    for name in names:
        GKEStartPodOperator(task_id=name.lstrip("airflow:"))

    @task.branch
    def decide():
        pass

    pre >> [ab, c] >> decide()
"""
    )
    assert dag.dag_id == "nightly-etl"
    assert {task.task_id: task.nodes for task in dag.tasks} == {
        "init-ł": None,
        "load.ab": ("a", "b"),
        "load.c": ("c",),
        "decide": None,
    }
    assert [str(at) for at in dag.computed] == ["dag.py:11:37"]
    assert [task.at.column for task in dag.tasks] == [29, 42, 34, 5]
    assert set(dag.edges) == {
        ("init-ł", "load.ab"),
        ("init-ł", "load.c"),
        ("load.ab", "decide"),
        ("load.c", "decide"),
    }


def test_two_dags_in_one_file_keep_their_tasks_apart() -> None:
    source = (
        'with DAG("one") as one:\n    Op(task_id="a")\n'
        '@dag\ndef two():\n    @task(task_id="b")\n    def b(): ...\n    b()\n'
        'three = DAG(dag_id="three")\nOp(task_id="c", dag=three)\n'
    )
    dags = read_dag_file(source.encode(), "dag.py").dags
    assert {dag.dag_id: [task.task_id for task in dag.tasks] for dag in dags} == {
        "one": ["a"],
        "two": ["b"],
        "three": ["c"],
    }


@pytest.mark.parametrize(
    ("order", "edges", "unread"),
    [
        ("c.set_upstream([a, b])", "ac bc", 0),
        ("a.set_downstream(c)", "ac", 0),
        ("chain(a, [b, c], d)", "ab ac bd cd", 0),
        ("baseoperator.chain([a, b], [c, d])", "ac bd", 0),
        ("for each in [a, b]:\n        each >> c", "", 1),
        ("a.set_upstream(others())", "", 1),
        ("a >> Label('x') >> b", "", 2),
    ],
)
def test_the_order_is_read_however_it_is_written(order: str, edges: str, unread: int) -> None:
    tasks = "".join(f'    {name} = Op(task_id="{name}")\n' for name in "abcd")
    dag = dag_in(f'with DAG("one"):\n{tasks}    {order}\n')
    assert (set(dag.edges), len(dag.unread)) == ({(e[0], e[1]) for e in edges.split()}, unread)


def test_an_order_that_is_made_while_loading_is_not_guessed(project: Project) -> None:
    project("0.11.0", ONE_RUN)
    file = DAG_FOLDER / "space_flights_data_science_dag.py"
    lines = [line for line in file.read_text().splitlines() if ">>" not in line]
    call = next(number for number, line in enumerate(lines) if line == "space_flights()")
    lines.insert(call, "    for one, other in order():\n        one >> other\n")
    file.write_text("\n".join(lines))
    assert [note.partition(": ")[2] for note in told(report(), "order")] == [
        "not known: the order is made here when the file is loaded; whether it stays is not known"
    ]


def test_two_dags_in_one_file_keep_their_order_apart() -> None:
    source = (
        'with DAG("one"):\n    a = Op(task_id="a")\n    b = Op(task_id="b")\n    a >> b\n'
        'two = DAG(dag_id="two")\nc = Op(task_id="c", dag=two)\nd = Op(task_id="d", dag=two)\n'
        "d << c\n"
    )
    dags = read_dag_file(source.encode(), "dag.py").dags
    assert [dag.edges for dag in dags] == [(("a", "b"),), (("c", "d"),)]


@pytest.mark.parametrize(
    ("source", "message", "place"),
    [
        (b"x = (\n", "'(' was never closed", "dag.py:1:5"),
        (b"x = [&#39;a&#39;]\n", "invalid syntax", "dag.py:1:6"),
        (b"x = '\xf3'\n", "it is not UTF-8 text", "dag.py:1"),
        (b"# coding: nonsense\n", "unknown encoding: nonsense", "dag.py:1"),
        (b"x = 1\0\n", "source code string cannot contain null bytes", "dag.py"),
        (b"x = " + b"(" * 5000 + b")" * 5000, None, "dag.py"),
        (b"x = " + b"-" * 50_000 + b"1", None, "dag.py"),
    ],
)
def test_files_that_are_no_python(source: bytes, message: str | None, place: str) -> None:
    with pytest.raises(NotRead) as caught:
        read_dag_file(source, "dag.py")
    assert str(caught.value.at).startswith(place)
    assert message is None or message in caught.value.message


def test_byte_order_marks_line_ends_and_encodings_do_not_matter() -> None:
    source = (DAGS / "0.11.0/space_flights_dag.py").read_bytes()
    plain = read_dag_file(source, "dag.py")
    assert read_dag_file(b"\xef\xbb\xbf" + source.replace(b"\n", b"\r\n"), "dag.py") == plain
    latin = '# coding: latin-1\nwith DAG(dag_id="é"):\n    pass\n'.encode("latin-1")
    assert dag_in(latin).dag_id == "é"


def test_a_chain_of_thousands_is_read_or_refused_but_never_a_traceback() -> None:
    source = "with DAG('long'):\n" + "".join(f"    t{n} = Op(task_id='{n}')\n" for n in range(3000))
    source += "    " + " >> ".join(f"t{n}" for n in range(3000)) + "\n"
    try:
        assert len(dag_in(source).edges) == 2999
    except NotRead as error:
        assert error.message == "it is nested too deeply"


LINES = (DAGS / "0.11.0/space_flights_dag.py").read_text().splitlines(keepends=True) + (
    DAGS / "0.8.0/space_flights_dag.py"
).read_text().splitlines(keepends=True)


@given(st.lists(st.sampled_from(LINES), max_size=40))
@hypothesis_settings(deadline=None, max_examples=100)
def test_any_lines_are_read_or_refused(lines: list[str]) -> None:
    source = "".join(lines).encode()
    try:
        read = read_dag_file(source, "dag.py")
    except NotRead as error:
        assert error.at.file == "dag.py"
    else:
        assert all(task.task_id for dag in read.dags for task in dag.tasks)


# --- the report


def test_the_report_says_line_by_line_what_changes(project: Project) -> None:
    project("0.11.0", ONE_RUN)
    ran = run("migrate")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (DAGS / "report.txt").read_text()


@pytest.mark.parametrize("release", RELEASES)
def test_with_the_settings_every_task_and_one_dag_keep_their_ids(
    release: str, project: Project
) -> None:
    root = project(release, ONE_RUN)
    assert run("migrate", "--write").code == 0
    assert run("create", "--all", "--quiet").code == 0
    for old, new in (("", ""), ("_data_science", "_data_science")):
        before = made(root / f"airflow_dags/space_flights{old}_dag.py")
        after = made(root / f"dags/space_flights{new}.py")
        assert after.task_ids == before.task_ids
    assert made(root / "dags/space_flights.py").dag_ids == {"space-flights"}
    assert made(root / "dags/space_flights_data_science.py").dag_ids == {
        "space-flights-data-science"
    }


def test_nothing_more_is_proposed_once_the_settings_are_there(project: Project) -> None:
    root = project("0.11.0", ONE_RUN)
    first = report("--write")
    assert first["written"] is True
    text = (root / SETTINGS).read_text()
    again = report("--write")
    assert (again["settings"], again["yaml"], again["written"]) == ({}, "", False)
    assert (root / SETTINGS).read_text() == text
    assert all(row["old"] == row["now"] for dag in again["dags"] for row in dag["tasks"])


def test_a_single_pipeline_keeps_the_dag_id_that_all_of_them_had(project: Project) -> None:
    root = project("0.11.0", ONE_RUN)
    (root / "airflow_dags/space_flights_dag.py").unlink()
    found = report("--write")
    assert found["settings"]["data_science"] == {"dag_id": "space-flights"}
    assert told(found, "dag_id") == [
        "airflow_dags/space_flights_data_science_dag.py:30:12: changes: dag_id 'space-flights' "
        "becomes 'space-flights-data-science', under which Airflow has no history"
    ]
    # It had no history, and would be called so.
    assert found["settings"]["__default__"] == {"dag_id": "space-flights-default"}
    assert run("create", "--all", "--quiet").code == 0
    assert made(root / "dags/space_flights.py").task_ids == {
        "split-data-node",
        "train-model-node",
        "evaluate-model-node",
    }


def test_runs_that_overwrote_each_other_are_told_and_come_one_by_one(project: Project) -> None:
    root = project("0.11.0", {"conf/base/airflow.yml": AIRFLOW})
    assert run("create", "--all").code == 1
    found = report("--write")
    assert found["problems"] == []
    assert found["settings"]["__default__"] == {"max_active_runs": 1}
    assert told(found, "data")[0].startswith(
        "conf/base/airflow.yml:4:3: was wrong: runs of '__default__' at once would overwrite each "
        "other's 'table'"
    )
    assert run("create", "--all", "--quiet").code == 0
    assert "max_active_runs=1," in (root / "dags/space_flights.py").read_text()


def test_what_only_a_line_elsewhere_could_mend_is_an_error_still(project: Project) -> None:
    root = project("0.11.0", {"conf/base/airflow.yml": '"__default__": {max_active_runs: 3}\n'})
    ran = run("migrate", "--write")
    assert ran.code == 1
    assert "conf/base/airflow.yml:1:34: error: runs of '__default__' at once would" in ran.err
    assert "nothing is written while there are errors" in ran.err
    assert "conf/base/airflow.yml:1:17: change this line to `max_active_runs: 1`" in ran.out
    assert not (root / SETTINGS).exists()


def test_a_pipeline_that_does_not_compile_keeps_its_dag_id(project: Project) -> None:
    broken = PIPELINES.replace("include: [data_processing, data_science]", "include: [nothing]")
    project("0.11.0", {**ONE_RUN, "conf/base/pipelines.yml": broken})
    found = report()
    assert found["settings"] == {"default": {"task_id_style": "kedro-airflow"}}
    assert told(found, "file") == [
        "airflow_dags/space_flights_dag.py:30:12: not known: pipeline '__default__' does not "
        "compile, so this file is not compared"
    ]
    assert told(found, "dag_id") == [
        "airflow_dags/space_flights_data_science_dag.py:30:12: was wrong: dag_id 'space-flights' "
        "is that of airflow_dags/space_flights_dag.py too, of which Airflow kept one; it stays "
        "with pipeline '__default__', and this DAG is 'space-flights-data-science' now"
    ]


def test_what_kedro_airflow_set_by_itself_is_kept(project: Project) -> None:
    root = project(
        None,
        {
            "airflow_dags/space_flights_dag.py": (DAGS / "0.11.0/space_flights_dag.py")
            .read_text()
            .replace('"@daily"', '"@once"')
            .replace("2023,6,1", "2022,1,31,5,30")
        },
    )
    found = report("--write")
    assert told(found, "schedule") == [
        "airflow_dags/space_flights_dag.py:33:14: changes: schedule '@once' becomes null, the "
        "default here"
    ]
    assert told(found, "start_date") == [
        "airflow_dags/space_flights_dag.py:31:16: changes: start_date '2022-01-31 05:30:00' "
        "becomes 2023-01-01, the default here"
    ]
    assert told(found, "max_active_runs") == [
        "airflow_dags/space_flights_dag.py:32:21: changes: max_active_runs 2 becomes 1: runs at "
        "once would overwrite each other's data"
    ]
    assert found["settings"]["__default__"] == {
        "start_date": "2022-01-31 05:30:00",
        "schedule": "@once",
        "owner": "O'Brien",
        "retries": 2,
        "retry_delay": "7m",
    }
    assert run("create", "--all", "--quiet").code == 0
    text = (root / "dags/space_flights.py").read_text()
    assert 'schedule="@once"' in text
    assert '"owner": "O\'Brien"' in text
    assert report()["settings"] == {}


# --- groups


@pytest.mark.parametrize(
    ("dags", "settings"),
    [
        (
            "0.10.0-memory",
            {
                "grouping": "memory",
                "group_names": {
                    "prepare.companies": "prepare-companies-prepare-table",
                    "split_data_node": "split-data-node-train-model-node-evaluate-model-node",
                },
            },
        ),
        ("0.11.0-namespace", {"grouping": "namespace", "task_id_style": "kedro-airflow"}),
    ],
)
def test_groups_of_kedro_airflow_are_found_again(
    dags: str, settings: dict[str, Any], project: Project
) -> None:
    airflow = ONE_RUN["conf/base/airflow.yml"].replace("data_science", "_unused")
    files = {"conf/base/pipelines.yml": GROUPED, "conf/base/airflow.yml": airflow}
    root = project(dags, files)
    found = report("--write")
    assert found["settings"]["default"] == settings
    (note,) = told(found, "grouping")
    assert "changes: 5 tasks instead of" in note
    assert run("create", "--quiet").code == 0
    after = made(root / "dags/space_flights.py")
    assert after == made(root / "airflow_dags/space_flights_dag.py")


def test_ids_that_no_style_gives_are_listed_one_by_one(project: Project) -> None:
    text = (DAGS / "0.10.0/space_flights_data_science_dag.py").read_text()
    text = text.replace('"split-data-node"', '"eports"').replace("evaluate-model-node", "Evaluate")
    root = project(None, {"airflow_dags/space_flights_data_science_dag.py": text})
    found = report("--write")
    assert found["settings"]["data_science"]["grouping"] == {
        "eports": ["split_data_node"],
        "train-model-node": ["train_model_node"],
        "Evaluate": ["evaluate_model_node"],
    }
    assert run("create", "-p", "data_science", "--quiet").code == 0
    after = made(root / "dags/space_flights.py")
    assert after.task_ids == {"eports", "train-model-node", "Evaluate"}


def test_ids_that_are_listed_stay_where_another_dag_has_those_of_a_style(project: Project) -> None:
    root = project("0.11.0", ONE_RUN)
    file = DAG_FOLDER / "space_flights_dag.py"
    file.write_text(file.read_text().replace('task_id="split-data-node"', 'task_id="SPLIT"'))
    old = {name: made(DAG_FOLDER / f"{name}_dag.py") for name in OLD_FILES}
    assert run("migrate", "--write").code == 0
    assert run("create", "--all", "--quiet").code == 0
    for name, ids in old.items():
        assert made(root / f"dags/{name}.py").task_ids == ids.task_ids


def test_a_prefix_that_was_ignored_groups_now_and_can_be_undone(project: Project) -> None:
    pipelines = (
        PIPELINES.replace("outputs: train", 'tags: ["job:a"], outputs: train')
        .replace("outputs: regressor}", 'outputs: regressor, tags: ["job:all"]}')
        .replace("outputs: metrics}", 'outputs: metrics, tags: ["job:all"]}')
    )
    airflow = 'default: {grouping: true, grouping_prefix: "job:", max_active_runs: 1}\n'
    root = project(
        "0.11.0", {"conf/base/pipelines.yml": pipelines, "conf/base/airflow.yml": airflow}
    )
    found = report("--write")
    assert told(found, "grouping_prefix") == [
        "conf/base/airflow.yml:1:27: changes: kedro-airflow's own template does not read "
        "'grouping_prefix'; DagForge does as it says"
    ]
    # A line for the pipeline wins over airflow.yml's default.
    assert found["settings"]["data_science"]["grouping"] == "none"
    assert found["settings"]["default"] == {"task_id_style": "kedro-airflow"}
    assert run("create", "--all", "--quiet").code == 0
    after = made(root / "dags/space_flights_data_science.py").task_ids
    assert after == made(root / "airflow_dags/space_flights_data_science_dag.py").task_ids


def test_tasks_that_waited_for_each_other_and_tasks_of_one_name_are_told(project: Project) -> None:
    text = (DAGS / "0.10.0/space_flights_data_science_dag.py").read_text() + "\n"
    text += '    tasks["train-model-node"] >> tasks["split-data-node"]\n'
    text += '    again = KedroOperator(task_id="train-model-node", node_name="gone")\n'
    text += '    other = KedroOperator(task_id="gone-node", node_name="gone")\n'
    project(None, {"airflow_dags/space_flights_data_science_dag.py": text})
    found = report()
    file = "airflow_dags/space_flights_data_science_dag.py"
    assert told(found, "order") == [
        f"{file}:69:21: was wrong: 'split-data-node' and 'train-model-node' wait for each other: "
        "Airflow refuses the file",
        f"{file}:69:21: changes: 'split-data-node' no longer waits for 'train-model-node'",
    ]
    assert told(found, "task_id")[1:] == [
        f"{file}:100:35: was wrong: a second task 'train-model-node': Airflow refuses the file, or "
        "runs one of them",
        f"{file}:101:35: changes: nothing that task 'gone-node' runs is in pipeline "
        "'data_science'; there is no such task here",
    ]
    assert found["dags"][0]["tasks"][-1] == {
        "old": "gone-node",
        "now": None,
        "kept": None,
        "line": 101,
    }


def test_task_ids_that_are_made_while_loading_are_not_guessed(project: Project) -> None:
    text = (
        'with DAG(dag_id="space-flights", tags=TAGS):\n    for name in names:\n'
        '        GKEStartPodOperator(task_id=name.lstrip("airflow:"), cmds=["kedro", "run"])\n'
    )
    project(None, {"dags/space_flights_dag.py": text})
    found = report()
    assert told(found, "task_id") == [
        "dags/space_flights_dag.py:3:37: not known: task_ids are made here when the file is "
        "loaded; whether they stay is not known"
    ]
    assert found["settings"] == {}


# --- the settings files


@pytest.mark.parametrize(
    ("line", "about", "expected"),
    [
        (
            "schedule: null",
            "schedule",
            '1:11: was wrong: schedule: null became the text "None", which is no schedule; here it '
            "is null",
        ),
        (
            "start_date: 2023-06-01",
            "start_date",
            "1:11: was wrong: start_date became datetime(2,0,2,3,-,0,6,-,0,1), which is no Python; "
            "here it is a date",
        ),
        ("retry_delay: 7", "retry_delay", "1:11: stays: 7 is minutes, as before; 7m says so"),
        (
            "schedule_interval: 6h",
            "schedule_interval",
            "1:11: stays: this is schedule, by its older name",
        ),
        (
            "description: Nightly",
            "description",
            "1:11: changes: kedro-airflow's own template does not read 'description'; DagForge "
            "does as it says",
        ),
    ],
)
def test_lines_of_the_settings_are_explained(
    line: str, about: str, expected: str, project: Project
) -> None:
    project(None, {"conf/base/airflow.yml": f"default: {{{line}}}\n"})
    found = report()
    assert told(found, about) == [f"conf/base/airflow.yml:{expected}"]


def test_mappings_that_are_merged_now_are_told(project: Project) -> None:
    text = "default: {params: {a: 1, b: 2}}\ndata_science: {params: {b: 3}}\n"
    project(None, {"conf/base/airflow/more.yml": text})
    assert told(report(), "params")[1:] == [
        "conf/base/airflow/more.yml:2:16: changes: kedro-airflow's own template does not read "
        "'params'; DagForge does as it says",
        "conf/base/airflow/more.yml:2:16: changes: this replaced 'params' of default; now it is "
        "laid over it, and 'a' of default stays",
    ]


def test_the_environment_that_nobody_had_to_name_is_told(project: Project) -> None:
    project("0.11.0", {**ONE_RUN, "conf/local/airflow.yml": "default: {retries: 5}\n"})
    assert told(report(), "env") == [
        "conf/local/airflow.yml:1:1: changes: kedro-airflow read this file unless -e said "
        "otherwise; without -e DagForge reads base alone"
    ]
    assert told(report("-e", "local"), "env") == []


def test_the_command_for_files_of_no_named_environment_works(project: Project) -> None:
    project("0.11.0", {**ONE_RUN, "conf/prod/airflow.yml": ""})
    first, _ = [note["message"] for note in report("-e", "prod")["notes"] if note["about"] == "env"]
    assert first.endswith("`dagforge migrate` does that")


def test_the_environment_of_the_files_is_taken(project: Project) -> None:
    text = (DAGS / "0.11.0/space_flights_dag.py").read_text().replace('"local"', '"cloud"')
    root = project(
        None,
        {
            **ONE_RUN,
            "airflow_dags/space_flights_cloud_dag.py": text,
            "conf/cloud/airflow.yml": "default: {retries: 2}\n",
        },
    )
    found = report()
    assert found["environment"] == "cloud"
    assert [dag["old_file"] for dag in found["dags"]] == ["airflow_dags/space_flights_cloud_dag.py"]
    # Of several, kedro-airflow's default, unless another one is asked for.
    shutil.copy(DAGS / "0.11.0/space_flights_dag.py", root / "airflow_dags")
    found = report()
    assert found["environment"] is None
    assert told(found, "env") == [
        "airflow_dags/space_flights_cloud_dag.py:None:None: not known: this file was made for the "
        "environment 'cloud' and is not looked at now; `dagforge migrate -e cloud` does that"
    ]
    assert report("-e", "cloud")["environment"] == "cloud"


def test_a_file_of_airflow_2_says_that_the_new_one_is_for_airflow_3(project: Project) -> None:
    project("0.10.0", ONE_RUN)
    found = report()
    assert len(told(found, "version")) == len(told(found, "cron_meaning")) == 2
    assert report("--airflow-version", "2.11")["notes"] != found["notes"]
    assert told(report("--airflow-version", "2.11"), "version") == []


# --- templates that go on being used


@pytest.mark.parametrize("template", ["nodes_0_8", "names_0_9", "objects_0_10", "groups_0_11"])
def test_with_its_template_the_task_ids_are_those_of_before(
    template: str, project: Project
) -> None:
    root = project("0.10.0", ONE_RUN)
    shutil.copytree(Path(__file__).parent / "kedro_templates", root / "templates")
    found = report("-j", f"templates/{template}.j2", "--write")
    assert found["settings"] == {}
    rows = [row for dag in found["dags"] for row in dag["tasks"]]
    assert rows
    assert all(row["old"] == row["now"] for row in rows)


def test_a_template_that_is_wrong_is_told_with_what_else_is_known(project: Project) -> None:
    root = project("0.11.0", ONE_RUN)
    (root / "dag.j2").write_text("x = 1\n{% include 'parts.j2' %}\n")
    ran = run("migrate", "-j", "dag.j2")
    assert ran.code == 1
    assert "dag.j2:2: error: there is no template 'parts.j2' [template-not-found]" in ran.err
    assert "was escaped as if it were HTML" in ran.out


# --- input that is wrong


def test_files_that_airflow_could_not_import_are_told(project: Project) -> None:
    broken = "import kedro\nx = 1\ntags = [&#39;a&#39;]\n"
    project("0.11.0", {**ONE_RUN, "airflow_dags/a_dag.py": broken, "airflow_dags/b.py": "("})
    found = report()
    assert told(found, "syntax") == [
        "airflow_dags/a_dag.py:3:9: was wrong: Airflow cannot import this file: invalid syntax: "
        "tags = [&#39;a&#39;]; kedro-airflow escaped what stands there as if it were HTML"
    ]
    assert len(found["dags"]) == 2


def test_without_dag_files_the_settings_are_looked_at(project: Project) -> None:
    project(None, {"conf/base/airflow.yml": "default: {schedule: null}\n"})
    ran = run("migrate")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "no DAG files of kedro-airflow in airflow_dags/ or dags/: only the settings are looked at "
        "(--dags DIR says where the files are)\n\n"
        'conf/base/airflow.yml:1:11: was wrong: schedule: null became the text "None", which is no '
        "schedule; here it is null [schedule]\n"
    )


@pytest.mark.parametrize(("name", "what"), [("nowhere", "does not exist"), ("conf/base/catalog.yml",
                         "is not a folder")])  # fmt: skip
def test_a_folder_that_is_none_is_the_command_lines_fault(
    name: str, what: str, project: Project
) -> None:
    project()
    ran = run("migrate", "--dags", name)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"error: --dags: {name} {what} [no-dags-folder]\n"


def test_what_is_wrong_in_the_settings_is_told_and_nothing_is_written(project: Project) -> None:
    text = b"\xef\xbb\xbfdefault:\r\n  retries: 1\r\n  retries: 2\r\n"
    root = project("0.11.0", {"conf/cloud/airflow.yml": text, "conf/base/airflow.yml": "[]"})
    ran = run("migrate", "--write")
    assert ran.code == 1
    assert "conf/cloud/airflow.yml:3:3: error: the key 'retries' stands here a second" in ran.err
    assert "conf/base/airflow.yml:1:1: error: a settings file holds sections" in ran.err
    assert not (root / SETTINGS).exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"\n", "this file is empty"), (b"\x80\x02", "Airflow cannot import this file")],
)
def test_files_that_lost_what_was_in_them_are_told(
    content: bytes, says: str, project: Project
) -> None:
    project("0.11.0", {**ONE_RUN})
    (DAG_FOLDER / "space_flights_dag.py").write_bytes(content)
    found = report()
    assert [note["file"] for note in found["notes"] if says in note["message"]] == [
        "airflow_dags/space_flights_dag.py"
    ]


def test_one_more_dag_of_a_file_is_told(project: Project) -> None:
    project("0.9.2", ONE_RUN)
    file = DAG_FOLDER / "space_flights_dag.py"
    file.write_text(file.read_text() + file.read_text().replace("space-flights", "other"))
    found = report()
    assert told(found, "order") == []
    assert [note["message"] for note in found["notes"] if note["about"] == "file"] == [
        "this is one more DAG 'other' of the file, which is not compared"
    ]


def test_files_of_others_and_of_dagforge_are_left_alone(project: Project) -> None:
    root = project("0.11.0", ONE_RUN)
    assert run("create", "--all", "--quiet", "-o", "airflow_dags").code == 0
    (root / "airflow_dags/other.py").write_text('with DAG("other"):\n    Op(task_id="a")\n')
    (root / "airflow_dags/old_dag.py").write_text(
        'pipeline_name = "gone"\nimport kedro\nwith DAG("old"):\n    pass\n'
    )
    found = report()
    assert [dag["old_file"] for dag in found["dags"]] == [
        "airflow_dags/space_flights_data_science_dag.py",
        "airflow_dags/space_flights_dag.py",
    ]
    assert told(found, "file") == [
        "airflow_dags/old_dag.py:3:10: changes: there is no pipeline 'gone' any more; nothing "
        "takes this file's place"
    ]


def test_files_of_other_projects_are_left_alone(project: Project) -> None:
    text = (DAGS / "0.11.0/space_flights_dag.py").read_text()
    project("0.11.0", {"airflow_dags/a_dag.py": text.replace("space_flights", "moon"), **ONE_RUN})
    found = report()
    assert len(found["dags"]) == 2
    assert told(found, "file") == [
        "airflow_dags/a_dag.py:None:None: not known: this file is of the package 'moon', and is "
        "left alone"
    ]


def test_values_that_dagforge_refuses_are_not_proposed(project: Project) -> None:
    text = (DAGS / "0.11.0/space_flights_dag.py").read_text()
    project(None, {"airflow_dags/space_flights_dag.py": text.replace("@daily", "61 * * * *")})
    found = report("--write")
    assert "schedule" not in found["settings"]["__default__"]
    assert found["settings"]["__default__"]["retries"] == 2
    assert told(found, "schedule")[0].startswith(
        "None:None:None: changes: schedule of '__default__' cannot be kept as it was: the cron"
    )


def test_a_line_that_wins_over_any_new_one_is_changed_by_hand(project: Project) -> None:
    root = project(
        "0.11.0", {**ONE_RUN, "conf/base/airflow.yml": "data_science: {task_id_style: as-is}\n"}
    )
    found = report("--write")
    assert found["by_hand"] == [
        {"name": "task_id_style", "value": "kedro-airflow", "at": "conf/base/airflow.yml:1:16"}
    ]
    assert "as-is" in (root / "conf/base/airflow.yml").read_text()
    assert "conf/base/airflow.yml:1:16: change this line to `task_id_style: " in run("migrate").out


# --- settings put into a file


WITH_COMMENTS = """\
# Ours.
default:  # for all
  # Why three.
  retries: 3   # see the wiki

data_science:
    owner:   "team-ds"
# The end.
"""


def test_what_stands_in_the_settings_file_stays(project: Project) -> None:
    root = project("0.11.0", {**ONE_RUN, SETTINGS: WITH_COMMENTS})
    (root / "airflow_dags/space_flights_dag.py").unlink()
    assert run("migrate", "--write").code == 0
    assert (
        (root / SETTINGS).read_text()
        == """\
# Ours.
default:  # for all
  task_id_style: kedro-airflow  # task_ids as they were
  # Why three.
  retries: 3   # see the wiki

data_science:
    dag_id: space-flights  # Airflow has its history under this id
    owner:   "team-ds"
# The end.
__default__:
  dag_id: space-flights-default  # 'space-flights' has the history of data_science
"""
    )


def test_byte_order_mark_and_line_ends_of_the_file_stay(project: Project) -> None:
    root = project("0.11.0", {**ONE_RUN, SETTINGS: b"\xef\xbb\xbfdefault:\r\n  retries: 2"})
    assert run("migrate", "--write").code == 0
    assert (root / SETTINGS).read_bytes() == (
        b"\xef\xbb\xbfdefault:\r\n"
        b"  task_id_style: kedro-airflow  # task_ids as they were\r\n  retries: 2"
    )


def test_a_file_that_cannot_be_added_to_is_left_as_it_is(project: Project) -> None:
    root = project("0.11.0", {**ONE_RUN, SETTINGS: "default: {retries: 2}\n"})
    ran = run("migrate", "--write")
    assert ran.code == 1
    assert ran.err == (
        "conf/base/dagforge.yml: error: settings cannot be added to this file without changing "
        "what stands in it [settings-form]\n"
        "  fix: write its sections as indented lines, or paste what `dagforge migrate` prints\n"
    )
    assert (root / SETTINGS).read_text() == "default: {retries: 2}\n"
    assert "(its form does not let --write do it):" in run("migrate").out


NAMES = st.sampled_from(["default", "etl", "R&D", "__default__", "on", "1", "a: b", "ż", "'"])
VALUES = st.sampled_from(["@once", "5m", 3, True, ["a", "b c"], {"a, b": ["x:y", "#z"]}, "", "no"])
SECTIONS = st.dictionaries(
    NAMES, st.dictionaries(st.sampled_from(["dag_id", "x", "y"]), VALUES, min_size=1), max_size=3
)


@given(
    before=SECTIONS,
    added=SECTIONS,
    width=st.integers(1, 6),
    end=st.sampled_from(["", "\n", "\n# end\n", "\n\n"]),
    newline=st.sampled_from(["\n", "\r\n"]),
)
@hypothesis_settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_adding_changes_nothing_that_was_there(
    before: dict[str, Any], added: dict[str, Any], width: int, end: str, newline: str
) -> None:
    new = {
        section: {f"new_{name}": value for name, value in settings.items()}
        for section, settings in added.items()
    }
    text = yaml.safe_dump(before, allow_unicode=True, indent=width) if before else ""
    text = (text.removesuffix("\n") + end).replace("\n", newline)
    document = parse_yaml(text.encode(), "dagforge.yml")
    result = inserted(document, new, {}, newline=newline)
    assert result is not None
    wanted = {**before}
    for section, settings in new.items():
        wanted[section] = {**before.get(section, {}), **settings}
    assert parse_yaml(result.encode(), "dagforge.yml").data == (wanted or None)
    left = iter(result.splitlines())
    assert all(line in left for line in text.splitlines())
