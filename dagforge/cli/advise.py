"""The command `advise`: what a grouping costs, and a cheaper one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dagforge.cli.options import (
    PathType,
    make_request,
    one_pipeline,
    project_options,
    selection_options,
    settings_options,
    talk_options,
    target_options,
)
from dagforge.cli.talk import say_more, tell
from dagforge.commands.folders import short_path, working_folder
from dagforge.errors import (
    LoadError,
    Problem,
    Problems,
    SourceLocation,
    UsageError,
    did_you_mean,
)

if TYPE_CHECKING:
    from dagforge.advice.settings import Fact, Facts, Form
    from dagforge.build import Build, Stages

F = TypeVar("F", bound=Callable[..., Any])
RUNS = 10
_DEFAULT_SLOTS = "max_active_tasks"
_HELP = {
    "pod_startup": "From asking for a pod until its first node runs, its image being there.",
    "image_pull": "How long a pod waits for its image, on average over all pods.",
    "task_delay": "How long a task takes beside its pod: scheduling it, noticing its end.",
    "slots": "Tasks that may run at once.  [default: the setting max_active_tasks, 16]",
    "latency": "Of a dataset that is loaded or saved.",
    "throughput": "Bytes in a second that are loaded or saved.",
    "dataset_size": "Of a dataset whose size is not known.",
    "node_duration": "Of a node whose duration is not known.",
    "max_task_minutes": "Propose no task of several nodes that takes longer.",
    "task_price": "Seconds of waiting that a second of a task is worth.",
    "cpu_price": "Seconds of waiting that a second of a requested cpu is worth.",
}
_SHOWN_DEFAULTS = {
    "pod_startup": "10s",
    "image_pull": "5s",
    "task_delay": "2s",
    "latency": "0.2s",
    "throughput": "85M",
    "dataset_size": "10M",
    "node_duration": "1m",
    "max_task_minutes": "60",
    "task_price": "0.1",
    "cpu_price": "0.1",
}


class Value(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """A value in one of the forms of `[tool.dagforge.advise]`."""

    def __init__(self, assumption: str) -> None:
        self.assumption = assumption
        self.name = assumption.rpartition("_")[2]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value in seconds, bytes, or as a number."""
        from dagforge.advice.settings import FORMS

        if not isinstance(value, str):
            return value
        form = FORMS[self.assumption]
        for made in (str, int, float):
            try:
                found = form.read(made(value))
            except ValueError:
                continue
            if found is not None:
                return found
        self.fail(f"'{value}' is none; write it like {form.example}", param, ctx)


def _assumption_options(function: F) -> F:
    for name in reversed(_HELP):
        default = _SHOWN_DEFAULTS.get(name)
        text = _HELP[name] + (f"  [default: {default}]" if default else "")
        option = f"--{name.replace('_', '-')}"
        function = click.option(option, type=Value(name), help=text)(function)
    return function


