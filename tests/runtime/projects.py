"""Small projects that run in a moment: functions of the standard library only."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

PIPELINES = """
    sums:
      nodes:
        - {name: make, func: "work:make", inputs: params:size, outputs: numbers}
        - {name: double, func: "work:double", inputs: numbers, outputs: doubled}
        - {name: square, func: "work:square", inputs: numbers, outputs: squared}
        - {name: add, func: "work:add", inputs: [doubled, squared], outputs: total}
    """
WORK = """
    import os

    def _seen(name):
        with open("ran.txt", "a") as file:
            file.write(f"{name} {os.getpid()}\\n")

    def make(size):
        _seen("make")
        return list(range(size))

    def double(numbers):
        _seen("double")
        return [2 * number for number in numbers]

    def square(numbers):
        _seen("square")
        return [number * number for number in numbers]

    def add(doubled, squared):
        _seen("add")
        return sum(doubled) + sum(squared)
    """
FILES = {
    "conf/base/pipelines.yml": PIPELINES,
    "conf/base/parameters.yml": "size: 4",
    "dagforge.toml": 'project = "sums"',
    "work.py": WORK,
}


def write_files(root: Path, files: Mapping[str, str]) -> Path:
    """Write files below `root`, dedented; those of `FILES` that are not given too."""
    for name, text in {**FILES, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return root


def dagforge(
    root: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command of DagForge in `root`, as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "dagforge", *arguments],
        cwd=root,
        env=environment(env),
        text=True,
        capture_output=True,
        timeout=120,
    )


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without what would change where data go."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DAGFORGE_")}
    return {**kept, "PYTHONPATH": str(Path(__file__).parents[2]), **(more or {})}


def ran(root: Path) -> list[str]:
    """Return the functions that ran, in order."""
    path = root / "ran.txt"
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def processes(root: Path) -> set[str]:
    """Return the ids of the processes that functions ran in."""
    return {line.split()[1] for line in (root / "ran.txt").read_text().splitlines()}
