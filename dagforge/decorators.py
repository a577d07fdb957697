"""Pipelines as decorated Python: calling nodes inside a pipeline function builds the graph.

    @dagforge.node(tags="machine.small")
    def predict(customers: pd.DataFrame, threshold: float = 0.5) -> pd.DataFrame: ...

    @dagforge.pipeline
    def churn(threshold: float = 0.5):
        return predict(dagforge.dataset("customers"), threshold)

Everywhere else the functions are what they were: called, they run. Nothing is sent anywhere and
nothing is pickled; a task imports the module and calls the function by its name.

This is imported by the project's own code, in workers too, and needs only the standard library.
"""

from __future__ import annotations

import datetime
import enum
import functools
import inspect
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from types import CodeType, FrameType
from typing import Any, Generic, NoReturn, ParamSpec, TypeVar, cast, overload

from dagforge.frozen import frozen

P = ParamSpec("P")
R = TypeVar("R")
Names = str | Sequence[str]
_SEVERITIES = ("error", "warning")
_SURROGATES = re.compile("[\ud800-\udfff]")


@frozen
class Place:
    """A line of the user's code.

    Attributes:
        file: as Python knows it.
        line: from 1.
    """

    file: str
    line: int


@frozen
class Fault:
    """One thing that is wrong in how a pipeline function builds its graph."""

    code: str
    message: str
    at: Place
    fix: str | None = None


class MisuseError(TypeError):
    """A decorator is put on what it cannot be put on, or is given what it does not take."""

    def __init__(self, message: str, fix: str) -> None:
        self.message = message
        self.fix = fix
        super().__init__(f"{message}: {fix}")


class GraphError(Exception):
    """A pipeline function does what cannot be compiled, and could not go on.

    Attributes:
        faults: what else was wrong before.
    """

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.faults: tuple[Fault, ...] = ()
        where = f"{fault.at.file}:{fault.at.line}"
        super().__init__(f"{fault.message} ({where})" + (f"; {fault.fix}" if fault.fix else ""))


class Value:
    """What a node will give, or a dataset or parameter will hold, while a graph is built.

    It has no value yet, so that nothing can be asked of it: it can only be handed to nodes.
    """

    __slots__ = ("name", "node")

    name: str
    node: NodeCall | None

    def __init__(self, name: str, node: NodeCall | None = None) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "node", node)

    def __repr__(self) -> str:
        return f"<{self.name}, known when the pipeline runs>"

    def _refuse(self, does: str, fix: str | None = None) -> NoReturn:
        graph = _building.get()
        frame = _own_frame()
        helper = _helper_of(frame, graph)
        if helper is not None:
            fix = f"put @dagforge.node above '{helper}', so that it is called with the value"
        elif self.name.startswith("params:"):
            fix = (
                "do it in a node, which gets the value; what shapes the graph stands in"
                " pipelines.yml, under `config` beside `function`"
            )
        fault = Fault(
            "value-unknown",
            ("the pipeline function" if helper is None else f"'{helper}'")
            + f" {does} '{self.name}', whose value is not known before the pipeline runs",
            Place(frame.f_code.co_filename, frame.f_lineno),
            fix or "do it in a node: a function with @dagforge.node",
        )
        if graph is not None:
            # The pipeline function may catch what is raised; the graph would be wrong all the same.
            graph.faults.append(fault)
        raise GraphError(fault)

    def __bool__(self) -> bool:
        self._refuse("asks for the truth of")

    def __iter__(self) -> Iterator[Any]:
        self._refuse(
            "iterates over",
            "do it in a node; one that gives several datasets says @dagforge.node(outputs=[...])",
        )

    def __len__(self) -> int:
        self._refuse("asks for the length of")

    def __getitem__(self, key: object) -> Any:
        self._refuse(f"takes [{key!r}] of")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse(f"takes .{name} of")

    def __str__(self) -> str:
        self._refuse("makes text of")

    def __rshift__(self, other: object) -> Any:
        del other
        self._refuse(
            "writes >> behind",
            "nodes run after those whose data they read; for others there is"
            " score.with_options(after=train(...))(...)",
        )

    def _compute(self, *args: object, **kwargs: object) -> Any:
        del args, kwargs
        self._refuse("computes with")

    def _change(self, *args: object) -> Any:
        del args
        self._refuse("changes")

    def __format__(self, spec: str) -> str:
        del spec
        return str(self)

    __fspath__ = __bytes__ = __str__
    __setattr__ = __delattr__ = __setitem__ = __delitem__ = _change
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = _compute
    __rtruediv__ = __floordiv__ = __mod__ = __pow__ = __matmul__ = __neg__ = __and__ = _compute
    __or__ = __lt__ = __le__ = __gt__ = __ge__ = __int__ = __float__ = __contains__ = _compute
    __call__ = __rfloordiv__ = __rmod__ = __rpow__ = __rmatmul__ = __rand__ = __ror__ = _compute
    __abs__ = __round__ = __index__ = __pos__ = __invert__ = __divmod__ = __rdivmod__ = _compute
    __xor__ = __rxor__ = __lshift__ = __rlshift__ = __rrshift__ = __complex__ = _compute
    __enter__ = __exit__ = __next__ = __trunc__ = __floor__ = __ceil__ = _compute
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> Any:
        # `is None` and membership tests of our own go by identity; a comparison is a question.
        if other is self:
            return True
        self._refuse("compares")

    def __ne__(self, other: object) -> Any:
        self._refuse("compares")


