"""The DAG files that kedro-airflow wrote, read from their syntax trees and never run.

What the releases wrote, read in the templates of 0.8.0 to 0.11.0:

| | 0.8 | 0.9, 0.10 | 0.11 |
|--|--|--|--|
| a DAG | `with DAG(dag_id=...)` | the same | `@dag(dag_id=...)` over a function |
| a task | `KedroOperator(node_name="a")` | `node_name=["a", "b"]` too | `@task` over a function that calls `_run_kedro_node(node_names=[...])` or `(namespaces=[...])` |
| the order | `tasks["a"] >> tasks["b"]` | the same | the same |
| `pipeline_name = "..."`, `env = "..."` | yes | yes | yes |

A file from a template of a team can be anything. What stands there as a constant is read; a task_id
that is made when the file is loaded is not known, and its place is kept.
"""  # noqa: E501  # a table

from __future__ import annotations

import ast
import html
import itertools
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from dagforge.errors import SourceLocation
from dagforge.frozen import frozen
from dagforge.output.manifest import parse

ENTITY: Final = re.compile(r"&(?:#\d+|#x[0-9a-fA-F]+|amp|lt|gt|quot);")
"""What Jinja's escaping for HTML makes of a character."""
_FACTS: Final = ("pipeline_name", "env", "package_name")
_OPTIONS: Final = {
    "--pipeline": "pipeline_name",
    "--pipelines": "pipeline_name",
    "-p": "pipeline_name",
    "--env": "env",
    "-e": "env",
    "--nodes": "nodes",
    "--node": "nodes",
    "-n": "nodes",
}


class Computed:
    """Stands for a value that is made when the file is loaded."""

    def __repr__(self) -> str:
        return "<computed>"


COMPUTED: Final = Computed()


@frozen
class Argument:
    """An argument of a call.

    Attributes:
        value: a plain value, a date, a timedelta, or `COMPUTED`.
    """

    value: Any
    at: SourceLocation


@frozen
class OldTask:
    """A task that a file defines.

    Attributes:
        at: where its task_id stands.
        nodes: what it runs, as it stands in the file; None where the file does not say.
        namespaces: run by name, with whatever nodes are in them.
    """

    task_id: str
    at: SourceLocation
    nodes: tuple[str, ...] | None = None
    namespaces: tuple[str, ...] = ()


@frozen
class OldDag:
    """A DAG that a file defines.

    Attributes:
        at: where its id stands.
        arguments: of its constructor and in its `default_args`, by name.
        tasks: in the order of the file.
        edges: pairs of task_ids, in the order of the file.
        computed: where task_ids stand that are made when the file is loaded.
        unread: where an order stands of tasks that are known only when the file is loaded.
    """

    dag_id: str
    at: SourceLocation
    arguments: Mapping[str, Argument]
    tasks: tuple[OldTask, ...]
    edges: tuple[tuple[str, str], ...]
    computed: tuple[SourceLocation, ...]
    unread: tuple[SourceLocation, ...] = ()


@frozen
class DagFile:
    """What a file says.

    Attributes:
        file: its path as the user knows it.
        facts: `pipeline_name`, `env` and `package_name`, as far as it names them.
        release: of kedro-airflow whose own template wrote it; None for another template.
        of_kedro: it speaks of Kedro at all.
        escaped: texts with HTML entities in them, and where they stand.
    """

    file: str
    facts: Mapping[str, str]
    dags: tuple[OldDag, ...]
    release: str | None
    of_kedro: bool
    escaped: tuple[Argument, ...] = ()


