"""What commands have in common: options, and what is made of them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import click

from dagforge.commands.folders import find_root, working_folder
from dagforge.errors import DagForgeError, UsageError

if TYPE_CHECKING:
    from dagforge.build import Request
    from dagforge.reading.project import Project


F = TypeVar("F", bound=Callable[..., Any])


DEFAULT_OUTPUT: Final = "dags"


class PathType(click.Path):
    """A path on the command line.

    An empty one, of a variable that is not set, is none, and one with a `~` that no shell has
    replaced, as in `--output-dir=~/dags`, would be a folder called so.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if value == "":
            self.fail("the path is empty", param, ctx)
        if isinstance(value, str) and (value == "~" or value.startswith("~/")):
            self.fail(f"the shell left the '~' of '{value}': write the folder in full", param, ctx)
        return super().convert(value, param, ctx)


def completing(what: str, *, listed: bool = False) -> Callable[..., Any]:
    """Return a function that completes values in a shell, as `completion.complete` does."""

    def values(context: click.Context, parameter: click.Parameter, incomplete: str) -> Any:
        from dagforge.cli.completion import complete

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
        type=PathType(path_type=Path, file_okay=False, exists=True),
        help="The project's folder; without it, the nearest one around here.",
    ),
    click.option(
        "--conf",
        type=PathType(path_type=Path, file_okay=False),
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


def one_pipeline(function: F) -> F:
    """Add PIPELINE, which may be named with -p too, as it is for `create` and for Kedro."""

    @wraps(function)
    def with_name(pipeline: str | None, named: str | None, **options: Any) -> Any:
        if None not in (pipeline, named) and pipeline != named:
            raise click.UsageError(f"PIPELINE is '{pipeline}', and --pipeline is '{named}'")
        return function(pipeline=named if pipeline is None else pipeline, **options)

    completion = completing("pipelines")
    add = with_options(
        click.argument("pipeline", required=False, shell_complete=completion),
        click.option(
            "-p",
            "--pipeline",
            "named",
            metavar="NAME",
            shell_complete=completion,
            help="The same as PIPELINE.",
        ),
    )
    return add(cast("F", with_name))


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


format_option = click.option(
    "--format", "form", type=click.Choice(("text", "json")), default="text"
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
        type=PathType(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Folder with your own templates, searched before the built-in ones.",
    ),
    click.option(
        "-j",
        "--jinja-file",
        type=PathType(path_type=Path, dir_okay=False, exists=True),
        metavar="FILE",
        help="A kedro-airflow template that writes every file.",
    ),
)


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
    # Nobody comments a word of a command line: the rest of the value would be lost.
    if not text.startswith(("'", '"', "[", "{")) and re.search(r"(?:^|\s)#", text):
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
        if options.get("jinja_file"):
            raise click.UsageError(
                "--fix-borders keeps what tasks hand over by the run, which a template of "
                "-j/--jinja-file does not tell Kedro"
            )
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


def output_folder(request: Request, project: Project, given: Path | None) -> Path:
    """Return where the generated files lie: where the command line says, else the project."""
    if given is not None:
        return working_folder() / given
    return request.root / (project.output or DEFAULT_OUTPUT)


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
