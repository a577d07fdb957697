"""The command `create`: write the DAG files."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dagforge.cli.options import (
    OfPipelines,
    PathType,
    make_request,
    message_options,
    output_folder,
    parse_params,
    pipeline_options,
    project_options,
    selection_options,
    settings_options,
    target_options,
    template_options,
)
from dagforge.cli.talk import (
    DagForgeErrors,
    progress_bar,
    refuse_warnings,
    say,
    say_more,
    tell,
)
from dagforge.commands.folders import short_path
from dagforge.errors import OutputError, UsageError

if TYPE_CHECKING:
    from dagforge.build import Build, Request
    from dagforge.output.files import WriteReport
    from dagforge.output.overlay import Overlay


@click.command(cls=OfPipelines)
@pipeline_options
@project_options
@target_options
@settings_options
@selection_options
@template_options
@click.option(
    "-o",
    "--output-dir",
    "-t",
    "--target-dir",
    "output",
    type=PathType(path_type=Path),
    metavar="DIR",
    help="Folder for the DAG files.  [default: dags]",
)
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing; exit 3, with a diff, when a file is not up to date.",
)
@click.option(
    "--diff",
    "--dry-run",
    "diff",
    is_flag=True,
    help="Write nothing; print what would change and exit 0, or 3 with --check.",
)
@click.option(
    "--verify", is_flag=True, help="Load the files in the real Airflow or Prefect afterwards."
)
@click.option(
    "--python",
    type=PathType(path_type=Path),
    metavar="PATH",
    help="Interpreter with Airflow or Prefect, for --verify.  [default: this one]",
)
@click.option("--force", is_flag=True, help="Overwrite files that were edited by hand.")
@click.option(
    "--accept-renames", is_flag=True, help="A lost dag_id or task_id, and its history, is meant."
)
@click.option("--prune", is_flag=True, help="Remove files whose pipeline is gone.")
@message_options
def create(**options: Any) -> None:
    """Write the DAG files of pipelines.

    \b
    dagforge create                                  the project's pipelines, for Airflow
    dagforge create --all --env cloud --target airflow-gke -o dags/
    dagforge create -p data_science --group-by none  one task for each node
    dagforge create --check                          in CI: are the committed files up to date?
    dagforge create --verify --python venv/bin/python
    """  # noqa: D301  # click reads the character
    from dagforge.build import build
    from dagforge.output.files import StaleOutputError, WriteMode
    from dagforge.write import write

    _check_create(options)
    request = make_request(options)
    with progress_bar(options) as progress:
        found = build(request, strict=options["strict"], progress=progress)
    say_more(found, options)
    warnings = list(found.warnings)
    output = output_folder(request, found.project, options["output"])
    mode = WriteMode(
        check=options["check"],
        diff=options["diff"],
        force=options["force"],
        accept_renames=options["accept_renames"],
        prune=options["prune"],
        complete=found.complete,
    )
    written = not (options["check"] or options["diff"])
    try:
        overlay = _overlay(found)
        if options["strict"] and written:
            # What would be a warning afterwards stops the run before anything is changed.
            look = replace(mode, diff=True)
            write(found.files, output, look, root=request.root, warn=warnings.append)
            refuse_warnings(warnings, options)
        report = write(
            found.files,
            output,
            mode,
            root=request.root,
            warn=warnings.append,
            # Without it the DAGs would not run.
            elsewhere=[overlay.change()] if overlay is not None else (),
        )
        if overlay is not None and options["check"]:
            raise StaleOutputError([overlay.stale()], report)
    except StaleOutputError as error:
        problems = list(error.problems)
        if overlay is not None:
            problems = list(dict.fromkeys([overlay.stale(), *problems]))
            say(overlay.report().diff().removesuffix("\n"), options)
        _say_diff(error.report, options)
        summary = _summary(error.report, found, output, diffs=True)
        raise DagForgeErrors([*warnings, *problems], error.exit_code, summary) from error
    except OutputError as error:
        raise DagForgeErrors([*warnings, *error.problems], error.exit_code) from error
    refuse_warnings(warnings, options)
    if options["diff"]:
        if overlay is not None:
            say(overlay.report().diff().removesuffix("\n"), options)
        _say_diff(report, options)
    if options["verify"] and written:
        from dagforge.cli.verify import verify_planned
        from dagforge.commands.written import Planned

        verify_planned([Planned(found.target, found.dags)], output, options, warnings)
    tell(warnings, options, **_summary(report, found, output, diffs=options["diff"]))
    if not options["diff"]:
        if overlay is not None:
            say(f"{overlay.report().status:<10} {overlay.label}", options)
        _say_files(report, found, output, options)


def _overlay(found: Build) -> Overlay | None:
    """Return the file of Kedro's catalog that a run changes, None where it changes none."""
    if found.conf.kedro is None:
        return None
    from dagforge.output.overlay import overlay_of

    overlay = overlay_of(found.overlay, found.conf.env_folder, found.conf.root)
    return None if overlay is None or overlay.is_current else overlay


