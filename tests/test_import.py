"""`dagforge import dag-factory`: what becomes of its YAML, and what is refused or left out.

That imported DAGs are those that dag-factory makes is tested in tests/real.
"""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagforge.conf import parse_yaml
from dagforge.importing.project import SourceFile, import_project
from dagforge.importing.yaml_text import to_yaml
from dagforge.reading.parts import MAX_PARTS, Part, read_parts
from dagforge.resources import templates_dir
from dagforge.target import read_target
from tests.projects import AIRFLOW, PIPELINES, Ran, run

AIRFLOW_3 = read_target("airflow", templates_dir())
EMPTY = "airflow.operators.empty.EmptyOperator"
BASH = "airflow.operators.bash.BashOperator"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def import_text(text: str, *options: str, file: str = "dags.yml") -> Ran:
    """Return how the import of one file into the folder `out` goes."""
    write(file, text)
    return run("import", "dag-factory", file, "-o", "out", *options)


def write(file: str, text: str) -> None:
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")


def read(file: str) -> str:
    return Path("out", file).read_text(encoding="utf-8")


def imported(text: str, *options: str) -> tuple[str, str]:
    """Return the pipelines and the settings that a file becomes."""
    ran = import_text(text, *options)
    assert ran.code == 0, ran.err
    return read(PIPELINES), read(AIRFLOW)


def dag(body: str, head: str = "") -> str:
    """Return a DAG with these tasks."""
    indented = textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
    above = textwrap.indent(textwrap.dedent(head).strip("\n"), "  ")
    return f"etl:\n{above}\n  tasks:\n{indented}\n"


def problems(text: str, *options: str) -> list[str]:
    """Return what is said of a file, without places and fixes."""
    told = import_text(text, *options).err
    return [line for line in told.splitlines() if line.startswith("dags.yml:")]


# --- what becomes of a file


def test_a_file_becomes_pipelines_and_settings_with_its_comments() -> None:
    pipelines, settings = imported(
        """
        # Our DAGs.
        default:
          default_args:
            # who is called
            owner: data  # the team
            start_date: 2024-01-31
            retries: 2
          catchup: false

        # Loads the shop.
        shop:
          description: "all: of it"
          schedule: "0 3 * * *"  # at night
          dagrun_timeout: {__type__: datetime.timedelta, hours: 2, minutes: 30}
          tags: [shop, "on"]
          tasks:
            # What it begins with.
            load:
              operator: airflow.operators.bash.BashOperator
              # says one
              bash_command: "echo {{ ds }}"  # with a template
              retries: 0
            check:
              operator: airflow.providers.standard.operators.python.PythonOperator
              python_callable_name: check
              python_callable_file: $DAGS/shop/checks.py
              op_kwargs: {rows: 5}
              dependencies: [load]
        # the end
        """
    )
    assert pipelines == textwrap.dedent(
        """\
        # Loads the shop.
        shop:
          description: "all: of it"
          nodes:
            # What it begins with.
            - name: load
              operator:
                type: airflow.providers.standard.operators.bash.BashOperator
                arguments:
                  # says one
                  bash_command: "echo {{ ds }}"  # with a template
              settings:
                retries: 0

            - name: check
              operator:
                type: airflow.providers.standard.operators.python.PythonOperator
                arguments:
                  python_callable: {import: shop.checks.check}
                  op_kwargs:
                    rows: 5
              after: [load]
        # the end
        """
    )
    assert settings == textwrap.dedent(
        """\
        # Our DAGs.
        default:
          catchup: false
          # who is called
          owner: data  # the team
          start_date: 2024-01-31
          retries: 2

        shop:
          dag_id: shop
          schedule: 0 3 * * *  # at night
          dagrun_timeout: 2h30m
          tags: [shop, "on"]
        """
    )
    assert read("dagforge.toml").splitlines()[2:] == [
        'project = "out"',
        'target = "airflow"',
        'airflow-version = "3.3"',
    ]


def test_what_is_imported_is_compiled_at_once(here: Path) -> None:
    imported(dag(f"a: {{operator: {EMPTY}}}", "start_date: 2024-01-31"))
    assert run("create", "--project", "out").code == 0
    assert (here / "out/dags/etl.py").is_file()
    assert run("create", "--check", "--project", "out").code == 0


