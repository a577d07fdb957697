"""The command `diff`: what a change means."""

from __future__ import annotations

from typing import Any

import click

from dagforge.cli.options import (
    completing,
    make_request,
    pipeline_options,
    project_options,
    talk_options,
)


@click.command()
@click.argument("against", metavar="[REV|DIR]", required=False)
@pipeline_options
@project_options
@click.option(
    "--target",
    metavar="NAME",
    shell_complete=completing("targets"),
    help="Compare what is written for this target, on both sides.",
)
@click.option(
    "--airflow-version",
    metavar="VERSION",
    shell_complete=completing("airflow_versions"),
    help="Version of Airflow for the new side; alone, nothing else differs.",
)
@click.option(
    "--from",
    "old_version",
    metavar="VERSION",
    shell_complete=completing("airflow_versions"),
    help="Version of Airflow for the old side.  [default: the project's]",
)
@click.option(
    "--merge-base",
    "fork",
    is_flag=True,
    help="Compare with where REV and HEAD parted, as git does.",
)
@click.option("--format", "form", type=click.Choice(("text", "markdown", "json")), default="text")
@click.option(
    "--now",
    metavar="DATE",
    help="Tell the runs after this moment.  [default: the date of the last commit]",
)
@click.option(
    "--runs",
    type=click.IntRange(0, 100),
    default=3,
    show_default=True,
    help="How many runs to tell where a schedule differs.",
)
@click.option("--exit-code", is_flag=True, help="Exit 3 when something differs.")
@talk_options
def diff(against: str | None, form: str, **options: Any) -> None:
    """Say what a change means: which DAGs and tasks come and go, when they run, what is lost.

    Compares the working tree with REV, a git revision (HEAD without one), or with DIR: another
    checkout, or a folder of generated files. REV may be A..B or A...B, as for git diff.

    \b
    dagforge diff                                   what the changes here mean
    dagforge diff origin/main...                    what this branch means, for a pull request
    dagforge diff main --format markdown            as a comment
    dagforge diff /mnt/bucket/dags                  what deploying would change
    dagforge diff --from 2.10 --airflow-version 3.1   the same definitions in another Airflow
    """  # noqa: D301  # click reads the character
    from dagforge.commands.diff import compare_sides
    from dagforge.commands.diff_page import page
    from dagforge.commands.sides import Asked, moment_of_text

    if options["every"] and options["pipelines"]:
        raise click.UsageError("--all and --pipeline exclude each other")
    now = options["now"]
    found = compare_sides(
        Asked(
            make_request(options),
            against,
            fork=options["fork"],
            old_version=options["old_version"],
            after=None if now is None else moment_of_text(now),
        )
    )
    click.echo(page(found, form, runs=options["runs"], every=options["verbose"]))
    if options["exit_code"] and found:
        raise click.exceptions.Exit(3)
