"""A project's facts: `[tool.dagforge]` in pyproject.toml, or the same keys in dagforge.toml."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from dagforge import __version__
from dagforge.errors import (
    LoadError,
    Origin,
    Problems,
    did_you_mean,
)
from dagforge.frozen import frozen
from dagforge.reading.scalars import kind_of
from dagforge.reading.toml import TomlDocument, read_toml

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEYS: dict[str, type] = {
    "project": str,
    "conf": str,
    "templates": str,
    "output": str,
    "target": str,
    "airflow-version": str,
    "env": str,
    "pipelines": list,
    "inputs": list,
    "required-version": str,
    "extends": list,
    "deploy": dict,
    "policy": dict,
    "advise": dict,
}


@frozen
class KedroFacts:
    """What `[tool.kedro]` of pyproject.toml says.

    Attributes:
        package: import name of the project's package.
        source: folder of the package, relative to the project's.
        version: of the Kedro that the project was made with.
        table: where these keys are.
        keys: all that are there, those for Kedro alone too.
    """

    package: str
    source: Path
    version: str
    table: Origin
    keys: tuple[str, ...] = ()


@frozen
class Project:
    """What holds for all pipelines of a project; None where it does not say.

    Attributes:
        root: the folder with the project's pyproject.toml or dagforge.toml.
        name: key `project`, else the package's name, else the folder's.
        conf: folder of the configuration; this and the other folders are relative to `root`.
        templates: folder of the team's templates.
        output: folder for generated files.
        pipelines: what is compiled when nothing else is asked for; empty for the default.
        inputs: environment variables that `${env:NAME}` may read.
        extends: packages whose settings, templates, targets and policy hold here too.
        policy: the project's own rules, not yet checked.
        deploy: the table `deploy`, which `deploying/settings.py` checks.
        advise: the table `advise`, which `advice/settings.py` checks.
        table: where these keys are.
        kedro: of a Kedro project; None for any other.
    """

    root: Path
    name: str
    conf: Path = Path("conf")
    templates: Path | None = None
    output: Path | None = None
    target: str | None = None
    airflow_version: str | None = None
    env: str | None = None
    pipelines: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    required_version: str | None = None
    extends: tuple[str, ...] = ()
    policy: Mapping[str, Any] = field(default_factory=dict)
    deploy: Mapping[str, Any] = field(default_factory=dict)
    advise: Mapping[str, Any] = field(default_factory=dict)
    table: Origin | None = None
    kedro: KedroFacts | None = None

    @property
    def package(self) -> str:
        """Import name of the project's package, as far as it is known."""
        return self.kedro.package if self.kedro is not None else self.name.replace("-", "_")

    def origin(self, key: str) -> Origin | None:
        """Return where the value of `key` is; None without a file."""
        return self.table / key if self.table is not None else None


_TABLES = re.compile(rb"(?m)^\s*\[\s*tool\s*\.\s*\"?(?:dagforge|kedro)\b")


def holds_project(folder: Path) -> bool:
    """Say whether a folder is that of a project."""
    pyproject = folder / "pyproject.toml"
    try:
        if (folder / "dagforge.toml").is_file() or (folder / "conf" / "base").is_dir():
            return True
        return pyproject.is_file() and _TABLES.search(pyproject.read_bytes()) is not None
    except OSError:
        return False


def read_project(root: Path, *, version: str | None = None, any_version: bool = False) -> Project:
    """Return the facts of the project in `root`, the defaults where there is no file.

    Args:
        root: a folder; those above it are not searched.
        version: DagForge's own, to compare with `required-version`; None for the installed one.
        any_version: take one that wants another DagForge, where nothing will be written.

    Raises:
        LoadError: a file cannot be read, both files have the facts, this version is not the
            required one, or keys are unknown or of the wrong type.
    """
    root = root.absolute()
    pyproject = read_toml(root / "pyproject.toml", "pyproject.toml")
    own = read_toml(root / "dagforge.toml", "dagforge.toml")
    tables: list[tuple[Origin, dict[str, Any]]] = []
    package: Any = None
    kedro: KedroFacts | None = None
    if pyproject is not None:
        kedro = _read_kedro(pyproject)
        package = pyproject.table("project").get("name") or (kedro and kedro.package)
        if "dagforge" in pyproject.table("tool"):
            origin = Origin(pyproject, ("tool", "dagforge"))
            facts = pyproject.data["tool"]["dagforge"]
            if not isinstance(facts, dict):
                raise LoadError.of(
                    "project-key", f"[tool.dagforge] is {kind_of(facts)}, not a table", at=origin
                )
            tables.append((origin, facts))
    if own is not None:
        tables.append((Origin(own), own.data))
    if len(tables) == 2:
        raise LoadError.of(
            "two-projects",
            "the project's facts are in dagforge.toml and in [tool.dagforge] of pyproject.toml",
            at=tables[0][0],
            fix="keep one of them",
        )
    default_name = package if isinstance(package, str) and package else root.name or "project"
    if not tables:
        return Project(root, default_name, kedro=kedro)
    origin, facts = tables[0]
    if not any_version:
        check_version(facts.get("required-version"), origin, version)
    return replace(_project(root, default_name, facts, origin), kedro=kedro)


