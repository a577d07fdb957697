"""The configuration of a Kedro project, as the project's own config loader gives it.

Kedro merges and resolves it: an environment replaces a top-level section of base, OmegaConf's
resolvers are filled in. The files are read a second time here, only to say where a value stands.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from dagforge.errors import (
    LoadError,
    Origin,
    Place,
    Problem,
    Problems,
    SourceLocation,
    suggest,
)
from dagforge.errors import Path as KeyPath
from dagforge.frozen import frozen
from dagforge.reading.document import Document, parse_yaml
from dagforge.reading.kedro_names import OVERLAY, OVERLAY_MARK
from dagforge.reading.kedro_project import KedroProject, silence
from dagforge.reading.scalars import PLAIN_WORDS, kind_of, read_11

# What kedro-airflow reads, where the project's settings say nothing else.
_PATTERNS = {"airflow": ["airflow*", "airflow/**"]}
# What `kedro run --params` may be needed for; a setting of a DAG must be known before.
_OF_RUNS = ("catalog", "parameters")
_SUFFIXES = (".yml", ".yaml", ".json")
_RUNTIME_PARAMETER = re.compile(r"Runtime parameter '(?P<name>[^']+)' not found")
_DUPLICATES = re.compile(r"Duplicate keys found in (?P<one>.+) and (?P<other>.+): (?P<keys>.+)")
_NO_GLOBAL = re.compile(r"Globals key '(?P<name>[^']+)' not found")
_NO_RESOLVER = re.compile(r"Unsupported interpolation type (?P<name>\S+)")
_UNRESOLVED = (_NO_GLOBAL, _NO_RESOLVER, _RUNTIME_PARAMETER)
# Of one argument: a second one is the default.
_REFERENCE = re.compile(r"(?<!\\)\$\{(?P<name>[\w.]+):(?P<key>[^${},]*)\}")
_REMAKE = "remove {}: `dagforge create` makes it anew"
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
            while isinstance(found, BaseException):
                missing = _RUNTIME_PARAMETER.search(str(found))
                is_of_run = missing is not None and family in _OF_RUNS
                if missing is None or not is_of_run or not _add(unknown, missing["name"]):
                    raise LoadError(self._problems(family, found)) from found
                found = self._try(family, unknown)
            not_mappings = [*self._not_mappings(family), *self._not_mappings("globals")]
        if not_mappings:
            raise LoadError(not_mappings)
        return found

    def _try(self, family: str, unknown: Mapping[str, Any]) -> dict[str, Any] | BaseException:
        """Return what Kedro's loader gives, or what it raises: the resolvers may raise anything.

        Raises:
            LoadError: there is no loader.
        """
        from kedro.config import MissingConfigException

        try:
            loader = self._loader(family, unknown)
        except (Exception, SystemExit) as error:
            own = [problem for file in self.files("globals") for problem in file.problems]
            own += self._not_mappings("globals")
            raise LoadError(own or [self.project.failure_of_loader(error)]) from error
        try:
            return dict(loader[family])
        except MissingConfigException:
            return {}
        except (Exception, SystemExit) as error:
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

    def _not_mappings(self, family: str) -> list[Problem]:
        """Return what is wrong with files that hold something else than entries by name."""
        return [
            Problem(
                "wrong-type",
                f"the file is {kind_of(file.raw.data)}, not a mapping of names to values",
                file.raw.origin(),
            )
            for file in self.files(family)
            if file.raw is not None and not isinstance(file.raw.data, (dict, type(None)))
        ]

    def _problems(self, family: str, error: BaseException) -> list[Problem]:
        """Return what is wrong with the files of a family that Kedro cannot read."""
        files = (*self.files(family), *self.files("globals"))
        own = [problem for file in files for problem in file.problems]
        own += [*self._not_mappings(family), *self._not_mappings("globals")]
        if own:
            return own
        problems = Problems()
        first = str(error).partition("\n")[0].strip().rstrip(".:") or type(error).__name__
        for pair in _DUPLICATES.finditer(str(error)):
            one, other = sorted(self._shown(Path(pair[name])) for name in ("one", "other"))
            keys = pair["keys"]
            place = Origin(EntryPlace(self, family, keys.partition(",")[0]))
            message = f"{one} and {other} both have '{keys}'"
            ours = next((each for each in (one, other) if Path(each).name == OVERLAY), None)
            fix = "keep one of them" if ours is None else _REMAKE.format(ours)
            problems.error("duplicate-key", message, place, fix=fix, at_key=True)
        if problems.found:
            return problems.found
        at: Place = next(iter(self.project.lines_of(error)[::-1]), None)
        name, *path = _path_of(getattr(error, "full_key", None)) or ("",)
        if name or at is None:
            at = self._place_of_value((str(name), *path), family, first)
        if not name:
            at = next((file.places.origin() for file in files if file.refused_by_kedro()), at)
        found = self._unread(family, first, at)
        if any(pattern.search(first) for pattern in _UNRESOLVED):
            # OmegaConf stops at the first one.
            more = list(self._unresolved(family))
            return more if any(first in each.message for each in more) else [found, *more]
        return [found]

    def _unread(self, family: str, says: str, at: Place) -> Problem:
        message = f"Kedro cannot read the {family} files: {says}"
        return Problem("kedro-conf", message, at, self._fix_of(says))

    def _unresolved(self, family: str) -> Iterator[Problem]:
        """Yield what OmegaConf could not fill in, of what can be told by the text alone."""
        from omegaconf import OmegaConf

        known = self._try("globals", {})
        for file in self.files(family):
            for path, text in _texts(file.raw.data if file.raw is not None else None):
                for reference in _REFERENCE.finditer(text):
                    name, key = reference["name"], reference["key"].strip()
                    says = None
                    if name == "globals":
                        if isinstance(known, dict) and key not in _dotted(known):
                            says = f"Globals key '{key}' not found and no default value provided"
                    elif name == "runtime_params":
                        if family not in _OF_RUNS:
                            says = (
                                f"Runtime parameter '{key}' not found and no default value provided"
                            )
                    elif not OmegaConf.has_resolver(name):
                        says = f"Unsupported interpolation type {name}"
                    if says is not None:
                        yield self._unread(family, says, Origin(file.places, path))

    def _place_of_value(self, path: KeyPath, family: str, message: str) -> Origin:
        """Return where a value stands that cannot be resolved: Kedro resolves base by itself."""
        words = re.findall(r"'([^']+)'|interpolation type (\S+)", message)
        told = [word for pair in words for word in pair if word]
        for file in self.files(family):
            text = file.text_at(path)
            if any(word in text for word in told):
                return Origin(file.places, path)
        return Origin(EntryPlace(self, family, str(path[0])), path[1:])

    def _fix_of(self, message: str) -> str | None:
        """Return what to do about something that Kedro says."""
        resolver, absent = _NO_RESOLVER.search(message), _NO_GLOBAL.search(message)
        if resolver is not None and resolver["name"] == "env":
            return "Kedro knows no ${env:...}: write what needs it into dagforge.yml"
        if resolver is not None and resolver["name"] == "oc.env":
            return (
                "Kedro takes ${oc.env:...} in credentials alone: write what needs it into "
                "dagforge.yml, as ${env:...}"
            )
        if resolver is not None:
            return (
                f"register '{resolver['name']}' in settings.py, among the custom_resolvers of "
                "CONFIG_LOADER_ARGS"
            )
        unknown = _RUNTIME_PARAMETER.search(message)
        if unknown is not None:
            name = unknown["name"]
            return (
                f"a DAG is made before its runs: give it a default, ${{runtime_params:{name}, ...}}"
            )
        if absent is not None:
            files = [file.raw.data for file in self.files("globals") if file.raw is not None]
            near = suggest(absent["name"], {name for data in files for name in _dotted(data)})
            where = self._shown(self.folder / self.layers[0] / "globals.yml")
            return f"did you mean '{near}'?" if near else f"define it in {where}"
        return None

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

    @cached_property
    def places(self) -> Document:
        """The file to look for places in, also where only Kedro can read it."""
        return self.raw or Document(self.shown, self.source.removeprefix(BOM_UTF8), None)

    def refused_by_kedro(self) -> bool:
        """Say whether OmegaConf alone refuses the file."""
        from omegaconf import OmegaConf

        try:
            OmegaConf.load(io.StringIO(self.source.decode("utf-8", errors="replace")))
        except Exception:
            return True
        return False

    @staticmethod
    def read(path: Path, shown: str, layer: str) -> _File:
        try:
            source = path.read_bytes()
            return _File(shown, layer, source, parse_yaml(source, shown), ())
        except OSError as error:
            message = f"cannot be read: {error.strerror}"
            return _File(shown, layer, b"", None, (_at_file("unreadable", message, shown),))
        except LoadError as error:
            problems = error.problems
            if source.startswith(OVERLAY_MARK.encode()):
                problems = tuple(replace(each, fix=_REMAKE.format(shown)) for each in problems)
            return _File(shown, layer, source, None, problems)

    @staticmethod
    def missing(shown: str) -> _File:
        return _File(shown, "base", b"", None, ())

    def has(self, name: str) -> bool:
        if self.raw is not None:
            return isinstance(self.raw.data, dict) and name in self.raw.data
        pattern = rf"(?m)^[\"']?{re.escape(name)}[\"']?\s*:"
        return re.search(pattern, self.source.decode(errors="replace")) is not None

    def text_at(self, path: KeyPath) -> str:
        """Return the text at a path; empty where there is none, or only Kedro can read the file."""
        value: Any = self.raw.data if self.raw is not None else None
        with contextlib.suppress(LookupError, TypeError):
            for part in path:
                value = value[part]
        return value if isinstance(value, str) else ""

    def entry(self, name: str) -> Any:
        """Return an entry as the file has it; None where only Kedro can read the file."""
        return self.raw.data[name] if self.raw is not None else None

    def document(self, data: Any) -> Document:
        """Return the file with values that were resolved; their places are those of the text."""
        return Document(self.shown, self.places.source, data)


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
        if not file.source:
            return SourceLocation(file.shown)
        return file.places.locate((self.name, *path), key=key)


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
                written = _as_written(key, at)
                message = f"the key {written} is {kind_of(key)}, not text"
                fix = f'quote it: "{written}"'
                problems.error("key-type", message, at / written, fix=fix, at_key=True)
        return {str(key): _plain(inner, at / str(key), problems) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner, at / number, problems) for number, inner in enumerate(value)]
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    message = f"a resolver gives a {type(value).__name__}, which is no setting"
    problems.error("kedro-conf", message, at)
    return None


def _texts(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Yield the texts in a value, each with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, (dict, list)):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in parts:
            yield from _texts(inner, (*path, key))


def _dotted(values: Any, above: str = "") -> Iterator[str]:
    """Yield the dotted names of all values, of mappings too."""
    for key, value in values.items() if isinstance(values, dict) else ():
        yield f"{above}{key}"
        yield from _dotted(value, f"{above}{key}.")


def _as_written(key: Any, at: Origin) -> str:
    """Return a key that is no text as it stands in the mapping at `at`: `on` for True."""
    around = at.location(key=True)
    found = (word for word in sorted(PLAIN_WORDS) if (at / word).location(key=True) != around)
    return next((word for word in found if read_11(word) is key), str(key))


def _matches(pattern: str, path: str) -> bool:
    """Say whether a path below an environment fits one of Kedro's patterns (those of fsspec)."""
    regex = ""
    for part in re.split(r"(\*\*/|\*\*|\*|\?)", pattern):
        regex += {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(
            part, re.escape(part)
        )
    return re.fullmatch(regex, path) is not None
