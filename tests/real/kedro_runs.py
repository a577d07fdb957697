"""Kedro projects, and the real Kedro that runs them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.real.environments import python_of

EXAMPLE = Path(__file__).parents[2] / "examples/kedro-spaceflights"
VERSIONS = ("1.7", "0.19")
# 0.19 takes no project of another minor version.
INIT_VERSION = {"1.7": "1.7.0", "0.19": "0.19.15"}


def copy_example(folder: Path, version: str) -> Path:
    """Copy the example into a folder, as the README says for a version of Kedro."""
    root = folder / "kedro-spaceflights"
    shutil.copytree(
        EXAMPLE, root, ignore=shutil.ignore_patterns("__pycache__", "dags", ".dagforge")
    )
    pyproject = root / "pyproject.toml"
    line = f'kedro_init_version = "{INIT_VERSION[version]}"'
    text = pyproject.read_text(encoding="utf-8")
    pyproject.write_text(re.sub(r"kedro_init_version = .*", line, text), encoding="utf-8")
    return root


def write_project(root: Path, version: str, files: Mapping[str, str]) -> Path:
    """Write a Kedro project called `small` whose own files are given, and return its folder."""
    written = {
        "pyproject.toml": '[tool.kedro]\npackage_name = "small"\nproject_name = "Small"\n'
        f'kedro_init_version = "{INIT_VERSION[version]}"\n',
        "src/small/__init__.py": "",
        "src/small/settings.py": "",
        "conf/base/catalog.yml": "",
        "conf/local/.gitkeep": "",
        **files,
    }
    for name, text in written.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def variables(packages: Path | None = None, **more: str) -> dict[str, str]:
    """Return the environment variables of a process with Kedro, and DagForge from a folder."""
    own = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("AIRFLOW", "PYTHON", "DAGFORGE", "KEDRO", "PREFECT"))
    }
    own |= {"DO_NOT_TRACK": "1", "COLUMNS": "200"}
    return own | ({"PYTHONPATH": str(packages)} if packages else {}) | more


def kedro(
    root: Path, version: str, *arguments: str, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command of Kedro in a project's folder; its output and errors come as one text."""
    return subprocess.run(
        [str(python_of(f"kedro-{version}")), "-m", "kedro", *arguments],
        cwd=root,
        env=dict(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ran(root: Path, version: str, *arguments: str, env: Mapping[str, str]) -> str:
    """Return what a command of Kedro prints; fail when it fails."""
    done = kedro(root, version, *arguments, env=env)
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def results(root: Path) -> dict[str, bytes]:
    """Return the content of every file that a run of the project wrote, by its path in `data`."""
    data = root / "data"
    return {
        file.relative_to(data).as_posix(): file.read_bytes()
        for file in sorted(data.rglob("*"))
        if file.is_file() and "01_raw" not in file.parts
    }
