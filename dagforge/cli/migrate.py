"""The command `migrate`: from kedro-airflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dagforge.cli.options import (
    PathType,
    make_request,
    project_options,
    talk_options,
    target_options,
)
from dagforge.cli.talk import say_more, tell
from dagforge.commands.folders import short_path, working_folder


@click.command()
@click.option(
    "--dags",
    type=PathType(path_type=Path),
    metavar="DIR",
    help="Folder with the DAG files of kedro-airflow.  [default: airflow_dags, else dags]",
)
@click.option(
    "-j",
    "--jinja-file",
    type=PathType(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="The template of `kedro airflow create -j`, where it goes on being used.",
)
@project_options
@target_options
@click.option(
    "--write", is_flag=True, help="Put the proposed settings into conf/base/dagforge.yml."
)
@click.option(
    "--message-format",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How the report is told; json goes to stdout as one object.",
)
@talk_options
def migrate(dags: Path | None, write: bool, **options: Any) -> None:
    """Say what changes when DagForge takes over from kedro-airflow, and how to keep it.

    Reads airflow*.yml and the DAG files that `kedro airflow create` left, without running them.
    Says line by line what will be different and what was wrong, proposes the settings that keep
    every dag_id and task_id, and with them Airflow's history, and ends with a table of the tasks.

    \b
    dagforge migrate                              in the project's folder
    dagforge migrate --write                      put the settings into conf/base/dagforge.yml
    dagforge migrate --dags deploy/dags -e cloud  other DAG files, another environment
    dagforge migrate -j templates/gke.j2          when the template goes on being used
    """  # noqa: D301  # click reads the character
    from dagforge.commands.migrate.migration import migrate as look
    from dagforge.commands.migrate.tell import as_json, as_text

    request = make_request(options)
    _check_target(request.target)
    here = working_folder()
    found = look(request, None if dags is None else here / dags)
    say_more(found.found, options)
    problems = found.found.problems
    wrong = any(problem.severity == "error" for problem in problems)
    written = write and not wrong and _write(found, request.root, quiet=options["quiet"])
    if options["message_format"] == "json":
        tell(problems, options, **as_json(found), written=written)
    else:
        tell(problems, options)
        click.echo(as_text(found, verbose=options["verbose"], written=written))
    if wrong and write:
        click.echo("nothing is written while there are errors", err=True)
    if wrong:
        raise click.exceptions.Exit(1)


def _check_target(target: str | None) -> None:
    if target is not None and not target.startswith("airflow"):
        raise click.UsageError(
            "kedro-airflow's DAGs are Airflow's: --target airflow, airflow-k8s or airflow-gke"
        )


def _write(found: Any, root: Path, *, quiet: bool) -> bool:
    """Put the proposed settings into their file; say whether there were any.

    Raises:
        OutputError: the file cannot be written, or its form does not allow it.
    """
    from dagforge.errors import OutputError, SourceLocation
    from dagforge.output.new_files import create_files

    proposal = found.proposal
    if not proposal.pasted:
        return False
    path = root / proposal.file
    if proposal.text is None:
        raise OutputError.of(
            "settings-form",
            "settings cannot be added to this file without changing what stands in it",
            at=SourceLocation(proposal.file),
            fix="write its sections as indented lines, or paste what `dagforge migrate` prints",
        )
    create_files({path: proposal.text}, may_replace={path})
    if not quiet:
        click.echo(f"changed    {short_path(path)}", err=True)
    return True
