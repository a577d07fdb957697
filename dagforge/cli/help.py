"""The command `help`: what an error's code means."""

from __future__ import annotations

import click

from dagforge.cli.options import completing


@click.command(name="help")
@click.argument("code", required=False, shell_complete=completing("codes"))
def help_(code: str | None) -> None:
    """Explain an error by its code, such as group-cycle; without one, list the codes."""
    from dagforge.cli.program import COMMANDS
    from dagforge.commands.error_pages import entry, known_codes

    if code is None:
        click.echo(known_codes())
    else:
        click.echo(entry(code.strip("[]").lower(), COMMANDS))
