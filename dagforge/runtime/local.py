"""A run on this machine: the planned tasks in their order, each in a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagforge.errors import Problem, UsageError
from dagforge.frozen import frozen
from dagforge.planning.model import DagPlan, Task
from dagforge.runtime.errors import RunError
from dagforge.runtime.files import Files
from dagforge.runtime.places import RunPlace
from dagforge.runtime.records import SUCCESS, read_record
from dagforge.runtime.resume import is_up_to_date
from dagforge.values import Literal, RunText, RunValue

SKIPPED, BLOCKED, FAILED, STOPPED = "up to date", "not run", "failed", "stopped"
GRACE_SECONDS = 10.0
# How long what a task has started may go on writing once the task itself is done.
LEFT_SECONDS = 2.0
Tell = Callable[[str, str], None]
"""Takes a task_id and a line of its output, or what became of it."""


@frozen
class LocalRun:
    """How a plan is run here.

    Attributes:
        jobs: tasks at a time.
        parameters: as text for `--params`, the same for every task.
        values: the project's parameters with those laid over them.
        resume: tasks whose inputs and code are unchanged, and whose outputs are there, are left.
    """

    dag: DagPlan
    place: RunPlace
    root: Path
    store_url: str
    jobs: int = 1
    parameters: tuple[str, ...] = ()
    conf: Path | None = None
    resume: bool = False
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Outcome:
    """What became of each task, by task_id, in the order of the plan."""

    status: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    stopped: bool = False

    @property
    def failed(self) -> list[str]:
        """Tasks that failed."""
        return [task_id for task_id, status in self.status.items() if status == FAILED]


def check_runnable(dag: DagPlan) -> None:
    """Refuse a plan with tasks that only an orchestrator can run.

    Raises:
        RunError: with all of them.
    """
    nodes = {node.name: node for node in dag.pipeline.nodes}
    operators = [task for task in dag.tasks if task.runs == "operator"]
    if operators:
        raise RunError(
            Problem(
                "cannot-run",
                f"node '{task.nodes[0]}' is an operator of the orchestrator, which cannot run here",
                nodes[task.nodes[0]].origin,
                fix="leave it out with --nodes, --from-nodes or --to-nodes",
            )
            for task in operators
        )


def command_of(run: LocalRun, task: Task) -> list[str]:
    """Return the command that runs a task here: the generated one, with this interpreter."""
    values = {"run_id": run.place.run_id, "parameters": "{}", "structure": run.dag.structure_hash}
    words = [_text(word, values) for word in task.command]
    if not _is_ours(task):
        return words
    skip = len(task.settings["entrypoint"])
    # The last of an option counts: the DAG's own may name a folder of the workers.
    command = [sys.executable, "-m", "dagforge", *words[skip:], "--project", str(run.root)]
    for text in run.parameters:
        command += ["--params", text]
    if run.conf is not None:
        command += ["--conf", str(run.conf)]
    return command


def _tell_lines(child: subprocess.Popen[str], task_id: str, tell: Tell) -> None:
    assert child.stdout is not None
    with child.stdout:
        for line in child.stdout:
            tell(task_id, line.rstrip("\n"))


def _text(word: Any, values: Mapping[str, str]) -> str:
    if isinstance(word, RunValue):
        return values[word.name]
    if isinstance(word, RunText):
        return word.before + (values[word.value.name] if word.value else "") + word.after
    return word.text if isinstance(word, Literal) else str(word)


def run_locally(run: LocalRun, tell: Tell) -> Outcome:
    """Run every task of a plan, several at a time, and return what became of them.

    A task that fails stops those after it; independent ones finish. SIGINT, SIGTERM and SIGHUP stop
    the children and then this.
    """
    if run.jobs < 1:
        raise UsageError.of("bad-jobs", f"--jobs must be at least 1, not {run.jobs}")
    outcome = Outcome(status=dict.fromkeys((str(task.task_id) for task in run.dag.tasks), BLOCKED))
    children = _Children()
    waiting: dict[str, set[str]] = {task.task_id: {*task.upstream} for task in run.dag.tasks}
    tasks: dict[str, Task] = {task.task_id: task for task in run.dag.tasks}
    running: dict[Future[str], str] = {}
    with children.stopped_by_signals(), ThreadPoolExecutor(run.jobs) as pool:
        while waiting or running:
            if not children.stopping:
                ready = [task_id for task_id, upstream in waiting.items() if not upstream]
                for task_id in ready:
                    del waiting[task_id]
                    future = pool.submit(_run_one, run, tasks[task_id], children, tell, outcome)
                    running[future] = task_id
            if not running:
                break
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                task_id = running.pop(future)
                outcome.status[task_id] = status = future.result()
                if status in (SUCCESS, SKIPPED):
                    for upstream in waiting.values():
                        upstream.discard(task_id)
        outcome.stopped = children.stopping
    return outcome


def _run_one(run: LocalRun, task: Task, children: _Children, tell: Tell, outcome: Outcome) -> str:
    if run.resume and is_up_to_date(
        Files(run.store_url), run.place, task, run.dag, run.root, run.values
    ):
        tell(task.task_id, SKIPPED)
        return SKIPPED
    begin = time.monotonic()
    tell(task.task_id, "started")
    environment = {**os.environ, "DAGFORGE_STORE_URL": run.store_url, "PYTHONUNBUFFERED": "1"}
    try:
        code = children.run(command_of(run, task), run.root, environment, task.task_id, tell)
    except OSError as error:
        tell(task.task_id, f"cannot be started: {error}")
        code = 127
    outcome.seconds[task.task_id] = time.monotonic() - begin
    status = STOPPED if children.stopping else SUCCESS if code == 0 else FAILED
    if status == SUCCESS and not _is_done(run, task):
        status = FAILED
        tell(task.task_id, "its process ended before its nodes were done, as if all were well")
    if status == FAILED and code < 0:
        tell(task.task_id, f"killed by {signal.Signals(-code).name}")
    tell(task.task_id, f"{status} in {outcome.seconds[task.task_id]:.1f} s")
    return status


def _is_done(run: LocalRun, task: Task) -> bool:
    """Say whether a task whose process ended well has recorded that it did what it should."""
    if not _is_ours(task):
        return True
    record = read_record(Files(run.store_url), run.place, task.task_id)
    return record is not None and record.status == SUCCESS


def _is_ours(task: Task) -> bool:
    """Say whether `dagforge run` is what the task starts, not a command of the user's own."""
    entrypoint = list(task.settings["entrypoint"])
    return task.runs != "command" or list(task.command[:1]) == entrypoint[:1]


