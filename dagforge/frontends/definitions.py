"""The pipelines of a project by name, and who reads each of them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from dagforge.conf import Conf
from dagforge.errors import (
    LoadError,
    Origin,
    PipelineError,
    Problem,
    Problems,
    SourceLocation,
    did_you_mean,
)
from dagforge.frontends.catalog import Declared, read_catalog
from dagforge.frontends.check import Writer, check_nodes, datasets_of
from dagforge.frontends.parameters import settled
from dagforge.frontends.words import check_name, shown, wrong_type
from dagforge.frozen import frozen
from dagforge.ir import Node, Parameter, Pipeline
from dagforge.order import shortened

NATIVE = "yaml"
NATIVE_KEYS = ("nodes", "include", "select")


@frozen
class Definition:
    """A pipeline as pipelines.yml has it, or as a project's own tool registers it.

    Attributes:
        origin: where the body is.
        body: what stands under the name; anything.
    """

    name: str
    origin: Origin
    body: Any


@frozen
class NodesRead:
    """What a front-end made of a definition.

    Attributes:
        nodes: those that could be read.
        problems: what is wrong within the definition.
        complete: False when something is missing, so that looking for it would mislead.
        parameters: those that the definition declares by itself, by name.
        description: what the definition says of itself, where pipelines.yml says nothing.
        grouping: how nodes are told together where no setting says it.
        on_demand: as of `Pipeline`.
    """

    nodes: tuple[Node, ...]
    problems: tuple[Problem, ...] = ()
    complete: bool = True
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    description: str | None = None
    grouping: str | None = None
    on_demand: bool = False


class FrontEnd(Protocol):
    """What the folder of a front-end offers."""

    def needs(self, definition: Definition) -> Sequence[tuple[str, Origin]]:
        """Return the other pipelines that a definition is made of, and where it names them."""

    def read_nodes(self, definition: Definition, registry: Registry) -> NodesRead:
        """Return the nodes of a definition; those that it needs were read before."""


class Registry:
    """The pipelines of a project; iterates over their names in order of definition.

    Attributes:
        problems: what is wrong with the registry as a whole and with the catalog, whichever
            pipeline is loaded.
        catalog: the datasets and parameters that the project declares.
    """

    def __init__(self, conf: Conf) -> None:
        """Read the names.

        Raises:
            LoadError: there are none.
        """
        self.conf = conf
        problems = Problems()
        self._definitions = _read_definitions(conf, problems)
        self.catalog: Declared = _read_catalog(conf)
        problems.extend(self.catalog.problems)
        self.problems = tuple(problems.found)
        self._front_ends: dict[str, str | None] = {}
        self._own_problems: dict[str, tuple[Problem, ...]] = {}
        self._read: dict[str, NodesRead] = {}
        self._writers: dict[str, Writer] | None = None

    def __iter__(self) -> Iterator[str]:
        return iter(self._definitions)

    def __len__(self) -> int:
        return len(self._definitions)

    def __contains__(self, name: object) -> bool:
        return name in self._definitions

    def load(self, name: str) -> Pipeline:
        """Return a pipeline.

        Raises:
            LoadError: there is no such pipeline.
            PipelineError: it is wrong; holds every problem of it and of those that it is made of.
        """
        definition = self._definitions.get(name)
        if definition is None:
            raise LoadError.of(
                "unknown-pipeline",
                f"there is no pipeline {shown(name)}",
                fix=did_you_mean(name, self),
            )
        read = self.nodes_of(name)
        problems = Problems(list(read.problems))
        if not read.nodes and read.complete:
            problems.error(
                "empty-pipeline",
                f"pipeline {shown(name)} has no nodes",
                definition.origin,
                at_key=True,
            )
        kedro = self.conf.project.kedro
        body = definition.body if isinstance(definition.body, dict) else {}
        pipeline = Pipeline(
            name=name,
            nodes=read.nodes,
            origin=definition.origin,
            datasets=datasets_of(read.nodes, self.catalog),
            parameters=settled(read.parameters, self.conf, problems),
            description=body.get("description") or read.description,
            grouping=read.grouping,
            on_demand=read.on_demand,
            front_end=self._front_ends.get(name) or NATIVE,
            kedro_version=kedro.version if kedro is not None else None,
        )
        check_nodes(
            pipeline,
            self.catalog,
            problems,
            catalog_file=self.conf.shown("catalog.yml"),
            written_elsewhere=self._writer_of,
            complete=read.complete,
        )
        problems.raise_errors(PipelineError)
        return replace(pipeline, warnings=tuple(problems.found)) if problems.found else pipeline

    def definition(self, name: str) -> Definition | None:
        """Return what defines a pipeline; None where there is none of that name."""
        return self._definitions.get(name)

    def nodes_of(self, name: str) -> NodesRead:
        """Return what could be read of a pipeline that is in the registry."""
        if name not in self._read:
            # From the innermost out, so that a long chain of includes does not recurse.
            for inner in self._inner_first(name):
                self._read[inner] = self._read_one(inner)
        return self._read[name]

    def _read_one(self, name: str) -> NodesRead:
        own = self._own_problems[name]
        front_end = self._front_end(name)
        if front_end is None:
            return NodesRead((), own, complete=False)
        read = front_end.read_nodes(self._definitions[name], self)
        return replace(read, problems=(*own, *read.problems))

    def _front_end(self, name: str) -> FrontEnd | None:
        if name not in self._front_ends:
            problems = Problems()
            self._front_ends[name] = _front_end_of(self._definitions[name], problems)
            self._own_problems[name] = tuple(problems.found)
        folder = self._front_ends[name]
        return None if folder is None else _import(folder)

    def _inner_first(self, name: str) -> list[str]:
        """Return the names that are to be read for `name`, and it last; keep cycles as read."""
        order: list[str] = []
        path: list[tuple[str, Iterator[tuple[str, Origin]]]] = [(name, self._needs(name))]
        on_path = {name: 0}
        done: set[str] = set()
        while path:
            outer, needed = path[-1]
            for inner, _ in needed:
                if inner in on_path:
                    self._refuse_cycle([entry for entry, _ in path[on_path[inner] :]])
                elif inner in self._definitions and inner not in done and inner not in self._read:
                    on_path[inner] = len(path)
                    path.append((inner, self._needs(inner)))
                    break
            else:
                path.pop()
                del on_path[outer]
                done.add(outer)
                order.append(outer)
        return [entry for entry in order if entry not in self._read]

    def _needs(self, name: str) -> Iterator[tuple[str, Origin]]:
        front_end = self._front_end(name)
        return iter(() if front_end is None else front_end.needs(self._definitions[name]))

    def _refuse_cycle(self, names: list[str]) -> None:
        """Keep the error for pipelines that are made of each other, the same from all of them."""
        position = {name: number for number, name in enumerate(self)}
        start = names.index(min(names, key=position.__getitem__))
        names = [*names[start:], *names[:start]]
        chain = " -> ".join(shortened([*names, names[0]], "... {} more ..."))
        first = self._definitions[names[0]]
        inner = names[1] if len(names) > 1 else names[0]
        front_end = self._front_end(names[0])
        places = dict(front_end.needs(first)) if front_end is not None else {}
        problem = Problem(
            "include-cycle",
            f"pipeline {shown(names[0])} is made of itself: {chain}",
            places.get(inner, first.origin),
            "take one of them out",
        )
        for name in names:
            self._read[name] = NodesRead((), (problem,), complete=False)

    def _writer_of(self, dataset: str) -> Writer | None:
        """Return the pipeline and node that write a dataset, wherever that is."""
        if self._writers is None:
            self._writers = {}
            for name in self:
                for node in self.nodes_of(name).nodes:
                    for output in node.outputs:
                        self._writers.setdefault(output, (name, node))
        return self._writers.get(dataset)


_SETTINGS_FILE = "put it under the pipeline's name in a settings file such as airflow.yml"
# What other tools call things, and what stands elsewhere here.
_HINTS = {
    **dict.fromkeys(("tasks", "steps", "node"), "write nodes"),
    **dict.fromkeys(("schedule", "start_date", "catchup", "default_args"), _SETTINGS_FILE),
    **dict.fromkeys(("retries", "owner", "image", "settings", "dag_id"), _SETTINGS_FILE),
}


def _read_definitions(conf: Conf, problems: Problems) -> dict[str, Definition]:
    definitions: dict[str, Definition] = {}
    for document in conf.pipelines:
        if document.data is None:
            continue
        if not isinstance(document.data, dict):
            wrong_type(
                "the file", document.data, "a mapping of pipelines", document.origin(), problems
            )
            continue
        for name, body in document.data.items():
            # A place for anchors, as in Kedro's catalogs; `__default__` is a pipeline.
            if name.startswith("_") and not name.startswith("__"):
                continue
            _add(Definition(name, document.origin(name), body), definitions, problems)
    if conf.kedro is not None:
        from dagforge.frontends.kedro import registered

        found, wrong = registered(conf.kedro)
        problems.extend(wrong)
        for definition in found:
            _add(definition, definitions, problems)
    if not definitions and not problems.found and conf.kedro is not None:
        problems.error(
            "no-pipelines",
            "the project registers no pipelines",
            conf.kedro.project.registry_place(),
            fix="return them by name from register_pipelines()",
        )
    elif not definitions and not problems.found:
        file = conf.pipelines[0].file if conf.pipelines else conf.shown("pipelines.yml")
        problems.error(
            "no-pipelines",
            "the project defines no pipelines",
            SourceLocation(file),
            fix="define one here",
        )
    if not definitions:
        problems.fail(LoadError)
    return definitions


def _add(definition: Definition, definitions: dict[str, Definition], problems: Problems) -> None:
    """Add a definition under a name that is good and not taken."""
    name, at = definition.name, definition.origin
    check_name(name, "pipeline's name", "pipeline-name", at, problems, at_key=True)
    if name == "default":
        problems.error(
            "pipeline-name",
            "a pipeline cannot be called 'default': that section of the settings is for"
            " all pipelines",
            at,
            fix="rename it; '__default__' is the pipeline that runs by default",
            at_key=True,
        )
    first = definitions.setdefault(name, definition)
    if first is not definition:
        problems.error(
            "duplicate-pipeline",
            f"pipeline {shown(name)} is defined twice, first at {first.origin.location(key=True)}",
            at,
            fix="rename one of them",
            at_key=True,
        )


def _read_catalog(conf: Conf) -> Declared:
    if conf.kedro is None:
        return read_catalog(conf)
    from dagforge.frontends.kedro.catalog import read_kedro_catalog

    return read_kedro_catalog(conf.kedro)


def _front_end_of(definition: Definition, problems: Problems) -> str | None:
    """Return the folder that reads a definition; None where its keys do not say."""
    what = f"pipeline {shown(definition.name)}"
    body = definition.body
    if not isinstance(body, dict):
        wrong_type(what, body, "a mapping", definition.origin, problems)
        return None
    folder_by_key = {folder: folder for folder in _folders() if folder != NATIVE}
    folder_by_key.update(dict.fromkeys(NATIVE_KEYS, NATIVE))
    good = [key for key in body if key in folder_by_key]
    for key in body:
        if key in folder_by_key or key == "description":
            continue
        at = definition.origin / key
        known = [*folder_by_key, "description"]
        message = f"{what} has no key {shown(key)}"
        fix = _HINTS.get(key) or did_you_mean(key, known)
        problems.error("unknown-key", message, at, fix=fix, at_key=True)
    description = body.get("description")
    if description is not None and not isinstance(description, str):
        at = definition.origin / "description"
        wrong_type(f"the description of {what}", description, "text", at, problems)
    if len(good) > 1 or (not good and not problems.found):
        has = (
            f"both '{good[0]}' and '{good[1]}'"
            if good
            else f"none of {', '.join(repr(key) for key in sorted(folder_by_key))}"
        )
        fix = "make two pipelines of it" if good else "give it 'nodes'"
        message = f"{what} has {has}"
        problems.error("pipeline-form", message, definition.origin, fix=fix, at_key=True)
    return folder_by_key[good[0]] if len(good) == 1 else None


@cache
def _folders() -> list[str]:
    """Return the front-ends that there are: the names of the folders."""
    return sorted(
        module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]) if module.ispkg
    )


def _import(folder: str) -> FrontEnd:
    module: Any = importlib.import_module(f"dagforge.frontends.{folder}")
    front_end: FrontEnd = module
    return front_end
