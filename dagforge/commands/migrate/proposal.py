"""The settings that keep ids and behaviour, where they are written, and whether they do it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagforge.build import attempt
from dagforge.commands.migrate.insert import inserted, snippet
from dagforge.commands.migrate.model import Claim, NewDag, Note, Pair, Proposal, Setting
from dagforge.commands.migrate.pairs import new_dags
from dagforge.conf import BASE, Document, read_yaml, shown_path
from dagforge.errors import DagForgeError, Origin, SourceLocation
from dagforge.planning.model import DEFAULT_PIPELINE
from dagforge.planning.names import slug
from dagforge.resolve import DEFAULT_SECTION

if TYPE_CHECKING:
    from dagforge.build import Build, Request, Source

FAMILY = "dagforge"
_NAMES = ("dagforge.yml", "dagforge.yaml")


def owners(claims: Sequence[Claim]) -> dict[str, Claim]:
    """Return which pipeline keeps each dag_id: of several `__default__`, else the first."""
    owner_of: dict[str, Claim] = {}
    for claim in sorted(claims, key=lambda claim: claim.pipeline != DEFAULT_PIPELINE):
        if claim.dag_id:
            owner_of.setdefault(claim.dag_id, claim)
    return owner_of


def settings_for_dag_ids(owner_of: Mapping[str, Claim], new: Mapping[str, NewDag]) -> list[Setting]:
    """Return the dag_ids that keep the history of the old DAGs, one pipeline an id.

    A pipeline without a history under its id gives way to one that has it.
    """
    keepers = {claim.pipeline for claim in owner_of.values()}
    keep = []
    for name, dag in new.items():
        for dag_id, owner in owner_of.items():
            if name == owner.pipeline and dag.dag_id != dag_id:
                why = "Airflow has its history under this id"
                keep.append(Setting(name, "dag_id", dag_id, why))
            elif dag.dag_id == dag_id and name not in keepers:
                why = f"'{dag_id}' has the history of {owner.pipeline}"
                keep.append(Setting(name, "dag_id", f"{dag_id}-{slug(name)}", why))
    return keep


def place(
    keep: Sequence[Setting], pairs: Sequence[Pair], pipelines: Sequence[str]
) -> list[Setting]:
    """Return settings under the section where they win: `default` where all DAGs share them.

    A line of the project's own settings files for that very pipeline wins over what could be
    added; then `at` is that line, to be changed by hand.
    """
    placed: list[Setting] = []
    alone = {pair.pipeline for pair in pairs} == set(pipelines)
    for setting in keep:
        others = [each for each in keep if (each.name, each.value) == (setting.name, setting.value)]
        owners = [_owner(each, pairs) for each in others]
        free = all(owner is None for owner in owners) and setting.name != "dag_id"
        everywhere = len(others) == len(pairs) and (alone or setting.name == "task_id_style")
        section = DEFAULT_SECTION if free and everywhere else setting.section
        owner = _owner(setting, pairs)
        at = owner[1] if owner is not None and owner[0] == setting.section else None
        found = Setting(section, setting.name, setting.value, setting.why, at)
        if found not in placed:
            placed.append(found)
    first = {DEFAULT_SECTION: -1, **{name: number for number, name in enumerate(pipelines)}}
    return sorted(placed, key=lambda setting: first[setting.section])


def _owner(setting: Setting, pairs: Sequence[Pair]) -> tuple[str, SourceLocation | None] | None:
    """Return the section that sets something already, and where; None where nobody does."""
    settings = next(
        (pair.stages.settings for pair in pairs if pair.pipeline == setting.section), None
    )
    if settings is None:
        return None
    for found in settings.explain((setting.name,), settings.dag_layers):
        if found.layer.origin is not None:
            path = found.layer.origin.path
            section = str(path[0]) if path else DEFAULT_SECTION
            return section, found.at.location(key=True) if found.at else None
    return None


def write_up(placed: Sequence[Setting], source: Source) -> tuple[str, bytes | None, str]:
    """Return the settings file, its bytes with the settings in them, and what is to be pasted.

    The bytes are None where there is nothing to add, or where the file's form does not allow it
    without changing more.
    """
    sections: dict[str, dict[str, Any]] = {}
    reasons: dict[tuple[str, str], str] = {}
    for setting in placed:
        if setting.at is None:
            sections.setdefault(setting.section, {})[setting.name] = setting.value
            reasons[setting.section, setting.name] = setting.why
    path = settings_file(source)
    shown = shown_path(path, source.conf.root)
    if not sections:
        return shown, None, ""
    pasted = snippet(sections, reasons)
    document: Document | None = None
    start, newline = b"", "\n"
    if path.exists():
        document = read_yaml(path, source.conf.root)
        raw = path.read_bytes()
        start = raw[:3] if raw.startswith(b"\xef\xbb\xbf") else b""
        newline = "\r\n" if b"\r\n" in raw else "\n"
    text = inserted(document, sections, reasons, newline=newline)
    return shown, None if text is None else start + text.encode(), pasted


def settings_file(source: Source) -> Path:
    """Return the file of the project's settings that is written to."""
    base = source.conf.folder / BASE
    found = [base / name for name in _NAMES if (base / name).exists()]
    return found[0] if found else base / _NAMES[0]


