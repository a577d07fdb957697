"""Pipelines in Hamilton: what its functions become, what is refused, and what a task computes.

Behaviour of Hamilton that a generator has to know was measured from 1.46 to 1.90; what could go
wrong silently has a test here.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dagforge.conf import read_conf
from dagforge.errors import DagForgeError
from dagforge.frontends import load, registry
from dagforge.ir import Pipeline, Work
from dagforge.runtime.hamilton import NodeFailed, Told, run_part
from tests.projects import run, write_project

DEFAULT = {"conf/base/parameters.yml": "{}"}


@pytest.fixture(autouse=True)
def _own_modules() -> Iterator[None]:
    path = list(sys.path)
    yield
    sys.path[:] = path


def project(tmp_path: Path, hamilton: str, files: Mapping[str, str]) -> Path:
    return write_project(
        tmp_path,
        {**DEFAULT, "conf/base/pipelines.yml": f"flow: {{hamilton: {hamilton}}}", **files},
    )


def read(tmp_path: Path, hamilton: str, **modules: str) -> Pipeline:
    files = {f"{name}.py": text for name, text in modules.items()}
    return load("flow", read_conf(project(tmp_path, hamilton, files)))


def refused(tmp_path: Path, hamilton: str, **modules: str) -> list[str]:
    with pytest.raises(DagForgeError) as caught:
        read(tmp_path, hamilton, **modules)
    return [str(problem) for problem in caught.value.problems]


def edges(pipeline: Pipeline) -> dict[str, tuple[str, ...]]:
    return {node.name: node.inputs for node in pipeline.nodes}


def compute(
    tmp_path: Path,
    pipeline: Pipeline,
    nodes: list[str],
    values: Mapping[str, Any],
    wanted: set[str] | None = None,
) -> tuple[dict[str, Any], Told]:
    """Run some nodes of a pipeline in this process, and ask for all that they give."""
    conf = read_conf(tmp_path)
    by_name = {node.name: node for node in pipeline.nodes}
    chosen = [by_name[name] for name in nodes]
    told = Told(lambda _: None)
    wanted = wanted or {output for node in chosen for output in node.outputs}
    with contextlib.redirect_stderr(io.StringIO()):
        made = run_part(chosen, values, wanted, conf=conf, registry=registry(conf), told=told)
    return made, told


SUMS = """
    def rows(size: int) -> list:
        return list(range(size))

    def doubled(rows: list) -> list:
        return [2 * row for row in rows]

    def total(rows: list, doubled: list, start: int = 0) -> int:
        '''Sum of all.'''
        return start + sum(rows) + sum(doubled)
    """


def test_functions_become_nodes(tmp_path: Path) -> None:
    pipeline = read(tmp_path, "{modules: [sums], inputs: {size: 3}}", sums=SUMS)
    assert edges(pipeline) == {
        "doubled": ("rows",),
        "rows": ("params:size",),
        "total": ("rows", "doubled", "params:start"),
    }
    node = pipeline.nodes[0]
    assert node.action == Work("hamilton", "doubled", pipeline="flow")
    assert (node.outputs, node.module) == (("doubled",), "sums")
    assert str(node.origin.location()) == "sums.py:4:1"
    assert {
        name: (each.default, each.required, each.schema)
        for name, each in pipeline.parameters.items()
    } == {
        "size": (3, False, {"type": "integer"}),
        "start": (0, False, {"type": "integer"}),
    }


def test_outputs_cut_the_graph(tmp_path: Path) -> None:
    pipeline = read(tmp_path, "{modules: [sums], inputs: {size: 3}, outputs: doubled}", sums=SUMS)
    assert sorted(edges(pipeline)) == ["doubled", "rows"]
    assert list(pipeline.parameters) == ["size"]


def test_an_input_without_a_value_has_to_be_given(tmp_path: Path) -> None:
    for inputs in ("[size]", "{size: null}"):
        pipeline = read(tmp_path, f"{{modules: [sums], inputs: {inputs}}}", sums=SUMS)
        assert pipeline.parameters["size"].required


def test_an_input_may_be_a_dataset(tmp_path: Path) -> None:
    files = {"sums.py": SUMS, "conf/base/catalog.yml": "stored: {path: size.json}"}
    root = project(tmp_path, "{modules: [sums], datasets: {size: stored}}", files)
    assert edges(load("flow", read_conf(root)))["rows"] == ("stored",)


# --- tags


def test_a_tag_holds_for_every_node_of_its_function(tmp_path: Path) -> None:
    pipeline = read(
        tmp_path,
        "{modules: [frames]}",
        frames="""
            import pandas as pd
            from hamilton.function_modifiers import extract_columns, tag

            @tag(airflow="prepare", machine="medium", owner="a.b")
            @extract_columns("age", "pets")
            def frame() -> pd.DataFrame:
                return pd.DataFrame({"age": [1, 2], "pets": [0, 1]})

            @tag(airflow=["x", "y"])
            def both(age: pd.Series) -> int:
                return 1
            """,
    )
    tags = {node.name: node.tags for node in pipeline.nodes}
    of_frame = ("airflow.prepare", "machine.medium", "owner.a.b")
    assert tags == {
        "age": of_frame,
        "frame": of_frame,
        "pets": of_frame,
        "both": ("airflow.x", "airflow.y"),
    }
    assert pipeline.grouping == "tags"


def test_tags_of_single_nodes_stay_theirs(tmp_path: Path) -> None:
    pipeline = read(
        tmp_path,
        "{modules: [frames]}",
        frames="""
            import pandas as pd
            from hamilton.function_modifiers import extract_columns, tag

            @tag(airflow="a", target_="age")
            @tag(airflow="b", target_="pets")
            @extract_columns("age", "pets")
            def frame() -> pd.DataFrame:
                return pd.DataFrame({"age": [1, 2], "pets": [0, 1]})
            """,
    )
    assert {node.name: node.tags for node in pipeline.nodes} == {
        "age": ("airflow.a",),
        "frame": (),
        "pets": ("airflow.b",),
    }


# --- what Hamilton takes for an input without a word


VARIANTS = """
    from hamilton.function_modifiers import config

    @config.when(region="eu")
    def rate__eu() -> float:
        return 0.2

    @config.when(region="us")
    def rate__us() -> float:
        return 0.1

    def price(rate: float, net: float) -> float:
        return net * (1 + rate)
    """


def test_the_config_chooses(tmp_path: Path) -> None:
    pipeline = read(
        tmp_path,
        "{modules: [prices], config: {region: us}, variants: [{region: eu}], inputs: [net]}",
        prices=VARIANTS,
    )
    assert edges(pipeline) == {"price": ("rate", "params:net"), "rate": ()}
    made, _ = compute(tmp_path, pipeline, ["rate", "price"], {"params:net": 10.0})
    assert made == {"price": 11.0, "rate": 0.1}


def test_a_config_that_matches_nothing(tmp_path: Path) -> None:
    assert refused(
        tmp_path, "{modules: [prices], config: {region: uk}, inputs: [net]}", prices=VARIANTS
    ) == [
        "prices.py:11:1: error: 'price' needs 'rate', which no variant computes with the config of"
        " 'flow' (region='uk'): there is prices.rate__eu, prices.rate__us [config-no-match]\n"
        "  fix: set the config that one of them asks for, or declare rate among the inputs"
    ]


def test_a_declared_variant_that_does_not_work(tmp_path: Path) -> None:
    says = refused(
        tmp_path,
        "{modules: [prices], config: {region: eu}, variants: [{region: us}, {region: uk}],"
        " inputs: [net]}",
        prices=VARIANTS,
    )
    assert says == [
        "conf/base/pipelines.yml:1:85: error: variant 2 (region='uk'): 'price' needs 'rate', which"
        " no variant computes with the config of 'flow' (region='uk'): there is prices.rate__eu,"
        " prices.rate__us (prices.py:11:1) [config-no-match]\n"
        "  fix: set the config that one of them asks for, or declare rate among the inputs"
    ]


def test_a_variant_that_hamilton_cannot_build(tmp_path: Path) -> None:
    says = refused(
        tmp_path,
        "{modules: [m], variants: [{task: b}]}",
        m="""
            from hamilton.function_modifiers import config

            @config.when_not(task="b")
            def x__a() -> int:
                return 1

            @config.when(task="b")
            def x__b():
                return 1
            """,
    )
    assert len(says) == 1
    assert "variant 1 (task='b'): function 'x__b' does not state what it returns" in says[0]
    assert "[hamilton-build]" in says[0]


def test_an_undeclared_input(tmp_path: Path) -> None:
    assert refused(tmp_path, "{modules: [sums], inputs: {sise: 3}}", sums=SUMS) == [
        "sums.py:1:1: error: 'rows' needs 'size', which no function computes and `inputs` does not"
        " declare [undeclared-input]\n"
        "  fix: add it to `inputs` in conf/base/pipelines.yml, or write the function",
        "conf/base/pipelines.yml:1:45: error: no function takes the input 'sise' [unknown-input]\n"
        "  fix: did you mean 'size'?",
    ]


def test_a_misspelt_argument(tmp_path: Path) -> None:
    text = SUMS.replace("def total(rows: list, doubled", "def total(rows: list, dubled")
    text = text.replace("sum(doubled)", "sum(dubled)")
    [says] = refused(tmp_path, "{modules: [sums], inputs: [size]}", sums=text)
    assert "'total' needs 'dubled'" in says
    assert "fix: did you mean 'doubled'? Else add it to `inputs`" in says


def test_an_input_that_a_function_computes(tmp_path: Path) -> None:
    # Hamilton would ignore it and compute the value.
    [says] = refused(tmp_path, "{modules: [sums], inputs: {size: 3, rows: [1]}}", sums=SUMS)
    assert says == (
        "conf/base/pipelines.yml:1:54: error: the input 'rows' is computed by a function, and what"
        " a run gives would be ignored [unknown-input]\n  fix: take it out"
    )


def test_a_key_in_config_and_inputs(tmp_path: Path) -> None:
    [says] = refused(tmp_path, "{modules: [sums], config: {size: 1}, inputs: {size: 3}}", sums=SUMS)
    assert "'size' is in the config and among the inputs" in says
    assert "[duplicate-key]" in says


def test_config_is_no_parameter(tmp_path: Path) -> None:
    pipeline = read(tmp_path, "{modules: [sums], config: {size: 2}}", sums=SUMS)
    assert edges(pipeline)["rows"] == ()
    made, _ = compute(tmp_path, pipeline, ["rows", "doubled"], {})
    assert made == {"rows": [0, 1], "doubled": [0, 2]}


def test_an_unknown_output(tmp_path: Path) -> None:
    [says] = refused(
        tmp_path, "{modules: [sums], inputs: [size], outputs: [totl, size]}", sums=SUMS
    )[:1]
    assert says == (
        "conf/base/pipelines.yml:1:62: error: the output 'totl' is computed by no function"
        " [unknown-output]\n  fix: did you mean 'total'?"
    )


def test_a_default_that_is_no_plain_data_is_the_functions_own(tmp_path: Path) -> None:
    pipeline = read(
        tmp_path,
        "{modules: [m]}",
        m="""
            def x(day: object = frozenset({1}), n: int = 2) -> int:
                return n + len(day)
            """,
    )
    assert edges(pipeline) == {"x": ("params:n",)}
    made, _ = compute(tmp_path, pipeline, ["x"], {"params:n": 4})
    assert made == {"x": 5}


# --- graphs that are none


def test_a_cycle_of_functions(tmp_path: Path) -> None:
    # Hamilton builds it without a word.
    [says] = refused(
        tmp_path,
        "{modules: [m]}",
        m="""
            def a(c: int) -> int:
                return c

            def b(a: int) -> int:
                return a

            def c(b: int) -> int:
                return b
            """,
    )
    assert "[node-cycle]" in says
    assert "a -[a]-> b -[b]-> c -[c]-> a" in says


def test_a_function_without_annotations(tmp_path: Path) -> None:
    [says] = refused(tmp_path, "{modules: [m]}", m="def a(b: int):\n    return b\n")
    assert says.startswith("m.py:1:1: error: function 'a' does not state what it returns")


def test_two_modules_with_one_function(tmp_path: Path) -> None:
    one, two = "def x() -> int:\n    return 1\n", "def x() -> int:\n    return 2\n"
    [says] = refused(tmp_path, "{modules: [one, two]}", one=one, two=two)
    assert "[hamilton-build]" in says
    assert "allow_overrides: true" in says
    pipeline = read(tmp_path, "{modules: [one, two], allow_overrides: true}", one=one, two=two)
    assert compute(tmp_path, pipeline, ["x"], {})[0] == {"x": 2}
    assert pipeline.nodes[0].module == "two"


# --- what must stay together


REPEATED = """
    from hamilton.htypes import Collect, Parallelizable

    def top() -> int:
        return 3

    def number(top: int) -> Parallelizable[int]:
        yield from range(top)

    def squared(number: int, power: int = 2) -> int:
        return number**power

    def shifted(squared: int) -> int:
        return squared + 1

    def summed(shifted: Collect[int]) -> int:
        return sum(shifted)

    def result(summed: int) -> int:
        return 10 * summed
    """


def test_a_repeated_part_is_one_block(tmp_path: Path) -> None:
    pipeline = read(tmp_path, "{modules: [repeated]}", repeated=REPEATED)
    assert {node.name: node.block for node in pipeline.nodes} == {
        "top": None,
        "number": "number",
        "squared": "number",
        "shifted": "number",
        "summed": "number",
        "result": None,
    }


def test_a_repeated_part_runs(tmp_path: Path) -> None:
    pipeline = read(tmp_path, "{modules: [repeated]}", repeated=REPEATED)
    block = ["number", "squared", "shifted", "summed"]
    made, told = compute(tmp_path, pipeline, block, {"top": 4, "params:power": 1}, {"summed"})
    # An override inside the block would have given a wrong result without a word.
    assert made["summed"] == 0 + 1 + 2 + 3 + 4
    assert set(told.executed) == set(block)
    made, told = compute(tmp_path, pipeline, ["result"], {"summed": 7})
    assert (made, told.executed) == ({"result": 70}, ["result"])


def test_a_border_inside_a_repeated_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "repeated.py": REPEATED,
        "conf/base/airflow.yml": "flow: {grouping: {a: [squared], b: [result]}}",
    }
    monkeypatch.chdir(project(tmp_path, "{modules: [repeated]}", files))
    ran = run("show", "flow")
    assert ran.code == 1
    assert ran.err == (
        "repeated.py:12:1: error: the nodes of block 'number' must share a task [block-parted]\n"
        "  number: in group 'a'\n"
        "  shifted: in group 'b'\n"
        "  squared: in group 'a'\n"
        "  summed: in group 'b'\n"
        "  fix: list shifted and summed under 'a' in 'grouping'\n"
    )


def test_tags_that_part_a_repeated_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = REPEATED.replace("def squared", '@tag(airflow="one")\n    def squared').replace(
        "def shifted", '@tag(airflow="two")\n    def shifted'
    )
    text = "from hamilton.function_modifiers import tag\n" + "\n".join(
        line.removeprefix("    ") for line in text.splitlines()
    )
    monkeypatch.chdir(project(tmp_path, "{modules: [repeated]}", {"repeated.py": text}))
    ran = run("show", "flow")
    assert ran.code == 1
    assert "the nodes of block 'number' must share a task [block-parted]" in ran.err


CHECKED = """
    import pandas as pd
    from hamilton.function_modifiers import check_output

    @check_output(range=(0, 10), importance="{importance}")
    def checked(size: int) -> int:
        return size

    def after(checked: int) -> int:
        return checked + 1
    """


@pytest.mark.parametrize("importance", ["warn", "fail"])
def test_checks_stay_with_what_they_check(tmp_path: Path, importance: str) -> None:
    pipeline = read(
        tmp_path,
        "{modules: [m], inputs: [size]}",
        m=CHECKED.replace("{importance}", importance),
    )
    assert {node.name: node.block for node in pipeline.nodes} == {
        "after": None,
        "checked": "checked",
        "checked_range_validator": "checked",
        "checked_raw": "checked",
    }
    block = ["checked_raw", "checked_range_validator", "checked"]
    made, told = compute(tmp_path, pipeline, block, {"params:size": 5})
    assert made["checked"] == 5
    assert [(check.node, check.passed) for check in told.checks] == [
        ("checked_range_validator", True)
    ]
    if importance == "warn":
        made, told = compute(tmp_path, pipeline, block, {"params:size": 50})
        assert made["checked"] == 50
        assert [check.passed for check in told.checks] == [False]
    else:
        with pytest.raises(NodeFailed) as caught:
            compute(tmp_path, pipeline, block, {"params:size": 50})
        assert caught.value.node == "checked"
        assert "DataValidationError" in caught.value.error.failure.type


# --- savers and loaders


SAVED = """
    from hamilton.function_modifiers import load_from, save_to, source, value

    @load_from.json(path=source("raw_path"))
    def raw(data: dict) -> dict:
        return {**data, "seen": True}

    @save_to.json(path=source("target"), output_name_="save_report")
    def report(raw: dict) -> dict:
        return {"n": raw["n"] + 1}

    def printed(report: dict) -> str:
        return str(report)
    """


def test_a_saver_runs_only_when_it_is_asked_for(tmp_path: Path) -> None:
    pipeline = read(tmp_path, "{modules: [saved], inputs: [raw_path, target]}", saved=SAVED)
    nodes = {node.name: node for node in pipeline.nodes}
    assert "params:extra_outputs" in nodes["save_report"].inputs
    assert nodes["save_report"].block == nodes["report"].block
    loading = [name for name in nodes if name.startswith("raw")]
    assert len({nodes[name].block for name in loading}) == 1
    extra = pipeline.parameters["extra_outputs"]
    assert extra.default == []
    assert extra.schema == {
        "type": "array",
        "items": {"type": "string", "enum": ["save_report"]},
    }
    (tmp_path / "raw.json").write_text('{"n": 1}')
    values = {"params:raw_path": str(tmp_path / "raw.json"), "params:target": "unused"}
    made, _ = compute(tmp_path, pipeline, [*loading, "report"], values)
    assert made["report"] == {"n": 2}
    assert not (tmp_path / "out.json").exists()
    given: dict[str, Any] = {"report": {"n": 7}, "params:target": str(tmp_path / "out.json")}
    compute(tmp_path, pipeline, ["save_report"], given)
    assert json.loads((tmp_path / "out.json").read_text()) == {"n": 7}


def test_a_saver_among_the_outputs_runs_always(tmp_path: Path) -> None:
    pipeline = read(
        tmp_path,
        "{modules: [saved], inputs: [raw_path, target], outputs: [save_report]}",
        saved=SAVED,
    )
    assert "extra_outputs" not in pipeline.parameters
    assert "params:extra_outputs" not in edges(pipeline)["save_report"]


def test_materializers(tmp_path: Path) -> None:
    pipeline = read(
        tmp_path,
        '{modules: [sums], inputs: {size: 2}, materializers: "kept:KEPT", outputs: [save_total]}',
        sums=SUMS.replace("-> int", "-> dict")
        .replace("return start +", "return dict(n=start +")
        .replace("sum(doubled)", "sum(doubled))"),
        kept="""
            from hamilton.io.materialization import to

            KEPT = [to.json(id="save_total", dependencies=["total"], path="out.json")]
            """,
    )
    assert edges(pipeline)["save_total"] == ("total",)


# --- running a part


def test_only_the_nodes_of_the_task_are_computed(tmp_path: Path) -> None:
    pipeline = read(tmp_path, "{modules: [sums], inputs: {size: 3}}", sums=SUMS)
    made, told = compute(tmp_path, pipeline, ["doubled"], {"rows": [5]})
    assert (made, told.executed) == ({"doubled": [10]}, ["doubled"])
    # What other tasks gave counts, although Hamilton could compute it.
    values = {"rows": [1], "doubled": [100], "params:start": 7}
    made, told = compute(tmp_path, pipeline, ["total"], values)
    assert (made, told.executed) == ({"total": 108}, ["total"])


def test_none_is_a_value(tmp_path: Path) -> None:
    pipeline = read(
        tmp_path,
        "{modules: [m]}",
        m="""
            def a() -> object:
                return 1

            def b(a: object) -> bool:
                return a is None
            """,
    )
    assert compute(tmp_path, pipeline, ["b"], {"a": None})[0] == {"b": True}


def test_a_function_that_fails(tmp_path: Path) -> None:
    pipeline = read(
        tmp_path,
        "{modules: [m]}",
        m="""
            def a() -> int:
                return 1

            def b(a: int) -> float:
                return a / 0
            """,
    )
    with pytest.raises(NodeFailed) as caught:
        compute(tmp_path, pipeline, ["a", "b"], {})
    assert caught.value.node == "b"
    failure = caught.value.error.failure
    assert failure.type == "ZeroDivisionError"
    assert 'm.py", line 5, in b' in failure.frames
    assert "hamilton" not in failure.frames


def test_several_drivers(tmp_path: Path) -> None:
    pipeline = read(
        tmp_path,
        "[{modules: [sums], inputs: {size: 3}, outputs: doubled},"
        " {name: again, modules: [sums, more], inputs: {size: 4}, outputs: [most]}]",
        sums=SUMS,
        more="""
            def most(doubled: list, total: int) -> int:
                return max(doubled) + total
            """,
    )
    assert sorted(edges(pipeline)) == [
        "again.doubled",
        "again.most",
        "again.rows",
        "again.total",
        "doubled",
        "rows",
    ]
    made, told = compute(
        tmp_path,
        pipeline,
        ["rows", "doubled", "again.rows", "again.doubled", "again.total", "again.most"],
        {"params:size": 2, "params:start": 0},
    )
    assert made["doubled"] == [0, 2]
    assert made["again.most"] == 2 + 3
    assert len(told.executed) == 6


def test_what_one_driver_takes_another_computes(tmp_path: Path) -> None:
    pipeline = read(
        tmp_path,
        "[{modules: [sums], inputs: {size: 3}}, {name: late, modules: [late]}]",
        sums=SUMS,
        late="def final(total: int) -> int:\n    return -total\n",
    )
    assert edges(pipeline)["late.final"] == ("total",)
    made, _ = compute(tmp_path, pipeline, ["late.final"], {"total": 3})
    assert made == {"late.final": -3}


# --- grouping


TWO = {
    "first.py": "def a(n: int) -> int:\n    return n\n\ndef b(a: int) -> int:\n    return a\n",
    "second.py": "def c(b: int) -> int:\n    return b\n\ndef d(c: int, a: int) -> int:\n"
    "    return c\n",
}


@pytest.mark.parametrize(
    ("grouping", "groups"),
    [
        (None, {"first": "ab", "second": "cd"}),
        ("none", {"a": "a", "b": "b", "c": "c", "d": "d"}),
        ("{all: [d]}", {"all": "abcd"}),
        ("{one: [a], two: [d]}", {"one": "a", "two": "bcd"}),
        ("{one: first, two: second}", {"one": "ab", "two": "cd"}),
        ("{early: [b], late: [c]}", {"early": "ab", "late": "c", "d": "d"}),
    ],
)
def test_tasks(
    grouping: str | None,
    groups: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = dict(TWO)
    if grouping is not None:
        files["conf/base/airflow.yml"] = f"flow: {{grouping: {grouping}}}"
    monkeypatch.chdir(project(tmp_path, "{modules: [first, second], inputs: {n: 1}}", files))
    ran = run("show", "flow", "--stage", "plan", "--format", "json", "--target", "airflow")
    assert ran.code == 0, ran.err
    tasks = json.loads(ran.out)["pipelines"][0]["tasks"]
    assert {task["task_id"]: "".join(task["nodes"]) for task in tasks} == groups
