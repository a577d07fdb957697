"""What another version of the orchestrator makes of the same definition.

The facts are in `templates/<orchestrator>/changes.yaml`. Here they are looked for in what people
wrote: import paths, templates, arguments of operators, settings; each is told with its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from dagforge.compare.outline import DagOutline
from dagforge.conf import parse_yaml
from dagforge.errors import Origin
from dagforge.frozen import frozen
from dagforge.ir import Node, Operator, Pipeline
from dagforge.resolve import Layer, Settings
from dagforge.target import Target, for_version, version_key
from dagforge.values import Cron, Every

CHANGES_FILE: Final = "changes.yaml"
FAILS: Final = "fails"
"""A task fails, or the file does not load."""
DIFFERS: Final = "differs"
SAME: Final = "same"
"""The orchestrator differs, and what is generated does not depend on it."""
Facts = Mapping[str, Any]


@frozen
class Move:
    """Something that is otherwise in the new version.

    Attributes:
        kind: `import`, `template`, `argument`, `setting`, `asset`, `interval` or `default`.
        effect: FAILS, DIFFERS or SAME.
        message: one sentence without a full stop.
        fix: what to write instead; None where nothing has to be done or known.
        at: where it is written, `file:line:column`; None where it is not written.
    """

    kind: str
    effect: str
    message: str
    fix: str | None = None
    at: str | None = None


@frozen
class Written:
    """A value that somebody wrote, with where it stands."""

    value: Any
    at: Origin


def read_changes(target: Target) -> Facts:
    """Return what differs between versions of the target's orchestrator; empty where none does."""
    path = target.folder / CHANGES_FILE
    if not path.is_file():
        return {}
    facts: Facts = parse_yaml(path.read_bytes(), f"{target.orchestrator}/{CHANGES_FILE}").data
    return facts


def moves(
    definitions: Iterable[tuple[Pipeline, Settings]],
    dags: Iterable[tuple[DagOutline, DagOutline]],
    old: str,
    target: Target,
) -> tuple[Move, ...]:
    """Return what is otherwise, each once, in the order of the definitions.

    Args:
        definitions: pipelines and their settings, for the new version.
        dags: the DAGs before and after.
        old: the version that is left.
        target: in the version that is gone to.
    """
    facts = read_changes(target)
    if not facts or old == target.version:
        return ()
    look = _Look(facts, old, target.version, target.orchestrator.capitalize())
    shifted = {after.pipeline for before, after in dags if _shifts(before, after)}
    by_asset = {after.pipeline for _, after in dags if after.assets}
    found: dict[tuple[str, str], Move] = {}
    for pipeline, settings in definitions:
        templates = list(_templates(pipeline, settings))
        groups: list[Iterable[Move]] = [
            look.imports(_paths(pipeline, settings)),
            look.templates(templates),
            *(look.arguments(node) for node in pipeline.nodes),
            look.settings(settings),
        ]
        if pipeline.name in by_asset:
            groups.append(look.without_logical_date(templates))
        if pipeline.name in shifted:
            groups.append(look.shifted(templates))
        for move in (each for group in groups for each in group):
            found.setdefault((move.at or "", move.message), move)
    return (*found.values(), *look.defaults())


def _shifts(before: DagOutline, after: DagOutline) -> bool:
    """Say whether a DAG's runs have another data interval."""
    schedules = (before.schedule, after.schedule)
    return (
        all(isinstance(each, (Cron, Every)) for each in schedules)
        and schedules[0].meaning != schedules[1].meaning
    )


