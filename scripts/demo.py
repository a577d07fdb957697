"""Compile the spaceflights project of `conf/` for every target and show what was made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]
OUTPUT = Path("build/demo")
TARGETS = ("airflow", "airflow-k8s", "airflow-gke", "prefect")
SHOWN = "airflow-k8s"


def main() -> int:
    """Compile for each target, list the files and print one of them; return the exit status."""
    for target in TARGETS:
        arguments = ["create", "--all", "--conf", "conf", "--target", target]
        arguments += ["--output-dir", (OUTPUT / target).as_posix()]
        print("$ dagforge", *arguments, flush=True)
        status = subprocess.run(
            [sys.executable, "-m", "dagforge", *arguments], cwd=PROJECT
        ).returncode
        if status:
            return status
    print()
    made = sorted((PROJECT / OUTPUT).rglob("*.py"))
    for file in made:
        lines = len(file.read_text(encoding="utf-8").splitlines())
        print(f"{file.relative_to(PROJECT).as_posix():<60} {lines:>4} lines")
    shown = next(file for file in made if file.parent.name == SHOWN)
    print(f"\n{shown.relative_to(PROJECT).as_posix()}:\n")
    print(shown.read_text(encoding="utf-8"), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
