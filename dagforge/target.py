"""What differs between targets, read from `templates/<orchestrator>/target.yaml`.

A target is an orchestrator's folder, one of the names it lists (each with a few settings at the
lowest layer), and a version of the orchestrator. Nothing is sniffed from what is installed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dagforge.conf import parse_yaml
from dagforge.errors import Origin, TargetError, UsageError, did_you_mean
from dagforge.frozen import frozen
from dagforge.reading.packages import PackageTarget

TARGET_FILE = "target.yaml"
SHARED_FILE = "settings.yaml"


def version_key(version: str) -> tuple[int, ...]:
    """Return a version such as `3.1` in the form that sorts."""
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))


@frozen
class Setting:
    """One known setting, an entry of a `target.yaml`.

    Attributes:
        name: canonical name, as a rule that of the constructor's argument.
        scope: `dag` (one value a DAG) or `task` (each task may have its own).
        schema: JSON Schema of the value as YAML gives it.
        value: how that value becomes a typed one (`duration`, `date`, ...); None for plain.
        model: Kubernetes model, where `value` is `model`.
        templated: its strings are templates of the orchestrator.
        since: first version of the orchestrator that takes it; None for all.
        until: last version that takes it.
        argument: name of the constructor's argument by the first version that calls it so;
            empty when DagForge itself reads the setting.
        kinds: kinds of task whose operator takes it; None for every kind.
        group: which constructor takes it, where the orchestrator has several (`deployment`).
        unit: `seconds` when the argument is a number of seconds.
        needs: oldest release of each provider that takes it.
        enum_since: first version of the orchestrator that knows a value, for those that came later.
        as_list: the argument is always a list; a single value is put into one.
        bare: unit of a number without one, in the orchestrator's own files only.
        default: DagForge's own, the lowest layer; MISSING without one.
    """

    name: str
    scope: str
    schema: Mapping[str, Any]
    doc: str
    value: str | None = None
    model: str | None = None
    templated: bool = False
    aliases: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    argument: Mapping[str, str] = field(default_factory=dict)
    kinds: frozenset[str] | None = None
    group: str | None = None
    unit: str | None = None
    bare: str | None = None
    needs: Mapping[str, str] = field(default_factory=dict)
    enum_since: Mapping[str, str] = field(default_factory=dict)
    as_list: bool = False
    default: Any = ...

    @property
    def has_default(self) -> bool:
        """Whether DagForge itself gives it a value."""
        return self.default is not ...

    def exists_in(self, version: str) -> bool:
        """Say whether the orchestrator takes it in this version."""
        at = version_key(version)
        if self.since is not None and at < version_key(self.since):
            return False
        return self.until is None or at <= version_key(self.until)


_SCHEMA_KEYS = (
    "type",
    "items",
    "enum",
    "minimum",
    "maximum",
    "pattern",
    "properties",
    "additionalProperties",
    "required",
    "minItems",
    "prefixItems",
    "maxItems",
    "minLength",
    "maxLength",
    "uniqueItems",
)


def _setting(name: str, entry: Mapping[str, Any]) -> Setting:
    argument = entry.get("argument", name)
    if argument is False:
        argument = {}
    elif isinstance(argument, str):
        argument = {"0": argument}
    kinds = entry.get("kinds")
    return Setting(
        name=name,
        scope=entry["for"],
        schema={key: entry[key] for key in _SCHEMA_KEYS if key in entry},
        doc=entry["doc"],
        value=entry.get("value"),
        model=entry.get("model"),
        templated=entry.get("templated", False),
        aliases=tuple(entry.get("aliases", ())),
        since=entry.get("since"),
        until=entry.get("until"),
        argument=argument,
        kinds=None if kinds is None else frozenset(kinds),
        group=entry.get("group"),
        unit=entry.get("unit"),
        bare=entry.get("bare"),
        needs=entry.get("needs", {}),
        enum_since=entry.get("enum_since", {}),
        as_list=entry.get("list", False),
        default=entry.get("default", ...),
    )


def for_version(by_version: Any, version: str) -> Any:
    """Return the entry of the newest version that is not newer than `version`, else None."""
    if not isinstance(by_version, Mapping):
        return by_version
    at = version_key(version)
    fitting = [first for first in by_version if version_key(first) <= at]
    return by_version[max(fitting, key=version_key)] if fitting else None


@dataclass(frozen=True, eq=False)
class Target:
    """Where and for what a pipeline is compiled.

    Attributes:
        name: as in `--target`.
        orchestrator: name of its folder under `templates/`.
        folder: that folder.
        version: of the orchestrator, `major.minor`.
        facts: the whole `target.yaml`.
        settings: known settings by canonical name, DagForge's own first, in the order in which
            arguments are written.
        own: what a package makes of another target; None for those of DagForge.
    """

    name: str
    orchestrator: str
    folder: Path
    version: str
    facts: Mapping[str, Any]
    settings: Mapping[str, Setting]
    own: PackageTarget | None = None
    _settings_for: dict[tuple[str, str | None], list[Setting]] = field(
        default_factory=dict, init=False
    )

    @cached_property
    def canonical(self) -> Mapping[str, str]:
        """Canonical name of every name that a setting may be written by."""
        names = {name: name for name in self.settings}
        for setting in self.settings.values():
            names.update(dict.fromkeys(setting.aliases, setting.name))
        return names

    @cached_property
    def keep_null(self) -> frozenset[str]:
        """Settings that are mappings in which null is a value: free variables, parameters."""
        parameters = {name for name, each in self.settings.items() if each.value == "params"}
        return frozenset({"vars", *parameters})

    @cached_property
    def imports(self) -> Mapping[str, str]:
        """Import path of each name that templates may use, for this version."""
        paths = {
            name: for_version(entry, self.version) for name, entry in self.facts["imports"].items()
        }
        return {name: path for name, path in paths.items() if path is not None}

    @cached_property
    def kinds(self) -> Mapping[str, Mapping[str, Any]]:
        """Facts of each kind of task: its operator's class and the settings that it needs."""
        return dict(self.facts["kinds"])

    @property
    def settings_family(self) -> str:
        """What the orchestrator's own settings files are called."""
        return str(self.facts["settings_files"])

    @property
    def defaults(self) -> Mapping[str, Any]:
        """DagForge's own values and what the target's name means: the lowest layer."""
        own = {name: s.default for name, s in self.settings.items() if s.has_default}
        return {**own, **self.facts["targets"][self.name]}

    @cached_property
    def arguments(self) -> Mapping[str, str]:
        """What this version calls each setting's argument, for those that it takes, in order."""
        return {
            name: argument
            for name, setting in self.settings.items()
            if setting.exists_in(self.version)
            and (argument := for_version(setting.argument, self.version)) is not None
        }

    @cached_property
    def sign_of_a_template(self) -> re.Pattern[str] | None:
        """What rendering would change in a text, anywhere or at its end; None without templates."""
        facts = self.facts.get("templates")
        if facts is None:
            return None
        signs = [re.escape(mark) for mark in (*facts["marks"], *facts["replaced"])]
        ends = (*facts["file_endings"], *facts["cut_off"])
        return re.compile("|".join([*signs, *(re.escape(end) + r"\Z" for end in ends)]))

    def arguments_after(self, name: str) -> frozenset[str]:
        """Return the arguments that come behind the setting `name` in the target's order."""
        names = list(self.settings)
        later = names[names.index(name) + 1 :]
        return frozenset(self.arguments[each] for each in later if each in self.arguments)

    def settings_for(self, scope: str, kind: str | None = None) -> Sequence[Setting]:
        """Return the settings with an argument, in order: those of a DAG, or of a kind of task."""
        key = (scope, kind)
        if key not in self._settings_for:
            self._settings_for[key] = [
                setting
                for setting in self.settings.values()
                if setting.scope == scope
                and setting.argument
                and (kind is None or setting.kinds is None or kind in setting.kinds)
            ]
        return self._settings_for[key]

    def missing_provider(self, setting: Setting, stated: Mapping[str, str]) -> str | None:
        """Return the provider release that a setting needs beyond what is stated, else None.

        Args:
            setting: which one.
            stated: release by distribution; without one, the oldest that files are made for.
        """
        oldest: Mapping[str, str] = self.facts.get("providers", {})
        for distribution, release in setting.needs.items():
            have = stated.get(distribution, oldest.get(distribution, "0"))
            if version_key(have) < version_key(release):
                return f"{distribution} {release}"
        return None

    @cached_property
    def kubernetes_models(self) -> Mapping[str, Any]:
        """Fields of the Kubernetes client's models, by class name."""
        import json

        return dict(json.loads((self.folder / "kubernetes.json").read_bytes()))


