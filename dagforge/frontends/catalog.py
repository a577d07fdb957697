"""The datasets and parameters that a project declares, in Kedro's shape."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from dagforge.conf import Conf, LayeredDocument
from dagforge.errors import Origin, Problem, Problems, did_you_mean
from dagforge.frontends.words import check_keys, shown, wrong_type
from dagforge.frozen import frozen
from dagforge.ir import Dataset, is_parameter
from dagforge.reading.scalars import kind_of

# Kedro's classes that keep their data in the process (0.19 spells DataSet, 1.x Dataset).
_IN_MEMORY = frozenset({"memorydataset", "sharedmemorydataset", "lambdadataset"})


class Declared(Protocol):
    """The datasets and parameters that a project declares."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the declarations."""

    @property
    def parameters(self) -> frozenset[str]:
        """Every `params:` name that there is."""

    @property
    def names(self) -> Iterable[str]:
        """The datasets that are declared by their full name."""

    def find(self, name: str) -> Dataset | None:
        """Return the dataset of a name; None where nothing declares it."""


@frozen
class _Pattern:
    """A dataset factory: a name with `{placeholders}`."""

    text: str
    regex: re.Pattern[str]
    dataset: Dataset


@dataclass(slots=True)
class Catalog:
    """What is declared, env over base.

    Attributes:
        problems: what is wrong with the declarations.
        parameters: every `params:` name that there is.
    """

    problems: tuple[Problem, ...]
    parameters: frozenset[str]
    _datasets: dict[str, Dataset]
    _patterns: tuple[_Pattern, ...]
    _found: dict[str, Dataset | None] = field(default_factory=dict)

    @property
    def names(self) -> Iterable[str]:
        """The datasets that are declared by their full name."""
        return self._datasets.keys()

    def find(self, name: str) -> Dataset | None:
        """Return the dataset of a name, from its entry or the best factory; None without one."""
        dataset = self._datasets.get(name)
        if dataset is not None or not self._patterns:
            return dataset
        if name not in self._found:
            self._found[name] = self._made(name)
        return self._found[name]

    def _made(self, name: str) -> Dataset | None:
        for pattern in self._patterns:
            match = pattern.regex.fullmatch(name)
            if match is not None:
                uri = pattern.dataset.uri
                for part, value in match.groupdict().items():
                    uri = uri.replace(f"{{{part}}}", value) if uri is not None else None
                return replace(pattern.dataset, name=name, uri=uri)
        return None


def read_catalog(conf: Conf) -> Catalog:
    """Return the datasets and parameters of the configuration."""
    problems = Problems()
    datasets: dict[str, Dataset] = {}
    patterns: list[_Pattern] = []
    for name, (value, at) in _entries(conf.catalog, "dataset", problems).items():
        if is_parameter(name):
            message = f"{shown(name)} is the name of a parameter, not of a dataset"
            problems.error("dataset-name", message, at, at_key=True)
            continue
        dataset = _dataset(name, value, at, problems)
        if "{" in name or "}" in name:
            pattern = _pattern(name, dataset, problems)
            if pattern is not None:
                patterns.append(pattern)
        else:
            datasets[name] = dataset
    entries = _entries(conf.parameters, "parameter", problems)
    parameters = frozenset(parameter_names({key: value for key, (value, _) in entries.items()}))
    patterns.sort(key=_rank)
    return Catalog(tuple(problems.found), parameters, datasets, tuple(patterns))


def _entries(
    documents: Iterable[LayeredDocument], what: str, problems: Problems
) -> dict[str, tuple[Any, Origin]]:
    """Return the top-level entries; an environment's replaces that of base as a whole (Kedro)."""
    found: dict[str, tuple[Any, Origin]] = {}
    layers: dict[str, str] = {}
    for document in documents:
        if document.data is None:
            continue
        if not isinstance(document.data, dict):
            wrong_type(
                "the file", document.data, f"a mapping of {what}s", document.origin(), problems
            )
            continue
        for name, value in document.data.items():
            # Kedro's place for anchors.
            if name.startswith("_"):
                continue
            at = document.origin(name)
            if layers.get(name) == document.layer:
                first = found[name][1].location(key=True)
                problems.error(
                    "duplicate-key",
                    f"the {what} {shown(name)} is declared twice, first at {first}",
                    at,
                    fix="remove one of them",
                    at_key=True,
                )
                continue
            found[name] = value, at
            layers[name] = document.layer
    return found


