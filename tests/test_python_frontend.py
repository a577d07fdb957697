"""Pipelines in decorated Python: what they become, and that their functions stay what they were."""

from __future__ import annotations

import datetime
import json
import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import dagforge
from dagforge.conf import read_conf
from dagforge.frontends import load
from dagforge.frontends.parameters import fits, schema_of
from dagforge.frontends.python.globals import captured
from dagforge.ir import Pipeline, Work
from dagforge.user_code import import_project_module
from tests.runtime.projects import dagforge as command
from tests.runtime.projects import write_files

FLOWS = '''
    from __future__ import annotations

    from typing import Literal

    import dagforge


    @dagforge.node(tags=["airflow.score", "machine.small"], settings={"retries": 2})
    def score(rows: list[int], limit: float = 0.5, how: Literal["more", "less"] = "more"):
        """Say which rows lie above (or below) the limit."""
        return [(row > limit) == (how == "more") for row in rows]


    @dagforge.node(outputs=["small", "large"])
    def split(rows, at=2):
        return [row for row in rows if row < at], [row for row in rows if row >= at]


    @dagforge.node
    def load(n: int):
        return list(range(n))


    @dagforge.node
    def total(*tables):
        return sum(len(table) for table in tables)


    @dagforge.check(severity="warning")
    def has_rows(rows):
        return bool(rows)


    @dagforge.metric
    def share(scores):
        return sum(scores) / len(scores)


    @dagforge.pipeline
    def prepare(rows):
        return split(rows)


    @dagforge.pipeline
    def flow(n: int = 5, rows=dagforge.dataset("stored")):
        """Score what was loaded."""
        loaded = load(n)
        good = has_rows(loaded)
        small, large = prepare.with_options(namespace="parts")(loaded)
        scores = score.with_options(after=good)(small, limit=1)
        other = score.with_options(name="score_all", tags=[])(rows, how="less")
        share(scores)
        return total(small, large, other)
    '''
FILES = {
    "conf/base/pipelines.yml": 'flow: {python: "flows:flow"}',
    "conf/base/catalog.yml": "stored: {path: stored.json}",
    "conf/base/parameters.yml": "{}",
    "stored.json": "[1, 2, 3]",
    "flows.py": FLOWS,
}


@pytest.fixture(autouse=True)
def _fresh_modules() -> Any:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name in ("flows", "work"):
            del sys.modules[name]


def read(tmp_path: Path, files: dict[str, str] | None = None) -> Pipeline:
    write_files(tmp_path, {**FILES, **(files or {})})
    return load("flow", read_conf(tmp_path))


def module(tmp_path: Path) -> ModuleType:
    write_files(tmp_path, FILES)
    return import_project_module("flows", tmp_path)


def test_calls_become_nodes(tmp_path: Path) -> None:
    pipeline = read(tmp_path)
    assert [
        (node.name, node.inputs, node.outputs, node.after, node.namespace)
        for node in pipeline.nodes
    ] == [
        ("load", ("params:n",), ("load",), (), None),
        ("has_rows", ("load",), (), (), None),
        (
            "parts.split",
            ("load", "params:parts.split.at"),
            ("parts.small", "parts.large"),
            (),
            "parts",
        ),
        (
            "score",
            ("parts.small", "params:score.limit", "params:score.how"),
            ("score",),
            ("has_rows",),
            None,
        ),
        (
            "score_all",
            ("stored", "params:score_all.limit", "params:score_all.how"),
            ("score_all",),
            (),
            None,
        ),
        ("share", ("score",), (), (), None),
        ("total", ("parts.small", "parts.large", "score_all"), ("total",), (), None),
    ]
    assert pipeline.description == "Score what was loaded."


def test_a_node_knows_its_function_and_its_options(tmp_path: Path) -> None:
    nodes = {node.name: node for node in read(tmp_path).nodes}
    score = nodes["score"]
    assert isinstance(score.action, Work)
    assert score.action.target == "flows:score"
    assert score.action.arguments == {
        "rows": "parts.small",
        "limit": "params:score.limit",
        "how": "params:score.how",
    }
    assert score.tags == ("airflow.score", "machine.small")
    assert score.settings == {"retries": 2}
    assert nodes["score_all"].tags == ()
    assert nodes["has_rows"].check == "warning"
    assert nodes["share"].metric
    assert str(score.origin.location()) == "flows.py:8:1"
    assert str((score.origin / "inputs").location()) == "flows.py:50:5"


def test_signatures_declare_parameters(tmp_path: Path) -> None:
    parameters = read(tmp_path).parameters
    assert {name: (each.default, each.schema) for name, each in parameters.items()} == {
        "n": (5, {"type": "integer"}),
        "parts.split.at": (2, {"type": "integer"}),
        "score.limit": (1, {"type": "number"}),
        "score.how": ("more", {"type": "string", "enum": ["more", "less"]}),
        "score_all.limit": (0.5, {"type": "number"}),
        "score_all.how": ("less", {"type": "string", "enum": ["more", "less"]}),
    }


def test_a_parameter_without_a_default_is_required(tmp_path: Path) -> None:
    text = FLOWS.replace("n: int = 5", "n: int")
    assert read(tmp_path, {"flows.py": text}).parameters["n"].required


def test_config_shapes_the_graph(tmp_path: Path) -> None:
    pipeline = read(
        tmp_path,
        {
            "conf/base/pipelines.yml": """
                flow: {python: {function: "flows:flow", config: {regions: [eu, us]}}}
                """,
            "flows.py": """
                import dagforge

                @dagforge.node
                def load(region):
                    return region

                @dagforge.pipeline
                def flow(regions):
                    for region in regions:
                        load.with_options(name=f"load_{region}")(region)
                """,
        },
    )
    assert [node.name for node in pipeline.nodes] == ["load_eu", "load_us"]
    assert {name: each.default for name, each in pipeline.parameters.items()} == {
        "load_eu.region": "eu",
        "load_us.region": "us",
    }


