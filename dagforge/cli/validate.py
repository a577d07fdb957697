"""The command `validate`: everything that `create` does, but for the files."""

from __future__ import annotations

from typing import Any

import click

from dagforge.cli.options import (
    OfPipelines,
    make_request,
    message_options,
    pipeline_options,
    project_options,
    settings_options,
    target_options,
    template_options,
)
from dagforge.cli.talk import progress_bar, say, say_more, tell


@click.command(cls=OfPipelines)
@pipeline_options
@project_options
@target_options
@settings_options
@template_options
@message_options
def validate(**options: Any) -> None:
    """Check definitions, settings, grouping and templates; write nothing.

    Without -p all pipelines are checked.
    """
    from dagforge.build import build

    if not options["pipelines"]:
        options["every"] = True
    request = make_request(options)
    with progress_bar(options) as progress:
        found = build(request, strict=options["strict"], progress=progress)
    say_more(found, options)
    tell(found.warnings, options)
    tasks = sum(len(dag.tasks) for dag in found.dags)
    say(
        f"{len(found.dags)} pipeline{'s' if len(found.dags) != 1 else ''}, {tasks} tasks for "
        f"{found.target.name}: nothing wrong",
        options,
    )