class _Look:
    """Looks for what differs between two versions."""

    def __init__(self, facts: Facts, old: str, new: str, orchestrator: str) -> None:
        self.facts = facts
        self.versions = old, new
        self.old, self.new = version_key(old), version_key(new)
        self.name = f"{orchestrator} {new}"

    def _has(self, entry: Facts, version: tuple[int, ...]) -> bool:
        if "since" in entry and version < version_key(entry["since"]):
            return False
        return "until" not in entry or version <= version_key(entry["until"])

    def _loses(self, entry: Facts) -> bool:
        return self._has(entry, self.old) and not self._has(entry, self.new)

    def imports(self, paths: Iterable[Written]) -> Iterator[Move]:
        """Yield the import paths that are gone or deprecated, or not there yet."""
        for each in paths:
            path = str(each.value).replace(":", ".")
            entry, other = self._moved(path)
            if entry is None:
                yield from self._too_new(each, path)
                continue
            if self.new < version_key(entry.get("since", "0")):
                other = None
            fix = None if other is None else f"write {other}"
            if self._is_new(entry, "gone"):
                message = f"{path} is gone from {self.name}"
                yield Move("import", FAILS, message, fix, _at(each))
            elif self._is_new(entry, "deprecated") and other is not None:
                message = f"{path} is deprecated in {self.name}"
                yield Move("import", DIFFERS, message, fix, _at(each))

    def _is_new(self, entry: Facts, key: str) -> bool:
        """Say whether what an entry tells of came between the two versions."""
        return key in entry and self.old < version_key(entry[key]) <= self.new

    def _too_new(self, each: Written, path: str) -> Iterator[Move]:
        module, _, name = path.rpartition(".")
        for old_path, entry in self.facts.get("moved", {}).items():
            names, to = entry.get("names"), entry["to"]
            known = to == path if names is None else to == module and name in names
            if not known or not self.new < version_key(entry.get("since", "0")) <= self.old:
                continue
            if "deprecated" in entry and version_key(entry["deprecated"]) <= self.new:
                continue
            fix = f"write {old_path}" + ("" if names is None else f".{name}")
            yield Move("import", FAILS, f"{self.name} has no {path}", fix, _at(each))
            return

    def _moved(self, path: str) -> tuple[Facts | None, str | None]:
        """Return the entry of an import path that moved, and where it is now."""
        moved: Mapping[str, Facts] = self.facts.get("moved", {})
        module, _, name = path.rpartition(".")
        if path in moved:
            return moved[path], moved[path]["to"]
        entry = moved.get(module)
        if entry is None or name not in entry.get("names", ()):
            return None, None
        return entry, f"{entry['to']}.{name}"

    def templates(self, texts: Iterable[Written]) -> Iterator[Move]:
        """Yield the variables, and their attributes, that templates use and that are gone."""
        variables: Mapping[str, Facts] = self.facts.get("template_variables", {})
        attributes: Mapping[str, Mapping[str, Facts]] = self.facts.get("template_attributes", {})
        for each in texts:
            names, pairs = used_in(each.value)
            lost = [(name, variables[name]) for name in names if name in variables]
            lost += [
                (f"{name}.{attribute}", attributes[name][attribute])
                for name, attribute in pairs
                if attribute in attributes.get(name, ())
            ]
            for name, entry in lost:
                if self._loses(entry):
                    message = f"templates have no {name} in {self.name}"
                    fix = f"write {entry['instead']}"
                    yield Move("template", FAILS, message, fix, _at(each))

    def arguments(self, node: Node) -> Iterator[Move]:
        """Yield the arguments of an operator, and their values, that are gone."""
        if not isinstance(node.action, Operator):
            return
        kind = node.action.path.replace(":", ".").rpartition(".")[2]
        table: Mapping[str, Mapping[str, Facts]] = self.facts.get("operator_arguments", {})
        known = {**table.get("*", {}), **table.get(kind, {})}
        values: Mapping[str, Mapping[str, Facts]] = self.facts.get("argument_values", {})
        for name, value in node.action.arguments.items():
            at = node.origin / "operator" / "arguments" / name
            entry = known.get(name)
            if entry is not None and self._loses(entry):
                ignored = bool(entry.get("ignored"))
                word = "ignores" if ignored else "does not take"
                message = f"{kind} {word} {name} in {self.name}"
                effect = DIFFERS if ignored else FAILS
                place = str(at.location(key=True))
                yield Move("argument", effect, message, f"write {entry['instead']}", place)
            gone = values.get(name, {}).get(value) if isinstance(value, str) else None
            if gone is not None and self._loses(gone):
                message = f"there is no {name} '{value}' in {self.name}"
                fix = f"write {gone['instead']}"
                yield Move("argument", FAILS, message, fix, str(at.location()))

    def settings(self, settings: Settings) -> Iterator[Move]:
        """Yield the settings that mean something else."""
        table: Mapping[str, Mapping[str, str]] = self.facts.get("settings", {})
        for layer in layers_of(settings):
            for name, value in layer.data.items():
                if value in (None, False):
                    continue
                for version, text in table.get(name, {}).items():
                    place = layer.place((name,))
                    if place is not None and self.old < version_key(version) <= self.new:
                        at = str(place.location(key=True))
                        message = f"{name} {text} ({self.name})"
                        yield Move("setting", DIFFERS, message, None, at)

    def defaults(self) -> Iterator[Move]:
        """Yield the defaults that are others; no built-in template leaves one to Airflow."""
        for name, values in self.facts.get("defaults", {}).items():
            (before, after) = (for_version(values, version) for version in self.versions)
            if before != after:
                message = (
                    f"{name} that is not written means {after} in {self.name}, before {before}"
                )
                yield Move("default", SAME, f"{message}; the built-in templates write it")

    def without_logical_date(self, texts: Iterable[Written]) -> Iterator[Move]:
        """Yield the templates of a DAG that assets start which use the logical date."""
        first = self.facts.get("asset_runs_have_none")
        if first is None or not self.old < version_key(first) <= self.new:
            return
        for each, names in self._of_the_interval(texts):
            message = f"a run that an asset starts has no {_listed(names)} in {self.name}"
            fix = "write {{ dag_run.run_after }}, or take the date from triggering_asset_events"
            yield Move("asset", FAILS, message, fix, _at(each))

    def shifted(self, texts: Iterable[Written]) -> Iterator[Move]:
        """Yield the templates of a DAG whose data intervals are others."""
        for each, names in self._of_the_interval(texts):
            message = f"{_listed(names)} of a scheduled run moves by one interval in {self.name}"
            meaning = "interval" if self.new > self.old else "trigger"
            fix = f"set cron_meaning: {meaning} to keep it as it is"
            yield Move("interval", DIFFERS, message, fix, _at(each))

    def _of_the_interval(self, texts: Iterable[Written]) -> Iterator[tuple[Written, list[str]]]:
        wanted = set(self.facts.get("of_the_interval", ()))
        for each in texts:
            names = [name for name in used_in(each.value)[0] if name in wanted]
            if names:
                yield each, names


