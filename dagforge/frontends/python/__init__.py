"""Pipelines in decorated Python: `python: "module:function"`, see `dagforge.decorators`."""

from __future__ import annotations

import ast
import contextlib
import inspect
import sys
import textwrap
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from dagforge import decorators
from dagforge.errors import LoadError, Origin, Problem, Problems, did_you_mean
from dagforge.frontends.definitions import Definition, NodesRead, Registry
from dagforge.frontends.failures import no_module, problem_of
from dagforge.frontends.parameters import clash, fits, schema_of
from dagforge.frontends.places import origin_in
from dagforge.frontends.python.globals import captured
from dagforge.frontends.twice import defined_twice
from dagforge.frontends.words import check_keys, fault_of_name, shown, wrong_type
from dagforge.frozen import frozen
from dagforge.ir import Node, Parameter, Work
from dagforge.user_code import UserError, import_project_module

_KEYS = ("function", "config")


def needs(definition: Definition) -> Sequence[tuple[str, Origin]]:
    """Return nothing: pipeline functions call each other themselves."""
    del definition
    return ()


def read_nodes(definition: Definition, registry: Registry) -> NodesRead:
    """Return the nodes that the pipeline function calls."""
    problems = Problems()
    try:
        function, config = _function(definition, registry, problems)
        if problems.found:
            return NodesRead((), tuple(problems.found), complete=False)
        with contextlib.redirect_stdout(sys.stderr):
            graph = decorators.build_graph(function, config)
    except LoadError as error:
        return NodesRead((), error.problems, complete=False)
    except decorators.GraphError as error:
        found = tuple(_problem(fault, registry) for fault in (*error.faults, error.fault))
        return NodesRead((), found, complete=False)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        what = f"pipeline {shown(definition.name)}: its function failed"
        user_error = UserError(error, function.__module__)
        problem = problem_of(what, user_error, definition.origin, registry.conf.root)
        return NodesRead((), (problem,), complete=False)
    reader = _Reader(registry, problems)
    calls = reader.called_once(graph.nodes)
    nodes = tuple(reader.node(call) for call in calls)
    reader.check_names(function, calls)
    reader.check_identity(function, config)
    parameters = reader.parameters(graph)
    for fault in graph.faults:
        problems.extend([_problem(fault, registry)])
    return NodesRead(
        nodes,
        tuple(problems.found),
        complete=not problems.errors,
        parameters=parameters,
        description=inspect.getdoc(function.function),
    )


def _function(
    definition: Definition, registry: Registry, problems: Problems
) -> tuple[decorators.Pipeline[..., Any], Mapping[str, Any]]:
    """Return the pipeline function that a definition names, and the config for it.

    Raises:
        LoadError: it cannot be found.
    """
    what = f"pipeline {shown(definition.name)}"
    at = definition.origin / "python"
    body = definition.body["python"]
    config: Any = {}
    if isinstance(body, dict):
        check_keys(body, _KEYS, f"'python' of {what}", at, problems)
        config = {} if body.get("config") is None else body["config"]
        if not isinstance(config, dict):
            wrong_type(f"'config' of {what}", config, "a mapping", at / "config", problems)
            config = {}
        if "function" not in body:
            message = f"'python' of {what} has no 'function'"
            raise LoadError([*problems, Problem("missing-key", message, at, "add function: ...")])
        body, at = body["function"], at / "function"
    if not isinstance(body, str):
        wrong_type(f"the function of {what}", body, "module:function", at, problems)
        problems.fail(LoadError)
    module_name, colon, name = body.partition(":")
    dotted = all(part.isidentifier() for part in module_name.split("."))
    if not colon or not dotted or not name.isidentifier():
        near = _near_path(body)
        raise LoadError.of(
            "function-path",
            f"the function of {what} is not module:function: {shown(body)}",
            at=at,
            fix=f"write {near}" if near else "write it as my_package.my_module:my_function",
        )
    try:
        module = import_project_module(module_name, registry.conf.root)
    except ModuleNotFoundError as error:
        absent = error.name or module_name
        raise LoadError([no_module(f"{what}: ", absent, at, registry.conf.root)]) from error
    except UserError as error:
        message = f"{what}: its module {shown(module_name)} cannot be imported"
        raise LoadError([problem_of(message, error, at, registry.conf.root)]) from error
    found = getattr(module, name, None)
    if isinstance(found, decorators.Pipeline):
        _check_config(found, config, what, definition.origin / "python" / "config", problems)
        return found, config
    pipelines = [
        key for key, value in vars(module).items() if isinstance(value, decorators.Pipeline)
    ]
    if found is None:
        message = f"{what}: module '{module_name}' has no '{name}'"
        fix = did_you_mean(name, pipelines) or "write a function there with @dagforge.pipeline"
    else:
        message = f"{what}: '{name}' of module '{module_name}' is no pipeline"
        fix = "put @dagforge.pipeline above it"
        if isinstance(found, decorators.Node):
            fix = "it is a node: write a function with @dagforge.pipeline that calls it"
    raise LoadError.of("no-function", message, at=at, fix=fix)


