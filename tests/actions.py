"""Runs the steps of action.yml as the runner of GitHub Actions does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from tests.git import ENVIRONMENT

PROJECT = Path(__file__).parents[1]
ACTION = yaml.safe_load((PROJECT / "action.yml").read_text())


def value_of(text: str, inputs: Mapping[str, str]) -> str:
    """Return a text with the expressions in it, as far as the action has them."""

    def evaluate(match: re.Match[str]) -> str:
        code = match[1].replace("||", " or ").replace("&&", " and ")
        code = re.sub(r"inputs\.([\w-]+)", r"inputs['\1']", code)
        code = code.replace("github.action_path", "action_path")
        return str(eval(code, {"inputs": inputs, "action_path": str(PROJECT)}))

    return re.sub(r"\$\{\{ (.+?) \}\}", evaluate, text)


def run_action(
    repository: Path, temp: Path, *, install: bool = False, **given: str
) -> list[tuple[str, int, str]]:
    """Run the steps of the action as the runner does, up to one that fails.

    Args:
        repository: the checkout.
        temp: an empty folder.
        install: run the step that installs DagForge too; without it, this one is taken.
        given: inputs.

    Returns:
        Name, exit code and what was printed, of each step.
    """
    inputs = {name: str(each["default"]) for name, each in ACTION["inputs"].items()} | given
    paths = temp / "paths"
    paths.touch()
    done = []
    for step in ACTION["runs"]["steps"]:
        wanted = step.get("if") is None or value_of(f"${{{{ {step['if']} }}}}", inputs) == "True"
        if "run" not in step or not wanted or (step["name"].startswith("Install") and not install):
            continue
        own = {name: value_of(text, inputs) for name, text in step.get("env", {}).items()}
        first = paths.read_text().split() or [str(Path(sys.executable).parent)]
        ran = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]],
            cwd=repository / value_of(step.get("working-directory", "."), inputs),
            env={
                **ENVIRONMENT,
                **own,
                "PATH": os.pathsep.join([*first, os.environ["PATH"]]),
                "GITHUB_PATH": str(paths),
                "RUNNER_TEMP": str(temp),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        done.append((step["name"], ran.returncode, ran.stdout))
        if ran.returncode:
            break
    return done