def _dataset(name: str, value: Any, at: Origin, problems: Problems) -> Dataset:
    """Return the dataset of an entry, one of which nothing is known when the entry is wrong."""
    what = f"the dataset {shown(name)}"
    if not isinstance(value, dict):
        wrong_type(what, value, "a mapping", at, problems, "write {path: ..., format: ...}")
        return Dataset(name, at)
    good = True
    for key in ("type", "filepath", "path", "format"):
        if key in value and not (isinstance(value[key], str) and value[key]):
            found = "empty" if value[key] == "" else kind_of(value[key])
            problems.error("wrong-type", f"'{key}' of {what} is {found}, not text", at / key)
            good = False
    for key in ("load_args", "save_args"):
        if not isinstance(value.get(key) or {}, dict):
            wrong_type(f"'{key}' of {what}", value[key], "a mapping", at / key, problems)
            good = False
    if not isinstance(value.get("shared", False), bool):
        wrong_type(f"'shared' of {what}", value["shared"], "true or false", at / "shared", problems)
        good = False
    if "type" not in value:
        # With a type it is Kedro's entry, and its class knows which keys it takes.
        check_keys(value, _OWN_KEYS, what, at, problems)
    if not good:
        return Dataset(name, at)
    if "format" in value:
        _check_format(value["format"], at / "format", problems)
    if not {"type", "filepath", "path", "format"} & value.keys():
        problems.error(
            "missing-key",
            f"{what} does not say where it is",
            at,
            fix="give it a 'path', or Kedro's 'type' and 'filepath'",
            at_key=True,
        )
        return Dataset(name, at)
    uri = value.get("filepath", value.get("path"))
    return Dataset(
        name,
        at,
        persisted=is_persisted(value),
        uri=uri,
        format=value.get("format", value.get("type")),
        shared=value.get("shared", False),
        load_args=value.get("load_args") or {},
        save_args=value.get("save_args") or {},
    )


_OWN_KEYS = ("path", "filepath", "format", "shared", "load_args", "save_args", "metadata")


FORMATS = frozenset(
    {
        *("ref", "npy", "bytes", "text", "image", "json", "jsonl", "joblib", "pickle", "csv"),
        *("parquet", "excel", "arrow", "arrow-parquet", "pandas-parquet", "pandas-arrow"),
        *("series-parquet", "series-arrow", "polars-parquet"),
    }
)
"""Names of the formats that tasks know; a package in their image can add others."""


def _check_format(name: str, at: Origin, problems: Problems) -> None:
    """Warn of a format that no task has unless its image brings it; Kedro's classes have a dot."""
    if name in FORMATS or "." in name:
        return
    from importlib.metadata import entry_points

    known = FORMATS | {point.name for point in entry_points(group="dagforge.formats")}
    if name not in known:
        near = did_you_mean(name, known) or "the tasks need a package that brings it"
        problems.warn(Problem("unknown-format", f"there is no format {shown(name)}", at, near))


def is_persisted(entry: Mapping[str, Any]) -> bool:
    """Say whether an entry's data outlive the process; `format` alone leaves the place open."""
    kind = entry.get("type")
    if not isinstance(kind, str):
        return "filepath" in entry or "path" in entry
    name = kind.rpartition(".")[2].lower()
    if name == "cacheddataset":
        inner = entry.get("dataset")
        return is_persisted({"type": inner} if isinstance(inner, str) else inner or {})
    return name not in _IN_MEMORY


def _pattern(name: str, dataset: Dataset, problems: Problems) -> _Pattern | None:
    """Return the factory of a name with braces, which match as little text as they can."""
    regex = ""
    seen: set[str] = set()
    for literal, part in re.findall(r"([^{}]*)(\{[^{}]*\}|$)", name):
        regex += re.escape(literal)
        if part:
            placeholder = part[1:-1]
            if not placeholder.isidentifier():
                break
            regex += f"(?P={placeholder})" if placeholder in seen else f"(?P<{placeholder}>.+?)"
            seen.add(placeholder)
    else:
        if seen and name.count("{") == name.count("}"):
            return _Pattern(name, re.compile(regex), dataset)
    problems.error(
        "dataset-name",
        f"the dataset factory {shown(name)} has braces that are not {{name}}",
        dataset.origin,
        at_key=True,
    )
    return None


def _rank(pattern: _Pattern) -> tuple[int, int, str]:
    """Return Kedro's order of factories: most literal characters, most placeholders, by name."""
    literal = re.sub(r"\{[^{}]*\}", "", pattern.text)
    return -len(literal), -pattern.text.count("{"), pattern.text


def parameter_names(parameters: Mapping[str, Any]) -> Iterator[str]:
    """Return every `params:a.b` that Kedro makes of nested parameters."""
    pending: list[tuple[str, Mapping[str, Any]]] = [("params:", parameters)]
    while pending:
        prefix, values = pending.pop()
        for key, value in values.items():
            yield prefix + key
            if isinstance(value, dict):
                pending.append((f"{prefix}{key}.", value))


def read_parameters(conf: Conf) -> dict[str, Any]:
    """Return the project's parameters; an environment's replace base's by top-level key (Kedro)."""
    if conf.kedro is not None:
        return conf.kedro.values("parameters")
    return {
        name: value
        for name, (value, _) in _entries(conf.parameters, "parameter", Problems()).items()
    }
