"""Drivers as Hamilton builds them, through its public interface only (1.46 and later)."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from dagforge.errors import LoadError
from dagforge.frontends.failures import no_module, problem_of
from dagforge.frontends.hamilton.definition import DriverDefinition
from dagforge.frontends.hamilton.functions import problem_of_build, problems_of_hints
from dagforge.frontends.words import shown
from dagforge.frozen import frozen
from dagforge.user_code import UserError, import_project_module


@frozen
class Variable:
    """A node of a driver, as Hamilton tells of it.

    Attributes:
        required: names of what it needs.
        optional: of what it can do without, with the defaults.
        functions: that made it; empty for inputs.
    """

    name: str
    type: Any
    tags: Mapping[str, Any]
    is_input: bool
    functions: tuple[Any, ...]
    required: frozenset[str]
    optional: Mapping[str, Any]
    documentation: str | None

    @property
    def needs(self) -> frozenset[str]:
        """Everything that goes into it."""
        return self.required | self.optional.keys()


def import_hamilton() -> None:
    """Import Hamilton, which tells nobody of it.

    Raises:
        LoadError: it is not installed.
    """
    # Before 1.90 it reports its use unless this is set before it is imported.
    os.environ.setdefault("HAMILTON_TELEMETRY_ENABLED", "false")
    try:
        import hamilton.driver  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("hamilton"):
            raise
        raise LoadError.of(
            "no-hamilton",
            "pipelines in Hamilton need Hamilton, which is not installed",
            fix="pip install 'dagforge[hamilton]'",
        ) from error


def modules_of(definition: DriverDefinition, root: Path) -> list[ModuleType]:
    """Return the modules of a driver, imported.

    Raises:
        LoadError: one cannot be; holds the problems of all of them.
    """
    found, problems = [], []
    for index, name in enumerate(definition.modules):
        at = definition.origin / "modules" / index
        try:
            found.append(import_project_module(name, root))
        except (ModuleNotFoundError, ValueError, TypeError) as error:
            problems.append(no_module("", getattr(error, "name", None) or name, at, root))
        except UserError as error:
            what = f"module {shown(name)} cannot be imported"
            problems.append(problem_of(what, error, at, root))
    if problems:
        raise LoadError(problems)
    return found


def build_driver(
    definition: DriverDefinition,
    root: Path,
    *,
    adapters: Iterable[Any] = (),
    dynamic: bool = False,
) -> Any:
    """Return a driver of Hamilton.

    Args:
        definition: what it is made of.
        root: of the project.
        adapters: of Hamilton's, beside the one for results.
        dynamic: allow Parallelizable.

    Raises:
        LoadError: it cannot be built.
    """
    import_hamilton()
    modules = modules_of(definition, root)
    materializers = _materializers(definition, root)
    from hamilton import base, driver

    try:
        builder = (
            driver.Builder()
            .with_config(dict(definition.config))
            .with_modules(*modules)
            .with_adapters(base.DictResult(), *adapters)
        )
        if definition.allow_overrides:
            builder = builder.allow_module_overrides()
        if materializers:
            builder = builder.with_materializers(*materializers)
        if dynamic:
            from hamilton.execution import executors

            # One after the other: a task of the orchestrator is the unit that runs in parallel.
            builder = builder.enable_dynamic_execution(
                allow_experimental_mode=True
            ).with_remote_executor(executors.SynchronousLocalTaskExecutor())
        with contextlib.redirect_stdout(sys.stderr), without_tracebacks():
            return builder.build()
    except Exception as error:
        found = problems_of_hints(modules, root) or [
            problem_of_build(error, modules, root, definition.origin)
        ]
        raise LoadError(found) from error


@contextlib.contextmanager
def without_tracebacks() -> Iterator[None]:
    """Keep Hamilton from logging what it raises as well, in here."""
    loggers = [
        logging.getLogger(f"hamilton.{name}")
        for name in (
            "driver",
            "execution.executors",
            "execution.graph_functions",
            "function_modifiers.base",
        )
    ]
    before = [logger.disabled for logger in loggers]
    try:
        for logger in loggers:
            logger.disabled = True
        yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled


def _materializers(definition: DriverDefinition, root: Path) -> list[Any]:
    if definition.materializers is None:
        return []
    at = definition.origin / "materializers"
    module_name, _, name = definition.materializers.partition(":")
    try:
        found = getattr(import_project_module(module_name, root), name, None)
    except ModuleNotFoundError as error:
        raise LoadError([no_module("", error.name or module_name, at, root)]) from error
    except UserError as error:
        what = f"module {shown(module_name)} cannot be imported"
        raise LoadError([problem_of(what, error, at, root)]) from error
    if not isinstance(found, (list, tuple)):
        message = f"{shown(definition.materializers)} is no list of materializers"
        fix = f"{name} = [to.parquet(...), from_.csv(...)]"
        raise LoadError.of("no-function", message, at=at, fix=fix)
    return list(found)


def variables_of(driver: Any) -> dict[str, Variable]:
    """Return the nodes of a driver by name, sorted."""
    found = {}
    for each in driver.list_available_variables():
        optional = set(each.optional_dependencies)
        defaults = dict(getattr(each, "optional_dependencies_default_values", {}))
        found[each.name] = Variable(
            name=each.name,
            type=each.type,
            tags=dict(each.tags),
            is_input=bool(each.is_external_input),
            functions=tuple(each.originating_functions or ()),
            required=frozenset(each.required_dependencies),
            optional={name: defaults.get(name, _default(each, name)) for name in optional},
            documentation=each.documentation,
        )
    return dict(sorted(found.items()))


def _default(node: Any, name: str) -> Any:
    """Return an argument's default by its signature: before 1.75 nothing else says it."""
    import inspect

    for function in node.originating_functions or ():
        parameter = inspect.signature(function).parameters.get(name)
        if parameter is not None and parameter.default is not parameter.empty:
            return parameter.default
    return None