def test_the_same_file_gives_the_same_text() -> None:
    text = dag(f"b: {{operator: {EMPTY}}}\na: {{operator: {EMPTY}, dependencies: [b]}}")
    assert imported(text) == imported(text, "--force")


def test_tasks_of_groups_keep_their_ids_and_their_order() -> None:
    text = dag(
        f"""
        a: {{operator: {EMPTY}}}
        b: {{operator: {EMPTY}, task_group_name: inner}}
        c: {{operator: {EMPTY}, task_group_name: outer, dependencies: [b]}}
        d: {{operator: {EMPTY}, dependencies: [outer]}}
        """,
        """
        task_groups:
          inner: {parent_group_name: outer}
          outer: {tooltip: t, dependencies: [a], default_args: {retries: 3}}
        """,
    )
    pipelines, _ = imported(text, "-q")
    assert [
        line.strip() for line in pipelines.splitlines() if "name:" in line or "after" in line
    ] == [
        "- name: a",
        "- name: outer.inner.b",
        "after: [a]",
        "- name: outer.c",
        "after: [outer.inner.b]",
        "- name: d",
        "after: [outer.c]",
    ]
    assert pipelines.count("retries: 3") == 2
    assert [text.split("warning: ")[1] for text in problems(text, "--force")] == [
        "the box that Airflow draws around task group 'inner' is not carried over; its tasks keep "
        "their ids and their order [not-imported]",
        "the box that Airflow draws around task group 'outer' is not carried over, nor is its "
        "tooltip; its tasks keep their ids and their order [not-imported]",
    ]


def test_values_that_yaml_1_1_reads_otherwise_keep_their_meaning() -> None:
    pipelines, _ = imported(
        dag(
            """
            a:
              operator: team.Operator
              yes_: yes
              octal: 017
              minutes: 1:30
              date: 2024-01-31
              text: "017"
              text_on: "on"
              float: 1e3
              small: 1.0e-7
              none: ~
            """
        )
    )
    arguments = pipelines.partition("arguments:\n")[2]
    assert [line.strip() for line in arguments.splitlines()] == [
        "yes_: true",
        "octal: 15",
        "minutes: 90",
        "date: {call: datetime.date, positional: [2024, 1, 31]}",
        'text: "017"',
        'text_on: "on"',
        'float: "1e3"',
        "small: 1.0e-07",
        "none: null",
    ]


def test_anchors_and_merge_keys_are_written_out() -> None:
    pipelines, _ = imported(
        """
        default:
          start_date: 2024-01-31
          tasks: &tasks
            a: {operator: team.Operator, size: 1}
        etl: {tasks: {b: {operator: team.Operator, dependencies: [a]}}}
        more:
          tasks:
            <<: *tasks
            c: {operator: team.Operator}
        """
    )
    assert [line.strip() for line in pipelines.splitlines() if "name:" in line] == [
        "- name: b", "- name: a", "- name: a", "- name: c",
    ]  # fmt: skip


def asset(uri: str) -> dict[str, Any]:
    return {"call": "airflow.sdk.Asset", "args": {"uri": uri}}


def all_of(*each: Any) -> dict[str, Any]:
    return {"call": "airflow.sdk.AssetAll", "positional": [*each]}


def any_of(*each: Any) -> dict[str, Any]:
    return {"call": "airflow.sdk.AssetAny", "positional": [*each]}


A, B, C = asset("a"), asset("b"), asset("c")


@pytest.mark.parametrize(
    ("schedule", "becomes"),
    [
        ("none", None),
        ("'@daily'", "@daily"),
        ("'0 3 * * *'", "0 3 * * *"),
        ("{__type__: datetime.timedelta, days: 1, seconds: 90}", "1d1m30s"),
        ("['s3://a', {__type__: airflow.sdk.Asset, name: b}]",
            [asset("s3://a"), {"call": "airflow.sdk.Asset", "args": {"name": "b"}}]),
        ("{datasets: [a, b]}", all_of(A, B)),
        ("{datasets: 'a'}", A),
        ("{datasets: 'a & b | c'}", any_of(all_of(A, B), C)),
        ("{datasets: 'a & (b | c)'}", all_of(A, any_of(B, C))),
        ("{datasets: !or [a, !and [b, c]]}", any_of(A, all_of(B, C))),
        ("{datasets: {or: [a, {and: [b, c]}]}}", any_of(A, all_of(B, C))),
        ("{__or__: [{__type__: airflow.sdk.Asset, uri: a}, {__type__: airflow.sdk.Asset, uri: b}]}",
            any_of(A, B)),
        ("{datasets: a, timetable: {__type__: airflow.timetables.trigger.CronTriggerTimetable,"
            " __args__: [0 1 * * 3], timezone: UTC}}",
            {"call": "airflow.timetables.assets.AssetOrTimeSchedule",
             "args": {"timetable": {"call": "airflow.timetables.trigger.CronTriggerTimetable",
                                    "positional": ["0 1 * * 3"], "args": {"timezone": "UTC"}},
                      "assets": A}}),
    ],
)  # fmt: skip
def test_schedules(schedule: str, becomes: Any) -> None:
    text = dag(f"a: {{operator: {EMPTY}}}", f"start_date: 2024-01-31\nschedule: {schedule}")
    _, settings = imported(text)
    assert parse_yaml(settings.encode(), AIRFLOW).data["etl"]["schedule"] == becomes