@dataclass(slots=True)
class _Children:
    """The processes of tasks that run now."""

    stopping: bool = False
    _running: set[subprocess.Popen[str]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        task_id: str,
        tell: Tell,
    ) -> int:
        with self._lock:
            if self.stopping:
                return -signal.SIGTERM
            child = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="backslashreplace",
                # Ctrl-C reaches this process alone, which then stops the children itself.
                start_new_session=True,
            )
            self._running.add(child)
        reader = threading.Thread(target=_tell_lines, args=(child, task_id, tell), daemon=True)
        reader.start()
        try:
            code = child.wait()
            reader.join(LEFT_SECONDS)
            if reader.is_alive():
                # Where a pod ends with its command, what it started ends, too.
                tell(task_id, "ending processes that it started and that still run")
                for number in (signal.SIGTERM, signal.SIGKILL):
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(child.pid, number)
                    reader.join(LEFT_SECONDS)
            return code
        finally:
            with self._lock:
                self._running.discard(child)

    def stop(self) -> None:
        """Ask all children to end, and kill those that do not."""
        with self._lock:
            self.stopping = True
            children = list(self._running)
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
        threading.Thread(target=self._kill_later, args=(children,), daemon=True).start()

    def _kill_later(self, children: Sequence[subprocess.Popen[str]]) -> None:
        deadline = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < deadline and any(child.poll() is None for child in children):
            time.sleep(0.05)
        for child in children:
            if child.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)

    @contextlib.contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def on_signal(number: int, frame: object) -> None:
            del number, frame
            self.stop()

        numbers = [signal.SIGINT, signal.SIGTERM]
        # The terminal was closed; who runs it with nohup wants it to go on.
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            numbers.append(signal.SIGHUP)
        before = {each: signal.signal(each, on_signal) for each in numbers}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
