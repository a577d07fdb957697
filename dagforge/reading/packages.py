"""The packages that a project extends: a platform team's settings, templates, targets and policy.

They are found as Python would find them, and read as files: none of their code is imported.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from importlib.machinery import ModuleSpec
from pathlib import Path, PurePosixPath
from typing import Any

from dagforge.errors import (
    LoadError,
    Origin,
    Problems,
    SourceLocation,
    did_you_mean,
    suggest,
)
from dagforge.frozen import frozen
from dagforge.reading.document import parse_yaml
from dagforge.reading.project import Project, check_version, satisfies, sound_facts
from dagforge.reading.scalars import kind_of
from dagforge.reading.toml import read_toml

FACTS_FILE = "dagforge.toml"
TARGETS_FILES = ("targets.yml", "targets.yaml")
_KEYS: Mapping[str, type] = {
    "target": str,
    "airflow-version": str,
    "required-version": str,
    "policy": dict,
}
_ENTRY = re.compile(r"(?P<name>[^\W\d]\w*(?:\.[^\W\d]\w*)*)\s*(?P<versions>[~=!<>].*)?")
_TARGET_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")


@frozen
class PackageTarget:
    """A target that a package defines: one of DagForge's with other settings.

    Attributes:
        base: the target that it is made from.
        settings: over those of `base`, under every `default:`; not yet checked.
        origin: where it stands.
    """

    name: str
    base: str
    settings: Mapping[str, Any]
    origin: Origin


@frozen
class Package:
    """A package that the project extends.

    Attributes:
        name: as it is imported.
        folder: of the package.
        origin: the entry of `extends` that names it.
        facts: what its `dagforge.toml` says.
        table: where that stands.
        targets: the targets that it defines, by name.
    """

    name: str
    folder: Path
    origin: Origin
    facts: Mapping[str, Any]
    table: Origin
    targets: Mapping[str, PackageTarget] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """The folder that the package's name begins in; its files are shown from there."""
        return self.folder.parents[self.name.count(".")]

    @property
    def conf(self) -> Path | None:
        """The folder with its settings, laid out as that of a project; None without one."""
        folder = self.folder / "conf"
        return folder if folder.is_dir() else None

    @property
    def templates(self) -> Path | None:
        """The folder with its templates; None without one."""
        folder = self.folder / "templates"
        return folder if folder.is_dir() else None

    @property
    def policy(self) -> Mapping[str, Any]:
        """Its rules, not yet checked."""
        rules: Mapping[str, Any] = self.facts.get("policy", {})
        return rules

    def shown(self, *parts: str) -> str:
        """Return how messages name one of its files, the same on every machine."""
        return _shown(self.name, *parts)


def _shown(package: str, *parts: str) -> str:
    return PurePosixPath(*package.split("."), *parts).as_posix()


def find_packages(project: Project) -> tuple[Package, ...]:
    """Return the packages that the project extends, in its order: the later win.

    Raises:
        LoadError: packages are not installed, of another version, or no such packages.
    """
    problems = Problems()
    packages: dict[str, Package] = {}
    for index, entry in enumerate(project.extends):
        listed = project.origin("extends")
        assert listed is not None  # nobody lists packages without a file
        at = listed / index
        name = _name_of(entry, at, problems)
        if name is None:
            continue
        if name in packages:
            problems.error("extends", f"'{name}' stands twice in `extends`", at, fix="remove one")
            continue
        try:
            packages[name] = _read_package(name, at)
        except LoadError as error:
            problems.extend(error.problems)
    _refuse_same_targets(packages.values(), problems)
    problems.raise_errors(LoadError)
    return tuple(packages.values())


def targets_of(packages: Sequence[Package]) -> dict[str, PackageTarget]:
    """Return every target that packages define, by name."""
    return {name: target for package in packages for name, target in package.targets.items()}