_KEDRO_KEYS = ("package_name", "source_dir", "kedro_init_version")


def _read_kedro(pyproject: TomlDocument) -> KedroFacts | None:
    """Return the facts of a Kedro project; None where pyproject.toml is that of another."""
    tool = pyproject.table("tool")
    if "kedro" not in tool:
        return None
    table, facts = Origin(pyproject, ("tool", "kedro")), tool["kedro"]
    if not isinstance(facts, dict):
        raise LoadError.of("kedro-project", f"[tool.kedro] is {kind_of(facts)}", at=table)
    problems = Problems()
    good: dict[str, str] = {"source_dir": "src"}
    for key in _KEDRO_KEYS:
        value = facts.get(key, good.get(key))
        if isinstance(value, str) and (value.strip() or key == "source_dir"):
            good[key] = value
        elif key in facts:
            is_empty = isinstance(value, str)
            message = (
                f"'{key}' of [tool.kedro] is {'empty' if is_empty else kind_of(value)}, not text"
            )
            problems.error("kedro-project", message, table / key)
        else:
            problems.error("kedro-project", f"[tool.kedro] has no '{key}'", table)
    problems.raise_errors(LoadError)
    package, source, version = (good[key] for key in _KEDRO_KEYS)
    return KedroFacts(package, Path(source), version, table, tuple(facts))


def _project(root: Path, default_name: str, facts: dict[str, Any], origin: Origin) -> Project:
    problems = Problems()
    good = sound_facts(facts, _KEYS, origin, problems)
    for name in good.get("inputs", ()):
        if _VARIABLE.fullmatch(name) is None:
            problems.error(
                "project-key",
                f"'{name}' in 'inputs' is not the name of an environment variable",
                origin / "inputs",
            )
    for key in ("conf", "templates", "output"):
        if good.get(key, "").startswith("~"):
            message = f"'{key}' begins with '~', which only a shell turns into a folder"
            problems.error("project-key", message, origin / key, fix="write the folder in full")
    problems.raise_errors(LoadError)

    def folder(key: str) -> Path | None:
        return Path(good[key]) if key in good else None

    return Project(
        root=root,
        name=good.get("project", default_name),
        conf=folder("conf") or Path("conf"),
        templates=folder("templates"),
        output=folder("output"),
        target=good.get("target"),
        airflow_version=good.get("airflow-version"),
        env=good.get("env"),
        pipelines=good.get("pipelines", ()),
        inputs=good.get("inputs", ()),
        required_version=good.get("required-version"),
        extends=good.get("extends", ()),
        policy=good.get("policy", {}),
        deploy=good.get("deploy", {}),
        advise=good.get("advise", {}),
        table=origin,
    )


def _key_fix(key: str, value: object, keys: Iterable[str]) -> str | None:
    if key == "tool" and isinstance(value, dict) and "dagforge" in value:
        return "leave out the line [tool.dagforge]: in a file of DagForge's own there is no header"
    return did_you_mean(key, keys)