class NotRead(Exception):
    """A file is no Python source that can be read."""

    def __init__(self, message: str, at: SourceLocation, line: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.line = line


def read_dag_file(source: bytes, file: str) -> DagFile:
    """Return what a file defines.

    Args:
        source: its bytes.
        file: path to show.

    Raises:
        NotRead: it is no Python, or nested too deeply.
    """
    text = _decoded(source, file)
    try:
        reader = _Reader(parse(text, file), text, file)
        return reader.read()
    except SyntaxError as error:
        lines = text.splitlines()
        number = error.lineno
        line = lines[number - 1].strip() if number and number <= len(lines) else ""
        raise NotRead(error.msg, SourceLocation(file, number, error.offset or None), line) from None
    except (RecursionError, MemoryError):
        raise NotRead("it is nested too deeply", SourceLocation(file)) from None
    except ValueError as error:
        raise NotRead(str(error), SourceLocation(file)) from None


def _decoded(source: bytes, file: str) -> str:
    """Return the text of a Python file, whose first lines may name its encoding."""
    import io
    import tokenize

    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        return io.TextIOWrapper(io.BytesIO(source), encoding).read()
    except SyntaxError as error:
        if "unknown encoding" in error.msg:
            raise NotRead(error.msg, SourceLocation(file, 1)) from None
        encoding = "utf-8"
    except UnicodeDecodeError:
        pass
    try:
        return source.decode(encoding)
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        raise NotRead(f"it is not {encoding.upper()} text", SourceLocation(file, line)) from None


@dataclass(slots=True, eq=False)
class _Dag:
    """A DAG while its file is read."""

    dag_id: str
    at: SourceLocation
    arguments: dict[str, Argument]
    tasks: list[OldTask] = field(default_factory=list)
    computed: list[SourceLocation] = field(default_factory=list)
    edges: list[tuple[str, str]] = field(default_factory=list)
    unread: list[SourceLocation] = field(default_factory=list)


@frozen
class _Scope:
    """Where a statement stands: in which DAG, and what the task groups around it are called."""

    dag: _Dag | None = None
    prefix: str = ""


@dataclass(slots=True, eq=False)
class _Reader:
    """Walks through a file once, statement by statement, in order.

    Attributes:
        constants: of the module, by name.
        dags: in order.
        dag_of: by the name of a variable.
        task_of: task_ids by the name of a variable or function, or by `tasks["key"]`.
        made_by: task_ids by the call that makes the task.
        loose: tasks outside any DAG, and computed ones.
        edges: between tasks, outside any DAG.
        unread: where an order stands that cannot be read, outside any DAG.
    """

    tree: ast.Module
    text: str
    file: str
    constants: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    dags: list[_Dag] = field(default_factory=list)
    dag_of: dict[str, _Dag] = field(default_factory=dict)
    task_of: dict[str | tuple[str, str], str] = field(default_factory=dict)
    loose: list[OldTask | SourceLocation] = field(default_factory=list)
    made_by: dict[ast.Call, str] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    unread: list[SourceLocation] = field(default_factory=list)
    _lines: list[str] = field(default_factory=list)

    def read(self) -> DagFile:
        """Return what the file says."""
        self._block(self.tree.body, _Scope())
        if len(self.dags) == 1:
            self._adopt(self.dags[0])
        for dag in self.dags:
            here = {task.task_id for task in dag.tasks}
            dag.edges += (edge for edge in self.edges if here.issuperset(edge))
        for name in _FACTS:
            if isinstance(value := self.constants.get(name), str):
                self.facts[name] = value
        return DagFile(
            self.file,
            self.facts,
            tuple(
                OldDag(
                    dag.dag_id,
                    dag.at,
                    dag.arguments,
                    tuple(dag.tasks),
                    tuple(dag.edges),
                    tuple(dag.computed),
                    tuple(dag.unread) or tuple(self.unread),
                )
                for dag in self.dags
            ),
            self._release(),
            "kedro" in self.text.casefold(),
            tuple(self._escaped()),
        )

    def _adopt(self, dag: _Dag) -> None:
        """Give a file's only DAG what stands outside of it."""
        for each in self.loose:
            if isinstance(each, OldTask):
                dag.tasks.append(each)
            else:
                dag.computed.append(each)

    def _release(self) -> str | None:
        """Return which kedro-airflow's own template wrote the file, by what only it wrote."""
        names = {node.name for node in self.tree.body if isinstance(node, ast.FunctionDef)}
        if "_run_kedro_node" in names:
            return "0.11"
        for statement in self.tree.body:
            if isinstance(statement, ast.ClassDef) and statement.name == "KedroOperator":
                named = {node.arg for node in ast.walk(statement) if isinstance(node, ast.arg)}
                if "node_name" in named:
                    return "0.9 or 0.10" if "conf_source" in named else "0.8"
        return None

    def _escaped(self) -> Iterator[Argument]:
        for node in ast.walk(self.tree):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and ENTITY.search(node.value)
            ):
                yield Argument(node.value, self._at(node))

    def _at(self, node: ast.expr | ast.stmt | ast.keyword) -> SourceLocation:
        if not self._lines:
            self._lines = re.split(r"\r\n|[\r\n\x0c]", self.text.removeprefix("\ufeff"))
        line = self._lines[node.lineno - 1] if node.lineno <= len(self._lines) else ""
        # Python counts columns in bytes of UTF-8, people count characters.
        column = len(line.encode()[: node.col_offset].decode(errors="replace")) + 1
        return SourceLocation(self.file, node.lineno, column)

    # --- statements

    def _block(self, body: Iterable[ast.stmt], scope: _Scope) -> None:
        """Read statements; the depth of blocks is bounded by Python itself."""
        for statement in body:
            self._statement(statement, scope)

    def _statement(self, statement: ast.stmt, scope: _Scope) -> None:
        match statement:
            case ast.With() | ast.AsyncWith():
                for item in statement.items:
                    scope = self._entered(item, scope)
                self._block(statement.body, scope)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._function(statement, scope)
            case ast.ClassDef():
                # Of operators, whose own arguments are no tasks.
                pass
            case ast.For() | ast.AsyncFor() | ast.While() | ast.If():
                self._block([*statement.body, *statement.orelse], scope)
            case ast.Try():
                handlers = [each for handler in statement.handlers for each in handler.body]
                self._block([*statement.body, *handlers, *statement.orelse], scope)
                self._block(statement.finalbody, scope)
            case _:
                self._calls(statement, scope)
                if isinstance(statement, ast.Assign):
                    for target in statement.targets:
                        self._assign(target, statement.value, scope)
                elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
                    self._assign(statement.target, statement.value, scope)
                elif isinstance(statement, ast.Expr):
                    self._steps(statement.value, scope)

    def _entered(self, item: ast.withitem, scope: _Scope) -> _Scope:
        call = item.context_expr
        if isinstance(call, ast.Call):
            name = _last_name(call.func)
            if name == "DAG":
                dag = self._dag(call)
                if isinstance(item.optional_vars, ast.Name):
                    self.dag_of[item.optional_vars.id] = dag
                return _Scope(dag, scope.prefix)
            if name == "TaskGroup":
                return _Scope(scope.dag, self._prefix(call, scope))
        elif isinstance(call, ast.Name) and call.id in self.dag_of:
            return _Scope(self.dag_of[call.id], scope.prefix)
        return scope

    def _prefix(self, call: ast.Call, scope: _Scope) -> str:
        given = {keyword.arg: self._value(keyword.value) for keyword in call.keywords}
        name = given.get("group_id", self._value(call.args[0]) if call.args else None)
        if given.get("prefix_group_id", True) is not True or not isinstance(name, str):
            return scope.prefix
        return f"{scope.prefix}{name}."

    def _function(self, statement: ast.FunctionDef | ast.AsyncFunctionDef, scope: _Scope) -> None:
        for decorator in statement.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            call = decorator if isinstance(decorator, ast.Call) else None
            if _last_name(called) == "dag":
                dag = self._dag(call, statement)
                self._block(statement.body, _Scope(dag))
                return
            if "task" in _names(called):
                self._decorated_task(statement, call, scope)
                return
        self._block(statement.body, scope)

    def _decorated_task(
        self,
        statement: ast.FunctionDef | ast.AsyncFunctionDef,
        call: ast.Call | None,
        scope: _Scope,
    ) -> None:
        keyword = _keyword(call, "task_id") if call is not None else None
        if keyword is None:
            task_id: Any = statement.name
            at = self._at(statement)
        else:
            task_id, at = self._value(keyword.value), self._at(keyword.value)
        if not isinstance(task_id, str):
            self._keep(at, scope)
            return
        nodes: tuple[str, ...] | None = None
        namespaces: tuple[str, ...] = ()
        for inner in ast.walk(statement):
            if isinstance(inner, ast.Call) and inner is not call:
                found = self._nodes_of(inner)
                nodes = found if found is not None else nodes
                given = _keyword(inner, "namespaces")
                namespaces = _texts(self._value(given.value)) if given else namespaces
        self.task_of[statement.name] = scope.prefix + task_id
        self._keep(OldTask(scope.prefix + task_id, at, nodes, namespaces), scope)

    def _keep(self, found: OldTask | SourceLocation, scope: _Scope) -> None:
        if scope.dag is None:
            self.loose.append(found)
        elif isinstance(found, OldTask):
            scope.dag.tasks.append(found)
        else:
            scope.dag.computed.append(found)

    # --- calls

    def _dag(self, call: ast.Call | None, function: ast.stmt | None = None) -> _Dag:
        """Return the DAG that a constructor or a decorator makes."""
        keyword = _keyword(call, "dag_id") if call is not None else None
        first = call.args[0] if call is not None and call.args else None
        given = keyword.value if keyword is not None else first
        if given is not None:
            dag_id, at = self._value(given), self._at(given)
        else:
            assert function is not None or call is not None
            dag_id = getattr(function, "name", COMPUTED)
            at = self._at(function or call)  # type: ignore[arg-type]  # one of them is there
        arguments: dict[str, Argument] = {}
        for argument in call.keywords if call is not None else ():
            if argument.arg == "default_args":
                arguments |= self._default_args(argument.value)
            elif argument.arg not in (None, "dag_id"):
                name = str(argument.arg)
                arguments[name] = Argument(self._value(argument.value), self._at(argument.value))
        dag = _Dag(dag_id if isinstance(dag_id, str) else "", at, arguments)
        self.dags.append(dag)
        return dag

    def _default_args(self, value: ast.expr) -> dict[str, Argument]:
        match value:
            case ast.Call(func=ast.Name(id="dict")):
                pairs = [(keyword.arg, keyword.value) for keyword in value.keywords]
            case ast.Dict():
                keys = [self._value(key) if key is not None else None for key in value.keys]
                pairs = list(zip(keys, value.values, strict=True))
            case _:
                return {}
        return {
            name: Argument(self._value(given), self._at(given))
            for name, given in pairs
            if isinstance(name, str)
        }

    def _calls(self, statement: ast.stmt, scope: _Scope) -> None:
        """Keep what the calls in a statement define."""
        found = [node for node in ast.walk(statement) if isinstance(node, ast.Call)]
        # The tree is walked level by level; a reader goes from top to bottom.
        for call in sorted(found, key=lambda call: (call.lineno, call.col_offset)):
            if _last_name(call.func) == "DAG":
                dag = self._dag(call)
                if isinstance(statement, ast.Assign):
                    names = [each.id for each in statement.targets if isinstance(each, ast.Name)]
                    self.dag_of.update(dict.fromkeys(names, dag))
            keyword = _keyword(call, "task_id")
            if keyword is None:
                continue
            own = _keyword(call, "dag")
            if own is not None and isinstance(own.value, ast.Name):
                scope = _Scope(self.dag_of.get(own.value.id, scope.dag), scope.prefix)
            task_id, at = self._value(keyword.value), self._at(keyword.value)
            if isinstance(task_id, str):
                task_id = self.made_by[call] = scope.prefix + task_id
                self._keep(OldTask(task_id, at, self._nodes_of(call)), scope)
            else:
                self._keep(at, scope)

    def _nodes_of(self, call: ast.Call) -> tuple[str, ...] | None:
        """Return the nodes that a call runs, as far as it says so."""
        for name in ("node_names", "node_name", "nodes"):
            keyword = _keyword(call, name)
            if keyword is not None:
                names = _texts(self._value(keyword.value))
                return names or None
        for keyword in call.keywords:
            value = self._value(keyword.value)
            words = value if isinstance(value, (list, tuple)) else _words(value)
            options = _options(words) if "run" in words else {}
            nodes = options.pop("nodes", None)
            for name, text in options.items():
                self.facts.setdefault(name, text)
            if nodes is not None:
                return tuple(each.strip() for each in nodes.split(",") if each.strip())
        return None

    # --- the order

    def _assign(self, target: ast.expr, value: ast.expr, scope: _Scope) -> None:
        """Remember what a name stands for."""
        if isinstance(target, ast.Name):
            if isinstance(value, ast.Dict):
                for key, each in zip(value.keys, value.values, strict=True):
                    name = self._value(key) if key is not None else None
                    task_id = self._task_in(each)
                    if isinstance(name, str) and task_id is not None:
                        self.task_of[target.id, name] = task_id
            task_id = self._task_in(value)
            if task_id is not None:
                self.task_of[target.id] = task_id
            found = self._value(value)
            if found is not COMPUTED:
                self.constants.setdefault(target.id, found)
        elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            name, task_id = self._value(target.slice), self._task_in(value)
            if isinstance(name, str) and task_id is not None:
                self.task_of[target.value.id, name] = task_id
        self._steps(value, scope)

    def _task_in(self, value: ast.expr) -> str | None:
        """Return the task that an expression makes."""
        if not isinstance(value, ast.Call):
            return None
        if value in self.made_by:
            return self.made_by[value]
        return self.task_of.get(value.func.id) if isinstance(value.func, ast.Name) else None

    def _steps(self, value: ast.expr, scope: _Scope) -> tuple[str, ...]:
        """Keep the edges of `a >> b`, and return the tasks that the expression stands for."""
        match value:
            case ast.BinOp(op=ast.RShift()):
                before, after = self._steps(value.left, scope), self._steps(value.right, scope)
                self._order(before, after, value, scope)
                return after
            case ast.BinOp(op=ast.LShift()):
                after, before = self._steps(value.left, scope), self._steps(value.right, scope)
                self._order(before, after, value, scope)
                return before
            case ast.List() | ast.Tuple():
                return tuple(name for each in value.elts for name in self._steps(each, scope))
            case ast.Name():
                found = self.task_of.get(value.id)
            case ast.Subscript(value=ast.Name(id=name)):
                key = self._value(value.slice)
                found = self.task_of.get((name, key)) if isinstance(key, str) else None
            case ast.Call(func=ast.Attribute(value=own, attr="set_upstream" | "set_downstream")):
                here = self._steps(own, scope)
                there = tuple(name for each in value.args for name in self._steps(each, scope))
                upstream = value.func.attr == "set_upstream"  # type: ignore[attr-defined]
                self._order(*((there, here) if upstream else (here, there)), value, scope)
                return ()
            case ast.Call() if _last_name(value.func) == "chain":
                parts = [self._steps(each, scope) for each in value.args]
                for before, after in itertools.pairwise(parts):
                    side_by_side = len(before) == len(after) > 1
                    for one, other in zip(before, after, strict=False) if side_by_side else ():
                        self._order((one,), (other,), value, scope)
                    if not side_by_side:
                        self._order(before, after, value, scope)
                return ()
            case ast.Call():
                found = self._task_in(value)
            case _:
                return ()
        return (found,) if found is not None else ()

    def _order(
        self, before: tuple[str, ...], after: tuple[str, ...], at: ast.expr, scope: _Scope
    ) -> None:
        """Keep that tasks come before others, or that it cannot be read which do."""
        holder = self if scope.dag is None else scope.dag
        if before and after:
            holder.edges += [(one, other) for one in before for other in after]
        else:
            holder.unread.append(self._at(at))

    # --- values

    def _value(self, node: ast.expr | None) -> Any:
        """Return the value of an expression of constants, else `COMPUTED`."""
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return self.constants.get(node.id, COMPUTED)
            case ast.List() | ast.Tuple():
                values = [self._value(each) for each in node.elts]
                return COMPUTED if COMPUTED in values else values
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                return -number
            case ast.JoinedStr():
                parts = [self._part(each) for each in node.values]
                return COMPUTED if None in parts else "".join(map(str, parts))
            case ast.Call():
                return self._made(node)
        return COMPUTED

    def _part(self, node: ast.expr) -> str | None:
        """Return a part of an f-string, None for one that is not a plain text."""
        if isinstance(node, ast.FormattedValue):
            plain = node.conversion == -1 and node.format_spec is None
            node = node.value if plain else ast.List([])
        value = self._value(node)
        return value if isinstance(value, str) else None

    def _made(self, call: ast.Call) -> Any:
        """Return the date or the timedelta that a call makes."""
        makers: dict[str, Callable[..., Any]] = {"datetime": datetime, "timedelta": timedelta}
        maker = makers.get(_last_name(call.func))
        positional = [self._value(each) for each in call.args]
        named = {
            keyword.arg or "": self._value(keyword.value)
            for keyword in call.keywords
            if keyword.arg not in ("tz", "tzinfo")
        }
        numbers = all(isinstance(each, (int, float)) for each in [*positional, *named.values()])
        if maker is None or not numbers:
            return COMPUTED
        try:
            return maker(*positional, **named)
        except (TypeError, ValueError, OverflowError):
            return COMPUTED


