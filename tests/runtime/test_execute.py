"""One task: its nodes in order, their data, checks, metrics, commands, and what it records."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from dagforge import __version__
from dagforge.runtime.errors import CheckError, IncompleteError, NodeError, RunError, StoreError
from dagforge.runtime.execute import store_url_of
from tests.runtime import work
from tests.runtime.tasks import bench, dataset, node

PYTHON = sys.executable


@pytest.fixture(autouse=True)
def _nothing_seen() -> Iterator[None]:
    work.seen.clear()
    yield
    work.seen.clear()


def test_values_go_from_task_to_task(tmp_path: Path) -> None:
    run = bench(
        tmp_path,
        node("two", outputs=["a", "b"]),
        node("add", inputs=["a", "b"], outputs=["c"]),
        node("see", inputs=["c"]),
    )
    run.run("two")
    record = run.run("add")
    run.run("see")
    assert work.seen == [3]
    assert record.status == "success"
    assert record.nodes == ("add",)
    assert [each["name"] for each in record.inputs] == ["a", "b"]
    (output,) = record.outputs
    assert (output["name"], output["producer"], output["type"]) == ("c", "add", "int")
    assert record.ended is not None
    assert record.started < record.ended
    assert record.versions["dagforge"] == __version__
    assert (record.peak_memory or 0) > 1_000_000
    assert set(record.seconds) == {"add"}
    assert record.error is None
    kept = json.dumps(run.record("add").inputs)
    assert json.loads(kept) == [dict(each) for each in record.inputs]
    assert any(line.startswith("saved c (json, 1 bytes) to ") for line in run.lines)


def test_only_what_others_read_or_nobody_is_kept(tmp_path: Path) -> None:
    run = bench(
        tmp_path,
        node("two", outputs=["inner", "shared"]),
        node("add", inputs=["inner", "shared"], outputs=["last"]),
        node("see", inputs=["shared"]),
    )
    record = run.run("two", "add")
    assert {each["name"] for each in record.outputs} == {"shared", "last"}
    assert run.value("last") == 3


def test_inputs_by_name_and_outputs_by_name(tmp_path: Path) -> None:
    run = bench(
        tmp_path,
        node("by_name", outputs=["first", "second"]),
        node("minus", inputs={"large": "second", "small": "first"}, outputs=["d"]),
    )
    run.run()
    assert run.value("d") == 1


def test_parameters(tmp_path: Path) -> None:
    parameters = {"a": {"b": [1, 2]}, "x.y": "dotted", "n": 1}
    run = bench(
        tmp_path,
        node("see", inputs=["params:a", "params:a.b", "parameters", "params:x.y"]),
        node("add", inputs=["params:n", "params:n"], outputs=["two"]),
        parameters=parameters,
    )
    assert run.run("see").parameters == {
        "params:a": {"b": [1, 2]},
        "params:a.b": [1, 2],
        "params:x.y": "dotted",
        "parameters": parameters,
    }
    assert work.seen == [{"b": [1, 2]}, [1, 2], parameters, "dotted"]
    run.run("add")
    assert run.value("two") == 2
    with pytest.raises(RunError) as caught:
        bench(tmp_path, node("see", inputs=["params:a.c"]), parameters=parameters).run()
    assert "there is no parameter 'a.c' [no-parameter]\n  fix: there is 'b'" in str(caught.value)


def test_what_a_function_does_to_a_parameter_stays_with_it(tmp_path: Path) -> None:
    parameters = {"a": {"b": 1}}
    run = bench(
        tmp_path, node("clear", "builtins:dict.clear", inputs=["params:a"]), parameters=parameters
    )
    assert run.run().parameters == {"params:a": {"b": 1}}
    assert parameters == {"a": {"b": 1}}


def test_several_outputs_that_do_not_fit(tmp_path: Path) -> None:
    run = bench(tmp_path, node("three", outputs=["a", "b"]))
    with pytest.raises(RunError, match="but its function gave 3 values"):
        run.run()
    error = run.record("three").error
    assert error is not None
    assert error["code"] == "wrong-outputs"
    assert error["fix"] == "return a tuple of 2 values: a, b"
    assert run.record("three").status == "failed"


def test_a_value_of_a_task_is_gone_after_its_last_use(tmp_path: Path) -> None:
    run = bench(
        tmp_path,
        node("big", outputs=["first"]),
        node("use", inputs=["first"], outputs=["n"]),
        node("alive", inputs=["n"], outputs=["left"]),
        node("big2", "big", outputs=["kept"]),
        node("alive2", "alive", inputs=["left"], outputs=["left2"]),
        node("see", inputs=["left", "left2"]),
        datasets=[dataset("kept", persisted=False)],
    )
    run.run()
    assert work.seen == [0, 0]


def test_nodes_in_the_wrong_order(tmp_path: Path) -> None:
    run = bench(tmp_path, node("use", inputs=["x"]), node("one", outputs=["x"]))
    with pytest.raises(RunError, match="node 'use' runs before 'x' is written"):
        run.run()


def test_an_upstream_that_was_skipped(tmp_path: Path) -> None:
    run = bench(tmp_path, node("one", outputs=["x"]), node("see", inputs=["x"]))
    with pytest.raises(IncompleteError) as caught:
        run.run("see")
    assert str(caught.value).startswith(
        "pipelines.yml:3:9: error: dataset 'x' was never completely written in run 'r' ("
    )
    assert "; node 'one' writes it [incomplete]\n  fix: look at the task" in str(caught.value)
    assert run.record("see").status == "failed"
    assert (run.record("see").error or {})["code"] == "incomplete"


def test_a_failing_node(tmp_path: Path) -> None:
    run = bench(tmp_path, node("frame", outputs=["f"]), node("use", inputs=["f"], outputs=["n"]))
    run.run("frame")
    with pytest.raises(NodeError) as caught:
        run.run("use")
    (uri,) = [each["uri"] for each in run.record("frame").outputs]
    assert f"\n  input f: {uri}\n" in str(caught.value)
    error = run.record("use").error
    assert error is not None
    assert (error["node"], error["type"]) == ("use", "AssertionError")
    assert "assert isinstance(value, Big)" in error["frames"]
    assert run.record("use").outputs == []


# --- checks and metrics


@pytest.mark.parametrize("severity", ["warning", "error"])
def test_a_check_that_passes(tmp_path: Path, severity: str) -> None:
    record = bench(tmp_path, node("good", check=severity)).run()
    assert record.checks == [{"node": "good", "passed": True, "severity": severity, "value": None}]


def test_a_failed_warning_is_recorded_and_green(tmp_path: Path) -> None:
    run = bench(tmp_path, node("bad_with_remark", check="warning"), node("one", outputs=["x"]))
    record = run.run()
    assert record.status == "success"
    assert record.checks[0] == {
        "node": "bad_with_remark",
        "passed": False,
        "severity": "warning",
        "value": "7 rows without a price",
    }
    assert "check bad_with_remark failed (warning): 7 rows without a price" in run.lines


def test_a_failed_error_is_red_after_its_outputs_are_saved(tmp_path: Path) -> None:
    run = bench(
        tmp_path,
        node("bad_with_remark", check="error", outputs=["verdict"]),
        node("bad", check="error"),
        node("one", outputs=["x"]),
    )
    with pytest.raises(CheckError) as caught:
        run.run(task_id="t")
    assert [str(problem) for problem in caught.value.problems] == [
        "pipelines.yml:3:9: error: check 'bad_with_remark' failed: 7 rows without a price "
        "[check-failed]",
        "pipelines.yml:3:9: error: check 'bad' failed [check-failed]",
    ]
    assert run.value("x") == 1
    assert {each["name"] for each in run.record("t").outputs} == {"verdict", "x"}
    assert run.record("t").status == "failed"
    assert run.record("t").error == {
        "type": "CheckError",
        "message": "failed: 'bad_with_remark', 'bad'",
    }


def test_metrics(tmp_path: Path) -> None:
    run = bench(
        tmp_path, node("number", metric=True, outputs=["m"]), node("not_a_number", metric=True)
    )
    record = run.run()
    assert record.metrics == {"number": 0.25, "not_a_number": "nan"}
    assert "metric number = 0.25" in run.lines
    assert run.value("m") == 0.25


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        (
            "no_number",
            {"metric": True},
            "is a metric, but its function gave a value of type pandas",
        ),
        ("good", {"metric": True}, "is a metric, but its function gave a value of type bool"),
        ("one", {"check": "error"}, "is a check, but its function gave a value of type int"),
        ("two", {"check": "error"}, "is a check, but its function gave a value of type tuple"),
    ],
)
def test_what_is_no_check_and_no_metric(
    tmp_path: Path, name: str, options: dict[str, object], told: str
) -> None:
    with pytest.raises(RunError) as caught:
        bench(tmp_path, node(name, **options)).run()
    assert f"node '{name}' {told}" in str(caught.value)


# --- datasets with a path of their own


def test_datasets_at_their_own_paths(tmp_path: Path) -> None:
    (tmp_path / "raw.csv").write_text("a;b\n1;x\n")
    run = bench(
        tmp_path,
        node("echo", inputs=["raw"], outputs=["made"]),
        node("again", "echo", inputs=["made"], outputs=["book"]),
        datasets=[
            dataset("raw", "raw.csv", load_args={"sep": ";"}),
            dataset("made", tmp_path / "data/made.parquet", format="parquet"),
            dataset("book", f"file://{tmp_path}/data/book.xlsx"),
        ],
    )
    first = run.run("echo")
    second = run.run("again")
    assert pd.read_excel(tmp_path / "data/book.xlsx").to_dict("list") == {"a": [1], "b": ["x"]}
    (source,) = first.inputs
    assert source["facts"]["modified"] == str(os.stat(tmp_path / "raw.csv").st_mtime)  # noqa: PTH116
    assert source["size"] == 8
    assert source["sha256"]
    assert source["producer"] is None
    assert first.warnings == []
    assert second.warnings == []
    (made,) = first.outputs
    assert (made["producer"], made["file"]) == ("echo", "")
    assert second.inputs[0]["sha256"] == made["sha256"]
    assert run.store.record("made") is not None


def test_a_dataset_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "folder.csv" / "part").write_text("")
    run = bench(
        tmp_path,
        node("echo", inputs=["raw"]),
        node("folder", "echo", inputs=["dir"]),
        datasets=[dataset("raw", "no.csv"), dataset("dir", "folder.csv")],
    )
    with pytest.raises(StoreError) as caught:
        run.run("echo")
    assert str(caught.value) == (
        f"pipelines.yml:3:9: error: dataset 'raw' is not at file://{tmp_path}/no.csv [no-data]\n"
        "  fix: write it there, or mend its path in the catalog"
    )
    with pytest.raises(StoreError, match=r"folder\.csv, which is a folder"):
        run.run("folder")


def test_a_dataset_of_no_known_format(tmp_path: Path) -> None:
    run = bench(
        tmp_path,
        node("one", outputs=["a"]),
        node("b", "one", outputs=["b"]),
        node("c", "one", outputs=["c"]),
        datasets=[dataset("a", "a.dat"), dataset("b", "b"), dataset("c", "c.x", format="cvs")],
    )
    for name, told in (
        ("one", "dataset 'a' does not say its format, and '.dat' is none"),
        ("b", "dataset 'b' does not say its format, and its path does not end with one"),
        ("c", "pipelines.yml:3:9: error: there is no format 'cvs'"),
    ):
        with pytest.raises(RunError, match="unknown-format") as caught:
            run.run(name)
        assert told in str(caught.value)


def test_a_compressed_csv(tmp_path: Path) -> None:
    run = bench(
        tmp_path,
        node("frame", outputs=["f"]),
        node("echo", inputs=["f"]),
        datasets=[dataset("f", "f.csv.gz")],
    )
    run.run("frame")
    run.run("echo")
    assert (tmp_path / "f.csv.gz").read_bytes()[:2] == b"\x1f\x8b"
    assert work.seen[0].to_dict("list") == {"a": [1, 2], "b": ["x", "é"]}


def test_a_stated_format_in_the_store(tmp_path: Path) -> None:
    arguments = {"sep": ";"}
    run = bench(
        tmp_path,
        node("frame", outputs=["f"]),
        node("echo", inputs=["f"]),
        datasets=[
            dataset("f", persisted=False, format="csv", save_args=arguments, load_args=arguments)
        ],
    )
    assert run.run("frame").outputs[0]["format"] == "csv"
    run.run("echo")
    assert work.seen[0].to_dict("list") == {"a": [1, 2], "b": ["x", "é"]}


def test_pickles_at_a_fixed_path_follow_the_setting(tmp_path: Path) -> None:
    run = bench(
        tmp_path,
        node("two", outputs=["m"]),
        node("see", inputs=["m"]),
        datasets=[dataset("m", "m.pkl")],
    )
    run.run("two")
    run.options = {"allow_pickle": False}
    for name in ("two", "see"):
        with pytest.raises(RunError, match="pickle-refused"):
            run.run(name)


# --- commands


def test_a_command_reads_and_writes_its_own_paths(tmp_path: Path) -> None:
    script = (
        "import pathlib; pathlib.Path('out.txt').write_text(pathlib.Path('in.txt').read_text() * 2)"
    )
    (tmp_path / "in.txt").write_text("ab")
    run = bench(
        tmp_path,
        node("double", command=(PYTHON, "-c", script), inputs=["in"], outputs=["out"]),
        node("echo", inputs=["out"]),
        datasets=[dataset("in", "in.txt"), dataset("out", "out.txt")],
    )
    record = run.run()
    assert work.seen == ["abab"]
    assert [(each["name"], each["size"]) for each in record.outputs] == [("out", 4)]
    assert record.warnings == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-c", "raise SystemExit(3)"), "node 'c' failed: command: exit code 3"),
        (("-c", "import os; os.kill(os.getpid(), 9)"), "command: killed by SIGKILL"),
    ],
)
def test_a_command_that_fails(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    run = bench(tmp_path, node("c", command=(PYTHON, *words)))
    with pytest.raises(NodeError) as caught:
        run.run()
    assert told in str(caught.value)
    assert f"\n  command {PYTHON} -c " in str(caught.value)
    assert run.record("c").status == "failed"


def test_a_command_that_cannot_do_its_work(tmp_path: Path) -> None:
    run = bench(
        tmp_path,
        node("absent", command=("no-such-command",)),
        node("lazy", command=(PYTHON, "-c", ""), outputs=["out"]),
        node("far", command=(PYTHON, "-c", ""), outputs=["stored"]),
        datasets=[dataset("out", "out.txt")],
    )
    with pytest.raises(RunError, match="'no-such-command' cannot be started: No such file"):
        run.run("absent")
    with pytest.raises(StoreError, match="dataset 'out' is not at"):
        run.run("lazy")
    with pytest.raises(RunError, match="is a command, which cannot reach 'stored' in the store"):
        run.run("far")


# --- where the store is


@pytest.mark.parametrize(
    ("chosen", "environment", "setting", "expected"),
    [
        (None, None, None, "/project/.dagforge/store"),
        (None, None, "data/store", "/project/data/store"),
        (None, None, "gs://bucket/x", "gs://bucket/x"),
        (None, "s3://env/x", "gs://bucket/x", "s3://env/x"),
        ("/cli", "s3://env/x", "gs://bucket/x", "/cli"),
        ("memory://a", None, None, "memory://a"),
        ("cli", None, None, "{cwd}/cli"),
    ],
)
def test_where_the_store_is(
    monkeypatch: pytest.MonkeyPatch,
    chosen: str | None,
    environment: str | None,
    setting: str | None,
    expected: str,
) -> None:
    monkeypatch.delenv("DAGFORGE_STORE_URL", raising=False)
    if environment is not None:
        monkeypatch.setenv("DAGFORGE_STORE_URL", environment)
    found = store_url_of(chosen, setting, Path("/project"))
    assert found == expected.format(cwd=Path.cwd())
