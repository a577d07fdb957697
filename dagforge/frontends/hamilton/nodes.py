"""From the variables of Hamilton's drivers to nodes."""

from __future__ import annotations

import inspect
import re
import sys
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dagforge.errors import Origin, Problems, did_you_mean, suggest
from dagforge.frontends.hamilton.definition import DriverDefinition
from dagforge.frontends.hamilton.driver import Variable
from dagforge.frontends.parameters import fits, misfit, schema_of
from dagforge.frontends.places import origin_in
from dagforge.frontends.words import shown
from dagforge.frozen import frozen
from dagforge.ir import Node, Parameter, Work

RUNNER = "hamilton"
EXTRA_OUTPUTS = "extra_outputs"
"""The parameter with the savers that a run asks for."""
_SAVER = "hamilton.data_saver"
_LOADER = "hamilton.data_loader"
_QUALITY = "hamilton.data_quality"
_FRAMEWORK = ("hamilton.", "module")


@frozen
class Driven:
    """A driver that was built, and what is asked of it.

    Attributes:
        variables: by name.
        wanted: names of the variables that are nodes of the pipeline, in Hamilton's own order.
        savers: of these, those that run only when a run asks for them.
        takers: nodes by what goes into them.
    """

    definition: DriverDefinition
    variables: Mapping[str, Variable]
    wanted: tuple[str, ...]
    savers: tuple[str, ...]
    takers: Mapping[str, Sequence[Variable]]


def takers_of(
    wanted: Iterable[str], variables: Mapping[str, Variable]
) -> dict[str, list[Variable]]:
    """Return the nodes by what goes into them, in their order."""
    takers: dict[str, list[Variable]] = {}
    for name in wanted:
        for need in variables[name].needs:
            takers.setdefault(need, []).append(variables[name])
    return takers


def is_saver(variable: Variable) -> bool:
    """Say whether a variable writes something somewhere instead of computing it."""
    return any(tag.startswith(_SAVER) for tag in variable.tags)


def is_validation(tags: Iterable[str]) -> bool:
    """Say whether a variable with these tags is what `@check_output` makes of an expectation."""
    return f"{_QUALITY}.contains_dq_results" in tags


