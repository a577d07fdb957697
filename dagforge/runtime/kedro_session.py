"""A task whose nodes Kedro runs, in this process.

The same as `kedro run --pipelines P --nodes a,b --env E`, with the project's own hooks, runner and
catalog. The record is put together by the hook that `kedro run` in a pod finds too.
"""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dagforge.frozen import frozen
from dagforge.ir import Node, Work
from dagforge.planning.kedro_run import RUN_PARAMETER
from dagforge.planning.variables import CONTRACT, RUN_ID, STRUCTURE, TASK
from dagforge.runtime.errors import NodeError, RunError
from dagforge.runtime.files import Files
from dagforge.runtime.places import RunPlace
from dagforge.runtime.records import TaskRecord, read_record
from dagforge.user_code import failure_of

_STORE = "DAGFORGE_STORE_URL"


@frozen
class KedroRun:
    """What a task is to do.

    Attributes:
        nodes: of the task.
        place: the run.
        root: the project's folder.
        conf: folder of the configuration.
        env: environment; None for Kedro's own choice.
        store_url: base of the store, for the record.
        parameters: the run's own.
        structure: hash of the plan that the DAG was generated from; None when it has none.
        contract: hash of what the DAG expects of the task; None when it has none.
    """

    nodes: tuple[Node, ...]
    place: RunPlace
    task_id: str
    root: Path
    conf: Path
    env: str | None
    store_url: str
    parameters: Mapping[str, Any]
    structure: str | None = None
    contract: str | None = None


def run_with_kedro(run: KedroRun) -> TaskRecord | None:
    """Run a task's nodes in a session of Kedro and return their record, if it could be kept.

    Raises:
        NodeError: a node's function failed.
        RunError: Kedro failed.
    """
    with _variables(run):
        from dagforge.runtime.kedro_hook import hooks

        session = _session(run)
        with session:
            try:
                _run(session, run.nodes)
            except Exception as error:
                # Kedro tells its hooks only of what goes wrong while it runs the nodes.
                hooks.end(error)
                raise _as_problem(run, error) from error
    return read_record(Files(run.store_url), run.place, run.task_id)


def _session(run: KedroRun) -> Any:
    from kedro.framework.session import KedroSession

    from dagforge.runtime.kedro_hook import hooks

    parameters = {**run.parameters, RUN_PARAMETER: f"{run.store_url}/{run.place.path}"}
    # Kedro 0.19 calls them `extra_params`.
    known = inspect.signature(KedroSession.create).parameters
    name = "runtime_params" if "runtime_params" in known else "extra_params"
    session = KedroSession.create(
        project_path=run.root, env=run.env, conf_source=str(run.conf), **{name: parameters}
    )
    # Where DagForge is not installed but only importable, Kedro does not find its hook.
    if not session._hook_manager.is_registered(hooks):
        session._hook_manager.register(hooks)
    return session


def _run(session: Any, nodes: Sequence[Node]) -> None:
    actions = [node.action for node in nodes]
    pipelines = list(dict.fromkeys(each.pipeline for each in actions if isinstance(each, Work)))
    known = inspect.signature(session.run).parameters
    which: dict[str, Any] = {"pipeline_names": pipelines}
    if "pipeline_names" not in known:
        if len(pipelines) > 1:
            raise RunError.of(
                "kedro-version",
                f"the nodes are of the pipelines {', '.join(pipelines)}, and this Kedro runs one "
                "at a time",
                at=nodes[0].origin,
                fix="register a pipeline that holds all of them",
            )
        which = {"pipeline_name": pipelines[0]}
    session.run(**which, node_names=[node.name for node in nodes])


def _as_problem(run: KedroRun, error: Exception) -> RunError:
    """Return a node's failure with the user's own lines, or else what Kedro says."""
    if isinstance(error, RunError):
        return error
    record = read_record(Files(run.store_url), run.place, run.task_id)
    failed = (record.error or {}).get("node") if record is not None else None
    node = next((node for node in run.nodes if node.name == failed), None)
    failure = failure_of(error, (node.module if node is not None else None) or "")
    first, *more = failure.message.split("\n")
    what = "Kedro failed" if node is None else f"node '{node.name}' failed"
    lines = [f"{what}: {failure.type}: {first}", *(f"    {line}" for line in more)]
    if failure.frames:
        lines.append("  traceback of your code:")
        lines += [f"  {line}" for line in failure.frames.rstrip("\n").split("\n")]
    if node is None:
        return RunError.of("kedro-failed", "\n".join(lines), at=run.nodes[0].origin)
    return NodeError.of("node-failed", "\n".join(lines), at=node.origin)


@contextlib.contextmanager
def _variables(run: KedroRun) -> Iterator[None]:
    """Tell the hook which task this is, and kedro-telemetry to be silent, for a while."""
    place = run.place
    wanted = {
        TASK: f"{place.project}/{place.dag_id}/{run.task_id}",
        RUN_ID: place.run_id,
        STRUCTURE: run.structure or "",
        CONTRACT: run.contract or "",
        _STORE: run.store_url,
        "DO_NOT_TRACK": os.environ.get("DO_NOT_TRACK", "1"),
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