def _near_path(text: str) -> str | None:
    """Return the `module:function` that a text was probably meant to be, None if nobody can say."""
    plain = text.strip().removesuffix("()").replace("/", ".").removeprefix("src.")
    module, colon, name = plain.partition(":")
    if not colon:
        module, _, name = plain.removesuffix(".py").rpartition(".")
    module = module.removesuffix(".py")
    good = name.isidentifier() and all(part.isidentifier() for part in module.split("."))
    return f"{module}:{name}" if good else None


def _check_config(
    function: decorators.Pipeline[..., Any],
    config: Mapping[str, Any],
    what: str,
    at: Origin,
    problems: Problems,
) -> None:
    arguments = inspect.signature(function.function).parameters
    takes_any = any(each.kind is each.VAR_KEYWORD for each in arguments.values())
    for key in config:
        if key not in arguments and not takes_any:
            problems.error(
                "unknown-key",
                f"the function of {what} takes no argument {shown(key)}",
                at / key,
                fix=did_you_mean(key, arguments),
                at_key=True,
            )


def _at(place: decorators.Place, registry: Registry) -> Origin:
    return origin_in(place.file, registry.conf.root, place.line)


def _problem(fault: decorators.Fault, registry: Registry) -> Problem:
    return Problem(fault.code, fault.message, _at(fault.at, registry).location(), fault.fix)


