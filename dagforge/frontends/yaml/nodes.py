"""Nodes as pipelines.yml writes them.

Checked by hand, key by key: a schema validator takes longer than all the rest.
"""

from __future__ import annotations

import keyword
import shlex
from collections.abc import Iterable
from functools import cache
from typing import Any

from dagforge.errors import Origin, Problems
from dagforge.frontends.definitions import Definition, NodesRead
from dagforge.frontends.words import (
    are_plain,
    check_keys,
    check_name,
    fault_of_name,
    shown,
    wrong_type,
)
from dagforge.ir import Node, Operator, Work

_ACTIONS = ("func", "command", "operator")
_KEYS = (
    "name",
    *_ACTIONS,
    "inputs",
    "outputs",
    "after",
    "tags",
    "namespace",
    "settings",
    "check",
    "metric",
)
_SEVERITIES = ("error", "warning")
_KNOWN = frozenset(_KEYS)
_SETTING = "put it under `settings:`, which a node may have"
# What other tools and the settings call things.
_HINTS = {
    **dict.fromkeys(("depends_on", "dependencies", "upstream", "needs", "requires"), "write after"),
    **dict.fromkeys(("function", "callable", "python_callable"), "write func"),
    **dict.fromkeys(("script", "cmd", "bash_command"), "write command"),
    **dict.fromkeys(("retries", "retry_delay", "execution_timeout", "owner", "pool"), _SETTING),
    **dict.fromkeys(("image", "env_vars", "queue", "trigger_rule", "priority_weight"), _SETTING),
    "schedule": "put it under the pipeline's name in a settings file such as airflow.yml",
    "machine": "tag it: tags: [machine:NAME]",
    "group": "tag it: tags: [airflow:NAME]",
}


def read_node_list(definition: Definition) -> NodesRead:
    """Return the nodes in a definition's `nodes`, as many of them as can be read."""
    problems = Problems()
    at = definition.origin / "nodes"
    items = definition.body["nodes"]
    if not isinstance(items, list):
        what = f"'nodes' of pipeline {shown(definition.name)}"
        fix = "begin each node with '- name:'" if isinstance(items, dict) else None
        wrong_type(what, items, "a list of nodes", at, problems, fix)
        return NodesRead((), tuple(problems.found), complete=False)
    nodes = []
    complete = True
    for index, item in enumerate(items):
        reader = _NodeReader(definition.name, item, at / index, index, problems)
        node = reader.read()
        if node is not None:
            nodes.append(node)
        complete = complete and reader.complete
    return NodesRead(tuple(nodes), tuple(problems.found), complete)


def names_in(
    value: Any, what: str, code: str, at: Origin, problems: Problems
) -> tuple[str, ...] | None:
    """Return the names in a text or a list of texts, each once; None when it is neither."""
    if isinstance(value, str):
        value = [value]
        places: Iterable[Origin] = (at,)
    elif isinstance(value, list):
        places = (at / index for index in range(len(value)))
    else:
        wrong_type(what, value, "a name or a list of names", at, problems, _quote(value))
        return None
    good = True
    for name, place in zip(value, places, strict=True):
        if not isinstance(name, str):
            wrong_type(f"a name in {what}", name, "text", place, problems)
            good = False
        else:
            fault = fault_of_name(name)
            if fault is not None:
                problems.error(code, f"{shown(name)} in {what} {fault}", place)
                good = False
    return tuple(dict.fromkeys(value)) if good else None


def _quote(value: Any) -> str | None:
    return "quote it" if isinstance(value, (bool, int, float)) else None


