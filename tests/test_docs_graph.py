"""The pictures in docs/graph.md are what `dagforge graph` draws; `--golden` draws them again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from dagforge.commands.init import init_project
from dagforge.draw import FORMATS
from dagforge.drawing.layout import LABELLED_ARROWS
from tests.projects import run

PAGE = Path(__file__).parents[1] / "docs" / "graph.md"
PART = re.compile(
    r"^<!-- picture: (?P<command>[^\n]*) -->\n```mermaid\n(?P<picture>.*?)^```$"
    r"|^```yaml (?P<path>\S+)\n(?P<file>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


def drawn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[re.Match[str], str]]:
    """Yield the place of each picture, and what it is now.

    The demo project is drawn; a file begins a project of its own.
    """
    init_project(folder / "demo", force=False)
    where = folder / "demo"
    for part in PART.finditer(PAGE.read_text(encoding="utf-8")):
        if part["path"] is not None:
            where = folder / str(part.start())
            (where / part["path"]).parent.mkdir(parents=True)
            (where / part["path"]).write_text(part["file"], encoding="utf-8")
            continue
        monkeypatch.chdir(where)
        yield part, run(*shlex.split(part["command"]), "-q").out


def test_the_pictures_are_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    found = list(drawn(tmp_path, monkeypatch))
    assert len(found) == 4
    assert all(text.startswith("%% Made by") for _, text in found)
    if request.config.getoption("--golden"):
        page = PAGE.read_text(encoding="utf-8")
        for part, text in reversed(found):
            page = page[: part.start("picture")] + text + page[part.end("picture") :]
        PAGE.write_text(page, encoding="utf-8")
    else:
        assert [part["picture"] for part, _ in found] == [text for _, text in found]


def test_formats_endings_and_limits_are_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name, form in FORMATS.items():
        endings = ", ".join(f"`{ending}`" for ending in form.endings)
        assert f"| `{name}` | {endings} |" in page
        limits = [f"{limit:,}" for limit in (form.most_arrows, form.most_text) if limit is not None]
        rows = re.findall(rf"^\| [^|]*`{name}`[^|]*\| ([^|]*) \|", page, re.MULTILINE)
        assert all(limit in rows[-1] for limit in limits)
    assert f"Above {LABELLED_ARROWS:,} arrows" in page
