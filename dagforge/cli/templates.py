"""The commands `templates ...`: the built-in templates."""

from __future__ import annotations

from pathlib import Path

import click

from dagforge.cli.options import PathType, completing, quiet_option
from dagforge.cli.talk import say
from dagforge.commands.folders import short_path, working_folder


@click.group()
def templates() -> None:
    """See the built-in templates and take copies of them."""


@templates.command(name="list")
def templates_list() -> None:
    """List the built-in templates and their blocks."""
    from dagforge.commands.template_files import list_templates

    click.echo(list_templates())


@templates.command(name="show")
@click.argument("name", shell_complete=completing("templates"))
def templates_show(name: str) -> None:
    """Print a built-in template."""
    from dagforge.commands.template_files import read_template

    click.echo(read_template(name), nl=False)


@templates.command(name="copy")
@click.argument("name", shell_complete=completing("templates"))
@click.option(
    "-d",
    "--to",
    "folder",
    type=PathType(path_type=Path, file_okay=False),
    default=Path("templates"),
    show_default=True,
    help="Your template folder.",
)
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@quiet_option
def templates_copy(name: str, folder: Path, force: bool, quiet: bool) -> None:
    """Copy a built-in template to a folder of your own, to change it there.

    Often a template that extends the built-in one is less to keep up to date; docs/templates.md
    shows how.
    """
    from dagforge.commands.template_files import copy_template

    working_folder()
    for path in copy_template(name, folder, force=force):
        say(f"{'created':<10} {short_path(path)}", {"quiet": quiet})
