"""What is known of Hamilton holds in older versions: the same tests, with another Hamilton."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.real.environments import python_of
from tests.real.run_project import REPOSITORY


@pytest.mark.parametrize("version", ["1.77", "1.89"])
def test_older_versions(version: str) -> None:
    command = [
        str(python_of(f"hamilton-{version}")),
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        [*command, "tests/test_hamilton_frontend.py"],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
