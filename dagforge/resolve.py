"""Settings: an ordered tuple of layers, merged by a pure function.

The order, low to high: the target's own, `default`, the pipeline's section, `for_tags`,
`for_tasks`, the node's own, `--params`. Within each, the packages that the project extends come
before the project, base before the environment and `dagforge*.yml` before the orchestrator's file.
Where a value came from is a question asked of
the layers again, not data carried along.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dagforge.conf import BASE, Conf
from dagforge.errors import (
    Origin,
    Problem,
    Problems,
    SettingsError,
    UsageError,
    Warn,
    did_you_mean,
    suggest,
)
from dagforge.frozen import frozen
from dagforge.ir import Grouping, Node, Pipeline
from dagforge.reading.packages import Package
from dagforge.settings.schema import is_object, untold
from dagforge.target import Target, known_elsewhere

DEFAULT_SECTION = "default"
GROUPING_SETTINGS = frozenset({"grouping", "grouping_prefix", "group_names"})
# Where nothing looks for templates or objects, `{literal: text}` is the text itself.
LITERAL_IS_TEXT = (None, "duration", "date", "schedule", "timezone", "machines")
GROUPINGS = ("tags", "namespace", "memory", "module", "none")
FOR_TAGS, FOR_TASKS = "for_tags", "for_tasks"
EXCEPTIONS = "policy_exceptions"
"""The setting that says which rules need not be kept, and why."""


@frozen
class Layer:
    """Settings that one place gives.

    Attributes:
        label: what the place is called in `explain`.
        data: values by canonical name; free variables under `vars`.
        origin: where it stands; None for the target's own and the command line.
        written: the name in the file, for each canonical name that is written otherwise.
        free: free variables that stand at the top of the section.
        family: `dagforge`, or the orchestrator whose file it is; empty elsewhere.
        lost: settings that somebody tried to set here, in a way that was refused.
    """

    label: str
    data: Mapping[str, Any]
    origin: Origin | None = None
    written: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    free: frozenset[str] = frozenset()
    family: str = ""
    lost: set[str] = field(default_factory=set)

    def place(self, path: Sequence[str]) -> Origin | None:
        """Return where the value at a path of canonical names was written."""
        if self.origin is None:
            return None
        first, *rest = path
        if first == "vars" and rest and rest[0] in self.free:
            first, *rest = rest
            return Origin(self.origin.source, (*self.origin.path, first, *rest))
        written = self.written.get(first, (first,))
        return Origin(self.origin.source, (*self.origin.path, *written, *rest))


def is_atomic(value: object) -> bool:
    """Say whether a mapping is one value (an object or a literal) that is never merged."""
    return is_object(value) or (isinstance(value, dict) and set(value) == {"literal"})


def merge(
    low: Mapping[str, Any], high: Mapping[str, Any], keep_null: Collection[str] = ()
) -> dict[str, Any]:
    """Return `high` laid over `low`: mappings merge deeply, everything else replaces.

    A null inside a mapping removes the key that it would have overridden.

    Args:
        low: values by name.
        high: values by name.
        keep_null: names of mappings in which null is a value like any other.
    """
    merged = dict(low)
    for key, value in high.items():
        merged[key] = _merged(merged.get(key), value, key in keep_null)
    return merged


def _merged(low: Any, high: Any, keep_null: bool) -> Any:
    if not isinstance(high, dict) or is_atomic(high):
        return high
    merged = dict(low) if isinstance(low, dict) and not is_atomic(low) else {}
    for key, value in high.items():
        merged[key] = _merged(merged.get(key), value, keep_null)
        if merged[key] is None and not keep_null:
            del merged[key]
    return merged


def _has(data: Any, path: Sequence[str]) -> bool:
    for part in path:
        if isinstance(data, dict) and part in data:
            data = data[part]
        elif isinstance(data, list) and part.isdecimal() and int(part) < len(data):
            data = data[int(part)]
        else:
            return False
    return True


def value_at(data: Any, path: Sequence[str]) -> Any:
    """Return the value at `path` in nested mappings and lists; KeyError when there is none."""
    for part in path:
        data = data[int(part)] if isinstance(data, list) else data[part]
    return data


def _leaves(data: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterable[tuple[str, ...]]:
    for key, value in data.items():
        if isinstance(value, dict) and value and not is_atomic(value):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key)


@frozen
class Found:
    """One answer of `Settings.explain`: a layer that gives the value, the winner first."""

    layer: Layer
    value: Any
    at: Origin | None


@dataclass(frozen=True)
class Settings:
    """The settings of one pipeline for one target.

    Attributes:
        general: layers below any task: the target's own, `default`, the pipeline's.
        by_tag: for the `default` of each package and of the project, and for the pipeline, the
            layers of each tag.
        by_task: the same for task and node names.
        by_node: what stands next to a node in its pipeline.
        top: the command line.
        lost: settings whose value is not known, because it was refused.
    """

    target: Target
    pipeline: str
    general: tuple[Layer, ...]
    by_tag: tuple[Mapping[str, tuple[Layer, ...]], ...]
    by_task: tuple[Mapping[str, tuple[Layer, ...]], ...]
    by_node: Mapping[str, Layer]
    top: tuple[Layer, ...]
    lost: frozenset[str] = frozenset()
    _merged: dict[tuple[int, ...], Mapping[str, Any]] = field(default_factory=dict)

    def merged(self, layers: tuple[Layer, ...]) -> Mapping[str, Any]:
        """Return `layers` as one mapping; asked again for the same layers, the same object."""
        key = tuple(map(id, layers))
        found = self._merged.get(key)
        if found is None:
            merged: dict[str, Any] = {}
            for layer in layers:
                merged = merge(merged, layer.data, self.target.keep_null)
            found = self._merged[key] = merged
        return found

    def with_default(self, name: str, value: Any) -> Settings:
        """Return the settings with another value where nobody sets one."""
        own, *others = self.general
        changed = replace(own, data={**own.data, name: value})
        return replace(self, general=(changed, *others), _merged={})

    def for_dag(self) -> Mapping[str, Any]:
        """Return what holds for the DAG as a whole, by canonical name."""
        return self.merged(self.dag_layers)

    @property
    def dag_layers(self) -> tuple[Layer, ...]:
        """The layers of the DAG as a whole, low to high."""
        return self.general + self.top

    def task_layers(
        self, name: str, nodes: Sequence[Node], tags: Iterable[str]
    ) -> tuple[Layer, ...]:
        """Return the layers of one task, low to high.

        Args:
            name: of the group, or of its only node.
            nodes: that run in it.
            tags: of the task.
        """
        extra: list[Layer] = []
        if any(self.by_tag):
            wanted = sorted(tags)
            for level in self.by_tag:
                extra += [layer for tag in wanted for layer in level.get(tag, ())]
        named = [node.name for node in nodes if node.name != name]
        for level in self.by_task:
            if level:
                extra += [layer for node in named for layer in level.get(node, ())]
        own = [self.by_node[node.name] for node in nodes if node.settings]
        of_task = [layer for level in self.by_task for layer in level.get(name, ())]
        # What is said of a group as a whole is more specific than what one of its nodes says.
        is_group = len(nodes) > 1 or bool(named)
        extra += own + of_task if is_group else of_task + own
        return self.general + tuple(extra) + self.top

    def conflicts(
        self, name: str, nodes: Sequence[Node], tags: Iterable[str]
    ) -> Iterable[tuple[tuple[str, ...], str, Layer, Layer]]:
        """Yield what two tags of a task, or two nodes of a group, set differently.

        Yields:
            Path of the setting, which of the two sorts it is (`tags` or `nodes`), both layers.
        """
        if not (self.by_node or any(self.by_tag) or any(self.by_task)):
            return
        wanted = sorted(tags)
        final = [layer for level in self.by_task for layer in level.get(name, ())]
        final += self.top
        for level in self.by_tag:
            sources: list[Sequence[Layer]] = [level.get(tag, ()) for tag in wanted]
            yield from self._differing(sources, "tags", final)
        if len(nodes) > 1:
            sources = []
            for node in nodes:
                layers = [layer for level in self.by_task for layer in level.get(node.name, ())]
                if node.settings:
                    layers.append(self.by_node[node.name])
                sources.append(layers)
            yield from self._differing(sources, "nodes", final)

    @staticmethod
    def _differing(
        sources: Sequence[Sequence[Layer]], sort: str, settled: Sequence[Layer]
    ) -> Iterable[tuple[tuple[str, ...], str, Layer, Layer]]:
        first: dict[tuple[str, ...], tuple[Layer, Any]] = {}
        for layers in sources:
            mine: dict[tuple[str, ...], tuple[Layer, Any]] = {}
            for layer in layers:
                for path in _leaves(layer.data):
                    mine[path] = (layer, value_at(layer.data, path))
            for path, (layer, value) in mine.items():
                if path not in first:
                    first[path] = (layer, value)
                elif first[path][1] != value and not any(_has(s.data, path) for s in settled):
                    yield path, sort, first[path][0], layer

    def explain(self, path: Sequence[str], layers: tuple[Layer, ...]) -> list[Found]:
        """Return every layer that gives the value at `path`, the winner first."""
        return [
            Found(layer, value_at(layer.data, path), layer.place(path))
            for layer in reversed(layers)
            if _has(layer.data, path)
        ]

    def place(self, path: Sequence[str], layers: tuple[Layer, ...]) -> Origin | None:
        """Return where the value that wins at `path`, or the nearest above it, was written."""
        for length in range(len(path), 0, -1):
            found = self.explain(path[:length], layers)
            if found:
                return found[0].at
        return None

    def grouping(self, default: str | None = None) -> Grouping:
        """Return how the pipeline's nodes are told together.

        Args:
            default: where nobody has set it; None for the target's own.

        Raises:
            SettingsError: there is no such grouping.
        """
        data = self.for_dag()
        by, at = data["grouping"], self.place(("grouping",), self.dag_layers)
        winner = self.explain(("grouping",), self.dag_layers)[0].layer
        if default is not None and at is None and winner not in self.top:
            by = default
        prefixes = data["grouping_prefix"]
        prefixes = (prefixes,) if isinstance(prefixes, str) else tuple(prefixes)
        if isinstance(by, dict):
            tasks = {
                task: (nodes,) if isinstance(nodes, str) else tuple(nodes)
                for task, nodes in by.items()
            }
            return Grouping("map", prefixes, tasks, origin=at)
        if isinstance(by, bool):
            by = "tags" if by else "none"
        if by not in GROUPINGS:
            asked = at is None and winner in self.top
            raise (UsageError if asked else SettingsError).of(
                "unknown-grouping",
                f"there is no grouping '{by}'",
                at=at,
                fix=did_you_mean(by, GROUPINGS),
            )
        names = data.get("group_names", {})
        named_at = {name: self.place(("group_names", name), self.dag_layers) for name in names}
        return Grouping(by, prefixes, names=names, origin=at, named_at=named_at)


@frozen
class _Section:
    name: str
    env: str
    layer: Layer
    for_tags: Mapping[str, Layer]
    for_tasks: Mapping[str, Layer]


@frozen
class Sections:
    """The sections of all settings files of a project, for one target.

    Attributes:
        by_name: sections of one name, low to high.
        pipelines: names that sections may have.
        packages: what each package that the project extends has under `default:`, in its order.
        own: what the target itself sets, where a package made it.
        lost: by name, settings of sections that cannot be read as such.
    """

    by_name: Mapping[str, Sequence[_Section]]
    target: Target
    lost: Mapping[str, frozenset[str]]
    pipelines: Collection[str] = ()
    packages: tuple[Sequence[_Section], ...] = ()
    own: tuple[Layer, ...] = ()

    def layers(self, names: Iterable[str]) -> Iterator[Layer]:
        """Yield the layers of `default`, those of packages too, and of the sections of `names`."""
        yield from self.package_layers()
        for name in (DEFAULT_SECTION, *names):
            yield from _layers_of(self.by_name.get(name, ()))

    def package_layers(self) -> Iterator[Layer]:
        """Yield the layers of packages."""
        yield from self.own
        for sections in self.packages:
            yield from _layers_of(sections)


def _layers_of(sections: Iterable[_Section]) -> Iterator[Layer]:
    for section in sections:
        yield section.layer
        yield from section.for_tags.values()
        yield from section.for_tasks.values()


def read_sections(
    conf: Conf, target: Target, *, pipelines: Collection[str], problems: Problems
) -> Sections:
    """Return the sections of the settings files, without the values that have the wrong type.

    Args:
        conf: the files.
        target: whose settings are known.
        pipelines: names that a section may have.
        problems: takes what is wrong or doubtful.

    Raises:
        LoadError: a file cannot be read.
    """
    conf.check(("dagforge", target.settings_family))
    lost: dict[str, frozenset[str]] = {}
    packages = tuple(
        _read_sections(conf, target, (), lost, problems, package) for package in conf.packages
    )
    sections = _read_sections(conf, target, pipelines, lost, problems)
    by_name: dict[str, list[_Section]] = {}
    for section in sections:
        by_name.setdefault(section.name, []).append(section)
    own: tuple[Layer, ...] = ()
    if target.own is not None:
        at = target.own.origin / "settings"
        settings = dict(target.own.settings)
        own = (make_layer(settings, at, f"target {target.name}", target, problems),)
    return Sections(by_name, target, lost, tuple(pipelines), packages, own)


def resolve(
    sections: Sections, pipeline: Pipeline, params: Mapping[str, Any], *, problems: Problems
) -> Settings:
    """Return the settings of `pipeline`.

    Args:
        sections: of the settings files, for the target.
        pipeline: the one that is compiled.
        params: the command line's settings, nested, by any name of a setting.
        problems: takes what is wrong or doubtful about the command line and the nodes' own
            settings.
    """
    target = sections.target
    top = make_layer(dict(params), None, "--params", target, problems)
    by_node = {
        node.name: make_layer(
            dict(node.settings),
            node.origin / "settings",
            f"node {node.name}",
            target,
            problems,
            scope="task",
        )
        for node in pipeline.nodes
        if node.settings
    }
    own = Layer(f"target {target.name}", target.defaults)
    of_project = [sections.by_name.get(name, ()) for name in (DEFAULT_SECTION, pipeline.name)]
    _warn_hidden(of_project, problems.warn)
    levels = [*sections.packages, *of_project]
    layers = [*sections.layers([pipeline.name]), *by_node.values(), top]
    lost = frozenset(name for layer in layers for name in layer.lost)
    for name in (DEFAULT_SECTION, pipeline.name):
        lost |= sections.lost.get(name, frozenset())
    return Settings(
        target=target,
        pipeline=pipeline.name,
        general=(
            own,
            *(section.layer for level in sections.packages for section in level),
            *sections.own,
            *(section.layer for level in of_project for section in level),
        ),
        by_tag=tuple(_gather(section.for_tags for section in level) for level in levels),
        by_task=tuple(_gather(section.for_tasks for section in level) for level in levels),
        by_node=by_node,
        top=(top,) if top.data else (),
        lost=lost,
    )


def _gather(parts: Iterable[Mapping[str, Layer]]) -> dict[str, tuple[Layer, ...]]:
    gathered: dict[str, tuple[Layer, ...]] = {}
    for part in parts:
        for key, layer in part.items():
            gathered[key] = (*gathered.get(key, ()), layer)
    return gathered


def _read_sections(
    conf: Conf,
    target: Target,
    pipelines: Collection[str],
    lost: dict[str, frozenset[str]],
    problems: Problems,
    package: Package | None = None,
) -> list[_Section]:
    """Return the sections of all files, low to high; put what cannot be read into `lost`.

    Args:
        conf: the files.
        target: whose settings are known.
        pipelines: names that a section may have.
        lost: takes by section what cannot be read.
        problems: takes what is wrong.
        package: whose files; None for those of the project.
    """
    sections: list[_Section] = []
    documents = [
        (entry.document, entry.layer, family)
        for family in ("dagforge", target.settings_family)
        for entry in conf.settings_of(family, package)
    ]
    documents.sort(key=lambda found: found[1] != BASE)
    for document, env, family in documents:
        if not isinstance(document.data, dict):
            if document.data is not None:
                problems.error(
                    "wrong-type",
                    "a settings file holds sections: `default:` and one for each pipeline",
                    document.origin(),
                )
                lost[DEFAULT_SECTION] = frozenset(target.settings)
            continue
        for name, data in document.data.items():
            at = document.origin(name)
            # A home for YAML anchors, as in Kedro's catalogs; `__default__` is a pipeline.
            if name.startswith("_") and not name.startswith("__"):
                continue
            if name != DEFAULT_SECTION and package is not None:
                problems.error(
                    "unknown-section",
                    f"'{name}' cannot stand here: a package sets what holds for all pipelines",
                    at,
                    fix=f"put it under `{DEFAULT_SECTION}:`",
                    at_key=True,
                )
                continue
            if name != DEFAULT_SECTION and name not in pipelines:
                problems.error(
                    "unknown-section",
                    f"'{name}' is no pipeline",
                    at,
                    fix=_section_fix(name, pipelines, target),
                    at_key=True,
                )
                meant = suggest(name, pipelines) or DEFAULT_SECTION
                names = {name, *data} if isinstance(data, dict) else {name}
                lost[meant] = lost.get(meant, frozenset()) | {
                    target.canonical[each] for each in names if each in target.canonical
                }
            if data is None:
                continue
            if not isinstance(data, dict):
                if name == DEFAULT_SECTION or name in pipelines:
                    message = f"section '{name}' must hold settings by name"
                    run_on = re.match(r"(\w+):(\S+)", data) if isinstance(data, str) else None
                    fix = (
                        f"write a blank after the colon: {run_on[1]}: {run_on[2]}"
                        if run_on
                        else None
                    )
                    problems.error("wrong-type", message, at, fix=fix, at_key=True)
                lost[name] = frozenset(target.settings)
                continue
            where = f"{env} {family}" if package is None else f"{package.name} {env} {family}"
            sections.append(_section(name, data, at, env, where, family, target, problems))
    _refuse_twice(sections, problems)
    return sections


def _section_fix(name: str, pipelines: Collection[str], target: Target) -> str | None:
    if name in target.canonical:
        return f"put '{name}' under `{DEFAULT_SECTION}:` or under a pipeline's name"
    return did_you_mean(name, {*pipelines, DEFAULT_SECTION})


def _section(
    name: str,
    data: Mapping[str, Any],
    at: Origin,
    env: str,
    where: str,
    family: str,
    target: Target,
    problems: Problems,
) -> _Section:
    plain = {key: value for key, value in data.items() if key not in (FOR_TAGS, FOR_TASKS)}
    layer = make_layer(plain, at, f"{name} ({where})", target, problems, family=family)
    parts: dict[str, dict[str, Layer]] = {FOR_TAGS: {}, FOR_TASKS: {}}
    for part, layers in parts.items():
        entries = data.get(part)
        if entries is None:
            continue
        if not isinstance(entries, dict):
            problems.error(
                "wrong-type", f"`{part}` must map names to settings", at / part, at_key=True
            )
            continue
        for key, settings in entries.items():
            if settings is None:
                continue
            if not isinstance(settings, dict):
                problems.error("wrong-type", f"`{part}: {key}` must hold settings", at / part / key)
                continue
            layers[key] = make_layer(
                settings,
                at / part / key,
                f"{name}.{part}.{key} ({where})",
                target,
                problems,
                family=family,
                scope="task",
            )
    return _Section(name, env, layer, parts[FOR_TAGS], parts[FOR_TASKS])


def _refuse_twice(sections: Iterable[_Section], problems: Problems) -> None:
    """Refuse one key that two files of one layer and family set in one section."""
    seen: dict[tuple[str, ...], Layer] = {}
    for section in sections:
        parts = [("", section.layer)]
        parts += [(f"{FOR_TAGS}.{key}", layer) for key, layer in section.for_tags.items()]
        parts += [(f"{FOR_TASKS}.{key}", layer) for key, layer in section.for_tasks.items()]
        for part, layer in parts:
            for path in _leaves(layer.data):
                key = (section.env, layer.family, section.name, part, *path)
                first = seen.setdefault(key, layer)
                if first is not layer:
                    layer.lost.add(path[0])
                    at, before = layer.place(path), first.place(path)
                    problems.error(
                        "set-twice",
                        f"'{'.'.join(path)}' is set twice in one layer, first at "
                        f"{before.location() if before else 'the same place'}",
                        at,
                        fix="keep one of the two",
                        at_key=True,
                    )


def _warn_hidden(levels: Sequence[Sequence[_Section]], warn: Warn) -> None:
    """Warn of an environment's default that the pipeline's own base section hides."""
    defaults, of_pipeline = levels
    in_base = [section for section in of_pipeline if section.env == BASE]
    in_env = [section for section in of_pipeline if section.env != BASE]
    for section in defaults:
        if section.env == BASE:
            continue
        for path in _leaves(section.layer.data):
            hiding = [other for other in in_base if _has(other.layer.data, path)]
            if hiding and not any(_has(other.layer.data, path) for other in in_env):
                value = value_at(section.layer.data, path)
                if value == value_at(hiding[-1].layer.data, path):
                    continue
                place = hiding[-1].layer.place(path)
                warn(
                    Problem(
                        "hidden-default",
                        f"'{'.'.join(path)}' has no effect on '{hiding[-1].name}', whose base "
                        f"section sets it too ({place.location() if place else '?'})",
                        section.layer.place(path),
                        fix=f"set it under `{hiding[-1].name}:` in this file",
                        severity="warning",
                        at_key=True,
                    )
                )


def make_layer(
    data: dict[str, Any],
    origin: Origin | None,
    label: str,
    target: Target,
    problems: Problems,
    *,
    family: str = "",
    scope: str | None = None,
) -> Layer:
    """Return a section as a layer: canonical names, free variables told apart.

    What is wrong is left out, and kept in mind as lost.

    Args:
        data: the section as YAML gives it, without `for_tags` and `for_tasks`.
        origin: where it stands; None for the command line.
        label: what `explain` calls it.
        target: whose settings are known.
        problems: takes what is wrong.
        family: whose file it stands in.
        scope: `task` where settings of the DAG make no sense; None where both may stand.
    """
    written: dict[str, tuple[str, ...]] = {}
    values: dict[str, Any] = {}
    free: set[str] = set()
    lost: set[str] = set()

    def take(name: str, value: Any, path: tuple[str, ...]) -> None:
        at = None if origin is None else Origin(origin.source, (*origin.path, *path))
        canonical = target.canonical.get(name)
        if canonical is None:
            elsewhere = known_elsewhere(name, target) if family in ("", "dagforge") else None
            if elsewhere is not None:
                # What is switched off, such as `catchup: false`, nobody misses.
                if value is False or value is None:
                    return
                message = f"{target.name} has no '{name}', a setting of {elsewhere.capitalize()}"
                problems.warn(Problem("cannot-express", message, at, at_key=True))
                return
            canonical = "vars"
            value = {name: value}
            free.add(name)
        elif canonical in written or (canonical in values and canonical != "vars"):
            first = ".".join(written.get(canonical, (canonical,)))
            lost.add(canonical)
            problems.error(
                "set-twice",
                f"'{name}' and '{first}' are the same setting",
                at,
                fix="keep one of the two",
                at_key=True,
            )
            return
        else:
            setting = target.settings[canonical]
            if scope == "task" and setting.scope == "dag":
                lost.add(canonical)
                problems.error(
                    "dag-setting",
                    f"'{name}' is a setting of the DAG, not of a task",
                    at,
                    fix=f"put it under `{DEFAULT_SECTION}:` or the pipeline's name",
                    at_key=True,
                )
                return
        if canonical == "vars":
            if not isinstance(value, dict):
                problems.error("wrong-type", "`vars` must map names to values", at)
                lost.add(canonical)
                return
            values["vars"] = {**values.get("vars", {}), **value}
            return
        setting = target.settings[canonical]
        if setting.value in LITERAL_IS_TEXT and not setting.templated:
            value = untold(value)
        values[canonical] = value
        if path != (canonical,):
            written[canonical] = path

    for name, value in data.items():
        if name in (FOR_TAGS, FOR_TASKS):
            problems.error(
                "dag-setting",
                f"'{name}' cannot stand in {label}",
                None if origin is None else origin / name,
                fix="put it under `default:` or a pipeline's name in a settings file",
                at_key=True,
            )
            continue
        if name == "default_args" and isinstance(value, dict):
            for inner, inner_value in value.items():
                take(inner, inner_value, (name, inner))
        else:
            take(name, value, (name,))
    layer = Layer(label, values, origin, written, frozenset(free), family, lost)
    _check_types(layer, target, problems)
    for name in lost & values.keys():
        del values[name]
    return layer


def _check_types(layer: Layer, target: Target, problems: Problems) -> None:
    from dagforge.settings.schema import check_types

    for path, code, message, fix in check_types(layer.data, target):
        if layer.origin is None:
            message = f"{layer.label}: {message}"
            sign, _, quoted = (fix or "").partition("quote it: ")
            if quoted and not sign:
                # A shell takes away quotes that are not quoted themselves.
                fix = f"quote it for YAML and for the shell: '{'.'.join(path)}={quoted}'"
        layer.lost.add(path[0])
        problems.error(code, message, layer.place(path), fix=fix, at_key=code == "unknown-setting")