def used_in(text: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the variables that a template uses, and attributes of variables, each sorted."""
    from jinja2 import Environment, TemplateSyntaxError, meta, nodes

    try:
        tree = Environment(autoescape=False, extensions=("jinja2.ext.do",)).parse(text)
    except (TemplateSyntaxError, RecursionError):
        return [], []
    names = meta.find_undeclared_variables(tree)
    pairs = {
        (each.node.name, each.attr)
        for each in tree.find_all(nodes.Getattr)
        if isinstance(each.node, nodes.Name) and each.node.name in names
    }
    return sorted(names), sorted(pairs)


# --- what people wrote


def layers_of(settings: Settings) -> Iterator[Layer]:
    """Yield every layer of a pipeline's settings that stands in a file, low to high."""
    yield from settings.general
    for level in (*settings.by_tag, *settings.by_task):
        for layers in level.values():
            yield from layers
    yield from settings.by_node.values()


def _templates(pipeline: Pipeline, settings: Settings) -> Iterator[Written]:
    """Yield the texts that the orchestrator renders, or may render."""
    marks: Sequence[str] = settings.target.facts.get("templates", {}).get("marks", ())
    for node in pipeline.nodes:
        if isinstance(node.action, Operator):
            yield from _texts(node.action.arguments, node.origin / "operator" / "arguments", marks)
        elif node.action.command:
            yield from _texts(list(node.action.command), node.origin / "command", marks)
    for layer in layers_of(settings):
        for name, value in layer.data.items():
            known = settings.target.settings.get(name)
            place = layer.place((name,))
            if known is not None and known.templated and place is not None:
                yield from _texts(value, place, marks)


def _texts(value: Any, at: Origin, marks: Sequence[str]) -> Iterator[Written]:
    if isinstance(value, str):
        if any(mark in value for mark in marks):
            yield Written(value, at)
    elif isinstance(value, Mapping):
        if set(value) != {"literal"}:
            for key, inner in value.items():
                yield from _texts(inner, at / key, marks)
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from _texts(inner, at / index, marks)


def _paths(pipeline: Pipeline, settings: Settings) -> Iterator[Written]:
    """Yield the import paths."""
    for node in pipeline.nodes:
        if isinstance(node.action, Operator):
            at = node.origin / "operator"
            yield Written(node.action.path, at / "type")
            yield from _objects(node.action.arguments, at / "arguments")
    for layer in layers_of(settings):
        for name, value in layer.data.items():
            place = layer.place((name,))
            if place is not None:
                yield from _objects(value, place)


def _objects(value: Any, at: Origin) -> Iterator[Written]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in ("import", "call") and isinstance(inner, str):
                yield Written(inner, at / key)
            else:
                yield from _objects(inner, at / key)
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from _objects(inner, at / index)


def _at(each: Written) -> str:
    return str(each.at.location())


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
