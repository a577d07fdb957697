"""Where a project is deployed to: `[tool.dagforge.deploy]`, and a table in it per environment."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from dagforge.conf import Project
from dagforge.errors import LoadError, Origin, Problems, did_you_mean
from dagforge.frozen import frozen
from dagforge.reading.scalars import kind_of

_TEXTS: Final = ("url", "folder", "composer", "location", "composer-project")
_KEYS: Final = (*_TEXTS, "files")
INVENTORIES: Final = ".dagforge"
"""The folder under the DAGs' root that is DagForge's own."""


@frozen
class Supporting:
    """A file, or a folder with all in it, that goes along with the DAG files.

    Attributes:
        destination: relative to the DAGs' root, with forward slashes; may begin with `../`.
        source: relative to the project's folder.
        origin: where the settings name it.
    """

    destination: str
    source: Path
    origin: Origin | None


@frozen
class DeploySettings:
    """What the project says of its deployment; None where it does not say.

    Attributes:
        url: the DAGs' root.
        folder: where the DAG files go below it; empty for the root itself.
        composer: name of a Composer environment, whose bucket is looked up.
        location: the region of that environment.
        composer_project: the Google Cloud project that it belongs to.
        url_origin: where the settings name the URL.
    """

    url: str | None = None
    folder: str = ""
    composer: str | None = None
    location: str | None = None
    composer_project: str | None = None
    files: tuple[Supporting, ...] = ()
    url_origin: Origin | None = None


def deploy_settings(
    project: Project, env: str | None, environments: Collection[str]
) -> DeploySettings:
    """Return what holds for an environment: its own table over what stands beside it.

    Args:
        project: with its table `deploy`.
        env: None for base alone.
        environments: all that there are; a table for another one is a mistake.

    Raises:
        LoadError: with everything that is wrong in any of the tables.
    """
    table = project.origin("deploy")
    if table is None or not project.deploy:
        return DeploySettings()
    problems = Problems()
    common = {key: value for key, value in project.deploy.items() if not _is_table(key, value)}
    good = _checked(common, table, problems)
    for name, value in project.deploy.items():
        if _is_table(name, value):
            if name != "base" and name not in environments:
                problems.error(
                    "project-key",
                    f"there is neither a key nor an environment '{name}' for deploying",
                    table / name,
                    fix=did_you_mean(name, [*_KEYS, *environments]),
                    at_key=True,
                )
            own = _checked(value, table / name, problems)
            if name == (env or "base"):
                # A URL and a Composer environment are two ways to say one thing.
                if own.keys() & {"url", "composer"}:
                    good = {key: good[key] for key in good if key not in ("url", "composer")}
                good |= own
    problems.raise_errors(LoadError)
    text = {key.replace("-", "_"): value for key, (value, _) in good.items() if key != "files"}
    return DeploySettings(
        **text,
        files=good["files"][0] if "files" in good else (),
        url_origin=good["url"][1] if "url" in good else None,
    )


def _is_table(key: str, value: Any) -> bool:
    return isinstance(value, Mapping) and key != "files"


def _checked(
    table: Mapping[str, Any], origin: Origin, problems: Problems
) -> dict[str, tuple[Any, Origin]]:
    """Return the values of a table that are right, with their places."""
    good: dict[str, tuple[Any, Origin]] = {}
    for key, value in table.items():
        at = origin / key
        if key not in _KEYS:
            fix = did_you_mean(key, _KEYS)
            message = f"there is no key '{key}' for deploying"
            problems.error("project-key", message, at, fix=fix, at_key=True)
        elif key == "files":
            good[key] = tuple(_supporting(value, at, problems)), at
        elif not isinstance(value, str) or not value.strip() or not value.isprintable():
            kind = kind_of(value) if not isinstance(value, str) else "empty or unprintable"
            problems.error("project-key", f"'{key}' is {kind}; it must be text", at)
        elif key == "folder" and folder_of(value) is None:
            message = f"'{value}' is no folder below the DAGs' root"
            problems.error("project-key", message, at, fix='write it as in "team_a"')
        else:
            good[key] = folder_of(value) if key == "folder" else value, at
    if "url" in good and "composer" in good:
        message = "'url' and 'composer' both say where to deploy to"
        problems.error("project-key", message, origin / "composer", fix="keep one of them")
    return good


def folder_of(text: str) -> str | None:
    """Return a folder below the DAGs' root, empty for the root, None for what is no such folder."""
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or INVENTORIES in path.parts or "\\" in text:
        return None
    return "" if path == PurePosixPath() else path.as_posix()


def _supporting(value: Any, origin: Origin, problems: Problems) -> list[Supporting]:
    """Return the supporting files of a list of paths, or of a table `destination = source`."""
    if isinstance(value, list):
        pairs: list[tuple[Any, Any, Origin]] = [
            (source, source, origin / number) for number, source in enumerate(value)
        ]
    elif isinstance(value, Mapping):
        pairs = [(name, source, origin / name) for name, source in value.items()]
    else:
        message = f"'files' is {kind_of(value)}; it must be a list of paths or a table"
        problems.error(
            "project-key", message, origin, fix='write files = [".airflowignore", "lib"]'
        )
        return []
    found = []
    for destination, source, at in pairs:
        if not isinstance(source, str) or not source:
            kind = "an empty text" if source == "" else kind_of(source)
            message = f"'files' holds {kind} where a path must stand"
            problems.error("project-key", message, at)
            continue
        path = PurePosixPath(destination)
        inside = path.parts[len(_leading_dots(path)) :]
        if Path(source).is_absolute() or (isinstance(value, list) and ".." in path.parts):
            message = f"'{source}' in 'files' does not lie in the project's folder"
            problems.error("project-key", message, at, fix="put it there, and name it from there")
        elif path.is_absolute() or ".." in inside or not inside or "\\" in destination:
            message = f"'{destination}' in 'files' is no path from the DAGs' root"
            problems.error("project-key", message, at, fix='write it as in "lib/helper.py"')
        elif INVENTORIES in inside:
            message = f"the folder {INVENTORIES} is DagForge's own"
            problems.error("project-key", message, at, fix="choose another destination")
        else:
            found.append(Supporting(path.as_posix(), Path(source), at))
    return found


def _leading_dots(path: PurePosixPath) -> list[str]:
    dots = []
    for part in path.parts:
        if part != "..":
            break
        dots.append(part)
    return dots
