"""Golden files: what the command line writes for each case, and what holds for all of them."""

from __future__ import annotations

import ast
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import run_cases
from tests.run_cases import CASES, REPOSITORY, cases, commands, expected, run_case


@pytest.mark.parametrize("case", cases())
def test_case(case: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    result = run_case(case, tmp_path / case)
    assert "[internal]" not in result.error
    if request.config.getoption("--golden"):
        run_cases.rewrite(case, result)
    assert result.as_files() == expected(case)


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_same_bytes_under_every_hash_seed(seed: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, str(REPOSITORY / "tests/run_cases.py"), str(tmp_path / "out")],
        env={
            **os.environ,
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": str(REPOSITORY),
            "TZ": "Asia/Tokyo",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    for case in cases():
        assert run_cases.files_in(tmp_path / "out" / case) == expected(case)


def golden_files() -> list[Path]:
    return sorted(CASES.glob("*/expected/**/*.py"))


def airflow_version(path: Path) -> str | None:
    """Return the Airflow version that a golden file is for, None for Prefect."""
    found = re.search(r"^#   command .* --airflow-version (\S+)", path.read_text(), re.MULTILINE)
    return found[1] if found else None


def ruff(*arguments: str) -> str:
    command = [sys.executable, "-m", "ruff", *arguments, "--isolated", "--no-cache"]
    run = subprocess.run(command, capture_output=True, text=True)
    return "" if run.returncode == 0 else run.stdout + run.stderr


def test_ruff_has_nothing_to_say() -> None:
    files = golden_files()
    assert files
    for_airflow_3 = [path for path in files if (airflow_version(path) or "2") >= "3"]
    others = [path for path in files if path not in for_airflow_3]
    assert ruff("format", "--check", *map(str, files)) == ""
    select = ["check", "--preview", "--select"]
    assert ruff(*select, "F,E9", *map(str, others)) == ""
    assert ruff(*select, "F,E9,AIR3", *map(str, for_airflow_3)) == ""


def nodes_named_in(source: str) -> list[str]:
    """Return the nodes that the commands in a generated file name after `--nodes`."""
    found: list[str] = []
    for tree in ast.walk(ast.parse(source)):
        words = tree.elts if isinstance(tree, ast.List) else getattr(tree, "args", ())
        if not isinstance(words, list):
            continue
        for option, names in itertools.pairwise(words):
            if isinstance(option, ast.Constant) and option.value == "--nodes":
                text = names.args[0] if isinstance(names, ast.Call) else names
                assert isinstance(text, ast.Constant), ast.dump(text)
                found += str(text.value).split(",")
    return found


COMPILED = [case for case in cases() if not (CASES / case / "error.txt").is_file()]


@pytest.mark.parametrize("case", COMPILED)
def test_every_node_is_in_exactly_one_task(case: str) -> None:
    for arguments in commands(case):
        found = run_cases.built(case, arguments)
        folder = CASES / case / "expected" / run_cases.output_of(arguments)
        for stages in found.stages:
            nodes = sorted(node.name for node in stages.pipeline.nodes)
            tasks = stages.dag.tasks
            assert sorted(node for task in tasks for node in task.nodes) == nodes
            source = (folder / f"{stages.dag.stem}.py").read_text(encoding="utf-8")
            named = nodes_named_in(source)
            by_themselves = [task.nodes[0] for task in tasks if "--nodes" not in task.command]
            assert sorted(named + by_themselves) == nodes