def test_airflow_2_has_other_names() -> None:
    pipelines, settings = imported(
        dag(
            """
            a: {operator: airflow.providers.standard.operators.bash.BashOperator, bash_command: a}
            b: {operator: airflow.operators.dummy_operator.DummyOperator, outlets: ["s3://b"]}
            """,
            "schedule: {datasets: 'a | b'}\nstart_date: 2024-01-31\ndefault_view: graph",
        ),
        "--airflow-version",
        "2.10",
    )
    assert "type: airflow.operators.bash.BashOperator" in pipelines
    assert "type: airflow.operators.empty.EmptyOperator" in pipelines
    assert 'outlets: [{call: airflow.datasets.Dataset, args: {uri: "s3://b"}}]' in pipelines
    assert "call: airflow.datasets.DatasetAny" in settings
    assert "default_view: graph" in settings


def test_defaults_of_several_files_that_differ_go_to_each_pipeline() -> None:
    one = (
        "default: {default_args: {retries: 1, owner: x}}\n"
        f"a: {{tasks: {{t: {{operator: {EMPTY}}}}}}}\n"
    )
    write("one.yml", one)
    write("two.yml", one.replace("retries: 1", "retries: 2").replace("a: {", "b: {"))
    assert run("import", "dag-factory", "one.yml", "two.yml", "-o", "out").code == 0
    assert read(AIRFLOW) == textwrap.dedent(
        """\
        a:
          dag_id: a
          retries: 1
          owner: x

        b:
          dag_id: b
          retries: 2
          owner: x
        """
    )


def test_defaults_yml_beside_and_above_the_file_hold_too() -> None:
    write("dags/defaults.yml", "default_args: {owner: all, retries: 1}\ntags: [all]\n")
    write("dags/team/defaults.yml", "default_args: {retries: 2}\n")
    write("dags/team/etl.yml", dag(f"a: {{operator: {EMPTY}}}"))
    command = ("import", "dag-factory", "dags/team/etl.yml", "-o", "out")
    assert run(*command).code == 0
    assert read(AIRFLOW).startswith("default:\n  retries: 2\n\netl:")
    assert run(*command, "--dags-folder", "dags", "--force").code == 0
    assert read(AIRFLOW).startswith("default:\n  tags: [all]\n  retries: 2\n  owner: all\n\netl:")


def test_defaults_yml_that_is_wrong() -> None:
    write("defaults.yml", "default_args: 5\n")
    assert (
        "defaults.yml:1:1: error: 'default_args' must be a mapping"
        in import_text(dag(f"a: {{operator: {EMPTY}}}")).err
    )


def test_short_names_of_operators() -> None:
    write(
        "defaults.yml",
        "operator_aliases:\n- {operator_alias: Mine, operator_path: team.ops.Mine}\n",
    )
    pipelines, _ = imported(
        dag("a: {operator: Mine}\nb: {operator: BashOperator, bash_command: b}")
    )
    assert "type: team.ops.Mine" in pipelines
    assert "type: airflow.providers.standard.operators.bash.BashOperator" in pipelines
    assert "did you mean 'BashOperator'?" in import_text(dag("a: {operator: BasOperator}")).err


