"""The command line.

Everything that takes time to import is imported by the command that needs it: `dagforge --help`
and a pre-commit hook are run all day.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dagforge import __version__
from dagforge.errors import DagForgeError, OutputError, Problem, UsageError, VerificationError

if TYPE_CHECKING:
    from dagforge.build import Build, Request
    from dagforge.commands.written import Planned
    from dagforge.deploy import DeployReport
    from dagforge.deploying.decide import Action
    from dagforge.output.files import WriteReport
    from dagforge.output.overlay import Overlay
    from dagforge.reading.project import Project
from dagforge.commands.options import (
    completing,
    listed,
    make_request,
    message_options,
    parse_params,
    pipeline_options,
    pipelines_option,
    progress_bar,
    project_options,
    quiet_option,
    say,
    say_more,
    selection_options,
    settings_options,
    short_path,
    talk_options,
    target_options,
    tell,
    template_options,
    working_folder,
)

_DEBUG = "DAGFORGE_TRACEBACK"


LAZY = {
    "advise": "advise",
    "graph": "graph",
    "import": "importing",
    "lineage": "lineage",
    "migrate": "migrate.command",
    "report": "report",
    "run": "run",
    "runs": "run",
}
"""The module of `commands` for commands that are imported only when they are asked for."""


STAGES = ("pipeline", "groups", "settings", "plan")


DEFAULT_OUTPUT = "dags"


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
    """The commands, in the order in which a newcomer needs them."""

    ORDER = (
        "init",
        "import",
        "list",
        "show",
        "graph",
        "report",
        "advise",
        "lineage",
        "validate",
        "create",
        "diff",
        "verify",
        "deploy",
        "run",
        "runs",
        "explain",
        "policy",
        "templates",
        "migrate",
        "schema",
        "help",
    )

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, imported by now if it is one of those."""
        if cmd_name in LAZY:
            module = importlib.import_module(f"dagforge.commands.{LAZY[cmd_name]}")
            command: click.Command = getattr(
                module, f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
            )
            return command
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names as they stand in `--help`."""
        names = [*super().list_commands(ctx), *LAZY]
        return sorted(names, key=lambda name: (self._rank(name), name))

    def _rank(self, name: str) -> int:
        return self.ORDER.index(name) if name in self.ORDER else len(self.ORDER)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command, or say which one was probably meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from dagforge.errors import did_you_mean

            fix = did_you_mean(args[0], self.list_commands(ctx))
            if fix and fix.startswith("did"):
                message = f"{error.message.rstrip('.')}; {fix}"
                raise click.UsageError(message, ctx) from error
            raise


class OfPipelines(click.Command):
    """A command that takes pipelines by `-p`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words; say how a pipeline is named where one stands alone."""
        ctx.allow_extra_args = True
        left = super().parse_args(ctx, args)
        if left and not ctx.resilient_parsing:
            ctx.fail(
                f"Got unexpected extra argument{'s' if len(left) > 1 else ''} ({' '.join(left)}); "
                f"a pipeline is named with -p: -p {shlex.quote(','.join(left))}"
            )
        return left


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


@cli.command(cls=OfPipelines)
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
    type=click.Path(path_type=Path),
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
    is_flag=True,
    help="Write nothing; print what would change and exit 0, or 3 with --check.",
)
@click.option(
    "--verify", is_flag=True, help="Load the files in the real Airflow or Prefect afterwards."
)
@click.option(
    "--python",
    type=click.Path(path_type=Path),
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
    output = _output(request, found.project, options)
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
            _refuse_warnings(warnings, options)
        if overlay is not None and written:
            # First: without it the DAGs would not run; and not where they would be refused.
            write(found.files, output, replace(mode, diff=True), root=request.root, warn=_unsaid)
            overlay.write()
        report = write(found.files, output, mode, root=request.root, warn=warnings.append)
        if overlay is not None and options["check"]:
            raise StaleOutputError([overlay.stale()], report)
    except StaleOutputError as error:
        _say_diff(error.report, options)
        summary = _summary(error.report, found, output, diffs=True)
        raise DagForgeErrors([*warnings, *error.problems], error.exit_code, summary) from error
    except OutputError as error:
        raise DagForgeErrors([*warnings, *error.problems], error.exit_code) from error
    _refuse_warnings(warnings, options)
    if options["diff"]:
        if overlay is not None:
            say(overlay.report().diff().removesuffix("\n"), options)
        _say_diff(report, options)
    if options["verify"] and written:
        from dagforge.commands.written import Planned

        _verify([Planned(found.target, found.dags)], output, options, warnings)
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


def _unsaid(problem: Problem) -> None:
    """Leave a warning to who looks again."""
    del problem


class DagForgeErrors(DagForgeError):
    """Problems of several stages, with the exit code of the stage that failed.

    Attributes:
        more: what else a JSON reader wants to know.
    """

    def __init__(
        self, problems: Iterable[Problem], exit_code: int, more: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(problems)
        self.exit_code = exit_code  # type: ignore[misc]  # differs from error to error here only
        self.more = more or {}


def _refuse_warnings(warnings: Iterable[Problem], options: Mapping[str, Any]) -> None:
    """Raise the warnings as errors where they are to be that."""
    found = [replace(problem, severity="error") for problem in warnings]
    if options["strict"] and found:
        raise DagForgeErrors(found, exit_code=1)


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


def _output(request: Request, project: Project, options: Mapping[str, Any]) -> Path:
    if options.get("output") is not None:
        return working_folder() / Path(options["output"])
    return request.root / (project.output or DEFAULT_OUTPUT)


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
        click.echo(
            f"not loaded in the orchestrator: `dagforge verify {shown} --python PATH` does that",
            err=True,
        )


@cli.command(cls=OfPipelines)
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


@cli.command(name="list")
@project_options
@target_options
@click.option("--format", "form", type=click.Choice(("text", "json")), default="text")
@talk_options
def list_(**options: Any) -> None:
    """List the pipelines, with their nodes, tasks and schedule.

    Those that are wrong are left out, and said on standard error why; the exit code is 1 then.
    """
    from dagforge.build import attempt
    from dagforge.commands.show import list_pipelines

    options["every"] = True
    found = attempt(make_request(options), render_files=False)
    say_more(found, options)
    if found.stages or options["form"] == "json":
        click.echo(list_pipelines(found, options["form"]))
    found.raise_errors()
    if options["verbose"]:
        tell(found.warnings, options)


@cli.command()
@click.argument("pipeline", required=False, shell_complete=completing("pipelines"))
@click.option(
    "--stage",
    type=click.Choice(STAGES),
    default="groups",
    show_default=True,
    help="What to show: the pipeline as loaded, its tasks, its settings, or the whole plan.",
)
@click.option("--format", "form", type=click.Choice(("text", "json")), default="text")
@project_options
@target_options
@settings_options
@selection_options
@talk_options
def show(pipeline: str | None, stage: str, form: str, **options: Any) -> None:
    """Show a pipeline between two stages of the compiler.

    \b
    dagforge show data_science                      which nodes run in which task
    dagforge show data_science --stage plan --format json
    """  # noqa: D301  # click reads the character
    from dagforge.build import build
    from dagforge.commands.show import show_stage

    options["pipelines"] = (pipeline,) if pipeline else ()
    found = build(make_request(options), render_files=False)
    say_more(found, options)
    tell(found.warnings, options)
    click.echo(show_stage(found, stage, form))


@cli.command()
@click.argument("against", metavar="[REV|DIR]", required=False)
@pipeline_options
@project_options
@click.option(
    "--target",
    metavar="NAME",
    shell_complete=completing("targets"),
    help="Compare what is written for this target, on both sides.",
)
@click.option(
    "--airflow-version",
    metavar="VERSION",
    shell_complete=completing("airflow_versions"),
    help="Version of Airflow for the new side; alone, nothing else differs.",
)
@click.option(
    "--from",
    "old_version",
    metavar="VERSION",
    shell_complete=completing("airflow_versions"),
    help="Version of Airflow for the old side.  [default: the project's]",
)
@click.option(
    "--merge-base",
    "fork",
    is_flag=True,
    help="Compare with where REV and HEAD parted, as git does.",
)
@click.option("--format", "form", type=click.Choice(("text", "markdown", "json")), default="text")
@click.option(
    "--now",
    metavar="DATE",
    help="Tell the runs after this moment.  [default: the date of the last commit]",
)
@click.option(
    "--runs",
    type=click.IntRange(0, 100),
    default=3,
    show_default=True,
    help="How many runs to tell where a schedule differs.",
)
@click.option("--exit-code", is_flag=True, help="Exit 3 when something differs.")
@talk_options
def diff(against: str | None, form: str, **options: Any) -> None:
    """Say what a change means: which DAGs and tasks come and go, when they run, what is lost.

    Compares the working tree with REV, a git revision (HEAD without one), or with DIR: another
    checkout, or a folder of generated files. REV may be A..B or A...B, as for git diff.

    \b
    dagforge diff                                   what the changes here mean
    dagforge diff origin/main...                    what this branch means, for a pull request
    dagforge diff main --format markdown            as a comment
    dagforge diff /mnt/bucket/dags                  what deploying would change
    dagforge diff --from 2.10 --airflow-version 3.1   the same definitions in another Airflow
    """  # noqa: D301  # click reads the character
    from dagforge.commands.diff import compare_sides
    from dagforge.commands.diff_page import page
    from dagforge.commands.sides import Asked, moment_of_text

    if options["every"] and options["pipelines"]:
        raise click.UsageError("--all and --pipeline exclude each other")
    now = options["now"]
    found = compare_sides(
        Asked(
            make_request(options),
            against,
            fork=options["fork"],
            old_version=options["old_version"],
            after=None if now is None else moment_of_text(now),
        )
    )
    click.echo(page(found, form, runs=options["runs"], every=options["verbose"]))
    if options["exit_code"] and found:
        raise click.exceptions.Exit(3)


@cli.command()
@click.argument("path", shell_complete=completing("pipelines"))
@project_options
@target_options
@settings_options
@click.option("--format", "form", type=click.Choice(("text", "json")), default="text")
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


@cli.command()
@project_options
@target_options
@click.option("--format", "form", type=click.Choice(("text", "json")), default="text")
@talk_options
def policy(form: str, **options: Any) -> None:
    """List the rules in force, where each stands, and the exceptions from them.

    Rules stand in [tool.dagforge.policy] and in the packages that the project extends. `create` and
    `validate` check them.
    """
    from dagforge.build import attempt, read_source
    from dagforge.commands.policy import policy_text
    from dagforge.errors import Problems
    from dagforge.policy.rules import policy_tables, read_rules

    options["every"] = True
    request = make_request(options)
    source = read_source(request)
    problems = Problems()
    tables = policy_tables(source.project, source.conf.packages)
    rules = read_rules(tables, source.target, problems)
    found = attempt(request, render_files=False, source=source)
    say_more(found, options)
    click.echo(policy_text(found, rules, form))
    problems.extend(problem for problem in found.problems if problem.severity == "error")
    problems.raise_errors(DagForgeError)


@cli.command(name="help")
@click.argument("code", required=False, shell_complete=completing("codes"))
def help_(code: str | None) -> None:
    """Explain an error by its code, such as group-cycle; without one, list the codes."""
    from dagforge.commands.error_pages import entry, known_codes

    if code is None:
        click.echo(known_codes())
    else:
        click.echo(entry(code.strip("[]")))


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
@project_options
@click.option(
    "--target",
    metavar="NAME",
    shell_complete=completing("targets"),
    help="Only the files for this target.",
)
@click.option(
    "--airflow-version",
    metavar="VERSION",
    shell_complete=completing("airflow_versions"),
    help="Only the files for this version of Airflow.",
)
@pipelines_option("Only the files of this pipeline, which must be there; may be repeated.")
@click.option("--all", "every", is_flag=True, help="A file of every pipeline must be there.")
@click.option(
    "--python",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Interpreter with Airflow or Prefect.  [default: this one]",
)
@message_options
def verify(folder: Path | None, **options: Any) -> None:
    """Load generated files in the real Airflow or Prefect and hold them against the plan.

    FOLDER holds the generated files; without it, the project's output folder. Each file is held
    against what the command in its header gives now. --target, --env and --airflow-version choose
    files that were made with these.

    \b
    dagforge verify --python venv/bin/python            all files of this project
    dagforge verify flows --target prefect --python venv/bin/python
    """  # noqa: D301  # click reads the character
    from dagforge.build import build, read_source
    from dagforge.commands.written import batches, choose, files_in, plans, without_left_overs
    from dagforge.reading.project import read_project

    request = make_request(options)
    project = read_project(request.root)
    output = _output(request, project, {"output": folder})
    shown = short_path(output)
    files = files_in(output, project.name, shown=shown)
    read = batches(files, lambda command: read_command(command, request))
    read = choose(read, request, project.name, shown)
    warnings: list[Problem] = []
    built = []
    for batch in read:
        source = read_source(batch.request)
        present, left_overs = without_left_overs(batch, source.pipelines)
        warnings += left_overs
        if present.files:
            found = build(
                present.request, render_files=False, strict=options["strict"], source=source
            )
            say_more(found, options)
            warnings += found.warnings
            built.append((present, found))
    planned, left_overs = plans(built)
    warnings = list({str(problem): problem for problem in [*warnings, *left_overs]}.values())
    if not planned:
        raise VerificationError(replace(problem, severity="error") for problem in warnings)
    _verify(planned, output, options, warnings)
    _refuse_warnings(warnings, options)
    tell(warnings, options)


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
        options = create.make_context("create", words).params
    except (click.ClickException, click.exceptions.Exit, ValueError) as error:
        told = error.format_message() if isinstance(error, click.ClickException) else str(error)
        raise UsageError.of("bad-header", told) from error
    asked = make_request({**options, "root": like.root})
    return asked if like.conf is None else replace(asked, conf=like.conf)


@cli.command()
@click.argument("url", required=False)
@project_options
@click.option(
    "-o",
    "--output-dir",
    "output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder of the generated files.  [default: dags]",
)
@listed(
    "-p",
    "--pipeline",
    "--pipelines",
    "pipelines",
    metavar="NAME",
    shell_complete=completing("pipelines", listed=True),
    help="Only the files of this pipeline, and nothing else is removed; may be repeated.",
)
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
    output = _output(request, project, options)
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
    _refuse_warnings(warnings, options)
    bucket = open_bucket(find_url(settings) if settings.url is None else settings.url)
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


def _verify(
    planned: Iterable[Planned], output: Path, options: Mapping[str, Any], warnings: list[Problem]
) -> None:
    """Load files, each target's by itself, and raise what is wrong with any; add to `warnings`."""
    from dagforge.verify import verify as verify_files

    python = Path(options["python"] or sys.executable)
    wrong: list[Problem] = []
    for each in planned:
        try:
            result = verify_files(each.dags, output, each.target, python=python)
        except VerificationError as error:
            wrong += error.problems
            continue
        warnings += result.warnings
        say(result.summary, options)
    if wrong:
        raise DagForgeErrors([*warnings, *wrong], VerificationError.exit_code)


