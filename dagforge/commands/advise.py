"""The command `advise`, imported when it is asked for: which grouping costs what."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dagforge.advice.assumptions import Assumptions
from dagforge.advice.settings import (
    DURATION,
    FORMS,
    SIZE,
    Fact,
    Facts,
    Form,
    facts_of,
    key_of,
    settings_of,
    with_known,
)
from dagforge.advice.simulate import Estimate
from dagforge.advise import Advice, tags_of
from dagforge.advise import advise as advise_pipeline
from dagforge.commands.options import (
    completing,
    make_request,
    project_options,
    say_more,
    selection_options,
    settings_options,
    short_path,
    talk_options,
    target_options,
    tell,
    working_folder,
)
from dagforge.errors import (
    LoadError,
    Problem,
    Problems,
    SourceLocation,
    UsageError,
    did_you_mean,
)

if TYPE_CHECKING:
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

    def __init__(self, form: Form, name: str) -> None:
        self.form = form
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value in seconds, bytes, or as a number."""
        if not isinstance(value, str):
            return value
        for made in (str, int, float):
            try:
                found = self.form.read(made(value))
            except ValueError:
                continue
            if found is not None:
                return found
        self.fail(f"'{value}' is none; write it like {self.form.example}", param, ctx)


def _assumption_options(function: F) -> F:
    for name in reversed(_HELP):
        default = _SHOWN_DEFAULTS.get(name)
        text = _HELP[name] + (f"  [default: {default}]" if default else "")
        kind = Value(FORMS[name], name.rpartition("_")[2])
        function = click.option(f"--{key_of(name)}", type=kind, help=text)(function)
    return function


@click.command()
@click.argument("pipeline", required=False, shell_complete=completing("pipelines"))
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
    type=click.Path(path_type=Path, dir_okay=False),
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
    from dagforge.build import build

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
            known = known.over(_recorded(stages, found, options))
        own = {"slots": stages.dag.settings.get(_DEFAULT_SLOTS)}
        chosen = {each.name: options.get(each.name) for each in fields(Assumptions)}
        assumptions = with_known(Assumptions(), own, stated, chosen)
        advice = advise_pipeline(_planned(stages), assumptions, known, warnings.warn)
        advices.append((advice, paste))
    if options["form"] == "json":
        from dagforge.commands.show import as_json

        click.echo(as_json([_data(advice, found) for advice, _ in advices]))
    else:
        texts = ("\n".join(_text(advice, paste, found)) for advice, paste in advices)
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
    problems = Problems()
    durations = _pairs(options["durations"], "--duration", DURATION, problems)
    sizes = _pairs(options["sizes"], "--size", SIZE, problems)
    problems.raise_errors(UsageError)
    given = Facts(durations, sizes)
    path = options["durations_file"]
    return given if path is None else given.over(Facts(_in_file(path)))


def _pairs(texts: Iterable[str], option: str, form: Form, problems: Problems) -> dict[str, Fact]:
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


def _recorded(stages: Stages, found: Build, options: Mapping[str, Any]) -> Facts:
    """Return the median durations and sizes of past runs.

    Raises:
        RunError: the store has no run of the pipeline.
    """
    from dagforge.commands.run import dag_project
    from dagforge.runtime.execute import store_url_of
    from dagforge.runtime.files import Files
    from dagforge.runtime.history import find_run, runs
    from dagforge.runtime.places import RunPlace
    from dagforge.runtime.records import SUCCESS

    files = Files(store_url_of(options["store"], None, found.conf.root))
    place = RunPlace(dag_project(stages.dag), stages.dag.env, stages.dag.dag_id, "")
    last = runs(files, place)[-options["runs"] :]
    if not last:
        # Says that there is none.
        find_run(files, place, None)
    seconds: dict[str, list[float]] = {}
    sizes: dict[str, list[float]] = {}
    for record in (record for run in last for record in run.tasks.values()):
        if record.status != SUCCESS:
            continue
        for node, length in record.seconds.items():
            seconds.setdefault(node, []).append(length)
        for data in (*record.inputs, *record.outputs):
            if data.get("size") is not None:
                sizes.setdefault(data["name"], []).append(data["size"])
    return Facts(_medians(seconds), _medians(sizes))


def _medians(values: Mapping[str, Sequence[float]]) -> dict[str, Fact]:
    return {name: Fact(float(statistics.median(each)), "runs") for name, each in values.items()}


# --- how it is printed


def _data(advice: Advice, found: Build) -> dict[str, Any]:
    """Return advice for programs."""
    assumptions = {key_of(name): value for name, value in asdict(advice.assumptions).items()}
    nodes = {node.name for node in advice.pipeline.nodes}
    return {
        "pipeline": advice.pipeline.name,
        "target": found.target.name,
        "env": found.conf.env,
        "grouping": advice.grouping.by,
        "estimates": {
            name: _rounded(each)
            for name, each in (
                ("none", advice.alone),
                ("present", advice.present),
                ("proposal", advice.proposal),
            )
        },
        "is_new": advice.is_new,
        "tasks": [
            {
                "name": task.name,
                "nodes": list(task.nodes),
                "seconds": round(task.seconds, 3),
                "machines": list(task.machines),
            }
            for task in advice.tasks
        ],
        "settings": {"grouping": {name: list(each) for name, each in advice.groups.items()}},
        "tags": {name: list(tags) for name, tags in tags_of(advice).items()}
        if advice.grouping.by == "tags"
        else None,
        "assumptions": assumptions,
        "durations": {
            name: {"seconds": round(fact.value, 6), "source": fact.source}
            for name, fact in sorted(advice.facts.durations.items())
            if name in nodes
        },
    }