def orchestrators(templates: Path) -> dict[str, Mapping[str, Any]]:
    """Return the facts of every orchestrator by folder name."""
    return {
        path.parent.name: parse_yaml(path.read_bytes(), f"{path.parent.name}/{TARGET_FILE}").data
        for path in sorted(templates.glob(f"*/{TARGET_FILE}"))
    }


def target_names(templates: Path) -> list[str]:
    """Return every name that `--target` accepts."""
    return [name for facts in orchestrators(templates).values() for name in facts["targets"]]


def read_target(
    name: str,
    templates: Path,
    *,
    more: Mapping[str, PackageTarget] = MappingProxyType({}),
    version: str | None = None,
    origin: Origin | None = None,
    version_origin: Origin | None = None,
) -> Target:
    """Return the target called `name`.

    Args:
        name: one of the `targets` of an orchestrator, or of `more`.
        templates: folder of the built-in templates.
        more: targets that packages define, by name.
        version: of the orchestrator, `3.1`; the newest supported when None.
        origin: where the name was written, None for the command line.
        version_origin: the same for the version.

    Raises:
        TargetError: no target of this name, or a version that it does not support.
    """
    if name in more:
        return _package_target(more[name], templates, version, version_origin)
    known: list[str] = [*more]
    # The folder that a name begins with is read first; most runs read no other.
    for folder in sorted(
        (path.parent for path in templates.glob(f"*/{TARGET_FILE}")),
        key=lambda folder: (not name.startswith(folder.name), folder.name),
    ):
        label = f"{folder.name}/{TARGET_FILE}"
        facts = parse_yaml((folder / TARGET_FILE).read_bytes(), label).data
        if name in facts["targets"]:
            return _target(name, folder, facts, templates, version, version_origin)
        known += facts["targets"]
    raise (TargetError if origin else UsageError).of(
        "unknown-target", f"there is no target '{name}'", at=origin, fix=did_you_mean(name, known)
    )


