"""Bad input through the command line: the whole message, the exit code, nothing written.

The tables in `tests/robustness/` hold what is wrong in a text file or on the command line. What
a text file cannot hold (bytes, huge files, signals, full disks) is below them.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dagforge.cli import _run

TABLES = Path(__file__).parent / "robustness"
PIPELINES = "conf/base/pipelines.yml"
ONE_PIPELINE = """\
etl:
  nodes:
    - {name: load, func: "team.etl:load", outputs: raw}
    - {name: clean, func: "team.etl:clean", inputs: raw, outputs: tidy}
"""
# Pods have no disk in common.
STORE = {"conf/base/dagforge_store.yml": "default: {store_url: 's3://bucket/store'}"}
OUTPUT = {"dags/by_hand.py": "# not ours\n", "dags/notes.txt": "keep me\n"}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Attributes:
        command: arguments of `dagforge`.
        files: text by path in the project; ONE_PIPELINE where none of them defines pipelines.
        exit: code that the command ends with.
        says: what stands on standard error.
    """

    table: Path
    name: str
    command: tuple[str, ...]
    files: Mapping[str, str]
    exit: int
    says: str


@dataclass(slots=True)
class Ran:
    """How a command went."""

    exit: int
    out: str
    err: str = field(default="")


def run(*arguments: str) -> Ran:
    """Run `dagforge` in this process and folder."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = _run(arguments)
    return Ran(code, out.getvalue(), err.getvalue())


def make_project(root: Path, files: Mapping[str, str]) -> None:
    """Write a project with an output folder that is not to be touched."""
    if not any(name.startswith("conf/base/pipelines") for name in files):
        files = {PIPELINES: ONE_PIPELINE, **STORE, **files}
    for name, text in {**OUTPUT, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")


def snapshot(root: Path) -> dict[str, tuple[bytes | str, int]]:
    """Return every file, link and folder below `root` with its content and time of change."""
    found: dict[str, tuple[bytes | str, int]] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        changed = path.lstat().st_mtime_ns
        if path.is_symlink():
            found[name] = (str(path.readlink()), changed)
        elif path.is_file():
            found[name] = (path.read_bytes(), changed)
        else:
            found[name] = ("a folder", changed)
    return found


def rows() -> Iterator[Row]:
    """Yield the rows of all tables."""
    for table in sorted(TABLES.glob("*.txt")):
        text = table.read_text(encoding="utf-8")
        for part in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
            name, _, body = part.partition("\n")
            head, *rest = re.split(r"^--- (.*)\n", body, flags=re.MULTILINE)
            command = head.strip().removeprefix("$").strip() or "create"
            files = dict(zip(rest[::2], rest[1::2], strict=True))
            exits = [key for key in files if key.startswith("exit ")]
            says = files.pop(exits[0]).strip("\n") if exits else ""
            code = int(exits[0].removeprefix("exit ")) if exits else -1
            yield Row(table, name.strip(), tuple(shlex.split(command)), files, code, says)


ROWS = list(rows())


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=f"{row.table.stem}: {row.name}") for row in ROWS]
)
def test_what_is_refused(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    root = tmp_path / "project"
    make_project(root, row.files)
    monkeypatch.chdir(root)
    before = snapshot(tmp_path)
    ran = run(*row.command)
    says = ran.err.replace(str(tmp_path), "<tmp>").strip("\n")
    if request.config.getoption("--golden"):
        rewrite(row, ran.exit, says)
        return
    assert says == row.says
    assert ran.exit == row.exit
    assert ran.out == ""
    assert ran.exit != 0
    assert snapshot(tmp_path) == before
    assert "[internal]" not in says
    assert "Traceback" not in says


def rewrite(row: Row, code: int, says: str) -> None:
    """Make `says` what a row of its table expects."""
    assert "PYTEST_XDIST_WORKER" not in os.environ, "several processes would write one file"
    text = row.table.read_text(encoding="utf-8")
    before, mark, rest = text.partition(f"=== {row.name}\n")
    body, nextmark, after = rest.partition("\n=== ")
    body = re.split(r"^--- exit .*\n", body + "\n", flags=re.MULTILINE)[0].rstrip("\n")
    body = f"{body}\n--- exit {code}\n{says}\n"
    row.table.write_text(before + mark + body + nextmark + after, encoding="utf-8")


def test_names_of_rows_are_unique() -> None:
    names = [(row.table.name, row.name) for row in ROWS]
    assert len(set(names)) == len(names) >= 120