def _rounded(estimate: Estimate) -> dict[str, float]:
    return {name: round(value, 6) for name, value in asdict(estimate).items()}


def _text(advice: Advice, paste: str, found: Build) -> Iterator[str]:
    """Yield the lines for people."""
    from dagforge.commands.show import counted, table

    by = advice.grouping.by
    how = {"none": "not grouped", "map": "grouped by a mapping"}.get(by, f"grouped by {by}")
    nodes = counted(len(advice.pipeline.nodes), "node")
    yield f"pipeline {advice.pipeline.name}: {nodes}, {how}, for {found.target.name}"
    yield ""
    heading = ["", "tasks", "pods", "makespan", "pod-seconds", "cpu-hours", "read", "cost"]
    rows = [
        _row(name, each)
        for name, each in (
            ("no grouping", advice.alone),
            ("present", advice.present),
            ("proposal", advice.proposal),
        )
    ]
    yield from table([heading, *rows], right=range(1, len(heading))).splitlines()
    yield ""
    if advice.is_new:
        yield from _proposal(advice, paste)
    else:
        yield "the present grouping is the cheapest that was found"
    yield ""
    yield from _assumed(advice)


def _row(name: str, estimate: Estimate) -> list[str]:
    return [
        name,
        str(estimate.tasks),
        str(estimate.pods),
        _time(estimate.makespan),
        f"{estimate.pod_seconds:.0f}",
        f"{estimate.cpu_hours:.2f}",
        _bytes(estimate.border_bytes),
        f"{estimate.cost:.1f}",
    ]


def _time(seconds: float) -> str:
    """Return a length as `1h02m`, `3m05s` or `4.2s`."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _proposal(advice: Advice, paste: str) -> Iterator[str]:
    from dagforge.commands.show import table

    rows = [["task", "takes", "machine", "nodes"]]
    rows += [
        [
            task.name,
            _time(task.seconds),
            ", ".join(task.machines) or "-",
            ", ".join(task.nodes) if task.is_group else "",
        ]
        for task in advice.tasks
    ]
    yield from table(rows, right=(1,)).splitlines()
    yield ""
    if paste == "tags":
        yield "tags, to be written at the nodes:"
        yield ""
        for name, tags in tags_of(advice).items():
            yield f"  # {name}"
            yield f"  tags: {_flow(tags)}"
    else:
        yield "settings, in conf/base:"
        yield ""
        yield f"  {_yaml(advice.pipeline.name)}:"
        yield "    grouping:" if advice.groups else "    grouping: none"
        for name, nodes in advice.groups.items():
            yield f"      {_yaml(name)}: {_flow(nodes)}"


def _flow(words: Iterable[str]) -> str:
    return f"[{', '.join(map(_yaml, words))}]"


def _yaml(text: str) -> str:
    """Return a name as YAML has it, in a list too."""
    from dagforge.importing.yaml_text import to_yaml
    from dagforge.reading.parts import Part

    written = to_yaml(Part({"_": Part((Part(text),))})).strip()
    # What does not fit into a line would be a block.
    return written[4:-1] if written.startswith("_: [") else json.dumps(text, ensure_ascii=False)


def _assumed(advice: Advice) -> Iterator[str]:
    """Yield what the estimates rest on."""
    assumed, facts = advice.assumptions, advice.facts
    names = [node.name for node in advice.pipeline.nodes]
    sources: dict[str, int] = {}
    for name in names:
        fact = facts.durations.get(name)
        source = "assumed" if fact is None else _SOURCES[fact.source]
        sources[source] = sources.get(source, 0) + 1
    counts = ", ".join(f"{count} {source}" for source, count in sources.items())
    yield (
        f"assumed: pod start-up {_time(assumed.pod_startup)}, image pull "
        f"{_time(assumed.image_pull)}, task delay {_time(assumed.task_delay)}, "
        f"{assumed.slots} slots, a dataset {_time(assumed.latency)} and "
        f"{_bytes(assumed.throughput)}/s,"
    )
    yield (
        f"  {_bytes(assumed.dataset_size)} where its size is not known, a node "
        f"{_time(assumed.node_duration)}; tasks of at most {assumed.max_task_minutes:g} minutes"
    )
    yield f"durations of nodes: {counts or 'none'}"
    yield (
        f"cost: makespan + {assumed.task_price:g} x task-seconds + {assumed.cpu_price:g} x "
        "cpu-seconds"
    )


_SOURCES = {
    "option": "from the command line",
    "file": "from --durations",
    "project": "from [tool.dagforge.advise]",
    "runs": "from past runs",
}
