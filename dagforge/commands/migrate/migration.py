"""Taking over from kedro-airflow: what will change, and which settings keep it as it was."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path

from dagforge.build import Build, Request, Source, attempt, read_source
from dagforge.commands.migrate.arguments import compare_arguments
from dagforge.commands.migrate.ids import old_ids, settings_for_tasks
from dagforge.commands.migrate.model import Migration, Note, OldSetup, Setting
from dagforge.commands.migrate.old_files import read_old_files
from dagforge.commands.migrate.pairs import (
    escaping_notes,
    id_notes,
    new_dags,
    pair_notes,
    pair_up,
    rows_of,
)
from dagforge.commands.migrate.proposal import owners, settings_for_dag_ids, settle
from dagforge.commands.migrate.settings_files import (
    local_env_notes,
    read_settings_files,
    settings_notes,
)
from dagforge.reading.project import read_project

_WHY = {
    "grouping": "the tasks of the old DAG",
    "group_names": "what they were called",
    "task_id_style": "task_ids as they were",
}


def migrate(request: Request, dags: Path | None) -> Migration:
    """Return what is to be said about moving a project from kedro-airflow.

    Args:
        request: the project, for what it is compiled, perhaps a kedro-airflow template.
        dags: the folder of kedro-airflow's DAG files; None for where they usually are.

    Raises:
        DagForgeError: the project cannot be read at all, or there is no such folder.
    """
    project = read_project(request.root)
    setup = read_old_files(request.root, project, dags=dags, env=request.env)
    request = _in_env(replace(request, every=True, pipelines=()), setup)
    source = read_source(request)
    found = attempt(request, render_files=request.jinja_file is not None, source=source)
    request, found = _one_run_at_a_time(request, found, source)
    documents, unread = read_settings_files(source.conf.folder, request.root)
    told = {str(problem): problem for problem in (*found.problems, *unread)}
    found = replace(found, problems=tuple(told.values()))

    new, reads = new_dags(found.stages, request, found)
    pairs, claims, notes = pair_up(setup, found, source.pipelines, new)
    notes += [*setup.notes, *escaping_notes(setup.files)]
    notes += local_env_notes(documents, source.conf.env)
    seen = None if request.jinja_file is None else reads
    notes += settings_notes(documents, source.target, seen)
    olds = [old_ids(pair.old, pair.stages.pipeline, pair.new) for pair in pairs]
    owner_of = owners(claims)
    keep = settings_for_dag_ids(owner_of, new)
    for pair, old in zip(pairs, olds, strict=True):
        differ, values = compare_arguments(pair)
        notes += [*pair_notes(pair, old), *differ]
        of_tasks = settings_for_tasks(pair, old)
        keep += [Setting(pair.pipeline, name, of_tasks[name], _WHY[name]) for name in of_tasks]
        keep += values
    proposal = settle(keep, pairs, new, found, source, request)
    notes += proposal.notes
    rows = tuple(rows_of(pair, old, proposal.kept) for pair, old in zip(pairs, olds, strict=True))
    for each in rows:
        notes += id_notes(each, owner_of)
    return Migration(
        found,
        setup,
        tuple(sorted(dict.fromkeys(notes), key=_in_order)),
        proposal,
        rows,
        tuple(dict.fromkeys(pair.file.file for pair in pairs)),
        _command(request),
    )


def _in_env(request: Request, setup: OldSetup) -> Request:
    """Return the request for the environment of the old files, if the project has a folder for it.

    kedro-airflow's files say `local` where nobody named one: then nobody does now.
    """
    conf = request.root / (request.conf or read_project(request.root).conf)
    if request.env is not None or setup.env in (None, "local"):
        return request
    return replace(request, env=setup.env) if (conf / str(setup.env)).is_dir() else request


def _one_run_at_a_time(request: Request, found: Build, source: Source) -> tuple[Request, Build]:
    """Return the request and its result with one run at a time where more are refused.

    kedro-airflow let runs overwrite each other's data, three at once when nobody said otherwise.
    That is told as the error that it is, and hides nothing else.
    """
    if not any(problem.code == "shared-path" for problem in found.problems):
        return request, found
    request = replace(request, params={"max_active_runs": 1, **request.params})
    again = attempt(request, render_files=request.jinja_file is not None, source=source)
    told = {str(problem): problem for problem in (*found.problems, *again.problems)}
    return request, replace(again, problems=tuple(told.values()))


def _command(request: Request) -> str:
    """Return what compiles the project then."""
    words = ["dagforge", "create", "--all"]
    words += ["--env", request.env] if request.env is not None else []
    if request.jinja_file is not None:
        words += ["-j", Path(os.path.relpath(request.jinja_file, request.root)).as_posix()]
    return shlex.join(words)


def _in_order(note: Note) -> tuple[str, int, int]:
    at = note.location
    return (at.file, at.line or 0, at.column or 0) if at else ("", 0, 0)
