"""What pipelines.yml says of a Hamilton driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from dagforge.errors import Origin, Problems
from dagforge.frontends.words import check_keys, fault_of_name, shown, wrong_type
from dagforge.frozen import frozen

KEYS = (
    "name",
    "modules",
    "config",
    "inputs",
    "datasets",
    "outputs",
    "allow_overrides",
    "materializers",
    "variants",
)


@frozen
class DriverDefinition:
    """One driver: modules, and what decides about their graph.

    Attributes:
        name: in front of its nodes' names; empty for none.
        modules: by dotted path, in order.
        config: decides which functions there are; known when the DAG is made.
        inputs: what a run gives, by name; None for what it has to give.
        datasets: datasets of the catalog that are inputs, by the input's name.
        outputs: what is asked for; empty for everything but savers.
        allow_overrides: a later module may define a node again.
        materializers: `module:name` of a list of materializers; None without.
        variants: other configs that have to work, too.
        origin: where it stands.
        key: of the driver among those of the pipeline, for its runner.
    """

    modules: tuple[str, ...]
    origin: Origin
    key: str
    name: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    datasets: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    allow_overrides: bool = False
    materializers: str | None = None
    variants: tuple[Mapping[str, Any], ...] = ()

    def prefixed(self, node: str) -> str:
        """Return the pipeline's name for a node of the driver."""
        return f"{self.name}.{node}" if self.name else node


def read_drivers(
    pipeline: str, body: Any, at: Origin, problems: Problems
) -> list[DriverDefinition]:
    """Return the drivers under `hamilton`, a mapping or a list of them; keep what is wrong."""
    what = f"'hamilton' of pipeline {shown(pipeline)}"
    if isinstance(body, dict):
        return [_driver(body, what, at, pipeline, problems)]
    if not isinstance(body, list) or not body:
        wrong_type(what, body, "a mapping with 'modules', or a list of such", at, problems)
        return []
    drivers = []
    for index, each in enumerate(body):
        if not isinstance(each, dict):
            wrong_type(f"driver {index + 1} of {what}", each, "a mapping", at / index, problems)
            continue
        part = f"driver {index + 1} of {what}"
        drivers.append(_driver(each, part, at / index, f"{pipeline}#{index}", problems))
    names = [driver.name for driver in drivers]
    for index, driver in enumerate(drivers):
        if driver.name and driver.name in names[:index]:
            message = f"two drivers of {what} are called {shown(driver.name)}"
            problems.error("duplicate-key", message, driver.origin / "name", fix="rename one")
    return drivers


def _driver(
    body: Mapping[str, Any], what: str, at: Origin, key: str, problems: Problems
) -> DriverDefinition:
    check_keys(body, KEYS, what, at, problems)
    reader = _Reader(body, what, at, problems)
    if body.get("modules") is None:
        message = f"{what} has no 'modules'"
        problems.error("missing-key", message, at, fix="add modules: [my_package.my_module]")
    reader.check_modules()
    config = reader.mapping("config")
    inputs = body.get("inputs")
    if isinstance(inputs, list):
        inputs = dict.fromkeys(reader.texts("inputs"))
    else:
        inputs = reader.mapping("inputs")
    datasets = reader.mapping("datasets")
    for name in sorted({*inputs} & {*datasets}):
        problems.error(
            "duplicate-key",
            f"{shown(name)} is among the inputs and among the datasets of {what}",
            at / "datasets" / name,
            fix="keep one of them",
            at_key=True,
        )
    for name in sorted({*inputs, *datasets} & {*config}):
        # Hamilton takes a key from one of them only.
        key_in = "inputs" if name in inputs else "datasets"
        problems.error(
            "duplicate-key",
            f"{shown(name)} is in the config and among the {key_in} of {what}",
            at / "config" / name,
            fix="config decides which functions there are, inputs are what a run gives: keep one",
            at_key=True,
        )
    return DriverDefinition(
        modules=tuple(reader.texts("modules")),
        origin=at,
        key=key,
        name=reader.name(),
        config=config,
        inputs=inputs,
        datasets=reader.dataset_names(datasets),
        outputs=tuple(reader.texts("outputs")),
        allow_overrides=reader.flag("allow_overrides"),
        materializers=reader.path("materializers"),
        variants=tuple(reader.variants()),
    )


