"""The commands in the README and in docs/ print what the pages show."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from dagforge.cli import invoke
from tests.docs_pages import PROJECT, run_page

PAGES = ["README.md", "docs/ci.md", "docs/deploy.md", "docs/diff.md"]


@pytest.mark.parametrize("name", PAGES)
def test_commands_print_what_the_page_shows(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    page = PROJECT / name
    blocks = list(run_page(page, tmp_path))
    assert blocks, "the page has no commands that are run"
    if request.config.getoption("--golden"):
        text = page.read_text(encoding="utf-8")
        for block in blocks:
            text = text.replace(f"```console\n{block.page}```", f"```console\n{block.found}```")
        page.write_text(text, encoding="utf-8")
    else:
        assert [block.found for block in blocks] == [block.page for block in blocks]


def test_the_workflow_and_the_hook_pass_where_files_are_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = PROJECT / "docs/ci.md"
    list(run_page(page, tmp_path))
    (dags,) = tmp_path.glob("*/spaceflights/dags")
    monkeypatch.chdir(dags.parent)
    invoke(["create", "--quiet"])
    text = page.read_text(encoding="utf-8")
    workflow, hooks = (
        yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```$", text, re.M | re.S)
    )
    (job,) = workflow["jobs"].values()
    scripts = [step["run"] for step in job["steps"] if "run" in step]
    scripts += [hook["entry"] for hook in hooks["repos"][0]["hooks"]]
    commands = [line.strip() for script in scripts for line in script.splitlines()]
    tried = [line for line in commands if re.match("dagforge (?!verify)", line)]
    assert len(tried) == 3
    for command in tried:
        invoke(shlex.split(command)[1:])
