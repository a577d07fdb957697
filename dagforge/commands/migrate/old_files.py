"""Which DAG files kedro-airflow wrote, and for which environment."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path

from dagforge.commands.migrate.model import Note, OldSetup
from dagforge.conf import Project, read_regular, shown_path
from dagforge.errors import SourceLocation, UsageError
from dagforge.kedro_airflow.dag_files import ENTITY, DagFile, NotRead, read_dag_file
from dagforge.kedro_airflow.template import DEFAULT_ENV
from dagforge.output.manifest import read_manifest
from dagforge.planning.names import slug

FOLDERS = ("airflow_dags", "dags")
"""kedro-airflow's own folder, and what most projects call theirs."""
_ENDING = "_dag"
"""How kedro-airflow's files end, before the suffix."""
# A header stands at the top of a file.
_TOP = 4000


def read_old_files(root: Path, project: Project, *, dags: Path | None, env: str | None) -> OldSetup:
    """Return the DAG files of kedro-airflow that one environment is about.

    Args:
        root: the project's folder.
        project: its facts.
        dags: their folder; None for the first of `FOLDERS` that has some.
        env: the environment that is asked for; None for the project's, else for kedro-airflow's
            default, else for the only one that the files were made for.

    Raises:
        UsageError: `dags` is no folder.
    """
    if dags is not None and not dags.is_dir():
        what = "is not a folder" if dags.exists() else "does not exist"
        raise UsageError.of("no-dags-folder", f"--dags: {shown_path(dags, root)} {what}")
    folders = [dags] if dags is not None else [root / name for name in FOLDERS]
    for folder in folders:
        notes: list[Note] = []
        files: list[DagFile] = []
        others = 0
        for path in _python_files(folder):
            read = _read(path, root, notes)
            if read is not None and read.of_kedro:
                files.append(read)
            elif read is not None:
                others += 1
        if files or notes or dags is not None:
            own = _of_project(files, {slug(project.name), slug(project.package)}, notes)
            conf = root / project.conf
            chosen, made_for = _of_env(own, env or project.env, conf, notes)
            shown = shown_path(folder, root)
            return OldSetup(shown, chosen, made_for, tuple(notes), others)
    return OldSetup(None, (), None)


def pipeline_of(file: DagFile, names: tuple[str, ...], package: str | None) -> str | None:
    """Return the pipeline that a file is made of, as it says or as it is called; else None."""
    said = file.facts.get("pipeline_name")
    if said is not None:
        return html.unescape(said)
    stem = Path(file.file).stem.removesuffix(_ENDING)
    package = file.facts.get("package_name", package)
    env = file.facts.get("env")
    for start in (f"{package}_{env}", f"{package}"):
        for name in names:
            if stem == (start if name == "__default__" else f"{start}_{name}"):
                return name
    return None


def _python_files(folder: Path) -> list[Path]:
    """Return the files that Airflow would load, sorted."""
    if not folder.is_dir():
        return []
    found = []
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder).parts
        if not any(part.startswith(".") or part == "__pycache__" for part in parts):
            found.append(path)
    return sorted(found, key=lambda path: path.parts)


def _read(path: Path, root: Path, notes: list[Note]) -> DagFile | None:
    """Return what a file says; None where it says nothing of kedro-airflow, with a note if need be.

    What DagForge wrote is taken over already.
    """
    shown = shown_path(path, root)
    try:
        source = read_regular(path)
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        notes.append(Note("was wrong", "file", message, SourceLocation(shown)))
        return None
    if read_manifest(source[:_TOP].decode("utf-8", "replace")) is not None:
        return None
    if not source.strip() and path.stem.endswith(_ENDING):
        message = "this file is empty: Airflow finds no DAG in it"
        notes.append(Note("was wrong", "file", message, SourceLocation(shown)))
        return None
    try:
        return read_dag_file(source, shown)
    except NotRead as error:
        if b"kedro" in source.lower() or path.stem.endswith(_ENDING):
            notes.append(_broken(error))
        return None


def _broken(error: NotRead) -> Note:
    """Return what is said of a file that Airflow cannot import."""
    message = f"Airflow cannot import this file: {error.message}"
    if error.line:
        message += f": {error.line[:120]}"
    if ENTITY.search(error.line):
        message += "; kedro-airflow escaped what stands there as if it were HTML"
    return Note("was wrong", "syntax", message, error.at)


def _of_project(files: list[DagFile], names: set[str], notes: list[Note]) -> list[DagFile]:
    """Return the files of one project, with a note on those of others in the same folder.

    A project may have another name than its package, as long as there is only one package.
    """
    packages = {file.facts["package_name"] for file in files if "package_name" in file.facts}
    own = {package for package in packages if slug(package) in names}
    if not own and len(packages) == 1:
        own = packages
    for file in files:
        package = file.facts.get("package_name")
        if package is not None and package not in own:
            message = f"this file is of the package '{package}', and is left alone"
            notes.append(Note("not known", "file", message, SourceLocation(file.file)))
    return [file for file in files if file.facts.get("package_name") in (None, *own)]


def _of_env(
    files: list[DagFile], asked: str | None, conf: Path, notes: list[Note]
) -> tuple[tuple[DagFile, ...], str | None]:
    """Return the files of one environment, with a note on the others, and which it is."""
    made_for = sorted({file.facts["env"] for file in files if "env" in file.facts})
    if asked is None:
        wanted = DEFAULT_ENV if DEFAULT_ENV in made_for else next(iter(made_for), None)
    else:
        wanted = asked
    chosen = [file for file in files if file.facts.get("env", wanted) == wanted]
    notes += _of_other_envs((file for file in files if file not in chosen), conf)
    return tuple(chosen), wanted if wanted in made_for else None


def _of_other_envs(files: Iterator[DagFile], conf: Path) -> Iterator[Note]:
    for file in files:
        env = file.facts["env"]
        # kedro-airflow says `local` where nobody named one, and git holds no such folder.
        unnamed = env == DEFAULT_ENV and not (conf / env).is_dir()
        command = "dagforge migrate" + ("" if unnamed else f" -e {env}")
        yield Note(
            "not known",
            "env",
            f"this file was made for the environment '{env}' and is not looked at now; "
            f"`{command}` does that",
            SourceLocation(file.file),
        )
