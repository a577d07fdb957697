"""The configuration of a Kedro project, as the project's own config loader gives it.

Kedro merges and resolves it: an environment replaces a top-level section of base, OmegaConf's
resolvers are filled in. The files are read a second time here, only to say where a value stands.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagforge.errors import LoadError, Origin, Problem, Problems, SourceLocation
from dagforge.errors import Path as KeyPath
from dagforge.frozen import frozen
from dagforge.reading.document import Document, parse_yaml
from dagforge.reading.kedro_names import OVERLAY, OVERLAY_MARK
from dagforge.reading.kedro_project import KedroProject, silence
from dagforge.reading.scalars import kind_of

# What kedro-airflow reads, where the project's settings say nothing else.
_PATTERNS = {"airflow": ["airflow*", "airflow/**"]}
# What `kedro run --params` may be needed for; a setting of a DAG must be known before.
_OF_RUNS = ("catalog", "parameters")
_SUFFIXES = (".yml", ".yaml", ".json")
_RUNTIME_PARAMETER = re.compile(r"Runtime parameter '(?P<name>[^']+)' not found")
_DUPLICATES = re.compile(r"Duplicate keys found in (?P<one>.+) and (?P<other>.+): (?P<keys>.+)")
_PLAIN = (bool, int, float, str, type(None))


@dataclass(eq=False)
class KedroConf:
    """The configuration of an open project in one environment.

    Attributes:
        folder: of the configuration.
        env: laid over base; None for the one that Kedro takes by itself.
    """

    project: KedroProject
    folder: Path
    env: str | None
    _values: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    _files: dict[str, list[_File]] = field(default_factory=dict, repr=False)
    _known: Any = field(default=None, repr=False)

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the environments, base first."""
        base, default = self.project.environments()
        env = self.env or default
        # Kedro stops without the folder of its default environment, which git does not hold.
        if env == base or (self.env is None and not (self.folder / env).is_dir()):
            return (base,)
        return base, env

    def values(self, family: str) -> dict[str, Any]:
        """Return the entries of a family of files, merged and resolved, without Kedro's `_` keys.

        In a catalog and in parameters, what only a run knows is `<its name>`.

        Raises:
            LoadError: Kedro cannot read them.
        """
        if family not in self._values:
            self._values[family] = self._read(family)
        return self._values[family]

    def catalog(self) -> dict[str, Any]:
        """Return the catalog without what stands in it because DagForge keeps it between tasks.

        So that a plan is the same before that file is written and after.

        Raises:
            LoadError: Kedro cannot read it.
        """
        kept = {name for layer in self.layers for name in overlay_names(self.folder / layer)}
        return {name: value for name, value in self.values("catalog").items() if name not in kept}

    def documents(self, family: str) -> tuple[tuple[Document, str], ...]:
        """Return the entries by the file that each comes from, with the file's environment.

        Raises:
            LoadError: Kedro cannot read them, or a value is none that YAML could hold.
        """
        problems = Problems()
        by_file: dict[int, dict[str, Any]] = {}
        values, files = self.values(family), self.files(family)
        is_soft = self._is_soft(family)
        for name, value in values.items():
            plain = _plain(value, Origin(EntryPlace(self, family, name)), problems)
            having = [number for number, file in enumerate(files) if file.has(name)]
            shares = {having[-1] if having else -1: plain}
            if is_soft and having:
                shares = _shares(plain, [(number, files[number].entry(name)) for number in having])
            for number, share in shares.items():
                by_file.setdefault(number, {})[name] = share
        problems.raise_errors(LoadError)
        documents = []
        for number in sorted(by_file):
            file = files[number] if number >= 0 else _File.missing(self._shown(self.folder))
            documents.append((file.document(by_file[number]), file.layer))
        return tuple(documents)

    def _is_soft(self, family: str) -> bool:
        """Say whether an environment is merged key by key, not section by section."""
        strategies = getattr(self._loader(family, {}), "merge_strategy", None) or {}
        return strategies.get(family) == "soft"

    def files(self, family: str) -> list[_File]:
        """Return the files of a family, base first, sorted by path."""
        if family not in self._files:
            self._files[family] = list(self._find(family))
        return self._files[family]

    def origin(self, family: str, name: str) -> Origin:
        """Return where an entry of a family comes from."""
        return Origin(EntryPlace(self, family, name))

    def _number_of(self, family: str, name: str) -> int:
        """Return which file gives an entry: the last of those that have it; -1 for none."""
        files = self.files(family)
        having = [number for number, file in enumerate(files) if file.has(name)]
        return having[-1] if having else -1

    def file_of(self, family: str, name: str) -> _File:
        """Return the file that gives an entry; one without lines where none does."""
        number = self._number_of(family, name)
        if number < 0:
            return _File.missing(self._shown(self.folder))
        return self.files(family)[number]

    # --- what Kedro says

    def _read(self, family: str) -> dict[str, Any]:
        unknown: dict[str, Any] = {}
        with silence():
            found = self._try(family, unknown)
            while isinstance(found, Exception):
                missing = _RUNTIME_PARAMETER.search(str(found))
                is_of_run = missing is not None and family in _OF_RUNS
                if missing is None or not is_of_run or not _add(unknown, missing["name"]):
                    raise LoadError(self._problems(family, found)) from found
                found = self._try(family, unknown)
        return found

    def _try(self, family: str, unknown: Mapping[str, Any]) -> dict[str, Any] | Exception:
        """Return what Kedro's loader gives, or what it raises: the resolvers may raise anything."""
        from kedro.config import MissingConfigException

        try:
            return dict(self._loader(family, unknown)[family])
        except MissingConfigException:
            return {}
        except Exception as error:
            is_unknown = isinstance(error, KeyError) and "No config patterns" in str(error)
            return {} if is_unknown else error

    def _loader(self, family: str, unknown: Mapping[str, Any]) -> Any:
        """Return a config loader of the project's; the same one while every parameter is known."""
        if unknown or self._known is None:
            loader = self._new_loader(unknown)
            if unknown:
                return loader
            self._known = loader
        patterns = getattr(self._known, "config_patterns", None)
        if patterns is not None and family in _PATTERNS and family not in patterns:
            patterns[family] = _PATTERNS[family]
        return self._known

    def _new_loader(self, unknown: Mapping[str, Any]) -> Any:
        settings = self.project.settings
        return settings.CONFIG_LOADER_CLASS(
            conf_source=str(self.folder),
            env=self.layers[-1],
            runtime_params=dict(unknown),
            **settings.CONFIG_LOADER_ARGS,
        )

    def _problems(self, family: str, error: Exception) -> list[Problem]:
        """Return what is wrong with the files of a family that Kedro cannot read."""
        files = (*self.files(family), *self.files("globals"))
        own = [problem for file in files for problem in file.problems]
        if own:
            return own
        problems = Problems()
        first = str(error).partition("\n")[0].rstrip(".")
        for pair in _DUPLICATES.finditer(str(error)):
            one, other = sorted(self._shown(Path(pair[name])) for name in ("one", "other"))
            keys = pair["keys"]
            place = Origin(EntryPlace(self, family, keys.partition(",")[0]))
            message = f"{one} and {other} both have '{keys}'"
            problems.error("duplicate-key", message, place, fix="keep one of them", at_key=True)
        if problems.found:
            return problems.found
        name, *path = _path_of(getattr(error, "full_key", None)) or ("",)
        at = Origin(EntryPlace(self, family, str(name)), tuple(path))
        fix = None
        if "${env:" in self._text_of(family):
            fix = "Kedro knows no ${env:...}: write what needs it into dagforge.yml"
        return [Problem("kedro-conf", f"Kedro cannot read the {family} files: {first}", at, fix)]

    def _text_of(self, family: str) -> str:
        return "".join(file.source.decode(errors="replace") for file in self.files(family))

    # --- the files

    def _find(self, family: str) -> Iterator[_File]:
        patterns = self._patterns(family)
        for layer in self.layers:
            folder = self.folder / layer
            paths = (path for path in folder.rglob("*") if path.suffix in _SUFFIXES)
            for path in sorted(paths, key=lambda path: path.parts):
                inside = path.relative_to(folder).as_posix()
                hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
                if not hidden and any(_matches(pattern, inside) for pattern in patterns):
                    yield _File.read(path, self._shown(path), layer)

    def _patterns(self, family: str) -> list[str]:
        with silence():
            try:
                return list(self._loader(family, {}).config_patterns[family])
            except Exception:
                return _PATTERNS.get(family, [f"{family}*", f"{family}*/**", f"**/{family}*"])

    def _shown(self, path: Path) -> str:
        root = self.project.root
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


