"""A report as one file of HTML: no network, whole without scripts, which add what is interactive.

Drawings are laid out by `drawing.layout` and stand in the page as SVG, so that it prints, can be
read where scripts are off, and needs no layout library. What is told of a chosen node or task is
embedded as JSON. Names from files reach the page escaped, and scripts put them into it as text.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dagforge.commands.made_file import made_by
from dagforge.commands.report_page.details import Fact, SettingFact
from dagforge.commands.report_page.facts import (
    PipelineFacts,
    Report,
    TargetFacts,
    View,
)
from dagforge.commands.report_page.parts import (
    embedded,
    figure,
    legend,
    link,
    problem_list,
    section,
    table,
    text,
)
from dagforge.commands.report_page.run_parts import run_data, run_parts
from dagforge.commands.show import counted
from dagforge.drawing.labels import shown
from dagforge.drawing.model import Direction, Panel
from dagforge.drawing.svg import MARKERS, STYLE
from dagforge.errors import visible

_ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("viewport.js", "drawing.js", "details.js", "search.js", "report.js")
"""In the order in which they need each other; each is a script of the page by itself."""
_TITLES = {
    "before": "before grouping: {}",
    "after": "after grouping: {}",
    "nodes": "{} in their tasks",
}


def page_of(report: Report, direction: Direction = "down") -> str:
    """Return the page, the same for the same report."""
    scripts = [(_ASSETS / name).read_text(encoding="utf-8") for name in SCRIPTS]
    lines = [
        *_head(report, scripts),
        "<body>",
        '<a class="skip" href="#content">Skip to the report</a>',
        # The marks at the ends of arrows, which all drawings share.
        f'<svg class="marks" width="0" height="0" aria-hidden="true">{MARKERS}</svg>',
        *_header(report),
        '<div class="columns">',
        *_navigation(report),
        '<main id="content" tabindex="-1">',
        *_overview(report),
    ]
    for number, pipeline in enumerate(report.pipelines):
        lines += _pipeline(number, pipeline, direction)
    lines += _targets(report.targets)
    lines += [
        "</main>",
        "</div>",
        f'<script type="application/json" id="data">{embedded(_data(report))}</script>',
        *(f"<script>{script}</script>" for script in scripts),
        "</body>",
        "</html>",
    ]
    return "\n".join(lines) + "\n"


def _head(report: Report, scripts: Sequence[str]) -> Iterator[str]:
    # The browser runs these scripts and no others, and fetches nothing.
    hashes = (base64.b64encode(hashlib.sha256(each.encode()).digest()) for each in scripts)
    allowed = " ".join(f"'sha256-{each.decode()}'" for each in hashes)
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src {allowed}; "
        "base-uri 'none'; form-action 'none'"
    )
    style = (_ASSETS / "report.css").read_text(encoding="utf-8")
    yield "<!DOCTYPE html>"
    yield '<html lang="en">'
    yield f"<!-- {made_by('report')} -->"
    yield "<head>"
    yield '<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{text(report.project)}: pipelines</title>"
    yield f"<style>\n{STYLE}{style}</style>"
    yield "</head>"


def _header(report: Report) -> Iterator[str]:
    target = report.target
    facts = ", ".join(
        (
            f"{target.name} ({target.orchestrator.capitalize()} {target.version})",
            f"environment {report.env}",
            counted(len(report.pipelines), "pipeline"),
            counted(sum(each.nodes for each in report.pipelines), "node"),
            counted(sum(each.tasks for each in report.pipelines), "task"),
        )
    )
    yield "<header>"
    yield f"<div><h1>{text(report.project)}</h1><p>{text(facts)}</p></div>"
    # Shown by the script that searches.
    yield '<div class="search" role="search" hidden>'
    yield '<label for="search">Search nodes, tasks and datasets</label>'
    yield '<input id="search" type="search" autocomplete="off" spellcheck="false">'
    yield '<p id="count" role="status"></p><ul id="hits"></ul></div>'
    yield "</header>"


def _navigation(report: Report) -> Iterator[str]:
    yield '<nav aria-label="Parts of the report"><ul>'
    yield '<li><a href="#overview">Overview</a></li>'
    for number, pipeline in enumerate(report.pipelines):
        yield f'<li><a href="#pipeline-{number}">{text(shown(pipeline.name))}</a></li>'
    yield '<li><a href="#targets">Targets</a></li>'
    yield "</ul></nav>"


def _overview(report: Report) -> Iterator[str]:
    yield from section("overview", "Overview")
    yield from table(
        "Pipelines",
        ("pipeline", "nodes", "tasks", "schedule", "next run", "requests of all tasks"),
        (
            (
                link(f"#pipeline-{number}", each.name),
                text(each.nodes),
                text(each.tasks),
                text(each.schedule.text),
                text(each.schedule.runs[0] if each.schedule.runs else each.schedule.when),
                text(", ".join(f"{total.resource} {total.now}" for total in each.totals)),
            )
            for number, each in enumerate(report.pipelines)
        ),
    )
    yield '<h3 id="warnings">Warnings</h3>'
    if report.warnings:
        yield from problem_list(report.warnings)
    else:
        yield "<p>None.</p>"
    yield "</section>"


def _pipeline(number: int, pipeline: PipelineFacts, direction: Direction) -> Iterator[str]:
    name = f"pipeline-{number}"
    yield from section(name, shown(pipeline.name), "pipeline")
    if pipeline.description:
        yield f"<p>{text(pipeline.description)}</p>"
    yield "<dl>"
    schedule = pipeline.schedule
    for term, lines in (
        ("dag_id", (pipeline.dag_id,)),
        ("file", (pipeline.file,)),
        ("defined at", (pipeline.at,)),
        ("grouped by", (pipeline.grouping,)),
        ("schedule", (schedule.text,)),
        (schedule.when if schedule.runs else "next runs", schedule.runs or (schedule.when,)),
    ):
        values = "".join(f"<dd>{text(line)}</dd>" for line in lines)
        yield f"<div><dt>{text(term)}</dt>{values}</div>"
    yield "</dl>"
    yield f"<h3>{counted(pipeline.nodes, 'node')} in {counted(pipeline.tasks, 'task')}</h3>"
    yield from legend(pipeline.views[-1].picture)
    yield '<div class="drawings">'
    for view in pipeline.views:
        what = "node" if view.kind == "nodes" else "task"
        title = _TITLES[view.kind].format(counted(len(view.panel.shapes), what))
        yield from figure(name, view.kind, title, view.picture, direction)
    yield '<aside class="details" aria-label="What was chosen" hidden></aside>'
    yield "</div>"
    yield from _machines(pipeline)
    if pipeline.history is not None:
        yield from run_parts(name, pipeline.history, direction)
    yield from _words(pipeline)
    yield from _settings("Settings of the DAG", pipeline.details.settings)
    yield "</section>"


def _machines(pipeline: PipelineFacts) -> Iterator[str]:
    if not pipeline.totals:
        return
    rows = [
        tuple(map(text, (each.name or "no machine", each.wants, each.before, each.now)))
        for each in pipeline.machines
    ]
    rows += [
        tuple(map(text, ("all requests together", each.resource, each.before, each.now)))
        for each in pipeline.totals
    ]
    yield from table("Machines", ("machine", "has", "tasks before grouping", "tasks now"), rows)


def _words(pipeline: PipelineFacts) -> Iterator[str]:
    """Yield the tasks in words, for those who do not see the drawings and where scripts are off."""
    details = pipeline.details
    before: dict[str, list[str]] = {}
    for upstream, downstream, datasets in _orders(pipeline.views[1].panel):
        by = f" ({', '.join(datasets)})" if datasets else ""
        before.setdefault(downstream, []).append(f"{upstream}{by}")
    yield "<details><summary>Tasks in words</summary>"
    columns = ("task", "nodes", "runs after", "what it does")
    rows = (
        (
            text(task.task_id),
            text(", ".join(task.nodes)),
            text(", ".join(before.get(task.task_id, ()))),
            "<br>".join(text(f"{name}: {', '.join(lines)}") for name, lines in task.facts),
        )
        for task in details.tasks
    )
    yield from table("Tasks", columns, rows, is_shown=False)
    yield "</details>"


def _settings(title: str, settings: Sequence[SettingFact]) -> Iterator[str]:
    yield f"<details><summary>{text(title)}</summary>"
    rows = (
        tuple(map(text, (each.name, each.value, each.at or "", each.layer))) for each in settings
    )
    yield from table(title, ("setting", "value", "written at", "layer"), rows, is_shown=False)
    yield "</details>"


def _targets(targets: Iterable[TargetFacts]) -> Iterator[str]:
    yield from section("targets", "What each target cannot express, or still needs")
    for each in targets:
        version = f" ({each.orchestrator.capitalize()} {each.version})" if each.version else ""
        chosen = ", of this report" if each.chosen else ""
        yield f"<h3>{text(each.name + version + chosen)}</h3>"
        if each.problems:
            yield from problem_list(each.problems)
        else:
            yield "<p>It expresses everything that is defined.</p>"
    yield "</section>"


# --- for the scripts


def _data(report: Report) -> dict[str, Any]:
    """Return what scripts tell of a chosen node or task, and what they search in."""
    return {"pipelines": [_pipeline_data(each) for each in report.pipelines]}


def _pipeline_data(pipeline: PipelineFacts) -> dict[str, Any]:
    details = pipeline.details
    return {
        "name": visible(pipeline.name),
        "views": [_view_data(view) for view in pipeline.views],
        "tasks": {
            visible(task.task_id): {
                "nodes": list(map(visible, task.nodes)),
                "facts": _facts(task.facts),
                "settings": _rows(task.settings),
            }
            for task in details.tasks
        },
        "nodes": {
            visible(node.name): {"task": visible(node.task), "facts": _facts(node.facts)}
            for node in details.nodes
        },
        "settings": _rows(details.settings),
        "runs": [run_data(run) for run in pipeline.history.runs] if pipeline.history else [],
    }


def _view_data(view: View) -> dict[str, Any]:
    panel = view.panel
    return {
        "kind": view.kind,
        "shapes": [visible(shape.name) for shape in panel.shapes],
        "arrows": [
            [arrow.start, arrow.end, list(map(visible, arrow.datasets))] for arrow in panel.arrows
        ],
    }


def _facts(facts: Iterable[Fact]) -> list[Any]:
    return [[name, list(map(visible, lines))] for name, lines in facts]


def _rows(settings: Iterable[SettingFact]) -> list[list[str]]:
    return [
        [visible(text) for text in (each.name, each.value, each.at or "", each.layer)]
        for each in settings
    ]


def _orders(panel: Panel) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for arrow in panel.arrows:
        yield panel.shapes[arrow.start].name, panel.shapes[arrow.end].name, arrow.datasets
