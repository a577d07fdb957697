"""The command `init`: start a project."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from dagforge.cli.options import PathType, completing, quiet_option
from dagforge.cli.talk import say
from dagforge.commands.folders import short_path, working_folder


@click.command()
@click.argument("folder", type=PathType(path_type=Path, file_okay=False), default=Path())
@click.option(
    "--example",
    metavar="NAME",
    default="spaceflights",
    show_default=True,
    shell_complete=completing("examples"),
    help="What the project begins with.",
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@quiet_option
def init(folder: Path, example: str, force: bool, quiet: bool) -> None:
    """Start a project in FOLDER, with an example that compiles and runs.

    \b
    spaceflights         pipelines in YAML, tasks in pods
    churn                decorated Python, a check and a metric
    absenteeism          Hamilton, in one, three or eleven tasks
    resnet               functions, operators of Airflow, a pod and a shell
    kedro-spaceflights   a Kedro project

    \b
    dagforge init my_project
    dagforge init --example churn my_project
    """  # noqa: D301  # click reads the character
    from dagforge.commands.examples import DEMO, check_example
    from dagforge.commands.init import init_project

    working_folder()
    check_example(example)
    for status, path in init_project(folder, force=force, example=example):
        say(f"{status:<10} {short_path(path)}", {"quiet": quiet})
    where = "" if folder == Path() else f"cd {shlex.quote(short_path(folder))} && "
    if not quiet:
        click.echo(f"\nnext: {where}dagforge create", err=True)
        if example != DEMO:
            readme = short_path(folder / "README.md")
            click.echo(f"{readme} says what it needs and how it runs", err=True)
