"""What `dagforge advise` takes from past runs, and how it tells its advice."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dagforge.advice.settings import Fact, Facts, key_of
from dagforge.advice.simulate import Estimate
from dagforge.advise import Advice, tags_of
from dagforge.commands.show import counted, table

if TYPE_CHECKING:
    from dagforge.build import Build, Stages


def recorded(stages: Stages, found: Build, store: str, last: int) -> Facts:
    """Return the median durations and sizes of the last runs that a store has.

    Raises:
        RunError: the store has no run of the pipeline.
    """
    from dagforge.runtime.execute import store_url_of
    from dagforge.runtime.files import Files
    from dagforge.runtime.history import find_run, runs
    from dagforge.runtime.places import RunPlace
    from dagforge.runtime.records import SUCCESS

    files = Files(store_url_of(store, None, found.conf.root))
    place = RunPlace(stages.dag.project, stages.dag.env, stages.dag.dag_id, "")
    past = runs(files, place)[-last:]
    if not past:
        # Says that there is none.
        find_run(files, place, None)
    seconds: dict[str, list[float]] = {}
    sizes: dict[str, list[float]] = {}
    for record in (record for run in past for record in run.tasks.values()):
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


def data_of(advice: Advice, found: Build) -> dict[str, Any]:
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


def text_of(advice: Advice, paste: str, found: Build) -> Iterator[str]:
    """Yield the lines for people."""
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