def wanted_of(
    definition: DriverDefinition,
    variables: Mapping[str, Variable],
    problems: Problems,
    *,
    variant: str = "",
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names that `outputs` asks for and what goes into them, and the other savers.

    Args:
        definition: of the driver.
        variables: of the driver.
        problems: takes outputs that are not there.
        variant: how messages begin that hold for another config.
    """
    computed = {name for name, each in variables.items() if not each.is_input}
    starts = []
    for index, name in enumerate(definition.outputs):
        if name in computed:
            starts.append(name)
            continue
        what = "is an input" if name in variables else "is computed by no function"
        others = _variants_of(name, definition)
        if others:
            problems.error(
                "config-no-match",
                f"{variant}the output {shown(name)} is computed by no function with this config:"
                f" there is {', '.join(others)}",
                definition.origin / "outputs" / index,
                fix="set the config that one of them asks for",
            )
            continue
        problems.error(
            "unknown-output",
            f"{variant}the output {shown(name)} {what}",
            definition.origin / "outputs" / index,
            fix=did_you_mean(name, computed),
        )
        near = suggest(name, computed)
        # What goes into the one that was meant is looked at as well.
        starts += [near] if near is not None else []
    if not definition.outputs:
        starts = [name for name in computed if not is_saver(variables[name])]
    wanted = _upstream(starts, variables)
    savers = [
        name
        for name in computed
        if name not in wanted
        and is_saver(variables[name])
        and all(need in wanted or variables[need].is_input for need in variables[name].needs)
    ]
    return tuple(sorted(wanted | set(savers))), tuple(sorted(savers))


def _upstream(starts: Iterable[str], variables: Mapping[str, Variable]) -> set[str]:
    """Return the computed variables among some and what goes into them."""
    found: set[str] = set()
    pending = list(starts)
    while pending:
        name = pending.pop()
        variable = variables.get(name)
        if name in found or variable is None or variable.is_input:
            continue
        found.add(name)
        pending += variable.needs
    return found


@frozen
class Reader:
    """Turns the drivers of one pipeline into nodes.

    Attributes:
        driven: the drivers, in order.
        root: of the project.
    """

    pipeline: str
    driven: Sequence[Driven]
    root: Path
    problems: Problems

    def nodes(self) -> tuple[Node, ...]:
        """Return the nodes of all drivers, sorted by module and line."""
        found: dict[str, Node] = {}
        for each in self.driven:
            tags = _tags(each)
            blocks = _blocks(each)
            self._check_functions(each)
            again = []
            for name in each.wanted:
                node = self._node(each, name, tags[name], blocks.get(name))
                if found.setdefault(node.name, node) is not node:
                    again.append(name)
            if again:
                more = f" and {len(again) - 1} more" if len(again) > 1 else ""
                self.problems.error(
                    "duplicate-node",
                    f"another driver of {shown(self.pipeline)} computes {shown(again[0])}{more},"
                    " too",
                    each.definition.origin,
                    fix="give this one a `name`, which stands in front of its nodes",
                )
        return tuple(found.values())

    def _check_functions(self, driven: Driven) -> None:
        """Report functions that would fail, or give something else, when they are run."""
        parallel = [name for name in driven.wanted if is_parallel(driven.variables[name])]
        repeated: set[str] = set()
        for name in parallel:
            inside = _until_collected(name, driven)
            repeated |= inside
            variable = driven.variables[name]
            at = self.place(
                variable.functions[0] if variable.functions else None, driven.definition.origin
            )
            within = sorted(other for other in inside if other in parallel and other != name)
            if within:
                self.problems.error(
                    "hamilton-parallel",
                    f"{shown(within[0])} is Parallelizable within {shown(name)}, which Hamilton"
                    " does not repeat",
                    at,
                    fix=f"collect {name} first, or let {within[0]} return a list",
                )
            elif not any(
                _collects(taker, each) for each in inside for taker in driven.takers.get(each, ())
            ):
                self.problems.error(
                    "hamilton-parallel",
                    f"{shown(name)} is Parallelizable, and nothing collects what is made of it",
                    at,
                    fix="let a function take the results as Collect[...], or return a list",
                )
        for name in driven.wanted:
            variable = driven.variables[name]
            function = variable.functions[0] if variable.functions else None
            if inspect.iscoroutinefunction(function):
                self.problems.error(
                    "hamilton-build",
                    f"function {shown(name)} is async, which only Hamilton's async driver runs",
                    self.place(function, driven.definition.origin),
                    fix="write def, with asyncio.run(...) inside",
                )
            for need, annotation in getattr(function, "__annotations__", {}).items():
                # What an annotation means is only asked where it can be this.
                if "Collect" not in repr(annotation) or need in repeated:
                    continue
                if need in variable.needs and _collects(variable, need):
                    self.problems.error(
                        "hamilton-parallel",
                        f"{shown(name)} collects {shown(need)}, which nothing Parallelizable goes"
                        " into",
                        self.place(function, driven.definition.origin),
                        fix=f"take {need} as it is, or return Parallelizable[...] before it",
                    )

    def _node(self, driven: Driven, name: str, tags: tuple[str, ...], block: str | None) -> Node:
        variable = driven.variables[name]
        definition = driven.definition
        function = variable.functions[0] if variable.functions else None
        inputs = [self._source(driven, need) for need in _ordered_needs(variable)]
        if name in driven.savers:
            inputs.append(f"params:{EXTRA_OUTPUTS}")
        full = definition.prefixed(name)
        return Node(
            name=full,
            action=Work(RUNNER, name, pipeline=definition.key),
            origin=self.place(function, definition.origin),
            inputs=tuple(dict.fromkeys(each for each in inputs if each is not None)),
            outputs=(full,),
            tags=tags,
            namespace=definition.name or None,
            module=getattr(function, "__module__", None),
            block=None if block is None else definition.prefixed(block),
        )

    def _source(self, driven: Driven, need: str) -> str | None:
        """Return the dataset or parameter of what a variable needs; None for config."""
        definition, variable = driven.definition, driven.variables.get(need)
        if variable is not None and not variable.is_input:
            return definition.prefixed(need)
        if need in definition.config:
            return None
        if need in definition.datasets:
            return definition.datasets[need]
        if need in definition.inputs:
            return f"params:{need}"
        other = self._elsewhere(driven, need)
        if other is not None:
            return other
        return f"params:{need}" if self._optional(driven, need) else None

    def _elsewhere(self, driven: Driven, need: str) -> str | None:
        """Return the node of another driver that computes what this one takes for an input."""
        for other in self.driven:
            if other is not driven and need in other.wanted:
                return other.definition.prefixed(need)
        return None

    def _optional(self, driven: Driven, need: str) -> bool:
        """Say whether an input that nobody declares has a default that a run may replace."""
        return all(
            need in each.optional and _is_plain(each.optional[need])
            for each in driven.takers.get(need, ())
        )

    def place(self, function: Any, other: Origin) -> Origin:
        """Return where a function is defined, `other` when that is not known."""
        code = getattr(inspect.unwrap(function), "__code__", None) if function else None
        if code is None:
            return other
        return origin_in(code.co_filename, self.root, code.co_firstlineno)

    def parameters(self) -> dict[str, Parameter]:
        """Return the inputs of all drivers; what no one declares is refused."""
        found: dict[str, Parameter] = {}
        for driven in self.driven:
            for parameter in self._parameters(driven):
                found.setdefault(parameter.name, parameter)
        savers = [
            driven.definition.prefixed(name) for driven in self.driven for name in driven.savers
        ]
        if savers:
            schema = {"type": "array", "items": {"type": "string", "enum": sorted(savers)}}
            at = self.driven[0].definition.origin
            found[EXTRA_OUTPUTS] = Parameter(EXTRA_OUTPUTS, at, [], schema=schema)
        return found

    def _parameters(self, driven: Driven) -> Iterable[Parameter]:
        definition = driven.definition
        needed = {
            need: takers[0]
            for need, takers in driven.takers.items()
            if need not in driven.variables or driven.variables[need].is_input
        }
        for need, taker in sorted(needed.items()):
            type_ = driven.variables[need].type if need in driven.variables else None
            if need in definition.config or need in definition.datasets:
                continue
            if need in definition.inputs:
                at = definition.origin / "inputs"
                at = at / need if isinstance(_data(at), dict) else at
                default = definition.inputs[need]
                required = default is None
                parameter = Parameter(
                    need, at, default, required, schema_of(type_, default, required=required)
                )
                if not required and not fits(default, parameter.schema):
                    self.problems.error(*misfit(parameter, default), at, fix=None)
                yield parameter
            elif self._elsewhere(driven, need) is None:
                if self._optional(driven, need):
                    default = taker.optional[need]
                    at = self.place(
                        taker.functions[0] if taker.functions else None, definition.origin
                    )
                    yield Parameter(
                        need, at, default, False, schema_of(type_, default, required=False)
                    )
                elif need in taker.required:
                    self._report_undeclared(driven, need, taker)
        for name in sorted({*definition.inputs} - needed.keys()):
            at = definition.origin / "inputs"
            known = sorted(needed.keys() - definition.config.keys())
            is_node = name in driven.variables and not driven.variables[name].is_input
            self.problems.error(
                "unknown-input",
                f"the input {shown(name)} is computed by a function, and what a run gives would be"
                " ignored"
                if is_node
                else f"no function takes the input {shown(name)}",
                at / name if isinstance(_data(at), dict) else at,
                fix="take it out" if is_node else did_you_mean(name, known) or "take it out",
                at_key=True,
            )

        if definition.variants:
            return  # one of them may take what this config does not
        for name in sorted({*definition.datasets} - needed.keys()):
            self.problems.error(
                "unknown-input",
                f"no function takes the dataset {shown(name)}",
                definition.origin / "datasets" / name,
                fix=did_you_mean(name, needed.keys() - definition.config.keys()) or "take it out",
                at_key=True,
            )

    def _report_undeclared(self, driven: Driven, need: str, taker: Variable) -> None:
        definition = driven.definition
        at = self.place(taker.functions[0] if taker.functions else None, definition.origin)
        variants = _variants_of(need, definition)
        if variants:
            config = ", ".join(f"{key}={value!r}" for key, value in definition.config.items())
            self.problems.error(
                "config-no-match",
                f"{shown(taker.name)} needs {shown(need)}, which no variant computes with the"
                f" config of {shown(self.pipeline)} ({config or 'none'}): there is"
                f" {', '.join(variants)}",
                at,
                fix=f"set the config that one of them asks for, or declare {need} among the inputs",
            )
            return
        if need in _starred(taker):
            self.problems.error(
                "undeclared-input",
                f"{shown(taker.name)} takes *{need}, which Hamilton cannot fill",
                at,
                fix="let it take each argument by its own name",
            )
            return
        computed = [name for name, each in driven.variables.items() if not each.is_input]
        near = suggest(need, computed)
        declare = f"add it to `inputs` in {definition.origin.file}, or write the function"
        self.problems.error(
            "undeclared-input",
            f"{shown(taker.name)} needs {shown(need)}, which no function computes and `inputs` does"
            " not declare",
            at,
            fix=f"did you mean '{near}'? Else {declare}" if near else declare,
        )


def _data(at: Origin) -> Any:
    """Return the value at an origin in a document; None where it has none."""
    value: Any = getattr(at.source, "data", None)
    try:
        for part in at.path:
            value = value[part]
    except (KeyError, IndexError, TypeError):
        return None
    return value


def _is_plain(value: Any) -> bool:
    """Say whether a default is data that JSON holds."""
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, list):
            pending += each
        elif isinstance(each, dict):
            if not all(isinstance(key, str) for key in each):
                return False
            pending += each.values()
        elif not (each is None or type(each) in (bool, int, float, str)):
            return False
    return True


def _ordered_needs(variable: Variable) -> list[str]:
    """Return what goes into a variable, in the order of its function's arguments, then by name."""
    position: dict[str, int] = {}
    for function in variable.functions[:1]:
        # `inspect.signature` would take a tenth of the time that a large module takes.
        code = getattr(inspect.unwrap(function), "__code__", None)
        if code is not None:
            names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            position = {name: number for number, name in enumerate(names)}
    return sorted(variable.needs, key=lambda name: (position.get(name, len(position)), name))


def _starred(variable: Variable) -> tuple[str, ...]:
    """Return what the function of a variable calls its *args and **kwargs."""
    functions = variable.functions[:1]
    code = getattr(inspect.unwrap(functions[0]), "__code__", None) if functions else None
    if code is None:
        return ()
    named = code.co_argcount + code.co_kwonlyargcount
    count = bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return tuple(code.co_varnames[named : named + count])


def _variants_of(need: str, definition: DriverDefinition) -> list[str]:
    """Return the functions in a driver's modules that would compute a node under other config."""
    found = []
    for name in definition.modules:
        module = sys.modules.get(name)
        for key, value in sorted(vars(module).items()) if module else ():
            if callable(value) and getattr(value, "__module__", None) == name:
                plain = re.sub(r"__[^_].*$", "", key)
                if plain == need and (key != need or hasattr(value, "resolve")):
                    found.append(f"{name}.{key}")
    return found


def _tags(driven: Driven) -> dict[str, tuple[str, ...]]:
    """Return tags as `key.value`; those of a function hold for every node that it makes.

    Hamilton puts them on the last node of a function only: a frame whose columns are extracted, or
    a value before it is checked, has none (measured from 1.46 to 1.90).
    """
    by_function: dict[Any, dict[str, set[str]]] = {}
    own: dict[str, dict[str, list[str]]] = {}
    for name in driven.wanted:
        variable = driven.variables[name]
        own[name] = {}
        for key, value in variable.tags.items():
            if key.startswith(_FRAMEWORK) or isinstance(value, bool):
                continue
            values = [str(each) for each in value] if isinstance(value, list) else [str(value)]
            own[name][key] = values
            for function in variable.functions[:1]:
                by_function.setdefault(function, {}).setdefault(key, set()).update(values)
    found = {}
    for name in driven.wanted:
        variable = driven.variables[name]
        tags = dict(own[name])
        for function in variable.functions[:1]:
            for key, values_there in by_function.get(function, {}).items():
                # `target_` may tag the nodes of one function differently: then none is meant.
                if key not in tags and len(values_there) == 1:
                    tags[key] = sorted(values_there)
        found[name] = tuple(
            sorted(f"{key}.{value}" for key, values in tags.items() for value in values)
        )
    return found


def _blocks(driven: Driven) -> dict[str, str]:
    """Return the name of the block of nodes that must not be parted, by node.

    Parallelizable to Collect: an override inside gives a wrong result. A loader with what takes its
    data apart, a saver with what it saves, a value with its checks: of one function.
    """
    blocks: dict[str, str] = {}
    for name in driven.wanted:
        if is_parallel(driven.variables[name]):
            for inside in _until_collected(name, driven):
                blocks[inside] = blocks.get(inside, name)
    by_function: dict[Any, list[str]] = {}
    for name in driven.wanted:
        for function in driven.variables[name].functions[:1]:
            by_function.setdefault(function, []).append(name)
    for names in by_function.values():
        special = any(
            tag.startswith((_SAVER, _LOADER, _QUALITY))
            for name in names
            for tag in driven.variables[name].tags
        )
        if special and len(names) > 1:
            known = [blocks[name] for name in names if name in blocks]
            block = known[0] if known else min(names, key=len)
            blocks.update(dict.fromkeys(names, block))
    return blocks


def is_parallel(variable: Variable) -> bool:
    """Say whether a variable begins a part that Hamilton repeats."""
    origin = typing.get_origin(variable.type)
    return getattr(origin, "__name__", "") == "Parallelizable"


def _until_collected(start: str, driven: Driven) -> set[str]:
    """Return the nodes from one that begins a repeated part to those that collect it."""
    inside = {start}
    pending = [start]
    while pending:
        name = pending.pop()
        for taker in driven.takers.get(name, ()):
            if taker.name in inside:
                continue
            inside.add(taker.name)
            if not _collects(taker, name):
                pending.append(taker.name)
    return inside


def _collects(variable: Variable, need: str) -> bool:
    for function in variable.functions[:1]:
        try:
            annotation = typing.get_type_hints(function).get(need)
        except Exception:
            annotation = getattr(function, "__annotations__", {}).get(need)
        if getattr(typing.get_origin(annotation), "__name__", "") == "Collect":
            return True
        if isinstance(annotation, str) and annotation.split("[")[0].endswith("Collect"):
            return True
    return False
