"""The program `dagforge`: its commands, and how a run of one begins and ends.

Everything that takes time to import is imported by the command that needs it: `dagforge --help`
and a pre-commit hook are run all day.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from dagforge import __version__
from dagforge.cli.talk import DagForgeErrors, tell
from dagforge.errors import DagForgeError, OutputError

_DEBUG = "DAGFORGE_TRACEBACK"


COMMANDS: Final = {
    "init": "init.init",
    "import": "import_.import_",
    "list": "show.list_",
    "show": "show.show",
    "graph": "graph.graph",
    "report": "report.report",
    "advise": "advise.advise",
    "lineage": "lineage.lineage",
    "validate": "validate.validate",
    "create": "create.create",
    "diff": "diff.diff",
    "verify": "verify.verify",
    "deploy": "deploy.deploy",
    "run": "run.run",
    "runs": "run.runs",
    "explain": "explain.explain",
    "policy": "policy.policy",
    "templates": "templates.templates",
    "migrate": "migrate.migrate",
    "schema": "schema.schema",
    "help": "help.help_",
}
"""The module and function of each command, in the order in which a newcomer needs them."""


ELSEWHERE: Final = {
    "build": "create",
    "check": "validate",
    "compile": "create",
    "convert": "import",
    "docs": "report",
    "draw": "graph",
    "generate": "create",
    "lint": "validate",
    "new": "init",
    "plan": "show --stage plan",
    "render": "create",
    "test": "validate",
    "upload": "deploy",
    "viz": "graph",
    "visualize": "graph",
}
"""What tools that people come from call such a command."""


FIRST_STEPS = """\
DagForge writes DAG files for Airflow and Prefect from pipeline definitions.

  dagforge init my_project     start a project with an example
  dagforge list                what this project defines
  dagforge show PIPELINE       how its nodes become tasks
  dagforge graph PIPELINE      the same as a picture
  dagforge create              write the DAG files
  dagforge create --check      say whether they are up to date (for CI)

`dagforge COMMAND --help` teaches each command, `dagforge help CODE` explains an error.
"""


class Commands(click.Group):
    """The commands, each imported when it is asked for."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, None where there is none of that name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, function = COMMANDS[cmd_name].partition(".")
        command: click.Command = getattr(
            importlib.import_module(f"dagforge.cli.{module}"), function
        )
        return command

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names as they stand in `--help`."""
        del ctx
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command, or say which one was probably meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from dagforge.errors import did_you_mean

            meant = ELSEWHERE.get(args[0])
            fix = f"did you mean '{meant}'?" if meant else did_you_mean(args[0], COMMANDS)
            if fix and fix.startswith("did"):
                message = f"{error.message.rstrip('.')}; {fix}"
                raise click.UsageError(message, ctx) from error
            raise


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", message="dagforge %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Compile data pipelines to DAG files for Airflow 2, Airflow 3 and Prefect 3.

    Exit codes: 0 done or up to date, 1 the input is wrong, 2 the command line is wrong, 3 --check
    found files that are not up to date, 4 what DagForge wrote failed verification.

    Completion in bash: eval "$(_DAGFORGE_COMPLETE=bash_source dagforge)" in ~/.bashrc; zsh_source
    and fish_source are for the other shells.
    """
    if context.invoked_subcommand is None:
        click.echo(FIRST_STEPS, nl=False)


def invoke(arguments: Sequence[str]) -> None:
    """Run a command in this process, as a generated task does.

    Raises:
        DagForgeError: what the command line would have reported and ended with.
        click.ClickException: the arguments are wrong.
    """
    cli.main(args=list(arguments), prog_name="dagforge", standalone_mode=False)


def main() -> None:
    """Run the command line and end the process with the code that says how it went."""
    # One run makes many objects and few cycles: at 20,000 nodes collecting costs 2 seconds.
    gc.disable()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by who started us
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            # A name in any script can be told on any terminal.
            stream.reconfigure(errors="backslashreplace")
    code = run_command(sys.argv[1:])
    # The process ends: looking through all that is left for cycles would be its longest stage.
    gc.freeze()
    sys.exit(code)


def run_command(
    arguments: Sequence[str],
    *,
    name: str = "dagforge",
    defaults: Mapping[str, Mapping[str, Any]] | None = None,
) -> int:
    """Run a command, report what is wrong with it, and return the exit code.

    Args:
        arguments: the words after the program's name.
        name: what the program is called.
        defaults: values of options that are not given, by command and name.
    """
    try:
        code = cli.main(
            args=list(arguments), prog_name=name, standalone_mode=False, default_map=defaults
        )
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except DagForgeError as error:
        return _end(error, arguments)
    except click.ClickException as error:
        with contextlib.suppress(OSError):
            error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return 130
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has seen enough.
        _give_up_stdout()
        return 0
    except Exception as error:
        if isinstance(error, OSError) and _is_of_stdout(error):
            _give_up_stdout()
            message = f"standard output cannot be written: {error.strerror}"
            return _end(OutputError.of("output", message), ())
        if os.environ.get(_DEBUG):
            raise
        click.echo(
            f"error: DagForge itself failed: {type(error).__name__}: {error} [internal]\n"
            "  fix: this is a bug; set DAGFORGE_TRACEBACK=1 and report what it prints",
            err=True,
        )
        return 1


def _end(error: DagForgeError, arguments: Sequence[str]) -> int:
    """Tell the problems, where somebody listens, and return the exit code."""
    try:
        more = error.more if isinstance(error, DagForgeErrors) else {}
        tell(error.problems, _message_options(arguments), **more)
    except OSError:
        _give_up_stdout()
    return error.exit_code


def _is_of_stdout(error: OSError) -> bool:
    """Say whether it was raised by printing; the error itself does not name the stream."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return at is not None and at.tb_frame.f_globals.get("__name__") in (
        click.utils.__name__,
        __name__,
    )


def _give_up_stdout() -> None:
    """Let what is left for standard output go nowhere, or Python would try once more."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _message_options(arguments: Sequence[str]) -> dict[str, Any]:
    """Return how problems are to be told, read without click, which has failed by then."""
    given = {"--message-format": "text"}
    quiet = any(word == "--quiet" or re.fullmatch("-v?qv?", word) for word in arguments)
    for index, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if name in ("--message-format", "--project"):
            given[name] = value if equals else " ".join(arguments[index + 1 : index + 2])
    options: dict[str, Any] = {"message_format": given["--message-format"], "quiet": quiet}
    if arguments[:1] != ["import"]:
        options["root"] = Path(given["--project"]) if "--project" in given else None
    return options
