"""The command `lineage`: what needs what, across tasks and pipelines."""

from __future__ import annotations

from typing import Any

import click

from dagforge.cli.options import (
    listed,
    make_request,
    project_options,
    settings_options,
    talk_options,
    target_options,
)
from dagforge.cli.talk import say_more, tell
from dagforge.errors import UsageError, did_you_mean


@click.command()
@click.argument("name", metavar="NODE")
@listed("-p", "--pipeline", "pipelines", metavar="NAME", help="Look in this pipeline only.")
@click.option("--upstream", is_flag=True, help="Only what comes before.")
@click.option("--downstream", is_flag=True, help="Only what comes after.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How it is printed.",
)
@project_options
@target_options
@settings_options
@talk_options
def lineage(name: str, **options: Any) -> None:
    """Say what a node needs and what needs it, across tasks and pipelines.

    NODE is a node, a dataset, or a parameter as params:NAME.

    \b
    dagforge lineage train_model_node              all that it needs, and all that needs it
    dagforge lineage model_input_table --downstream
    dagforge lineage params:model_options -p data_science
    dagforge lineage regressor --format json | jq '.[].tasks_downstream'
    """  # noqa: D301  # click reads the character
    from dagforge.build import build
    from dagforge.commands.lineage import as_text, known_names, lineages

    asked = {**options, "every": not options["pipelines"]}
    found = build(make_request(asked), render_files=False)
    say_more(found, options)
    answers = lineages(found, name)
    if not answers:
        raise UsageError.of(
            "unknown-node",
            f"there is no node, dataset or parameter '{name}'",
            fix=did_you_mean(name, known_names(found)),
        )
    sides = [side for side in ("upstream", "downstream") if options[side]]
    click.echo(as_text(answers, sides[0] if len(sides) == 1 else None, options["form"]))
    tell(found.warnings, options)