def _package_target(
    target: PackageTarget, templates: Path, version: str | None, version_origin: Origin | None
) -> Target:
    """Return the target that another one becomes under a name and with settings of its own."""
    if target.name in target_names(templates):
        raise TargetError.of(
            "extends",
            f"DagForge itself has a target '{target.name}'",
            at=target.origin,
            fix="give it another name",
            at_key=True,
        )
    at = target.origin / "target"
    base = read_target(
        target.base, templates, version=version, origin=at, version_origin=version_origin
    )
    targets = {**base.facts["targets"], target.name: base.facts["targets"][base.name]}
    return replace(base, name=target.name, facts={**base.facts, "targets": targets}, own=target)


def _target(
    name: str,
    folder: Path,
    facts: Mapping[str, Any],
    templates: Path,
    version: str | None,
    origin: Origin | None,
) -> Target:
    versions: list[str] = facts["versions"]
    if "version_setting" not in facts or version is None:
        version = versions[-1]
    elif version not in versions:
        supported = ", ".join(versions)
        raise (TargetError if origin else UsageError).of(
            "unknown-version",
            f"DagForge does not write for {folder.name.capitalize()} {version or repr(version)}",
            at=origin,
            fix=f"one of {supported} (major.minor only)",
        )
    shared = parse_yaml((templates / SHARED_FILE).read_bytes(), SHARED_FILE).data
    entries = {**shared["settings"], **facts["settings"]}
    settings = {key: _setting(key, entry) for key, entry in entries.items()}
    return Target(name, folder.name, folder, version, facts, settings)


def known_elsewhere(name: str, target: Target) -> str | None:
    """Return the orchestrator, other than the target's, that knows a setting of this name."""
    for orchestrator, facts in orchestrators(target.folder.parent).items():
        if orchestrator == target.orchestrator:
            continue
        for key, entry in facts["settings"].items():
            if name == key or name in entry.get("aliases", ()):
                return orchestrator
    return None
