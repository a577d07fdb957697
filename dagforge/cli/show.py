"""The commands `list` and `show`: what the project defines, and what the compiler makes of it."""

from __future__ import annotations

from typing import Any

import click

from dagforge.cli.options import (
    format_option,
    make_request,
    one_pipeline,
    project_options,
    selection_options,
    settings_options,
    talk_options,
    target_options,
)
from dagforge.cli.talk import say_more, tell

STAGES = ("pipeline", "groups", "settings", "plan")


@click.command(name="list")
@project_options
@target_options
@format_option
@talk_options
def list_(**options: Any) -> None:
    """List the pipelines, with their nodes, tasks and schedule.

    Those that are wrong are left out, and said on standard error why; the exit code is 1 then.
    """
    from dagforge.build import attempt
    from dagforge.commands.show import list_pipelines

    options["every"] = True
    found = attempt(make_request(options), render_files=False)
    say_more(found, options)
    if found.stages or options["form"] == "json":
        click.echo(list_pipelines(found, options["form"]))
    found.raise_errors()
    if options["verbose"]:
        tell(found.warnings, options)


@click.command()
@one_pipeline
@click.option(
    "--stage",
    type=click.Choice(STAGES),
    default="groups",
    show_default=True,
    help="What to show: the pipeline as loaded, its tasks, its settings, or the whole plan.",
)
@format_option
@project_options
@target_options
@settings_options
@selection_options
@talk_options
def show(pipeline: str | None, stage: str, form: str, **options: Any) -> None:
    """Show a pipeline between two stages of the compiler.

    \b
    dagforge show data_science                      which nodes run in which task
    dagforge show data_science --stage plan --format json
    """  # noqa: D301  # click reads the character
    from dagforge.build import build
    from dagforge.commands.show import show_stage

    options["pipelines"] = (pipeline,) if pipeline else ()
    found = build(make_request(options), render_files=False)
    say_more(found, options)
    tell(found.warnings, options)
    click.echo(show_stage(found, stage, form))
