"""Taking over from kedro-airflow: what will change, and which settings keep it as it was."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from dagforge.build import DEFAULT_PIPELINE, DEFAULT_TARGET, Build, Request, attempt, read_source
from dagforge.commands.migrate.arguments import compare_arguments
from dagforge.commands.migrate.ids import old_ids, settings_for_tasks
from dagforge.commands.migrate.model import Claim, Migration, Note, OldSetup, Setting
from dagforge.commands.migrate.old_files import read_old_files
from dagforge.commands.migrate.pairs import (
    escaping_notes,
    id_notes,
    new_dags,
    pair_notes,
    pair_up,
    rows_of,
)
from dagforge.commands.migrate.placing import owners, settings_for_dag_ids
from dagforge.commands.migrate.proposal import ease, settle
from dagforge.commands.migrate.settings_files import (
    local_env_notes,
    of_environments,
    read_settings_files,
    settings_notes,
)
from dagforge.conf import BASE
from dagforge.errors import Problem
from dagforge.kedro_airflow.template import DEFAULT_ENV
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
    if source.target.orchestrator != "airflow":
        # What the project compiles for otherwise; its old files are Airflow's.
        request = replace(request, target=DEFAULT_TARGET)
        source = read_source(request)
    found = attempt(request, render_files=request.jinja_file is not None, source=source)
    documents, unread = read_settings_files(source.conf.folder, request.root)
    eased_request, eased, keep = ease(request, found, source)

    new, reads = new_dags(eased.stages, eased_request, eased)
    pairs, claims, notes = pair_up(setup, eased, source.pipelines, new)
    notes += [*setup.notes, *escaping_notes(setup.files)]
    if source.conf.kedro is None:
        notes += local_env_notes(documents, source.conf.env)
    if request.jinja_file is not None or all(file.release for file in setup.files):
        in_use = of_environments(documents, BASE, source.conf.env or DEFAULT_ENV)
        seen = None if request.jinja_file is None else reads
        notes += settings_notes(in_use, source.target, seen)
    olds = [old_ids(pair.old, pair.stages.pipeline, pair.new) for pair in pairs]
    owner_of = owners(claims)
    keep += settings_for_dag_ids(owner_of, new)
    for pair, old in zip(pairs, olds, strict=True):
        differ, values = compare_arguments(pair)
        notes += [*pair_notes(pair, old), *differ]
        of_tasks = settings_for_tasks(pair, old)
        keep += [Setting(pair.pipeline, name, of_tasks[name], _WHY[name]) for name in of_tasks]
        keep += values
    paired = [pair.pipeline for pair in pairs]
    proposal, kept = settle(keep, found, eased, source, request, paired)
    notes += [*proposal.notes, *_mended(kept, found)]
    rows = tuple(rows_of(pair, old, proposal.kept) for pair, old in zip(pairs, olds, strict=True))
    for each in rows:
        notes += id_notes(each, owner_of)
    return Migration(
        replace(found, problems=_told(kept, found, unread)),
        setup,
        tuple(sorted(dict.fromkeys(notes), key=_in_order)),
        proposal,
        rows,
        tuple(dict.fromkeys(pair.file.file for pair in pairs)),
        _command(request, claims, source.pipelines),
    )


def _in_env(request: Request, setup: OldSetup) -> Request:
    """Return the request for the environment of the old files, if the project has a folder for it.

    kedro-airflow's files say `local` where nobody named one: then nobody does now.
    """
    conf = request.root / (request.conf or read_project(request.root).conf)
    if request.env is not None or setup.env in (None, "local"):
        return request
    return replace(request, env=setup.env) if (conf / str(setup.env)).is_dir() else request


def _told(found: Build, before: Build, unread: Sequence[Problem]) -> tuple[Problem, ...]:
    """Return what is wrong with the project, what the proposed settings mend left out.

    Args:
        found: with the proposed settings.
        before: as the project is.
        unread: files that nobody asked for.
    """
    left = {str(problem) for problem in found.problems}
    problems = [
        problem
        for problem in (*before.problems, *unread)
        if problem.severity == "warning" or str(problem) in left or problem in unread
    ]
    return tuple({str(problem): problem for problem in problems}.values())


def _mended(found: Build, before: Build) -> Iterator[Note]:
    """Give a note for each error that the proposed settings mend."""
    left = {str(problem) for problem in found.problems}
    for problem in before.problems:
        if problem.severity == "error" and str(problem) not in left:
            yield Note("was wrong", "data", problem.message, problem.at, "the settings below")


def _command(request: Request, claims: Sequence[Claim], pipelines: Sequence[str]) -> str:
    """Return what compiles the pipelines that had a DAG, and no others."""
    names = [claim.pipeline for claim in claims]
    words = ["dagforge", "create"]
    if len(names) == len(pipelines):
        words.append("--all")
    elif names != [DEFAULT_PIPELINE]:
        words += ["-p", ",".join(names)]
    words += ["--env", request.env] if request.env is not None else []
    if request.jinja_file is not None:
        words += ["-j", Path(os.path.relpath(request.jinja_file, request.root)).as_posix()]
    return shlex.join(words)


def _in_order(note: Note) -> tuple[str, int, int]:
    at = note.location
    return (at.file, at.line or 0, at.column or 0) if at else ("", 0, 0)
