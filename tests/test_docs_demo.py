"""`make demo` compiles every target."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.demo import TARGETS, excerpt, main


def test_demo_writes_three_files_for_each_target(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(tmp_path) == 0
    for target in TARGETS:
        assert len(list((tmp_path / target).glob("*.py"))) == 3
    told = capfd.readouterr()
    assert "dagforge verify" not in told.out + told.err
    lines = told.out.splitlines()
    assert len(lines) < 140, "three screens"
    assert "metric evaluate_model_node = 0.8360680" in told.out
    assert "    with DAG(" in lines
    assert "        split >> [train_model_node, evaluate_model_node]" in lines


def test_excerpt_ends_with_the_first_task_and_the_edges() -> None:
    lines = [
        "import x",
        "with DAG(",
        "):",
        "    a = A(",
        "    )",
        "    b = A(",
        "    )",
        "    a >> b",
    ]
    assert excerpt(lines) == ["with DAG(", "):", "    a = A(", "    )", "    ...", "    a >> b"]
