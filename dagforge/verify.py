"""The proof that generated files load: in the real orchestrator, held against the plan.

The orchestrator is never imported here. The script `verify.py` of the target's folder runs in the
interpreter that has it, loads every file in one process and says what it found; what it says is
compared with the plan here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Final

from dagforge.errors import Problem, Problems, SourceLocation, VerificationError
from dagforge.frozen import frozen
from dagforge.planning.model import DagPlan
from dagforge.planning.names import slug
from dagforge.target import Target

SCRIPT: Final = "verify.py"
_SECONDS: Final = 180.0
_SECONDS_A_FILE: Final = 5.0
_SHOWN: Final = 3
_STDERR_LINES: Final = 5
_OTHER_CODE: Final = ("site-packages", "dist-packages", "<frozen ", f"{os.sep}lib{os.sep}python")
_FRAME: Final = re.compile(r'  File "(?P<file>.+)", line (?P<line>\d+)(?:, in .*)?')

# What the orchestrator would otherwise look for, write or report somewhere else. `{home}` is a
# folder that is gone afterwards.
_ENVIRONMENT: Final = {
    "PYTHONDONTWRITEBYTECODE": "1",
    "DO_NOT_TRACK": "1",
    "SCARF_ANALYTICS": "false",
    "AIRFLOW_HOME": "{home}",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_FOLDER": "{folder}",
    "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACK_DEPTH": "50",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:///{home}/none.db",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": "{home}/logs",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
    "PREFECT_HOME": "{home}",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}


@frozen
class Verified:
    """Files that load as planned.

    Attributes:
        summary: what was loaded where, and what it holds beyond the plan.
        warnings: what loading warned of.
    """

    summary: str
    warnings: tuple[Problem, ...] = ()


@frozen
class _Loaded:
    """What the orchestrator says of one file; `dags` holds `tasks` and `edges` by dag_id."""

    errors: Sequence[str] = ()
    warnings: Sequence[Mapping[str, Any]] = ()
    dags: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@frozen
class _Answer:
    """What the script said before it ended.

    Attributes:
        name: the orchestrator's, None when the script did not come so far.
        version: None without an orchestrator that can be imported; `error` then says why.
        loaded: by path, as far as it came.
        loading: the file that was being loaded when everything ended.
    """

    name: str | None
    version: str | None
    error: str | None
    loaded: Mapping[str, _Loaded]
    loading: str | None


def verify(
    dags: Sequence[DagPlan],
    output: Path,
    target: Target,
    *,
    python: Path,
    seconds: float | None = None,
) -> Verified:
    """Load the files of `dags` in the real orchestrator and hold them against the plan.

    Every planned task must be there, and the planned order must hold as paths: a template may put
    tasks in between.

    Args:
        dags: what was planned.
        output: folder with the files.
        target: whose script loads them.
        python: interpreter with the orchestrator, a path or a name on PATH.
        seconds: how long loading may take; None for three minutes and five seconds a file.

    Raises:
        VerificationError: with everything that is missing or wrong.
    """
    folder = output.absolute()
    paths = {dag.dag_id: folder / file_of(dag, target) for dag in dags}
    problems = Problems()
    for path in paths.values():
        if not path.is_file():
            problems.error(
                "not-written",
                f"there is no file {_label(path)}",
                fix="write it with `dagforge create`",
            )
    problems.raise_errors(VerificationError)
    interpreter = _interpreter(python)
    if seconds is None:
        seconds = _SECONDS + _SECONDS_A_FILE * len(paths)
    answer = _ask(interpreter, target, folder, [str(path) for path in paths.values()], seconds)
    problems.extend(_other_version(answer, target, interpreter))
    notes: list[str] = []
    word = _word(target)
    for dag in dags:
        path = paths[dag.dag_id]
        loaded = answer.loaded.get(str(path), _Loaded())
        problems.extend(_warnings(loaded, path))
        if loaded.errors:
            problems.extend(_errors(loaded, path, answer))
            continue
        found = _dag_of(dag, loaded)
        if found is None:
            problems.extend([_no_dag(dag, loaded, path, word)])
            continue
        differences = _Comparison.of(dag, found)
        problems.extend(differences.problems(path))
        notes += [f"  {_label(path)} {note}" for note in differences.notes(dag, loaded, word)]
    problems.raise_errors(VerificationError)
    tasks = sum(len(dag.tasks) for dag in dags)
    head = (
        f"{'loaded':<10} {_count(len(dags), word)} with {_count(tasks, 'task')} for {target.name} "
        f"in {answer.name} {answer.version}: all there, in the planned order"
    )
    return Verified("\n".join([head, *notes]), tuple(problems))


def file_of(dag: DagPlan, target: Target) -> str:
    """Return the name of a DAG's file within the output folder."""
    return str(target.facts["file"]).format(stem=dag.stem)


