"""The command `import`: projects of other tools become projects of DagForge."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dagforge.cli.options import PathType, completing, message_options
from dagforge.cli.talk import say, tell
from dagforge.commands.folders import short_path, working_folder
from dagforge.errors import DagForgeError, LoadError, Problem, SourceLocation

if TYPE_CHECKING:
    from dagforge.importing.project import ImportedProject, SourceFile
    from dagforge.target import Target

FACTS = """\
# Facts about this project; `dagforge init` in an empty folder writes a file with all of them.

project = "{name}"
target = "airflow"
airflow-version = "{version}"
"""


@click.group(name="import")
def import_() -> None:
    """Take over the definitions of another tool."""


@import_.command(name="dag-factory")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=PathType(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE...",
)
@click.option(
    "-o",
    "--output-dir",
    "folder",
    type=PathType(path_type=Path, file_okay=False),
    default=Path(),
    metavar="DIR",
    help="Folder of the project that is written.  [default: here]",
)
@click.option(
    "--dags-folder",
    type=PathType(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Airflow's DAGs folder: where modules are imported from, and defaults.yml is looked for.",
)
@click.option(
    "--airflow-version",
    metavar="VERSION",
    shell_complete=completing("airflow_versions"),
    help="What the DAGs are for: 2.10, 2.11, 3.0 ... 3.3.  [default: 3.3]",
)
@click.option(
    "--skip-refused", is_flag=True, help="Write the other DAGs where some cannot be taken over."
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@message_options
def dag_factory(files: Sequence[Path], folder: Path, **options: Any) -> None:
    """Turn the YAML files of dag-factory into pipelines and settings.

    Writes conf/base/pipelines.yml, conf/base/airflow.yml and dagforge.toml, and says of which lines
    something could not be taken over. Nothing is written while a whole DAG cannot be, such as one
    with mapped tasks, unless --skip-refused leaves it out.

    \b
    dagforge import dag-factory dags/*.yml -o project
    dagforge import dag-factory dags/etl.yml --dags-folder dags --airflow-version 2.10
    """  # noqa: D301  # click reads the character
    from dagforge.importing.project import import_project
    from dagforge.resources import templates_dir
    from dagforge.target import read_target

    here = working_folder()
    target = read_target("airflow", templates_dir(), version=options["airflow_version"])
    dags_folder = options["dags_folder"]
    sources = list(_read(files, here, dags_folder))
    found = import_project(
        sources, target, None if dags_folder is None else dags_folder.as_posix().rstrip("/")
    )
    problems = [*found.problems, *_tried(found, target)]
    problems = _settled(problems, found, options)
    if any(problem.severity == "error" for problem in problems):
        raise DagForgeError(problems)
    written = _write(found, folder, target, force=options["force"])
    tell(problems, options, files=[short_path(path) for _, path in written])
    for status, path in written:
        say(f"{status:<10} {short_path(path)}", options)
    say(f"{found.dags} DAG{'s' if found.dags != 1 else ''} imported", options)
    if not options["quiet"]:
        where = "" if folder == Path() else f"cd {shlex.quote(short_path(folder))} && "
        click.echo(f"\nnext: {where}dagforge create", err=True)


def _read(files: Sequence[Path], here: Path, dags_folder: Path | None) -> Iterator[SourceFile]:
    """Yield the files with the defaults that dag-factory finds for them.

    Raises:
        LoadError: files cannot be read; holds the problems of all of them.
    """
    from dagforge.conf import read_regular
    from dagforge.errors import Problems
    from dagforge.importing.project import DEFAULTS, SourceFile, defaults_for
    from dagforge.reading.parts import Part, read_parts

    problems = Problems()

    def read(path: Path) -> Part:
        shown = short_path(path)
        at = SourceLocation(shown)
        try:
            part = read_parts(read_regular(path), shown)
        except OSError as error:
            problems.error("unreadable", f"cannot be read: {error.strerror}", at)
        except LoadError as error:
            problems.extend(error.problems)
        else:
            if part.value is None or isinstance(part.value, dict):
                return part
            problems.error("import-refused", "the file is no mapping of DAGs", part.at)
        return Part({})

    parts: dict[Path, Part] = {}
    within = None if dags_folder is None else (here / dags_folder).resolve()
    sources = []
    for path in dict.fromkeys((here / file).resolve() for file in files):
        if path.name in DEFAULTS and len(files) > 1:
            # `dags/*.yml` names it too; it holds no DAG.
            continue
        defaults = defaults_for(path, within)
        for each in (path, *defaults):
            if each not in parts:
                parts[each] = read(each)
        sources.append(SourceFile(parts[path], tuple(parts[each] for each in defaults)))
    problems.raise_errors(LoadError)
    yield from sources


def _tried(found: ImportedProject, target: Target) -> list[Problem]:
    """Return what is wrong with the project that would be written, at the lines it comes from."""
    from dagforge.build import Request, attempt

    if not found.dags:
        return []
    with tempfile.TemporaryDirectory(prefix="dagforge-") as folder:
        root = Path(folder).resolve()
        for path, text in _contents(found, root, target).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
        try:
            tried = attempt(Request(root, every=True)).problems
        except DagForgeError as error:
            tried = error.problems
        # Their places are looked up in the files, which are gone afterwards.
        return [_at_its_source(problem, found) for problem in tried]


def _at_its_source(problem: Problem, found: ImportedProject) -> Problem:
    return replace(problem, at=found.origin_of(problem.at) or problem.location)


def _settled(
    problems: Sequence[Problem], found: ImportedProject, options: dict[str, Any]
) -> list[Problem]:
    """Return the problems in their order, as severe as was asked for."""
    settled = []
    for problem in problems:
        skipped = options["skip_refused"] and found.dags and problem.code == "import-refused"
        if options["strict"]:
            problem = replace(problem, severity="error")
        elif skipped:
            problem = replace(problem, severity="warning")
        settled.append(problem)
    unique = {str(problem): problem for problem in settled}
    return sorted(unique.values(), key=_place)


def _place(problem: Problem) -> tuple[bool, str, int, int]:
    at = problem.location
    if at is None:
        return problem.severity != "error", "", 0, 0
    return problem.severity != "error", at.file, at.line or 0, at.column or 0


def _contents(found: ImportedProject, folder: Path, target: Target) -> dict[Path, str]:
    from dagforge.planning.names import slug

    name = slug(folder.absolute().resolve().name) or "project"
    contents = {folder / "conf" / "base" / file: text for file, text in found.texts().items()}
    if not (folder / "dagforge.toml").exists():
        facts = FACTS.format(name=name, version=target.version)
        contents[folder / "dagforge.toml"] = facts
    return contents


def _write(
    found: ImportedProject, folder: Path, target: Target, *, force: bool
) -> list[tuple[str, Path]]:
    from dagforge.output.new_files import create_files

    contents = {path: text.encode() for path, text in _contents(found, folder, target).items()}
    return create_files(contents, may_replace=contents if force else ())
