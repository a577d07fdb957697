"""What a small run does not import: start-up is most of what it takes."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from dagforge.resources import demo_conf_dir

NOT_NEEDED = (
    "croniter",
    "dagforge.cli.completion",
    "dagforge.commands.explain",
    "dagforge.grouping.cycles",
    "dagforge.grouping.review",
    "dagforge.kedro_airflow",
    "dagforge.runtime",
    "dagforge.commands.show",
    "dagforge.verify",
    "dagforge.commands.written",
    "multiprocessing",
    "networkx",
    "slugify",
    "subprocess",
    "text_unidecode",
)
SCRIPT = """
import sys
from dagforge.cli import main
sys.argv = ["dagforge", "create", *sys.argv[1:]]
try:
    main()
finally:
    print("\\n" + " ".join(sys.modules))
"""


def test_modules_of_a_small_run(tmp_path: Path) -> None:
    words = [sys.executable, "-c", SCRIPT, "--conf", str(demo_conf_dir()), "--quiet"]
    ran = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    imported = set(ran.stdout.splitlines()[-1].split())
    assert "dagforge.render" in imported
    assert [name for name in NOT_NEEDED if name in imported] == []


@pytest.mark.parametrize("name", NOT_NEEDED)
def test_there_is_such_a_module(name: str) -> None:
    assert importlib.util.find_spec(name)


def test_kedro_finds_the_plugin_without_the_rest() -> None:
    script = (
        "import sys\nimport click\nbefore = set(sys.modules)\nimport dagforge.kedro_plugin\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    imported = [name for name in ran.stdout.split() if name.partition(".")[0] == "dagforge"]
    assert imported == ["dagforge", "dagforge.kedro_plugin"]