def _check_create(options: Mapping[str, Any]) -> None:
    chosen = [name for name in ("check", "diff") if options[name]]
    if options["verify"] and chosen:
        raise click.UsageError(f"--verify loads files that were written; --{chosen[0]} writes none")
    if options["python"] and not options["verify"]:
        raise click.UsageError("--python is for --verify")
    if options["every"] and options["pipelines"]:
        raise click.UsageError("--all and --pipeline exclude each other")
    several = options["every"] or len(options["pipelines"]) > 1
    if options["dag_id"] and several:
        raise click.UsageError("--dag-id names one DAG, but several pipelines are asked for")
    part = [name for name in ("tags", "nodes", "from_nodes", "to_nodes") if options[name]]
    if part and not options["dag_id"] and "dag_id" not in parse_params(options["params"]):
        raise click.UsageError(
            f"--{part[0].replace('_', '-')} makes a DAG of its own, which needs --dag-id (or "
            "define it: `nightly: {select: {from: PIPELINE, tags: [...]}}` in pipelines.yml)"
        )


def _say_diff(report: WriteReport, options: Mapping[str, Any]) -> None:
    diff = "".join(file.diff() for file in report.files)
    if diff:
        if options["message_format"] == "github":
            from dagforge.report import no_commands

            diff = no_commands(diff)
        say(diff.removesuffix("\n"), options)


def _summary(report: WriteReport, found: Build, output: Path, *, diffs: bool) -> dict[str, Any]:
    return {
        "target": found.target.name,
        "output": output.as_posix(),
        "files": [
            {"path": file.path, "status": file.status, **({"diff": file.diff()} if diffs else {})}
            for file in report.files
        ],
    }


def _say_files(report: WriteReport, found: Build, output: Path, options: Mapping[str, Any]) -> None:
    tasks = {f"{stages.dag.stem}.py": len(stages.dag.tasks) for stages in found.stages}
    shown = short_path(output)
    for file in report.files:
        if file.status == "unchanged" and not options["verbose"]:
            continue
        count = tasks.get(file.path)
        detail = f"  ({count} task{'s' if count != 1 else ''})" if count is not None else ""
        say(f"{file.status:<10} {shown}/{file.path}{detail}", options)
    same = len(report.paths("unchanged"))
    if same and not options["verbose"]:
        say(f"{'unchanged':<10} {same} file{'s' if same != 1 else ''}", options)
    written = report.paths("created", "updated") and not options["check"]
    if written and not (options["verify"] or options["quiet"]):
        command = f"dagforge verify {shlex.quote(shown)} --python PATH"
        click.echo(f"not loaded in the orchestrator: `{command}` does that", err=True)


def read_command(command: str, like: Request) -> Request:
    """Return what the command in a header asks for, in the project of another request.

    Raises:
        DagForgeError: nothing that `create` understands.
    """
    try:
        words = shlex.split(command)
        if words[:2] != ["dagforge", "create"]:
            raise ValueError("it is no `dagforge create`")
        # Its paths begin in the project's folder, which may not be where we are.
        words = [
            str(like.root / word) if before in ("--conf", "--templates", "--jinja-file") else word
            for before, word in itertools.pairwise(words[1:])
        ]
        options = create.make_context("create", words, help_option_names=[]).params
    except (click.ClickException, click.exceptions.Exit, ValueError) as error:
        told = error.format_message() if isinstance(error, click.ClickException) else str(error)
        raise UsageError.of("bad-header", told) from error
    asked = make_request({**options, "root": like.root})
    return asked if like.conf is None else replace(asked, conf=like.conf)