@frozen
class ParameterSpec:
    """A parameter that a signature declares.

    Attributes:
        name: with dots, as in `params:<name>`.
        default: None when `required`.
        annotation: as it stands in the signature; None without one.
        owner: whose signature it is in, as `argument`.
    """

    name: str
    at: Place
    owner: Callable[..., Any]
    argument: str
    default: Any = None
    required: bool = False
    annotation: Any = None


@frozen
class NodeOptions:
    """What a decorator or `with_options` says of a node."""

    name: str | None = None
    tags: tuple[str, ...] = ()
    outputs: tuple[str, ...] | None = None
    namespace: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    after: tuple[Any, ...] = ()
    check: str | None = None
    metric: bool = False


@dataclass(eq=False, slots=True)
class NodeCall:
    """A call of a node function inside a pipeline function.

    Attributes:
        arguments: input by argument; empty where all go by position.
        inputs: in the order of the signature.
        called: where it is called.
    """

    name: str
    function: Callable[..., Any]
    options: NodeOptions
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    arguments: Mapping[str, str]
    after: tuple[str, ...]
    namespace: str | None
    called: Place
    defined: Place


@dataclass(slots=True)
class Graph:
    """What a pipeline function has built so far.

    Attributes:
        code: of the pipeline functions that build it.
    """

    nodes: list[NodeCall] = field(default_factory=list)
    parameters: dict[str, ParameterSpec] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    namespaces: list[str] = field(default_factory=list)
    code: set[CodeType] = field(default_factory=set)

    def fault(self, code: str, message: str, at: Place, fix: str | None = None) -> None:
        """Keep something that is wrong."""
        self.faults.append(Fault(code, message, at, fix))

    @property
    def namespace(self) -> str | None:
        """Where nodes are added now; dotted."""
        return ".".join(self.namespaces) or None

    @contextmanager
    def built_by(self, function: Callable[..., Any]) -> Iterator[None]:
        """Let a pipeline function add to it in here."""
        self.code.add(inspect.unwrap(function).__code__)
        yield

    def inside(self, name: str) -> str:
        """Return a name as it is in the present namespace, as Kedro's modular pipelines do."""
        return f"{self.namespace}.{name}" if self.namespaces else name


_building: ContextVar[Graph | None] = ContextVar("dagforge_graph", default=None)


@contextmanager
def _calls_go_to(graph: Graph | None) -> Iterator[None]:
    """Let calls of nodes add to a graph in here, or run with None."""
    token = _building.set(graph)
    try:
        yield
    finally:
        _building.reset(token)


def build_graph(function: Pipeline[..., Any], config: Mapping[str, Any]) -> Graph:
    """Return the graph that a pipeline function builds.

    Args:
        function: what `@pipeline` made.
        config: plain values for those of its arguments that shape the graph.

    Raises:
        GraphError: it asks for a value that is not known yet, or calls a node wrongly.
        Exception: whatever it raises by itself.
    """
    graph = Graph()
    arguments = function.arguments(graph, config)
    with _calls_go_to(graph), graph.built_by(function.function):
        try:
            function.function(**arguments)
        except GraphError as error:
            error.faults = tuple(fault for fault in graph.faults if fault is not error.fault)
            raise
    return graph


