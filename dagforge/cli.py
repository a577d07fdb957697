"""The command line.

Everything that takes time to import is imported by the command that needs it: `dagforge --help`
and a pre-commit hook are run all day.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dagforge import __version__
from dagforge.errors import DagForgeError, Problem, UsageError, VerificationError

if TYPE_CHECKING:
    from dagforge.build import Build, Request
    from dagforge.write import WriteReport

F = TypeVar("F", bound=Callable[..., Any])
LAZY = ("run", "runs")
STAGES = ("pipeline", "groups", "settings", "plan")
DEFAULT_OUTPUT = "dags"

FIRST_STEPS = """\
DagForge writes DAG files for Airflow and Prefect from pipeline definitions.

  dagforge init my_project     start a project with an example
  dagforge list                what this project defines
  dagforge show PIPELINE       how its nodes become tasks
  dagforge create              write the DAG files
  dagforge create --check      say whether they are up to date (for CI)

`dagforge COMMAND --help` teaches each command, `dagforge help CODE` explains an error.
"""


# --- what all commands share


class Commands(click.Group):
    """The commands, in the order in which a newcomer needs them."""

    ORDER = (
        "init",
        "list",
        "show",
        "validate",
        "create",
        "run",
        "runs",
        "verify",
        "explain",
        "templates",
        "schema",
        "help",
    )

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; those that run pipelines are imported only when they are asked for."""
        if cmd_name in LAZY:
            from dagforge import run_cli

            command: click.Command = getattr(run_cli, cmd_name)
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


def comma_list(
    context: click.Context, parameter: click.Parameter, value: Sequence[str]
) -> tuple[str, ...]:
    """Return the names of an option that may be repeated and may hold several, by commas."""
    del context
    names = [name.strip() for text in value for name in text.split(",")]
    if any(not name for name in names):
        raise click.BadParameter("there is an empty name in the list", param=parameter)
    return tuple(dict.fromkeys(names))


def listed(*names: str, help: str, **more: Any) -> Callable[[F], F]:
    """Return an option that takes one or several names."""
    return click.option(*names, multiple=True, callback=comma_list, help=help, **more)