@frozen
class _Reader:
    """Turns what a pipeline function has called into nodes."""

    registry: Registry
    problems: Problems

    def called_once(self, calls: Iterable[decorators.NodeCall]) -> list[decorators.NodeCall]:
        """Return calls of which each gives a node of its own name; the others are reported."""
        first: dict[str, decorators.NodeCall] = {}
        for call in calls:
            other = first.setdefault(call.name, call)
            if other is call:
                continue
            name = call.function.__name__
            function = call.function.__code__ is other.function.__code__
            self.problems.error(
                "duplicate-node",
                f"the pipeline calls node {shown(call.name)} again, after"
                f" {_at(other.called, self.registry).location()}"
                if function
                else f"the pipeline has another node {shown(call.name)}, called at"
                f" {_at(other.called, self.registry).location()}",
                _at(call.called, self.registry),
                fix=f'give this call a name: {name}.with_options(name="{name}_2")(...)'
                if call.called != other.called or not function
                else f"give each call a name of its own: {name}.with_options(name=...)(...), or an"
                " inner pipeline that is called twice a namespace: .with_options(namespace=...)",
            )
        return list(first.values())

    def check_identity(
        self, function: decorators.Pipeline[..., Any], config: Mapping[str, Any]
    ) -> None:
        """Report where a pipeline function asks if what it does not know yet is None.

        Python answers that without asking the value.
        """
        inner = function.function
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(inner)))
        except (OSError, SyntaxError):
            return
        unknown = {*inspect.signature(inner).parameters} - {*config}
        for each in ast.walk(tree):
            if not isinstance(each, ast.Compare) or not isinstance(each.left, ast.Name):
                continue
            name, other = each.left.id, each.comparators[0]
            if (
                name in unknown
                and isinstance(each.ops[0], (ast.Is, ast.IsNot))
                and isinstance(other, ast.Constant)
            ):
                line = inner.__code__.co_firstlineno + each.lineno - 1
                self.problems.error(
                    "value-unknown",
                    f"the pipeline function asks if '{name}' is {other.value!r}, and its value is"
                    " not known before the pipeline runs",
                    origin_in(inner.__code__.co_filename, self.registry.conf.root, line),
                    fix="do it in a node, which gets the value; what shapes the graph stands in"
                    " pipelines.yml, under `config` beside `function`",
                )

    def check_names(
        self, function: decorators.Pipeline[..., Any], calls: Iterable[decorators.NodeCall]
    ) -> None:
        """Report functions whose place in their module another one has taken."""
        functions = [function.function, *(call.function for call in calls)]
        names: dict[str, set[str]] = {}
        for each in functions:
            names.setdefault(each.__module__, set()).add(each.__name__)
        for module, known in names.items():
            for name, first, last in defined_twice(sys.modules[module]):
                if name in known:
                    self.problems.error(
                        "duplicate-function",
                        f"module '{module}' defines {shown(name)} again, after line {first}:"
                        " Python forgets the first",
                        origin_in(str(sys.modules[module].__file__), self.registry.conf.root, last),
                        fix="rename one of them",
                    )

    def node(self, call: decorators.NodeCall) -> Node:
        """Return the node of a call; what is wrong with it is kept."""
        function, options = call.function, call.options
        called, defined = call.called, call.defined
        lines = dict.fromkeys(("name", "inputs", "outputs", "after"), called.line)
        same_file = called.file == defined.file
        root = self.registry.conf.root
        at = origin_in(defined.file, root, defined.line, lines if same_file else None)
        target = f"{function.__module__}:{function.__qualname__}"
        self._check_importable(call, at)
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            self.problems.error(
                "generator",
                f"the function of node {shown(call.name)} gives a generator, which no other task"
                " could read",
                at,
                fix="return a list, or a table",
            )
        for name, what, code in [
            (call.name, "node's name", "node-name"),
            *((output, "dataset", "dataset-name") for output in call.outputs),
            *((tag, "tag", "tag-name") for tag in options.tags),
        ]:
            fault = fault_of_name(name)
            if fault is None and code == "dataset-name" and "@" in name:
                fault = "holds '@', which only Kedro gives a meaning"
            if fault is not None:
                self.problems.error(code, f"the {what} {shown(name)} {fault}", at)
        for captive in captured(function):
            self.problems.warn(
                Problem(
                    "captured-global",
                    f"node {shown(call.name)} uses '{captive.name}' ({captive.type}), which its"
                    " module makes when it is imported: every task makes its own",
                    origin_in(defined.file, root, captive.line).location(),
                    "make it in a node and hand it over, or load it in the function",
                )
            )
        return Node(
            name=call.name,
            action=Work("function", target, arguments=call.arguments),
            origin=at,
            inputs=call.inputs,
            outputs=call.outputs,
            after=call.after,
            tags=tuple(dict.fromkeys(options.tags)),
            namespace=call.namespace,
            module=function.__module__,
            settings=options.settings,
            check=options.check,
            metric=options.metric,
        )

    def _check_importable(self, call: decorators.NodeCall, at: Origin) -> None:
        """Refuse a function that a task could not find by its name."""
        function = call.function
        found: Any = sys.modules.get(function.__module__)
        for part in function.__qualname__.split("."):
            found = getattr(found, part, None)
        if found is function or getattr(found, "function", None) is function:
            return
        local = "<locals>" in function.__qualname__
        self.problems.error(
            "local-function",
            f"the function of node {shown(call.name)} cannot be imported as"
            f" {function.__module__}:{function.__qualname__}"
            + (": it is made inside another function" if local else ""),
            at,
            fix="define it at the top of its module, under a name that is not used again"
            + (", or let what decorates it use functools.wraps" if local else ""),
        )

    def parameters(self, graph: decorators.Graph) -> dict[str, Parameter]:
        """Return what the signatures declare."""
        hints: dict[Any, Mapping[str, Any]] = {}
        found: dict[str, Parameter] = {}
        for name, spec in graph.parameters.items():
            annotation = self._annotation(spec, hints)
            schema = schema_of(annotation, spec.default, required=spec.required)
            at = origin_in(spec.at.file, self.registry.conf.root, spec.at.line)
            if not spec.required and not fits(spec.default, schema):
                self.problems.error(
                    "parameter-value",
                    f"the parameter {shown(name)} has the default {spec.default!r}, which is no"
                    f" {_spelled(annotation)}",
                    at,
                    fix="change the default, or the annotation",
                )
            found[name] = Parameter(name, at, spec.default, spec.required, schema)
        both = clash(found)
        if both is not None:
            outer, inner = both
            self.problems.error(
                "duplicate-key",
                f"the parameters {shown(outer.name)} and {shown(inner.name)} cannot both be: one"
                " holds the other",
                inner.origin,
                fix="rename the node or the argument",
            )
        return found

    def _annotation(self, spec: decorators.ParameterSpec, hints: dict[Any, Any]) -> Any:
        """Return an annotation as a type, None where it cannot be told."""
        annotation = spec.annotation
        if not isinstance(annotation, str):
            return annotation
        owner = spec.owner
        if owner not in hints:
            hints[owner] = _hints(owner)
        return hints[owner].get(spec.argument)


def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(function)
    except Exception:
        # A name that exists for the type checker only; the others can still be told.
        space = getattr(function, "__globals__", {})
        return {
            name: _evaluated(text, space)
            for name, text in getattr(function, "__annotations__", {}).items()
        }


def _evaluated(annotation: Any, space: dict[str, Any]) -> Any:
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, space)
    except Exception:
        return None


def _spelled(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