@pytest.mark.parametrize(
    ("file", "folder", "module"),
    [
        ("$ROOT/jobs.py", None, "jobs.run"),
        ("${ROOT}/shop/jobs.py", None, "shop.jobs.run"),
        ("/usr/local/airflow/dags/shop/jobs.py", None, "shop.jobs.run"),
        ("/opt/flows/shop/jobs.py", "/opt/flows", "shop.jobs.run"),
        ("/opt/flows/jobs.py", None, None),
        ("/opt/dags/jobs.txt", None, None),
    ],
)
def test_a_function_in_a_file_is_imported_from_the_dags_folder(
    file: str, folder: str | None, module: str | None
) -> None:
    text = dag(
        f"""
        a:
          operator: airflow.operators.python.PythonOperator
          python_callable_name: run
          python_callable_file: {file}
        """
    )
    ran = import_text(text, *(() if folder is None else ("--dags-folder", folder)))
    assert ran.code == (0 if module else 1)
    if module:
        assert f"python_callable: {{import: {module}}}" in read(PIPELINES)
    else:
        assert "does not lie in the DAGs folder" in ran.err


# --- what is not carried over


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("start_date: 2 days", "'start_date' is '2 days' ago, counted from each day anew"),
        ("start_date: soon", "'start_date' is no date that"),
        ("default_args: {catchup: false}", "'catchup' in default_args is given to tasks"),
        ("default_args: {gcp_conn_id: x}", "'gcp_conn_id' in default_args goes to those"),
        ("default_args: {retry_delay_sec: 300}", "dag-factory reads 'retry_delay_sec' no more"),
        ("dagrun_timeout_sec: 60", "dag-factory reads 'dagrun_timeout_sec' no more"),
        ("retries: 3", "'retries' beside the tasks is not read by dag-factory"),
        ("on_failure_callback_name: f", "'on_failure_callback_name' is of no use without"),
        ("on_failure_callback_file: f.py", "'on_failure_callback_file' is of no use without"),
        ("colour: red", "'colour' is not read by dag-factory"),
        ("doc_md_file_path: /x.md", "'doc_md_file_path' has the DAG's documentation"),
        ("default_view: graph", "Airflow 3.3 has no default_view"),
        ("on_execute_callback: a.b", "a DAG has no on_execute_callback, and dag-factory"),
        ("description: in $HOME", "dag-factory fills in $HOME where it is set"),
    ],
)  # fmt: skip
def test_what_a_dag_goes_without(head: str, message: str) -> None:
    text = dag(f"a: {{operator: {EMPTY}}}", head)
    (told,) = problems(text)
    assert told.startswith("dags.yml:2:")
    assert f"warning: {message}" in told
    assert told.endswith("[not-imported]")
    assert run("import", "dag-factory", "dags.yml", "-o", "out2", "--strict").code == 1
    assert not Path("out2").exists()


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ("a: {operator: t.Op, expand: {x: [1]}}", "4:25: error: the task 'a' is mapped"),
        ("a: {operator: t.Op, partial: {x: 1}, expand: {y: [1]}}", "the task 'a' is mapped"),
        ("a: {decorator: airflow.sdk.task, python_callable: m.f, x: +b}", "the result of 'b'"),
        ("a: {decorator: airflow.sdk.task.bash, python_callable: m.f}", "task.bash"),
        ("a: {decorator: airflow.sdk.task}", "the task 'a' has no python_callable"),
        ("a: {decorator: airflow.sdk.task, python_callable: m.f, args: 1}", "gives 'args'"),
        ("a: {}", "the task 'a' has no operator"),
        ("a: {operator: [x]}", "the task 'a' has no operator"),
        ("a: {operator: Nothing}", "no import path: Nothing"),
        ("a: {operator: 't.Op()'}", "no import path: t.Op()"),
        ("a: 5", "'a' in 'tasks' must be a mapping"),
        ("a: {operator: t.Op, x: !join text}", "what is joined must be a list"),
        ("a: {operator: t.Op, x: !join {y: [z]}}", "what is joined must be a list"),
        ("a: {operator: t.Op, x: {__join__: text}}", "what is joined must be a list"),
        ("- {operator: t.Op}", "an entry of 'tasks' has no 'task_id'"),
        ("- {task_id: a, operator: t.Op}\n- {task_id: a, operator: t.Op}", "two of the name 'a'"),
        ("a: {operator: t.Op, dependencies: [c]}", "there is no task or group 'c'"),
        ("a: {operator: t.Op, dependencies: b}", "'dependencies' must be a list"),
        ("'a b': {operator: t.Op}", "the task 'a b': Airflow takes no such id"),
        ("a: {operator: t.Op, success_check_lambda: 'lambda x: x'}", "has code in"),
        ("a: {operator: t.Op, variables_as_arguments: [{variable: v, attribute: x}]}", "Variables"),
        ("a: {operator: t.Op, outlets: {file: x.yml, datasets: [d]}}", "in another file"),
        ("a: {operator: t.Op, on_failure_callback: [a.b]}", "a callback is"),
        ("a: {operator: t.Op, on_failure_callback: {callback: 'x y'}}", "no import path: x y"),
        ("a: {operator: t.Op, x: {__type__: 'os;system'}}", "this is no import path: os;system"),
        ("a: {operator: t.Op, x: {__type__: a.B, __args__: 5}}", "__args__ must be a list"),
        ("a: {operator: t.Op, x: !!binary aGVsbG8=}", "binary data cannot be carried over"),
        ("a: {operator: t.Op, x: !env HOME}", "the tag !env is not known here"),
        ("a: {operator: t.Op, x: !!python/object:os.system {}}", "python/object:os"),
        ("a: {operator: t.Op, x: {import: y}}", "these keys means an object"),
        ("a: {operator: t.Op, execution_delta: soon}", "'soon' is no length of time"),
    ],
)  # fmt: skip
def test_what_is_refused(tasks: str, message: str) -> None:
    ran = import_text(dag(tasks))
    assert ran.code == 1
    assert message in ran.err
    assert "[import-refused]" in ran.err
    assert "Traceback" not in ran.err
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "error: there is no DAG in what was given [import-refused]"),
        ("# nothing\n", "error: there is no DAG in what was given [import-refused]"),
        ("- a\n", "dags.yml:1:1: error: the file is no mapping of DAGs [import-refused]"),
        ("a: 5\n", "dags.yml:1:1: error: the DAG 'a' is no mapping [import-refused]"),
        ("a: {tasks: {}}\n", "dags.yml:1:1: error: the DAG 'a' has no tasks [import-refused]"),
        ("a: {tasks: 5}\n", "dags.yml:1:5: error: 'tasks' must be"),
        ("__extends__: [b.yml]\n", "1:1: error: files that extend others"),
        ("_a: {tasks: {t: {operator: t.O}}}", "begins with '_'"),
        ("'a,b': {tasks: {t: {operator: t.O}}}", "holds a comma"),
        ("a: {default_args: 5, tasks: {t: {operator: t.O}}}", "'default_args' must be a mapping"),
        ("default: 5\na: {tasks: {t: {operator: t.O}}}", "1:1: error: 'default' must be a mapping"),
        ("a: [\n", "dags.yml:1:5: error: the file ends where a value or"),
        ("a: 1\na: 2\n", "dags.yml:2:1: error: 'a' stands here twice [yaml-syntax]"),
        ("1: 2\n", "dags.yml:1:1: error: the name in front of ':'"),
        ("a: *b\n", "dags.yml:1:4: error: *b stands for nothing that is complete here"),
        ("a: &a [*a]\n", "dags.yml:1:8: error: *a stands for nothing that is complete here"),
        ("a: 1\n---\nb: 2\n", "a second document begins here, and only one is read"),
        ("a: " + "[" * 3000 + "]" * 3000, "this is nested more than 100 deep"),
        ("a: 2024-13-45\n", "dags.yml:1:4: error: this cannot be read: month must be in 1..12"),
        ("a: {schedule: {datasets: '" + "(" * 5000 + "'}, tasks: {t: {operator: t.O}}}",
            "condition cannot be read"),
        ("a: {schedule: {datasets: 'x &'}, tasks: {t: {operator: t.O}}}", "cannot be read"),
        ("a: {schedule: {x: 1}, tasks: {t: {operator: t.O}}}", "this is no schedule"),
        ("a: {start_date: 1 days, catchup: true, tasks: {t: {operator: t.O}}}",
            "and the DAG catches up from there [import-refused]"),
        ("a: {task_groups: {g: {parent_group_name: h}}, tasks: {t: {operator: t.O}}}",
            "there is no task group 'h'"),
        ("a: {task_groups: {g: {parent_group_name: g}}, tasks: {t: {operator: t.O}}}",
            "the task group 'g' lies in itself"),
        ("a: {task_groups: {g: {}}, tasks: {t: {operator: t.O, task_group_name: h}}}",
            "there is no task group 'h'"),
        ("a: {task_groups: {t: {}}, tasks: {t: {operator: t.O}}}",
            "a task and a task group are both called 't'"),
    ],
)  # fmt: skip
def test_files_that_are_refused(text: str, message: str) -> None:
    ran = import_text(text)
    assert ran.code == 1
    assert message in ran.err
    assert "Traceback" not in ran.err
    assert not Path("out").exists()


