"""What a migration finds, as text for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from dagforge.commands.migrate.model import DagRows, Migration, Note, Row, Setting
from dagforge.commands.migrate.placing import as_mapping, by_hand
from dagforge.commands.show import counted, table
from dagforge.errors import visible

NOTHING = "-"


def as_text(found: Migration, *, verbose: bool = False, written: bool = False) -> str:
    """Return the report: note by note, the settings to paste, and what becomes of every task.

    Args:
        found: what is reported.
        verbose: with what only looks as if it changed.
        written: the settings are in the file already.
    """
    parts = [_head(found)]
    notes = [note for note in found.notes if verbose or note.kind != "stays"]
    parts.append("\n".join(_note(note) for note in notes))
    parts.append("\n".join(_settings(found, written)))
    parts += ["\n".join(_dag(dag)) for dag in found.dags]
    parts.append("\n".join(_next(found)))
    return visible("\n\n".join(part for part in parts if part))


def as_json(found: Migration) -> dict[str, Any]:
    """Return what a program reads; problems are added by who prints them."""
    proposal = found.proposal
    return {
        "folder": found.setup.folder,
        "environment": found.found.conf.env,
        "notes": [_note_data(note) for note in found.notes],
        "settings": as_mapping(each for each in proposal.settings if each.at is None),
        "by_hand": [_setting_data(each) for each in by_hand(proposal.settings)],
        "file": proposal.file,
        "yaml": proposal.pasted,
        "dags": [_dag_data(dag) for dag in found.dags],
        "obsolete": list(found.obsolete),
        "command": found.command,
    }


def _head(found: Migration) -> str:
    setup = found.setup
    if setup.folder is None:
        return (
            "no DAG files of kedro-airflow in airflow_dags/ or dags/: only the settings are looked "
            "at (--dags DIR says where the files are)"
        )
    releases = sorted({file.release for file in setup.files if file.release is not None})
    makers = [f"kedro-airflow {release}" for release in releases]
    makers += ["a template of your own"] if any(not file.release for file in setup.files) else []
    of = f", of {' and '.join(makers)}" if makers else ""
    conf = found.found.conf
    env = conf.env or (conf.kedro.layers[-1] if conf.kedro is not None else "base")
    return f"{setup.folder}: {counted(len(setup.files), 'DAG file')}{of}; environment {env}"


def _note(note: Note) -> str:
    where = f"{note.location}: " if note.at is not None else ""
    head, _, detail = note.message.partition("\n")
    verb = "mend" if note.kind == "was wrong" else "keep"
    keep = f"\n  to {verb} it: {note.keep}" if note.keep else ""
    more = f"\n{detail}" if detail else ""
    return f"{where}{note.kind}: {head} [{note.about}]{more}{keep}"


def _settings(found: Migration, written: bool) -> Iterator[str]:
    """Give the settings to paste, and those to change by hand."""
    proposal = found.proposal
    if proposal.pasted and not written:
        yield f"These settings keep the ids and the behaviour. Paste them into {proposal.file}"
        if proposal.text is None:
            yield "(its form does not let --write do it):"
        else:
            yield "(or let --write do it):"
        yield ""
        yield from (f"    {line}" for line in proposal.pasted.splitlines())
    for setting in by_hand(proposal.settings):
        yield f"{setting.at}: change this line to `{setting.name}: {_plain(setting.value)}`"


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _dag(dag: DagRows) -> Iterator[str]:
    """Give the table of a DAG."""
    old, new = dag.pair.old.dag_id or NOTHING, dag.pair.new.dag_id
    kept = f", with these settings {dag.kept}" if dag.kept != new else ""
    yield f"{dag.pair.pipeline}: DAG {old} -> {new}{kept}"
    changes = any(row.now != row.kept for row in dag.rows)
    head = ["", "line", "task_id", "now", *(["with these settings"] if changes else [])]
    yield table([head, *(_cells(row, changes) for row in dag.rows)])


def _cells(row: Row, changes: bool) -> list[str]:
    line = str(row.at.line) if row.at is not None else ""
    cells = ["", line, row.old or NOTHING, row.now or NOTHING]
    return [*cells, row.kept or NOTHING] if changes else cells


def _next(found: Migration) -> Iterator[str]:
    """Give what is to be done then."""
    if not found.obsolete:
        return
    yield "Then compile, and remove the old files: of two files with one dag_id Airflow shows now"
    yield "the one, now the other."
    yield f"    {found.command}"
    yield from (f"    rm {file}" for file in found.obsolete)


# --- JSON


def _note_data(note: Note) -> dict[str, Any]:
    at = note.location
    return {
        "kind": note.kind,
        "about": note.about,
        "message": note.message,
        "keep": note.keep,
        "file": at.file if at else None,
        "line": at.line if at else None,
        "column": at.column if at else None,
    }


def _setting_data(setting: Setting) -> dict[str, Any]:
    return {"name": setting.name, "value": setting.value, "at": str(setting.at)}


def _dag_data(dag: DagRows) -> dict[str, Any]:
    pair = dag.pair
    return {
        "pipeline": pair.pipeline,
        "old_file": pair.file.file,
        "new_file": pair.new.file,
        "dag_id": {"old": pair.old.dag_id, "now": pair.new.dag_id, "kept": dag.kept},
        "tasks": list(_row_data(dag.rows)),
    }


def _row_data(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    for row in rows:
        line = row.at.line if row.at is not None else None
        yield {"old": row.old, "now": row.now, "kept": row.kept, "line": line}
