"""The command `deploy`: bring generated files to where Airflow reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dagforge.cli.options import (
    PathType,
    make_request,
    message_options,
    output_folder,
    pipelines_option,
    project_options,
)
from dagforge.cli.talk import DagForgeErrors, progress_bar, refuse_warnings, say, tell
from dagforge.commands.folders import short_path
from dagforge.errors import DagForgeError, LoadError, UsageError

if TYPE_CHECKING:
    from dagforge.deploy import DeployReport
    from dagforge.deploying.decide import Action


@click.command()
@click.argument("url", required=False)
@project_options
@click.option(
    "-o",
    "--output-dir",
    "output",
    type=PathType(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder of the generated files.  [default: dags]",
)
@pipelines_option("Only the files of this pipeline, and nothing else is removed; may be repeated.")
@click.option("--folder", metavar="DIR", help="Folder for the DAG files below the URL.")
@click.option("--composer", metavar="ENV", help="Deploy to this Cloud Composer environment.")
@click.option("--location", metavar="REGION", help="Region of the Composer environment.")
@click.option(
    "--composer-project", metavar="ID", help="Google Cloud project of the Composer environment."
)
@click.option("-n", "--dry-run", is_flag=True, help="Change nothing; print what would change.")
@click.option(
    "--unchecked",
    is_flag=True,
    help="Deploy the files as they are: do not compile, and do not ask whether they are stale.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Replace what DagForge did not deploy, or what was changed there since; never what "
    "another project owns.",
)
@click.option("--allow-empty", is_flag=True, help="It is meant that no DAG file is left.")
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Wait so long for another deployment of this project.",
)
@click.option(
    "--take-over", is_flag=True, help="Do not wait: the other deployment is known to be dead."
)
@message_options
def deploy(url: str | None, **options: Any) -> None:
    """Bring the generated files to a bucket or folder that Airflow reads DAGs from.

    URL is the DAGs' root: gs://bucket/dags, s3://bucket/dags, az://container/dags, or a folder. It
    may stand in [tool.dagforge.deploy] instead. What changed is uploaded, what is gone is removed,
    and nothing that belongs to others is touched.

    \b
    dagforge deploy gs://acme-composer/dags
    dagforge deploy gs://acme-composer/dags --env prod --dry-run
    dagforge deploy --composer analytics --location europe-west1
    """  # noqa: D301  # click reads the character
    from dagforge.cli.create import read_command
    from dagforge.commands.deploy import Destination, collect, settings_of
    from dagforge.deploy import DeployMode
    from dagforge.deploy import deploy as deploy_files
    from dagforge.deploying.bucket import open_bucket
    from dagforge.deploying.composer import find_url
    from dagforge.deploying.lock import Timing
    from dagforge.reading.project import read_project

    request = make_request(options)
    project = read_project(request.root)
    places = ("folder", "composer", "location", "composer_project")
    given = Destination(url, **{name: options[name] for name in places})
    settings = settings_of(request, project, given)
    output = output_folder(request, project, options["output"])
    found = collect(
        request,
        project,
        settings,
        output,
        short_path(output),
        read_command=None if options["unchecked"] else read_command,
        force=options["force"],
        allow_empty=options["allow_empty"],
    )
    warnings = list(found.warnings)
    refuse_warnings(warnings, options)
    try:
        bucket = open_bucket(find_url(settings) if settings.url is None else settings.url)
    except UsageError as error:
        if settings.url_origin is None or error.problems[0].code != "deploy-url":
            raise
        # It is the project that says it, not the command line.
        placed = (replace(problem, at=settings.url_origin) for problem in error.problems)
        raise LoadError(placed) from error
    if options["verbose"]:
        click.echo(f"project {project.name}, environment {found.scope.env}: {bucket.url}", err=True)
    mode = DeployMode(
        dry_run=options["dry_run"],
        take_over=options["take_over"],
        timing=Timing(wait=options["wait"]),
    )
    try:
        with progress_bar(options, "deploying") as progress:
            report = deploy_files(
                found.files, bucket, found.scope, mode, warn=warnings.append, progress=progress
            )
    except DagForgeError as error:
        raise DagForgeErrors([*warnings, *error.problems], error.exit_code) from error
    tell(warnings, options, **_deployed(report, options))
    _say_deployed(report, options)


def _deployed(report: DeployReport, options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "url": report.url,
        "dry_run": options["dry_run"],
        "files": [{"path": file.path, "action": file.action} for file in report.files],
    }


def _say_deployed(report: DeployReport, options: Mapping[str, Any]) -> None:
    for file in report.files:
        if file.action != "unchanged" or options["verbose"]:
            say(f"{file.action:<10} {file.path}", options)
    actions: tuple[Action, ...] = ("new", "changed", "removed", "unchanged")
    counts = [f"{report.count(action)} {action}" for action in actions if report.count(action)]
    would = ", if it were done" if options["dry_run"] else ""
    say(f"{report.url}: {', '.join(counts) or 'no file'}{would}", options)
