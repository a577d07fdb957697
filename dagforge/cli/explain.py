"""The command `explain`: where a setting comes from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from dagforge.cli.options import (
    completing,
    format_option,
    make_request,
    project_options,
    settings_options,
    talk_options,
    target_options,
)
from dagforge.cli.talk import say_more, tell


@click.command()
@click.argument("path", shell_complete=completing("pipelines"))
@project_options
@target_options
@settings_options
@format_option
@talk_options
def explain(path: str, form: str, **options: Any) -> None:
    """Say where a setting comes from, the winner first.

    PATH is pipeline.setting or pipeline.task.setting, nested keys by dots:

    \b
    dagforge explain data_science.schedule
    dagforge explain data_science.split.retries --env prod
    dagforge explain __default__.machines.medium.limits.memory
    """  # noqa: D301  # click reads the character
    from dagforge.build import build, read_source
    from dagforge.commands.explain import explain_path, pipeline_of

    request = make_request(options)
    source = read_source(request)
    request = replace(request, pipelines=(pipeline_of(path, source),))
    found = build(request, render_files=False, source=source)
    say_more(found, options)
    if options["verbose"]:
        tell(found.warnings, options)
    click.echo(explain_path(found, path, form))
