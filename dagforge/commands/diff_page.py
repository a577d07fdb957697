"""What a comparison says: for a terminal, for a comment on a pull request, for programs."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import groupby
from typing import Any, Final

from dagforge.commands.diff import Comparison
from dagforge.commands.show import as_json, counted
from dagforge.commands.sides import HERE, Side
from dagforge.commands.stage_data import as_data
from dagforge.compare.changes import (
    NOTHING,
    RUN_FACTS,
    Broken,
    Change,
    DagChange,
    Shared,
    requested,
)
from dagforge.compare.moves import DIFFERS, FAILS, SAME, Move
from dagforge.compare.outline import DagOutline, NodeOutline
from dagforge.compare.runs import Calendar, Run, can_tell, first_runs, next_runs, runs_between
from dagforge.errors import visible
from dagforge.frozen import frozen
from dagforge.planning.contract import must_stop
from dagforge.values import Constant, Cron, Date, Every, Instance, Literal, Model, Reference

MOST_SHOWN: Final = 20
"""Of one kind, where not everything is asked for."""
MOST_RUNS: Final = 1000
LONGEST_VALUE: Final = 80
# GitHub takes 65,536 characters in a comment, GitLab a million.
LONGEST_COMMENT: Final = 60_000
_PLAIN: Final = re.compile(
    r"[A-Za-z_./@+-][\w./@:+-]*|\w[\w./@+-]*[/:][\w./@:+-]+|[\d.]+[A-Za-z]{1,2}"
)
_WORDS: Final = frozenset({"true", "false", "null", "nothing"})
Data = dict[str, Any]


@frozen
class Style:
    """How a page is written.

    Attributes:
        markdown: for a comment, else for a terminal.
        most: lines of one kind; None for all of them.
    """

    markdown: bool
    most: int | None = MOST_SHOWN

    def name(self, text: str) -> str:
        """Return a name or value out of a file."""
        text = visible(text).replace("\n", "\\n")
        if not self.markdown:
            return text
        ticks = max((len(run) for run in re.findall("`+", text)), default=0)
        fence = "`" * (ticks + 1)
        space = " " if text.startswith("`") or text.endswith("`") or not text.strip() else ""
        return f"{fence}{space}{text}{space}{fence}"

    def names(self, texts: Sequence[str]) -> str:
        """Return several names, the last ones counted where there are many."""
        shown = texts if self.most is None else texts[: self.most]
        more = len(texts) - len(shown)
        listed = ", ".join(map(self.name, shown))
        return f"{listed} and {more:,} more" if more else listed

    def heading(self, text: str) -> str:
        """Return the line above a part."""
        return f"#### {text}" if self.markdown else text

    def item(self, text: str, level: int = 1) -> str:
        """Return a line of a part."""
        return f"{'  ' * (level - 1)}- {text}" if self.markdown else f"{'  ' * level}{text}"

    def items(self, texts: Iterable[str], level: int = 1) -> Iterator[str]:
        """Yield lines, the last ones counted where there are many."""
        found = list(texts)
        shown = found if self.most is None else found[: self.most]
        yield from (self.item(text, level) for text in shown)
        if len(found) > len(shown):
            hint = "" if self.markdown else "; -v shows all"
            yield self.item(f"and {len(found) - len(shown):,} more{hint}", level)

    @property
    def arrow(self) -> str:
        """What stands between before and after."""
        return "→" if self.markdown else "->"


def page(found: Comparison, form: str, *, runs: int, every: bool = False) -> str:
    """Return a comparison as `text`, `markdown` or `json`.

    Args:
        found: the comparison.
        form: which of them.
        runs: how many moments of a schedule are told.
        every: tell everything, however much it is; `json` always does.
    """
    if form == "json":
        return as_json(comparison_data(found, runs))
    style = Style(form == "markdown", None if every else MOST_SHOWN)
    text = "\n".join(_lines(found, style, runs))
    if style.markdown and len(text) > LONGEST_COMMENT:
        kept = text[:LONGEST_COMMENT].rpartition("\n")[0]
        text = f"{kept}\n\n_The rest is left out: it would not fit into a comment._"
    return text


# --- the page


def _lines(found: Comparison, style: Style, runs: int) -> Iterator[str]:
    difference = found.difference
    versions = _versions(found, style)
    title = f"{style.name(found.old.label)} {style.arrow} {style.name(found.new.label)}"
    if found.old.label == found.new.label:
        title = versions
    elif versions:
        title = f"{title}, {versions}"
    yield f"### DAGs: {title}" if style.markdown else title
    if style.markdown:
        yield ""
    if found.old.request is None:
        yield f"{style.name(found.old.label)} has no such project or environment: every DAG is new."
    counts = (
        (len(difference.added), "added"),
        (len(difference.removed), "removed"),
        (len(difference.dags), "changed"),
        (difference.same, "unchanged"),
    )
    said = [
        f"{counted(count, 'DAG') if not index else count} {word}"
        for index, (count, word) in enumerate(each for each in counts if each[0])
    ]
    yield ", ".join(said) if said else "no DAGs"
    for heading, texts in (
        ("to mind", list(_warnings(found, style))),
        ("what the other version changes", list(_move_lines(found.moves, style))),
    ):
        if texts:
            yield ""
            yield style.heading(heading)
            yield from style.items(texts)
    for dag in difference.removed:
        yield ""
        yield style.heading(
            f"removed DAG {style.name(dag.dag_id)} (pipeline {style.name(dag.pipeline)})"
        )
        yield style.item(f"{counted(len(dag.tasks), 'task')}: {style.names(list(dag.tasks))}")
    for dag in difference.added:
        yield ""
        yield style.heading(
            f"added DAG {style.name(dag.dag_id)} (pipeline {style.name(dag.pipeline)})"
        )
        yield from _added_dag(dag, found, style, runs)
    told = {repr(each.change) for each in difference.shared}
    for change in difference.dags:
        lines = list(_dag_lines(change, found, style, runs, told))
        if lines:
            yield ""
            yield style.heading(_dag_title(change, style))
            yield from lines
    if difference.shared:
        yield ""
        yield style.heading("the same in several tasks")
        yield from style.items(_shared_line(each, style) for each in difference.shared)


def _versions(found: Comparison, style: Style) -> str:
    def name(target: str, orchestrator: str, version: str) -> str:
        return f"{target} ({orchestrator.capitalize()} {version})"

    before, now = found.before, found.now
    one = name(before.target, before.orchestrator, before.version)
    other = name(now.target, now.orchestrator, now.version)
    if not before.target or one == other:
        return other
    return f"{one} {style.arrow} {other}"


def _warnings(found: Comparison, style: Style) -> Iterator[str]:
    """Yield what is lost in Airflow, what others relied on, and which tasks need a new image."""
    difference = found.difference
    for dag in difference.removed:
        yield (
            f"DAG {style.name(dag.dag_id)} is gone: it runs no more, and its history is no longer "
            "shown among the active DAGs"
        )
    for change in difference.dags:
        old, new = change.old, change.new
        if not change.same_id:
            text = (
                f"DAG {style.name(old.dag_id)} becomes {style.name(new.dag_id)}: Airflow takes it "
                "for another one, without history"
            )
            yield text + _backfill(new, found.after)
        names = [*(pair.old for pair in change.renamed), *change.removed]
        if change.same_id and names:
            word = "lose their" if len(names) > 1 else "loses its"
            yield f"{style.name(new.dag_id)}: {style.names(names)} {word} history of past runs"
        if change.same_id and new.catchup and not old.catchup:
            yield f"{style.name(new.dag_id)}: catchup is on now{_backfill(new, found.after)}"
    yield from (_broken_line(each, style) for each in difference.broken)
    for change in difference.dags:
        stopped = _needing_an_image(change)
        if stopped:
            words = ("need", "stop") if len(stopped) > 1 else ("needs", "stops")
            yield (
                f"{style.name(change.new.dag_id)}: {style.names(stopped)} {words[0]} an image with "
                f"these definitions, and {words[1]} in an older one"
            )


def _needing_an_image(change: DagChange) -> list[str]:
    """Return the tasks that an image of before would refuse to run."""
    old_id = {pair.new: pair.old for pair in change.renamed}
    found = []
    for task_id, task in change.new.tasks.items():
        before = change.old.tasks.get(old_id.get(task_id, task_id))
        if not task.contract:
            continue
        if before is None:
            known = all(name in change.old.nodes for name in task.nodes)
            if known and not any(node.new.name in task.nodes for node in change.nodes):
                continue
            found.append(task_id)
        elif before.contract and must_stop(task.contract, before.contract):
            found.append(task_id)
    return found


def _backfill(dag: DagOutline, after: datetime.datetime | None) -> str:
    """Return how many runs catchup would start; empty where it would not."""
    if not dag.catchup or after is None:
        return ""
    count = runs_between(calendar_of(dag), after, MOST_RUNS + 1)
    if not count:
        return ""
    shown = f"more than {MOST_RUNS:,}" if count > MOST_RUNS else f"{count:,}"
    return f"; catchup starts {shown} run{'s' if count != 1 else ''} of the past"


def _broken_line(each: Broken, style: Style) -> str:
    who = style.name(each.dag_id if each.task_id is None else f"{each.dag_id}.{each.task_id}")
    name = style.name(each.name)
    at = f" ({style.name(each.at)})" if each.at else ""
    now = "" if each.now is None else f", which is {style.name(each.now)} now"
    return {
        "asset": f"{who} is started by asset {name}, which nothing writes any more",
        "dataset": f"{who} reads dataset {name}, which no pipeline here writes any more",
        "dag": f"{who} names DAG {name}, which is gone{now}{at}",
        "task": f"{who} waits for {name}, which is gone{at}",
    }[each.on]


def _move_lines(moves: Sequence[Move], style: Style) -> Iterator[str]:
    order = (FAILS, DIFFERS, SAME)
    for move in sorted(moves, key=lambda each: order.index(each.effect)):
        place = "" if move.at is None else f"{style.name(move.at)}: "
        fix = "" if move.fix is None else f"; {move.fix}"
        yield f"{move.effect}: {place}{_prose(f'{move.message}{fix}', style)}"


def _prose(text: str, style: Style) -> str:
    """Return a sentence that may hold names out of files."""
    text = visible(text).replace("\n", "\\n")
    # What GitHub would take for markup or a mention, and our own templates and names.
    marks = r"([\\`*<>\[\]|@#]|(?<!\w)_|_(?!\w))"
    return re.sub(marks, r"\\\1", text) if style.markdown else text


# --- one DAG


def _dag_title(change: DagChange, style: Style) -> str:
    old, new = change.old, change.new
    title = f"DAG {style.name(new.dag_id)} (pipeline {style.name(new.pipeline)}"
    if old.pipeline != new.pipeline:
        title += f", before {style.name(old.pipeline)}"
    return f"{title})"


def _added_dag(dag: DagOutline, found: Comparison, style: Style, runs: int) -> Iterator[str]:
    yield style.item(f"{counted(len(dag.tasks), 'task')}: {style.names(list(dag.tasks))}")
    yield style.item(f"schedule {style.name(spelled(dag.schedule))}")
    if can_tell(dag.schedule) and runs:
        yield style.item(_runs_text(dag, found.after, runs), 2)
    total = requested(dag)
    if total:
        sums = ", ".join(f"{amount(name, size)} {name}" for name, size in sorted(total.items()))
        yield style.item(f"requests {sums}")


def _dag_lines(
    change: DagChange, found: Comparison, style: Style, runs: int, told: set[str]
) -> Iterator[str]:
    old, new = change.old, change.new
    if not change.same_id:
        yield style.item(f"dag_id {_pair(old.dag_id, new.dag_id, style)}")
    elif old.pipeline != new.pipeline:
        yield style.item(f"pipeline {_pair(old.pipeline, new.pipeline, style)}")
    of_runs = [fact for fact in change.facts if fact.key[0] in RUN_FACTS]
    for fact in of_runs:
        yield style.item(_change_text(fact, style, _meanings(change)))
    if of_runs and runs:
        yield from _runs_lines(change, found, style, runs)
    yield from style.items(
        _change_text(fact, style) for fact in change.facts if fact not in of_runs
    )
    yield from style.items(_task_and_node_lines(change, style))
    yield from style.items(_edge_lines(change, style))
    for total in change.sums:
        pair = _pair(amount(total.resource, total.old), amount(total.resource, total.new), style)
        yield style.item(f"sum of requests: {pair} {total.resource}")
    yield from style.items(_own_changes(change, told, style))


def _meanings(change: DagChange) -> bool:
    """Say whether what a schedule means has to be told, because it differs."""
    schedules = change.old.schedule, change.new.schedule
    meanings = {each.meaning for each in schedules if isinstance(each, (Cron, Every))}
    return len(meanings) > 1


def _runs_lines(change: DagChange, found: Comparison, style: Style, runs: int) -> Iterator[str]:
    texts = [_runs_text(dag, found.after, runs) for dag in (change.old, change.new)]
    if texts[0] == texts[1]:
        yield style.item(f"{texts[0]}, before and now", 2)
        return
    for word, text in zip(("before", "now"), texts, strict=True):
        yield style.item(f"{word}: {text}", 2)


def _runs_text(dag: DagOutline, after: datetime.datetime | None, count: int) -> str:
    """Return the next runs of a DAG, or its first ones, with the logical date of each."""
    calendar = calendar_of(dag)
    if not can_tell(dag.schedule):
        return "no run by the clock"
    runs = planned_runs(calendar, after, count)
    what = "first runs" if after is None else f"next runs after {moment_text(after)}"
    if not runs:
        every = isinstance(dag.schedule, Every) and dag.schedule.meaning == "trigger"
        return "counted from its first run" if every else f"{what}: none"
    listed = ", ".join(_run_text(run) for run in runs)
    return f"{what}: {listed} UTC"


def planned_runs(
    calendar: Calendar, after: datetime.datetime | None, count: int
) -> tuple[Run, ...]:
    """Return the next runs after a moment, the first ones without one."""
    return first_runs(calendar, count) if after is None else next_runs(calendar, after, count)


def _run_text(run: Run) -> str:
    if run.start == run.at:
        return moment_text(run.at)
    return f"{moment_text(run.at)} (for {moment_text(run.start)})"


def moment_text(moment: datetime.datetime) -> str:
    """Return a moment in UTC, to the minute where it is a whole one."""
    utc = moment.astimezone(datetime.timezone.utc)
    return utc.strftime("%Y-%m-%d %H:%M:%S" if utc.second else "%Y-%m-%d %H:%M")


def calendar_of(dag: DagOutline) -> Calendar:
    """Return what decides when a DAG runs."""
    return Calendar(dag.schedule, dag.start_date, dag.end_date, dag.catchup)


def _task_and_node_lines(change: DagChange, style: Style) -> Iterator[str]:
    old, new = change.old, change.new
    for task_id in change.added:
        after = [up for up, down in new.edges if down == task_id]
        before = [down for up, down in new.edges if up == task_id]
        where = [f"after {style.names(after)}"] * bool(after)
        where += [f"before {style.names(before)}"] * bool(before)
        nodes = new.tasks[task_id].nodes
        runs = f", nodes {style.names(nodes)}" if nodes != (task_id,) and nodes else ""
        yield f"added task {style.name(task_id)}{runs}{', ' if where else ''}{', '.join(where)}"
    for task_id in change.removed:
        nodes = old.tasks[task_id].nodes
        runs = f", nodes {style.names(nodes)}" if nodes != (task_id,) and nodes else ""
        yield f"removed task {style.name(task_id)}{runs}"
    for pair in change.renamed:
        yield f"renamed task {_pair(pair.old, pair.new, style)}"
    for pair in change.renamed_nodes:
        yield f"renamed node {_pair(pair.old, pair.new, style)}"
    moved = [(each.old_task, each.new_task, each.node) for each in change.moved]
    for (one, other), nodes_moved in groupby(sorted(moved), key=lambda each: each[:2]):
        names = [node for _, _, node in nodes_moved]
        word = "node" if len(names) == 1 else "nodes"
        yield f"{word} {style.names(names)}: task {_pair(one, other, style)}"
    tasks = {node: task.task_id for task in new.tasks.values() for node in task.nodes}
    for name in change.new_nodes:
        yield f"added node {style.name(name)} in task {style.name(tasks[name])}"
    tasks = {node: task.task_id for task in old.tasks.values() for node in task.nodes}
    for name in change.gone_nodes:
        yield f"removed node {style.name(name)} from task {style.name(tasks[name])}"
    for each in change.nodes:
        texts = "; ".join(_node_text(each.old, each.new, style))
        yield f"node {style.name(each.new.name)}: {texts}"


def _node_text(old: NodeOutline, new: NodeOutline, style: Style) -> Iterator[str]:
    if old.does != new.does:
        yield _pair(old.does, new.does, style)
    for word, before, after in (
        ("reads", old.inputs, new.inputs),
        ("writes", old.outputs, new.outputs),
    ):
        more = [name for name in after if name not in before]
        less = [name for name in before if name not in after]
        if more:
            yield f"{word} {style.names(more)}"
        if less:
            yield f"no longer {word} {style.names(less)}"
        if before != after and not more and not less:
            yield f"{word} in another order"


def _edge_lines(change: DagChange, style: Style) -> Iterator[str]:
    for edge in change.edges:
        order = f"{style.name(edge.upstream)} >> {style.name(edge.downstream)}"
        if edge.old is None:
            by = f", by {style.names(edge.new)}" if edge.new else ""
            yield f"added order {order}{by}"
        elif edge.new is None:
            yield f"removed order {order}"
        else:
            before, now = (_datasets(names, style) for names in (edge.old, edge.new))
            yield f"order {order}: by {before} {style.arrow} {now}"


def _datasets(names: Sequence[str], style: Style) -> str:
    return style.names(names) if names else style.name("after")


def _own_changes(change: DagChange, told: set[str], style: Style) -> Iterator[str]:
    """Yield what differs in single tasks only."""
    for task_id, changes in change.tasks.items():
        own = [each for each in changes if repr(each) not in told]
        if own:
            texts = "; ".join(_change_text(each, style) for each in own)
            yield f"task {style.name(task_id)}: {texts}"


def _shared_line(each: Shared, style: Style) -> str:
    dags = list(each.tasks)
    if len(dags) == 1:
        where = f"of {style.name(dags[0])}: {style.names(each.tasks[dags[0]])}"
    else:
        counts = [f"{style.name(dag_id)} {len(ids):,}" for dag_id, ids in each.tasks.items()]
        shown = counts if style.most is None else counts[: style.most]
        more = len(counts) - len(shown)
        tail = f" and {more:,} more DAGs" if more else ""
        where = f"of {len(dags):,} DAGs: {', '.join(shown)}{tail}"
    return f"{_change_text(each.change, style)} in {each.count:,} tasks {where}"


def _change_text(change: Change, style: Style, meanings: bool = False) -> str:
    key = style.name(".".join(change.key))
    old, new = spelled(change.old, meanings), spelled(change.new, meanings)
    if change.old == NOTHING:
        return f"{key} {style.name(new)}, before not set"
    if change.new == NOTHING:
        return f"{key} not set, before {style.name(old)}"
    return f"{key} {_pair(old, new, style)}"


def _pair(old: str, new: str, style: Style) -> str:
    return f"{style.name(old)} {style.arrow} {style.name(new)}"


# --- values


def spelled(value: Any, meanings: bool = False) -> str:
    """Return a value as people write it, shortened."""
    text = _spelled(value, meanings)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."


def _spelled(value: Any, meanings: bool = False) -> str:
    spelling = _SPELLINGS.get(type(value))
    if spelling is not None:
        meaning = ""
        if meanings and isinstance(value, (Cron, Every)):
            meaning = ", data intervals" if value.meaning == "interval" else ", moments"
        return f"{spelling(value)}{meaning}"
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) is not None and value not in _WORDS
        return value if plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(as_data(value), ensure_ascii=False)


def _duration(length: datetime.timedelta) -> str:
    seconds = length.total_seconds()
    if not seconds.is_integer():
        return f"{seconds:g}s"
    parts, rest = [], int(seconds)
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        parts += [f"{count}{unit}"] * bool(count)
    return "".join(parts) or "0s"


def _date(date: Date) -> str:
    year, month, day, *clock = date.parts
    text = f"{year:04}-{month:02}-{day:02}"
    if clock:
        hour, minute, second = (*clock, 0, 0)[:3]
        text += f" {hour:02}:{minute:02}" + (f":{second:02}" if second else "")
    return text if date.timezone == "UTC" else f"{text} {date.timezone}"


def _instance(value: Instance) -> str:
    inside = ", ".join(f"{name}={_spelled(inner)}" for name, inner in value.arguments.items())
    return f"{value.path}({inside})"


_SPELLINGS: Final[Mapping[type, Callable[[Any], str]]] = {
    Cron: lambda value: f"{value.expression} {value.timezone}",
    Every: lambda value: f"every {_duration(value.length)}",
    datetime.timedelta: _duration,
    Date: _date,
    Reference: lambda value: value.path,
    Instance: _instance,
    Model: lambda value: json.dumps(as_data(value)["fields"], ensure_ascii=False),
    Literal: lambda value: json.dumps(value.text, ensure_ascii=False),
    Constant: lambda value: value.name,
}
_BINARY: Final = (("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10))


def amount(resource: str, size: Fraction) -> str:
    """Return a sum of Kubernetes quantities in the unit that people use for the resource."""
    if resource == "cpu":
        milli = size * 1000
        return str(size) if size.denominator == 1 else f"{float(milli):g}m"
    if resource in ("memory", "ephemeral-storage") and size:
        for unit, power in _BINARY:
            scaled = size / 2**power
            if scaled >= 1:
                return f"{float(scaled):.4g}{unit}"
    return f"{float(size):g}"


# --- data


def comparison_data(found: Comparison, runs: int) -> Data:
    """Return a comparison as JSON data; keys are stable and always there."""
    difference = found.difference
    return {
        "old": _side_data(found.old, found.before.target, found.before.version),
        "new": _side_data(found.new, found.now.target, found.now.version),
        "after": None if found.after is None else found.after.isoformat(),
        "same": difference.same,
        "added": [_dag_data(dag, found, runs) for dag in difference.added],
        "removed": [_dag_data(dag, found, runs) for dag in difference.removed],
        "changed": [_change_data(change, found, runs) for change in difference.dags],
        "shared": [
            {
                **_value_data(each.change),
                "count": each.count,
                "tasks": {dag_id: list(ids) for dag_id, ids in each.tasks.items()},
            }
            for each in difference.shared
        ],
        "broken": [
            {
                "dag_id": each.dag_id,
                "task_id": each.task_id,
                "on": each.on,
                "name": each.name,
                "now": each.now,
                "at": each.at or None,
            }
            for each in difference.broken
        ],
        "moves": [
            {
                "kind": move.kind,
                "effect": move.effect,
                "message": move.message,
                "fix": move.fix,
                "at": move.at,
            }
            for move in found.moves
        ],
    }


def _side_data(side: Side, target: str, version: str) -> Data:
    return {
        "name": side.label,
        "commit": side.commit,
        "target": target or None,
        "version": version or None,
        "exists": side.request is not None,
        "working_tree": side.label == HERE,
    }


def _dag_data(dag: DagOutline, found: Comparison, runs: int) -> Data:
    return {
        "dag_id": dag.dag_id,
        "pipeline": dag.pipeline,
        "file": dag.file,
        "schedule": as_data(dag.schedule),
        "runs": _runs_data(dag, found, runs),
        "tasks": list(dag.tasks),
        "requests": {name: float(size) for name, size in sorted(requested(dag).items())},
    }


def _runs_data(dag: DagOutline, found: Comparison, runs: int) -> list[Data]:
    return [
        {"at": run.at.isoformat(), "start": run.start.isoformat(), "end": run.end.isoformat()}
        for run in planned_runs(calendar_of(dag), found.after, runs)
    ]


def _value_data(change: Change) -> Data:
    data: Data = {"key": list(change.key)}
    for name, value in (("old", change.old), ("new", change.new)):
        if value != NOTHING:
            data[name] = as_data(value)
    return data


def _change_data(change: DagChange, found: Comparison, runs: int) -> Data:
    return {
        "dag_id": [change.old.dag_id, change.new.dag_id],
        "pipeline": [change.old.pipeline, change.new.pipeline],
        "file": [change.old.file, change.new.file],
        "values": [_value_data(each) for each in change.facts],
        "runs": [_runs_data(dag, found, runs) for dag in (change.old, change.new)],
        "tasks": {
            "added": list(change.added),
            "removed": list(change.removed),
            "renamed": [[pair.old, pair.new] for pair in change.renamed],
            "changed": {
                task_id: [_value_data(each) for each in changes]
                for task_id, changes in change.tasks.items()
            },
        },
        "nodes": {
            "added": list(change.new_nodes),
            "removed": list(change.gone_nodes),
            "renamed": [[pair.old, pair.new] for pair in change.renamed_nodes],
            "moved": [
                {"node": each.node, "old": each.old_task, "new": each.new_task}
                for each in change.moved
            ],
            "changed": [
                {"node": each.new.name, "old": _node_data(each.old), "new": _node_data(each.new)}
                for each in change.nodes
            ],
        },
        "edges": [
            {
                "upstream": edge.upstream,
                "downstream": edge.downstream,
                "old": None if edge.old is None else list(edge.old),
                "new": None if edge.new is None else list(edge.new),
            }
            for edge in change.edges
        ],
        "requests": {each.resource: [float(each.old), float(each.new)] for each in change.sums},
    }


def _node_data(node: NodeOutline) -> Data:
    return {"does": node.does, "inputs": list(node.inputs), "outputs": list(node.outputs)}
