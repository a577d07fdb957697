"""Compile the spaceflights project of `conf/` for every target, show what was made, and run it.

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
    if status := run(output / "project"):
        return status
    print("\nREADME.md goes on from here, to DAGs that a real Airflow has loaded.")
    return 0


def run(folder: Path) -> int:
    """Start a project in a new folder, make data for it, run it and show the run.

    Returns:
        The exit status.
    """
    _say("A generated task runs `dagforge run` with its own nodes; here, the whole pipeline runs:")
    project = PROJECT / folder
    for words in (
        ["-m", "dagforge", "init", str(project), "--quiet"],
        [str(project / "make_data.py"), str(project / "data/01_raw")],
    ):
        done = subprocess.run([sys.executable, *words], stderr=subprocess.PIPE, encoding="utf-8")
        if done.returncode:
            sys.stderr.write(done.stderr)
            return done.returncode
    status = _dagforge("run", "__default__", "--jobs", "2", folder=project, told=False)
    return status or _dagforge("runs", "show", "__default__", folder=project)


def _say(text: str) -> None:
    print(f"\n{text}\n", flush=True)


def _dagforge(*arguments: str, folder: Path = PROJECT, told: bool = True) -> int:
    """Run a command as a user would type it; return its exit status.

    Args:
        arguments: of the command.
        folder: to run it in.
        told: show what it says on the way too, not only when it fails.
    """
    print("$ dagforge", *arguments, flush=True)
    command = [sys.executable, "-m", "dagforge", *arguments]
    done = subprocess.run(command, cwd=folder, stderr=subprocess.PIPE, encoding="utf-8")
    if told or done.returncode:
        lines = done.stderr.splitlines(keepends=True)
        # The demo is no place to go on in, README.md is.
        sys.stderr.write("".join(line for line in lines if not line.startswith(NEXT_STEP)))
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
