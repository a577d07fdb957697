"""The datasets that a Kedro project declares, from the catalog's configuration alone.

Kedro's own resolver finds the entry or the factory of a name. No class of a dataset is imported,
and no credentials are read.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dagforge.errors import Origin, Problem, Problems, suggest
from dagforge.frontends.catalog import is_persisted, parameter_names
from dagforge.frontends.kedro.dataset_types import fix_of, is_missing
from dagforge.frontends.kedro.factories import Factory, factories_of, made_by
from dagforge.frontends.words import check_keys, shown, wrong_type
from dagforge.frozen import frozen
from dagforge.ir import Dataset
from dagforge.reading.kedro_conf import KedroConf
from dagforge.reading.kedro_project import silence

_PATHS = ("filepath", "path", "filename")
_CATALOG = "catalog"


@dataclass(slots=True)
class KedroCatalog:
    """What the catalog of a Kedro project declares.

    Attributes:
        problems: what is wrong with the declarations.
        parameters: every `params:` name that there is.
    """

    conf: KedroConf
    problems: tuple[Problem, ...]
    parameters: frozenset[str]
    _entries: Mapping[str, Any]
    _unread: Container[str]
    _resolver: Any
    _factories: tuple[Factory, ...]
    _used: _Used
    _found: dict[str, Dataset | None] = field(default_factory=dict)

    @property
    def names(self) -> Iterable[str]:
        """The datasets that are declared by their full name."""
        return dict.fromkeys(name.partition("@")[0] for name in self._entries if "{" not in name)

    def find(self, name: str) -> Dataset | None:
        """Return the dataset of a name, from its entry or Kedro's best factory; None without one.

        A dataset that nodes know in several formats (`table@pandas`, `table@spark`) is one, and
        lives in memory when one of its entries does.
        """
        if name not in self._found:
            formats = self._used.formats.get(name)
            self._found[name] = (
                self._find(name) if formats is None else self._in_formats(name, formats)
            )
        return self._found[name]

    def _in_formats(self, name: str, formats: tuple[str, ...]) -> Dataset | None:
        found = {full: self._find(full) for full in formats}
        declared = [dataset for dataset in found.values() if dataset is not None]
        if len(declared) < len(found) and name not in self._used.written:
            return None
        for full, dataset in found.items():
            if dataset is None or not dataset.persisted:
                at = self.conf.origin(_CATALOG, full)
                return Dataset(name, at, persisted=False, formats=formats)
        return replace(declared[0], name=name, formats=formats)

    def _find(self, full: str) -> Dataset | None:
        if full in self._unread:
            return Dataset(full, self.conf.origin(_CATALOG, full))
        if full in self._entries:
            return self._dataset(full, full, self._resolver.resolve_pattern(full))
        found = made_by(self._factories, full)
        return None if found is None else self._dataset(full, *found)

    def _dataset(self, full: str, name: str, entry: Mapping[str, Any]) -> Dataset:
        """Return the dataset of a name that the entry, or the factory, called `name` gives."""
        inner = entry
        # What CachedDataset keeps in memory, and where partitions lie, is in the dataset within.
        while not any(key in inner for key in _PATHS) and isinstance(inner.get("dataset"), dict):
            inner = inner["dataset"]
        path = next((inner[key] for key in _PATHS if isinstance(inner.get(key), str)), None)
        kind, persisted = entry.get("type"), is_persisted(entry)
        return Dataset(
            name=full,
            origin=self.conf.origin(_CATALOG, name),
            persisted=persisted,
            uri=path if persisted else None,
            format=str(kind) if persisted else None,
            shared=bool(_own_metadata(entry).get("shared")),
            versioned=bool(inner.get("versioned") or entry.get("versioned")),
        )


def read_kedro_catalog(conf: KedroConf) -> KedroCatalog:
    """Return the datasets and parameters of a Kedro project; what is wrong is kept with them."""
    problems = Problems()
    parameters: frozenset[str] = _Anything()
    entries: Mapping[str, Any] = {}
    unread: frozenset[str] = frozenset()
    with problems.kept():
        parameters = frozenset(parameter_names(_with_text_keys(conf.values("parameters"))))
    before = len(problems.found)
    with problems.kept():
        entries = conf.catalog()
    good = {
        name: _without_credentials(value)
        for name, value in entries.items()
        if _is_entry(name, value, conf, problems)
    }
    resolver = _resolver(good, conf, problems)
    if resolver is None or (not entries and len(problems.found) > before):
        # Whatever else is said of a catalog that cannot be read would mislead.
        resolver, good, unread = None, {}, _Anything()
    elif len(good) < len(entries):
        unread = frozenset(entries.keys() - good.keys())
        if any("{" in name for name in unread):
            unread = _Anything()
    factories = factories_of(resolver.list_patterns() if resolver is not None else (), good)
    return KedroCatalog(
        conf, tuple(problems.found), parameters, good, unread, resolver, factories, _used(conf)
    )


class _Anything(frozenset[str]):
    """Every name: of what could not be read, it is not known what there is."""

    def __contains__(self, name: object) -> bool:
        return True


def _is_entry(name: str, value: Any, conf: KedroConf, problems: Problems) -> bool:
    """Say whether an entry is a mapping, and report what is wrong with it."""
    what, at = f"the dataset {shown(str(name))}", conf.origin(_CATALOG, name)
    fix = f"call it _{name}, if it is there to be used by others"
    if not isinstance(value, dict):
        wrong_type(what, value, "a mapping", at, problems, fix)
        return False
    if "type" not in value:
        near = suggest("type", map(str, value))
        fix = f"write 'type' for '{near}'" if near else f"say of which class it is, or {fix}"
        problems.error("missing-key", f"{what} has no 'type'", at, fix=fix, at_key=True)
    elif value["type"] == "":
        problems.error("wrong-type", f"'type' of {what} is empty, not text", at / "type")
    elif not isinstance(value["type"], (str, type)):
        wrong_type(f"'type' of {what}", value["type"], "text", at / "type", problems)
    else:
        _warn_of_type(value, what, at, problems)
    if isinstance(value.get("filepath"), (bool, int, float)):
        wrong_type(f"'filepath' of {what}", value["filepath"], "text", at / "filepath", problems)
    if "dagforge" in _metadata(value):
        _check_own(value["metadata"]["dagforge"], what, at / "metadata" / "dagforge", problems)
    return True


def _warn_of_type(entry: Mapping[str, Any], what: str, at: Origin, problems: Problems) -> None:
    """Warn of a class that the Kedro installed here would not find; the image's may have it."""
    kind, inner = entry["type"], entry.get("dataset")
    if isinstance(kind, str) and is_missing(kind):
        message = f"the type '{kind}' of {what} is no class of Kedro's or of kedro-datasets here"
        problems.warn(Problem("dataset-type", message, at / "type", fix_of(kind)))
    if isinstance(inner, dict) and "type" in inner:
        _warn_of_type(inner, what, at / "dataset", problems)