def fact_of(packages: Sequence[Package], key: str) -> tuple[str | None, Origin | None]:
    """Return what the last package that has a fact says, and where; None and None without one."""
    for package in reversed(packages):
        if key in package.facts:
            return package.facts[key], package.table / key
    return None, None


def _name_of(entry: str, at: Origin, problems: Problems) -> str | None:
    """Return the package of an entry such as `acme_dagforge>=2`, installed in such a version."""
    match = _ENTRY.fullmatch(entry.strip())
    if match is None:
        near = re.sub(r"\W+", "_", re.split(r"[~=!<>@;[]", entry)[0].strip(" ./"))
        near = "" if "://" in entry else near
        problems.error(
            "extends",
            f"'{entry}' is not the name of a Python package",
            at,
            fix=f'write it as it is imported: "{near}"' if near.isidentifier() else None,
        )
        return None
    name, versions = match["name"], match["versions"]
    if _folder_of(name) is None:
        message = f"the package '{name}' is not installed"
        fix = _similar(name) or "install it where dagforge runs, or take it out of `extends`"
        if _find(name) is not None:
            message = f"'{name}' is a single module, not a package that can hold settings"
            fix = f"make it a folder with __init__.py and {FACTS_FILE}"
        problems.error("extends", message, at, fix=fix)
        return None
    if versions:
        try:
            _check_release(name, versions, at, problems)
        except ValueError as error:
            problems.error(
                "extends",
                f"'{error}' is not a version specifier",
                at,
                fix=f'write it as in "{name}>=1.2,<2"',
            )
            return None
    return name


def _similar(name: str) -> str | None:
    import pkgutil

    near = suggest(name, (module.name for module in pkgutil.iter_modules() if module.ispkg))
    return None if near is None else f"did you mean '{near}'?"


def _check_release(name: str, versions: str, at: Origin, problems: Problems) -> None:
    from importlib.metadata import PackageNotFoundError, packages_distributions, version

    # Most distributions are called like their package; to look through all of them takes long.
    try:
        release = version(name.replace(".", "-"))
    except PackageNotFoundError:
        distributions = packages_distributions().get(name.partition(".")[0], [])
        if len(distributions) != 1:
            message = f"no version of the package '{name}' is known"
            problems.error("extends", message, at, fix="leave the version out")
            return
        release = version(distributions[0])
    if not satisfies(release, versions):
        problems.error(
            "extends",
            f"this is {name} {release}, the project wants {versions}",
            at,
            fix=f"install '{name}{versions}'",
        )


def _folder_of(name: str) -> Path | None:
    """Return the folder of a package, None where there is none.

    `importlib.util.find_spec("a.b")` would import `a`.
    """
    top, *below = name.split(".")
    found = _find(top)
    if found is None or found.submodule_search_locations is None:
        return None
    # A namespace package may be spread over several folders.
    places = [Path(place).joinpath(*below) for place in found.submodule_search_locations]
    folders = [place for place in places if place.is_dir()]
    folders.sort(key=lambda folder: not (folder / FACTS_FILE).is_file())
    return folders[0] if folders else None


def _find(top: str) -> ModuleSpec | None:
    """Return what Python would import under a name without dots."""
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        found: ModuleSpec | None = find(top, None) if find is not None else None
        if found is not None:
            return found
    return None


def _read_package(name: str, at: Origin) -> Package:
    """Return an installed package.

    Raises:
        LoadError: it is not made for DagForge, or something in it is wrong.
    """
    folder = _folder_of(name)
    assert folder is not None, name
    shown = _shown(name, FACTS_FILE)
    document = read_toml(folder / FACTS_FILE, shown)
    if document is None:
        raise LoadError.of(
            "extends",
            f"the package '{name}' is not made for DagForge: it has no {FACTS_FILE}",
            at=at,
            fix=f"take it out of `extends`; if it is yours, add {shown}",
        )
    table = Origin(document)
    problems = Problems()
    facts = sound_facts(document.data, _KEYS, table, problems)
    try:
        check_version(facts.get("required-version"), table, who=f"the package '{name}'")
    except LoadError as error:
        problems.extend(error.problems)
    targets = {
        target.name: target
        for file in TARGETS_FILES
        for target in _read_targets(folder / file, _shown(name, file), problems)
    }
    package = Package(name, folder, at, facts, table, targets)
    _check_conf(package, problems)
    problems.raise_errors(LoadError)
    return package