def dataset(name: str) -> Any:
    """Return a dataset of the catalog, for a node to read.

    As the default of a pipeline's argument it lets `.local(customers=table)` give another one.
    """
    if not isinstance(name, str) or not name:
        raise MisuseError(
            f"dataset() is called with {name!r}", 'name a dataset: dagforge.dataset("customers")'
        )
    return Value(name)


def _caller() -> Place:
    """Return the nearest line outside this module."""
    frame = sys._getframe(1)
    while frame.f_code.co_filename == __file__ and frame.f_back is not None:
        frame = frame.f_back
    return Place(frame.f_code.co_filename, frame.f_lineno)


def _own_frame() -> FrameType:
    """Return the nearest frame of the user's own code, for where a library was called from it."""
    from dagforge.user_code import is_library

    frame: FrameType | None = sys._getframe(1)
    nearest: FrameType | None = None
    while frame is not None:
        code = frame.f_code
        if code.co_filename == __file__:
            if code.co_name == build_graph.__name__:
                break
        else:
            nearest = nearest or frame
            if not code.co_filename.startswith("<") and not is_library(Path(code.co_filename)):
                return frame
        frame = frame.f_back
    return nearest or sys._getframe(1)


def _helper_of(frame: FrameType, graph: Graph | None) -> str | None:
    """Return the name of the plain function that a pipeline function calls; None if it is none."""
    code = frame.f_code
    if graph is None or code in graph.code or not code.co_name.isidentifier():
        return None
    return code.co_name


def place_of(function: Callable[..., Any]) -> Place:
    """Return where a function is defined, its decorators included."""
    code = inspect.unwrap(function).__code__
    return Place(code.co_filename, code.co_firstlineno)


def _names(value: Names | None, what: str) -> tuple[str, ...]:
    if value is None:
        return ()
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)):
        kind = type(names).__name__
        raise MisuseError(
            f"the {what} of a node are text or a list of texts, not of type {kind}",
            f'write {what}=["one", "other"]',
        )
    for name in names:
        if not isinstance(name, str) or not name:
            raise MisuseError(f"one of the {what} of a node is {name!r}", "let it be text")
        if names.count(name) > 1:
            raise MisuseError(f"the {what} of a node name '{name}' twice", "drop one of them")
    return tuple(names)


def _name(value: str | None) -> str | None:
    if value is not None and (not isinstance(value, str) or not value):
        raise MisuseError(f"the name of a node is {value!r}", "let it be text, or leave it out")
    return value


def _settings(value: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return settings that are such data as YAML holds."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise MisuseError(
            f"the settings of a node are a mapping, not of type {type(value).__name__}",
            'write settings={"retries": 3}',
        )
    for key, each in value.items():
        fault = _fault_of({key: each})
        if fault is not None:
            says = fault[0].replace("neither what a node gives nor plain data", "no plain data")
            fix = "write it as in YAML, such as '5m'" if "type" in fault[0] else fault[1]
            raise MisuseError(f"the setting {key!r} of a node {says}", fix)
        if any(isinstance(part, Value) for part in _held(each)):
            raise MisuseError(
                f"the setting {key!r} of a node is what a node or a parameter gives, which is not"
                " known before the pipeline runs",
                "write a value",
            )
    return dict(value)


def _checked(function: object, decorator: str) -> Callable[..., Any]:
    if inspect.isfunction(function):
        return function
    kind, fix = f"something of type {type(function).__name__}", "put it in front of a def"
    if isinstance(function, str):
        kind, fix = "a text", f'write name="{function}"'
        if decorator == "@pipeline":
            fix = "write @pipeline alone: the pipeline's name stands in pipelines.yml"
    elif isinstance(function, type):
        kind = "a class"
    elif isinstance(function, (staticmethod, classmethod)):
        kind, fix = "a method", "move the function out of its class, to the top of the module"
    elif isinstance(function, (Node, Pipeline)):
        kind = "a node" if isinstance(function, Node) else "a pipeline"
        fix = "keep one of the two decorators"
    raise MisuseError(f"{decorator} decorates a function, not {kind}", fix)


