"""Where settings that keep ids and behaviour are written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagforge.commands.migrate.insert import inserted, snippet
from dagforge.commands.migrate.model import Claim, NewDag, Setting
from dagforge.conf import BASE, Document, read_yaml, shown_path
from dagforge.errors import SourceLocation
from dagforge.planning.model import DEFAULT_PIPELINE
from dagforge.planning.names import slug
from dagforge.resolve import DEFAULT_SECTION

if TYPE_CHECKING:
    from dagforge.build import Source
    from dagforge.resolve import Settings

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
    keep: Sequence[Setting],
    settings_of: Mapping[str, Settings],
    pipelines: Sequence[str],
    paired: Collection[str] = (),
) -> list[Setting]:
    """Return settings under the section where they win: `default` where all pipelines share them.

    A line of the project's own settings files for that very pipeline wins over what could be
    added; then `at` is that line, to be changed by hand.

    Args:
        keep: each with its pipeline as section.
        settings_of: what holds now, of the pipelines that compile.
        pipelines: all of the project.
        paired: those with an old DAG.
    """
    placed: list[Setting] = []
    for setting in keep:
        alike = [each for each in keep if (each.name, each.value) == (setting.name, setting.value)]
        shared = {each.section for each in alike}
        # Ids in the style of kedro-airflow do no harm where there is no old DAG.
        enough = set(paired) if setting.name == "task_id_style" else set(pipelines)
        rivals = {each.section for each in keep if each.name == setting.name} - shared
        free = all(_owner(each, settings_of) is None for each in alike)
        everywhere = free and not rivals and shared >= enough and setting.name != "dag_id"
        owner = _owner(setting, settings_of)
        at = owner[1] if owner is not None and owner[0] == setting.section else None
        section = DEFAULT_SECTION if everywhere else setting.section
        found = Setting(section, setting.name, setting.value, setting.why, at)
        if found not in placed:
            placed.append(found)
    first = {DEFAULT_SECTION: -1, **{name: number for number, name in enumerate(pipelines)}}
    return sorted(placed, key=lambda setting: first[setting.section])


def _owner(
    setting: Setting, settings_of: Mapping[str, Settings]
) -> tuple[str, SourceLocation | None] | None:
    """Return the section that sets something already, and where; None where nobody does."""
    settings = settings_of.get(setting.section)
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


def by_hand(settings: Iterable[Setting]) -> list[Setting]:
    """Return the settings that have to be changed where they stand."""
    return [setting for setting in settings if setting.at is not None]


def as_mapping(settings: Iterable[Setting]) -> Mapping[str, Mapping[str, Any]]:
    """Return settings by section and name."""
    sections: dict[str, dict[str, Any]] = {}
    for setting in settings:
        sections.setdefault(setting.section, {})[setting.name] = setting.value
    return sections