class _NodeReader:
    """Reads one node.

    Attributes:
        complete: False when its name or its outputs could not be read.
    """

    def __init__(
        self, pipeline: str, item: Any, at: Origin, index: int, problems: Problems
    ) -> None:
        self.item = item
        self.at = at
        self.problems = problems
        self.complete = True
        self.pipeline = pipeline
        self.index = index
        self.name: str | None = None

    @property
    def what(self) -> str:
        """The node, as messages name it."""
        if self.name is None:
            return f"node {self.index + 1} of pipeline {shown(self.pipeline)}"
        return f"node {shown(self.name)}"

    def read(self) -> Node | None:
        """Return the node; None when it has no name that could be shown."""
        item = self.item
        if not isinstance(item, dict):
            wrong_type(self.what, item, "a mapping", self.at, self.problems)
            self.complete = False
            return None
        name = self.name = self._name()
        if name is None:
            self.complete = False
        if not item.keys() <= _KNOWN:
            check_keys(item, _KEYS, self.what, self.at, self.problems, _HINTS)
        action = self._action()
        inputs, arguments = self._inputs()
        outputs = self._outputs()
        after = self._names("after")
        tags = self._names("tags")
        namespace = self._namespace() if item.get("namespace") is not None else None
        settings = self._mapping("settings")
        if name is None:
            return None
        if arguments and isinstance(action, Work):
            action = Work(action.runner, action.target, action.command, arguments)
        module = None
        if isinstance(action, Work) and action.runner == "function":
            module = action.target.partition(":")[0]
        return Node(
            name=name,
            action=action or Work("function"),
            origin=self.at,
            inputs=inputs,
            outputs=outputs,
            after=after,
            tags=tags,
            namespace=namespace,
            module=module,
            settings=settings,
            check=self._check(),
            metric=self._metric(),
        )

    def _check(self) -> str | None:
        severity: Any = self.item.get("check")
        if severity is None or severity in _SEVERITIES:
            return severity  # type: ignore[no-any-return]
        what = f"'check' of {self.what}"
        wrong_type(what, severity, "error or warning", self.at / "check", self.problems)
        return None

    def _metric(self) -> bool:
        value: Any = self.item.get("metric", False)
        if not isinstance(value, bool):
            what = f"'metric' of {self.what}"
            wrong_type(what, value, "true or false", self.at / "metric", self.problems)
            return False
        return value

    def _error(self, code: str, message: str, key: str, fix: str | None = None) -> None:
        self.problems.error(code, message, self.at / key, fix=fix)

    def _name(self) -> str | None:
        name = self.item.get("name")
        if isinstance(name, str):
            if fault_of_name(name) is None:
                return name
            check_name(name, "node's name", "node-name", self.at / "name", self.problems)
            return None
        if "name" in self.item:
            wrong_type(f"the name of {self.what}", name, "text", self.at / "name", self.problems)
        else:
            message = f"{self.what} has no 'name'"
            self.problems.error("missing-key", message, self.at, fix="add name: ...")
        return None

    def _action(self) -> Work | Operator | None:
        item = self.item
        actions = [key for key in _ACTIONS if key in item]
        if len(actions) != 1:
            if actions:
                message = f"{self.what} has both '{actions[0]}' and '{actions[1]}'"
                self._error("node-action", message, actions[1], "keep one of them")
            elif item.keys() <= _KNOWN:
                self.problems.error(
                    "node-action",
                    f"{self.what} does nothing: it has none of 'func', 'command' and 'operator'",
                    self.at,
                    fix="add func: module:function",
                )
            return None
        if actions[0] == "func":
            return self._function()
        return self._command() if actions[0] == "command" else self._operator()

    def _function(self) -> Work | None:
        func = self.item["func"]
        if not isinstance(func, str):
            self._wrong_type("func", func, "module:function")
            return None
        if _is_function(func):
            return Work("function", func)
        _, colon, _ = func.partition(":")
        fix = "write it as my_package.my_module:my_function"
        if not colon and "." in func and _is_dotted(func):
            module, _, name = func.rpartition(".")
            fix = f"write {module}:{name}"
        message = f"'func' of {self.what} is not module:function: {shown(func)}"
        self._error("function-path", message, "func", fix)
        return None

    def _command(self) -> Work | None:
        command = self.item["command"]
        at = self.at / "command"
        if isinstance(command, str):
            try:
                words = shlex.split(command)
            except ValueError:
                words = []
            fix = 'write ["sh", "-c", "..."] for a shell'
            if words:
                fix = f"write {_flow_list(words)}, or {fix.removeprefix('write ')}"
            self._wrong_type("command", command, "a list of words", fix)
            return None
        if not isinstance(command, list):
            self._wrong_type("command", command, "a list of words")
            return None
        if not command:
            self._error("command-word", f"'command' of {self.what} is empty", "command")
            return None
        good = True
        for index, each in enumerate(command):
            # What is no template of the orchestrator's, as in a setting.
            is_literal = isinstance(each, dict) and set(each) == {"literal"}
            word = each["literal"] if is_literal else each
            if not isinstance(word, str):
                what = f"a word in 'command' of {self.what}"
                wrong_type(what, word, "text", at / index, self.problems)
                good = False
            elif "\0" in word or (index == 0 and not word.strip()):
                fault = "holds the character U+0000" if "\0" in word else "is empty"
                message = f"a word in 'command' of {self.what} {fault}"
                self.problems.error("command-word", message, at / index)
                good = False
        return Work("command", command=tuple(command)) if good else None

    def _operator(self) -> Operator | None:
        operator = self.item["operator"]
        at = self.at / "operator"
        what = f"'operator' of {self.what}"
        if not isinstance(operator, dict):
            fix = f"write {{type: {operator}}}" if isinstance(operator, str) else None
            self._wrong_type("operator", operator, "a mapping", fix)
            return None
        check_keys(operator, ("type", "arguments"), what, at, self.problems)
        path = operator.get("type")
        if "type" not in operator:
            message = f"{what} has no 'type'"
            fix = "add type: the.dotted.path.of.the.Operator"
            self.problems.error("missing-key", message, at, fix=fix)
            return None
        if not isinstance(path, str):
            wrong_type(f"the type in {what}", path, "text", at / "type", self.problems)
            return None
        if not _is_dotted(path) or "." not in path:
            message = f"the type in {what} is no dotted path: {shown(path)}"
            dotted = path.replace(":", ".")
            near = "." in dotted and _is_dotted(dotted)
            fix = f"write {dotted if near else 'it as package.module.Operator'}"
            self.problems.error("operator-path", message, at / "type", fix=fix)
            return None
        arguments = operator.get("arguments")
        if arguments is None:
            return Operator(path, {})
        if not isinstance(arguments, dict):
            wrong_type(
                f"'arguments' in {what}", arguments, "a mapping", at / "arguments", self.problems
            )
            return None
        good = [self._argument(name, what, at / "arguments" / name) for name in arguments]
        return Operator(path, arguments) if all(good) else None

    def _argument(self, name: str, what: str, at: Origin) -> bool:
        good = name.isidentifier() and not keyword.iskeyword(name)
        if not good:
            message = f"{shown(name)} in {what} is no name of a Python argument"
            self.problems.error("argument-name", message, at, at_key=True)
        return good

    def _inputs(self) -> tuple[tuple[str, ...], dict[str, str]]:
        """Return the datasets, and those that have an argument's name by that name."""
        value = self.item.get("inputs")
        if value is None:
            return (), {}
        if not isinstance(value, dict):
            return self._datasets("inputs", value, "a name, a list, or {argument: dataset}"), {}
        at = self.at / "inputs"
        if "func" not in self.item and any(key in self.item for key in ("command", "operator")):
            self._error(
                "wrong-type",
                f"'inputs' of {self.what} names arguments, but it has no function to take them",
                "inputs",
                "write a list of datasets",
            )
            return (), {}
        what = f"'inputs' of {self.what}"
        good = [self._argument(name, what, at / name) for name in value]
        good += [self._dataset("inputs", name, at / key) for key, name in value.items()]
        return (tuple(dict.fromkeys(value.values())), value) if all(good) else ((), {})

    def _outputs(self) -> tuple[str, ...]:
        value = self.item.get("outputs")
        if value is None:
            return ()
        before = len(self.problems.found)
        if isinstance(value, dict):
            names = [name for name in value.values() if isinstance(name, str)]
            self._wrong_type(
                "outputs",
                value,
                "a name or a list",
                f"write {_flow_list(names)}" if len(names) == len(value) else None,
            )
            outputs: tuple[str, ...] = ()
        else:
            outputs = self._datasets("outputs", value, "a name or a list")
        for name in outputs:
            if name == "parameters" or name.startswith("params:"):
                message = f"{self.what} writes {shown(name)}, but parameters are only read"
                self._error("parameter-output", message, "outputs", "write a dataset")
        if len(self.problems.found) > before:
            self.complete = False
        return outputs

    def _datasets(self, key: str, value: Any, expected: str) -> tuple[str, ...]:
        if type(value) is list and are_plain(value) and len(set(value)) == len(value):
            return tuple(value)
        at = self.at / key
        if isinstance(value, str):
            return (value,) if self._dataset(key, value, at) else ()
        if not isinstance(value, list):
            self._wrong_type(key, value, expected, _quote(value))
            return ()
        good = [self._dataset(key, name, at / index) for index, name in enumerate(value)]
        if not all(good):
            return ()
        names = tuple(dict.fromkeys(value))
        if len(names) < len(value):
            for index, name in enumerate(value):
                if name in value[:index]:
                    verb = "reads" if key == "inputs" else "writes"
                    message = f"{self.what} {verb} {shown(name)} twice"
                    fix = "drop one of them"
                    if key == "inputs":
                        fix += ", or name the arguments: inputs: {argument: dataset}"
                    code = "duplicate-input" if key == "inputs" else "duplicate-output"
                    self.problems.error(code, message, at / index, fix=fix)
        return names

    def _dataset(self, key: str, name: Any, at: Origin) -> bool:
        if not isinstance(name, str):
            wrong_type(f"a dataset in '{key}' of {self.what}", name, "text", at, self.problems)
            return False
        fault = fault_of_name(name)
        if fault is None and "@" in name:
            fault = "holds '@', which only Kedro gives a meaning"
        if fault is not None:
            message = f"the dataset {shown(name)} of {self.what} {fault}"
            self.problems.error("dataset-name", message, at)
        return fault is None

    def _names(self, key: str) -> tuple[str, ...]:
        value = self.item.get(key)
        if value is None:
            return ()
        if type(value) is list and are_plain(value):
            return tuple(dict.fromkeys(value))
        what = f"'{key}' of {self.what}"
        code = "tag-name" if key == "tags" else "node-name"
        return names_in(value, what, code, self.at / key, self.problems) or ()

    def _namespace(self) -> str | None:
        value = self.item["namespace"]
        if not isinstance(value, str):
            self._wrong_type("namespace", value, "text")
            return None
        fault = fault_of_name(value)
        if fault is None and not all(value.split(".")):
            fault = "has nothing before, after or between its dots"
        if fault is not None:
            message = f"the namespace {shown(value)} of {self.what} {fault}"
            self._error("namespace", message, "namespace")
            return None
        return value

    def _mapping(self, key: str) -> dict[str, Any]:
        value = self.item.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._wrong_type(key, value, "a mapping")
            return {}
        return value

    def _wrong_type(self, key: str, value: Any, expected: str, fix: str | None = None) -> None:
        wrong_type(f"'{key}' of {self.what}", value, expected, self.at / key, self.problems, fix)


@cache
def _is_function(func: str) -> bool:
    module, _, name = func.partition(":")
    return _is_dotted(module) and _is_dotted(name)


def _is_dotted(path: str) -> bool:
    return all(part.isidentifier() and not keyword.iskeyword(part) for part in path.split("."))


def _flow_list(words: list[str]) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"