@dataclass(eq=False)
class _File:
    """A file of the configuration, as far as it can be read here.

    Attributes:
        shown: its path as the user knows it.
        document: what is in it, not resolved; None where only Kedro can read it.
        problems: why.
    """

    shown: str
    layer: str
    source: bytes
    raw: Document | None
    problems: tuple[Problem, ...]

    @staticmethod
    def read(path: Path, shown: str, layer: str) -> _File:
        try:
            source = path.read_bytes()
            return _File(shown, layer, source, parse_yaml(source, shown), ())
        except OSError as error:
            message = f"cannot be read: {error.strerror}"
            return _File(shown, layer, b"", None, (_at_file("unreadable", message, shown),))
        except LoadError as error:
            return _File(shown, layer, source, None, error.problems)

    @staticmethod
    def missing(shown: str) -> _File:
        return _File(shown, "base", b"", None, ())

    def has(self, name: str) -> bool:
        if self.raw is not None:
            return isinstance(self.raw.data, dict) and name in self.raw.data
        pattern = rf"(?m)^[\"']?{re.escape(name)}[\"']?\s*:"
        return re.search(pattern, self.source.decode(errors="replace")) is not None

    def entry(self, name: str) -> Any:
        """Return an entry as the file has it; None where only Kedro can read the file."""
        return self.raw.data[name] if self.raw is not None else None

    def document(self, data: Any) -> Document:
        """Return the file with values that were resolved; their places are those of the text."""
        if self.raw is None:
            return Document(self.shown, b"", data)
        return Document(self.shown, self.raw.source, data)


