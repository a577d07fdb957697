"""What the README shows of a real Airflow is what comes out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs_pages import PROJECT, run_page
from tests.real.environments import python_of


def test_the_first_page_loads_its_dags(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    page = PROJECT / "README.md"
    environments = python_of("airflow-3.3").parents[2]
    shown = list(run_page(page, tmp_path, environments))
    (verify,) = (block for block in shown if block.page.startswith("$ dagforge verify"))
    if request.config.getoption("--golden"):
        text = page.read_text(encoding="utf-8")
        page.write_text(text.replace(verify.page, verify.found), encoding="utf-8")
    else:
        assert verify.found == verify.page


def test_the_way_from_kedro_airflow(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    page = PROJECT / "docs/from-kedro-airflow.md"
    shown = list(run_page(page, tmp_path, python_of("kedro-1.7").parents[2]))
    assert any("dagforge migrate" in block.page for block in shown)
    if request.config.getoption("--golden"):
        text = page.read_text(encoding="utf-8")
        for block in shown:
            text = text.replace(f"```console\n{block.page}```", f"```console\n{block.found}```")
        page.write_text(text, encoding="utf-8")
    else:
        assert [block.found for block in shown] == [block.page for block in shown]
