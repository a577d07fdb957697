"""The command `graph`: pictures of pipelines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dagforge.cli.options import (
    PathType,
    listed,
    make_request,
    one_pipeline,
    project_options,
    selection_options,
    settings_options,
    talk_options,
    target_options,
)
from dagforge.cli.talk import say, say_more, tell
from dagforge.commands.folders import short_path
from dagforge.commands.made_file import write_made
from dagforge.draw import FORMATS, draw
from dagforge.errors import (
    DagForgeError,
    Problem,
    Problems,
    UsageError,
    did_you_mean,
)

if TYPE_CHECKING:
    from dagforge.build import Build
    from dagforge.drawing.model import By, Picture

VIEWS: Mapping[str, tuple[By, ...]] = {
    "node": ("node",),
    "task": ("task",),
    "both": ("node", "task"),
}
BY_ENDING = {ending: name for name, form in FORMATS.items() for ending in form.endings}
DEFAULT_FORMAT = "mermaid"
DEFAULT_STEPS = 1
DRAWN_ERRORS = frozenset({"group-cycle"})
"""What can be wrong with a pipeline and yet be drawn."""


class Steps(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """A number of steps, or `all`."""

    name = "N"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """Return the number; None for `all`, which is given as -1."""
        if isinstance(value, int):
            return value
        if value == "all":
            return -1
        if value.isascii() and value.isdigit():
            return int(value[:9])
        self.fail(f"'{value}' is neither a number of steps nor 'all'", param, ctx)


@click.command()
@one_pipeline
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(tuple(FORMATS)),
    help="markdown holds Mermaid, which GitHub draws; svg, html and json need no other program; "
    "dot is for Graphviz.  [default: by the ending of FILE, else mermaid]",
)
@click.option(
    "--by",
    type=click.Choice(tuple(VIEWS)),
    default="node",
    show_default=True,
    help="Show nodes, with a box for each group, or tasks, or both side by side.",
)
@click.option(
    "--direction",
    type=click.Choice(("down", "right")),
    default="down",
    show_default=True,
    help="Where the arrows go.",
)
@listed("--focus", metavar="NODE", help="Only what is near these nodes or tasks.")
@click.option(
    "--upstream",
    type=Steps(),
    help="How many steps before --focus, a number or all.  [default: 1]",
)
@click.option(
    "--downstream",
    type=Steps(),
    help="How many steps after --focus, a number or all.  [default: 1]",
)
@click.option(
    "-o",
    "--output",
    type=PathType(path_type=Path),
    metavar="FILE",
    help="Write the picture to FILE.  [default: standard output]",
)
@click.option("--check", is_flag=True, help="Write nothing; exit 3 when FILE is not up to date.")
@click.option("--force", is_flag=True, help="Overwrite a file that `graph` did not write.")
@project_options
@target_options
@settings_options
@selection_options
@talk_options
def graph(pipeline: str | None, **options: Any) -> None:
    """Draw a pipeline: its nodes, its tasks, and the datasets between them.

    Shapes are coloured by the machine that they ask for. Where groups make a cycle, it is marked
    in the picture, and the exit code is 1.

    \b
    dagforge graph data_science                          Mermaid, on standard output
    dagforge graph --by both -o docs/pipeline.md         to commit: GitHub draws it
    dagforge graph --by both -o docs/pipeline.md --check in CI: is it up to date?
    dagforge graph -o pipeline.svg                       for a browser
    dagforge graph --format dot | dot -Tpdf -o pipeline.pdf
    dagforge graph --focus train_model_node --upstream all --downstream 0
    """  # noqa: D301  # click reads the character
    from dagforge.build import attempt

    form = _check_options(options)
    options["pipelines"] = (pipeline,) if pipeline else ()
    found = attempt(make_request(options), render_files=False)
    say_more(found, options)
    if {problem.code for problem in found.problems if problem.severity == "error"} - DRAWN_ERRORS:
        found.raise_errors()
    pictures = _focused(_pictures(found, VIEWS[options["by"]]), options)
    warnings = Problems(list(found.warnings))
    text = draw(pictures, form, direction=options["direction"], warn=warnings.warn)
    if options["output"] is None:
        click.echo(text, nl=False)
    else:
        status = write_made(
            text, "graph", options["output"], check=options["check"], force=options["force"]
        )
        say(f"{status:<10} {short_path(options['output'])}", options)
    errors = [problem for problem in found.problems if problem.severity == "error"]
    if errors:
        raise DagForgeError([*errors, *warnings])
    tell(warnings.found, options)


def _check_options(options: dict[str, Any]) -> str:
    """Return the format; put right what options leave open."""
    output: Path | None = options["output"]
    if output is not None and output.name == "-":
        output = options["output"] = None
    for option in ("check", "force"):
        if options[option] and output is None:
            raise click.UsageError(f"--{option} is about a file: name it with -o")
    if options["check"] and options["force"]:
        raise click.UsageError("--check writes nothing; --force is for writing")
    for option in ("upstream", "downstream"):
        if options[option] is not None and not options["focus"]:
            raise click.UsageError(f"--{option} counts from a node: name it with --focus")
    if options["form"] is not None or output is None:
        return options["form"] or DEFAULT_FORMAT
    form = BY_ENDING.get(output.suffix.lower())
    if form is None:
        known = ", ".join(BY_ENDING)
        raise click.UsageError(
            f"the name '{short_path(output)}' does not say which format is meant: end it with one "
            f"of {known}, or give --format"
        )
    return form


def _pictures(found: Build, views: Sequence[By]) -> list[Picture]:
    """Return a picture of each pipeline, in the order of the registry."""
    from dagforge.drawing.panels import Grouped, picture_of
    from dagforge.grouping.cycles import GroupCycleError

    pictures = {}
    for stages in found.stages:
        grouped = Grouped(stages.pipeline, stages.groups, stages.dag, stages.settings.for_dag())
        pictures[stages.pipeline.name] = picture_of(grouped, views)
    for each in found.unplanned:
        if isinstance(each.error, GroupCycleError):
            steps = {
                (link.upstream, link.downstream)
                for cycle in each.error.cycles
                for link in cycle.steps
            }
            grouped = Grouped(
                each.pipeline, each.error.groups, None, each.settings.for_dag(), frozenset(steps)
            )
            pictures[each.pipeline.name] = picture_of(grouped, views)
    return [pictures[name] for name in found.names if name in pictures]


def _focused(pictures: list[Picture], options: Mapping[str, Any]) -> list[Picture]:
    """Return what is asked for of the pictures.

    Raises:
        UsageError: none of them has a node or task of such a name.
    """
    from dagforge.drawing.focus import Focus, look_at, names_in

    names: tuple[str, ...] = options["focus"]
    if not names:
        return pictures
    known = {name for picture in pictures for name in names_in(picture)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(
            Problem(
                "unknown-node",
                f"--focus: there is no node or task '{name}'",
                fix=did_you_mean(name, known),
            )
            for name in unknown
        )
    focus = Focus(names, _steps(options["upstream"]), _steps(options["downstream"]))
    parts = (look_at(picture, focus) for picture in pictures)
    return [part for part in parts if part is not None]


def _steps(value: int | None) -> int | None:
    """Return a number of steps; None for all."""
    if value is None:
        return DEFAULT_STEPS
    return None if value < 0 else value
