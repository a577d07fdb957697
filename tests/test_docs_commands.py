"""The commands in the README and in docs/ print what the pages show."""

from __future__ import annotations

from pathlib import Path

import pytest

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