def _check_conf(package: Package, problems: Problems) -> None:
    """Refuse settings where nobody looks for them, and what is no setting."""
    for part in ("conf", "templates"):
        if (package.folder / part).is_file():
            message = f"{package.shown(part)} is a file, and should be a folder"
            problems.error("extends", message, package.table, fix="move it away")
    if package.conf is None:
        return
    names = sorted(path.name for path in package.conf.iterdir())
    for name in names:
        if name.endswith((".yml", ".yaml")):
            problems.error(
                "extends",
                f"nothing reads {package.shown('conf', name)}",
                package.table,
                fix=f"move it to {package.shown('conf', 'base', name)}",
            )
    base = package.conf / "base"
    if not base.is_dir():
        problems.error(
            "extends", f"{package.shown('conf')} has no folder 'base'", package.table, fix="add it"
        )
        return
    for path in sorted(base.iterdir()):
        if path.name.startswith(("pipelines", "catalog", "parameters")):
            problems.error(
                "extends",
                f"nothing reads {package.shown('conf', 'base', path.name)}: a package gives "
                "settings, not pipelines and datasets",
                package.table,
                fix="remove it",
            )


def _read_targets(path: Path, shown: str, problems: Problems) -> list[PackageTarget]:
    if not path.is_file():
        return []
    try:
        document = parse_yaml(path.read_bytes(), shown)
    except LoadError as error:
        problems.extend(error.problems)
        return []
    except OSError as error:
        at = SourceLocation(shown)
        problems.error("unreadable", f"cannot be read: {error.strerror}", at)
        return []
    if not isinstance(document.data, dict):
        if document.data is not None:
            problems.error("extends", "the file must map names to targets", document.origin())
        return []
    read = [
        _target(name, entry, document.origin(name), problems)
        for name, entry in document.data.items()
    ]
    return [target for target in read if target is not None]


def _target(name: str, entry: Any, at: Origin, problems: Problems) -> PackageTarget | None:
    before = len(problems.found)
    if _TARGET_NAME.fullmatch(name) is None:
        message = f"a target cannot be called '{name}'"
        fix = "lower-case words with hyphens, such as acme-gke"
        problems.error("extends", message, at, fix=fix, at_key=True)
    if not isinstance(entry, dict):
        problems.error("extends", f"the target '{name}' is {kind_of(entry)}, not a mapping", at)
        return None
    for key in entry:
        if key not in ("target", "settings"):
            problems.error(
                "extends",
                f"the target '{name}' has no '{key}'",
                at / key,
                fix=did_you_mean(key, ["target", "settings"]),
                at_key=True,
            )
    base, settings = entry.get("target"), entry.get("settings")
    if not isinstance(base, str) or not base:
        message = f"the target '{name}' does not say which target it is made from"
        problems.error("extends", message, at, fix="target: airflow-k8s", at_key=True)
    if settings is not None and not isinstance(settings, dict):
        message = f"'settings' of the target '{name}' is {kind_of(settings)}, not a mapping"
        problems.error("extends", message, at / "settings")
    if len(problems.found) > before:
        return None
    return PackageTarget(name, str(base), settings or {}, at)


def _refuse_same_targets(packages: Iterable[Package], problems: Problems) -> None:
    first: dict[str, Package] = {}
    for package in packages:
        for name, target in package.targets.items():
            other = first.setdefault(name, package)
            if other is not package:
                message = f"'{other.name}' has a target '{name}' too"
                problems.error("extends", message, target.origin, fix="rename one", at_key=True)