@cli.group()
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
    type=click.Path(path_type=Path, file_okay=False),
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


@cli.command()
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


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option(
    "--example",
    metavar="NAME",
    default="spaceflights",
    show_default=True,
    shell_complete=completing("examples"),
    help="What the project begins with.",
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@quiet_option
def init(folder: Path, example: str, force: bool, quiet: bool) -> None:
    """Start a project in FOLDER, with an example that compiles and runs.

    \b
    spaceflights         pipelines in YAML, tasks in pods
    churn                decorated Python, a check and a metric
    absenteeism          Hamilton, in one, three or eleven tasks
    resnet               functions, operators of Airflow, a pod and a shell
    kedro-spaceflights   a Kedro project

    \b
    dagforge init my_project
    dagforge init --example churn my_project
    """  # noqa: D301  # click reads the character
    from dagforge.commands.examples import DEMO, check_example
    from dagforge.commands.init import init_project

    working_folder()
    check_example(example)
    for status, path in init_project(folder, force=force, example=example):
        say(f"{status:<10} {short_path(path)}", {"quiet": quiet})
    where = "" if folder == Path() else f"cd {shlex.quote(short_path(folder))} && "
    if not quiet:
        click.echo(f"\nnext: {where}dagforge create", err=True)
        if example != DEMO:
            readme = short_path(folder / "README.md")
            click.echo(f"{readme} says what it needs and how it runs", err=True)


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
    code = run(sys.argv[1:])
    # The process ends: looking through all that is left for cycles would be its longest stage.
    gc.freeze()
    sys.exit(code)


def run(
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