def settle(
    keep: Sequence[Setting],
    pairs: Sequence[Pair],
    new: Mapping[str, NewDag],
    found: Build,
    source: Source,
    request: Request,
) -> Proposal:
    """Return the settings that keep things as they were, tried together.

    One that DagForge refuses, such as a schedule that Airflow refused too, is left out with a
    note.
    """
    placed = place(keep, pairs, source.pipelines)
    notes: list[Note] = []
    while True:
        file, text, pasted = write_up(placed, source)
        if not pasted:
            return Proposal(tuple(placed), file, None, "", new, tuple(notes))
        trial = pasted.encode() if text is None else text
        try:
            kept = _kept_dags(trial, found, source, request)
            return Proposal(tuple(placed), file, text, pasted, kept, tuple(notes))
        except DagForgeError as error:
            refused = {
                (problem.at.path[0], problem.at.path[1]): problem
                for problem in error.problems
                if isinstance(problem.at, Origin) and len(problem.at.path) > 1
            }
            left = [each for each in placed if (each.section, each.name) not in refused]
            if len(left) == len(placed):
                # Together they are refused: the ids are more than the rest.
                least = min(map(_rank, placed))
                left = [each for each in placed if _rank(each) > least]
                dropped = (each for each in placed if _rank(each) == least)
                refused = {(each.section, each.name): error.problems[0] for each in dropped}
            for each in placed:
                problem = refused.get((each.section, each.name))
                if problem is not None:
                    message = f"{each.name} cannot be kept as it was: {problem.message}"
                    notes.append(Note("changes", each.name, message))
            placed = left


def _rank(setting: Setting) -> int:
    """Return how much a setting matters: what Airflow knows a DAG by is the most."""
    return {"dag_id": 2, "grouping": 1, "group_names": 1, "task_id_style": 1}.get(setting.name, 0)


def _kept_dags(text: bytes, found: Build, source: Source, request: Request) -> dict[str, NewDag]:
    """Return the DAGs as they are with a changed settings file.

    Raises:
        DagForgeError: the changed settings are refused; what was wrong before does not count.
    """
    conf = source.conf.with_settings(FAMILY, settings_file(source), text)
    built = attempt(request, render_files=False, source=replace(source, conf=conf))
    before = {str(problem) for problem in found.problems}
    wrong = [
        each for each in built.problems if each.severity == "error" and str(each) not in before
    ]
    if wrong:
        raise DagForgeError(wrong)
    return new_dags(built.stages, request, built)[0]


def by_hand(settings: Iterable[Setting]) -> list[Setting]:
    """Return the settings that have to be changed where they stand."""
    return [setting for setting in settings if setting.at is not None]


def as_mapping(settings: Iterable[Setting]) -> Mapping[str, Mapping[str, Any]]:
    """Return settings by section and name."""
    sections: dict[str, dict[str, Any]] = {}
    for setting in settings:
        sections.setdefault(setting.section, {})[setting.name] = setting.value
    return sections
