"""The command `report`: one page about the project."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from dagforge.cli.options import (
    OfPipelines,
    PathType,
    make_request,
    pipelines_option,
    project_options,
    selection_options,
    settings_options,
    talk_options,
    target_options,
)
from dagforge.cli.talk import say, say_more, tell
from dagforge.commands.folders import short_path
from dagforge.commands.made_file import write_made

DEFAULT_RUNS = 10
DEFAULT_OUTPUT = "dagforge-report.html"


@click.command(cls=OfPipelines)
@pipelines_option("Only this pipeline; may be repeated, or several by commas.  [default: all]")
@click.option(
    "-o",
    "--output",
    type=PathType(path_type=Path),
    metavar="FILE",
    default=DEFAULT_OUTPUT,
    show_default=True,
    help="Write the page to FILE; - is standard output.",
)
@click.option(
    "--now",
    metavar="DATE",
    help="Tell the runs after this moment.  [default: the date of the last commit]",
)
@click.option(
    "--store",
    metavar="URL",
    help="Show the last runs that this store has; a folder or any fsspec URL.  [default: no runs]",
)
@click.option(
    "--runs",
    type=click.IntRange(min=1),
    default=DEFAULT_RUNS,
    show_default=True,
    help="How many runs of each pipeline to show, with --store.",
)
@click.option(
    "--direction",
    type=click.Choice(("down", "right")),
    default="down",
    show_default=True,
    help="Where the arrows of drawings go.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit 3 when FILE is not up to date.")
@click.option("--force", is_flag=True, help="Overwrite a file that `report` did not write.")
@project_options
@target_options
@settings_options
@selection_options
@talk_options
def report(**options: Any) -> None:
    """Write one page about the project: drawings, tasks, machines, schedules, limits of targets.

    The page is a single file for any browser, without network: for a colleague, a CI artifact, or
    the printer. It is the same for the same input.

    \b
    dagforge report                                  dagforge-report.html, of all pipelines
    dagforge report -p data_science -o model.html
    dagforge report --target airflow-gke --env cloud
    dagforge report --now 2026-01-31                 with the runs after that day
    dagforge report --store gs://bucket/store        with the runs that tasks left records of
    """  # noqa: D301  # click reads the character
    from dagforge.build import build
    from dagforge.commands.report_page.facts import Store, report_of
    from dagforge.commands.report_page.page import page_of
    from dagforge.commands.sides import date_of_head, moment_of_text
    from dagforge.runtime.execute import store_url_of
    from dagforge.runtime.files import Files

    output: Path = options["output"]
    to_screen = output.name == "-"
    if to_screen and (options["check"] or options["force"]):
        raise click.UsageError("--check and --force are about a file, not standard output")
    if options["check"] and options["force"]:
        raise click.UsageError("--check writes nothing; --force is for writing")
    if output.suffix.lower() not in ("", ".html", ".htm"):
        raise click.UsageError(f"the report is HTML: call it {output.with_suffix('.html')}")
    after = None if options["now"] is None else moment_of_text(options["now"])
    request = make_request(options)
    request = replace(request, every=not request.pipelines)
    found = build(request)
    say_more(found, options)
    store = None
    if options["store"] is not None:
        store = Store(Files(store_url_of(options["store"], None, request.root)), options["runs"])
    facts = report_of(found, request, after or date_of_head(request.root), store)
    text = page_of(facts, options["direction"])
    if to_screen:
        click.echo(text, nl=False)
    else:
        status = write_made(text, "report", output, check=options["check"], force=options["force"])
        say(f"{status:<10} {short_path(output)}", options)
    tell(found.warnings, options)
