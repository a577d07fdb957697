"""`dagforge diff` of a Kedro project: each side is what its own code registers."""

from __future__ import annotations

import json
from pathlib import Path

from tests.git_projects import commit
from tests.real.kedro_projects import run_kedro, write_kedro_project


def test_each_side_is_what_its_own_code_registers(tmp_path: Path) -> None:
    root = write_kedro_project(tmp_path / "shop")
    commit(root)
    pipeline = root / "src/shop/pipelines/etl/pipeline.py"
    text = pipeline.read_text(encoding="utf-8")
    pipeline.write_text(text.replace("add_shuttles", "raise_shuttles"), encoding="utf-8")
    settings = root / "conf/base/airflow.yml"
    settings.write_text(settings.read_text().replace("@daily", "@hourly"))
    ran = run_kedro(root, "diff", "-p", "etl", "--format", "json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    (dag,) = found["changed"]
    assert dag["tasks"]["renamed"] == [["add_shuttles", "raise_shuttles"]]
    assert dag["nodes"]["renamed"] == [["add_shuttles", "raise_shuttles"]]
    assert [change["key"] for change in dag["values"]] == [["schedule"]]
