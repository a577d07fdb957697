"""How commands talk: results, problems in each form that is asked for, progress."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dagforge import __version__
from dagforge.commands.folders import find_root
from dagforge.errors import DagForgeError, Problem

if TYPE_CHECKING:
    from dagforge.build import Build, Progress

# About 50 pipelines, which take a second.
STEPS_WITHOUT_BAR = 150


class DagForgeErrors(DagForgeError):
    """Problems of several stages, with the exit code of the stage that failed.

    Attributes:
        more: what else a JSON reader wants to know.
    """

    def __init__(
        self, problems: Iterable[Problem], exit_code: int, more: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(problems)
        self.exit_code = exit_code  # type: ignore[misc]  # differs from error to error here only
        self.more = more or {}


def refuse_warnings(warnings: Iterable[Problem], options: Mapping[str, Any]) -> None:
    """Raise the warnings as errors where they are to be that."""
    found = [replace(problem, severity="error") for problem in warnings]
    if options["strict"] and found:
        raise DagForgeErrors(found, exit_code=1)


def say(text: str, options: Mapping[str, Any]) -> None:
    """Print a result, unless it is not wanted or problems are told to a program."""
    if not options.get("quiet") and options.get("message_format", "text") in ("text", "github"):
        click.echo(text)


def say_more(found: Build, options: Mapping[str, Any]) -> None:
    """Say on standard error, where more is wanted, what a run is about."""
    if options["verbose"]:
        target = found.target
        click.echo(
            f"project {found.project.name} in {found.conf.root.as_posix()}, environment "
            f"{found.conf.env or 'base'}, target {target.name} "
            f"({target.orchestrator.capitalize()} {target.version})",
            err=True,
        )


def tell(problems: Sequence[Problem], options: Mapping[str, Any], **more: Any) -> None:
    """Print problems in the form that was asked for.

    Args:
        problems: in the order in which they are told.
        options: of the command.
        more: what else a JSON reader wants to know.
    """
    from dagforge import report

    form = options.get("message_format", "text")
    if form == "json":
        click.echo(report.as_json(problems, **more))
    elif form == "sarif":
        click.echo(report.as_sarif(problems, __version__, folder_in_repository(options)))
    elif form == "github":
        if problems:
            click.echo(report.as_github(problems, folder_in_repository(options)))
    elif problems:
        if options.get("quiet"):
            problems = [problem for problem in problems if problem.severity == "error"]
        if problems:
            click.echo(report.as_text(problems, color=sys.stderr.isatty()), err=True)


def folder_in_repository(options: Mapping[str, Any]) -> str:
    """Return where messages' paths begin, from the top of the git repository, with a slash.

    Empty where that is the top, or there is no repository.
    """
    try:
        here = Path.cwd()
    except OSError:
        return ""
    start = here
    if "root" in options:
        start = (here / (options["root"] or find_root(here))).resolve()
    top = next((above for above in (start, *start.parents) if (above / ".git").exists()), start)
    return "" if top == start else f"{start.relative_to(top).as_posix()}/"


@contextlib.contextmanager
def progress_bar(options: Mapping[str, Any], label: str = "compiling") -> Iterator[Progress | None]:
    """Give what shows progress on a terminal where much is done, None elsewhere."""
    told_to_a_program = options.get("message_format", "text") != "text"
    if options.get("quiet") or told_to_a_program or not sys.stderr.isatty():
        yield None
        return
    with contextlib.ExitStack() as stack:
        bar: Any = None

        def progress(done: int, of: int) -> None:
            nonlocal bar
            if bar is None and of > STEPS_WITHOUT_BAR:
                bar = click.progressbar(length=of, label=label, file=sys.stderr)
                stack.enter_context(bar)
            if bar is not None:
                bar.update(done - bar.pos)

        yield progress
