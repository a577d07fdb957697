"""Pipelines in Hamilton: functions whose names and arguments are the graph.

Every variable that goes into the outputs is a node, with a dataset of its own name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import ModuleType

from dagforge.errors import LoadError, Origin, Problems, suggest
from dagforge.frontends.definitions import Definition, NodesRead, Registry
from dagforge.frontends.hamilton.definition import DriverDefinition, read_drivers
from dagforge.frontends.hamilton.driver import Variable, build_driver, modules_of, variables_of
from dagforge.frontends.hamilton.functions import config_of, problems_twice
from dagforge.frontends.hamilton.nodes import RUNNER, Driven, Reader, takers_of, wanted_of
from dagforge.frontends.words import shown
from dagforge.ir import Grouping

GROUPING_TAGS = Grouping().prefixes


def needs(definition: Definition) -> Sequence[tuple[str, Origin]]:
    """Return nothing: drivers name modules, no pipelines."""
    del definition
    return ()


def drivers_of(definition: Definition, problems: Problems) -> list[DriverDefinition]:
    """Return the drivers of a pipeline; what is wrong with their definition is kept."""
    at = definition.origin / RUNNER
    return read_drivers(definition.name, definition.body[RUNNER], at, problems)


def read_nodes(definition: Definition, registry: Registry) -> NodesRead:
    """Return the nodes of a pipeline's drivers; every declared variant is built, too."""
    problems = Problems()
    drivers = drivers_of(definition, problems)
    if problems.errors:
        return NodesRead((), tuple(problems.found), complete=False)
    driven = [_kept(driver, registry, problems) for driver in drivers]
    built = [each for each in driven if each is not None]
    if len(built) < len(drivers):
        return NodesRead((), tuple(problems.found), complete=False)
    reader = Reader(definition.name, built, registry.conf.root, problems)
    nodes = reader.nodes()
    parameters = reader.parameters()
    for driver in drivers:
        _check_variants(definition, driver, built, registry, problems)
    tagged = any(tag.startswith(GROUPING_TAGS) for node in nodes for tag in node.tags)
    return NodesRead(
        nodes,
        tuple(problems.found),
        complete=not problems.errors,
        parameters=parameters,
        grouping="tags" if tagged else "module",
        on_demand=True,
    )


def _kept(driver: DriverDefinition, registry: Registry, problems: Problems) -> Driven | None:
    """Return a driver, built; None where it cannot be, and what is wrong is kept."""
    try:
        return _driven(driver, registry, problems)
    except LoadError as error:
        problems.extend(error.problems)
        return None


def _driven(
    driver: DriverDefinition,
    registry: Registry,
    problems: Problems,
    *,
    variant: str = "",
) -> Driven:
    root = registry.conf.root
    built = build_driver(driver, root)
    modules = modules_of(driver, root)
    if not variant:
        problems.extend(problems_twice(modules, root))
    variables = variables_of(built)
    _check_config(driver, modules, variables, problems, variant)
    wanted, savers = wanted_of(driver, variables, problems, variant=variant)
    return Driven(driver, variables, wanted, savers, takers_of(wanted, variables))


def _check_config(
    driver: DriverDefinition,
    modules: Sequence[ModuleType],
    variables: Mapping[str, Variable],
    problems: Problems,
    variant: str,
) -> None:
    """Report config that no function asks for, where one asks for something much like it."""
    asked = config_of(modules)
    taken = set().union(*(each.needs for each in variables.values()))
    for key in driver.config:
        near = suggest(key, asked - {*driver.config})
        if key not in asked and key not in taken and near is not None:
            problems.error(
                "unknown-key",
                f"{variant}no function asks for the config {shown(key)}",
                driver.origin / "config" / key,
                fix=f"did you mean '{near}'?",
                at_key=True,
            )


def _check_variants(
    definition: Definition,
    driver: DriverDefinition,
    driven: Sequence[Driven],
    registry: Registry,
    problems: Problems,
) -> None:
    """Build a driver with each of its other configs; report what is wrong with any of them."""
    for index, config in enumerate(driver.variants):
        at = driver.origin / "variants" / index
        listed = ", ".join(f"{key}={value!r}" for key, value in config.items())
        variant = f"variant {index + 1} ({listed}): "
        found = Problems()
        with found.kept():
            merged = replace(driver, config={**driver.config, **config})
            other = _driven(merged, registry, found, variant=variant)
            changed = [other if each.definition is driver else each for each in driven]
            Reader(definition.name, changed, registry.conf.root, found).parameters()
        for problem in found.errors:
            message = problem.message.removeprefix(variant)
            where = f" ({problem.location})" if problem.location else ""
            problems.error(problem.code, f"{variant}{message}{where}", at, fix=problem.fix)


__all__ = ["RUNNER", "drivers_of", "needs", "read_nodes"]