@frozen
class _Reader:
    body: Mapping[str, Any]
    what: str
    at: Origin
    problems: Problems

    def _wrong(self, key: str, value: Any, expected: str) -> None:
        wrong_type(f"'{key}' of {self.what}", value, expected, self.at / key, self.problems)

    def mapping(self, key: str) -> dict[str, Any]:
        """Return a mapping, an empty one without it."""
        value = self.body.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._wrong(key, value, "a mapping")
            return {}
        return value

    def texts(self, key: str) -> list[str]:
        """Return a list of names; one name is a list of one."""
        value = self.body.get(key)
        if value is None:
            return []
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list):
            self._wrong(key, value, "a name or a list of names")
            return []
        if key == "modules" and not value:
            self.problems.error(
                "missing-key", f"{self.what} names no module", self.at / key, fix="name one"
            )
        good = []
        for index, each in enumerate(value):
            if isinstance(each, str) and each.strip():
                good.append(each)
            elif isinstance(each, str):
                message = f"a name in '{key}' of {self.what} is empty"
                self.problems.error("wrong-type", message, self.at / key / index)
            else:
                what = f"a name in '{key}' of {self.what}"
                wrong_type(what, each, "text", self.at / key / index, self.problems)
        return list(dict.fromkeys(good))

    def check_modules(self) -> None:
        """Report modules that are no dotted paths."""
        value = self.body.get("modules")
        names = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        for index, name in enumerate(names):
            if not isinstance(name, str) or not name.strip():
                continue
            if all(part.isidentifier() for part in name.split(".")):
                continue
            plain = name.removesuffix(".py").strip("./").replace("/", ".")
            good = all(part.isidentifier() for part in plain.split("."))
            at = self.at / "modules"
            self.problems.error(
                "module-path",
                f"the module {shown(name)} of {self.what} is no dotted path",
                at / index if isinstance(self.body["modules"], list) else at,
                fix=f"write {plain.removeprefix('src.')}" if good else "write my_package.my_module",
            )

    def name(self) -> str:
        """Return what stands in front of the nodes' names."""
        value = self.body.get("name")
        if value is None:
            return ""
        fault = fault_of_name(value) if isinstance(value, str) else None
        if not isinstance(value, str):
            self._wrong("name", value, "text")
            return ""
        if fault is not None:
            message = f"the name {shown(value)} of {self.what} {fault}"
            self.problems.error("node-name", message, self.at / "name")
        return value

    def flag(self, key: str) -> bool:
        """Return a truth value, false without it."""
        value = self.body.get(key, False)
        if not isinstance(value, bool):
            self._wrong(key, value, "true or false")
            return False
        return value

    def path(self, key: str) -> str | None:
        """Return `module:name`, None without it."""
        value = self.body.get(key)
        if value is None:
            return None
        module, colon, name = value.partition(":") if isinstance(value, str) else ("", "", "")
        parts = module.split(".")
        if not colon or not name.isidentifier() or not all(part.isidentifier() for part in parts):
            self._wrong(key, value, "module:name, a list of materializers")
            return None
        return str(value)

    def dataset_names(self, datasets: Mapping[str, Any]) -> dict[str, str]:
        """Return those entries of `datasets` that name one."""
        good = {}
        for name, value in datasets.items():
            if isinstance(value, str) and value:
                good[name] = value
            else:
                what = f"the dataset of {shown(name)} in {self.what}"
                wrong_type(what, value, "text", self.at / "datasets" / name, self.problems)
        return good

    def variants(self) -> list[dict[str, Any]]:
        """Return the other configs."""
        value = self.body.get("variants")
        if value is None:
            return []
        if not isinstance(value, list):
            self._wrong("variants", value, "a list of configs")
            return []
        for index, each in enumerate(value):
            if not isinstance(each, dict):
                what = f"variant {index + 1} of {self.what}"
                wrong_type(what, each, "a mapping", self.at / "variants" / index, self.problems)
        return [each for each in value if isinstance(each, dict)]