def test_an_alias_in_an_alias_is_not_written_out_for_ever() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    ran = import_text("\n".join(lines))
    assert (ran.code, f"more than {MAX_PARTS:,} values" in ran.err) == (1, True)


def test_what_dagforge_itself_refuses_is_told_at_the_line_that_it_comes_from() -> None:
    ran = import_text(
        f"""
        etl:
          schedule: "61 * * * *"
          tasks:
            b: {{operator: {BASH}, retries: many, bash_command: b}}
        template:
          tasks:
            a: {{operator: {BASH}, bash_command: "{{{{ ds"}}
        round:
          tasks:
            c: {{operator: {EMPTY}, dependencies: [d]}}
            d: {{operator: {EMPTY}, dependencies: [c]}}
        """
    )
    assert ran.code == 1
    told = [line.split(" error: ") for line in ran.err.splitlines() if " error: " in line]
    assert [place for place, _ in told] == [
        "dags.yml:2:13:", "dags.yml:4:65:", "dags.yml:7:70:", "dags.yml:10:5:"
    ]  # fmt: skip
    assert "the cron '61 * * * *' is wrong" in told[0][1]
    assert "'retries' must be a whole number" in told[1][1]
    assert "is a template of Airflow that it cannot read" in told[2][1]
    assert told[3][1].startswith("nodes of pipeline 'round' wait for each other")
    assert not Path("out").exists()