def _last_name(node: ast.expr) -> str:
    """Return the last part of a dotted name; empty for anything else."""
    names = _names(node)
    return names[-1] if names else ""


def _names(node: ast.expr) -> list[str]:
    """Return the parts of a dotted name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        parts.append(node.id)
    return parts[::-1]


def _keyword(call: ast.Call | None, name: str) -> ast.keyword | None:
    if call is None:
        return None
    return next((keyword for keyword in call.keywords if keyword.arg == name), None)


def _texts(value: Any) -> tuple[str, ...]:
    """Return a text, or a list of them, as texts."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list):
        return tuple(each for each in value if isinstance(each, str))
    return ()


def _words(value: Any) -> Sequence[Any]:
    """Return the words of a command line."""
    if not isinstance(value, str) or "kedro" not in value:
        return ()
    try:
        return shlex.split(value)
    except ValueError:
        return value.split()


def _options(words: Sequence[Any]) -> dict[str, str]:
    """Return what the options of a `kedro run` among the words say."""
    found: dict[str, str] = {}
    for index, word in enumerate(words):
        if not isinstance(word, str):
            continue
        option, joined, value = word.partition("=")
        if option not in _OPTIONS:
            continue
        following = words[index + 1] if index + 1 < len(words) else None
        given = value if joined else following
        if isinstance(given, str):
            found[_OPTIONS[option]] = given
    return found


def unescaped(text: str) -> str:
    """Return a text with its HTML entities read back."""
    return html.unescape(text) if ENTITY.search(text) else text
