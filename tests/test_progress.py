"""The bar that shows how far a long run is: on a terminal, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dagforge.build import Request, build

SETTINGS = "default:\n  image: shop:1\n  namespace: jobs\n"
NODES = "  nodes:\n    - {name: load, func: 'shop:load'}\n"


def write_shop(root: Path, pipelines: int) -> Path:
    """Write a project with that many pipelines and return its folder."""
    base = root / "conf" / "base"
    base.mkdir(parents=True)
    (base / "airflow.yml").write_text(SETTINGS)
    names = [f"part_{number}" for number in range(pipelines)]
    (base / "pipelines.yml").write_text("".join(f"{name}:\n{NODES}" for name in names))
    return root


def run_on_terminal(root: Path, *arguments: str) -> str:
    """Run dagforge with a terminal as standard error, and return what is on it."""
    import pty

    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "dagforge", *arguments]
    process = subprocess.Popen(
        words, cwd=root, stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs, close_fds=True
    )
    os.close(theirs)
    told = bytearray()
    while True:
        try:
            some = os.read(ours, 65536)
        except OSError:  # Linux says so when nobody writes to the terminal any more
            some = b""
        if not some:
            break
        told += some
    os.close(ours)
    assert process.wait() == 0, told
    return told.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.parametrize(
    ("pipelines", "arguments", "has_bar"),
    [
        (60, ("create",), True),
        (60, ("validate",), True),
        (60, ("create", "-q"), False),
        (60, ("create", "--message-format", "json"), False),
        (60, ("create", "-p", "part_1"), False),
        (50, ("create",), False),
    ],
)
def test_bar_on_a_terminal(
    tmp_path: Path, pipelines: int, arguments: tuple[str, ...], has_bar: bool
) -> None:
    told = run_on_terminal(write_shop(tmp_path, pipelines), *arguments)
    assert ("compiling" in told) is has_bar
    if has_bar:
        assert "100%" in told
        assert "\x1b[?25h" in told  # the cursor is back


def test_no_bar_where_nobody_looks(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "dagforge", "create"]
    ran = subprocess.run(
        words, cwd=write_shop(tmp_path, 60), capture_output=True, text=True, check=True
    )
    assert "compiling" not in ran.stdout + ran.stderr


def test_every_step_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    build(Request(write_shop(tmp_path, 3)), progress=lambda done, of: told.append((done, of)))
    assert told == [(done, 9) for done in range(1, 10)]