def _no_other(decorator: str, unknown: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in unknown:
        from dagforge.errors import did_you_mean

        fix = did_you_mean(key, known) or f"it takes {', '.join(known)}"
        raise MisuseError(f"{decorator} takes no '{key}'", fix)


class Node(Generic[P, R]):
    """A function that becomes a node where a pipeline function calls it, and runs elsewhere."""

    def __init__(self, function: Callable[P, R], options: NodeOptions) -> None:
        self.function = function
        self.options = options
        functools.update_wrapper(self, function)

    def __reduce__(self) -> str:
        # By name, as functions are pickled: libraries hand them to processes of their own.
        return self.function.__qualname__

    def __repr__(self) -> str:
        return f"<node {self.function.__module__}.{self.function.__qualname__}>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function; inside a pipeline function, add a node and return its outputs."""
        graph = _building.get()
        if graph is None:
            return self.function(*args, **kwargs)
        return cast(R, _add(graph, self, args, kwargs, _caller()))

    def local(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function, wherever this is called."""
        with _calls_go_to(None):
            return self.function(*args, **kwargs)

    def with_options(
        self,
        *,
        name: str | None = None,
        tags: Names | None = None,
        outputs: Names | None = None,
        settings: Mapping[str, Any] | None = None,
        after: Any = None,
    ) -> Node[P, R]:
        """Return the node with other options, for one call of several.

        Args:
            name: of the node; its outputs are called after it.
            tags: instead of the decorator's.
            outputs: names of what it gives.
            settings: laid over the decorator's.
            after: what other nodes give; they run earlier.
        """
        options = self.options
        if name is not None:
            options = replace(options, name=_name(name))
        if tags is not None:
            options = replace(options, tags=_names(tags, "tags"))
        if outputs is not None:
            options = replace(options, outputs=_names(outputs, "outputs"))
        if settings is not None:
            options = replace(options, settings={**options.settings, **_settings(settings)})
        if after is not None:
            # In a plain run this is what the other node returned, and of no use.
            earlier = tuple(after) if isinstance(after, (list, tuple)) else (after,)
            options = replace(options, after=earlier)
        return Node(self.function, options)


def _add(graph: Graph, node: Node[..., Any], args: Any, kwargs: Any, called: Place) -> Any:
    """Add a call to the graph and return what stands for its outputs."""
    options = node.options
    function = node.function
    plain = options.name or function.__name__
    name = graph.inside(plain)
    signature = inspect.signature(function)
    inputs: list[tuple[str | None, str]] = []
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        message = f"'{function.__name__}{signature}' is called with other arguments: {error}"
        is_method = next(iter(signature.parameters), "") == "self"
        fix = "move the function out of its class, to the top of the module" if is_method else None
        graph.fault("wrong-arguments", message, called, fix)
    else:
        inputs = _inputs(graph, name, function, bound, called)
    by_name = all(key is not None for key, _ in inputs)
    outputs = _outputs(graph, plain, options)
    call = NodeCall(
        name=name,
        function=function,
        options=options,
        outputs=outputs,
        inputs=tuple(dict.fromkeys(value for _, value in inputs))
        if by_name
        else tuple(value for _, value in inputs),
        arguments={key: value for key, value in inputs if key is not None} if by_name else {},
        after=_after(graph, options, called),
        namespace=graph.namespace,
        called=called,
        defined=place_of(function),
    )
    graph.nodes.append(call)
    values = tuple(Value(output, call) for output in outputs)
    if not values:
        # Something to run after, which holds nothing.
        return Value(name, call)
    return values[0] if len(values) == 1 else values


def _outputs(graph: Graph, name: str, options: NodeOptions) -> tuple[str, ...]:
    """Return the datasets that a call writes: those that are stated, else one of its own name.

    A node that was renamed is one of several calls, whose outputs must not be the same.
    """
    if options.outputs is not None:
        prefix = "" if options.name is None or len(options.outputs) == 1 else f"{options.name}."
        names = tuple(f"{prefix}{output}" for output in options.outputs)
    elif options.check is not None or options.metric:
        names = ()
    else:
        names = (name,)
    return tuple(graph.inside(output) for output in names)


def _after(graph: Graph, options: NodeOptions, called: Place) -> tuple[str, ...]:
    names = []
    for value in options.after:
        if not isinstance(value, Value) or value.node is None:
            graph.fault(
                "wrong-arguments", "`after` takes what other nodes of the pipeline give", called
            )
        else:
            names.append(value.node.name)
    return tuple(dict.fromkeys(names))


def _inputs(
    graph: Graph,
    node: str,
    function: Callable[..., Any],
    bound: inspect.BoundArguments,
    called: Place,
) -> list[tuple[str | None, str]]:
    """Return a dataset or parameter for each argument; without a name where it goes by position.

    What is no dataset is a parameter called after node and argument, whose default is the value.
    """
    found: list[tuple[str | None, str]] = []
    signature, defined = bound.signature, place_of(function)

    def take(key: str, value: Any, keyword: str | None, annotation: Any, at: Place) -> None:
        if isinstance(value, Value):
            if value.node is not None and value.name not in value.node.outputs:
                graph.fault(
                    "wrong-arguments",
                    f"argument '{key}' of node '{node}' is what '{value.name}' gives, which writes"
                    " no dataset",
                    called,
                    f"to run after it: {function.__name__}.with_options(after=...)(...)",
                )
            found.append((keyword, value.name))
            return
        fault = _fault_of(value)
        if fault is not None:
            message = f"argument '{key}' of node '{node}' {fault[0]}"
            graph.fault("parameter-value", message, called, fault[1])
            return
        name = f"{node}.{key}"
        graph.parameters[name] = ParameterSpec(
            name, at, function, key, value, annotation=annotation
        )
        found.append((keyword, f"params:{name}"))

    by_position = any(
        each.kind in (each.VAR_POSITIONAL, each.POSITIONAL_ONLY)
        for each in signature.parameters.values()
    )
    for key, parameter in signature.parameters.items():
        annotation = None if parameter.annotation is parameter.empty else parameter.annotation
        if key in bound.arguments:
            value = bound.arguments[key]
            if parameter.kind is parameter.VAR_POSITIONAL:
                for number, each in enumerate(value):
                    take(f"{key}_{number}", each, None, annotation, called)
            elif parameter.kind is parameter.VAR_KEYWORD:
                for name, each in value.items():
                    take(name, each, name, annotation, called)
            else:
                take(key, value, None if by_position else key, annotation, called)
        elif parameter.default is not parameter.empty and _fault_of(parameter.default) is None:
            # Another default is the function's own business: it is not a value to be set.
            take(key, parameter.default, None if by_position else key, annotation, defined)
    if by_position and any(keyword is not None for keyword, _ in found):
        graph.fault(
            "wrong-arguments",
            f"node '{node}' takes some arguments by position only and others by name only",
            defined,
            "let it take all of them by name",
        )
        return [(None, value) for _, value in found]
    return found


def _fault_of(value: Any) -> tuple[str, str] | None:
    """Return what keeps a value from being a parameter, and what to do; None if nothing does."""
    if isinstance(value, Value):
        return None
    if isinstance(value, (Node, Pipeline)):
        name = getattr(value, "__name__", "it")
        return f"is '{name}' itself, which is not called", f"call it: {name}(...)"
    held = _held(value)
    if any(isinstance(each, Value) for each in held):
        return (
            "is a container of what nodes give",
            "let the function take them as *args, or each by its own name",
        )
    for each in held:
        if isinstance(each, float) and not math.isfinite(each):
            return f"is {each}, which JSON does not have", "leave it out, or write it as text"
        if isinstance(each, _Key):
            return f"has the key {each.value!r}, no text", f"write it as text: '{each.value}'"
        if isinstance(each, str) and not each.isascii() and _SURROGATES.search(each):
            return "holds half of a character, which no file can hold", "write the whole character"
        if not (each is None or type(each) in (bool, int, float, str)):
            return (
                f"is of type {type(each).__name__}, neither what a node gives nor plain data",
                _plainer(each),
            )
    return None


def _plainer(value: Any) -> str:
    """Return what to write instead of a value that is no plain data."""
    if isinstance(value, (datetime.date, datetime.time)):
        return f'write it as text: "{value.isoformat()}"'
    if isinstance(value, enum.Enum):
        return f"write its value: {value.value!r}"
    if isinstance(value, (tuple, set, frozenset)):
        return "write a list"
    if isinstance(value, PurePath):
        return f'write it as text: "{value}"'
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return f"write it as Python's own: {value.item()!r}"
    return "make it in a node, declare it in the catalog, or import it in the function's module"


@frozen
class _Key:
    """A key of a mapping that is no text."""

    value: Any


def _held(value: Any) -> list[Any]:
    """Return what is in lists and mappings, however deep; the value itself if it is neither."""
    found: list[Any] = []
    pending: list[Any] = [value]
    seen: set[int] = set()
    while pending:
        each = pending.pop()
        if type(each) not in (list, dict, tuple) or id(each) in seen:
            found.append(each)
            continue
        seen.add(id(each))
        if isinstance(each, tuple):
            # It would come back as a list; only what it holds of nodes is looked for.
            found += [part for part in each if isinstance(part, Value)] or [each]
        elif isinstance(each, dict):
            found += [
                key if isinstance(key, Value) else _Key(key) for key in each if type(key) is not str
            ]
            pending += each.values()
        else:
            pending += each
    return found


class Pipeline(Generic[P, R]):
    """A function that calls nodes; DagForge compiles it, a plain call runs it."""

    def __init__(self, function: Callable[P, R], namespace: str | None = None) -> None:
        self.function = function
        self.namespace = namespace
        functools.update_wrapper(self, function)

    def __reduce__(self) -> str:
        return self.function.__qualname__

    def __repr__(self) -> str:
        return f"<pipeline {self.function.__module__}.{self.function.__qualname__}>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run every node, one after the other; inside another pipeline, add its nodes there."""
        graph = _building.get()
        if graph is None:
            return self.function(*args, **kwargs)
        if self.namespace is not None:
            graph.namespaces.append(self.namespace)
        try:
            with graph.built_by(self.function):
                return self.function(*args, **kwargs)
        finally:
            if self.namespace is not None:
                graph.namespaces.pop()

    def local(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run every node here and return what the function returns."""
        with _calls_go_to(None):
            return self.function(*args, **kwargs)

    def with_options(self, *, namespace: str) -> Pipeline[P, R]:
        """Return the pipeline in a namespace, for one of several calls inside another one."""
        if not isinstance(namespace, str) or not namespace:
            raise MisuseError(f"the namespace of a pipeline is {namespace!r}", "let it be text")
        return Pipeline(self.function, namespace)

    def arguments(self, graph: Graph, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the function is called with: config, datasets, and parameters."""
        values: dict[str, Any] = {}
        at = place_of(self.function)
        for name, parameter in inspect.signature(self.function).parameters.items():
            if name in config:
                values[name] = config[name]
            elif isinstance(parameter.default, Value):
                values[name] = parameter.default
            elif parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            elif parameter.kind is parameter.POSITIONAL_ONLY:
                graph.fault("wrong-arguments", f"'{name}' of the pipeline has no name to set", at)
            else:
                required = parameter.default is parameter.empty
                default = None if required else parameter.default
                fault = _fault_of(default)
                annotation = parameter.annotation
                if fault is not None:
                    message = f"argument '{name}' of the pipeline {fault[0]}"
                    graph.fault("parameter-value", message, at, fault[1])
                    default, annotation = None, parameter.empty
                graph.parameters[name] = ParameterSpec(
                    name,
                    at,
                    self.function,
                    name,
                    default,
                    required,
                    None if annotation is parameter.empty else annotation,
                )
                values[name] = Value(f"params:{name}")
        return values


@overload
def node(function: Callable[P, R], /) -> Node[P, R]: ...


@overload
def node(
    *,
    name: str | None = None,
    tags: Names | None = None,
    outputs: Names | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Callable[[Callable[P, R]], Node[P, R]]: ...


def node(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    tags: Names | None = None,
    outputs: Names | None = None,
    settings: Mapping[str, Any] | None = None,
    **unknown: object,
) -> Any:
    """Make a function a node of the pipelines that call it.

    Args:
        function: what is decorated; None for the decorator with options.
        name: of the node; the function's by default.
        tags: for grouping (`airflow.<task>`), machines (`machine.<size>`), selection.
        outputs: names of what it returns, one or several; by default one, called like the node.
        settings: of its task, as under `settings:` in pipelines.yml.
        unknown: refused.

    Raises:
        MisuseError: what is decorated is no function, or an option is wrong.
    """
    _no_other("@node", unknown, ("name", "tags", "outputs", "settings"))
    options = NodeOptions(
        name=_name(name),
        tags=_names(tags, "tags"),
        outputs=None if outputs is None else _names(outputs, "outputs"),
        settings=_settings(settings),
    )
    return _decorated(function, options, "@node")


@overload
def check(function: Callable[P, R], /) -> Node[P, R]: ...


@overload
def check(
    *, severity: str = "error", name: str | None = None, tags: Names | None = None
) -> Callable[[Callable[P, R]], Node[P, R]]: ...


def check(
    function: Callable[..., Any] | None = None,
    /,
    *,
    severity: str = "error",
    name: str | None = None,
    tags: Names | None = None,
    **unknown: object,
) -> Any:
    """Make a function a check: it returns whether its data are good.

    Args:
        function: what is decorated; None for the decorator with options.
        severity: `error` fails the task, `warning` is recorded.
        name: of the node; the function's by default.
        tags: as for `node`.
        unknown: refused.

    Raises:
        MisuseError: what is decorated is no function, or an option is wrong.
    """
    _no_other("@check", unknown, ("severity", "name", "tags"))
    if severity not in _SEVERITIES:
        raise MisuseError(
            f"the severity of a check is {severity!r}", "let it be 'error' or 'warning'"
        )
    options = NodeOptions(name=_name(name), tags=_names(tags, "tags"), check=severity)
    return _decorated(function, options, "@check")


@overload
def metric(function: Callable[P, R], /) -> Node[P, R]: ...


@overload
def metric(
    *, name: str | None = None, tags: Names | None = None
) -> Callable[[Callable[P, R]], Node[P, R]]: ...


def metric(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    tags: Names | None = None,
    **unknown: object,
) -> Any:
    """Make a function a metric: the number that it returns is kept with the run.

    Args:
        function: what is decorated; None for the decorator with options.
        name: of the node; the function's by default.
        tags: as for `node`.
        unknown: refused.

    Raises:
        MisuseError: what is decorated is no function, or an option is wrong.
    """
    _no_other("@metric", unknown, ("name", "tags"))
    options = NodeOptions(name=_name(name), tags=_names(tags, "tags"), metric=True)
    return _decorated(function, options, "@metric")


def _decorated(function: Callable[..., Any] | None, options: NodeOptions, what: str) -> Any:
    def decorate(function: Callable[..., Any]) -> Node[..., Any]:
        if isinstance(function, Node):
            # @check above @node: the options of both.
            return Node(function.function, _joined(function.options, options))
        return Node(_checked(function, what), options)

    return decorate if function is None else decorate(function)


def _joined(inner: NodeOptions, outer: NodeOptions) -> NodeOptions:
    return NodeOptions(
        name=outer.name or inner.name,
        tags=tuple(dict.fromkeys((*inner.tags, *outer.tags))),
        outputs=inner.outputs if outer.outputs is None else outer.outputs,
        settings={**inner.settings, **outer.settings},
        check=outer.check or inner.check,
        metric=outer.metric or inner.metric,
    )


_NOTHING: Any = object()


def pipeline(function: Callable[P, R] = _NOTHING, /, **unknown: object) -> Pipeline[P, R]:
    """Make a function a pipeline: `python: "module:function"` in pipelines.yml names it.

    Its arguments are parameters of the pipeline, with the signature's defaults; one whose default
    is `dataset("name")` is a dataset.

    Raises:
        MisuseError: what is decorated is no function, or it cannot build a graph.
    """
    if function is _NOTHING or unknown:
        raise MisuseError(
            "@pipeline takes nothing between parentheses",
            "write @pipeline alone: what there is to say of it stands in pipelines.yml",
        )
    checked = _checked(function, "@pipeline")
    if inspect.iscoroutinefunction(checked) or inspect.isasyncgenfunction(checked):
        raise MisuseError(
            "@pipeline decorates an async function, which would not run when it is called",
            "write def, and call its nodes without await; nodes may be async",
        )
    if inspect.isgeneratorfunction(checked):
        raise MisuseError(
            "@pipeline decorates a generator, which would not run when it is called",
            "call the nodes without yield",
        )
    return Pipeline(checked)
