"""Generated DAG files as outlines, read without being run.

What a team's template writes in a way of its own is left out; both sides of a comparison are read
alike, so nothing seems to differ for that.
"""

from __future__ import annotations

import ast
import datetime
import itertools
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dagforge.commands.written import bad_header, unreadable
from dagforge.compare.outline import (
    DagOutline,
    Key,
    TaskOutline,
    Waiting,
    assets_in,
    leaves,
    setting_names,
    sizes_of,
)
from dagforge.errors import LoadError, Problems, SourceLocation
from dagforge.output.files import RenderedFile
from dagforge.output.manifest import Manifest, parse, read_manifest
from dagforge.planning.tasks import TAGS_ANNOTATION
from dagforge.target import Target
from dagforge.values import Cron, Date, Every, Instance, Literal, Model

_OF_THE_PLAN: Final = (
    "task_id",
    "dag_id",
    "name",
    "python_callable",
    "op_args",
    "cmds",
    "arguments",
    "container_resources",
    "default_args",
)
_DATED: Final = ("schedule", "start_date", "end_date", "catchup")
_TIMETABLES: Final[Mapping[str, str]] = {
    "CronDataIntervalTimetable": "interval",
    "CronTriggerTimetable": "trigger",
    "DeltaDataIntervalTimetable": "interval",
    "DeltaTriggerTimetable": "trigger",
}
_STRUCTURE: Final = "Structure `"


def holds_generated_files(folder: Path) -> bool:
    """Say whether a folder has a file with DagForge's header, or one that may have it."""
    problems = Problems()
    return any(True for _ in _generated(folder, problems)) or bool(problems.found)


def read_files(
    folder: Path, project: str, env: str | None, target: Target
) -> tuple[tuple[DagOutline, ...], str]:
    """Return the DAGs that a project's files in a folder define, and their version of Airflow.

    Files of other projects, environments and targets are left out.

    Args:
        folder: of generated files.
        project: name of the project.
        env: environment of the files; None for base alone.
        target: that the files are for.

    Raises:
        LoadError: there is no such file, or one that cannot be read as a DAG.
    """
    wanted = (project, env, target.name)
    found: list[DagOutline] = []
    versions: set[str] = set()
    problems = Problems()
    for path, data, manifest in _generated(folder, problems):
        if (manifest.project, manifest.env, manifest.target) != wanted:
            continue
        try:
            found.append(read_text(data.decode(), path.name, target))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            says = error.msg if isinstance(error, SyntaxError) else str(error)
            problems.error("no-comparison", f"cannot be read: {says}", SourceLocation(path.name))
        versions.update(_versions(manifest.command))
    if not found and not problems.found:
        in_env = f" in environment '{env}'" if env else ""
        problems.error(
            "no-comparison",
            f"there is no file of project '{project}' for {target.name}{in_env}",
            fix="--target and --env choose other files",
        )
    problems.raise_errors(LoadError)
    return tuple(found), versions.pop() if len(versions) == 1 else target.version


def _generated(folder: Path, problems: Problems) -> Iterator[tuple[Path, bytes, Manifest]]:
    for path in sorted(folder.glob("*.py")):
        at = SourceLocation(path.name)
        try:
            if not path.is_file():  # opening a pipe would wait for its other end
                continue
            data = path.read_bytes()
        except OSError as error:
            problems.extend([unreadable(at, error)])
            continue
        header = read_manifest(data.decode(errors="replace"))
        if header is not None and header.manifest is not None:
            yield path, data, header.manifest
        elif header is not None:
            problems.extend([bad_header(at, "a line is missing or cannot be read")])


def _versions(command: str) -> Iterator[str]:
    try:
        words = shlex.split(command)
    except ValueError:
        return
    yield from (word for before, word in itertools.pairwise(words) if before.endswith("-version"))


def outlines(files: Iterable[RenderedFile], target: Target) -> tuple[DagOutline, ...]:
    """Return the DAGs that files which are to be written define.

    Raises:
        LoadError: there are such that cannot be read, as those of Prefect.
    """
    problems = Problems()
    found = [_outline(file, target, problems) for file in files]
    problems.raise_errors(LoadError)
    return tuple(each for each in found if each is not None)