def sound_facts(
    facts: Mapping[str, Any], keys: Mapping[str, type], origin: Origin, problems: Problems
) -> dict[str, Any]:
    """Return the facts that are of the right type, lists of names as tuples.

    Args:
        facts: as TOML gives them.
        keys: what each may be: text, a list of names, a table.
        origin: where they stand.
        problems: takes what is wrong with the others.
    """
    good: dict[str, Any] = {}
    for key, value in facts.items():
        expected = keys.get(key)
        at = origin / key
        if expected is None:
            problems.error(
                "project-key",
                f"there is no key '{key}' in DagForge's project facts",
                at,
                fix=_key_fix(key, value, keys),
                at_key=True,
            )
        elif expected is str:
            if not isinstance(value, str):
                number = isinstance(value, (int, float)) and not isinstance(value, bool)
                quote = f'quote it: "{value}"' if number else None
                message = f"'{key}' is {kind_of(value)}, not text"
                problems.error("project-key", message, at, fix=quote)
            elif not value.strip() or not value.isprintable():
                problems.error("project-key", f"'{key}' is empty or unprintable", at)
            else:
                good[key] = value
        elif expected is dict:
            if not isinstance(value, dict):
                message = f"'{key}' is {kind_of(value)}, not a table"
                problems.error("project-key", message, at)
            else:
                good[key] = value
        elif not isinstance(value, list) or not all(
            isinstance(item, str) and item for item in value
        ):
            problems.error(
                "project-key",
                f"'{key}' must be a list of names",
                at,
                fix=f'write {key} = ["{value}"]' if isinstance(value, str) else None,
            )
        else:
            good[key] = tuple(value)
    return good


def check_version(
    required: Any, origin: Origin, version: str | None = None, *, who: str = "the project"
) -> None:
    """Refuse to go on where `required-version` wants another DagForge.

    Raises:
        LoadError: this version is not the required one, or `required` is no version specifier.
    """
    if not isinstance(required, str):
        return
    version = version or __version__
    try:
        fits = satisfies(version, required)
    except ValueError as exc:
        raise LoadError.of(
            "required-version",
            f"'{exc}' is not a version specifier",
            at=origin / "required-version",
            fix='write it as in ">=1.2,<2" or "~=1.2"',
        ) from exc
    if not fits:
        raise LoadError.of(
            "required-version",
            f"this is DagForge {version}, {who} wants {required}",
            at=origin / "required-version",
            fix=f"install 'dagforge{required}'",
        )


_VERSION = re.compile(
    r"v?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<phase>a|b|rc)[-_.]?(?P<number>\d+))?"
    r"(?:\.post(?P<post>\d+))?(?:\.dev(?P<dev>\d+))?(?:\+[\w.]+)?"
)
_SPECIFIER = re.compile(r"(?P<operator>~=|==|!=|<=|>=|<|>)\s*(?P<version>[^\s]+?)(?P<prefix>\.\*)?")

_VersionKey = tuple[tuple[int, ...], int, int]


def satisfies(version: str, specifiers: str) -> bool:
    """Say whether a version meets a comma-separated list of version specifiers (PEP 440).

    Raises:
        ValueError: a specifier is not one; its text is the message.
    """
    # All of them first: one that is met must not hide one that cannot be read.
    met = [_meets(version, specifier.strip()) for specifier in specifiers.split(",")]
    return all(met)


def _meets(version: str, specifier: str) -> bool:
    match = _SPECIFIER.fullmatch(specifier)
    if match is None or _VERSION.fullmatch(match["version"]) is None:
        raise ValueError(specifier)
    operator = match["operator"]
    release = _release(match["version"])
    if match["prefix"] and operator not in ("==", "!="):
        raise ValueError(specifier)
    if operator == "~=":
        if len(release) < 2:
            raise ValueError(specifier)
        return _key(version) >= _key(match["version"]) and _begins(version, release[:-1])
    if match["prefix"]:
        return _begins(version, release) == (operator == "==")
    left, right = _key(version), _key(match["version"])
    return {
        "==": left == right,
        "!=": left != right,
        "<=": left <= right,
        ">=": left >= right,
        "<": left < right,
        ">": left > right,
    }[operator]


def _release(version: str) -> tuple[int, ...]:
    match = _VERSION.fullmatch(version)
    assert match is not None, version
    return tuple(int(part) for part in match["release"].split("."))


def _begins(version: str, release: tuple[int, ...]) -> bool:
    own = _release(version)
    return (own + (0,) * len(release))[: len(release)] == release


def _key(version: str) -> _VersionKey:
    match = _VERSION.fullmatch(version)
    assert match is not None, version
    release = _release(version)
    while release and release[-1] == 0:
        release = release[:-1]
    if match["phase"]:
        return release, {"a": -3, "b": -2, "rc": -1}[match["phase"]], int(match["number"])
    if match["post"]:
        return release, 1, int(match["post"])
    return release, -4 if match["dev"] else 0, int(match["dev"] or 0)
