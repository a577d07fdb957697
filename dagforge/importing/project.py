"""The project that a number of dag-factory's files become."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dagforge.errors import Origin, Place, Problem, Problems, SourceLocation
from dagforge.frozen import frozen
from dagforge.importing.dag_factory import ImportedDag, merged, read_dag, settings_of
from dagforge.importing.notes import Notes
from dagforge.importing.objects import World
from dagforge.importing.yaml_text import to_yaml
from dagforge.reading.parts import Part
from dagforge.target import Target

PIPELINES, SETTINGS = "pipelines.yml", "airflow.yml"
DEFAULTS = ("defaults.yml", "defaults.yaml")
_EXTENDS = "__extends__"
# What stands beside the DAGs and is none.
_NO_DAGS = ("default", "task_groups", "operator_aliases")


@frozen
class SourceFile:
    """A file of dag-factory.

    Attributes:
        defaults: the `defaults.yml` files that dag-factory finds for it, the nearest last.
    """

    content: Part
    defaults: tuple[Part, ...] = ()


@frozen
class ImportedProject:
    """What becomes of the files.

    Attributes:
        files: parts by name in conf/base.
        problems: what could not be carried over.
        dags: number of those that could.
        refused: number of those that could not.
    """

    files: Mapping[str, Part]
    problems: Sequence[Problem]
    dags: int
    refused: int

    def texts(self) -> dict[str, str]:
        """Return the text of each file."""
        return {name: to_yaml(part) for name, part in self.files.items() if part.value}

    def origin_of(self, place: Place) -> SourceLocation | None:
        """Return where something in the new files came from."""
        if not isinstance(place, Origin):
            return None
        part: Any = self.files.get(Path(place.file).name)
        found: SourceLocation | None = None
        for step in place.path:
            inner = part.value if isinstance(part, Part) else None
            if isinstance(inner, Mapping) and step in inner:
                part = inner[str(step)]
            elif isinstance(inner, tuple) and isinstance(step, int) and step < len(inner):
                part = inner[step]
            else:
                break
            found = part.at or part.key_at or found
        return found


def defaults_for(file: Path, dags_folder: Path | None) -> list[Path]:
    """Return the `defaults.yml` files that dag-factory reads for a file, the nearest last."""
    parents = list(file.parents)
    folders = parents[:1]
    if dags_folder is not None:
        inside = dags_folder in parents
        folders = parents[: parents.index(dags_folder) + 1] if inside else [*folders, dags_folder]
    found = []
    for folder in reversed(folders):
        there = [folder / name for name in DEFAULTS if (folder / name).is_file()]
        found += there[:1]
    return [path for path in found if path != file]


def import_project(
    sources: Iterable[SourceFile], target: Target, dags_folder: str | None
) -> ImportedProject:
    """Return the pipelines and settings of all files together.

    Args:
        sources: the files.
        target: what the DAGs are for.
        dags_folder: the folder from which Airflow imports modules; None where it is not known.
    """
    problems = Problems()
    read: list[_ReadFile] = []
    first_of: dict[str, Place] = {}
    at_the_end: list[str] = []
    refused = 0
    for source in sources:
        at_the_end += source.content.before
        world = World(target, dags_folder, _aliases(source))
        default = _default_of(source, problems)
        dags = []
        for name, config in source.content.items():
            if name in _NO_DAGS:
                continue
            notes = Notes()
            dag = None
            if name == _EXTENDS:
                notes.refuse("files that extend others are not read", config.place)
            else:
                first = first_of.setdefault(name, config.place)
                if first is not config.place:
                    notes.refuse(f"there is a DAG '{name}' already, at {first}", config.place)
                dag = read_dag(name, config, default, notes, world)
            problems.extend(_once(notes.found, problems))
            if dag is None or notes.errors:
                refused += 1
            else:
                dags.append(dag)
        if dags:
            notes = Notes()
            settings = settings_of(default, notes, world)
            problems.extend(_once(notes.found, problems))
            read.append(_ReadFile(tuple(dags), default.of(settings)))
    dags = [dag for each in read for dag in each.dags]
    if not dags and not problems.errors:
        message = "there is no DAG in what was given"
        problems.error("import-refused", message, fix="name the files with DAGs")
    return ImportedProject(
        {
            PIPELINES: Part({dag.name: dag.pipeline for dag in dags}, before=tuple(at_the_end)),
            SETTINGS: Part(_sections(read)),
        },
        tuple(problems.found),
        len(dags),
        refused,
    )


@frozen
class _ReadFile:
    """The DAGs of a file, and the settings that it has for all of them."""

    dags: tuple[ImportedDag, ...]
    settings: Part


def _once(found: Iterable[Problem], told: Problems) -> list[Problem]:
    """Return what was not said yet: what all DAGs of a file have in common is told once."""
    known = set(map(str, told.found))
    return [problem for problem in found if str(problem) not in known]


def _default_of(source: SourceFile, problems: Problems) -> Part:
    """Return what holds for all DAGs of a file, as dag-factory puts it together."""
    default = source.content.get("default") or Part({})
    if not isinstance(default.value, Mapping):
        problems.error("import-refused", "'default' must be a mapping", default.place)
        default = Part({})
    shared = Part({})
    for part in source.defaults:
        args = part.get("default_args")
        if args is not None and not isinstance(args.value, Mapping):
            problems.error("import-refused", "'default_args' must be a mapping", args.place)
        shared = merged(part, shared)
    common = shared.get("default_args") or Part({})
    own = default.get("default_args") or Part({})
    # dag-factory lets defaults.yml win over a file's default, but not its default_args.
    beside = {key: part for key, part in shared.items() if key not in ("default_args", *_NO_DAGS)}
    both = {**default.value, **beside}
    if common.value or own.value:
        both["default_args"] = merged(own, common)
    return default.of(both)


def _aliases(source: SourceFile) -> dict[str, str]:
    """Return the paths of operators by the names that the files give them."""
    aliases = {}
    for part in (*source.defaults, source.content):
        for entry in part.get("operator_aliases") or Part(()):
            name, path = entry.get("operator_alias"), entry.get("operator_path")
            if name is not None and path is not None:
                aliases[str(name.plain)] = str(path.plain)
    return aliases


def _sections(read: Sequence[_ReadFile]) -> dict[str, Part]:
    """Return the sections of the settings.

    What the files say for all their DAGs becomes the section for all pipelines, where they say the
    same; else each pipeline has it for itself.
    """
    alike = len({repr(each.settings.plain) for each in read}) == 1
    sections: dict[str, Part] = {}
    if read and alike and read[0].settings.value:
        sections["default"] = read[0].settings
    for each in read:
        for dag in each.dags:
            own = Part(dag.settings)
            section = own if alike else merged(own, each.settings)
            dag_id = Part(dag.name, dag.pipeline.key_at)
            sections[dag.name] = replace(
                dag.pipeline, value={"dag_id": dag_id, **section.value}, before=(), after=""
            )
    return sections