def _outline(file: RenderedFile, target: Target, problems: Problems) -> DagOutline | None:
    try:
        return read_text(file.text, file.path, target)
    except ValueError as error:
        problems.error(
            "no-comparison",
            f"what is written to '{file.path}' cannot be compared: {error}",
            fix="compare with a revision, or with another checkout of the project",
        )
        return None


def read_text(text: str, name: str, target: Target) -> DagOutline:
    """Return the DAG that a generated file defines.

    Args:
        text: of the file.
        name: of the file.
        target: that it is for.

    Raises:
        SyntaxError: it is no Python.
        ValueError: there is no DAG in it that can be read.
    """
    header = read_manifest(text)
    pipeline = header.manifest.pipeline if header and header.manifest else name
    tree = parse(text, name)
    reader = _Reader(_imports(tree), _constants(tree))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    dag = next((call for call in calls if "dag_id" in _named(call) and _last(call) == "DAG"), None)
    if dag is None:
        raise ValueError("it has no DAG that can be read")
    arguments = {key: reader.value(value) for key, value in _named(dag).items()}
    of_dag, of_task = setting_names(target, "dag"), setting_names(target, "task")
    common = _facts(arguments.get("default_args") or {}, of_task)
    if _STRUCTURE in str(arguments.get("doc_md", "")):
        del arguments["doc_md"]
    facts = {key: value for key, value in _facts(arguments, of_dag).items() if key[0] not in _DATED}
    facts.pop(("params", str(target.facts.get("structure_param"))), None)
    tasks: dict[str, TaskOutline] = {}
    variables: dict[str, str] = {}
    for statement in ast.walk(tree):
        if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Call):
            continue
        task = _task(statement.value, reader, common, of_task, target, name)
        if task is not None and isinstance(statement.targets[0], ast.Name):
            tasks[task.task_id] = task
            variables[statement.targets[0].id] = task.task_id
    return DagOutline(
        dag_id=str(arguments["dag_id"]),
        pipeline=pipeline,
        file=name,
        schedule=arguments.get("schedule"),
        start_date=_date(arguments.get("start_date")),
        end_date=_date(arguments.get("end_date")),
        catchup=arguments.get("catchup") is True,
        facts=facts,
        common=common,
        tasks=tasks,
        nodes={},
        edges=dict.fromkeys(sorted(_edges(tree, variables)), ()),
        assets=tuple(assets_in(arguments.get("schedule"))),
    )


def _task(
    call: ast.Call,
    reader: _Reader,
    common: Mapping[Key, Any],
    names: Mapping[str, str],
    target: Target,
    file: str,
) -> TaskOutline | None:
    """Return the task that a call makes, None when it makes none."""
    given = _named(call)
    if "task_id" not in given:
        return None
    arguments = {key: reader.value(value) for key, value in given.items()}
    command = arguments.get("op_args") or [
        *(arguments.get("cmds") or ()),
        *(arguments.get("arguments") or ()),
    ]
    options = dict(itertools.pairwise(command)) if all(isinstance(w, str) for w in command) else {}
    nodes = tuple(str(options["--nodes"]).split(",")) if "--nodes" in options else ()
    facts = {("operator",): _last(call), **_facts(arguments, names)}
    if not nodes and command:
        facts["command",] = command
    facts.pop(("annotations", TAGS_ANNOTATION), None)
    waiting = None
    other = target.facts.get("other_dags", {}).get(_last(call))
    if other is not None and isinstance(arguments.get(other["dag"]), str):
        values = [arguments.get(key) for key in other.get("tasks", ())]
        ids = [inner for each in values for inner in (each if isinstance(each, list) else [each])]
        waiting = Waiting(
            arguments[other["dag"]],
            tuple(each for each in ids if isinstance(each, str)),
            f"{file}:{given[other['dag']].lineno}",
        )
    return TaskOutline(
        task_id=str(arguments["task_id"]),
        nodes=nodes,
        facts={key: value for key, value in facts.items() if common.get(key, ...) != value},
        sizes=sizes_of(arguments.get("container_resources")),
        contract=str(options.get("--contract", "")),
        outlets=tuple(assets_in(arguments.get("outlets"))),
        waiting=waiting,
    )


