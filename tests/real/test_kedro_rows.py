"""Kedro projects of every odd kind: what is said of each, and that nothing is left behind.

The rows of kedro_rows.txt are all run in one process, each a project with a package of the same
name, so that one project that is still there while another is read would be noticed. They hold
the files that differ from those of tests/real/kedro_projects.py (`-` alone: there is none; VERSION
is that of Kedro), the commands, and what stands on stdout and stderr, which `pytest --golden`
rewrites.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.real.environments import python_of
from tests.real.kedro_projects import REPOSITORY, VERSIONS, write_kedro_project

TABLE = Path(__file__).with_name("kedro_rows.txt")
PROBE = Path(__file__).with_name("probes") / "kedro_rows.py"


@dataclass(frozen=True, slots=True)
class Row:
    """A project, the commands to run in it, and what they say."""

    name: str
    commands: tuple[str, ...]
    files: Mapping[str, str | None]
    says: str


def rows() -> Iterator[Row]:
    """Yield the rows of the table."""
    text = TABLE.read_text(encoding="utf-8")
    for part in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
        name, _, body = part.partition("\n")
        head, *rest = re.split(r"^--- (.*)\n", body, flags=re.MULTILINE)
        files = dict(zip(rest[::2], rest[1::2], strict=True))
        says = files.pop("says", "")
        commands = [line.removeprefix("$ ") for line in head.splitlines() if line.startswith("$ ")]
        changed = {path: None if text.strip() == "-" else text for path, text in files.items()}
        yield Row(name.strip(), tuple(commands or ["create"]), changed, says)


ROWS = {row.name: row for row in rows()}


@pytest.fixture(scope="module", params=VERSIONS)
def said(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Mapping[str, str]]:
    """The environment, and what was said in each row's project there."""
    environment: str = request.param
    folder = tmp_path_factory.mktemp(environment)
    projects = []
    for number, row in enumerate(ROWS.values()):
        files = {
            path: text and text.replace("VERSION", VERSIONS[environment])
            for path, text in row.files.items()
        }
        root = write_kedro_project(folder / str(number) / "shop", files, environment=environment)
        commands = [shlex.split(command) for command in row.commands]
        projects.append({"root": str(root), "commands": commands})
    done = subprocess.run(
        [str(python_of(environment)), str(PROBE)],
        input=json.dumps(projects),
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "DO_NOT_TRACK": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    texts = {
        row.name: "".join(
            f"exit {code}\n{out}{err}".replace(f"{project['root']}/", "")
            for code, out, err in results
        )
        for row, project, results in zip(
            ROWS.values(), projects, json.loads(done.stdout), strict=True
        )
    }
    return environment, texts


@pytest.mark.parametrize("name", ROWS)
def test_what_is_said(
    name: str, said: tuple[str, Mapping[str, str]], request: pytest.FixtureRequest
) -> None:
    environment, texts = said
    row = ROWS[name]
    newest = environment == "kedro-1.7"
    if request.config.getoption("--golden") and newest:
        rewrite(name, texts[name])
    elif newest:
        assert texts[name] == row.says.removesuffix("\n")
    else:
        assert gist(texts[name]) == gist(row.says)


def gist(text: str) -> list[str]:
    """Return exit codes, and places and codes of problems: what Kedro itself says may differ."""
    lines = re.sub(r"\d+\.\d+\.\d+", "VERSION", text).splitlines()
    problem = re.compile(r"(\S+: )?(error|warning): .*(\[[a-z-]+\])$")
    matches = (problem.match(line) for line in lines)
    found = [" ".join(filter(None, match.groups())) for match in matches if match]
    return [line for line in lines if line.startswith("exit ")] + found


def rewrite(name: str, text: str) -> None:
    """Put what was said into the table."""
    table = TABLE.read_text(encoding="utf-8")
    begin = table.index(f"=== {name}\n")
    end = table.find("\n=== ", begin)
    row = table[begin : len(table) if end < 0 else end + 1]
    head = row.partition("--- says\n")[0]
    TABLE.write_text(table.replace(row, f"{head}--- says\n{text}\n"), encoding="utf-8")
