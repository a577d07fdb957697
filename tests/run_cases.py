"""The golden cases: a folder each, with a project, the commands to run there, and what comes out.

    tests/cases/<behaviour>/
      conf/, templates/, dagforge.toml   the project; without conf/ it is the one in this repository
      command                            arguments of `dagforge`, one run a line
      expected/                          what the runs write, by the folders after `-o`
      warnings.txt                       what they say besides, where they say anything
      error.txt                          instead of both, when a run fails: exit codes and messages

As a program it runs every case into a folder, for runs that must not differ:

    PYTHONHASHSEED=1 python tests/run_cases.py FOLDER
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

if TYPE_CHECKING:
    from dagforge.build import Build

REPOSITORY = Path(__file__).parents[1]
CASES = Path(__file__).parent / "cases"
NOT_INPUT = ("command", "expected", "error.txt", "warnings.txt")
NOT_LOADED = "not loaded in the orchestrator"


@dataclass(frozen=True, slots=True)
class Result:
    """What the runs of a case gave.

    Attributes:
        files: text by path, relative to the case.
        warnings: what was said on standard error.
        error: exit codes and messages, empty when every run went well.
    """

    files: dict[str, str]
    warnings: str = ""
    error: str = ""

    def as_files(self) -> dict[str, str]:
        """Return what a case holds besides its input, by path."""
        if self.error:
            return {"error.txt": self.error}
        texts = {f"expected/{path}": text for path, text in self.files.items()}
        return {**texts, "warnings.txt": self.warnings} if self.warnings else texts


def cases() -> list[str]:
    """Return the names of all cases."""
    return sorted(path.parent.name for path in CASES.glob("*/command"))


def commands(case: str) -> list[list[str]]:
    """Return the arguments of every run of a case."""
    text = (CASES / case / "command").read_text(encoding="utf-8")
    return [shlex.split(line) for line in text.splitlines() if line.strip()]


def run_case(case: str, folder: Path, more: Sequence[str] = ()) -> Result:
    """Run the commands of a case in a copy of its input.

    Args:
        case: name of its folder.
        folder: where the copy goes; must not exist.
        more: arguments after those of every command.
    """
    source = CASES / case
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns(*NOT_INPUT))
    own_project = (source / "conf").is_dir()
    before = set(files_in(folder))
    said: list[str] = []
    failed = False
    with _working_in(folder):
        for arguments in commands(case):
            project = [] if own_project else ["--project", str(REPOSITORY)]
            code, stderr = run([*arguments, *project, *more])
            failed = failed or code != 0
            lines = [line for line in stderr.splitlines() if not line.startswith(NOT_LOADED)]
            text = "\n".join(lines)
            said += [
                f"$ dagforge {shlex.join(arguments)}",
                *([f"exit {code}"] if code else []),
                text,
            ]
            if not (text or code):
                del said[-2:]
    told = "\n".join(said) + "\n" if said else ""
    written = {path: text for path, text in files_in(folder).items() if path not in before}
    return Result(written, error=told) if failed else Result(written, warnings=told)


def files_in(folder: Path) -> dict[str, str]:
    """Return the text of every file by its path in the folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes().decode()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def expected(case: str) -> dict[str, str]:
    """Return what a case holds besides its input, by path."""
    found = files_in(CASES / case)
    return {path: text for path, text in found.items() if path.split("/")[0] in NOT_INPUT[1:]}


def rewrite(case: str, result: Result) -> None:
    """Make a result the case's new expectation."""
    folder = CASES / case
    shutil.rmtree(folder / "expected", ignore_errors=True)
    for name in ("error.txt", "warnings.txt"):
        (folder / name).unlink(missing_ok=True)
    for path, text in result.as_files().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text.encode())


def run(arguments: Sequence[str]) -> tuple[int, str]:
    """Run the command line in this process; return the exit code and what it complained about."""
    from dagforge.cli import main

    stdout, stderr = io.StringIO(), io.StringIO()
    code: object = 0
    with (
        mock.patch.object(sys, "argv", ["dagforge", *arguments]),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code
        finally:
            gc.enable()
    assert isinstance(code, int), code
    return code, stderr.getvalue()


def run_in(folder: Path, arguments: Sequence[str]) -> tuple[int, str]:
    """Run the command line in a case's folder; without conf/ it is about this repository."""
    project = [] if (folder / "conf").is_dir() else ["--project", str(REPOSITORY)]
    with _working_in(folder):
        return run([*arguments, *project])


def built(case: str, arguments: Sequence[str], folder: Path | None = None) -> Build:
    """Return what a run of a case plans; the input is read where it stands, or in a copy of it."""
    from dagforge.build import build
    from dagforge.cli.create import create
    from dagforge.cli.options import make_request

    own_project = (CASES / case / "conf").is_dir()
    project = [] if own_project else ["--project", str(REPOSITORY)]
    with _working_in(folder or CASES / case):
        options = create.make_context("create", [*arguments[1:], *project]).params
        return build(make_request(options))


def output_of(arguments: Sequence[str]) -> str:
    """Return the folder that a run writes to."""
    return arguments[arguments.index("-o") + 1]


@contextlib.contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def main(folder: Path) -> None:
    """Run every case into a folder of its name and leave only what came out."""
    for case in cases():
        result = run_case(case, folder / "runs" / case)
        for path, text in result.as_files().items():
            target = folder / case / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text.encode())
    shutil.rmtree(folder / "runs")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