# --- the orchestrator's answer


def _interpreter(python: Path) -> Path:
    """Return the interpreter's path; a symbolic link stays one, it leads to its environment."""
    found = shutil.which(python)
    if found is None:
        exists = python.exists()
        raise VerificationError.of(
            "no-interpreter",
            f"'{python}' is no program that can be run"
            if exists
            else f"there is no interpreter '{python}'",
            fix="--python PATH: the python of the environment that has the orchestrator, such as "
            ".venv/bin/python",
        )
    return Path(found).absolute()


def _ask(
    interpreter: Path, target: Target, folder: Path, files: Sequence[str], seconds: float
) -> _Answer:
    """Return what the target's script says of the files.

    Raises:
        VerificationError: it could not be asked, or did not say everything.
    """
    with tempfile.TemporaryDirectory(prefix="dagforge-") as home:
        question, answer = Path(home, "question.json"), Path(home, "answer.jsonl")
        question.write_text(json.dumps({"folder": str(folder), "files": files}), encoding="utf-8")
        environment = {
            name: value.format(home=home, folder=folder) for name, value in _ENVIRONMENT.items()
        }
        command = [str(interpreter), str(target.folder / SCRIPT), str(question), str(answer)]
        ended, stderr = _run(command, {**os.environ, **environment}, seconds)
        lines = answer.read_text(encoding="utf-8").splitlines() if answer.is_file() else []
    said = _read(lines)
    if said.name is not None and said.version is None:
        raise VerificationError.of(
            "no-orchestrator",
            f"{_label(interpreter)} has no {said.name} that can be imported: {said.error}",
            fix=f"--python PATH: the python of the environment that has {said.name}",
        )
    missing = [path for path in files if path not in said.loaded]
    if missing or said.name is None:
        raise VerificationError([_unfinished(interpreter, said, ended, stderr, seconds)])
    return said


def _run(
    command: Sequence[str], environment: Mapping[str, str], seconds: float
) -> tuple[int | None, str]:
    """Return the exit code, None for a program that had to be stopped, and what it complained."""
    try:
        run = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        told = error.stderr or b""
        return None, told.decode("utf-8", "replace") if isinstance(told, bytes) else told
    except OSError as error:
        raise VerificationError.of(
            "no-interpreter",
            f"'{command[0]}' cannot be run: {error.strerror or error}",
            fix="--python PATH: the python of the environment that has the orchestrator",
        ) from error
    return run.returncode, run.stderr


def _read(lines: Iterable[str]) -> _Answer:
    """Return the lines of an answer, the last of which may have been cut off."""
    name = version = error = loading = None
    loaded: dict[str, _Loaded] = {}
    for line in lines:
        try:
            said = json.loads(line)
        except ValueError:
            break
        if "name" in said:
            name, version, error = said["name"], said["version"], said.get("error")
        elif "loading" in said:
            loading = said["loading"]
        else:
            path = said.pop("loaded")
            loaded[path] = _Loaded(**said)
            loading = None
    return _Answer(name, version, error, loaded, loading)


def _unfinished(
    interpreter: Path, said: _Answer, ended: int | None, stderr: str, seconds: float
) -> Problem:
    """Return the problem of an interpreter that ended, or was stopped, before it had answered."""
    doing = "before it said anything"
    at = None
    if said.loading is not None:
        doing, at = "while it loaded this file", SourceLocation(_label(Path(said.loading)))
    elif said.name is not None:
        doing = "before it had loaded every file"
    if ended is None:
        how = f"{_label(interpreter)} was stopped after {seconds:g} s, {doing}"
        fix = "does something at the top of the file, or of what it imports, wait or compute?"
    else:
        how = f"{_label(interpreter)} ended with code {ended} {doing}"
        fix = "load it there by hand: `PYTHON FILE.py` shows what happens"
    tail = [line.rstrip() for line in stderr.splitlines() if line.strip()][-_STDERR_LINES:]
    text = "\n".join([how, *(f"    {line}" for line in tail)])
    return Problem("not-loaded", text, at, fix)


