"""Compile the spaceflights project of `conf/` for every target and show what was made.

python scripts/demo.py [OUTPUT]
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).parents[1]
OUTPUT = Path("build/demo")
TARGETS = {
    "airflow": "Python tasks in the Airflow worker",
    "airflow-k8s": "a Kubernetes pod for each task",
    "airflow-gke": "the same on Google Kubernetes Engine",
    "prefect": "Prefect flows",
}
NEXT_STEP = "not loaded in the orchestrator: "
SHOWN = Path("airflow-k8s/spaceflights_data_science.py")


def main(output: Path = OUTPUT) -> int:
    """Compile for each target into a new folder and print a part of one file.

    Returns:
        The exit status.
    """
    shutil.rmtree(PROJECT / output, ignore_errors=True)
    _say("The nodes of conf/base/pipelines.yml, and the tasks that their tags make of them:")
    status = _dagforge("show", "--target", "airflow-k8s")
    for target, about in TARGETS.items():
        _say(f"For {target}, {about}:")
        folder = (output / target).as_posix()
        status = status or _dagforge("create", "--all", "--target", target, "-o", folder)
        if status:
            return status
    shown = PROJECT / output / SHOWN
    _say(f"A part of {(output / SHOWN).as_posix()}:")
    print("".join(f"    {line}\n" for line in excerpt(shown.read_text("utf-8").splitlines())))
    print("README.md goes on from here, to DAGs that a real Airflow has loaded.")
    return 0


def _say(text: str) -> None:
    print(f"\n{text}\n", flush=True)


def _dagforge(*arguments: str) -> int:
    """Run a command as a user would type it; return its exit status."""
    print("$ dagforge", *arguments, flush=True)
    command = [sys.executable, "-m", "dagforge", *arguments]
    done = subprocess.run(command, cwd=PROJECT, stderr=subprocess.PIPE, encoding="utf-8")
    told = done.stderr.splitlines(keepends=True)
    # The demo is no place to go on in, README.md is.
    sys.stderr.write("".join(line for line in told if not line.startswith(NEXT_STEP)))
    sys.stderr.flush()
    return done.returncode


def excerpt(lines: Sequence[str]) -> list[str]:
    """Return the lines from `with DAG(` to the end of the first task, and the edges."""
    start = lines.index("with DAG(")
    end = lines.index("    )", start) + 1
    edges = [line for line in lines[end:] if " >> " in line]
    return [*lines[start:end], "    ...", *edges]


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