def with_options(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Return a decorator that adds options in the order in which they are given."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


project_options = with_options(
    click.option(
        "--project",
        "root",
        type=click.Path(path_type=Path, file_okay=False, exists=True),
        help="The project's folder; without it, the nearest one around here.",
    ),
    click.option(
        "--conf",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Folder of the configuration.  [default: conf]",
    ),
    click.option("-e", "--env", metavar="NAME", help="Environment, a folder beside conf/base."),
)
target_options = with_options(
    click.option(
        "--target",
        metavar="NAME",
        help="What to write for: airflow, airflow-k8s, airflow-gke or prefect.  [default: airflow]",
    ),
    click.option(
        "--airflow-version",
        metavar="VERSION",
        help="Version of Airflow: 2.10, 2.11, 3.0 ... 3.3.  [default: 3.3]",
    ),
)
pipeline_options = with_options(
    listed(
        "-p",
        "--pipeline",
        "--pipelines",
        "pipelines",
        metavar="NAME",
        help="Pipeline; may be repeated, or several by commas.  [default: __default__, else all]",
    ),
    click.option("--all", "every", is_flag=True, help="All registered pipelines."),
)
selection_options = with_options(
    listed("--tags", metavar="TAG", help="Only nodes with one of these tags."),
    listed("-n", "--nodes", metavar="NODE", help="Only these nodes."),
    listed("--from-nodes", metavar="NODE", help="Only these nodes and what runs after them."),
    listed("--to-nodes", metavar="NODE", help="Only these nodes and what runs before them."),
)
settings_options = with_options(
    click.option(
        "-g",
        "--group-by",
        metavar="HOW",
        help="Which nodes share a task: tags, namespace, memory, module or none.",
    ),
    click.option("--dag-id", metavar="ID", help="The DAG's id, for a single pipeline."),
    click.option(
        "--params",
        multiple=True,
        metavar="K=V,...",
        help="Settings above all others, as key=value or key:value; nested keys by dots.",
    ),
)
message_options = with_options(
    click.option("--strict", is_flag=True, help="Warnings are errors, for CI."),
    click.option(
        "--message-format",
        type=click.Choice(("text", "json", "github", "sarif")),
        default="text",
        show_default=True,
        help="How problems are told; all but text go to stdout.",
    ),
    click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
    click.option("-v", "--verbose", is_flag=True, help="Say more."),
)
template_options = with_options(
    click.option(
        "--templates",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Folder with your own templates, searched before the built-in ones.",
    ),
    click.option(
        "-j",
        "--jinja-file",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        metavar="FILE",
        help="A kedro-airflow template that writes every file.",
    ),
)


def find_root(start: Path) -> Path:
    """Return the nearest folder at or above `start` that holds a project, else `start`."""
    for folder in (start, *start.parents):
        if (folder / "dagforge.toml").is_file() or (folder / "conf" / "base").is_dir():
            return folder
        pyproject = folder / "pyproject.toml"
        try:
            if pyproject.is_file() and b"[tool.dagforge" in pyproject.read_bytes():
                return folder
        except OSError:
            continue
    return start


def parse_params(texts: Iterable[str]) -> dict[str, Any]:
    """Return `k=v,a.b:c` as nested settings, each value read as YAML would read it.

    kedro-airflow's syntax: items are parted by commas, the key ends at the first `=` or `:`.
    A comma inside brackets, braces or quotes belongs to its value.

    Raises:
        UsageError: with every item that cannot be read.
    """
    from dagforge.errors import Problems

    problems = Problems()
    params: dict[str, Any] = {}
    for item in (part for text in texts for part in _split_items(text)):
        ends = [item.find(sign) for sign in "=:" if sign in item]
        key = item[: min(ends)].strip() if ends else ""
        if not ends or not all(part.strip() for part in key.split(".")):
            problems.error(
                "bad-params",
                f"--params: '{item}' is no key=value",
                fix="retries=2,owner=me",
            )
            continue
        try:
            value = _read_param(item[min(ends) + 1 :].strip())
        except DagForgeError as error:
            first = error.problems[0]
            problems.error("bad-params", f"--params {key}: {first.message}", fix=first.fix)
            continue
        target: Any = params
        *above, last = (part.strip() for part in key.split("."))
        for part in above:
            target = target.setdefault(part, {})
            if not isinstance(target, dict):
                break
        if not isinstance(target, dict):
            message = f"--params: '{key}' and '{'.'.join(above)}' cannot both be set"
            problems.error("bad-params", message, fix="keep one of them")
            continue
        if last in target:
            problems.error("bad-params", f"--params: '{key}' is set twice", fix="keep one of them")
            continue
        target[last] = value
    problems.raise_errors(UsageError)
    return params


def _read_param(text: str) -> Any:
    """Return the value that a text is in YAML, and as it is where YAML has no value for it."""
    from dagforge.conf import parse_yaml

    if text.startswith(("@", "*")) and ": " not in text:
        return text
    return parse_yaml(text.encode("utf-8", "surrogateescape"), "--params").data


def _split_items(text: str) -> list[str]:
    items, depth, quote, start = [], 0, "", 0
    for index, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'" and (index == start or text[index - 1] in "=:[{, "):
            quote = char
        elif char in "[{":
            depth += 1
        elif char in "]}":
            depth -= 1
        elif char == "," and depth <= 0:
            items.append(text[start:index])
            start = index + 1
    items.append(text[start:])
    return [item for item in (item.strip() for item in items) if item]


def _here() -> Path:
    """Return the current folder.

    Raises:
        UsageError: it is gone.
    """
    try:
        return Path.cwd()
    except OSError as error:
        raise UsageError.of(
            "unreadable",
            f"the current folder cannot be used: {error.strerror}",
            fix="change to a folder that exists",
        ) from error


def make_request(options: Mapping[str, Any]) -> Request:
    """Return what the options of a command ask for."""
    from dagforge.build import Request
    from dagforge.ir import Selection

    params = parse_params(options.get("params", ()))
    for option, name in (("group_by", "grouping"), ("dag_id", "dag_id")):
        value = options.get(option)
        if value is not None:
            params[name] = {"true": True, "false": False}.get(value, value)
    here = _here()
    root = options.get("root") or find_root(here)

    def absolute(path: Path | None) -> Path | None:
        return None if path is None else here / path

    return Request(
        root=(here / root).resolve(),
        pipelines=options.get("pipelines", ()),
        every=options.get("every", False),
        env=options.get("env"),
        target=options.get("target"),
        airflow_version=options.get("airflow_version"),
        conf=absolute(options.get("conf")),
        selection=Selection(
            options.get("tags", ()),
            options.get("nodes", ()),
            options.get("from_nodes", ()),
            options.get("to_nodes", ()),
        ),
        params=params,
        templates=absolute(options.get("templates")),
        jinja_file=absolute(options.get("jinja_file")),
    )


def tell(problems: Sequence[Problem], options: Mapping[str, Any], **more: Any) -> None:
    """Print problems in the form that was asked for.

    Args:
        problems: in the order in which they are told.
        options: of the command.
        more: what else a JSON reader wants to know.
    """
    from dagforge import report

    form = options.get("message_format", "text")
    if form == "json":
        click.echo(report.as_json(problems, **more))
    elif form == "sarif":
        click.echo(report.as_sarif(problems, __version__))
    elif form == "github":
        if problems:
            click.echo(report.as_github(problems))
    elif problems:
        if options.get("quiet"):
            problems = [problem for problem in problems if problem.severity == "error"]
        if problems:
            click.echo(report.as_text(problems, color=sys.stderr.isatty()), err=True)


def say(text: str, options: Mapping[str, Any]) -> None:
    """Print a result, unless it is not wanted or problems are told to a program."""
    if not options.get("quiet") and options.get("message_format", "text") in ("text", "github"):
        click.echo(text)


# --- commands


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
    """
    if context.invoked_subcommand is None:
        click.echo(FIRST_STEPS, nl=False)


@cli.command()
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
@click.option("--check", is_flag=True, help="Write nothing; exit 3 when a file is not up to date.")
@click.option("--diff", is_flag=True, help="Write nothing; print what would change.")
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
    r"""Write the DAG files of pipelines.

    \b
    dagforge create                                  the project's pipelines, for Airflow
    dagforge create --all --env cloud --target airflow-gke -o dags/
    dagforge create -p data_science --group-by none  one task for each node
    dagforge create --check                          in CI: are the committed files up to date?
    dagforge create --verify --python venv/bin/python
    """
    from dagforge.build import build
    from dagforge.write import StaleOutputError, WriteMode, write

    _check_create(options)
    request = make_request(options)
    found = build(request, strict=options["strict"])
    warnings = list(found.warnings)
    output = _output(request, found, options)
    mode = WriteMode(
        check=options["check"],
        diff=options["diff"],
        force=options["force"],
        accept_renames=options["accept_renames"],
        prune=options["prune"],
        complete=found.complete,
    )
    try:
        report = write(found.files, output, mode, root=request.root, warn=warnings.append)
    except StaleOutputError as error:
        if options["diff"]:
            say(_diffs(error.report).rstrip("\n"), options)
        raise DagForgeErrors([*warnings, *error.problems], exit_code=error.exit_code) from error
    except DagForgeError as error:
        raise DagForgeErrors([*warnings, *error.problems], exit_code=error.exit_code) from error
    written = not (options["check"] or options["diff"])
    if options["strict"] and warnings:
        raise DagForgeErrors([_as_error(problem) for problem in warnings], exit_code=1)
    if options["diff"]:
        say(_diffs(report).rstrip("\n"), options)
    if options["verify"] and written:
        _verify(found, output, options, warnings)
    tell(warnings, options, **_summary(report, found, output))
    if not options["diff"]:
        _say_files(report, found, output, options)


class DagForgeErrors(DagForgeError):
    """Problems of several stages, with the exit code of the stage that failed."""

    def __init__(self, problems: Iterable[Problem], exit_code: int) -> None:
        super().__init__(problems)
        self.exit_code = exit_code  # type: ignore[misc]  # differs from error to error here only


def _as_error(problem: Problem) -> Problem:
    from dataclasses import replace

    return replace(problem, severity="error")


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
    if part and not options["dag_id"]:
        raise click.UsageError(
            f"--{part[0].replace('_', '-')} makes a DAG of its own, which needs --dag-id (or "
            "define it: `nightly: {select: {from: PIPELINE, tags: [...]}}` in pipelines.yml)"
        )


def _output(request: Request, found: Build, options: Mapping[str, Any]) -> Path:
    if options.get("output") is not None:
        return _here() / Path(options["output"])
    return request.root / (found.project.output or DEFAULT_OUTPUT)


def _diffs(report: WriteReport) -> str:
    return "".join(file.diff() for file in report.files)


def _summary(report: WriteReport, found: Build, output: Path) -> dict[str, Any]:
    return {
        "target": found.target.name,
        "output": output.as_posix(),
        "files": [{"path": file.path, "status": file.status} for file in report.files],
    }


def _say_files(report: WriteReport, found: Build, output: Path, options: Mapping[str, Any]) -> None:
    tasks = {f"{stages.dag.stem}.py": len(stages.dag.tasks) for stages in found.stages}
    shown = _shown(output)
    for file in report.files:
        if file.status == "unchanged" and not options["verbose"]:
            continue
        count = tasks.get(file.path)
        detail = f"  ({count} task{'s' if count != 1 else ''})" if count is not None else ""
        say(f"{file.status:<10} {shown}/{file.path}{detail}", options)
    same = len(report.paths("unchanged"))
    if same and not options["verbose"]:
        say(f"{'unchanged':<10} {same} file{'s' if same != 1 else ''}", options)
    if not (options["check"] or options["verify"]) and not options["quiet"]:
        click.echo(
            f"not loaded in the orchestrator: `dagforge verify {shown} --python PATH` does that",
            err=True,
        )


def _shown(path: Path) -> str:
    """Return a path as short as it can be typed from here."""
    relative = os.path.relpath(path)
    return path.as_posix() if relative.startswith("..") else Path(relative).as_posix()


@cli.command()
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
    found = build(make_request(options), strict=options["strict"])
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
def list_(**options: Any) -> None:
    """List the pipelines, with their nodes, tasks and schedule."""
    from dagforge.build import build
    from dagforge.show import list_pipelines

    options["every"] = True
    found = build(make_request(options), render_files=False)
    click.echo(list_pipelines(found, options["form"]))


@cli.command()
@click.argument("pipeline", required=False)
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
def show(pipeline: str | None, stage: str, form: str, **options: Any) -> None:
    r"""Show a pipeline between two stages of the compiler.

    \b
    dagforge show data_science                      which nodes run in which task
    dagforge show data_science --stage plan --format json
    """
    from dagforge.build import build
    from dagforge.show import show_stage

    options["pipelines"] = (pipeline,) if pipeline else ()
    found = build(make_request(options), render_files=False)
    for problem in found.warnings:
        tell([problem], options)
    click.echo(show_stage(found, stage, form))


@cli.command()
@click.argument("path")
@project_options
@target_options
@settings_options
@click.option("--format", "form", type=click.Choice(("text", "json")), default="text")
def explain(path: str, form: str, **options: Any) -> None:
    r"""Say where a setting comes from, the winner first.

    PATH is pipeline.setting or pipeline.task.setting, nested keys by dots:

    \b
    dagforge explain data_science.schedule
    dagforge explain data_science.split.retries --env prod
    dagforge explain __default__.machines.medium.limits.memory
    """
    from dagforge.build import build
    from dagforge.explain import explain_path

    options["every"] = True
    found = build(make_request(options), render_files=False)
    click.echo(explain_path(found, path, form))


@cli.command(name="help")
@click.argument("code", required=False)
def help_(code: str | None) -> None:
    """Explain an error by its code, such as group-cycle; without one, list the codes."""
    from dagforge.error_pages import entry, known_codes

    if code is None:
        click.echo(known_codes())
    else:
        click.echo(entry(code.strip("[]")))


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
@project_options
@target_options
@pipeline_options
@click.option(
    "--python",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Interpreter with Airflow or Prefect.  [default: this one]",
)
@message_options
def verify(folder: Path | None, **options: Any) -> None:
    """Load generated files in the real Airflow or Prefect and hold them against the plan.

    FOLDER holds the generated files; without it, the project's output folder.
    """
    from dagforge.build import build

    if not options["pipelines"]:
        options["every"] = True
    request = make_request(options)
    found = build(request)
    warnings = list(found.warnings)
    options["output"] = folder
    output = _output(request, found, options)
    _verify(found, output, options, warnings)
    tell(warnings, options)


def _verify(
    found: Build, output: Path, options: Mapping[str, Any], warnings: list[Problem]
) -> None:
    from dagforge.verify import verify as verify_files

    python = Path(options["python"] or sys.executable)
    try:
        result = verify_files(found.dags, output, found.target, python=python)
    except VerificationError as error:
        raise DagForgeErrors([*warnings, *error.problems], error.exit_code) from error
    warnings += result.warnings
    say(result.summary, options)


@cli.group()
def templates() -> None:
    """See the built-in templates and take copies of them."""


@templates.command(name="list")
def templates_list() -> None:
    """List the built-in templates and their blocks."""
    from dagforge.template_files import list_templates

    click.echo(list_templates())


@templates.command(name="show")
@click.argument("name")
def templates_show(name: str) -> None:
    """Print a built-in template."""
    from dagforge.template_files import read_template

    click.echo(read_template(name), nl=False)


@templates.command(name="copy")
@click.argument("name")
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
def templates_copy(name: str, folder: Path, force: bool) -> None:
    """Copy a built-in template to a folder of your own, to change it there.

    Often a template that extends the built-in one is less to keep up to date; docs/templates.md
    shows how.
    """
    from dagforge.template_files import copy_template

    for path in copy_template(name, folder, force=force):
        click.echo(f"{'created':<10} {_shown(path)}")


@cli.command()
@click.option("--target", metavar="NAME", help="Only the settings of this target.")
@click.option(
    "--kind",
    type=click.Choice(("settings", "pipelines")),
    default="settings",
    show_default=True,
    help="Which file the schema is for.",
)
def schema(target: str | None, kind: str) -> None:
    r"""Print the JSON Schema of settings or pipelines, for editors.

    \b
    dagforge schema > .dagforge/settings.schema.json     and as first line of airflow.yml:
    # yaml-language-server: $schema=../../.dagforge/settings.schema.json
    """
    import json

    from dagforge.editor import pipelines_schema, settings_schema

    document = settings_schema(target) if kind == "settings" else pipelines_schema()
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def init(folder: Path, force: bool) -> None:
    """Start a project in FOLDER, with the spaceflights pipelines as an example."""
    import shlex

    from dagforge.init import init_project

    for status, path in init_project(folder, force=force):
        click.echo(f"{status:<10} {_shown(path)}")
    where = "" if folder == Path() else f"cd {shlex.quote(_shown(folder))} && "
    click.echo(f"\nnext: {where}dagforge create", err=True)


# --- entry points


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
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A name in any script can be told on any terminal.
            stream.reconfigure(errors="backslashreplace")
    code = _run(sys.argv[1:])
    # The process ends: looking through all that is left for cycles would be its longest stage.
    gc.freeze()
    sys.exit(code)


def _run(arguments: Sequence[str]) -> int:
    try:
        code = cli.main(args=list(arguments), prog_name="dagforge", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except DagForgeError as error:
        tell(error.problems, _message_options(arguments))
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return 130
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("DAGFORGE_TRACEBACK"):
            raise
        click.echo(
            f"error: DagForge itself failed: {type(error).__name__}: {error} [internal]\n"
            "  fix: this is a bug; set DAGFORGE_TRACEBACK=1 and report what it prints",
            err=True,
        )
        return 1


def _message_options(arguments: Sequence[str]) -> dict[str, Any]:
    """Return how problems are to be told, read without click, which has failed by then."""
    form = "text"
    for index, word in enumerate(arguments):
        if word == "--message-format" and index + 1 < len(arguments):
            form = arguments[index + 1]
        elif word.startswith("--message-format="):
            form = word.partition("=")[2]
    return {"message_format": form}


if __name__ == "__main__":
    main()