# --- the answer against the plan


def _other_version(answer: _Answer, target: Target, interpreter: Path) -> Iterator[Problem]:
    wanted = target.version.split(".")
    if str(answer.version).split(".")[: len(wanted)] != wanted:
        option = target.facts.get("version_setting")
        fix = "verify with the version that the files are for"
        if option:
            have = ".".join(str(answer.version).split(".")[: len(wanted)])
            fix += f", or write them for this one: --{option.replace('_', '-')} {have}"
        yield Problem(
            "other-version",
            f"the files are for {answer.name} {target.version}, but {_label(interpreter)} has "
            f"{answer.version}",
            fix=fix,
            severity="warning",
        )


def _warnings(loaded: _Loaded, path: Path) -> Iterator[Problem]:
    for each in loaded.warnings:
        category = str(each["category"]).rpartition(".")[2]
        yield Problem(
            "load-warning",
            f"{category}: {_first_line(str(each['message']))}",
            SourceLocation(_label(path), each["line"]),
            severity="warning",
        )


def _errors(loaded: _Loaded, path: Path, answer: _Answer) -> Iterator[Problem]:
    """Yield why a file does not load, with the frames of the file and of the user's modules."""
    for text in loaded.errors:
        frames, said = _shortened(text)
        line = next((number for file, number, _ in frames if file == str(path)), None)
        detail = [
            f"    {_label(Path(file))}:{number}: {code}"
            for file, number, code in frames
            if (file, number) != (str(path), line) or len(frames) > 1
        ]
        yield Problem(
            "not-loaded",
            "\n".join([f"{answer.name} {answer.version} does not load it: {said}", *detail]),
            SourceLocation(_label(path), line),
            _fix(said),
        )


def _shortened(text: str) -> tuple[list[tuple[str, int, str]], str]:
    """Return the frames (file, line, code) of a traceback that are not a library's, and its end."""
    lines = text.rstrip().splitlines()
    frames: list[tuple[str, int, str]] = []
    end = 0
    for index, line in enumerate(lines):
        match = _FRAME.match(line)
        if match is None:
            continue
        end = index + 1
        while end < len(lines) and lines[end].startswith("    "):
            end += 1
        file = match["file"]
        if Path(file).name != SCRIPT and not any(part in file for part in _OTHER_CODE):
            code = lines[index + 1].strip() if end > index + 1 else ""
            frames.append((file, int(match["line"]), code))
    return frames, " ".join(line.strip() for line in lines[end:] if line.strip()) or text.strip()


def _fix(said: str) -> str | None:
    module = re.match(r"ModuleNotFoundError: No module named '([\w.]+)'", said)
    if module and module[1].split(".")[0] == "airflow":
        return "install what has it, or write for another version: --airflow-version"
    if module:
        return f"make '{module[1]}' importable for that interpreter, such as by PYTHONPATH"
    return None


def _dag_of(dag: DagPlan, loaded: _Loaded) -> Mapping[str, Any] | None:
    """Return the DAG that was loaded for a plan, also when a template has spelled its id anew."""
    found = loaded.dags.get(dag.dag_id)
    if found is None:
        alike = [each for name, each in loaded.dags.items() if slug(name) == slug(dag.dag_id)]
        found = alike[0] if len(alike) == 1 else None
    return found


def _no_dag(dag: DagPlan, loaded: _Loaded, path: Path, word: str) -> Problem:
    there = ", ".join(f"'{name}'" for name in sorted(loaded.dags)) or "none"
    return Problem(
        "verify-dag",
        f"the {word} '{dag.dag_id}' is not in the file; what was found there: {there}",
        SourceLocation(_label(path)),
        "is the file up to date? `dagforge create --check` says so",
    )


