"""A report as one file of HTML: no network, whole without scripts, which add what is interactive.

Drawings are laid out by `drawing.layout` and stand in the page as SVG, so that it prints, can be
read where scripts are off, and needs no layout library. What is told of a chosen node or task is
embedded as JSON. Names from files reach the page escaped, and scripts put them into it as text.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
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
from dagforge.commands.show import counted
from dagforge.drawing.labels import shown
from dagforge.drawing.model import Direction, Panel, Picture
from dagforge.drawing.palette import paint
from dagforge.drawing.svg import MARKERS, STYLE, panel_svg
from dagforge.errors import Problem, visible

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


def embedded(data: Any) -> str:
    """Return data as JSON that no browser takes for the end of a script or for HTML."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("utf-8", "replace").decode()


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
    yield f"<title>{_text(report.project)}: pipelines</title>"
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
    yield f"<div><h1>{_text(report.project)}</h1><p>{_text(facts)}</p></div>"
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
        yield f'<li><a href="#pipeline-{number}">{_text(shown(pipeline.name))}</a></li>'
    yield '<li><a href="#targets">Targets</a></li>'
    yield "</ul></nav>"


def _overview(report: Report) -> Iterator[str]:
    yield from _section("overview", "Overview")
    yield from _table(
        "Pipelines",
        ("pipeline", "nodes", "tasks", "schedule", "next run", "requests of all tasks"),
        (
            (
                _link(f"#pipeline-{number}", each.name),
                _text(each.nodes),
                _text(each.tasks),
                _text(each.schedule.text),
                _text(each.schedule.runs[0] if each.schedule.runs else each.schedule.when),
                _text(", ".join(f"{total.resource} {total.now}" for total in each.totals)),
            )
            for number, each in enumerate(report.pipelines)
        ),
    )
    yield '<h3 id="warnings">Warnings</h3>'
    if report.warnings:
        yield from _problems(report.warnings)
    else:
        yield "<p>None.</p>"
    yield "</section>"


def _pipeline(number: int, pipeline: PipelineFacts, direction: Direction) -> Iterator[str]:
    name = f"pipeline-{number}"
    yield from _section(name, shown(pipeline.name), "pipeline")
    if pipeline.description:
        yield f"<p>{_text(pipeline.description)}</p>"
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
        values = "".join(f"<dd>{_text(line)}</dd>" for line in lines)
        yield f"<div><dt>{_text(term)}</dt>{values}</div>"
    yield "</dl>"
    yield f"<h3>{counted(pipeline.nodes, 'node')} in {counted(pipeline.tasks, 'task')}</h3>"
    yield from _legend(pipeline.views[-1].picture)
    yield '<div class="drawings">'
    for view in pipeline.views:
        yield from _figure(name, view, direction)
    yield '<aside class="details" aria-label="What was chosen" hidden></aside>'
    yield "</div>"
    yield from _machines(pipeline)
    yield from _words(pipeline)
    yield from _settings("Settings of the DAG", pipeline.details.settings)
    yield "</section>"


def _figure(name: str, view: View, direction: Direction) -> Iterator[str]:
    what = "node" if view.kind == "nodes" else "task"
    title = _TITLES[view.kind].format(counted(len(view.panel.shapes), what))
    yield f'<figure data-kind="{view.kind}" id="{name}-{view.kind}">'
    yield f"<figcaption>{_text(title)}</figcaption>"
    # Reached by the keyboard, so that it can be moved with it.
    label = _text(f"{title}, drawing of {shown(view.picture.pipeline)}")
    yield f'<div class="scene" tabindex="0" role="group" aria-label="{label}">'
    yield panel_svg(view.picture, view.panel, direction)
    yield "</div></figure>"


def _legend(picture: Picture) -> Iterator[str]:
    if not picture.colours:
        return
    yield '<ul class="legend" aria-label="machines">'
    for colour in picture.colours:
        colours = paint(colour.step, picture.coloured_by)
        style = f"background: {colours.fill}; color: {colours.text}"
        text = f"<code>{_text(shown(colour.name))}</code> {_text(colour.text)}"
        yield f'<li style="{style}">{text.strip()}</li>'
    yield "</ul>"


def _machines(pipeline: PipelineFacts) -> Iterator[str]:
    if not pipeline.totals:
        return
    rows = [
        tuple(map(_text, (each.name or "no machine", each.wants, each.before, each.now)))
        for each in pipeline.machines
    ]
    rows += [
        tuple(map(_text, ("all requests together", each.resource, each.before, each.now)))
        for each in pipeline.totals
    ]
    yield from _table("Machines", ("machine", "has", "tasks before grouping", "tasks now"), rows)


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
            _text(task.task_id),
            _text(", ".join(task.nodes)),
            _text(", ".join(before.get(task.task_id, ()))),
            "<br>".join(_text(f"{name}: {', '.join(lines)}") for name, lines in task.facts),
        )
        for task in details.tasks
    )
    yield from _table("", columns, rows)
    yield "</details>"


def _settings(title: str, settings: Sequence[SettingFact]) -> Iterator[str]:
    yield f"<details><summary>{_text(title)}</summary>"
    rows = (
        tuple(map(_text, (each.name, each.value, each.at or "", each.layer))) for each in settings
    )
    yield from _table("", ("setting", "value", "written at", "layer"), rows)
    yield "</details>"


def _targets(targets: Iterable[TargetFacts]) -> Iterator[str]:
    yield from _section("targets", "What each target cannot express")
    for each in targets:
        version = f" ({each.orchestrator.capitalize()} {each.version})" if each.version else ""
        chosen = ", of this report" if each.chosen else ""
        yield f"<h3>{_text(each.name + version + chosen)}</h3>"
        if each.problems:
            yield from _problems(each.problems)
        else:
            yield "<p>It expresses everything that is defined.</p>"
    yield "</section>"


def _problems(problems: Iterable[Problem]) -> Iterator[str]:
    yield '<ul class="problems">'
    for each in problems:
        where = f"<code>{_text(each.location)}</code> " if each.at is not None else ""
        code = f" <code>[{_text(each.code)}]</code>"
        fix = f"<br>fix: {_text(each.fix)}" if each.fix else ""
        yield f"<li>{where}{each.severity}: {_text(each.message)}{code}{fix}</li>"
    yield "</ul>"


def _section(name: str, title: str, style: str = "") -> Iterator[str]:
    kind = f' class="{style}"' if style else ""
    yield f'<section id="{name}"{kind} aria-labelledby="{name}-title">'
    yield f'<h2 id="{name}-title" tabindex="-1">{_text(title)}</h2>'


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield a table.

    Args:
        title: empty where a heading stands above it.
        columns: their headings, text.
        rows: cells, HTML.
    """
    label = f' aria-label="{_text(title)}"' if title else ""
    yield f'<div class="wide" tabindex="0" role="region" aria-label="{_text(title or "table")}">'
    yield f"<table{label}>"
    if title:
        yield f"<caption>{_text(title)}</caption>"
    heads = "".join(f'<th scope="col">{_text(column)}</th>' for column in columns)
    yield f"<thead><tr>{heads}</tr></thead><tbody>"
    for first, *rest in rows:
        cells = "".join(f"<td>{cell}</td>" for cell in rest)
        yield f'<tr><th scope="row">{first}</th>{cells}</tr>'
    yield "</tbody></table></div>"


def _link(address: str, text: str) -> str:
    return f'<a href="{address}">{_text(shown(text))}</a>'


def _text(value: object) -> str:
    return html.escape(visible(str(value)))


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