def overlay_names(folder: Path) -> list[str]:
    """Return the datasets that DagForge keeps between tasks, as an environment's file lists them.

    Raises:
        LoadError: the file cannot be read.
    """
    path = folder / OVERLAY
    if not path.is_file():
        return []
    file = _File.read(path, path.as_posix(), folder.name)
    if not file.source.startswith(OVERLAY_MARK.encode()):
        return []
    if file.problems:
        raise LoadError(file.problems)
    data = file.raw.data if file.raw is not None else None
    return list(data) if isinstance(data, dict) else []


def _at_file(code: str, message: str, file: str) -> Problem:
    return Problem(code, message, SourceLocation(file))


@frozen
class EntryPlace:
    """Where an entry of the configuration comes from; a `Locator`, looked up when asked for."""

    conf: KedroConf
    family: str
    name: str

    @property
    def file(self) -> str:
        """The file that gives the entry."""
        return self.conf.file_of(self.family, self.name).shown

    def locate(self, path: KeyPath, *, key: bool = False) -> SourceLocation:
        """Return where the entry, or the value at a path in it, stands."""
        file = self.conf.file_of(self.family, self.name)
        if file.raw is None:
            return SourceLocation(file.shown)
        return file.raw.locate((self.name, *path), key=key)


def _shares(value: Any, holders: list[tuple[int, Any]]) -> dict[int, Any]:
    """Return the parts of a merged value by the file that each comes from.

    Args:
        value: as it is after merging.
        holders: the files that have a value here, low to high, with what they have.
    """
    if not isinstance(value, dict) or not all(isinstance(raw, dict) for _, raw in holders):
        return {holders[-1][0]: value}
    shares: dict[int, Any] = {}
    for key, inner in value.items():
        having = [(number, raw[key]) for number, raw in holders if key in raw] or holders[-1:]
        for number, share in _shares(inner, having).items():
            shares.setdefault(number, {})[key] = share
    return shares


def _add(parameters: dict[str, Any], name: str) -> bool:
    """Add a stand-in for a parameter that only a run knows; say whether it was not there."""
    *above, last = name.split(".")
    inner = parameters
    for part in above:
        inner = inner.setdefault(part, {})
        if not isinstance(inner, dict):
            return False
    if last in inner:
        return False
    inner[last] = f"<{name}>"
    return True


def _path_of(full_key: str | None) -> tuple[str | int, ...]:
    """Return OmegaConf's `a.b[0]` as a path."""
    parts = re.findall(r"([^.\[\]]+)|\[(\d+)\]", full_key or "")
    return tuple(int(number) if number else name for name, number in parts)


def _plain(value: Any, at: Origin, problems: Problems) -> Any:
    """Return a value as YAML would hold it; what a resolver made may be anything."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                message = f"the key {key!r} is {kind_of(key)}, not text"
                problems.error("key-type", message, at, fix=f'quote it: "{key}"')
        return {str(key): _plain(inner, at / str(key), problems) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner, at / number, problems) for number, inner in enumerate(value)]
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    message = f"a resolver gives a {type(value).__name__}, which is no setting"
    problems.error("kedro-conf", message, at)
    return None


def _matches(pattern: str, path: str) -> bool:
    """Say whether a path below an environment fits one of Kedro's patterns (those of fsspec)."""
    regex = ""
    for part in re.split(r"(\*\*/|\*\*|\*|\?)", pattern):
        regex += {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(
            part, re.escape(part)
        )
    return re.fullmatch(regex, path) is not None