def _facts(arguments: Mapping[str, Any], names: Mapping[str, str]) -> dict[Key, Any]:
    kept = {
        names.get(key, key): value for key, value in arguments.items() if key not in _OF_THE_PLAN
    }
    return dict(leaves(kept))


def _date(value: Any) -> Date | None:
    return value if isinstance(value, Date) else None


def _named(call: ast.Call) -> dict[str, ast.expr]:
    return {each.arg: each.value for each in call.keywords if each.arg is not None}


def _last(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def _imports(tree: ast.Module) -> dict[str, str]:
    """Return where each name comes from that is imported at the top of a file."""
    paths: dict[str, str] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            paths.update({each.asname or each.name: each.name for each in statement.names})
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            module = statement.module
            paths.update(
                {each.asname or each.name: f"{module}.{each.name}" for each in statement.names}
            )
    return paths


def _constants(tree: ast.Module) -> dict[str, ast.expr]:
    return {
        statement.targets[0].id: statement.value
        for statement in tree.body
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    }


def _edges(tree: ast.Module, variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the edges that `a >> [b, c] >> d` says."""
    for statement in ast.walk(tree):
        if not isinstance(statement, ast.Expr):
            continue
        steps: list[Sequence[str]] = []
        node: ast.expr = statement.value
        while isinstance(node, ast.BinOp) and isinstance(node.op, ast.RShift):
            steps.insert(0, _step(node.right, variables))
            node = node.left
        steps.insert(0, _step(node, variables))
        for before, after in itertools.pairwise(steps):
            yield from itertools.product(before, after)


def _step(node: ast.expr, variables: Mapping[str, str]) -> list[str]:
    parts = node.elts if isinstance(node, (ast.List, ast.Tuple)) else [node]
    names = [part.id for part in parts if isinstance(part, ast.Name)]
    return [variables[name] for name in names if name in variables]


@dataclass(frozen=True)
class _Reader:
    """Reads expressions of one file.

    Attributes:
        paths: import path by name.
        constants: expressions by name.
    """

    paths: Mapping[str, str]
    constants: Mapping[str, ast.expr]

    def value(self, node: ast.expr) -> Any:
        """Return the typed value of an expression; what is not known is an Instance."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, (ast.List, ast.Tuple)):
            return [self.value(each) for each in node.elts]
        if isinstance(node, ast.Dict) and all(isinstance(key, ast.Constant) for key in node.keys):
            keys = [str(key.value) for key in node.keys if isinstance(key, ast.Constant)]
            return {k: self.value(v) for k, v in zip(keys, node.values, strict=True)}
        if isinstance(node, ast.Name) and node.id in self.constants:
            return self.value(self.constants[node.id])
        if isinstance(node, ast.Call):
            return self._call(node)
        return Instance(self._path(node))

    def _path(self, node: ast.expr) -> str:
        text = ast.unparse(node)
        first, dot, rest = text.partition(".")
        return f"{self.paths.get(first, first)}{dot}{rest}"

    def _call(self, call: ast.Call) -> Any:
        name, path = _last(call), self._path(call.func)
        listed = [self.value(each) for each in call.args]
        named = {key: self.value(value) for key, value in _named(call).items()}
        meaning = _TIMETABLES.get(name)
        if meaning is not None and listed:
            if isinstance(listed[0], datetime.timedelta):
                return Every(listed[0], meaning)
            return Cron(str(listed[0]), str(named.get("timezone", "UTC")), meaning)
        if path == "datetime.timedelta" and all(
            isinstance(v, (int, float)) for v in named.values()
        ):
            return datetime.timedelta(**named)
        if path == "pendulum.datetime" and all(isinstance(part, int) for part in listed):
            return Date(tuple(listed), str(named.get("tz", "UTC")))
        if path.startswith("kubernetes.client.models."):
            return Model(name, named)
        if name == "literal" and listed:
            return Literal(str(listed[0]))
        if listed:
            named = {**{str(index): each for index, each in enumerate(listed)}, **named}
        return Instance(path, named)
