"""The command `schema`: JSON Schemas for editors."""

from __future__ import annotations

import click

from dagforge.cli.options import completing


@click.command()
@click.option(
    "--target",
    metavar="NAME",
    shell_complete=completing("targets"),
    help="Only the settings of this target.",
)
@click.option(
    "--kind",
    type=click.Choice(("settings", "pipelines")),
    default="settings",
    show_default=True,
    help="Which file the schema is for.",
)
def schema(target: str | None, kind: str) -> None:
    """Print the JSON Schema of settings or pipelines, for editors.

    \b
    dagforge schema > .dagforge/settings.schema.json     and as first line of airflow.yml:
    # yaml-language-server: $schema=../../.dagforge/settings.schema.json
    """  # noqa: D301  # click reads the character
    import json

    from dagforge.commands.editor import pipelines_schema, settings_schema

    document = settings_schema(target) if kind == "settings" else pipelines_schema()
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
