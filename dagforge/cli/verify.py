"""The command `verify`: load generated files in the real orchestrator."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dagforge.cli.options import (
    PathType,
    completing,
    make_request,
    message_options,
    output_folder,
    pipelines_option,
    project_options,
)
from dagforge.cli.talk import DagForgeErrors, refuse_warnings, say, say_more, tell
from dagforge.commands.folders import short_path
from dagforge.errors import Problem, VerificationError

if TYPE_CHECKING:
    from dagforge.commands.written import Planned


@click.command()
@click.argument("folder", type=PathType(path_type=Path, file_okay=False), required=False)
@project_options
@click.option(
    "--target",
    metavar="NAME",
    shell_complete=completing("targets"),
    help="Only the files for this target.",
)
@click.option(
    "--airflow-version",
    metavar="VERSION",
    shell_complete=completing("airflow_versions"),
    help="Only the files for this version of Airflow.",
)
@pipelines_option("Only the files of this pipeline, which must be there; may be repeated.")
@click.option("--all", "every", is_flag=True, help="A file of every pipeline must be there.")
@click.option(
    "--python",
    type=PathType(path_type=Path),
    metavar="PATH",
    help="Interpreter with Airflow or Prefect.  [default: this one]",
)
@message_options
def verify(folder: Path | None, **options: Any) -> None:
    """Load generated files in the real Airflow or Prefect and hold them against the plan.

    FOLDER holds the generated files; without it, the project's output folder. Each file is held
    against what the command in its header gives now. --target, --env and --airflow-version choose
    files that were made with these.

    \b
    dagforge verify --python venv/bin/python            all files of this project
    dagforge verify flows --target prefect --python venv/bin/python
    """  # noqa: D301  # click reads the character
    from dagforge.build import build
    from dagforge.cli.create import read_command
    from dagforge.commands.written import (
        batches,
        choose,
        files_in,
        plans,
        source_of,
        without_left_overs,
    )
    from dagforge.reading.project import read_project

    request = make_request(options)
    project = read_project(request.root)
    output = output_folder(request, project, folder)
    shown = short_path(output)
    files = files_in(output, project.name, shown=shown).files
    read = batches(files, lambda command: read_command(command, request))
    read = choose(read, request, project.name, shown)
    warnings: list[Problem] = []
    built = []
    for batch in read:
        source = source_of(batch)
        present, left_overs = without_left_overs(batch, source.pipelines)
        warnings += left_overs
        if present.files:
            found = build(
                present.request, render_files=False, strict=options["strict"], source=source
            )
            say_more(found, options)
            warnings += found.warnings
            built.append((present, found))
    planned, left_overs = plans(built)
    warnings = list({str(problem): problem for problem in [*warnings, *left_overs]}.values())
    if not planned:
        raise VerificationError(replace(problem, severity="error") for problem in warnings)
    verify_planned(planned, output, options, warnings)
    refuse_warnings(warnings, options)
    tell(warnings, options)


def verify_planned(
    planned: Iterable[Planned], output: Path, options: Mapping[str, Any], warnings: list[Problem]
) -> None:
    """Load files, each target's by itself, and raise what is wrong with any; add to `warnings`."""
    from dagforge.verify import verify as verify_files

    python = Path(options["python"] or sys.executable)
    wrong: list[Problem] = []
    for each in planned:
        try:
            result = verify_files(each.dags, output, each.target, python=python)
        except VerificationError as error:
            wrong += error.problems
            continue
        warnings += result.warnings
        say(result.summary, options)
    if wrong:
        raise DagForgeErrors([*warnings, *wrong], VerificationError.exit_code)
