"""What commands have in common: options, and what is made of them."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dagforge import __version__
from dagforge.errors import DagForgeError, Problem, UsageError

if TYPE_CHECKING:
    from dagforge.build import Build, Progress, Request


F = TypeVar("F", bound=Callable[..., Any])


# About 50 pipelines, which take a second.
STEPS_WITHOUT_BAR = 150


def completing(what: str, *, listed: bool = False) -> Callable[..., Any]:
    """Return a function that completes values in a shell, as `completion.complete` does."""

    def values(context: click.Context, parameter: click.Parameter, incomplete: str) -> Any:
        from dagforge.commands.completion import complete

        del parameter
        typed = {name: context.params.get(name) for name in ("root", "conf")}
        return complete(what, lambda: make_request(typed), incomplete, listed=listed)

    return values


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
    click.option(
        "-e",
        "--env",
        metavar="NAME",
        shell_complete=completing("environments"),
        help="Environment, a folder beside conf/base.",
    ),
)


target_options = with_options(
    click.option(
        "--target",
        metavar="NAME",
        shell_complete=completing("targets"),
        help="What to write for: airflow, airflow-k8s, airflow-gke or prefect.  [default: airflow]",
    ),
    click.option(
        "--airflow-version",
        metavar="VERSION",
        shell_complete=completing("airflow_versions"),
        help="Version of Airflow: 2.10, 2.11, 3.0 ... 3.3.  [default: 3.3]",
    ),
)


def pipelines_option(help: str) -> Callable[[F], F]:
    """Return the option that names pipelines."""
    return listed(
        "-p",
        "--pipeline",
        "--pipelines",
        "pipelines",
        metavar="NAME",
        shell_complete=completing("pipelines", listed=True),
        help=help,
    )


pipeline_options = with_options(
    pipelines_option(
        "Pipeline; may be repeated, or several by commas.  [default: __default__, else all]"
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
        shell_complete=completing("groupings"),
        help="Which nodes share a task: tags, namespace, memory, module or none.",
    ),
    click.option(
        "--fix-borders",
        is_flag=True,
        help="Keep datasets of a Kedro project that live in memory and cross a task's border.",
    ),
    click.option("--dag-id", metavar="ID", help="The DAG's id, for a single pipeline."),
    click.option(
        "--conf-source",
        metavar="PATH",
        help="The configuration that tasks of a Kedro project read where they run.",
    ),
    click.option(
        "--params",
        multiple=True,
        metavar="K=V,...",
        help="Settings above all others, as key=value or key:value; nested keys by dots.",
    ),
)


say_options = with_options(
    click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
    click.option("-v", "--verbose", is_flag=True, help="Say more."),
)


talk_options = with_options(
    click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors and the answer."),
    click.option(
        "-v",
        "--verbose",
        is_flag=True,
        help="Say more: warnings, and which project and target it is about.",
    ),
)


quiet_option = click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")


message_options = with_options(
    click.option("--strict", is_flag=True, help="Warnings are errors, for CI."),
    click.option(
        "--message-format",
        type=click.Choice(("text", "json", "github", "sarif")),
        default="text",
        show_default=True,
        help="How problems are told; all but text go to stdout.",
    ),
    say_options,
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
    from dagforge.reading.project import holds_project

    return next((each for each in (start, *start.parents) if holds_project(each)), start)


def parse_params(texts: Iterable[str]) -> dict[str, Any]:
    """Return `k=v,a.b:c` as nested settings, each value read as YAML would read it.

    kedro-airflow's syntax: items are parted by commas, the key ends at the first `=` or `:`.
    A comma inside brackets, braces or quotes belongs to its value.

    Raises:
        UsageError: with every item that cannot be read.
    """
    from dagforge.errors import Problems
    from dagforge.reading.document import MAX_DEPTH

    problems = Problems()
    params: dict[str, Any] = {}
    for item in (part for text in texts for part in _split_items(text)):
        if not _is_text(item):
            problems.error("bad-params", f"--params: '{item}' is not UTF-8")
            continue
        ends = [item.find(sign) for sign in "=:" if sign in item]
        key = item[: min(ends)].strip() if ends else ""
        if key.count(".") >= MAX_DEPTH:
            message = f"--params: '{key[:40]}...' is nested more than {MAX_DEPTH} deep"
            problems.error("bad-params", message)
            continue
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


def _is_text(item: str) -> bool:
    """Say whether a word of the command line could be decoded."""
    return not any("\ud800" <= character <= "\udfff" for character in item)


def _read_param(text: str) -> Any:
    """Return the value that a text is in YAML, and as it is where YAML has no value for it."""
    from dagforge.conf import parse_yaml

    if text.startswith(("@", "*")) and ": " not in text:
        return text
    return parse_yaml(text.encode(), "--params").data


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


def working_folder() -> Path:
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
    for option, name in (
        ("group_by", "grouping"),
        ("dag_id", "dag_id"),
        ("conf_source", "conf_source"),
    ):
        value = options.get(option)
        if value is not None:
            params[name] = {"true": True, "false": False}.get(value, value)
    if options.get("fix_borders"):
        params["memory_borders"] = "fix"
    here = working_folder()
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
        click.echo(report.as_sarif(problems, __version__, folder_in_repository(options)))
    elif form == "github":
        if problems:
            click.echo(report.as_github(problems, folder_in_repository(options)))
    elif problems:
        if options.get("quiet"):
            problems = [problem for problem in problems if problem.severity == "error"]
        if problems:
            click.echo(report.as_text(problems, color=sys.stderr.isatty()), err=True)


def folder_in_repository(options: Mapping[str, Any]) -> str:
    """Return where messages' paths begin, from the top of the git repository, with a slash.

    Empty where that is the top, or there is no repository.
    """
    try:
        here = Path.cwd()
    except OSError:
        return ""
    start = here
    if "root" in options:
        start = (here / (options["root"] or find_root(here))).resolve()
    top = next((above for above in (start, *start.parents) if (above / ".git").exists()), start)
    return "" if top == start else f"{start.relative_to(top).as_posix()}/"


def say(text: str, options: Mapping[str, Any]) -> None:
    """Print a result, unless it is not wanted or problems are told to a program."""
    if not options.get("quiet") and options.get("message_format", "text") in ("text", "github"):
        click.echo(text)


def say_more(found: Build, options: Mapping[str, Any]) -> None:
    """Say on standard error, where more is wanted, what a run is about."""
    if options["verbose"]:
        target = found.target
        click.echo(
            f"project {found.project.name} in {found.conf.root.as_posix()}, environment "
            f"{found.conf.env or 'base'}, target {target.name} "
            f"({target.orchestrator.capitalize()} {target.version})",
            err=True,
        )


@contextlib.contextmanager
def progress_bar(options: Mapping[str, Any], label: str = "compiling") -> Iterator[Progress | None]:
    """Give what shows progress on a terminal where much is done, None elsewhere."""
    told_to_a_program = options.get("message_format", "text") != "text"
    if options.get("quiet") or told_to_a_program or not sys.stderr.isatty():
        yield None
        return
    with contextlib.ExitStack() as stack:
        bar: Any = None

        def progress(done: int, of: int) -> None:
            nonlocal bar
            if bar is None and of > STEPS_WITHOUT_BAR:
                bar = click.progressbar(length=of, label=label, file=sys.stderr)
                stack.enter_context(bar)
            if bar is not None:
                bar.update(done - bar.pos)

        yield progress


def short_path(path: Path) -> str:
    """Return a path as short as it can be typed from here."""
    relative = os.path.relpath(path)
    return path.as_posix() if relative.startswith("..") else Path(relative).as_posix()
