"""Runs the commands that a page of the documentation shows.

In a page that is run,

* a block ```` ```console ```` holds commands after `$ `, each with what it prints;
* a block ```` ```yaml conf/base/airflow.yml ````, of any language and path, is a file;
* a block ```` ```diff conf/base/airflow.yml ```` changes a file;
* `<!-- project -->` begins a new folder, as `dagforge init` makes it, `<!-- folder -->` an empty
  one, `<!-- example NAME -->` one with a copy of that example;
* `<!-- not run: reason -->` before a block leaves it out, `<!-- with airflow-3.3 -->` runs it where
  that environment is the folder `airflow` beside the project, `<!-- with kedro-1.7 -->` where
  `kedro` and `dagforge` are that environment's.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dagforge.commands.init import init_project

PROJECT = Path(__file__).parents[1]
PART = re.compile(
    r"^<!-- (?P<mark>.+?) -->$"
    r"|^```(?P<kind>\w+)(?: (?P<path>\S+))?\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


@dataclass(frozen=True)
class Shown:
    """A block of commands: the text of the page, and what it is when the commands are run."""

    page: str
    found: str


def run_page(path: Path, folder: Path, environments: Path | None = None) -> Iterator[Shown]:
    """Yield each block of commands of a page, with what its commands print now.

    Args:
        path: the page.
        folder: an empty one.
        environments: the folder of the real environments; without it, blocks that need one are
            left out.
    """
    where, mark = folder, ""
    for number, part in enumerate(PART.finditer(path.read_text(encoding="utf-8"))):
        if part["mark"] is not None:
            mark = part["mark"]
            if mark in ("project", "folder") or mark.startswith("example "):
                where = folder / str(number) / "spaceflights"
                where.mkdir(parents=True)
                if mark.startswith("example "):
                    _copy_example(mark.removeprefix("example "), where)
                elif mark == "project":
                    init_project(where, force=False)
                else:
                    where = where.parent
            continue
        before, mark = mark, ""
        if before.startswith("not run: "):
            continue
        if before.startswith("with "):
            if environments is None:
                continue
            name = before.removeprefix("with ")
            if name.startswith("kedro"):
                _write_programs(where.parent / "bin", environments / name)
            else:
                _link(where.parent / "airflow", environments / name)
        if part["kind"] == "console":
            text, where = _run(part["text"], where)
            yield Shown(part["text"], text)
        elif part["path"] is not None:
            _change(where / part["path"], part["kind"], part["text"])


def _copy_example(name: str, folder: Path) -> None:
    left_out = shutil.ignore_patterns("__pycache__", "dags", "airflow_dags", ".dagforge")
    shutil.copytree(PROJECT / "examples" / name, folder, dirs_exist_ok=True, ignore=left_out)


def _write_programs(folder: Path, environment: Path) -> None:
    """Write `kedro` and `dagforge`, which run in an environment of Kedro, the first one silent."""
    folder.mkdir(exist_ok=True)
    logging = folder / "logging.yml"
    logging.write_text("version: 1\nloggers: {kedro: {level: WARNING}}\n")
    for name in ("kedro", "dagforge"):
        (folder / name).write_text(
            f"#!/bin/sh\nPYTHONPATH='{PROJECT}' DO_NOT_TRACK=1 KEDRO_LOGGING_CONFIG='{logging}' "
            f"exec '{environment}/bin/python' -m {name} \"$@\"\n"
        )
        (folder / name).chmod(0o755)


def _link(link: Path, environment: Path) -> None:
    if not link.exists():
        link.symlink_to(environment)


def _run(text: str, where: Path) -> tuple[str, Path]:
    """Return a block of commands with what they print now, and the folder that they end in."""
    found = ""
    programs = [where.parent / "bin", Path(sys.executable).parent]
    for command, _ in COMMAND.findall(text):
        place = where / ".where"
        done = subprocess.run(
            ["bash", "-c", f"{command}\npwd > '{place}'"],
            cwd=where,
            env={**os.environ, "PATH": ":".join([*map(str, programs), os.environ["PATH"]])},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        found += f"$ {command}\n{done.stdout}"
        where = Path(place.read_text().strip())
        place.unlink()
    return found, where


def _change(path: Path, kind: str, text: str) -> None:
    """Write a file, or change it as a diff without line numbers says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "diff":
        lines = text.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] in " -")
        new = "".join(line[1:] for line in lines if line[0] in " +")
        content = path.read_text(encoding="utf-8")
        assert content.count(old) == 1, f"{path} does not hold once:\n{old}"
        text = content.replace(old, new)
    path.write_text(text, encoding="utf-8")