def _check_own(own: Any, what: str, at: Origin, problems: Problems) -> None:
    """Report what is wrong with what an entry says to DagForge alone."""
    if not isinstance(own, dict):
        wrong_type(f"'metadata.dagforge' of {what}", own, "a mapping", at, problems)
        return
    check_keys(own, ("shared",), f"'metadata.dagforge' of {what}", at, problems)
    if not isinstance(own.get("shared", False), bool):
        wrong_type(f"'shared' of {what}", own["shared"], "true or false", at / "shared", problems)


def _metadata(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the metadata of an entry, which to Kedro may be anything."""
    found = entry.get("metadata")
    return found if isinstance(found, dict) else {}


def _own_metadata(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    found = _metadata(entry).get("dagforge")
    return found if isinstance(found, dict) else {}


def _resolver(entries: dict[str, Any], conf: KedroConf, problems: Problems) -> Any:
    """Return Kedro's own resolver of the names of datasets; None where it refuses the catalog."""
    with silence():
        from kedro.io import DatasetError
        from kedro.io.catalog_config_resolver import CatalogConfigResolver

        try:
            return CatalogConfigResolver(entries, {})
        except (DatasetError, ValueError, KeyError) as error:
            name = next((name for name in entries if "{" in name and name in str(error)), "")
            at = Origin(conf.origin(_CATALOG, name).source)
            says = str(error).rstrip(".")
            problems.error("kedro-conf", f"Kedro cannot read the catalog: {says}", at)
            return None


@frozen
class _Used:
    """The datasets of the project's nodes, without what follows `@` in their names.

    Attributes:
        formats: the full names of those that are known in several formats.
        written: those that a node writes.
    """

    formats: Mapping[str, tuple[str, ...]]
    written: frozenset[str]


def _used(conf: KedroConf) -> _Used:
    pipelines, _ = conf.project.pipelines()
    nodes = [node for each in pipelines.values() for node in getattr(each, "nodes", ())]
    written = {name for node in nodes for name in node.outputs}
    names = {name for node in nodes for name in node.inputs} | written
    formats: dict[str, list[str]] = {}
    for name in sorted(name for name in names if "@" in name):
        formats.setdefault(name.partition("@")[0], []).append(name)
    return _Used(
        {name: tuple(full) for name, full in formats.items()},
        frozenset(name.partition("@")[0] for name in written),
    )


def _without_credentials(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_credentials(inner) for key, inner in value.items() if key != "credentials"
        }
    if isinstance(value, list):
        return [_without_credentials(inner) for inner in value]
    return value


def _with_text_keys(values: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        str(key): _with_text_keys(value) if isinstance(value, dict) else value
        for key, value in values.items()
    }