def test_all_problems_of_all_files_are_told_at_once_by_place() -> None:
    write("b.yml", dag("a: {operator: t.Op, expand: {x: [1]}}"))
    write("a.yml", "x: {tasks: {t: {}}}\ny: {tasks: {t: {operator: t.O, dependencies: [u]}}}\n")
    ran = run("import", "dag-factory", "b.yml", "a.yml")
    assert [line.split(" error:")[0] for line in ran.err.splitlines() if " error:" in line] == [
        "a.yml:1:13:", "a.yml:2:47:", "b.yml:4:25:"
    ]  # fmt: skip


def test_the_rest_is_written_where_that_is_asked_for() -> None:
    text = (
        f"good: {{tasks: {{a: {{operator: {EMPTY}}}}}}}\n"
        "mapped: {tasks: {a: {operator: t.Op, expand: {x: [1]}}}}\n"
    )
    assert import_text(text).code == 1
    ran = import_text(text, "--skip-refused")
    assert ran.code == 0
    assert "dags.yml:2:38: warning: the task 'a' is mapped" in ran.err
    assert "1 DAG imported" in ran.out
    assert read(PIPELINES).startswith("good:\n")
    assert "mapped" not in read(PIPELINES)
    mapped = text.splitlines()[1] + "\n"
    assert import_text(mapped, "--skip-refused", "--force").code == 1


def test_two_dags_of_one_name() -> None:
    text = f"etl: {{tasks: {{a: {{operator: {EMPTY}}}}}}}\n"
    write("one.yml", text)
    write("two.yml", text)
    ran = run("import", "dag-factory", "one.yml", "two.yml", "-o", "out")
    assert (ran.code, "there is a DAG 'etl' already, at one.yml:1:1" in ran.err) == (1, True)
    # One file that is named twice is one file.
    assert run("import", "dag-factory", "one.yml", "./one.yml", "-o", "out").code == 0


def test_files_that_are_there_are_not_overwritten() -> None:
    text = dag(f"a: {{operator: {EMPTY}}}")
    write(f"out/{PIPELINES}", "mine: {}\n")
    write("out/dagforge.toml", 'project = "mine"\n')
    ran = import_text(text)
    told = "out/conf/base/pipelines.yml: error: this file exists and holds something else"
    assert (ran.code, told in ran.err) == (1, True)
    assert read(PIPELINES) == "mine: {}\n"
    assert not Path("out", AIRFLOW).exists()
    assert import_text(text, "--force").code == 0
    # The project's own facts stay.
    assert read("dagforge.toml") == 'project = "mine"\n'