@frozen
class _Comparison:
    """What a loaded DAG has less, or more, than its plan.

    Attributes:
        lost: planned tasks that are not there.
        unordered: planned order that does not hold.
        added: tasks beyond the plan.
        ordered: order between planned tasks beyond the plan.
    """

    lost: Sequence[str]
    unordered: Sequence[tuple[str, str]]
    added: Sequence[str]
    ordered: Sequence[tuple[str, str]]

    @classmethod
    def of(cls, dag: DagPlan, found: Mapping[str, Any]) -> _Comparison:
        """Return the comparison of a plan with `tasks` and `edges` of what was loaded."""
        there = set(found["tasks"])
        edges = [(upstream, downstream) for upstream, downstream in found["edges"]]
        name_of = _counterparts([task.task_id for task in dag.tasks], there)
        planned = [(str(edge.upstream), str(edge.downstream)) for edge in dag.edges]
        reaches = _reachability(edges)
        unordered = [
            (first, second)
            for first, second in planned
            if first in name_of
            and second in name_of
            and not reaches(name_of[first], name_of[second])
        ]
        planned_name = {name: task_id for task_id, name in name_of.items()}
        implied = _reachability(planned)
        ordered = [
            (planned_name[first], planned_name[second])
            for first, second in edges
            if first in planned_name
            and second in planned_name
            and not implied(planned_name[first], planned_name[second])
        ]
        lost = [str(task.task_id) for task in dag.tasks if task.task_id not in name_of]
        return cls(lost, unordered, sorted(there - planned_name.keys()), sorted(ordered))

    def problems(self, path: Path) -> Iterator[Problem]:
        """Yield what is missing."""
        at = SourceLocation(_label(path))
        if self.lost:
            names = _some(f"'{name}'" for name in self.lost)
            yield Problem(
                "verify-tasks",
                f"planned but not there: {names}",
                at,
                "does a template leave tasks out, or is the file out of date? "
                "`dagforge create --check` says so",
            )
        if self.unordered:
            pairs = _some(f"'{first}' before '{second}'" for first, second in self.unordered)
            yield Problem(
                "verify-order",
                f"planned but not so: {pairs}",
                at,
                "does a template override the block `edges`, or is the file out of date? "
                "`dagforge create --check` says so",
            )

    def notes(self, dag: DagPlan, loaded: _Loaded, word: str) -> Iterator[str]:
        """Yield what is there beyond the plan."""
        if self.added:
            yield f"has more tasks: {_some(self.added)}"
        if self.ordered:
            pairs = _some(f"{first} before {second}" for first, second in self.ordered)
            yield f"has more order: {pairs}"
        others = sorted(name for name in loaded.dags if slug(name) != slug(dag.dag_id))
        if others:
            yield f"has more {word}s: {_some(others)}"


def _counterparts(planned: Sequence[str], there: set[str]) -> dict[str, str]:
    """Return the loaded task by planned one; a template may spell ids as kedro-airflow does."""
    found = {name: name for name in planned if name in there}
    rest = [name for name in planned if name not in found]
    if rest:
        by_slug: dict[str, list[str]] = {}
        for name in there - found.keys():
            by_slug.setdefault(slug(name), []).append(name)
        for name in rest:
            alike = by_slug.get(slug(name), [])
            if len(alike) == 1:
                found[name] = alike[0]
    return found


def _reachability(edges: Iterable[tuple[str, str]]) -> Callable[[str, str], bool]:
    """Return the question whether a path leads from one task to another."""
    downstream: dict[str, set[str]] = {}
    for first, second in edges:
        downstream.setdefault(first, set()).add(second)
    reached: dict[str, set[str]] = {}

    def reaches(first: str, second: str) -> bool:
        if second in downstream.get(first, ()):
            return True
        if first not in reached:
            found: set[str] = set()
            waiting = [first]
            while waiting:
                new = downstream.get(waiting.pop(), set()) - found
                found |= new
                waiting += new
            reached[first] = found
        return second in reached[first]

    return reaches


# --- words


def _label(path: Path) -> str:
    """Return a path as short as it can be typed from here."""
    relative = os.path.relpath(path)
    return path.as_posix() if relative.startswith("..") else Path(relative).as_posix()


def _word(target: Target) -> str:
    """Return what the orchestrator calls what a file defines."""
    return str(target.facts.get("defines", "DAG"))


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    rest = len(listed) - _SHOWN
    return ", ".join(listed[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