@click.command()
@one_pipeline
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How it is printed.",
)
@click.option(
    "--as",
    "paste",
    type=click.Choice(("tags", "settings")),
    help="Print the proposal as tags of nodes, or as the setting `grouping`.  [default: as the "
    "pipeline is grouped]",
)
@click.option(
    "--store",
    metavar="URL",
    help="Take durations and sizes from the records of past runs in this store.",
)
@click.option(
    "--runs",
    type=click.IntRange(min=1),
    default=RUNS,
    show_default=True,
    help="How many past runs count; of each node, the median.",
)
@click.option(
    "--duration",
    "durations",
    multiple=True,
    metavar="NODE=LENGTH",
    help="How long a node takes; may be repeated.",
)
@click.option(
    "--durations",
    "durations_file",
    type=PathType(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A YAML file with the length of each node: `train: 20m`.",
)
@click.option(
    "--size",
    "sizes",
    multiple=True,
    metavar="DATASET=BYTES",
    help="How large a dataset is; may be repeated.",
)
@_assumption_options
@click.option(
    "--mix-machines/--no-mix-machines",
    default=None,
    help="Let nodes that ask for different machines share a task, of the larger.",
)
@project_options
@target_options
@settings_options
@selection_options
@talk_options
def advise(pipeline: str | None, **options: Any) -> None:
    """Say what a pipeline's grouping costs, and propose a cheaper one.

    Makespan, pods, pod-seconds, requested cpu and what is read across tasks are estimated for no
    grouping, the present one and a proposal, which is printed to be pasted: nothing is changed.
    Grouping tags that are there are kept; -g none plans without them. What is assumed can be set
    in [tool.dagforge.advise] too, by the names of the options.

    \b
    dagforge advise data_science
    dagforge advise data_science --store gs://acme/dagforge      as long as nodes really took
    dagforge advise --duration train_model_node=25m --pod-startup 40s
    dagforge advise -g none --as settings                        from nothing
    dagforge advise --format json | jq '.[].estimates'
    """  # noqa: D301  # click reads the character
    from dagforge.advice.assumptions import Assumptions
    from dagforge.advice.settings import settings_of, with_known
    from dagforge.advise import advise as advise_pipeline
    from dagforge.build import build
    from dagforge.commands.advise import data_of, recorded, text_of

    given = _given(options)
    options["pipelines"] = (pipeline,) if pipeline else ()
    found = build(make_request(options), render_files=False)
    say_more(found, options)
    stated, of_project = settings_of(found.project)
    warnings = Problems(list(found.warnings))
    _check_names(found, given, of_project, warnings)
    advices = []
    for stages in found.stages:
        paste = _paste(stages, options["paste"])
        known = given.over(of_project)
        if options["store"]:
            known = known.over(recorded(stages, found, options["store"], options["runs"]))
        own = {"slots": stages.dag.settings.get(_DEFAULT_SLOTS)}
        chosen = {each.name: options.get(each.name) for each in fields(Assumptions)}
        assumptions = with_known(Assumptions(), own, stated, chosen)
        advice = advise_pipeline(_planned(stages), assumptions, known, warnings.warn)
        advices.append((advice, paste))
    if options["form"] == "json":
        from dagforge.commands.show import as_json

        click.echo(as_json([data_of(advice, found) for advice, _ in advices]))
    else:
        texts = ("\n".join(text_of(advice, paste, found)) for advice, paste in advices)
        click.echo("\n\n".join(texts))
    tell(warnings.found, options)


def _planned(stages: Stages) -> Any:
    from dagforge.advice.nodes import Planned

    return Planned(stages.pipeline, stages.settings, stages.groups, stages.dag)


def _paste(stages: Stages, asked: str | None) -> str:
    """Return how the proposal is written.

    Raises:
        UsageError: tags are asked for where they would not count.
    """
    by = stages.settings.grouping().by
    if asked == "tags" and by != "tags":
        raise UsageError.of(
            "advice-tags",
            f"--as tags: '{stages.pipeline.name}' is grouped by {by}, where tags do not count",
            fix="--as settings, or group by tags",
        )
    return asked or ("tags" if by == "tags" else "settings")


# --- what is known


def _given(options: Mapping[str, Any]) -> Facts:
    """Return what the command line states, with what stands in a file below it.

    Raises:
        UsageError: an option is wrong.
        LoadError: the file is.
    """
    from dagforge.advice.settings import DURATION, SIZE, Facts

    problems = Problems()
    durations = _pairs(options["durations"], "--duration", DURATION, problems)
    sizes = _pairs(options["sizes"], "--size", SIZE, problems)
    problems.raise_errors(UsageError)
    given = Facts(durations, sizes)
    path = options["durations_file"]
    return given if path is None else given.over(Facts(_in_file(path)))


def _pairs(texts: Iterable[str], option: str, form: Form, problems: Problems) -> dict[str, Fact]:
    from dagforge.advice.settings import Fact

    found = {}
    for text in texts:
        # A name may hold the sign, a value does not.
        name, sign, value = text.rpartition("=")
        read = form.read(value.strip())
        if not sign or not name.strip() or read is None:
            message = f"{option}: '{text}' is no name and value"
            problems.error("bad-assumption", message, fix=f"write NAME= and {form.example}")
        else:
            found[name.strip()] = Fact(read, "option")
    return found


def _in_file(path: Path) -> dict[str, Fact]:
    from dagforge.advice.settings import DURATION, facts_of
    from dagforge.conf import parse_yaml, read_regular
    from dagforge.errors import Origin

    working_folder()
    shown = short_path(path)
    try:
        source = read_regular(path)
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise LoadError.of("unreadable", message, at=SourceLocation(shown)) from error
    document = parse_yaml(source, shown)
    problems = Problems()
    data = {} if document.data is None else document.data
    found = facts_of(data, DURATION, "--durations", Origin(document), "file", problems)
    problems.raise_errors(LoadError)
    return found


def _check_names(found: Build, given: Facts, of_project: Facts, problems: Problems) -> None:
    """Report names that no pipeline has: an error on the command line, elsewhere a warning.

    Raises:
        UsageError: the command line has such names.
    """
    nodes = {node.name for each in found.stages for node in each.pipeline.nodes}
    datasets = {
        dataset
        for each in found.stages
        for node in each.pipeline.nodes
        for dataset in (*node.inputs, *node.outputs)
    }
    wrong = Problems()
    for word, facts, known in (
        ("node", given.durations, nodes),
        ("dataset", given.sizes, datasets),
    ):
        for name, fact in facts.items():
            if name not in known and fact.source == "option":
                option = "--duration" if word == "node" else "--size"
                message = f"{option}: there is no {word} '{name}'"
                wrong.error(f"unknown-{word}", message, fix=did_you_mean(name, known))
    wrong.raise_errors(UsageError)
    if not found.complete:
        return
    elsewhere = [name for name, fact in given.durations.items() if fact.source == "file"]
    for name in sorted({*elsewhere, *of_project.durations} - nodes):
        message = f"a duration is given for '{name}', which no pipeline has"
        problems.warn(Problem("unknown-node", message, fix=did_you_mean(name, nodes)))
    for name in sorted(of_project.sizes.keys() - datasets):
        message = f"a size is given for '{name}', which no pipeline has"
        problems.warn(Problem("unknown-dataset", message, fix=did_you_mean(name, datasets)))