def test_problems_are_told_to_programs_too() -> None:
    ran = import_text(dag("a: {operator: t.Op, expand: {x: [1]}}"), "--message-format", "github")
    assert ran.out.startswith(
        "::error file=dags.yml,line=4,col=25,title=import-refused::the task 'a'"
    )
    assert ran.err == ""


def test_what_cannot_be_read_is_told() -> None:
    ran = run("import", "dag-factory", "nowhere.yml")
    assert (ran.code, "does not exist" in ran.err) == (2, True)
    Path("dags.yml").write_bytes(b"a: \xff\n")
    ran = run("import", "dag-factory", "dags.yml")
    assert (ran.code, "dags.yml:1:4: error: the byte 0xff is not UTF-8" in ran.err) == (1, True)
    ran = import_text(dag(f"a: {{operator: {EMPTY}}}"), "--airflow-version", "1.10")
    assert (ran.code, "[unknown-version]" in ran.err) == (2, True)


def test_the_example_of_the_documentation_is_true() -> None:
    page = (Path(__file__).parents[1] / "docs/from-dag-factory.md").read_text(encoding="utf-8")
    before, pipelines, settings = re.findall(
        r"^```yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE
    )
    found = imported(before)
    assert (f"# {PIPELINES}\n{found[0]}", f"# {AIRFLOW}\n{found[1]}") == (pipelines, settings)


# --- whatever stands there

ODD = """on 0123 1:30 a:_b a_#b -_a {{_ds_}} @daily *_* | ' " \\ % # ~ _x x_ <<: !t &a *a ? ---"""
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.sampled_from([word.replace("_", " ") for word in ODD.split()]),
    st.sampled_from(["", "line\nbreak\n", "\n\n", "a\n\n b", "#\n#"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("ab:#- é", min_size=1, max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)  # fmt: skip


def part_of(value: Any) -> Part:
    """Return a value as parts, with a comment at each."""
    if isinstance(value, dict):
        made: Any = {key: part_of(inner) for key, inner in value.items()}
    elif isinstance(value, list):
        made = tuple(part_of(inner) for inner in value)
    else:
        made = value
    return Part(made, before=("# above",), after="# behind")


@given(st.dictionaries(st.sampled_from(["a", "b b", "c:"]), VALUES, max_size=3))
@settings(deadline=None, max_examples=200)
def test_what_is_written_is_read_again(value: dict[str, Any]) -> None:
    text = to_yaml(part_of(value))
    assert repr(parse_yaml(text.encode(), "x.yml").data or {}) == repr(value), text
    # As PyYAML reads it, it is the same: what is quoted for one reader is quoted for all.
    assert repr(read_parts(text.encode(), "x.yml").plain or {}) == repr(value), text


WORDS = st.sampled_from(
    ["default", "default_args", "tasks", "task_groups", "operator", "decorator", "dependencies",
     "schedule", "datasets", "timetable", "start_date", "__type__", "__args__", "__and__", "__or__",
     "__join__", "items", "callback", "on_failure_callback", "on_failure_callback_name",
     "on_failure_callback_file", "python_callable", "python_callable_name", 
     "python_callable_file", "retry_delay", "retry_delay_sec", "params",
     "inlets", "outlets", "user_defined_macros", "expand",
     "parent_group_name", "task_group_name", "task_id", "group_name", "operator_aliases", "t", "g"]
)  # fmt: skip
LEAVES = st.sampled_from(
    [EMPTY, "t.Op", "t", "g", "2 days", "@daily", "0 3 * * *", "a & b", "$X/y.py", "builtins.list",
     "datetime.timedelta", "airflow.sdk.Param", "airflow.sdk.task", "+t", 5, -1.5, True, None, ""]
)  # fmt: skip
FILES = st.dictionaries(
    WORDS,
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
        max_leaves=25,
    ),
    max_size=4,
)


@given(FILES)
@settings(deadline=None, max_examples=200)
def test_no_file_makes_the_import_itself_fail(value: dict[str, Any]) -> None:
    source = SourceFile(read_parts(json.dumps(value).encode(), "dags.yml"))
    found = import_project([source], AIRFLOW_3, None)
    assert found.dags or found.problems
    for name, text in found.texts().items():
        parse_yaml(text.encode(), name)
