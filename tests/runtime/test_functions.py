"""Node functions stay plain functions; what is wrong with one is told with the user's own lines."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from dagforge.ir import Node
from dagforge.runtime.errors import NodeError, RunError
from dagforge.runtime.functions import call, code_hash, function_of, outputs_of
from tests.runtime import work
from tests.runtime.tasks import bench, node


def result_of(node: Node, **values: Any) -> Any:
    return call(node, function_of(node), values)


@pytest.mark.parametrize(
    ("made", "values", "expected"),
    [
        (node("one"), {}, 1),
        (node("add", inputs=["x", "y"]), {"x": 1, "y": 2}, 3),
        (node("add", inputs=["y"]), {"y": 2}, 12),
        (node("add", inputs=["x", "x"]), {"x": 2}, 4),
        (node("minus", inputs={"large": "x", "small": "y"}), {"x": 5, "y": 2}, 3),
        (node("add", inputs={"b": "x", "a": "x"}), {"x": 2}, 4),
        (node("later", inputs=["x"]), {"x": 1}, 2),
        (node("loads", "json:loads", inputs=["x"]), {"x": "[1]"}, [1]),
        (node("nested", "pathlib:Path.name.fget", inputs=["x"]), {"x": Path("a/b")}, "b"),
    ],
)
def test_inputs_by_position_and_by_name(made: Node, values: Any, expected: Any) -> None:
    assert result_of(made, **values) == expected


def test_an_async_function_where_a_loop_runs_already() -> None:
    async def outside() -> Any:
        return result_of(node("later", inputs=["x"]), x=1)

    assert asyncio.run(outside()) == 2


@pytest.mark.parametrize("name", ["counted", "counted_later"])
def test_generators_are_refused(name: str) -> None:
    with pytest.raises(RunError) as caught:
        result_of(node(name))
    assert str(caught.value) == (
        f"pipelines.yml:3:9: error: node '{name}': its function gives a generator, which no other "
        "task could read [generator]\n  fix: return a list, or a table"
    )


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (
            node("one", inputs=["x"]),
            "node 'one' gives its function 1 inputs, but one() -> 'int' does not take them: too "
            "many positional arguments [wrong-arguments]",
        ),
        (node("minus", inputs={"small": "x"}), "missing a required argument: 'large'"),
        (node("minus", inputs={"smal": "x", "large": "x"}), "does not take them: "),
    ],
)
def test_inputs_that_a_function_does_not_take(made: Node, told: str) -> None:
    with pytest.raises(RunError) as caught:
        result_of(made, x=1)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("target", "told", "fix"),
    [
        ("no_such_module:f", "there is no module 'no_such_module'", "install the project's"),
        ("tests.runtime.work:addd", "has no 'addd'", "did you mean 'add'?"),
        (
            "tests.runtime.work:seen",
            "'seen' of module 'tests.runtime.work' cannot be called",
            "name a function",
        ),
        ("tests.no_such.work:f", "there is no module 'tests.no_such.work'", "install"),
    ],
)
def test_a_function_that_is_not_there(target: str, told: str, fix: str) -> None:
    with pytest.raises(RunError) as caught:
        function_of(node("n", target))
    assert str(caught.value).startswith("pipelines.yml:3:9: error: node 'n': ")
    assert told in str(caught.value)
    assert f"fix: {fix}" in str(caught.value)


@pytest.mark.parametrize(
    ("outputs", "result", "expected"),
    [
        ([], 7, {}),
        (["a"], (1, 2), {"a": (1, 2)}),
        (["a"], None, {"a": None}),
        (["a", "b"], (1, 2), {"a": 1, "b": 2}),
        (["a", "b"], [1, 2], {"a": 1, "b": 2}),
        (["a", "b"], {"b": 2, "a": 1}, {"a": 1, "b": 2}),
    ],
)
def test_results_as_outputs(outputs: list[str], result: Any, expected: Any) -> None:
    assert outputs_of(node("n", outputs=outputs), result) == expected


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ((1, 2, 3), "3 values (a tuple)"),
        (None, "None"),
        ({"a": 1}, "a dict with 'a'"),
        ("ab", "one value (a str)"),
    ],
)
def test_results_that_do_not_fit_the_outputs(result: Any, told: str) -> None:
    with pytest.raises(RunError) as caught:
        outputs_of(node("n", outputs=["a", "b"]), result)
    assert f"node 'n' has 2 outputs, but its function gave {told}" in str(caught.value)
    assert "fix: return a tuple of 2 values: a, b" in str(caught.value)


# --- tracebacks


def failure(root: Path, name: str) -> str:
    with pytest.raises(NodeError) as caught:
        bench(root, node(name)).run()
    return str(caught.value)


def test_only_the_users_own_frames_are_shown(tmp_path: Path) -> None:
    told = failure(tmp_path, "in_pandas")
    assert told.startswith("pipelines.yml:3:9: error: node 'in_pandas' failed: KeyError: 'missing'")
    assert "  function tests.runtime.work:in_pandas\n" in told
    assert 'return frame()["missing"]' in told
    assert told.count("  File ") == 1
    assert "site-packages" not in told
    assert "dagforge/runtime" not in told


def test_what_caused_an_error_is_shown_too(tmp_path: Path) -> None:
    told = failure(tmp_path, "in_json")
    assert "failed: RuntimeError: the file is bad" in told
    assert "json.decoder.JSONDecodeError: Expecting property name" in told
    assert "which caused:" in told
    assert told.count("  File ") == 2
    assert "json/decoder.py" not in told
    told = failure(tmp_path, "while_handled")
    assert "ValueError: first" in told
    assert "and while that was handled:" in told


def test_a_function_that_ends_the_process_has_failed(tmp_path: Path) -> None:
    assert "node 'leave' failed: SystemExit: 0" in failure(tmp_path, "leave")


def test_an_exception_that_cannot_be_shown(tmp_path: Path) -> None:
    assert "work.Rude: (its text cannot be made: RuntimeError)" in failure(tmp_path, "rude")


def test_notes_are_shown(tmp_path: Path) -> None:
    assert "ValueError: bad [node-failed]\n    look at the header\n" in failure(tmp_path, "noted")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def f(:", "SyntaxError: invalid syntax"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
    ],
)
def test_a_module_that_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "broken_module.py").write_text(text)
    sys.modules.pop("broken_module", None)
    with pytest.raises(NodeError) as caught:
        bench(tmp_path, node("n", "broken_module:f")).run()
    assert f"node 'n' failed: {told}" in str(caught.value)
    assert f'File "{tmp_path / "broken_module.py"}", line 1' in str(caught.value)


def test_an_installed_package_of_the_user_is_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagforge import user_code

    monkeypatch.setattr(user_code, "_LIBRARIES", (tmp_path.resolve(),))
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "installed_team"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "nodes.py").write_text("from installed_team.more import f\n")
    (package / "more.py").write_text("def f():\n    return 1 / 0\n")
    with pytest.raises(NodeError, match=r"more\.py"):
        bench(tmp_path, node("n", "installed_team.nodes:f")).run()


def test_the_hash_of_code_follows_the_modules() -> None:
    mine = work.__name__
    assert code_hash([mine]) == code_hash([mine, mine]) is not None
    assert code_hash([mine, "json"]) == code_hash(["json", mine]) != code_hash([mine])
    assert code_hash([mine, "no_such_module"]) is None
    assert work.one() == 1