def test_functions_stay_what_they_were(tmp_path: Path) -> None:
    flows = module(tmp_path)
    assert flows.score([1, 2], 1.5) == [False, True]
    assert flows.score.local([1, 2], limit=1.5, how="less") == [True, False]
    assert flows.flow.local(4, rows=[9]) == 5
    assert flows.flow(4, rows=[9]) == 5
    assert flows.score.__doc__.startswith("Say which rows")
    assert pickle.loads(pickle.dumps(flows.score)) is flows.score


def test_a_captured_global_is_warned_of(tmp_path: Path) -> None:
    pipeline = read(
        tmp_path,
        {
            "flows.py": """
                import json
                import re
                from pathlib import Path

                import dagforge

                LIMITS = {"low": 1}
                WORD = re.compile("a")
                HOME = Path("x")
                table = {"a": 1}

                def helper():
                    return 1

                @dagforge.node
                def load():
                    first = [json.dumps(LIMITS), WORD, HOME, helper()]
                    return [table for _ in first]

                @dagforge.pipeline
                def flow():
                    load()
                """
        },
    )
    assert [str(warning) for warning in pipeline.warnings] == [
        "flows.py:18:5: warning: node 'load' uses 'table' (dict), which its module makes when it"
        " is imported: every task makes its own [captured-global]\n"
        "  fix: make it in a node and hand it over, or load it in the function"
    ]


def test_a_wrapped_function_is_looked_into() -> None:
    assert [each.name for each in captured(dagforge.node(_reads_state))] == ["_state"]


_state = [1]


def _reads_state() -> list[int]:
    return [*_state, *(number for number in _state)]


@pytest.mark.parametrize(
    ("annotation", "default", "schema"),
    [
        (int, 1, {"type": "integer"}),
        (None, 1.5, {"type": "number"}),
        (None, None, {}),
        (str, None, {"type": ["string", "null"]}),
        (str | None, None, {"type": ["string", "null"]}),
        (list[int], [1], {"type": "array", "items": {"type": "integer"}}),
        (list[int] | None, [1], {"type": ["array", "null"], "items": {"type": "integer"}}),
        (dict[str, float], {}, {"type": "object", "additionalProperties": {"type": "number"}}),
        (int | str, 1, {"type": ["integer", "string"]}),
        (object, 1, {}),
        (Any, 1, {}),
    ],
)
def test_types_of_parameters(annotation: Any, default: Any, schema: dict[str, Any]) -> None:
    assert schema_of(annotation, default, required=False) == schema
    assert fits(default, schema)


def test_two_projects_in_one_process(tmp_path: Path) -> None:
    first = read(tmp_path / "first")
    text = FLOWS.replace("def load(n: int)", "def load(n: int, step=1)")
    second = read(tmp_path / "second", {"flows.py": text})
    assert first.nodes[0].inputs == ("params:n",)
    assert second.nodes[0].inputs == ("params:n", "params:load.step")


def test_what_a_module_prints_stays_out_of_results(tmp_path: Path) -> None:
    write_files(tmp_path, {**FILES, "flows.py": FLOWS + "\n    print('hello')\n"})
    ran = command(tmp_path, "show", "flow", "--format", "json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)
    assert ran.stderr.startswith("hello\n")


def test_a_run_gives_what_plain_calls_give(tmp_path: Path) -> None:
    write_files(tmp_path, FILES)
    ran = command(tmp_path, "run", "flow", "--params", "score.limit=0,n=7")
    assert ran.returncode == 0, ran.stderr
    shown = command(tmp_path, "runs", "show", "flow", "--format", "json")
    tasks = json.loads(shown.stdout)["tasks"]
    values = {
        name: json.loads(Path(output["uri"].removeprefix("file://")).read_bytes())
        for name, task in tasks.items()
        for output in task["outputs"]
        for name in [output["name"]]
    }
    assert values["parts.small"] == [0, 1]
    assert values["score"] == [False, True]
    assert values["total"] == 2 + 5 + 3
    assert tasks["share"]["metrics"] == {"share": 0.5}
    assert tasks["score"]["parameters"] == {"params:score.limit": 0, "params:score.how": "more"}


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (datetime.date, ["2024-01-31"], ["2024-13-01", "monday", 5]),
        (
            datetime.datetime,
            ["2024-01-31T12:00:00", "2024-01-31T12:00:00Z", "2024-01-31 12:00:00+01:00"],
            ["soon", "2024-01-31T25:00:00"],
        ),
    ],
)
def test_dates_are_looked_at(annotation: Any, good: list[Any], bad: list[Any]) -> None:
    schema = schema_of(annotation, None, required=True)
    assert [fits(value, schema) for value in good] == [True] * len(good)
    assert [fits(value, schema) for value in bad] == [False] * len(bad)


def test_a_pipeline_includes_one_in_python(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {
            "conf/base/pipelines.yml": 'one: {python: "flows:one"}\nall: {include: [one]}\n',
            "flows.py": (
                "import dagforge\n\n\n@dagforge.node\ndef a(x: int = 1):\n    return x\n\n\n"
                "@dagforge.pipeline\ndef one():\n    a()\n"
            ),
        },
    )
    done = command(tmp_path, "show", "all")
    assert done.returncode == 0, done.stderr
    assert "pipeline all: 1 task" in done.stdout
