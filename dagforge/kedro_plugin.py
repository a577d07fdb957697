"""`kedro dagforge ...`: DagForge's commands inside a Kedro project.

Kedro imports this at each start, whatever command is asked for, so nothing else is imported here.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

OUTPUT = "airflow_dags"
"""Where `kedro airflow create` writes to, and whoever copies the files looks for them."""


@click.group(name="DagForge")
def commands() -> None:
    """Hold what Kedro adds to its own commands."""


@commands.command(
    name="dagforge",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    add_help_option=False,
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def dagforge(metadata: Any, words: tuple[str, ...]) -> None:
    """Compile pipelines to DAG files for Airflow and Prefect.

    `kedro dagforge create` takes the options of `kedro airflow create`; `kedro dagforge --help`
    lists the commands.
    """
    import gc

    from dagforge.cli.program import run_command

    # As for the command line itself; the process ends here.
    gc.disable()
    root = Path(metadata.project_path)
    sys.exit(run_command(words, name="kedro dagforge", defaults=_defaults(words, root)))


def _defaults(words: tuple[str, ...], root: Path) -> dict[str, dict[str, Any]]:
    """Return what the command takes for options that are not given: Kedro knows the project."""
    from dagforge.errors import DagForgeError
    from dagforge.reading.project import read_project

    command = next((word for word in words if not word.startswith("-")), None)
    # `help` is also an option of all commands, which the same name would give a value.
    if command in (None, "help"):
        return {}
    defaults: dict[str, Any] = {"root": str(root)}
    if command == "create":
        try:
            own = read_project(root).output
        except DagForgeError:
            own = None  # the command tells what is wrong
        if own is None:
            defaults["output"] = str(root / OUTPUT)
    return {str(command): defaults}
